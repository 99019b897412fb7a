//! Writing a segment.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::path::escape;

use super::{FORMAT, MAGIC, Meta, key, table};
use crate::osv::names::{base, normalise};
use crate::osv::record::{AffectedPackage, Record};

/// How many unreadable records are named; the rest is counted.
const NAMED: usize = 20;

/// Gathers the records of one ecosystem.
#[derive(Debug)]
pub struct Builder {
    ecosystem: String,
    records: BTreeMap<String, Compiled>,
    unreadable: Vec<String>,
}

/// One record, read and ready to be written. Made apart from the builder, so that many threads can.
#[derive(Debug)]
pub struct Compiled {
    id: String,
    digest: Digest,
    modified: Option<Timestamp>,
    /// None where the record was withdrawn.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    head: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    ecosystem: String,
    key: Vec<u8>,
    unreadable: Vec<u8>,
    affected: Vec<u8>,
}

/// The segment would outgrow its offsets (4 GiB a section).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the advisories are too many for one segment")]
pub struct TooLarge;

impl Compiled {
    /// Reads a record and takes what a segment of the base ecosystem has of it.
    ///
    /// # Errors
    /// Why it is no record.
    pub fn read(ecosystem: &str, bytes: &[u8]) -> Result<Self, String> {
        let record = Record::parse(bytes)?;
        // What was withdrawn matches nothing and lends nothing; it counts for the segment's id alone. A
        // withdrawal without a date would take an advisory away on nobody's word.
        let body = match record.withdrawn.as_deref().map(str::parse::<Timestamp>) {
            None => Some(Body::of(ecosystem, &record)?),
            Some(Ok(_)) => None,
            Some(Err(_)) => return Err("its `withdrawn` is no date".into()),
        };
        Ok(Self {
            digest: Digest::sha256(bytes),
            modified: record.modified.as_deref().and_then(|text| text.parse().ok()),
            id: record.id,
            body,
        })
    }
}

impl Body {
    fn of(ecosystem: &str, record: &Record) -> Result<Self, String> {
        let failed = |error: serde_json::Error| error.to_string();
        let mut entries = Vec::new();
        for affected in &record.affected {
            // Records about commits alone name no package.
            let Some(package) = &affected.package else { continue };
            check_names(ecosystem, package)?;
            if base(&package.ecosystem) != ecosystem {
                continue;
            }
            entries.push(Entry {
                ecosystem: package.ecosystem.clone(),
                key: key(&package.ecosystem, &normalise(&package.ecosystem, &package.name)),
                unreadable: affected.unreadable.clone().unwrap_or_default().into_bytes(),
                affected: serde_json::to_vec(affected).map_err(failed)?,
            });
        }
        Ok(Self { head: serde_json::to_vec(&record.head()).map_err(failed)?, entries })
    }
}

/// Refuses an entry that is meant for this ecosystem and could never be found: one that nobody looks up
/// would take its advisory away in silence.
fn check_names(ecosystem: &str, package: &AffectedPackage) -> Result<(), String> {
    let stated = package.ecosystem.as_str();
    if stated.is_empty() || package.name.is_empty() || package.name.trim() != package.name {
        return Err("an entry names no ecosystem or no package".into());
    }
    let (base, release) = (base(stated), stated.split_once(':').map(|(_, release)| release));
    let meant = base.trim().eq_ignore_ascii_case(ecosystem);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let known = match (ecosystem, release) {
        ("Debian", Some(release)) => number(release) || matches!(release, "sid" | "unstable"),
        ("Alpine", Some(release)) => release == "edge" || release.strip_prefix('v').is_some_and(number),
        ("Debian" | "Alpine" | "Ubuntu", None) => false,
        (_, release) => release.is_none_or(|release| release.trim() == release),
    };
    if meant && (base != ecosystem || !known) {
        return Err(format!(
            "an entry is for `{}`, which is no release of {ecosystem}",
            escape(stated.as_bytes())
        ));
    }
    Ok(())
}

impl Builder {
    /// An empty segment of a base ecosystem.
    #[must_use]
    pub fn new(ecosystem: &str) -> Self {
        Self { ecosystem: ecosystem.to_owned(), records: BTreeMap::new(), unreadable: Vec::new() }
    }

    /// Adds what one file of the source says: a record, or why there is none. `name` is the file's, for
    /// the report. Of two records of one id neither is known to be the right one: that is unreadable.
    pub fn add(&mut self, name: &str, record: Result<Compiled, String>) {
        match record {
            Ok(record) => match self.records.get(&record.id) {
                Some(known) if known.digest != record.digest => {
                    self.unreadable.push(format!("{name}: another record with the id {}", record.id));
                }
                Some(_) => {}
                None => {
                    self.records.insert(record.id.clone(), record);
                }
            },
            Err(cause) => self.unreadable.push(format!("{name}: {cause}")),
        }
    }

    /// The bytes of the segment. The order in which records were added does not matter.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn finish(self) -> Result<Vec<u8>, TooLarge> {
        let mut sections = Sections::default();
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut generated: Option<Timestamp> = None;
        for (id, record) in &self.records {
            hasher.update(format!("{id}\0{}\n", record.digest).as_bytes());
            generated = generated.max(record.modified);
            if let Some(body) = &record.body {
                sections.add(id, body)?;
            }
        }
        let mut unreadable = self.unreadable;
        unreadable.sort();
        let meta = Meta {
            ecosystem: self.ecosystem,
            id: hasher.finish().to_string(),
            records: self.records.len() as u64,
            generated: generated.map(|time| time.to_string()),
            unreadable: unreadable.len() as u64,
            unreadable_names: unreadable.into_iter().take(NAMED).collect(),
            releases: sections.releases,
        };
        let meta = serde_json::to_vec(&meta).map_err(|_| TooLarge)?;
        let (keys, ids) = (table::write(&sections.keys)?, table::write(&sections.ids)?);
        let sections = [meta, keys, ids, sections.postings, sections.heads];
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        let mut end = 0u64;
        for section in &sections {
            end += section.len() as u64;
            bytes.extend(end.to_le_bytes());
        }
        for section in &sections {
            bytes.extend_from_slice(section);
        }
        Ok(bytes)
    }
}

#[derive(Default)]
struct Sections {
    keys: BTreeMap<Vec<u8>, Vec<u32>>,
    ids: BTreeMap<Vec<u8>, Vec<u32>>,
    releases: BTreeMap<String, u64>,
    postings: Vec<u8>,
    heads: Vec<u8>,
}

impl Sections {
    fn add(&mut self, id: &str, body: &Body) -> Result<(), TooLarge> {
        let head = offset(&self.heads)?;
        push_block(&mut self.heads, &body.head)?;
        self.ids.insert(id.as_bytes().to_vec(), vec![head]);
        for entry in &body.entries {
            let posting = offset(&self.postings)?;
            self.postings.extend(head.to_le_bytes());
            push_block(&mut self.postings, &entry.unreadable)?;
            push_block(&mut self.postings, &entry.affected)?;
            self.keys.entry(entry.key.clone()).or_default().push(posting);
            *self.releases.entry(entry.ecosystem.clone()).or_default() += 1;
        }
        Ok(())
    }
}

fn offset(section: &[u8]) -> Result<u32, TooLarge> {
    u32::try_from(section.len()).map_err(|_| TooLarge)
}

fn push_block(section: &mut Vec<u8>, block: &[u8]) -> Result<(), TooLarge> {
    section.extend(u32::try_from(block.len()).map_err(|_| TooLarge)?.to_le_bytes());
    section.extend(block);
    Ok(())
}
