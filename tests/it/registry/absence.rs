//! Absent is only what the registry says is absent.

use portcullis::registry::ErrorKind;

use super::*;
use crate::support::registry::{Fault, Hint, Referrers, Registry, Switches, on};

/// Everything that is no definite 404, and what it is instead.
fn vague() -> Vec<(&'static str, Vec<Fault>, Option<ErrorKind>)> {
    vec![
        ("429", vec![Fault::Throttled(Hint::None)], Some(ErrorKind::RateLimited)),
        ("403", vec![Fault::error(403, "DENIED", "denied")], Some(ErrorKind::Denied)),
        ("401", vec![Fault::error(401, "UNAUTHORIZED", "no")], Some(ErrorKind::Unauthorized)),
        ("500", vec![Fault::bare(500)], Some(ErrorKind::Unavailable)),
        ("bare 404", vec![Fault::bare(404)], Some(ErrorKind::Invalid)),
        ("404 of a proxy", vec![Fault::Html, Fault::Status(404)], Some(ErrorKind::Invalid)),
        ("404 of another code", vec![Fault::error(404, "UNKNOWN", "?")], Some(ErrorKind::Invalid)),
        (
            "403 with the code of absence",
            vec![Fault::error(403, "MANIFEST_UNKNOWN", "")],
            Some(ErrorKind::Denied),
        ),
        ("200 with HTML", vec![Fault::Html], Some(ErrorKind::Invalid)),
        ("no answer", vec![Fault::Reset], Some(ErrorKind::Unavailable)),
        ("204", vec![Fault::bare(204)], None),
    ]
}

#[test]
fn what_could_not_be_read_is_not_absent() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, settings());
    for (name, faults, want) in vague() {
        registry.unscript();
        registry.script(on("GET", "/manifests/").always(), faults);
        let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
        assert_ne!(error.kind, ErrorKind::NotFound, "{name}");
        assert!(want.is_none_or(|want| error.kind == want), "{name}: {error:?}");
    }
}

#[test]
fn what_the_registry_says_is_absent_is_absent() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let error = client.run(repository.manifest(&tag("v2"))).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::NotFound, Some(404)));
    assert_eq!(error.code.as_deref(), Some("MANIFEST_UNKNOWN"));
    assert_eq!(client.run(repository.head(&tag("v2"))).unwrap_err().kind, ErrorKind::NotFound);
    assert!(!client.run(repository.has_blob(&Digest::sha256(b"x"))).unwrap());
}

#[test]
fn a_fallback_tag_that_could_not_be_read_is_no_empty_list() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject: Digest = small_image(&registry).parse().unwrap();
    let (client, repository) = open(&registry, settings());
    for (name, faults, _) in vague() {
        registry.unscript();
        registry.script(on("GET", "/manifests/sha256-").always(), faults);
        let found = client.run(async { Ok(repository.referrers(&subject, None).await) }).unwrap();
        assert!(!found.unknown.is_empty(), "{name}");
    }
    registry.unscript();
    let found = client.run(async { Ok(repository.referrers(&subject, None).await) }).unwrap();
    assert_eq!(found, Default::default());
}

#[test]
fn referrers_that_could_not_be_listed_are_no_empty_list() {
    let registry = Registry::start(Switches::default());
    let subject: Digest = small_image(&registry).parse().unwrap();
    let (client, repository) = open(&registry, settings());
    for (name, faults) in [
        ("429", vec![Fault::Throttled(Hint::None)]),
        ("403", vec![Fault::error(403, "DENIED", "")]),
        ("500", vec![Fault::bare(500)]),
        ("no answer", vec![Fault::Reset]),
        ("not JSON", vec![Fault::Body(b"[".to_vec())]),
        ("a key twice", vec![Fault::Body(br#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#.to_vec())]),
        ("endless", vec![Fault::Endless]),
    ] {
        registry.unscript();
        registry.script(on("GET", "/referrers/").always(), faults);
        let found = client.run(async { Ok(repository.referrers(&subject, None).await) }).unwrap();
        assert!(!found.unknown.is_empty(), "{name}");
    }
}
