use super::*;
use crate::model::finding::Suppressed;
use crate::model::fixture::{evidence, finding};

fn kev(ids: &[&str]) -> Vec<u8> {
    let entries: Vec<_> =
        ids.iter().map(|id| serde_json::json!({"cveID": id, "vendorProject": "x"})).collect();
    serde_json::to_vec(&serde_json::json!({
        "title": "CISA Catalog of Known Exploited Vulnerabilities", "catalogVersion": "2026.11.20",
        "dateReleased": "2026-11-20T17:00:00.1234Z", "count": ids.len(), "vulnerabilities": entries,
    }))
    .unwrap()
}

fn epss(lines: &str) -> Epss {
    let text = format!("#model_version:v1,score_date:2026-11-24T12:00:00Z\ncve,epss,percentile\n{lines}");
    Epss::read(text.as_bytes()).unwrap()
}

/// KEV and EPSS of a finding with these ids.
fn told(ids: &[&str], exploits: &Exploits) -> (Option<bool>, Option<String>, bool) {
    let mut evidence = evidence();
    let mut one = finding(ids[0]);
    one.aliases = ids[1..].iter().map(|id| (*id).to_owned()).collect();
    let findings = evidence.platforms_mut()[0].findings_mut();
    findings.findings.push(one.clone());
    findings.suppressed.push(Suppressed { finding: one, reason: "owned-by", detail: String::new() });
    apply(&mut evidence, exploits);
    let findings = evidence.platforms_mut()[0].findings_mut();
    let (one, aside) = (&findings.findings[0], &findings.suppressed[0].finding);
    assert_eq!(one, aside, "findings that are set aside are told of, too");
    (one.kev, one.epss.clone(), one.epss_partial)
}

#[test]
fn a_finding_is_exploited_where_any_of_its_cves_is_and_as_likely_as_the_likeliest() {
    let exploits = Exploits {
        kev: Fact::Known(Kev::read(&kev(&["CVE-2021-44228"])).unwrap()),
        epss: Fact::Known(epss("CVE-2021-44228,0.97565,1\nCVE-2021-45046,0.9,1\nCVE-2022-0001,0.1,0.2\n")),
    };
    let told = |ids: &[&str]| told(ids, &exploits);
    let score = |text: &str| Some(text.to_owned());
    assert_eq!(told(&["CVE-2021-44228"]), (Some(true), score("0.97565"), false));
    assert_eq!(told(&["CVE-2022-0001", "GHSA-1", "CVE-2021-44228"]), (Some(true), score("0.97565"), false));
    assert_eq!(told(&["GHSA-1", "CVE-2021-45046"]), (Some(false), score("0.9"), false));
    assert_eq!(told(&["CVE-2022-0001", "CVE-2026-9999"]), (Some(false), score("0.1"), true));
    assert_eq!(told(&["CVE-2026-9999"]), (Some(false), None, false));
    // CISA lists CVEs alone, so this is none of them; how likely it is to be exploited nobody has said.
    assert_eq!(told(&["GHSA-1"]), (Some(false), None, false));
}

#[test]
fn without_data_nothing_is_said() {
    assert_eq!(told(&["CVE-2021-44228"], &Exploits::default()), (None, None, false));
    let unknown = Exploits { kev: Fact::Unknown("x".into()), epss: Fact::Unknown("x".into()) };
    assert_eq!(told(&["CVE-2021-44228"], &unknown), (None, None, false));
}

#[test]
fn the_evidence_names_the_data() {
    let bytes = kev(&["CVE-2021-44228", "CVE-2014-0160"]);
    let exploits = Exploits { kev: Fact::Known(Kev::read(&bytes).unwrap()), epss: Fact::Unknown("x".into()) };
    let mut evidence = evidence();
    apply(&mut evidence, &exploits);
    let Fact::Known(told) = &evidence.enrichment.kev else { panic!("{:?}", evidence.enrichment) };
    assert_eq!((told.entries, told.digest.clone()), (2, crate::model::digest::Digest::sha256(&bytes)));
    assert!(told.generated.to_string().starts_with("2026-11-20T17:00:00"));
    assert_eq!(evidence.enrichment.epss, Fact::Unknown("x".into()));
}

#[test]
fn a_catalogue_that_is_not_whole_is_not_taken() {
    let text = String::from_utf8(kev(&["CVE-2021-44228", "CVE-2014-0160"])).unwrap();
    let unread = |text: &str| Kev::read(text.as_bytes()).unwrap_err().to_string();
    assert!(unread(&text.replace("\"count\":2", "\"count\":3")).contains("3 entries, and has 2"));
    assert!(unread(&text.replace("CVE-2014-0160", "CVE-?")).contains("entry 1 names no CVE id"));
    assert!(
        unread(&text.replace("\"cveID\":\"CVE-2014", "\"cveid\":\"CVE-2014"))
            .contains("read by some parsers only")
    );
    assert!(unread(&text.replace("2026-11-20T", "soon")).contains("dateReleased"));
    assert!(unread(&text[..text.len() - 1]).contains("EOF"));
    assert!(unread("{}").contains("catalogue"));
}
