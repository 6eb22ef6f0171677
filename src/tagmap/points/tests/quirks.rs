//! What a device that departs from the protocol is asked for, and what of it can't be read.

use super::*;
use crate::tagmap::Quirk;

#[test]
fn what_a_quirk_does_not_let_be_read() {
    let coil = |name: &str, at: u16, more: &str| {
        format!("[[tag]]\nname = \"{name}\"\npoll = \"fast\"\narea = \"coil\"\nat = {at}\ntype = \"bool\"\n{more}")
    };
    let write = "[[write]]\nname = \"w\"\narea = \"coil\"\nat = 1200\ntype = \"bool\"\nallow = [\"role:operator\"]\n";
    let text = format!("{}{}{write}", coil("a", 999, ""), coil("b", 1_000, ""));
    let with = |text: &str, quirks: &[Quirk]| {
        map_of(text, &Binding { quirks: quirks.iter().copied().collect(), ..Binding::of("plc-1") })
    };
    let told = |text: &str, quirk| with(text, &[quirk]).err().unwrap_or_default().join("\n");
    insta::assert_snapshot!(told(&text, Quirk::CoilsFromZero), @r#"
    map.toml:22:6: tag[2].at: is coil 1000 counted from 0, and coils-from-zero reads all before it with it (one request has at most 1000 bits (max_bits): write more if the device answers it)
    map.toml:27:6: write[1].at: is coil 1200 counted from 0, and coils-from-zero reads all before it back with it (write verify = "none": one request has at most 1000 bits)
    "#);
    assert_eq!(told(&text, Quirk::OneRequestPerTag), "");
    let group = format!("{}{}", coil("a", 3, "group = \"g\"\n"), coil("b", 4, "group = \"g\"\n"));
    insta::assert_snapshot!(told(&group, Quirk::OneRequestPerTag), @r"
    map.toml:18:9: tag[1].group: comes in one request, and the device takes one request for each tag (one-request-per-tag) (remove it: what is read one after another need not belong together)
    map.toml:25:9: tag[2].group: comes in one request, and the device takes one request for each tag (one-request-per-tag) (remove it: what is read one after another need not belong together)
    ");
    let reads = |text: &str, quirks: &[Quirk]| {
        let points = with(text, quirks).expect("it has no fault").points.expect("it has points");
        points.polls()[0].reads.iter().map(|read| (read.at, read.count)).collect::<Vec<_>>()
    };
    assert_eq!(reads(&group, &[]), [(3, 2)]);
    assert_eq!(reads(&group, &[Quirk::CoilsFromZero]), [(0, 5)]);
    let apart = format!("{}{}", coil("a", 3, ""), coil("b", 900, ""));
    assert_eq!(reads(&apart, &[]), [(3, 1), (900, 1)]);
    assert_eq!(reads(&apart, &[Quirk::CoilsFromZero]), [(0, 901)]);
    assert_eq!(reads(&apart, &[Quirk::CoilsFromZero, Quirk::OneRequestPerTag]), [(0, 4), (0, 901)]);
}
