//! From a component, in the words of neither format, to a package.

use std::collections::BTreeMap;

use crate::model::digest::Digest;
use crate::model::inventory::{EPOCH_UNSTATED, LayerRef, Package, SourcePackage};
use crate::model::layer::Scope;
use crate::model::license::{Join, License};
use crate::model::path::{ImagePath, escape, unescape};
use crate::model::purl::Purl;

use super::purl::{self, Stated};

/// A component as a document states it.
#[derive(Debug, Default, Clone)]
pub(super) struct Part {
    /// By which name relations speak of it.
    pub(super) reference: Option<String>,
    pub(super) group: Option<String>,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) purl: Option<String>,
    pub(super) cpe: Option<String>,
    pub(super) supplier: Option<String>,
    pub(super) licenses: Vec<String>,
    /// CycloneDX's properties and SPDX's annotations and attribution texts: name and value.
    pub(super) facts: Vec<(String, String)>,
    /// SPDX's `sourceInfo`.
    pub(super) source_info: Option<String>,
}

impl Part {
    /// The first value of a fact.
    pub(super) fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a fact.
    pub(super) fn facts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.facts.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// One of Trivy's facts. In SPDX they have no prefix.
    fn trivy(&self, name: &str) -> Option<&str> {
        let is = |key: &str| key == name || key.strip_prefix("aquasecurity:trivy:") == Some(name);
        self.facts.iter().find(|(key, _)| is(key)).map(|(_, value)| value.as_str())
    }

    /// How gaps name it.
    pub(super) fn label(&self) -> String {
        let text: String = self.name.chars().take(LABEL).collect();
        format!("component `{}`", escape(text.as_bytes()))
    }
}

/// Characters of a component's name that a gap shows.
const LABEL: usize = 100;

/// Which tool made a document: each leaves other things unsaid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// This one: whatever it does not say is not so.
    Portcullis,
    /// Anchore Syft: no source package stated is one of the same name and version.
    Syft,
    /// Aqua Trivy: the source package is always stated.
    Trivy,
    /// Another, of which nothing can be taken for granted.
    Other,
}

/// Why a component is no package that could be compared with advisories: a lowercase fragment.
pub(super) type Unusable = String;

/// The package of a component; a contradiction or a missing fact is its `doubt`.
///
/// # Errors
/// [`Unusable`] where its ecosystem, name or version is not stated.
pub(super) fn package(
    part: &Part,
    tool: Tool,
    diff_ids: &BTreeMap<Digest, usize>,
) -> Result<Package, Unusable> {
    let text = part.purl.as_deref().ok_or("it has no purl: of which ecosystem it is is not known")?;
    let purl: Purl = text.parse().map_err(|error| format!("its purl cannot be read: {error}"))?;
    let Some(kind) = purl::kind(&purl.kind) else {
        return Err(format!("packages of type `{}` are not known", purl.kind));
    };
    let ours = tool == Tool::Portcullis;
    let stated = Stated {
        group: part.group.as_deref().map(|text| plain(text, ours)),
        name: plain(&part.name, ours),
        version: part.version.as_deref().map(|text| plain(text, ours)).filter(|text| !text.is_empty()),
    };
    let named = purl::name_and_version(kind, &purl, &stated, ours);
    let version = named.version.ok_or("it has no version")?;
    let mut package = Package::new(purl, kind, &named.name, &version, layer(part, diff_ids));
    package.doubt = named.contradiction;
    package.arch = package.purl.qualifiers.get("arch").cloned();
    package.cpe = part.cpe.clone();
    package.supplier = part.supplier.as_deref().map(|text| plain(text, ours));
    package.licenses = part.licenses.iter().map(|text| plain(text, ours)).collect();
    package.license = License::of_spdx(&package.licenses, Join::Unclear);
    package.locations = locations(part, ours);
    if ours {
        marks(part, &mut package);
    } else {
        source_of(part, tool, &mut package);
        // Syft puts an artifact's own name, or a word of its manifest, where it knows no group.
        package.guessed =
            kind == "maven" && named.name.split_once(':').is_none_or(|(group, artifact)| group == artifact);
    }
    Ok(package)
}

/// A text of a document of ours is escaped; one that is not, somebody else wrote.
pub(super) fn plain(text: &str, ours: bool) -> String {
    let unescaped = ours.then(|| unescape(text)).flatten();
    unescaped.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

/// What our own documents say beyond the formats: see `facts.rs`.
fn marks(part: &Part, package: &mut Package) {
    package.source = part.fact("portcullis:source").and_then(|text| {
        let text = plain(text, true);
        let (name, version) = text.rsplit_once('@')?;
        Some(SourcePackage { name: name.to_owned(), version: version.to_owned() })
    });
    package.owned_by = part.fact("portcullis:ownedBy").and_then(|text| text.parse().ok());
    package.vendored_in = part.fact("portcullis:vendoredIn").map(|text| plain(text, true));
    package.application = part.fact("portcullis:application") == Some("true");
    package.guessed = part.fact("portcullis:guessed") == Some("true");
    let texts: Vec<String> = part.facts("portcullis:license").map(|text| plain(text, true)).collect();
    if !texts.is_empty() {
        package.licenses = texts;
    }
    if part.fact("portcullis:scope") == Some("build") {
        package.scope = Scope::Build;
    }
    let doubt = part.fact("portcullis:doubt").map(|text| plain(text, true));
    package.doubt = package.doubt.take().or(doubt);
}

fn layer(part: &Part, diff_ids: &BTreeMap<Digest, usize>) -> LayerRef {
    let digest = |text: Option<&str>| text.and_then(|text| text.parse::<Digest>().ok());
    let diff_id = digest(part.fact("portcullis:layer:diffId"))
        .or_else(|| digest(part.trivy("LayerDiffID")))
        // Syft's layers are named by their diff IDs.
        .or_else(|| digest(part.fact("syft:location:0:layerID")));
    let index = part.fact("portcullis:layer:index").and_then(|text| text.parse().ok());
    LayerRef {
        index: index.or_else(|| diff_ids.get(diff_id.as_ref()?).copied()),
        digest: digest(part.fact("portcullis:layer:digest")).or_else(|| digest(part.trivy("LayerDigest"))),
        diff_id,
        created_by: None,
    }
}

/// Where it lies. A path that leads out of the image's root is left out: it names no file of the image.
fn locations(part: &Part, ours: bool) -> Vec<ImagePath> {
    if ours {
        let paths = part.facts("portcullis:location").filter_map(unescape);
        return paths.filter_map(|path| ImagePath::normalise(&path).ok()).collect();
    }
    let syft =
        part.facts.iter().filter(|(key, _)| key.starts_with("syft:location:") && key.ends_with(":path"));
    let mut paths: Vec<&str> = syft.map(|(_, value)| value.as_str()).collect();
    paths.extend(part.trivy("FilePath").or_else(|| part.trivy("PkgPath")));
    // Syft's SPDX: `acquired package info from APK DB: /lib/apk/db/installed, /etc/…`.
    let info = part.source_info.as_deref().filter(|text| text.starts_with("acquired package info from "));
    if let Some((_, listed)) = info.and_then(|text| text.split_once(": ")) {
        paths.extend(listed.split(", "));
    }
    paths.into_iter().filter_map(|path| ImagePath::normalise(path.as_bytes()).ok()).collect()
}

/// The source package of an operating system package. Advisories of distributions speak of sources: where it
/// is not stated, silence about the binary's name is no answer.
fn source_of(part: &Part, tool: Tool, package: &mut Package) {
    if !matches!(package.kind, "apk" | "deb" | "rpm") {
        return;
    }
    let stated =
        trivy_source(part).or_else(|| purl::upstream(&package.purl, &package.version)).or_else(|| {
            match package.kind {
                "rpm" => part.fact("syft:metadata:sourceRpm").and_then(purl::source_rpm),
                _ => None,
            }
        });
    let same = || SourcePackage { name: package.name.clone(), version: package.version.clone() };
    match (stated, tool) {
        (Some(source), _) => package.source = Some(source),
        (None, Tool::Syft) if package.kind != "rpm" => package.source = Some(same()),
        (None, Tool::Portcullis | Tool::Syft | Tool::Trivy | Tool::Other) => {
            package
                .doubt
                .get_or_insert_with(|| "the SBOM document does not state its source package".to_owned());
        }
    }
    let epoch_said = package.purl.qualifiers.contains_key("epoch") || package.version.contains(':');
    if package.kind == "rpm" && tool == Tool::Other && !epoch_said {
        package.doubt.get_or_insert_with(|| EPOCH_UNSTATED.to_owned());
    }
}

/// Trivy states name, epoch, version and release apart; in SPDX `built package from: NAME VERSION`.
fn trivy_source(part: &Part) -> Option<SourcePackage> {
    if let Some((name, version)) = part.trivy("SrcName").zip(part.trivy("SrcVersion")) {
        let mut whole = String::new();
        if let Some(epoch) = part.trivy("SrcEpoch").filter(|epoch| !epoch.is_empty() && *epoch != "0") {
            whole = format!("{epoch}:");
        }
        whole.push_str(version);
        if let Some(release) = part.trivy("SrcRelease").filter(|release| !release.is_empty()) {
            whole = format!("{whole}-{release}");
        }
        return Some(SourcePackage { name: name.to_owned(), version: whole });
    }
    let stated = part.source_info.as_deref()?.strip_prefix("built package from: ")?;
    let (name, version) = stated.rsplit_once(' ')?;
    Some(SourcePackage { name: name.to_owned(), version: version.to_owned() })
}
