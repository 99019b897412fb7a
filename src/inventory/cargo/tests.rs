use proptest::prelude::*;

use super::*;
use crate::inventory::program::testing::{Elf, audit, macho, pe, universal};

const JSON: &str = r#"{"packages":[
    {"name":"demo","version":"0.1.0","source":"local","root":true,"dependencies":[1,2]},
    {"name":"autocfg","version":"1.1.0","source":"crates.io","kind":"build"},
    {"name":"url","version":"2.1.1","source":"crates.io"}],"format":1}"#;

fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
    Cargo.parse(&"usr/bin/demo".into(), bytes)
}

fn elf(json: &str) -> Vec<u8> {
    Elf::new().section(".dep-v0", audit(json)).build()
}

#[test]
fn a_program_lists_its_crates() {
    let facts = parse(&elf(JSON)).unwrap();
    let [demo, autocfg, url] = facts.packages.as_slice() else { panic!("{facts:?}") };
    assert_eq!((demo.name.as_str(), demo.version.as_str(), demo.application), ("demo", "0.1.0", true));
    assert_eq!((autocfg.scope, url.scope), (Scope::Build, Scope::Runtime));
    let requires: Vec<&str> = demo.requires.iter().flatten().flatten().map(String::as_str).collect();
    assert_eq!(requires, ["autocfg@1.1.0", "url@2.1.1"]);
    assert_eq!(url.requires, Some(vec![]));
}

#[test]
fn every_format_says_the_same() {
    let (expected, bytes) = (parse(&elf(JSON)).unwrap(), audit(JSON));
    let mach = macho(b".dep-v0", &bytes);
    for file in [pe(b".dep-v0", &bytes), mach.clone(), universal(&[mach.clone(), mach])] {
        assert_eq!(parse(&file).unwrap(), expected);
    }
    for (big, wide) in [(true, true), (true, false), (false, false)] {
        let elf = Elf { big, wide, ..Elf::new() }.section(".dep-v0", bytes.clone());
        assert_eq!(parse(&elf.build()).unwrap(), expected);
    }
}

#[test]
fn what_the_section_cannot_mean_is_unreadable() {
    let cause = |bytes: &[u8]| parse(bytes).unwrap_err().0;
    assert!(cause(&Elf::new().section(".dep-v0", *b"no zlib").build()).contains("inflated"));
    assert!(cause(&elf("{}")).contains("no audit data"));
    for (package, why) in [
        (r#"{"name":"a","version":"1","dependencies":[1]}"#, "no package has the index 1"),
        (r#"{"name":"a","version":"1","dependencies":[-1]}"#, "no audit data"),
        (r#"{"name":"a b","version":"1"}"#, "no word"),
        (r#"{"name":"a","version":""}"#, "is empty"),
    ] {
        let cause = cause(&elf(&format!(r#"{{"packages":[{package}]}}"#)));
        assert!(cause.contains(why), "{cause}");
    }
    let bomb = elf(&" ".repeat(9 << 20));
    assert!(cause(&bomb).contains("inflates to more than 8388608 bytes"));
    let edges = vec!["0"; EDGES + 1].join(",");
    let edges = format!(r#"{{"packages":[{{"name":"a","version":"1","dependencies":[{edges}]}}]}}"#);
    assert!(cause(&elf(&edges)).contains("more than 100000 dependencies"));
}

#[test]
fn a_name_in_some_data_is_no_section() {
    let text = Elf::new().section(".rodata", *b".dep-v0\0").build();
    assert_eq!(parse(&text).unwrap(), Facts::default());
    let garbage = [b"\x7fELF".as_slice(), &[0; 100], MARK].concat();
    assert!(parse(&garbage).is_err());
}

#[test]
fn the_test_data_is_read() {
    let facts = parse(include_bytes!("../../../testdata/inventory/cargo/demo")).unwrap();
    assert_eq!(facts, parse(&elf(JSON)).unwrap());
}

proptest! {
    #[test]
    fn broken_programs_never_panic(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = elf(JSON);
        for (at, byte) in at {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = parse(&bytes).is_ok();
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&[b"\x7fELF\x02\x01".as_slice(), &bytes, MARK].concat()).is_ok();
    }
}
