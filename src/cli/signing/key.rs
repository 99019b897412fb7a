//! `portcullis generate-key`, and the key of `--key`.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::signer::variable;
use crate::attestation::PublicKey;
use crate::cli::exit::Exit;
use crate::cli::input::read;
use crate::cli::{Context, Failure};
use crate::sigstore::{KeyFile, MAX_KEY, Password, PrivateKey, generate};

/// Variables that have the password: ours, and that of cosign.
const PASSWORDS: [&str; 2] = ["PORTCULLIS_KEY_PASSWORD", "COSIGN_PASSWORD"];

/// Options of `generate-key`.
#[derive(Debug, Args)]
pub(in crate::cli) struct GenerateKeyArgs {
    /// Where the key is written to: PREFIX.key, sealed with a password, and PREFIX.pub
    #[arg(long, env = "PORTCULLIS_OUTPUT_KEY_PREFIX", value_name = "PREFIX", default_value = "cosign")]
    output_key_prefix: PathBuf,
}

/// Makes a key. What is there already is never written over: it might be the only copy of a key.
pub(in crate::cli) fn generate_key(
    args: &GenerateKeyArgs,
    context: &Context,
    _: &mut dyn Write,
) -> Result<Exit, Failure> {
    let file = |suffix: &str| {
        let mut path = args.output_key_prefix.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    let (private, public) = (file(".key"), file(".pub"));
    for path in [&private, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} exists, and is not written over", path.display())));
        }
    }
    let password = password(Ask::Twice, &private)?;
    let made = generate(&password).map_err(|error| Failure::undecided(error.to_string()))?;
    create(&private, made.private.as_bytes(), 0o600)?;
    if let Err(failure) = create(&public, made.public.as_bytes(), 0o644) {
        // Half a pair is none, and would be in the way of the next try.
        let _ = std::fs::remove_file(&private);
        return Err(failure);
    }
    if !context.global.quiet {
        context.complain(&format!("wrote {} and {}", private.display(), public.display()));
    }
    Ok(Exit::Admit)
}

/// Writes a file that is not there yet. Attack: a link in its place, or a key that others may read for a moment.
fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(path).and_then(|mut file: File| {
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = std::fs::remove_file(path);
        }
        written
    });
    written.map_err(|error| Failure::undecided(format!("cannot write {}: {error}", path.display())))
}

/// The key in a file, and the public key that belongs to it.
pub(super) fn open(path: &Path) -> Result<(PrivateKey, PublicKey), Failure> {
    let bytes = zeroize::Zeroizing::new(read(path, MAX_KEY)?);
    let unusable =
        |cause: &dyn ToString| Failure::usage(format!("{}: {}", path.display(), cause.to_string()));
    let file = KeyFile::read(&bytes).map_err(|error| unusable(&error))?;
    let password = if file.is_sealed() { Some(password(Ask::Once, path)?) } else { None };
    let key = file.open(password.as_ref()).map_err(|error| unusable(&error))?;
    let public = PublicKey::read_pem(key.public().as_bytes()).map_err(|error| unusable(&error))?;
    Ok((key, public))
}

/// How a person is asked for a password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Once,
    /// A new one, which must not be mistyped.
    Twice,
}

/// The password of a key's file: from the environment, else from whoever sits at the terminal.
fn password(ask: Ask, path: &Path) -> Result<Password, Failure> {
    if let Some(text) = PASSWORDS.iter().find_map(|name| variable(name)) {
        return Ok(Password::new(text));
    }
    let [ours, cosign] = PASSWORDS;
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "the key {} needs a password: set {ours} or {cosign}",
            path.display()
        )));
    }
    let prompt = |words: &str| {
        rpassword::prompt_password(format!("{words} {}: ", path.display()))
            .map(Password::new)
            .map_err(|error| Failure::usage(format!("the password cannot be asked for: {error}")))
    };
    let password = prompt("Password of")?;
    if ask == Ask::Twice && !prompt("Again, the password of")?.is(&password) {
        return Err(Failure::usage("the passwords are not the same"));
    }
    Ok(password)
}
