//! What a user reads when something is wrong: each cause has words of its own, and says what to do.

use portcullis::registry::{Error, ErrorKind};

use super::*;
use crate::support::registry::http::listener;
use crate::support::registry::{Auth, Bearer, Fault, Hint, Registry, Switches, on};

fn bearer(bearer: Bearer) -> Registry {
    let registry = Registry::start(Switches { auth: Auth::Bearer(bearer), ..Switches::default() });
    small_image(&registry);
    registry
}

fn pull(registry: &Registry, settings: Settings) -> Error {
    let (client, repository) = open(registry, settings);
    client.run(repository.manifest(&tag("v1"))).unwrap_err()
}

/// Pulls from where no test registry is.
fn pull_from(registry: &str, mut settings: Settings) -> Error {
    settings.retry.attempts = 1;
    let client = Client::new(settings).unwrap();
    let repository = client.repository(&format!("{registry}/{APP}:v1").parse().unwrap()).unwrap();
    client.run(repository.manifest(&tag("v1"))).unwrap_err()
}

/// The cause has these words and the message says all of them.
fn check(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind, kind, "{error}");
    for word in words {
        assert!(error.message.contains(word), "`{word}` is not in: {error}");
    }
    assert!(!error.to_string().contains(PASSWORD), "{error}");
}

#[test]
fn wrong_and_expired_credentials() {
    let other = || Bearer { password: "other".into(), ..Bearer::default() };
    let registry = bearer(other());
    let log_in = format!("docker login {}", registry.address());
    let words = ["the credentials for `127.0.0.1:", "rejected (403)", "wrong or expired", "again", &log_in];
    check(&pull(&registry, logged_in(&registry)), ErrorKind::Denied, &words);
    let auth = Auth::Basic { user: USER.into(), password: "other".into() };
    let registry = Registry::start(Switches { auth, ..Switches::default() });
    let words = ["the credentials for `127.0.0.1:", "rejected (401)", "wrong or expired", "docker login"];
    check(&pull(&registry, logged_in(&registry)), ErrorKind::Unauthorized, &words);
    let words = ["asks for a user and a password, and there are none", "docker login"];
    check(&pull(&registry, settings()), ErrorKind::Unauthorized, &words);

    let registry = bearer(Bearer { identity_token: Some("new".into()), ..Bearer::default() });
    let config = format!(r#"{{"auths": {{"{}": {{"identitytoken": "old"}}}}}}"#, registry.address());
    let credentials = vec![Source::Text(Secret::new(config))];
    let error = pull(&registry, Settings { credentials, ..settings() });
    let words = ["the identity token for", "rejected (403)", "has expired or was revoked", "docker login"];
    check(&error, ErrorKind::Denied, &words);

    let registry = bearer(Bearer { works_for: Duration::ZERO, ..Bearer::default() });
    let words = ["refuses the token that its token service just gave (401)", "has expired", "log in anew"];
    check(&pull(&registry, logged_in(&registry)), ErrorKind::Unauthorized, &words);
}

#[test]
fn private_or_missing() {
    let registry = bearer(Bearer::default());
    let words =
        ["the repository is private or does not exist: `127.0.0.1:", "does not say which; log in with"];
    check(&pull(&registry, settings()), ErrorKind::Unauthorized, &words);
    // A token for everybody that opens nothing, as Docker's own registry gives.
    let registry =
        bearer(Bearer { public: vec![APP.into()], works_for: Duration::ZERO, ..Bearer::default() });
    check(&pull(&registry, settings()), ErrorKind::Unauthorized, &words);
    let registry = Registry::start(Switches::default());
    check(&pull(&registry, settings()), ErrorKind::NotFound, &["not found"]);
    small_image(&registry);
    registry.script(on("GET", "").always(), [Fault::error(403, "DENIED", "installation not allowed")]);
    let words = ["access denied", "installation not allowed", "check what the account or token may do"];
    check(&pull(&registry, settings()), ErrorKind::Denied, &words);
}

#[test]
fn the_way_to_the_registry() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let secured = Settings { retry: settings().retry, ..Settings::default() };
    check(&pull(&registry, secured), ErrorKind::Unavailable, &["TLS failed", "`ca`", "listed as insecure"]);
    // No resolver gets to see a name with a label of more than 63 letters.
    let name = format!("{}.example", "a".repeat(64));
    let words = ["the name of the host cannot be resolved", "check the name of the host"];
    let mut plain = settings();
    plain.allow_insecure(&name);
    check(&pull_from(&name, plain), ErrorKind::Unavailable, &words);
    let closed = format!("127.0.0.1:{}", listener().1);
    let words = ["no connection: ", "check the name, the port and the network"];
    check(&pull_from(&closed, settings()), ErrorKind::Unavailable, &words);
    let mut hasty = settings();
    hasty.times.answer = Duration::from_millis(200);
    hasty.retry.attempts = 1;
    registry.script(on("GET", "").always(), [Fault::Hang]);
    let words = ["does not answer within 0.2 s", "try again later"];
    check(&pull(&registry, hasty), ErrorKind::Unavailable, &words);
    registry.unscript();
    registry.script(on("GET", "").always(), [Fault::Throttled(Hint::Seconds(3600))]);
    let words = ["limits how often it is asked", "try again later", "`requests-per-second`"];
    check(&pull(&registry, settings()), ErrorKind::RateLimited, &words);
    registry.unscript();
    registry.script(on("GET", "").always(), [Fault::bare(404)]);
    let words = ["404 without saying what is missing", "check its name"];
    check(&pull(&registry, settings()), ErrorKind::Invalid, &words);
}

#[test]
fn a_tag_that_moves_between_two_looks() {
    let registry = Registry::start(Switches::default());
    let digest = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let head = client.run(repository.head(&tag("v1"))).unwrap();
    client.run(repository.manifest_after(&head, &tag("v1"))).unwrap();
    let other = registry.put_manifest(APP, None, crate::support::registry::INDEX, b"{\"manifests\":[]}");
    let to = other.clone();
    let moved: crate::support::registry::Hook = Arc::new(move |store| store.repository(APP).tag("v1", &to));
    registry.script(on("GET", "/manifests/v1"), [Fault::Before(moved)]);
    let error = client.run(repository.manifest_after(&head, &tag("v1"))).unwrap_err();
    let words = ["the tag moved while it was read, from ", &digest, &other, "name the image by its digest"];
    check(&error, ErrorKind::Invalid, &words);
}

#[test]
fn web_pages_in_place_of_what_was_asked_for() {
    let registry = bearer(Bearer::default());
    let bytes = noise(100);
    registry.put_blob(APP, &bytes);
    let (client, repository) = open(&registry, logged_in(&registry));
    registry.script(on("*", "/token"), [Fault::Html]);
    let pages = [
        ("no token", client.run(repository.tags()).map(|_| ())),
        ("no manifest", {
            registry.script(on("GET", "/manifests/"), [Fault::Html]);
            client.run(repository.manifest(&tag("v1"))).map(|_| ())
        }),
        ("no list of tags", {
            registry.script(on("GET", "/tags/"), [Fault::Html]);
            client.run(repository.tags()).map(|_| ())
        }),
        ("no blob", {
            registry.script(on("GET", "/blobs/"), [Fault::Html]);
            client.run(repository.blob_bytes(&descriptor(&bytes), 1000)).map(|_| ())
        }),
    ];
    for (what, result) in pages {
        let words =
            ["the answer is a web page (`text/html`)", what, "stands in between; check the registry's name"];
        // Never a lie of the registry's: that would deny the image.
        check(&result.unwrap_err(), ErrorKind::Invalid, &words);
    }
}
