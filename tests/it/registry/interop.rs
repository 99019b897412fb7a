//! `oci-client` as the other client of Debian's `docker-registry`: what one pushes the other pulls.

use std::future::Future;

use oci_client::Reference as Theirs;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE, OciImageIndex, OciManifest};
use oci_client::secrets::RegistryAuth;
use portcullis::image::limits::Limits;
use portcullis::registry::{self, BlobSource};
use serde_json::json;

use super::*;
use crate::support::docker_registry::{DockerRegistry, PUBLIC};
use crate::support::registry::{INDEX, MANIFEST};

fn theirs() -> oci_client::Client {
    oci_client::Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

fn wait<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

/// An image's configuration with one layer, whose bytes are stored as they are.
fn config(platform: &str, layer: &[u8]) -> Vec<u8> {
    let rootfs = json!({"type": "layers", "diff_ids": [Digest::sha256(layer)]});
    json!({"os": "linux", "architecture": platform, "rootfs": rootfs}).to_string().into_bytes()
}

/// A registry that asks for nothing, and one that wants a token for every push; for each the settings of our
/// client and the credentials of the other.
fn registries() -> Option<Vec<(DockerRegistry, &'static str, Settings, RegistryAuth)>> {
    let plain = DockerRegistry::plain()?;
    let token = DockerRegistry::token()?;
    let login = Source::Login {
        registry: token.address().into(),
        user: USER.into(),
        password: Secret::new(PASSWORD),
    };
    let mut known = Settings { credentials: vec![login], ..settings() };
    let host = known.hosts.entry(token.address().into()).or_default();
    (host.insecure, host.token_hosts) = (true, vec!["127.0.0.1".into()]);
    Some(vec![
        (plain, APP, settings(), RegistryAuth::Anonymous),
        (token, PUBLIC, known, RegistryAuth::Basic(USER.into(), PASSWORD.into())),
    ])
}

/// Layers of an empty file system: one archive block more than an upload of one piece takes.
fn layer(size: usize) -> Vec<u8> {
    vec![0; size]
}

#[test]
fn what_oci_client_pushed_is_read() {
    let Some(registries) = registries() else { return };
    for (at, name, settings, auth) in registries {
        let theirs = theirs();
        // Above 4 MiB it sends pieces.
        let layers = [("amd64", layer((9 << 20) + 512)), ("arm64", layer(1024))];
        let mut entries = Vec::new();
        for (platform, bytes) in &layers {
            let reference: Theirs = at.reference(name, platform).parse().unwrap();
            let config = Config::new(config(platform, bytes), IMAGE_CONFIG_MEDIA_TYPE.into(), None);
            let layer = ImageLayer::new(bytes.clone(), IMAGE_LAYER_MEDIA_TYPE.into(), None);
            wait(theirs.push(&reference, &[layer], config, &auth, None)).unwrap();
            let (bytes, digest) = wait(theirs.pull_manifest_raw(&reference, &auth, &[MANIFEST])).unwrap();
            entries.push(json!({
                "mediaType": MANIFEST, "digest": digest, "size": bytes.len(),
                "platform": {"os": "linux", "architecture": platform},
            }));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        let index: OciImageIndex = serde_json::from_value(index).unwrap();
        let reference: Theirs = at.reference(name, "v1").parse().unwrap();
        wait(theirs.push_manifest_list(&reference, &auth, index)).unwrap();
        let digest = wait(theirs.fetch_manifest_digest(&reference, &auth)).unwrap();

        let client = Client::new(settings).unwrap();
        let limits = Limits::default();
        let ours = at.reference(name, "v1").parse().unwrap();
        let (store, image) = registry::open(&client, &ours, None, &limits).unwrap();
        assert_eq!((store.digest.to_string(), image.faults.as_slice()), (digest, &[][..]));
        assert_eq!(image.platforms.len(), 2);
        let repository = client.repository(&ours).unwrap();
        for (platform, (_, bytes)) in image.platforms.iter().zip(&layers) {
            let [blob] = platform.layers.as_slice() else { panic!("{:?}", platform.layers) };
            portcullis::image::layer::read(
                store.blob(&blob.blob).unwrap(),
                blob,
                "layer",
                &limits,
                |_, _| Ok(()),
            )
            .unwrap();
            let read = client.run(repository.blob_bytes(&descriptor(bytes), 16 << 20)).unwrap();
            assert_eq!(read, *bytes);
        }
        assert_eq!(client.run(repository.tags()).unwrap().len(), 3);
    }
}

#[test]
fn what_we_pushed_is_read_by_oci_client() {
    let Some(registries) = registries() else { return };
    for (at, name, settings, auth) in registries {
        let client = Client::new(settings).unwrap();
        let repository = client.repository(&at.reference(name, "v1").parse().unwrap()).unwrap();
        let blobs = [noise((9 << 20) + 1), noise(1), config("amd64", b"")];
        for bytes in &blobs {
            let source = BlobSource::Reader(Box::new(std::io::Cursor::new(bytes.clone())));
            client.run(repository.push_blob(&descriptor(bytes), source, None)).unwrap();
        }
        let entry = |bytes: &[u8], media_type: &str| json!({"mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len()});
        let [large, small, config] = &blobs;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": entry(config, IMAGE_CONFIG_MEDIA_TYPE),
            "layers": [entry(large, IMAGE_LAYER_MEDIA_TYPE), entry(small, IMAGE_LAYER_MEDIA_TYPE)],
        });
        let manifest = manifest.to_string().into_bytes();
        let by_digest = Target::Digest(Digest::sha256(&manifest));
        client.run(repository.push_manifest(&by_digest, &manifest, MANIFEST)).unwrap();
        let mut child = entry(&manifest, MANIFEST);
        child["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]});
        let index = index.to_string().into_bytes();
        let pushed = client.run(repository.push_manifest(&tag("v1"), &index, INDEX)).unwrap();

        let theirs = theirs();
        let reference: Theirs = at.reference(name, "v1").parse().unwrap();
        let (bytes, digest) = wait(theirs.pull_manifest_raw(&reference, &auth, &[INDEX])).unwrap();
        assert_eq!((bytes.as_ref(), digest), (index.as_slice(), pushed.digest.to_string()));
        let below: Theirs = at.reference(name, &Digest::sha256(&manifest).to_string()).parse().unwrap();
        let (document, digest) = wait(theirs.pull_manifest(&below, &auth)).unwrap();
        assert_eq!(digest, Digest::sha256(&manifest).to_string());
        let OciManifest::Image(document) = document else { panic!("{document}") };
        for (layer, bytes) in document.layers.iter().chain([&document.config]).zip(&blobs) {
            let mut read = Vec::new();
            wait(theirs.pull_blob(&below, layer, &mut read)).unwrap();
            assert_eq!(read, *bytes);
        }
        assert_eq!(wait(theirs.list_tags(&reference, &auth, None, None)).unwrap().tags, ["v1"]);
    }
}
