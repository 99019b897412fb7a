//! What a registry asks for with 401: `WWW-Authenticate` (RFC 9110 §11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Bytes of a header that is looked at: 8 KiB; a longer one is no challenge.
const LONGEST: usize = 8 << 10;

/// How a registry wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request (RFC 7617).
    Basic,
    /// A token from elsewhere (distribution, "Token Authentication Specification").
    Bearer {
        /// URL of the token service, as written.
        realm: String,
        /// Who the token is for.
        service: Option<String>,
        /// What the request would have needed.
        scope: Option<String>,
    },
}

/// The challenge of an answer; Bearer where several are offered. None where there is none that is
/// understood.
pub(super) fn parse(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let Some(text) = header.to_str().ok().filter(|text| text.len() <= LONGEST) else { continue };
        for (scheme, parameters) in split(text) {
            let parameter = |name: &str| {
                parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
            };
            if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = parameter("realm")
            {
                return Some(Challenge::Bearer {
                    realm,
                    service: parameter("service"),
                    scope: parameter("scope"),
                });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

type Parsed = (String, Vec<(String, String)>);

/// Splits a header into challenges. Commas part both challenges and parameters; a word that is followed
/// by no `=` begins a challenge.
fn split(text: &str) -> Vec<Parsed> {
    let mut found: Vec<Parsed> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let Some((word, tail)) = rest.split_at_checked(end).filter(|(word, _)| !word.is_empty()) else {
            return found;
        };
        let tail = tail.trim_start_matches([' ', '\t']);
        match tail.strip_prefix('=') {
            Some(value) => {
                let Some((value, tail)) = value_of(value.trim_start_matches([' ', '\t'])) else {
                    return found;
                };
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = tail;
            }
            None => {
                found.push((word.to_owned(), Vec::new()));
                rest = tail;
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return text.split_at_checked(end).map(|(value, tail)| (value.to_owned(), tail));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return quoted.get(at + 1..).map(|tail| (value, tail)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[&str]) -> Option<Challenge> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, header.parse().unwrap());
        }
        parse(&map)
    }

    #[test]
    fn ghcrs_challenge_is_read() {
        let ghcr =
            r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#;
        assert_eq!(
            of(&[ghcr]),
            Some(Challenge::Bearer {
                realm: "https://ghcr.io/token".into(),
                service: Some("ghcr.io".into()),
                scope: Some("repository:user/image:pull".into()),
            })
        );
    }

    #[test]
    fn bearer_is_taken_where_both_are_offered() {
        let bearer = |challenge: Option<Challenge>| matches!(challenge, Some(Challenge::Bearer { .. }));
        assert!(bearer(of(&["Basic realm=\"a, b\"", "bearer Realm = https://r.example/t , service=x"])));
        assert!(bearer(of(&[r#"Basic realm="x", Bearer realm="https://r.example/\"t\"""#])));
        assert_eq!(of(&["Basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn hostile_challenges_are_none() {
        let long = format!("Bearer realm=\"{}\"", "x".repeat(LONGEST));
        for header in
            ["", ",,,", "=", "Bearer", "Bearer realm=\"open", "Bearer realm=\"x\\", "Negotiate", &long]
        {
            assert_eq!(of(&[header]), None, "{header}");
        }
    }
}
