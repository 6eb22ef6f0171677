//! The service: what systemd is told, and the unit file in systemd's own eyes.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use crate::world::{Erp, Gateway, Site, free_port, note, peer};

const DEADLINE: Duration = Duration::from_secs(20);
/// The watchdog's period in the tests: a sign of life comes three times in it.
const PERIOD: Duration = Duration::from_millis(300);
/// So many periods without a sign of life are a silence, on a busy machine too.
const SILENCE: u32 = 5;
/// The exposure that the unit file may have, as `systemd-analyze security` counts it.
const EXPOSURE: f64 = 1.5;

/// The service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    path: String,
    _dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let path = dir.path().join("notify").display().to_string();
        let socket = UnixDatagram::bind(&path).expect("a socket in a folder of our own");
        Self { socket, path, _dir: dir }
    }

    /// The lines of the next datagram; `None` when none comes in that time.
    fn next(&self, patience: Duration) -> Option<Vec<String>> {
        self.socket.set_read_timeout(Some(patience)).expect("a time that is not nothing");
        let mut buffer = [0; 4096];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(e) => panic!("the socket can't be read: {e}"),
        }
    }

    /// The first datagram with that line.
    #[track_caller]
    fn wait(&self, line: &str) -> Vec<String> {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            let told = self.next(DEADLINE).unwrap_or_default();
            if told.iter().any(|l| l == line) {
                return told;
            }
        }
        panic!("waited in vain for {line}")
    }
}

fn gateway(manager: &Manager, watchdog: Option<Duration>) -> (Gateway, Site, Erp) {
    let erp = Erp::start();
    let site = Site::new().plc(free_port()).erp(&erp.url());
    let mut environment = vec![("NOTIFY_SOCKET", manager.path.as_str())];
    let period = watchdog.map(|period| period.as_micros().to_string());
    environment.extend(period.as_deref().map(|period| ("WATCHDOG_USEC", period)));
    (Gateway::start_with(&site, &environment), site, erp)
}

fn status(told: &[String]) -> &str {
    told.iter().find_map(|line| line.strip_prefix("STATUS=")).unwrap_or_else(|| panic!("no status in {told:?}"))
}

#[test]
fn the_service_manager_hears_ready_alive_and_stopping() {
    let (manager, begun) = (Manager::new(), Instant::now());
    let (gateway, _site, _erp) = gateway(&manager, Some(PERIOD));
    assert_eq!(status(&manager.next(DEADLINE).expect("it says something")), "running: site dc1, links 1, targets 1");
    for _ in 0..6 {
        let alive = manager.wait("WATCHDOG=1");
        assert!(status(&alive).starts_with("running: 0 KiB pending"), "{alive:?}");
    }
    note(
        "FIGURE",
        &format!("from the start to 6 signs of life at a watchdog of {PERIOD:?}: {} ms", begun.elapsed().as_millis()),
    );
    assert!(begun.elapsed() > PERIOD, "three in a period are enough");
    let log = gateway.log();
    assert_eq!(gateway.stop(DEADLINE).code(), Some(0), "{log}");
    let stopping = manager.wait("STOPPING=1");
    assert!(status(&stopping).starts_with("stopping"), "{stopping:?}");
    assert_eq!(manager.next(Duration::from_millis(1)), None, "nothing after it");
}

#[test]
fn a_writer_that_hangs_gives_no_sign_of_life() {
    let manager = Manager::new();
    let (gateway, site, _erp) = gateway(&manager, Some(PERIOD));
    manager.wait("WATCHDOG=1");
    let mut db = Connection::open(site.data().join("outbox.db")).expect("the outbox opens");
    // Whoever holds this makes the writer wait inside a transaction; it gives up after 5 s.
    let lock = db.transaction_with_behavior(TransactionBehavior::Immediate).expect("the writer lets others in");
    let begun = Instant::now();
    while manager.next(PERIOD * SILENCE).is_some() {
        assert!(begun.elapsed() < DEADLINE, "it gives signs of life with a writer that hangs");
    }
    assert!(gateway.is_running(), "it hangs: {}", gateway.log());
    drop(lock);
    manager.wait("WATCHDOG=1");
    assert_eq!(gateway.stop(DEADLINE).code(), Some(0));
}

#[test]
fn without_a_watchdog_there_is_a_status_and_no_sign_of_life() {
    let manager = Manager::new();
    let (gateway, _site, _erp) = gateway(&manager, None);
    let ready = manager.next(DEADLINE).expect("it says something");
    assert_eq!(ready[0], "READY=1");
    let renewed = manager.next(DEADLINE).expect("the status is renewed");
    assert_eq!(renewed.len(), 1, "{renewed:?}");
    assert!(status(&renewed).starts_with("running: "), "{renewed:?}");
    assert_eq!(gateway.stop(DEADLINE).code(), Some(0));
}

#[test]
fn a_wrong_configuration_is_never_ready() {
    let manager = Manager::new();
    let erp = Erp::start();
    let site = Site::new().plc(free_port()).erp(&erp.url()).outbox("preset = \"quick\"");
    let gateway = Gateway::start_with(&site, &[("NOTIFY_SOCKET", manager.path.as_str())]);
    assert_eq!(gateway.end(DEADLINE).code(), Some(78), "{}", gateway.log());
    assert_eq!(manager.next(Duration::from_millis(1)), None);
}

/// The unit file in a folder of its own, with the built binary in place of the installed one, and drop-ins.
fn unit(drop_ins: &[&str]) -> (tempfile::TempDir, String) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let read = |name: &str| fs::read_to_string(shipped.join(name)).expect("the shipped file is readable");
    let dir = tempfile::tempdir().expect("a temp folder");
    let file = dir.path().join("floorgate.service");
    let mut text = read("floorgate.service").replace("/usr/bin/floorgate", env!("CARGO_BIN_EXE_floorgate"));
    text.extend(drop_ins.iter().map(|name| format!("\n{}", read(name))));
    fs::write(&file, text).expect("the unit can be written");
    (dir, file.display().to_string())
}

/// `systemd-analyze` of a distribution's systemd, or SKIPPED.
fn analyze(arguments: &[&str]) -> Option<Output> {
    let program = peer("FLOORGATE_TEST_SYSTEMD_ANALYZE", "systemd-analyze")?;
    Some(Command::new(program).args(arguments).env("SYSTEMD_PAGER", "").output().expect("systemd-analyze runs"))
}

#[test]
fn the_unit_file_is_clean() {
    for drop_ins in [&[][..], &["serial.conf"]] {
        let (_dir, file) = unit(drop_ins);
        let Some(output) = analyze(&["verify", "--recursive-errors=no", &file]) else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        // It names other units of the machine too, if they are wrong.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("floorgate")).collect();
        assert!(output.status.success() && ours.is_empty(), "{drop_ins:?}: {said}");
    }
}

#[test]
fn the_service_is_exposed_no_more_than_it_must_be() {
    for drop_ins in [&[][..], &["serial.conf"]] {
        let (_dir, file) = unit(drop_ins);
        let Some(output) = analyze(&["security", "--offline=yes", "--no-pager", &file]) else { return };
        let said = String::from_utf8_lossy(&output.stdout);
        let level = said.lines().find_map(|line| line.split_once("Overall exposure level for floorgate.service: "));
        let level = level.and_then(|(_, level)| level.split(' ').next()).and_then(|level| level.parse::<f64>().ok());
        assert!(level.is_some_and(|level| level <= EXPOSURE), "{drop_ins:?}: {said}");
        note("FIGURE", &format!("exposure of the service with drop-ins {drop_ins:?}: {}", level.unwrap_or_default()));
    }
}

#[test]
fn the_unit_waits_longer_than_the_gateway_drains() {
    let (_dir, file) = unit(&[]);
    let text = fs::read_to_string(file).expect("the unit is readable");
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let seconds = |key: &str| value(key).strip_suffix('s').and_then(|text| text.parse().ok()).map(Duration::from_secs);
    for key in ["TimeoutStopSec", "WatchdogSec"] {
        assert!(seconds(key) > Some(floorgate::app::DRAINED_AFTER), "{key}={}", value(key));
    }
    let kept_down = [floorgate::app::Exit::Usage, floorgate::app::Exit::Config].map(|exit| (exit as u8).to_string());
    assert_eq!(value("RestartPreventExitStatus").split(' ').collect::<Vec<_>>(), kept_down);
    assert_eq!((value("Restart"), value("Type")), ("always", "notify"));
}
