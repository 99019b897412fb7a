//! Progress on the terminal's standard error; nothing in a pipe.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

use crate::gate;
use crate::model::path::escape;

/// A bar over the stored bytes of the layers.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar, hidden where it was not wanted or nobody would see it.
    pub(super) fn new(wanted: bool) -> Self {
        let seen = wanted && std::io::stderr().is_terminal();
        Self(if seen { ProgressBar::no_length() } else { ProgressBar::hidden() })
    }
}

const LAYERS: &str =
    "{msg:30!} {bar:30} {binary_bytes:>12} / {binary_total_bytes} {binary_bytes_per_sec:>14}";

impl gate::Progress for Bar {
    fn begin(&self, layers: usize, bytes: u64) {
        // The template is a constant of ours; were it wrong, the default bar would do.
        let style = ProgressStyle::with_template(LAYERS).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.0.set_style(style);
        self.0.set_length(bytes);
        self.0.set_position(0);
        self.0.set_message(format!("reading {layers} layers"));
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }

    fn advisories(&self, ecosystem: &str) {
        self.0.reset();
        self.0.set_style(ProgressStyle::default_spinner());
        self.0.set_message(format!("opening the advisories for {ecosystem}"));
        self.0.tick();
    }

    fn warn(&self, message: &str) {
        let line = format!("portcullis: {}", escape(message.as_bytes()));
        // Where even that cannot be said, no answer changes.
        self.0.suspend(|| drop(writeln!(std::io::stderr().lock(), "{line}")));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
