//! `container-manifest-2`, which Mariner's distroless images have in place of a database: a line a package,
//! made by `rpm --query` with tabs between name, version-release, install time, build time, vendor, epoch,
//! size, architecture, epoch as a number, source package (CBL-Mariner, toolkit/docs).

use crate::model::layer::{Facts, FoundPackage};

use super::package::{NONE, join, split_source, word};

/// Reads the lines. One that does not fit is unreadable by itself.
pub(super) fn read(bytes: &[u8]) -> Facts {
    let mut facts = Facts::default();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
    {
        match package(line) {
            Ok(Some(package)) => facts.add(package),
            Ok(None) => {}
            Err(cause) => facts.blame(format!("line {}: {cause}", number + 1)),
        }
    }
    facts
}

fn package(line: &[u8]) -> Result<Option<FoundPackage>, String> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b'\t').take(11).collect();
    let [name, version, _, _, vendor, epoch, _, arch, _, source] = fields.as_slice() else {
        return Err("not ten fields".into());
    };
    let optional = |what, value: &[u8]| {
        Some(value).filter(|value| *value != NONE.as_bytes()).map(|value| word(what, value)).transpose()
    };
    let (name, version, arch) =
        (word("name", name)?, word("version", version)?, optional("architecture", arch)?);
    // A key, see `package.rs`.
    if name == "gpg-pubkey" && arch.is_none() {
        return Ok(None);
    }
    let (version, release) = version
        .split_once('-')
        .filter(|(version, release)| !version.is_empty() && !release.is_empty())
        .ok_or("a version without a release")?;
    let epoch = match optional("epoch", epoch)? {
        Some(epoch) => Some(epoch.parse().map_err(|_| "its epoch is no number")?),
        None => None,
    };
    let source = optional("source package", source)?;
    let source = match &source {
        Some(source) => Some(split_source(source).ok_or("its source package cannot be told apart")?),
        None => None,
    };
    Ok(Some(FoundPackage {
        kind: "rpm",
        version: join(epoch, version, release)?,
        name,
        arch,
        source_name: source.map(|(name, _)| name.to_owned()),
        source_version: source.map(|(_, version)| version.to_owned()),
        supplier: std::str::from_utf8(vendor).ok().filter(|vendor| *vendor != NONE).map(str::to_owned),
        ..FoundPackage::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &[u8] = include_bytes!("../../../testdata/inventory/rpm/container-manifest-2");

    #[test]
    fn lines_are_packages() {
        let facts = read(MANIFEST);
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> = facts.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
        assert_eq!(found, [("demo-libs", "1.2.3-4.cm2"), ("certs", "1:2.0-1.cm2")]);
        let first = &facts.packages[0];
        assert_eq!(first.arch.as_deref(), Some("x86_64"));
        assert_eq!(first.source_name.as_deref(), Some("demo"));
        assert_eq!(first.source_version.as_deref(), Some("1.2.3-4.cm2"));
        assert_eq!(first.supplier.as_deref(), Some("Acme Corporation"));
        assert_eq!(first.requires, None);
    }

    #[test]
    fn a_line_that_does_not_fit_is_unreadable_and_the_rest_is_read() {
        let good = "a\t1-2\t0\t0\tv\t(none)\t1\tnoarch\t0\ta-1-2.src.rpm";
        for line in [
            "a",
            "a\t1-2\t0\t0\tv\t(none)\t1\tnoarch\t0",
            "a\t1-2\t0\t0\tv\t(none)\t1\tnoarch\t0\ta-1-2.src.rpm\tx",
            "\t1-2\t0\t0\tv\t(none)\t1\tnoarch\t0\ta-1-2.src.rpm",
            "a\t12\t0\t0\tv\t(none)\t1\tnoarch\t0\ta-1-2.src.rpm",
            "a\t1-2\t0\t0\tv\tx\t1\tnoarch\t0\ta-1-2.src.rpm",
            "a\t1-2\t0\t0\tv\t(none)\t1\tnoarch\t0\ta.rpm",
        ] {
            let facts = read(format!("{line}\n{good}\n").as_bytes());
            assert_eq!((facts.packages.len(), facts.unreadable.len()), (1, 1), "{line}");
        }
    }
}
