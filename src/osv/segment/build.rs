//! Writing a segment.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::digest::{Algorithm, Digest, Hasher};

use super::super::names::{base, normalise};
use super::super::record::Record;
use super::{FORMAT, MAGIC, Meta, key, table};

/// How many unreadable records are named; the rest is counted.
const NAMED: usize = 20;

/// Gathers the records of one ecosystem.
#[derive(Debug)]
pub struct Builder {
    ecosystem: String,
    records: BTreeMap<String, (Digest, Record)>,
    unreadable: Vec<String>,
}

/// The segment would outgrow its offsets (4 GiB a section).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the advisories are too many for one segment")]
pub struct TooLarge;

impl Builder {
    /// An empty segment of a base ecosystem.
    #[must_use]
    pub fn new(ecosystem: &str) -> Self {
        Self { ecosystem: ecosystem.to_owned(), records: BTreeMap::new(), unreadable: Vec::new() }
    }

    /// Adds what one file of the source says: a record, or why there is none. `name` is the file's, for
    /// the report. Of two records of one id neither is known to be the right one: both are unreadable.
    pub fn add(&mut self, name: &str, digest: Digest, record: Result<Record, String>) {
        match record {
            Ok(record) => match self.records.get(&record.id) {
                Some((known, _)) if *known != digest => {
                    self.unreadable.push(format!("{name}: another record with the id {}", record.id));
                }
                Some(_) => {}
                None => {
                    self.records.insert(record.id.clone(), (digest, record));
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
        let mut body = Body::default();
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut generated: Option<Timestamp> = None;
        for (id, (digest, record)) in &self.records {
            hasher.update(format!("{id}\0{digest}\n").as_bytes());
            let modified = record.modified.as_deref().and_then(|text| text.parse().ok());
            generated = generated.max(modified);
            body.add(&self.ecosystem, record)?;
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
            releases: body.releases,
        };
        let meta = serde_json::to_vec(&meta).map_err(|_| TooLarge)?;
        let sections = [meta, table::write(&body.keys)?, table::write(&body.ids)?, body.postings, body.heads];
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        let mut end = 0u64;
        for section in &sections {
            end += section.len() as u64;
            bytes.extend(end.to_le_bytes());
        }
        bytes.extend(sections.concat());
        Ok(bytes)
    }
}

#[derive(Default)]
struct Body {
    keys: BTreeMap<Vec<u8>, Vec<u32>>,
    ids: BTreeMap<Vec<u8>, Vec<u32>>,
    releases: BTreeMap<String, u64>,
    postings: Vec<u8>,
    heads: Vec<u8>,
}

impl Body {
    fn add(&mut self, ecosystem: &str, record: &Record) -> Result<(), TooLarge> {
        // What was withdrawn matches nothing and lends nothing; it counts for the segment's id alone.
        if record.withdrawn.is_some() {
            return Ok(());
        }
        let head = offset(&self.heads)?;
        push_block(&mut self.heads, &serde_json::to_vec(&record.head()).map_err(|_| TooLarge)?)?;
        self.ids.insert(record.id.clone().into_bytes(), vec![head]);
        for affected in &record.affected {
            // Records about commits alone name no package.
            let Some(package) = &affected.package else { continue };
            if base(&package.ecosystem) != ecosystem {
                continue;
            }
            let name = normalise(&package.ecosystem, &package.name);
            let posting = offset(&self.postings)?;
            self.postings.extend(head.to_le_bytes());
            push_block(&mut self.postings, affected.unreadable.as_deref().unwrap_or_default().as_bytes())?;
            push_block(&mut self.postings, &serde_json::to_vec(affected).map_err(|_| TooLarge)?)?;
            self.keys.entry(key(&package.ecosystem, &name)).or_default().push(posting);
            *self.releases.entry(package.ecosystem.clone()).or_default() += 1;
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
