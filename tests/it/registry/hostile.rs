//! What a hostile registry may try, and which test shows that it comes to nothing.

use std::fmt::Write as _;

use portcullis::image::limits::Limits;
use portcullis::registry::{self, ErrorKind};
use serde_json::{Value, json};

use super::processes::{process, task, told};
use super::*;
use crate::support::registry::{Fault, INDEX, MANIFEST, Referrers, Registry, Switches, on};

/// The ways in which a widely used client was led astray by a registry (measured), in its order, and the
/// tests that show ours is not.
const ASTRAY: &[(&str, &[&str])] = &[
    (
        "429 and 403 on the fallback tag taken for an empty list",
        &[
            "absence::a_fallback_tag_that_could_not_be_read_is_no_empty_list",
            "absence::referrers_that_could_not_be_listed_are_no_empty_list",
        ],
    ),
    (
        "entries of the fallback tag dropped for the artifact type that stands there",
        &["referrers::ghcrs_fallback_index_says_the_same_type_for_all"],
    ),
    (
        "referrers without paging, applied filters, or 303",
        &[
            "referrers::native_referrers_over_many_pages_with_and_without_the_filter",
            "referrers::ghcrs_fallback_index_says_the_same_type_for_all",
            "referrers::a_registry_that_listed_referrers_and_then_has_no_such_list",
        ],
    ),
    ("a fallback tag of 135 characters", &["referrers::the_referrers_of_a_sha512_subject"]),
    (
        "anonymous access after the token service failed",
        &[
            "credentials::a_token_service_that_fails_is_an_error_and_not_anonymous_access",
            "helpers::helpers_are_asked_and_their_failures_are_errors",
        ],
    ),
    ("panic: a token with a line break", &["credentials::a_token_with_a_line_break"]),
    ("panic: a relative Location", &["pushing::uploads_go_on_wherever_the_registry_says"]),
    (
        "panic: a push by digest without a Location",
        &["pushing::a_manifest_is_pushed_by_tag_and_by_digest_without_a_location"],
    ),
    (
        "a client with default roots for a bad certificate authority",
        &["pulling::a_certificate_authority_that_cannot_be_used_is_no_default"],
    ),
    ("`urls` of a descriptor followed", &["hostile::urls_of_a_descriptor_lead_nowhere"]),
    (
        "realm and redirects followed anywhere, with credentials",
        &[
            "credentials::a_realm_on_another_host_gets_no_password",
            "credentials::a_realm_where_no_token_service_is",
            "credentials::blobs_from_another_host_are_read_without_the_token",
            "credentials::an_upload_that_is_led_to_another_host",
            "pulling::redirects_to_places_where_no_registry_is",
            "pulling::redirects_in_a_circle",
        ],
    ),
    (
        "bodies of any size",
        &[
            "hostile::no_manifest_takes_64_mebibytes",
            "pulling::a_manifest_that_never_ends",
            "blobs::a_blob_that_is_longer_than_its_descriptor",
            "credentials::tokens_in_every_shape",
        ],
    ),
    (
        "a manifest that is an index too, or another type than it says",
        &["hostile::documents_that_are_read_in_two_ways"],
    ),
    (
        "no retries, `Retry-After` not read",
        &[
            "pulling::a_registry_that_is_busy_is_asked_again_as_it_says",
            "pulling::a_date_says_when_to_ask_again",
        ],
    ),
    (
        "two requests for each, and a token for each",
        &["pulling::ten_manifest_reads_take_ten_requests", "pulling::sixteen_parallel_reads_take_one_token"],
    ),
    (
        "tokens kept too long or too short, 401 final",
        &["credentials::tokens_that_are_revoked_or_expire_are_renewed_once"],
    ),
    (
        "a declined mount is an error",
        &["pushing::a_blob_is_mounted_where_the_registry_can_and_sent_where_it_declines"],
    ),
    ("an empty blob cannot be pushed", &["pushing::uploads_go_on_wherever_the_registry_says"]),
    (
        "no deleting, paging of tags, settings of hosts",
        &[
            "pushing::deleting_works_where_it_is_offered",
            "pulling::tags_over_many_pages",
            "peers::docker_registry_behind_tls_without_what_it_asks_for",
            "blobs::a_mirror_is_asked_for_digests_and_the_registry_for_tags",
            "pushing::a_blob_of_ten_mebibytes_goes_up_in_pieces_that_ghcr_takes",
        ],
    ),
    (
        "`OCI-Subject` ignored, the fallback tag not kept",
        &[
            "attaching::a_registry_that_lists_referrers_needs_no_fallback_tag",
            "processes::two_processes_write_to_one_fallback_tag",
            "attaching::a_referrer_that_is_deleted_is_taken_out_of_the_fallback_tag",
        ],
    ),
    ("digests and sizes that are none", &["hostile::descriptors_that_are_none"]),
    (
        "blobs asked for as manifests; a length lost with a foreign URL",
        &["hostile::a_blob_is_not_asked_for_as_a_manifest", "hostile::urls_of_a_descriptor_lead_nowhere"],
    ),
];

/// The ways of GHCR and of other registries, and where they are met.
const WAYS: &[(&str, &[&str])] = &[
    (
        "referrers: off",
        &["attaching::a_registry_that_does_not_gets_a_fallback_tag_with_types_and_annotations"],
    ),
    (
        "referrers: native, paged",
        &["referrers::native_referrers_over_many_pages_with_and_without_the_filter"],
    ),
    ("referrers: 303", &["referrers::ghcrs_fallback_index_says_the_same_type_for_all"]),
    ("upload: 416 above 4 MiB", &["pushing::a_blob_of_ten_mebibytes_goes_up_in_pieces_that_ghcr_takes"]),
    ("delete: 405", &["pushing::deleting_works_where_it_is_offered"]),
    (
        "auth: opaque tokens, 401 and 403",
        &[
            "credentials::a_wrong_password_is_said_to_be_one",
            "credentials::a_private_repository_is_not_told_from_a_missing_one",
        ],
    ),
    ("throttle", &["pulling::a_registry_that_is_busy_is_asked_again_as_it_says"]),
    ("redirect: blobs elsewhere", &["credentials::blobs_from_another_host_are_read_without_the_token"]),
    ("lag after a write", &["pushing::what_we_pushed_is_waited_for_and_what_others_lack_is_not"]),
    ("faults by script", &["blobs::a_pull_that_is_cut_ten_times_reads_each_byte_once"]),
];

#[test]
fn what_the_tables_name_is_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/registry");
    assert_eq!(ASTRAY.len(), 22);
    for (way, tests) in ASTRAY.iter().chain(WAYS) {
        assert!(!tests.is_empty(), "{way}");
        for test in *tests {
            let (module, name) = test.split_once("::").unwrap();
            let text = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
            let found = text.contains(&format!("#[test]\nfn {name}() {{"))
                || text.contains(&format!("#[test]\npub fn {name}() {{"));
            assert!(found, "{test}");
        }
    }
}

#[test]
#[ignore = "the process of the test below, whose memory is looked at"]
fn puller() {
    let Some(task) = task() else { return };
    let [address, subject] = task.as_slice() else { panic!("{task:?}") };
    let client = Client::new(settings()).unwrap();
    let reference = format!("{address}/{APP}:v1").parse().unwrap();
    let repository = client.repository(&reference).unwrap();
    let read = client.run(repository.manifest(&tag("v1")));
    let opened = registry::open(&client, &reference, None, &Limits::default());
    let subject = subject.parse().unwrap();
    let found = client.run(async { Ok(repository.referrers(&subject, None).await) }).unwrap();
    let none = "in order".to_owned();
    println!("\nmanifest {}", read.err().map_or(none.clone(), |error| error.kind.to_string()));
    println!(
        "image {}",
        opened.map_or_else(|e| e.kind.to_string(), |(_, i)| format!("{} faults", i.faults.len()))
    );
    println!("referrers {} unknown", found.unknown.len());
    println!("status {}", std::fs::read_to_string("/proc/self/status").unwrap().replace('\n', ";"));
}

/// So many of `part`, up to a manifest's limit, in between `begin` and `end`.
fn full(begin: &str, part: &str, end: &str) -> Vec<u8> {
    let room = (4 << 20) - begin.len() - end.len();
    let parts = part.repeat(room / part.len());
    format!("{begin}{}{end}", parts.trim_end_matches(',')).into_bytes()
}

#[test]
fn no_manifest_takes_64_mebibytes() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let descriptor = json!({"mediaType": MANIFEST, "digest": Digest::sha256(b"gone"), "size": 1000});
    let endless = [vec![Fault::Endless], vec![Fault::Endless, Fault::Length(256 << 20)]];
    let mut bodies: Vec<(&str, Vec<u8>, Vec<Fault>)> =
        endless.into_iter().map(|faults| ("endless", b"{}".to_vec(), faults)).collect();
    for (name, begin, part, end) in [
        ("numbers", r#"{"schemaVersion":2,"manifests":["#, "0,", "]}"),
        ("objects", r#"{"schemaVersion":2,"manifests":["#, r#"{"a":0},"#, "]}"),
        ("lists", r#"{"schemaVersion":2,"manifests":["#, "[[]],", "]}"),
        ("depth", "", "[", ""),
        ("depth of objects", "", r#"{"a":"#, ""),
        ("a string", r#"{"schemaVersion":2,"manifests":[],"a":""#, "[{,:", r#""}"#),
        ("descriptors", r#"{"schemaVersion":2,"manifests":["#, &format!("{descriptor},"), "]}"),
    ] {
        bodies.push((name, full(begin, part, end), Vec::new()));
    }
    // Just below the limit of values: what is parsed then is the most there can be.
    for (name, part, count) in
        [("numbers below the limit", "0,", 199_000), ("objects below the limit", r#"{"a":0},"#, 66_000)]
    {
        let parts = part.repeat(count);
        let body = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, parts.trim_end_matches(','));
        bodies.push((name, body.into_bytes(), Vec::new()));
    }
    let mut keys = r#"{"schemaVersion":2,"manifests":[],"annotations":{"#.to_owned();
    for n in 0..99_000 {
        write!(keys, r#""{n}":"","#).unwrap();
    }
    keys.pop();
    bodies.push(("keys below the limit", format!("{keys}}}}}").into_bytes(), Vec::new()));
    for (name, body, faults) in bodies {
        let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
        let subject = Digest::sha256(b"subject").to_string();
        registry.put_manifest(APP, Some("v1"), INDEX, &body);
        registry.put_manifest(APP, Some(&crate::support::registry::fallback_tag(&subject)), INDEX, &body);
        if !faults.is_empty() {
            registry.script(on("GET", "/manifests/").always(), faults.clone());
        }
        let task = format!("{} {subject}", registry.address());
        let output = process("registry::hostile::puller", &task).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let said = told(&output, "status").concat();
        let kib = |field: &str| -> u64 {
            let line = said.split(';').find_map(|line| line.strip_prefix(field));
            line.unwrap_or_else(|| panic!("{output}")).trim().trim_end_matches(" kB").parse().unwrap()
        };
        // Pages of the program's own file are the page cache's, and the tests' has debug information: 8 MiB of the
        // 64 are left for those of the real one.
        let peak = kib("VmHWM:") - kib("RssFile:");
        println!("{name}: {peak} KiB, {:?} {:?}", told(&output, "manifest"), told(&output, "image"));
        assert!(peak < 56 << 10, "{name}: {peak} KiB");
        if !faults.is_empty() {
            assert_eq!(told(&output, "manifest"), ["too large"], "{name}");
        }
        let [referrers] = told(&output, "referrers").try_into().unwrap_or_else(|_| panic!("{output}"));
        assert!(
            ["a string", "keys below the limit"].contains(&name) || referrers != "0 unknown",
            "{name}: an unreadable list is no empty one"
        );
        // No more than the limit was taken, and what lay in the buffers of the connection.
        let sent = registry.requests().iter().map(crate::support::registry::http::Seen::sent).max().unwrap();
        assert!(sent < 16 << 20, "{name}: {sent}");
    }
}

/// Opens what a registry has under `v1`; the messages of its faults.
fn faults(registry: &Registry) -> Vec<String> {
    let client = Client::new(settings()).unwrap();
    let reference = registry.reference(APP, "v1").parse().unwrap();
    let (_, image) = registry::open(&client, &reference, None, &Limits::default()).unwrap();
    image.faults.into_iter().map(|fault| fault.message).collect()
}

/// The image of [`small_image`], changed.
fn changed(registry: &Registry, media_type: &str, change: impl Fn(&mut Value)) {
    let digest = small_image(registry);
    let (_, _, bytes) = registry.manifest(APP, &digest).unwrap();
    let mut document: Value = serde_json::from_slice(&bytes).unwrap();
    change(&mut document);
    registry.put_manifest(APP, Some("v1"), media_type, document.to_string().as_bytes());
}

#[test]
fn documents_that_are_read_in_two_ways() {
    let registry = Registry::start(Switches::default());
    changed(&registry, MANIFEST, |_| {});
    assert_eq!(faults(&registry), Vec::<String>::new());
    // CVE-2021-41190: an image to one reader, an index to another.
    changed(&registry, INDEX, |document| document["manifests"] = json!([]));
    assert!(!faults(&registry).is_empty());
    changed(&registry, MANIFEST, |document| document["manifests"] = json!([]));
    assert!(!faults(&registry).is_empty());
    // The header says another type than the document.
    changed(&registry, INDEX, |_| {});
    assert!(!faults(&registry).is_empty());
}

#[test]
fn descriptors_that_are_none() {
    for change in [
        |layer: &mut Value| layer["digest"] = json!("sha256:00"),
        |layer: &mut Value| layer["digest"] = json!("sha256:../../../etc/passwd"),
        |layer: &mut Value| layer["size"] = json!(-1),
        |layer: &mut Value| layer["size"] = json!(1.5),
        |layer: &mut Value| layer["size"] = Value::Null,
    ] {
        let registry = Registry::start(Switches::default());
        changed(&registry, MANIFEST, |document| change(&mut document["layers"][0]));
        assert!(!faults(&registry).is_empty());
    }
}

#[test]
fn urls_of_a_descriptor_lead_nowhere() {
    let registry = Registry::start(Switches::default());
    let elsewhere = format!("http://{}/layer", registry.elsewhere_address());
    changed(&registry, MANIFEST, |document| {
        document["layers"][0]["urls"] = json!([elsewhere, "http://169.254.169.254/latest"]);
    });
    registry.script(on("GET", "/blobs/").always(), [Fault::error(404, "BLOB_UNKNOWN", "gone")]);
    let client = Client::new(settings()).unwrap();
    let reference = registry.reference(APP, "v1").parse().unwrap();
    let (store, image) = registry::open(&client, &reference, None, &Limits::default()).unwrap();
    // The configuration is gone too, which is a fault; layers are opened all the same.
    assert!(!image.faults.is_empty());
    let (_, _, bytes) = registry.manifest(APP, "v1").unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let mut layer = descriptor(b"");
    layer.digest = document["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    layer.size = document["layers"][0]["size"].as_u64().unwrap();
    let name = portcullis::image::resolve::BlobName::Descriptor(layer);
    let error = store.blob(&name).err().unwrap();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(registry.elsewhere().is_empty());
}

#[test]
fn a_blob_is_not_asked_for_as_a_manifest() {
    let registry = Registry::start(Switches::default());
    registry.put_blob(APP, b"blob");
    let (client, repository) = open(&registry, settings());
    client.run(repository.blob_bytes(&descriptor(b"blob"), 10)).unwrap();
    let accept = registry.requests()[0].header("accept").unwrap_or("*/*").to_owned();
    assert_eq!(accept, "*/*");
}
