//! `portcullis db`: the advisory snapshot by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::feed::{
    self, Change, ErrorKind, Import, Installed, PATIENCE, Store, Updated, Wanted, Watch as _, id_of, import,
    update,
};
use crate::gate::{
    DbError, EcosystemStatus, ExploitFile, Format, PUBLIC_EPSS, PUBLIC_KEV, Progress as _, PullRequest,
    SignError, SignRequest, What, fetch_exploits, open_snapshot, pull, push, sign, status, verify,
};
use crate::image::limits::Limits;
use crate::model::digest::Digest;
use crate::model::fact::Fact;
use crate::model::location::Location;
use crate::model::path::escape;
use crate::model::reference::Reference;
use crate::net::Retry;
use crate::registry::Registry;

use super::args::{DbCommand, ImportArgs, InstalledArgs, PullArgs, PushArgs, StatusArgs, UpdateArgs};
use super::exit::Exit;
use super::output::{self, Plan};
use super::signing::start;
use super::trust::{idle, roots};
use super::{Context, Failure, clock, images};

/// Runs a command on the snapshot.
pub(super) fn run(command: &DbCommand, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let (text, exit) = match command {
        DbCommand::Update(args) => update_from(args, context)?,
        DbCommand::Import(args) => import_from(args, context)?,
        DbCommand::Status(args) => return tell_status(args, context, out),
        DbCommand::Verify(args) => verified(args, context)?,
        DbCommand::Push(args) => pushed(args, context)?,
        DbCommand::Pull(args) => pulled(args, context)?,
    };
    output::write(text.as_bytes(), None, out).map_err(Failure::undecided)?;
    Ok(exit)
}

/// Where the snapshot is installed.
fn directory(args: &InstalledArgs) -> Result<PathBuf, Failure> {
    args.db.clone().or_else(images::usual_snapshot).ok_or_else(|| {
        Failure::usage("there is no home directory to keep advisories in: name a directory with `--db DIR`")
    })
}

/// What is read of the snapshot, which must be there.
fn opened(args: &InstalledArgs, context: &Context) -> Result<Store, Failure> {
    let directory = directory(args)?;
    if !directory.exists() {
        let place = directory.display();
        return Err(Failure::undecided(format!(
            "there is no snapshot in {place}: `portcullis db update --ecosystem E` installs one, `--db DIR` names another"
        )));
    }
    match open_snapshot(&directory, &context.cache_dir()?, clock::now()) {
        Fact::Known(store) => Ok(store),
        Fact::Absent => Err(Failure::undecided(format!("there is no snapshot in {}", directory.display()))),
        Fact::Unknown(cause) => Err(Failure::undecided(cause)),
    }
}

fn update_from(args: &UpdateArgs, context: &Context) -> Result<(String, Exit), Failure> {
    if context.global.offline {
        return Err(Failure::undecided(
            "`--offline` allows no network: `db import` takes advisories from the disk",
        ));
    }
    let installed = InstalledArgs { db: args.snapshot.db.clone() };
    let directory = directory(&installed)?;
    let named: Vec<String> = args.ecosystems.iter().filter(|name| !name.is_empty()).cloned().collect();
    let is_empty = !Installed::is_in(&directory).map_err(|error| Failure::undecided(error.to_string()))?;
    let none = is_empty && named.is_empty() && !args.all;
    let (data, mut exit) = exploits_from(args, &directory, context)?;
    if none && (args.kev || args.epss) {
        return Ok((if context.global.quiet { String::new() } else { data }, exit));
    }
    if none {
        return Err(Failure::usage(format!(
            "nothing is installed in {}: say what is to be, with `--ecosystem E` or `--all`",
            directory.display()
        )));
    }
    let (from, source) = (args.from.as_deref(), args.snapshot.db_source.as_deref());
    let bucket = images::bucket(from, source, Retry::default(), context)?;
    let wanted = Wanted { named, all: args.all };
    let bar = context.progress();
    let updated = update(&directory, &bucket, &wanted, clock::now(), &bar).map_err(unusable)?;
    drop(bar);
    let mut text = data;
    for one in &updated {
        if one.unreadable > 0 {
            context.complain(&unreadable(&one.ecosystem, one.unreadable, &one.unreadable_names));
            exit = Exit::Undecided;
        }
        one.notes.iter().for_each(|note| context.complain(&format!("{}: {note}", one.ecosystem)));
        match told(one) {
            Ok(line) => text.push_str(&line),
            Err(message) => {
                context.complain(&message);
                exit = Exit::Undecided;
            }
        }
    }
    Ok((if context.global.quiet { String::new() } else { text }, exit))
}

/// Fetches the data on exploits that was asked for. What cannot be had is told, and the rest goes on.
fn exploits_from(args: &UpdateArgs, directory: &Path, context: &Context) -> Result<(String, Exit), Failure> {
    let (mut text, mut exit) = (String::new(), Exit::Admit);
    let files = [
        (args.kev, ExploitFile::Kev, "exploited (KEV)", &args.kev_source, PUBLIC_KEV),
        (args.epss, ExploitFile::Epss, "predicted (EPSS)", &args.epss_source, PUBLIC_EPSS),
    ];
    for (_, file, name, from, usual) in files.into_iter().filter(|(asked, ..)| *asked) {
        let from = from.as_deref().filter(|from| !from.is_empty());
        let source = images::bucket(from, Some(usual), Retry::default(), context)?;
        match fetch_exploits(file, &source, directory, clock::now()) {
            Ok(data) => {
                let _ = writeln!(text, "{name:<16} {} CVEs, of {}", data.entries, data.generated);
            }
            Err(cause) => {
                context.complain(&format!("{name}: not updated, and as it was before\n{cause}"));
                exit = Exit::Undecided;
            }
        }
    }
    Ok((text, exit))
}

/// A name or a place that may not be used is the user's to correct.
fn unusable(error: feed::Error) -> Failure {
    match error.kind {
        ErrorKind::Refused => Failure::usage(error.to_string()),
        ErrorKind::NotFound
        | ErrorKind::NotASnapshot
        | ErrorKind::Damaged
        | ErrorKind::Newer
        | ErrorKind::Outdated
        | ErrorKind::Network
        | ErrorKind::TooLarge
        | ErrorKind::Io => Failure::undecided(error.to_string()),
    }
}

/// How many records could not be read, and the first of them.
fn unreadable(ecosystem: &str, count: u64, names: &[String]) -> String {
    let mut text = format!("{ecosystem}: {count} records could not be read, and count as missing");
    for name in names.iter().take(NAMED) {
        let _ = write!(text, "\n  {}", escape(name.as_bytes()));
    }
    if count > NAMED as u64 {
        text.push_str("\n  `portcullis db status` names more");
    }
    text
}

/// Unreadable records that an update names.
const NAMED: usize = 5;

fn told(updated: &Updated) -> Result<String, String> {
    let name = escape(updated.ecosystem.as_bytes());
    match &updated.outcome {
        Ok(Change::None) => Ok(format!("{name:<16} unchanged\n")),
        Ok(Change::Records { put, removed }) => {
            Ok(format!("{name:<16} {put} records new or changed, {removed} removed\n"))
        }
        Ok(Change::Whole) => Ok(format!("{name:<16} fetched whole\n")),
        Err(error) => Err(format!("{}: not updated, and as it was before\n{error}", updated.ecosystem)),
    }
}

fn import_from(args: &ImportArgs, context: &Context) -> Result<(String, Exit), Failure> {
    let directory = directory(&args.installed)?;
    let bar = context.progress();
    let only = args.ecosystem.as_deref().filter(|name| !name.is_empty());
    let request = Import {
        from: &args.from,
        only,
        allow_older: args.allow_older,
        patience: context.global.timeout.unwrap_or(PATIENCE),
        now: clock::now(),
    };
    let imported = import(&directory, &request, &bar)
        .map_err(|error| Failure::undecided(format!("nothing was imported\n{error}")))?;
    drop(bar);
    let mut text = String::new();
    let mut exit = Exit::Admit;
    for one in &imported {
        let name = escape(one.ecosystem.as_bytes());
        let _ = writeln!(text, "{name:<16} {} records", one.records);
        if one.unreadable > 0 {
            // They are in the snapshot as what could not be read: `db status` names them.
            context.complain(&format!("{}: {} records could not be read", one.ecosystem, one.unreadable));
            exit = Exit::Undecided;
        }
    }
    Ok((if context.global.quiet { String::new() } else { text }, exit))
}

fn verified(args: &InstalledArgs, context: &Context) -> Result<(String, Exit), Failure> {
    let store = opened(args, context)?;
    let bar = context.progress();
    let problems = verify(&store, &bar);
    drop(bar);
    if problems.is_empty() {
        let count = store.ecosystems().map_err(|error| Failure::undecided(error.to_string()))?.len();
        // Nothing was looked at, and that is no proof of anything.
        if count == 0 {
            return Err(Failure::undecided(
                "no ecosystem is installed: `portcullis db update --ecosystem E` installs one",
            ));
        }
        return Ok((format!("{count} ecosystems are what was installed\n"), Exit::Admit));
    }
    problems.iter().for_each(|problem| context.complain(problem));
    Ok((String::new(), Exit::Undecided))
}

fn client<'a>(reference: &Reference, context: &'a Context) -> Result<&'a Registry, Failure> {
    let location = Location::Registry(reference.clone());
    context.registry([&location])?.ok_or_else(|| {
        Failure::undecided(format!("{reference} is in a registry, and `--offline` allows no network"))
    })
}

fn failed(error: DbError) -> Failure {
    match error {
        DbError::Usage(message) => Failure::usage(message),
        DbError::Unsigned(message) => Failure { exit: Exit::Deny, message },
        DbError::Failed(message) => Failure::undecided(message),
    }
}

fn pushed(args: &PushArgs, context: &Context) -> Result<(String, Exit), Failure> {
    let store = opened(&args.installed, context)?;
    let Some(installed) = store.installed() else {
        return Err(Failure::usage(
            "only an installed snapshot can be pushed: `portcullis db import DIR` makes one of a directory",
        ));
    };
    let registry = client(&args.reference, context)?;
    // Whoever cannot sign is told before anything is pushed.
    let signer = match args.sign {
        true => Some((start(&args.signer, context)?, roots(&args.signer.trust, context)?)),
        false => None,
    };
    let sign_it = |digest: &Digest| {
        let Some((signer, roots)) = &signer else { return Ok(()) };
        let trust = &roots.settle(&|message| context.complain(message)).trust;
        let request = SignRequest {
            reference: &Reference { tag: None, digest: Some(digest.clone()), ..args.reference.clone() },
            registry,
            what: &What::Signature { annotations: BTreeMap::new() },
            format: Format::Bundle,
            recursive: false,
            trust,
            key: signer.key.as_ref(),
            limits: &Limits::default(),
            now: clock::now(),
        };
        let unsigned = |error| {
            let message = format!(
                "pushed as {digest}; no tag was written, since its signature was not made or not seen\n{error}"
            );
            match error {
                SignError::Usage(_) => DbError::Usage(message),
                SignError::Unread(_)
                | SignError::Unknown(_)
                | SignError::Services(_)
                | SignError::Unverified(_)
                | SignError::Push(_) => DbError::Failed(message),
            }
        };
        sign(&request, &signer.run).map(drop).map_err(unsigned)
    };
    let scratch = context.cache_dir()?;
    let done = push(installed, &args.reference, registry, &scratch, sign_it).map_err(failed)?;
    if context.global.quiet {
        return Ok((format!("{}\n", done.digest), Exit::Admit));
    }
    let mut text = format!(
        "pushed to {}\n  digest      {}\n  snapshot    {}\n  segments    {} ({} bytes packed), {} sent\n",
        args.reference, done.digest, done.snapshot, done.segments, done.bytes, done.sent
    );
    text.push_str(if args.sign { "  signed      yes\n" } else { "  signed      no\n" });
    Ok((text, Exit::Admit))
}

fn pulled(args: &PullArgs, context: &Context) -> Result<(String, Exit), Failure> {
    let directory = directory(&args.installed)?;
    let by = args.signatory.named()?;
    let registry = client(&args.reference, context)?;
    // What is pinned by its digest needs nobody to have signed it.
    let roots = if by.is_none() { idle } else { roots }(&args.trust, context)?;
    let request = PullRequest {
        reference: &args.reference,
        registry,
        by: by.as_ref(),
        trust: &roots.settle(&|message| context.complain(message)).trust,
        directory: &directory,
        allow_older: args.allow_older,
        patience: context.global.timeout.unwrap_or(PATIENCE),
        now: clock::now(),
    };
    let bar = context.progress();
    let done = pull(&request, &bar).map_err(failed)?;
    if !done.kept.is_empty() {
        bar.say(&format!("not in what was pulled, and kept as installed: {}", done.kept.join(", ")));
    }
    drop(bar);
    if context.global.quiet {
        return Ok((format!("{}\n", done.digest), Exit::Admit));
    }
    let text = format!(
        "pulled {}\n  digest      {}\n  snapshot    {}\n  ecosystems  {}\n",
        args.reference,
        done.digest,
        done.snapshot,
        escape(done.ecosystems.join(", ").as_bytes())
    );
    Ok((text, Exit::Admit))
}

/// A form of `db status`.
struct StatusFormat {
    id: &'static str,
    write: fn(&Looked) -> String,
}

const STATUS_FORMATS: &[&StatusFormat] =
    &[&StatusFormat { id: "text", write: as_text }, &StatusFormat { id: "json", write: as_json }];

/// What was seen of a snapshot.
struct Looked {
    directory: PathBuf,
    at: Timestamp,
    ecosystems: Vec<(String, EcosystemStatus)>,
}

/// One line an ecosystem. What could not be read of it makes the command end as undecided.
fn tell_status(args: &StatusArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, STATUS_FORMATS, |format| format.id).map_err(Failure::usage)?;
    let store = opened(&args.installed, context)?;
    let mut exit = Exit::Admit;
    let mut ecosystems = Vec::new();
    let bar = context.progress();
    for ecosystem in store.ecosystems().map_err(|error| Failure::undecided(error.to_string()))? {
        bar.advisories(&ecosystem);
        match status(&store, &ecosystem) {
            Ok(status) => {
                if status.segment.unreadable > 0 {
                    exit = Exit::Undecided;
                }
                ecosystems.push((ecosystem, status));
            }
            Err(cause) => {
                context.complain(&cause);
                exit = Exit::Undecided;
            }
        }
    }
    drop(bar);
    let looked =
        Looked { directory: directory(&args.installed)?, at: args.at.unwrap_or_else(clock::now), ecosystems };
    Ok(plan.deliver(exit, context, out, |format, _| (format.write)(&looked)))
}

impl Looked {
    /// Digest over what could be read.
    fn id(&self) -> String {
        id_of(self.ecosystems.iter().map(|(name, status)| (name.as_str(), &status.segment.id))).to_string()
    }

    /// Seconds since the newest change of any of its records.
    fn age(&self, status: &EcosystemStatus) -> Option<i64> {
        status.segment.generated.map(|newest| self.at.as_second() - newest.as_second())
    }
}

/// An age in the unit that fits.
fn in_words(seconds: i64) -> String {
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn as_text(looked: &Looked) -> String {
    let mut text = format!(
        "{:<16} {:>9} {:>10}  {:<20}  {:>7}  id\n",
        "ecosystem", "records", "unreadable", "newest", "age"
    );
    if looked.ecosystems.is_empty() {
        text.push_str("no ecosystem is installed: `portcullis db update --ecosystem E` installs one\n");
    }
    for (ecosystem, status) in &looked.ecosystems {
        let segment = &status.segment;
        let newest = segment.generated.map(|time| time.strftime("%FT%TZ").to_string());
        let newest = newest.as_deref().unwrap_or("unknown");
        let age = looked.age(status).map_or_else(|| "unknown".to_owned(), in_words);
        let name = escape(ecosystem.as_bytes());
        let _ = writeln!(
            text,
            "{name:<16} {:>9} {:>10}  {newest:<20}  {age:>7}  {}",
            segment.records, segment.unreadable, segment.id
        );
        for name in &status.unreadable {
            let _ = writeln!(text, "  unreadable: {}", escape(name.as_bytes()));
        }
        let unnamed = segment.unreadable.saturating_sub(status.unreadable.len() as u64);
        if unnamed > 0 {
            let _ = writeln!(text, "  unreadable: and {unnamed} more");
        }
        if let Some(origin) = status.part.as_ref().and_then(|part| part.origin.as_ref()) {
            let checked = origin.checked.strftime("%FT%TZ");
            let _ = writeln!(text, "  checked {checked} with {}", escape(origin.source.as_bytes()));
        }
    }
    let _ = writeln!(text, "snapshot {}", looked.id());
    text
}

fn as_json(looked: &Looked) -> String {
    let mut ecosystems = serde_json::Map::new();
    for (ecosystem, status) in &looked.ecosystems {
        let segment = &status.segment;
        let part = status.part.as_ref();
        let origin = part.and_then(|part| part.origin.as_ref());
        let one = json!({
            "id": segment.id,
            "records": segment.records,
            "unreadable": segment.unreadable,
            "unreadableNames": status.unreadable,
            "newest": segment.generated,
            "ageSeconds": looked.age(status),
            "digest": part.map(|part| &part.digest),
            "size": part.map(|part| part.size),
            "source": origin.map(|origin| &origin.source),
            "checked": origin.map(|origin| origin.checked),
            "etag": origin.and_then(|origin| origin.etag.as_deref()),
        });
        ecosystems.insert(ecosystem.clone(), one);
    }
    let document = json!({
        "schema": "portcullis.dev/snapshot-status/v1",
        "directory": looked.directory.display().to_string(),
        "at": looked.at,
        "id": looked.id(),
        "ecosystems": Value::Object(ecosystems),
    });
    format!("{document:#}\n")
}
