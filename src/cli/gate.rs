//! `portcullis gate`: the main job.

use std::io::Write;

use crate::attestation::Trust;
use crate::attestation::predicate::VERIFIER;
use crate::check::Expected;
use crate::gate::{AttestRequest, Judging, Progress as _, Request, attest, judge};
use crate::model::attestation::Published;
use crate::model::evidence::Evidence;
use crate::model::location::Location;
use crate::model::verdict::{Decision, Verdict};
use crate::policy::{BASELINE, Policy, SelectedPolicy, Selection};
use crate::report::{self, Judged};

use super::args::{Attesting, GateArgs};
use super::exit::Exit;
use super::output::Plan;
use super::signing::{Ready, start};
use super::trust::{idle, roots};
use super::{Context, Failure, clock, images, policy};

/// Judges every image and writes the reports, which are complete whatever the exit code.
pub(super) fn run(args: &GateArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, report::FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let document = read_policy(args, context)?;
    let selection = Selection { scope: args.scope.clone(), env: args.env.clone() };
    let selected = document.select(&selection).map_err(|error| Failure::usage(error.to_string()))?;
    let supplements = images::supplements(&args.supplements, &args.snapshot, context)?;
    let snapshot = images::snapshot(&args.snapshot, context)?;
    let now = args.at.unwrap_or_else(clock::now);
    let expected = match selected.needs_checks() {
        true => images::bases(&args.bases, context)?,
        false => Expected::default(),
    };
    // Where nothing is verified nothing is refreshed.
    let is_verified = (selected.needs_attestations() && args.image.images.iter().any(may_be_signed))
        || args.attest.is_some();
    let roots = if is_verified { roots } else { idle }(&args.signer.trust, context)?;
    let attesting = Attester::new(args, context)?;
    let by = Judging { policy: &selected, expected: &expected, roots: &roots, now };
    let answers = images::each(&args.image, (&snapshot, &supplements), context, |request, progress| {
        let (evidence, verdict) = judge(request, &by, progress)?;
        let published = attesting.as_ref().and_then(|attesting| {
            let trust = || &roots.settle(&|message| progress.warn(message)).trust;
            attesting.attest(request, &selected, (&evidence, &verdict), trust)
        });
        Ok((evidence, verdict, published))
    })?;
    let judged: Vec<Judged<'_>> = answers
        .iter()
        .flatten()
        .map(|(evidence, verdict, published)| Judged { verdict, evidence, published: published.as_ref() })
        .collect();
    let exit = answers.iter().map(|answer| match answer {
        None => Exit::Usage,
        Some((_, verdict, published)) => {
            // The decision stands, and whoever waits for its attestation waits in vain.
            let failed = published.as_ref().is_some_and(|published| published.error.is_some());
            Exit::from(verdict.decision).max(if failed { Exit::Undecided } else { Exit::Admit })
        }
    });
    let exit = exit.max().unwrap_or(Exit::Undecided);
    if judged.is_empty() {
        return Ok(exit);
    }
    Ok(plan.deliver(exit, context, out, |format, style| format.gate(&judged, style)))
}

/// Attests verdicts. All of a run are signed with one certificate.
struct Attester<'a> {
    args: &'a GateArgs,
    when: Attesting,
    signer: Result<Ready, String>,
}

impl<'a> Attester<'a> {
    /// None where no verdict is to be attested.
    fn new(args: &'a GateArgs, context: &Context) -> Result<Option<Self>, Failure> {
        let Some(when) = args.attest else { return Ok(None) };
        if context.global.offline {
            return Err(Failure::usage("`--offline` and `--attest` exclude each other"));
        }
        if args.image.images.iter().any(|image| !matches!(image, Location::Registry(_))) {
            return Err(Failure::usage(
                "`--attest` is for images in a registry: beside another there is no place",
            ));
        }
        // Attack: a verdict of a day that somebody chose, on which a waiver was still in force.
        if args.at.is_some() {
            return Err(Failure::usage(
                "`--at` and `--attest` exclude each other: a verdict is attested when it is made",
            ));
        }
        // Without an identity there is a verdict all the same, and a report of it.
        let signer = match start(&args.signer, context) {
            Ok(signer) => Ok(signer),
            Err(failure) if failure.exit == Exit::Undecided => Err(failure.message),
            Err(failure) => return Err(failure),
        };
        Ok(Some(Self { args, when, signer }))
    }

    /// Attests a verdict, where that kind is attested.
    fn attest<'t>(
        &self,
        request: &Request<'_>,
        policy: &SelectedPolicy<'_>,
        (evidence, verdict): (&Evidence, &Verdict),
        trust: impl FnOnce() -> &'t Trust,
    ) -> Option<Published> {
        let is_wanted = match verdict.decision {
            Decision::Admit => true,
            Decision::Deny => self.when == Attesting::Always,
            Decision::Undecided => false,
        };
        let (Location::Registry(reference), Some(registry), true) =
            (request.location, request.registry, is_wanted)
        else {
            return None;
        };
        let signer = match &self.signer {
            Ok(signer) => signer,
            Err(cause) => return Some(Published { attestations: Vec::new(), error: Some(cause.clone()) }),
        };
        let attested = attest(
            &AttestRequest {
                reference,
                registry,
                evidence,
                policy,
                verdict,
                verifier: self.args.verifier_id.as_deref().unwrap_or(VERIFIER),
                spdx: self.args.attest_spdx,
                trust: trust(),
                key: signer.key.as_ref(),
                limits: request.limits,
            },
            &signer.run,
        );
        Some(match attested {
            Ok(attestations) => Published { attestations, error: None },
            Err(error) => Published { attestations: Vec::new(), error: Some(error.to_string()) },
        })
    }
}

/// Whether there may be something signed: an archive of `docker save` and an SBOM document have no manifest that anything
/// could hang on.
fn may_be_signed(image: &Location) -> bool {
    match image {
        Location::Registry(_) | Location::OciLayout { .. } | Location::OciArchive { .. } => true,
        Location::DockerArchive { .. } | Location::Sbom { .. } => false,
    }
}

/// The policy that was named, or the built-in one.
fn read_policy(args: &GateArgs, context: &Context) -> Result<Policy, Failure> {
    let read = match &args.policy {
        Some(path) => policy::read(path),
        None => {
            if !context.global.quiet {
                context.complain("no --policy given: judging by the built-in baseline");
            }
            policy::parse(BASELINE.as_bytes(), "built-in baseline")
        }
    };
    read.map_err(Failure::usage)
}
