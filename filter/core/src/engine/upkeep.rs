//! What belongs to no single request: configuration, clock, records, figures, ids.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::feeds::Followed;
use super::questions::Pdps;
use super::{Engine, IdSeed, Stats};
use crate::base::time::UnixTime;
use crate::base::{hex, json};
use crate::bundle::{self, Bundle, BundleStats, Puller, World, DROP_SLICE};
use crate::config::{Limits, LogRecords, LogTo};
use crate::credential::token::cache::TokenCache;
use crate::engine::step::Effect;
use crate::engine::streams::Streams;
use crate::http::attributes::Attribute;
use crate::http::call::{FetchId, Reply};
use crate::http::request::StreamId;
use crate::jose::checks::CheckBudget;
use crate::jose::signature::{PureRust, SignatureVerifier};
use crate::record::{DecisionRecord, Record, Verdict};
use crate::settings::Settings;
use crate::sync::follower::{FetchIds, Follower, Source as _};
use crate::sync::keyring::{KeyStats, Keyring};
use crate::sync::shared::{LocalData, Shared, SharedData};
use crate::sync::Event;

/// A step back of the clock up to this is taken for jitter; a longer one is followed.
const CLOCK_STEP_S: i64 = 300;
/// Bytes of the records that wait for a tick: the oldest beyond that are [`Engine::overflow`]'s.
pub(crate) const WAITING_BYTES: usize = 1024 * 1024;
/// Where nobody takes those, the oldest are dropped from here on, and counted.
const MAX_BYTES: usize = 2 * WAITING_BYTES;

impl Engine {
    /// An engine with nothing cached. `shared` is what all workers of the proxy see.
    pub fn new(
        mut settings: Settings,
        verifier: Box<dyn SignatureVerifier>,
        shared: Box<dyn SharedData>,
        seed: IdSeed,
    ) -> Self {
        let shared: Rc<dyn SharedData> = shared.into();
        let bundle = std::mem::take(&mut settings.bundle);
        let shadow = settings.shadow.take();
        let Limits { tokens_cached, tokens_cached_bytes, .. } = settings.limits;
        let mut engine = Self {
            tokens: TokenCache::new(tokens_cached, tokens_cached_bytes),
            shared: Shared::new(Rc::clone(&shared), &settings.credential_digest),
            common: Shared::common(shared),
            attributes: Arc::default(),
            puller: None,
            remains: Vec::new(),
            generation: 0,
            settings,
            bundle,
            shadow,
            verifier,
            check_budget: CheckBudget::default(),
            keyrings: BTreeMap::new(),
            fetching: true,
            orphans: Vec::new(),
            fetches: FetchIds::default(),
            seed,
            counter: 0,
            latest: UnixTime::default(),
            revocations: Followed::default(),
            signals: Followed::default(),
            pdps: Pdps::default(),
            records: VecDeque::new(),
            record_bytes: 0,
            streams: Streams::default(),
            stats: Stats::default(),
            watched: None,
        };
        engine.assign_attributes();
        engine.assign_keyrings();
        engine.pdps.reset(&engine.settings);
        engine.assign_puller();
        engine.assign_feeds();
        engine
    }

    /// An engine for a process of its own: signatures in pure Rust, nothing shared, nothing fetched.
    /// A token whose keys are not at hand is refused at once.
    pub fn standalone(settings: Settings, seed: IdSeed) -> Self {
        let engine = Self::new(settings, Box::new(PureRust), Box::<LocalData>::default(), seed);
        Self { fetching: false, ..engine }
    }

    /// Takes a new configuration. Caches live on; what no longer fits them is found by generation.
    pub fn configure(&mut self, mut settings: Settings) {
        self.tokens.set_bounds(settings.limits.tokens_cached, settings.limits.tokens_cached_bytes);
        self.shared = self.shared.of(&settings.credential_digest);
        if settings.revision != self.settings.revision {
            self.new_generation();
        }
        let new = std::mem::take(&mut settings.bundle);
        let (source, digest) = (&settings.bundle_source, &settings.credential_digest);
        let server = source.remote.as_ref().map(bundle::server);
        self.puller = self.puller.take().filter(|puller| server.as_ref().is_some_and(|it| puller.is_at(it)));
        let keeps = self.puller.as_mut().zip(server).is_some_and(|(puller, server)| {
            let shared = self.shared.of_place(digest, "bundle", server.place());
            puller.reconfigure(source, server, shared, (&self.bundle, &new))
        });
        self.remains.push(if keeps { new } else { std::mem::replace(&mut self.bundle, new) });
        let shadow = std::mem::replace(&mut self.shadow, settings.shadow.take());
        self.remains.extend(shadow.map(|shadow| shadow.bundle));
        self.settings = settings;
        self.assign_attributes();
        self.assign_keyrings();
        self.pdps.reset(&self.settings);
        self.assign_puller();
        self.assign_feeds();
    }

    fn assign_attributes(&mut self) {
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.bundle);
        let bundles: Vec<&Bundle> = [&self.bundle].into_iter().chain(shadow).collect();
        self.attributes = self.settings.attributes(&bundles).into();
    }

    fn assign_puller(&mut self) {
        let Some(remote) = &self.settings.bundle_source.remote else { return };
        if self.puller.is_none() {
            let server = bundle::server(remote);
            let digest = &self.settings.credential_digest;
            let shared = self.shared.of_place(digest, "bundle", server.place());
            self.puller = Some(Follower::new(Puller::new(), server, shared, &self.fetches, &self.seed.0));
        }
    }

    /// Keys live on with the source that they are from.
    fn assign_keyrings(&mut self) {
        let mut before: Vec<Follower<Keyring>> = std::mem::take(&mut self.keyrings).into_values().collect();
        for (index, issuer) in self.settings.issuers.iter().enumerate() {
            let Some(source) = issuer.remote_issuer() else { continue };
            let server = source.server();
            let shared =
                self.shared.of_place(&self.settings.credential_digest, &source.issuer, server.place());
            let known = before.iter().position(|keyring| keyring.source.source == source);
            let keyring = match known {
                Some(at) => {
                    let mut keyring = before.swap_remove(at);
                    keyring.share_with(shared);
                    keyring
                }
                None => {
                    let keyring = Keyring::new(source, &self.seed.0);
                    Follower::new(keyring, server, shared, &self.fetches, &self.seed.0)
                }
            };
            self.keyrings.insert(index, keyring);
        }
        self.orphans.extend(before.into_iter().flat_map(|keyring| keyring.source.into_waiting()));
    }

    /// The configuration in force.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The attributes of the connection that a check needs to be told.
    pub fn attributes(&self) -> Arc<[&'static Attribute]> {
        Arc::clone(&self.attributes)
    }

    /// Current figures.
    pub fn stats(&self) -> Stats {
        Stats {
            pending: self.pdps.waiting(),
            awaiting_keys: self.keyrings.values().map(|keyring| keyring.source.waiting()).sum(),
            tokens_cached: self.tokens.len(),
            ..self.stats
        }
    }

    /// Current figures of the keys that come from servers.
    pub fn key_stats(&self) -> Vec<KeyStats> {
        self.keyrings.values().map(|keyring| keyring.key_stats(self.latest)).collect()
    }

    /// Takes the record of a decision that was acted upon; [`Self::flush`] hands it out. Answers what the
    /// access log is to show: the decision in short, or the record if that is where records go.
    pub fn record(&mut self, record: &DecisionRecord) -> String {
        let wanted = match self.settings.log.records {
            LogRecords::All => true,
            LogRecords::Refusals => {
                record.decision != Verdict::Allow || record.would_refuse.is_some() || record.has_dispute()
            }
            LogRecords::Off => false,
        };
        if wanted {
            let cut = record.cut(self.settings.log.value_bytes);
            match (json::line(cut.as_ref().unwrap_or(record)), self.settings.log.to) {
                (Ok(line), LogTo::AccessLog) => return line,
                (Ok(line), LogTo::ProxyLog) => self.write_down(Record::Decision(line)),
                (Err(_), _) => self.drop_record(),
            }
        }
        record.summary().unwrap_or_default()
    }

    pub(super) fn write_down(&mut self, record: Record) {
        self.record_bytes = self.record_bytes.saturating_add(record.bytes());
        self.records.push_back(record);
        while self.record_bytes > MAX_BYTES && self.next_record().is_some() {
            self.drop_record();
        }
    }

    fn next_record(&mut self) -> Option<Record> {
        let record = self.records.pop_front()?;
        self.record_bytes = self.record_bytes.saturating_sub(record.bytes());
        Some(record)
    }

    /// A record that waits where there is no room for it: to be written at once, without a tick. `None` once the
    /// others have room.
    pub fn overflow(&mut self) -> Option<Record> {
        match self.record_bytes > WAITING_BYTES {
            true => self.next_record(),
            false => None,
        }
    }

    fn drop_record(&mut self) {
        self.stats.records_dropped = self.stats.records_dropped.saturating_add(1);
    }

    /// What is due now. Work in slices is [`Self::prepare`]'s and [`Self::sweep`]'s, records are
    /// [`Self::flush`]'s.
    pub fn tick(&mut self, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        let mut events: Vec<Event> = std::mem::take(&mut self.orphans).into_iter().map(Event::Wake).collect();
        for keyring in self.keyrings.values_mut() {
            events.extend(keyring.tick(&mut (), now));
        }
        events.extend(self.follow_feeds(now));
        events.extend(self.pull(|puller, world| puller.tick(world, now)));
        self.streams.begin_sweep(now, self.settings.streams.sweep_ms);
        events.into_iter().map(Effect::from).collect()
    }

    /// Up to `many` of the records that wait, in the order of what they tell of.
    pub fn flush(&mut self, many: usize) -> Vec<Effect> {
        let due = many.min(self.records.len());
        (0..due).filter_map(|_| self.next_record()).map(|record| Effect::Emit { record }).collect()
    }

    /// Whether records wait to be written.
    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Whether there is work for [`Self::prepare`].
    pub fn is_preparing(&self) -> bool {
        self.feeds_are_busy()
            || !self.remains.is_empty()
            || self.puller.as_ref().is_some_and(|puller| puller.source.is_busy())
    }

    /// One slice of work on a feed or a bundle, of a few milliseconds at most: requests are decided in between.
    pub fn prepare(&mut self, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        // What is revoked does not wait for a bundle.
        if self.feeds_are_busy() {
            return self.feed_slice(now).into_iter().map(Effect::from).collect();
        }
        if let Some(bundle) = self.remains.last_mut() {
            if !bundle.take_apart(DROP_SLICE) {
                self.remains.pop();
            }
            return Vec::new();
        }
        let events = self.pull(|puller, world| puller.slice(world, now));
        events.into_iter().map(Effect::from).collect()
    }

    /// Lets the puller work, with what it needs to know.
    fn pull(&mut self, work: impl FnOnce(&mut Follower<Puller>, &mut World<'_>) -> Vec<Event>) -> Vec<Event> {
        let Self { puller: Some(puller), settings, verifier, bundle, remains, .. } = self else {
            return Vec::new();
        };
        let mut world = World {
            source: &settings.bundle_source,
            limits: &settings.limits,
            verifier: &**verifier,
            bundle,
            swapped: false,
            remains,
        };
        let events = work(puller, &mut world);
        if world.swapped {
            self.new_generation();
            self.assign_attributes();
        }
        events
    }

    /// Current figures of the bundle, if bundles come from a server.
    pub fn bundle_stats(&self) -> Option<BundleStats> {
        let max_stale_s = self.settings.bundle_source.max_stale_s;
        self.puller.as_ref().map(|puller| puller.bundle_stats(&self.bundle, max_stale_s, self.latest))
    }

    /// The answer to an `Effect::Fetch`.
    pub fn fetched(&mut self, id: FetchId, reply: Reply, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        let events = match self.feed_fetched(id, reply, now) {
            Ok(events) => events,
            Err(reply) => self.keys_or_bundle_fetched(id, reply, now),
        };
        events.into_iter().map(Effect::from).collect()
    }

    fn keys_or_bundle_fetched(&mut self, id: FetchId, reply: Reply, now: UnixTime) -> Vec<Event> {
        let Self { keyrings, puller, .. } = self;
        if let Some(keyring) = keyrings.values_mut().find(|keyring| keyring.awaits(id)) {
            return keyring.fetched(reply, now);
        }
        match puller.as_mut().filter(|puller| puller.awaits(id)) {
            Some(puller) => puller.fetched(reply, now),
            // Nobody asked: the source is not configured any more.
            None => Vec::new(),
        }
    }

    pub(super) fn forget_waiting(&mut self, stream: StreamId) {
        self.keyrings.values_mut().for_each(|keyring| keyring.source.forget(stream));
    }

    /// Time never runs backwards by a little. By a lot it is followed, and what was believed
    /// because of the old time is forgotten.
    pub(super) fn clock(&mut self, now: UnixTime) -> UnixTime {
        let back = self.latest.secs().saturating_sub(now.secs());
        if back > CLOCK_STEP_S {
            self.tokens.clear();
            self.keyrings.values_mut().for_each(|keyring| keyring.clock_stepped(now));
            self.pdps.reset(&self.settings);
            if let Some(puller) = &mut self.puller {
                puller.clock_stepped(now);
            }
            self.revocations.clock_stepped(now);
            self.signals.clock_stepped(now);
            self.streams.clock_stepped(self.latest, now);
            self.stats.clock_stepped = self.stats.clock_stepped.saturating_add(1);
            self.latest = now;
        } else {
            self.latest = self.latest.max(now);
        }
        self.latest
    }

    pub(super) fn next_id(&mut self) -> String {
        self.counter = self.counter.wrapping_add(1);
        let hash =
            Sha256::new().chain_update(self.seed.0).chain_update(self.counter.to_le_bytes()).finalize();
        hex::encode(hash.first_chunk::<16>().map(<[u8; 16]>::as_slice).unwrap_or_default())
    }
}

impl From<Event> for Effect {
    fn from(event: Event) -> Self {
        match event {
            Event::Fetch { id, call } => Effect::Fetch { id, call },
            Event::Wake(stream) => Effect::Wake { stream },
            Event::Warn(message) => Effect::Warn { message },
        }
    }
}
