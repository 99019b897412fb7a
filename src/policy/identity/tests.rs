use crate::policy::{Policy, PolicyError};

fn policy(identity: &str) -> Result<Policy, Vec<PolicyError>> {
    let text = format!(
        "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: test}}\nidentities:\n  ci: {identity}\n\
         rules:\n- id: signed\n  signature: {{by: [ci]}}\n"
    );
    Policy::parse(text.as_bytes())
}

#[test]
fn an_identity_that_many_are_is_none() {
    for identity in [
        "{}",
        "{issuer: 'https://accounts.google.com'}",
        "{subject: a@b}",
        "{issuer: '', subject: a@b}",
        "{issuer: x, subject: {glob: '**'}}",
        "{issuer: x, subject: {regexp: '.*'}}",
        "{issuer: x, subject: {regexp: 'a)|(?:b'}}",
        "{issuer: x, subject: {other: y}}",
        "{issuer: x, subject: a@b, unknown: y}",
        "{github: acme}",
        "{github: 'acme/app@refs'}",
        "{github: acme/app, workflow: 'x.yml'}",
        "{github: acme/app, refs: ['refs/heads/main@x']}",
        "{key: none}",
    ] {
        assert!(policy(identity).is_err(), "{identity}");
    }
}

#[test]
fn every_form_of_an_identity_is_read() {
    for identity in [
        "{issuer: x, subject: a@b}",
        "{issuer: {regexp: 'https://issuer[.]example/.+'}, subject: {glob: '*@acme.example'}}",
        "{issuer: x, sourceRepository: 'https://github.com/acme/app', runnerEnvironment: github-hosted}",
        "{github: acme/app}",
        "{github: 'acme/*', workflow: .github/workflows/release.yml, refs: [refs/heads/main, 'refs/tags/v*']}",
        "{github: acme/workflows, sourceRepository: 'https://github.com/acme/app'}",
    ] {
        assert!(policy(identity).is_ok(), "{identity}: {:?}", policy(identity).err());
    }
}
