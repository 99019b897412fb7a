//! What hangs on an image, natively and by fallback tag, honest and not.

use portcullis::registry::{Budget, Referrers as Found, Registry as Client, Repository, fallback_tag};
use serde_json::{Value, json};

use super::*;
use crate::support::registry::{Entries, Fault, INDEX, Referrers, Registry, Switches, on, sha512};

const SBOM: &str = "application/vnd.cyclonedx+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn list(client: &Client, repository: &Repository, subject: &str, kind: Option<&str>) -> Found {
    let subject = subject.parse().unwrap();
    client.run(async { Ok(repository.referrers(&subject, kind).await) }).unwrap()
}

fn digests(found: &Found) -> Vec<String> {
    let mut digests: Vec<String> =
        found.entries.iter().map(|entry| entry.descriptor.digest.to_string()).collect();
    digests.sort();
    digests
}

fn sorted(descriptors: &[Value]) -> Vec<String> {
    let mut digests: Vec<String> =
        descriptors.iter().map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned()).collect();
    digests.sort();
    digests
}

#[test]
fn native_referrers_over_many_pages_with_and_without_the_filter() {
    for referrers in [Referrers::Native { page_size: 3 }, Referrers::Unfiltered { page_size: 3 }] {
        let registry = Registry::start(Switches { referrers, ..Switches::default() });
        let subject = small_image(&registry);
        let add = |kind: &str, n: usize| {
            registry.add_referrer(APP, &subject, kind, format!("{kind}{n}").as_bytes())
        };
        let boms: Vec<Value> = (0..10).map(|n| add(SBOM, n)).collect();
        let bundles: Vec<Value> = (0..5).map(|n| add(BUNDLE, n)).collect();
        let (client, repository) = open(&registry, settings());
        let found = list(&client, &repository, &subject, None);
        assert_eq!((digests(&found).len(), found.unknown.as_slice()), (15, &[][..]));
        assert_eq!(digests(&list(&client, &repository, &subject, Some(SBOM))), sorted(&boms));
        assert_eq!(digests(&list(&client, &repository, &subject, Some(BUNDLE))), sorted(&bundles));
    }
}

/// Many manifests with long lists each: all of them together cost no more than one budget, and what it does not reach
/// to is unknown.
#[test]
fn a_budget_bounds_the_lists_of_all_manifests() {
    let registry = Registry::start(Switches::default());
    registry.script(on("GET", "/referrers/").always(), [Fault::EmptyPages(1000)]);
    let (client, repository) = open(&registry, settings());
    let subjects: Vec<Digest> = (0..4).map(|n: u8| Digest::sha256(&[n])).collect();
    let listed = |budget: &Budget| -> Vec<Found> {
        registry.forget();
        let list = async |subject: &Digest| repository.referrers_within(subject, None, budget).await;
        subjects.iter().map(|subject| client.run(async { Ok(list(subject).await) }).unwrap()).collect()
    };
    let said = |found: &[Found], limit: &str| {
        assert!(
            found.iter().all(|one| one.unknown.iter().any(|error| error.to_string().contains(limit))),
            "{found:?}"
        );
    };
    let found = listed(&Budget::of(50, 1 << 20));
    said(&found, "limit `hanging requests`");
    assert_eq!(registry.requests().len(), 50);
    let found = listed(&Budget::of(1 << 20, 50_000));
    said(&found, "limit `hanging bytes`");
    assert!(registry.requests().len() < 50, "{}", registry.requests().len());
    // The entries of fallback tags are opened out of the same budget.
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let entries: Vec<Value> =
        (0..20).map(|n| registry.add_referrer(APP, &subject, SBOM, format!("{n}").as_bytes())).collect();
    registry.set_fallback(APP, &subject, &entries, Entries::Bare);
    let subject = subject.parse().unwrap();
    let within = |budget: Budget| {
        client.run(async { Ok(repository.referrers_within(&subject, None, &budget).await) }).unwrap()
    };
    let found = within(Budget::of(12, 1 << 20));
    assert_eq!((found.entries.len(), found.unknown.len()), (10, 10), "{:?}", found.unknown);
    assert!(within(Budget::of(22, 1 << 20)).unknown.is_empty());
}

#[test]
fn ghcrs_fallback_index_says_the_same_type_for_all() {
    for referrers in [Referrers::Off, Referrers::RedirectElsewhere] {
        for entries in [Entries::Ghcr, Entries::Bare, Entries::Faithful] {
            let registry = Registry::start(Switches { referrers, ..Switches::default() });
            let subject = small_image(&registry);
            let bundle = registry.add_referrer(APP, &subject, BUNDLE, b"bundle");
            let bom = registry.add_referrer(APP, &subject, SBOM, b"bom");
            registry.set_fallback(APP, &subject, &[bundle.clone(), bom], entries);
            let (client, repository) = open(&registry, settings());
            let found = list(&client, &repository, &subject, Some(BUNDLE));
            assert_eq!(digests(&found), sorted(&[bundle]));
            assert_eq!(found.entries[0].artifact_type.as_deref(), Some(BUNDLE));
            assert!(found.entries[0].descriptor.annotations.contains_key("org.opencontainers.image.created"));
            assert!(found.unknown.is_empty() && found.rejected.is_empty(), "{found:?}");
            assert!(registry.elsewhere().is_empty());
            assert_eq!(digests(&list(&client, &repository, &subject, None)).len(), 2);
        }
    }
}

#[test]
fn the_fallback_tag_is_read_beside_the_native_list() {
    let registry = Registry::start(Switches::default());
    let subject = small_image(&registry);
    let listed = registry.add_referrer(APP, &subject, SBOM, b"1");
    registry.switch(|ways| ways.referrers = Referrers::Native { page_size: 10 });
    registry.set_fallback(APP, &subject, std::slice::from_ref(&listed), Entries::Ghcr);
    let (client, repository) = open(&registry, settings());
    assert_eq!(digests(&list(&client, &repository, &subject, None)), sorted(&[listed]), "once, not twice");
    assert_eq!(registry.count("GET", &fallback_tag(&subject.parse().unwrap())), 1);
}

#[test]
fn a_referrer_for_another_subject() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let other = Digest::sha256(b"another image").to_string();
    let foreign = registry.add_referrer(APP, &other, BUNDLE, b"signature of another image");
    let none = json!({"mediaType": crate::support::registry::MANIFEST, "digest": subject, "size": 1});
    let gone = json!({"mediaType": crate::support::registry::MANIFEST, "digest": other, "size": 1});
    registry.set_fallback(APP, &subject, &[foreign, none, gone], Entries::Faithful);
    let (client, repository) = open(&registry, settings());
    let found = list(&client, &repository, &subject, None);
    assert!(found.entries.is_empty() && found.unknown.is_empty(), "{found:?}");
    let causes: Vec<&str> = found.rejected.iter().map(|rejected| rejected.cause.as_str()).collect();
    assert!(causes[0].starts_with("its subject is") && causes[1] == "it has no subject", "{causes:?}");
    assert!(causes[2].contains("not there"), "{causes:?}");
}

#[test]
fn an_entry_that_cannot_be_opened_leaves_the_list_incomplete() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let added: Vec<Value> = (0..3).map(|n| registry.add_referrer(APP, &subject, SBOM, &[n])).collect();
    registry.set_fallback(APP, &subject, &added, Entries::Ghcr);
    registry
        .script(on("GET", added[1]["digest"].as_str().unwrap()).always(), [Fault::error(403, "DENIED", "")]);
    let (client, repository) = open(&registry, settings());
    let found = list(&client, &repository, &subject, None);
    assert_eq!((found.entries.len(), found.unknown.len()), (2, 1));
}

#[test]
fn the_referrers_of_a_sha512_subject() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = sha512(b"a manifest");
    let added = registry.add_referrer(APP, &subject, SBOM, b"1");
    registry.set_fallback(APP, &subject, std::slice::from_ref(&added), Entries::Ghcr);
    let (client, repository) = open(&registry, settings());
    assert_eq!(digests(&list(&client, &repository, &subject, None)), sorted(&[added]));
}

#[test]
fn more_referrers_than_anybody_has() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let entries: Vec<Value> = (0..1001)
        .map(|n: u32| json!({"mediaType": INDEX, "digest": Digest::sha256(&n.to_be_bytes()), "size": 1}))
        .collect();
    registry.set_fallback(APP, &subject, &entries, Entries::Faithful);
    let (client, repository) = open(&registry, settings());
    let found = list(&client, &repository, &subject, None);
    assert_eq!(found.unknown.len(), 1);
    assert!(registry.count("*", "") < 5);
}

#[test]
fn a_fallback_tag_that_is_an_image() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    registry.tag(APP, &fallback_tag(&subject.parse().unwrap()), &subject);
    let (client, repository) = open(&registry, settings());
    assert_eq!(list(&client, &repository, &subject, None).unknown.len(), 1);
}

#[test]
fn a_registry_that_listed_referrers_and_then_has_no_such_list() {
    let registry = Registry::start(Switches::default());
    let subject = small_image(&registry);
    registry.add_referrer(APP, &subject, SBOM, b"1");
    let (client, repository) = open(&registry, settings());
    assert_eq!(list(&client, &repository, &subject, None).entries.len(), 1);
    // A proxy in between, or a registry that is replaced: nobody may conclude that nothing hangs on the image.
    for fault in [Fault::bare(404), Fault::Html, Fault::redirect(303, "/login")] {
        registry.unscript();
        registry.script(on("GET", "/referrers/").always(), [fault]);
        assert_eq!(list(&client, &repository, &subject, None).unknown.len(), 1);
    }
}

/// Attack, or a proxy with a log-in page: an answer that says nothing of referrers, taken for "there is no such list".
#[test]
fn an_answer_that_is_no_list_and_denies_none_is_unknown() {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string().into_bytes();
    let answer = |status, headers: &[(&'static str, &str)], body: &[u8]| Fault::Answer {
        status,
        headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        body: body.to_vec(),
    };
    let registry = Registry::start(Switches::default());
    let subject = small_image(&registry);
    let look = |fault: Fault| {
        registry.unscript();
        registry.script(on("GET", "/referrers/").always(), [fault]);
        // Nothing is known of the registry yet.
        let (client, repository) = open(&registry, settings());
        let found = list(&client, &repository, &subject, None);
        (found.entries.len(), found.unknown.len())
    };
    let odd = [
        Fault::Html,
        answer(200, &[("content-type", "application/json")], &index),
        answer(200, &[], &index),
        answer(204, &[("content-type", INDEX)], b""),
        answer(303, &[], b""),
        Fault::RedirectToItself,
        Fault::bare(403),
        Fault::bare(410),
    ];
    for (number, fault) in odd.into_iter().enumerate() {
        assert_eq!(look(fault), (0, 1), "{number}");
    }
    for status in [400, 404, 405, 406, 501] {
        assert_eq!(look(Fault::bare(status)), (0, 0), "{status}");
    }
    // A registry may answer from elsewhere: there is the list.
    let added = registry.add_referrer(APP, &subject, SBOM, b"1");
    registry.unscript();
    let there = format!("/v2/{APP}/referrers/{subject}");
    registry.script(on("GET", "/referrers/").times(1), [Fault::redirect(307, &there)]);
    let (client, repository) = open(&registry, settings());
    assert_eq!(digests(&list(&client, &repository, &subject, None)), sorted(&[added]));
}
