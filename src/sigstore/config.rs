//! Which services sign: the signing configuration of a Sigstore instance
//! (sigstore/protobuf-specs, `sigstore_trustroot.proto`, `SigningConfig` v0.2).

use std::cmp::Reverse;

use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use sigstore_verify::trust_root::SigstoreInstance;

use super::error::{Error, ErrorKind};

/// Media type of a configuration that is understood.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// Bytes of a configuration: 1 MiB; real ones have two thousand.
pub const MAX_CONFIG: u64 = 1 << 20;

/// Services of one kind that are asked: 8. Attack: a configuration that has a thousand logs written to.
const MAX_SERVICES: usize = 8;

/// A signing configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningConfig {
    media_type: String,
    #[serde(default)]
    ca_urls: Vec<Service>,
    #[serde(default)]
    oidc_urls: Vec<Service>,
    #[serde(default)]
    rekor_tlog_urls: Vec<Service>,
    #[serde(default)]
    rekor_tlog_config: Selection,
    #[serde(default)]
    tsa_urls: Vec<Service>,
    #[serde(default)]
    tsa_config: Selection,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    url: String,
    #[serde(default)]
    major_api_version: u32,
    #[serde(default)]
    valid_for: Validity,
    #[serde(default)]
    operator: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Validity {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// How many of several services are to be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Selection {
    #[serde(default)]
    selector: Selector,
    #[serde(default)]
    count: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Selector {
    #[default]
    #[serde(alias = "SERVICE_SELECTOR_UNDEFINED")]
    Any,
    All,
    Exact,
}

/// Version of a log's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogVersion {
    /// Rekor v1: its entries carry the time.
    V1,
    /// Rekor v2 (rekor-tiles): needs a timestamp authority, and takes statements of any size.
    V2,
}

/// An instance of Sigstore whose services come with portcullis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// The public-good one.
    PublicGood,
    /// The one for tests, which nobody is to trust.
    Staging,
}

/// A transparency log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its base URL.
    pub url: Url,
    /// Which interface it has.
    pub version: LogVersion,
}

/// The services that one run uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Fulcio.
    pub ca: Url,
    /// The identity provider for people, where there is one.
    pub oidc: Option<Url>,
    /// The logs, of one version, that every signature is entered into.
    pub logs: Vec<Log>,
    /// The logs of version 2, for what is too large for version 1; empty where `logs` are those, or there is none.
    pub large: Vec<Log>,
    /// Timestamp authorities that every signature is stamped by.
    pub tsas: Vec<Url>,
}

impl SigningConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// A lowercase fragment where it is none, or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let config: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("no signing configuration: {error}"))?;
        if config.media_type != MEDIA_TYPE {
            return Err(format!("a signing configuration of another kind than `{MEDIA_TYPE}`"));
        }
        Ok(config)
    }

    /// That of an instance, as it was when `sigstore-trust-root` was published.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where it cannot be used, which a test rules out.
    pub fn embedded(instance: Instance) -> Result<Self, Error> {
        let unusable =
            |cause: &str| Error::new(ErrorKind::Settings, "the built-in signing configuration", cause);
        let instance = match instance {
            Instance::PublicGood => SigstoreInstance::PublicGood,
            Instance::Staging => SigstoreInstance::Staging,
        };
        let text = instance.embedded_signing_config_json();
        Self::parse(text.ok_or_else(|| unusable("is not there"))?.as_bytes())
            .map_err(|cause| unusable(&cause))
    }

    /// The services to use at a time. Of the logs those of version 1, unless `wanted` says otherwise or there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where the configuration has no service of a kind that is needed.
    pub fn choose(&self, now: Timestamp, wanted: Option<LogVersion>) -> Result<Services, Error> {
        let failed = |what: &str| {
            let message = format!("has no {what} that is valid now: refresh it, or name another");
            Error::new(ErrorKind::Settings, "the signing configuration", message)
        };
        let ca = in_use(&self.ca_urls, now, 1)
            .into_iter()
            .next()
            .ok_or_else(|| failed("certificate authority"))?;
        let oidc = in_use(&self.oidc_urls, now, 1).into_iter().next().map(|service| service.url());
        let logs = |version, number| -> Result<Vec<Log>, Error> {
            let services = select(in_use(&self.rekor_tlog_urls, now, number), &self.rekor_tlog_config);
            services.into_iter().map(|service| Ok(Log { url: service.url()?, version })).collect()
        };
        let (first, second) = (logs(LogVersion::V1, 1)?, logs(LogVersion::V2, 2)?);
        let (logs, large) = match wanted {
            Some(LogVersion::V2) => (second, Vec::new()),
            Some(LogVersion::V1) => (first, Vec::new()),
            None if first.is_empty() => (second, Vec::new()),
            None => (first, second),
        };
        let tsas = select(in_use(&self.tsa_urls, now, 1), &self.tsa_config);
        let tsas = tsas.into_iter().map(Service::url).collect::<Result<Vec<Url>, Error>>()?;
        // Where a log is configured, and too few of them can be used, nothing is signed without.
        if logs.is_empty() && (!self.rekor_tlog_urls.is_empty() || tsas.is_empty()) {
            return Err(failed("transparency log"));
        }
        if tsas.is_empty() && !self.tsa_urls.is_empty() {
            return Err(failed("timestamp authority"));
        }
        // A log of version 2 says nothing of the time: nobody could tell whether the certificate was valid.
        if logs.iter().any(|log| log.version == LogVersion::V2) && tsas.is_empty() {
            return Err(failed("timestamp authority"));
        }
        let large = if tsas.is_empty() { Vec::new() } else { large };
        Ok(Services { ca: ca.url()?, oidc: oidc.transpose()?, logs, large, tsas })
    }
}

impl Service {
    fn url(&self) -> Result<Url, Error> {
        let failed = |cause: &str| Error::new(ErrorKind::Settings, &self.url, cause);
        let mut url = Url::parse(&self.url).map_err(|_| failed("is no URL of a service"))?;
        // Attack: an identity token that anybody on the way may read and use.
        if !is_safe(&url) {
            return Err(failed("a service must be reached by https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.cannot_be_a_base() {
            return Err(failed("is no URL of a service"));
        }
        url.set_fragment(None);
        Ok(url)
    }
}

/// Whether nobody on the way reads along: TLS, or this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

/// The services of one interface that are valid at a time, the newest first, one an operator.
fn in_use(services: &[Service], now: Timestamp, version: u32) -> Vec<&Service> {
    let valid = |service: &&Service| {
        let Validity { start, end } = &service.valid_for;
        service.major_api_version == version
            && start.is_some_and(|start| start <= now)
            && end.is_none_or(|end| now <= end)
    };
    let mut found: Vec<&Service> = services.iter().filter(valid).collect();
    found.sort_by_key(|service| Reverse(service.valid_for.start));
    let mut operators: Vec<&str> = Vec::new();
    found.retain(|service| {
        let known = !service.operator.is_empty() && operators.contains(&service.operator.as_str());
        operators.push(&service.operator);
        !known
    });
    found.truncate(MAX_SERVICES);
    found
}

/// As many services as the configuration demands; none where it demands more than there are.
fn select<'s>(services: Vec<&'s Service>, selection: &Selection) -> Vec<&'s Service> {
    let count = match selection.selector {
        Selector::Any => 1,
        Selector::All => services.len(),
        Selector::Exact => selection.count,
    };
    if services.len() < count { Vec::new() } else { services.into_iter().take(count).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-27T00:00:00Z";

    fn service(url: &str, version: u32, start: &str, end: Option<&str>, operator: &str) -> serde_json::Value {
        let mut valid = serde_json::json!({"start": start});
        if let Some(end) = end {
            valid["end"] = end.into();
        }
        serde_json::json!({"url": url, "majorApiVersion": version, "validFor": valid, "operator": operator})
    }

    fn config(logs: &[serde_json::Value], tsas: &[serde_json::Value], selector: &str) -> SigningConfig {
        let fulcio = service("https://fulcio.example", 1, "2022-01-01T00:00:00Z", None, "a");
        let text = serde_json::json!({
            "mediaType": MEDIA_TYPE, "caUrls": [fulcio], "oidcUrls": [],
            "rekorTlogUrls": logs, "tsaUrls": tsas,
            "rekorTlogConfig": {"selector": selector, "count": 2}, "tsaConfig": {"selector": "ANY"},
        });
        SigningConfig::parse(text.to_string().as_bytes()).unwrap()
    }

    fn chosen(config: &SigningConfig, wanted: Option<LogVersion>) -> Result<Vec<String>, String> {
        let services = config.choose(NOW.parse().unwrap(), wanted).map_err(|error| error.to_string())?;
        Ok(services.logs.iter().map(|log| log.url.to_string()).collect())
    }

    #[test]
    fn the_newest_log_of_an_operator_that_is_valid_is_used() {
        let logs = [
            service("https://old.example", 1, "2022-01-01T00:00:00Z", None, "a"),
            service("https://new.example", 1, "2025-01-01T00:00:00Z", None, "a"),
            service("https://future.example", 1, "2027-01-01T00:00:00Z", None, "a"),
            service("https://past.example", 1, "2026-01-01T00:00:00Z", Some("2026-02-01T00:00:00Z"), "a"),
            service("https://tiles.example", 2, "2025-01-01T00:00:00Z", None, "a"),
        ];
        let tsa = [service("https://tsa.example/api/v1/timestamp", 1, "2025-01-01T00:00:00Z", None, "a")];
        let both = config(&logs, &tsa, "ANY");
        assert_eq!(chosen(&both, None).unwrap(), ["https://new.example/"]);
        assert_eq!(chosen(&both, Some(LogVersion::V2)).unwrap(), ["https://tiles.example/"]);
        let services = both.choose(NOW.parse().unwrap(), None).unwrap();
        assert_eq!(services.large.len(), 1);
        assert_eq!(services.tsas.len(), 1);
    }

    #[test]
    fn a_log_without_the_time_needs_a_timestamp_authority() {
        let logs = [service("https://tiles.example", 2, "2025-01-01T00:00:00Z", None, "a")];
        assert!(chosen(&config(&logs, &[], "ANY"), None).unwrap_err().contains("timestamp authority"));
        assert!(chosen(&config(&[], &[], "ANY"), None).unwrap_err().contains("transparency log"));
    }

    #[test]
    fn as_many_logs_as_the_configuration_demands_or_none() {
        let logs = [
            service("https://a.example", 1, "2025-01-01T00:00:00Z", None, "a"),
            service("https://b.example", 1, "2025-01-02T00:00:00Z", None, "b"),
        ];
        assert_eq!(chosen(&config(&logs, &[], "ALL"), None).unwrap().len(), 2);
        assert_eq!(chosen(&config(&logs, &[], "EXACT"), None).unwrap().len(), 2);
        assert!(chosen(&config(&logs[..1], &[], "EXACT"), None).is_err());
    }

    #[test]
    fn a_service_in_plain_sight_of_the_network_is_refused() {
        for url in ["http://rekor.example", "ftp://rekor.example", "https://u:p@rekor.example", "rekor"] {
            let logs = [service(url, 1, "2025-01-01T00:00:00Z", None, "a")];
            assert!(chosen(&config(&logs, &[], "ANY"), None).is_err(), "{url}");
        }
        let logs = [service("http://127.0.0.1:3000", 1, "2025-01-01T00:00:00Z", None, "a")];
        assert!(chosen(&config(&logs, &[], "ANY"), None).is_ok());
    }

    #[test]
    fn the_built_in_configuration_can_be_used() {
        for (instance, ca) in [
            (Instance::PublicGood, "https://fulcio.sigstore.dev/"),
            (Instance::Staging, "https://fulcio.sigstage.dev/"),
        ] {
            let config = SigningConfig::embedded(instance).unwrap();
            let services = config.choose(NOW.parse().unwrap(), None).unwrap();
            assert_eq!(services.ca.as_str(), ca);
            assert_eq!(services.logs.len(), 1);
        }
    }

    #[test]
    fn another_kind_of_document_is_refused() {
        assert!(SigningConfig::parse(b"{}").is_err());
        assert!(
            SigningConfig::parse(br#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.3+json"}"#)
                .is_err()
        );
    }
}
