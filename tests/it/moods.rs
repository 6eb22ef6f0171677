//! A unit that answers, refuses everything, or says nothing: what the log and `floorgate status` make of it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::world::{Gateway, Site, free_port, wait_for};

const MAP: &str = "schema = 1\n[map]\nid = \"test-lane\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"zero\"\n\
    [poll.all]\nevery = \"50ms\"\n\
    [[tag]]\nname = \"weight\"\narea = \"holding\"\nat = 10\ntype = \"u16\"\npoll = \"all\"\n\
    [[event]]\nname = \"lane.changed\"\non = { change = \"weight\" }\n";

/// What the unit does: answers, or this exception; [`SILENT`] says nothing.
const GOOD: u8 = 0;
const SILENT: u8 = 255;
/// It says nothing of the register at 20, and answers what else it is asked.
const HALF_SILENT: u8 = 254;

/// A second poll, of another register.
const REST: &str = "[poll.rest]\nevery = \"60ms\"\n\
    [[tag]]\nname = \"count\"\narea = \"holding\"\nat = 20\ntype = \"u16\"\npoll = \"rest\"\n";

#[derive(Default)]
struct Unit {
    mood: AtomicU8,
    requests: AtomicUsize,
}

/// A Modbus TCP server with one register, at that port, or at a free one for 0.
fn unit(port: u16) -> (Arc<Unit>, u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port was free");
    let port = listener.local_addr().expect("the listener has an address").port();
    let unit = Arc::new(Unit::default());
    let ours = Arc::clone(&unit);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let unit = Arc::clone(&ours);
            thread::spawn(move || serve(&unit, stream));
        }
    });
    (unit, port)
}

fn serve(unit: &Unit, mut stream: TcpStream) {
    let mut request = [0; 12];
    while stream.read_exact(&mut request).is_ok() {
        unit.requests.fetch_add(1, Ordering::SeqCst);
        let body = match unit.mood.load(Ordering::SeqCst) {
            SILENT => continue,
            HALF_SILENT if request[9] == 20 => continue,
            GOOD | HALF_SILENT => vec![request[6], 3, 2, 0, 7],
            exception => vec![request[6], 0x83, exception],
        };
        let length = u8::try_from(body.len()).expect("it is short");
        if stream.write_all(&[&request[..4], &[0, length], &body].concat()).is_err() {
            return;
        }
    }
}

impl Unit {
    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    /// So many requests more were made.
    fn asked(&self, more: usize) {
        let before = self.requests.load(Ordering::SeqCst);
        wait_for("more requests", || self.requests.load(Ordering::SeqCst) >= before + more);
    }
}

fn gateway(port: u16) -> Gateway {
    gateway_with(port, MAP)
}

fn gateway_with(port: u16, map: &str) -> Gateway {
    let site = Site::new().erp("http://127.0.0.1:9/").links(&format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\nrequest_timeout = \"100ms\"\n\
         reconnect = {{ min = \"50ms\", max = \"100ms\" }}\n\
         [[device]]\nid = \"lane-1\"\nlink = \"net\"\nunit = 9\nmap = \"test-lane@1\"\n"
    ));
    site.map("test-lane", map);
    Gateway::start(&site)
}

fn told(gateway: &Gateway, what: &str) -> usize {
    gateway.log().lines().filter(|line| line.contains(what)).count()
}

fn device(gateway: &Gateway) -> Value {
    let (_, said) = gateway.say(&["status", "lane-1", "--json"]);
    serde_json::from_str(&said).unwrap_or_default()
}

#[test]
fn a_unit_that_refuses_everything_is_told_once_with_what_to_look_at() {
    let (unit, port) = unit(0);
    unit.is(4);
    let gateway = gateway(port);
    unit.asked(10);
    wait_for("the refusal in the log", || told(&gateway, "the device refuses what it is asked") == 1);
    unit.asked(20);
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("the device refuses what it is asked")).collect();
    let [line] = lines.as_slice() else { panic!("told once: {log}") };
    assert!(
        line.contains("\"WARN\"") && line.contains("exception 4") && line.contains("is the unit id right?"),
        "{line}"
    );
    let (_, text) = gateway.say(&["status", "lane-1"]);
    assert!(text.contains("  refused  ") && text.contains("is the unit id right?"), "{text}");

    unit.is(GOOD);
    wait_for("that it is over", || told(&gateway, "the device takes what it is asked again") == 1);
    let (_, text) = gateway.say(&["status", "lane-1"]);
    assert!(!text.contains("is the unit id right?"), "{text}");
    unit.is(6);
    unit.asked(1);
    unit.is(GOOD);
    unit.asked(10);
    assert_eq!(told(&gateway, "the device refuses"), 1, "one refusal between good answers is no news");
}

#[test]
fn a_unit_that_says_nothing_is_told_once_and_so_is_its_link() {
    let (unit, port) = unit(0);
    let gateway = gateway(port);
    unit.asked(5);
    assert_eq!(told(&gateway, "\"connected\""), 1, "{}", gateway.log());
    unit.is(SILENT);
    unit.asked(8);
    let log = gateway.log();
    let counts = ["no right answer from the unit", "link down", "\"connected\""].map(|what| told(&gateway, what));
    assert_eq!(counts, [1, 1, 1], "{log}");
    unit.is(GOOD);
    wait_for("that it answers", || told(&gateway, "the unit answers again") == 1);
    unit.asked(5);
    assert_eq!(told(&gateway, "\"connected\""), 2, "{}", gateway.log());
}

#[test]
fn a_unit_that_answers_one_of_two_polls_stays_in_one_state() {
    let (unit, port) = unit(0);
    let gateway = gateway_with(port, &MAP.replace("[[event]]", &format!("{REST}[[event]]")));
    unit.asked(5);
    unit.is(HALF_SILENT);
    wait_for("what it does not answer to be told", || device(&gateway)["state"] == "stuck");
    let text = gateway.say(&["status", "lane-1"]).1;
    assert!(text.contains("it answers, but not to each poll: "), "{text}");
    let mut states = std::collections::BTreeSet::new();
    let begun = unit.requests.load(Ordering::SeqCst);
    while unit.requests.load(Ordering::SeqCst) < begun + 30 {
        states.insert(device(&gateway)["state"].to_string());
    }
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["\"stuck\""], "{}", gateway.log());
    assert_eq!(told(&gateway, "no right answer from the unit"), 1, "{}", gateway.log());
    unit.is(GOOD);
    wait_for("that it answers", || device(&gateway)["state"] == "up");
    assert_eq!(told(&gateway, "the unit answers again"), 1, "{}", gateway.log());
}

/// Its slow poll was answered before: that says nothing of now.
#[test]
fn a_unit_that_is_away_is_down_whatever_it_answered_before() {
    let (unit, port) = unit(0);
    let map = MAP.replace("[[event]]", &format!("{}[[event]]", REST.replace("60ms", "1h")));
    let gateway = gateway_with(port, &map);
    unit.asked(8);
    unit.is(SILENT);
    wait_for("the unit to be down", || {
        let state = device(&gateway)["state"].clone();
        assert_ne!(state, "stuck", "{}", gateway.log());
        state == "down"
    });
    let begun = unit.requests.load(Ordering::SeqCst);
    while unit.requests.load(Ordering::SeqCst) < begun + 20 {
        assert_eq!(device(&gateway)["state"], "down", "{}", gateway.log());
    }
}

/// A connection that can't be made is an error, and no request.
#[test]
fn connections_that_fail_are_no_part_of_the_requests_that_failed() {
    let port = free_port();
    let gateway = gateway(port);
    let link = || {
        let (_, said) = gateway.say(&["status", "net", "--json"]);
        serde_json::from_str::<Value>(&said).unwrap_or_default()
    };
    wait_for("failed connections", || link()["errors"]["refused"].as_u64() >= Some(4));
    let (unit, _) = unit(port);
    unit.asked(3);
    wait_for("an answer", || link()["state"] == "up");
    unit.is(4);
    wait_for("a refusal", || device(&gateway)["failed_requests"].as_u64() >= Some(1));
    let (refused, failed, requests) = (&link()["errors"]["refused"], &link()["failed_requests"], &link()["requests"]);
    assert!(refused.as_u64() >= Some(4) && failed.as_u64() <= requests.as_u64(), "{refused} {failed} {requests}");
    let (_, text) = gateway.say(&["status", "net"]);
    assert!(text.contains(" % of requests)"), "{text}");
}
