//! How registries are reached: flags, environment and the settings file, put together.

use std::cell::OnceCell;
use std::io::Write as _;
use std::sync::Arc;

use crate::model::location::Location;
use crate::model::path::escape;
use crate::registry::{Exchange, Registry, Settings, Trace};

use super::args::Global;
use super::{Failure, user_directory};

/// The client of this run, made when the first image in a registry is named.
#[derive(Debug, Default)]
pub(super) struct Registries(OnceCell<Registry>);

impl Registries {
    /// The client, where the network may be used; settings are read only where one of the images needs them.
    pub(super) fn client<'a>(
        &self,
        global: &Global,
        images: impl IntoIterator<Item = &'a Location>,
    ) -> Result<Option<&Registry>, Failure> {
        let remote = images.into_iter().any(|image| matches!(image, Location::Registry(_)));
        if global.offline || !remote {
            return Ok(None);
        }
        if let Some(registry) = self.0.get() {
            return Ok(Some(registry));
        }
        let made = settings(global).and_then(|settings| {
            Registry::new(settings).map_err(|error| Failure::usage(error.to_string()))
        })?;
        Ok(Some(self.0.get_or_init(|| made)))
    }
}

fn settings(global: &Global) -> Result<Settings, Failure> {
    let mut settings = Settings::from_environment(|name| std::env::var_os(name));
    let usual = || user_directory("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("registries.toml"));
    let file = global.registry_settings.clone().or_else(|| usual().filter(|file| file.exists()));
    if let Some(file) = file {
        settings.read_file(&file).map_err(|error| Failure::usage(error.to_string()))?;
    }
    settings.ca.clone_from(&global.registry_ca);
    for host in global.insecure_registry.iter().filter(|host| !host.is_empty()) {
        settings.allow_insecure(host);
    }
    settings.times.deadline = global.timeout;
    settings.trace = global.trace_http.then(|| Arc::new(Printed) as Arc<dyn Trace>);
    Ok(settings)
}

/// Prints exchanges as they end.
#[derive(Debug)]
struct Printed;

impl Trace for Printed {
    fn exchange(&self, exchange: &Exchange) {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{}", escape(exchange.to_string().as_bytes()));
    }
}
