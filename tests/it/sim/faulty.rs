//! Faults by script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::loaded;
use crate::support::registry::*;
use crate::support::wire::{self, Answer};

const V1: &str = "/v2/acme/app/manifests/v1";

/// What the demo's tag answers once it meets the faults.
fn met(faults: impl IntoIterator<Item = Fault>) -> Answer {
    let (registry, _) = loaded(Switches::default());
    registry.script(on("GET", "/manifests/"), faults);
    let answer = wire::get(registry.address(), V1);
    wire::get(registry.address(), V1).status(200);
    answer
}

fn sound() -> Vec<u8> {
    wire::get(loaded(Switches::default()).0.address(), V1).body
}

#[test]
fn a_script_meets_the_requests_it_names() {
    let (registry, _) = loaded(Switches::default());
    registry.script(on("GET", "/manifests/v1").skip(1).times(2), [Fault::bare(503)]);
    registry.script(on("*", "/tags/").always(), [Fault::Status(500)]);
    let statuses: Vec<u16> = (0..4).map(|_| wire::get(registry.address(), V1).status).collect();
    assert_eq!(statuses, [200, 503, 503, 200]);
    wire::head(registry.address(), V1).status(200);
    wire::get(registry.address(), "/v2/acme/app/tags/list").status(500);
    registry.unscript();
    wire::get(registry.address(), "/v2/acme/app/tags/list").status(200);
    let told: Vec<u16> = registry.requests().iter().map(|seen| seen.status).collect();
    assert_eq!(told, [200, 503, 503, 200, 200, 500, 200]);
    registry.forget();
    assert!(registry.requests().is_empty());
}

#[test]
fn answers_come_instead_of_the_registry_s_own() {
    assert_eq!(met([Fault::error(403, "DENIED", "no")]).status(403).code(), "DENIED");
    let html = met([Fault::Html]).status(200);
    assert!(html.header("content-type").unwrap().starts_with("text/html"));
    assert_eq!(met([Fault::RedirectToItself]).status(307).header("location"), Some(V1));
    assert_eq!(
        met([Fault::redirect(302, "http://[::1]/")]).status(302).header("location"),
        Some("http://[::1]/")
    );
    let other = met([Fault::Body(b"{}".to_vec()), Fault::Header("docker-content-digest", "sha256:x".into())]);
    assert_eq!(
        (other.body.as_slice(), other.header("docker-content-digest")),
        (b"{}".as_slice(), Some("sha256:x"))
    );
    assert_eq!(met([Fault::NoHeader("content-type")]).header("content-type"), None);
}

#[test]
fn throttling_hints_in_every_way() {
    let hint = |hint| met([Fault::Throttled(hint)]);
    assert_eq!(hint(Hint::None).status(429).header("retry-after"), None);
    assert_eq!(hint(Hint::Seconds(7)).status(429).header("retry-after"), Some("7"));
    let dated = hint(Hint::Date(Duration::from_secs(2))).status(429);
    assert!(dated.header("retry-after").unwrap().ends_with(" GMT"));
    let worded = hint(Hint::Message("1.16ms")).status(429);
    assert!(worded.header("retry-after").is_none());
    let message = worded.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "retry-after: 1.16ms, allowed: 44000/minute");
    let secondary = hint(Hint::Secondary).status(403).json();
    assert!(secondary["errors"][0]["message"].as_str().unwrap().contains("secondary rate limit"));
}

#[test]
fn bodies_are_cut_corrupted_and_never_end() {
    let sound = sound();
    let cut = met([Fault::Cut(10)]).status(200);
    assert_eq!((cut.body.as_slice(), cut.whole), (&sound[..10], false));
    let corrupt = met([Fault::Corrupt(5)]).status(200);
    assert!(corrupt.whole && corrupt.body[5] != sound[5] && corrupt.body[6..] == sound[6..]);
    let long = met([Fault::Length(sound.len() as u64 + 9)]).status(200);
    assert_eq!((long.body.len(), long.whole), (sound.len(), false));
    let short = met([Fault::Length(9)]).status(200);
    assert_eq!(short.body, sound[..9]);
    let endless = met([Fault::Endless]).status(200);
    assert!(!endless.whole && endless.body.len() > 4 << 20 && endless.body.starts_with(&sound));
    let told = met([Fault::Endless, Fault::Length(1 << 40)]).status(200);
    assert_eq!(told.header("content-length"), Some("1099511627776"));
    let (registry, _) = loaded(Switches::default());
    registry.script(on("GET", V1), [Fault::Cut(10)]);
    wire::get(registry.address(), V1);
    assert_eq!(registry.requests()[0].sent(), 10);
}

#[test]
fn answers_are_slow_late_or_never() {
    let began = Instant::now();
    let slow = met([Fault::Slow { bytes: 100, pause: Duration::from_millis(20) }]).status(200);
    assert!(
        slow.whole
            && began.elapsed() > Duration::from_millis(20) * u32::try_from(slow.body.len() / 100).unwrap()
    );
    let began = Instant::now();
    met([Fault::Delay(Duration::from_millis(120))]).status(200);
    assert!(began.elapsed() > Duration::from_millis(120));
    assert_eq!(met([Fault::Reset]).status, 0);
    let (registry, _) = loaded(Switches::default());
    registry.script(on("GET", V1), [Fault::Hang]);
    let address = registry.address().to_owned();
    let waiting = std::thread::spawn(move || wire::get(&address, V1).status);
    while registry.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(registry);
    assert_eq!(waiting.join().unwrap(), 0, "a registry that is dropped breaks its connections");
}

#[test]
fn a_tag_moves_between_two_requests() {
    let (registry, old) = loaded(Switches::default());
    let new = registry.put_manifest("acme/app", None, INDEX, b"{\"schemaVersion\":2,\"manifests\":[]}");
    let moved = new.clone();
    let hook: Hook = Arc::new(move |store| store.repository("acme/app").tag("v1", &moved));
    registry.script(on("GET", V1), [Fault::Before(hook)]);
    let read = |answer: Answer| answer.header("docker-content-digest").unwrap().to_owned();
    assert_eq!(read(wire::head(registry.address(), V1)), old);
    assert_eq!(read(wire::get(registry.address(), V1)), new);
}

#[test]
fn a_digest_header_lies_as_asked() {
    let (registry, digest) = loaded(Switches::default());
    let header = |how| {
        registry.switch(|ways| ways.content_digest = how);
        wire::get(registry.address(), V1).header("docker-content-digest").map(str::to_owned)
    };
    assert_eq!(header(ContentDigest::Right), Some(digest));
    assert_eq!(header(ContentDigest::Missing), None);
    assert!(header(ContentDigest::Wrong).unwrap().ends_with("000"));
    assert_eq!(header(ContentDigest::Garbled).unwrap(), "sha256:zz");
}

#[test]
fn requests_at_one_time_are_counted() {
    let latency = Duration::from_millis(150);
    let (registry, _) = loaded(Switches { latency, ..Switches::default() });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| wire::get(registry.address(), V1).status(200));
        }
    });
    assert!((2..=4).contains(&registry.most_at_once()));
    let seen = registry.requests();
    assert!(seen.iter().all(|seen| seen.received == 0 && seen.target == V1));
}
