//! A system that takes nothing, and a lane of which everything is rejected: told once, shown, and over by itself.

use serde_json::Value;

use crate::world::{Behaviour, Floor, ItemResult, Settings, wait_for};

fn system(floor: &Floor) -> Value {
    let (_, said) = floor.gateway.say(&["status", "--json"]);
    let status: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("status --json wrote {said:?}: {e}"));
    status["gateway"]["systems"][0].clone()
}

/// One scan, and an ERP that does not accept the token: the breaker is open.
fn refused_for_its_token() -> Option<Floor> {
    let mut floor = Floor::start(5, Settings::Shipped, |site| site)?;
    floor.erp.behave(|_| Behaviour::Status(401, None));
    floor.scan(1);
    wait_for("the breaker to be open", || system(&floor)["breaker"] == "open");
    Some(floor)
}

fn said(floor: &Floor, what: &str) -> usize {
    floor.gateway.log().matches(what).count()
}

#[test]
fn an_open_breaker_is_told_once_shown_and_closed_by_three_rows() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    wait_for("the breaker to be shown", || system(&floor)["breaker"] == "closed");
    floor.erp.behave(|_| Behaviour::Status(500, None));
    floor.scan(60);
    wait_for("the breaker to be open", || system(&floor)["breaker"] == "open");
    let shown = system(&floor);
    assert_eq!((&shown["system"], &shown["why"]), (&"erp".into(), &"failing".into()), "{shown}");
    let (_, text) = floor.gateway.say(&["status"]);
    assert!(text.contains("\nsystem erp: breaker open for ") && text.contains("HTTP 500"), "{text}");
    let helps = "  what helps: ask the ERP team for the error in its log; it goes on by itself\n";
    assert!(text.contains(helps), "{text}");
    let (_, listed) = floor.gateway.say(&["dead", "list"]);
    assert!(listed.starts_with("system erp: breaker open for "), "one exception for all that waits: {listed}");
    let requests = floor.erp.request_count();
    wait_for("the system to be tried", || floor.erp.request_count() > requests + 3);
    assert!(floor.erp.requests().iter().skip(requests + 1).all(|request| request.keys.len() == 1), "by single rows");
    assert_eq!(said(&floor, "the breaker is open"), 1, "{}", floor.gateway.log());
    floor.erp.behave_well();
    wait_for("the breaker to be closed", || system(&floor)["breaker"] == "closed");
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    let listed: Value = serde_json::from_str(&floor.gateway.say(&["dead", "list", "--json"]).1).expect("JSON");
    assert_eq!(listed["systems"], Value::Array(Vec::new()), "{listed}");
    assert_eq!(said(&floor, "the breaker is closed"), 1, "{}", floor.gateway.log());
    assert_eq!(floor.gateway.status()["dead_letters"], 0);
}

#[test]
fn a_credential_that_works_again_is_told_before_three_rows_have_closed_the_breaker() {
    let Some(mut floor) = refused_for_its_token() else { return };
    let (_, text) = floor.gateway.say(&["status"]);
    assert!(text.contains(" ago: the ERP does not accept our credentials (HTTP 401)\n"), "{text}");
    floor.erp.behave_well();
    wait_for("the one row to be posted", || system(&floor)["good"] == 1);
    for verb in [&["status"][..], &["dead", "list"], &["outbox", "status"]] {
        let (_, text) = floor.gateway.say(verb);
        let told = "system erp: accepts our credentials again, for ";
        assert!(text.contains(told) && !text.contains("breaker open"), "{verb:?}: {text}");
    }
    floor.scan(2);
    wait_for("the breaker to be closed", || system(&floor)["breaker"] == "closed");
}

/// Opened by a refused token, asked for fewer requests since, and then held by a person: each is told when it is so.
#[test]
fn a_breaker_is_told_by_the_last_answer_and_by_what_is_tried_next() {
    let Some(floor) = refused_for_its_token() else { return };
    floor.erp.behave(|_| Behaviour::Status(429, Some("600")));
    wait_for("its newest answer to be told", || system(&floor)["why"] == "throttled");
    let say = |args: &[&str]| floor.gateway.say(args).1;
    for verb in [&["status"][..], &["dead", "list"], &["outbox", "status"]] {
        let text = say(verb);
        let told =
            ["system erp: breaker open for ", ", throttled, the last time ", "(HTTP 429)", "  one row is sent in "];
        assert!(told.iter().all(|told| text.contains(told)) && !text.contains("HTTP 401"), "{verb:?}: {text}");
    }
    let answered = format!("#{}", system(&floor)["seq"]);
    let told = format!("  `floorgate trace '{answered}'` shows the answer\n");
    let text = say(&["status"]);
    assert!(text.contains(&told), "{text}");
    wait_for("its answer to be stored", || say(&["trace", &answered]).contains("HTTP 429"));

    let (code, said) = floor.gateway.say(&["hold", "system", "erp", "--reason", "ERP update"]);
    assert_eq!(code, Some(0), "{said}");
    for verb in [&["status"][..], &["dead", "list"], &["outbox", "status"]] {
        let text = say(verb);
        let held = ": ERP update; nothing is tried until `floorgate release system erp --reason …`\n";
        assert!(text.contains(held) && !text.contains("one row is sent"), "{verb:?}: {text}");
        assert!(!text.contains("again in "), "{verb:?}: {text}");
    }
    let other = say(&["dead", "list", "--class", "validation"]);
    assert!(
        other.starts_with("nothing is as was asked for, but other systems, lanes or subjects stand still: "),
        "{other}"
    );
}

#[test]
fn a_lane_of_which_everything_is_rejected_is_one_trouble_and_goes_on_behind_a_persons_retry() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site.batch(10)) else { return };
    floor.erp.behave_for_items(|_| ItemResult::Reject);
    floor.scan(300);
    wait_for("the lane to be stopped", || !system(&floor)["stopped"].as_array().is_none_or(Vec::is_empty));
    let (_, text) = floor.gateway.say(&["status"]);
    assert!(text.contains("\nlane outbound: STOPPED, ") && text.contains("rows were rejected (validation"), "{text}");
    let (_, listed) = floor.gateway.say(&["dead", "list"]);
    assert_eq!(listed.matches("lane outbound: STOPPED, ").count(), 1, "{listed}");
    let letters = |status: &Value| status["dead_letters"].as_i64().expect("a number");
    wait_for("what stopped it, and what was under way, to be stored", || {
        let status = floor.gateway.status();
        let lanes = status["lanes"].as_array().expect("a list");
        letters(&status) > 20 && lanes.iter().all(|lane| lane["sending"] == 0)
    });
    let letters = letters(&floor.gateway.status());
    assert!((21..=60).contains(&letters), "{letters} of 300");
    assert_eq!(said(&floor, "too many rows are rejected"), 1, "{}", floor.gateway.log());

    floor.erp.behave_for_items(|_| ItemResult::Post);
    let (code, said_of) = floor.gateway.say(&["dead", "retry", "--all", "--yes", "--reason", "the item is there now"]);
    assert_eq!(code, Some(0), "{said_of}");
    wait_for("the lane to go on", || system(&floor)["stopped"].as_array().is_some_and(Vec::is_empty));
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
}

/// Whoever holds what is printed on a carton means the carton.
#[test]
fn a_subject_is_held_by_a_name_that_postings_have() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site.batch(10)) else { return };
    floor.scan(1);
    wait_for("a posting", || floor.erp.count() == 1);
    let hold = |name: &str, more: &[&str]| {
        floor.gateway.say(&[&["hold", "subject", name, "--reason", "recall", "--json"], more].concat())
    };
    let found: Value = serde_json::from_str(&floor.gateway.say(&["outbox", "find", "#1", "--json"]).1).expect("JSON");
    let subject = found["events"][0]["subject"].as_str().expect("it has one");
    let barcode = "(00)395212345000000262";
    for (name, meant) in [(barcode, "395212345000000262"), (&format!("carton/{subject}"), subject)] {
        let (code, said) = hold(name, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("did you mean `floorgate hold subject {meant}`?")), "{said}");
    }
    for (name, more) in [(subject, &[][..]), ("395212345000000262", &[]), (barcode, &["--yes"])] {
        let (code, said) = hold(name, more);
        assert_eq!(code, Some(0), "{said}");
    }
}
