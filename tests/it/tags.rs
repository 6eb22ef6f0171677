//! Cyclic tags on pymodbus: bits and counters of many lanes behind one unit, through the link into the outbox.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use floorgate::source::health::State;

use crate::world::{Committed, Database, Links, Plc, Pty, Site, python, socat, wait_for};

const MAP: &str = r#"
schema = 1
[map]
id = "test-lane"
version = 1
protocol = "modbus"
addresses = "zero"
[param]
lane = { type = "int" }
mode_at = { type = "int", default = 10 }
[poll.io]
every = "20ms"
[poll.counters]
every = "40ms"
priority = 5
[[tag]]
name = "eye"
area = "discrete"
at = "{lane * 4}"
type = "bool"
poll = "io"
[[tag]]
name = "full"
area = "coil"
at = "{lane * 4 + 1}"
type = "bool"
poll = "io"
[[tag]]
name = "mode"
area = "holding"
at = "{mode_at}"
type = "u16"
poll = "counters"
[[tag]]
name = "cartons"
area = "input"
at = "{1000 + lane * 4}"
type = "u32"
order = "CDAB"
poll = "counters"
counter = { wraps_at = 4294967296, reset = "detect" }
[[event]]
name = "lane.entered"
on = { count = "cartons" }
subject = "lane-{lane}"
[[event]]
name = "lane.blocked"
on = { rising = "eye" }
subject = "lane-{lane}"
[[event]]
name = "lane.full"
on = { rising = "full" }
subject = "lane-{lane}"
[[event]]
name = "lane.mode"
on = { change = "mode" }
subject = "lane-{lane}"
"#;

/// A site with that many lanes on each unit.
fn site(port: u16, units: u16, lanes: u16, params: &dyn Fn(u16, u16) -> String) -> Site {
    let place = format!("kind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"");
    site_at(Site::new(), &place, (units, lanes), params)
}

/// The same on a link of any kind.
fn site_at(site: Site, place: &str, (units, lanes): (u16, u16), params: &dyn Fn(u16, u16) -> String) -> Site {
    let mut text = format!(
        "[[link]]\nid = \"net\"\n{place}\n\
         reconnect = {{ min = \"50ms\", max = \"200ms\" }}\n"
    );
    for (unit, lane) in (1..=units).flat_map(|unit| (0..lanes).map(move |lane| (unit, lane))) {
        let params = params(unit, lane);
        writeln!(
            text,
            "[[device]]\nid = \"u{unit}-l{lane}\"\nlink = \"net\"\nunit = {unit}\nmap = \"test-lane@1\"\n\
             params = {{ lane = {lane}{params} }}"
        )
        .expect("writing to a String cannot fail");
    }
    let site = site.erp("http://127.0.0.1:9/").links(&text);
    let folder = site.dir().join("devices/test-lane");
    std::fs::create_dir_all(&folder).expect("a folder for the map");
    std::fs::write(folder.join("map.toml"), MAP).expect("the map can be written");
    site
}

/// How often each (device, kind) is committed; cartons by what their events say.
fn committed(site: &Site) -> BTreeMap<(String, String), u64> {
    let mut sums = BTreeMap::new();
    for Committed { device, kind, body, .. } in Database::committed(site.data()) {
        *sums.entry((device, kind)).or_insert(0) += body["count"].as_u64().unwrap_or(1);
    }
    sums
}

/// All its tables were read: a change from now on is one.
fn known(links: &Links, device: &str) -> bool {
    links.device(device).requests > 8 // four tables on two periods
}

fn sum(site: &Site, source: &str, kind: &str) -> u64 {
    committed(site).get(&(source.to_owned(), kind.to_owned())).copied().unwrap_or_default()
}

#[test]
fn lanes_behind_one_unit_share_requests_and_each_change_is_one_event() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--units", "2"]);
    let site = site(plc.port, 2, 8, &|_, _| String::new());
    let links = Links::start(&site);
    wait_for("the lanes to be read", || ["u1-l0", "u2-l7"].iter().all(|lane| known(&links, lane)));
    plc.tell("requests");
    for round in 1..=5 {
        for lane in 0..8 {
            plc.tell(&format!("count 1 {} {}", 1000 + lane * 4, lane + 1));
        }
        plc.tell("input 2 28 1");
        wait_for("the eye", || sum(&site, "u2-l7", "lane.blocked") == round);
        plc.tell("input 2 28 0");
        let asked = links.device("u2-l7").requests;
        wait_for("the eye to be read as free", || links.device("u2-l7").requests > asked + 8);
        wait_for("the cartons", || {
            (0..8).all(|lane| sum(&site, &format!("u1-l{lane}"), "lane.entered") == round * (lane + 1))
        });
    }
    plc.tell("coil 1 5 1");
    wait_for("the coil", || sum(&site, "u1-l1", "lane.full") == 1);
    let requests = plc.tell("requests");
    let kinds: Vec<&String> = requests.as_object().expect("an object").keys().collect();
    assert_eq!(kinds.len(), 8, "four tables of two units, one request each for all lanes: {kinds:?}");
    assert!(
        committed(&site).keys().all(|(_, kind)| kind != "lane.mode"),
        "nothing else happened: {:?}",
        committed(&site)
    );
}

#[test]
fn an_address_that_is_not_there_costs_its_tag_and_nothing_else() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    let site = site(plc.port, 1, 2, &|_, lane| if lane == 1 { ", mode_at = 5000".to_owned() } else { String::new() });
    let links = Links::start(&site);
    wait_for("the cartons to be read", || {
        plc.tell("count 1 1004 1");
        sum(&site, "u1-l1", "lane.entered") > 0
    });
    plc.tell("word 1 10 7");
    wait_for("the mode of the lane that has one", || sum(&site, "u1-l0", "lane.mode") == 1);
    let told = links.device("u1-l1");
    assert_eq!((told.state, told.errors.get("exception 2").is_some_and(|n| *n < 5)), (State::Up, true), "{told:?}");
}

#[test]
fn counts_and_edges_survive_a_stop_and_a_link_that_breaks() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    let site = site(plc.port, 1, 3, &|_, _| String::new());
    let mut due = 0;
    for round in 0..4 {
        let links = Links::start(&site);
        wait_for("the lanes to be read", || known(&links, "u1-l2"));
        plc.tell("count 1 1008 3");
        due += 3;
        if round % 2 == 0 {
            wait_for("three cartons", || sum(&site, "u1-l2", "lane.entered") == due);
        }
        drop(links);
        plc.tell("count 1 1008 2"); // nobody looks
        due += 2;
    }
    let _links = Links::start(&site);
    wait_for("all cartons", || sum(&site, "u1-l2", "lane.entered") >= due);
    assert_eq!(sum(&site, "u1-l2", "lane.entered"), due);
}

/// Functions 1 to 4 on a serial line: bits and words of both tables, told from their neighbours.
#[test]
fn all_four_tables_are_read_over_a_serial_line() {
    let (Some(python), Some(socat)) = (python(), socat()) else { return };
    let site = Site::new();
    let pty = Pty::start(&socat, site.dir());
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--serial", &pty.theirs.display().to_string()]);
    let place = format!(
        "kind = \"modbus-rtu\"\nserial = {{ port = \"{}\", baud = 19200, parity = \"none\" }}",
        pty.ours.display()
    );
    let site = site_at(site, &place, (1, 2), &|_, lane| format!(", mode_at = {}", 10 + lane));
    let links = Links::start(&site);
    wait_for("the lanes to be read", || ["u1-l0", "u1-l1"].iter().all(|lane| known(&links, lane)));
    plc.tell("requests");
    plc.tell("count 1 1004 70000"); // more than one register holds
    plc.tell("input 1 4 1");
    plc.tell("coil 1 1 1");
    plc.tell("word 1 11 7");
    wait_for("the cartons (function 4)", || sum(&site, "u1-l1", "lane.entered") >= 70_000);
    wait_for("the eye (function 2)", || sum(&site, "u1-l1", "lane.blocked") == 1);
    wait_for("the coil (function 1)", || sum(&site, "u1-l0", "lane.full") == 1);
    wait_for("the mode (function 3)", || sum(&site, "u1-l1", "lane.mode") == 1);
    let events = committed(&site);
    let due = [
        ("u1-l0", "lane.full", 1),
        ("u1-l1", "lane.blocked", 1),
        ("u1-l1", "lane.entered", 70_000),
        ("u1-l1", "lane.mode", 1),
    ];
    let due: BTreeMap<_, _> = due.map(|(device, kind, n)| ((device.to_owned(), kind.to_owned()), n)).into();
    assert_eq!(events, due, "these values, and no neighbour's");
    let requests = plc.tell("requests");
    let functions: BTreeSet<&str> =
        requests.as_object().expect("an object").keys().filter_map(|key| key.split('/').nth(1)).collect();
    assert_eq!(functions, BTreeSet::from(["1", "2", "3", "4"]), "{requests}");
}
