//! The oracle of ids: what truly happened on the floor against what took effect at the ERP.
//!
//! It stands outside everything that is broken on purpose. Whoever produces a happening tells it here before it is
//! sent; the ERP tells each effect, by the producer's own number (device, epoch, seq), never by the gateway's keys.
//! A happening takes some 40 bytes; the demo bounds their number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// One physical happening, by the producer's own numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The device that saw it.
    pub device: String,
    /// The device's restart count or boot id, as text.
    pub epoch: String,
    /// The device's number of it: 1, 2, 3 …
    pub seq: u64,
}

/// What kind of device saw it: their times are told apart, as a PLC is polled and a scanner is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A scanner's read, over MQTT.
    Scan,
    /// A sorter's divert, over Modbus.
    Divert,
}

#[derive(Debug)]
struct Record {
    kind: Kind,
    subject: usize,
    order: u64,
    at: Instant,
    calm: Option<u32>,
    acknowledged: bool,
    effects: u32,
}

/// What the oracle has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Happenings on the floor.
    pub produced: u64,
    /// Those of them that a sorter saw.
    pub diverts: u64,
    /// Happenings that the gateway has acknowledged to the broker or the PLC.
    pub acknowledged: u64,
    /// Happenings with at least one effect at the ERP.
    pub posted: u64,
    /// Effects beyond the first of a happening.
    pub duplicate_effects: u64,
    /// First effects that came after that of a later happening of the same subject.
    pub out_of_order: u64,
    /// Effects of something that never happened.
    pub unknown: u64,
}

impl Counts {
    /// Happenings without an effect.
    pub fn lost(&self) -> u64 {
        self.produced - self.posted
    }
}

#[derive(Debug, Default)]
struct Inner {
    sources: HashMap<String, Vec<Record>>,
    subjects: HashMap<String, usize>,
    last_effect: Vec<u64>,
    counts: Counts,
    storm: bool,
    calm: u32,
    scans_us: Vec<u32>,
    calm_scans_us: Vec<u32>,
    calm_diverts_us: Vec<u32>,
}

/// Milliseconds from happening to effect, at 50 and 99 %; `None` where nothing was timed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Scans in calm times: no outage, no kill, nothing to catch up with.
    pub scans: [Option<f64>; 2],
    /// Diverts in calm times.
    pub diverts: [Option<f64>; 2],
    /// All scans, outages and kills included.
    pub all_scans: [Option<f64>; 2],
}

/// The oracle, shared by the world's parts.
#[derive(Debug, Default)]
pub struct Oracle(Mutex<Inner>);

impl Oracle {
    /// A happening takes place, of the subject that orders it. Numbers of one device and epoch come as 1, 2, 3 …
    pub fn produced(&self, kind: Kind, what: &Happening, subject: &str) {
        let mut inner = self.lock();
        let next = inner.last_effect.len();
        let subject = *inner.subjects.entry(subject.to_owned()).or_insert(next);
        if subject == next {
            inner.last_effect.push(0);
        }
        inner.counts.produced += 1;
        inner.counts.diverts += u64::from(kind == Kind::Divert);
        let calm = (!inner.storm).then_some(inner.calm);
        let order = inner.counts.produced;
        let record = Record { kind, subject, order, at: Instant::now(), calm, acknowledged: false, effects: 0 };
        let records = inner.sources.entry(source(what)).or_default();
        debug_assert_eq!(what.seq, records.len() as u64 + 1, "a producer counts without holes");
        records.push(record);
    }

    /// The gateway acknowledged the happening to its source.
    pub fn acknowledged(&self, what: &Happening) {
        let mut inner = self.lock();
        let Some(record) = inner.record(what) else { return };
        if !std::mem::replace(&mut record.acknowledged, true) {
            inner.counts.acknowledged += 1;
        }
    }

    /// The happening took effect at the ERP, once more or for the first time.
    pub fn posted(&self, what: &Happening) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let calm_now = (!inner.storm).then_some(inner.calm);
        let Some(record) = inner.record(what) else {
            inner.counts.unknown += 1;
            return;
        };
        record.effects += 1;
        let (kind, subject, order, calm, effects) =
            (record.kind, record.subject, record.order, record.calm, record.effects);
        let took = u32::try_from(record.at.elapsed().as_micros()).unwrap_or(u32::MAX);
        if effects > 1 {
            inner.counts.duplicate_effects += 1;
            return;
        }
        inner.counts.posted += 1;
        let is_calm = calm.is_some() && calm == calm_now;
        if kind == Kind::Scan {
            inner.scans_us.push(took);
        }
        match kind {
            Kind::Scan if is_calm => inner.calm_scans_us.push(took),
            Kind::Divert if is_calm => inner.calm_diverts_us.push(took),
            _ => {}
        }
        let last = &mut inner.last_effect[subject];
        if order < *last {
            inner.counts.out_of_order += 1;
        }
        *last = order.max(*last);
    }

    /// From now on times belong to a disturbance (an outage, a kill, the catching up behind it), or to calm again.
    pub fn set_storm(&self, storm: bool) {
        let mut inner = self.lock();
        if storm != inner.storm {
            inner.storm = storm;
            inner.calm += 1;
        }
    }

    /// Whether times belong to a disturbance.
    pub fn storm(&self) -> bool {
        self.lock().storm
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// How long it took from happening to effect.
    pub fn times(&self) -> Times {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let [scans, diverts, all_scans] = [&mut inner.calm_scans_us, &mut inner.calm_diverts_us, &mut inner.scans_us]
            .map(|us| {
                us.sort_unstable();
                [percentile(us, 50), percentile(us, 99)]
            });
        Times { scans, diverts, all_scans }
    }

    /// Up to `most` happenings without an effect, as `device epoch seq`.
    pub fn lost(&self, most: usize) -> Vec<String> {
        let inner = self.lock();
        let mut lost: Vec<(u64, String)> = inner
            .sources
            .iter()
            .flat_map(|(source, records)| {
                records
                    .iter()
                    .enumerate()
                    .filter(|(_, r)| r.effects == 0)
                    .take(most)
                    .map(move |(i, r)| (r.order, format!("{source} {}", i + 1)))
            })
            .collect();
        lost.sort();
        lost.into_iter().take(most).map(|(_, text)| text).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn record(&mut self, what: &Happening) -> Option<&mut Record> {
        let index = usize::try_from(what.seq.checked_sub(1)?).ok()?;
        self.sources.get_mut(&source(what))?.get_mut(index)
    }
}

fn source(what: &Happening) -> String {
    format!("{} {}", what.device, what.epoch)
}

fn percentile(sorted_us: &[u32], percent: usize) -> Option<f64> {
    let index = (sorted_us.len() * percent / 100).min(sorted_us.len().checked_sub(1)?);
    Some((f64::from(sorted_us[index]) / 10.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(seq: u64) -> Happening {
        Happening { device: "pack-s1".into(), epoch: "d:b1".into(), seq }
    }

    /// Produces 1, 2, 3 of one subject, posts as told, and counts lost, duplicate, out of order, unknown.
    fn check(posted: &[u64], expected: [u64; 4]) {
        let oracle = Oracle::default();
        (1..=3).for_each(|seq| oracle.produced(Kind::Scan, &scan(seq), "395212345000000125"));
        for seq in posted {
            oracle.posted(&scan(*seq));
        }
        let c = oracle.counts();
        assert_eq!([c.lost(), c.duplicate_effects, c.out_of_order, c.unknown], expected, "{posted:?}");
    }

    #[test]
    fn each_kind_of_fault_is_told_apart() {
        check(&[1, 2, 3], [0, 0, 0, 0]);
        check(&[1, 3], [1, 0, 0, 0]);
        check(&[1, 2, 2, 3], [0, 1, 0, 0]);
        check(&[1, 3, 2], [0, 0, 1, 0]);
        check(&[1, 2, 3, 4], [0, 0, 0, 1]);
        check(&[], [3, 0, 0, 0]);
    }

    #[test]
    fn an_acknowledgement_counts_once() {
        let oracle = Oracle::default();
        oracle.produced(Kind::Scan, &scan(1), "a");
        oracle.acknowledged(&scan(1));
        oracle.acknowledged(&scan(1));
        assert_eq!(oracle.counts().acknowledged, 1);
        assert_eq!(oracle.lost(5), ["pack-s1 d:b1 1"]);
    }
}
