//! `portcullis sign` and `portcullis attest`. Who signs is `signer.rs`; files are signed in `bundle.rs`,
//! keys made and opened in `key.rs`.

mod bundle;
mod key;
mod signer;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use serde::Serialize;
use serde_json::Value;

use crate::attestation::statement::COSIGN_SIGN;
use crate::gate::{self, SignError, SignRequest, What};
use crate::image::limits::Limits;
use crate::model::attestation::SignedManifest;
use crate::model::location::Location;
use crate::model::predicate::predicate_type;
use crate::model::reference::Reference;

use super::exit::Exit;
use super::input::read;
use super::output::{Output, Plan};
use super::trust::roots;
use super::{Context, Failure, clock};

pub(super) use bundle::{SignBundleArgs, sign_bundle};
pub(super) use key::{GenerateKeyArgs, generate_key};
use signer::start_for;
pub(super) use signer::{Ready, SignerArgs, start};

/// Bytes of a predicate: 32 MiB, as many as an attestation may have (design §7).
const MAX_PREDICATE: u64 = 32 << 20;

/// Options of `sign`.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The images, in a registry
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<Location>,
    /// Something that the signature says beside, KEY=VALUE; repeatable
    #[arg(short, long = "annotation", env = "PORTCULLIS_ANNOTATION", value_name = "KEY=VALUE", value_parser = parse_pair)]
    annotations: Vec<(String, String)>,
    /// Sign the index alone, and not the manifests and indexes that it lists
    #[arg(long, env = "PORTCULLIS_NO_RECURSIVE", value_parser = super::args::switch())]
    no_recursive: bool,
    #[command(flatten)]
    how: HowArgs,
}

/// How what is signed hangs, who signs, and what is said of it.
#[derive(Debug, Args)]
struct HowArgs {
    /// bundle: Sigstore bundles as referrers; legacy: the tags .sig and .att, as cosign wrote them up to version 2, which
    /// need a log of version 1; both
    #[arg(long, env = "PORTCULLIS_FORMAT", value_name = "FORMAT", default_value = "bundle", value_parser = parse_format)]
    format: gate::Format,
    #[command(flatten)]
    signer: SignerArgs,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    output: Vec<Output>,
}

fn parse_format(text: &str) -> Result<gate::Format, String> {
    match text {
        "bundle" => Ok(gate::Format::Bundle),
        "legacy" => Ok(gate::Format::Legacy),
        "both" => Ok(gate::Format::Both),
        _ => Err("it is `bundle`, `legacy` or `both`".into()),
    }
}

/// Options of `attest`.
#[derive(Debug, Args)]
pub(super) struct AttestArgs {
    /// The images, in a registry
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<Location>,
    /// The predicate type: cyclonedx, spdxjson, vuln, slsaprovenance1, openvex, custom, …, or a URI
    #[arg(long = "type", env = "PORTCULLIS_TYPE", value_name = "TYPE", value_parser = claim_type)]
    predicate_type: String,
    /// The file with the predicate, JSON
    #[arg(long, env = "PORTCULLIS_PREDICATE", value_name = "FILE")]
    predicate: PathBuf,
    /// Take the attestations of this type by the same signer away, once this one is there
    #[arg(long, env = "PORTCULLIS_REPLACE", value_parser = super::args::switch())]
    replace: bool,
    /// Attest the manifests and indexes that an index lists too, and not the index alone
    #[arg(long, env = "PORTCULLIS_RECURSIVE", value_parser = super::args::switch())]
    recursive: bool,
    #[command(flatten)]
    how: HowArgs,
}

/// A predicate type that is a claim. What `cosign sign` makes is a signature, and nothing else may be one.
fn claim_type(text: &str) -> Result<String, String> {
    match predicate_type(text)? {
        signature if signature == COSIGN_SIGN => Err("that is a signature: use `portcullis sign`".into()),
        other => Ok(other),
    }
}

pub(super) fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected KEY=VALUE".into())
}

/// Signs images.
pub(super) fn sign(args: &SignArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let annotations: BTreeMap<String, String> = args.annotations.iter().cloned().collect();
    if annotations.len() < args.annotations.len() {
        return Err(Failure::usage("an annotation stands twice"));
    }
    let what = What::Signature { annotations };
    let work =
        Work { images: &args.images, what: &what, recursive: !args.no_recursive, format: args.how.format };
    work.run(&args.how, context, out)
}

/// Attests something of images.
pub(super) fn attest(args: &AttestArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let bytes = read(&args.predicate, MAX_PREDICATE)?;
    let unusable =
        |cause: String| Failure::usage(format!("the predicate {}: {cause}", args.predicate.display()));
    let predicate: Value =
        serde_json::from_slice(&bytes).map_err(|error| unusable(format!("is no JSON: {error}")))?;
    let what = What::Attestation {
        predicate_type: args.predicate_type.clone(),
        predicate,
        replace: args.replace.then_some(&[]),
    };
    let work = Work { images: &args.images, what: &what, recursive: args.recursive, format: args.how.format };
    work.run(&args.how, context, out)
}

/// What is to be done.
struct Work<'a> {
    images: &'a [Location],
    what: &'a What,
    recursive: bool,
    format: gate::Format,
}

/// What was done, as the report has it.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    images: &'a [Done],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    manifests: Vec<SignedManifest>,
}

/// How the report is written.
enum Format {
    Text,
    Json,
}

const FORMATS: &[&Format] = &[&Format::Text, &Format::Json];

impl Format {
    fn id(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    fn render(&self, done: &[Done]) -> String {
        match self {
            Self::Text => done.iter().map(Done::text).collect(),
            Self::Json => {
                let report = Report { schema: "portcullis.dev/signed/v1", images: done };
                serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
            }
        }
    }
}

impl Done {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.reference);
        for manifest in &self.manifests {
            // The image's own is the first.
            let is_root = self.manifests.first().is_some_and(|root| root.subject == manifest.subject);
            let whole = if is_root { "image" } else { "part" };
            let platform = manifest.platform.as_ref().map_or_else(|| whole.to_owned(), ToString::to_string);
            let mut became: Vec<String> = match (&manifest.referrer, manifest.listed) {
                (Some(referrer), Some("fallbackTag")) => {
                    vec![format!("signed: {referrer}, listed by the fallback tag")]
                }
                (Some(referrer), _) => vec![format!("signed: {referrer}")],
                (None, _) => Vec::new(),
            };
            became.extend(manifest.tag.as_ref().map(|tag| format!("signed: a layer of the tag {tag}")));
            if became.is_empty() {
                became.push("was signed already".to_owned());
            }
            text.push_str(&format!("  {platform} {}\n", manifest.subject));
            text.extend(became.iter().map(|line| format!("    {line}\n")));
            for left in &manifest.left {
                text.push_str(&format!("    could not be taken away: {left}\n"));
            }
            for replaced in &manifest.replaced {
                text.push_str(&format!("    in place of {replaced}\n"));
            }
        }
        text
    }
}

impl Work<'_> {
    fn run(&self, how: &HowArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
        let HowArgs { signer, output, .. } = how;
        let plan = Plan::new(output, FORMATS, Format::id).map_err(Failure::usage)?;
        let references: Vec<&Reference> = self
            .images
            .iter()
            .map(|image| match image {
                Location::Registry(reference) => Ok(reference),
                Location::OciLayout { .. }
                | Location::OciArchive { .. }
                | Location::DockerArchive { .. }
                | Location::Sbom { .. } => {
                    Err(Failure::usage(format!("{image} is in no registry: push it, and sign it there")))
                }
            })
            .collect::<Result<_, Failure>>()?;
        let Some(registry) = context.registry(self.images)? else {
            return Err(Failure::usage("`--offline` and signing exclude each other"));
        };
        let roots = roots(&signer.trust, context)?;
        let Ready { run, key } = start_for(signer, self.format, context)?;
        let trust = &roots.settle(&|message| context.complain(message)).trust;
        let now = clock::now();
        let mut exit = Exit::Admit;
        let mut done = Vec::new();
        for reference in references {
            let request = SignRequest {
                reference,
                registry,
                what: self.what,
                recursive: self.recursive,
                format: self.format,
                trust,
                key: key.as_ref(),
                limits: &Limits::default(),
                now,
            };
            let signed = gate::sign(&request, &run);
            let error = signed.as_ref().err().map(ToString::to_string);
            if let Err(error) = &signed {
                let is_usage = matches!(error, SignError::Usage(_));
                let (error, name) = (error.to_string(), reference.to_string());
                // What a registry says begins with it.
                let shown = if error.starts_with(&name) { error } else { format!("{name}: {error}") };
                context.complain(&shown);
                exit = exit.max(if is_usage { Exit::Usage } else { Exit::Undecided });
            }
            let manifests = signed.unwrap_or_default();
            let left: usize = manifests.iter().map(|manifest| manifest.left.len()).sum();
            // Whoever asked for the old ones to go must not believe that they are gone.
            if left > 0 {
                context.complain(&format!(
                    "{reference}: {left} older could not be taken away, and still count: delete them in the \
                     registry, or let a policy ask for a `maxAge`"
                ));
                exit = exit.max(Exit::Undecided);
            }
            done.push(Done { reference: reference.to_string(), error, manifests });
        }
        Ok(plan.deliver(exit, context, out, |format, _| format.render(&done)))
    }
}
