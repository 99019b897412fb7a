//! The password of a key, asked for on a terminal: a pseudo-terminal that Python opens and types into.

use std::process::{Command, Stdio};

use super::Stage;
use crate::support::cli::Run;
use crate::support::registry::Referrers;
use crate::support::sigstore::Version;
use crate::support::tool;

/// Opens a terminal, starts a command on it, and types a line at each prompt. What was shown goes to standard output, and
/// the command's exit code is its own. It ends by itself where a prompt does not come.
const TERMINAL: &str = r#"
import os, pty, select, sys, termios, time
lines, command = sys.argv[1].split("\n"), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown = b""
while select.select([terminal], [], [], 60)[0]:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    # A prompt is the end of what is shown, with no line after it.
    if lines and b"assword of " in shown.rsplit(b"\n", 1)[-1] and shown.endswith(b": "):
        # Nobody types as fast as this: what comes before the echo is off is shown.
        for _ in range(100):
            if not termios.tcgetattr(terminal)[3] & termios.ECHO:
                break
            time.sleep(0.1)
        os.write(terminal, lines.pop(0).encode() + b"\n")
        shown += b"\n"
else:
    os.kill(pid, 9)
os.write(1, shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xff)
"#;

impl Stage {
    /// Runs the command on a terminal, where somebody types these lines. Nothing of a password is in the environment.
    fn on_terminal(&self, python: &std::path::Path, typed: &[&str], arguments: &[&str]) -> Run {
        let mut command = Command::new(python);
        command.args(["-c", TERMINAL, &typed.join("\n"), env!("CARGO_BIN_EXE_portcullis")]);
        command.args(arguments).args(["--insecure-registry", &self.address]);
        command.env_clear().env("HOME", self.folder.path()).env("PORTCULLIS_DB_SOURCE", "http://127.0.0.1:1");
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        Run::of(&mut command)
    }
}

#[test]
fn a_password_is_asked_for_on_the_terminal_and_never_shown() {
    let Some(python) = tool("python3") else { return };
    let stage = Stage::set(Referrers::Off);
    let generate = |name: &str, typed: &[&str]| {
        stage.on_terminal(&python, typed, &["generate-key", "--output-key-prefix", name])
    };
    let file = |name: &str| stage.folder.path().join(name);
    // Twice, and both times the same.
    let differs = generate("none", &["correct horse", "correct hose"]).ended(2);
    assert!(differs.out().contains("the passwords are not the same"), "{}", differs.out());
    assert!(!file("none.key").exists() && !file("none.pub").exists());
    let made = generate("cosign", &["correct horse", "correct horse"]).ended(0);
    assert_eq!(made.out().matches("assword of").count(), 2, "{}", made.out());
    assert!(made.out().contains("Again"), "{}", made.out());
    assert!(std::fs::read_to_string(file("cosign.key")).unwrap().contains("ENCRYPTED"));
    // Once, where it opens a key.
    let (config, root) = (stage.files.signing_config(Version::V1), &stage.files.trusted_root);
    let services = ["--signing-config", config.to_str().unwrap(), "--trusted-root", root.to_str().unwrap()];
    let sign = |typed: &str| {
        let own = ["sign", "--no-recursive", "--key", "cosign.key", &stage.image];
        stage.on_terminal(&python, &[typed], &[own.as_slice(), &services].concat())
    };
    let wrong = sign("correct hose").ended(2);
    assert!(wrong.out().contains("password is wrong"), "{}", wrong.out());
    assert_eq!(stage.sigstore.journal().len(), 0);
    let signed = sign("correct horse").ended(0);
    let public = file("cosign.pub");
    let verify = ["verify", &stage.image, "--key", public.to_str().unwrap(), "--trusted-root", services[3]];
    stage.run(&verify).ended(0);
    // What is typed is not echoed.
    for run in [differs, made, wrong, signed] {
        assert!(!run.out().contains("horse") && !run.out().contains("hose"), "{}", run.out());
    }
}
