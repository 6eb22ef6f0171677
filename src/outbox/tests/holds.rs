//! What a person stops stays where it is, over a restart too, until it is released.

use super::*;
use crate::lane::Act;
use crate::outbox::read::find::find;
use crate::outbox::read::holds::{Kept, holds, kept};
use crate::outbox::read::parked;
use crate::outbox::read::wanted::Wanted;

pub(super) fn hold(request: &str, scope: Scope, name: &str, on: bool) -> Hold {
    Hold { id: request.to_owned(), scope, name: name.to_owned(), on, reason: "stock count".to_owned() }
}

pub(super) async fn told(outbox: &Outbox, hold: Hold) -> (bool, String) {
    let acted = outbox.hold(hold, "anna".to_owned()).await.expect("the writer runs");
    (acted.done, acted.text)
}

/// All that was handed in is stored, and nothing of it leaves.
async fn nothing_leaves(outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>) {
    outbox.pulse().await.expect("the writer runs");
    assert!(work.try_recv().is_err(), "nothing leaves");
}

/// Two scans of carton `a`, of which the first is rejected.
async fn one_refused(dir: &tempfile::TempDir) -> (Outbox, Ended, mpsc::Receiver<Outgoing>, Outgoing) {
    let (outbox, ended, mut work) = open(config(dir.path()));
    let scans = vec![counted("1", 1, "a"), counted("1", 2, "a")];
    assert_eq!(outbox.capture(scans).await, Ok(vec![Placed::New; 2]));
    let first = next(&mut work).await;
    let refused = Answer { whole: false, ..all(&first, Class::Validation) };
    outbox.answered(0, first.batch, refused).expect("the writer runs");
    (outbox, ended, work, first)
}

#[tokio::test]
async fn a_held_lane_takes_everything_and_sends_nothing_over_a_restart_until_it_is_released() {
    for (scope, name) in [(Scope::Lane, "outbound"), (Scope::System, "erp")] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, mut work) = open(config(dir.path()));
        assert!(told(&outbox, hold("h1", scope, name, true)).await.0);
        assert_eq!(outbox.capture(vec![counted("1", 1, "a")]).await, Ok(vec![Placed::New]));
        nothing_leaves(&outbox, &mut work).await;
        stop(outbox, ended).await;
        let (outbox, ended, mut work) = open(config(dir.path()));
        assert_eq!(outbox.capture(vec![counted("1", 2, "b")]).await, Ok(vec![Placed::New]));
        nothing_leaves(&outbox, &mut work).await;
        let found = find(dir.path(), &Wanted::parse("b"), 1, None).expect("it reads");
        let said = found.events[0].deliveries[0].hold.as_ref().map(|hold| (hold.scope.as_str(), hold.name.as_str()));
        assert_eq!(said, Some((scope.name(), name)), "who looks for the shipment is told");
        let held = holds(dir.path()).expect("it reads");
        assert_eq!((held.len(), held[0].actor.as_str(), held[0].reason.as_str()), (1, "anna", "stock count"));
        assert_eq!(told(&outbox, hold("h2", scope, name, false)).await, (true, "released".to_owned()));
        assert_eq!(next(&mut work).await.keys.len(), 2);
        assert!(holds(dir.path()).expect("it reads").is_empty());
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn a_lane_of_a_held_system_stays_held_when_its_own_hold_ends() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    assert!(told(&outbox, hold("h1", Scope::Lane, "outbound", true)).await.0);
    assert!(told(&outbox, hold("h2", Scope::System, "erp", true)).await.0);
    assert!(told(&outbox, hold("h3", Scope::Lane, "outbound", false)).await.0);
    assert_eq!(outbox.capture(vec![counted("1", 1, "a")]).await, Ok(vec![Placed::New]));
    nothing_leaves(&outbox, &mut work).await;
    assert!(told(&outbox, hold("h4", Scope::System, "erp", false)).await.0);
    next(&mut work).await;
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_held_subject_waits_and_the_others_go() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    let (held, text) = told(&outbox, hold("h1", Scope::Subject, "a", true)).await;
    assert!(held && text.contains("nor what comes of it"), "{text}");
    let scans = vec![counted("1", 1, "a"), counted("1", 2, "b"), counted("1", 3, "a")];
    assert_eq!(outbox.capture(scans).await, Ok(vec![Placed::New; 3]));
    let other = next(&mut work).await;
    assert_eq!(other.keys.len(), 1, "b alone");
    outbox.answered(0, other.batch, all(&other, Class::Delivered)).expect("the writer runs");
    nothing_leaves(&outbox, &mut work).await;
    assert!(told(&outbox, hold("h0", Scope::Subject, "idle", true)).await.0);
    let waits = vec![Kept { subject: "a".to_owned(), lane: "outbound".to_owned(), rows: 2 }];
    assert_eq!(kept(dir.path(), None).expect("it reads"), waits, "nothing waits for the other one");
    stop(outbox, ended).await;
    let (outbox, ended, mut work) = open(config(dir.path()));
    nothing_leaves(&outbox, &mut work).await;
    assert!(told(&outbox, hold("h2", Scope::Subject, "a", false)).await.0);
    assert_eq!(kept(dir.path(), None).expect("it reads"), []);
    let first = next(&mut work).await;
    outbox.answered(0, first.batch, all(&first, Class::Delivered)).expect("the writer runs");
    let second = next(&mut work).await;
    assert_eq!((first.keys.len(), second.keys.len()), (1, 1), "one after the other, as ever");
    stop(outbox, ended).await;
}

/// The person who mends a rejected posting and the one who holds its shipment need not know of each other.
#[tokio::test]
async fn what_is_retried_in_a_held_subject_goes_when_the_subject_does() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, first) = one_refused(&dir).await;
    assert!(told(&outbox, hold("h1", Scope::Subject, "a", true)).await.0);
    let keys = vec![Named { key: first.keys[0].to_string(), seen: None }];
    let order = Order {
        id: "r1".to_owned(),
        act: Act::Retry,
        keys,
        reason: "mended".to_owned(),
        reference: None,
        changes: Vec::new(),
    };
    let acted = outbox.operate(order, "ben".to_owned()).await.expect("the writer runs");
    assert_eq!(acted[0].text, "in line again under its key, once its subject is released");
    nothing_leaves(&outbox, &mut work).await;
    assert!(told(&outbox, hold("h2", Scope::Subject, "a", false)).await.0);
    assert_eq!(next(&mut work).await.keys, first.keys);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_subject_is_released_behind_what_is_rejected_in_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work, _) = one_refused(&dir).await;
    assert!(told(&outbox, hold("h1", Scope::Subject, "a", true)).await.0);
    assert!(told(&outbox, hold("h2", Scope::Subject, "a", false)).await.0);
    nothing_leaves(&outbox, &mut work).await;
    assert_eq!(parked::needs(dir.path(), None, Millis(0)).expect("it reads").len(), 1);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_hold_stands_in_the_audit_once_and_a_wrong_name_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let (done, text) = told(&outbox, hold("h1", Scope::Lane, "inbound", true)).await;
    assert_eq!((done, text.as_str()), (false, "the configuration has no lane inbound, but: outbound"));
    let first = told(&outbox, hold("h2", Scope::Lane, "outbound", true)).await;
    assert_eq!(told(&outbox, hold("h2", Scope::Lane, "outbound", true)).await, first);
    assert_eq!(
        told(&outbox, hold("h3", Scope::Lane, "outbound", true)).await,
        (false, "it is held already".to_owned())
    );
    assert!(told(&outbox, hold("h4", Scope::Lane, "outbound", false)).await.0);
    assert_eq!(told(&outbox, hold("h5", Scope::Lane, "outbound", false)).await, (false, "it is not held".to_owned()));
    stop(outbox, ended).await;
    let deeds = parked::audit(dir.path(), None, 10).expect("it reads");
    let acts: Vec<_> = deeds.iter().map(|deed| (deed.act.as_str(), deed.key.as_str())).collect();
    assert_eq!(acts, [("release", "lane outbound"), ("hold", "lane outbound")]);
    assert!(read::chain::verified(dir.path(), None).expect("it reads").is_ok_and(|chain| chain.rows == 2));
}

/// A delivery and its order are one subject under two names.
#[tokio::test]
async fn what_is_held_stays_so_under_every_name_of_its_order() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let receipt = |seq: u64| {
        let position = Position::Counted { boot: Some("1".to_owned()), seq, bits: 16, ring: 32 };
        sample(position, vec![event("receipt_counted", "asn/77")], &format!("receipt {seq}"))
    };
    let takes_all = lane::Config { take: vec!["*".to_owned()], ..lane() };
    let (out, mut work) = mpsc::channel(8);
    let (outbox, ended) = Outbox::open(config(dir.path()), vec![takes_all], vec![out]).expect("it opens");
    outbox.capture(vec![receipt(1), receipt(2)]).await.expect("captured");
    let first = next(&mut work).await;
    outbox.answered(0, first.batch, Answer { whole: false, ..all(&first, Class::Validation) }).expect("it runs");
    outbox.pulse().await.expect("it runs");
    assert!(told(&outbox, hold("h1", Scope::Subject, "po/77", true)).await.0);
    assert!(told(&outbox, hold("h2", Scope::Subject, "asn/77", true)).await.0);
    let (id, keys) = ("r1".to_owned(), vec![Named { key: first.keys[0].to_string(), seen: None }]);
    let order = Order { id, act: Act::Retry, keys, reason: "mended".to_owned(), reference: None, changes: Vec::new() };
    let acted = outbox.operate(order, "ben".to_owned()).await.expect("it runs");
    assert_eq!(acted[0].text, "in line again under its key, once its subject is released");
    assert!(told(&outbox, hold("h3", Scope::Subject, "asn/77", false)).await.0, "it is held as po/77 still");
    outbox.pulse().await.expect("it runs");
    assert!(work.try_recv().is_err(), "nothing of it is sent");
    let found = find(dir.path(), &Wanted::parse("asn/77"), 10, None).expect("it reads");
    let held = found.events.iter().map(|event| event.deliveries[0].hold.as_ref().map(|hold| hold.name.as_str()));
    assert_eq!(held.collect::<Vec<_>>(), [Some("po/77"); 2]);
    assert!(told(&outbox, hold("h4", Scope::Subject, "po/77", false)).await.0);
    assert_eq!(next(&mut work).await.keys, first.keys);
    stop(outbox, ended).await;
}

/// An hour that was asked for by mistake outlasts a restart; who is asked about it ends it.
#[tokio::test]
async fn a_wait_that_the_target_asked_for_is_over_when_a_person_says_so() {
    for (scope, name) in [(Scope::Lane, "outbound"), (Scope::System, "erp")] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, mut work) = open(config(dir.path()));
        assert_eq!(outbox.capture(vec![counted("1", 1, "a")]).await, Ok(vec![Placed::New]));
        let sent = next(&mut work).await;
        assert!(!told(&outbox, hold("h1", scope, name, false)).await.0, "nobody has asked for anything");
        let busy = Answer { retry_after_ms: Some(3_600_000), whole: true, ..all(&sent, Class::Throttled) };
        outbox.answered(0, sent.batch, busy).expect("the writer runs");
        nothing_leaves(&outbox, &mut work).await;
        stop(outbox, ended).await;
        let (outbox, ended, mut work) = open(config(dir.path()));
        nothing_leaves(&outbox, &mut work).await;

        assert!(told(&outbox, hold("h2", scope, name, true)).await.0);
        assert_eq!(told(&outbox, hold("h3", scope, name, false)).await, (true, "released".to_owned()));
        nothing_leaves(&outbox, &mut work).await;
        let (done, text) = told(&outbox, hold("h4", scope, name, false)).await;
        assert!(done && text.ends_with("has asked to be left alone is over"), "{text}");
        assert_eq!(next(&mut work).await.keys, sent.keys);
        let deeds = parked::audit(dir.path(), None, 9).expect("it reads");
        assert_eq!(deeds.iter().map(|deed| deed.act.as_str()).collect::<Vec<_>>(), ["release", "release", "hold"]);
        stop(outbox, ended).await;
    }
}

/// What is rejected in such a lane is passed by for good, until a person frees it: then it is the oldest at once.
#[tokio::test]
async fn the_oldest_that_goes_is_looked_for_behind_what_is_rejected() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work, both) = operate::refused_for_show(dir.path()).await;
    assert!(told(&outbox, hold("h1", Scope::Lane, "outbound", true)).await.0); // nothing leaves, so that nothing else is stored
    let oldest = || {
        let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
        let from: i64 = db.query_row("SELECT goes_from FROM lane", [], |r| r.get(0)).expect("there is one lane");
        (from, read::lanes_of(dir.path()).expect("it reads").remove(0).oldest_tx)
    };
    assert_eq!(oldest(), (2, None));
    outbox
        .operate(operate::order("r1", Act::Retry, &[both.keys[0]]), "anna".to_owned())
        .await
        .expect("the writer runs");
    assert_eq!(oldest(), (1, Some("scan.item".to_owned())));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_is_let_go_is_the_oldest_that_goes_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    assert!(told(&outbox, hold("h1", Scope::Lane, "outbound", true)).await.0);
    assert!(told(&outbox, hold("h2", Scope::Subject, "a", true)).await.0);
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let from = || {
        let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
        db.query_row("SELECT goes_from FROM lane", [], |r| r.get::<_, i64>(0)).expect("there is one lane")
    };
    assert_eq!(from(), 2);
    assert!(told(&outbox, hold("h3", Scope::Subject, "a", false)).await.0);
    assert_eq!(from(), 1);
    stop(outbox, ended).await;
}

/// What a batch carried that can't be read may have had its effect: no row of its lane leaves before a person has looked, and all else
/// goes on.
#[tokio::test]
async fn a_batch_that_is_damaged_holds_its_lane_and_stops_no_start() {
    for damaged in ["x''", "x'81'", "CAST(rows || x'01' AS BLOB)", "x'0901'", "x'ffffffffffffffffffff'"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, mut work) = open(config(dir.path()));
        outbox.capture(vec![counted("1", 1, "a")]).await.expect("captured");
        let sent = next(&mut work).await;
        stop(outbox, ended).await;
        let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
        db.execute(&format!("UPDATE batch SET rows = {damaged}"), []).expect("the schema is ours");
        drop(db);

        let (outbox, ended, mut work) = open(config(dir.path()));
        assert_eq!(outbox.capture(vec![counted("1", 2, "b")]).await, Ok(vec![Placed::New]), "{damaged}");
        nothing_leaves(&outbox, &mut work).await;
        let held = holds(dir.path()).expect("it reads").remove(0);
        assert_eq!((held.scope.as_str(), held.name.as_str(), held.actor.as_str()), ("lane", "outbound", "floorgate"));
        assert!(held.reason.starts_with("what batch 1 carried, sent at "), "{}", held.reason);
        stop(outbox, ended).await;
        let (outbox, ended, mut work) = open(config(dir.path()));
        nothing_leaves(&outbox, &mut work).await;

        assert!(told(&outbox, hold("r1", Scope::Lane, "outbound", false)).await.0);
        assert_eq!(next(&mut work).await.keys[0], sent.keys[0], "under its key");
        stop(outbox, ended).await;
    }
}

/// Who starts the gateway again may have mended what was wrong: one row finds out, and not all that waits.
#[tokio::test]
async fn a_lane_in_a_storm_is_in_it_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    let scans = |from: u64, to: u64| (from..to).map(|n| counted("1", n, &format!("c{n}"))).collect();
    outbox.capture(scans(1, 31)).await.expect("captured");
    for _ in 0..30 {
        let refused = next(&mut work).await;
        outbox
            .answered(0, refused.batch, Answer { whole: false, ..all(&refused, Class::Validation) })
            .expect("it runs");
        outbox.pulse().await.expect("it is stored");
        if read::lanes_of(dir.path()).expect("it reads")[0].storm.is_some() {
            break;
        }
    }
    outbox.capture(scans(31, 41)).await.expect("captured");
    stop(outbox, ended).await;
    let storm = read::lanes_of(dir.path()).expect("it reads")[0].storm.clone().expect("it is in one");
    assert_eq!((storm.class.as_str(), storm.rejected > 20), ("validation", true), "{storm:?}");
    let found = find(dir.path(), &Wanted::parse("c31"), 1, None).expect("it reads");
    let waits = &found.events[0].deliveries[0];
    assert!(waits.state == "ready" && waits.lane_stopped && waits.storm == Some(storm), "{waits:?}");

    let (outbox, ended, mut work) = open(config(dir.path()));
    for tried in 1..=3 {
        let one = next(&mut work).await;
        assert_eq!(one.keys.len(), 1, "{tried}");
        outbox.pulse().await.expect("the writer runs");
        assert!(work.try_recv().is_err(), "{tried}: no other leaves beside it");
        outbox.answered(0, one.batch, all(&one, Class::Delivered)).expect("the writer runs");
    }
    outbox.pulse().await.expect("it is stored");
    assert_eq!(read::lanes_of(dir.path()).expect("it reads")[0].storm, None, "three good ones end it");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_helps_a_target_that_is_away_does_not_say_that_a_held_lane_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let sent = next(&mut work).await;
    assert!(told(&outbox, hold("h1", Scope::System, "erp", true)).await.0);
    let away = Answer { status: None, whole: true, ..all(&sent, Class::Transient) };
    outbox.answered(0, sent.batch, away).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let help = || read::lanes_of(dir.path()).expect("it reads")[0].last_answer.clone().and_then(|last| last.help);
    assert!(help().is_some_and(|help| help.starts_with("look whether the ERP runs") && !help.contains("itself")));
    assert!(told(&outbox, hold("h2", Scope::System, "erp", false)).await.0);
    next(&mut work).await;
    assert!(help().is_some_and(|help| help.ends_with("it goes on by itself")));
    stop(outbox, ended).await;
}
