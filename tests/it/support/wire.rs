//! One request and its answer, byte by byte: what a client library would hide.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended as its length or its last chunk said.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the first error in the body.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }

    /// The same answer, which must have this status.
    pub fn status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.headers, String::from_utf8_lossy(&self.body));
        self
    }
}

/// How much of a body is read at most.
const BODY: u64 = 8 * 1024 * 1024;

pub fn get(address: &str, target: &str) -> Answer {
    send(address, "GET", target, &[], b"")
}

pub fn head(address: &str, target: &str) -> Answer {
    send(address, "HEAD", target, &[], b"")
}

/// Sends a request on a connection of its own. Where none comes back the status is 0.
pub fn send(address: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut received = Vec::new();
    // A connection that breaks ends what there is to read.
    let _ = stream.take(BODY).read_to_end(&mut received);
    parse(method, &received)
}

fn parse(method: &str, received: &[u8]) -> Answer {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Answer { status: 0, headers: Vec::new(), body: Vec::new(), whole: false };
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let mut answer = Answer { status, headers: lines.map(pair).collect(), body: Vec::new(), whole: true };
    let rest = &received[end + 4..];
    if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.whole) = unchunk(rest);
    } else {
        let length = answer.header("content-length").map(|length| length.parse().unwrap());
        answer.whole = method == "HEAD" || length.is_none_or(|length: usize| length == rest.len());
        answer.body = rest.to_vec();
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let length = usize::from_str_radix(&String::from_utf8_lossy(&rest[..line]), 16).unwrap();
        if length == 0 {
            return (body, true);
        }
        let chunk = &rest[line + 2..];
        let Some(next) = chunk.get(length + 2..) else {
            body.extend_from_slice(&chunk[..length.min(chunk.len())]);
            return (body, false);
        };
        body.extend_from_slice(&chunk[..length]);
        rest = next;
    }
}
