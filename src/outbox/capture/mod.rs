//! Samples into rows: placed by the inbox's rules, interpreted, routed to lanes, all within one savepoint a sample.

mod judging;
pub(super) mod regrouped;
mod sources;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::event::{
    Decoded, DeviceEvent, Id, Millis, Now, Position, Sample, Unread, derived_event_id, device_event_id, order_key,
    posting_id,
};
use crate::lane::{self, Row, RowKey, Storm};
use crate::milestone::{interpret, order, sequence_gap};
use crate::outbox::fill::Fill;
use crate::outbox::finder::Finder;
use crate::outbox::operate::Freed;
use crate::outbox::read::{GAP, words};
use crate::outbox::{Placed, StorageError};
use crate::tagmap::panic_text;

/// Undecodable samples that are kept.
const BAD_INPUT_ROWS: i64 = 10_000;
/// Bytes kept of each.
const BAD_INPUT_BYTES: usize = 4_096;
/// Devices that a topic may bring in: what comes from the wire can't grow the database without bound.
const MAX_SOURCES: usize = 4_096;
/// What a row adds to the database beside its payload, about.
const ROW_OVERHEAD: usize = 160;
/// One log line for each source and kind of trouble in this time; the tally counts all.
const QUIET_MS: u64 = 10_000;

/// Bytes of deliveries that are not at their end.
pub(super) const PENDING_BYTES: &str = "SELECT coalesce(sum(bytes_in - bytes_out), 0) FROM lane";

type Sql<T> = Result<T, rusqlite::Error>;

/// A lane, as capturing knows it.
pub(super) struct Route {
    pub(super) id: i64,
    pub(super) config: lane::Config,
    pub(super) counters: Counters,
    /// As the database has them.
    stored: Counters,
    /// The storm that the lane is in, as the database has it.
    pub(super) storm: Option<Storm>,
    /// Rows that came for it while rows were left out.
    offered: u64,
}

impl Route {
    /// The row, and what is behind it, goes without a person again.
    pub(super) fn goes_again(&mut self, freed: &Freed) {
        self.counters.goes_from = self.counters.goes_from.min(freed.row.key.seq);
    }

    /// Stores the storm that the lane is in, or that it is in none.
    pub(super) fn keep_storm(&mut self, db: &Connection, storm: Option<&Storm>) -> Sql<()> {
        if self.storm.as_ref() != storm {
            let text = storm.map(|storm| serde_json::to_string(storm).expect("texts and numbers"));
            db.prepare_cached("UPDATE lane SET storm = ? WHERE id = ?")?.execute(params![text, self.id])?;
            self.storm = storm.cloned();
        }
        Ok(())
    }
}

/// What a lane counts: written once a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) rows_in: i64,
    pub(super) rows_out: i64,
    pub(super) bytes_in: i64,
    pub(super) bytes_out: i64,
    /// Rows of rows_out that a person took out.
    pub(super) skipped: i64,
    /// Highest number of a batch.
    pub(super) batches: i64,
    /// When all of an answer was good last.
    pub(super) good_at: Option<i64>,
    /// Until when its target has asked us to stay away.
    pub(super) away_until: i64,
    /// No row before this one goes without a person.
    pub(super) goes_from: i64,
}

/// One source's present epochs, as cached between commits: one for each kind of epoch (`d`, `g`, `m`, `c`), since a device
/// may number some of its messages and not others.
struct Source {
    id: i64,
    present: HashMap<char, Epoch>,
}

#[derive(Clone)]
struct Epoch {
    id: i64,
    text: Arc<str>,
    last: Option<i64>,
    floor: i64,
}

/// Where a sample's events go.
struct Spot {
    epoch: Epoch,
    position: i64,
    /// The sequence text of the key, where it isn't the position.
    mark: Option<String>,
    held: bool,
    gap: Option<(i64, i64)>,
    late: bool,
}

enum Judged {
    At(Spot),
    Duplicate,
    Bad(String),
}

/// The sequence of the last event, taken off or not.
pub(super) const LAST_SEQ: &str =
    "SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT v FROM meta WHERE k = 'last_seq'), 0))";

/// What an undone write had moved.
pub(super) struct Mark {
    next_seq: i64,
    counters: Vec<Counters>,
}

/// The capturing half of the writer: everything between a sample and its rows.
pub(super) struct Capture {
    pub(super) site: String,
    incarnation: String,
    run: i64,
    /// Nothing happens before what was stored at the last stop, whatever the system clock says.
    last_wall: Millis,
    pub(super) routes: Vec<Route>,
    /// How full the outbox is: what rows are left out.
    pub(super) fill: Fill,
    next_seq: i64,
    finder: Finder,
    names: HashMap<String, i64>,
    sources: HashMap<Arc<str>, Source>,
    /// Which lanes take a transaction type.
    taken: HashMap<String, Vec<usize>>,
    quiet: HashMap<(String, &'static str), u64>,
    /// Bytes that wait in lanes which the configuration no longer has.
    orphan_bytes: i64,
}

impl Capture {
    pub(super) fn new(
        db: &Connection,
        site: String,
        incarnation: String,
        (run, last_wall): (i64, Millis),
        lanes: &[lane::Config],
    ) -> Result<Self, StorageError> {
        if let Some(lanes) = regrouped::check(db, lanes)? {
            regrouped::remember(db, &lanes)?;
        }
        let mut routes = Vec::new();
        for config in lanes {
            db.execute("INSERT OR IGNORE INTO lane(name, system) VALUES (?, ?)", [&config.id, &config.system])?;
            let sql = "SELECT id, system, rows_in, rows_out, bytes_in, bytes_out, batches, good_at, skipped, away_until, goes_from, storm FROM lane WHERE name = ?";
            let (id, system, mut counters, mut storm): (i64, String, Counters, Option<Storm>) =
                db.query_row(sql, [&config.id], |r| {
                    let counters = Counters {
                        rows_in: r.get(2)?,
                        rows_out: r.get(3)?,
                        bytes_in: r.get(4)?,
                        bytes_out: r.get(5)?,
                        batches: r.get(6)?,
                        good_at: r.get(7)?,
                        skipped: r.get(8)?,
                        away_until: r.get(9)?,
                        goes_from: r.get(10)?,
                    };
                    Ok((r.get(0)?, r.get(1)?, counters, serde_json::from_str(&words(r, 11)?).ok()))
                })?;
            if system != config.system {
                db.execute(
                    "UPDATE lane SET system = ?, away_until = 0, storm = NULL WHERE id = ?",
                    rusqlite::params![config.system, id],
                )?;
                (counters.away_until, storm) = (0, None); // they were the other one's
            }
            routes.push(Route { id, config: config.clone(), counters, stored: counters, storm, offered: 0 });
        }
        let count = |sql: &str| db.query_row(sql, [], |r| r.get::<_, i64>(0));
        let ours: i64 = routes.iter().map(|r| r.counters.bytes_in - r.counters.bytes_out).sum();
        let next_seq = 1 + count(LAST_SEQ)?;
        Ok(Self {
            site,
            incarnation,
            run,
            last_wall,
            routes,
            fill: Fill::Room,
            next_seq,
            finder: Finder::open(db, next_seq)?,
            names: HashMap::new(),
            sources: HashMap::new(),
            taken: HashMap::new(),
            quiet: HashMap::new(),
            orphan_bytes: count(PENDING_BYTES)? - ours,
        })
    }

    /// Bytes of deliveries that are not at their end.
    pub(super) fn pending_bytes(&self) -> i64 {
        let ours = self.routes.iter().map(|r| r.counters.bytes_in - r.counters.bytes_out);
        self.orphan_bytes + ours.sum::<i64>()
    }

    /// Stores the samples of one command within a savepoint; returns what became of each, and adds their rows.
    ///
    /// When one of them can't be stored, all are undone and done again, each in a savepoint of its own. Whatever is wrong
    /// with the sample itself, a panic of its interpretation included, is then kept as bad input. An error of the storage
    /// is returned.
    pub(super) fn samples(
        &mut self,
        db: &Connection,
        samples: &[Sample],
        now: Now,
        quality: &str,
        rows: &mut Vec<(usize, Row)>,
    ) -> Sql<Vec<Placed>> {
        match self.within_savepoint(db, samples, now, quality, rows)? {
            Ok(placed) => Ok(placed),
            Err(_) if samples.len() > 1 => samples
                .iter()
                .map(|sample| Ok(self.samples(db, std::slice::from_ref(sample), now, quality, rows)?.swap_remove(0)))
                .collect(),
            Err(reason) => {
                let sample = &samples[0];
                tracing::error!(source = %sample.source, origin = %sample.origin, reason, "a sample was kept as bad input");
                Ok(vec![self.refuse(db, sample, &reason, now)?])
            }
        }
    }

    /// All of the samples, or none of them and the reason.
    fn within_savepoint(
        &mut self,
        db: &Connection,
        samples: &[Sample],
        now: Now,
        quality: &str,
        rows: &mut Vec<(usize, Row)>,
    ) -> Sql<Result<Vec<Placed>, String>> {
        let (known, before) = (rows.len(), self.mark());
        db.prepare_cached("SAVEPOINT command")?.execute([])?;
        let place = |sample| self.place_sample(db, sample, now, quality, rows);
        let placed = catch_unwind(AssertUnwindSafe(|| samples.iter().map(place).collect::<Sql<Vec<_>>>()));
        let reason = match placed {
            Ok(Ok(placed)) => {
                db.prepare_cached("RELEASE command")?.execute([])?;
                return Ok(Ok(placed));
            }
            Ok(Err(e)) if e.sqlite_error_code() != Some(rusqlite::ErrorCode::ConstraintViolation) => return Err(e),
            Ok(Err(e)) => format!("it contradicts what is stored: {e}"),
            Err(panic) => format!("its interpretation panicked: {}", panic_text(panic.as_ref())),
        };
        db.execute_batch("ROLLBACK TO command; RELEASE command")?;
        rows.truncate(known);
        self.undo(&before);
        Ok(Err(reason))
    }

    /// Drops what is cached of the database.
    pub(super) fn forget(&mut self) {
        self.sources.clear();
        self.names.clear();
    }

    /// Deliveries that have reached their end.
    pub(super) fn settled(&self) -> i64 {
        self.routes.iter().map(|route| route.counters.rows_out).sum()
    }

    /// What [`Capture::undo`] goes back to.
    pub(super) fn mark(&self) -> Mark {
        Mark { next_seq: self.next_seq, counters: self.routes.iter().map(|route| route.counters).collect() }
    }

    /// Takes back what was counted, and drops what is cached, of writes that were undone.
    pub(super) fn undo(&mut self, before: &Mark) {
        self.next_seq = before.next_seq;
        self.finder.undo();
        for (route, counters) in self.routes.iter_mut().zip(&before.counters) {
            route.counters = *counters;
        }
        self.forget();
    }

    /// Writes the counters that this transaction moved.
    pub(super) fn flush(&mut self, db: &Connection) -> Sql<()> {
        for route in self.routes.iter_mut().filter(|route| route.counters != route.stored) {
            let Counters { rows_in, rows_out, bytes_in, bytes_out, skipped, batches, good_at, away_until, goes_from } =
                route.counters;
            let sql = "UPDATE lane SET rows_in = ?, rows_out = ?, bytes_in = ?, bytes_out = ?, batches = ?, good_at = ?, skipped = ?, away_until = ?, goes_from = ? WHERE id = ?";
            db.prepare_cached(sql)?.execute(params![
                rows_in, rows_out, bytes_in, bytes_out, batches, good_at, skipped, away_until, goes_from, route.id
            ])?;
            route.stored = route.counters;
        }
        Ok(())
    }

    fn place_sample(
        &mut self,
        db: &Connection,
        sample: &Sample,
        now: Now,
        quality: &str,
        rows: &mut Vec<(usize, Row)>,
    ) -> Sql<Placed> {
        let decoded = match &sample.content {
            Ok(decoded) => decoded,
            Err(why) => {
                if why.panicked {
                    tracing::error!(source = %sample.source, origin = %sample.origin, reason = why.reason, "a decoder panicked");
                }
                self.keep_bad(db, sample, &sample.raw, &why.reason, now)?;
                return Ok(Placed::Bad);
            }
        };
        let Some(source) = self.source(db, &decoded.device)? else {
            let reason = format!("more than {MAX_SOURCES} devices have sent: is a wildcard too wide?");
            return self.refuse(db, sample, &reason, now);
        };
        let judged = match &decoded.position {
            Position::Counted { boot, seq, bits, ring } => {
                self.judge_counted(db, source, decoded, &sample.raw, boot.as_deref(), (*seq, *bits, *ring), now)?
            }
            Position::Message(id) => self.judge_message(db, source, decoded, id, now)?,
            Position::Own => self.judge_own(db, source, decoded)?,
            Position::Content { content, repeat } => {
                self.judge_content(db, source, decoded, sample, content, *repeat, now)?
            }
        };
        let spot = match judged {
            Judged::At(spot) => spot,
            Judged::Duplicate => {
                Self::tally(db, &decoded.device, "duplicate", now)?;
                return Ok(Placed::Duplicate);
            }
            Judged::Bad(reason) => return self.refuse(db, sample, &reason, now),
        };
        if let Some(memory) = &sample.memory {
            db.prepare_cached("INSERT OR REPLACE INTO memory(name, bytes) VALUES (?, ?)")?
                .execute(params![&*memory.name, memory.bytes])?;
        }
        self.store(db, sample, decoded, spot, now, quality, rows)
    }

    /// Writes the sample's events and their deliveries.
    #[expect(clippy::too_many_arguments, reason = "one straight step of place_sample, split for reading")]
    fn store(
        &mut self,
        db: &Connection,
        sample: &Sample,
        decoded: &Decoded,
        spot: Spot,
        now: Now,
        quality: &str,
        rows: &mut Vec<(usize, Row)>,
    ) -> Sql<Placed> {
        let Spot { mut epoch, position, mark, held, gap, late } = spot;
        let write = Write {
            at: Now { wall: sample.at.wall.max(self.last_wall), mono: sample.at.mono },
            now,
            quality,
            position,
            mark: mark.as_deref(),
            map: self.name(db, &decoded.map)?,
            source: &sample.source,
            held,
        };
        if let Some((from, to)) = gap {
            let gap = sequence_gap(&decoded.device, &epoch.text, from, to);
            let cycle = format!("{}:{from}", epoch.text);
            let id = derived_event_id(&self.site, "sequence_gap", &decoded.device, &cycle);
            let ours = Write { mark: Some(&cycle), held: false, ..write };
            self.event(db, &ours, &epoch, &decoded.device, &gap, (id, -1), None, rows)?;
            self.alarm(
                db,
                &decoded.device,
                GAP,
                &format!("numbers {from} to {to} of epoch {} are missing", epoch.text),
                now,
            )?;
        }
        if late {
            self.alarm(
                db,
                &decoded.device,
                "late",
                &format!("number {position} came far behind others of its epoch"),
                now,
            )?;
        }
        let seq_text = mark.clone().unwrap_or_else(|| position.to_string());
        let mut raw = Some(sample.raw.as_slice()); // with the first event
        for (ordinal, event) in decoded.numbered() {
            let id = device_event_id(&self.site, &decoded.device, &epoch.text, &seq_text, ordinal);
            self.event(db, &write, &epoch, &decoded.device, event, (id, i64::from(ordinal)), raw.take(), rows)?;
        }
        for Unread { raw, reason, .. } in &decoded.unread {
            self.keep_bad(db, sample, raw, reason, now)?;
        }
        if decoded.events.is_empty() && matches!(decoded.position, Position::Counted { .. }) {
            let sql = "UPDATE epoch SET left_out = max(left_out, ?) WHERE id = ?";
            db.prepare_cached(sql)?.execute([position, epoch.id])?;
        }
        epoch.last = Some(epoch.last.map_or(position, |last| last.max(position)));
        self.keep_epoch(&decoded.device, epoch);
        if held {
            self.alarm(
                db,
                &decoded.device,
                "ambiguous_repeat",
                "a repeat can't be told from a second scan: it is held for a person",
                now,
            )?;
        }
        Ok(if held { Placed::Held } else { Placed::New })
    }

    /// Writes one event and its delivery for each lane that takes it.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn event(
        &mut self,
        db: &Connection,
        write: &Write<'_>,
        epoch: &Epoch,
        device: &str,
        event: &DeviceEvent,
        (id, ordinal): (Id, i64),
        raw: Option<&[u8]>,
        rows: &mut Vec<(usize, Row)>,
    ) -> Sql<()> {
        let business = interpret(event, device);
        let seq = self.next_seq;
        let body = body_of(event);
        let kind = self.name(db, &event.kind)?;
        let sum = Checked {
            id,
            epoch: epoch.id,
            position: write.position,
            ordinal,
            kind: &event.kind,
            mark: write.mark.unwrap_or_default(),
            quality: write.quality,
            subject: &business.subject,
            occurred_at: write.at.wall,
            body: &body,
            raw: raw.unwrap_or_default(),
        }
        .sum();
        db.prepare_cached(
            "INSERT INTO event(seq, epoch, pos, ordinal, id, kind, mark, subject, occurred_at, quality, device_time, run,
                               mono, recorded_at, map, raw, body, sum)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            seq,
            epoch.id,
            write.position,
            ordinal,
            id.0,
            kind,
            write.mark,
            business.subject,
            write.at.wall.0,
            write.quality,
            event.device_time,
            self.run,
            i64::try_from(write.at.mono).unwrap_or(i64::MAX),
            write.now.wall.0,
            write.map,
            raw,
            body,
            sum,
        ])?;
        self.next_seq += 1;
        self.finder.event(db, seq, id, &business.subject)?;

        let size = i64::try_from(body.len() + raw.map_or(0, <[u8]>::len) + ROW_OVERHEAD).unwrap_or(i64::MAX);
        for lane in self.lanes_of(write.source, &business.tx_type) {
            if self.sheds(lane) {
                Self::tally(db, &self.routes[lane].config.id, "shed", write.now)?;
                continue;
            }
            let tx = self.name(db, &business.tx_type)?;
            let Route { id: lane_id, config, .. } = &self.routes[lane];
            let posting = posting_id(id, &config.system, &business.tx_type, 0);
            self.finder.key(posting);
            let (class, of) = order(&business.tx_type, &business.subject, &config.id);
            let (_, order) = order_key(&self.site, &config.business_unit, class, of);
            db.prepare_cached(
                "INSERT INTO pending(lane, seq, tx, order8, posting, size, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![lane_id, seq, tx, order, posting.0, size, if write.held { 3 } else { 0 }])?;
            let row =
                Row { key: RowKey { seq, tx }, order, size: u32::try_from(size).unwrap_or(u32::MAX), held: write.held };
            rows.push((lane, row));
            self.routes[lane].counters.rows_in += 1;
            self.routes[lane].counters.bytes_in += size;
        }
        Ok(())
    }

    /// The outbox is so full that this row for the lane is left out. Its event is kept.
    fn sheds(&mut self, lane: usize) -> bool {
        let route = &mut self.routes[lane];
        let sheds = self.fill.sheds(route.config.worth, route.offered);
        route.offered = route.offered.wrapping_add(1);
        sheds
    }

    fn lanes_of(&mut self, source: &str, tx_type: &str) -> Vec<usize> {
        let Self { routes, taken, .. } = self;
        if !taken.contains_key(tx_type) {
            let takes = |(i, route): (usize, &Route)| route.config.takes(tx_type).then_some(i);
            // As many as the maps have kinds.
            taken.insert(tx_type.to_owned(), routes.iter().enumerate().filter_map(takes).collect());
        }
        taken[tx_type].iter().copied().filter(|lane| routes[*lane].config.hears(source)).collect()
    }

    fn name(&mut self, db: &Connection, text: &str) -> Sql<i64> {
        if let Some(id) = self.names.get(text) {
            return Ok(*id);
        }
        db.execute("INSERT OR IGNORE INTO name(text) VALUES (?)", [text])?;
        let id = db.query_row("SELECT id FROM name WHERE text = ?", [text], |r| r.get(0))?;
        self.names.insert(text.to_owned(), id);
        Ok(id)
    }

    // ---- what went wrong

    fn refuse(&mut self, db: &Connection, sample: &Sample, reason: &str, now: Now) -> Sql<Placed> {
        self.keep_bad(db, sample, &sample.raw, reason, now)?;
        Ok(Placed::Refused(reason.into()))
    }

    /// Keeps bytes of a sample: all of them, or the part that could not be read; under the instance that it is of, where it
    /// says so.
    fn keep_bad(&mut self, db: &Connection, sample: &Sample, raw: &[u8], reason: &str, now: Now) -> Sql<()> {
        let bytes = &raw[..raw.len().min(BAD_INPUT_BYTES)];
        let length = i64::try_from(raw.len()).unwrap_or(i64::MAX);
        let source = sample.content.as_ref().map_or(&sample.source, |decoded| &decoded.device);
        db.prepare_cached(
            "INSERT INTO bad_input(at, source, origin, reason, length, bytes) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![now.wall.0, &**source, &*sample.origin, reason, length, bytes])?;
        db.prepare_cached("DELETE FROM bad_input WHERE id <= ?")?.execute([db.last_insert_rowid() - BAD_INPUT_ROWS])?;
        // What comes from the wire can't grow the tally without bound: an instance that has no place counts as its device.
        let counted = if self.sources.contains_key(source) { source } else { &sample.source };
        self.alarm(db, counted, "bad_input", &format!("{}: {reason}", sample.origin), now)
    }

    fn tally(db: &Connection, source: &str, what: &'static str, now: Now) -> Sql<()> {
        db.prepare_cached(
            "INSERT INTO tally(source, what, n, at) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT DO UPDATE SET n = n + 1, at = ?3",
        )?
        .execute(params![source, what, now.wall.0])?;
        Ok(())
    }

    /// Counts a trouble, and logs it unless the same was logged a moment ago.
    fn alarm(&mut self, db: &Connection, source: &str, what: &'static str, text: &str, now: Now) -> Sql<()> {
        Self::tally(db, source, what, now)?;
        let key = (source.to_owned(), what);
        if self.quiet.get(&key).is_none_or(|logged| now.mono >= logged + QUIET_MS) {
            tracing::warn!(source, trouble = what, "{text}");
            if self.quiet.len() > MAX_SOURCES {
                self.quiet.clear();
            }
            self.quiet.insert(key, now.mono);
        }
        Ok(())
    }
}

/// What the rows of one sample share.
#[derive(Clone, Copy)]
struct Write<'a> {
    at: Now,
    now: Now,
    quality: &'a str,
    position: i64,
    mark: Option<&'a str>,
    map: i64,
    /// The configured device.
    source: &'a str,
    held: bool,
}

/// What an event's checksum covers: all of its row that its posting is made of. The posting's key covers the system and the
/// transaction type.
pub(super) struct Checked<'a> {
    pub(super) id: Id,
    pub(super) epoch: i64,
    pub(super) position: i64,
    pub(super) ordinal: i64,
    pub(super) kind: &'a str,
    pub(super) mark: &'a str,
    pub(super) quality: &'a str,
    pub(super) subject: &'a str,
    pub(super) occurred_at: Millis,
    pub(super) body: &'a str,
    pub(super) raw: &'a [u8],
}

impl Checked<'_> {
    pub(super) fn sum(&self) -> i64 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.id.0);
        for number in [self.epoch, self.position, self.ordinal, self.occurred_at.0] {
            crc.update(&number.to_le_bytes());
        }
        let texts = [self.kind, self.mark, self.quality, self.subject, self.body].map(str::as_bytes);
        for bytes in texts.into_iter().chain([self.raw]) {
            crc.update(&(bytes.len() as u64).to_le_bytes());
            crc.update(bytes);
        }
        i64::from(crc.finalize())
    }
}

fn body_of(event: &DeviceEvent) -> String {
    let body: serde_json::Map<_, _> =
        event.fields.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    serde_json::Value::Object(body).to_string()
}
