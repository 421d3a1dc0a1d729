//! Open streams: from the word of the devserver, or the end of a token, until the client sees the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::ensure;
use serde_json::{json, Map, Value};

use crate::figures::{Chance, Figure, Samples};
use crate::proxy::{Caller, Proxy, Token, WORKLOADS};
use crate::streams::{Kind, Streams};

/// Streams that are to be cut, and open at a time.
const STREAMS: usize = 500;
/// Revocations of one round; the streams are theirs in equal parts.
const GROUPS: usize = 25;
/// Rounds with revocations of all kinds, one after the other.
const MIXED: usize = 3;
/// Streams beside each revocation that must stay open.
const DECOYS: usize = 3;
/// What is not cut by then is missed.
const MISSED: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Cut {
    took: BTreeMap<Kind, Vec<f64>>,
    targets: usize,
    missed: usize,
    decoys: usize,
    cut_wrongly: usize,
    revocations: usize,
}

/// What is revoked.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Token,
    Subject,
    Task,
    Actor,
}

/// A revocation, and who is near it and not meant.
struct Group {
    revoke: Revoke,
    target: Token,
    decoy: Token,
}

enum Revoke {
    EndTask(String),
    Fact(Value),
}

impl Group {
    fn new(proxy: &Proxy, thing: Thing, name: &str) -> anyhow::Result<Self> {
        let caller = match thing {
            Thing::Actor => Caller::agent(name, name),
            _ => Caller::workload(name, name),
        };
        let other = format!("{name}-other");
        let beside = match thing {
            Thing::Token => caller.clone(),
            Thing::Task => Caller { task: other, ..caller.clone() },
            Thing::Subject => Caller { task: name.to_owned(), ..Caller::workload(&other, name) },
            Thing::Actor => Caller::agent(&other, name),
        };
        let (target, decoy) = (proxy.token(&caller, 300)?, proxy.token(&beside, 300)?);
        let revoke = match thing {
            Thing::Task => Revoke::EndTask(caller.task),
            Thing::Token => Revoke::Fact(json!({"revoke": "token", "issuer": WORKLOADS, "id": target.id})),
            Thing::Subject => Revoke::Fact(json!({"revoke": "subject", "id": caller.id})),
            Thing::Actor => Revoke::Fact(json!({"revoke": "actor", "id": caller.id})),
        };
        Ok(Self { revoke, target, decoy })
    }
}

pub fn measure(proxy: &Proxy) -> anyhow::Result<Cut> {
    let mut cut = Cut::default();
    for round in 0..MIXED {
        eprintln!("streams: {STREAMS} in {GROUPS} groups, each revoked at its time ({}/{MIXED})", round + 1);
        let things = [Thing::Token, Thing::Subject, Thing::Task, Thing::Actor].into_iter().cycle();
        let groups = things.take(GROUPS).enumerate();
        let groups: anyhow::Result<Vec<Group>> =
            groups.map(|(number, thing)| Group::new(proxy, thing, &format!("c-{round}-{number}"))).collect();
        cut.round(proxy, &groups?)?;
    }
    eprintln!("streams: {STREAMS} of one task");
    cut.round(proxy, &[Group::new(proxy, Thing::Task, "c-task")?])?;
    eprintln!("streams: {STREAMS} of one key of their issuer");
    cut.round(proxy, &[key(proxy)?])?;
    ensure!(
        proxy.counted_cuts()?.get("revoked").copied().unwrap_or_default()
            >= (cut.targets - cut.missed) as u64,
        "the filter counts fewer cuts than there were: {:?}",
        proxy.counted_cuts()?
    );
    Ok(cut)
}

/// Revokes the key of an issuer, for tokens of until now.
fn key(proxy: &Proxy) -> anyhow::Result<Group> {
    let target = proxy.token(&Caller::workload("c-key", "c-key"), 300)?;
    let decoy = proxy.token(&Caller::agent("c-key", "c-key"), 300)?;
    let now = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let before = everycall_core::UnixTime::from_secs(i64::try_from(now)? + 1).to_string();
    let revoke = Revoke::Fact(
        json!({"revoke": "key", "issuer": WORKLOADS, "id": target.key_id, "issued_before": before}),
    );
    // What comes after this round gets tokens of that key, and they are to be good.
    std::thread::sleep(Duration::from_secs(1));
    Ok(Group { revoke, target, decoy })
}

impl Cut {
    fn round(&mut self, proxy: &Proxy, groups: &[Group]) -> anyhow::Result<()> {
        let each = STREAMS / groups.len();
        let mut wanted = Vec::new();
        for group in groups {
            let of = |token, count| (0..count).map(move |number| (Kind::nth(number), token));
            wanted.extend(of(&*group.target.header, each));
            wanted.extend(of(&*group.decoy.header, DECOYS));
        }
        let streams = Streams::open(proxy.inbound, &wanted)?;
        // Most settle; the last ones are as young as streams are.
        let mut chance = Chance(7 + self.revocations as u64);
        let mut revoked = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            if groups.len() > 1 {
                eprint!("\r  {}/{GROUPS} ", number + 1);
            }
            std::thread::sleep(Duration::from_millis(50 + chance.below(400)));
            revoked.push(match &group.revoke {
                Revoke::EndTask(task) => proxy.end_task(task)?,
                Revoke::Fact(fact) => proxy.revoke(fact)?,
            });
        }
        if groups.len() > 1 {
            eprintln!();
        }
        let per_group = each + DECOYS;
        let is_target = |number: &usize| number % per_group < each;
        let targets: Vec<usize> = (0..wanted.len()).filter(is_target).collect();
        streams.wait(&targets, Instant::now() + MISSED);
        // Who is cut wrongly may be cut later.
        std::thread::sleep(Duration::from_secs(1));
        for (number, (kind, _)) in wanted.iter().enumerate() {
            let begun = revoked[number / per_group];
            match (is_target(&number), streams.ended(number)) {
                // Before its time.
                (true, Some(at)) if at < begun => self.cut_wrongly += 1,
                (true, Some(at)) => {
                    self.took.entry(*kind).or_default().push(at.duration_since(begun).as_secs_f64());
                }
                (true, None) => self.missed += 1,
                (false, Some(_)) => self.cut_wrongly += 1,
                (false, None) => {}
            }
        }
        self.targets += targets.len();
        self.decoys += wanted.len() - targets.len();
        self.revocations += groups.len();
        streams.close();
        Ok(())
    }

    pub fn report(self, result: &mut Map<String, Value>, figures: &mut Vec<Figure>) {
        let (mut p99, mut max, mut samples) = (Map::new(), Map::new(), Map::new());
        for kind in Kind::ALL {
            let took = Samples::of(self.took.get(&kind).into_iter().flatten().copied());
            figures.push(Figure::seconds(format!("stream cut: {}", kind.name()), &took, 1.5));
            p99.insert(kind.name().into(), json!(took.at(0.99)));
            max.insert(kind.name().into(), json!(took.at(1.0)));
            samples.insert(kind.name().into(), json!(took.count()));
        }
        figures.push(Figure::never("streams missed", self.missed, self.targets));
        figures.push(Figure::never("streams cut wrongly", self.cut_wrongly, self.decoys));
        result.insert("cut_p99_s".into(), p99.into());
        result.insert("cut_max_s".into(), max.into());
        result.insert("cut_samples".into(), samples.into());
        result.insert("cut_revocations".into(), json!(self.revocations));
        result.insert("missed".into(), json!(self.missed));
        result.insert("cut_wrongly".into(), json!(self.cut_wrongly));
    }
}

pub struct Expiry {
    late: Samples,
    missed: usize,
    decoys: usize,
    cut_wrongly: usize,
}

/// Tokens that expire, one each second, and streams of each.
pub fn measure_expiry(proxy: &Proxy) -> anyhow::Result<Expiry> {
    const TOKENS: usize = 15;
    const EACH: usize = 12;
    eprintln!("expiry: {} streams of {TOKENS} tokens", TOKENS * EACH);
    let caller = Caller::agent("e", "e");
    let long = proxy.token(&caller, 300)?;
    let tokens: anyhow::Result<Vec<Token>> =
        (0..TOKENS).map(|number| proxy.token(&caller, 5 + number as i64)).collect();
    let tokens = tokens?;
    let all = tokens.iter().flat_map(|token| [token; EACH]).chain([&long; EACH]);
    let wanted: Vec<(Kind, &str)> =
        all.enumerate().map(|(number, token)| (Kind::nth(number), &*token.header)).collect();
    let streams = Streams::open(proxy.inbound, &wanted)?;
    let (clock, here) = (SystemTime::UNIX_EPOCH.elapsed()?.as_secs_f64(), Instant::now());
    let targets: Vec<usize> = (0..TOKENS * EACH).collect();
    streams.wait(&targets, here + Duration::from_secs(20) + MISSED);
    std::thread::sleep(Duration::from_secs(1));
    let mut late = Vec::new();
    for number in &targets {
        let Some(at) = streams.ended(*number) else { continue };
        #[allow(clippy::cast_precision_loss)] // seconds
        let expires_at = tokens[number / EACH].expires_at as f64;
        late.push(clock + (at.duration_since(here)).as_secs_f64() - expires_at);
    }
    let cut_wrongly = (targets.len()..wanted.len()).filter(|number| streams.ended(*number).is_some()).count();
    let missed = targets.len() - late.len();
    streams.close();
    Ok(Expiry { late: Samples::of(late), missed, decoys: EACH, cut_wrongly })
}

impl Expiry {
    pub fn report(&self, result: &mut Map<String, Value>, figures: &mut Vec<Figure>) {
        let early = (-self.late.least()).max(0.0);
        let count = self.late.count();
        figures.push(Figure::seconds("stream ended after its token expired", &self.late, 1.0));
        figures.push(Figure::one("… before it expired", count, early, 1.0));
        figures.push(Figure::never("streams of expired tokens missed", self.missed, count + self.missed));
        figures.push(Figure::never("streams of other tokens ended", self.cut_wrongly, self.decoys));
        result.insert("expiry_p99_s".into(), json!(self.late.at(0.99)));
        result.insert("expiry_max_s".into(), json!(self.late.at(1.0)));
        result.insert("expiry_early_s".into(), json!(early));
        for (name, more) in [("missed", self.missed), ("cut_wrongly", self.cut_wrongly)] {
            let before = result.get(name).and_then(Value::as_u64).unwrap_or_default();
            result.insert(name.into(), json!(before + more as u64));
        }
    }
}
