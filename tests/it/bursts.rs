//! Bursts before a fast endpoint of the posting contract, with every fault between: kills, lost answers and batches, a network
//! away for longer than keys are remembered, requests asked to slow down, a session that ended, words of the floor that mean
//! nothing to the ERP. Once with answers at once, once with a 202 for each batch and its end asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clean_room::{Endpoint, HORIZON, Hall, PATIENCE, delivery};
use crate::oracle::{Produced, judge};
use crate::witness::{Account, Agreed, Posting, account};
use crate::world::{Database, Way, mosquitto, note, wait_at_most};

/// What happens on the floor at once.
const BURST: usize = 400;
const SETTLE: Duration = Duration::from_secs(1);

/// The endpoint, with larger batches, a token that can end without its knowledge, and little patience for missing items.
fn configured(endpoint: &Endpoint, port: u16) -> String {
    let text = delivery(endpoint, port).replace("max_events = 8", "max_events = 25").replace("/token\"", "/session\"");
    text.replace("settle_delay", "reference_grace = \"1s\"\nsettle_delay")
}

fn dead_list(hall: &Hall) -> Value {
    let (_, told) = hall.gateway.say(&["dead", "list", "--json"]);
    serde_json::from_str(&told).expect("dead list --json writes JSON")
}

/// What is parked, by subject: class, category and sentence.
fn parked(hall: &Hall) -> BTreeMap<String, [String; 3]> {
    let word = |need: &Value, name: &str| need[name].as_str().unwrap_or_default().to_owned();
    let words = |need: &Value| ["class", "category", "sentence"].map(|name| word(need, name));
    let told = dead_list(hall);
    let needs = told["needs"].as_array().expect("a list").iter();
    needs.map(|need| (word(need, "subject"), words(need))).collect()
}

fn with(mut message: Value, name: &str, value: Value) -> Value {
    message[name] = value;
    message
}

/// What the ERP can't book is parked with the right words, and a person takes it out. Its keys, with what orders them.
fn nonsense(hall: &mut Hall) -> Vec<Posting> {
    let counted = |place: &str, item: &str, as_of: u64| {
        let message = json!({ "kind": "counted", "item": item, "location": place, "qty": 5, "uom": "EA" });
        (with(message, "as_of_seq", as_of.into()), "stock_count", format!("stock/{item}//{place}"))
    };
    let received = json!({ "kind": "received", "po": "UNKNOWN", "item": "SKU-1", "qty": 3, "uom": "EA", "dock": "IN" });
    let received = (received, "goods_receipt", "po/UNKNOWN".to_owned());
    let (message, tx_type, line) = counted("C-1", "SKU-1", 1_000_000);
    let id = hall.tell(message, tx_type);
    hall.produced.push(Produced { id, line });
    let refers = "erp does not know what the";
    let older = "erp refused the stock count of stock/SKU-1//C-1: bad_state: A count as of 1000000 is booked; this one is older.";
    let item = format!("{refers} stock count of stock/UNKNOWN//C-2 refers to: unknown_item: There is no item UNKNOWN.");
    let po = format!("{refers} goods receipt of po/UNKNOWN refers to: unknown_purchase: There is no po UNKNOWN.");
    let all = [
        (counted("C-1", "SKU-1", 7), ["validation", "inventory_wrong", older]),
        (counted("C-2", "UNKNOWN", 8), ["reference", "master_stale", &item]),
        (received, ["reference", "receipt_unposted", &po]),
    ];
    let (mut vain, mut expected) = (Vec::new(), BTreeMap::new());
    for ((message, tx_type, subject), words) in all {
        let key = hall.tell(message, tx_type);
        expected.insert(subject.clone(), words.map(str::to_owned));
        vain.push(posting(key, subject, false));
    }
    hall.work(BURST);
    wait_at_most(PATIENCE, "what makes no sense to be parked", &mut || parked(hall).len() == expected.len());
    assert_eq!(parked(hall), expected);
    for subject in expected.keys() {
        let (code, told) = hall.gateway.say(&["dead", "skip", subject, "--yes", "--reason", "a slip of the floor"]);
        assert_eq!(code, Some(0), "{told}");
    }
    vain
}

/// The gateway's token is worth nothing, until somebody writes the right one down.
fn a_session_ends(hall: &mut Hall) {
    let session = hall.endpoint.file("session");
    let token = std::fs::read_to_string(&session).expect("the token");
    std::fs::write(&session, "worn-out\n").expect("a file");
    hall.work(BURST);
    wait_at_most(PATIENCE, "the system to refuse who we are", &mut || {
        let told = dead_list(hall);
        assert_eq!(told["needs"], json!([]));
        told["systems"][0]["why"] == "auth"
    });
    std::fs::write(&session, token).expect("a file");
}

/// Of so much work some batches do not arrive, of others the answer is lost, and then there is no network for longer than keys are
/// remembered.
fn lose_for_longer_than_keys_are_remembered(hall: &mut Hall, work: usize) {
    hall.wire.set(Way::Patchy);
    hall.work(work);
    wait_at_most(PATIENCE, "a batch that does not arrive, and one whose answer is lost", &mut || {
        let (gone, carried) = hall.wire.patchy();
        gone > 0 && carried > 0 && hall.wire.swallowed() > 0
    });
    hall.wire.set(Way::Cut);
    let cut = Instant::now();
    wait_at_most(PATIENCE, "what keys are remembered for to pass", &mut || cut.elapsed() > HORIZON);
    hall.wire.set(Way::Open);
}

/// The same, and the keys are asked for.
fn a_long_outage(hall: &mut Hall) {
    hall.wait_settled(); // so that what is lost next are batches
    let asked = hall.wire.lookups();
    lose_for_longer_than_keys_are_remembered(hall, BURST);
    wait_at_most(PATIENCE, "keys to be asked for", &mut || hall.wire.lookups() > asked);
}

fn posting(key: String, line: String, bookable: bool) -> Posting {
    let lane = if line.starts_with("po/") { "inbound" } else { "stock" };
    Posting { key, line, lane, bookable }
}

fn witnessed(hall: &Hall, vain: Vec<Posting>) -> Account {
    let bookable = hall.produced.iter().map(|p| posting(p.id.clone(), p.line.clone(), true));
    let postings: Vec<Posting> = bookable.chain(vain).collect();
    account(&hall.wire.seen(), &postings, Agreed { horizon: HORIZON, settle: SETTLE })
}

fn bursts(arguments: &[&str]) {
    let (Some(mosquitto), Some(endpoint)) = (mosquitto(), Endpoint::start(arguments)) else { return };
    std::fs::copy(endpoint.file("token"), endpoint.file("session")).expect("a file");
    let mut hall = Hall::open_as(endpoint, &mosquitto, &configured);
    let (begun, mut dice, mut kills) = (Instant::now(), fastrand::Rng::with_seed(22), 0);
    for round in 0..4 {
        hall.work(BURST);
        hall.wait_more(dice.usize(1..BURST / 4));
        hall.endpoint.kill();
        let swallowed = hall.wire.swallowed();
        hall.work(BURST);
        hall.wire.set(Way::Deaf);
        wait_at_most(PATIENCE, "an answer to be lost", &mut || hall.wire.swallowed() > swallowed);
        if round % 2 == 0 {
            hall.endpoint.kill(); // after its commit, and nobody has its answer
        }
        hall.gateway.kill();
        kills += 1;
        hall.wire.set(Way::Open);
        hall.gateway.start_again();
        hall.work(BURST);
        hall.wait_more(dice.usize(1..BURST));
        hall.wire.set(Way::Busy(1));
        hall.work(BURST);
        wait_at_most(PATIENCE, "requests to be asked to slow down", &mut || {
            hall.gateway.status()["lanes"]
                .as_array()
                .expect("lanes")
                .iter()
                .any(|l| l["last_answer"]["class"] == "throttled")
        });
        hall.wire.set(Way::Open);
    }
    let vain = nonsense(&mut hall);
    hall.wait_settled();
    a_session_ends(&mut hall);
    a_long_outage(&mut hall);
    hall.wait_settled();
    let took = begun.elapsed();
    let judgement = judge(&hall.produced, &hall.endpoint.booked());
    assert!(judgement.is_clean(), "{judgement}");
    assert_eq!(parked(&hall), BTreeMap::new());
    let seen = witnessed(&hall, vain);
    assert!(
        seen.faults.is_empty(),
        "the network saw {} faults: {:#?}",
        seen.faults.len(),
        &seen.faults[..seen.faults.len().min(10)]
    );
    assert!(!seen.found.is_empty() && !seen.after_absent.is_empty(), "{seen:?}");
    assert!(seen.throttled > 0 && seen.shut_out > 0, "{seen:?}");
    assert_eq!(seen.accepted > 0, arguments.contains(&"--job-seconds"), "{seen:?}");
    note(
        "FIGURE",
        &format!(
            "bursts of {BURST} before an endpoint of the contract, {arguments:?}: {judgement} in {:.0} s; {} x kill -9 of the \
             endpoint, {kills} x of the gateway; {} requests with {} items, {} of them sent before, {} unanswered, {} x 429, {} x \
             401, {} x 202; {} questions for keys, {} found, {} not and sent again",
            took.as_secs_f64(),
            hall.endpoint.kills,
            seen.posts,
            seen.items,
            seen.again,
            seen.unanswered,
            seen.throttled,
            seen.shut_out,
            seen.accepted,
            seen.lookups,
            seen.found.len(),
            seen.after_absent.len(),
        ),
    );
}

#[test]
fn bursts_and_every_fault_lose_and_double_nothing_at_an_endpoint_of_the_contract() {
    bursts(&["--test-system"]);
}

#[test]
fn bursts_and_every_fault_lose_and_double_nothing_where_it_books_later() {
    bursts(&["--test-system", "--job-seconds", "0.2"]);
}

/// Without a lookup nobody but a person can tell what became of a batch that outlasts the memory for keys: nothing of it is sent
/// again, and what the person finds in the ERP is not posted twice.
#[test]
fn what_outlasts_the_memory_for_keys_is_a_persons_where_nothing_can_be_looked_up() {
    let (Some(mosquitto), Some(endpoint)) = (mosquitto(), Endpoint::start(&["--test-system"])) else { return };
    let without_lookup = |endpoint: &Endpoint, port| {
        let text = delivery(endpoint, port);
        text.lines()
            .filter(|line| !line.contains("lookup =") && !line.contains("settle_delay"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let mut hall = Hall::open_as(endpoint, &mosquitto, &without_lookup);
    lose_for_longer_than_keys_are_remembered(&mut hall, 60);
    let (mut there, mut vain) = (0, Vec::new());
    wait_at_most(PATIENCE, "something to be parked", &mut || !parked(&hall).is_empty());
    wait_at_most(PATIENCE, "a person to have seen to all of it", &mut || {
        for need in dead_list(&hall)["needs"].as_array().expect("a list") {
            let word = |name: &str| need[name].as_str().unwrap_or_default();
            assert_eq!((word("class"), word("category")), ("unresolvable", "duplicate_suspect"), "{need}");
            let (what, subject) = (word("tx_type").replace('_', " "), word("subject"));
            let sentence = format!(
                "Nobody knows whether the {what} of {subject} is in erp: it was sent, no answer told what came of it, and the target may have \
                 forgotten its key by now: look in the target whether it was posted."
            );
            assert_eq!(word("sentence"), sentence);
            let key = word("key");
            let act = if hall.endpoint.booked().iter().any(|booked| booked == key) {
                there += 1;
                hall.gateway.say(&["dead", "resolve", key, "--reference", "DOC-7", "--reason", "it is there"])
            } else {
                vain.push(key.to_owned());
                hall.gateway.say(&["dead", "skip", key, "--reason", "it is not there, and is counted anew"])
            };
            assert_eq!(act.0, Some(0), "{}", act.1);
        }
        Database::read(hall.site.data()).pending.is_empty()
    });
    assert!(there > 0 && !vain.is_empty(), "{there} were there, {} were not", vain.len());
    let (skipped, produced) = hall.produced.drain(..).partition(|produced| vain.contains(&produced.id));
    hall.produced = produced;
    let judgement = judge(&hall.produced, &hall.endpoint.booked());
    assert!(judgement.is_clean(), "{judgement}");
    let skipped: Vec<Produced> = skipped;
    let seen = witnessed(&hall, skipped.into_iter().map(|p| posting(p.id, p.line, false)).collect());
    let late: Vec<&String> = seen.faults.iter().filter(|fault| fault.contains("may be forgotten")).collect();
    assert_eq!((late, seen.lookups), (Vec::<&String>::new(), 0));
}
