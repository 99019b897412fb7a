//! Source repositories: one spelling for each, so that two can be compared.

use crate::model::attestation::SignedBy;
use crate::model::signer::Claim;
use crate::policy::identity::GITHUB;
use crate::policy::pattern::Pattern;

/// A source: a repository, and what was built of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// `host/path`, the host in lower case, without scheme and `.git`.
    pub(super) repository: String,
    pub(super) reference: Option<String>,
    pub(super) commit: Option<String>,
}

/// Reads `git+https://HOST/PATH[.git][@REF]` or the same without `git+`; none where it is something else.
pub(super) fn parse(uri: &str) -> Option<Source> {
    let rest = uri.strip_prefix("git+").unwrap_or(uri).strip_prefix("https://")?;
    // The ref stands behind the path; buildkit writes `#` before it.
    let (rest, reference) = match rest.find(['@', '#']) {
        Some(at) => (rest.get(..at)?, Some(rest.get(at + 1..)?)),
        None => (rest, None),
    };
    let is_ref = |text: &str| !text.is_empty() && text.chars().all(|c| is_plain(c) || c == '+' || c == '@');
    if !reference.is_none_or(is_ref) {
        return None;
    }
    let repository = normalise(rest, is_plain)?;
    Some(Source { repository, reference: reference.map(str::to_owned), commit: None })
}

/// Reads what a policy says: the same without a ref, the scheme may be left out, and `*` is any.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    let rest = text.strip_prefix("git+").unwrap_or(text);
    let rest = rest.strip_prefix("https://").unwrap_or(rest);
    let normal = normalise(rest, |c| is_plain(c) || c == '*');
    let invalid = || format!("`{text}` is no repository, such as `github.com/acme/app`");
    normal.map(|normal| Pattern::glob(&normal)).ok_or_else(invalid)
}

/// Attack: `https://github.com@evil.example/acme/app`, `https://github.com/acme/app/../../evil/app`, and whatever else
/// two readers take for two places: another character than these is no repository.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-~/:".contains(c)
}

fn normalise(text: &str, allowed: impl Fn(char) -> bool) -> Option<String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let text = text.strip_suffix(".git").unwrap_or(text);
    let (host, path) = text.split_once('/')?;
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains(':');
    let fine = !host.is_empty() && text.chars().all(allowed) && path.split('/').all(is_segment);
    fine.then(|| format!("{host}/{path}"))
}

/// What the certificate says of the source: the word of the identity provider.
#[derive(Default)]
pub(super) struct Certified {
    pub(super) repository: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) commit: Option<String>,
}

impl Certified {
    /// # Errors
    /// The certificate names a source that is no repository: what an attestation does.
    pub(super) fn of(signed_by: &SignedBy) -> Result<Self, String> {
        let SignedBy::Certificate(signer) = signed_by else { return Ok(Self::default()) };
        let claim = |new: Claim, old: Claim| {
            // The old claims are GitHub's.
            let old = (signer.issuer.as_deref() == Some(GITHUB)).then(|| signer.claims.get(&old)).flatten();
            signer.claims.get(&new).or(old).cloned()
        };
        let old = signer.claims.get(&Claim::GithubWorkflowRepository);
        let old = old.filter(|_| signer.issuer.as_deref() == Some(GITHUB));
        let stated = signer.claims.get(&Claim::SourceRepository).cloned();
        let stated = stated.or_else(|| old.map(|name| format!("https://github.com/{name}")));
        let repository = match stated {
            None => None,
            Some(uri) => match parse(&uri) {
                Some(Source { repository, reference: None, commit: None }) => Some(repository),
                Some(_) | None => {
                    return Err("has a certificate of a source that is no repository".to_owned());
                }
            },
        };
        Ok(Self {
            repository,
            reference: claim(Claim::SourceRepositoryRef, Claim::GithubWorkflowRef),
            commit: claim(Claim::SourceRepositoryDigest, Claim::GithubWorkflowSha),
        })
    }
}
