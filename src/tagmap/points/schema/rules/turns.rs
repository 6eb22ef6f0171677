//! `at_once = true`: several events of one change take turns.

use super::Placed;
use crate::form::Table;
use crate::tagmap::points::condition::Condition;
use crate::tagmap::points::rule::{Event, On, Rule, What};
use crate::tagmap::points::value::Ref;

/// Puts an event behind those that are decided by the same change; `true`: there are some.
pub(super) fn take(table: &Table<'_>, event: &mut Event, rules: &mut [Rule], tags: &[Placed]) -> bool {
    let On::Change(changed, _) = event.on else { return false };
    let Some(turn) = &mut event.turn else { return false };
    if let Some(when) = &event.when {
        of_one_request(table, changed, when, tags);
    }
    let mut beside = rules.iter_mut().filter_map(|rule| match &mut rule.what {
        What::Event(other @ Event { turn: Some(_), .. }) => Some(other),
        _ => None,
    });
    let same = |other: &Event| matches!(other.on, On::Change(at, _) if at == changed);
    let mut found = false;
    for other in beside.by_ref().filter(|other| same(other)) {
        found = true;
        if let Some(turn) = &mut other.turn {
            turn.followed = true;
        }
        if let Some(when) = &other.when {
            turn.before.push(when.clone());
        } else {
            let message = format!("is never told: `{}` before it takes each change", other.kind);
            table.refuse_key("at_once", &message, "put the event without `when` last");
        }
        if other.seq != event.seq {
            let message = format!("is not that of `{}`, which the same change may be", other.kind);
            table.refuse_key("seq", &message, "write the same `seq` and `epoch` at both: one number is one happening");
        }
    }
    found
}

/// What is decided at once must be there with the change.
fn of_one_request(table: &Table<'_>, changed: Ref, when: &Condition, tags: &[Placed]) {
    let changed = &tags[changed.tag].0;
    let apart = |at: &Ref| {
        let tag = &tags[at.tag].0;
        tag.name != changed.name && (tag.group.is_none() || tag.group != changed.group)
    };
    if let Some(at) = when.refs().iter().find(|at| apart(at)) {
        let name = &tags[at.tag].0.name;
        let message = format!("is decided with the change, and `{name}` is not read in one request with it");
        table.refuse_key(
            "when",
            &message,
            &format!("write group = \"…\", the same at `{}` and `{name}`", changed.name),
        );
    }
}
