//! The SBOM: an inventory rendered as a document, and read back ([`read`]).
//!
//! One file a format and one line in [`FORMATS`]. Rendering is pure: the same subject gives the same
//! bytes, whoever asks and whenever.

mod cyclonedx;
mod facts;
mod inventory;
mod json;
mod license;
pub mod read;
mod references;
mod spdx;
mod text;

use jiff::Timestamp;

use crate::model::base::Base;
use crate::model::digest::Digest;
use crate::model::evidence::{ImageIdentity, PlatformEvidence};
use crate::model::inventory::Inventory;
use crate::model::location::Location;
use crate::model::path::escape;
use crate::model::purl::Purl;
use crate::model::reference::Reference;

/// What a document is about: one platform of one image.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The image as it was asked for.
    pub image: &'a ImageIdentity,
    /// The reference that it stands for, where there is one.
    pub reference: Option<&'a Reference>,
    /// The platform; its `inventory` is not looked at, for it may be unknown.
    pub platform: &'a PlatformEvidence,
    /// What is in it.
    pub inventory: &'a Inventory,
    /// What it was built upon, where that can be told.
    pub base: Option<&'a Base>,
    /// `SOURCE_DATE_EPOCH` or the evaluation time, where one was given. The clock is no such time: two
    /// runs would make two documents of one image.
    pub created: Option<Timestamp>,
}

impl Subject<'_> {
    /// When the document says it was made: the time given, else when the image says it was built, else
    /// never. A year before Christ, which RFC 3339 cannot write, is no time either.
    fn timestamp(&self) -> Option<String> {
        let claimed = || self.platform.config.known()?.created.as_deref()?.parse().ok();
        let time = self.created.or_else(claimed)?.to_string();
        Some(time).filter(|text| !text.starts_with('-'))
    }
}

/// What the document of an index is about: an image of several platforms, of which each has its own document.
#[derive(Debug)]
pub struct Index<'a> {
    /// The image as it was asked for.
    pub image: &'a ImageIdentity,
    /// The reference that it stands for, where there is one.
    pub reference: Option<&'a Reference>,
    /// Its platforms, as the index lists them.
    pub platforms: Vec<Listed<'a>>,
}

/// A platform of an index, with its document.
#[derive(Debug)]
pub struct Listed<'a> {
    /// What the document is about.
    pub subject: Subject<'a>,
    /// Name of the document's file.
    pub file: String,
    /// The document, of the same format as the index's.
    pub document: Vec<u8>,
}

impl Subject<'_> {
    /// The image's purl, where it stands for a reference.
    fn purl(&self) -> Option<Purl> {
        let purl = oci_purl(self.reference?, self.image, self.platform.digest.as_ref());
        Some(purl.with("arch", &self.platform.platform.architecture))
    }
}

/// purl-spec, type `oci`: the last part of the repository is the name, the manifest's digest the version.
/// A docker-archive has no manifest, and the digest of its config would be found in no registry.
fn oci_purl(reference: &Reference, image: &ImageIdentity, digest: Option<&Digest>) -> Purl {
    let repository = &reference.repository;
    let name = repository.rsplit_once('/').map_or(repository.as_str(), |(_, name)| name);
    let archive = matches!(image.reference.parse(), Ok(Location::DockerArchive { .. }));
    let version = digest.map(ToString::to_string).filter(|_| !archive);
    Purl::new("oci", None, name, version.as_deref())
        .with("repository_url", &reference.name())
        .with("tag", reference.tag.as_deref().unwrap_or_default())
}

/// Name of an image, escaped: without tag and digest.
fn name(reference: Option<&Reference>, image: &ImageIdentity) -> String {
    let name = reference.map_or_else(|| image.reference.clone(), Reference::name);
    escape(name.as_bytes())
}

impl Index<'_> {
    /// The image's purl, where it stands for a reference.
    fn purl(&self) -> Option<Purl> {
        Some(oci_purl(self.reference?, self.image, self.image.digest.as_ref()))
    }

    /// When the last of the platforms was made.
    fn timestamp(&self) -> Option<String> {
        let times = self.platforms.iter().filter_map(|listed| listed.subject.timestamp());
        times.max_by_key(|time| time.parse::<Timestamp>().ok())
    }
}

/// A kind of document.
pub trait Format: Sync {
    /// Its name on the command line; up to a hyphen it is also its file's in `src/sbom/`.
    fn id(&self) -> &'static str;

    /// One line on what it is, for the help.
    fn summary(&self) -> &'static str;

    /// What names of such files end in, without a leading dot.
    fn extension(&self) -> &'static str;

    /// The document.
    ///
    /// # Errors
    /// [`RenderError`] where the format's writer refuses what it is given, which is a bug here: a gap in
    /// the inventory stands inside the document and is no error.
    fn render(&self, subject: &Subject<'_>) -> Result<Vec<u8>, RenderError>;

    /// The document of an index: its platforms, and where what is in them stands. It has no packages.
    ///
    /// # Errors
    /// As [`Self::render`].
    fn render_index(&self, index: &Index<'_>) -> Result<Vec<u8>, RenderError>;
}

/// Every kind of document that this version writes; the first is the default.
pub static FORMATS: &[&dyn Format] = &[
    &cyclonedx::V1_6,
    &cyclonedx::V1_5,
    &cyclonedx::V1_4,
    &spdx::Spdx,
    &inventory::InventoryJson,
    &text::Table,
];

/// The format of that id.
#[must_use]
pub fn format(id: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.id() == id)
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
#[error("the {format} document cannot be written: {cause}")]
pub struct RenderError {
    format: &'static str,
    cause: String,
}

impl RenderError {
    fn new(format: &dyn Format, cause: impl std::fmt::Display) -> Self {
        Self { format: format.id(), cause: cause.to_string() }
    }
}

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fixture::{Fixture, gap, package};
    use super::*;

    #[test]
    fn formats_are_found_by_unique_ids_and_the_first_is_cyclonedx() {
        let ids: Vec<&str> = FORMATS.iter().map(|format| format.id()).collect();
        assert_eq!(ids, ["cyclonedx", "cyclonedx-1.5", "cyclonedx-1.4", "spdx", "inventory", "text"]);
        for listed in FORMATS {
            assert_eq!(format(listed.id()).unwrap().extension(), listed.extension());
            assert!(!listed.summary().is_empty());
        }
        assert!(format("spdx-tag-value").is_none());
    }

    #[test]
    fn the_same_subject_gives_the_same_bytes_in_every_format() {
        let fixture = Fixture::hostile();
        for format in FORMATS {
            let first = format.render(&fixture.subject()).unwrap();
            assert_eq!(first, format.render(&fixture.subject()).unwrap(), "{}", format.id());
        }
    }

    #[test]
    fn no_format_lets_a_character_through_that_a_terminal_obeys() {
        let fixture = Fixture::hostile();
        for format in FORMATS {
            let text = String::from_utf8(format.render(&fixture.subject()).unwrap()).unwrap();
            let obeyed = |c: &char| !crate::model::path::is_printable(*c) && *c != '\n';
            assert_eq!(text.chars().find(obeyed), None, "{}", format.id());
        }
    }

    #[test]
    fn the_time_given_goes_before_the_image_s_own() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.subject().timestamp().as_deref(), Some("2026-01-15T09:00:00Z"));
        let given = Subject { created: "2026-02-03T04:05:06Z".parse().ok(), ..fixture.subject() };
        assert_eq!(given.timestamp().as_deref(), Some("2026-02-03T04:05:06Z"));
        for no_time in ["yesterday", "", "-000044-03-15T12:00:00Z"] {
            fixture.created(no_time);
            assert_eq!(fixture.subject().timestamp(), None, "{no_time}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_image_says_there_is_a_document_of_it(
            name in ".{0,12}", version in ".{0,12}", license in ".{0,12}", path in any::<Vec<u8>>(), cause in ".{0,12}",
        ) {
            let mut found = package("npm", &name, &version, "a");
            found.licenses = vec![license];
            let mut fixture = Fixture::empty();
            fixture.inventory.packages = vec![found.clone(), found];
            fixture.inventory.gaps = vec![gap(&path, &cause)];
            for format in FORMATS {
                let bytes = format.render(&fixture.subject()).unwrap();
                if format.extension().ends_with("json") {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
                }
            }
        }
    }
}
