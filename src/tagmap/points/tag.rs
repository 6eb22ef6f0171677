//! One tag: from the registers of an answer to a value.
//!
//! The order of the steps: the type; `invalid` on the number as it was read; `scale`, `offset`, `to`, `digits`; `min` and
//! `max` on the result; `enum` last. Texts are checked as they are. `invert` turns a bit before it is debounced.

use regex::Regex;
use rust_decimal::{Decimal, RoundingStrategy};

use super::value::{Datum, Kind, Ref};
use super::{Area, Got, Read};
use crate::tagmap::fifo::Words;
use crate::tagmap::gs1::Code;
use crate::tagmap::registers::{Raw, Type};

/// A tag of the map, bound to its address.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) area: Area,
    pub(super) at: u16,
    pub(super) form: Form,
    /// Index of its poll.
    pub(super) poll: usize,
    pub(super) group: Option<String>,
    pub(super) invert: bool,
    pub(super) scale: Scale,
    pub(super) offset: Decimal,
    /// To another unit: multiply, then divide.
    pub(super) convert: Option<(Decimal, Decimal)>,
    pub(super) digits: Option<u32>,
    pub(super) unit: Option<String>,
    pub(super) words: Option<Words>,
    pub(super) valid: Valid,
    /// Names, and the first bit and how many.
    pub(super) bits: Vec<Bits>,
    pub(super) debounce: Option<Debounce>,
    pub(super) counter: Option<Counter>,
}

/// How a tag lies in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A coil or discrete input.
    Input,
    /// One bit of a register; 0 is the lowest.
    Bit(u8),
    /// One register or more.
    Registers(Type),
}

/// What the number is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Fixed(Decimal),
    /// Another tag's value, or ten to the power of it.
    By {
        tag: Ref,
        pow10: bool,
    },
}

/// Which numbers and texts are values.
#[derive(Debug, Clone, Default)]
pub(super) struct Valid {
    pub(super) min: Option<Decimal>,
    pub(super) max: Option<Decimal>,
    /// Numbers as they are read that say "no value".
    pub(super) numbers: Vec<Decimal>,
    /// A text that is no such code is no value; an empty one says that there is none.
    pub(super) code: Option<Code>,
    /// Nor is one that does not match this as a whole.
    pub(super) pattern: Option<Regex>,
    /// An event without this value is none.
    pub(super) reject: bool,
}

/// Some bits of a register with a name of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) name: String,
    pub(super) from: u8,
    /// More than one: a number.
    pub(super) count: u8,
}

/// How long a bit must stay before it counts, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Debounce {
    pub(super) on: u64,
    pub(super) off: u64,
}

/// Most that is counted after a step back that nothing proves to be a beginning at 0: a device that was restored shows what it
/// once had, all of which was counted before.
pub(super) const UNPROVEN: u64 = 10_000;

/// A number that only counts up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    /// After this many it begins again at 0.
    pub(super) wraps_at: u64,
    /// It may begin again at any time; otherwise a step back is a wrap.
    pub(super) may_reset: bool,
    /// More than this of one step is not counted, but told. `None`: any step of one run is, and [`UNPROVEN`] of a reset.
    pub(super) max_step: Option<u64>,
    /// The tag that has another value after each start of the device: then the counter has begun at 0.
    pub(super) epoch: Option<usize>,
}

/// What one read says of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) main: Datum,
    /// As many as [`Tag::bits`].
    pub(super) bits: Vec<Datum>,
}

impl Tag {
    /// Registers or bits it takes.
    pub(super) const fn count(&self) -> u16 {
        match self.form {
            Form::Input | Form::Bit(_) => 1,
            Form::Registers(kind) => kind.words(),
        }
    }

    pub(super) const fn read(&self) -> Read {
        Read { area: self.area, at: self.at, count: self.count(), alone: false }
    }

    /// Where it lies: what was remembered of other registers is no measure for these.
    pub(super) fn place(&self) -> String {
        format!("{} {} {}", self.area.word(), self.at, self.count())
    }

    /// What its values mean, in short: where it differs, values can't be compared. `scaling` is the tag that it is scaled by.
    pub(super) fn digest(&self, bit: Option<usize>, scaling: Option<&str>) -> u64 {
        let bits = bit.and_then(|bit| self.bits.get(bit)).map(|bits| (bits.from, bits.count));
        let scale = match self.scale {
            Scale::Fixed(factor) => factor.normalize().to_string(),
            Scale::By { pow10, .. } => format!("{scaling:?} {pow10}"),
        };
        let words = self.words.as_ref().map(|words| (&words.of, words.keep_unknown));
        let offset = self.offset.normalize();
        // Without a conversion as it was before there was one: what was seen then is of the same meaning.
        let convert = self.convert.map(|convert| format!(" {convert:?}")).unwrap_or_default();
        let digits = self.digits;
        let text = format!("{:?} {} {bits:?} {scale} {offset} {digits:?} {words:?}{convert}", self.form, self.invert);
        // FNV-1a, 64 bit: the same with each build.
        text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    }

    /// What its name stands for.
    pub(super) fn kind(&self) -> Kind {
        match (self.form, &self.words) {
            (Form::Input | Form::Bit(_), _) => Kind::Bool,
            (_, Some(words)) => Kind::Words(words.of.iter().map(|(_, word)| word.clone()).collect()),
            (Form::Registers(kind), None) if kind.is_number() => Kind::Number,
            _ => Kind::Text,
        }
    }

    /// Its numbers have no decimals.
    pub(super) fn is_whole(&self) -> bool {
        let whole = |scale: &Scale| matches!(scale, Scale::Fixed(factor) if factor.is_integer());
        matches!(self.form, Form::Registers(kind) if !kind.is_float())
            && whole(&self.scale)
            && self.offset.is_integer()
            && self.convert.is_none()
            && self.digits.is_none_or(|digits| digits == 0)
    }

    /// The value in its part of an answer.
    ///
    /// # Errors
    /// Why there is none, after the tag's name.
    pub(super) fn take(&self, got: &Got, scale_of: impl Fn(Ref) -> Result<Decimal, String>) -> Result<Taken, String> {
        let main = match (self.form, got) {
            (Form::Input, Got::Bits(bits)) => Datum::Bool(*bits.first().ok_or("has no bit")? != self.invert),
            (Form::Bit(bit), Got::Words(words)) => {
                Datum::Bool((words.first().ok_or("has no register")? >> bit & 1 == 1) != self.invert)
            }
            (Form::Registers(kind), Got::Words(words)) => self.register(kind, words, scale_of)?,
            _ => return Err("was answered from another table".to_owned()),
        };
        let register = match got {
            Got::Words(words) => u64::from(words.first().copied().unwrap_or_default()),
            Got::Bits(_) => 0,
        };
        let field = |bits: &Bits| {
            let value = register >> bits.from & ((1 << bits.count) - 1);
            if bits.count == 1 { Datum::Bool(value == 1) } else { Datum::Number(value.into()) }
        };
        Ok(Taken { main, bits: self.bits.iter().map(field).collect() })
    }

    fn register(
        &self,
        kind: Type,
        words: &[u16],
        scale_of: impl Fn(Ref) -> Result<Decimal, String>,
    ) -> Result<Datum, String> {
        let number = match kind.raw(words)? {
            Raw::Text(text) => return self.valid.text(text).map(Datum::Word),
            Raw::NotANumber => return Err("is not a number (NaN)".to_owned()),
            Raw::Infinite => return Err("is infinite or too large".to_owned()),
            Raw::Number(number) => number,
        };
        if self.valid.numbers.contains(&number) {
            return Err(format!("is {number}, which the map calls invalid"));
        }
        let scale = match self.scale {
            Scale::Fixed(factor) => factor,
            Scale::By { tag, pow10 } => {
                let factor = scale_of(tag)?;
                if pow10 { power_of_ten(factor).ok_or("has a scale beyond 10 to the power of 20")? } else { factor }
            }
        };
        let (times, by) = self.convert.unwrap_or((Decimal::ONE, Decimal::ONE));
        let scaled = number.checked_mul(scale).and_then(|scaled| scaled.checked_add(self.offset));
        let scaled = scaled.and_then(|scaled| scaled.checked_mul(times)?.checked_div(by));
        let mut scaled = scaled.ok_or("is too large once it is scaled")?;
        if let Some(digits) = self.digits {
            scaled = scaled.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
            scaled.rescale(digits);
        } else if !self.is_whole() {
            scaled = scaled.normalize();
        }
        if let Some(min) = self.valid.min.filter(|min| scaled < *min) {
            return Err(format!("is {scaled}, below {min}"));
        }
        if let Some(max) = self.valid.max.filter(|max| scaled > *max) {
            return Err(format!("is {scaled}, above {max}"));
        }
        if let Some(counter) = self.counter.filter(|counter| scaled >= Decimal::from(counter.wraps_at)) {
            return Err(format!("is {scaled}, but wraps at {}", counter.wraps_at));
        }
        let Some(words) = &self.words else { return Ok(Datum::Number(scaled)) };
        let word = i64::try_from(scaled).ok().and_then(|n| words.of.iter().find(|(of, _)| *of == n));
        match word {
            Some((_, word)) => Ok(Datum::Word(word.clone())),
            None if words.keep_unknown => Ok(Datum::Number(scaled)),
            None => Err(format!("is {scaled}, which has no word in the map")),
        }
    }
}

impl Valid {
    /// Something tells a text that was read rightly from another one.
    pub(super) const fn checks_texts(&self) -> bool {
        self.code.is_some() || self.pattern.is_some()
    }

    fn text(&self, text: String) -> Result<String, String> {
        if let Some(why) = self.code.filter(|_| !text.is_empty()).and_then(|code| code.refuses(&text)) {
            return Err(why);
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(&text) => {
                Err(format!("is \"{text}\", which does not match the pattern of the map"))
            }
            _ => Ok(text),
        }
    }
}

fn power_of_ten(exponent: Decimal) -> Option<Decimal> {
    let exponent = i64::try_from(exponent).ok().filter(|e| exponent.is_integer() && (-20..=20).contains(e))?;
    let power = Decimal::from_i128_with_scale(10_i128.pow(exponent.unsigned_abs() as u32), 0);
    if exponent < 0 { Decimal::ONE.checked_div(power) } else { Some(power) }
}

/// A bit that counts only once it has stayed.
#[derive(Debug, Clone, Default)]
pub(super) struct Steady {
    /// What counts.
    pub(super) stands: Option<bool>,
    /// Since when the other is read, in monotonic milliseconds.
    since: Option<u64>,
}

impl Steady {
    /// Takes one read, at monotonic milliseconds; returns what counts. The first read counts at once: nothing is known
    /// that it could contradict.
    pub(super) fn see(&mut self, debounce: Debounce, now: bool, mono: u64) -> bool {
        let stands = *self.stands.get_or_insert(now);
        if now == stands {
            self.since = None;
            return stands;
        }
        let since = *self.since.get_or_insert(mono);
        if mono - since < if now { debounce.on } else { debounce.off } {
            return stands;
        }
        (self.stands, self.since) = (Some(now), None);
        now
    }

    /// A poll brought nothing: what was seen before it is no proof that the bit stayed.
    pub(super) fn miss(&mut self) {
        self.since = None;
    }
}
