use super::*;

#[test]
fn an_sscc_has_18_digits_or_20_behind_00_and_a_right_check_digit() {
    const SSCC: &str = "395212345000000125";
    assert_eq!(sscc(SSCC), Some(SSCC));
    assert_eq!(sscc("00395212345000000125"), Some(SSCC));
    for not in ["395212345000000126", "01395212345000000125", "39521234500000012", "39521234500000012x", "", "é"] {
        assert_eq!(sscc(not), None, "{not}");
    }
}

#[test]
fn only_the_scanners_additions_are_taken_off() {
    for (code, expected) in [
        ("]C100395212345000000125\r\n", "00395212345000000125"),
        ("]Q3", ""),
        ("]ö1x", "]ö1x"),
        ("]1Cx", "]1Cx"),
        (" 42 \t", " 42 "),
        ("4\n2", "4\n2"),
    ] {
        assert_eq!(bare(code), expected, "{code}");
    }
}

/// The elements as `(AI)raw`, or the faults; a suspicion is told behind the elements.
fn told(barcode: &str, rules: &Rules) -> String {
    let reading = read(barcode, rules);
    let faults: Vec<&str> = reading.of(Severity::Fault).map(|problem| problem.message.as_str()).collect();
    if !faults.is_empty() {
        return faults.join("; ");
    }
    let elements = reading.elements.iter().map(|element| format!("({}){}", element.ai, element.raw));
    let suspicions = reading.of(Severity::Suspicion).map(|problem| format!(" ! {}", problem.message));
    elements.chain(suspicions).collect()
}

#[track_caller]
fn check(barcode: &str, expected: &str) {
    assert_eq!(told(barcode, &Rules::default()), expected, "{barcode:?}");
}

#[test]
fn element_strings_are_taken_apart() {
    check("]C100395212345000000125", "(00)395212345000000125");
    check("00395212345000000125\r\n", "(00)395212345000000125");
    check("]d201095212345432131727013110LOT-7\u{1d}21SER01", "(01)09521234543213(17)270131(10)LOT-7(21)SER01");
    check("]C1\u{1d}010952123454321310ABC", "(01)09521234543213(10)ABC");
    check("]Q3010952123454321310ABC\u{1d}", "(01)09521234543213(10)ABC");
    check("]J101095212345432133103001250\u{1d}\u{1d}37004", "(01)09521234543213(3103)001250(37)004");
    check("]e0402952123400000000 06", "(402) GSIN: has \" \", expected digits");
    check("]C1", "it is empty");
    check("]C1\u{1d}", "it holds separators alone");
}

#[test]
fn what_may_be_an_sscc_without_its_ai_is_told() {
    let notes = |barcode: &str| -> Vec<String> {
        read(barcode, &Rules::default()).of(Severity::Note).map(|problem| problem.message.clone()).collect()
    };
    assert_eq!(notes("395212345000000125"), ["18 digits with a right check digit: an SSCC without its 00?"]);
    assert!(!read("395212345000000125", &Rules::default()).is_valid(), "it stays a fault");
    for other in ["395212345000000126", "]C1395212345000000125", "00395212345000000125"] {
        assert_eq!(notes(other), Vec::<String>::new(), "{other}");
    }
}

#[test]
fn stand_ins_count_only_when_they_are_listed() {
    let rules = Rules { separators: vec!["<GS>".to_owned(), "{GS}".to_owned(), "<G".to_owned()], ..Rules::default() };
    for stand_in in ["<GS>", "{GS}", "\u{1d}", "<GS><GS>", "<G"] {
        assert_eq!(told(&format!("]C110A{stand_in}21B"), &rules), "(10)A(21)B", "{stand_in}");
    }
    check("]C110A<GS>21B", "(10)A<GS>21B ! (10) BATCH/LOT holds <GS>: list it if it is a separator");
    check("]C110A{GS}21B", "(10) BATCH/LOT: has \"{\", expected letters, digits and !\"%&'()*+,-./:;<=>?_");
}

#[test]
fn what_the_identifier_says_decides() {
    check("]E09521234543213", "(01)09521234543213");
    check("]E0952123454321", "(01) GTIN: has the check digit 1, expected 4");
    check("]E040063813", "its symbology identifier says that it is a GTIN of 13 digits, and it is not");
    check("]E412345670", "(01)00000012345670");
    check("]E412345671", "(01) GTIN: has the check digit 1, expected 0");
    check("]I109521234543213", "(01)09521234543213");
    for other in ["]C0", "]A0", "]E3"] {
        check(
            &format!("{other}00395212345000000125"),
            "its symbology identifier says that it is no GS1 barcode; those have ]C1, ]d2, ]Q3, ]J1, ]e0",
        );
    }
    check(
        "]Q100395212345000000125",
        "its symbology identifier says that it holds no element strings, and it is no Digital Link URI",
    );
    check("]Q1https://id.gs1.org/00/395212345000000125", "(00)395212345000000125");
    check(" 00395212345000000125", "a space or a mark of byte order stands before the data");
    check("(00)395212345000000125", "it is written with parentheses, for people: scanners send it without");
}

#[test]
fn an_identifier_that_is_missing_or_not_expected_is_told() {
    let rules = |identifier| Rules { identifier, ..Rules::default() };
    assert_eq!(
        told("00395212345000000125", &rules(Identifier::Required)),
        "no symbology identifier such as ]C1 stands before it: have the scanner send them"
    );
    assert_eq!(
        told("]C100395212345000000125", &rules(Identifier::Absent)),
        "the symbology identifier ]C1 stands before it, and scanners here send none"
    );
}

#[test]
fn a_number_without_identifier_is_a_suspicion() {
    check(
        "4006381333931",
        "(400)6381333931 ! taken for an element string, and could be a GTIN: have the scanner send symbology \
         identifiers, they tell which",
    );
    check(
        "0614141999996",
        "(01)00614141999996 ! taken for a GTIN: have the scanner send symbology identifiers, they tell which",
    );
    check("0614141999997", "no application identifier begins with \"0614\"");
}

#[test]
fn a_lost_separator_is_suspected() {
    check("10ABC", "(10)ABC");
    check("10L2024", "(10)L2024");
    check("1017270131", "(10)17270131");
    check("10ABC17271331", "(10)ABC17271331");
    check(
        "]C110ABC17270131",
        "(10)ABC17270131 ! (10) BATCH/LOT ends in (17)270131: the separator before it may be missing",
    );
    check(
        "]C110AB1127013117270131",
        "(10)AB1127013117270131 ! (10) BATCH/LOT ends in (11)270131(17)270131: the separator before it may be missing",
    );
    check(
        "]C110ABCDE1127013117270131",
        "(10) BATCH/LOT: has 21 characters, expected 1 to 20 characters; the separator behind it may be missing before \
         (11)270131(17)270131",
    );
}

#[test]
fn conflicts_and_missing_sets_are_refused() {
    check("]C110A\u{1d}10B", "(10) BATCH/LOT is B here and A before");
    check("]C110A\u{1d}10A", "(10)A(10)A");
    let set = |ais: &[&str]| ais.iter().map(|ai| (*ai).to_owned()).collect::<Vec<_>>();
    let rules = Rules { require: vec![set(&["00"]), set(&["01", "17", "31nn"])], ..Rules::default() };
    assert_eq!(told("0109521234543213172701313103001250", &rules), "(01)09521234543213(17)270131(3103)001250");
    assert_eq!(
        told("]C1010952123454321310ABC17270131", &rules),
        "it must have (00), or (01) and (17) and (31nn), and has (01) and (10); (10) BATCH/LOT ends in (17)270131: the \
         separator before it may be missing"
    );
}

#[test]
fn what_a_map_lets_pass_is_noted() {
    let rules = Rules { reject_unknown_ai: false, check_digits: false, ..Rules::default() };
    let notes = |barcode: &str| -> Vec<String> {
        let reading = read(barcode, &rules);
        assert!(reading.is_valid() && reading.elements.iter().all(|e| e.value.is_some()), "{barcode}");
        reading.of(Severity::Note).map(|problem| format!("{:?} {}", problem.at, problem.message)).collect()
    };
    assert_eq!(
        notes("]C100395212345000000126\u{1d}04XY"),
        [
            "22..23 (00) SSCC: has the check digit 6, expected 5",
            "24..28 no application identifier begins with \"04XY\", passed over up to the next separator"
        ]
    );
    assert_eq!(notes("]C13103001250"), ["7..13 (3103) NET WEIGHT (kg) belongs to (01) or (02)"]);
    assert_eq!(
        notes("]C101095212345432133724"),
        [
            "5..19 (01) GTIN does not go with (37)",
            "21..23 (37) COUNT belongs to (00)",
            "21..23 (37) COUNT belongs to (02) or (8026)"
        ]
    );
    assert_eq!(
        notes("]C1422000"),
        [
            "6..9 (422) ORIGIN: 000 is no country of ISO 3166 that is known here",
            "6..9 (422) ORIGIN belongs to (01) or (02) or (8006) or (8026)"
        ]
    );
}

#[test]
fn digital_links_are_read() {
    check(
        "]Q1https://id.gs1.org/01/09521234543213/10/LOT-7/21/S1?17=270131&linkType=gs1:pip#x",
        "(01)09521234543213(10)LOT-7(21)S1(17)270131",
    );
    check("HTTPS://ID.GS1.ORG/00/395212345000000125", "(00)395212345000000125");
    check(
        "http://shop.example/a/b/414/9521234000013/254/B%2F7/?3103=001250;10=x",
        "(414)9521234000013(254)B/7(3103)001250(10)x",
    );
    check("https://id.gs1.org/01/09521234543213/235/T1", "(01)09521234543213(235)T1");
    check("https://example.com/gtin/09521234543213/lot/01", "(01)09521234543213(10)01");
    let deprecated = read("https://example.com/gtin/09521234543213", &Rules::default());
    assert_eq!(deprecated.problems[0].message, "`gtin` is deprecated in Digital Links: it is (01)");
    let order = "behind the key 01 and its value may stand 22, 10, 21 or 235, each with a value, in this order; the rest \
                 belongs into the query";
    check("https://id.gs1.org/01/09521234543213/21/S1/10/L", order);
    check("https://id.gs1.org/01/09521234543213/17/270131", order);
    check("https://id.gs1.org/01/09521234543213/10", order);
    check(
        "https://id.gs1.org/00/395212345000000125/10/L",
        "behind the key 00 and its value may stand nothing more, each with a value, in this order; the rest belongs \
         into the query",
    );
    check("https://id.gs1.org/01/9521234543213", "(01) GTIN: has 13 characters, expected 14 digits");
    check("https://example.com/", "it has no key of GS1 in its path, such as /01/ and a GTIN: no Digital Link");
    check(
        "https://id.gs1.org/ARHoh8tFkCI",
        "it has no key of GS1 in its path: if it is a compressed Digital Link, only a resolver can read it; have labels \
         printed with the uncompressed one",
    );
    check(
        "https://id.gs1.org/01/09521234543213/cRAKHdpB",
        "its path ends in cRAKHdpB, which has no AI before it: if it is a partly compressed Digital Link, only a \
         resolver can read it; have labels printed with the uncompressed one",
    );
    check(
        "https://id.gs1.org/01/09521234543213?21=S",
        "(21) may stand in the path of a Digital Link, not in its query",
    );
    check("https://id.gs1.org/01/09521234543213?04=S", "04 is no application identifier");
    check("https://id.gs1.org/01/09521234543213/10/%zz", "(10) is wrong where its percent signs are");
    let rules = Rules { links_only: true, ..Rules::default() };
    assert_eq!(told("]C100395212345000000125", &rules), "no Digital Link URI, which begins with https://");
}

#[test]
fn a_barcode_is_bounded() {
    check(&format!("]C1{}", "A".repeat(8193)), "it has 8193 bytes: no symbol holds more than 8192");
    let many = |n: usize| format!("]C1{}", "2001".repeat(n));
    assert!(read(&many(200), &Rules::default()).is_valid());
    check(&many(201), "it has 201 element strings, at most 200");
}

#[test]
fn problems_have_their_place() {
    let places = |barcode: &str| -> Vec<(Kind, Range<usize>)> {
        read(barcode, &Rules::default()).problems.into_iter().map(|p| (p.kind, p.at)).collect()
    };
    assert_eq!(places("]C100395212345000000126"), [(Kind::CheckDigit, 22..23)]);
    assert_eq!(places("]C117271301"), [(Kind::Content, 5..11)]);
    assert_eq!(places("]C110A\u{1d}04B\u{1d}01123"), [(Kind::UnknownAi, 7..10), (Kind::Length, 13..16)]);
    assert_eq!(places("]C110Aé"), [(Kind::Character, 6..8)]);
    assert_eq!(places("https://a/01/1"), [(Kind::Length, 13..14)]);
    assert_eq!(places("https://a/00/395212345000000125?17")[0], (Kind::Length, 34..34));
    assert_eq!(places("10ABC17270131")[1].1, 5..13);
}
