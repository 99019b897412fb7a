//! `snapshot.json`: what an installed snapshot consists of. ARCHITECTURE.md describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::digest::{Algorithm, Digest, Hasher};

/// The schema of `snapshot.json`.
pub const SCHEMA: &str = "portcullis.dev/snapshot/v1";

/// What every version of the schema begins with.
const FAMILY: &str = "portcullis.dev/snapshot/v";

/// Bytes of a `snapshot.json`: 4 MiB; fifty ecosystems take 40 KiB.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;

/// Ecosystems of a snapshot: 1,000. OSV has some forty.
pub const MAX_ECOSYSTEMS: usize = 1000;

/// The parts of a snapshot, by base ecosystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// What is there of each base ecosystem.
    pub ecosystems: BTreeMap<String, Part>,
}

/// What a snapshot has of one ecosystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Name of the segment's file.
    pub file: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Digest over the records: the same for the same records, whatever the layout.
    pub id: Digest,
    /// How many records there are.
    pub records: u64,
    /// How many records could not be read.
    pub unreadable: u64,
    /// The newest `modified` of the records. None where none states one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Where it is from and when. None in what is pushed to a registry: that is the same wherever it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What the file looked like when its digest was last found right. While it still does, its bytes are not
    /// read again. None in what is pushed to a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
}

/// Where a part of a snapshot is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// URL of the bucket, a directory, a file, or a reference in a registry.
    pub source: String,
    /// When it was last compared with its source.
    pub checked: Timestamp,
    /// `ETag` of the source's archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `ETag` of the source's list. None where that list is to be read again in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_etag: Option<String>,
}

impl Part {
    /// Why this part cannot be the next one after another: fewer than half of its files, or an end that is earlier.
    /// None where it can. A lowercase fragment without a subject.
    #[must_use]
    pub fn goes_back(&self, old: &Self) -> Option<String> {
        // What cannot be read counts: it makes the ecosystem unknown, and hides nothing.
        let files = |part: &Self| part.records.saturating_add(part.unreadable);
        if files(self).saturating_mul(2) < files(old) {
            return Some(format!("has {} records, the installed one has {}", files(self), files(old)));
        }
        // The newest record may itself have become one that cannot be read.
        if self.newest < old.newest && self.unreadable <= old.unreadable {
            let time = |time: Option<Timestamp>| time.map_or("no time".to_owned(), |time| time.to_string());
            return Some(format!("ends at {}, the installed one at {}", time(self.newest), time(old.newest)));
        }
        None
    }
}

/// Why bytes are no snapshot document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is of a newer schema.
    #[error("is of a newer format (`{0}`) than this portcullis reads: update portcullis")]
    Newer(String),
    /// It is none, or only a part of one.
    #[error("{0}")]
    Invalid(String),
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { schema: SCHEMA.to_owned(), ecosystems: BTreeMap::new() }
    }
}

impl Snapshot {
    /// Reads a document, and checks what a path or a number is made of.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Schema {
            schema: String,
        }
        let invalid = |cause: String| DocumentError::Invalid(cause);
        let schema: Schema = serde_json::from_slice(bytes)
            .map_err(|error| invalid(format!("is cut short, or no snapshot document: {error}")))?;
        if schema.schema != SCHEMA {
            return Err(match schema.schema.strip_prefix(FAMILY).map(str::parse::<u32>) {
                Some(Ok(version)) if version > 1 => DocumentError::Newer(schema.schema),
                Some(_) | None => invalid(format!("its schema is not `{SCHEMA}`")),
            });
        }
        let snapshot: Self =
            serde_json::from_slice(bytes).map_err(|error| invalid(format!("is damaged: {error}")))?;
        if snapshot.ecosystems.len() > MAX_ECOSYSTEMS {
            return Err(invalid(format!("has more than the limit of {MAX_ECOSYSTEMS} ecosystems")));
        }
        for (ecosystem, part) in &snapshot.ecosystems {
            check_name(ecosystem).map_err(invalid)?;
            // Attack: a name that leads out of the directory, or to the segment of another ecosystem.
            if part.file != file_name(ecosystem, &part.digest) {
                return Err(invalid(format!("the file of {ecosystem} is not named after its digest")));
            }
        }
        Ok(snapshot)
    }

    /// The document as bytes: the same for the same parts.
    ///
    /// # Errors
    /// None for what [`Snapshot::parse`] gives; what the serialiser says.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Digest over the ids of all parts.
    #[must_use]
    pub fn id(&self) -> Digest {
        id_of(self.ecosystems.iter().map(|(ecosystem, part)| (ecosystem.as_str(), &part.id)))
    }

    /// The same without what belongs to this machine: what is pushed to a registry.
    #[must_use]
    pub fn portable(&self) -> Self {
        let mut portable = self.clone();
        for part in portable.ecosystems.values_mut() {
            part.origin = None;
            part.stamp = None;
        }
        portable
    }
}

/// Digest over the ids of segments, given in the order of their ecosystems: the lines `ECOSYSTEM NUL ID`.
#[must_use]
pub fn id_of<'a>(segments: impl IntoIterator<Item = (&'a str, &'a Digest)>) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for (ecosystem, id) in segments {
        hasher.update(format!("{ecosystem}\0{id}\n").as_bytes());
    }
    hasher.finish()
}

/// The file of a segment: what is in it decides how it is called, so that no two versions share a name.
pub(super) fn file_name(ecosystem: &str, digest: &Digest) -> String {
    format!("{ecosystem}-{}.segment", digest.hex())
}

/// Refuses a name that is no base ecosystem: it becomes a part of paths and URLs.
///
/// # Errors
/// Why: a lowercase fragment.
pub(super) fn check_name(ecosystem: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'.' | b'-' | b'_' | b'+');
    let first = ecosystem.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let last = ecosystem.bytes().next_back().is_some_and(|b| b != b' ');
    if first && last && ecosystem.len() <= 64 && ecosystem.bytes().all(allowed) {
        return Ok(());
    }
    let name: String = ecosystem.chars().take(64).collect();
    Err(format!(
        "`{}` is no name of an ecosystem (without release, such as `Debian`)",
        crate::model::path::escape(name.as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let digest = Digest::sha256(b"segment");
        let part = Part {
            file: file_name("npm", &digest),
            digest: digest.clone(),
            size: 7,
            id: digest,
            records: 1,
            unreadable: 0,
            newest: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            origin: Some(Origin {
                source: "https://example".into(),
                checked: "2026-01-02T00:00:00Z".parse().unwrap(),
                etag: Some("\"1\"".into()),
                list_etag: None,
            }),
            stamp: Some("1".into()),
        };
        Snapshot { ecosystems: [("npm".to_owned(), part)].into(), ..Snapshot::default() }
    }

    #[test]
    fn a_document_is_read_back_as_it_was() {
        let bytes = snapshot().to_bytes().unwrap();
        assert_eq!(Snapshot::parse(&bytes), Ok(snapshot()));
        let portable = String::from_utf8(snapshot().portable().to_bytes().unwrap()).unwrap();
        assert!(!portable.contains("2026-01-02") && !portable.contains("stamp"), "{portable}");
        assert_eq!(Snapshot::parse(portable.as_bytes()).unwrap().id(), snapshot().id());
    }

    #[test]
    fn a_part_goes_back_where_it_shrinks_or_ends_earlier() {
        let of = |records: u64, unreadable: u64, newest: Option<&str>| Part {
            records,
            unreadable,
            newest: newest.map(|text| text.parse().unwrap()),
            ..snapshot().ecosystems["npm"].clone()
        };
        let (early, late) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-01T00:00:01Z"));
        let old = of(100, 0, late);
        for (new, back) in [
            (of(100, 0, late), false),
            (of(50, 0, late), false),
            (of(49, 0, late), true),
            (of(0, 0, None), true),
            (of(100, 0, early), true),
            (of(100, 0, None), true),
            (of(0, 50, None), false),
            (of(99, 1, early), false),
        ] {
            assert_eq!(new.goes_back(&old).is_some(), back, "{new:?}");
        }
        let told = of(1, 0, early).goes_back(&old).unwrap();
        assert_eq!(told, "has 1 records, the installed one has 100");
        assert!(of(99, 0, early).goes_back(&old).unwrap().contains("2026-01-01T00:00:00Z, the installed"));
        assert_eq!(of(1, 0, early).goes_back(&of(0, 0, None)), None);
    }

    #[test]
    fn every_cut_is_told() {
        let bytes = snapshot().to_bytes().unwrap();
        for end in 0..bytes.len() - 2 {
            assert!(matches!(Snapshot::parse(&bytes[..end]), Err(DocumentError::Invalid(_))), "{end}");
        }
    }

    #[test]
    fn a_newer_schema_is_told_apart_from_none() {
        let told = |text: &str| Snapshot::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(told(r#"{"schema":"portcullis.dev/snapshot/v2","x":1}"#).contains("update portcullis"));
        for text in [r#"{"schema":"portcullis.dev/verdict/v1"}"#, "{}", "[]", r#"{"schema":1}"#] {
            assert!(!told(text).contains("update portcullis"), "{text}");
        }
    }

    #[test]
    fn a_file_leads_nowhere_else() {
        let text = String::from_utf8(snapshot().to_bytes().unwrap()).unwrap();
        for (from, to) in [("npm-", "../npm-"), ("npm-", "PyPI-"), ("\"npm\"", "\"../npm\"")] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            assert!(matches!(Snapshot::parse(other.as_bytes()), Err(DocumentError::Invalid(_))), "{other}");
        }
    }

    #[test]
    fn names_of_ecosystems_are_words() {
        for name in ["npm", "Rocky Linux", "crates.io", "OSS-Fuzz", "GitHub Actions"] {
            assert_eq!(check_name(name), Ok(()));
        }
        let long = "x".repeat(65);
        for name in ["", ".", "..", "a/b", "a\\b", "a\0", "Debian:12", " npm", "npm ", "é", long.as_str()] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
