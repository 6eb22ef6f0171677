//! What a person decides: stored, told to the lane, kept in the audit.

use super::*;
use crate::lane::Act;
use crate::outbox::read::parked;

/// An order by its parts.
pub(super) fn order(request: &str, act: Act, keys: &[Id]) -> Order {
    let keys = keys.iter().map(|key| Named { key: key.to_string(), seen: None }).collect();
    Order { id: request.to_owned(), act, keys, reason: "mended".to_owned(), reference: None, changes: Vec::new() }
}

/// Two scans of carton `a`; the first one was rejected as `class`, with `attempts` before that nobody heard of.
async fn parked_at(
    dir: &std::path::Path,
    class: Class,
    unheard: bool,
) -> (Outbox, Ended, mpsc::Receiver<Outgoing>, Id) {
    parked_in(lane(), dir, class, unheard).await
}

pub(super) async fn parked_in(
    lane: lane::Config,
    dir: &std::path::Path,
    class: Class,
    unheard: bool,
) -> (Outbox, Ended, mpsc::Receiver<Outgoing>, Id) {
    let (out, mut work) = mpsc::channel(8);
    let (outbox, ended) = Outbox::open(config(dir), vec![lane], vec![out]).expect("a fresh directory opens");
    let scans = vec![counted("1", 1, "a"), counted("1", 2, "a")];
    assert_eq!(outbox.capture(scans).await, Ok(vec![Placed::New; 2]));
    let first = next(&mut work).await;
    assert_eq!(first.keys.len(), 1, "one unresolved at a time of a subject");
    if unheard {
        outbox.answered(0, first.batch, all(&first, Class::Unknown)).expect("the writer runs");
        next(&mut work).await;
    }
    outbox.answered(0, first.batch, Answer { whole: false, ..all(&first, class) }).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    (outbox, ended, work, first.keys[0])
}

#[tokio::test]
async fn a_retry_goes_again_under_its_key_and_its_successors_follow() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    assert_eq!(
        (needs.len(), needs[0].key.clone(), &needs[0].may[..]),
        (1, key.to_string(), &["retry", "edit", "resolve", "skip"][..])
    );
    assert_eq!(parked::behind(dir.path(), &needs[0]).expect("it reads").0, 1);

    let acted = outbox.operate(order("r1", Act::Retry, &[key]), "anna".to_owned()).await.expect("the writer runs");
    assert_eq!((acted[0].done, acted[0].text.as_str()), (true, "in line again under its key"));
    let again = next(&mut work).await;
    assert_eq!(again.keys, [key]);
    outbox.answered(0, again.batch, all(&again, Class::Delivered)).expect("the writer runs");
    let successor = next(&mut work).await;
    assert_ne!(successor.keys, [key]);
    assert!(parked::needs(dir.path(), None, Millis(0)).expect("it reads").is_empty());
    stop(outbox, ended).await;
}

/// It was opened three hours ago; what a person tried in vain meanwhile makes it no younger.
#[tokio::test]
async fn an_exception_is_as_old_as_its_first_refusal_whatever_was_tried_in_vain() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let need = |now| parked::needs(dir.path(), None, Millis(now)).expect("it reads").remove(0);
    let now = need(0).at;
    assert_eq!((need(now).opened_at, need(now).whose.lateness), (now, "ok"));
    let first = now - 3 * 3_600_000;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute_batch(&format!("UPDATE letter SET at = {first}; UPDATE pending SET opened = {first} WHERE state = 2"))
        .expect("the schema is ours");
    drop(db);
    outbox.operate(order("r1", Act::Retry, &[key]), "anna".to_owned()).await.expect("the writer runs");
    let again = next(&mut work).await;
    stop(outbox, ended).await;

    let (outbox, ended, mut work) = open(config(dir.path()));
    let resent = next(&mut work).await;
    assert_eq!(resent.keys, again.keys);
    outbox
        .answered(0, resent.batch, Answer { whole: false, ..all(&resent, Class::Validation) })
        .expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let (need, letter) = (need(now), read::status(dir.path(), 0).expect("it reads").letters.remove(0));
    assert_eq!((need.opened_at, need.whose.lateness), (first, "breach"));
    assert!(need.at >= now, "when it was refused last");
    assert_eq!((letter.opened_at, letter.at), (need.opened_at, need.at));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_target_that_keeps_its_refusals_gets_a_retry_under_a_new_key() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lane = lane::Config { replays_errors: true, ..lane() };
    let (outbox, ended, mut work, key) = parked_in(lane, dir.path(), Class::Validation, false).await;
    let acted = outbox.operate(order("r1", Act::Retry, &[key]), "anna".to_owned()).await.expect("the writer runs");
    let again = next(&mut work).await;
    assert_eq!(acted[0].text, format!("in line under the new key {}", again.keys[0]));
    assert_ne!(again.keys, [key]);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_is_skipped_is_never_sent_and_frees_its_subject_over_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let acted = outbox.operate(order("r1", Act::Skip, &[key]), "anna".to_owned()).await.expect("the writer runs");
    assert!(acted[0].done, "{acted:?}");
    let successor = next(&mut work).await;
    assert_ne!(successor.keys, [key]);
    stop(outbox, ended).await;
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.lanes[0].skipped, status.lanes[0].delivered, status.dead_letters), (1, 0, 0));
    let (outbox, ended, mut work) = open(config(dir.path()));
    assert_eq!(next(&mut work).await.keys, successor.keys, "it was under way, and nothing comes before it");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_may_be_there_is_sent_under_a_new_key_by_two_persons_only() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, true).await;
    let ask = |request: &str, act, actor: &str| outbox.operate(order(request, act, &[key]), actor.to_owned());
    let refused = ask("r1", Act::Retry, "anna").await.expect("the writer runs");
    assert!(!refused[0].done && refused[0].text.contains("could post it twice"), "{refused:?}");
    let asked = ask("r2", Act::Repost, "anna").await.expect("the writer runs");
    assert!(asked[0].done && asked[0].text.contains("another person"), "{asked:?}");
    let now = parked::audit(dir.path(), None, 1).expect("it reads")[0].at;
    let waits = |after: i64| parked::needs(dir.path(), None, Millis(now + after)).expect("it reads").remove(0).asked;
    let word = waits(0).expect("it waits for another person's word");
    assert_eq!((word.by.as_str(), word.at, word.until), ("anna", now, now + 86_400_000));
    assert!(waits(86_400_000).is_none(), "it counts for a day");
    let again = ask("r3", Act::Repost, "anna").await.expect("the writer runs");
    let deeds = parked::audit(dir.path(), None, 9).expect("it reads");
    let (at, until) = (Millis(deeds[0].at), Millis(deeds[0].at + 86_400_000));
    let own = format!(
        "a second word of anna, who asked for it at {at}, does not count: another user's `repost` until {until} sends it"
    );
    assert_eq!((again[0].done, &again[0].text, deeds.len()), (false, &own, 1));
    let done = ask("r4", Act::Repost, "ben").await.expect("the writer runs");
    let again = next(&mut work).await;
    assert_ne!(again.keys, [key]);
    assert_eq!(done[0].text, format!("in line under the new key {}", again.keys[0]));
    outbox.answered(0, again.batch, all(&again, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let found = read::find::find(dir.path(), &read::wanted::Wanted::parse(&again.keys[0].to_string()), 1, None)
        .expect("it reads");
    assert_eq!(
        found.events[0].deliveries[0].key,
        again.keys[0].to_string(),
        "it is found under the key that it went by"
    );
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_was_done_before_a_new_key_is_told_with_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::KeyClash, false).await;
    for actor in ["anna", "ben"] {
        outbox.operate(order(actor, Act::Repost, &[key]), actor.to_owned()).await.expect("the writer runs");
    }
    let again = next(&mut work).await;
    outbox.answered(0, again.batch, Answer { whole: false, ..all(&again, Class::Validation) }).expect("it runs");
    outbox.pulse().await.expect("it is stored");
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    assert_eq!(needs[0].key, again.keys[0].to_string());
    let deeds = parked::history(dir.path(), &needs[0]).expect("it reads");
    assert_eq!(deeds.iter().map(|deed| deed.actor.as_str()).collect::<Vec<_>>(), ["anna", "ben"]);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_document_that_is_there_is_believed_with_its_number() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::KeyClash, false).await;
    let order = Order { reference: Some("GI-9".to_owned()), ..order("r1", Act::Resolve, &[key]) };
    let acted = outbox.operate(order, "anna".to_owned()).await.expect("the writer runs");
    assert_eq!(acted[0].text, "booked as GI-9, says a person");
    next(&mut work).await;
    let found = read::find::find(dir.path(), &read::wanted::Wanted::parse("#1"), 1, None).expect("it reads");
    let delivery = &found.events[0].deliveries[0];
    assert_eq!(
        (delivery.state, delivery.reference.as_deref(), delivery.reason.as_deref()),
        ("delivered", Some("GI-9"), Some("manual"))
    );
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_helps_is_what_may_be_done() {
    for maybe in [false, true] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, _work, _) = parked_at(dir.path(), Class::Validation, maybe).await;
        let need = parked::needs(dir.path(), None, Millis(0)).expect("it reads").remove(0);
        assert_eq!((need.maybe_posted, need.action.contains("`retry`")), (maybe, !maybe), "{need:?}");
        assert_eq!(need.may.contains(&"retry"), !maybe, "{need:?}");
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn every_operator_action_has_one_audit_row_and_repeating_its_request_id_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let unknown = Id([9; 16]);
    let ask = |request: &str, keys: &[Id]| outbox.operate(order(request, Act::Retry, keys), "anna".to_owned());
    let first = ask("r1", &[key, unknown]).await.expect("the writer runs");
    assert_eq!(first.iter().map(|acted| acted.done).collect::<Vec<_>>(), [true, false]);
    let deeds = |of: &str| parked::audit(dir.path(), Some(of), 9).expect("it reads").len();
    assert_eq!((deeds(&key.to_string()), deeds("a"), deeds("b")), (1, 1, 0), "by its key and by its subject");
    let again = next(&mut work).await;
    assert_eq!(ask("r1", &[key]).await.expect("the writer runs"), first[..1], "the same answer, and nothing is done");
    outbox
        .answered(0, again.batch, Answer { whole: false, ..all(&again, Class::Validation) })
        .expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    assert_eq!(ask("r1", &[key]).await.expect("the writer runs"), first[..1]);
    assert_eq!(
        parked::needs(dir.path(), None, Millis(0)).expect("it reads").len(),
        1,
        "it was rejected again, and stays"
    );
    ask("r2", &[key]).await.expect("the writer runs");
    next(&mut work).await;
    stop(outbox, ended).await;

    let deeds = parked::audit(dir.path(), None, 10).expect("it reads");
    let told: Vec<_> =
        deeds.iter().map(|deed| (deed.actor.as_str(), deed.act.as_str(), deed.request.as_str())).collect();
    assert_eq!(told, [("anna", "retry", "r2"), ("anna", "retry", "r1")]);
    assert!(read::chain::verified(dir.path(), None).expect("it reads").is_ok_and(|chain| chain.rows == 2));
}

#[tokio::test]
async fn a_held_repeat_goes_when_a_person_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    let lost = |dup| Some(Redelivery { link: "broker".into(), session_present: false, packet: 9, dup, backlog: false });
    assert_eq!(outbox.capture(vec![plain("x", lost(false))]).await, Ok(vec![Placed::New]));
    let first = next(&mut work).await;
    outbox.answered(0, first.batch, all(&first, Class::Delivered)).expect("the writer runs");
    assert_eq!(outbox.capture(vec![plain("x", lost(true))]).await, Ok(vec![Placed::Held]));
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    assert_eq!((needs[0].state, &needs[0].may[..]), ("held", &["retry", "skip"][..]));
    let held = Id::parse(&needs[0].key).expect("a key");
    let acted = outbox.operate(order("r1", Act::Retry, &[held]), "anna".to_owned()).await.expect("the writer runs");
    assert_eq!(acted[0].text, "released: in line");
    assert_eq!(next(&mut work).await.keys, [held]);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_is_corrected_goes_in_its_place_under_a_key_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let body = |batch: &Outgoing| match &batch.errand {
        lane::Errand::Post(body) => {
            serde_json::from_slice::<serde_json::Value>(body).expect("it is JSON")["events"][0].clone()
        }
        lane::Errand::Look(_) | lane::Errand::Poll(_) => panic!("nothing is asked for"),
    };
    let change = |text: &str| vec![lane::Change::parse(text).expect("a change")];
    let edit = |request: &str, changes| Order { changes, ..order(request, Act::Edit, &[key]) };
    let refused = outbox.operate(edit("r1", change("/code=b")), "anna".to_owned()).await.expect("the writer runs");
    assert!(!refused[0].done && refused[0].text.contains("orders the posting (a)"), "{refused:?}");
    let refused = outbox.operate(edit("r2", Vec::new()), "anna".to_owned()).await.expect("the writer runs");
    assert!(!refused[0].done && refused[0].text.contains("name what is"), "{refused:?}");

    let refused = outbox.operate(edit("r2b", change("/qyt=3")), "anna".to_owned()).await.expect("the writer runs");
    assert!(!refused[0].done && refused[0].text.contains("it has no /qyt"), "{refused:?}");

    let mut added = change("/qty=3");
    added[0].new = true;
    let acted = outbox.operate(edit("r3", added), "anna".to_owned()).await.expect("the writer runs");
    let again = next(&mut work).await;
    let said = format!("corrected (/qty: \"3\" added): in line in its place, under the new key {}", again.keys[0]);
    assert_eq!(acted[0].text, said);
    let audit = parked::audit(dir.path(), None, 1).expect("it reads");
    assert_eq!((audit[0].act.as_str(), &audit[0].outcome), ("edit", &said), "what was changed is under the hash");
    let item = body(&again);
    let original = crate::event::device_event_id("dc1", "scanner", "d:1", "1", 0);
    assert_eq!(item["data"], serde_json::json!({ "code": "a", "qty": "3", "corrects": original.to_string() }));
    assert_eq!(item["seq"], "1", "where it was seen");
    let corrected = item["id"].as_str().expect("a text").to_owned();
    let item_id = corrected.clone();
    assert_ne!(corrected, original.to_string());

    // The gateway is killed before the answer: the same bytes come again.
    stop(outbox, ended).await;
    let (outbox, ended, mut work) = open(config(dir.path()));
    let resent = next(&mut work).await;
    assert_eq!((body(&resent), &resent.keys), (item, &again.keys));
    outbox.answered(0, resent.batch, all(&resent, Class::Delivered)).expect("the writer runs");
    let successor = next(&mut work).await;
    assert_eq!(body(&successor)["seq"], "2");
    for word in [again.keys[0].to_string(), corrected] {
        let found = read::find::find(dir.path(), &read::wanted::Wanted::parse(&word), 1, None).expect("it reads");
        assert_eq!(
            (found.events[0].seq, found.events[0].deliveries[0].key.as_str()),
            (1, again.keys[0].to_string().as_str())
        );
    }
    let wanted = read::wanted::Wanted::parse("#1");
    let traced = read::trace::trace(dir.path(), &wanted, 1, None, &mut |_| {}).expect("it reads");
    let told = &traced.events[0].event.deliveries[0];
    assert_eq!(told.correction.as_ref().map(|data| &data["qty"]), Some(&serde_json::json!("3")));
    assert_eq!(told.deeds.iter().map(|deed| deed.act.as_str()).collect::<Vec<_>>(), ["edit"]);
    let under: Vec<_> = told.attempts.iter().map(|tried| (tried.class.as_str(), tried.key.clone())).collect();
    assert_eq!(under[0], ("validation", Some(key.to_string())), "it went under the key that it had then");
    assert_eq!(under.last(), Some(&("delivered", None)));
    assert!(told.traceparent.contains(&item_id.replace('-', "")), "{}", told.traceparent);
    stop(outbox, ended).await;
}

/// When the lane meant to go on says nothing of a row that waits for a person.
#[tokio::test]
async fn no_attempt_is_to_come_again_before_a_decision() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let again = || {
        let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
        db.execute("UPDATE attempt SET again = at + 60000", []).expect("it is there");
        let wanted = read::wanted::Wanted::parse("#1");
        let traced = read::trace::trace(dir.path(), &wanted, 1, None, &mut |_| {}).expect("it reads");
        let told = &traced.events[0].event.deliveries[0];
        told.attempts.iter().map(|tried| tried.next_at.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(again(), [false], "a person decides");
    let acted = outbox.operate(order("r1", Act::Retry, &[key]), "anna".to_owned()).await.expect("the writer runs");
    assert!(acted[0].done, "{acted:?}");
    let sent = next(&mut work).await;
    assert_eq!(sent.keys, [key]);
    outbox.answered(0, sent.batch, all(&sent, Class::Unknown)).expect("the writer runs");
    next(&mut work).await;
    assert_eq!(again(), [false, true, false], "what is sent after that comes again, and is under way");
    stop(outbox, ended).await;
}

/// The same command again, and another one for what was dealt with, are answered.
#[tokio::test]
async fn a_damaged_row_of_the_audit_stops_no_command() {
    for done in [
        "outcome = CAST(x'ff61' AS TEXT)",
        "actor = CAST(x'ff61' AS TEXT)",
        "act = x'00ff'",
        "at = 'x'",
        "request = x'00ff'",
        "posting = x'00ff'",
    ] {
        for (class, first) in [(Class::Validation, Act::Skip), (Class::KeyClash, Act::Repost)] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let (outbox, ended, _work, key) = parked_at(dir.path(), class, false).await;
            let command = |request: &str, act| outbox.operate(order(request, act, &[key]), "anna".to_owned());
            assert!(command("r1", first).await.expect("the writer runs")[0].done);
            let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
            db.execute(&format!("UPDATE audit SET {done}"), []).expect("a bit flips");
            for (request, act) in [("r1", first), ("r2", Act::Retry), ("r3", Act::Skip)] {
                assert_eq!(command(request, act).await.expect("the writer runs").len(), 1, "{done}");
            }
            assert!(!parked::audit(dir.path(), None, 9).expect("it reads").is_empty(), "{done}");
            stop(outbox, ended).await;
        }
    }
}

#[tokio::test]
async fn a_correction_that_was_damaged_never_leaves() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let added = lane::Change { new: true, ..lane::Change::parse("/qty=3").expect("a change") };
    let order = Order { changes: vec![added], ..order("r1", Act::Edit, &[key]) };
    outbox.operate(order, "anna".to_owned()).await.expect("the writer runs");
    next(&mut work).await;
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute("UPDATE correction SET body = replace(body, '3', '4')", []).expect("the schema is ours");
    drop(db);
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.pulse().await.expect("the writer runs");
    assert!(work.try_recv().is_err());
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    assert_eq!(needs[0].class, "corrupt");
    stop(outbox, ended).await;
}

/// Scans of cartons `a` and `b` for a display, both refused.
pub(super) async fn refused_for_show(dir: &std::path::Path) -> (Outbox, Ended, mpsc::Receiver<Outgoing>, Outgoing) {
    let (out, mut work) = mpsc::channel(8);
    let shown = lane::Config { worth: Worth::Visibility, ..lane() };
    let (outbox, ended) = Outbox::open(config(dir), vec![shown], vec![out]).expect("a fresh directory opens");
    let scans = vec![counted("1", 1, "a"), counted("1", 2, "b")];
    assert_eq!(outbox.capture(scans).await, Ok(vec![Placed::New; 2]));
    let both = next(&mut work).await;
    outbox.answered(0, both.batch, Answer { whole: false, ..all(&both, Class::Validation) }).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    (outbox, ended, work, both)
}

#[tokio::test]
async fn a_later_posting_of_a_visibility_lane_closes_the_rejected_ones_before_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, _) = refused_for_show(dir.path()).await;
    assert_eq!(parked::needs(dir.path(), None, Millis(0)).expect("it reads").len(), 2);
    assert_eq!(outbox.capture(vec![counted("1", 3, "a")]).await, Ok(vec![Placed::New]));
    let later = next(&mut work).await;
    outbox.answered(0, later.batch, all(&later, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    assert_eq!(needs.iter().map(|need| need.subject.as_str()).collect::<Vec<_>>(), ["b"], "of another subject stays");
    let found = read::find::find(dir.path(), &read::wanted::Wanted::parse("#1"), 1, None).expect("it reads");
    let idle = &found.events[0].deliveries[0];
    assert_eq!(idle.state, "auto_resolved");
    assert!(idle.reason.as_ref().is_some_and(|why| why.starts_with("refused, and made idle")), "{:?}", idle.reason);
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.lanes[0].skipped, status.lanes[0].delivered, status.lanes[0].rejected), (1, 1, 1));
    stop(outbox, ended).await;
}

/// One flipped bit in a stored text is the trouble of its row: it can be listed, skipped and resolved, and all else goes on.
#[tokio::test]
async fn a_row_whose_text_is_damaged_can_be_taken_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, true).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    let flipped = "CAST(x'ff' || substr(CAST(body AS BLOB), 2) AS TEXT)";
    let subject = "CAST(x'ff' || CAST(subject AS BLOB) AS TEXT)";
    db.execute(&format!("UPDATE event SET body = {flipped}, subject = {subject} WHERE seq = 1"), [])
        .expect("the schema is ours");
    drop(db);
    assert_eq!(parked::needs(dir.path(), None, Millis(0)).expect("it reads").len(), 1);
    assert_eq!(read::status(dir.path(), 0).expect("it reads").letters.len(), 1);
    let refused = outbox.operate(order("r1", Act::Retry, &[key]), "anna".to_owned()).await.expect("the writer runs");
    assert!(!refused[0].done && refused[0].text.contains("look in the target"), "{refused:?}");
    let acted = outbox.operate(order("r2", Act::Skip, &[key]), "anna".to_owned()).await.expect("the writer runs");
    assert_eq!(acted[0].text, "taken out: it will not be posted");
    assert_ne!(next(&mut work).await.keys, [key], "the later one of its subject goes on");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn an_id_names_one_command_of_one_person() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::KeyClash, true).await;
    let ask = |act, who: &str, keys: &[Id]| outbox.operate(order("r1", act, keys), who.to_owned());
    let asked = ask(Act::Repost, "anna", &[key]).await.expect("the writer runs");
    assert!(asked[0].done, "{asked:?}");
    for (act, who, keys) in
        [(Act::Repost, "ben", [key]), (Act::Skip, "anna", [key]), (Act::Repost, "anna", [Id([9; 16])])]
    {
        let refused = ask(act, who, &keys).await.expect("the writer runs");
        assert!(!refused[0].done && refused[0].text.contains("names a `repost` by anna"), "{refused:?}");
    }
    assert_eq!(
        ask(Act::Repost, "anna", &[key]).await.expect("the writer runs"),
        asked,
        "the same again changes nothing"
    );
    let capitals = Order {
        keys: vec![Named { key: key.to_string().to_uppercase(), seen: None }],
        ..order("r2", Act::Repost, &[])
    };
    outbox.operate(capitals, "ben".to_owned()).await.expect("the writer runs");
    assert_ne!(next(&mut work).await.keys, [key]);
    stop(outbox, ended).await;
}

/// While a person looks at what was refused, it may be retried by another and refused anew, for another reason.
#[tokio::test]
async fn a_decision_is_about_what_was_shown() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let shown = || vec![parked::needs(dir.path(), None, Millis(0)).expect("it reads").remove(0).named()];
    let ask = |request: &str, act, keys: Vec<Named>| {
        outbox.operate(Order { keys, ..order(request, act, &[]) }, "anna".to_owned())
    };
    let before = shown();
    let acted = ask("r1", Act::Retry, before.clone()).await.expect("the writer runs");
    assert!(acted[0].done, "{acted:?}");
    let again = next(&mut work).await;
    outbox.answered(0, again.batch, Answer { whole: false, ..all(&again, Class::KeyClash) }).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");

    let acted = ask("r2", Act::Skip, before.clone()).await.expect("the writer runs");
    let now = shown();
    let at = now[0].seen.as_ref().expect("it was shown").at;
    let refused = format!("it was parked anew since it was shown: now key_clash, since {at}; look again");
    assert_eq!((acted[0].done, acted[0].text.as_str()), (false, refused.as_str()));
    assert_eq!(ask("r1", Act::Retry, before).await.expect("the writer runs")[0].text, "in line again under its key");

    let earlier = Seen { at: Millis(at.0 - 1), class: "key_clash".to_owned() };
    let acted = ask("r3", Act::Skip, vec![Named { key: key.to_string(), seen: Some(earlier) }]).await;
    assert!(!acted.expect("the writer runs")[0].done, "the same class, and another letter");
    let acted = ask("r4", Act::Skip, now).await.expect("the writer runs");
    assert!(acted[0].done, "{acted:?}");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_held_one_is_decided_as_it_was_shown() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("captured");
    next(&mut work).await;
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute_batch("DELETE FROM batch; UPDATE pending SET state = 3").expect("the schema is ours");
    let (outbox, ended, _work) = open(config(dir.path()));
    let need = parked::needs(dir.path(), None, Millis(0)).expect("it reads").remove(0);
    let seen = |class: &str| {
        let seen = Some(Seen { at: Millis(need.at), class: class.to_owned() });
        Order { keys: vec![Named { key: need.key.clone(), seen }], ..order(class, Act::Skip, &[]) }
    };
    for (class, done) in [("validation", false), ("held", true)] {
        let acted = outbox.operate(seen(class), "anna".to_owned()).await.expect("the writer runs");
        assert_eq!(acted[0].done, done, "{class}: {acted:?}");
    }
    stop(outbox, ended).await;
}

/// A key that names nothing to decide: what has become of it.
#[tokio::test]
async fn a_key_that_needs_nobody_says_why() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, key) = parked_at(dir.path(), Class::Validation, false).await;
    let ask = |request: &str, key| {
        let (outbox, order) = (outbox.clone(), order(request, Act::Skip, &[key]));
        async move { outbox.operate(order, "anna".to_owned()).await.expect("the writer runs").remove(0).text }
    };
    ask("r1", key).await;
    let told = ask("r2", key).await;
    let deed = parked::audit(dir.path(), None, 1).expect("it reads").remove(0);
    assert_eq!(
        told,
        format!(
            "no posting of this key needs a person any more: `skip` by anna at {}: taken out: it will not be posted; `floorgate trace {key}` tells what came of it",
            Millis(deed.at)
        )
    );
    let successor = next(&mut work).await;
    let told = ask("r3", successor.keys[0]).await;
    assert!(told.contains("it goes on by itself, or was posted; `floorgate trace"), "{told}");
    outbox
        .answered(0, successor.batch, Answer { whole: false, ..all(&successor, Class::Validation) })
        .expect("it runs");
    outbox.pulse().await.expect("it is stored");
    stop(outbox, ended).await;

    let other = lane::Config { id: "other".to_owned(), take: vec!["planted.*".to_owned()], ..lane() };
    let (outbox, ended) = Outbox::open(config(dir.path()), vec![other], vec![mpsc::channel(8).0]).expect("it opens");
    let told = outbox.operate(order("r4", Act::Skip, &[successor.keys[0]]), "anna".to_owned()).await.expect("it runs");
    assert_eq!(
        (told[0].done, told[0].text.as_str()),
        (false, "its lane outbound is not in the configuration: put it back, then decide")
    );
    stop(outbox, ended).await;
}

/// What keeps it from being sent again may show at any time, with whatever answer comes then.
#[tokio::test]
async fn a_row_that_is_given_up_has_no_answer_of_another() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (out, mut work) = mpsc::channel(8);
    let config_none = lane::Config {
        idempotency: lane::Idempotency::None,
        retry_first_ms: 0,
        max_in_flight: 2,
        max_events: 1,
        ..lane()
    };
    let (outbox, ended) = Outbox::open(config(dir.path()), vec![config_none], vec![out]).expect("it opens");
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("captured");
    let (lost, other) = (next(&mut work).await, next(&mut work).await);
    let refused = Answer { whole: false, excerpt: "b is unknown".to_owned(), ..all(&other, Class::Validation) };
    outbox.answered(0, lost.batch, all(&lost, Class::Unknown)).expect("the writer runs");
    outbox.answered(0, other.batch, refused).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    let said: Vec<_> = needs.iter().map(|need| (need.class.as_str(), need.status, need.answer.as_deref())).collect();
    assert_eq!(said, [("unresolvable", None, None), ("validation", Some(200), Some("b is unknown"))]);
    stop(outbox, ended).await;
}
