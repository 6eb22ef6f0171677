//! One message: what does it say, and which one is it?

use std::borrow::Cow;
use std::sync::Arc;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::Value as Json;

use super::payload::{Body, Place, Raw};
use super::{Emit, Field, Is, Kind, Take, Topic, When};
use crate::event::{Decoded, DeviceEvent, Position, Repeat, Undecodable, Unread, Value, is_valid_id};
use crate::tagmap::gs1;
use crate::tagmap::number::parse;

/// A boot id or message id is part of the key: longer ones are no ids.
const MAX_ID: usize = 128;
/// Members of a list.
const MOST: usize = 1_000;
/// Slots of a counted topic that may come late: further behind is a restart (docs/adr/0008).
const RING: u32 = 1_024;

impl Topic {
    /// What a message on a topic that [`Topic::matches`] says: its events and its identity.
    ///
    /// # Errors
    /// Why it says nothing, in words for the integrator.
    pub fn decode(&self, topic: &str, payload: &[u8]) -> Result<Decoded, Undecodable> {
        self.event(topic, payload).map_err(|reason| Undecodable { reason, panicked: false })
    }

    fn event(&self, topic: &str, payload: &[u8]) -> Result<Decoded, String> {
        if !self.matches(topic) {
            return Err(format!("the topic is not one of \"{}\"", self.filter()));
        }
        if payload.len() > self.max_bytes {
            return Err(format!("the payload has {} bytes, at most {} (max_bytes)", payload.len(), self.max_bytes));
        }
        let body = self.payload.open(payload)?;
        let (mut made, mut unread) = (Vec::new(), Vec::new());
        for (ordinal, element) in self.payload.elements(&body)?.into_iter().enumerate() {
            let one = self.slots(topic, &body, element).and_then(|slots| Ok((self.one(&slots)?, slots)));
            match (one, element) {
                (Ok(((emit, event), slots)), _) => made.push((emit, event, slots)),
                (Err(why), None) => return Err(why),
                (Err(why), Some(element)) => unread.push(Unread {
                    ordinal,
                    raw: element.to_string().into_bytes(),
                    reason: format!("element {}: {why}", ordinal + 1),
                }),
            }
        }
        let Some((_, _, first)) = made.first() else {
            // None can be read: then the message is kept as a whole.
            return Err(unread.into_iter().next().map_or_else(|| "it holds no event".to_owned(), |first| first.reason));
        };
        Ok(Decoded {
            device: self.device_of(first)?,
            position: self.position(made.iter().map(|(emit, ..)| *emit), first)?,
            events: made.into_iter().map(|(_, event, _)| event).collect(),
            unread,
            map: Arc::clone(&self.map),
        })
    }

    /// The event that these slots are, and the rule that says so.
    fn one(&self, slots: &[Option<Value>]) -> Result<(&Emit, DeviceEvent), String> {
        let emit = self.emits.iter().find(|emit| emit.when.as_ref().is_none_or(|when| when.holds(slots)));
        let emit = emit.ok_or_else(|| format!("no emit of {} takes it", self.map))?;
        let subject = emit.subject.as_ref().map(|t| t.fill(|slot| text(slots, slot))).transpose();
        let event = DeviceEvent {
            kind: emit.event.clone(),
            subject: subject.map_err(|name| format!("the subject's `{name}` is empty"))?,
            fields: (emit.fields.iter())
                .filter_map(|(name, slot)| slots[*slot].clone().map(|value| (name.clone(), value)))
                .chain(self.barcode.iter().flat_map(|barcode| barcode.marks(emit, slots)))
                .collect(),
            device_time: emit.time.or(self.identity.time).and_then(|slot| text(slots, slot)).map(Cow::into_owned),
        };
        Ok((emit, event.completed()?))
    }

    fn slots(&self, topic: &str, body: &Body<'_>, element: Option<&Json>) -> Result<Vec<Option<Value>>, String> {
        let mut slots = Vec::with_capacity(self.captures + self.fields.len());
        slots.extend(self.filter.captures(topic).map(|level| Some(Value::Text(level.to_owned()))));
        for field in &self.fields {
            let value = match field {
                Field::At { .. } | Field::List { .. } => field.read(body, element)?,
                Field::Taken { from, what } => text(&slots, *from).and_then(|code| what.take(&code)),
                Field::Ai { .. } | Field::NoRead | Field::Refused | Field::Suspect => None, // filled below
            };
            slots.push(value);
        }
        if let Some(barcode) = &self.barcode {
            barcode.fill(&self.fields, &mut slots)?;
        }
        Ok(slots)
    }

    fn device_of(&self, slots: &[Option<Value>]) -> Result<Arc<str>, String> {
        let Some(template) = &self.identity.device else { return Ok(Arc::clone(&self.device)) };
        let device =
            template.fill(|slot| text(slots, slot)).map_err(|name| format!("the device's `{name}` is empty"))?;
        if !is_valid_id(&device) {
            let device = short(&device);
            return Err(format!("the device would be \"{device}\": letters, digits, - and _, at most 32"));
        }
        Ok(device.into())
    }

    /// `emits`: the rules of the message's events.
    fn position<'e>(
        &self,
        mut emits: impl Iterator<Item = &'e Emit>,
        slots: &[Option<Value>],
    ) -> Result<Position, String> {
        let identity = &self.identity;
        let seq = identity.seq.and_then(|slot| text(slots, slot)).and_then(|seq| seq.parse().ok());
        let boot = identity.boot.and_then(|slot| text(slots, slot));
        if let Some(seq) = seq.filter(|_| identity.boot.is_none() || boot.is_some()) {
            let boot = boot.map(|boot| self.boot_id(&boot)).transpose()?;
            return Ok(Position::Counted { boot, seq, bits: 64, ring: RING });
        }
        if let Some(id) = identity.message_id.and_then(|slot| text(slots, slot)) {
            return Ok(Position::Message(checked(&id, &self.name(identity.message_id))?.to_owned()));
        }
        if let Some(content) = identity.content.and_then(|slot| text(slots, slot)) {
            let content = gs1::bare(&content);
            if content.is_empty() {
                return Err(format!("`{}` is empty", self.name(identity.content)));
            }
            let once = emits.all(|emit| emit.once.unwrap_or(identity.repeat.once));
            let repeat = Repeat { once, ..identity.repeat };
            return Ok(Position::Content { content: content.into(), repeat });
        }
        let names = [identity.boot, identity.seq, identity.message_id, identity.content];
        let names: Vec<String> =
            names.into_iter().filter(Option::is_some).map(|slot| format!("`{}`", self.name(slot))).collect();
        Err(format!("nothing names this message: it needs {}", names.join(", ")))
    }

    /// A boot id as keys want it: a text as given, a number as upper-case hex of its 64 bits.
    fn boot_id(&self, boot: &str) -> Result<String, String> {
        let slot = self.identity.boot;
        match (self.field(slot), boot.parse::<u64>()) {
            (Some(Field::At { kind: Kind::Unsigned, .. }), Ok(number)) => Ok(format!("{number:016X}")),
            _ => checked(boot, &self.name(slot)).map(str::to_owned),
        }
    }

    fn field(&self, slot: Option<usize>) -> Option<&Field> {
        self.fields.get(slot?.checked_sub(self.captures)?)
    }

    /// The slot as the integrator knows it: its path.
    fn name(&self, slot: Option<usize>) -> Cow<'_, str> {
        match self.field(slot) {
            Some(Field::At { path, .. }) => path.name(),
            _ => Cow::Borrowed("the topic"),
        }
    }
}

impl When {
    fn holds(&self, slots: &[Option<Value>]) -> bool {
        let value = slots[self.slot].as_ref();
        match &self.is {
            Is::Present => value.is_some(),
            Is::Equal(expected) => value == Some(expected),
            Is::Sscc => text(slots, self.slot).is_some_and(|code| gs1::sscc(gs1::bare(&code)).is_some()),
            Is::Prefixed(prefix) => text(slots, self.slot).is_some_and(|text| text.starts_with(prefix)),
        }
    }
}

impl Field {
    fn read(&self, body: &Body<'_>, element: Option<&Json>) -> Result<Option<Value>, String> {
        let (path, kind, required, number, is_sscc) = match self {
            Self::At { path, kind, required, number, is_sscc } => (path, kind, required, number, is_sscc),
            Self::List { path, required, members } => return list(path, *required, members, body, element),
            _ => return Ok(None),
        };
        let name = path.name();
        let Some(found) = path.find(body, element)? else {
            return if *required { Err(format!("`{name}` is missing")) } else { Ok(None) };
        };
        let wrong = |expected: &str| format!("`{name}` is {}, expected {expected}", describe(&found));
        if let Some(number) = number {
            let digits = found.digits().or_else(|| found.text());
            let raw = digits.and_then(|digits| parse(&digits)).ok_or_else(|| wrong(kind.expected()))?;
            let value = number.of(raw).map_err(|why| format!("`{name}` {why}"))?;
            return Ok(value.map(|value| Value::Text(value.to_string())));
        }
        let value = kind.read(&found).ok_or_else(|| wrong(kind.expected()))?;
        match &value {
            Value::Text(code) if *is_sscc => match Take::Sscc.take(code) {
                Some(sscc) => Ok(Some(sscc)),
                None => Err(wrong("an SSCC with a right check digit (check)")),
            },
            _ => Ok(Some(value)),
        }
    }
}

/// A list in the payload: of texts, or of records with these members.
fn list(
    path: &Place,
    required: bool,
    members: &[(String, Field)],
    body: &Body<'_>,
    element: Option<&Json>,
) -> Result<Option<Value>, String> {
    let name = path.name();
    let found = match path.find(body, element)? {
        None | Some(Raw::Json(Json::Null)) if required => return Err(format!("`{name}` is missing")),
        None | Some(Raw::Json(Json::Null)) => return Ok(None),
        Some(Raw::Json(Json::Array(found))) => found,
        Some(other) => return Err(format!("`{name}` is {}, expected a list", describe(&other))),
    };
    if found.len() > MOST {
        return Err(format!("`{name}` is a list of {}, at most {MOST}", found.len()));
    }
    let one = |(number, item): (usize, &Json)| {
        match item {
            Json::String(_) if members.is_empty() => Ok(item.clone()),
            Json::Object(_) if !members.is_empty() => record(members, body, item),
            other => Err(format!(
                "is {}, expected {}",
                describe(&Raw::Json(other)),
                if members.is_empty() { "a text" } else { "an object" }
            )),
        }
        .map_err(|why| format!("`{name}` {}: {why}", number + 1))
    };
    Ok(Some(Value::List(found.iter().enumerate().map(one).collect::<Result<_, _>>()?)))
}

fn record(members: &[(String, Field)], body: &Body<'_>, item: &Json) -> Result<Json, String> {
    let mut record = serde_json::Map::new();
    for (name, field) in members {
        let value = field.read(body, Some(item))?;
        record.extend(value.map(|value| (name.clone(), value.into())));
    }
    Ok(Json::Object(record))
}

impl Take {
    fn take(self, code: &str) -> Option<Value> {
        let bare = gs1::bare(code);
        let taken = if self == Self::Sscc { gs1::sscc(bare)? } else { bare };
        Some(Value::Text(taken.to_owned()))
    }
}

impl Kind {
    fn read(self, raw: &Raw<'_>) -> Option<Value> {
        match self {
            Self::Text => raw.text().map(|text| Value::Text(text.into_owned())),
            Self::Time | Self::Decimal => {
                raw.text().or_else(|| raw.digits()).map(|text| Value::Text(text.into_owned()))
            }
            Self::UnixTime | Self::UnixTimeMs => {
                let ms = if self == Self::UnixTime { Decimal::ONE_THOUSAND } else { Decimal::ONE };
                raw.digits().or_else(|| raw.text()).map(|digits| since_1970(&digits, ms))
            }
            Self::Unsigned => {
                let number: u64 = raw.digits()?.parse().ok()?;
                Some(i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Int))
            }
            Self::Integer => raw.digits()?.parse().ok().map(Value::Int),
            Self::Bool => raw.truth().map(Value::Bool),
            Self::List => None, // it is read by its members
            #[cfg(feature = "sim")]
            Self::Panic => panic!("a planted panic"),
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Unsigned => "a whole number, not negative",
            Self::Integer => "a whole number",
            Self::Decimal => "a number",
            Self::Bool => "true or false",
            Self::List => "a list",
            Self::Time => "a time as text or number",
            Self::UnixTime => "the seconds since 1970",
            Self::UnixTimeMs => "the milliseconds since 1970",
            #[cfg(feature = "sim")]
            Self::Panic => "nothing",
        }
    }
}

fn checked<'t>(id: &'t str, name: &str) -> Result<&'t str, String> {
    if id.is_empty() || id.len() > MAX_ID {
        return Err(format!("`{name}` has {} bytes, expected an id of 1 to {MAX_ID}", id.len()));
    }
    Ok(id)
}

fn text(slots: &[Option<Value>], slot: usize) -> Option<Cow<'_, str>> {
    Some(match slots[slot].as_ref()? {
        Value::Text(text) => Cow::Borrowed(text.as_str()),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Bool(b) => Cow::Owned(b.to_string()),
        Value::List(_) => return None,
    })
}

/// A device's time as the rest of the gateway reads it; word for word where it is none, since it is evidence only.
fn since_1970(digits: &str, ms: Decimal) -> Value {
    let at = parse(digits).and_then(|at| at.checked_mul(ms)?.to_i64());
    let at = at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    Value::Text(at.map_or_else(|| digits.to_owned(), |at| at.to_string()))
}

fn describe(raw: &Raw<'_>) -> String {
    match raw {
        Raw::Json(Json::Null) => "null".to_owned(),
        Raw::Json(Json::Bool(b)) => b.to_string(),
        Raw::Json(Json::Number(number)) => format!("the number {}", short(&number.to_string())),
        Raw::Number(number) => format!("the number {}", short(number)),
        Raw::Json(Json::String(text)) => format!("the text \"{}\"", short(text)),
        Raw::Json(Json::Array(_)) => "a list".to_owned(),
        Raw::Json(Json::Object(_)) => "an object".to_owned(),
        Raw::Text(text) => format!("the text \"{}\"", short(text)),
        Raw::Bytes(bytes) => format!("{} bytes", bytes.len()),
    }
}

/// At most 40 characters, none that would break a line of the log.
fn short(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}
