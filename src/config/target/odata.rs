//! `profile = "odata-batch"` of a target, and what does not go with it.

use crate::form::Table;
use crate::lane::{AnswerShape, Format, Idempotency};
use crate::target::{Repeatable, Wire};

/// What the profile makes of a target.
pub(super) struct Profile {
    pub(super) format: Format,
    pub(super) wire: Wire,
    reference: Option<String>,
}

/// The profile, where the target says that it speaks it: `odata = { resource, if_match, repeatability, isolation, reference }`.
pub(super) fn profile(target: &Table<'_>) -> Option<Profile> {
    let odata = target.entry("profile").and_then(|entry| entry.choice(&[("contract", false), ("odata-batch", true)]));
    if odata != Some(true) {
        if target.entry("odata").is_some() {
            target.refuse_key("odata", "goes with profile = \"odata-batch\" only", "add the profile, or remove it");
        }
        return None;
    }
    let Some(table) = target.table("odata") else {
        let help = "add where each posting goes: `odata = { resource = \"FloorEvents\", repeatability = \"oasis\" }`";
        target.refuse_key("odata", "is missing", help);
        return None;
    };
    let resource: Option<String> = table.required("resource");
    if resource.as_deref().is_some_and(str::is_empty) {
        table.refuse_key("resource", "is empty", "write where each posting goes, from the root of the service");
    }
    let if_match: Option<String> = table.optional("if_match");
    let words = [("oasis", Repeatable::Oasis), ("sap", Repeatable::Sap), ("none", Repeatable::No)];
    let repeatable = table.required_choice("repeatability", &words);
    let isolation = table.or("isolation", false);
    let reference: Option<String> = table.optional("reference");
    if let Some(text) = reference.as_ref().filter(|text| !text.starts_with('/')) {
        table.refuse_key("reference", &format!("\"{text}\" is not a JSON Pointer"), &format!("write \"/{text}\""));
    }
    let wire = Wire::OData { repeatable: repeatable?, isolation };
    Some(Profile { format: Format::OData { resource: resource?, if_match }, wire, reference })
}

impl Profile {
    /// Refuses what contradicts it.
    pub(super) fn suits(&self, target: &Table<'_>, idempotency: Idempotency) {
        let nameless = matches!(self.wire, Wire::OData { repeatable: Repeatable::No, .. });
        if nameless && idempotency == Idempotency::Key {
            let help = "write odata.repeatability = \"oasis\" or \"sap\", or idempotency = \"natural\" or \"none\"";
            target.refuse_key("idempotency", "is \"key\", and odata.repeatability = \"none\" sends no key", help);
        }
        if target.entry("answers").is_some() {
            let help = "remove it: the responses of an OData batch stand where its standard says";
            target.refuse_key("answers", "goes with profile = \"contract\" only", help);
        }
        if target.entry("ordered_batch").is_some() {
            let help = "remove it: a batch is one atomicity group, with one posting of a subject at most";
            target.refuse_key("ordered_batch", "goes with profile = \"contract\" only", help);
        }
        let batch = target.table("batch").inspect(Table::quiet); // its other keys are read elsewhere
        for key in ["format", "wrap"] {
            if let Some(batch) = batch.as_ref().filter(|batch| batch.entry(key).is_some()) {
                batch.refuse_key(key, "goes with profile = \"contract\" only", "remove it: the body is an OData batch");
            }
        }
    }

    /// Where the answer's parts stand: by the standard, but for the reference.
    pub(super) fn shape(&self, answers: AnswerShape) -> AnswerShape {
        let reference = self.reference.clone().unwrap_or_else(|| "/headers/location".to_owned());
        AnswerShape { items: Some("/responses".to_owned()), reference, ..answers }
    }
}
