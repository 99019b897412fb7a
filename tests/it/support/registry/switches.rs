//! How a registry behaves.

use std::time::Duration;

/// Who is known where a password is asked for, unless a test says otherwise.
pub const USER: &str = "ci";
pub const PASSWORD: &str = "s3cret";

/// The ways of a registry. The default is one that keeps to the specification and asks for no password.
#[derive(Clone)]
pub struct Switches {
    pub referrers: Referrers,
    /// Bodies of `PATCH` and `PUT` to an upload above this are answered 416.
    pub upload_chunk_limit: Option<usize>,
    /// `POST …/uploads/?digest=` takes the whole blob; else an upload is opened, which the specification allows.
    pub single_post: bool,
    /// `POST …/uploads/?mount=` is honoured where the blob is there; else an upload is opened.
    pub mount: bool,
    pub delete: Delete,
    pub auth: Auth,
    pub blobs: Blobs,
    /// For so long after a write by HTTP a manifest is not found, and its tag is what it was.
    pub read_after_write_lag: Duration,
    /// `ETag` on manifests; `If-Match` and `If-None-Match: *` on writes are honoured with 412.
    pub etag: bool,
    pub location: Location,
    pub content_digest: ContentDigest,
    /// `Range` is honoured; else the whole blob comes with 200.
    pub ranges: bool,
    /// The most tags of a page, and how many come where `n` does not say.
    pub tag_page: usize,
    /// Manifests above this are refused with 413.
    pub manifest_limit: usize,
    /// What a manifest points to must be there when it is pushed.
    pub checks_references: bool,
    /// Waits before every answer.
    pub latency: Duration,
}

/// The referrers API.
#[derive(Clone, Copy, PartialEq)]
pub enum Referrers {
    /// 404, as on GHCR; readers use the fallback tag.
    Off,
    /// With `OCI-Subject`, paging and the filter by artifact type.
    Native { page_size: usize },
    /// As native, but the filter is ignored, which the specification allows.
    Unfiltered { page_size: usize },
    /// 303 to another host, which answers 429, as on GHCR at times.
    RedirectElsewhere,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Delete {
    Allowed,
    /// 405 `UNSUPPORTED`.
    NotAllowed,
}

#[derive(Clone)]
pub enum Auth {
    None,
    Basic { user: String, password: String },
    Bearer(Bearer),
}

/// Tokens as GHCR gives them: opaque, from an end point of the registry's own.
#[derive(Clone)]
pub struct Bearer {
    pub user: String,
    pub password: String,
    /// Given for this identity token, by `POST`.
    pub identity_token: Option<String>,
    /// Repositories that anyone may pull from.
    pub public: Vec<String>,
    /// The `expires_in` that is told.
    pub expires_in: Option<u64>,
    /// How long a token works.
    pub works_for: Duration,
    pub shape: TokenShape,
    pub realm: Realm,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            user: USER.into(),
            password: PASSWORD.into(),
            identity_token: None,
            public: Vec::new(),
            expires_in: Some(300),
            works_for: Duration::from_secs(300),
            shape: TokenShape::Opaque,
            realm: Realm::Own,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum TokenShape {
    Opaque,
    /// Under `access_token` alone.
    AccessToken,
    /// With a line break within; works when it is sent without.
    WithNewline,
    /// So many characters.
    Long(usize),
    /// Neither `token` nor `access_token`.
    Missing,
}

/// Where the challenge sends clients for a token.
#[derive(Clone, PartialEq)]
pub enum Realm {
    Own,
    /// The second port, which takes any password and gives a token that works nowhere.
    Elsewhere,
    /// As written.
    Url(String),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Blobs {
    Inline,
    /// 307 to the second port, which answers 400 where `Authorization` comes along.
    Redirected,
}

/// How `Location` is written in answers to uploads and pushes.
#[derive(Clone, Copy, PartialEq)]
pub enum Location {
    Absolute,
    /// From the root of the host, as GHCR.
    Path,
    /// Without a leading slash: to be resolved against the request.
    Relative,
    Missing,
    /// On the second port.
    Elsewhere,
}

/// `Docker-Content-Digest`.
#[derive(Clone, Copy, PartialEq)]
pub enum ContentDigest {
    Right,
    Missing,
    /// The digest of other bytes.
    Wrong,
    /// No digest at all.
    Garbled,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            referrers: Referrers::Native { page_size: 100 },
            upload_chunk_limit: None,
            single_post: true,
            mount: true,
            delete: Delete::Allowed,
            auth: Auth::None,
            blobs: Blobs::Inline,
            read_after_write_lag: Duration::ZERO,
            etag: true,
            location: Location::Absolute,
            content_digest: ContentDigest::Right,
            ranges: true,
            tag_page: 100,
            manifest_limit: 4 * 1024 * 1024,
            checks_references: true,
            latency: Duration::ZERO,
        }
    }
}

impl Switches {
    /// GHCR's ways: no referrers API, no delete, chunks of 4 MiB, opaque tokens, blobs from another host.
    pub fn ghcr() -> Self {
        Self {
            referrers: Referrers::Off,
            upload_chunk_limit: Some(4 * 1024 * 1024),
            single_post: false,
            delete: Delete::NotAllowed,
            auth: Auth::Bearer(Bearer::default()),
            blobs: Blobs::Redirected,
            etag: false,
            location: Location::Path,
            ..Self::default()
        }
    }
}
