//! `profile = "suitetalk-batch"` of a target, and what does not go with it.

use super::profile::{Fixed, Profile};
use crate::form::Table;
use crate::lane::{Dialect, Format, Idempotency, KeyScope};
use crate::target::Wire;

/// Records of a collection (article "Batch Operations" of the maker's).
const MAX_RECORDS: i64 = 100;

/// What is in `suitetalk = { method, fields }`.
pub(super) fn profile(target: &Table<'_>) -> Option<Profile> {
    let Some(table) = target.table("suitetalk") else {
        let help = "add what a record is made of: `suitetalk = { method = \"PUT\", fields = { memo = \"/subject\" } }`";
        target.refuse_key("suitetalk", "is missing", help);
        return None;
    };
    let upsert = table.required_choice("method", &[("PUT", true), ("POST", false)]);
    let fields = fields(&table);
    Some(Profile {
        format: Format::SuiteTalk { fields: fields? },
        wire: Wire::SuiteTalk { upsert: upsert? },
        key_scope: KeyScope::Parts,
        dialect: Dialect::SuiteTalk,
        items: None,
        reference: String::new(),
        fixed: Fixed {
            answers: "the answers of a job stand where its maker says",
            order: "the records of a batch are made in any order, so that it has one posting of a subject at most",
            body: "the body is a collection of records",
        },
    })
}

/// The fields of a record, in the order of the file, and where each one's value stands in a posting's item.
fn fields(table: &Table<'_>) -> Option<Vec<(String, String)>> {
    let of = table.required_table("fields")?;
    let (mut fields, mut good) = (Vec::new(), true);
    for entry in of.all() {
        let Some(at) = entry.read::<String>() else {
            good = false;
            continue;
        };
        if matches!(entry.key(), "externalId" | "id") {
            let help = "remove it: the external id is the posting's key, by which the record is found again";
            entry.refuse("is not a field to fill", help);
        }
        if !at.starts_with('/') {
            entry.refuse(&format!("\"{at}\" is not a JSON Pointer"), &format!("write \"/{at}\""));
        }
        fields.push((entry.key().to_owned(), at));
    }
    if fields.is_empty() && good {
        of.refuse("has no field", "write which fields a record has, and where their values stand: memo = \"/subject\"");
    }
    good.then_some(fields)
}

/// Refuses what contradicts what a batch is there.
pub(super) fn suits(upsert: bool, target: &Table<'_>, idempotency: Idempotency) {
    if !upsert && idempotency == Idempotency::Natural {
        let help =
            "write suitetalk.method = \"PUT\", which finds a record again by its external id, or idempotency = \"key\"";
        target.refuse_key("idempotency", "is \"natural\", and a POST makes a record or refuses it", help);
    }
    let batch = target.table("batch").inspect(Table::quiet); // its other keys are read elsewhere
    let Some(given) = batch.as_ref().and_then(|batch| batch.entry("max_events")) else { return };
    if let Some(records) = given.read::<i64>().filter(|records| *records > MAX_RECORDS) {
        let message = format!("is {records}, and a collection has {MAX_RECORDS} records at most");
        given.refuse(&message, &format!("write {MAX_RECORDS} or less"));
    }
}
