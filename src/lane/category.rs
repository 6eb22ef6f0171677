//! What a parked posting means for the business, and who looks after it. Pure.
//!
//! Beside the class, which says what the machines know, stands the category: which of the warehouse's troubles it is. It is
//! decided by the transaction type and the target's own word for the reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lane::{Class, Outcome, Parked};

/// The business trouble that a parked posting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// A shipment can't leave, or left and can't be booked.
    ShipmentBlocked,
    /// A carrier gives no label: it refuses the parcel, or its address.
    LabelMissing,
    /// Goods came and are not received in the ERP.
    ReceiptUnposted,
    /// Its accounting period is closed.
    InvoiceDelayed,
    /// Stock differs between floor and ERP until it is mended.
    InventoryWrong,
    /// It may be there already, or with other content.
    DuplicateSuspect,
    /// The ERP lacks master data that the floor knows, or the other way round.
    MasterStale,
    /// What is sent, or what it was stored in, is not as agreed.
    ContractBroken,
    /// Nothing but a display waits for it.
    VisibilityOnly,
}

/// What the table of categories says of one.
struct Line {
    name: &'static str,
    owner: &'static str,
    action: &'static str,
    /// Minutes after which it is late, and after which somebody else has to hear of it.
    warn: u64,
    breach: u64,
}

const HOUR: u64 = 60;

/// What a site says of a category: who it is for, and what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desk {
    /// Who looks after it.
    pub owner: Option<String>,
    /// How they are reached.
    pub contact: Option<String>,
    /// Who else hears of it when it is later than agreed.
    pub escalate: Option<String>,
    /// Minutes after which it is late …
    pub warn: Option<u64>,
    /// … and later than agreed.
    pub breach: Option<u64>,
    /// The target's words for a reason that make a rejection one of these.
    pub codes: Vec<String>,
}

/// The desks of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desks(pub BTreeMap<Category, Desk>);

impl Desks {
    /// [`Category::of`], where the site has not said that a word of the target belongs elsewhere.
    pub fn category(&self, class: Class, tx_type: &str, code: Option<&str>, visibility: bool) -> Category {
        let named = |desk: &Desk| code.is_some_and(|code| desk.codes.iter().any(|known| known == code));
        let own = self.0.iter().find(|(_, desk)| !visibility && named(desk)).map(|(category, _)| *category);
        own.unwrap_or_else(|| Category::of(class, tx_type, code, visibility))
    }

    /// That of a posting that needs a person.
    pub fn of_parked(&self, parked: Parked, tx_type: &str, code: Option<&str>, visibility: bool) -> Category {
        match parked {
            Parked::Held if visibility => Category::VisibilityOnly,
            Parked::Held => Category::DuplicateSuspect,
            Parked::Rejected { class, .. } => self.category(class, tx_type, code, visibility),
        }
    }

    /// Whether the site has said where that word of the target belongs.
    pub fn know(&self, code: &str) -> bool {
        self.0.values().any(|desk| desk.codes.iter().any(|known| known == code))
    }

    /// Who looks after it.
    pub fn owner(&self, category: Category) -> &str {
        let owner = self.0.get(&category).and_then(|desk| desk.owner.as_deref());
        owner.unwrap_or_else(|| category.owner())
    }

    /// How its age stands against what is agreed: `ok`, `warn` or `breach`.
    pub fn lateness(&self, category: Category, age_ms: u64) -> &'static str {
        let (desk, minutes) = (self.0.get(&category), age_ms / 60_000);
        let Line { warn, breach, .. } = category.line();
        if minutes >= desk.and_then(|desk| desk.breach).unwrap_or(breach) {
            "breach"
        } else if minutes >= desk.and_then(|desk| desk.warn).unwrap_or(warn) {
            "warn"
        } else {
            "ok"
        }
    }
}

/// The target does not know a document, or a part of one.
const UNKNOWN_DOCUMENTS: [&str; 6] =
    ["unknown_order", "unknown_line", "unknown_shipment", "unknown_purchase", "unknown_request", "unknown_posting"];

/// What the words begin with that say why a carrier gives no label.
const FOR_CARRIERS: [&str; 3] = ["address_", "carrier_", "label_"];

impl Category {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ShipmentBlocked,
        Self::LabelMissing,
        Self::ReceiptUnposted,
        Self::InvoiceDelayed,
        Self::InventoryWrong,
        Self::DuplicateSuspect,
        Self::MasterStale,
        Self::ContractBroken,
        Self::VisibilityOnly,
    ];

    /// Minutes after which it is late, and later than agreed, unless the site says otherwise.
    pub fn agreed(self) -> (u64, u64) {
        let Line { warn, breach, .. } = self.line();
        (warn, breach)
    }

    /// The category of a posting that was rejected as `class`, with the target's word `code` for the reason.
    pub fn of(class: Class, tx_type: &str, code: Option<&str>, visibility: bool) -> Self {
        let code = code.unwrap_or_default();
        match class {
            _ if visibility => Self::VisibilityOnly,
            Class::KeyClash | Class::Unresolvable | Class::Unknown => Self::DuplicateSuspect,
            Class::Corrupt | Class::Poison | Class::Contract | Class::Auth => Self::ContractBroken,
            _ if code == "period_closed" => Self::InvoiceDelayed,
            _ if matches!(code, "malformed" | "unknown_tx_type" | "not_permitted") => Self::ContractBroken,
            _ if FOR_CARRIERS.iter().any(|of| code.starts_with(of)) => Self::LabelMissing,
            // What its own document lacks is no master data.
            _ if UNKNOWN_DOCUMENTS.contains(&code) => Self::of_type(tx_type),
            _ if code.starts_with("unknown_") => Self::MasterStale,
            _ => Self::of_type(tx_type),
        }
    }

    fn of_type(tx_type: &str) -> Self {
        match tx_type.split_once("_reversal").map_or(tx_type, |(original, _)| original) {
            "goods_receipt" => Self::ReceiptUnposted,
            "shipment_tracking" => Self::LabelMissing,
            "stock_transfer" | "stock_count" | "stock_adjustment" | "sequence_gap" => Self::InventoryWrong,
            _ => Self::ShipmentBlocked,
        }
    }

    fn line(self) -> Line {
        let (name, owner, action, warn, breach) = match self {
            Self::ShipmentBlocked => (
                "shipment_blocked",
                "ERP team and warehouse",
                "clear what blocks it in the ERP (a hold, a status), then `retry`",
                15,
                HOUR,
            ),
            Self::LabelMissing => (
                "label_missing",
                "customer service",
                "correct the address, or what else the carrier refuses, in the ERP; then `retry`",
                10,
                30,
            ),
            Self::ReceiptUnposted => (
                "receipt_unposted",
                "procurement",
                "reopen the purchase order or correct it, then `retry`",
                4 * HOUR,
                24 * HOUR,
            ),
            Self::InvoiceDelayed => ("invoice_delayed", "finance", "open the period, then `retry`", HOUR, 8 * HOUR),
            Self::InventoryWrong => (
                "inventory_wrong",
                "warehouse operations",
                "count the location; then `retry`, or `skip` if the count has it",
                4 * HOUR,
                24 * HOUR,
            ),
            Self::DuplicateSuspect => (
                "duplicate_suspect",
                "integration and ERP team",
                "look in the ERP whether it is there: `resolve` it then, else `retry` it",
                30,
                4 * HOUR,
            ),
            Self::MasterStale => {
                ("master_stale", "ERP team", "add what is missing to the master data, then `retry`", HOUR, 8 * HOUR)
            }
            Self::ContractBroken => {
                ("contract_broken", "integration", "correct the mapping or the endpoint, then `retry`", 5, 30)
            }
            Self::VisibilityOnly => {
                ("visibility_only", "integration", "nothing has to be done", 7 * 24 * HOUR, 7 * 24 * HOUR)
            }
        };
        Line { name, owner, action, warn, breach }
    }

    /// The name in tables and JSON.
    pub fn name(self) -> &'static str {
        self.line().name
    }

    /// Who looks after it, unless the site says otherwise.
    pub fn owner(self) -> &'static str {
        self.line().owner
    }

    /// What usually helps, of what may be done with it ([`decide`](crate::lane::decide)); `code`: the target's word for the reason, where
    /// the site does not say itself what that means.
    pub fn helps(self, parked: Parked, code: Option<&str>) -> &'static str {
        match parked {
            _ if self == Self::VisibilityOnly => self.line().action,
            Parked::Held => "look whether it was scanned twice: `skip` it then, else `retry` it",
            Parked::Rejected { class: Class::Corrupt, .. } => {
                "look in the ERP whether it is there, book it by hand if it is not, and `resolve` it; or `skip` it"
            }
            Parked::Rejected { class: Class::KeyClash, .. } => {
                "compare it with the document in the ERP: `resolve` it if that is right, else `repost` it (two persons)"
            }
            Parked::Rejected { class: Class::Unresolvable, .. } => {
                "look in the ERP whether it is there: `resolve` it then, else `repost` it (two persons)"
            }
            Parked::Rejected { maybe: true, .. } => {
                "look in the ERP whether it is there: then `resolve` it; else mend what it was refused for, and `repost` it (two \
                 persons)"
            }
            Parked::Rejected { class: Class::Validation | Class::Reference, maybe: false } => {
                code.and_then(of_code).unwrap_or(self.line().action)
            }
            Parked::Rejected { maybe: false, .. } => self.line().action,
        }
    }
}

/// What helps where the target gives this word for the reason; `None`: what usually helps in its category.
fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "no_stock" => {
            "put the stock right in the ERP (a receipt, a move or a count is missing there), then `retry`; where the floor meant \
             another place, lot or quantity, `edit` it"
        }
        "wrong_quantity" | "bad_quantity" | "uom_not_whole" | "unexpected_item" => {
            "where the floor meant something else, `edit` it (`floorgate dead edit KEY --set /qty=…`); where the document in the ERP \
             is wrong, correct that, then `retry`"
        }
        "lot_required" => {
            "`edit` it with the lot (`floorgate dead edit KEY --add /lot=…`); or have the ERP want none, then `retry`"
        }
        "malformed" => {
            "`edit` the member that is wrong or missing, and correct the map, so that the next ones are right; where the endpoint is \
             wrong, correct that, then `retry`"
        }
        "unknown_tx_type" | "not_permitted" => {
            "have the ERP team take such postings from the gateway's user, then `retry`"
        }
        Outcome::TOO_LARGE => "have the endpoint take a body of this size, then `retry`",
        "order_on_hold" | "period_closed" | "bad_state" => return None,
        code if [Outcome::REPLAYED, Outcome::ETAG_CHANGED, Outcome::ETAG_MISSING].contains(&code) => return None,
        code if FOR_CARRIERS.iter().any(|of| code.starts_with(of)) => return None,
        code if code.starts_with("unknown_") => {
            "add what is missing in the ERP, then `retry`; where the floor's number or code is wrong, `edit` it"
        }
        "erp_error" => {
            "the ERP's own words say why, and its team knows what they mean: where its data was mended, `retry`; where a member of \
             the event is wrong, `edit` it"
        }
        _ => {
            "the code is the ERP's own, and its team knows what it means: where its data was mended, `retry`; where a member of the \
             event is wrong, `edit` it"
        }
    })
}

/// The sentence that says what is wrong to somebody who knows the warehouse and not the gateway.
pub fn sentence(parked: Parked, tx_type: &str, subject: &str, system: &str, reason: &str) -> String {
    let what = format!("the {} of {subject}", spoken(tx_type));
    let why = reason.strip_prefix("the ERP says: ").unwrap_or(reason).trim_end();
    let end = end_of(why);
    let class = match parked {
        Parked::Held => return format!("The {} of {subject} is not sent: {why}{end}", spoken(tx_type)),
        Parked::Rejected { class, .. } => class,
    };
    match class {
        Class::Unresolvable | Class::Unknown => {
            format!("Nobody knows whether {what} is in {system}: {why}{end}")
        }
        Class::KeyClash => format!("{system} knows the key of {what} with other content: {why}{end}"),
        Class::Corrupt => format!("What is stored of {what} is damaged and can not be sent: {why}{end}"),
        Class::Poison => format!("{system} fails whenever it gets {what}, and takes others: {why}{end}"),
        Class::Reference => format!("{system} does not know what {what} refers to: {why}{end}"),
        Class::Conflict => format!("{system} kept {what} locked, however often it was tried: {why}{end}"),
        _ => format!("{system} refused {what}: {why}{end}"),
    }
}

fn spoken(tx_type: &str) -> String {
    tx_type.replace(['_', '.'], " ")
}

/// What a sentence ends with: the target's own words at its end may be a sentence already.
pub fn end_of(words: &str) -> &'static str {
    if words.ends_with(['.', '!', '?', '…']) { "" } else { "." }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{Act, decide};

    #[test]
    fn each_trouble_has_the_category_that_its_owner_expects() {
        let of = |class, tx_type, code| Category::of(class, tx_type, Some(code), false).name();
        for (class, tx_type, code, category) in [
            (Class::Validation, "goods_issue", "order_on_hold", "shipment_blocked"),
            (Class::Validation, "goods_issue", "period_closed", "invoice_delayed"),
            (Class::Validation, "goods_receipt", "bad_state", "receipt_unposted"),
            (Class::Reference, "goods_receipt", "unknown_item", "master_stale"),
            (Class::Reference, "goods_receipt", "unknown_purchase", "receipt_unposted"),
            (Class::Reference, "pick_confirm", "unknown_shipment", "shipment_blocked"),
            (Class::Validation, "stock_count", "no_stock", "inventory_wrong"),
            (Class::Validation, "stock_transfer_reversal", "bad_state", "inventory_wrong"),
            (Class::Validation, "goods_issue", "malformed", "contract_broken"),
            (Class::Validation, "goods_issue", "not_permitted", "contract_broken"),
            (Class::Validation, "goods_issue", "address_invalid", "label_missing"),
            (Class::Validation, "shipment_tracking", "", "label_missing"),
            (Class::Reference, "goods_issue", "unknown_line", "shipment_blocked"),
            (Class::Reference, "stock_transfer", "unknown_request", "inventory_wrong"),
            (Class::Reference, "stock_transfer", "unknown_location", "master_stale"),
            (Class::Reference, "goods_receipt", "unknown_lot", "master_stale"),
            (Class::KeyClash, "goods_issue", "key_reused", "duplicate_suspect"),
            (Class::Unresolvable, "stock_count", "", "duplicate_suspect"),
            (Class::Corrupt, "stock_count", "", "contract_broken"),
            (Class::Poison, "goods_issue", "", "contract_broken"),
        ] {
            assert_eq!(of(class, tx_type, code), category, "{class:?} {tx_type} {code}");
        }
        assert_eq!(Category::of(Class::KeyClash, "scan.carton", None, true), Category::VisibilityOnly);
    }

    #[test]
    fn what_is_advised_may_be_done() {
        let verbs = [Act::Retry, Act::Edit, Act::Repost, Act::Resolve, Act::Skip];
        let classes = [Class::Validation, Class::Reference, Class::Conflict, Class::Poison, Class::Corrupt];
        let classes = classes.into_iter().chain([Class::KeyClash, Class::Unresolvable]);
        let rejected = classes.flat_map(|class| [false, true].map(|maybe| Parked::Rejected { class, maybe }));
        let codes = ["no_stock", "bad_quantity", "lot_required", "malformed", "not_permitted", "unknown_item", "FI_42"];
        let codes = codes.into_iter().map(Some).chain([Some(Outcome::TOO_LARGE), Some("erp_error"), None]);
        for (parked, code) in
            rejected.chain([Parked::Held]).flat_map(|parked| codes.clone().map(move |code| (parked, code)))
        {
            for category in Category::ALL {
                let told = category.helps(parked, code);
                let named = |act: &&Act| told.contains(&format!("`{}`", act.name()));
                let named: Vec<&Act> = verbs.iter().filter(named).collect();
                assert!(!named.is_empty() || category == Category::VisibilityOnly, "{told}");
                for act in named {
                    assert!(decide(*act, parked, false).is_ok(), "{category:?}, {parked:?}: {told}");
                }
            }
        }
    }

    #[test]
    fn unlike_reasons_have_unlike_help() {
        let helps = |code: &str, maybe| {
            let parked = Parked::Rejected { class: Class::Validation, maybe };
            Category::ShipmentBlocked.helps(parked, Some(code))
        };
        let edits = ["no_stock", "bad_quantity", "lot_required", "malformed", "unknown_item", "FI_42"];
        assert!(edits.iter().all(|code| helps(code, false).contains("`edit`")));
        assert!(helps("FI_42", false).starts_with("the code is the ERP's own"));
        assert!(helps("no_stock", false).starts_with("put the stock right in the ERP"));
        assert!(helps("order_on_hold", false).starts_with("clear what blocks it"), "nothing of the event is wrong");
        assert!(helps("no_stock", true).contains("`repost`"), "it may be there");
        let visible = Category::VisibilityOnly
            .helps(Parked::Rejected { class: Class::Validation, maybe: false }, Some("no_stock"));
        assert_eq!(visible, "nothing has to be done");
    }

    #[test]
    fn an_age_is_late_by_the_table() {
        let mut desks = Desks::default();
        let after = |desks: &Desks, minutes: u64| desks.lateness(Category::ShipmentBlocked, minutes * 60_000);
        assert_eq!([14, 15, 59, 60].map(|age| after(&desks, age)), ["ok", "warn", "warn", "breach"]);
        let desk = Desk { warn: Some(1), breach: Some(2), ..Desk::default() };
        desks.0.insert(Category::ShipmentBlocked, desk);
        assert_eq!([0, 1, 2].map(|age| after(&desks, age)), ["ok", "warn", "breach"]);
    }

    #[test]
    fn a_site_says_who_it_is_for_and_what_belongs_to_it() {
        let desk = Desk {
            owner: Some("night desk".to_owned()),
            codes: vec!["fiscal_year_closed".to_owned()],
            ..Desk::default()
        };
        let desks = Desks([(Category::InvoiceDelayed, desk)].into());
        let of = |code, visibility| desks.category(Class::Validation, "goods_issue", Some(code), visibility);
        assert_eq!(of("fiscal_year_closed", false), Category::InvoiceDelayed);
        assert_eq!(of("fiscal_year_closed", true), Category::VisibilityOnly);
        assert_eq!(of("order_on_hold", false), Category::ShipmentBlocked);
        assert!(desks.know("fiscal_year_closed") && !desks.know("order_on_hold"));
        assert_eq!(desks.owner(Category::InvoiceDelayed), "night desk");
        assert_eq!(desks.owner(Category::ShipmentBlocked), Category::ShipmentBlocked.owner());
    }

    #[test]
    fn the_sentence_says_who_refused_what_and_why() {
        let reason = "the ERP says: order_on_hold: Order SO-10077 is on credit hold";
        assert_eq!(
            sentence(
                Parked::Rejected { class: Class::Validation, maybe: false },
                "goods_issue",
                "shipment/SH-88121",
                "erp",
                reason
            ),
            "erp refused the goods issue of shipment/SH-88121: order_on_hold: Order SO-10077 is on credit hold."
        );
        let whole = sentence(
            Parked::Rejected { class: Class::Reference, maybe: false },
            "stock_count",
            "stock/A//B",
            "erp",
            "the ERP says: There is no item A. ",
        );
        assert_eq!(whole, "erp does not know what the stock count of stock/A//B refers to: There is no item A.");
        let held = sentence(Parked::Held, "goods_issue", "shipment/SH-1", "erp", "it may be a repeat.");
        assert_eq!(held, "The goods issue of shipment/SH-1 is not sent: it may be a repeat.");
    }
}
