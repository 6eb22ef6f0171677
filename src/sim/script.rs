//! What goes wrong, and when: a list made from the seed before the demo starts.

use std::time::Duration;

use crate::sim::erp::Mode;

/// One thing that happens to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The ERP becomes so.
    Erp(Mode),
    /// The gateway is killed, and started again a moment later.
    Kill,
    /// The ERP forgets its keys (sabotage).
    Forget,
}

/// When the ERP is away: from start to start, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outages {
    /// From the start of one to the start of the next.
    pub every: Duration,
    /// How long each one is.
    pub lasting: Duration,
}

/// The first outage begins this long after the start, or after a fifth of a shorter demo.
const FIRST: Duration = Duration::from_secs(6);

/// The script of a demo of that duration: in each outage the ERP is away in all its ways, dropping answers first; the
/// kill comes in the middle. A demo too short for an outage as long as asked for has a shorter one.
pub fn script(
    duration: Duration,
    outages: Option<Outages>,
    kill: bool,
    forget: bool,
    seed: u64,
) -> Vec<(Duration, Act)> {
    let mut acts = Vec::new();
    let Some(outages) = outages else { return acts };
    let lasting = outages.lasting.min(duration * 2 / 5);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut start = FIRST.min(duration / 5);
    while start + lasting < duration {
        let mut ways = Mode::AWAY;
        random.shuffle(&mut ways);
        let mute = ways.iter().position(|m| *m == Mode::Mute).unwrap_or(0);
        ways.swap(0, mute);
        let slice = lasting / Mode::AWAY.len() as u32;
        for (i, way) in (0..).zip(ways) {
            acts.push((start + slice * i, Act::Erp(way)));
        }
        if kill {
            acts.push((start + lasting / 2, Act::Kill));
        }
        if forget {
            // Between the commits whose answers were dropped and their resends, and once more at the end.
            acts.push((start + slice, Act::Forget));
            acts.push((start + lasting, Act::Forget));
        }
        acts.push((start + lasting, Act::Erp(Mode::Up)));
        start += outages.every;
    }
    acts.sort_by_key(|(at, act)| (*at, *act != Act::Forget));
    acts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outages and kills of a demo of so many seconds.
    fn check(seconds: u64, every: u64, lasting: u64, expected: (usize, usize)) {
        let outages = Outages { every: Duration::from_secs(every), lasting: Duration::from_secs(lasting) };
        let acts = script(Duration::from_secs(seconds), Some(outages), true, false, seconds);
        let count = |act| acts.iter().filter(|(_, a)| *a == act).count();
        assert_eq!((count(Act::Erp(Mode::Up)), count(Act::Kill)), expected, "{seconds} s");
        assert_eq!(count(Act::Erp(Mode::Mute)), expected.0);
        assert!(acts.is_sorted_by_key(|(at, _)| *at));
        assert!(acts.iter().all(|(at, _)| *at < Duration::from_secs(seconds)));
    }

    #[test]
    fn even_a_short_demo_has_an_outage_and_a_kill() {
        check(30, 20, 8, (1, 1));
        check(60, 20, 8, (3, 3));
        check(6, 20, 8, (1, 1));
        check(2, 20, 8, (1, 1));
    }

    #[test]
    fn the_last_act_heals_the_erp() {
        let outages = Some(Outages { every: Duration::from_secs(9), lasting: Duration::from_secs(3) });
        for seed in 0..20 {
            let acts = script(Duration::from_secs(30), outages, true, true, seed);
            assert_eq!(acts.last().map(|(_, act)| *act), Some(Act::Erp(Mode::Up)));
        }
    }
}
