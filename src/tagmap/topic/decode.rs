//! One message: what does it say, and which one is it?

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Emit, Field, Is, Kind, Take, Topic, When};
use crate::event::{Decoded, DeviceEvent, Position, Repeat, Undecodable, Value, is_valid_id};
use crate::tagmap::gs1;

/// A boot id or message id is part of the key: longer ones are no ids.
const MAX_ID: usize = 128;
/// Slots of a counted topic that may come late: further behind is a restart (semantics 1.2).
const RING: u32 = 1_024;

impl Topic {
    /// What a message on a topic that [`Topic::matches`] says: one event and its identity.
    ///
    /// # Errors
    /// Why it says nothing, in words for the integrator.
    pub fn decode(&self, topic: &str, payload: &[u8]) -> Result<Decoded, Undecodable> {
        self.event(topic, payload).map_err(|reason| Undecodable { reason, panicked: false })
    }

    fn event(&self, topic: &str, payload: &[u8]) -> Result<Decoded, String> {
        let slots = self.slots(topic, payload)?;
        let emit = self.emits.iter().find(|emit| emit.when.as_ref().is_none_or(|when| when.holds(&slots)));
        let emit = emit.ok_or_else(|| format!("no [[topic.emit]] of {} takes it", self.map))?;
        let subject = emit.subject.as_ref().map(|t| t.fill(|slot| text(&slots, slot))).transpose();
        let event = DeviceEvent {
            kind: emit.event.clone(),
            subject: subject.map_err(|name| format!("the subject's `{name}` is empty"))?,
            fields: (emit.fields.iter())
                .filter_map(|(name, slot)| slots[*slot].clone().map(|value| (name.clone(), value)))
                .chain(self.barcode.iter().flat_map(|barcode| barcode.marks(emit, &slots)))
                .collect(),
            device_time: self.identity.time.and_then(|slot| text(&slots, slot)).map(Cow::into_owned),
        };
        Ok(Decoded {
            device: self.device_of(&slots)?,
            position: self.position(emit, &slots)?,
            events: vec![event],
            map: Arc::clone(&self.map),
        })
    }

    fn slots(&self, topic: &str, payload: &[u8]) -> Result<Vec<Option<Value>>, String> {
        if !self.matches(topic) {
            return Err(format!("the topic is not one of \"{}\"", self.filter()));
        }
        if payload.len() > self.max_bytes {
            return Err(format!("the payload has {} bytes, at most {} (max_bytes)", payload.len(), self.max_bytes));
        }
        if payload.is_empty() {
            return Err("the payload is empty, expected JSON".to_owned());
        }
        let json: Json = serde_json::from_slice(payload).map_err(|e| format!("the payload is not JSON: {e}"))?;
        let mut slots = Vec::with_capacity(self.captures + self.fields.len());
        slots.extend(self.filter.captures(topic).map(|level| Some(Value::Text(level.to_owned()))));
        for field in &self.fields {
            let value = match field {
                Field::At { .. } => field.read(&json)?,
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

    fn position(&self, emit: &Emit, slots: &[Option<Value>]) -> Result<Position, String> {
        let identity = &self.identity;
        let seq = identity.seq.and_then(|slot| text(slots, slot)).and_then(|seq| seq.parse().ok());
        let boot = identity.boot.and_then(|slot| text(slots, slot));
        if let Some(seq) = seq.filter(|_| identity.boot.is_none() || boot.is_some()) {
            let boot = boot.map(|boot| self.boot_id(&boot)).transpose()?;
            return Ok(Position::Counted { boot, seq, bits: 64, ring: RING });
        }
        if let Some(id) = identity.message_id.and_then(|slot| text(slots, slot)) {
            return Ok(Position::Message(checked(&id, self.name(identity.message_id))?.to_owned()));
        }
        if let Some(content) = identity.content.and_then(|slot| text(slots, slot)) {
            let content = gs1::bare(&content);
            if content.is_empty() {
                return Err(format!("`{}` is empty", self.name(identity.content)));
            }
            let repeat = Repeat { once: emit.once.unwrap_or(identity.repeat.once), ..identity.repeat };
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
            _ => checked(boot, self.name(slot)).map(str::to_owned),
        }
    }

    fn field(&self, slot: Option<usize>) -> Option<&Field> {
        self.fields.get(slot?.checked_sub(self.captures)?)
    }

    /// The slot as the integrator knows it: its path.
    fn name(&self, slot: Option<usize>) -> &str {
        match self.field(slot) {
            Some(Field::At { path, .. }) => &path.text,
            _ => "the topic",
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
    fn read(&self, json: &Json) -> Result<Option<Value>, String> {
        let Self::At { path, kind, required, .. } = self else { return Ok(None) };
        let found = path.find(json).map_err(|n| format!("`{}` finds {n} values, expected one", path.text))?;
        let Some(found) = found else {
            return if *required { Err(format!("`{}` is missing", path.text)) } else { Ok(None) };
        };
        let value = kind
            .read(found)
            .ok_or_else(|| format!("`{}` is {}, expected {}", path.text, describe(found), kind.expected()))?;
        Ok(Some(value))
    }
}

impl Take {
    fn take(self, code: &str) -> Option<Value> {
        let bare = gs1::bare(code);
        let taken = if self == Self::Sscc { gs1::sscc(bare)? } else { bare };
        Some(Value::Text(taken.to_owned()))
    }
}

impl Kind {
    fn read(self, json: &Json) -> Option<Value> {
        match (self, json) {
            (Self::Text | Self::Time, Json::String(text)) => Some(Value::Text(text.clone())),
            (Self::Time, Json::Number(number)) => Some(Value::Text(number.to_string())),
            (Self::Unsigned, Json::Number(number)) => {
                number.as_u64().map(|n| i64::try_from(n).map_or_else(|_| Value::Text(n.to_string()), Value::Int))
            }
            (Self::Integer, Json::Number(number)) => number.as_i64().map(Value::Int),
            (Self::Bool, Json::Bool(b)) => Some(Value::Bool(*b)),
            #[cfg(feature = "sim")]
            (Self::Panic, _) => panic!("a planted panic"),
            _ => None,
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Unsigned => "a whole number, not negative",
            Self::Integer => "a whole number",
            Self::Bool => "true or false",
            Self::Time => "a time as text or number",
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
    })
}

fn describe(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(b) => b.to_string(),
        Json::Number(number) => format!("the number {}", short(&number.to_string())),
        Json::String(text) => format!("the text \"{}\"", short(text)),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
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
