//! Several who must sign: each by himself, in whatever form.

use super::keys::Keys;
use super::{KINDS, Stage};
use crate::support::cli::Run;
use crate::support::registry::{Fault, Referrers, on};
use crate::support::sigstore::{Claims, GITHUB, Version};

const CI: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// Who may sign: a workflow, a person, anybody who is that workflow, and a key.
fn identities(stage: &Stage, keys: &Keys) -> String {
    let public = std::fs::read_to_string(&keys.public).unwrap().replace('\n', "\n    ");
    let text = format!(
        "ci: {{github: acme/app, workflow: .github/workflows/release.yml, refs: [refs/heads/main]}}\n\
         same: {{issuer: {{glob: 'https://**'}}, subject: {{glob: '**/release.yml@**'}}}}\n\
         other: {{github: acme/other}}\nours:\n  key: |\n    {public}\n"
    );
    stage.write("identities.yaml", &text)
}

impl Stage {
    fn trusting(&self, command: &str, file: &str, more: &[&str]) -> Run {
        let root = self.files.trusted_root.to_str().unwrap();
        let who = [command, "--identities", file, "--trusted-root", root];
        self.run(&[&who[..], more].concat())
    }

    fn sign_as_other(&self, more: &[&str]) {
        let token = self.sigstore.token(&Claims::github("acme/other", "x.yml", "refs/heads/main"));
        self.signing("sign", &token, Version::V1, more).ended(0);
    }
}

#[test]
fn as_many_must_have_signed_as_are_required_each_by_himself() {
    for referrers in KINDS {
        let stage = Stage::set(referrers);
        let keys = stage.generate("ours");
        let file = identities(&stage, &keys);
        let verify = |more: &[&str]| stage.trusting("verify", &file, &[more, &[&stage.image]].concat());
        let (two, three) = (["--require", "2"], ["--identity", "ci,other", "--identity", "ours"]);
        verify(&[]).ended(1);
        stage.sign().ended(0);
        verify(&[]).ended(0);
        // Attack: one signer who is two of those that are named.
        verify(&two).ended(1);
        verify(&["--identity", "ci", "--identity", "same", "--require", "all"]).ended(1);
        verify(&["--identity", "other"]).ended(1);
        // Another one signs in the old form, and a key in both.
        stage.sign_as_other(&["--format", "legacy"]);
        verify(&two).ended(0);
        let told = verify(&[&three[..], &["--require", "all"]].concat()).ended(1).out();
        assert!(told.contains("2 of 3") && told.contains("`ours`"), "{told}");
        stage.sign_with("sign", &keys, Version::V1, &["--format", "both", &stage.image]).ended(0);
        verify(&[&three[..], &["--require", "all"]].concat()).ended(0);
        verify(&["--require", "all"]).ended(1);
        // What cannot be seen may be the one that is missing.
        stage.registry.script(on("GET", ".sig").times(1_000), [Fault::bare(500)]);
        verify(&["--identity", "ci", "--identity", "other", "--require", "all"]).ended(3);
    }
}

#[test]
fn keys_are_counted_too() {
    let stage = Stage::set(Referrers::Off);
    let (one, two) = (stage.generate("one"), stage.generate("two"));
    let root = stage.files.trusted_root.to_str().unwrap();
    let verify = |more: &[&str]| {
        let own = ["verify", &stage.image, "--trusted-root", root, "--key", &one.public];
        stage.run(&[&own[..], more].concat())
    };
    let both = ["--key", &two.public, "--require", "all"];
    stage.sign_with("sign", &one, Version::V1, &[&stage.image]).ended(0);
    verify(&["--key", &two.public]).ended(0);
    verify(&both).ended(1);
    stage.sign_with("sign", &two, Version::V1, &[&stage.image]).ended(0);
    verify(&both).ended(0);
    // The same key twice is one.
    let again = stage.write("again.pub", &std::fs::read_to_string(&one.public).unwrap());
    let told = verify(&["--key", &again]).ended(2).err();
    assert!(told.contains("same identity as another"), "{told}");
}

#[test]
fn who_is_named_in_two_ways_or_not_at_all_is_wrong_usage() {
    let stage = Stage::set(Referrers::Off);
    let keys = stage.generate("ours");
    let file = identities(&stage, &keys);
    let identity = ["--certificate-identity", CI, "--certificate-oidc-issuer", GITHUB];
    for more in [
        &identity[..],
        &["--key", &keys.public],
        &["--identity", "nobody"],
        &["--require", "5"],
        &["--require", "0"],
        &["--require", "most"],
    ] {
        let run = stage.trusting("verify", &file, &[more, &[&stage.image]].concat());
        assert_eq!(run.code(), 2, "{more:?}: {}", run.err());
    }
    stage.run(&["verify", &stage.image, "--identity", "ci", "--key", &keys.public]).ended(2);
    stage.run(&[&["verify", &stage.image, "--require", "2"][..], &identity].concat()).ended(2);
    stage.run(&["verify", &stage.image, "--require", "all"]).ended(2);
    let told = stage.trusting("verify", &stage.write("bad.yaml", "ci: {github: acme}\n"), &[&stage.image]);
    assert!(told.err().contains("bad.yaml:1:"), "{}", told.err());
    told.ended(2);
    stage.trusting("verify", "no such file", &[&stage.image]).ended(3);
}

#[test]
fn a_bundle_is_by_one_of_those_who_are_named() {
    let stage = Stage::set(Referrers::Off);
    let keys = stage.generate("ours");
    let file = identities(&stage, &keys);
    let artifact = stage.write("artifact", "what is signed");
    let path = |name: &str| stage.folder.path().join(name).to_str().unwrap().to_owned();
    let (by_key, by_ci) = (path("key.json"), path("ci.json"));
    stage.sign_with("sign-bundle", &keys, Version::V2, &["--bundle", &by_key, &artifact]).ended(0);
    let (config, root) = (stage.files.signing_config(Version::V1), &stage.files.trusted_root);
    let services = ["--signing-config", config.to_str().unwrap(), "--trusted-root", root.to_str().unwrap()];
    let token = stage.token();
    let sign = ["sign-bundle", "--identity-token", &token, "--bundle", &by_ci, &artifact];
    stage.run(&[&sign[..], &services].concat()).ended(0);
    let verify = |bundle: &str, more: &[&str]| {
        stage.trusting("verify-bundle", &file, &[more, &["--bundle", bundle, &artifact]].concat())
    };
    for bundle in [&by_key, &by_ci] {
        verify(bundle, &[]).ended(0);
        verify(bundle, &["--type", "signature"]).ended(0);
        verify(bundle, &["--identity", "other"]).ended(1);
        // One bundle has one signer.
        let told = verify(bundle, &["--require", "all"]).ended(2).err();
        assert!(told.contains("one signature"), "{told}");
    }
    verify(&by_key, &["--identity", "ours", "--require", "all"]).ended(0);
    let told = verify(&by_ci, &["--identity", "other", "--identity", "ours"]).ended(1).out();
    assert!(told.starts_with("refused (identity)") && told.contains(CI), "{told}");
    let told = verify(&by_key, &["--identity", "ci", "--identity", "other"]).ended(1).out();
    assert!(told.starts_with("refused (material)"), "{told}");
}
