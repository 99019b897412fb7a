//! Inventories to render in tests.

use crate::model::config::ImageConfig;
use crate::model::digest::Digest;
use crate::model::evidence::{ImageIdentity, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::fault::Gap;
use crate::model::inventory::{Inventory, LayerRef, Package, SourcePackage};
use crate::model::layer::Distro;
use crate::model::path::ImagePath;
use crate::model::purl::Purl;
use crate::model::reference::Reference;

use super::Subject;

pub(super) fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

pub(super) fn package(kind: &'static str, name: &str, version: &str, location: &str) -> Package {
    let layer = LayerRef {
        index: Some(0),
        digest: Some(digest("blob 0")),
        diff_id: Some(digest("tar 0")),
        created_by: Some("RUN something".into()),
    };
    Package {
        locations: vec![location.into()],
        ..Package::new(Purl::new(kind, None, name, Some(version)), kind, name, version, layer)
    }
}

pub(super) fn gap(path: &[u8], cause: &str) -> Gap {
    let path = ImagePath::normalise(path).unwrap_or_default();
    Gap { path, layer: 1, cataloger: "rpm".into(), cause: cause.into(), platform: None }
}

/// An image whose every fact a test may change.
pub(super) struct Fixture {
    pub(super) image: ImageIdentity,
    pub(super) reference: Option<Reference>,
    pub(super) platform: PlatformEvidence,
    pub(super) inventory: Inventory,
}

impl Fixture {
    pub(super) fn empty() -> Self {
        Self {
            image: ImageIdentity { reference: "oci:demo".into(), digest: Some(digest("index")) },
            reference: None,
            platform: PlatformEvidence {
                platform: "linux/amd64".parse().unwrap(),
                digest: Some(digest("manifest")),
                config: Fact::Known(ImageConfig {
                    created: Some("2026-01-15T09:00:00Z".into()),
                    ..ImageConfig::default()
                }),
                layers: Fact::Known(Vec::new()),
                inventory: Fact::Absent,
                findings: Fact::Absent,
            },
            inventory: Inventory::default(),
        }
    }

    /// Four packages, one of each mark, and no gap.
    pub(super) fn new() -> Self {
        let libssl = Package {
            purl: Purl::new("deb", Some("debian"), "libssl3", Some("3.0.11-1"))
                .with("arch", "amd64")
                .with("distro", "debian-12"),
            source: Some(SourcePackage { name: "openssl".into(), version: "3.0.11-1".into() }),
            licenses: vec!["Apache-2.0".into()],
            ..package("deb", "libssl3", "3.0.11-1", "var/lib/dpkg/status")
        };
        let vendored = Package {
            vendored_in: Some("pkg:pypi/pip@23.0".into()),
            licenses: vec!["MIT".into(), "Apache-2.0 OR MIT".into(), "Expat".into()],
            ..package("pypi", "urllib3", "1.26.0", "usr/lib/python3/pip/_vendor/urllib3")
        };
        let owned = Package {
            owned_by: Some(libssl.purl.clone()),
            licenses: vec!["MIT OR Apache-2.0".into()],
            ..package("pypi", "six", "1.16.0", "usr/lib/python3/six.dist-info")
        };
        let application = Package {
            purl: Purl::new("npm", Some("@acme"), "orders", Some("1.4.2")),
            application: true,
            ..package("npm", "@acme/orders", "1.4.2", "srv/web")
        };
        let distro = Distro {
            id: "debian".into(),
            version_id: "12".into(),
            pretty_name: Some("Debian GNU/Linux 12 (bookworm)".into()),
            codename: Some("bookworm".into()),
        };
        let packages = vec![libssl, vendored, owned, application];
        let inventory = Inventory { distro: Some(distro), packages, ..Inventory::default() };
        Self { inventory, ..Self::empty() }
    }

    /// Names, versions, licences, paths and causes that try to break a document or a terminal, and gaps.
    pub(super) fn hostile() -> Self {
        let weird = Package {
            source: Some(SourcePackage { name: "a@b\u{7}".into(), version: "1@2\u{9b}".into() }),
            licenses: vec!["MIT\u{1b}]0;x\u{7}\nline".into(), "\"},{".into()],
            ..package("npm", "we\u{1b}ird\r\n\u{202e}\\name", "1\u{0}\t\u{2028}", "x\u{1b}/y")
        };
        let long = package("pypi", "long", &"9".repeat(100_000), "long");
        let mut fixture = Self::empty();
        fixture.image.reference = "oci:\u{1b}[2J".into();
        fixture.inventory.distro = Some(Distro { id: "\u{1b}".into(), ..Distro::default() });
        fixture.inventory.packages = vec![weird.clone(), weird, long];
        fixture.inventory.gaps = vec![gap(b"a\x1b\xff", "no \"cataloger\"\nyet \u{202e}"), gap(b"", "other")];
        fixture.inventory.warnings = vec![gap(b"w\n", "odd \u{200b}")];
        fixture
    }

    pub(super) fn created(&mut self, text: &str) {
        self.platform.config =
            Fact::Known(ImageConfig { created: Some(text.into()), ..ImageConfig::default() });
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            image: &self.image,
            reference: self.reference.as_ref(),
            platform: &self.platform,
            inventory: &self.inventory,
            base: None,
            created: None,
        }
    }
}
