//! The SBOM: an inventory rendered as a document.
