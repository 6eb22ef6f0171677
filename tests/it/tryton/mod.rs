//! The gateway against a real ERP: picks, packing, goods issues, receipts, moves and counts from MQTT messages to Tryton's
//! documents, with everything in between that can fail. What Tryton's books say is held against a model of the warehouse that
//! knows neither of the two.
//!
//! `FLOORGATE_TRYTON_POSTINGS=2000` makes the long one of the short one.

mod plan;
mod shop;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{Way, note};
use plan::{Chain, Happening, mix};
use shop::{HORIZON, Shop, TIMEOUT};

/// Postings of the run with faults, unless the environment says otherwise.
const POSTINGS: usize = 200;
/// One kill or other fault for each so many postings, and each fault once at least.
const POSTINGS_A_ROUND: usize = 40;

#[test]
fn each_type_is_booked_once_and_the_books_of_a_real_erp_agree() {
    let Some(mut shop) = Shop::open() else { return };
    let mut dice = fastrand::Rng::with_seed(20);
    let (shipment, _) = shop.work.shipment(true).expect("an open shipment");
    let another = shop.work.shipment(false).expect("an open shipment").0;
    let mut chains = vec![shipment, another, shop.work.purchase().expect("an open purchase"), shop.work.counted(3, 2)];
    let booked: usize = chains.iter().map(Chain::len).sum();
    chains.push((booked..20).map(|which| shop.work.moved(which, 2)).collect());
    let day = mix(chains, &mut dice);
    for tx_type in ["pick_confirm", "pack_confirm", "goods_issue", "goods_receipt", "stock_transfer", "stock_count"] {
        assert!(day.iter().any(|happening| happening.tx_type == tx_type), "no {tx_type} in {day:?}");
    }
    shop.publish(day);
    shop.wait_settled();
    let postings = shop.judge();
    // The gateway's own word for each of them: where it is in the ERP, and that it was posted once.
    for (key, reference) in &postings {
        let (code, told) = shop.gateway.say(&["outbox", "find", key, "--json"]);
        assert!(
            code == Some(0) && told.contains(reference),
            "{key} is {reference} in the ERP, the gateway says {told}"
        );
    }
    note("FIGURE", &format!("{} postings of six types in a real ERP, each under its key once", postings.len()));
}

#[test]
fn a_real_erp_with_every_fault_has_each_posting_once_and_in_order() {
    let Some(mut shop) = Shop::open() else { return };
    let count = std::env::var("FLOORGATE_TRYTON_POSTINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(POSTINGS);
    let (begun, mut dice) = (Instant::now(), fastrand::Rng::with_seed(20));
    a_closed_period(&mut shop);
    let troubled = people(&mut shop, &mut dice);
    let rounds = (count / POSTINGS_A_ROUND).max(ROUNDS.len());
    let mut rest = shop.work.mixed(count.saturating_sub(shop.published()), &mut dice);
    let chunk = rest.len() / (rounds + 2);
    for round in 0..rounds {
        let next = rest.drain(..chunk.min(rest.len())).collect();
        ROUNDS[round % ROUNDS.len()](&mut shop, next, &mut dice);
        shop.wait_below(2 * chunk);
    }
    an_outage_longer_than_keys_are_remembered(&mut shop, rest);
    shop.wait_settled();
    let took = begun.elapsed();
    let postings = shop.judge().len();
    assert_eq!(shop.parked(), [] as [serde_json::Value; 0]);
    note(
        "FIGURE",
        &format!(
            "a real ERP with every fault: {postings} postings in {:.0} s ({:.1}/s), {} x kill -9 of the ERP ({} of them between \
             its commit and its answer), {} x of the gateway, an outage of {:.0} s with {} questions for keys; parked and mended: \
             {}; lost 0, duplicate 0, out of order 0",
            took.as_secs_f64(),
            f64::from(u32::try_from(postings).expect("a few thousand")) / took.as_secs_f64(),
            shop.kills_of_erp,
            shop.kills_after_commit,
            shop.kills_of_gateway,
            HORIZON.as_secs_f64(),
            shop.wire.lookups(),
            troubled.join(", "),
        ),
    );
}

/// A day that the ERP has closed keeps its postings, for finance to decide; nothing moves their date.
fn a_closed_period(shop: &mut Shop) {
    shop.tryton.act(&["close", "today"]);
    let moved = shop.work.moved(1, 2);
    let subject = moved.subject.clone();
    shop.publish(Chain::from([moved]));
    shop.wait_parked(&subject, "validation", "invoice_delayed", "period_closed", "erp refused the stock transfer of");
    shop.tryton.act(&["open"]);
    shop.retry(&subject);
    shop.wait_settled();
}

/// What persons do in the ERP meanwhile keeps the subjects that it touches, and no others. Tells what was parked.
fn people(shop: &mut Shop, dice: &mut fastrand::Rng) -> Vec<String> {
    let held = shop.work.shipment(false).expect("an open shipment");
    let [edited, glanced_at] = [(); 2].map(|()| shop.work.shipment(false).expect("an open shipment").0);
    let cancelled = shop.work.shipment(false).expect("an open shipment").0;
    let renamed = shop.work.item(70).to_owned();
    let moved = shop.work.moved(70, 1);
    let [held_subject, edited_subject, glanced_subject, cancelled_subject] =
        [&held.0, &edited, &glanced_at, &cancelled].map(|chain| chain[0].subject.clone());
    let moved_subject = moved.subject.clone();
    let number = |subject: &str| subject.trim_start_matches("shipment/").to_owned();
    let gone = cancelled.len();

    shop.tryton.act(&["hold", &held.1]);
    shop.tryton.act(&["edit", &number(&edited_subject), "M. Weber"]);
    shop.tryton.act(&["edit", &number(&glanced_subject), "M. Weber"]);
    shop.tryton.act(&["cancel", &number(&cancelled_subject)]);
    shop.tryton.act(&["rename", &renamed, "GONE"]);
    let others = shop.work.mixed(20, dice);
    let undisturbed: Vec<Happening> = others.iter().cloned().collect();
    shop.publish_in_vain(cancelled);
    shop.publish(mix(vec![held.0, edited, glanced_at, Chain::from([moved]), others], dice));

    let sentence = |subject: &str, what: &str| format!("erp {what} the pick confirm of {subject}");
    let refused = |subject: &str| sentence(subject, "refused");
    shop.wait_parked(&held_subject, "validation", "shipment_blocked", "order_on_hold", &refused(&held_subject));
    shop.wait_parked(&cancelled_subject, "validation", "shipment_blocked", "bad_state", &refused(&cancelled_subject));
    shop.wait_waiting(&glanced_subject, "conflict");
    shop.tryton.act(&["leave", &number(&glanced_subject)]);
    shop.wait_waiting(&moved_subject, "reference");
    let locked = sentence(&edited_subject, "kept");
    shop.wait_parked(&edited_subject, "conflict", "shipment_blocked", "concurrent", &locked);
    shop.wait_posted(&undisturbed);

    shop.tryton.act(&["release", &held.1]);
    shop.tryton.act(&["leave", &number(&edited_subject)]);
    shop.tryton.act(&["rename", "GONE", &renamed]);
    shop.retry(&held_subject);
    shop.retry(&edited_subject);
    for _ in 0..gone {
        shop.wait_parked(&cancelled_subject, "validation", "shipment_blocked", "bad_state", "erp refused the");
        shop.skip(&cancelled_subject);
    }
    shop.wait_settled();
    vec![
        "a closed period (invoice_delayed)".to_owned(),
        "an order on hold, a cancelled shipment, a locked one (shipment_blocked)".to_owned(),
    ]
}

/// One fault each, while these are under way.
const ROUNDS: [fn(&mut Shop, Chain, &mut fastrand::Rng); 10] = [
    |shop, day, dice| {
        shop.publish(day);
        std::thread::sleep(Duration::from_millis(dice.u64(0..900))); // a moment of its own, not a wait
        shop.kill_erp();
    },
    |shop, day, _| shop.strike_dead("after_commit", day),
    |shop, day, dice| {
        shop.publish(day);
        std::thread::sleep(Duration::from_millis(dice.u64(0..900)));
        shop.kill_gateway();
    },
    |shop, day, _| shop.strike("after_commit", &json!({ "do": "drop", "times": 2 }), day),
    |shop, day, _| shop.strike_dead("before_commit", day),
    |shop, day, _| {
        // It was booked, and the gateway dies while it waits for the answer.
        shop.strike("after_commit", &json!({ "do": "stall", "seconds": TIMEOUT.as_secs() + 1 }), day);
        shop.kill_gateway();
    },
    |shop, day, _| {
        shop.tryton.switch(&json!({ "throttle": { "requests": 0, "seconds": 2 } }));
        shop.publish(day);
        shop.wait_answer("throttled");
        shop.tryton.switch(&json!({}));
    },
    |shop, day, _| {
        shop.tryton.act(&["shut"]);
        shop.publish(day);
        shop.wait_answer("auth");
        shop.tryton.act(&["let-in"]);
    },
    // The gateway gives up what the ERP has not begun yet, and begins after all.
    |shop, day, _| shop.strike("before_work", &json!({ "do": "stall", "seconds": TIMEOUT.as_secs() + 1 }), day),
    |shop, day, _| shop.strike_dead("after_commit", day),
];

/// The ERP books and nobody hears of it, for longer than it would remember keys: then each key is asked for before it is
/// sent again.
fn an_outage_longer_than_keys_are_remembered(shop: &mut Shop, day: Chain) {
    let (swallowed, asked) = (shop.wire.swallowed(), shop.wire.lookups());
    shop.wire.set(Way::Deaf);
    shop.publish(day);
    shop.wait("an answer to be lost", |shop| shop.wire.swallowed() > swallowed);
    shop.wire.set(Way::Cut);
    std::thread::sleep(HORIZON); // the length of the outage, not a wait
    shop.wire.set(Way::Open);
    shop.wait("the keys to be asked for", |shop| shop.wire.lookups() > asked);
}
