use proptest::prelude::*;
use spdx::{Expression, ParseMode};

use super::*;

/// Every type that has rules of its own, and one that has none.
const KINDS: &[&str] =
    &["alpm", "apk", "cargo", "composer", "conda", "deb", "gem", "maven", "npm", "pypi", "rpm"];

fn read_all(kind: &str, texts: &[&str]) -> License {
    read(kind, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

fn one(kind: &str, text: &str) -> Option<String> {
    read_all(kind, &[text]).expression()
}

#[track_caller]
fn check(kind: &str, samples: &[(&str, &str)]) {
    for (text, want) in samples {
        assert_eq!(one(kind, text).as_deref(), Some(*want), "{kind}: {text}");
    }
}

#[track_caller]
fn check_words(kind: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(one(kind, text), None, "{kind}: {text}");
    }
}

#[test]
fn identifiers_and_plain_names_are_the_same_everywhere() {
    for kind in KINDS {
        check(
            kind,
            &[
                ("MIT", "MIT"),
                ("mit", "MIT"),
                (" Mit ", "MIT"),
                ("(MIT)", "MIT"),
                ("MIT License", "MIT"),
                ("The MIT License (MIT)", "MIT"),
                ("Apache 2.0", "Apache-2.0"),
                ("Apache License 2.0", "Apache-2.0"),
                ("Apache License, Version 2.0", "Apache-2.0"),
                ("apache-2.0", "Apache-2.0"),
                ("GPL-2.0", "GPL-2.0-only"),
                ("GPL-2.0+", "GPL-2.0-or-later"),
                ("LGPL-2.1-or-later", "LGPL-2.1-or-later"),
                ("GNU General Public License v3.0 or later", "GPL-3.0-or-later"),
                ("MPL-1.1+", "MPL-1.1+"),
                ("Public Domain", "LicenseRef-public-domain"),
                ("LicenseRef-Acme", "LicenseRef-Acme"),
                ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
                ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
                ("(MIT or apache-2.0)", "MIT OR Apache-2.0"),
                ("MIT AND ISC OR Zlib", "(MIT AND ISC) OR Zlib"),
                ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
            ],
        );
        check_words(
            kind,
            &[
                "",
                " ",
                "BSD",
                "BSD License",
                "Apache",
                "Apache License",
                "GPL",
                "AFL",
                "NOASSERTION",
                "NONE",
                "Proprietary",
                "MIT OR NOASSERTION",
                "BSD and/or MIT",
                "MIT AND",
                "MIT ISC OR",
                "()",
                "MIT WITH",
                "LicenseRef-",
                "LicenseRef-a b",
                "DocumentRef-a:LicenseRef-b",
                "GPL-2.0 or any later version of it",
                "\0",
                "ＭＩＴ",
            ],
        );
    }
}

#[test]
fn debian_s_short_names_are_versions_exceptions_and_commas() {
    check(
        "deb",
        &[
            ("Expat", "MIT"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-3.0+", "GPL-3.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("Apache-2", "Apache-2.0"),
            ("Artistic-2", "Artistic-2.0"),
            ("CC0", "CC0-1.0"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GFDL-1.2+", "GFDL-1.2-or-later"),
            ("public-domain", "LicenseRef-public-domain"),
            ("Zope-2.1", "ZPL-2.1"),
            ("MPL-1.1 or GPL-2+ or LGPL-2.1+", "MPL-1.1 OR GPL-2.0-or-later OR LGPL-2.1-or-later"),
            ("GPL-2+ or Expat and ISC", "GPL-2.0-or-later OR (MIT AND ISC)"),
            ("GPL-2+ or Expat, and ISC", "(GPL-2.0-or-later OR MIT) AND ISC"),
            ("GPL-2+ with Font exception", "GPL-2.0-or-later WITH Font-exception-2.0"),
            ("GPL-2+ with Texinfo exception", "GPL-2.0-or-later WITH Texinfo-exception"),
            ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
        ],
    );
    // Several exceptions are called that.
    check_words(
        "deb",
        &["GPL-2+ with OpenSSL exception", "Artistic", "GPL-1+ or Artistic", "A, B", "MIT/X11"],
    );
}

#[test]
fn all_licences_of_a_copyright_file_apply() {
    let license = read_all("deb", &["Expat", "GPL-2+ or BSD-3-clause", "MIT", "public-domain"]);
    assert_eq!(
        license.expression().as_deref(),
        Some("MIT AND (GPL-2.0-or-later OR BSD-3-Clause) AND LicenseRef-public-domain")
    );
    let partly = read_all("deb", &["Expat", "GPL-1+ or Artistic", "GPL-2+ with OpenSSL exception"]);
    assert_eq!(partly.expression(), None);
    let referred = partly.expression_with(|words| format!("<{words}>"));
    let want = "MIT AND (GPL-1.0-or-later OR <Artistic>) AND <GPL-2+ with OpenSSL exception>";
    assert_eq!(referred.as_deref(), Some(want));
}

#[test]
fn rpm_has_fedora_s_short_names() {
    check(
        "rpm",
        &[
            ("GPLv2+ and LGPLv2+", "GPL-2.0-or-later AND LGPL-2.0-or-later"),
            ("GPLv2", "GPL-2.0-only"),
            ("GPL+", "GPL-1.0-or-later"),
            ("ASL 2.0", "Apache-2.0"),
            ("BSD with advertising", "BSD-4-Clause"),
            ("MIT and BSD with advertising", "MIT AND BSD-4-Clause"),
            ("(MPLv1.1 or LGPLv2+)", "MPL-1.1 OR LGPL-2.0-or-later"),
            (
                "GPLv3+ and (GPLv2+ or LGPLv3+)",
                "GPL-3.0-or-later AND (GPL-2.0-or-later OR LGPL-3.0-or-later)",
            ),
            ("zlib and Boost", "Zlib AND BSL-1.0"),
            ("Public Domain", "LicenseRef-public-domain"),
            ("GPL-2.0-or-later WITH GCC-exception-3.1", "GPL-2.0-or-later WITH GCC-exception-3.1"),
            ("SUSE-Public-Domain AND MIT", "LicenseRef-public-domain AND MIT"),
        ],
    );
    // The same with brackets for blanks: which binds more, nobody says.
    check_words("npm", &["MIT or(Zlib)and ISC", "MIT or (Zlib) and ISC"]);
    check_words("rpm", &["GPLv2+ with exceptions", "BSD and MIT", "MIT or ISC and Zlib", "GPLv2+, MIT"]);
    let partly = read_all("rpm", &["GPLv2+ with exceptions and (BSD or MIT)"]);
    let want = "<GPLv2+ with exceptions> AND (<BSD> OR MIT)";
    assert_eq!(partly.expression_with(|words| format!("<{words}>")).as_deref(), Some(want));
    // Nobody says what a comma is.
    assert_eq!(read_all("rpm", &["GPLv2+, MIT"]).terms().len(), 2);
}

#[test]
fn apk_has_expressions_and_once_had_lists() {
    check("apk", &[("GPL-2.0-only AND MIT", "GPL-2.0-only AND MIT"), ("GPL2+", "GPL-2.0-or-later")]);
    let old = read_all("apk", &["MPL-2.0 BSD GPL2+"]);
    assert_eq!(old.expression(), None);
    let said: Vec<Option<String>> = old.terms().iter().map(Term::expression).collect();
    assert_eq!(said, [Some("MPL-2.0".into()), None, Some("GPL-2.0-or-later".into())]);
    assert_eq!(read_all("apk", &["words without a name"]).terms().len(), 1);
}

#[test]
fn python_has_classifiers_and_free_text() {
    check(
        "pypi",
        &[
            ("MIT License", "MIT"),
            ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
            ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
            ("ISC License (ISCL)", "ISC"),
            ("Python Software Foundation License", "PSF-2.0"),
            ("The Unlicense (Unlicense)", "Unlicense"),
            ("zlib/libpng License", "Zlib"),
            ("MPL-2.0 AND MIT", "MPL-2.0 AND MIT"),
            ("GPL v3 or later", "GPL-3.0-or-later"),
            ("https://opensource.org/licenses/MIT", "MIT"),
        ],
    );
    check_words(
        "pypi",
        &[
            "Apache Software License",
            "BSD or Apache License, Version 2.0",
            "GNU General Public License v2 (GPLv2)",
            "GPLv3",
            "LGPL",
            "BSD-like",
            "MIT or as you like",
            "https://opensource.org/licenses/GPL-3.0",
            "https://example.org/MIT",
        ],
    );
    assert_eq!(read_all("pypi", &["MIT License", "ISC License (ISCL)"]).expression(), None);
    assert_eq!(read_all("pypi", &["MIT License", "MIT"]).expression().as_deref(), Some("MIT"));
    // Free text that is understood in part is not understood.
    assert_eq!(read_all("pypi", &["MIT and kindness"]).terms()[0], Term::words("MIT and kindness"));
}

#[test]
fn lists_of_npm_and_composer_are_a_choice() {
    for kind in ["npm", "composer"] {
        assert_eq!(read_all(kind, &["MIT", "Apache 2.0"]).expression().as_deref(), Some("MIT OR Apache-2.0"));
        check_words(kind, &["SEE LICENSE IN LICENSE.md", "UNLICENSED", "proprietary", "MIT/ISC", "MIT/X11"]);
        check(kind, &[("(MIT OR GPL-3.0)", "MIT OR GPL-3.0-only"), ("Unlicense", "Unlicense")]);
    }
}

#[test]
fn lists_of_gems_and_of_maven_say_nothing() {
    for kind in ["gem", "maven", "conda"] {
        assert_eq!(read_all(kind, &["MIT", "Apache 2.0"]).expression(), None);
        assert_eq!(read_all(kind, &["MIT", "Apache 2.0"]).terms().len(), 2);
    }
    check("gem", &[("Ruby", "Ruby"), ("Same as Ruby's", "Ruby"), ("2-clause BSD", "BSD-2-Clause")]);
    check(
        "maven",
        &[
            ("The Apache Software License, Version 2.0", "Apache-2.0"),
            ("Apache License Version 2.0", "Apache-2.0"),
            ("http://www.apache.org/licenses/LICENSE-2.0.txt", "Apache-2.0"),
            ("https://www.eclipse.org/legal/epl-v10.html", "EPL-1.0"),
            ("Eclipse Public License - v 1.0", "EPL-1.0"),
            ("GPL2 w/ CPE", "GPL-2.0-only WITH Classpath-exception-2.0"),
            ("New BSD License", "BSD-3-Clause"),
            ("Public Domain, per Creative Commons CC0", "CC0-1.0"),
        ],
    );
    check_words("maven", &["The BSD License", "GNU Lesser General Public License", "CDDL + GPLv2"]);
}

#[test]
fn cargo_once_wrote_a_slash() {
    check("cargo", &[("MIT/Apache-2.0", "MIT OR Apache-2.0"), ("MIT / ISC", "MIT OR ISC")]);
    check("conda", &[("BSD 3-Clause", "BSD-3-Clause"), ("BSD-3-Clause AND MIT", "BSD-3-Clause AND MIT")]);
}

#[test]
fn entries_of_arch_apply_where_all_are_spdx() {
    assert_eq!(
        read_all("alpm", &["MIT", "GPL-2.0-or-later"]).expression().as_deref(),
        Some("MIT AND GPL-2.0-or-later")
    );
    let old = read_all("alpm", &["MPL", "GPL-2.0-or-later"]);
    assert_eq!(old.expression_with(|words| words.to_owned()), None);
}

#[test]
fn endless_texts_and_parentheses_are_words() {
    let deep = |depth: usize| format!("{}MIT OR ISC{}", "(".repeat(depth), ")".repeat(depth));
    assert!(one("rpm", &deep(30)).is_some());
    let long = format!("MIT{}", " AND MIT".repeat(MAX_EXPRESSION));
    let many = format!("MIT{}", " AND ISC".repeat(parse::MAX_NAMES));
    for text in [deep(100), "(".repeat(1 << 20), long, many, "a ".repeat(2_000), ",".repeat(8_000)] {
        for kind in KINDS {
            assert_eq!(one(kind, &text), None);
        }
    }
    let texts: Vec<String> = (0..=MAX_TEXTS).map(|n| format!("LicenseRef-{n}")).collect();
    assert_eq!(read("deb", &texts).expression(), None);
}

/// Texts that look like licences.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "MIT",
        "mit",
        "GPL-2+",
        "GPLv2",
        "BSD",
        "Apache",
        "2.0",
        "License",
        "Version",
        "the",
        "and",
        "or",
        "AND",
        "OR",
        "with",
        "WITH",
        "exception",
        "Font",
        "GCC-exception-3.1",
        "(",
        ")",
        ",",
        "/",
        "+",
        "later",
        "any",
        "ASL",
        "LicenseRef-x",
        "http://",
        "opensource.org/licenses/",
        "Public",
        "Domain",
        "GPL-2.0-with-font-exception",
        "ü",
    ]);
    let blank = prop::sample::select(vec![" ", "", "  "]);
    prop::collection::vec((word, blank), 0..12)
        .prop_map(|words| words.into_iter().flat_map(|(word, blank)| [word, blank]).collect())
}

proptest! {
    #[test]
    fn what_comes_out_is_spdx_and_stays_as_it_is(texts in prop::collection::vec(prop_oneof![text(), any::<String>()], 0..4)) {
        for kind in KINDS {
            let license = read(kind, &texts);
            if let Some(expression) = license.expression() {
                let parsed = Expression::parse_mode(&expression, ParseMode { allow_deprecated: true, ..ParseMode::STRICT });
                prop_assert!(parsed.is_ok(), "{kind}: {texts:?}: {expression}");
                prop_assert_eq!(one(kind, &expression), Some(expression.clone()), "{}: {:?}", kind, texts);
            }
            if let Some(referred) = license.expression_with(|_| "LicenseRef-words".to_owned()) {
                let parsed = Expression::parse_mode(&referred, ParseMode { allow_deprecated: true, ..ParseMode::STRICT });
                prop_assert!(parsed.is_ok(), "{kind}: {texts:?}: {referred}");
            }
        }
    }
}
