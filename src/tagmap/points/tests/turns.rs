//! `at_once`: what a change becomes is decided when it is seen.

use super::*;

/// A wrapper: its strobe, whether there is a label, and what it says.
const WRAPPER: &str = r#"
[[tag]]
name = "pallet"
poll = "fast"
area = "holding"
at = 0
type = "u16"
group = "p"
[[tag]]
name = "starts"
poll = "fast"
area = "holding"
at = 1
type = "u16"
group = "p"
[[tag]]
name = "sscc"
poll = "fast"
area = "holding"
at = 2
type = "string"
words = 9
bytes = "high-first"
check = "sscc"
group = "p"
"#;

/// The pair, with these keys at each, and `when` of the two.
fn pair(keys: &str, wrapped: &str, unlabelled: &str) -> String {
    let event = |name: &str, when: &str| {
        format!("[[event]]\nname = \"{name}\"\non = {{ change = \"pallet\" }}\n{when}{keys}at_once = true\n")
    };
    let wrapped = event("pallet.wrapped", wrapped);
    format!("{WRAPPER}{wrapped}subject = \"{{sscc}}\"\n{}", event("pallet.unlabelled", unlabelled))
}

const LABELLED: &str = "when = \"sscc != ''\"\n";
const BLANK: &str = "when = \"sscc == ''\"\n";
const GATEWAY: &str = "seq = \"pallet\"\nepoch = \"gateway\"\n";
const OWN: &str = "seq = \"pallet\"\nepoch = \"starts\"\n";

/// What comes when the device shows this pallet with this label.
fn show(bench: &mut Bench, pallet: u16, label: &str) -> Vec<String> {
    let mut text = label.as_bytes().to_vec();
    text.resize(18, 0);
    let words: Vec<u16> = text.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    bench.hold(0, &[pallet, 7]);
    bench.hold(2, &words);
    let told = bench.poll_after(20);
    told.into_iter().map(|told| told.split(" device=").next().unwrap_or_default().to_owned()).collect()
}

const SSCC: &str = "395212345000000125";
const OTHER: &str = "395212345000000132";

#[test]
fn a_change_is_the_first_event_whose_condition_holds_then() {
    for keys in ["", GATEWAY] {
        let mut bench = Bench::new(&pair(keys, LABELLED, BLANK));
        let seq = |n: u16| if keys.is_empty() { String::new() } else { format!(" seq={n}") };
        assert_eq!(show(&mut bench, 1, SSCC), [""; 0]);
        assert_eq!(show(&mut bench, 2, SSCC), [format!("pallet.wrapped [{SSCC}]{}", seq(2))]);
        assert_eq!(show(&mut bench, 2, ""), [""; 0], "the next pallet's label is not there yet");
        assert_eq!(show(&mut bench, 3, ""), [format!("pallet.unlabelled{}", seq(3))]);
        assert_eq!(show(&mut bench, 3, OTHER), [""; 0], "the pallet without one is decided");
        assert_eq!(show(&mut bench, 4, OTHER), [format!("pallet.wrapped [{OTHER}]{}", seq(4))], "nothing is missing");
        assert_eq!(bench.refused, [""; 0]);
    }
}

#[test]
fn missing_numbers_are_told_once_by_whichever_comes() {
    let mut bench = Bench::new(&pair(GATEWAY, LABELLED, BLANK));
    show(&mut bench, 1, SSCC);
    assert_eq!(show(&mut bench, 3, ""), ["sequence_gap", "pallet.unlabelled seq=3"]);
    assert_eq!(show(&mut bench, 5, SSCC), ["sequence_gap".to_owned(), format!("pallet.wrapped [{SSCC}] seq=5")]);
}

#[test]
fn both_may_have_the_devices_own_numbers() {
    let mut bench = Bench::new(&pair(OWN, LABELLED, BLANK));
    show(&mut bench, 1, SSCC);
    let mut position = |pallet, label| {
        bench.hold(0, &[pallet, 7]);
        bench.hold(2, &if label { [0x3339; 9] } else { [0; 9] });
        let samples = bench.look(0, 20);
        let told = bench.commit(samples);
        told.into_iter().map(|(position, event)| (position, short(&event))).collect::<Vec<_>>()
    };
    let at = |seq| Position::Counted { boot: Some("0007".to_owned()), seq, bits: 16, ring: 1 };
    assert_eq!(position(2, false), [(at(2), "pallet.unlabelled".to_owned())]);
    assert_eq!(position(3, false), [(at(3), "pallet.unlabelled".to_owned())]);
}

#[test]
fn what_can_not_be_decided_or_nothing_takes_is_kept_once() {
    let mut bench = Bench::new(&pair("", LABELLED, BLANK));
    show(&mut bench, 1, SSCC);
    assert_eq!(show(&mut bench, 2, "395212345000000126"), [""; 0]);
    assert_eq!(show(&mut bench, 2, SSCC), [""; 0], "it does not wait");
    insta::assert_snapshot!(bench.refused.join("\n"), @r#"pallet.wrapped is not told: its `when` can't be decided: sscc is "395212345000000126", which is no SSCC: 18 digits, the last one the right check digit"#);
    let mut bench = Bench::new(&pair("", LABELLED, "when = \"sscc == '' and starts > 7\"\n"));
    show(&mut bench, 1, SSCC);
    assert_eq!(show(&mut bench, 2, ""), [""; 0]);
    insta::assert_snapshot!(bench.refused.join("\n"), @"pallet.unlabelled is not told, nor is an event before it that the same change may be: no `when` of them holds");
    assert_eq!(show(&mut bench, 3, SSCC), [format!("pallet.wrapped [{SSCC}]")]);
}

/// One event alone leaves out what it does not want; the number of that is not missing.
#[test]
fn a_number_that_the_map_leaves_out_is_no_gap() {
    let wrapped = |keys: &str| {
        let text = pair(keys, LABELLED, BLANK);
        text.rsplit_once("[[event]]").map(|(first, _)| first.to_owned()).unwrap_or_default()
    };
    let mut bench = Bench::new(&wrapped(GATEWAY));
    show(&mut bench, 1, SSCC);
    assert_eq!(show(&mut bench, 2, ""), [""; 0]);
    assert_eq!(show(&mut bench, 3, SSCC), [format!("pallet.wrapped [{SSCC}] seq=3")]);
    let mut bench = Bench::new(&wrapped(OWN));
    show(&mut bench, 1, SSCC);
    bench.hold(0, &[2, 7]);
    bench.hold(2, &[0; 9]);
    let samples = bench.look(0, 20);
    let of = |sample: Sample| sample.content.map(|decoded| (decoded.position, decoded.events.len()));
    let at = Position::Counted { boot: Some("0007".to_owned()), seq: 2, bits: 16, ring: 1 };
    assert_eq!(samples.into_iter().map(of).collect::<Vec<_>>(), [Ok((at, 0))]);
    assert_eq!(bench.refused, [""; 0]);
}

#[test]
fn a_restart_in_between_decides_the_same() {
    let text = pair(GATEWAY, LABELLED, BLANK);
    let mut bench = Bench::new(&text);
    show(&mut bench, 1, SSCC);
    bench.restart(&text);
    assert_eq!(show(&mut bench, 2, ""), ["pallet.unlabelled seq=2"]);
    bench.restart(&text);
    assert_eq!(show(&mut bench, 2, OTHER), [""; 0]);
    assert_eq!(show(&mut bench, 3, OTHER), [format!("pallet.wrapped [{OTHER}] seq=3")]);
}

#[test]
fn what_can_not_be_decided_at_once_is_a_fault() {
    let told = |text: &str| map(text, &[]).err().unwrap_or_default().join("\n");
    assert_eq!(told(&pair(OWN, LABELLED, BLANK)), "");
    assert_eq!(told(&pair(OWN, LABELLED, "")), "", "the last one may take what is left");
    insta::assert_snapshot!(told(&pair(OWN, "", BLANK)), @"map.toml:50:11: event[2].at_once: is never told: `pallet.wrapped` before it takes each change (put the event without `when` last)");
    insta::assert_snapshot!(told(&pair(OWN, LABELLED, BLANK).replacen(OWN, "", 1)), @"map.toml:47:7: event[2].seq: is not that of `pallet.wrapped`, which the same change may be (write the same `seq` and `epoch` at both: one number is one happening)");
    insta::assert_snapshot!(told(&pair("", LABELLED, BLANK).replace("check = \"sscc\"\ngroup = \"p\"", "")), @r#"
    map.toml:39:8: event[1].when: is decided with the change, and `sscc` is not read in one request with it (write group = "…", the same at `pallet` and `sscc`)
    map.toml:45:8: event[2].when: is decided with the change, and `sscc` is not read in one request with it (write group = "…", the same at `pallet` and `sscc`)
    "#);
    insta::assert_snapshot!(told(&pair("", LABELLED, BLANK).replace("change =", "rising =").replace("\"pallet\" }", "\"pallet == 1\" }")), @r"
    map.toml:41:11: event[1].at_once: is for events on a change: nothing else waits (remove it)
    map.toml:47:11: event[2].at_once: is for events on a change: nothing else waits (remove it)
    ");
}
