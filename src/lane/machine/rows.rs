//! Rows in and out of memory: what is queued for each subject, what is parked, what is set aside on the disk.

use std::collections::{BTreeSet, HashMap};

use super::{Action, Lane, Load, Row, RowKey, Slot, State};
use crate::event::Millis;

/// Rows that a subject keeps in memory when others need the room.
const KEEP: usize = 64;
/// Rows that are read at once of subjects that were set aside.
const BACK: usize = 1_024;
/// Subjects that may be set aside.
const MAX_ASIDE: usize = 1_024;

impl Lane {
    pub(super) fn wants_load(&self) -> Option<Load> {
        if self.loading.is_some() || self.stopped || self.rows.len() >= self.window / 2 {
            return None;
        }
        let back = self.hungry.first().map(|(from, _)| Load::Back(*from));
        back.or(self.more.then_some(Load::Ahead))
    }

    /// Asks for the next rows, if there is room for them.
    pub(super) fn load(&mut self) -> Option<Action> {
        let load = self.wants_load()?;
        self.loading = Some(load);
        let free = self.window.saturating_sub(self.rows.len());
        Some(match load {
            Load::Ahead => Action::Load { after: self.cursor, limit: free },
            Load::Back(from) => Action::Load { after: RowKey { tx: from.tx - 1, ..from }, limit: free.min(BACK) },
        })
    }

    pub(super) fn captured(&mut self, rows: Vec<Row>, ready_at: Millis) {
        let (held, rows): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.held);
        if !held.is_empty() {
            self.park_all(held);
        }
        for row in rows {
            if self.more || self.rows.len() >= self.window {
                self.more = true; // it is on disk, behind the cursor
                continue;
            }
            if row.key > self.cursor {
                self.cursor = row.key;
                self.insert(Slot::queued(row, ready_at));
            }
        }
        self.forget_ended();
    }

    /// What the cursor has passed is read again only of subjects that are set aside.
    fn forget_ended(&mut self) {
        let (cursor, aside) = (self.cursor, &self.aside);
        self.ended.retain(|key, order| *key > cursor || aside.get(order).is_some_and(|first| key >= first));
    }

    pub(super) fn loaded(&mut self, rows: Vec<Row>, more: bool, now: Millis) {
        let slot = |row| Slot::queued(row, now);
        if let Some(Load::Back(from)) = self.loading.take() {
            self.fetched(from, rows.into_iter().map(slot), more);
            return;
        }
        self.more = more;
        for row in rows {
            self.cursor = row.key;
            if !self.ended.contains_key(&row.key)
                && !self.rows.contains_key(&row.key)
                && self.parked.get(&row.order) != Some(&row.key)
            {
                self.insert(slot(row));
            }
        }
        self.forget_ended();
    }

    /// The row has come to its end, or to a person.
    pub(super) fn end(&mut self, key: RowKey) {
        let Some(order) = self.rows.get(&key).map(|slot| slot.row.order) else { return };
        self.remove(key);
        if key > self.cursor || self.aside.get(&order).is_some_and(|first| key >= *first) {
            self.ended.insert(key, order);
        }
    }

    /// Takes rows of subjects that were set aside back into memory: of all whose first one is not before `from`.
    pub(super) fn fetched(&mut self, from: RowKey, slots: impl Iterator<Item = Slot>, more: bool) {
        let back: HashMap<i64, RowKey> = self.aside.extract_if(|_, first| *first >= from).collect();
        for (order, first) in &back {
            self.hungry.remove(&(*first, *order));
        }
        let slots: Vec<Slot> = slots.collect();
        let cursor = self.cursor;
        let reached = slots.last().map(|slot| slot.row.key).filter(|last| more && *last < cursor).unwrap_or(cursor);
        for slot in slots.into_iter().take_while(|slot| slot.row.key <= cursor) {
            let wanted = back.get(&slot.row.order).is_some_and(|first| slot.row.key >= *first);
            let known = self.rows.contains_key(&slot.row.key) || self.ended.contains_key(&slot.row.key);
            if wanted && !known {
                self.insert(slot);
            }
        }
        if reached < cursor {
            for (order, first) in back {
                self.set_aside(order, first.max(RowKey { tx: reached.tx + 1, ..reached }));
            }
        }
        self.forget_ended();
    }

    pub(super) fn set_aside(&mut self, order: i64, first: RowKey) {
        self.aside.insert(order, first);
        if !self.subjects.contains_key(&order) {
            self.hungry.insert((first, order));
        }
    }

    /// The memory is full, hardly anything in it may go, and others wait on the disk: long queues make room, those behind a row that
    /// waits down to that row.
    pub(super) fn make_room(&mut self) {
        if !self.more || self.stopped {
            return;
        }
        let mut keep = KEEP.min(self.window / 8).max(1);
        let mut all = true;
        while self.rows.len() >= self.window / 2 && self.rows.len() > self.subjects.len() && !self.could_fill_a_batch()
        {
            self.shorten(keep, all);
            if keep == 1 {
                return;
            }
            (keep, all) = (keep / 2, false);
        }
    }

    /// Sets aside what is behind the first so many rows of each queue, or of those whose first row may not go now.
    fn shorten(&mut self, keep: usize, all: bool) {
        let waits = |queue: &BTreeSet<RowKey>| queue.first().is_some_and(|head| !self.ready.contains(head));
        let long = |queue: &BTreeSet<RowKey>| queue.len() > keep && (all || waits(queue));
        let long: Vec<i64> = self.subjects.iter().filter(|(_, queue)| long(queue)).map(|(o, _)| *o).collect();
        for order in long {
            let known = self.aside.contains_key(&order);
            if !known && self.aside.len() >= MAX_ASIDE {
                continue;
            }
            let queue = self.subjects[&order].iter().rev();
            let idle = queue.take_while(|key| self.rows[*key].state == State::Queued);
            let surplus = self.subjects[&order].len() - keep;
            let leaving: Vec<RowKey> = idle.take(surplus).copied().collect();
            let Some(first) = leaving.last().copied() else { continue };
            for key in leaving {
                self.remove(key);
            }
            self.set_aside(order, first);
        }
    }

    fn could_fill_a_batch(&self) -> bool {
        let most = self.most;
        if !self.config.ordered_batch {
            return self.ready.len() >= most;
        }
        let queue = |head| self.subjects[&self.rows[head].row.order].len();
        let mut rows = 0;
        self.ready.iter().any(|head| {
            rows += queue(head);
            rows >= most
        })
    }

    /// Adds a row, unless its subject is parked or set aside: then it stays on disk.
    pub(super) fn insert(&mut self, slot: Slot) {
        let (key, order) = (slot.row.key, slot.row.order);
        let aside = self.aside.get(&order).is_some_and(|first| key >= *first);
        if (aside || self.is_behind_parked(&slot.row)) && slot.state != State::Flying {
            return;
        }
        self.unlist(order);
        self.rows.insert(key, slot);
        self.subjects.entry(order).or_default().insert(key);
        self.list(order);
    }

    pub(super) fn is_behind_parked(&self, row: &Row) -> bool {
        self.parked.get(&row.order).is_some_and(|parked| row.key >= *parked)
    }

    /// Takes a subject's head out of `ready` and `due`.
    pub(super) fn unlist(&mut self, order: i64) {
        let Some(head) = self.subjects.get(&order).and_then(BTreeSet::first) else { return };
        self.ready.remove(head);
        if let Some(Slot { state: State::Waiting(until), .. }) = self.rows.get(head) {
            self.due.remove(&(*until, *head));
        }
    }

    /// Puts a subject's head where its state belongs.
    pub(super) fn list(&mut self, order: i64) {
        let Some(head) = self.subjects.get(&order).and_then(BTreeSet::first) else { return };
        match self.rows.get(head).map(|slot| slot.state) {
            Some(State::Queued) => drop(self.ready.insert(*head)),
            Some(State::Waiting(until)) => drop(self.due.insert((until, *head))),
            Some(State::Flying) | None => {}
        }
    }

    pub(super) fn set_state(&mut self, key: RowKey, state: State, now: Millis) {
        let Some(order) = self.rows.get(&key).map(|slot| slot.row.order) else { return };
        self.unlist(order);
        if let Some(slot) = self.rows.get_mut(&key) {
            slot.state = state;
            slot.ready_at = now;
        }
        self.list(order);
    }

    /// Forgets a resolved row; the next one of its subject takes its place.
    pub(super) fn remove(&mut self, key: RowKey) {
        let Some(slot) = self.rows.get(&key) else { return };
        let order = slot.row.order;
        self.unlist(order);
        self.rows.remove(&key);
        if let Some(queue) = self.subjects.get_mut(&order) {
            queue.remove(&key);
            if queue.is_empty() {
                self.subjects.remove(&order);
                self.hungry.extend(self.aside.get(&order).map(|first| (*first, order)));
            }
        }
        self.list(order);
    }

    /// Parks the row's subject from this row on: what is behind it leaves the memory, but for what is under way.
    pub(super) fn park(&mut self, row: Row) {
        self.park_all([row]);
    }

    /// Walks all that are parked, once.
    pub(super) fn park_all(&mut self, rows: impl IntoIterator<Item = Row>) {
        rows.into_iter().for_each(|row| self.set_parked(row));
        self.stopped = self.parked() > self.config.max_parked;
    }

    fn set_parked(&mut self, row: Row) {
        if !self.config.parks() {
            return;
        }
        let parked = self.parked.entry(row.order).or_insert(row.key);
        *parked = row.key.min(*parked);
        let parked = *parked;
        let queue = self.subjects.get(&row.order).cloned().unwrap_or_default();
        for key in queue.range(parked..).copied() {
            if self.rows.get(&key).is_some_and(|slot| slot.state != State::Flying) {
                self.remove(key);
            }
        }
        if let Some(first) = self.aside.get(&row.order).copied().filter(|first| *first >= parked) {
            self.aside.remove(&row.order); // nothing of it is wanted back
            self.hungry.remove(&(first, row.order));
        }
    }

    /// The subject is parked from `next` on only; what is on disk before it is read again, the row itself included if it is
    /// in line.
    pub(super) fn freed(&mut self, row: Row, next: Option<RowKey>) {
        match next.filter(|_| self.config.parks()) {
            Some(next) => drop(self.parked.insert(row.order, next)),
            None => drop(self.parked.remove(&row.order)),
        }
        self.stopped = self.parked() > self.config.max_parked;
        self.ended.remove(&row.key);
        if row.key > self.cursor {
            self.more = true; // it is read when the cursor comes to it
            return;
        }
        if self.is_behind_parked(&row) {
            return; // it waits for that one
        }
        let first = self.aside.get(&row.order).map_or(row.key, |first| row.key.min(*first));
        if let Some(before) = self.aside.get(&row.order) {
            self.hungry.remove(&(*before, row.order));
        }
        self.set_aside(row.order, first);
    }

    pub(super) fn promote(&mut self, now: Millis) {
        while let Some((_, key)) = self.due.first().copied().filter(|(until, _)| *until <= now) {
            self.set_state(key, State::Queued, now);
        }
    }
}

#[cfg(test)]
mod tests;
