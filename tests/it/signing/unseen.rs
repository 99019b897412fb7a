//! What is listed and is gone, cannot be read, or is written in letters that are not known: it may be what speaks against
//! the image.

use serde_json::{Value, json};

use super::{APP, Stage, VSA, message};
use crate::support::registry::{Entries, Fault, MANIFEST, Referrers, on};
use crate::support::sigstore::{GITHUB, Version};

impl Stage {
    /// How `verify` ends.
    fn verified(&self) -> i32 {
        let root = self.files.trusted_root.to_str().unwrap();
        let who = ["--certificate-identity-glob", "https://**", "--certificate-oidc-issuer", GITHUB];
        let own = ["verify", &self.image, "--trusted-root", root, "-o", "json"];
        self.run(&[own.as_slice(), &who].concat()).code()
    }

    fn subject(&self) -> String {
        self.image.rsplit('@').next().unwrap().to_owned()
    }

    /// Pushes a changed copy of a referrer in place of it; its digest.
    fn altered(&self, referrer: &str, change: impl FnOnce(&mut Value)) -> String {
        let (_, _, bytes) = self.registry.manifest(APP, referrer).unwrap();
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut manifest);
        self.registry.remove_manifest(APP, referrer);
        self.registry.put_manifest(APP, None, MANIFEST, manifest.to_string().as_bytes())
    }

    /// Attests a verdict on the image; the referrer's digest.
    fn summed_up(&self, result: &str, at: &str) -> String {
        let file = self.summary_of(result, at, &self.image);
        let more = ["--type", VSA, "--predicate", &file];
        let made = self.signing("attest", &self.token(), Version::V1, &more).ended(0).json();
        made["images"][0]["manifests"][0]["referrer"].as_str().unwrap().to_owned()
    }
}

fn referrer(signed: &Value) -> String {
    signed["images"][0]["manifests"][0]["referrer"].as_str().unwrap().to_owned()
}

/// A signature that is listed and was deleted: nobody can say that the image is not signed.
#[test]
fn a_referrer_that_is_listed_and_gone_is_unknown_and_can_be_signed_again() {
    let stage = Stage::set(Referrers::Off);
    let signed = stage.signing("sign", &stage.token(), Version::V1, &["--no-recursive"]).ended(0).json();
    assert_eq!(stage.verified(), 0);
    stage.registry.remove_manifest(APP, &referrer(&signed));
    assert_eq!(stage.verified(), 3);
    let judged = stage.gate("signature: {by: [ci]}").ended(3);
    assert!(message(&judged).contains("take its entry out of the fallback tag"), "{}", message(&judged));
    // What is gone cannot be what is made now: it is signed anew, and then nothing is missing.
    stage.signing("sign", &stage.token(), Version::V1, &["--no-recursive"]).ended(0);
    assert_eq!(stage.verified(), 0);
}

/// Attack: the newest verdict deleted, or spoilt, so that the older one that passed the image counts.
#[test]
fn a_failed_verdict_that_is_gone_or_spoilt_leaves_an_older_one_undecided() {
    let rule = "verdict: {by: [ci], verifier: 'https://acme.example/gate'}";
    let stage = Stage::set(Referrers::Off);
    stage.summed_up("PASSED", "2026-01-01T00:00:00Z");
    stage.gate(rule).ended(0);
    let failed = stage.summed_up("FAILED", "2026-01-02T00:00:00Z");
    stage.gate(rule).ended(1);
    let listed = stage.registry.fallback(APP, &stage.subject());
    let (_, media_type, bytes) = stage.registry.manifest(APP, &failed).unwrap();
    stage.registry.remove_manifest(APP, &failed);
    stage.gate(rule).ended(3);
    let entry = |digest: &str| {
        let mut listed = listed.clone();
        for entry in listed.iter_mut().filter(|entry| entry["digest"] == failed) {
            *entry = json!({"mediaType": MANIFEST, "digest": digest, "size": 1});
        }
        listed
    };
    let spoilt: [fn(&mut Value); 5] = [
        |manifest| manifest["annotations"] = json!({"x": 5}),
        |manifest| manifest["subject"]["digest"] = json!("sha256:00"),
        |manifest| {
            manifest["layers"][0]["mediaType"] = json!("application/vnd.dev.sigstore.bundle.V0.3+json")
        },
        |manifest| manifest["layers"][0]["mediaType"] = json!("application/octet-stream"),
        |manifest| manifest["layers"] = json!([]),
    ];
    for (number, spoil) in spoilt.into_iter().enumerate() {
        stage.registry.put_manifest(APP, None, &media_type, &bytes);
        let digest = stage.altered(&failed, spoil);
        stage.registry.set_fallback(APP, &stage.subject(), &entry(&digest), Entries::Faithful);
        let judged = stage.gate(rule);
        assert_eq!(judged.code(), 3, "{number}: {}", message(&judged));
    }
    // Without it on the list nothing is in doubt.
    let others: Vec<Value> = listed.into_iter().filter(|entry| entry["digest"] != failed).collect();
    stage.registry.set_fallback(APP, &stage.subject(), &others, Entries::Faithful);
    stage.gate(rule).ended(0);
}

/// What cannot be read back for a moment is asked for again, and not made a second time.
#[test]
fn a_push_that_cannot_be_read_back_at_once_is_waited_for() {
    let stage = Stage::set(Referrers::Native { page_size: 100 });
    stage.registry.script(on("GET", "/blobs/").times(2), [Fault::bare(403)]);
    stage.signing("sign", &stage.token(), Version::V1, &["--no-recursive"]).ended(0);
    assert_eq!(stage.sigstore.entries(Version::V1).len(), 1);
    assert_eq!(stage.verified(), 0);
}
