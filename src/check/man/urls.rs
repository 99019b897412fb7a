//! Where the addresses in descriptors lead.

// Addresses as plain data: nothing is resolved or connected to here.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// Not by https, or nobody can tell where.
    Insecurely,
    /// To a host in the client's own network, or to the client itself.
    Inside,
    /// To a host of the internet, as far as its name tells.
    Outside,
}

/// Names that only the network around the client knows.
const INSIDE: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "corp",
    "home",
    "localdomain",
    "private",
    "svc",
    "home.arpa",
    "cluster.local",
    "test",
    "invalid",
];

/// Where an address leads, by its text alone.
pub(super) fn fetched(url: &str) -> Fetched {
    let Some(rest) =
        url.get(..8).filter(|start| start.eq_ignore_ascii_case("https://")).and_then(|_| url.get(8..))
    else {
        return Fetched::Insecurely;
    };
    // A backslash ends the authority for browsers, and is part of it for others.
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if host.is_empty() || !host.bytes().all(plain) {
        return Fetched::Insecurely;
    }
    let inside = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => v4(address),
        Ok(IpAddr::V6(address)) => v6(address),
        // `0x7f.1` and `2130706433` are addresses to some parsers: nobody needs to write them so.
        Err(_) => !host.contains('.') || numeric(&host) || named_inside(&host),
    };
    if inside { Fetched::Inside } else { Fetched::Outside }
}

/// The address without the credentials and parameters that it may carry.
pub(super) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, path)| (a, Some(path)));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

fn numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit())
}

fn named_inside(host: &str) -> bool {
    INSIDE
        .iter()
        .any(|name| host.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

fn v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a == 192 && b == 0 && c == 0)
}

fn v6(address: Ipv6Addr) -> bool {
    let [first, second, _, _, _, _, high, low] = address.segments();
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    // Addresses that carry one of version 4: mapped, compatible, and NAT64 (RFC 6052).
    let carries = address.to_ipv4().is_some() || (first == 0x64 && second == 0xff9b);
    (carries && v4(Ipv4Addr::new(a, b, c, d)))
        || address.is_loopback()
        || address.is_unspecified()
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
        || first >= 0xff00
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_inside_is_told_by_name_or_number() {
        for inside in [
            "https://127.0.0.1:1/x",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://[64:ff9b::a00:1]/",
            "https://metadata.google.internal/",
            "https://printer.local./",
            "https://LOCALHOST/",
            "https://registry/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://user@10.0.0.1/",
            "https://example.com@127.0.0.1/",
            "https://100.64.0.1/",
        ] {
            assert_eq!(fetched(inside), Fetched::Inside, "{inside}");
        }
        for outside in
            ["https://go.microsoft.com/fwlink/?x=1", "HTTPS://mcr.example.org:443/a", "https://8.8.8.8/"]
        {
            assert_eq!(fetched(outside), Fetched::Outside, "{outside}");
        }
        for odd in
            ["http://example.com/", "file:///etc/passwd", "", "https://", "https://a b/", "https:/x", "ét"]
        {
            assert_eq!(fetched(odd), Fetched::Insecurely, "{odd}");
        }
    }

    #[test]
    fn credentials_of_an_address_are_not_shown() {
        assert_eq!(without_secrets("https://u:hunter2@h/p?sig=1#f"), "https://h/p");
    }
}
