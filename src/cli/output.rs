//! `-o FORMAT[=FILE]`: which documents are written, and where to.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::report::Style;

use super::Context;
use super::exit::Exit;

/// One `-o`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// Id of the format, checked against the command's table.
    pub(super) format: String,
    /// The file, or standard output.
    pub(super) file: Option<PathBuf>,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((_, "")) => Err("a file name must follow `=`".into()),
            Some((format, file)) => Ok(Self { format: format.to_owned(), file: Some(file.into()) }),
            None => Ok(Self { format: text.to_owned(), file: None }),
        }
    }
}

/// What is to be written: each format with its place.
#[derive(Debug)]
pub(super) struct Plan<F: 'static + ?Sized>(Vec<(&'static F, Option<PathBuf>)>);

impl<F: ?Sized> Plan<F> {
    /// Finds the format of every `-o`; without any, the first of the table on standard output.
    ///
    /// # Errors
    /// An unknown format, or two documents that would mix on standard output: usage errors.
    pub(super) fn new(
        outputs: &[Output],
        table: &[&'static F],
        id: impl Fn(&F) -> &'static str,
    ) -> Result<Self, String> {
        let mut plan = Vec::new();
        for output in outputs {
            let Some(format) = table.iter().find(|format| id(format) == output.format) else {
                let known: Vec<&str> = table.iter().map(|format| id(format)).collect();
                return Err(format!(
                    "no output format `{}`: it is one of {}",
                    output.format,
                    known.join(", ")
                ));
            };
            plan.push((*format, output.file.clone()));
        }
        if plan.iter().filter(|(_, file)| file.is_none()).count() > 1 {
            return Err(
                "only one document fits on standard output: give the others a file, `-o FORMAT=FILE`".into(),
            );
        }
        let files: Vec<&PathBuf> = plan.iter().filter_map(|(_, file)| file.as_ref()).collect();
        if files
            .iter()
            .enumerate()
            .any(|(place, file)| files.iter().skip(place + 1).any(|other| other == file))
        {
            return Err("two documents would go into one file".into());
        }
        if plan.is_empty() {
            plan.extend(table.first().map(|format| (*format, None)));
        }
        Ok(Self(plan))
    }

    /// Each format with its place; `None` is standard output.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static F, Option<&Path>)> {
        self.0.iter().map(|(format, file)| (*format, file.as_deref()))
    }
}

impl<F: ?Sized> Plan<F> {
    /// Writes every report. The command ended with `exit`, and does still where all were delivered: a
    /// verdict that nobody can read must not count as one that lets an image in.
    pub(super) fn deliver(
        &self,
        exit: Exit,
        context: &Context,
        out: &mut dyn Write,
        render: impl Fn(&F, &Style) -> String,
    ) -> Exit {
        let mut exit = exit;
        for (format, file) in self.iter() {
            let report = render(format, &context.style(file.is_some()));
            if let Err(message) = write(report.as_bytes(), file, out) {
                context.complain(&message);
                exit = exit.max(Exit::Undecided);
            }
        }
        exit
    }
}

/// Writes a document. Who closes standard output early has read enough: that is no error.
///
/// # Errors
/// What happened and to which file.
pub(super) fn write(document: &[u8], file: Option<&Path>, out: &mut dyn Write) -> Result<(), String> {
    match file {
        Some(file) => {
            fs::write(file, document).map_err(|error| format!("cannot write {}: {error}", file.display()))
        }
        None => match out.write_all(document).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("cannot write to standard output: {error}"))
            }
            Ok(()) | Err(_) => Ok(()),
        },
    }
}
