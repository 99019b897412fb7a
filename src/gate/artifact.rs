//! What an artifact is, and who is said to have signed it. Nothing is verified.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::attestation::certificate;
use crate::attestation::claims::{self, SignedBy, is_bundle};
use crate::image::document::{self, Document};
use crate::image::resolve::verify;
use crate::model::descriptor::{Descriptor, Manifest};
use crate::model::digest::Digest;
use crate::model::tree::{Artifact, ArtifactKind, Hangs, ListedBy, Signer};
use crate::registry::Listed;

use super::hanging::Hung;
use super::source::Source;

/// Predicate types and signers of one artifact that are shown: 1,000, as many layers as cosign's tags have.
pub(super) const LAYERS: usize = 1_000;

/// Bytes of all bundles that are looked into: 256 MiB.
pub(super) const BUNDLES: u64 = 256 << 20;

/// The predicate type of what `cosign sign` makes.
const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Reads artifacts.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    source: &'a Source,
    /// Bytes of bundles that may still be fetched.
    bytes: AtomicU64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, bytes: AtomicU64::new(BUNDLES) }
    }

    /// What a referrer is, of which `bytes` is the manifest.
    pub(super) fn artifact(&self, hung: &Hung, bytes: &[u8]) -> Artifact {
        let digest = &hung.descriptor.digest;
        let mut artifact = Artifact {
            kind: ArtifactKind::Other,
            digest: digest.clone(),
            size: bytes.len() as u64,
            artifact_type: hung.artifact_type.clone(),
            listed: match hung.listed {
                Some(Listed::Native) => ListedBy::Api,
                Some(Listed::FallbackTag) => ListedBy::FallbackTag,
                None => ListedBy::Index,
            },
            predicate_types: Vec::new(),
            signers: Vec::new(),
            hangs: Hangs::default(),
        };
        // What is no manifest, or none that can be read, is shown and not looked into.
        let Ok(manifest) = manifest(bytes, digest) else { return artifact };
        if let [layer] = manifest.layers.as_slice()
            && is_bundle(&layer.media_type)
        {
            self.look_into(&mut artifact, layer);
        }
        artifact
    }

    /// Says what a bundle is and who is said to have signed it. Attack: a bundle that no verifier reads, shown as what the
    /// annotations of its manifest say of it, which nobody signed.
    fn look_into(&self, artifact: &mut Artifact, layer: &Descriptor) {
        let read = self.bytes(layer).and_then(|bytes| claims::read(&bytes));
        let (predicate, is_message) = match &read {
            Ok(bundle) => (bundle.predicate_type.clone(), bundle.is_message),
            Err(_) => (None, false),
        };
        artifact.kind = match predicate.as_deref() {
            Some(COSIGN_SIGN) => ArtifactKind::Signature,
            Some(_) => ArtifactKind::Attestation,
            None if is_message => ArtifactKind::Signature,
            None => ArtifactKind::Bundle,
        };
        artifact.predicate_types.extend(predicate.filter(|predicate| predicate != COSIGN_SIGN));
        artifact.signers.push(match read.and_then(|bundle| bundle.signer) {
            Ok(SignedBy::Certificate(claimed)) => of(claimed),
            Ok(SignedBy::Key(hint)) => Signer::Key { hint },
            Err(cause) => Signer::Unreadable { cause },
        });
    }

    fn bytes(&self, layer: &Descriptor) -> Result<Vec<u8>, String> {
        if layer.size > claims::BUNDLE {
            return Err(format!("a bundle larger than the limit of {} bytes", claims::BUNDLE));
        }
        let take = |left: u64| left.checked_sub(layer.size);
        // Attack: a thousand bundles of the largest size, for one look.
        if self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(format!("bundles of more than {BUNDLES} bytes in all"));
        }
        let bytes = self.source.document(layer, claims::BUNDLE).map_err(|error| error.cause)?;
        verify(&bytes, layer, &format!("blob {}", layer.digest)).map_err(|fault| fault.to_string())?;
        Ok(bytes)
    }
}

/// What one of cosign's tags leads to (cosign, SIGNATURE_SPEC.md). Its layers are the signatures.
pub(super) fn under_tag(suffix: &str, descriptor: &Descriptor, bytes: &[u8]) -> Artifact {
    let kind = match suffix {
        "sig" => ArtifactKind::LegacySignature,
        "att" => ArtifactKind::LegacyAttestation,
        _ => ArtifactKind::LegacySbom,
    };
    let (mut signers, mut predicate_types) = (Vec::new(), Vec::new());
    match manifest(bytes, &descriptor.digest) {
        Ok(manifest) => {
            for layer in manifest.layers.iter().take(LAYERS) {
                predicate_types.extend(layer.annotations.get("predicateType").cloned());
                // Nobody signs the SBOM there.
                if kind != ArtifactKind::LegacySbom {
                    signers.push(match layer.annotations.get("dev.sigstore.cosign/certificate") {
                        Some(pem) if !pem.is_empty() => match certificate::read_pem(pem) {
                            Ok(claimed) => of(claimed),
                            Err(cause) => Signer::Unreadable { cause },
                        },
                        Some(_) | None => Signer::Key { hint: None },
                    });
                }
            }
        }
        Err(cause) => signers.push(Signer::Unreadable { cause }),
    }
    Artifact {
        kind,
        digest: descriptor.digest.clone(),
        size: bytes.len() as u64,
        artifact_type: None,
        listed: ListedBy::Tag,
        predicate_types,
        signers,
        hangs: Hangs::default(),
    }
}

fn of(claimed: certificate::Claimed) -> Signer {
    Signer::Certificate { identities: claimed.identities, issuer: claimed.issuer }
}

/// A document as a manifest.
pub(super) fn manifest(bytes: &[u8], digest: &Digest) -> Result<Manifest, String> {
    let at = format!("manifest {digest}");
    match document::parse(bytes, None, &at).map_err(|fault| fault.to_string())? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err(format!("{at}: an index, and no manifest")),
    }
}
