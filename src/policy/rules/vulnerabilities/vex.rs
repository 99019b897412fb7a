//! Whose VEX sets a finding aside.

use std::collections::BTreeSet;

use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::finding::Finding;
use crate::model::path::escape;
use crate::model::vex::{VexAnswer, VexAttestation};
use crate::policy::error::Errors;
use crate::policy::fields::Fields;
use crate::policy::identity::Identities;
use crate::policy::rule::list;
use crate::policy::signed::{By, Require};
use crate::policy::yaml::{Node, Value};

/// What the rule makes of VEX.
#[derive(Debug)]
pub(super) enum Vex {
    /// What the files say that were given sets findings aside. Of what hangs on the image nobody said whom to believe.
    Honour,
    /// Nothing sets a finding aside.
    Ignore,
    /// What one of these signed, of this image or platform, sets findings aside.
    By(By),
}

impl Vex {
    /// Reads `honour`, `ignore` or `{by: [identity…]}`.
    pub(super) fn read(node: &Node, identities: &Identities, errors: &mut Errors) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let word = node.word(&[("honour", true), ("ignore", false)]);
            let word =
                word.map_err(|error| error.help("or whose VEX counts that hangs on the image: `{by: [ci]}`"));
            return errors.keep(word).map(|honour| if honour { Self::Honour } else { Self::Ignore });
        }
        let mut fields = errors.keep(Fields::of(node, "`vex`"))?;
        let by = fields.need("by", errors, Ok);
        let by = by.and_then(|node| {
            let names = identities.read_names(node, errors);
            errors.keep(names)
        });
        fields.finish(&[], errors);
        let by = by.filter(|by| !by.is_empty())?;
        By::of(by, Require::Any).ok().map(Self::By)
    }

    pub(super) fn signers(&self) -> Option<&By> {
        match self {
            Self::By(by) => Some(by),
            Self::Honour | Self::Ignore => None,
        }
    }

    /// What there is of it for a platform.
    pub(super) fn on<'a>(&'a self, evidence: &'a Evidence, platform: &PlatformEvidence) -> OnPlatform<'a> {
        let unseen = match self {
            Self::By(by) => evidence.unseen_vex(platform, |attested| !names(by, attested).is_empty()),
            Self::Honour | Self::Ignore => Vec::new(),
        };
        OnPlatform { vex: self, evidence, unseen }
    }
}

/// The identities that signed a document.
fn names<'b>(by: &'b By, attested: &VexAttestation) -> Vec<&'b str> {
    by.names_of(&attested.signed_by, attested.logged)
}

/// What VEX makes of one finding.
pub(super) enum Fate {
    /// It counts. Where VEX that the rule does not believe sets it aside: whose.
    Stands(Option<&'static str>),
    /// It is set aside: by whom.
    SetAside(String),
    /// It cannot be said: why, and whether what was seen sets it aside.
    Doubted { cleared: bool, cause: String },
}

/// The VEX of a platform.
pub(super) struct OnPlatform<'a> {
    vex: &'a Vex,
    evidence: &'a Evidence,
    unseen: Vec<String>,
}

impl OnPlatform<'_> {
    /// What becomes of a finding. `by_file` says that a file sets it aside.
    pub(super) fn fate(&self, finding: &Finding, by_file: bool) -> Fate {
        let by = match self.vex {
            Vex::Honour if by_file => return Fate::SetAside(String::new()),
            Vex::Honour | Vex::Ignore => return Fate::Stands(None),
            Vex::By(by) => by,
        };
        if finding.malicious {
            return Fate::Stands(None);
        }
        let signers = |document: usize| {
            let attested =
                self.evidence.vex.documents.get(document).and_then(|known| known.attested.as_ref());
            attested.map(|attested| names(by, attested)).unwrap_or_default()
        };
        match finding.claims.answer(|document| !signers(document).is_empty()) {
            // Attack: the later statement that keeps the finding is held back, so that only the older one is seen.
            answer if !self.unseen.is_empty() => Fate::Doubted {
                cleared: answer != VexAnswer::Kept,
                cause: format!("of which not all could be looked at ({})", list(&self.unseen)),
            },
            VexAnswer::Cleared(documents) => Fate::SetAside(self.told(&documents, &signers)),
            VexAnswer::Doubted(cause) => {
                let cause = format!("since there is one that may be about it ({cause})");
                Fate::Doubted { cleared: true, cause }
            }
            VexAnswer::Kept if by_file => {
                Fate::Stands(Some("in a file of `--vex`: the rule's `vex` believes what is signed alone"))
            }
            VexAnswer::Kept if finding.claims.answer(|_| true) != VexAnswer::Kept => {
                Fate::Stands(Some("that was signed by somebody whom the rule's `vex` does not name"))
            }
            VexAnswer::Kept => Fate::Stands(None),
        }
    }

    /// By whom a finding is set aside, and where that is found.
    fn told<'n>(&self, documents: &BTreeSet<usize>, signers: &impl Fn(usize) -> Vec<&'n str>) -> String {
        let one = |document: &usize| {
            let name = self.evidence.vex.documents.get(*document).map(|known| known.name.as_str());
            let signers: Vec<String> = signers(*document).iter().map(|name| format!("`{name}`")).collect();
            format!("{} ({})", signers.join(" and "), escape(name.unwrap_or_default().as_bytes()))
        };
        let told: Vec<String> = documents.iter().map(one).collect();
        format!(" of {}", list(&told))
    }
}

#[cfg(test)]
mod tests;
