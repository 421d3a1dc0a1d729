//! Clients that ask at a steady rate, well and badly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use everycall_core::Reason;
use everycall_tests::connection::Connection;

use crate::callers::Flaw;
use crate::proxy::Servers;
use crate::run::{Job, Run};

/// Each asks one request after the other, so that they are so many a second while nobody waits for long.
const CLIENTS: u64 = 16;
const PER_SECOND: u64 = 320;
/// Requests on one connection: Envoy gives each to one worker.
const PER_CONNECTION: u64 = 40;
/// Requests with one token.
const PER_TOKEN: u64 = 10;
/// The secret of the reference configuration's test key.
const SCANNER: &str = "ek_test-only-scanner_Izyt8aVRX13j3BoH2n62UatGXe0BjWXtbToZA35OyKU";

/// What sort of request it is: the last segment of its path says so, and its record with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Page,
    Parity,
    Order,
    Timed,
    Asked,
    Scanner,
    NoCredential,
    Expired,
    Audience,
    Forged,
    Dropped,
    Revoked,
    NotGranted,
    // Of other clients.
    Event,
    Upload,
    Slow,
    Left,
    Flood,
    Read,
}

/// A hundred requests.
const MIX: [(Kind, usize); 13] = [
    (Kind::Page, 15),
    (Kind::Parity, 10),
    (Kind::Order, 24),
    (Kind::Timed, 6),
    (Kind::Asked, 12),
    (Kind::Scanner, 3),
    (Kind::NoCredential, 5),
    (Kind::Expired, 4),
    (Kind::Audience, 4),
    (Kind::Forged, 4),
    (Kind::Dropped, 3),
    (Kind::Revoked, 5),
    (Kind::NotGranted, 5),
];

/// All kinds, by their names.
const KINDS: [(Kind, &str); 19] = [
    (Kind::Page, "page"),
    (Kind::Parity, "parity"),
    (Kind::Order, "order"),
    (Kind::Timed, "timed"),
    (Kind::Asked, "asked"),
    (Kind::Scanner, "scanner"),
    (Kind::NoCredential, "none"),
    (Kind::Expired, "expired"),
    (Kind::Audience, "audience"),
    (Kind::Forged, "forged"),
    (Kind::Dropped, "dropped"),
    (Kind::Revoked, "revoked"),
    (Kind::NotGranted, "ungranted"),
    (Kind::Event, "event"),
    (Kind::Upload, "upload"),
    (Kind::Slow, "slow"),
    (Kind::Left, "left"),
    (Kind::Flood, "flood"),
    (Kind::Read, "read"),
];

impl Kind {
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.into_iter().map(|(kind, _)| kind)
    }

    pub fn name(self) -> &'static str {
        KINDS.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of the request with this path.
    pub fn of(path: &str) -> Option<Self> {
        let (name, _) = path.rsplit_once('/')?.1.split_once('-')?;
        KINDS.into_iter().find(|(_, own)| *own == name).map(|(kind, _)| kind)
    }

    /// Whether it comes from the steady clients, which count what they are answered.
    pub fn is_steady(self) -> bool {
        MIX.iter().any(|(kind, _)| *kind == self)
    }

    /// What may become of it. Where a reason rests on what no record holds, such as the token, this is what a
    /// decision is held against.
    pub const fn reasons(self) -> &'static [Reason] {
        match self {
            Self::Page | Self::Event | Self::Upload | Self::Slow | Self::Flood | Self::Read => {
                &[Reason::Allowed]
            }
            Self::Parity => &[Reason::Allowed, Reason::CredentialMissing],
            Self::Order => &[Reason::Allowed, Reason::PolicyDenied, Reason::PolicyUndefined],
            Self::Timed => &[Reason::Allowed, Reason::PolicyUndefined],
            Self::Asked | Self::Left => {
                &[Reason::Allowed, Reason::PdpDenied, Reason::PdpUnavailable, Reason::ObligationUnknown]
            }
            Self::Scanner => &[Reason::Allowed, Reason::ExceptionExpired],
            Self::NoCredential => &[Reason::CredentialMissing],
            Self::Expired => &[Reason::TokenExpired],
            Self::Audience => &[Reason::TokenAudience],
            Self::Forged => &[Reason::TokenSignature],
            // Nobody can know while the server of keys is down.
            Self::Dropped => &[Reason::TokenKeyUnknown, Reason::KeysUnavailable],
            Self::Revoked => &[Reason::Revoked],
            Self::NotGranted => &[Reason::NotGranted],
        }
    }

    /// Those of them that have to come up, or the run shows nothing of them.
    pub fn must_come_up(self) -> &'static [Reason] {
        match self {
            Self::Dropped => &[Reason::TokenKeyUnknown],
            Self::Left => &[Reason::Allowed],
            other => other.reasons(),
        }
    }
}

/// What clients were answered: how often each kind came to each status.
pub type Answered = BTreeMap<(Kind, u16), u64>;

/// One of the steady clients; what it was answered, and how many requests got no answer.
fn ask(
    servers: &Servers,
    inbounds: &[SocketAddr],
    client: u64,
    run: &Run,
) -> anyhow::Result<(Answered, u64)> {
    let mix: Vec<Kind> = MIX.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect();
    let between = Duration::from_micros(1_000_000 * CLIENTS / PER_SECOND);
    let (mut answered, mut lost) = (Answered::new(), 0);
    let mut connection = None;
    let mut good = (0, String::new());
    let mut number = 0_u64;
    let mut due = run.elapsed();
    while run.sleep(due.saturating_sub(run.elapsed())) {
        // Where it was too slow it does not catch up: that would be a flood.
        due = (due + between).max(run.elapsed());
        number += 1;
        // Far apart, so that no two clients ask the same at a time.
        let at = usize::try_from(number * 37 + client * 13)?;
        let kind = mix[at % mix.len()];
        if number % PER_TOKEN == 1 {
            good = (number, servers.issuer.token(&format!("c{client}"), &format!("c{client}"), Flaw::None)?);
        }
        let Some((path, token)) = request(servers, kind, client, number, &good.1)? else { continue };
        let mut headers = "x-purpose: ".to_owned() + if number % 3 == 0 { "track" } else { "show" } + "\r\n";
        if let Some(token) = token {
            headers += &format!("authorization: Bearer {token}\r\n");
        }
        if kind == Kind::Scanner {
            headers += &format!("x-scanner-key: {SCANNER}\r\n");
        }
        if number % PER_CONNECTION == 1 {
            connection = None;
        }
        let to = inbounds[usize::try_from(number / PER_CONNECTION + client)? % inbounds.len()];
        let open = connection.get_or_insert_with(|| Connection::new(to));
        match open.get_with(&path, &headers) {
            Some((status, _)) => *answered.entry((kind, status)).or_default() += 1,
            None => {
                lost += 1;
                connection = None;
            }
        }
    }
    Ok((answered, lost))
}

/// Path and token of a request; `None`: there is none of this kind now.
fn request(
    servers: &Servers,
    kind: Kind,
    client: u64,
    number: u64,
    good: &str,
) -> anyhow::Result<Option<(String, Option<String>)>> {
    let parity = if number % 2 == 1 { "odd" } else { "even" };
    let below = match kind {
        Kind::Page => "page",
        Kind::Parity => parity,
        Kind::Timed => "timed",
        Kind::Asked => "asked",
        Kind::Scanner => "scan",
        Kind::NotGranted => "nowhere",
        _ => "orders",
    };
    let path = format!("/{below}/{}-{client}-{number}?amount={}", kind.name(), number % 100);
    let flawed = |flaw| servers.issuer.token("bad", "bad", flaw).map(Some);
    let token = match kind {
        Kind::Page | Kind::Parity | Kind::NoCredential | Kind::Scanner => None,
        Kind::Expired => flawed(Flaw::Expired)?,
        Kind::Audience => flawed(Flaw::Audience)?,
        Kind::Forged => flawed(Flaw::Forged)?,
        Kind::Dropped => flawed(Flaw::Dropped)?,
        Kind::Revoked => match servers.tasks.ended(usize::try_from(number)?) {
            Some(task) => Some(servers.issuer.token("revoked", &task, Flaw::None)?),
            None => return Ok(None),
        },
        _ => Some(good.to_owned()),
    };
    Ok(Some((path, token)))
}

/// Starts all of them.
pub fn start(servers: &Arc<Servers>, inbounds: &[SocketAddr], run: &Run) -> Vec<Job<(Answered, u64)>> {
    let each = |client| {
        let (servers, inbounds) = (Arc::clone(servers), inbounds.to_vec());
        run.spawn(move |run| ask(&servers, &inbounds, client, run))
    };
    (0..CLIENTS).map(each).collect()
}
