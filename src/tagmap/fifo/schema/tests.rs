//! Faults of FIFOs, at their places.

use crate::tagmap::fifo::tests::{SORTER, read};

/// The shipped map with `from` replaced: its faults.
fn faults(from: &str, to: &str) -> Vec<String> {
    assert!(SORTER.contains(from), "{from}");
    read(&SORTER.replacen(from, to, 1), false).err().unwrap_or_default()
}

#[test]
fn a_fault_has_its_place() {
    assert_eq!(
        faults("count = 32", "count = 30"),
        ["map.toml:28:31: fifo[1].slots.count: is 30, which does not divide 65536: after the counter wraps, numbers \
          would lie in other slots (a power of two: 16, 32, 64 …)"]
    );
}

/// Key, message and help of the one fault that the change makes.
fn check(from: &str, to: &str, expected: &str) {
    let told = faults(from, to);
    let told: Vec<&str> = told.iter().map(|f| f.splitn(4, ':').last().unwrap_or(f).trim()).collect();
    assert_eq!(told, [expected], "{from} -> {to}");
}

#[test]
fn addresses_are_holding_registers_that_do_not_overlap() {
    let help = "(addresses = \"modicon\": 40001 to 49999, or 400001 to 465536)";
    check("at = 40101", "at = 30101", &format!("fifo[1].head.at: 30101 is no holding register {help}"));
    check(
        "at = 40201",
        "at = 465530",
        &format!("fifo[1].slots.at: 512 registers from 465530 go past the last one {help}"),
    );
    check("at = 40102", "at = 40101", "fifo[1].ack: lies on the same register as `head` (give each its own registers)");
    check(
        "at = 40201",
        "at = 40103",
        "fifo[1].epoch: lies on the same register as `slots` (give each its own registers)",
    );
    check(
        "at = 40103",
        "at = 41103",
        "fifo[1]: head, ack and epoch span 1003 registers (they are read together: at most 100 (max_words))",
    );
}

#[test]
fn slots_leave_registers_for_the_counters() {
    let all = SORTER.replace("at = 40201", "at = 400001").replace("count = 32", "count = 4096");
    let told = read(&all, false).err().unwrap_or_default().join("\n");
    let fault = "slots.count: makes 65536 registers of slots (leave some for head and ack)";
    assert!(told.contains(fault), "{told}");
}

#[test]
fn fields_lie_in_the_slot_and_apart() {
    check("word = 3", "word = 4", "fifo[1].field.result.word: overlaps field `lane` (each word belongs to one field)");
    check(
        "word = 15",
        "word = 16",
        "fifo[1].field.crc.word: 1 words from 16 go past the slot (a slot has the words 0 to 15)",
    );
    check("words = 16", "words = 126", "fifo[1].slots.words: is 126 (a slot is read at once: 1 to 100 (max_words))");
    check(
        ", must_match = \"slot\"",
        "",
        "fifo[1].field: no field repeats the slot's number (add must_match = \"slot\" to the one that does)",
    );
}

#[test]
fn the_order_of_a_wide_number_is_given_with_four_letters() {
    let letters = "one of \"ABCD\", \"CDAB\", \"BADC\", \"DCBA\"";
    check(
        "type = \"u32\",",
        "type = \"u32\", order = \"BA\",",
        &format!("fifo[1].field.plc_time.order: has two letters, for a number of four bytes ({letters})"),
    );
    check(
        "type = \"u32\",",
        "type = \"u32\", order = \"CDBA\",",
        &format!(
            "fifo[1].field.plc_time.order: \"CDBA\" is not known here (did you mean `CDAB`? One of {})",
            &letters[7..]
        ),
    );
    check(
        "order = \"CDAB\"",
        "",
        "fifo[1].field.plc_time.order: is missing (write order = \"ABCD\" (high word first) or \"CDAB\", here or in [defaults])",
    );
    check(
        "word = 3,",
        "word = 3, order = \"ABCD\",",
        "fifo[1].field.lane.order: orders the bytes of two registers, but this is one (remove it)",
    );
}

#[test]
fn a_plc_without_a_restart_count_needs_the_operators_word() {
    let epoch = SORTER.lines().find(|line| line.starts_with("epoch")).expect("the shipped map has an epoch");
    check(
        epoch,
        "",
        "fifo[1].epoch: is missing: a PLC that starts to count again would be taken for one that repeats itself (give \
         the register of its restart count; if it has none, accept_epoch_risk = true at the device)",
    );
    assert_eq!(read(&SORTER.replace(epoch, ""), true).err(), None);
}

#[test]
fn events_are_named_by_words_that_the_map_knows() {
    check(
        "divert.{result}",
        "divert.{lane}",
        "fifo[1].emit.event: `lane` is no field with an enum (write {name} of a field with an enum)",
    );
    check(
        "divert.{result}",
        "Divert",
        "fifo[1].emit.event: \"Divert\" is no event name (dotted lower case: \"divert.{result}\")",
    );
    check("{sscc}\"", "{scc}\"", "fifo[1].emit.subject: `scc` is no field (write {name} of a field)");
    check(
        "\"plc_time\"",
        "\"plc\"",
        "fifo[1].emit.time: there is no field `plc` with data (plc_time, lane, result, sscc)",
    );
    check(
        "\"missed\"",
        "\"Missed it\"",
        "fifo[1].field.result.enum.2: is no word for an event's name (lower-case letters, digits, - and _)",
    );
}

const MAILBOX: &str = include_str!("../../../../devices/acme-mailbox-plc/map.toml");
const QUEUE: &str = include_str!("../../../../devices/acme-fc24-plc/map.toml");

/// What a mailbox or a queue is told.
fn check_style(map: &str, from: &str, to: &str, expected: &[&str]) {
    assert!(map.contains(from), "{from}");
    let told = read(&map.replacen(from, to, 1), false).err().unwrap_or_default();
    let told: Vec<&str> = told.iter().map(|f| f.splitn(4, ':').last().unwrap_or(f).trim()).collect();
    assert_eq!(told, expected, "{from} -> {to}");
}

#[test]
fn a_mailbox_has_one_slot_apart_from_its_counters() {
    check_style(MAILBOX, "", "", &[]);
    let request = "fifo[1].request: lies on the same register as `slot` (give each its own registers)";
    check_style(MAILBOX, "request = { at = 40101", "request = { at = 40112", &[request]);
    let head = "fifo[1].head: unknown key (did you mean `area`? ";
    let told = read(&MAILBOX.replace("request = {", "head = {"), false).err().unwrap_or_default().join("\n");
    assert!(told.contains("fifo[1].request: is missing") && told.contains(&head[..21]), "{told}");
}

#[test]
fn an_event_of_a_queue_fits_what_function_24_shows() {
    check_style(QUEUE, "", "", &[]);
    let words = "fifo[1].queue.words: is 32 (function 24 shows 1 to 31 registers: an event must fit)";
    check_style(QUEUE, "words = 13", "words = 32", &[words]);
    let epoch = "fifo[1].epoch: lies on the same register as `ack` (give each its own registers)";
    check_style(QUEUE, "at = 40103", "at = 40102", &[epoch]);
}

#[test]
fn what_this_version_does_not_do_is_refused() {
    check("\"fast\"\narea", "\"slow\"\narea", "fifo[1].poll: there is no [poll.slow] (\"fast\")");
    check(
        "time = \"plc_time\"",
        "time = \"plc_time\"\nepcis = 1",
        "fifo[1].emit.epcis: unknown key (known here: `event`, `fields`, `subject`, `time`)",
    );
    check(
        "addresses = \"modicon\" ",
        "",
        "map.addresses: is missing (say how addresses are written: \"zero\", \"one\" or \"modicon\")",
    );
}
