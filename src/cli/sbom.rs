//! `portcullis sbom`: what is in an image.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::gate::{Opened, open};
use crate::image::limits::Limits;
use crate::model::base::Base;
use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::inventory::Inventory;
use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::sbom::{self, Format, Index, Listed, RenderError, Subject};

use super::args::SbomArgs;
use super::exit::Exit;
use super::output::{self, Plan};
use super::{Context, Failure, images};

/// Writes the documents of one platform, or into directories those of all and of the index. Gaps stand in the documents; an
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
    let expected = images::bases(&args.bases, context)?;
    let bar = context.progress();
    let inspected = opened.inspect(&limits, context.layers().as_ref(), &bar);
    drop(bar);
    let mut exit = Exit::Admit;
    let mut failed = |message: &str| {
        context.complain(message);
        exit = Exit::Undecided;
    };
    for unknown in &expected.unknown_bases {
        failed(&format!("{}: {}", unknown.at, unknown.cause));
    }
    let evidence = &inspected.evidence;
    let reference = args.stands_for.as_ref().or(evidence.reference.known());
    let platforms = readable(evidence)?;
    let bases: Vec<Option<Base>> =
        platforms.iter().map(|platform| inspected.base(platform, &expected.bases)).collect();
    let subjects = platforms.iter().zip(&bases).map(|(platform, base)| {
        let (image, inventory) = (&evidence.image, inventory(platform)?);
        Ok(Subject { image, reference, platform, inventory, base: base.as_ref(), created })
    });
    let subjects: Vec<Subject<'_>> = subjects.collect::<Result<_, Failure>>()?;
    // A manifest alone is no index: it is its only platform.
    let is_index = many && platforms.iter().all(|platform| platform.digest != evidence.image.digest);
    let names = names(platforms);
    for (format, file) in plan.iter() {
        let mut listed = Vec::with_capacity(subjects.len());
        for (subject, name) in subjects.iter().zip(&names) {
            let document = format.render(subject).map_err(unwritable)?;
            let file = file.map(|file| place(file, name, format)).transpose()?;
            if let Err(message) = output::write(&document, file.as_deref(), out) {
                failed(&message);
            }
            let name = file.as_deref().and_then(Path::file_name).unwrap_or_default();
            let file = name.to_string_lossy().into_owned();
            listed.push(Listed { subject: *subject, file, document });
        }
        if is_index && let Some(directory) = file {
            let index = Index { image: &evidence.image, reference, platforms: listed };
            let document = format.render_index(&index).map_err(unwritable)?;
            if let Err(message) = output::write(&document, Some(&place(directory, "index", format)?), out) {
                failed(&message);
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

fn inventory(platform: &PlatformEvidence) -> Result<&Inventory, Failure> {
    match &platform.inventory {
        Fact::Known(inventory) => Ok(inventory),
        Fact::Absent => Err(Failure::undecided("the image has no inventory")),
        Fact::Unknown(cause) => Err(Failure::undecided(format!("no SBOM can be given: {cause}"))),
    }
}

fn unwritable(error: RenderError) -> Failure {
    Failure::undecided(error.to_string())
}

fn is_directory(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// What the files of platforms are called: with the digest where two would be called alike, by the case of their
/// letters too. Attack: an index that lists a platform twice, so that the document of one image takes the place of
/// the other's.
fn names(platforms: &[PlatformEvidence]) -> Vec<String> {
    // Parts of a platform come from the image; `Platform` holds them to plain characters.
    let plain = |platform: &PlatformEvidence| platform.platform.to_string().replace('/', "-");
    let distinct: BTreeSet<String> = platforms.iter().map(|it| plain(it).to_lowercase()).collect();
    let name = |platform: &PlatformEvidence| match &platform.digest {
        Some(digest) if distinct.len() < platforms.len() => format!("{}-{}", plain(platform), digest.hex()),
        Some(_) | None => plain(platform),
    };
    platforms.iter().map(name).collect()
}

/// The file that was named, or one in the directory that was named: a platform's, or the index's.
fn place(path: &Path, what: &str, format: &dyn Format) -> Result<PathBuf, Failure> {
    if !is_directory(path) {
        return Ok(path.to_owned());
    }
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::undecided(format!("cannot make {}: {error}", path.display())))?;
    Ok(path.join(format!("{what}.{}", format.extension())))
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
