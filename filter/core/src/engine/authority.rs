//! What is in force of policies and authority records: the bundle that decides, the one whose opinion is asked besides,
//! and where others come from.

use std::sync::Arc;

use super::case::{Case, Occasion, Refused};
use super::worker::Worker;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::bundle::{self, Bundle, BundleHead, Puller, World, DROP_SLICE};
use crate::engine::staleness::Age;
use crate::http::attributes::{Attribute, SOURCE_IP, SOURCE_STATE};
use crate::http::call::FetchId;
use crate::http::request::{dashed, no_client_sets};
use crate::obligations::no_policy_changes;
use crate::policy::RuleSet;
use crate::settings::{Settings, Shadow};
use crate::sync::follower::{Follower, FollowerStats, Source as _};
use crate::sync::Event;

/// Everything about bundles in one engine.
pub(super) struct Authority {
    /// What decides.
    pub(super) bundle: Bundle,
    /// What decides too and is not obeyed.
    pub(super) shadow: Option<Shadow>,
    /// Grows when settings or bundle are replaced: what waits was decided under those of its number.
    pub(super) generation: u64,
    /// The attributes that a check needs to be told.
    pub(super) attributes: Arc<[&'static Attribute]>,
    /// Where other bundles come from.
    puller: Option<Follower<Puller>>,
    /// What is not in force any more, and is taken apart little by little.
    remains: Vec<Bundle>,
}

impl Authority {
    /// Takes the bundles of the settings.
    pub(super) fn new(settings: &mut Settings, worker: &Worker) -> Self {
        let mut authority = Self {
            bundle: std::mem::take(&mut settings.bundle),
            shadow: settings.shadow.take(),
            generation: 0,
            attributes: Arc::default(),
            puller: None,
            remains: Vec::new(),
        };
        authority.assign(settings, worker);
        authority
    }

    /// Takes the bundles of new settings, unless the one in force came from a server and is the better one.
    pub(super) fn configure(&mut self, settings: &mut Settings, worker: &Worker) {
        let new = std::mem::take(&mut settings.bundle);
        let source = &settings.bundle_source;
        let server = source.remote.as_ref().map(bundle::server);
        self.puller = self.puller.take().filter(|puller| server.as_ref().is_some_and(|it| puller.is_at(it)));
        let keeps = self.puller.as_mut().zip(server).is_some_and(|(puller, server)| {
            let shared = worker.shared_at(settings, BUNDLE, &server);
            puller.reconfigure(source, server, shared, (&self.bundle, &new))
        });
        self.remains.push(if keeps { new } else { std::mem::replace(&mut self.bundle, new) });
        let shadow = std::mem::replace(&mut self.shadow, settings.shadow.take());
        self.remains.extend(shadow.map(|shadow| shadow.bundle));
        self.assign(settings, worker);
    }

    fn assign(&mut self, settings: &Settings, worker: &Worker) {
        self.ask_for_attributes(settings);
        if let (None, Some(remote)) = (&self.puller, &settings.bundle_source.remote) {
            let server = bundle::server(remote);
            let shared = worker.shared_at(settings, BUNDLE, &server);
            self.puller = Some(worker.follow(Puller::default(), server, shared));
        }
    }

    fn ask_for_attributes(&mut self, settings: &Settings) {
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.bundle);
        let bundles: Vec<&Bundle> = [&self.bundle].into_iter().chain(shadow).collect();
        self.attributes = settings.attributes(&bundles).into();
    }

    /// Whether all that is read of connections was asked for.
    ///
    /// INVARIANT: a fact that was not asked for reads like one that is not so.
    pub(super) fn was_told(&self, asked: &Arc<[&'static Attribute]>) -> bool {
        Arc::ptr_eq(&self.attributes, asked)
            || self.attributes.iter().all(|attribute| asked.contains(attribute))
    }

    /// Is there something to decide by? A record that is looked at again was decided by what was in
    /// force then.
    pub(super) fn serves(&self, settings: &Settings, case: &mut Case, now: UnixTime) -> Result<(), Refused> {
        case.record.bundle = self.bundle.head().map(BundleHead::to_record);
        if case.is_replay() {
            return Ok(());
        }
        let served = self.bundle.serves_at(now, settings.bundle_source.max_stale_s);
        served.map_err(|(reason, detail)| Refused::new(reason, detail))?;
        let is_untold = settings.takes_source_of_connection()
            && matches!(case.occasion, Occasion::Request)
            && case.request.connection.get(SOURCE_IP).is_none();
        if is_untold {
            let detail = format!("no filter in front tells the source address, as `{SOURCE_STATE}`");
            return Err(Refused::new(Reason::NotReady, detail));
        }
        if self.was_told(&case.attributes) {
            return Ok(());
        }
        Err(Refused::new(
            Reason::NotReady,
            "the bundle in force reads facts of the connection that were not asked for when the request came",
        ))
    }

    /// Whether a field of a request's trailers is kept from the upstream. Some servers take trailers for headers
    /// (RFC 9110 section 6.5.1): so each that was not there when it was decided, and that a client must not set, that
    /// frames or authenticates the message, or that a policy reads.
    pub(super) fn withholds_trailer(&self, settings: &Settings, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let dashed = dashed(&name);
        let is_read = |rules: &RuleSet| rules.headers().hold(&name) || rules.headers().hold(&dashed);
        no_client_sets(&name)
            || no_policy_changes(&name)
            || settings.is_secret(&name)
            || self.bundle.rule_sets.iter().any(is_read)
    }

    pub(super) fn clock_stepped(&mut self, now: UnixTime) {
        if let Some(puller) = &mut self.puller {
            puller.clock_stepped(now);
        }
    }

    pub(super) fn tick(&mut self, settings: &Settings, worker: &Worker, now: UnixTime) -> Vec<Event> {
        self.pull(settings, worker, |puller, world| puller.tick(world, now)).0
    }

    /// Whether there is work for [`Self::slice`].
    pub(super) fn is_busy(&self) -> bool {
        !self.remains.is_empty() || self.puller.as_ref().is_some_and(|puller| puller.source.is_busy())
    }

    /// One slice of work on a bundle; whether another one is in force since.
    pub(super) fn slice(
        &mut self,
        settings: &Settings,
        worker: &Worker,
        now: UnixTime,
    ) -> (Vec<Event>, bool) {
        if let Some(bundle) = self.remains.last_mut() {
            if !bundle.take_apart(DROP_SLICE) {
                self.remains.pop();
            }
            return (Vec::new(), false);
        }
        self.pull(settings, worker, |puller, world| puller.slice(world, now))
    }

    /// Lets the puller work, with what it needs to know.
    fn pull(
        &mut self,
        settings: &Settings,
        worker: &Worker,
        work: impl FnOnce(&mut Follower<Puller>, &mut World<'_>) -> Vec<Event>,
    ) -> (Vec<Event>, bool) {
        let Self { puller: Some(puller), bundle, remains, .. } = self else { return (Vec::new(), false) };
        let mut world = World {
            source: &settings.bundle_source,
            limits: &settings.limits,
            verifier: worker.verifier(),
            bundle,
            swapped: false,
            remains,
        };
        let events = work(puller, &mut world);
        let swapped = world.swapped;
        if swapped {
            self.ask_for_attributes(settings);
        }
        (events, swapped)
    }

    /// The puller, if this fetch is its own.
    pub(super) fn awaits(&mut self, id: FetchId) -> Option<&mut Follower<Puller>> {
        self.puller.as_mut().filter(|puller| puller.awaits(id))
    }

    /// How fresh each bundle is.
    pub(super) fn ages(&self, ages: &mut Vec<Age>, settings: &Settings, now: UnixTime) {
        let max_stale_s = settings.bundle_source.max_stale_s;
        ages.push(("the bundle".to_owned(), self.bundle.freshness(now, max_stale_s)));
        if let Some(Shadow { bundle, max_stale_s }) = &self.shadow {
            ages.push(("the shadow bundle".to_owned(), bundle.freshness(now, *max_stale_s)));
        }
    }

    /// Current figures of the bundle, if bundles come from a server.
    pub(super) fn bundle_stats(&self, settings: &Settings, now: UnixTime) -> Option<FollowerStats> {
        let (freshness, _) = self.bundle.freshness(now, settings.bundle_source.max_stale_s);
        let signed = self.bundle.head().map(|head| (head.sequence, head.issued_at));
        self.puller.as_ref().map(|puller| puller.figures(BUNDLE, freshness, signed))
    }
}

/// What bundles are called where workers share them.
const BUNDLE: &str = "bundle";
