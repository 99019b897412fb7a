//! Registries that let nobody delete, and such as show what was pushed only after a while.

use std::time::Duration;

use serde_json::{Value, json};

use super::{APP, CYCLONEDX, KINDS, Stage};
use crate::support::registry::{Delete, Fault, Referrers, on};
use crate::support::sigstore::Version;

impl Stage {
    /// How many documents of each version are attested and accepted of the image.
    fn versions(&self) -> [i32; 2] {
        [1, 2].map(|version| {
            let rule =
                format!("attestation: {{type: {CYCLONEDX}, by: [ci], where: {{version: '{version}'}}}}");
            self.gate(&rule).code()
        })
    }

    fn replace(&self, version: u32) -> crate::support::cli::Run {
        self.attest(&json!({"bomFormat": "CycloneDX", "version": version}), Version::V1, &["--replace"])
    }
}

fn first(run: &Value, key: &str) -> Vec<Value> {
    run["images"][0]["manifests"][0][key].as_array().unwrap().clone()
}

/// The new one is there, the old one still counts, and whoever asked for it to go is told, with exit code 3.
#[test]
fn an_attestation_that_a_registry_does_not_delete_is_said_to_be_left() {
    for refusal in [405, 403] {
        for referrers in KINDS {
            let stage = Stage::set(referrers);
            stage.replace(1).ended(0);
            match refusal {
                405 => stage.registry.switch(|switches| switches.delete = Delete::NotAllowed),
                _ => stage.registry.script(on("DELETE", "").always(), [Fault::bare(403)]),
            }
            let run = stage.replace(2);
            // Where a tag lists referrers, what cannot be deleted is taken off the list.
            if refusal == 405 && referrers == Referrers::Off {
                let run = run.ended(0).json();
                assert_eq!((first(&run, "replaced").len(), first(&run, "left").len()), (1, 0), "{run:#}");
                assert_eq!(stage.versions(), [1, 0]);
                continue;
            }
            let run = run.ended(3);
            assert!(run.err().contains("1 older could not be taken away"), "{}", run.err());
            let said = run.json();
            assert_eq!((first(&said, "replaced").len(), first(&said, "left").len()), (0, 1), "{said:#}");
            assert_eq!(stage.versions(), [0, 0], "{refusal}");
            // Again: nothing is made a second time, and the same is said.
            stage.replace(2).ended(3);
            assert_eq!(stage.sigstore.entries(Version::V1).len(), 2);
            stage.registry.unscript();
            stage.registry.switch(|switches| switches.delete = Delete::Allowed);
            stage.replace(2).ended(0);
            assert_eq!(stage.versions(), [1, 0]);
        }
    }
}

/// What was pushed is waited for, and made once.
#[test]
fn a_registry_that_shows_a_push_only_after_a_while_gets_it_once() {
    for referrers in KINDS {
        let stage = Stage::set(referrers);
        stage.registry.switch(|switches| switches.read_after_write_lag = Duration::from_millis(1500));
        let signed =
            stage.signing("sign", &stage.token(), Version::V1, &["--format", "both"]).ended(0).json();
        let made = signed["images"][0]["manifests"].as_array().unwrap();
        assert!(made.iter().all(|one| one["referrer"].is_string() && one["tag"].is_string()), "{signed:#}");
        // A statement and a payload for each of three manifests.
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 6);
        for one in made {
            let (subject, referrer) = (one["subject"].as_str().unwrap(), one["referrer"].as_str().unwrap());
            assert_eq!(stage.registry.count("PUT", referrer), 1);
            let listed = match referrers {
                Referrers::Off => stage.registry.fallback(APP, subject),
                Referrers::Native { .. } | Referrers::Unfiltered { .. } | Referrers::RedirectElsewhere => {
                    stage.registry.with(APP, |holds| holds.referrers(subject))
                }
            };
            assert_eq!(listed.len(), 1, "{listed:?}");
        }
        // It ended when all could be seen: the same again finds it.
        stage.signing("sign", &stage.token(), Version::V1, &["--format", "both"]).ended(0);
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 6);
        stage.gate("signature: {by: [ci], perPlatform: true}").ended(0);
    }
}
