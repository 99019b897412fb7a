//! How heads, entries and display texts are written and read.
//!
//! An entry is its strings, in the order in which they are met, and its shape, which is everything else:
//! so a delta gives strings other numbers without looking at shapes. Fields are read in the order in which
//! they are written here.

use smol_str::SmolStr;

use super::build::NotBuilt;
use super::strings::{Joined, Strings};
use super::wire::{Cursor, put_block, put_count};
use super::{Damaged, Display};
use crate::osv::record::{
    Affected, AffectedPackage, Binary, EcosystemSpecific, Event, Head, Range, Reference, Score,
};

/// First byte of an entry's shape: what there is.
mod has {
    pub(super) const OTHER_NAME: u8 = 1;
    pub(super) const UNREADABLE: u8 = 2;
    pub(super) const RANGES: u8 = 4;
    pub(super) const VERSIONS: u8 = 8;
    pub(super) const SEVERITY: u8 = 16;
    pub(super) const SPECIFIC: u8 = 32;
}

/// A byte before each event: which fields there are.
mod event {
    /// `introduced` is `0`, and no string.
    pub(super) const FROM_START: u8 = 1;
    pub(super) const INTRODUCED: u8 = 2;
    pub(super) const FIXED: u8 = 4;
    pub(super) const LAST_AFFECTED: u8 = 8;
    pub(super) const LIMIT: u8 = 16;
}

/// A byte before the ecosystem's own fields.
mod specific {
    pub(super) const URGENCY: u8 = 1;
    pub(super) const SEVERITY: u8 = 2;
    pub(super) const BINARIES: u8 = 4;
    pub(super) const AVAILABILITY: u8 = 8;
}

/// Kinds of ranges, by number; any other is 0 and a string.
const KINDS: [&str; 3] = ["SEMVER", "ECOSYSTEM", "GIT"];

/// An entry, ready to be written.
#[derive(Debug, Default)]
pub(super) struct Shaped {
    pub(super) shape: Vec<u8>,
    pub(super) strings: Joined,
}

impl Shaped {
    /// Of an entry that stands under a name of the index.
    pub(super) fn of(affected: &Affected, key_name: &str) -> Result<Self, NotBuilt> {
        // In full: a field that is added and forgotten here does not compile.
        let Affected { package, ranges, versions, severity, ecosystem_specific, unreadable } = affected;
        let mut to = Self::default();
        let other = package.as_ref().map(|package| &package.name).filter(|name| *name != key_name);
        let flag = |there: bool, bit: u8| if there { bit } else { 0 };
        to.shape.push(
            flag(other.is_some(), has::OTHER_NAME)
                | flag(unreadable.is_some(), has::UNREADABLE)
                | flag(!ranges.is_empty(), has::RANGES)
                | flag(!versions.is_empty(), has::VERSIONS)
                | flag(!severity.is_empty(), has::SEVERITY)
                | flag(ecosystem_specific.is_some(), has::SPECIFIC),
        );
        to.strings.extend(other);
        to.strings.extend(unreadable);
        if !ranges.is_empty() {
            to.ranges(ranges)?;
        }
        if !versions.is_empty() {
            put_count(&mut to.shape, versions.len())?;
            to.strings.extend(versions);
        }
        if !severity.is_empty() {
            put_count(&mut to.shape, severity.len())?;
            for score in severity {
                to.strings.extend([&score.kind, &score.score]);
            }
        }
        if let Some(fields) = ecosystem_specific {
            to.specific(fields)?;
        }
        Ok(to)
    }

    fn ranges(&mut self, ranges: &[Range]) -> Result<(), NotBuilt> {
        put_count(&mut self.shape, ranges.len())?;
        for Range { kind: own, events } in ranges {
            match (1u8..).zip(KINDS).find(|(_, kind)| kind == own) {
                Some((number, _)) => self.shape.push(number),
                None => {
                    self.shape.push(0);
                    self.strings.push(own);
                }
            }
            put_count(&mut self.shape, events.len())?;
            for Event { introduced, fixed, last_affected, limit } in events {
                let from_start = introduced.as_deref() == Some("0");
                let introduced = introduced.as_ref().filter(|_| !from_start);
                let fields = [
                    (introduced, event::INTRODUCED),
                    (fixed.as_ref(), event::FIXED),
                    (last_affected.as_ref(), event::LAST_AFFECTED),
                    (limit.as_ref(), event::LIMIT),
                ];
                let there = fields.iter().filter(|(field, _)| field.is_some());
                let start = if from_start { event::FROM_START } else { 0 };
                self.shape.push(there.fold(start, |flags, (_, bit)| flags | bit));
                self.strings.extend(fields.into_iter().filter_map(|(field, _)| field));
            }
        }
        Ok(())
    }

    fn specific(&mut self, fields: &EcosystemSpecific) -> Result<(), NotBuilt> {
        let EcosystemSpecific { urgency, severity, availability, binaries } = fields;
        let bits = [
            (urgency.is_some(), specific::URGENCY),
            (severity.is_some(), specific::SEVERITY),
            (availability.is_some(), specific::AVAILABILITY),
            (!binaries.is_empty(), specific::BINARIES),
        ];
        self.shape
            .push(bits.into_iter().fold(0, |flags, (there, bit)| if there { flags | bit } else { flags }));
        for value in [urgency, severity, availability].into_iter().flatten() {
            self.strings.push(&value.to_string());
        }
        if !binaries.is_empty() {
            put_count(&mut self.shape, binaries.len())?;
            self.strings.extend(binaries.iter().map(|binary| &binary.binary_name));
        }
        Ok(())
    }
}

/// Reads an entry back.
#[derive(Debug, Clone)]
pub(super) struct Reading<'a> {
    strings: Strings<'a>,
    /// Numbers of its strings.
    pub(super) numbers: Cursor<'a>,
    pub(super) shape: Cursor<'a>,
    /// Bytes of strings that may still be read.
    budget: usize,
}

impl<'a> Reading<'a> {
    /// Opens an entry: the number of its record's row, and the rest.
    pub(super) fn open(mut entry: Cursor<'a>, strings: Strings<'a>) -> Result<(u32, Self), Damaged> {
        let row = entry.varint()?;
        let numbers = Cursor(entry.block()?);
        Ok((row, Self { strings, numbers, shape: entry, budget: 0 }))
    }

    fn string(&mut self) -> Result<SmolStr, Damaged> {
        let string = self.strings.get(self.numbers.varint()?)?;
        self.budget = self
            .budget
            .checked_sub(string.len())
            .ok_or(Damaged::Bytes("a package has more than any package has"))?;
        Ok(string.into())
    }

    fn string_if(&mut self, there: bool) -> Result<Option<SmolStr>, Damaged> {
        there.then(|| self.string()).transpose()
    }

    /// A number of items of which each has a string.
    fn count(&mut self) -> Result<usize, Damaged> {
        let count = super::wire::size(self.shape.varint()?);
        let left = self.numbers.0.len();
        if count > left { Err(Damaged::Bytes("a list is cut short")) } else { Ok(count) }
    }

    /// The entry of a key: ecosystem and name. Takes the bytes of its strings from the budget.
    pub(super) fn affected(
        mut self,
        (ecosystem, name): (&str, &str),
        budget: &mut usize,
    ) -> Result<Affected, Damaged> {
        self.budget = *budget;
        let flags = self.shape.byte()?;
        let has = |bit: u8| flags & bit != 0;
        let name = self.string_if(has(has::OTHER_NAME))?.unwrap_or_else(|| name.into());
        let mut affected = Affected {
            package: Some(AffectedPackage { ecosystem: ecosystem.into(), name }),
            unreadable: self.string_if(has(has::UNREADABLE))?.map(String::from),
            ..Affected::default()
        };
        if has(has::RANGES) {
            let count = self.shape.count()?;
            affected.ranges = times(count, || self.range())?;
        }
        if has(has::VERSIONS) {
            let count = self.count()?;
            affected.versions = times(count, || self.string())?;
        }
        if has(has::SEVERITY) {
            let count = self.count()?;
            affected.severity = times(count, || Ok(Score { kind: self.string()?, score: self.string()? }))?;
        }
        if has(has::SPECIFIC) {
            affected.ecosystem_specific = Some(self.specific()?);
        }
        // What is left over was meant to say something.
        *budget = self.budget;
        if self.shape.is_empty() && self.numbers.is_empty() {
            Ok(affected)
        } else {
            Err(Damaged::Bytes("an entry is longer than it says"))
        }
    }

    fn range(&mut self) -> Result<Range, Damaged> {
        let kind = match usize::from(self.shape.byte()?) {
            0 => self.string()?,
            number => {
                let kind = KINDS.get(number - 1).ok_or(Damaged::Bytes("an unknown kind of range"))?;
                SmolStr::new_static(kind)
            }
        };
        let count = self.shape.count()?;
        let events = times(count, || self.event())?;
        Ok(Range { kind, events })
    }

    fn event(&mut self) -> Result<Event, Damaged> {
        let flags = self.shape.byte()?;
        let has = |bit: u8| flags & bit != 0;
        let introduced = self.string_if(has(event::INTRODUCED))?;
        Ok(Event {
            introduced: if has(event::FROM_START) { Some(SmolStr::new_static("0")) } else { introduced },
            fixed: self.string_if(has(event::FIXED))?,
            last_affected: self.string_if(has(event::LAST_AFFECTED))?,
            limit: self.string_if(has(event::LIMIT))?,
        })
    }

    fn specific(&mut self) -> Result<EcosystemSpecific, Damaged> {
        let flags = self.shape.byte()?;
        let has = |bit: u8| flags & bit != 0;
        let value = |text: Option<SmolStr>| {
            let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
            parsed.map_err(|_| Damaged::Bytes("a field of the ecosystem"))
        };
        let (urgency, severity, availability) = (
            value(self.string_if(has(specific::URGENCY))?)?,
            value(self.string_if(has(specific::SEVERITY))?)?,
            value(self.string_if(has(specific::AVAILABILITY))?)?,
        );
        let count = if has(specific::BINARIES) { self.count()? } else { 0 };
        let binaries = times(count, || Ok(Binary { binary_name: self.string()? }))?;
        Ok(EcosystemSpecific { urgency, severity, availability, binaries })
    }
}

/// A list of so many items. The number was compared with the bytes that are left; of the items themselves,
/// which are larger, no more is reserved beforehand than a page or two.
fn times<T>(count: usize, mut item: impl FnMut() -> Result<T, Damaged>) -> Result<Vec<T>, Damaged> {
    let mut list = Vec::with_capacity(count.min(256));
    for _ in 0..count {
        list.push(item()?);
    }
    Ok(list)
}

/// Writes what follows the id in a head.
pub(super) fn put_head(to: &mut Vec<u8>, head: &Head) -> Result<(), NotBuilt> {
    let Head { id: _, aliases, upstream, related, summary, published, severity, database_severity } = head;
    for list in [aliases, upstream, related] {
        put_count(to, list.len())?;
        for text in list {
            put_block(to, text.as_bytes())?;
        }
    }
    for text in [summary, published, database_severity] {
        put_count(to, text.iter().len())?;
        if let Some(text) = text {
            put_block(to, text.as_bytes())?;
        }
    }
    put_count(to, severity.len())?;
    for score in severity {
        put_block(to, score.kind.as_bytes())?;
        put_block(to, score.score.as_bytes())?;
    }
    Ok(())
}

/// Reads what follows the id in a head.
pub(super) fn head(id: &str, mut from: Cursor<'_>) -> Result<Head, Damaged> {
    let mut list = || -> Result<Vec<SmolStr>, Damaged> {
        let count = from.count()?;
        times(count, || from.text().map(SmolStr::from))
    };
    let (aliases, upstream, related) = (list()?, list()?, list()?);
    // A text that there may be is a list of none or one.
    let (summary, published, database_severity) = (list()?.pop(), list()?.pop(), list()?.pop());
    let count = from.count()?;
    let severity = times(count, || Ok(Score { kind: from.text()?.into(), score: from.text()?.into() }))?;
    if !from.is_empty() {
        return Err(Damaged::Bytes("an advisory is longer than it says"));
    }
    Ok(Head { id: id.into(), aliases, upstream, related, summary, published, severity, database_severity })
}

/// Writes a display text; nothing where there is none.
pub(super) fn put_display(details: Option<&str>, references: &[Reference]) -> Result<Vec<u8>, NotBuilt> {
    let mut to = Vec::new();
    if details.is_none() && references.is_empty() {
        return Ok(to);
    }
    put_count(&mut to, details.iter().len())?;
    if let Some(details) = details {
        put_block(&mut to, details.as_bytes())?;
    }
    put_count(&mut to, references.len())?;
    for reference in references {
        put_block(&mut to, reference.kind.as_bytes())?;
        put_block(&mut to, reference.url.as_bytes())?;
    }
    Ok(to)
}

/// Reads a display text.
pub(super) fn display(mut from: Cursor<'_>) -> Result<Display, Damaged> {
    let details = if from.count()? == 0 { None } else { Some(from.text()?.to_owned()) };
    let count = from.count()?;
    let references =
        times(count, || Ok(Reference { kind: from.text()?.to_owned(), url: from.text()?.to_owned() }))?;
    if from.is_empty() {
        Ok(Display { details, references })
    } else {
        Err(Damaged::Bytes("a text is longer than it says"))
    }
}
