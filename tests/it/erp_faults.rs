//! An ERP that dies, storms, answers half and disagrees with itself: nothing lost, nothing doubled, order kept.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::oracle::judge;
use crate::world::{Behaviour, Erp, Floor, Gateway, ItemResult, PATIENCE, Plc, Settings, Site, note, python, wait_for};

/// Every fault in turn, request by request; after the last one the endpoint is well.
fn every_fault(erp: &Erp) {
    let first = erp.request_count();
    erp.behave(move |request| match request.number - first {
        1 | 9 => Behaviour::DropBefore,
        2 | 10 => Behaviour::DropAfter,
        3 | 11 => Behaviour::Cut,
        4 => Behaviour::Status(429, Some("1")),
        5 => Behaviour::ComeBackAt(1),
        6 => Behaviour::Status(503, None),
        7 => Behaviour::Status(503, Some("1")),
        8 => Behaviour::Slow(Duration::from_millis(300)),
        _ => Behaviour::Answer,
    });
    let mut seen = 0_u32;
    erp.behave_for_items(move |_| {
        seen += 1;
        match seen {
            60..=66 => ItemResult::Retry,
            70..=73 => ItemResult::SkipSilently,
            80..=83 => ItemResult::PostSilently,
            _ => ItemResult::Post,
        }
    });
}

fn away_and_back(erp: &Erp) {
    erp.go_away();
    let before = erp.request_count();
    std::thread::sleep(Duration::from_millis(1_500)); // the length of the outage, not a wait
    assert_eq!(erp.request_count(), before, "the endpoint was away");
    erp.come_back();
}

#[test]
fn an_erp_with_every_fault_gets_each_divert_of_a_plc_once() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start(&python, &[]);
    let erp = Erp::start();
    let site = Site::new().plc(plc.port).erp(&erp.url()).batch(8);
    every_fault(&erp);
    let _gateway = Gateway::start(&site);
    plc.tell("push 300");
    wait_for("the faults to be over", || erp.request_count() > 12);
    away_and_back(&erp);
    wait_for("300 diverts at the ERP", || erp.count() >= 300);
    let judgement = judge(&plc.list("produced"), &erp.ids());
    assert!(judgement.is_clean(), "{judgement}");
    assert_eq!(erp.changed_resends(), 0, "a batch was sent again with other bytes");
    note("FIGURE", &format!("every fault, PLC: {} resends absorbed by their keys; {judgement}", erp.absorbed()));
}

#[test]
fn an_erp_with_every_fault_gets_each_scan_once_and_in_order() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site.batch(8)) else { return };
    every_fault(&floor.erp);
    floor.work();
    wait_for("the faults to be over", || floor.erp.request_count() > 12);
    away_and_back(&floor.erp);
    let count = floor.erp.count();
    wait_for("more after the outage", || floor.erp.count() > count + 100);
    floor.quiet();
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    assert_eq!(floor.erp.changed_resends(), 0, "a batch was sent again with other bytes");
    note("FIGURE", &format!("every fault, floor: {} resends absorbed; {judgement}", floor.erp.absorbed()));
}

#[test]
fn an_erp_that_says_429_is_left_alone_as_long_as_it_asks() {
    let Some(python) = python() else { return };
    for (behaviour, name) in [(true, "seconds"), (false, "an HTTP date")] {
        let (mut plc, erp) = (Plc::start(&python, &[]), Erp::start());
        let site = Site::new().plc(plc.port).erp(&erp.url());
        erp.behave(move |request| match request.number {
            1 if behaviour => Behaviour::Status(429, Some("5")),
            1 => Behaviour::ComeBackAt(5),
            _ => Behaviour::Answer,
        });
        let gateway = Gateway::start(&site);
        plc.tell("push 1");
        wait_for("a request", || erp.requests().len() == 1);
        wait_for("its answer", || gateway.status()["lanes"][0]["last_answer"]["class"] == "throttled");
        // A restart does not make it forget.
        assert!(gateway.stop(PATIENCE).success());
        gateway.start_again();
        wait_for("the divert at the ERP", || erp.count() == 1);
        let requests = erp.requests();
        let pause = requests[1].at.duration_since(requests[0].at);
        assert!(pause >= Duration::from_millis(4_900), "Retry-After of 5 s as {name}: came back after {pause:?}");
    }
}

#[test]
fn storms_of_429_and_503_pass_without_loss() {
    let Some(mut floor) = Floor::start(3, Settings::Shipped, |site| site) else { return };
    floor.erp.behave(|request| match request.number {
        ..20 => Behaviour::Status(503, None),
        20..23 => Behaviour::Status(429, Some("1")),
        23..40 if request.number.is_multiple_of(2) => Behaviour::Status(503, None),
        23..40 => Behaviour::Status(429, Some("0")),
        _ => Behaviour::Answer,
    });
    floor.work();
    wait_for("the storms to be over", || floor.erp.request_count() > 40);
    floor.quiet();
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    let requests = floor.erp.request_count();
    note("FIGURE", &format!("storms of 429 and 503: {requests} requests; {judgement}"));
}

#[test]
fn a_rejected_row_parks_its_subject_and_nobody_else() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    let wrong = crate::world::sscc(13 * 7 % 40);
    let seen = wrong.clone();
    // Its second passage is wrong; whatever comes after it of the same carton must wait for a person.
    let mut passages = HashSet::new();
    floor.erp.behave_for_items(move |effect| {
        if effect.subject == seen && effect.kind == "scan.carton" {
            passages.insert(effect.id.clone());
        }
        if effect.subject == seen && passages.len() > 1 { ItemResult::Reject } else { ItemResult::Post }
    });
    floor.scan(400);
    let produced = floor.produced();
    let parked = |line: &str| line.ends_with(&wrong);
    let others: Vec<_> = produced.iter().filter(|p| !parked(&p.line)).cloned().collect();
    let of_wrong: Vec<_> = produced.iter().filter(|p| parked(&p.line)).cloned().collect();
    assert!(of_wrong.len() > 3, "the carton passes several times");
    wait_for("everybody else", || floor.erp.count() > others.len());
    let ids = floor.erp.ids();
    let (mine, rest): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| of_wrong.iter().any(|p| p.id == *id));
    assert_eq!(mine, [of_wrong[0].id.clone()], "only the first passage of the wrong carton may be posted");
    let judgement = judge(&others, &rest);
    assert!(judgement.is_clean(), "{judgement}");
    let status = floor.gateway.status();
    assert_eq!(status["dead_letters"], 1, "{status}");
    assert_eq!(status["letters"][0]["subject"], wrong.as_str(), "{status}");
    let rejected: i64 = status["lanes"].as_array().expect("lanes").iter().filter_map(|l| l["rejected"].as_i64()).sum();
    assert_eq!(rejected, 1, "{status}");
}

/// The ERP rejects whatever comes of one carton, which passes several times.
fn one_is_rejected() -> Option<(Floor, String)> {
    let mut floor = Floor::start(5, Settings::Shipped, |site| site)?;
    let wrong = crate::world::sscc(13 * 7 % 40);
    let seen = wrong.clone();
    floor
        .erp
        .behave_for_items(move |effect| if effect.subject == seen { ItemResult::Reject } else { ItemResult::Post });
    floor.scan(400);
    Some((floor, wrong))
}

/// What keeps a carton is mended at the ERP, and a person says so: all of it is posted, each passage once and in order.
#[test]
fn a_dead_letter_goes_again_when_a_person_says_so_and_its_successors_follow() {
    let Some((mut floor, wrong)) = one_is_rejected() else { return };
    let (code, told) = floor.gateway.say(&["dead", "list"]);
    assert_eq!(code, Some(0), "{told}");
    wait_for("the dead letter", || floor.gateway.say(&["dead", "list"]).1.contains(&wrong));
    let (_, told) = floor.gateway.say(&["dead", "show", &wrong]);
    assert!(told.contains("shipment_blocked") && told.contains("you may retry, edit, resolve, skip"), "{told}");
    let (code, told) = floor.gateway.say(&["dead", "repost", &wrong, "--reason", "no document"]);
    assert!(code == Some(1) && told.contains("NOT DONE: it surely had no effect"), "{told}");

    floor.erp.behave_for_items(|_| ItemResult::Post);
    let retry = ["dead", "retry", &wrong, "--reason", "carton released", "--request", "r1"];
    let (code, told) = floor.gateway.say(&retry);
    assert!(code == Some(0) && told.contains("in line again under its key"), "{told}");
    floor.quiet();
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    assert_eq!(floor.gateway.status()["dead_letters"], 0);
    let all = ["dead", "retry", "--all", "--reason", "carton released", "--request", "r1"];
    for again in [&retry[..], &all] {
        let (code, told) = floor.gateway.say(again);
        assert!(code == Some(0) && told.contains("in line again under its key"), "the same request: {told}");
    }
    let (code, _) = floor.gateway.say(&["dead", "retry", "--all", "--reason", "carton released", "--request", "r2"]);
    assert_eq!(code, Some(1), "a new one finds nothing");
    let (code, told) = floor.gateway.say(&["dead", "audit"]);
    assert!(code == Some(0) && told.contains("retry: carton released"), "{told}");
    let (code, told) = floor.gateway.say(&["dead", "audit", "--verify"]);
    let head = told.strip_prefix("1 row, as it was written\nhead ").map(str::trim).expect("one row and its hash");
    assert_eq!(code, Some(0));
    assert!(floor.gateway.log().contains(head), "it is noted where the log is kept");
    let (code, told) = floor.gateway.say(&["dead", "audit", "--verify", "--head", head]);
    assert!(code == Some(0) && told.ends_with("the head that was noted is that of row 1\n"), "{told}");
    let (code, told) = floor.gateway.say(&["dead", "audit", "--verify", "--head", "4711", "--json"]);
    assert!(code == Some(1) && told.contains("no row of the audit has the head 4711"), "{told}");
}

#[test]
fn a_command_that_slips_out_twice_takes_one_posting_out() {
    let Some((floor, wrong)) = one_is_rejected() else { return };
    wait_for("the dead letter", || floor.gateway.say(&["dead", "list"]).1.contains(&wrong));
    let slip = ["dead", "edit", &wrong, "--set", "/qyt=3", "--reason", "one is broken"];
    let (code, told) = floor.gateway.say(&slip);
    assert!(code == Some(1) && told.contains("NOT DONE: it has no /qyt: there are /"), "{told}");

    let first = || {
        let told = floor.gateway.say(&["dead", "list", "--json"]).1;
        let list: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        list["needs"][0]["seq"].as_i64()
    };
    let number = first().expect("one needs a person");
    let (code, _) = floor.gateway.say(&["dead", "skip", "--all", "--reason", "damaged"]);
    assert_eq!((code, first()), (Some(64), Some(number)), "all is asked about, when it is one too");
    let skip = ["dead", "skip", &wrong, "--reason", "damaged"];
    let (code, told) = floor.gateway.say(&skip);
    assert!(code == Some(0) && told.starts_with(&format!("#{number}  ")), "{told}");
    wait_for("the next one of its subject", || first().is_some_and(|next| next != number));
    let next = first().expect("one needs a person");
    let (code, _) = floor.gateway.say(&skip);
    assert_eq!((code, first()), (Some(64), Some(next)), "the same words meant the one before");
    let (code, told) = floor.gateway.say(&["dead", "skip", &format!("#{next}"), "--reason", "damaged as well"]);
    assert!(code == Some(0) && told.starts_with(&format!("#{next}  ")), "{told}");
}

#[test]
fn a_carton_that_truly_passes_twice_is_posted_twice() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    floor.scan(400); // 40 codes
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    let mut passages: HashMap<String, usize> = HashMap::new();
    for effect in floor.erp.effects() {
        assert!(effect.data.to_string().contains(&effect.subject), "{effect:?}");
        *passages.entry(effect.subject).or_default() += 1;
    }
    assert!(passages.values().all(|n| *n > 1), "{passages:?}");
}
