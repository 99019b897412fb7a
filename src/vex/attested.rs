//! Documents out of attestations: the predicate of an in-toto statement, whose signature was verified before.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::predicate::{CYCLONEDX, OPENVEX};
use crate::model::vex::{VexAttestation, VexUnread};

use super::{Document, MAX_BYTES, ReadError, cut, read};

/// Words of both formats for what clears. One that is refused although it says so changes nothing.
const CLEARING: &[&str] = &["not_affected", "fixed", "false_positive", "resolved", "resolved_with_pedigree"];

/// The formats that predicates may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    OpenVex,
    CycloneDx,
}

/// The format of a predicate type, in whatever version. The document itself says which one it is.
fn kind(predicate_type: &str) -> Option<Kind> {
    let is = |base: &str| {
        predicate_type.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match () {
        () if is(OPENVEX) => Some(Kind::OpenVex),
        () if is(CYCLONEDX) => Some(Kind::CycloneDx),
        () => None,
    }
}

/// Whether a predicate states something of vulnerabilities, or may: an SBOM in CycloneDX does not, as long as nobody
/// has analysed a vulnerability in it.
#[must_use]
pub fn states(predicate_type: &str, predicate: &Value) -> bool {
    match kind(predicate_type) {
        None => is_like(predicate_type) || is_document(predicate),
        Some(Kind::OpenVex) => true,
        Some(Kind::CycloneDx) => match predicate {
            Value::Object(fields) => is_analysed(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => true,
        },
    }
}

fn is_analysed(fields: &Map<String, Value>) -> bool {
    // Written otherwise some parsers read it and others do not, which [`read`] refuses.
    let is_list = |key: &str| key.eq_ignore_ascii_case("vulnerabilities");
    fields.iter().filter(|(key, _)| is_list(key)).any(|(_, value)| match value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(has_analysis),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => true,
    })
}

/// Whether a predicate type looks like one of VEX, and is none that is known. Attack: what keeps a finding, under a type
/// that is off by a letter, beside what clears it under the right one.
fn is_like(predicate_type: &str) -> bool {
    let text = predicate_type.trim().to_ascii_lowercase();
    let text = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    let text = text.strip_prefix("www.").unwrap_or(text);
    text.starts_with("openvex.dev") || text.starts_with("cyclonedx.org/vex")
}

/// Whether it is a document of VEX, whatever type it is under.
fn is_document(predicate: &Value) -> bool {
    let Value::Object(fields) = predicate else { return false };
    let of = |key: &'static str| fields.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(key));
    let is_context =
        |value: &Value| is_openvex(value) || value.as_array().is_some_and(|all| all.iter().any(is_openvex));
    of("@context").any(|(_, value)| is_context(value))
        || (of("bomFormat").next().is_some() && is_analysed(fields))
}

fn is_openvex(context: &Value) -> bool {
    context.as_str().is_some_and(|context| context.to_ascii_lowercase().contains("openvex.dev"))
}

fn has_analysis(vulnerability: &Value) -> bool {
    let Value::Object(fields) = vulnerability else { return true };
    fields.iter().any(|(key, value)| key.eq_ignore_ascii_case("analysis") && !value.is_null())
}

/// Reads the predicate of a verified attestation. `predicate` is what was signed, none where it is longer than
/// [`MAX_BYTES`] or there is none; `latest` is the latest time that a statement may bear which was signed then.
///
/// # Errors
/// Why there is something in it that nobody can read: all of it, or a statement that may keep a finding. In the latter
/// case the document is there as well.
pub fn read_attested(
    predicate_type: &str,
    predicate: Option<&str>,
    attested: VexAttestation,
    latest: Option<Timestamp>,
) -> (Option<Document>, Option<VexUnread>) {
    let name = attested.at.in_words();
    let unread = |attested: &VexAttestation, cause: String| {
        Some(VexUnread { document: name.clone(), attested: attested.clone(), cause })
    };
    let Some(predicate) = predicate else {
        let cause = format!(
            "it has no predicate, or one larger than {MAX_BYTES} bytes (limit `bytes of a VEX document`)"
        );
        return (None, unread(&attested, cause));
    };
    let mut document = match typed(predicate_type, predicate, &name) {
        Ok(document) => document,
        Err(error) => return (None, unread(&attested, error.to_string())),
    };
    // Attack: a statement that keeps a finding, written so that it is passed over, beside an older one that clears it.
    let odd = document.refused.iter().find(|refused| !CLEARING.contains(&refused.stated.as_str()));
    let odd = odd.and_then(|odd| {
        let reason = odd.reason.as_deref().unwrap_or_default();
        unread(&attested, format!("{} of {}: {reason}", odd.statement, odd.vulnerability))
    });
    document.info.attested = Some(attested);
    document.latest = latest;
    (Some(document), odd)
}

/// Attack: a document of one format under the type of the other, which each reader takes for something else.
fn typed(predicate_type: &str, predicate: &str, name: &str) -> Result<Document, ReadError> {
    let expected = match kind(predicate_type) {
        Some(Kind::OpenVex) => "OpenVEX ",
        Some(Kind::CycloneDx) => "CycloneDX ",
        None => {
            let known = format!("none of VEX: write `{OPENVEX}` or `{CYCLONEDX}`");
            return Err(ReadError::Format(format!(
                "its predicate type `{}` is {known}",
                cut(predicate_type, 200)
            )));
        }
    };
    let document = read(predicate.as_bytes(), name)?;
    match document.info.format.starts_with(expected) {
        true => Ok(document),
        false => Err(ReadError::Format(format!(
            "it is {} under the predicate type `{predicate_type}`",
            document.info.format
        ))),
    }
}
