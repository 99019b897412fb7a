//! Sources that are known and have no cataloger yet. Each is a gap: an image that has one is not clean
//! because nobody looked. A row leaves this table when its cataloger comes.

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::{Cataloger, Unreadable};

/// A source known by its path.
pub(super) struct Uncataloged {
    id: &'static str,
    what: &'static str,
    wants: fn(&str) -> bool,
}

/// RPM's database in its three forms, and the manifest that Mariner's images have in its place.
pub(super) static RPM: Uncataloged = Uncataloged {
    id: "rpm",
    what: "an RPM database",
    wants: |path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        (matches!(name, "Packages" | "Packages.db" | "rpmdb.sqlite") && path.contains("/rpm/"))
            || matches!(name, "container-manifest-2" if path.contains("/rpmmanifest/"))
    },
};

/// Java archives.
pub(super) static JAVA: Uncataloged = Uncataloged {
    id: "java",
    what: "a Java archive",
    wants: |path| {
        let extension =
            path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
        extension.is_some_and(|extension| {
            ["jar", "war", "ear", "par", "sar", "nar", "jpi", "hpi", "kar", "far", "lpkg", "rar", "zap"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
    },
};

/// Python distributions in one file (setuptools, "The Internal Structure of Python Eggs").
pub(super) static EGG: Uncataloged =
    Uncataloged { id: "egg", what: "a Python egg in one file", wants: |path| path.ends_with(".egg") };

/// Node packages that yarn loads from its cache without unpacking them (yarnpkg.com, "Plug'n'Play").
pub(super) static YARN: Uncataloged = Uncataloged {
    id: "yarn",
    what: "a node package in yarn's cache",
    wants: |path| {
        path.ends_with(".zip") && path.rsplit('/').nth(1) == Some("cache") && path.contains(".yarn/")
    },
};

/// RubyGems' specifications.
pub(super) static GEM: Uncataloged = Uncataloged {
    id: "gem",
    what: "an installed gem's specification",
    wants: |path| path.ends_with(".gemspec") && path.contains("/specifications/"),
};

/// Composer's record of what it installed.
pub(super) static COMPOSER: Uncataloged = Uncataloged {
    id: "composer",
    what: "Composer's record of installed packages",
    wants: |path| path.ends_with("/composer/installed.json"),
};

/// .NET's record of an application's libraries.
pub(super) static NUGET: Uncataloged = Uncataloged {
    id: "nuget",
    what: "a .NET dependency manifest",
    wants: |path| path.ends_with(".deps.json"),
};

/// conda's record of an installed package.
pub(super) static CONDA: Uncataloged = Uncataloged {
    id: "conda",
    what: "conda's record of a package",
    wants: |path| path.ends_with(".json") && path.rsplit('/').nth(1) == Some("conda-meta"),
};

/// Package databases of distributions that have no cataloger yet.
pub(super) static SYSTEM: Uncataloged = Uncataloged {
    id: "system-packages",
    what: "a package database of a distribution",
    wants: |path| {
        let below = |directory: &str| path.strip_prefix(directory);
        below("var/lib/pacman/local/").is_some_and(|rest| rest.ends_with("/desc"))
            || below("var/db/pkg/").is_some_and(|rest| rest.ends_with("/CONTENTS"))
            || matches!(
                path,
                "nix/var/nix/db/db.sqlite" | "var/guix/db/db.sqlite" | "var/lib/chisel/manifest.wall"
            )
            || matches!(path, "usr/lib/opkg/status" | "var/lib/opkg/status")
    },
};

/// The SBOMs that Bitnami's images carry.
pub(super) static BITNAMI: Uncataloged = Uncataloged {
    id: "bitnami",
    what: "a Bitnami component's SBOM",
    wants: |path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        path.starts_with("opt/bitnami/") && name.starts_with(".spdx-") && name.ends_with(".spdx")
    },
};

impl Cataloger for Uncataloged {
    fn id(&self) -> &'static str {
        self.id
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        path.to_str().is_some_and(self.wants) || (path.to_str().is_none() && (self.wants)(&path.to_string()))
    }

    /// Nothing of the file is read.
    fn limit(&self) -> u64 {
        u64::MAX
    }

    fn parse(&self, _: &ImagePath, _: &[u8]) -> Result<Facts, Unreadable> {
        Err(Unreadable(missing(self.what)))
    }

    fn reads(&self) -> super::Reads {
        super::Reads::Nothing
    }
}

fn missing(what: &str) -> String {
    format!("{what}: this version has no cataloger for it, so its packages are unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sources_are_wanted_by_path() {
        for (source, path) in [
            (&RPM, "var/lib/rpm/rpmdb.sqlite"),
            (&RPM, "usr/lib/sysimage/rpm/Packages.db"),
            (&RPM, "var/lib/rpmmanifest/container-manifest-2"),
            (&JAVA, "opt/app/lib.JAR"),
            (&EGG, "usr/lib/python3/site-packages/a-1-py3.8.egg"),
            (&YARN, "srv/.yarn/cache/lodash-npm-4.17.20-1-2.zip"),
            (&GEM, "usr/lib/ruby/gems/3.0.0/specifications/default/json-2.0.gemspec"),
            (&COMPOSER, "srv/vendor/composer/installed.json"),
            (&NUGET, "app/app.deps.json"),
            (&CONDA, "opt/conda/conda-meta/zlib-1.json"),
            (&SYSTEM, "var/lib/pacman/local/zlib-1/desc"),
            (&BITNAMI, "opt/bitnami/redis/.spdx-redis.spdx"),
        ] {
            assert!(source.wants(&path.into(), b""), "{path}");
            assert!(source.parse(&path.into(), b"").is_err());
        }
    }

    #[test]
    fn neighbours_of_known_sources_are_not_wanted() {
        for source in [&RPM, &JAVA, &EGG, &YARN, &GEM, &COMPOSER, &NUGET, &CONDA, &SYSTEM, &BITNAMI] {
            for path in [
                "var/lib/rpm/Name",
                "usr/share/x.jar.txt",
                "srv/demo.gemspec",
                "installed.json",
                "conda-meta/history",
                "jar",
            ] {
                assert!(!source.wants(&path.into(), b""), "{} wants {path}", source.id());
            }
        }
    }

    #[test]
    fn a_source_below_a_name_that_is_no_utf8_is_seen() {
        let path = ImagePath::normalise(b"opt/\xff/app.jar").unwrap();
        assert!(JAVA.wants(&path, b""));
    }
}
