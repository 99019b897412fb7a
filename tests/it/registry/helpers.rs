//! Credential helpers as programs: `docker-credential-NAME` on the `PATH`.

use std::os::unix::fs::PermissionsExt as _;

use super::processes::{process, task, told};
use super::*;
use crate::support::registry::{Auth, Bearer, Registry, Switches};

#[test]
#[ignore = "the process of the test below, which has helpers on its PATH"]
fn asker() {
    let Some(task) = task() else { return };
    let [address, config] = task.as_slice() else { panic!("{task:?}") };
    let mut settings = Settings { credentials: vec![Source::File(config.into())], ..settings() };
    settings.times.helper = Duration::from_millis(700);
    let client = Client::new(settings).unwrap();
    let repository = client.repository(&format!("{address}/{APP}:v1").parse().unwrap()).unwrap();
    // The harness has begun a line.
    match client.run(repository.manifest(&tag("v1"))) {
        Ok(pulled) => println!("\npulled {}", pulled.digest),
        Err(error) => println!("\nfailed {}: {}", error.kind, error.message),
    }
    for line in trace::lines() {
        println!("trace {line}");
    }
}

/// What an anonymous reader may have, so that it is seen where a failure becomes anonymous access.
fn public() -> Registry {
    let bearer =
        Bearer { public: vec![APP.into()], identity_token: Some("refresh".into()), ..Bearer::default() };
    let registry = Registry::start(Switches { auth: Auth::Bearer(bearer), ..Switches::default() });
    small_image(&registry);
    registry
}

/// Asks with a helper of this text (none: not installed) and a file of credentials; what is told of it.
fn ask(registry: &Registry, script: Option<&str>, config: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    if let Some(script) = script {
        let helper = folder.path().join("docker-credential-test");
        std::fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let file = folder.path().join("config.json");
    std::fs::write(&file, config).unwrap();
    let task = format!("{} {}", registry.address(), file.display());
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let output = process("registry::helpers::asker", &task).env("PATH", path).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(!told(&output, "trace").concat().contains(PASSWORD), "{output}");
    let told = [told(&output, "pulled"), told(&output, "failed")].concat();
    let [told] = told.as_slice() else { panic!("{output}") };
    told.clone()
}

#[test]
fn helpers_are_asked_and_their_failures_are_errors() {
    let registry = public();
    let digest = registry.manifest(APP, "v1").unwrap().0;
    let for_one = format!(r#"{{"credHelpers": {{"{}": "test"}}}}"#, registry.address());
    let for_all = r#"{"credsStore": "test", "auths": {}}"#;
    let answer = |user: &str, secret: &str| {
        format!(
            r#"read -r server
[ "$1" = get ] && [ "$server" = "{}" ] && echo '{{"ServerURL":"x","Username":"{user}","Secret":"{secret}"}}'"#,
            registry.address()
        )
    };
    // `read` fails where no line break follows; what it read is there.
    for config in [for_one.as_str(), for_all] {
        let told = ask(&registry, Some(&answer(USER, PASSWORD)), config);
        assert_eq!((told.as_str(), registry.token_calls()), (digest.as_str(), 1));
        let token = registry.requests().into_iter().find(|seen| seen.target.starts_with("/token")).unwrap();
        assert!(token.header("authorization").unwrap().starts_with("Basic "));
        registry.forget();
        assert_eq!(ask(&registry, Some(&answer("<token>", "refresh")), config), digest);
        assert_eq!(registry.count("POST", "/token"), 1);
        registry.forget();
    }
    let told = ask(&registry, Some(&answer(USER, "old password")), &for_one);
    assert!(told.starts_with("denied: ") && told.contains("rejected (403)"), "{told}");
    // That it has none is an answer.
    let none = "echo credentials not found in native keychain; exit 1";
    registry.forget();
    assert_eq!(ask(&registry, Some(none), for_all), digest);
    let calls: Vec<_> =
        registry.requests().into_iter().filter(|seen| seen.target.starts_with("/token")).collect();
    assert!(calls.len() == 1 && calls[0].header("authorization").is_none());

    let failures = [
        (Some("exec sleep 60".to_owned()), "does not answer within 0.7 s"),
        (Some("sleep 60 & echo '{}'".to_owned()), "does not answer within 0.7 s"),
        (Some(format!("echo {PASSWORD}")), "answers what is no JSON object with `Username` and `Secret`"),
        (Some(String::new()), "answers what is no JSON object"),
        (Some(format!("echo '{{\"Secret\":\"{PASSWORD}\"}}'")), "answers what is no JSON object"),
        (Some(format!("echo {PASSWORD}; echo {PASSWORD} >&2; exit 1")), "failed"),
        (Some("kill -9 $$".to_owned()), "failed"),
        (Some("exec yes".to_owned()), "answers without end"),
        (None, "is not installed"),
    ];
    for (script, want) in &failures {
        registry.forget();
        let told = ask(&registry, script.as_deref(), &for_one);
        let helper = "settings: the credential helper `docker-credential-test` ";
        assert!(told.starts_with(helper) && told.contains(want), "{script:?}: {told}");
        assert!(told.contains("log in again") && !told.contains(PASSWORD), "{told}");
        assert_eq!(registry.token_calls(), 0, "{script:?}: nobody was asked for an anonymous token");
    }
    let path = format!(r#"{{"credHelpers": {{"{}": "x/../../test"}}}}"#, registry.address());
    let told = ask(&registry, Some(&answer(USER, PASSWORD)), &path);
    assert!(told.contains("has a name that is none"), "{told}");
}
