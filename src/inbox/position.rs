//! Counted sources: gaps, wraps, restarts and resends, told from one rule table (docs/adr/0008).

/// What is known of one epoch of a counted source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Highest position of the epoch; `None`: nothing yet.
    pub last: Option<i64>,
    /// Positions up to here were stored once and purged since, but for those that are known to be missing: for them it is -1.
    pub floor: i64,
}

/// What is stored at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Nothing.
    No,
    /// A sample with the same bytes.
    Same,
    /// A sample with other bytes.
    Different,
}

/// What a position says of its sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// A new happening; `gap` names the first and last number that are missing before it.
    New {
        /// First and last missing position.
        gap: Option<(i64, i64)>,
    },
    /// New, but behind others of its epoch; `far`: further than the source can hold, so worth an alarm.
    Late {
        /// Further behind than the source's ring.
        far: bool,
    },
    /// Stored before.
    Duplicate,
    /// The device counts afresh and has no boot id to say so: a new epoch begins with this sample.
    Restarted,
    /// Another happening is stored under this position of the same boot: kept as bad input.
    Clash,
}

/// The position in 64 bits of what an n-bit counter shows, seen from `last`.
///
/// A counter that has just wrapped is one cycle on, a straggler from before the wrap one cycle back; the margin for both
/// is an eighth of the counter's range.
pub fn extend(last: Option<i64>, seq: u64, bits: u8) -> Option<i64> {
    if bits >= 64 {
        return i64::try_from(seq).ok();
    }
    let range = 1_i64 << bits;
    let seq = i64::try_from(seq).ok().filter(|seq| *seq < range)?;
    let last = last.unwrap_or(seq);
    let (cycle, within, margin) = (last - last.rem_euclid(range), last.rem_euclid(range), range / 8);
    let position = cycle + seq;
    if within > range - margin && seq < margin {
        Some(position + range)
    } else if within < margin && seq > range - margin && cycle > 0 {
        Some(position - range)
    } else {
        Some(position)
    }
}

/// Judges a position of an epoch that is known. `own_boot`: the epoch is the device's own boot id, so a restart would
/// have shown in it. `ring`: how far behind the source can still resend.
pub fn place(counter: Counter, position: i64, stored: Stored, own_boot: bool, ring: u32) -> Placement {
    let restart_or = |other| if own_boot { other } else { Placement::Restarted };
    match (stored, counter.last) {
        (Stored::Same, _) => Placement::Duplicate,
        (Stored::Different, _) => restart_or(Placement::Clash),
        (Stored::No, None) => Placement::New { gap: None },
        (Stored::No, Some(last)) if position > last => {
            Placement::New { gap: (position > last + 1).then_some((last + 1, position - 1)) }
        }
        // It was stored once and purged. What the source can't resend any more is no resend: kept, and told.
        (Stored::No, Some(last)) if position <= counter.floor => {
            if last - position <= i64::from(ring) {
                Placement::Duplicate
            } else {
                restart_or(Placement::Clash)
            }
        }
        (Stored::No, Some(last)) if last - position > i64::from(ring) => restart_or(Placement::Late { far: true }),
        (Stored::No, Some(_)) => Placement::Late { far: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(last: i64, seq: u64, stored: Stored, own_boot: bool, (at, expected): (i64, Placement)) {
        let position = extend(Some(last), seq, 16).expect("16 bits");
        let counter = Counter { last: Some(last), floor: -1 };
        assert_eq!(
            (position, &place(counter, position, stored, own_boot, 32)),
            (at, &expected),
            "last {last}, seq {seq}"
        );
    }

    #[test]
    fn the_rule_table() {
        use Placement::{Clash, Duplicate, Late, New, Restarted};
        check(7, 7, Stored::Same, true, (7, Duplicate));
        check(7, 7, Stored::Different, true, (7, Clash));
        check(7, 7, Stored::Different, false, (7, Restarted));
        check(7, 8, Stored::No, true, (8, New { gap: None }));
        check(7, 11, Stored::No, true, (11, New { gap: Some((8, 10)) }));
        check(65_535, 0, Stored::No, true, (65_536, New { gap: None }));
        check(65_530, 3, Stored::No, false, (65_539, New { gap: Some((65_531, 65_538)) }));
        check(65_538, 65_534, Stored::No, true, (65_534, Late { far: false }));
        check(1_000, 990, Stored::No, true, (990, Late { far: false }));
        check(40_000, 10, Stored::No, true, (10, Late { far: true }));
        check(40_000, 10, Stored::No, false, (10, Restarted));
    }

    #[test]
    fn the_first_of_an_epoch_has_no_gap_of_its_own() {
        let empty = Counter { last: None, floor: -1 };
        assert_eq!(place(empty, 5_000, Stored::No, false, 32), Placement::New { gap: None });
    }

    #[test]
    fn what_was_purged_is_not_new_again() {
        let counter = Counter { last: Some(900), floor: 500 };
        assert_eq!(place(counter, 499, Stored::No, true, 1_024), Placement::Duplicate);
        assert_eq!(place(counter, 499, Stored::No, false, 1_024), Placement::Duplicate);
        assert_eq!(place(counter, 499, Stored::No, true, 32), Placement::Clash, "no resend reaches so far back");
        assert_eq!(place(counter, 501, Stored::No, true, 1_024), Placement::Late { far: false });
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(extend(None, 65_536, 16), None);
        assert_eq!(extend(None, u64::MAX, 64), None);
        assert_eq!(extend(None, 65_535, 16), Some(65_535));
    }

    proptest::proptest! {
        /// A counter that is read often enough unwraps to the true count, whatever its width.
        #[test]
        fn unwrapping_follows_the_true_count(start in 0_u64..200_000, steps in proptest::collection::vec(1_u64..8_000, 1..60)) {
            let (mut truth, mut last) = (start % 65_536, None);
            for step in steps {
                let shown = truth % 65_536;
                let position = extend(last, shown, 16).expect("in range");
                proptest::prop_assert_eq!(position as u64, truth);
                last = Some(position);
                truth += step;
            }
        }
    }
}
