use super::*;
use crate::model::digest::Digest;
use crate::model::fact::Fact;
use crate::model::fixture::evidence;
use crate::model::violation::{Checked, Place, TagState, Unseen, Violation};
use crate::report::fixture::STYLE;

fn violation(check: &'static str, severity: CheckSeverity, place: Place) -> Violation {
    let message = "something \u{1b}[31mis wrong".to_owned();
    Violation { check, severity, message, place, evidence: Some("PATH=\u{202e}x".into()), platform: None }
}

fn file(path: &str) -> Place {
    Place::Layer {
        index: 3,
        digest: Digest::sha256(b"layer"),
        path: Some(path.into()),
        created_by: Some("RUN /bin/sh -c make install # buildkit".into()),
    }
}

fn pointer(text: &str) -> Place {
    Place::Document {
        document: "config",
        digest: Digest::sha256(b"config").to_string(),
        pointer: text.into(),
    }
}

fn checked(violations: Vec<Violation>) -> Evidence {
    let mut evidence = evidence();
    evidence.checked = Fact::Known(Checked { violations, ..Checked::default() });
    evidence
}

fn render(id: &str, evidence: &Evidence, tags: &[TagCheck], style: &Style) -> String {
    let format = VALIDATE_FORMATS.iter().find(|format| format.id() == id).unwrap();
    format.validate(&[Validated { evidence, tags }], style)
}

#[test]
fn the_text_has_the_worst_first_with_place_and_fix() {
    let evidence = checked(vec![
        violation("CFG-008", CheckSeverity::Medium, pointer("/config/User")),
        violation("LYR-016", CheckSeverity::High, file("root/.npmrc")),
    ]);
    let text = render("text", &evidence, &[], &STYLE);
    let (high, medium) = (text.find("LYR-016").unwrap(), text.find("CFG-008").unwrap());
    assert!(high < medium, "{text}");
    assert!(text.lines().next().unwrap().ends_with("1 high, 1 medium"), "{text}");
    for part in ["root/.npmrc in layer 3 (sha256:", "made by RUN make install", "/config/User", "fix: "] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let brief = render("text", &evidence, &[], &Style { detail: crate::report::Detail::Brief, ..STYLE });
    assert!(brief.contains("LYR-016") && !brief.contains("CFG-008"), "{brief}");
}

#[test]
fn many_places_of_one_check_are_counted() {
    let all = (0..12).map(|n| violation("LYR-016", CheckSeverity::High, file(&format!("key{n}")))).collect();
    let evidence = checked(all);
    assert!(render("text", &evidence, &[], &STYLE).contains("and 7 more places"));
    let full = render("text", &evidence, &[], &Style { detail: crate::report::Detail::Full, ..STYLE });
    assert!(full.contains("key11") && !full.contains("more place"), "{full}");
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through() {
    let evidence = checked(vec![violation("LYR-016", CheckSeverity::High, file("a\u{1b}[2Jb"))]);
    let tag = TagCheck {
        tag: "v1\u{9b}".into(),
        digest: None,
        state: TagState::Unknown,
        causes: vec!["\u{7}cause".into()],
    };
    for format in VALIDATE_FORMATS {
        let text = render(format.id(), &evidence, std::slice::from_ref(&tag), &STYLE);
        let foul = text.chars().find(|c| *c != '\n' && !crate::model::path::is_printable(*c));
        assert_eq!(foul, None, "{}: {text}", format.id());
    }
}

#[test]
fn what_could_not_be_looked_at_is_never_complete() {
    let mut unread = evidence();
    unread.checked = Fact::Unknown("no blob".into());
    let mut part = evidence();
    let unseen = vec![Unseen { at: "document".into(), cause: "500".into() }];
    part.checked = Fact::Known(Checked { unseen, ..Checked::default() });
    let mut fault = checked(Vec::new());
    fault.faults.push(Fault::unreadable("layer 0", "no blob"));
    for evidence in [unread, part, fault] {
        let json: serde_json::Value = serde_json::from_str(&render("json", &evidence, &[], &STYLE)).unwrap();
        assert_eq!(json["complete"], false, "{json}");
        let sarif: serde_json::Value =
            serde_json::from_str(&render("sarif", &evidence, &[], &STYLE)).unwrap();
        assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false, "{sarif}");
    }
    let whole: serde_json::Value =
        serde_json::from_str(&render("json", &checked(Vec::new()), &[], &STYLE)).unwrap();
    assert_eq!((&whole["complete"], &whole["violations"]), (&true.into(), &serde_json::json!([])));
}

#[test]
fn a_fault_is_told_once_and_never_lost() {
    let mut evidence = checked(vec![violation("LYR-001", CheckSeverity::Critical, file("x"))]);
    let at = format!("layer 3 ({})", Digest::sha256(b"layer"));
    evidence.faults.push(Fault::lie(at, "digest mismatch").breaks("LYR-001"));
    evidence.faults.push(Fault::lie("layer 4", "of another kind").breaks("LYR-003"));
    let told: Vec<&str> = faults(&evidence).iter().map(|fault| fault.at.as_str()).collect();
    assert_eq!(told, ["layer 4"]);
}

#[test]
fn a_fingerprint_outlives_a_rebuild() {
    let of = |layer: &[u8], path: &str| {
        let mut place = file(path);
        if let Place::Layer { digest, .. } = &mut place {
            *digest = Digest::sha256(layer);
        }
        let evidence = checked(vec![violation("LYR-016", CheckSeverity::High, place)]);
        let sarif: serde_json::Value =
            serde_json::from_str(&render("sarif", &evidence, &[], &STYLE)).unwrap();
        sarif["runs"][0]["results"][0]["partialFingerprints"]["primaryLocationLineHash"].to_string()
    };
    assert_eq!(of(b"one", "a"), of(b"two", "a"));
    assert_ne!(of(b"one", "a"), of(b"one", "b"));
}
