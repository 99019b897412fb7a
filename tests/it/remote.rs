//! `portcullis gate`, `scan` and `sbom` on images in registries, run as a user would.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::model::digest::Digest;
use serde_json::{Value, json};

use crate::support::cli::{Run, portcullis};
use crate::support::docker_registry::DockerRegistry;
use crate::support::image::{image, layer, layout};
use crate::support::registry::{Auth, Fault, Hook, PASSWORD, Registry, Switches, USER, on};
use crate::support::skopeo::{Access, skopeo};

const APP: &str = "acme/app";
const DEMO: &str = "testdata/demo/image";
const OSV: &str = "testdata/demo/osv";
const POLICY: &str = "\
apiVersion: portcullis.dev/v1
kind: Policy
metadata: {name: any}
rules:
  - id: only
    RULE
";
const AT: &str = "2026-02-01T00:00:00Z";

/// A home in which somebody logged in to that registry.
fn logged_in(address: &str, password: &str) -> tempfile::TempDir {
    use base64::Engine as _;
    let home = tempfile::tempdir().unwrap();
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    let config = json!({"auths": {address: {"auth": login}}}).to_string();
    std::fs::create_dir(home.path().join(".docker")).unwrap();
    std::fs::write(home.path().join(".docker/config.json"), config).unwrap();
    home
}

fn run(home: &Path, arguments: &[&str]) -> Run {
    portcullis(home, &[arguments, &["--insecure-registry", "127.0.0.1"]].concat())
}

/// Gates by a policy that admits what could be read and does not lie.
fn gate(home: &Path, reference: &str) -> Run {
    let policy = home.join("policy.yaml");
    std::fs::write(&policy, POLICY.replace("RULE", "size: {layersMax: 40}")).unwrap();
    run(home, &["gate", reference, "--policy", policy.to_str().unwrap(), "-o", "json"])
}

fn two_platforms() -> crate::support::image::Layout {
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64"]
        .map(|platform| built.add(image(platform).layer(layer("COPY . .").file("etc/motd", platform))));
    let index = built.index(platforms.to_vec());
    built.tag("v1", index);
    built
}

fn faults(verdict: &Value) -> String {
    verdict["faults"].to_string()
}

#[test]
fn an_image_on_ghcr_has_the_verdict_of_its_layout() {
    let registry = Registry::start(Switches::ghcr());
    let digest = registry.push_directory(APP, "v1", Path::new(DEMO));
    let home = logged_in(registry.address(), PASSWORD);
    let reference = registry.reference(APP, "v1");
    let more = ["--db", OSV, "--at", AT, "-o", "json"];
    let mut remote = run(home.path(), &[&["gate", &reference], &more[..]].concat()).ended(1).json();
    assert_eq!(remote["image"]["digest"], digest);
    let mut local =
        run(home.path(), &[&["gate", &format!("oci:{DEMO}"), "--as", &reference], &more[..]].concat())
            .ended(1)
            .json();
    for verdict in [&mut local, &mut remote] {
        verdict["image"]["reference"] = Value::Null;
    }
    assert_eq!(local, remote);
    assert!(registry.leaks().is_empty(), "{:?}", registry.leaks());
    // Every document once: nothing is pulled twice, and nothing a second time by its tag.
    // The first request is sent again with the token that it was told to get.
    let mut manifests: Vec<String> = registry
        .requests()
        .iter()
        .filter(|seen| seen.target.contains("/manifests/"))
        .map(|seen| seen.target.clone())
        .collect();
    let all = manifests.len();
    manifests.sort();
    manifests.dedup();
    assert_eq!(manifests.len(), all - 1, "{manifests:?}");
}

#[test]
fn an_sbom_and_a_scan_name_the_digest_that_was_read() {
    let registry = Registry::start(Switches::default());
    let digest = registry.push_directory(APP, "v1", Path::new(DEMO));
    let home = tempfile::tempdir().unwrap();
    let reference = registry.reference(APP, "v1");
    let sbom = run(home.path(), &["sbom", &reference, "--platform", "linux/amd64", "-o", "inventory"]);
    let sbom = sbom.ended(0).json();
    assert_eq!(sbom["image"]["digest"], digest);
    assert_eq!(sbom["image"]["reference"], reference);
    let scan = run(home.path(), &["scan", &reference, "--db", OSV, "-o", "json"]).ended(0).json();
    assert_eq!(scan["image"]["digest"], digest);
    assert!(!scan["findings"].as_array().unwrap().is_empty());
    // A platform that is not there is the user's to correct.
    let missing = run(home.path(), &["sbom", &reference, "--platform", "linux/s390x"]).ended(2);
    assert!(missing.err().contains("it has linux/amd64"), "{}", missing.err());
}

#[test]
fn what_skopeo_pushed_to_docker_registry_is_gated_by_reference() {
    let Some(skopeo) = skopeo() else { return };
    let folder = tempfile::tempdir().unwrap();
    two_platforms().write(folder.path());
    for registry in [DockerRegistry::plain(), DockerRegistry::tls()] {
        let Some(registry) = registry else { return };
        let login = registry.certificates().map(|_| format!("{USER}:{PASSWORD}"));
        let access = Access { password: login, certificates: registry.certificates() };
        let reference = registry.reference(APP, "v1");
        skopeo.push(folder.path(), "v1", &reference, &access);
        let home = logged_in(registry.address(), PASSWORD);
        let settings = registry.certificates().map_or(String::new(), |certificates| {
            format!("[host.\"{}\"]\nca = \"{}\"\n", registry.address(), certificates.join("ca.crt").display())
        });
        let file = home.path().join("registries.toml");
        std::fs::write(&file, settings).unwrap();
        let policy = home.path().join("policy.yaml");
        let rule = "platforms: {require: [linux/amd64, linux/arm64]}";
        std::fs::write(&policy, POLICY.replace("RULE", rule)).unwrap();
        let plain =
            if registry.certificates().is_none() { &["--insecure-registry", "127.0.0.1"][..] } else { &[] };
        let arguments = [
            "gate",
            &reference,
            "--policy",
            policy.to_str().unwrap(),
            "--registry-settings",
            file.to_str().unwrap(),
            "-o",
            "json",
        ];
        let verdict = portcullis(home.path(), &[&arguments[..], plain].concat()).ended(0).json();
        assert_eq!(verdict["image"]["platforms"].as_array().map(Vec::len), Some(2), "{verdict}");
        let raw = skopeo.inspect_raw(&reference, &access);
        assert_eq!(verdict["image"]["digest"], Digest::sha256(&raw).to_string());
    }
}

#[test]
fn a_tag_that_moves_while_the_image_is_read_changes_nothing() {
    let registry = Registry::start(Switches::default());
    let old = registry.push_layout(APP, "v1", &two_platforms());
    let mut other = layout();
    let new = other.add(image("linux/amd64").layer(layer("ADD").file("etc/issue", "new")));
    other.tag("v2", new);
    let new = registry.push_layout(APP, "v2", &other);
    let moved: Hook = Arc::new(move |store| store.repository(APP).tag("v1", &new));
    registry.script(on("GET", "/blobs/").times(1), [Fault::Before(moved)]);
    let home = tempfile::tempdir().unwrap();
    let verdict = gate(home.path(), &registry.reference(APP, "v1")).ended(0).json();
    assert_eq!(verdict["image"]["digest"], old);
    assert_eq!(verdict["image"]["platforms"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_layer_that_was_spoiled_on_the_way_is_read_again_and_a_layer_that_lies_denies() {
    for (faults_given, times, code, said) in [
        (Fault::Corrupt(20), 1, 0, ""),
        (Fault::Corrupt(20), usize::MAX, 1, "LYR-001"),
        (Fault::Length(1 << 30), usize::MAX, 1, "LYR-002"),
        (Fault::Endless, usize::MAX, 1, "LYR-002"),
        (Fault::Cut(10), 3, 0, ""),
        (Fault::bare(500), usize::MAX, 3, "500"),
        (Fault::error(404, "BLOB_UNKNOWN", "gone"), usize::MAX, 3, "not found"),
    ] {
        // What was read once is known by its digest, whatever is served later.
        let home = tempfile::tempdir().unwrap();
        let registry = Registry::start(Switches::default());
        let mut built = layout();
        let big: Vec<u8> =
            (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let only = built.add(image("linux/amd64").layer(layer("COPY . .").file("opt/data", &big)));
        built.tag("v1", only);
        registry.push_layout(APP, "v1", &built);
        let pulled = registry.manifest(APP, "v1").unwrap().2;
        let manifest: Value = serde_json::from_slice(&pulled).unwrap();
        let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
        let layer = on("GET", &digest);
        registry.script(layer.times(times), [faults_given]);
        let reference = registry.reference(APP, "v1");
        let verdict = gate(home.path(), &reference);
        assert_eq!(verdict.code(), code, "{said}: {}", verdict.out());
        let faults = faults(&verdict.json());
        assert!(faults.contains(said), "{said}: {faults}");
    }
}

#[test]
fn without_network_nothing_is_asked() {
    let registry = Registry::start(Switches::default());
    registry.push_layout(APP, "v1", &two_platforms());
    let home = tempfile::tempdir().unwrap();
    let reference = registry.reference(APP, "v1");
    for arguments in [
        &["gate", &reference, "--offline"][..],
        &["scan", &reference, "--offline"],
        &["sbom", &reference, "--offline"],
    ] {
        let ended = run(home.path(), arguments).ended(3);
        assert!(format!("{}{}", ended.out(), ended.err()).contains("--offline"), "{}", ended.err());
    }
    assert!(registry.requests().is_empty());
}

#[test]
fn every_failure_has_its_own_words_and_ends_with_3() {
    let home = tempfile::tempdir().unwrap();
    let private = Registry::start(Switches::ghcr());
    private.push_layout(APP, "v1", &two_platforms());
    let open = Registry::start(Switches::default());
    open.push_layout(APP, "v1", &two_platforms());
    open.push_layout("acme/html", "v1", &two_platforms());
    open.script(on("GET", "acme/html/manifests"), [Fault::Html]);
    let said = |home: &Path, reference: &str| gate(home, reference).ended(3).out();
    let text = said(home.path(), &private.reference(APP, "v1"));
    assert!(text.contains("private") && text.contains("not exist"), "{text}");
    let wrong = logged_in(private.address(), "wrong");
    let text = said(wrong.path(), &private.reference(APP, "v1"));
    assert!(text.contains("credentials") || text.contains("password"), "{text}");
    let text = said(home.path(), &open.reference(APP, "nothing"));
    assert!(text.contains("not found"), "{text}");
    let text = said(home.path(), &open.reference("acme/html", "v1"));
    assert!(text.contains("web page"), "{text}");
    let text = said(home.path(), "portcullis-test.invalid/acme/app:v1");
    assert!(text.contains("cannot be resolved"), "{text}");
}

#[test]
fn settings_that_cannot_be_used_are_the_users_to_correct() {
    let registry = Registry::start(Switches::default());
    registry.push_layout(APP, "v1", &two_platforms());
    let home = tempfile::tempdir().unwrap();
    let reference = registry.reference(APP, "v1");
    for arguments in [
        &["--registry-settings", "/nowhere/registries.toml"][..],
        &["--registry-ca", "/nowhere/ca.pem"],
        &["--timeout", "soon"],
        &["--as", "ghcr.io/acme/other:v1"],
    ] {
        run(home.path(), &[&["gate", &reference], arguments].concat()).ended(2);
    }
}

#[test]
fn the_wire_can_be_watched_without_its_secrets() {
    let registry = Registry::start(Switches::ghcr());
    registry.push_layout(APP, "v1", &two_platforms());
    let home = logged_in(registry.address(), PASSWORD);
    let run = run(home.path(), &["scan", &registry.reference(APP, "v1"), "--trace-http"]);
    let lines: Vec<String> = run.err().lines().map(str::to_owned).collect();
    assert!(
        lines.iter().any(|line| line.contains("/manifests/v1") && line.contains("status=200")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("authorization=bearer")), "{lines:?}");
    assert!(!run.err().contains(PASSWORD), "{}", run.err());
}

#[test]
fn time_that_runs_out_is_undecided() {
    let registry = Registry::start(Switches::default());
    registry.push_layout(APP, "v1", &two_platforms());
    registry.script(on("GET", "/blobs/"), [Fault::Hang]);
    let home = tempfile::tempdir().unwrap();
    let reference = registry.reference(APP, "v1");
    let ended = run(home.path(), &["gate", &reference, "--timeout", "2s", "-o", "json"]).ended(3);
    assert!(ended.out().contains("time-out"), "{}", ended.out());
}

#[test]
fn an_interrupt_ends_a_pull_that_hangs() {
    let registry = Registry::start(Switches { auth: Auth::None, ..Switches::default() });
    registry.push_layout(APP, "v1", &two_platforms());
    registry.script(on("GET", "/blobs/"), [Fault::Hang]);
    let home = tempfile::tempdir().unwrap();
    // Whoever runs the tests may ignore interrupts, as a shell does for what it starts in the background.
    let mut child = Command::new("/usr/bin/env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_portcullis")])
        .args(["gate", &registry.reference(APP, "v1"), "--insecure-registry", "127.0.0.1"])
        .env_clear()
        .env("HOME", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = |done: &mut dyn FnMut() -> bool| {
        let end = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until(&mut || registry.count("GET", "/blobs/") > 0);
    let sent = Command::new("/bin/kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let begun = Instant::now();
    let mut status = None;
    until(&mut || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(begun.elapsed() < Duration::from_secs(10));
    // Never 0, which would let the image in.
    assert!(!status.unwrap().success());
}
