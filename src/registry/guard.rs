//! Where a request may go: the guard against a registry that sends us, and what we know, elsewhere.
//!
//! A registry chooses three addresses: the token service of its challenge, the targets of redirects, and
//! the locations of uploads. Each is judged as a URL, and its host once more after its name was resolved;
//! the connection is then made to the very addresses that were judged.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::settings::Settings;

/// Why a request is not made: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocked(String);

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Blocked {}

/// How far an address reaches, from the widest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Reach {
    /// The internet.
    Public = 0,
    /// A network of one's own (RFC 1918, RFC 6598, RFC 4193).
    Private = 1,
    /// This machine.
    Loopback = 2,
    /// No registry's: link-local (metadata services of clouds), unspecified, multicast, reserved.
    Never = 3,
}

/// The guard of everything that is done for one registry.
#[derive(Debug)]
pub(super) struct Guard {
    host: String,
    port: u16,
    settings: Arc<Settings>,
    /// Names of proxies: they are our own choice.
    proxies: Vec<String>,
    /// The narrowest [`Reach`] of the registry itself, once it is known.
    reach: AtomicU8,
}

/// A host and a port, as they stand in a URL.
pub(super) fn authority(url: &Url) -> (String, u16) {
    let host = url.host_str().unwrap_or_default();
    (host.trim_matches(['[', ']']).to_ascii_lowercase(), url.port_or_known_default().unwrap_or_default())
}

/// Whether two URLs have scheme, host and port in common: who may be given the same credentials.
pub(super) fn is_same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && authority(a) == authority(b)
}

impl Guard {
    /// The guard of a registry whose requests go to `base`.
    pub(super) fn new(base: &Url, settings: Arc<Settings>) -> Self {
        let (host, port) = authority(base);
        let proxies = [&settings.proxies.https, &settings.proxies.http].into_iter().flatten();
        let proxies = proxies.filter_map(|proxy| Url::parse(proxy).ok()).map(|url| authority(&url).0);
        let proxies = proxies.collect();
        let reach = host.parse().map_or(Reach::Public, |address: IpAddr| reach(address));
        Self { host, port, settings, proxies, reach: AtomicU8::new(reach as u8) }
    }

    /// Judges a URL before anything is sent to it.
    pub(super) fn check(&self, url: &Url) -> Result<(), Blocked> {
        let (host, port) = authority(url);
        match url.scheme() {
            "https" => {}
            // Attack: an answer that leads from TLS to plain text.
            "http" if self.settings.is_insecure(&host, port) => {}
            "http" => {
                return Err(Blocked(format!(
                    "`{host}` would be asked without TLS, and it is not listed as insecure"
                )));
            }
            _ => return Err(Blocked("neither an http nor an https URL".into())),
        }
        // Attack: `https://registry@evil.example`, and headers made of a URL's user and password.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked(format!("the URL of `{host}` carries a user or a password")));
        }
        match host.parse::<IpAddr>() {
            Ok(address) => self.judge(&host, port, address),
            Err(_) => Ok(()),
        }
    }

    /// Judges the addresses of a name. One that is refused spoils them all: which of them a connection
    /// would take is nobody's choice.
    fn check_resolved(&self, name: &str, addresses: &[SocketAddr]) -> Result<(), Blocked> {
        let name = name.to_ascii_lowercase();
        if self.proxies.contains(&name) {
            return Ok(());
        }
        // The resolver is not told the port: a name with any listed port counts as listed.
        let port = if name == self.host { self.port } else { 0 };
        addresses.iter().try_for_each(|address| self.judge(&name, port, address.ip()))
    }

    fn judge(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Blocked> {
        let found = reach(address);
        let listed = self.settings.is_insecure(host, port)
            || (port == 0
                && self
                    .settings
                    .hosts
                    .iter()
                    .any(|(name, settings)| settings.insecure && name.split(':').next() == Some(host)));
        let own = host == self.host && port == self.port;
        if own {
            self.reach.fetch_max(found as u8, Ordering::Relaxed);
        }
        if listed || (own && found < Reach::Never) {
            return Ok(());
        }
        // Attack: a realm or a redirect that leads to `169.254.169.254`, to the loopback interface, or into
        // the cluster's network. A registry that is there itself may point to its neighbours, not further.
        if found < Reach::Never && found as u8 <= self.reach.load(Ordering::Relaxed) {
            return Ok(());
        }
        let what = match found {
            Reach::Public => "a public address",
            Reach::Private => "an address in a private network",
            Reach::Loopback => "an address of this machine",
            Reach::Never => "an address that no registry has (link-local or reserved)",
        };
        Err(Blocked(format!(
            "`{host}` is {what} ({address}): list it as insecure if a registry is really there"
        )))
    }
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// IANA IPv4 Special-Purpose Address Registry.
fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [0 | 224..=255, ..] | [169, 254, ..] => Reach::Never,
        [127, ..] => Reach::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => {
            Reach::Private
        }
        [192, 0, 0, _] => Reach::Private,
        _ => Reach::Public,
    }
}

/// IANA IPv6 Special-Purpose Address Registry. Addresses that carry an IPv4 address reach as far as it.
fn reach_v6(address: Ipv6Addr) -> Reach {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Never,
        // Attack: the loopback address in another coat: `::ffff:127.0.0.1`, `::127.0.0.1`, NAT64, 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        [0x64, 0xff9b, 1, ..] | [0x2001, 0..=0x1ff, ..] => Reach::Private,
        [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] => Reach::Never,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

/// The system's resolver with the guard behind it. What it answers is what is connected to: a name that is
/// resolved a second time, to another address, is of no use (DNS rebinding).
pub(super) struct Resolver(pub(super) Arc<Guard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            guard.check_resolved(name.as_str(), &found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether the token service of a challenge may be given the registry's credentials: it is the registry
/// itself, of the same site (`auth.docker.io` for `registry-1.docker.io`), or listed.
pub(super) fn may_have_credentials(realm: &Url, base: &Url, listed: &[String]) -> bool {
    let ((host, port), (own, _)) = (authority(realm), authority(base));
    let is_listed = |name: &String| *name == host || *name == format!("{host}:{port}");
    is_same_origin(realm, base)
        || listed.iter().any(is_listed)
        || (realm.scheme() == "https" && port == 443 && is_same_site(&host, &own))
}

/// Whether two names end in the same two labels, or three where those are a country's (`co.uk`). Addresses
/// have no site.
fn is_same_site(a: &str, b: &str) -> bool {
    if a.parse::<IpAddr>().is_ok() || b.parse::<IpAddr>().is_ok() {
        return false;
    }
    let mut labels =
        a.rsplit('.').zip(b.rsplit('.')).take_while(|(a, b)| a == b).map(|(label, _)| label.len());
    match (labels.next(), labels.next(), labels.next()) {
        (Some(2), Some(0..=3), third) => third.is_some(),
        (Some(_), Some(_), _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
