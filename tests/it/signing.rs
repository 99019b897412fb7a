//! Images signed and attested by the command, against the Sigstore of the tests, and judged by what hangs on them.

mod crowded;
mod cut;
mod interop;
mod keys;
mod large;
mod legacy;
mod nested;
mod person;
mod prompt;
mod several;
mod stubborn;
mod trust;
mod unseen;
mod vex;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::cli::{Run, portcullis};
use super::support::image::{Layout, image, layer, layout};
use super::support::registry::{Fault, Referrers, Registry, Switches, on};
use super::support::sigstore::{Claims, Files, GITHUB, Lie, Sigstore, Version};

const APP: &str = "acme/app";
const CYCLONEDX: &str = "https://cyclonedx.org/bom";
const VSA: &str = "https://slsa.dev/verification_summary/v1";

/// Services, a registry with an image of two platforms, and a place for files.
struct Stage {
    sigstore: Sigstore,
    registry: Registry,
    files: Files,
    folder: TempDir,
    image: String,
    /// Where the image is.
    address: String,
}

fn two_platforms() -> Layout {
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64"].map(|platform| {
        built.add(image(platform).layer(layer("one").file("etc/os-release", format!("ID=x\n#{platform}"))))
    });
    let index = built.index(platforms.to_vec());
    built.tag("v1", index);
    built
}

impl Stage {
    fn set(referrers: Referrers) -> Self {
        Self::with(referrers, &two_platforms())
    }

    fn with(referrers: Referrers, built: &Layout) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sigstore = Sigstore::start();
        let files = sigstore.write(folder.path());
        let registry = Registry::start(Switches { referrers, ..Switches::default() });
        let digest = registry.push_layout(APP, "v1", built);
        let image = registry.reference(APP, &digest);
        let address = registry.address().to_owned();
        Self { sigstore, registry, files, folder, image, address }
    }

    fn token(&self) -> String {
        self.sigstore.token(&Claims::github("acme/app", "release.yml", "refs/heads/main"))
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let plain = ["--insecure-registry", &self.address];
        portcullis(self.folder.path(), &[arguments, &plain].concat())
    }

    /// Runs `sign` or `attest` with a token, the services, and `more`.
    fn signing(&self, command: &str, token: &str, rekor: Version, more: &[&str]) -> Run {
        let config = self.files.signing_config(rekor).to_str().unwrap();
        let root = self.files.trusted_root.to_str().unwrap();
        let services = [
            command,
            "--identity-token",
            token,
            "--signing-config",
            config,
            "--trusted-root",
            root,
            "-o",
            "json",
        ];
        self.run(&[services.as_slice(), more, &[&self.image]].concat())
    }

    fn sign(&self) -> Run {
        self.signing("sign", &self.token(), Version::V1, &[])
    }

    /// A file with a verdict on an image, as a SLSA verification summary.
    fn summary_of(&self, result: &str, at: &str, image: &str) -> String {
        let levels = if result == "PASSED" { json!([]) } else { json!(["FAILED"]) };
        let predicate = json!({
            "verifier": {"id": "https://acme.example/gate"}, "timeVerified": at,
            "resourceUri": image, "policy": {"uri": "https://acme.example/policy"},
            "verificationResult": result, "verifiedLevels": levels, "slsaVersion": "1.1",
        });
        self.write("summary.json", &predicate.to_string())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The image judged by one rule.
    fn gate(&self, rule: &str) -> Run {
        self.gate_with(rule, &[])
    }

    /// A policy of one rule.
    fn policy(&self, rule: &str) -> String {
        let policy = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: test}}\nidentities:\n  \
             ci: {{github: acme/app, workflow: .github/workflows/release.yml, refs: [refs/heads/main]}}\n  \
             other: {{github: acme/other}}\nrules:\n- id: rule\n  {rule}\n"
        );
        self.write("policy.yaml", &policy)
    }

    fn gate_with(&self, rule: &str, more: &[&str]) -> Run {
        let policy = self.policy(rule);
        let root = self.files.trusted_root.to_str().unwrap();
        let own = ["gate", &self.image, "--policy", &policy, "--trusted-root", root, "-o", "json"];
        self.run(&[own.as_slice(), more].concat())
    }

    fn attest(&self, predicate: &Value, rekor: Version, more: &[&str]) -> Run {
        let file = self.write("predicate.json", &predicate.to_string());
        let arguments = [&["--type", "cyclonedx", "--predicate", &file], more].concat();
        self.signing("attest", &self.token(), rekor, &arguments)
    }
}

fn message(run: &Run) -> String {
    run.json()["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "rule").unwrap()["messages"]
        .to_string()
}

const KINDS: [Referrers; 2] = [Referrers::Native { page_size: 100 }, Referrers::Off];

#[test]
fn an_image_is_signed_once_with_one_certificate_and_then_admitted() {
    for referrers in KINDS {
        let stage = Stage::set(referrers);
        let rule = "signature: {by: [ci]}";
        stage.gate(rule).ended(1);
        let signed = stage.sign().ended(0).json();
        assert_eq!(signed["images"][0]["manifests"].as_array().unwrap().len(), 3, "{signed:#}");
        assert_eq!(stage.sigstore.certificates(), 1);
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 3);
        stage.gate(rule).ended(0);
        stage.gate("signature: {by: [ci], perPlatform: true}").ended(0);
        let other = stage.gate("signature: {by: [other]}").ended(1);
        assert!(message(&other).contains("acme/app/.github/workflows/release.yml"), "{}", message(&other));
        // Whoever is interrupted does the same again: nothing is doubled.
        let again = stage.sign().ended(0).json();
        for manifest in again["images"][0]["manifests"].as_array().unwrap() {
            assert_eq!(manifest["referrer"], Value::Null, "{again:#}");
        }
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 3);
    }
}

#[test]
fn an_attestation_is_no_signature_and_a_newer_one_replaces_it() {
    for referrers in KINDS {
        let stage = Stage::set(referrers);
        let old = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1});
        let new = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 2});
        stage.attest(&old, Version::V2, &[]).ended(0);
        stage.gate("signature: {by: [ci]}").ended(1);
        let of_version = |version: u32| {
            stage.gate(&format!(
                "attestation: {{type: {CYCLONEDX}, by: [ci], where: {{version: '{version}'}}}}"
            ))
        };
        of_version(1).ended(0);
        of_version(2).ended(1);
        let replaced = stage.attest(&new, Version::V2, &["--replace"]).ended(0).json();
        let manifest = &replaced["images"][0]["manifests"][0];
        assert_eq!(manifest["replaced"].as_array().unwrap().len(), 1, "{replaced:#}");
        of_version(2).ended(0);
        of_version(1).ended(1);
        stage.attest(&new, Version::V2, &["--replace"]).ended(0);
        of_version(2).ended(0);
    }
}

#[test]
fn a_listing_that_fails_is_unknown_and_never_no_signature() {
    let stage = Stage::set(Referrers::Native { page_size: 100 });
    stage.registry.script(on("GET", "/referrers/").times(1_000), [Fault::bare(403)]);
    let throttled = stage.gate("signature: {by: [ci]}").ended(3);
    assert!(message(&throttled).contains("not all could be looked at"), "{}", message(&throttled));
    // And nothing is signed where it cannot be seen what is there.
    stage.sign().ended(3);
    stage.registry.unscript();
    stage.sign().ended(0);
    stage.gate("signature: {by: [ci]}").ended(0);
}

#[test]
fn a_signature_moved_to_another_image_is_refused() {
    let stage = Stage::set(Referrers::Native { page_size: 100 });
    let signed = stage.sign().ended(0).json();
    let mut other = layout();
    let descriptor = other.add(image("linux/amd64").layer(layer("one").file("x", "evil")));
    other.tag("v2", descriptor);
    let evil = stage.registry.push_layout(APP, "v2", &other);
    // The bundle of the good image, hung on the evil one.
    let referrer = signed["images"][0]["manifests"][0]["referrer"].as_str().unwrap();
    let (_, _, bytes) = stage.registry.manifest(APP, referrer).unwrap();
    let mut moved: Value = serde_json::from_slice(&bytes).unwrap();
    moved["subject"]["digest"] = evil.clone().into();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    stage.registry.put_manifest(APP, None, kind, moved.to_string().as_bytes());
    let evil = Stage { image: stage.registry.reference(APP, &evil), ..stage };
    let judged = evil.gate("signature: {by: [ci]}").ended(1);
    assert!(message(&judged).contains("subject"), "{}", message(&judged));
}

#[test]
fn a_log_that_is_down_for_a_while_or_loses_its_answer_signs_all_the_same() {
    for rekor in [Version::V1, Version::V2] {
        let stage = Stage::set(Referrers::Off);
        let log = if rekor == Version::V1 { &stage.sigstore.rekor } else { &stage.sigstore.rekor2 };
        log.fail_times(2, Fault::bare(502));
        stage.signing("sign", &stage.token(), rekor, &["--no-recursive"]).ended(0);
        stage.gate("signature: {by: [ci]}").ended(0);
        // The entry was taken and the answer lost: the next try is told that it exists.
        log.fail(Fault::Reset);
        stage.signing("sign", &stage.token(), rekor, &["--no-recursive", "-a", "run=2"]).ended(0);
        stage.gate("signature: {by: [ci], annotations: {run: '2'}}").ended(0);
    }
}

#[test]
fn who_may_not_sign_is_told_why() {
    let stage = Stage::set(Referrers::Off);
    let claims = Claims::github("acme/app", "release.yml", "refs/heads/main");
    for (token, word) in [
        (stage.sigstore.wrong_token(&claims, Lie::Expired), "expired"),
        (stage.sigstore.wrong_token(&claims, Lie::Audience("sts")), "audience"),
        (stage.sigstore.wrong_token(&claims, Lie::TokenKey), "token"),
    ] {
        let run = stage.signing("sign", &token, Version::V1, &[]).ended(3);
        assert!(run.err().contains(word), "{}", run.err());
        assert!(!run.err().contains(&token), "the token is shown");
    }
    assert_eq!(stage.sigstore.certificates(), 0);
    stage.gate("signature: {by: [ci]}").ended(1);
}

#[test]
fn what_no_verifier_would_accept_is_not_pushed() {
    for lie in [Lie::NoSct, Lie::SctKey, Lie::OtherRoot] {
        let stage = Stage::set(Referrers::Off);
        stage.sigstore.fulcio.lie(lie);
        let run = stage.sign().ended(3);
        assert!(run.err().contains("was not pushed") || run.err().contains("certificate"), "{}", run.err());
        assert_eq!(stage.registry.tags(APP), ["v1"]);
    }
    for lie in [Lie::CheckpointKey, Lie::OtherLog, Lie::SetKey, Lie::NoProof] {
        let stage = Stage::set(Referrers::Off);
        stage.sigstore.rekor.lie(lie);
        let run = stage.sign().ended(3);
        assert!(run.err().contains("was not pushed"), "{}", run.err());
        assert_eq!(stage.registry.tags(APP), ["v1"]);
    }
}

#[test]
fn a_job_of_github_signs_by_itself() {
    let stage = Stage::set(Referrers::Off);
    let claims = Claims::github("acme/app", "release.yml", "refs/heads/main");
    stage.sigstore.provider.set_machine(claims);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (config, root) = (path(&stage.files.signing_config_v1), path(&stage.files.trusted_root));
    command.args([
        "--insecure-registry",
        stage.registry.address(),
        "sign",
        &stage.image,
        "--signing-config",
        &config,
        "--trusted-root",
        &root,
    ]);
    command.env_clear().env("HOME", stage.folder.path()).envs(stage.sigstore.github_environment());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stage.gate("signature: {by: [ci]}").ended(0);
}

#[test]
fn a_bundle_is_written_only_where_it_verifies() {
    let stage = Stage::set(Referrers::Off);
    let bundle = stage.folder.path().join("bundle.json");
    let artifact = stage.write("artifact", "what is signed");
    let sign = |more: &[&str], file: &str| {
        let (config, root) = (&stage.files.signing_config_v1, &stage.files.trusted_root);
        let services =
            ["--signing-config", config.to_str().unwrap(), "--trusted-root", root.to_str().unwrap()];
        let token = stage.token();
        let all = ["sign-bundle", "--identity-token", &token, "--bundle", bundle.to_str().unwrap()];
        stage.run(&[all.as_slice(), &services, more, &[file]].concat())
    };
    // What is no statement is not signed as one, and no certificate is asked for.
    for text in ["{}", r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x"}"#] {
        let run = sign(&["--in-toto"], &stage.write("statement", text)).ended(2);
        assert!(run.err().contains("no in-toto statement"), "{}", run.err());
    }
    assert!(sign(&[], "no/such/file").ended(3).err().contains("cannot read"));
    sign(&["--offline"], &artifact).ended(2);
    assert_eq!(stage.sigstore.certificates(), 0);
    for lie in [Lie::SctKey, Lie::NoCodeSigning] {
        stage.sigstore.fulcio.lie(lie);
        let run = sign(&[], &artifact).ended(3);
        assert!(run.err().contains("was not written"), "{}", run.err());
        assert!(!bundle.exists());
    }
    sign(&[], &artifact).ended(0);
    let root = stage.files.trusted_root.to_str().unwrap();
    let verify = ["verify-bundle", "--trusted-root", root, "--bundle", bundle.to_str().unwrap()];
    let by = ["--certificate-oidc-issuer", GITHUB, "--certificate-identity"];
    let name = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    stage.run(&[verify.as_slice(), &by, &[name, &artifact]].concat()).ended(0);
    stage.run(&[verify.as_slice(), &by, &["somebody@example.com", &artifact]].concat()).ended(1);
}

#[test]
fn verify_says_who_signed_and_refuses_everybody_else() {
    let stage = Stage::set(Referrers::Off);
    let root = stage.files.trusted_root.to_str().unwrap();
    let verify = |more: &[&str]| {
        let own = ["verify", &stage.image, "--trusted-root", root, "-o", "json"];
        stage.run(&[own.as_slice(), more].concat())
    };
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    let identity = ["--certificate-identity", workflow, "--certificate-oidc-issuer", GITHUB];
    verify(&[]).ended(2);
    verify(&identity).ended(1);
    stage.sign().ended(0);
    let verified = verify(&identity).ended(0).json();
    let first = &verified["images"][0]["attested"][0]["attestations"][0];
    assert_eq!(first["signedBy"]["certificate"]["name"], workflow, "{verified:#}");
    verify(&[
        "--certificate-identity-glob",
        "https://github.com/acme/**",
        "--certificate-oidc-issuer",
        GITHUB,
    ])
    .ended(0);
    // An unanchored identity: what is in the middle of a name is not the name.
    let part = ["--certificate-identity-regexp", "github.com/acme/app/", "--certificate-oidc-issuer", GITHUB];
    let refused = verify(&part).ended(1);
    assert!(refused.json()["images"][0]["messages"].to_string().contains("release.yml"), "{}", refused.out());
    verify(&[identity.as_slice(), &["--type", "cyclonedx"]].concat()).ended(1);
    stage.attest(&json!({"bomFormat": "CycloneDX"}), Version::V1, &[]).ended(0);
    verify(&[identity.as_slice(), &["--type", "cyclonedx"]].concat()).ended(0);
    // The platform's own manifest was signed too.
    verify(&[identity.as_slice(), &["--platform", "linux/arm64"]].concat()).ended(0);
    stage.registry.script(on("GET", ".sig").times(1_000), [Fault::bare(500)]);
    verify(&[identity.as_slice(), &["-a", "x=y"]].concat()).ended(3);
}

/// A platform that is withheld is not one that need not be signed.
#[test]
fn a_platform_that_cannot_be_read_leaves_verify_undecided() {
    let stage = Stage::set(Referrers::Native { page_size: 100 });
    let signed = stage.sign().ended(0).json();
    let arm64 = signed["images"][0]["manifests"][2]["subject"].as_str().unwrap();
    stage.registry.script(on("GET", arm64).times(1_000), [Fault::bare(404)]);
    let root = stage.files.trusted_root.to_str().unwrap();
    let identity = ["--certificate-identity-glob", "https://**", "--certificate-oidc-issuer", GITHUB];
    let told = stage.run(&[["verify", &stage.image, "--trusted-root", root].as_slice(), &identity].concat());
    let told = told.ended(3).out();
    let faults = told.lines().filter(|line| line.contains(arm64) && line.contains("answers 404"));
    assert_eq!(faults.count(), 1, "{told}");
}

/// A later page that is answered as if there were no list does not make the first one forgotten.
#[test]
fn a_page_that_fails_is_unknown_and_never_the_end_of_the_list() {
    let stage = Stage::set(Referrers::Native { page_size: 1 });
    stage.sign().ended(0);
    stage.signing("sign", &stage.token(), Version::V1, &["-a", "run=2"]).ended(0);
    for fault in [404, 303, 400] {
        stage.registry.script(on("GET", "last=").times(1_000), [Fault::bare(fault)]);
        let judged = stage.gate("signature: {by: [ci], annotations: {run: '3'}}").ended(3);
        assert!(message(&judged).contains("not all could be looked at"), "{fault}: {}", message(&judged));
        stage.registry.unscript();
    }
}

/// A service that repeats what it was sent does not get the token into the log of a build.
#[test]
fn no_answer_shows_the_token() {
    let stage = Stage::set(Referrers::Off);
    let token = stage.token();
    for status in [400, 503] {
        let body = format!("bad request: {{\"oidcIdentityToken\":\"{token}\"}}");
        stage
            .sigstore
            .fulcio
            .fail_times(200, Fault::Answer { status, headers: Vec::new(), body: body.into_bytes() });
        let run = stage
            .run(&[
                "--timeout",
                "3s",
                "sign",
                &stage.image,
                "--identity-token",
                &token,
                "--signing-config",
                stage.files.signing_config(Version::V1).to_str().unwrap(),
                "--trusted-root",
                stage.files.trusted_root.to_str().unwrap(),
            ])
            .ended(3);
        let body = token.split('.').nth(1).unwrap();
        assert!(!run.err().contains(&body[..20]), "{}", run.err());
        if status == 503 {
            // The time is up: what it was spent on is told.
            let told = ["--timeout", "Fulcio at ", "answers 503"];
            assert!(told.iter().all(|words| run.err().contains(words)), "{}", run.err());
        }
        stage.sigstore.mend();
    }
}
