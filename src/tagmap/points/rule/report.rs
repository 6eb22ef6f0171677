//! `report`: a tag's value as an event of its own, `tag.value`.

use rust_decimal::Decimal;

use super::{Kept, State, View, event, word};
use crate::event::{DeviceEvent, Fields, Value};
use crate::tagmap::points::Quality;
use crate::tagmap::points::value::Datum;

/// A tag's `report`.
#[derive(Debug, Clone)]
pub(in crate::tagmap::points) struct Report {
    pub(in crate::tagmap::points) tag: usize,
    pub(in crate::tagmap::points) deadband: Deadband,
    /// Not more often than this, in milliseconds.
    pub(in crate::tagmap::points) at_most: Option<u64>,
    /// After this without a change too, in milliseconds.
    pub(in crate::tagmap::points) at_least: Option<u64>,
}

/// Which change is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tagmap::points) enum Deadband {
    /// Each poll tells.
    None,
    /// Any other value.
    Any,
    /// By so much from the value told last.
    By(Decimal),
    /// By so many hundredths of the value told last.
    Percent(Decimal),
}

impl Report {
    pub(super) fn step(&self, state: &mut State, view: &View<'_>) -> Option<DeviceEvent> {
        let latest = &view.latest[self.tag];
        if latest.quality == Quality::Stale || !latest.fresh {
            return None;
        }
        let good = latest.taken.as_ref().filter(|_| latest.quality == Quality::Good);
        let now: Option<Vec<Datum>> = good.map(|t| std::iter::once(&t.main).chain(&t.bits).cloned().collect());
        let waited = view.passed(*state.since.get_or_insert(view.mono));
        let due = match &state.kept {
            Kept::Told(before) => {
                let early = state.told && self.at_most.is_some_and(|least| waited < least);
                let moved = self.deadband.passed(before.as_deref(), now.as_deref()) && !early;
                moved || self.at_least.is_some_and(|most| waited >= most)
            }
            _ => true,
        };
        if !due {
            return None;
        }
        *state = State { kept: Kept::Told(now), since: Some(view.mono), told: true };
        Some(event("tag.value", self.fields(view)))
    }

    fn fields(&self, view: &View<'_>) -> Fields {
        let (tag, latest) = (&view.tags[self.tag], &view.latest[self.tag]);
        let mut fields = vec![word("tag", &tag.name)];
        match latest.taken.as_ref().filter(|_| latest.quality == Quality::Good) {
            Some(taken) if tag.bits.is_empty() => {
                fields.push(("value".to_owned(), taken.main.value(tag.is_whole())));
                fields.extend(tag.unit.as_ref().map(|unit| word("unit", unit)));
            }
            Some(taken) => {
                fields.extend(tag.bits.iter().zip(&taken.bits).map(|(b, datum)| (b.name.clone(), datum.value(true))));
            }
            None => {
                fields.push(word("quality", Quality::Bad.word()));
                fields.extend(latest.reason.as_ref().map(|why| ("reason".to_owned(), Value::Text(why.clone()))));
                return fields;
            }
        }
        if view.stale {
            fields.push(word("quality", Quality::Stale.word()));
        }
        fields
    }
}

impl Deadband {
    fn passed(self, before: Option<&[Datum]>, now: Option<&[Datum]>) -> bool {
        let number = |values: Option<&[Datum]>| values.and_then(<[Datum]>::first).and_then(Datum::number);
        let numbers = number(before).zip(number(now));
        // What is too far apart for a number is far enough.
        let far = |now: Decimal, before, by| now.checked_sub(before).is_none_or(|moved| moved.abs() >= by);
        match (self, numbers) {
            (Self::None, _) => true,
            (Self::By(by), Some((before, now))) => far(now, before, by),
            (Self::Percent(percent), Some((before, now))) => {
                let by = before.abs().checked_mul(percent).map(|by| by / Decimal::ONE_HUNDRED);
                now != before && by.is_none_or(|by| far(now, before, by))
            }
            _ => before != now,
        }
    }
}
