//! Blobs pushed: looked for, mounted, in one piece or in several (distribution-spec, "Pushing blobs").

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};

use crate::model::descriptor::Descriptor;
use crate::model::digest::Hasher;
use crate::net::Budget;

use super::client::{Repository, Target};
use super::error::{Error, ErrorKind};
use super::guard;
use super::http::{Answer, Call};
use super::limits;
use super::manifest::DIGEST;

/// Where the bytes of a blob to push come from.
pub enum BlobSource {
    /// From memory.
    Bytes(Bytes),
    /// From a reader, which is read once, a piece at a time, on a thread that may block.
    Reader(Box<dyn Read + Send>),
}

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobPushed {
    /// It was there.
    Existed,
    /// It was taken from another repository of the registry.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// An upload that the registry has opened.
struct Upload {
    location: Url,
    /// The smallest piece that it takes (`OCI-Chunk-Min-Length`), unless it is the last.
    smallest: usize,
}

impl Repository {
    /// Pushes a blob: not where it is there already, by mounting it from repository `from` of the same
    /// registry where that works, else by sending it.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where the source has other bytes than the descriptor says: nothing is
    /// finished then.
    pub async fn push_blob(
        &self,
        descriptor: &Descriptor,
        source: BlobSource,
        from: Option<&str>,
    ) -> Result<BlobPushed, Error> {
        if self.has_blob(&descriptor.digest).await? {
            return Ok(BlobPushed::Existed);
        }
        let Some(upload) = self.begin(descriptor, from).await? else {
            self.remember_push(&descriptor.digest.to_string());
            return Ok(BlobPushed::Mounted);
        };
        let location = upload.location.clone();
        let sent = self.send_blob(descriptor, source, upload).await;
        match sent {
            Ok(()) => {
                self.remember_push(&descriptor.digest.to_string());
                Ok(BlobPushed::Uploaded)
            }
            Err(error) => {
                // What was begun takes room at the registry; that it cannot be told so changes nothing.
                let call = self.upload_call(Method::DELETE, location, descriptor);
                let _ = self.host.send(&Call { repeatable: false, ..call }).await;
                Err(error)
            }
        }
    }

    /// Opens an upload; none where the blob could be mounted.
    async fn begin(&self, descriptor: &Descriptor, from: Option<&str>) -> Result<Option<Upload>, Error> {
        let mut url = self.url("blobs/uploads/");
        let mut extra = None;
        if let Some(from) = from.filter(|from| *from != self.name) {
            url.query_pairs_mut()
                .append_pair("mount", &descriptor.digest.to_string())
                .append_pair("from", from);
            extra = Some(format!("repository:{from}:pull"));
        }
        let mut call = self.upload_call(Method::POST, url, descriptor);
        call.need.scopes.extend(extra);
        call.need.scopes.sort();
        let answer = self.host.send(&call).await?;
        match answer.status() {
            StatusCode::CREATED => {
                self.check_created(&answer, descriptor)?;
                Ok(None)
            }
            // 202 to a mount: declined, and an upload opened instead. It is used.
            StatusCode::ACCEPTED => {
                let smallest = answer.header("oci-chunk-min-length").and_then(|text| text.parse().ok());
                let location = self.location(&answer, &call.url)?;
                Ok(Some(Upload { location, smallest: smallest.unwrap_or_default() }))
            }
            other => {
                let message = format!("the registry answers {} to the opening of an upload", other.as_u16());
                Err(Error::invalid(&call.at, message))
            }
        }
    }

    async fn send_blob(
        &self,
        descriptor: &Descriptor,
        source: BlobSource,
        upload: Upload,
    ) -> Result<(), Error> {
        let mut pieces = Pieces::new(source, descriptor, self.at(&Target::Digest(descriptor.digest.clone())));
        let piece_size = limits::CHUNK.max(upload.smallest).min(limits::LARGEST_CHUNK);
        let mut location = upload.location;
        let mut last = pieces.next(piece_size).await?;
        if descriptor.size > limits::CHUNK as u64 {
            let mut offset = 0;
            loop {
                let length = last.len() as u64;
                location = self.patch(descriptor, location, last, offset).await?;
                offset += length;
                last = pieces.next(piece_size).await?;
                if last.is_empty() {
                    break;
                }
            }
        }
        // Before the upload is closed: what is wrong here must not be finished there.
        pieces.verify().await?;
        location.query_pairs_mut().append_pair("digest", &descriptor.digest.to_string());
        let mut call = self.upload_call(Method::PUT, location, descriptor);
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call.body = last;
        let answer = match self.host.send(&call).await {
            Ok(answer) => answer,
            // The answer to the first try was lost, and the upload is closed.
            Err(error) if error.status == Some(404) && self.has_blob(&descriptor.digest).await? => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.check_created(&answer, descriptor)
    }

    /// Sends one piece; again where it did not arrive. The place of the next one.
    async fn patch(
        &self,
        descriptor: &Descriptor,
        mut location: Url,
        piece: Bytes,
        offset: u64,
    ) -> Result<Url, Error> {
        let mut budget = Budget::new(self.host.settings.retry);
        let end = offset + piece.len() as u64;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut call = self.upload_call(Method::PATCH, location.clone(), descriptor);
            call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            call = call
                .header(CONTENT_RANGE, &format!("{offset}-{}", end.saturating_sub(1)))?
                .header(CONTENT_LENGTH, &piece.len().to_string())?;
            call.body = piece.clone();
            call.repeatable = false;
            call.attempt = attempt;
            let error = match self.host.send(&call).await {
                Ok(answer) => return self.location(&answer, &call.url),
                Err(error) => error,
            };
            let Some(wait) = error.wait(&mut budget) else { return Err(error) };
            tokio::time::sleep(wait).await;
            // Nobody knows whether the piece arrived: the registry is asked how far it is.
            let status = self.host.send(&self.upload_call(Method::GET, location.clone(), descriptor)).await?;
            let arrived = status.header(RANGE).and_then(arrived).unwrap_or_default();
            location = self.location(&status, &location)?;
            if arrived == end {
                return Ok(location);
            }
            if arrived != offset {
                let message =
                    format!("the upload has {arrived} bytes, neither {offset} nor {end}: it is lost");
                return Err(Error { message, ..error });
            }
        }
    }

    fn upload_call(&self, method: Method, url: Url, descriptor: &Descriptor) -> Call {
        let at = self.at(&Target::Digest(descriptor.digest.clone()));
        self.call(method, url, "pull,push", at)
    }

    /// Where an upload goes on: absolute, from the root, or relative to the request.
    fn location(&self, answer: &Answer, asked: &Url) -> Result<Url, Error> {
        let location = answer.header(LOCATION).and_then(|location| asked.join(location).ok());
        let location = location.ok_or_else(|| {
            Error::invalid(&answer.at, "the registry does not say where the upload goes on")
        })?;
        // Attack: an upload, and the token with it, that is led to another host.
        if !guard::is_same_origin(&location, &self.host.base) {
            let (host, _) = guard::authority(&location);
            let message = format!("the registry wants the upload to go on at another host, `{host}`");
            return Err(Error::new(ErrorKind::Refused, &answer.at, message));
        }
        Ok(location)
    }

    fn check_created(&self, answer: &Answer, descriptor: &Descriptor) -> Result<(), Error> {
        let stated = answer.response.headers().get(DIGEST).map(|value| value.to_str().ok());
        match stated {
            Some(stated) if stated != Some(&descriptor.digest.to_string()) => Err(Error::mismatch(
                &answer.at,
                "the registry states another digest for the blob that was pushed",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// How many bytes have arrived, of a `Range` such as `0-4194303` (or `bytes=0-4194303`).
fn arrived(range: &str) -> Option<u64> {
    let (_, last) = range.trim_start_matches("bytes=").split_once('-')?;
    // Nothing yet is told as `0-0` by docker-registry, which is also one byte; no piece has one.
    match last.trim().parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}

/// A source cut into pieces, hashed on the way.
struct Pieces {
    source: Pending,
    hasher: Hasher,
    read: u64,
    descriptor: Descriptor,
    at: String,
}

enum Pending {
    Bytes(Bytes),
    Reader(Arc<Mutex<Box<dyn Read + Send>>>),
}

impl Pieces {
    fn new(source: BlobSource, descriptor: &Descriptor, at: String) -> Self {
        let source = match source {
            BlobSource::Bytes(bytes) => Pending::Bytes(bytes),
            BlobSource::Reader(reader) => Pending::Reader(Arc::new(Mutex::new(reader))),
        };
        let hasher = Hasher::new(descriptor.digest.algorithm());
        Self { source, hasher, read: 0, descriptor: descriptor.clone(), at }
    }

    /// The next piece of `size` bytes, or what is left.
    async fn next(&mut self, size: usize) -> Result<Bytes, Error> {
        let piece = match &mut self.source {
            Pending::Bytes(bytes) => bytes.split_to(size.min(bytes.len())),
            Pending::Reader(reader) => {
                let reader = Arc::clone(reader);
                let reading = tokio::task::spawn_blocking(move || {
                    let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut piece = Vec::new();
                    reader.as_mut().take(size as u64).read_to_end(&mut piece).map(|_| piece)
                });
                let unreadable = |cause: String| Error::new(ErrorKind::Unavailable, &self.at, cause);
                let read = reading.await.map_err(|_| unreadable("the source of the blob failed".into()))?;
                read.map_err(|error| {
                    let own = Error::of(&error).cloned();
                    own.unwrap_or_else(|| unreadable(format!("the source of the blob failed: {error}")))
                })?
                .into()
            }
        };
        self.hasher.update(&piece);
        self.read += piece.len() as u64;
        if self.read > self.descriptor.size {
            return Err(self.mismatch("more bytes"));
        }
        Ok(piece)
    }

    /// All bytes were sent: they are those of the descriptor.
    async fn verify(&mut self) -> Result<(), Error> {
        if self.read < self.descriptor.size {
            return Err(self.mismatch("fewer bytes"));
        }
        // One byte beyond the size proves that the source is another blob.
        if !self.next(1).await?.is_empty() {
            return Err(self.mismatch("more bytes"));
        }
        if self.hasher.clone().finish() == self.descriptor.digest {
            return Ok(());
        }
        Err(self.mismatch("other bytes"))
    }

    fn mismatch(&self, what: &str) -> Error {
        Error::mismatch(&self.at, format!("the source of the blob has {what} than its descriptor says"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_of_an_upload_is_read() {
        for (text, want) in [
            ("0-4194303", Some(4_194_304)),
            ("bytes=0-9", Some(10)),
            ("0-0", Some(0)),
            ("", None),
            ("0-x", None),
        ] {
            assert_eq!(arrived(text), want, "{text}");
        }
    }
}
