//! Which targets of a statement may be about a package, without a look at each.

use std::collections::HashMap;

use crate::model::purl::Purl;

use super::bind::is_image_type;
use super::{Component, Identity, Statement, Target};

/// Targets of a statement up to which all are compared: a table would cost more.
const FEW: usize = 16;

/// The targets of a statement, by the package that they are about.
pub(super) struct Index<'a> {
    /// By type and name of the package.
    by_name: HashMap<(&'a str, &'a str), Vec<&'a Target>>,
    /// Those that may be about any package.
    others: Vec<&'a Target>,
}

impl<'a> Index<'a> {
    pub(super) fn new(statement: &'a Statement) -> Self {
        let mut index = Self { by_name: HashMap::new(), others: Vec::new() };
        if statement.targets.len() <= FEW {
            index.others = statement.targets.iter().collect();
            return index;
        }
        for target in &statement.targets {
            let components = match target.parts.as_slice() {
                [] => std::slice::from_ref(&target.product),
                parts => parts,
            };
            match components.iter().map(package).collect::<Option<Vec<_>>>() {
                Some(mut names) => {
                    names.sort_unstable();
                    names.dedup();
                    for name in names {
                        index.by_name.entry(name).or_default().push(target);
                    }
                }
                None => index.others.push(target),
            }
        }
        index
    }

    /// The targets that may be about a package.
    pub(super) fn of(&self, package: &Purl) -> Vec<&'a Target> {
        let named = self.by_name.get(&(package.kind.as_str(), package.name.as_str()));
        self.others.iter().chain(named.into_iter().flatten()).copied().collect()
    }
}

/// Type and name of the only packages that a component may be. `None` where it may be an image, or it cannot be said
/// what it is.
fn package(component: &Component) -> Option<(&str, &str)> {
    if component.problem.is_some() {
        return None;
    }
    let mut name = None;
    for identity in &component.names {
        match identity {
            Identity::Purl(purl) | Identity::Link(_, purl) if !is_image_type(purl) => {
                // Every purl must name the package, so any of them will do.
                name = Some((purl.kind.as_str(), purl.name.as_str()));
            }
            Identity::Purl(_) | Identity::Link(_, _) | Identity::Reference(_) | Identity::Hash(_) => {
                return None;
            }
        }
    }
    name
}
