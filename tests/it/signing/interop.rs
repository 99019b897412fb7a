//! Images between portcullis and cosign: what either hangs beside them the other accepts, of whom it is.

use super::{KINDS, Stage, two_platforms};
use crate::support::docker_registry::DockerRegistry;
use crate::support::judges::{Form, HUNG, Hung, Installed, Judge, PREDICATE, predicate};
use crate::support::sigstore::{GITHUB, Version};
use crate::support::skopeo::{Access, Skopeo, skopeo};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// What a docker-registry holds: the reference of an image of its own for each of [`HUNG`].
struct Docker {
    registry: DockerRegistry,
    skopeo: Skopeo,
}

impl Docker {
    fn start() -> Option<Self> {
        Some(Self { skopeo: skopeo()?, registry: DockerRegistry::plain()? })
    }

    fn push(&self, repository: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        two_platforms().write(folder.path());
        let tagged = self.registry.reference(repository, "v1");
        self.skopeo.push(folder.path(), "v1", &tagged, &Access::default());
        let manifest = self.skopeo.inspect_raw(&tagged, &Access::default());
        let digest = portcullis::model::digest::Digest::sha256(&manifest).to_string();
        self.registry.reference(repository, &digest)
    }
}

/// Runs a test for each of [`HUNG`], beside each kind of registry, with an image that nobody has signed.
fn everywhere(test: impl Fn(&Stage, (Form, Hung), Version)) {
    for referrers in KINDS {
        let mut stage = Stage::set(referrers);
        for (place, (what, rekor)) in HUNG.into_iter().enumerate() {
            let repository = format!("app{place}");
            let digest = stage.registry.push_layout(&repository, "v1", &two_platforms());
            stage.image = stage.registry.reference(&repository, &digest);
            test(&stage, what, rekor);
        }
    }
    let Some(docker) = Docker::start() else { return };
    let mut stage = Stage::set(KINDS[1]);
    stage.address = docker.registry.address().to_owned();
    for (place, (what, rekor)) in HUNG.into_iter().enumerate() {
        stage.image = docker.push(&format!("app{place}"));
        test(&stage, what, rekor);
    }
}

fn rule(form: Form, by: &str) -> String {
    match form {
        Form::Message => format!("signature: {{by: [{by}]}}"),
        Form::Dsse => format!("attestation: {{type: '{PREDICATE}', by: [{by}]}}"),
    }
}

#[test]
fn portcullis_accepts_what_cosign_hangs_of_whom_it_is() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    everywhere(|stage, what, rekor| {
        stage.gate(&rule(what.0, "ci")).ended(1);
        let hung = cosign.hang(&stage.sigstore, &stage.files, rekor, &stage.token(), what, &stage.image);
        hung.unwrap_or_else(|said| panic!("{what:?} {rekor:?}: {said}"));
        stage.gate(&rule(what.0, "ci")).ended(0);
        stage.gate(&rule(what.0, "other")).ended(1);
    });
}

#[test]
fn cosign_accepts_what_is_hung_here_of_whom_it_is() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    everywhere(|stage, what, rekor| accepted_by_cosign(&cosign, stage, what, rekor));
}

fn accepted_by_cosign(cosign: &Installed, stage: &Stage, what: (Form, Hung), rekor: Version) {
    let at = format!("{what:?} {rekor:?}");
    let accepts = |identity: &str| cosign.hangs(&stage.files, what, identity, GITHUB, &stage.image);
    assert!(accepts(WORKFLOW).is_err(), "{at}: accepted unsigned");
    let format = if what.1 == Hung::Legacy { "legacy" } else { "bundle" };
    let file = stage.write("predicate.json", &predicate().to_string());
    let (command, more): (_, &[&str]) = match what.0 {
        Form::Message => ("sign", &[]),
        Form::Dsse => ("attest", &["--type", PREDICATE, "--predicate", &file]),
    };
    stage.signing(command, &stage.token(), rekor, &[&["--format", format], more].concat()).ended(0);
    accepts(WORKFLOW).unwrap_or_else(|said| panic!("{at}: {said}"));
    assert!(accepts(&WORKFLOW.replace("acme/app", "acme/other")).is_err(), "{at}: accepted of another");
    stage.gate(&rule(what.0, "ci")).ended(0);
    stage.gate(&rule(what.0, "other")).ended(1);
}
