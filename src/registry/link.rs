//! The next page of a listing: `Link` (RFC 8288), as tags and referrers have it.

use std::collections::BTreeSet;

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

use super::error::{Error, ErrorKind};
use super::guard;
use super::limits;

/// Walks from page to page and sees that it gets on.
#[derive(Debug)]
pub(super) struct Pages {
    first: Url,
    seen: BTreeSet<String>,
}

impl Pages {
    pub(super) fn new(first: &Url) -> Self {
        Self { first: first.clone(), seen: BTreeSet::from([first.to_string()]) }
    }

    /// The page after `current`; none after the last.
    ///
    /// # Errors
    /// `Invalid` for a link that leads elsewhere or back, and `TooLarge` beyond [`limits::PAGES`].
    pub(super) fn next(
        &mut self,
        current: &Url,
        headers: &HeaderMap,
        at: &str,
    ) -> Result<Option<Url>, Error> {
        let Some(target) = next(headers) else { return Ok(None) };
        let url = current.join(&target).ok();
        let url = url.ok_or_else(|| Error::invalid(at, "the link to the next page is no URL"))?;
        // Attack: a link to another host, or to another end point of this one, with our token along.
        if !guard::is_same_origin(&url, &self.first) || url.path() != self.first.path() {
            return Err(Error::invalid(at, "the link to the next page leads elsewhere"));
        }
        // Attack: pages in a circle.
        if !self.seen.insert(url.to_string()) {
            return Err(Error::invalid(at, "the link to the next page leads back"));
        }
        if self.seen.len() > limits::PAGES {
            let message = format!("more than {} pages (limit `pages`)", limits::PAGES);
            return Err(Error::new(ErrorKind::TooLarge, at, message));
        }
        Ok(Some(url))
    }
}

/// The target of the link with `rel=next`.
fn next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|header| header.to_str().ok()).find_map(in_header)
}

fn in_header(header: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        // Parameters run up to the comma before the next `<`; relation types hold neither.
        let end = after.find('<').unwrap_or(after.len());
        let (parameters, tail) = after.split_at_checked(end)?;
        let is_next = parameters.split([';', ',']).any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
            })
        });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_to_the_next_page_is_found() {
        for (header, want) in [
            (r#"</v2/a/tags/list?n=1&last=b>; rel="next""#, Some("/v2/a/tags/list?n=1&last=b")),
            ("<?last=b>;rel=next", Some("?last=b")),
            (r#"</p>; rel="prev", </n>; title="x"; rel="last next""#, Some("/n")),
            (r#"</p>; rel="prev""#, None),
            ("rel=next", None),
            ("<", None),
            ("<>>;<;rel", None),
        ] {
            assert_eq!(in_header(header).as_deref(), want, "{header}");
        }
    }

    #[test]
    fn a_link_that_leads_elsewhere_or_back_is_refused() {
        let first = Url::parse("https://r.example/v2/a/tags/list?n=2").unwrap();
        let step = |pages: &mut Pages, target: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, format!("<{target}>; rel=next").parse().unwrap());
            pages.next(&first, &headers, "it")
        };
        let mut pages = Pages::new(&first);
        for bad in [
            "https://evil.example/v2/a/tags/list",
            "http://r.example/v2/a/tags/list",
            "/v2/b/tags/list",
            "//[",
            "?n=2",
        ] {
            assert!(step(&mut pages, bad).is_err(), "{bad}");
        }
        assert!(step(&mut pages, "?n=2&last=x").unwrap().is_some());
        assert!(step(&mut pages, "?n=2&last=x").is_err());
    }
}
