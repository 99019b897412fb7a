//! Who signs what, and who accepts it: portcullis, the crates that it uses and four other implementations, all
//! against the Sigstore of the tests.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sigstore_oidc::IdentityToken;
use sigstore_sign::{SigningContext, SigningServices};
use sigstore_trust_root::{SigningConfig, TrustedRoot};
use sigstore_types::{Bundle, DerPublicKey};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, Verifier};
use tempfile::TempDir;

use super::support::docker_registry::DockerRegistry;
use super::support::image::{Layout, image, layer, layout};
use super::support::judges::{Case, Form, HUNG, Hung, Installed, JUDGES, Judge, statement};
use super::support::registry::{Referrers, Registry, Switches};
use super::support::sigstore::{Claims, Files, GITHUB, Lie, Sigstore, Version};
use super::support::skopeo::{Access, skopeo};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0";
const FORMS: [Form; 2] = [Form::Message, Form::Dsse];
const VERSIONS: [Version; 2] = [Version::V1, Version::V2];

/// Cells that a peer cannot do, each with the reason. They must fail, or the line goes.
const CANNOT_SIGN: &[(Judge, Form, Version, &str)] = &[(
    Judge::JavaScript,
    Form::Dsse,
    Version::V2,
    "@sigstore/sign 4.1.1 sends dsseRequestV002, which Rekor v2 refuses since it has hashedrekord alone",
)];
const CANNOT_VERIFY: &[(Judge, Form, Version, &str)] = &[(
    Judge::JavaScript,
    Form::Dsse,
    Version::V2,
    "@sigstore/verify 3.1.1 compares the entry's digest with the payload, not with what was signed",
)];

fn reason(
    cells: &[(Judge, Form, Version, &'static str)],
    cell: (Judge, Form, Version),
) -> Option<&'static str> {
    cells.iter().find(|(judge, form, version, _)| (*judge, *form, *version) == cell).map(|cell| cell.3)
}

/// Services, what they say of themselves, and a file to sign.
struct Stage {
    sigstore: Sigstore,
    files: Files,
    artifact: PathBuf,
    other: PathBuf,
    folder: TempDir,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sigstore = Sigstore::start();
        let files = sigstore.write(folder.path());
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let (artifact, other) = (write("artifact", b"what is signed"), write("other", b"what is not"));
        Self { sigstore, files, artifact, other, folder }
    }

    fn token(&self) -> String {
        self.sigstore.token(&Claims::github("acme/app", "release.yml", "refs/tags/v1.0.0"))
    }

    /// Signs with the crates.
    fn sign(&self, form: Form, rekor: Version) -> Vec<u8> {
        let config = SigningConfig::from_file(self.files.signing_config(rekor)).unwrap();
        let services = SigningServices::from_signing_config(&config).unwrap();
        let signer = SigningContext::new(services).signer(IdentityToken::from_jwt(&self.token()).unwrap());
        let bytes = std::fs::read(&self.artifact).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let signed = runtime.block_on(async {
            match form {
                Form::Message => signer.sign(bytes.as_slice()).await,
                Form::Dsse => {
                    let hex = portcullis::model::digest::Digest::sha256(&bytes).hex().to_owned();
                    signer.sign_raw_statement(statement(&hex).to_string().as_bytes()).await
                }
            }
        });
        signed.unwrap().to_json().unwrap().into_bytes()
    }

    /// Verifies with the crates.
    fn verify(&self, bundle: &[u8], identity: &str, artifact: &Path) -> Result<(), String> {
        let root = TrustedRoot::from_file(&self.files.trusted_root).unwrap();
        let bundle = Bundle::from_json(std::str::from_utf8(bundle).unwrap()).map_err(|e| e.to_string())?;
        let bytes = std::fs::read(artifact).unwrap();
        let policy = VerificationPolicy::new(identity, GITHUB);
        let verified = Verifier::new(&root).unwrap().verify(bytes.as_slice(), &bundle, &policy);
        verified.map(|_| ()).map_err(|error| error.to_string())
    }

    /// What a judge says to a bundle of this signer.
    fn judge(
        &self,
        judge: &Installed,
        bundle: &[u8],
        form: Form,
        identity: &str,
        artifact: &Path,
    ) -> Result<(), String> {
        let path = self.folder.path().join("bundle.json");
        std::fs::write(&path, bundle).unwrap();
        judge.verify(&Case { files: &self.files, bundle: &path, artifact, form, identity, issuer: GITHUB })
    }
}

/// A bundle whose signature has one bit changed.
fn forged(bundle: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let mut document: Value = serde_json::from_slice(bundle).unwrap();
    let signature = match document.get_mut("messageSignature") {
        Some(message) => &mut message["signature"],
        None => &mut document["dsseEnvelope"]["signatures"][0]["sig"],
    };
    let mut bytes = STANDARD.decode(signature.as_str().unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    *signature = json!(STANDARD.encode(bytes));
    serde_json::to_vec(&document).unwrap()
}

/// Every judge accepts what the crates sign, for the file and the identity that it is of.
fn accepts(judge: Judge) {
    let Some(installed) = judge.installed() else { return };
    let stage = Stage::set();
    for (form, rekor) in FORMS.into_iter().flat_map(|form| VERSIONS.map(|rekor| (form, rekor))) {
        let bundle = stage.sign(form, rekor);
        let said = stage.judge(&installed, &bundle, form, WORKFLOW, &stage.artifact);
        match reason(CANNOT_VERIFY, (judge, form, rekor)) {
            None => said.unwrap_or_else(|said| panic!("{judge:?} {form:?} {rekor:?}: {said}")),
            Some(reason) => assert!(said.is_err(), "{judge:?} {form:?} {rekor:?} can: not so that {reason}"),
        }
        let refuses = |what: &str, bundle: &[u8], identity: &str, artifact: &Path| {
            let said = stage.judge(&installed, bundle, form, identity, artifact);
            assert!(said.is_err(), "{judge:?} {form:?} {rekor:?} accepts another {what}");
        };
        refuses("identity", &bundle, &WORKFLOW.replace("v1.0.0", "v1.0.1"), &stage.artifact);
        refuses("signature", &forged(&bundle), WORKFLOW, &stage.artifact);
        // The JavaScript library leaves the subject of a statement to its caller.
        if judge != Judge::JavaScript || form == Form::Message {
            refuses("file", &bundle, WORKFLOW, &stage.other);
        }
    }
}

#[test]
fn portcullis_accepts_what_is_signed_here() {
    accepts(Judge::Portcullis);
}

#[test]
fn python_accepts_what_is_signed_here() {
    accepts(Judge::Python);
}

#[test]
fn javascript_accepts_what_is_signed_here() {
    accepts(Judge::JavaScript);
}

#[test]
fn sigstore_go_accepts_what_is_signed_here() {
    accepts(Judge::SigstoreGo);
}

#[test]
fn cosign_accepts_what_is_signed_here() {
    accepts(Judge::Cosign);
}

/// What each signs is accepted by each, of whom it is, and of nobody else.
#[test]
fn what_each_signs_each_accepts() {
    let judges: Option<Vec<(Judge, Installed)>> =
        JUDGES.into_iter().map(|judge| Some((judge, judge.installed()?))).collect();
    let Some(judges) = judges else { return };
    let stage = Stage::set();
    for (form, rekor) in FORMS.into_iter().flat_map(|form| VERSIONS.map(|rekor| (form, rekor))) {
        for (signer, installed) in &judges {
            let signed = installed.sign(&stage.files, rekor, &stage.token(), form, &stage.artifact);
            let at = format!("{signer:?} {form:?} {rekor:?}");
            let bundle = match (signed, reason(CANNOT_SIGN, (*signer, form, rekor))) {
                (Ok(bundle), None) => bundle,
                (Err(_), Some(_)) => continue,
                (Ok(_), Some(reason)) => panic!("{at} can: not so that {reason}"),
                (Err(said), None) => panic!("{at}: {said}"),
            };
            stage.verify(&bundle, WORKFLOW, &stage.artifact).unwrap_or_else(|said| panic!("{at}: {said}"));
            stage.verify(&bundle, WORKFLOW, &stage.other).expect_err(&at);
            stage.verify(&forged(&bundle), WORKFLOW, &stage.artifact).expect_err(&at);
            for (judge, other) in &judges {
                let said = stage.judge(other, &bundle, form, WORKFLOW, &stage.artifact);
                match reason(CANNOT_VERIFY, (*judge, form, rekor)) {
                    None => said.unwrap_or_else(|said| panic!("{at} by {judge:?}: {said}")),
                    Some(reason) => assert!(said.is_err(), "{at}: {judge:?} can: not so that {reason}"),
                }
                let identity = WORKFLOW.replace("acme/app", "acme/other");
                let said = stage.judge(other, &bundle, form, &identity, &stage.artifact);
                assert!(said.is_err(), "{at}: {judge:?} accepts it of another");
            }
        }
    }
}

/// Cosign signs images and attests of them, in both formats, beside both kinds of registry, and accepts what
/// it hung there; another identity it refuses.
#[test]
fn cosign_hangs_both_formats_beside_images() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    let stage = Stage::set();
    for referrers in [Referrers::Native { page_size: 100 }, Referrers::Off] {
        let registry = Registry::start(Switches { referrers, ..Switches::default() });
        for (place, (what, rekor)) in HUNG.into_iter().enumerate() {
            let repository = format!("app{place}");
            let digest = registry.push_layout(&repository, "v1", &small(&repository));
            hang(&stage, &cosign, &registry.reference(&repository, &digest), what, rekor);
            let suffix = if what.0 == Form::Message { "sig" } else { "att" };
            let legacy = format!("{}.{suffix}", digest.replace(':', "-"));
            let tags = registry.tags(&repository);
            assert_eq!(tags.contains(&legacy), what.1 == Hung::Legacy, "{what:?} {rekor:?}: {tags:?}");
        }
    }
}

#[test]
fn cosign_hangs_both_formats_in_docker_registry() {
    let (Some(cosign), Some(skopeo)) = (Judge::Cosign.installed(), skopeo()) else { return };
    let Some(registry) = DockerRegistry::plain() else { return };
    let stage = Stage::set();
    for (place, (what, rekor)) in HUNG.into_iter().enumerate() {
        let repository = format!("app{place}");
        let folder = tempfile::tempdir().unwrap();
        small(&repository).write(folder.path());
        let tagged = registry.reference(&repository, "v1");
        skopeo.push(folder.path(), "v1", &tagged, &Access::default());
        let manifest = skopeo.inspect_raw(&tagged, &Access::default());
        let digest = portcullis::model::digest::Digest::sha256(&manifest).to_string();
        hang(&stage, &cosign, &registry.reference(&repository, &digest), what, rekor);
    }
}

/// What cosign 3.1.3 lets pass, and portcullis must not: any attestation by the right signer counts as a
/// signature, and patterns of identities need not match the whole.
#[test]
fn cosign_has_these_holes() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    let stage = Stage::set();
    let registry = Registry::start(Switches::default());
    let digest = registry.push_layout("app", "v1", &small("app"));
    let reference = registry.reference("app", &digest);
    let attestation = (Form::Dsse, Hung::Bundle);
    let hung =
        cosign.hang(&stage.sigstore, &stage.files, Version::V1, &stage.token(), attestation, &reference);
    hung.unwrap();
    // Nobody signed the image.
    cosign.hangs(&stage.files, (Form::Message, Hung::Bundle), WORKFLOW, GITHUB, &reference).unwrap();
    let root = stage.files.trusted_root.to_str().unwrap();
    let pattern = "github.com/acme/app/";
    let verify = ["verify", "--trusted-root", root, "--certificate-identity-regexp", pattern];
    cosign.run(&[verify.as_slice(), &["--certificate-oidc-issuer", GITHUB, &reference]].concat()).unwrap();
}

/// An image unlike others, tagged `v1`.
fn small(name: &str) -> Layout {
    let mut built = layout();
    let descriptor = built.add(image("linux/amd64").layer(layer("one").file("name", name)));
    built.tag("v1", descriptor);
    built
}

/// Cosign refuses an image, hangs a signature or an attestation beside it, and accepts it of its identity alone.
fn hang(stage: &Stage, cosign: &Installed, reference: &str, what: (Form, Hung), rekor: Version) {
    let at = format!("{what:?} {rekor:?}");
    let accepts = |identity: &str| cosign.hangs(&stage.files, what, identity, GITHUB, reference);
    assert!(accepts(WORKFLOW).is_err(), "{at}: accepted unsigned");
    let hung = cosign.hang(&stage.sigstore, &stage.files, rekor, &stage.token(), what, reference);
    hung.unwrap_or_else(|said| panic!("{at}: {said}"));
    accepts(WORKFLOW).unwrap_or_else(|said| panic!("{at}: {said}"));
    assert!(accepts(&WORKFLOW.replace("acme/app", "acme/other")).is_err(), "{at}: accepted of another");
}

/// Cosign signs with a key of its own, and accepts that; so do the crates.
#[test]
fn cosign_signs_with_a_managed_key() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    let stage = Stage::set();
    let (key, public) = cosign.generate_key_pair();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (key, public_path, root) = (path(&key), path(&public), path(&stage.files.trusted_root));
    let (artifact, bundle) = (path(&stage.artifact), path(&stage.folder.path().join("keyed.json")));
    let text = std::fs::read_to_string(&public).unwrap();
    let policy = PublicKeyVerificationPolicy::new(DerPublicKey::from_pem(&text).unwrap());
    for rekor in VERSIONS {
        let config = path(stage.files.signing_config(rekor));
        let services = ["--yes", "--trusted-root", &root, "--signing-config", &config, "--bundle", &bundle];
        cosign.run(&[["sign-blob", "--key", &key].as_slice(), &services, &[&artifact]].concat()).unwrap();
        let check = ["verify-blob", "--key", &public_path, "--bundle", &bundle, "--trusted-root", &root];
        cosign.run(&[check.as_slice(), &["--use-signed-timestamps", &artifact]].concat()).unwrap();
        let signed = Bundle::from_json(&std::fs::read_to_string(&bundle).unwrap()).unwrap();
        let trusted = TrustedRoot::from_file(&stage.files.trusted_root).unwrap();
        let verifier = Verifier::new(&trusted).unwrap();
        verifier.verify(std::fs::read(&stage.artifact).unwrap().as_slice(), &signed, &policy).unwrap();
        assert!(verifier.verify(std::fs::read(&stage.other).unwrap().as_slice(), &signed, &policy).is_err());
    }
    assert_eq!(stage.sigstore.certificates(), 0);
}

/// Cosign's TUF client takes what the repository holds, and follows its root; it refuses one that usurps.
#[test]
fn cosign_follows_the_tuf_repository() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    let stage = Stage::set();
    let root = stage.folder.path().join("root.json");
    std::fs::write(&root, stage.sigstore.repository.root(1)).unwrap();
    let initialize = || {
        cosign.run(&["initialize", "--mirror", stage.sigstore.tuf.url(), "--root", root.to_str().unwrap()])
    };
    initialize().unwrap();
    stage.sigstore.repository.rotate();
    initialize().unwrap();
    stage.sigstore.repository.usurp();
    initialize().unwrap_err();
}

/// Lies that the services tell while the crates sign without a look, and the log's version. Each is a hole
/// where a judge accepts it.
const LIES: &[(Lie, Version)] = &[
    (Lie::NoSct, Version::V1),
    (Lie::SctKey, Version::V1),
    (Lie::SctLog, Version::V1),
    (Lie::OtherRoot, Version::V1),
    (Lie::NoCodeSigning, Version::V1),
    (Lie::CheckpointKey, Version::V1),
    (Lie::CheckpointKey, Version::V2),
    (Lie::OtherLog, Version::V1),
    (Lie::OtherLog, Version::V2),
    (Lie::StaleProof, Version::V1),
    (Lie::StaleProof, Version::V2),
    (Lie::OtherProof, Version::V1),
    (Lie::OtherProof, Version::V2),
    (Lie::SetKey, Version::V1),
    (Lie::IntegratedTime, Version::V1),
    (Lie::OtherEntry, Version::V1),
    (Lie::TsaKey, Version::V1),
    (Lie::TsaKey, Version::V2),
];

/// Lies that a judge does not see, each with the reason.
const UNSEEN: &[(Judge, Lie, Version, &str)] = &[
    (Judge::JavaScript, Lie::NoCodeSigning, Version::V1, "it does not look at the extended key usage"),
    (Judge::Python, Lie::TsaKey, Version::V1, "one good time is enough, and the log gives one"),
    (Judge::SigstoreGo, Lie::TsaKey, Version::V1, "one good time is enough, and the log gives one"),
];

/// The lies are lies: judges that share no code with the crates refuse what they are in.
#[test]
fn lies_are_seen_by_the_judges() {
    let judges: Option<Vec<(Judge, Installed)>> =
        JUDGES.into_iter().map(|judge| Some((judge, judge.installed()?))).collect();
    let Some(judges) = judges else { return };
    let stage = Stage::set();
    for rekor in VERSIONS {
        stage.sign(Form::Message, rekor);
        stage.sign(Form::Message, rekor);
    }
    let mut wrong = Vec::new();
    for (lie, rekor) in LIES {
        let service = match (lie, rekor) {
            (Lie::NoSct | Lie::SctKey | Lie::SctLog | Lie::OtherRoot | Lie::NoCodeSigning, _) => {
                &stage.sigstore.fulcio
            }
            (Lie::TsaKey, _) => &stage.sigstore.tsa,
            (_, Version::V1) => &stage.sigstore.rekor,
            (_, Version::V2) => &stage.sigstore.rekor2,
        };
        service.lie(lie.clone());
        let bundle = stage.sign(Form::Message, *rekor);
        assert!(stage.verify(&bundle, WORKFLOW, &stage.artifact).is_err(), "{lie:?} {rekor:?}");
        for (judge, installed) in &judges {
            let seen = stage.judge(installed, &bundle, Form::Message, WORKFLOW, &stage.artifact).is_err();
            let unseen = UNSEEN.iter().any(|(j, l, v, _)| (j, l, v) == (judge, lie, rekor));
            if seen == unseen {
                wrong
                    .push(format!("{judge:?} {lie:?} {rekor:?}: {}", if seen { "seen" } else { "accepted" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
