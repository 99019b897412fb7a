use super::*;
use crate::osv::fixture::{from_source, package};

fn distro(id: &str, version: &str) -> Distro {
    Distro { id: id.into(), version_id: version.into(), ..Distro::default() }
}

/// `ECOSYSTEM NAME VERSION` of every question.
fn asked(package: &Package, distro: &Distro) -> Vec<String> {
    let query = Query::about(package, Some(distro)).unwrap();
    let lost = |named: &Named| if named.epoch_lost { " (epoch lost)" } else { "" };
    let of = |release: &Release| {
        let line = |named: &Named| format!("{release} {} {}{}", named.name, named.version, lost(named));
        query.names.iter().map(line).collect::<Vec<_>>()
    };
    query.releases.iter().flat_map(of).collect()
}

#[test]
fn a_language_package_is_asked_about_in_its_ecosystem_alone() {
    let debian = distro("debian", "12");
    for (text, want) in [
        ("npm @babel/traverse 7.20.0", "npm @babel/traverse 7.20.0"),
        ("pypi Zope.Interface 5", "PyPI zope-interface 5"),
        ("cargo Serde_JSON 1.0.1", "crates.io serde-json 1.0.1"),
        ("maven org.x:Y 1.0", "Maven org.x:Y 1.0"),
        ("nuget Newtonsoft.Json 12.0.1", "NuGet newtonsoft.json 12.0.1"),
        ("gem rack 2.0.1", "RubyGems rack 2.0.1"),
        ("golang github.com/x/Y/v2 v2.0.1", "Go github.com/x/Y/v2 v2.0.1"),
        ("golang stdlib 1.21.5", "Go stdlib 1.21.5"),
        ("golang stdlib 1.22rc1", "Go stdlib 1.22.0-rc.1"),
        ("golang stdlib 1.21", "Go stdlib 1.21.0"),
        ("golang stdlib v1.20.1", "Go stdlib 1.20.1"),
        ("gem nokogiri 1.15.4-java", "RubyGems nokogiri 1.15.4"),
        ("bitnami redis 7.2.3-4", "Bitnami redis 7.2.3"),
        ("bitnami redis 7.2.3-rc1", "Bitnami redis 7.2.3-rc1"),
        ("cran readxl 1.0.0", "CRAN readxl 1.0.0"),
    ] {
        assert_eq!(asked(&package(text), &debian), [want]);
    }
    let drupal = Release::Language("Packagist".into());
    assert!(drupal.covers("Packagist:https://packages.drupal.org/8") && !drupal.covers("PackagistX"));
}

#[test]
fn a_main_module_without_tags_has_no_version_to_compare() {
    let mut main = package("golang example.org/app v0.0.0-20240101000000-abcdefabcdef");
    assert!(asked(&main, &distro("debian", "12"))[0].ends_with(" v0.0.0-20240101000000-abcdefabcdef"));
    main.application = true;
    assert!(asked(&main, &distro("debian", "12"))[0].contains("(devel)"));
}

#[test]
fn an_rpm_is_asked_about_as_its_distribution_files_it() {
    let libs = |version: &str, source: &str| {
        from_source(package(&format!("rpm openssl-libs {version}")), "openssl", source)
    };
    let same = libs("1:3.0.7-25.el9", "3.0.7-25.el9");
    assert_eq!(asked(&same, &distro("almalinux", "9.3")), ["AlmaLinux:9 openssl-libs 1:3.0.7-25.el9"]);
    assert_eq!(
        asked(&same, &distro("rocky", "9.3")),
        ["Rocky Linux:9 openssl-libs 1:3.0.7-25.el9", "Rocky Linux:9 openssl 1:3.0.7-25.el9"]
    );
    let other = libs("1:1.0-1", "3.0-1");
    assert_eq!(
        asked(&other, &distro("sles", "15.3")),
        ["SUSE:Linux Enterprise 15 SP3 openssl 3.0-1 (epoch lost)"]
    );
    let unstated = Query::about(&package("rpm bash 5-1"), Some(&distro("sles", "15.3"))).unwrap();
    assert!(unstated.doubt.unwrap().contains("source package"));
}

#[test]
fn what_nothing_is_filed_under_is_not_asked_about() {
    let debian = distro("debian", "12");
    for text in ["maven log4j 1.2", "conda numpy 1", "generic node 20", "rpm bash 5-1"] {
        assert!(Query::about(&package(text), Some(&debian)).is_err(), "{text}");
    }
    let guessed = Package { guessed: true, ..package("maven org.x:y 1") };
    let query = Query::about(&guessed, Some(&debian)).unwrap();
    assert!(query.doubt.unwrap().contains("guess"));
}

#[test]
fn a_rebuilt_package_is_asked_about_at_its_vendor_too() {
    let debian = distro("debian", "11");
    for (text, want) in [
        ("npm @rootio/semver 7.5.2-root.io.1", "Root:npm @rootio/semver 7.5.2-root.io.1"),
        ("pypi RootIO.requests 2.31.0", "Root:PyPI rootio-requests 2.31.0"),
        ("maven seal.sp1.org.x:y 1", "Seal:Maven seal.sp1.org.x:y 1"),
    ] {
        let asked = asked(&package(text), &debian);
        assert_eq!((asked.len(), asked[1].as_str()), (2, want));
    }
    let alpine = distro("alpine", "3.18.1");
    assert_eq!(
        asked(&package("apk rootio-wget 1.21.4-r0"), &alpine),
        [
            "Alpine:v3.18 rootio-wget 1.21.4-r0",
            "Root:Alpine:3.18 rootio-wget 1.21.4-r0",
            "Root:Alpine rootio-wget 1.21.4-r0"
        ]
    );
    assert_eq!(
        asked(&package("deb seal-wget 1"), &debian),
        ["Debian:11 seal-wget 1", "Seal:Debian:11 seal-wget 1", "Seal:Debian seal-wget 1"]
    );
}

#[test]
fn records_of_a_distribution_do_not_speak_of_packages_of_others() {
    let of = |supplier: &str| Package {
        supplier: Some(supplier.into()),
        ..package("rpm nginx 1:1.25.3-1.el9.ngx")
    };
    let alma = distro("almalinux", "9.3");
    assert!(Query::about(&of("AlmaLinux"), Some(&alma)).is_ok());
    assert!(Query::about(&of("AlmaLinuxish Evil"), Some(&alma)).is_err());
    let read = Package { layer: package("deb x 1").layer, ..package("rpm nginx 1-1.el9") };
    assert!(Query::about(&read, Some(&alma)).unwrap_err().contains("no vendor"));
    let cause = Query::about(&of("NGINX Packaging <nginx@example.org>"), Some(&alma)).unwrap_err();
    assert_eq!(
        cause,
        "the advisories for AlmaLinux:9 do not speak of packages of `NGINX Packaging <nginx@example.org>`"
    );
}

#[test]
fn builds_of_other_products_are_told_by_their_tags() {
    for (version, own) in [
        ("4.4.20-4.el8_6", true),
        ("1:2.13-3.el8_6.1", true),
        ("2.el7_9.0.1", true),
        ("5.4.1-1.module+el8.5.0+10613+59a13ec4", true),
        ("0.9.1-2.20210420.gitaed4ee2.el8", true),
        ("1.24.1-11.rhaos4.12.git1607c6e.el8", false),
        ("1.0-1.el8ost", false),
        ("1.0-1.el8sat", false),
        ("1.0-1", false),
        ("1.0-1.fc38", false),
    ] {
        assert_eq!(is_of_enterprise_linux(version), own, "{version}");
    }
}
