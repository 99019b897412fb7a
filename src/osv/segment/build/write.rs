//! From what a builder has gathered to the bytes of a segment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Builder, Entry, NAMED, NotBuilt};
use crate::model::digest::Digest;
use crate::osv::segment::records::{self, Row};
use crate::osv::segment::table::{self, Hash};
use crate::osv::segment::wire::{put_block, put_count, put_varint, short, size};
use crate::osv::segment::{FORMAT, MAGIC, Meta, texts};

/// In place of a row, for a record that was replaced or removed.
const GONE: u32 = u32::MAX;

/// What the list of records gives.
struct Records {
    /// Number of each slot's row.
    rows: Vec<u32>,
    sections: records::Writer,
    ids: Vec<u8>,
    texts: Vec<u8>,
    id: Digest,
    generated: Option<Timestamp>,
}

/// What the entries give.
struct Postings {
    strings: Vec<u8>,
    keys: Vec<u8>,
    postings: Vec<u8>,
    releases: BTreeMap<String, u64>,
}

impl Builder<'_> {
    /// The bytes of the segment. The order in which records were added does not matter.
    ///
    /// # Errors
    /// [`NotBuilt`].
    pub fn finish(self) -> Result<Vec<u8>, NotBuilt> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let records = self.records()?;
        let postings = self.postings(&records.rows)?;
        let (mut unreadable, mut names, mut count) = (Vec::new(), Vec::new(), 0);
        for (name, cause) in self.unreadable.iter().flat_map(|(name, all)| all.iter().map(move |c| (name, c)))
        {
            put_block(&mut unreadable, name.as_bytes())?;
            put_block(&mut unreadable, cause.as_bytes())?;
            count += 1;
            if names.len() < NAMED {
                names.push(format!("{name}: {cause}"));
            }
        }
        let meta = Meta {
            ecosystem: self.ecosystem,
            id: records.id.to_string(),
            records: self.records.len() as u64,
            generated: records.generated.map(|time| time.to_string()),
            unreadable: count,
            unreadable_names: names,
            releases: postings.releases,
        };
        let meta = serde_json::to_vec(&meta).map_err(|_| NotBuilt::TooLarge)?;
        Ok(join(&[
            &meta,
            &unreadable,
            &postings.strings,
            &postings.keys,
            &postings.postings,
            &records.ids,
            &records.sections.rows,
            &records.sections.heads,
            &records.texts,
        ]))
    }

    fn records(&self) -> Result<Records, NotBuilt> {
        let mut rows = vec![GONE; self.slots.len()];
        let mut sections = records::Writer::default();
        let mut texts = texts::Writer::new(self.texts);
        let (mut ids, mut hasher) = (Vec::with_capacity(self.records.len()), Sha256::new());
        let mut generated = None;
        for (number, (id, slot_number)) in (0u32..).zip(&self.records) {
            let slot = self.slots.get(size(*slot_number)).ok_or(NotBuilt::Inconsistent)?;
            *rows.get_mut(size(*slot_number)).ok_or(NotBuilt::Inconsistent)? = number;
            hasher.update(id.as_bytes());
            hasher.update(b"\0");
            hasher.update(spelled(&slot.digest));
            generated = generated.max(slot.modified);
            ids.push((Hash::of(&[id.as_bytes()]), number));
            sections.add(&Row {
                withdrawn: slot.head.is_none(),
                body: slot.head.as_deref().unwrap_or_default(),
                text: slot.text.as_ref().map(|text| texts.add(id, text)).transpose()?,
                ..Row::new(id, slot.digest, slot.modified)
            })?;
        }
        Ok(Records {
            rows,
            sections,
            ids: table::write(&ids)?,
            texts: texts.finish()?,
            id: Digest::from_sha256(&hasher.finalize().into()),
            generated,
        })
    }

    fn postings(&self, rows: &[u32]) -> Result<Postings, NotBuilt> {
        // By key and record. An entry's place among those of its record is its place here. What comes from
        // a segment is in this order already, which a stable sort makes use of.
        let mut names: Vec<(&str, u32)> =
            (0u32..).zip(self.keys.texts()).map(|(key, name)| (name, key)).collect();
        names.sort();
        let mut ranks = vec![0u32; names.len()];
        for (rank, (_, key)) in (0u32..).zip(&names) {
            *ranks.get_mut(size(*key)).ok_or(NotBuilt::Inconsistent)? = rank;
        }
        let mut order: Vec<(u32, u32, usize)> = Vec::with_capacity(self.entries.len());
        for (at, entry) in self.entries.iter().enumerate() {
            let row = rows.get(size(entry.slot)).copied().ok_or(NotBuilt::Inconsistent)?;
            let rank = ranks.get(size(entry.key)).copied().ok_or(NotBuilt::Inconsistent)?;
            if row != GONE {
                order.push((rank, row, at));
            }
        }
        order.sort();
        let mut uses = vec![0u32; self.strings.len()];
        for (_, _, at) in &order {
            let entry = self.entries.get(*at).ok_or(NotBuilt::Inconsistent)?;
            for number in self.numbers_of(entry)? {
                let uses = uses.get_mut(size(*number)).ok_or(NotBuilt::Inconsistent)?;
                *uses = uses.saturating_add(1);
            }
        }
        let (strings, renumbered) = self.strings.write(&uses)?;
        let (mut keys, mut postings) = (Vec::new(), Vec::new());
        let mut releases = BTreeMap::<String, u64>::new();
        let (mut body, mut numbers) = (Vec::new(), Vec::new());
        for group in order.chunk_by(|(one, ..), (other, ..)| one == other) {
            let (rank, ..) = *group.first().ok_or(NotBuilt::Inconsistent)?;
            let (key, _) = *names.get(size(rank)).ok_or(NotBuilt::Inconsistent)?;
            keys.push((Hash::of(&[key.as_bytes()]), short(postings.len())?));
            put_block(&mut postings, key.as_bytes())?;
            put_count(&mut postings, group.len())?;
            for (_, row, at) in group {
                let entry = self.entries.get(*at).ok_or(NotBuilt::Inconsistent)?;
                body.clear();
                numbers.clear();
                for number in self.numbers_of(entry)? {
                    let number = renumbered.get(size(*number)).ok_or(NotBuilt::Inconsistent)?;
                    put_varint(&mut numbers, *number);
                }
                put_varint(&mut body, *row);
                put_block(&mut body, &numbers)?;
                body.extend_from_slice(&entry.shape);
                put_block(&mut postings, &body)?;
            }
            let ecosystem = key.split_once('\0').map_or(key, |(ecosystem, _)| ecosystem);
            match releases.get_mut(ecosystem) {
                Some(count) => *count += group.len() as u64,
                None => drop(releases.insert(ecosystem.to_owned(), group.len() as u64)),
            }
        }
        Ok(Postings { strings, keys: table::write(&keys)?, postings, releases })
    }

    fn numbers_of(&self, entry: &Entry<'_>) -> Result<&[u32], NotBuilt> {
        self.numbers.get(entry.numbers.clone()).ok_or(NotBuilt::Inconsistent)
    }
}

/// A line's end as the segment's id hashes it: `sha256:…` and a newline.
fn spelled(digest: &[u8; 32]) -> [u8; 72] {
    let mut line = [b'\n'; 72];
    let digit = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or_default();
    let digits = digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    for (place, digit) in line.iter_mut().zip(b"sha256:".iter().copied().chain(digits)) {
        *place = digit;
    }
    line
}

/// The header, and the sections one after another.
fn join(sections: &[&[u8]]) -> Vec<u8> {
    let length: usize = sections.iter().map(|section| section.len() + 8).sum();
    let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + length);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    let mut end = 0u64;
    for section in sections {
        end += section.len() as u64;
        bytes.extend(end.to_le_bytes());
    }
    for section in sections {
        bytes.extend_from_slice(section);
    }
    bytes
}
