//! `portcullis verify`: who signed an image, or attested something of it.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{ArgAction, Args};

use crate::gate::{Settled, Trusted, open};
use crate::image::limits::Limits;
use crate::model::location::Location;
use crate::model::predicate::predicate_type;
use crate::model::verdict::Outcome;
use crate::policy::Demand;
use crate::report::{VERIFY_FORMATS, VerifiedImage};

use super::args::PlatformChoice;
use super::exit::Exit;
use super::output::{Output, Plan};
use super::signatory::SignatoryArgs;
use super::signing::parse_pair;
use super::trust::{TrustArgs, roots};
use super::{Context, Failure, clock};

/// Options of `verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The images
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<Location>,
    /// One platform, such as linux/amd64, or all
    #[arg(long, env = "PORTCULLIS_PLATFORM", value_name = "PLATFORM", default_value = "all")]
    platform: PlatformChoice,
    #[command(flatten)]
    signatory: SignatoryArgs,
    /// An attestation of this type, in place of a signature: cyclonedx, spdxjson, vuln, slsaprovenance1, vsa, or a URI
    #[arg(long = "type", value_name = "TYPE", value_parser = predicate_type)]
    predicate_type: Option<String>,
    /// What the signature must say beside, KEY=VALUE; repeatable
    #[arg(
        short,
        long = "annotation",
        value_name = "KEY=VALUE",
        value_parser = parse_pair,
        conflicts_with = "predicate_type"
    )]
    annotations: Vec<(String, String)>,
    #[command(flatten)]
    trust: TrustArgs,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    output: Vec<Output>,
}

/// Ends with 0 where every platform of each image is signed, itself or an index that leads to it, by as many as must of
/// those who were named; with 1 where one is not, and with 3 where that cannot be told.
pub(super) fn run(args: &VerifyArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, VERIFY_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let signatories = args.signatory.signatories()?;
    let roots = roots(&args.trust, context)?;
    let annotations: BTreeMap<String, String> = args.annotations.iter().cloned().collect();
    if annotations.len() < args.annotations.len() {
        return Err(Failure::usage("an annotation stands twice"));
    }
    let keys: Vec<_> = signatories.keys().collect();
    let demand = match &args.predicate_type {
        Some(wanted) => Demand::attestation(&signatories, wanted.clone()),
        None => Demand::signature(&signatories, &annotations),
    };
    let (limits, now) = (Limits::default(), clock::now());
    let registry = context.registry(&args.images)?;
    let mut exit = Exit::Admit;
    let mut verified = Vec::new();
    for location in &args.images {
        let opened = match open(location, args.platform.0.as_ref(), registry, &limits) {
            Ok(opened) => opened,
            Err(error) => {
                context.complain(&error.to_string());
                exit = exit.max(Exit::Usage);
                continue;
            }
        };
        let Settled { trust, roots, .. } = roots.settle(&|message| context.complain(message));
        let mut evidence = opened.attested(&limits, Trusted { trust, keys: &keys, reads: &|_| false });
        evidence.roots.clone_from(roots);
        let (outcome, messages) = demand.decide(&evidence, now);
        exit = exit.max(match outcome {
            Outcome::Hold | Outcome::Waived => Exit::Admit,
            Outcome::Violate => Exit::Deny,
            Outcome::Undecided => Exit::Undecided,
        });
        verified.push(VerifiedImage { evidence, outcome, messages });
    }
    if verified.is_empty() {
        return Ok(exit);
    }
    Ok(plan.deliver(exit, context, out, |format, style| format.verified(&verified, style)))
}
