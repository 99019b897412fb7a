//! What clients are told of the services: trusted roots and signing configurations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Sigstore;
use super::certificate::DAY;
use super::keys::{Key, sha256};
use super::service::lock;

const TRUSTED_ROOT: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
const SIGNING_CONFIG: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";
const CLIENT_CONFIG: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";

/// Which Rekor signatures go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Sigstore {
    /// A day before it started.
    fn since(&self) -> Value {
        json!({"start": jiff::Timestamp::from_second(self.started - DAY).unwrap().to_string()})
    }

    fn log(&self, url: &str, key: &Key, id: &[u8]) -> Value {
        json!({
            "baseUrl": url, "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": STANDARD.encode(key.spki()), "keyDetails": key.details(),
                "validFor": self.since(),
            },
            "logId": {"keyId": STANDARD.encode(id)},
        })
    }

    fn authority(&self, common: &str, url: &str, chain: &[&[u8]]) -> Value {
        let certificates: Vec<Value> =
            chain.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
        json!({
            "subject": {"organization": "sigstore.test", "commonName": common}, "uri": url,
            "certChain": {"certificates": certificates}, "validFor": self.since(),
        })
    }

    /// `trusted_root.json`.
    pub fn trusted_root(&self) -> Value {
        let (one, two) = (lock(&self.log1), lock(&self.log2));
        let ct = &self.authority.ct;
        let stamps: Vec<&[u8]> = self.stamper.chain.iter().map(Vec::as_slice).collect();
        let authority = self.authority("sigstore", self.fulcio.url(), &self.authority.chain());
        json!({
            "mediaType": TRUSTED_ROOT,
            "tlogs": [
                self.log(self.rekor.url(), &one.key, &one.key_id()),
                self.log(self.rekor2.url(), &two.key, &two.key_id()),
            ],
            "certificateAuthorities": [authority],
            "ctlogs": [self.log(&format!("{}/ctlog", self.fulcio.url()), ct, &sha256(&ct.spki()))],
            "timestampAuthorities": [self.authority("tsa", self.tsa.url(), &stamps)],
        })
    }

    /// A trusted root as GitHub's for private repositories: no logs, and signatures have a timestamp alone.
    /// Its certificates have no SCT: `fulcio.lie_times(usize::MAX, Lie::NoSct)`.
    pub fn private_trusted_root(&self) -> Value {
        let mut root = self.trusted_root();
        root["tlogs"] = json!([]);
        root["ctlogs"] = json!([]);
        root
    }

    /// A signing configuration with both versions of Rekor.
    pub fn signing_config_of_both(&self) -> Value {
        let (mut both, two) = (self.signing_config(Version::V1), self.signing_config(Version::V2));
        both["rekorTlogUrls"].as_array_mut().unwrap().push(two["rekorTlogUrls"][0].clone());
        both
    }

    /// `signing_config.v0.2.json`, with Rekor of this version alone.
    pub fn signing_config(&self, rekor: Version) -> Value {
        let service = |url: &str, version: u8| {
            json!([{
                "url": url, "majorApiVersion": version, "validFor": self.since(), "operator": "sigstore.test",
            }])
        };
        let log = match rekor {
            Version::V1 => service(self.rekor.url(), 1),
            Version::V2 => service(self.rekor2.url(), 2),
        };
        json!({
            "mediaType": SIGNING_CONFIG, "caUrls": service(self.fulcio.url(), 1),
            "oidcUrls": service(self.oidc.url(), 1), "rekorTlogUrls": log,
            "tsaUrls": service(&self.tsa_url(), 1), "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        })
    }

    /// Both in one, as the Python client takes them.
    pub fn client_trust_config(&self, rekor: Version) -> Value {
        json!({
            "mediaType": CLIENT_CONFIG, "trustedRoot": self.trusted_root(),
            "signingConfig": self.signing_config(rekor),
        })
    }
}
