//! What is wrong with a map is told at its place.

use super::*;

const TAG: &str = "[[tag]]\nname = \"x\"\npoll = \"fast\"\narea = \"holding\"\nat = 10\ntype = \"u16\"\n";
const EYE: &str = "[[tag]]\nname = \"eye\"\npoll = \"fast\"\narea = \"discrete\"\nat = 1\ntype = \"bool\"\n";

/// Faults, or the warnings of a map without.
fn told(text: &str) -> String {
    match map(text, &[]) {
        Err(faults) => faults.join("\n"),
        Ok(map) => map.warnings.iter().map(|w| format!("warning: {w}")).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn a_debounce_shorter_than_two_polls() {
    insta::assert_snapshot!(told(&format!("{EYE}debounce = {{ on = \"30ms\", off = \"100ms\" }}\n")), @"map.toml:18:12: tag[1].debounce: is 30 ms, shorter than two polls (debounce for at least 40 ms, or poll more often than each 20 ms)");
    insta::assert_snapshot!(told(&format!("{TAG}watchdog = \"30ms\"\n")), @"map.toml:18:12: tag[1].watchdog: is 30 ms, shorter than two polls (allow at least 40 ms, or poll more often than each 20 ms)");
    assert_eq!(told(&format!("{EYE}debounce = {{ on = \"40ms\", off = \"40ms\" }}\n")), "");
}

#[test]
fn pulses_without_a_counter() {
    let event = "[[event]]\nname = \"carton.passed\"\non = { rising = \"eye\" }\n";
    insta::assert_snapshot!(told(&format!("{EYE}{event}")), @r#"warning: map.toml:20:6: event[1].on: counts pulses of `eye`, and a pulse between two polls is not seen (count in the device (a tag with `counter` and on = { count = "…" }), or debounce what stays longer)"#);
    let counter = TAG.replace("\"x\"", "\"n\"") + "counter = { reset = \"detect\" }\n";
    assert_eq!(told(&format!("{EYE}{event}{counter}")), "");
    assert_eq!(told(&format!("{EYE}debounce = {{ on = \"60ms\", off = \"60ms\" }}\n{event}")), "");
}

#[test]
fn overlapping_addresses() {
    let other = |rest: &str| format!("{TAG}[[tag]]\nname = \"y\"\npoll = \"fast\"\narea = \"holding\"\n{rest}");
    insta::assert_snapshot!(told(&other("at = 9\ntype = \"u32\"\norder = \"ABCD\"\n")), @"map.toml:22:6: tag[2].at: overlaps `x`, which has another type or another beginning (registers have one type: compare with the device's list)");
    insta::assert_snapshot!(told(&other("at = 10\ntype = \"i16\"\n")), @"map.toml:22:6: tag[2].at: overlaps `x`, which has another type or another beginning (registers have one type: compare with the device's list)");
    insta::assert_snapshot!(told(&other("at = 10\ntype = \"u16\"\n")), @"warning: map.toml:22:6: tag[2].at: is the address of `x` again (one tag is enough for several events)");
    assert_eq!(told(&other("at = 10\ntype = \"bit\"\nbit = 3\n")), "", "a bit is a view of a register");
    assert_eq!(told(&other("at = 11\ntype = \"u16\"\n")), "");
}

#[test]
fn a_text_of_an_alarm_names_what_there_is() {
    let alarm = "[[alarm]]\nname = \"full\"\nwhen = \"x > 3\"\nseverity = \"low\"\ntext = \"{devise} is full\"\n";
    insta::assert_snapshot!(told(&format!("{TAG}{alarm}")), @"map.toml:22:8: alarm[1].text: there is no parameter `devise` (did you mean `device`?)");
    assert_eq!(told(&format!("{TAG}{}", alarm.replace("devise", "device"))), "");
}

/// A list writes what stands for no value as it lies in the registers.
#[test]
fn a_sentinel_may_be_written_as_it_is_held() {
    let check = |values: &str, words: &[u16], expected: &str| {
        let mut bench = Bench::new(&format!(
            "[[tag]]\nname = \"w\"\npoll = \"fast\"\narea = \"holding\"\nat = 0\ntype = \"i32\"\norder = \"CDAB\"\n\
             valid = {{ invalid = [{values}] }}\n"
        ));
        bench.hold(0, words);
        bench.poll_after(20);
        assert_eq!(bench.value("w"), expected, "{values}");
    };
    check("0x80000000", &[0, 0x8000], "none bad: is -2147483648, which the map calls invalid");
    check("-2147483648", &[0, 0x8000], "none bad: is -2147483648, which the map calls invalid");
    check("0x80000000", &[5, 0], "5");
}

#[test]
fn groups_that_are_no_request() {
    let group = |rest: &str| {
        let first = format!("{TAG}group = \"g\"\n");
        format!("{first}[[tag]]\nname = \"y\"\npoll = \"fast\"\narea = \"holding\"\nat = 110\ntype = \"u16\"\ngroup = \"g\"\n").replace("holding\"\nat = 110", rest)
    };
    insta::assert_snapshot!(told(&group("holding\"\nat = 110")), @"map.toml:25:9: tag[2].group: makes the group 101 registers wide (one request has at most 100 (max_words))");
    insta::assert_snapshot!(told(&group("input\"\nat = 10")), @"map.toml:25:9: tag[2].group: can't come in one request with `x`: another table (a group has one table and one poll)");
    assert_eq!(told(&group("holding\"\nat = 109")), "");
}

#[test]
fn orders_that_do_not_fit() {
    let order = |kind: &str, order: &str| told(&TAG.replace("\"u16\"\n", &format!("\"{kind}\"\n{order}\n")));
    insta::assert_snapshot!(order("u32", "order = \"BA\""), @r#"map.toml:18:9: tag[1].order: has two letters, for a number of four bytes (one of "ABCD", "CDAB", "BADC", "DCBA")"#);
    insta::assert_snapshot!(order("u16", "order = \"CDAB\""), @"map.toml:18:9: tag[1].order: orders the bytes of two registers or more, but this is one value of single registers (remove it)");
    insta::assert_snapshot!(order("bcd16", "order = \"AB\""), @"map.toml:18:9: tag[1].order: orders the bytes of two registers or more, but this is one value of single registers (remove it)");
    insta::assert_snapshot!(order("u64", "order = \"CDAB\""), @r#"map.toml:18:9: tag[1].order: has four letters, for a number of eight bytes (one of "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA")"#);
    insta::assert_snapshot!(order("f32", ""), @r#"map.toml:12:1: tag[1].order: is missing (write order = "ABCD" (high word first) or "CDAB", here or in [defaults])"#);
    insta::assert_snapshot!(order("i64", ""), @r#"map.toml:12:1: tag[1].order: is missing (write order = "ABCDEFGH" (high word first) or "GHEFCDAB" here, or "ABCD" or "CDAB" in [defaults])"#);
    insta::assert_snapshot!(order("u32", "order = \"big\""), @r#"map.toml:18:9: tag[1].order: "big" is not known here (high word first is "ABCD", low word first "CDAB"; with the two bytes of each word swapped "BADC" and "DCBA")"#);
}

#[test]
fn numbers_that_contradict_their_table() {
    let modicon = |rest: &str| {
        let text = format!(
            "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"modicon\"\n[poll.fast]\nevery = \"20ms\"\n\
             [[tag]]\nname = \"x\"\npoll = \"fast\"\ntype = \"u16\"\n{rest}\n"
        );
        read_text(&text, &[]).err().unwrap_or_default().join("\n")
    };
    insta::assert_snapshot!(modicon("area = \"holding\"\nat = 30011"), @r#"map.toml:13:8: tag[1].area: contradicts the number: 30011 is in the table "input" (remove `area`, or correct `at`)"#);
    insta::assert_snapshot!(modicon("at = 20011"), @r#"map.toml:13:6: tag[1].at: 20011 is no address (addresses = "modicon": coils from 1, inputs from 10001, input registers from 30001, holding registers from 40001; of six digits from 100001, 300001, 400001)"#);
    insta::assert_snapshot!(modicon("at = 101"), @r#"map.toml:13:6: tag[1].at: 101 is a coil in this numbering (holding register 101 is 40101, input register 101 is 30101; a coil has type = "bool")"#);
    insta::assert_snapshot!(modicon("area = \"holding\"\nat = 101"), @r#"map.toml:13:8: tag[1].area: contradicts the number: 101 is in the table "coil" (holding register 101 is 40101 in this numbering: write at = 40101)"#);
    insta::assert_snapshot!(modicon("at = 10011"), @r#"map.toml:12:8: tag[1].type: does not lie in the table "discrete" (write type = "bool")"#);
    assert_eq!(modicon("area = \"holding\"\nat = 40011"), "");
    insta::assert_snapshot!(told(&TAG.replace("area = \"holding\"\n", "")), @r#"map.toml:12:1: tag[1].area: is missing: the number does not say which table it is in (one of "coil", "discrete", "input", "holding")"#);
}

/// Numbers of a list that says the table in them, in a map that counts from 0 or 1: told once.
#[test]
fn numbers_of_a_list_in_a_map_that_counts() {
    let read = |base: &str, area: &str| {
        let tag = |i| format!("[[tag]]\nname = \"t{i}\"\npoll = \"fast\"\n{area}at = {}\ntype = \"u16\"\n", 40_101 + i);
        let tags = (0..9).map(tag).collect::<Vec<_>>().concat();
        let text = format!(
            "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"{base}\"\n\
             [poll.fast]\nevery = \"20ms\"\n{tags}[[write]]\nname = \"w\"\n{area}at = 40130\ntype = \"u16\"\n\
             range = [0, 1]\nallow = [\"role:operator\"]\n"
        );
        match read_text(&text, &[]) {
            Err(faults) => faults.join("\n"),
            Ok(map) => map.warnings.iter().map(|w| format!("warning: {w}")).collect::<Vec<_>>().join("\n"),
        }
    };
    insta::assert_snapshot!(read("one", ""), @r#"map.toml:12:6: tag[1].at: 40101 is taken as it stands: 40100 on the wire (if the list calls the first holding register 40001, write addresses = "modicon", or area = "holding" with at = 101; if it is meant so, add `area`. So with all that are alike)"#);
    insta::assert_snapshot!(read("zero", ""), @r#"map.toml:12:6: tag[1].at: 40101 is taken as it stands: 40101 on the wire (if the list calls the first holding register 40001, write addresses = "modicon", or area = "holding" with at = 100; if it is meant so, add `area`. So with all that are alike)"#);
    insta::assert_snapshot!(read("one", "area = \"holding\"\n"), @r#"warning: map.toml:13:6: tag[1].at: 40101 is taken as it stands: 40100 on the wire (if the list calls the first holding register 40001, write addresses = "modicon", or area = "holding" with at = 101. So with all that are alike)"#);
    assert!(!read("zero", "area = \"input\"\n").contains("40101"), "it is no number of that table");
}

#[test]
fn types_and_orders_as_they_are_called_elsewhere() {
    let kind = |kind: &str| told(&TAG.replace("u16", kind));
    for (word, here) in [
        ("uint32", "u32"),
        ("float", "f32"),
        ("ascii", "string"),
        ("INT", "i16"),
        ("word", "u16"),
        ("DWORD", "u32"),
        ("REAL", "f32"),
    ] {
        assert!(kind(word).contains(&format!("(did you mean `{here}`? One of ")), "{word}: {}", kind(word));
    }
    let order =
        |kind: &str, order: &str| told(&TAG.replace("\"u16\"\n", &format!("\"{kind}\"\norder = \"{order}\"\n")));
    insta::assert_snapshot!(order("u32", "little"), @r#"map.toml:18:9: tag[1].order: "little" is not known here (high word first is "ABCD", low word first "CDAB"; with the two bytes of each word swapped "BADC" and "DCBA")"#);
    insta::assert_snapshot!(order("f64", "big"), @r#"map.toml:18:9: tag[1].order: "big" is not known here (high word first is "ABCDEFGH", low word first "GHEFCDAB"; with the two bytes of each word swapped "BADCFEHG" and "HGFEDCBA")"#);
    insta::assert_snapshot!(order("f32", "little-swap"), @r#"map.toml:18:9: tag[1].order: "little-swap" is not known here (high word first is "ABCD", low word first "CDAB"; with the two bytes of each word swapped "BADC" and "DCBA")"#);
    insta::assert_snapshot!(order("u32", "cdab"), @r#"map.toml:18:9: tag[1].order: "cdab" is not known here (did you mean `CDAB`? One of "ABCD", "CDAB", "BADC", "DCBA")"#);
    let write = "[[write]]\nname = \"w\"\narea = \"holding\"\nat = 50\nallow = [\"role:operator\"]\nrange = [0, 1]\n";
    insta::assert_snapshot!(told(&format!("{TAG}{write}type = \"word\"\n")), @r#"map.toml:24:8: write[1].type: "word" is not known here (did you mean `u16`? One of "bool", "bit", "u16", "i16", "u32", "i32", "f32", "bcd16", "bcd32")"#);
}

#[test]
fn what_is_missing_is_told_with_its_words() {
    let without = |text: &str, line: &str| told(&text.replace(line, ""));
    insta::assert_snapshot!(without(TAG, "type = \"u16\"\n"), @r#"map.toml:12:1: tag[1].type: is missing (add `type = …` here: one of "bool", "bit", "u8l", "u8h", "u16", "i16", "u32", "i32", "u64", "i64", "f16", "f32", "f64", "bcd16", "bcd32", "string", "bytes")"#);
    insta::assert_snapshot!(without(LABEL, "bytes = \"high-first\"\n"), @r#"map.toml:12:1: tag[1].bytes: is missing (add `bytes = …` here: one of "high-first", "low-first", "high", "low")"#);
    let text = format!(
        "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"zero\"\n[poll.fast]\nevery = \"20ms\"\n{TAG}"
    );
    let read = |from: &str, to: &str| read_text(&text.replace(from, to), &[]).err().unwrap_or_default().join("\n");
    assert_eq!(read("", ""), "");
    insta::assert_snapshot!(read("schema = 1\n", ""), @"map.toml:1:1: schema: is missing (add `schema = 1` at the top: how this file is to be read)");
    insta::assert_snapshot!(read("protocol = \"modbus\"\n", ""), @r#"map.toml:2:1: map.protocol: is missing (add `protocol = …` here: one of "modbus", "mqtt", "socket")"#);
    insta::assert_snapshot!(read("id = \"m\"\n", ""), @"map.toml:2:1: map.id: is missing (add `id = …` here)");
    insta::assert_snapshot!(read("[map]", "[Map]"), @"map.toml:2:2: Map: unknown key (did you mean `map`?)");
    insta::assert_snapshot!(read("[map]\n", ""), @"map.toml:1:1: map: is missing (add a table: `[map]`)");
}

#[test]
fn what_follows_from_a_fault_is_not_told() {
    let head = "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"zero\"\n\
                [defaults]\npoll = \"state\"\n[poll.state]\nevery = 100\n";
    let text = format!("{head}{EYE}debounce = {{ on = \"40ms\", off = \"40ms\" }}\n").replace("poll = \"fast\"\n", "");
    insta::assert_snapshot!(read_text(&text, &[]).err().unwrap_or_default().join("\n"), @r#"map.toml:10:9: poll.state.every: is the number 100 (write a duration with its unit, such as "500ms", "20s", "5m", "24h" or "30d")"#);
}

#[test]
fn a_filter_with_a_level_too_many() {
    let scanner = include_str!("../../../../devices/acme-hand-scanner/map.toml");
    let (first, rest) = scanner.split_once("filter = \"").expect("it has a topic");
    let (filter, rest) = rest.split_once('"').expect("its text ends");
    let text = format!("{first}filter = \"{filter}/\"{rest}");
    let told = match read_text(&text, &[("topic_root", "dc1/scan")]) {
        Ok(map) => map.warnings.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join("\n"),
        Err(faults) => faults.join("\n"),
    };
    insta::assert_snapshot!(told, @"ends in `/`, which is one more level, without a name: nothing else matches it");
}

#[test]
fn units_that_can_not_be_converted() {
    let told = |keys: &str| told(&format!("{TAG}{keys}\n"));
    insta::assert_snapshot!(told("to = \"kg\""), @"map.toml:18:6: tag[1].to: says what it becomes, and nothing what it is (write `unit` beside it)");
    insta::assert_snapshot!(told("unit = \"mm\"\nto = \"kg\""), @r#"map.toml:19:6: tag[1].to: "kg" can't be made of "mm" (name a unit of the same kind)"#);
    insta::assert_snapshot!(told("unit = \"g\"\nto = \"kg\"\ncounter = {}"), @"map.toml:19:6: tag[1].to: changes numbers that are counted or stand for words or bits (remove one of the two)");
    assert_eq!(told("unit = \"1/h\""), "");
}

#[test]
fn a_write_without_range() {
    let write = |rest: &str| {
        told(&format!("{TAG}[[write]]\nname = \"w\"\narea = \"holding\"\nat = 50\nallow = [\"role:operator\"]\n{rest}"))
    };
    insta::assert_snapshot!(write("type = \"u16\"\n"), @r#"map.toml:18:1: write[1]: has no range: any number could be written (add range = [least, most], or enum = { 1 = "on", … })"#);
    insta::assert_snapshot!(write("type = \"u16\"\nrange = [0, 70000]\n"), @"map.toml:24:9: write[1].range: 70000 does not fit its type (give a range that the register can hold)");
    insta::assert_snapshot!(write("type = \"u16\"\nrange = [0, 1]\nfunction = 5\n"), @"map.toml:25:12: write[1].function: is 5, which does not write this type (write 6 or 16, or remove it)");
    insta::assert_snapshot!(write("type = \"bool\"\n"), @r#"map.toml:23:8: write[1].type: can't be written in the table "holding" ("bool" is for coils, the others are for holding registers)"#);
    assert_eq!(write("type = \"bit\"\nbit = 3\n"), "");
}

const LABEL: &str = "[[tag]]\nname = \"label\"\npoll = \"fast\"\narea = \"holding\"\nat = 20\ntype = \"string\"\n\
                     words = 9\nbytes = \"high-first\"\n";

#[test]
fn texts_that_nothing_checks() {
    let event = "[[event]]\nname = \"pallet.wrapped\"\non = { change = \"x\" }\nsubject = \"p-{label}\"\n";
    insta::assert_snapshot!(told(&format!("{TAG}{LABEL}{event}")), @r#"warning: map.toml:29:11: event[1].subject: takes `label` as it is read: nothing tells a wrong text, or half of one, from a right one (give the tag check = "sscc" (gtin, gln, gsin), or valid = { pattern = '…' })"#);
    assert_eq!(told(&format!("{TAG}{LABEL}check = \"sscc\"\n{event}")), "");
    assert_eq!(told(&format!("{TAG}{LABEL}valid = {{ pattern = '[0-9]{{18}}' }}\n{event}")), "");
    insta::assert_snapshot!(told(&format!("{TAG}check = \"sscc\"\n")), @"map.toml:18:9: tag[1].check: is for texts (remove it, or give the tag another type)");
    insta::assert_snapshot!(told(&format!("{LABEL}check = \"ssc\"\n")), @r#"map.toml:20:9: tag[1].check: "ssc" is not known here (did you mean `sscc`? One of "sscc", "gtin", "gln", "gsin")"#);
    insta::assert_snapshot!(told(&format!("{LABEL}valid = {{ min = 3, pattern = '[0-9' }}\n")), @r"
    map.toml:20:17: tag[1].valid.min: is for numbers (remove it, or give the tag another type)
    map.toml:20:30: tag[1].valid.pattern: is no pattern: unclosed character class (write '[0-9]{18}' and the like, in single quotes)
    ");
    insta::assert_snapshot!(told(&format!("{TAG}valid = {{ pattern = '[0-9]' }}\n")), @"map.toml:18:21: tag[1].valid.pattern: is for texts (remove it, or give the tag another type)");
    insta::assert_snapshot!(told(&format!("{EYE}valid = {{ pattern = '[0-9]' }}\n")), @r"
    map.toml:18:9: tag[1].valid: is for numbers and texts (remove it, or give the tag another type)
    ");
}

#[test]
fn what_another_poll_brings_is_older() {
    let film = TAG.replace("\"x\"", "\"film\"").replace("fast", "slow").replace("at = 10", "at = 11");
    let event = "[[event]]\nname = \"pallet.wrapped\"\non = { change = \"x\" }\n";
    let with = |keys: &str| told(&format!("{TAG}{film}{event}{keys}"));
    insta::assert_snapshot!(with("fields = { a = \"film\", b = \"x\" }\n"), @r#"warning: map.toml:27:10: event[1].fields: takes `film` from another poll than `x`: up to 500 ms older, and called good all the same (write poll = "fast" there too, and one `group` where all must be of one moment)"#);
    insta::assert_snapshot!(with("when = \"film > 3\"\nsubject = \"{film}\"\n"), @r#"
    warning: map.toml:28:11: event[1].subject: takes `film` from another poll than `x`: up to 500 ms older, and called good all the same (write poll = "fast" there too, and one `group` where all must be of one moment)
    warning: map.toml:27:8: event[1].when: takes `film` from another poll than `x`: up to 500 ms older, and called good all the same (write poll = "fast" there too, and one `group` where all must be of one moment)
    "#);
    assert_eq!(with("fields = { b = \"x\", c = 3 }\n"), "");
    let slow = event.replace("\"x\"", "\"film\"");
    assert_eq!(told(&format!("{TAG}{film}{slow}fields = {{ a = \"x\" }}\n")), "", "what is read more often is newer");
    let alarm = "[[alarm]]\nname = \"a\"\nwhen = \"x > 3\"\nseverity = \"low\"\nfields = { a = \"film\" }\n";
    insta::assert_snapshot!(told(&format!("{TAG}{film}{alarm}")), @r#"warning: map.toml:28:10: alarm[1].fields: takes `film` from another poll than `x`: up to 500 ms older, and called good all the same (write poll = "fast" there too, and one `group` where all must be of one moment)"#);
}

#[test]
fn parameters_that_do_not_fit() {
    let text = format!(
        "[param]\nlane = {{ type = \"int\", min = 1, max = 40 }}\ndelay = {{ type = \"duration\", default = \"3s\" }}\n{}",
        TAG.replace("at = 10", "at = \"{lane * 10 + 1}\"")
    );
    let told = |params: &[(&str, &str)]| map(&text, params).err().unwrap_or_default().join("\n");
    assert_eq!(told(&[("lane", "7")]), "");
    insta::assert_snapshot!(told(&[("lane", "41")]), @"map.toml:13:8: param.lane: device plc-1: it is 41 (write 1 to 40)");
    insta::assert_snapshot!(told(&[("lane", "x"), ("delay", "3")]), @r#"
    map.toml:13:8: param.lane: device plc-1: it is "x" (write a whole number)
    map.toml:14:9: param.delay: device plc-1: it is 3 (write a duration with its unit, such as "500ms", "20s", "5m", "24h" or "30d")
    "#);
    insta::assert_snapshot!(told(&[]), @"map.toml:13:8: param.lane: device plc-1 gives no value for it (write params = { lane = … } at the device)");
    let read = map(&text, &[("lane", "7")]).expect("it has no fault").points.expect("it has points");
    assert_eq!(read.polls()[0].reads, [Read { area: Area::Holding, at: 71, count: 1, alone: false }]);
}

#[test]
fn what_events_and_alarms_name() {
    let event = |rest: &str| told(&format!("{TAG}{EYE}{rest}"));
    insta::assert_snapshot!(event("[[alarm]]\nname = \"a\"\nwhen = \"eye and y\"\nseverity = \"high\"\n"), @"map.toml:26:17: alarm[1].when: there is no tag `y` (did you mean `x`?)");
    insta::assert_snapshot!(event("[[alarm]]\nname = \"a\"\nwhen = \"eye and x = 5\"\nseverity = \"hihg\"\n"), @r#"
    map.toml:26:19: alarm[1].when: `=` compares nothing (write `==`)
    map.toml:27:12: alarm[1].severity: "hihg" is not known here (did you mean `high`? One of "low", "medium", "high", "critical")
    "#);
    insta::assert_snapshot!(event("[[event]]\nname = \"E\"\non = { rising = \"eye\", falling = \"eye\" }\nfields = { a = \"eyes\", seq = \"x\" }\n"), @r#"
    map.toml:25:8: event[1].name: "E" is no event name (dotted lower case: "weight.measured")
    map.toml:26:6: event[1].on: says two things (write one of rising, falling, held (with for), change, count)
    map.toml:27:17: event[1].fields.a: there is no tag `eyes` (did you mean `eye`?)
    map.toml:27:30: event[1].fields.seq: is the gateway's own field (choose another name)
    "#);
    insta::assert_snapshot!(event("[[event]]\nname = \"e\"\non = { count = \"x\" }\nsubject = \"{y}\"\n"), @r#"
    map.toml:26:16: event[1].on.count: is no counter (give the tag counter = { reset = "detect" })
    map.toml:27:11: event[1].subject: there is no tag or parameter `y` (did you mean `x`?)
    "#);
    insta::assert_snapshot!(event("[[event]]\nname = \"e\"\non = { change = \"x\" }\nseq = \"eye\"\nepoch = \"gatway\"\n"), @r#"
    map.toml:27:7: event[1].seq: is no number that counts (name a tag of type "u16", "u32" or "u64" without scale, offset and digits)
    map.toml:28:9: event[1].epoch: there is no tag `gatway` (known here: `eye`, `x`)
    "#);
    insta::assert_snapshot!(event("[[event]]\nname = \"e\"\non = { change = \"x\" }\nseq = \"x\"\nepoch = \"x\"\n"), @r#"map.toml:28:9: event[1].epoch: is the number itself (name the device's restart count, or "gateway")"#);
    insta::assert_snapshot!(event("[[event]]\nname = \"e\"\non = { rising = \"eye\", when = \"eye\" }\n"), @r#"map.toml:26:31: event[1].on.when: stands in `on` (write it beside: when = "…" in the [[event]])"#);
    insta::assert_snapshot!(event("[[alarm]]\nname = \"a\"\nwhen = \"eye held 3s\"\nseverity = \"low\"\n"), @r#"map.toml:26:13: alarm[1].when: is not understood from here (how long it must hold is `on_delay` of an alarm, or on = { held = "…", for = "3s" } of an event)"#);
    insta::assert_snapshot!(event("[[event]]\nname = \"e\"\non = { held = \"eye\" }\n"), @r#"map.toml:26:6: event[1].on.for: is missing (write how long: for = "3s")"#);
}

/// Every key of the map removed, misspelled and given another type: it is read, or a fault points to the line; never a
/// panic.
#[test]
fn a_mutated_map_is_read_or_points_to_its_line() {
    let text = include_str!("everything.toml");
    let read = |text: &str| read_text(text, &[("lane", "7")]);
    assert_eq!(read(text).err(), None);
    let lines: Vec<&str> = text.lines().collect();
    let (mut read_anyway, mut mutations, mut section) = (0, 0, "");
    for (i, line) in lines.iter().enumerate() {
        section = if line.starts_with('[') { line } else { section };
        let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else { continue };
        let misspelled = format!("{key}_ = {value}");
        let retyped = ["{ a = 1 }", "[1]", "true", "-1", "\"\"", "1.5", "\"ä{\"", "99999999999"];
        let retyped = retyped.iter().map(|value| format!("{key} = {value}"));
        for new in [String::new(), misspelled.clone()].into_iter().chain(retyped) {
            mutations += 1;
            let mut lines = lines.clone();
            lines[i] = &new;
            let Err(faults) = read(&lines.join("\n")) else {
                assert!(new != misspelled, "line {}: {new} is taken", i + 1);
                read_anyway += 1;
                continue;
            };
            let places: Vec<Option<usize>> = faults.iter().map(|f| f.split(':').nth(1)?.parse().ok()).collect();
            assert!(
                places.iter().all(|place| place.is_some_and(|line| (1..=lines.len()).contains(&line))),
                "{faults:?}"
            );
            // A key that is gone is told at the head of its table; a parameter, bit or group of another name where it is
            // needed.
            let elsewhere =
                new.is_empty() || ["bits", "group"].contains(&key) || (section == "[param]" && new == misspelled);
            assert!(elsewhere || places.contains(&Some(i + 1)), "line {}: {new}\n{}", i + 1, faults.join("\n"));
            // What a table declares for others is missed by each of them; a table in the place of another misses its keys.
            let declares = ["[map]", "[param]", "[defaults]", "[poll.fast]", "[poll.slow]"].contains(&section)
                || key == "name"
                || key == "bits";
            assert!(
                declares || faults.len() <= 4,
                "line {}: {new}
{}",
                i + 1,
                faults.join(
                    "
"
                )
            );
        }
    }
    assert!(mutations > 900 && read_anyway < mutations / 4, "{read_anyway} of {mutations} were read");
}

#[test]
fn writes_are_checked_before_they_leave() {
    let points =
        read_text(include_str!("everything.toml"), &[("lane", "7")]).expect("no fault").points.expect("points");
    let put = |name: &str, value: Value| points.write(name, &value).map(|request| request.put);
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(put("lane_enable", Value::Int(1)), Ok(Put::Registers(vec![1])), "the map says function 16");
    assert_eq!(put("lane_enable", Value::Int(2)), Err("lane_enable takes 0 to 1, not 2".to_owned()));
    assert_eq!(put("lane_enable", Value::Bool(true)), Err("lane_enable does not take this value".to_owned()));
    assert_eq!(put("lane_enable", text("0.5")), Err("lane_enable is a whole number, 0 to 1, not 0.5".to_owned()));
    assert_eq!(put("belt", text("stop")), Ok(Put::Register(2)));
    assert_eq!(put("belt", text("halt")), Err("belt takes one of: run, stop".to_owned()));
    assert_eq!(put("belt", Value::Int(3)), Err("belt does not take this value".to_owned()));
    assert_eq!(put("reset", Value::Bool(true)), Ok(Put::Mask { and: 0xFF7F, or: 0x0080 }));
    assert_eq!(put("reset", Value::Bool(false)), Ok(Put::Mask { and: 0xFF7F, or: 0 }));
    assert_eq!(put("reset", text("on")), Err("reset takes true or false".to_owned()));
    assert_eq!(put("horn", Value::Bool(true)), Ok(Put::Coils(vec![true])));
    assert_eq!(put("speed", text("2.5")), Ok(Put::Registers(vec![0, 0x4020])), "low word first");
    assert_eq!(
        put("hron", Value::Bool(true)),
        Err("the map everything@1 has no [[write]] \"hron\"; it has: lane_enable, belt, reset, speed, horn".to_owned())
    );
    let request = points.write("lane_enable", &Value::Int(0)).expect("0 is in its range");
    assert_eq!((request.area, request.at, request.verify, request.put.function()), (Area::Holding, 49, Some(49), 16));
    assert_eq!(request.expires, Some(Duration::from_secs(5)));
    let ms = Duration::from_millis;
    assert_eq!(request.may_leave(ms(5_000)), Ok(()));
    let late = "was asked for 5001 ms ago and expires after 5000".to_owned();
    assert_eq!(request.may_leave(ms(5_001)), Err(late));
    assert_eq!(points.allowed("horn"), ["command:horn"]);
    let [probe] = points.probes() else { panic!("one probe") };
    assert_eq!((probe.expect.to_string(), probe.within.to_string()), ("5.000".to_owned(), "0.005".to_owned()));
}

#[test]
fn what_the_device_refuses_is_split_until_it_stands_alone() {
    let tags = (0..5).map(|i| {
        format!("[[tag]]\nname = \"t{i}\"\npoll = \"fast\"\narea = \"holding\"\nat = {}\ntype = \"u16\"\n", i * 2)
    });
    let mut bench = Bench::new(&tags.collect::<String>());
    assert_eq!(bench.points.polls()[0].reads.len(), 1);
    let mut refusals = 0;
    // Register 6 does not exist.
    while let Some(read) = bench.points.polls()[0].reads.iter().position(|r| (r.at..r.at + r.count).contains(&6)) {
        bench.points.refused(0, read);
        refusals += 1;
        assert!(refusals < 10);
    }
    assert_eq!(refusals, 4);
    let quarantined: Vec<Quarantined<'_>> = bench.points.quarantined().collect();
    assert_eq!(quarantined, [Quarantined { tag: "t3", area: Area::Holding, at: 6 }]);
    let spans: Vec<(u16, u16)> = bench.points.polls()[0].reads.iter().map(|r| (r.at, r.count)).collect();
    assert_eq!(spans, [(0, 3), (4, 1), (8, 1)]);
    bench.hold(0, &[10, 0, 12, 0, 14, 0, 16, 0, 18]);
    bench.poll_after(20);
    assert_eq!(["t0", "t1", "t2", "t4"].map(|tag| bench.value(tag)), ["10", "12", "14", "18"]);
    assert_eq!(bench.value("t3"), "none stale: the device refuses its address");
    bench.points.release();
    bench.poll_after(20);
    assert_eq!((bench.value("t3"), bench.points.quarantined().count()), ("16".to_owned(), 0));
    bench.points.refused(7, 0);
    bench.points.refused(0, 99);
}

#[test]
fn a_scale_that_is_scaled_by_a_tag() {
    let tag = |name: &str, at: u16, more: &str| {
        format!("[[tag]]\nname = \"{name}\"\npoll = \"fast\"\narea = \"holding\"\nat = {at}\ntype = \"u16\"\n{more}\n")
    };
    let chain = [tag("a", 0, "scale = { tag = \"b\" }"), tag("b", 1, "scale = { tag = \"c\" }"), tag("c", 2, "")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let faults = told(&order.map(|tag| chain[tag].as_str()).concat());
        let fault = "scale.tag: `b` is scaled by a tag itself (name a number that is not scaled by another tag)";
        assert!(faults.ends_with(fault) && faults.lines().count() == 1, "{order:?}: {faults}");
    }
    let own = told(&tag("a", 0, "scale = { tag = \"a\" }"));
    assert!(own.contains("scale.tag: is the tag itself"), "{own}");
    let bit = told(&format!("{EYE}{}", tag("a", 0, "scale = { tag = \"eye\" }")));
    assert!(bit.contains("scale.tag: `eye` is no number"), "{bit}");
}

#[test]
fn a_tag_that_no_request_can_read() {
    let wide = |kind: &str, most: u16| {
        told(&format!("[defaults]\nmax_words = {most}\n{}", TAG.replace("type = \"u16\"", kind)))
    };
    for kind in ["type = \"bytes\"\nwords = 101", "type = \"string\"\nbytes = \"high-first\"\nwords = 101"] {
        let fault = "words: takes 101 registers (one request has at most 100 (max_words))";
        assert!(wide(kind, 100).contains(fault), "{}", wide(kind, 100));
        assert_eq!(wide(kind, 101), "");
    }
    let number = wide("type = \"u64\"\norder = \"ABCDEFGH\"", 2);
    assert!(number.contains("type: takes 4 registers (one request has at most 2 (max_words))"), "{number}");
}

#[test]
fn each_event_on_pulses_is_doubted() {
    let event = |on: &str| format!("[[event]]\nname = \"n.c\"\non = {{ {on} = \"eye\" }}\n");
    let raw = EYE.replace("\"eye\"", "\"raw\"").replace("at = 1", "at = 2");
    let steady = format!("{EYE}debounce = {{ on = \"60ms\", off = \"60ms\" }}\n");
    let of_raw = event("rising").replace("\"eye\"", "\"raw\"");
    let warnings = told(&format!("{steady}{raw}{}{of_raw}", event("rising")));
    assert!(warnings.contains("event[2].on: counts pulses of `raw`") && warnings.lines().count() == 1, "{warnings}");
}

#[test]
fn a_number_of_events_that_is_scaled() {
    for more in ["scale = 10", "offset = -1", "digits = 0"] {
        let text = format!(
            "{TAG}{more}\n[[event]]\nname = \"e\"\non = {{ change = \"x\" }}\nseq = \"x\"\nepoch = \"gateway\"\n"
        );
        assert!(told(&text).contains("event[1].seq: is no number that counts"), "{more}: {}", told(&text));
    }
}

#[test]
fn a_parameter_is_its_number_however_it_is_written() {
    for (written, number) in [("0x10", 16), ("0b100", 4), ("0o17", 15), ("1_000", 1_000)] {
        let text =
            format!("[param.base]\ntype = \"int\"\ndefault = {written}\n{}", TAG.replace("at = 10", "at = \"{base}\""));
        let read = map(&text, &[]).expect("it has no fault").points.expect("it has points");
        assert_eq!(read.polls()[0].reads[0].at, number, "{written}");
    }
}
