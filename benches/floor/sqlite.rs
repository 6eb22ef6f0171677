//! Bare SQLite, as the outbox uses it: WAL, `synchronous=FULL`, 320-byte rows, one partial index, rows in a commit.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;

use crate::row::{Baseline, Meter, Row, Times};

/// Rows in a commit; what the reference reached: rows a second, commit p50 in ms, bytes written for a row.
const STEPS: [(usize, f64, f64, f64); 5] = [
    (1, 7_500.0, 0.12, 14_114.0),
    (8, 42_000.0, 0.17, 4_982.0),
    (64, 185_000.0, 0.28, 1_612.0),
    (256, 306_000.0, 0.63, 1_040.0),
    (1_024, 402_000.0, 1.85, 816.0),
];

pub(crate) fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (group, rate, p50, bytes) in STEPS {
        rows.extend(one(dir, group, rate, p50, bytes)?);
    }
    Ok(rows)
}

fn one(dir: &Path, group: usize, rate: f64, p50: f64, bytes: f64) -> anyhow::Result<Vec<Row>> {
    const HINT: &str = "a commit waits for the disk: see fsync above";
    let mut db = Connection::open(dir.join(format!("rows-{group}.db")))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE row(id INTEGER PRIMARY KEY, state INTEGER NOT NULL, body BLOB NOT NULL);
         CREATE INDEX open ON row(id) WHERE state = 0;",
    )?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut body = [0; 320];
    random.fill(&mut body); // as hard to compress as it gets
    let (meter, mut times, mut n) = (Meter::start()?, Times::default(), 0_usize);
    while meter.runs() {
        let begun = Instant::now();
        let commit = db.transaction()?;
        {
            let mut insert = commit.prepare_cached("INSERT INTO row(state, body) VALUES (0, ?1)")?;
            for _ in 0..group {
                insert.execute([&body[..]])?;
            }
        }
        commit.commit()?;
        times.add(begun);
        n += group;
    }
    let (seconds, cpu, written) = (meter.seconds(), meter.thread_cpu()?, meter.written()?);
    let n = n as f64;
    let name = |what: &str| format!("bare SQLite, {group} rows in a commit{what}");
    Ok(vec![
        Row::rate(name(""), n / seconds, "rows/s", Baseline::Reference(rate)).hint(HINT),
        Row::cost(name(", commit p50"), times.ms(0.5), "ms", Baseline::Reference(p50)).hint(HINT),
        Row::cost(name(", commit p99"), times.ms(0.99), "ms", Baseline::None),
        Row::cost(name(", written"), written as f64 / n, "bytes/row", Baseline::Reference(bytes))
            .hint("more pages a commit than the reference's table"),
        Row::cost(name(", CPU"), cpu / n * 1e6, "us/row", Baseline::None),
    ])
}
