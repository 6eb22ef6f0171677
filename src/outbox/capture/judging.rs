//! Which sample is new: what is stored, handed to the inbox's rules.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Capture, Epoch, Judged, Spot, Sql};
use crate::event::{Decoded, Now, Sample, sha256_hex, short_hash};
use crate::inbox::{Counter, Evidence, Placement, Repeat, Seen, Stored, UnderPacket, extend, judge, place};
use crate::outbox::holes;

/// Among so many of a source's last events a repeated content is looked for, where no better evidence is left.
const RECENT: i64 = 32;

impl Capture {
    #[expect(clippy::too_many_arguments, reason = "one arm of place_sample, split for reading")]
    pub(super) fn judge_counted(
        &mut self,
        db: &Connection,
        source: i64,
        decoded: &Decoded,
        raw: &[u8],
        boot: Option<&str>,
        (seq, bits, ring): (u64, u8, u32),
        now: Now,
    ) -> Sql<Judged> {
        let present = self.present(db, source, &decoded.device, if boot.is_some() { 'd' } else { 'g' })?;
        let (epoch, own_boot) = match (boot, present.clone()) {
            (Some(boot), _) => (self.epoch(db, source, &decoded.device, &format!("d:{boot}"))?, true),
            (None, Some(present)) => (present, false),
            (None, None) => (self.gateway_epoch(db, source, 'g')?, false),
        };
        let Some(position) = extend(epoch.last, seq, bits) else {
            return Ok(Judged::Bad(format!("the sequence number {seq} does not fit {bits} bits")));
        };
        let stored = match epoch.last {
            Some(last) if position <= last => stored_at(db, epoch.id, position, raw)?,
            _ => Stored::No,
        };
        let purged = stored == Stored::No && position <= epoch.floor;
        let missing = purged && holes::is_missing(db, epoch.id, position)?;
        let counter = Counter { last: epoch.last, floor: if missing { -1 } else { epoch.floor } };
        let first = epoch.last.is_none();
        let spot =
            |epoch, position, gap, late| Judged::At(Spot { epoch, position, mark: None, held: false, gap, late });
        Ok(match place(counter, position, stored, own_boot, ring) {
            Placement::Duplicate => Judged::Duplicate,
            Placement::Clash => {
                self.alarm(
                    db,
                    &decoded.device,
                    "clash",
                    &format!("number {position} came again with other content"),
                    now,
                )?;
                Judged::Bad(format!("number {position} of epoch {} is stored with other content", epoch.text))
            }
            Placement::New { gap } => {
                let gap = if first { first_gap(present.as_ref(), &epoch, position) } else { gap };
                spot(epoch, position, gap, false)
            }
            Placement::Late { far } => {
                if missing {
                    holes::fill(db, epoch.id, position)?;
                }
                spot(epoch, position, None, far)
            }
            Placement::Restarted => {
                self.alarm(db, &decoded.device, "restart", "the device counts afresh: a new epoch begins", now)?;
                let fresh = self.gateway_epoch(db, source, 'g')?;
                let position = extend(None, seq, bits).unwrap_or(0);
                let gap = first_gap(present.as_ref(), &fresh, position);
                spot(fresh, position, gap, false)
            }
        })
    }

    /// The gateway's own number: the next one.
    pub(super) fn judge_own(&mut self, db: &Connection, source: i64, decoded: &Decoded) -> Sql<Judged> {
        let epoch = match self.present(db, source, &decoded.device, 'o')? {
            Some(present) => present,
            None => self.gateway_epoch(db, source, 'o')?,
        };
        let position = epoch.last.map_or(1, |last| last + 1);
        Ok(Judged::At(Spot { epoch, position, mark: None, held: false, gap: None, late: false }))
    }

    pub(super) fn judge_message(
        &mut self,
        db: &Connection,
        source: i64,
        decoded: &Decoded,
        id: &str,
        now: Now,
    ) -> Sql<Judged> {
        let hash = short_hash(id.as_bytes());
        let known = db
            .prepare_cached("UPDATE seen SET at = ? WHERE source = ? AND hash = ?")?
            .execute(params![now.wall.0, source, hash])?;
        if known > 0 {
            return Ok(Judged::Duplicate);
        }
        Self::see(
            db,
            source,
            &hash,
            &Seen { n: 1, first_mono: 0, last_mono: 0, run: self.run, device_ms: None, first_device_ms: None },
            now,
        )?;
        let epoch = self.epoch(db, source, &decoded.device, "m:")?;
        let position = epoch.last.map_or(1, |last| last + 1);
        Ok(Judged::At(Spot { epoch, position, mark: Some(id.to_owned()), held: false, gap: None, late: false }))
    }

    #[expect(clippy::too_many_arguments, reason = "one arm of place_sample, split for reading")]
    pub(super) fn judge_content(
        &mut self,
        db: &Connection,
        source: i64,
        decoded: &Decoded,
        sample: &Sample,
        content: &[u8],
        rule: crate::event::Repeat,
        now: Now,
    ) -> Sql<Judged> {
        let hash = short_hash(content);
        let present = self.present(db, source, &decoded.device, 'c')?;
        let seen = Self::seen(db, source, &hash)?;
        let redelivery = sample.redelivery.as_ref();
        let under_packet = match redelivery {
            Some(d) if d.session_present && d.dup => {
                let kept: Option<([u8; 16], bool)> = db
                    .prepare_cached("SELECT hash, proven FROM unacked WHERE link = ? AND packet = ?")?
                    .query_row(params![&*d.link, d.packet], |r| Ok((r.get(0)?, r.get(1)?)))
                    .optional()?;
                let state = |proven| if proven { UnderPacket::Proven } else { UnderPacket::Open };
                kept.filter(|(kept, _)| *kept == hash).map(|(_, proven)| state(proven))
            }
            _ => None,
        };
        let device_ms = decoded.events.first().and_then(|e| e.device_time.as_deref()).and_then(parse_ms);
        let evidence = Evidence {
            redelivery,
            under_packet,
            recent: match (&present, &seen) {
                (Some(epoch), Some(_)) if redelivery.is_some_and(|d| d.dup) => {
                    recent(db, epoch.id, &sha256_hex(content))?
                }
                _ => false,
            },
            device_ms,
            at: sample.at,
            run: self.run,
        };
        let judged = judge(seen.as_ref(), &rule, &evidence);
        if let Some(d) = redelivery.filter(|d| d.packet != 0) {
            db.prepare_cached("INSERT OR REPLACE INTO unacked(link, packet, hash) VALUES (?, ?, ?)")?
                .execute(params![&*d.link, d.packet, hash])?;
        }
        let mono = i64::try_from(sample.at.mono).unwrap_or(i64::MAX);
        if judged == Repeat::Same {
            if let Some(mut seen) = seen.filter(|_| under_packet != Some(UnderPacket::Open)) {
                (seen.last_mono, seen.device_ms) = (mono, device_ms.or(seen.device_ms));
                Self::see(db, source, &hash, &seen, now)?;
            }
            return Ok(Judged::Duplicate);
        }
        let n = seen.map_or(1, |s| s.n + 1);
        Self::see(
            db,
            source,
            &hash,
            &Seen { n, first_mono: mono, last_mono: mono, run: self.run, device_ms, first_device_ms: device_ms },
            now,
        )?;
        let epoch = match present {
            Some(present) => present,
            None => self.gateway_epoch(db, source, 'c')?,
        };
        let position = epoch.last.map_or(1, |last| last + 1);
        let mark = Some(format!("{}#{n}", sha256_hex(content)));
        Ok(Judged::At(Spot { epoch, position, mark, held: judged == Repeat::Ambiguous, gap: None, late: false }))
    }

    pub(super) fn seen(db: &Connection, source: i64, hash: &[u8; 16]) -> Sql<Option<Seen>> {
        db.prepare_cached(
            "SELECT n, first_mono, last_mono, run, device_ms, first_device_ms FROM seen WHERE source = ? AND hash = ?",
        )?
        .query_row(params![source, hash], |r| {
            Ok(Seen {
                n: r.get(0)?,
                first_mono: r.get(1)?,
                last_mono: r.get(2)?,
                run: r.get(3)?,
                device_ms: r.get(4)?,
                first_device_ms: r.get(5)?,
            })
        })
        .optional()
    }

    pub(super) fn see(db: &Connection, source: i64, hash: &[u8; 16], seen: &Seen, now: Now) -> Sql<()> {
        db.prepare_cached(
            "INSERT OR REPLACE INTO seen(source, hash, n, first_mono, last_mono, run, device_ms, first_device_ms, at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            source,
            hash,
            seen.n,
            seen.first_mono,
            seen.last_mono,
            seen.run,
            seen.device_ms,
            seen.first_device_ms,
            now.wall.0
        ])?;
        Ok(())
    }
}

/// A device that began to count afresh may have lost the first numbers: a counter that goes on over its boots has not.
fn first_gap(before: Option<&Epoch>, epoch: &Epoch, position: i64) -> Option<(i64, i64)> {
    let last = before.filter(|b| b.id != epoch.id)?.last?;
    (position > 1 && position != last + 1).then_some((1, position - 1))
}

fn stored_at(db: &Connection, epoch: i64, position: i64, raw: &[u8]) -> Sql<Stored> {
    let found: Option<Option<Vec<u8>>> = db
        .prepare_cached("SELECT raw FROM event WHERE epoch = ? AND pos = ? AND raw IS NOT NULL")?
        .query_row(params![epoch, position], |r| r.get(0))
        .optional()?;
    Ok(match found {
        None => Stored::No,
        Some(stored) if stored.as_deref() == Some(raw) => Stored::Same,
        Some(_) => Stored::Different,
    })
}

/// Whether the epoch's last events hold this content.
fn recent(db: &Connection, epoch: i64, content_hash: &str) -> Sql<bool> {
    let sql =
        "SELECT 1 FROM (SELECT mark FROM event WHERE epoch = ? ORDER BY pos DESC LIMIT ?) WHERE mark LIKE ? || '#%'";
    Ok(db.prepare_cached(sql)?.query_row(params![epoch, RECENT, content_hash], |_| Ok(())).optional()?.is_some())
}

fn parse_ms(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
