//! The services of a Sigstore instance: who gives certificates, logs signatures and stamps times.
//!
//! What comes from them is not believed: whoever signs has every bundle verified by `attestation` before it is used, and
//! a trusted root is one once TUF has verified it.

mod ambient;
mod client;
mod config;
mod error;
mod fulcio;
mod http;
mod key;
mod person;
mod rekor;
mod sign;
mod timestamp;
mod token;
mod tuf;

pub use ambient::Provider;
pub use client::{Run, Settings};
pub use config::{Instance, Log, LogVersion, MAX_CONFIG, Services, SigningConfig};
pub use error::{Error, ErrorKind};
pub use key::{Generated, KeyFile, MAX_KEY, Password, PrivateKey, UnusablePrivateKey, generate};
pub use person::{Invitation, Person, SignIn};
pub use sign::{Content, Credentials};
pub use token::{AUDIENCE, Token};
pub use tuf::{MAX_KEPT, MAX_TUF_ROOT, Refreshed, TufRepository};
