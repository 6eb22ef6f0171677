//! Reading `[[tag]]`, `[[event]]`, `[[alarm]]`, `[[write]]` and `[[probe]]`: everything that can be wrong with them is
//! told before the first register is read.

mod rules;
mod tags;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::condition::{Condition, Names, Wrong, parse};
use super::plan::{Atom, Plan};
use super::rule::{Latest, State};
use super::tag::{Steady, Tag};
use super::value::{Kind, Ref};
use super::{Area, Limits, Points, Poll, lints};
use crate::form::{Entry, Table};
use crate::tagmap::kind::named;
use crate::tagmap::{Context, Fifo, Quirk};

/// What tags are known by in conditions and fields.
type Known = BTreeMap<String, (Ref, Kind)>;

/// All points of a map beside its FIFOs; `None`: it has none.
pub(in crate::tagmap) fn read(root: &Table<'_>, context: &Context<'_>, fifos: &[Fifo]) -> Option<Points> {
    let tables = ["tag", "event", "alarm", "write", "probe"].map(|section| root.tables(section));
    if tables.iter().all(Vec::is_empty) {
        return None;
    }
    let [tag_tables, event_tables, alarm_tables, write_tables, probe_tables] = tables;
    let polls = polls(&tag_tables, context);
    let tags = tags::read(&tag_tables, context, &polls);
    let known = known(&tags);
    let named = |table: &Table<'_>| table.entry("name").and_then(|e| e.value().as_str().map(str::to_owned));
    let broken: BTreeSet<String> =
        tag_tables.iter().filter_map(named).filter(|name| !known.contains_key(name)).collect();
    let names = Names { tags: &known, params: &context.params, broken: &broken };
    let mut rules = rules::of_tags(&tag_tables, context, &tags);
    rules.extend(rules::events(&event_tables, context, &names, (&tags, &polls)));
    rules.extend(rules::alarms(&alarm_tables, context, &names, (&tags, &polls)));
    let writes = writes::read(&write_tables, context, fifos, &tags);
    let probes = writes::probes(&probe_tables, &names);
    let limits = Limits {
        gap_words: context.defaults.max_gap,
        gap_bits: context.defaults.max_gap_bits,
        max_words: context.defaults.max_words,
        max_bits: context.defaults.max_bits,
    };
    let atoms = atoms(&tags, &polls, limits, context);
    lints::check(&tag_tables, &tags, &rules, &polls, context);
    let plans: Vec<Plan> = atoms.iter().map(|atoms| Plan::new(atoms, limits)).collect();
    let polls = polls.into_iter().zip(&plans).map(|(poll, plan)| Poll { reads: plan.reads(), ..poll }).collect();
    Some(Points {
        device: Arc::clone(&context.binding.device),
        map: Arc::clone(&context.map),
        polls,
        plans,
        latest: vec![Latest::nothing(); tags.len()],
        steady: vec![Steady::default(); tags.len()],
        tags: tags.into_iter().map(|(tag, _)| tag).collect(),
        quarantine: Vec::new(),
        states: vec![State::default(); rules.len()],
        rules,
        before: None,
        writes,
        probes,
        limits,
    })
}

/// A tag, and the index of its table.
type Placed = (Tag, usize);

/// The polls that tags name, the urgent ones first.
fn polls(tables: &[Table<'_>], context: &Context<'_>) -> Vec<Poll> {
    let own = |table: &Table<'_>| table.entry("poll").and_then(|e| e.value().as_str().map(str::to_owned));
    let used: BTreeSet<String> =
        tables.iter().filter_map(|table| own(table).or_else(|| context.defaults.poll.clone())).collect();
    let poll = |(name, period): (&String, &crate::tagmap::Period)| Poll {
        name: name.as_str().into(),
        every: period.every,
        priority: period.priority,
        reads: Vec::new(),
    };
    let mut polls: Vec<Poll> = context.polls.iter().filter(|(name, _)| used.contains(*name)).map(poll).collect();
    polls.sort_by_key(|poll| (poll.priority, poll.every));
    polls
}

fn known(tags: &[Placed]) -> Known {
    let mut known = Known::new();
    for (index, (tag, _)) in tags.iter().enumerate() {
        known.insert(tag.name.clone(), (Ref { tag: index, bit: None }, tag.kind()));
        for (bit, bits) in tag.bits.iter().enumerate() {
            let kind = if bits.count == 1 { Kind::Bool } else { Kind::Number };
            known.insert(format!("{}.{}", tag.name, bits.name), (Ref { tag: index, bit: Some(bit) }, kind));
        }
    }
    known
}

/// What each poll reads: tags, and groups whole.
fn atoms(tags: &[Placed], polls: &[Poll], limits: Limits, context: &Context<'_>) -> Vec<Vec<Atom>> {
    let mut atoms: Vec<Vec<Atom>> = vec![Vec::new(); polls.len()];
    let mut groups: BTreeMap<(usize, &str), Atom> = BTreeMap::new();
    for (index, (tag, _)) in tags.iter().enumerate() {
        let read = tag.read();
        let Some(group) = &tag.group else {
            atoms[tag.poll].push(Atom { read, tags: vec![index] });
            continue;
        };
        let atom = groups.entry((tag.poll, group)).or_insert_with(|| Atom { read, tags: Vec::new() });
        let end = |at: u16, count: u16| u32::from(at) + u32::from(count);
        let end = end(atom.read.at, atom.read.count).max(end(read.at, read.count));
        atom.read.at = atom.read.at.min(read.at);
        atom.read.count = u16::try_from(end - u32::from(atom.read.at)).unwrap_or(u16::MAX);
        atom.read.alone = true;
        atom.tags.push(index);
    }
    for ((poll, _), atom) in groups {
        atoms[poll].push(atom);
    }
    for atom in atoms.iter_mut().flatten() {
        if context.quirks.contains(&Quirk::CoilsFromZero) && atom.read.area == Area::Coil {
            (atom.read.count, atom.read.at) = (atom.read.at.saturating_add(atom.read.count), 0);
        }
        atom.read.alone |= context.quirks.contains(&Quirk::OneRequestPerTag);
        // What is too large for one request was told as a fault; a plan is made nevertheless.
        let most = if atom.read.area.is_bits() { limits.max_bits } else { limits.max_words };
        atom.read.count = atom.read.count.min(most);
    }
    atoms
}

/// The condition in an entry; a fault at the place in it.
fn condition(entry: &Entry<'_>, names: &Names<'_>) -> Option<Condition> {
    let text: String = entry.read()?;
    match parse(&text, names) {
        Ok(condition) => Some(condition),
        Err(wrong) => {
            refuse(entry, &wrong);
            None
        }
    }
}

fn refuse(entry: &Entry<'_>, wrong: &Wrong) {
    if wrong.message.is_empty() {
        return;
    }
    entry.refuse_within(wrong.at, &wrong.message, &wrong.help);
}

/// The dotted name of an event.
fn kind(entry: &Entry<'_>, context: &Context<'_>) -> Option<String> {
    let text = context.fill(&entry.read::<String>()?);
    named(&text, "weight.measured").map_err(|(message, help)| entry.refuse(&message, &help)).ok()
}

/// A duration in milliseconds.
fn millis(table: &Table<'_>, key: &str, context: &Context<'_>) -> Option<u64> {
    let entry = table.entry(key)?;
    context.duration(&entry).map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
