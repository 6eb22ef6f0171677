//! Reading `[[fifo]]`: everything that can be wrong with it is told before the first register is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::queue::MOST_WORDS;
use super::slot::{Field, Slot, Words};
use super::{Fifo, Queue, Ring, Span, Style};
use crate::form::{self, Table};
use crate::tagmap::registers::{Chars, Order, Trim, Type};
use crate::tagmap::{Addresses, Context, DeviceLimits, Period, quirk};

/// `[defaults]` of a map: what its points inherit.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Byte order of 32-bit numbers.
    pub order: Option<Order>,
    /// Name of a `[poll.NAME]`.
    pub poll: Option<String>,
    /// Most registers of one request; the protocol's limit is 125, devices often have a lower one.
    pub max_words: u16,
    /// Most bits of one request; the protocol's limit is 2000.
    pub max_bits: u16,
    /// Registers read for nothing rather than a second request.
    pub max_gap: u16,
    /// Bits read for nothing rather than a second request.
    pub max_gap_bits: u16,
}

/// Registers that a request may have when the map does not say: what most devices answer.
const MAX_WORDS: u16 = 100;
/// Most registers of one read (Modbus Application Protocol 1.1b3, 6.3).
const PROTOCOL_MAX_WORDS: u16 = 125;
/// Most bits of one read (the same, 6.1).
const PROTOCOL_MAX_BITS: u16 = 2_000;

impl Defaults {
    /// Reads `[defaults]`, which may be absent; the device may answer less.
    pub fn read(root: &Table<'_>, device: DeviceLimits, polls: &BTreeMap<String, Period>) -> Self {
        let mut read =
            Self { order: None, poll: None, max_words: MAX_WORDS, max_bits: 1_000, max_gap: 8, max_gap_bits: 64 };
        if let Some(table) = root.table("defaults") {
            read.order = Order::read(&table, 2);
            read.poll = table.optional("poll");
            if let Some(name) = read.poll.as_ref().filter(|name| !polls.contains_key(*name)) {
                let help = form::nearest(name, &polls.keys().cloned().collect());
                table.refuse_key("poll", &format!("there is no [poll.{name}]"), &help);
            }
            read.max_gap = table.or("max_gap", read.max_gap);
            read.max_gap_bits = table.or("max_gap_bits", read.max_gap_bits);
            read.max_words = at_most(&table, "max_words", read.max_words, PROTOCOL_MAX_WORDS, "registers");
            read.max_bits = at_most(&table, "max_bits", read.max_bits, PROTOCOL_MAX_BITS, "bits");
        }
        read.max_words = device.max_words.map_or(read.max_words, |most| read.max_words.min(most)).max(1);
        read.max_bits = device.max_bits.map_or(read.max_bits, |most| read.max_bits.min(most)).max(1);
        read
    }
}

fn at_most(table: &Table<'_>, key: &str, default: u16, most: u16, what: &str) -> u16 {
    let read = table.or(key, default);
    if read == 0 || read > most {
        table.refuse_key(key, &format!("is {read}"), &format!("a request reads 1 to {most} {what}"));
    }
    read
}

impl Fifo {
    /// Reads one `[[fifo]]`.
    pub fn read(table: &Table<'_>, context: &Context<'_>) -> Option<Self> {
        let name: Option<String> = table.required("name");
        let styles = [("ring", Way::Ring), ("mailbox", Way::Mailbox), ("fc24", Way::Queue)];
        let way = table.required_entry("style").and_then(|e| e.choice(&styles));
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
    table.required_entry("write").and_then(|e| e.choice(&[("fc6", ())]));
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
    let wide = table.required_entry("type").and_then(|e| e.choice(&[("u16", false), ("u32", true)]));
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

/// What the fields say beyond their values.
#[derive(Default)]
struct Roles {
    seq: Vec<u16>,
    crc: Vec<u16>,
    /// Neither number nor CRC of the slot, in the order of the map.
    data: Vec<String>,
    /// Fields whose values are words.
    words: BTreeSet<String>,
}

fn slot(table: &Table<'_>, context: &Context<'_>, slot_words: u16) -> Option<Slot> {
    let fields_table = table.required_table("field")?;
    let (mut fields, mut roles) = (Vec::<Field>::new(), Roles::default());
    let mut failed = false;
    for entry in fields_table.all() {
        let Some(of) = entry.table() else { continue };
        let Some(read) = field(&of, entry.key(), context, slot_words, &mut roles) else {
            failed = true;
            continue;
        };
        let span = |f: &Field| Span { at: f.word, words: f.kind.words() };
        if let Some(other) = fields.iter().find(|f| span(f).overlaps(span(&read))) {
            of.refuse_key("word", &format!("overlaps field `{}`", other.name), "each word belongs to one field");
        }
        fields.push(read);
    }
    if roles.seq.is_empty() && !failed {
        fields_table.refuse("no field repeats the slot's number", "add must_match = \"slot\" to the one that does");
    }
    if roles.seq.len() > 1 || roles.crc.len() > 1 {
        fields_table.refuse("two fields have the same check", "one field is the slot's number, one its CRC");
    }
    let emit = table.required_table("emit")?;
    let event = template(&emit, "event", context, &roles, failed);
    let subject = emit.entry("subject").and_then(|_| template(&emit, "subject", context, &roles, failed));
    let time: Option<String> = emit.optional("time");
    let carried = emit.optional::<Vec<String>>("fields");
    let named = time.iter().map(|name| ("time", name)).chain(carried.iter().flatten().map(|name| ("fields", name)));
    for (key, name) in named.filter(|(_, name)| !failed && !roles.data.contains(name)) {
        emit.refuse_key(key, &format!("there is no field `{name}` with data"), &roles.data.join(", "));
    }
    let carried =
        carried.unwrap_or_else(|| roles.data.iter().filter(|name| time.as_ref() != Some(name)).cloned().collect());
    Some(Slot {
        fields,
        seq: *roles.seq.first()?,
        crc: roles.crc.first().copied(),
        event: event?,
        subject,
        time,
        carried,
    })
}

/// A text with `{field}` in it. In an event's name a field must have words, so that all names are known.
fn template(emit: &Table<'_>, key: &str, context: &Context<'_>, roles: &Roles, failed: bool) -> Option<String> {
    let text = context.fill(&emit.required::<String>(key)?);
    let known = |name: &&str| roles.data.iter().any(|f| f == name) && (key != "event" || roles.words.contains(*name));
    for part in text.split('{').skip(1) {
        let (name, _) = part.split_once('}').unwrap_or((part, ""));
        if !failed && !known(&name) {
            let kind = if key == "event" { "field with an enum" } else { "field" };
            emit.refuse_key(key, &format!("`{name}` is no {kind}"), &format!("write {{name}} of a {kind}"));
            return None;
        }
    }
    let fixed: String = text
        .split('{')
        .enumerate()
        .map(|(i, p)| if i == 0 { p } else { p.split_once('}').map_or("", |x| x.1) })
        .collect();
    if key == "event" && (text.is_empty() || !fixed.bytes().all(|b| is_word_byte(b) || b == b'.')) {
        emit.refuse_key(key, &format!("\"{text}\" is no event name"), "dotted lower case: \"divert.{result}\"");
        return None;
    }
    Some(text)
}

const fn is_word_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
}

fn field(table: &Table<'_>, name: &str, context: &Context<'_>, slot_words: u16, roles: &mut Roles) -> Option<Field> {
    let word: Option<u16> = table.required("word");
    let kind = kind(table, context);
    let number = matches!(kind, Some(Type::U16 | Type::U32(_)));
    let (min, max): (Option<i64>, Option<i64>) = (table.optional("min"), table.optional("max"));
    let words_for = words_for(table);
    let unit = table.entry("as").and_then(|e| e.choice(&[("ms-since-boot", " ms since boot")]));
    let seq = table.entry("must_match").and_then(|e| e.choice(&[("slot", ())])).is_some();
    let check = table.entry("check").and_then(|e| e.choice(&[("sscc", false), ("crc16-slot", true)]));
    let (word, kind) = (word?, kind?);

    if u32::from(word) + u32::from(kind.words()) > u32::from(slot_words) {
        let help = format!("a slot has the words 0 to {}", slot_words.saturating_sub(1));
        table.refuse_key("word", &format!("{} words from {word} go past the slot", kind.words()), &help);
    }
    for key in ["min", "max", "enum", "as"].into_iter().filter(|key| !number && table.entry(key).is_some()) {
        table.refuse_key(key, "is for numbers", "remove it, or write type = \"u16\" or \"u32\"");
    }
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        table.refuse_key("min", "is above max", "exchange them");
    }
    if (seq || check == Some(true)) && kind != Type::U16 {
        table.refuse_key("type", "is not one register", "the slot's number and its CRC are of type \"u16\"");
    }
    if check == Some(true) && word == 0 {
        table.refuse_key("word", "leaves the CRC nothing to check", "it covers the words before it");
    }
    if check == Some(false) && number {
        table.refuse_key("check", "an SSCC has more digits than this number", "write type = \"string\"");
    }
    match (seq, check) {
        (true, _) => roles.seq.push(word),
        (_, Some(true)) => roles.crc.push(word),
        _ => roles.data.push(name.to_owned()),
    }
    if words_for.is_some() {
        roles.words.insert(name.to_owned());
    }
    let unit = unit.unwrap_or_default();
    Some(Field { name: name.to_owned(), word, kind, words_for, min, max, sscc: check == Some(false), unit })
}

#[derive(Clone, Copy)]
enum Kind {
    U16,
    U32,
    Text,
}

fn kind(table: &Table<'_>, context: &Context<'_>) -> Option<Type> {
    let kind = table
        .required_entry("type")
        .and_then(|e| e.choice(&[("u16", Kind::U16), ("u32", Kind::U32), ("string", Kind::Text)]));
    if !matches!(kind, Some(Kind::Text)) {
        for key in ["words", "encoding", "bytes", "trim"].into_iter().filter(|key| table.entry(key).is_some()) {
            table.refuse_key(key, "is for texts", "remove it, or write type = \"string\"");
        }
    }
    match kind? {
        Kind::U16 => no_order(table).or(Some(Type::U16)),
        Kind::U32 => order(table, context).map(Type::U32),
        Kind::Text => {
            no_order::<()>(table);
            text(table, context)
        }
    }
}

/// A text; where a register has its characters is said by `bytes`, or by a quirk: the device's counts most.
pub(in crate::tagmap) fn text(table: &Table<'_>, context: &Context<'_>) -> Option<Type> {
    let words: Option<u16> = table.required("words");
    table.entry("encoding").and_then(|e| e.choice(&[("ascii", ())]));
    let layouts =
        [("high-first", Chars::HighFirst), ("low-first", Chars::LowFirst), ("high", Chars::High), ("low", Chars::Low)];
    let quirk = quirk::chars(&context.quirks);
    let entry = if quirk.is_some() { table.entry("bytes") } else { table.required_entry("bytes") };
    let chars = entry.and_then(|e| e.choice(&layouts));
    let chars = quirk::chars(&context.binding.quirks).or(chars).or(quirk);
    let trims = [
        ("nul+space", Trim { nul: true, space: true }),
        ("nul", Trim { nul: true, space: false }),
        ("space", Trim { nul: false, space: true }),
        ("none", Trim { nul: false, space: false }),
    ];
    let trim = table.entry("trim").map_or(Some(trims[0].1), |e| e.choice(&trims));
    if words == Some(0) {
        table.refuse_key("words", "is 0", "a word has two characters, or one");
    }
    Some(Type::Text { words: words?, chars: chars?, trim: trim? })
}

pub(in crate::tagmap) fn words_for(table: &Table<'_>) -> Option<Words> {
    let keep = table.entry("on_unknown").and_then(|e| e.choice(&[("reject", false), ("number", true)]));
    let Some(words) = table.table("enum") else {
        if table.entry("on_unknown").is_some() {
            table.refuse_key("on_unknown", "stands without an enum", "add enum = { 1 = \"confirmed\", … }");
        }
        return None;
    };
    let mut of = Vec::new();
    for entry in words.all() {
        let word: Option<String> = entry.read();
        if word.as_deref().is_some_and(|w| w.is_empty() || !w.bytes().all(is_word_byte)) {
            entry.refuse("is no word for an event's name", "lower-case letters, digits, - and _");
        }
        match (entry.key().parse(), word) {
            (Ok(number), Some(word)) => of.push((number, word)),
            (Err(_), _) => entry.refuse("is not named by a number", "write 1 = \"confirmed\""),
            _ => {}
        }
    }
    Some(Words { of, keep_unknown: keep.unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use crate::tagmap::fifo::tests::{SORTER, read};

    /// The shipped map with `from` replaced: its faults.
    fn faults(from: &str, to: &str) -> Vec<String> {
        assert!(SORTER.contains(from), "{from}");
        read(&SORTER.replacen(from, to, 1), false).err().unwrap_or_default()
    }

    #[test]
    fn a_fault_has_its_place() {
        assert_eq!(
            faults("count = 32", "count = 30"),
            [
                "map.toml:28:31: fifo[1].slots.count: is 30, which does not divide 65536: after the counter wraps, numbers \
              would lie in other slots (a power of two: 16, 32, 64 …)"
            ]
        );
    }

    /// Key, message and help of the one fault that the change makes.
    fn check(from: &str, to: &str, expected: &str) {
        let told = faults(from, to);
        let told: Vec<&str> = told.iter().map(|f| f.splitn(4, ':').last().unwrap_or(f).trim()).collect();
        assert_eq!(told, [expected], "{from} -> {to}");
    }

    #[test]
    fn addresses_are_holding_registers_that_do_not_overlap() {
        let help = "(addresses = \"modicon\": 40001 to 49999, or 400001 to 465536)";
        check("at = 40101", "at = 30101", &format!("fifo[1].head.at: 30101 is no holding register {help}"));
        check(
            "at = 40201",
            "at = 465530",
            &format!("fifo[1].slots.at: 512 registers from 465530 go past the last one {help}"),
        );
        check(
            "at = 40102",
            "at = 40101",
            "fifo[1].ack: lies on the same register as `head` (give each its own registers)",
        );
        check(
            "at = 40201",
            "at = 40103",
            "fifo[1].epoch: lies on the same register as `slots` (give each its own registers)",
        );
        check(
            "at = 40103",
            "at = 41103",
            "fifo[1]: head, ack and epoch span 1003 registers (they are read together: at most 100 (max_words))",
        );
    }

    #[test]
    fn slots_leave_registers_for_the_counters() {
        let all = SORTER.replace("at = 40201", "at = 400001").replace("count = 32", "count = 4096");
        let told = read(&all, false).err().unwrap_or_default().join("\n");
        let fault = "slots.count: makes 65536 registers of slots (leave some for head and ack)";
        assert!(told.contains(fault), "{told}");
    }

    #[test]
    fn fields_lie_in_the_slot_and_apart() {
        check(
            "word = 3",
            "word = 4",
            "fifo[1].field.result.word: overlaps field `lane` (each word belongs to one field)",
        );
        check(
            "word = 15",
            "word = 16",
            "fifo[1].field.crc.word: 1 words from 16 go past the slot (a slot has the words 0 to 15)",
        );
        check(
            "words = 16",
            "words = 126",
            "fifo[1].slots.words: is 126 (a slot is read at once: 1 to 100 (max_words))",
        );
        check(
            ", must_match = \"slot\"",
            "",
            "fifo[1].field: no field repeats the slot's number (add must_match = \"slot\" to the one that does)",
        );
    }

    #[test]
    fn the_order_of_a_wide_number_is_given_with_four_letters() {
        let letters = "one of \"ABCD\", \"CDAB\", \"BADC\", \"DCBA\"";
        check(
            "type = \"u32\",",
            "type = \"u32\", order = \"BA\",",
            &format!("fifo[1].field.plc_time.order: has two letters, for a number of four bytes ({letters})"),
        );
        check(
            "type = \"u32\",",
            "type = \"u32\", order = \"CDBA\",",
            &format!(
                "fifo[1].field.plc_time.order: \"CDBA\" is not known here (did you mean `CDAB`? One of {})",
                &letters[7..]
            ),
        );
        check(
            "order = \"CDAB\"",
            "",
            "fifo[1].field.plc_time.order: is missing (write order = \"ABCD\" (high word first) or \"CDAB\", here or in [defaults])",
        );
        check(
            "word = 3,",
            "word = 3, order = \"ABCD\",",
            "fifo[1].field.lane.order: orders the bytes of two registers, but this is one (remove it)",
        );
    }

    #[test]
    fn a_plc_without_a_restart_count_needs_the_operators_word() {
        let epoch = SORTER.lines().find(|line| line.starts_with("epoch")).expect("the shipped map has an epoch");
        check(
            epoch,
            "",
            "fifo[1].epoch: is missing: a PLC that starts to count again would be taken for one that repeats itself (give \
             the register of its restart count; if it has none, accept_epoch_risk = true at the device)",
        );
        assert_eq!(read(&SORTER.replace(epoch, ""), true).err(), None);
    }

    #[test]
    fn events_are_named_by_words_that_the_map_knows() {
        check(
            "divert.{result}",
            "divert.{lane}",
            "fifo[1].emit.event: `lane` is no field with an enum (write {name} of a field with an enum)",
        );
        check(
            "divert.{result}",
            "Divert",
            "fifo[1].emit.event: \"Divert\" is no event name (dotted lower case: \"divert.{result}\")",
        );
        check("{sscc}\"", "{scc}\"", "fifo[1].emit.subject: `scc` is no field (write {name} of a field)");
        check(
            "\"plc_time\"",
            "\"plc\"",
            "fifo[1].emit.time: there is no field `plc` with data (plc_time, lane, result, sscc)",
        );
        check(
            "\"missed\"",
            "\"Missed it\"",
            "fifo[1].field.result.enum.2: is no word for an event's name (lower-case letters, digits, - and _)",
        );
    }

    const MAILBOX: &str = include_str!("../../../devices/acme-mailbox-plc/map.toml");
    const QUEUE: &str = include_str!("../../../devices/acme-fc24-plc/map.toml");

    /// What a mailbox or a queue is told.
    fn check_style(map: &str, from: &str, to: &str, expected: &[&str]) {
        assert!(map.contains(from), "{from}");
        let told = read(&map.replacen(from, to, 1), false).err().unwrap_or_default();
        let told: Vec<&str> = told.iter().map(|f| f.splitn(4, ':').last().unwrap_or(f).trim()).collect();
        assert_eq!(told, expected, "{from} -> {to}");
    }

    #[test]
    fn a_mailbox_has_one_slot_apart_from_its_counters() {
        check_style(MAILBOX, "", "", &[]);
        let request = "fifo[1].request: lies on the same register as `slot` (give each its own registers)";
        check_style(MAILBOX, "request = { at = 40101", "request = { at = 40112", &[request]);
        let head = "fifo[1].head: unknown key (did you mean `area`? ";
        let told = read(&MAILBOX.replace("request = {", "head = {"), false).err().unwrap_or_default().join("\n");
        assert!(told.contains("fifo[1].request: is missing") && told.contains(&head[..21]), "{told}");
    }

    #[test]
    fn an_event_of_a_queue_fits_what_function_24_shows() {
        check_style(QUEUE, "", "", &[]);
        let words = "fifo[1].queue.words: is 32 (function 24 shows 1 to 31 registers: an event must fit)";
        check_style(QUEUE, "words = 13", "words = 32", &[words]);
        let epoch = "fifo[1].epoch: lies on the same register as `ack` (give each its own registers)";
        check_style(QUEUE, "at = 40103", "at = 40102", &[epoch]);
    }

    #[test]
    fn what_this_version_does_not_do_is_refused() {
        check("\"fast\"\narea", "\"slow\"\narea", "fifo[1].poll: there is no [poll.slow] (\"fast\")");
        check(
            "time = \"plc_time\"",
            "time = \"plc_time\"\nepcis = 1",
            "fifo[1].emit.epcis: unknown key (known here: `event`, `fields`, `subject`, `time`)",
        );
        check(
            "addresses = \"modicon\" ",
            "",
            "map.addresses: is missing (say how addresses are written: \"zero\", \"one\" or \"modicon\")",
        );
    }
}
