//! Evidence for tests: a small image of two platforms that every rule accepts.

use super::base::{Base, By};
use super::config::{Execution, ImageConfig, RootFs};
use super::digest::Digest;
use super::enrichment::Enrichment;
use super::evidence::{Evidence, ImageIdentity, LayerEvidence, PlatformEvidence, SnapshotInfo};
use super::fact::Fact;
use super::fault::Gap;
use super::finding::{Finding, Findings, FixState, MatchEvidence, PackageRef, Undetermined};
use super::inventory::{Inventory, LayerRef, Package};
use super::path::ImagePath;
use super::purl::Purl;
use super::severity::Severity;
use super::vex::{VexClaims, VexReport};
use super::violation::{Checked, PlatformChecked};

/// The evaluation time where a test does not care.
pub(crate) const NOW: &str = "2026-11-24T12:00:00Z";

/// Digest of the image: of no bytes.
pub(crate) const IMAGE_DIGEST: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Evidence {
    pub(crate) fn platforms_mut(&mut self) -> &mut Vec<PlatformEvidence> {
        match &mut self.platforms {
            Fact::Known(platforms) => platforms,
            Fact::Absent | Fact::Unknown(_) => panic!("the platforms are not known"),
        }
    }
}

impl PlatformEvidence {
    pub(crate) fn inventory_mut(&mut self) -> &mut Inventory {
        match &mut self.inventory {
            Fact::Known(inventory) => inventory,
            Fact::Absent | Fact::Unknown(_) => panic!("the inventory is not known"),
        }
    }

    pub(crate) fn findings_mut(&mut self) -> &mut Findings {
        match &mut self.findings {
            Fact::Known(findings) => findings,
            Fact::Absent | Fact::Unknown(_) => panic!("the findings are not known"),
        }
    }
}

/// A change of the first platform, `linux/amd64`, and of its inventory.
pub(crate) fn on_first(
    change: impl Fn((&mut PlatformEvidence, &mut Inventory)),
) -> impl FnOnce(&mut Evidence) {
    move |evidence| {
        let platform = &mut evidence.platforms_mut()[0];
        let before = platform.inventory_mut().clone();
        let mut inventory = before.clone();
        change((platform, &mut inventory));
        if inventory != before {
            platform.inventory = Fact::Known(inventory);
        }
    }
}

/// An image that can be read whole, has no findings and no gaps.
pub(crate) fn evidence() -> Evidence {
    Evidence {
        wanted: None,
        attested: Fact::Known(Vec::new()),
        roots: Vec::new(),
        image: ImageIdentity { reference: "oci:image".into(), digest: Some(IMAGE_DIGEST.parse().unwrap()) },
        reference: Fact::Known("ghcr.io/acme/app:v1.2.3".parse().unwrap()),
        platforms: Fact::Known(vec![platform("linux/amd64"), platform("linux/arm64")]),
        snapshot: Fact::Known(SnapshotInfo {
            id: Digest::sha256(b"snapshot"),
            generated: Some("2026-11-24T06:00:00Z".parse().unwrap()),
            ecosystems: [].into(),
        }),
        enrichment: Enrichment::default(),
        bom: None,
        vex: VexReport::default(),
        ended: Vec::new(),
        checked: Fact::Known(Checked {
            platforms: ["linux/amd64", "linux/arm64"].map(measured).to_vec(),
            ..Checked::default()
        }),
        faults: Vec::new(),
    }
}

/// A platform that is built on Debian 12 and wastes nothing.
fn measured(name: &str) -> PlatformChecked {
    let eol = Some("2028-06-30".parse().unwrap());
    let by = By::OsRelease;
    let base = Base {
        name: "Debian 12".into(),
        also: Vec::new(),
        digest: None,
        by,
        layers: None,
        created: None,
        eol,
        rolling: false,
    };
    PlatformChecked { platform: name.parse().unwrap(), base: Some(base), wasted: 0 }
}

fn platform(name: &str) -> PlatformEvidence {
    let config = ImageConfig {
        created: Some("2026-11-01T00:00:00Z".into()),
        config: Some(Execution {
            user: Some("10001".into()),
            labels: Some(
                [("org.opencontainers.image.source".into(), "https://github.com/acme/app".into())].into(),
            ),
            ..Execution::default()
        }),
        rootfs: RootFs { kind: "layers".into(), diff_ids: vec![Digest::sha256(b"tar")] },
        ..ImageConfig::default()
    };
    PlatformEvidence {
        platform: name.parse().unwrap(),
        digest: Some(Digest::sha256(name.as_bytes())),
        config: Fact::Known(config),
        layers: Fact::Known(vec![LayerEvidence { digest: Digest::sha256(b"gz"), size: 1_000 }]),
        inventory: Fact::Known(Inventory {
            packages: vec![package("pkg:deb/debian/openssl", "3.0.11-1")],
            ..Inventory::default()
        }),
        findings: Fact::Known(Findings::default()),
    }
}

pub(crate) fn package(purl: &str, version: &str) -> Package {
    let purl: Purl = format!("{purl}@{version}").parse().unwrap();
    let (kind, name) = (kind(&purl), purl.name.clone());
    Package {
        locations: vec![ImagePath::from("var/lib/dpkg/status")],
        ..Package::new(purl, kind, &name, version, layer())
    }
}

fn kind(purl: &Purl) -> &'static str {
    if purl.kind == "npm" { "npm" } else { "deb" }
}

fn layer() -> LayerRef {
    LayerRef {
        index: Some(0),
        digest: Some(Digest::sha256(b"gz")),
        diff_id: Some(Digest::sha256(b"tar")),
        created_by: None,
    }
}

pub(crate) fn gap(path: &str, cataloger: &str) -> Gap {
    Gap {
        path: path.into(),
        layer: 0,
        cataloger: cataloger.to_owned(),
        cause: "cut short".into(),
        platform: None,
    }
}

fn package_ref() -> PackageRef {
    let purl: Purl = "pkg:deb/debian/openssl@3.0.11-1?arch=amd64".parse().unwrap();
    PackageRef { name: purl.name.clone(), version: "3.0.11-1".into(), kind: "deb", source: None, purl }
}

/// A critical finding with a fix, published 30 days before [`NOW`], without KEV and EPSS data.
pub(crate) fn finding(id: &str) -> Finding {
    Finding {
        id: id.to_owned(),
        aliases: vec![format!("DSA-{id}")],
        platform: "linux/amd64".parse().unwrap(),
        package: package_ref(),
        severity: Severity::Critical,
        severity_source: None,
        cvss: Vec::new(),
        fixed: vec!["3.0.12-1".into()],
        fix_note: None,
        state: FixState::Fixed,
        summary: None,
        published: Some("2026-10-25T12:00:00Z".parse().unwrap()),
        malicious: false,
        layer: layer(),
        locations: Vec::new(),
        vendored_in: None,
        evidence: MatchEvidence {
            record: id.to_owned(),
            segment: None,
            ecosystem: "Debian:12".into(),
            name: "openssl".into(),
            version: "3.0.11-1".into(),
            range: "ECOSYSTEM introduced=0 fixed=3.0.12-1".into(),
            event: "introduced 0 <= 3.0.11-1".into(),
            low_confidence: None,
        },
        kev: None,
        epss: None,
        epss_partial: false,
        vex: Vec::new(),
        vex_doubt: None,
        claims: VexClaims::default(),
    }
}

pub(crate) fn undetermined(cause: &str) -> Undetermined {
    Undetermined {
        platform: "linux/amd64".parse().unwrap(),
        package: package_ref(),
        cause: cause.to_owned(),
        advisories: Vec::new(),
    }
}
