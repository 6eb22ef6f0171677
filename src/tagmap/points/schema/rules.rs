//! What becomes an event: `report` and `watchdog` of tags, `[[event]]`, `[[alarm]]`.

mod turns;

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{Placed, condition, kind, millis, refuse};
use crate::event::Canonical;
use crate::form::{Entry, FromValue, Table, nearest};
use crate::tagmap::Context;
use crate::tagmap::kind::complete;
use crate::tagmap::points::Poll;
use crate::tagmap::points::condition::{Condition, Names, Operand, parse_operand};
use crate::tagmap::points::lints;
use crate::tagmap::points::rule::{
    Alarm, Carried, Deadband, Epoch, Event, On, Part, Report, Rule, Seq, Turn, Watchdog, What,
};
use crate::tagmap::points::tag::{Form, Scale, Tag};
use crate::tagmap::points::value::{Datum, Kind, Ref};

/// The reports and watchdogs of the tags.
pub(super) fn of_tags(tables: &[Table<'_>], context: &Context<'_>, tags: &[Placed]) -> Vec<Rule> {
    // Keys that are not looked at would be unknown, so tables without a tag are read, too.
    let mut rules = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let (report, within) = (table.entry("report"), millis(table, "watchdog", context));
        let report = report.and_then(|entry| report_of(&entry, context));
        let Some(at) = tags.iter().position(|(_, placed)| *placed == index) else { continue };
        let tag = &tags[at].0;
        if let Some(report) = report {
            let numbers = tag.kind() == Kind::Number && tag.bits.is_empty();
            if !numbers && matches!(report.deadband, Deadband::By(_) | Deadband::Percent(_)) {
                table.refuse_key("report", "has a deadband, which is for numbers", "write report = \"change\"");
            }
            rules.push(Rule { key: format!("tag:{}", tag.name), what: What::Report(Report { tag: at, ..report }) });
        }
        if let Some(within) = within {
            rules.push(Rule {
                key: format!("watchdog:{}", tag.name),
                what: What::Watchdog(Watchdog { tag: at, within }),
            });
        }
    }
    rules
}

fn report_of(entry: &Entry<'_>, context: &Context<'_>) -> Option<Report> {
    let plain = |deadband| Report { tag: 0, deadband, at_most: None, at_least: None };
    if entry.value().as_table().is_none() {
        return entry.choice(&[("change", plain(Deadband::Any)), ("poll", plain(Deadband::None))]);
    }
    let table = entry.table()?;
    let (change, percent): (Option<Decimal>, Option<Decimal>) = (table.optional("change"), table.optional("percent"));
    for (key, given) in [("change", change), ("percent", percent)] {
        if given.is_some_and(|given| given <= Decimal::ZERO) {
            table.refuse_key(key, "is not above 0", "write how far the value must move, or report = \"change\"");
        }
    }
    if change.is_some() && percent.is_some() {
        table.refuse_key("percent", "is a second deadband", "write `change` or `percent`");
    }
    let (at_most, at_least) = (millis(&table, "at_most", context), millis(&table, "at_least", context));
    if at_most.zip(at_least).is_some_and(|(most, least)| most >= least) {
        table.refuse_key(
            "at_most",
            "is not shorter than at_least",
            "at_most = \"10s\", at_least = \"5m\": between the two",
        );
    }
    let deadband = change.map(Deadband::By).or(percent.map(Deadband::Percent)).unwrap_or(Deadband::Any);
    Some(Report { tag: 0, deadband, at_most, at_least })
}

/// All `[[event]]`s.
pub(super) fn events(
    tables: &[Table<'_>],
    context: &Context<'_>,
    names: &Names<'_>,
    (tags, polls): (&[Placed], &[Poll]),
) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for table in tables {
        let Some((trigger, mut event)) = event(table, context, names, tags) else { continue };
        let beside = turns::take(table, &mut event, &mut rules, tags);
        let key = format!("event:{}:{trigger}", event.kind);
        if rules.iter().any(|rule| rule.key == key) {
            table.refuse_key("on", "is the same as of another event of that name", "remove one of the two");
        }
        lints::pulses(table, &event, tags, context);
        let when: Vec<Ref> = event.when.iter().flat_map(Condition::refs).collect();
        lints::carried(table, &event.on.refs(), &when, &event.carried, (tags, polls), context);
        let rule = Rule { key, what: What::Event(event) };
        if rule.is_counted() && !beside && (rules.iter().any(Rule::is_counted) || context.has_fifo) {
            table.refuse_key(
                "seq",
                "is a second count of one device: their numbers would clash",
                "give it a map and a device",
            );
        }
        rules.push(rule);
    }
    rules
}

fn event(table: &Table<'_>, context: &Context<'_>, names: &Names<'_>, tags: &[Placed]) -> Option<(String, Event)> {
    let kind = table.required_entry("name").and_then(|e| kind(&e, context));
    let on = table.required_table("on").and_then(|on| trigger(&on, context, names, tags));
    let when = table.entry("when").map(|e| condition(&e, names));
    let at_once = table.or("at_once", false);
    let seq = table.entry("seq").map(|e| seq(&e, table, names, tags));
    if seq.is_none() && table.entry("epoch").is_some() {
        table.refuse_key("epoch", "stands without a number", "add seq = \"…\", the tag that numbers the events");
    }
    let carried = carried(table, context, names, &["count", "total", "reset", "uncounted", "seq", "quality"]);
    if let (Some(kind), Some(carried)) = (&kind, &carried) {
        complete(table, kind, |name| carried.fields.iter().any(|(field, _)| field == name));
    }
    let ((trigger, on), carried) = (on?, carried?);
    if seq.is_some() && !matches!(on, On::Change(..)) {
        table.refuse_key("seq", "is for events on a change", "write on = { change = \"…\" } with the number's tag");
    }
    let given = |read: Option<Option<_>>| read.map_or(Some(None), |read| read.map(Some));
    let when = match when {
        Some(when) => Some(when?),
        None => None,
    };
    if at_once && !matches!(on, On::Change(..)) {
        table.refuse_key("at_once", "is for events on a change: nothing else waits", "remove it");
    }
    let turn = at_once.then(Turn::default);
    Some((trigger, Event { kind: kind?, on, when, turn, seq: given(seq)?, carried }))
}

/// `on = { rising = "…" }`: its text, and what it means.
fn trigger(table: &Table<'_>, context: &Context<'_>, names: &Names<'_>, tags: &[Placed]) -> Option<(String, On)> {
    const WORDS: [&str; 5] = ["rising", "falling", "held", "change", "count"];
    let given: Vec<(&str, Entry<'_>)> = WORDS.iter().filter_map(|word| Some((*word, table.entry(word)?))).collect();
    let lasting = table.entry("for");
    if let Some(when) = table.entry("when") {
        when.refuse("stands in `on`", "write it beside: when = \"…\" in the [[event]]");
    }
    let [(word, entry)] = given.as_slice() else {
        let message = if given.is_empty() { "says not when" } else { "says two things" };
        table.refuse(message, "write one of rising, falling, held (with for), change, count");
        return None;
    };
    if let Some(lasting) = lasting.as_ref().filter(|_| *word != "held") {
        lasting.refuse("belongs to `held`", "remove it");
    }
    let on = match *word {
        "rising" => On::Rising(condition(entry, names)?),
        "falling" => On::Falling(condition(entry, names)?),
        "held" => {
            let condition = condition(entry, names);
            if lasting.is_none() {
                table.refuse_key("for", "is missing", "write how long: for = \"3s\"");
            }
            On::Held(condition?, millis(table, "for", context)?)
        }
        "change" => {
            let (at, _) = tag(entry, names)?;
            let of = &tags[at.tag].0;
            let scaling = if let Scale::By { tag, .. } = of.scale { Some(tags[tag.tag].0.name.as_str()) } else { None };
            On::Change(at, of.digest(at.bit, scaling))
        }
        _ => {
            let (at, _) = tag(entry, names)?;
            let Some(counter) = tags[at.tag].0.counter.filter(|_| at.bit.is_none()) else {
                entry.refuse("is no counter", "give the tag counter = { reset = \"detect\" }");
                return None;
            };
            On::Count(at.tag, counter)
        }
    };
    Some((format!("{word}:{}", entry.value().as_str().unwrap_or_default()), on))
}

/// A tag or a bit of one.
fn tag(entry: &Entry<'_>, names: &Names<'_>) -> Option<(Ref, Kind)> {
    let name: String = entry.read()?;
    let found = names.tags.get(&name).cloned();
    if found.is_none() && !names.is_broken(&name) {
        entry.refuse(&format!("there is no tag `{name}`"), &nearest(&name, &names.tags.keys().cloned().collect()));
    }
    found
}

fn seq(entry: &Entry<'_>, table: &Table<'_>, names: &Names<'_>, tags: &[Placed]) -> Option<Seq> {
    let plain = |tag: &Tag| tag.scale == Scale::Fixed(Decimal::ONE) && tag.offset.is_zero() && tag.digits.is_none();
    let whole = |at: Ref| match tags[at.tag].0.form {
        Form::Registers(kind) if at.bit.is_none() && kind.is_unsigned() && plain(&tags[at.tag].0) => kind.bits(),
        _ => None,
    };
    let number = |entry: &Entry<'_>| {
        let (at, _) = tag(entry, names)?;
        let bits = whole(at).filter(|bits| *bits >= 16 && tags[at.tag].0.words.is_none());
        if bits.is_none() {
            entry.refuse(
                "is no number that counts",
                "name a tag of type \"u16\", \"u32\" or \"u64\" without scale, offset and digits",
            );
        }
        Some((at.tag, bits?))
    };
    let own = number(entry);
    let epoch = table.required_entry("epoch").and_then(|epoch| {
        epoch.expects(<String as FromValue>::kind);
        if epoch.value().as_str() == Some("gateway") {
            return Some(Epoch::Gateway);
        }
        number(&epoch).map(|(tag, bits)| Epoch::Tag { tag, digits: usize::from(bits / 4) })
    });
    let (tag, bits) = own?;
    if let Some(Epoch::Tag { tag: of, .. }) = epoch {
        let is_itself = of == tag;
        let (own, of) = (&tags[tag].0, &tags[of].0);
        if is_itself {
            table.refuse_key("epoch", "is the number itself", "name the device's restart count, or \"gateway\"");
        } else if own.group.is_none() || own.group != of.group {
            let message =
                format!("`{}` is not read in one request with the number: one could be of another run", of.name);
            let help = format!("write group = \"…\", the same at `{}` and `{}`", own.name, of.name);
            table.refuse_key("epoch", &message, &help);
        }
    }
    Some(Seq { tag, bits, epoch: epoch? })
}

/// `subject`, `fields`, `time`. `own`: names that the event has anyway.
fn carried(table: &Table<'_>, context: &Context<'_>, names: &Names<'_>, own: &[&str]) -> Option<Carried> {
    let subject = table.entry("subject").map(|e| subject(&e, context, names));
    let time = table.entry("time").map(|e| tag(&e, names).map(|(at, _)| at));
    let (mut fields, mut failed) = (Vec::new(), false);
    for entry in table.table("fields").iter().flat_map(Table::all) {
        if own.contains(&entry.key()) {
            entry.refuse("is the gateway's own field", "choose another name");
        }
        match field(&entry, names) {
            Some(operand) => fields.push((entry.key().to_owned(), operand)),
            None => failed = true,
        }
    }
    let subject = match subject {
        Some(subject) => Some(subject?),
        None => None,
    };
    let time = match time {
        Some(time) => Some(time?),
        None => None,
    };
    (!failed).then_some(Carried { subject, fields, time })
}

/// A tag, a number, or a constant: `'{lane}'` is the parameter as text, `{lane}` as a number where it is one.
fn field(entry: &Entry<'_>, names: &Names<'_>) -> Option<Operand> {
    if entry.value().as_str().is_none() {
        let number: Decimal = entry.read()?;
        return Some(Operand::Constant(Datum::Number(number)));
    }
    let text: String = entry.read()?;
    match parse_operand(&text, names) {
        Ok((operand, _)) => Some(operand),
        Err(wrong) => {
            refuse(entry, &wrong);
            None
        }
    }
}

/// `"lane-{lane}"`: parameters and tags in a text.
fn subject(entry: &Entry<'_>, context: &Context<'_>, names: &Names<'_>) -> Option<Vec<Part>> {
    let filled = context.fill(&entry.read::<String>()?);
    let (mut parts, mut rest) = (Vec::new(), filled.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            entry.refuse("has a brace that is not closed", "write {tag} or {parameter}");
            return None;
        };
        let Some((at, _)) = names.tags.get(name) else {
            if names.is_broken(name) {
                return None;
            }
            let known: BTreeSet<String> = names.tags.keys().chain(names.params.keys()).cloned().collect();
            entry.refuse(&format!("there is no tag or parameter `{name}`"), &nearest(name, &known));
            return None;
        };
        parts.extend([Part::Text(before.to_owned()), Part::Value(*at)]);
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    if parts == [Part::Text(String::new())] {
        entry.refuse("is empty", "remove it: then the device orders its events");
    }
    Some(parts)
}

const SEVERITIES: [(&str, &str); 4] =
    [("low", "low"), ("medium", "medium"), ("high", "high"), ("critical", "critical")];

/// All `[[alarm]]`s.
pub(super) fn alarms(
    tables: &[Table<'_>],
    context: &Context<'_>,
    names: &Names<'_>,
    placed: (&[Placed], &[Poll]),
) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for table in tables {
        let Some(alarm) = alarm(table, context, names) else { continue };
        lints::carried(table, &alarm.when.refs(), &[], &alarm.carried, placed, context);
        let key = format!("alarm:{}", alarm.name);
        if rules.iter().any(|rule| rule.key == key) {
            table.refuse_key("name", &format!("is a second alarm \"{}\"", alarm.name), "give each alarm its own name");
        }
        rules.push(Rule { key, what: What::Alarm(alarm) });
    }
    rules
}

/// `latch = true` with `ack = "…"`. `Some(None)`: it clears by itself. `None`: a fault was told.
#[expect(clippy::option_option, reason = "no acknowledgement and no readable one differ")]
fn acknowledged_by(table: &Table<'_>, names: &Names<'_>) -> Option<Option<Condition>> {
    let latch = table.or("latch", false);
    match (latch, table.entry("ack")) {
        (false, None) => Some(None),
        (true, Some(ack)) => condition(&ack, names).map(Some),
        (true, None) => {
            let help = "add ack = \"…\": the button or bit by which a person says that it was seen";
            table.refuse_key("latch", "would never clear: nothing says that a person has seen it", help);
            None
        }
        (false, Some(ack)) => {
            ack.refuse("is for alarms that wait for it", "add latch = true, or remove it");
            None
        }
    }
}

fn alarm(table: &Table<'_>, context: &Context<'_>, names: &Names<'_>) -> Option<Alarm> {
    let name: Option<String> = table.required("name");
    let when = table.required_entry("when").and_then(|e| condition(&e, names));
    let on_delay = millis(table, "on_delay", context).unwrap_or(0);
    let off_delay = millis(table, "off_delay", context).unwrap_or(0);
    let severity = table.required_choice("severity", &SEVERITIES);
    let ack = acknowledged_by(table, names);
    let text = table.entry("text").and_then(|entry| {
        let text: String = entry.read()?;
        let filled = context.fill(&text.replace("{device}", &context.binding.device));
        if let Some((name, _)) = filled.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            let known = context.params.keys().cloned().chain(["device".to_owned()]).collect();
            entry.refuse(&format!("there is no parameter `{name}`"), &nearest(name, &known));
        }
        Some(filled)
    });
    let event = table.entry("event").map_or(Some("alarm.raised".to_owned()), |e| kind(&e, context));
    let clear_event = table.entry("clear_event").map_or(Some("alarm.cleared".to_owned()), |e| kind(&e, context));
    for (key, kind) in [("event", &event), ("clear_event", &clear_event)] {
        if kind.as_deref().and_then(Canonical::of).is_some() {
            table.refuse_key(key, "an alarm is nothing that is posted", "choose a word of your own: \"lane.full\"");
        }
    }
    let carried = carried(table, context, names, &["alarm", "severity", "text", "quality"]);
    Some(Alarm {
        name: name?,
        when: when?,
        on_delay,
        off_delay,
        severity: severity?,
        ack: ack?,
        text,
        event: event?,
        clear_event: clear_event?,
        carried: carried?,
    })
}
