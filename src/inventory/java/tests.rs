use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::*;
use crate::inventory::archive::tests::{zip, zip_with};

const CLASS: (&str, &str) = ("org/acme/A.class", "\u{ca}");

fn record(artifact: &str) -> (String, String) {
    let text = format!("groupId=org.acme\nartifactId={artifact}\nversion=1.0\n");
    (format!("META-INF/maven/org.acme/{artifact}/pom.properties"), text)
}

/// An archive with the records of these artifacts.
fn shaded(artifacts: &[&str]) -> Vec<u8> {
    let records: Vec<_> = artifacts.iter().map(|artifact| record(artifact)).collect();
    zip(&records.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

fn parse(path: &str, bytes: &[u8]) -> Facts {
    Java.parse(&path.into(), bytes).unwrap()
}

/// Name, version, location and whether it is a guess.
fn listed(facts: &Facts) -> Vec<(&str, &str, String, bool)> {
    let shown = |package: &FoundPackage| package.location.as_ref().unwrap().to_string();
    facts.packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), shown(p), p.guessed)).collect()
}

#[test]
fn a_jar_lists_itself_what_was_merged_into_it_and_what_it_holds() {
    let facts = parse("opt/demo.jar", include_bytes!("../../../testdata/inventory/java/demo.jar"));
    assert_eq!(
        listed(&facts),
        [
            ("org.acme:demo", "1.2.3", "opt/demo.jar".to_owned(), false),
            ("org.other:shaded", "0.9", "opt/demo.jar".to_owned(), false),
            ("inner", "2.0", "opt/demo.jar!/lib/inner.jar".to_owned(), true),
        ]
    );
    assert_eq!(facts.packages[0].licenses, ["Apache-2.0"]);
    assert_eq!(facts.packages[0].requires, Some(vec![vec!["org.acme:inner".to_owned()]]));
    assert_eq!(facts.packages[1].requires, None);
    assert_eq!(facts.unreadable, [""; 0]);
}

#[test]
fn archives_are_wanted_by_extension_in_any_case() {
    for extension in EXTENSIONS {
        assert!(Java.wants(&format!("a/x.{}", extension.to_uppercase()).as_str().into(), b""));
    }
    for path in ["a/jar", "a/x.jar.txt", "a/x.zip", "x.jar/a"] {
        assert!(!Java.wants(&path.into(), b""), "{path}");
    }
    assert!(Java.wants(&ImagePath::normalise(b"opt/\xff/app.jar").unwrap(), b""));
}

#[test]
fn a_jar_whose_only_records_are_of_others_is_guessed_besides() {
    // Attack by accident: a library built by Gradle, with one of Maven's merged into it.
    let bytes = shaded(&["asm", "asm-util"]);
    let names =
        |path: &str| listed(&parse(path, &bytes)).iter().map(|found| found.0.to_owned()).collect::<Vec<_>>();
    assert_eq!(names("lib-2.0.jar"), ["org.acme:asm", "org.acme:asm-util", "lib"]);
    assert_eq!(names("asm-2.0.jar"), ["org.acme:asm", "org.acme:asm-util"]);
    assert_eq!(names("app.jar"), ["org.acme:asm", "org.acme:asm-util"]);
    let (path, text) = record("asm");
    let stating = |version: &str| {
        let manifest = format!("Implementation-Title: lib\nImplementation-Version: {version}\n");
        let bytes = zip(&[("META-INF/MANIFEST.MF", &manifest), (&path, &text)]);
        parse("app.jar", &bytes).packages.pop().unwrap().name
    };
    assert_eq!((stating("1.0").as_str(), stating("2.0").as_str()), ("org.acme:asm", "lib"));
}

#[test]
fn the_group_stands_where_graalvm_is_told_of_the_archive() {
    let name = |file: &str, member: &str| {
        let bytes = zip(&[(member, ""), CLASS]);
        parse(file, &bytes).packages.pop().unwrap().name
    };
    let member = "META-INF/native-image/org.acme.embed/embed-core/native-image.properties";
    assert_eq!(name("embed-core-9.0.63.jar", member), "org.acme.embed:embed-core");
    // That of a library that was merged into it, a file of no artifact, and a name that is none.
    assert_eq!(name("app-1.jar", member), "app");
    assert_eq!(name("reflect-1.jar", "META-INF/native-image/org.acme/reflect-1.jar"), "reflect");
    assert_eq!(name("a-1.jar", "META-INF/native-image/o r g/a/x"), "a");
    let other = "META-INF/native-image/org.other/embed-core/x";
    let two = parse("embed-core-9.jar", &zip(&[(member, ""), (other, ""), CLASS]));
    assert_eq!(two.packages[0].name, "embed-core");
    let manifest = "Implementation-Vendor-Id: org.acme.own\n";
    let stated = parse("embed-core-9.jar", &zip(&[(member, ""), ("META-INF/MANIFEST.MF", manifest)]));
    assert_eq!(stated.packages[0].name, "org.acme.own:embed-core");
}

#[test]
fn a_bundle_says_the_licence_that_its_project_inherits() {
    let (path, text) = record("a");
    let manifest = "Bundle-License: Apache-2.0;link=x\n";
    let pom = |licenses: &str| {
        format!(
            "<project><groupId>org.acme</groupId><artifactId>a</artifactId><version>1.0</version>{licenses}</project>"
        )
    };
    let licenses = |stated: &str| {
        let (at, pom) = (path.replace(".properties", ".xml"), pom(stated));
        let bytes = zip(&[(&path, &text), (&at, &pom), ("META-INF/MANIFEST.MF", manifest)]);
        parse("a-1.0.jar", &bytes).packages.pop().unwrap().licenses
    };
    assert_eq!(licenses(""), ["Apache-2.0"]);
    assert_eq!(licenses("<licenses><license><name>MIT</name></license></licenses>"), ["MIT"]);
    let merged = parse("other-2.jar", &zip(&[(&path, &text), ("META-INF/MANIFEST.MF", manifest)]));
    let of: Vec<_> = merged.packages.iter().map(|p| (p.name.as_str(), p.licenses.len())).collect();
    assert_eq!(of, [("org.acme:a", 0), ("other", 1)]);
}

#[test]
fn a_record_that_states_nothing_is_a_guess_or_a_gap() {
    let bytes = |records: &[&str]| {
        let members: Vec<_> = records
            .iter()
            .map(|name| (format!("META-INF/maven/org.acme/{name}/pom.properties"), "version=${v}\n"))
            .collect();
        zip(&members.iter().map(|(name, text)| (name.as_str(), *text)).collect::<Vec<_>>())
    };
    let facts = parse("x-1.jar", &bytes(&["demo"]));
    assert_eq!(listed(&facts), [("org.acme:demo", "1", "x-1.jar".to_owned(), true)]);
    assert_eq!(facts.unreadable, [""; 0]);
    assert_eq!(parse("x.jar", &bytes(&["demo"])).unreadable.len(), 1);
    let several = parse("x-1.jar", &bytes(&["a", "b"]));
    assert_eq!(listed(&several)[0].0, "x");
    assert_eq!(several.unreadable.len(), 2);
    assert_eq!(several.unreadable[0], "Maven's record of `org.acme/a`: it has no groupId");
}

#[test]
fn a_project_file_states_what_the_record_does_not() {
    let pom = "<project><groupId>a</groupId><artifactId>b</artifactId><version>2</version></project>";
    let path = "META-INF/maven/a/b/pom.xml";
    let alone = parse("x-1.jar", &zip(&[(path, pom)]));
    assert_eq!(listed(&alone)[0], ("a:b", "2", "x-1.jar".to_owned(), false));
    let beside = parse("x.jar", &zip(&[(path, pom), ("META-INF/maven/a/b/pom.properties", "version=${v}")]));
    assert_eq!(listed(&beside), [("a:b", "2", "x.jar".to_owned(), false)]);
    assert_eq!(beside.unreadable, [""; 0]);
    let vague = parse("x-1.jar", &zip(&[(path, "<project>&x;</project>")]));
    assert_eq!(listed(&vague), [("a:b", "1", "x-1.jar".to_owned(), true)]);
}

#[test]
fn an_archive_that_does_not_say_what_it_is_is_a_gap() {
    let gap = ["neither its metadata nor its name says what it is"];
    assert_eq!(parse("app.jar", &zip(&[CLASS])).unreadable, gap);
    assert_eq!(parse("app.jar", &zip(&[("a.txt", "")])).unreadable, gap);
    assert_eq!(parse("app.jar", &zip(&[])).unreadable, gap);
    assert_eq!(listed(&parse("app-1.jar", &zip(&[("a.txt", "")])))[0].0, "app");
    let inner = shaded(&["demo"]);
    let wrap = |more: &[(&str, &[u8])]| {
        zip_with(SimpleFileOptions::default(), &[&[("lib/a.jar", inner.as_slice())], more].concat())
    };
    assert_eq!(parse("all.ear", &wrap(&[])).unreadable, [""; 0]);
    assert_eq!(parse("all.ear", &wrap(&[(CLASS.0, b"x")])).unreadable, gap);
}

#[test]
fn what_is_no_archive_is_unreadable() {
    let cause = |bytes: &[u8]| Java.parse(&"a.rar".into(), bytes).unwrap_err().0;
    assert_eq!(cause(b""), "an empty file");
    assert_eq!(cause(b"Rar!\x1a\x07\x01\0"), "a RAR archive, no zip archive");
    assert_eq!(cause(&shaded(&["a"])[..50]), "a zip archive that is cut short");
}

/// An archive in an archive, so many times.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(shaded(&["demo"]), |inner, _| {
        zip_with(SimpleFileOptions::default(), &[("lib/a.jar", inner.as_slice())])
    })
}

#[test]
fn archives_nest_to_a_limit() {
    let deepest = parse("a.war", &nested(3));
    assert_eq!(listed(&deepest)[0].2, "a.war!/lib/a.jar!/lib/a.jar!/lib/a.jar");
    assert_eq!(deepest.unreadable, [""; 0]);
    for depth in [4, 5] {
        let facts = parse("a.war", &nested(depth));
        assert_eq!(facts.packages, []);
        let inside = "`lib/a.jar`: ".repeat(4);
        assert_eq!(facts.unreadable, [format!("{inside}archives nest deeper than 3")]);
    }
}

#[test]
fn a_nested_archive_that_cannot_be_read_is_named() {
    let good = shaded(&["demo"]);
    let hold = |name: &str, content: &[u8]| {
        let outer = [("lib/b-1.jar", good.as_slice()), (name, content)];
        let facts = parse("demo-1.jar", &zip_with(SimpleFileOptions::default(), &outer));
        // What can be read is listed all the same: `demo`, and `demo-1.jar` by its name.
        assert!(listed(&facts).len() >= 2, "{facts:?}");
        facts.unreadable
    };
    assert_eq!(hold("lib/a.jar", b""), ["`lib/a.jar`: an empty file"]);
    assert_eq!(hold("lib/a.jar", &good[..60]), ["`lib/a.jar`: a zip archive that is cut short"]);
    assert_eq!(hold("../lib/a.jar", &good), ["`../lib/a.jar`: its name leads out of the archive"]);
    let twice = [good.as_slice(), b"x"].concat();
    assert_eq!(hold("lib/a-1.jar", &twice), ["`lib/a-1.jar`: 1 bytes stand after its end"]);
    let bomb = vec![0; usize::try_from(MAX_NESTED).unwrap() + 1];
    assert_eq!(
        hold("lib/a.jar", &bomb),
        ["`lib/a.jar`: 134217729 bytes, larger than the limit of 134217728"]
    );
}

#[test]
fn a_bomb_of_many_archives_ends() {
    // Each of the 20 nested archives claims 60 MiB, and they are 1.2 GB in all.
    let zeros = vec![0; 60 << 20];
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let record = zip_with(SimpleFileOptions::default(), &[("lib/z-1.jar", zeros.as_slice())]);
    let names: Vec<String> = (0..20).map(|i| format!("lib/{i}.jar")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), record.as_slice())).collect();
    let bytes = zip_with(stored, &members);
    assert!(bytes.len() < 2 << 20);
    let facts = parse("a-1.jar", &bytes);
    assert!(facts.unreadable.iter().any(|cause| cause.contains("more than 536870912 bytes in all")));
}

#[test]
fn a_backslash_or_another_case_does_not_hide_a_record() {
    let text = "groupId=org.acme\nartifactId=demo\nversion=1.0\n";
    for name in [
        "META-INF\\maven\\org.acme\\demo\\pom.properties",
        "meta-inf/maven/org.acme/demo/POM.properties",
        "WEB-INF/classes/META-INF/maven/org.acme/demo/pom.properties",
    ] {
        let facts = parse("app.jar", &zip(&[(name, text)]));
        assert_eq!(listed(&facts), [("org.acme:demo", "1.0", "app.jar".to_owned(), false)], "{name}");
    }
}

#[test]
fn many_records_of_one_directory_do_not_take_for_ever() {
    let names: Vec<String> = (0..30_000).map(|i| format!("META-INF/maven/a/b{i}/pom.properties")).collect();
    let poms: Vec<String> = (0..30_000).map(|i| format!("META-INF/maven/a/b{i}/pom.xml")).collect();
    let members: Vec<(&str, &[u8])> =
        names.iter().chain(&poms).map(|name| (name.as_str(), b"x".as_slice())).collect();
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let facts = parse("a-1.jar", &zip_with(stored, &members));
    assert_eq!(facts.packages.len(), 1);
    assert!(facts.unreadable.len() > 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_mutated_jar_never_panics_nor_falls_silent(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = include_bytes!("../../../testdata/inventory/java/demo.jar").to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(facts) = Java.parse(&"demo.jar".into(), &bytes) {
            prop_assert!(!facts.packages.is_empty() || !facts.unreadable.is_empty());
        }
    }
}
