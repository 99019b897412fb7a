//! VEX that hangs on an image, signed by the command: whose it is, where it hangs, and what is not seen of it.

use std::process::Command;

use serde_json::{Value, json};

use super::{APP, Stage};
use crate::support::cli::Run;
use crate::support::image::{Layer, Layout, image, layer, layout};
use crate::support::registry::{Fault, MANIFEST, Referrers, on};
use crate::support::sigstore::{Claims, GITHUB, Version};

const CVE: &str = "CVE-2021-23337";
pub(super) const LODASH: &str = "pkg:npm/lodash@4.17.20";
const OSV: &str = "testdata/demo/osv";
const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
pub(super) const NATIVE: Referrers = Referrers::Native { page_size: 100 };
pub(super) const BY_CI: &str = "{by: [ci]}";

pub(super) fn files_with_lodash(platform: &str) -> Layer {
    let package = json!({"name": "lodash", "version": "4.17.20"}).to_string();
    layer("COPY . .")
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.16.0\n")
        .file("lib/apk/db/installed", "P:musl\nV:1.2.3-r0\nA:x86_64\no:musl\nL:MIT\n\n")
        .file("srv/node_modules/lodash/package.json", package)
        .file("etc/motd", platform)
}

/// Two platforms that have lodash, in which one vulnerability of high severity is known.
fn with_lodash() -> Layout {
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64"]
        .map(|platform| built.add(image(platform).layer(files_with_lodash(platform))));
    let index = built.index(platforms.to_vec());
    built.tag("v1", index);
    built
}

/// OpenVEX with one statement on lodash, of a month of 2026.
pub(super) fn openvex(status: &str, month: u32) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex", "author": "Acme",
        "timestamp": format!("2026-{month:02}-01T00:00:00Z"), "version": month,
        "statements": [{
            "vulnerability": {"name": CVE}, "products": [{"@id": LODASH}], "status": status,
            "justification": "vulnerable_code_not_in_execute_path",
        }],
    })
}

fn cyclonedx(state: &str) -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"timestamp": "2026-01-20T00:00:00Z"},
        "components": [{"type": "library", "bom-ref": "x", "name": "lodash", "purl": LODASH}],
        "vulnerabilities": [{
            "id": CVE, "affects": [{"ref": "x"}], "analysis": {"state": state, "detail": "templates are ours"},
        }],
    })
}

impl Stage {
    fn vulnerable(referrers: Referrers) -> Self {
        Self::with(referrers, &with_lodash())
    }

    /// The image, and its platforms.
    fn manifests(&self) -> Vec<String> {
        let index = self.image.rsplit('@').next().unwrap();
        let (_, _, bytes) = self.registry.manifest(APP, index).unwrap();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let listed = document["manifests"].as_array().unwrap().iter();
        let digests = listed.map(|one| one["digest"].as_str().unwrap().to_owned());
        std::iter::once(index.to_owned()).chain(digests).collect()
    }

    fn token_of(&self, repository: &str) -> String {
        self.sigstore.token(&Claims::github(repository, "release.yml", "refs/heads/main"))
    }

    /// Attests a predicate of one manifest; the referrer's digest, where it is one.
    pub(super) fn state_of(
        &self,
        digest: &str,
        token: &str,
        kind: &str,
        predicate: &Value,
        more: &[&str],
    ) -> Option<String> {
        let file = self.write("predicate.json", &predicate.to_string());
        let image = self.registry.reference(APP, digest);
        let config = self.files.signing_config(Version::V1).to_str().unwrap();
        let root = self.files.trusted_root.to_str().unwrap();
        let own = ["attest", "--identity-token", token, "--signing-config", config, "--trusted-root", root];
        let what = ["-o", "json", "--type", kind, "--predicate", &file, &image];
        let made = self.run(&[own.as_slice(), more, &what].concat()).ended(0).json();
        made["images"][0]["manifests"][0]["referrer"].as_str().map(str::to_owned)
    }

    /// The signer `ci` states something of the image.
    pub(super) fn state(&self, predicate: &Value) -> String {
        self.state_of(&self.manifests()[0], &self.token(), "openvex", predicate, &[]).unwrap()
    }

    /// The image judged by a rule with this `vex`.
    pub(super) fn judge(&self, vex: &str, more: &[&str]) -> Run {
        let policy = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: test}}\nidentities:\n  \
             ci: {{github: acme/app, workflow: .github/workflows/release.yml, refs: [refs/heads/main]}}\n  \
             other: {{github: acme/other}}\nrules:\n- id: rule\n  vulnerabilities: {{deny: [{{severity: high}}], \
             unknownSeverity: ignore, vex: {vex}}}\n"
        );
        let policy = self.write("policy.yaml", &policy);
        let root = self.files.trusted_root.to_str().unwrap();
        let own = ["gate", &self.image, "--policy", &policy, "--trusted-root", root, "--db", OSV];
        self.run(&[own.as_slice(), &["-o", "json"], more].concat())
    }

    /// The image scanned by what `ci` attests.
    pub(super) fn scan(&self, image: &str, more: &[&str]) -> Run {
        let root = self.files.trusted_root.to_str().unwrap();
        let identity =
            ["--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", GITHUB, "--trusted-root", root];
        let own = ["scan", image, "--db", OSV, "--attested-vex"];
        self.run(&[own.as_slice(), &identity, more].concat())
    }
}

fn text(run: &Run) -> String {
    run.json()["rules"].to_string()
}

#[test]
fn vex_that_the_named_signer_attests_lets_an_image_in() {
    for referrers in super::KINDS {
        let stage = Stage::vulnerable(referrers);
        stage.judge(BY_CI, &[]).ended(1);
        let referrer = stage.state(&openvex("not_affected", 1));
        let admitted = stage.judge(BY_CI, &[]).ended(0);
        let said = text(&admitted);
        assert!(said.contains(&format!("set aside by VEX of `ci` (referrer {referrer})")), "{said}");
        let verdict = admitted.json();
        let document = &verdict["vex"]["documents"][0];
        let bytes = openvex("not_affected", 1).to_string();
        let digest = portcullis::model::digest::Digest::sha256(bytes.as_bytes()).to_string();
        assert_eq!(document["digest"], digest, "{verdict:#}");
        assert_eq!(document["name"], format!("referrer {referrer}"));
        let attested = &document["attested"];
        assert_eq!(attested["signedBy"]["certificate"]["name"], WORKFLOW);
        assert_eq!(
            (&attested["at"]["digest"], &attested["subject"]),
            (&json!(referrer), &verdict["image"]["digest"])
        );
        assert_eq!(verdict["vex"]["used"][0]["findings"].as_array().unwrap().len(), 2, "on both platforms");
        assert_eq!(verdict["inputs"]["vex"], json!([digest]));
        // Nobody said whom to believe, or somebody else.
        for vex in ["honour", "ignore", "{by: [other]}"] {
            stage.judge(vex, &[]).ended(1);
        }
        stage.judge("{by: [other, ci]}", &[]).ended(0);
    }
}

#[test]
fn vex_of_somebody_else_changes_nothing() {
    let stage = Stage::vulnerable(NATIVE);
    let index = stage.manifests()[0].clone();
    stage.state_of(&index, &stage.token_of("acme/other"), "openvex", &openvex("not_affected", 1), &[]);
    stage.judge(BY_CI, &[]).ended(1);
    stage.judge("{by: [other]}", &[]).ended(0);
    // What the stranger says later, and what nobody can read of it, is nothing to this rule.
    stage.state(&openvex("not_affected", 1));
    stage.judge(BY_CI, &[]).ended(0);
    stage.state_of(&index, &stage.token_of("acme/other"), "openvex", &openvex("affected", 3), &[]);
    stage.state_of(&index, &stage.token_of("acme/other"), "openvex", &json!({"a": 1}), &[]);
    stage.judge(BY_CI, &[]).ended(0);
    stage.judge("{by: [other]}", &[]).ended(3);
}

#[test]
fn a_file_is_no_attestation_and_keeps_what_it_keeps() {
    let stage = Stage::vulnerable(NATIVE);
    let file = stage.write("acme.json", &openvex("not_affected", 2).to_string());
    let denied = stage.judge(BY_CI, &["--vex", &file]).ended(1);
    assert!(text(&denied).contains("believes what is signed alone"), "{}", text(&denied));
    stage.judge("honour", &["--vex", &file]).ended(0);
    stage.state(&openvex("not_affected", 1));
    stage.judge(BY_CI, &["--vex", &file]).ended(0);
    let kept = stage.write("kept.json", &openvex("affected", 2).to_string());
    stage.judge(BY_CI, &["--vex", &kept]).ended(1);
    let older = stage.write("older.json", &openvex("affected", 1).to_string().replace("-01-01", "-01-02"));
    stage.judge(BY_CI, &["--vex", &older]).ended(1);
    // The attested word weakens no file where nobody asked for it.
    stage.judge("honour", &["--vex", &kept]).ended(1);
}

#[test]
fn vex_is_about_what_it_hangs_on() {
    let stage = Stage::vulnerable(NATIVE);
    let [_, amd64, arm64] = stage.manifests().try_into().unwrap();
    let clears = openvex("not_affected", 1);
    let referrer = stage.state_of(&amd64, &stage.token(), "openvex", &clears, &[]).unwrap();
    let denied = stage.judge(BY_CI, &[]).ended(1);
    let messages = denied.json()["rules"].to_string();
    assert!(messages.contains("1 finding set aside by VEX of `ci`"), "on the one platform: {messages}");
    stage.judge(BY_CI, &["--platform", "linux/amd64"]).ended(0);
    stage.judge(BY_CI, &["--platform", "linux/arm64"]).ended(1);
    // Moved to the other platform, and to the index.
    for subject in [&arm64, &stage.manifests()[0]] {
        let (_, _, bytes) = stage.registry.manifest(APP, &referrer).unwrap();
        let mut moved: Value = serde_json::from_slice(&bytes).unwrap();
        moved["subject"]["digest"] = json!(subject);
        stage.registry.put_manifest(APP, None, MANIFEST, moved.to_string().as_bytes());
        let denied = stage.judge(BY_CI, &["--platform", "linux/arm64"]).ended(1);
        assert_eq!(denied.json()["vex"], Value::Null, "what is about another manifest is not read");
    }
    stage.state_of(&arm64, &stage.token(), "openvex", &clears, &[]).unwrap();
    stage.judge(BY_CI, &[]).ended(0);
    // A platform's own later word is heard beside that of the index.
    stage.state(&openvex("not_affected", 2));
    stage.judge(BY_CI, &[]).ended(0);
    stage.state_of(&arm64, &stage.token(), "openvex", &openvex("affected", 3), &[]).unwrap();
    stage.judge(BY_CI, &["--platform", "linux/amd64"]).ended(0);
    stage.judge(BY_CI, &[]).ended(1);
}

#[test]
fn a_statement_on_another_image_clears_nothing_though_it_hangs_on_this_one() {
    let stage = Stage::vulnerable(NATIVE);
    let product = |digest: &str| {
        let mut document = openvex("not_affected", 1);
        document["statements"][0]["products"] =
            json!([{"@id": format!("pkg:oci/app@{digest}"), "subcomponents": [{"@id": LODASH}]}]);
        document
    };
    stage.state(&product(&format!("sha256:{}", "0".repeat(64))));
    stage.judge(BY_CI, &[]).ended(1);
    stage.state(&product(&stage.manifests()[0]));
    stage.judge(BY_CI, &[]).ended(0);
}

#[test]
fn an_older_document_does_not_come_back_beside_a_newer_one() {
    let stage = Stage::vulnerable(NATIVE);
    let older = stage.state(&openvex("not_affected", 1));
    stage.judge(BY_CI, &[]).ended(0);
    stage.state(&openvex("affected", 2));
    let denied = stage.judge(BY_CI, &[]).ended(1);
    assert!(denied.json()["vex"]["unused"].to_string().contains(&older), "{}", denied.out());
    // Pushed again, it is the same old one.
    let index = stage.manifests()[0].clone();
    stage.state_of(&index, &stage.token(), "openvex", &openvex("not_affected", 1), &[]);
    stage.judge(BY_CI, &[]).ended(1);
    stage.state(&openvex("not_affected", 3));
    stage.judge(BY_CI, &[]).ended(0);
}

#[test]
fn what_cannot_be_listed_or_read_leaves_it_undecided() {
    let stage = Stage::vulnerable(NATIVE);
    let arm64 = stage.manifests()[2].clone();
    stage.state(&openvex("not_affected", 1));
    stage.registry.script(on("GET", "/referrers/").times(1_000), [Fault::bare(403)]);
    let undecided = stage.judge(BY_CI, &[]).ended(3);
    assert!(text(&undecided).contains("VEX may set aside"), "{}", text(&undecided));
    stage.registry.unscript();
    // A later word on one platform alone is withheld.
    stage.registry.script(on("GET", &format!("/referrers/{arm64}")).times(1_000), [Fault::bare(403)]);
    let undecided = stage.judge(BY_CI, &[]).ended(3);
    assert!(text(&undecided).contains("a later statement may keep"), "{}", text(&undecided));
    stage.judge(BY_CI, &["--platform", "linux/amd64"]).ended(0);
    stage.judge("honour", &[]).ended(1);
    stage.registry.unscript();
    stage.registry.script(on("GET", ".att").times(1_000), [Fault::bare(403)]);
    stage.judge(BY_CI, &[]).ended(3);
    stage.registry.unscript();
    stage.judge(BY_CI, &[]).ended(0);
    let referrer = stage.state(&json!({"@context": "https://openvex.dev/ns/v0.2.0"}));
    let unread = stage.judge(BY_CI, &[]).ended(3);
    for part in ["cannot be read", &referrer, "without `author`", WORKFLOW] {
        assert!(text(&unread).contains(part), "{part}: {}", text(&unread));
    }
    let document = unread.json();
    assert_eq!(document["vex"]["unread"][0]["document"], format!("referrer {referrer}"), "{document:#}");
    assert!(document["unknown"].to_string().contains("without `author`"), "{document:#}");
}

#[test]
fn an_analysis_in_a_bom_counts_and_a_bom_without_one_is_none() {
    let stage = Stage::vulnerable(NATIVE);
    let index = stage.manifests()[0].clone();
    let state = |kind: &str, predicate: &Value| {
        stage.state_of(&index, &stage.token(), kind, predicate, &[]);
    };
    state("cyclonedx", &json!({"bomFormat": "CycloneDX", "specVersion": "1.3"}));
    state(
        "cyclonedx",
        &json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [{"id": CVE}]}),
    );
    let denied = stage.judge(BY_CI, &[]).ended(1);
    assert_eq!(denied.json()["vex"], Value::Null);
    state("https://cyclonedx.org/bom/v1.6", &cyclonedx("false_positive"));
    stage.judge(BY_CI, &[]).ended(0);
    state("cyclonedx", &cyclonedx("exploitable"));
    stage.judge(BY_CI, &[]).ended(1);
    // What is none of both says nothing, and a document of the one under another type is not passed over.
    let stage = Stage::vulnerable(NATIVE);
    let index = stage.manifests()[0].clone();
    stage.state_of(&index, &stage.token(), "custom", &json!({"a": 1}), &[]);
    stage.judge(BY_CI, &[]).ended(1);
    stage.state_of(&index, &stage.token(), "openvex", &cyclonedx("false_positive"), &[]);
    stage.judge(BY_CI, &[]).ended(3);
    for kind in ["custom", "http://openvex.dev/ns/v0.2.0", "https://openvex.dev/ns#v0.2.0"] {
        let stage = Stage::vulnerable(NATIVE);
        stage.state(&openvex("not_affected", 1));
        stage.judge(BY_CI, &[]).ended(0);
        let index = stage.manifests()[0].clone();
        stage.state_of(&index, &stage.token(), kind, &openvex("affected", 2), &[]);
        let undecided = stage.judge(BY_CI, &[]).ended(3);
        assert!(text(&undecided).contains("is none of VEX"), "{kind}: {}", text(&undecided));
    }
}

#[test]
fn a_later_word_on_a_product_that_is_unclear_leaves_it_undecided() {
    let stage = Stage::vulnerable(NATIVE);
    stage.state(&openvex("not_affected", 1));
    let mut unclear = openvex("affected", 2);
    unclear["statements"][0]["products"] = json!([{"@id": "pkg:oci/app?tag=v1"}]);
    let referrer = stage.state(&unclear);
    let undecided = stage.judge(BY_CI, &[]).ended(3);
    for part in ["a later statement may keep", "without its digest", &referrer] {
        assert!(text(&undecided).contains(part), "{part}: {}", text(&undecided));
    }
    let doubtful = stage.scan(&stage.image, &["--fail-on", "high", "-o", "json"]).ended(3).json();
    let doubt = doubtful["findings"][0]["vexDoubt"].as_str().unwrap();
    assert!(doubt.contains("without its digest") && doubt.contains(&referrer), "{doubt}");
    stage.state(&openvex("not_affected", 3));
    stage.judge(BY_CI, &[]).ended(0);
}

#[test]
fn cosign_s_tag_is_looked_at_too_and_the_same_twice_is_one() {
    for format in ["legacy", "both"] {
        let stage = Stage::vulnerable(Referrers::Off);
        let index = stage.manifests()[0].clone();
        let more = ["--format", format];
        stage.state_of(&index, &stage.token(), "openvex", &openvex("not_affected", 1), &more);
        let admitted = stage.judge(BY_CI, &[]).ended(0).json();
        let documents = admitted["vex"]["documents"].as_array().unwrap();
        assert_eq!(documents.len(), 1, "{admitted:#}");
        if format == "legacy" {
            let name = documents[0]["name"].as_str().unwrap();
            assert!(name.starts_with("tag sha256-") && name.ends_with(".att, layer 0"), "{name}");
        }
        stage.state_of(&index, &stage.token(), "openvex", &openvex("affected", 2), &more);
        stage.judge(BY_CI, &[]).ended(1);
    }
}

#[test]
fn a_key_attests_vex_as_well() {
    let stage = Stage::vulnerable(NATIVE);
    let (keys, other) = (stage.generate("cosign"), stage.generate("other"));
    let file = stage.write("vex.json", &openvex("not_affected", 1).to_string());
    let attest = ["--type", "openvex", "--predicate", &file, &stage.image];
    let rule = "vulnerabilities: {deny: [{severity: high}], unknownSeverity: ignore, vex: {by: [ours]}}";
    let judge = |keys| stage.gate_by_key(keys, rule, &["--db", OSV]);
    judge(&keys).ended(1);
    stage.sign_with("attest", &keys, Version::V1, &attest).ended(0);
    judge(&keys).ended(0);
    judge(&other).ended(1);
    let root = stage.files.trusted_root.to_str().unwrap();
    let scan = |key: &str| {
        let own = ["scan", &stage.image, "--db", OSV, "--attested-vex", "--key", key, "--trusted-root", root];
        stage.run(&[own.as_slice(), &["--fail-on", "high"]].concat())
    };
    scan(&keys.public).ended(0);
    scan(&other.public).ended(1);
}

#[test]
fn a_scan_applies_what_those_attest_who_are_named() {
    let stage = Stage::vulnerable(NATIVE);
    let own = ["scan", &stage.image, "--db", OSV, "--attested-vex"];
    let usage = stage.run(&own).ended(2);
    assert!(usage.err().contains("say who is to have signed") && usage.out().is_empty(), "{}", usage.err());
    // Who is named and asked for nothing is a mistake; a variable may be meant for other commands.
    for typed in [["--key", "k.pub"], ["--certificate-identity", WORKFLOW], ["--require", "all"]] {
        let usage = stage.run(&[&own[..4], &typed].concat()).ended(2);
        assert!(usage.err().contains(typed[0]) && usage.err().contains("--attested-vex"), "{}", usage.err());
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env_clear().env("HOME", stage.folder.path()).args(["scan", "oci:/nowhere", "--db", OSV]);
    let told = Run::of(command.env("PORTCULLIS_CERTIFICATE_IDENTITY", WORKFLOW)).err();
    assert!(told.contains("PORTCULLIS_CERTIFICATE_IDENTITY") && told.contains("--attested-vex"), "{told}");
    let fail = ["--fail-on", "high"];
    stage.scan(&stage.image, &fail).ended(1);
    stage.state(&openvex("not_affected", 1));
    let scanned = stage.scan(&stage.image, &["-o", "json"]).ended(0).json();
    assert_eq!(scanned["findings"], json!([]), "{scanned:#}");
    let stated = &scanned["suppressed"][0]["vex"][0];
    assert_eq!(stated["signedBy"]["certificate"]["name"], WORKFLOW, "{scanned:#}");
    stage.scan(&stage.image, &fail).ended(0);
    let shown = stage.scan(&stage.image, &["-v"]).ended(0).out();
    let words: Vec<&str> = shown.split_whitespace().collect();
    let shown = words.join(" ");
    assert!(shown.contains("signed by https://github.com/acme/app/"), "{shown}");
    // Without the option nothing that hangs there counts.
    stage.run(&["scan", &stage.image, "--db", OSV, "--fail-on", "high"]).ended(1);
    // What is seen of it no more is in doubt, and so is what it set aside.
    stage.registry.script(on("GET", "/referrers/").times(1_000), [Fault::bare(403)]);
    stage.scan(&stage.image, &fail).ended(1);
    stage.registry.unscript();
    stage.registry.script(on("GET", ".att").times(1_000), [Fault::bare(403)]);
    let doubtful = stage.scan(&stage.image, &[&fail[..], &["-o", "json"]].concat()).ended(3).json();
    assert!(doubtful["findings"][0]["vexDoubt"].as_str().unwrap().contains("a later statement may keep it"));
    assert_eq!(doubtful["unknown"][0]["what"], "vex", "{doubtful:#}");
    let shown = stage.scan(&stage.image, &[]).ended(0).out();
    assert!(shown.contains("not all VEX that hangs on the image could be looked at"), "{shown}");
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert!(words.join(" ").contains("CVE-2021-23337 (doubted) lodash"), "{shown}");
    let doubt =
        "In doubt CVE-2021-23337 in lodash: VEX sets it aside, and a later statement may keep it: not all";
    assert!(words.join(" ").contains(doubt), "{shown}");
    stage.scan(&stage.image, &["--fail-on", "critical"]).ended(0);
}

#[test]
fn the_referrers_of_a_layout_are_looked_at() {
    let stage = Stage::vulnerable(NATIVE);
    stage.state(&openvex("not_affected", 1));
    let layout = format!("oci:{}:v1", stage.folder.path().join("layout").display());
    stage.run(&["copy", "-q", &stage.image, &layout]).ended(0);
    stage.scan(&layout, &["--fail-on", "high"]).ended(0);
    let identity = ["--certificate-identity", "somebody@example.com", "--certificate-oidc-issuer", GITHUB];
    let root = stage.files.trusted_root.to_str().unwrap();
    let other = ["scan", &layout, "--db", OSV, "--attested-vex", "--trusted-root", root, "--fail-on", "high"];
    stage.run(&[other.as_slice(), &identity].concat()).ended(1);
    let document = stage.folder.path().join("app.cdx.json").display().to_string();
    let output = format!("cyclonedx={document}");
    stage.run(&["sbom", &layout, "--platform", "linux/amd64", "-o", &output]).ended(0);
    let usage = stage.scan(&format!("sbom:{document}"), &[]).ended(2);
    assert!(usage.err().contains("nothing hangs on an SBOM document"), "{}", usage.err());
    // A policy that asks for what is signed cannot be answered, and that is no fault of the document.
    let stage = Stage { image: format!("sbom:{document}"), ..stage };
    let undecided = stage.judge(BY_CI, &[]).ended(3);
    assert!(text(&undecided).contains("nothing hangs on an SBOM document"), "{}", text(&undecided));
    assert!(!text(&undecided).contains("could not be read"), "{}", text(&undecided));
}
