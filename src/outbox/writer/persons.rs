//! What persons decide, between the commits.

use std::collections::BTreeSet;

use rusqlite::TransactionBehavior;

use super::Writer;
use crate::event::Id;
use crate::lane::Input;
use crate::outbox::audit;
use crate::outbox::hold::{self, Change, Hold};
use crate::outbox::open::StorageError;
use crate::outbox::operate::{Acted, Freed, Named, Order, act, line_up};

impl Writer {
    /// What lanes have decided before is stored first, so that the person decides of what is so.
    pub(super) fn operate(&mut self, order: &Order, actor: &str) -> Result<Vec<Acted>, StorageError> {
        if self.has_work() {
            self.commit()?;
        }
        self.look_for_room();
        let now = self.clock.now().wall;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut acted, mut freed) = (Vec::new(), Vec::new());
        let before = audit::command(&tx, &order.id)?;
        for Named { key, seen } in &order.keys {
            // As the ERP prints it, perhaps: in capitals.
            let key = Id::parse(key).map_or_else(|| key.clone(), |id| id.to_string());
            let named = Named { key, seen: seen.clone() };
            let key = &named.key;
            let command = (order.id.as_str(), actor, order.act.name());
            let (told, row) = match audit::repeated(&tx, before.as_ref(), command, key)? {
                Some(said) => {
                    let done = said.is_ok();
                    (Acted { key: key.clone(), done, text: said.unwrap_or_else(|why| why) }, None)
                }
                None => act(&tx, &self.capture.site, &self.capture.routes, order, &named, actor, now)?,
            };
            tracing::info!(
                actor,
                act = order.act.name(),
                key,
                done = told.done,
                reason = order.reason,
                "{}",
                told.text
            );
            acted.push(told);
            freed.extend(row);
        }
        for (lane, route) in self.capture.routes.iter().enumerate() {
            let orders: Vec<i64> =
                freed.iter().filter(|(of, _)| *of == lane).map(|(_, freed)| freed.row.order).collect();
            if !orders.is_empty() {
                line_up(&tx, route.id, &orders)?;
            }
        }
        for (lane, bytes, skipped) in freed.iter().filter_map(|(lane, row)| row.ended.map(|(n, skip)| (*lane, n, skip)))
        {
            let counters = &mut self.capture.routes[lane].counters;
            counters.rows_out += 1;
            counters.bytes_out += bytes;
            counters.skipped += i64::from(skipped);
        }
        for (lane, freed) in &freed {
            self.capture.routes[*lane].goes_again(freed);
        }
        self.capture.flush(&tx)?;
        let end = audit::kept(&tx)?;
        tx.commit()?;
        note(&end);
        let lanes: BTreeSet<usize> = freed.iter().map(|(lane, _)| *lane).collect();
        let input = |(lane, Freed { row, next, .. })| (lane, Input::Freed { row, next });
        self.step_all(freed.into_iter().map(input).collect())?;
        for lane in lanes {
            if !self.lanes.lane(lane).is_stopped() {
                self.told_stopped.remove(&lane);
            }
        }
        Ok(acted)
    }

    /// Stores a hold or takes it away, and tells the lanes.
    pub(super) fn hold(&mut self, hold: &Hold, actor: &str) -> Result<Acted, StorageError> {
        if self.has_work() {
            self.commit()?;
        }
        self.look_for_room();
        let now = self.clock.now().wall;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (acted, changes) = hold::set(&tx, &self.capture.site, &self.capture.routes, hold, actor, now)?;
        for (lane, change) in &changes {
            let route = &mut self.capture.routes[*lane];
            match change {
                Change::Let(freed) => route.goes_again(freed),
                Change::CalledBack => route.counters.away_until = 0,
                Change::Lane(_) | Change::Kept(_) => {}
            }
        }
        self.capture.flush(&tx)?;
        let end = audit::kept(&tx)?;
        tx.commit()?;
        tracing::info!(actor, done = acted.done, reason = hold.reason, "{}: {}", acted.key, acted.text);
        note(&end);
        let input = |(lane, change)| match change {
            Change::Lane(on) => (lane, Input::Held(on)),
            Change::CalledBack => (lane, Input::CalledBack),
            Change::Kept(order) => (lane, Input::Kept(order)),
            Change::Let(Freed { row, next, .. }) => (lane, Input::Freed { row, next }),
        };
        self.step_all(changes.into_iter().map(input).collect())?;
        // What was stored and has not left is in line again before the person hears of it: a start would send it.
        if self.has_work() {
            self.commit()?;
        }
        Ok(acted)
    }
}

/// Where the log is kept elsewhere, the audit's head is noted there.
fn note((rows, head): &(i64, String)) {
    tracing::info!(rows, head, "the audit ends");
}
