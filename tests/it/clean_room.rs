//! The contract's page is enough: an endpoint that was written from `docs/erp-contract.md` alone, by someone who had seen
//! nothing else of the project (`tests/peers/from_the_page.py`), passes `target verify`, and the gateway delivers to it
//! through every fault.

use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use floorgate::event::{device_event_id, posting_id};
use serde_json::{Value, json};

use crate::oracle::{Produced, judge};
use crate::world::{
    Broker, Database, Gateway, Process, Scanner, Settings, Site, Way, Wire, mosquitto, note, port_of, python,
    run_to_end, wait_at_most,
};

const MAP: &str = include_str!("tryton/map.toml");
const BOOT: &str = "b1";
const TOKEN: &str = "open-sesame";
pub(crate) const HORIZON: Duration = Duration::from_secs(5);
/// Nothing may stand still for so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The endpoint; it keeps its port and what it booked over a kill.
pub(crate) struct Endpoint {
    python: String,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    process: Process,
    port: u16,
    pub(crate) kills: usize,
}

impl Endpoint {
    /// `None`, told as SKIPPED, where a peer is missing.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let (python, folder) = (python()?, tempfile::tempdir().expect("a temp folder"));
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).expect("a file");
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (process, port) = serve(&python, folder.path(), &arguments, 0);
        Some(Self { python, folder, arguments, process, port, kills: 0 })
    }

    /// kill -9, and its start on the same port.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        self.kills += 1;
        (self.process, self.port) = serve(&self.python, self.folder.path(), &self.arguments, self.port);
    }

    /// A file in its folder.
    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Keys of what has taken effect, in that order.
    pub(crate) fn booked(&self) -> Vec<String> {
        let database = rusqlite::Connection::open(self.folder.path().join("erp.db")).expect("its database");
        database.busy_timeout(PATIENCE).expect("a setting of the connection");
        let mut select = database.prepare("SELECT key FROM booking ORDER BY number").expect("its table");
        let keys: Result<_, _> = select.query_map([], |row| row.get(0)).expect("a query").collect();
        keys.expect("keys are text")
    }
}

fn serve(python: &str, folder: &Path, arguments: &[String], port: u16) -> (Process, u16) {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/from_the_page.py"));
    command.args(["--port", &port.to_string(), "--db"]).arg(folder.join("erp.db"));
    command.arg("--token-file").arg(folder.join("token")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process(command.spawn().expect("the endpoint starts"));
    let output = process.0.stdout.take().expect("its output is ours");
    (process, port_of(&mut BufReader::new(output)))
}

/// The endpoint as the configuration names it, behind `port`.
pub(crate) fn delivery(endpoint: &Endpoint, port: u16) -> String {
    let base = format!("http://127.0.0.1:{port}/floorgate/v1");
    let lane = |id: &str, take: &str| {
        format!("[[lane]]\nid = \"{id}\"\ntarget = \"erp\"\nclass = \"ledger\"\ntake = [{take}]\n")
    };
    format!(
        "[[target]]\nid = \"erp\"\nkind = \"http\"\nurl = \"{base}/events\"\nauth = {{ bearer_file = \"{}\" }}\n\
         lookup = {{ url = \"{base}/lookup\", max_keys = 10 }}\nsettle_delay = \"1s\"\n\
         batch = {{ max_events = 8, linger = \"20ms\", format = \"json-array\", wrap = \"events\" }}\nordered_batch = true\n\
         idempotency = \"key\"\ndedup_horizon = \"{}s\"\ntimeout = \"2s\"\nanswers = {{ items = \"/results\" }}\n\
         retry = {{ first = \"100ms\", max = \"500ms\" }}\nbreaker = {{ first = \"200ms\", max = \"500ms\" }}\n{}{}",
        endpoint.folder.path().join("token").display(),
        HORIZON.as_secs(),
        lane("inbound", "\"goods_receipt\""),
        lane("stock", "\"stock_*\""),
    )
}

/// What happens on the floor, one of three kinds, about few things: many of one subject.
fn happening(number: usize) -> (Value, &'static str, String) {
    let (item, place) = (format!("SKU-{}", number % 7), format!("A-{}", number % 3));
    match number % 5 {
        0 => {
            let message = json!({ "kind": "received", "po": place, "item": item, "qty": 3, "uom": "EA", "dock": "IN" });
            (message, "goods_receipt", format!("po/{place}"))
        }
        1 => {
            let message = json!({ "kind": "counted", "item": item, "location": place, "qty": 40, "uom": "EA",
                "as_of_seq": number });
            (message, "stock_count", format!("stock/{item}//{place}"))
        }
        _ => {
            let message = json!({ "kind": "moved", "item": item, "qty": 2, "uom": "EA", "from": place, "to": "B-1" });
            (message, "stock_transfer", format!("stock/{item}//{place}"))
        }
    }
}

/// Floor, gateway and network before that endpoint.
pub(crate) struct Hall {
    /// Tells its last words while the others are still there.
    pub(crate) gateway: Gateway,
    pub(crate) endpoint: Endpoint,
    pub(crate) wire: Wire,
    pub(crate) site: Site,
    floor: Scanner,
    /// What the endpoint can book, in order.
    pub(crate) produced: Vec<Produced>,
    /// How many happenings there were.
    count: usize,
    _broker: Broker,
}

impl Hall {
    fn open(endpoint: Endpoint, mosquitto: &str) -> Self {
        Self::open_as(endpoint, mosquitto, &delivery)
    }

    /// The same with another configuration of the endpoint.
    pub(crate) fn open_as(endpoint: Endpoint, mosquitto: &str, delivery: &dyn Fn(&Endpoint, u16) -> String) -> Self {
        let broker = Broker::start(mosquitto, Settings::Shipped);
        let wire = Wire::start(endpoint.port);
        let device = "[[device]]\nid = \"floor\"\nlink = \"broker\"\nmap = \"floor@1\"\n";
        let site = Site::new().broker_with(broker.port, 5, device).delivery(delivery(&endpoint, wire.port));
        site.map("floor", MAP);
        let gateway = Gateway::start(&site);
        wait_at_most(PATIENCE, "the gateway to be up", &mut || gateway.say(&["status", "--json"]).1.contains("\"up\""));
        let floor = Scanner::connect(broker.port, "the-floor");
        Self { endpoint, wire, site, gateway, floor, produced: Vec::new(), count: 0, _broker: broker }
    }

    /// So much more happens; the broker has it then.
    pub(crate) fn work(&mut self, count: usize) {
        for _ in 0..count {
            let (message, tx_type, line) = happening(self.count + 1);
            let id = self.tell(message, tx_type);
            self.produced.push(Produced { id, line });
        }
        self.floor.flush();
    }

    /// One thing happens; the key of its posting.
    pub(crate) fn tell(&mut self, mut message: Value, tx_type: &str) -> String {
        self.count += 1;
        message["boot"] = BOOT.into();
        message["seq"] = self.count.into();
        self.floor.publish("floor/happened", message.to_string().as_bytes());
        let event = device_event_id("dc1", "floor", &format!("d:{BOOT}"), &self.count.to_string(), 0);
        posting_id(event, "erp", tx_type, 0).to_string()
    }

    /// Until more of them have taken effect.
    #[track_caller]
    pub(crate) fn wait_more(&self, more: usize) {
        let wanted = (self.endpoint.booked().len() + more).min(self.produced.len());
        wait_at_most(PATIENCE, "more to be booked", &mut || self.endpoint.booked().len() >= wanted);
    }

    /// The answer to some batch was lost: not merely one to a question for a job.
    fn is_unsure(&self) -> bool {
        let status = self.gateway.status();
        status["lanes"].as_array().expect("lanes").iter().any(|lane| lane["unknown"].as_u64() > Some(0))
    }

    #[track_caller]
    pub(crate) fn wait_settled(&self) {
        wait_at_most(PATIENCE, "the outbox to settle everything", &mut || {
            let database = Database::read(self.site.data());
            database.events.len() == self.count && database.pending.is_empty()
        });
    }
}

/// Kills of both, answers that are lost, a network away for longer than the endpoint is believed to know keys.
fn every_fault(arguments: &[&str]) {
    let (Some(mosquitto), Some(endpoint)) = (mosquitto(), Endpoint::start(arguments)) else { return };
    let mut hall = Hall::open(endpoint, &mosquitto);
    for round in 0..3 {
        hall.work(60);
        hall.wait_more(10);
        hall.endpoint.kill();
        hall.wait_more(10);
        hall.wire.set(Way::Deaf);
        let swallowed = hall.wire.swallowed();
        hall.work(20);
        wait_at_most(PATIENCE, "an answer to be lost", &mut || hall.wire.swallowed() > swallowed);
        if round == 1 {
            hall.endpoint.kill();
        }
        hall.gateway.kill();
        hall.wire.set(Way::Open);
        hall.gateway.start_again();
        hall.wait_more(10);
    }
    hall.wait_settled(); // so that what is lost next is the answer to a batch
    let lookups = hall.wire.lookups();
    hall.wire.set(Way::Deaf);
    hall.work(30);
    wait_at_most(PATIENCE, "a batch of which nobody knows what came of it", &mut || hall.is_unsure());
    hall.wire.set(Way::Cut);
    let cut = std::time::Instant::now();
    wait_at_most(PATIENCE, "what keys are remembered for to pass", &mut || cut.elapsed() > HORIZON);
    hall.wire.set(Way::Open);
    hall.wait_settled();
    let judgement = judge(&hall.produced, &hall.endpoint.booked());
    assert!(judgement.is_clean(), "{judgement}");
    assert!(hall.wire.lookups() > lookups, "after the outage keys are asked for before anything is sent again");
    note(
        "FIGURE",
        &format!(
            "written from the page, {arguments:?}: {judgement}; {} x kill -9 of the endpoint, 3 of the gateway, {} answers lost, \
             {} questions for keys",
            hall.endpoint.kills,
            hall.wire.swallowed(),
            hall.wire.lookups()
        ),
    );
}

#[test]
fn what_was_written_from_the_page_alone_gets_each_posting_once_and_in_order() {
    every_fault(&["--test-system"]);
}

#[test]
fn what_was_written_from_the_page_alone_may_book_later() {
    every_fault(&["--test-system", "--job-seconds", "0.3"]);
}

#[test]
fn what_was_written_from_the_page_alone_passes_each_check() {
    // Those that are left out: a job where it has none; all that post where it is not a test system.
    for (arguments, ok) in [(&["--test-system", "--job-seconds", "0.3"][..], 26), (&["--test-system"], 25), (&[], 11)] {
        let Some(endpoint) = Endpoint::start(arguments) else { return };
        let site = Site::new().links(
            "[[link]]\nid = \"broker\"\nkind = \"mqtt\"\naddress = \"mqtt://127.0.0.1:1883\"\n\
             [[device]]\nid = \"floor\"\nlink = \"broker\"\nmap = \"floor@1\"\n",
        );
        let site = site.delivery(delivery(&endpoint, endpoint.port));
        site.map("floor", MAP);
        let config = site.write().display().to_string();
        let output = run_to_end(&["target", "verify", "erp", "--json", "--config", &config]);
        let told = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}"));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {report:#}");
        // It may answer sooner than its connection can be closed.
        let checks = report["checks"].as_array().expect("a list");
        let quick = checks.iter().any(|check| check["check"] == "broken-off" && check["end"] == "left_out");
        let ok = if quick && arguments.contains(&"--test-system") { ok - 1 } else { ok };
        assert_eq!((&report["failed"], &report["ok"]), (&json!(0), &json!(ok)), "{arguments:?}: {report:#}");
    }
}
