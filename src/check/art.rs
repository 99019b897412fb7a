//! ART: artifacts, and what hangs on the image's manifests.

mod table;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::digest::Digest;
use crate::model::tree::{ArtifactKind, Signer};
use crate::model::violation::Place;

use super::documents::Role;
use super::hanging::{self, Kind, OnManifest, Referring};
use super::json_scan::shown;
use super::look::{self, Look};
use super::{Check, Family, Found, Subject};
use table::*;

/// The family.
pub(super) struct Artifacts;

impl Family for Artifacts {
    fn checks(&self) -> &'static [Check] {
        CHECKS
    }

    fn look(&self, subject: &Subject<'_>, found: &mut Found) {
        look::each(subject.documents, found, |look| {
            if look.node.role != Role::Config {
                artifact(look);
            }
        });
        for manifest in &subject.hanging.manifests {
            lists(manifest, found);
            for referring in &manifest.referrers {
                referrer(manifest, referring, found);
            }
            formats(manifest, found);
        }
        for above in &subject.hanging.subjects {
            if above.missing {
                let message = format!("what it refers to, {}, is not in the repository", above.digest);
                found.add(&ART_002, at(&above.of, "/subject/digest"), message);
            }
            misstated(above, found);
        }
        for unseen in &subject.hanging.unseen {
            found.unseen(unseen.at.clone(), unseen.cause.clone());
        }
    }
}

/// OCI manifest.md, "Guidance for an Empty Descriptor".
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn artifact(look: &mut Look<'_, '_>) {
    if look.text("/config/mediaType") == Some(EMPTY_TYPE)
        && look.text("/artifactType").is_none_or(str::is_empty)
    {
        look.say(&ART_001, "", "its config is empty, and artifactType is missing");
    }
    let config =
        look.value().and_then(|value| value.get("config")).map(|config| ("/config".to_owned(), config));
    let layers = look.list("/layers").iter().enumerate().map(|(i, layer)| (format!("/layers/{i}"), layer));
    for (at, descriptor) in config.into_iter().chain(layers) {
        let text = |key: &str| descriptor.get(key).and_then(Value::as_str);
        if text("mediaType") != Some(EMPTY_TYPE) {
            continue;
        }
        if text("digest") != Some(EMPTY_DIGEST) {
            look.say(&ART_007, &format!("{at}/digest"), "not the digest of `{}`");
        } else if descriptor.get("size").and_then(Value::as_u64) != Some(2) {
            look.say(&ART_007, &format!("{at}/size"), "not the size of `{}`, which is 2");
        } else if descriptor.get("data").is_some_and(|data| data != "e30=") {
            look.say(&ART_007, &format!("{at}/data"), "not the data of `{}`, which is `e30=`");
        }
    }
}

/// A place in a manifest.
fn at(digest: &Digest, pointer: &str) -> Place {
    Place::Document { document: "manifest", digest: digest.to_string(), pointer: pointer.to_owned() }
}

/// ART-004, of the tag itself, and ART-009.
fn lists(manifest: &OnManifest, found: &mut Found) {
    if let Some(cause) = &manifest.no_index {
        found.add(&ART_004, at(&manifest.digest, ""), format!("its fallback tag: {cause}"));
    }
    if let (Some(native), Some(fallback)) = (&manifest.native, &manifest.fallback)
        && native != fallback
    {
        let (more, less) = (native.difference(fallback).count(), fallback.difference(native).count());
        let message = format!(
            "{more} of what the registry lists is not under the fallback tag, and {less} of what is there the \
             registry does not list"
        );
        found.add(&ART_009, at(&manifest.digest, ""), message);
    }
}

/// ART-003 to ART-006, of one referrer.
fn referrer(manifest: &OnManifest, referring: &Referring, found: &mut Found) {
    let Referring { digest, by_fallback, stated_type, artifact_type, subject } = referring;
    let by = if *by_fallback { "the fallback tag" } else { "the registry" };
    match subject {
        None if *by_fallback => {
            let message =
                format!("the fallback tag of {} lists it, and it refers to nothing", manifest.digest);
            found.add(&ART_004, at(digest, ""), message);
        }
        // Attack: the signature of another image, listed as if it were this one's.
        Some(subject) if subject.digest != manifest.digest => {
            let message =
                format!("{by} lists it on {}, and it refers to {}", manifest.digest, subject.digest);
            found.add(&ART_005, at(digest, "/subject/digest"), message);
        }
        None => {
            let message = format!("{by} lists it on {}, and it refers to nothing", manifest.digest);
            found.add(&ART_005, at(digest, ""), message);
        }
        Some(subject) => misstated(subject, found),
    }
    if let (Some(stated), Some(own)) = (stated_type, artifact_type)
        && stated != own
    {
        let message = format!("{by} says `{}`, the manifest `{}`", shown(stated), shown(own));
        found.add(&ART_006, at(digest, "/artifactType"), message);
    }
}

/// ART-003: how a manifest describes what it refers to, against what that is.
fn misstated(subject: &hanging::Subject, found: &mut Found) {
    let Some((media_type, size)) = &subject.found else { return };
    if let Some(stated) = subject.size.as_ref().filter(|stated| **stated != size.to_string()) {
        let message = format!("it says that its subject has {} bytes; it has {size}", shown(stated));
        found.add(&ART_003, at(&subject.of, "/subject/size"), message);
    }
    if let (Some(stated), Some(own)) = (&subject.media_type, media_type)
        && stated != own
    {
        let message = format!("it says that its subject is `{}`; it is `{}`", shown(stated), shown(own));
        found.add(&ART_003, at(&subject.of, "/subject/mediaType"), message);
    }
}

/// ART-008: cosign's older and newer formats side by side. A verifier takes one of them.
fn formats(manifest: &OnManifest, found: &mut Found) {
    use ArtifactKind::{Attestation, LegacyAttestation, LegacySignature, Signature};
    for (old, new, tag) in [(LegacySignature, Signature, "sig"), (LegacyAttestation, Attestation, "att")] {
        let of = |kind| manifest.artifacts.iter().filter(move |artifact| artifact.kind == kind);
        if of(old).next().is_none() || of(new).next().is_none() {
            continue;
        }
        let predicates =
            |kind| of(kind).flat_map(|artifact| artifact.predicate_types.iter()).collect::<BTreeSet<_>>();
        // What has nothing in common was made by two tools, and nobody takes the one for the other.
        if old == LegacyAttestation && predicates(old).is_disjoint(&predicates(new)) {
            continue;
        }
        let mut differ = Vec::new();
        if signers(of(old)) != signers(of(new)) {
            differ.push("who signed");
        }
        if predicates(old) != predicates(new) {
            differ.push("what is stated");
        }
        if !differ.is_empty() {
            let message =
                format!("by the tag `.{tag}` and by its bundles {} is not the same", differ.join(" and "));
            found.add(&ART_008, at(&manifest.digest, ""), message);
        }
    }
}

/// Who signed, comparably: the hint beside a key is in the newer format alone.
fn signers<'a>(artifacts: impl Iterator<Item = &'a Kind>) -> BTreeSet<String> {
    let words = |signer: &Signer| match signer {
        Signer::Certificate { identities, issuer } => format!("{identities:?} by {issuer:?}"),
        Signer::Key { .. } => "a key".to_owned(),
        Signer::Unreadable { .. } => "unreadable".to_owned(),
    };
    artifacts.flat_map(|artifact| &artifact.signers).map(words).collect()
}

#[cfg(test)]
mod tests;
