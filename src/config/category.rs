//! `[category.NAME]`: who looks after which trouble, and how soon.

use std::time::Duration;

use crate::config::bounds::{DAY, duration};
use crate::form::Table;
use crate::lane::{Category, Desk, Desks};

const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn read_all(root: &Table<'_>) -> Desks {
    let mut desks = Desks::default();
    let Some(table) = root.table("category") else { return desks };
    for category in Category::ALL {
        let Some(table) = table.table(category.name()) else { continue };
        let desk = desk(&table, category);
        for code in &desk.codes {
            if let Some(other) = desks.0.iter().find(|(_, desk)| desk.codes.contains(code)).map(|(other, _)| other) {
                let message = format!("\"{code}\" is one of {} already", other.name());
                table.refuse_key("codes", &message, "a reason belongs to one category");
            }
        }
        desks.0.insert(category, desk);
    }
    desks
}

fn desk(table: &Table<'_>, category: Category) -> Desk {
    let (warn, breach) = category.agreed();
    let span = |key, minutes: u64| {
        let default = Duration::from_secs(60 * minutes);
        table.entry(key).map(|_| duration(table, key, default, MINUTE..=DAY * 365).as_secs() / 60)
    };
    let (own_warn, own_breach) = (span("warn", warn), span("breach", breach));
    if own_warn.unwrap_or(warn) > own_breach.unwrap_or(breach) {
        table.refuse_key("warn", "is later than `breach`", "write a `warn` that comes first");
    }
    Desk {
        owner: table.optional("owner"),
        contact: table.optional("contact"),
        escalate: table.optional("escalate"),
        warn: own_warn,
        breach: own_breach,
        codes: table.or("codes", Vec::new()),
    }
}
