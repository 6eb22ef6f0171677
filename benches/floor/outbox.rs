//! The outbox by itself at a fixed offered rate: what a commit costs with nothing, a million, ten million rows pending.
//!
//! 20,000 events a second arrive, 20 in a command; the ERP is away (append), then back (append and drain together). The
//! large backlog is measured when `FLOOR_BACKLOG` says so.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use floorgate::event::{Decoded, DeviceEvent, Millis, Now, Position, Sample, Value};
use floorgate::lane::{self, Answer, Class, Format, Outcome, Outgoing, Worth};
use floorgate::outbox::{Config, Outbox, Preset};
use tokio::sync::mpsc;

use crate::row::{Baseline, Row, Times, cpu_of, run, scaled};

const RATE: usize = 20_000;
const COMMAND: usize = 20;
const MILLION: usize = 1_000_000;

pub(crate) fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let large: usize = std::env::var("FLOOR_BACKLOG").ok().map_or(Ok(0), |n| n.parse())?;
    let mut rows = Vec::new();
    let empty = at(&dir.join("0"), 0)?;
    rows.extend(empty.rows("0", None));
    for backlog in [scaled(MILLION), large].into_iter().filter(|n| *n > 0) {
        let measured = at(&dir.join(backlog.to_string()), backlog)?;
        rows.extend(measured.rows(&backlog.to_string(), Some(&empty)));
    }
    Ok(rows)
}

/// p50 and p99 of a commit in ms, CPU microseconds for an event.
struct Phase {
    p50: f64,
    p99: f64,
    cpu: f64,
}

struct Measured {
    fill: Option<f64>,
    append: Phase,
    both: Phase,
    drained: f64,
}

impl Measured {
    fn rows(&self, pending: &str, empty: Option<&Self>) -> Vec<Row> {
        let bare = |of: fn(&Self) -> f64| empty.map_or(Baseline::None, |empty| Baseline::Bare(of(empty)));
        let hint = "the baseline is the same with nothing pending";
        let cost = |name: &str, value, unit, baseline| {
            Row::cost(format!("outbox, {pending} pending, {name}"), value, unit, baseline).hint(hint)
        };
        let mut rows = Vec::new();
        if let Some(fill) = self.fill {
            rows.push(Row::rate(format!("outbox, filling up to {pending}"), fill, "events/s", Baseline::None));
        }
        rows.extend([
            cost("20k/s in, commit p50", self.append.p50, "ms", bare(|m| m.append.p50)),
            cost("20k/s in, commit p99", self.append.p99, "ms", bare(|m| m.append.p99)),
            cost("20k/s in, CPU", self.append.cpu, "us/event", bare(|m| m.append.cpu)),
            cost("20k/s in, draining, commit p50", self.both.p50, "ms", bare(|m| m.both.p50)),
            cost("20k/s in, draining, commit p99", self.both.p99, "ms", bare(|m| m.both.p99)),
        ]);
        let name = format!("outbox, {pending} pending, drained beside it");
        if self.fill.is_some() {
            rows.push(Row::rate(name, self.drained, "events/s", Baseline::None));
            rows.push(cost("20k/s in, draining, CPU", self.both.cpu, "us/event", Baseline::None));
        }
        rows
    }
}

fn at(dir: &Path, backlog: usize) -> anyhow::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (out, work) = mpsc::channel(8);
        let (outbox, mut ended) = Outbox::open(config(dir), vec![lane()], vec![out])?;
        let erp = Arc::new(Erp::default());
        let answers = tokio::spawn(Arc::clone(&erp).serve(work, outbox.clone()));
        let mut next = 0;
        let fill = fill(&outbox, &mut next, backlog).await?;
        let append = phase(&outbox, &mut next, &erp).await?;
        erp.back.store(true, Ordering::SeqCst);
        erp.wake.notify_one();
        let (begun, before) = (Instant::now(), erp.posted.load(Ordering::SeqCst));
        let both = phase(&outbox, &mut next, &erp).await?;
        let drained = (erp.posted.load(Ordering::SeqCst) - before) as f64 / begun.elapsed().as_secs_f64();
        outbox.stop();
        drop(outbox);
        ended.wait().await.context("the writer panicked")??;
        answers.abort();
        Ok(Measured { fill, append, both, drained })
    })
}

/// Events a second while the backlog grows.
async fn fill(outbox: &Outbox, next: &mut usize, backlog: usize) -> anyhow::Result<Option<f64>> {
    let begun = Instant::now();
    let mut under_way = std::collections::VecDeque::new();
    while *next < backlog {
        under_way.push_back(outbox.capture((0..500).map(|i| sample(*next + i)).collect()));
        *next += 500;
        if under_way.len() >= 8
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.await?;
        }
    }
    for commit in under_way {
        commit.await?;
    }
    Ok((backlog > 0).then(|| backlog as f64 / begun.elapsed().as_secs_f64()))
}

/// The fixed rate for the time of a measurement.
async fn phase(outbox: &Outbox, next: &mut usize, erp: &Erp) -> anyhow::Result<Phase> {
    let commands = (run() * 2).as_millis() as usize * RATE / COMMAND / 1_000;
    let mut tick = tokio::time::interval(Duration::from_secs(1) * u32::try_from(COMMAND)? / u32::try_from(RATE)?);
    let (posted, cpu) = (erp.posted.load(Ordering::SeqCst), cpu_of(std::process::id())?);
    let mut commits = tokio::task::JoinSet::new();
    for _ in 0..commands {
        tick.tick().await;
        let at = Instant::now();
        let commit = outbox.capture((0..COMMAND).map(|i| sample(*next + i)).collect());
        *next += COMMAND;
        commits.spawn(async move { commit.await.map(|_| at.elapsed()) });
    }
    let mut times = Times::default();
    while let Some(taken) = commits.join_next().await {
        times.push(taken??);
    }
    // What was drained beside it was work as well.
    let events = commands * COMMAND + erp.posted.load(Ordering::SeqCst) - posted;
    let cpu = (cpu_of(std::process::id())? - cpu) / events as f64 * 1e6;
    ensure!(cpu.is_finite(), "nothing was measured");
    Ok(Phase { p50: times.ms(0.5), p99: times.ms(0.99), cpu })
}

/// Answers each batch at once, or none while it is away.
#[derive(Default)]
struct Erp {
    back: AtomicBool,
    posted: AtomicUsize,
    wake: tokio::sync::Notify,
}

impl Erp {
    async fn serve(self: Arc<Self>, mut work: mpsc::Receiver<Outgoing>, outbox: Outbox) {
        self.wake.notified().await;
        while let Some(batch) = work.recv().await {
            let outcomes = vec![Outcome::new(Class::Delivered, ""); batch.keys.len()];
            let answer = Answer {
                status: Some(200),
                excerpt: String::new(),
                outcomes,
                whole: false,
                retry_after_ms: None,
                later: None,
            };
            self.posted.fetch_add(batch.keys.len(), Ordering::SeqCst);
            if outbox.answered(batch.lane, batch.batch, answer).is_err() {
                return;
            }
        }
    }
}

pub(crate) fn sample(n: usize) -> Sample {
    let code = format!("IT{n:016}");
    let mut raw =
        format!(r#"{{"barcode":"{code}","ts":"2026-01-01T00:00:00Z","boot":"b1","seq":{n},"pad":""#).into_bytes();
    raw.extend(std::iter::repeat_n(b'x', 320_usize.saturating_sub(raw.len() + 2)));
    raw.extend(b"\"}");
    let fields =
        vec![("item".to_owned(), Value::Text(code.clone())), ("station".to_owned(), Value::Text("p07".into()))];
    let event = DeviceEvent { kind: "scan.item".into(), subject: Some(code), fields, device_time: None };
    let position = Position::Counted { boot: Some("b1".into()), seq: n as u64 + 1, bits: 64, ring: 1_024 };
    Sample {
        source: "scanners".into(),
        at: Now { wall: Millis(1_763_906_709_412), mono: n as u64 },
        origin: "dc1/scan/p07/read".into(),
        raw,
        content: Ok(Decoded {
            device: "scanners-p07".into(),
            position,
            events: vec![event],
            unread: Vec::new(),
            map: "hand-scanner@1".into(),
        }),
        redelivery: None,
        memory: None,
    }
}

pub(crate) fn config(dir: &Path) -> Config {
    Config {
        dir: dir.to_owned(),
        site: "dc1".into(),
        preset: Preset::Fast,
        max_size: 64 << 30,
        history_age: Duration::from_hours(720),
        history_size: 64 << 30,
        synchronous_normal: false,
    }
}

pub(crate) fn lane() -> lane::Config {
    lane::Config {
        id: "inbound".into(),
        target: 0,
        system: "erp".into(),
        business_unit: "main".into(),
        elsewhere: std::collections::BTreeSet::new(),
        worth: Worth::Document,
        take: vec!["scan.*".into()],
        format: Format::JsonArray { wrap: Some("events".into()) },
        ordered_batch: false,
        key_scope: lane::KeyScope::Item,
        max_events: 500,
        max_bytes: 512 << 10,
        linger_ms: 5,
        max_in_flight: 4,
        idempotency: lane::Idempotency::Key,
        replays_errors: false,
        dedup_horizon_ms: 86_400_000,
        settle_ms: None,
        timeout_ms: 30_000,
        retry_first_ms: 50,
        retry_max_ms: 200,
        reference_grace_ms: 900_000,
        max_parked: 500,
        limits: lane::Limits::default(),
    }
}
