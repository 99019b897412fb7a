//! `portcullis verify-bundle`, run as the conformance suite runs its clients, and as a user would.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::cli::{Run, portcullis};
use crate::support::shared;
use crate::support::vectors::vectors;

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const SUBJECT: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
                       .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";

fn run(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), &[&["verify-bundle"], arguments].concat())
}

fn folder(name: &str) -> Option<PathBuf> {
    Some(shared("data/sigstore/test/assets/bundle-verify")?.join(name))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The happy path with other arguments about who may sign.
fn happy(arguments: &[&str]) -> Option<Run> {
    let bundle = text(&folder("happy-path-v0.3")?.join("bundle.sigstore.json"));
    let artifact = text(&folder("../a.txt")?);
    Some(run(&[&["--bundle", &bundle], arguments, &[&artifact]].concat()))
}

#[test]
fn the_conformance_suite_s_command_line_gives_its_exit_codes() {
    let Some(vectors) = vectors() else { return };
    for name in
        ["happy-path-v0.1", "managed-key-happy-path", "rekor2-happy-path", "set-invalid-signature_fail"]
    {
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
        let folder = folder(name).unwrap();
        let bundle = text(&folder.join("bundle.sigstore.json"));
        let (key, root) = (text(&folder.join("key.pub")), text(&folder.join("trusted_root.json")));
        let mut arguments = vec!["--bundle", bundle.as_str()];
        if vector.key.is_some() {
            arguments.extend(["--key", &key]);
        } else {
            arguments.extend(["--certificate-identity", &vector.subject]);
            arguments.extend(["--certificate-oidc-issuer", &vector.issuer]);
        }
        if Path::new(&root).exists() {
            arguments.extend(["--trusted-root", &root]);
        }
        let digest = portcullis::model::digest::Digest::sha256(&vector.artifact).to_string();
        arguments.push(&digest);
        run(&arguments).ended(if vector.must_fail() { 1 } else { 0 });
    }
}

#[test]
fn another_signer_ends_with_one_and_is_named() {
    let identity =
        ["--certificate-identity", "https://github.com/acme/app", "--certificate-oidc-issuer", ISSUER];
    let Some(run) = happy(&identity) else { return };
    let told = run.ended(1).out();
    assert!(told.starts_with("refused (identity)") && told.contains(SUBJECT), "{told}");
    let document = happy(&[&identity[..], &["-o", "json"]].concat()).unwrap().ended(1).json();
    assert_eq!(
        (&document["result"], &document["rejection"]["kind"]),
        (&json!("refused"), &json!("identity"))
    );
    assert_eq!(document["attestation"]["signedBy"]["name"], SUBJECT);
    let other =
        ["--certificate-identity", SUBJECT, "--certificate-oidc-issuer", "https://accounts.google.com"];
    happy(&other).unwrap().ended(1);
}

#[test]
fn patterns_and_claims_must_all_hold() {
    let issuer = ["--certificate-oidc-issuer", ISSUER];
    let repository = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon";
    let by_repository = format!("sourceRepository={repository}");
    let good: [&[&str]; 4] = [
        &["--certificate-identity-glob", "https://github.com/sigstore-conformance/**@refs/heads/main"],
        &["--certificate-identity-regexp", "https://github\\.com/sigstore-conformance/.*@refs/heads/main"],
        &[
            "--certificate-claim",
            &by_repository,
            "--certificate-claim-glob",
            "sourceRepositoryRef=refs/heads/*",
        ],
        &[
            "--certificate-identity",
            SUBJECT,
            "--certificate-claim-regexp",
            "runnerEnvironment=(?:github|self)-hosted",
        ],
    ];
    for arguments in good {
        let Some(run) = happy(&[arguments, &issuer].concat()) else { return };
        run.ended(0);
    }
    let bad: [&[&str]; 4] = [
        // Attack: a pattern without anchors, which any longer name would match.
        &["--certificate-identity-regexp", "sigstore-conformance/.*@refs/heads"],
        &["--certificate-identity-glob", "https://github.com/sigstore-conformance/*"],
        &["--certificate-claim", &by_repository, "--certificate-claim", "buildTrigger=release"],
        &["--certificate-claim", "deploymentEnvironment=production"],
    ];
    for arguments in bad {
        happy(&[arguments, &issuer].concat()).unwrap().ended(1);
    }
    happy(&[
        "--certificate-identity",
        SUBJECT,
        "--certificate-oidc-issuer-glob",
        "https://*.githubusercontent.com",
    ])
    .unwrap()
    .ended(0);
}

#[test]
fn nobody_in_particular_is_wrong_usage() {
    let issuer = ["--certificate-oidc-issuer", ISSUER];
    let wrong: [&[&str]; 7] = [
        &[],
        &issuer,
        &["--certificate-identity", SUBJECT],
        &["--certificate-identity-regexp", ".*", issuer[0], issuer[1]],
        &["--certificate-claim", "noSuchClaim=x", issuer[0], issuer[1]],
        &["--certificate-claim", "buildTrigger", issuer[0], issuer[1]],
        &["--certificate-identity", SUBJECT, issuer[0], issuer[1], "--key-without-log"],
    ];
    for arguments in wrong {
        let Some(run) = happy(arguments) else { return };
        assert_eq!(run.code(), 2, "{arguments:?}: {}", run.err());
    }
}

/// Attack: an SBOM or a scan of a file, offered as its signature.
#[test]
fn what_was_verified_is_said_and_may_be_demanded() {
    let Some(vectors) = vectors() else { return };
    let judge = |name: &str, more: &[&str]| {
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
        let bundle = text(&folder(name).unwrap().join("bundle.sigstore.json"));
        let digest = portcullis::model::digest::Digest::sha256(&vector.artifact).to_string();
        let who = ["--certificate-identity", &vector.subject, "--certificate-oidc-issuer", &vector.issuer];
        run(&[&["--bundle", &bundle], &who[..], more, &[&digest]].concat())
    };
    let (message, statement) = ("happy-path-v0.3", "happy-path-intoto-in-dsse-v3");
    let provenance = "https://slsa.dev/provenance/v1";
    let told = judge(message, &[]).ended(0).out();
    assert!(
        told.starts_with("verified (signature): ") && told.contains("a signature over sha256:"),
        "{told}"
    );
    let told = judge(statement, &[]).ended(0).out();
    assert!(told.starts_with("verified (attestation, and no signature): "), "{told}");
    let document = judge(statement, &["-o", "json"]).ended(0).json();
    let found = &document["attestation"];
    assert_eq!((&found["isSignature"], &found["content"]["kind"]), (&json!(false), &json!("statement")));
    let own = found["content"]["predicateType"].as_str().unwrap();
    assert!(told.contains(&format!("an attestation of type {own}")), "{told}");
    assert_eq!(judge(message, &["-o", "json"]).json()["attestation"]["isSignature"], true);
    for (name, wanted, exit) in [
        (message, "signature", 0),
        (message, provenance, 1),
        (message, "slsaprovenance1", 1),
        (statement, "signature", 1),
        (statement, own, 0),
        (statement, "https://sigstore.dev/cosign/sign/v1", 1),
        (statement, "no type", 2),
    ] {
        let run = judge(name, &["--type", wanted]).ended(exit);
        assert!(exit != 1 || run.out().starts_with("refused (type)"), "{wanted}: {}", run.out());
    }
    let document = judge(statement, &["--type", "signature", "-o", "json"]).ended(1).json();
    assert_eq!((&document["result"], &document["rejection"]["kind"]), (&json!("refused"), &json!("type")));
}

/// A log entry that has the hash of an envelope's bytes and no signature: neither believed nor refused.
#[test]
fn an_entry_of_the_oldest_kind_is_undecided_and_says_so() {
    let Some(folder) = folder("happy-path-intoto-in-dsse-v3") else { return };
    let home = tempfile::tempdir().unwrap();
    let mut bundle: Value =
        serde_json::from_slice(&fs::read(folder.join("bundle.sigstore.json")).unwrap()).unwrap();
    let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
    entry["kindVersion"] = json!({"kind": "intoto", "version": "0.0.1"});
    let old = home.path().join("old.json");
    fs::write(&old, bundle.to_string()).unwrap();
    let who = ["--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER];
    let artifact = text(&folder.join("../../a.txt"));
    let told = run(&[&["--bundle", &text(&old)], &who[..], &[&artifact]].concat()).ended(3).out();
    assert!(told.starts_with("undecided (unsupported)") && told.contains("`intoto` 0.0.1"), "{told}");
}

#[test]
fn what_could_not_be_looked_at_ends_with_three() {
    let Some(folder) = folder("happy-path-v0.3") else { return };
    let bundle = text(&folder.join("bundle.sigstore.json"));
    let artifact = text(&folder.join("../../a.txt"));
    let who = ["--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER];
    let with = |bundle: &str, more: &[&str], artifact: &str| {
        run(&[&["--bundle", bundle], &who[..], more, &[artifact]].concat())
    };
    with(&bundle, &[], &artifact).ended(0);
    with("no such file", &[], &artifact).ended(3);
    with(&bundle, &[], "sha256:00").ended(3);
    with(&bundle, &["--trusted-root", "no such file"], &artifact).ended(3);
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root.json");
    fs::write(&root, "{}").unwrap();
    with(&bundle, &["--trusted-root", &text(&root)], &artifact).ended(3);
    let newer = home.path().join("newer.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&bundle).unwrap()).unwrap();
    value["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.9+json");
    fs::write(&newer, value.to_string()).unwrap();
    let told = with(&text(&newer), &[], &artifact).ended(3);
    assert!(told.err().contains("newer portcullis"), "{}", told.err());
    // The staging instance does not know the log: that is no proof of a forgery, and no acceptance.
    let told = with(&bundle, &["--staging"], &artifact).ended(3);
    assert!(told.err().contains("--trusted-root"), "{}", told.err());
}

#[test]
fn a_bundle_for_another_artifact_is_refused() {
    let Some(folder) = folder("happy-path-v0.3") else { return };
    let bundle = text(&folder.join("bundle.sigstore.json"));
    let other = format!("sha256:{}", "0".repeat(64));
    let who = ["--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER];
    let told = run(&[&["--bundle", &bundle], &who[..], &[&other]].concat()).ended(1).out();
    assert!(told.starts_with("refused (subject)") && told.contains("as claimed, and not verified"), "{told}");
}
