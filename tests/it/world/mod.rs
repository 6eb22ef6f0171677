//! The world around the gateway: real peers as processes on free ports, each with a folder of its own, ended by their
//! own handle when the test lets go of them.

mod batches;
mod broker;
mod bus;
mod database;
mod erp;
mod floor;
mod gateway;
mod plc;
mod proxy;
mod scanner;
mod site;
mod socat;
mod tryton;
mod wire;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

pub(crate) use batches::{batches, rows, text};
pub(crate) use broker::{Broker, Settings};
pub(crate) use bus::{Links, Pty};
pub(crate) use database::{Committed, Database};
pub(crate) use erp::{Behaviour, Erp, ItemResult};
pub(crate) use floor::Floor;
pub(crate) use gateway::{Gateway, run_to_end};
pub(crate) use plc::{Plc, events_of, plc_events, port_of};
pub(crate) use proxy::Proxy;
pub(crate) use scanner::Scanner;
pub(crate) use site::{Site, sscc};
pub(crate) use socat::{Line, Serial};
pub(crate) use tryton::Tryton;
pub(crate) use wire::{Errand, Seen, Way, What, Wire};

/// How long a condition may take on a busy machine before the test calls it broken.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for a condition; never longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    wait_at_most(PATIENCE, what, &mut condition);
}

/// Waits for a condition; never longer than `patience`.
#[track_caller]
pub(crate) fn wait_at_most(patience: Duration, what: &str, condition: &mut dyn FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody listens on. Another program may take it before its user does; the tests accept that.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the listener has an address").port()
}

/// A process that is killed, by its own handle, when it is dropped.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// kill -9, and the end awaited.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("our own child can be killed");
        self.0.wait().expect("our own child can be awaited");
    }

    /// SIGTERM; the end is not awaited.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.0.id());
        let status = std::process::Command::new("sh").args(["-c", &kill]).status().expect("sh runs");
        assert!(status.success(), "{kill} failed");
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(&mut self, patience: Duration) -> ExitStatus {
        let mut status = None;
        wait_at_most(patience, "the process to end", &mut || {
            status = self.0.try_wait().expect("our own child can be asked");
            status.is_some()
        });
        status.expect("the wait ended with a status")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Tells a figure or a skipped test: on standard output, and to the file that `tests/run` reads.
pub(crate) fn note(kind: &str, text: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    println!("{kind} {test}: {text}");
    if let Ok(path) = std::env::var("FLOORGATE_TEST_NOTES") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("the notes can be written");
        writeln!(file, "{kind} {test}: {text}").expect("the notes can be written");
    }
}

/// The value of an environment variable that names a peer; `None`, told as SKIPPED, without it.
pub(crate) fn peer(variable: &str, what: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        note("SKIPPED", &format!("needs {what}: run tests/run, or name it in {variable}"));
    }
    value
}

/// mosquitto's path, or SKIPPED.
pub(crate) fn mosquitto() -> Option<String> {
    peer("FLOORGATE_TEST_MOSQUITTO", "mosquitto")
}

/// mosquitto_pub's path, or SKIPPED.
pub(crate) fn mosquitto_pub() -> Option<String> {
    peer("FLOORGATE_TEST_MOSQUITTO_PUB", "mosquitto_pub")
}

/// A Python with pymodbus, or SKIPPED.
pub(crate) fn python() -> Option<String> {
    peer("FLOORGATE_TEST_PYTHON", "a Python with pymodbus")
}

/// socat's path, or SKIPPED.
pub(crate) fn socat() -> Option<String> {
    peer("FLOORGATE_TEST_SOCAT", "socat")
}
