//! `profile` of a target: what it speaks instead of the posting contract, and what does not go with that.

use super::{odata, suitetalk};
use crate::form::Table;
use crate::lane::{AnswerShape, Dialect, Format, Idempotency, KeyScope};
use crate::target::Wire;

/// What a profile makes of a target.
pub(super) struct Profile {
    pub(super) format: Format,
    pub(super) wire: Wire,
    pub(super) key_scope: KeyScope,
    pub(super) dialect: Dialect,
    /// The list of results, where one answer has it.
    pub(super) items: Option<String>,
    /// Where a result has the document's number.
    pub(super) reference: String,
    /// Why the target has no say in it.
    pub(super) fixed: Fixed,
}

/// What is a profile's own, and so no key of its target.
pub(super) struct Fixed {
    pub(super) answers: &'static str,
    pub(super) order: &'static str,
    pub(super) body: &'static str,
}

/// The profile of a target; `None`: it speaks the contract.
pub(super) fn read(target: &Table<'_>) -> Option<Profile> {
    type Read = fn(&Table<'_>) -> Option<Profile>;
    let words: [(&str, Option<Read>); 3] =
        [("contract", None), ("odata-batch", Some(odata::profile)), ("suitetalk-batch", Some(suitetalk::profile))];
    let word = target.entry("profile").and_then(|entry| entry.choice(&words.map(|(word, _)| (word, word))));
    for (table, of) in [("odata", "odata-batch"), ("suitetalk", "suitetalk-batch")] {
        if word != Some(of) && target.entry(table).is_some() {
            let message = format!("goes with profile = \"{of}\" only");
            target.refuse_key(table, &message, "add the profile, or remove it");
        }
    }
    let (_, read) = words.into_iter().find(|(of, _)| Some(*of) == word)?;
    read?(target)
}

/// Whether the target says that it does not speak the contract.
pub(super) fn is_named(target: &Table<'_>) -> bool {
    target.entry("profile").is_some_and(|entry| entry.value().as_str() != Some("contract"))
}

impl Profile {
    /// Refuses what contradicts it.
    pub(super) fn suits(&self, target: &Table<'_>, idempotency: Idempotency) {
        match self.wire {
            Wire::OData { repeatable, .. } => odata::suits(repeatable, target, idempotency),
            Wire::SuiteTalk { upsert } => suitetalk::suits(upsert, target, idempotency),
            Wire::Contract => {}
        }
        for (key, why) in [("answers", self.fixed.answers), ("ordered_batch", self.fixed.order)] {
            if target.entry(key).is_some() {
                target.refuse_key(key, "goes with profile = \"contract\" only", &format!("remove it: {why}"));
            }
        }
        let batch = target.table("batch").inspect(Table::quiet); // its other keys are read elsewhere
        for key in ["format", "wrap"] {
            if let Some(batch) = batch.as_ref().filter(|batch| batch.entry(key).is_some()) {
                let help = format!("remove it: {}", self.fixed.body);
                batch.refuse_key(key, "goes with profile = \"contract\" only", &help);
            }
        }
    }

    /// Where the answer's parts stand.
    pub(super) fn shape(&self, answers: AnswerShape) -> AnswerShape {
        let (items, reference) = (self.items.clone(), self.reference.clone());
        AnswerShape { items, reference, dialect: self.dialect, ..answers }
    }
}
