//! Reading `[[fifo]]`: everything that can be wrong with it is told before the first register is read.

mod slot;
mod values;

use std::sync::Arc;
use std::time::Duration;

use super::queue::MOST_WORDS;
use super::{Fifo, Queue, Ring, Span, Style};
use crate::form::{self, Table};
use crate::tagmap::points::Area;
use crate::tagmap::registers::Order;
use crate::tagmap::{Addresses, Context, Period, address};
use slot::slot;

pub(in crate::tagmap) use values::{text, words_for};

impl Fifo {
    /// Reads one `[[fifo]]`.
    pub fn read(table: &Table<'_>, context: &Context<'_>) -> Option<Self> {
        let name: Option<String> = table.required("name");
        let styles = [("ring", Way::Ring), ("mailbox", Way::Mailbox), ("fc24", Way::Queue)];
        let way = table.required_choice("style", &styles);
        let period = poll(table, context);
        table.entry("area").and_then(|e| e.choice(&[("holding", ())]));
        table.entry("overrun").and_then(|e| e.choice(&[("alarm+gap-event", ())]));
        let stuck_after = table.or("stuck_after", form::Duration(Duration::from_secs(10))).0;
        let style = match way {
            Some(Way::Queue) => queue(table, context).map(Style::Queue),
            Some(Way::Mailbox) => mailbox(table, context).map(Style::Ring),
            Some(Way::Ring) | None => ring(table, context).map(Style::Ring),
        };
        let words = match &style {
            Some(Style::Ring(ring)) => ring.words,
            Some(Style::Queue(queue)) => queue.words,
            None => u16::MAX,
        };
        let slot = slot(table, context, words);
        let period = period?;
        Some(Self {
            name: name?.into(),
            every: period.every,
            priority: period.priority,
            stuck_after,
            style: style?,
            slot: slot?,
            device: Arc::clone(&context.binding.device),
            map: Arc::clone(&context.map),
        })
    }
}

#[derive(Clone, Copy)]
enum Way {
    Ring,
    Mailbox,
    Queue,
}

fn poll(table: &Table<'_>, context: &Context<'_>) -> Option<Period> {
    let name = match table.optional::<String>("poll").or_else(|| context.defaults.poll.clone()) {
        Some(name) => name,
        None => table.required("poll")?,
    };
    match context.polls.get(&name).copied() {
        Some(period) if !period.every.is_zero() => Some(period),
        Some(_) => {
            table.refuse_key("poll", "polls without a pause", "give [poll.*] every = \"50ms\" or more");
            None
        }
        None => {
            let known = context.polls.keys().map(|k| format!("\"{k}\"")).collect::<Vec<_>>().join(", ");
            let help = if known.is_empty() { "add a table [poll.NAME] with every = \"50ms\"" } else { &known };
            table.refuse_key("poll", &format!("there is no [poll.{name}]"), help);
            None
        }
    }
}

/// The ack register and whether it is read back.
fn ack(table: &Table<'_>, context: &Context<'_>) -> Option<(u16, bool)> {
    let table = &table.required_table("ack")?;
    let at = counter(table, context);
    table.required_choice("write", &[("fc6", ())]);
    let verify = table.or("verify", true);
    Some((at?, verify))
}

/// `Some(None)`: the PLC has none, and the operator accepts it.
#[expect(clippy::option_option, reason = "no restart count and no readable one differ")]
fn epoch(table: &Table<'_>, context: &Context<'_>) -> Option<Option<(u16, Option<Order>)>> {
    let Some(epoch) = table.table("epoch") else {
        if !context.binding.accept_epoch_risk {
            table.refuse_key(
                "epoch",
                "is missing: a PLC that starts to count again would be taken for one that repeats itself",
                "give the register of its restart count; if it has none, accept_epoch_risk = true at the device",
            );
        }
        return Some(None);
    };
    epoch_register(&epoch, context).map(Some)
}

/// One slot, and a request number that counts up when it is written: a ring of one.
fn mailbox(table: &Table<'_>, context: &Context<'_>) -> Option<Ring> {
    let request = table.required_table("request").and_then(|t| counter(&t, context));
    let (ack, epoch) = (ack(table, context), epoch(table, context));
    let slot = table.required_table("slot").and_then(|table| {
        let words = slot_words(&table, context.defaults.max_words);
        Some((address(&table, context, u32::from(words.unwrap_or(1)))?, words?))
    });
    let (slots_at, words) = slot?;
    let (ack, verify) = ack?;
    let max_words = context.defaults.max_words;
    let ring = Ring { head: request?, ack, verify, epoch: epoch?, slots_at, slots: 1, words, max_words, max_batch: 1 };
    apart(table, &ring, ["request", "slot"]);
    Some(ring)
}

/// What function 24 shows.
fn queue(table: &Table<'_>, context: &Context<'_>) -> Option<Queue> {
    let place = table.required_table("queue").and_then(|table| {
        let (at, words) = (address(&table, context, 1), table.required::<u16>("words"));
        if let Some(words) = words.filter(|words| !(1..=MOST_WORDS).contains(words)) {
            let help = format!("function 24 shows 1 to {MOST_WORDS} registers: an event must fit");
            table.refuse_key("words", &format!("is {words}"), &help);
            return None;
        }
        Some((at?, words?))
    });
    let (ack, epoch) = (ack(table, context), epoch(table, context));
    let (at, words) = place?;
    let (ack, verify) = ack?;
    let queue = Queue { at, words, ack, verify, epoch: epoch? };
    let taken = queue.epoch.map(|e| Span { at: e.0, words: super::epoch_words(e) });
    if taken.is_some_and(|epoch| epoch.overlaps(Span { at: ack, words: 1 })) {
        table.refuse_key("epoch", "lies on the same register as `ack`", "give each its own registers");
    }
    if queue.status().words > context.defaults.max_words {
        let message = format!("ack and epoch span {} registers", queue.status().words);
        table.refuse(&message, &format!("they are read together: at most {} (max_words)", context.defaults.max_words));
    }
    Some(queue)
}

fn ring(table: &Table<'_>, context: &Context<'_>) -> Option<Ring> {
    let head = table.required_table("head").and_then(|t| counter(&t, context));
    let (ack, epoch) = (ack(table, context), epoch(table, context));
    let (mut slots_at, mut slots, mut words) = (None, None, None);
    if let Some(table) = table.required_table("slots") {
        slots = count(&table);
        words = slot_words(&table, context.defaults.max_words);
        let all = u32::from(slots.unwrap_or(1)) * u32::from(words.unwrap_or(1));
        slots_at = address(&table, context, all);
        if all > u32::from(u16::MAX) {
            table.refuse_key("count", &format!("makes {all} registers of slots"), "leave some for head and ack");
            return None;
        }
    }
    let max_batch = table.or("max_batch", slots.unwrap_or(1));
    if slots.is_some_and(|slots| max_batch == 0 || max_batch > slots) {
        table.refuse_key("max_batch", &format!("is {max_batch}"), "1 to the number of slots");
    }
    let (ack, verify) = ack?;
    let ring = Ring {
        head: head?,
        ack,
        verify,
        epoch: epoch?,
        slots_at: slots_at?,
        slots: slots?,
        words: words?,
        max_words: context.defaults.max_words,
        max_batch,
    };
    apart(table, &ring, ["head", "slots"]);
    Some(ring)
}

/// The counters must not overlap each other or the slots, and be read in one request.
fn apart(table: &Table<'_>, ring: &Ring, [head, slots]: [&'static str; 2]) {
    let mut taken = vec![(slots, Span { at: ring.slots_at, words: ring.slots * ring.words })];
    let epoch = ring.epoch.map(|e| ("epoch", Span { at: e.0, words: super::epoch_words(e) }));
    let counters = [(head, Span { at: ring.head, words: 1 }), ("ack", Span { at: ring.ack, words: 1 })];
    for (name, span) in counters.into_iter().chain(epoch) {
        if let Some((other, _)) = taken.iter().find(|(_, other)| span.overlaps(*other)) {
            table.refuse_key(name, &format!("lies on the same register as `{other}`"), "give each its own registers");
        }
        taken.push((name, span));
    }
    if ring.status().words > ring.max_words {
        let message = format!("{head}, ack and epoch span {} registers", ring.status().words);
        table.refuse(&message, &format!("they are read together: at most {} (max_words)", ring.max_words));
    }
}

/// A 16-bit counter register.
fn counter(table: &Table<'_>, context: &Context<'_>) -> Option<u16> {
    let kind = table.required_entry("type").and_then(|e| match e.value().as_str() {
        Some("u32") => {
            e.refuse("is not in this version: one register is written and read back at once", "write \"u16\"");
            None
        }
        _ => e.choice(&[("u16", ())]),
    });
    let at = address(table, context, 1);
    kind.and(at)
}

fn epoch_register(table: &Table<'_>, context: &Context<'_>) -> Option<(u16, Option<Order>)> {
    let wide = table.required_choice("type", &[("u16", false), ("u32", true)]);
    let order = if wide == Some(true) { Some(order(table, context)?) } else { no_order(table) };
    Some((address(table, context, if order.is_some() { 2 } else { 1 })?, order))
}

/// The order of a 32-bit number: its own or the map's.
fn order(table: &Table<'_>, context: &Context<'_>) -> Option<Order> {
    let order = Order::read(table, 2).or(context.defaults.order);
    if order.is_none() && table.entry("order").is_none() {
        table.refuse_key(
            "order",
            "is missing",
            "write order = \"ABCD\" (high word first) or \"CDAB\", here or in [defaults]",
        );
    }
    order
}

fn no_order<T>(table: &Table<'_>) -> Option<T> {
    if let Some(entry) = table.entry("order") {
        entry.refuse("orders the bytes of two registers, but this is one", "remove it");
    }
    None
}

fn count(table: &Table<'_>) -> Option<u16> {
    let count: u16 = table.required("count")?;
    if count.is_power_of_two() && count <= 16_384 {
        return Some(count);
    }
    table.refuse_key(
        "count",
        &format!("is {count}, which does not divide 65536: after the counter wraps, numbers would lie in other slots"),
        "a power of two: 16, 32, 64 …",
    );
    None
}

fn slot_words(table: &Table<'_>, most: u16) -> Option<u16> {
    let words: u16 = table.required("words")?;
    if (1..=most).contains(&words) {
        return Some(words);
    }
    table.refuse_key("words", &format!("is {words}"), &format!("a slot is read at once: 1 to {most} (max_words)"));
    None
}

/// The key `at` as a holding register counted from 0, with room for `words`.
fn address(table: &Table<'_>, context: &Context<'_>, words: u32) -> Option<u16> {
    let written = table.required_entry("at").and_then(|e| context.integer(&e))?;
    address::doubt(table, context, Some(Area::Holding), written)?;
    let Ok(written) = u32::try_from(written) else {
        table.refuse_key("at", &format!("is the number {written}"), "write a whole number from 0 to 465536");
        return None;
    };
    let (first, help) = match context.addresses? {
        Addresses::Zero => (0, "addresses = \"zero\": 0 to 65535"),
        Addresses::One => (1, "addresses = \"one\": 1 to 65536"),
        Addresses::Modicon if written > 99_999 => {
            (400_001, "addresses = \"modicon\": 40001 to 49999, or 400001 to 465536")
        }
        Addresses::Modicon => (40_001, "addresses = \"modicon\": 40001 to 49999, or 400001 to 465536"),
    };
    let limit = if first == 40_001 { 9_999 } else { 65_536 };
    let at = written.checked_sub(first).filter(|at| *at < limit);
    match at {
        None => {
            table.refuse_key("at", &format!("{written} is no holding register"), help);
            None
        }
        Some(at) if at + words > 65_536 => {
            table.refuse_key("at", &format!("{words} registers from {written} go past the last one"), help);
            None
        }
        Some(at) => u16::try_from(at).ok(),
    }
}

#[cfg(test)]
mod tests;
