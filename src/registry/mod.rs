//! Images in registries: our own client of the OCI distribution specification 1.1, thin, and built for
//! registries that are flaky or hostile.
//!
//! [`Registry`] blocks and is what the gate uses; [`Client`] is the same for asynchronous callers. Both hand
//! out a [`Repository`], through which manifests, blobs, tags and referrers are read and written.
//!
//! What always holds:
//! - Absent is only what the registry says is absent ([`ErrorKind::NotFound`]).
//! - Bytes asked for by digest have it, or are an error; a blob's stream never exceeds its descriptor.
//! - Credentials go to the registry and to its token service, and to no other host.
//! - Every body, page, redirect and wait is bounded.

mod attach;
mod blob;
mod blocking;
mod budget;
mod challenge;
mod client;
mod credentials;
mod error;
mod guard;
mod helper;
mod http;
mod limits;
mod link;
mod manifest;
mod pace;
mod push;
mod referrers;
mod rewrite;
mod settings;
mod store;
mod token;
mod trace;

pub use crate::net::{Proxies, Retry};
pub use attach::{Artifact, Attached, Detached, Listed};
pub use blob::BlobStream;
pub use blocking::{BlobReader, Registry};
pub use budget::Budget;
pub use client::{Client, Repository, Target};
pub use credentials::{Secret, Source};
pub use error::{Error, ErrorKind};
pub use limits::{MANIFEST as MANIFEST_LIMIT, REFERRERS as REFERRERS_LIMIT};
pub use manifest::{Head, Pulled, Pushed};
pub use push::{BlobPushed, BlobSource};
pub use referrers::{
    Facts, Lists, Referrer, Referrers, RejectedReferrer, Rejection, StatedSubject, facts, fallback_tag,
};
pub use rewrite::Rewrite;
pub use settings::{HostSettings, Settings, Times};
pub use store::{Store, fault, open, root};
pub use trace::{Authorization, Exchange, Trace};
