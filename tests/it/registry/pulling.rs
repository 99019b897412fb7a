//! Manifests, tags, redirects, and how many requests they take.

use std::time::{Duration, Instant};

use portcullis::image::document::MANIFEST_TYPES;
use portcullis::image::limits::Limits;
use portcullis::registry::{self, ErrorKind, Registry as Client};

use super::*;
use crate::support::registry::{Auth, Bearer, ContentDigest, Fault, Registry, Switches, on};

#[test]
fn a_manifest_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start(Switches::default());
    let digest = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let by_tag = client.run(repository.manifest(&tag("v1"))).unwrap();
    let by_digest = client.run(repository.manifest(&by(&digest))).unwrap();
    assert_eq!(by_tag.digest.to_string(), digest);
    assert_eq!(by_tag.bytes, by_digest.bytes);
    assert_eq!(by_tag.media_type.as_deref(), Some(MANIFEST_TYPES[0]));
    let head = client.run(repository.head(&tag("v1"))).unwrap();
    assert_eq!(head.digest, Some(by_tag.digest));
    assert_eq!(head.size, Some(by_tag.bytes.len() as u64));
}

#[test]
fn an_image_is_opened_and_its_layers_are_read() {
    let registry = Registry::start(Switches::ghcr());
    small_image(&registry);
    let client = Client::new(logged_in(&registry)).unwrap();
    let reference = registry.reference(APP, "v1").parse().unwrap();
    let (store, image) = registry::open(&client, &reference, None, &Limits::default()).unwrap();
    assert_eq!(image.faults, []);
    assert_eq!(image.digest.as_ref(), Some(&store.digest));
    let blob = &image.platforms[0].layers[0];
    let limits = Limits::default();
    let mut names = Vec::new();
    let read = portcullis::image::layer::read(
        store.blob(&blob.blob).unwrap(),
        blob,
        "layer 0",
        &limits,
        |header, _| {
            names.push(String::from_utf8_lossy(&header.name).into_owned());
            Ok(())
        },
    );
    assert_eq!(read.unwrap().trailing, Vec::<&str>::new());
    assert!(names.iter().any(|name| name.contains("etc/motd")), "{names:?}");
    assert!(registry.leaks().is_empty());
}

#[test]
fn ten_manifest_reads_take_ten_requests() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, settings());
    for _ in 0..10 {
        client.run(repository.manifest(&tag("v1"))).unwrap();
    }
    assert!(registry.count("*", "") <= 11, "{}", registry.count("*", ""));
}

#[test]
fn sixteen_parallel_reads_take_one_token() {
    let auth = Auth::Bearer(Bearer::default());
    let latency = Duration::from_millis(20);
    let registry = Registry::start(Switches { auth, latency, ..Switches::default() });
    small_image(&registry);
    let (client, repository) = open(&registry, logged_in(&registry));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| client.run(repository.manifest(&tag("v1"))).unwrap());
        }
    });
    assert_eq!(registry.token_calls(), 1);
    assert!(registry.count("*", "") <= 18, "{}", registry.count("*", ""));
    // Eight at a time, and those whose answers the registry still takes for unfinished.
    assert!(registry.most_at_once() < 16, "{}", registry.most_at_once());
}

#[test]
fn other_bytes_than_asked_for_by_digest() {
    let registry = Registry::start(Switches::default());
    let digest = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    registry.script(on("GET", "/manifests/").always(), [Fault::Body(b"{}".to_vec())]);
    let error = client.run(repository.manifest(&by(&digest))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Mismatch, "{error}");
}

#[test]
fn a_header_that_states_another_digest() {
    for lie in [ContentDigest::Wrong, ContentDigest::Garbled] {
        let registry = Registry::start(Switches { content_digest: lie, ..Switches::default() });
        small_image(&registry);
        let (client, repository) = open(&registry, settings());
        let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Mismatch | ErrorKind::Invalid), "{error}");
    }
    let registry =
        Registry::start(Switches { content_digest: ContentDigest::Missing, ..Switches::default() });
    let digest = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    assert_eq!(client.run(repository.manifest(&tag("v1"))).unwrap().digest.to_string(), digest);
}

#[test]
fn a_manifest_that_never_ends() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, settings());
    registry.script(on("GET", "/manifests/"), [Fault::Endless]);
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    registry.script(on("GET", "/manifests/"), [Fault::Endless, Fault::Length(1 << 40)]);
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    // No more than the limit was taken, and what lay in the buffers of the connection.
    let sent = registry.requests().iter().map(crate::support::registry::http::Seen::sent).max().unwrap();
    assert!(sent < 16 << 20, "{sent}");
}

#[test]
fn a_login_page_in_place_of_a_manifest() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    registry.script(on("GET", "/manifests/").always(), [Fault::Html]);
    let (client, repository) = open(&registry, settings());
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("web page"), "{error}");
}

#[test]
fn redirects_in_a_circle() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    registry.script(on("GET", "/manifests/").always(), [Fault::RedirectToItself]);
    let (client, repository) = open(&registry, settings());
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(registry.count("GET", "/manifests/") < 10);
}

#[test]
fn redirects_to_places_where_no_registry_is() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, settings());
    for place in
        ["http://169.254.169.254/latest", "file:///etc/passwd", "http://localhost:1/", "//[", "http://a b/"]
    {
        registry.unscript();
        registry.script(on("GET", "/manifests/").always(), [Fault::redirect(307, place)]);
        let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Refused | ErrorKind::Invalid), "{place}: {error}");
    }
}

#[test]
fn headers_that_make_no_sense() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, settings());
    for (name, value) in [
        ("content-type", ";;;\u{1b}[31m"),
        ("etag", "\"\u{e9}\""),
        ("docker-content-digest", "sha256:\u{e9}"),
        ("retry-after", "-1"),
        ("www-authenticate", "Bearer realm=\"\\"),
        ("link", "<<<>>>;rel"),
        ("location", "http://[::"),
    ] {
        registry.unscript();
        registry.script(on("GET", "").always(), [Fault::Header(name, value.into())]);
        // Whatever comes of it, it is an answer.
        let _ = client.run(repository.manifest(&tag("v1")));
        let _ = client.run(repository.tags());
    }
    registry.unscript();
    registry.script(
        on("GET", "").always(),
        [Fault::Status(401), Fault::Header("www-authenticate", "Bearer".into())],
    );
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized, "{error}");
}

#[test]
fn a_registry_that_is_busy_is_asked_again_as_it_says() {
    use crate::support::registry::Hint;
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, settings());
    for (hint, least) in [
        (Hint::None, Duration::ZERO),
        (Hint::Seconds(1), Duration::from_secs(1)),
        (Hint::Message("300.5ms"), Duration::from_millis(300)),
        (Hint::Secondary, Duration::ZERO),
    ] {
        registry.script(on("GET", "/manifests/"), [Fault::Throttled(hint)]);
        let began = Instant::now();
        client.run(repository.manifest(&tag("v1"))).unwrap();
        assert!(began.elapsed() >= least, "{least:?}");
    }
    registry.script(on("GET", "/manifests/").always(), [Fault::Throttled(Hint::Seconds(3600))]);
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::RateLimited, Some(429)));
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
}

#[test]
fn a_date_says_when_to_ask_again() {
    use crate::support::registry::Hint;
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    registry
        .script(on("GET", "/manifests/").always(), [Fault::Throttled(Hint::Date(Duration::from_secs(600)))]);
    let (client, repository) = open(&registry, settings());
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    let hint = error.retry_after.unwrap();
    assert!((595..=601).contains(&hint.as_secs()), "{hint:?}");
}

#[test]
fn tags_over_many_pages() {
    let registry = Registry::start(Switches { tag_page: 7, ..Switches::default() });
    let digest = small_image(&registry);
    for n in 0..50 {
        registry.tag(APP, &format!("t{n:02}"), &digest);
    }
    let (client, repository) = open(&registry, settings());
    assert_eq!(client.run(repository.tags()).unwrap().len(), 51);
    registry.script(on("GET", "/tags/list").skip(3), [Fault::bare(502)]);
    assert_eq!(client.run(repository.tags()).unwrap().len(), 51);
}

#[test]
fn pages_that_lead_back_or_elsewhere_or_nowhere() {
    let registry = Registry::start(Switches { tag_page: 1, ..Switches::default() });
    let digest = small_image(&registry);
    registry.tag(APP, "v2", &digest);
    let (client, repository) = open(&registry, settings());
    let elsewhere = format!("<http://{}/v2/{APP}/tags/list>; rel=next", registry.elsewhere_address());
    for link in [
        "</v2/acme/app/tags/list?n=1000>; rel=next",
        "</v2/other/app/tags/list?n=1>; rel=next",
        elsewhere.as_str(),
        "<http://[>; rel=next",
        // Ever new links, with the same page behind them, would be told apart by their tags alone.
        "<?n=1&x=1>; rel=next",
    ] {
        registry.unscript();
        registry.script(on("GET", "/tags/list").always(), [Fault::Header("link", link.into())]);
        let error = client.run(repository.tags()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{link}: {error}");
    }
    assert!(registry.elsewhere().is_empty());
    registry.unscript();
    registry.script(on("GET", "/tags/list"), [Fault::Body(br#"{"tags":["ok","\u001b[2J"]}"#.to_vec())]);
    assert_eq!(client.run(repository.tags()).unwrap_err().kind, ErrorKind::Invalid);
}

#[test]
fn a_registry_that_hangs_does_not_outlive_the_deadline_or_the_interruption() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    registry.script(on("GET", "/manifests/").always(), [Fault::Hang]);
    let mut patient = settings();
    patient.times.answer = Duration::from_secs(600);
    patient.times.deadline = Some(Duration::from_millis(300));
    let (client, repository) = open(&registry, patient.clone());
    let began = Instant::now();
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(5), "{error}");

    patient.times.deadline = None;
    let (client, repository) = open(&registry, patient);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| client.run(repository.manifest(&tag("v1"))));
        std::thread::sleep(Duration::from_millis(100));
        client.interrupt();
        let error = reading.join().unwrap().unwrap_err();
        assert!(error.message.contains("interrupted"), "{error}");
    });
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(client.run(repository.manifest(&tag("v1"))).is_err());
}

#[test]
fn those_who_wait_for_a_registry_that_hangs_wait_once() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    registry.script(on("GET", "/manifests/").always(), [Fault::Hang]);
    let mut hasty = settings();
    hasty.times.answer = Duration::from_millis(300);
    hasty.retry.attempts = 1;
    let (client, repository) = open(&registry, hasty);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| client.run(repository.manifest(&tag("v1"))).unwrap_err());
        }
    });
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_registry_without_tls_is_asked_only_where_it_is_listed() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, Settings { retry: settings().retry, ..Settings::default() });
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("TLS"), "{error}");
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn a_certificate_authority_that_cannot_be_used_is_no_default() {
    let registry = Registry::start(Switches::default());
    let folder = tempfile::tempdir().unwrap();
    for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, content).unwrap();
        let (client, repository) = open(&registry, Settings { ca: Some(file), ..settings() });
        let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Settings, "{content}: {error}");
    }
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn a_proxy_stands_between_and_resolves_the_name() {
    let proxy = Registry::start(Switches::default());
    let digest = small_image(&proxy);
    let mut settings = settings();
    settings.allow_insecure("registry.example");
    settings.proxies.http = Some(format!("http://{}", proxy.address()));
    let client = Client::new(settings).unwrap();
    let repository = client.repository(&format!("registry.example/{APP}:v1").parse().unwrap()).unwrap();
    let pulled = client.run(repository.manifest(&tag("v1"))).unwrap();
    assert_eq!(pulled.digest.to_string(), digest);
    assert_eq!(proxy.requests().len(), 1);
}
