//! A kind of rule: how its settings are read and how it decides.

use std::fmt::Debug;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::fault::Gap;
use crate::model::finding::{Finding, Undetermined};
use crate::model::inventory::Inventory;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::verdict::{Message, Outcome, WaiverReport};

use super::error::Errors;
use super::identity::Identities;
use super::rules;
use super::scope::TagClasses;
use super::signed::By;
use super::waiver::GapWaiver;
use super::yaml::Node;

/// A kind of rule.
pub trait Rule: Sync + Sealed {
    /// Its name: the key in the policy, the file in `rules/`, the anchor in the docs.
    fn kind(&self) -> &'static str;

    /// One line on what it checks.
    fn summary(&self) -> &'static str;

    /// Whether its answer depends on the time or the advisories. Others are timeless: they depend on
    /// the bytes of the image and the reference alone.
    fn timed(&self) -> bool;
}

/// Reading the settings of a kind. Apart from [`Rule`] because the tree of the document stays inside
/// this module.
pub trait Sealed {
    /// Reads the settings, or notes in `errors` why not.
    #[doc(hidden)]
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>>;
}

/// The settings of a rule as they stand in the document.
pub struct Reading<'n> {
    pub(crate) node: &'n Node,
    pub(crate) names: &'n Names,
    pub(crate) errors: &'n mut Errors,
}

/// What rules and scopes refer to by name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) tags: TagClasses,
    pub(crate) identities: Identities,
}

/// The settings of one rule, read: they decide.
pub trait Settings: Debug + Send + Sync {
    /// What the rule says of the image.
    fn decide(&self, subject: &Subject<'_>) -> Decided;

    /// Whether it looks at what the checks of manifests and layers found.
    fn needs_checks(&self) -> bool {
        false
    }

    /// Whose signatures it asks for; none where it looks at none.
    #[doc(hidden)]
    fn signers(&self) -> Option<&By> {
        None
    }

    /// Whether those are asked for VEX.
    fn needs_vex(&self) -> bool {
        false
    }

    /// The gaps that it waives, for every rule of the policy.
    fn gap_waivers(&self) -> &[GapWaiver] {
        &[]
    }
}

/// Every kind of rule that this version has, in the order of the documentation.
pub static RULES: &[&dyn Rule] = &[
    &rules::reference::ReferenceRule,
    &rules::signature::SignatureRule,
    &rules::attestation::AttestationRule,
    &rules::provenance::ProvenanceRule,
    &rules::sbom::SbomRule,
    &rules::verdict::VerdictRule,
    &rules::platforms::PlatformsRule,
    &rules::vulnerabilities::VulnerabilitiesRule,
    &rules::gaps::GapsRule,
    &rules::packages::PackagesRule,
    &rules::config::ConfigRule,
    &rules::labels::LabelsRule,
    &rules::age::AgeRule,
    &rules::size::SizeRule,
    &rules::secrets::SecretsRule,
    &rules::manifest::ManifestRule,
    &rules::base_image::BaseImageRule,
];

/// Kinds of the schema that this version does not have yet. A policy that has one is refused: to
/// ignore the rule would let images in unchecked.
pub(crate) const LATER_KINDS: &[&str] = &["licenses", "expr"];

/// What a rule decides on.
pub struct Subject<'a> {
    /// All that is known of the image.
    pub(crate) evidence: &'a Evidence,
    /// The evaluation time.
    pub(crate) now: Timestamp,
    /// Id of the rule that is asked.
    pub(crate) rule: &'a str,
    /// The gap waivers of the whole policy that are in force.
    pub(crate) gap_waivers: &'a [&'a GapWaiver],
}

impl<'a> Subject<'a> {
    /// The platforms. Where they are not known, or there are none, the rule is undecided.
    pub(crate) fn platforms(&self, decided: &mut Decided) -> &'a [PlatformEvidence] {
        match &self.evidence.platforms {
            Fact::Known(platforms) if !platforms.is_empty() => platforms,
            Fact::Known(_) => {
                decided.undecided(None, "no platform of the image was judged");
                &[]
            }
            Fact::Absent => {
                decided.undecided(None, "the image has no platform");
                &[]
            }
            Fact::Unknown(cause) => {
                decided.undecided(None, format!("the platforms are not known: {cause}"));
                &[]
            }
        }
    }

    /// The packages of a platform. Where they are not known, the rule is undecided.
    pub(crate) fn inventory(
        &self,
        platform: &'a PlatformEvidence,
        decided: &mut Decided,
    ) -> Option<&'a Inventory> {
        match &platform.inventory {
            Fact::Known(inventory) => Some(inventory),
            Fact::Absent => {
                decided.undecided(Some(&platform.platform), "the image has no inventory");
                None
            }
            Fact::Unknown(cause) => {
                decided.undecided(
                    Some(&platform.platform),
                    format!("the packages could not be listed: {cause}"),
                );
                None
            }
        }
    }

    /// The reference. Where it is not known or there is none, the rule is undecided.
    pub(crate) fn reference(&self, decided: &mut Decided) -> Option<&'a Reference> {
        match &self.evidence.reference {
            Fact::Known(reference) => Some(reference),
            Fact::Absent => {
                decided.undecided(None, "no reference is given: say which one is meant with `--as REF`");
                None
            }
            Fact::Unknown(cause) => {
                decided.undecided(None, format!("the reference is not known: {cause}"));
                None
            }
        }
    }

    /// Makes the rule undecided where a gap remains that no waiver covers.
    pub(crate) fn check_gaps(&self, platform: &Platform, inventory: &Inventory, decided: &mut Decided) {
        let open = |gap: &&Gap| !self.gap_waivers.iter().any(|waiver| waiver.covers(gap));
        let open: Vec<String> = inventory
            .gaps
            .iter()
            .filter(open)
            .map(|gap| format!("`{}` ({}: {})", gap.path, gap.cataloger, gap.cause))
            .collect();
        if !open.is_empty() {
            let headline = format!("{} could not be read", count(open.len(), "file"));
            decided.enumerate(Outcome::Undecided, Some(platform), headline, &open);
        }
    }

    /// The day of the evaluation, in UTC.
    pub(crate) fn today(&self) -> Date {
        day_of(self.now)
    }
}

/// The day of a time, in UTC.
pub(crate) fn day_of(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

/// What a rule decided, and why.
#[derive(Debug, Default)]
pub struct Decided {
    pub(crate) messages: Vec<Message>,
    /// Findings that violate the rule.
    pub(crate) findings: Vec<Finding>,
    /// Findings of which it cannot be said whether they do.
    pub(crate) possible: Vec<Finding>,
    pub(crate) undetermined: Vec<Undetermined>,
    pub(crate) waivers: WaiverReport,
}

impl Decided {
    fn say(&mut self, outcome: Outcome, platform: Option<&Platform>, text: impl Into<String>) {
        let text = text.into();
        self.messages.push(Message { platform: platform.cloned(), outcome, text, headline: None });
    }

    /// A reason that is about several things, of which it names the first.
    pub(crate) fn enumerate(
        &mut self,
        outcome: Outcome,
        platform: Option<&Platform>,
        headline: String,
        things: &[String],
    ) {
        let text = format!("{headline}: {}", list(things));
        let message = Message { platform: platform.cloned(), outcome, text, headline: Some(headline) };
        self.messages.push(message);
    }

    /// A reason why the rule is violated.
    pub(crate) fn violate(&mut self, platform: Option<&Platform>, text: impl Into<String>) {
        self.say(Outcome::Violate, platform, text);
    }

    /// A reason why it is undecided.
    pub(crate) fn undecided(&mut self, platform: Option<&Platform>, text: impl Into<String>) {
        self.say(Outcome::Undecided, platform, text);
    }

    /// What would violate it or leave it undecided but for a waiver.
    pub(crate) fn waived(&mut self, platform: Option<&Platform>, text: impl Into<String>) {
        self.say(Outcome::Waived, platform, text);
    }

    /// The outcome over all platforms: the strictest of the messages.
    pub(crate) fn outcome(&self) -> Outcome {
        self.messages.iter().map(|message| message.outcome).max().unwrap_or(Outcome::Hold)
    }
}

/// How many things a message names before it says how many more there are.
const NAMED: usize = 5;

/// The first few of several things, and how many more.
pub(crate) fn list(things: &[String]) -> String {
    let named: Vec<&str> = things.iter().take(NAMED).map(String::as_str).collect();
    match things.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_unique_and_none_is_both_there_and_later() {
        let mut kinds: Vec<&str> = RULES.iter().map(|rule| rule.kind()).chain(LATER_KINDS.to_vec()).collect();
        let all = kinds.len();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), all);
        assert!(RULES.iter().all(|rule| !rule.summary().is_empty()));
    }

    #[test]
    fn only_rules_that_look_at_a_date_or_the_advisories_are_timed() {
        let timed: Vec<&str> = RULES.iter().filter(|rule| rule.timed()).map(|rule| rule.kind()).collect();
        assert_eq!(
            timed,
            [
                "attestation",
                "provenance",
                "sbom",
                "verdict",
                "vulnerabilities",
                "gaps",
                "packages",
                "age",
                "secrets",
                "manifest",
                "baseImage"
            ]
        );
    }

    #[test]
    fn the_strictest_message_is_the_outcome() {
        let mut decided = Decided::default();
        assert_eq!(decided.outcome(), Outcome::Hold);
        decided.say(Outcome::Hold, None, "a");
        decided.waived(None, "b");
        assert_eq!(decided.outcome(), Outcome::Waived);
        decided.violate(None, "c");
        decided.undecided(None, "d");
        assert_eq!(decided.outcome(), Outcome::Violate);
    }

    #[test]
    fn long_lists_say_how_many_are_left_out() {
        let things: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
        assert_eq!(list(&things), "1, 2, 3, 4, 5 and 2 more");
        assert_eq!(list(&things[..5]), "1, 2, 3, 4, 5");
    }
}
