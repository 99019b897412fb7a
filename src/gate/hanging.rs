//! What hangs on a manifest: referrers (by the API or the fallback tag, in a layout by `subject`), and
//! cosign's legacy tags `sha256-HEX.sig`, `.att` and `.sbom`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::image::document;
use crate::image::json as strict;
use crate::image::limits::Limits;
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::registry::{ErrorKind, REFERRERS_LIMIT, Target};

use super::copy::is_manifest;
use super::source::Source;

/// Referrers of referrers are followed so far: a signature of an attestation is the second.
const DEPTH: usize = 3;

/// Suffixes of cosign's legacy tags.
pub(super) const LEGACY: [&str; 3] = ["sig", "att", "sbom"];

/// One thing that hangs on a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hanging {
    /// Its manifest.
    pub(super) descriptor: Descriptor,
    /// The manifest's bytes, verified by digest.
    pub(super) manifest: Vec<u8>,
    /// What it hangs on.
    pub(super) subject: Digest,
    /// Its artifact type; none for a legacy tag.
    pub(super) artifact_type: Option<String>,
    /// The legacy tag; none for a referrer.
    pub(super) tag: Option<String>,
    /// 0 where it hangs on the image itself, 1 where on something that does.
    pub(super) depth: usize,
}

/// Everything that hangs on a manifest. Nothing does only where `unknown` is empty as well.
#[derive(Debug, Clone, Default)]
pub(super) struct All {
    /// What hangs on it, what is hung on before what hangs on that.
    pub(super) entries: Vec<Hanging>,
    /// Entries that certainly do not belong to it: causes.
    pub(super) rejected: Vec<String>,
    /// What could not be seen.
    pub(super) unknown: Vec<String>,
}

/// Everything that hangs on the manifest with a digest, referrers of referrers included.
pub(super) fn of(source: &Source, subject: &Digest, limits: &Limits) -> All {
    let mut all = All::default();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(subject.clone(), 0)];
    while let Some((subject, depth)) = waiting.pop() {
        let before = all.entries.len();
        match source {
            Source::Registry(_) => registry(source, &subject, depth, &mut all),
            Source::Layout(_) => layout(source, &subject, depth, limits, &mut all),
        }
        let new: Vec<Digest> =
            all.entries.iter().skip(before).map(|entry| entry.descriptor.digest.clone()).collect();
        if all.entries.len() > REFERRERS_LIMIT {
            all.entries.truncate(REFERRERS_LIMIT);
            all.unknown.push(format!("more than {REFERRERS_LIMIT} referrers (limit `referrers`)"));
            return all;
        }
        for digest in new.into_iter().filter(|digest| seen.insert(digest.clone())) {
            if depth + 1 < DEPTH {
                waiting.push((digest, depth + 1));
            }
        }
    }
    all
}

fn registry(source: &Source, subject: &Digest, depth: usize, all: &mut All) {
    let Source::Registry(store) = source else { return };
    let (client, repository) = (store.registry(), store.repository());
    match client.run(async { Ok(repository.referrers(subject, None).await) }) {
        Ok(found) => {
            all.rejected
                .extend(found.rejected.iter().map(|entry| format!("{}: {}", entry.digest, entry.cause)));
            all.unknown.extend(found.unknown.iter().map(ToString::to_string));
            for referrer in found.entries {
                match client.run(repository.open_referrer(subject, &referrer)) {
                    Ok(manifest) => all.entries.push(Hanging {
                        descriptor: Descriptor { size: manifest.len() as u64, ..referrer.descriptor },
                        manifest,
                        subject: subject.clone(),
                        artifact_type: referrer.artifact_type,
                        tag: None,
                        depth,
                    }),
                    Err(error) if error.kind == ErrorKind::Mismatch => all.rejected.push(error.to_string()),
                    Err(error) => all.unknown.push(error.to_string()),
                }
            }
        }
        Err(error) => all.unknown.push(error.to_string()),
    }
    for suffix in LEGACY {
        let tag = legacy_tag(subject, suffix);
        match client.run(repository.manifest(&Target::Tag(tag.clone()))) {
            Ok(pulled) => legacy(subject, depth, (tag, pulled.media_type, pulled.bytes), all),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => all.unknown.push(error.to_string()),
        }
    }
}

fn layout(source: &Source, subject: &Digest, depth: usize, limits: &Limits, all: &mut All) {
    let Source::Layout(store) = source else { return };
    let entries = match store.entries(limits) {
        Ok(entries) => entries,
        Err(error) => return all.unknown.push(error.to_string()),
    };
    if entries.len() > limits.manifests {
        let message =
            format!("index.json lists more than {} manifests (limit `manifests`)", limits.manifests);
        return all.unknown.push(message);
    }
    let tags: Vec<String> = LEGACY.iter().map(|suffix| legacy_tag(subject, suffix)).collect();
    for entry in entries.into_iter().filter(|entry| is_manifest(&entry.descriptor.media_type)) {
        let tag = entry.tag.filter(|tag| tags.contains(tag));
        let manifest = match source.manifest(&entry.descriptor, limits) {
            Ok(manifest) => manifest,
            Err(unread) => {
                all.unknown.push(format!("manifest {}: {}", entry.descriptor.digest, unread.cause));
                continue;
            }
        };
        if let Some(tag) = tag {
            let media_type = Some(entry.descriptor.media_type.clone());
            legacy(subject, depth, (tag, media_type, manifest), all);
            continue;
        }
        let Some(facts) = Facts::read(&manifest) else { continue };
        if facts.subject.as_deref() == Some(&subject.to_string()) {
            all.entries.push(Hanging {
                descriptor: entry.descriptor,
                manifest,
                subject: subject.clone(),
                artifact_type: facts.artifact_type,
                tag: None,
                depth,
            });
        }
    }
}

/// `sha256-HEX.sig` (cosign, "Storage").
fn legacy_tag(subject: &Digest, suffix: &str) -> String {
    format!("{}-{}.{suffix}", subject.algorithm().name(), subject.hex())
}

fn legacy(subject: &Digest, depth: usize, read: (String, Option<String>, Vec<u8>), all: &mut All) {
    let (tag, media_type, manifest) = read;
    let own = Facts::read(&manifest).and_then(|facts| facts.media_type);
    let media_type = own.or(media_type).unwrap_or_default();
    // Attack: an index under the tag of a signature, whose children nobody would look at.
    if let Err(fault) = document::parse(&manifest, Some(&media_type), &tag) {
        return all.unknown.push(fault.to_string());
    }
    let descriptor = Descriptor {
        media_type,
        digest: Digest::sha256(&manifest),
        size: manifest.len() as u64,
        platform: None,
        annotations: Default::default(),
    };
    let entry = Hanging {
        descriptor,
        manifest,
        subject: subject.clone(),
        artifact_type: None,
        tag: Some(tag),
        depth,
    };
    all.entries.push(entry);
}

/// What a manifest says of itself.
struct Facts {
    subject: Option<String>,
    artifact_type: Option<String>,
    media_type: Option<String>,
}

impl Facts {
    fn read(manifest: &[u8]) -> Option<Self> {
        let value = strict::parse(manifest).ok()?;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            subject: text("/subject/digest"),
            artifact_type: text("/artifactType").or_else(|| text("/config/mediaType")),
            media_type: text("/mediaType"),
        })
    }
}
