//! Whoever is killed while it updates leaves the old snapshot or the new one.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Place, files, leftovers, place};

/// How often the update is killed.
const KILLS: usize = 100;

fn spawn(place: &Place) -> Child {
    let directory = place.directory();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["db", "update", "--from", &place.bucket.url(), "--db", directory.to_str().unwrap()])
        .env_clear()
        .env("HOME", place.home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for name in files(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn an_update_killed_a_hundred_times_leaves_the_old_snapshot_or_the_new_one() {
    let place = place();
    let kept = place.home.path().join("kept");
    place.bucket.fill("npm", 2000);
    place.bucket.fill("PyPI", 500);
    place.update(&["--ecosystem", "npm,PyPI"]).ended(0);
    let old = place.id();
    copy(&place.directory(), &kept);
    // A delta of 100 changed records, in two ecosystems: a mixture would have a digest of its own.
    for number in 0..70 {
        place.bucket.touch("npm", number * 11, "2026-02-01T00:00:00Z", "2.0.0");
    }
    for number in 0..30 {
        place.bucket.touch("PyPI", number * 3, "2026-02-01T00:00:00Z", "2.0.0");
    }
    let began = Instant::now();
    assert!(spawn(&place).wait().unwrap().success());
    let whole = began.elapsed();
    let new = place.id();
    assert_ne!(old, new);
    copy(&kept, &place.directory());
    let (mut killed, mut left_old, mut left_new) = (0, 0, 0);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    while killed < KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // The last tenth of the time is where files are written and renamed: half of the kills are there.
        let part = f64::from(u32::try_from(random >> 40).unwrap()) / f64::from(1 << 24);
        let part = if killed % 2 == 0 { part } else { 0.6 + part * 0.5 };
        let mut child = spawn(&place);
        std::thread::sleep(whole.mul_f64(part));
        let was_running = child.try_wait().unwrap().is_none();
        let _ = child.kill();
        child.wait().unwrap();
        killed += usize::from(was_running);
        place.db(&["verify"]).ended(0);
        let now = place.id();
        assert!(now == old || now == new, "neither the old snapshot nor the new one: {now}");
        if now == new {
            left_new += 1;
            copy(&kept, &place.directory());
        } else {
            left_old += 1;
        }
    }
    println!(
        "killed {killed} times, of {whole:?} each: {left_old} times the old one, {left_new} times the new one"
    );
    assert!(left_old > 0);
    assert!(spawn(&place).wait().unwrap().success());
    assert_eq!(place.id(), new);
    assert_eq!(leftovers(&place.directory()), [""; 0], "the next writer removes what a killed one left");
}

#[test]
fn an_update_that_finds_the_disk_full_leaves_the_old_snapshot() {
    let place = place();
    place.bucket.fill("npm", 2000);
    place.update(&["--ecosystem", "npm"]).ended(0);
    let old = place.id();
    place.bucket.touch("npm", 7, "2026-02-01T00:00:00Z", "2.0.0");
    let (directory, url) = (place.directory(), place.bucket.url());
    let limited = |kib: u32, more: &[&str]| {
        // A signal is sent for a file that grows too large; ignored, the write fails as on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["db", "update", "--from", &url, "--db", directory.to_str().unwrap()]).args(more);
        command.env_clear().env("HOME", place.home.path()).env("PATH", "/usr/bin:/bin").output().unwrap()
    };
    let run = limited(64, &[]);
    let err = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(3), "{err}");
    assert!(err.contains("cannot be written") && err.contains("npm: not updated"), "{err}");
    assert_eq!(place.id(), old);
    // The archive of another ecosystem does not fit either.
    place.bucket.fill("PyPI", 3000);
    let run = limited(64, &["--ecosystem", "PyPI"]);
    let err = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(3), "{err}");
    assert!(err.contains("download-PyPI"), "{err}");
    place.db(&["verify"]).ended(0);
    assert_eq!(place.id(), old);
    place.update(&[]).ended(0);
    assert_eq!(place.fixed("npm", "package-7")["GHSA-00007"], "2.0.0");
}

#[test]
fn two_updates_at_once_do_one_after_the_other() {
    let place = place();
    place.bucket.fill("npm", 300);
    place.bucket.fill("PyPI", 300);
    place.update(&["--ecosystem", "npm"]).ended(0);
    place.bucket.touch("npm", 7, "2026-02-01T00:00:00Z", "2.0.0");
    place.bucket.change("modified_id.csv", 0, 1, |mut reply| {
        reply.manner.delay = Duration::from_millis(600);
        reply
    });
    let mut first = spawn(&place);
    std::thread::sleep(Duration::from_millis(300));
    let second = place.update(&["--ecosystem", "PyPI"]).ended(0);
    assert!(first.wait().unwrap().success());
    assert!(second.err().contains("another process"), "{}", second.err());
    assert_eq!(place.fixed("npm", "package-7")["GHSA-00007"], "2.0.0");
    assert_eq!(place.ids("PyPI").len(), 300);
}
