//! The end points of the distribution specification: from a request to the answer of a registry that works.

use std::collections::BTreeMap;

use portcullis::model::digest::Digest;
use serde_json::{Value, json};

use super::auth::{Addresses, Need, Tokens};
use super::faults::Script;
use super::http::{Reply, Request};
use super::store::{INDEX, Store};
use super::switches::{Auth, ContentDigest, Delete, Location, Referrers, Switches};
use super::uploads::Upload;

/// A registry's whole state.
pub struct State {
    pub switches: Switches,
    pub store: Store,
    pub tokens: Tokens,
    pub script: Script,
    pub uploads: BTreeMap<String, Upload>,
    /// Uploads so far.
    pub opened: usize,
    pub at: Addresses,
}

/// What a path below `/v2/` names.
pub enum Route<'a> {
    Ping,
    Manifest { repository: &'a str, reference: &'a str },
    Blob { repository: &'a str, digest: &'a str },
    Uploads { repository: &'a str },
    Upload { repository: &'a str, id: &'a str },
    Tags { repository: &'a str },
    Referrers { repository: &'a str, digest: &'a str },
}

pub fn route(path: &str) -> Option<Route<'_>> {
    let path = path.strip_prefix("/v2/")?;
    if path.is_empty() {
        return Some(Route::Ping);
    }
    if let Some(repository) = path.strip_suffix("/tags/list") {
        return Some(Route::Tags { repository });
    }
    if let Some(repository) = path.strip_suffix("/blobs/uploads").or(path.strip_suffix("/blobs/uploads/")) {
        return Some(Route::Uploads { repository });
    }
    if let Some((repository, id)) = path.rsplit_once("/blobs/uploads/") {
        return Some(Route::Upload { repository, id });
    }
    if let Some((repository, digest)) = path.rsplit_once("/blobs/") {
        return Some(Route::Blob { repository, digest });
    }
    if let Some((repository, reference)) = path.rsplit_once("/manifests/") {
        return Some(Route::Manifest { repository, reference });
    }
    let (repository, digest) = path.rsplit_once("/referrers/")?;
    Some(Route::Referrers { repository, digest })
}

impl Route<'_> {
    fn repository(&self) -> Option<&str> {
        match self {
            Self::Ping => None,
            Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Tags { repository }
            | Self::Referrers { repository, .. } => Some(repository),
        }
    }
}

/// What a wrong `Docker-Content-Digest` says.
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

pub fn not_allowed() -> Reply {
    Reply::error(405, "UNSUPPORTED", "The operation is unsupported.")
}

pub fn digest_header(reply: Reply, digest: &str, how: ContentDigest) -> Reply {
    match how {
        ContentDigest::Right => reply.with("docker-content-digest", digest),
        ContentDigest::Missing => reply,
        ContentDigest::Wrong => reply.with("docker-content-digest", OTHER),
        ContentDigest::Garbled => reply.with("docker-content-digest", "sha256:zz"),
    }
}

impl State {
    pub fn answer(&mut self, request: &Request) -> Reply {
        if request.path == "/token" {
            return match &self.switches.auth {
                Auth::Bearer(bearer) => self.tokens.issue(bearer, request),
                Auth::None | Auth::Basic { .. } => Reply::new(404, b"404 page not found\n".to_vec()),
            };
        }
        let Some(route) = route(&request.path) else {
            return Reply::new(404, b"404 page not found\n".to_vec()).with("content-type", "text/plain");
        };
        let action = match request.method.as_str() {
            "GET" | "HEAD" => "pull",
            "DELETE" => "delete",
            _ => "push",
        };
        let need = Need { repository: route.repository(), action };
        if let Some(refusal) = self.tokens.refuse(&self.switches.auth, &self.at, request, &need) {
            return refusal;
        }
        match route {
            Route::Ping => {
                Reply::json(200, &json!({})).with("docker-distribution-api-version", "registry/2.0")
            }
            Route::Manifest { repository, reference } => self.manifest(request, repository, reference),
            Route::Blob { repository, digest } => self.blob(request, repository, digest),
            Route::Uploads { repository } => self.open_upload(request, repository),
            Route::Upload { repository, id } => self.upload(request, repository, id),
            Route::Tags { repository } => self.tags(request, repository),
            Route::Referrers { repository, digest } => self.referrers(request, repository, digest),
        }
    }

    /// A reply that says where something is, as this registry words it.
    pub fn located(&self, reply: Reply, path: &str) -> Reply {
        match self.switches.location {
            Location::Absolute => reply.with("location", format!("http://{}{path}", self.at.own)),
            Location::Path => reply.with("location", path),
            Location::Relative => {
                reply.with("location", path.rsplit_once('/').map_or(path, |(_, last)| last))
            }
            Location::Missing => reply,
            Location::Elsewhere => reply.with("location", format!("http://{}{path}", self.at.elsewhere)),
        }
    }

    fn manifest(&mut self, request: &Request, repository: &str, reference: &str) -> Reply {
        match request.method.as_str() {
            "GET" | "HEAD" => self.read_manifest(request, repository, reference),
            "PUT" => self.write_manifest(request, repository, reference),
            "DELETE" if self.switches.delete == Delete::Allowed => {
                let holds = self.store.repository(repository);
                let gone = if reference.contains(':') {
                    holds.remove_manifest(reference)
                } else {
                    let known = holds.newest(reference).is_some();
                    holds.set_tag(reference, None, self.switches.read_after_write_lag);
                    known
                };
                if gone {
                    Reply::empty(202)
                } else {
                    Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown")
                }
            }
            _ => not_allowed(),
        }
    }

    fn read_manifest(&self, request: &Request, repository: &str, reference: &str) -> Reply {
        let Some(holds) = self.store.find(repository) else {
            return Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let Some((digest, manifest)) = holds.manifest(reference) else {
            return Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        // As docker-registry: who does not accept what is there, finds nothing.
        let mut accepted = request.headers.iter().filter(|(name, _)| name == "accept").peekable();
        let fits = |accept: &str| accept.contains(manifest.media_type.as_str()) || accept.contains("*/*");
        if accepted.peek().is_some() && !accepted.any(|(_, accept)| fits(accept)) {
            let message = "manifest found, but accept header does not support its type";
            return Reply::error(404, "MANIFEST_UNKNOWN", message);
        }
        let etag = format!("\"{digest}\"");
        let reply = if self.switches.etag && request.header("if-none-match") == Some(&etag) {
            Reply::empty(304)
        } else {
            Reply::new(200, manifest.bytes.clone()).with("content-type", &manifest.media_type)
        };
        let reply = if self.switches.etag { reply.with("etag", etag) } else { reply };
        digest_header(reply, &digest, self.switches.content_digest)
    }

    fn write_manifest(&mut self, request: &Request, repository: &str, reference: &str) -> Reply {
        if request.body.len() > self.switches.manifest_limit {
            return Reply::error(413, "MANIFEST_INVALID", "manifest too large");
        }
        let Ok(document) = serde_json::from_slice::<Value>(&request.body) else {
            return Reply::error(400, "MANIFEST_INVALID", "manifest invalid");
        };
        let media_type = request.header("content-type").unwrap_or_default();
        if document["mediaType"].as_str().is_some_and(|written| written != media_type) {
            return Reply::error(400, "MANIFEST_INVALID", "mediaType and Content-Type differ");
        }
        let mut digest = Digest::sha256(&request.body).to_string();
        if reference.starts_with("sha512:") {
            digest = sha512(&request.body);
        }
        if reference.contains(':') && reference != digest {
            return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        let holds = self.store.repository(repository);
        if let Some(missing) = holds.missing(&document).first().filter(|_| self.switches.checks_references) {
            return Reply::error(
                404,
                "MANIFEST_BLOB_UNKNOWN",
                &format!("blob unknown to registry: {missing}"),
            );
        }
        if self.switches.etag {
            let newest = if reference.contains(':') {
                holds.has_manifest(reference).then_some(reference)
            } else {
                holds.newest(reference)
            };
            let tagged = newest.map(|digest| format!("\"{digest}\""));
            let lost = request.header("if-match").is_some_and(|wanted| tagged.as_deref() != Some(wanted))
                || (request.header("if-none-match") == Some("*") && tagged.is_some());
            if lost {
                return Reply::error(412, "PRECONDITION_FAILED", "the tag has moved");
            }
        }
        let lag = self.switches.read_after_write_lag;
        holds.put_manifest_as(&digest, media_type, &request.body, lag);
        if !reference.contains(':') {
            holds.set_tag(reference, Some(&digest), lag);
        }
        let reply = self.located(Reply::empty(201), &format!("/v2/{repository}/manifests/{digest}"));
        let reply = digest_header(reply, &digest, self.switches.content_digest);
        match (self.switches.referrers, document["subject"]["digest"].as_str()) {
            (Referrers::Native { .. } | Referrers::Unfiltered { .. }, Some(subject)) => {
                reply.with("oci-subject", subject)
            }
            _ => reply,
        }
    }

    fn tags(&self, request: &Request, repository: &str) -> Reply {
        if request.method != "GET" {
            return not_allowed();
        }
        let Some(holds) = self.store.find(repository) else {
            return Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let wanted = request.parameter("n").and_then(|n| n.parse().ok());
        let wanted = wanted.unwrap_or(self.switches.tag_page).min(self.switches.tag_page);
        let last = request.parameter("last").unwrap_or_default();
        let tags = holds.tags();
        let rest: Vec<&str> = tags.into_iter().filter(|tag| last.is_empty() || *tag > last).collect();
        let page = rest.get(..wanted).unwrap_or(&rest);
        let reply = Reply::json(200, &json!({"name": repository, "tags": page}));
        match page.last().filter(|_| page.len() < rest.len()) {
            Some(last) => {
                let next = format!("</v2/{repository}/tags/list?n={wanted}&last={last}>; rel=\"next\"");
                reply.with("link", next)
            }
            None => reply,
        }
    }

    fn referrers(&self, request: &Request, repository: &str, digest: &str) -> Reply {
        if request.method != "GET" {
            return not_allowed();
        }
        let (page_size, filters) = match self.switches.referrers {
            Referrers::Off => return Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            Referrers::RedirectElsewhere => {
                let short: String = digest.chars().take(6).collect();
                let package = format!("{repository}/referrers%2F{short}");
                let to = format!("http://{}/-/v2/packages/container/package/{package}", self.at.elsewhere);
                return Reply::empty(303).with("location", to);
            }
            Referrers::Native { page_size } => (page_size, true),
            Referrers::Unfiltered { page_size } => (page_size, false),
        };
        let mut all = self.store.find(repository).map(|holds| holds.referrers(digest)).unwrap_or_default();
        let kind = request.parameter("artifactType").filter(|_| filters);
        if let Some(kind) = kind {
            all.retain(|descriptor| descriptor["artifactType"] == kind);
        }
        let last = request.parameter("last").unwrap_or_default();
        let rest: Vec<Value> =
            all.into_iter().filter(|d| d["digest"].as_str().is_some_and(|digest| digest > last)).collect();
        let page = rest.get(..page_size).unwrap_or(&rest);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": page});
        let mut reply = Reply::json(200, &index).with("content-type", INDEX);
        if kind.is_some() {
            reply = reply.with("oci-filters-applied", "artifactType");
        }
        if let Some(last) = page.last().filter(|_| page.len() < rest.len()) {
            let kind = request.parameter("artifactType").map(|kind| {
                let set = percent_encoding::NON_ALPHANUMERIC;
                format!("artifactType={}&", percent_encoding::utf8_percent_encode(kind, set))
            });
            let last = last["digest"].as_str().unwrap_or_default();
            let next = format!("/v2/{repository}/referrers/{digest}?{}last={last}", kind.unwrap_or_default());
            reply = reply.with("link", format!("<{next}>; rel=\"next\""));
        }
        reply
    }
}

/// The SHA-512 digest of bytes.
pub fn sha512(bytes: &[u8]) -> String {
    use portcullis::model::digest::{Algorithm, Hasher};
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(bytes);
    hasher.finish().to_string()
}
