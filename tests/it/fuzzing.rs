//! Every fuzz target over its seeds, as they are and mutated, and over what fuzzing kept. Fuzzing proper is
//! `python3 fuzz/fuzz.py`; this keeps what it found from coming back, and runs where no fuzzer is.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use portcullis::fuzzing::TARGETS;
use portcullis::image::limits::Limits;
use portcullis::inventory::catalog_layer;
use portcullis::layout;

/// Mutations of each seed; `PORTCULLIS_FUZZ_ROUNDS` asks for more.
const ROUNDS: usize = 300;

/// Seeds longer than this are cut: mutations of a long one would all be alike.
const LONGEST: usize = 20_000;

fn files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn read(paths: Vec<PathBuf>) -> Vec<Vec<u8>> {
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Seeds by corpus: what the project ships, and what a fuzzer once found. A corpus is called as its target; a
/// target with many parsers has one for each, `TARGET.PARSER`, since mutations do not lead from one to another.
fn seeds() -> BTreeMap<String, Vec<Vec<u8>>> {
    let blobs = read(files("testdata/demo/image"));
    let documents = blobs.iter().filter(|blob| blob.starts_with(b"{"));
    let checks = documents.flat_map(|blob| (0..3).map(|choice| [&[choice][..], blob].concat()));
    let folders = ["golang", "cargo", "classify"].map(|id| format!("testdata/inventory/{id}"));
    let programs = folders.iter().flat_map(|folder| read(files(folder)));
    let plain = BTreeMap::from([
        ("program", programs.map(|program| [&[0], program.as_slice()].concat()).collect()),
        ("document", blobs.iter().filter(|blob| blob.starts_with(b"{")).cloned().collect()),
        ("check", checks.collect()),
        (
            "archive",
            ["egg", "java", "yarn"]
                .into_iter()
                .flat_map(|id| read(files(&format!("testdata/inventory/{id}"))))
                .collect(),
        ),
        ("table", tables()),
        ("cached", cached()),
        ("version", versions()),
        (
            "name",
            [
                "oci:dir:tag",
                "ghcr.io/acme/app:v1@sha256:00",
                "pkg:deb/debian/a@1%2B2?arch=amd64#x",
                "docker-archive:x:@1",
            ]
            .map(|text| text.as_bytes().to_vec())
            .to_vec(),
        ),
        ("record", read(files("testdata/demo/osv"))),
        ("sbom", Vec::new()),
        ("segment", vec![segment()]),
        ("policy", read(files("policies"))),
        ("license", licenses()),
    ]);
    let mut seeds: BTreeMap<String, Vec<Vec<u8>>> =
        plain.into_iter().map(|(name, seeds)| (name.to_owned(), seeds)).collect();
    let mut add = |corpus: String, seed| seeds.entry(corpus).or_default().push(seed);
    for (choice, stored) in ["tar", "gzip", "zstd"].into_iter().enumerate() {
        for bytes in layers(stored) {
            add(format!("layer.{stored}"), [&[u8::try_from(choice).unwrap()][..], &bytes].concat());
        }
    }
    for path in files("testdata/inventory") {
        let id = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        add(format!("cataloger.{id}"), cataloger(path.clone()));
    }
    for (choice, name) in RPM.iter().enumerate() {
        let bytes = std::fs::read(Path::new("testdata/inventory/rpm").join(name)).unwrap();
        add(format!("rpm.{name}"), [&[u8::try_from(choice).unwrap()][..], &bytes].concat());
    }
    for path in files("fuzz/seeds") {
        let target = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        add(target.to_owned(), std::fs::read(&path).unwrap());
    }
    seeds
}

/// A cataloger's test data, after the path under which it reads it.
fn cataloger(path: PathBuf) -> Vec<u8> {
    let id = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let seen_as = match id.as_str() {
        "apk" => "lib/apk/db/installed".to_owned(),
        "bitnami" => format!("opt/bitnami/demo/{}", path.file_name().unwrap().to_str().unwrap()),
        "cargo" => "usr/bin/demo".to_owned(),
        "classify" => format!("usr/bin/{}", path.file_name().unwrap().to_str().unwrap()),
        "golang" => "usr/bin/tool".to_owned(),
        "chisel" => "var/lib/chisel/manifest.wall".to_owned(),
        "composer" => "vendor/composer/installed.json".to_owned(),
        "conda" => "conda-meta/demo-1.0-py39_0.json".to_owned(),
        "egg" => "lib/a.egg".to_owned(),
        "java" => "opt/a.jar".to_owned(),
        "yarn" => "srv/.yarn/cache/a.zip".to_owned(),
        "dpkg" if path.ends_with("copyright") => "usr/share/doc/a/copyright".to_owned(),
        "dpkg" => "var/lib/dpkg/status".to_owned(),
        "gem" => "specifications/demo-1.2-x86_64-linux.gemspec".to_owned(),
        "jdk" => "opt/java/release".to_owned(),
        "nix" => "nix/var/nix/db/db.sqlite".to_owned(),
        "npm-root" => "srv/web/package.json".to_owned(),
        "npm" => "node_modules/a/package.json".to_owned(),
        "nuget" => "app/demo.deps.json".to_owned(),
        "opkg" => "usr/lib/opkg/status".to_owned(),
        "os-release" => "etc/os-release".to_owned(),
        "portage" => "var/db/pkg/dev-libs/demo-1/CONTENTS".to_owned(),
        "pacman" => "var/lib/pacman/local/lib-demo-1-2/desc".to_owned(),
        "pear" => "lib/php/.registry/.channel.pecl.php.net/demo.reg".to_owned(),
        "r" => "usr/lib/R/library/demo/DESCRIPTION".to_owned(),
        "otp" => "lib/demo-1/ebin/demo.app".to_owned(),
        "luarocks" => "lib/luarocks/rocks-5.1/demo/1.2-3/demo-1.2-3.rockspec".to_owned(),
        "wordpress" => "wp-content/plugins/demo/demo.php".to_owned(),
        "pypi" => "lib/a-1.dist-info/METADATA".to_owned(),
        "rpm" => format!("var/lib/rpm/{}", path.file_name().unwrap().to_str().unwrap()),
        other => panic!("say which path `{other}` reads"),
    };
    let bytes = std::fs::read(path).unwrap();
    // The manifest's text is kept readable; chisel compresses it.
    let bytes = if id == "chisel" { zstd::encode_all(bytes.as_slice(), 1).unwrap() } else { bytes };
    [seen_as.as_bytes(), b"\n", &bytes].concat()
}

/// What the cache keeps of the demo's layers.
fn cached() -> Vec<Vec<u8>> {
    let (limits, location) = (Limits::default(), "oci:testdata/demo/image".parse().unwrap());
    let (store, image) = layout::open(&location, None, &limits).unwrap();
    let layers = image.platforms.iter().flat_map(|platform| &platform.layers);
    let read = layers.map(|layer| {
        let (inventory, verified) =
            catalog_layer(|| Ok(store.blob(&layer.blob).unwrap()), layer, "seed", &limits).unwrap();
        postcard::to_stdvec(&("key", verified, inventory)).unwrap()
    });
    read.collect()
}

/// Tables of contents, as eStargz and zstd:chunked write them.
fn tables() -> Vec<Vec<u8>> {
    let sum = "sha256:".to_owned() + &"0".repeat(64);
    let table = serde_json::json!({"version": 1, "entries": [
        {"type": "dir", "name": "etc/", "mode": 493, "modtime": "2026-01-01T00:00:00Z"},
        {"type": "reg", "name": "etc/\u{e9}\n\"", "size": 9, "digest": sum, "chunkSize": 4, "chunkDigest": sum,
         "xattrs": {"security.capability": "AQAAAg=="}},
        {"type": "chunk", "name": "etc/\u{e9}\n\"", "chunkOffset": 4, "chunkType": "zeros"},
        {"type": "char", "name": "null", "devMajor": 1, "devMinor": 3, "uid": 7, "gid": 8},
        {"type": "hardlink", "name": "hard", "linkName": "etc"},
    ], "tarSplitDigest": sum});
    vec![table.to_string().into(), serde_json::to_vec_pretty(&table).unwrap()]
}

/// The containers of RPM's database, in the order of the byte that chooses them.
const RPM: [&str; 4] = ["Packages", "Packages.db", "rpmdb.sqlite", "container-manifest-2"];

/// Layers with everything that an archive may have, stored in one way.
fn layers(stored: &str) -> Vec<Vec<u8>> {
    let tars = read(files("testdata/demo/image")).into_iter().filter_map(|blob| {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(blob.as_slice()).read_to_end(&mut tar).ok().map(|_| tar)
    });
    let gnu = crate::support::image::layer("seed")
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.20\n")
        .file(&"long/".repeat(40), "")
        .directory("lib/apk")
        .file("lib/apk/db/installed", "P:a\nV:1-r0\nA:x86_64\n\n")
        .hard_link("srv/hard", "etc/os-release")
        .symlink("usr/lib", "../lib")
        .symlink("srv/far", &"../far/".repeat(40))
        .whiteout("srv/gone")
        .opaque("srv");
    let pax = {
        let mut tar = tar::Builder::new(Vec::new());
        let records: [(&str, &[u8]); 4] =
            [("path", b"srv/\xc3\xa9"), ("size", b"3"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b")];
        tar.append_pax_extensions(records).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(3);
        tar.append_data(&mut header, "srv/e", &b"abc"[..]).unwrap();
        tar.into_inner().unwrap()
    };
    let tars = tars.chain([gnu.tar(), pax]);
    tars.map(|tar| match stored {
        "gzip" => crate::support::image::gzip(&tar),
        "zstd" => zstd::encode_all(tar.as_slice(), 3).unwrap(),
        _ => tar,
    })
    .collect()
}

/// Licence texts as the ecosystems write them, alone and as a list.
fn licenses() -> Vec<Vec<u8>> {
    [
        "GPLv3+ and (GPLv2+ or LGPLv3+) and BSD with advertising",
        "GPL-2+ or Expat, and BSD-3-clause\nGPL-2 with Linux-syscall-note exception\npublic-domain",
        "MPL-2.0 GPL2+",
        "MIT/Apache-2.0",
        "The Apache Software License, Version 2.0\nhttp://www.apache.org/licenses/LICENSE-2.0.txt",
        "GNU General Public License v2 or later (GPLv2+)",
        "(MIT OR LicenseRef-a) AND Apache-2.0 WITH LLVM-exception",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Each line `A < B` of the tables as the two versions, and the first again.
fn versions() -> Vec<Vec<u8>> {
    let tables = read(files("testdata/version")).into_iter().map(|table| String::from_utf8(table).unwrap());
    let lines = tables.flat_map(|table| table.lines().map(str::to_owned).collect::<Vec<_>>());
    let triple = |line: String| {
        let (a, rest) = line.split_once(' ')?;
        Some(format!("{a}\n{}\n{a}", rest.split_once(' ')?.1).into_bytes())
    };
    lines.filter_map(triple).collect()
}

fn segment() -> Vec<u8> {
    use portcullis::osv::segment::build::{Builder, Compiled};
    let mut builder = Builder::new("npm");
    for bytes in read(files("testdata/demo/osv/npm")) {
        builder.add("seed", Compiled::read("npm", &bytes));
    }
    builder.finish().unwrap()
}

/// xorshift64*: the same mutations every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % limit.max(1)
    }
}

fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let (at, length) = (random.below(bytes.len()), random.below(16));
        let end = (at + length).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            3 => bytes
                .splice(at..at, [0xff, 0xfe, 0x00, 0x1b, b'"', b'{'].into_iter().take(length % 6))
                .for_each(drop),
            _ if bytes.is_empty() => {}
            4 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
    bytes
}

#[test]
fn no_target_panics_on_its_seeds_or_their_mutations() {
    let seeds = seeds();
    let asked = std::env::var_os("PORTCULLIS_FUZZ_ROUNDS");
    let rounds = asked.map_or(ROUNDS, |rounds| rounds.to_str().unwrap().parse().unwrap());
    for (name, run) in TARGETS {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let corpora = seeds.iter().filter(|(corpus, _)| target_of(corpus) == *name);
        let seeds: Vec<&Vec<u8>> = corpora.flat_map(|(_, seeds)| seeds).collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            let seed = &seed[..seed.len().min(LONGEST)];
            run(seed);
            for _ in 0..rounds {
                run(&mutate(seed, &mut random));
            }
        }
    }
}

fn target_of(corpus: &str) -> &str {
    corpus.split('.').next().unwrap()
}

/// What `fuzz/fuzz.py` kept: for each corpus an archive of the inputs that reach the most of the code.
#[test]
fn no_target_panics_on_what_fuzzing_kept() {
    let mut replayed = 0;
    for path in files("fuzz/kept") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (_, run) = TARGETS.iter().find(|(target, _)| *target == target_of(&name)).unwrap();
        let tar = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        for entry in archive.entries().unwrap() {
            let mut bytes = Vec::new();
            entry.unwrap().read_to_end(&mut bytes).unwrap();
            run(&bytes);
            replayed += 1;
        }
    }
    assert!(replayed > 1_000, "{replayed}");
}

/// Writes the seeds where `fuzz/fuzz.py` asks for them.
#[test]
fn seeds_are_written_where_they_are_asked_for() {
    let Some(folder) = std::env::var_os("PORTCULLIS_FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (corpus, seeds) in seeds() {
        let folder = folder.join(corpus);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}

#[test]
fn every_target_has_its_file() {
    let mut targets: Vec<String> = files("fuzz/fuzz_targets")
        .into_iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    targets.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(targets, names);
}
