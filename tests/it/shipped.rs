//! The maps of tags that ship, at pymodbus devices that are wired as their README says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::world::{Committed, Database, Links, Plc, Pty, Site, python, socat, wait_for};

/// Lane 17 does not exist, the bits of lane 33 lie elsewhere.
const LANES: &str = r#"
[[device_set]]
for = { lane = { from = 1, to = 40 } }
except = [17]
id = "lane-{lane:02}"
link = "net"
unit = 1
map = "divert-lane@1"
params = { coil_base = "= (lane - 1) * 4", reg_base = "= 400 + (lane - 1) * 10", full_delay = "300ms" }
[[device_set.override]]
lane = 33
params = { coil_base = 200 }
"#;

/// Cartons of a lane in what is told: their sum by subject.
fn cartons(told: &[Committed]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for Committed { subject, body, .. } in told.iter().filter(|event| event.kind == "lane.entered") {
        *sums.entry(subject.clone()).or_insert(0) += body["count"].as_u64().expect("a count");
    }
    sums
}

fn of_kind<'t>(told: &'t [Committed], kind: &str) -> Vec<&'t str> {
    told.iter().filter(|event| event.kind == kind).map(|event| event.subject.as_str()).collect()
}

#[test]
fn forty_lanes_from_one_template_tell_what_their_block_shows() {
    let Some(python) = python() else { return };
    let mut block = Plc::start_peer(&python, "lanes.py", &[]);
    let lanes: Vec<u64> = (1..=40).filter(|lane| *lane != 17).collect();
    let count = |block: &mut Plc, more: &dyn Fn(u64) -> u64| {
        for lane in &lanes {
            block.tell(&format!("count 1 {} {}", 390 + lane * 10, more(*lane)));
        }
    };
    count(&mut block, &|_| 4_294_967_290); // the register's end is near
    let net = format!("[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{}\"\n", block.port);
    let site = Site::new().erp("http://127.0.0.1:9/").links(&format!("{net}{LANES}"));
    let known = |links: &Links| {
        let seen = links.device("lane-40").requests;
        wait_for("all tables of the block", || links.device("lane-40").requests > seen + 100);
    };
    let links = Links::start(&site);
    known(&links);
    block.tell("requests");
    block.tell("input 1 24 1"); // the entry of lane 7, for long
    block.tell("input 1 201 1"); // the upper end of lane 33
    block.tell("coil 1 158 1"); // the PLC's word on lane 40
    count(&mut block, &|lane| lane + 6);
    drop(links);
    count(&mut block, &|_| 2); // nobody looks
    let links = Links::start(&site);
    known(&links);
    let due: BTreeMap<String, u64> = lanes.iter().map(|lane| (format!("lane-{lane}"), lane + 8)).collect();
    let told = || Database::committed(site.data());
    wait_for("all cartons, over the end of the register and a restart", || cartons(&told()) == due);
    wait_for("two lanes that are full", || of_kind(&told(), "lane.full").len() == 2);
    block.tell("input 1 201 0");
    block.tell("coil 1 158 0");
    wait_for("both to be cleared", || of_kind(&told(), "lane.cleared").len() == 2);
    wait_for("the entry that is blocked", || !of_kind(&told(), "lane.blocked").is_empty());
    let told = told();
    assert_eq!(of_kind(&told, "lane.blocked"), ["lane-7"]);
    for kind in ["lane.full", "lane.cleared"] {
        assert_eq!(BTreeSet::from_iter(of_kind(&told, kind)), BTreeSet::from(["lane-33", "lane-40"]), "{kind}");
    }
    let all = lanes.len() * 2;
    assert!(told.len() <= all + 5, "an event for each look that found cartons, and five more: {told:?}");
    assert!(links.device("lane-33").errors.is_empty());
    let requests = block.tell("requests");
    let kinds: Vec<&String> = requests.as_object().expect("counts by request").keys().collect();
    assert_eq!(
        kinds.len(),
        7,
        "all coils, all inputs, and counts up to 100 registers or the gap of lane 17: {kinds:?}"
    );
}

/// 12.345 and 0.5 as floats, low word first; and a float that is none.
const WEIGHTS: [(u16, u16); 3] = [(34_079, 16_709), (0, 16_128), (0, 32_704)];

#[test]
fn a_checkweigher_on_a_serial_line_tells_each_weight_once_it_stands_still() {
    let (Some(python), Some(socat)) = (python(), socat()) else { return };
    let site = Site::new().erp("http://127.0.0.1:9/");
    let pty = Pty::start(&socat, site.dir());
    let mut scale = Plc::start_peer(&python, "lanes.py", &["--serial", &pty.theirs.display().to_string()]);
    let site = site.links(&format!(
        "[[link]]\nid = \"line\"\nkind = \"modbus-rtu\"\n\
         serial = {{ port = \"{}\", baud = 19200, parity = \"none\" }}\n\
         [[device]]\nid = \"scale-1\"\nlink = \"line\"\nunit = 1\nmap = \"checkweigher@2\"\n",
        pty.ours.display()
    ));
    let mut show = |at: u16, word: u16| drop(scale.tell(&format!("word 1 {at} {word}"))); // counted from 0
    show(22, 7);
    let links = Links::start(&site);
    wait_for("the scale to be read", || links.device("scale-1").requests > 3);
    let told = || -> Vec<(String, Value)> {
        Database::committed(site.data()).into_iter().map(|event| (event.kind, event.body)).collect()
    };
    for (number, (low, high)) in [8, 9, 11].into_iter().zip(WEIGHTS) {
        let before = told().len();
        show(23, 0); // it moves: what is shown meanwhile is none
        for (at, word) in [(20, low), (21, high), (22, number)] {
            show(at, word);
        }
        let asked = links.device("scale-1").requests;
        wait_for("two looks at a scale that moves", || links.device("scale-1").requests > asked + 2);
        assert_eq!(told().len(), before, "{number}: {:?}", told());
        show(23, 4);
        wait_for("the weight", || told().len() > before);
    }
    show(23, 4 | 128);
    wait_for("the fault", || told().iter().any(|(kind, _)| kind == "equipment.fault"));
    show(23, 4);
    wait_for("its end", || told().iter().any(|(kind, _)| kind == "equipment.fault_cleared"));
    let told = told();
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    let weight = "weight.measured";
    let expected = [weight, weight, "sequence_gap", weight, "equipment.fault", "equipment.fault_cleared"];
    assert_eq!(kinds, expected, "{told:?}");
    let fields = |at: usize| [&told[at].1["seq"], &told[at].1["weight"], &told[at].1["quality"]];
    assert_eq!(fields(0), [&json!(8), &json!("12.345"), &Value::Null]);
    assert_eq!(fields(1), [&json!(9), &json!("0.500"), &Value::Null]);
    assert_eq!((&told[2].1["from"], &told[2].1["to"]), (&json!(10), &json!(10)));
    assert_eq!(fields(3), [&json!(11), &Value::Null, &json!("bad")], "NaN is no weight");
    assert!(links.device("scale-1").errors.is_empty());
}
