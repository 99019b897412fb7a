//! The registry client against a registry that lies, breaks and lags: each test is named by what is done to it.

mod absence;
mod attaching;
mod blobs;
mod credentials;
mod helpers;
mod hostile;
mod interop;
mod messages;
mod patience;
mod peers;
mod processes;
mod pulling;
mod pushing;
mod referrers;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use portcullis::model::descriptor::Descriptor;
use portcullis::model::digest::Digest;
use portcullis::model::reference::Reference;
use portcullis::registry::{Registry as Client, Repository, Retry, Secret, Settings, Source, Target};

use crate::support::image::{image, layer, layout};
use crate::support::registry::{PASSWORD, Registry, USER};

/// The repository that most tests use.
pub const APP: &str = "acme/app";

/// Settings for registries on this machine: no TLS, little patience.
pub fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.allow_insecure("127.0.0.1");
    settings.retry =
        Retry { attempts: 4, first: Duration::from_millis(4), longest: Duration::from_millis(1500) };
    settings.times.answer = Duration::from_secs(5);
    settings.times.idle = Duration::from_secs(2);
    settings.times.document = Duration::from_secs(5);
    settings.times.recheck = Duration::from_millis(100);
    settings.trace = Some(Arc::new(trace::Everything));
    settings
}

/// The same with the password that the registry knows.
pub fn logged_in(registry: &Registry) -> Settings {
    let registry = registry.address().to_owned();
    let login = Source::Login { registry, user: USER.into(), password: Secret::new(PASSWORD) };
    Settings { credentials: vec![login], ..settings() }
}

/// A client and its handle on [`APP`].
pub fn open(registry: &Registry, settings: Settings) -> (Client, Repository) {
    let client = Client::new(settings).unwrap();
    let reference: Reference = registry.reference(APP, "v1").parse().unwrap();
    let repository = client.repository(&reference).unwrap();
    (client, repository)
}

pub fn tag(name: &str) -> Target {
    Target::Tag(name.into())
}

pub fn by(digest: &str) -> Target {
    Target::Digest(digest.parse().unwrap())
}

/// Puts a small image under `v1`; the digest of its manifest.
pub fn small_image(registry: &Registry) -> String {
    let mut built = layout();
    let manifest = built.add(image("linux/amd64").layer(layer("COPY . .").file("etc/motd", "hello")));
    built.tag("v1", manifest);
    registry.push_layout(APP, "v1", &built)
}

pub fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: "application/octet-stream".into(),
        digest: Digest::sha256(bytes),
        size: bytes.len() as u64,
        platform: None,
        annotations: Default::default(),
    }
}

/// Bytes that do not repeat.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}
