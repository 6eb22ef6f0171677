//! The sorter PLC: `tests/peers/plc.py`, on pymodbus, as a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::Process;
use crate::oracle::Produced;

/// A running PLC.
pub(crate) struct Plc {
    pub(crate) port: u16,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Process,
}

impl Plc {
    pub(crate) fn start(python: &str, arguments: &[&str]) -> Self {
        Self::start_peer(python, "plc.py", arguments)
    }

    /// Another script of `tests/peers` that speaks like it.
    pub(crate) fn start_peer(python: &str, script: &str, arguments: &[&str]) -> Self {
        let script = format!("{}/tests/peers/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process(command.spawn().expect("the PLC starts"));
        let commands = process.0.stdin.take().expect("its input is ours");
        let mut answers = BufReader::new(process.0.stdout.take().expect("its output is ours"));
        Self { port: port_of(&mut answers), commands, answers, _process: process }
    }

    /// One command, one answer.
    pub(crate) fn tell(&mut self, command: &str) -> Value {
        writeln!(self.commands, "{command}").expect("the PLC reads commands");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the PLC answers");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("the PLC answered {line:?} to {command}: {e}"))
    }

    /// One field of `state`: a list of events.
    pub(crate) fn list(&mut self, field: &str) -> Vec<Produced> {
        let state = self.tell("state");
        plc_events(&state[field])
    }
}

/// The port of a peer that says `port N` first.
pub(crate) fn port_of(output: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    output.read_line(&mut line).expect("a peer says its port");
    let port = line.trim().strip_prefix("port ").and_then(|port| port.parse().ok());
    port.unwrap_or_else(|| panic!("instead of its port a peer said {line:?}"))
}

/// Ids of the PLC's events as the oracle names them.
pub(crate) fn plc_events(events: &Value) -> Vec<Produced> {
    events_of("sorter-1", events)
}

/// The same for a sorter of another name.
pub(crate) fn events_of(device: &str, events: &Value) -> Vec<Produced> {
    let number = |event: &Value, name: &str| event[name].as_u64().expect("the PLC writes numbers");
    let id = |event: &Value| format!("{device}/d:{:04X}/{}", number(event, "epoch"), number(event, "seq"));
    let line = |event: &Value| format!("plc {}", event["sscc"]);
    let events = events.as_array().unwrap_or_else(|| panic!("not a list: {events}"));
    events.iter().map(|event| Produced { id: id(event), line: line(event) }).collect()
}
