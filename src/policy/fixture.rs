//! Policies for tests, and the evidence that they judge.

use std::rc::Rc;

use serde_json::json;

use crate::model::attestation::{Attestation, Attested, Content, Place as AttestationPlace, SignedBy};
use crate::model::digest::Digest;
use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::predicate::{CYCLONEDX, SLSA_V1, VSA};
use crate::model::signer::{Claim, Name, Signer};
use crate::model::verdict::{Message, Outcome, Verdict};
use crate::model::vex::{VexAttestation, VexClaim, VexDocument, VexStatus};
use crate::model::violation::{CheckSeverity, Place, Violation};

pub(crate) use crate::model::fixture::{
    IMAGE_DIGEST, NOW, evidence, finding, gap, on_first, package, undetermined,
};

use super::{Policy, PolicyError, Selection, evaluate};

/// What stands before the rules of a test's policy.
pub(crate) const HEAD: &str = "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: test}\n\
                               images: ['**']\ntags: {release: semver, pr: 'pr-<n>'}\n";

/// Whom rules may name: [`ci`] and [`sec`]. Stands behind the rules.
pub(crate) const IDENTITIES: &str = "identities:\n  ci: {github: acme/app, workflow: .github/workflows/release.yml, \
                          refs: [refs/heads/main]}\n  \
                          sec: {issuer: 'https://accounts.google.com', subject: security@acme.example}\n";

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
    format!("{HEAD}rules:\n{}{IDENTITIES}", items.collect::<String>())
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

/// A violation of a check, nowhere in particular.
pub(crate) fn violation(check: &'static str, severity: CheckSeverity) -> Violation {
    let message = "something is wrong".to_owned();
    Violation { check, severity, message, place: Place::Image, evidence: None, platform: None }
}

/// Sets what the checks found.
pub(crate) fn checked<const N: usize>(violations: [Violation; N]) -> impl FnOnce(&mut Evidence) {
    move |evidence| match &mut evidence.checked {
        Fact::Known(checked) => checked.violations = violations.to_vec(),
        Fact::Absent | Fact::Unknown(_) => panic!("the checks are not known"),
    }
}

/// `ci` of the fixture's policy.
pub(crate) fn ci() -> SignedBy {
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    SignedBy::Certificate(Signer {
        name: Name::Uri(workflow.into()),
        issuer: Some("https://token.actions.githubusercontent.com".into()),
        claims: [
            (Claim::SourceRepository, "https://github.com/acme/app".to_owned()),
            (Claim::SourceRepositoryRef, "refs/heads/main".to_owned()),
        ]
        .into(),
    })
}

/// `sec` of the fixture's policy.
pub(crate) fn sec() -> SignedBy {
    SignedBy::Certificate(Signer {
        name: Name::Mail("security@acme.example".into()),
        issuer: Some("https://accounts.google.com".into()),
        claims: [].into(),
    })
}

/// A signature without annotations.
pub(crate) fn signature() -> Content {
    Content::Signature { annotations: [].into() }
}

/// SLSA provenance of a build of [`ci`].
pub(crate) fn provenance() -> Content {
    let predicate = json!({
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {
                "repository": "https://github.com/acme/app",
                "ref": "refs/heads/main",
                "path": ".github/workflows/release.yml",
            }},
        },
        "runDetails": {"builder": {
            "id": "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main",
        }},
    });
    Content::Statement { predicate_type: SLSA_V1.into(), predicate }
}

/// An SBOM that names the one package of the fixture's image.
pub(crate) fn sbom() -> Content {
    let purl = "pkg:deb/debian/openssl@3.0.11-1?arch=amd64&distro=debian-12";
    let predicate = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [{"type": "library", "name": "openssl", "purl": purl}],
    });
    Content::Statement { predicate_type: CYCLONEDX.into(), predicate }
}

/// Who verifies in the fixture's verdicts.
pub(crate) const VERIFIER: &str = "https://acme.example/portcullis";

/// A verification summary of the fixture's image, `PASSED` or `FAILED`.
pub(crate) fn vsa(result: &str) -> Content {
    let predicate = json!({
        "verifier": {"id": VERIFIER, "version": {"portcullis": "0.1.0"}},
        "timeVerified": NOW,
        "resourceUri": format!("ghcr.io/acme/app@{IMAGE_DIGEST}"),
        "policy": {"uri": "policy.yaml", "digest": {"sha256": Digest::sha256(b"policy").hex()}},
        "verificationResult": result,
        "verifiedLevels": if result == "PASSED" { json!(["SLSA_BUILD_LEVEL_2", "ACME_SCANNED"]) } else { json!(["FAILED"]) },
        "slsaVersion": "1.1",
    });
    Content::Statement { predicate_type: VSA.into(), predicate }
}

/// The attestation of the image that a VEX document was read out of.
pub(crate) fn vex_attestation(signed_by: SignedBy) -> VexAttestation {
    VexAttestation {
        at: AttestationPlace::Referrer { digest: Digest::sha256(b"vex") },
        subject: IMAGE_DIGEST.parse().unwrap(),
        platform: None,
        below: None,
        signed_by,
        logged: true,
    }
}

/// A VEX document out of it.
pub(crate) fn vex_document(signed_by: SignedBy) -> VexDocument {
    let attested = vex_attestation(signed_by);
    VexDocument {
        name: attested.at.in_words(),
        digest: Digest::sha256(b"document"),
        format: "OpenVEX 0.2.0".into(),
        id: None,
        author: Some("Acme".into()),
        timestamp: None,
        statements: 1,
        attested: Some(attested),
    }
}

/// What a document says of the one vulnerability of a finding, or a file where there is none.
pub(crate) fn claim(document: Option<usize>, day: &str, status: VexStatus) -> VexClaim {
    let time = format!("{day}T00:00:00Z").parse().unwrap();
    VexClaim { question: 0, time: Some(time), status, document }
}

/// Nothing is signed of the image and of each platform, and all of that was seen.
pub(crate) fn nothing_hangs(evidence: &mut Evidence) {
    let own = evidence.platforms_mut().iter().map(|platform| attested(Some(platform), []));
    let own: Vec<Attested> = own.collect();
    evidence.attested = Fact::Known(std::iter::once(attested(None, [])).chain(own).collect());
    evidence.vex.sought = true;
}

/// What is signed of the image as a whole.
pub(crate) fn signed<const N: usize>(attestations: [(SignedBy, Content); N]) -> impl FnOnce(&mut Evidence) {
    move |evidence| evidence.attested = Fact::Known(vec![attested(None, attestations)])
}

/// What is signed of a platform, or of the image.
pub(crate) fn attested<const N: usize>(
    platform: Option<&PlatformEvidence>,
    attestations: [(SignedBy, Content); N],
) -> Attested {
    let image = IMAGE_DIGEST.parse().unwrap();
    let attestation = |(signed_by, content)| Attestation {
        at: AttestationPlace::Referrer { digest: Digest::sha256(b"referrer") },
        signed_by,
        content,
        times: vec![NOW.parse().unwrap()],
        logs: Vec::new(),
        root: Some("public-good".into()),
        signed_predicate: None,
    };
    Attested {
        subject: platform.map_or(image, |platform| platform.digest.clone().unwrap()),
        platform: platform.map(|platform| platform.platform.clone()),
        below: None,
        attestations: attestations.into_iter().map(attestation).collect(),
        refused: Vec::new(),
        unknown: Vec::new(),
    }
}
