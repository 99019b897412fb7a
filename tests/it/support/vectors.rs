//! The conformance vectors of `../shared`: bundles that must be accepted or refused
//! (sigstore/sigstore-conformance, `test/assets/bundle-verify`).

use std::fs;
use std::path::Path;

use portcullis::attestation::identity::{Field, Identity, Pattern};
use portcullis::attestation::{
    LogOfKey, PublicKey, Rejection, RejectionKind, Root, RootId, SignedBy, Subject, Trust, Verified, Whose,
    verify,
};

use super::shared;

const SUBJECT: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
                       .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// One vector.
pub struct Vector {
    pub name: String,
    pub bundle: Vec<u8>,
    pub artifact: Vec<u8>,
    pub subject: String,
    pub issuer: String,
    /// The key, where one is given, or why it cannot be used.
    pub key: Option<Result<PublicKey, String>>,
    /// The root, or why it cannot be used.
    pub trust: Result<Trust, String>,
}

/// Every vector, sorted; `None` where the shared data is not there.
pub fn vectors() -> Option<Vec<Vector>> {
    let folder = shared("data/sigstore/test/assets/bundle-verify")?;
    let mut folders: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    Some(folders.iter().map(|path| vector(path)).collect())
}

fn vector(folder: &Path) -> Vector {
    let file = |name: &str| fs::read(folder.join(name)).ok();
    let text = |name: &str, default: &str| {
        file(name).map_or(default.to_owned(), |bytes| String::from_utf8(bytes).unwrap().trim().to_owned())
    };
    let root = match file("trusted_root.json") {
        Some(bytes) => Root::read(RootId::Custom("its own".to_owned()), &bytes),
        None => Root::embedded(RootId::PublicGood),
    };
    Vector {
        name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
        bundle: file("bundle.sigstore.json").unwrap(),
        artifact: file("artifact").unwrap_or_else(|| fs::read(folder.join("../../a.txt")).unwrap()),
        subject: text("identity", SUBJECT),
        issuer: text("issuer", ISSUER),
        key: file("key.pub").map(|pem| PublicKey::read_pem(&pem).map_err(|error| error.to_string())),
        trust: root.map(Trust::new).map_err(|error| error.to_string()),
    }
}

impl Vector {
    /// Whether it must be refused.
    pub fn must_fail(&self) -> bool {
        self.name.ends_with("_fail")
    }

    /// Verifies a bundle as this vector's, cryptography and identity.
    pub fn verify(&self, bundle: &[u8], subject: Subject<'_>) -> Result<Verified, Rejection> {
        let trust =
            self.trust.as_ref().map_err(|cause| Rejection::new(RejectionKind::Chain, cause.clone()))?;
        let whose = match &self.key {
            Some(Ok(key)) => Whose::Key(key, LogOfKey::Demanded),
            Some(Err(cause)) => return Err(Rejection::new(RejectionKind::Material, cause.clone())),
            None => Whose::Certificate,
        };
        let verified = verify(trust, whose, bundle, subject)?;
        if let SignedBy::Certificate(signer) = &verified.signed_by {
            let subject = (Field::Subject, Pattern::exact(&self.subject).unwrap());
            let identity = Identity::new(Pattern::exact(&self.issuer).unwrap(), [subject]).unwrap();
            identity
                .check(signer)
                .map_err(|mismatches| Rejection::new(RejectionKind::Identity, mismatches[0].to_string()))?;
        }
        Ok(verified)
    }
}
