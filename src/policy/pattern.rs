//! Patterns: globs over names and paths, and the shapes of tags.

/// A pattern over a text. Matching takes time in proportion to the text's length times the pattern's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// These bytes.
    Literal(Vec<u8>),
    /// `*`: any run without `/`.
    Segment,
    /// `**`: any run.
    Any,
    /// `<sha>`: 7 to 64 lower-case hexadecimal digits, a Git commit, abbreviated or whole.
    Sha,
    /// `<n>`: a decimal number.
    Number,
    /// `<semver>`: a version of Semantic Versioning 2.0.0, with an optional `v` in front.
    Version,
}

const PLACEHOLDERS: [(&str, Part); 3] =
    [("<sha>", Part::Sha), ("<n>", Part::Number), ("<semver>", Part::Version)];

impl Pattern {
    /// A glob: `*` stops at `/`, `**` does not, everything else stands for itself.
    pub(crate) fn glob(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = if let Some(after) = rest.strip_prefix("**") {
                parts.push(Part::Any);
                after
            } else if let Some(after) = rest.strip_prefix('*') {
                parts.push(Part::Segment);
                after
            } else {
                let (literal, after) = rest.split_at(rest.find('*').unwrap_or(rest.len()));
                parts.push(Part::Literal(literal.as_bytes().to_vec()));
                after
            };
        }
        Self { text: text.to_owned(), parts }
    }

    /// Exactly this text.
    pub(crate) fn exact(text: &str) -> Self {
        Self { text: text.to_owned(), parts: vec![Part::Literal(text.as_bytes().to_vec())] }
    }

    /// The shape of a tag: a glob with the placeholders `<sha>`, `<n>` and `<semver>`; `semver`
    /// alone is `<semver>`.
    pub(crate) fn tag(text: &str) -> Result<Self, String> {
        if text == "semver" {
            return Ok(Self { text: text.to_owned(), parts: vec![Part::Version] });
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            let (before, after) = rest.split_at(at);
            parts.extend(Self::glob(before).parts);
            let found = PLACEHOLDERS.iter().find_map(|(name, part)| Some((part, after.strip_prefix(name)?)));
            let (part, after) =
                found.ok_or_else(|| format!("`{after}` is none of `<sha>`, `<n>`, `<semver>`"))?;
            parts.push(part.clone());
            rest = after;
        }
        parts.extend(Self::glob(rest).parts);
        // distribution-spec: a tag is `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. Another character never matches.
        let tag_byte = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
        let literal = |part: &Part| matches!(part, Part::Literal(bytes) if !bytes.iter().all(tag_byte));
        if parts.iter().any(literal) {
            return Err(format!("no tag can be `{text}`: tags have letters, digits, `.`, `_` and `-`"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The pattern as written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it covers every text.
    pub(crate) fn is_anything(&self) -> bool {
        self.text == "**"
    }

    /// Whether it covers the whole of `text`.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        // The set of positions that the parts so far can end at: no backtracking, so no pattern of
        // many stars takes exponential time.
        let mut reached = vec![false; text.len() + 1];
        reached.iter_mut().take(1).for_each(|first| *first = true);
        for part in &self.parts {
            reached = part.advance(text, &reached);
        }
        reached.last().copied().unwrap_or(false)
    }
}

impl Part {
    fn advance(&self, text: &[u8], reached: &[bool]) -> Vec<bool> {
        let mut next = vec![false; reached.len()];
        let mut carry = false;
        for (at, from) in reached.iter().enumerate() {
            let rest = text.get(at..).unwrap_or_default();
            let mut mark = |length: usize| {
                if let Some(slot) = next.get_mut(at + length) {
                    *slot = true;
                }
            };
            match self {
                Self::Any | Self::Segment => {
                    carry |= from;
                    if carry {
                        mark(0);
                    }
                    carry &= matches!(self, Self::Any) || rest.first() != Some(&b'/');
                }
                Self::Literal(bytes) if *from && rest.starts_with(bytes) => mark(bytes.len()),
                Self::Sha if *from => (7..=run(rest, is_hex).min(64)).for_each(mark),
                Self::Number if *from => (1..=run(rest, |b| b.is_ascii_digit())).for_each(mark),
                Self::Version if *from => {
                    let fits = |length: &usize| rest.get(..*length).is_some_and(is_version);
                    (1..=rest.len().min(128)).filter(fits).for_each(mark);
                }
                Self::Literal(_) | Self::Sha | Self::Number | Self::Version => {}
            }
        }
        next
    }
}

fn run(text: &[u8], inside: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|b| inside(**b)).count()
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Semantic Versioning 2.0.0 §2, §9; build metadata (§10) cannot stand in a tag.
fn is_version(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let text = text.strip_prefix('v').unwrap_or(text);
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let identifier = |part: &str| {
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && (!digits || number(part))
    };
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|part| number(part))
        && pre.is_none_or(|pre| pre.split('.').all(identifier))
}

/// A glob over `registry/repository`. `index.docker.io` is `docker.io`, as references are normalised.
pub(crate) fn repository_glob(text: &str) -> Result<Pattern, String> {
    let (first, rest) = text.split_once('/').map_or((text, None), |(first, rest)| (first, Some(rest)));
    if text.contains('@') || rest.is_some_and(|rest| rest.contains(':')) {
        return Err(format!("`{text}` names a tag or a digest; a pattern here names repositories"));
    }
    if !first.contains(['.', ':', '*']) && first != "localhost" {
        let hub = if rest.is_some() { "docker.io" } else { "docker.io/library" };
        return Err(format!("`{text}` names no registry: write `{hub}/{text}` if Docker Hub is meant"));
    }
    Ok(match rest {
        Some(rest) if first == "index.docker.io" => Pattern::glob(&format!("docker.io/{rest}")),
        Some(_) | None => Pattern::glob(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str, text: &str) -> bool {
        Pattern::glob(pattern).matches(text.as_bytes())
    }

    fn tag(pattern: &str, text: &str) -> bool {
        Pattern::tag(pattern).unwrap().matches(text.as_bytes())
    }

    #[test]
    fn one_star_stops_at_a_slash_and_two_do_not() {
        assert!(glob("ghcr.io/acme/*", "ghcr.io/acme/app"));
        assert!(!glob("ghcr.io/acme/*", "ghcr.io/acme/team/app"));
        assert!(glob("ghcr.io/acme/**", "ghcr.io/acme/team/app"));
        assert!(glob("**", "") && glob("**", "a/b") && glob("*", "") && !glob("*", "a/b"));
        assert!(glob("a*c", "abc") && glob("a*c", "ac") && !glob("a*c", "ab") && !glob("a*c", "abcd"));
        assert!(glob("**/node_modules/**", "x/y/node_modules/z"));
        assert!(!glob("ghcr.io/acme/app", "ghcr.io/acme/app-evil"));
        assert!(!glob("ghcr.io/acme/app", "evil.io/ghcr.io/acme/app"));
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let text = "a".repeat(4_000);
        assert!(!glob(&format!("{}b", "*a".repeat(500)), &text));
    }

    #[test]
    fn tags_have_shapes() {
        for yes in ["1.2.3", "v1.2.3", "v0.0.0", "1.2.3-rc.1", "1.2.3-0.x-y"] {
            assert!(tag("semver", yes), "{yes}");
        }
        for no in ["1.2", "v1", "01.2.3", "1.2.3-", "1.2.3-01", "latest", "vv1.2.3", "1.2.3.4", "1.2.3-a..b"]
        {
            assert!(!tag("semver", no), "{no}");
        }
        assert!(tag("main-<sha>", "main-0123abc") && !tag("main-<sha>", "main-0123ab"));
        assert!(!tag("main-<sha>", "main-0123ABC") && !tag("main-<sha>", "xmain-0123abc"));
        assert!(tag("pr-<n>", "pr-17") && !tag("pr-<n>", "pr-") && !tag("pr-<n>", "pr-17a"));
        assert!(tag("release-<semver>-<sha>", "release-1.2.3-rc.1-0123abc"));
        assert!(tag("latest", "latest") && !tag("latest", "latest2") && tag("nightly-*", "nightly-x"));
    }

    #[test]
    fn a_placeholder_that_does_not_exist_is_an_error() {
        assert!(Pattern::tag("pr-<number>").unwrap_err().contains("`<number>` is none of"));
        assert!(Pattern::tag("a b").is_err());
        assert!(Pattern::tag("v1+meta").is_err());
    }

    #[test]
    fn a_repository_pattern_names_its_registry() {
        for good in ["ghcr.io/acme/**", "**", "*/acme/app", "localhost/app", "localhost:5000/app"] {
            assert!(repository_glob(good).is_ok(), "{good}");
        }
        assert!(repository_glob("acme/app").unwrap_err().contains("docker.io/acme/app"));
        assert!(repository_glob("alpine").unwrap_err().contains("docker.io/library/alpine"));
        assert!(repository_glob("ghcr.io/acme/app:1.0").is_err());
        assert!(repository_glob("index.docker.io/library/*").unwrap().matches(b"docker.io/library/alpine"));
    }
}
