//! What needs what, as the package databases state it.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::model::fact::Fact;
use portcullis::model::inventory::Inventory;

use crate::support::image::{image, layer, single};
use crate::support::{evidence, shared};

/// `NAME VERSION` of each package, and of what it needs.
fn edges(inventory: &Inventory) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let name = |index: &usize| {
        let package = &inventory.packages[*index];
        format!("{} {}", package.name, package.version)
    };
    let all = inventory.packages.iter().enumerate();
    all.map(|(index, package)| {
        (name(&index), package.depends_on.as_ref().map(|needs| needs.iter().map(name).collect()))
    })
    .collect()
}

fn of(files: &[(&str, &str)], links: &[(&str, &str)]) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let directory = tempfile::tempdir().unwrap();
    let mut content = layer("COPY . .");
    for (path, text) in files {
        content = content.file(path, text);
    }
    for (path, target) in links {
        content = content.symlink(path, target);
    }
    single(directory.path(), image("linux/amd64").layer(content));
    let evidence = evidence(&format!("oci:{}", directory.path().display()));
    assert_eq!(evidence.faults, []);
    match &evidence.platforms.known().unwrap()[0].inventory {
        Fact::Known(inventory) => edges(inventory),
        other @ (Fact::Absent | Fact::Unknown(_)) => panic!("no inventory: {other:?}"),
    }
}

fn needs(names: &[&str]) -> Option<BTreeSet<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn apk_names_packages_and_what_they_provide() {
    let database = "P:musl\nV:1.2.4-r2\np:so:libc.musl-x86_64.so.1=1\n\n\
        P:zlib\nV:1.2.13-r1\nD:so:libc.musl-x86_64.so.1 !old-zlib\np:so:libz.so.1=1.2.13\n\n\
        P:app\nV:1-r0\nD:zlib>=1.2 cmd:missing so:libc.musl-x86_64.so.1\n\n";
    let edges = of(&[("lib/apk/db/installed", database)], &[]);
    assert_eq!(edges["app 1-r0"], needs(&["musl 1.2.4-r2", "zlib 1.2.13-r1"]));
    assert_eq!(edges["zlib 1.2.13-r1"], needs(&["musl 1.2.4-r2"]));
    assert_eq!(edges["musl 1.2.4-r2"], needs(&[]));
}

#[test]
fn packages_that_all_need_what_all_provide_do_not_fill_the_memory() {
    let package = |number| format!("P:p{number}\nV:1\nD:x\np:x=1\n\n");
    let few: String = (0..50).map(package).collect();
    let edges = of(&[("lib/apk/db/installed", &few)], &[]);
    assert_eq!(edges["p7 1"].as_ref().unwrap().len(), 49);
    let many: String = (0..2000).map(package).collect();
    let edges = of(&[("lib/apk/db/installed", &many)], &[]);
    assert_eq!(edges.values().flatten().map(BTreeSet::len).sum::<usize>(), 500 * 1999);
    assert_eq!(edges.values().filter(|needs| needs.is_none()).count(), 1500, "not known, and not none");
}

#[test]
fn dpkg_names_alternatives_and_virtual_packages() {
    let stanza = |name: &str, more: &str| {
        format!("Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n{more}\n")
    };
    let status = [
        stanza("libc6", ""),
        stanza("mawk", "Provides: awk (= 1)\n"),
        stanza(
            "base",
            "Pre-Depends: awk\nDepends: libc6 (>= 2.36), gawk | mawk, perl:any, none | libc6:amd64\n",
        ),
    ]
    .concat();
    let edges = of(&[("var/lib/dpkg/status", &status)], &[]);
    assert_eq!(edges["base 1"], needs(&["libc6 1", "mawk 1"]));
    assert_eq!(edges["libc6 1"], needs(&[]));
}

#[test]
fn python_names_distributions_of_the_same_directory() {
    let requests = "Name: requests\nVersion: 2\nRequires-Dist: urllib3 (<3,>=1.21.1)\n\
        Requires-Dist: Charset_Normalizer<4\nRequires-Dist: PySocks!=1.5.7; extra == 'socks'\n\n";
    let edges = of(
        &[
            ("usr/lib/python3/site-packages/requests-2.dist-info/METADATA", requests),
            ("usr/lib/python3/site-packages/urllib3-1.dist-info/METADATA", "Name: urllib3\nVersion: 1\n\n"),
            ("srv/other/site-packages/urllib3-9.dist-info/METADATA", "Name: urllib3\nVersion: 9\n\n"),
            (
                "usr/lib/python3/site-packages/cn.dist-info/METADATA",
                "Name: charset-normalizer\nVersion: 3\n\n",
            ),
            ("usr/lib/python3/site-packages/ps.dist-info/METADATA", "Name: PySocks\nVersion: 1.7\n\n"),
        ],
        &[],
    );
    assert_eq!(edges["requests 2"], needs(&["urllib3 1", "charset-normalizer 3"]));
    assert_eq!(edges["urllib3 9"], needs(&[]));
}

#[test]
fn node_loads_the_nearest_and_follows_links() {
    let json = |name: &str, version: &str, needs: &str| {
        format!(r#"{{"name":"{name}","version":"{version}","dependencies":{{{needs}}}}}"#)
    };
    let a = json("a", "1.0.0", r#""b":"^1","c":"*""#);
    let edges = of(
        &[
            ("srv/node_modules/a/package.json", &a),
            ("srv/node_modules/a/node_modules/b/package.json", &json("b", "1.5.0", r#""c":"*""#)),
            ("srv/node_modules/b/package.json", &json("b", "2.0.0", "")),
            ("srv/node_modules/c/package.json", &json("c", "3.0.0", r#""a":"*","gone":"*""#)),
        ],
        &[],
    );
    assert_eq!(edges["a 1.0.0"], needs(&["b 1.5.0", "c 3.0.0"]));
    assert_eq!(edges["b 1.5.0"], needs(&["c 3.0.0"]));
    assert_eq!(edges["c 3.0.0"], needs(&["a 1.0.0"]));
    let store = "srv/node_modules/.pnpm";
    let edges = of(
        &[
            (&format!("{store}/x@1.0.0/node_modules/x/package.json"), &json("x", "1.0.0", r#""y":"*""#)),
            (&format!("{store}/y@2.0.0/node_modules/y/package.json"), &json("y", "2.0.0", "")),
        ],
        &[(&format!("{store}/x@1.0.0/node_modules/y"), "../../y@2.0.0/node_modules/y")],
    );
    assert_eq!(edges["x 1.0.0"], needs(&["y 2.0.0"]));
}

#[test]
fn a_real_image_has_edges() {
    let Some(data) = shared("data") else { return };
    let evidence = evidence(&format!("oci:{}", data.join("images/app-multi").display()));
    let inventory = evidence.platforms.known().unwrap()[0].inventory.known().unwrap();
    // An orphan: nothing is stated of what it needs, or nothing needs it and it needs nothing.
    let needed: BTreeSet<usize> = inventory
        .packages
        .iter()
        .filter_map(|package| package.depends_on.as_ref())
        .flatten()
        .copied()
        .collect();
    for (kind, at_most) in [("npm", 12), ("apk", 2), ("pypi", 12)] {
        let of_kind = inventory.packages.iter().enumerate().filter(|(_, package)| package.kind == kind);
        let (orphans, all): (Vec<_>, Vec<_>) = of_kind.partition(|(index, package)| {
            !needed.contains(index) && package.depends_on.as_ref().is_none_or(BTreeSet::is_empty)
        });
        let names: Vec<&str> = orphans.iter().map(|(_, package)| package.name.as_str()).collect();
        println!("{kind}: {} orphans of {}: {names:?}", orphans.len(), orphans.len() + all.len());
        assert!(orphans.len() <= at_most, "{kind}: {names:?}");
    }
}
