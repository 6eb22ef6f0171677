//! Days on which the ERP knows a request again and not its rows, and gives it its effect wholly or not at all.
//!
//! In days of parts it takes each request over as a job, which comes to its rows one by one, and is known by the same key.
//!
//! What it has answered it answers again, for as long as it remembers the key, and refuses other bytes under it. Past that one kind
//! of ERP calls the request outdated by the time of its first sending, and another has simply forgotten it.

use super::*;

/// What the ERP has answered under a key.
struct Known {
    at: u64,
    print: u64,
    answer: Answer,
}

/// What makes the key of a request: its rows, and when it left first.
type Key = (Vec<RowKey>, Millis);

/// The memory of requests.
#[derive(Default)]
pub(super) struct Requests {
    known: HashMap<Key, Known>,
    /// It forgets a key so long after it; 0: it never knew it.
    horizon: u64,
    /// It refuses what left first longer ago than that.
    strict: bool,
}

impl Requests {
    /// A strict one may forget sooner than the gateway was told.
    pub(super) fn new(rng: &mut fastrand::Rng, broken: Broken, keyless: bool) -> Self {
        let strict = match broken {
            Broken::OutdatedIsResent | Broken::OutdatedForgotten => true,
            Broken::Nothing => rng.bool(),
            _ => false,
        };
        let horizon = match () {
            () if keyless => 0,
            () if strict && rng.bool() => HORIZON / 4,
            () => HORIZON,
        };
        Self { horizon, strict, ..Self::default() }
    }
}

impl Requests {
    /// Rows that were refused, or came with them, in an answer that is remembered.
    pub(super) fn refused(&self) -> impl Iterator<Item = RowKey> {
        let refused = |known: &&Known| known.answer.outcomes.iter().any(|outcome| outcome.class == Class::Validation);
        let answers = self.known.iter().filter(move |(_, known)| refused(known));
        answers.flat_map(|((rows, _), _)| rows.iter().copied())
    }
}

fn key(request: &Request) -> Key {
    (request.rows.clone(), request.first_sent)
}

fn said(status: u16, whole: bool, outcomes: Vec<Outcome>) -> Answer {
    Answer { status: Some(status), excerpt: String::new(), outcomes, whole, retry_after_ms: None, later: None }
}

/// One word for all rows.
fn of_all(class: Class, status: u16, request: &Request) -> Answer {
    said(status, true, vec![Outcome::new(class, ""); request.rows.len()])
}

impl World {
    /// The ERP comes to a request that reached it at `begun`: all of it or nothing, once.
    pub(super) fn do_whole(&mut self, request: &Request, begun: u64, moody: bool) -> Answer {
        let print = if self.broken == Broken::RenderedAnew { u64::from(request.attempt) } else { 0 };
        let (horizon, strict) = (self.erp.requests.horizon, self.erp.requests.strict);
        let outdated = || {
            let later = Some(Later { by: By::LookupOnly, after_ms: None });
            Answer { later, ..of_all(Class::Unknown, 412, request) }
        };
        if let Some(known) = self.erp.requests.known.get(&key(request)) {
            match () {
                () if begun.saturating_sub(known.at) >= horizon && strict => return outdated(),
                () if begun.saturating_sub(known.at) >= horizon => {}
                () if known.print != print => {
                    self.wrong.get_or_insert("a known key came with other bytes".to_owned());
                    return of_all(Class::Validation, 422, request);
                }
                () => return known.answer.clone(),
            }
        }
        let first_sent = request.first_sent.0.unsigned_abs();
        if strict && horizon > 0 && begun.saturating_sub(first_sent) >= horizon {
            return outdated();
        }
        if moody && self.rng.u8(0..100) < 3 {
            return of_all(Class::Unknown, 500, request);
        }
        let answer = self.judged(request, moody);
        if self.parts || answer.outcomes.iter().all(|outcome| outcome.class == Class::Delivered) {
            let made = |(row, outcome): (&RowKey, &Outcome)| (outcome.class == Class::Delivered).then_some(*row);
            for row in &request.rows.iter().zip(&answer.outcomes).filter_map(made).collect::<Vec<_>>() {
                *self.erp.documents.entry(*row).or_default() += 1;
                let order = self.disk.rows[row].0.order;
                self.erp.order.entry(order).or_default().push(row.seq);
            }
        }
        let known = Known { at: self.now, print, answer: answer.clone() };
        self.erp.requests.known.insert(key(request), known);
        answer
    }

    /// What it finds wrong with the rows, and how it says so.
    fn judged(&mut self, request: &Request, moody: bool) -> Answer {
        let mut refusal = |row: &RowKey| {
            if self.bad.contains(row) {
                return Some(Class::Validation);
            }
            let out_of_sorts = moody && self.rng.u8(0..100) < 4;
            out_of_sorts.then(|| *self.rng.choice([Class::Conflict, Class::Reference].iter()).expect("two classes"))
        };
        let refused: Vec<Option<Class>> = request.rows.iter().map(&mut refusal).collect();
        if self.parts {
            let made = |class: Option<Class>| Outcome::new(class.unwrap_or(Class::Delivered), "");
            return said(200, false, refused.into_iter().map(made).collect());
        }
        let Some(first) = refused.iter().flatten().next().copied() else {
            let posted = Outcome::new(Class::Delivered, "");
            return said(200, false, vec![posted; request.rows.len()]);
        };
        let wrong = refused.iter().flatten().any(|class| *class == Class::Validation);
        match self.rng.u8(0..10) {
            // One response for the group: whose fault it is has to be found out.
            0..3 if request.rows.len() > 1 => of_all(Class::Validation, 200, request),
            0..3 => of_all(first, 200, request),
            3 if wrong => of_all(Class::Validation, 400, request),
            _ => {
                let back = |class: Option<Class>| Outcome::new(class.unwrap_or(Class::NotAttempted), "");
                said(200, false, refused.into_iter().map(back).collect())
            }
        }
    }

    pub(super) fn send_whole(&mut self, request: &Request) {
        if self.outdated.contains(&request.batch) {
            self.wrong.get_or_insert(format!("batch {} was outdated and is sent again", request.batch));
        }
        let out = self.outages.iter().any(|(from, to)| (*from..*to).contains(&self.now));
        let (soon, timeout) = (self.now + self.rng.u64(5..500), self.now + TIMEOUT);
        let stay_away = Some(self.rng.u64(0..2 * MINUTE));
        let refused = Answer { status: None, ..of_all(Class::Transient, 0, request) };
        let silence = match self.broken {
            Broken::TimeoutIsNo => refused.clone(),
            Broken::SilenceIsRefusal => of_all(Class::Validation, 200, request),
            _ => Answer { status: None, ..of_all(Class::Unknown, 0, request) },
        };
        let (at_work, large) = (self.erp.at_work_as(request), self.is_too_large(request));
        let (at, answer) = match self.rng.u8(0..100) {
            _ if out => (soon, refused),
            0..50 if self.storm && (self.later || self.parts) && at_work.is_none() && self.is_new(request) => {
                (soon, Answer { later: Some(self.take_over(request)), ..of_all(Class::Accepted, 202, request) })
            }
            _ if self.storm && at_work.is_none() => (soon, self.do_whole(request, self.now, false)),
            _ if !large && self.poison.is_some_and(|row| request.rows.contains(&row)) => {
                self.do_whole(request, self.now, false);
                (soon, silence)
            }
            0..6 => (soon, refused),
            6..11 => (timeout, silence),
            _ if large => (soon, self.too_large(request.rows.len())),
            11..16 => {
                let at = self.now + self.rng.u64(1..LATE);
                self.schedule(at, Event::Effect(request.clone()));
                (timeout, silence)
            }
            16..20 => (soon, Answer { retry_after_ms: stay_away, ..of_all(Class::Unknown, 503, request) }),
            20..23 => (soon, Answer { retry_after_ms: stay_away, ..of_all(Class::Throttled, 429, request) }),
            dice => {
                let answer = if at_work.is_some() && dice.is_multiple_of(2) {
                    let later = Some(Later { by: By::Lookup, after_ms: None });
                    Answer { later, ..of_all(Class::Accepted, 409, request) }
                } else if let Some(job) = self.job_of(request) {
                    let later = Some(Later { by: By::Job(job.to_string()), after_ms: None });
                    Answer { later, ..of_all(Class::Accepted, 400, request) }
                } else if at_work.is_some()
                    || ((self.parts || (self.later && self.rng.u8(0..3) == 0)) && self.is_new(request))
                {
                    Answer { later: Some(self.take_over(request)), ..of_all(Class::Accepted, 202, request) }
                } else {
                    self.do_whole(request, self.now, true)
                };
                if self.rng.u8(0..100) < 8 { (timeout, silence) } else { (soon, answer) }
            }
        };
        // Of the first sending it says that the clocks disagree: it has no effect.
        if answer.status == Some(412) && request.attempt > 1 && !self.erp.keyless {
            self.outdated_at.insert(request.batch, at);
        }
        let later = answer.later.clone().filter(|_| self.broken != Broken::OutdatedIsResent);
        self.answer(at, request, Answer { later, ..answer });
    }

    /// The job that has done this request, in days of parts, as long as its key is known.
    fn job_of(&mut self, request: &Request) -> Option<u64> {
        let Requests { known, horizon, .. } = &self.erp.requests;
        let done =
            known.get(&key(request)).filter(|known| self.parts && self.now.saturating_sub(known.at) < *horizon)?;
        let classes = done.answer.outcomes.iter().map(|outcome| outcome.class);
        let results = Some(request.rows.iter().copied().zip(classes).collect());
        let job = self.erp.next_job;
        self.erp.next_job += 1;
        self.erp.jobs.insert(job, Job { request: request.clone(), begun: self.now, results });
        Some(job)
    }

    fn is_new(&self, request: &Request) -> bool {
        let age = self.now.saturating_sub(request.first_sent.0.unsigned_abs());
        let Requests { known, horizon, strict } = &self.erp.requests;
        !known.contains_key(&key(request)) && (age < *horizon || !strict)
    }
}

impl Erp {
    /// The job that is at work on this very request.
    pub(super) fn at_work_as(&self, request: &Request) -> Option<u64> {
        let job = self.at_work.get(&request.rows[0]).copied().filter(|_| !self.keyless)?;
        (key(&self.jobs[&job].request) == key(request)).then_some(job)
    }
}

fn control(broken: Broken, sign: &str) {
    control_of(KeyScope::Request, broken, sign);
}

#[test]
fn every_good_row_is_posted_once_in_order_where_the_key_is_one_for_the_request() {
    days(Some(KeyScope::Request), 1_500, "simulator::requests::every_good_row");
}

#[test]
fn every_good_row_is_posted_once_in_order_where_the_parts_of_a_request_stand_alone() {
    days(Some(KeyScope::Parts), 1_500, "simulator::requests::every_good_row");
}

/// The same broken rules show where the parts of a request stand alone.
#[test]
fn a_request_of_parts_that_is_forgotten_grouped_anew_or_taken_for_refused_doubles() {
    for broken in [Broken::NoDurableSending, Broken::GroupedAnew, Broken::KeyRefreshed, Broken::TimeoutIsNo] {
        control_of(KeyScope::Parts, broken, "duplicate");
    }
}

#[test]
fn a_request_that_is_not_stored_before_it_leaves_is_grouped_anew_and_doubles() {
    control(Broken::NoDurableSending, "duplicate");
}

#[test]
fn rows_of_an_unresolved_request_that_are_grouped_anew_double() {
    control(Broken::GroupedAnew, "duplicate");
}

#[test]
fn a_key_that_is_made_anew_for_a_resend_doubles() {
    control(Broken::KeyRefreshed, "duplicate");
}

#[test]
fn a_request_rendered_anew_is_refused() {
    control(Broken::RenderedAnew, "a known key came with other bytes");
}

#[test]
fn a_request_resent_past_the_horizon_doubles() {
    control(Broken::HorizonIgnored, "duplicate");
}

#[test]
fn an_outdated_request_that_is_sent_again_is_seen() {
    control(Broken::OutdatedIsResent, "was outdated and is sent again");
}

#[test]
fn a_restart_that_forgets_that_a_request_is_outdated_sends_it_again() {
    control(Broken::OutdatedForgotten, "was outdated and is sent again");
}

#[test]
fn an_unknown_request_that_is_halved_doubles() {
    control(Broken::SilenceIsRefusal, "duplicate");
}

#[test]
fn a_timeout_of_a_request_taken_for_no_doubles() {
    control(Broken::TimeoutIsNo, "duplicate");
}

#[test]
fn an_absence_that_is_believed_while_the_request_is_at_work_doubles() {
    control(Broken::AbsentBelieved, "duplicate");
}

#[test]
fn a_clock_that_stood_still_and_is_believed_resends_a_forgotten_request() {
    control(Broken::ClockBelieved, "duplicate");
}
