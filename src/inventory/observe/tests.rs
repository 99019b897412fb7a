use super::*;

const KEY: &str =
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgHcTz6sE2I2yPB\n";

fn kind(path: &str, content: &str) -> Option<&'static str> {
    match watch(&path.into()) {
        Some(Watch::Secret(holds)) => holds(content.as_bytes()),
        Some(Watch::Accounts { .. }) | None => None,
    }
}

#[test]
fn secret_files_are_confirmed_by_their_content() {
    let account =
        format!("{{\"type\":\"service_account\",\"private_key\":\"{}\"}}", KEY.replace('\n', "\\n"));
    for (path, content) in [
        ("root/.ssh/id_rsa", KEY),
        ("etc/ssl/private/ssl-cert-snakeoil.key", KEY),
        ("etc/ssh/ssh_host_rsa_key", KEY),
        ("app/.npmrc", "//registry.npmjs.org/:_authToken=0a1b2c3d-4e5f\n"),
        ("root/.docker/config.json", r#"{"auths": {"ghcr.io": {"auth": "dXNlcjpwYXNz"}}}"#),
        ("app/.git/config", "[remote]\n url = https://me:hunter22@git.example.org/x\n"),
        ("root/.git-credentials", "https://me:hunter22@github.com\n"),
        ("app/.env", "DEBUG=1\nexport DB_PASSWORD=\"hunter22\"\n"),
        ("app/.env.production", "STRIPE_SECRET=whatever1\n"),
        ("root/.kube/config", "users:\n- name: a\n  user:\n    client-key-data: LS0tLS1CRUdJTg==\n"),
        ("root/.aws/credentials", "[default]\naws_secret_access_key = abcdefgh\n"),
        ("root/.pypirc", "[pypi]\nusername = me\npassword = hunter22\n"),
        ("root/.netrc", "machine x login y password hunter22\n"),
        ("root/.pgpass", "db:5432:app:me:hunter22\n"),
        ("srv/service-account.json", &account),
        ("root/.m2/settings.xml", "<server><password>hunter22</password></server>"),
    ] {
        assert!(kind(path, content).is_some(), "{path}");
    }
}

#[test]
fn placeholders_certificates_and_empty_files_are_no_secrets() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7Mhgh\n";
    for (path, content) in [
        ("root/.ssh/id_rsa", ""),
        ("root/.ssh/id_rsa.pub", "ssh-rsa AAAA"),
        ("etc/ssl/certs/ISRG_Root_X1.pem", certificate),
        ("usr/lib/python3/site-packages/certifi/cacert.pem", certificate),
        ("app/.npmrc", "//registry.npmjs.org/:_authToken=${NPM_TOKEN}\nregistry=https://x\n"),
        ("root/.docker/config.json", r#"{"auths": {}, "credsStore": "desktop"}"#),
        ("app/.git/config", "[remote]\n url = https://github.com/acme/app\n"),
        ("app/.env", "DEBUG=1\nDB_PASSWORD=\nAPI_KEY=<your key>\nPASSWORD_FILE=/run/secrets/x\n"),
        ("app/.env.example", "DB_PASSWORD=hunter22\n"),
        ("root/.kube/config", "apiVersion: v1\nusers: []\n"),
        ("srv/credentials.json", "{\"type\": \"none\"}"),
    ] {
        assert_eq!(kind(path, content), None, "{path}");
    }
}

#[test]
fn keys_in_the_tests_of_packages_are_samples() {
    for (path, want) in [
        ("srv/node_modules/tls/test/key.pem", true),
        ("usr/lib/python3/dist-packages/x/tests/a.key", true),
        ("usr/local/lib/python3.11/test/keycert.pem", true),
        ("srv/test/key.pem", false),
        ("srv/node_modules/tls/key.pem", false),
    ] {
        assert_eq!(is_sample(&path.into()), want, "{path}");
    }
}

#[test]
fn open_accounts_are_told_by_name() {
    let accounts = |path: &str, content: &str| {
        let mut observer = Observer::default();
        let path = ImagePath::from(path);
        observer.content(&path, watch(&path).unwrap(), content.as_bytes(), content.len() as u64);
        let notes = observer.finish().notes;
        notes.into_iter().map(|note| note.what).collect::<Vec<_>>()
    };
    let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:\ntoor:x:00:0::/:\nopen::7:7::/:\n";
    let want = [
        What::Account("a second user with uid 0", "toor".into()),
        What::Account("an empty password", "open".into()),
    ];
    assert_eq!(accounts("etc/passwd", passwd), want);
    assert_eq!(
        accounts("etc/shadow", "root:::0:::::\nbin:!::0:::::\ndaemon:*:1::::::\n"),
        [What::Account("an empty password", "root".into())]
    );
}

#[test]
fn notes_beyond_the_limit_are_counted() {
    let mut observer = Observer::default();
    for _ in 0..MAX_NOTES + 3 {
        observer.note(&"f".into(), What::Device("a FIFO"));
    }
    observer.note(&"f".into(), What::Odd("x"));
    let observed = observer.finish();
    assert_eq!(observed.notes.len(), MAX_NOTES + 1);
    assert_eq!(observed.more, [(Topic::Device, 3)].into());
}
