use super::*;
use crate::lane::machine::Input;
use crate::lane::{Answer, Class, Config, Outcome};

/// Rows in memory.
const WINDOW: usize = 64;

/// The numbers of those of these rows that are posted by a target, in its order. `put_off`: whether a row is to come again, when
/// so many are posted.
fn posted(disk: &[Row], put_off: fn(&RowKey, usize) -> bool) -> Vec<i64> {
    let mut lane = Lane::new(Config { max_in_flight: 4, ..Config::example() }, 1).with_window(WINDOW);
    let (mut now, mut posted, mut inputs) = (Millis(0), Vec::new(), vec![Input::Tick]);
    let mut open: BTreeSet<i64> = disk.iter().map(|row| row.key.seq).collect();
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
                    let class = |row| if put_off(row, posted.len()) { Class::Transient } else { Class::Delivered };
                    let outcomes = rows.iter().map(|row| Outcome::new(class(row), "")).collect();
                    let (excerpt, retry_after_ms, later) = (String::new(), None, None);
                    let answer = Answer { status: Some(200), excerpt, outcomes, whole: false, retry_after_ms, later };
                    inputs.insert(0, Input::Answered { batch, answer });
                }
                Action::Settle { row, .. } => {
                    posted.push(row.seq);
                    open.remove(&row.seq);
                }
                _ => {}
            }
        }
        assert!(lane.rows.len() <= WINDOW, "{} rows are in memory", lane.rows.len());
        assert!(open.first().is_none_or(|first| lane.goes_from() <= *first), "{open:?} from {}", lane.goes_from());
    }
    posted
}

fn rows(count: i64, order: fn(i64) -> i64) -> Vec<Row> {
    (1..=count).map(|seq| Row { key: RowKey { seq, tx: 1 }, order: order(seq), size: 10, held: false }).collect()
}

/// The first subject's head is put off again and again, with more rows behind it than the memory holds.
#[test]
fn a_long_queue_behind_a_row_that_waits_does_not_starve_the_subjects_behind_it() {
    let disk = rows(520, |seq| if seq <= 500 { 0 } else { seq });
    let posted = posted(&disk, |row, posted| row.seq == 1 && posted < 20);
    assert_eq!(posted[..20], (501..=520).collect::<Vec<i64>>(), "those behind it went first");
    assert_eq!(posted[20..], (1..=500).collect::<Vec<i64>>(), "then all of it, in order");
}

/// Four subjects of a hundred rows each, whose first ones the target puts off for ever, and twenty others behind them.
#[test]
fn several_long_queues_behind_rows_that_wait_do_not_starve_the_subjects_behind_them() {
    let disk = rows(420, |seq| if seq <= 400 { seq % 4 } else { seq });
    let mut posted = posted(&disk, |row, _| row.seq <= 4);
    posted.sort_unstable();
    assert_eq!(posted, (401..=420).collect::<Vec<i64>>());
}
