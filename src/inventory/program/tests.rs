use proptest::prelude::*;

use super::testing::{BASE, Elf, audit, go, old_go};
use super::*;
use crate::image::compression::Compression;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, LayerBlob};
use crate::inventory::content::{self, Given};
use crate::inventory::{CATALOGERS, Merged, catalog_aliases, catalog_layer};
use crate::model::digest::Digest;
use crate::model::inventory::{Inventory, LayerRef};

const JSON: &str = r#"{"packages":[{"name":"demo","version":"0.1.0"}]}"#;
const LARGE: usize = 34 << 20;

type Twice = (Result<Facts, Unreadable>, Result<Facts, Unreadable>, usize);

/// What each cataloger says of a program that is held, and of one that streams by, with the number of
/// readings that it took.
fn both(path: &str, bytes: &[u8]) -> Vec<Twice> {
    let path = ImagePath::from(path);
    let head = &bytes[..16];
    let wanting = CATALOGERS.iter().copied().filter(|cataloger| cataloger.wants(&path, head));
    let one = |cataloger: &'static dyn Cataloger| {
        let held = cataloger.parse(&path, bytes);
        let mut again = Vec::new();
        for readings in 1.. {
            let mut rest = &bytes[16..];
            let wanting = [(cataloger, &path)];
            let read = content::read(&mut rest, bytes.len() as u64, head, &wanting, 0, &again).unwrap();
            match read.give(cataloger, &path, bytes.len() as u64) {
                Given::Facts(facts) => return (held, Ok(facts), readings),
                Given::Gap(cause) => return (held, Err(Unreadable(cause)), readings),
                Given::Again(ranges) => again.extend(ranges),
            }
            assert!(readings < 3, "{again:?}");
        }
        unreachable!()
    };
    wanting.map(one).collect()
}

fn alike(path: &str, bytes: &[u8], readings: usize) -> Vec<Facts> {
    assert!(bytes.len() as u64 > WHOLE);
    let of = |(held, streamed, took): Twice| {
        assert_eq!(held, streamed);
        assert!(took <= readings, "{took} readings");
        held.unwrap_or_default()
    };
    both(path, bytes).into_iter().map(of).collect()
}

#[test]
fn a_large_go_program_is_read_in_one_pass() {
    let modules = "mod\texample.org/a\tv1.0.0\n".to_owned() + &"dep\tb\tv1\n".repeat(20_000);
    for modules in ["mod\texample.org/a\tv1.0.0", &modules] {
        let elf = Elf::new().gap(LARGE).section(".go.buildinfo", go("go1.21.5", modules));
        let facts = alike("bin/a", &elf.clone().section(".data", *b"x").build(), 1);
        assert_eq!(facts[0].packages.last().unwrap().name, "example.org/a");
        assert_eq!(alike("bin/a", &elf.gap(LARGE).build(), 2), facts);
    }
}

#[test]
fn strings_and_sections_that_went_by_are_read_again() {
    let mut elf = Elf::new().section(".go.buildinfo", *b"").gap(LARGE);
    elf.tail = 3 << 20;
    let info = old_go(&elf, BASE + elf.first(), "go1.10", "mod\texample.org/a\tv1.0.0");
    elf.sections[0].1 = info.into();
    let facts = alike("bin/a", &elf.build(), 3);
    assert_eq!(facts[0].packages.len(), 2);

    let audited = Elf::new().gap(1 << 20).section(".dep-v0", audit(JSON)).gap(LARGE).section(".data", *b"x");
    let facts = alike("bin/a", &audited.build(), 2);
    assert_eq!(facts[1].packages[0].name, "demo");
}

#[test]
fn large_programs_are_classified_and_others_say_nothing() {
    let text = |at: usize| {
        Elf::new().gap(at).section(".rodata", *b"\0OpenSSL 3.0.11 19").gap(LARGE).section("x", *b"y")
    };
    for at in [1, 100_000, (1 << 16) - 500, (1 << 16) - 250] {
        let facts = alike("bin/openssl", &text(at).build(), 1);
        assert_eq!(facts[2].packages[0].version, "3.0.11");
    }
    assert_eq!(alike("bin/a", &text(5).build(), 1), [Facts::default(), Facts::default()]);
    let mut garbage = text(5).build();
    garbage[4] = 0;
    garbage[LARGE..LARGE + 14].copy_from_slice(b"\xff Go buildinf:");
    assert!(both("bin/a", &garbage)[0].1.is_err());
    alike("bin/a", &garbage, 1);
}

/// A layer with one file, read as an image is.
fn inventory(path: &str, bytes: &[u8], again: bool) -> Inventory {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, path, bytes).unwrap();
    let archive = archive.into_inner().unwrap();
    let digest = Digest::sha256(&archive);
    let blob = LayerBlob {
        blob: BlobName::Member("layer".into()),
        compression: Some(Compression::None),
        diff_id: digest.clone(),
    };
    let limits = Limits::default();
    let (layer, _) = catalog_layer(|| Ok(archive.as_slice()), &blob, "layer 0", &limits).unwrap();
    let mut layers = [layer.into()];
    if again {
        for aliases in Merged::new(&layers).missing().values() {
            let layer = std::sync::Arc::make_mut(&mut layers[0]);
            catalog_aliases(archive.as_slice(), &blob, "layer 0", &limits, aliases, layer).unwrap();
        }
        assert!(Merged::new(&layers).missing().is_empty());
    }
    let reference =
        LayerRef { index: Some(0), digest: Some(digest.clone()), diff_id: Some(digest), created_by: None };
    Merged::new(&layers).flatten(&[reference])
}

#[test]
fn a_layer_is_read_again_for_a_program_and_until_then_there_is_a_gap() {
    let audited = Elf::new().gap(1 << 20).section(".dep-v0", audit(JSON)).gap(LARGE).section(".data", *b"x");
    let bytes = audited.build();
    let of = |inventory: &Inventory| -> (usize, Vec<String>) {
        let gaps = inventory.gaps.iter().filter(|gap| gap.cataloger == "cargo");
        (inventory.packages.len(), gaps.map(|gap| gap.cause.clone()).collect())
    };
    let unread = of(&inventory("bin/a", &bytes, false));
    assert_eq!(unread, (0, vec!["a large program that was not read a second time".to_owned()]));
    assert_eq!(of(&inventory("bin/a", &bytes, true)), (1, vec![]));
}

#[test]
fn a_java_class_is_no_universal_program() {
    assert!(is_program(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2, 1]));
    assert!(!is_program(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52, 1]));
    assert!(is_program(b"\x7fELF\x02\x01") && is_program(b"MZ\x90") && !is_program(b"#!/bin/sh"));
}

#[test]
fn marks_are_found_wherever_chunks_end() {
    let mark = Mark { bytes: b"mark".as_slice().into(), before: 3, after: 8 };
    let mut bytes = vec![b'.'; 5_000];
    for at in [0, 1_022, 2_047, 4_996] {
        bytes[at..at + 4].copy_from_slice(b"mark");
    }
    for chunk in [1, 7, 1_024, 5_000] {
        let mut kept = kept::Kept::new(bytes.len() as u64, vec![mark.clone()], &[]);
        bytes.chunks(chunk).for_each(|chunk| kept.feed(chunk));
        let program = kept.program(true);
        assert_eq!(program.places(b"mark"), (&[0, 1_022, 2_047, 4_996][..], false));
        assert_eq!(program.get(2_044, 11), Some(b"...mark....".as_slice()));
        assert_eq!(program.wanted(), []);
    }
}

proptest! {
    #[test]
    fn any_piece_is_what_the_file_has_there(
        start in 0_u64..200_000, len in 1_u64..70_000, chunk in 1_usize..70_000,
    ) {
        let bytes: Vec<u8> = (0_u32..200_000).map(|at| (at % 251) as u8).collect();
        let mut kept = kept::Kept::new(bytes.len() as u64, Vec::new(), std::slice::from_ref(&(start..start + len)));
        bytes.chunks(chunk).for_each(|chunk| kept.feed(chunk));
        let program = kept.program(true);
        let expected = bytes.get(start as usize..(start + len) as usize);
        prop_assert_eq!(program.get(start, len), expected);
    }
}
