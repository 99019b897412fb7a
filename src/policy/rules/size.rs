//! `size`: how large the image is.

use crate::model::evidence::PlatformEvidence;
use crate::model::fact::Fact;
use crate::policy::checked::checked;
use crate::policy::fields::Fields;
use crate::policy::quantity::{parse_count, parse_size, show_size};
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};

/// The kind `size`.
pub(crate) struct SizeRule;

impl Rule for SizeRule {
    fn kind(&self) -> &'static str {
        "size"
    }

    fn summary(&self) -> &'static str {
        "the layers are not too large or too many"
    }

    fn timed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Size {
    compressed_max: Option<u64>,
    layers_max: Option<u64>,
    wasted_max: Option<u64>,
}

impl Sealed for SizeRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`size`"))?;
        let size = "a size such as `400MiB`";
        let compressed_max = fields.read("compressedMax", errors, |node| node.read(size, parse_size));
        let layers_max = fields.read("layersMax", errors, |node| node.read("a whole number", parse_count));
        let wasted_max = fields.read("wastedMax", errors, |node| node.read(size, parse_size));
        fields.finish_some(&[], errors);
        Some(Box::new(Size { compressed_max, layers_max, wasted_max }))
    }
}

impl Settings for Size {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        for platform in subject.platforms(&mut decided) {
            self.check_layers(platform, &mut decided);
        }
        if let Some(max) = self.wasted_max {
            check_wasted(max, subject, &mut decided);
        }
        decided
    }
    fn needs_checks(&self) -> bool {
        self.wasted_max.is_some()
    }
}

impl Size {
    fn check_layers(&self, platform: &PlatformEvidence, decided: &mut Decided) {
        if self.compressed_max.is_none() && self.layers_max.is_none() {
            return;
        }
        let place = Some(&platform.platform);
        let layers = match &platform.layers {
            Fact::Known(layers) => layers,
            Fact::Absent => return decided.undecided(place, "the layers are not known"),
            Fact::Unknown(cause) => {
                return decided.undecided(place, format!("the layers are not known: {cause}"));
            }
        };
        let total = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        if let Some(max) = self.compressed_max.filter(|max| total > *max) {
            decided.violate(
                place,
                format!("the layers have {}, more than {}", show_size(total), show_size(max)),
            );
        }
        let number = layers.len();
        if let Some(max) = self.layers_max.filter(|max| u64::try_from(number).is_ok_and(|n| n > *max)) {
            decided.violate(place, format!("{number} layers, more than {max}"));
        }
    }
}

/// Bytes that are pulled and that no container sees.
fn check_wasted(max: u64, subject: &Subject<'_>, decided: &mut Decided) {
    let Some(checked) = checked(subject, decided) else { return };
    for platform in subject.platforms(decided) {
        let place = &platform.platform;
        match checked.platforms.iter().find(|measured| measured.platform == *place) {
            Some(measured) if measured.wasted > max => {
                let (wasted, max) = (show_size(measured.wasted), show_size(max));
                decided
                    .violate(Some(place), format!("{wasted} of its files cannot be seen, more than {max}"));
            }
            Some(_) => {}
            None => decided.undecided(Some(place), "what of its files cannot be seen was not measured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::evidence::Evidence;
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{Hold, Undecided, Violate};
    use crate::model::violation::{Checked, PlatformChecked};
    use crate::policy::fixture::{Case, on_first};

    #[test]
    fn sizes_up_to_the_limit_hold() {
        let case = Case::rule("size: {compressedMax: 1MiB, layersMax: 1}");
        assert_eq!(
            case.clone().with(on_first(|p| p.0.layers.known_mut().unwrap()[0].size = 1 << 20)).outcome(),
            Hold
        );
        let over = case.with(on_first(|p| p.0.layers.known_mut().unwrap()[0].size = (1 << 20) + 1));
        assert_eq!(over.outcome(), Violate);
        assert_eq!(over.texts(), ["the layers have 1.1 MiB, more than 1.0 MiB"]);
    }

    #[test]
    fn layers_are_counted_and_sizes_do_not_wrap_around() {
        let grow = on_first(|p| {
            p.0.layers.known_mut().unwrap()[0].size = u64::MAX;
            let layer = p.0.layers.known().unwrap()[0].clone();
            p.0.layers.known_mut().unwrap().push(layer);
        });
        let case = Case::rule("size: {compressedMax: 1GB, layersMax: 1}").with(grow);
        assert_eq!(case.texts().len(), 2, "{:?}", case.texts());
    }

    #[test]
    fn bytes_that_nobody_sees_are_limited() {
        let case = Case::rule("size: {wastedMax: 1MiB}");
        let wasting = |wasted| {
            move |evidence: &mut Evidence| {
                let platforms = evidence.platforms_mut().iter().map(|platform| platform.platform.clone());
                let platforms = platforms.map(|platform| PlatformChecked { platform, base: None, wasted });
                let platforms = platforms.collect();
                evidence.checked = Fact::Known(Checked { platforms, ..Checked::default() });
            }
        };
        assert_eq!(case.clone().with(wasting(1 << 20)).outcome(), Hold);
        assert_eq!(case.clone().with(wasting((1 << 20) + 1)).outcome(), Violate);
        assert_eq!(case.clone().with(|e| e.checked = Fact::Absent).outcome(), Undecided);
        assert_eq!(case.with(|e| e.checked = Fact::Known(Checked::default())).outcome(), Undecided);
    }

    #[test]
    fn unknown_platforms_are_undecided() {
        let case = Case::rule("size: {layersMax: 40}").with(|e| e.platforms = Fact::Unknown("x".into()));
        assert_eq!(case.outcome(), Undecided);
    }

    #[test]
    fn a_rule_that_checks_nothing_is_an_error() {
        assert!(Case::error("size: {}").message.contains("checks nothing"));
        assert!(Case::error("size: {compressedMax: 400M}").message.contains("found `400M`"));
    }
}
