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

/// Package managers that come beside that of the distribution.
pub(super) static OTHERS: Uncataloged = Uncataloged {
    id: "uncataloged",
    what: "a package of Homebrew, Snap or Flatpak",
    wants: |path| {
        path.ends_with("/meta/snap.yaml")
            || (path.ends_with("/INSTALL_RECEIPT.json") && path.contains("Cellar/"))
            || (path.ends_with("/metadata") && path.contains("lib/flatpak/"))
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
        for path in [
            "snap/core/1/meta/snap.yaml",
            "home/linuxbrew/.linuxbrew/Cellar/jq/1.7/INSTALL_RECEIPT.json",
            "var/lib/flatpak/app/org.acme.Demo/x86_64/stable/0/metadata",
        ] {
            assert!(OTHERS.wants(&path.into(), b""), "{path}");
            assert!(OTHERS.parse(&path.into(), b"").is_err());
        }
        for path in ["srv/snap.yaml", "srv/INSTALL_RECEIPT.json", "srv/metadata"] {
            assert!(!OTHERS.wants(&path.into(), b""), "{path}");
        }
    }

    #[test]
    fn a_source_below_a_name_that_is_no_utf8_is_seen() {
        let path = ImagePath::normalise(b"snap/\xff/meta/snap.yaml").unwrap();
        assert!(OTHERS.wants(&path, b""));
    }
}
