//! From values to events.

use super::*;

const EYE: &str = "[[tag]]\nname = \"eye\"\npoll = \"fast\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\n\
                   debounce = { on = \"60ms\", off = \"100ms\" }\n";
const MODE: &str = "[[tag]]\nname = \"mode\"\npoll = \"fast\"\narea = \"holding\"\nat = 1\ntype = \"u16\"\n\
                    enum = { 0 = \"stop\", 1 = \"auto\" }\n";
const WEIGHT: &str = "[[tag]]\nname = \"weight\"\npoll = \"fast\"\narea = \"holding\"\nat = 2\ntype = \"u16\"\nscale = 0.001\ndigits = 3\n\
                      valid = { max = 60 }\ngroup = \"s\"\n\
                      [[tag]]\nname = \"no\"\npoll = \"fast\"\narea = \"holding\"\nat = 3\ntype = \"u16\"\ngroup = \"s\"\n\
                      [[tag]]\nname = \"stable\"\npoll = \"fast\"\narea = \"holding\"\nat = 4\ntype = \"bit\"\nbit = 2\ngroup = \"s\"\n";

#[test]
fn a_bit_counts_once_it_has_stayed() {
    let mut bench = Bench::new(&format!(
        "{EYE}[[event]]\nname = \"eye.on\"\non = {{ rising = \"eye\" }}\n[[event]]\nname = \"eye.off\"\non = {{ falling = \"eye\" }}\n"
    ));
    assert_eq!(bench.run(100), [""; 0], "what stood when the gateway came is no edge");
    bench.set(Area::Discrete, 0, &[1]);
    assert_eq!(bench.run(60), [""; 0]);
    bench.set(Area::Discrete, 0, &[0]);
    assert_eq!(bench.run(100), [""; 0], "too short");
    bench.set(Area::Discrete, 0, &[1]);
    assert_eq!(bench.run(200), ["80 eye.on"], "seen at 20, and again until 80");
    bench.set(Area::Discrete, 0, &[0]);
    assert_eq!(bench.run(200), ["120 eye.off"]);
}

#[test]
fn an_edge_is_told_if_its_condition_holds_then() {
    let mut bench = Bench::new(&format!(
        "{EYE}{MODE}[[event]]\nname = \"eye.on\"\non = {{ rising = \"eye\" }}\nwhen = \"mode == 'auto'\"\nfields = {{ mode = \"mode\", lane = 7, hall = \"'A'\" }}\n"
    ));
    bench.run(40);
    bench.set(Area::Discrete, 0, &[1]);
    assert_eq!(bench.run(200), [""; 0], "the mode is stop");
    bench.hold(1, &word(1));
    assert_eq!(bench.run(100), [""; 0], "the edge was before");
    bench.set(Area::Discrete, 0, &[0]);
    bench.run(200);
    bench.set(Area::Discrete, 0, &[1]);
    bench.hold(1, &word(9));
    assert_eq!(bench.run(200), [""; 0], "the mode is not known");
    bench.hold(1, &word(1));
    assert_eq!(bench.run(100), ["20 eye.on mode=\"auto\" lane=7 hall=\"A\""], "the edge has waited for it");
}

#[test]
fn a_change_waits_for_its_condition_and_tells_missing_numbers() {
    let mut bench = Bench::new(&format!(
        "{WEIGHT}[[event]]\nname = \"weight.measured\"\non = {{ change = \"no\" }}\nwhen = \"stable\"\nseq = \"no\"\nepoch = \"gateway\"\n\
         subject = \"scale/{{no}}\"\nfields = {{ weight = \"weight\" }}\n"
    ));
    bench.hold(2, &[5000, 7, 4]);
    assert_eq!(bench.run(40), [""; 0], "a sample from before");
    bench.hold(2, &[5100, 8, 0]);
    assert_eq!(bench.run(100), [""; 0]);
    bench.hold(2, &[5200, 8, 4]);
    assert_eq!(bench.run(100), ["20 weight.measured [scale/8] seq=8 weight=\"5.200\""]);
    bench.hold(2, &[61_000, 9, 4]);
    assert_eq!(bench.run(40), ["20 weight.measured [scale/9] seq=9 quality=\"bad\""]);
    bench.hold(2, &[100, 12, 4]);
    assert_eq!(
        bench.run(40),
        [
            "20 sequence_gap device=\"plc-1\" code=\"sequence_gap\" severity=\"high\" from=10 to=11 \
             text=\"numbers 10 to 11 of plc-1 have no event: they passed between two reads\"",
            "20 weight.measured [scale/12] seq=12 weight=\"0.100\""
        ]
    );
    bench.hold(2, &[200, 1, 4]);
    assert_eq!(bench.run(40), ["20 weight.measured [scale/1] seq=1 weight=\"0.200\""], "it counts afresh");
    bench.hold(2, &[0, 0, 4]);
    assert_eq!(bench.run(40), [""; 0], "a scale that was switched on has weighed nothing");
    bench.hold(2, &[300, 1, 4]);
    assert_eq!(bench.run(40), ["20 weight.measured [scale/1] seq=1 weight=\"0.300\""]);
}

#[test]
fn numbers_with_the_devices_own_run_are_its_position() {
    let run = "[[tag]]\nname = \"run\"\npoll = \"fast\"\narea = \"holding\"\nat = 5\ntype = \"u16\"\ngroup = \"s\"\n";
    let text = format!(
        "{WEIGHT}{run}[[event]]\nname = \"weight.measured\"\non = {{ change = \"no\" }}\nseq = \"no\"\nepoch = \"run\"\n"
    );
    let apart = text.replace(run, &run.replace("group = \"s\"", ""));
    insta::assert_snapshot!(map(&apart, &[]).err().unwrap_or_default().concat(), @r#"map.toml:48:9: event[1].epoch: `run` is not read in one request with the number: one could be of another run (write group = "…", the same at `no` and `run`)"#);
    let mut bench = Bench::new(&text);
    bench.hold(2, &[1, 65_535, 4, 0x1F]);
    let samples = bench.look(0, 20);
    assert!(bench.commit(samples).is_empty());
    let mut position = |no, run| {
        bench.hold(3, &[no, 4, run]);
        let samples = bench.look(0, 20);
        let told = bench.commit(samples);
        told.into_iter().map(|(position, event)| (position, short(&event))).collect::<Vec<_>>()
    };
    let counted = |boot: &str, seq| Position::Counted { boot: Some(boot.to_owned()), seq, bits: 16, ring: 1 };
    let told = |boot, seq| vec![(counted(boot, seq), "weight.measured".to_owned())];
    assert_eq!(position(0, 0x1F), told("001F", 0));
    assert_eq!(position(0, 0x1F), []);
    assert_eq!(position(0, 0x20), [], "it has started and told nothing yet");
    assert_eq!(position(1, 0x20), told("0020", 1));
    assert_eq!(position(1, 0x21), [], "one that keeps its number has told nothing either");
    assert_eq!(position(2, 0x21), told("0021", 2));
    assert_eq!(position(0, 0x22), [], "back to 0 with a start is no event");
    assert_eq!(position(3, 0x23), told("0023", 3), "what came since its start is");
}

#[test]
fn what_may_not_be_missing_refuses_the_event() {
    let text = WEIGHT.replace("max = 60", "max = 60, else = \"reject\"");
    let mut bench = Bench::new(&format!(
        "{text}[[event]]\nname = \"weight.measured\"\non = {{ change = \"no\" }}\nfields = {{ weight = \"weight\" }}\n"
    ));
    bench.run(20);
    bench.hold(2, &[61_000, 9]);
    assert_eq!(bench.run(60), [""; 0]);
    assert_eq!(bench.refused, ["weight.measured is not told: weight is 61.000, above 60"]);
    bench.hold(2, &[60_000, 10]);
    assert_eq!(bench.run(60), ["20 weight.measured weight=\"60.000\""]);
}

#[test]
fn what_the_subject_needs_says_why_it_is_not_there() {
    let label = "[[tag]]\nname = \"label\"\npoll = \"fast\"\narea = \"input\"\nat = 9\ntype = \"u16\"\n";
    let event = "[[event]]\nname = \"weight.measured\"\non = { change = \"no\" }\nsubject = \"{label}\"\n";
    let scaled = "scale = { tag = \"digits\", pow10 = true }\n\
                  [[tag]]\nname = \"digits\"\npoll = \"slow\"\narea = \"input\"\nat = 30\ntype = \"i16\"\n";
    let text = "[[tag]]\nname = \"label\"\npoll = \"fast\"\narea = \"input\"\nat = 9\ntype = \"string\"\nwords = 1\nbytes = \"high-first\"\n";
    for (tag, value, expected) in [
        (format!("{label}valid = {{ invalid = [9999] }}\n"), Some(9999), "(bad: is 9999, which the map calls invalid)"),
        (format!("{label}valid = {{ max = 60 }}\n"), Some(61), "(bad: is 61, above 60)"),
        (label.replace("fast", "slow"), Some(1), "(stale: was not read yet)"),
        (label.to_owned(), None, "(stale: was not answered)"),
        (format!("{label}{scaled}"), Some(1), "(bad: has no scale: digits was not read yet)"),
        (text.to_owned(), Some(0), ", which is empty"),
    ] {
        let mut bench = Bench::new(&format!("{WEIGHT}{tag}{event}"));
        bench.run(20);
        bench.hold(3, &word(9));
        bench.set(Area::Input, 9, &[value.unwrap_or_default()]);
        bench.mono += 20;
        let (mut answers, now) = (bench.answers(0), bench.now());
        if value.is_none() {
            let of = bench.points.polls()[0].reads.iter().position(|read| read.area == Area::Input);
            answers[of.expect("it is read")] = None;
        }
        let samples = bench.points.observe(0, &answers, now);
        bench.commit(samples);
        assert_eq!(
            bench.refused,
            [format!("weight.measured is not told: the subject needs label {expected}").replace(" ,", ",")]
        );
    }
}

#[test]
fn a_rule_that_panics_is_told_once_and_the_others_go_on() {
    let mut bench = Bench::new(&format!(
        "{WEIGHT}[[event]]\nname = \"planted.panic\"\non = {{ change = \"no\" }}\n[[event]]\nname = \"no.changed\"\non = {{ change = \"no\" }}\n"
    ));
    bench.run(20);
    bench.hold(3, &word(5));
    assert_eq!(bench.run(100), ["20 no.changed"]);
    assert_eq!(bench.refused, ["event:planted.panic:change:no panicked: a planted panic in a rule"]);
}

#[test]
fn a_state_that_lasts_is_told_once() {
    let mut bench =
        Bench::new(&format!("{EYE}[[event]]\nname = \"eye.blocked\"\non = {{ held = \"eye\", for = \"3s\" }}\n"));
    bench.run(20);
    for _ in 0..2 {
        bench.set(Area::Discrete, 0, &[1]);
        assert_eq!(bench.run(5_000), ["3080 eye.blocked"]);
        bench.set(Area::Discrete, 0, &[0]);
        assert_eq!(bench.run(1_000), [""; 0]);
    }
}

#[test]
fn an_alarm_is_raised_late_and_cleared_late() {
    let text = format!(
        "{EYE}[[alarm]]\nname = \"full\"\nwhen = \"eye\"\non_delay = \"1s\"\noff_delay = \"2s\"\nseverity = \"medium\"\n\
         text = \"Full at {{device}}\"\nevent = \"lane.full\"\nclear_event = \"lane.cleared\"\nsubject = \"lane-7\"\nfields = {{ lane = 7 }}\n"
    );
    let mut bench = Bench::new(&text);
    let rest = "[lane-7] alarm=\"full\" severity=\"medium\" text=\"Full at plc-1\" lane=7";
    bench.run(20);
    bench.set(Area::Discrete, 0, &[1]);
    assert_eq!(bench.run(900), [""; 0]);
    bench.set(Area::Discrete, 0, &[0]);
    assert_eq!(bench.run(1_000), [""; 0], "it did not last");
    bench.set(Area::Discrete, 0, &[1]);
    assert_eq!(bench.run(1_200), [format!("1080 lane.full {rest}")]);
    bench.restart(&text);
    assert_eq!(bench.run(3_000), [""; 0], "it still stands");
    bench.set(Area::Discrete, 0, &[0]);
    assert_eq!(bench.run(3_000), [format!("2120 lane.cleared {rest}")]);
}

/// An alarm that waits for a button.
fn latched() -> String {
    format!(
        "{MODE}[[tag]]\nname = \"button\"\npoll = \"fast\"\narea = \"discrete\"\nat = 9\ntype = \"bool\"\n\
         [[alarm]]\nname = \"stop\"\nwhen = \"mode == 'stop'\"\nseverity = \"high\"\nlatch = true\nack = \"button\"\n"
    )
}

#[test]
fn a_latched_alarm_waits_for_a_person() {
    let mut bench = Bench::new(&latched());
    let press = |bench: &mut Bench| {
        bench.set(Area::Discrete, 9, &[1]);
        let events = bench.run(20);
        bench.set(Area::Discrete, 9, &[0]);
        events
    };
    bench.hold(1, &word(1));
    assert_eq!(press(&mut bench), [""; 0], "it does not stand");
    bench.hold(1, &word(0));
    assert_eq!(bench.run(40), ["20 alarm.raised alarm=\"stop\" severity=\"high\""]);
    bench.hold(1, &word(1));
    assert_eq!(bench.run(60_000), [""; 0]);
    assert_eq!(press(&mut bench), ["20 alarm.cleared alarm=\"stop\" severity=\"high\""]);
}

#[test]
fn an_acknowledgement_outlives_a_restart() {
    let text = latched();
    let mut bench = Bench::new(&text);
    bench.run(40);
    bench.set(Area::Discrete, 9, &[1]);
    assert_eq!(bench.look(0, 20).len(), 1, "it is remembered with a sample of its own");
    bench.points.undo();
    assert_eq!(bench.run(20), [""; 0], "the button is still pressed");
    bench.set(Area::Discrete, 9, &[0]);
    bench.restart(&text);
    bench.hold(1, &word(1));
    assert_eq!(bench.run(40), ["20 alarm.cleared alarm=\"stop\" severity=\"high\""]);
}

#[test]
fn a_latch_and_its_acknowledgement_go_together() {
    let told = |keys: &str| {
        let alarm = format!("[[alarm]]\nname = \"a\"\nwhen = \"eye\"\nseverity = \"low\"\n{keys}\n");
        map(&format!("{EYE}{alarm}"), &[]).err().unwrap_or_default().join("\n")
    };
    insta::assert_snapshot!(told("latch = true"), @r#"map.toml:23:9: alarm[1].latch: would never clear: nothing says that a person has seen it (add ack = "…": the button or bit by which a person says that it was seen)"#);
    insta::assert_snapshot!(told("ack = \"eye\""), @"map.toml:23:7: alarm[1].ack: is for alarms that wait for it (add latch = true, or remove it)");
    assert_eq!(told("latch = true\nack = \"not eye\""), "");
}

#[test]
fn a_value_that_stands_still_makes_the_device_stale() {
    let text = "[[tag]]\nname = \"heart\"\npoll = \"fast\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\nwatchdog = \"5s\"\n\
                [[tag]]\nname = \"x\"\npoll = \"fast\"\narea = \"holding\"\nat = 1\ntype = \"u16\"\nreport = \"change\"\n";
    let mut bench = Bench::new(text);
    bench.run(40);
    assert_eq!(bench.run(6_000), ["4980 device.stale tag=\"heart\""]);
    assert_eq!(bench.value("x"), "0 stale: the device answers, but its watchdog value does not move");
    bench.hold(1, &word(5));
    assert_eq!(bench.run(20), ["20 tag.value tag=\"x\" value=5 quality=\"stale\""]);
    bench.restart(text);
    assert_eq!(bench.run(1_000), [""; 0], "a restart is no sign of life");
    bench.hold(0, &word(1));
    assert_eq!(bench.run(20), ["20 device.live tag=\"heart\""]);
    assert_eq!(bench.value("x"), "5");
    for _ in 0..300 {
        bench.mono += 20;
        let now = bench.now();
        assert_eq!(bench.points.observe(0, &[None], now), [], "a link that is down is no device that stands still");
    }
}

#[test]
fn reports_tell_what_is_worth_it() {
    let report = |report: &str, steps: &[(u16, u64, &[&str])]| {
        let mut bench = Bench::new(&format!(
            "[[tag]]\nname = \"x\"\npoll = \"fast\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\nunit = \"1/h\"\n\
             valid = {{ invalid = [999] }}\nreport = {report}\n"
        ));
        for (value, ms, expected) in steps {
            bench.hold(0, &word(*value));
            let told = bench.run(*ms);
            let told: Vec<String> = told
                .iter()
                .map(|t| t.replace(" tag.value tag=\"x\" value=", "=").replace(" unit=\"1/h\"", ""))
                .collect();
            assert_eq!(told, *expected, "{report}, {value} for {ms} ms");
        }
    };
    report("\"poll\"", &[(1, 60, &["20=1", "40=1", "60=1"])]);
    report("\"change\"", &[(1, 60, &["20=1"]), (2, 60, &["20=2"]), (1, 60, &["20=1"])]);
    report(
        "{ change = 5 }",
        &[(10, 40, &["20=10"]), (14, 40, &[]), (15, 40, &["20=15"]), (11, 40, &[]), (10, 40, &["20=10"])],
    );
    report(
        "{ percent = 10 }",
        &[(100, 40, &["20=100"]), (109, 40, &[]), (110, 40, &["20=110"]), (0, 40, &["20=0"]), (1, 40, &["20=1"])],
    );
    report(
        "{ at_most = \"1s\" }",
        &[(1, 40, &["20=1"]), (2, 500, &[]), (3, 1_000, &["480=3"]), (4, 100, &[]), (3, 1_000, &[])],
    );
    report("{ at_least = \"1s\" }", &[(1, 2_100, &["20=1", "1020=1", "2020=1"])]);
    let bad = "20 tag.value tag=\"x\" quality=\"bad\" reason=\"is 999, which the map calls invalid\"";
    report("\"change\"", &[(1, 40, &["20=1"]), (999, 100, &[bad]), (1, 40, &["20=1"])]);
}

#[test]
fn a_full_outbox_hears_again_what_still_holds() {
    let text = format!("{MODE}[[alarm]]\nname = \"stop\"\nwhen = \"mode == 'stop'\"\nseverity = \"high\"\n");
    let mut bench = Bench::new(&text);
    for _ in 0..3 {
        assert_eq!(bench.look(0, 20).len(), 1);
        bench.points.undo();
    }
    assert_eq!(bench.poll_after(20).len(), 1);
    assert_eq!(bench.poll_after(20).len(), 0);
}

#[test]
fn one_poll_is_one_sample_with_the_bytes_behind_it() {
    let mut bench = Bench::new(&format!(
        "{EYE}{MODE}{WEIGHT}{}",
        "[[alarm]]\nname = \"a\"\nwhen = \"mode == 'stop'\"\nseverity = \"low\"\n\
        [[alarm]]\nname = \"b\"\nwhen = \"not eye\"\nseverity = \"low\"\n"
    ));
    bench.hold(1, &[0, 7, 8, 4]);
    let samples = bench.look(0, 20);
    let [sample] = samples.as_slice() else { panic!("{samples:?}") };
    assert_eq!((&*sample.source, &*sample.origin, sample.raw.as_slice()), ("plc-1", "fast", [0, 0, 0].as_slice()));
    let memory = sample.memory.as_ref().expect("it is remembered");
    assert_eq!(*memory.name, *bench.points.memory_name());
    assert_eq!(&*memory.name, "plc-1/points");
    let decoded = sample.content.as_ref().expect("it has events");
    assert_eq!((&decoded.position, decoded.events.len(), &*decoded.map), (&Position::Own, 2, "m@1"));
}

#[test]
fn a_planted_memory_is_taken_as_far_as_it_fits() {
    let text = format!("{MODE}[[alarm]]\nname = \"stop\"\nwhen = \"mode == 'stop'\"\nseverity = \"high\"\n");
    for memory in [
        "",
        "{}",
        "[]",
        "{\"rules\":{\"alarm:other\":{\"Flag\":true}}}",
        "{\"rules\":{\"alarm:stop\":{\"Count\":5}}}",
        "\u{0}",
    ] {
        let mut bench = Bench::new(&text);
        bench.points.restore(memory.as_bytes());
        assert_eq!(bench.poll_after(20).len(), 1, "{memory}");
    }
}

/// A map whose values mean something else, over the same registers.
#[test]
fn another_meaning_of_a_tag_is_no_change() {
    let text = |more: &str| {
        format!(
            "[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\npoll = \"fast\"\n{more}\n\
             [[event]]\nname = \"a.changed\"\non = {{ change = \"a\" }}\n"
        )
    };
    let mut bench = Bench::new(&text(""));
    bench.hold(0, &word(50));
    bench.poll_after(20);
    let units = "unit = \"mm\"\nto = \"cm\"";
    for more in ["scale = 0.1", "digits = 2", "", units, "enum = { 50 = \"full\", 51 = \"empty\" }"] {
        bench.restart(&text(more));
        assert_eq!(bench.run(100), [""; 0], "{more}: the register has not moved");
    }
    bench.hold(0, &word(51));
    assert_eq!(bench.poll_after(20), ["a.changed"]);
    bench.restart(&text("enum = { 50 = \"full\", 51 = \"empty\" }"));
    bench.hold(0, &word(50));
    assert_eq!(bench.poll_after(20), ["a.changed"], "the same map tells what changed while it was not there");
}

/// An address that was wrong is corrected.
#[test]
fn another_register_is_no_change() {
    let text = |at: u16| {
        format!(
            "[[tag]]\nname = \"a\"\narea = \"holding\"\nat = {at}\ntype = \"u16\"\npoll = \"fast\"\n\
             [[event]]\nname = \"a.changed\"\non = {{ change = \"a\" }}\n"
        )
    };
    let mut bench = Bench::new(&text(0));
    bench.hold(0, &[50, 51]);
    bench.poll_after(20);
    bench.restart(&text(1));
    assert_eq!(bench.run(100), [""; 0], "no register has moved");
    bench.hold(1, &word(52));
    assert_eq!(bench.poll_after(20), ["a.changed"]);
}

#[test]
fn a_memory_without_the_tags_meaning_is_of_the_same() {
    let text = "[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\npoll = \"fast\"\n\
                [[event]]\nname = \"a.changed\"\non = { change = \"a\" }\n";
    let memory = |seen: u16| {
        format!(
            "{{\"rules\":{{\"event:a.changed:change:a\":{{\"Seen\":{{\"value\":{{\"Number\":\"{seen}\"}},\"seq\":null,\"epoch\":null}}}}}}}}"
        )
    };
    let mut bench = Bench::new(text);
    bench.points.restore(memory(4).as_bytes());
    assert_eq!(bench.poll_after(20), ["a.changed"]);
    let mut bench = Bench::new(text);
    bench.points.restore(memory(0).as_bytes());
    assert_eq!(bench.poll_after(20), [""; 0]);
    bench.restart(&text.replace("u16\"", "u16\"\noffset = 1"));
    assert_eq!(bench.poll_after(20), [""; 0], "it has learnt the meaning since");
}

/// A slow bit and a fast register: the looks at the register prove nothing of the bit.
#[test]
fn what_lasts_is_read_again_before_it_is_told() {
    let slow = "[[tag]]\nname = \"f\"\narea = \"holding\"\nat = 100\ntype = \"u16\"\npoll = \"fast\"\n\
                [[tag]]\nname = \"s\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\npoll = \"slow\"\n";
    let alarm = "[[alarm]]\nname = \"x\"\nwhen = \"s\"\non_delay = \"100ms\"\nseverity = \"low\"\n";
    let held = "[[event]]\nname = \"s.held\"\non = { held = \"s\", for = \"100ms\" }\n";
    for (rule, expected) in [(alarm, "alarm.raised alarm=\"x\" severity=\"low\""), (held, "s.held")] {
        let mut bench = Bench::new(&format!("{slow}{rule}"));
        bench.set(Area::Discrete, 0, &[1]);
        let samples = bench.look(1, 20);
        assert!(bench.commit(samples).is_empty());
        assert_eq!(bench.run(480), [""; 0], "it was seen once");
        let samples = bench.look(1, 0);
        let told: Vec<String> = bench.commit(samples).iter().map(|(_, event)| short(event)).collect();
        assert_eq!(told, [expected]);
    }
}

#[test]
fn a_change_too_large_for_a_number_is_reported() {
    let mut bench = Bench::new(
        "[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\ntype = \"f32\"\norder = \"ABCD\"\npoll = \"fast\"\n\
         report = { change = 1 }\n",
    );
    for (x, text) in [(7e28_f32, "70000000000000000000000000000"), (-7e28, "-70000000000000000000000000000")] {
        let bits = x.to_bits();
        bench.hold(0, &[(bits >> 16) as u16, bits as u16]);
        assert_eq!(bench.run(60), [format!("20 tag.value tag=\"a\" value=\"{text}\"")]);
    }
    assert!(bench.refused.is_empty(), "{:?}", bench.refused);
}

#[test]
fn a_number_beyond_63_bits_is_text() {
    let mut bench = Bench::new(
        "[[tag]]\nname = \"n\"\narea = \"holding\"\nat = 0\ntype = \"u64\"\norder = \"ABCDEFGH\"\npoll = \"fast\"\n\
         [[event]]\nname = \"n.changed\"\non = { change = \"n\" }\nseq = \"n\"\nepoch = \"gateway\"\n",
    );
    bench.hold(0, &[0x8000, 0, 0, 0]);
    bench.poll_after(20);
    bench.hold(3, &word(1));
    assert_eq!(bench.poll_after(20), ["n.changed seq=\"9223372036854775809\""]);
}

#[test]
fn both_polls_of_a_full_outbox_are_told_again() {
    let bit = |name: &str, at: u16, poll: &str| {
        format!(
            "[[tag]]\nname = \"{name}\"\narea = \"discrete\"\nat = {at}\ntype = \"bool\"\npoll = \"{poll}\"\n\
             [[event]]\nname = \"{name}.on\"\non = {{ rising = \"{name}\" }}\n"
        )
    };
    let mut bench = Bench::new(&(bit("a", 0, "fast") + &bit("b", 100, "slow")));
    for poll in [0, 1] {
        let samples = bench.look(poll, 20);
        bench.commit(samples);
    }
    bench.set(Area::Discrete, 0, &[1]);
    assert_eq!([bench.look(0, 20).len(), bench.look(1, 0).len()], [1, 0]);
    bench.points.undo();
    bench.points.undo();
    assert_eq!(bench.poll_after(20), ["a.on"]);
}
