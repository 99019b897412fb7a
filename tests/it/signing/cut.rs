//! A run that is killed at every request in turn and then run again: the end is the same, and nothing is doubled.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use serde_json::Value;

use super::{CYCLONEDX, KINDS, Stage, VSA};
use crate::support::registry::{Fault, Referrers, on};
use crate::support::sigstore::{GITHUB, Service, Sigstore, Version};

const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// Runs at a time: each waits most of its time for a last look at tags.
const AT_ONCE: usize = 12;

/// The services that sign.
const SERVICES: [fn(&Sigstore) -> &Service; 3] = [|s| &s.fulcio, |s| &s.rekor, |s| &s.tsa];

/// Where a run is cut: at a request to the registry, or to one of the services, after so many others.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Registry(usize),
    Service(usize, usize),
}

/// What is run.
#[derive(Clone, Copy)]
enum Work {
    /// The image is signed in both forms.
    Sign,
    /// The image is judged, and the verdict attested with what it rests on.
    Gate,
}

impl Work {
    fn arguments(self, stage: &Stage) -> Vec<String> {
        let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let (config, root) = (path(stage.files.signing_config(Version::V1)), path(&stage.files.trusted_root));
        let (token, policy) = (stage.token(), stage.policy("size: {layersMax: 40}"));
        let own: &[&str] = match self {
            Self::Sign => &["sign", "--format", "both"],
            Self::Gate => &["gate", "--attest", "--policy", &policy, "--db", "testdata/demo/osv"],
        };
        let services = ["--identity-token", &token, "--signing-config", &config, "--trusted-root", &root];
        let place = ["--insecure-registry", &stage.address, &stage.image];
        own.iter().chain(&services).chain(&place).map(|word| (*word).to_owned()).collect()
    }

    /// What is to hang on the index and on each platform: what kind of claim, and in which place.
    fn wanted(self) -> Vec<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match self {
            Self::Sign => vec![words(&["signature referrer", "signature tag"]); 3],
            Self::Gate => {
                let [sbom, scan, verdict] = [CYCLONEDX, VULN, VSA].map(|kind| format!("{kind} referrer"));
                let platform = words(&[&scan, &sbom, &verdict]);
                vec![vec![verdict], platform.clone(), platform]
            }
        }
    }
}

/// Runs it until the cut, and kills it there; whether it came so far.
fn killed(work: Work, stage: &Stage, cut: Cut) -> bool {
    let (met, meets): (Sender<()>, _) = channel();
    let hook = Fault::Before(Arc::new(move |_| met.send(()).unwrap_or_default()));
    match cut {
        Cut::Registry(number) => stage.registry.script(on("*", "").skip(number), [hook, Fault::Hang]),
        Cut::Service(service, number) => {
            SERVICES[service](&stage.sigstore).fail_on(on("*", "").skip(number), [Fault::Hang]);
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(work.arguments(stage)).env_clear().env("HOME", stage.folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let killed = loop {
        let is_met = match cut {
            Cut::Registry(_) => meets.try_recv().is_ok(),
            Cut::Service(..) => stage.sigstore.journal().iter().any(|call| call.status == 0),
        };
        if is_met {
            break true;
        }
        // The order of what is done at a time differs from run to run: one may have fewer requests.
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{cut:?}: ended by itself: {ended}");
            break false;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let _ = child.kill();
    child.wait().unwrap();
    stage.registry.unscript();
    stage.sigstore.mend();
    killed
}

/// What hangs on each manifest: what kind of claim, and in which place.
fn end_state(stage: &Stage) -> Vec<Vec<String>> {
    let root = stage.files.trusted_root.to_str().unwrap();
    let by = ["--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", GITHUB];
    let verify = ["verify", &stage.image, "--trusted-root", root, "-o", "json"];
    let verified = stage.run(&[verify.as_slice(), &by].concat()).json();
    let attested = verified["images"][0]["attested"].as_array().unwrap();
    let list = |one: &Value, key: &str| one[key].as_array().unwrap().clone();
    attested
        .iter()
        .map(|one| {
            assert!(list(one, "refused").is_empty() && list(one, "unknown").is_empty(), "{verified:#}");
            let claim = |one: &Value| {
                let place = if one["at"]["kind"] == "tag" { "tag" } else { "referrer" };
                let kind = one["content"]["statement"]["predicateType"].as_str().unwrap_or("signature");
                format!("{kind} {place}")
            };
            let mut claims: Vec<String> = list(one, "attestations").iter().map(claim).collect();
            claims.sort_unstable();
            claims
        })
        .collect()
}

fn again(work: Work, stage: &Stage) {
    let arguments = work.arguments(stage);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    stage.run(&arguments).ended(0);
}

fn cut_everywhere(work: Work, referrers: Referrers) {
    let whole = Stage::set(referrers);
    whole.registry.forget();
    again(work, &whole);
    let requests = whole.registry.requests().len();
    let wanted = work.wanted();
    assert_eq!(end_state(&whole), wanted);
    let services = (0..SERVICES.len()).flat_map(|service| {
        let count = SERVICES[service](&whole.sigstore).count();
        (0..count).map(move |number| Cut::Service(service, number))
    });
    let cuts: Vec<Cut> = (0..requests).map(Cut::Registry).chain(services).collect();
    assert!(requests > 30 && cuts.len() > requests + 10, "{requests} {}", cuts.len());
    println!("cut at {} requests, {requests} of them to the registry", cuts.len());
    let (next, kills) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let stage = Stage::set(referrers);
                    kills.fetch_add(usize::from(killed(work, &stage, *cut)), Ordering::SeqCst);
                    again(work, &stage);
                    assert_eq!(end_state(&stage), wanted, "{cut:?}");
                }
            });
        }
    });
    assert!(kills.into_inner() * 10 >= cuts.len() * 9, "too few runs were cut");
}

#[test]
fn a_run_cut_at_any_request_and_repeated_ends_the_same_where_referrers_are_listed() {
    cut_everywhere(Work::Sign, KINDS[0]);
}

#[test]
fn a_run_cut_at_any_request_and_repeated_ends_the_same_with_the_fallback_tag() {
    cut_everywhere(Work::Sign, KINDS[1]);
}

#[test]
fn a_gate_cut_at_any_request_and_repeated_attests_the_same_where_referrers_are_listed() {
    cut_everywhere(Work::Gate, KINDS[0]);
}

#[test]
fn a_gate_cut_at_any_request_and_repeated_attests_the_same_with_the_fallback_tag() {
    cut_everywhere(Work::Gate, KINDS[1]);
}
