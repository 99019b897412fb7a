//! Why a vulnerability is found in an image, or is not.

use crate::model::evidence::Evidence;
use crate::model::explanation::Explanation;
use crate::model::fact::Fact;
use crate::osv::segment::{Damaged, Segment};
use crate::osv::{self, Advisories};

use super::inspect::{Error, Progress};
use super::judge::{Request, inspect};
use super::snapshot;

/// Reads an image and says what the advisories have on one vulnerability and its packages.
///
/// # Errors
/// As [`super::gather`]; what could not be read stands in the explanation.
pub fn explain(request: &Request<'_>, id: &str, progress: &dyn Progress) -> Result<Explanation, Error> {
    let evidence = inspect(request, progress)?.evidence;
    let mut explanation = Explanation {
        id: id.to_owned(),
        image: evidence.image.clone(),
        snapshot: None,
        platforms: Vec::new(),
        withdrawn: Vec::new(),
        unread: unread(&evidence),
    };
    match request.snapshot {
        Fact::Known(store) => {
            let mapped = snapshot::segments(&evidence, store, progress);
            let advisories = snapshot::advisories(&mapped);
            match snapshot::describe(&advisories) {
                Fact::Known(info) => {
                    let unreadable = info.ecosystems.iter().filter(|(_, segment)| segment.unreadable > 0);
                    explanation.unread.extend(unreadable.map(|(ecosystem, segment)| {
                        format!(
                            "{} of the advisories for {ecosystem}, which may be about it",
                            segment.unreadable
                        )
                    }));
                    explanation.snapshot = Some(info);
                }
                Fact::Absent => {}
                Fact::Unknown(cause) => explanation.unread.push(cause),
            }
            match withdrawn(&advisories, id) {
                Ok(records) => explanation.withdrawn = records,
                Err(damaged) => explanation.unread.push(damaged.to_string()),
            }
            let platforms = evidence.platforms.known().into_iter().flatten();
            explanation.platforms = platforms
                .filter_map(|of| Some(osv::explain(&of.platform, of.inventory.known()?, &advisories, id)))
                .collect();
        }
        Fact::Absent => explanation.unread.push("there is no advisory snapshot".into()),
        Fact::Unknown(cause) => explanation.unread.push(cause.clone()),
    }
    Ok(explanation)
}

/// The records of an id that were withdrawn.
fn withdrawn(advisories: &Advisories<'_>, id: &str) -> Result<Vec<String>, Damaged> {
    let mut found = Vec::new();
    for (ecosystem, segment) in &advisories.0 {
        for record in segment.known().into_iter().flat_map(Segment::records) {
            let record = record?;
            if record.withdrawn && record.id.eq_ignore_ascii_case(id) {
                found.push(format!("{ecosystem} {}", record.id));
            }
        }
    }
    Ok(found)
}

/// What could not be read of the image.
fn unread(evidence: &Evidence) -> Vec<String> {
    let mut unread: Vec<String> =
        evidence.faults.iter().map(|fault| format!("{}: {}", fault.at, fault.message)).collect();
    match &evidence.platforms {
        Fact::Known(platforms) => {
            unread.extend(platforms.iter().filter_map(|platform| match &platform.inventory {
                Fact::Unknown(cause) => Some(format!("{}: {cause}", platform.platform)),
                Fact::Known(_) | Fact::Absent => None,
            }))
        }
        Fact::Absent => {}
        Fact::Unknown(cause) => unread.push(cause.clone()),
    }
    unread
}
