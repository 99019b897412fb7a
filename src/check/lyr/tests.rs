use tar::EntryType;

use super::*;
use crate::check::Expected;
use crate::check::layer_fixture::{Layer, checked, image, layer, lines};

fn found(layers: impl IntoIterator<Item = Layer>) -> Vec<String> {
    lines(&checked(&Layers, &[image(layers)], &Expected::default()).violations)
}

/// What was not looked at.
fn unseen(layers: impl IntoIterator<Item = Layer>) -> Vec<String> {
    let checked = checked(&Layers, &[image(layers)], &Expected::default());
    checked.unseen.into_iter().map(|unseen| unseen.cause).collect()
}

#[test]
fn what_the_pass_could_not_read_was_not_looked_at() {
    for (layer, part) in [
        (layer().file("../root/.ssh/id_rsa", KEY), "leads out of the image"),
        (layer().file("root/.wh.id_rsa", KEY), "a whiteout with content"),
        (
            layer().file("data/x", KEY).link(EntryType::Link, "root/.ssh/id_rsa", "data/x"),
            "only its beginning",
        ),
        (layer().file("data/x", KEY).symlink("root/.ssh/id_rsa", "../../data/x"), "only its beginning"),
        (
            layer().file("etc/passwd-", "root::0:0::/:").link(EntryType::Link, "etc/passwd", "etc/passwd-"),
            "only its beginning",
        ),
    ] {
        let causes = unseen([layer]);
        assert!(causes.iter().any(|cause| cause.contains(part)), "{part}: {causes:?}");
    }
    // A link between two names that are both looked at, or of a bundle of certificates, hides nothing.
    let linked = layer().file("a/.npmrc", "x").link(EntryType::Link, "b/.npmrc", "a/.npmrc");
    let bundle =
        layer().file("usr/share/ca/x.crt", "x").symlink("etc/ssl/certs/x.pem", "/usr/share/ca/x.crt");
    assert_eq!(unseen([linked, bundle]), [""; 0]);
}

#[test]
fn a_bit_that_a_hard_link_sets_is_seen() {
    let links = layer().file("usr/bin/x", "x").entry("usr/bin/su", EntryType::Link, b"", |header| {
        header.set_mode(0o4755);
        header.as_mut_bytes()[157..166].copy_from_slice(b"usr/bin/x");
    });
    assert!(found([links]).iter().any(|line| line.contains("LYR-010")));
}

#[test]
fn secrets_are_known_however_they_are_written() {
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(KEY.bytes().flat_map(|b| [b, 0])).collect();
    for (name, content) in [
        ("srv/server.pem", utf16.as_slice()),
        ("root/.docker/config.json", br#"{"auths":{"r.example":{"\u0061uth":"dTpwYXNzd29yZHBhc3N3b3Jk"}}}"#),
        (
            "root/.composer/auth.json",
            br#"{"http-basic":{"r.example":{"username":"u","password":"k9Xw2mPq7Rt4"}}}"#,
        ),
        // Spoiled JSON is text all the same.
        ("root/.docker/config.json", br#"{"auths":{"r.example":{"auth":"dTpwYXNzd29yZHBhc3N3b3Jk"},}"#),
        ("root/.composer/auth.json", b"{,\n\"password\": \"k9Xw2mPq7Rt4\"\n"),
        ("root/.composer/auth.json", br#"{"github-oauth":{"github.com":"k9Xw2mPq7Rt4Vb8N"}}"#),
    ] {
        let lines = found([layer().file(name, content)]);
        assert!(lines.iter().any(|line| line.starts_with("LYR-016 high")), "{name}: {lines:?}");
    }
    let empty = layer().file("root/.docker/config.json", r#"{"auths":{"r.example":{}},"credsStore":"x"}"#);
    assert_eq!(found([empty]), [""; 0]);
}

#[test]
fn keys_are_known_whatever_they_are_called() {
    for name in [
        "root/.ssh/github",
        "ID_RSA",
        "srv/SERVER.KEY",
        "srv/python-app/test/id_rsa",
        "srv/doc/examples/id_rsa",
    ] {
        let lines = found([layer().file(name, KEY)]);
        assert!(lines.iter().any(|line| line.starts_with("LYR-016 high")), "{name}: {lines:?}");
    }
    for name in [
        "usr/local/go/src/crypto/tls/testdata/example-key.pem",
        "go/pkg/mod/example/testdata/key.pem",
        "usr/local/cargo/registry/src/index/crate/tests/key.pem",
        "usr/lib/python3.11/test/certdata/key.pem",
    ] {
        let lines = found([layer().file(name, KEY)]);
        assert!(lines.iter().all(|line| !line.starts_with("LYR-016 high")), "{name}: {lines:?}");
    }
}

const KEY: &str =
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAA\n";

#[test]
fn an_ordinary_layer_is_clean() {
    let base = layer().directory("usr").directory("usr/lib").symlink("lib", "usr/lib").file("usr/lib/x", "x");
    let upper = layer().file("lib/y", "y").file("usr/lib/.wh.x", "").symlink("etc/mtab", "/proc/mounts");
    assert_eq!(found([base, upper]), [""; 0]);
}

#[test]
fn names_are_judged_by_where_they_lead() {
    let layer = layer().file("../../etc/cron.d/x", "x").file("a/../b", "x").file("/app/main", "x");
    assert_eq!(
        found([layer]),
        [
            "LYR-007 critical: the name `../../etc/cron.d/x` leads out of the image",
            "LYR-007 high: the name `a/../b` has `..`",
            "LYR-007 medium: the name `/app/main` is absolute",
        ]
    );
}

#[test]
fn links_that_lead_out_are_worse_where_something_is_written_below() {
    let alone = found([layer().symlink("a/out", "../../x").symlink("ok", "/../etc").symlink("b/in", "../x")]);
    assert_eq!(
        alone,
        [
            "LYR-008 medium: a symbolic link to `../../x`, which climbs above the image's root",
            "LYR-008 medium: a symbolic link to `/../etc`, which climbs above the image's root",
        ]
    );
    let later = found([layer().symlink("out", "../../tmp"), layer().file("out/x", "x")]);
    assert!(
        later.contains(
            &"LYR-008 high: written through the symbolic link `out`, which leads out of the image".into()
        ),
        "{later:?}"
    );
    let own = found([layer().symlink("lib", "usr/lib").file("lib/x", "x")]);
    assert_eq!(own, ["LYR-008 high: written through the symbolic link `lib` of its own layer"]);
    let hard =
        found([layer().link(EntryType::Link, "a", "../../etc/passwd").link(EntryType::Link, "b", "none")]);
    assert_eq!(
        hard,
        [
            "LYR-008 high: a hard link to `../../etc/passwd`, which leads out of the image",
            "LYR-008 medium: a hard link to what no layer has",
        ]
    );
}

#[test]
fn devices_rights_and_owners_are_told() {
    let mode = |mode: u32, uid: u64| {
        move |header: &mut tar::Header| {
            header.set_mode(mode);
            header.set_uid(uid);
        }
    };
    let layer = layer()
        .entry("dev/mem", EntryType::Char, b"", |header| header.set_device_major(1).unwrap())
        .entry("gone", EntryType::Char, b"", |header| header.set_device_major(0).unwrap())
        .entry("pipe", EntryType::Fifo, b"", |_| {})
        .entry("bin/su", EntryType::Regular, b"x", mode(0o4755, 0))
        .entry("bin/bad", EntryType::Regular, b"x", mode(0o4757, 0))
        .entry("var/mail", EntryType::Directory, b"", mode(0o2775, 0))
        .entry("big", EntryType::Regular, b"x", mode(0o644, 3_000_000_000))
        .entry("new", EntryType::Regular, b"x", |header| header.set_mtime(4_000_000_000));
    assert_eq!(
        found([layer]),
        [
            "LYR-009 high: a FIFO",
            "LYR-009 high: a character device",
            "LYR-010 high: mode 4757, owner 0, and everybody may write it",
            "LYR-010 medium: mode 4755, owner 0",
            "LYR-013 low: a whiteout in overlayfs's form, which layers do not have",
            "LYR-015 low: its latest change is of 2096-10-02T07:06:40Z, in the future",
            "LYR-015 low: owner 3000000000, group 0: beyond 2^31",
        ]
    );
}

#[test]
fn a_path_of_two_kinds_and_paths_of_one_spelling_are_told() {
    let layer = layer().symlink("app", "/x").directory("app").file("A/x", "").file("A/X", "").file("a/x", "");
    let found = found([layer]);
    assert!(found.contains(&"LYR-012 high: first a symbolic link, then a directory".into()), "{found:?}");
    let case = "LYR-019 low: 1 paths differ from another only in case, such as `A/x` and `A/X`";
    assert!(found.contains(&case.into()), "{found:?}");
}

#[test]
fn whiteouts_of_nothing_and_malformed_ones_are_told() {
    let base = layer().file("a", "x").file("d/x", "x");
    let upper = layer().file(".wh.a", "").file(".wh.b", "").file("c/.wh.", "").file("d/.wh.x", "content");
    assert_eq!(
        found([base, upper]),
        [
            "LYR-013 low: a whiteout of what no lower layer has",
            "LYR-013 low: a whiteout that is no empty file",
            "LYR-013 low: a whiteout without a name hides nothing",
        ]
    );
}

#[test]
fn a_secret_that_a_later_layer_deletes_names_that_layer() {
    let layers = [
        layer().file("root/.ssh/id_rsa", KEY).file("srv/node_modules/x/test/key.pem", KEY),
        layer().file("root/.ssh/.wh.id_rsa", ""),
    ];
    assert_eq!(
        found(layers),
        [
            "LYR-016 high: holds a private key; layer 1 (RUN step 1) deletes or replaces it, and its bytes can be pulled all the same",
            "LYR-016 medium: holds a private key, by its place one of a package's tests or examples",
        ]
    );
    // Which of the two holds it is not kept.
    let replaced = layer().file("root/.ssh/id_rsa", KEY).file("root/.ssh/id_rsa", "");
    assert_eq!(found([replaced]), ["LYR-016 high: holds a private key"]);
}

#[test]
fn a_file_that_was_not_searched_whole_is_unseen() {
    let big = vec![b'x'; (1 << 20) + 1];
    let checked = checked(&Layers, &[image([layer().file("app/.env", &big)])], &Expected::default());
    assert_eq!((checked.violations.len(), checked.unseen.len()), (0, 1));
}

#[test]
fn a_layer_listed_again_with_a_table_that_lies() {
    let mut image = image([layer().file("app", "x"), layer().file("app", "x")]);
    let mut inventory = (*image.layers[1].inventory).clone();
    inventory.observed.notes.extend(
        [What::Table("it lies".into()), What::TableUnread("it is long".into())]
            .map(|what| Note { path: "app".into(), what }),
    );
    image.layers[1].inventory = Arc::new(inventory);
    let checked = checked(&Layers, &[image], &Expected::default());
    assert!(lines(&checked.violations).contains(&"LYR-018 high: it lies".to_owned()));
    let [unseen] = checked.unseen.as_slice() else { panic!("{:?}", checked.unseen) };
    assert_eq!(unseen.cause, "its table of contents was not compared: it is long");
    assert!(unseen.at.starts_with("layer 1 ("));
}

#[test]
fn open_accounts_and_odd_headers_are_told() {
    let layer = layer()
        .file("etc/shadow", "root:::0:::::\n")
        .entry("s", EntryType::GNUSparse, b"", |_| {})
        .entry("?", EntryType::new(b'Z'), b"", |_| {});
    assert_eq!(
        found([layer]),
        [
            "LYR-017 high: an empty password: `root`",
            "LYR-014 medium: a sparse file",
            "LYR-014 medium: an entry of unknown type",
        ]
    );
}

#[test]
fn what_follows_a_stream_and_its_members_are_told() {
    let mut facts = layer().file("a", "x").facts("RUN");
    facts.verified.trailing.push("bytes follow");
    facts.verified.members = 2;
    let mut image = image([]);
    image.layers.push(facts);
    let checked = checked(&Layers, &[image], &Expected::default());
    assert_eq!(
        lines(&checked.violations),
        [
            "LYR-005 high: bytes follow",
            "LYR-005 medium: 2 members or frames in one stream: a reader may stop after the first",
        ]
    );
}

#[test]
fn more_notes_than_are_kept_are_judged_as_the_worst() {
    let mut facts = layer().facts("RUN");
    let mut inventory = (*facts.inventory).clone();
    inventory.observed.more.insert(Topic::SetId, 5);
    facts.inventory = Arc::new(inventory);
    let mut image = image([]);
    image.layers.push(facts);
    let checked = checked(&Layers, &[image], &Expected::default());
    assert_eq!(lines(&checked.violations), ["LYR-010 high: 5 more that were not kept one by one"]);
}

#[test]
fn capabilities_are_named() {
    let mut bytes = vec![1, 0, 0, 2];
    bytes.extend((1_u32 << 13 | 1 << 10).to_le_bytes());
    assert_eq!(capabilities(&bytes), "has the capabilities net_bind_service, net_raw");
    assert_eq!(capabilities(b""), "has capabilities");
}
