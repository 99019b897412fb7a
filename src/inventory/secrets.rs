//! Secrets in text, known by their form, and names of variables that hold them. No value of one ever
//! leaves this file: answered is only the kind.

/// The kind of the first secret that a text holds, such as `a GitHub token`. Placeholders are none.
#[must_use]
pub(crate) fn in_text(text: &str) -> Option<&'static str> {
    let token = TOKENS.iter().find(|token| token.stands_in(text)).map(|token| token.kind);
    token
        .or_else(|| has_private_key(text.as_bytes()).then_some("a private key"))
        .or_else(|| has_aws_pair(text).then_some("an AWS access key"))
        .or_else(|| has_jwt(text).then_some("a JSON web token"))
        .or_else(|| has_password_url(text).then_some("a URL with a password"))
}

/// Whether a variable's name says that its value is a secret: by whole words, and not where it names a
/// file, a version or a public key.
#[must_use]
pub(crate) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let about = |word: &&str| {
        matches!(
            *word,
            "FILE"
                | "FILES"
                | "PATH"
                | "DIR"
                | "VERSION"
                | "NAME"
                | "ID"
                | "URL"
                | "URI"
                | "ENDPOINT"
                | "TYPE"
                | "LENGTH"
                | "SIZE"
                | "LIMIT"
                | "COUNT"
                | "TTL"
                | "TIMEOUT"
                | "EXPIRY"
                | "EXPIRATION"
                | "ENABLED"
                | "POLICY"
                | "ALGORITHM"
                | "PREFIX"
                | "HEADER"
                | "MANAGER"
                | "BACKEND"
                | "AUDIENCE"
                | "PROVIDER"
                | "HASHER"
                | "ENCRYPTION"
                | "REFRESH"
                | "TYPES"
                | "ISSUER"
                | "MINUTES"
                | "SECONDS"
        )
    };
    if words.last().is_some_and(about) || words.windows(2).any(|pair| *pair == ["PUBLIC", "KEY"]) {
        return false;
    }
    let alone = |word: &&str| {
        matches!(
            *word,
            "PASSWORD"
                | "PASSWD"
                | "PASSPHRASE"
                | "SECRET"
                | "SECRETS"
                | "TOKEN"
                | "CREDENTIAL"
                | "CREDENTIALS"
                | "APIKEY"
        )
    };
    let pair = |pair: &[&str]| {
        matches!(pair, [kind, "KEY"] if matches!(*kind, "API" | "ACCESS" | "PRIVATE" | "ENCRYPTION" | "SIGNING" | "AUTH" | "MASTER"))
            || matches!(pair, [first, "PWD" | "PASS"] if *first != "OLD")
    };
    words.iter().any(alone) || words.windows(2).any(pair)
}

/// Words of a name in upper case: `apiKey`, `API_KEY` and `api-key` are the same two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        let starts = !c.is_alphanumeric() || (c.is_uppercase() && lower);
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        lower = c.is_lowercase() || c.is_ascii_digit();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_uppercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a value stands for a secret that is given elsewhere, or is none.
#[must_use]
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']).trim();
    let lower = value.to_ascii_lowercase();
    let mut characters = value.chars();
    let first = characters.next();
    value.len() < 4
        || characters.all(|c| Some(c) == first)
        || value.starts_with(['$', '<', '%', '/', '{', '[', '@'])
        || lower.starts_with("your")
        || [
            "example",
            "placeholder",
            "changeme",
            "change_me",
            "change-me",
            "replace",
            "dummy",
            "redacted",
            "xxxx",
            "...",
            "****",
            "todo",
        ]
        .iter()
        .any(|word| lower.contains(word))
        || matches!(
            lower.as_str(),
            "null"
                | "none"
                | "true"
                | "false"
                | "password"
                | "passwd"
                | "secret"
                | "token"
                | "pass"
                | "undefined"
        )
}

/// A token known by how it begins and by the characters that follow.
struct Token {
    kind: &'static str,
    prefix: &'static str,
    /// Least number of characters after the prefix.
    least: usize,
}

static TOKENS: &[Token] = &[
    Token { kind: "a GitHub token", prefix: "ghp_", least: 36 },
    Token { kind: "a GitHub token", prefix: "gho_", least: 36 },
    Token { kind: "a GitHub token", prefix: "ghu_", least: 36 },
    Token { kind: "a GitHub token", prefix: "ghs_", least: 36 },
    Token { kind: "a GitHub token", prefix: "ghr_", least: 36 },
    Token { kind: "a GitHub token", prefix: "github_pat_", least: 60 },
    Token { kind: "a GitLab token", prefix: "glpat-", least: 20 },
    Token { kind: "a Slack token", prefix: "xoxb-", least: 20 },
    Token { kind: "a Slack token", prefix: "xoxp-", least: 20 },
    Token { kind: "a Slack token", prefix: "xoxa-", least: 20 },
    Token { kind: "a Slack token", prefix: "xoxr-", least: 20 },
    Token { kind: "a Slack token", prefix: "xoxs-", least: 20 },
    Token { kind: "an npm token", prefix: "npm_", least: 36 },
    Token { kind: "a PyPI token", prefix: "pypi-", least: 50 },
    Token { kind: "a Google API key", prefix: "AIza", least: 35 },
    Token { kind: "a Stripe key", prefix: "sk_live_", least: 16 },
    Token { kind: "a Stripe key", prefix: "rk_live_", least: 16 },
];

impl Token {
    fn stands_in(&self, text: &str) -> bool {
        text.match_indices(self.prefix).any(|(at, _)| {
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let rest = text.get(at + self.prefix.len()..).unwrap_or_default();
            let length = rest.bytes().take_while(|b| is_url_base64(*b)).count();
            let value = rest.get(..length).unwrap_or_default();
            // `mynpm_modules…` holds no token.
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
                && length >= self.least
                && value.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
                && !is_placeholder(value)
        })
    }
}

fn is_url_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// How the first line of a private key in PEM ends (RFC 7468, OpenSSH, PGP).
pub(super) const PRIVATE_KEY: &[u8] = b"PRIVATE KEY";

/// Whether a private key in PEM stands in bytes: its first line and key material after it.
pub(super) fn has_private_key(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        // In a variable or in JSON the lines are one, parted by `\n`.
        let Some(at) = find(line, b"-----BEGIN ") else { continue };
        let header = line.get(at..).unwrap_or_default();
        let Some(end) = find(header, PRIVATE_KEY) else { continue };
        let own = header.get(end + PRIVATE_KEY.len()..).unwrap_or_default();
        let mut rest = own.to_vec();
        rest.push(b'\n');
        for line in lines.clone().take(6) {
            rest.extend_from_slice(line);
            rest.push(b'\n');
        }
        let is_material = |part: &[u8]| {
            part.len() >= 32 && part.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b))
        };
        if rest
            .split(|b| matches!(b, b'\n' | b'\\' | b' ' | b'"'))
            .any(|part| is_material(part.strip_prefix(b"n").unwrap_or(part)))
        {
            return true;
        }
    }
    false
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// An access key's id alone is no secret; with the secret key beside it, it is.
fn has_aws_pair(text: &str) -> bool {
    let mut parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '/' || c == '+'));
    let is_id = |part: &str| {
        part.len() == 20
            && (part.starts_with("AKIA") || part.starts_with("ASIA"))
            && !part.ends_with("EXAMPLE")
            && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let is_key = |part: &str| {
        part.len() == 40
            && !part.contains("EXAMPLE")
            && part.bytes().any(|b| b.is_ascii_uppercase())
            && part.bytes().any(|b| b.is_ascii_lowercase())
    };
    parts.clone().any(is_id) && parts.any(is_key)
}

fn has_jwt(text: &str) -> bool {
    text.match_indices("eyJ").any(|(at, _)| {
        let rest = text.get(at..).unwrap_or_default();
        let end = rest.bytes().position(|b| !is_url_base64(b) && b != b'.').unwrap_or(rest.len());
        let parts: Vec<&str> = rest.get(..end).unwrap_or_default().split('.').collect();
        matches!(parts.as_slice(), [head, body, signature, ..]
            if head.len() >= 16 && body.len() >= 16 && body.starts_with("eyJ") && signature.len() >= 16)
    })
}

/// RFC 3986 §3.2.1: `scheme://user:password@host`.
fn has_password_url(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let scheme = text.get(..at).and_then(|text| text.chars().next_back());
        let rest = text.get(at + 3..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'<>`|".contains(c)).unwrap_or(rest.len());
        let user = rest.get(..end).and_then(|authority| authority.rsplit_once('@'));
        let password = user.and_then(|(user, _)| user.split_once(':'));
        scheme.is_some_and(|c| c.is_ascii_alphanumeric())
            && password.is_some_and(|(_, password)| !password.is_empty() && !is_placeholder(password))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0a1B2c3D4e5F6a7B8c9D0a1B2c3D4e5F6a7B8c9D0a1B2c3D4e5F6a7B8c9D0a1B";

    #[test]
    fn secrets_are_known_by_their_form() {
        let cut = |n: usize| &HEX[..n];
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{}", cut(40));
        for (text, kind) in [
            (format!("token: ghp_{}", cut(36)), "a GitHub token"),
            (format!("github_pat_{}", cut(62)), "a GitHub token"),
            (format!("glpat-{}", cut(20)), "a GitLab token"),
            (format!("xoxb-{}", cut(30)), "a Slack token"),
            (format!("//registry/:_authToken=npm_{}", cut(36)), "an npm token"),
            (format!("pypi-{}", cut(60)), "a PyPI token"),
            (format!("AIza{}", cut(35)), "a Google API key"),
            (format!("sk_live_{}", cut(24)), "a Stripe key"),
            (format!("AKIA{} {}", &"QWERTYUIOPASDFGH"[..16], cut(40)), "an AWS access key"),
            (jwt, "a JSON web token"),
            ("postgres://app:s3cr3tpw@db/app".into(), "a URL with a password"),
            (format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n", cut(64)), "a private key"),
            (format!("{{\"k\":\"-----BEGIN PRIVATE KEY-----\\n{}\\n\"}}", cut(64)), "a private key"),
        ] {
            assert_eq!(in_text(&text), Some(kind), "{text}");
        }
    }

    #[test]
    fn placeholders_and_ordinary_text_are_no_secrets() {
        for text in [
            "",
            "ghp_short",
            "npm_config_cache_and_some_other_long_names_of_variables",
            "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "https://user:${PASSWORD}@host/",
            "https://user:<password>@host/",
            "https://host:8080/@scope/name",
            "https://user@host/",
            "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQsw\n",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert_eq!(in_text(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_secrets_are_told_by_whole_words() {
        for name in [
            "PASSWORD",
            "DB_PASSWORD",
            "MYSQL_PWD",
            "db_pass",
            "apiKey",
            "API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "NPM_TOKEN",
            "SECRET_KEY_BASE",
            "PRIVATE_KEY",
            "GOOGLE_CREDENTIALS",
            "client-secret",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PWD",
            "OLDPWD",
            "PATH",
            "KEY",
            "GPG_KEY",
            "PASSWORD_FILE",
            "TOKEN_PATH",
            "SECRET_VERSION",
            "SSH_PUBLIC_KEY",
            "TOKENIZERS_PARALLELISM",
            "AWS_ACCESS_KEY_ID",
            "KEYBOARD",
            "MAX_TOKENS",
            "BYPASS",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
