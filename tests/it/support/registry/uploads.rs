//! Blobs: read in whole or by range, uploaded at once or by chunks.

use portcullis::model::digest::Digest;

use super::content::Content;
use super::http::{Reply, Request};
use super::routes::{State, digest_header, not_allowed, sha512};
use super::switches::{Blobs, Delete};

/// A blob on its way in.
pub struct Upload {
    repository: String,
    bytes: Vec<u8>,
    /// Counts the answers: each gives another `Location`, and an old one is no good.
    turn: usize,
}

/// A blob, or the part that `Range` asks for.
pub fn deliver(request: &Request, digest: &str, blob: &Content, ranges: bool) -> Reply {
    let etag = format!("\"{digest}\"");
    let whole = |blob: &Content| {
        Reply::new(200, blob.clone()).with("content-type", "application/octet-stream").with("etag", &etag)
    };
    let fresh = request.header("if-range").is_none_or(|wanted| wanted == etag);
    let Some(range) = request.header("range").filter(|_| ranges && fresh) else {
        let reply = whole(blob);
        return if ranges { reply.with("accept-ranges", "bytes") } else { reply };
    };
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let bounds = bounds.and_then(|(first, last)| match (first.parse().ok(), last.parse().ok()) {
        (Some(first), None) => Some((first, blob.len())),
        (Some(first), Some(last)) => Some((first, blob.len().min(1 + last))),
        (None, Some(tail)) => Some((blob.len().saturating_sub(tail), blob.len())),
        (None, None) => None,
    });
    let Some((first, end)) = bounds else { return whole(blob) };
    if first >= end {
        return Reply::error(416, "RANGE_INVALID", "invalid content range")
            .with("content-range", format!("bytes */{}", blob.len()));
    }
    let part = Reply::new(206, blob.part(first, end - first));
    part.with("content-type", "application/octet-stream")
        .with("etag", etag)
        .with("content-range", format!("bytes {first}-{}/{}", end - 1, blob.len()))
}

fn too_large(limit: usize) -> Reply {
    let message = format!("chunk exceeds the limit of {limit} bytes");
    Reply::error(416, "REQUESTED_RANGE_NOT_SATISFIABLE", &message)
}

impl State {
    pub fn blob(&mut self, request: &Request, repository: &str, digest: &str) -> Reply {
        match request.method.as_str() {
            "GET" | "HEAD" => {}
            "DELETE" if self.switches.delete == Delete::Allowed => {
                let known = self.store.repository(repository).blobs.remove(digest).is_some();
                return if known {
                    Reply::empty(202)
                } else {
                    Reply::error(404, "BLOB_UNKNOWN", "blob unknown")
                };
            }
            _ => return not_allowed(),
        }
        let Some(blob) = self.store.find(repository).and_then(|holds| holds.blobs.get(digest)) else {
            return Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        if self.switches.blobs == Blobs::Redirected && request.method == "GET" {
            let to = format!("http://{}/blob/{repository}/{digest}?sig=abc", self.at.elsewhere);
            return Reply::empty(307).with("location", to);
        }
        let reply = deliver(request, digest, blob, self.switches.ranges);
        digest_header(reply, digest, self.switches.content_digest)
    }

    pub fn open_upload(&mut self, request: &Request, repository: &str) -> Reply {
        if request.method != "POST" {
            return not_allowed();
        }
        if let Some(digest) = request.parameter("mount").filter(|_| self.switches.mount) {
            let from = request.parameter("from").and_then(|from| self.store.find(from));
            if let Some(blob) = from.and_then(|from| from.blobs.get(digest)).cloned() {
                self.store.repository(repository).blobs.insert(digest.to_owned(), blob);
                return self.stored(repository, digest);
            }
        }
        if let Some(digest) = request.parameter("digest").filter(|_| self.switches.single_post) {
            return self.store_blob(repository, digest, request.body.to_vec());
        }
        self.opened += 1;
        let id = format!("upload-{}", self.opened);
        let upload = Upload { repository: repository.to_owned(), bytes: Vec::new(), turn: 0 };
        self.uploads.insert(id.clone(), upload);
        self.accepted(202, &id)
    }

    pub fn upload(&mut self, request: &Request, repository: &str, id: &str) -> Reply {
        let turn = request.parameter("_state").and_then(|turn| turn.parse().ok());
        let known = self.uploads.get_mut(id).filter(|upload| upload.repository == repository);
        // Asking how far it got needs no state: a client may have lost an answer.
        let Some(upload) = known.filter(|u| Some(u.turn) == turn || request.method == "GET") else {
            return Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        let limit = self.switches.upload_chunk_limit.filter(|limit| request.body.len() > *limit);
        match (request.method.as_str(), limit) {
            ("GET", _) => self.accepted(204, id),
            ("DELETE", _) => {
                self.uploads.remove(id);
                Reply::empty(204)
            }
            ("PATCH" | "PUT", Some(limit)) => too_large(limit),
            ("PATCH", None) => {
                let start =
                    request.header("content-range").and_then(|range| range.split_once('-')?.0.parse().ok());
                if start.is_some_and(|start: usize| start != upload.bytes.len()) {
                    let mut reply = self.accepted(416, id);
                    reply.body = b"{}".to_vec().into();
                    return reply;
                }
                upload.bytes.extend_from_slice(&request.body);
                upload.turn += 1;
                self.accepted(202, id)
            }
            ("PUT", None) => {
                let Some(digest) = request.parameter("digest") else {
                    return Reply::error(400, "DIGEST_INVALID", "digest parameter missing");
                };
                upload.bytes.extend_from_slice(&request.body);
                let bytes = self.uploads.remove(id).map(|upload| upload.bytes).unwrap_or_default();
                self.store_blob(repository, digest, bytes)
            }
            _ => not_allowed(),
        }
    }

    /// How far an upload is and where it goes on.
    fn accepted(&self, status: u16, id: &str) -> Reply {
        let Some(upload) = self.uploads.get(id) else { return Reply::empty(404) };
        let path = format!("/v2/{}/blobs/uploads/{id}?_state={}", upload.repository, upload.turn);
        self.located(Reply::empty(status), &path)
            .with("range", format!("0-{}", upload.bytes.len().saturating_sub(1)))
            .with("docker-upload-uuid", id)
    }

    fn store_blob(&mut self, repository: &str, digest: &str, bytes: Vec<u8>) -> Reply {
        let right =
            if digest.starts_with("sha512:") { sha512(&bytes) } else { Digest::sha256(&bytes).to_string() };
        if digest != right {
            return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        self.store.repository(repository).blobs.insert(right, bytes.into());
        self.stored(repository, digest)
    }

    fn stored(&self, repository: &str, digest: &str) -> Reply {
        let reply = self.located(Reply::empty(201), &format!("/v2/{repository}/blobs/{digest}"));
        digest_header(reply, digest, self.switches.content_digest)
    }
}
