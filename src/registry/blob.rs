//! Blobs as streams: bounded by their descriptor, taken up again where the connection breaks.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::net::{self, Budget};

use super::client::{Repository, Target};
use super::error::{Error, ErrorKind};
use super::http::{Answer, Call};
use super::limits;

/// The bytes of a blob, piece by piece, each once. They are **not** verified: whoever consumes them
/// computes the digest, as `image::layer` does. Never are there more than the descriptor's size.
#[derive(Debug)]
pub struct BlobStream {
    repository: Repository,
    origin: Option<Repository>,
    digest: Digest,
    size: u64,
    at: String,
    /// Bytes handed out.
    offset: u64,
    /// Bytes still to be passed over, where the registry began at the start again.
    skip: u64,
    body: Option<Answer>,
    etag: Option<String>,
    resumes: u32,
    budget: Budget,
    /// Time spent waiting for bytes, the consumer's own time not counted.
    waited: Duration,
    failed: Option<Error>,
    _permit: OwnedSemaphorePermit,
}

impl Repository {
    /// Opens a blob. Its `urls` are never followed: they lead where its author wants.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] only where the registry says so; [`ErrorKind::Mismatch`] where it states
    /// another length than the descriptor.
    pub async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream, Error> {
        let at = self.at(&Target::Digest(descriptor.digest.clone()));
        let permit = std::sync::Arc::clone(&self.host.streams).acquire_owned().await;
        let permit = permit.map_err(|_| Error::new(ErrorKind::Unavailable, &at, "shut down"))?;
        let mirror = self.mirror();
        let mut stream = BlobStream {
            origin: mirror.is_some().then(|| self.clone()),
            repository: mirror.unwrap_or_else(|| self.clone()),
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            at,
            offset: 0,
            skip: 0,
            body: None,
            etag: None,
            resumes: 0,
            budget: Budget::new(self.host.settings.retry),
            waited: Duration::ZERO,
            failed: None,
            _permit: permit,
        };
        stream.open().await?;
        Ok(stream)
    }

    /// Reads a blob whole and verifies it: configurations, bundles.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] where its descriptor says that it is longer than `limit`;
    /// [`ErrorKind::Mismatch`] where its bytes have another digest.
    pub async fn blob_bytes(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        let at = self.at(&Target::Digest(descriptor.digest.clone()));
        if descriptor.size > limit {
            return Err(Error::too_large(at, "the blob", limit));
        }
        let mut stream = self.blob(descriptor).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        let found = Digest::of(descriptor.digest.algorithm(), &bytes);
        if bytes.len() as u64 == descriptor.size && found == descriptor.digest {
            Ok(bytes)
        } else {
            Err(Error::mismatch(at, format!("digest mismatch: its {} bytes have {found}", bytes.len())))
        }
    }

    /// Whether the registry has a blob (distribution-spec, "Checking if content exists in the registry").
    ///
    /// # Errors
    /// [`Error`] where it does not say.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        match self.head_blob(digest).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The length of a blob, where the registry states it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] only where the registry says so.
    pub async fn head_blob(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let answer = self.host.send(&self.blob_call(Method::HEAD, digest, "pull")).await?;
        Ok(answer.header(CONTENT_LENGTH).and_then(|text| text.parse().ok()))
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// As [`Repository::delete_manifest`].
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        self.host.send(&self.blob_call(Method::DELETE, digest, "pull,push,delete")).await?;
        self.forget_push(&digest.to_string());
        Ok(())
    }

    pub(super) fn blob_call(&self, method: Method, digest: &Digest, actions: &str) -> Call {
        let at = self.at(&Target::Digest(digest.clone()));
        self.call(method, self.url(&format!("blobs/{digest}")), actions, at)
    }
}

impl BlobStream {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where there are more bytes than the descriptor says; whatever kept it from
    /// being taken up again. The same error is answered from then on: an end is never made of it.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let next = self.next().await;
        if let Err(error) = &next {
            self.failed = Some(error.clone());
        }
        next
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.offset == self.size {
                return self.finish().await;
            }
            if self.body.is_none() {
                self.open().await?;
            }
            let bytes = match self.receive().await {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.interrupted(&error).await?;
                    continue;
                }
            };
            let Some(bytes) = self.without_skipped(bytes) else { continue };
            // Attack: a blob that goes on after its size.
            if bytes.len() as u64 > self.size - self.offset {
                return Err(self.too_long());
            }
            self.offset += bytes.len() as u64;
            self.budget = Budget::new(self.repository.host.settings.retry);
            return Ok(Some(bytes));
        }
    }

    /// The next bytes of the body. Its end is an interruption here: the blob has more.
    async fn receive(&mut self) -> Result<Bytes, Error> {
        let idle = self.repository.host.settings.times.idle;
        let late = || Error::new(ErrorKind::Unavailable, &self.at, "no further bytes come in time");
        let Some(body) = &mut self.body else { return Err(late()) };
        let began = Instant::now();
        let received = tokio::time::timeout(idle, body.response.chunk()).await;
        self.waited += began.elapsed();
        // Attack: a byte every few seconds, for ever.
        if net::is_too_slow(self.offset, self.waited) {
            let message = format!("slower than {} bytes a second (limit `slowest`)", net::SLOWEST);
            return Err(Error { lasting: true, ..Error::new(ErrorKind::Unavailable, &self.at, message) });
        }
        match received {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Ok(None)) => {
                let message = format!("the connection ended after {} of {} bytes", self.offset, self.size);
                Err(Error::new(ErrorKind::Unavailable, &self.at, message))
            }
            Ok(Err(error)) => Err(Error::of_network(&self.at, error)),
            Err(_) => Err(late()),
        }
    }

    /// Passes over what was handed out before, where the registry began at the start again.
    fn without_skipped(&mut self, mut bytes: Bytes) -> Option<Bytes> {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        let rest = bytes.split_off(skipped);
        (!rest.is_empty()).then_some(rest)
    }

    /// Waits before the blob is taken up again, or gives up.
    async fn interrupted(&mut self, error: &Error) -> Result<(), Error> {
        self.body = None;
        // The mirror broke off: the registry itself has the rest.
        if let Some(origin) = self.origin.take() {
            self.repository = origin;
            self.etag = None;
            self.waited = Duration::ZERO;
            return Ok(());
        }
        self.resumes += 1;
        // Attack: a connection that breaks after every byte.
        if self.resumes > limits::RESUMES {
            let message = format!(
                "interrupted more than {} times (limit `resumes`), the last time: {}",
                limits::RESUMES,
                error.message
            );
            return Err(Error { message, ..error.clone() });
        }
        match error.wait(&mut self.budget) {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(error.clone()),
        }
    }

    /// All bytes are there: nothing may follow.
    async fn finish(&mut self) -> Result<Option<Bytes>, Error> {
        if self.body.is_some() {
            let further = self.receive().await;
            self.body = None;
            if matches!(further, Ok(bytes) if !bytes.is_empty()) {
                return Err(self.too_long());
            }
        }
        Ok(None)
    }

    /// Asks for the bytes from `offset` on; of the mirror first, and then of the registry itself.
    async fn open(&mut self) -> Result<(), Error> {
        let opened = match self.request().await {
            Err(_) if self.origin.is_some() => {
                self.repository = self.origin.take().unwrap_or_else(|| self.repository.clone());
                self.etag = None;
                self.request().await
            }
            other => other,
        };
        self.body = Some(opened?);
        Ok(())
    }

    async fn request(&mut self) -> Result<Answer, Error> {
        let mut call = self.repository.blob_call(Method::GET, &self.digest, "pull");
        if self.offset > 0 {
            call = call.header(RANGE, &format!("bytes={}-", self.offset))?;
            if let Some(etag) = &self.etag {
                call = call.header(IF_RANGE, etag)?;
            }
        }
        let target = Target::Digest(self.digest.clone());
        let mut answer = loop {
            match self.repository.host.send(&call).await {
                Err(error) if self.repository.is_lag(&error, &target) => self.repository.wait_for_lag().await,
                other => break other?,
            }
        };
        answer.release();
        // Attack, or a login page in between, whose length must not be taken for a lie of the registry's.
        if answer.response.content_length() != Some(self.size - self.offset) {
            answer.refuse_web_page("no blob")?;
        }
        self.skip = 0;
        match answer.status() {
            StatusCode::OK => {
                // A registry without ranges: the whole blob again.
                self.skip = self.offset;
                self.check_length(&answer, self.size)?;
            }
            StatusCode::PARTIAL_CONTENT if self.offset > 0 => {
                self.check_range(&answer)?;
                self.check_length(&answer, self.size - self.offset)?;
            }
            other => {
                let message = format!("the registry answers {} to a request for a blob", other.as_u16());
                return Err(Error::invalid(&self.at, message));
            }
        }
        // A weak tag promises nothing about bytes (RFC 9110 §13.1.5).
        self.etag = answer.header(ETAG).filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        Ok(answer)
    }

    fn check_length(&self, answer: &Answer, want: u64) -> Result<(), Error> {
        match answer.response.content_length() {
            Some(length) if length != want => {
                let message = format!(
                    "size mismatch: the registry has {} bytes, the descriptor says {}",
                    length.saturating_add(self.size - want),
                    self.size
                );
                Err(Error::mismatch(&self.at, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// RFC 9110 §14.4: `bytes 10-99/100`. Attack: other bytes of the blob than were asked for.
    fn check_range(&self, answer: &Answer) -> Result<(), Error> {
        let range = answer.header(CONTENT_RANGE).and_then(parse_range);
        let fits = range.is_some_and(|(first, last, total)| {
            first == self.offset
                && last.checked_add(1) == Some(self.size)
                && total.is_none_or(|n| n == self.size)
        });
        if fits {
            return Ok(());
        }
        Err(Error::invalid(&self.at, "the registry answers another part of the blob than was asked for"))
    }

    fn too_long(&self) -> Error {
        Error::mismatch(&self.at, format!("size mismatch: more bytes than the descriptor's {}", self.size))
    }
}

/// First and last byte and the length of the whole, which may be `*`.
fn parse_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.parse().ok()?, last.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read() {
        assert_eq!(parse_range("bytes 10-99/100"), Some((10, 99, Some(100))));
        assert_eq!(parse_range("bytes 0-0/*"), Some((0, 0, None)));
        for bad in ["", "bytes", "bytes */100", "bytes 1-/2", "items 0-1/2", "bytes -1-2/3", "bytes 0-1"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
