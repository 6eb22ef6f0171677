//! A line of the table, and what it takes to measure one.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Below this share of its baseline a row says why.
const GOOD: f64 = 0.8;

/// What a value is held against.
pub(crate) enum Baseline {
    /// The figure that the reference machine (2 virtual cores, 24 GiB, a fast virtual disk) reached: `docs/performance.md`.
    Reference(f64),
    /// The bare peer's value in this run.
    Bare(f64),
    /// Nothing.
    None,
}

/// One figure.
pub(crate) struct Row {
    /// What was measured.
    pub name: String,
    /// How much of it …
    pub value: f64,
    /// … in this unit.
    pub unit: &'static str,
    /// What it is held against.
    pub baseline: Baseline,
    /// Less is better: a latency, a cost.
    pub cost: bool,
    /// Why it may fall short.
    pub hint: &'static str,
}

impl Row {
    /// A row where more is better.
    pub(crate) fn rate(name: impl Into<String>, value: f64, unit: &'static str, baseline: Baseline) -> Self {
        Self { name: name.into(), value, unit, baseline, cost: false, hint: "" }
    }

    /// A row where less is better.
    pub(crate) fn cost(name: impl Into<String>, value: f64, unit: &'static str, baseline: Baseline) -> Self {
        Self { cost: true, ..Self::rate(name, value, unit, baseline) }
    }

    /// The same, with what to think of first when it falls short.
    pub(crate) fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Value over baseline, or the other way round for a cost: 1 is as good, more is better.
    fn ratio(&self) -> Option<f64> {
        let (Baseline::Reference(base) | Baseline::Bare(base)) = self.baseline else { return None };
        Some(if self.cost { base / self.value } else { self.value / base })
    }

    fn remark(&self) -> Option<String> {
        let ratio = self.ratio().filter(|ratio| *ratio < GOOD)?;
        let hint = if self.hint.is_empty() { "no reason known" } else { self.hint };
        let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        // Whatever the hint says, on a busy machine that comes first.
        Some(match load() {
            Some(load) if load > cores => {
                format!(
                    "below {GOOD} ({ratio:.2}): the machine is busy (load {load} on {cores} cores); on a quiet one: {hint}"
                )
            }
            _ => format!("below {GOOD} ({ratio:.2}): {hint}"),
        })
    }

    pub(crate) fn header() -> String {
        format!("{:<58} {:>12} {:<11} {:>12} {:<9} {:>5}", "figure", "value", "unit", "baseline", "of", "ratio")
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> String {
        let (of, baseline) = self.against();
        serde_json::json!({
            "name": self.name, "value": self.value, "unit": self.unit, "baseline": baseline, "of": of,
            "ratio": self.ratio(), "remark": self.remark(),
        })
        .to_string()
    }

    fn against(&self) -> (&'static str, Option<f64>) {
        match self.baseline {
            Baseline::Reference(value) => ("reference", Some(value)),
            Baseline::Bare(value) => ("bare", Some(value)),
            Baseline::None => ("", None),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, baseline) = self.against();
        let (base, ratio) = (baseline.map_or(String::new(), short), self.ratio());
        let ratio = ratio.map_or(String::new(), |r| format!("{r:.2}"));
        let line =
            format!("{:<58} {:>12} {:<11} {base:>12} {of:<9} {ratio:>5}", self.name, short(self.value), self.unit);
        f.write_str(line.trim_end())?;
        self.remark().map_or(Ok(()), |remark| write!(f, "\n    {remark}"))
    }
}

/// A number as people read it: 3.9M, 41.8k, 512, 0.18.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e4 => format!("{:.1}k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Programs that ran or wanted to, over the last minute: this one is among them.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// A tenth of the work: the figures say little, but that they can be measured.
pub(crate) static QUICK: AtomicBool = AtomicBool::new(false);

/// How long a measurement runs, after its warm-up.
const RUN: Duration = Duration::from_secs(2);

/// How long this run measures.
pub(crate) fn run() -> Duration {
    if QUICK.load(Ordering::Relaxed) { RUN / 10 } else { RUN }
}

/// `n`, or a tenth of it.
pub(crate) fn scaled(n: usize) -> usize {
    if QUICK.load(Ordering::Relaxed) { n.div_ceil(10) } else { n }
}

/// Time, the calling thread's CPU and bytes written, from a start.
pub(crate) struct Meter {
    at: Instant,
    thread: Duration,
    written: u64,
}

impl Meter {
    pub(crate) fn start() -> anyhow::Result<Self> {
        Ok(Self { at: Instant::now(), thread: thread_cpu()?, written: written()? })
    }

    /// The measurement still runs.
    pub(crate) fn runs(&self) -> bool {
        self.at.elapsed() < run()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.at.elapsed().as_secs_f64()
    }

    /// CPU seconds of the calling thread.
    pub(crate) fn thread_cpu(&self) -> anyhow::Result<f64> {
        Ok(thread_cpu()?.saturating_sub(self.thread).as_secs_f64())
    }

    /// Bytes this process caused to be written to disks.
    pub(crate) fn written(&self) -> anyhow::Result<u64> {
        Ok(written()? - self.written)
    }
}

/// CPU seconds of a process so far, in steps of 10 ms.
pub(crate) fn cpu_of(pid: u32) -> anyhow::Result<f64> {
    const TICKS_A_SECOND: f64 = 100.0; // USER_HZ, the same on every Linux that Rust runs on
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a /proc stat without name")?;
    Ok(fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND)
}

fn thread_cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).context("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(ns))
}

fn written() -> anyhow::Result<u64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).context("/proc/self/io")?;
    Ok(line.parse()?)
}

/// Latencies of one measurement.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, from: Instant) {
        self.0.push(from.elapsed());
    }

    pub(crate) fn between(&mut self, from: Instant, to: Instant) {
        self.0.push(to.saturating_duration_since(from));
    }

    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The time within which `share` of them lie, in milliseconds.
    pub(crate) fn ms(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    }
}
