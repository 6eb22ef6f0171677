//! `profile = "odata-batch"` of a target, and what does not go with it.

use super::profile::{Fixed, Profile};
use crate::form::Table;
use crate::lane::{Dialect, Format, Idempotency, KeyScope};
use crate::target::{Repeatable, Wire};

/// What is in `odata = { resource, if_match, repeatability, isolation, reference }`.
pub(super) fn profile(target: &Table<'_>) -> Option<Profile> {
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
    Some(Profile {
        format: Format::OData { resource: resource?, if_match },
        wire: Wire::OData { repeatable: repeatable?, isolation },
        key_scope: KeyScope::Request,
        dialect: Dialect::OData,
        items: Some("/responses".to_owned()),
        reference: reference.unwrap_or_else(|| "/headers/location".to_owned()),
        fixed: Fixed {
            answers: "the responses of an OData batch stand where its standard says",
            order: "a batch is one atomicity group, with one posting of a subject at most",
            body: "the body is an OData batch",
        },
    })
}

/// Refuses what contradicts how the target is told the key of a request.
pub(super) fn suits(repeatable: Repeatable, target: &Table<'_>, idempotency: Idempotency) {
    let nameless = repeatable == Repeatable::No;
    if nameless && idempotency == Idempotency::Key {
        let help = "write odata.repeatability = \"oasis\" or \"sap\", or idempotency = \"natural\" or \"none\"";
        target.refuse_key("idempotency", "is \"key\", and odata.repeatability = \"none\" sends no key", help);
    }
}
