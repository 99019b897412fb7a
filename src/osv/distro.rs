//! From an os-release to the OSV ecosystems of its packages: one row a distribution.

use crate::model::layer::Distro;

use super::names::base;

/// How a distribution's advisories are found.
struct Row {
    /// `ID` of os-release(5).
    id: &'static str,
    /// purl type of its packages.
    kind: &'static str,
    /// Which names of a package its records have.
    by: NamedBy,
    /// How the vendor of its own RPM packages begins; empty for other kinds, whose databases name none.
    vendors: &'static [&'static str],
    /// The ecosystems that stand for a release, or why there are none.
    releases: Releases,
}

/// Which names of a package a distribution's records have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// Those of source packages.
    Source,
    /// Those of binary packages.
    Binary,
    /// Those of source and of binary packages.
    SourceAndBinary,
}

const SUSE: &[&str] = &["SUSE", "openSUSE"];

type Releases = fn(&Distro) -> Result<Vec<Release>, String>;

const fn row(id: &'static str, kind: &'static str, by: NamedBy, releases: Releases) -> Row {
    Row { id, kind, by, vendors: &[], releases }
}

const fn rpm(id: &'static str, by: NamedBy, vendors: &'static [&'static str], releases: Releases) -> Row {
    Row { id, kind: "rpm", by, vendors, releases }
}

static ROWS: &[Row] = &[
    rpm("almalinux", NamedBy::Binary, &["AlmaLinux"], |d| major("AlmaLinux", d)),
    row("alpaquita", "apk", NamedBy::Source, alpaquita),
    row("alpine", "apk", NamedBy::Source, alpine),
    rpm("azurelinux", NamedBy::SourceAndBinary, &["Microsoft"], |d| major("Azure Linux", d)),
    row("chainguard", "apk", NamedBy::SourceAndBinary, chainguard),
    row("debian", "deb", NamedBy::Source, debian),
    row("echo", "deb", NamedBy::Source, |_| Ok(vec![Release::exact("Echo")])),
    rpm("mageia", NamedBy::Source, &["Mageia"], |d| major("Mageia", d)),
    rpm("mariner", NamedBy::SourceAndBinary, &["Microsoft"], |d| major("Azure Linux", d)),
    row("minimos", "apk", NamedBy::SourceAndBinary, |_| Ok(vec![Release::exact("MinimOS")])),
    rpm("openeuler", NamedBy::SourceAndBinary, &["http://openeuler", "openEuler"], open_euler),
    rpm("opensuse-leap", NamedBy::Source, SUSE, leap),
    rpm("opensuse-tumbleweed", NamedBy::Source, SUSE, tumbleweed),
    rpm("photon", NamedBy::SourceAndBinary, &["VMware", "Broadcom"], photon),
    rpm("rhel", NamedBy::SourceAndBinary, &["Red Hat"], red_hat),
    rpm("rocky", NamedBy::SourceAndBinary, &["Rocky"], |d| major("Rocky Linux", d)),
    rpm("sle-micro", NamedBy::Source, SUSE, suse_micro),
    rpm("sled", NamedBy::Source, SUSE, suse),
    rpm("sles", NamedBy::Source, SUSE, suse),
    rpm("sles_sap", NamedBy::Source, SUSE, suse),
    row("ubuntu", "deb", NamedBy::Source, ubuntu),
    row("wolfi", "apk", NamedBy::SourceAndBinary, |_| Ok(vec![Release::exact("Wolfi")])),
];

/// Ecosystem strings of records that count for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Release {
    /// Exactly this one, such as `Debian:12`.
    Exact(String),
    /// A language's, whatever repository it names: `Packagist` and `Packagist:https://packages.drupal.org/8`.
    Language(String),
    /// Every repository of a Red Hat Enterprise Linux: `Red Hat:enterprise_linux:9::appstream` for `9`. Which
    /// of them an image has enabled does not matter: the names of its packages tell them apart, and the CPE of
    /// os-release is that of `baseos` alone.
    EnterpriseLinux(String),
    /// Every product of a SUSE Linux Enterprise: `SUSE:Linux Enterprise Module for Basesystem 15 SP3` for
    /// `15 SP3`. The packages of a server stand in the records of its modules.
    SuseEnterprise(String),
}

impl Release {
    pub(super) fn exact(ecosystem: impl Into<String>) -> Self {
        Self::Exact(ecosystem.into())
    }

    /// Its base ecosystem.
    pub(super) fn base(&self) -> &str {
        match self {
            Self::Exact(ecosystem) | Self::Language(ecosystem) => base(ecosystem),
            Self::EnterpriseLinux(_) => "Red Hat",
            Self::SuseEnterprise(_) => "SUSE",
        }
    }

    /// Whether it is a Red Hat Enterprise Linux.
    pub(super) fn is_red_hat(&self) -> bool {
        matches!(self, Self::EnterpriseLinux(_))
    }

    /// The same release at a vendor that rebuilds its packages: `Root:Debian:12`, or `Seal:Debian` for all.
    pub(super) fn rebuilt_by(&self, vendor: &str) -> Vec<Self> {
        let release = match self {
            // `Root:Alpine:3.18` for `Alpine:v3.18`.
            Self::Exact(ecosystem) | Self::Language(ecosystem) => ecosystem.replace(":v", ":"),
            Self::EnterpriseLinux(version) | Self::SuseEnterprise(version) => {
                format!("{}:{version}", self.base())
            }
        };
        [release.as_str(), self.base()].map(|inner| Self::Exact(format!("{vendor}:{inner}"))).into()
    }

    /// Whether an ecosystem string of a record stands for it.
    pub(super) fn covers(&self, ecosystem: &str) -> bool {
        let behind = |start: &str| ecosystem.strip_prefix(start);
        match self {
            Self::Exact(own) => own == ecosystem,
            Self::Language(own) => own == base(ecosystem),
            Self::EnterpriseLinux(major) => {
                let is_of = |product: &str| {
                    let version = behind(product).and_then(|rest| rest.strip_prefix(major.as_str()));
                    version.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
                };
                // Collections have no version of the system but at the end: `rhel_software_collections:3::el7`.
                let collections = || {
                    behind("Red Hat:rhel_software_collections:")
                        .is_some_and(|rest| rest.ends_with(&format!("::el{major}")))
                };
                is_of("Red Hat:enterprise_linux:")
                    || is_of("Red Hat:rhel_extras:")
                    || is_of("Red Hat:rhel_extras_other:")
                    || collections()
            }
            // `-LTSS`, `-ESPOS` and the like: the same builds, for longer.
            Self::SuseEnterprise(version) => ["SUSE:Linux Enterprise ", "SUSE:Package Hub"]
                .iter()
                .filter_map(|start| behind(start))
                .any(|product| {
                    product
                        .split_once(&format!(" {version}"))
                        .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('-'))
                }),
        }
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(ecosystem) | Self::Language(ecosystem) => f.write_str(ecosystem),
            Self::EnterpriseLinux(major) => write!(f, "Red Hat:enterprise_linux:{major}"),
            Self::SuseEnterprise(version) => write!(f, "SUSE:Linux Enterprise {version}"),
        }
    }
}

/// What is known of a distribution's advisories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Feed {
    /// Whose records count.
    pub(super) releases: Vec<Release>,
    /// Which names its records have.
    pub(super) by: NamedBy,
    /// How the vendor of its own packages begins.
    vendors: &'static [&'static str],
}

impl Feed {
    /// Whether its records speak of a package of this vendor. Attack: a package of somebody else's repository under a
    /// distribution's name: the records compare its version with builds that it has nothing to do with, or do not
    /// know it, and it would be clean.
    pub(super) fn speaks_of(&self, vendor: &str) -> bool {
        let is_own = |own: &&str| {
            vendor.strip_prefix(*own).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        };
        self.vendors.is_empty() || self.vendors.iter().any(is_own)
    }

    /// Whether its packages state their vendor.
    pub(super) fn has_vendors(&self) -> bool {
        !self.vendors.is_empty()
    }
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
    Ok(Feed { releases: (row.releases)(distro)?, by: row.by, vendors: row.vendors })
}

fn name(distro: &Distro) -> String {
    crate::model::path::escape(format!("{} {}", distro.id, distro.version_id).trim_end().as_bytes())
}

fn untold(distribution: &str, distro: &Distro) -> String {
    format!("which release of {distribution} `{}` is cannot be told", name(distro))
}

/// The numbers of a `VERSION_ID`: `8` and `10` of `8.10`. The second may be left out.
fn numbers(distro: &Distro) -> Option<(&str, Option<&str>)> {
    let mut numbers = distro.version_id.split('.');
    let first = numbers.next().and_then(number)?;
    let second = numbers.next().map(number);
    match (second, numbers.next()) {
        (None, _) => Some((first, None)),
        (Some(Some(second)), None) => Some((first, Some(second))),
        // `3.20.3`: the third number is a release's own.
        (Some(Some(second)), Some(_)) => Some((first, Some(second))),
        (Some(None), _) => None,
    }
}

/// Distributions whose records name a major version alone: `AlmaLinux:9` for 9.4.
fn major(ecosystem: &str, distro: &Distro) -> Result<Vec<Release>, String> {
    let (major, _) = numbers(distro).ok_or_else(|| untold(ecosystem, distro))?;
    Ok(vec![Release::Exact(format!("{ecosystem}:{major}"))])
}

/// `Alpaquita:23`, or `Alpaquita:stream`.
fn alpaquita(distro: &Distro) -> Result<Vec<Release>, String> {
    if distro.version_id == "stream" {
        return Ok(vec![Release::exact("Alpaquita:stream")]);
    }
    major("Alpaquita", distro)
}

/// osv-schema: `Alpine:v3.20`, major and minor number.
fn alpine(distro: &Distro) -> Result<Vec<Release>, String> {
    // edge calls itself by the coming release: `3.21.0_alpha20240807`.
    if distro.version_id.contains("_alpha") {
        return Ok(vec![Release::exact("Alpine:edge")]);
    }
    match numbers(distro) {
        Some((major, Some(minor))) => Ok(vec![Release::Exact(format!("Alpine:v{major}.{minor}"))]),
        Some((_, None)) | None => Err(untold("Alpine", distro)),
    }
}

/// Releases of Debian that have not come out when an image of testing or unstable is made: it then has no
/// `VERSION_ID`, and its `VERSION_CODENAME` or `PRETTY_NAME` (`trixie/sid`) is that of the coming release.
const DEBIAN_CODENAMES: &[(&str, &str)] =
    &[("bookworm", "12"), ("trixie", "13"), ("forky", "14"), ("duke", "15")];

/// osv-schema: `Debian:12`.
fn debian(distro: &Distro) -> Result<Vec<Release>, String> {
    if let Some(release) = number(&distro.version_id) {
        return Ok(vec![Release::Exact(format!("Debian:{release}"))]);
    }
    let coming = DEBIAN_CODENAMES.iter().find(|(codename, _)| {
        let pretty = distro.pretty_name.as_deref().unwrap_or_default();
        distro.codename.as_deref() == Some(codename) || pretty.ends_with(&format!(" {codename}/sid"))
    });
    match coming {
        Some((_, release)) if distro.version_id.is_empty() => Ok(vec![
            Release::Exact(format!("Debian:{release}")),
            Release::exact("Debian:sid"),
            Release::exact("Debian:unstable"),
        ]),
        Some(_) | None => {
            Err("which release of Debian the image is of is not stated (testing or unstable)".into())
        }
    }
}

/// osv-schema: `Ubuntu:22.04:LTS` for the April releases of even years, else `Ubuntu:24.10`.
///
/// Records of `Ubuntu:Pro:…` are about the same packages, where only subscribers are given the fix: an image
/// without a subscription has the vulnerability all the same.
fn ubuntu(distro: &Distro) -> Result<Vec<Release>, String> {
    let mut parts = distro.version_id.split('.');
    match (parts.next().and_then(number), parts.next().and_then(number), parts.next()) {
        (Some(year), Some(month), None) => {
            let version = &distro.version_id;
            let is_lts = year.parse().is_ok_and(|year: u32| year.is_multiple_of(2)) && month == "04";
            let plain = Release::Exact(format!("Ubuntu:{version}"));
            Ok(if is_lts {
                vec![
                    Release::Exact(format!("Ubuntu:{version}:LTS")),
                    plain,
                    Release::Exact(format!("Ubuntu:Pro:{version}:LTS")),
                ]
            } else {
                vec![plain]
            })
        }
        _ => Err(untold("Ubuntu", distro)),
    }
}

/// Chainguard's images take packages of both.
fn chainguard(_: &Distro) -> Result<Vec<Release>, String> {
    Ok(vec![Release::exact("Chainguard"), Release::exact("Wolfi")])
}

fn red_hat(distro: &Distro) -> Result<Vec<Release>, String> {
    let (major, _) = numbers(distro).ok_or_else(|| untold("Red Hat Enterprise Linux", distro))?;
    Ok(vec![Release::EnterpriseLinux(major.to_owned())])
}

/// `15 SP3` for 15.3, `15` for the first 15.
fn suse(distro: &Distro) -> Result<Vec<Release>, String> {
    let version = match numbers(distro).ok_or_else(|| untold("SUSE Linux Enterprise", distro))? {
        (major, Some("0") | None) => major.to_owned(),
        (major, Some(pack)) => format!("{major} SP{pack}"),
    };
    Ok(vec![Release::SuseEnterprise(version)])
}

/// `SUSE:Linux Enterprise Micro 5.5`.
fn suse_micro(distro: &Distro) -> Result<Vec<Release>, String> {
    numbers(distro).ok_or_else(|| untold("SUSE Linux Enterprise Micro", distro))?;
    Ok(vec![Release::SuseEnterprise(distro.version_id.clone())])
}

fn leap(distro: &Distro) -> Result<Vec<Release>, String> {
    numbers(distro).ok_or_else(|| untold("openSUSE Leap", distro))?;
    Ok(vec![Release::Exact(format!("openSUSE:Leap {}", distro.version_id))])
}

fn tumbleweed(_: &Distro) -> Result<Vec<Release>, String> {
    Ok(vec![Release::exact("openSUSE:Tumbleweed")])
}

/// `Photon OS:4.0`.
fn photon(distro: &Distro) -> Result<Vec<Release>, String> {
    numbers(distro).ok_or_else(|| untold("Photon OS", distro))?;
    Ok(vec![Release::Exact(format!("Photon OS:{}", distro.version_id))])
}

/// `openEuler:24.03-LTS-SP1` of `openEuler 24.03 (LTS-SP1)`: `VERSION_ID` has the number alone.
fn open_euler(distro: &Distro) -> Result<Vec<Release>, String> {
    let pretty = distro.pretty_name.as_deref().and_then(|name| name.strip_prefix("openEuler "));
    let release = pretty.map(|rest| rest.replace(" (", "-").replace([')', '"'], ""));
    match release {
        Some(release) if release.starts_with(&distro.version_id) && !distro.version_id.is_empty() => {
            Ok(vec![Release::Exact(format!("openEuler:{release}"))])
        }
        Some(_) | None => Err(untold("openEuler", distro)),
    }
}

fn number(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(id: &str, version: &str, kind: &str) -> Result<Vec<String>, String> {
        let distro = Distro { id: id.into(), version_id: version.into(), ..Distro::default() };
        feed(Some(&distro), kind).map(|feed| feed.releases.iter().map(Release::to_string).collect())
    }

    #[test]
    fn a_release_has_its_own_ecosystem() {
        for (id, version, kind, want) in [
            ("alpine", "3.20.3", "apk", &["Alpine:v3.20"][..]),
            ("alpine", "3.21.0_alpha20240807", "apk", &["Alpine:edge"]),
            ("debian", "12", "deb", &["Debian:12"]),
            ("ubuntu", "22.04", "deb", &["Ubuntu:22.04:LTS", "Ubuntu:22.04", "Ubuntu:Pro:22.04:LTS"]),
            ("ubuntu", "24.10", "deb", &["Ubuntu:24.10"]),
            ("ubuntu", "23.04", "deb", &["Ubuntu:23.04"]),
            ("wolfi", "20230201", "apk", &["Wolfi"]),
            ("chainguard", "20230214", "apk", &["Chainguard", "Wolfi"]),
            ("almalinux", "9.4", "rpm", &["AlmaLinux:9"]),
            ("rocky", "8.10", "rpm", &["Rocky Linux:8"]),
            ("rhel", "8.9", "rpm", &["Red Hat:enterprise_linux:8"]),
            ("sles", "15.3", "rpm", &["SUSE:Linux Enterprise 15 SP3"]),
            ("opensuse-leap", "15.5", "rpm", &["openSUSE:Leap 15.5"]),
            ("opensuse-tumbleweed", "20240101", "rpm", &["openSUSE:Tumbleweed"]),
            ("mariner", "2.0", "rpm", &["Azure Linux:2"]),
            ("azurelinux", "3.0", "rpm", &["Azure Linux:3"]),
            ("photon", "4.0", "rpm", &["Photon OS:4.0"]),
        ] {
            assert_eq!(releases(id, version, kind).unwrap(), want, "{id} {version}");
        }
    }

    #[test]
    fn a_coming_release_of_debian_is_known_by_its_name() {
        let named = |codename: Option<&str>, pretty: &str| {
            let distro = Distro {
                id: "debian".into(),
                codename: codename.map(str::to_owned),
                pretty_name: Some(pretty.into()),
                ..Distro::default()
            };
            feed(Some(&distro), "deb").map(|feed| feed.releases[0].to_string())
        };
        assert_eq!(named(Some("forky"), "Debian GNU/Linux forky/sid").unwrap(), "Debian:14");
        assert_eq!(named(None, "Debian GNU/Linux trixie/sid").unwrap(), "Debian:13");
        assert!(named(Some("zurg"), "Debian GNU/Linux zurg/sid").is_err());
    }

    #[test]
    fn open_eulers_release_stands_in_its_pretty_name() {
        let distro = Distro {
            id: "openeuler".into(),
            version_id: "24.03".into(),
            pretty_name: Some("openEuler 24.03 (LTS-SP1)".into()),
            ..Distro::default()
        };
        assert_eq!(feed(Some(&distro), "rpm").unwrap().releases, [Release::exact("openEuler:24.03-LTS-SP1")]);
    }

    #[test]
    fn all_repositories_and_modules_of_a_release_count_and_no_other_release() {
        let red_hat = Release::EnterpriseLinux("8".into());
        for (ecosystem, covered) in [
            ("Red Hat:enterprise_linux:8::baseos", true),
            ("Red Hat:enterprise_linux:8::appstream", true),
            ("Red Hat:enterprise_linux:8", true),
            ("Red Hat:enterprise_linux:80::baseos", false),
            ("Red Hat:enterprise_linux:9::baseos", false),
            ("Red Hat:rhel_aus:8.6::appstream", false),
        ] {
            assert_eq!(red_hat.covers(ecosystem), covered, "{ecosystem}");
        }
        let suse = Release::SuseEnterprise("15 SP3".into());
        for (ecosystem, covered) in [
            ("SUSE:Linux Enterprise Module for Basesystem 15 SP3", true),
            ("SUSE:Linux Enterprise Server 15 SP3-LTSS", true),
            ("SUSE:Linux Enterprise Server 15 SP30", false),
            ("SUSE:Linux Enterprise Server 15", false),
            ("SUSE:Manager Server 15 SP3", false),
        ] {
            assert_eq!(suse.covers(ecosystem), covered, "{ecosystem}");
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
            ("almalinux", "", "rpm"),
            ("rhel", "x.1", "rpm"),
            ("openeuler", "24.03", "rpm"),
            ("amzn", "2", "rpm"),
            ("void", "1", "xbps"),
            ("debian", "12", "apk"),
        ] {
            assert!(releases(id, version, kind).is_err(), "{id} {version}");
        }
        assert!(feed(None, "deb").is_err());
    }
}
