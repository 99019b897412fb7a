//! Debian's `docker-registry`, plain and behind TLS, and `skopeo` as the other client.

use std::path::Path;

use portcullis::image::limits::Limits;
use portcullis::registry::{self, Artifact, BlobSource, ErrorKind, HostSettings, Listed, Registry as Client};
use serde_json::json;

use super::*;
use crate::support::docker_registry::{DockerRegistry, PUBLIC};
use crate::support::registry::{EMPTY, MANIFEST};
use crate::support::skopeo::{Access, skopeo};

fn two_platforms(folder: &Path) {
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64"]
        .map(|platform| built.add(image(platform).layer(layer("COPY . .").file("etc/motd", platform))));
    let index = built.index(platforms.to_vec());
    built.tag("v1", index);
    built.write(folder);
}

fn password() -> Option<String> {
    Some(format!("{USER}:{PASSWORD}"))
}

/// Settings for a registry behind TLS.
fn secured(registry: &DockerRegistry, client: bool) -> Settings {
    let folder = registry.certificates().unwrap();
    let host = HostSettings {
        ca: Some(folder.join("ca.crt")),
        client_cert: client.then(|| folder.join("client.cert")),
        client_key: client.then(|| folder.join("client.key")),
        ..HostSettings::default()
    };
    let hosts = [(registry.address().to_owned(), host)].into();
    let login = Source::Login {
        registry: registry.address().into(),
        user: USER.into(),
        password: Secret::new(PASSWORD),
    };
    Settings { hosts, credentials: vec![login], ..settings() }
}

/// Opens what skopeo pushed, both platforms, and reads every layer.
fn check(settings: Settings, reference: &str, digest: &str) {
    let client = Client::new(settings).unwrap();
    let limits = Limits::default();
    let (store, opened) = registry::open(&client, &reference.parse().unwrap(), None, &limits).unwrap();
    assert_eq!((store.digest.to_string().as_str(), opened.faults.as_slice()), (digest, &[][..]));
    assert_eq!(opened.platforms.len(), 2);
    for blob in opened.platforms.iter().flat_map(|platform| &platform.layers) {
        let reader = store.blob(&blob.blob).unwrap();
        portcullis::image::layer::read(reader, blob, "layer", &limits, |_, _| Ok(())).unwrap();
    }
}

#[test]
fn what_skopeo_pushed_to_docker_registry_is_read() {
    let Some(skopeo) = skopeo() else { return };
    let folder = tempfile::tempdir().unwrap();
    two_platforms(folder.path());
    let registries = [
        (DockerRegistry::plain(), APP, false),
        (DockerRegistry::tls(), APP, false),
        (DockerRegistry::mutual_tls(), APP, true),
        (DockerRegistry::token(), PUBLIC, false),
    ];
    for (registry, name, client) in registries {
        let Some(registry) = registry else { return };
        let certificates = registry.certificates();
        let behind_tls = certificates.is_some();
        let access = Access { password: password(), certificates };
        skopeo.push(folder.path(), "v1", &registry.reference(name, "v1"), &access);
        let index = skopeo.inspect_raw(&registry.reference(name, "v1"), &access);
        let digest = Digest::sha256(&index).to_string();
        let login = Source::Login {
            registry: registry.address().into(),
            user: USER.into(),
            password: Secret::new(PASSWORD),
        };
        let settings = if behind_tls {
            secured(&registry, client)
        } else {
            let mut settings = Settings { credentials: vec![login], ..settings() };
            // Its token server is another port of this machine.
            settings.hosts.entry(registry.address().into()).or_default().token_hosts.push("127.0.0.1".into());
            settings.hosts.entry(registry.address().into()).or_default().insecure = true;
            settings
        };
        check(settings, &registry.reference(name, "v1"), &digest);
    }
}

#[test]
fn docker_registry_behind_tls_without_what_it_asks_for() {
    let Some(registry) = DockerRegistry::mutual_tls() else { return };
    let ask = |settings: Settings| {
        let client = Client::new(settings).unwrap();
        let repository = client.repository(&registry.reference(APP, "v1").parse().unwrap()).unwrap();
        client.run(repository.manifest(&tag("v1"))).unwrap_err()
    };
    assert_eq!(ask(secured(&registry, true)).kind, ErrorKind::NotFound);
    assert_eq!(ask(secured(&registry, false)).kind, ErrorKind::Unavailable);
    let error = ask(Settings { retry: settings().retry, ..Settings::default() });
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("TLS"), "{error}");
}

#[test]
fn what_is_pushed_to_docker_registry_is_there() {
    let Some(registry) = DockerRegistry::plain() else { return };
    let client = Client::new(settings()).unwrap();
    let repository = client.repository(&registry.reference(APP, "v1").parse().unwrap()).unwrap();
    for size in [0, 1, 9 << 20] {
        let bytes = noise(size);
        let source = BlobSource::Reader(Box::new(std::io::Cursor::new(bytes.clone())));
        client.run(repository.push_blob(&descriptor(&bytes), source, None)).unwrap();
        assert_eq!(client.run(repository.blob_bytes(&descriptor(&bytes), 16 << 20)).unwrap(), bytes);
    }
    let empty = descriptor(b"{}");
    client.run(repository.push_blob(&empty, BlobSource::Bytes("{}".into()), None)).unwrap();
    let config = json!({"mediaType": EMPTY, "digest": empty.digest, "size": 2});
    let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [config]});
    let image = image.to_string().into_bytes();
    let subject = client.run(repository.push_manifest(&tag("v1"), &image, MANIFEST)).unwrap().digest;
    let referrer = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "a/b", "config": config, "layers": [config],
        "subject": {"mediaType": MANIFEST, "digest": subject, "size": image.len()},
    });
    let artifact = Artifact { manifest: referrer.to_string().into_bytes(), media_type: MANIFEST.into() };
    let attached = client.run(repository.attach(&subject, &[artifact])).unwrap();
    assert_eq!(attached[0].listed, Listed::FallbackTag);
    let found = client.run(async { Ok(repository.referrers(&subject, Some("a/b")).await) }).unwrap();
    assert_eq!((found.entries.len(), found.unknown.len()), (1, 0));
    assert_eq!(client.run(repository.tags()).unwrap().len(), 2);
    client.run(repository.delete_manifest(&Target::Digest(subject))).unwrap();
}
