//! From an os-release to the OSV ecosystems of its packages: one row a distribution.

use crate::model::layer::Distro;

/// How a distribution's advisories are found.
struct Row {
    /// `ID` of os-release(5).
    id: &'static str,
    /// purl type of its packages.
    kind: &'static str,
    /// Which names of a package its records have.
    by: NamedBy,
    /// The exact ecosystem strings that stand for a release, or why there are none.
    ecosystems: fn(&Distro) -> Result<Vec<String>, String>,
}

/// Which names of a package a distribution's records have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// Those of source packages.
    Source,
    /// Those of source and of binary packages.
    SourceAndBinary,
}

static ROWS: &[Row] = &[
    Row { id: "alpine", kind: "apk", by: NamedBy::Source, ecosystems: alpine },
    Row { id: "chainguard", kind: "apk", by: NamedBy::SourceAndBinary, ecosystems: chainguard },
    Row { id: "debian", kind: "deb", by: NamedBy::Source, ecosystems: debian },
    Row { id: "ubuntu", kind: "deb", by: NamedBy::Source, ecosystems: ubuntu },
    Row { id: "wolfi", kind: "apk", by: NamedBy::SourceAndBinary, ecosystems: wolfi },
];

/// What is known of a distribution's advisories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Feed {
    /// Exact ecosystem strings, such as `Debian:12`.
    pub(super) ecosystems: Vec<String>,
    /// Which names its records have.
    pub(super) by: NamedBy,
}

/// The advisories for packages of a purl type in an image of a distribution.
///
/// # Errors
/// Why there are none: a lowercase fragment.
pub(super) fn feed(distro: Option<&Distro>, kind: &str) -> Result<Feed, String> {
    let distro = distro.ok_or("the image has no os-release: its distribution is unknown")?;
    let row = ROWS.iter().find(|row| row.id == distro.id);
    let row =
        row.ok_or_else(|| format!("this version of portcullis knows no advisories for {}", name(distro)))?;
    if row.kind != kind {
        return Err(format!("{kind} packages do not belong to {}", name(distro)));
    }
    Ok(Feed { ecosystems: (row.ecosystems)(distro)?, by: row.by })
}

fn name(distro: &Distro) -> String {
    crate::model::path::escape(format!("{} {}", distro.id, distro.version_id).trim_end().as_bytes())
}

/// osv-schema: `Alpine:v3.20`, major and minor number.
fn alpine(distro: &Distro) -> Result<Vec<String>, String> {
    // edge calls itself by the coming release: `3.21.0_alpha20240807`.
    if distro.version_id.contains("_alpha") {
        return Ok(vec!["Alpine:edge".into()]);
    }
    let mut numbers = distro.version_id.split('.');
    match (numbers.next().and_then(number), numbers.next().and_then(number)) {
        (Some(major), Some(minor)) => Ok(vec![format!("Alpine:v{major}.{minor}")]),
        _ => Err(format!("which release of Alpine `{}` is cannot be told", name(distro))),
    }
}

/// osv-schema: `Debian:12`. Testing and unstable state no `VERSION_ID`.
fn debian(distro: &Distro) -> Result<Vec<String>, String> {
    match number(&distro.version_id) {
        Some(release) => Ok(vec![format!("Debian:{release}")]),
        None => Err("which release of Debian the image is of is not stated (testing or unstable)".into()),
    }
}

/// osv-schema: `Ubuntu:22.04:LTS` for the April releases of even years, else `Ubuntu:24.10`. Records of
/// `Ubuntu:Pro:…` are about packages that only subscribers can install.
fn ubuntu(distro: &Distro) -> Result<Vec<String>, String> {
    let mut numbers = distro.version_id.split('.');
    match (numbers.next().and_then(number), numbers.next().and_then(number), numbers.next()) {
        (Some(year), Some(month), None) => {
            let plain = format!("Ubuntu:{}", distro.version_id);
            let is_lts = year.parse().is_ok_and(|year: u32| year.is_multiple_of(2)) && month == "04";
            Ok(if is_lts { vec![format!("{plain}:LTS"), plain] } else { vec![plain] })
        }
        _ => Err(format!("which release of Ubuntu `{}` is cannot be told", name(distro))),
    }
}

fn wolfi(_: &Distro) -> Result<Vec<String>, String> {
    Ok(vec!["Wolfi".into()])
}

/// Chainguard's images take packages of both.
fn chainguard(_: &Distro) -> Result<Vec<String>, String> {
    Ok(vec!["Chainguard".into(), "Wolfi".into()])
}

fn number(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ecosystems(id: &str, version: &str, kind: &str) -> Result<Vec<String>, String> {
        let distro = Distro { id: id.into(), version_id: version.into(), ..Distro::default() };
        feed(Some(&distro), kind).map(|feed| feed.ecosystems)
    }

    #[test]
    fn a_release_has_its_own_ecosystem() {
        for (id, version, kind, want) in [
            ("alpine", "3.20.3", "apk", &["Alpine:v3.20"][..]),
            ("alpine", "3.21.0_alpha20240807", "apk", &["Alpine:edge"]),
            ("debian", "12", "deb", &["Debian:12"]),
            ("ubuntu", "22.04", "deb", &["Ubuntu:22.04:LTS", "Ubuntu:22.04"]),
            ("ubuntu", "24.10", "deb", &["Ubuntu:24.10"]),
            ("ubuntu", "23.04", "deb", &["Ubuntu:23.04"]),
            ("wolfi", "20230201", "apk", &["Wolfi"]),
        ] {
            assert_eq!(ecosystems(id, version, kind).unwrap(), want, "{id} {version}");
        }
    }

    #[test]
    fn what_is_no_release_has_none() {
        for (id, version, kind) in [
            ("debian", "", "deb"),
            ("debian", "12:11", "deb"),
            ("alpine", "3", "apk"),
            ("alpine", "3.x", "apk"),
            ("ubuntu", "22", "deb"),
            ("void", "1", "xbps"),
            ("debian", "12", "apk"),
        ] {
            assert!(ecosystems(id, version, kind).is_err(), "{id} {version}");
        }
        assert!(feed(None, "deb").is_err());
    }
}
