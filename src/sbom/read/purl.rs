//! What a purl says of a package, and whether that is what the component says itself.

use crate::model::inventory::{Package, SourcePackage};
use crate::model::layer::Distro;
use crate::model::purl::{Purl, TYPES, normalise_pypi};

/// The type, if it is known.
pub(super) fn kind(text: &str) -> Option<&'static str> {
    TYPES.iter().find(|kind| **kind == text).copied()
}

/// Name and version as the component's own fields have them.
pub(super) struct Stated {
    pub(super) group: Option<String>,
    pub(super) name: String,
    pub(super) version: Option<String>,
}

/// Name and version as portcullis writes them for the type.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// What the purl says otherwise than the fields, if it does.
    pub(super) contradiction: Option<String>,
}

/// Puts together what fields and purl say. Of our own documents the fields are letter for letter what the
/// metadata has; of others the purl is, for tools differ in how they fill the fields.
pub(super) fn name_and_version(kind: &'static str, purl: &Purl, stated: &Stated, ours: bool) -> Named {
    let own = joined(kind, stated.group.as_deref(), &stated.name);
    let theirs = joined(kind, namespace(kind, purl), &purl.name);
    let name_agrees = is_named(purl, stated);
    let version = version(kind, purl, stated);
    // Attack: a component named `openssl` whose purl is that of something harmless.
    let contradiction = if !name_agrees {
        Some("its name and its purl contradict each other".to_owned())
    } else if version.is_err() {
        Some("its version and its purl contradict each other".to_owned())
    } else {
        None
    };
    // A purl's Python name is normalised, and the metadata's is what people know. Purls of npm and Go are written in
    // lower case by tools that follow older rules: under that name no record would be found.
    // A Go module's path may stand in the purl's subpath in part (`…/contrib@v1#net/http/otelhttp`).
    let whole = match &purl.subpath {
        Some(subpath) if kind == "golang" => format!("{theirs}/{subpath}"),
        Some(_) | None => theirs.clone(),
    };
    let lower = own.to_lowercase();
    let same_letters = kind == "pypi" || lower == theirs.to_lowercase() || lower == whole.to_lowercase();
    let keeps_own = ours || (name_agrees && same_letters);
    let version = version.unwrap_or_else(|()| stated.version.clone());
    Named { name: if keeps_own { own } else { theirs }, version, contradiction }
}

/// The namespace that is part of the name: that of a distribution is not.
fn namespace<'p>(kind: &str, purl: &'p Purl) -> Option<&'p str> {
    purl.namespace.as_deref().filter(|_| !matches!(kind, "alpm" | "apk" | "deb" | "opkg" | "rpm"))
}

fn joined(kind: &str, group: Option<&str>, name: &str) -> String {
    match group.filter(|group| !group.is_empty()) {
        Some(group) if kind == "maven" => format!("{group}:{name}"),
        Some(group) => format!("{group}/{name}"),
        None => name.to_owned(),
    }
}

/// Whether the fields name the package of the purl. Tools write a name with or without its group, in either
/// field, and in their own case.
fn is_named(purl: &Purl, stated: &Stated) -> bool {
    let fold = |text: &str| {
        let text = if purl.kind == "pypi" { normalise_pypi(text) } else { text.to_lowercase() };
        text.replace(':', "/").trim_matches('/').to_owned()
    };
    let whole = match &purl.namespace {
        Some(namespace) => format!("{namespace}/{}", purl.name),
        None => purl.name.clone(),
    };
    let mut theirs = vec![fold(&purl.name), fold(&whole)];
    if let Some(subpath) = &purl.subpath {
        theirs.push(fold(&format!("{whole}/{subpath}")));
    }
    let name = fold(&stated.name);
    match stated.group.as_deref().filter(|group| !group.is_empty()) {
        None => theirs.contains(&name),
        // Attack: the group of a vulnerable package, beside the purl of a harmless one of the same name.
        Some(group) => {
            let repeated = purl.namespace.as_deref().is_some_and(|namespace| fold(namespace) == fold(group));
            theirs.contains(&fold(&format!("{group}/{}", stated.name))) || repeated && theirs.contains(&name)
        }
    }
}

/// The version, an RPM's with its epoch in front.
///
/// # Errors
/// Where the fields and the purl state two.
fn version(kind: &str, purl: &Purl, stated: &Stated) -> Result<Option<String>, ()> {
    let epoch = purl.qualifiers.get("epoch").filter(|epoch| matches!(kind, "deb" | "rpm") && *epoch != "0");
    let whole = purl.version.as_ref().map(|version| match epoch {
        Some(epoch) if !version.contains(':') => format!("{epoch}:{version}"),
        Some(_) | None => version.clone(),
    });
    match (whole, &stated.version) {
        (Some(whole), Some(own)) => {
            // Types whose versions are no matter of case are written in lower case.
            let normal = Purl::new(&purl.kind, purl.namespace.as_deref(), &purl.name, Some(own)).version;
            let without_epoch = own.split_once(':').map(|(_, rest)| rest.to_owned());
            let zero = own.strip_prefix("0:").map(str::to_owned);
            if *own == whole || normal.as_ref() == Some(&whole) {
                Ok(Some(own.clone()))
            } else if purl.version == stated.version || zero.as_ref() == Some(&whole) {
                Ok(Some(whole))
            } else if kind == "golang" && own.strip_prefix("go") == Some(&whole) {
                // Syft writes the standard library's version as Go's toolchain calls itself.
                Ok(Some(whole))
            } else if epoch.is_none() && kind == "rpm" && without_epoch == purl.version {
                // The epoch stands in the field alone.
                Ok(Some(own.clone()))
            } else {
                Err(())
            }
        }
        (Some(whole), None) => Ok(Some(whole)),
        (None, own) => Ok(own.clone()),
    }
}

/// `upstream=NAME[@VERSION]`, and of an RPM the file name of its source package.
pub(super) fn upstream(purl: &Purl, version: &str) -> Option<SourcePackage> {
    let upstream = purl.qualifiers.get("upstream")?;
    if purl.kind == "rpm" {
        return source_rpm(upstream);
    }
    let (name, version) = upstream.rsplit_once('@').unwrap_or((upstream, version));
    Some(SourcePackage { name: name.to_owned(), version: version.to_owned() })
}

/// `NAME-VERSION-RELEASE.src.rpm`.
pub(super) fn source_rpm(text: &str) -> Option<SourcePackage> {
    let whole = text.strip_suffix(".src.rpm").or_else(|| text.strip_suffix(".nosrc.rpm"))?;
    let (rest, release) = whole.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    Some(SourcePackage { name: name.to_owned(), version: format!("{version}-{release}") })
}

/// What an operating system package's purl says of the distribution: `distro=debian-12` (Syft and we),
/// `distro=debian-12.5` (Trivy), `distro=3.15.0` (an older Trivy).
pub(super) fn distro(package: &Package) -> Option<Distro> {
    if !matches!(package.kind, "alpm" | "apk" | "deb" | "rpm") {
        return None;
    }
    let text = package.purl.qualifiers.get("distro")?;
    let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let (id, version) = match text.rsplit_once('-') {
        Some((id, version)) if is_version(version) => (id, version),
        Some(_) | None if is_version(text) => (package.purl.namespace.as_deref()?, text.as_str()),
        Some(_) | None => (text.as_str(), ""),
    };
    Some(release(id, version))
}

/// Whether a distribution may have a package of that type and namespace. Tools name RPM's vendors in ways of their
/// own, so of those only the type is held against it.
pub(super) fn may_be_of(package: &Package, distro: &Distro) -> bool {
    let namespace = package.purl.namespace.as_deref().map(str::to_lowercase);
    let named = |ids: &[&str]| namespace.as_deref().is_some_and(|namespace| ids.contains(&namespace));
    let debian = ["debian", "ubuntu"];
    let alpine = ["alpine", "wolfi", "chainguard", "postmarketos"];
    let of_deb = debian.contains(&distro.id.as_str());
    let of_apk = alpine.contains(&distro.id.as_str());
    match package.kind {
        "deb" if of_deb => namespace.is_none() || named(&[&distro.id]),
        "deb" => !of_apk && !named(&debian),
        "apk" if of_apk => namespace.is_none() || named(&[&distro.id]),
        "apk" => !of_deb && !named(&alpine),
        "rpm" => !of_deb && !of_apk,
        _ => true,
    }
}

/// A distribution by the words of os-release(5): Trivy has names of its own, and point releases for Debian.
pub(super) fn release(id: &str, version: &str) -> Distro {
    let id = id.to_lowercase();
    let id = match id.as_str() {
        "redhat" => "rhel",
        "amazon" => "amzn",
        "oracle" => "ol",
        "alma" => "almalinux",
        "suse linux enterprise server" => "sles",
        "cbl-mariner" => "mariner",
        id => id,
    };
    let version = match (id, version.split_once('.')) {
        ("debian", Some((major, _))) => major,
        _ => version,
    };
    Distro { id: id.to_owned(), version_id: version.to_owned(), pretty_name: None, codename: None }
}

/// Whether two statements may be of one release: `9` and `9.3` may, `9` and `10` are not.
pub(super) fn may_be_one(a: &Distro, b: &Distro) -> bool {
    let begins = |whole: &str, part: &str| {
        whole == part || whole.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'))
    };
    a.id == b.id && (begins(&a.version_id, &b.version_id) || begins(&b.version_id, &a.version_id))
}
