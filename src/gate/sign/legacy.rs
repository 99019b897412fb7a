//! Cosign's tags: layers added to what is there, and taken out.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::attestation::legacy::{Layer, verify_layer};
use crate::attestation::write::MANIFEST;
use crate::attestation::write::legacy::{CONFIG, LegacyLayer, attestation_layer, config, signature_layer};
use crate::image::document::{self, Document};
use crate::image::json as strict;
use crate::model::attestation::{Attested, Place, SignedManifest};
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::registry::{ErrorKind, Pulled, Rewrite, Store};

use super::engine::{AT_ONCE, Job, Made, Piece, Signing};
use super::{SignError, What};
use crate::gate::artifact::LAYERS;
use crate::gate::hanging::legacy_tag;
use crate::gate::parallel::parallel;

/// How often a tag is looked at again that was changed while it was read.
const LOOKS: u32 = 5;

/// The tag that a job's signature hangs under.
pub(super) fn tag(job: &Job) -> String {
    let suffix = match &job.what {
        What::Signature { .. } => "sig",
        What::Attestation { .. } => "att",
    };
    legacy_tag(&job.target.descriptor.digest, suffix)
}

impl Signing<'_> {
    /// The layer of a signature that was made, verified.
    pub(super) fn layer(&self, piece: &Piece<'_>, bundle: &[u8]) -> Result<LegacyLayer, SignError> {
        let layer = match (&piece.made, &piece.job.what) {
            (Made::Payload(payload, _), _) => signature_layer(bundle, payload.clone()),
            (Made::Statement(_), What::Attestation { predicate_type, .. }) => {
                attestation_layer(bundle, predicate_type)
            }
            (Made::Statement(_), What::Signature { .. }) => Err("a statement is no legacy signature".into()),
        };
        let layer = layer.map_err(SignError::Unverified)?;
        let looked =
            Layer { media_type: layer.media_type, payload: &layer.payload, annotations: &layer.annotations };
        verify_layer(self.trust, self.whose(), looked, &piece.job.target.descriptor.digest)
            .map_err(|rejection| SignError::Unverified(rejection.to_string()))?;
        Ok(layer)
    }

    /// Adds layers, those of one tag together.
    pub(super) fn push_layers(
        &self,
        store: &Store,
        layers: Vec<(String, LegacyLayer)>,
    ) -> Result<(), SignError> {
        let mut by_tag: BTreeMap<String, Vec<LegacyLayer>> = BTreeMap::new();
        for (tag, layer) in layers {
            by_tag.entry(tag).or_default().push(layer);
        }
        let by_tag: Vec<(String, Vec<LegacyLayer>)> = by_tag.into_iter().collect();
        let done = parallel(&by_tag, AT_ONCE, |(tag, layers)| edit(store, tag, layers, &[]));
        done.into_iter().collect()
    }

    /// Takes the older attestations of the same type by the same signer out of the tag.
    pub(super) fn replace_layers(
        &self,
        store: &Store,
        job: &Job,
        answer: &mut SignedManifest,
        (found, alike): (&BTreeMap<Digest, Attested>, &[&str]),
    ) -> Result<(), SignError> {
        let old = found.get(&answer.subject).map(|attested| self.old_layers(job, attested, alike));
        if old.unwrap_or_default().is_empty() {
            return Ok(());
        }
        let tag = tag(job);
        for _ in 0..LOOKS {
            let listed = layers(store, &tag)?;
            let found = self.collect(std::slice::from_ref(job))?;
            // What was verified is known by its place: it must be the place in what was listed.
            if layers(store, &tag)? != listed {
                continue;
            }
            let old = found.get(&answer.subject).map(|attested| self.old_layers(job, attested, alike));
            let old: Vec<Digest> =
                old.unwrap_or_default().into_iter().filter_map(|place| listed.get(place).cloned()).collect();
            if !old.is_empty() {
                edit(store, &tag, &[], &old)?;
                answer.replaced.extend(old);
            }
            return Ok(());
        }
        Err(SignError::Push(format!("tag {tag}: others keep changing it: try again")))
    }

    /// The places of the layers that go; of several that say what was just said the first stays.
    fn old_layers(&self, job: &Job, attested: &Attested, alike: &[&str]) -> Vec<usize> {
        let mut kept = !self.format.legacy();
        let mut old = Vec::new();
        for one in &attested.attestations {
            let Place::Tag { layer: Some(place), .. } = &one.at else { continue };
            if !self.is_older(job, one, alike) {
                continue;
            }
            if !kept && self.is_same(job, one) {
                kept = true;
            } else {
                old.push(*place);
            }
        }
        old
    }
}

/// Digests of the layers under a tag; none where there is no such tag.
fn layers(store: &Store, tag: &str) -> Result<Vec<Digest>, SignError> {
    let bytes = match store.tagged(tag) {
        Ok((_, bytes)) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SignError::Unknown(error.to_string())),
    };
    let unreadable = |cause: String| SignError::Unknown(format!("tag {tag}: {cause}"));
    match document::parse(&bytes, None, tag).map_err(|fault| unreadable(fault.to_string()))? {
        Document::Manifest(manifest) => Ok(manifest.layers.into_iter().map(|layer| layer.digest).collect()),
        Document::Index(_) => Err(unreadable("an index, and no manifest".into())),
    }
}

fn edit(store: &Store, tag: &str, add: &[LegacyLayer], remove: &[Digest]) -> Result<(), SignError> {
    let remove: Vec<String> = remove.iter().map(ToString::to_string).collect();
    let mut seen = Vec::new();
    let change = |current: Option<&Pulled>| edited(current, add, &remove, &mut seen);
    Ok(store.registry().run(store.repository().rewrite(tag, change))?)
}

/// The manifest with layers added and others taken out; nothing where it is so already. `seen` is what was there at any
/// look: a writer that did not see another's layer must not lose it for good.
fn edited(
    current: Option<&Pulled>,
    add: &[LegacyLayer],
    remove: &[String],
    seen: &mut Vec<Value>,
) -> Result<Option<Rewrite>, String> {
    let (mut manifest, held) = match current {
        Some(pulled) => parts(&pulled.bytes)?,
        None => (Map::new(), Vec::new()),
    };
    let goes =
        |layer: &Value| digest_of(layer).is_some_and(|digest| remove.iter().any(|gone| gone == digest));
    let mut layers: Vec<Value> = held.iter().filter(|layer| !goes(layer)).cloned().collect();
    let missing: Vec<Value> = seen.iter().filter(|layer| !layers.contains(layer)).cloned().collect();
    layers.extend(missing);
    for layer in add {
        let is = |held: &Value| layer.is(digest_of(held).unwrap_or_default(), held.get("annotations"));
        if !layers.iter().any(is) {
            layers.push(layer.descriptor());
        }
    }
    *seen = layers.clone();
    if layers == held {
        return Ok(None);
    }
    if layers.len() > LAYERS {
        return Err(format!("more than {LAYERS} signatures (limit `signatures`): take old ones away"));
    }
    let digests: Vec<String> = layers.iter().filter_map(|layer| Some(digest_of(layer)?.to_owned())).collect();
    let config = config(&digests);
    let mut blobs = vec![blob(CONFIG, &config)];
    blobs.extend(add.iter().map(|layer| blob(layer.media_type, &layer.payload)));
    let media_type = manifest.get("mediaType").and_then(Value::as_str).unwrap_or(MANIFEST).to_owned();
    manifest.insert("schemaVersion".to_owned(), json!(2));
    manifest.insert("mediaType".to_owned(), json!(media_type));
    let described = json!({"mediaType": CONFIG, "size": config.len(), "digest": Digest::sha256(&config)});
    manifest.insert("config".to_owned(), described);
    manifest.insert("layers".to_owned(), Value::Array(layers));
    Ok(Some(Rewrite { manifest: Value::Object(manifest).to_string().into_bytes(), media_type, blobs }))
}

/// A manifest without its layers, and these.
fn parts(bytes: &[u8]) -> Result<(Map<String, Value>, Vec<Value>), String> {
    match document::parse(bytes, None, "the tag") {
        Ok(Document::Manifest(_)) => {}
        Ok(Document::Index(_)) => {
            return Err("the tag is an index and no manifest: it is not overwritten".into());
        }
        Err(fault) => return Err(format!("the tag is not overwritten: {}", fault.message)),
    }
    let value = strict::parse(bytes).map_err(|error| error.to_string())?;
    let Value::Object(mut manifest) = value else { return Err("no JSON object".into()) };
    match manifest.remove("layers") {
        Some(Value::Array(layers)) => Ok((manifest, layers)),
        Some(_) | None => Err("`layers` is not a list".into()),
    }
}

fn digest_of(layer: &Value) -> Option<&str> {
    layer.get("digest").and_then(Value::as_str)
}

fn blob(media_type: &str, bytes: &[u8]) -> (Descriptor, Bytes) {
    (Descriptor::of(media_type, bytes), Bytes::copy_from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(payload: &str, signature: &str) -> LegacyLayer {
        let annotations = BTreeMap::from([("dev.cosignproject.cosign/signature".into(), signature.into())]);
        let media_type = crate::attestation::legacy::SIMPLE_SIGNING;
        LegacyLayer { media_type, payload: payload.into(), annotations }
    }

    fn pulled(bytes: &[u8]) -> Pulled {
        Pulled::for_test(bytes)
    }

    fn layers_of(rewrite: &Rewrite) -> Vec<Value> {
        parts(&rewrite.manifest).unwrap().1
    }

    #[test]
    fn a_layer_is_added_once_beside_those_of_others() {
        let (ours, theirs) = (layer("payload", "ours"), layer("payload", "theirs"));
        let first = edited(None, std::slice::from_ref(&theirs), &[], &mut Vec::new()).unwrap().unwrap();
        let current = pulled(&first.manifest);
        let mut seen = Vec::new();
        let second = edited(Some(&current), std::slice::from_ref(&ours), &[], &mut seen).unwrap().unwrap();
        assert_eq!(layers_of(&second), [theirs.descriptor(), ours.descriptor()]);
        // The configuration lists them, and both are pushed.
        let (manifest, _) = parts(&second.manifest).unwrap();
        let config: Value = serde_json::from_slice(&second.blobs[0].1).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert_eq!(manifest["config"]["digest"], second.blobs[0].0.digest.to_string());
        let current = pulled(&second.manifest);
        let again = edited(Some(&current), std::slice::from_ref(&ours), &[], &mut seen).unwrap();
        assert!(again.is_none());
        // Attack, or a race: a writer that lost the other's layer. It is written back.
        let lost = edited(None, std::slice::from_ref(&ours), &[], &mut Vec::new()).unwrap().unwrap();
        let current = pulled(&lost.manifest);
        let back = edited(Some(&current), std::slice::from_ref(&ours), &[], &mut seen).unwrap().unwrap();
        assert_eq!(layers_of(&back), [ours.descriptor(), theirs.descriptor()]);
    }

    #[test]
    fn what_is_taken_out_stays_out() {
        let (old, new) = (layer("old", ""), layer("new", ""));
        let both = edited(None, &[old.clone(), new.clone()], &[], &mut Vec::new()).unwrap().unwrap();
        let remove = [Digest::sha256(b"old").to_string()];
        let mut seen = Vec::new();
        let current = pulled(&both.manifest);
        let left = edited(Some(&current), &[], &remove, &mut seen).unwrap().unwrap();
        assert_eq!(layers_of(&left), [new.descriptor()]);
        assert!(edited(Some(&pulled(&left.manifest)), &[], &remove, &mut seen).unwrap().is_none());
    }

    #[test]
    fn there_is_a_limit_and_what_is_no_manifest_is_not_overwritten() {
        let many: Vec<LegacyLayer> = (0..=LAYERS).map(|place| layer("payload", &place.to_string())).collect();
        let error = edited(None, &many, &[], &mut Vec::new()).unwrap_err();
        assert!(error.contains("limit `signatures`"), "{error}");
        edited(None, &many[1..], &[], &mut Vec::new()).unwrap().unwrap();
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []});
        for bytes in [index.to_string(), "{}".to_owned(), "<html>".to_owned()] {
            let current = pulled(bytes.as_bytes());
            let error = edited(Some(&current), &many[..1], &[], &mut Vec::new()).unwrap_err();
            assert!(error.contains("not overwritten"), "{error}");
        }
    }
}
