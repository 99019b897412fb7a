//! Files that are read whole.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::Failure;

/// Reads a file that may not be larger than a limit.
///
/// # Errors
/// A failure that is undecided: what was named could not be looked at.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let failed = |cause: String| Failure::undecided(format!("cannot read {}: {cause}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > limit) {
        return Err(failed(format!("it is larger than the limit of {limit} bytes")));
    }
    Ok(bytes)
}
