//! Indexes within indexes: signed on every level, and what is signed of one between counts for what it lists.

use serde_json::{Value, json};

use super::vex::{BY_CI, LODASH, NATIVE, files_with_lodash, openvex};
use super::{APP, CYCLONEDX, KINDS, Stage, VSA, message};
use crate::support::cli::{Run, portcullis};
use crate::support::docker_registry::DockerRegistry;
use crate::support::image::{Layer, Layout, image, layer, layout};
use crate::support::registry::{Fault, Referrers, on};
use crate::support::signatures::digest;
use crate::support::sigstore::{GITHUB, Version};

const VERDICT: &str = "verdict: {by: [ci], verifier: 'https://acme.example/gate'}";

/// An image whose index lists a platform and an index, which lists another one and once more an index.
struct Nested {
    built: Layout,
    root: Value,
    middle: Value,
    /// Of the root's own platform, of that in the middle, and of the one at the end.
    platforms: [Value; 3],
}

fn nested() -> Nested {
    nested_of(|platform| layer("one").file("etc/os-release", platform))
}

fn nested_of(files: impl Fn(&str) -> Layer) -> Nested {
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64", "linux/s390x"]
        .map(|platform| built.add(image(platform).layer(files(platform))));
    let [amd64, arm64, s390x] = platforms.clone();
    let build = built.attestation(&amd64);
    let inner = built.index(vec![s390x]);
    // What is listed on two levels is signed once.
    let middle = built.index(vec![arm64.clone(), inner]);
    let root = built.index(vec![amd64, middle.clone(), arm64, build]);
    built.tag("v1", root.clone());
    Nested { built, root, middle, platforms }
}

/// A chain of indexes, so many, with a platform at the end.
fn chain(indexes: usize) -> Layout {
    let mut built = layout();
    let mut last = built.add(image("linux/amd64").layer(layer("one").file("x", "")));
    for _ in 0..indexes {
        last = built.index(vec![last]);
    }
    built.tag("v1", last);
    built
}

impl Stage {
    /// Does something with a manifest of the image in place of the image.
    fn on<T>(&self, manifest: &Value, what: impl FnOnce(&str) -> T) -> T {
        what(&self.image.replace(self.image.rsplit('@').next().unwrap(), &digest(manifest)))
    }

    fn verify(&self, more: &[&str]) -> Run {
        let root = self.files.trusted_root.to_str().unwrap();
        let who = ["--certificate-identity-glob", "https://**", "--certificate-oidc-issuer", GITHUB];
        let own = ["verify", &self.image, "--trusted-root", root, "-o", "json"];
        self.run(&[own.as_slice(), &who, more].concat())
    }

    /// Signs or attests one manifest and nothing below it.
    fn signing_on(&self, manifest: &Value, command: &str, more: &[&str]) {
        let other = self.on(manifest, str::to_owned);
        let config = self.files.signing_config(Version::V1).to_str().unwrap();
        let (token, root) = (self.token(), self.files.trusted_root.to_str().unwrap());
        let services = ["--identity-token", &token, "--signing-config", config, "--trusted-root", root];
        self.run(&[&[command, &other], services.as_slice(), more].concat()).ended(0);
    }

    /// Attests a verdict on one manifest.
    fn summary(&self, result: &str, at: &str, of: &Value) {
        let name = self.image.split('@').next().unwrap();
        let file = self.summary_of(result, at, &format!("{name}@{}", digest(of)));
        self.signing_on(of, "attest", &["--type", VSA, "--predicate", &file]);
    }

    /// Nothing was pushed, and nobody was asked to sign.
    fn is_untouched(&self) {
        assert_eq!(self.sigstore.entries(Version::V1).len(), 0);
        assert_eq!(self.registry.count("PUT", ""), 0);
        assert_eq!(self.registry.count("POST", ""), 0);
    }
}

fn subjects(run: &Value) -> Vec<String> {
    let manifests = run["images"][0]["manifests"].as_array().unwrap().iter();
    manifests.map(|manifest| manifest["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_index_and_every_platform_is_signed_once_however_deep() {
    for referrers in KINDS {
        let nested = nested();
        let stage = Stage::with(referrers, &nested.built);
        let signed = stage.sign().ended(0).json();
        let mut found = subjects(&signed);
        assert_eq!(found[0], digest(&nested.root));
        let all = found.len();
        found.sort();
        found.dedup();
        // Three indexes and three platforms; not what BuildKit attests.
        assert_eq!((all, found.len()), (6, 6), "{signed:#}");
        assert!(nested.platforms.iter().all(|platform| found.contains(&digest(platform))), "{signed:#}");
        stage.gate("signature: {by: [ci], perPlatform: true}").ended(0);
        let verified = stage.verify(&["--platform", "linux/s390x"]).ended(0).json();
        let of_platform = verified["images"][0]["attested"].as_array().unwrap();
        // The image, both indexes that lead there, and the platform.
        assert_eq!(of_platform.len(), 4, "{verified:#}");
        assert!(of_platform.iter().all(|one| one["attestations"].as_array().unwrap().len() == 1));
        // The same again makes nothing.
        stage.sign().ended(0);
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 6);
        let predicate = json!({"bomFormat": "CycloneDX"});
        let attested = stage.attest(&predicate, Version::V1, &["--recursive"]).ended(0).json();
        assert_eq!(subjects(&attested).len(), 6);
        stage.gate(&format!("attestation: {{type: {CYCLONEDX}, by: [ci], perPlatform: true}}")).ended(0);
    }
}

/// Who signs an index signs the digests that it lists, and nothing that stands beside it.
#[test]
fn a_signature_of_an_index_between_counts_for_what_it_leads_to_and_for_nothing_else() {
    let nested = nested();
    let [amd64, arm64, s390x] = &nested.platforms;
    let stage = Stage::with(Referrers::Off, &nested.built);
    stage.signing_on(&nested.middle, "sign", &["--no-recursive"]);
    let judged = stage.gate("signature: {by: [ci]}").ended(1).json();
    let rule = judged["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "rule").unwrap();
    let unsigned: Vec<_> = rule["messages"].as_array().unwrap().iter().map(|it| &it["platform"]).collect();
    assert_eq!(unsigned, ["linux/amd64"], "{judged:#}");
    stage.verify(&["--platform", "linux/arm64"]).ended(0);
    stage.verify(&["--platform", "linux/s390x"]).ended(0);
    stage.verify(&["--platform", "linux/amd64"]).ended(1);
    stage.verify(&[]).ended(1);
    stage.gate("signature: {by: [ci], perPlatform: true}").ended(1);
    // With the one that is left all are signed, by an index or by themselves.
    stage.signing_on(amd64, "sign", &[]);
    stage.gate("signature: {by: [ci]}").ended(0);
    stage.gate("signature: {by: [ci], perPlatform: true}").ended(1);
    for platform in [arm64, s390x] {
        stage.signing_on(platform, "sign", &[]);
    }
    stage.gate("signature: {by: [ci], perPlatform: true}").ended(0);
}

/// A verdict on an index between that denies what it lists is not outvoted by an older one above it.
#[test]
fn a_failed_verdict_of_an_index_between_speaks_against_what_it_leads_to() {
    let nested = nested();
    let stage = Stage::with(Referrers::Off, &nested.built);
    stage.summary("PASSED", "2026-01-01T00:00:00Z", &nested.root);
    stage.gate(VERDICT).ended(0);
    stage.summary("FAILED", "2026-01-02T00:00:00Z", &nested.middle);
    let judged = stage.gate(VERDICT).ended(1);
    assert!(message(&judged).contains("linux/s390x"), "{}", message(&judged));
    assert!(!message(&judged).contains("linux/amd64"), "{}", message(&judged));
}

/// An index is looked into whatever platform it is said to be of: what it leads to is of the platform that is asked for.
#[test]
fn an_index_that_is_listed_under_another_platform_speaks_all_the_same() {
    let mut built = layout();
    let amd64 = built.add(image("linux/amd64").layer(files_with_lodash("linux/amd64")));
    let mut middle = built.index(vec![amd64.clone()]);
    middle["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let root = built.index(vec![amd64, middle.clone()]);
    built.tag("v1", root.clone());
    let stage = Stage::with(NATIVE, &built);
    let only = ["--platform", "linux/amd64"];
    stage.summary("PASSED", "2026-01-01T00:00:00Z", &root);
    stage.gate_with(VERDICT, &only).ended(0);
    stage.summary("FAILED", "2026-01-02T00:00:00Z", &middle);
    let judged = stage.gate_with(VERDICT, &only).ended(1);
    assert!(message(&judged).contains("linux/amd64"), "{}", message(&judged));
    stage.state(&openvex("not_affected", 1));
    stage.judge(BY_CI, &only).ended(0);
    stage.state_of(&digest(&middle), &stage.token(), "openvex", &openvex("affected", 2), &[]);
    stage.judge(BY_CI, &only).ended(1);
    stage.scan(&stage.image, &[&only[..], &["--fail-on", "high"]].concat()).ended(1);
    // What else it leads to is none of this platform's.
    stage.judge(BY_CI, &["--platform", "linux/arm64"]).ended(3);
}

/// The platforms with findings that count.
fn denied(run: &Run) -> Vec<String> {
    let judged = run.json();
    let rule = judged["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "rule").unwrap();
    let violated = rule["messages"].as_array().unwrap().iter().filter(|it| it["outcome"] == "violate");
    violated.map(|it| it["platform"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn vex_of_an_index_between_speaks_of_what_it_leads_to() {
    let nested = nested_of(files_with_lodash);
    let middle = digest(&nested.middle);
    let state = |stage: &Stage, of: &str, document: &Value| {
        stage.state_of(of, &stage.token(), "openvex", document, &[]).unwrap();
    };
    let about = |status: &str, month: u32, of: &str| {
        let mut document = openvex(status, month);
        document["statements"][0]["products"] =
            json!([{"@id": format!("pkg:oci/app@{of}"), "subcomponents": [{"@id": LODASH}]}]);
        document
    };
    // By the package, and by the index's own digest.
    for clears in [openvex("not_affected", 1), about("not_affected", 1, &middle)] {
        let stage = Stage::with(NATIVE, &nested.built);
        state(&stage, &middle, &clears);
        assert_eq!(denied(&stage.judge(BY_CI, &[]).ended(1)), ["linux/amd64"]);
        for (platform, code) in [("linux/amd64", 1), ("linux/arm64", 0), ("linux/s390x", 0)] {
            stage.judge(BY_CI, &["--platform", platform]).ended(code);
        }
    }
    for keeps in [openvex("affected", 2), about("affected", 2, &middle)] {
        let stage = Stage::with(NATIVE, &nested.built);
        state(&stage, &digest(&nested.root), &openvex("not_affected", 1));
        stage.judge(BY_CI, &[]).ended(0);
        state(&stage, &middle, &keeps);
        assert_eq!(denied(&stage.judge(BY_CI, &[]).ended(1)), ["linux/arm64", "linux/s390x"]);
        stage.judge(BY_CI, &["--platform", "linux/amd64"]).ended(0);
    }
    // What hangs on it and is not listed may be a later word on what it leads to.
    let stage = Stage::with(NATIVE, &nested.built);
    state(&stage, &digest(&nested.root), &openvex("not_affected", 1));
    stage.registry.script(on("GET", &format!("/referrers/{middle}")).times(1_000), [Fault::bare(403)]);
    let undecided = stage.judge(BY_CI, &[]).ended(3);
    assert!(message(&undecided).contains("a later statement may keep"), "{}", message(&undecided));
    stage.judge(BY_CI, &["--platform", "linux/amd64"]).ended(0);
    stage.judge(BY_CI, &["--platform", "linux/s390x"]).ended(3);
}

#[test]
fn what_is_too_deep_or_cannot_be_read_is_an_error_before_anything_is_signed() {
    // Three indexes are as deep as it goes.
    let stage = Stage::with(Referrers::Off, &chain(3));
    stage.sign().ended(0);
    stage.gate("signature: {by: [ci], perPlatform: true}").ended(0);
    let stage = Stage::with(Referrers::Off, &chain(4));
    for run in [stage.sign(), stage.attest(&json!({}), Version::V1, &["--recursive"])] {
        let run = run.ended(3);
        assert!(run.err().contains("limit `index depth`"), "{}", run.err());
    }
    stage.is_untouched();
    // The gate does not see what is below either, and does not admit it, though the image itself is signed.
    stage.signing("sign", &stage.token(), Version::V1, &["--no-recursive"]).ended(0);
    stage.gate("signature: {by: [ci]}").ended(3);
    stage.verify(&[]).ended(3);
    let nested = nested();
    let stage = Stage::with(Referrers::Off, &nested.built);
    for fault in [404, 403] {
        stage.registry.script(on("GET", &digest(&nested.platforms[2])).always(), [Fault::bare(fault)]);
        let run = stage.sign().ended(3);
        assert!(run.err().contains(&digest(&nested.platforms[2])), "{}", run.err());
        stage.registry.unscript();
        stage.is_untouched();
    }
    let many = (0..257).map(|n| {
        let mut built = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": n});
        built["digest"] =
            portcullis::model::digest::Digest::sha256(format!("{n}").as_bytes()).to_string().into();
        built
    });
    let mut built = layout();
    let wide = built.index(many.collect());
    let root = built.index(vec![wide]);
    built.tag("v1", root);
    let stage = Stage::with(Referrers::Off, &built);
    let run = stage.sign().ended(3);
    assert!(run.err().contains("limit `index children`"), "{}", run.err());
    stage.is_untouched();
}

/// The same beside a registry of others, which has no list of referrers.
#[test]
fn docker_registry_holds_signatures_of_every_level() {
    let Some(registry) = DockerRegistry::plain() else { return };
    let nested = nested();
    let mut stage = Stage::set(Referrers::Off);
    let folder = tempfile::tempdir().unwrap();
    nested.built.write(folder.path());
    stage.address = registry.address().to_owned();
    stage.image = registry.reference(APP, &digest(&nested.root));
    let (from, to) = (format!("oci:{}", folder.path().display()), registry.reference(APP, "v1"));
    let plain = ["--insecure-registry", registry.address()];
    portcullis(stage.folder.path(), &[["copy", &from, &to].as_slice(), &plain].concat()).ended(0);
    stage.signing_on(&nested.middle, "sign", &["--no-recursive"]);
    stage.verify(&["--platform", "linux/s390x"]).ended(0);
    stage.gate("signature: {by: [ci]}").ended(1);
    let signed = stage.sign().ended(0).json();
    assert_eq!(subjects(&signed).len(), 6, "{signed:#}");
    stage.gate("signature: {by: [ci], perPlatform: true}").ended(0);
}
