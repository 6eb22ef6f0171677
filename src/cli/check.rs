//! `floorgate check`: everything that is wrong with a configuration, or what it will do.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity};

use crate::app::Exit;
use crate::cli::ConfigFile;
use crate::cli::print::{self, span};
use crate::config::{self, Checked, Config};
use crate::form::{Document, Fault};
use crate::lane;
use crate::milestone::sequence_gap;
use crate::outbox::{self, Preset, StorageError};

/// Tell everything that is wrong with a configuration.
///
/// Reads the file, the device maps it uses and the files it refers to, and whether it fits what the outbox holds already; changes
/// nothing and connects to nothing. All faults are told at once, each with its place, and what to write instead. Ends with 78 when
/// there is one. Warnings are told and let pass, unless --strict. What is the same in many places is told at the first, with the lines
/// of the others; --json has each.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Print a JSON array of faults and warnings; empty when there are none
    #[arg(long)]
    json: bool,
    /// With --json: print the devices instead, each with its link, map, kinds of events and topic filters
    #[arg(long, requires = "json")]
    devices: bool,
    /// Count warnings as faults
    #[arg(long)]
    strict: bool,
    /// Events a second of the whole site, for saying how long the outbox and its flash last [default: outbox.expected_rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
}

const EXAMPLES: &str = "\
Examples:
  floorgate check
  floorgate check --config config/gateway.toml --rate 50
  floorgate check --json --devices | jq -r '.[] | [.id, .filters[]] | @tsv'
  floorgate check --json | jq -r '.[] | \"\\(.line): \\(.key): \\(.message)\"'";

pub(super) fn run(args: &Args) -> ExitCode {
    let mut checked = config::check(&args.config.path);
    let mut faults = checked.config.as_ref().err().cloned().unwrap_or_default();
    if let Ok(config) = &checked.config {
        checked.warnings.extend(place(config, &checked.documents));
        if let Some((severity, fault)) = stored(config, &args.config.path) {
            if severity == "fault" { &mut faults } else { &mut checked.warnings }.push(fault);
        }
    }
    let passed = faults.is_empty() && (!args.strict || checked.warnings.is_empty());
    let text = if args.devices {
        print::json(&checked.devices)
    } else if args.json {
        json(&faults, &checked.warnings)
    } else if std::io::stdout().is_terminal() {
        graphical(&faults, &checked, std::env::var_os("NO_COLOR").is_none())
    } else {
        plain(&faults, &checked.warnings)
    };
    print::out(&text);
    if let (false, Ok(config)) = (args.json, &checked.config) {
        print::out(&summary(config, &checked, args.rate.unwrap_or(config.expected_rate)));
    }
    if passed { Exit::Clean.into() } else { Exit::Config.into() }
}

/// What a start would refuse of what is stored, or why that can't be told.
fn stored(config: &Config, file: &Path) -> Option<(&'static str, Fault)> {
    let why = outbox::fits(&config.outbox, &config.lanes).err()?;
    let (severity, message, help) = match why {
        StorageError::Denied(_) | StorageError::Directory(..) | StorageError::Sql(_) => {
            ("warning", format!("what is stored could not be looked at: {why}"), "")
        }
        StorageError::Empty(_) => ("warning", why.to_string(), ""),
        StorageError::Older { path, .. } => {
            let message = format!("{path} is of an earlier version: what is stored was not compared with this");
            ("warning", message, "the next start brings it up to date, and says what does not fit")
        }
        _ => ("fault", why.to_string(), "a start is refused until then"),
    };
    let (file, help) = (file.display().to_string(), help.to_owned());
    Some((severity, Fault { file, span: 0..0, line: 1, column: 1, key: String::new(), message, help }))
}

/// Where the data directory is no good place for it.
fn place(config: &Config, documents: &[Document]) -> Vec<Fault> {
    let doubts = outbox::doubts(&config.outbox.dir, config.outbox.max_size);
    let mut told = Vec::new();
    if let Some(document) = documents.first().filter(|_| !doubts.is_empty()) {
        // Read once more for the place of that key alone: what else there is was read before.
        drop(document.read(|root| {
            let gateway = root.required_table("gateway")?;
            told.extend(doubts.iter().map(|(message, help)| gateway.fault_at("data_dir", message, help)));
            Some(())
        }));
    }
    told
}

/// A finding as scripts read it.
#[derive(Clone, serde::Serialize)]
struct Finding<'a> {
    severity: &'static str,
    #[serde(flatten)]
    fault: &'a Fault,
}

fn findings<'a>(faults: &'a [Fault], warnings: &'a [Fault]) -> impl Iterator<Item = Finding<'a>> {
    let faults = faults.iter().map(|fault| Finding { severity: "fault", fault });
    faults.chain(warnings.iter().map(|fault| Finding { severity: "warning", fault }))
}

/// Findings as people read them: what is the same in many places is told at the first, with the lines of the others.
fn each_once<'a>(faults: &'a [Fault], warnings: &'a [Fault]) -> Vec<(&'static str, Fault)> {
    let mut once: Vec<(Finding<'a>, Vec<usize>)> = Vec::new();
    let what = |of: &Finding<'a>| {
        let key = of.fault.key.rsplit('.').next().filter(|key| key.len() < of.fault.key.len());
        (of.severity, &of.fault.file, key, &of.fault.message, &of.fault.help)
    };
    for finding in findings(faults, warnings) {
        match once.iter_mut().find(|(first, _)| what(first).2.is_some() && what(first) == what(&finding)) {
            Some((_, lines)) => lines.push(finding.fault.line),
            None => once.push((finding, Vec::new())),
        }
    }
    let told = |(Finding { severity, fault }, lines): (Finding<'_>, Vec<usize>)| {
        let mut fault = fault.clone();
        let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
        let others = match lines.as_slice() {
            [] => String::new(),
            [line] => format!(", and so it is in line {line}"),
            [some @ .., last] => format!(", and so it is in lines {} and {last}", some.join(", ")),
        };
        fault.message.push_str(&others);
        (severity, fault)
    };
    once.into_iter().map(told).collect()
}

fn json(faults: &[Fault], warnings: &[Fault]) -> String {
    let all: Vec<Finding<'_>> = findings(faults, warnings).collect();
    let text = serde_json::to_string_pretty(&all).expect("texts and numbers always make JSON");
    format!("{text}\n")
}

/// `file:line:column: key: message (help)`; a warning says so after its place.
fn plain(faults: &[Fault], warnings: &[Fault]) -> String {
    let mut text = String::new();
    for (severity, mut fault) in each_once(faults, warnings) {
        if severity == "warning" {
            fault.message = format!("warning: {}", fault.message);
        }
        writeln!(text, "{fault}").expect("writing to a String cannot fail");
    }
    text
}

fn graphical(faults: &[Fault], checked: &Checked, colours: bool) -> String {
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme);
    let mut text = String::new();
    for (severity, fault) in each_once(faults, &checked.warnings) {
        let report = report(&fault, severity, &checked.documents);
        handler.render_report(&mut text, report.as_ref()).expect("writing to a String cannot fail");
    }
    let (faults, warnings) = (faults.len(), checked.warnings.len());
    if faults + warnings > 0 {
        writeln!(text, "{}, {}", count(faults, "fault"), count(warnings, "warning"))
            .expect("writing to a String cannot fail");
    }
    text
}

fn report(fault: &Fault, severity: &str, documents: &[Document]) -> Report {
    let subject = if fault.key.is_empty() { &fault.file } else { &fault.key };
    let mut diagnostic = MietteDiagnostic::new(format!("{subject}: {}", fault.message));
    diagnostic.severity = Some(if severity == "warning" { Severity::Warning } else { Severity::Error });
    diagnostic.help = (!fault.help.is_empty()).then(|| fault.help.clone());
    let Some(document) = documents.iter().find(|d| d.name == fault.file) else { return diagnostic.into() };
    let first_line = document.text.get(fault.span.clone()).and_then(|t| t.lines().next()).map_or(0, str::len);
    diagnostic.labels = Some(vec![LabeledSpan::at(fault.span.start..fault.span.start + first_line, "here")]);
    Report::from(diagnostic).with_source_code(NamedSource::new(&fault.file, document.text.clone()))
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Bytes written to the disk for one event over its whole life, without the share of its commits …
const WRITTEN_PER_EVENT: f64 = 1_470.0;
/// … and for one commit: WAL pages and the checkpoint (docs/performance.md, at 300 and 1,000 events a second).
const WRITTEN_PER_COMMIT: f64 = 9_600.0;
/// Commits a second at most with `gentle` …
const GENTLE_COMMITS: f64 = 50.0;
/// … and for each event with `fast`: it is taken in, and some of its settling has a commit of its own.
const FAST_COMMITS_PER_EVENT: f64 = 1.2;
/// An 8 GB eMMC of 3,000 cycles takes this many bytes in its life.
const EMMC_BYTES: f64 = 8e9 * 3_000.0;

fn summary(config: &Config, checked: &Checked, rate: u32) -> String {
    let mut text = String::new();
    let mut line = |s: String| writeln!(text, "{s}").expect("writing to a String cannot fail");
    line(format!(
        "site {} (business unit {}, {}), gateway {}",
        config.site, config.business_unit, config.timezone, config.gateway
    ));
    for link in &config.mqtt {
        let scheme = if link.tls.is_some() { "mqtts" } else { "mqtt" };
        let group = link.share.as_ref().map(|group| format!(", one of the group {group}")).unwrap_or_default();
        line(format!("link {}: {scheme} {}:{} as {}{group}", link.link, link.host, link.port, link.client_id));
    }
    for link in &config.modbus {
        let standby = link.standby.as_ref().map(|place| format!(", standby {place}")).unwrap_or_default();
        line(format!("link {}: {} {}{standby}", link.link, link.place.kind(), link.place));
    }
    for link in &config.sockets {
        let acknowledges = link.device.as_ref().is_some_and(|(_, frame)| frame.ack().is_some());
        let worth =
            if acknowledges { "acknowledged after the commit" } else { "not acknowledged: lost while we are down" };
        line(format!("link {}: scanner, {}; frames are {worth}", link.link, link.place));
    }
    for equal in checked.devices.chunk_by(|a, b| (a.set, &a.map, &a.business_unit) == (b.set, &b.map, &b.business_unit))
    {
        let [device, ..] = equal else { continue };
        let last = equal.last().filter(|last| last.id != device.id);
        let ids = last.map_or(format!("device {}", device.id), |last| {
            format!("{} devices {} … {}", equal.len(), device.id, last.id)
        });
        let last = last.filter(|last| last.link != device.link);
        let links = last.map_or(device.link.clone(), |last| format!("{} … {}", device.link, last.link));
        let unit = if device.business_unit == config.business_unit {
            String::new()
        } else {
            format!(", business unit {}", device.business_unit)
        };
        line(format!("{ids}: {} on {links}{unit}", device.map));
        for (filter, levels) in equal.iter().flat_map(|device| device.filters.iter().zip(&device.levels)) {
            line(format!("  topic {filter}{}", named(levels)));
        }
        for kind in &device.kinds {
            line(format!("  {kind} -> {}", destinations(config, kind, Some(&device.id))));
        }
    }
    let gap = sequence_gap("", "", 0, 0).kind;
    line(format!("missing numbers of any device: {gap} -> {}", destinations(config, &gap, None)));
    for lane in &config.lanes {
        let target = &config.targets[lane.target];
        line(format!("lane {}: {} -> {} ({})", lane.id, lane.take.join(", "), target.id, target.url));
    }
    let hold = span(config::hold(config.outbox.max_size, rate).as_secs_f64());
    line(format!("at {rate} events/s the outbox holds {hold}; then devices are not acknowledged"));
    let rate = f64::from(rate);
    for link in &config.mqtt {
        let expiry = span(link.session_expiry.as_secs_f64());
        line(format!(
            "  the broker of link {} keeps the session for {expiry}, as far as its own limits allow",
            link.link
        ));
    }
    let written = match config.outbox.preset {
        Preset::Gentle => WRITTEN_PER_EVENT + WRITTEN_PER_COMMIT * (GENTLE_COMMITS / rate).min(1.0),
        Preset::Fast => WRITTEN_PER_EVENT + WRITTEN_PER_COMMIT * FAST_COMMITS_PER_EVENT,
    };
    let life = EMMC_BYTES / (written * rate);
    line(format!("  about {:.1} KB written for an event: an 8 GB eMMC lasts {}", written / 1e3, span(life)));
    text
}

/// What stands at each `+` of a topic, where the map has a name for it.
fn named(levels: &[String]) -> String {
    let names: Vec<&str> = levels.iter().map(|name| if name.is_empty() { "any" } else { name }).collect();
    match names.as_slice() {
        [] | ["any"] => String::new(),
        [name] => format!(" (+ is the {name})"),
        names => format!(" (each + in turn: {})", names.join(", ")),
    }
}

fn destinations(config: &Config, kind: &str, device: Option<&str>) -> String {
    let heard = |lane: &&lane::Config| device.is_none_or(|device| lane.hears(device));
    let lanes = config.lanes.iter().filter(|lane| lane.takes(kind)).filter(heard);
    let names: Vec<String> = lanes.map(|lane| format!("{} ({})", lane.id, lane.system)).collect();
    if names.is_empty() { "kept, not posted".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[site]\nid = \"dc1\"\ntimezone = \"Berlin\"\n";

    fn checked() -> (Vec<Fault>, Checked) {
        let document = Document { name: "gateway.toml".to_owned(), text: TEXT.to_owned() };
        let fault = |line, column, start: usize, end: usize, message: &str| Fault {
            file: "gateway.toml".to_owned(),
            span: start..end,
            line,
            column,
            key: "site.timezone".to_owned(),
            message: message.to_owned(),
            help: "write an IANA name".to_owned(),
        };
        let at = TEXT.find("\"Berlin").expect("it is in the text");
        let faults = vec![fault(3, 12, at, at + 8, "is not known")];
        let warnings = vec![fault(1, 1, 0, TEXT.len(), "is doubtful")];
        (faults.clone(), Checked { config: Err(faults), warnings, devices: Vec::new(), documents: vec![document] })
    }

    #[test]
    fn lines_for_a_pipe() {
        let (faults, checked) = checked();
        insta::assert_snapshot!(plain(&faults, &checked.warnings), @r#"
    gateway.toml:3:12: site.timezone: is not known (write an IANA name)
    gateway.toml:1:1: site.timezone: warning: is doubtful (write an IANA name)
    "#);
    }

    #[test]
    fn findings_for_a_script() {
        let (faults, checked) = checked();
        insta::assert_snapshot!(json(&faults, &checked.warnings), @r#"
    [
      {
        "severity": "fault",
        "file": "gateway.toml",
        "line": 3,
        "column": 12,
        "key": "site.timezone",
        "message": "is not known",
        "help": "write an IANA name"
      },
      {
        "severity": "warning",
        "file": "gateway.toml",
        "line": 1,
        "column": 1,
        "key": "site.timezone",
        "message": "is doubtful",
        "help": "write an IANA name"
      }
    ]
    "#);
        assert_eq!(json(&[], &[]), "[]\n");
    }

    #[test]
    fn snippets_for_a_terminal() {
        let (faults, checked) = checked();
        insta::assert_snapshot!(graphical(&faults, &checked, false), @r#"
      × site.timezone: is not known
       ╭─[gateway.toml:3:12]
     2 │ id = "dc1"
     3 │ timezone = "Berlin"
       ·            ────┬───
       ·                ╰── here
       ╰────
      help: write an IANA name
      ⚠ site.timezone: is doubtful
       ╭─[gateway.toml:1:1]
     1 │ [site]
       · ───┬──
       ·    ╰── here
     2 │ id = "dc1"
       ╰────
      help: write an IANA name
    1 fault, 1 warning
    "#);
    }

    #[test]
    fn what_is_the_same_in_many_places_is_told_once_and_listed_for_scripts() {
        let fault = |line: usize, key: &str, message: &str| Fault {
            file: "gateway.toml".to_owned(),
            span: 0..0,
            line,
            column: 7,
            key: key.to_owned(),
            message: message.to_owned(),
            help: String::new(),
        };
        let all = [
            fault(3, "device[1].map", "is doubtful"),
            fault(5, "device[1].link", "is doubtful"),
            fault(9, "device[2].map", "is doubtful"),
            fault(12, "device_set[1].map", "is doubtful"),
            fault(14, "device[3].map", "is not known"),
            fault(15, "site", "is doubtful"),
            fault(16, "site", "is doubtful"),
        ];
        insta::assert_snapshot!(plain(&all[4..], &all[..5]), @"
        gateway.toml:14:7: device[3].map: is not known
        gateway.toml:15:7: site: is doubtful
        gateway.toml:16:7: site: is doubtful
        gateway.toml:3:7: device[1].map: warning: is doubtful, and so it is in lines 9 and 12
        gateway.toml:5:7: device[1].link: warning: is doubtful
        gateway.toml:14:7: device[3].map: warning: is not known
        ");
        assert_eq!(json(&all, &[]).matches("\"line\"").count(), 7);
    }

    #[test]
    fn equal_devices_are_one_line() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let path = dir.path().join("gateway.toml");
        let shipped = include_str!("../../config/gateway.toml");
        let link = |n: u8| format!("[[link]]\nid = \"c{n}\"\nkind = \"modbus-tcp\"\naddress = \"10.0.0.{n}\"\n");
        let links: String = (1..=12).map(link).collect();
        let set = "[[device_set]]\nfor = { n = { from = 1, to = 12 } }\nid = \"belt-{n:02}\"\nlink = \"c{n}\"\n\
                   unit = 1\nmap = \"sorter@1\"\n";
        std::fs::write(&path, format!("{shipped}{links}{set}").replace("sorter-1", "belt-00")).expect("a file");
        let checked = config::check(&path);
        let config = checked.config.as_ref().unwrap_or_else(|faults| panic!("{faults:?}"));
        let text = summary(config, &checked, 300);
        let devices = text.lines().filter(|line| line.contains("device") || line.contains("divert"));
        insta::assert_snapshot!(devices.collect::<Vec<_>>().join("\n"), @"
        device hand: hand-scanner@1 on broker
        device belt-00: sorter@1 on sorter-net
          divert.confirmed -> outbound (erp)
          divert.missed -> outbound (erp)
          divert.recirculated -> outbound (erp)
          divert.unknown -> outbound (erp)
        12 devices belt-01 … belt-12: sorter@1 on c1 … c12
          divert.confirmed -> outbound (erp)
          divert.missed -> outbound (erp)
          divert.recirculated -> outbound (erp)
          divert.unknown -> outbound (erp)
        missing numbers of any device: sequence_gap -> kept, not posted
        lane outbound: divert.*, scan.carton -> erp (https://erp.example.com/floorgate/v1/events)
        at 300 events/s the outbox holds 3.1 hours; then devices are not acknowledged
        ");
    }

    #[test]
    fn warnings_are_faults_only_when_strict() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let path = dir.path().join("gateway.toml");
        let text = r#"
            site = { id = "dc1", timezone = "UTC" }
            gateway = { id = "gw-1", data_dir = "data" }
            link = [{ id = "plc", kind = "modbus-tcp", address = "10.0.0.1" }]
            device = [{ id = "sorter-1", link = "plc", map = "sorter@1", unit = 1 }]
            lane = [{ id = "all", target = "erp", take = ["divert.*"] }]
            [[target]]
            id = "erp"
            kind = "http"
            url = "http://erp.example.com/"
            idempotency = "key"
            dedup_horizon = "24h"
            answers = {}
        "#;
        std::fs::write(&path, text).expect("a file");
        for (strict, json, expected) in
            [(false, false, Exit::Clean), (true, false, Exit::Config), (true, true, Exit::Config)]
        {
            let args = Args { config: ConfigFile { path: path.clone() }, json, devices: false, strict, rate: None };
            assert_eq!(run(&args), expected.into(), "strict {strict}, json {json}");
        }
        assert_eq!(config::check(&path).warnings.len(), 1);
        let args = Args { config: ConfigFile { path }, json: true, devices: true, strict: false, rate: None };
        assert_eq!(run(&args), Exit::Clean.into());
    }

    #[test]
    fn a_place_that_is_doubted_is_told_at_its_key() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.toml");
        let mut checked = config::check(&path);
        let mut config = checked.config.expect("the shipped file is without fault");
        config.outbox.dir = "/proc/nix/data".into(); // where nothing can be made
        checked.documents[0].text.insert_str(0, "\n\n");
        let line =
            checked.documents[0].text.lines().position(|line| line.starts_with("data_dir")).expect("it is there");
        let told = place(&config, &checked.documents);
        let no_room = told.last().expect("it is told");
        assert_eq!((no_room.line, no_room.column, no_room.key.as_str()), (line + 1, 12, "gateway.data_dir"));
        assert!(no_room.message.contains("has no room at all"), "{no_room}");
    }

    #[test]
    fn what_goes_where() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.toml");
        let checked = config::check(&path);
        let config = checked.config.as_ref().expect("the shipped file is without fault");
        insta::assert_snapshot!(summary(config, &checked, 300), @r#"
    site dc1 (business unit main, Europe/Berlin), gateway gw-7
    link broker: mqtt 127.0.0.1:1883 as floorgate-gw-7
    link sorter-net: modbus-tcp 10.20.0.21:502
    device hand: hand-scanner@1 on broker
      topic dc1/scan/+/read (+ is the station)
      scan.carton -> outbound (erp)
      scan.item -> inbound (erp)
    device sorter-1: sorter@1 on sorter-net
      divert.confirmed -> outbound (erp)
      divert.missed -> outbound (erp)
      divert.recirculated -> outbound (erp)
      divert.unknown -> outbound (erp)
    missing numbers of any device: sequence_gap -> kept, not posted
    lane outbound: divert.*, scan.carton -> erp (https://erp.example.com/floorgate/v1/events)
    lane inbound: scan.item -> erp (https://erp.example.com/floorgate/v1/events)
    at 300 events/s the outbox holds 3.1 hours; then devices are not acknowledged
      the broker of link broker keeps the session for 7.0 days, as far as its own limits allow
      about 3.1 KB written for an event: an 8 GB eMMC lasts 301.6 days
    "#);
    }

    #[test]
    fn what_is_stored_for_another_site_is_a_fault_of_the_configuration() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.toml");
        let mut config = config::load(&path).expect("the example is right");
        config.outbox.dir = dir.path().to_owned();
        assert_eq!(stored(&config, &path), None, "nothing is stored yet");
        let told = |config: &Config| stored(config, &path).map(|(severity, fault)| (severity, fault.message));
        std::fs::write(dir.path().join("outbox.db"), "").expect("it is written");
        let (severity, message) = told(&config).expect("it is told");
        assert!(severity == "warning" && message.contains("outbox.db is empty, and no database yet"), "{message}");
        std::fs::write(dir.path().join("outbox.db"), "no database".repeat(999)).expect("it is written");
        let (severity, message) = told(&config).expect("it is told");
        let damaged = format!("{}: file is not a database: it was overwritten", dir.path().join("outbox.db").display());
        assert!(severity == "fault" && message.starts_with(&damaged), "{message}");
        std::fs::remove_file(dir.path().join("outbox.db")).expect("it is there");
        std::fs::create_dir(dir.path().join("outbox.db")).expect("it is made");
        let (severity, message) = told(&config).expect("it is told");
        let folder = format!("{} is a folder, and no outbox", dir.path().join("outbox.db").display());
        assert!(severity == "fault" && message.starts_with(&folder), "{message}");
        std::fs::remove_dir(dir.path().join("outbox.db")).expect("it is empty");
        let open = || {
            let outs = config.targets.iter().map(|_| tokio::sync::mpsc::channel(1).0).collect();
            outbox::Outbox::open(config.outbox.clone(), config.lanes.clone(), outs)
        };
        drop(open().expect("it opens"));
        assert_eq!(told(&config), None);
        config.outbox.site = "another".to_owned();
        let (severity, message) = told(&config).expect("it is refused");
        assert!(severity == "fault" && message.contains("belongs to site"), "{message}");
    }
}
