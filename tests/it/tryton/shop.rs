//! Floor, broker, gateway, network and ERP of one test, and what is waited for.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use floorgate::event::{device_event_id, posting_id};
use serde_json::{Value, json};

use super::plan::{Books, Chain, Happening, Work};
use crate::oracle::{Produced, judge};
use crate::witness::{Account, Agreed, Posting, account};
use crate::world::{Broker, Database, Gateway, Scanner, Settings, Site, Tryton, Wire, mosquitto, wait_at_most};

/// How long the gateway waits for an answer. Tryton books a batch in a second or two.
pub(super) const TIMEOUT: Duration = Duration::from_secs(12);
/// How long the gateway believes that keys are remembered. Tryton never forgets one.
pub(super) const HORIZON: Duration = Duration::from_secs(40);
/// How long an item may be missing before a person is asked.
pub(super) const GRACE: Duration = Duration::from_secs(15);
/// How long a request that the gateway gave up may still be at work.
const SETTLE: Duration = Duration::from_secs(2);
/// Nothing may stand still for so long.
const PATIENCE: Duration = Duration::from_mins(2);
const MAP: &str = include_str!("map.toml");
const BOOT: &str = "b1";

/// Everything of a test.
pub(super) struct Shop {
    pub(super) gateway: Gateway,
    pub(super) tryton: Tryton,
    pub(super) wire: Wire,
    pub(super) work: Work,
    pub(super) kills_of_erp: usize,
    pub(super) kills_after_commit: usize,
    pub(super) kills_of_gateway: usize,
    /// How many were parked, by class and category.
    pub(super) parkings: BTreeMap<(&'static str, &'static str), usize>,
    site: Site,
    floor: Scanner,
    before: Books,
    /// What was told of, in this order: numbered from 1. `false`: the ERP can't book it.
    told: Vec<(Happening, bool)>,
    _broker: Broker,
}

impl Shop {
    /// All started, the gateway subscribed; `None`, told as SKIPPED, where a peer is missing.
    pub(super) fn open() -> Option<Self> {
        let mosquitto = mosquitto()?;
        let tryton = Tryton::start()?;
        let broker = Broker::start(&mosquitto, Settings::Shipped);
        let wire = Wire::start(tryton.port());
        let device = "[[device]]\nid = \"floor\"\nlink = \"broker\"\nmap = \"floor@1\"\n";
        let site = Site::new().broker_with(broker.port, 5, device).delivery(delivery(&tryton, &wire));
        site.map("floor", MAP);
        let gateway = Gateway::start(&site);
        let books = tryton.act(&["books"]);
        let work = Work::read(&tryton.act(&["work"]), &books);
        let floor = Scanner::connect(broker.port, "the-floor");
        let shop = Self {
            gateway,
            tryton,
            wire,
            work,
            kills_of_erp: 0,
            kills_after_commit: 0,
            kills_of_gateway: 0,
            parkings: BTreeMap::new(),
            site,
            floor,
            before: Books::read(&books),
            told: Vec::new(),
            _broker: broker,
        };
        shop.wait("the gateway to be up", |shop| shop.gateway.say(&["status", "--json"]).1.contains("\"up\""));
        Some(shop)
    }

    /// How many happenings were told of that the ERP can book.
    pub(super) fn published(&self) -> usize {
        self.told.iter().filter(|(_, bookable)| *bookable).count()
    }

    /// The floor tells of these; the broker has them then.
    pub(super) fn publish(&mut self, day: Chain) {
        self.tell(day, true);
    }

    /// The same of what the ERP can't book.
    pub(super) fn publish_in_vain(&mut self, day: Chain) {
        self.tell(day, false);
    }

    fn tell(&mut self, day: Chain, bookable: bool) {
        for happening in day {
            self.told.push((happening, bookable));
            let (happening, _) = self.told.last().expect("just pushed");
            let mut message = happening.message.clone();
            message["boot"] = BOOT.into();
            message["seq"] = self.told.len().into();
            if let Some(as_of) = message.get_mut("as_of_seq") {
                *as_of = self.told.len().into();
            }
            self.floor.publish("floor/happened", message.to_string().as_bytes());
        }
        self.floor.flush();
    }

    /// The key of each happening's posting, by the contract's rule.
    fn keys(&self) -> Vec<String> {
        let key = |(at, (happening, _)): (usize, &(Happening, bool))| {
            let event = device_event_id("dc1", "floor", &format!("d:{BOOT}"), &(at + 1).to_string(), 0);
            posting_id(event, "erp", happening.tx_type, 0).to_string()
        };
        self.told.iter().enumerate().map(key).collect()
    }

    // ---- what is waited for

    #[track_caller]
    pub(super) fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut turn = 0;
        wait_at_most(PATIENCE, what, &mut || {
            turn = (turn + 1) % 10; // asking may cost a process: not with each turn
            turn == 1 && condition(self)
        });
    }

    fn pending(&self) -> usize {
        Database::read(self.site.data()).pending.len()
    }

    fn is_settled(&self) -> bool {
        let database = Database::read(self.site.data());
        database.events.len() == self.told.len() && database.pending.is_empty()
    }

    /// Until all that was told of is captured and at its end. What is lost never comes: the wait ends where nothing moves.
    #[track_caller]
    pub(super) fn wait_settled(&self) {
        self.wait_below(1);
        self.wait("the outbox to settle everything", Self::is_settled);
    }

    /// Until so few wait that the next fault meets fresh work.
    #[track_caller]
    pub(super) fn wait_below(&self, few: usize) {
        let mut left = usize::MAX;
        while !self.is_settled() && left >= few.max(1) {
            let before = self.pending();
            let moved = |shop: &Self| {
                let now = shop.pending();
                now < before || now < few.max(1)
            };
            self.wait("one more posting to be settled", moved);
            left = self.pending();
        }
    }

    /// Until the ERP has all of these.
    #[track_caller]
    pub(super) fn wait_posted(&self, happenings: &[Happening]) {
        let keys = self.keys();
        let is_one = |told: &Happening| happenings.iter().any(|one| one.message == told.message);
        let wanted: Vec<&String> =
            self.told.iter().zip(&keys).filter(|((told, _), _)| is_one(told)).map(|(_, key)| key).collect();
        self.wait("what nobody disturbs to be posted", |shop| {
            let database = Database::read(shop.site.data());
            wanted.iter().all(|key| !database.is_pending(key))
        });
    }

    /// Until the ERP's last word to some lane is of that class.
    #[track_caller]
    pub(super) fn wait_answer(&self, class: &str) {
        self.wait(&format!("an answer of class {class}"), |shop| {
            let status = shop.gateway.status();
            status["lanes"].as_array().expect("lanes").iter().any(|lane| lane["last_answer"]["class"] == class)
        });
    }

    /// Until the first of that subject waits for that reason.
    #[track_caller]
    pub(super) fn wait_waiting(&self, subject: &str, class: &str) {
        self.wait(&format!("{subject} to wait: {class}"), |shop| {
            let status = shop.gateway.status();
            let rows = status["waiting_rows"].as_array().expect("a list");
            let is = |row: &Value| {
                row["subject"] == subject && row["reason"].as_str().is_some_and(|why| why.starts_with(class))
            };
            rows.iter().any(is)
        });
    }

    /// What needs a person.
    pub(super) fn parked(&self) -> Vec<Value> {
        let (code, told) = self.gateway.say(&["dead", "list", "--json"]);
        assert_eq!(code, Some(0), "{told}");
        let told: Value = serde_json::from_str(&told).expect("dead list --json writes JSON");
        told["needs"].as_array().expect("a list").clone()
    }

    /// Until that subject needs a person, for that reason and no other.
    #[track_caller]
    pub(super) fn wait_parked(&mut self, subject: &str, parked: &Parked) {
        let Parked { class, category, code, sentence } = parked;
        let find = |shop: &Self| shop.parked().into_iter().find(|need| need["subject"] == subject);
        self.wait(&format!("{subject} to be parked: {code}"), |shop| find(shop).is_some());
        let need = find(self).expect("it is still there: nobody has decided");
        let word = |name: &str| need[name].as_str().unwrap_or_default();
        assert_eq!((word("class"), word("category"), word("code")), (*class, *category, *code), "{need}");
        assert_eq!(undated(word("sentence")), *sentence);
        *self.parkings.entry((class, category)).or_default() += 1;
    }

    // ---- what persons decide

    /// Mended in the ERP: it goes again under its key.
    #[track_caller]
    pub(super) fn retry(&self, subject: &str) {
        self.decide("retry", subject);
    }

    /// It will never be posted.
    #[track_caller]
    pub(super) fn skip(&self, subject: &str) {
        self.decide("skip", subject);
    }

    #[track_caller]
    fn decide(&self, act: &str, subject: &str) {
        let (code, told) = self.gateway.say(&["dead", act, subject, "--yes", "--reason", "seen to in the ERP"]);
        assert_eq!(code, Some(0), "dead {act} {subject}: {told}");
    }

    /// The one exception that stands for all that waits for the system.
    #[track_caller]
    pub(super) fn wait_trouble(&self, why: &str, sentence: &str) {
        self.wait(&format!("the system to be in trouble: {why}"), |shop| {
            let (_, told) = shop.gateway.say(&["dead", "list", "--json"]);
            let told: Value = serde_json::from_str(&told).expect("dead list --json writes JSON");
            assert_eq!(told["needs"], json!([]), "nothing is parked for what is the whole system's");
            told["systems"][0]["why"] == why
        });
        let (_, told) = self.gateway.say(&["dead", "list"]);
        assert!(told.starts_with("system erp: breaker open for ") && told.contains(sentence), "{told}");
    }

    // ---- what fails

    /// kill -9 of the ERP, and its start.
    pub(super) fn kill_erp(&mut self) {
        self.tryton.kill();
        self.kills_of_erp += 1;
        self.tryton.start_again();
    }

    /// kill -9 of the gateway, and its start.
    pub(super) fn kill_gateway(&mut self) {
        self.gateway.kill();
        self.kills_of_gateway += 1;
        self.gateway.start_again();
    }

    /// A fault at that moment of the next posting requests; the floor gives them something to post.
    #[track_caller]
    pub(super) fn strike(&mut self, moment: &str, fault: &Value, day: Chain) {
        self.tryton.switch(&json!({ moment: fault }));
        self.publish(day);
        self.wait(&format!("a fault {moment}: {fault}"), |shop| shop.tryton.has_struck(moment));
    }

    /// The ERP dies at that moment of the next posting request, as by kill -9.
    #[track_caller]
    pub(super) fn strike_dead(&mut self, moment: &str, day: Chain) {
        self.strike(moment, &json!({ "do": "exit" }), day);
        wait_at_most(PATIENCE, "the ERP to die", &mut || !self.tryton.is_running());
        self.kills_of_erp += 1;
        self.kills_after_commit += usize::from(moment == "after_commit");
        self.tryton.start_again();
    }

    // ---- the verdict

    /// What the network saw of all this.
    pub(super) fn account(&self) -> Account {
        let posting = |((happening, bookable), key): (&(Happening, bool), String)| Posting {
            key,
            line: happening.subject.clone(),
            lane: match happening.tx_type {
                "goods_receipt" => "inbound",
                stock if stock.starts_with("stock_") => "stock",
                _ => "outbound",
            },
            bookable: *bookable,
        };
        let postings: Vec<Posting> = self.told.iter().zip(self.keys()).map(posting).collect();
        account(&self.wire.seen(), &postings, Agreed { horizon: HORIZON, settle: SETTLE })
    }

    /// Holds documents, balances and keys against the model; the ERP's keys with their references.
    #[track_caller]
    pub(super) fn judge(&self) -> HashMap<String, String> {
        let books = self.tryton.act(&["books"]);
        let postings = books["postings"].as_object().expect("an object");
        let keys = self.keys();
        let wanted = self.told.iter().zip(&keys).filter(|((_, bookable), _)| *bookable);
        let produced: Vec<Produced> =
            wanted.map(|((told, _), key)| Produced { id: key.clone(), line: told.subject.clone() }).collect();
        let effects: Vec<String> = postings.keys().cloned().collect();
        let judgement = judge(&produced, &effects);
        assert!(judgement.is_clean(), "{judgement}\n{}", self.tryton.log());

        let mut model = self.before.clone();
        self.told.iter().filter(|(_, bookable)| *bookable).for_each(|(happening, _)| model.book(happening));
        let differences = model.differences(&Books::read(&books));
        assert!(differences.is_empty(), "the books differ: {differences:#?}");
        let faults = self.account().faults;
        assert!(faults.is_empty(), "the network saw {} faults: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
        let text = |value: &Value| value.as_str().expect("a reference").to_owned();
        postings.iter().map(|(key, reference)| (key.clone(), text(reference))).collect()
    }
}

/// What a parked posting says of itself.
pub(super) struct Parked {
    pub(super) class: &'static str,
    pub(super) category: &'static str,
    pub(super) code: &'static str,
    /// Whole, each date as DATE.
    pub(super) sentence: String,
}

fn undated(sentence: &str) -> String {
    let is_date = |word: &str| word.len() == 10 && word.bytes().all(|c| c == b'-' || c.is_ascii_digit());
    let words = sentence.split(' ').map(|word| match word.strip_suffix('.') {
        Some(word) if is_date(word) => "DATE.",
        _ if is_date(word) => "DATE",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn delivery(tryton: &Tryton, wire: &Wire) -> String {
    let base = format!("http://127.0.0.1:{}/erp/floorgate/v1", wire.port);
    let lane = |id: &str, class: &str, take: &str| {
        format!("[[lane]]\nid = \"{id}\"\ntarget = \"erp\"\nclass = \"{class}\"\ntake = [{take}]\n")
    };
    format!(
        "[[target]]\nid = \"erp\"\nkind = \"http\"\nurl = \"{base}/events\"\nauth = {{ bearer_file = \"{}\" }}\n\
         lookup = {{ url = \"{base}/lookup\", max_keys = 50 }}\nsettle_delay = \"{}s\"\nreference_grace = \"{}s\"\n\
         batch = {{ max_events = 4, linger = \"20ms\", format = \"json-array\", wrap = \"events\" }}\nordered_batch = true\n\
         idempotency = \"key\"\ndedup_horizon = \"{}s\"\ntimeout = \"{}s\"\nanswers = {{ items = \"/results\" }}\n\
         retry = {{ first = \"100ms\", max = \"1s\" }}\n{}{}{}",
        tryton.key_file().display(),
        SETTLE.as_secs(),
        GRACE.as_secs(),
        HORIZON.as_secs(),
        TIMEOUT.as_secs(),
        lane("outbound", "ledger", "\"pick_confirm\", \"pack_confirm\", \"goods_issue\""),
        lane("inbound", "ledger", "\"goods_receipt\""),
        lane("stock", "ledger", "\"stock_*\""),
    )
}
