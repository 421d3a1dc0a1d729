//! A configuration on its way to be settings: all of it is read at once, its bundles are built in slices.

use std::vec;

use serde_json::Value;

use super::resolve::{Resolver, Written};
use super::{digest, Settings, Shadow};
use crate::base::time::UnixTime;
use crate::base::{hex, json};
use crate::bundle::{Builder, Bundle, Item, Preparation, Progress, DROP_SLICE};
use crate::config::{self, ConfigError, ConfigErrors};
use crate::sync::signed::FileError;

/// Bytes of a configuration that comes as text. Where each of them is an escape, reading takes six times as long.
const MAX_TEXT: usize = 512 * 1024;
/// Values of JSON that it may be made of: about 2,000 grants.
const MOST: usize = 40_000;
/// What to do about one that has more.
const ELSEWHERE: &str = "much belongs into a bundle that is fetched (`bundle.remote`)";
/// Grants that can't be read before the rest of them is not looked at.
const MAX_UNREAD: usize = 100;

/// Settings in the making. A worker decides requests between the slices, by the settings before.
pub struct Configuring {
    settings: Settings,
    bundle: Building,
    shadow: Option<ShadowBuilding>,
    /// Those that API keys name.
    exceptions: Vec<String>,
    errors: Vec<ConfigError>,
}

impl std::fmt::Debug for Configuring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Configuring({})", self.settings.revision)
    }
}

impl Configuring {
    /// Reads all but what stands in its bundles. A text that is handed over is dropped as soon as it was parsed:
    /// it may be long, and the module's memory never shrinks.
    ///
    /// # Errors
    /// It can't be read at all, or is too long to be read at once.
    pub fn begin(text: impl AsRef<[u8]>) -> Result<Self, ConfigErrors> {
        let refused = |message: String| ConfigErrors(vec![ConfigError::new("", message)]);
        let bytes = text.as_ref().len();
        if bytes > MAX_TEXT {
            return Err(refused(format!(
                "{bytes} bytes; a worker reads at most {MAX_TEXT} at once: {ELSEWHERE}"
            )));
        }
        let document = json::parse_at_most(text.as_ref(), MOST).map_err(|error| {
            refused(if json::is_too_much(&error) {
                format!("more than {MOST} values, which a worker does not read at once: {ELSEWHERE}")
            } else {
                format!("not strict JSON: {error}")
            })
        })?;
        drop(text);
        Self::of(document)
    }

    pub(super) fn of(document: Value) -> Result<Self, ConfigErrors> {
        // Enough to tell configurations apart.
        let revision = hex::encode(&digest([&document])).chars().take(16).collect::<String>();
        let credential_digest = digest(
            ["instance", "issuers", "dpop", "mtls"].map(|key| document.get(key).unwrap_or(&Value::Null)),
        );
        let (config, errors) = config::parse(document).map_err(ConfigErrors)?;
        let mut resolver = Resolver::new(errors);
        let Written { settings, bundle, shadow, exceptions } =
            resolver.settings(config, &revision, credential_digest);
        Ok(Self { settings, bundle, shadow, exceptions, errors: resolver.errors })
    }

    /// The name of the engine that it is for.
    pub fn instance(&self) -> &str {
        &self.settings.instance
    }

    /// Digest of the configuration.
    pub fn revision(&self) -> &str {
        &self.settings.revision
    }

    /// Whether something is known to be wrong with it, which [`Self::finish`] tells.
    pub fn is_wrong(&self) -> bool {
        !self.errors.is_empty()
    }

    /// What only the time tells to be wrong.
    ///
    /// # Errors
    /// Those of [`Settings::check_at`].
    pub fn check_at(&self, now: UnixTime) -> Result<(), ConfigErrors> {
        self.settings.check_at(now)
    }

    /// Does a part, of a few milliseconds at most; whether there is more.
    pub fn work(&mut self) -> bool {
        let shadow = self.shadow.as_mut().map(|shadow| &mut shadow.bundle);
        let Some(open) = [&mut self.bundle].into_iter().chain(shadow).find(|building| !building.is_done())
        else {
            return false;
        };
        let errors = open.work();
        self.errors.extend(errors);
        true
    }

    /// The settings, once there is no more work.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration; nothing is half-applied.
    pub fn finish(mut self) -> Result<Settings, ConfigErrors> {
        while self.work() {}
        self.settings.bundle = self.bundle.take();
        self.settings.shadow = self
            .shadow
            .take()
            .map(|ShadowBuilding { mut bundle, max_stale_s }| Shadow { bundle: bundle.take(), max_stale_s });
        let mut resolver = Resolver::new(self.errors);
        resolver.beside_bundles(&self.settings, &self.exceptions);
        if resolver.errors.is_empty() {
            Ok(self.settings)
        } else {
            Err(ConfigErrors(resolver.errors))
        }
    }
}

/// A bundle that a configuration holds, in the making.
pub(super) enum Building {
    Inline(Box<Inline>),
    /// With its place.
    Signed(String, Box<Preparation>),
    Done(Box<Bundle>),
}

/// The bundle that is not obeyed.
pub(super) struct ShadowBuilding {
    pub(super) bundle: Building,
    pub(super) max_stale_s: Option<i64>,
}

/// As people write them in the configuration.
pub(super) struct Inline {
    place: String,
    builder: Builder,
    items: Box<dyn Iterator<Item = (String, Item)>>,
    grants: std::iter::Enumerate<vec::IntoIter<Value>>,
    unread: usize,
}

impl Building {
    pub(super) fn inline(place: &str, mut written: config::InlineBundle, builder: Builder) -> Self {
        let grants = std::mem::take(&mut written.grants).into_iter().enumerate();
        let items = Box::new(written.items(place.to_owned()));
        Self::Inline(Box::new(Inline { place: place.to_owned(), builder, items, grants, unread: 0 }))
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Does a part. What is wrong with it.
    fn work(&mut self) -> Vec<ConfigError> {
        let of = |bundle: Bundle, errors: Vec<ConfigError>| {
            if errors.is_empty() {
                (Self::Done(Box::new(bundle)), errors)
            } else {
                (Self::Done(Box::default()), errors)
            }
        };
        let (next, errors) = match std::mem::replace(self, Self::Done(Box::default())) {
            Self::Done(bundle) => (Self::Done(bundle), Vec::new()),
            Self::Inline(mut inline) => {
                if inline.work() {
                    (Self::Inline(inline), Vec::new())
                } else {
                    let (bundle, errors) = inline.builder.finish();
                    of(bundle, errors)
                }
            }
            Self::Signed(place, mut preparation) => match preparation.step(None) {
                Ok(Progress::Built(bundle)) => of(bundle, Vec::new()),
                Ok(_) => (Self::Signed(place, preparation), Vec::new()),
                Err(error) => of(Bundle::default(), of_file(&place, &error)),
            },
        };
        *self = next;
        errors
    }

    fn take(&mut self) -> Bundle {
        match std::mem::replace(self, Self::Done(Box::default())) {
            Self::Done(bundle) => *bundle,
            Self::Inline(_) | Self::Signed(..) => Bundle::default(),
        }
    }
}

/// What is wrong with a file whose text stands in the configuration.
pub(super) fn of_file(place: &str, error: &FileError) -> Vec<ConfigError> {
    let of = |error: &ConfigError| ConfigError::new(place, format!("{}: {}", error.path, error.message));
    error.errors().iter().map(of).collect()
}

impl Inline {
    /// Whether there is more.
    fn work(&mut self) -> bool {
        if self.builder.work() {
            return true;
        }
        if let Some((at, item)) = self.items.next() {
            self.builder.add(&at, item);
            return true;
        }
        if self.unread < MAX_UNREAD {
            if let Some((index, grant)) = self.grants.next() {
                let at = format!("{}.grants[{index}]", self.place);
                let read = self.builder.written_grant(&at, &grant);
                self.unread = self.unread.saturating_add(usize::from(!read));
                return true;
            }
        }
        self.builder.tidy(DROP_SLICE)
    }
}
