//! Files that a runtime image need not have, by their paths.

use std::collections::BTreeMap;

use crate::inventory::Stored;
use crate::model::path::ImagePath;

/// Files of headers from which on they are a toolchain's: 100.
pub(super) const HEADERS: u64 = 100;

/// What files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The cache of a package manager.
    Cache(&'static str),
    /// A compiler or a build tool.
    Tool,
    /// C headers.
    Headers,
    /// Documentation, tests, source maps.
    Extra(&'static str),
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Cache(what) | Self::Extra(what) => what,
            Self::Tool => "compilers and build tools",
            Self::Headers => "C headers",
        }
    }
}

/// The files of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally<'a> {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// The layer and the path of the first.
    pub(super) layer: usize,
    pub(super) first: &'a ImagePath,
}

pub(super) fn tally<'a>(files: impl Iterator<Item = &'a Stored<'a>>) -> BTreeMap<Kind, Tally<'a>> {
    let mut tallies: BTreeMap<Kind, Tally<'a>> = BTreeMap::new();
    for file in files {
        let Some(kind) = file.path.to_str().and_then(kind) else { continue };
        let new = Tally { files: 0, bytes: 0, layer: file.layer, first: file.path };
        let tally = tallies.entry(kind).or_insert(new);
        tally.files += 1;
        tally.bytes += file.size;
    }
    tallies
}

/// Caches, each with the directory that it is known by: at the root, or anywhere.
const CACHES: &[(&str, bool, &str)] = &[
    ("var/lib/apt/lists/", true, "apt's package lists"),
    ("var/cache/apt/", true, "apt's cache"),
    ("var/cache/apk/", true, "apk's cache"),
    ("var/cache/dnf/", true, "dnf's cache"),
    ("var/cache/yum/", true, "yum's cache"),
    ("var/cache/zypp/", true, "zypper's cache"),
    (".cache/pip/", false, "pip's cache"),
    (".npm/_cacache/", false, "npm's cache"),
    (".cache/yarn/", false, "yarn's cache"),
    (".cargo/registry/", false, "cargo's cache"),
    ("usr/local/cargo/registry/", true, "cargo's cache"),
    (".cache/go-build/", false, "Go's build cache"),
    ("go/pkg/mod/cache/", false, "Go's module cache"),
    (".m2/repository/", false, "Maven's cache"),
    (".gradle/caches/", false, "Gradle's cache"),
];

fn kind(path: &str) -> Option<Kind> {
    let below = |directory: &str, at_root: bool| {
        if at_root {
            return path.starts_with(directory);
        }
        path.match_indices(directory).any(|(at, _)| at == 0 || path.as_bytes().get(at - 1) == Some(&b'/'))
    };
    if let Some((_, _, what)) = CACHES.iter().find(|(directory, at_root, _)| below(directory, *at_root)) {
        return Some(Kind::Cache(what));
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    if is_tool(path, name) {
        return Some(Kind::Tool);
    }
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    if below("usr/include/", true) && matches!(extension, Some("h" | "hpp" | "hh")) {
        return Some(Kind::Headers);
    }
    if ["usr/share/doc/", "usr/share/man/", "usr/share/info/"].iter().any(|directory| below(directory, true))
    {
        return Some(Kind::Extra("documentation"));
    }
    let is_package = path.contains("node_modules/") || path.contains("-packages/");
    if is_package && (path.contains("/test/") || path.contains("/tests/") || path.contains("/__tests__/")) {
        return Some(Kind::Extra("tests of packages"));
    }
    (name.ends_with(".js.map") || name.ends_with(".css.map")).then_some(Kind::Extra("source maps"))
}

fn is_tool(path: &str, name: &str) -> bool {
    let directory = path.rsplit('/').nth(1);
    let is_program = matches!(
        name,
        "gcc"
            | "g++"
            | "cc"
            | "c++"
            | "clang"
            | "clang++"
            | "go"
            | "cargo"
            | "rustc"
            | "make"
            | "gmake"
            | "cmake"
            | "ninja"
            | "javac"
    );
    let is_named = ["-gcc-", "-g++-", "clang-"].iter().any(|part| {
        let version = name.rsplit_once(*part).map(|(_, version)| version);
        version.is_some_and(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()))
    });
    (directory == Some("bin") && (is_program || is_named))
        || (matches!(name, "cc1" | "cc1plus") && path.contains("/gcc/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_paths() {
        for (path, want) in [
            ("var/lib/apt/lists/deb.debian.org_main", Some(Kind::Cache("apt's package lists"))),
            ("root/.cache/pip/http/a", Some(Kind::Cache("pip's cache"))),
            ("root/x.cache/pip/a", None),
            ("usr/bin/x86_64-linux-gnu-gcc-12", Some(Kind::Tool)),
            ("usr/local/go/bin/go", Some(Kind::Tool)),
            ("usr/libexec/gcc/x86_64-alpine-linux-musl/13/cc1", Some(Kind::Tool)),
            ("usr/share/doc/gcc", Some(Kind::Extra("documentation"))),
            ("usr/include/stdio.h", Some(Kind::Headers)),
            ("srv/node_modules/a/test/x.js", Some(Kind::Extra("tests of packages"))),
            ("srv/app.js.map", Some(Kind::Extra("source maps"))),
            ("usr/bin/makeinfo", None),
            ("app/go", None),
        ] {
            assert_eq!(kind(path), want, "{path}");
        }
    }
}
