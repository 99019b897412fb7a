//! FIRST's scores (`epss_scores-current.csv.gz`, first.org/epss/data_stats), and the table that they are
//! compiled into: 300,000 lines are not parsed at each run.
//!
//! The table is `PORTEPSS`, u32 version (1), the SHA-256 of the source, i64 the second of the scores' date, u32
//! number of entries, the entries sorted by CVE, and the SHA-256 over all of that; numbers are little-endian. An
//! entry is u64 CVE (year in the upper 16 bits) and u64 score (decimals that were written in the upper 32 bits,
//! billionths in the lower).

use std::fmt;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::digest::Digest;
use crate::model::enrichment::ExploitData;

use super::Unreadable;
use super::cve::Cve;

/// Bytes of the file as published: 64 MiB. In 2026 it has 2.5 MiB.
pub const MAX_BYTES: u64 = 64 << 20;

/// Bytes of its text: 256 MiB. It has 12 MiB.
const MAX_TEXT: u64 = 256 << 20;

/// Lines: 4 million, ten times the CVEs that there are.
const MAX_ENTRIES: usize = 4_000_000;

const MAGIC: &[u8] = b"PORTEPSS";
const VERSION: u32 = 2;
/// Bytes of a digest: SHA-256 in hexadecimal digits.
const SUM: usize = 64;
const HEADER: usize = 8 + 4 + SUM + 8 + 4;
const ENTRY: usize = 16;

/// Decimals of a score that are kept.
const DECIMALS: u32 = 9;

/// The scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epss {
    /// What they are.
    pub info: ExploitData,
    /// The encoded table, checked.
    bytes: Vec<u8>,
}

/// A score from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score {
    billionths: u32,
    /// Decimals as written.
    decimals: u32,
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.billionths / 1_000_000_000, self.billionths % 1_000_000_000);
        match self.decimals {
            0 => write!(f, "{whole}"),
            decimals => {
                let rest = format!("{rest:09}");
                write!(f, "{whole}.{}", rest.get(..decimals.min(DECIMALS) as usize).unwrap_or(&rest))
            }
        }
    }
}

impl Score {
    /// `0.97565`, `1`, `9.1e-05`. What has more decimals than are kept is rounded up: a score never looks lower than
    /// it is.
    fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('-')?.parse::<u32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.len() != 1
            || !is_number(whole)
            || !is_number(fraction)
            || fraction.len() > 30
            || exponent > 30
        {
            return None;
        }
        let decimals = (u32::try_from(fraction.len()).ok()? + exponent).min(DECIMALS);
        let zeros = "0".repeat(exponent as usize);
        let digits = format!("{zeros}{whole}{fraction}");
        let kept = 1 + DECIMALS as usize;
        let padded = format!("{digits:0<kept$}");
        let (head, tail) = padded.split_at_checked(kept)?;
        let rounded = u32::from(tail.bytes().any(|b| b != b'0'));
        let billionths = head.parse::<u32>().ok()? + rounded;
        (billionths <= 1_000_000_000).then_some(Self { billionths, decimals })
    }

    fn pack(self) -> u64 {
        u64::from(self.decimals) << 32 | u64::from(self.billionths)
    }

    fn unpack(packed: u64) -> Option<Self> {
        let decimals = u32::try_from(packed >> 32).ok()?;
        let billionths = u32::try_from(packed & u64::from(u32::MAX)).ok()?;
        (decimals <= DECIMALS && billionths <= 1_000_000_000).then_some(Self { billionths, decimals })
    }
}

impl Epss {
    /// Reads the file as published, or its text unpacked.
    ///
    /// # Errors
    /// [`Unreadable`] where it is another file, or a line of it cannot be read: a score that is missing would
    /// make what is likely to be exploited look as if it were not.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_BYTES) {
            return Err(Unreadable(format!("larger than {MAX_BYTES} bytes (limit `bytes of the scores`)")));
        }
        let unpacked = match bytes.starts_with(b"\x1f\x8b") {
            true => Some(unpack(bytes)?),
            false => None,
        };
        let text = std::str::from_utf8(unpacked.as_deref().unwrap_or(bytes))
            .map_err(|_| Unreadable("its text is not UTF-8".to_owned()))?;
        let (generated, mut entries) = parse(text)?;
        // Attack: an emptied file, by which no score is known to be high.
        if entries.is_empty() {
            return Err(Unreadable("it has no scores: fetch it again".to_owned()));
        }
        entries.sort_unstable_by_key(|(cve, _)| *cve);
        if entries.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(Unreadable("it has two scores for one CVE".to_owned()));
        }
        let digest = Digest::sha256(bytes);
        let bytes = encode(&digest, generated, &entries);
        Self::decode(&bytes, &digest).ok_or_else(|| Unreadable("its table could not be made".to_owned()))
    }

    /// Takes a table that was made of a source of this digest. `None` where it is another or damaged one.
    #[must_use]
    pub fn decode(bytes: &[u8], source: &Digest) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
        let header = body.get(..HEADER)?;
        let at = |from: usize, length: usize| header.get(from..from + length);
        if at(0, 8)? != MAGIC || u32::from_le_bytes(at(8, 4)?.try_into().ok()?) != VERSION {
            return None;
        }
        if at(12, SUM)? != source.hex().as_bytes() || sum != Digest::sha256(body).hex().as_bytes() {
            return None;
        }
        let seconds = i64::from_le_bytes(at(12 + SUM, 8)?.try_into().ok()?);
        let generated = Timestamp::from_second(seconds).ok()?;
        let count = u32::from_le_bytes(at(20 + SUM, 4)?.try_into().ok()?);
        let entries = body.get(HEADER..)?;
        if count == 0 || entries.len() != usize::try_from(count).ok()?.checked_mul(ENTRY)? {
            return None;
        }
        let info = ExploitData { digest: source.clone(), generated, entries: count.into() };
        Some(Self { info, bytes: bytes.to_vec() })
    }

    /// The table, to be kept.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    /// The score of a CVE, where it has one.
    pub(super) fn score(&self, cve: Cve) -> Option<Score> {
        let end = self.bytes.len().checked_sub(SUM)?;
        // Two numbers an entry: the CVE and its score.
        let (numbers, _) = self.bytes.get(HEADER..end)?.as_chunks::<8>();
        let (entries, _) = numbers.as_chunks::<2>();
        let index = entries.binary_search_by_key(&cve.0, |[cve, _]| u64::from_le_bytes(*cve)).ok()?;
        let [_, score] = entries.get(index)?;
        Score::unpack(u64::from_le_bytes(*score))
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut text = Vec::new();
    // Attack: a few kilobytes that unpack to gigabytes.
    let read = MultiGzDecoder::new(bytes).take(MAX_TEXT + 1).read_to_end(&mut text);
    read.map_err(|error| Unreadable(format!("it cannot be unpacked: {error}")))?;
    if text.len() as u64 > MAX_TEXT {
        return Err(Unreadable(format!("more than {MAX_TEXT} bytes unpacked (limit `text of the scores`)")));
    }
    Ok(text)
}

/// The date and the scores: a comment with the date, the names of the columns, and lines `CVE,SCORE,PERCENTILE`.
fn parse(text: &str) -> Result<(Timestamp, Vec<(Cve, Score)>), Unreadable> {
    // Attack, or a download that was cut short: the lines behind it are missing.
    if !text.ends_with('\n') {
        return Err(Unreadable("its last line is cut short: fetch it again".to_owned()));
    }
    let mut lines = text.lines().enumerate();
    let comment = lines.next().map(|(_, line)| line).unwrap_or_default();
    let generated = comment
        .strip_prefix('#')
        .and_then(|comment| comment.split(',').find_map(|part| part.trim().strip_prefix("score_date:")))
        .and_then(date)
        .ok_or_else(|| Unreadable("not FIRST's scores: its first line has no `score_date`".to_owned()))?;
    if lines.next().map(|(_, line)| line.trim_end()) != Some("cve,epss,percentile") {
        return Err(Unreadable("not FIRST's scores: its columns are not cve,epss,percentile".to_owned()));
    }
    let mut entries = Vec::new();
    for (number, line) in lines {
        if entries.len() >= MAX_ENTRIES {
            return Err(Unreadable(format!("more than {MAX_ENTRIES} lines (limit `lines of the scores`)")));
        }
        let mut columns = line.trim_end().split(',');
        let (cve, score) = (columns.next().and_then(Cve::parse), columns.next().and_then(Score::parse));
        match (cve, score, columns.next(), columns.next()) {
            (Some(cve), Some(score), Some(_), None) => entries.push((cve, score)),
            _ => return Err(Unreadable(format!("line {} is no score of a CVE", number + 1))),
        }
    }
    Ok((generated, entries))
}

/// `2026-11-24T00:00:00+0000`, and as in RFC 3339; or a day alone, of which it is the beginning.
fn date(text: &str) -> Option<Timestamp> {
    let day = || TimeZone::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok();
    text.parse().ok().or_else(day)
}

fn encode(source: &Digest, generated: Timestamp, entries: &[(Cve, Score)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + entries.len() * ENTRY + SUM);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(source.hex().as_bytes());
    bytes.extend_from_slice(&generated.as_second().to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (cve, score) in entries {
        bytes.extend_from_slice(&cve.0.to_le_bytes());
        bytes.extend_from_slice(&score.pack().to_le_bytes());
    }
    let sum = Digest::sha256(&bytes);
    bytes.extend_from_slice(sum.hex().as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "#model_version:v2025.03.14,score_date:2026-11-24T00:00:00+0000\n\
                       cve,epss,percentile\nCVE-2021-44228,0.97565,0.99999\nCVE-1999-0001,0.00042,0.1\n";

    fn score(text: &str) -> Option<String> {
        Score::parse(text).map(|score| score.to_string())
    }

    fn told(epss: &Epss, id: &str) -> Option<String> {
        epss.score(Cve::parse(id).unwrap()).map(|score| score.to_string())
    }

    #[test]
    fn a_score_is_written_back_as_it_stood() {
        for text in ["0", "1", "0.5", "0.97565", "0.00042", "1.0", "0.000000001", "0.50"] {
            assert_eq!(score(text).as_deref(), Some(text));
        }
        assert_eq!(score("9.1e-05").as_deref(), Some("0.000091"));
        assert_eq!(score("1e-05").as_deref(), Some("0.00001"));
        assert_eq!(score("0.0000000001").as_deref(), Some("0.000000001"), "never lower than it is");
        for bad in ["", ".", "-0.1", "1.1", "2", "0.5x", "NaN", "inf", "1e5", "0x1", "00.5", "0.5e-"] {
            assert_eq!(score(bad), None, "{bad}");
        }
        assert!(Score::parse("0.5") < Score::parse("0.50001"));
    }

    #[test]
    fn the_file_is_read_packed_and_unpacked_and_its_table_says_the_same() {
        let packed = {
            use std::io::Write as _;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(CSV.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        for bytes in [CSV.as_bytes(), &packed] {
            let epss = Epss::read(bytes).unwrap();
            assert_eq!(
                (epss.info.entries, epss.info.generated.to_string().as_str()),
                (2, "2026-11-24T00:00:00Z")
            );
            assert_eq!(epss.info.digest, Digest::sha256(bytes));
            assert_eq!(told(&epss, "CVE-2021-44228").as_deref(), Some("0.97565"));
            assert_eq!(told(&epss, "CVE-1999-0001").as_deref(), Some("0.00042"));
            assert_eq!(told(&epss, "CVE-2021-44229"), None);
            assert_eq!(Epss::decode(epss.encoded(), &epss.info.digest), Some(epss));
        }
        assert!(Epss::read(&packed[..packed.len() - 9]).is_err(), "cut short");
    }

    #[test]
    fn a_table_with_any_byte_changed_is_not_taken() {
        let epss = Epss::read(CSV.as_bytes()).unwrap();
        assert_eq!(Epss::decode(epss.encoded(), &Digest::sha256(b"another source")), None);
        for at in 0..epss.encoded().len() {
            let mut bytes = epss.encoded().to_vec();
            bytes[at] ^= 1;
            assert_eq!(Epss::decode(&bytes, &epss.info.digest), None, "{at}");
            assert_eq!(Epss::decode(&bytes[..at], &epss.info.digest), None, "{at}");
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_not_taken() {
        let unread = |text: &str| Epss::read(text.as_bytes()).unwrap_err().to_string();
        assert!(unread(CSV.trim_end()).contains("cut short"));
        assert!(unread("cve,epss,percentile\n").contains("score_date"));
        assert!(unread(&CSV.replace("cve,epss", "cve,score")).contains("columns"));
        assert!(unread(&CSV.replace("0.00042", "high")).contains("line 4"));
        assert!(unread(&CSV.replace("CVE-1999-0001", "CVE-2021-44228")).contains("two scores"));
        assert!(unread(&CSV.replace(",0.1\n", "\n")).contains("line 4"));
        assert!(unread(CSV.split_inclusive("percentile\n").next().unwrap()).contains("no scores"));
        assert!(unread(&CSV.replace("2026-11-24T", "soon")).contains("score_date"));
    }

    #[test]
    fn a_bomb_ends_at_its_limit() {
        let mut encoder = flate2::read::GzEncoder::new(
            std::io::repeat(b'0').take(MAX_TEXT + 2),
            flate2::Compression::best(),
        );
        let mut packed = Vec::new();
        encoder.read_to_end(&mut packed).unwrap();
        assert!(Epss::read(&packed).unwrap_err().to_string().contains("text of the scores"));
    }
}
