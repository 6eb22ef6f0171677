//! From registers to values.

use super::*;

/// One tag of that definition over these registers.
fn check(definition: &str, registers: &[u16], expected: &str) {
    let mut bench =
        Bench::new(&format!("[[tag]]\nname = \"x\"\npoll = \"fast\"\narea = \"holding\"\nat = 10\n{definition}\n"));
    bench.hold(10, registers);
    bench.poll_after(20);
    assert_eq!(bench.value("x"), expected, "{definition} {registers:04X?}");
}

#[test]
fn each_type_reads_as_written() {
    check("type = \"u16\"", &[0xFFFE], "65534");
    check("type = \"i16\"", &[0xFFFE], "-2");
    check("type = \"u16\"\norder = \"BA\"", &[0x0201], "258");
    check("type = \"i16\"\norder = \"BA\"", &[0xFEFF], "-2");
    check("type = \"u16\"\norder = \"AB\"", &[0x0201], "513");
    check("type = \"u8l\"", &[0x0203], "3");
    check("type = \"u8h\"", &[0x0203], "2");
    check("type = \"bit\"\nbit = 9", &[0x0200], "true");
    check("type = \"bit\"\nbit = 9\ninvert = true", &[0x0200], "false");
    check("type = \"u32\"\norder = \"ABCD\"", &[0x0001, 0x0002], "65538");
    check("type = \"i32\"\norder = \"CDAB\"", &[0xFFFE, 0xFFFF], "-2");
    check("type = \"u64\"\norder = \"ABCDEFGH\"", &[0, 0, 1, 2], "65538");
    check("type = \"u64\"\norder = \"GHEFCDAB\"", &[2, 1, 0, 0], "65538");
    check("type = \"u64\"\norder = \"BADCFEHG\"", &[0, 0, 0x0100, 0x0200], "65538");
    check("type = \"u64\"\norder = \"HGFEDCBA\"", &[0x0200, 0x0100, 0, 0], "65538");
    check("type = \"u64\"\norder = \"ABCDEFGH\"", &[0xFFFF; 4], "\"18446744073709551615\"");
    check("type = \"i64\"\norder = \"ABCDEFGH\"", &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], "-2");
    check("type = \"bcd16\"", &[0x1234], "1234");
    check("type = \"bcd32\"\norder = \"CDAB\"", &[0x5678, 0x0012], "125678");
    check("type = \"bcd16\"", &[0x12A4], "none bad: holds 0x12A4, which is no BCD");
    check("type = \"f16\"", &[0x4248], "\"3.140625\"");
    check("type = \"f16\"", &[0xC000], "\"-2\"");
    check("type = \"bytes\"\nwords = 2", &[0x00AB, 0xCD01], "\"00ABCD01\"");
    check("type = \"string\"\nwords = 3\nbytes = \"high-first\"", &[0x4142, 0x4300, 0], "\"ABC\"");
    check(
        "type = \"string\"\nwords = 3\nbytes = \"low-first\"\ntrim = \"space\"",
        &[0x4241, 0x2043, 0x2020],
        "\"ABC\"",
    );
}

#[test]
fn floats_are_exact_decimals_in_their_shortest_form() {
    let f32 = |x: f32| [(x.to_bits() >> 16) as u16, x.to_bits() as u16];
    let swapped = |x: f32| [x.to_bits() as u16, (x.to_bits() >> 16) as u16];
    check("type = \"f32\"\norder = \"ABCD\"", &f32(0.1), "\"0.1\"");
    check("type = \"f32\"\norder = \"CDAB\"", &swapped(12.345), "\"12.345\"");
    check("type = \"f32\"\norder = \"ABCD\"", &f32(16_777_216.0), "\"16777216\"");
    check("type = \"f32\"\norder = \"ABCD\"", &f32(-0.0), "\"0\"");
    check("type = \"f32\"\norder = \"ABCD\"\ndigits = 3", &f32(5.0), "\"5.000\"");
    check("type = \"f32\"\norder = \"ABCD\"\ndigits = 2", &f32(2.675), "\"2.68\"");
    check("type = \"f32\"\norder = \"ABCD\"\ndigits = 2", &f32(-2.675), "\"-2.68\"");
    check("type = \"f32\"\norder = \"ABCD\"", &f32(f32::NAN), "none bad: is not a number (NaN)");
    check("type = \"f32\"\norder = \"ABCD\"", &f32(f32::NEG_INFINITY), "none bad: is infinite or too large");
    check("type = \"f32\"\norder = \"ABCD\"", &f32(f32::MAX), "none bad: is infinite or too large");
    let bits = 0.1_f64.to_bits();
    let words = [bits >> 48, bits >> 32, bits >> 16, bits].map(|w| w as u16);
    check("type = \"f64\"\norder = \"ABCDEFGH\"", &words, "\"0.1\"");
}

#[test]
fn numbers_are_scaled_judged_and_named() {
    check("type = \"i16\"\nscale = 0.1\noffset = -40\ndigits = 1", &[655], "\"25.5\"");
    check("type = \"u16\"\nscale = 10", &[7], "70");
    check("type = \"u16\"\nunit = \"mm\"\nto = \"in\"\ndigits = 2", &[127], "\"5.00\"");
    check(
        "type = \"u16\"\nunit = \"g\"\nto = \"kg\"\nvalid = { max = 60 }",
        &[60_001],
        "none bad: is 60.001, above 60",
    );
    check("type = \"u16\"\nscale = 0.5", &[4], "\"2\"");
    let range = "type = \"u16\"\nscale = 0.1\nvalid = { min = 1, max = 20.5, invalid = [0, 65535] }";
    check(range, &[205], "\"20.5\"");
    check(range, &[206], "none bad: is 20.6, above 20.5");
    check(range, &[9], "none bad: is 0.9, below 1");
    check(range, &[65_535], "none bad: is 65535, which the map calls invalid");
    let words = "type = \"u16\"\nenum = { 0 = \"stop\", 1 = \"auto\" }\non_unknown = ";
    check(&format!("{words}\"reject\""), &[1], "\"auto\"");
    check(&format!("{words}\"reject\""), &[2], "none bad: is 2, which has no word in the map");
    check(&format!("{words}\"number\""), &[2], "2");
}

#[test]
fn a_scale_may_lie_in_another_register() {
    let mut bench = Bench::new(
        "[[tag]]\nname = \"w\"\npoll = \"fast\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\nscale = { tag = \"sf\", pow10 = true }\n\
         [[tag]]\nname = \"sf\"\npoll = \"fast\"\narea = \"holding\"\nat = 1\ntype = \"i16\"\n",
    );
    bench.hold(0, &[1234, 0xFFFE]);
    bench.poll_after(20);
    assert_eq!(bench.value("w"), "\"12.34\"");
    bench.hold(0, &[12, 3]);
    bench.poll_after(20);
    assert_eq!(bench.value("w"), "\"12000\"");
    bench.hold(0, &[12, 21]);
    bench.poll_after(20);
    assert_eq!(bench.value("w"), "\"12000\" bad: has a scale beyond 10 to the power of 20");
}

#[test]
fn bits_and_ranges_of_bits_are_values_of_their_own() {
    let mut bench = Bench::new(
        "[[tag]]\nname = \"status\"\npoll = \"fast\"\narea = \"holding\"\nat = 3\ntype = \"u16\"\nreport = \"change\"\n\
         bits = { estop = 0, jam = 3, speed_step = { from = 8, to = 11 } }\n",
    );
    bench.hold(3, &word(0x0508));
    let told = bench.poll_after(20);
    assert_eq!(told, ["tag.value tag=\"status\" estop=false jam=true speed_step=5"]);
}

#[test]
fn orders_are_inherited_for_wide_numbers_only() {
    let text = "[defaults]\norder = \"CDAB\"\npoll = \"fast\"\n\
         [[tag]]\nname = \"a\"\narea = \"input\"\nat = 0\ntype = \"u16\"\n\
         [[tag]]\nname = \"b\"\narea = \"input\"\nat = 1\ntype = \"u32\"\n\
         [[tag]]\nname = \"c\"\narea = \"input\"\nat = 3\ntype = \"u64\"\n";
    let mut bench = Bench::new(text);
    bench.set(Area::Input, 0, &[0x0102, 2, 1, 4, 3, 2, 1]);
    bench.poll_after(20);
    assert_eq!(
        ["a", "b", "c"].map(|name| bench.value(name)),
        ["258", "65538", &(1_u64 << 48 | 2 << 32 | 3 << 16 | 4).to_string()]
    );
}

#[test]
fn what_is_not_answered_keeps_its_value_and_says_so() {
    let text = "[[tag]]\nname = \"x\"\npoll = \"fast\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\n";
    let mut bench = Bench::new(text);
    assert_eq!(bench.value("x"), "none stale: ");
    bench.hold(0, &word(7));
    bench.poll_after(20);
    let now = bench.now();
    assert_eq!(bench.points.observe(0, &[None], now), []);
    assert_eq!(bench.value("x"), "7 stale: was not answered");
    assert_eq!(bench.points.observe(0, &[], now), [], "too few answers are none");
    assert_eq!(bench.points.observe(9, &[Some(Got::Bits(vec![]))], now), [], "there is no such poll");
    assert_eq!(bench.points.observe(0, &[Some(Got::Words(vec![]))], now), []);
    assert_eq!(bench.value("x"), "7 stale: was not answered");
}

/// 39 lanes from the shipped map: lane 17 does not exist, the bits of lane 33 lie elsewhere.
#[test]
fn lanes_from_one_map_behind_one_unit_are_read_together() {
    let shipped = include_str!("../../../../devices/acme-photo-eyes/map.toml");
    let read = |lane: u16| {
        let coils = if lane == 33 { 900 } else { 100 + (lane - 1) * 4 };
        let [lane, coils, registers] = [lane, coils, 1_000 + (lane - 1) * 10].map(|number| number.to_string());
        let params = [("lane", &*lane), ("coil_base", &*coils), ("reg_base", &*registers)];
        read_text(shipped, &params).expect("the shipped map has no fault").points.expect("it has points")
    };
    let lanes: Vec<Points> = (1..=40).filter(|lane| *lane != 17).map(read).collect();
    assert_eq!(lanes.iter().map(|lane| lane.values().count()).sum::<usize>(), 156);
    let reads = |poll: usize| lanes.iter().flat_map(|lane| lane.polls()[poll].reads.clone()).collect::<Vec<_>>();
    let requests = |gap, max_words| {
        let limits = Limits { gap_words: gap, gap_bits: gap, max_words, max_bits: 1_000 };
        (0..2).map(|poll| join(&reads(poll), &limits).len()).sum::<usize>()
    };
    assert_eq!(reads(0).len() + reads(1).len(), 117, "each lane by itself");
    assert_eq!([requests(0, 125), requests(4, 125), requests(8, 125)], [117, 47, 8]);
    assert_eq!(requests(8, 100), 9, "with what most devices answer");
    let of_maps = lanes.iter().map(Points::limits).reduce(Limits::least);
    assert_eq!(of_maps, Some(Limits::default()));
}

#[test]
fn a_group_is_one_request_and_its_tags_come_and_go_together() {
    let tag = |name: &str, at: u16, group: &str| {
        format!("[[tag]]\nname = \"{name}\"\npoll = \"fast\"\narea = \"holding\"\nat = {at}\ntype = \"u16\"\n{group}")
    };
    let mut bench = Bench::new(
        &[tag("a", 0, ""), tag("b", 1, "group = \"g\"\n"), tag("c", 4, "group = \"g\"\n"), tag("d", 5, "")].concat(),
    );
    let reads =
        |bench: &Bench| bench.points.polls()[0].reads.iter().map(|r| (r.at, r.count, r.alone)).collect::<Vec<_>>();
    assert_eq!(reads(&bench), [(0, 6, false), (1, 4, true)]);
    bench.points.refused(0, 1);
    assert_eq!(reads(&bench), [(0, 6, false)]);
    let names: Vec<&str> = bench.points.quarantined().map(|q| q.tag).collect();
    assert_eq!(names, ["b", "c"]);
    bench.points.release();
    assert_eq!(reads(&bench), [(0, 6, false), (1, 4, true)]);
}

/// A text that was read with its bytes the wrong way round looks like one: only its check digit tells it.
#[test]
fn a_text_is_the_code_that_the_map_says_or_no_value() {
    let check = |keys: &str, label: &str, expected: &str| {
        let mut bench = Bench::new(&format!(
            "[[tag]]\nname = \"label\"\npoll = \"fast\"\narea = \"holding\"\nat = 0\ntype = \"string\"\nwords = 9\n\
             bytes = \"high-first\"\n{keys}\n"
        ));
        let mut text = label.as_bytes().to_vec();
        text.resize(18, 0);
        let words: Vec<u16> = text.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        bench.hold(0, &words);
        bench.poll_after(20);
        assert_eq!(bench.value("label"), expected, "{keys} {label}");
    };
    let sscc = "check = \"sscc\"";
    check(sscc, "395212345000000125", "\"395212345000000125\"");
    check(
        sscc,
        "932521430000003011",
        "none bad: is \"932521430000003011\", which is no SSCC: 18 digits, the last one the right check digit",
    );
    check(sscc, "", "\"\"");
    check(
        sscc,
        "000000000000000000",
        "none bad: is \"000000000000000000\", which is no SSCC: 18 digits, the last one the right check digit",
    );
    check("check = \"gtin\"", "9521234543213", "\"9521234543213\"");
    check(
        "check = \"gtin\"",
        "9521234543214",
        "none bad: is \"9521234543214\", which is no GTIN: 8, 12, 13 or 14 digits, the last one the right check digit",
    );
    check(
        "check = \"gln\"",
        "95212345",
        "none bad: is \"95212345\", which is no GLN: 13 digits, the last one the right check digit",
    );
    let pattern = "valid = { pattern = 'LOT-[0-9]+|' }";
    check(pattern, "LOT-77", "\"LOT-77\"");
    check(pattern, "", "\"\"");
    check(pattern, "LOT-77 ?", "none bad: is \"LOT-77 ?\", which does not match the pattern of the map");
}
