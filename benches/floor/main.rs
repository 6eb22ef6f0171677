//! The figures of the floor, each beside its bare baseline in the same run: `cargo bench`.
//!
//! One file a figure; each returns [`Row`]s. `cargo bench -- http modbus` runs the figures whose name starts so,
//! `--json` prints one object a line, `--quick` measures a tenth (does it run at all?), `--dir DIR` puts files on the disk to be measured. Figures are for choosing designs
//! and for ratios within one run: nothing here is a timed test.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::print_stderr, reason = "what was skipped goes beside the table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod delivery;
mod fsync;
mod http;
mod modbus;
mod mqtt;
mod outbox;
mod path;
mod polls;
mod row;
mod sqlite;

use std::path::{Path, PathBuf};

use row::Row;

/// A figure: the directory for its files in, its rows out. An error skips it, with the reason told.
type Figure = fn(&Path) -> anyhow::Result<Vec<Row>>;

const FIGURES: &[(&str, Figure)] = &[
    ("fsync", fsync::measure),
    ("sqlite", sqlite::measure),
    ("http", http::measure),
    ("modbus", modbus::measure),
    ("mqtt", mqtt::measure),
    ("outbox", outbox::measure),
    ("delivery", delivery::measure),
    ("path", path::measure),
    ("slow-disk", path::slow_disk),
    ("backlog", path::backlog),
    ("polls", polls::measure),
];

fn main() -> anyhow::Result<()> {
    let mut json = false;
    let mut dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut wanted = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {} // cargo's own
            "--json" => json = true,
            "--quick" => row::QUICK.store(true, std::sync::atomic::Ordering::Relaxed),
            "--dir" => dir = args.next().ok_or_else(|| anyhow::anyhow!("--dir wants a directory"))?.into(),
            other => wanted.push(other.to_owned()),
        }
    }
    if !json {
        println!("{}", Row::header());
    }
    for (name, measure) in FIGURES {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.starts_with(w.as_str())) {
            continue;
        }
        let scratch = tempfile::tempdir_in(&dir)?;
        match measure(scratch.path()) {
            Ok(rows) if json => rows.iter().for_each(|row| println!("{}", row.json())),
            Ok(rows) => rows.iter().for_each(|row| println!("{row}")),
            Err(why) => eprintln!("{name}: SKIPPED: {why:#}"),
        }
    }
    Ok(())
}
