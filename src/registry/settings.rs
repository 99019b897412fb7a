//! How registries are reached: what a door passes in, and the one settings file.
//!
//! The file is TOML, as podman's `registries.conf` is: it takes comments, refuses a key twice, and its
//! parser is shared with nobody (the YAML reader belongs to `policy`, which an adapter may not use).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::net::{Proxies, Retry};

use super::credentials::{Secret, Source};
use super::error::{Error, ErrorKind};
use super::limits;
use super::trace::Trace;

/// Everything that the client is told. It reads no environment of its own; helpers for credentials are
/// programs, and inherit it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Settings of hosts, by `host` (any port) or `host:port`.
    pub hosts: BTreeMap<String, HostSettings>,
    /// A PEM file with certificate authorities that are trusted beside the system's, for every host.
    pub ca: Option<PathBuf>,
    /// Where credentials are looked for, in this order.
    pub credentials: Vec<Source>,
    /// Proxies.
    pub proxies: Proxies,
    /// How often and how long is asked again.
    pub retry: Retry,
    /// How long is waited.
    pub times: Times,
    /// Who is told of every exchange.
    pub trace: Option<Arc<dyn Trace>>,
}

/// Settings of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostSettings {
    /// Spoken to without TLS, wherever its address is. There is no setting that skips the check of a
    /// certificate: `ca` names its authority.
    #[serde(default)]
    pub insecure: bool,
    /// A PEM file with the only certificate authorities that are trusted for this host.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate that we show (mTLS).
    pub client_cert: Option<PathBuf>,
    /// A PEM file with its private key.
    pub client_key: Option<PathBuf>,
    /// A host that is asked first for what is named by a digest. Tags and referrers are never asked of a
    /// mirror: it may be behind, and nobody would see it.
    pub mirror: Option<String>,
    /// Requests at a time, and as many streams of blobs: [`HostSettings::CONCURRENCY`] where it is not set.
    pub concurrency: Option<usize>,
    /// Requests a second that are sent to this host by all tasks of a client together, tries and answers to
    /// challenges counted; after a pause as many at once as a second allows. No bound where it is not set.
    #[serde(rename = "requests-per-second")]
    pub rate: Option<NonZeroU32>,
    /// Further hosts, `host` or `host:port`, whose token service may be given the credentials of this one.
    #[serde(default)]
    pub token_hosts: Vec<String>,
}

impl HostSettings {
    /// Requests at a time where nothing is set. GHCR allows 44,000 pulls a minute; a small registry of
    /// one's own is happier with few.
    pub const CONCURRENCY: usize = 8;

    /// Requests at a time: at least one, at most 256.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(Self::CONCURRENCY).clamp(1, 256)
    }
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, once a request was sent.
    pub answer: Duration,
    /// For the next bytes of a body.
    pub idle: Duration,
    /// For the whole body of a manifest, a token or a page.
    pub document: Duration,
    /// How long after our own push a 404 may be the registry's lag (GHCR takes seconds).
    pub lag: Duration,
    /// How long after an entry was written to a fallback tag it is looked at again.
    pub recheck: Duration,
    /// For a credential helper; some ask a person.
    pub helper: Duration,
    /// The end of everything, counted from when the client was made.
    pub deadline: Option<Duration>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            document: Duration::from_secs(60),
            lag: Duration::from_secs(60),
            recheck: Duration::from_secs(2),
            helper: Duration::from_secs(60),
            deadline: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    host: BTreeMap<String, HostSettings>,
}

impl Settings {
    /// Credentials and proxies as the environment names them; `variable` looks one up. Doors call it with
    /// `std::env::var_os`.
    ///
    /// Credentials are looked for in podman's file (`REGISTRY_AUTH_FILE`, else
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, else `~/.config/containers/auth.json`), then in Docker's
    /// (`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`), and `GITHUB_TOKEN` is used for
    /// `ghcr.io` where neither has any: what somebody logged in with is meant.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let either = |upper: &str, lower: &str| text(upper).or_else(|| text(lower)).filter(|v| !v.is_empty());
        let mut credentials = Vec::new();
        match path("REGISTRY_AUTH_FILE") {
            Some(file) => credentials.push(Source::File(file)),
            None => {
                let runtime = path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
                let home = path("HOME").map(|dir| dir.join(".config/containers/auth.json"));
                credentials.extend(runtime.into_iter().chain(home).map(Source::File));
            }
        }
        let docker = path("DOCKER_CONFIG").or_else(|| path("HOME").map(|home| home.join(".docker")));
        credentials.extend(docker.map(|dir| Source::File(dir.join("config.json"))));
        if let Some(token) = text("GITHUB_TOKEN").filter(|token| !token.is_empty()) {
            credentials.push(Source::GithubToken(Secret::new(token)));
        }
        Self {
            credentials,
            proxies: Proxies {
                https: either("HTTPS_PROXY", "https_proxy"),
                // HTTP_PROXY in capitals is what a CGI program finds for a header `Proxy:` (httpoxy); we are
                // none, and everybody else reads it too.
                http: either("HTTP_PROXY", "http_proxy"),
                none: either("NO_PROXY", "no_proxy"),
            },
            ..Self::default()
        }
    }

    /// Adds the hosts of a settings file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where it cannot be read, or says what has no meaning.
    pub fn read_file(&mut self, path: &Path) -> Result<(), Error> {
        let at = path.display().to_string();
        let bytes = read_bounded(path)?.ok_or_else(|| settings(&at, "no such file"))?;
        let text = String::from_utf8(bytes).map_err(|_| settings(&at, "not UTF-8"))?;
        self.add(&text, path.parent().unwrap_or(Path::new("")), &at)
    }

    fn add(&mut self, text: &str, folder: &Path, at: &str) -> Result<(), Error> {
        let file: File = toml::from_str(text).map_err(|error| settings(at, error.to_string()))?;
        for (name, mut host) in file.host {
            if host.client_cert.is_some() != host.client_key.is_some() {
                let message = format!("host `{name}`: `client-cert` and `client-key` belong together");
                return Err(settings(at, message));
            }
            for path in [&mut host.ca, &mut host.client_cert, &mut host.client_key].into_iter().flatten() {
                *path = folder.join(&path);
            }
            self.hosts.insert(name.to_ascii_lowercase(), host);
        }
        Ok(())
    }

    /// Marks a host as one that is spoken to without TLS.
    pub fn allow_insecure(&mut self, host: &str) {
        self.hosts.entry(host.to_ascii_lowercase()).or_default().insecure = true;
    }

    /// The settings of a host: of `host:port` before those of `host`.
    pub(super) fn host(&self, host: &str, port: u16) -> Option<&HostSettings> {
        self.named(host, port).map(|(_, settings)| settings)
    }

    fn named(&self, host: &str, port: u16) -> Option<(&str, &HostSettings)> {
        let found = self.hosts.get_key_value(&format!("{host}:{port}"));
        found.or_else(|| self.hosts.get_key_value(host)).map(|(name, settings)| (name.as_str(), settings))
    }

    /// How often a host is asked, and under which name that is set: what has one name has one rate.
    pub(super) fn rate(&self, host: &str, port: u16) -> Option<(&str, NonZeroU32)> {
        self.named(host, port).and_then(|(name, settings)| settings.rate.map(|rate| (name, rate)))
    }

    /// The same for a host in the role of a mirror. A mirror that fails costs as little as can be: the
    /// registry itself has everything.
    pub(super) fn for_mirror(&self) -> Self {
        let mut settings = self.clone();
        settings.retry.attempts = 1;
        settings.times.connect = settings.times.connect.min(limits::MIRROR_CONNECT);
        settings.times.answer = settings.times.answer.min(limits::MIRROR_ANSWER);
        settings
    }

    pub(super) fn is_insecure(&self, host: &str, port: u16) -> bool {
        self.host(host, port).is_some_and(|host| host.insecure)
    }
}

pub(super) fn settings(at: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Settings, at, message)
}

/// Reads a file of at most [`limits::CONFIG_FILE`] bytes; none where there is no such file.
pub(super) fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let at = path.display().to_string();
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(settings(at, format!("cannot be read: {error}"))),
    };
    let mut bytes = Vec::new();
    let read = file.take(limits::CONFIG_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| settings(&at, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > limits::CONFIG_FILE {
        return Err(Error::too_large(at, "the file", limits::CONFIG_FILE));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_with_paths_beside_it() {
        let mut settings = Settings::default();
        let text = "[host.\"Registry.internal:5000\"]\nca = \"ca.pem\"\nmirror = \"m.internal\"\nconcurrency = 0\nrequests-per-second = 5\n";
        settings.add(text, Path::new("/etc/portcullis"), "it").unwrap();
        let host = settings.host("registry.internal", 5000).unwrap();
        assert_eq!(host.ca.as_deref(), Some(Path::new("/etc/portcullis/ca.pem")));
        assert_eq!(host.concurrency(), 1);
        assert_eq!(settings.rate("registry.internal", 5000).map(|(_, rate)| rate.get()), Some(5));
        assert_eq!(settings.host("registry.internal", 443), None);
    }

    #[test]
    fn a_setting_that_has_no_meaning_is_refused() {
        for text in [
            "[host.a]\nskip-tls = true\n",
            "[host.a]\ninsecure = true\n[host.a]\ninsecure = false\n",
            "[host.a]\nclient-cert = \"c.pem\"\n",
            "[hosts.a]\n",
            "[host.a]\nrequests-per-second = 0\n",
            "[host.a]\nrequests-per-second = 0.5\n",
        ] {
            let error = Settings::default().add(text, Path::new(""), "it").unwrap_err();
            assert_eq!(error.kind, ErrorKind::Settings, "{text}");
        }
    }

    #[test]
    fn the_environment_is_what_the_door_passes() {
        let variables = [("HOME", "/home/a"), ("GITHUB_TOKEN", "ghs_x"), ("https_proxy", "http://p:3128")];
        let settings = Settings::from_environment(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        });
        assert_eq!(settings.credentials.len(), 3);
        assert_eq!(settings.proxies.https.as_deref(), Some("http://p:3128"));
        assert!(!format!("{settings:?}").contains("ghs_x"));
    }
}
