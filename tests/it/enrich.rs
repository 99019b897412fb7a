//! CISA's list and FIRST's scores through the doors, on the demo.

use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cli::{Run, portcullis};
use crate::support::image::gzip;

const DEMO: &str = "oci:testdata/demo/image";
const OSV: &str = "testdata/demo/osv";
const AT: &str = "2026-02-01T00:00:00Z";

fn scan(home: &Path, more: &[&str]) -> Run {
    portcullis(home, &[&["scan", DEMO, "--at", AT, "-o", "json"], more].concat())
}

fn write(place: &Path, name: &str, bytes: &[u8]) -> String {
    let path = place.join(name);
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    path.display().to_string()
}

fn kev(ids: &[&str]) -> Vec<u8> {
    let entries: Vec<Value> = ids.iter().map(|id| json!({"cveID": id, "dateAdded": "2026-01-20"})).collect();
    json!({
        "title": "CISA Catalog of Known Exploited Vulnerabilities", "catalogVersion": "2026.01.20",
        "dateReleased": "2026-01-20T17:00:00.0000Z", "count": ids.len(), "vulnerabilities": entries,
    })
    .to_string()
    .into_bytes()
}

fn epss(lines: &str) -> Vec<u8> {
    let head = "#model_version:v2025.03.14,score_date:2026-01-31T00:00:00+0000\ncve,epss,percentile\n";
    gzip(format!("{head}{lines}").as_bytes())
}

/// The demo's advisories in a directory that more can be put beside.
fn snapshot() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for ecosystem in ["Alpine", "PyPI", "npm"] {
        let to = place.path().join(ecosystem);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(Path::new(OSV).join(ecosystem)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    place
}

fn finding<'d>(document: &'d Value, id: &str) -> &'d Value {
    document["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id).unwrap()
}

const LODASH: &str = "CVE-2021-23337";

/// A CVE that the demo does not have.
const OTHER: &str = "CVE-1999-0001";

#[test]
fn findings_say_whether_they_are_exploited_and_how_likely_it_is() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let without = scan(home.path(), &["--db", OSV]).ended(0).json();
    assert_eq!(
        (&without["exploits"]["kev"], &finding(&without, LODASH)["kev"]),
        (&Value::Null, &Value::Null)
    );
    let kev = write(place.path(), "k.json", &kev(&[LODASH]));
    let scores = epss("CVE-2021-23337,0.00321,0.5\nCVE-2022-2097,0.97,0.9\n");
    let epss = write(place.path(), "e.csv.gz", &scores);
    let files = ["--db", OSV, "--kev", &kev, "--epss", &epss];
    let first = scan(home.path(), &files).ended(0);
    let document = first.json();
    let lodash = finding(&document, LODASH);
    assert_eq!((&lodash["kev"], &lodash["epss"]), (&json!(true), &json!("0.00321")));
    let openssl = finding(&document, "CVE-2022-2097");
    assert_eq!((&openssl["kev"], &openssl["epss"]), (&json!(false), &json!("0.97")));
    assert_eq!(finding(&document, "CVE-2022-37434")["epss"], Value::Null, "it has no score");
    let data = &document["exploits"]["epss"];
    assert_eq!((&data["generated"], &data["entries"]), (&json!("2026-01-31T00:00:00Z"), &json!(2)));
    assert_eq!(data["digest"], portcullis::model::digest::Digest::sha256(&scores).to_string());
    // The second run takes the table that the first one kept, and says the same.
    let tables = || std::fs::read_dir(home.path().join(".cache/portcullis/epss")).unwrap().count();
    assert_eq!(tables(), 1);
    assert_eq!(scan(home.path(), &files).out(), first.out());
    // A table that was edited is not believed.
    let table =
        std::fs::read_dir(home.path().join(".cache/portcullis/epss")).unwrap().next().unwrap().unwrap();
    let mut bytes = std::fs::read(table.path()).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    std::fs::write(table.path(), bytes).unwrap();
    assert_eq!(scan(home.path(), &files).out(), first.out());
    // Of newer scores there is a new table, and the old one is gone.
    write(place.path(), "e.csv.gz", &self::epss("CVE-2021-23337,0.5,0.5\n"));
    assert_eq!(finding(&scan(home.path(), &files).json(), LODASH)["epss"], "0.5");
    assert_eq!(tables(), 1);
}

#[test]
fn a_policy_judges_by_them_and_is_undecided_without_them() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kev_file = write(place.path(), "k.json", &kev(&[LODASH]));
    let none = write(place.path(), "none.json", &kev(&[OTHER]));
    let epss = write(place.path(), "e.csv.gz", &epss("CVE-2021-23337,0.6,0.5\n"));
    let policy = |rule: &str| {
        let text = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: t}}\nimages: ['**']\nrules:\n\
             - id: v\n  vulnerabilities: {rule}\n"
        );
        write(place.path(), "policy.yaml", text.as_bytes())
    };
    let gate = |rule: &str, more: &[&str], code: i32| {
        let policy = policy(rule);
        let arguments = ["gate", DEMO, "--db", OSV, "--at", AT, "--policy", &policy, "-o", "json"];
        portcullis(home.path(), &[&arguments, more].concat()).ended(code)
    };
    let exploited = "{deny: [{kev: true}]}";
    gate(exploited, &[], 3);
    let verdict = gate(exploited, &["--kev", &kev_file], 1).json();
    assert!(verdict["inputs"]["kev"].as_str().unwrap().starts_with("sha256:"));
    gate(exploited, &["--kev", &none], 0);
    let likely = "{deny: [{epss: '>=0.5'}], unknownEpss: ignore}";
    gate(likely, &[], 3);
    gate(likely, &["--epss", &epss], 1);
    gate("{deny: [{epss: '>=0.9'}], unknownEpss: ignore}", &["--epss", &epss], 0);
    gate("{deny: [{epss: '>=0.9'}]}", &["--epss", &epss], 3);
    gate("{database: {maxAge: 900d, kevMaxAge: 30d}, deny: [{kev: true}]}", &["--kev", &none], 0);
    gate("{database: {maxAge: 900d, kevMaxAge: 3d}, deny: [{kev: true}]}", &["--kev", &none], 3);
    gate("{database: {maxAge: 900d, epssMaxAge: 3d}}", &[], 3);
    // An emptied list is none, and one of the future is not believed, whatever it has.
    let empty = write(place.path(), "empty.json", &kev(&[]));
    gate(exploited, &["--kev", &empty], 2);
    let text = String::from_utf8(kev(&[OTHER])).unwrap().replace("2026-01-20T", "2026-02-03T");
    let future = write(place.path(), "future.json", text.as_bytes());
    let verdict = gate(exploited, &["--kev", &future], 3).out();
    assert!(verdict.contains("lies in the future"), "{verdict}");
}

#[test]
fn a_snapshot_may_have_them() {
    let home = tempfile::tempdir().unwrap();
    let place = snapshot();
    let db = place.path().display().to_string();
    write(place.path(), "kev.json", &kev(&[LODASH]));
    write(place.path(), "epss.csv.gz", &epss("CVE-2021-23337,0.6,0.5\n"));
    let document = scan(home.path(), &["--db", &db]).ended(0).json();
    let lodash = finding(&document, LODASH);
    assert_eq!((&lodash["kev"], &lodash["epss"]), (&json!(true), &json!("0.6")));
    // What is named goes before what lies there.
    let none = write(home.path(), "none.json", &kev(&[OTHER]));
    let document = scan(home.path(), &["--db", &db, "--kev", &none]).ended(0).json();
    assert_eq!(finding(&document, LODASH)["kev"], false);
    // What lies there and cannot be read is unknown, and said.
    write(place.path(), "kev.json", b"{");
    let document = scan(home.path(), &["--db", &db]).ended(0).json();
    assert_eq!(finding(&document, LODASH)["kev"], Value::Null);
    assert!(document["exploits"]["kev"]["unknown"].as_str().unwrap().starts_with("kev.json: "), "{document}");
}

#[test]
fn a_named_file_that_cannot_be_read_is_wrong_usage() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut cut = epss("CVE-2021-23337,0.6,0.5\n");
    cut.truncate(cut.len() - 9);
    let cut = write(place.path(), "cut.csv.gz", &cut);
    let text = String::from_utf8(kev(&[LODASH])).unwrap().replace("\"count\":1", "\"count\":2");
    let short = write(place.path(), "short.json", text.as_bytes());
    for (option, file, want) in [
        ("--epss", cut.as_str(), "cannot be unpacked"),
        ("--epss", "/dev/zero", "not a regular file"),
        ("--epss", "/no/such/file", "o such file"),
        ("--kev", &short, "2 entries, and has 1"),
        ("--kev", &cut, "expected value"),
    ] {
        let run = scan(home.path(), &["--db", OSV, option, file]).ended(2);
        assert!(run.err().contains(want) && run.err().contains(file), "{}", run.err());
        assert_eq!(run.out(), "");
    }
}

/// Answers every request below a loopback address with one of these files, else with 404, so many times.
fn serve(files: &[(&'static str, Vec<u8>)], requests: usize) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let files = files.to_vec();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(requests) {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap();
            let path = path.strip_prefix("/feeds/").unwrap();
            let is =
                |name: &str| name.strip_suffix('*').map_or(path == name, |start| path.starts_with(start));
            let found = files.iter().find(|(name, _)| is(name));
            let (status, body) = found.map_or(("404 Not Found", &b""[..]), |(_, body)| ("200 OK", body));
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")
                .unwrap();
            stream.write_all(body).unwrap();
        }
    });
    format!("http://{address}/feeds")
}

#[test]
fn an_update_fetches_them_whole_or_leaves_what_was_there() {
    let (home, place) = (tempfile::tempdir().unwrap(), snapshot());
    let db = place.path().display().to_string();
    let update = |url: &str| {
        let sources = ["--kev-source", url, "--epss-source", url];
        let arguments = [&["db", "update", "--db", &db, "--kev", "--epss"][..], &sources].concat();
        portcullis(home.path(), &arguments)
    };
    let name = "known_exploited_vulnerabilities.json";
    let scores = epss("CVE-2021-23337,0.6,0.5\n");
    let url = serve(&[(name, kev(&[LODASH])), ("epss_scores-current.csv.gz", scores.clone())], 100);
    let text = update(&url).ended(0).out();
    assert!(text.contains("exploited (KEV)  1 CVEs, of 2026-01-20T17:00:00Z"), "{text}");
    let document = scan(home.path(), &["--db", &db]).ended(0).json();
    assert_eq!(finding(&document, LODASH)["kev"], true);
    assert_eq!(finding(&document, LODASH)["epss"], "0.6");
    // A list that was cut, one that is older, and scores that are nowhere: what was there stays.
    let text = |ids: &[&str]| String::from_utf8(kev(ids)).unwrap();
    let cut = text(&[]).replace("\"count\":0", "\"count\":9");
    let old = text(&[OTHER]).replace("2026-01-20T", "2025-01-20T");
    let future = text(&[OTHER]).replace("2026-01-20T", "9999-01-20T");
    for (kev, want) in [
        (cut, "9 entries, and has 0"),
        (old, "and what is installed of 2026-01-20"),
        (text(&[]).replace("2026-01-20T", "2026-01-21T"), "has no entries"),
        (future.clone(), "lies in the future"),
    ] {
        let url = serve(&[(name, kev.into_bytes())], 100);
        let run = update(&url).ended(3);
        assert!(run.err().contains(want) && run.err().contains("no such object"), "{}", run.err());
        assert_eq!(std::fs::read(place.path().join("epss.csv.gz")).unwrap(), scores);
        let document = scan(home.path(), &["--db", &db]).ended(0).json();
        assert_eq!(finding(&document, LODASH)["kev"], true);
    }
    // One of the future that lies there does not hold up a true one.
    write(place.path(), "kev.json", future.as_bytes());
    let url = serve(&[(name, kev(&[LODASH]))], 100);
    portcullis(home.path(), &["db", "update", "--db", &db, "--kev", "--kev-source", &url]).ended(0);
    assert_eq!(finding(&scan(home.path(), &["--db", &db]).json(), LODASH)["kev"], true);
    // Where the current scores are but a redirect, those of the day are asked for.
    let url = serve(&[("epss_scores-2*", epss("CVE-2021-23337,0.7,0.5\n"))], 100);
    portcullis(home.path(), &["db", "update", "--db", &db, "--epss", "--epss-source", &url]).ended(0);
    assert_eq!(finding(&scan(home.path(), &["--db", &db]).json(), LODASH)["epss"], "0.7");
    portcullis(home.path(), &["db", "update", "--db", &db, "--kev", "--offline"]).ended(3);
    portcullis(home.path(), &["db", "update", "--db", &db, "--kev", "--kev-source", "ftp://x"]).ended(2);
}
