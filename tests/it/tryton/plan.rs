//! What a floor does with the orders of the seeded Tryton, and what the ERP's books must say then. Pure: a small model of a
//! warehouse that knows neither the gateway nor Tryton's code.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

/// Something that truly happened once.
#[derive(Debug, Clone)]
pub(super) struct Happening {
    /// The floor's message, without its number.
    pub(super) message: Value,
    /// What is to be posted.
    pub(super) tx_type: &'static str,
    /// What orders it.
    pub(super) subject: String,
    effect: Effect,
}

#[derive(Debug, Clone)]
enum Effect {
    /// So much more, or less, in these places.
    Moves(Vec<(String, i64)>),
    /// So much in that place.
    Sets(String, i64),
    Packs,
    /// Everything of the shipment leaves, and its order is invoiced; `short`: something is left for a back order.
    Leaves {
        order: String,
        gone: Vec<(String, i64)>,
        short: bool,
    },
    Receives {
        po: String,
        place: String,
        qty: i64,
    },
}

/// What belongs to one subject, in order.
pub(super) type Chain = VecDeque<Happening>;

/// What is open in Tryton, made into work.
pub(super) struct Work {
    shipments: VecDeque<Value>,
    deliveries: VecDeque<Value>,
    /// Loose items, and the bin where 600 of each lie.
    bins: Vec<(String, String)>,
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Every fifth item is tracked by lot.
pub(super) fn lot(item: &str) -> Option<String> {
    let number: u32 = item.trim_start_matches("SKU-").parse().expect("seeded items are numbered");
    number.is_multiple_of(5).then(|| format!("L{number:04}-A"))
}

fn place(location: &str, item: &str, lot: Option<&str>) -> String {
    format!("{location}/{item}/{}", lot.unwrap_or_default())
}

/// `message` with the lot, if the item is tracked.
fn tracked(mut message: Value, lot: Option<&str>) -> Value {
    if let Some(lot) = lot {
        message["lot"] = lot.into();
    }
    message
}

impl Work {
    /// From what `act.py work` and `act.py books` tell.
    pub(super) fn read(work: &Value, books: &Value) -> Self {
        let list = |name: &str| work[name].as_array().expect("a list").iter().cloned().collect();
        let stock = books["stock"].as_object().expect("an object").keys();
        let bins = stock.filter_map(|place| match place.split('/').collect::<Vec<_>>()[..] {
            [bin, item, ""] if bin.starts_with("A-") => Some((item.to_owned(), bin.to_owned())),
            _ => None,
        });
        Self { shipments: list("shipments"), deliveries: list("deliveries"), bins: bins.collect() }
    }

    /// All of the next shipment: its picks, the packing, the goods issue. `short`: one line lacks a piece.
    pub(super) fn shipment(&mut self, short: bool) -> Option<(Chain, String)> {
        let shipment = self.shipments.pop_front()?;
        let number = text(&shipment, "number");
        let order = text(&shipment, "origins").split(['[', ']']).nth(1).expect("the order's name").to_owned();
        let lines = shipment["lines"].as_array().expect("its lines");
        let quantity = |line: &Value| text(line, "qty").parse::<i64>().expect("whole pieces");
        let shortest = lines.iter().position(|line| short && quantity(line) > 1);
        let happening =
            |message, tx_type, effect| Happening { message, tx_type, subject: format!("shipment/{number}"), effect };
        let (mut chain, mut gone) = (Chain::new(), Vec::new());
        for (at, line) in lines.iter().enumerate() {
            let (item, from, expected) = (text(line, "item"), text(line, "from"), quantity(line));
            let lot = lot(item);
            let qty = expected - i64::from(shortest == Some(at));
            let message = json!({ "shipment": number, "item": item, "uom": "EA", "from": from });
            let mut message = tracked(message, lot.as_deref());
            if shortest == Some(at) {
                message["kind"] = "short".into();
                message["qty_picked"] = qty.into();
                message["qty_expected"] = expected.into();
                message["reason"] = "empty_location".into();
            } else {
                message["kind"] = "picked".into();
                message["qty"] = qty.into();
            }
            let out = place("OUT", item, lot.as_deref());
            gone.push((out.clone(), -qty));
            let moves = Effect::Moves(vec![(place(from, item, lot.as_deref()), -qty), (out, qty)]);
            chain.push_back(happening(message, "pick_confirm", moves));
        }
        chain.push_back(happening(json!({ "kind": "packed", "shipment": number }), "pack_confirm", Effect::Packs));
        let leaves = Effect::Leaves { order: order.clone(), gone, short: shortest.is_some() };
        chain.push_back(happening(json!({ "kind": "left", "shipment": number }), "goods_issue", leaves));
        Some((chain, order))
    }

    /// All of the next purchase: each line in two counts.
    pub(super) fn purchase(&mut self) -> Option<Chain> {
        let delivery = self.deliveries.pop_front()?;
        let po = text(&delivery, "reference").trim_start_matches("ASN-");
        let mut chain = Chain::new();
        for line in delivery["lines"].as_array().expect("its lines") {
            let (item, all) = (text(line, "item"), text(line, "qty").parse::<i64>().expect("whole pieces"));
            let lot = lot(item);
            for qty in [all / 3, all - all / 3] {
                let message =
                    json!({ "kind": "received", "po": po, "item": item, "qty": qty, "uom": "EA", "dock": "IN" });
                let effect = Effect::Receives { po: po.to_owned(), place: place("IN", item, lot.as_deref()), qty };
                let (message, subject) = (tracked(message, lot.as_deref()), format!("po/{po}"));
                chain.push_back(Happening { message, tx_type: "goods_receipt", subject, effect });
            }
        }
        Some(chain)
    }

    /// A move of the item from its own bin.
    pub(super) fn moved(&self, which: usize, qty: i64) -> Happening {
        let (item, bin) = &self.bins[which % self.bins.len()];
        moved(item, bin, &format!("B-{:02}", 1 + which % 10), qty)
    }

    /// A receipt for a purchase that the ERP does not have.
    pub(super) fn received_of(&self, po: &str) -> Happening {
        let item = self.item(0);
        let message = json!({ "kind": "received", "po": po, "item": item, "qty": 1, "uom": "EA", "dock": "IN" });
        let effect = Effect::Receives { po: po.to_owned(), place: place("IN", item, None), qty: 1 };
        Happening { message, tx_type: "goods_receipt", subject: format!("po/{po}"), effect }
    }

    /// The item that [`Work::moved`] moves.
    pub(super) fn item(&self, which: usize) -> &str {
        &self.bins[which % self.bins.len()].0
    }

    /// Counts and moves of one item in a bin that nothing else uses: what stays there tells their order.
    pub(super) fn counted(&self, which: usize, rounds: usize) -> Chain {
        let item = self.item(which);
        let mut chain = Chain::new();
        for round in 0..rounds {
            let qty = i64::try_from(10 + (which + 7 * round) % 40).expect("a small number");
            // The floor says as of when: with each later count a later one.
            let message = json!({ "kind": "counted", "item": item, "location": "PROBE", "qty": qty, "uom": "EA", "as_of_seq": 0 });
            let effect = Effect::Sets(place("PROBE", item, None), qty);
            let subject = format!("stock/{item}//PROBE");
            chain.push_back(Happening { message, tx_type: "stock_count", subject, effect });
            chain.push_back(moved(item, "PROBE", "B-09", 2));
        }
        chain
    }

    /// About `count` happenings of all six types, those of different subjects mixed.
    pub(super) fn mixed(&mut self, count: usize, dice: &mut fastrand::Rng) -> Chain {
        let mut chains: Vec<Chain> = Vec::new();
        let (mut outbound, mut inbound, mut stock) = (0, 0, 0);
        for number in 0.. {
            let more = count.saturating_sub(outbound + inbound + stock);
            if more == 0 {
                break;
            }
            if outbound * 100 < count * 40
                && let Some((chain, _)) = self.shipment(number % 4 == 3)
            {
                outbound += chain.len();
                chains.push(chain);
            }
            if inbound * 100 < count * 15
                && let Some(chain) = self.purchase()
            {
                inbound += chain.len();
                chains.push(chain);
            }
            let moves: Chain = if number % 3 == 2 {
                self.counted(number, dice.usize(1..4))
            } else {
                (0..3).map(|step| self.moved(number * 7 + step, dice.i64(1..4))).collect()
            };
            stock += moves.len();
            chains.push(moves);
        }
        mix(chains, dice)
    }
}

fn moved(item: &str, from: &str, to: &str, qty: i64) -> Happening {
    let message = json!({ "kind": "moved", "item": item, "qty": qty, "uom": "EA", "from": from, "to": to });
    let effect = Effect::Moves(vec![(place(from, item, None), -qty), (place(to, item, None), qty)]);
    Happening { message, tx_type: "stock_transfer", subject: format!("stock/{item}//{from}"), effect }
}

/// The chains as they happen beside each other, each in its order.
pub(super) fn mix(mut chains: Vec<Chain>, dice: &mut fastrand::Rng) -> Chain {
    let mut mixed = Chain::new();
    chains.retain(|chain| !chain.is_empty());
    while !chains.is_empty() {
        let at = dice.usize(..chains.len());
        mixed.extend(chains[at].pop_front());
        if chains[at].is_empty() {
            chains.swap_remove(at);
        }
    }
    mixed
}

/// What stands in the ERP's books, as far as these happenings move it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Books {
    /// By `PLACE/ITEM/LOT`.
    pub(super) stock: BTreeMap<String, i64>,
    /// Invoices of each order that has one.
    pub(super) invoices: BTreeMap<String, i64>,
    /// How many documents there are.
    pub(super) documents: BTreeMap<&'static str, i64>,
    received: BTreeSet<String>,
}

impl Books {
    /// From what `act.py books` tells.
    pub(super) fn read(books: &Value) -> Self {
        let numbers = |value: &Value| -> BTreeMap<String, i64> {
            let number = |value: &Value| match value {
                Value::String(text) => text.parse().expect("whole pieces"),
                other => other.as_i64().expect("a number"),
            };
            value.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), number(value))).collect()
        };
        let count = |name: &str| books["documents"][name].as_i64().expect("a number");
        Self {
            stock: numbers(&books["stock"]),
            invoices: numbers(&books["invoices"]),
            documents: BTreeMap::from([
                ("counts", count("stock.inventory")),
                ("deliveries", count("stock.shipment.in")),
                ("shipments", count("stock.shipment.out")),
                ("transfers", books["transfers"].as_i64().expect("a number")),
            ]),
            received: BTreeSet::new(),
        }
    }

    /// Books one happening.
    pub(super) fn book(&mut self, happening: &Happening) {
        match &happening.effect {
            Effect::Packs => {}
            Effect::Moves(moves) => {
                self.add(moves);
                if happening.tx_type == "stock_transfer" {
                    self.count("transfers", 1);
                }
            }
            Effect::Sets(place, qty) => {
                self.stock.insert(place.clone(), *qty);
                self.count("counts", 1);
            }
            Effect::Leaves { order, gone, short } => {
                self.add(gone);
                self.invoices.insert(order.clone(), 1);
                self.count("shipments", i64::from(*short)); // the back order
            }
            Effect::Receives { po, place, qty } => {
                self.add(&[(place.clone(), *qty)]);
                // The first receipt is that of the announcement, each later one is a delivery of its own.
                let first = self.received.insert(po.clone());
                self.count("deliveries", i64::from(!first));
            }
        }
        self.stock.retain(|_, qty| *qty != 0);
    }

    /// What differs, at most a few of each; empty: nothing.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let own = |books: &Self| -> BTreeMap<String, i64> {
            let invoices = books.invoices.iter().map(|(order, n)| (format!("invoices of {order}"), *n));
            let documents = books.documents.iter().map(|(name, n)| ((*name).to_owned(), *n));
            books.stock.clone().into_iter().chain(invoices).chain(documents).collect()
        };
        let (ours, theirs) = (own(self), own(other));
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let of = |books: &BTreeMap<String, i64>, name: &str| books.get(name).copied().unwrap_or_default();
        let differ = names.into_iter().filter(|name| of(&ours, name) != of(&theirs, name));
        differ.map(|name| format!("{name}: {} expected, {} there", of(&ours, name), of(&theirs, name))).collect()
    }

    fn add(&mut self, moves: &[(String, i64)]) {
        for (place, qty) in moves {
            *self.stock.entry(place.clone()).or_default() += qty;
        }
    }

    fn count(&mut self, name: &'static str, more: i64) {
        *self.documents.entry(name).or_default() += more;
    }
}

#[test]
fn the_model_sees_what_is_missing_and_what_is_there_twice() {
    let told = json!({
        "stock": { "A-02/SKU-0001/": "600", "B-01/SKU-0005/L0005-A": "300" }, "invoices": {}, "transfers": 0,
        "documents": { "stock.inventory": 18, "stock.shipment.in": 30, "stock.shipment.out": 120 }
    });
    let line = |item: &str, qty: &str, from: &str| json!({ "item": item, "qty": qty, "from": from });
    let lines = [line("SKU-0001", "4", "A-02"), line("SKU-0005", "2", "B-01")];
    let open = json!({
        "shipments": [{ "number": "1", "origins": "1 [WEB-00001]", "lines": lines }],
        "deliveries": [{ "reference": "ASN-PO-0001", "lines": [line("SKU-0001", "9", "SUP")] }]
    });
    let mut work = Work::read(&open, &told);
    let mut day = work.shipment(true).expect("it is open").0;
    day.extend(work.purchase().expect("it is open"));
    day.extend(work.counted(0, 2));
    day.push_back(work.moved(0, 3));
    let book = |happenings: &mut dyn Iterator<Item = &Happening>| {
        let mut books = Books::read(&told);
        happenings.for_each(|happening| books.book(happening));
        books
    };
    let right = book(&mut day.iter());
    assert_eq!(right.differences(&book(&mut day.iter())), [""; 0]);
    for (at, happening) in day.iter().enumerate().filter(|(_, happening)| !matches!(happening.effect, Effect::Packs)) {
        let without =
            book(&mut day.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, happening)| happening));
        let doubled = book(&mut day.iter().chain([happening]));
        assert!(!right.differences(&without).is_empty(), "{happening:?} may be missing");
        assert!(!right.differences(&doubled).is_empty(), "{happening:?} may be there twice");
    }
}
