use proptest::prelude::*;

use super::*;
use crate::inventory::program::testing::{BASE, Elf, go, macho, old_go, pe, universal};

const MODULES: &str = "path\texample.org/tool/cmd\nmod\texample.org/tool\tv1.2.0\th1:x=\n\
    dep\tgolang.org/x/net\tv0.7.0\th1:y=\ndep\texample.org/old\tv1.0.0\n=>\texample.org/fork\tv1.0.1\th1:z=\n\
    dep\texample.org/local\tv0.1.0\n=>\t./local\t(devel)\t\nbuild\tCGO_ENABLED=0";

fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
    Golang.parse(&"usr/bin/tool".into(), bytes)
}

fn elf(modules: &str) -> Vec<u8> {
    Elf::new()
        .section(".text", [0x90; 40])
        .section(".go.buildinfo", go("go1.21.5 X:loopvar", modules))
        .build()
}

fn named(facts: &Facts) -> Vec<String> {
    facts.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
}

const FOUND: [&str; 5] = [
    "stdlib@1.21.5",
    "golang.org/x/net@v0.7.0",
    "example.org/fork@v1.0.1",
    "example.org/local@v0.1.0",
    "example.org/tool@v1.2.0",
];

#[test]
fn a_program_names_its_modules_and_its_standard_library() {
    let facts = parse(&elf(MODULES)).unwrap();
    assert_eq!(named(&facts), FOUND);
    assert_eq!(facts.unreadable, [""; 0]);
    let [stdlib, .., local, main] = facts.packages.as_slice() else { panic!() };
    assert!(local.guessed && !stdlib.guessed && !stdlib.application && main.application);
    let requires: Vec<&str> = main.requires.iter().flatten().flatten().map(String::as_str).collect();
    assert_eq!(requires, FOUND[..4]);
    assert_eq!(main.location, Some("usr/bin/tool".into()));
}

#[test]
fn every_format_says_the_same() {
    let info = go("go1.21.5 X:loopvar", MODULES);
    let expected = parse(&elf(MODULES)).unwrap();
    let mach = macho(b"__go_buildinfo", &info);
    for file in [
        pe(b".data", &info),
        mach.clone(),
        macho(b"__data", &info),
        universal(&[mach.clone(), mach]),
        Elf::new().section(".data", [vec![0; 32], info].concat()).build(),
    ] {
        assert_eq!(parse(&file).unwrap(), expected);
    }
}

#[test]
fn old_programs_point_to_their_strings() {
    for (big, wide) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut elf = Elf { big, wide, ..Elf::new() }.section(".go.buildinfo", *b"");
        let info = old_go(&elf, BASE + elf.first(), "go1.21.5", MODULES);
        elf.sections[0].1 = info.into();
        assert_eq!(named(&parse(&elf.build()).unwrap()), FOUND, "{big} {wide}");
    }
}

#[test]
fn a_mark_that_the_headers_do_not_lead_to_is_a_string() {
    let own = Elf::new().section(".go.buildinfo", go("go1.20", "path\tcmd/go\n"));
    let text = own.clone().section(".rodata", go("go1.1", MODULES)).build();
    assert_eq!(named(&parse(&text).unwrap()), ["stdlib@1.20"]);
    let text = Elf::new().section(".go.buildinfo", *b"").section(".rodata", go("go1.1", MODULES)).build();
    assert_eq!(parse(&text).unwrap(), Facts::default());
    let unaligned = Elf::new().section(".data", [b"x".to_vec(), go("go1.1", MODULES)].concat()).build();
    assert_eq!(parse(&unaligned).unwrap(), Facts::default());
}

#[test]
fn a_mark_in_a_program_that_cannot_be_read_is_unreadable() {
    let garbage = [b"\x7fELF".as_slice(), &[0; 200], MAGIC, &[0; 100]].concat();
    assert!(parse(&garbage).unwrap_err().0.contains("no ELF class"));
    let cut = elf(MODULES);
    let cause = parse(&cut[..cut.len() - 100]).unwrap_err().0;
    assert!(cause.starts_with("a Go program whose modules are unknown"), "{cause}");
    let mut long = go("go1.21.5", "");
    long.truncate(32);
    long.extend([0xff; 9]);
    let cause = parse(&Elf::new().section(".go.buildinfo", long).build()).unwrap_err().0;
    assert!(cause.contains("is cut"), "{cause}");
    let many = MAGIC.repeat(1_001);
    let cause = parse(&Elf::new().section(".rodata", many).build()).unwrap_err().0;
    assert!(cause.contains("in 1000 places"), "{cause}");
    assert!(parse(&Elf::new().section("UPX!", *b"").build()).unwrap_err().0.contains("packed"));
}

#[test]
fn a_program_that_names_no_modules_is_a_gap() {
    for modules in ["", "path\texample.org/tool\nbuild\tCGO_ENABLED=1"] {
        let facts = parse(&elf(modules)).unwrap();
        assert_eq!(named(&facts), ["stdlib@1.21.5"]);
        assert!(facts.unreadable[0].contains("names no modules"));
    }
    assert_eq!(parse(&elf("path\tcmd/vet")).unwrap().unreadable, [""; 0]);
}

#[test]
fn lines_that_name_no_module_are_unreadable() {
    for (line, cause) in [
        ("dep\ta b\tv1", "no word"),
        ("dep\ta", "version is empty"),
        ("dep\t\tv1", "path is empty"),
        ("=>\ta\tv1", "replaces no module"),
        ("mod\ta\tv1\nmod\tb\tv1", "second main module"),
    ] {
        let facts = parse(&elf(line)).unwrap();
        assert!(facts.unreadable[0].contains(cause), "{line}: {:?}", facts.unreadable);
    }
    let facts = parse(&elf("mod\ta\t")).unwrap();
    assert_eq!(named(&facts), ["stdlib@1.21.5", "a@(devel)"]);
}

#[test]
fn the_toolchain_is_a_release() {
    for (text, version) in [("go1.22rc1", "1.22rc1"), ("go1.21.0-bigcorp", "1.21.0"), ("go1.9 X:a", "1.9")] {
        assert_eq!(toolchain(text.as_bytes()).as_deref(), Ok(version));
    }
    for text in ["devel go1.22-abc", "go", "1.2", "go1.2\u{1b}", "go1_2"] {
        assert!(toolchain(text.as_bytes()).is_err(), "{text}");
    }
    let devel = Elf::new().section(".go.buildinfo", go("devel +abc", "mod\ta\tv1")).build();
    let facts = parse(&devel).unwrap();
    assert_eq!(named(&facts), ["a@v1"]);
    assert!(facts.unreadable[0].contains("unknown version of Go"));
}

#[test]
fn the_test_data_is_read() {
    let facts = parse(include_bytes!("../../../testdata/inventory/golang/tool")).unwrap();
    assert_eq!(named(&facts), FOUND);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&[b"\x7fELF\x02\x01".as_slice(), &bytes, MAGIC].concat()).is_ok();
        let _ = parse(&[b"MZ".as_slice(), &bytes, MAGIC].concat()).is_ok();
    }

    #[test]
    fn broken_programs_never_panic(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        format in 0..4,
    ) {
        let info = go("go1.21.5", MODULES);
        let mut bytes = match format {
            0 => elf(MODULES),
            1 => pe(b".data", &info),
            2 => macho(b"__go_buildinfo", &info),
            _ => universal(&[macho(b"__go_buildinfo", &info)]),
        };
        for (at, byte) in at {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = parse(&bytes).is_ok();
    }
}
