//! VEX documents: OpenVEX 0.2.0 and CycloneDX 1.4 to 1.7, read into statements, and the statements applied to
//! findings.
//!
//! A document is a claim of its author, and nothing of it is verified here. A statement is applied only where
//! its product certainly is this image or this package; what is ambiguous is listed with the reason and changes
//! nothing. Of a document out of an attestation it is known who signed it, and of which manifest; its statements speak of
//! nothing else. No statement makes an undetermined package clean, and none sets a malicious one aside.

mod apply;
mod attested;
mod bind;
mod candidate;
mod cyclonedx;
mod index;
mod openvex;
mod vers;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::digest::Digest;
use crate::model::purl::Purl;
use crate::model::reference::Reference;
use crate::model::vex::{VexDocument, VexOutcome, VexStatus};
use crate::strict::{Bounds, check};

pub use apply::{Hung, apply, apply_hung};
pub use attested::{read_attested, states};

/// Bytes of a document: 16 MiB (design §7, JSON metadata). Distributions that publish one for all their packages
/// have a few.
pub const MAX_BYTES: u64 = 16 << 20;

/// What a document may hold: 1 million values and 200,000 statements, products and parts, of which each is
/// compared with the findings of its vulnerability.
const BOUNDS: Bounds = Bounds {
    document: "a VEX document",
    values: 1_000_000,
    items: 200_000,
    item: "entries",
    counted: &[
        "statements",
        "products",
        "subcomponents",
        "aliases",
        "vulnerabilities",
        "references",
        "affects",
        "versions",
        "components",
    ],
    keys: &[
        "@context",
        "@id",
        "author",
        "timestamp",
        "last_updated",
        "statements",
        "vulnerability",
        "products",
        "subcomponents",
        "identifiers",
        "purl",
        "hashes",
        "status",
        "justification",
        "impact_statement",
        "bomFormat",
        "specVersion",
        "serialNumber",
        "metadata",
        "component",
        "components",
        "bom-ref",
        "vulnerabilities",
        "analysis",
        "state",
        "affects",
        "ref",
        "versions",
        "range",
    ],
    folded: true,
};

/// Characters of a text of a statement that are kept.
const MAX_TEXT: usize = 2_000;

/// Characters of a name (an id, a product, an author) that are kept.
const MAX_NAME: usize = 500;

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub info: VexDocument,
    statements: Vec<Statement>,
    /// Statements that are unsound in themselves.
    refused: Vec<VexOutcome>,
    /// The latest time that its statements may bear, where one is known: when it was signed.
    latest: Option<Timestamp>,
}

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is larger than [`MAX_BYTES`].
    #[error("larger than {MAX_BYTES} bytes (limit `bytes of a VEX document`)")]
    TooLarge,
    /// It is not one JSON document, not one that all parsers read alike, or a limit was reached.
    #[error("not a JSON document that can be read: {0}")]
    Json(String),
    /// It is of another format or version, or lacks what every document must say.
    #[error("{0}")]
    Format(String),
}

/// One statement, in words of neither format.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    /// Place in the document.
    at: String,
    /// Every id of the vulnerability, as written; the first names it.
    ids: Vec<String>,
    status: VexStatus,
    stated: String,
    justification: Option<String>,
    text: Option<String>,
    action: Option<String>,
    /// When it was made, where that is stated.
    time: Option<Timestamp>,
    /// The latest of all times that the document states of it, or of itself.
    renewed: Option<Timestamp>,
    targets: Vec<Target>,
}

/// What a statement is about: a product, or parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    product: Component,
    /// None where the whole product is meant.
    parts: Vec<Component>,
    /// The versions of what is affected, where they are listed apart.
    versions: Vec<VersionClaim>,
}

/// A product or a part of one, as far as it can be compared with something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Component {
    /// As the document names it.
    text: String,
    names: Vec<Identity>,
    /// Why it cannot be said what it is.
    problem: Option<String>,
}

/// One way in which a component is identified.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    /// A package url.
    Purl(Purl),
    /// The digest of a reference to an image.
    Reference(Digest),
    /// A package of an SBOM document, by a BOM-Link: the document's `SERIAL/VERSION` and the package url that its
    /// components are named by there.
    Link(String, Purl),
    /// A hash of it: an equal one proves it, another may be of the same thing in another form.
    Hash(Digest),
}

/// A version or a range of an affected component (CycloneDX `affects[].versions[]`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct VersionClaim {
    version: Option<String>,
    range: Option<String>,
    /// `affected`, `unaffected`, `unknown`; without one it is affected (CycloneDX 1.4 on).
    status: Option<String>,
}

/// What tells the formats apart.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "@context", borrow)]
    context: Option<&'a RawValue>,
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    #[serde(rename = "specVersion")]
    spec_version: Option<String>,
}

/// Reads a document. `name` says where its bytes come from.
///
/// # Errors
/// [`ReadError`] where it is none of the formats, or not sound as a whole. A statement that is unsound is among
/// the refused ones.
pub fn read(bytes: &[u8], name: &str) -> Result<Document, ReadError> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_BYTES) {
        return Err(ReadError::TooLarge);
    }
    check(bytes, &BOUNDS).map_err(ReadError::Json)?;
    let head: Head<'_> = parse(bytes)?;
    let context = head.context.and_then(|context| serde_json::from_str::<String>(context.get()).ok());
    match (&head, context.as_deref()) {
        (Head { bom_format: Some(format), spec_version: Some(version), .. }, _) if format == "CycloneDX" => {
            cyclonedx::read(bytes, name, version)
        }
        (_, Some(context)) if context.starts_with("https://openvex.dev/ns") => {
            openvex::read(bytes, name, context)
        }
        (_, _) => Err(ReadError::Format(
            "neither OpenVEX (`@context` of openvex.dev) nor CycloneDX (`bomFormat`, `specVersion`)"
                .to_owned(),
        )),
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(|error| ReadError::Json(error.to_string()))
}

/// The document in the making.
struct Reading {
    document: Document,
}

impl Reading {
    fn new(bytes: &[u8], name: &str, format: String) -> Self {
        let info = VexDocument {
            name: name.to_owned(),
            digest: Digest::sha256(bytes),
            format,
            id: None,
            author: None,
            timestamp: None,
            statements: 0,
            attested: None,
        };
        Self { document: Document { info, statements: Vec::new(), refused: Vec::new(), latest: None } }
    }

    /// Adds a statement, or notes why it says nothing that could be applied.
    fn add(&mut self, read: Result<Statement, Refused>, at: String) {
        self.document.info.statements += 1;
        match read {
            Ok(statement) => self.document.statements.push(statement),
            Err(Refused { vulnerability, stated, reason }) => self.document.refused.push(VexOutcome {
                document: self.document.info.name.clone(),
                digest: self.document.info.digest.clone(),
                statement: at,
                vulnerability: cut(&vulnerability, MAX_NAME),
                stated: cut(&stated, MAX_NAME),
                reason: Some(reason),
                findings: Vec::new(),
            }),
        }
    }
}

/// Why a statement is unsound.
struct Refused {
    vulnerability: String,
    stated: String,
    reason: String,
}

/// The first characters of a text.
fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A text that says something, cut.
fn words(text: Option<String>, limit: usize) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).map(|text| cut(&text, limit))
}

/// The ids of a vulnerability that say something. Attack: an id with a space beside it, which names nothing that is found.
fn trimmed(ids: impl Iterator<Item = String>) -> Vec<String> {
    ids.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect()
}

/// A time as both formats write it (RFC 3339).
fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("`{}` is no time as in RFC 3339", cut(text, 60)))
}

impl Target {
    /// Steps that a comparison with a package takes, as far as it goes by what the document has.
    fn steps(&self) -> usize {
        let names: usize = self.parts.iter().chain([&self.product]).map(|one| 1 + one.names.len()).sum();
        // A range is read anew for every finding.
        let versions = self.versions.iter().map(|claim| 1 + claim.range.as_ref().map_or(0, String::len));
        names + versions.sum::<usize>()
    }
}

impl Component {
    /// Adds an identifier: a package url, or a reference to an image by its digest. Another one identifies
    /// nothing here.
    fn identify(&mut self, text: &str) {
        if self.text.is_empty() {
            self.text = cut(text, MAX_NAME);
        }
        let scheme = text.get(..4).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("pkg:") {
            match text.parse::<Purl>() {
                Ok(purl) => self.names.push(Identity::Purl(purl)),
                Err(error) => self.problem = Some(cut(&error.to_string(), MAX_NAME)),
            }
        } else if let Some(digest) = reference(text) {
            self.names.push(Identity::Reference(digest));
        }
    }

    /// Adds a hash under the name of its algorithm; one that portcullis does not compute identifies nothing here.
    fn hash(&mut self, algorithm: &str, hex: &str) {
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" | "sha256" => "sha256",
            "sha-512" | "sha512" => "sha512",
            _ => return,
        };
        let hex = hex.to_ascii_lowercase();
        if let Ok(digest) = format!("{algorithm}:{}", hex.strip_prefix("sha256:").unwrap_or(&hex)).parse() {
            if self.text.is_empty() {
                self.text = format!("{algorithm}:{hex}");
            }
            self.names.push(Identity::Hash(digest));
        }
    }

    /// The component, with a problem where nothing identifies it.
    fn done(mut self) -> Self {
        if self.names.is_empty() && self.problem.is_none() {
            let problem = match self.text.as_str() {
                "" => "the product has no identifier".to_owned(),
                text => format!("`{text}` names neither a package by its purl nor an image by its digest"),
            };
            self.problem = Some(problem);
        }
        self
    }

    /// One of which only this can be said.
    fn unknown(text: &str, problem: String) -> Self {
        Self { text: cut(text, MAX_NAME), names: Vec::new(), problem: Some(problem) }
    }
}

/// The digest of `[docker://|oci://]registry/repository[:tag]@sha256:…`.
fn reference(text: &str) -> Option<Digest> {
    let text = ["docker://", "oci://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    text.parse::<Reference>().ok()?.digest
}

/// A map of texts, in the order of its keys.
type Texts = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
