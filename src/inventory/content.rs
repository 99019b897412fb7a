//! A file's content as catalogers take it: held whole up to their limit, or kept in pieces as it streams by.

use std::io::{self, Read};
use std::ops::Range;

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::program::kept::Kept;
use super::program::{self, Mark, Program};
use super::{Cataloger, Reads};

/// How many bytes are read at a time.
const CHUNK: usize = 64 << 10;

/// What was kept of a file.
pub(super) struct Content {
    whole: Vec<u8>,
    /// What was kept of a program that is not held whole.
    kept: Option<Kept>,
}

/// What a cataloger says of a file.
pub(super) enum Given {
    /// What it read.
    Facts(Facts),
    /// Why it could not.
    Gap(String),
    /// What it lacks: parts of the file that went by before it could know that it wants them.
    Again(Vec<Range<u64>>),
}

/// Reads the rest of a file for the catalogers that want it, each under a name; `head` was read already. At
/// least the first `keep` bytes are kept, and of a program what an earlier reading lacked.
pub(super) fn read(
    content: &mut dyn Read,
    size: u64,
    head: &[u8],
    wanting: &[(&'static dyn Cataloger, &ImagePath)],
    keep: usize,
    again: &[Range<u64>],
) -> io::Result<Content> {
    let whole = wanting.iter().filter(|(cataloger, _)| cataloger.reads() == Reads::Whole);
    let mut hold = whole.map(|(cataloger, _)| cataloger.limit()).max().is_some_and(|limit| size <= limit);
    let programs: Vec<_> =
        wanting.iter().filter(|(cataloger, _)| cataloger.reads() == Reads::Program).collect();
    hold |= !programs.is_empty() && size <= program::WHOLE;
    let mut read = Content { whole: Vec::new(), kept: None };
    if hold || keep > 0 {
        let expected = if hold { size.min(program::WHOLE) } else { keep as u64 };
        read.whole.reserve_exact(usize::try_from(expected).unwrap_or(0));
        read.whole.extend_from_slice(head);
    }
    if !programs.is_empty() && !hold {
        let mut marks: Vec<Mark> = Vec::new();
        for mark in programs.iter().flat_map(|(cataloger, path)| cataloger.marks(path)) {
            if !marks.contains(&mark) {
                marks.push(mark);
            }
        }
        let mut kept = Kept::new(size, marks, again);
        kept.feed(head);
        read.kept = Some(kept);
    }
    let mut chunk = vec![0; CHUNK];
    while hold || read.kept.is_some() || read.whole.len() < keep {
        let count = content.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        let bytes = chunk.get(..count).unwrap_or_default();
        let wanted = if hold { bytes.len() } else { keep.saturating_sub(read.whole.len()).min(bytes.len()) };
        read.whole.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        if let Some(kept) = &mut read.kept {
            kept.feed(bytes);
            if kept.due() {
                let ask = |(cataloger, path): &&(&dyn Cataloger, &ImagePath)| {
                    let program = kept.program(false);
                    let _ = cataloger.program(path, &program);
                    program.wanted()
                };
                let wanted = programs.iter().flat_map(ask).collect();
                kept.want(wanted);
            }
        }
    }
    Ok(read)
}

impl Content {
    /// The first bytes of the file, as many as were asked for, or more.
    pub(super) fn first(&self) -> &[u8] {
        &self.whole
    }

    /// What a cataloger says of the file.
    pub(super) fn give(&self, cataloger: &dyn Cataloger, path: &ImagePath, size: u64) -> Given {
        if cataloger.reads() == Reads::Program {
            let marks;
            let program = match &self.kept {
                Some(kept) => kept.program(true),
                None => {
                    marks = cataloger.marks(path);
                    Program::whole(&self.whole, &marks)
                }
            };
            let result = cataloger.program(path, &program);
            let wanted = program.wanted();
            return if wanted.is_empty() { Given::from(result) } else { Given::Again(wanted) };
        }
        if size > cataloger.limit() {
            return Given::Gap(format!("{size} bytes, larger than the limit of {}", cataloger.limit()));
        }
        Given::from(cataloger.parse(path, &self.whole))
    }
}

impl From<Result<Facts, super::Unreadable>> for Given {
    fn from(result: Result<Facts, super::Unreadable>) -> Self {
        match result {
            Ok(facts) => Self::Facts(facts),
            Err(unreadable) => Self::Gap(unreadable.to_string()),
        }
    }
}
