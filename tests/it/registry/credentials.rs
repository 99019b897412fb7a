//! Tokens and passwords: got once, renewed, and shown to nobody else.

use std::time::{Duration, Instant};

use portcullis::registry::ErrorKind;

use super::*;
use crate::support::registry::{
    Auth, Bearer, Blobs, Fault, Location, Realm, Registry, Switches, TokenShape, on,
};

/// Every test here, for the one that runs them all and looks at the trace.
pub const ALL: &[(&str, fn())] = &[
    (
        "a_token_service_that_fails_is_an_error_and_not_anonymous_access",
        a_token_service_that_fails_is_an_error_and_not_anonymous_access,
    ),
    ("a_token_with_a_line_break", a_token_with_a_line_break),
    ("tokens_in_every_shape", tokens_in_every_shape),
    ("a_realm_on_another_host_gets_no_password", a_realm_on_another_host_gets_no_password),
    ("a_realm_where_no_token_service_is", a_realm_where_no_token_service_is),
    (
        "blobs_from_another_host_are_read_without_the_token",
        blobs_from_another_host_are_read_without_the_token,
    ),
    ("an_upload_that_is_led_to_another_host", an_upload_that_is_led_to_another_host),
    (
        "tokens_that_are_revoked_or_expire_are_renewed_once",
        tokens_that_are_revoked_or_expire_are_renewed_once,
    ),
    ("a_wrong_password_is_said_to_be_one", a_wrong_password_is_said_to_be_one),
    (
        "a_private_repository_is_not_told_from_a_missing_one",
        a_private_repository_is_not_told_from_a_missing_one,
    ),
    ("an_identity_token_is_changed_for_a_token", an_identity_token_is_changed_for_a_token),
    ("a_registry_with_passwords_alone", a_registry_with_passwords_alone),
];

#[test]
fn every_test_is_in_the_list() {
    let own = include_str!("credentials.rs");
    let tests = own.lines().filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("() {"));
    let missing: Vec<&str> = tests.filter(|name| !ALL.iter().any(|(listed, _)| listed == name)).collect();
    assert_eq!(missing, ["every_test_is_in_the_list"]);
}

fn bearer(bearer: Bearer) -> Registry {
    let registry = Registry::start(Switches { auth: Auth::Bearer(bearer), ..Switches::default() });
    small_image(&registry);
    registry
}

#[test]
fn a_token_service_that_fails_is_an_error_and_not_anonymous_access() {
    let registry = bearer(Bearer { public: vec![APP.into()], ..Bearer::default() });
    let (client, repository) = open(&registry, logged_in(&registry));
    registry.script(on("*", "/token").always(), [Fault::bare(500)]);
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    // The first request asked for the challenge; none followed it without a token.
    assert_eq!(registry.count("GET", "/manifests/"), 1);
}

#[test]
fn a_token_with_a_line_break() {
    let registry = bearer(Bearer { shape: TokenShape::WithNewline, ..Bearer::default() });
    let (client, repository) = open(&registry, logged_in(&registry));
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
}

#[test]
fn tokens_in_every_shape() {
    for shape in [TokenShape::Opaque, TokenShape::AccessToken, TokenShape::Long(6000)] {
        let registry = bearer(Bearer { shape, expires_in: None, ..Bearer::default() });
        let (client, repository) = open(&registry, logged_in(&registry));
        client.run(repository.manifest(&tag("v1"))).unwrap();
    }
    for shape in [TokenShape::Missing, TokenShape::Long(70_000)] {
        let registry = bearer(Bearer { shape, ..Bearer::default() });
        let (client, repository) = open(&registry, logged_in(&registry));
        assert!(client.run(repository.manifest(&tag("v1"))).is_err());
    }
}

#[test]
fn a_realm_on_another_host_gets_no_password() {
    let registry = bearer(Bearer { realm: Realm::Elsewhere, ..Bearer::default() });
    let (client, repository) = open(&registry, logged_in(&registry));
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(registry.leaks().is_empty());
    assert!(registry.elsewhere().is_empty());

    let mut trusting = logged_in(&registry);
    let host = trusting.hosts.entry(registry.address().to_owned()).or_default();
    host.insecure = true;
    host.token_hosts.push(registry.elsewhere_address().to_owned());
    let (client, repository) = open(&registry, trusting);
    // Its token is of no use here; that it was asked is what was allowed.
    assert!(client.run(repository.manifest(&tag("v1"))).is_err());
    assert_eq!(registry.leaks().len(), registry.elsewhere().len());
    assert!(!registry.leaks().is_empty());
}

#[test]
fn a_realm_where_no_token_service_is() {
    for realm in ["http://169.254.169.254/token", "file:///etc/passwd", "http://localhost/token", "", "//"] {
        let registry = bearer(Bearer { realm: Realm::Url(realm.into()), ..Bearer::default() });
        let (client, repository) = open(&registry, settings());
        let began = Instant::now();
        let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Refused | ErrorKind::Invalid), "{realm}: {error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn blobs_from_another_host_are_read_without_the_token() {
    let switches =
        Switches { blobs: Blobs::Redirected, auth: Auth::Bearer(Bearer::default()), ..Switches::default() };
    let registry = Registry::start(switches);
    let bytes = noise(100_000);
    registry.put_blob(APP, &bytes);
    let (client, repository) = open(&registry, logged_in(&registry));
    assert_eq!(client.run(repository.blob_bytes(&descriptor(&bytes), 1 << 20)).unwrap(), bytes);
    assert_eq!(registry.elsewhere().len(), 1);
    assert!(registry.leaks().is_empty());
}

#[test]
fn an_upload_that_is_led_to_another_host() {
    let switches = Switches {
        location: Location::Elsewhere,
        auth: Auth::Bearer(Bearer::default()),
        ..Switches::default()
    };
    let registry = Registry::start(switches);
    let (client, repository) = open(&registry, logged_in(&registry));
    let bytes = b"secret".to_vec();
    let pushed = client.run(repository.push_blob(
        &descriptor(&bytes),
        portcullis::registry::BlobSource::Bytes(bytes.into()),
        None,
    ));
    assert_eq!(pushed.unwrap_err().kind, ErrorKind::Refused);
    assert!(registry.elsewhere().is_empty());
}

#[test]
fn tokens_that_are_revoked_or_expire_are_renewed_once() {
    let registry = bearer(Bearer::default());
    let (client, repository) = open(&registry, logged_in(&registry));
    let read = || client.run(repository.manifest(&tag("v1")));
    read().unwrap();
    read().unwrap();
    assert_eq!(registry.token_calls(), 1);
    registry.revoke_tokens();
    read().unwrap();
    assert_eq!(registry.token_calls(), 2);

    let registry = bearer(Bearer { expires_in: Some(1), ..Bearer::default() });
    let (client, repository) = open(&registry, logged_in(&registry));
    client.run(repository.manifest(&tag("v1"))).unwrap();
    registry.forget();
    std::thread::sleep(Duration::from_millis(950));
    client.run(repository.manifest(&tag("v1"))).unwrap();
    assert_eq!(
        (registry.token_calls(), registry.count("GET", "/manifests/")),
        (1, 1),
        "renewed before it failed"
    );

    let registry = bearer(Bearer { works_for: Duration::ZERO, ..Bearer::default() });
    let (client, repository) = open(&registry, logged_in(&registry));
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized, "{error}");
    assert_eq!(registry.token_calls(), 2, "a token that never works is not asked for without end");
}

#[test]
fn a_wrong_password_is_said_to_be_one() {
    let registry = bearer(Bearer { password: "other".into(), public: vec![APP.into()], ..Bearer::default() });
    let (client, repository) = open(&registry, logged_in(&registry));
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("rejected"), "{error}");
    assert!(!error.to_string().contains(PASSWORD));

    let (client, repository) = open(&registry, settings());
    client.run(repository.manifest(&tag("v1"))).unwrap();
}

#[test]
fn a_private_repository_is_not_told_from_a_missing_one() {
    let registry = bearer(Bearer::default());
    let (client, repository) = open(&registry, settings());
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains("does not exist"), "{error}");
}

#[test]
fn an_identity_token_is_changed_for_a_token() {
    let registry = bearer(Bearer { identity_token: Some("refresh".into()), ..Bearer::default() });
    let config = format!(r#"{{"auths": {{"{}": {{"identitytoken": "refresh"}}}}}}"#, registry.address());
    let credentials = vec![Source::Text(Secret::new(config))];
    let (client, repository) = open(&registry, Settings { credentials, ..settings() });
    client.run(repository.manifest(&tag("v1"))).unwrap();
    assert_eq!(registry.count("POST", "/token"), 1);
}

#[test]
fn a_registry_with_passwords_alone() {
    let auth = Auth::Basic { user: USER.into(), password: PASSWORD.into() };
    let registry = Registry::start(Switches { auth, blobs: Blobs::Redirected, ..Switches::default() });
    small_image(&registry);
    let bytes = noise(1000);
    registry.put_blob(APP, &bytes);
    let (client, repository) = open(&registry, logged_in(&registry));
    client.run(repository.manifest(&tag("v1"))).unwrap();
    client.run(repository.blob_bytes(&descriptor(&bytes), 1 << 20)).unwrap();
    assert!(registry.leaks().is_empty());
    let (client, repository) = open(&registry, settings());
    let error = client.run(repository.manifest(&tag("v1"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized, "{error}");
}
