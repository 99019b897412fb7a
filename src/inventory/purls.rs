//! The purl of a package as found: type, namespace and qualifiers (purl-spec, PURL-TYPES).

use crate::model::layer::{Distro, FoundPackage};
use crate::model::purl::Purl;

/// Builds a package's purl. Operating system packages get the distribution as namespace and qualifier
/// where it is known; without it they cannot be matched, and the purl does not pretend.
pub(super) fn purl(package: &FoundPackage, distro: Option<&Distro>) -> Purl {
    let plain = plain(package, distro);
    package.qualifiers.iter().fold(plain, |purl, (key, value)| purl.with(key, value))
}

fn plain(package: &FoundPackage, distro: Option<&Distro>) -> Purl {
    let version = Some(package.version.as_str());
    match package.kind {
        "apk" | "deb" | "rpm" | "alpm" => {
            let namespace = distro.map(|distro| distro.id.as_str());
            let (epoch, version) = match package.version.split_once(':') {
                // purl-spec, type `rpm`: the epoch is a qualifier. Debian's is part of the version.
                Some((epoch, version)) if package.kind == "rpm" => (epoch, Some(version)),
                _ => ("", version),
            };
            let purl = Purl::new(package.kind, namespace, &package.name, version).with("epoch", epoch);
            let purl = purl.with("arch", package.arch.as_deref().unwrap_or_default());
            purl.with("distro", &distro.map(qualifier).unwrap_or_default())
                .with("upstream", &upstream(package))
        }
        "npm" | "composer" | "ebuild" | "golang" | "generic" | "pear" | "wordpress" => {
            let (namespace, name) = match package.name.rsplit_once('/') {
                Some((namespace, name)) => (Some(namespace), name),
                None => (None, package.name.as_str()),
            };
            Purl::new(package.kind, namespace, name, version)
        }
        "maven" => {
            let (group, artifact) = match package.name.split_once(':') {
                Some((group, artifact)) => (Some(group), artifact),
                None => (None, package.name.as_str()),
            };
            Purl::new(package.kind, group, artifact, version)
        }
        kind => Purl::new(kind, None, &package.name, version),
    }
}

/// `distro=debian-12`; a rolling distribution has only its id.
fn qualifier(distro: &Distro) -> String {
    match distro.version_id.as_str() {
        "" => distro.id.clone(),
        version => format!("{}-{version}", distro.id),
    }
}

/// `upstream=NAME[@VERSION]` where the source package differs from the binary; of an RPM the file name of
/// its source package, as all tools have it.
fn upstream(package: &FoundPackage) -> String {
    if package.kind == "rpm" {
        let source = package.source_name.as_ref().zip(package.source_version.as_ref());
        return source.map_or_else(String::new, |(name, version)| format!("{name}-{version}.src.rpm"));
    }
    let name = package.source_name.as_deref().unwrap_or(&package.name);
    match package.source_version.as_deref().filter(|version| *version != package.version) {
        Some(version) => format!("{name}@{version}"),
        None if name == package.name => String::new(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: &'static str, name: &str, version: &str) -> FoundPackage {
        FoundPackage { kind, name: name.into(), version: version.into(), ..FoundPackage::default() }
    }

    #[test]
    fn an_operating_system_package_names_distribution_architecture_and_source() {
        let distro = Distro { id: "debian".into(), version_id: "12".into(), ..Distro::default() };
        let mut package = found("deb", "libssl3", "3.0.11-1~deb12u2+b1");
        package.arch = Some("amd64".into());
        package.source_name = Some("openssl".into());
        package.source_version = Some("3.0.11-1~deb12u2".into());
        assert_eq!(
            purl(&package, Some(&distro)).to_string(),
            "pkg:deb/debian/libssl3@3.0.11-1~deb12u2%2Bb1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1~deb12u2"
        );
        assert_eq!(purl(&found("apk", "musl", "1.2.5-r0"), None).to_string(), "pkg:apk/musl@1.2.5-r0");
        let distro = Distro { id: "rhel".into(), version_id: "9.4".into(), ..Distro::default() };
        let mut package = found("rpm", "openssl-libs", "1:3.0.7-27.el9");
        package.source_name = Some("openssl".into());
        package.source_version = Some("3.0.7-27.el9".into());
        assert_eq!(
            purl(&package, Some(&distro)).to_string(),
            "pkg:rpm/rhel/openssl-libs@3.0.7-27.el9?distro=rhel-9.4&epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm"
        );
    }

    #[test]
    fn names_with_a_namespace_are_split() {
        assert_eq!(
            purl(&found("npm", "@babel/core", "7.0.0"), None).to_string(),
            "pkg:npm/%40babel/core@7.0.0"
        );
        assert_eq!(purl(&found("maven", "org.a:b", "1"), None).to_string(), "pkg:maven/org.a/b@1");
        assert_eq!(
            purl(&found("pypi", "Zope.Interface", "5"), None).to_string(),
            "pkg:pypi/zope-interface@5"
        );
    }
}
