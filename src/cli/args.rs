//! What can be typed: the command line of design §3, as far as this version has it. Every option can be
//! given as `PORTCULLIS_…` in the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::severity::Severity;

use super::output::Output;
use super::signatory::SignatoryArgs;
use super::signing::{AttestArgs, GenerateKeyArgs, SignArgs, SignBundleArgs, SignerArgs};
use super::trust::TrustArgs;
use super::verify::VerifyArgs;
use super::verify_bundle::VerifyBundleArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0  admit: the image may enter; other commands: done
  1  deny, or --fail-on was reached
  2  wrong usage, or the policy is none
  3  undecided: something could not be read, fetched or compared. Treat it as a no

IMAGE is one of:
  ghcr.io/acme/app:tag, …@sha256:…  an image in a registry
  oci:DIR[:TAG]                     an OCI layout in a directory
  oci-archive:FILE[:TAG]            an OCI layout in a tar file
  docker-archive:FILE[:TAG|@N]      what `docker save` writes
  sbom:FILE                         gate, scan and sbom: what an SBOM says (CycloneDX or SPDX JSON)";

/// A supply-chain security gate for container images: may this image enter?
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Print the decision and its reasons only, and no progress
    #[arg(short, long, global = true, env = "PORTCULLIS_QUIET", value_parser = switch())]
    pub(super) quiet: bool,
    /// Print also what holds, and on standard error which cataloger took how long and found what
    #[arg(short, long, global = true, env = "PORTCULLIS_VERBOSE", value_parser = switch())]
    pub(super) verbose: bool,
    /// Show no progress on the terminal
    #[arg(long, global = true, env = "PORTCULLIS_NO_PROGRESS", value_parser = switch())]
    pub(super) no_progress: bool,
    /// When to colour the text report
    #[arg(long, global = true, env = "PORTCULLIS_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
    /// Where compiled advisories and what was read of layers are kept [default: portcullis in the user's cache
    /// directory]
    #[arg(long, global = true, env = "PORTCULLIS_CACHE_DIR", value_name = "DIR")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Read every layer, also those that were read before, and keep nothing of them
    #[arg(long, global = true, env = "PORTCULLIS_NO_CACHE", value_parser = switch())]
    pub(super) no_cache: bool,
    /// No network at all: what is in a registry is undecided
    #[arg(long, global = true, env = "PORTCULLIS_OFFLINE", value_parser = switch())]
    pub(super) offline: bool,
    /// A PEM file with certificate authorities that registries may use beside the system's
    #[arg(long, global = true, env = "PORTCULLIS_REGISTRY_CA", value_name = "FILE")]
    pub(super) registry_ca: Option<PathBuf>,
    /// A registry that is spoken to without TLS, HOST or HOST:PORT; repeatable
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_INSECURE_REGISTRY",
        value_name = "HOST",
        value_delimiter = ','
    )]
    pub(super) insecure_registry: Vec<String>,
    /// Settings of registries: authorities, client certificates, mirrors [default: portcullis/registries.toml
    /// in the user's configuration directory, where it exists]
    #[arg(long, global = true, env = "PORTCULLIS_REGISTRY_SETTINGS", value_name = "FILE")]
    pub(super) registry_settings: Option<PathBuf>,
    /// Print every exchange with a registry on standard error, secrets left out
    #[arg(long, global = true, env = "PORTCULLIS_TRACE_HTTP", value_parser = switch())]
    pub(super) trace_http: bool,
    /// When registries are no longer waited for, such as 90s or 5m: what is missing then is undecided
    #[arg(long, global = true, env = "PORTCULLIS_TIMEOUT", value_name = "TIME", value_parser = parse_duration)]
    pub(super) timeout: Option<Duration>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Judge images by a policy: admit, deny or undecided
    Gate(GateArgs),
    /// List what is in an image, as an SBOM
    Sbom(SbomArgs),
    /// Sign images in a registry, keyless, as cosign does
    Sign(SignArgs),
    /// Attest something of images in a registry: an SBOM, a scan, a test
    Attest(AttestArgs),
    /// Sign a file, or an in-toto statement, and write the Sigstore bundle
    SignBundle(SignBundleArgs),
    /// Make a key to sign with, as cosign does
    GenerateKey(GenerateKeyArgs),
    /// Verify who signed images, or attested something of them, without a policy
    Verify(VerifyArgs),
    /// Match the packages of images against advisories, without a policy
    Scan(ScanArgs),
    /// Check manifests, indexes, configurations and layers, without a policy
    Validate(ValidateArgs),
    /// Say what a check, a rule or an advisory is about; without an id, list all checks and rules
    Explain(ExplainArgs),
    /// Copy an image with everything that hangs on it: platforms, attestations, signatures
    Copy(CopyArgs),
    /// Show what hangs on an image: platforms, attestations, signatures, and who is said to have signed
    Tree(TreeArgs),
    /// Verify a Sigstore bundle for a file or a digest, and who signed it
    VerifyBundle(VerifyBundleArgs),
    /// The advisory snapshot
    #[command(subcommand)]
    Db(DbCommand),
    /// Policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Compare two versions as an ecosystem does; without them, pairs from standard input
    CompareVersions(CompareArgs),
}

/// Which images, and which platforms of them.
#[derive(Debug, Args)]
pub(super) struct ImageArgs {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    pub(super) images: Vec<Location>,
    /// One platform, such as linux/amd64, or all
    #[arg(long, env = "PORTCULLIS_PLATFORM", value_name = "PLATFORM", default_value = "all")]
    pub(super) platform: PlatformChoice,
    /// The reference that a local image stands for, such as ghcr.io/acme/app:v1.2.3
    #[arg(long = "as", env = "PORTCULLIS_AS", value_name = "REFERENCE")]
    pub(super) stands_for: Option<Reference>,
}

/// What images are built upon.
#[derive(Debug, Args)]
pub(super) struct BaseArgs {
    /// An image that is recognised where it was built upon, by its layers; a local one may be given the name
    /// that it stands for; repeatable
    #[arg(long = "base", env = "PORTCULLIS_BASE", value_name = "[REFERENCE=]IMAGE", value_delimiter = ',')]
    pub(super) bases: Vec<BaseChoice>,
}

/// `IMAGE`, or `REFERENCE=IMAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseChoice {
    pub(super) name: Option<Reference>,
    pub(super) location: Location,
}

impl std::str::FromStr for BaseChoice {
    type Err = <Location as std::str::FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A reference has no `=`, and a path may have one.
        let named = text.split_once('=').and_then(|(name, rest)| Some((name.parse().ok()?, rest)));
        let (name, rest) = named.map_or((None, text), |(name, rest)| (Some(name), rest));
        Ok(Self { name, location: rest.parse()? })
    }
}

/// `OS/ARCH[/VARIANT]` or `all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlatformChoice(pub(super) Option<Platform>);

impl std::str::FromStr for PlatformChoice {
    type Err = <Platform as std::str::FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self(None)) } else { text.parse().map(|platform| Self(Some(platform))) }
    }
}

/// Where the advisories are.
#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    /// The advisory snapshot: what `portcullis db` installed, or a directory in the layout of the OSV bucket,
    /// ECOSYSTEM/all.zip or ECOSYSTEM/*.json [default: portcullis/osv in the user's data directory, which fetches
    /// what an image needs and it lacks]
    #[arg(long, env = "PORTCULLIS_DB", value_name = "DIR")]
    pub(super) db: Option<PathBuf>,
    /// The OSV bucket, or a mirror of it, that advisories are fetched from [default: the public one]
    #[arg(long, env = "PORTCULLIS_DB_SOURCE", value_name = "URL")]
    pub(super) db_source: Option<String>,
}

/// Where advisories are installed.
#[derive(Debug, Args)]
pub(super) struct InstalledArgs {
    /// The directory of the installed snapshot [default: portcullis/osv in the user's data directory]
    #[arg(long, env = "PORTCULLIS_DB", value_name = "DIR")]
    pub(super) db: Option<PathBuf>,
}

/// What is known beside the advisories.
#[derive(Debug, Args)]
pub(super) struct SupplementArgs {
    /// A VEX document, OpenVEX or CycloneDX: what it states of this image or its packages is applied; repeatable
    #[arg(long, env = "PORTCULLIS_VEX", value_name = "FILE", value_delimiter = ',')]
    pub(super) vex: Vec<PathBuf>,
    /// CISA's catalogue of known exploited vulnerabilities [default: kev.json in the snapshot directory, where it
    /// exists]
    #[arg(long, env = "PORTCULLIS_KEV", value_name = "FILE")]
    pub(super) kev: Option<PathBuf>,
    /// FIRST's exploit prediction scores, .csv.gz or .csv [default: epss.csv.gz in the snapshot directory, where it
    /// exists]
    #[arg(long, env = "PORTCULLIS_EPSS", value_name = "FILE")]
    pub(super) epss: Option<PathBuf>,
}

/// Which verdicts are attested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Attesting {
    /// Those that admit.
    Admit,
    /// Those that deny as well.
    Always,
}

/// Options of `gate`.
#[derive(Debug, Args)]
pub(super) struct GateArgs {
    #[command(flatten)]
    pub(super) image: ImageArgs,
    #[command(flatten)]
    pub(super) snapshot: SnapshotArgs,
    #[command(flatten)]
    pub(super) supplements: SupplementArgs,
    #[command(flatten)]
    pub(super) bases: BaseArgs,
    #[command(flatten)]
    pub(super) signer: SignerArgs,
    /// Sign the verdict, and the SBOM and scan of each platform, and push them beside the image: where it is admitted,
    /// or always, unless it is undecided
    #[arg(
        long,
        env = "PORTCULLIS_ATTEST",
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "admit"
    )]
    pub(super) attest: Option<Attesting>,
    /// Attest SBOMs in SPDX too
    #[arg(long, env = "PORTCULLIS_ATTEST_SPDX", value_parser = switch())]
    pub(super) attest_spdx: bool,
    /// Who the attested verdict says has verified, a URI [default: `https://portcullis.dev/gate`]
    #[arg(long, env = "PORTCULLIS_VERIFIER_ID", value_name = "URI")]
    pub(super) verifier_id: Option<String>,
    /// The policy file [default: the built-in baseline]
    #[arg(long, env = "PORTCULLIS_POLICY", value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// The scope of the policy, by name
    #[arg(long, env = "PORTCULLIS_SCOPE", value_name = "NAME", conflicts_with = "env")]
    pub(super) scope: Option<String>,
    /// The environment that the image is to enter, which `when.env` of the scopes is compared with
    #[arg(long, env = "PORTCULLIS_ENV", value_name = "NAME")]
    pub(super) env: Option<String>,
    /// The evaluation time, RFC 3339 [default: now]
    #[arg(long, env = "PORTCULLIS_AT", value_name = "TIME")]
    pub(super) at: Option<Timestamp>,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    pub(super) output: Vec<Output>,
}

/// Options of `scan`.
#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    #[command(flatten)]
    pub(super) image: ImageArgs,
    #[command(flatten)]
    pub(super) snapshot: SnapshotArgs,
    #[command(flatten)]
    pub(super) supplements: SupplementArgs,
    /// Apply VEX that hangs on the image as well, where those signed it who are named
    #[arg(long, env = "PORTCULLIS_ATTESTED_VEX", value_parser = switch())]
    pub(super) attested_vex: bool,
    #[command(flatten)]
    pub(super) signatory: SignatoryArgs,
    #[command(flatten)]
    pub(super) trust: TrustArgs,
    /// The day by which distributions are past their end of life, RFC 3339 [default: now]
    #[arg(long, env = "PORTCULLIS_AT", value_name = "TIME")]
    pub(super) at: Option<Timestamp>,
    /// End with 1 where a finding is that severe or a package malicious, and with 3 where that cannot be said
    #[arg(long, env = "PORTCULLIS_FAIL_ON", value_name = "SEVERITY", value_parser = parse_severity)]
    pub(super) fail_on: Option<Severity>,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    pub(super) output: Vec<Output>,
}

/// Options of `sbom`.
#[derive(Debug, Args)]
pub(super) struct SbomArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(super) image: Location,
    /// One platform, such as linux/amd64, or all with -o FORMAT=DIR/ [default: the only one, else linux on
    /// this machine's architecture]
    #[arg(long, env = "PORTCULLIS_PLATFORM", value_name = "PLATFORM")]
    pub(super) platform: Option<PlatformChoice>,
    /// The reference that a local image stands for, such as ghcr.io/acme/app:v1.2.3
    #[arg(long = "as", env = "PORTCULLIS_AS", value_name = "REFERENCE")]
    pub(super) stands_for: Option<Reference>,
    #[command(flatten)]
    pub(super) bases: BaseArgs,
    /// A document: cyclonedx, cyclonedx-1.5, cyclonedx-1.4, spdx, inventory, text; repeatable, =FILE writes it there [default: cyclonedx]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    pub(super) output: Vec<Output>,
}

/// Options of `validate`.
#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    pub(super) image: ImageArgs,
    #[command(flatten)]
    pub(super) bases: BaseArgs,
    /// Platforms that must be there, such as linux/amd64,linux/arm64
    #[arg(long, env = "PORTCULLIS_REQUIRE_PLATFORM", value_name = "PLATFORM", value_delimiter = ',')]
    pub(super) require_platform: Vec<Platform>,
    /// The source repository that org.opencontainers.image.source must name
    #[arg(long, env = "PORTCULLIS_SOURCE", value_name = "URL")]
    pub(super) source: Option<String>,
    /// The commit that org.opencontainers.image.revision must name
    #[arg(long, env = "PORTCULLIS_REVISION", value_name = "SHA")]
    pub(super) revision: Option<String>,
    /// The most that the stored layers of a platform may have, in bytes
    #[arg(long, env = "PORTCULLIS_MAX_SIZE", value_name = "BYTES")]
    pub(super) max_size: Option<u64>,
    /// Tags of the same repository that must point to this very image, fetched afresh
    #[arg(long, env = "PORTCULLIS_TAGS", value_name = "TAG", value_delimiter = ',')]
    pub(super) tags: Vec<String>,
    /// How long a registry may lag behind a push before a tag counts as broken [default: 60s]
    #[arg(long, env = "PORTCULLIS_WAIT", value_name = "TIME", value_parser = parse_duration)]
    pub(super) wait: Option<Duration>,
    /// The evaluation time, RFC 3339 [default: now]
    #[arg(long, env = "PORTCULLIS_AT", value_name = "TIME")]
    pub(super) at: Option<Timestamp>,
    /// A report: text, json, sarif; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    pub(super) output: Vec<Output>,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The id: of a check, such as MAN-004; of a rule; with --image of an advisory, such as CVE-2024-3094
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,
    /// Why the advisory applies to this image, or does not: every record, range and comparison
    #[arg(long, env = "PORTCULLIS_IMAGE", value_name = "IMAGE", requires = "id")]
    pub(super) image: Option<Location>,
    /// One platform, such as linux/amd64, or all
    #[arg(long, env = "PORTCULLIS_PLATFORM", value_name = "PLATFORM", default_value = "all")]
    pub(super) platform: PlatformChoice,
    #[command(flatten)]
    pub(super) snapshot: SnapshotArgs,
    /// With --image, a report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    pub(super) output: Vec<Output>,
}

/// Options of `copy`.
#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// The image: in a registry, or an OCI layout
    #[arg(value_name = "SOURCE")]
    pub(super) source: Location,
    /// Where it goes: an image in a registry, oci:DIR or oci:DIR:TAG
    #[arg(value_name = "DESTINATION")]
    pub(super) destination: Destination,
    /// Copy the image alone, without what hangs on it
    #[arg(long, env = "PORTCULLIS_NO_REFERRERS", value_parser = switch())]
    pub(super) no_referrers: bool,
}

/// Where an image is copied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) location: Location,
    /// Whether a tag was typed, and not only meant (`latest`).
    pub(super) tagged: bool,
}

impl std::str::FromStr for Destination {
    type Err = <Location as std::str::FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let location: Location = text.parse()?;
        let tagged = match &location {
            Location::Registry(reference) => reference
                .tag
                .as_ref()
                .is_some_and(|tag| text.split('@').next().unwrap_or_default().ends_with(&format!(":{tag}"))),
            Location::OciLayout { tag, .. } | Location::OciArchive { tag, .. } => tag.is_some(),
            Location::DockerArchive { selector, .. } => selector.is_some(),
            Location::Sbom { .. } => false,
        };
        Ok(Self { location, tagged })
    }
}

/// Options of `tree`.
#[derive(Debug, Args)]
pub(super) struct TreeArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(super) image: Location,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    pub(super) output: Vec<Output>,
}

/// Commands on the advisory snapshot.
#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// Fetch what changed since the last time: of the ecosystems that are installed, and of those that are named
    Update(UpdateArgs),
    /// Install advisories from a directory in the layout of the OSV bucket, or from one of its zips
    Import(ImportArgs),
    /// Say what the snapshot has of each ecosystem, and how old it is
    Status(StatusArgs),
    /// Read every byte of the snapshot, and follow every entry
    Verify(InstalledArgs),
    /// Push the installed snapshot to a registry
    Push(PushArgs),
    /// Install a snapshot from a registry
    Pull(Box<PullArgs>),
}

/// Options of `db update`.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// An ecosystem that is to be installed, such as npm or Debian; repeatable
    #[arg(long = "ecosystem", env = "PORTCULLIS_ECOSYSTEM", value_name = "ECOSYSTEM", value_delimiter = ',')]
    pub(super) ecosystems: Vec<String>,
    /// Every ecosystem that the bucket has
    #[arg(long, env = "PORTCULLIS_ALL", value_parser = switch())]
    pub(super) all: bool,
    /// Fetch CISA's catalogue of known exploited vulnerabilities as well
    #[arg(long, env = "PORTCULLIS_UPDATE_KEV", value_parser = switch())]
    pub(super) kev: bool,
    /// Fetch FIRST's exploit prediction scores as well
    #[arg(long, env = "PORTCULLIS_UPDATE_EPSS", value_parser = switch())]
    pub(super) epss: bool,
    /// Where known_exploited_vulnerabilities.json is [default: CISA's]
    #[arg(long, env = "PORTCULLIS_KEV_SOURCE", value_name = "URL")]
    pub(super) kev_source: Option<String>,
    /// Where epss_scores-current.csv.gz is [default: FIRST's]
    #[arg(long, env = "PORTCULLIS_EPSS_SOURCE", value_name = "URL")]
    pub(super) epss_source: Option<String>,
    /// The OSV bucket, or a mirror of it; named here it may also be one without TLS
    #[arg(long, value_name = "URL")]
    pub(super) from: Option<String>,
    #[command(flatten)]
    pub(super) snapshot: SnapshotArgs,
}

/// Options of `db import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// ECOSYSTEM/all.zip or ECOSYSTEM/*.json in a directory, or a zip of records
    #[arg(value_name = "DIR|ZIP")]
    pub(super) from: PathBuf,
    /// Only this ecosystem [default: what the directory has, or what the records of the zip are for]
    #[arg(long, env = "PORTCULLIS_ECOSYSTEM", value_name = "ECOSYSTEM")]
    pub(super) ecosystem: Option<String>,
    /// Take it also where what is installed has newer advisories, or twice as many
    #[arg(long, env = "PORTCULLIS_ALLOW_OLDER", value_parser = switch())]
    pub(super) allow_older: bool,
    #[command(flatten)]
    pub(super) installed: InstalledArgs,
}

/// Options of `db status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) installed: InstalledArgs,
    /// The time that ages are counted to, RFC 3339 [default: now]
    #[arg(long, env = "PORTCULLIS_AT", value_name = "TIME")]
    pub(super) at: Option<Timestamp>,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    pub(super) output: Vec<Output>,
}

/// Options of `db push`.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// Where to, such as registry.internal/advisories:latest
    #[arg(value_name = "REFERENCE")]
    pub(super) reference: Reference,
    /// Sign what was pushed: whoever pulls it by a tag asks who signed it
    #[arg(long, env = "PORTCULLIS_SIGN", value_parser = switch())]
    pub(super) sign: bool,
    #[command(flatten)]
    pub(super) signer: SignerArgs,
    #[command(flatten)]
    pub(super) installed: InstalledArgs,
}

/// Options of `db pull`.
#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// Where from; a digest pins it. Of a tag, which is resolved once, it must be said who signs what it leads to
    #[arg(value_name = "REFERENCE")]
    pub(super) reference: Reference,
    #[command(flatten)]
    pub(super) signatory: SignatoryArgs,
    #[command(flatten)]
    pub(super) trust: TrustArgs,
    /// Install it also where what is installed has newer advisories, or twice as many
    #[arg(long, env = "PORTCULLIS_ALLOW_OLDER", value_parser = switch())]
    pub(super) allow_older: bool,
    #[command(flatten)]
    pub(super) installed: InstalledArgs,
}

/// Commands on policies.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Check policy files: every error with its line
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Options of `compare-versions`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// An OSV ecosystem, such as Debian or PyPI
    #[arg(long, env = "PORTCULLIS_ECOSYSTEM", value_name = "ECOSYSTEM")]
    pub(super) ecosystem: String,
    /// Two versions. Without them, lines `A<TAB>B` are read, and each gets one answer
    #[arg(num_args = 2, value_names = ["A", "B"], allow_hyphen_values = true)]
    pub(super) versions: Vec<String>,
}

/// A switch in the environment: empty, `0`, `no`, `off` and `false` leave it off.
pub(super) fn switch() -> FalseyValueParser {
    FalseyValueParser::new()
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text.parse().map_err(|_| "expected a time such as 90s or 5m")?;
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) | Err(_) => Err("a time beyond nothing is needed, such as 90s or 5m".into()),
    }
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    match Severity::from_word(text) {
        Some(severity) if severity != Severity::Unknown => Ok(severity),
        Some(_) | None => Err("expected none, low, medium, high or critical".into()),
    }
}
