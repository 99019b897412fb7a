//! What several tests need: built images, the shared data, the command itself.

pub mod image;
