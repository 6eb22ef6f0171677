//! The gateway against a real ERP: picks, packing, goods issues, receipts, moves and counts from MQTT messages to Tryton's
//! documents, with everything in between that can fail. What Tryton's books say is held against a model of the warehouse that
//! knows neither of the two.
//!
//! `FLOORGATE_TRYTON_POSTINGS=2000` makes the long one of the short one.

mod kinds;
mod plan;
mod shop;
mod trouble;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{Way, note};
use plan::{Chain, mix};
use shop::{HORIZON, Shop, TIMEOUT};
use trouble::{a_closed_period, people};

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
    people(&mut shop, &mut dice);
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
    let seen = shop.account();
    assert!(!seen.found.is_empty(), "what the ERP had booked before the outage was asked for, and found");
    assert!(!seen.after_absent.is_empty(), "what never came to it was asked for, and sent again");
    let parked: Vec<String> =
        shop.parkings.iter().map(|((class, category), n)| format!("{n} {class} ({category})")).collect();
    note(
        "FIGURE",
        &format!(
            "a real ERP with every fault: {postings} postings in {:.0} s ({:.1}/s), {} x kill -9 of the ERP ({} of them between \
             its commit and its answer), {} x of the gateway, an outage of {:.0} s",
            took.as_secs_f64(),
            f64::from(u32::try_from(postings).expect("a few thousand")) / took.as_secs_f64(),
            shop.kills_of_erp,
            shop.kills_after_commit,
            shop.kills_of_gateway,
            HORIZON.as_secs_f64(),
        ),
    );
    note(
        "FIGURE",
        &format!(
            "the same as the network saw it: {} requests with {} items, {} of them sent before; {} requests unanswered, {} x 429, \
             {} x 401, {} x 202; {} items known there already, {} questions for keys, {} keys found by them, {} not and sent again",
            seen.posts,
            seen.items,
            seen.again,
            seen.unanswered,
            seen.throttled,
            seen.shut_out,
            seen.accepted,
            seen.duplicates,
            seen.lookups,
            seen.found.len(),
            seen.after_absent.len(),
        ),
    );
    note(
        "FIGURE",
        &format!(
            "the same: parked and mended or taken out: {}; lost 0, duplicate 0, out of order 0",
            parked.join(", ")
        ),
    );
}

/// One fault each, while these are under way.
const ROUNDS: [fn(&mut Shop, Chain, &mut fastrand::Rng); 12] = [
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
        shop.wait_trouble("auth", "the ERP does not accept our credentials (HTTP 401)");
        shop.tryton.act(&["let-in"]);
    },
    // The gateway gives up what the ERP has not begun yet, and begins after all.
    |shop, day, _| shop.strike("before_work", &json!({ "do": "stall", "seconds": TIMEOUT.as_secs() + 1 }), day),
    |shop, day, _| shop.strike_dead("after_commit", day),
    // Something on the way to it asks for fewer requests.
    |shop, day, _| {
        shop.wire.set(Way::Busy(2));
        shop.publish(day);
        shop.wait_answer("throttled");
        shop.wire.set(Way::Open);
    },
    // It has taken batches over, to book them later, and dies.
    |shop, day, _| {
        shop.tryton.switch(&json!({ "jobs": { "delay": 1 } }));
        shop.publish(day);
        shop.wait("a batch to be accepted", |shop| shop.account().accepted > 0);
        shop.kill_erp();
        shop.tryton.switch(&json!({}));
    },
];

/// Some batches never arrive and others are booked and nobody hears of it, and then there is no network for longer than the ERP
/// would remember keys: each key is asked for before it is sent again, and what was booked is not.
fn an_outage_longer_than_keys_are_remembered(shop: &mut Shop, day: Chain) {
    shop.wait_settled(); // so that what is lost next are batches
    let (swallowed, asked) = (shop.wire.swallowed(), shop.wire.lookups());
    shop.wire.set(Way::Patchy);
    shop.publish(day);
    shop.wait("a batch that does not arrive, and one whose answer is lost", |shop| {
        let (gone, carried) = shop.wire.patchy();
        gone > 0 && carried > 0 && shop.wire.swallowed() > swallowed
    });
    shop.wire.set(Way::Cut);
    std::thread::sleep(HORIZON); // the length of the outage, not a wait
    shop.wire.set(Way::Open);
    shop.wait("the keys to be asked for", |shop| shop.wire.lookups() > asked);
}
