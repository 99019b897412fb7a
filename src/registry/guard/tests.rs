use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn guard(base: &str, insecure: &[&str]) -> Guard {
    let mut settings = Settings::default();
    for host in insecure {
        settings.allow_insecure(host);
    }
    Guard::new(&url(base), Arc::new(settings))
}

#[test]
fn addresses_reach_as_far_as_they_reach() {
    for (address, want) in [
        ("140.82.121.34", Reach::Public),
        ("2606:50c0:8000::154", Reach::Public),
        ("10.1.2.3", Reach::Private),
        ("100.64.0.1", Reach::Private),
        ("172.31.255.255", Reach::Private),
        ("172.32.0.1", Reach::Public),
        ("fd00::1", Reach::Private),
        ("127.8.8.8", Reach::Loopback),
        ("::1", Reach::Loopback),
        ("::ffff:127.0.0.1", Reach::Loopback),
        ("::ffff:169.254.169.254", Reach::Never),
        ("64:ff9b::a00:1", Reach::Private),
        ("2002:7f00:1::", Reach::Loopback),
        ("169.254.169.254", Reach::Never),
        ("0.0.0.0", Reach::Never),
        ("::", Reach::Never),
        ("fe80::1", Reach::Never),
        ("255.255.255.255", Reach::Never),
    ] {
        assert_eq!(reach(address.parse().unwrap()), want, "{address}");
    }
}

#[test]
fn a_public_registry_leads_to_no_inner_address() {
    let guard = guard("https://registry.example/", &[]);
    for bad in [
        "https://127.0.0.1/token",
        "https://2130706433/token",
        "https://0x7f.1/token",
        "https://[::1]/token",
        "https://[::ffff:7f00:1]/token",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "http://registry.example/token",
        "https://registry.example@evil.example/",
        "ftp://registry.example/",
        "file:///etc/passwd",
    ] {
        assert!(guard.check(&url(bad)).is_err(), "{bad}");
    }
    for good in ["https://registry.example/token", "https://auth.example/token", "https://140.82.121.34/"] {
        assert!(guard.check(&url(good)).is_ok(), "{good}");
    }
}

#[test]
fn a_name_that_resolves_to_an_inner_address_is_refused() {
    let guard = guard("https://registry.example/", &[]);
    let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    };
    assert!(guard.check_resolved("cdn.example", &addresses(&["140.82.121.34"])).is_ok());
    assert!(guard.check_resolved("cdn.example", &addresses(&["140.82.121.34", "127.0.0.1"])).is_err());
    assert!(guard.check_resolved("cdn.example", &addresses(&["169.254.169.254"])).is_err());
}

#[test]
fn a_registry_in_a_private_network_leads_to_its_neighbours_and_not_to_this_machine() {
    let guard = guard("https://registry.internal/", &[]);
    let at = |text: &str| [SocketAddr::new(text.parse().unwrap(), 0)];
    assert!(
        guard.check_resolved("auth.internal", &at("10.0.0.6")).is_err(),
        "its own address is not known yet"
    );
    assert!(guard.check_resolved("registry.internal", &at("10.0.0.5")).is_ok());
    assert!(guard.check_resolved("auth.internal", &at("10.0.0.6")).is_ok());
    assert!(guard.check_resolved("auth.internal", &at("127.0.0.1")).is_err());
    assert!(guard.check_resolved("auth.internal", &at("169.254.169.254")).is_err());
}

#[test]
fn the_metadata_service_is_no_registry_even_where_a_user_names_it() {
    assert!(guard("https://169.254.169.254/", &[]).check(&url("https://169.254.169.254/v2/")).is_err());
}

#[test]
fn a_listed_host_is_spoken_to_without_tls() {
    let guard = guard("http://127.0.0.1:5000/", &["127.0.0.1:5000"]);
    assert!(guard.check(&url("http://127.0.0.1:5000/v2/")).is_ok());
    assert!(guard.check(&url("http://127.0.0.1:5001/v2/")).is_err());
}

#[test]
fn credentials_go_to_the_registry_and_its_site_alone() {
    let may = |realm: &str, base: &str| may_have_credentials(&url(realm), &url(base), &[]);
    assert!(may("https://ghcr.io/token", "https://ghcr.io/"));
    assert!(may("https://auth.docker.io/token", "https://registry-1.docker.io/"));
    assert!(may("https://gitlab.com/jwt/auth", "https://registry.gitlab.com/"));
    for (realm, base) in [
        ("https://evil.example/token", "https://ghcr.io/"),
        ("https://ghcr.io.evil.example/token", "https://ghcr.io/"),
        ("http://auth.docker.io/token", "https://registry-1.docker.io/"),
        ("https://auth.docker.io:8443/token", "https://registry-1.docker.io/"),
        ("https://evil.co.uk/token", "https://acme.co.uk/"),
        ("https://127.0.0.2/token", "https://10.0.0.2/"),
        ("https://10.0.0.3/token", "https://10.0.0.2/"),
        ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000/"),
    ] {
        assert!(!may(realm, base), "{realm} {base}");
    }
    let listed = ["auth.internal".to_owned()];
    let (realm, base) = (url("https://auth.internal/token"), url("https://registry.other/"));
    assert!(may_have_credentials(&realm, &base, &listed));
}
