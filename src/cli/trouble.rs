//! What keeps a lane: its target's last answer, in one sentence, and what helps; and whose trouble it is.

use serde::Serialize;

use crate::cli::print::{age, clean, line};
use crate::cli::status::shows;
use crate::control;
use crate::event::Millis;
use crate::lane::{Category, Class, Standing, Storm, System, while_held};
use crate::outbox::read::find::{Delivery, Rest, Unsure};
use crate::outbox::read::parked::Whose;
use crate::outbox::read::{Bounds, LaneStatus, LastAnswer, Status};

/// What becomes of what a target has not answered that is sent nothing twice, and can't be asked.
const LOOK: &str = "what was sent and is not answered goes to a person, who looks whether it is there";

/// What helps with a system of which all lanes are such.
pub(super) fn once(systems: &mut [System], lanes: &[LaneStatus], bounds: Option<&Bounds>) {
    let Some(bounds) = bounds else { return };
    for System { system, standing, .. } in systems {
        let mut of = lanes.iter().filter(|lane| lane.system == *system).peekable();
        let all = of.peek().is_some() && of.all(|lane| bounds.once.contains(&lane.lane));
        if let (true, Standing::Open { trouble, .. } | Standing::HalfOpen { trouble, .. }) = (all, standing) {
            let unknown =
                |last: &LastAnswer| last.class == Class::Unknown.name() && last.help == Some(trouble.help.as_str());
            let sent = lanes.iter().filter(|lane| lane.system == *system).filter_map(|lane| lane.last_answer.as_ref());
            if trouble.help.ends_with("; the same bytes go again by themselves") || sent.into_iter().any(unknown) {
                trouble.help = format!("{}; {LOOK}", while_held(&trouble.help));
            }
        }
    }
}

/// What is stored and what its gateway says, made to agree. `rest`: no gateway runs; `named`: the directory itself was.
pub(super) fn agree(
    status: &mut Status,
    gateway: Option<&mut control::Status>,
    bounds: Option<&Bounds>,
    (rest, named): (Option<Rest>, bool),
) {
    status.lanes.iter_mut().filter(|_| rest.is_some()).for_each(LaneStatus::rest);
    status.disk_left_bytes = status.disk_left_bytes.filter(|_| !named || gateway.is_some()); // a copy's disk fills nobody
    if let Some(gateway) = gateway {
        once(&mut gateway.systems, &status.lanes, bounds);
    }
}

/// What becomes of a posting of which nobody knows whether it is there; `None`: nothing, while its lane or system is held.
pub(super) fn unanswered(told: &Delivery) -> Option<&'static str> {
    let held = told.hold.as_ref().is_some_and(|hold| hold.keeps(&told.lane, &told.system));
    Some(match (told.unsure, told.rest) {
        (_, Some(Rest::Copy)) => "nothing newer is known here: this is a copy, or the gateway has ended",
        (Unsure::Person, None) => "a person decides: its target is sent nothing twice, and can't be asked",
        _ if held => return None,
        (Unsure::Person, Some(Rest::Ended)) => "no gateway runs: when one is started, a person decides",
        (Unsure::Again, Some(Rest::Ended)) => {
            "no gateway runs: one that is started looks it up, or sends it again under its key"
        }
        (Unsure::Again, None) => "goes again by itself under its key",
    })
}

/// A lane that something keeps.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    pub(super) lane: String,
    pub(super) system: String,
    /// What keeps it, in one sentence.
    pub(super) trouble: String,
    /// Since when, UTC milliseconds, where that is known.
    pub(super) since: Option<i64>,
    /// What a person does about it, where the target keeps it.
    pub(super) help: Option<String>,
    /// Number of a posting that was answered so, where an answer came.
    pub(super) seq: Option<i64>,
    /// Whose it is, where that is asked for.
    #[serde(flatten)]
    pub(super) wide: Option<Wide>,
}

/// The exception that the trouble of a lane or a system is: one, however many rows wait for its end.
#[derive(Debug, Serialize)]
pub(super) struct Wide {
    /// Since when, UTC milliseconds.
    opened_at: i64,
    /// Rows that wait for its end.
    rows: i64,
    #[serde(skip)]
    class: Class,
    #[serde(flatten)]
    whose: Whose,
}

impl Wide {
    /// That of `lanes` since then, by what their target says of all rows. What it does not take, or from whom, is an agreement that
    /// is broken; a target that is away, or busy, is the trouble that the oldest posting which waits for it would be.
    pub(super) fn of(
        lanes: &[&LaneStatus],
        class: Class,
        opened_at: i64,
        bounds: Option<&Bounds>,
        now: Millis,
    ) -> Self {
        let shows = |lane: &LaneStatus| !Bounds::parks_in(bounds, &lane.lane);
        let oldest = |lane: &&&LaneStatus| (shows(lane), lane.oldest_going_at.unwrap_or(i64::MAX));
        let first = lanes.iter().min_by_key(oldest);
        let tx_type = first.and_then(|lane| lane.oldest_tx.as_deref()).unwrap_or_default();
        let desks = Bounds::desks(bounds);
        let away = if class == Class::Unknown { Class::Transient } else { class };
        let category = desks.category(away, tx_type, None, first.is_some_and(|lane| shows(lane)));
        let rows = lanes.iter().map(|lane| lane.going(!shows(lane))).sum();
        Self { opened_at, rows, class, whose: Whose::of(desks, category, now.since(Millis(opened_at))) }
    }

    pub(super) fn category(&self) -> Category {
        self.whose.category
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// Behind the lines that say what it is, and since when.
    pub(super) fn text(&self, text: &mut String, indent: &str) {
        let Whose { category, owner, contact, escalate, lateness } = &self.whose;
        let (name, late) = (category.name(), late(lateness));
        line(text, &format!("{indent}  {name}{late}, for {}; {}", clean(owner), wait(self.rows)));
        reach(text, indent, contact.as_deref(), escalate.as_deref());
    }
}

/// How many rows wait for the end of it.
pub(super) fn wait(rows: i64) -> String {
    match rows {
        0 => "no row waits for it now".to_owned(),
        1 => "1 row waits".to_owned(),
        n => format!("{n} rows wait"),
    }
}

/// That it is late, if it is.
pub(super) fn late(lateness: &str) -> String {
    if lateness == "ok" { String::new() } else { format!(" ({lateness})") }
}

/// How whoever looks after it is reached, and who else is to hear of it.
pub(super) fn reach(text: &mut String, indent: &str, contact: Option<&str>, escalate: Option<&str>) {
    for (what, whom) in [("reach them", contact), ("later than agreed: tell", escalate)] {
        if let Some(whom) = whom {
            line(text, &format!("{indent}  {what}: {}", clean(whom)));
        }
    }
}

impl Kept {
    /// One that has something to send, and whose target speaks against it.
    pub(super) fn of(lane: &LaneStatus, bounds: Option<&Bounds>, now: Millis) -> Option<Self> {
        let goes = lane.going(Bounds::parks_in(bounds, &lane.lane)) > 0;
        let last = lane.last_answer.as_ref().filter(|_| goes && lane.meets_trouble())?;
        let once = last.class == Class::Unknown.name() && bounds.is_some_and(|bounds| bounds.once.contains(&lane.lane));
        let help = last.help.map(|help| if once { format!("{}; {LOOK}", while_held(help)) } else { help.to_owned() });
        let (lane, system) = (lane.lane.clone(), lane.system.clone());
        let again = last.again.filter(|_| !once);
        let (trouble, since) = (sentence(&LastAnswer { again, ..last.clone() }, now), last.since);
        Some(Self { lane, system, trouble, since, help, seq: last.seq, wide: None })
    }

    /// The same, whose target keeps it, with whose trouble that is.
    pub(super) fn with_owner(lane: &LaneStatus, bounds: Option<&Bounds>, now: Millis) -> Option<Self> {
        let kept = Self::of(lane, bounds, now).filter(|kept| kept.help.is_some())?;
        let last = lane.last_answer.as_ref()?;
        let class = Class::parse(&last.class)?;
        let wide = Some(Wide::of(&[lane], class, last.since.unwrap_or(last.at), bounds, now));
        Some(Self { wide, ..kept })
    }

    /// Its target keeps it, and one of these systems says so of all its lanes.
    pub(super) fn is_told_by(&self, systems: &[System]) -> bool {
        let away = |standing: &Standing| matches!(standing, Standing::Open { .. } | Standing::HalfOpen { good: 0, .. });
        let is = |known: &System| known.system == self.system && away(&known.standing);
        self.help.is_some() && systems.iter().any(is)
    }
}

/// Why a lane is stopped.
pub(super) fn stopped_by(storm: Option<&Storm>) -> String {
    let Some(Storm { class, code, words, rejected, .. }) = storm else {
        return "too many subjects are parked".to_owned();
    };
    let code = code.as_ref().map_or_else(String::new, |code| format!(" {}", clean(code)));
    format!("{rejected} rows were rejected ({class}{code}): {}", clean(words).trim_end_matches('.'))
}

/// A line for each lane that its system does not speak for, and one for what helps where neighbours have that in common.
pub(super) fn told(text: &mut String, lanes: &[Kept], systems: &[System], indent: &str) {
    let own: Vec<&Kept> = lanes.iter().filter(|lane| !lane.is_told_by(systems)).collect();
    for alike in own.chunk_by(|a, b| a.help.is_some() && a.help == b.help) {
        for Kept { lane, trouble, wide, .. } in alike {
            line(text, &format!("{indent}lane {lane}: {trouble}"));
            if let Some(wide) = wide {
                wide.text(text, indent);
            }
        }
        if let Some(help) = &alike[0].help {
            line(text, &format!("{indent}  what helps: {help}"));
        }
        shows(text, indent, alike[0].seq);
    }
}

/// What a lane's target said last, since when none of its answers is good, and when it is tried again.
pub(super) fn sentence(last: &LastAnswer, now: Millis) -> String {
    let LastAnswer { at, status, class, excerpt, said, since, again, .. } = last;
    let since = since.filter(|since| since < at).map_or_else(String::new, |since| format!(" for {}", age(since, now)));
    let words = said.clone().unwrap_or_else(|| {
        let http = status.map_or_else(|| "no answer".to_owned(), |status| format!("HTTP {status}"));
        excerpt.as_ref().map_or_else(|| http.clone(), |excerpt| format!("{http}: {excerpt}"))
    });
    let again = again.filter(|again| *again > now.0);
    let again = again.map_or_else(String::new, |again| format!("; again in {}", age(now.0, Millis(again))));
    let words = clean(&words);
    let words = if again.is_empty() { &words } else { words.trim_end_matches('.') };
    format!("{class}{since}, the last time {} ago: {words}{again}", age(*at, now))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::cli::print;
    use crate::lane::{Trouble, advice};

    const NOW: Millis = Millis(1_763_906_709_412);

    fn lane(last: LastAnswer) -> LaneStatus {
        let (lane, system) = ("outbound".to_owned(), "erp".to_owned());
        LaneStatus { lane, system, ready: 3, last_answer: Some(last), ..LaneStatus::default() }
    }

    fn web_page() -> LastAnswer {
        LastAnswer {
            at: NOW.0 - 2_000,
            status: Some(200),
            class: "unknown".to_owned(),
            excerpt: Some("<html><title>Log in</title>".to_owned()),
            said: Some(
                "the ERP answered with a web page, which proves nothing: is this the right URL? (HTTP 200)".to_owned(),
            ),
            since: Some(NOW.0 - 61_000),
            again: Some(NOW.0 + 7_000),
            help: Some("look what came"),
            seq: Some(4_711),
        }
    }

    #[test]
    fn an_odd_answer_is_one_sentence_with_since_when_and_what_helps() {
        let told = |systems: &[System], last| {
            let mut text = String::new();
            let kept = Kept::of(&lane(last), None, NOW).expect("it is in trouble");
            told(&mut text, &[kept], systems, "  ");
            text
        };
        insta::assert_snapshot!(told(&[], web_page()), @r"
          lane outbound: unknown for 61 s, the last time 2 s ago: the ERP answered with a web page, which proves nothing: is this the right URL? (HTTP 200); again in 7 s
            what helps: look what came
            `floorgate trace '#4711'` shows the answer
        ");
        let standing = Standing::Open { trouble: Trouble::default(), next_try: None };
        let open =
            System { system: "erp".to_owned(), standing, per_minute: None, stopped: Vec::new(), late: Vec::new() };
        assert_eq!(told(from_ref(&open), web_page()), "", "the system says so of all its lanes");
        let (trouble, next_try) = (Trouble::default(), None);
        let standing = Standing::HalfOpen { trouble, next_try, good_since: Some(NOW), good: 1, closes_at: 3 };
        assert_ne!(
            told(&[System { standing, ..open }], web_page()),
            "",
            "it answers again, and this lane has trouble of its own"
        );
        let old = LastAnswer { said: None, since: None, again: None, help: None, ..web_page() };
        assert_eq!(
            told(&[], old),
            "  lane outbound: unknown, the last time 2 s ago: HTTP 200: <html><title>Log in</title>\n    `floorgate trace '#4711'` shows the answer\n"
        );
    }

    #[test]
    fn a_lane_is_stopped_by_what_it_was_refused_for() {
        let storm = Storm {
            since: NOW,
            class: "validation".to_owned(),
            code: Some("unknown_item".to_owned()),
            words: "no item A-1.".to_owned(),
            rejected: 31,
            next_try: NOW,
        };
        assert_eq!(stopped_by(Some(&storm)), "31 rows were rejected (validation unknown_item): no item A-1");
        assert_eq!(stopped_by(None), "too many subjects are parked");
    }

    #[test]
    fn nothing_that_is_sent_once_is_said_to_go_again() {
        let help = advice(Class::Unknown, None, "").expect("there is some");
        let lane = lane(LastAnswer { status: None, help: Some(help), ..web_page() });
        let bounds = Bounds { once: ["outbound".to_owned()].into(), ..Bounds::default() };
        let told = |bounds| Kept::of(&lane, bounds, NOW).and_then(|kept| kept.help).expect("there is some");
        assert!(told(None).ends_with("; the same bytes go again by themselves"));
        let person = "look why the ERP is slow, or what on the way cuts connections; what was sent and is not answered goes to a \
                      person, who looks whether it is there";
        assert_eq!(told(Some(&bounds)), person);
        let again = |bounds| Kept::of(&lane, bounds, NOW).is_some_and(|kept| kept.trouble.contains("; again in 7 s"));
        assert!(again(None) && !again(Some(&bounds)), "nothing of it goes again");
        let trouble = Trouble { help: help.to_owned(), ..Trouble::default() };
        let standing = Standing::Open { trouble, next_try: None };
        let mut systems =
            [System { system: "erp".to_owned(), standing, per_minute: None, stopped: Vec::new(), late: Vec::new() }];
        once(&mut systems, from_ref(&lane), Some(&bounds));
        assert!(matches!(&systems[0].standing, Standing::Open { trouble, .. } if trouble.help == person));
        let help = advice(Class::Unknown, Some(500), "").expect("there is some");
        let last = LastAnswer { status: Some(500), help: Some(help), ..web_page() };
        let failed = LaneStatus { last_answer: Some(last), ..lane.clone() };
        let trouble = Trouble { help: help.to_owned(), ..Trouble::default() };
        systems[0].standing = Standing::Open { trouble, next_try: None };
        once(&mut systems, from_ref(&failed), Some(&bounds));
        let told = format!("ask the ERP team for the error in its log; {LOOK}");
        assert!(matches!(&systems[0].standing, Standing::Open { trouble, .. } if trouble.help == told));
        let parked = LaneStatus { ready: 3, behind: 3, ..lane };
        assert!(Kept::of(&parked, Some(&bounds), NOW).is_some(), "it parks nothing, and sends them");
        assert!(Kept::of(&parked, None, NOW).is_none(), "all of them wait for a person");
        assert_eq!(wait(0), "no row waits for it now");
    }

    #[test]
    fn a_sentence_of_the_target_ends_where_ours_does() {
        let said = |again| LastAnswer { said: Some("This token has expired.".to_owned()), again, ..web_page() };
        let told = |again| sentence(&said(again), NOW);
        assert!(told(None).ends_with(": This token has expired."), "{}", told(None));
        assert!(told(Some(NOW.0 + 7_000)).ends_with(": This token has expired; again in 7 s"));
    }

    #[test]
    fn a_lane_is_told_with_whose_trouble_it_is_where_that_is_asked_for() {
        let of = |last: LastAnswer| {
            let lane = LaneStatus { oldest_tx: Some("goods_receipt".to_owned()), ..lane(last) };
            let kept = Kept::with_owner(&lane, None, NOW).expect("it is in trouble");
            let json: serde_json::Value = serde_json::from_str(&print::json(&kept)).expect("it is JSON");
            let mut text = String::new();
            told(&mut text, &[kept], &[], "");
            (text.lines().nth(1).unwrap_or_default().to_owned(), json["opened_at"].clone(), json["rows"].clone())
        };
        let line = |words: &str| format!("  {words}; 3 rows wait");
        let since = NOW.0 - 61_000;
        assert_eq!(of(web_page()), (line("receipt_unposted, for procurement"), since.into(), 3.into()));
        let (class, since) = ("auth".to_owned(), NOW.0 - 6 * 60_000);
        let refused = LastAnswer { class, since: Some(since), ..web_page() };
        assert_eq!(of(refused), (line("contract_broken (warn), for integration"), since.into(), 3.into()));
        let json = print::json(&Kept::of(&lane(web_page()), None, NOW).expect("it is in trouble"));
        assert!(!json.contains("category"), "nobody asked: {json}");
    }

    #[test]
    fn what_helps_several_lanes_is_told_once() {
        let other = LaneStatus { lane: "inbound".to_owned(), ..lane(web_page()) };
        let kept = [lane(web_page()), other].map(|lane| Kept::of(&lane, None, NOW).expect("it is in trouble"));
        let mut text = String::new();
        told(&mut text, &kept, &[], "");
        let begins: Vec<&str> = text.lines().filter_map(|line| line.split(": ").next()).collect();
        let answer = "  `floorgate trace '#4711'` shows the answer";
        assert_eq!(begins, ["lane outbound", "lane inbound", "  what helps", answer], "{text}");
    }

    #[test]
    fn a_lane_with_nothing_to_send_or_whose_answers_are_told_elsewhere_is_in_no_trouble() {
        let refused = LastAnswer { class: "validation".to_owned(), ..web_page() };
        assert!(Kept::of(&lane(refused), None, NOW).is_none());
        assert!(Kept::of(&LaneStatus { ready: 0, ..lane(web_page()) }, None, NOW).is_none());
    }
}
