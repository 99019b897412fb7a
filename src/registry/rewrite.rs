//! A manifest under a tag that several write to: read, changed, written back, and looked at again.
//!
//! What [`attach`](super::attach) says of the fallback tag holds here: a tag can only be replaced whole, and where the
//! registry has no conditional writes, a writer that reads before our write and writes after our last look is not seen.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::model::descriptor::Descriptor;
use crate::net::jitter;

use super::client::{Repository, Target};
use super::error::{Error, ErrorKind};
use super::manifest::{Precondition, Pulled, is_missing_part};
use super::push::BlobSource;

/// How often a tag is written anew before the writer gives up.
const WRITES: u32 = 30;

/// The pause after a write that lost.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is to be under a tag in place of what is there.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub media_type: String,
    /// What it points to and may not be there yet.
    pub blobs: Vec<(Descriptor, Bytes)>,
}

impl Repository {
    /// Changes what is under a tag until `change` wants nothing changed any more. It is given what is there, or nothing
    /// where the registry says that there is no such tag.
    ///
    /// # Errors
    /// What `change` says against it ([`ErrorKind::Invalid`]); [`ErrorKind::Unavailable`] where other writers never stop.
    pub async fn rewrite(
        &self,
        tag: &str,
        mut change: impl FnMut(Option<&Pulled>) -> Result<Option<Rewrite>, String>,
    ) -> Result<(), Error> {
        let target = Target::Tag(tag.to_owned());
        let times = &self.host.settings.times;
        let mut written: Option<(Option<_>, Instant)> = None;
        let (mut writes, mut pause, mut looked_again) = (0, PAUSE, false);
        loop {
            let current = match self.manifest(&target).await {
                Ok(pulled) => Some(pulled),
                // Only certain absence: whatever else would be overwritten.
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let digest = current.as_ref().map(|pulled| pulled.digest.clone());
            if let Some((before, at)) = &written
                && *before == digest
                && at.elapsed() < times.lag
            {
                // What was there before our write: the registry lags.
                pause = (pause * 2).min(LONGEST_PAUSE);
                tokio::time::sleep(jitter(pause)).await;
                continue;
            }
            let wanted = change(current.as_ref()).map_err(|cause| Error::invalid(self.at(&target), cause))?;
            let Some(rewrite) = wanted else {
                if written.is_none() || looked_again {
                    return Ok(());
                }
                looked_again = true;
                tokio::time::sleep(times.recheck + jitter(times.recheck / 4)).await;
                continue;
            };
            looked_again = false;
            writes += 1;
            if writes > WRITES {
                let message = format!(
                    "other writers kept replacing the tag, {WRITES} times: try again when they are done"
                );
                return Err(Error::new(ErrorKind::Unavailable, self.at(&target), message));
            }
            for (descriptor, bytes) in rewrite.blobs {
                self.push_blob(&descriptor, BlobSource::Bytes(bytes), None).await?;
            }
            let precondition = match (&current, current.as_ref().and_then(|pulled| pulled.etag.as_deref())) {
                (Some(_), Some(etag)) => Precondition::Is(etag),
                (Some(_), None) => Precondition::None,
                (None, _) => Precondition::Absent,
            };
            match self.put_manifest(&target, &rewrite.manifest, &rewrite.media_type, precondition).await {
                Ok(_) => written = Some((digest, Instant::now())),
                // Another writer was first, and the registry said so.
                Err(error) if error.status == Some(412) => {}
                // What it points to was pushed a moment ago and is not seen yet.
                Err(error) if is_missing_part(&error) && self.was_just_pushed(None) => {}
                Err(error) => return Err(error),
            }
            pause = PAUSE;
            tokio::time::sleep(jitter(PAUSE * writes.min(10))).await;
        }
    }
}
