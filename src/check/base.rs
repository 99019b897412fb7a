//! The base image: by diff IDs, by what the image claims, by its distribution; and how long that
//! distribution's release is kept up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, date};
use serde_json::Value;

use crate::model::base::{Base, By, KnownBase};
use crate::model::config::ImageConfig;
use crate::model::layer::Distro;
use crate::model::reference::Reference;

use super::PlatformLayers;

/// OCI annotations.md, "Pre-Defined Annotation Keys".
const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";

/// The base of an image. `claims` are the annotations of its manifest, or else its labels; `distro` is that
/// of its merged layers. The known base with the most layers that are all the first ones of the image goes
/// before what the image claims, and that before its distribution.
#[must_use]
pub fn base(
    image: &PlatformLayers,
    distro: Option<&Distro>,
    bases: &[KnownBase],
    claims: &BTreeMap<String, String>,
) -> Option<Base> {
    let eol = distro.and_then(end_of_life);
    let rolling = distro.is_some_and(|distro| ROLLING.contains(&distro.id.as_str()));
    let is_below = |known: &&KnownBase| {
        !known.diff_ids.is_empty()
            && known.diff_ids.len() <= image.layers.len()
            && known.diff_ids.iter().zip(&image.layers).all(|(known, layer)| *known == layer.diff_id)
    };
    let most = bases.iter().filter(is_below).map(|known| known.diff_ids.len()).max();
    let below: Vec<_> =
        bases.iter().filter(is_below).filter(|known| Some(known.diff_ids.len()) == most).collect();
    // Several names of the same layers: the one that was named first must not decide.
    if let Some(known) = below.iter().max_by_key(|known| (&known.created, &known.name)) {
        let names: BTreeSet<&String> = below.iter().map(|known| &known.name).collect();
        let also = names.into_iter().filter(|name| **name != known.name).cloned().collect();
        return Some(Base {
            name: known.name.clone(),
            also,
            digest: known.digest.as_ref().map(ToString::to_string),
            by: By::DiffIds,
            layers: Some(known.diff_ids.len()),
            created: known.created.clone(),
            eol,
            rolling,
        });
    }
    if let Some(name) = claims.get(NAME).filter(|name| !name.is_empty()) {
        return Some(Base {
            name: name.clone(),
            also: Vec::new(),
            digest: claims.get(DIGEST).cloned(),
            by: By::Annotation,
            layers: None,
            created: None,
            eol,
            rolling,
        });
    }
    let distro = distro?;
    let name = distro.pretty_name.clone().unwrap_or_else(|| format!("{} {}", distro.id, distro.version_id));
    Some(Base {
        name: name.trim().to_owned(),
        also: Vec::new(),
        digest: None,
        by: By::OsRelease,
        layers: None,
        created: None,
        eol,
        rolling,
    })
}

/// What an image claims to be: the labels of its configuration, and before them the annotations of its manifest.
#[must_use]
pub fn claims(config: &ImageConfig, manifest: Option<&Value>) -> BTreeMap<String, String> {
    let mut claims = config.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
    let noted = manifest.and_then(|manifest| manifest.get("annotations")?.as_object());
    let noted = noted.into_iter().flatten();
    claims.extend(noted.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))));
    claims
}

/// The known base that the image claims to be built on and is not: what the name leads to is another image
/// now, or always was.
#[must_use]
pub fn newer<'a>(base: &Base, bases: &'a [KnownBase]) -> Option<&'a KnownBase> {
    let whole =
        |name: &str| name.parse::<Reference>().map_or_else(|_| name.to_owned(), |name| name.to_string());
    let claimed = base.digest.as_deref().filter(|_| base.by == By::Annotation)?;
    let mut same = bases.iter().filter(|known| whole(&known.name) == whole(&base.name)).peekable();
    let first = *same.peek()?;
    let is = |known: &KnownBase| {
        [&known.digest, &known.root].into_iter().flatten().any(|digest| digest.to_string() == claimed)
    };
    (!same.any(is)).then_some(first)
}

/// Distributions that are kept up without releases.
const ROLLING: [&str; 3] = ["wolfi", "chainguard", "arch"];

/// Releases of a distribution, each with the last day of its free security updates.
struct Releases {
    /// `ID` of os-release.
    id: &'static str,
    /// `VERSION_ID`, whole or up to a dot.
    ends: &'static [(&'static str, Date)],
}

/// From what the distributions publish: wiki.debian.org/LTS (LTS is free for everybody),
/// ubuntu.com/about/release-cycle (standard maintenance), alpinelinux.org/releases,
/// access.redhat.com/support/policy/updates/errata (maintenance), wiki.rockylinux.org, wiki.almalinux.org,
/// wiki.centos.org, docs.fedoraproject.org (releases/eol), aws.amazon.com/amazon-linux-2/faqs and
/// docs.aws.amazon.com/linux/al2023, en.opensuse.org/Lifetime, suse.com/lifecycle (general support). Where only
/// a month is published, its last day. A release that is not here is not known, and a rolling one has no end.
static RELEASES: &[Releases] = &[
    Releases {
        id: "debian",
        ends: &[
            ("8", date(2020, 6, 30)),
            ("9", date(2022, 6, 30)),
            ("10", date(2024, 6, 30)),
            ("11", date(2026, 8, 31)),
            ("12", date(2028, 6, 30)),
            ("13", date(2030, 6, 30)),
        ],
    },
    Releases {
        id: "ubuntu",
        ends: &[
            ("14.04", date(2019, 4, 30)),
            ("16.04", date(2021, 4, 30)),
            ("18.04", date(2023, 5, 31)),
            ("20.04", date(2025, 5, 31)),
            ("22.04", date(2027, 4, 30)),
            ("22.10", date(2023, 7, 20)),
            ("23.04", date(2024, 1, 25)),
            ("23.10", date(2024, 7, 11)),
            ("24.04", date(2029, 4, 30)),
            ("24.10", date(2025, 7, 10)),
            ("25.04", date(2026, 1, 15)),
        ],
    },
    Releases {
        id: "alpine",
        ends: &[
            ("3.10", date(2021, 5, 1)),
            ("3.11", date(2021, 11, 1)),
            ("3.12", date(2022, 5, 1)),
            ("3.13", date(2022, 11, 1)),
            ("3.14", date(2023, 5, 1)),
            ("3.15", date(2023, 11, 1)),
            ("3.16", date(2024, 5, 23)),
            ("3.17", date(2024, 11, 22)),
            ("3.18", date(2025, 5, 9)),
            ("3.19", date(2025, 11, 1)),
            ("3.20", date(2026, 4, 1)),
            ("3.21", date(2026, 11, 1)),
            ("3.22", date(2027, 5, 1)),
        ],
    },
    Releases {
        id: "rhel",
        ends: &[
            ("6", date(2020, 11, 30)),
            ("7", date(2024, 6, 30)),
            ("8", date(2029, 5, 31)),
            ("9", date(2032, 5, 31)),
        ],
    },
    Releases { id: "rocky", ends: &[("8", date(2029, 5, 31)), ("9", date(2032, 5, 31))] },
    Releases { id: "almalinux", ends: &[("8", date(2029, 5, 31)), ("9", date(2032, 5, 31))] },
    // CentOS Stream has the same ID and versions as the CentOS Linux before it: the later day of the two.
    Releases {
        id: "centos",
        ends: &[
            ("6", date(2020, 11, 30)),
            ("7", date(2024, 6, 30)),
            ("8", date(2024, 5, 31)),
            ("9", date(2027, 5, 31)),
        ],
    },
    Releases {
        id: "fedora",
        ends: &[
            ("38", date(2024, 5, 21)),
            ("39", date(2024, 11, 26)),
            ("40", date(2025, 5, 13)),
            ("41", date(2025, 12, 15)),
        ],
    },
    Releases {
        id: "amzn",
        ends: &[("2018.03", date(2023, 12, 31)), ("2", date(2026, 6, 30)), ("2023", date(2029, 6, 30))],
    },
    Releases {
        id: "opensuse-leap",
        ends: &[
            ("15.0", date(2019, 12, 3)),
            ("15.1", date(2021, 2, 2)),
            ("15.2", date(2022, 1, 4)),
            ("15.3", date(2022, 12, 31)),
            ("15.4", date(2023, 12, 7)),
            ("15.5", date(2024, 12, 31)),
            ("15.6", date(2026, 4, 30)),
        ],
    },
    Releases {
        id: "sles",
        ends: &[
            ("15.1", date(2021, 1, 31)),
            ("15.2", date(2021, 12, 31)),
            ("15.3", date(2022, 12, 31)),
            ("15.4", date(2023, 12, 31)),
            ("15.5", date(2024, 12, 31)),
            ("15.6", date(2025, 12, 31)),
            ("15.7", date(2031, 7, 31)),
        ],
    },
];

/// The last day on which a distribution's release gets free security updates, where it is known.
#[must_use]
pub fn end_of_life(distro: &Distro) -> Option<Date> {
    let releases = RELEASES.iter().find(|releases| releases.id == distro.id)?;
    let is = |release: &str| {
        let rest = distro.version_id.strip_prefix(release);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    releases
        .ends
        .iter()
        .filter(|(release, _)| is(release))
        .max_by_key(|(release, _)| release.len())
        .map(|(_, end)| *end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::layer_fixture::{image, layer};
    use crate::model::digest::Digest;

    fn distro(id: &str, version: &str) -> Distro {
        Distro { id: id.into(), version_id: version.into(), ..Distro::default() }
    }

    #[test]
    fn releases_are_found_by_whole_components() {
        let end = |id: &str, version: &str| end_of_life(&distro(id, version)).map(|date| date.to_string());
        assert_eq!(end("alpine", "3.20.3").as_deref(), Some("2026-04-01"));
        assert_eq!(end("alpine", "3.2.3"), None);
        assert_eq!(end("debian", "12").as_deref(), Some("2028-06-30"));
        assert_eq!(end("debian", "1"), None);
        assert_eq!(end("amzn", "2023").as_deref(), Some("2029-06-30"));
        assert_eq!(end("rhel", "8.10").as_deref(), Some("2029-05-31"));
        assert_eq!(end("wolfi", "20230201"), None);
    }

    #[test]
    fn diff_ids_go_before_claims_and_claims_before_the_distribution() {
        let image = image([layer().file("a", "1"), layer().file("b", "2")]);
        let ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let known = |name: &str, diff_ids: &[_]| KnownBase {
            name: name.into(),
            digest: None,
            root: None,
            created: None,
            diff_ids: diff_ids.to_vec(),
        };
        let bases =
            [known("none", &[]), known("one", &ids[..1]), known("both", &ids), known("other", &ids[1..])];
        let claims = BTreeMap::from([(NAME.to_owned(), "docker.io/library/debian:12".to_owned())]);
        let debian = distro("debian", "12");
        let told = |bases: &[KnownBase], claims: &BTreeMap<_, _>, distro| {
            base(&image, distro, bases, claims).map(|base| (base.name, base.by, base.eol.is_some()))
        };
        assert_eq!(told(&bases, &claims, Some(&debian)), Some(("both".into(), By::DiffIds, true)));
        assert_eq!(
            told(&[], &claims, None),
            Some(("docker.io/library/debian:12".into(), By::Annotation, false))
        );
        assert_eq!(
            told(&[], &BTreeMap::new(), Some(&debian)),
            Some(("debian 12".into(), By::OsRelease, true))
        );
        assert_eq!(told(&[], &BTreeMap::new(), None), None);
    }

    #[test]
    fn several_names_of_one_base_are_all_told_whatever_their_order() {
        let image = image([layer().file("a", "1"), layer().file("b", "2")]);
        let known = |name: &str, created: &str| KnownBase {
            name: name.into(),
            digest: None,
            root: None,
            created: Some(created.into()),
            diff_ids: vec![image.layers[0].diff_id.clone()],
        };
        let mut bases = vec![known("b", "2026-01-01T00:00:00Z"), known("a", "2026-02-01T00:00:00Z")];
        let first = base(&image, None, &bases, &BTreeMap::new()).unwrap();
        bases.reverse();
        assert_eq!(base(&image, None, &bases, &BTreeMap::new()), Some(first.clone()));
        assert_eq!((first.name.as_str(), first.also), ("a", vec!["b".to_owned()]));
    }

    #[test]
    fn a_base_whose_name_leads_elsewhere_now_has_a_newer_one() {
        let (old, new) = (Digest::sha256(b"old"), Digest::sha256(b"new"));
        let claimed = |by, name: &str, digest: &Digest| Base {
            name: name.into(),
            also: Vec::new(),
            digest: Some(digest.to_string()),
            by,
            layers: None,
            created: None,
            eol: None,
            rolling: false,
        };
        let known = KnownBase {
            name: "docker.io/library/debian:12".into(),
            digest: None,
            root: Some(new.clone()),
            created: None,
            diff_ids: Vec::new(),
        };
        let known = [known];
        let is_newer = |base: &Base| newer(base, &known).is_some();
        assert!(is_newer(&claimed(By::Annotation, "docker.io/library/debian:12", &old)));
        assert!(is_newer(&claimed(By::Annotation, "debian:12", &old)), "the same name, written shorter");
        assert!(!is_newer(&claimed(By::Annotation, "docker.io/library/debian:12", &new)));
        assert!(!is_newer(&claimed(By::Annotation, "docker.io/library/debian:13", &old)));
        assert!(!is_newer(&claimed(By::DiffIds, "docker.io/library/debian:12", &old)));
    }
}
