//! `portcullis db`: the advisory snapshot by hand.

use std::fmt::Write as _;
use std::io::Write;

use crate::feed::Store;
use crate::gate::{EcosystemStatus, Progress as _, status};
use crate::model::fact::Fact;
use crate::model::path::escape;

use super::args::DbCommand;
use super::exit::Exit;
use super::{Context, Failure, images, output};

/// Runs a command on the snapshot.
pub(super) fn run(command: &DbCommand, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let DbCommand::Status(args) = command;
    let store = match images::snapshot(args, context)? {
        Fact::Known(store) => store,
        Fact::Absent => {
            let place = images::usual_snapshot().map(|path| format!(" in {}", path.display()));
            let place = place.unwrap_or_default();
            return Err(Failure::undecided(format!("there is no snapshot{place}: name one with `--db DIR`")));
        }
        Fact::Unknown(cause) => return Err(Failure::undecided(cause)),
    };
    let (text, exit) = list(&store, context)?;
    output::write(text.as_bytes(), None, out).map_err(Failure::undecided)?;
    Ok(exit)
}

/// One line an ecosystem. What could not be read of it makes the command end as undecided.
fn list(store: &Store, context: &Context) -> Result<(String, Exit), Failure> {
    let mut text =
        format!("{:<16} {:>9} {:>10}  {:<20}  id\n", "ecosystem", "records", "unreadable", "newest");
    let mut exit = Exit::Admit;
    let bar = context.progress();
    for ecosystem in store.ecosystems().map_err(|error| Failure::undecided(error.to_string()))? {
        bar.advisories(&ecosystem);
        match status(store, &ecosystem) {
            Ok(status) => {
                text.push_str(&line(&ecosystem, &status));
                if status.segment.unreadable > 0 {
                    exit = Exit::Undecided;
                }
            }
            Err(cause) => {
                context.complain(&cause);
                exit = Exit::Undecided;
            }
        }
    }
    Ok((text, exit))
}

fn line(ecosystem: &str, status: &EcosystemStatus) -> String {
    let segment = &status.segment;
    let newest = segment.generated.map(|time| time.strftime("%FT%TZ").to_string());
    let newest = newest.as_deref().unwrap_or("unknown");
    let name = escape(ecosystem.as_bytes());
    let mut text = format!(
        "{name:<16} {:>9} {:>10}  {newest:<20}  {}\n",
        segment.records, segment.unreadable, segment.id
    );
    for name in &status.unreadable {
        let _ = writeln!(text, "  unreadable: {}", escape(name.as_bytes()));
    }
    text
}
