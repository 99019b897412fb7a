//! `portcullis compare-versions`: the version orders by hand, one pair or a stream of them.

use std::cmp::Ordering;
use std::io::{self, BufRead, Read, Write};

use crate::version::{SCHEMES, Scheme, scheme};

/// Bytes of an input line, so that input without line ends cannot fill the memory. Versions are short; the
/// longest that a registry takes is far below it.
pub const LINE_LIMIT: usize = 64 * 1024;

/// How the comparison went: exit code 0 and 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The pair has an order, or the whole input got its answers.
    Yes,
    /// The one pair has none.
    Unknown,
}

/// Why nothing was compared, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum CompareVersionsError {
    /// Wrong usage, exit code 2.
    #[error("no version order for ecosystem `{ecosystem}`; there is one for {known}")]
    UnknownEcosystem {
        /// What was asked for.
        ecosystem: String,
        /// The ecosystems there are, sorted, separated by commas.
        known: String,
    },
    /// Reading the pairs or writing the answers failed.
    #[error("cannot compare: {0}")]
    Io(#[from] io::Error),
}

/// Writes `<`, `=` or `>` for the pair, or for each line `A<TAB>B` of the input where there is no pair;
/// `?` where the two cannot be compared or the line is no such pair: every line gets its answer.
///
/// # Errors
/// An ecosystem without a version order, and failed input or output.
pub fn run(
    ecosystem: &str,
    pair: Option<(&str, &str)>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Answered, CompareVersionsError> {
    let Some(scheme) = scheme(ecosystem) else {
        return Err(CompareVersionsError::UnknownEcosystem {
            ecosystem: ecosystem.to_owned(),
            known: known(),
        });
    };
    let answered = match pair {
        Some((a, b)) => {
            let sign = sign(scheme, a, b);
            writeln!(out, "{}", sign.unwrap_or(UNKNOWN))?;
            sign.map_or(Answered::Unknown, |_| Answered::Yes)
        }
        None => {
            answer_lines(scheme, input, out)?;
            Answered::Yes
        }
    };
    out.flush()?;
    Ok(answered)
}

const UNKNOWN: char = '?';

/// The ecosystems of every scheme.
fn known() -> String {
    let mut names: Vec<&str> = SCHEMES.iter().flat_map(|(_, names)| *names).copied().collect();
    names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
    names.join(", ")
}

fn sign(scheme: &dyn Scheme, a: &str, b: &str) -> Option<char> {
    scheme.compare(a, b).ok().map(|order| match order {
        Ordering::Less => '<',
        Ordering::Equal => '=',
        Ordering::Greater => '>',
    })
}

fn answer_lines(scheme: &dyn Scheme, input: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::new();
    while read_line(input, &mut line)? {
        let pair = str::from_utf8(&line).ok().and_then(|text| text.split_once('\t'));
        let sign = pair.filter(|_| line.len() <= LINE_LIMIT).and_then(|(a, b)| sign(scheme, a, b));
        writeln!(out, "{}", sign.unwrap_or(UNKNOWN))?;
    }
    Ok(())
}

/// Reads a line without its end, of which it keeps no more than one byte beyond [`LINE_LIMIT`]; `false` at
/// the end of the input.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    const KEPT: u64 = LINE_LIMIT as u64 + 1;
    line.clear();
    let mut rest = Vec::new();
    let mut read = Read::take(&mut *input, KEPT).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        line.pop_if(|last| *last == b'\r');
        return Ok(true);
    }
    while read > 0 && rest.last() != Some(&b'\n') {
        rest.clear();
        read = Read::take(&mut *input, KEPT).read_until(b'\n', &mut rest)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(ecosystem: &str, pair: Option<(&str, &str)>, input: &[u8]) -> (Answered, String) {
        let mut out = Vec::new();
        let answered = run(ecosystem, pair, &mut { input }, &mut out).unwrap();
        (answered, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_pair_gets_one_sign() {
        for (a, b, sign) in [("1.2_rc1", "1.2", "<\n"), ("1.2", "1.2", "=\n"), ("1.2-r1", "1.2", ">\n")] {
            assert_eq!(compare("Alpine:v3.20", Some((a, b)), b""), (Answered::Yes, sign.to_owned()));
        }
    }

    #[test]
    fn a_pair_without_an_order_is_unknown_and_not_equal() {
        assert_eq!(compare("Alpine", Some(("x", "x")), b""), (Answered::Unknown, "?\n".to_owned()));
    }

    #[test]
    fn every_line_gets_its_answer() {
        let input = b"1\t2\n2\t1\r\n1.0\t1-0\n\n1 2\n\t\n1\t2\t3\n\xff\t1\n1:1\t2";
        let (answered, out) = compare("Debian", None, input);
        assert_eq!(answered, Answered::Yes);
        assert_eq!(out, "<\n>\n>\n?\n?\n?\n?\n?\n>\n");
    }

    #[test]
    fn a_line_without_end_is_answered_without_being_held() {
        let long = "1".repeat(3 * LINE_LIMIT);
        let (_, out) = compare("npm", None, format!("{long}\t1\n1\t2\n{long}").as_bytes());
        assert_eq!(out, "?\n<\n?\n");
    }

    #[test]
    fn a_line_of_just_the_limit_is_compared() {
        let fits = format!("{}\t1", "9".repeat(LINE_LIMIT - 2));
        assert_eq!(compare("npm", None, format!("{fits}\n9{fits}\n").as_bytes()).1, ">\n?\n");
        assert_eq!(compare("npm", None, fits.as_bytes()).1, ">\n");
    }

    #[test]
    fn an_ecosystem_without_an_order_is_named_with_those_there_are() {
        let error = run("Haskell", Some(("1", "2")), &mut &b""[..], &mut Vec::new()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(
            "no version order for ecosystem `Haskell`; there is one for AlmaLinux, Alpaquita, "
        ));
        assert!(text.ends_with("Ubuntu, Wolfi"), "{text}");
    }
}
