//! Whatever went out, or was read off a box, leads to its events: keys of postings and requests, and what only looks like one.

use super::operate::{order, parked_in};
use super::*;
use crate::event::{batch_id, manual_event_id};
use crate::lane::Act;
use crate::outbox::open::open_read_only;
use crate::outbox::read::search::{Walk, search};
use crate::outbox::read::trace::{Attempt, Trace, trace};
use crate::outbox::read::wanted::Wanted;

fn opened(dir: &std::path::Path, lane: &lane::Config) -> (Outbox, Ended, mpsc::Receiver<Outgoing>) {
    let (out, work) = mpsc::channel(8);
    let (outbox, ended) = Outbox::open(config(dir), vec![lane.clone()], vec![out]).expect("the directory opens");
    (outbox, ended, work)
}

/// The newest first; each bite of a walk is one event.
fn seqs(dir: &std::path::Path, word: &str) -> Vec<i64> {
    let db = open_read_only(dir).expect("it reads beside the writer");
    let walk = &mut Walk { limit: 10, bite: 1, progress: &mut |_| {} };
    search(&db, &Wanted::parse(word), walk).expect("it reads").seqs
}

fn traced(dir: &std::path::Path, word: &str) -> Trace {
    trace(dir, &Wanted::parse(word), 10, None, &mut |_| {}).expect("it reads")
}

fn attempts(dir: &std::path::Path, word: &str) -> Vec<Attempt> {
    traced(dir, word).events[0].event.deliveries[0].attempts.clone()
}

#[tokio::test]
async fn a_request_leads_to_its_rows_by_the_key_that_the_target_logged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lane = lane::Config { key_scope: KeyScope::Request, ..lane() };
    let (outbox, ended, mut work) = opened(dir.path(), &lane);
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let first = next(&mut work).await;
    assert_ne!(first.id, batch_id(&first.keys), "it has the time of the first sending in it");
    let request = first.id.to_string();
    assert_eq!(seqs(dir.path(), &request), [2, 1], "under way");
    assert_eq!(attempts(dir.path(), "a")[0].batch_id.as_ref(), Some(&request));
    stop(outbox, ended).await;

    let (outbox, ended, mut work) = opened(dir.path(), &lane);
    let again = next(&mut work).await;
    assert_eq!((again.id, again.attempt), (first.id, 2));
    let tried = attempts(dir.path(), "a");
    assert_eq!((tried[0].class.as_str(), tried[0].batch_id.as_ref()), ("unheard", Some(&request)));
    outbox.answered(0, again.batch, all(&again, Class::Delivered)).expect("the writer runs");
    outbox.capture(vec![counted("1", 3, "c"), counted("1", 4, "d")]).await.expect("there is room");
    let good = next(&mut work).await;
    outbox.answered(0, good.batch, all(&good, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    assert_eq!(seqs(dir.path(), &request), [2, 1], "delivered at the second attempt");
    let request = good.id.to_string();
    assert_eq!(seqs(dir.path(), &request), [4, 3], "delivered at once");
    assert_eq!(attempts(dir.path(), "c")[0].batch_id.as_ref(), Some(&request));
    stop(outbox, ended).await;
}

/// What a batch of items with keys of their own is known by follows from those: nothing is stored for it.
#[tokio::test]
async fn what_was_never_answered_is_told_with_its_batch() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let sent = next(&mut work).await.id.to_string();
    assert_eq!(attempts(dir.path(), "a")[0].batch_id.as_ref(), Some(&sent), "under way");
    stop(outbox, ended).await;
    let (outbox, ended, mut work) = open(config(dir.path()));
    let again = next(&mut work).await;
    assert_eq!(attempts(dir.path(), "a")[0].batch_id.as_ref(), Some(&sent), "unheard");
    outbox.answered(0, again.batch, all(&again, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let db = open_read_only(dir.path()).expect("it reads beside the writer");
    let stored: i64 = db.query_row("SELECT count(request) FROM done", [], |r| r.get(0)).expect("it reads");
    assert_eq!(stored, 0, "it follows from the rows");
    stop(outbox, ended).await;
}

/// Each row of the batch, in its order.
fn each(batch: &Outgoing, classes: &[Class]) -> Answer {
    let outcomes = classes.iter().map(|class| Outcome::new(*class, "test")).collect();
    Answer { outcomes, whole: false, ..all(batch, Class::Unknown) }
}

/// Takes batches until so many rows are delivered.
async fn deliver(outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>, mut rows: usize) {
    while rows > 0 {
        let batch = next(work).await;
        rows -= batch.keys.len();
        outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    }
    outbox.pulse().await.expect("it is stored");
}

#[tokio::test]
async fn a_request_that_was_put_off_leads_to_its_rows_wherever_they_were_delivered() {
    for key_scope in [KeyScope::Item, KeyScope::Request] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, mut work) = opened(dir.path(), &lane::Config { key_scope, ..lane() });
        outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
        let first = next(&mut work).await;
        assert_eq!(first.keys.len(), 2);
        outbox.answered(0, first.batch, each(&first, &[Class::Conflict; 2])).expect("the writer runs");
        deliver(&outbox, &mut work, 2).await;
        assert_eq!(seqs(dir.path(), &first.id.to_string()), [2, 1], "{key_scope:?}");
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn a_request_that_was_never_answered_leads_to_what_a_person_decided_on() {
    for (key_scope, act) in [KeyScope::Item, KeyScope::Request]
        .into_iter()
        .flat_map(|scope| [Act::Resolve, Act::Skip, Act::Repost].map(|act| (scope, act)))
    {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let lane = lane::Config { key_scope, idempotency: lane::Idempotency::None, ..lane() };
        let (outbox, ended, mut work) = opened(dir.path(), &lane);
        outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
        let request = next(&mut work).await.id.to_string();
        stop(outbox, ended).await;
        let (outbox, ended, mut work) = opened(dir.path(), &lane);
        outbox.pulse().await.expect("nobody can ask: it needs a person");
        let needs = read::parked::needs(dir.path(), None, Millis(0)).expect("it reads");
        assert_eq!(needs.len(), 2);
        for (need, actor) in needs.iter().flat_map(|need| [(need, "anna"), (need, "ben")]) {
            let reference = Some("GI-1".to_owned());
            let of = order(&format!("{actor} {}", need.key), act, &[]);
            let decided = Order { reference, keys: vec![need.named()], ..of };
            outbox.operate(decided, actor.to_owned()).await.expect("the writer runs");
        }
        deliver(&outbox, &mut work, if act == Act::Repost { 2 } else { 0 }).await;
        assert_eq!(seqs(dir.path(), &request), [2, 1], "{key_scope:?}, {act:?}");
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn a_request_leads_to_the_rows_that_it_carried_and_to_no_others_of_its_batch() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox
        .capture(vec![counted("1", 1, "b"), counted("1", 2, "a"), counted("1", 3, "c")])
        .await
        .expect("there is room");
    let first = next(&mut work).await;
    let classes = [Class::Unknown, Class::Delivered, Class::Unknown];
    outbox.answered(0, first.batch, each(&first, &classes)).expect("the writer runs");
    let rest = next(&mut work).await;
    assert_eq!((rest.attempt, rest.keys.len()), (2, 2));
    outbox.answered(0, rest.batch, each(&rest, &[Class::Unknown; 2])).expect("the writer runs");
    deliver(&outbox, &mut work, 2).await;
    assert_eq!(seqs(dir.path(), &first.id.to_string()), [3, 2, 1]);
    assert_eq!(seqs(dir.path(), &rest.id.to_string()), [3, 1], "it met trouble");

    outbox
        .capture(vec![counted("1", 4, "d"), counted("1", 5, "e"), counted("1", 6, "f")])
        .await
        .expect("there is room");
    let first = next(&mut work).await;
    let classes = [Class::Unknown, Class::Unknown, Class::Delivered];
    outbox.answered(0, first.batch, each(&first, &classes)).expect("the writer runs");
    let rest = next(&mut work).await;
    outbox.answered(0, rest.batch, all(&rest, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    assert_eq!(seqs(dir.path(), &rest.id.to_string()), [5, 4], "all of it was delivered");
    stop(outbox, ended).await;
}

/// Schema 12 kept no key of a request.
#[tokio::test]
async fn what_an_older_version_left_unheard_is_told_with_the_key_that_its_request_had() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lane = lane::Config { key_scope: KeyScope::Request, ..lane() };
    let (outbox, ended, mut work) = opened(dir.path(), &lane);
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let first = next(&mut work).await.id;
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("nobody runs on it");
    db.execute("UPDATE batch SET request = NULL", []).expect("it is there"); // as a version before it had that column
    drop(db);
    let (outbox, ended, mut work) = opened(dir.path(), &lane);
    assert_eq!(next(&mut work).await.id, first, "it is sent again under it");
    assert_eq!(attempts(dir.path(), "a")[0].batch_id, Some(first.to_string()));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_posting_is_found_by_each_key_that_it_had() {
    let ways = [(Act::Retry, false), (Act::Retry, true), (Act::Edit, false), (Act::Edit, true)];
    for ((act, on_hold), in_block) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let lane = lane::Config { replays_errors: true, ..lane() };
        let (outbox, ended, work, key) = parked_in(lane.clone(), dir.path(), Class::Validation, false).await;
        let hold = |on: bool| Hold {
            id: format!("h{on}"),
            scope: Scope::Subject,
            name: "a".to_owned(),
            on,
            reason: "stock count".to_owned(),
        };
        if in_block {
            // Two blocks of the finder are written, of which the first knows the first key alone.
            for part in [3_u64..1_027, 1_027..2_051] {
                let others = part.map(|seq| counted("1", seq, "z")).collect();
                outbox.capture(others).await.expect("there is room");
            }
        }
        if on_hold {
            outbox.hold(hold(true), "anna".to_owned()).await.expect("the writer runs");
        }
        let added = lane::Change { new: true, ..lane::Change::parse("/qty=3").expect("a change") };
        let changes = if act == Act::Edit { vec![added] } else { Vec::new() };
        let decided = Order { changes, ..order("r1", act, &[key]) };
        let acted = outbox.operate(decided, "anna".to_owned()).await.expect("the writer runs");
        assert!(acted[0].done && acted[0].text.ends_with("released") == on_hold, "{acted:?}");
        let found = traced(dir.path(), "#1");
        let posting = &found.events[0].event.deliveries[0];
        let mut names = vec![key.to_string(), posting.delivery.key.clone(), posting.short_ref.clone()];
        assert_ne!(names[0], names[1]);
        if act == Act::Edit {
            names.push(manual_event_id("dc1", "anna", &format!("r1/{key}")).to_string());
        }
        let all_lead = |when: &str| {
            for name in &names {
                assert_eq!(seqs(dir.path(), name), [1], "{act:?}, {on_hold}, {in_block}, {when}: {name} of {names:?}");
            }
        };
        all_lead("in line");
        drop(work);
        stop(outbox, ended).await;

        let (outbox, ended, mut work) = opened(dir.path(), &lane);
        all_lead("after a restart");
        if on_hold {
            outbox.hold(hold(false), "anna".to_owned()).await.expect("the writer runs");
        }
        let with_it = loop {
            let batch = next(&mut work).await;
            outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
            if batch.keys.iter().any(|key| key.to_string() == names[1]) {
                break batch.id.to_string();
            }
        };
        outbox.pulse().await.expect("it is stored");
        all_lead("delivered");
        let batch = traced(dir.path(), &with_it).events;
        assert!(batch.iter().any(|event| event.event.seq == 1), "{act:?}, {on_hold}, {in_block}: its batch");
        stop(outbox, ended).await;
    }
}

/// The id of a correction that was corrected itself went out with a posting, too.
#[tokio::test]
async fn what_was_corrected_twice_is_found_by_both_corrections() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_in(lane(), dir.path(), Class::Validation, false).await;
    let mut names = vec![key];
    for (request, change) in [("r1", "/qty=3"), ("r2", "/qty=4")] {
        let key = names[names.len() - 1];
        let change = lane::Change { new: request == "r1", ..lane::Change::parse(change).expect("a change") };
        let edit = Order { changes: vec![change], ..order(request, Act::Edit, &[key]) };
        let acted = outbox.operate(edit, "anna".to_owned()).await.expect("the writer runs");
        assert!(acted[0].done, "{acted:?}");
        let again = next(&mut work).await;
        names.extend([manual_event_id("dc1", "anna", &format!("{request}/{key}")), again.keys[0]]);
        let answer = Answer { whole: false, ..all(&again, Class::Validation) };
        outbox.answered(0, again.batch, answer).expect("the writer runs");
        outbox.pulse().await.expect("it is stored");
    }
    let skip = order("r3", Act::Skip, &[names[4]]);
    assert!(outbox.operate(skip, "anna".to_owned()).await.expect("the writer runs")[0].done);
    stop(outbox, ended).await;
    let (outbox, ended, _work) = open(config(dir.path()));
    for name in &names {
        assert_eq!(seqs(dir.path(), &name.to_string()), [1], "{name} of {names:?}");
    }
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_a_later_posting_made_idle_is_found_by_both_its_keys() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lane = lane::Config { worth: Worth::Visibility, replays_errors: true, ..lane() };
    let (outbox, ended, mut work, key) = parked_in(lane.clone(), dir.path(), Class::Validation, false).await;
    let retry = order("r1", Act::Retry, &[key]);
    assert!(outbox.operate(retry, "anna".to_owned()).await.expect("the writer runs")[0].done);
    let later = next(&mut work).await;
    outbox.answered(0, later.batch, all(&later, Class::Delivered)).expect("the writer runs");
    let again = next(&mut work).await;
    assert_ne!(again.keys, [key]);
    outbox
        .answered(0, again.batch, Answer { whole: false, ..all(&again, Class::Validation) })
        .expect("the writer runs");
    outbox.capture(vec![counted("1", 3, "a")]).await.expect("there is room");
    let later = next(&mut work).await;
    outbox.answered(0, later.batch, all(&later, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    assert_eq!(traced(dir.path(), "#1").events[0].event.deliveries[0].delivery.state, "auto_resolved");
    for key in [key, again.keys[0]] {
        assert_eq!(seqs(dir.path(), &key.to_string()), [1], "{key}");
    }
    stop(outbox, ended).await;
    let (outbox, ended, _work) = opened(dir.path(), &lane);
    for key in [key, again.keys[0]] {
        assert_eq!(seqs(dir.path(), &key.to_string()), [1], "{key}, after a restart");
    }
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_serial_number_in_the_form_of_an_id_is_looked_for_as_a_text() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let (subject, field) = ("0123456789ABCDEF0123456789ABCDEF", "ffffffffffffffffffffffffffffffff");
    let carried = Position::Counted { boot: Some("1".to_owned()), seq: 3, bits: 16, ring: 32 };
    let fields = vec![("serial".to_owned(), Value::Text(field.to_owned()))];
    let carrying = sample(carried, vec![DeviceEvent { fields, ..event("scan.item", "c") }], "c");
    let scans = vec![counted("1", 1, &format!("tote/{subject}")), counted("1", 2, subject), carrying];
    outbox.capture(scans).await.expect("there is room");
    outbox.pulse().await.expect("it is stored");
    let db = open_read_only(dir.path()).expect("it reads beside the writer");
    let mut bites = 0;
    let walk = &mut Walk { limit: 10, bite: 10, progress: &mut |_| bites += 1 };
    let hits = search(&db, &Wanted::parse(subject), walk).expect("it reads");
    assert_eq!((hits.seqs, bites), (vec![2, 1], 0), "both events of the subject, and no delivery was looked at");
    let found = traced(dir.path(), field);
    assert_eq!((found.events.len(), found.within), (1, true), "the value of a field");
    assert_eq!(found.events[0].event.seq, 3);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn an_id_among_the_words_of_a_person_is_no_key_of_what_they_decided_on() {
    let serial = "0a1b2c3d-0000-4000-8000-0123456789ab";
    let value = format!("/serial=under the new key {serial}");
    let added = lane::Change { new: true, ..lane::Change::parse(&value).expect("a change") };
    let reference = Some(serial.to_owned());
    for (act, changes, reference) in [(Act::Edit, vec![added], None), (Act::Resolve, Vec::new(), reference)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, _work, key) = parked_in(lane(), dir.path(), Class::Validation, false).await;
        outbox.capture(vec![counted("1", 3, serial)]).await.expect("there is room");
        let decided = Order { reference, changes, ..order("r1", act, &[key]) };
        let acted = outbox.operate(decided, "anna".to_owned()).await.expect("the writer runs");
        assert!(acted[0].done && acted[0].text.contains(serial), "{acted:?}");
        assert_eq!(seqs(dir.path(), serial), [3], "the subject of an event, and no key");
        stop(outbox, ended).await;
    }
}
