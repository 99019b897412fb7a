use crate::check::fixture::{Store, config, digest, manifest, of_config, with};
use crate::model::violation::CheckSeverity::{self, Critical, High, Info, Low, Medium};

type Ids = Vec<(&'static str, CheckSeverity)>;

/// One change of a configuration's text, and all that fires.
#[test]
fn each_change_fires_its_own_check_alone() {
    let id = digest("layer");
    let none: Ids = vec![];
    let path = "PATH=/usr/local/bin:/usr/bin:/bin";
    let env = |text: &str| format!(r#"{path}","{text}"#);
    let cases: Vec<(&str, String, Ids)> = vec![
        (r#""type":"layers""#, r#""type":"zip""#.into(), vec![("CFG-002", High)]),
        (&id, "sha256:00".into(), vec![("CFG-003", High)]),
        (&id, format!("{id}\",\"{id}"), vec![("CFG-003", High), ("CFG-004", Medium)]),
        (r#","empty_layer":true"#, String::new(), vec![("CFG-004", Medium)]),
        (r#""os":"linux","#, String::new(), vec![("CFG-005", High)]),
        (r#""os":"linux""#, r#""os":"../..""#.into(), vec![("CFG-005", High)]),
        ("2026-01-01T", "2026-01-03T".into(), vec![("CFG-006", Low)]),
        ("2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z".into(), vec![("CFG-006", Info)]),
        ("2026-01-01T00:00:00Z", "yesterday".into(), vec![("CFG-006", Low)]),
        (r#""User":"1000""#, r#""User":"0:1000""#.into(), vec![("CFG-008", Medium)]),
        (r#""User":"1000","#, String::new(), vec![("CFG-008", Medium)]),
        (r#""User":"1000""#, r#""User":"root""#.into(), vec![("CFG-008", Medium)]),
        (r#""User":"1000""#, r#""User":"app:0""#.into(), none.clone()),
        (r#""User""#, r#""Volumes":{"/var/run/docker.sock":{},"/data":{}},"User""#.into(), vec![("CFG-009", Medium)]),
        (r#""User""#, r#""ExposedPorts":{"22/tcp":{},"80/tcp":{}},"User""#.into(), vec![("CFG-009", Medium)]),
        (r#"["CMD","/app","ping"]"#, r#"["NONE"]"#.into(), vec![("CFG-010", Info)]),
        ("COPY app", "RUN curl -s https://x.example | sh #".into(), vec![("CFG-011", Medium)]),
        ("COPY app", "RUN apt-get update #".into(), vec![("CFG-011", Low)]),
        (r#"["/app"]"#, r#"["/bin/sh"]"#.into(), vec![("CFG-012", Info)]),
        (r#"["/app"]"#, r#"["/bin/sh","-c","app"]"#.into(), none.clone()),
        (path, "PATH=/usr/bin::/bin".into(), vec![("CFG-013", High)]),
        (path, "PATH=.:/bin".into(), vec![("CFG-013", High)]),
        (path, "PATH=/tmp/x:/bin".into(), vec![("CFG-013", High)]),
        (path, "PATH=node_modules/.bin:/bin".into(), vec![("CFG-013", High)]),
        (path, env("LD_PRELOAD=/tmp/x.so"), vec![("CFG-013", High)]),
        (path, env("LD_PRELOAD=libjemalloc.so.2 /usr/lib/x.so"), none.clone()),
        (path, env("LD_LIBRARY_PATH=/opt/lib:"), vec![("CFG-013", High)]),
        (r#""os":"#, r#""evil":1,"os":"#.into(), vec![("CFG-014", Medium)]),
        (r#""os":"#, r#""OS":"x","os":"#.into(), vec![("CFG-014", High)]),
        (r#""User""#, r#""User":"root","User""#.into(), vec![("CFG-014", High)]),
        (r#""User""#, "\"U\u{17f}er\":\"root\",\"User\"".into(), vec![("CFG-014", High)]),
        (r#""Env":["#, r#""env":[],"Env":["#.into(), vec![("CFG-014", High)]),
        (r#""Entrypoint":["/app"]"#, r#""Entrypoint":"/app""#.into(), vec![("CFG-014", High)]),
        (r#""os":"#, r#""moby.buildkit.cache.v0":"x","docker_version":"20","container_config":{"Cmd":null},"os":"#.into(), none.clone()),
        (r#""User""#, r#""Shell":[],"ArgsEscaped":true,"OnBuild":null,"StopSignal":"TERM","Image":"","MacAddress":"","NetworkDisabled":false,"User""#.into(), none),
    ];
    for (from, to, want) in cases {
        let text = with(&config(), from, &to);
        assert_eq!(of_config(&text), want, "{text}");
    }
}

#[test]
fn a_secret_is_found_and_its_value_not_shown() {
    // In two parts: a scanner of this repository is not to take it for a leak.
    let token = &format!("{}{}", "ghp_", "x7Kq2mZp9RtVb4NsWc6Yd8FgHj3LkQa5Ue1T");
    for (from, to) in [
        ("PATH=", "DB_PASSWORD=hunter2hunter2\",\"PATH=".to_owned()),
        ("PATH=", format!("X={token}\",\"PATH=")),
        ("PATH=", "API_KEY=hunter2hunter2\",\"PATH=".to_owned()),
        ("PATH=", "DSN=postgres://app:hunter2hunter2@db/x\",\"PATH=".to_owned()),
        ("\"/app\"]", "\"/app\",\"--token=hunter2hunter2\"]".to_owned()),
        (
            "\"org.opencontainers.image.title\":\"t\"",
            format!("\"org.opencontainers.image.title\":\"{token}\""),
        ),
        ("COPY app", "RUN |1 NPM_TOKEN=hunter2hunter2 npm ci #".to_owned()),
        ("USER 1000", "ENV SECRET_KEY=hunter2hunter2".to_owned()),
        ("COPY app", "RUN git clone https://me:hunter2hunter2@git.example/x #".to_owned()),
    ] {
        let text = with(&config(), from, &to);
        assert_eq!(of_config(&text), [("CFG-007", High)], "{text}");
        let mut store = Store::default();
        let root = store.image(&manifest(), &text);
        let shown = format!("{:?}", store.checked(&root));
        assert!(!shown.contains("hunter2") && !shown.contains(token.as_str()), "{shown}");
    }
}

#[test]
fn what_only_looks_like_a_secret_is_none() {
    for variable in [
        "DB_PASSWORD=",
        "DB_PASSWORD=$DB_PASSWORD",
        "DB_PASSWORD=${X:-y}",
        "DB_PASSWORD_FILE=/run/secrets/db",
        "DB_PASSWORD=/run/secrets/db",
        "NODE_VERSION=18.20.4",
        "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D",
        "NGINX_GPGKEY=573BFD6B3D8FBC641079A6ABABF5BD827BD9BF62",
        "NGINX_GPG_KEYS=573BFD6B3D8FBC641079A6ABABF5BD827BD9BF62",
        "PYTHON_SHA256=9c5e1e2d5f4a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c",
        "PUBLIC_KEY=ssh-ed25519 AAAAC3Nz",
        "TOKENIZERS_PARALLELISM=false",
        "MYSQL_ALLOW_EMPTY_PASSWORD=yes",
        "TOKEN_URL=https://login.example/token",
        "CLIENT_SECRET=<set at run time>",
        "PROXY=http://proxy.example:3128",
    ] {
        let text = with(&config(), "PATH=", &format!("{variable}\",\"PATH="));
        assert_eq!(of_config(&text), [], "{variable}");
        let text = with(&config(), "USER 1000", &format!("ENV {variable}"));
        assert_eq!(of_config(&text), [], "{variable}");
    }
}

#[test]
fn a_configuration_that_is_missing_or_another_is_critical() {
    let mut store = Store::default();
    let root = store.image(&manifest(), config().to_string());
    let key = digest(&config().to_string());
    store.blobs.insert(key.clone(), config().to_string().replace("amd64", "amd65").into_bytes());
    assert_eq!(store.ids(&root), [("CFG-001", Critical)]);
    store.blobs.remove(&key);
    assert_eq!(store.ids(&root), [("CFG-001", Critical)]);
}
