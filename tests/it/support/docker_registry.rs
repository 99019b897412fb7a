//! Debian's `docker-registry` (distribution 2.8), started for a test on a free loopback port.
//!
//! It knows no referrers API, sends no `OCI-Subject`, and takes manifests with a subject: readers use the fallback
//! tag. Its list of tags ignores `n` and is unsorted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SigningKey as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::registry::auth::{Scope, grant};
use super::registry::http::{Log, Reply, Request, Threads, listener};
use super::registry::{Bearer, PASSWORD, USER};
use super::tool;

/// A repository of [`DockerRegistry::token`] that anyone may pull from.
pub const PUBLIC: &str = "acme/public";

/// A running registry; it ends when dropped.
pub struct DockerRegistry {
    child: Child,
    place: TempDir,
    address: String,
    tls: bool,
    tokens: Option<TokenServer>,
}

impl DockerRegistry {
    /// Over HTTP, no password, delete allowed.
    pub fn plain() -> Option<Self> {
        Self::start(tempfile::tempdir().unwrap(), &json!({}), None)
    }

    /// Over TLS with a certificate of a CA of its own, and a password ([`USER`], [`PASSWORD`]).
    pub fn tls() -> Option<Self> {
        let htpasswd = tool("htpasswd")?;
        let place = tempfile::tempdir().unwrap();
        let output = Command::new(htpasswd).args(["-Bbn", USER, PASSWORD]).output().unwrap();
        assert!(output.status.success());
        std::fs::write(place.path().join("htpasswd"), output.stdout).unwrap();
        let more = json!({
            "http": {"tls": certify(place.path())},
            "auth": {"htpasswd": {"realm": "test", "path": place.path().join("htpasswd")}},
        });
        Self::start(place, &more, None)
    }

    /// Over TLS with a certificate of a CA of its own, for clients that show one of the same CA.
    pub fn mutual_tls() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mut tls = certify(place.path());
        tls["clientcas"] = json!([place.path().join("certificates/ca.crt")]);
        Self::start(place, &json!({"http": {"tls": tls}}), None)
    }

    /// Over HTTP with tokens of a server in this process, which knows [`USER`] and lets anyone pull [`PUBLIC`].
    pub fn token() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let tokens = TokenServer::start(place.path());
        let more = json!({"auth": {"token": {
            "realm": format!("http://{}/token", tokens.address), "service": SERVICE, "issuer": ISSUER,
            "rootcertbundle": place.path().join("token.pem"),
        }}});
        Self::start(place, &more, Some(tokens))
    }

    fn start(place: TempDir, more: &Value, tokens: Option<TokenServer>) -> Option<Self> {
        let program = tool("docker-registry")?;
        // Between the choice of a port and its use another may take it.
        for _ in 0..5 {
            let address = format!("127.0.0.1:{}", listener().1);
            let mut settings = json!({
                "version": 0.1,
                "log": {"level": "warn"},
                "storage": {"filesystem": {"rootdirectory": place.path().join("data")}, "delete": {"enabled": true}},
                "http": {"addr": address},
            });
            if let Some(tls) = more.get("http").and_then(|http| http.get("tls")) {
                settings["http"]["tls"] = tls.clone();
            }
            if let Some(auth) = more.get("auth") {
                settings["auth"] = auth.clone();
            }
            // JSON is YAML.
            let file = place.path().join("settings.yml");
            std::fs::write(&file, settings.to_string()).unwrap();
            let said = std::fs::File::create(place.path().join("said")).unwrap();
            let mut command = Command::new(&program);
            command.arg("serve").arg(&file).current_dir(place.path()).env_clear().env("HOME", place.path());
            command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
            let mut child = command.spawn().unwrap();
            if listens(&mut child, &address) {
                let tls = more.get("http").is_some();
                return Some(Self { child, place, address, tls, tokens });
            }
        }
        panic!("{}", std::fs::read_to_string(place.path().join("said")).unwrap());
    }

    /// `127.0.0.1:port`. The certificate is for `localhost` too.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:port/acme/app:v1`.
    pub fn reference(&self, repository: &str, tag_or_digest: &str) -> String {
        let mark = if tag_or_digest.contains(':') { '@' } else { ':' };
        format!("{}/{repository}{mark}{tag_or_digest}", self.address)
    }

    /// A folder with the CA's certificate `ca.crt` and a client's `client.cert` and `client.key`, all PEM, where the
    /// registry has TLS.
    pub fn certificates(&self) -> Option<PathBuf> {
        self.tls.then(|| self.place.path().join("certificates"))
    }

    /// How often a token was asked for.
    pub fn token_calls(&self) -> usize {
        self.tokens.as_ref().map_or(0, |tokens| tokens.log.count("*", "/token"))
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a child takes connections; false where it ended.
fn listens(child: &mut Child, address: &str) -> bool {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if std::net::TcpStream::connect(address).is_ok() {
            return child.try_wait().unwrap().is_none();
        }
        if began.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Writes the certificates of a CA, and of a server and a client that it signed; the server's settings.
fn certify(place: &Path) -> Value {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "CA of a test");
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let sign = |names: &[&str], certificate: &str, file: &str| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(place.join(certificate), signed.pem()).unwrap();
        std::fs::write(place.join(file), key.serialize_pem()).unwrap();
    };
    std::fs::create_dir(place.join("certificates")).unwrap();
    std::fs::write(place.join("certificates/ca.crt"), ca.pem()).unwrap();
    sign(&["localhost", "127.0.0.1"], "server.pem", "server.key");
    sign(&["client"], "certificates/client.cert", "certificates/client.key");
    json!({"certificate": place.join("server.pem"), "key": place.join("server.key")})
}

const SERVICE: &str = "registry.test";
const ISSUER: &str = "test-issuer";

/// Gives signed tokens (distribution's "Token Authentication"): ES256 with the certificate in `x5c`.
struct TokenServer {
    address: String,
    log: Arc<Log>,
    _threads: Threads,
}

impl TokenServer {
    /// Writes the certificate as `token.pem`.
    fn start(place: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["token".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(place.join("token.pem"), certificate.pem()).unwrap();
        let x5c = STANDARD.encode(certificate.der());
        let bearer = Bearer { public: vec![PUBLIC.into()], ..Bearer::default() };
        let answer = move |request: &Request| match grant(&bearer, request) {
            Ok(scopes) => Reply::json(200, &json!({"token": sign(&key, &x5c, &scopes), "expires_in": 300})),
            Err(refusal) => refusal,
        };
        let (listener, port) = listener();
        let (threads, log) = (Threads::start(), Arc::new(Log::default()));
        threads.serve(listener, log.clone(), Arc::new(answer));
        Self { address: format!("127.0.0.1:{port}"), log, _threads: threads }
    }
}

fn sign(key: &KeyPair, x5c: &str, scopes: &[Scope]) -> String {
    #[expect(clippy::disallowed_methods, reason = "a server knows what time it is")]
    let now = jiff::Timestamp::now().as_second();
    let access: Vec<Value> = scopes
        .iter()
        .map(|scope| json!({"type": "repository", "name": scope.repository, "actions": scope.actions}))
        .collect();
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [x5c]});
    let claims = json!({
        "iss": ISSUER, "sub": USER, "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1",
        "access": access,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = raw(&key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The two numbers of an ECDSA signature in DER, 32 bytes each (RFC 7518, section 3.4).
fn raw(der: &[u8]) -> Vec<u8> {
    let first = &der[4..4 + usize::from(der[3])];
    let second = &der[4 + first.len() + 2..];
    let padded = |number: &[u8]| {
        let number = &number[number.len().saturating_sub(32)..];
        [vec![0; 32 - number.len()], number.to_vec()].concat()
    };
    [padded(first), padded(second)].concat()
}
