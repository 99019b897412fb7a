//! What the rules on violations share: the severity from which on they deny, and waivers.

use crate::model::fact::Fact;
use crate::model::path::escape;
use crate::model::verdict::Outcome;
use crate::model::violation::{CheckSeverity, Checked, Place, Violation};

use super::error::Errors;
use super::fields::Fields;
use super::pattern::Pattern;
use super::rule::{Decided, Subject, count};
use super::waiver::{Terms, report_use};
use super::yaml::Node;

/// An accepted violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViolationWaiver {
    check: String,
    path: Option<Pattern>,
    terms: Terms,
}

impl ViolationWaiver {
    /// Reads `{check, path?, until, reason, owner}`.
    fn read(node: &Node, errors: &mut Errors) -> Option<Self> {
        let mut fields = errors.keep(Fields::of(node, "the waiver"))?;
        let check =
            fields.need("check", errors, |node| node.read("the id of a check such as `CFG-008`", parse_id));
        let path = fields.read("path", errors, |node| {
            let text = node.text("a path, `*` and `**` allowed")?;
            Ok(Pattern::glob(text.trim_start_matches('/')))
        });
        let stated = fields.optional("path").is_some();
        let terms = Terms::read(&mut fields, errors);
        fields.finish(&[], errors);
        // A path that could not be read must not widen the waiver to every path.
        if stated && path.is_none() {
            return None;
        }
        Some(Self { check: check?, path, terms: terms? })
    }

    /// Whether it covers a violation. With a path only what is in a file: the violation that counts those
    /// beyond the limit of a list is in none.
    fn covers(&self, violation: &Violation) -> bool {
        let path = match (&self.path, &violation.place) {
            (None, _) => true,
            (Some(pattern), Place::Layer { path: Some(path), .. }) => pattern.matches(path.as_bytes()),
            (Some(_), Place::Layer { path: None, .. } | Place::Document { .. } | Place::Image) => false,
        };
        path && violation.check == self.check
    }

    fn scope(&self) -> String {
        match &self.path {
            Some(path) => format!("{} in {}", self.check, path.as_str()),
            None => self.check.clone(),
        }
    }
}

fn parse_id(text: &str) -> Result<String, String> {
    let id = text.to_ascii_uppercase();
    let well_formed = id.split_once('-').is_some_and(|(family, number)| {
        family.len() == 3
            && family.bytes().all(|b| b.is_ascii_uppercase())
            && number.len() == 3
            && number.bytes().all(|b| b.is_ascii_digit())
    });
    if well_formed {
        Ok(id)
    } else {
        Err(format!("`{text}` is no id of a check: `portcullis explain` lists them"))
    }
}

/// From which severity on a rule denies, and what it accepts.
#[derive(Debug)]
pub(crate) struct Threshold {
    least: CheckSeverity,
    allow: Vec<ViolationWaiver>,
}

impl Threshold {
    /// Reads `deny: SEVERITY` (high where it is not there) and `allow: [WAIVER…]`.
    pub(crate) fn read(fields: &mut Fields<'_>, errors: &mut Errors) -> Self {
        let words = CheckSeverity::ALL.map(|severity| (severity.word(), severity));
        let least = fields.read("deny", errors, |node| node.word(&words)).unwrap_or(CheckSeverity::High);
        let nodes = fields.read("allow", errors, |node| node.items("a list of waivers")).unwrap_or_default();
        let allow = nodes.iter().filter_map(|node| ViolationWaiver::read(node, errors)).collect();
        Self { least, allow }
    }

    /// Judges the violations that `concerns` picks.
    pub(crate) fn judge(&self, subject: &Subject<'_>, concerns: impl Fn(&Violation) -> bool) -> Decided {
        let mut decided = Decided::default();
        let today = subject.today();
        let mut covered = vec![Vec::new(); self.allow.len()];
        let checked = checked(subject, &mut decided);
        let counts = |violation: &&Violation| violation.severity >= self.least && concerns(violation);
        for violation in checked.iter().flat_map(|checked| &checked.violations).filter(counts) {
            let shown = describe(violation);
            let place = violation.platform.as_ref();
            let mut accepted = false;
            for (waiver, covered) in self.allow.iter().zip(&mut covered) {
                if waiver.covers(violation) {
                    covered.push(shown.clone());
                    accepted |= waiver.terms.in_force(today);
                }
            }
            match accepted {
                true => decided.waived(place, format!("accepted: {shown}")),
                false => decided.violate(place, shown),
            }
        }
        let complete = checked.is_some_and(|checked| checked.unseen.is_empty());
        for (waiver, covered) in self.allow.iter().zip(covered) {
            let found = (covered, today, complete);
            report_use(&mut decided.waivers, subject.rule, (waiver.scope(), &waiver.terms), found);
        }
        decided
    }
}

/// What the checks found. Where they could not look everywhere, the rule is undecided.
pub(crate) fn checked<'a>(subject: &Subject<'a>, decided: &mut Decided) -> Option<&'a Checked> {
    let checked = match &subject.evidence.checked {
        Fact::Known(checked) => checked,
        Fact::Absent => {
            decided.undecided(None, "the manifests and layers were not checked");
            return None;
        }
        Fact::Unknown(cause) => {
            decided.undecided(None, format!("the manifests and layers could not be checked: {cause}"));
            return None;
        }
    };
    // A platform whose layers were not read has no violation, and is not sound for that.
    for platform in subject.platforms(decided) {
        if let Fact::Unknown(cause) = &platform.inventory {
            decided.undecided(Some(&platform.platform), format!("its layers could not be checked: {cause}"));
        }
    }
    if !checked.unseen.is_empty() {
        let unseen: Vec<String> =
            checked.unseen.iter().map(|unseen| format!("{}: {}", unseen.at, unseen.cause)).collect();
        let headline = format!("{} could not be looked at", count(unseen.len(), "part"));
        decided.enumerate(Outcome::Undecided, None, headline, &unseen);
    }
    Some(checked)
}

/// `LYR-016: a private key (root/.ssh/id_rsa in layer 3)`.
pub(crate) fn describe(violation: &Violation) -> String {
    let place = match &violation.place {
        Place::Image => String::new(),
        Place::Document { document, pointer, .. } if pointer.is_empty() => format!(" ({document})"),
        Place::Document { document, pointer, .. } => {
            format!(" ({} of the {document})", escape(pointer.as_bytes()))
        }
        Place::Layer { index, path: None, .. } => format!(" (layer {index})"),
        Place::Layer { index, path: Some(path), .. } => format!(" ({path} in layer {index})"),
    };
    format!("{}: {}{place}", violation.check, escape(violation.message.as_bytes()))
}
