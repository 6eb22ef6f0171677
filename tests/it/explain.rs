//! `map explain` against the wire: what it says a cycle asks for is what pymodbus is asked for, and nothing else.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::world::{Links, Plc, Site, python, wait_for};

/// What `map explain --json` says of a built-in map.
fn explained(map: &str, params: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floorgate"));
    command.args(["map", "explain", map, "--json"]);
    command.args(params.iter().flat_map(|param| ["--param", param]));
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("--json prints JSON")
}

/// How often each request stands in a list: `"unit/function/address/count"`.
fn requests(list: &Value) -> BTreeMap<String, u64> {
    let mut requests = BTreeMap::new();
    for request in list.as_array().expect("a list of requests") {
        let [function, at, count] = ["function", "at", "count"].map(|key| request[key].as_u64().expect("a number"));
        let key = if function == 24 { format!("1/24/{at}") } else { format!("1/{function}/{at}/{count}") };
        *requests.entry(key).or_insert(0) += 1;
    }
    requests
}

/// What the PLC was asked since it was told to count.
fn seen(plc: &mut Plc) -> BTreeMap<String, u64> {
    let told = plc.tell("requests");
    told.as_object().expect("an object").iter().map(|(key, n)| (key.clone(), n.as_u64().expect("a number"))).collect()
}

fn site(port: u16, map: &str, params: &str) -> Site {
    Site::new().erp("http://127.0.0.1:9/").links(&format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\n\
         [[device]]\nid = \"plc-1\"\nlink = \"net\"\nunit = 1\nmap = \"{map}\"\nparams = {{ {params} }}\n"
    ))
}

/// Polls of one FIFO: while nothing waits, and with one event.
fn fifo_asks_what_is_explained(style: &str, map: &str) {
    let Some(python) = python() else { return };
    let fifo = explained(map, &[])["fifos"][0].clone();
    let mut plc = Plc::start(&python, &["--style", style]);
    let site = site(plc.port, map, "");
    let links = Links::start(&site);
    wait_for("the first poll", || links.device("plc-1").requests > 3);
    plc.tell("requests");
    let asked = links.device("plc-1").requests;
    wait_for("some idle polls", || links.device("plc-1").requests > asked + 12);
    let (idle, seen_idle) = (requests(&fifo["idle"]), seen(&mut plc));
    assert_eq!(seen_idle.keys().collect::<Vec<_>>(), idle.keys().collect::<Vec<_>>(), "nothing waits");
    // Each push is one event in a cycle of its own; the first lies in the first slot, as in what is explained.
    plc.tell("push 1");
    wait_for("the acknowledgement", || plc.tell("state")["ack"] == 1);
    let asked = links.device("plc-1").requests;
    wait_for("the next poll", || links.device("plc-1").requests > asked + 2);
    let (mut due, came) = (requests(&fifo["with_an_event"]), seen(&mut plc));
    let polled = |key: &String| idle.contains_key(key);
    for (key, n) in &came {
        let n = if polled(key) { (*n).min(due.get(key).copied().unwrap_or(0)) } else { *n };
        assert_eq!(due.remove(key), Some(n), "{key} of {came:?}");
    }
    assert_eq!(due, BTreeMap::new(), "was not asked: {came:?}");
}

#[test]
fn a_ring_is_asked_what_is_explained() {
    fifo_asks_what_is_explained("ring", "sorter@1");
}

#[test]
fn a_mailbox_is_asked_what_is_explained() {
    fifo_asks_what_is_explained("mailbox", "mailbox-plc@1");
}

#[test]
fn a_queue_of_function_24_is_asked_what_is_explained() {
    fifo_asks_what_is_explained("fc24", "fc24-plc@1");
}

/// Each poll's requests come once in a period, and no others come.
fn tags_ask_what_is_explained(map: &str, params: &[&str]) {
    let Some(python) = python() else { return };
    let explained = explained(map, params);
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    let site = site(plc.port, map, &params.join(", "));
    let links = Links::start(&site);
    wait_for("the first polls", || links.device("plc-1").requests > 3);
    plc.tell("requests");
    let polls = explained["polls"].as_array().expect("a list of polls");
    let due: BTreeMap<String, u64> = polls.iter().flat_map(|poll| requests(&poll["requests"])).collect();
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    wait_for("each request three times", || {
        for (key, n) in seen(&mut plc) {
            *all.entry(key).or_insert(0) += n;
        }
        due.keys().all(|key| all.get(key).is_some_and(|n| *n >= 3))
    });
    assert_eq!(all.keys().collect::<Vec<_>>(), due.keys().collect::<Vec<_>>());
    for poll in polls {
        let counts: Vec<u64> = requests(&poll["requests"]).keys().map(|key| all[key]).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "once a period each: {all:?}");
    }
}

#[test]
fn a_lane_is_asked_what_is_explained() {
    tags_ask_what_is_explained("divert-lane@1", &["lane=7", "coil_base=124", "reg_base=1060"]);
}

#[test]
fn a_scale_is_asked_what_is_explained() {
    tags_ask_what_is_explained("checkweigher@2", &[]);
}

/// Where `map test` looks by itself, `map explain` does: beside the configuration, and where that has no maps, here.
#[test]
fn a_map_of_this_folder_is_found_by_its_name() {
    let own = include_str!("../../devices/acme-photo-eyes/map.toml").replacen("version = 1", "version = 7", 1);
    let site = Site::new().erp("http://127.0.0.1:9/").plc(502);
    site.map("lanes", &own);
    let explain = |map: &str| {
        let params = ["lane=7", "coil_base=124", "reg_base=1060"].into_iter().flat_map(|param| ["--param", param]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_floorgate"));
        command.args(["map", "explain", map]).args(params).current_dir(site.dir());
        let output = command.output().expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, told, why) = explain("divert-lane@7");
    assert!(code == Some(0) && told.starts_with("divert-lane@7: "), "{told}{why}");
    let (code, _, why) = explain("divert-lane@8");
    assert_eq!(code, Some(78));
    let looked = "there is no map divert-lane@8 in devices, in /usr/share/floorgate/devices, or among those built in; there are ";
    assert!(why.starts_with(looked) && why.contains("divert-lane@7") && why.contains("--config"), "{why}");
}
