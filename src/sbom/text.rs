//! A table for a person.

use std::fmt::Write as _;

use crate::model::base::{Base, By};
use crate::model::digest::Digest;
use crate::model::evidence::ImageIdentity;
use crate::model::fault::Gap;
use crate::model::inventory::{Inventory, Package, Removed};
use crate::model::layer::Distro;
use crate::model::path::escape;
use crate::model::reference::Reference;

use super::{Format, Index, Listed, RenderError, Subject, license};

/// The inventory as a table: safe to print, and no wider than its columns' limits, whatever stands in
/// the image. What is cut ends in `…`; the other formats have it whole.
pub(super) struct Table;

const TITLES: [&str; 6] = ["TYPE", "NAME", "VERSION", "LICENSE", "LAYER", "LOCATION"];

/// Characters of a name, a version, a licence and a location: enough for all but freaks, so that one version of
/// 100 kB does not push the other columns off the screen.
const NAME: usize = 44;
const VERSION: usize = 32;
const LICENSE: usize = 32;
const LOCATION: usize = 120;

/// Characters of any other foreign text in one line.
const LINE: usize = 200;

impl Format for Table {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "a table of the packages, and the gaps below it"
    }

    fn extension(&self) -> &'static str {
        "txt"
    }

    fn render(&self, subject: &Subject<'_>) -> Result<Vec<u8>, RenderError> {
        let mut out = String::new();
        write_report(&mut out, subject).map_err(|error| RenderError::new(self, error))?;
        Ok(out.into_bytes())
    }

    fn render_index(&self, index: &Index<'_>) -> Result<Vec<u8>, RenderError> {
        let mut out = String::new();
        write_index(&mut out, index).map_err(|error| RenderError::new(self, error))?;
        Ok(out.into_bytes())
    }
}

fn write_index(out: &mut String, index: &Index<'_>) -> std::fmt::Result {
    write_identity(out, index.image, index.reference, index.image.digest.as_ref())?;
    for Listed { subject, file, document: _ } in &index.platforms {
        let Inventory { packages, gaps, .. } = subject.inventory;
        let platform = cell(&subject.platform.platform.to_string(), LINE);
        let (packages, gaps) = (count(packages.len(), "package"), count(gaps.len(), "gap"));
        writeln!(out, "platform  {platform}: {packages} and {gaps}, in {}", cell(file, LINE))?;
    }
    Ok(())
}

fn write_report(out: &mut String, subject: &Subject<'_>) -> std::fmt::Result {
    let inventory = subject.inventory;
    write_head(out, subject)?;
    if !inventory.packages.is_empty() {
        out.push('\n');
        write_table(out, &inventory.packages)?;
    }
    write_removed(out, &inventory.removed)?;
    let gaps = format!("{}: what packages are there is unknown", count(inventory.gaps.len(), "GAP"));
    write_places(out, &gaps, &inventory.gaps)?;
    let warnings = format!("{}, no package is hidden by it", count(inventory.warnings.len(), "WARNING"));
    write_places(out, &warnings, &inventory.warnings)
}

fn write_head(out: &mut String, subject: &Subject<'_>) -> std::fmt::Result {
    let Inventory { distro, packages, gaps, .. } = subject.inventory;
    let known = match gaps.len() {
        0 => String::new(),
        gaps => format!(", and {}: see below", count(gaps, "gap")),
    };
    write_identity(out, subject.image, subject.reference, subject.platform.digest.as_ref())?;
    writeln!(out, "platform  {}", cell(&subject.platform.platform.to_string(), LINE))?;
    writeln!(out, "distro    {}", distro.as_ref().map_or_else(|| "none found".to_owned(), title))?;
    if let Some(base) = subject.base.and_then(foundation) {
        writeln!(out, "base      {base}")?;
    }
    writeln!(out, "packages  {}{known}", packages.len())
}

fn write_identity(
    out: &mut String,
    image: &ImageIdentity,
    reference: Option<&Reference>,
    digest: Option<&Digest>,
) -> std::fmt::Result {
    let name = reference.map_or_else(|| image.reference.clone(), ToString::to_string);
    writeln!(out, "image     {}", cell(&name, LINE))?;
    writeln!(out, "digest    {}", digest.map_or("not known".to_owned(), ToString::to_string))
}

/// The base image, and how that was told. What the os-release says stands in a line of its own.
fn foundation(base: &Base) -> Option<String> {
    let name = cell(&base.name, LINE);
    match (base.by, base.layers) {
        (By::DiffIds, Some(layers)) => Some(format!("{name}, {} of it", count(layers, "layer"))),
        (By::DiffIds, None) => Some(name),
        (By::Annotation, _) => Some(format!("{name}, as the image claims")),
        (By::OsRelease, _) => None,
    }
}

fn title(distro: &Distro) -> String {
    let plain = format!("{} {}", distro.id, distro.version_id);
    cell(distro.pretty_name.as_deref().unwrap_or(plain.trim_end()), LINE)
}

fn write_table(out: &mut String, packages: &[Package]) -> std::fmt::Result {
    let rows: Vec<[String; 6]> = packages.iter().map(row).collect();
    let titles = TITLES.map(str::to_owned);
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&titles).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:width$}  ")?;
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The cells of a package; the licence is an expression where there is one, else what the metadata says; the
/// location is the file that proves it, and how many there are besides.
fn row(package: &Package) -> [String; 6] {
    let license = license::of(package).expression().unwrap_or_else(|| package.licenses.join("; "));
    let first = package.locations.first().map(ToString::to_string).unwrap_or_default();
    let more = match package.locations.len() {
        0 | 1 => String::new(),
        more => format!(" (+{})", more - 1),
    };
    [
        package.kind.to_owned(),
        cell(&package.name, NAME),
        cell(&package.version, VERSION),
        cell(&license, LICENSE),
        package.layer.number(),
        cut(&first, LOCATION) + &more,
    ]
}

/// What was removed: how it is found in the blobs all the same.
fn write_removed(out: &mut String, removed: &[Removed]) -> std::fmt::Result {
    if removed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{} REMOVED, still in the bytes of the image", removed.len())?;
    for package in removed {
        let Removed { kind, layer, removed_by, .. } = package;
        let (name, version) = (cell(&package.name, NAME), cell(&package.version, VERSION));
        let how = match package.replaced_by.as_slice() {
            [] => "removed".to_owned(),
            [version, ..] => format!("replaced by {}", cell(version, VERSION)),
        };
        writeln!(out, "  {kind} {name} {version}: of layer {layer}, {how} in layer {removed_by}")?;
    }
    Ok(())
}

fn write_places(out: &mut String, title: &str, places: &[Gap]) -> std::fmt::Result {
    if places.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    for gap in places {
        let path = if gap.path.is_root() { "(whole layer)".to_owned() } else { gap.path.to_string() };
        let (cataloger, cause) = (cell(&gap.cataloger, LINE), cell(&gap.cause, LINE));
        writeln!(out, "  layer {}: {}: {cataloger}: {cause}", gap.layer, cut(&path, LINE))?;
    }
    Ok(())
}

fn count(number: usize, noun: &str) -> String {
    let plural = if noun.chars().all(char::is_uppercase) { "S" } else { "s" };
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}{plural}") }
}

/// Foreign text made safe to print and cut to a width.
fn cell(text: &str, width: usize) -> String {
    cut(&escape(text.as_bytes()), width)
}

/// The first `width` characters, the last of them `…` where there were more. Characters and not columns
/// are counted: a wide one shifts its own row and no other.
fn cut(text: &str, width: usize) -> String {
    if text.chars().nth(width).is_none() {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::fixture::{Fixture, digest, gap};

    fn render(fixture: &Fixture) -> String {
        String::from_utf8(Table.render(&fixture.subject()).unwrap()).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_has_nothing_below_it_where_all_was_read() {
        let expected = format!(
            "\
image     oci:demo
digest    {}
platform  linux/amd64
distro    Debian GNU/Linux 12 (bookworm)
packages  4

TYPE  NAME          VERSION   LICENSE                        LAYER  LOCATION
deb   libssl3       3.0.11-1  Apache-2.0                     0      var/lib/dpkg/status
pypi  urllib3       1.26.0    MIT; Apache-2.0 OR MIT; Expat  0      usr/lib/python3/pip/_vendor/urllib3
pypi  six           1.16.0    MIT OR Apache-2.0              0      usr/lib/python3/six.dist-info
npm   @acme/orders  1.4.2                                    0      srv/web
",
            digest("manifest")
        );
        assert_eq!(render(&Fixture::new()), expected);
    }

    #[test]
    fn gaps_stand_in_the_head_and_below_the_table() {
        let mut fixture = Fixture::new();
        fixture.inventory.gaps = vec![gap(b"var/lib/rpm/Packages", "no cataloger for it yet")];
        let text = render(&fixture);
        assert!(text.contains("packages  4, and 1 gap: see below\n"));
        assert!(text.ends_with(
            "\n\n1 GAP: what packages are there is unknown\n  layer 1: var/lib/rpm/Packages: rpm: no cataloger for it yet\n"
        ));
    }

    #[test]
    fn one_endless_version_does_not_widen_the_table() {
        let text = render(&Fixture::hostile());
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest < 3 * LINE, "{widest}");
        assert!(text.contains(&format!("{}…", "9".repeat(31))));
    }

    #[test]
    fn no_packages_make_no_table() {
        let text = render(&Fixture::empty());
        assert!(text.ends_with("distro    none found\npackages  0\n"), "{text}");
    }

    #[test]
    fn further_locations_are_counted() {
        let mut fixture = Fixture::new();
        fixture.inventory.packages[3].locations.push("srv/other".into());
        assert!(render(&fixture).ends_with("srv/web (+1)\n"));
    }
}
