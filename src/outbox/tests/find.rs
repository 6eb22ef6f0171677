//! Where an event is: found by its subject, its key, its id and its number, and what keeps it.

use super::*;
use crate::outbox::open::open_read_only;
use crate::outbox::read::find::{Found, find};
use crate::outbox::read::search::{Walk, search};
use crate::outbox::read::wanted::Wanted;

fn found(dir: &std::path::Path, word: &str) -> Found {
    let bounds =
        read::Bounds { max_size: 1 << 30, max_parked: [("outbound".to_owned(), 0)].into(), ..read::Bounds::default() };
    find(dir, &Wanted::parse(word), 10, Some(&bounds)).expect("it reads beside the writer")
}

#[tokio::test]
async fn an_event_is_found_and_what_keeps_it_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (out, mut work) = mpsc::channel(8);
    let hour = 3_600_000;
    let lane = lane::Config { retry_first_ms: hour, retry_max_ms: hour, ..lane() };
    let (outbox, ended) = Outbox::open(config(dir.path()), vec![lane], vec![out]).expect("a fresh directory opens");
    let answer = |batch: &Outgoing, class, reason: &str, reference: Option<&str>| {
        let outcome = Outcome { reference: reference.map(str::to_owned), ..Outcome::new(class, reason) };
        outbox
            .answered(0, batch.batch, Answer { outcomes: vec![outcome], ..all(batch, class) })
            .expect("the writer runs");
    };
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let a = next(&mut work).await;
    outbox.capture(vec![counted("1", 2, "a"), counted("1", 3, "b")]).await.expect("there is room");
    answer(&a, Class::Transient, "the ERP says: not_released", None);
    let b = next(&mut work).await;
    outbox.capture(vec![counted("1", 4, "b"), counted("1", 5, "c")]).await.expect("there is room");
    answer(&b, Class::Validation, "the ERP says: unknown_item", None);
    let c = next(&mut work).await;
    answer(&c, Class::Delivered, "posted", Some("GI-7"));
    outbox.pulse().await.expect("the writer answers");

    let a = found(dir.path(), "a");
    assert_eq!(a.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 1], "the newest first");
    assert_eq!((a.events[0].raw.as_slice(), a.events[0].number.as_str(), a.looked_at), (&b"a"[..], "2", 5));
    let (later, first) = (&a.events[0].deliveries[0], &a.events[1].deliveries[0]);
    assert_eq!((first.state, first.reason.as_deref()), ("waiting", Some("transient: the ERP says: not_released")));
    assert!(first.next_at > first.since && first.attempts == Some(1), "{first:?}");
    let behind = later.behind.as_ref().expect("it waits for the first");
    assert_eq!((later.state, behind.seq, behind.state), ("ready", 1, "waiting"));
    assert_eq!(behind.reason, first.reason);
    assert!(later.lane_stopped, "more subjects are parked than max_parked");

    let b = found(dir.path(), "b");
    let behind = b.events[0].deliveries[0].behind.as_ref().expect("it waits for the first");
    assert_eq!((behind.seq, behind.state), (3, "rejected"));
    assert_eq!(behind.reason.as_deref(), Some("validation: the ERP says: unknown_item"));

    let key = c.keys[0].to_string();
    let by_key = found(dir.path(), &key);
    let delivered = &by_key.events[0].deliveries[0];
    assert_eq!((by_key.events[0].seq, delivered.state, delivered.key.as_str()), (5, "delivered", key.as_str()));
    assert_eq!((delivered.reference.as_deref(), delivered.attempts), (Some("GI-7"), Some(1)));
    for word in [by_key.events[0].id.as_str(), "c", "#5"] {
        assert_eq!(found(dir.path(), word).events[0].seq, 5, "{word}");
    }
    let open = found(dir.path(), &first.key);
    assert_eq!(open.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1], "a key of a row that waits");
    let db = open_read_only(dir.path()).expect("it reads beside the writer");
    let looked_at = |word: &str| {
        let walk = &mut Walk { limit: 10, bite: 1, progress: &mut |_| {} };
        let hits = search(&db, &Wanted::parse(word), walk).expect("it reads");
        (hits.seqs, hits.looked_at)
    };
    assert_eq!(looked_at(&key), (vec![5], 1), "a key names one event: nothing behind it is looked at");
    assert_eq!(looked_at(&by_key.events[0].id), (vec![5], 1));
    assert_eq!((looked_at(&first.key), looked_at("a")), ((vec![1], 5), (vec![2, 1], 5)));
    let nothing = [found(dir.path(), "x"), found(dir.path(), "#9")];
    assert!(nothing.iter().all(|found| found.events.is_empty()) && nothing[0].looked_at == 5);

    let status = read::status(dir.path(), 0).expect("it reads");
    let waits = &status.waiting_rows[0];
    assert_eq!((waits.subject.as_str(), &waits.key, Some(&waits.reason)), ("a", &first.key, first.reason.as_ref()));
    assert_eq!((status.letters[0].key.as_str(), status.lanes[0].behind), (b.events[1].deliveries[0].key.as_str(), 1));
    stop(outbox, ended).await;
}
