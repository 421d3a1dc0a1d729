//! Every metric in a row: what the host is told, and what the reference says of it. Another metric is another row.

use crate::host::MetricKind;

/// A metric as the host is told of it; labels are added where it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    pub(super) kind: MetricKind,
    pub(super) name: &'static str,
}

/// A metric as people are told of it.
#[derive(Debug)]
pub struct MetricRow {
    /// Its name, without labels.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The labels that it has, always.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub meaning: &'static str,
}

impl MetricRow {
    /// Whether Envoy's Prometheus endpoint shows it under this name; a histogram is also three counters there.
    pub fn is_exposed_as(&self, name: &str) -> bool {
        let own = self.name.replace('.', "_");
        let counters = ["_bucket", "_sum", "_count"];
        let histogram =
            counters.iter().find_map(|end| name.strip_suffix(end)).filter(|_| self.kind == "histogram");
        own == name || Some(own.as_str()) == histogram
    }
}

macro_rules! metrics {
    ($($(#[doc = $meaning:literal])+ $metric:ident = $kind:ident, $name:literal, [$($label:literal),*];)+) => {
        $($(#[doc = $meaning])+
        pub(super) const $metric: Metric = Metric { kind: MetricKind::$kind, name: $name };)+

        /// All metrics. For the reference: the module uses the rows by themselves, and has no sentences.
        pub const METRICS: &[MetricRow] = &[$(MetricRow {
            name: $name,
            kind: MetricKind::$kind.as_str(),
            labels: &["instance", $($label),*],
            meaning: concat!($($meaning),+),
        }),+];
    };
}

metrics! {
    /// Decisions; `outcome` is `allow` or `deny`.
    DECISIONS = Counter, "everycall.decisions", ["outcome", "reason"];
    /// Decisions on calls that break the glass, or would if they gave a reason; `outcome` is `allow` or `deny`.
    BREAK_GLASS = Counter, "everycall.break_glass", ["outcome"];
    /// Refusals that `observe` passed on.
    WOULD_REFUSE = Counter, "everycall.would_refuse", ["reason"];
    /// Opinions of shadows; `shadow` is the rule set, or `bundle`; `outcome` is `same`, `differs`, `unknown` or
    /// `error`.
    SHADOW = Counter, "everycall.shadow", ["shadow", "outcome"];
    /// Requests that wait for answers, over all workers.
    PENDING = Gauge, "everycall.pending", [];
    /// Requests that wait for keys, over all workers.
    AWAITING_KEYS = Gauge, "everycall.awaiting_keys", [];
    /// Verified tokens remembered, over all workers.
    TOKENS_CACHED = Gauge, "everycall.tokens_cached", [];
    /// Admitted requests that are open, over all workers.
    STREAMS_OPEN = Gauge, "everycall.streams_open", [];
    /// Admitted requests that ended; `reason` is `closed`, or why it was over.
    STREAMS_ENDED = Counter, "everycall.streams_ended", ["reason"];
    /// Those of them that the filter told Envoy to end; at the end of a token Envoy is often faster.
    STREAMS_CUT = Counter, "everycall.streams_cut", ["reason"];
    /// Times that the clock went back by more than 300 s.
    CLOCK_STEPPED = Counter, "everycall.clock_stepped", [];
    /// Records that could not be written down.
    RECORDS_DROPPED = Counter, "everycall.records_dropped", [];
    /// Signatures checked; `by` is `host` (Envoy's BoringSSL) or `rust`.
    SIGNATURES = Counter, "everycall.signatures", ["by"];
    /// Workers, the main thread included, whose keys of the issuer are `missing`, `fresh`, `stale` (they serve) or
    /// `expired` (they don't).
    KEYS = Gauge, "everycall.keys", ["issuer", "state"];
    /// Fetches of keys; `outcome` is `ok` or `failed`.
    KEY_FETCHES = Counter, "everycall.key_fetches", ["issuer", "outcome"];
    /// Workers that leave the PDP alone.
    PDP_BREAKERS_OPEN = Gauge, "everycall.pdp_breakers_open", ["pdp"];
    /// Questions; `outcome` is `answered` (also with a 4xx), `failed` or `short_circuited` (not asked: the breaker is
    /// open).
    PDP_QUESTIONS = Counter, "everycall.pdp_questions", ["pdp", "outcome"];
    /// Workers, the main thread included, whose bundle is `missing`, `serving` or `stale`; only with `bundle.remote`,
    /// like all `bundle_…`.
    BUNDLE = Gauge, "everycall.bundle", ["state"];
    /// The sequence of the bundle that was put in force last, in whichever worker.
    BUNDLE_SEQUENCE = Gauge, "everycall.bundle_sequence", [];
    /// When it was signed, in Unix seconds.
    BUNDLE_ISSUED_AT = Gauge, "everycall.bundle_issued_at", [];
    /// Fetches of bundles; `outcome` is `ok`, `unchanged` or `failed`.
    BUNDLE_FETCHES = Counter, "everycall.bundle_fetches", ["outcome"];
    /// Bundles that were not taken: `malformed`, `signature`, `unverifiable`, `digest`, `older`, `expired`,
    /// `not_yet_valid`, `too_large` or `invalid`.
    BUNDLE_REFUSED = Counter, "everycall.bundle_refused", ["reason"];
    /// Workers, the main thread included, whose list is `missing`, `fresh` or `stale`; `feed` is `revocations` or
    /// `signals`, and a server is configured for it, like for all that follow.
    FEED = Gauge, "everycall.feed", ["feed", "state"];
    /// The sequence of the list that came into force last, in whichever worker.
    FEED_SEQUENCE = Gauge, "everycall.feed_sequence", ["feed"];
    /// When it was signed, in Unix seconds.
    FEED_ISSUED_AT = Gauge, "everycall.feed_issued_at", ["feed"];
    /// How many facts it has.
    FEED_ENTRIES = Gauge, "everycall.feed_entries", ["feed"];
    /// Fetches of lists, pages and changes; `outcome` is `ok`, `unchanged` or `failed`.
    FEED_FETCHES = Counter, "everycall.feed_fetches", ["feed", "outcome"];
    /// Documents that were not taken, for the reasons of `everycall.bundle_refused`.
    FEED_REFUSED = Counter, "everycall.feed_refused", ["feed", "reason"];
    /// Microseconds that a piece of work took, for which a request may have waited; `work` is `updates` (a slice: a
    /// bundle, a feed or a configuration's bundle is read), `streams` (a slice: open streams are looked at), `tick` (a
    /// whole tick, with its slices), `fetched` (what was fetched is taken from Envoy) `configure` (a configuration is
    /// read while another one is in force) or `start` (the first one of a worker is read and its bundle built, before
    /// it serves).
    SLICE_US = Histogram, "everycall.slice_us", ["work"];
}
