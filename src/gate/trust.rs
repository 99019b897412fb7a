//! The roots that signatures are verified by, kept fresh while the image is read.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use jiff::Timestamp;

use crate::attestation::{Root, RootId, Trust};
use crate::cache::Private;
use crate::model::attestation::{RootOrigin, TrustedRoot};
use crate::sigstore::{MAX_KEPT, Refreshed, Settings, TufRepository};

/// The age from which on a root is to be refreshed: a day. Instances sign anew every few days, and change their keys a
/// few times a year.
const DAY: i64 = 24 * 60 * 60;

/// The age from which on somebody is told who refreshes nothing: 30 days.
const MONTH: i64 = 30 * DAY;

/// How long a verification waits for a refresh that is under way: as long as a person bears without asking why.
const WAIT: Duration = Duration::from_secs(5);

/// How long is waited where nothing can be verified without: a refresh ends by itself within a minute, and this is longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// When roots are refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Where they are older than a day, beside the work. What cannot be refreshed is as it was.
    Background,
    /// Always, and before anything is verified.
    Required,
    /// Never.
    Never,
}

/// How roots are kept fresh.
#[derive(Debug)]
pub struct Refreshing<'a> {
    /// When.
    pub refresh: Refresh,
    /// How repositories are asked.
    pub settings: &'a Settings,
    /// The user's cache directory, where there is one.
    pub cache: Option<&'a Path>,
    /// When that is.
    pub now: Timestamp,
}

/// Roots that are settled once something is to be verified.
#[derive(Debug)]
pub struct Roots(LazyLock<Settled, Box<dyn FnOnce() -> Settled + Send>>);

/// The roots that something is verified by.
#[derive(Debug)]
pub struct Settled {
    /// What is trusted.
    pub trust: Trust,
    /// What of it is told.
    pub roots: Vec<TrustedRoot>,
    /// What somebody should hear, until somebody has.
    said: Mutex<Vec<String>>,
}

/// A root, and what is said of it.
struct Known {
    root: Root,
    origin: RootOrigin,
    /// How old it is, in words.
    age: String,
    /// Why a newer one that was kept is not used.
    passed_over: Option<String>,
}

/// A refresh that is under way, unless it failed before it began.
type Way = Result<Receiver<Brought>, String>;

/// What a refresh brought: the root, and why it could not be kept; or why there is none.
type Brought = Result<(Root, Option<String>), String>;

/// What there is of an instance.
struct Coming {
    id: RootId,
    known: Option<Known>,
    refresh: Option<Way>,
}

/// The same where there is something to go on with.
struct Sure {
    known: Known,
    refresh: Option<Way>,
}

/// What one instance needs for a refresh.
struct Work {
    id: RootId,
    repository: TufRepository,
    settings: Settings,
    place: Option<Arc<Private>>,
    /// Why nothing that was kept could be looked at.
    unopened: Option<String>,
    now: Timestamp,
}

impl Roots {
    /// Roots that the user named: they are as they are.
    #[must_use]
    pub fn named(first: Root, others: Vec<Root>) -> Self {
        let sure = |root| Sure {
            known: Known { root, origin: RootOrigin::Named, age: String::new(), passed_over: None },
            refresh: None,
        };
        Self::new(sure(first), others.into_iter().map(sure).collect())
    }

    /// The roots of instances: the newest that is known, and what a refresh brings that begins now. What somebody should
    /// hear is told.
    ///
    /// # Errors
    /// A lowercase fragment where nothing may be verified: a refresh failed that is required, or without which there is
    /// no root.
    pub fn of(
        first: (RootId, TufRepository),
        others: Vec<(RootId, TufRepository)>,
        how: &Refreshing<'_>,
        tell: &dyn Fn(&str),
    ) -> Result<Self, String> {
        let opened = how.cache.map(|cache| Private::open(cache, "trust")).transpose();
        let mut unopened = None;
        let place = opened.map(|place| place.map(Arc::new)).unwrap_or_else(|error| {
            let text = format!("what was kept is not used, and nothing is kept: {error}");
            tell(&format!("trusted roots: {text}"));
            unopened = Some(text);
            None
        });
        let begin = |(id, repository): (RootId, TufRepository)| {
            let (settings, place, unopened) = (how.settings.clone(), place.clone(), unopened.clone());
            Work { id, repository, settings, place, unopened, now: how.now }.begin(how.refresh, tell)
        };
        // All of them begin before one is waited for.
        let first = begin(first)?;
        let others = others.into_iter().map(begin).collect::<Result<Vec<_>, String>>()?;
        let until = Instant::now() + PATIENCE;
        let sure = |one: Coming| one.sure(until, how.refresh, tell);
        Ok(Self::new(sure(first)?, others.into_iter().map(sure).collect::<Result<_, String>>()?))
    }

    fn new(first: Sure, others: Vec<Sure>) -> Self {
        Self(LazyLock::new(Box::new(|| {
            let until = Instant::now() + WAIT;
            let mut said = Vec::new();
            let (root, told) = first.settle(until, &mut said);
            let (mut trust, mut roots) = (Trust::new(root), vec![told]);
            for one in others {
                let (root, told) = one.settle(until, &mut said);
                trust = trust.and(root);
                roots.push(told);
            }
            Settled { trust, roots, said: Mutex::new(said) }
        })))
    }

    /// The roots to verify by. The first time, what is under way is waited for, for some seconds at most; what has not come
    /// by then, or failed, is told, and the root that was known stands.
    pub fn settle(&self, tell: &dyn Fn(&str)) -> &Settled {
        let settled = &*self.0;
        let said = std::mem::take(&mut *settled.said.lock().unwrap_or_else(PoisonError::into_inner));
        said.iter().for_each(|line| tell(line));
        settled
    }
}

impl Coming {
    /// Waits where a refresh must succeed, or there is nothing to go on with.
    fn sure(self, until: Instant, refresh: Refresh, tell: &dyn Fn(&str)) -> Result<Sure, String> {
        let (id, way_out) = (self.id, "name a root by `--trusted-root FILE`");
        let way_out = match (self.known, refresh) {
            (Some(known), Refresh::Background | Refresh::Never) => {
                return Ok(Sure { known, refresh: self.refresh });
            }
            (Some(_), Refresh::Required) => {
                format!("{way_out}, or go on with the known one by `--trust-refresh background`")
            }
            (None, Refresh::Never) => {
                "without the network there is none: let it be refreshed once".to_owned()
            }
            (None, Refresh::Required | Refresh::Background) => way_out.to_owned(),
        };
        match self.refresh.map(|refresh| wait(refresh, until)) {
            Some(Ok(fresh)) => {
                let mut said = Vec::new();
                let known = fresh.known(&mut said);
                said.iter().for_each(|line| tell(line));
                Ok(Sure { known, refresh: None })
            }
            Some(Err(cause)) => Err(format!("trusted root {id}: the refresh failed: {cause}; {way_out}")),
            None => Err(format!("trusted root {id}: none is known yet; {way_out}")),
        }
    }
}

impl Sure {
    /// What is to be trusted, and what is told of it.
    fn settle(self, until: Instant, said: &mut Vec<String>) -> (Root, TrustedRoot) {
        let (known, not_refreshed) = match self.refresh.map(|refresh| wait(refresh, until)) {
            None => {
                let cause = self.known.passed_over.clone();
                (self.known, cause)
            }
            Some(Ok(fresh)) => (fresh.known(said), None),
            Some(Err(cause)) => {
                let (id, age) = (self.known.root.id(), &self.known.age);
                said.push(format!("trusted root {id}: not refreshed, going on with {age}: {cause}"));
                (self.known, Some(cause))
            }
        };
        let Known { root, origin, .. } = known;
        let (name, digest) = (root.id().to_string(), root.digest().clone());
        (root, TrustedRoot { name, digest, origin, not_refreshed })
    }
}

/// What came of a refresh.
struct Fresh {
    root: Root,
    unkept: Option<String>,
}

impl Fresh {
    fn known(self, said: &mut Vec<String>) -> Known {
        if let Some(cause) = self.unkept {
            said.push(format!("trusted root {}: refreshed, and cannot be kept: {cause}", self.root.id()));
        }
        Known { root: self.root, origin: RootOrigin::Refreshed, age: String::new(), passed_over: None }
    }
}

fn wait(refresh: Way, until: Instant) -> Result<Fresh, String> {
    match refresh?.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(brought) => brought.map(|(root, unkept)| Fresh { root, unkept }),
        Err(RecvTimeoutError::Timeout) => Err("its TUF repository does not answer in time".to_owned()),
        Err(RecvTimeoutError::Disconnected) => Err("the refresh broke off".to_owned()),
    }
}

impl Work {
    /// Looks for the root that is known, and begins a refresh where it is time for one.
    fn begin(self, refresh: Refresh, tell: &dyn Fn(&str)) -> Result<Coming, String> {
        let id = self.id.clone();
        let mut passed_over = self.unopened.clone();
        let kept = self.kept(self.now).unwrap_or_else(|cause| {
            // Attack: whoever writes into the cache says whom to trust.
            let text = format!("what was kept of it is not used: {cause}");
            tell(&format!("trusted root {id}: {text}"));
            passed_over = Some(text);
            None
        });
        let age = kept.as_ref().map(|(kept, _)| self.now.as_second() - kept.checked.as_second());
        let is_due = match refresh {
            Refresh::Never => false,
            Refresh::Required => true,
            Refresh::Background => age.is_none_or(|age| age > DAY),
        };
        let (kept, root) = kept.unzip();
        let known = match (root, self.repository.embedded_at()) {
            (Some(root), _) => {
                let age = age.unwrap_or_default();
                if refresh == Refresh::Never && age > MONTH {
                    tell(&format!("trusted root {id}: it was checked {} days ago", age / DAY));
                }
                let age = format!("the one that was checked {} h ago", age / 3_600);
                Some(Known { root, origin: RootOrigin::Refreshed, age, passed_over: None })
            }
            (None, Some(at)) => {
                let root = Root::embedded(id.clone()).map_err(|error| error.to_string())?;
                let age = format!("the one that came with portcullis, of {}", at.strftime("%F"));
                Some(Known { root, origin: RootOrigin::Embedded, age, passed_over })
            }
            (None, None) => None,
        };
        let mut work = self;
        if known.is_some() && refresh != Refresh::Required {
            // There is something to go on with, and the next run asks again.
            work.settings.retry.attempts = 1;
        }
        Ok(Coming { id, known, refresh: is_due.then(|| work.start(kept)) })
    }

    /// The root that was kept by then, where there is a newer one than came with portcullis.
    fn kept(&self, by: Timestamp) -> Result<Option<(Refreshed, Root)>, String> {
        let Some(place) = &self.place else { return Ok(None) };
        let bytes = place.read(self.repository.name(), MAX_KEPT).map_err(|error| error.to_string())?;
        let Some(bytes) = bytes else { return Ok(None) };
        let kept = self.repository.reread(&bytes, by).map_err(|error| error.message)?;
        let Some(kept) = kept else { return Ok(None) };
        let root = Root::read(self.id.clone(), &kept.trusted_root).map_err(|error| error.to_string())?;
        Ok(Some((kept, root)))
    }

    /// Refreshes on a thread of its own, which nobody waits for when the process ends.
    fn start(self, kept: Option<Refreshed>) -> Way {
        let (sender, receiver) = sync_channel(1);
        let work = move || {
            // Where nobody waits any more and the process still runs, what was fetched is kept all the same.
            let _ = sender.send(self.refresh(kept.as_ref()));
        };
        let thread = std::thread::Builder::new().name("trust".to_owned());
        thread.spawn(work).map_err(|error| format!("no thread for it: {error}"))?;
        Ok(receiver)
    }

    fn refresh(&self, kept: Option<&Refreshed>) -> Brought {
        let fresh =
            self.repository.refresh(&self.settings, kept, self.now).map_err(|error| error.to_string())?;
        // What TUF vouches for and cannot be used is not kept either: the root that is known stays.
        let root = Root::read(self.id.clone(), &fresh.trusted_root).map_err(|error| error.to_string())?;
        let unkept = self.keep(&fresh).err();
        Ok((root, unkept))
    }

    fn keep(&self, fresh: &Refreshed) -> Result<(), String> {
        let Some(place) = &self.place else { return Ok(()) };
        // Attack, or two runs at once: an older state over a newer one, from which the next refresh would begin. The
        // other run may have begun after this one.
        if let Ok(Some((there, _))) = self.kept(Timestamp::MAX)
            && there.is_ahead_of(fresh)
        {
            return Ok(());
        }
        let seconds = u64::try_from(self.now.as_second()).unwrap_or_default();
        place.tidy(UNIX_EPOCH + Duration::from_secs(seconds));
        place.write(self.repository.name(), &fresh.to_bytes()?).map_err(|error| error.to_string())
    }
}
