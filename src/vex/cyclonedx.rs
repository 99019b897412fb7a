//! CycloneDX VEX (cyclonedx.org/docs/1.6/json, `vulnerabilities`), alone or inside a BOM.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::purl::Purl;
use crate::model::vex::VexStatus;

use super::bind::is_image_type;
use super::{
    Component, Document, Identity, MAX_NAME, MAX_TEXT, ReadError, Reading, Refused, Statement, Target,
    VersionClaim, cut, parse, time, trimmed, words,
};

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "serialNumber")]
    serial: Option<String>,
    version: Option<u64>,
    metadata: Option<Metadata>,
    #[serde(default)]
    components: Vec<RawComponent>,
    #[serde(borrow)]
    vulnerabilities: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Metadata {
    timestamp: Option<String>,
    component: Option<RawComponent>,
    #[serde(default)]
    authors: Vec<Named>,
    supplier: Option<Named>,
    manufacturer: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct RawComponent {
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    #[serde(default)]
    name: String,
    version: Option<String>,
    purl: Option<String>,
    #[serde(default)]
    hashes: Vec<Hash>,
    #[serde(default)]
    components: Vec<Self>,
}

#[derive(Deserialize)]
struct Hash {
    #[serde(default)]
    alg: String,
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
struct Vulnerability {
    id: Option<String>,
    #[serde(default)]
    references: Vec<Equivalent>,
    analysis: Option<Analysis>,
    #[serde(default)]
    affects: Vec<Affected>,
}

/// "Pointers to vulnerabilities that are the equivalent".
#[derive(Deserialize)]
struct Equivalent {
    id: Option<String>,
}

#[derive(Deserialize)]
struct Analysis {
    state: Option<String>,
    justification: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    response: Vec<String>,
    #[serde(rename = "firstIssued")]
    first_issued: Option<String>,
    #[serde(rename = "lastUpdated")]
    last_updated: Option<String>,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: Option<String>,
    range: Option<String>,
    status: Option<String>,
}

/// What a reference inside the document leads to.
struct Bom {
    /// Without `urn:uuid:`, lower case.
    serial: Option<String>,
    version: u64,
    /// What the whole document is about.
    product: Option<Component>,
    components: HashMap<String, Component>,
    issued: Option<jiff::Timestamp>,
}

/// Reads a document that is known to be strict JSON.
pub(super) fn read(bytes: &[u8], name: &str, version: &str) -> Result<Document, ReadError> {
    if !["1.4", "1.5", "1.6", "1.7"].contains(&version) {
        let version = cut(version, 60);
        let message = format!("CycloneDX {version} is not read as VEX: write 1.4 to 1.7");
        return Err(ReadError::Format(message));
    }
    let raw: Raw<'_> = parse(bytes)?;
    let Some(vulnerabilities) = raw.vulnerabilities else {
        let message = "CycloneDX without `vulnerabilities`: it states nothing of any";
        return Err(ReadError::Format(message.to_owned()));
    };
    let mut reading = Reading::new(bytes, name, format!("CycloneDX {version}"));
    let info = &mut reading.document.info;
    info.id = words(raw.serial.clone(), MAX_NAME);
    let mut bom = Bom {
        serial: raw.serial.map(|serial| serial.to_ascii_lowercase()),
        version: raw.version.unwrap_or(1),
        product: None,
        components: HashMap::new(),
        issued: None,
    };
    if let Some(Metadata { timestamp, component: about, authors, supplier, manufacturer }) = raw.metadata {
        if let Some(timestamp) = timestamp {
            let issued = time(&timestamp);
            bom.issued = Some(issued.map_err(|cause| ReadError::Format(format!("`timestamp`: {cause}")))?);
            info.timestamp = Some(cut(&timestamp, MAX_NAME));
        }
        let named = authors.into_iter().chain(supplier).chain(manufacturer).find_map(|named| named.name);
        info.author = words(named, MAX_NAME);
        // What stands inside of the product are parts of it.
        bom.index(about.as_slice());
        bom.product = about.map(|about| component(&about));
    }
    bom.index(&raw.components);
    for (number, text) in vulnerabilities.into_iter().enumerate() {
        let at = format!("vulnerabilities[{number}]");
        let vulnerability = serde_json::from_str::<Vulnerability>(text.get()).map_err(|error| Refused {
            vulnerability: String::new(),
            stated: String::new(),
            reason: format!("it cannot be read: {error}"),
        });
        let read = vulnerability.map(|mut raw| {
            // Without a state it is an advisory beside others, of which nobody has said anything yet.
            let analysis = raw.analysis.take().filter(|analysis| analysis.state.is_some())?;
            Some(statement(raw, analysis, at.clone(), &bom))
        });
        if let Some(read) = read.transpose() {
            reading.add(read.and_then(|read| read), at);
        }
    }
    Ok(reading.document)
}

impl Bom {
    /// Notes the components, nested ones too. The parser has bounded how deep.
    fn index(&mut self, components: &[RawComponent]) {
        for raw in components {
            if let Some(reference) = &raw.reference {
                let read = component(raw);
                self.components
                    .entry(reference.clone())
                    .and_modify(|first| {
                        // Attack: two components of one reference, of which each reader takes another.
                        if *first != read {
                            let problem =
                                format!("two components have the reference `{}`", cut(reference, 200));
                            *first = Component::unknown(reference, problem);
                        }
                    })
                    .or_insert(read);
            }
            self.index(&raw.components);
        }
    }

    /// What `affects[].ref` means: a component of the document, by its reference or a BOM-Link, or a package url.
    fn resolve(&self, reference: &str) -> Component {
        if let Some(component) = self.components.get(reference) {
            return component.clone();
        }
        if let Some(link) = reference.strip_prefix("urn:cdx:") {
            return self.linked(link, reference);
        }
        let mut component = Component::default();
        component.identify(reference);
        if component.names.is_empty() && component.problem.is_none() {
            let problem = format!("no component of the document has the reference `{}`", cut(reference, 200));
            return Component::unknown(reference, problem);
        }
        component.done()
    }

    /// `urn:cdx:SERIAL/VERSION#REFERENCE`. Into another document nobody can look from here; but it may be the one
    /// that is judged, and many tools name components by their purls.
    fn linked(&self, link: &str, whole: &str) -> Component {
        let elsewhere = || Component::unknown(whole, format!("`{}` leads into another BOM", cut(whole, 200)));
        let Some((document, reference)) = link.split_once('#') else { return elsewhere() };
        let Some((serial, version)) = document.split_once('/') else { return elsewhere() };
        let own = self.serial.as_deref().map(|own| own.strip_prefix("urn:uuid:").unwrap_or(own));
        let is_own = own == Some(serial.to_ascii_lowercase().as_str()) && version == self.version.to_string();
        let reference = percent_decode_str(reference).decode_utf8_lossy();
        if let Some(component) = self.components.get(reference.as_ref()).filter(|_| is_own) {
            return component.clone();
        }
        match reference.parse::<Purl>() {
            Ok(mut purl) if !is_own => {
                // Syft's, which tells two components of one purl apart.
                purl.qualifiers.remove("package-id");
                let link = Identity::Link(document.to_ascii_lowercase(), purl);
                Component { text: cut(whole, MAX_NAME), names: vec![link], problem: None }
            }
            Ok(_) | Err(_) => elsewhere(),
        }
    }

    /// The target of an affected component: a part of what the document is about.
    fn target(&self, affected: Affected) -> Target {
        let component = self.resolve(&affected.reference);
        let claim =
            |raw: Version| VersionClaim { version: raw.version, range: raw.range, status: raw.status };
        let versions = affected.versions.into_iter().map(claim).collect();
        match &self.product {
            // What a link leads to is a part of that other BOM's product.
            Some(_) if component.names.iter().any(|name| matches!(name, Identity::Link(_, _))) => {
                Target { product: component, parts: Vec::new(), versions }
            }
            // A statement in the BOM of one product says nothing of its parts in another.
            Some(product) if *product != component => {
                Target { product: product.clone(), parts: vec![component], versions }
            }
            Some(_) | None => Target { product: component, parts: Vec::new(), versions },
        }
    }
}

fn component(raw: &RawComponent) -> Component {
    let mut component = Component::default();
    if let Some(purl) = &raw.purl {
        component.identify(purl);
    }
    let version = raw.version.as_deref().filter(|version| !version.is_empty());
    if let Some(problem) = component.names.iter().find_map(|name| contradiction(name, raw, version)) {
        component.problem = Some(problem);
    }
    for name in &mut component.names {
        if let (Identity::Purl(purl), Some(version)) = (name, version)
            && purl.version.is_none()
            && purl.kind != "oci"
        {
            purl.version = Some(version.to_owned());
        }
    }
    // Syft's image: its digest in the place of a version.
    if let Some(digest) = version.and_then(|version| version.parse().ok()) {
        component.names.push(Identity::Reference(digest));
    }
    for hash in &raw.hashes {
        component.hash(&hash.alg, &hash.content);
    }
    if component.text.is_empty() || raw.purl.is_none() {
        component.text = cut(format!("{} {}", raw.name, version.unwrap_or_default()).trim(), MAX_NAME);
    }
    component.done()
}

/// In what a component differs from its own purl. An image has a tag or a digest for a version, and for a name a
/// whole reference.
fn contradiction(identity: &Identity, raw: &RawComponent, version: Option<&str>) -> Option<String> {
    let Identity::Purl(purl) = identity else { return None };
    if is_image_type(purl) {
        return None;
    }
    let differs = |what: &str, stated: &str| {
        Some(format!(
            "its {what} `{}` is not that of its purl `{}`",
            cut(stated, 100),
            cut(&purl.to_string(), 200)
        ))
    };
    match (version, purl.version.as_deref()) {
        (Some(stated), Some(own)) if !is_version(stated, own, purl) => return differs("version", stated),
        (_, _) => {}
    }
    if raw.name.is_empty() || is_name(&raw.name, purl) { None } else { differs("name", &raw.name) }
}

/// Whether a component's version is that of its purl. An epoch may stand in a qualifier, and Go's `v` may be left out.
fn is_version(stated: &str, own: &str, purl: &Purl) -> bool {
    let epoch = purl.qualifiers.get("epoch").map_or("0", String::as_str);
    let with_epoch = stated.split_once(':').is_some_and(|(stated, rest)| stated == epoch && rest == own);
    let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
    stated == own || with_epoch || (purl.kind == "golang" && bare(stated) == bare(own))
}

/// Whether a component's name is that of its purl, or ends it: tools write `core`, `@babel/core` and `group:core`.
fn is_name(name: &str, purl: &Purl) -> bool {
    let folded = |text: &str| -> Vec<String> {
        let parts = text.split(['/', ':']).filter(|part| !part.is_empty());
        parts.map(|part| part.to_lowercase().replace(['_', '.'], "-")).collect()
    };
    let mut whole = folded(purl.namespace.as_deref().unwrap_or_default());
    whole.extend(folded(&purl.name));
    let mut deep = whole.clone();
    deep.extend(folded(purl.subpath.as_deref().unwrap_or_default()));
    let name = folded(name);
    !name.is_empty()
        && (whole.ends_with(&name) || (deep.ends_with(&name) && name.len() > deep.len() - whole.len()))
}

fn statement(raw: Vulnerability, analysis: Analysis, at: String, bom: &Bom) -> Result<Statement, Refused> {
    let stated = analysis.state.unwrap_or_default();
    let ids = raw.id.into_iter().chain(raw.references.into_iter().filter_map(|reference| reference.id));
    let ids = trimmed(ids);
    let refused = |reason: String| Refused {
        vulnerability: ids.first().cloned().unwrap_or_default(),
        stated: stated.clone(),
        reason,
    };
    if ids.is_empty() {
        return Err(refused("it names no vulnerability".to_owned()));
    }
    let status = match stated.as_str() {
        "not_affected" | "false_positive" => VexStatus::NotAffected,
        "resolved" | "resolved_with_pedigree" => VexStatus::Fixed,
        "exploitable" => VexStatus::Affected,
        "in_triage" => VexStatus::UnderInvestigation,
        other => return Err(refused(format!("`{}` is no state of CycloneDX", cut(other, 60)))),
    };
    let justification = words(analysis.justification, MAX_NAME);
    let text = words(analysis.detail, MAX_TEXT);
    // "Minimum Requirements for VEX" (CISA, 2023), which CycloneDX leaves to its writers.
    if stated == "not_affected" && justification.is_none() && text.is_none() {
        return Err(refused("`not_affected` without a justification or a detail".to_owned()));
    }
    // Not `updated` of the vulnerability: that is when its record changed, whoever looked at it before.
    let read = |text: &Option<String>| text.as_deref().map(time).transpose();
    let first = read(&analysis.first_issued).map_err(refused)?;
    let last = read(&analysis.last_updated).map_err(refused)?;
    if raw.affects.is_empty() {
        return Err(refused("it names nothing that it affects".to_owned()));
    }
    Ok(Statement {
        at,
        status,
        justification,
        text,
        action: words(Some(analysis.response.join(", ")), MAX_TEXT),
        time: if status.sets_aside() { last.or(first) } else { last.max(first) }.or(bom.issued),
        renewed: last.max(first).max(bom.issued),
        targets: raw.affects.into_iter().map(|affected| bom.target(affected)).collect(),
        stated,
        ids,
    })
}
