//! What the disk does with one writer: 4 KiB appended and synced, one after another.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::row::{Baseline, Meter, Row, Times};

pub(crate) fn measure(dir: &Path) -> anyhow::Result<Vec<Row>> {
    const HINT: &str = "this disk syncs more slowly than the reference's; every commit waits for it";
    let mut file = File::create(dir.join("append"))?;
    let block = [0x5a; 4_096];
    let (meter, mut times, mut n) = (Meter::start()?, Times::default(), 0_u32);
    while meter.runs() {
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_all()?;
        times.add(begun);
        n += 1;
    }
    let rate = f64::from(n) / meter.seconds();
    Ok(vec![
        Row::rate("fsync, 4 KiB append", rate, "1/s", Baseline::Reference(5_280.0)).hint(HINT),
        Row::cost("fsync, 4 KiB append, p50", times.ms(0.5), "ms", Baseline::Reference(0.18)).hint(HINT),
        Row::cost("fsync, 4 KiB append, p99", times.ms(0.99), "ms", Baseline::Reference(0.29)).hint(HINT),
    ])
}
