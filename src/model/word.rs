//! Words of ours that come back from a file: the ids of catalogers, purl types, what was observed of an entry.
//!
//! In memory they are `&'static str`. Read back, each is the one static text of its letters, so that a file
//! of a million packages has one `deb`.

use std::collections::{BTreeMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Words that can come back: 4,096 in all; the program has two hundred. Attack: a cache file of random words,
/// each of which stays in memory for good.
const WORDS: usize = 4096;

/// Bytes of a word: 256.
const BYTES: usize = 256;

static KNOWN: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

/// The static text of these letters. None where there are too many.
fn known(text: &str) -> Option<&'static str> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(word) = known.get(text) {
        return Some(word);
    }
    if text.len() > BYTES || known.len() >= WORDS {
        return None;
    }
    let word: &'static str = Box::leak(text.into());
    known.insert(word);
    Some(word)
}

/// A word of ours. The name hides the reference from serde, which would want to borrow it from the file.
pub(crate) type Word = &'static str;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Read(&'static str);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        known(&text).map(Self).ok_or_else(|| D::Error::custom("too many words (limit `words`)"))
    }
}

/// Reads one word.
///
/// # Errors
/// Where it is too long, or there are too many.
pub(crate) fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    Ok(Read::deserialize(deserializer)?.0)
}

/// Reads a list of words.
///
/// # Errors
/// As [`word`].
pub(crate) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'static str>, D::Error> {
    Ok(Vec::<Read>::deserialize(deserializer)?.into_iter().map(|word| word.0).collect())
}

/// Reads what is told by word.
///
/// # Errors
/// As [`word`].
pub(crate) fn by_word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<&'static str, T>, D::Error> {
    let read = BTreeMap::<Read, T>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(word, value)| (word.0, value)).collect())
}

/// Reads what is told by something and a word.
///
/// # Errors
/// As [`word`].
pub(crate) fn by_pair<'de, D: Deserializer<'de>, K: Deserialize<'de> + Ord, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<(K, &'static str), T>, D::Error> {
    let read = BTreeMap::<(K, Read), T>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|((key, word), value)| ((key, word.0), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_text_however_often_it_comes() {
        assert!(std::ptr::eq(known("deb").unwrap(), known("deb").unwrap()));
        assert_eq!(known(&"x".repeat(BYTES + 1)), None);
    }
}
