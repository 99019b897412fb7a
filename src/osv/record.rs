//! OSV records as matching and display need them (osv-schema 1.7). Lenient where the schema's sources
//! are: unknown fields are ignored, absent and null lists are empty, dates are text.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use smol_str::SmolStr;

/// Values of one record: 400,000. The largest real ones have some thousands.
const MAX_VALUES: usize = 400_000;

/// One advisory.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Record {
    /// Id, such as `GHSA-…`.
    pub id: SmolStr,
    /// When it was last changed, RFC 3339.
    #[serde(default)]
    pub modified: Option<SmolStr>,
    /// When it was published.
    #[serde(default)]
    pub published: Option<SmolStr>,
    /// When it was withdrawn: it then matches nothing.
    #[serde(default)]
    pub withdrawn: Option<SmolStr>,
    /// Other ids of the same vulnerability.
    #[serde(default, deserialize_with = "or_empty")]
    pub aliases: Vec<SmolStr>,
    /// Ids of the vulnerabilities that a distribution's record is about.
    #[serde(default, deserialize_with = "or_empty")]
    pub upstream: Vec<SmolStr>,
    /// Ids that have to do with it.
    #[serde(default, deserialize_with = "or_empty")]
    pub related: Vec<SmolStr>,
    /// One line.
    #[serde(default)]
    pub summary: Option<SmolStr>,
    /// The long text, Markdown. For people alone: one that is no text is none, and the record is sound.
    #[serde(default, deserialize_with = "lenient")]
    pub details: Option<String>,
    /// Where to read more; lenient like `details`.
    #[serde(default, deserialize_with = "lenient")]
    pub references: Vec<Reference>,
    /// Scores.
    #[serde(default, deserialize_with = "or_empty")]
    pub severity: Vec<Score>,
    /// What it affects.
    #[serde(default, deserialize_with = "affected_entries")]
    pub affected: Vec<Affected>,
    /// The source's own fields.
    #[serde(default)]
    pub database_specific: Option<DatabaseSpecific>,
}

/// Where to read more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Reference {
    /// `ADVISORY`, `FIX`, `WEB`, …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The address.
    #[serde(default)]
    pub url: String,
}

/// A score: a CVSS vector, or a word for the type `Ubuntu`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// `CVSS_V2`, `CVSS_V3`, `CVSS_V4`, `Ubuntu`.
    #[serde(rename = "type", default)]
    pub kind: SmolStr,
    /// The vector or word.
    #[serde(default)]
    pub score: SmolStr,
}

/// One package and the versions of it that are affected.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Affected {
    /// The package; records about commits alone have none.
    #[serde(default)]
    pub package: Option<AffectedPackage>,
    /// Ranges, joined by "or".
    #[serde(default, deserialize_with = "or_empty", skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
    /// Single versions.
    #[serde(default, deserialize_with = "or_empty", skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<SmolStr>,
    /// Scores of this package; they go before the record's.
    #[serde(default, deserialize_with = "or_empty", skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<Score>,
    /// The ecosystem's own fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecosystem_specific: Option<EcosystemSpecific>,
    /// Why the rest of the entry could not be read: it may affect any version of the package. Set by
    /// [`Record::parse`], never read from a record.
    #[serde(skip)]
    pub unreadable: Option<String>,
}

/// Ecosystem and name of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AffectedPackage {
    /// Ecosystem with its release, such as `Debian:11`.
    #[serde(default)]
    pub ecosystem: SmolStr,
    /// Name.
    #[serde(default)]
    pub name: SmolStr,
}

/// A range of versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Range {
    /// `ECOSYSTEM`, `SEMVER` or `GIT`.
    #[serde(rename = "type", default)]
    pub kind: SmolStr,
    /// What happens at which version.
    #[serde(default, deserialize_with = "or_empty")]
    pub events: Vec<Event>,
}

/// One event: exactly one of the fields is set in a sound record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Event {
    /// First affected version; `0` is before all versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduced: Option<SmolStr>,
    /// First version that is not affected any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<SmolStr>,
    /// Last affected version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_affected: Option<SmolStr>,
    /// Upper bound of what the range speaks of; `*` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<SmolStr>,
}

/// Fields that some sources add to a record.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct DatabaseSpecific {
    /// GHSA: `LOW`, `MODERATE`, `HIGH`, `CRITICAL`. Other sources put other things there.
    #[serde(default)]
    pub severity: Option<serde_json::Value>,
}

/// Fields that some ecosystems add to a package.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EcosystemSpecific {
    /// Debian: `unimportant`, `low`, `medium`, `high`, `end-of-life`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urgency: Option<serde_json::Value>,
    /// Some sources state a severity word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<serde_json::Value>,
    /// Ubuntu: for whom the fix is, such as `No subscription required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<serde_json::Value>,
    /// Ubuntu and SUSE: the binary packages that are affected.
    #[serde(default, deserialize_with = "lenient_binaries", skip_serializing_if = "Vec::is_empty")]
    pub binaries: Vec<Binary>,
}

/// A binary package of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Binary {
    /// Its name.
    pub binary_name: SmolStr,
}

/// The part of a record that does not depend on the package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// Id.
    pub id: SmolStr,
    /// Other ids of the same vulnerability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<SmolStr>,
    /// Ids of the vulnerabilities that a distribution's record is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<SmolStr>,
    /// Ids that have to do with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<SmolStr>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<SmolStr>,
    /// When it was published, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<SmolStr>,
    /// Scores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<Score>,
    /// `database_specific.severity`, where it is a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_severity: Option<SmolStr>,
}

impl Record {
    /// Reads one record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        // Attack: five million empty values in a record of 16 MiB, each a hundred bytes once it is read. Between any
        // two values there is a comma.
        if bytes.iter().filter(|byte| **byte == b',').count() > MAX_VALUES {
            return Err(format!("it has more than the limit of {MAX_VALUES} values"));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if record.id.is_empty() { Err("it has no id".into()) } else { Ok(record) }
    }

    /// The part that does not depend on the package.
    #[must_use]
    pub fn head(&self) -> Head {
        let database = self.database_specific.as_ref().and_then(|fields| fields.severity.as_ref());
        Head {
            id: self.id.clone(),
            aliases: self.aliases.clone(),
            upstream: self.upstream.clone(),
            related: self.related.clone(),
            summary: self.summary.clone(),
            published: self.published.clone(),
            severity: self.severity.clone(),
            database_severity: database.and_then(|value| value.as_str()).map(SmolStr::from),
        }
    }
}

fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A field that decides nothing: where it is something else it is as good as absent.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// Reads the entries one by one: one that is malformed behind its package must not hide the others, nor
/// make the package look unaffected.
fn affected_entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Affected>, D::Error> {
    #[derive(Deserialize)]
    struct Salvage {
        package: Option<AffectedPackage>,
    }
    let entries: Option<Vec<&RawValue>> = Option::deserialize(deserializer)?;
    let read = |raw: &RawValue| {
        serde_json::from_str(raw.get()).or_else(|error| {
            let salvaged: Salvage = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
            let unreadable = Some(error.to_string());
            Ok(Affected { package: salvaged.package, unreadable, ..Affected::default() })
        })
    };
    entries.unwrap_or_default().into_iter().map(read).collect()
}

/// Ubuntu lists `{"binary_name": …, "binary_version": …}`, SUSE maps from names to versions; other ecosystems use
/// the name `binaries` for other things. A list of which one element is neither narrows nothing.
fn lenient_binaries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Binary>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Listed {
        Ubuntu(Binary),
        Suse(BTreeMap<String, String>),
    }
    let value = serde_json::Value::deserialize(deserializer)?;
    let listed: Vec<Listed> = serde_json::from_value(value).unwrap_or_default();
    let names = listed.into_iter().flat_map(|listed| match listed {
        Listed::Ubuntu(binary) => vec![binary],
        Listed::Suse(names) => names.into_keys().map(|name| Binary { binary_name: name.into() }).collect(),
    });
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_null_lists_and_unknown_fields_is_read() {
        let text = br#"{"id":"X-1","aliases":null,"affected":[{"package":{"ecosystem":"Root:npm","name":"a"},
            "ranges":[{"type":"SEMVER","events":[{"introduced":"0"}],"repo":"x"}],"versions":null}],"more":1}"#;
        let record = Record::parse(text).unwrap();
        assert_eq!(record.affected[0].ranges[0].events[0].introduced.as_deref(), Some("0"));
    }

    #[test]
    fn an_entry_that_is_malformed_behind_its_package_is_kept_as_unreadable() {
        let text = br#"{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":7},
            {"package":{"ecosystem":"npm","name":"b"},"versions":["1"]}]}"#;
        let record = Record::parse(text).unwrap();
        assert_eq!(record.affected[0].package.as_ref().unwrap().name, "a");
        assert!(record.affected[0].unreadable.is_some());
        assert_eq!(record.affected[1].versions, ["1"]);
        assert!(Record::parse(br#"{"id":"X-1","affected":[{"package":"a"}]}"#).is_err());
    }

    #[test]
    fn what_only_people_read_makes_no_record_unreadable() {
        let sound = br#"{"id":"X","details":"d\u00e9","references":[{"type":"WEB","url":"u"}]}"#;
        let record = Record::parse(sound).unwrap();
        assert_eq!(record.details.as_deref(), Some("d\u{e9}"));
        assert_eq!(record.references, [Reference { kind: "WEB".into(), url: "u".into() }]);
        let odd = Record::parse(br#"{"id":"X","details":7,"references":"u"}"#).unwrap();
        assert_eq!((odd.details, odd.references), (None, Vec::new()));
    }

    #[test]
    fn a_record_without_an_id_is_refused() {
        assert!(Record::parse(b"{}").is_err());
        assert!(Record::parse(br#"{"id":""}"#).is_err());
    }

    #[test]
    fn a_severity_that_is_no_word_is_not_taken_for_one() {
        let record = Record::parse(br#"{"id":"X","database_specific":{"severity":[{"x":1}]}}"#).unwrap();
        assert_eq!(record.head().database_severity, None);
    }
}
