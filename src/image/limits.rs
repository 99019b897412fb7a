//! Limits on what is read of an image (design §7). An error that a limit causes names it.

/// Named bounds, each with its reason. [`Limits::default`] is what every door uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a manifest or index: 4 MiB, as registries and clients allow.
    pub manifest: u64,
    /// Bytes of an image configuration: 8 MiB; history and labels are small.
    pub config: u64,
    /// Layers of an image: 512; runtimes stop at 127 or so.
    pub layers: usize,
    /// Bytes of an uncompressed layer: 16 GiB.
    pub layer: u64,
    /// Uncompressed bytes for one compressed byte: 1,000, beyond [`Limits::ratio_floor`]. Deflate
    /// cannot exceed 1,032, real layers stay below 100.
    pub ratio: u64,
    /// Uncompressed bytes from which on [`Limits::ratio`] holds: 64 MiB, so that small sparse layers pass.
    pub ratio_floor: u64,
    /// Entries of a layer's archive: 2 million; the largest real images have a tenth.
    pub entries: u64,
    /// Bytes of a path: 4,096, Linux's `PATH_MAX`; a longer one cannot be created by a runtime.
    pub path: usize,
    /// Components of a path: 256; the deepest trees of node packages have 50. Attack: names of 2,000
    /// directories each, which are all to be remembered.
    pub components: usize,
    /// Bytes of the names and link targets of a layer: 128 MiB; the largest real images have a third.
    pub names: usize,
    /// Bytes of an extended tar header: 1 MiB; it holds a path, times and extended attributes.
    pub tar_extension: u64,
    /// Children of an index: 256.
    pub index_children: usize,
    /// Nested indexes: 3; one or two occur.
    pub index_depth: usize,
    /// Manifests and indexes of an image, each as often as it is listed: 1,024. Attack: an index that
    /// lists another 256 times, and that one another, makes 16 million of three small documents.
    pub manifests: usize,
    /// Bytes of all manifests, indexes and configurations: 64 MiB; they are held while the image is judged.
    pub documents: u64,
    /// Entries of all layers of a platform: 5 million. Attack: one layer listed 512 times.
    pub image_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest: 4 << 20,
            config: 8 << 20,
            layers: 512,
            layer: 16 << 30,
            ratio: 1000,
            ratio_floor: 64 << 20,
            entries: 2_000_000,
            path: 4096,
            components: 256,
            names: 128 << 20,
            tar_extension: 1 << 20,
            index_children: 256,
            index_depth: 3,
            manifests: 1_024,
            documents: 64 << 20,
            image_entries: 5_000_000,
        }
    }
}
