//! Where an event is: found by its subject, its key, its id and its number, and what keeps it.

use super::*;
use crate::outbox::open::open_read_only;
use crate::outbox::read::find::{Found, Rest, find};
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

    let first_batch = a.id;
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
    let (good, in_vain) = (c.id.to_string(), first_batch.to_string());
    assert_eq!(found(dir.path(), &in_vain).events[0].seq, 1, "the batch of an attempt that was in vain");
    for word in [by_key.events[0].id.as_str(), "c", "#5", &good] {
        assert_eq!(found(dir.path(), word).events[0].seq, 5, "{word}");
    }
    let by_reference = found(dir.path(), "GI-7");
    assert_eq!(
        by_reference.events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [5],
        "the number of its document"
    );
    let so = |word| read::find::named(dir.path(), &Wanted::parse(word), 10).expect("it reads");
    assert!(so("GI-7").events.is_empty(), "a reference is no name");
    assert_eq!((so("x").looked_at, so("a").events.len()), (5, 2));
    assert!(found(dir.path(), "GI-").events.is_empty() && found(dir.path(), "").events.is_empty(), "the whole of it");
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
    assert_eq!(looked_at(&good).0, [5], "a batch that went well, whatever lies between its rows");
    assert_eq!((looked_at(&first.key), looked_at("a")), ((vec![1], 5), (vec![2, 1], 5)));
    let nothing = [found(dir.path(), "x"), found(dir.path(), "#9")];
    assert!(nothing.iter().all(|found| found.events.is_empty()) && nothing[0].looked_at == 5);

    let status = read::status(dir.path(), 0).expect("it reads");
    let waits = &status.waiting_rows[0];
    assert_eq!((waits.subject.as_str(), &waits.key, Some(&waits.reason)), ("a", &first.key, first.reason.as_ref()));
    assert_eq!((status.letters[0].key.as_str(), status.lanes[0].behind), (b.events[1].deliveries[0].key.as_str(), 1));
    stop(outbox, ended).await;
}

fn traced(dir: &std::path::Path, word: &str) -> read::trace::Followed {
    let wanted = Wanted::parse(word);
    let mut found = read::trace::trace(dir, &wanted, 1, None, &mut |_| {}).expect("it reads");
    found.events.remove(0).event.deliveries.remove(0)
}

#[tokio::test]
async fn what_was_under_way_when_a_gateway_ended_is_unknown() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let under_way = next(&mut work).await;
    outbox.capture(vec![counted("1", 2, "a")]).await.expect("there is room");
    assert!(holds::told(&outbox, holds::hold("h1", Scope::Lane, "outbound", true)).await.0);
    stop(outbox, ended).await;

    let (mut first, mut later) = (traced(dir.path(), "#1"), traced(dir.path(), "#2"));
    assert_eq!((first.delivery.state, first.attempts[0].class.as_str()), ("sending", "under_way"), "it was, then");
    assert_eq!(first.delivery.attempts, Some(1));
    first.rest(Rest::Ended);
    later.rest(Rest::Ended);
    assert_eq!((first.delivery.state, first.attempts[0].class.as_str()), ("unknown", "unheard"));
    let nobody = "the gateway ended before an answer came";
    assert_eq!(first.attempts[0].reason.as_deref(), Some(nobody));
    assert_eq!(first.delivery.reason, Some(format!("unheard: {nobody}")));
    assert!(first.delivery.hold.is_some(), "no start sends it again");
    let behind = later.delivery.behind.expect("it waits for the first");
    assert_eq!((behind.state, behind.reason.as_deref()), ("unknown", first.delivery.reason.as_deref()));

    let mut lane = read::lanes_of(dir.path()).expect("it reads").remove(0);
    assert_eq!((lane.sending, lane.unknown, lane.oldest_unknown.is_some()), (1, 0, false));
    let sent_at = lane.oldest_sending.as_ref().expect("there is one").sent_at;
    assert_eq!(Some(sent_at), first.delivery.since);
    lane.rest();
    let oldest = lane.oldest_unknown.expect("nobody has heard of it");
    assert_eq!((lane.sending, lane.unknown, lane.oldest_sending.is_none()), (0, 1, true));
    assert_eq!((oldest.key, oldest.sent_at), (under_way.keys[0].to_string(), sent_at));
}

#[tokio::test]
async fn an_attempt_that_never_left_is_not_when_it_was_sent_last() {
    for (class, why) in [(Class::Transient, "not sent: refused"), (Class::Auth, "not let in: no token")] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, mut work) = open(config(dir.path()));
        let answer = |batch: &Outgoing, class, reason: &str, retry_after_ms| {
            let outcomes = batch.keys.iter().map(|_| Outcome::new(class, reason)).collect();
            let answer = Answer { outcomes, status: None, retry_after_ms, ..all(batch, class) };
            outbox.answered(0, batch.batch, answer).expect("the writer runs");
        };
        outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
        let first = next(&mut work).await;
        outbox.capture(vec![counted("1", 2, "a")]).await.expect("there is room");
        answer(&first, Class::Unknown, "sent, but no whole answer came: timeout", None);
        let second = next(&mut work).await;
        answer(&second, class, why, Some(3_600_000));
        outbox.pulse().await.expect("the writer answers");

        let told = traced(dir.path(), "#1");
        let sent: Vec<_> = told.attempts.iter().map(|attempt| attempt.sent_at).collect();
        assert!(sent[1] > sent[0] && sent.len() == 2, "{sent:?}");
        assert_eq!((told.delivery.state, told.delivery.since), ("unknown", sent[0]));
        assert_eq!(told.delivery.attempts, Some(2));
        let behind = traced(dir.path(), "#2").delivery.behind.expect("it waits for the first");
        assert_eq!(
            (behind.state, behind.reason.as_deref()),
            ("unknown", Some(format!("{}: {why}", class.name()).as_str()))
        );
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn attempts_are_counted_over_the_batches_of_a_posting_and_a_word_is_said_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let throttled = next(&mut work).await;
    outbox.answered(0, throttled.batch, all(&throttled, Class::Throttled)).expect("the writer runs");
    let again = next(&mut work).await;
    assert_ne!(again.batch, throttled.batch);
    outbox.answered(0, again.batch, all(&again, Class::Delivered)).expect("the writer runs");
    outbox.capture(vec![counted("1", 2, "a"), counted("1", 3, "a")]).await.expect("there is room");
    let told = traced(dir.path(), "#1");
    assert_eq!((told.attempts.len(), told.delivery.attempts), (2, Some(2)));
    assert_eq!(found(dir.path(), "#1").events[0].deliveries[0].attempts, Some(2));

    let unknown = next(&mut work).await;
    let outcomes = unknown.keys.iter().map(|_| Outcome::new(Class::Unknown, "the ERP failed")).collect();
    let answer = Answer { outcomes, retry_after_ms: Some(3_600_000), ..all(&unknown, Class::Unknown) };
    outbox.answered(0, unknown.batch, answer).expect("the writer runs");
    outbox.pulse().await.expect("the writer answers");
    let behind = found(dir.path(), "#3").events[0].deliveries[0].behind.take().expect("it waits for the one before");
    assert_eq!((behind.state, behind.reason.as_deref()), ("unknown", Some("the ERP failed")));
    stop(outbox, ended).await;
}
