//! kill -9 of the gateway, aimed at each gap of the way and at random; an id oracle outside says what came of each scan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::world::{Behaviour, Database, Floor, Settings, note, wait_at_most, wait_for};

const ROUNDS: usize = 28;
const AIM: Duration = Duration::from_secs(20);

/// Where kills fell, as seen from outside; one kill may fall into several gaps at once.
#[derive(Debug, Default)]
struct Gaps {
    before_puback: usize,
    before_answer: usize,
    before_settle: usize,
    elsewhere: usize,
}

/// Reads the file, the proxy and the endpoint right after a kill.
fn classify(floor: &Floor, answered: &std::collections::HashSet<String>, first_request: usize, gaps: &mut Gaps) {
    let database = Database::read(floor.site.data());
    let requests = floor.erp.requests();
    let puback = floor.committed_without_puback(&database) > 0;
    let answer = requests[first_request.min(requests.len())..].iter().any(|r| !r.answered);
    let settle = answered.iter().any(|key| database.is_pending(key));
    gaps.before_puback += usize::from(puback);
    gaps.before_answer += usize::from(answer);
    gaps.before_settle += usize::from(settle);
    gaps.elsewhere += usize::from(!puback && !answer && !settle);
}

/// Kills the gateway in the way of this round.
fn kill(floor: &Floor, round: usize) {
    let gateway = floor.gateway.clone();
    let killed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&killed);
    match round % 4 {
        0 => {
            floor.proxy.withhold();
            assert!(floor.proxy.wait_withheld(AIM), "no PUBACK came in {AIM:?}");
            gateway.kill();
            return;
        }
        1 => floor.erp.behave(move |_| {
            if flag.swap(true, Ordering::SeqCst) {
                return Behaviour::Answer;
            }
            gateway.kill();
            if round % 8 == 1 { Behaviour::DropBefore } else { Behaviour::DropAfter }
        }),
        2 => floor.erp.behave(move |_| {
            let (gateway, flag) = (gateway.clone(), Arc::clone(&flag));
            Behaviour::AnswerThen(Box::new(move || {
                if !flag.swap(true, Ordering::SeqCst) {
                    gateway.kill();
                }
            }))
        }),
        _ => {
            std::thread::sleep(Duration::from_millis(fastrand::u64(0..250)));
            gateway.kill();
            return;
        }
    }
    wait_at_most(AIM, "the endpoint to kill the gateway", &mut || {
        killed.load(Ordering::SeqCst) && !floor.gateway.is_running()
    });
    floor.erp.behave_well();
}

fn kill_rounds(version: u8) {
    let Some(mut floor) = Floor::start(version, Settings::Shipped, |site| site) else { return };
    floor.work();
    let mut gaps = Gaps::default();
    for round in 0..ROUNDS {
        let (first_request, effects) = (floor.erp.request_count(), floor.erp.count());
        wait_for("the way to be in use again", || floor.erp.count() > effects);
        let before = floor.erp.answered_keys();
        kill(&floor, round);
        // The endpoint aims after its answer: then what it has answered by now counts.
        let answered = if round % 4 == 2 { floor.erp.answered_keys() } else { before };
        classify(&floor, &answered, first_request, &mut gaps);
        let subscribed = floor.proxy.subscribed();
        floor.proxy.cut();
        floor.gateway.start_again();
        floor.proxy.wait_subscribed(subscribed);
    }
    floor.quiet();
    let judgement = floor.judge();
    let (published, redelivered) = floor.proxy.published();
    note(
        "FIGURE",
        &format!(
            "{ROUNDS} x kill -9, MQTT version {version}: {} fell between commit and PUBACK, {} between send and answer, {} between \
             answer and settle, {} elsewhere; {published} messages passed, {redelivered} of them again; {} resends absorbed by \
             their keys; {judgement}",
            gaps.before_puback,
            gaps.before_answer,
            gaps.before_settle,
            gaps.elsewhere,
            floor.erp.absorbed(),
        ),
    );
    assert!(judgement.is_clean(), "{judgement}");
    assert!(gaps.before_puback > 0 && gaps.before_answer > 0 && gaps.before_settle > 0, "a gap was not hit: {gaps:?}");
    assert_eq!(floor.erp.changed_resends(), 0, "a batch was sent again with other bytes");
}

#[test]
fn kill_9_in_every_gap_loses_and_doubles_nothing_with_mqtt_5() {
    kill_rounds(5);
}

#[test]
fn kill_9_in_every_gap_loses_and_doubles_nothing_with_mqtt_3_1_1() {
    kill_rounds(3);
}
