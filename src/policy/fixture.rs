//! Evidence and policies for tests: a small image of two platforms that every rule accepts.

use std::rc::Rc;

use crate::model::config::{Execution, ImageConfig, RootFs};
use crate::model::digest::Digest;
use crate::model::evidence::{Evidence, ImageIdentity, LayerEvidence, PlatformEvidence, SnapshotInfo};
use crate::model::fact::Fact;
use crate::model::fault::Gap;
use crate::model::finding::{Finding, Findings, FixState, MatchEvidence, PackageRef, Undetermined};
use crate::model::inventory::{Inventory, LayerRef, Package};
use crate::model::path::ImagePath;
use crate::model::purl::Purl;
use crate::model::severity::Severity;
use crate::model::verdict::{Message, Outcome, Verdict};

use super::{Policy, PolicyError, Selection, evaluate};

/// The evaluation time where a test does not care.
pub(crate) const NOW: &str = "2026-11-24T12:00:00Z";

/// Digest of the image: of no bytes.
pub(crate) const IMAGE_DIGEST: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What stands before the rules of a test's policy.
pub(crate) const HEAD: &str = "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: test}\n\
                               images: ['**']\ntags: {release: semver, pr: 'pr-<n>'}\n";

/// One evaluation: a policy, evidence, a time.
#[derive(Clone)]
pub(crate) struct Case {
    policy: Rc<Policy>,
    selection: Selection,
    evidence: Evidence,
    now: &'static str,
}

fn rules_text(rules: &[&str]) -> String {
    let items = rules.iter().enumerate().map(|(n, rule)| format!("- id: r{n}\n  {rule}\n"));
    format!("{HEAD}rules:\n{}", items.collect::<String>())
}

impl Case {
    /// A policy of one rule, given as `kind: settings`.
    pub(crate) fn rule(rule: &str) -> Self {
        Self::rules(&[rule])
    }

    /// A policy of several rules, with the ids `r0`, `r1`, …
    pub(crate) fn rules(rules: &[&str]) -> Self {
        Self::policy(&rules_text(rules))
    }

    /// A policy as it stands in a file.
    pub(crate) fn policy(text: &str) -> Self {
        let shown = |errors: Vec<PolicyError>| {
            errors.iter().map(|error| error.render(text.as_bytes(), "policy.yaml")).collect::<String>()
        };
        let policy = Policy::parse(text.as_bytes()).map_err(shown);
        let policy = Rc::new(policy.unwrap_or_else(|errors| panic!("{errors}")));
        Self { policy, selection: Selection::default(), evidence: evidence(), now: NOW }
    }

    /// Whether a policy of one rule is one.
    pub(crate) fn try_rule(rule: &str) -> Result<Policy, Vec<PolicyError>> {
        Policy::parse(rules_text(&[rule]).as_bytes())
    }

    /// The only error of a policy of one rule.
    pub(crate) fn error(rule: &str) -> PolicyError {
        let mut errors = Self::try_rule(rule).expect_err(rule);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        errors.remove(0)
    }

    /// The same with other evidence.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Evidence)) -> Self {
        change(&mut self.evidence);
        self
    }

    /// The same at another time.
    pub(crate) fn at(mut self, now: &'static str) -> Self {
        self.now = now;
        self
    }

    /// The same for a scope or an environment.
    pub(crate) fn selecting(mut self, scope: Option<&str>, env: Option<&str>) -> Self {
        self.selection = Selection { scope: scope.map(str::to_owned), env: env.map(str::to_owned) };
        self
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let selected = self.policy.select(&self.selection).unwrap();
        evaluate(&selected, &self.evidence, self.now.parse().unwrap())
    }

    /// Outcomes of the policy's own rules `r0`, `r1`, …
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let rules = self.verdict().rules;
        rules.iter().filter(|rule| rule.id.starts_with('r')).map(|rule| rule.outcome).collect()
    }

    /// Outcome of the rule `r0`.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcomes()[0]
    }

    /// Messages of the rule `r0`.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.verdict().rules.into_iter().find(|rule| rule.id == "r0").unwrap().messages
    }

    /// Texts of the messages of the rule `r0`.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.messages().into_iter().map(|message| message.text).collect()
    }
}

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
        image: ImageIdentity { reference: "oci:image".into(), digest: Some(IMAGE_DIGEST.parse().unwrap()) },
        reference: Fact::Known("ghcr.io/acme/app:v1.2.3".parse().unwrap()),
        platforms: Fact::Known(vec![platform("linux/amd64"), platform("linux/arm64")]),
        snapshot: Fact::Known(SnapshotInfo {
            id: Digest::sha256(b"snapshot"),
            generated: Some("2026-11-24T06:00:00Z".parse().unwrap()),
            ecosystems: [].into(),
        }),
        faults: Vec::new(),
    }
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
        digest: Digest::sha256(name.as_bytes()),
        config: Fact::Known(config),
        layers: vec![LayerEvidence { digest: Digest::sha256(b"gz"), size: 1_000 }],
        inventory: Fact::Known(Inventory {
            packages: vec![package("pkg:deb/debian/openssl", "3.0.11-1")],
            ..Inventory::default()
        }),
        findings: Fact::Known(Findings::default()),
    }
}

pub(crate) fn package(purl: &str, version: &str) -> Package {
    let purl: Purl = format!("{purl}@{version}").parse().unwrap();
    Package {
        kind: kind(&purl),
        name: purl.name.clone(),
        version: version.to_owned(),
        arch: None,
        source: None,
        licenses: Vec::new(),
        layer: layer(),
        locations: vec![ImagePath::from("var/lib/dpkg/status")],
        owned_by: None,
        vendored_in: None,
        application: false,
        purl,
    }
}

fn kind(purl: &Purl) -> &'static str {
    if purl.kind == "npm" { "npm" } else { "deb" }
}

fn layer() -> LayerRef {
    LayerRef { index: 0, digest: Digest::sha256(b"gz"), diff_id: Digest::sha256(b"tar"), created_by: None }
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
        state: FixState::Fixed,
        summary: None,
        published: Some("2026-10-25T12:00:00Z".parse().unwrap()),
        malicious: false,
        layer: layer(),
        locations: Vec::new(),
        vendored_in: None,
        evidence: MatchEvidence {
            record: id.to_owned(),
            ecosystem: "Debian:12".into(),
            name: "openssl".into(),
            version: "3.0.11-1".into(),
            range: "ECOSYSTEM introduced=0 fixed=3.0.12-1".into(),
            event: "introduced 0 <= 3.0.11-1".into(),
            low_confidence: None,
        },
        kev: None,
        epss: None,
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
