//! Images as bytes: documents parsed strictly, layers read in one pass. Nothing here opens a file;
//! bytes come in as slices, readers or through a closure that fetches.

pub mod compression;
pub mod document;
pub mod json;
pub mod layer;
pub mod limits;
pub mod resolve;
pub mod tar;
