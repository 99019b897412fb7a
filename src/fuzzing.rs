//! One function per fuzz target: every parser of foreign bytes. `fuzz/` calls them one by one, and an
//! ordinary test runs them over the seeds in `testdata/` with mutations. None may panic, hang or fill
//! the memory, whatever the bytes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::attestation::identity::{Field, Identity, Pattern};
use crate::attestation::legacy::{self, Layer};
use crate::attestation::statement::SubjectDigest;
use crate::attestation::{
    LogOfKey, PublicKey, Root, RootId, Statement, Subject as Attested, Trust, Whose,
    certificate as certificates, claims, verify,
};
use crate::cache;
use crate::check::documents::{Answer, Documents, Oddity, OddityKind};
use crate::check::hanging::Hanging;
use crate::check::{Expected, Subject, check};
use crate::enrich::{Epss, Kev};
use crate::image::compression::Compression;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, LayerBlob};
use crate::image::{document, json};
use crate::inventory::{CATALOGERS, HEAD_LEN, Merged, Reads, catalog_layer, license};
use crate::model::attestation::{Place as At, SignedBy};
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::evidence::{Evidence, ImageIdentity, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::fault::FaultKind;
use crate::model::finding::{Finding, Findings, FixState, MatchEvidence, PackageRef, Undetermined};
use crate::model::inventory::LayerRef;
use crate::model::license::MAX_EXPRESSION;
use crate::model::location::Location;
use crate::model::path::ImagePath;
use crate::model::platform::Platform;
use crate::model::predicate::{CYCLONEDX, OPENVEX};
use crate::model::purl::Purl;
use crate::model::severity::Severity;
use crate::model::vex::{VexAnswer, VexAttestation, VexClaims};
use crate::model::violation::{CheckSeverity, Place};
use crate::osv::affected::evaluate;
use crate::osv::record::Record;
use crate::osv::segment::Segment;
use crate::osv::segment::build::{Builder, Compiled};
use crate::policy::Policy;
use crate::sbom::read;
use crate::version::SCHEMES;
use crate::vex::{self, Hung};

/// What a target does with bytes.
pub type Target = fn(&[u8]);

/// Every target: its name is that of its file in `fuzz/fuzz_targets/`.
pub static TARGETS: &[(&str, Target)] = &[
    ("document", documents),
    ("check", checks),
    ("layer", layer),
    ("cataloger", catalogers),
    ("archive", archives),
    ("rpm", rpm),
    ("program", program),
    ("table", table),
    ("cached", cached),
    ("version", versions),
    ("name", names),
    ("record", record),
    ("segment", segment),
    ("policy", policy),
    ("license", licenses),
    ("sbom", sbom),
    ("vex", vex_document),
    ("exploits", exploits),
    ("bundle", bundle),
    ("statement", statement),
    ("certificate", certificate),
    ("legacy", legacy_signature),
];

/// What lies in the cache of layers, unpacked.
pub fn cached(bytes: &[u8]) {
    cache::reread(bytes);
}

/// Manifests, indexes, configs, and JSON as such.
pub fn documents(bytes: &[u8]) {
    let _ = json::parse(bytes);
    let _ = document::parse(bytes, None, "fuzz");
    let _ = document::parse_config(bytes, "fuzz");
}

/// A manifest, index or config with whatever else, all checked. The first byte chooses what the rest is;
/// what the strict parser calls a lie must have a violation from high on in that very document.
pub fn checks(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let config = choice % 3 == 2;
    let media_type = match choice % 3 {
        0 => document::MANIFEST_TYPES,
        1 => document::INDEX_TYPES,
        _ => document::CONFIG_TYPES,
    };
    let media_type = media_type.first().copied().unwrap_or_default();
    let descriptor = |media_type: &str, bytes: &[u8]| Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::sha256(bytes),
        size: bytes.len() as u64,
        platform: None,
        annotations: BTreeMap::new(),
    };
    let blob = descriptor(media_type, bytes);
    // As many layers as diff IDs: else every configuration would be found faulty for that alone.
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let ids = value.pointer("/rootfs/diff_ids").and_then(Value::as_array).map_or(0, Vec::len);
    let layer = format!(r#"{{"mediaType":"a/b","digest":"{}","size":1}}"#, blob.digest);
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{media_type}","digest":"{}","size":{}}},"layers":[{}]}}"#,
        blob.digest,
        blob.size,
        vec![layer; ids.min(1_000)].join(",")
    );
    let manifest_type = document::MANIFEST_TYPES.first().copied().unwrap_or_default();
    let root = if config { descriptor(manifest_type, manifest.as_bytes()) } else { blob.clone() };
    let mut documents = Documents::new(&root, Default::default());
    // Whatever is asked for is answered with the same bytes, under a wrong digest too.
    while let Some((asked, limit)) = documents.next() {
        let bytes = if config && asked.digest == root.digest { manifest.as_bytes() } else { bytes };
        documents.answer(Answer::Bytes(bytes.iter().copied().take(limit.try_into().unwrap_or(0)).collect()));
    }
    let expected = Expected::default();
    let subject = Subject {
        reference: None,
        documents: &documents,
        hanging: &Hanging::default(),
        images: &[],
        faults: &[],
        expected: &expected,
        now: Timestamp::UNIX_EPOCH,
    };
    // The lenient reader and the strict one agree on what is odd, and on what a sound document says.
    let node = documents.nodes().iter().find(|node| node.stated.digest == Some(blob.digest.to_string()));
    if let Some(content) = node.and_then(|node| node.state.content()) {
        let odd = |odd: &Oddity| !matches!(odd.kind, OddityKind::Deep | OddityKind::Number);
        match json::parse(bytes) {
            Ok(value) => {
                assert!(!content.oddities.iter().any(odd), "{:?}", content.oddities);
                assert_eq!(content.value, Some(value));
            }
            Err(error) => assert!(!content.oddities.is_empty(), "nothing is odd, but: {error}"),
        }
    }
    let checked = check(&subject);
    let fault = if config {
        document::parse_config(bytes, "fuzz").err()
    } else {
        document::parse(bytes, Some(media_type), "fuzz").err()
    };
    if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::Lie) {
        let here = |place: &Place| matches!(place, Place::Document { digest, .. } if *digest == blob.digest.to_string());
        let told = checked.violations.iter().any(|v| v.severity >= CheckSeverity::High && here(&v.place));
        assert!(told, "nothing is said of: {fault}");
    }
}

/// A layer, stored in each way, cataloged and flattened. The first byte chooses the compression.
pub fn layer(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let compression = match choice % 3 {
        0 => Compression::None,
        1 => Compression::Gzip,
        _ => Compression::Zstd,
    };
    // Small limits, so that a bomb is refused before it slows the fuzzer down.
    let limits = Limits { layer: 1 << 20, entries: 1_000, ratio_floor: 1 << 16, ..Limits::default() };
    let digest = Digest::sha256(bytes);
    let blob = LayerBlob {
        blob: BlobName::Member("fuzz".into()),
        compression: Some(compression),
        diff_id: digest.clone(),
    };
    if let Ok((inventory, _)) = catalog_layer(|| Ok(bytes), &blob, "layer 0", &limits) {
        let layers = [inventory.into()];
        let merged = Merged::new(&layers);
        let _ = merged.missing();
        let reference = LayerRef {
            index: Some(0),
            digest: Some(digest.clone()),
            diff_id: Some(digest),
            created_by: None,
        };
        let _ = merged.flatten(&[reference]);
    }
}

/// Every cataloger on a path that it wants. The first line is the path.
pub fn catalogers(bytes: &[u8]) {
    let (path, bytes) = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) => bytes.split_at(end),
        None => (bytes, &[][..]),
    };
    let bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
    let Ok(path) = ImagePath::normalise(path) else { return };
    let head = bytes.get(..HEAD_LEN).unwrap_or(bytes);
    for cataloger in CATALOGERS.iter().filter(|cataloger| cataloger.wants(&path, head)) {
        match cataloger.reads() {
            Reads::Whole | Reads::Program => {
                let _ = cataloger.parse(&path, bytes);
            }
            Reads::Nothing => {
                let _ = cataloger.parse(&path, b"");
            }
        }
    }
}

/// A program under names of all classifiers. The first byte chooses the format, whose magic number is put in.
pub fn program(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let magic: &[u8] = match choice % 5 {
        0 => b"",
        1 => b"\x7fELF",
        2 => b"MZ",
        3 => b"\xcf\xfa\xed\xfe",
        _ => b"\xca\xfe\xba\xbe",
    };
    let bytes = [magic, bytes.get(magic.len()..).unwrap_or_default()].concat();
    for name in ["usr/bin/python3.11", "usr/bin/mysqld", "usr/bin/redis-server", "usr/bin/haproxy"] {
        let path = ImagePath::from(name);
        for cataloger in CATALOGERS.iter().filter(|cataloger| cataloger.reads() == Reads::Program) {
            let _ = cataloger.parse(&path, &bytes);
        }
    }
}

/// A zip archive as a jar, an egg and one of yarn's: never silent about what it holds.
pub fn archives(bytes: &[u8]) {
    for (id, path) in [("java", "a.jar"), ("egg", "a.egg"), ("yarn", ".yarn/cache/a.zip")] {
        for cataloger in CATALOGERS.iter().filter(|cataloger| cataloger.id() == id) {
            if let Ok(facts) = cataloger.parse(&path.into(), bytes) {
                let is_silent = facts.packages.is_empty() && facts.unreadable.is_empty();
                assert!(!is_silent, "{id} says nothing");
            }
        }
    }
}

/// RPM's containers and header blobs. The first byte chooses which.
pub fn rpm(bytes: &[u8]) {
    crate::inventory::rpm::fuzz(bytes);
}

/// A layer's table of contents: the same however it streams by, and JSON where it is taken for some.
pub fn table(bytes: &[u8]) {
    crate::inventory::toc::fuzz(bytes);
}

/// Three lines of text are compared by every version order, which must be an order.
pub fn versions(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (a, b, c) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    for (scheme, _) in SCHEMES {
        let there = scheme.compare(a, b);
        let back = scheme.compare(b, a).map(std::cmp::Ordering::reverse);
        assert_eq!(there.is_ok(), back.is_ok(), "{}: `{a}` and `{b}`", scheme.id());
        if let (Ok(there), Ok(back)) = (there, back) {
            assert_eq!(there, back, "{}: `{a}` and `{b}`", scheme.id());
        }
        if let (Ok(ab), Ok(bc), Ok(ac)) = (scheme.compare(a, b), scheme.compare(b, c), scheme.compare(a, c))
            && ab == bc
        {
            assert_eq!(ac, ab, "{}: `{a}`, `{b}`, `{c}`", scheme.id());
        }
    }
}

/// Locations, references and package urls: what parses must be written back as itself.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(location) = text.parse::<Location>() {
        assert_eq!(location.to_string().parse::<Location>().as_ref(), Ok(&location));
    }
    if let Ok(purl) = text.parse::<Purl>() {
        assert_eq!(purl.to_string().parse::<Purl>().as_ref(), Ok(&purl));
    }
}

/// An advisory: read, evaluated for several versions in every order, compiled and looked up.
pub fn record(bytes: &[u8]) {
    let Ok(record) = Record::parse(bytes) else { return };
    for affected in &record.affected {
        for version in ["", "0", "1.2.3", "1:2.3-4", "2.0_rc1-r3", "not a version"] {
            for (scheme, _) in SCHEMES {
                let _ = evaluate(affected, version, Some(*scheme));
            }
            let _ = evaluate(affected, version, None);
        }
    }
    let mut builder = Builder::new("PyPI");
    builder.add("fuzz", Compiled::read("PyPI", bytes));
    if let Ok(bytes) = builder.finish() {
        let opened = Segment::open(&bytes);
        assert!(opened.is_ok(), "what was written must open: {:?}", opened.err());
    }
}

/// A compiled segment with any bytes: damaged or answered, never a panic. What can be taken over into a new
/// one gives a segment that is sound, and that a second delta leaves as it is.
pub fn segment(bytes: &[u8]) {
    let Ok(segment) = Segment::open(bytes) else { return };
    let _ = (segment.id(), segment.head("GHSA-1"));
    for (ecosystem, name) in segment.keys().filter_map(Result::ok).take(100) {
        let _ = segment.affecting(ecosystem, name);
    }
    for record in segment.records().filter_map(Result::ok).take(100) {
        let _ = (segment.head(record.id), segment.display(record.id));
    }
    let _ = segment.unreadable().count();
    let Some(again) = changed(&segment) else { return };
    let segment = Segment::open(&again);
    assert_eq!(segment.ok().and_then(|segment| changed(&segment)), Some(again));
}

fn changed(segment: &Segment<'_>) -> Option<Vec<u8>> {
    let mut builder = Builder::from_segment(segment).ok()?;
    builder.put("GHSA-1.json", Compiled::read("npm", br#"{"id":"GHSA-1","details":"d"}"#));
    builder.remove("GHSA-2");
    builder.finish().ok()
}

/// Lines of licence texts in every dialect: what comes out is SPDX, and reads as itself.
pub fn licenses(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
    for kind in ["alpm", "apk", "cargo", "composer", "deb", "gem", "generic", "maven", "pypi", "rpm"] {
        let license = license::read(kind, &texts);
        let referred = license.expression_with(|_| "LicenseRef-words".to_owned());
        if let Some(referred) = referred {
            assert!(Expression::parse_mode(&referred, mode).is_ok(), "{kind}: `{referred}`");
        }
        // A list may make more than what is looked at in one text.
        let count = |part: &str, text: &str| text.matches(part).count();
        let is_small = |text: &String| {
            text.len() <= MAX_EXPRESSION
                && count("(", text) < 30
                && count(" AND ", text) + count(" OR ", text) < 400
        };
        if let Some(expression) = license.expression().filter(is_small) {
            let again = license::read(kind, std::slice::from_ref(&expression)).expression();
            assert_eq!(again, Some(expression), "{kind}");
        }
    }
}

/// A policy, with its errors shown.
pub fn policy(bytes: &[u8]) {
    if let Err(errors) = Policy::parse(bytes) {
        for error in errors {
            let _ = error.render(bytes, "fuzz");
        }
    }
}

/// An SBOM document: every relation leads to a package that is there, and a package that another tool stated
/// is never all there is to know.
pub fn sbom(bytes: &[u8]) {
    let Ok(document) = read::read(bytes, &"fuzz.json".into()) else { return };
    let inventory = &document.inventory;
    let needed = inventory.packages.iter().flat_map(|package| package.depends_on.iter().flatten());
    assert!(needed.max().is_none_or(|index| *index < inventory.packages.len()));
    assert!(document.platform.is_some() || !inventory.gaps.is_empty(), "nothing is said to be unknown");
}

/// A VEX document, applied to an image of two findings: whatever it states, no finding is lost, an undetermined
/// package stays one and a malicious one is never set aside.
pub fn vex_document(bytes: &[u8]) {
    let Ok(document) = vex::read(bytes, "fuzz.json") else { return };
    let mut evidence = two_findings();
    vex::apply(&mut evidence, &[document], Timestamp::MAX);
    sound_under_vex(&evidence);
    // The same out of an attestation: nothing is set aside by itself, and in a scan nothing is lost either.
    let attested = VexAttestation {
        at: At::Tag { tag: "fuzz".to_owned(), layer: None },
        subject: Digest::sha256(b""),
        platform: None,
        below: None,
        signed_by: SignedBy::Key(Digest::sha256(b"key")),
        logged: true,
    };
    let text = std::str::from_utf8(bytes).ok();
    for kind in [OPENVEX, CYCLONEDX] {
        for settles in [false, true] {
            let (document, unread) = vex::read_attested(kind, text, attested.clone(), None);
            let hung = Hung { unread: unread.into_iter().collect(), settles };
            let mut evidence = two_findings();
            evidence.attested = Fact::Known(Vec::new());
            vex::apply_hung(&mut evidence, document.as_slice(), Timestamp::MAX, hung);
            sound_under_vex(&evidence);
        }
    }
}

/// No finding is lost, an undetermined package stays one and a malicious one is never set aside, nor claimed to be.
fn sound_under_vex(evidence: &Evidence) {
    let findings =
        evidence.platforms.known().into_iter().flatten().filter_map(|platform| platform.findings.known());
    for findings in findings {
        assert_eq!(findings.findings.len() + findings.suppressed.len(), 2, "a finding is lost");
        assert_eq!(findings.undetermined.len(), 1);
        assert!(!findings.suppressed.iter().any(|suppressed| suppressed.finding.malicious));
        let mut malicious = findings.findings.iter().filter(|finding| finding.malicious);
        assert!(malicious.all(|finding| finding.claims.answer(|_| true) == VexAnswer::Kept));
    }
}

/// A package of the image that VEX documents are applied to.
fn openssl() -> PackageRef {
    PackageRef {
        purl: Purl::new("deb", Some("debian"), "openssl", Some("3.0.11-1")).with("arch", "amd64"),
        name: "openssl".to_owned(),
        version: "3.0.11-1".to_owned(),
        kind: "deb",
        source: None,
    }
}

/// A finding in it.
fn found(id: &str, malicious: bool, platform: &Platform) -> Finding {
    Finding {
        id: id.to_owned(),
        aliases: vec!["GHSA-1".to_owned()],
        platform: platform.clone(),
        package: openssl(),
        severity: Severity::Critical,
        severity_source: None,
        cvss: Vec::new(),
        fixed: Vec::new(),
        fix_note: None,
        state: FixState::NotFixed,
        summary: None,
        published: None,
        malicious,
        layer: LayerRef::default(),
        locations: Vec::new(),
        vendored_in: None,
        evidence: MatchEvidence {
            record: id.to_owned(),
            segment: None,
            ecosystem: "Debian:12".to_owned(),
            name: "openssl".to_owned(),
            version: "3.0.11-1".to_owned(),
            range: String::new(),
            event: String::new(),
            low_confidence: None,
        },
        kev: None,
        epss: None,
        epss_partial: false,
        vex: Vec::new(),
        vex_doubt: None,
        claims: VexClaims::default(),
    }
}

/// An image with a finding, a malicious package and a package that is undetermined.
fn two_findings() -> Evidence {
    let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let undetermined = Undetermined {
        platform: platform.clone(),
        package: openssl(),
        cause: "no advisories".to_owned(),
        advisories: vec!["CVE-2026-1".to_owned()],
    };
    let findings = Findings {
        findings: vec![found("CVE-2026-1", false, &platform), found("MAL-2026-1", true, &platform)],
        undetermined: vec![undetermined],
        suppressed: Vec::new(),
    };
    let evidence = PlatformEvidence {
        platform: platform.clone(),
        digest: Some(Digest::sha256(b"manifest")),
        config: Fact::Absent,
        layers: Fact::Absent,
        inventory: Fact::Absent,
        findings: Fact::Known(findings),
    };
    let image = ImageIdentity { reference: "oci:image".to_owned(), digest: Some(Digest::sha256(b"")) };
    Evidence { platforms: Fact::Known(vec![evidence]), ..Evidence::of(image) }
}

/// Data on exploits: CISA's catalogue, FIRST's scores and the table that they are compiled into.
pub fn exploits(bytes: &[u8]) {
    let _ = Kev::read(bytes);
    if let Ok(epss) = Epss::read(bytes) {
        assert_eq!(Epss::decode(epss.encoded(), &epss.info.digest).as_ref(), Some(&epss));
    }
    let _ = Epss::decode(bytes, &Digest::sha256(b"source"));
}

/// A bundle: what it claims, and whether it is true for nothing in particular, with a certificate and with a key. No
/// bytes that a fuzzer makes are signed, so none may be accepted.
pub fn bundle(bytes: &[u8]) {
    let _ = claims::read(bytes);
    let Some((trust, key)) = trusted() else { return };
    let digest = Digest::sha256(b"");
    for whose in
        [Whose::Certificate, Whose::Key(key, LogOfKey::Demanded), Whose::Key(key, LogOfKey::NotDemanded)]
    {
        for subject in [Attested::Bytes(b""), Attested::Digest(&digest)] {
            assert!(verify(trust, whose, bytes, subject).is_err(), "accepted by nobody's signature");
        }
    }
    let _ = Root::read(RootId::Custom("fuzz".to_owned()), bytes);
    let _ = PublicKey::read_pem(bytes);
}

/// A statement, and the envelope around it. What was read must find its own subjects.
pub fn statement(bytes: &[u8]) {
    if let Ok(statement) = Statement::read(bytes) {
        let _ = statement.is_signature();
        for subject in &statement.subjects {
            for digest in &subject.digests {
                if let SubjectDigest::Known(digest) = digest {
                    assert!(statement.about(digest).is_some());
                }
            }
        }
    }
    let layer = Layer { media_type: legacy::ENVELOPE, payload: bytes, annotations: &BTreeMap::new() };
    let Some((trust, key)) = trusted() else { return };
    let whose = Whose::Key(key, LogOfKey::NotDemanded);
    assert!(legacy::verify_layer(trust, whose, layer, &Digest::sha256(b"")).is_err());
}

/// A certificate: what it claims, and whether whoever it names is anybody's pattern.
pub fn certificate(bytes: &[u8]) {
    let _ = certificates::read(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = certificates::read_pem(text);
        for make in [Pattern::exact, Pattern::glob, Pattern::regexp] {
            if let Ok(pattern) = make(text) {
                // No pattern may be content with nothing.
                assert!(!pattern.matches(""));
            }
        }
    }
    let Ok(holder) = certificates::holder(bytes) else { return };
    let patterns = (Pattern::exact("https://issuer.example"), Pattern::glob("https://github.com/acme/**"));
    let (Ok(issuer), Ok(name)) = patterns else { return };
    if let Ok(identity) = Identity::new(issuer, [(Field::Subject, name)])
        && identity.check(&holder).is_ok()
    {
        assert!(holder.name.as_str().starts_with("https://github.com/acme/"));
    }
}

/// A legacy signature: annotations, a line each as `KEY=TEXT`, an empty line, and the payload.
pub fn legacy_signature(bytes: &[u8]) {
    let cut = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, payload) = bytes.split_at_checked(cut).unwrap_or_default();
    let annotations: BTreeMap<String, String> = String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, text)| (key.to_owned(), text.replace("\\n", "\n")))
        .collect();
    let payload = payload.get(2..).unwrap_or_default();
    let Some((trust, key)) = trusted() else { return };
    for media_type in [legacy::SIMPLE_SIGNING, legacy::ENVELOPE] {
        let layer = Layer { media_type, payload, annotations: &annotations };
        for whose in [Whose::Certificate, Whose::Key(key, LogOfKey::NotDemanded)] {
            assert!(legacy::verify_layer(trust, whose, layer, &Digest::sha256(b"")).is_err());
        }
    }
}

/// Roots and a key whose other half is thrown away.
fn trusted() -> Option<(&'static Trust, &'static PublicKey)> {
    const KEY: &[u8] = b"-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0R0gFRZB4cLQ+KjO1Qk3lbBBUDEM
EfdKpQHAlSQDf2RGuWz3isGpXQBNm8JUtRJJESvoLtC+IMQsqnkpvHKT0g==
-----END PUBLIC KEY-----
";
    static TRUSTED: OnceLock<Option<(Trust, PublicKey)>> = OnceLock::new();
    let made = TRUSTED.get_or_init(|| Some((Trust::embedded().ok()?, PublicKey::read_pem(KEY).ok()?)));
    made.as_ref().map(|(trust, key)| (trust, key))
}
