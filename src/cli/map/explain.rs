//! `floorgate map explain`: the requests of a cycle, what they take, and what comes of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::beside;
use crate::app::Exit;
use crate::cli::{ConfigFile, print};
use crate::config;
use crate::form::{Document, Duration};
use crate::tagmap::explain::{ANSWER, Explained, Poll, Queue, Request, Takes, Wire, explain};
use crate::tagmap::{Binding, Map, Quirk};

/// Tell what a map makes the gateway ask for, how long that takes, and which events may come of it.
///
/// Nothing is connected to. Shows the requests of each period with their addresses as the map writes them and, in
/// parentheses, from 0 as they go on the wire; of an event FIFO those of its handshake; of a scanner its topics. Devices
/// behind one unit with the same period may share requests: then there are fewer than shown for each. Ends with 78 if the
/// map has faults.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A map, the folder of a device, or `id@version`
    map: String,
    #[command(flatten)]
    config: ConfigFile,
    /// A parameter of the map; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    param: Vec<(String, String)>,
    /// A quirk of the device, beside those of its map; may be given several times
    #[arg(long, value_name = "NAME", value_parser = Quirk::parse)]
    quirk: Vec<Quirk>,
    /// The unit id that is shown
    #[arg(long, value_name = "N")]
    unit: Option<u8>,
    /// The link is a serial line of that speed, not Modbus TCP
    #[arg(long, value_name = "BITS A SECOND", value_parser = clap::value_parser!(u32).range(300..))]
    baud: Option<u32>,
    /// How long the device takes to answer, as `answer_time` of the link: measure it with a few reads
    #[arg(long, value_name = "TIME", default_value_t = Duration(ANSWER), value_parser = time)]
    answer: Duration,
    /// `request_timeout` of the link
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = time)]
    timeout: Duration,
    /// `pause_between_requests` of the link
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = time)]
    pause: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate map explain sorter@1
  floorgate map explain devices/acme-photo-eyes --param lane=7 --param coil_base=124 --param reg_base=1060
  floorgate map explain checkweigher@2 --baud 9600 --unit 12 --answer 25ms
  floorgate map explain sorter@1 --json | jq '.fifos[].idle'";

pub(in crate::cli) fn parameter(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

fn time(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(|| "write a duration with its unit, such as 20ms or 1s".to_owned())
}

pub(super) fn run(args: &Args) -> ExitCode {
    let document = match document(&args.map, &args.config.path) {
        Ok(document) => document,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let map = match Map::read(&document, &binding(args)) {
        Ok(map) => map,
        Err(faults) => {
            let mut told = print::faults(&faults);
            if args.param.is_empty() {
                told += "\nparameters are given with --param NAME=VALUE";
            }
            return print::refuse(args.json, &told, Exit::Config);
        }
    };
    let explained = explain(&map, &wire(args));
    if args.json {
        let mut json = serde_json::to_value(&explained).expect("texts, numbers and lists always make JSON");
        json["unit"] = args.unit.into();
        print::out(&print::json(&json));
    } else {
        print::out(&shown(&explained, args));
    }
    Exit::Clean.into()
}

fn wire(args: &Args) -> Wire {
    let connect = std::time::Duration::ZERO; // the map's quirks say more
    Wire { baud: args.baud, timeout: args.timeout.0, answer: args.answer.0, pause: args.pause.0, connect }
}

fn binding(args: &Args) -> Binding {
    Binding {
        params: args.param.iter().cloned().collect(),
        quirks: args.quirk.iter().copied().collect(),
        accept_epoch_risk: true,
        ..Binding::of("device")
    }
}

/// A file, the map of a folder, or one that the configuration would find; where that has none beside it, those here.
pub(in crate::cli) fn document(map: &str, config: &Path) -> Result<Document, String> {
    let path = PathBuf::from(map);
    let path = if path.is_dir() { path.join("map.toml") } else { path };
    if !path.exists() && map.contains('@') {
        return config::map(&beside(config), map);
    }
    let text = config::text(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(Document { name: path.display().to_string(), text })
}

fn shown(explained: &Explained, args: &Args) -> String {
    let mut text = String::new();
    let unit = args.unit.map(|unit| format!(", unit {unit}")).unwrap_or_default();
    let wire = args.baud.map_or("Modbus TCP".to_owned(), |baud| format!("a serial line at {baud} baud"));
    print::line(&mut text, &format!("{}: {}{unit}", explained.map, explained.title));
    if !explained.polls.is_empty() || !explained.fifos.is_empty() {
        let [answer, timeout, pause] = [args.answer, args.timeout, args.pause].map(|time| time.0.as_millis());
        print::line(&mut text, &format!("over {wire}; answers in {answer} ms, timeout {timeout} ms, pause {pause} ms"));
    }
    if !explained.quirks.is_empty() {
        let connects = args.baud.is_none() && explained.quirks.contains(&Quirk::CloseAfterCycle.word());
        let connects = if connects { "; the connection of each cycle is taken for one more answer" } else { "" };
        print::line(&mut text, &format!("quirks: {}{connects}", explained.quirks.join(", ")));
    }
    explained.polls.iter().for_each(|poll| of_poll(&mut text, poll));
    explained.fifos.iter().for_each(|fifo| of_fifo(&mut text, fifo));
    if explained.busy_percent > 0.0 {
        let busy = format!("\nthe link is busy for {} % of the time while no event waits", explained.busy_percent);
        print::line(&mut text, &busy);
    }
    for topic in &explained.topics {
        print::line(&mut text, &format!("\nsubscribes to {} with QoS {}", topic.filter, topic.qos));
        emits(&mut text, "emits", &topic.emits);
    }
    if let Some(kinds) = &explained.frame {
        print::line(&mut text, "\ntakes frames of a socket or a serial line");
        emits(&mut text, "emits", kinds);
    }
    if !explained.polls.is_empty() {
        print::line(&mut text, "");
        emits(&mut text, "events", &explained.events);
        emits(&mut text, "alarms", &explained.alarms);
    }
    text
}

fn of_poll(text: &mut String, poll: &Poll) {
    let count = poll.requests.len();
    let requests = if count == 1 { "request" } else { "requests" };
    let period = span(poll.takes.every_ms);
    let head = format!("\npoll {}: {count} {requests} each {period}, priority {}", poll.poll, poll.priority);
    print::line(text, &head);
    requests_of(text, &poll.requests);
    takes(text, &poll.takes);
}

fn of_fifo(text: &mut String, fifo: &Queue) {
    let period = span(fifo.takes.every_ms);
    print::line(text, &format!("\nfifo {}: each {period}, priority {}", fifo.fifo, fifo.priority));
    print::line(text, "  nothing waits:");
    requests_of(text, &fifo.idle);
    print::line(text, "  one event waits (here in the first slot):");
    requests_of(text, &fifo.with_an_event);
    takes(text, &fifo.takes);
    let most = format!("  at most {} events and {} requests a cycle", fifo.most_events, fifo.most_requests);
    print::line(text, &most);
    emits(text, "emits", &fifo.emits);
}

fn requests_of(text: &mut String, requests: &[Request]) {
    let row = |request: &Request| {
        let unit = if ["coil", "discrete"].contains(&request.area) { "bits" } else { "registers" };
        let [asked, answered] = request.bytes;
        [
            format!("  function {}", request.function),
            format!("{} {} ({})", request.area, request.address.unwrap_or(request.at.into()), request.at),
            format!("{} {}", request.count, if request.count == 1 { &unit[..unit.len() - 1] } else { unit }),
            format!("{asked} + {answered} bytes"),
            request.what.join(", "),
        ]
    };
    print::table(text, &requests.iter().map(row).collect::<Vec<_>>(), 5);
}

fn takes(text: &mut String, takes: &Takes) {
    let verdict = match (takes.keeps, takes.keeps_at_worst) {
        (true, true) => "the period is kept even when nothing answers",
        (true, false) => "the period is kept while the device answers",
        (false, _) => "the period can NOT be kept: poll less often, or read less",
    };
    let [answered, worst] = [takes.answered_ms, takes.worst_ms].map(span);
    print::line(text, &format!("  takes {answered}, at worst {worst}: {verdict}"));
}

fn emits(text: &mut String, word: &str, kinds: &[String]) {
    if !kinds.is_empty() {
        print::line(text, &format!("  {word} {}", kinds.join(", ")));
    }
}

/// Milliseconds, or seconds where there are many.
fn span(ms: f64) -> String {
    if ms < 10_000.0 { format!("{ms} ms") } else { format!("{} s", ms / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn text(arguments: &str) -> String {
        let args = Line::parse_from(["explain"].into_iter().chain(arguments.split(' '))).args;
        let document = document(&args.map, &args.config.path).expect("the map is built in");
        let map = Map::read(&document, &binding(&args)).expect("the map has no fault");
        shown(&explain(&map, &wire(&args)), &args)
    }

    #[test]
    fn a_ring_is_explained() {
        insta::assert_snapshot!(text("sorter@1"), @r"
        sorter@1: Shoe sorter PLC, event mailbox with acknowledge
        over Modbus TCP; answers in 5 ms, timeout 500 ms, pause 0 ms

        fifo divert: each 50 ms, priority 0
          nothing waits:
            function 3  holding 40101 (100)  3 registers  12 + 15 bytes  counters
          one event waits (here in the first slot):
            function 3  holding 40101 (100)  3 registers   12 + 15 bytes  counters
            function 3  holding 40201 (200)  16 registers  12 + 41 bytes  slots
            function 3  holding 40101 (100)  3 registers   12 + 15 bytes  counters
            function 6  holding 40102 (101)  1 register    12 + 12 bytes  acknowledge
            function 3  holding 40101 (100)  3 registers   12 + 15 bytes  counters
          takes 25 ms, at worst 2500 ms: the period is kept while the device answers
          at most 32 events and 11 requests a cycle
          emits divert.confirmed, divert.missed, divert.recirculated, divert.unknown

        the link is busy for 10 % of the time while no event waits
        ");
    }

    #[test]
    fn a_queue_of_function_24_is_explained() {
        insta::assert_snapshot!(text("fc24-plc@1 --answer 60ms"), @r"
        fc24-plc@1: Stretch wrapper, event queue of function 24 with acknowledge
        over Modbus TCP; answers in 60 ms, timeout 500 ms, pause 0 ms

        fifo wrap: each 100 ms, priority 0
          nothing waits:
            function 3   holding 40102 (101)  2 registers  12 + 13 bytes  counters
            function 24  holding 40301 (300)  0 registers  10 + 12 bytes  queue
          one event waits (here in the first slot):
            function 3   holding 40102 (101)  2 registers   12 + 13 bytes  counters
            function 24  holding 40301 (300)  13 registers  10 + 38 bytes  queue
            function 3   holding 40102 (101)  2 registers   12 + 13 bytes  counters
            function 6   holding 40102 (101)  1 register    12 + 12 bytes  acknowledge
            function 3   holding 40102 (101)  2 registers   12 + 13 bytes  counters
          takes 300 ms, at worst 2500 ms: the period can NOT be kept: poll less often, or read less
          at most 2 events and 5 requests a cycle
          emits wrap.done, wrap.film-torn, wrap.unknown

        the link is busy for 120 % of the time while no event waits
        ");
    }

    #[test]
    fn tags_on_a_serial_line_are_explained() {
        insta::assert_snapshot!(text("divert-lane@1 --param lane=7 --param coil_base=124 --param reg_base=1060 --baud 9600 --unit 12"), @r"
        divert-lane@1: Divert lane: photo-eyes, lane full, carton count, unit 12
        over a serial line at 9600 baud; answers in 5 ms, timeout 500 ms, pause 0 ms

        poll io: 2 requests each 20 ms, priority 0
            function 1  coil 126 (126)      1 bit   8 + 6 bytes  lane_full
            function 2  discrete 124 (124)  2 bits  8 + 6 bytes  eye_entry, eye_full
          takes 50.1 ms, at worst 1008.02 ms: the period can NOT be kept: poll less often, or read less

        poll counters: 1 request each 500 ms, priority 5
            function 4  input 1060 (1060)  2 registers  8 + 9 bytes  entry_count
          takes 28.49 ms, at worst 504.01 ms: the period is kept while the device answers

        the link is busy for 256.2 % of the time while no event waits

          events lane.entered, lane.blocked, lane.full, lane.cleared
          alarms lane_full
        ");
    }

    #[test]
    fn quirks_change_the_requests() {
        let lane = "divert-lane@1 --param lane=7 --param coil_base=124 --param reg_base=1060";
        let quirks = "--quirk coils-from-zero --quirk one-request-per-tag --quirk close-after-cycle";
        insta::assert_snapshot!(text(&format!("{lane} {quirks}")), @r"
    divert-lane@1: Divert lane: photo-eyes, lane full, carton count
    over Modbus TCP; answers in 5 ms, timeout 500 ms, pause 0 ms
    quirks: coils-from-zero, one-request-per-tag, close-after-cycle; the connection of each cycle is taken for one more answer

    poll io: 3 requests each 20 ms, priority 0
        function 1  coil 0 (0)          127 bits  12 + 25 bytes  lane_full
        function 2  discrete 124 (124)  1 bit     12 + 10 bytes  eye_entry
        function 2  discrete 125 (125)  1 bit     12 + 10 bytes  eye_full
      takes 20 ms, at worst 1505 ms: the period is kept while the device answers

    poll counters: 1 request each 500 ms, priority 5
        function 4  input 1060 (1060)  2 registers  12 + 13 bytes  entry_count
      takes 10 ms, at worst 505 ms: the period is kept while the device answers

    the link is busy for 102 % of the time while no event waits

      events lane.entered, lane.blocked, lane.full, lane.cleared
      alarms lane_full
    ");
    }

    #[test]
    fn topics_are_explained() {
        insta::assert_snapshot!(text("hand-scanner@1 --param topic_root=dc1/scan"), @r"
        hand-scanner@1: Hand scanner, one at each station, numbers its scans

        subscribes to dc1/scan/+/read with QoS 1
          emits scan.carton, scan.item
        ");
    }
}
