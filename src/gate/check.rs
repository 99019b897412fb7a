//! From an image that was read to the violations in it.

use jiff::Timestamp;

use crate::check::documents::{Answer, Documents, Served};
use crate::check::hanging::Hanging;
use crate::check::{Expected, Subject, check};
use crate::image::document::CONFIG_TYPES;
use crate::image::limits::Limits;
use crate::image::resolve;
use crate::model::descriptor::Descriptor;
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::violation::Unseen;

use super::inspect::{Found, Inspected};
use super::survey::survey;

impl Inspected {
    /// Runs the checks of manifests and layers. Documents that the resolution had no use for, such as
    /// attestation manifests, are read now.
    pub fn check(&mut self, expected: &Expected, now: Timestamp) {
        // An SBOM document: there is no manifest, configuration or layer to look at.
        if matches!(self.evidence.checked, Fact::Unknown(_)) {
            return;
        }
        // What lies is a lie whatever the policy asks for: it goes to the evidence as well.
        let faults = &mut self.evidence.faults;
        let documents = match &self.found {
            Some(found) => documents(found, faults),
            None => Documents::default(),
        };
        let hanging = match &self.found {
            Some(found) if found.image.root.is_some() => {
                survey(&found.source, &Limits::default(), &documents)
            }
            Some(_) | None => Hanging::default(),
        };
        let subject = Subject {
            reference: self.evidence.reference.known(),
            documents: &documents,
            hanging: &hanging,
            images: self.found.as_ref().map(|found| found.layers.as_slice()).unwrap_or_default(),
            faults: &self.evidence.faults,
            expected,
            now,
        };
        let mut checked = check(&subject);
        if self.found.is_none() {
            // What is wrong with the way to the image is known, of the image nothing.
            let cause =
                self.evidence.faults.first().map_or("could not be opened".to_owned(), ToString::to_string);
            checked.unseen.push(Unseen { at: "image".to_owned(), cause });
        }
        self.evidence.checked = Fact::Known(checked);
    }
}

/// Walks all documents below the root. What lies is added to the faults.
fn documents(found: &Found, faults: &mut Vec<Fault>) -> Documents {
    let Some(root) = root(found) else { return Documents::default() };
    let (content_type, resolved) = found.source.served();
    let (resolved, unmoved) = match resolved {
        Ok(resolved) => (resolved, None),
        Err(cause) => (None, Some(cause)),
    };
    let mut documents = Documents::new(&root, Served { content_type, resolved });
    // Attack: a second look that fails, for a tag that has moved.
    if let Some(cause) = unmoved {
        documents.unseen_at("tag", cause);
    }
    while let Some((descriptor, limit)) = documents.next() {
        let answer = match found.image.documents.get(&descriptor.digest) {
            Some(bytes) => Answer::Bytes(bytes.clone()),
            None => match found.source.document(&descriptor, limit) {
                Ok(bytes) => {
                    // A layout's files are not verified when they are read.
                    let verified = resolve::verify(&bytes, &descriptor, &at(&descriptor));
                    faults.extend(verified.err().filter(|_| descriptor.size > 0));
                    Answer::Bytes(bytes)
                }
                Err(unread) if unread.missing => {
                    // Whatever it was, it was not looked at; `resolve` says so only of what it needs.
                    documents.unseen_at(at(&descriptor), "is not there");
                    Answer::Missing
                }
                Err(unread) => {
                    let at = at(&descriptor);
                    if let Some(check) = unread.lies {
                        let check = if is_config(&descriptor) { "CFG-001" } else { check };
                        faults.push(Fault::lie(&at, unread.cause.clone()).breaks(check));
                    }
                    Answer::Unseen(Unseen { at, cause: unread.cause })
                }
            },
        };
        documents.answer(answer);
    }
    documents
}

/// How faults name a document.
fn at(descriptor: &Descriptor) -> String {
    let what = if is_config(descriptor) { "config" } else { "manifest" };
    format!("{what} {}", descriptor.digest)
}

fn is_config(descriptor: &Descriptor) -> bool {
    CONFIG_TYPES.contains(&descriptor.media_type.as_str())
}

/// What led to the image; in a docker-archive, which has no manifest, its configuration.
fn root(found: &Found) -> Option<Descriptor> {
    found.image.root.clone().or_else(|| {
        let (digest, bytes) = found.image.documents.first_key_value()?;
        Some(Descriptor {
            media_type: CONFIG_TYPES.last().copied().unwrap_or_default().to_owned(),
            digest: digest.clone(),
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
        })
    })
}
