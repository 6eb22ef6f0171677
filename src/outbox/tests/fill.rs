//! An outbox that fills up: what makes room, and what is never given up for it.

use super::*;

/// Two lanes that take the same: one books, one shows.
fn open_both(config: Config) -> (Outbox, Ended, mpsc::Receiver<Outgoing>, mpsc::Receiver<Outgoing>) {
    let shows = lane::Config {
        id: "board".to_owned(),
        target: 1,
        system: "board".to_owned(),
        worth: Worth::Visibility,
        ..lane()
    };
    let ((to_erp, erp), (to_board, board)) = (mpsc::channel(8), mpsc::channel(8));
    let (outbox, ended) = Outbox::open(config, vec![lane(), shows], vec![to_erp, to_board]).expect("it opens");
    (outbox, ended, erp, board)
}

#[tokio::test]
async fn no_posting_row_is_dropped_or_thinned_while_what_is_only_shown_makes_room() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut erp, _board) = open_both(Config { max_size: 40_000, ..config(dir.path()) });
    let mut taken = 0;
    while outbox.capture(vec![counted("1", taken + 1, "a")]).await.is_ok() {
        taken += 1;
        assert!(taken < 1_000, "it fills up");
    }
    let status = read::status(dir.path(), 0).expect("it reads");
    let waits = |lane: &read::LaneStatus| lane.ready + lane.sending;
    let (booked, shown) = (waits(&status.lanes[0]), waits(&status.lanes[1]));
    let shed =
        status.counts.iter().find(|count| count.source == "board" && count.what == "shed").expect("it is counted");
    assert_eq!(booked, i64::try_from(taken).expect("few"), "each one taken has its row");
    assert_eq!((shown + shed.n, status.events), (booked, booked), "what is not shown is counted, and its event kept");
    assert!(shed.n >= 10 && shown > 30, "{shown} kept, {} shed", shed.n);
    let mut room = outbox.room();
    let mut posted = 0;
    while posted < taken {
        let batch = next(&mut erp).await;
        posted += batch.keys.len() as u64;
        outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    }
    tokio::time::timeout(DEADLINE, room.wait_for(|room| *room)).await.expect("in time").expect("the writer runs");
    assert_eq!(outbox.capture(vec![counted("1", taken + 1, "a")]).await, Ok(vec![Placed::New]), "with no gap");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn with_the_outbox_full_no_sample_is_acknowledged_and_lost() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut erp, _board) = open_both(Config { max_size: 20_000, ..config(dir.path()) });
    let mut acknowledged = Vec::new();
    for seq in 1..=200 {
        if outbox.capture(vec![counted("1", seq, &format!("s{seq}"))]).await.is_ok() {
            acknowledged.push(seq);
        }
    }
    assert!((20..200).contains(&acknowledged.len()), "{}", acknowledged.len());
    assert!(acknowledged.iter().copied().eq(1..=acknowledged.len() as u64), "nothing behind a refused one");
    let mut posted: Vec<u64> = Vec::new();
    while posted.len() < acknowledged.len() {
        let batch = next(&mut erp).await;
        let body = String::from_utf8(batch.body().to_vec()).expect("UTF-8");
        posted.extend(acknowledged.iter().copied().filter(|seq| body.contains(&format!("\"code\":\"s{seq}\""))));
        outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    }
    posted.sort_unstable();
    assert_eq!(posted, acknowledged);
    stop(outbox, ended).await;
}
