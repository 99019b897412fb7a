//! `docker save` archives: `manifest.json`, configs and layers by file name (Docker image spec v1.2,
//! "Combined Image JSON + Filesystem Changeset Format").

use serde::Deserialize;

use crate::image::document;
use crate::image::json;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, Image, LayerBlob, PlatformImage};
use crate::model::config::ImageConfig;
use crate::model::digest::Digest;
use crate::model::fault::Fault;
use crate::model::location::ArchiveSelector;
use crate::model::path::ImagePath;
use crate::model::platform::Platform;

use super::files::{Files, not_an_image};
use super::{Error, ErrorKind, oci};

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

pub(super) fn resolve(
    files: &Files,
    selector: Option<&ArchiveSelector>,
    wanted: Option<&Platform>,
    limits: &Limits,
) -> Result<Image, Error> {
    let name = ImagePath::from("manifest.json");
    if !files.contains(&name) {
        let message =
            "not a docker-archive: it has no manifest.json; an OCI layout in a file is `oci-archive:FILE`";
        return Err(not_an_image(files.root(), message));
    }
    let bytes = files.read(&name, limits.manifest)?;
    if bytes.len() as u64 > limits.manifest {
        let fault =
            Fault::unreadable("manifest.json", format!("larger than the limit of {} bytes", limits.manifest));
        return Ok(Image { faults: vec![fault], ..Image::default() });
    }
    let items = match read_items(&bytes) {
        Ok(items) => items,
        Err(message) => {
            return Ok(Image { faults: vec![Fault::lie("manifest.json", message)], ..Image::default() });
        }
    };
    let item = choose(files, &items, selector)?;
    let mut image = Image::default();
    match platform_image(files, item, limits) {
        Ok((platform, bytes)) => {
            image.digest = Some(platform.digest.clone());
            image.documents.insert(platform.digest.clone(), bytes);
            if wanted.is_none_or(|wanted| wanted.matches(&platform.platform)) {
                image.platforms.push(platform);
            }
        }
        Err(fault) => image.faults.push(fault),
    }
    image.faults.extend(other_listing(files, &items, limits)?);
    Ok(image)
}

/// The items of `manifest.json`.
fn read_items(bytes: &[u8]) -> Result<Vec<Item>, String> {
    let value = json::parse(bytes).map_err(|error| error.to_string())?;
    for item in value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_object) {
        json::refuse_variants(item, &["Config", "RepoTags", "Layers"]).map_err(|error| error.to_string())?;
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Newer versions of `docker save` write an OCI layout into the same archive. Attack: an `index.json` that
/// lists another image than `manifest.json`, for the engines that load that one.
fn other_listing(files: &Files, items: &[Item], limits: &Limits) -> Result<Option<Fault>, Error> {
    let listed = match oci::configs(files, limits)? {
        Ok(listed) => listed,
        Err(fault) => return Ok(Some(fault)),
    };
    if listed.is_empty() {
        return Ok(None);
    }
    let own: Vec<ImageConfig> = items
        .iter()
        .filter_map(|item| platform_image(files, item, limits).ok())
        .map(|(platform, _)| platform.config)
        .collect();
    let other = listed.iter().any(|config| !own.contains(config));
    Ok(other.then(|| Fault::lie("index.json", "lists an image that manifest.json does not")))
}

fn choose<'a>(
    files: &Files,
    items: &'a [Item],
    selector: Option<&ArchiveSelector>,
) -> Result<&'a Item, Error> {
    let error =
        |message: String| Error { kind: ErrorKind::Choice, at: files.root().display().to_string(), message };
    let has = |item: &Item, tag: &str| item.repo_tags.iter().flatten().any(|name| same_name(name, tag));
    let tags: Vec<_> =
        items.iter().flat_map(|item| item.repo_tags.iter().flatten()).map(String::as_str).collect();
    let there = || {
        if tags.is_empty() { "none is tagged".to_owned() } else { format!("there are {}", tags.join(", ")) }
    };
    match (selector, items) {
        (_, []) => Err(not_an_image(files.root(), "its manifest.json lists no image")),
        (None, [only]) => Ok(only),
        (None, _) => Err(error(format!("it holds several images: choose with `:TAG` or `:@N`; {}", there()))),
        (Some(ArchiveSelector::Position(n)), items) => {
            items.get(*n).ok_or_else(|| error(format!("there is no image {n}: it holds {}", items.len())))
        }
        (Some(ArchiveSelector::Tag(tag)), items) => {
            let tagged: Vec<&Item> = items.iter().filter(|item| has(item, tag)).collect();
            match tagged.as_slice() {
                [only] => Ok(only),
                [] => Err(error(format!("no image is tagged `{tag}`; {}", there()))),
                _ => Err(error(format!("several images are tagged `{tag}`: choose with `:@N`"))),
            }
        }
    }
}

/// `app:1` and `docker.io/library/app:1` are one name.
fn same_name(a: &str, b: &str) -> bool {
    use crate::model::reference::Reference;
    a == b || matches!((a.parse::<Reference>(), b.parse::<Reference>()), (Ok(a), Ok(b)) if a == b)
}

/// The image that an item names, and the bytes of its configuration.
fn platform_image(files: &Files, item: &Item, limits: &Limits) -> Result<(PlatformImage, Vec<u8>), Fault> {
    let at = format!("config {}", item.config);
    let name = member(&item.config, &at)?;
    let bytes = files.read(&name, limits.config).map_err(|error| Fault::unreadable(&at, error.message))?;
    if bytes.len() as u64 > limits.config {
        return Err(Fault::unreadable(at, format!("larger than the limit of {} bytes", limits.config)));
    }
    let digest = Digest::sha256(&bytes);
    // `docker save` names the config by its digest: a name that says otherwise is a lie.
    let named = item.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    if let Ok(named) = format!("sha256:{named}").parse::<Digest>()
        && named != digest
    {
        return Err(Fault::lie(at, format!("digest mismatch: its bytes have {digest}")));
    }
    let config = document::parse_config(&bytes, &at)?;
    let (layers, ids) = (item.layers.len(), config.rootfs.diff_ids.len());
    if layers > limits.layers {
        return Err(Fault::unreadable(
            "manifest.json",
            format!("more than {} layers (limit `layers`)", limits.layers),
        ));
    }
    if layers != ids {
        let message = format!("it has {layers} layers, the config {ids} diff IDs: nothing to verify them by");
        return Err(Fault::unreadable("manifest.json", message));
    }
    if config.os.is_empty() || config.architecture.is_empty() {
        return Err(Fault::unreadable(at, "states no platform"));
    }
    let variant = config.variant.clone().filter(|variant| !variant.is_empty());
    let platform = Platform { os: config.os.clone(), architecture: config.architecture.clone(), variant };
    let layers = item.layers.iter().zip(&config.rootfs.diff_ids).map(|(layer, diff_id)| {
        member(layer, "manifest.json").map(|_| LayerBlob {
            blob: BlobName::Member(layer.clone()),
            compression: None,
            diff_id: diff_id.clone(),
        })
    });
    Ok((PlatformImage { platform, digest, layers: layers.collect::<Result<_, _>>()?, config }, bytes))
}

fn member(name: &str, at: &str) -> Result<ImagePath, Fault> {
    ImagePath::normalise(name.as_bytes())
        .map_err(|_| Fault::lie(at, format!("the name `{name}` leads out of the archive")))
}
