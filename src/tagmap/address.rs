//! Addresses as a map writes them, and the table and number that go on the wire.

use super::points::Area;
use super::{Addresses, Context};
use crate::form::Table;

impl Addresses {
    /// Table (if the number says it) and number from 0 of what is written; `None`: there is no such address.
    pub fn resolve(self, written: i64) -> Option<(Option<Area>, u16)> {
        let (area, at) = match self {
            Self::Zero => (None, written),
            Self::One => (None, written.checked_sub(1)?),
            Self::Modicon => {
                let areas = [(0, Area::Coil), (1, Area::Discrete), (3, Area::Input), (4, Area::Holding)];
                let (unit, most) = if written > 99_999 { (100_000, 65_536) } else { (10_000, 9_999) };
                let (digit, number) = (written / unit, written % unit);
                let (_, area) = areas.into_iter().find(|(first, _)| *first == digit)?;
                (Some(area), (1..=most).contains(&number).then_some(number - 1)?)
            }
        };
        Some((area, u16::try_from(at).ok()?))
    }

    /// How the address `at`, counted from 0, is written; `None`: this way of writing has no number for it.
    pub fn written(self, area: Area, at: u16) -> Option<i64> {
        let at = i64::from(at);
        match self {
            Self::Zero => Some(at),
            Self::One => Some(at + 1),
            Self::Modicon => {
                let digit = match area {
                    Area::Coil => 0,
                    Area::Discrete => 1,
                    Area::Input => 3,
                    Area::Holding => 4,
                };
                let unit = if at < 9_999 { 10_000 } else { 100_000 };
                (at < 9_999 || digit > 0).then_some(digit * unit + at + 1)
            }
        }
    }

    /// What may be written.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Zero => "addresses = \"zero\": 0 to 65535",
            Self::One => "addresses = \"one\": 1 to 65536",
            Self::Modicon => {
                "addresses = \"modicon\": coils from 1, inputs from 10001, input registers from 30001, holding registers \
                 from 40001; of six digits from 100001, 300001, 400001"
            }
        }
    }
}

const AREAS: [(&str, Area); 4] =
    [("coil", Area::Coil), ("discrete", Area::Discrete), ("input", Area::Input), ("holding", Area::Holding)];

impl Area {
    /// One of it, for people.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete input",
            Self::Input => "input register",
            Self::Holding => "holding register",
        }
    }

    /// The number of Modicon's for what a list calls `written`, without its table's digit.
    pub fn in_modicon(self, written: i64) -> Option<i64> {
        let at = u16::try_from(written.checked_sub(1)?).ok()?;
        Addresses::Modicon.written(self, at).filter(|long| *long != written)
    }

    /// As maps write it.
    pub fn word(self) -> &'static str {
        AREAS.iter().find(|(_, area)| *area == self).map_or("", |(word, _)| word)
    }
}

/// `area` and `at` of a point that takes `count` registers or bits.
pub(super) fn read(table: &Table<'_>, context: &Context<'_>, count: u16) -> Option<(Area, u16)> {
    let given = table.entry("area");
    let area = given.as_ref().and_then(|e| e.choice(&AREAS));
    let written = table.required_entry("at").and_then(|e| context.integer(&e))?;
    let addresses = context.addresses?;
    let Some((by_number, at)) = addresses.resolve(written) else {
        table.refuse_key("at", &format!("{written} is no address"), addresses.help());
        return None;
    };
    doubt(table, context, area, written)?;
    let area = match (given, by_number) {
        (None, None) if context.base_doubted.get() => None,
        (None, None) => {
            let message = "is missing: the number does not say which table it is in";
            table.refuse_key("area", message, "one of \"coil\", \"discrete\", \"input\", \"holding\"");
            None
        }
        (Some(given), Some(by_number)) if area.is_some_and(|area| area != by_number) => {
            let message = format!("contradicts the number: {written} is in the table \"{}\"", by_number.word());
            let long = area.filter(|_| by_number == Area::Coil).and_then(|area| area.in_modicon(written));
            let help = long.map_or_else(
                || "remove `area`, or correct `at`".to_owned(),
                |long| {
                    format!("{} {written} is {long} in this numbering: write at = {long}", area.map_or("", Area::one))
                },
            );
            given.refuse(&message, &help);
            None
        }
        (_, by_number) => area.or(by_number),
    };
    if u32::from(at) + u32::from(count) > 65_536 {
        table.refuse_key("at", &format!("{count} from {written} go past the last one"), addresses.help());
        return None;
    }
    Some((area?, at))
}

/// A number that says its table, in a map whose numbers do not; told of the first one. `None`: it is a fault.
pub(super) fn doubt(table: &Table<'_>, context: &Context<'_>, area: Option<Area>, written: i64) -> Option<()> {
    let addresses = context.addresses.filter(|addresses| *addresses != Addresses::Modicon);
    let listed = Addresses::Modicon.resolve(written).and_then(|(listed, at)| Some((listed?, at, addresses?)));
    let is_listed = |listed: Area| listed != Area::Coil && area.is_none_or(|area| area == listed);
    let Some((listed, at, addresses)) = listed.filter(|(listed, ..)| is_listed(*listed)) else { return Some(()) };
    let refused = area.is_none() && table.entry("area").is_none();
    if context.base_doubted.replace(true) {
        return (!refused).then_some(());
    }
    let (_, on_the_wire) = addresses.resolve(written)?;
    let (first, short) = (written - i64::from(at), addresses.written(listed, at)?);
    let message = format!("{written} is taken as it stands: {on_the_wire} on the wire");
    let list = format!(
        "if the list calls the first {} {first}, write addresses = \"modicon\", or area = \"{}\" with at = {short}",
        listed.one(),
        listed.word()
    );
    if refused {
        table.refuse_key("at", &message, &format!("{list}; if it is meant so, add `area`. So with all that are alike"));
        return None;
    }
    context.warnings.borrow_mut().push(table.fault_at("at", &message, &format!("{list}. So with all that are alike")));
    Some(())
}

/// A coil by its number, where a register is meant: said at the number. `false`: that is not it.
pub(super) fn refuse_short(table: &Table<'_>, area: Area, context: &Context<'_>) -> bool {
    let written = table.entry("at").and_then(|at| at.value().as_integer().and_then(|n| n.as_str().parse::<i64>().ok()));
    let is_short = context.addresses == Some(Addresses::Modicon) && area == Area::Coil && table.entry("area").is_none();
    let numbers = |n| Some((n, Area::Holding.in_modicon(n)?, Area::Input.in_modicon(n)?));
    let Some((n, holding, input)) = written.filter(|_| is_short).and_then(numbers) else { return false };
    let message = format!("{n} is a coil in this numbering");
    let help = format!("holding register {n} is {holding}, input register {n} is {input}; a coil has type = \"bool\"");
    table.refuse_key("at", &message, &help);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modicon_number_says_its_table() {
        for (written, expected) in [
            (1, Some((Area::Coil, 0))),
            (9_999, Some((Area::Coil, 9_998))),
            (10_001, Some((Area::Discrete, 0))),
            (30_001, Some((Area::Input, 0))),
            (49_999, Some((Area::Holding, 9_998))),
            (400_001, Some((Area::Holding, 0))),
            (465_536, Some((Area::Holding, 65_535))),
            (165_536, Some((Area::Discrete, 65_535))),
            (0, None),
            (-1, None),
            (10_000, None),
            (20_001, None),
            (40_000, None),
            (465_537, None),
            (500_001, None),
        ] {
            let made = Addresses::Modicon.resolve(written);
            assert_eq!(made, expected.map(|(area, at)| (Some(area), at)), "{written}");
            if let Some((area, at)) = expected {
                let back = Addresses::Modicon.written(area, at).and_then(|back| Addresses::Modicon.resolve(back));
                assert_eq!(back, made, "{written}");
            }
        }
        assert_eq!(Addresses::Modicon.written(Area::Holding, 10), Some(40_011));
        assert_eq!(Addresses::Modicon.written(Area::Coil, 9_999), None);
        assert_eq!(Addresses::One.written(Area::Holding, 10), Some(11));
        assert_eq!(Addresses::One.resolve(1), Some((None, 0)));
        assert_eq!(Addresses::One.resolve(0), None);
        assert_eq!(Addresses::Zero.resolve(65_536), None);
    }
}
