//! OpenVEX (github.com/openvex/spec, OPENVEX-SPEC.md, 0.2.0; 0.0.1 has texts in the place of objects).

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::vex::VexStatus;

use super::{
    Component, Document, MAX_NAME, MAX_TEXT, ReadError, Reading, Refused, Statement, Target, Texts, cut,
    parse, time, trimmed, words,
};

/// The values of `@context`, and the version that each stands for.
const CONTEXTS: &[(&str, &str)] = &[
    ("https://openvex.dev/ns", "0.0.1"),
    ("https://openvex.dev/ns/v0.0.1", "0.0.1"),
    ("https://openvex.dev/ns/v0.2.0", "0.2.0"),
];

/// "Status Justifications" of the specification.
const JUSTIFICATIONS: &[&str] = &[
    ABSENT,
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

/// The justification by which the vulnerable component is not there at all.
pub(super) const ABSENT: &str = "component_not_present";

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "@id")]
    id: Option<String>,
    author: Option<String>,
    timestamp: Option<String>,
    last_updated: Option<String>,
    #[serde(borrow)]
    statements: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct RawStatement {
    vulnerability: Option<Vulnerability>,
    timestamp: Option<String>,
    last_updated: Option<String>,
    #[serde(default)]
    products: Vec<Product>,
    /// Of all products: 0.0.1 only.
    #[serde(default)]
    subcomponents: Vec<Product>,
    #[serde(default)]
    status: String,
    status_notes: Option<String>,
    justification: Option<String>,
    impact_statement: Option<String>,
    action_statement: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vulnerability {
    Name(String),
    Described {
        name: Option<String>,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Product {
    Id(String),
    Described {
        #[serde(rename = "@id")]
        id: Option<String>,
        #[serde(default)]
        identifiers: Texts,
        #[serde(default)]
        hashes: Texts,
        #[serde(default)]
        subcomponents: Vec<Self>,
    },
}

/// Reads a document that is known to be strict JSON.
pub(super) fn read(bytes: &[u8], name: &str, context: &str) -> Result<Document, ReadError> {
    let version = CONTEXTS.iter().find(|(known, _)| *known == context.trim_end_matches('/'));
    let Some((_, version)) = version else {
        let context = cut(context, MAX_NAME);
        let message = format!("`{context}` is a version of OpenVEX that is not known: write 0.2.0");
        return Err(ReadError::Format(message));
    };
    let raw: Raw<'_> = parse(bytes)?;
    let missing = |field: &str| ReadError::Format(format!("OpenVEX without `{field}`, which it must have"));
    let author = words(raw.author, MAX_NAME).ok_or_else(|| missing("author"))?;
    let timestamp = raw.timestamp.ok_or_else(|| missing("timestamp"))?;
    let issued = time(&timestamp).map_err(|cause| ReadError::Format(format!("`timestamp`: {cause}")))?;
    let updated = raw.last_updated.as_deref().map(time).transpose();
    let updated = updated.map_err(|cause| ReadError::Format(format!("`last_updated`: {cause}")))?;
    let dates = (issued, updated.max(Some(issued)));
    let statements = raw.statements.ok_or_else(|| missing("statements"))?;
    let mut reading = Reading::new(bytes, name, format!("OpenVEX {version}"));
    reading.document.info.id = words(raw.id, MAX_NAME);
    reading.document.info.author = Some(author);
    reading.document.info.timestamp = Some(cut(&timestamp, MAX_NAME));
    for (number, text) in statements.into_iter().enumerate() {
        let at = format!("statements[{number}]");
        let read = serde_json::from_str::<RawStatement>(text.get())
            .map_err(|error| Refused {
                vulnerability: String::new(),
                stated: String::new(),
                reason: format!("it cannot be read: {error}"),
            })
            .and_then(|raw| statement(raw, at.clone(), dates));
        reading.add(read, at);
    }
    Ok(reading.document)
}

fn statement(
    raw: RawStatement,
    at: String,
    (issued, updated): (Timestamp, Option<Timestamp>),
) -> Result<Statement, Refused> {
    let ids = match raw.vulnerability {
        Some(Vulnerability::Name(name)) => vec![name],
        Some(Vulnerability::Described { name, aliases }) => name.into_iter().chain(aliases).collect(),
        None => Vec::new(),
    };
    let ids = trimmed(ids.into_iter());
    let refused = |reason: String| Refused {
        vulnerability: ids.first().cloned().unwrap_or_default(),
        stated: raw.status.clone(),
        reason,
    };
    if ids.is_empty() {
        return Err(refused("it names no vulnerability".to_owned()));
    }
    let status = match raw.status.as_str() {
        "not_affected" => VexStatus::NotAffected,
        "affected" => VexStatus::Affected,
        "fixed" => VexStatus::Fixed,
        "under_investigation" => VexStatus::UnderInvestigation,
        other => return Err(refused(format!("`{}` is no status of OpenVEX", cut(other, 60)))),
    };
    let justification = words(raw.justification, MAX_NAME);
    let impact = words(raw.impact_statement, MAX_TEXT);
    let known = justification.as_deref().is_some_and(|label| JUSTIFICATIONS.contains(&label));
    // "Note on `justification` and `impact_statement`": one of them must say why.
    if status == VexStatus::NotAffected && !known && impact.is_none() {
        return Err(refused(match &justification {
            Some(label) => {
                format!("`{}` is no justification of OpenVEX, and no text says more", cut(label, 60))
            }
            None => "`not_affected` without a justification or an impact statement".to_owned(),
        }));
    }
    let stated: Result<Vec<_>, _> =
        [&raw.timestamp, &raw.last_updated].into_iter().flatten().map(|text| time(text)).collect();
    let last = stated.map_err(refused)?.into_iter().max();
    if raw.products.is_empty() {
        return Err(refused("it names no product".to_owned()));
    }
    let shared: Vec<Component> = raw.subcomponents.into_iter().map(part).collect();
    let target = |product| {
        let (product, mut parts) = component(product);
        parts.extend(shared.iter().cloned());
        Target { product, parts, versions: Vec::new() }
    };
    Ok(Statement {
        at,
        status,
        stated: raw.status,
        justification,
        text: impact.or_else(|| words(raw.status_notes, MAX_TEXT)),
        action: words(raw.action_statement, MAX_TEXT),
        // Without a time of its own one that keeps a finding may have come with the last change of the document.
        time: last.or(if status.sets_aside() { Some(issued) } else { updated }),
        renewed: last.max(updated),
        targets: raw.products.into_iter().map(target).collect(),
        ids,
    })
}

/// A product with its parts.
fn component(product: Product) -> (Component, Vec<Component>) {
    let mut component = Component::default();
    match product {
        Product::Id(id) => {
            component.identify(&id);
            (component.done(), Vec::new())
        }
        Product::Described { id, identifiers, hashes, subcomponents } => {
            if let Some(id) = id {
                component.identify(&id);
            }
            if let Some(purl) = identifiers.get("purl") {
                component.identify(purl);
            }
            for (algorithm, hex) in &hashes {
                component.hash(algorithm, hex);
            }
            (component.done(), subcomponents.into_iter().map(part).collect())
        }
    }
}

/// A part of a product. Where it has parts of its own, the statement is about those inside of it.
fn part(product: Product) -> Component {
    let (component, parts) = component(product);
    if parts.is_empty() {
        return component;
    }
    // Attack: a narrow statement taken for a wide one.
    let problem = format!("it is about parts of the part `{}`", cut(&component.text, 200));
    Component::unknown(&component.text, problem)
}
