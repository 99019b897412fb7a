//! LYR: layers, by what the pass over each observed and by its entries. What makes a layer unreadable
//! (LYR-001 to LYR-004, LYR-006, a stream that is cut) comes as a fault of the pass and fires not here.

mod entries;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

use crate::inventory::{ARCHIVE, Merged, NOT_EMPTY};
use crate::model::observed::{NameFault, Note, Topic, What};
use crate::model::path::{ImagePath, escape};
use crate::model::violation::{CheckSeverity, Place, Violation};

use super::{Check, Family, Found, LayerFacts, PlatformLayers, Subject};
use table::CHECKS;

/// The family.
pub(super) struct Layers;

impl Family for Layers {
    fn checks(&self) -> &'static [Check] {
        CHECKS
    }

    fn look(&self, subject: &Subject<'_>, found: &mut Found) {
        for image in subject.images {
            let inventories: Vec<_> = image.layers.iter().map(|layer| Arc::clone(&layer.inventory)).collect();
            let merged = Merged::new(&inventories);
            let stored = merged.stored();
            let hidden: HashMap<(usize, &ImagePath), Option<usize>> =
                stored.iter().map(|file| ((file.layer, file.path), file.hidden_by)).collect();
            let mut seen = HashMap::new();
            for (index, layer) in image.layers.iter().enumerate() {
                let mut at = At { image, index, layer, found };
                // Attack: one layer listed hundreds of times, to be looked at as often.
                let first = *seen.entry((&layer.verified.digest, &layer.diff_id)).or_insert(index);
                if first < index {
                    at.tables(first, &hidden);
                    continue;
                }
                at.stream();
                at.unread();
                at.notes(&hidden);
                at.newest(subject.now.as_second());
                entries::look(&mut at);
            }
            for (index, path) in merged.dangling() {
                At::of(image, *index, found, |at| {
                    at.add(&table::LINK, CheckSeverity::Medium, path, "a hard link to what no layer has");
                });
            }
            for (index, path) in merged.idle_whiteouts() {
                At::of(image, *index, found, |at| {
                    at.add(
                        &table::WHITEOUT,
                        CheckSeverity::Low,
                        path,
                        "a whiteout of what no lower layer has",
                    );
                });
            }
            entries::written_through(image, found);
        }
    }
}

/// A layer of an image, being looked at.
struct At<'a, 'f> {
    image: &'a PlatformLayers,
    index: usize,
    layer: &'a LayerFacts,
    found: &'f mut Found,
}

impl<'a, 'f> At<'a, 'f> {
    fn of(image: &'a PlatformLayers, index: usize, found: &'f mut Found, look: impl FnOnce(&mut Self)) {
        if let Some(layer) = image.layers.get(index) {
            look(&mut Self { image, index, layer, found });
        }
    }

    fn add(
        &mut self,
        check: &'static Check,
        severity: CheckSeverity,
        path: &ImagePath,
        message: impl Into<String>,
    ) {
        self.found.push(Violation {
            check: check.id,
            severity,
            message: message.into(),
            place: Place::Layer {
                index: self.index,
                digest: self.layer.verified.digest.clone(),
                path: (!path.is_root()).then(|| path.clone()),
                created_by: self.layer.created_by.clone(),
            },
            evidence: None,
            platform: Some(self.image.platform.clone()),
        });
    }

    fn stream(&mut self) {
        let verified = &self.layer.verified;
        let root = ImagePath::root();
        for cause in &verified.trailing {
            self.add(&table::STREAM, CheckSeverity::High, &root, *cause);
        }
        if verified.members > 1 {
            let message = format!(
                "{} members or frames in one stream: a reader may stop after the first",
                verified.members
            );
            self.add(&table::STREAM, CheckSeverity::Medium, &root, message);
        }
    }

    /// What the pass did not read of the archive: whatever it holds was not looked at.
    fn unread(&mut self) {
        let at = format!("layer {} ({})", self.index, self.layer.verified.digest);
        let gaps = self.layer.inventory.gaps.iter().filter(|gap| gap.cataloger == ARCHIVE);
        for cause in gaps.map(|gap| gap.cause.as_str()).chain(self.layer.verified.trailing.iter().copied()) {
            self.found.unseen(&at, cause);
        }
    }

    /// Clocks differ: a day ahead is no future yet.
    fn newest(&mut self, now: i64) {
        if let Some((time, path)) = &self.layer.inventory.observed.newest
            && *time > now.saturating_add(86_400)
        {
            let when = jiff::Timestamp::from_second(*time)
                .map_or_else(|_| time.to_string(), |time| time.to_string());
            self.add(
                &table::OWNER,
                CheckSeverity::Low,
                path,
                format!("its latest change is of {when}, in the future"),
            );
        }
    }

    fn notes(&mut self, hidden: &HashMap<(usize, &ImagePath), Option<usize>>) {
        let layer = self.layer;
        for note in &layer.inventory.observed.notes {
            self.note(note, hidden);
        }
        for (topic, count) in &layer.inventory.observed.more {
            // Attack: thousands of harmless ones before the one that is not.
            let check = check_of(*topic);
            self.add(
                check,
                check.severity,
                &ImagePath::root(),
                format!("{count} more that were not kept one by one"),
            );
        }
    }

    fn note(&mut self, note: &Note, hidden: &HashMap<(usize, &ImagePath), Option<usize>>) {
        let layer = format!("layer {} ({})", self.index, self.layer.verified.digest);
        if note.what == What::Unsearched {
            let at = format!("{layer}: {}", note.path);
            self.found.unseen(at, "it may hold a secret or an account, and only its beginning was searched");
            return;
        }
        // No lie: what is in the table is not known.
        if let What::TableUnread(why) = &note.what {
            self.found.unseen(layer, format!("its table of contents was not compared: {why}"));
            return;
        }
        if matches!(note.what, What::Whiteout(NOT_EMPTY)) {
            self.found.unseen(
                format!("{layer}: {}", note.path),
                "a whiteout with content, which was not looked at",
            );
        }
        let (check, severity, mut message) = judged(note);
        if matches!(note.what, What::Secret { .. })
            && let Some(Some(by)) = hidden.get(&(self.index, &note.path))
        {
            message.push_str(&self.hidden_by(*by));
        }
        self.add(check, severity, &note.path, message);
    }

    /// What the layer's tables of contents contradict, where its place in the image states other tables than
    /// the first place that lists it. Attack: one layer listed twice, the second time with a table that lies.
    fn tables(&mut self, first: usize, hidden: &HashMap<(usize, &ImagePath), Option<usize>>) {
        let of = |layer: &'a LayerFacts| {
            layer.inventory.observed.notes.iter().filter(|note| note.what.topic() == Topic::Table)
        };
        let notes = of(self.layer);
        if self.image.layers.get(first).is_some_and(|first| of(first).eq(notes.clone())) {
            return;
        }
        for note in notes {
            self.note(note, hidden);
        }
    }

    fn hidden_by(&self, by: usize) -> String {
        if by == self.index {
            return "; a later entry of the layer takes its place, and its bytes are in the layer all the same".into();
        }
        let step = self.image.layers.get(by).and_then(|layer| layer.created_by.as_deref());
        let step =
            step.map(|step| format!(" ({})", step.chars().take(120).collect::<String>())).unwrap_or_default();
        format!("; layer {by}{step} deletes or replaces it, and its bytes can be pulled all the same")
    }
}

fn check_of(topic: Topic) -> &'static Check {
    match topic {
        Topic::Name => &table::NAME,
        Topic::Link => &table::LINK,
        Topic::Device => &table::DEVICE,
        Topic::SetId => &table::SET_ID,
        Topic::Capability => &table::CAPABILITY,
        Topic::Odd => &table::HEADER,
        Topic::Owner => &table::OWNER,
        Topic::Whiteout => &table::WHITEOUT,
        Topic::Secret => &table::SECRET,
        Topic::Account => &table::ACCOUNT,
        Topic::Table => &table::CONTENTS,
    }
}

/// The check that a note is for, how bad it is, and what is said of it.
fn judged(note: &Note) -> (&'static Check, CheckSeverity, String) {
    let check = check_of(note.what.topic());
    let (severity, message) = match &note.what {
        What::Name(fault, name) => {
            let (severity, what) = match fault {
                NameFault::LeadsOut => (CheckSeverity::Critical, "leads out of the image"),
                NameFault::Parent => (CheckSeverity::High, "has `..`"),
                NameFault::TooLong => {
                    (CheckSeverity::High, "is too long or too deep for any runtime, or its link target is")
                }
                // Every runtime takes it as relative to the root, and builders such as ko write it so.
                NameFault::Absolute => (CheckSeverity::Medium, "is absolute"),
            };
            (severity, format!("the name `{}` {what}", escape(name)))
        }
        What::LinkOut(target) => (
            CheckSeverity::High,
            format!("a hard link to `{}`, which leads out of the image", escape(target)),
        ),
        What::Device(what) => (CheckSeverity::High, (*what).to_owned()),
        What::SetId { mode, uid } => {
            let worst = *uid == 0 && mode & 0o002 != 0;
            let severity = if worst { CheckSeverity::High } else { CheckSeverity::Medium };
            let tail = if worst { ", and everybody may write it" } else { "" };
            (severity, format!("mode {mode:04o}, owner {uid}{tail}"))
        }
        What::Capability(bytes) => (CheckSeverity::Medium, capabilities(bytes)),
        What::Odd(what) => (CheckSeverity::Medium, (*what).to_owned()),
        What::Owner(uid, gid) => (CheckSeverity::Low, format!("owner {uid}, group {gid}: beyond 2^31")),
        What::Whiteout(what) => (CheckSeverity::Low, (*what).to_owned()),
        What::Secret { kind, sample: false } => (CheckSeverity::High, format!("holds {kind}")),
        What::Secret { kind, sample: true } => (
            CheckSeverity::Medium,
            format!("holds {kind}, by its place one of a package's tests or examples"),
        ),
        What::Unsearched => (CheckSeverity::Medium, "only its beginning was searched".into()),
        What::Table(how) => (CheckSeverity::High, how.to_string()),
        What::TableUnread(why) => (CheckSeverity::Medium, why.to_string()),
        What::Account(what, name) => (CheckSeverity::High, format!("{what}: `{}`", escape(name.as_bytes()))),
    };
    (check, severity, message)
}

/// Names of the capabilities that Linux numbers from 0 (capabilities(7)).
const CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
];

/// The permitted capabilities of a `vfs_cap_data`: 32-bit little-endian words, the second holds the first 32.
fn capabilities(bytes: &[u8]) -> String {
    let word = bytes.get(4..8).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
    let word = word.unwrap_or_default();
    let names: Vec<&str> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(bit, _)| word >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    match names.as_slice() {
        [] => "has capabilities".into(),
        names => format!("has the capabilities {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
