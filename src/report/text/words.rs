//! Phrases that the text reports share.

use std::collections::BTreeSet;

use crate::model::digest::Digest;
use crate::model::finding::{Finding, FixState};
use crate::model::path::ImagePath;
use crate::model::platform::Platform;
use crate::model::severity::Severity;

use super::page::{Piece, Tint, piece, safe};

/// Characters of a name, version or id before it is cut. Real ones are shorter.
pub(in crate::report) const NAME_CHARS: usize = 60;

/// Characters of a path before it is cut.
pub(in crate::report) const PATH_CHARS: usize = 120;

/// Characters of a build step: enough to find its line in the Dockerfile.
const STEP_CHARS: usize = 80;

/// Hexadecimal digits of a digest where it only helps to recognise one.
const SHORT_DIGITS: usize = 12;

/// A foreign name, version or id.
pub(in crate::report) fn name(text: &str) -> String {
    safe(text, NAME_CHARS)
}

/// A path of the image, escaped.
pub(in crate::report) fn safe_path(path: &ImagePath) -> String {
    safe(&path.to_string(), PATH_CHARS)
}

/// `1 file`, `2 files`.
pub(in crate::report) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `a, b and 3 more`: the first `shown` of several things.
pub(in crate::report) fn some(things: &[String], shown: usize) -> String {
    let named: Vec<&str> = things.iter().take(shown).map(String::as_str).collect();
    match things.len().saturating_sub(shown) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// `sha256:` and the first digits.
pub(in crate::report) fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(digest.algorithm().name().len() + 1 + SHORT_DIGITS).collect()
}

/// The platforms by name, or nothing where there is none to name.
pub(in crate::report) fn platforms<'a>(platforms: impl IntoIterator<Item = &'a Platform>) -> String {
    let names: BTreeSet<&Platform> = platforms.into_iter().collect();
    let names: Vec<String> = names.into_iter().map(|platform| name(&platform.to_string())).collect();
    some(&names, 4)
}

/// How bad a finding is. A package made to harm is worse than any defect.
pub(in crate::report) fn severity(finding: &Finding) -> &'static str {
    if finding.malicious { "malicious" } else { finding.severity.word() }
}

/// The colour of a severity. Unknown is not harmless.
pub(in crate::report) fn severity_tint(finding: &Finding) -> Tint {
    match finding.severity {
        _ if finding.malicious => Tint::Bad,
        Severity::Critical | Severity::High => Tint::Bad,
        Severity::Medium | Severity::Unknown => Tint::Doubt,
        Severity::Low | Severity::None => Tint::Plain,
    }
}

/// Findings in the order of what to do first: made to harm, then by severity, then by id.
pub(in crate::report) fn urgency(finding: &Finding) -> impl Ord + use<'_> {
    (!finding.malicious, std::cmp::Reverse(finding.severity), finding.id.as_str())
}

/// What the advisory says of a fix.
pub(in crate::report) fn fix(finding: &Finding) -> String {
    match (finding.state, finding.fixed.split_first()) {
        (FixState::Fixed, Some((first, []))) => format!("fixed in {}", name(first)),
        (FixState::Fixed, Some((first, others))) => {
            let others: Vec<String> = others.iter().map(|version| name(version)).collect();
            format!("fixed in {} (also {})", name(first), some(&others, 3))
        }
        (FixState::Fixed, None) => "a fix exists, its version is not stated".to_owned(),
        (FixState::NotFixed, _) => "no fix yet".to_owned(),
        (FixState::WontFix, _) => "the distribution will not fix it".to_owned(),
        (FixState::Unknown, _) => "whether there is a fix is not stated".to_owned(),
    }
}

/// A build step as its Dockerfile has it: without what builders put around the line (classic
/// `/bin/sh -c #(nop) `, BuildKit `RUN |1 ARG=… /bin/sh -c … # buildkit`).
pub(in crate::report) fn step(created_by: &str) -> String {
    const SHELL: &str = "/bin/sh -c ";
    // Only the beginning is looked at: a step may be of any length.
    let beginning: String = created_by.chars().take(4_096).collect();
    let line = beginning.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.strip_suffix("# buildkit").unwrap_or(&line).trim_end();
    let command = line.strip_prefix("RUN ").unwrap_or(line);
    let command = match command.split_once(SHELL) {
        Some((before, command)) if before.is_empty() || before.starts_with('|') => command,
        Some(_) | None => return safe(line, STEP_CHARS),
    };
    match command.strip_prefix("#(nop) ") {
        Some(instruction) => safe(instruction.trim_start(), STEP_CHARS),
        None => safe(&format!("RUN {command}"), STEP_CHARS),
    }
}

/// ` (linux/amd64, linux/arm64)`, dim; nothing where there is nothing to name.
pub(in crate::report) fn on(names: &str) -> Piece {
    if names.is_empty() { piece(Tint::Faint, "") } else { piece(Tint::Faint, format!(" ({names})")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_step_is_shown_as_its_dockerfile_has_it() {
        for (created_by, want) in [
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", "CMD [\"sh\"]"),
            ("/bin/sh -c #(nop) ADD file:1c in / ", "ADD file:1c in /"),
            ("/bin/sh -c apk add  --no-cache\tcurl", "RUN apk add --no-cache curl"),
            ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
            ("RUN |1 V=1 /bin/sh -c make install # buildkit", "RUN make install"),
            ("|1 V=1 /bin/sh -c make install", "RUN make install"),
            ("COPY . /app # buildkit", "COPY . /app"),
            ("WORKDIR /app", "WORKDIR /app"),
            ("RUN echo /bin/sh -c x", "RUN echo /bin/sh -c x"),
            ("", ""),
        ] {
            assert_eq!(step(created_by), want);
        }
        assert_eq!(step(&"x".repeat(100_000)).chars().count(), STEP_CHARS);
    }
}
