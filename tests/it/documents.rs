//! The checks of documents over the images of `../shared`: silent on good ones, and by name on broken ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use portcullis::check::documents::{Answer, Documents, Served};
use portcullis::check::hanging::Hanging;
use portcullis::check::{Expected, Subject, check};
use portcullis::image::document::{self, Document, INDEX_TYPES};
use portcullis::model::descriptor::Descriptor;
use portcullis::model::digest::Digest;
use portcullis::model::violation::{CheckSeverity, Checked};

use crate::support::shared;

/// The files of a layout, in a directory or an archive.
struct Layout(BTreeMap<String, Vec<u8>>);

/// Larger files are layers.
const DOCUMENT: u64 = 16 << 20;

impl Layout {
    fn open(path: &Path) -> Self {
        let mut files = BTreeMap::new();
        if path.is_dir() {
            for name in ["index.json"].into_iter().map(str::to_owned).chain(blobs(path)) {
                let file = path.join(&name);
                if std::fs::metadata(&file).is_ok_and(|meta| meta.len() <= DOCUMENT) {
                    files.insert(name, std::fs::read(file).unwrap());
                }
            }
        } else {
            let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.size() <= DOCUMENT {
                    let name = entry.path().unwrap().to_str().unwrap().trim_start_matches("./").to_owned();
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).unwrap();
                    files.insert(name, bytes);
                }
            }
        }
        Self(files)
    }

    /// The image that `index.json` lists; the file itself where it is broken or lists several.
    fn root(&self) -> Descriptor {
        let bytes = &self.0["index.json"];
        if let Ok(Document::Index(index)) = document::parse(bytes, None, "index.json")
            && let [only] = index.manifests.as_slice()
        {
            return only.clone();
        }
        Descriptor {
            media_type: INDEX_TYPES[0].to_owned(),
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    fn checked(&self) -> Checked {
        let root = self.root();
        let listing = Digest::sha256(&self.0["index.json"]);
        let mut documents = Documents::new(&root, Served::default());
        while let Some((descriptor, limit)) = documents.next() {
            let name = format!("blobs/{}/{}", descriptor.digest.algorithm().name(), descriptor.digest.hex());
            let listed = (descriptor.digest == listing).then(|| &self.0["index.json"]);
            documents.answer(match listed.or_else(|| self.0.get(&name)) {
                Some(bytes) => {
                    Answer::Bytes(bytes.iter().copied().take(usize::try_from(limit).unwrap()).collect())
                }
                None => Answer::Missing,
            });
        }
        check(&Subject {
            reference: None,
            documents: &documents,
            hanging: &Hanging::default(),
            images: &[],
            faults: &[],
            expected: &Expected::default(),
            now: "2026-11-24T12:00:00Z".parse().unwrap(),
        })
    }
}

fn blobs(layout: &Path) -> Vec<String> {
    let folder = layout.join("blobs/sha256");
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| format!("blobs/sha256/{}", entry.unwrap().file_name().to_str().unwrap())).collect()
}

/// The ids that fire from a severity on.
fn ids(checked: &Checked, from: CheckSeverity) -> BTreeSet<&str> {
    checked.violations.iter().filter(|v| v.severity >= from).map(|violation| violation.check).collect()
}

#[test]
fn good_images_have_no_violation_of_high_or_above() {
    let Some(images) = shared("data/images") else { return };
    // Not `third-party/busybox-official`: its blobs are symbolic links out of `blobs/`, which a copy of the
    // data may hold as small text files.
    let good = [
        "alpine-3.12-multiarch",
        "alpine-3.20",
        "alpine-3.20-schema2",
        "app-multi",
        "app-multi-plain",
        "app-multi-zstd",
        "debian-12-minbase",
        "distroless-debian12",
        "rpm-mariner-2.0-sqlite",
        "rpm-rocky9-arm64",
        "rpm-sle15-bci-ndb",
        "rpm-ubi8-bdb",
        "third-party/busybox-single-arch-with-attestation-manifest.tar",
        "third-party/containerd-alpine.tar",
        "third-party/node-removed.tar",
    ];
    for name in good {
        let checked = Layout::open(&images.join(name)).checked();
        let bad: Vec<_> = checked.violations.iter().filter(|v| v.severity >= CheckSeverity::High).collect();
        println!("{name}: {:?}", ids(&checked, CheckSeverity::Info));
        assert!(bad.is_empty(), "{name}: {bad:#?}");
        assert_eq!(checked.unseen, [], "{name}");
    }
}

/// What fires of high and above; for images whose fault is in the layers, nothing.
#[test]
fn broken_documents_are_named_by_their_check() {
    let Some(images) = shared("data/images/broken") else { return };
    let want = |number: &str| match number {
        "06" => vec!["CFG-001"],
        "07" => vec!["MAN-006"],
        "08" => vec!["MAN-004"],
        "09" => vec!["IDX-002", "IDX-013", "MAN-001"],
        "10" => vec!["IDX-006"],
        "20" => vec!["MAN-009"],
        "21" => vec!["CFG-005"],
        "22" => vec!["CFG-003", "MAN-015"],
        "23" => vec!["CFG-003", "MAN-010"],
        "29" => vec!["MAN-007", "MAN-008"],
        _ => vec![],
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(&images).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        seen += 1;
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let checked = Layout::open(&path).checked();
        let found: Vec<&str> = ids(&checked, CheckSeverity::High).into_iter().collect();
        assert_eq!(found, want(&name[..2]), "{name}: {checked:#?}");
        let unread = matches!(&name[..2], "10" | "20");
        assert_eq!(!checked.unseen.is_empty(), unread, "{name}: {:?}", checked.unseen);
    }
    assert_eq!(seen, 30);
}
