//! The image configuration (OCI image-spec, config.md).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Operating system.
    #[serde(default)]
    pub os: String,
    /// Architecture.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the architecture.
    #[serde(default)]
    pub variant: Option<String>,
    /// When the image was built, RFC 3339, as written: a claim of the builder.
    #[serde(default)]
    pub created: Option<String>,
    /// Execution parameters.
    #[serde(default)]
    pub config: Option<Execution>,
    /// The uncompressed layers.
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(default)]
    pub history: Option<Vec<History>>,
}

/// Execution parameters of an [`ImageConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// User, `name`, `uid`, `user:group` or empty (root).
    #[serde(default)]
    pub user: Option<String>,
    /// Environment, `NAME=value`.
    #[serde(default)]
    pub env: Option<Vec<String>>,
    /// Entry point.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments.
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    /// Exposed ports, `8080/tcp`.
    #[serde(default)]
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    /// Volumes.
    #[serde(default)]
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// Labels.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// The layers as the configuration names them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Digest of each layer's uncompressed tar, base first.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

/// One step of the build.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// When it was done, RFC 3339, as written.
    #[serde(default)]
    pub created: Option<String>,
    /// The command, usually the Dockerfile's line.
    #[serde(default)]
    pub created_by: Option<String>,
    /// Whether the step made no layer.
    #[serde(default)]
    pub empty_layer: Option<bool>,
}

impl ImageConfig {
    /// The build step that made each layer, by layer index. Empty where the history does not fit the
    /// layers: a guess would blame the wrong line.
    #[must_use]
    pub fn layer_steps(&self) -> Vec<&History> {
        let steps: Vec<&History> =
            self.history.iter().flatten().filter(|step| step.empty_layer != Some(true)).collect();
        if steps.len() == self.rootfs.diff_ids.len() { steps } else { Vec::new() }
    }

    /// Names of the environment variables that are set, values left out.
    #[must_use]
    pub fn env_names(&self) -> BTreeSet<&str> {
        let env = self.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
        env.iter()
            .map(|variable| variable.split_once('=').map_or(variable.as_str(), |(name, _)| name))
            .collect()
    }
}
