//! What GitHub's own instance signed: its authority and its timestamps, and no log. The bundle is test data of GitHub's
//! command, which `tests/judges/github/fetch` fetches as a Go module.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::attestation::{
    Content, LogOfKey, PublicKey, RejectionKind, Root, RootId, SignedBy, Subject, Trust, Verified, Whose,
    verify,
};
use portcullis::model::digest::Digest;
use serde_json::{Value, json};

use super::support::cli::portcullis;
use super::support::judges::named;

const RELEASE: &str = "https://in-toto.io/attestation/release/v0.1";
const SIGNER: &str = "https://dotcom.releases.github.com";

fn bundles() -> Option<PathBuf> {
    let folder = named("PORTCULLIS_GITHUB_BUNDLES", "the folder that tests/judges/github/fetch prints")?;
    if folder.as_os_str().is_empty() {
        println!("skipped: tests/judges/github/fetch could fetch nothing");
        return None;
    }
    Some(folder)
}

struct Release {
    folder: PathBuf,
    bundle: Vec<u8>,
    artifact: Vec<u8>,
}

fn release() -> Option<Release> {
    let folder = bundles()?;
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let (bundle, artifact) = (read("github_release_bundle.json"), read("github_release_artifact.zip"));
    Some(Release { bundle, artifact, folder })
}

fn only(id: RootId) -> Trust {
    Trust::new(Root::embedded(id).unwrap())
}

impl Release {
    fn judge(&self, trust: &Trust, bundle: &[u8], artifact: &[u8]) -> Result<Verified, RejectionKind> {
        let subject = Digest::sha256(artifact);
        let judged = verify(trust, Whose::Certificate, bundle, Subject::Digest(&subject));
        judged.map_err(|rejection| rejection.kind)
    }

    fn changed(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut bundle: Value = serde_json::from_slice(&self.bundle).unwrap();
        change(&mut bundle);
        bundle.to_string().into_bytes()
    }
}

#[test]
fn a_release_attestation_of_github_is_verified_by_githubs_root_alone() {
    let Some(release) = release() else { return };
    let judge = |trust: &Trust| release.judge(trust, &release.bundle, &release.artifact).map(|one| one.root);
    assert_eq!(judge(&only(RootId::GitHub)), Ok(Some(RootId::GitHub)));
    assert_eq!(judge(&Trust::embedded().unwrap()), Ok(Some(RootId::GitHub)));
    // No other instance vouches for what is in no log.
    for other in [RootId::PublicGood, RootId::Staging] {
        assert_eq!(judge(&only(other)), Err(RejectionKind::LogMissing));
    }
    let verified = release.judge(&only(RootId::GitHub), &release.bundle, &release.artifact).unwrap();
    let SignedBy::Certificate(signer) = &verified.signed_by else { panic!("{verified:?}") };
    // GitHub itself is the signer: nobody vouches for its name beside its authority.
    assert_eq!((signer.name.as_str(), signer.issuer.as_deref()), (SIGNER, None));
    assert!(verified.log_entries.is_empty() && !verified.is_signature());
    assert_eq!(verified.times.len(), 1);
    let Content::Statement { statement, .. } = &verified.content else { panic!("{verified:?}") };
    assert_eq!(statement.predicate_type, RELEASE);
}

#[test]
fn what_is_changed_of_it_or_taken_away_is_refused() {
    let Some(release) = release() else { return };
    let judge = |bundle: &[u8], artifact: &[u8]| {
        release.judge(&only(RootId::GitHub), bundle, artifact).map(|_| ()).unwrap_err()
    };
    let invalid = fs::read(release.folder.join("github_release_artifact_invalid.zip")).unwrap();
    assert_eq!(judge(&release.bundle, &invalid), RejectionKind::Subject);
    // Without a time nothing says that the certificate was valid then.
    for stamps in [json!({}), json!({"rfc3161Timestamps": []})] {
        let stripped =
            release.changed(|bundle| bundle["verificationMaterial"]["timestampVerificationData"] = stamps);
        let kind = judge(&stripped, &release.artifact);
        // The library says of both, log and time, that nothing vouches for when it was signed.
        assert!(matches!(kind, RejectionKind::NoTime | RejectionKind::LogMissing), "{kind:?}");
    }
    // The timestamp is of this signature: not of a statement that says something else.
    let other = release.changed(|bundle| {
        let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        let (own, other) = (Digest::sha256(&release.artifact), Digest::sha256(b"evil"));
        assert!(payload.contains(own.hex()));
        let payload = STANDARD.encode(payload.replace(own.hex(), other.hex()));
        bundle["dsseEnvelope"]["payload"] = payload.into();
    });
    assert_eq!(judge(&other, b"evil"), RejectionKind::Signature);
    let forged = release.changed(|bundle| {
        let place = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
        let stamp = bundle.pointer_mut(place).unwrap();
        let mut bytes = STANDARD.decode(stamp.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        *stamp = STANDARD.encode(bytes).into();
    });
    assert_eq!(judge(&forged, &release.artifact), RejectionKind::Timestamp);
    // A key is not asked for by what a certificate signed.
    let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgwHumU+dm8FGULaW8Chw\
               pMCoA8wmqy0SpiTbp728MkMLXKqiIfFl89Xhb/VGpQxkPV0Uqb23hGJKabvf9CdApg==\n-----END PUBLIC KEY-----\n";
    let key = PublicKey::read_pem(pem.as_bytes()).unwrap();
    let subject = Digest::sha256(&release.artifact);
    let trust = only(RootId::GitHub);
    let by_key =
        verify(&trust, Whose::Key(&key, LogOfKey::NotDemanded), &release.bundle, Subject::Digest(&subject));
    assert_eq!(by_key.unwrap_err().kind, RejectionKind::Material);
}

/// The command says who signed. Nobody is accepted by a name that no issuer vouches for.
#[test]
fn the_command_names_the_signer_and_the_root() {
    let Some(release) = release() else { return };
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| release.folder.join(name).to_str().unwrap().to_owned();
    let (bundle, artifact) = (path("github_release_bundle.json"), path("github_release_artifact.zip"));
    let issuer = "https://token.actions.githubusercontent.com";
    let who = ["--certificate-identity", SIGNER, "--certificate-oidc-issuer", issuer];
    let all = ["verify-bundle", "--offline", "--bundle", &bundle, &artifact];
    let run = portcullis(home.path(), &[all.as_slice(), &who].concat()).ended(1);
    for part in ["there is no issuer", SIGNER, RELEASE, "github"] {
        assert!(run.out().contains(part), "{part}: {}", run.out());
    }
    // What GitHub's workflows signed for other instances is in the same folder, and verifies.
    let (bundle, artifact) = (path("custom-issuer.sigstore.json"), path("custom-issuer-artifact"));
    let all = ["verify-bundle", "--offline", "--bundle", &bundle, &artifact];
    let issuer = ["--certificate-oidc-issuer", "https://token.actions.githubusercontent.com/hammer-time"];
    let name = "https://github.com/too-legit/attest/.github/workflows/integration.yml@refs/heads/main";
    let by = ["--certificate-identity", name];
    portcullis(home.path(), &[all.as_slice(), &by, &issuer].concat()).ended(0);
}
