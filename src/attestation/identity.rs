//! Who may sign: patterns over what a verified certificate says of its holder.
//!
//! An [`Identity`] always has a pattern for the issuer and at least one for something else, and every one must match.
//! Any-of, all-of and thresholds over several identities are the callers': [`Identity::check`] answers for one.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use crate::model::signer::{Claim, Signer};

/// Bytes of a pattern: 4 KiB.
pub const PATTERN: usize = 4 << 10;

/// Bytes of a compiled regular expression: 1 MiB.
const COMPILED: usize = 1 << 20;

/// A pattern that is none: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

/// What a text must be. Case counts, and the whole text must match, always.
#[derive(Debug, Clone)]
pub struct Pattern {
    form: Form,
    text: String,
}

#[derive(Debug, Clone)]
enum Form {
    Exact,
    Glob(Regex),
    Regexp(Regex),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.form) == std::mem::discriminant(&other.form) && self.text == other.text
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Exactly this text.
    ///
    /// # Errors
    /// It is empty or too long.
    pub fn exact(text: &str) -> Result<Self, InvalidPattern> {
        bounded(text)?;
        Ok(Self { form: Form::Exact, text: text.to_owned() })
    }

    /// A glob: `*` is any run of characters but `/`, `**` any run at all, `?` one character but `/`; everything
    /// else is itself.
    ///
    /// # Errors
    /// It is empty or too long, or an empty text would match it.
    pub fn glob(text: &str) -> Result<Self, InvalidPattern> {
        bounded(text)?;
        let mut pattern = String::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let (taken, meaning) = match character {
                '*' if rest.starts_with("**") => (2, "(?s:.*)".to_owned()),
                '*' => (1, "[^/]*".to_owned()),
                '?' => (1, "[^/]".to_owned()),
                other => (other.len_utf8(), regex::escape(other.encode_utf8(&mut [0; 4]))),
            };
            pattern.push_str(&meaning);
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(Self { form: Form::Glob(anchored(&pattern)?), text: text.to_owned() })
    }

    /// A regular expression (crate `regex`), anchored at both ends.
    ///
    /// # Errors
    /// It is empty, too long, none, or too large once compiled, or an empty text would match it.
    pub fn regexp(text: &str) -> Result<Self, InvalidPattern> {
        bounded(text)?;
        // Attack: `a)|(?:b`, which is none by itself and would step out of the anchors around it.
        compile(text)?;
        Ok(Self { form: Form::Regexp(anchored(text)?), text: text.to_owned() })
    }

    /// Whether the whole text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.form {
            Form::Exact => self.text == text,
            Form::Glob(regex) | Form::Regexp(regex) => regex.is_match(text),
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.form {
            Form::Exact => "",
            Form::Glob(_) => "glob ",
            Form::Regexp(_) => "regexp ",
        };
        write!(f, "{kind}`{}`", self.text)
    }
}

fn bounded(text: &str) -> Result<(), InvalidPattern> {
    match text.len() {
        0 => Err(InvalidPattern("a pattern that is empty".to_owned())),
        length if length > PATTERN => {
            Err(InvalidPattern(format!("a pattern longer than the limit of {PATTERN} bytes")))
        }
        _ => Ok(()),
    }
}

/// Attack: `https://github.com/acme/.*`, which unanchored also matches
/// `https://evil.example/?https://github.com/acme/x`.
fn anchored(pattern: &str) -> Result<Regex, InvalidPattern> {
    let regex = compile(&format!(r"\A(?:{pattern})\z"))?;
    // A pattern that demands nothing is more likely a mistake than a wish.
    if regex.is_match("") {
        return Err(InvalidPattern("a pattern that even an empty text matches".to_owned()));
    }
    Ok(regex)
}

fn compile(pattern: &str) -> Result<Regex, InvalidPattern> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED)
        .dfa_size_limit(COMPILED)
        .build()
        .map_err(|error| InvalidPattern(format!("no regular expression: {error}")))
}

/// What of a holder a pattern is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The name in the certificate (`subjectAltName`).
    Subject,
    /// The OpenID Connect issuer.
    Issuer,
    /// What Fulcio wrote of the workload.
    Claim(Claim),
}

impl Field {
    /// Every field, by the names that [`FromStr`] knows.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Subject, Self::Issuer].into_iter().chain(Claim::ALL.iter().copied().map(Self::Claim))
    }

    /// What the signer's certificate says there.
    #[must_use]
    pub fn of(self, signer: &Signer) -> Option<&str> {
        match self {
            Self::Subject => Some(signer.name.as_str()),
            Self::Issuer => signer.issuer.as_deref(),
            Self::Claim(claim) => signer.claims.get(&claim).map(String::as_str),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "subject",
            Self::Issuer => "issuer",
            Self::Claim(claim) => claim.name(),
        })
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|field| field.to_string() == text).ok_or_else(|| {
            let known: Vec<String> = Self::all().map(|field| field.to_string()).collect();
            format!("no field `{text}` of an identity: it is one of {}", known.join(", "))
        })
    }
}

/// Somebody who may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    issuer: Pattern,
    others: Vec<(Field, Pattern)>,
}

/// An identity that cannot be one: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidIdentity(&'static str);

/// What a signer is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where they differ.
    pub field: Field,
    /// What was expected, with the kind of pattern.
    pub expected: String,
    /// What the certificate says.
    pub found: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, expected, found } = self;
        match found {
            Some(found) => write!(f, "the {field} is `{found}`, expected {expected}"),
            None => write!(f, "there is no {field}, expected {expected}"),
        }
    }
}

impl Identity {
    /// Somebody for whom this issuer vouches, and of whom all the others hold.
    ///
    /// # Errors
    /// Attack: an identity without demands, which everybody is. The issuer alone is one: it vouches for all the
    /// world.
    pub fn new(
        issuer: Pattern,
        others: impl IntoIterator<Item = (Field, Pattern)>,
    ) -> Result<Self, InvalidIdentity> {
        let others: Vec<_> = others.into_iter().collect();
        if others.iter().any(|(field, _)| *field == Field::Issuer) {
            return Err(InvalidIdentity("an identity with two patterns for the issuer"));
        }
        if others.is_empty() {
            return Err(InvalidIdentity("an identity of which nothing but the issuer is said"));
        }
        Ok(Self { issuer, others })
    }

    /// Whether the signer is this one.
    ///
    /// # Errors
    /// Everything in which they differ, at least one.
    pub fn check(&self, signer: &Signer) -> Result<(), Vec<Mismatch>> {
        let demands = std::iter::once((Field::Issuer, &self.issuer))
            .chain(self.others.iter().map(|(field, pattern)| (*field, pattern)));
        let differs = demands.filter_map(|(field, pattern)| {
            let found = field.of(signer);
            // What the certificate does not say matches nothing.
            let holds = found.is_some_and(|found| pattern.matches(found));
            let mismatch =
                || Mismatch { field, expected: pattern.to_string(), found: found.map(str::to_owned) };
            (!holds).then(mismatch)
        });
        let mismatches: Vec<Mismatch> = differs.collect();
        if mismatches.is_empty() { Ok(()) } else { Err(mismatches) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (field, pattern) in &self.others {
            write!(f, "{field} {pattern}, ")?;
        }
        write!(f, "issuer {}", self.issuer)
    }
}

#[cfg(test)]
mod tests;
