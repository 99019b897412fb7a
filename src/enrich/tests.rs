use super::*;
use crate::model::finding::Suppressed;
use crate::model::fixture::{evidence, finding};

/// The time of evaluation and what clocks may differ.
const LATEST: &str = "2026-11-25T00:00:00Z";

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
    apply(&mut evidence, exploits, LATEST.parse().unwrap());
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
    apply(&mut evidence, &exploits, LATEST.parse().unwrap());
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
    let empty = String::from_utf8(kev(&[])).unwrap();
    assert_eq!(unread(&empty), "it has no entries: fetch it again");
}

#[test]
fn data_of_the_future_is_unknown_and_says_nothing_of_findings() {
    let data = |time: &str| {
        let text = String::from_utf8(kev(&["CVE-2014-0160"])).unwrap();
        let text = text.replace("2026-11-20T17:00:00.1234Z", time);
        let scores = format!("#score_date:{time}\ncve,epss,percentile\nCVE-2021-44228,0.1,1\n");
        Exploits {
            kev: Fact::Known(Kev::read(text.as_bytes()).unwrap()),
            epss: Fact::Known(Epss::read(scores.as_bytes()).unwrap()),
        }
    };
    let score = Some("0.1".to_owned());
    assert_eq!(told(&["CVE-2021-44228"], &data(LATEST)), (Some(false), score, false));
    for time in ["2026-11-25T00:00:01Z", "9999-01-01T00:00:00Z"] {
        let exploits = data(time);
        assert_eq!(told(&["CVE-2021-44228"], &exploits), (None, None, false), "{time}");
        let mut evidence = evidence();
        apply(&mut evidence, &exploits, LATEST.parse().unwrap());
        let Enrichment { kev: Fact::Unknown(kev), epss: Fact::Unknown(epss) } = evidence.enrichment else {
            panic!("{time} is believed")
        };
        assert!(kev.contains("lies in the future") && epss.contains("lies in the future"), "{kev}, {epss}");
    }
}

#[test]
fn data_follows_what_is_older_and_not_much_larger() {
    let info = |time: &str, entries: u64| ExploitData {
        digest: crate::model::digest::Digest::sha256(b"x"),
        generated: time.parse().unwrap(),
        entries,
    };
    let may = |new: &ExploitData, old: Option<&ExploitData>| {
        may_follow(new, old, LATEST.parse().unwrap()).map_err(|error| error.to_string())
    };
    let refused = |new: &ExploitData, old: &ExploitData| may(new, Some(old)).unwrap_err();
    let installed = info("2026-11-20T00:00:00Z", 1_501);
    assert_eq!(may(&installed, None), Ok(()));
    assert_eq!(may(&installed, Some(&installed)), Ok(()));
    assert_eq!(may(&info("2026-11-21T00:00:00Z", 751), Some(&installed)), Ok(()));
    assert!(refused(&info("2026-11-21T00:00:00Z", 750), &installed).contains("half of the 1501 installed"));
    assert!(refused(&info("2026-11-19T00:00:00Z", 1_501), &installed).contains("what is installed of 2026"));
    assert!(refused(&info("2026-11-26T00:00:00Z", 1_501), &installed).contains("lies in the future"));
    // One that lies in the future itself holds up no true one.
    assert_eq!(may(&installed, Some(&info("9999-01-01T00:00:00Z", 100_000))), Ok(()));
}
