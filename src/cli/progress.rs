//! Progress on the terminal's standard error; nothing in a pipe.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::feed::{Step, Watch};
use crate::gate;
use crate::model::path::escape;

/// A bar over the stored bytes of all layers, and one for each that is being read.
#[derive(Debug)]
pub(super) struct Bar {
    bars: MultiProgress,
    bar: ProgressBar,
    /// Downloads of advisories, by ecosystem.
    fetched: Mutex<BTreeMap<String, ProgressBar>>,
    /// Whether to say in the end what each cataloger did.
    verbose: bool,
    /// Whether to say nothing but what went wrong.
    quiet: bool,
}

impl Bar {
    /// A bar, hidden where it was not wanted or nobody would see it.
    pub(super) fn new(wanted: bool, verbose: bool, quiet: bool) -> Self {
        let seen = wanted && !quiet && std::io::stderr().is_terminal();
        let target = if seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let bar = bars.add(ProgressBar::no_length());
        Self { bars, bar, fetched: Mutex::default(), verbose, quiet }
    }

    /// Says a line on standard error. Where even that cannot be said, no answer changes.
    fn print(&self, line: &str) {
        self.bars.suspend(|| drop(writeln!(std::io::stderr().lock(), "{line}")));
    }
}

impl Watch for Bar {
    fn step(&self, ecosystem: &str, step: Step) {
        if self.bars.is_hidden() {
            return;
        }
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = fetched
            .entry(ecosystem.to_owned())
            .or_insert_with(|| self.bars.add(ProgressBar::no_length().with_style(style(ARCHIVE))));
        let name = escape(ecosystem.as_bytes());
        let show = |template: &str, message: String, done: u64, of: Option<u64>| {
            bar.set_style(style(template));
            bar.set_message(message);
            if let Some(of) = of {
                bar.set_length(of);
            }
            bar.set_position(done);
        };
        match step {
            Step::Archive { bytes, of } => show(ARCHIVE, format!("fetching {name}"), bytes, of),
            Step::Records { done, of } => {
                show(RECORDS, format!("changes of {name}"), done as u64, Some(of as u64));
            }
            Step::Compiling => show("  {msg}", format!("compiling {name}"), 0, None),
            Step::Ended => {
                bar.finish_and_clear();
                fetched.remove(ecosystem);
            }
        }
    }

    fn say(&self, message: &str) {
        if !self.quiet {
            gate::Progress::warn(self, message);
        }
    }
}

const ARCHIVE: &str =
    "  {msg:28!} {bar:30} {binary_bytes:>12} / {binary_total_bytes} {binary_bytes_per_sec:>14}";
const RECORDS: &str = "  {msg:28!} {bar:30} {pos:>12} / {len} records";
const LAYERS: &str =
    "{msg:30!} {bar:30} {binary_bytes:>12} / {binary_total_bytes} {binary_bytes_per_sec:>14}";
const LAYER: &str = "  {msg:28!} {bar:30} {binary_bytes:>12} / {binary_total_bytes}";

/// A constant of ours; were it wrong, the default bar would do.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The bar of one layer, which is gone when it was read.
struct LayerBar(ProgressBar);

impl gate::LayerProgress for LayerBar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for LayerBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl gate::Progress for Bar {
    fn begin(&self, layers: usize, bytes: u64) {
        self.bar.set_style(style(LAYERS));
        self.bar.set_length(bytes);
        self.bar.set_position(0);
        self.bar.set_message(format!("reading {layers} layers"));
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn layer(&self, number: usize, bytes: u64) -> Option<Box<dyn gate::LayerProgress>> {
        if self.bars.is_hidden() {
            return None;
        }
        let bar = self.bars.add(ProgressBar::new(bytes).with_style(style(LAYER)));
        bar.set_message(format!("layer {number}"));
        Some(Box::new(LayerBar(bar)))
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn advisories(&self, ecosystem: &str) {
        self.bar.reset();
        self.bar.set_style(ProgressStyle::default_spinner());
        self.bar.set_message(format!("opening the advisories for {ecosystem}"));
        self.bar.tick();
    }

    fn fetching(&self, ecosystem: &str, step: Step) {
        self.step(ecosystem, step);
    }

    fn note(&self, message: &str) {
        self.say(message);
    }

    fn warn(&self, message: &str) {
        self.print(&format!("portcullis: {}", escape(message.as_bytes())));
    }

    fn measures(&self) -> bool {
        self.verbose
    }

    fn took(&self, took: &gate::Took) {
        let gate::Took { read, cached, all, catalogers } = took;
        self.print(&format!("{read} layers read, {cached} from the cache, in {:.3} s", all.as_secs_f64()));
        for (cataloger, tally) in catalogers {
            let gate::Tally { files, packages, took } = tally;
            let milliseconds = took.as_secs_f64() * 1e3;
            self.print(&format!(
                "  {cataloger:16} {files:>7} files {packages:>7} packages {milliseconds:>10.1} ms"
            ));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
