//! `portcullis scan`: findings, without a policy.

use std::io::Write;

use crate::gate::{Believing, Roots, gather, note_end_of_life};
use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::location::Location;
use crate::model::severity::Severity;
use crate::policy::Signatories;
use crate::report;

use super::args::ScanArgs;
use super::exit::Exit;
use super::output::Plan;
use super::trust::roots;
use super::{Context, Failure, clock, images};

/// Scans every image and writes the reports, which are complete whatever the exit code.
pub(super) fn run(args: &ScanArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, report::FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let believed = believed(args, context)?;
    let supplements = images::supplements(&args.supplements, &args.snapshot, context)?;
    let snapshot = images::snapshot(&args.snapshot, context)?;
    let now = args.at.unwrap_or_else(clock::now);
    let answers = images::each(&args.image, (&snapshot, &supplements), context, |request, progress| {
        let vex = believed.as_ref().map(|(by, roots)| Believing { by, roots });
        let mut evidence = gather(request, now, vex, progress)?;
        note_end_of_life(&mut evidence, now);
        Ok(evidence)
    })?;
    let scanned: Vec<&Evidence> = answers.iter().flatten().collect();
    let exit = answers
        .iter()
        .map(|answer| answer.as_ref().map_or(Exit::Usage, |evidence| ended(evidence, args.fail_on)))
        .max()
        .unwrap_or(Exit::Undecided);
    if scanned.is_empty() {
        return Ok(exit);
    }
    Ok(plan.deliver(exit, context, out, |format, style| format.scan(&scanned, style)))
}

/// Whose VEX is believed that hangs on the image; nobody's where it is not asked for.
fn believed(args: &ScanArgs, context: &Context) -> Result<Option<(Signatories, Roots)>, Failure> {
    if !args.attested_vex {
        return Ok(None);
    }
    // Attack: what anybody hung on the image, which clears all that was found.
    let by = args.signatory.signatories()?;
    if by.needed() > 1 {
        return Err(Failure::usage(
            "`--require`: VEX is believed of each of those who are named, by himself",
        ));
    }
    if args.image.images.iter().any(|image| matches!(image, Location::Sbom { .. })) {
        return Err(Failure::usage("`--attested-vex` is for images: nothing hangs on an SBOM document"));
    }
    Ok(Some((by, roots(&args.trust, context)?)))
}

/// How a scan ended (design §3): 0 when it completed; with `--fail-on` 1 where a finding reaches it, and
/// 3 where that cannot be said of a package or a finding. A sure finding goes before a doubt.
fn ended(evidence: &Evidence, fail_on: Option<Severity>) -> Exit {
    let Fact::Known(platforms) = &evidence.platforms else { return Exit::Undecided };
    if !evidence.faults.is_empty() || !matches!(evidence.snapshot, Fact::Known(_)) {
        return Exit::Undecided;
    }
    let Some(least) = fail_on else {
        let complete = platforms.iter().all(|platform| matches!(platform.findings, Fact::Known(_)));
        return if complete { Exit::Admit } else { Exit::Undecided };
    };
    let mut ends: Vec<Exit> = platforms.iter().map(|platform| platform_ended(platform, least)).collect();
    // An advisory that could not be read may be about any package.
    let mut segments =
        evidence.snapshot.known().into_iter().flat_map(|snapshot| snapshot.ecosystems.values());
    if segments.any(|segment| segment.unreadable > 0) {
        ends.push(Exit::Undecided);
    }
    if ends.contains(&Exit::Deny) { Exit::Deny } else { ends.into_iter().max().unwrap_or(Exit::Undecided) }
}

fn platform_ended(platform: &PlatformEvidence, least: Severity) -> Exit {
    let (Fact::Known(findings), Fact::Known(inventory)) = (&platform.findings, &platform.inventory) else {
        return Exit::Undecided;
    };
    // What VEX sets aside as far as it could be seen is neither sure nor set aside.
    let sure = || findings.findings.iter().filter(|finding| finding.vex_doubt.is_none());
    let doubtful = findings.findings.iter().filter(|finding| finding.vex_doubt.is_some());
    let reaches = |severity: Severity| severity != Severity::Unknown && severity >= least;
    let mut doubtful = doubtful.map(|finding| finding.severity);
    // A package that was made to harm is worse than any defect, and its advisory states no severity.
    let malicious = findings.findings.iter().any(|finding| finding.malicious);
    if malicious || sure().any(|finding| reaches(finding.severity)) {
        Exit::Deny
    } else if sure().any(|finding| finding.severity == Severity::Unknown)
        || doubtful.any(|severity| severity == Severity::Unknown || reaches(severity))
        || !findings.undetermined.is_empty()
        || !inventory.gaps.is_empty()
    {
        Exit::Undecided
    } else {
        Exit::Admit
    }
}
