//! What the writer logs of lanes and their targets: once when it begins, and once when it is over.

use rusqlite::Connection;

use super::Writer;
use crate::lane::{Answer, Class, Lane, Late, Outcome, SavedBatch, Standing, Stopped, Trouble};
use crate::outbox::open::StorageError;

impl Writer {
    /// Logs when a lane begins to meet trouble, meets another one, and when its target takes postings again. That it tells what
    /// it has (`looks`) does not show that it does.
    pub(super) fn tell_trouble(&mut self, lane: usize, answer: &Answer, looks: bool) {
        let odd = answer.outcomes.iter().find(|o| o.reason.starts_with(Outcome::ODD_STATUS));
        if let Some(odd) = odd.filter(|_| !answer.whole || answer.outcomes.len() == 1) {
            let id = &self.capture.routes[lane].config.id;
            tracing::warn!(
                lane = id,
                reason = odd.reason,
                "the target gave an item a status that nobody knows: it goes again"
            );
            if answer.whole {
                return;
            }
        }
        let worst = answer.outcomes.iter().filter(|_| answer.whole).max_by_key(|o| o.class);
        let trouble =
            worst.filter(|o| !o.class.has_effect() && o.class != Class::Accepted).map(|o| (answer.status, o.class));
        let id = &self.capture.routes[lane].config.id;
        match (self.troubles.get(&lane), trouble) {
            (Some(before), Some(now)) if *before == now => {}
            (_, Some(now)) => {
                let (status, class) = now;
                let reason = worst.map_or("", |o| o.reason.as_str());
                tracing::warn!(
                    lane = id,
                    status,
                    class = class.name(),
                    reason,
                    "the target does not {}: trying on",
                    if looks { "tell what it has" } else { "take postings" }
                );
                self.troubles.insert(lane, now);
            }
            (Some(_), None) if !looks => {
                tracing::info!(lane = id, "the target takes postings again");
                self.troubles.remove(&lane);
            }
            (_, None) => {}
        }
    }

    /// Logs when a target begins to answer lookups with nothing that tells.
    pub(super) fn tell_puzzle(&mut self, lane: usize, answer: &Answer) {
        let Some(unclear) = answer.outcomes.iter().find(|o| o.class == Class::Unknown) else {
            self.puzzled.remove(&lane);
            return;
        };
        if self.puzzled.insert(lane) {
            let id = &self.capture.routes[lane].config.id;
            tracing::warn!(
                lane = id,
                reason = unclear.reason,
                "a lookup does not tell what became of postings: asking on"
            );
        }
    }

    pub(super) fn tell_stopped(&mut self) {
        for (i, lane) in self.lanes.all().iter().enumerate().filter(|(_, lane)| lane.is_stopped()) {
            if self.told_stopped.insert(i) {
                let (id, parked) = (&lane.config().id, lane.parked());
                tracing::error!(
                    lane = id,
                    parked,
                    "too many subjects are parked: the lane sends nothing new until a person has looked"
                );
            }
        }
    }

    /// Logs a breaker that opens or closes, and shows how the systems stand.
    pub(super) fn tell_systems(&mut self) {
        self.told_changes = self.lanes.changes();
        let now = self.lanes.systems(self.clock.now().wall);
        let before = self.systems.send_replace(now.clone());
        for (i, system) in now.into_iter().enumerate() {
            let closed = before.get(i).is_none_or(|before| before.standing == Standing::Closed);
            match &system.standing {
                Standing::Open { trouble: Trouble { why, words, .. }, next_try } if closed => tracing::error!(
                    system = system.system,
                    why = why.name(),
                    reason = words,
                    next_try = next_try.map(tracing::field::display),
                    "the breaker is open: nothing is posted to this system until one row of it is taken"
                ),
                Standing::Closed if !closed => {
                    tracing::info!(system = system.system, "the breaker is closed: the system takes postings again");
                }
                _ => {}
            }
            for Stopped { lane, storm } in &system.stopped {
                let known = before.get(i).is_some_and(|before| before.stopped.iter().any(|s| s.lane == *lane));
                if !known {
                    tracing::error!(
                        lane,
                        rejected = storm.rejected,
                        class = storm.class,
                        code = storm.code,
                        reason = storm.words,
                        "too many rows are rejected: the lane sends nothing new but single rows, to find out"
                    );
                }
            }
            for Late { lane, overdue } in &system.late {
                let known = before.get(i).is_some_and(|before| before.late.iter().any(|l| l.lane == *lane));
                if !known {
                    tracing::warn!(
                        lane,
                        postings = overdue.rows,
                        since = %overdue.since,
                        "the target has accepted postings and does not come to an end with them: asking on, nothing of their \
                         subjects is sent"
                    );
                }
            }
            for Stopped { lane, .. } in before.get(i).map_or(&[][..], |before| &before.stopped) {
                if system.stopped.iter().all(|stopped| stopped.lane != *lane) {
                    tracing::info!(lane, "its rows are taken again: the lane goes on");
                }
            }
        }
    }
}

/// What was under way at the last stop, and what becomes of it. `waits`: for a clock to trust; `doubtful`: no clock tells how old it is.
pub(super) fn tell_batches(lane: &str, batches: &[SavedBatch], waits: bool, doubtful: bool) {
    let accepted = batches.iter().filter(|batch| batch.accepted.is_some()).count();
    if accepted > 0 {
        tracing::info!(
            lane,
            batches = accepted,
            "batches were accepted before the last stop: their target is asked what became of them"
        );
    }
    let without_age = |batch: &&SavedBatch| doubtful && batch.accepted.is_none() && batch.age_ms.is_none();
    let ageless = batches.iter().filter(without_age).count();
    if ageless > 0 && waits {
        tracing::warn!(
            lane,
            batches = ageless,
            "batches were under way at the last stop, and the clock is not set since the machine started: they wait for it, 15 \
             minutes at most"
        );
    } else if ageless > 0 {
        tracing::warn!(
            lane,
            batches = ageless,
            "batches were under way at the last stop, and the clock is behind what was stored before it: nobody knows how long ago \
             they left, so that they are not sent again by their age"
        );
    }
    let batches = batches.len() - accepted - ageless;
    if batches > 0 {
        tracing::info!(lane, batches, "batches were under way at the last stop: resending them under their keys");
    }
}

/// Rows of a lane that the configuration no longer has go nowhere: that must not happen silently.
pub(super) fn tell_orphans(db: &Connection, lanes: &[Lane]) -> Result<(), StorageError> {
    let mut statement =
        db.prepare("SELECT name FROM lane WHERE EXISTS (SELECT 1 FROM pending WHERE lane = lane.id)")?;
    for name in statement.query_map([], |r| r.get::<_, String>(0))? {
        let name = name?;
        if lanes.iter().all(|lane| lane.config().id != name) {
            tracing::error!(
                lane = name,
                "has rows to post and is not in the configuration: put it back, or they stay where they are"
            );
        }
    }
    Ok(())
}
