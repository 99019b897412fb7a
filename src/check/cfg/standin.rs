//! Recognises secrets by name and by text.

/// What kind of secret a text holds; none where it holds none that is known.
pub(super) fn in_text(text: &str) -> Option<&'static str> {
    let starts = |prefix: &str, least: usize| {
        text.match_indices(prefix).any(|(at, _)| {
            let rest = text.get(at + prefix.len()..).unwrap_or_default();
            rest.bytes()
                .take(least)
                .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-')
                .count()
                >= least
        })
    };
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        Some("a private key")
    } else if starts("AKIA", 16) || starts("ASIA", 16) {
        Some("an AWS access key")
    } else if ["ghp_", "gho_", "ghs_", "ghu_", "ghr_"].iter().any(|prefix| starts(prefix, 36))
        || starts("github_pat_", 40)
    {
        Some("a GitHub token")
    } else if starts("glpat-", 20) {
        Some("a GitLab token")
    } else if ["xoxb-", "xoxp-", "xoxa-"].iter().any(|prefix| starts(prefix, 20)) {
        Some("a Slack token")
    } else if starts("npm_", 36) {
        Some("an npm token")
    } else if has_credentials(text) {
        Some("a password in a URL")
    } else {
        None
    }
}

/// `scheme://user:password@host`, with a password that is no reference.
fn has_credentials(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let rest = text.get(at + 3..).unwrap_or_default();
        let authority = rest.split(|c: char| c == '/' || c.is_whitespace() || c == '"' || c == '\'').next();
        let Some((user, _)) = authority.unwrap_or_default().rsplit_once('@') else { return false };
        user.split_once(':').is_some_and(|(_, password)| {
            !password.is_empty() && !password.contains('$') && !password.contains(['{', '<', '*'])
        })
    })
}

/// Whether a variable of this name is meant to hold a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let secret =
        ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "CREDENTIAL", "CREDENTIALS"];
    let pairs =
        [("API", "KEY"), ("ACCESS", "KEY"), ("PRIVATE", "KEY"), ("ENCRYPTION", "KEY"), ("AUTH", "KEY")];
    // `…_FILE` and the like say where a secret is, not what.
    let about = [
        "FILE", "PATH", "DIR", "NAME", "ID", "URL", "URI", "LENGTH", "TTL", "EXPIRY", "TYPE", "VERSION",
        "PUBLIC", "HEADER", "ENABLED", "MIN", "MAX",
    ];
    if words.last().is_some_and(|last| about.contains(last)) || words.contains(&"PUBLIC") {
        return false;
    }
    words.iter().any(|word| secret.contains(word) || word.ends_with("PASSWORD"))
        || words.windows(2).any(|pair| matches!(pair, [a, b] if pairs.contains(&(*a, *b))))
}
