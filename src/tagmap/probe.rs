//! Finding out how a device holds a number: every type, order and scale against one known value.
//!
//! [`search`] takes what was read and tells each way in which it would be that value, the likeliest first;
//! [`second_values`] tells which other value would tell several ways apart. Pure.

mod text;

use rust_decimal::Decimal;

use super::Addresses;
use super::points::Area;
use super::registers::{Order, Raw, Type};

pub use text::{TextMatch, search_text, sizes};

/// Scales that devices use, the plainest first.
const SCALES: [(i64, u32); 5] = [(1, 0), (1, 1), (1, 2), (1, 3), (10, 0)];
/// Numbers beyond what 15, 16, 31 and 32 bits hold.
const BEYOND: [i64; 4] = [40_000, 70_000, 3_000_000_000, 5_000_000_000];
/// Second values that are asked for at most.
const MOST_VALUES: usize = 3;
const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];
/// A type by its byte order.
type Ordered = fn(Order) -> Type;
/// Types that have an order, and how maps write them; the likeliest first.
const ORDERED: [(&str, Ordered); 7] = [
    ("f32", Type::F32),
    ("f64", Type::F64),
    ("u32", Type::U32),
    ("i32", Type::I32),
    ("bcd32", Type::Bcd32),
    ("u64", Type::U64),
    ("i64", Type::I64),
];
/// Types of one register. The order of their two bytes is written only where they are swapped.
const SINGLE: [(&str, Option<&str>, Type); 6] = [
    ("u16", None, Type::U16),
    ("i16", None, Type::I16),
    ("bcd16", None, Type::Bcd16),
    ("f16", None, Type::F16),
    ("u16", Some("BA"), Type::Swapped { signed: false }),
    ("i16", Some("BA"), Type::Swapped { signed: true }),
];

/// A type of number, as maps write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `type = …`
    pub word: &'static str,
    /// `order = …`; `None`: it is not written.
    pub order: Option<&'static str>,
    /// What it means.
    pub of: Type,
}

/// Every type of number that a map can name, with every order; the likeliest first.
pub fn kinds() -> impl Iterator<Item = Kind> {
    let ordered = ORDERED.into_iter().flat_map(|(word, make)| {
        ORDERS.into_iter().map(move |order| {
            let of = make(order);
            Kind { word, order: Some(order.letters(of.words())), of }
        })
    });
    let single = SINGLE.into_iter().map(|(word, order, of)| Kind { word, order, of });
    ordered.chain(single)
}

/// Registers that were read in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The first one, counted from 0.
    pub at: u16,
    /// What they hold.
    pub words: Vec<u16>,
}

/// What the device shows: a number, and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The number.
    pub value: Decimal,
    /// Half of the interval around it.
    pub within: Decimal,
}

/// How far they lie apart; `None`: further than a number can be.
pub fn apart_by(one: Decimal, other: Decimal) -> Option<Decimal> {
    one.checked_sub(other).map(|off| off.abs())
}

/// One way in which the registers would be the known value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// First register, counted from 0.
    pub at: u16,
    /// Its type.
    pub kind: Kind,
    /// What the number is multiplied with.
    pub scale: Decimal,
    /// What comes of it.
    pub value: Decimal,
}

impl Match {
    /// The number in `words`, which begin at its first register; `None`: they are too few, or hold none.
    fn read(&self, words: &[u16]) -> Option<Decimal> {
        let Raw::Number(number) = self.kind.of.raw(words.get(..usize::from(self.kind.of.words()))?).ok()? else {
            return None;
        };
        number.checked_mul(self.scale).map(|value| value.normalize())
    }

    /// The registers that hold `value`, if this type can.
    fn hold(&self, value: Decimal) -> Option<Vec<u16>> {
        self.kind.of.encode(value.checked_div(self.scale)?.normalize()).ok()
    }

    /// The `[[tag]]` of a map, as an inline table; `None`: the base has no number for the address.
    pub fn line(&self, area: Area, base: Addresses) -> Option<String> {
        let (area_word, at, of) = (area.word(), base.written(area, self.at)?, self.kind.word);
        let order = self.kind.order.map(|order| format!(", order = \"{order}\"")).unwrap_or_default();
        let scale = if self.scale == Decimal::ONE { String::new() } else { format!(", scale = {}", self.scale) };
        Some(format!("{{ name = \"value\", area = \"{area_word}\", at = {at}, type = \"{of}\"{order}{scale} }}"))
    }
}

/// Every way in which a piece would be the known value, the likeliest first: where it was looked for, floats (which
/// hardly anything else is by chance), high word first, without a scale, the exact ones.
pub fn search(pieces: &[Piece], asked: u16, known: Known) -> Vec<Match> {
    let mut found = Vec::new();
    for Piece { at, words } in pieces {
        for (number, kind) in kinds().enumerate() {
            for (scale, (mantissa, decimals)) in SCALES.into_iter().enumerate() {
                let candidate = Match { at: *at, kind, scale: Decimal::new(mantissa, decimals), value: known.value };
                let Some(value) = candidate.read(words) else { continue };
                let Some(off) = apart_by(value, known.value).filter(|off| *off <= known.within) else { continue };
                let is_float = kind.of.is_float();
                let unlikely_sign = !is_float && kind.of.is_unsigned() == known.value.is_sign_negative();
                let rank =
                    (at.abs_diff(asked), !is_float, order_rank(kind), scale, unlikely_sign, number, off.normalize());
                found.push((rank, Match { value, ..candidate }));
            }
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, found)| found).collect()
}

fn order_rank(kind: Kind) -> usize {
    match kind.order {
        None => 0,
        Some("BA") => 2,
        Some(letters) => ORDERS.iter().position(|order| order.letters(kind.of.words()) == letters).unwrap_or(0),
    }
}

/// Values that would tell these matches apart, were the device to show them: the least number of them that was found.
/// Empty: no other value does.
pub fn second_values(matches: &[Match], pieces: &[Piece], known: Known) -> Vec<Decimal> {
    let mut open: Vec<(Match, Match)> = Vec::new();
    for (i, one) in matches.iter().enumerate() {
        open.extend(matches[i + 1..].iter().map(|other| (*one, *other)));
    }
    let mut chosen = Vec::new();
    while !open.is_empty() && chosen.len() < MOST_VALUES {
        let splits = |value: &Decimal| open.iter().filter(|pair| apart(**pair, pieces, known, *value)).count();
        // The first of the best: the most usual one.
        let best = candidates(matches, known).into_iter().rev().max_by_key(splits).filter(|value| splits(value) > 0);
        let Some(value) = best else { break };
        open.retain(|pair| !apart(*pair, pieces, known, value));
        chosen.push(value);
    }
    chosen
}

/// Other values that a device might show, were it as the likeliest match says: small changes first. What was above 0 is not
/// asked to be below: hardly anything that is counted or measured can be.
fn candidates(matches: &[Match], known: Known) -> Vec<Decimal> {
    let odd = known.value.checked_mul(Decimal::new(123, 2)); // its low bits are set, in whatever type
    let below = known.value.is_sign_negative().then_some(-known.value);
    let twice = known.value.checked_add(known.value);
    let mut values: Vec<Decimal> = [twice, odd, below].into_iter().flatten().collect();
    for scale in SCALES.map(|(mantissa, decimals)| Decimal::new(mantissa, decimals)) {
        if matches.iter().any(|found| found.scale == scale) {
            values.extend(BEYOND.iter().filter_map(|number| Decimal::from(*number).checked_mul(scale)));
        }
    }
    let another = |value: &Decimal| apart_by(*value, known.value).is_none_or(|off| off > known.within);
    let possible = |value: &Decimal| matches.first().is_none_or(|first| first.hold(*value).is_some());
    values.into_iter().filter(another).filter(possible).map(|value| value.normalize()).collect()
}

/// Whichever of the two is true, the device would not show `value` by the other; and one of them can show it.
fn apart((one, other): (Match, Match), pieces: &[Piece], known: Known, value: Decimal) -> bool {
    let excluded = |truth: Match, wrong: Match| {
        let words = truth.hold(value)?;
        let shown = wrong.read(&overlaid(pieces, wrong.at, truth.at, &words));
        Some(shown.and_then(|shown| apart_by(shown, value)).is_none_or(|off| off > known.within))
    };
    match (excluded(one, other), excluded(other, one)) {
        (None, None) => false,
        (first, second) => first.unwrap_or(true) && second.unwrap_or(true),
    }
}

/// The piece that begins at `from`, if from `at` on there were these words.
fn overlaid(pieces: &[Piece], from: u16, at: u16, words: &[u16]) -> Vec<u16> {
    let piece = pieces.iter().find(|piece| piece.at == from).map_or(&[][..], |piece| &piece.words);
    let place = |i: usize| (usize::from(from) + i).checked_sub(usize::from(at));
    let word = |(i, word): (usize, &u16)| place(i).and_then(|i| words.get(i)).copied().unwrap_or(*word);
    piece.iter().enumerate().map(word).collect()
}

#[cfg(test)]
mod tests;
