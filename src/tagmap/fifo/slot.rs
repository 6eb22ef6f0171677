//! One slot: is it whole, and what does it say?

use std::sync::Arc;

use crc::{CRC_16_MODBUS, Crc};

use super::queue::numbers;
use crate::event::{Decoded, DeviceEvent, Position, Undecodable, Value};
use crate::tagmap::Fifo;
use crate::tagmap::gs1;
use crate::tagmap::registers::{Type, bytes_of};

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);

/// CRC-16/MODBUS of registers, each high byte first.
pub(in crate::tagmap) fn crc_of(words: &[u16]) -> u16 {
    CRC.checksum(&bytes_of(words))
}

/// What a slot's registers mean.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// In the order of the map.
    pub(super) fields: Vec<Field>,
    /// The word that repeats the slot's number.
    pub(super) seq: u16,
    /// The word that holds the CRC of the words before it.
    pub(super) crc: Option<u16>,
    /// `divert.{result}`
    pub(super) event: String,
    /// `{sscc}`; none: the device orders its events.
    pub(super) subject: Option<String>,
    /// The field that says when, with the words after its number.
    pub(super) time: Option<String>,
    /// The fields that the event carries.
    pub(super) carried: Vec<String>,
}

/// One field of a slot.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) word: u16,
    pub(super) kind: Type,
    pub(super) words_for: Option<Words>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    pub(super) sscc: bool,
    /// Said after the number where the field is the device's time.
    pub(super) unit: &'static str,
}

/// Numbers that stand for words.
#[derive(Debug, Clone)]
pub(in crate::tagmap) struct Words {
    pub(in crate::tagmap) of: Vec<(i64, String)>,
    /// A number without a word stays a number; otherwise the slot is refused.
    pub(in crate::tagmap) keep_unknown: bool,
}

impl Fifo {
    /// Kinds of the events that it may emit: the event's name with each word of the fields in it.
    pub fn kinds(&self) -> Vec<String> {
        let words = |field: &Field| {
            let of = field.words_for.as_ref().map(|words| words.of.clone()).unwrap_or_default();
            of.into_iter().map(|(_, word)| word).collect::<Vec<_>>()
        };
        self.slot.fields.iter().fold(vec![self.slot.event.clone()], |kinds, field| {
            let place = format!("{{{}}}", field.name);
            let with = |kind: String| -> Vec<String> {
                let words = if kind.contains(&place) { words(field) } else { Vec::new() };
                if words.is_empty() { vec![kind] } else { words.iter().map(|w| kind.replace(&place, w)).collect() }
            };
            kinds.into_iter().flat_map(with).collect()
        })
    }

    /// Whether a slot is complete: it carries the number it is read for, and its CRC fits.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check_slot(&self, seq: u16, words: &[u16]) -> Result<(), String> {
        if words.len() != usize::from(self.words()) {
            return Err(format!("has {} registers instead of {}", words.len(), self.words()));
        }
        let own = words[usize::from(self.slot.seq)];
        if own != seq {
            return Err(format!("carries number {own} where {seq} is due"));
        }
        let Some(at) = self.slot.crc.map(usize::from) else { return Ok(()) };
        let (said, right) = (words[at], crc_of(&words[..at]));
        if said == right { Ok(()) } else { Err(format!("has CRC 0x{said:04X} where 0x{right:04X} fits")) }
    }

    /// The number that a slot carries, and whether it is whole.
    pub fn claim(&self, words: &[u16]) -> (Option<u16>, Result<(), String>) {
        let own = words.get(usize::from(self.slot.seq)).copied().unwrap_or_default();
        let whole = self.check_slot(own, words);
        (whole.is_ok().then_some(own), whole)
    }

    /// A queue's events with their numbers, and whether they are whole. `ack` is the number before the first one.
    pub fn events(&self, events: &[&[u16]], ack: u16) -> Vec<(u16, Result<(), String>)> {
        let (own, whole): (Vec<_>, Vec<_>) = events.iter().map(|words| self.claim(words)).unzip();
        numbers(&own, ack).into_iter().zip(whole).collect()
    }

    /// The map has a CRC for each slot: a slot that fits is whole whatever happened while it was read.
    pub fn has_crc(&self) -> bool {
        self.slot.crc.is_some()
    }

    /// What slot number `seq` of the PLC's run `epoch` says: one event at a counted position.
    ///
    /// # Errors
    /// Why it says nothing: torn, or a value that the map refuses.
    pub fn decode_slot(&self, epoch: Option<u64>, seq: u64, words: &[u16]) -> Result<Decoded, Undecodable> {
        let refuse = |reason: String| Undecodable { reason: format!("slot {seq} {reason}"), panicked: false };
        self.check_slot((seq & 0xffff) as u16, words).map_err(refuse)?;
        let mut values = Vec::with_capacity(self.slot.fields.len());
        for field in &self.slot.fields {
            let value = field.decode(words).map_err(|reason| refuse(format!("has no {}: it {reason}", field.name)))?;
            values.push((field, value));
        }
        let find = |name: &str| values.iter().find(|(field, _)| field.name == name);
        let fill =
            |template: &str| fill(template, |name| find(name).map(|(_, value)| value.to_string()).unwrap_or_default());
        let event = DeviceEvent {
            kind: fill(&self.slot.event),
            subject: self.slot.subject.as_deref().map(fill),
            fields: (self.slot.carried.iter())
                .filter_map(|name| find(name).map(|(_, value)| (name.clone(), value.clone())))
                .collect(),
            device_time: (self.slot.time.as_deref().and_then(find))
                .map(|(field, value)| format!("{value}{}", field.unit)),
        };
        let position = Position::Counted {
            boot: epoch.map(|epoch| self.boot(epoch)),
            seq,
            bits: 16,
            ring: u32::from(self.slots()),
        };
        Ok(Decoded {
            device: Arc::clone(&self.device),
            position,
            events: vec![event.completed().map_err(refuse)?],
            unread: Vec::new(),
            map: Arc::clone(&self.map),
        })
    }

    /// The boot id as keys want it: upper-case hex, padded to the register's width.
    fn boot(&self, epoch: u64) -> String {
        let digits = if self.epoch().is_some_and(|(_, order)| order.is_some()) { 8 } else { 4 };
        format!("{epoch:0digits$X}")
    }
}

impl Field {
    /// The field's value in a whole slot.
    fn decode(&self, slot: &[u16]) -> Result<Value, String> {
        let (from, words) = (usize::from(self.word), usize::from(self.kind.words()));
        let value = self.kind.decode(slot.get(from..from + words).unwrap_or_default())?;
        match value {
            Value::Int(number) => self.number(number),
            Value::Text(text) if self.sscc && (text.len() != 18 || gs1::sscc(&text).is_none()) => {
                Err(format!("is \"{text}\", not 18 digits with a right check digit"))
            }
            value => Ok(value),
        }
    }

    fn number(&self, number: i64) -> Result<Value, String> {
        if let Some(min) = self.min.filter(|min| number < *min) {
            return Err(format!("is {number}, below {min}"));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            return Err(format!("is {number}, above {max}"));
        }
        let Some(words) = &self.words_for else { return Ok(Value::Int(number)) };
        match words.of.iter().find(|(n, _)| *n == number) {
            Some((_, word)) => Ok(Value::Text(word.clone())),
            None if words.keep_unknown => Ok(Value::Int(number)),
            None => Err(format!("is {number}, which has no word in the map")),
        }
    }
}

/// `template` with each `{name}` replaced, once: a brace in a value stays what it is.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        text.push_str(&value(name));
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tagmap::fifo::tests::sorter;
    use crate::tagmap::guarded;

    /// A sorter's slot with a right CRC: the register list, written a second time.
    pub(crate) fn slot(seq: u16, lane: u16, result: u16, sscc: &str) -> Vec<u16> {
        let mut text = sscc.as_bytes().to_vec();
        text.resize(20, 0);
        let mut words = vec![seq, 0x2710, 0, lane, result];
        words.extend(text.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])));
        words.push(crc_of(&words));
        words
    }

    const SSCC: &str = "395212345000000125";

    fn reason(seq: u64, words: &[u16]) -> String {
        guarded(|| sorter().decode_slot(Some(3), seq, words)).expect_err("this slot is refused").reason
    }

    #[test]
    fn a_slot_is_one_event_at_its_position() {
        let decoded = sorter().decode_slot(Some(3), 7, &slot(7, 12, 1, SSCC)).expect("a good slot decodes");
        let boot = Some("0003".to_owned());
        assert_eq!(decoded.position, Position::Counted { boot, seq: 7, bits: 16, ring: 32 });
        assert_eq!((&*decoded.device, &*decoded.map), ("sorter-1", "sorter@1"));
        assert_eq!(
            decoded.events,
            [DeviceEvent {
                kind: "divert.confirmed".to_owned(),
                subject: Some(SSCC.to_owned()),
                fields: vec![
                    ("lane".to_owned(), Value::Int(12)),
                    ("result".to_owned(), Value::Text("confirmed".to_owned())),
                    ("sscc".to_owned(), Value::Text(SSCC.to_owned())),
                ],
                device_time: Some("10000 ms since boot".to_owned()),
            }]
        );
    }

    #[test]
    fn a_slot_that_says_nothing_says_why() {
        let good = slot(7, 12, 1, SSCC);
        let mut flipped = good.clone();
        flipped[3] ^= 0x0100;
        assert_eq!(reason(8, &good), "slot 8 carries number 7 where 8 is due");
        assert!(reason(7, &flipped).starts_with("slot 7 has CRC 0x"), "{}", reason(7, &flipped));
        assert_eq!(reason(7, &good[..15]), "slot 7 has 15 registers instead of 16");
        assert_eq!(reason(7, &slot(7, 41, 1, SSCC)), "slot 7 has no lane: it is 41, above 40");
        assert_eq!(reason(7, &slot(7, 12, 5, SSCC)), "slot 7 has no result: it is 5, which has no word in the map");
        assert_eq!(
            reason(7, &slot(7, 12, 1, "395212345000000126")),
            "slot 7 has no sscc: it is \"395212345000000126\", not 18 digits with a right check digit"
        );
        assert_eq!(
            reason(7, &slot(7, 12, 1, "3952\u{7}")),
            "slot 7 has no sscc: it holds the byte 0x07, which is no printable ASCII"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_registers_decode_or_say_why(seq: u16, words in proptest::collection::vec(0u16.., 0..20)) {
            let decoded = guarded(|| sorter().decode_slot(Some(1), u64::from(seq), &words));
            proptest::prop_assert!(decoded.is_err_and(|e| !e.panicked && !e.reason.is_empty()));
        }
    }
}
