//! From an SBOM document to evidence: what it says of an image that nobody looked at.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::model::evidence::{Evidence, ImageIdentity, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::location::Location;
use crate::model::path::ImagePath;
use crate::model::platform::Platform;
use crate::sbom::read::{Document, MAX_BYTES, read};

use super::inspect::Error;

/// Why manifest, configuration and layers are unknown.
const SILENT: &str = "an SBOM document says nothing of this";

/// What a document in a file says. One that cannot be read is a fault.
///
/// # Errors
/// [`Error::Platform`] where it is not known to be of the platform that is `wanted`.
pub(super) fn open(location: &Location, path: &Path, wanted: Option<&Platform>) -> Result<Evidence, Error> {
    let image = ImageIdentity { reference: location.to_string(), digest: None };
    let checked = Fact::Unknown(SILENT.to_owned());
    let mut evidence = Evidence { wanted: wanted.cloned(), checked, ..Evidence::of(image) };
    match parse(path) {
        Ok(document) => take(document, &mut evidence)?,
        Err(cause) => {
            let fault = Fault::unreadable(location.to_string(), cause);
            evidence.platforms = Fact::Unknown(fault.to_string());
            evidence.faults.push(fault);
        }
    }
    Ok(evidence)
}

fn parse(path: &Path) -> Result<Document, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    // Attack: a pipe or a device that never ends, in place of a document.
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    // A document's gaps have its own name as their path: no file of an image could be meant.
    let name = ImagePath::normalise(path.as_os_str().as_encoded_bytes())
        .or_else(|_| ImagePath::normalise(path.file_name().unwrap_or_default().as_encoded_bytes()));
    read(&bytes, &name.unwrap_or_default()).map_err(|error| error.to_string())
}

fn take(document: Document, evidence: &mut Evidence) -> Result<(), Error> {
    // A document is of one platform; of the image's other ones nothing is known.
    let unknown = || Platform { os: "unknown".into(), architecture: "unknown".into(), variant: None };
    let platform = match (&document.platform, &evidence.wanted) {
        (Some(platform), Some(wanted)) if !wanted.matches(platform) => {
            let text = format!("{} is of {platform}, and not of {wanted}", evidence.image.reference);
            return Err(Error::Platform(text));
        }
        (None, Some(_)) => {
            let text = format!("{} does not say of which platform it is", evidence.image.reference);
            return Err(Error::Platform(text));
        }
        (Some(platform), _) => platform.clone(),
        (None, None) => unknown(),
    };
    evidence.wanted = Some(platform.clone());
    evidence.image.digest = document.digest;
    evidence.bom = document.bom;
    evidence.reference = document.reference.map_or(Fact::Absent, Fact::Known);
    evidence.platforms = Fact::Known(vec![PlatformEvidence {
        platform,
        digest: document.manifest,
        config: Fact::Unknown(SILENT.to_owned()),
        layers: Fact::Unknown(SILENT.to_owned()),
        inventory: Fact::Known(document.inventory),
        findings: Fact::Absent,
    }]);
    Ok(())
}
