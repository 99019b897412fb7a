//! Why a registry did not give what was asked: kept apart by what a caller does next.

use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use crate::model::path::escape;
use crate::net::{self, Budget};

use super::{guard, limits};

/// What a registry, or the way to it, did not give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct Error {
    /// What callers branch on.
    pub kind: ErrorKind,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The registry's error code, such as `MANIFEST_UNKNOWN` (distribution-spec, "Error Codes").
    pub code: Option<String>,
    /// What happened and what to do: a lowercase fragment.
    pub message: String,
    /// When the registry wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The reference, or the file of settings.
    pub at: String,
    /// Of [`ErrorKind::Mismatch`]: it is the registry's own header that contradicts the bytes.
    pub stated: bool,
    /// Asking again cannot help, although the kind says that it might.
    pub(super) lasting: bool,
}

/// What kind of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Certainly not there: 404 with `MANIFEST_UNKNOWN`, `NAME_UNKNOWN` or `BLOB_UNKNOWN`, or 404 to HEAD.
    /// The only kind that may be taken for absence.
    NotFound,
    /// 401, after credentials were tried or where there are none.
    Unauthorized,
    /// 403: known, and not allowed.
    Denied,
    /// 429, or a rate limit told in another way.
    RateLimited,
    /// No answer, an answer of 5xx, a time-out, an interruption: asking later may help.
    Unavailable,
    /// The bytes certainly contradict the digest or the size that they should have.
    Mismatch,
    /// The answer contradicts itself or the protocol.
    Invalid,
    /// More bytes, pages or entries than a limit allows.
    TooLarge,
    /// We refuse: an address, a host or a token that could harm.
    Refused,
    /// The registry does not offer this, such as deleting on GHCR.
    Unsupported,
    /// The settings, a certificate or a file of credentials cannot be used: the user must correct it.
    Settings,
}

/// The codes that say of a 404 what is not there.
const ABSENT: &[&str] = &["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN"];

impl Error {
    pub(super) fn new(kind: ErrorKind, at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            message: message.into(),
            retry_after: None,
            at: at.into(),
            stated: false,
            lasting: false,
        }
    }

    pub(super) fn invalid(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, at, message)
    }

    pub(super) fn mismatch(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, at, message)
    }

    pub(super) fn too_large(at: impl Into<String>, what: &str, limit: u64) -> Self {
        Self::new(ErrorKind::TooLarge, at, format!("{what} is larger than the limit of {limit} bytes"))
    }

    /// Whether the same request may succeed when it is sent again.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, ErrorKind::RateLimited | ErrorKind::Unavailable) && !self.lasting
    }

    /// The error of the registry inside an [`io::Error`] of a blob's reader.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The error of an answer with a status that is no success. `body` holds its first bytes.
    pub(super) fn of_answer(
        at: &str,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let told = Told::read(body);
        let code = told.code.as_deref();
        let kind = kind(method, status, headers, body, &told);
        let own = told.text();
        let text = match own.is_empty() {
            true => String::new(),
            false => format!(" (it says: {own})"),
        };
        let number = status.as_u16();
        let message = match kind {
            ErrorKind::NotFound => format!("not found{text}"),
            ErrorKind::Unauthorized => {
                format!(
                    "authentication required{text}: log in, or check that the credentials are not expired"
                )
            }
            ErrorKind::Denied => format!(
                "access denied{text}: log in, or check what the account or token may do with this repository"
            ),
            ErrorKind::RateLimited => format!(
                "the registry limits how often it is asked{text}: log in, try again later, or set \
                 `requests-per-second` for it"
            ),
            ErrorKind::Unavailable => format!("the registry answers {number}{text}: try again later"),
            ErrorKind::TooLarge => {
                format!("the registry takes nothing that large: it answers {number}{text}")
            }
            ErrorKind::Unsupported => {
                format!("the registry does not support this: it answers {number}{text}")
            }
            ErrorKind::Mismatch | ErrorKind::Invalid | ErrorKind::Refused | ErrorKind::Settings => {
                match number {
                    404 => format!(
                        "the registry answers 404 without saying what is missing{text}: check its name, and \
                         whether a proxy stands in between"
                    ),
                    _ => format!("the registry answers {number}{text}"),
                }
            }
        };
        Self {
            status: Some(number),
            code: code.map(str::to_owned),
            retry_after: net::hint(headers, &told.message),
            ..Self::new(kind, at, message)
        }
    }

    /// The error of a host that does not answer.
    pub(super) fn late(at: &str, patience: Duration) -> Self {
        let message = format!(
            "the host does not answer within {} s: check the network and the proxy, or try again later",
            patience.as_secs_f64()
        );
        Self::new(ErrorKind::Unavailable, at, message)
    }

    /// The error of a request that got no answer.
    pub(super) fn of_network(at: &str, error: reqwest::Error) -> Self {
        // The URL may hold a signature; the reference says enough.
        let error = error.without_url();
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = next {
            if let Some(blocked) = cause.downcast_ref::<guard::Blocked>() {
                return Self::new(ErrorKind::Refused, at, blocked.to_string());
            }
            next = cause.source();
        }
        let failure = net::Failure::of(&error);
        let more = match failure.is_tls {
            true => {
                "; a certificate authority of your own is named in the settings (`ca`), and a registry without \
                 TLS must be listed as insecure"
            }
            false => "",
        };
        let message = format!("{}{more}", failure.message);
        Self { lasting: failure.is_tls, ..Self::new(ErrorKind::Unavailable, at, message) }
    }

    /// How long to wait before the same request is sent again; none where this error must be told.
    pub(super) fn wait(&self, budget: &mut Budget) -> Option<Duration> {
        budget.next(self.is_temporary(), self.retry_after)
    }
}

/// What an answer that is an error says (distribution-spec, "Error Codes").
#[derive(Default)]
struct Told {
    code: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Body {
    errors: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    code: Option<String>,
    message: Option<String>,
}

impl Told {
    fn read(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Body>(body) else { return Self::default() };
        match body.errors.into_iter().next() {
            // A code is a word: whatever else stands there says nothing.
            Some(item) => Self {
                code: item.code.filter(|code| {
                    code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                }),
                message: item.message.unwrap_or_default(),
            },
            None => Self::default(),
        }
    }

    /// The message, safe to print. Attack: terminal escapes, or a megabyte of text.
    fn text(&self) -> String {
        let short: String = self.message.chars().take(limits::MESSAGE).collect();
        escape(short.as_bytes())
    }
}

fn kind(method: &Method, status: StatusCode, headers: &HeaderMap, body: &[u8], told: &Told) -> ErrorKind {
    let code = told.code.as_deref();
    match status.as_u16() {
        // GHCR tells its secondary rate limit with 403.
        429 => ErrorKind::RateLimited,
        403 if told.message.to_ascii_lowercase().contains("rate limit") => ErrorKind::RateLimited,
        _ if code == Some("TOOMANYREQUESTS") => ErrorKind::RateLimited,
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Denied,
        // Attack: a proxy's or a login page's 404 taken for "there is no signature". Only the registry's own
        // word counts; an answer to HEAD has no body, so there the type must not be a web page's.
        404 if code.is_some_and(|code| ABSENT.contains(&code)) => ErrorKind::NotFound,
        404 if *method == Method::HEAD && body.is_empty() && !is_foreign(headers) => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        _ if code == Some("UNSUPPORTED") => ErrorKind::Unsupported,
        413 => ErrorKind::TooLarge,
        408 | 425 | 499 | 500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Invalid,
    }
}

/// Whether an answer is of a type that no registry sends.
fn is_foreign(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    media_type.is_some_and(|media_type| !media_type.is_empty() && !media_type.contains("json"))
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Unauthorized => "unauthorized",
            Self::Denied => "denied",
            Self::RateLimited => "rate limited",
            Self::Unavailable => "unavailable",
            Self::Mismatch => "mismatch",
            Self::Invalid => "invalid",
            Self::TooLarge => "too large",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Settings => "settings",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(method: &Method, status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Error::of_answer("it", method, status, &HeaderMap::new(), body.as_bytes())
    }

    fn json(code: &str, message: &str) -> String {
        serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string()
    }

    #[test]
    fn only_a_definite_404_is_absence() {
        let get = Method::GET;
        for code in ABSENT {
            assert_eq!(answer(&get, 404, &json(code, "")).kind, ErrorKind::NotFound);
        }
        assert_eq!(answer(&Method::HEAD, 404, "").kind, ErrorKind::NotFound);
        for (status, body) in [
            (404, "404 page not found".to_owned()),
            (404, String::new()),
            (404, "<html>login</html>".to_owned()),
            (404, json("DENIED", "")),
            (403, json("MANIFEST_UNKNOWN", "")),
            (429, json("MANIFEST_UNKNOWN", "")),
            (500, json("MANIFEST_UNKNOWN", "")),
            (400, json("NAME_UNKNOWN", "")),
        ] {
            assert_ne!(answer(&get, status, &body).kind, ErrorKind::NotFound, "{status} {body}");
        }
    }

    #[test]
    fn a_web_page_does_not_answer_head_with_absence() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "text/html".parse().unwrap());
        let error = Error::of_answer("it", &Method::HEAD, StatusCode::NOT_FOUND, &headers, b"");
        assert_eq!(error.kind, ErrorKind::Invalid);
    }

    #[test]
    fn a_rate_limit_is_one_however_it_is_told() {
        let get = Method::GET;
        assert_eq!(answer(&get, 429, "").kind, ErrorKind::RateLimited);
        let secondary = json("DENIED", "You have exceeded a secondary rate limit");
        assert_eq!(answer(&get, 403, &secondary).kind, ErrorKind::RateLimited);
        assert_eq!(answer(&get, 403, &json("DENIED", "denied")).kind, ErrorKind::Denied);
        let error = answer(&get, 429, &json("TOOMANYREQUESTS", "retry-after: 1.16ms, allowed: 44000/minute"));
        assert_eq!(error.retry_after, Some(Duration::from_nanos(1_160_000)));
        assert!(error.is_temporary());
    }

    #[test]
    fn what_a_registry_says_cannot_reach_the_terminal_raw() {
        let error = answer(&Method::GET, 500, &json("EVIL\u{1b}[2J", "\u{1b}[31mred"));
        assert_eq!(error.code, None);
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}
