//! The demo that ships in `testdata/demo`: a small image and a small advisory snapshot. The facts of
//! the advisories (ids, packages, versions, scores, dates) are those of the public records; the words
//! are ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::image::{self, Layer, Packing, layer, layout};

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/demo")
}

const APK: &[(&str, &str, &str, &str, &[&str])] = &[
    ("alpine-baselayout", "3.2.0-r22", "alpine-baselayout", "GPL-2.0-only", &["etc/hostname"]),
    ("busybox", "1.35.0-r17", "busybox", "GPL-2.0-only", &["bin/busybox"]),
    ("libcrypto1.1", "1.1.1o-r0", "openssl", "OpenSSL", &["lib/libcrypto.so.1.1"]),
    ("musl", "1.2.3-r0", "musl", "MIT", &["lib/ld-musl-x86_64.so.1"]),
    (
        "py3-six",
        "1.16.0-r1",
        "py3-six",
        "MIT",
        &["usr/lib/python3.10/site-packages/six-1.16.0.dist-info/METADATA"],
    ),
    ("zlib", "1.2.12-r1", "zlib", "Zlib", &["lib/libz.so.1.2.12"]),
];

fn apk_database(arch: &str) -> String {
    let block = |(name, version, origin, license, files): &(&str, &str, &str, &str, &[&str])| {
        let files = files.iter().map(|path| {
            let (directory, file) = path.rsplit_once('/').unwrap();
            format!("F:{directory}\nR:{file}\n")
        });
        let files: String = files.collect();
        format!("C:Q1demo\nP:{name}\nV:{version}\nA:{arch}\nL:{license}\no:{origin}\n{files}\n")
    };
    APK.iter().map(block).collect()
}

const OS_RELEASE: &str =
    "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.16.0\nPRETTY_NAME=\"Alpine Linux v3.16\"\n";

fn python(layer: Layer, name: &str, version: &str, license: &str) -> Layer {
    let path = format!("usr/lib/python3.10/site-packages/{name}-{version}.dist-info/METADATA");
    layer.file(
        &path,
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: {license}\n\nA demo.\n"),
    )
}

fn node(layer: Layer, name: &str, version: &str) -> Layer {
    let package = json!({"name": name, "version": version, "license": "MIT"});
    layer.file(
        &format!("srv/web/node_modules/{name}/package.json"),
        serde_json::to_vec_pretty(&package).unwrap(),
    )
}

fn platform_image(platform: &str, arch: &str) -> image::Image {
    let base = layer("ADD alpine-minirootfs-3.16.0.tar.gz / # buildkit")
        .file("etc/os-release", OS_RELEASE)
        .file("lib/apk/db/installed", apk_database(arch))
        .file("bin/busybox", format!("demo, not a program for {arch}\n"));
    let base = python(base, "six", "1.16.0", "MIT");
    let python = python(
        python(
            layer("RUN pip install requests==2.30.0 Jinja2==3.1.4 # buildkit").packed(Packing::Zstd),
            "requests",
            "2.30.0",
            "Apache-2.0",
        ),
        "Jinja2",
        "3.1.4",
        "BSD-3-Clause",
    );
    let node_modules = node(
        node(node(layer("RUN npm ci --omit=dev # buildkit"), "lodash", "4.17.20"), "minimist", "1.2.5"),
        "ms",
        "2.1.3",
    );
    let cleaned = layer("RUN npm rm minimist # buildkit").whiteout("srv/web/node_modules/minimist");
    image::image(platform).layer(base).layer(python).layer(node_modules).layer(cleaned).execution(json!({
        "User": "10001:10001", "Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/usr/bin/python3", "-m", "orders"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {
            "org.opencontainers.image.source": "https://github.com/acme/orders",
            "org.opencontainers.image.revision": "5b1d0c2f7a9e4c3d8f6a1b2c3d4e5f60718293a4",
        },
    }))
}

fn image_files() -> BTreeMap<String, Vec<u8>> {
    let mut layout = layout();
    let amd64 = layout.add(platform_image("linux/amd64", "x86_64"));
    let arm64 = layout.add(platform_image("linux/arm64/v8", "aarch64"));
    let attestations = [layout.attestation(&amd64), layout.attestation(&arm64)];
    let index = layout.index([vec![amd64, arm64], attestations.into()].concat());
    layout.tag("1.4.2", index);
    layout.files()
}

fn advisory(id: &str, published: &str, summary: &str, rest: Value) -> Value {
    let mut record = json!({
        "schema_version": "1.7.0", "id": id, "published": published, "modified": "2026-01-10T00:00:00Z",
        "summary": summary,
    });
    record.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    record
}

fn affected(ecosystem: &str, name: &str, kind: &str, events: &[(&str, &str)]) -> Value {
    let events: Vec<Value> = events.iter().map(|(event, version)| json!({*event: version})).collect();
    json!([{"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": kind, "events": events}]}])
}

fn cvss(vector: &str) -> Value {
    json!([{"type": "CVSS_V3", "score": vector}])
}

fn advisories() -> Vec<(&'static str, Value)> {
    [alpine_advisories(), language_advisories()].concat()
}

fn alpine_advisories() -> Vec<(&'static str, Value)> {
    let alpine = |id, cve: &str, published, summary, name, fixed| {
        (
            "Alpine",
            advisory(
                id,
                published,
                summary,
                json!({
                    "upstream": [cve], "affected": affected("Alpine:v3.16", name, "ECOSYSTEM", &[("introduced", "0"), ("fixed", fixed)]),
                }),
            ),
        )
    };
    vec![
        alpine(
            "ALPINE-CVE-2022-37434",
            "CVE-2022-37434",
            "2022-08-05T07:15:00Z",
            "inflate can write past its window when a gzip header's extra field is large",
            "zlib",
            "1.2.12-r2",
        ),
        alpine(
            "ALPINE-CVE-2022-2097",
            "CVE-2022-2097",
            "2022-07-05T11:15:00Z",
            "AES OCB on 32-bit x86 leaves some bytes unencrypted",
            "openssl",
            "1.1.1q-r0",
        ),
        alpine(
            "ALPINE-CVE-2022-30065",
            "CVE-2022-30065",
            "2022-05-18T15:15:00Z",
            "awk frees a variable and goes on using it",
            "busybox",
            "1.35.0-r17",
        ),
    ]
}

fn language_advisories() -> Vec<(&'static str, Value)> {
    vec![
        (
            "PyPI",
            advisory(
                "GHSA-j8r2-6x86-q33q",
                "2023-05-22T20:36:32Z",
                "a redirect to https hands the Proxy-Authorization header to the destination",
                json!({
                    "aliases": ["CVE-2023-32681"], "severity": cvss("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:N/A:N"),
                    "affected": affected("PyPI", "requests", "ECOSYSTEM", &[("introduced", "2.3.0"), ("fixed", "2.31.0")]),
                    "database_specific": {"severity": "MODERATE"},
                }),
            ),
        ),
        (
            "PyPI",
            advisory(
                "GHSA-cpwx-vrp4-4pq7",
                "2025-03-05T20:40:14Z",
                "the attr filter reaches str.format and so escapes the sandbox",
                json!({
                    "aliases": ["CVE-2025-27516"],
                    "affected": affected("PyPI", "jinja2", "ECOSYSTEM", &[("introduced", "0"), ("fixed", "3.1.6")]),
                    "database_specific": {"severity": "MODERATE"},
                }),
            ),
        ),
        (
            "npm",
            advisory(
                "GHSA-35jh-r3h4-6jhm",
                "2021-05-06T16:05:51Z",
                "template runs code that stands in its variable option",
                json!({
                    "aliases": ["CVE-2021-23337"], "severity": cvss("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H"),
                    "affected": affected("npm", "lodash", "SEMVER", &[("introduced", "0"), ("fixed", "4.17.21")]),
                    "database_specific": {"severity": "HIGH"},
                }),
            ),
        ),
        (
            "npm",
            advisory(
                "GHSA-xvch-5gv4-984h",
                "2022-03-18T00:01:09Z",
                "an argument can set properties of every object",
                json!({
                    "aliases": ["CVE-2021-44906"], "severity": cvss("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"),
                    "affected": affected("npm", "minimist", "SEMVER", &[("introduced", "1.0.0"), ("fixed", "1.2.6")]),
                    "database_specific": {"severity": "CRITICAL"},
                }),
            ),
        ),
    ]
}

/// Every generated file of `testdata/demo`.
fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<_, _> =
        image_files().into_iter().map(|(name, bytes)| (format!("image/{name}"), bytes)).collect();
    for (ecosystem, record) in advisories() {
        let name = format!("osv/{ecosystem}/{}.json", record["id"].as_str().unwrap());
        files.insert(name, serde_json::to_vec_pretty(&record).unwrap());
    }
    files
}

fn found_files(directory: &Path, below: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found_files(directory, &name, found);
        } else {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn the_demo_is_what_its_builder_makes() {
    let want = files();
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        for part in ["image", "osv"] {
            let _ = std::fs::remove_dir_all(directory().join(part));
        }
        image::write_files(&want, &directory());
    }
    let mut found = BTreeMap::new();
    for part in ["image", "osv"] {
        found_files(&directory(), part, &mut found);
    }
    assert!(want == found, "testdata/demo is stale: PORTCULLIS_BLESS=1 cargo test demo makes it anew");
    let size: usize = found.values().map(Vec::len).sum();
    assert!(size < 200_000, "the demo is to stay small: {size} bytes");
}
