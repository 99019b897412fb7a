//! What the layer pass observes beside packages: a comparison or two for each header, and the beginning of
//! the few files that are known to hold secrets or accounts.

use serde_json::Value;

use crate::image::tar::{Header, Kind, Node};
use crate::model::observed::{MAX_NOTES, NameFault, Note, Observed, Topic, What};
use crate::model::path::ImagePath;

use super::secrets;

/// Bytes of a foreign name that are kept.
const SHOWN: usize = 200;

/// The beginning of a foreign name.
pub(super) fn cut(name: &[u8]) -> Box<[u8]> {
    name.get(..SHOWN).unwrap_or(name).into()
}

/// Collects what is observed of one layer.
#[derive(Default)]
pub(super) struct Observer {
    observed: Observed,
    counts: [usize; Topic::Table as usize + 1],
}

impl Observer {
    pub(super) fn finish(self) -> Observed {
        self.observed
    }

    pub(super) fn note(&mut self, path: &ImagePath, what: What) {
        let topic = what.topic();
        let Some(count) = self.counts.get_mut(topic as usize) else { return };
        if *count < MAX_NOTES {
            *count += 1;
            self.observed.notes.push(Note { path: path.clone(), what });
        } else {
            *self.observed.more.entry(topic).or_default() += 1;
        }
    }

    /// A name by which the entry can have no place in the image.
    pub(super) fn name(&mut self, fault: NameFault, header: &Header) {
        self.note(&ImagePath::root(), What::Name(fault, cut(&header.name)));
    }

    /// An entry whose name leads to `path`.
    pub(super) fn header(&mut self, path: &ImagePath, header: &Header) {
        let name = header.name.as_slice();
        if name.starts_with(b"/") && !path.is_root() {
            self.note(path, What::Name(NameFault::Absolute, cut(name)));
        }
        if name.split(|b| *b == b'/').any(|part| part == b"..") {
            self.note(path, What::Name(NameFault::Parent, cut(name)));
        }
        for oddity in &header.oddities {
            self.note(path, What::Odd(oddity));
        }
        match header.kind {
            Kind::Sparse => self.note(path, What::Odd("a sparse file")),
            Kind::Unknown(_) => self.note(path, What::Odd("an entry of unknown type")),
            Kind::File | Kind::Directory | Kind::Symlink(_) | Kind::HardLink(_) | Kind::Special => {}
        }
        // Attack: a hard link whose header has the bit: runtimes set the mode of what it leads to.
        let is_file = match header.kind {
            Kind::File | Kind::HardLink(_) | Kind::Sparse | Kind::Unknown(_) => true,
            Kind::Directory | Kind::Symlink(_) | Kind::Special => false,
        };
        if is_file && header.mode & 0o6000 != 0 {
            self.note(path, What::SetId { mode: header.mode, uid: header.uid });
        }
        self.linked(path, header);
        match header.node {
            None => {}
            Some(Node::Character(0, 0)) => {
                self.note(path, What::Whiteout("a whiteout in overlayfs's form, which layers do not have"));
            }
            Some(Node::Character(..)) => self.note(path, What::Device("a character device")),
            Some(Node::Block(..)) => self.note(path, What::Device("a block device")),
            Some(Node::Fifo) => self.note(path, What::Device("a FIFO")),
        }
        if let Some(capability) = &header.capability {
            self.note(path, What::Capability(capability.clone()));
        }
        if header.uid.max(header.gid) > 1 << 31 {
            self.note(path, What::Owner(header.uid, header.gid));
        }
        if let Some(time) = header.mtime
            && self.observed.newest.as_ref().is_none_or(|(newest, _)| time > *newest)
        {
            self.observed.newest = Some((time, path.clone()));
        }
    }

    /// A link whose name is that of a file with secrets or accounts, to a file whose own name tells nothing:
    /// its content is read under the other name, and was not searched.
    fn linked(&mut self, path: &ImagePath, header: &Header) {
        let target = match &header.kind {
            Kind::HardLink(target) => ImagePath::normalise(target).ok(),
            // Bundles of certificates are full of symbolic links named `*.pem`.
            Kind::Symlink(target) if !is_pem(path) => ImagePath::normalise(target).ok(),
            Kind::Symlink(_)
            | Kind::File
            | Kind::Directory
            | Kind::Special
            | Kind::Sparse
            | Kind::Unknown(_) => {
                return;
            }
        };
        if watch(path).is_some() && target.as_ref().and_then(watch).is_none() {
            self.note(path, What::Unsearched);
        }
    }

    /// The checksum of a large file.
    pub(super) fn sum(&mut self, path: &ImagePath, size: u64, sum: u32) {
        self.observed.sums.push((path.clone(), size, sum));
    }

    /// The first bytes of a file that [`watch`] asked for.
    pub(super) fn content(&mut self, path: &ImagePath, watch: Watch, first: &[u8], size: u64) {
        match watch {
            Watch::Accounts { shadow } => self.accounts(path, shadow, first),
            Watch::Secret(holds) => {
                if let Some(kind) = holds(first) {
                    let sample = is_sample(path);
                    return self.note(path, What::Secret { kind, sample });
                }
            }
        }
        if size > first.len() as u64 {
            self.note(path, What::Unsearched);
        }
    }

    /// passwd(5) and shadow(5).
    fn accounts(&mut self, path: &ImagePath, shadow: bool, bytes: &[u8]) {
        let mut superusers = 0;
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty() && *line != b"+::::::") {
            let mut fields = line.split(|b| *b == b':');
            let (Some(name), Some(password)) = (fields.next(), fields.next()) else { continue };
            let name = || String::from_utf8_lossy(name.get(..64).unwrap_or(name)).into_owned();
            if password.is_empty() {
                self.note(path, What::Account("an empty password", name()));
            }
            let uid = fields.next().and_then(|uid| std::str::from_utf8(uid).ok());
            if !shadow && uid.is_some_and(|uid| uid.trim().parse() == Ok(0_u64)) {
                superusers += 1;
                if superusers > 1 {
                    self.note(path, What::Account("a second user with uid 0", name()));
                }
            }
        }
    }
}

/// What is to be read of a file.
#[derive(Clone, Copy)]
pub(super) enum Watch {
    /// `/etc/passwd` or `/etc/shadow`.
    Accounts {
        /// Which of the two.
        shadow: bool,
    },
    /// A file that may hold a secret, and how that is told from its first bytes.
    Secret(Holds),
}

/// The kind of secret that a file's bytes hold.
type Holds = fn(&[u8]) -> Option<&'static str>;

impl Watch {
    /// How many first bytes are read: bundles of certificates have half a megabyte.
    pub(super) fn keep(self) -> usize {
        1 << 20
    }
}

/// Whether a file's content is to be observed. By name alone; it is asked for every file.
pub(super) fn watch(path: &ImagePath) -> Option<Watch> {
    match path.as_bytes() {
        b"etc/passwd" => return Some(Watch::Accounts { shadow: false }),
        b"etc/shadow" => return Some(Watch::Accounts { shadow: true }),
        _ => {}
    }
    let bytes = path.as_bytes();
    let start = bytes.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    // Names that are no UTF-8 have an extension all the same; and `ID_RSA` is a key as `id_rsa` is.
    let name = String::from_utf8_lossy(bytes.get(start..)?).to_ascii_lowercase();
    let directory = bytes.get(..start.saturating_sub(1)).unwrap_or_default().to_ascii_lowercase();
    secret_file(&name, &directory).map(Watch::Secret)
}

/// Whether it is called as bundles of certificates are.
fn is_pem(path: &ImagePath) -> bool {
    let name = path.file_name().to_ascii_lowercase();
    [&b".pem"[..], b".key", b".crt"].iter().any(|extension| name.ends_with(extension))
}

fn secret_file(name: &str, directory: &[u8]) -> Option<Holds> {
    let within = |parent: &[u8]| {
        directory.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
    };
    if let Some(holds) = by_name(name) {
        return Some(holds);
    }
    match name {
        "config.json" if within(b".docker") => Some(docker),
        "auth.json" if within(b"containers") => Some(docker),
        "auth.json" if within(b".composer") || within(b"composer") => Some(composer),
        "config" if within(b".git") => Some(git),
        "config" if within(b".kube") => Some(kubernetes),
        "admin.conf" | "kubelet.conf" | "controller-manager.conf" | "scheduler.conf"
            if within(b"kubernetes") =>
        {
            Some(kubernetes)
        }
        "credentials" | "config" if within(b".aws") => Some(named),
        "credentials" | "credentials.toml" if within(b".cargo") || within(b"cargo") => Some(named),
        "credentials" if within(b".gem") => Some(named),
        "accesstokens.json" | "msal_token_cache.json" if within(b".azure") => Some(azure),
        "credentials.db" | "access_tokens.db" if within(b"gcloud") => Some(database),
        "settings.xml" if within(b".m2") => Some(maven),
        // Keys are called as their owners like.
        _ if within(b".ssh") && !name.ends_with(".pub") => Some(key),
        _ if std::path::Path::new(name).extension().is_some_and(|extension| extension == "json") => {
            let lower = name.to_ascii_lowercase();
            let telling =
                ["credential", "service-account", "service_account", "serviceaccount", "gcp", "gcloud"];
            (lower == "adc.json"
                || lower.contains("firebase-adminsdk")
                || lower.ends_with("key.json")
                || telling.iter().any(|word| lower.contains(word)))
            .then_some(google as Holds)
        }
        _ => None,
    }
}

/// Files known wherever they are.
fn by_name(name: &str) -> Option<Holds> {
    match name {
        "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519" | "id_ecdsa_sk" | "id_ed25519_sk" | "identity" => {
            return Some(key);
        }
        ".npmrc" | "npmrc" | ".yarnrc" | ".yarnrc.yml" => return Some(npm),
        ".dockercfg" | ".dockerconfigjson" => return Some(docker),
        ".git-credentials" | ".gitconfig" => return Some(git),
        ".pypirc"
        | ".netrc"
        | "_netrc"
        | ".pgpass"
        | ".my.cnf"
        | ".s3cfg"
        | ".vault-token"
        | ".terraformrc"
        | "credentials.tfrc.json" => return Some(named),
        "kubeconfig" => return Some(kubernetes),
        ".env" => return Some(named),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix(".env.") {
        let is_template =
            ["example", "sample", "template", "dist", "defaults"].iter().any(|t| rest.contains(t));
        return (!is_template).then_some(named as Holds);
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    match extension {
        "pem" | "key" | "ppk" => Some(key),
        "env" if !stem.is_empty() => Some(named),
        "kubeconfig" => Some(kubernetes),
        "" if name.starts_with("ssh_host_") && name.ends_with("_key") => Some(key),
        _ => None,
    }
}

fn key(bytes: &[u8]) -> Option<&'static str> {
    // Attack: a key in UTF-16, which tools on Windows write and read.
    let wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let ascii: Vec<u8> = bytes.iter().skip(2).copied().filter(|b| wide && *b != 0).collect();
    let text = if wide { &ascii } else { bytes };
    (text.starts_with(b"PuTTY-User-Key-File-") || secrets::has_private_key(text)).then_some("a private key")
}

/// The value behind a key of a line, `key = value`, `key: value` or `"key": "value",`.
fn values<'a>(text: &'a str, separators: &'a [char]) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])).filter_map(move |line| {
        let (key, value) = line.split_once(separators)?;
        let trim = |text: &'a str| text.trim().trim_end_matches(',').trim_matches(['"', '\'']).trim();
        Some((trim(key), trim(value)))
    })
}

fn is_real(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('{') && !secrets::is_placeholder(value)
}

/// Variables and settings whose names are those of secrets; and secrets known by their form.
fn named(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.as_ref();
    if let Some(kind) = secrets::in_text(text) {
        return Some(kind);
    }
    let names = values(text, &['=', ':']).any(|(key, value)| {
        let key = key.strip_prefix("export ").unwrap_or(key);
        secrets::is_secret_name(key) && is_real(value)
    });
    // netrc(5): `password VALUE`; pgpass: five fields, the last the password; vault: the token alone.
    let mut words = text.split_whitespace();
    let netrc = words.any(|word| word == "password") && words.next().is_some_and(is_real);
    let pgpass = text.lines().any(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        matches!(fields.as_slice(), [host, port, _, _, password]
            if !host.is_empty() && (*port == "*" || port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty()) && is_real(password))
    });
    let vault = text.starts_with("hvs.") || text.starts_with("s.") && text.trim().len() >= 24;
    (names || netrc || pgpass || vault).then_some("a password or token")
}

fn npm(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let found = values(&text, &['=']).chain(values(&text, &[' ', ':'])).any(|(key, value)| {
        let key = key.rsplit(':').next().unwrap_or(key);
        matches!(key, "_authToken" | "_auth" | "_password" | "npmAuthToken" | "npmAuthIdent")
            && is_real(value)
    });
    found.then_some("a token of an npm registry").or_else(|| secrets::in_text(&text))
}

fn docker(bytes: &[u8]) -> Option<&'static str> {
    let named = |key: &str| matches!(key, "auth" | "password" | "identitytoken" | "registrytoken");
    // What is no JSON is searched as text: a secret in a file that is spoiled can be read all the same.
    let found = in_json(bytes, &named).unwrap_or_else(|| {
        let text: String = String::from_utf8_lossy(bytes).split_whitespace().collect();
        ["\"auth\":\"", "\"password\":\"", "\"identitytoken\":\"", "\"registrytoken\":\""]
            .iter()
            .any(|key| text.split(key).skip(1).any(|rest| rest.split('"').next().is_some_and(is_real)))
    });
    found.then_some("credentials of a container registry")
}

/// composer's `auth.json`: accounts by host, and tokens by host below `…-oauth` and `…-token`.
fn composer(bytes: &[u8]) -> Option<&'static str> {
    let is_token = |hosts: &Value| {
        hosts.as_object().is_some_and(|hosts| hosts.values().filter_map(Value::as_str).any(is_real))
    };
    let tokens = serde_json::from_slice::<Value>(bytes).is_ok_and(|value| {
        let kinds = value.as_object().into_iter().flatten();
        kinds
            .filter(|(key, _)| ["oauth", "token", "bearer"].iter().any(|word| key.contains(word)))
            .any(|(_, hosts)| is_token(hosts))
    });
    let found = tokens || in_json(bytes, &secrets::is_secret_name).unwrap_or_default();
    named(bytes).or_else(|| found.then_some("a password or token"))
}

/// Whether a JSON document has a real value under a key that is picked, however it is written; `None` where
/// it is no JSON.
fn in_json(bytes: &[u8], picked: &dyn Fn(&str) -> bool) -> Option<bool> {
    fn holds(value: &Value, picked: &dyn Fn(&str) -> bool) -> bool {
        match value {
            Value::Object(map) => map.iter().any(|(key, value)| {
                (picked(key) && value.as_str().is_some_and(is_real)) || holds(value, picked)
            }),
            Value::Array(items) => items.iter().any(|item| holds(item, picked)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    Some(holds(&value, picked))
}

fn git(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let header = text.to_ascii_lowercase().lines().any(|line| {
        line.contains("extraheader")
            && (line.contains("authorization: basic") || line.contains("authorization: bearer"))
    });
    header.then_some("credentials of a git server").or_else(|| secrets::in_text(&text))
}

fn kubernetes(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let found = values(&text, &[':']).any(|(key, value)| {
        matches!(key.trim_start_matches("- "), "client-key-data" | "token" | "password") && is_real(value)
    });
    found.then_some("credentials of a Kubernetes cluster")
}

fn google(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let account = text.contains("\"service_account\"") && secrets::has_private_key(bytes);
    let user = text.contains("\"refresh_token\"") && text.contains("\"client_secret\"");
    (account || user).then_some("credentials of Google Cloud")
}

fn azure(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    (text.contains("refreshToken") || text.contains("refresh_token") || text.contains("\"secret\""))
        .then_some("credentials of Azure")
}

fn database(bytes: &[u8]) -> Option<&'static str> {
    bytes.starts_with(b"SQLite format 3\0").then_some("credentials of Google Cloud")
}

fn maven(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let found = text.split("<password>").skip(1).any(|rest| rest.split('<').next().is_some_and(is_real));
    found.then_some("a password of a Maven server")
}

/// Whether a file is among the tests or examples of a package: such keys are public, and guard nothing.
fn is_sample(path: &ImagePath) -> bool {
    let mut package = false;
    let parts: Vec<&[u8]> = path.components().collect();
    let (_, directories) = parts.split_last().unwrap_or((&b"".as_slice(), &[]));
    let mut before: &[u8] = b"";
    directories.iter().any(|part| {
        let is_test = matches!(
            *part,
            b"test"
                | b"tests"
                | b"__tests__"
                | b"testdata"
                | b"testing"
                | b"fixtures"
                | b"spec"
                | b"example"
                | b"examples"
                | b"demo"
                | b"demos"
                | b"t"
        );
        let found = package && is_test;
        let version = |name: &[u8]| {
            part.strip_prefix(name).is_some_and(|rest| rest.iter().all(|b| b.is_ascii_digit() || *b == b'.'))
        };
        let in_lib = before == b"lib" && (version(b"python") || *part == b"erlang");
        let of_go = (before == b"pkg" && *part == b"mod") || (before == b"go" && *part == b"src");
        let of_cargo = before == b"registry" && *part == b"src";
        let shared = before == b"share" && (*part == b"doc" || version(b"perl"));
        package |= matches!(*part, b"node_modules" | b"site-packages" | b"dist-packages" | b"gems")
            || in_lib
            || of_go
            || of_cargo
            || shared;
        before = *part;
        found
    })
}

#[cfg(test)]
mod tests;
