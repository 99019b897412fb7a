//! How the ecosystems write licences, and what it means there to list several.

use crate::model::license::Join;

use super::tables::{self, Table};

/// The rules of an ecosystem.
pub(super) struct Dialect {
    /// Names of its own; they go before the general ones.
    pub(super) names: Table,
    /// What several texts of one package mean.
    pub(super) join: Join,
    /// Whether that holds only where all of them are understood.
    pub(super) all_or_none: bool,
    /// What a comma is.
    pub(super) comma: Comma,
    /// Whether `/` is `OR`.
    pub(super) slash: bool,
    /// Whether blanks divide the entries of a list.
    pub(super) blanks: bool,
    /// Whether every text is an expression by the ecosystem's rules, so that what is not understood is one
    /// name in it and the rest still holds.
    pub(super) formal: bool,
    /// Whether small `and` binds stronger than small `or`. Where nobody says so, both without parentheses are
    /// no expression.
    pub(super) mixes: bool,
    /// Whether a version of the GNU licences without a plus is that version only.
    pub(super) plain_is_only: bool,
    /// Whether `2` is the version `2.0`.
    pub(super) dot_zero: bool,
}

/// A comma in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comma {
    /// Part of a name: `Apache License, Version 2.0`.
    Name,
    /// Before an operator, lets it bind less.
    Weakens,
    /// Divides the entries of a list.
    List,
}

/// An ecosystem that asks for one SPDX expression, or says nothing at all. Several texts: nobody says what
/// they mean. Most of it holds for
/// - Python: `License` is free text, and of several classifiers PEP 639 ("Motivation") says that it is
///   ambiguous whether all apply;
/// - RubyGems: the reference of `licenses=` asks for a list of identifiers and says nothing of its meaning;
/// - Maven: the reference of the POM ("Licenses") says that users may choose, but projects list the licences
///   of all their parts, and choosing wrongly is the worse error.
static PLAIN: Dialect = Dialect {
    names: &[],
    join: Join::Unclear,
    all_or_none: false,
    comma: Comma::Name,
    slash: false,
    blanks: false,
    formal: false,
    mixes: false,
    plain_is_only: false,
    dot_zero: false,
};

static PYPI: Dialect = Dialect { names: tables::TROVE, ..PLAIN };
static GEM: Dialect = Dialect { names: tables::GEM, ..PLAIN };
static MAVEN: Dialect = Dialect { names: tables::MAVEN, ..PLAIN };

/// npm's documentation of package.json ("license") replaces the old list of licences by an expression with
/// `OR`, and so does Composer's of composer.json (the schema, "license") for a list: disjunctive.
static CHOICE: Dialect = Dialect { join: Join::Any, ..PLAIN };

/// Cargo's reference of the manifest ("The license and license-file fields"): `/` was `OR` once.
static CARGO: Dialect = Dialect { slash: true, ..PLAIN };

/// apk: one expression (APKBUILD(5), "license"). Before 2019 names stood side by side with blanks, and nobody
/// said what that meant.
static APK: Dialect = Dialect { blanks: true, formal: true, ..PLAIN };

/// dpkg: Debian's copyright-format 1.0. Each paragraph of files has its licence, so all apply, though a binary
/// package need not have files of each ("Files paragraph"). `and` before `or`, a comma before either lets it bind
/// less, and `2` is `2.0` ("License specification").
static DEB: Dialect = Dialect {
    names: tables::DEB,
    join: Join::All,
    comma: Comma::Weakens,
    formal: true,
    mixes: true,
    plain_is_only: true,
    dot_zero: true,
    ..PLAIN
};

/// RPM: one text. Fedora's guidelines before SPDX ("Licensing:Main", short names) asked for parentheses around
/// `or`; commas are none of its rules.
static RPM: Dialect =
    Dialect { names: tables::RPM, comma: Comma::List, formal: true, plain_is_only: true, ..PLAIN };

/// pacman: Arch's RFC 16: SPDX, and the entries of the list all apply. Before it the list had short names of its
/// own, and nobody said what it meant; a list of which not all is SPDX is an old one.
static ALPM: Dialect = Dialect { join: Join::All, all_or_none: true, ..PLAIN };

impl Dialect {
    /// That of a package type, by the purl's name for it.
    pub(super) fn of(kind: &str) -> &'static Self {
        match kind {
            "alpm" => &ALPM,
            "apk" => &APK,
            "cargo" => &CARGO,
            "composer" | "npm" => &CHOICE,
            "deb" => &DEB,
            "gem" => &GEM,
            "maven" => &MAVEN,
            "pypi" => &PYPI,
            "rpm" => &RPM,
            _ => &PLAIN,
        }
    }
}
