//! `gaps`: whether everything that should say what is in the image could be read.

use crate::policy::fields::Fields;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject, list};
use crate::policy::waiver::{GapWaiver, report_use};

/// The kind `gaps`.
pub(crate) struct GapsRule;

impl Rule for GapsRule {
    fn kind(&self) -> &'static str {
        "gaps"
    }

    fn summary(&self) -> &'static str {
        "every file that says which packages there are could be read, or its gap is accepted"
    }

    fn timed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Gaps {
    allow: Vec<GapWaiver>,
}

impl Sealed for GapsRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`gaps`"))?;
        let nodes = fields.read("allow", errors, |node| node.items("a list of waivers")).unwrap_or_default();
        let allow = nodes.iter().filter_map(|node| GapWaiver::read(node, errors)).collect();
        fields.finish(&[], errors);
        Some(Box::new(Gaps { allow }))
    }
}

impl Settings for Gaps {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        let today = subject.today();
        let mut complete = true;
        let mut covered = vec![Vec::new(); self.allow.len()];
        let platforms = subject.platforms(&mut decided);
        for platform in platforms {
            let Some(inventory) = subject.inventory(platform, &mut decided) else {
                complete = false;
                continue;
            };
            subject.check_gaps(&platform.platform, inventory, &mut decided);
            let mut accepted = Vec::new();
            for gap in &inventory.gaps {
                if subject.gap_waivers.iter().any(|waiver| waiver.covers(gap)) {
                    accepted.push(format!("`{}`", gap.path));
                }
                for (waiver, covered) in self.allow.iter().zip(&mut covered) {
                    if waiver.covers(gap) {
                        covered.push(gap.label(&platform.platform));
                    }
                }
            }
            if !accepted.is_empty() {
                decided.waived(Some(&platform.platform), format!("accepted gaps: {}", list(&accepted)));
            }
        }
        complete &= !platforms.is_empty();
        for (waiver, covered) in self.allow.iter().zip(covered) {
            let found = (covered, today, complete);
            report_use(&mut decided.waivers, subject.rule, (waiver.scope(), &waiver.terms), found);
        }
        decided
    }

    fn gap_waivers(&self) -> &[GapWaiver] {
        &self.allow
    }
}

#[cfg(test)]
mod tests {
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{Hold, Undecided, Violate, Waived};
    use crate::policy::fixture::{Case, gap, on_first};

    const WAIVER: &str =
        "gaps: {allow: [{path: 'opt/**', until: 2026-12-31, reason: vendor blob, owner: sec}]}";

    #[test]
    fn without_gaps_it_holds() {
        assert_eq!(Case::rule("gaps: {}").outcome(), Hold);
    }

    #[test]
    fn a_gap_leaves_it_undecided_and_is_named() {
        let case = Case::rule("gaps: {}").with(on_first(|p| p.1.gaps.push(gap("opt/app.jar", "java"))));
        assert_eq!(case.outcome(), Undecided);
        assert_eq!(case.texts(), ["1 file could not be read: `opt/app.jar` (java: cut short)"]);
    }

    #[test]
    fn a_waiver_accepts_a_gap_for_every_rule() {
        let vulnerabilities = "vulnerabilities: {deny: [{malicious: true}]}";
        let open = Case::rules(&["gaps: {}", vulnerabilities])
            .with(on_first(|p| p.1.gaps.push(gap("opt/app.jar", "java"))));
        assert_eq!(open.outcomes(), [Undecided, Undecided]);
        let waived = Case::rules(&[WAIVER, vulnerabilities])
            .with(on_first(|p| p.1.gaps.push(gap("opt/app.jar", "java"))));
        assert_eq!(waived.outcomes(), [Waived, Hold]);
        let used = waived.verdict().waivers.used;
        assert_eq!(used.len(), 1);
        assert_eq!(used[0].covered, ["opt/app.jar (java, linux/amd64)"]);
        assert_eq!((used[0].rule.as_str(), used[0].scope.as_str()), ("r0", "opt/**"));
    }

    #[test]
    fn a_waiver_does_not_reach_further_than_it_says() {
        for (path, cataloger, want) in [("usr/app.jar", "java", Undecided), ("opt/app.jar", "java", Waived)] {
            let case = Case::rule(WAIVER).with(on_first(|p| p.1.gaps.push(gap(path, cataloger))));
            assert_eq!(case.outcome(), want, "{path}");
        }
        let only = WAIVER.replace("until", "cataloger: npm, until");
        let case = Case::rule(&only).with(on_first(|p| p.1.gaps.push(gap("opt/app.jar", "java"))));
        assert_eq!(case.outcome(), Undecided);
    }

    #[test]
    fn two_stars_do_not_accept_a_layer_that_nobody_could_read() {
        for (path, want) in [("'**'", Undecided), ("/", Waived)] {
            let rule = WAIVER.replace("'opt/**'", path);
            let case = Case::rule(&rule).with(on_first(|p| p.1.gaps.push(gap("/", "tar"))));
            assert_eq!(case.outcome(), want, "{path}");
        }
    }

    #[test]
    fn a_waiver_ends_after_its_last_day() {
        let case = Case::rule(WAIVER).with(on_first(|p| p.1.gaps.push(gap("opt/app.jar", "java"))));
        assert_eq!(case.clone().at("2026-12-31T23:59:59Z").outcome(), Waived);
        let late = case.at("2027-01-01T00:00:00Z");
        assert_eq!(late.outcome(), Undecided);
        assert_eq!(late.verdict().waivers.expired.len(), 1);
        assert_eq!(late.verdict().waivers.used.len(), 0);
    }

    #[test]
    fn an_unused_waiver_is_reported_unless_it_could_not_be_said() {
        assert_eq!(Case::rule(WAIVER).verdict().waivers.unused.len(), 1);
        let unknown =
            Case::rule(WAIVER).with(on_first(|p| p.0.inventory = Fact::Unknown("no blob".to_owned())));
        assert_eq!(unknown.outcome(), Undecided);
        assert_eq!(unknown.verdict().waivers.unused.len(), 0);
    }

    #[test]
    fn it_is_never_violated() {
        let case = Case::rule("gaps: {}").with(|e| e.platforms = Fact::Unknown("x".into()));
        assert!(case.outcome() < Violate);
    }
}
