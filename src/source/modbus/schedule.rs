//! What a bus does next. Pure: time is handed in.
//!
//! Each job has a period and stays on its grid: a poll that comes late moves none of the later ones, and periods that
//! pass unused are counted. Of the jobs that are due the one of the highest priority (the lowest number) comes first,
//! then the one that waits longest. A job gains one step of priority with each period that it waits, so that none waits
//! for ever.

use std::time::Duration;

use tokio::time::Instant;

/// One thing that is done again and again.
#[derive(Debug, Clone)]
struct Job {
    every: Duration,
    priority: u8,
    /// On the grid.
    due: Instant,
    /// Since when it waits to be done: `due`, unless it has more to do or is held.
    ready: Instant,
}

/// All jobs of a bus.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    jobs: Vec<Job>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This job, now.
    Run(usize),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing, ever.
    Nothing,
}

fn periods(time: Duration, every: Duration) -> u32 {
    u32::try_from(time.as_nanos() / every.as_nanos().max(1)).unwrap_or(u32::MAX)
}

impl Schedule {
    /// A job that is due at `due`; its number counts up from 0.
    pub(super) fn add(&mut self, every: Duration, priority: u8, due: Instant) {
        self.jobs.push(Job { every, priority, due, ready: due });
    }

    /// Period and priority of a job.
    pub(super) fn period(&self, number: usize) -> (Duration, u8) {
        (self.jobs[number].every, self.jobs[number].priority)
    }

    /// What to do at `now`.
    pub(super) fn next(&self, now: Instant) -> Next {
        let ready = self.jobs.iter().enumerate().filter(|(_, job)| job.ready <= now);
        let first = ready.min_by_key(|(_, job)| {
            let waited = periods(now.saturating_duration_since(job.ready), job.every);
            (i64::from(job.priority) - i64::from(waited), job.ready)
        });
        match first {
            Some((number, _)) => Next::Run(number),
            None => self.jobs.iter().map(|job| job.ready).min().map_or(Next::Nothing, Next::Wait),
        }
    }

    /// The job was done (or left) at `now`: it is due again on its grid. How many periods passed unused.
    pub(super) fn done(&mut self, number: usize, now: Instant) -> u64 {
        let job = &mut self.jobs[number];
        let mut missed = 0;
        // What was held may be done before it is due again: then its grid has waited for it.
        if let Some(late) = now.checked_duration_since(job.due) {
            missed = periods(late, job.every);
            job.due += job.every.saturating_mul(missed.saturating_add(1));
        }
        job.ready = job.due;
        u64::from(missed)
    }

    /// The job has more to do: at once, behind what waits already.
    pub(super) fn again(&mut self, number: usize, now: Instant) {
        self.jobs[number].ready = now;
    }

    /// The job is not done before `until`; what passes meanwhile is not counted as missed.
    pub(super) fn hold(&mut self, number: usize, until: Instant) {
        self.done(number, until);
        self.jobs[number].ready = until;
    }
}

/// The longest that a poll can take: each of its requests takes its whole time, and none is tried again.
pub fn worst_case(requests: u32, request_timeout: Duration, pause: Duration) -> Duration {
    (request_timeout + pause).saturating_mul(requests)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Plays `ms` milliseconds in which each poll takes `takes`: the jobs in their order, and the periods missed.
    fn play(jobs: &[(u32, u8)], takes: Duration, ms: u32) -> (Vec<usize>, Vec<u64>) {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        for (every, priority) in jobs {
            schedule.add(MS * *every, *priority, start);
        }
        let (mut now, mut order, mut missed) = (start, Vec::new(), vec![0; jobs.len()]);
        while now < start + MS * ms {
            match schedule.next(now) {
                Next::Run(job) => {
                    order.push(job);
                    now += takes;
                    missed[job] += schedule.done(job, now);
                }
                Next::Wait(until) => now = until,
                Next::Nothing => break,
            }
        }
        (order, missed)
    }

    #[test]
    fn the_higher_priority_comes_first_and_the_lower_does_not_starve() {
        let (order, missed) = play(&[(100, 5), (10, 0)], MS, 99);
        assert_eq!((&order[..3], missed), (&[1, 0, 1][..], vec![0, 0]));
        let (order, _) = play(&[(10, 5), (10, 0)], MS * 10, 1_000); // twice as much as fits
        let low = order.iter().filter(|job| **job == 0).count();
        assert!((20..=50).contains(&low), "{low} of {}", order.len());
    }

    #[test]
    fn polls_stay_on_their_grid_and_periods_passed_are_counted() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.add(MS * 10, 0, start);
        assert_eq!(schedule.done(0, start + MS * 3), 0);
        assert_eq!(schedule.next(start + MS * 3), Next::Wait(start + MS * 10));
        assert_eq!(schedule.done(0, start + MS * 47), 3);
        assert_eq!(schedule.next(start + MS * 47), Next::Wait(start + MS * 50));
    }

    #[test]
    fn a_job_on_hold_waits_and_the_others_go_on() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(start), Next::Nothing);
        schedule.add(MS * 10, 0, start);
        schedule.add(MS * 10, 1, start);
        schedule.hold(0, start + MS * 500);
        assert_eq!(schedule.next(start), Next::Run(1));
        schedule.done(1, start);
        schedule.hold(1, start + MS * 905);
        assert_eq!(schedule.next(start), Next::Wait(start + MS * 500));
        assert_eq!(schedule.next(start + MS * 905), Next::Run(0));
        assert_eq!(schedule.done(0, start + MS * 502), 0);
        assert_eq!(schedule.next(start + MS * 905), Next::Run(0));
    }

    /// A unit is left alone again and again, for less than a period each time: no poll of it is lost.
    #[test]
    fn a_job_on_hold_for_less_than_its_period_stays_on_its_grid() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.add(MS * 600, 0, start);
        assert_eq!(schedule.done(0, start), 0);
        for until in [30, 90, 210, 450] {
            schedule.hold(0, start + MS * until);
            assert_eq!(schedule.next(start), Next::Wait(start + MS * until), "and is asked once behind each");
        }
        assert_eq!(schedule.done(0, start + MS * 451), 0);
        assert_eq!(schedule.next(start + MS * 451), Next::Wait(start + MS * 600));
        assert_eq!(schedule.done(0, start + MS * 601), 0);
        assert_eq!(schedule.next(start + MS * 601), Next::Wait(start + MS * 1_200));
    }

    #[test]
    fn the_worst_case_is_each_request_at_its_limit() {
        assert_eq!(worst_case(3, MS * 500, MS * 20), MS * 1_560);
    }

    proptest! {
        #[test]
        fn what_fits_misses_nothing_and_does_not_drift(every in 20u32..60, jobs in 1usize..10, takes in 1u32..3) {
            let (order, missed) = play(&vec![(every, 0); jobs], MS * takes, every * 50);
            prop_assert_eq!(missed, vec![0; jobs]);
            prop_assert_eq!(order.len(), jobs * 50);
        }
    }
}
