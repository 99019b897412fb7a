//! `portcullis sbom`: what is in an image.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::gate::{Opened, open};
use crate::image::limits::Limits;
use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::sbom::{self, Format, Subject};

use super::args::SbomArgs;
use super::exit::Exit;
use super::output::{self, Plan};
use super::{Context, Failure, images};

/// Writes the documents of one platform, or of all into directories. Gaps stand in the documents; an
/// image that could not be read whole has none.
pub(super) fn run(args: &SbomArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, sbom::FORMATS, |format| format.id()).map_err(Failure::usage)?;
    images::stands_for(args.stands_for.as_ref(), std::slice::from_ref(&args.image))?;
    let limits = Limits::default();
    let many = matches!(&args.platform, Some(choice) if choice.0.is_none());
    if many && !plan.iter().all(|(_, file)| file.is_some_and(is_directory)) {
        return Err(Failure::usage("several platforms make several documents: write `-o FORMAT=DIR/`"));
    }
    let created = source_date()?;
    let registry = context.registry([&args.image])?;
    let stated = args.platform.as_ref().and_then(|choice| choice.0.as_ref());
    // A document is of one platform: there is nothing to choose from.
    let is_document = matches!(args.image, Location::Sbom { .. });
    let wanted = stated.filter(|_| is_document);
    let mut opened =
        open(&args.image, wanted, registry, &limits).map_err(|error| Failure::usage(error.to_string()))?;
    if !many
        && !is_document
        && let Some(platform) = choose(&opened, stated)?
    {
        opened.narrow(&platform);
    }
    let bar = context.progress();
    let evidence = opened.inspect(&limits, context.layers().as_ref(), &bar).evidence;
    drop(bar);
    let mut exit = Exit::Admit;
    for platform in readable(&evidence)? {
        for (format, file) in plan.iter() {
            let document = render(format, &evidence, platform, args, created)?;
            let file = file.map(|file| place(file, platform, format)).transpose()?;
            if let Err(message) = output::write(&document, file.as_deref(), out) {
                context.complain(&message);
                exit = Exit::Undecided;
            }
        }
    }
    Ok(exit)
}

/// The platform whose document is written: the one that was asked for, the only one there is, or linux on
/// this machine's architecture. `None` is the only one, or an image of which the reading will say what is
/// wrong.
fn choose(opened: &Opened, stated: Option<&Platform>) -> Result<Option<Platform>, Failure> {
    let there: Vec<&Platform> = opened.platforms().collect();
    let wanted = match stated {
        Some(platform) => platform.clone(),
        None if there.len() <= 1 => return Ok(None),
        None => Platform { os: "linux".into(), architecture: architecture().into(), variant: None },
    };
    if there.is_empty() || there.iter().any(|platform| wanted.matches(platform)) {
        return Ok(Some(wanted));
    }
    let list: Vec<String> = there.iter().map(ToString::to_string).collect();
    let what = match stated {
        Some(_) => "the image has no platform",
        None => "choose one with `--platform`: there is no",
    };
    Err(Failure::usage(format!("{what} {wanted}: it has {}", list.join(", "))))
}

/// This machine's architecture as images name it (Go's `GOARCH`).
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The platforms, all of them read whole and without a fault.
fn readable(evidence: &Evidence) -> Result<&[PlatformEvidence], Failure> {
    let faults: Vec<String> = evidence.faults.iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        return Err(Failure::undecided(format!("no SBOM can be given\n{}", faults.join("\n"))));
    }
    match &evidence.platforms {
        Fact::Known(platforms) => Ok(platforms),
        Fact::Absent => Err(Failure::undecided("no SBOM can be given: the image has no platform")),
        Fact::Unknown(cause) => Err(Failure::undecided(format!("no SBOM can be given: {cause}"))),
    }
}

fn render(
    format: &dyn Format,
    evidence: &Evidence,
    platform: &PlatformEvidence,
    args: &SbomArgs,
    created: Option<Timestamp>,
) -> Result<Vec<u8>, Failure> {
    let inventory = match &platform.inventory {
        Fact::Known(inventory) => inventory,
        Fact::Absent => return Err(Failure::undecided("the image has no inventory")),
        Fact::Unknown(cause) => return Err(Failure::undecided(format!("no SBOM can be given: {cause}"))),
    };
    let reference = args.stands_for.as_ref().or(evidence.reference.known());
    let subject = Subject { image: &evidence.image, reference, platform, inventory, created };
    format.render(&subject).map_err(|error| Failure::undecided(error.to_string()))
}

fn is_directory(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The file that was named, or one for the platform in the directory that was named.
fn place(path: &Path, platform: &PlatformEvidence, format: &dyn Format) -> Result<PathBuf, Failure> {
    if !is_directory(path) {
        return Ok(path.to_owned());
    }
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::undecided(format!("cannot make {}: {error}", path.display())))?;
    // Parts of a platform come from the image; `Platform` holds them to plain characters.
    Ok(path.join(format!("{}.{}", platform.platform.to_string().replace('/', "-"), format.extension())))
}

/// `SOURCE_DATE_EPOCH`, where it is set: the time of the documents (reproducible-builds.org).
fn source_date() -> Result<Option<Timestamp>, Failure> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(Some).ok_or_else(|| Failure::usage("`SOURCE_DATE_EPOCH` is no number of seconds"))
}
