//! People who sign in, in a browser that the test plays and by a code.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use super::Stage;
use crate::support::registry::Referrers;
use crate::support::sigstore::{Claims, Lie};

const PERSON: &str = "signer@example.com";

/// A run that waits for somebody to sign in.
struct Waiting {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    /// Where to sign in, and what stands behind it.
    url: String,
    rest: String,
}

impl Stage {
    fn waiting(&self, option: &str, environment: &[(&str, &str)]) -> Waiting {
        let artifact = self.write("artifact", "what is signed");
        let (config, root) =
            (self.files.signing_config_v1.to_str().unwrap(), self.files.trusted_root.to_str());
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["sign-bundle", option, "--signing-config", config, "--trusted-root", root.unwrap()]);
        command.args(["--bundle", "bundle.json", &artifact]).current_dir(self.folder.path());
        command.env_clear().env("HOME", self.folder.path()).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        err.read_line(&mut line).unwrap();
        let shown = line.trim().strip_prefix("portcullis: sign in at ").unwrap_or_else(|| panic!("{line}"));
        let (url, rest) = shown.split_once(' ').unwrap_or((shown, ""));
        Waiting { url: url.to_owned(), rest: rest.to_owned(), child, err }
    }

    /// The bundle is by this person.
    fn is_signed_by(&self, name: &str) {
        let root = self.files.trusted_root.to_str().unwrap();
        let (bundle, artifact) =
            (self.folder.path().join("bundle.json"), self.folder.path().join("artifact"));
        let verify = ["verify-bundle", "--trusted-root", root, "--bundle", bundle.to_str().unwrap()];
        let by = ["--certificate-oidc-issuer", self.sigstore.oidc.url(), "--certificate-identity", name];
        self.run(&[verify.as_slice(), &by, &[artifact.to_str().unwrap()]].concat()).ended(0);
    }
}

impl Waiting {
    /// How it ends.
    fn ended(mut self, code: i32) -> String {
        let mut said = String::new();
        self.err.read_to_string(&mut said).unwrap();
        let Output { status, .. } = self.child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(code), "{said}");
        said
    }

    /// Where the browser is sent once the person has signed in.
    fn callback(&self) -> String {
        location(&get(&self.url))
    }

    fn parameter(&self, name: &str) -> String {
        let (_, query) = self.url.split_once('?').unwrap();
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        pair.unwrap_or_else(|| panic!("no {name} in {}", self.url)).to_owned()
    }

    /// An address of the listener.
    fn listener(&self, target: &str) -> String {
        let redirect = self.parameter("redirect_uri").replace("%3A", ":").replace("%2F", "/");
        let (base, _) = redirect.split_once("/auth/callback").unwrap();
        format!("{base}{target}")
    }
}

fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host.replace("localhost", "127.0.0.1")).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn location(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("location: "));
    line.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_person_signs_in_with_a_browser() {
    let stage = Stage::set(Referrers::Off);
    let waiting = stage.waiting("--interactive", &[]);
    assert_eq!(waiting.parameter("code_challenge_method"), "S256");
    let page = get(&waiting.callback());
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Signed in"), "{page}");
    waiting.ended(0);
    stage.is_signed_by(PERSON);
    assert_eq!(stage.sigstore.certificates(), 1);
}

#[test]
fn the_browser_is_opened_where_there_is_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::set(Referrers::Off);
    let opened = stage.folder.path().join("opened");
    let script = stage.write("browser", &format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display()));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let waiting = stage.waiting("--interactive", &[("BROWSER", &script)]);
    get(&waiting.callback());
    let url = waiting.url.clone();
    waiting.ended(0);
    assert_eq!(std::fs::read_to_string(opened).unwrap(), url);
}

#[test]
fn what_is_not_the_sign_in_that_was_begun_is_passed_over() {
    let stage = Stage::set(Referrers::Off);
    let waiting = stage.waiting("--interactive", &[]);
    let idle = TcpStream::connect(
        waiting.listener("").trim_start_matches("http://").replace("localhost", "127.0.0.1"),
    );
    assert!(get(&waiting.listener("/favicon.ico")).starts_with("HTTP/1.1 404"));
    for foreign in ["/auth/callback?code=evil", "/auth/callback?code=evil&state=guessed"] {
        assert!(get(&waiting.listener(foreign)).starts_with("HTTP/1.1 400"), "{foreign}");
    }
    get(&waiting.callback());
    waiting.ended(0);
    drop(idle);
    stage.is_signed_by(PERSON);
}

#[test]
fn a_sign_in_that_is_not_ours_or_was_refused_signs_nothing() {
    let stage = Stage::set(Referrers::Off);
    // A token for another sign-in: its nonce is not the one that was asked for.
    let waiting = stage.waiting("--interactive", &[]);
    let nonce = waiting.parameter("nonce");
    get(&location(&get(&waiting.url.replace(&nonce, "another"))));
    let said = waiting.ended(3);
    assert!(said.contains("not for this sign-in"), "{said}");
    // Another's code, which our verifier does not redeem.
    let waiting = stage.waiting("--interactive", &[]);
    let challenge = waiting.parameter("code_challenge");
    get(&location(&get(&waiting.url.replace(&challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"))));
    let said = waiting.ended(3);
    assert!(said.contains("invalid_grant"), "{said}");
    let waiting = stage.waiting("--interactive", &[]);
    let state = waiting.parameter("state");
    get(&waiting.listener(&format!("/auth/callback?error=access_denied&state={state}")));
    let said = waiting.ended(3);
    assert!(said.contains("access_denied"), "{said}");
    for lie in [Lie::Issuer("https://evil.example"), Lie::Audience("sts"), Lie::Expired] {
        let waiting = stage.waiting("--interactive", &[]);
        stage.sigstore.oidc.lie(lie);
        get(&waiting.callback());
        waiting.ended(3);
    }
    assert_eq!(stage.sigstore.certificates(), 0);
    assert!(!stage.folder.path().join("bundle.json").exists());
}

#[test]
fn a_person_signs_in_on_another_device() {
    let stage = Stage::set(Referrers::Off);
    stage.sigstore.provider.set_person(Claims::email("device@example.com"));
    stage.sigstore.provider.set_waits(2);
    let waiting = stage.waiting("--device", &[]);
    assert!(waiting.rest.contains("the code WXYZ-ABCD"), "{}", waiting.rest);
    waiting.ended(0);
    stage.is_signed_by("device@example.com");
}

#[test]
fn nobody_is_asked_where_nobody_would_see_it() {
    let stage = Stage::set(Referrers::Off);
    let (config, root) = (&stage.files.signing_config_v1, &stage.files.trusted_root);
    let services = ["--signing-config", config.to_str().unwrap(), "--trusted-root", root.to_str().unwrap()];
    let run = stage.run(&[["sign"].as_slice(), &services, &[&stage.image]].concat()).ended(3);
    assert!(run.err().contains("--interactive") && run.err().contains("--identity-token"), "{}", run.err());
    let token = ["sign", "--interactive", "--identity-token", "a.b.c", &stage.image];
    stage.run(&token).ended(2);
    assert_eq!(stage.sigstore.oidc.count(), 0);
}
