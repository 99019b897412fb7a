use super::*;
use crate::model::digest::Digest;
use crate::model::enrichment::ExploitData;
use crate::model::evidence::{Ended, SegmentInfo};
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::finding::{FixState, Suppressed};
use crate::model::fixture::{evidence, gap, undetermined};
use crate::model::severity::Severity;
use crate::model::verdict::{Level, Outcome, Verdict};
use crate::model::vex::{VexDocument, VexOutcome, VexReport};
use crate::report::fixture::{STYLE, evidence_with, found, message, rule, verdict, waiver};

const ON: [&str; 2] = ["linux/amd64", "linux/arm64"];

fn gate(verdict: &Verdict, evidence: &Evidence, detail: Detail) -> String {
    Text.gate(&[Judged { verdict, evidence, published: None }], &Style { detail, ..STYLE })
}

fn denied() -> Verdict {
    let mut vulnerabilities = rule("vulnerabilities", Outcome::Violate);
    vulnerabilities.why =
        Some("a fix has been there for longer than it takes to build an image again".into());
    for platform in ON {
        let text = "2 findings of `severity: high, fixed: true, grace: 30d`: CVE-2026-1, CVE-2026-2";
        let mut message = message(Outcome::Violate, Some(platform), text);
        message.headline = Some("2 findings of `severity: high, fixed: true, grace: 30d`".into());
        vulnerabilities.messages.push(message);
        vulnerabilities.findings.push(found("CVE-2026-2", Severity::High, platform));
        vulnerabilities.findings.push(found("CVE-2026-1", Severity::Critical, platform));
    }
    let mut database = rule("database", Outcome::Undecided);
    database.level = Level::Warn;
    let text = "the advisory snapshot is of 2026-11-01T00:00:00Z, more than 7d ago";
    database.messages.push(message(Outcome::Undecided, None, text));
    let mut verdict = verdict(Decision::Deny);
    verdict.rules.extend([vulnerabilities, database]);
    verdict.waivers.used.push(waiver("CVE-2026-9", &["CVE-2026-9 in pkg:deb/debian/zlib (linux/amd64)"]));
    verdict.waivers.unused.push(waiver("CVE-2020-1", &[]));
    verdict
}

#[test]
fn a_deny_says_what_to_upgrade_to_what_and_which_line_brought_it() {
    assert_eq!(
        gate(&denied(), &evidence(), Detail::Usual),
        "\
DENY  oci:image (sha256:e3b0c44298fc)

Why
  violated   vulnerabilities  2 findings of `severity: high, fixed: true, grace: 30d` (linux/amd64,
                              linux/arm64)
                              a fix has been there for longer than it takes to build an image again

Fix
  openssl 3.0.11-1 (deb): upgrade to 3.0.12-1, which fixes all 2 findings
    critical  CVE-2026-1 (DSA-CVE-2026-1)
    high      CVE-2026-2 (DSA-CVE-2026-2)
    layer 3 `RUN apt-get install -y openssl`: var/lib/dpkg/status (linux/amd64, linux/arm64)

Besides
  warning    database  the advisory snapshot is of 2026-11-01T00:00:00Z, more than 7d ago

Waivers
  used       CVE-2026-9 (vulnerabilities): until 2026-12-31, covers CVE-2026-9 in
             pkg:deb/debian/zlib (linux/amd64); sec: not reachable
  unused     CVE-2020-1 (vulnerabilities): matches nothing: take it out of the policy; sec: not
             reachable

policy      baseline (sha256:823412d1eacb): 1 of 3 rules hold
findings    none
digest      sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
judged as   ghcr.io/acme/app:v1.2.3
advisories  of 2026-11-24T06:00:00Z (sha256:16a0eeb0791b), for none of the image's ecosystems
platform    linux/amd64 (1 layer, 1 package)
platform    linux/arm64 (1 layer, 1 package)
judged at   2026-11-24T12:00:00Z
"
    );
}

fn undecided() -> (Verdict, Evidence) {
    let mut vulnerabilities = rule("vulnerabilities", Outcome::Undecided);
    let text =
        "1 finding may be of `severity: critical, fixed: true`, no severity is stated: CVE-2026-3 in …";
    let mut possible = message(Outcome::Undecided, Some("linux/amd64"), text);
    possible.headline =
        Some("1 finding may be of `severity: critical, fixed: true`, no severity is stated".into());
    vulnerabilities.messages.push(possible);
    let text = "1 package could not be judged, no advisories for `Debian:99`: openssl 3.0.11-1";
    let mut unjudged = message(Outcome::Undecided, Some("linux/amd64"), text);
    unjudged.headline = Some("1 package could not be judged, no advisories for `Debian:99`".into());
    vulnerabilities.messages.push(unjudged);
    vulnerabilities.possible.push(found("CVE-2026-3", Severity::Unknown, "linux/amd64"));
    vulnerabilities.undetermined.push(undetermined("no advisories for `Debian:99`"));
    let mut gaps = rule("gaps", Outcome::Undecided);
    gaps.kind = "gaps";
    let mut unread =
        message(Outcome::Undecided, Some("linux/amd64"), "1 file could not be read: `opt/app.jar`");
    unread.headline = Some("1 file could not be read".into());
    gaps.messages.push(unread);
    let mut verdict = verdict(Decision::Undecided);
    verdict.rules.extend([vulnerabilities, gaps]);
    for path in ["opt/app.jar", "opt/accepted.jar"] {
        let mut gap = gap(path, "java");
        gap.platform = Some("linux/amd64".parse().unwrap());
        verdict.gaps.push(gap);
    }
    verdict.waivers.used.push(waiver("opt/accepted.jar", &["opt/accepted.jar (java, linux/amd64)"]));
    (verdict, evidence())
}

#[test]
fn an_undecided_says_what_is_unknown_and_what_settles_it() {
    let (verdict, evidence) = undecided();
    assert_eq!(
        gate(&verdict, &evidence, Detail::Usual),
        "\
UNDECIDED  oci:image (sha256:e3b0c44298fc)

Why
  undecided  vulnerabilities  1 finding may be of `severity: critical, fixed: true`, no severity is
                              stated (linux/amd64)
  undecided  vulnerabilities  1 package could not be judged, no advisories for `Debian:99`
                              (linux/amd64)
  undecided  gaps             1 file could not be read (linux/amd64)

Settle
  It cannot be said whether these findings count. An upgrade settles it:
    openssl 3.0.11-1 (deb): upgrade to 3.0.12-1
      unknown   CVE-2026-3 (DSA-CVE-2026-3)
      layer 3 `RUN apt-get install -y openssl`: var/lib/dpkg/status (linux/amd64)
  1 package could not be judged, no advisories for `Debian:99`: openssl 3.0.11-1 (linux/amd64)
  Packages may hide in what could not be read. Repair it, or accept it for a while in the policy, as
  `gaps: {allow: [{path, until, reason, owner}]}`:
    opt/app.jar in layer 0, java: cut short (linux/amd64)

Waivers
  used       opt/accepted.jar (vulnerabilities): until 2026-12-31, covers opt/accepted.jar (java,
             linux/amd64); sec: not reachable

policy      baseline (sha256:823412d1eacb): 1 of 3 rules hold
findings    none
digest      sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
judged as   ghcr.io/acme/app:v1.2.3
advisories  of 2026-11-24T06:00:00Z (sha256:16a0eeb0791b), for none of the image's ecosystems
platform    linux/amd64 (1 layer, 1 package)
platform    linux/arm64 (1 layer, 1 package)
judged at   2026-11-24T12:00:00Z
"
    );
}

#[test]
fn an_admit_is_short() {
    assert_eq!(
        gate(&verdict(Decision::Admit), &evidence(), Detail::Usual),
        "\
ADMIT  oci:image (sha256:e3b0c44298fc)

policy      baseline (sha256:823412d1eacb): 1 of 1 rules hold
findings    none
digest      sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
judged as   ghcr.io/acme/app:v1.2.3
advisories  of 2026-11-24T06:00:00Z (sha256:16a0eeb0791b), for none of the image's ecosystems
platform    linux/amd64 (1 layer, 1 package)
platform    linux/arm64 (1 layer, 1 package)
judged at   2026-11-24T12:00:00Z
"
    );
}

#[test]
fn brief_is_the_decision_and_the_counted_reasons() {
    assert_eq!(
        gate(&denied(), &evidence(), Detail::Brief),
        "\
DENY  oci:image (sha256:e3b0c44298fc)
  violated   vulnerabilities  2 findings of `severity: high, fixed: true, grace: 30d` (linux/amd64,
                              linux/arm64)
"
    );
    assert_eq!(
        gate(&verdict(Decision::Admit), &evidence(), Detail::Brief),
        "\
ADMIT  oci:image (sha256:e3b0c44298fc)
"
    );
}

fn scan(evidence: &Evidence, detail: Detail) -> String {
    Text.scan(&[evidence], &Style { detail, ..STYLE })
}

fn scanned() -> Evidence {
    evidence_with(|evidence| {
        for (platform, name) in evidence.platforms_mut().iter_mut().zip(ON) {
            let findings = platform.findings_mut();
            findings.findings.push(found("CVE-2026-2", Severity::Unknown, name));
            findings.findings.push(found("CVE-2026-1", Severity::Critical, name));
        }
        let first = &mut evidence.platforms_mut()[0];
        let mut unfixed = found("CVE-2026-3", Severity::Low, ON[0]);
        unfixed.state = FixState::NotFixed;
        unfixed.fixed.clear();
        first.findings_mut().findings.push(unfixed);
        first.findings_mut().suppressed.push(Suppressed {
            finding: found("CVE-2026-4", Severity::High, ON[0]),
            reason: "owned-by",
            detail: "its files belong to pkg:deb/debian/python3-six".into(),
        });
        if let Fact::Known(snapshot) = &mut evidence.snapshot {
            let id = Digest::sha256(b"s");
            let segment = SegmentInfo { id, records: 12_345, generated: snapshot.generated, unreadable: 0 };
            snapshot.ecosystems.insert("Debian:12".into(), segment);
        }
    })
}

#[test]
fn a_scan_is_a_table_with_the_worst_first() {
    assert_eq!(
        scan(&scanned(), Detail::Usual),
        "\
oci:image (sha256:e3b0c44298fc): 3 findings: 1 critical, 1 low, 1 unknown

SEVERITY  ID          PACKAGE  INSTALLED  FIXED       LAYER  PLATFORM     WHERE
critical  CVE-2026-1  openssl  3.0.11-1   3.0.12-1    3      all          var/lib/dpkg/status
low       CVE-2026-3  openssl  3.0.11-1   no fix yet  3      linux/amd64  var/lib/dpkg/status
unknown   CVE-2026-2  openssl  3.0.11-1   3.0.12-1    3      all          var/lib/dpkg/status

Set aside
  1 finding (owned-by): CVE-2026-4 in openssl

digest      sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
judged as   ghcr.io/acme/app:v1.2.3
advisories  of 2026-11-24T06:00:00Z (sha256:16a0eeb0791b), 12345 records of Debian:12
platform    linux/amd64 (1 layer, 1 package)
platform    linux/arm64 (1 layer, 1 package)
"
    );
}

#[test]
fn a_scan_says_what_vex_and_data_on_exploits_it_went_by_and_which_release_has_ended() {
    let mut evidence = evidence();
    let outcome = |reason: Option<&str>| VexOutcome {
        document: "acme.json".into(),
        digest: Digest::sha256(b"v"),
        statement: "statements[1]".into(),
        vulnerability: "CVE-2026-1".into(),
        stated: "not_affected".into(),
        reason: reason.map(str::to_owned),
        findings: Vec::new(),
    };
    evidence.vex = VexReport {
        documents: vec![VexDocument {
            name: "acme.json".into(),
            digest: Digest::sha256(b"v"),
            format: "OpenVEX 0.2.0".into(),
            id: None,
            author: Some("Acme".into()),
            timestamp: None,
            statements: 2,
            attested: None,
        }],
        used: vec![outcome(None)],
        unused: Vec::new(),
        refused: vec![outcome(Some("`app:v1` names an image without its digest"))],
        ..VexReport::default()
    };
    let generated = "2026-11-20T17:00:00Z".parse().unwrap();
    evidence.enrichment.kev =
        Fact::Known(ExploitData { digest: Digest::sha256(b"k"), generated, entries: 1_500 });
    for platform in ON {
        evidence.ended.push(Ended {
            platform: platform.parse().unwrap(),
            release: "debian 11".into(),
            end_of_life: "2026-08-31".into(),
        });
    }
    assert_eq!(
        scan(&evidence, Detail::Usual),
        "\
oci:image (sha256:e3b0c44298fc): no known advisory applies
  debian 11 is past its end of life, 2026-08-31: its advisories have stopped, and what is not found
  may be there (linux/amd64, linux/arm64)

digest      sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
judged as   ghcr.io/acme/app:v1.2.3
advisories  of 2026-11-24T06:00:00Z (sha256:16a0eeb0791b), for none of the image's ecosystems
exploited   of CISA, 2026-11-20T17:00:00Z (sha256:8254c329a928), 1500 CVEs
vex         acme.json (sha256:4c94485e0c21), OpenVEX 0.2.0 by Acme: 1 statement used, 1 not applied,
            0 about nothing here
            not applied: statements[1] of acme.json (CVE-2026-1): `app:v1` names an image without
            its digest
platform    linux/amd64 (1 layer, 1 package)
platform    linux/arm64 (1 layer, 1 package)
"
    );
}

#[test]
fn a_scan_that_does_not_know_everything_says_so_first() {
    let mut evidence = scanned();
    for platform in evidence.platforms_mut() {
        platform.findings_mut().findings.clear();
    }
    let first = &mut evidence.platforms_mut()[0];
    first.findings_mut().suppressed.clear();
    first.findings_mut().undetermined.push(undetermined("no advisories for `Debian:99`"));
    first.inventory_mut().gaps.push(gap("opt/app.jar", "java"));
    evidence.platforms_mut()[1].inventory = Fact::Unknown("layer 2: the blob is missing".into());
    evidence.platforms_mut()[1].findings = Fact::Unknown("layer 2: the blob is missing".into());
    evidence.faults.push(Fault::unreadable("layer 2", "the blob is missing").on(&ON[1].parse().unwrap()));
    if let Fact::Known(snapshot) = &mut evidence.snapshot {
        snapshot.ecosystems.values_mut().for_each(|segment| segment.unreadable = 2);
    }
    assert_eq!(
        scan(&evidence, Detail::Usual),
        "\
INCOMPLETE  oci:image (sha256:e3b0c44298fc): nothing found in what could be looked at
  layer 2: the blob is missing (linux/arm64)
  the packages could not be listed: layer 2: the blob is missing (linux/arm64)
  the packages were not compared with advisories: layer 2: the blob is missing (linux/arm64)
  unreadable advisories of Debian:12: 2; import it again
  1 package could not be judged, no advisories for `Debian:99`: openssl 3.0.11-1 (linux/amd64)
  packages may hide in what could not be read:
    opt/app.jar in layer 0, java: cut short (linux/amd64)

digest      sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
judged as   ghcr.io/acme/app:v1.2.3
advisories  of 2026-11-24T06:00:00Z (sha256:16a0eeb0791b), 12345 records of Debian:12
platform    linux/amd64 (1 layer, 1 package)
platform    linux/arm64 (1 layer, packages not known)
"
    );
}

#[test]
fn a_clean_scan_is_short() {
    assert_eq!(
        scan(&evidence(), Detail::Brief),
        "\
oci:image (sha256:e3b0c44298fc): no known advisory applies
"
    );
}

#[test]
fn where_the_proposals_differ_none_is_chosen() {
    let mut verdict = denied();
    let findings = &mut verdict.rules[1].findings;
    findings.retain(|finding| finding.platform.to_string() == ON[0]);
    findings[0].fixed = vec!["3.0.13-1".into(), "3.1.5-1".into()];
    let text = gate(&verdict, &evidence(), Detail::Usual);
    let start = text.find("Fix\n").unwrap();
    assert!(
        text[start..].starts_with(
            "\
Fix
  openssl 3.0.11-1 (deb): 2 findings, each with its own fix
    critical  CVE-2026-1 (DSA-CVE-2026-1), fixed in 3.0.12-1
    high      CVE-2026-2 (DSA-CVE-2026-2), fixed in 3.0.13-1 (also 3.1.5-1)
    layer 3 `RUN apt-get install -y openssl`: var/lib/dpkg/status (linux/amd64)
"
        ),
        "{text}"
    );
}

#[test]
fn a_malicious_package_stands_first_and_is_to_be_removed() {
    let mut verdict = denied();
    let mut evil = found("MAL-2026-1", Severity::Unknown, ON[0]);
    (evil.malicious, evil.package.name) = (true, "zzz-evil".into());
    verdict.rules[1].findings.push(evil);
    let text = gate(&verdict, &evidence(), Detail::Usual);
    let line = "Fix\n  zzz-evil 3.0.11-1 (deb): made to harm: remove it, and rotate what it could read\n    malicious MAL-2026-1";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_finding_that_two_rules_name_is_one() {
    let mut verdict = denied();
    let mut again = verdict.rules[1].clone();
    again.id = "again".into();
    verdict.rules.push(again);
    let text = gate(&verdict, &evidence(), Detail::Usual);
    assert_eq!(text.matches("    critical  CVE-2026-1").count(), 1, "{text}");
}

#[test]
fn missing_advisories_a_lie_and_an_unreadable_blob_come_with_what_to_do() {
    let mut missing = verdict(Decision::Undecided);
    let mut vulnerabilities = rule("vulnerabilities", Outcome::Undecided);
    vulnerabilities.messages.push(message(Outcome::Undecided, None, "no advisory snapshot is given"));
    missing.rules.push(vulnerabilities);
    let text = gate(&missing, &evidence_with(|e| e.snapshot = Fact::Absent), Detail::Usual);
    assert!(text.contains("`--db DIR`") && text.contains("advisories  none were given"), "{text}");

    let mut broken = verdict(Decision::Deny);
    broken.faults = vec![Fault::lie("layer 0", "x"), Fault::unreadable("layer 1", "y")];
    broken.rules[0].messages.push(message(Outcome::Violate, None, "layer 0: x"));
    broken.rules[0].messages.push(message(Outcome::Undecided, None, "layer 1: y"));
    let text = gate(&broken, &evidence(), Detail::Usual);
    assert!(text.contains("Fix\n  The bytes contradict"), "{text}");
    assert!(text.contains("Settle\n  Part of the image could not be read"), "{text}");
}

#[test]
fn long_lists_are_cut_and_say_so_unless_all_is_asked_for() {
    let mut verdict = denied();
    for number in 0..100 {
        let mut finding = found(&format!("CVE-2026-{number}"), Severity::High, ON[0]);
        finding.package.name = format!("package{}", number % 50);
        verdict.rules[1].findings.push(finding);
    }
    let usual = gate(&verdict, &evidence(), Detail::Usual);
    assert!(usual.contains("and 31 packages more: `-v` shows all"), "{usual}");
    let full = gate(&verdict, &evidence(), Detail::Full);
    assert!(full.contains("package49") && !full.contains("shows all"), "{full}");
}

#[test]
fn several_images_are_counted() {
    let (admit, deny, evidence) = (verdict(Decision::Admit), denied(), evidence());
    let judged =
        [&admit, &deny, &admit].map(|verdict| Judged { verdict, evidence: &evidence, published: None });
    let text = Text.gate(&judged, &Style { detail: Detail::Brief, ..STYLE });
    assert!(text.ends_with("\n\n3 images: 1 DENY, 2 ADMIT\n"), "{text}");
    assert_eq!(Text.gate(&[], &STYLE), "0 images\n");
}

#[test]
fn colours_change_nothing_else() {
    let (verdict, evidence) = undecided();
    let plain = gate(&verdict, &evidence, Detail::Usual);
    let style = Style { color: true, ..STYLE };
    let mut coloured =
        Text.gate(&[Judged { verdict: &verdict, evidence: &evidence, published: None }], &style);
    assert!(coloured.starts_with("\x1b[33mUNDECIDED\x1b[0m"), "{coloured:?}");
    for code in ["1", "2", "1;32", "33", "1;31", "0"] {
        coloured = coloured.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(coloured, plain);
}

#[test]
fn a_narrow_table_loses_paths_before_versions() {
    let wide = scan(&scanned(), Detail::Usual);
    let narrow = Text.scan(&[&scanned()], &Style { width: 40, ..STYLE });
    assert!(wide.contains("var/lib/dpkg/status"));
    assert!(narrow.contains("…lib/dpkg/status") && narrow.contains("3.0.12-1"), "{narrow}");
}

#[test]
fn what_denies_stands_before_what_is_only_unknown() {
    let mut verdict = denied();
    verdict.rules[1].messages.insert(0, message(Outcome::Undecided, None, "1 file could not be read"));
    let text = gate(&verdict, &evidence(), Detail::Brief);
    let (violated, undecided) = (text.find("violated").unwrap(), text.find("undecided").unwrap());
    assert!(violated < undecided, "{text}");
}
