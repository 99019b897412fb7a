//! Package URLs (purl-spec): `pkg:type/namespace/name@version?qualifiers#subpath`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Serialize, Serializer};

/// Characters that stand as they are in every component: letters, digits, `.`, `-`, `_`, `~` and,
/// as purl-spec rules, the colon.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b':');

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
        let mut purl = Self {
            kind: kind.to_ascii_lowercase(),
            namespace: namespace.filter(|text| !text.is_empty()).map(str::to_owned),
            name: name.to_owned(),
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

    /// purl-spec, PURL-TYPES: what is case-insensitive is written in lower case.
    fn normalise(&mut self) {
        let lower = |text: &mut String| *text = text.to_lowercase();
        match self.kind.as_str() {
            "pypi" => self.name = normalise_pypi(&self.name),
            "apk" | "deb" | "alpm" | "bitbucket" | "composer" | "github" | "hex" => {
                lower(&mut self.name);
                self.namespace.iter_mut().for_each(lower);
            }
            "rpm" => self.namespace.as_mut().map_or((), lower),
            _ => {}
        }
    }
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
            for (i, part) in subpath.split('/').filter(|part| !part.is_empty()).enumerate() {
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
        let invalid = |cause| InvalidPurl { text: text.to_owned(), cause };
        let decode = |part: &str| {
            percent_decode_str(part).decode_utf8().map(|s| s.into_owned()).map_err(|_| invalid("not utf-8"))
        };
        let rest = text.strip_prefix("pkg:").ok_or_else(|| invalid("it does not begin with `pkg:`"))?;
        let rest = rest.trim_start_matches('/');
        let (rest, subpath) = match rest.rsplit_once('#') {
            Some((rest, subpath)) => (rest, Some(subpath)),
            None => (rest, None),
        };
        let (rest, query) = match rest.rsplit_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (kind, rest) = rest.split_once('/').ok_or_else(|| invalid("it has no name"))?;
        let type_char = |b: u8| b.is_ascii_alphanumeric() || b"+.-".contains(&b);
        if kind.is_empty() || !kind.bytes().all(type_char) || kind.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(invalid("the type is not letters, digits, `.`, `+` and `-`"));
        }
        let rest = rest.trim_matches('/');
        // A version has no raw slash, and an npm scope's `@` may stand unencoded at the front.
        let (path, version) = match rest.rsplit_once('@') {
            Some((path, version)) if !path.is_empty() && !version.contains('/') && !path.ends_with('/') => {
                (path, Some(decode(version)?))
            }
            _ => (rest, None),
        };
        let (namespace, name) = match path.rsplit_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, path),
        };
        if name.is_empty() {
            return Err(invalid("it has no name"));
        }
        let namespace = namespace.map(|text| {
            text.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Result<Vec<_>, _>>()
        });
        let namespace = namespace.transpose()?.map(|parts| parts.join("/"));
        let mut purl = Self::new(kind, namespace.as_deref(), &decode(name)?, version.as_deref());
        for pair in query.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| invalid("a qualifier has no `=`"))?;
            let key_char = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            if key.is_empty() || !key.bytes().all(key_char) || key.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(invalid("a qualifier's key is not letters, digits, `.`, `_` and `-`"));
            }
            let key = key.to_ascii_lowercase();
            if purl.qualifiers.contains_key(&key) {
                return Err(invalid("a qualifier stands twice"));
            }
            purl = purl.with(&key, &decode(value)?);
        }
        if let Some(subpath) = subpath {
            let plain = |part: &&str| !matches!(*part, "" | "." | "..");
            let parts = subpath.split('/').filter(plain).map(decode).collect::<Result<Vec<_>, _>>()?;
            purl.subpath = Some(parts.join("/")).filter(|text| !text.is_empty());
        }
        Ok(purl)
    }
}

impl Serialize for Purl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
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
        ] {
            assert!(bad.parse::<Purl>().is_err(), "{bad}");
        }
    }
}
