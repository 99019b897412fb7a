//! ART: artifacts. What a registry's list of referrers tells is not looked at here.

use serde_json::Value;

use crate::model::violation::CheckSeverity::{High, Medium};

use super::documents::Role;
use super::look::{self, Look};
use super::{Check, Family, Found, Subject};

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
    }
}

const ART_001: Check = Check::new(
    "ART-001",
    High,
    "an artifact does not say what it is",
    "With the empty config only `artifactType` tells what a manifest is (OCI manifest.md, \"Guidelines for \
     Artifact Usage\"): without it registries refuse it, and clients guess.",
    "push it with an artifact type, such as `oras push --artifact-type`",
);
const ART_007: Check = Check::new(
    "ART-007",
    Medium,
    "the empty blob is not `{}`",
    "The empty descriptor is one fixed blob (OCI manifest.md): another one under its media type hides data \
     that no client looks at.",
    "use the empty descriptor as the specification has it",
);

static CHECKS: &[Check] = &[ART_001, ART_007];

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

#[cfg(test)]
mod tests;
