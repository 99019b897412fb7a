//! `portcullis copy`: whole images between registries and layouts, and what may go wrong on the way.

mod peers;

use std::path::Path;

use portcullis::gate::{Copied, CopyError, CopyRequest, copy};
use portcullis::image::limits::Limits;
use portcullis::model::digest::Digest;
use portcullis::registry::Registry as Client;
use serde_json::{Value, json};

use crate::registry::settings;
use crate::support::Quiet;
use crate::support::cli::portcullis;
use crate::support::image::{image, layer, layout, write_files};
use crate::support::registry::{
    EMPTY, Entries, Fault, Hint, INDEX, MANIFEST, Referrers, Registry, Switches, on,
};
use crate::support::signatures::{self, BUNDLE};

const APP: &str = "acme/app";
const COPY: &str = "mirror/app";
const SBOM: &str = "application/vnd.cyclonedx+json";

/// Copies, with little patience.
fn try_copy(source: &str, destination: &str) -> Result<Copied, CopyError> {
    let client = Client::new(settings()).unwrap();
    let request = CopyRequest {
        source: &source.parse().unwrap(),
        destination: &destination.parse().unwrap(),
        registry: Some(&client),
        referrers: true,
        limits: &Limits::default(),
    };
    copy(&request, &Quiet)
}

/// The same where nothing may be left out.
fn all(source: &str, destination: &str) -> Copied {
    let copied = try_copy(source, destination).unwrap();
    assert_eq!((copied.problems.as_slice(), copied.omitted.as_slice()), (&[][..], &[][..]));
    copied
}

/// What a test puts on a registry: digests of the index, of what hangs on it, and cosign's tags.
struct Signed {
    index: String,
    platform: String,
    hanging: Vec<(String, String)>,
    tags: Vec<String>,
}

/// Two platforms with BuildKit's attestations (the same bytes for both), one of them in an index of its own; signatures on the index
/// and on a platform, an SBOM, a signature on the SBOM; and cosign's older tags.
fn signed(registry: &Registry) -> Signed {
    let mut built = layout();
    let shared = || layer("COPY . .").file("etc/motd", "the same on both");
    let amd64 = built.add(image("linux/amd64").layer(shared()).layer(layer("RUN a").file("a", "amd64")));
    let arm64 = built.add(image("linux/arm64").layer(shared()));
    let (first, second) = (built.attestation(&amd64), built.attestation(&arm64));
    let inner = built.index(vec![arm64, second]);
    let platform = amd64["digest"].as_str().unwrap().to_owned();
    let index = built.index(vec![amd64, first, inner]);
    built.tag("v1", index);
    let index = registry.push_layout(APP, "v1", &built);
    let mut hanging = Vec::new();
    let mut add = |subject: &str, kind: &str, payload: &str| {
        let descriptor = registry.add_referrer(APP, subject, kind, payload.as_bytes());
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        hanging.push((subject.to_owned(), digest.clone()));
        (descriptor, digest)
    };
    let (bundle, _) = add(&index, BUNDLE, "signature of the index");
    let (sbom, sbom_digest) = add(&platform, SBOM, "sbom of a platform");
    let (on_sbom, _) = add(&sbom_digest, BUNDLE, "signature of the sbom");
    for (subject, listed) in [(&index, bundle), (&platform, sbom), (&sbom_digest, on_sbom)] {
        registry.set_fallback(APP, subject, &[listed], Entries::Ghcr);
    }
    let tags =
        vec![legacy(registry, APP, &index, "sig", &["one"]), legacy(registry, APP, &platform, "att", &["a"])];
    Signed { index, platform, hanging, tags }
}

/// Puts signatures under a tag of cosign's; the tag.
fn legacy(registry: &Registry, repository: &str, subject: &str, suffix: &str, signed: &[&str]) -> String {
    let annotate = |signature: &&str| json!({"dev.cosignproject.cosign/signature": signature});
    let annotations: Vec<Value> = signed.iter().map(annotate).collect();
    signatures::legacy(registry, repository, subject, suffix, &annotations);
    format!("{}.{suffix}", subject.replace(':', "-"))
}

/// Everything of [`signed`] is in a repository, byte for byte, and readers find it.
fn check(from: &Registry, to: &Registry, signed: &Signed) {
    let client = Client::new(settings()).unwrap();
    let repository = client.repository(&to.reference(COPY, "v1").parse().unwrap()).unwrap();
    let same = |reference: &str| {
        let (digest, media_type, bytes) = from.manifest(APP, reference).unwrap();
        assert_eq!(to.manifest(COPY, reference), Some((digest, media_type, bytes.clone())), "{reference}");
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        document["manifests"].as_array().cloned().unwrap_or_default()
    };
    let mut open: Vec<String> = vec!["v1".into()];
    let mut count = 0;
    while let Some(reference) = open.pop() {
        open.extend(same(&reference).iter().map(|child| child["digest"].as_str().unwrap().to_owned()));
        count += 1;
    }
    assert_eq!(count, 6, "two indexes, two platforms, two attestations");
    signed.tags.iter().for_each(|tag| assert!(same(tag).is_empty()));
    for (subject, digest) in &signed.hanging {
        let subject = subject.parse().unwrap();
        let found = client.run(async { Ok(repository.referrers(&subject, None).await) }).unwrap();
        assert!(found.unknown.is_empty() && found.rejected.is_empty(), "{found:?}");
        let digests: Vec<String> = found.entries.iter().map(|it| it.descriptor.digest.to_string()).collect();
        assert_eq!(&digests, std::slice::from_ref(digest));
        same(digest);
    }
}

#[test]
fn a_signed_image_goes_from_registry_to_registry() {
    let kinds = [Referrers::Native { page_size: 100 }, Referrers::Off];
    for (there, here) in kinds.into_iter().flat_map(|there| kinds.map(|here| (there, here))) {
        let from = Registry::start(Switches { referrers: there, ..Switches::default() });
        let to = Registry::start(Switches { referrers: here, ..Switches::default() });
        let signed = signed(&from);
        let copied = all(&from.reference(APP, "v1"), &to.reference(COPY, "v1"));
        assert_eq!(copied.digest.map(|it| it.to_string()), Some(signed.index.clone()));
        assert_eq!((copied.manifests, copied.referrers, copied.legacy.len()), (5, 3, 2));
        check(&from, &to, &signed);
        // The image's own tag was written when all else was there.
        let writes: Vec<String> = to
            .requests()
            .iter()
            .filter(|seen| seen.method == "PUT" && seen.target.contains("/manifests/"))
            .map(|seen| seen.target.clone())
            .collect();
        assert!(writes.last().unwrap().ends_with("/manifests/v1"), "{writes:?}");
        assert_eq!(writes.iter().filter(|target| target.ends_with("/manifests/v1")).count(), 1);
        // A second time nothing is sent, and nothing is read of the blobs.
        from.forget();
        let again = all(&from.reference(APP, "v1"), &to.reference(COPY, "v1"));
        assert_eq!((again.sent, from.count("GET", "/blobs/")), (0, 0));
    }
}

#[test]
fn a_signed_image_goes_into_a_layout_and_out_of_it_again() {
    for kind in [Referrers::Native { page_size: 100 }, Referrers::Off] {
        let from = Registry::start(Switches { referrers: kind, ..Switches::default() });
        let to = Registry::start(Switches { referrers: kind, ..Switches::default() });
        let signed = signed(&from);
        let place = tempfile::tempdir().unwrap();
        for tag in ["", ":v1"] {
            let layout = format!("oci:{}/made{tag}", place.path().display());
            let copied = all(&from.reference(APP, "v1"), &layout);
            assert_eq!((copied.manifests, copied.referrers, copied.legacy.len()), (5, 3, 2));
            let back = all(&layout, &to.reference(COPY, "v1"));
            assert_eq!((back.manifests, back.referrers, back.legacy.len()), (5, 3, 2), "{tag}");
        }
        check(&from, &to, &signed);
        // From layout to layout too; and the image can be read where it stands beside what hangs on it.
        let second = format!("oci:{}/second:x", place.path().display());
        assert_eq!(all(&format!("oci:{}/made:v1", place.path().display()), &second).referrers, 3);
    }
}

#[test]
fn an_image_is_copied_within_a_registry_without_its_bytes() {
    let registry = Registry::start(Switches::default());
    signed(&registry);
    let copied = all(&registry.reference(APP, "v1"), &registry.reference(COPY, "v1"));
    assert_eq!((copied.sent, registry.count("GET", "/blobs/")), (0, 0));
    assert!(copied.mounted > 5, "{copied:?}");
}

#[test]
fn an_image_named_by_digest_is_pushed_by_digest() {
    let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
    let signed = signed(&from);
    let home = tempfile::tempdir().unwrap();
    let source = from.reference(APP, &signed.index);
    let destination = format!("{}/{COPY}", to.address());
    let insecure = ["--insecure-registry", "127.0.0.1"];
    let run =
        portcullis(home.path(), &[&["copy", "-q", &source, &destination], &insecure[..]].concat()).ended(0);
    assert_eq!(run.out(), format!("{}\n", signed.index));
    assert!(to.manifest(COPY, &signed.index).is_some());
    assert!(to.tags(COPY).iter().all(|tag| tag.starts_with("sha256-")), "{:?}", to.tags(COPY));
    // Another digest than the source's is refused before anything is sent.
    to.forget();
    let other = format!("{destination}@{}", signed.platform);
    let refused = portcullis(home.path(), &[&["copy", &source, &other], &insecure[..]].concat()).ended(2);
    assert!(refused.err().contains("is to have the digest"), "{}", refused.err());
    assert_eq!(to.count("*", ""), 0);
}

#[test]
fn without_referrers_the_image_goes_alone() {
    let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
    signed(&from);
    let home = tempfile::tempdir().unwrap();
    let (source, destination) = (from.reference(APP, "v1"), to.reference(COPY, "v2"));
    let arguments = ["copy", "--no-referrers", &source, &destination, "--insecure-registry", "127.0.0.1"];
    let run = portcullis(home.path(), &arguments).ended(0);
    assert!(run.out().contains("not looked for"), "{}", run.out());
    assert_eq!(to.tags(COPY), ["v2"]);
    assert_eq!(from.count("GET", "/referrers/"), 0);
}

#[test]
fn archives_are_no_place_to_copy_to() {
    let home = tempfile::tempdir().unwrap();
    for (source, destination, told) in [
        ("docker-archive:x.tar", "oci:made", "oci-archive:FILE"),
        ("oci:testdata/demo/image", "oci-archive:made.tar", "oci:DIR"),
        ("oci:testdata/demo/image", "docker-archive:made.tar", "oci:DIR"),
    ] {
        let run = portcullis(home.path(), &["copy", source, destination]).ended(2);
        assert!(run.err().contains(told), "{}", run.err());
    }
    let offline = ["copy", "--offline", "oci:testdata/demo/image", "ghcr.io/acme/app:v1"];
    assert!(portcullis(home.path(), &offline).ended(3).err().contains("--offline"));
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("notes.txt"), "mine").unwrap();
    let occupied = format!("oci:{}", home.path().display());
    let run = portcullis(home.path(), &["copy", "oci:testdata/demo/image", &occupied]).ended(2);
    assert!(run.err().contains("nothing was written"), "{}", run.err());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_layout_that_lacks_a_blob_is_not_copied() {
    let mut built = layout();
    let only = built.add(image("linux/amd64").layer(layer("COPY . .").file("etc/motd", "hello")));
    built.tag("v1", only);
    let mut files = built.files();
    let gone = files.keys().find(|name| files[*name].starts_with(&[0x1f, 0x8b])).unwrap().clone();
    files.remove(&gone);
    let place = tempfile::tempdir().unwrap();
    write_files(&files, &place.path().join("source"));
    let to = Registry::start(Switches::default());
    let second = format!("oci:{}/second:v1", place.path().display());
    for destination in [to.reference(COPY, "v1"), second] {
        let error = try_copy(&format!("oci:{}/source:v1", place.path().display()), &destination).unwrap_err();
        let digits = gone.rsplit('/').next().unwrap();
        assert!(matches!(&error, CopyError::Failed(cause) if cause.contains(digits)), "{error}");
    }
    assert_eq!(to.newest(COPY, "v1"), None);
    assert!(named(&place.path().join("second"), "v1").is_empty());
}

#[test]
fn a_layout_whose_manifest_lies_ends_with_1() {
    let place = tempfile::tempdir().unwrap();
    let mut built = layout();
    let only = built.add(image("linux/amd64").layer(layer("COPY . .").file("etc/motd", "hello")));
    let manifest = place.path().join("blobs").join(only["digest"].as_str().unwrap().replace(':', "/"));
    built.tag("v1", only);
    built.write(place.path());
    let bytes = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, bytes.replacen("sha256:", "sha256;", 1)).unwrap();
    let source = format!("oci:{}:v1", place.path().display());
    let run = portcullis(place.path(), &["copy", &source, "oci:made"]).ended(1);
    assert!(run.err().contains("digest mismatch") && run.out().is_empty(), "{}", run.err());
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join("made").exists());
}

#[test]
fn a_second_copy_into_a_layout_changes_nothing() {
    let from = Registry::start(Switches::default());
    signed(&from);
    let place = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}:v1", place.path().display());
    let entries = || {
        let mut entries: Vec<String> = listed(place.path()).iter().map(Value::to_string).collect();
        entries.sort();
        entries
    };
    all(&from.reference(APP, "v1"), &layout);
    let first = entries();
    assert_eq!(all(&from.reference(APP, "v1"), &layout).sent, 0);
    assert_eq!(entries(), first);
}

#[test]
fn a_list_that_fails_is_not_taken_for_none() {
    for fault in [Fault::error(403, "DENIED", ""), Fault::Throttled(Hint::None), Fault::bare(500)] {
        for what in ["/referrers/", "/manifests/sha256-"] {
            let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
            let signed = signed(&from);
            from.script(on("GET", what).always(), [fault.clone()]);
            let copied = try_copy(&from.reference(APP, "v1"), &to.reference(COPY, "v1")).unwrap();
            assert!(copied.problems.iter().any(|it| it.contains("is not known")), "{copied:?}");
            assert_eq!(to.newest(COPY, "v1"), None, "the tag was written");
            assert!(to.manifest(COPY, &signed.index).is_some());
        }
    }
}

#[test]
fn a_list_that_fails_is_told_and_ends_with_3() {
    let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
    signed(&from);
    from.script(on("GET", "/referrers/").always(), [Fault::error(403, "DENIED", "")]);
    let home = tempfile::tempdir().unwrap();
    let (source, destination) = (from.reference(APP, "v1"), to.reference(COPY, "v1"));
    let arguments = ["copy", &source, &destination, "--insecure-registry", "127.0.0.1"];
    let run = portcullis(home.path(), &arguments).ended(3);
    assert_eq!(run.out(), "");
    assert!(run.err().contains("is not known") && run.err().contains("tag was not written"), "{}", run.err());
}

#[test]
fn a_blob_that_lies_is_refused_and_no_tag_is_written() {
    let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
    let signed = signed(&from);
    let (_, _, bytes) = from.manifest(APP, &signed.platform).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap();
    let honest = from.blob(APP, digest).unwrap();
    let mut other = honest.clone();
    other[20] ^= 1;
    let place = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}/made:v1", place.path().display());
    for bytes in [other, honest[..10].to_vec()] {
        from.put_blob_as(APP, digest, bytes);
        for destination in [to.reference(COPY, "v1"), layout.clone()] {
            let error = try_copy(&from.reference(APP, "v1"), &destination).unwrap_err();
            assert!(matches!(&error, CopyError::Lie(cause) if cause.contains(digest)), "{error}");
        }
        assert_eq!(to.newest(COPY, "v1"), None);
        assert_eq!(to.blob(COPY, digest), None);
        assert_eq!(listed(&place.path().join("made")), Vec::<Value>::new());
        assert!(!place.path().join("made/blobs").join(digest.replace(':', "/")).exists());
    }
}

#[test]
fn a_blob_that_is_missing_is_named_and_its_urls_are_not_followed() {
    let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
    let gone = Digest::sha256(b"gone").to_string();
    let url = format!("http://{}/blob/{APP}/{gone}", from.elsewhere_address());
    from.put_blob(APP, b"gone");
    from.with(APP, |holds| holds.blobs.remove(&gone));
    let config = from.put_blob(APP, b"{}");
    let put = |media_type: &str| {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": media_type, "digest": gone, "size": 4, "urls": [url]}],
        });
        from.put_manifest(APP, Some("v1"), MANIFEST, manifest.to_string().as_bytes());
        try_copy(&from.reference(APP, "v1"), &to.reference(COPY, "v1"))
    };
    let error = put("application/vnd.oci.image.layer.v1.tar+gzip").unwrap_err();
    assert!(error.to_string().contains(&gone) && error.to_string().contains("not found"), "{error}");
    assert_eq!(to.newest(COPY, "v1"), None);
    // A layer that may not be distributed is named; at the destination it is as good as copied.
    let copied = put("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip").unwrap();
    assert!(copied.omitted[0].contains(&gone), "{copied:?}");
    to.put_blob(COPY, b"gone");
    assert!(put("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip").unwrap().omitted.is_empty());
    assert!(from.elsewhere().is_empty(), "{:?}", from.elsewhere());
}

#[test]
fn a_referrer_of_another_image_is_named_and_not_copied() {
    let off = || Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let (from, to) = (off(), off());
    let signed = signed(&from);
    let foreign =
        from.add_referrer(APP, &Digest::sha256(b"another").to_string(), BUNDLE, b"of another image");
    from.set_fallback(APP, &signed.index, std::slice::from_ref(&foreign), Entries::Faithful);
    let copied = all(&from.reference(APP, "v1"), &to.reference(COPY, "v1"));
    assert!(copied.rejected[0].contains(foreign["digest"].as_str().unwrap()), "{copied:?}");
    assert!(to.manifest(COPY, foreign["digest"].as_str().unwrap()).is_none());
    assert_eq!(copied.referrers, 2);
}

#[test]
fn signatures_at_the_destination_are_not_overwritten() {
    let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
    let signed = signed(&from);
    legacy(&to, COPY, &signed.index, "sig", &["of another signer"]);
    let before = to.newest(COPY, &signed.tags[0]);
    let copied = try_copy(&from.reference(APP, "v1"), &to.reference(COPY, "v1")).unwrap();
    assert!(copied.problems[0].contains("not overwritten"), "{copied:?}");
    assert_eq!((to.newest(COPY, &signed.tags[0]), to.newest(COPY, "v1")), (before, None));
    // Where the source has them too, nothing is lost.
    legacy(&from, APP, &signed.index, "sig", &["one", "of another signer"]);
    all(&from.reference(APP, "v1"), &to.reference(COPY, "v1"));
    check(&from, &to, &signed);
}

/// The entries of a layout's `index.json`.
fn listed(place: &Path) -> Vec<Value> {
    let index: Value = serde_json::from_slice(&std::fs::read(place.join("index.json")).unwrap()).unwrap();
    index["manifests"].as_array().unwrap().clone()
}

fn named(place: &Path, tag: &str) -> Vec<String> {
    let digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
    listed(place)
        .iter()
        .filter(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag)
        .map(digest)
        .collect()
}

#[test]
fn a_layout_keeps_its_other_images_and_mends_broken_blobs() {
    let from = Registry::start(Switches::default());
    let signed = signed(&from);
    let place = tempfile::tempdir().unwrap();
    let mut other = layout();
    let own = other.add(image("linux/amd64").layer(layer("COPY x").file("x", "another image")));
    other.tag("other", own.clone());
    other.tag("v1", own.clone());
    other.write(place.path());
    let (_, _, bytes) = from.manifest(APP, &signed.platform).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let digest = manifest["layers"][1]["digest"].as_str().unwrap();
    let honest = from.blob(APP, digest).unwrap();
    let blob = place.path().join("blobs").join(digest.replace(':', "/"));
    // Right in size, and something else.
    std::fs::write(&blob, vec![0; honest.len()]).unwrap();
    all(&from.reference(APP, "v1"), &format!("oci:{}:v1", place.path().display()));
    assert_eq!(std::fs::read(&blob).unwrap(), honest);
    assert_eq!(named(place.path(), "other"), [own["digest"].as_str().unwrap()]);
    assert_eq!(named(place.path(), "v1"), [signed.index.as_str()]);
    assert_eq!(listed(place.path()).iter().filter(|entry| entry["artifactType"] == BUNDLE).count(), 2);
}

#[test]
fn a_layout_with_a_referrer_that_is_gone_is_not_copied_as_whole() {
    let from = Registry::start(Switches::default());
    let signed = signed(&from);
    let place = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}:v1", place.path().display());
    all(&from.reference(APP, "v1"), &layout);
    let gone = &signed.hanging[0].1;
    std::fs::remove_file(place.path().join("blobs").join(gone.replace(':', "/"))).unwrap();
    let to = Registry::start(Switches::default());
    let copied = try_copy(&layout, &to.reference(COPY, "v1")).unwrap();
    assert!(copied.problems.iter().any(|cause| cause.contains(gone)), "{copied:?}");
    assert_eq!(to.newest(COPY, "v1"), None);
}

#[test]
fn an_index_that_holds_itself_again_and_again_ends() {
    let (from, to) = (Registry::start(Switches::default()), Registry::start(Switches::default()));
    let config = json!({"mediaType": EMPTY, "digest": from.put_blob(APP, b"{}"), "size": 2});
    let leaf = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
    let mut inner = (MANIFEST, leaf.to_string());
    for _ in 0..5 {
        let digest = from.put_manifest(APP, None, inner.0, inner.1.as_bytes());
        let entry = json!({"mediaType": inner.0, "digest": digest, "size": inner.1.len()});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![entry; 200]});
        inner = (INDEX, index.to_string());
    }
    from.put_manifest(APP, Some("v1"), INDEX, inner.1.as_bytes());
    let error = try_copy(&from.reference(APP, "v1"), &to.reference(COPY, "v1")).unwrap_err();
    assert!(error.to_string().contains("limit `index depth`"), "{error}");
    assert!(from.count("*", "") < 20);
}
