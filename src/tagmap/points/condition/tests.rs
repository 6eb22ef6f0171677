use super::*;

fn tags() -> BTreeMap<String, (Ref, Kind)> {
    let words = Kind::Words(["stop", "auto", "manual"].map(str::to_owned).to_vec());
    let kinds = [("eye", Kind::Bool), ("mode", words), ("speed", Kind::Number), ("code", Kind::Text)];
    let mut tags: BTreeMap<_, _> = BTreeMap::new();
    for (tag, (name, kind)) in kinds.into_iter().enumerate() {
        tags.insert(name.to_owned(), (Ref { tag, bit: None }, kind));
    }
    tags.insert("status.jam".to_owned(), (Ref { tag: 4, bit: Some(0) }, Kind::Bool));
    tags
}

fn parsed(text: &str) -> Result<Condition, String> {
    let params = [("limit".to_owned(), "5".to_owned()), ("on".to_owned(), "auto".to_owned())].into();
    parse(text, &Names { tags: &tags(), params: &params, broken: &BTreeSet::new() })
        .map_err(|wrong| format!("{} at {}: {} ({})", text, wrong.at, wrong.message, wrong.help))
}

/// Eye, mode, speed, code, jam.
type Values = [Option<Datum>; 5];

fn check(text: &str, expected: &[(&Values, Option<bool>)]) {
    let condition = parsed(text).unwrap_or_else(|wrong| panic!("{wrong}"));
    for (values, holds) in expected {
        assert_eq!(condition.holds(&|r| values[r.tag].as_ref()), *holds, "{text} with {values:?}");
    }
}

fn values(eye: Option<bool>, mode: &str, speed: i64, jam: Option<bool>) -> Values {
    [
        eye.map(Datum::Bool),
        (!mode.is_empty()).then(|| Datum::Word(mode.to_owned())),
        Some(Datum::Number(speed.into())),
        Some(Datum::Word("A7".to_owned())),
        jam.map(Datum::Bool),
    ]
}

#[test]
fn conditions_hold_as_they_read() {
    let (on, off) = (values(Some(true), "auto", 5, Some(true)), values(Some(false), "manual", 4, Some(false)));
    check("eye", &[(&on, Some(true)), (&off, Some(false))]);
    check("not eye", &[(&on, Some(false)), (&off, Some(true))]);
    check("status.jam and mode == 'auto'", &[(&on, Some(true)), (&off, Some(false))]);
    check("eye == false or speed >= {limit}", &[(&on, Some(true)), (&off, Some(true))]);
    check("not (eye and mode != 'manual')", &[(&on, Some(false)), (&off, Some(true))]);
    check("speed > 4.5 and mode == {on}", &[(&on, Some(true)), (&off, Some(false))]);
    check("speed < -1 or 5 <= speed", &[(&on, Some(true)), (&off, Some(false))]);
    check("code == 'A7' and true", &[(&on, Some(true))]);
    check("eye or status.jam and false", &[(&on, Some(true)), (&off, Some(false))]);
}

#[test]
fn what_is_not_known_decides_nothing_unless_the_rest_does() {
    let unknown = values(None, "", 5, Some(true));
    check("eye", &[(&unknown, None)]);
    check("not eye", &[(&unknown, None)]);
    check("eye or status.jam", &[(&unknown, Some(true))]);
    check("eye and status.jam", &[(&unknown, None)]);
    check("eye and not status.jam", &[(&unknown, Some(false))]);
    check("mode == 'auto' or eye", &[(&unknown, None)]);
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    let wrong = [
        "",
        "eye and",
        "eye or or speed",
        "eye speed",
        "ey and eye",
        "status.jan",
        "mode",
        "speed and eye",
        "mode == 'aut'",
        "mode = 'auto'",
        "mode == 5",
        "speed > 'auto'",
        "eye > false",
        "mode < 'auto'",
        "(eye",
        "eye)",
        "'auto",
        "eye == {limt}",
        "eye == {limit",
        "speed > 1.2.3",
        "speed > {on}",
        "ä",
        "eye & eye",
    ];
    let told: Vec<String> = wrong.iter().map(|text| parsed(text).expect_err(text)).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
     at 0: a tag, a number or a 'word' is missing here (such as `status.jam` or `mode == 'auto'`)
    eye and at 7: a tag, a number or a 'word' is missing here (such as `status.jam` or `mode == 'auto'`)
    eye or or speed at 7: `or` joins nothing here (write a condition before it)
    eye speed at 4: is not understood from here (join conditions with `and`, `or`)
    ey and eye at 0: there is no tag `ey` (did you mean `eye`?)
    status.jan at 0: there is no tag `status.jan` (did you mean `status.jam`?)
    mode at 0: is a word, neither true nor false (compare it: `== 'stop'`)
    speed and eye at 0: is a number, neither true nor false (compare it: `> 0`)
    mode == 'aut' at 8: 'aut' is no word of that tag (did you mean `auto`?)
    mode = 'auto' at 5: `=` compares nothing (write `==`)
    mode == 5 at 8: a word is never a number (compare it: `== 'stop'`)
    speed > 'auto' at 8: a number is not less or more than a word (write `==` or `!=`, or compare numbers)
    eye > false at 6: true or false is not less or more than true or false (write `==` or `!=`, or compare numbers)
    mode < 'auto' at 7: a word is not less or more than a word (write `==` or `!=`, or compare numbers)
    (eye at 4: a `)` is missing here (close the parenthesis)
    eye) at 3: is not understood from here (join conditions with `and`, `or`)
    'auto at 0: this word is not closed (write 'word')
    eye == {limt} at 7: there is no parameter `limt` (did you mean `limit`?)
    eye == {limit at 7: this parameter is not closed (write {parameter})
    speed > 1.2.3 at 8: `1.2.3` is no number (write 12 or -0.5)
    speed > {on} at 8: a number is not less or more than a word (write `==` or `!=`, or compare numbers)
    ä at 0: a tag, a number or a 'word' is missing here (such as `status.jam` or `mode == 'auto'`)
    eye & eye at 4: is not understood from here (join conditions with `and`, `or`)
    ");
    assert!(parsed(&"(".repeat(500)).is_err());
    assert!(parsed(&"not ".repeat(500)).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_condition_or_says_why(text in "[a-z0-9 '(){}.=<>!-ä]{0,40}") {
        if let Err(wrong) = parsed(&text) {
            proptest::prop_assert!(!wrong.is_empty());
        }
    }

    #[test]
    fn words_in_any_order_are_a_condition_or_say_why(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "eye", "mode", "speed", "code", "status.jam", "and", "or", "not", "(", ")", "==", "<", ">=", "'auto'", "5", "true",
        ]), 0..12)
    ) {
        let text = words.join(" ");
        if let Ok(condition) = parsed(&text) {
            let known = values(Some(true), "auto", 5, Some(false));
            proptest::prop_assert!(condition.holds(&|r| known[r.tag].as_ref()).is_some(), "{}", text);
        }
    }
}
