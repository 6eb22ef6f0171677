//! What the demo shows: one refreshed block on a terminal, a line every other second elsewhere, the verdict at the end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use crate::sim::oracle::{Counts, Times};

/// One look at the world.
#[derive(Debug, Clone)]
pub struct Look {
    /// Since producing began.
    pub at: Duration,
    /// What the demo is doing: `12 of 30 s`, `draining`.
    pub phase: String,
    /// The oracle's counts.
    pub counts: Counts,
    /// Links to broker and PLC.
    pub links: (bool, bool),
    /// How the ERP is.
    pub erp: &'static str,
    /// The gateway's process.
    pub gateway: String,
}

/// Where the demo is shown.
pub struct Screen {
    out: Box<dyn Write>,
    block: bool,
    drawn: usize,
    last: Option<(Duration, Counts)>,
    rates: [u64; 3],
    last_line: Option<Duration>,
}

impl Screen {
    /// On stdout, or on stderr when stdout is for a script.
    pub fn new(json: bool) -> Self {
        let out: Box<dyn Write> = if json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let block = !json && io::stdout().is_terminal();
        Self { out, block, drawn: 0, last: None, rates: [0; 3], last_line: None }
    }

    /// Writes text below what stands there. A reader that went away is no error.
    pub fn say(&mut self, text: &str) {
        self.drawn = 0;
        drop(writeln!(self.out, "{text}").and_then(|()| self.out.flush()));
    }

    /// Shows a look; called several times a second.
    pub fn show(&mut self, look: &Look) {
        let now = look.counts;
        match self.last {
            Some((at, _)) if look.at < at + Duration::from_secs(1) => {}
            Some((at, before)) => {
                let ms = u64::try_from(look.at.saturating_sub(at).as_millis()).unwrap_or(u64::MAX).max(1);
                let per_second = |a: u64, b: u64| (b - a) * 1000 / ms;
                self.rates = [
                    per_second(before.produced, now.produced),
                    per_second(before.acknowledged, now.acknowledged),
                    per_second(before.posted, now.posted),
                ];
                self.last = Some((look.at, now));
            }
            None => self.last = Some((look.at, now)),
        }
        if self.block {
            let text = block(look, self.rates);
            // Up to where the block began, and every line written over.
            let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
            self.drawn = text.lines().count();
            let lines = text.replace('\n', "\x1b[K\n");
            drop(write!(self.out, "{up}{lines}").and_then(|()| self.out.flush()));
        } else if self.last_line.is_none_or(|at| look.at >= at + Duration::from_secs(2)) {
            self.last_line = Some(look.at);
            self.say(&line(look));
        }
    }
}

fn pending(counts: &Counts) -> u64 {
    counts.acknowledged.saturating_sub(counts.posted)
}

fn links(links: (bool, bool)) -> String {
    let word = |up| if up { "up" } else { "down" };
    format!("mqtt {}, modbus {}", word(links.0), word(links.1))
}

fn line(look: &Look) -> String {
    let c = &look.counts;
    format!(
        "{:>10}  produced {}  acknowledged {}  pending {}  posted {}  {}  erp {}  gateway {}",
        look.phase,
        c.produced,
        c.acknowledged,
        pending(c),
        c.posted,
        links(look.links),
        look.erp,
        look.gateway
    )
}

fn block(look: &Look, [produced, acknowledged, posted]: [u64; 3]) -> String {
    let c = &look.counts;
    let row = |name: &str, n: u64, more: String| format!("  {name:<13}{:>12}  {more}\n", grouped(n));
    let rate = |n: u64| format!("{:>7}/s", grouped(n));
    let word = |name: &str, what: &str| format!("  {name:<16}{what}\n");
    let scans =
        format!("{}  {} scans, {} diverts", rate(produced), grouped(c.produced - c.diverts), grouped(c.diverts));
    [
        format!("\n  {}\n", look.phase),
        row("produced", c.produced, scans),
        row("acknowledged", c.acknowledged, rate(acknowledged)),
        row("pending", pending(c), String::new()),
        row("posted", c.posted, rate(posted)),
        word("links", &links(look.links)),
        word("erp", look.erp),
        word("gateway", &look.gateway),
    ]
    .concat()
}

/// `12,345`
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How the demo ended.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Verdict {
    /// Nothing lost, doubled, out of order or unheard of; the gateway never died by itself.
    pub ok: bool,
    /// Happenings on the floor.
    pub produced: u64,
    /// Those that the gateway acknowledged.
    pub acknowledged: u64,
    /// Those with an effect at the ERP.
    pub posted: u64,
    /// Those without one.
    pub lost: u64,
    /// Effects beyond the first.
    pub duplicate_effects: u64,
    /// Effects that came after that of a later happening of the same subject.
    pub out_of_order: u64,
    /// Effects of something that never happened.
    pub unknown: u64,
    /// From scan to effect, outages and kills and the catching up aside.
    pub p50_ms: Option<f64>,
    /// The same at 99 %.
    pub p99_ms: Option<f64>,
    /// From scan to effect, everything included.
    pub p50_all_ms: Option<f64>,
    /// The same at 99 %.
    pub p99_all_ms: Option<f64>,
    /// From divert to effect, as `p50_ms`: the PLC is polled.
    pub divert_p50_ms: Option<f64>,
    /// The same at 99 %.
    pub divert_p99_ms: Option<f64>,
    /// Outages of the ERP.
    pub outages: u32,
    /// Times the gateway was killed.
    pub kills: u32,
    /// Times it died by itself.
    pub crashes: usize,
    /// Messages that the broker sent again after a reconnect.
    pub redelivered: u64,
    /// Resends that the ERP's keys made harmless.
    pub absorbed: u64,
    /// Resends with other bytes under a known key.
    pub key_clashes: u64,
    /// The peer that was broken on purpose.
    pub sabotage: Option<String>,
    /// Happenings lost, or effects doubled, by that peer, as it counted itself.
    pub sabotaged: u64,
    /// Some of the lost: device, epoch, number.
    pub lost_examples: Vec<String>,
    /// It was ended by a signal before its time.
    pub interrupted: bool,
    /// Repeats this world: `--seed`.
    pub seed: u64,
    /// How long happenings were produced, seconds.
    pub seconds: f64,
}

impl Verdict {
    /// The first part of a verdict, from the oracle.
    pub fn of(counts: Counts, times: Times) -> Self {
        let [p50_ms, p99_ms] = times.scans;
        let [p50_all_ms, p99_all_ms] = times.all_scans;
        let [divert_p50_ms, divert_p99_ms] = times.diverts;
        Self {
            ok: false,
            produced: counts.produced,
            acknowledged: counts.acknowledged,
            posted: counts.posted,
            lost: counts.lost(),
            duplicate_effects: counts.duplicate_effects,
            out_of_order: counts.out_of_order,
            unknown: counts.unknown,
            p50_ms,
            p99_ms,
            p50_all_ms,
            p99_all_ms,
            divert_p50_ms,
            divert_p99_ms,
            outages: 0,
            kills: 0,
            crashes: 0,
            redelivered: 0,
            absorbed: 0,
            key_clashes: 0,
            sabotage: None,
            sabotaged: 0,
            lost_examples: Vec::new(),
            interrupted: false,
            seed: 0,
            seconds: 0.0,
        }
    }

    /// What is wrong, in words; empty when nothing is.
    pub fn faults(&self) -> String {
        let faults = [
            (self.lost, "lost"),
            (self.duplicate_effects, "duplicate effects"),
            (self.out_of_order, "out of order"),
            (self.unknown, "effects of nothing that happened"),
            (self.key_clashes, "resends with other bytes"),
            (self.crashes as u64, "crashes of the gateway"),
        ];
        let told = faults.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", grouped(*n)));
        let nothing = (self.produced == 0).then(|| "nothing happened".to_owned());
        let tame = self.sabotage.as_ref().filter(|_| self.sabotaged == 0);
        let tame = tame.map(|kind| {
            format!("{kind} broke nothing, so that nothing is shown: let it run longer, or at a higher rate")
        });
        told.chain(nothing).chain(tame).collect::<Vec<String>>().join(", ")
    }
}

/// The verdict for people; the last line says it all.
pub fn verdict(v: &Verdict) -> String {
    let mut text = String::new();
    let mut row = |name: &str, n: u64, note: &str| {
        let line = format!("  {name:<18}{:>10}  {note}", grouped(n));
        writeln!(text, "{}", line.trim_end()).expect("writing to a String cannot fail");
    };
    row("produced", v.produced, "events on the floor, by the producers' own numbers");
    row("acknowledged", v.acknowledged, "PUBACK or ack register, after the gateway's commit");
    row("posted", v.posted, "with an effect at the ERP");
    let examples = v.lost_examples.join("; ");
    row("lost", v.lost, &examples);
    row("duplicate_effects", v.duplicate_effects, "");
    row("out_of_order", v.out_of_order, "");
    row("outages", v.outages.into(), "of the ERP");
    row("kills", v.kills.into(), "of the gateway, with -9");
    row("redelivered", v.redelivered, "messages that the broker sent again");
    row("absorbed", v.absorbed, "resends that the posting key made harmless");
    if let Some(sabotage) = &v.sabotage {
        row("sabotaged", v.sabotaged, &format!("by {sabotage}, as that peer counted itself"));
    }
    let ms = |t: Option<f64>| t.map_or_else(|| "-".to_owned(), |t| t.to_string());
    for (name, p50, p99, note) in [
        ("scan to ERP", v.p50_ms, v.p99_ms, "outages and kills aside"),
        ("divert to ERP", v.divert_p50_ms, v.divert_p99_ms, "the same; the PLC is polled each 50 ms"),
        ("scan to ERP", v.p50_all_ms, v.p99_all_ms, "outages, kills and catching up included"),
    ] {
        writeln!(text, "  {name:<18}{:>10}  / {} ms at 50 / 99 %, {note}", ms(p50), ms(p99))
            .expect("writing to a String cannot fail");
    }
    let last =
        if v.ok { "ok: nothing lost, nothing doubled, order kept".into() } else { format!("FAILED: {}", v.faults()) };
    writeln!(text, "\n{last}").expect("writing to a String cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad() -> Verdict {
        let counts = Counts { produced: 12_345, acknowledged: 12_345, posted: 12_342, ..Counts::default() };
        let none = [None, None];
        Verdict::of(counts, Times { scans: [Some(0.9), Some(2.5)], diverts: none, all_scans: none })
    }

    #[test]
    fn the_last_line_says_it_all() {
        let mut v = bad();
        assert!(verdict(&v).ends_with("\nFAILED: 3 lost\n"));
        v.crashes = 1;
        assert_eq!(v.faults(), "3 lost, 1 crashes of the gateway");
        v = Verdict { lost: 0, ok: true, ..bad() };
        assert_eq!(v.faults(), "");
        assert!(verdict(&v).ends_with("\nok: nothing lost, nothing doubled, order kept\n"));
    }

    #[test]
    fn a_sabotage_that_broke_nothing_is_no_success() {
        let v = Verdict { lost: 0, sabotage: Some("plc-skips".to_owned()), ..bad() };
        assert!(v.faults().starts_with("plc-skips broke nothing"), "{}", v.faults());
        assert_eq!(Verdict { sabotaged: 1, ..v }.faults(), "");
    }

    #[test]
    fn a_demo_in_which_nothing_happened_is_no_success() {
        let none = [None, None];
        let v = Verdict::of(Counts::default(), Times { scans: none, diverts: none, all_scans: none });
        assert_eq!(v.faults(), "nothing happened");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
