//! One question to a service, asked again for as long as that may help.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use serde_json::Value;

use crate::net::{self, Budget, Client, Retry};

use super::error::{Error, ErrorKind};

/// Bytes of a service's message that are shown.
const SHOWN: usize = 500;

/// Characters of a secret that are too many to be shown.
const REVEALING: usize = 8;

/// What asks the services.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    retry: Retry,
    /// What is waited for, and what went wrong with it last: where the time is up nobody else says so.
    waiting: Arc<Mutex<BTreeMap<String, String>>>,
}

/// A question.
#[derive(Debug)]
pub(super) struct Question {
    /// The service in words, such as `Fulcio`.
    pub(super) service: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Bytes of the answer.
    pub(super) limit: u64,
    /// What it carries that nobody may read.
    pub(super) secret: Option<String>,
}

/// An answer, whatever its status; those after which asking again may help were asked again.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    at: String,
    secret: Option<String>,
}

impl Question {
    pub(super) fn get(service: &'static str, url: Url, limit: u64) -> Self {
        Self {
            service,
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            limit,
            secret: None,
        }
    }

    pub(super) fn post(
        service: &'static str,
        url: Url,
        content_type: &'static str,
        body: Vec<u8>,
        limit: u64,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { service, method: Method::POST, url, headers, body, limit, secret: None }
    }

    /// The service and where it is, as errors name it. Attack: a secret in the query of a URL.
    pub(super) fn at(&self) -> String {
        let mut shown = self.url.clone();
        shown.set_query(None);
        format!("{} at {shown}", self.service)
    }
}

impl Http {
    pub(super) fn new(client: Client, retry: Retry) -> Self {
        Self { client, retry, waiting: Arc::default() }
    }

    /// The services whose answer is waited for, each with why its last attempt failed.
    pub(super) fn waiting(&self) -> Vec<String> {
        let waiting = self.waiting.lock().map(|waiting| waiting.clone()).unwrap_or_default();
        waiting.into_iter().map(|(at, failed)| format!("{at} {failed}")).collect()
    }

    fn waits(&self, question: &Question, failed: Option<&str>) {
        let Ok(mut waiting) = self.waiting.lock() else { return };
        match failed {
            Some(failed) => drop(waiting.insert(question.at(), failed.to_owned())),
            None => drop(waiting.entry(question.at()).or_insert_with(|| "has not answered".to_owned())),
        }
    }

    fn has(&self, question: &Question) {
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.remove(&question.at());
        }
    }

    /// Asks until there is an answer after which asking again would not help.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the patience is at its end.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, Error> {
        let (mut budget, began) = (Budget::new(self.retry), Instant::now());
        loop {
            self.waits(question, None);
            let (failed, hint) = match self.attempt(question).await {
                Ok(answer) if !is_temporary(answer.status) => {
                    self.has(question);
                    return Ok(answer);
                }
                Ok(answer) => {
                    let message = format!("answers {}{}", answer.status.as_u16(), answer.words());
                    (net::Failed::temporary(message), net::hint(&answer.headers, ""))
                }
                Err(failed) => (failed, None),
            };
            self.waits(question, Some(&failed.message));
            // A service that hangs takes time as well, and not in pauses alone.
            let is_over = began.elapsed() > self.retry.longest;
            match budget.next(failed.temporary && !is_over, hint) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    let patience =
                        if failed.temporary { "; nothing was signed: try again later" } else { "" };
                    let message = format!("{}{patience}", failed.message);
                    return Err(Error::new(ErrorKind::Unavailable, question.at(), message));
                }
            }
        }
    }

    async fn attempt(&self, question: &Question) -> Result<Answer, net::Failed> {
        let mut request = Request::new(question.method.clone(), question.url.clone());
        *request.headers_mut() = question.headers.clone();
        // The library gives up after a minute in all; a service that works on a large entry takes longer than the head
        // of an answer may.
        if !question.body.is_empty() {
            *request.body_mut() = Some(question.body.clone().into());
        }
        let response = self.client.send(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match self.client.whole(response, question.limit).await {
            Ok(body) => body,
            // What it says goes for nothing where it says to ask again.
            Err(_) if is_temporary(status) => Vec::new(),
            Err(failed) => return Err(failed),
        };
        Ok(Answer { status, headers, body, at: question.at(), secret: question.secret.clone() })
    }
}

impl Answer {
    /// What the service says went wrong, ` (…)`; nothing where it says nothing.
    pub(super) fn words(&self) -> String {
        let parsed: Option<Value> = serde_json::from_slice(&self.body).ok();
        let stated = parsed.as_ref().and_then(|value| value.get("message")?.as_str());
        let text = stated.map_or_else(|| String::from_utf8_lossy(&self.body).into_owned(), str::to_owned);
        // Attack, or a proxy that explains itself: an answer that repeats what it was asked with, in the log of a build.
        if self.secret.as_deref().is_some_and(|secret| repeats(&text, secret)) {
            return " (its words are not shown: they repeat a secret)".to_owned();
        }
        let text: String = text.trim().chars().take(SHOWN).collect();
        if text.is_empty() { String::new() } else { format!(" ({text})") }
    }

    /// The error of an answer that is not the expected one.
    pub(super) fn refusal(&self) -> Error {
        let number = self.status.as_u16();
        let (kind, advice) = match number {
            401 | 403 => (ErrorKind::Token, "it does not accept the identity token"),
            413 => (ErrorKind::TooLarge, "what was sent is larger than it takes"),
            404 => (ErrorKind::Refused, "there is no such service: check the signing configuration"),
            300..=399 => (ErrorKind::Refused, "it sends us to another place, which is not followed"),
            _ => (ErrorKind::Refused, "it refuses what was sent"),
        };
        Error::new(kind, &self.at, format!("answers {number}: {advice}{}", self.words()))
    }

    /// The answer as JSON.
    pub(super) fn json(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::invalid(&self.at, format!("the answer is no JSON: {error}")))
    }
}

/// Whether a text has a part of a secret in it: the beginning of any of its parts between dots.
fn repeats(text: &str, secret: &str) -> bool {
    secret.split('.').filter(|part| !part.is_empty()).any(|part| {
        let end = part.char_indices().nth(REVEALING).map_or(part.len(), |(end, _)| end);
        text.contains(part.get(..end).unwrap_or(part))
    })
}

/// Statuses after which asking again may help.
fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 499 | 500..=599)
}

/// The patience of a signing run: ten minutes, since a log that is down for some minutes must not fail a build.
pub(super) const PATIENCE: Retry =
    Retry { attempts: 100, first: Duration::from_millis(500), longest: Duration::from_secs(10 * 60) };
