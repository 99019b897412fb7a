//! What is known beside the advisories: VEX documents and data on exploits, read from files and put to the
//! findings.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::check::base::end_of_life;
use crate::enrich::{self, Epss, Exploits, Kev, MAX_EPSS_BYTES, MAX_KEV_BYTES};
use crate::feed::{Bucket, install_file};
use crate::model::digest::Digest;
use crate::model::enrichment::ExploitData;
use crate::model::evidence::{Ended, Evidence};
use crate::model::fact::Fact;
use crate::policy::CLOCK_SKEW;
use crate::vex;

use super::attested_vex::HungVex;

/// CISA's catalogue in a snapshot directory.
const KEV: &str = "kev.json";

/// FIRST's scores in a snapshot directory.
const EPSS: &str = "epss.csv.gz";

/// Which files are read.
#[derive(Debug, Clone, Copy)]
pub struct SupplementFiles<'a> {
    /// VEX documents.
    pub vex: &'a [PathBuf],
    /// CISA's catalogue of known exploited vulnerabilities.
    pub kev: Option<&'a Path>,
    /// FIRST's exploit prediction scores.
    pub epss: Option<&'a Path>,
    /// The snapshot directory, which may have the latter two: `kev.json` and `epss.csv.gz`.
    pub snapshot: Option<&'a Path>,
    /// The cache directory, where the scores are kept as a table; without it they are parsed at each run.
    pub cache: Option<&'a Path>,
}

/// What was read of them.
#[derive(Debug, Default)]
pub struct Supplements {
    vex: Vec<vex::Document>,
    exploits: Exploits,
}

impl Supplements {
    /// Reads the files. Data of the snapshot directory that cannot be read is unknown.
    ///
    /// # Errors
    /// Why a file that the user named cannot be read: name, cause. To go on without it would judge by less than what
    /// was asked for.
    pub fn read(files: &SupplementFiles<'_>) -> Result<Self, String> {
        let vex = files.vex.iter().map(|path| read_vex(path)).collect::<Result<_, _>>()?;
        let kev = |path: &Path| {
            let bytes = read(path, MAX_KEV_BYTES)?;
            Kev::read(&bytes).map_err(|error| error.to_string())
        };
        let epss = |path: &Path| read_epss(path, files.cache);
        let exploits = Exploits {
            kev: named_or_beside(files.kev, files.snapshot, KEV, "exploited vulnerabilities", kev)?,
            epss: named_or_beside(files.epss, files.snapshot, EPSS, "exploit prediction scores", epss)?,
        };
        Ok(Self { vex, exploits })
    }
}

/// Where CISA publishes its catalogue.
pub const PUBLIC_KEV: &str = "https://www.cisa.gov/sites/default/files/feeds";

/// Where FIRST's scores are published.
pub const PUBLIC_EPSS: &str = "https://epss.empiricalsecurity.com";

/// Data on exploits that can be fetched into a snapshot directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExploitFile {
    /// CISA's catalogue.
    Kev,
    /// FIRST's scores.
    Epss,
}

/// Fetches data on exploits into a snapshot directory. `source` is where it is published.
///
/// # Errors
/// Why there is none, or none that may be installed: it cannot be fetched or read, lies in the future, is older than
/// what is there, or has less than half of it. The file that was there then stays.
pub fn fetch_exploits(
    file: ExploitFile,
    source: &Bucket,
    directory: &Path,
    now: Timestamp,
) -> Result<ExploitData, String> {
    let (usual, limit) = match file {
        ExploitFile::Kev => (KEV, MAX_KEV_BYTES),
        ExploitFile::Epss => (EPSS, MAX_EPSS_BYTES),
    };
    let read_data = |bytes: &[u8]| match file {
        ExploitFile::Kev => Kev::read(bytes).map(|kev| kev.info),
        ExploitFile::Epss => Epss::read(bytes).map(|epss| epss.info),
    };
    let mut failure = None;
    for name in published_names(file, now) {
        match source.file(&name, limit) {
            Ok(bytes) => {
                let refused = |error: enrich::Unreadable| format!("{}/{name}: {error}", source.url());
                let data = read_data(&bytes).map_err(refused)?;
                let there = read(&directory.join(usual), limit).ok();
                let there = there.and_then(|bytes| read_data(&bytes).ok());
                enrich::may_follow(&data, there.as_ref(), latest(now)).map_err(refused)?;
                install_file(directory, usual, &bytes).map_err(|error| error.to_string())?;
                return Ok(data);
            }
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.map_or_else(|| "nothing was asked for".to_owned(), |error| error.to_string()))
}

/// The names under which data is published. That of the current scores may redirect to that of a day, and redirects are
/// not followed.
fn published_names(file: ExploitFile, now: Timestamp) -> Vec<String> {
    match file {
        ExploitFile::Kev => vec!["known_exploited_vulnerabilities.json".to_owned()],
        ExploitFile::Epss => {
            let today = TimeZone::UTC.to_datetime(now).date();
            let days = [Some(today), today.yesterday().ok()].into_iter().flatten();
            let dated = days.map(|day| format!("epss_scores-{day}.csv.gz"));
            std::iter::once("epss_scores-current.csv.gz".to_owned()).chain(dated).collect()
        }
    }
}

/// Puts it to the findings at a time: first what is known of exploits, then what VEX sets aside, that of files and that
/// which hangs on the image, where somebody looked for it.
pub(super) fn supplement(
    evidence: &mut Evidence,
    supplements: &Supplements,
    hung: Option<HungVex>,
    now: Timestamp,
) {
    enrich::apply(evidence, &supplements.exploits, latest(now));
    match hung {
        None => vex::apply(evidence, &supplements.vex, latest(now)),
        Some(HungVex { documents, hung }) => {
            let all = supplements.vex.iter().chain(&documents);
            vex::apply_hung(evidence, all, latest(now), hung);
        }
    }
}

/// The latest time that what was made by now may bear: clocks differ.
fn latest(now: Timestamp) -> Timestamp {
    now.checked_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX)
}

/// Notes the distributions whose release is past its end of life at a time: their advisories have stopped, and a
/// scan that finds nothing says little.
pub fn note_end_of_life(evidence: &mut Evidence, now: Timestamp) {
    let today = TimeZone::UTC.to_datetime(now).date();
    let platforms = evidence.platforms.known().into_iter().flatten();
    let ended = platforms.filter_map(|platform| {
        let distro = platform.inventory.known()?.distro.as_ref()?;
        let end = end_of_life(distro).filter(|end| *end < today)?;
        let release = format!("{} {}", distro.id, distro.version_id);
        Some(Ended { platform: platform.platform.clone(), release, end_of_life: end.to_string() })
    });
    evidence.ended = ended.collect();
}

fn read_vex(path: &Path) -> Result<vex::Document, String> {
    let failed = |cause: String| format!("cannot read the VEX document {}: {cause}", path.display());
    let bytes = read(path, vex::MAX_BYTES).map_err(failed)?;
    // Its name alone: the same document in another directory gives the same verdict.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    vex::read(&bytes, &name).map_err(|error| failed(error.to_string()))
}

/// A file that was named, else the one in the snapshot directory.
fn named_or_beside<T>(
    named: Option<&Path>,
    snapshot: Option<&Path>,
    usual: &str,
    what: &str,
    read: impl FnOnce(&Path) -> Result<T, String>,
) -> Result<Fact<T>, String> {
    if let Some(path) = named {
        let failed = |cause| format!("cannot read the {what} in {}: {cause}", path.display());
        return read(path).map(Fact::Known).map_err(failed);
    }
    let Some(path) = snapshot.map(|directory| directory.join(usual)) else { return Ok(Fact::Absent) };
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Fact::Absent),
        Err(error) => Ok(Fact::Unknown(format!("{usual}: {error}"))),
        Ok(_) => Ok(read(&path).map_or_else(|cause| Fact::Unknown(format!("{usual}: {cause}")), Fact::Known)),
    }
}

/// The bytes of a regular file, at most so many and one.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    // Attack: a pipe or a device that never ends, in place of a document.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The scores: from the table that was made of the same bytes, else parsed, and the table kept.
fn read_epss(path: &Path, cache: Option<&Path>) -> Result<Epss, String> {
    let bytes = read(path, MAX_EPSS_BYTES)?;
    let digest = Digest::sha256(&bytes);
    let table = cache.map(|cache| cache.join("epss").join(format!("{}.table", digest.hex())));
    let kept = table.as_deref().and_then(|table| fs::read(table).ok());
    if let Some(epss) = kept.and_then(|kept| Epss::decode(&kept, &digest)) {
        return Ok(epss);
    }
    let epss = Epss::read(&bytes).map_err(|error| error.to_string())?;
    if let Some(table) = table {
        // Where it cannot be kept it is made again at the next run.
        let _ = keep(&table, epss.encoded());
    }
    Ok(epss)
}

/// Writes aside and renames, and takes away the tables of older scores.
fn keep(table: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let Some(directory) = table.parent() else { return Ok(()) };
    fs::create_dir_all(directory)?;
    let mut aside = tempfile::NamedTempFile::new_in(directory)?;
    aside.write_all(bytes)?;
    aside.persist(table).map_err(|error| error.error)?;
    for entry in fs::read_dir(directory)?.filter_map(Result::ok) {
        let path = entry.path();
        if path != table && path.extension().is_some_and(|extension| extension == "table") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
