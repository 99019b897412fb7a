//! Manifests and indexes: read, looked at, written, deleted.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};

use crate::image::document::{INDEX_TYPES, MANIFEST_TYPES};
use crate::model::digest::Digest;
use crate::net::jitter;

use super::client::{Repository, Target, is_tag};
use super::error::{Error, ErrorKind};
use super::http::Answer;
use super::limits;

/// The header that names the digest of what was answered (distribution-spec, "Pulling manifests").
pub(super) const DIGEST: &str = "docker-content-digest";

/// How long is waited between looks at something that we pushed and the registry does not show yet.
const LOOK: Duration = Duration::from_millis(500);

/// A manifest or index as the registry gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its bytes, as they came.
    pub bytes: Vec<u8>,
    /// Digest of the bytes: computed here, equal to the one asked for and to the one the registry states.
    pub digest: Digest,
    /// `Content-Type`, without parameters. Whether it agrees with `mediaType` is for `image::document`.
    pub media_type: Option<String>,
    /// `ETag`, for a write that must not overwrite another's.
    pub(super) etag: Option<String>,
}

#[cfg(test)]
impl Pulled {
    /// A manifest that nobody had to pull.
    pub(crate) fn for_test(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), digest: Digest::sha256(bytes), media_type: None, etag: None }
    }
}

/// What a registry says of a manifest without sending it. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The digest it states.
    pub digest: Option<Digest>,
    /// `Content-Type`, without parameters.
    pub media_type: Option<String>,
    /// `Content-Length`.
    pub size: Option<u64>,
}

/// What came of pushing a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the bytes; the registry states the same or none.
    pub digest: Digest,
    /// `OCI-Subject`: the registry lists the manifest among its subject's referrers by itself.
    pub subject: Option<Digest>,
}

impl Repository {
    /// Pulls a manifest or an index, at most [`limits::MANIFEST`] bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] only where the registry says that it has none; [`ErrorKind::Mismatch`] where
    /// its bytes have another digest than the one asked for or the one stated.
    pub async fn manifest(&self, target: &Target) -> Result<Pulled, Error> {
        if let (Target::Digest(_), Some(mirror)) = (target, self.mirror())
            && let Ok(pulled) = mirror.manifest_here(target).await
        {
            return Ok(pulled);
        }
        loop {
            match self.manifest_here(target).await {
                Err(error) if self.is_lag(&error, target) => self.wait_for_lag().await,
                other => return other,
            }
        }
    }

    async fn manifest_here(&self, target: &Target) -> Result<Pulled, Error> {
        let mut answer = self.ask(Method::GET, target).await?;
        let at = answer.at.clone();
        let media_type = answer.media_type();
        answer.refuse_web_page("no manifest")?;
        if answer.status() != StatusCode::OK {
            let message = format!("the registry answers {} to a pull", answer.status().as_u16());
            return Err(Error::invalid(at, message));
        }
        let patience = self.host.settings.times.document;
        let bytes = answer.read(limits::MANIFEST, "the manifest", patience).await?;
        check_structure(&bytes, &at)?;
        let digest = match target {
            Target::Digest(wanted) => {
                let found = Digest::of(wanted.algorithm(), &bytes);
                // Attack: other bytes than the ones that were asked for by digest.
                if found != *wanted {
                    return Err(Error::mismatch(at, format!("digest mismatch: its bytes have {found}")));
                }
                found
            }
            Target::Tag(_) => Digest::sha256(&bytes),
        };
        check_stated(&answer, &bytes, &at)?;
        let etag = answer.header(ETAG).map(str::to_owned);
        Ok(Pulled { bytes, digest, media_type, etag })
    }

    /// Asks what a manifest is without having it sent.
    ///
    /// # Errors
    /// As [`Repository::manifest`].
    pub async fn head(&self, target: &Target) -> Result<Head, Error> {
        let answer = loop {
            match self.ask(Method::HEAD, target).await {
                Err(error) if self.is_lag(&error, target) => self.wait_for_lag().await,
                other => break other?,
            }
        };
        let digest = match answer.response.headers().get(DIGEST) {
            None => None,
            Some(_) => Some(stated(&answer)?),
        };
        let size = answer.header(reqwest::header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        Ok(Head { digest, media_type: answer.media_type(), size })
    }

    /// Pulls a manifest that [`Repository::head`] was asked about before. Whoever acted on what that said
    /// must not go on with another one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the tag moved in between; else as [`Repository::manifest`].
    pub async fn manifest_after(&self, head: &Head, target: &Target) -> Result<Pulled, Error> {
        let pulled = self.manifest(target).await?;
        match &head.digest {
            Some(stated) if stated.algorithm() == pulled.digest.algorithm() && *stated != pulled.digest => {
                let message = format!(
                    "the tag moved while it was read, from {stated} to {}: somebody pushed it; name the image \
                     by its digest, or try again",
                    pulled.digest
                );
                Err(Error::invalid(self.at(target), message))
            }
            Some(_) | None => Ok(pulled),
        }
    }

    async fn ask(&self, method: Method, target: &Target) -> Result<Answer, Error> {
        let at = self.at(target);
        if let Target::Tag(tag) = target
            && !is_tag(tag)
        {
            return Err(Error::new(ErrorKind::Settings, at, "no tag"));
        }
        let url = self.url(&format!("manifests/{target}"));
        let accept = [INDEX_TYPES, MANIFEST_TYPES].concat().join(", ");
        let call = self.call(method, url, "pull", at).header(ACCEPT, &accept)?;
        self.host.send(&call).await
    }

    /// Whether something is missing that we pushed ourselves a moment ago (GHCR shows it seconds later).
    /// Anybody else's 404 is final.
    pub(super) fn is_lag(&self, error: &Error, target: &Target) -> bool {
        error.kind == ErrorKind::NotFound && self.was_just_pushed(Some(&target.to_string()))
    }

    pub(super) async fn wait_for_lag(&self) {
        tokio::time::sleep(jitter(LOOK)).await;
    }

    /// Pushes a manifest or index under a tag or its digest (distribution-spec, "Pushing Manifests").
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where the registry states another digest than the bytes have.
    pub async fn push_manifest(
        &self,
        target: &Target,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<Pushed, Error> {
        loop {
            match self.put_manifest(target, bytes, media_type, Precondition::None).await {
                // What it points to was pushed a moment ago and is not seen yet.
                Err(error) if is_missing_part(&error) && self.was_just_pushed(None) => {
                    tokio::time::sleep(jitter(LOOK)).await;
                }
                other => return other,
            }
        }
    }

    pub(super) async fn put_manifest(
        &self,
        target: &Target,
        bytes: &[u8],
        media_type: &str,
        precondition: Precondition<'_>,
    ) -> Result<Pushed, Error> {
        let at = self.at(target);
        if bytes.len() as u64 > limits::MANIFEST {
            return Err(Error::too_large(at, "the manifest", limits::MANIFEST));
        }
        let own = match target {
            Target::Digest(digest) => Digest::of(digest.algorithm(), bytes),
            Target::Tag(_) => Digest::sha256(bytes),
        };
        if matches!(target, Target::Digest(digest) if *digest != own) {
            return Err(Error::mismatch(at, format!("the bytes to push have the digest {own}")));
        }
        let url = self.url(&format!("manifests/{target}"));
        let mut call = self.call(Method::PUT, url, "pull,push", at).header(CONTENT_TYPE, media_type)?;
        call.body = bytes.to_vec().into();
        call = match precondition {
            Precondition::None => call,
            Precondition::Is(etag) => call.header(IF_MATCH, etag)?,
            Precondition::Absent => call.header(IF_NONE_MATCH, "*")?,
        };
        let answer = self.host.send(&call).await?;
        // Only 201 is promised; some answer 200 or 202. What matters is the digest.
        check_stated(&answer, bytes, &answer.at)?;
        self.remember_push(&target.to_string());
        self.remember_push(&own.to_string());
        let subject = answer.header("oci-subject").and_then(|text| text.parse().ok());
        Ok(Pushed { digest: own, subject })
    }

    /// Deletes a manifest by digest, or a tag (distribution-spec, "Deleting Manifests").
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the registry has no deleting, as GHCR; [`ErrorKind::NotFound`]
    /// where there is no such thing, which a caller may take for success.
    pub async fn delete_manifest(&self, target: &Target) -> Result<(), Error> {
        let url = self.url(&format!("manifests/{target}"));
        let call = self.call(Method::DELETE, url, "pull,push,delete", self.at(target));
        self.host.send(&call).await?;
        self.forget_push(&target.to_string());
        Ok(())
    }
}

/// What must hold of a tag for a write to it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Precondition<'a> {
    /// Nothing.
    None,
    /// It is still what was read (RFC 9110 §13.1.1).
    Is(&'a str),
    /// It does not exist (RFC 9110 §13.1.2).
    Absent,
}

/// Attack: a manifest of four mebibytes of `{"a":0},{"a":0},…`, which takes a hundred times that once it is
/// parsed. Counted is what begins or parts values, outside of strings.
fn check_structure(bytes: &[u8], at: &str) -> Result<(), Error> {
    let (mut count, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' | b',' | b':' if !quoted => count += 1,
            _ => {}
        }
    }
    if count <= limits::STRUCTURE {
        return Ok(());
    }
    let message = format!("the manifest has more than {} values (limit `structure`)", limits::STRUCTURE);
    Err(Error::new(ErrorKind::TooLarge, at, message))
}

/// Whether a registry refuses a manifest because it does not see a part of it.
pub(super) fn is_missing_part(error: &Error) -> bool {
    matches!(error.code.as_deref(), Some("MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN"))
}

/// The digest that an answer states.
fn stated(answer: &Answer) -> Result<Digest, Error> {
    answer
        .header(DIGEST)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::invalid(&answer.at, "the registry states a digest that is none"))
}

/// Attack: a header that says another digest than the bytes have, for clients that believe it.
fn check_stated(answer: &Answer, bytes: &[u8], at: &str) -> Result<(), Error> {
    if !answer.response.headers().contains_key(DIGEST) {
        return Ok(());
    }
    let stated = stated(answer)?;
    let found = Digest::of(stated.algorithm(), bytes);
    if stated == found {
        return Ok(());
    }
    let message = format!("the registry states the digest {stated}, its bytes have {found}");
    Err(Error { stated: true, ..Error::mismatch(at, message) })
}
