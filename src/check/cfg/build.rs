//! How the image was built: `history` of OCI config.md.

use crate::check::look::Look;
use crate::model::violation::CheckSeverity;

use super::execution::{SHELLS, named_secret, secret_in};
use super::table::CFG_011;

/// CFG-007 and CFG-011 in the history.
pub(super) fn look(look: &mut Look<'_, '_>) {
    for (index, step) in look.list("/history").iter().enumerate() {
        let text = step.get("created_by").and_then(serde_json::Value::as_str).unwrap_or_default();
        let at = format!("/history/{index}/created_by");
        secrets(look, &at, text);
        for key in ["comment", "author"] {
            let text = step.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            secret_in(look, &format!("/history/{index}/{key}"), key, text);
        }
        for (severity, message) in careless(text) {
            look.say_as(&CFG_011, severity, &at, message);
        }
    }
}

/// `ENV NAME=value`, `ARG NAME=value`, BuildKit's `RUN |2 NAME=value …`, and assignments in commands.
fn secrets(look: &mut Look<'_, '_>, at: &str, text: &str) {
    let mut named = false;
    for word in text.split_whitespace() {
        let word = word.trim_start_matches(['-', '"', '\'']);
        if let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) {
            let value = value.trim_end_matches([';', '"', '\'', ')', '&', '|']);
            named |= named_secret(look, at, name, value);
        }
    }
    if !named {
        secret_in(look, at, "created_by", text);
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// What is careless in a step.
fn careless(text: &str) -> Vec<(CheckSeverity, &'static str)> {
    use CheckSeverity::{Low, Medium};
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == ';' || c == '(' || c == ')')
        .filter(|w| !w.is_empty())
        .collect();
    let has = |word: &str| words.contains(&word);
    let follows = |a: &str, b: &str| words.windows(2).any(|pair| pair == [a, b]);
    let mut found = Vec::new();
    let add = words.iter().take(6).position(|word| *word == "ADD");
    let from = add.and_then(|at| words.get(at + 1..)).unwrap_or_default();
    let mut sources = from.iter().filter(|word| !word.starts_with("--"));
    let verified = from.iter().any(|word| word.starts_with("--checksum="));
    if !verified && sources.any(|word| word.starts_with("http://") || word.starts_with("https://")) {
        found.push((Medium, "`ADD` fetches from an address without a checksum"));
    }
    if pipes_into_shell(text) {
        found.push((Medium, "what is fetched is run by a shell unverified"));
    }
    if (follows("apt-get", "update") || follows("apt", "update")) && !has("install") && !has("upgrade") {
        // Where another command of the same step uses the lists, they were not cached away from it.
        let used = ["dist-upgrade", "full-upgrade", "build-dep", "source", "download"].iter().any(|w| has(w));
        if !used {
            found.push((Low, "`apt-get update` alone: a later `install` uses cached lists"));
        }
    }
    if has("sudo") && !has("install") {
        found.push((Low, "`sudo` in a build, which has root's rights anyway"));
    }
    if words
        .windows(3)
        .any(|w| matches!(w, ["chmod", a, b] if open_to_all(a) || (a.starts_with('-') && open_to_all(b))))
    {
        found.push((Medium, "files are given to everybody (`chmod 777`)"));
    }
    found
}

fn open_to_all(mode: &str) -> bool {
    matches!(mode, "777" | "0777" | "a+rwx" | "ugo+rwx" | "a=rwx" | "+rwx")
}

/// `curl … | sh`, `wget … | sudo bash -s`, `sh -c "$(curl …)"`, `bash <(curl …)`.
fn pipes_into_shell(text: &str) -> bool {
    let fetches = |part: &str| {
        let mut words = part.split(|c: char| c.is_whitespace() || "(`\"';&".contains(c));
        words.any(|word| matches!(word, "curl" | "wget"))
    };
    let shell = |part: &str| {
        let mut words = part.split_whitespace().skip_while(|word| {
            matches!(*word, "sudo" | "env" | "exec") || word.starts_with('-') || word.contains('=')
        });
        let program = words.next().unwrap_or_default().trim_end_matches([';', ')', '"', '\'']);
        let name = program.rsplit('/').next().unwrap_or_default();
        // With code of its own (`python3 -c …`) what was fetched is only its input.
        let interpreter = matches!(name, "python" | "python3" | "perl" | "node" | "ruby");
        SHELLS.contains(&name) || (interpreter && words.next().is_none_or(|next| next == "-"))
    };
    // Only the command directly before the pipe counts.
    let piped = text.replace("||", ";").replace("&&", ";");
    let piped = piped.split(';').any(|command| {
        let mut fetched = false;
        command.split('|').any(|part| {
            let ran = fetched && shell(part);
            fetched |= fetches(part);
            ran
        })
    });
    piped
        || ["$(curl ", "$(wget ", "<(curl ", "<(wget "].iter().any(|part| {
            text.split_once(part).is_some_and(|(before, _)| {
                let before = before.trim_end_matches(['"', '\'', ' ']);
                before.ends_with("-c") || SHELLS.iter().any(|sh| before.ends_with(&format!(" {sh}")))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn careless_steps_are_told_from_ordinary_ones() {
        for (step, count) in [
            ("ADD https://example.com/x.tgz /x # buildkit", 1),
            ("ADD --checksum=sha256:00 https://example.com/x.tgz /x # buildkit", 0),
            ("/bin/sh -c #(nop) ADD file:3e61 in / ", 0),
            ("RUN /bin/sh -c curl -fsSL https://x.example/i | bash # buildkit", 1),
            ("RUN /bin/sh -c wget -qO- https://x.example/i |sudo -E sh -s -- -y # buildkit", 1),
            ("RUN sh -c \"$(curl -fsSL https://x.example/i)\"", 1),
            ("RUN bash <(curl -s https://x.example)", 1),
            ("RUN curl -sSL https://x.example/get.py | python3 -", 1),
            ("RUN curl -s https://x.example/v.json | python3 -c 'import json'", 0),
            ("RUN curl -o x.tgz https://x.example && echo 00 x.tgz | sha256sum -c - && tar xf x.tgz", 0),
            ("RUN curl https://x.example || echo no | sh", 0),
            ("RUN curl -fsSL https://x.example/key.asc | gpg --dearmor -o /etc/key.gpg", 0),
            ("RUN apt-get update", 1),
            ("RUN apt-get update && apt-get install -y curl", 0),
            ("RUN set -ex; \tapt-get update; \tapt-get install -y sudo", 0),
            ("RUN sudo make", 1),
            ("RUN chmod -R 777 /srv", 1),
            ("RUN chmod 0777 /srv", 1),
            ("RUN chmod 1777 /tmp", 0),
            ("RUN chmod 755 /srv", 0),
        ] {
            assert_eq!(careless(step).len(), count, "{step}: {:?}", careless(step));
        }
    }
}
