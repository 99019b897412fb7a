//! Package URLs (purl-spec): `pkg:type/namespace/name@version?qualifiers#subpath`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Serialize, Serializer};

/// Characters that stand as they are in every component: letters, digits, `.`, `-`, `_`, `~` and,
/// as purl-spec rules, the colon.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b':');

/// The types that are known: those of purl-spec (PURL-TYPES), and `ebuild`, `nix`, `opkg` and `pear`, which tools
/// write besides.
pub const TYPES: &[&str] = &[
    "alpm",
    "apk",
    "bitbucket",
    "bitnami",
    "cargo",
    "cocoapods",
    "composer",
    "conan",
    "conda",
    "cpan",
    "cran",
    "deb",
    "docker",
    "ebuild",
    "gem",
    "generic",
    "github",
    "golang",
    "hackage",
    "hex",
    "huggingface",
    "julia",
    "luarocks",
    "maven",
    "mlflow",
    "nix",
    "npm",
    "nuget",
    "oci",
    "opam",
    "opkg",
    "otp",
    "pear",
    "pub",
    "pypi",
    "qpkg",
    "rpm",
    "swid",
    "swift",
    "wordpress",
];

/// A package URL in canonical form. Compare packages by its parts, never by the text: tools differ in
/// their qualifiers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Purl {
    /// Type, lower case: `deb`, `npm`, …
    pub kind: String,
    /// Namespace, without leading or trailing slash: distribution, scope, group, vendor.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Version.
    pub version: Option<String>,
    /// Qualifiers, keys lower case; empty values are left out.
    pub qualifiers: BTreeMap<String, String>,
    /// Subpath inside the package.
    pub subpath: Option<String>,
}

/// A text that is no package URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid package url `{text}`: {cause}")]
pub struct InvalidPurl {
    text: String,
    cause: &'static str,
}

impl Purl {
    /// A package URL from raw parts, normalised as the type demands.
    #[must_use]
    pub fn new(kind: &str, namespace: Option<&str>, name: &str, version: Option<&str>) -> Self {
        let segments =
            namespace.map(|text| text.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>());
        let mut purl = Self {
            kind: kind.to_ascii_lowercase(),
            namespace: segments.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/")),
            name: name.trim_matches('/').to_owned(),
            version: version.filter(|text| !text.is_empty()).map(str::to_owned),
            qualifiers: BTreeMap::new(),
            subpath: None,
        };
        purl.normalise();
        purl
    }

    /// The same with one more qualifier; an empty value adds none.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.qualifiers.insert(key.to_ascii_lowercase(), value.to_owned());
        }
        self
    }

    /// Whether `self`, as a policy writes it, names `other`: type, namespace and name are equal, and
    /// so are the version and every qualifier that `self` states.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.namespace == other.namespace
            && self.name == other.name
            && (self.version.is_none() || self.version == other.version)
            && self.qualifiers.iter().all(|(key, value)| other.qualifiers.get(key) == Some(value))
    }

    /// Whether the parts make a package URL that reads back: for parts from outside. What was parsed has
    /// been checked.
    ///
    /// # Errors
    /// A type or qualifier key of other characters than purl-spec permits, no name, or a namespace
    /// where the type has none, or none where it has one.
    pub fn check(&self) -> Result<(), InvalidPurl> {
        self.fault().map_or(Ok(()), |cause| Err(InvalidPurl { text: self.to_string(), cause }))
    }

    fn fault(&self) -> Option<&'static str> {
        let rules = TypeRules::of(&self.kind);
        if !is_word(&self.kind, b".-") {
            return Some("the type is not letters, digits, `.` and `-`");
        }
        if self.name.is_empty() {
            return Some("it has no name");
        }
        if !self.qualifiers.keys().all(|key| is_word(key, b"._-")) {
            return Some("a qualifier's key is not letters, digits, `.`, `_` and `-`");
        }
        match (rules.namespace, &self.namespace) {
            (Namespace::Prohibited, Some(_)) => Some("this type has no namespace"),
            (Namespace::Required, None) => Some("this type has a namespace"),
            (Namespace::Prohibited, None) | (Namespace::Required, Some(_)) | (Namespace::Optional, _) => None,
        }
    }

    /// What is case-insensitive is written in lower case, and Python's and Dart's names in their own form.
    fn normalise(&mut self) {
        let lower = |text: &mut String| *text = text.to_lowercase();
        for part in TypeRules::of(&self.kind).folded {
            match part {
                Part::Namespace => self.namespace.iter_mut().for_each(lower),
                Part::Name => lower(&mut self.name),
                Part::Version => self.version.iter_mut().for_each(lower),
            }
        }
        match self.kind.as_str() {
            "pypi" => self.name = normalise_pypi(&self.name),
            "pub" => self.name = self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
            _ => {}
        }
    }
}

/// What purl-spec's type definitions say of a type, as far as it is general.
struct TypeRules {
    namespace: Namespace,
    folded: &'static [Part],
}

#[derive(Clone, Copy)]
enum Namespace {
    Optional,
    Prohibited,
    Required,
}

enum Part {
    Namespace,
    Name,
    Version,
}

impl TypeRules {
    /// The definitions also demand a namespace of apk, deb, rpm, golang and maven; real packages have none
    /// (no os-release, Go's `stdlib`, a jar that names no group), and so may these.
    fn of(kind: &str) -> Self {
        use Part::{Name, Version};
        let (namespace, folded): (_, &'static [Part]) = match kind {
            "alpm" | "apk" | "bitbucket" | "brew" | "composer" | "deb" | "github" | "hex" | "luarocks" => {
                (Namespace::Optional, &[Part::Namespace, Name])
            }
            "qpkg" | "rpm" | "yocto" => (Namespace::Optional, &[Part::Namespace]),
            "huggingface" => (Namespace::Optional, &[Version]),
            "bitnami" | "chrome-extension" | "otp" | "pub" => (Namespace::Prohibited, &[Name]),
            "oci" | "pypi" => (Namespace::Prohibited, &[Name, Version]),
            "bazel" | "cargo" | "cocoapods" | "conda" | "cran" | "gem" | "hackage" | "julia" | "mlflow"
            | "nuget" | "opam" | "vcpkg" => (Namespace::Prohibited, &[]),
            "vscode-extension" => (Namespace::Required, &[Part::Namespace, Name, Version]),
            "swift" => (Namespace::Required, &[]),
            _ => (Namespace::Optional, &[]),
        };
        Self { namespace, folded }
    }
}

/// Letters, digits and `marks`, a letter in front.
fn is_word(text: &str, marks: &[u8]) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
}

/// PEP 503: lower case, runs of `-`, `_` and `.` are one `-`.
#[must_use]
pub fn normalise_pypi(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        if let Some(namespace) = &self.namespace {
            for part in namespace.split('/').filter(|part| !part.is_empty()) {
                write!(f, "{}/", utf8_percent_encode(part, ENCODED))?;
            }
        }
        write!(f, "{}", utf8_percent_encode(&self.name, ENCODED))?;
        if let Some(version) = &self.version {
            write!(f, "@{}", utf8_percent_encode(version, ENCODED))?;
        }
        for (i, (key, value)) in self.qualifiers.iter().enumerate() {
            let mark = if i == 0 { '?' } else { '&' };
            write!(f, "{mark}{key}={}", utf8_percent_encode(value, ENCODED))?;
        }
        if let Some(subpath) = &self.subpath {
            for (i, part) in subpath.split('/').filter(|part| names_something(part)).enumerate() {
                let mark = if i == 0 { '#' } else { '/' };
                write!(f, "{mark}{}", utf8_percent_encode(part, ENCODED))?;
            }
        }
        Ok(())
    }
}

impl FromStr for Purl {
    type Err = InvalidPurl;

    fn from_str(text: &str) -> Result<Self, InvalidPurl> {
        parse(text).map_err(|cause| InvalidPurl { text: text.to_owned(), cause })
    }
}

/// purl-spec, "How to parse a PURL": from right to left.
fn parse(text: &str) -> Result<Purl, &'static str> {
    let (rest, subpath) = split_last(text, '#');
    let (rest, query) = split_last(rest, '?');
    let rest = match rest.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("pkg") => rest.trim_start_matches('/'),
        Some(_) | None => return Err("it does not begin with `pkg:`"),
    };
    let (kind, rest) = rest.split_once('/').ok_or("it has no name")?;
    let (path, version) = split_version(rest)?;
    let path = path.trim_matches('/');
    let (namespace, name) = path.rsplit_once('/').map_or((None, path), |(left, name)| (Some(left), name));
    let namespace = namespace.map(segments).transpose()?.map(|parts| parts.join("/"));
    let version = version.map(decode).transpose()?;
    let mut purl = Purl::new(kind, namespace.as_deref(), &decode(name)?, version.as_deref());
    purl.qualifiers = qualifiers(query.unwrap_or_default())?;
    let subpath = segments(subpath.unwrap_or_default())?.into_iter().filter(|part| names_something(part));
    purl.subpath = Some(subpath.collect::<Vec<_>>().join("/")).filter(|text| !text.is_empty());
    purl.fault().map_or(Ok(purl), Err)
}

fn split_last(text: &str, mark: char) -> (&str, Option<&str>) {
    text.rsplit_once(mark).map_or((text, None), |(left, right)| (left, Some(right)))
}

/// The last `@` begins the version; but that of an npm scope may stand unencoded, with the name behind it.
fn split_version(rest: &str) -> Result<(&str, Option<&str>), &'static str> {
    match rest.rsplit_once('@') {
        Some((path, version)) if !path.is_empty() && !path.ends_with('/') => Ok((path, Some(version))),
        Some((_, name)) if name.contains('/') => Ok((rest, None)),
        Some(_) => Err("it has no name"),
        None => Ok((rest, None)),
    }
}

fn decode(part: &str) -> Result<String, &'static str> {
    percent_decode_str(part).decode_utf8().map(Cow::into_owned).map_err(|_| "it is not utf-8")
}

/// The decoded segments. An encoded slash would smuggle in a segment that the text does not show.
fn segments(text: &str) -> Result<Vec<String>, &'static str> {
    let parts = text.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| decode(part).and_then(|part| if part.contains('/') { Err(SLASH) } else { Ok(part) }))
        .collect()
}

const SLASH: &str = "a segment has a slash in it";

/// What a segment of a subpath must do; asked after decoding, for `%2E%2E` is a way up as well.
fn names_something(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
}

fn qualifiers(query: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let mut qualifiers = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("a qualifier has no `=`")?;
        // Two values for one key: two readers would believe two things of one package.
        if qualifiers.insert(key.to_ascii_lowercase(), decode(value)?).is_some() {
            return Err("a qualifier stands twice");
        }
    }
    qualifiers.retain(|_, value| !value.is_empty());
    Ok(qualifiers)
}

impl Serialize for Purl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_encoded_in_canonical_order() {
        let purl = Purl::new("deb", Some("debian"), "libssl3", Some("3.0.11+b1"))
            .with("distro", "debian-12")
            .with("arch", "amd64");
        assert_eq!(purl.to_string(), "pkg:deb/debian/libssl3@3.0.11%2Bb1?arch=amd64&distro=debian-12");
        assert_eq!(purl.to_string().parse(), Ok(purl));
    }

    #[test]
    fn scopes_and_python_names_are_normalised() {
        assert_eq!(
            Purl::new("npm", Some("@babel"), "core", Some("7.0.0")).to_string(),
            "pkg:npm/%40babel/core@7.0.0"
        );
        assert_eq!(Purl::new("pypi", None, "Zope._Interface", None).to_string(), "pkg:pypi/zope-interface");
        let scoped: Purl = "pkg:npm/@babel/core@7.0.0".parse().unwrap();
        assert_eq!(scoped.namespace.as_deref(), Some("@babel"));
    }

    #[test]
    fn a_policy_names_a_package_by_the_parts_it_states() {
        let found: Purl = "pkg:deb/debian/libxml2@2.9?arch=amd64&distro=debian-12".parse().unwrap();
        let covers = |text: &str| text.parse::<Purl>().unwrap().covers(&found);
        assert!(covers("pkg:deb/debian/libxml2"));
        assert!(covers("pkg:deb/debian/libxml2@2.9?arch=amd64"));
        assert!(!covers("pkg:deb/debian/libxml2@3"));
        assert!(!covers("pkg:deb/ubuntu/libxml2"));
    }

    #[test]
    fn odd_texts_are_refused() {
        for bad in [
            "",
            "pkg:",
            "pkg:npm",
            "pkg:npm/",
            "npm/foo",
            "pkg:n%20pm/foo",
            "pkg:npm/foo?a",
            "pkg:npm/f?a=1&a=2",
            "pkg:npm/f?a=1&A=2",
            "pkg:npm/f?a=&a=2",
            "pkg:npm/f?%61=1",
            "pkg:npm/f?1a=1",
            "pkg:np+m/f",
            "pkg:1npm/f",
            "pkg%3Anpm/f",
            "pkg:npm/f%ff",
            "pkg:npm/@1.0",
            "pkg:cargo/a/b@1",
            "pkg:pypi/a/b@1",
            "pkg:swift/a@1",
        ] {
            assert!(bad.parse::<Purl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_encoded_slash_makes_no_segment() {
        assert!("pkg:npm/a%2Fb/c".parse::<Purl>().is_err());
        assert!("pkg:npm/c#a%2Fb".parse::<Purl>().is_err());
    }

    #[test]
    fn no_way_up_is_left_in_a_subpath() {
        let purl: Purl = "pkg:golang/a/b#x/./../%2e%2e/%2E//y".parse().unwrap();
        assert_eq!(purl.subpath.as_deref(), Some("x/y"));
        let built = Purl { subpath: Some("../x".to_owned()), ..Purl::new("golang", None, "stdlib", None) };
        assert_eq!(built.to_string(), "pkg:golang/stdlib#x");
    }

    #[test]
    fn parts_from_outside_are_checked() {
        assert!(Purl::new("deb", None, "libc6", None).check().is_ok());
        assert!(Purl::new("golang", None, "stdlib", Some("1.22.0")).check().is_ok());
        for bad in [
            Purl::new("", None, "a", None),
            Purl::new("a:b", None, "a", None),
            Purl::new("npm", None, "/", None),
            Purl::new("gem", Some("a"), "b", None),
            Purl::new("npm", None, "a", None).with("a b", "1"),
        ] {
            assert!(bad.check().is_err(), "{bad}");
        }
    }

    #[test]
    fn slashes_around_parts_do_not_count() {
        assert_eq!(Purl::new("golang", Some("/a//b/"), "/c/", None), "pkg:golang/a/b/c".parse().unwrap());
        assert_eq!(Purl::new("npm", Some("/"), "a", None).namespace, None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            kind in "(npm|deb|golang|maven|generic|rpm|x[a-z0-9.-]{0,3})",
            namespace in proptest::option::of(".{0,8}"),
            name in ".{1,8}",
            version in proptest::option::of(".{0,8}"),
            value in ".{0,8}",
        ) {
            let purl = Purl::new(&kind, namespace.as_deref(), &name, version.as_deref()).with("k", &value);
            prop_assume!(purl.check().is_ok());
            prop_assert_eq!(purl.to_string().parse(), Ok(purl));
        }

        #[test]
        fn no_text_makes_the_parser_panic_and_what_it_reads_is_stable(text in "(pkg:/?[a-z]{0,4}/)?.{0,24}") {
            if let Ok(purl) = text.parse::<Purl>() {
                prop_assert_eq!(purl.to_string().parse(), Ok(purl));
            }
        }
    }
}
