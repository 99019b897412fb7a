//! What is kept of an instance between runs: who believes it, and what replaces it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Private, digest, told};
use crate::support::registry::{Fault, on};
use crate::support::sigstore::Role;
use crate::support::sigstore::service::now;

#[test]
fn what_is_kept_and_was_edited_is_dropped() {
    let target =
        |document: &Value| document["files"]["targets/trusted_root.json"].as_str().unwrap().to_owned();
    type Edit = Box<dyn Fn(&mut Value)>;
    let edits: Vec<(&str, Edit)> = vec![
        (
            "another root",
            Box::new(move |document| {
                let other = target(document).replace("sigstore.test", "sigstore.evil");
                document["files"]["targets/trusted_root.json"] = other.into();
            }),
        ),
        (
            "no target",
            Box::new(|document| {
                document["files"].as_object_mut().unwrap().remove("targets/trusted_root.json");
            }),
        ),
        (
            "a timestamp that nobody signed",
            Box::new(|document| {
                let text = document["files"]["timestamp.json"].as_str().unwrap();
                document["files"]["timestamp.json"] = text.replace("\"version\":", "\"version\":1").into();
            }),
        ),
        (
            "no timestamp",
            Box::new(|document| {
                document["files"].as_object_mut().unwrap().remove("timestamp.json");
            }),
        ),
        (
            "from times to come",
            Box::new(|document| {
                // Before the signed expiry, which alone would not refuse it.
                let soon = jiff::Timestamp::from_second(now() + 7_200).unwrap();
                document["checked"] = soon.to_string().into();
            }),
        ),
        ("another form", Box::new(|document| document["schema"] = "portcullis.dev/trust/v2".into())),
        ("more than there is", Box::new(|document| document["more"] = json!(1))),
    ];
    for (name, edit) in edits {
        let private = Private::set();
        private.verify("required").ended(0);
        private.edit(&edit);
        let alone = private.verify("never").ended(3);
        assert!(alone.err().contains("what was kept of it is not used"), "{name}: {}", alone.err());
        let mended = private.verify("background").ended(0);
        assert!(mended.err().contains("what was kept of it is not used"), "{name}: {}", mended.err());
        assert_eq!(private.verify("never").ended(0).err(), "", "{name}");
    }
}

#[test]
fn the_age_of_what_is_kept_cannot_outlive_its_signature() {
    let private = Private::set();
    private.sigstore().repository.expire(Role::Timestamp, now() + 3_600);
    private.verify("required").ended(0);
    // Attack: whoever writes into the cache lets an old root look like one of today.
    private.sigstore().repository.expire(Role::Timestamp, now() - 3_600);
    let files = private.sigstore().repository.snapshot();
    let expired = String::from_utf8(files["/timestamp.json"].clone()).unwrap();
    private.edit(|document| document["files"]["timestamp.json"] = expired.into());
    let run = private.verify("never").ended(3);
    assert!(run.err().contains("timestamp metadata expired"), "{}", run.err());
}

#[test]
fn what_others_may_write_is_not_believed() {
    let private = Private::set();
    private.verify("required").ended(0);
    let (file, directory) = (private.kept(), private.kept().parent().unwrap().to_owned());
    let set =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&file, 0o666);
    let run = private.verify("never").ended(3);
    assert!(run.err().contains("others may write into it (mode 666)"), "{}", run.err());
    set(&file, 0o600);
    private.verify("never").ended(0);
    set(&directory, 0o777);
    let run = private.verify("never").ended(3);
    assert!(run.err().contains("others may write into it (mode 777)"), "{}", run.err());
    // It is refreshed all the same, and stays in memory.
    private.verify("background").ended(0);
    set(&directory, 0o700);
    // Only root may give a file away.
    if std::os::unix::fs::chown(&file, Some(65_534), None).is_ok() {
        let run = private.verify("never").ended(3);
        assert!(run.err().contains("it belongs to another user (65534)"), "{}", run.err());
    }
}

#[test]
fn what_is_kept_of_one_instance_is_nothing_to_another() {
    let (ours, theirs) = (Private::set(), Private::set());
    ours.verify("required").ended(0);
    theirs.verify("required").ended(0);
    fs::copy(theirs.kept(), ours.kept()).unwrap();
    let run = ours.verify("never").ended(3);
    assert!(run.err().contains("signature threshold not met"), "{}", run.err());
}

#[test]
fn a_refresh_that_is_killed_leaves_nothing_half() {
    for at in ["/2.root.json", "timestamp", "snapshot", "targets.json", "/targets/"] {
        let private = Private::set();
        for kept in [false, true] {
            let before = kept.then(|| fs::read(private.kept()).unwrap());
            private.publish(&json!({"new": kept}));
            let mut root = private.sigstore().trusted_root();
            root["run"] = kept.into();
            private.publish(&root);
            private.sigstore().forget();
            private.sigstore().tuf.fail_on(on("GET", at).always(), [Fault::Hang]);
            let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
            command.args(private.verifying("required", &[])).env_clear();
            command.env("HOME", private.stage.folder.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            while !private.sigstore().journal().iter().any(|call| call.status == 0) {
                assert!(child.try_wait().unwrap().is_none(), "{at}: it ended by itself");
                std::thread::sleep(Duration::from_millis(5));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            private.sigstore().mend();
            match before {
                Some(before) => assert_eq!(fs::read(private.kept()).unwrap(), before, "{at}"),
                None => assert!(private.files().is_empty(), "{at}: {:?}", private.files()),
            }
            private.verify("required").ended(0);
        }
    }
}

#[test]
fn with_new_keys_the_versions_may_begin_anew() {
    let private = Private::set();
    (0..5).for_each(|_| private.publish(&private.sigstore().trusted_root()));
    private.verify("required").ended(0);
    private.sigstore().repository.recover();
    let mut newer = private.sigstore().trusted_root();
    newer["run"] = json!(2);
    private.publish(&newer);
    private.verify("required").ended(0);
    assert_eq!(told(&private.verify("never").ended(0))[0]["digest"], digest(&newer));
}

#[test]
fn a_run_that_was_overtaken_keeps_the_newer_state() {
    let private = Private::set();
    private.sigstore().tuf.fail_on(on("GET", "/targets/"), [Fault::Delay(Duration::from_secs(5))]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(private.verifying("required", &[])).env_clear();
    command.env("HOME", private.stage.folder.path()).stdin(Stdio::null());
    let slow = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !private.sigstore().journal().iter().any(|call| call.target.starts_with("/targets/")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // For the run that was overtaken this one is still to come.
    std::thread::sleep(Duration::from_millis(1_100));
    let mut newer = private.sigstore().trusted_root();
    newer["run"] = json!(2);
    private.publish(&newer);
    private.verify("required").ended(0);
    let kept = fs::read(private.kept()).unwrap();
    let slow = slow.wait_with_output().unwrap();
    assert!(slow.status.success(), "{}", String::from_utf8_lossy(&slow.stderr));
    assert_eq!(fs::read(private.kept()).unwrap(), kept);
    assert_eq!(told(&private.verify("never").ended(0))[0]["digest"], digest(&newer));
}
