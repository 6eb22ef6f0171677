//! What the devices behind a Modbus link ask of it, and whether it fits into the time there is. Made by the planner that
//! the source polls by: polls of one unit with one period share requests. Pure.

use std::time::Duration;

use super::explain::{Request, Takes, Wire, busy};
use super::points::{Limits, Read, join};
use super::{Addresses, Map};

/// A device behind the link: id, unit, map.
pub type Behind<'a> = (&'a str, u8, &'a Map);

/// What is polled in one go.
#[derive(Debug, Clone, PartialEq)]
pub struct Polled {
    /// For people: `io of lane-01 and 38 others`.
    pub what: String,
    /// How many requests it takes while no event waits.
    pub requests: usize,
    /// How long they take, all answered or none.
    pub takes: Takes,
}

/// All that is polled over one link.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Each poll, with its connection where each cycle makes one.
    pub polled: Vec<Polled>,
    connect: Duration,
}

/// Polls that share requests.
struct Group<'a> {
    unit: u8,
    every: Duration,
    priority: u8,
    name: &'a str,
    members: Vec<&'a str>,
    limits: Limits,
    reads: Vec<Read>,
}

impl Budget {
    /// Of these devices, reached so.
    pub fn of(devices: &[Behind<'_>], wire: &Wire) -> Self {
        let mut polled = Vec::new();
        for (device, _, map) in devices {
            for fifo in &map.fifos {
                let requests = wire.queue(map.addresses.unwrap_or(Addresses::Zero), fifo).idle;
                polled.push(Polled::of(format!("{} of {device}", fifo.name), wire, &requests, fifo.every));
            }
        }
        for group in groups(devices) {
            let joined = join(&group.reads, &group.limits);
            let requests: Vec<Request> =
                joined.into_iter().map(|joint| wire.read(Addresses::Zero, joint.read, Vec::new())).collect();
            polled.push(Polled::of(group.words(), wire, &requests, group.every));
        }
        Self { polled, connect: wire.connect }
    }

    /// Part of the link's time that it takes while everything is answered and no event waits: above 1 periods are missed.
    pub fn busy(&self) -> f64 {
        busy(self.polled.iter().map(|polled| polled.takes), self.connect)
    }

    /// What takes most of the time; the first of several.
    pub fn largest(&self) -> Option<&Polled> {
        self.polled.iter().min_by(|a, b| b.share().total_cmp(&a.share()))
    }

    /// A poll that misses a period whenever another one is under way, and that one.
    pub fn held_up(&self) -> Option<(&Polled, &Polled)> {
        self.polled.iter().enumerate().find_map(|(i, poll)| {
            let others = self.polled.iter().enumerate().filter(|(other, _)| *other != i).map(|(_, other)| other);
            let longest = others.max_by(|a, b| a.takes.answered_ms.total_cmp(&b.takes.answered_ms))?;
            // Who waits for the other has its connection.
            let both = longest.takes.answered_ms + poll.takes.answered_ms - self.connect.as_secs_f64() * 1_000.0;
            let late = both > poll.takes.every_ms;
            late.then_some((poll, longest))
        })
    }
}

impl Polled {
    fn of(what: String, wire: &Wire, requests: &[Request], every: Duration) -> Self {
        Self { what, requests: requests.len(), takes: wire.takes(requests, every) }
    }

    fn share(&self) -> f64 {
        self.takes.answered_ms / self.takes.every_ms.max(f64::MIN_POSITIVE)
    }
}

impl Group<'_> {
    fn words(&self) -> String {
        match self.members.as_slice() {
            [first, _] => format!("{} of {first} and another", self.name),
            [first, _, rest @ ..] => format!("{} of {first} and {} others", self.name, rest.len() + 1),
            members => format!("{} of {}", self.name, members.concat()),
        }
    }
}

fn groups<'a>(devices: &[Behind<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (device, unit, map) in devices {
        let Some(points) = &map.points else { continue };
        for poll in points.polls() {
            let same = |group: &&mut Group<'_>| {
                (group.unit, group.every, group.priority) == (*unit, poll.every, poll.priority)
            };
            if let Some(group) = groups.iter_mut().find(same) {
                group.members.push(device);
                group.limits = group.limits.least(points.limits());
                group.reads.extend(&poll.reads);
                continue;
            }
            groups.push(Group {
                unit: *unit,
                every: poll.every,
                priority: poll.priority,
                name: &poll.name,
                members: vec![device],
                limits: points.limits(),
                reads: poll.reads.clone(),
            });
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Document;
    use crate::tagmap::Binding;

    /// A map with a fast poll of bits and a slow one of registers, `slow` requests of them.
    fn map(device: &str, slow: u16) -> Map {
        let tag = |name: &str, poll: &str, area: &str, at: u16, kind: &str| {
            format!("[[tag]]\nname = \"{name}\"\npoll = \"{poll}\"\narea = \"{area}\"\nat = {at}\ntype = \"{kind}\"\n")
        };
        let slow: String = (0..slow).map(|i| tag(&format!("r{i}"), "slow", "holding", i * 200, "u16")).collect();
        let text = format!(
            "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"zero\"\n\
             [poll.fast]\nevery = \"20ms\"\n[poll.slow]\nevery = \"10s\"\npriority = 5\n{}{slow}",
            tag("eye", "fast", "discrete", 1, "bool")
        );
        let binding = Binding::of(device);
        Map::read(&Document { name: "map.toml".to_owned(), text }, &binding).expect("a map without fault")
    }

    fn wire(baud: Option<u32>) -> Wire {
        let ms = Duration::from_millis;
        Wire { baud, timeout: ms(500), answer: ms(5), pause: ms(0), connect: ms(0) }
    }

    #[test]
    fn polls_of_one_unit_share_requests_and_those_of_others_do_not() {
        let map = map("a", 0);
        let together = Budget::of(&[("a", 1, &map), ("b", 1, &map)], &wire(None));
        assert_eq!((together.polled.len(), together.polled[0].requests, together.busy()), (1, 1, 0.25));
        assert_eq!(together.polled[0].what, "fast of a and another");
        let apart = Budget::of(&[("a", 1, &map), ("b", 2, &map)], &wire(None));
        assert_eq!((apart.polled.len(), apart.busy()), (2, 0.5));
        assert!((apart.polled[0].takes.worst_ms - 500.0).abs() < 0.01);
    }

    #[test]
    fn a_long_poll_holds_up_a_short_one() {
        let (short, long) = (map("a", 3), map("a", 4));
        assert_eq!(Budget::of(&[("a", 1, &short)], &wire(None)).held_up(), None, "15 ms beside 5 in 20");
        let budget = Budget::of(&[("a", 1, &long)], &wire(None));
        let held = budget.held_up().map(|(poll, by)| (poll.what.as_str(), by.what.as_str()));
        assert_eq!(held, Some(("fast of a", "slow of a")));
        assert!(budget.busy() < 0.3);
    }

    #[test]
    fn a_connection_for_each_cycle_takes_its_time() {
        let (fast, slow) = (map("a", 0), map("a", 2));
        let wire = Wire { connect: Duration::from_millis(6), ..wire(None) };
        let same = Budget::of(&[("a", 1, &fast), ("b", 2, &fast)], &wire);
        assert!((same.busy() - 16.0 / 20.0).abs() < 1e-9, "two requests of one period, one connection: {same:?}");
        assert_eq!(same.held_up(), None, "16 ms in 20: the second one has the first one's connection");
        let other = Budget::of(&[("a", 1, &slow)], &wire);
        assert!((other.busy() - (11.0 / 20.0 + 16.0 / 10_000.0)).abs() < 1e-9, "a connection each: {other:?}");
        assert!(other.held_up().is_some(), "11 ms beside 10 in 20");
        assert!((other.polled[0].takes.answered_ms - 11.0).abs() < 1e-9, "{other:?}");
    }

    #[test]
    fn a_serial_line_carries_its_bytes_at_its_speed() {
        let map = map("a", 0);
        let budget = Budget::of(&[("a", 1, &map)], &wire(Some(9_600)));
        assert!(budget.busy() > 1.0, "8 bytes and 6 at 9600 baud: {budget:?}");
        assert!(Budget::of(&[("a", 1, &map)], &wire(Some(115_200))).busy() < 1.0);
    }
}
