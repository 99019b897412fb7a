//! Who signs, and by which services.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use reqwest::Url;

use crate::attestation::{LogOfKey, PublicKey, Whose};
use crate::gate::Format;
use crate::model::path::escape;
use crate::sigstore::{
    self, Credentials, Instance, Invitation, LogVersion, MAX_CONFIG, Person, Provider, Run, SignIn,
    SigningConfig, Token,
};

use super::key;
use crate::cli::input::read;
use crate::cli::trust::{TrustArgs, is_private};
use crate::cli::{Context, Failure, clock};

/// Who signs, and by which services.
#[derive(Debug, Args)]
pub(in crate::cli) struct SignerArgs {
    /// The identity token, or a file that holds it [default: that of the CI system's job]
    #[arg(long, env = "PORTCULLIS_IDENTITY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    identity_token: Option<String>,
    /// A key in place of an identity: PEM as `generate-key` and cosign write it, or PKCS#8
    #[arg(long, env = "PORTCULLIS_SIGNING_KEY", value_name = "FILE", conflicts_with = "identity_token")]
    key: Option<PathBuf>,
    /// Sign in with a browser, also where no terminal is seen [default: where there is neither token nor CI system]
    #[arg(
        long, env = "PORTCULLIS_INTERACTIVE", conflicts_with_all = ["identity_token", "key"],
        value_parser = crate::cli::args::switch()
    )]
    interactive: bool,
    /// Sign in with a browser on another device, by a code
    #[arg(
        long, env = "PORTCULLIS_DEVICE", conflicts_with_all = ["identity_token", "key"],
        value_parser = crate::cli::args::switch()
    )]
    device: bool,
    /// The services that sign (signing_config.json) [default: Sigstore's public-good instance]
    #[arg(long, env = "PORTCULLIS_SIGNING_CONFIG", value_name = "FILE")]
    signing_config: Option<PathBuf>,
    /// The version of the transparency log [default: v1 where there is one, v2 for what is too large for it]
    #[arg(long, env = "PORTCULLIS_LOG_VERSION", value_name = "VERSION", value_parser = parse_log)]
    log: Option<LogVersion>,
    #[command(flatten)]
    pub(in crate::cli) trust: TrustArgs,
}

fn parse_log(text: &str) -> Result<LogVersion, String> {
    match text {
        "v1" | "1" => Ok(LogVersion::V1),
        "v2" | "2" => Ok(LogVersion::V2),
        _ => Err("it is `v1` or `v2`".into()),
    }
}

/// What signs, once it is known who.
pub(in crate::cli) struct Ready {
    /// The services, and by whom they are asked.
    pub(in crate::cli) run: Run,
    /// The public key, where a key signs.
    pub(in crate::cli) key: Option<PublicKey>,
}

impl Ready {
    /// Whose what is made must be.
    pub(in crate::cli) fn whose(&self) -> Whose<'_> {
        match &self.key {
            Some(key) if self.run.is_logged() => Whose::Key(key, LogOfKey::Demanded),
            Some(key) => Whose::Key(key, LogOfKey::NotDemanded),
            None => Whose::Certificate,
        }
    }
}

/// A run by the services and the identity that were asked for.
pub(in crate::cli) fn start(args: &SignerArgs, context: &Context) -> Result<Ready, Failure> {
    start_for(args, Format::Bundle, context)
}

/// The same for signatures of a form.
pub(super) fn start_for(args: &SignerArgs, format: Format, context: &Context) -> Result<Ready, Failure> {
    let failed = |error: sigstore::Error| Failure::undecided(error.to_string());
    let config = match &args.signing_config {
        Some(path) => {
            let bytes = read(path, MAX_CONFIG)?;
            SigningConfig::parse(&bytes)
                .map_err(|cause| Failure::usage(format!("{}: {cause}", path.display())))?
        }
        // Attack, or a slip: what a private instance is to keep for itself, in the public log.
        None if is_private(&args.trust)? => {
            return Err(Failure::usage(
                "`--trusted-root` and `--tuf-mirror` say whom to trust, which is no public instance here: say who signs by \
                 `--signing-config FILE`",
            ));
        }
        None => {
            let instance = if args.trust.staging { Instance::Staging } else { Instance::PublicGood };
            SigningConfig::embedded(instance).map_err(failed)?
        }
    };
    let services = if format.legacy() {
        // cosign's annotations have no place for what a log of version 2 answers.
        if args.log == Some(LogVersion::V2) {
            return Err(Failure::usage("the legacy format needs a log of version 1, and not `--log v2`"));
        }
        config.choose(clock::now(), Some(LogVersion::V1)).map_err(|error| {
            Failure::undecided(format!("{error}; the legacy format needs a log of version 1"))
        })?
    } else {
        config.choose(clock::now(), args.log).map_err(failed)?
    };
    let (credentials, key) = match (&args.key, &args.identity_token) {
        (Some(path), _) => {
            let (private, public) = key::open(path)?;
            (Credentials::Key(private), Some(public))
        }
        (None, Some(text)) => (Credentials::Token(token(text).map_err(failed)?), None),
        (None, None) => (somebody(args, services.oidc.as_ref())?, None),
    };
    let settings = context.services(sigstore::Settings::default());
    let run = Run::new(&settings, services, credentials, clock::now).map_err(failed)?;
    Ok(Ready { run, key })
}

/// A variable of the environment, where it is text.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}

/// Whoever signs in, or the CI system's job.
fn somebody(args: &SignerArgs, issuer: Option<&Url>) -> Result<Credentials, Failure> {
    let is_asked = args.interactive || args.device;
    if !is_asked {
        let provider = Provider::find(variable);
        if let Some(provider) = provider.map_err(|error| Failure::undecided(error.to_string()))? {
            return Ok(Credentials::Ambient(provider));
        }
        // Nobody would see where to sign in, and a job would wait for nothing.
        if !io::stderr().is_terminal() {
            return Err(Failure::undecided(
                "there is no identity token: run in a CI system that gives one, name it by `--identity-token`, sign in \
                 with `--interactive`, or sign with `--key`",
            ));
        }
    }
    let issuer = issuer.ok_or_else(|| {
        Failure::undecided(
            "the signing configuration names no identity provider at which anybody could sign in",
        )
    })?;
    let how = if args.device { SignIn::Device } else { SignIn::Browser };
    Ok(Credentials::Person(Person::new(issuer.clone(), how, invite)))
}

/// Says where to sign in, and opens a browser there where that is meant.
fn invite(invitation: &Invitation<'_>) {
    let url = escape(invitation.url.as_bytes());
    let mut err = io::stderr().lock();
    // Where nobody can be told, nobody signs in, and the wait ends by itself.
    let _ = match invitation.code {
        Some(code) => writeln!(err, "portcullis: sign in at {url} with the code {}", escape(code.as_bytes())),
        None => writeln!(err, "portcullis: sign in at {url}"),
    };
    if invitation.code.is_none() {
        browse(invitation.url);
    }
}

/// Opens a browser, where there is one.
fn browse(url: &str) {
    let mut command = match std::env::var_os("BROWSER").filter(|name| !name.is_empty()) {
        Some(browser) => Command::new(browser),
        None if cfg!(target_os = "macos") => Command::new("open"),
        None if cfg!(windows) => {
            let mut command = Command::new("rundll32");
            command.arg("url.dll,FileProtocolHandler");
            command
        }
        None => Command::new("xdg-open"),
    };
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut browser) = command.spawn() {
        // What becomes of it is nobody's concern, but somebody must wait for it.
        std::thread::spawn(move || browser.wait());
    }
}

/// The token itself, or what a file holds.
fn token(text: &str) -> Result<Token, sigstore::Error> {
    let path = Path::new(text);
    if path.is_file() {
        let mut held = String::new();
        let read = File::open(path).and_then(|file| file.take(1 << 20).read_to_string(&mut held));
        if read.is_ok() {
            return Token::parse(&held);
        }
    }
    Token::parse(text)
}
