//! What hangs on an image, gathered for the checks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::check::documents::{Documents, Kind as DocumentKind, Node, Role};
use crate::check::hanging::{Hanging, Kind, OnManifest, Referring, Subject};
use crate::image::document::MANIFEST_TYPES;
use crate::image::limits::Limits;
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::tree::{Artifact, Signer};
use crate::model::violation::Unseen;
use crate::registry::{Facts, Listed, REFERRERS_LIMIT, RejectedReferrer, Rejection};

use super::artifact::{Reader, under_tag};
use super::hanging::{Hung, Lister, Listing};
use super::parallel::parallel;
use super::source::Source;

/// Questions at a time.
const AT_ONCE: usize = 4;

/// Cosign's tags that hold signatures.
const SIGNED: &[&str] = &["sig", "att"];

/// Looks at what hangs on the manifests and indexes of an image, and at what they hang on.
pub(super) fn survey(source: &Source, limits: &Limits, documents: &Documents) -> Hanging {
    let mut seen = BTreeSet::new();
    let nodes: Vec<(&Node, Digest)> = documents
        .nodes()
        .iter()
        .filter(|node| node.role != Role::Config && node.value().is_some())
        .filter_map(|node| Some((node, node.stated.digest.as_deref()?.parse().ok()?)))
        .filter(|(_, digest): &(&Node, Digest)| seen.insert(digest.clone()))
        .collect();
    let survey = Survey {
        lister: Lister::new(source, limits),
        reader: Reader::new(source),
        left: AtomicUsize::new(REFERRERS_LIMIT),
    };
    // BuildKit's attestation manifests are listed by the index; nobody attaches anything to them.
    let subjects: Vec<&(&Node, Digest)> =
        nodes.iter().filter(|(node, _)| !node.stated.is_attestation()).collect();
    let mut hanging = Hanging { looked: true, ..Hanging::default() };
    for (manifest, unseen) in parallel(&subjects, AT_ONCE, |(node, digest)| survey.on(node, digest)) {
        hanging.manifests.push(manifest);
        hanging.unseen.extend(unseen);
    }
    for (subject, unseen) in parallel(&nodes, AT_ONCE, |(node, digest)| survey.above(node, digest)) {
        hanging.subjects.extend(subject);
        hanging.unseen.extend(unseen);
    }
    hanging
}

struct Survey<'a> {
    lister: Lister<'a>,
    reader: Reader<'a>,
    /// Referrers of all manifests that may still be looked at. Attack: a thousand on each of a thousand platforms.
    left: AtomicUsize,
}

impl Survey<'_> {
    fn on(&self, node: &Node, digest: &Digest) -> (OnManifest, Vec<Unseen>) {
        let at = format!("what hangs on {digest}");
        let many = || format!("more than {REFERRERS_LIMIT} referrers in all (limit `referrers`)");
        let Listing { mut entries, rejected, unknown, lists } = match self.left.load(Ordering::Relaxed) {
            0 => Listing { unknown: vec![many()], ..Listing::default() },
            _ => self.lister.list(digest),
        };
        let mut causes = unknown;
        // Attack: one long list under the tag of every platform. What is refused was opened too.
        let opened = entries.len().saturating_add(rejected.len());
        let take = |left: usize| Some(left.saturating_sub(opened));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_default();
        if entries.len() > left {
            entries.truncate(left);
            causes.push(many());
        }
        let mut manifest = OnManifest {
            digest: digest.clone(),
            native: lists.native,
            fallback: lists.fallback,
            no_index: lists.no_index,
            referrers: Vec::new(),
            artifacts: Vec::new(),
            complete: false,
        };
        for hung in &entries {
            match self.lister.look(hung) {
                Ok((bytes, facts)) => {
                    if facts.refers_to(digest) {
                        let artifact = self.reader.artifact(hung, &bytes);
                        manifest.artifacts.push(kind(artifact, &mut causes));
                    }
                    manifest.referrers.push(referring(hung, facts, node));
                }
                Err(cause) => causes.push(cause.into()),
            }
        }
        for refused in rejected {
            match listed_in_vain(refused, manifest.fallback.as_ref()) {
                Ok(referring) => manifest.referrers.extend(referring),
                Err(cause) => causes.push(cause),
            }
        }
        for suffix in SIGNED {
            match self.lister.legacy(digest, suffix) {
                Ok(Some((descriptor, bytes))) => {
                    let artifact = under_tag(suffix, &descriptor, &bytes);
                    manifest.artifacts.push(kind(artifact, &mut causes));
                }
                Ok(None) => {}
                Err(cause) => causes.push(cause.into()),
            }
        }
        manifest.complete = causes.is_empty();
        (manifest, causes.into_iter().map(|cause| Unseen { at: at.clone(), cause }).collect())
    }

    /// What a manifest of the image itself refers to.
    fn above(&self, node: &Node, digest: &Digest) -> (Option<Subject>, Option<Unseen>) {
        let Some(stated) = subject_of(node) else { return (None, None) };
        let text = |key: &str| stated.get(key).and_then(Value::as_str).map(str::to_owned);
        let unseen = |cause: String| Unseen { at: format!("the subject of {digest}"), cause };
        let Some(Ok(subject)) = text("digest").map(|text| text.parse::<Digest>()) else {
            return (None, Some(unseen("it has no digest that could be looked for".to_owned())));
        };
        let mut fact = Subject {
            of: digest.clone(),
            digest: subject.clone(),
            media_type: text("mediaType"),
            size: stated.get("size").map(Value::to_string),
            found: None,
            missing: false,
        };
        let descriptor = Descriptor {
            // Whatever it is said to be, it is asked for as a manifest.
            media_type: MANIFEST_TYPES.first().copied().unwrap_or_default().to_owned(),
            digest: subject.clone(),
            size: fact.size.as_deref().and_then(|size| size.parse().ok()).unwrap_or_default(),
            platform: None,
            annotations: Default::default(),
        };
        match self.lister.above(&descriptor) {
            Ok(bytes) if Digest::of(subject.algorithm(), &bytes) == subject => {
                let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                let own = value.get("mediaType").and_then(Value::as_str).map(str::to_owned);
                fact.found = Some((own, bytes.len() as u64));
                (Some(fact), None)
            }
            Ok(_) => (None, Some(unseen("its bytes have another digest".to_owned()))),
            Err(unread) if unread.missing => {
                fact.missing = true;
                (Some(fact), None)
            }
            Err(unread) => (None, Some(unseen(unread.cause))),
        }
    }
}

/// What is listed and does not refer to the manifest; none where it is not there, which hangs nowhere.
fn listed_in_vain(
    refused: RejectedReferrer,
    fallback: Option<&BTreeSet<Digest>>,
) -> Result<Option<Referring>, String> {
    let RejectedReferrer { digest, cause, why } = refused;
    let subject = match why {
        Rejection::Gone => return Ok(None),
        Rejection::Unreadable => return Err(format!("referrer {digest}: {cause}")),
        Rejection::NoSubject => None,
        Rejection::Subject(other) => Some(Subject {
            of: digest.clone(),
            digest: other,
            media_type: None,
            size: None,
            found: None,
            missing: false,
        }),
    };
    let by_fallback = fallback.is_some_and(|list| list.contains(&digest));
    Ok(Some(Referring { digest, by_fallback, stated_type: None, artifact_type: None, subject }))
}

/// What a manifest says that it refers to. `null` is nothing (image-spec, manifest.md: optional).
fn subject_of(node: &Node) -> Option<&Value> {
    node.value()?.get("subject").filter(|subject| !subject.is_null())
}

/// What an artifact is. Attack: a signature that cannot be fetched or read, taken for one.
fn kind(artifact: Artifact, causes: &mut Vec<String>) -> Kind {
    let Artifact { kind, digest, predicate_types, signers, .. } = artifact;
    let unread = signers.iter().filter_map(|signer| match signer {
        Signer::Unreadable { cause } => Some(cause),
        Signer::Certificate { .. } | Signer::Key { .. } => None,
    });
    causes.extend(unread.map(|cause| format!("{digest}: {cause}")));
    Kind { kind, predicate_types, signers }
}

fn referring(hung: &Hung, facts: Facts, node: &Node) -> Referring {
    let of = hung.descriptor.digest.clone();
    let own = node.value().and_then(|value| value.get("mediaType")).and_then(Value::as_str);
    let media_type = own.map(str::to_owned).or_else(|| match node.kind() {
        DocumentKind::Index | DocumentKind::Image | DocumentKind::Artifact => node.stated.media_type.clone(),
        DocumentKind::Config => None,
    });
    let found = node.state.content().map(|content| (media_type, content.length));
    Referring {
        digest: of.clone(),
        by_fallback: hung.listed == Some(Listed::FallbackTag),
        stated_type: hung.stated_type.clone(),
        artifact_type: facts.artifact_type,
        subject: facts.subject.map(|stated| Subject {
            of,
            digest: stated.digest,
            media_type: stated.media_type,
            size: stated.size,
            found,
            missing: false,
        }),
    }
}
