//! Matching packages against OSV advisories.
