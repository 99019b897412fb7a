//! What a pass over a layer observed beside its packages: all that its checks judge and that the entries
//! alone do not tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::path::ImagePath;
use super::word;

/// What was observed in a layer: a pure function of its bytes. A file that a later entry or a later layer
/// takes away stays observed, since its bytes are still in the blob.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Notes, in the order of the archive, at most [`MAX_NOTES`] of a topic.
    pub notes: Vec<Note>,
    /// How many more there were, by topic.
    pub more: BTreeMap<Topic, u64>,
    /// Files of 1 MiB and more, in the order of the archive: length and CRC-32. It tells which are the same to
    /// whoever does not lie; nothing is trusted for it.
    pub sums: Vec<(ImagePath, u64, u32)>,
    /// The latest time of a change, in seconds since 1970, and the first entry that has it.
    pub newest: Option<(i64, ImagePath)>,
}

/// Notes of one topic that are kept: 10,000. Attack: a million entries, each with something to note, to
/// fill the memory. What is beyond is counted, and judged as the worst of its topic.
pub const MAX_NOTES: usize = 10_000;

/// One thing that was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The entry; the root where its name leads out of the image or is too long.
    pub path: ImagePath,
    /// What about it.
    pub what: What,
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Topic {
    /// [`What::Name`].
    Name,
    /// [`What::LinkOut`].
    Link,
    /// [`What::Device`].
    Device,
    /// [`What::SetId`].
    SetId,
    /// [`What::Capability`].
    Capability,
    /// [`What::Odd`].
    Odd,
    /// [`What::Owner`].
    Owner,
    /// [`What::Whiteout`].
    Whiteout,
    /// [`What::Secret`] and [`What::Unsearched`].
    Secret,
    /// [`What::Account`].
    Account,
    /// [`What::Table`] and [`What::TableUnread`].
    Table,
}

/// What was observed of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Its name as written, at most 200 bytes, and what is wrong with it.
    Name(NameFault, Box<[u8]>),
    /// It is a hard link to this name, which leads out of the image.
    LinkOut(Box<[u8]>),
    /// It is a block device, a character device or a FIFO.
    Device(#[serde(deserialize_with = "word::word")] word::Word),
    /// It is a file that runs with another user's or group's rights.
    SetId {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u64,
    },
    /// It is a file with capabilities: the attribute's bytes.
    Capability(Box<[u8]>),
    /// Its header has something that readers may disagree on.
    Odd(#[serde(deserialize_with = "word::word")] word::Word),
    /// Its owner or group is beyond 2^31.
    Owner(u64, u64),
    /// It is a whiteout that is not as the specification has it.
    Whiteout(#[serde(deserialize_with = "word::word")] word::Word),
    /// It holds a secret.
    Secret {
        /// What kind, such as `a private key`.
        #[serde(deserialize_with = "word::word")]
        kind: word::Word,
        /// Whether its place is one of tests and examples of a package.
        sample: bool,
    },
    /// It may hold a secret, and only its beginning was searched.
    Unsearched,
    /// It is `/etc/passwd` or `/etc/shadow` and has an account that is open: what and whose.
    Account(#[serde(deserialize_with = "word::word")] word::Word, String),
    /// The layer's table of contents, for runtimes that pull it in parts, contradicts the archive: how.
    Table(Box<str>),
    /// That table of contents was not held against the archive, or not all of it: why.
    TableUnread(Box<str>),
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NameFault {
    /// It leads out of the image.
    LeadsOut,
    /// It has `..`, and stays inside.
    Parent,
    /// It is absolute.
    Absolute,
    /// It, or a link's target, is longer or deeper than any runtime can make.
    TooLong,
}

impl What {
    /// What it is about.
    #[must_use]
    pub fn topic(&self) -> Topic {
        match self {
            Self::Name(..) => Topic::Name,
            Self::LinkOut(_) => Topic::Link,
            Self::Device(_) => Topic::Device,
            Self::SetId { .. } => Topic::SetId,
            Self::Capability(_) => Topic::Capability,
            Self::Odd(_) => Topic::Odd,
            Self::Owner(..) => Topic::Owner,
            Self::Whiteout(_) => Topic::Whiteout,
            Self::Secret { .. } | Self::Unsearched => Topic::Secret,
            Self::Account(..) => Topic::Account,
            Self::Table(_) | Self::TableUnread(_) => Topic::Table,
        }
    }
}
