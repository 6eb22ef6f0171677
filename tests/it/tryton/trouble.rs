//! What persons do in the ERP meanwhile, and what is parked for it: class, category and sentence of each.

use super::plan::{Chain, Happening, mix};
use super::shop::{Parked, Shop};

/// The ERP's word for the reason, and its sentence, as a person reads them of a posting.
fn parked(class: &'static str, category: &'static str, code: &'static str, what: &str, why: &str) -> Parked {
    Parked { class, category, code, sentence: format!("erp {what}: {code}: {why}") }
}

/// A day that the ERP has closed keeps its postings, for finance to decide; nothing moves their date.
pub(super) fn a_closed_period(shop: &mut Shop) {
    shop.tryton.act(&["close", "today"]);
    let moved = shop.work.moved(1, 2);
    let subject = moved.subject.clone();
    shop.publish(Chain::from([moved]));
    let what = format!("refused the stock transfer of {subject}");
    let why = "DATE lies in the stock period that was closed on DATE.";
    shop.wait_parked(&subject, &parked("validation", "invoice_delayed", "period_closed", &what, why));
    shop.tryton.act(&["open"]);
    shop.retry(&subject);
    shop.wait_settled();
}

/// A shipment that another user has to do with.
struct Meddled {
    subject: String,
    number: String,
    order: String,
    chain: Chain,
}

impl Meddled {
    fn next(shop: &mut Shop) -> Self {
        let (chain, order) = shop.work.shipment(false).expect("an open shipment");
        let subject = chain[0].subject.clone();
        Self { number: subject.trim_start_matches("shipment/").to_owned(), subject, order, chain }
    }

    /// What is said of its first posting.
    fn first(&self, verb: &str) -> String {
        format!("{verb} the pick confirm of {}", self.subject)
    }

    fn in_state(&self, state: &str) -> Parked {
        let why = format!("Shipment {} is {state}; this needs assigned.", self.number);
        parked("validation", "shipment_blocked", "bad_state", &self.first("refused"), &why)
    }
}

/// Other users of the ERP hold an order, take a shipment's goods away, cancel one, and have two open; some of the floor's words
/// mean nothing to the ERP, or more than it has. That keeps the subjects that it touches, and no others.
pub(super) fn people(shop: &mut Shop, dice: &mut fastrand::Rng) {
    let [held, edited, glanced_at, taken, cancelled] = [(); 5].map(|()| Meddled::next(shop));
    let [late, stale] = [70, 80].map(|which| (shop.work.item(which).to_owned(), shop.work.moved(which, 1)));
    let [too_much, nobodys] = [shop.work.moved(90, 100_000), shop.work.received_of("PO-9999")];
    let [late_subject, stale_subject] = [&late, &stale].map(|(_, moved)| moved.subject.clone());

    shop.tryton.act(&["hold", &held.order]);
    shop.tryton.act(&["edit", &edited.number, "M. Weber"]);
    shop.tryton.act(&["edit", &glanced_at.number, "M. Weber"]);
    shop.tryton.act(&["unassign", &taken.number]);
    shop.tryton.act(&["cancel", &cancelled.number]);
    shop.tryton.act(&["rename", &late.0, "GONE"]);
    shop.tryton.act(&["rename", &stale.0, "GONE-TOO"]);
    let others = shop.work.mixed(20, dice);
    let undisturbed: Vec<Happening> = others.iter().cloned().collect();
    shop.publish_in_vain(cancelled.chain.clone());
    shop.publish_in_vain(Chain::from([too_much.clone(), nobodys.clone()]));
    let meddled = [&held, &edited, &glanced_at, &taken].map(|shipment| shipment.chain.clone());
    let moves = [late.1, stale.1].map(|moved| Chain::from([moved]));
    shop.publish(mix(meddled.into_iter().chain(moves).chain([others]).collect(), dice));

    // What is there in time, and what is left in time, needs nobody.
    shop.wait_waiting(&late_subject, "reference");
    shop.tryton.act(&["rename", "GONE", &late.0]);
    shop.wait_waiting(&glanced_at.subject, "conflict");
    shop.tryton.act(&["leave", &glanced_at.number]);

    let why = format!("Order {} is on hold.", held.order);
    let on_hold = parked("validation", "shipment_blocked", "order_on_hold", &held.first("refused"), &why);
    shop.wait_parked(&held.subject, &on_hold);
    shop.wait_parked(&taken.subject, &taken.in_state("waiting"));
    let what = format!("kept the pick confirm of {} locked, however often it was tried", edited.subject);
    let why = format!("Shipment {} is being edited by M. Weber.", edited.number);
    shop.wait_parked(&edited.subject, &parked("conflict", "shipment_blocked", "concurrent", &what, &why));
    let what = format!("refused the stock transfer of {}", too_much.subject);
    let bin = too_much.message["from"].as_str().expect("it is moved from somewhere");
    let why = format!("[{bin}] Bin {} does not hold enough.", bin.replace('-', ""));
    shop.wait_parked(&too_much.subject, &parked("validation", "inventory_wrong", "no_stock", &what, &why));
    let what = format!("does not know what the stock transfer of {stale_subject} refers to");
    let why = format!("There is no item {}.", stale.0);
    shop.wait_parked(&stale_subject, &parked("reference", "master_stale", "unknown_item", &what, &why));
    let what = format!("does not know what the goods receipt of {} refers to", nobodys.subject);
    let why = "There is no purchase PO-9999.";
    shop.wait_parked(&nobodys.subject, &parked("reference", "receipt_unposted", "unknown_purchase", &what, why));
    shop.wait_posted(&undisturbed);

    shop.tryton.act(&["release", &held.order]);
    shop.tryton.act(&["leave", &edited.number]);
    shop.tryton.act(&["assign", &taken.number]);
    shop.tryton.act(&["rename", "GONE-TOO", &stale.0]);
    for subject in [&held.subject, &edited.subject, &taken.subject, &stale_subject] {
        shop.retry(subject);
    }
    shop.skip(&too_much.subject);
    shop.skip(&nobodys.subject);
    for happening in &cancelled.chain {
        let (what, needs) = match happening.tx_type {
            "pick_confirm" => ("pick confirm", "assigned"),
            "pack_confirm" => ("pack confirm", "picked"),
            _ => ("goods issue", "packed"),
        };
        let what = format!("refused the {what} of {}", cancelled.subject);
        let why = format!("Shipment {} is cancelled; this needs {needs}.", cancelled.number);
        let refused = parked("validation", "shipment_blocked", "bad_state", &what, &why);
        shop.wait_parked(&cancelled.subject, &refused);
        shop.skip(&cancelled.subject);
    }
    shop.wait_settled();
}
