//! Trusted roots that are refreshed by TUF: when, by whom, and what becomes of one that cannot be.

mod kept;

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::model::digest::Digest;
use serde_json::{Value, json};
use sigstore_trust_root::SigstoreInstance;

use super::Stage;
use crate::support::cli::{Run, portcullis};
use crate::support::registry::{Fault, Referrers, on};
use crate::support::sigstore::service::now;
use crate::support::sigstore::{GITHUB, Lie, Role, Sigstore, Version};

const SIGNER: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
/// For what would take as long as we had patience.
const HASTY: &str = "takes longer than 1000 ms";
const TARGET: &str = "trusted_root.json";

/// A private instance with a TUF repository, and a bundle that it signed.
struct Private {
    stage: Stage,
    bundle: String,
    artifact: String,
    root: String,
}

impl Private {
    fn set() -> Self {
        let stage = Stage::set(Referrers::Off);
        let artifact = stage.write("artifact", "what is signed");
        let bundle = stage.folder.path().join("bundle.json").to_str().unwrap().to_owned();
        let services = ["--bundle", &bundle, &artifact];
        let token = stage.token();
        let (config, trusted) = (&stage.files.signing_config_v1, &stage.files.trusted_root);
        let (config, trusted) = (config.to_str().unwrap(), trusted.to_str().unwrap());
        let sign = ["sign-bundle", "--identity-token", &token, "--signing-config", config];
        stage.run(&[&sign[..], &["--trusted-root", trusted], &services].concat()).ended(0);
        let root = String::from_utf8(stage.sigstore.repository.root(1)).unwrap();
        let root = stage.write("root.json", &root);
        Self { stage, bundle, artifact, root }
    }

    fn sigstore(&self) -> &Sigstore {
        &self.stage.sigstore
    }

    /// Whose repository it is.
    fn mirror(&self) -> [&str; 4] {
        ["--tuf-mirror", self.sigstore().tuf.url(), "--tuf-root", &self.root]
    }

    /// How the bundle is verified.
    fn verifying<'a>(&'a self, mode: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let signer = ["--certificate-identity", SIGNER, "--certificate-oidc-issuer", GITHUB];
        let what = ["verify-bundle", "--bundle", &self.bundle, "-o", "json", "--trust-refresh", mode];
        [&what[..], &signer, &self.mirror(), more, &[&self.artifact]].concat()
    }

    fn verify(&self, mode: &str) -> Run {
        self.verify_with(mode, &[])
    }

    fn verify_with(&self, mode: &str, more: &[&str]) -> Run {
        portcullis(self.stage.folder.path(), &self.verifying(mode, more))
    }

    /// What is kept of the instance.
    fn kept(&self) -> PathBuf {
        let mut files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    fn files(&self) -> Vec<PathBuf> {
        let directory = self.stage.folder.path().join(".cache/portcullis/trust");
        let Ok(listed) = fs::read_dir(directory) else { return Vec::new() };
        listed.map(|entry| entry.unwrap().path()).collect()
    }

    /// Changes what is kept.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let path = self.kept();
        let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut document);
        fs::write(path, document.to_string()).unwrap();
    }

    /// Lets what is kept be so old.
    fn age(&self, hours: i64) {
        let then = jiff::Timestamp::from_second(now() - hours * 3_600).unwrap().to_string();
        self.edit(|document| document["checked"] = then.into());
    }

    fn publish(&self, root: &Value) {
        self.sigstore().repository.publish(TARGET, root.to_string().as_bytes());
    }

    fn count(&self) -> usize {
        self.sigstore().tuf.count()
    }
}

fn digest(root: &Value) -> String {
    Digest::sha256(root.to_string().as_bytes()).to_string()
}

fn told(run: &Run) -> Value {
    run.json()["roots"].clone()
}

#[test]
fn a_root_is_refreshed_once_a_day_and_named_in_the_report() {
    let private = Private::set();
    let first = private.verify("background").ended(0);
    let root = &told(&first)[0];
    assert_eq!(root["origin"], "refreshed");
    assert_eq!(root["name"], private.sigstore().tuf.url());
    assert_eq!(first.json()["attestation"]["trustedRoot"], private.sigstore().tuf.url());
    let published = serde_json::to_vec_pretty(&private.sigstore().trusted_root()).unwrap();
    assert_eq!(root["digest"], Digest::sha256(&published).to_string());
    let asked = private.count();
    assert!(asked >= 5, "{asked}");
    assert_eq!(private.verify("background").ended(0).out(), first.out());
    private.age(23);
    private.verify("background").ended(0);
    assert_eq!(private.count(), asked, "within a day nobody is asked");
    private.age(25);
    private.verify("background").ended(0);
    assert!(private.count() > asked);
    // The age counts anew.
    let asked = private.count();
    private.verify("background").ended(0);
    assert_eq!(private.count(), asked);
    private.verify("required").ended(0);
    assert!(private.count() > asked, "where it is required the age is of no matter");
}

#[test]
fn a_root_that_lost_a_log_is_taken_and_one_that_has_it_again_too() {
    let private = Private::set();
    private.verify("background").ended(0);
    private.sigstore().repository.rotate_times(2);
    let whole = private.sigstore().trusted_root();
    let mut revoked = whole.clone();
    revoked["tlogs"].as_array_mut().unwrap().remove(0);
    private.publish(&revoked);
    // Not yet: a day has not passed.
    private.verify("background").ended(0);
    private.age(25);
    let refused = private.verify("background").ended(3);
    assert_eq!(refused.json()["rejection"]["kind"], "unknownLog");
    assert_eq!(told(&refused)[0]["digest"], digest(&revoked));
    // Nor without the network.
    private.verify("never").ended(3);
    private.sigstore().repository.rotate();
    private.publish(&whole);
    let again = private.verify("required").ended(0);
    assert_eq!(told(&again)[0]["digest"], digest(&whole));
}

/// What is done to a repository.
type Trouble = Box<dyn Fn(&Sigstore)>;

/// What a repository does that is no honest one, or is down.
fn troubles() -> Vec<(&'static str, Trouble)> {
    fn target(fault: Fault) -> Trouble {
        Box::new(move |sigstore| sigstore.tuf.fail_on(on("GET", "/targets/").always(), [fault.clone()]))
    }
    fn all(fault: Fault) -> Trouble {
        Box::new(move |sigstore| sigstore.tuf.down(fault.clone()))
    }
    fn timestamp(fault: Fault) -> Trouble {
        Box::new(move |sigstore| sigstore.tuf.fail_on(on("GET", "timestamp").always(), [fault.clone()]))
    }
    let expired = |role| -> Trouble {
        Box::new(move |sigstore: &Sigstore| sigstore.repository.expire(role, now() - 60))
    };
    let slow = Fault::Slow { bytes: 1, pause: Duration::from_millis(200) };
    vec![
        ("signature threshold not met", Box::new(|s| s.tuf.lie_times(100, Lie::TufKey))),
        ("mismatch", Box::new(|s| s.tuf.lie_times(100, Lie::TargetBytes))),
        ("signature threshold not met", Box::new(|s| s.repository.usurp())),
        ("timestamp metadata expired", expired(Role::Timestamp)),
        ("snapshot metadata expired", expired(Role::Snapshot)),
        ("targets metadata expired", expired(Role::Targets)),
        ("root metadata expired", expired(Role::Root)),
        ("not listed", Box::new(|s| s.repository.withdraw(TARGET))),
        ("answers 503", all(Fault::bare(503))),
        ("answers 403", timestamp(Fault::bare(403))),
        ("timestamp.json not found", timestamp(Fault::bare(404))),
        ("not found", target(Fault::bare(404))),
        ("not followed", all(Fault::RedirectToItself)),
        ("timestamp.json: is larger than the limit of 16384 bytes", timestamp(Fault::Endless)),
        ("failed to parse JSON", timestamp(Fault::Html)),
        ("timestamp.json: ", timestamp(Fault::Cut(10))),
        (HASTY, all(Fault::Hang)),
        (HASTY, all(slow)),
        ("timestamp.json: ", timestamp(Fault::Reset)),
    ]
}

#[test]
fn a_refresh_that_fails_leaves_the_known_root_and_says_so() {
    for (said, trouble) in troubles() {
        let private = Private::set();
        // Something new is there, so that all of it is asked for.
        private.verify("required").ended(0);
        private.publish(&json!({"new": 1}));
        private.age(25);
        let kept = fs::read(private.kept()).unwrap();
        trouble(private.sigstore());
        let more: &[&str] = if said == HASTY { &["--timeout", "1s"] } else { &[] };
        let run = private.verify_with("background", more).ended(0);
        let warned = run.err();
        assert!(warned.contains(said), "{said}: {warned}");
        assert!(warned.contains("going on with the one that was checked 25 h ago"), "{warned}");
        assert_eq!(warned.lines().count(), 1, "{warned}");
        assert_eq!(told(&run)[0]["origin"], "refreshed");
        assert!(told(&run)[0]["notRefreshed"].as_str().unwrap().contains(said), "{}", run.out());
        let refused = private.verify_with("required", more).ended(3);
        assert!(refused.err().contains(said) && refused.out().is_empty(), "{said}: {}", refused.err());
        assert!(refused.err().contains("--trusted-root FILE"), "{}", refused.err());
        assert_eq!(fs::read(private.kept()).unwrap(), kept, "{said}");
        assert_eq!(private.verify("never").ended(0).err(), "");
    }
}

#[test]
fn without_any_root_nothing_is_verified() {
    for (said, trouble) in troubles() {
        let private = Private::set();
        trouble(private.sigstore());
        let more: &[&str] = if said == HASTY { &["--timeout", "1s"] } else { &[] };
        for mode in ["background", "required"] {
            let refused = private.verify_with(mode, more).ended(3);
            assert!(refused.err().contains(said) && refused.out().is_empty(), "{said}: {}", refused.err());
        }
        assert!(private.files().is_empty(), "{said}: {:?}", private.files());
    }
    let private = Private::set();
    for more in [&["--offline"][..], &[]] {
        let mode = if more.is_empty() { "never" } else { "background" };
        let refused = private.verify_with(mode, more).ended(3);
        assert!(refused.err().contains("none is known yet"), "{}", refused.err());
    }
    assert_eq!(private.count(), 0);
}

#[test]
fn a_chain_of_roots_that_does_not_end_is_not_followed_for_ever() {
    let private = Private::set();
    private.sigstore().repository.rotate_times(63);
    private.verify("required").ended(0);
    // What is kept is where the next refresh begins.
    private.sigstore().repository.rotate_times(63);
    private.verify("required").ended(0);
    let kept = fs::read(private.kept()).unwrap();
    private.sigstore().repository.rotate_times(64);
    let refused = private.verify("required").ended(3);
    assert!(refused.err().contains("exceeded 64 root rotations"), "{}", refused.err());
    assert_eq!(fs::read(private.kept()).unwrap(), kept);
    private.verify("never").ended(0);
}

#[test]
fn an_older_state_is_refused_and_the_newer_one_is_kept() {
    let private = Private::set();
    let before = private.sigstore().repository.snapshot();
    private.publish(&private.sigstore().trusted_root());
    private.verify("required").ended(0);
    let kept = fs::read(private.kept()).unwrap();
    private.sigstore().repository.roll_back(before);
    let refused = private.verify("required").ended(3);
    assert!(refused.err().contains("rollback detected for timestamp"), "{}", refused.err());
    assert_eq!(fs::read(private.kept()).unwrap(), kept);
}

#[test]
fn a_repository_that_hangs_holds_up_nobody_for_long() {
    let private = Private::set();
    private.verify("required").ended(0);
    private.age(25);
    private.sigstore().tuf.down(Fault::Hang);
    // The refresh would wait for a minute. The process ends while it hangs.
    let run = private.verify("background").ended(0);
    assert!(run.err().contains("does not answer in time"), "{}", run.err());
    assert!(run.err().contains("going on with the one that was checked 25 h ago"), "{}", run.err());
}

#[test]
fn a_root_that_cannot_be_used_is_not_kept() {
    let private = Private::set();
    private.verify("required").ended(0);
    private.age(25);
    let kept = fs::read(private.kept()).unwrap();
    let mut odd = private.sigstore().trusted_root();
    // A key on a curve that nobody here knows (secp256k1).
    let mut spki = vec![0x30, 0x56, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    spki.extend([0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a, 0x03, 0x42, 0x00, 0x04]);
    spki.extend([7; 64]);
    odd["tlogs"][0]["publicKey"]["rawBytes"] = STANDARD.encode(spki).into();
    for root in [odd, json!({"mediaType": "x"}), json!([])] {
        private.publish(&root);
        let run = private.verify("background").ended(0);
        assert!(run.err().contains("not refreshed, going on with"), "{}", run.err());
        private.verify("required").ended(3);
        assert_eq!(fs::read(private.kept()).unwrap(), kept);
    }
}

#[test]
fn what_a_private_instance_is_to_keep_goes_to_no_public_log() {
    let stage = Stage::set(Referrers::Off);
    let (file, bundle) = (stage.write("a.txt", "a"), stage.folder.path().join("b.json"));
    let public = stage.write("public.json", SigstoreInstance::PublicGood.embedded_trusted_root_json());
    let private = stage.files.trusted_root.to_str().unwrap();
    let token = stage.token();
    let sign = |root: &str| {
        let own =
            ["sign-bundle", "--bundle", bundle.to_str().unwrap(), "--timeout", "1s", "--trusted-root", root];
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(own).args(["--identity-token", &token, &file]).env_clear();
        // Nothing is reached that is not on this machine.
        command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("HOME", stage.folder.path());
        Run::of(command.stdin(Stdio::null()))
    };
    let refused = sign(private).ended(2);
    assert!(refused.err().contains("no public instance here"), "{}", refused.err());
    // A root that a log of the public instance is in is one of it: its services are asked.
    sign(&public).ended(3);
}

#[test]
fn images_are_signed_verified_and_judged_under_a_refreshed_root() {
    let private = Private::set();
    let Private { stage, .. } = &private;
    let (mirror, token) = (private.mirror(), stage.token());
    let fresh = [&mirror[..], &["--trust-refresh", "background"]].concat();
    // Who is trusted says not yet who signs.
    let sign = [&["sign", "--identity-token", &token, &stage.image], &fresh[..]].concat();
    let unsaid = stage.run(&sign).ended(2);
    assert!(unsaid.err().contains("--signing-config"), "{}", unsaid.err());
    let config = stage.files.signing_config(Version::V1).to_str().unwrap();
    stage.run(&[&sign[..], &["--signing-config", config]].concat()).ended(0);
    let signer = ["--certificate-identity", SIGNER, "--certificate-oidc-issuer", GITHUB, "-o", "json"];
    let verified = stage.run(&[&["verify", &stage.image], &fresh[..], &signer].concat()).ended(0).json();
    let url = private.sigstore().tuf.url();
    assert_eq!(verified["images"][0]["roots"][0]["name"], url);
    assert_eq!(verified["images"][0]["attested"][0]["attestations"][0]["root"], url);
    let policy = |rule: &str| {
        let text = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: test}}\nidentities:\n  \
             ci: {{github: acme/app}}\nrules:\n- id: rule\n  {rule}\n"
        );
        stage.write("policy.yaml", &text)
    };
    let gate = |rule: &str, more: &[&str]| {
        let policy = policy(rule);
        stage.run(&[&["gate", &stage.image, "--policy", &policy, "-o", "json"], &fresh[..], more].concat())
    };
    let verdict = gate("signature: {by: [ci]}", &[]).ended(0).json();
    let published = serde_json::to_vec_pretty(&private.sigstore().trusted_root()).unwrap();
    let root = json!({
        "name": url, "digest": Digest::sha256(&published).to_string(), "origin": "refreshed",
    });
    assert_eq!(verdict["inputs"]["roots"], json!([root]));
    // A policy that asks for no signature has nothing refreshed.
    fs::remove_file(private.kept()).unwrap();
    private.sigstore().forget();
    let verdict = gate("size: {layersMax: 100}", &[]).ended(0).json();
    assert_eq!(verdict["inputs"]["roots"], json!([]));
    assert_eq!(private.count(), 0);
    // What is attested of the verdict is verified by the root as well.
    gate("size: {layersMax: 100}", &["--attest", "--identity-token", &token, "--signing-config", config])
        .ended(0);
    assert!(private.count() > 0);
    // With the root lost nothing is signed: it would not verify.
    let mut revoked = private.sigstore().trusted_root();
    revoked["tlogs"] = json!([]);
    private.publish(&revoked);
    let sign =
        [&sign[..], &["--signing-config", config, "-a", "run=2", "--trust-refresh", "required"]].concat();
    let sign: Vec<&str> = sign.into_iter().filter(|argument| *argument != "background").collect();
    let at = sign.iter().position(|argument| *argument == "--trust-refresh").unwrap();
    stage.run(&[&sign[..at], &sign[at + 1..]].concat()).ended(3);
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let private = Private::set();
    let (url, root, stage) = (private.sigstore().tuf.url(), private.root.as_str(), &private.stage);
    let trusted = stage.files.trusted_root.to_str().unwrap();
    let elsewhere = "http://tuf.example";
    let wrong: [&[&str]; 11] = [
        &["--trust-refresh", "sometimes"],
        &["--trust-refresh", "required", "--offline"],
        &["--trust-refresh", "required", "--trusted-root", trusted],
        &["--tuf-mirror", url],
        &["--tuf-root", root],
        &["--tuf-mirror", url, "--tuf-root", root, "--trusted-root", trusted],
        &["--tuf-mirror", url, "--tuf-root", root, "--staging"],
        &["--tuf-mirror", elsewhere, "--tuf-root", root],
        &["--tuf-mirror", "file:///etc", "--tuf-root", root],
        &["--tuf-mirror", "https://user:word@tuf.example", "--tuf-root", root],
        // What is no root metadata, and what nobody signed.
        &["--tuf-mirror", url, "--tuf-root", trusted],
    ];
    for more in wrong {
        let signer = ["--certificate-identity", SIGNER, "--certificate-oidc-issuer", GITHUB];
        let what = ["verify-bundle", "--bundle", &private.bundle, &private.artifact];
        let run = portcullis(stage.folder.path(), &[&what[..], &signer, more].concat()).ended(2);
        assert!(run.out().is_empty(), "{more:?}: {}", run.out());
    }
    assert_eq!(private.count(), 0);
}

/// Counts who comes, and sends them away: a proxy that leads nowhere.
fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, count) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let came = count.clone();
    // It ends with the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut head = [0; 64];
            let read = stream.and_then(|mut stream| stream.read(&mut head)).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            assert!(head.starts_with("CONNECT tuf-repo"), "{head}");
            came.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

/// The roots of everybody are refreshed unless somebody says no, and what comes with portcullis is good enough where that
/// fails.
#[test]
fn the_roots_that_come_with_portcullis_are_refreshed_unless_told_otherwise() {
    let home = tempfile::tempdir().unwrap();
    let (url, count) = proxy();
    let (bundle, image) = (home.path().join("bundle.json"), "oci:testdata/demo/image");
    fs::write(&bundle, "{}").unwrap();
    let policy = |name: &str, rule: &str| {
        let text = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: test}}\nidentities:\n  \
             ci: {{github: acme/app}}\nrules:\n- id: rule\n  {rule}\n"
        );
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (signed, small) =
        (policy("signed", "signature: {by: [ci]}"), policy("small", "size: {layersMax: 100}"));
    let signer = ["--certificate-identity", SIGNER, "--certificate-oidc-issuer", GITHUB];
    let bundle = ["verify-bundle", "--bundle", bundle.to_str().unwrap(), "Cargo.toml"];
    let run = |arguments: &[&str], variable: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).args(["-o", "json"]).env_clear().env("HOME", home.path());
        command.env("HTTPS_PROXY", &url).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.envs(variable.map(|mode| ("PORTCULLIS_TRUST_REFRESH", mode)));
        let before = count.load(Ordering::SeqCst);
        let run = Run::of(&mut command);
        (run, count.load(Ordering::SeqCst) - before)
    };
    let verify = [&bundle[..], &signer].concat();
    let silent: [(&[&str], Option<&str>); 4] = [
        (&["--offline"], None),
        (&["--trust-refresh", "never"], None),
        (&[], Some("never")),
        (&["--offline"], Some("background")),
    ];
    for (more, variable) in silent {
        let (run, asked) = run(&[&verify[..], more].concat(), variable);
        assert_eq!((run.code(), run.err().as_str(), asked), (1, "", 0), "{more:?}");
        assert_eq!(told(&run)[0]["origin"], "embedded");
    }
    let (refused, asked) = run(&verify, None);
    assert_eq!((refused.code(), asked), (1, 2), "{}", refused.err());
    for name in ["public-good", "github"] {
        let warned = refused.err();
        let line = warned.lines().find(|line| line.contains(&format!("trusted root {name}: not refreshed")));
        assert!(line.unwrap().contains("going on with the one that came with portcullis, of 20"), "{warned}");
    }
    let roots = told(&refused);
    assert_eq!((&roots[0]["name"], &roots[1]["name"]), (&json!("public-good"), &json!("github")));
    assert_eq!(roots[0]["origin"], "embedded");
    assert!(roots[1]["notRefreshed"].is_string());
    let (staging, asked) = run(&[&verify[..], &["--staging"]].concat(), None);
    assert_eq!((staging.code(), asked), (1, 1), "{}", staging.err());
    let (required, asked) = run(&verify, Some("required"));
    assert_eq!(required.code(), 3);
    assert!(asked >= 2 && required.err().contains("--trust-refresh background"), "{}", required.err());
    let gate = |policy: &str| run(&["gate", image, "--policy", policy, "--db", "testdata/demo/osv"], None);
    assert_eq!(gate(&small).1, 0, "no rule asks for a signature");
    let (verdict, asked) = gate(&signed);
    assert_eq!((verdict.json()["inputs"]["roots"].as_array().unwrap().len(), asked), (2, 2));
    let kept = home.path().join(".cache/portcullis/trust");
    assert!(fs::read_dir(&kept).unwrap().next().is_none());
    // Of one that was kept and cannot be used more was known: the report says that it is not.
    fs::write(kept.join("public-good"), "{}").unwrap();
    let (dropped, _) = run(&verify, Some("never"));
    let said = told(&dropped)[0]["notRefreshed"].as_str().unwrap().to_owned();
    assert!(said.contains("what was kept of it is not used"), "{said}");
    assert!(told(&dropped)[1].get("notRefreshed").is_none(), "{}", dropped.out());
    // A pipe is not waited for.
    fs::remove_file(kept.join("public-good")).unwrap();
    assert!(Command::new("mkfifo").arg(kept.join("public-good")).status().unwrap().success());
    let (dropped, _) = run(&verify, Some("never"));
    assert!(dropped.err().contains("not a regular file"), "{}", dropped.err());
}
