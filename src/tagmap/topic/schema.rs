//! Reading `[[topic]]`: everything that can be wrong with it is told before the first message.

use std::sync::Arc;
use std::time::Duration;

use super::barcode::Barcode;
use super::filter::{Filter, is_name};
use super::payload::{Payload, Place};
use super::template::Template;
use super::{Emit, Field, Identity, Is, Kind, Take, Topic, When};
use crate::event::{Repeat, Value};
use crate::form::{self, Bytes, Entry, FromValue, Table};
use crate::tagmap::number::Number;
use crate::tagmap::{Context, kind};

/// What says when.
const TIMES: &[Kind] = &[Kind::Time, Kind::UnixTime, Kind::UnixTimeMs];
/// Largest payload when the map does not say: far above any scanner's.
const MAX_BYTES: u64 = 64 << 10;
/// The same content within this time is one scan (docs/adr/0005).
const WINDOW: Duration = Duration::from_secs(2);
/// The window slides no longer than this.
const MAX_BURST: Duration = Duration::from_secs(10);

impl Topic {
    /// Reads one `[[topic]]`.
    pub fn read(table: &Table<'_>, context: &Context<'_>) -> Option<Self> {
        let filter = table.required_entry("filter").and_then(|entry| {
            let text = entry.value().as_str().unwrap_or_default();
            if text.ends_with('/') {
                let message = "ends in `/`, which is one more level, without a name: nothing else matches it";
                let help = "remove the `/`, or write `#` behind it for all that is below";
                context.warnings.borrow_mut().push(entry.fault(message, help));
            }
            filter(&entry, context)
        });
        let all = [(0, 0), (1, 1), (2, 2)];
        let qos = table.entry("qos").and_then(|entry| entry.number_of(&all, "0, 1 or 2; 1 loses nothing")).unwrap_or(1);
        table.entry("retain").and_then(|entry| only(&entry, "ignore"));
        Self::read_message(table, context, filter, qos)
    }

    /// What is wrong with a topic filter, parameters filled in.
    pub fn wrong_filter(text: &str) -> Option<String> {
        Filter::parse(text).err()
    }

    /// Reads what the frames of a device are: messages on a topic of their own.
    pub(in crate::tagmap) fn read_frame(table: &Table<'_>, context: &Context<'_>) -> Option<Self> {
        Self::read_message(table, context, Filter::parse(Self::FRAME).ok(), 0)
    }

    /// Reads what a message is made of, whatever it came by.
    fn read_message(
        table: &Table<'_>,
        context: &Context<'_>,
        filter: Option<(Filter, Vec<String>)>,
        qos: u8,
    ) -> Option<Self> {
        let payload = Payload::read(table);
        let max_bytes = table.or("max_bytes", Bytes(MAX_BYTES)).0;
        if max_bytes == 0 {
            table.refuse_key("max_bytes", "is 0", "write a size such as \"64 KiB\"");
        }
        let (filter, captures) = filter.map_or((None, Vec::new()), |(filter, names)| (Some(filter), names));
        let mut slots = Slots(captures.into_iter().map(|name| Slot { name, field: None }).collect());
        let captured = slots.0.len();
        let mut whole = filter.is_some() && payload.is_some();
        let fields = table.required_table("field");
        for entry in fields.iter().flat_map(Table::all) {
            whole &= field(&entry, &mut slots, payload.as_ref(), whole).is_some();
        }
        let emits = table.tables("emit");
        if emits.is_empty() {
            let section = table.path().split('[').next().unwrap_or_default();
            table.refuse_key("emit", "is missing", &format!("add [[{section}.emit]] with the event that a message is"));
        }
        let identity = table.required_table("identity");
        let barcode = table.table("barcode");
        // A name that failed above would be told again below, as unknown.
        if !whole {
            emits.iter().chain(&identity).chain(&barcode).for_each(quiet);
            return None;
        }
        let barcode = barcode.map(|table| Barcode::read(&table, &mut slots, &emits));
        let read: Vec<Option<Emit>> = emits.iter().map(|table| emit(table, &slots, context)).collect();
        let open = |before: &Option<Emit>| before.as_ref().is_some_and(|emit| emit.when.is_none());
        for (after, _) in emits.iter().skip(1).zip(&read).filter(|(_, before)| open(before)) {
            after.refuse("is never reached: the one before it takes every message", "give that one a `when`");
        }
        let barcode = barcode.map(|barcode| Some(barcode?.for_emits(read.iter().flatten())));
        let each_says = emits.iter().all(|emit| emit.entry("time").is_some());
        let identity = identity.and_then(|table| identity_of(&table, &slots, each_says, context));
        let payload = payload?;
        Some(Self {
            filter: filter?,
            qos,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            captures: captured,
            payload,
            fields: slots.0.into_iter().filter_map(|slot| slot.field).collect(),
            barcode: match barcode {
                Some(read) => Some(read?),
                None => None,
            },
            emits: read.into_iter().collect::<Option<_>>()?,
            identity: identity?,
            device: Arc::clone(&context.binding.device),
            map: Arc::clone(&context.map),
        })
    }
}

/// Asks for all keys, so that none is told as unknown.
fn quiet(table: &Table<'_>) {
    table.quiet();
}

/// The one word that this version knows.
fn only(entry: &Entry<'_>, word: &str) -> Option<()> {
    let text: String = entry.read_of(|| form::Kind::Word(word.to_owned()))?;
    if text != word {
        entry.refuse(&format!("\"{text}\" is not in this version"), &format!("write \"{word}\""));
    }
    Some(())
}

fn filter(entry: &Entry<'_>, context: &Context<'_>) -> Option<(Filter, Vec<String>)> {
    let text = context.fill(&entry.read::<String>()?);
    match Filter::parse(&text) {
        Ok(read) => Some(read),
        Err(why) => {
            entry.refuse(&format!("\"{text}\" {why}"), "write \"{topic_root}/+station/read\" and the like");
            None
        }
    }
}

/// A name with what fills it.
pub(super) struct Slot {
    pub(super) name: String,
    /// `None`: a level of the topic.
    pub(super) field: Option<Field>,
}

pub(super) struct Slots(pub(super) Vec<Slot>);

impl Slots {
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|slot| slot.name == name)
    }

    fn known(&self) -> String {
        let has_barcode = self.0.iter().any(|slot| matches!(slot.field, Some(Field::Suspect)));
        let ais = has_barcode.then(|| "and any AI, as in `ai.01` or `ai.310n`".to_owned());
        self.0.iter().map(|slot| format!("`{}`", slot.name)).chain(ais).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn kind(&self, slot: usize) -> Kind {
        match self.0[slot].field {
            Some(Field::At { kind, .. } | Field::Ai { kind, .. }) => kind,
            Some(Field::NoRead) => Kind::Bool,
            Some(Field::List { .. }) => Kind::List,
            _ => Kind::Text,
        }
    }

    /// Every message has it, or at least those that fulfil `when`.
    fn always(&self, slot: usize, when: Option<&When>) -> bool {
        let named = |slot: usize| when.is_some_and(|when| when.slot == slot);
        match self.0[slot].field {
            None => true,
            Some(Field::At { required: true, ref number, .. }) if !leaves_out(number.as_ref()) => true,
            Some(Field::List { .. }) => false, // no text is made of it
            Some(Field::At { .. } | Field::Ai { .. } | Field::NoRead | Field::Refused | Field::Suspect) => named(slot),
            Some(Field::Taken { from, what: Take::Bare }) => self.always(from, when),
            Some(Field::Taken { from, what: Take::Sscc }) => {
                named(slot) || (named(from) && when.is_some_and(|when| when.is == Is::Sscc))
            }
        }
    }

    /// What makes sure that an emit has this slot.
    fn demand(&self, slot: usize) -> String {
        let when = format!("write when = {{ field = \"{}\" }} in this emit", self.0[slot].name);
        match self.0[slot].field {
            Some(Field::At { ref number, .. }) if !leaves_out(number.as_ref()) => {
                format!("{when}, or required = true at the field")
            }
            Some(Field::Ai { .. }) => format!("{when}: a barcode without it is then another event, or bad input"),
            _ => when,
        }
    }

    /// The slot that a key of `table` names.
    pub(super) fn named(&self, table: &Table<'_>, key: &str) -> Option<usize> {
        let name: String = table.optional(key)?;
        let found = self.find(&name);
        if found.is_none() {
            table.refuse_key(key, &format!("there is no field `{name}`"), &format!("known here: {}", self.known()));
        }
        found
    }

    /// Each element of a message has its own.
    fn is_of_element(&self, slot: usize) -> bool {
        match self.0[slot].field {
            None => false,
            Some(Field::At { ref path, .. } | Field::List { ref path, .. }) => !path.is_message(),
            // What is read of a barcode belongs to the element that carries it.
            Some(Field::Ai { .. } | Field::NoRead | Field::Refused | Field::Suspect) => true,
            Some(Field::Taken { from, .. }) => self.is_of_element(from),
        }
    }

    /// The field of one of `kinds` that a key of `table` names.
    fn field(&self, table: &Table<'_>, key: &str, kinds: &[Kind], help: &str) -> Option<usize> {
        let slot = self.named(table, key)?;
        if !matches!(self.0[slot].field, Some(Field::At { .. })) || !kinds.contains(&self.kind(slot)) {
            table.refuse_key(key, &format!("`{}` can't be that", self.0[slot].name), help);
            return None;
        }
        Some(slot)
    }
}

fn leaves_out(number: Option<&Number>) -> bool {
    number.is_some_and(Number::may_leave_out)
}

/// `whole`: all fields before it are known, and so is the payload.
fn field(entry: &Entry<'_>, slots: &mut Slots, payload: Option<&Payload>, whole: bool) -> Option<()> {
    let table = entry.table()?;
    let name = entry.key();
    if !is_name(name) || name == "device" || slots.find(name).is_some() {
        let help = "lower-case letters, digits and _; not `device`, and no name twice";
        entry.refuse("is no name for a field here", help);
        quiet(&table);
        return None;
    }
    let field = match table.entry("from") {
        Some(_) if !whole => {
            quiet(&table);
            return None;
        }
        Some(_) => taken(&table, slots),
        None => {
            if payload.is_none() {
                quiet(&table);
            }
            payload.and_then(|payload| at(&table, payload, false))
        }
    };
    slots.0.push(Slot { name: name.to_owned(), field: Some(field?) });
    Some(())
}

/// `{ from = "code", take = "sscc" }`
fn taken(table: &Table<'_>, slots: &Slots) -> Option<Field> {
    let from = slots.named(table, "from");
    let take = table.required_choice("take", &[("sscc", Take::Sscc), ("bare", Take::Bare)]);
    let from = from?;
    if slots.kind(from) != Kind::Text {
        table.refuse_key("from", &format!("`{}` is no text", slots.0[from].name), "name a field of type \"string\"");
        return None;
    }
    take.map(|what| Field::Taken { from, what })
}

/// `{ path = "$.barcode", type = "string", required = true }`; `within` a list.
fn at(table: &Table<'_>, payload: &Payload, within: bool) -> Option<Field> {
    let path = Place::read(table, payload);
    let kinds = [
        ("string", Kind::Text),
        ("u64", Kind::Unsigned),
        ("integer", Kind::Integer),
        ("decimal", Kind::Decimal),
        ("f64", Kind::Decimal),
        ("bool", Kind::Bool),
        ("time", Kind::Time),
        ("list", Kind::List),
    ];
    let kinds = if within { &kinds[..7] } else { &kinds[..] }; // no list in a list
    let kind = table.required_entry("type").and_then(|entry| {
        #[cfg(feature = "sim")]
        if entry.value().as_str() == Some("planted-panic") {
            return Some(Kind::Panic); // for tests alone: nobody is offered it
        }
        entry.choice(kinds)
    });
    if kind == Some(Kind::List) {
        return list(table, path, payload);
    }
    let kind = match (kind, table.entry("format").filter(|_| kind == Some(Kind::Time))) {
        (_, Some(entry)) => {
            let formats = [("rfc3339", Kind::Time), ("unix", Kind::UnixTime), ("unix-ms", Kind::UnixTimeMs)];
            entry.choice(&formats)
        }
        (kind, None) => kind,
    };
    let number = if kind == Some(Kind::Decimal) { Some(Number::read(table)?) } else { None };
    let check = table.entry("check").filter(|_| kind == Some(Kind::Text));
    let is_sscc = check.is_some_and(|entry| entry.choice(&[("sscc", ())]).is_some());
    let required = table.or("required", false);
    Some(Field::At { path: path?, kind: kind?, required, number, is_sscc })
}

/// `{ path = "$.cartons", type = "list" }`: of texts; with `member`, of records.
fn list(table: &Table<'_>, path: Option<Place>, payload: &Payload) -> Option<Field> {
    let required = table.or("required", false);
    let members = table.table("member");
    let Some(element) = payload.element() else {
        table.refuse_key("type", "\"list\" is for payload = \"json\"", "name a field for each value of the text");
        members.iter().for_each(quiet);
        return None;
    };
    let mut read = Vec::new();
    for entry in members.iter().flat_map(Table::all) {
        let member = entry.table()?;
        read.push((entry.key().to_owned(), at(&member, &element, true)?));
    }
    Some(Field::List { path: path?, required, members: read })
}

fn emit(table: &Table<'_>, slots: &Slots, context: &Context<'_>) -> Option<Emit> {
    let asked = table.table("when");
    let when = asked.as_ref().and_then(|asked| when(asked, slots));
    let event = event(table);
    let once = table.optional("once");
    let time = slots.field(table, "time", TIMES, "a field of type \"time\"");
    let fields = carried(table, slots);
    if let (Some(event), Some(fields)) = (&event, &fields) {
        kind::complete(table, event, |name| fields.iter().any(|(field, _)| field == name));
    }
    let subject = table.entry("subject").map(|entry| template(&entry, slots, when.as_ref(), context));
    if asked.is_some() {
        when.as_ref()?;
    }
    let subject = match subject {
        Some(read) => Some(read?),
        None => None,
    };
    Some(Emit { when, event: event?, subject, fields: fields?, time, once })
}

fn event(table: &Table<'_>) -> Option<String> {
    let name: String = table.required("event")?;
    kind::named(&name, "scan.carton").map_err(|(message, help)| table.refuse_key("event", &message, &help)).ok()
}

/// `{ field = "code" }` (it is there), with `check = "sscc"`, `equals = …` or `prefix = "…"`.
fn when(table: &Table<'_>, slots: &Slots) -> Option<When> {
    let is_missing = table.required_entry("field").is_none();
    let slot = slots.named(table, "field");
    let mut asked = Vec::new();
    if let Some(entry) = table.entry("check") {
        asked.push(entry.choice(&[("sscc", Is::Sscc)]));
    }
    if let Some(entry) = table.entry("equals") {
        asked.push(value(&entry).map(Is::Equal));
    }
    if let Some(entry) = table.entry("prefix") {
        asked.push(entry.read().map(Is::Prefixed));
    }
    if asked.len() > 1 {
        table.refuse("asks for more than one thing", "one of `check`, `equals`, `prefix`");
    }
    let is = asked.pop().unwrap_or(Some(Is::Present));
    let (slot, is) = (slot.filter(|_| !is_missing)?, is?);
    let kind = slots.kind(slot);
    let fits = match &is {
        Is::Present => true,
        Is::Sscc | Is::Prefixed(_) | Is::Equal(Value::Text(_)) => {
            !matches!(kind, Kind::Unsigned | Kind::Integer | Kind::Bool | Kind::List)
        }
        Is::Equal(Value::Int(_)) => matches!(kind, Kind::Unsigned | Kind::Integer),
        Is::Equal(Value::Bool(_)) => kind == Kind::Bool,
        Is::Equal(Value::List(_)) => false,
    };
    if !fits {
        table.refuse(&format!("can never hold for `{}`: it has another type", slots.0[slot].name), "correct either");
    }
    Some(When { slot, is })
}

fn value(entry: &Entry<'_>) -> Option<Value> {
    for kind in [String::kind, i64::kind, bool::kind] {
        entry.expects(kind);
    }
    let value = entry.value();
    let read = String::from_value(value)
        .map(Value::Text)
        .or_else(|| i64::from_value(value).map(Value::Int))
        .or_else(|| bool::from_value(value).map(Value::Bool));
    if read.is_none() {
        entry.refuse("is neither text, whole number nor true or false", "write one of those");
    }
    read
}

/// `["code", "station"]`, or `{ name = "field" }` under other names.
fn carried(table: &Table<'_>, slots: &Slots) -> Option<Vec<(String, usize)>> {
    let entry = table.required_entry("fields")?;
    let slot = |at: &Entry<'_>, field: &str| {
        let found = slots.find(field);
        if found.is_none() {
            at.refuse(&format!("there is no field `{field}`"), &format!("known here: {}", slots.known()));
        }
        found
    };
    let mut carried = Vec::new();
    if entry.value().as_table().is_some() {
        for named in entry.table()?.all() {
            let field: String = named.read()?;
            carried.extend(slot(&named, &field).map(|slot| (named.key().to_owned(), slot)));
        }
    } else {
        for name in entry.read::<Vec<String>>()? {
            carried.extend(slot(&entry, &name).map(|slot| (name, slot)));
        }
    }
    Some(carried)
}

fn template(entry: &Entry<'_>, slots: &Slots, when: Option<&When>, context: &Context<'_>) -> Option<Template> {
    let text = context.fill(&entry.read::<String>()?);
    let mut help = format!("known here: {}", slots.known());
    let read = Template::parse(&text, |name| match slots.find(name) {
        None => Err(format!("names `{name}`, which is no field")),
        Some(slot) if slots.kind(slot) == Kind::List => Err(format!("names `{name}`, which is a list")),
        Some(slot) if !slots.always(slot, when) => {
            help = slots.demand(slot);
            Err(format!("names `{name}`, which a message may lack"))
        }
        Some(slot) => Ok(slot),
    });
    match read {
        Ok(template) => Some(template),
        Err(why) => {
            entry.refuse(&why, &help);
            None
        }
    }
}

fn identity_of(table: &Table<'_>, slots: &Slots, each_emit_says_when: bool, context: &Context<'_>) -> Option<Identity> {
    const ID: &[Kind] = &[Kind::Text, Kind::Unsigned];
    let device = match table.entry("device") {
        Some(entry) if entry.value().as_str() != Some("{device}") => Some(device(&entry, slots, context)),
        _ => None,
    };
    let boot = slots.field(table, "boot", ID, "a field of type \"string\" or \"u64\"");
    let seq = slots.field(table, "seq", &[Kind::Unsigned], "a field of type \"u64\"");
    let message_id = slots.field(table, "message_id", ID, "a field of type \"string\" or \"u64\"");
    let content = slots.field(table, "content", &[Kind::Text], "a field of type \"string\"");
    let window = time(table, "window", WINDOW, context);
    let max_burst = time(table, "max_burst", MAX_BURST, context);
    let once = table.or("once", false);
    if ["seq", "message_id", "content"].iter().all(|key| table.entry(key).is_none()) {
        table.refuse("tells no message from another", "name the field: seq (with boot), message_id or content");
    }
    if table.entry("boot").is_some() && table.entry("seq").is_none() {
        table.refuse_key("boot", "stands without seq", "name the field that counts within one boot");
    }
    if table.entry("seq").is_some() && table.entry("boot").is_none() && !context.binding.accept_epoch_risk {
        table.refuse_key(
            "seq",
            "stands without boot: a device that starts to count again would be taken for one that repeats itself",
            "name the field of its boot id; if it has none, accept_epoch_risk = true at the device",
        );
    }
    for key in ["boot", "seq", "message_id", "content"] {
        let slot = table.optional::<String>(key).and_then(|name| slots.find(&name));
        if let Some(slot) = slot.filter(|slot| slots.is_of_element(*slot)) {
            let name = &slots.0[slot].name;
            let message = format!("`{name}` is of an element: a message has one identity, whatever it holds");
            table.refuse_key(key, &message, "write of = \"message\" at a field that stands once in the message");
        }
    }
    let times: Vec<usize> = (0..slots.0.len()).filter(|slot| TIMES.contains(&slots.kind(*slot))).collect();
    let time = match times[..] {
        [_, second, ..] if !each_emit_says_when => {
            let name = &slots.0[second].name;
            let help = "one field is of type \"time\", or each emit says which: time = \"…\"";
            table.refuse(&format!("the field `{name}` is a second time"), help);
            None
        }
        [only] => Some(only),
        _ => None,
    };
    let repeat = Repeat { window_ms: window?, max_burst_ms: max_burst?, once };
    let device = match device {
        Some(read) => Some(read?),
        None => None,
    };
    Some(Identity { device, boot, seq, message_id, content, repeat, time })
}

/// `{device}-{station}`: ids behind the device's own. More than one name in it could be told apart in two ways
/// (`1-2` and `3`, `1` and `2-3`), and two devices would share their keys.
fn device(entry: &Entry<'_>, slots: &Slots, context: &Context<'_>) -> Option<Template> {
    let text: String = entry.read()?;
    let Some(rest) = text.strip_prefix("{device}") else {
        entry.refuse("does not begin with {device}", "write \"{device}-{station}\"");
        return None;
    };
    let text = format!("{}{rest}", context.binding.device);
    let read = Template::parse(&text, |name| match slots.find(name) {
        Some(slot) if slots.always(slot, None) && !slots.is_of_element(slot) => Ok(slot),
        _ => Err(format!("names `{name}`, which is neither a level of the topic nor a required field")),
    });
    match read {
        Ok(template) if template.values() == 1 => Some(template),
        Ok(_) => {
            entry.refuse("names not exactly one level or field behind {device}", "write \"{device}-{station}\"");
            None
        }
        Err(why) => {
            entry.refuse(&why, &format!("known here: {}", slots.known()));
            None
        }
    }
}

/// A duration that a parameter may give, in ms.
fn time(table: &Table<'_>, key: &str, default: Duration, context: &Context<'_>) -> Option<u64> {
    let Some(entry) = table.entry(key) else { return u64::try_from(default.as_millis()).ok() };
    let text = context.fill(&entry.read::<String>()?);
    let Some(read) = form::Duration::parse(&text) else {
        entry.refuse(&format!("is \"{text}\""), &format!("write {}", form::Duration::EXPECTED));
        return None;
    };
    u64::try_from(read.0.as_millis()).ok()
}
