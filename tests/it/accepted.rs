//! An ERP that answers 202 and books later: it is asked, nothing is sent twice, and nothing overtakes.

use std::time::Duration;

use crate::world::{Behaviour, Floor, Settings, note, wait_for};

/// The rows of all lanes in that state.
fn rows(floor: &Floor, state: &str) -> u64 {
    let status = floor.gateway.status();
    let lanes = status["lanes"].as_array().expect("a list of lanes");
    lanes.iter().map(|lane| lane[state].as_u64().expect("a number of rows")).sum()
}

#[test]
fn a_gateway_killed_while_a_batch_is_accepted_asks_again_and_sends_nothing_twice() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site.batch(8)) else { return };
    floor.erp.behave(|_| Behaviour::Accept(Duration::from_secs(10)));
    floor.scan(120);
    wait_for("the first of each subject to be accepted, and told so by the disk", || {
        let accepted = rows(&floor, "accepted");
        accepted > 0 && rows(&floor, "sending") == 0 && accepted == floor.erp.at_work() as u64
    });
    assert!(rows(&floor, "ready") > 0, "the later ones of their subjects wait");
    let subject = floor.erp.accepted_subject().expect("something is accepted");
    let (_, told) = floor.gateway.say(&["outbox", "find", &subject]);
    assert!(told.contains(": accepted since ") && told.contains("asked at http://127.0.0.1:"), "{told}");
    floor.gateway.kill();
    let (requests, polls, effects) = (floor.erp.request_count(), floor.erp.polls(), floor.erp.count());
    floor.gateway.start_again();
    wait_for("the gateway to ask again", || floor.erp.polls() > polls);
    wait_for("what was accepted to be booked", || floor.erp.count() > effects);
    floor.erp.behave(|request| match request.number % 3 {
        0 => Behaviour::Accept(Duration::from_millis(1_500)),
        _ => Behaviour::Answer,
    });
    floor.quiet();
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    assert_eq!(floor.erp.again_at_work(), 0, "what was accepted was sent again");
    assert_eq!(floor.erp.absorbed(), 0, "what was booked was sent again");
    let (after, polls) = (floor.erp.request_count() - requests, floor.erp.polls());
    note(
        "FIGURE",
        &format!("202 and a kill: {requests} posts before it, {after} after; {polls} questions; {judgement}"),
    );
}
