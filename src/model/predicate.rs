//! Predicate types: what an in-toto statement may claim, by the words of the command line and by their URIs.

/// CycloneDX documents.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// SPDX documents.
pub const SPDX: &str = "https://spdx.dev/Document";
/// SLSA provenance, version 0.2.
pub const SLSA_V02: &str = "https://slsa.dev/provenance/v0.2";
/// SLSA provenance, version 1.
pub const SLSA_V1: &str = "https://slsa.dev/provenance/v1";
/// SLSA verification summaries.
pub const VSA: &str = "https://slsa.dev/verification_summary/v1";
/// cosign's record of a vulnerability scan.
pub const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

/// OpenVEX documents.
pub const OPENVEX: &str = "https://openvex.dev/ns";

/// Words for predicate types (cosign, `pkg/cosign/attestation`, and two more).
pub const WORDS: &[(&str, &str)] = &[
    ("cyclonedx", CYCLONEDX),
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
    ("link", "https://in-toto.io/Link/v1"),
    ("openvex", OPENVEX),
    ("slsaprovenance", SLSA_V02),
    ("slsaprovenance02", SLSA_V02),
    ("slsaprovenance1", SLSA_V1),
    ("spdx", SPDX),
    ("spdxjson", SPDX),
    ("vsa", VSA),
    ("vuln", VULN),
];

/// The predicate type that a word or URI means.
///
/// # Errors
/// A lowercase fragment where it is neither.
pub fn predicate_type(text: &str) -> Result<String, String> {
    if let Some((_, uri)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok((*uri).to_owned());
    }
    // RFC 3986 §3: a URI has a scheme.
    let is_uri = text.split_once(':').is_some_and(|(scheme, rest)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain) && !rest.is_empty()
    });
    if is_uri && !text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    Err(format!("`{text}` is no predicate type: a URI, or one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_a_uri_is_a_predicate_type() {
        assert_eq!(predicate_type("spdxjson").unwrap(), SPDX);
        assert_eq!(predicate_type("https://acme.example/x").unwrap(), "https://acme.example/x");
        for bad in ["", "spdxx", "https:", "://x", "a b:c", "https://a b"] {
            assert!(predicate_type(bad).is_err(), "{bad}");
        }
    }
}
