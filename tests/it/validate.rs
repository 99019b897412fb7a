//! `portcullis validate` and `explain`, run as a user would.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::support::cli::{Run, portcullis};
use crate::support::image::{Layout, image, layer, layout};
use crate::support::registry::{Fault, Hook, Registry, Switches, on};
use crate::support::{python, shared};

const APP: &str = "acme/app";
const AT: &str = "2026-11-01T00:00:00Z";

fn run(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), arguments)
}

fn validate(more: &[&str]) -> Run {
    run(&[&["validate", "--insecure-registry", "127.0.0.1", "--at", AT], more].concat())
}

fn two_platforms() -> Layout {
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64"]
        .map(|platform| built.add(image(platform).layer(layer("COPY . .").file("etc/motd", platform))));
    let index = built.index(platforms.to_vec());
    built.tag("v1", index);
    built
}

fn tags(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tags = document["tags"].as_array().unwrap();
    tags.iter().map(|tag| (text(&tag["tag"]), text(&tag["state"]))).collect()
}

#[test]
fn after_a_push_every_tag_points_to_the_image() {
    let registry = Registry::start(Switches::default());
    let digest = registry.push_layout(APP, "v1", &two_platforms());
    registry.tag(APP, "latest", &digest);
    let reference = registry.reference(APP, &digest);
    let all = validate(&[&reference, "--tags", "v1,latest", "-o", "json"]).ended(0).json();
    assert_eq!(tags(&all), [("v1".into(), "holds".into()), ("latest".into(), "holds".into())]);
    assert_eq!(all["tags"][0]["digest"], digest);
}

#[test]
fn a_tag_that_points_elsewhere_or_nowhere_is_broken() {
    let registry = Registry::start(Switches::default());
    let digest = registry.push_layout(APP, "v1", &two_platforms());
    let mut other = layout();
    let only = other.add(image("linux/amd64").layer(layer("ADD").file("etc/issue", "other")));
    other.tag("old", only);
    registry.push_layout(APP, "old", &other);
    let reference = registry.reference(APP, &digest);
    let options = ["--tags", "v1,old,none", "--wait", "1s", "-o", "json"];
    let document = validate(&[&[reference.as_str()], &options[..]].concat()).ended(1).json();
    let states: Vec<String> = tags(&document).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["holds", "broken", "broken"]);
    assert!(document["tags"][1]["causes"][0].as_str().unwrap().contains("points to sha256:"));
    let text = validate(&[&reference, "--tags", "old", "--wait", "1s"]).ended(1).out();
    assert!(text.contains("tag old  broken: it points to"), "{text}");
}

#[test]
fn a_registry_that_lags_is_waited_for() {
    let registry = Registry::start(Switches::default());
    let digest = registry.push_layout(APP, "v1", &two_platforms());
    let late = digest.clone();
    let appear: Hook = Arc::new(move |store| store.repository(APP).tag("late", &late));
    registry.script(on("GET", "/manifests/late").skip(2), [Fault::Before(appear)]);
    let reference = registry.reference(APP, &digest);
    let document = validate(&[&reference, "--tags", "late", "--wait", "30s", "-o", "json"]).ended(0).json();
    assert_eq!(tags(&document), [("late".into(), "holds".into())]);
    assert!(registry.count("GET", "/manifests/late") >= 3);
}

#[test]
fn a_tag_that_cannot_be_seen_is_unknown_and_a_layer_that_vanished_breaks_it() {
    let registry = Registry::start(Switches::default());
    let digest = registry.push_layout(APP, "v1", &two_platforms());
    let reference = registry.reference(APP, &digest);
    let options = ["--tags", "v1", "--wait", "1s", "-o", "json"];
    let arguments = [&[reference.as_str()], &options[..]].concat();
    registry.script(on("GET", "/manifests/v1").times(usize::MAX), [Fault::bare(403)]);
    let document = validate(&arguments).ended(3).json();
    assert_eq!(tags(&document), [("v1".into(), "unknown".into())]);
    assert_eq!(document["complete"], false);
    registry.unscript();
    registry.script(on("HEAD", "/blobs/").times(usize::MAX), [Fault::bare(404)]);
    let document = validate(&arguments).ended(1).json();
    assert_eq!(tags(&document), [("v1".into(), "broken".into())]);
}

#[test]
fn tags_are_for_one_image_in_a_registry() {
    validate(&["oci:testdata/demo/image", "--tags", "v1"]).ended(2);
    validate(&["127.0.0.1:1/acme/app:v1", "--tags", "a/b"]).ended(2);
    let offline = validate(&["127.0.0.1:1/acme/app:v1", "--tags", "v1", "--offline"]).ended(3);
    assert!(offline.out().contains("--offline"), "{}", offline.out());
}

#[test]
fn sarif_is_valid_by_the_published_schema() {
    let (Some(python), Some(schema)) = (python(), std::env::var_os("PORTCULLIS_SARIF_SCHEMA")) else {
        println!("skipped: PORTCULLIS_SARIF_SCHEMA names no schema");
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_TOOLS").is_none(), "the schema of SARIF is missing");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let mut images = vec!["testdata/demo/image".to_owned()];
    if let Some(broken) = shared("data/images/broken") {
        for name in [
            "01-layer-digest-wrong",
            "07-duplicate-json-key",
            "11-path-traversal",
            "22-foreign-and-unknown-layers",
        ] {
            images.push(broken.join(name).display().to_string());
        }
    }
    let mut script = Command::new(python);
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/validate_json.py")).arg(schema);
    for (n, image) in images.iter().enumerate() {
        let file = place.path().join(format!("{n}.sarif"));
        let code = validate(&[&format!("oci:{image}"), "-o", &format!("sarif={}", file.display())]).code();
        assert!([0, 1, 3].contains(&code), "{image}: {code}");
        script.arg(file);
    }
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn an_image_that_could_not_be_read_does_not_look_clean_to_code_scanning() {
    let registry = Registry::start(Switches::default());
    registry.push_layout(APP, "v1", &two_platforms());
    registry.script(on("GET", "/blobs/").times(usize::MAX), [Fault::bare(403)]);
    let sarif = validate(&[&registry.reference(APP, "v1"), "-o", "sarif"]).ended(3).json();
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
    assert!(!sarif["runs"][0]["results"].as_array().unwrap().is_empty());
}

#[test]
fn time_that_runs_out_is_told() {
    let registry = Registry::start(Switches { latency: Duration::from_millis(10), ..Switches::default() });
    registry.push_layout(APP, "v1", &two_platforms());
    registry.script(on("GET", "/manifests/").times(usize::MAX), [Fault::Hang]);
    let ended = validate(&[&registry.reference(APP, "v1"), "--timeout", "1s"]).ended(3);
    assert!(ended.out().contains("time-out"), "{}", ended.out());
}

/// Exit code and ids of high or above, for every broken image of the shared data, at a date on which their
/// base's release was kept up.
const BROKEN: &[(&str, i32, &[&str])] = &[
    ("01-layer-digest-wrong", 1, &["LYR-001"]),
    ("02-gzip-truncated", 1, &["LYR-005"]),
    ("03-diff-id-mismatch", 1, &["LYR-003"]),
    ("04-layer-size-mismatch", 1, &["LYR-002"]),
    ("05-layer-blob-missing", 3, &[]),
    ("06-config-blob-missing", 1, &["CFG-001"]),
    ("07-duplicate-json-key", 1, &["MAN-006"]),
    ("08-manifest-and-index", 1, &["MAN-004"]),
    ("09-index-points-to-itself", 1, &["IDX-002", "IDX-013", "MAN-001"]),
    ("10-index-nested-500", 1, &["IDX-006"]),
    ("11-path-traversal", 1, &["LYR-007", "LYR-008"]),
    ("12-gzip-bomb", 1, &["LYR-006"]),
    ("13-sparse-1TiB", 3, &[]),
    ("14-tar-100k-empty-entries", 0, &[]),
    ("15-symlink-loops", 0, &[]),
    ("16-invalid-utf8-names", 1, &["LYR-007"]),
    ("17-package-db-garbage", 0, &[]),
    ("18-rpmdb-garbage", 0, &[]),
    ("19-huge-and-deep-json", 0, &[]),
    ("20-manifest-5MB", 1, &["MAN-009"]),
    ("21-platform-disagrees", 1, &["CFG-005"]),
    ("22-foreign-and-unknown-layers", 1, &["CFG-003", "MAN-015"]),
    ("23-bad-digests", 1, &["CFG-003", "MAN-010"]),
    ("24-odd-whiteouts", 1, &["LYR-007"]),
    ("25-jar-bombs", 0, &[]),
    ("26-gzip-two-members", 0, &[]),
    ("27-gzip-trailing-garbage", 1, &["LYR-005"]),
    ("28-tar-after-end-marker", 1, &["LYR-005"]),
    ("29-index-json-bom-and-trailer", 1, &["MAN-007"]),
    ("30-no-layers", 0, &[]),
];

#[test]
fn every_broken_image_ends_as_it_must_and_for_the_right_reason() {
    let Some(broken) = shared("data/images/broken") else { return };
    for (name, code, ids) in BROKEN {
        let image = format!("oci:{}", broken.join(name).display());
        let ended = run(&["validate", &image, "--at", "2022-01-01T00:00:00Z", "-o", "json"]);
        let document = ended.json();
        let violations = document["violations"].as_array().unwrap();
        let grave =
            |violation: &&Value| ["high", "critical"].contains(&violation["severity"].as_str().unwrap());
        let mut found: Vec<&str> =
            violations.iter().filter(grave).map(|violation| violation["check"].as_str().unwrap()).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!((ended.code(), found.as_slice()), (*code, *ids), "{name}: {document:#}");
    }
}

/// What is high in images that are otherwise good, and true.
const TRUE: &[(&str, &[&str])] = &[
    // Alpine 3.12 and 3.14 get no updates since 2022 and 2023.
    ("alpine-3.12-multiarch", &["OPT-008"]),
    ("app-multi", &["OPT-008"]),
    ("app-multi-plain", &["OPT-008"]),
    ("app-multi-zstd", &["OPT-008"]),
    // SLE 15 SP3, which ended with 2022.
    ("rpm-sle15-bci-ndb", &["OPT-008"]),
];

#[test]
fn a_good_image_has_no_finding_of_high_that_is_not_true() {
    let Some(images) = shared("data/images") else { return };
    let mut names: Vec<String> = std::fs::read_dir(&images)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| images.join(name).join("index.json").exists())
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let image = format!("oci:{}", images.join(&name).display());
        let document = run(&["validate", &image, "--at", "2025-03-01T00:00:00Z", "-o", "json"]).json();
        let violations = document["violations"].as_array().unwrap();
        let grave =
            |violation: &&Value| ["high", "critical"].contains(&violation["severity"].as_str().unwrap());
        let mut found: Vec<&str> =
            violations.iter().filter(grave).map(|violation| violation["check"].as_str().unwrap()).collect();
        found.dedup();
        let want = TRUE.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, ids)| ids);
        assert_eq!(found, want, "{name}: {document:#}");
        assert_eq!(document["complete"], true, "{name}");
    }
}

/// What the built-in text of a base policy judges of an image that stands on `base`.
fn gated(home: &Path, registry: &Registry, image: &str, base: Option<&str>) -> Run {
    let base = base.map(|base| registry.reference("acme/base", base));
    gated_on(home, registry, image, base.as_deref())
}

fn gated_on(home: &Path, registry: &Registry, image: &str, base: Option<&str>) -> Run {
    let policy = home.join("policy.yaml");
    let rules = "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: any}\nrules:\n  - id: only\n    \
                 baseImage: {allow: ['127.0.0.1*/acme/base:*'], maxAge: 30d}\n";
    std::fs::write(&policy, rules).unwrap();
    let image = registry.reference(APP, image);
    let mut arguments = vec!["gate", &image, "--policy", policy.to_str().unwrap(), "--at", AT, "-o", "json"];
    arguments.extend(["--insecure-registry", "127.0.0.1"]);
    arguments.extend(base.iter().flat_map(|base| ["--base", *base]));
    portcullis(home, &arguments)
}

#[test]
fn an_image_is_known_to_stand_on_a_base_that_is_named() {
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::start(Switches::default());
    let os = || layer("ADD rootfs").file("etc/motd", "base");
    let mut base = layout();
    for (tag, created) in [("old", "2026-09-20T00:00:00Z"), ("new", "2026-10-20T00:00:00Z")] {
        let mut built = layout();
        let only = built.add(image("linux/amd64").layer(os()).created(created));
        built.tag(tag, only);
        registry.push_layout("acme/base", tag, &built);
        base = built;
    }
    let mut built = layout();
    let only = built.add(image("linux/amd64").layer(os()).layer(layer("COPY app /").file("app", "1")));
    built.tag("v1", only);
    registry.push_layout(APP, "v1", &built);
    gated(home.path(), &registry, "v1", Some("new")).ended(0);
    let old = gated(home.path(), &registry, "v1", Some("old")).ended(1);
    assert!(old.out().contains("was built 2026-09-20T00:00:00Z, more than 30d ago"), "{}", old.out());
    gated(home.path(), &registry, "v1", None).ended(3);
    let local = home.path().join("base");
    base.write(&local);
    let named = |name: &str| {
        let choice = format!("{name}oci:{}:new", local.display());
        gated_on(home.path(), &registry, "v1", Some(&choice))
    };
    named("").ended(1);
    named(&format!("{}=", registry.reference("acme/base", "12"))).ended(0);
    let gone = gated(home.path(), &registry, "v1", Some("gone")).ended(3);
    assert!(gone.out().contains("the base image "), "{}", gone.out());
}

#[test]
fn a_base_that_moved_on_is_told() {
    let registry = Registry::start(Switches::default());
    let mut base = layout();
    let only = base.add(image("linux/amd64").layer(layer("ADD rootfs").file("etc/motd", "new")));
    base.tag("12", only);
    let digest = registry.push_layout("acme/base", "12", &base);
    let reference = registry.reference("acme/base", "12");
    let honest = digest.replace("sha256:", "");
    let cases = [("0".repeat(64), true, false), (honest.clone(), false, false), ("0".repeat(64), true, true)];
    for (claimed, want, annotated) in cases {
        let mut built = layout();
        let labels = |digest: &str| {
            serde_json::json!({
                "org.opencontainers.image.base.name": reference,
                "org.opencontainers.image.base.digest": format!("sha256:{digest}"),
            })
        };
        // Where the manifest says one thing and the configuration another, the manifest counts.
        let execution = serde_json::json!({"Labels": labels(if annotated { &honest } else { &claimed })});
        let only =
            image("linux/amd64").layer(layer("ADD rootfs").file("etc/motd", "old")).execution(execution);
        let only = if annotated { built.add_annotated(only, labels(&claimed)) } else { built.add(only) };
        built.tag("v1", only);
        registry.push_layout(APP, "v1", &built);
        let image = registry.reference(APP, "v1");
        let document = validate(&[&image, "--base", &reference, "-o", "json"]).json();
        let told = document["violations"].to_string().contains("built on another image than");
        assert_eq!(told, want, "{document}");
    }
}
