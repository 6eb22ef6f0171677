//! What a tag takes of another one: its scale, and the device's run that it counts in.

use super::Placed;
use crate::form::{Table, nearest};
use crate::tagmap::points::tag::{Form, Scale, Tag};
use crate::tagmap::points::value::Ref;

/// `counter = { epoch = "…" }` can be looked up once all tags are known.
pub(super) fn epochs(tables: &[Table<'_>], tags: &mut [Placed]) {
    for at in 0..tags.len() {
        let Some(counter) = tables[tags[at].1].table("counter") else { continue };
        counter.quiet(); // its other keys were read with the tag
        let Some(name) = counter.optional::<String>("epoch") else { continue };
        let Some(found) = tags.iter().position(|(tag, _)| tag.name == name) else {
            // A tag with a fault of its own has been told.
            let named = |table: &Table<'_>| table.entry("name").is_some_and(|e| e.value().as_str() == Some(&name));
            if !tables.iter().any(named) {
                let help = nearest(&name, &tags.iter().map(|(tag, _)| tag.name.clone()).collect());
                counter.refuse_key("epoch", &format!("there is no tag `{name}`"), &help);
            }
            continue;
        };
        let (tag, of) = (&tags[at].0, &tags[found].0);
        let is_id = matches!(of.form, Form::Registers(kind) if !kind.is_float()) && of.is_whole() && of.words.is_none();
        if found == at || !is_id {
            let help =
                "name the tag of the device's restart count or boot id: registers without scale, digits and enum";
            counter.refuse_key("epoch", &format!("`{name}` does not tell one start from the next"), help);
        } else if tag.group.is_none() || tag.group != of.group {
            let message = format!("`{name}` is not read in one request with the count: one could be of another run");
            let help = format!("write group = \"…\", the same at `{}` and `{name}`", tag.name);
            counter.refuse_key("epoch", &message, &help);
        } else if let Some(counter) = &mut tags[at].0.counter {
            counter.epoch = Some(found);
        }
    }
}

/// `scale = { tag = … }` can be looked up once all tags are known.
pub(super) fn scales(tables: &[Table<'_>], tags: &mut [Placed]) {
    let by_tag = |tables: &[Table<'_>], index: usize| {
        tables[index].entry("scale").is_some_and(|entry| entry.value().as_table().is_some())
    };
    for at in 0..tags.len() {
        let table = &tables[tags[at].1];
        let Some(scale) = table.entry("scale").filter(|_| by_tag(tables, tags[at].1)).and_then(|e| e.table()) else {
            continue;
        };
        let pow10 = scale.or("pow10", false);
        let Some(name) = scale.required::<String>("tag") else { continue };
        let found = tags.iter().position(|(tag, _)| tag.name == name);
        let numbers = |tag: &Tag| matches!(tag.form, Form::Registers(kind) if kind.is_number()) && tag.words.is_none();
        let Some(found) = found else {
            let help = nearest(&name, &tags.iter().map(|(tag, _)| tag.name.clone()).collect());
            scale.refuse_key("tag", &format!("there is no tag `{name}`"), &help);
            continue;
        };
        let wrong = if found == at {
            "is the tag itself".to_owned()
        } else if !numbers(&tags[found].0) {
            format!("`{name}` is no number")
        } else if by_tag(tables, tags[found].1) {
            format!("`{name}` is scaled by a tag itself")
        } else {
            tags[at].0.scale = Scale::By { tag: Ref { tag: found, bit: None }, pow10 };
            continue;
        };
        scale.refuse_key("tag", &wrong, "name a number that is not scaled by another tag");
    }
}
