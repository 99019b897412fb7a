//! `gate --attest`: verdicts signed beside the image, and what they are worth to whoever judges it next.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use super::support::cli::{Run, portcullis};
use super::support::docker_registry::DockerRegistry;
use super::support::registry::{Fault, Referrers, Registry, Switches, on};
use super::support::sigstore::{Claims, Files, Sigstore, Version};
use super::support::skopeo::{Access, skopeo};

const APP: &str = "acme/app";
const DEMO: &str = "testdata/demo/image";

/// Services, files for them, and an image.
struct Stage {
    sigstore: Sigstore,
    files: Files,
    folder: TempDir,
    image: String,
    host: String,
}

impl Stage {
    fn new(image: String, host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sigstore = Sigstore::start();
        let files = sigstore.write(folder.path());
        Self { sigstore, files, folder, image, host: host.to_owned() }
    }

    fn policy(&self, rules: &str) -> String {
        let text = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: test}}\nidentities:\n  \
             ci: {{github: acme/app, workflow: .github/workflows/release.yml, refs: [refs/heads/main]}}\n\
             rules:\n{rules}"
        );
        let path = self.folder.path().join("policy.yaml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn gate(&self, rules: &str, more: &[&str]) -> Run {
        let (policy, root) = (self.policy(rules), self.files.trusted_root.to_str().unwrap());
        let own = ["gate", &self.image, "--policy", &policy, "--trusted-root", root, "-o", "json"];
        let place = ["--db", "testdata/demo/osv", "--insecure-registry", &self.host];
        portcullis(self.folder.path(), &[own.as_slice(), &place, more].concat())
    }

    fn attest(&self, rules: &str, more: &[&str]) -> Run {
        let token = self.sigstore.token(&Claims::github("acme/app", "release.yml", "refs/heads/main"));
        let config = self.files.signing_config(Version::V1).to_str().unwrap();
        let own = ["--identity-token", &token, "--signing-config", config];
        self.gate(rules, &[own.as_slice(), more].concat())
    }

    /// How many attestations of each type hang on each manifest.
    fn there(&self) -> BTreeMap<(String, String), usize> {
        let root = self.files.trusted_root.to_str().unwrap();
        let own = ["verify", &self.image, "--trusted-root", root, "-o", "json"];
        let who =
            ["--certificate-identity-glob", "https://**", "--certificate-oidc-issuer-glob", "https://**"];
        let place = ["--insecure-registry", &self.host];
        let run = portcullis(self.folder.path(), &[own.as_slice(), &who, &place].concat());
        let mut there = BTreeMap::new();
        for attested in run.json()["images"][0]["attested"].as_array().unwrap() {
            assert_eq!(attested["refused"], serde_json::json!([]), "{attested:#}");
            for one in attested["attestations"].as_array().unwrap() {
                let kind = one["content"]["statement"]["predicateType"].as_str().unwrap();
                let subject = attested["platform"].as_str().unwrap_or("index");
                *there.entry((subject.to_owned(), kind.to_owned())).or_default() += 1;
            }
        }
        there
    }
}

/// Registries that list referrers, and those that leave it to a tag.
const KINDS: [(&str, Referrers); 2] =
    [("referrers API", Referrers::Native { page_size: 100 }), ("fallback tag", Referrers::Off)];

/// A rule that holds for the demo.
const HOLDS: &str = "- id: small\n  size: {layersMax: 40}\n";
/// A rule that the demo violates.
const FAILS: &str = "- id: small\n  size: {layersMax: 1}\n";
/// What the next one asks for.
const NEXT: &str = "- id: passed\n  verdict: {by: [ci], verifier: 'https://portcullis.dev/gate'}\n\
                    - id: bom\n  sbom: {by: [ci], complete: true}\n\
                    - id: scanned\n  attestation: {type: vuln, by: [ci], perPlatform: true, maxAge: 7d}\n";

fn pushed(registry: &Registry) -> String {
    let digest = registry.push_directory(APP, "v1", Path::new(DEMO));
    registry.reference(APP, &digest)
}

/// Seven: an SBOM, a scan and a verdict of two platforms, and a verdict of the index.
fn is_complete(there: &BTreeMap<(String, String), usize>) -> bool {
    there.len() == 7 && there.values().all(|number| *number == 1)
}

#[test]
fn a_verdict_its_sboms_and_scans_are_signed_with_one_certificate_and_serve_the_next() {
    for (kind, referrers) in KINDS {
        let registry = Registry::start(Switches { referrers, ..Switches::default() });
        let stage = Stage::new(pushed(&registry), registry.address());
        stage.gate(NEXT, &[]).ended(1);
        registry.forget();
        stage.sigstore.forget();
        let begun = Instant::now();
        let verdict = stage.attest(HOLDS, &["--attest"]).ended(0).json();
        let took = begun.elapsed().as_millis();
        assert_eq!(verdict["decision"], "admit");
        let attestations = verdict["attestations"].as_array().unwrap();
        assert_eq!(attestations.len(), 7, "{verdict:#}");
        println!(
            "gate --attest, {kind}: {} requests to the registry, {} to the services, {took} ms",
            registry.requests().len(),
            stage.sigstore.journal().len()
        );
        assert_eq!(stage.sigstore.certificates(), 1);
        assert!(is_complete(&stage.there()), "{:?}", stage.there());
        stage.gate(NEXT, &[]).ended(0);
        // A newer verdict takes the place of the older one.
        stage.attest(HOLDS, &["--attest"]).ended(0);
        assert!(is_complete(&stage.there()), "{:?}", stage.there());
    }
}

#[test]
fn docker_registry_lists_them_by_the_fallback_tag() {
    let (Some(skopeo), Some(registry)) = (skopeo(), DockerRegistry::plain()) else { return };
    let tagged = registry.reference(APP, "v1");
    skopeo.push(Path::new(DEMO), "1.4.2", &tagged, &Access::default());
    let stage = Stage::new(tagged, registry.address());
    let verdict = stage.attest(HOLDS, &["--attest"]).ended(0).json();
    let listed = verdict["attestations"].as_array().unwrap();
    assert!(listed.iter().all(|one| one["listed"] == "fallbackTag"), "{verdict:#}");
    assert!(is_complete(&stage.there()), "{:?}", stage.there());
    stage.gate(NEXT, &[]).ended(0);
}

#[test]
fn a_denial_is_attested_only_where_that_is_asked_for() {
    let registry = Registry::start(Switches::default());
    let stage = Stage::new(pushed(&registry), registry.address());
    let denied = stage.attest(FAILS, &["--attest"]).ended(1).json();
    assert_eq!(denied["attestations"], Value::Null);
    assert!(stage.there().is_empty());
    stage.attest(HOLDS, &["--attest"]).ended(0);
    stage.gate(NEXT, &[]).ended(0);
    stage.attest(FAILS, &["--attest=always"]).ended(1);
    // That of another policy stays beside it.
    assert_eq!(stage.there().values().sum::<usize>(), 7 + 3, "{:?}", stage.there());
    // The newer verdict counts.
    stage.gate(NEXT, &[]).ended(1);
    // What is undecided is not attested: nobody could rely on it.
    let before = stage.there();
    let undecided = "- id: exploits\n  vulnerabilities: {deny: [{kev: true}]}\n";
    let run = stage.attest(undecided, &["--attest=always"]).ended(3);
    assert_eq!(
        (run.json()["decision"].as_str(), &run.json()["attestations"]),
        (Some("undecided"), &Value::Null)
    );
    assert_eq!(stage.there(), before);
}

#[test]
fn a_push_that_fails_leaves_the_decision_and_ends_with_3() {
    let registry = Registry::start(Switches::default());
    let stage = Stage::new(pushed(&registry), registry.address());
    registry.script(on("PUT", "/manifests/").times(1_000), [Fault::bare(403)]);
    let verdict = stage.attest(HOLDS, &["--attest"]).ended(3).json();
    assert_eq!(verdict["decision"], "admit");
    assert!(verdict["attestations"][0]["error"].is_string(), "{verdict:#}");
    registry.unscript();
    stage.attest(HOLDS, &["--attest"]).ended(0);
    assert!(is_complete(&stage.there()), "{:?}", stage.there());
}

/// Cut at every write to the registry in turn, and run again: the end is the same.
#[test]
fn whoever_is_interrupted_does_the_same_again_and_nothing_is_doubled() {
    for (kind, referrers) in KINDS {
        for method in ["POST", "PUT"] {
            // Most of it is waiting: several cuts are tried beside each other.
            let whole = (0..).step_by(AT_ONCE).find_map(|first| {
                let cuts = first..first + AT_ONCE;
                std::thread::scope(|scope| {
                    let runs: Vec<_> =
                        cuts.map(|cut| scope.spawn(move || was_whole(referrers, method, cut))).collect();
                    let ends: Vec<bool> = runs.into_iter().map(|run| run.join().unwrap()).collect();
                    ends.iter().position(|whole| *whole).map(|place| first + place)
                })
            });
            println!("{kind}: cut at each of {} {method}", whole.unwrap());
            assert!(whole.unwrap() > 5, "hardly anything was written");
        }
    }
}

/// Cuts tried at a time.
const AT_ONCE: usize = 6;

/// Cuts a run at a write, and sees to it that another run makes up for it. Whether there was nothing to cut.
fn was_whole(referrers: Referrers, method: &str, cut: usize) -> bool {
    let registry = Registry::start(Switches { referrers, ..Switches::default() });
    let stage = Stage::new(pushed(&registry), registry.address());
    registry.script(on(method, "/").skip(cut).times(10_000), [Fault::bare(403)]);
    let run = stage.attest(HOLDS, &["--attest"]);
    registry.unscript();
    if run.code() == 0 {
        return true;
    }
    stage.attest(HOLDS, &["--attest"]).ended(0);
    assert!(is_complete(&stage.there()), "{method} {cut}: {:?}", stage.there());
    false
}

/// One platform that was judged says nothing of the others.
#[test]
fn a_verdict_of_one_platform_is_none_of_the_index() {
    let registry = Registry::start(Switches::default());
    let stage = Stage::new(pushed(&registry), registry.address());
    let one = stage.attest(HOLDS, &["--attest", "--platform", "linux/amd64"]).ended(0).json();
    assert!(
        one["attestations"].as_array().unwrap().iter().all(|made| made["platform"] == "linux/amd64"),
        "{one:#}"
    );
    stage
        .gate("- id: passed\n  verdict: {by: [ci], verifier: 'https://portcullis.dev/gate'}\n", &[])
        .ended(1);
}

/// What another tool attested in the same workflow stays, and so does the verdict of another policy.
#[test]
fn nobody_elses_attestations_are_taken_away() {
    let registry = Registry::start(Switches::default());
    let stage = Stage::new(pushed(&registry), registry.address());
    stage.attest(HOLDS, &["--attest"]).ended(0);
    stage.attest(HOLDS, &["--attest", "--verifier-id", "https://acme.example/other"]).ended(0);
    let verdicts: usize = stage
        .there()
        .iter()
        .filter(|((_, kind), _)| kind.contains("verification_summary"))
        .map(|(_, number)| number)
        .sum();
    assert_eq!(verdicts, 6, "{:?}", stage.there());
}

/// Attack: what a stranger hung on the image, named by the verifier as what its verdict rests on.
#[test]
fn a_verdict_rests_on_what_those_signed_whom_the_policy_names() {
    let registry = Registry::start(Switches::default());
    let stage = Stage::new(pushed(&registry), registry.address());
    let signed = |workflow: &str| {
        let token = stage.sigstore.token(&Claims::github("acme/app", workflow, "refs/heads/main"));
        let (root, config) = (&stage.files.trusted_root, stage.files.signing_config(Version::V1));
        let services =
            ["--signing-config", config.to_str().unwrap(), "--trusted-root", root.to_str().unwrap()];
        let own = ["sign", &stage.image, "--no-recursive", "--identity-token", &token, "-o", "json"];
        let place = ["--insecure-registry", &stage.host];
        let run = portcullis(stage.folder.path(), &[own.as_slice(), &services, &place].concat()).ended(0);
        run.json()["images"][0]["manifests"][0]["referrer"].as_str().unwrap().to_owned()
    };
    let (ours, _) = (signed("release.yml"), signed("other.yml"));
    let verdict = stage.attest("- id: signed\n  signature: {by: [ci]}\n", &["--attest"]).ended(0).json();
    let attested = verdict["attestations"].as_array().unwrap();
    let summaries = attested.iter().filter(|one| one["predicateType"].as_str().unwrap().contains("summary"));
    let mut read = 0;
    for summary in summaries {
        let (_, _, manifest) = registry.manifest(APP, summary["referrer"].as_str().unwrap()).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let bundle = registry.blob(APP, manifest["layers"][0]["digest"].as_str().unwrap()).unwrap();
        let bundle: Value = serde_json::from_slice(&bundle).unwrap();
        let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        let inputs = statement["predicate"]["inputAttestations"].as_array().unwrap();
        assert_eq!(inputs.len(), 1, "{inputs:?}");
        assert!(inputs[0]["uri"].as_str().unwrap().ends_with(&ours), "{inputs:?}");
        read += 1;
    }
    assert_eq!(read, 3, "of the index and two platforms: {attested:#?}");
}

/// Without an identity there is a verdict all the same.
#[test]
fn a_verdict_without_an_identity_is_reported_and_ends_with_3() {
    let registry = Registry::start(Switches::default());
    let stage = Stage::new(pushed(&registry), registry.address());
    let services =
        ["--attest", "--signing-config", stage.files.signing_config(Version::V1).to_str().unwrap()];
    let verdict = stage.gate(HOLDS, &services).ended(3).json();
    assert_eq!(verdict["decision"], "admit");
    assert!(verdict["attestations"][0]["error"].as_str().unwrap().contains("identity token"), "{verdict:#}");
    stage.gate(FAILS, &services).ended(1);
    // Who is trusted says not yet who signs.
    let unsaid = stage.gate(HOLDS, &["--attest"]).ended(2);
    assert!(unsaid.err().contains("--signing-config"), "{}", unsaid.err());
}
