//! Names the readers of layers by their sources: what they once read of a layer holds for as long as they are
//! the same. A constant to be raised by hand would be forgotten once, and old answers given for new.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest as _, Sha256};

/// All that the facts of a layer depend on: its archive, its catalogers and what they answer, and the crates
/// that they use.
const SOURCES: &[&str] = &["Cargo.lock", "src/image", "src/inventory", "src/model"];

fn main() -> io::Result<()> {
    let Some(root) = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from) else {
        return Err(io::Error::other("CARGO_MANIFEST_DIR is not set"));
    };
    let mut hasher = Sha256::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        let found = files(&root.join(source))?;
        // Attack: readers that are all called the same, and old answers for new. A package that was published
        // may have no `Cargo.lock`.
        if found.is_empty() && source.starts_with("src/") {
            return Err(io::Error::other(format!("{source} has no sources")));
        }
        for file in found {
            let bytes = fs::read(&file)?;
            hasher.update(file.strip_prefix(&root).unwrap_or(&file).as_os_str().as_encoded_bytes());
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(&bytes);
        }
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=PORTCULLIS_READERS={digest}");
    Ok(())
}

/// The files at and below a path, sorted; none where there is nothing.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(if path.exists() { vec![path.to_owned()] } else { Vec::new() });
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        found.extend(files(&entry?.path())?);
    }
    found.sort();
    Ok(found)
}
