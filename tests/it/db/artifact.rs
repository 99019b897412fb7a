//! `db push` and `db pull`: a snapshot through a registry, by digest or signed.

use std::process::Command;

use portcullis::model::digest::Digest;
use serde_json::Value;
use tempfile::TempDir;

use super::{Place, leftovers, place};
use crate::support::cli::Run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::registry::{Fault, Referrers, Registry, Switches, on};
use crate::support::sigstore::{Claims, Files, GITHUB, Sigstore, Version};

const NAME: &str = "acme/advisories";

fn filled() -> Place {
    let place = place();
    place.bucket.fill("npm", 300);
    place.bucket.fill("PyPI", 100);
    place.update(&["--all"]).ended(0);
    place
}

fn db(place: &Place, arguments: &[&str]) -> Run {
    place.db(&[arguments, &["--insecure-registry", "127.0.0.1"]].concat())
}

/// Whoever signs in these tests.
const SIGNER: [&str; 4] = [
    "--certificate-identity",
    "https://github.com/acme/advisories/.github/workflows/daily.yml@refs/heads/main",
    "--certificate-oidc-issuer",
    GITHUB,
];

/// The services that sign.
struct Signing {
    sigstore: Sigstore,
    files: Files,
    _folder: TempDir,
}

impl Signing {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sigstore = Sigstore::start();
        let files = sigstore.write(folder.path());
        Self { sigstore, files, _folder: folder }
    }

    fn trusted(&self) -> [&str; 2] {
        ["--trusted-root", self.files.trusted_root.to_str().unwrap()]
    }

    fn push(&self, place: &Place, arguments: &[&str]) -> Run {
        let token = self.sigstore.token(&Claims::github("acme/advisories", "daily.yml", "refs/heads/main"));
        let config = self.files.signing_config(Version::V1).to_str().unwrap();
        let services = ["push", "--sign", "--identity-token", &token, "--signing-config", config];
        db(place, &[&services[..], &self.trusted(), arguments].concat())
    }

    fn pull(&self, place: &Place, reference: &str, by: &[&str]) -> Run {
        db(place, &[&["pull", reference][..], by, &self.trusted()].concat())
    }
}

/// Pushes what is installed, and gives the reference by digest.
fn push(place: &Place, registry: &Registry) -> String {
    let pushed = db(place, &["push", &registry.reference(NAME, "latest"), "-q"]).ended(0).out();
    registry.reference(NAME, pushed.trim())
}

fn through(address: &str, registry_reference: impl Fn(&str) -> String) {
    let (from, to, signing) = (filled(), place(), Signing::start());
    let tag = registry_reference("latest");
    let pushed = signing.push(&from, &[&tag, "-q"]).ended(0).out();
    let digest = pushed.trim().to_owned();
    assert!(digest.starts_with("sha256:"), "{digest} of {address}");
    let run = signing.pull(&to, &tag, &SIGNER).ended(0);
    assert!(run.out().contains(&digest), "{}", run.out());
    assert_eq!(to.id(), from.id());
    to.db(&["verify"]).ended(0);
    assert_eq!(leftovers(&to.directory()), [""; 0]);
    // By digest, onto what is the same already; and from what was pulled the same artifact is pushed.
    db(&to, &["pull", &registry_reference(&digest), "-q"]).ended(0);
    assert_eq!(db(&to, &["push", &registry_reference("again"), "-q"]).ended(0).out().trim(), digest);
    // What was pulled is brought up to date as what was fetched.
    from.bucket.touch("npm", 3, "2026-02-01T00:00:00Z", "3.0.0");
    to.db(&["update", "--from", &from.bucket.url()]).ended(0);
    assert_eq!(to.fixed("npm", "package-3")["GHSA-00003"], "3.0.0");
    assert_eq!(from.bucket.count("npm/all.zip"), 1, "no second archive");
}

#[test]
fn a_snapshot_goes_through_a_registry() {
    let registry = Registry::start(Switches::default());
    through(registry.address(), |target| registry.reference(NAME, target));
}

#[test]
fn a_snapshot_goes_through_docker_registry() {
    let Some(registry) = DockerRegistry::plain() else { return };
    through(registry.address(), |target| registry.reference(NAME, target));
}

/// Whoever names a digest means that snapshot: nothing is signed under it that is another one.
#[test]
fn a_push_to_the_digest_of_another_snapshot_signs_nothing() {
    let registry = Registry::start(Switches::default());
    let (place, signing) = (filled(), Signing::start());
    let other = registry.reference(NAME, &Digest::sha256(b"another snapshot").to_string());
    let run = signing.push(&place, &[&other]).ended(2);
    assert!(run.err().contains("neither pushed nor signed"), "{}", run.err());
    assert_eq!(signing.sigstore.certificates(), 0);
    assert_eq!(registry.count("PUT", "/manifests/"), 0);
    // Its own digest it may be pushed to.
    let own = db(&place, &["push", &registry.reference(NAME, "latest"), "-q"]).ended(0).out();
    signing.push(&place, &[&registry.reference(NAME, own.trim())]).ended(0);
    assert_eq!(signing.sigstore.certificates(), 1);
}

#[test]
fn a_tag_is_pulled_only_by_whom_it_is_signed() {
    for referrers in [Referrers::Native { page_size: 100 }, Referrers::Off] {
        let registry = Registry::start(Switches { referrers, ..Switches::default() });
        let (from, signing) = (filled(), Signing::start());
        let tag = registry.reference(NAME, "latest");
        let refused = |by: &[&str], exit: i32, words: &str| {
            let place = place();
            let run = signing.pull(&place, &tag, by).ended(exit);
            assert!(run.err().contains(words), "`{words}` is not in: {}", run.err());
            assert!(!place.directory().join("snapshot.json").exists());
        };
        signing.push(&from, &[&tag]).ended(0);
        signing.pull(&place(), &tag, &SIGNER).ended(0);
        refused(&[], 2, "by its digest");
        let other = ["--certificate-identity", "https://github.com/acme/other", SIGNER[2], SIGNER[3]];
        refused(&other, 1, "none of those who were named");
        // By a root that does not know these services.
        let run = db(&place(), &[&["pull", &tag][..], &SIGNER].concat()).ended(3);
        assert!(run.err().contains("cannot all be told"), "{}", run.err());
        // Attack: the tag moves to what nobody signed, without the advisories for npm.
        let less = place();
        less.bucket.fill("PyPI", 100);
        less.update(&["--all"]).ended(0);
        db(&less, &["push", &tag]).ended(0);
        refused(&SIGNER, 1, "nobody has signed it");
        // It moves back.
        signing.push(&from, &[&tag]).ended(0);
        signing.pull(&place(), &tag, &SIGNER).ended(0);
        // The digest is pinned and is asked for its signer all the same.
        let pinned = push(&less, &registry);
        db(&place(), &["pull", &pinned]).ended(0);
        signing.pull(&place(), &pinned, &SIGNER).ended(1);
    }
}

#[test]
fn a_tag_is_pulled_only_where_as_many_have_signed_as_are_required() {
    let registry = Registry::start(Switches::default());
    let (from, signing, tag) = (filled(), Signing::start(), registry.reference(NAME, "latest"));
    let file = from.home.path().join("identities.yaml");
    let text = "daily: {github: acme/advisories, workflow: .github/workflows/daily.yml}\n\
                review: {github: acme/review}\nanybody: {github: 'acme/*'}\n";
    std::fs::write(&file, text).unwrap();
    let pull = |more: &[&str]| {
        let by = ["--identities", file.to_str().unwrap()];
        signing.pull(&place(), &tag, &[&by[..], more].concat())
    };
    let both = ["--identity", "daily", "--identity", "review", "--require", "all"];
    signing.push(&from, &[&tag]).ended(0);
    pull(&[]).ended(0);
    let told = pull(&both).ended(1).err();
    assert!(told.contains("1 of 2") && told.contains("`review`"), "{told}");
    // Attack: one signer who is two of those that are named.
    pull(&["--identity", "daily", "--identity", "anybody", "--require", "2"]).ended(1);
    // The other one signs the same artifact.
    let token = signing.sigstore.token(&Claims::github("acme/review", "x.yml", "refs/heads/main"));
    let config = signing.files.signing_config(Version::V1).to_str().unwrap();
    let services = ["push", "--sign", "--identity-token", &token, "--signing-config", config, &tag];
    db(&from, &[&services[..], &signing.trusted()].concat()).ended(0);
    pull(&both).ended(0);
    // Somebody is required, and nobody named.
    let pinned = push(&from, &registry);
    signing.pull(&place(), &pinned, &["--require", "2"]).ended(2);
    registry.script(on("GET", "/referrers/").always(), [Fault::Status(403)]);
    pull(&both).ended(3);
}

#[test]
fn a_key_signs_a_snapshot() {
    let registry = Registry::start(Switches::default());
    let (from, signing, tag) = (filled(), Signing::start(), registry.reference(NAME, "latest"));
    let keyed = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).args(signing.trusted()).env_clear().env("PORTCULLIS_KEY_PASSWORD", "word");
        Run::of(command.env("HOME", from.home.path()).current_dir(from.home.path()))
    };
    let mut generate = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    generate.args(["generate-key"]).env_clear().env("PORTCULLIS_KEY_PASSWORD", "word");
    Run::of(generate.current_dir(from.home.path())).ended(0);
    let (directory, config) = (from.directory(), signing.files.signing_config(Version::V1));
    let (directory, config) = (directory.to_str().unwrap(), config.to_str().unwrap());
    let insecure = ["--insecure-registry", "127.0.0.1"];
    let push = ["db", "push", &tag, "--db", directory, "--sign", "--signing-config", config];
    keyed(&[&push[..], &["--key", "cosign.key"], &insecure].concat()).ended(0);
    let public = from.home.path().join("cosign.pub");
    let public = public.to_str().unwrap();
    signing.pull(&place(), &tag, &["--key", public]).ended(0);
    signing.pull(&place(), &tag, &SIGNER).ended(1);
}

#[test]
fn a_tag_stays_where_it_is_when_signing_fails() {
    let registry = Registry::start(Switches::default());
    let (from, signing, tag) = (filled(), Signing::start(), registry.reference(NAME, "latest"));
    let digest = signing.push(&from, &[&tag, "-q"]).ended(0).out();
    from.bucket.touch("npm", 3, "2026-02-01T00:00:00Z", "3.0.0");
    from.update(&[]).ended(0);
    // Nobody to sign.
    let before = registry.requests().len();
    db(&from, &["push", &tag, "--sign", "--identity-token", "no-token"]).ended(3);
    assert_eq!(registry.requests().len(), before, "nothing was pushed");
    // Signatures that the root does not accept.
    let token = signing.sigstore.token(&Claims::github("acme/advisories", "daily.yml", "refs/heads/main"));
    let config = signing.files.signing_config(Version::V1).to_str().unwrap();
    let services = ["push", &tag, "--sign", "--identity-token", &token, "--signing-config", config];
    let run = db(&from, &services).ended(3);
    assert!(
        run.err().contains("its signature was not made or not seen")
            && run.err().contains("no tag was written"),
        "{}",
        run.err()
    );
    let pulled = signing.pull(&place(), &tag, &[&SIGNER[..], &["-q"]].concat()).ended(0);
    assert_eq!(pulled.out(), digest);
    // The same again goes on from there.
    signing.push(&from, &[&tag]).ended(0);
    let to = place();
    signing.pull(&to, &tag, &SIGNER).ended(0);
    assert_eq!(to.id(), from.id());
}

#[test]
fn signatures_that_cannot_be_seen_are_not_taken_for_none() {
    let registry =
        Registry::start(Switches { referrers: Referrers::Native { page_size: 100 }, ..Switches::default() });
    let (from, signing, tag) = (filled(), Signing::start(), registry.reference(NAME, "latest"));
    signing.push(&from, &[&tag]).ended(0);
    registry.script(on("GET", "/referrers/").always(), [Fault::Status(403)]);
    let run = signing.pull(&place(), &tag, &SIGNER).ended(3);
    assert!(run.err().contains("cannot all be told"), "{}", run.err());
    registry.unscript();
    signing.pull(&place(), &tag, &SIGNER).ended(0);
}

#[test]
fn an_older_snapshot_is_refused_unless_asked_for() {
    let registry = Registry::start(Switches::default());
    let place = filled();
    let reference = push(&place, &registry);
    place.bucket.touch("npm", 3, "2026-02-01T00:00:00Z", "3.0.0");
    place.update(&[]).ended(0);
    let new = place.id();
    let run = db(&place, &["pull", &reference]).ended(3);
    for words in ["older", "npm", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "--allow-older"] {
        assert!(run.err().contains(words), "{words} is not in: {}", run.err());
    }
    assert_eq!(place.id(), new);
    db(&place, &["pull", &reference, "--allow-older"]).ended(0);
    assert_ne!(place.id(), new);
    assert_eq!(place.fixed("npm", "package-3")["GHSA-00003"], "1.0.0");
}

#[test]
fn what_a_pulled_snapshot_lacks_stays_installed() {
    let registry = Registry::start(Switches::default());
    let (from, to) = (place(), place());
    from.bucket.fill("npm", 50);
    from.update(&["--all"]).ended(0);
    to.bucket.fill("PyPI", 50);
    to.update(&["--all"]).ended(0);
    let reference = push(&from, &registry);
    let run = db(&to, &["pull", &reference]).ended(0);
    assert!(run.err().contains("kept as installed: PyPI"), "{}", run.err());
    assert_eq!((to.ids("npm").len(), to.ids("PyPI").len()), (50, 50));
}

/// Edits the manifest, the document and so on of what was pushed, and pushes it again by hand.
fn edited(registry: &Registry, tag: &str, edit: impl Fn(&mut Value, &mut Value)) -> String {
    let (_, media_type, bytes) = registry.manifest(NAME, tag).unwrap();
    let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let config = registry.blob(NAME, manifest["config"]["digest"].as_str().unwrap()).unwrap();
    let mut document: Value = serde_json::from_slice(&config).unwrap();
    edit(&mut manifest, &mut document);
    let document = serde_json::to_vec(&document).unwrap();
    let digest = registry.put_blob(NAME, &document);
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = document.len().into();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::sha256(&bytes).to_string();
    let target = format!("/v2/{NAME}/manifests/{digest}");
    let headers = [("content-type", media_type.as_str())];
    crate::support::wire::send(registry.address(), "PUT", &target, &headers, &bytes).status(201);
    registry.reference(NAME, &digest)
}

#[test]
fn an_artifact_that_lies_is_refused_and_changes_nothing() {
    let registry = Registry::start(Switches::default());
    let (from, to) = (filled(), filled());
    to.bucket.touch("PyPI", 1, "2025-01-01T00:00:00Z", "3.0.0");
    db(&from, &["push", &registry.reference(NAME, "latest")]).ended(0);
    let before = to.id();
    let refused = |reference: &str, words: &str| {
        let place = place();
        let run = db(&place, &["pull", reference]).ended(3);
        assert!(run.err().contains(words), "`{words}` is not in: {}", run.err());
        assert!(!place.directory().join("snapshot.json").exists());
        db(&to, &["pull", reference]);
        assert_eq!(to.id(), before);
    };
    type Edit = fn(&mut Value, &mut Value);
    let cases: &[(&str, Edit)] = &[
        ("update portcullis", |manifest, _| {
            manifest["artifactType"] = "application/vnd.portcullis.snapshot.v2".into();
        }),
        ("no advisory snapshot", |manifest, _| manifest["artifactType"] = "application/x".into()),
        ("update portcullis", |_, document| document["schema"] = "portcullis.dev/snapshot/v2".into()),
        ("another than its document says", |_, document| {
            document["ecosystems"]["npm"]["newest"] = "2026-11-01T00:00:00Z".into();
        }),
        ("another than its document says", |_, document| document["ecosystems"]["npm"]["records"] = 1.into()),
        ("that were promised", |_, document| document["ecosystems"]["npm"]["size"] = 10.into()),
        ("has no layer for PyPI", |manifest, _| {
            manifest["layers"].as_array_mut().unwrap().retain(|layer| layer.to_string().contains("npm"));
        }),
        ("does not name", |_, document| {
            document["ecosystems"].as_object_mut().unwrap().remove("npm");
        }),
        ("two layers", |manifest, _| {
            let first = manifest["layers"][0].clone();
            manifest["layers"].as_array_mut().unwrap().push(first);
        }),
        ("not named after its digest", |_, document| {
            document["ecosystems"]["npm"]["file"] = "../../npm.segment".into();
        }),
        ("no name of an ecosystem", |_, document| {
            let npm = document["ecosystems"]["npm"].clone();
            document["ecosystems"]["../x"] = npm;
        }),
        ("segment of another ecosystem", |manifest, document| {
            // The segment of another ecosystem under this one's name.
            let digest = document["ecosystems"]["npm"]["digest"].as_str().unwrap().to_owned();
            let hex = digest.strip_prefix("sha256:").unwrap();
            let mut pypi = document["ecosystems"]["npm"].clone();
            let file = format!("PyPI-{hex}.segment");
            pypi["file"] = file.clone().into();
            document["ecosystems"]["PyPI"] = pypi;
            let mut layer = manifest["layers"][1].clone();
            layer["annotations"]["org.opencontainers.image.title"] = file.into();
            manifest["layers"][0] = layer;
        }),
    ];
    for (words, edit) in cases {
        refused(&edited(&registry, "latest", edit), words);
    }
}

#[test]
fn a_layer_that_is_spoiled_on_the_way_is_refused() {
    let registry = Registry::start(Switches::default());
    let from = filled();
    let reference = push(&from, &registry);
    let (_, _, bytes) = registry.manifest(NAME, "latest").unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    for fault in [Fault::Corrupt(200), Fault::Corrupt(5), Fault::Body(vec![0; 10]), Fault::Endless] {
        registry.script(on("GET", &layer).always(), [fault]);
        let place = place();
        let run = db(&place, &["pull", &reference]).ended(3);
        assert!(!place.directory().join("snapshot.json").exists(), "{}", run.err());
        registry.unscript();
    }
    let place = place();
    db(&place, &["pull", &reference]).ended(0);
    assert_eq!(place.id(), from.id());
}

#[test]
fn there_must_be_something_to_push_and_a_network() {
    let registry = Registry::start(Switches::default());
    let place = place();
    let reference = registry.reference(NAME, "latest");
    assert!(db(&place, &["push", &reference]).ended(3).err().contains("no snapshot"));
    let filled = filled();
    assert!(filled.db(&["push", &reference, "--offline"]).ended(3).err().contains("--offline"));
    assert!(filled.db(&["pull", &reference, "--offline"]).ended(3).err().contains("--offline"));
    let nowhere = registry.reference(NAME, &Digest::sha256(b"nothing").to_string());
    let run = db(&place, &["pull", &nowhere]).ended(3);
    assert!(run.err().contains("not found"), "{}", run.err());
}

#[test]
fn a_much_smaller_snapshot_is_refused_unless_asked_for() {
    let registry = Registry::start(Switches::default());
    let (from, to) = (place(), filled());
    from.bucket.fill("npm", 100);
    from.update(&["--all"]).ended(0);
    let reference = push(&from, &registry);
    let run = db(&to, &["pull", &reference]).ended(3);
    for words in ["npm has 100 records, the installed one has 300", "--allow-older"] {
        assert!(run.err().contains(words), "{words} is not in: {}", run.err());
    }
    assert_eq!(to.ids("npm").len(), 300);
    db(&to, &["pull", &reference, "--allow-older"]).ended(0);
    assert_eq!(to.ids("npm").len(), 100);
}
