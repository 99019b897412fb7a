//! After a push: whether tags point to the image that was judged, and everything below it is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::image::resolve::BlobName;
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::violation::{TagCheck, TagState};
use crate::registry::{Error, ErrorKind, Registry, Repository, Target};

use super::inspect::{Found, Inspected};
use super::source::Source;

/// The pause between two looks at first; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Inspected {
    /// Fetches each tag afresh. What is not there yet is looked for again until `wait` is over: registries
    /// lag behind a push.
    #[must_use]
    pub fn check_tags(&self, registry: &Registry, tags: &[String], wait: Duration) -> Vec<TagCheck> {
        let Some((found, store, judged)) = self.found.as_ref().and_then(|found| match &found.source {
            Source::Registry(store) => Some((found, store, &store.digest)),
            Source::Layout(_) => None,
        }) else {
            let cause = "the image could not be read from a registry";
            return tags
                .iter()
                .map(|tag| check(tag, None, TagState::Unknown, vec![cause.to_owned()]))
                .collect();
        };
        let end = Instant::now() + wait;
        let looking = Looking { registry, repository: store.repository(), end };
        let missing = looking.contents(found);
        tags.iter().map(|tag| looking.tag(tag, judged, &missing)).collect()
    }
}

fn check(tag: &str, digest: Option<Digest>, state: TagState, causes: Vec<String>) -> TagCheck {
    TagCheck { tag: tag.to_owned(), digest, state, causes }
}

/// What came of a look at something.
enum Look {
    Good,
    /// Not as it should be; later it may.
    Bad(TagState, String),
}

struct Looking<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    end: Instant,
}

impl Looking<'_> {
    /// Looks until it is good or the time is over.
    fn until_good(&self, look: impl Fn() -> Look) -> Look {
        let mut pause = PAUSE;
        loop {
            match look() {
                Look::Good => return Look::Good,
                bad @ Look::Bad(..) if Instant::now() + pause > self.end => return bad,
                Look::Bad(..) => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn tag(&self, tag: &str, judged: &Digest, missing: &[(TagState, String)]) -> TagCheck {
        let seen = std::cell::RefCell::new(None);
        let look = self.until_good(|| {
            match self.registry.run(self.repository.manifest(&Target::Tag(tag.to_owned()))) {
                Ok(pulled) => {
                    let right = pulled.digest == *judged;
                    let cause = format!("it points to {}, not to {judged}", pulled.digest);
                    *seen.borrow_mut() = Some(pulled.digest);
                    if right { Look::Good } else { Look::Bad(TagState::Broken, cause) }
                }
                Err(error) => unseen(&error, "the tag"),
            }
        });
        let (mut state, mut causes) = match look {
            Look::Good => (TagState::Holds, Vec::new()),
            Look::Bad(state, cause) => (state, vec![cause]),
        };
        for (of_part, cause) in missing {
            state = state.max(*of_part);
            causes.push(cause.clone());
        }
        check(tag, seen.into_inner(), state, causes)
    }

    /// Whether every manifest, configuration and layer is there: what is not.
    fn contents(&self, found: &Found) -> Vec<(TagState, String)> {
        let mut manifests: BTreeSet<&Digest> =
            found.image.platforms.iter().map(|image| &image.digest).collect();
        manifests.extend(&found.image.digest);
        let mut missing = Vec::new();
        let mut note = |look: Look| {
            if let Look::Bad(state, cause) = look {
                missing.push((state, cause));
            }
        };
        for digest in manifests {
            let what = format!("manifest {digest}");
            let target = Target::Digest(digest.clone());
            note(self.until_good(|| match self.registry.run(self.repository.head(&target)) {
                Ok(head) => match head.digest.filter(|stated| stated != digest) {
                    Some(stated) => {
                        Look::Bad(TagState::Broken, format!("{what}: the registry has {stated} there"))
                    }
                    None => Look::Good,
                },
                Err(error) => unseen(&error, &what),
            }));
        }
        for blob in blobs(found) {
            let what = format!("blob {}", blob.digest);
            note(self.until_good(|| match self.registry.run(self.repository.has_blob(&blob.digest)) {
                Ok(true) => Look::Good,
                Ok(false) => Look::Bad(TagState::Broken, format!("{what} is not there")),
                Err(error) => unseen(&error, &what),
            }));
        }
        missing
    }
}

/// The layers of every platform, each once. The configurations were read through their manifests.
fn blobs(found: &Found) -> Vec<&Descriptor> {
    let layers = found.image.platforms.iter().flat_map(|image| &image.layers);
    let mut seen = BTreeSet::new();
    layers
        .filter_map(|layer| match &layer.blob {
            BlobName::Descriptor(descriptor) => Some(descriptor),
            BlobName::Member(_) => None,
        })
        .filter(|descriptor| seen.insert(&descriptor.digest))
        .collect()
}

/// Only a definite 404 is broken; all else is unknown.
fn unseen(error: &Error, what: &str) -> Look {
    match error.kind {
        ErrorKind::NotFound => Look::Bad(TagState::Broken, format!("{what} is not there")),
        ErrorKind::Mismatch => Look::Bad(TagState::Broken, format!("{what}: {}", error.message)),
        ErrorKind::Unauthorized
        | ErrorKind::Denied
        | ErrorKind::RateLimited
        | ErrorKind::Unavailable
        | ErrorKind::Invalid
        | ErrorKind::TooLarge
        | ErrorKind::Refused
        | ErrorKind::Unsupported
        | ErrorKind::Settings => Look::Bad(TagState::Unknown, format!("{what}: {}", error.message)),
    }
}
