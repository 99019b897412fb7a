//! Programs that keep credentials: `docker-credential-NAME` (docker/docker-credential-helpers, "Development").

use std::io::{ErrorKind, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::credentials::{Credential, Secret};
use super::error::Error;
use super::limits;
use super::settings::settings;
use crate::model::path::escape;

/// How helpers say that they have none (docker-credential-helpers, `errCredentialsNotFoundMessage`).
const NONE: &str = "credentials not found";

/// The user name that stands for an identity token (docker-credential-helpers).
const IDENTITY: &str = "<token>";

/// Between two looks at whether a helper has ended.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a helper for the credentials of a server; none where it says that it has none. What it printed may
/// be a secret, so no error repeats it.
///
/// # Errors
/// `Settings` where it cannot be run, fails, does not end within `patience`, or answers what cannot be
/// understood.
pub(super) fn ask(
    name: &str,
    server: &str,
    patience: Duration,
    at: &str,
) -> Result<Option<Credential>, Error> {
    let program = format!("docker-credential-{name}");
    let failed = |what: &str| {
        let message = format!(
            "the credential helper `{}` {what}: run `echo {server} | {0} get` to see why, or log in again",
            escape(program.as_bytes())
        );
        settings(at, message)
    };
    // Attack: `credsStore: "x/../../tmp/evil"`, which is a path and no name.
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(failed("has a name that is none"));
    }
    let mut child = match Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
    {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(failed("is not installed")),
        Err(_) => return Err(failed("cannot be run")),
    };
    let run = run(&mut child, server, patience);
    if run.is_none() {
        // It may have ended by itself; then there is nothing to end.
        let _ = child.kill();
        let _ = child.wait();
    }
    let Some((success, printed)) = run else {
        return Err(failed(&format!("does not answer within {} s", patience.as_secs_f64())));
    };
    if printed.len() as u64 > limits::HELPER {
        return Err(failed("answers without end"));
    }
    if !success {
        let none = printed.windows(NONE.len()).any(|window| window == NONE.as_bytes());
        return if none { Ok(None) } else { Err(failed("failed")) };
    }
    let answer: Answer = serde_json::from_slice(&printed)
        .map_err(|_| failed("answers what is no JSON object with `Username` and `Secret`"))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        IDENTITY => Credential::Identity(secret),
        _ => Credential::Login(answer.username, secret),
    }))
}

/// Whether it ended well and what it printed; none where it was too slow. A helper may leave a child of its
/// own behind that holds its output open: nobody waits for that.
fn run(child: &mut Child, server: &str, patience: Duration) -> Option<(bool, Vec<u8>)> {
    let until = Instant::now().checked_add(patience)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that knows its answer without the question may have closed its input. A name fits into
        // any pipe.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut printed = Vec::new();
        // What cannot be read is missing in the answer, and is judged with it.
        let _ = output.take(limits::HELPER + 1).read_to_end(&mut printed);
        let _ = sender.send(printed);
    });
    let printed = receiver.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
    // Who prints without end is not waited for.
    if printed.len() as u64 > limits::HELPER {
        let _ = child.kill();
    }
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some((status.success(), printed));
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}
