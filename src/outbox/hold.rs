//! Lanes, systems and subjects that a person has stopped: they send nothing new until they are released.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::event::{Millis, order_key};
use crate::lane::{Lane, Row, RowKey};
use crate::milestone::orders;
use crate::outbox::audit::{self, Deed};
use crate::outbox::capture::Route;
use crate::outbox::operate::{Acted, Freed, first_parked, line_up, unfit};
use crate::outbox::read::words;

type Sql<T> = Result<T, rusqlite::Error>;

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A lane: what is captured for it waits.
    Lane,
    /// A target: all of its lanes.
    System,
    /// A shipment, an order: its postings in all lanes that keep order.
    Subject,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lane, Self::System, Self::Subject];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lane => "lane",
            Self::System => "system",
            Self::Subject => "subject",
        }
    }
}

/// A person's command to hold something, or to release it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Names the command: the same one again changes nothing.
    pub id: String,
    /// What is held …
    pub scope: Scope,
    /// … and its name.
    pub name: String,
    /// Hold it; else release it.
    pub on: bool,
    /// Why, in the person's words.
    pub reason: String,
}

impl Hold {
    /// Why it is refused, whatever it is about.
    pub fn fault(&self) -> Option<String> {
        unfit(&self.id, &self.reason, None)
    }
}

/// What a lane has to hear.
pub(super) enum Change {
    /// The lane sends nothing, or goes on.
    Lane(bool),
    /// What its target has asked for is over: it goes on.
    CalledBack,
    /// Nothing that is ordered by this is sent.
    Kept(i64),
    /// It goes again.
    Let(Freed),
}

/// Stores it with its audit row, within the caller's transaction.
pub(super) fn set(
    db: &Connection,
    site: &str,
    routes: &[Route],
    hold: &Hold,
    actor: &str,
    now: Millis,
) -> Sql<(Acted, Vec<(usize, Change)>)> {
    let key = format!("{} {}", hold.scope.name(), hold.name);
    let told = |done, text: String| Acted { key: key.clone(), done, text };
    let act = if hold.on { "hold" } else { "release" };
    let before = audit::command(db, &hold.id)?;
    if let Some(said) = audit::repeated(db, before.as_ref(), (&hold.id, actor, act), &key)? {
        return Ok((told(said.is_ok(), said.unwrap_or_else(|why| why)), Vec::new()));
    }
    let meant = |route: &Route| match hold.scope {
        Scope::Lane => route.config.id == hold.name,
        Scope::System => route.config.system == hold.name,
        Scope::Subject => route.config.parks(),
    };
    let lanes: Vec<usize> = (0..routes.len()).filter(|lane| meant(&routes[*lane])).collect();
    if lanes.is_empty() {
        let of = |route: &Route| match hold.scope {
            Scope::System => route.config.system.clone(),
            Scope::Lane | Scope::Subject => route.config.id.clone(),
        };
        let mut known: Vec<String> = routes.iter().map(of).collect();
        known.dedup();
        let text = match hold.scope {
            Scope::Subject => "no lane keeps subjects in order: their rows are for show only".to_owned(),
            _ => format!("the configuration has no {} {}, but: {}", hold.scope.name(), hold.name, known.join(", ")),
        };
        return Ok((told(false, text), Vec::new()));
    }
    let scope = hold.scope.name();
    let changed = if hold.on {
        db.execute(
            "INSERT OR IGNORE INTO hold(scope, name, at, actor, reason) VALUES (?, ?, ?, ?, ?)",
            params![scope, hold.name, now.0, actor, hold.reason],
        )?
    } else {
        db.execute("DELETE FROM hold WHERE scope = ? AND name = ?", [scope, &hold.name])?
    };
    let away = |lane: &usize| hold.scope != Scope::Subject && routes[*lane].counters.away_until > now.0;
    let called_back = !hold.on && changed == 0 && lanes.iter().any(away);
    if changed == 0 && !called_back {
        let text = if hold.on { "it is held already" } else { "it is not held" };
        return Ok((told(false, text.to_owned()), Vec::new()));
    }
    let mut changes = Vec::new();
    for lane in lanes {
        let route = &routes[lane];
        if called_back {
            changes.push((lane, Change::CalledBack));
            continue;
        }
        if hold.scope != Scope::Subject {
            changes.push((lane, Change::Lane(is_held(db, &route.config.id, &route.config.system)?)));
            continue;
        }
        let mut orders = ordered(site, lane_of(route), &hold.name);
        if hold.on {
            changes.extend(orders.into_iter().map(|order| (lane, Change::Kept(order))));
        } else {
            let kept = kept(db, site, route)?; // by another name
            orders.retain(|order| !kept.contains(order));
            changes.extend(let_go(db, route, &orders)?.into_iter().map(|freed| (lane, Change::Let(freed))));
        }
    }
    let outcome = match (hold.on, hold.scope) {
        (true, Scope::Lane | Scope::System) => "held: nothing is sent; what is captured waits",
        (true, Scope::Subject) => {
            "held: what waits of it is not sent, nor what comes of it; what is under way is answered as ever"
        }
        (false, _) if called_back => "it is not held; the time for which the target has asked to be left alone is over",
        (false, _) => "released",
    };
    let deed = Deed {
        request: &hold.id,
        actor,
        act,
        lane: if hold.scope == Scope::Lane { &hold.name } else { "" },
        seq: 0,
        tx_type: "",
        subject: if hold.scope == Scope::Subject { &hold.name } else { "" },
        posting: &key,
        reason: &hold.reason,
        outcome,
    };
    audit::append(db, &deed, now)?;
    Ok((told(true, outcome.to_owned()), changes))
}

/// Whatever postings of the subject are ordered by in that lane of a business unit.
pub(super) fn ordered(site: &str, (lane, unit): (&str, &str), subject: &str) -> Vec<i64> {
    let key = |(class, of)| order_key(site, unit, class, of).1;
    orders(subject, lane).into_iter().map(key).collect()
}

fn lane_of(route: &Route) -> (&str, &str) {
    (&route.config.id, &route.config.business_unit)
}

/// Of each of these, the first row that goes again, and the first one that still needs a person.
fn let_go(db: &Connection, route: &Route, orders: &[i64]) -> Sql<Vec<Freed>> {
    let first = firsts(db, route.id, orders)?;
    let nothing = |order| Row { key: RowKey { seq: i64::MAX, tx: 0 }, order, size: 0, held: false };
    line_up(db, route.id, orders)?;
    let freed = |order: &i64| {
        let row = first.iter().find(|row| row.order == *order).copied().unwrap_or(nothing(*order));
        Ok(Freed { row, next: first_parked(db, route.id, *order)?, ended: None })
    };
    orders.iter().map(freed).collect()
}

/// The first row of each: walks the lane's backlog, once.
fn firsts(db: &Connection, lane: i64, orders: &[i64]) -> Sql<Vec<Row>> {
    let numbers = orders.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let sql =
        format!("SELECT seq, tx, order8, size FROM pending WHERE lane = ? AND order8 IN ({numbers}) ORDER BY seq, tx");
    let mut statement = db.prepare(&sql)?;
    let (mut rows, mut first) = (statement.query([lane])?, Vec::<Row>::new());
    while let Some(r) = rows.next()? {
        let key = RowKey { seq: r.get(0)?, tx: r.get(1)? };
        let row = Row { key, order: r.get(2)?, size: r.get(3)?, held: false };
        if first.iter().all(|known| known.order != row.order) {
            first.push(row);
        }
    }
    Ok(first)
}

/// Whether a person has stopped the lane or its system.
fn is_held(db: &Connection, lane: &str, system: &str) -> Sql<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM hold WHERE scope = 'lane' AND name = ? OR scope = 'system' AND name = ?)";
    db.query_row(sql, [lane, system], |r| r.get(0))
}

/// Whether a person has stopped what is ordered by this, under whatever name.
pub(super) fn keeps(db: &Connection, site: &str, route: &Route, order: i64) -> Sql<bool> {
    Ok(kept(db, site, route)?.contains(&order))
}

/// What the postings of all subjects that a person has stopped are ordered by in that lane.
fn kept(db: &Connection, site: &str, route: &Route) -> Sql<Vec<i64>> {
    let mut statement = db.prepare_cached("SELECT name FROM hold WHERE scope = 'subject'")?;
    let subjects: Vec<String> = statement.query_map([], |r| words(r, 0))?.collect::<Result<_, _>>()?;
    Ok(subjects.iter().flat_map(|subject| ordered(site, lane_of(route), subject)).collect())
}

/// What was held when the gateway stopped still is.
pub(super) fn restore(db: &Connection, site: &str, route: &Route, lane: &mut Lane) -> Sql<()> {
    lane.restore_holds(is_held(db, &route.config.id, &route.config.system)?, &kept(db, site, route)?);
    Ok(())
}
