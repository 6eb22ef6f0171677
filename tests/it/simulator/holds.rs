//! Days on which persons hold the lane, its system or a subject, and release it some time later.
//!
//! A subject has postings that are ordered by two keys, so that its hold is told in two parts; another subject shares one of them.

use super::*;

/// What a person holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    Lane,
    System,
    Subject(i64),
}

impl Hold {
    /// What its postings are ordered by.
    fn orders(self) -> Vec<i64> {
        if let Self::Subject(name) = self { vec![name, name + 1] } else { Vec::new() }
    }
}

impl Disk {
    pub(super) fn is_held(&self) -> bool {
        self.holds.contains(&Hold::Lane) || self.holds.contains(&Hold::System)
    }

    pub(super) fn kept(&self) -> Vec<i64> {
        self.holds.iter().flat_map(|hold| hold.orders()).collect()
    }
}

impl World {
    /// Nothing of a visibility lane waits for another, so that it has no subjects to hold.
    pub(super) fn hold_some(&mut self, subjects: i64) {
        for _ in 0..self.rng.usize(1..30) {
            let hold = match self.rng.u8(0..8) {
                0 => Hold::Lane,
                1 => Hold::System,
                _ if self.visibility => continue,
                _ => Hold::Subject(self.rng.i64(-1..subjects)),
            };
            let at = self.rng.u64(0..DAY);
            self.schedule(at, Event::Hold(hold, true));
        }
    }

    /// A person's command comes at the very moment when something is due, as often as not.
    pub(super) fn hold(&mut self, hold: Hold, on: bool) {
        let due = self.wakes_at().filter(|at| *at > self.now && self.rng.bool());
        let up = (self.now < self.down_until).then_some(self.down_until + 1);
        if let Some(at) = up.or(due) {
            self.schedule(at, Event::Hold(hold, on));
            return;
        }
        let changed = if on { self.disk.holds.insert(hold) } else { self.disk.holds.remove(&hold) };
        if on {
            let longest = *self.rng.choice([SECOND, MINUTE, 3 * HOUR].iter()).expect("three lengths");
            let at = self.now + self.rng.u64(1..=longest);
            self.schedule(at, Event::Hold(hold, false));
        }
        let told = match hold {
            Hold::Subject(_) if !changed => Vec::new(),
            Hold::Subject(_) if on => hold.orders().into_iter().map(Input::Kept).collect(),
            Hold::Subject(_) => {
                let kept = self.disk.kept();
                let orders = hold.orders().into_iter().filter(|order| !kept.contains(order));
                orders.map(|order| self.let_go_on(order)).collect()
            }
            _ if changed => vec![Input::Held(self.disk.is_held())],
            _ if !on && self.wall() < self.disk.away_until => {
                self.disk.away_until = Millis::default();
                vec![Input::CalledBack]
            }
            _ => Vec::new(),
        };
        if told.is_empty() {
            return;
        }
        let called_back = told[0] == Input::CalledBack;
        self.feed_all(told, &[]);
        if called_back && self.lanes.lane(0).away_until() > self.wall() {
            self.wrong.get_or_insert("the ERP is left alone, and a person says that it is over".to_owned());
        }
    }

    /// What is ordered as this row is goes on from it. Behind it nothing may go first after a restart, however long it has waited.
    pub(super) fn let_go(&mut self, row: Row) -> Input {
        let lined_up = self.broken != Broken::NotLinedUp;
        for (_, stored) in self.disk.rows.values_mut().filter(|(other, _)| other.order == row.order && lined_up) {
            if matches!(stored, Stored::Waiting { .. }) {
                *stored = Stored::Ready;
            }
        }
        let parked = self.disk.rows.values().find(|(other, stored)| other.order == row.order && stored.parks());
        let kept = self.disk.kept().contains(&row.order).then(RowKey::default);
        Input::Freed { row, next: kept.or(parked.map(|(row, _)| row.key)) }
    }

    fn let_go_on(&mut self, order: i64) -> Input {
        let over = |stored: &Stored| matches!(stored, Stored::Done | Stored::Skipped);
        let first = self.disk.rows.values().find(|(row, stored)| row.order == order && !over(stored));
        let nothing = Row { key: RowKey { seq: i64::MAX, tx: 0 }, order, size: 0, held: false };
        self.let_go(first.map_or(nothing, |(row, _)| *row))
    }

    /// Nothing leaves of what is held, and of a subject nothing new.
    pub(super) fn look_for_held(&mut self, action: &Action) {
        let (batch, new) = match action {
            Action::Send { batch, rows, attempt: 1, .. } | Action::Store { batch, rows, .. } => (batch, &rows[..]),
            Action::Release { batch } => (batch, &self.ahead[batch].0.rows[..]),
            Action::Send { batch, .. } | Action::Look { batch, .. } | Action::Poll { batch, .. } => (batch, &[][..]),
            _ => return,
        };
        let kept = self.disk.kept();
        if self.disk.is_held() || new.iter().any(|row| kept.contains(&self.disk.rows[row].0.order)) {
            self.wrong.get_or_insert(format!("batch {batch} leaves and is held"));
        }
    }
}

#[test]
fn a_hold_that_is_told_in_parts_lets_something_leave_in_between() {
    control(Broken::HoldToldInParts, "leaves and is held");
}

#[test]
fn a_restart_that_forgets_a_hold_sends_what_is_held() {
    control(Broken::HoldForgotten, "leaves and is held");
}

#[test]
fn what_waits_behind_a_row_that_is_let_go_and_is_not_lined_up_overtakes_it_after_a_restart() {
    control(Broken::NotLinedUp, "order");
}
