//! Portcullis decides whether a container image may enter.
//!
//! ```text
//! location ─open→ Image ─read layers→ LayerInventory* ─flatten→ Inventory ─find→ Findings ┐
//!                   │                                      └─render→ SBOM                 ├→ Evidence ─evaluate→ Verdict ─→ report
//!                   └─resolve→ faults ────────────────────────────────────────────────────┘
//! ```
//!
//! Each stage is one module with one entry function, plain data in and plain data out. Pure stages
//! ([`attestation`], [`image`], [`inventory`], [`check`], [`version`], [`sbom`], [`strict`], [`osv`], [`vex`], [`enrich`], [`policy`], [`report`]) do no I/O and
//! read neither clock nor environment; the adapters ([`layout`], [`registry`], [`feed`], [`sigstore`]) own disk and
//! network; [`gate`] alone knows the order; the doors ([`cli`]) parse their input, call `gate` and
//! render its output.
//!
//! What could not be read, fetched or compared is unknown, and unknown never admits.

pub mod model;

pub mod attestation;
pub mod check;
pub mod enrich;
pub mod image;
pub mod inventory;
pub mod osv;
pub mod policy;
pub mod report;
pub mod sbom;
pub mod strict;
pub mod version;
pub mod vex;

pub mod cache;
pub mod feed;
pub mod layout;
pub mod net;
pub mod registry;
pub mod sigstore;

pub mod gate;

pub mod cli;
#[doc(hidden)]
pub mod fuzzing;
