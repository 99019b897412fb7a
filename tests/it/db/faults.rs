//! A bucket that is slow, broken or hostile: nothing is lost, and what is missing has a name.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use portcullis::feed::{Bucket, BucketSettings, Change, Error, Step, Updated, Wanted, Watch, update};
use portcullis::net::{Retry, Times};

use super::{Place, files, leftovers, place};
use crate::support::bucket::{record, zip};
use crate::support::registry::http::Reply;

struct Silent;

impl Watch for Silent {
    fn step(&self, _: &str, _: Step) {}
    fn say(&self, _: &str) {}
}

/// Updates npm with little patience.
fn impatient(place: &Place) -> Updated {
    impatient_with(place, &place.bucket.url())
}

fn impatient_with(place: &Place, url: &str) -> Updated {
    let retry = Retry { attempts: 3, first: Duration::from_millis(10), longest: Duration::from_secs(1) };
    let wait = Duration::from_millis(500);
    let times = Times { connect: wait, answer: wait, idle: wait };
    let settings = BucketSettings { url: url.to_owned(), retry, times, ..BucketSettings::default() };
    let bucket = Bucket::new(&settings).unwrap();
    let wanted = Wanted { named: vec!["npm".into()], all: false };
    let now = "2026-03-01T00:00:00Z".parse().unwrap();
    update(&place.directory(), &bucket, &wanted, now, &Silent).unwrap().remove(0)
}

/// A place with `count` records installed.
fn filled(count: usize) -> Place {
    let place = place();
    place.bucket.fill("npm", count);
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    place
}

/// The update must fail with these words, and leave everything as it was.
fn refused(place: &Place, words: &[&str]) -> Error {
    let before = place.id();
    let error = impatient(place).outcome.unwrap_err();
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
    assert_eq!(place.id(), before);
    place.db(&["verify"]).ended(0);
    error
}

fn with_status(status: u16) -> impl Fn(Reply) -> Reply {
    move |_| Reply::new(status, b"nothing".to_vec())
}

fn hanging(mut reply: Reply) -> Reply {
    reply.manner.hang = true;
    reply
}

fn cut(after: u64) -> impl Fn(Reply) -> Reply {
    move |mut reply| {
        reply.manner.cut = Some(after);
        reply
    }
}

fn instead(bytes: &[u8]) -> impl Fn(Reply) -> Reply + use<> {
    let bytes = bytes.to_vec();
    move |mut reply| {
        reply.status = 200;
        reply.body = bytes.clone().into();
        reply.with("etag", "\"instead\"")
    }
}

#[test]
fn what_fails_for_a_moment_is_asked_for_again() {
    let place = filled(300);
    place.bucket.touch("npm", 1, "2026-02-01T00:00:00Z", "2.0.0");
    for fault in [with_status(500), with_status(503), with_status(429), with_status(408)] {
        place.bucket.change("modified_id.csv", 0, 1, fault);
    }
    place.bucket.mend();
    place.bucket.change("modified_id.csv", 0, 2, with_status(503));
    place.bucket.change("GHSA-00001", 0, 2, cut(20));
    assert_eq!(impatient(&place).outcome, Ok(Change::Records { put: 1, removed: 0 }));
    assert_eq!(place.fixed("npm", "package-1")["GHSA-00001"], "2.0.0");
    place.bucket.touch("npm", 2, "2026-02-01T00:00:00Z", "2.0.0");
    place.bucket.change("modified_id.csv", 0, 1, hanging);
    assert_eq!(impatient(&place).outcome, Ok(Change::Records { put: 1, removed: 0 }));
}

#[test]
fn what_goes_on_failing_is_named_and_changes_nothing() {
    let place = filled(300);
    for number in 0..3 {
        place.bucket.touch("npm", number, "2026-02-01T00:00:00Z", "2.0.0");
    }
    for (status, words) in
        [(503, "answers 503"), (404, "no such object"), (403, "answers 403"), (302, "not followed")]
    {
        place.bucket.change("GHSA-00001.json", 0, usize::MAX, with_status(status));
        refused(&place, &["GHSA-00001.json", words, "1 of 3 changed records could not be fetched"]);
        place.bucket.mend();
    }
    place.bucket.change("GHSA-00002.json", 0, usize::MAX, hanging);
    refused(&place, &["GHSA-00002.json", "in time"]);
    place.bucket.mend();
    place.bucket.change("modified_id.csv", 0, usize::MAX, with_status(500));
    refused(&place, &["modified_id.csv", "answers 500"]);
    place.bucket.mend();
    assert_eq!(impatient(&place).outcome, Ok(Change::Records { put: 3, removed: 0 }));
    assert_eq!(leftovers(&place.directory()), [""; 0]);
}

#[test]
fn a_list_that_was_cut_deletes_nothing() {
    let place = filled(300);
    let list = place.bucket.list("npm");
    for (bytes, words) in [
        (&list[..list.len() / 2 + 5], "cut short"),
        (&b""[..], "lists 0 records where there are 300"),
        (&b"<html>sign in</html>\n"[..], "line 1"),
    ] {
        place.bucket.change("modified_id.csv", 0, usize::MAX, instead(bytes));
        refused(&place, &[words]);
        place.bucket.mend();
    }
    // A third of the lines is gone, cut between two of them: the archive is asked, and it has them all.
    let place = filled(1500);
    let list = place.bucket.list("npm");
    place.bucket.change("modified_id.csv", 0, usize::MAX, instead(&list[..1000 * 32]));
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    assert_eq!(place.ids("npm").len(), 1500);
    // A connection that breaks within it.
    place.bucket.mend();
    place.bucket.touch("npm", 1, "2026-02-01T00:00:00Z", "2.0.0");
    place.bucket.change("modified_id.csv", 0, usize::MAX, cut(100));
    refused(&place, &["modified_id.csv", "connection"]);
}

#[test]
fn an_answer_that_does_not_say_where_it_ends_is_none() {
    let place = filled(300);
    let list = place.bucket.list("npm");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let line = list.len() / 2 / 32 * 32;
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").unwrap();
            stream.write_all(&list[..line]).unwrap();
        });
        let error = impatient_with(&place, &url).outcome.unwrap_err();
        assert!(error.to_string().contains("does not say how long it is"), "{error}");
    });
    assert_eq!(place.ids("npm").len(), 300);
}

#[test]
fn a_record_with_broken_json_is_in_the_snapshot_as_what_could_not_be_read() {
    let place = filled(300);
    place.bucket.put("npm", "GHSA-broken", "2026-02-01T00:00:00Z", b"{\"id\":\"GHSA-broken\"");
    place.bucket.put("npm", "GHSA-other", "2026-02-01T00:00:00Z", &super::record_of("GHSA-00007"));
    place.bucket.put("npm", "GHSA-00005", "2026-02-01T00:00:00Z", b"[]");
    let unknown = br#"{"id":"GHSA-unknown","modified":"2026-02-01T00:00:00Z","new_field":[{"a":1}],
        "affected":[{"package":{"ecosystem":"npm","name":"odd"},"versions":["1"],"more":{}}]}"#;
    place.bucket.put("npm", "GHSA-unknown", "2026-02-01T00:00:00Z", unknown);
    assert_eq!(impatient(&place).outcome, Ok(Change::Records { put: 4, removed: 0 }));
    let run = place.db(&["status", "-o", "json"]).ended(3);
    let npm = run.json()["ecosystems"]["npm"].clone();
    // The old version of a record that cannot be read any more is not believed.
    assert_eq!((&npm["unreadable"], &npm["records"]), (&3.into(), &300.into()));
    let names = npm["unreadableNames"].to_string();
    for name in ["GHSA-broken.json: ", "GHSA-other.json: ", "GHSA-00005.json: "] {
        assert!(names.contains(name), "{names}");
    }
    assert!(place.fixed("npm", "package-5").is_empty());
    assert!(place.fixed("npm", "odd").contains_key("GHSA-unknown"), "unknown fields are no fault");
    // Mended in the bucket, they are read; gone from it, they are no more missing.
    place.bucket.touch("npm", 5, "2026-02-02T00:00:00Z", "5.0.0");
    place.bucket.remove("npm", "GHSA-broken");
    place.bucket.remove("npm", "GHSA-other");
    assert!(matches!(impatient(&place).outcome, Ok(Change::Records { put: 1, removed: 2 })));
    place.db(&["status"]).ended(0);
    assert_eq!(place.fixed("npm", "package-5")["GHSA-00005"], "5.0.0");
}

#[test]
fn broken_records_in_the_archive_are_named_too() {
    let place = place();
    place.bucket.fill("npm", 50);
    place.bucket.put("npm", "GHSA-broken", "2026-01-01T00:00:00Z", b"not json");
    place.bucket.archive("npm");
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    let npm = place.status()["ecosystems"]["npm"].clone();
    assert_eq!((&npm["unreadable"], &npm["records"]), (&1.into(), &50.into()));
    assert!(npm["unreadableNames"].to_string().contains("GHSA-broken.json"));
}

#[test]
fn an_archive_that_came_cut_is_fetched_again() {
    // Once shorter than it says, once shorter and saying so, once broken off: then whole.
    let place = place();
    place.bucket.fill("npm", 300);
    place.bucket.change("all.zip", 0, 1, |mut reply| {
        let short = reply.body.part(0, reply.body.len() / 2);
        reply.body = short;
        reply
    });
    place.bucket.change("all.zip", 1, 1, cut(1000));
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    assert_eq!(place.ids("npm").len(), 300);
    // For ever: an error, and nothing is installed.
    let place = super::place();
    place.bucket.fill("npm", 300);
    place.bucket.change("all.zip", 0, usize::MAX, |mut reply| {
        let short = reply.body.part(0, reply.body.len() / 2);
        reply.body = short;
        reply
    });
    let error = impatient(&place).outcome.unwrap_err();
    assert!(error.to_string().contains("no whole archive came"), "{error}");
    assert!(!place.directory().join("snapshot.json").exists());
}

#[test]
fn a_download_goes_on_where_the_last_run_ended() {
    let place = place();
    place.bucket.fill("npm", 3000);
    place.bucket.change("all.zip", 0, usize::MAX, cut(40_000));
    // Every attempt comes further, until the run ends for another reason.
    place.bucket.change("all.zip", 2, usize::MAX, with_status(403));
    impatient(&place).outcome.unwrap_err();
    let held = std::fs::metadata(place.directory().join(".download-npm.zip")).unwrap().len();
    assert_eq!(held, 80_000);
    place.bucket.mend();
    place.bucket.forget();
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    let asked = place.bucket.requests().into_iter().find(|seen| seen.target.contains("all.zip")).unwrap();
    assert_eq!((asked.header("range"), asked.status), (Some("bytes=80000-"), 206));
    assert_eq!(place.ids("npm").len(), 3000);
    assert_eq!(leftovers(&place.directory()), [""; 0]);
}

#[test]
fn an_archive_that_changed_meanwhile_is_begun_anew() {
    let place = place();
    place.bucket.fill("npm", 3000);
    place.bucket.change("all.zip", 0, 1, cut(40_000));
    place.bucket.change("all.zip", 1, usize::MAX, with_status(403));
    impatient(&place).outcome.unwrap_err();
    place.bucket.mend();
    place.bucket.touch("npm", 5, "2026-02-01T00:00:00Z", "5.0.0");
    place.bucket.archive("npm");
    place.bucket.forget();
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    assert_eq!(place.fixed("npm", "package-5")["GHSA-00005"], "5.0.0");
    // A server that goes on with other bytes, and says so or not, is not believed either.
    for etag in ["\"other\"", "keep"] {
        let place = super::place();
        place.bucket.fill("npm", 3000);
        place.bucket.change("all.zip", 0, 1, cut(40_000));
        place.bucket.change("all.zip", 1, 1, move |reply| match etag {
            "keep" => reply.with("content-range", "bytes 3-9/10"),
            other => reply.with("etag", other),
        });
        assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
        assert_eq!(place.ids("npm").len(), 3000);
    }
}

#[test]
fn a_wrong_etag_costs_a_download_and_no_advisory() {
    let place = filled(300);
    place.bucket.touch("npm", 1, "2026-02-01T00:00:00Z", "2.0.0");
    // A tag that is none, and then another one each time.
    place.bucket.change("modified_id.csv", 0, 1, |reply| reply.with("etag", "no tag"));
    assert_eq!(impatient(&place).outcome, Ok(Change::Records { put: 1, removed: 0 }));
    assert_eq!(impatient(&place).outcome, Ok(Change::None));
    assert_eq!(place.fixed("npm", "package-1")["GHSA-00001"], "2.0.0");
    let empty = super::place();
    empty.bucket.fill("npm", 10);
    empty.bucket.change("all.zip", 0, usize::MAX, with_status(304));
    let error = impatient(&empty).outcome.unwrap_err();
    assert!(error.to_string().contains("answers 304"), "{error}");
}

#[test]
fn a_record_that_is_behind_its_list_is_told_and_asked_for_again() {
    let place = filled(300);
    let old = super::record_of("GHSA-00007");
    place.bucket.touch("npm", 7, "2026-02-01T00:00:00Z", "7.0.0");
    place.bucket.change("GHSA-00007", 0, 1, instead(&old));
    let updated = impatient(&place);
    assert_eq!(updated.outcome, Ok(Change::Records { put: 1, removed: 0 }));
    assert!(updated.notes.concat().contains("1 records are older than the list says"), "{updated:?}");
    assert_eq!(impatient(&place).outcome, Ok(Change::Records { put: 1, removed: 0 }));
    assert_eq!(place.fixed("npm", "package-7")["GHSA-00007"], "7.0.0");
}

/// An archive of npm with so many records of [`Place`]'s, all of one time.
fn archive_of(count: usize, time: &str) -> Vec<u8> {
    let records: Vec<(String, Vec<u8>)> = (0..count)
        .map(|number| {
            let id = format!("GHSA-{number:05}");
            let bytes = record("npm", &id, time, &format!("package-{number}"), "1.0.0");
            (format!("{id}.json"), bytes)
        })
        .collect();
    zip(records.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

#[test]
fn a_snapshot_neither_shrinks_nor_goes_back_where_no_list_says_so() {
    let place = filled(300);
    let segment = files(&place.directory()).into_iter().find(|name| name.ends_with(".segment")).unwrap();
    let segment = place.directory().join(segment);
    let sound = std::fs::read(&segment).unwrap();
    for (bytes, words) in [
        (archive_of(0, ""), "has 0 records, the installed one has 300"),
        (archive_of(1, "2026-03-01T00:00:00Z"), "has 1 records, the installed one has 300"),
        (archive_of(300, "2025-12-01T00:00:00Z"), "ends at 2025-12-01T00:00:00Z, the installed one at"),
    ] {
        place.bucket.change("modified_id.csv", 0, usize::MAX, with_status(404));
        place.bucket.change("all.zip", 0, usize::MAX, instead(&bytes));
        refused(&place, &["npm", words, "--allow-older"]);
        // Also where the installed segment cannot be read, and only the document says what there was.
        std::fs::write(&segment, b"damaged").unwrap();
        let error = impatient(&place).outcome.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        std::fs::write(&segment, &sound).unwrap();
        place.bucket.mend();
    }
    place.bucket.change("modified_id.csv", 0, usize::MAX, with_status(404));
    place.bucket.change("all.zip", 0, usize::MAX, instead(&archive_of(200, "2026-03-01T00:00:00Z")));
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    assert_eq!(place.ids("npm").len(), 200);
}

#[test]
fn a_record_is_not_replaced_by_an_older_version_of_it() {
    let place = filled(300);
    place.bucket.touch("npm", 7, "2026-02-01T00:00:00Z", "7.0.0");
    place.bucket.touch("npm", 8, "2026-03-01T00:00:00Z", "8.0.0");
    assert_eq!(impatient(&place).outcome, Ok(Change::Records { put: 2, removed: 0 }));
    let before = place.id();
    place.bucket.put("npm", "GHSA-00007", "2026-03-01T00:00:00Z", &super::record_of("GHSA-00007"));
    let updated = impatient(&place);
    assert!(updated.outcome.is_ok(), "{updated:?}");
    assert!(updated.notes.concat().contains("1 records are older than the list says"), "{updated:?}");
    assert_eq!(place.fixed("npm", "package-7")["GHSA-00007"], "7.0.0");
    assert_eq!(place.id(), before);
    place.bucket.touch("npm", 7, "2026-03-01T00:00:00Z", "7.1.0");
    impatient(&place).outcome.unwrap();
    assert_eq!(place.fixed("npm", "package-7")["GHSA-00007"], "7.1.0");
}

#[test]
fn an_update_tells_what_could_not_be_read() {
    let place = filled(300);
    place.bucket.put("npm", "GHSA-broken", "2026-02-01T00:00:00Z", b"{");
    for _ in 0..2 {
        let run = place.update(&[]).ended(3);
        for words in ["npm: 1 records could not be read", "GHSA-broken.json: "] {
            assert!(run.err().contains(words), "`{words}` is not in: {}", run.err());
        }
    }
    place.bucket.remove("npm", "GHSA-broken");
    place.update(&[]).ended(0);
}

#[test]
fn tags_that_are_too_long_are_not_kept() {
    let place = place();
    place.bucket.fill("npm", 300);
    let long = format!("\"{}\"", "x".repeat(4000));
    for object in ["modified_id.csv", "all.zip"] {
        let long = long.clone();
        place.bucket.change(object, 0, usize::MAX, move |reply| reply.with("etag", &long));
    }
    assert_eq!(impatient(&place).outcome, Ok(Change::Whole));
    let document = std::fs::read_to_string(place.directory().join("snapshot.json")).unwrap();
    assert!(!document.contains("xxx"), "{document}");
    assert_eq!(impatient(&place).outcome, Ok(Change::None));
}

#[test]
fn an_archive_that_comes_byte_by_byte_is_not_asked_for_again_and_again() {
    let place = place();
    place.bucket.fill("npm", 300);
    place.bucket.change("all.zip", 0, usize::MAX, cut(1));
    let error = impatient(&place).outcome.unwrap_err();
    assert!(error.to_string().contains("all.zip"), "{error}");
    assert_eq!(place.bucket.count("all.zip"), 3, "as often as where nothing comes");
}
