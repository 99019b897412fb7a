//! Implementations of Sigstore, which verify what the others sign: portcullis, and beside it PyPI's `sigstore`, npm's `@sigstore/verify` and `@sigstore/sign` (`tests/judges/js`), and the Go libraries
//! sigstore-go and cosign (`tests/judges/go`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::sigstore::{Files, Sigstore, Version};

/// An implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    Portcullis,
    Python,
    JavaScript,
    SigstoreGo,
    Cosign,
}

pub const JUDGES: [Judge; 5] =
    [Judge::Portcullis, Judge::Python, Judge::JavaScript, Judge::SigstoreGo, Judge::Cosign];

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A file.
    Message,
    /// An in-toto statement whose subject is the file.
    Dsse,
}

/// A signature to look at.
pub struct Case<'a> {
    pub files: &'a Files,
    pub bundle: &'a Path,
    pub artifact: &'a Path,
    pub form: Form,
    pub identity: &'a str,
    pub issuer: &'a str,
}

/// How cosign hangs what it signs beside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hung {
    /// A bundle that refers to the image, by the API or by the fallback tag.
    Bundle,
    /// The tags `.sig` and `.att`.
    Legacy,
}

/// What is hung, and the log that it goes to. Legacy signatures have no place for what Rekor v2 answers.
pub const HUNG: [((Form, Hung), Version); 6] = [
    ((Form::Message, Hung::Bundle), Version::V1),
    ((Form::Message, Hung::Bundle), Version::V2),
    ((Form::Dsse, Hung::Bundle), Version::V1),
    ((Form::Dsse, Hung::Bundle), Version::V2),
    ((Form::Message, Hung::Legacy), Version::V1),
    ((Form::Dsse, Hung::Legacy), Version::V1),
];

/// A judge that is installed, and a home for it.
pub struct Installed {
    judge: Judge,
    program: PathBuf,
    home: TempDir,
}

/// Predicate type of [`statement`].
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Password of cosign's keys.
pub const PASSWORD: &str = "a password of a test";

/// The least predicate that is provenance.
pub fn predicate() -> serde_json::Value {
    serde_json::json!({
        "buildDefinition": {"buildType": "https://example.com/build", "externalParameters": {}},
        "runDetails": {"builder": {"id": "https://example.com/builder"}},
    })
}

/// A statement about a file of this SHA-256.
pub fn statement(hex: &str) -> serde_json::Value {
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "artifact", "digest": {"sha256": hex}}],
        "predicateType": PREDICATE, "predicate": predicate(),
    })
}

/// A path that a variable names. Where it is not set the test says so and returns; with
/// `PORTCULLIS_REQUIRE_TOOLS` set it fails instead.
pub fn named(variable: &str, what: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_TOOLS").is_none(), "{variable} is to name {what}");
        println!("skipped: {variable} does not name {what}");
    }
    path
}

impl Judge {
    pub fn installed(self) -> Option<Installed> {
        let program = match self {
            Self::Portcullis => env!("CARGO_BIN_EXE_portcullis").into(),
            Self::Python => super::python()?,
            Self::JavaScript => {
                super::tool("node")?;
                named("PORTCULLIS_JS_JUDGE", "tests/judges/js/judge.js beside its node_modules")?
            }
            Self::SigstoreGo | Self::Cosign => {
                named("PORTCULLIS_GO_JUDGE", "the program that `go build` makes of tests/judges/go")?
            }
        };
        Some(Installed { judge: self, program, home: tempfile::tempdir().unwrap() })
    }
}

impl Installed {
    fn command(&self) -> Command {
        let (program, first): (&Path, Vec<&std::ffi::OsStr>) = match self.judge {
            Judge::Python => (&self.program, vec!["-m".as_ref(), "sigstore".as_ref()]),
            Judge::JavaScript => ("node".as_ref(), vec![self.program.as_os_str()]),
            Judge::Portcullis | Judge::SigstoreGo => (&self.program, Vec::new()),
            Judge::Cosign => (&self.program, vec!["cosign".as_ref()]),
        };
        let mut command = Command::new(program);
        command.args(first).current_dir(self.home.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.home.path()).env("NO_COLOR", "1").env("COSIGN_PASSWORD", PASSWORD);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Runs it with these arguments: what it said, as an error where it failed.
    pub fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let output = self.command().args(arguments).output().unwrap();
        let said = [&output.stderr, output.stdout.as_slice()].concat();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&said).into_owned())
        }
    }

    /// Whether it accepts a signature; what it says against it.
    pub fn verify(&self, case: &Case<'_>) -> Result<(), String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let (bundle, artifact) = (text(case.bundle), text(case.artifact));
        let root = text(&case.files.trusted_root);
        let trust = text(case.files.client_trust(Version::V1));
        let digest = format!("sha256:{}", sha256(case.artifact));
        let arguments: Vec<&str> = match self.judge {
            Judge::Portcullis => vec![
                "verify-bundle",
                "--bundle",
                &bundle,
                "--certificate-identity",
                case.identity,
                "--certificate-oidc-issuer",
                case.issuer,
                "--trusted-root",
                &root,
                &artifact,
            ],
            Judge::Python => vec![
                "--trust-config",
                &trust,
                "verify",
                "identity",
                "--bundle",
                &bundle,
                "--cert-identity",
                case.identity,
                "--cert-oidc-issuer",
                case.issuer,
                &artifact,
            ],
            Judge::JavaScript => {
                let mut all = vec!["verify", &root, &bundle, case.identity, case.issuer];
                all.extend((case.form == Form::Message).then_some(artifact.as_str()));
                all
            }
            Judge::SigstoreGo => vec![
                "verify",
                "--trusted-root",
                &root,
                "--bundle",
                &bundle,
                "--identity",
                case.identity,
                "--issuer",
                case.issuer,
                &digest,
            ],
            Judge::Cosign => {
                let mut all = match case.form {
                    Form::Message => vec!["verify-blob"],
                    Form::Dsse => vec!["verify-blob-attestation", "--type", PREDICATE],
                };
                all.extend(["--trusted-root", &root, "--bundle", &bundle, "--use-signed-timestamps"]);
                all.extend([
                    "--certificate-identity",
                    case.identity,
                    "--certificate-oidc-issuer",
                    case.issuer,
                ]);
                all.push(&artifact);
                all
            }
        };
        self.run(&arguments).map(drop)
    }

    /// Writes a file into its home.
    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Signs a file, or a statement about it; the bundle.
    pub fn sign(
        &self,
        files: &Files,
        rekor: Version,
        token: &str,
        form: Form,
        artifact: &Path,
    ) -> Result<Vec<u8>, String> {
        let bundle = self.home.path().join("bundle.json");
        let _ = std::fs::remove_file(&bundle);
        let bundle = bundle.to_str().unwrap();
        let statement = self.write("statement.json", statement(&sha256(artifact)).to_string().as_bytes());
        let predicate = self.write("predicate.json", predicate().to_string().as_bytes());
        let token_file = self.write("token", token.as_bytes());
        let (artifact, root) = (artifact.to_str().unwrap(), files.trusted_root.to_str().unwrap());
        let config = files.signing_config(rekor).to_str().unwrap();
        let statement = statement.as_str();
        let arguments: Vec<&str> = match (self.judge, form) {
            (Judge::Portcullis, _) => {
                let all = ["sign-bundle", "--identity-token", token, "--bundle", bundle];
                let services = ["--trusted-root", root, "--signing-config", config];
                let last: &[&str] = if form == Form::Dsse { &["--in-toto", statement] } else { &[artifact] };
                [all.as_slice(), &services, last].concat()
            }
            (Judge::Python, _) => {
                let mut all = vec!["--trust-config", files.client_trust(rekor).to_str().unwrap()];
                match form {
                    Form::Message => all.push("sign"),
                    Form::Dsse => {
                        all.extend(["attest", "--predicate", &predicate, "--predicate-type", PREDICATE]);
                    }
                }
                [all, vec!["--identity-token", token, "--bundle", bundle, artifact]].concat()
            }
            (Judge::JavaScript, Form::Message) => vec!["sign", config, &token_file, "message", artifact],
            (Judge::JavaScript, Form::Dsse) => vec!["sign", config, &token_file, "dsse", statement],
            (Judge::SigstoreGo, _) => {
                let all =
                    vec!["sign", "--trusted-root", root, "--signing-config", config, "--token", &token_file];
                let last: &[&str] = if form == Form::Dsse { &["--in-toto", statement] } else { &[artifact] };
                [all.as_slice(), last].concat()
            }
            (Judge::Cosign, _) => {
                let all = match form {
                    Form::Message => vec!["sign-blob", artifact],
                    Form::Dsse => vec!["attest-blob", "--statement", statement],
                };
                let services = ["--yes", "--trusted-root", root, "--signing-config", config];
                [&all, services.as_slice(), &["--identity-token", &token_file, "--bundle", bundle]].concat()
            }
        };
        let output = self.run(&arguments)?;
        match self.judge {
            Judge::JavaScript | Judge::SigstoreGo => Ok(output),
            Judge::Portcullis | Judge::Python | Judge::Cosign => Ok(std::fs::read(bundle).unwrap()),
        }
    }

    /// Makes a key pair with cosign, encrypted with [`PASSWORD`]: `cosign.key` and `cosign.pub`.
    pub fn generate_key_pair(&self) -> (PathBuf, PathBuf) {
        assert_eq!(self.judge, Judge::Cosign);
        self.run(&["generate-key-pair"]).unwrap();
        (self.home.path().join("cosign.key"), self.home.path().join("cosign.pub"))
    }
}

/// What cosign does to images.
impl Installed {
    /// Signs an image with cosign, or attests [`predicate`] of it. Legacy goes to Rekor v1 alone.
    pub fn hang(
        &self,
        sigstore: &Sigstore,
        files: &Files,
        rekor: Version,
        token: &str,
        (form, hung): (Form, Hung),
        reference: &str,
    ) -> Result<(), String> {
        assert_eq!(self.judge, Judge::Cosign);
        let token = self.write("token", token.as_bytes());
        let predicate = self.write("predicate.json", predicate().to_string().as_bytes());
        let mut all = match form {
            Form::Message => vec!["sign"],
            Form::Dsse => vec!["attest", "--predicate", &predicate, "--type", PREDICATE],
        };
        all.extend([
            "--yes",
            "--identity-token",
            &token,
            "--trusted-root",
            files.trusted_root.to_str().unwrap(),
        ]);
        let stamps = sigstore.tsa_url();
        match hung {
            Hung::Bundle => all.extend(["--signing-config", files.signing_config(rekor).to_str().unwrap()]),
            Hung::Legacy => {
                assert_eq!(rekor, Version::V1);
                all.extend(["--new-bundle-format=false", "--use-signing-config=false"]);
                all.extend(["--fulcio-url", sigstore.fulcio.url(), "--rekor-url", sigstore.rekor.url()]);
                // Cosign 3.1.3 stamps a legacy attestation's envelope and looks for one of its signature.
                if form == Form::Message {
                    all.extend(["--timestamp-server-url", &stamps]);
                }
            }
        }
        all.push(reference);
        self.run(&all).map(drop)
    }

    /// Whether cosign accepts the signature of an image, or the attestation.
    pub fn hangs(
        &self,
        files: &Files,
        (form, hung): (Form, Hung),
        identity: &str,
        issuer: &str,
        reference: &str,
    ) -> Result<(), String> {
        assert_eq!(self.judge, Judge::Cosign);
        let mut all = match form {
            Form::Message => vec!["verify"],
            Form::Dsse => vec!["verify-attestation", "--type", PREDICATE],
        };
        all.extend(["--trusted-root", files.trusted_root.to_str().unwrap()]);
        all.extend(((form, hung) != (Form::Dsse, Hung::Legacy)).then_some("--use-signed-timestamps"));
        all.extend((hung == Hung::Legacy).then_some("--new-bundle-format=false"));
        all.extend(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer, reference]);
        self.run(&all).map(drop)
    }
}

fn sha256(path: &Path) -> String {
    portcullis::model::digest::Digest::sha256(&std::fs::read(path).unwrap()).hex().to_owned()
}
