//! Whether what is polled over a link fits into the time there is: of Modbus links, on which one request goes at a time.

use std::time::Duration;

use crate::config::Reading;
use crate::config::bounds::{SECOND, duration, span_text};
use crate::config::link::{Declared, Link, MS};
use crate::form::Table;
use crate::source::modbus;
use crate::source::modbus::wire::Place;
use crate::tagmap::budget::{Behind, Budget, Polled};
use crate::tagmap::explain::{ANSWER, Wire};

/// `answer_time` of a link: what `floorgate status` shows of its devices; nothing but these warnings depends on it.
pub(super) fn answer_time(table: &Table<'_>) -> Duration {
    duration(table, "answer_time", ANSWER, MS..=SECOND * 60)
}

/// Warns of each link that can't do all that its devices' maps ask of it.
pub(super) fn check(links: &[Declared<'_>], reading: &Reading) {
    for link in links {
        let Some(Link::Modbus(config)) = &link.link else { continue };
        let answer = answer_time(&link.table);
        let devices: Vec<Behind<'_>> =
            config.devices.iter().map(|device| (&*device.id, device.unit, &device.map)).collect();
        let budget = Budget::of(&devices, &wire(config, answer));
        let if_so = if_so(config, answer);
        let told = if budget.busy() > 1.0 { too_much(&budget, &if_so) } else { held_up(&budget, &if_so) };
        if let Some((message, help)) = told {
            reading.warn(link.table.fault_at("id", &message, help));
        }
    }
}

fn wire(config: &modbus::Config, answer: Duration) -> Wire {
    let baud = match &config.place {
        Place::Serial(serial) => Some(serial.baud),
        Place::Tcp(..) => None,
    };
    Wire {
        baud,
        timeout: config.timing.request,
        answer,
        pause: config.timing.pause_between,
        connect: connect(config, answer),
    }
}

/// The connection that each cycle makes, with what its devices are asked on it before they are polled: it is answered, then
/// each device says who it is.
fn connect(config: &modbus::Config, answer: Duration) -> Duration {
    if !config.closes_each_cycle() {
        return Duration::ZERO;
    }
    let asked = config.devices.iter().filter(|device| device.identity.is_some()).count();
    let asked = (answer + config.timing.pause_between).saturating_mul(u32::try_from(asked).unwrap_or(u32::MAX));
    (answer + config.timing.pause_after_connect).saturating_add(asked)
}

/// What is reckoned with.
fn if_so(config: &modbus::Config, answer: Duration) -> String {
    let connects =
        if config.closes_each_cycle() { " and each cycle makes a connection (close-after-cycle)" } else { "" };
    format!("if each answer takes {}{connects}", span_text(answer))
}

fn too_much(budget: &Budget, if_so: &str) -> Option<(String, &'static str)> {
    let largest = budget.largest()?;
    let polls = match budget.polled.len() {
        1 => "1 poll takes".to_owned(),
        polls => format!("{polls} polls take"),
    };
    let message = format!(
        "can't keep its periods: {polls} {:.0} % of the time {if_so}; the largest is {}",
        budget.busy() * 100.0,
        words(largest)
    );
    let help = "poll less often, read less, or share the units out among links; if they answer faster, write \
                answer_time: floorgate status shows it";
    Some((message, help))
}

fn held_up(budget: &Budget, if_so: &str) -> Option<(String, &'static str)> {
    let (poll, by) = budget.held_up()?;
    let message = format!(
        "can't keep a period while another poll is under way, {if_so}: {} waits behind {}",
        words(poll),
        words(by)
    );
    let help = "split the long one into polls of their own, or move it to another link; if the devices answer faster, \
                write answer_time: floorgate status shows it";
    Some((message, help))
}

/// `io of lane-01 and 38 others (9 requests each 20ms: 45 ms, and 4500ms if none is answered)`
fn words(polled: &Polled) -> String {
    let Polled { what, requests, takes } = polled;
    let s = if *requests == 1 { "" } else { "s" };
    let whole = |ms: f64| span_text(Duration::from_millis(ms.round() as u64));
    format!(
        "{what} ({requests} request{s} each {}: {:.1} ms, and {} if none is answered)",
        whole(takes.every_ms),
        takes.answered_ms,
        whole(takes.worst_ms)
    )
}
