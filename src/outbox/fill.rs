//! How much of `outbox.max_size` is pending, and what that asks for.
//!
//! Postings (`document`, `ledger`) are never thinned, dropped or expired, at any level: what they need is that something else makes
//! room for them in time, and in the end that devices keep what they have. A level is left 5 % below where it begins, so that
//! nobody is told of it again and again.

use crate::lane::Worth;

/// From emptier to fuller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Fill {
    /// Nothing is asked for.
    #[default]
    Room,
    /// An alarm; delivered history is trimmed to the last hour.
    Trim,
    /// Rows of class `visibility`: one in [`KEPT`] is kept.
    Thin,
    /// No rows of class `visibility`.
    Shed,
    /// Devices are no longer acknowledged.
    Full,
}

/// Of so many rows, one is kept.
const KEPT: u64 = 10;
/// Percent of the size below where a level begins at which it ends.
const SLACK: i64 = 5;

const LEVELS: [(i64, Fill); 4] = [(95, Fill::Full), (90, Fill::Shed), (85, Fill::Thin), (70, Fill::Trim)];

impl Fill {
    /// The level with so many bytes pending, after this one. A size of some bytes is a test's.
    pub(super) fn next(self, pending: i64, max_size: i64, disk_full: bool) -> Self {
        let reaches = |percent: i64| i128::from(pending) * 100 >= i128::from(max_size) * i128::from(percent);
        let holds = |percent: i64, level| reaches(percent) || (level <= self && reaches(percent - SLACK));
        let by_size = LEVELS.into_iter().find(|(percent, level)| holds(*percent, *level)).map(|(_, level)| level);
        if disk_full { Self::Full } else { by_size.unwrap_or_default() }
    }

    /// Whether the `n`th row of a lane of that worth is left out.
    pub(super) fn sheds(self, worth: Worth, n: u64) -> bool {
        match (worth, self) {
            (Worth::Document | Worth::Ledger, _) | (_, Self::Room | Self::Trim) => false,
            (Worth::Visibility, Self::Thin) => !n.is_multiple_of(KEPT),
            (Worth::Visibility, Self::Shed | Self::Full) => true,
        }
    }

    /// What people are told when it begins.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Room => "the outbox has room again",
            Self::Trim => "the outbox is 70 % full: delivered history is trimmed to the last hour",
            Self::Thin => {
                "the outbox is 85 % full: of lanes of class visibility one row in 10 is kept, the others are counted"
            }
            Self::Shed => {
                "the outbox is 90 % full: lanes of class visibility take nothing, what comes for them is counted"
            }
            Self::Full => "the outbox is full: devices are no longer acknowledged; what is stored goes on being posted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_begins_at_its_share_and_ends_five_percent_below() {
        let mut level = Fill::Room;
        let mut seen = Vec::new();
        for percent in (0..=100).chain((0..100).rev()) {
            let next = level.next(percent * 10, 1_000, false);
            if next != level {
                seen.push((percent, next));
            }
            level = next;
        }
        let up = [(70, Fill::Trim), (85, Fill::Thin), (90, Fill::Shed), (95, Fill::Full)];
        let down = [(89, Fill::Shed), (84, Fill::Thin), (79, Fill::Trim), (64, Fill::Room)];
        assert_eq!(seen, [up, down].concat());
        assert_eq!(Fill::Room.next(0, 1_000, true), Fill::Full);
        assert_eq!(Fill::Full.next(0, 1_000, false), Fill::Room);
    }

    #[test]
    fn no_posting_row_is_ever_expired_dropped_or_thinned_at_any_fill_level() {
        for level in [Fill::Room, Fill::Trim, Fill::Thin, Fill::Shed, Fill::Full] {
            for worth in [Worth::Document, Worth::Ledger] {
                assert!((0..100).all(|n| !level.sheds(worth, n)), "{level:?} {worth:?}");
            }
        }
        let kept = |level: Fill| (0..100).filter(|n| !level.sheds(Worth::Visibility, *n)).count();
        assert_eq!([Fill::Room, Fill::Trim, Fill::Thin, Fill::Shed].map(kept), [100, 100, 10, 0]);
    }
}
