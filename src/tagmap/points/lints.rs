//! What can be read and is wrong nevertheless, or doubtful: each comes from a map that ran for long and lied.

use std::collections::BTreeMap;

use super::rule::{Carried, Event, On, Rule, What};
use super::tag::{Form, Tag};
use super::value::Ref;
use super::{Area, Poll};
use crate::form::Table;
use crate::tagmap::registers::Type;
use crate::tagmap::{Context, Quirk};

/// Tells what is wrong as faults, what is doubtful as warnings.
pub(super) fn check(
    tag_tables: &[Table<'_>],
    tags: &[(Tag, usize)],
    rules: &[Rule],
    polls: &[Poll],
    context: &Context<'_>,
) {
    for (tag, table) in tags {
        wider_than_a_request(&tag_tables[*table], tag, context);
        slower_than_two_polls(&tag_tables[*table], tag, rules, tags, polls);
        against_quirks(&tag_tables[*table], tag, context);
    }
    overlaps(tag_tables, tags, context);
    groups(tag_tables, tags, context);
}

/// A bit that must stay for less than two polls is seen once: that is no debouncing, and the count of a watchdog that
/// must move in less stands still between two reads.
fn slower_than_two_polls(table: &Table<'_>, tag: &Tag, rules: &[Rule], tags: &[(Tag, usize)], polls: &[Poll]) {
    let every = u64::try_from(polls[tag.poll].every.as_millis()).unwrap_or(u64::MAX);
    let two = every.saturating_mul(2);
    let help = |what: &str| format!("{what} at least {two} ms, or poll more often than each {every} ms");
    if let Some(debounce) = tag.debounce.filter(|debounce| debounce.on.min(debounce.off) < two) {
        let message = format!("is {} ms, shorter than two polls", debounce.on.min(debounce.off));
        table.refuse_key("debounce", &message, &help("debounce for"));
    }
    let within = rules.iter().find_map(|rule| match &rule.what {
        What::Watchdog(watchdog) if tags[watchdog.tag].0.name == tag.name => Some(watchdog.within),
        _ => None,
    });
    if let Some(within) = within.filter(|within| *within < two) {
        table.refuse_key("watchdog", &format!("is {within} ms, shorter than two polls"), &help("allow"));
    }
}

/// What one request can't read is never read; the tags of a group are counted together.
fn wider_than_a_request(table: &Table<'_>, tag: &Tag, context: &Context<'_>) {
    let most = if tag.area.is_bits() { context.defaults.max_bits } else { context.defaults.max_words };
    if tag.group.is_none() && tag.count() > most {
        let key = if table.entry("words").is_some() { "words" } else { "type" };
        let message = format!("takes {} registers", tag.count());
        table.refuse_key(key, &message, &format!("one request has at most {most} (max_words)"));
    }
}

/// What can't be read from a device that is so.
fn against_quirks(table: &Table<'_>, tag: &Tag, context: &Context<'_>) {
    let has = |quirk| context.quirks.contains(&quirk);
    let most = context.defaults.max_bits;
    if has(Quirk::CoilsFromZero) && tag.area == Area::Coil && tag.at >= most {
        let message = format!("is coil {} counted from 0, and coils-from-zero reads all before it with it", tag.at);
        let help = format!("one request has at most {most} bits (max_bits): write more if the device answers it");
        table.refuse_key("at", &message, &help);
    }
    if has(Quirk::OneRequestPerTag) && tag.group.is_some() {
        let message = "comes in one request, and the device takes one request for each tag (one-request-per-tag)";
        table.refuse_key("group", message, "remove it: what is read one after another need not belong together");
    }
}

/// The same registers with two meanings, or the same meaning twice.
fn overlaps(tables: &[Table<'_>], tags: &[(Tag, usize)], context: &Context<'_>) {
    for (i, (tag, table)) in tags.iter().enumerate() {
        let range = |tag: &Tag| u32::from(tag.at)..u32::from(tag.at) + u32::from(tag.count());
        let meets = |other: &Tag| {
            other.area == tag.area && range(other).start < range(tag).end && range(tag).start < range(other).end
        };
        for (other, _) in tags[..i].iter().filter(|(other, _)| meets(other)) {
            let table = &tables[*table];
            if other.form == tag.form && other.at == tag.at {
                let message = format!("is the address of `{}` again", other.name);
                context.warnings.borrow_mut().push(table.fault_at(
                    "at",
                    &message,
                    "one tag is enough for several events",
                ));
            } else if !is_view(tag) && !is_view(other) {
                let message = format!("overlaps `{}`, which has another type or another beginning", other.name);
                table.refuse_key("at", &message, "registers have one type: compare with the device's list");
            }
        }
    }
}

/// Bits and bytes of a register may be looked at beside the register.
fn is_view(tag: &Tag) -> bool {
    matches!(tag.form, Form::Bit(_) | Form::Registers(Type::U8 { .. })) || !tag.bits.is_empty()
}

/// Tags of a group come from one request.
fn groups(tables: &[Table<'_>], tags: &[(Tag, usize)], context: &Context<'_>) {
    let mut first: BTreeMap<&str, (&Tag, u32, u32)> = BTreeMap::new();
    for (tag, table) in tags {
        let Some(group) = tag.group.as_deref() else { continue };
        let (at, end) = (u32::from(tag.at), u32::from(tag.at) + u32::from(tag.count()));
        let (of, from, to) = first.entry(group).or_insert((tag, at, end));
        (*from, *to) = ((*from).min(at), (*to).max(end));
        let bits = tag.area.is_bits();
        let most = u32::from(if bits { context.defaults.max_bits } else { context.defaults.max_words });
        let (message, help) = if tag.area != of.area || tag.poll != of.poll {
            let what = if tag.area == of.area { "poll" } else { "table" };
            (
                format!("can't come in one request with `{}`: another {what}", of.name),
                "a group has one table and one poll".to_owned(),
            )
        } else if *to - *from > most {
            let (what, key) = if bits { ("bits", "max_bits") } else { ("registers", "max_words") };
            (format!("makes the group {} {what} wide", *to - *from), format!("one request has at most {most} ({key})"))
        } else {
            continue;
        };
        tables[*table].refuse_key("group", &message, &help);
    }
}

/// What an event or an alarm carries, and looks at: a text that nothing checks is no subject, and what another poll brings
/// is older than what makes the event.
pub(super) fn carried(
    table: &Table<'_>,
    made_by: &[Ref],
    when: &[Ref],
    carried: &Carried,
    (tags, polls): (&[(Tag, usize)], &[Poll]),
    context: &Context<'_>,
) {
    let tag = |at: &Ref| &tags[at.tag].0;
    let (subject, fields): (Vec<Ref>, Vec<Ref>) = (carried.of_subject().collect(), carried.of_fields().collect());
    let is_unchecked = |tag: &&Tag| matches!(tag.form, Form::Registers(Type::Text { .. })) && !tag.valid.checks_texts();
    if let Some(tag) = subject.iter().map(tag).find(is_unchecked) {
        let message =
            format!("takes `{}` as it is read: nothing tells a wrong text, or half of one, from a right one", tag.name);
        let help = "give the tag check = \"sscc\" (gtin, gln, gsin), or valid = { pattern = '…' }";
        context.warnings.borrow_mut().push(table.fault_at("subject", &message, help));
    }
    let every = |at: &Ref| polls[tag(at).poll].every;
    let Some(maker) = made_by.iter().min_by_key(|at| every(at)) else { return };
    for (key, of) in [("subject", &subject[..]), ("fields", &fields), ("when", when)] {
        let mut later: Vec<&Ref> = of.iter().filter(|at| every(at) > every(maker)).collect();
        later.sort_by_key(|at| (at.tag, at.bit));
        later.dedup_by_key(|at| at.tag);
        let Some(oldest) = later.iter().map(|at| every(at)).max() else { continue };
        let names: Vec<String> = later.iter().map(|at| format!("`{}`", tag(at).name)).collect();
        let (names, maker) = (names.join(", "), tag(maker));
        let ms = oldest.as_millis();
        let message = format!(
            "takes {names} from another poll than `{}`: up to {ms} ms older, and called good all the same",
            maker.name
        );
        let poll = &polls[maker.poll].name;
        let help = format!("write poll = \"{poll}\" there too, and one `group` where all must be of one moment");
        context.warnings.borrow_mut().push(table.fault_at(key, &message, &help));
    }
}

/// Edges of an input are lost where it is shorter than a poll; only a counter in the device sees them all.
pub(super) fn pulses(table: &Table<'_>, event: &Event, tags: &[(Tag, usize)], context: &Context<'_>) {
    let (On::Rising(condition) | On::Falling(condition)) = &event.on else { return };
    let input = condition.refs().first().filter(|_| condition.is_one_input()).map(|at| &tags[at.tag].0);
    let counted = tags.iter().any(|(tag, _)| tag.counter.is_some());
    let Some(tag) = input.filter(|tag| tag.debounce.is_none() && !counted) else { return };
    let message = format!("counts pulses of `{}`, and a pulse between two polls is not seen", tag.name);
    let help = "count in the device (a tag with `counter` and on = { count = \"…\" }), or debounce what stays longer";
    context.warnings.borrow_mut().push(table.fault_at("on", &message, help));
}
