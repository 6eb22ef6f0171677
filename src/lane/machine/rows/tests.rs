use super::*;
use crate::lane::machine::Input;
use crate::lane::{Answer, Class, Config, Outcome};

/// Four subjects of a hundred rows each, whose first ones the target puts off for ever, and twenty others behind them.
#[test]
fn several_long_queues_behind_rows_that_wait_do_not_starve_the_subjects_behind_them() {
    let order = |seq: i64| if seq <= 400 { seq % 4 } else { seq };
    let row = |seq: i64| Row { key: RowKey { seq, tx: 1 }, order: order(seq), size: 10, held: false };
    let disk: Vec<Row> = (1..=420).map(row).collect();
    let mut lane = Lane::new(Config { max_in_flight: 4, ..Config::example() }, 1).with_window(64);
    let (mut now, mut posted, mut inputs) = (Millis(0), Vec::new(), vec![Input::Tick]);
    for _ in 0..2_000 {
        let input = inputs.pop().unwrap_or(Input::Tick);
        now = now.plus(1_000);
        for action in lane.step(input, now) {
            match action {
                Action::Load { after, limit } => {
                    let open = |row: &&Row| row.key > after && !posted.contains(&row.key.seq);
                    let rows: Vec<Row> = disk.iter().filter(open).take(limit).copied().collect();
                    inputs.push(Input::Loaded { more: rows.len() == limit, rows });
                }
                Action::Send { batch, rows, .. } => {
                    let class = |row: &RowKey| if row.seq <= 4 { Class::Transient } else { Class::Delivered };
                    let outcomes = rows.iter().map(|row| Outcome::new(class(row), "")).collect();
                    let (excerpt, retry_after_ms, later) = (String::new(), None, None);
                    let answer = Answer { status: Some(200), excerpt, outcomes, whole: false, retry_after_ms, later };
                    inputs.insert(0, Input::Answered { batch, answer });
                }
                Action::Settle { row, .. } => posted.push(row.seq),
                _ => {}
            }
        }
        assert!(lane.rows.len() <= 64, "{} rows are in memory", lane.rows.len());
    }
    posted.sort_unstable();
    assert_eq!(posted, (401..=420).collect::<Vec<i64>>());
}
