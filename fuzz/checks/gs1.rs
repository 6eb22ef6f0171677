//! What holds for every barcode, whatever is in it. Part of the fuzz target, and of the tests.

use floorgate::tagmap::gs1::{Form, Identifier, Reading, Rules, exactly, read};

/// Reads the bytes as a barcode under several rules, and panics where a law is broken.
pub(super) fn check(bytes: &[u8]) {
    let barcode = String::from_utf8_lossy(bytes);
    let listed = vec!["<GS>".to_owned(), "{GS}".to_owned(), "]C1".to_owned(), "é".to_owned()];
    let strict = Rules { require: vec![vec!["00".to_owned()], vec!["31nn".to_owned()]], ..Rules::default() };
    let loose = Rules { separators: listed, reject_unknown_ai: false, check_digits: false, ..Rules::default() };
    let absent = Rules { identifier: Identifier::Absent, links_only: true, year: 2099, ..Rules::default() };
    for rules in [Rules::default(), strict, loose, absent] {
        let reading = read(&barcode, &rules);
        assert_eq!(reading, read(&barcode, &rules), "reading is pure");
        places(&barcode, &reading);
        if reading.is_valid() {
            valid(&barcode, &reading, &rules);
        }
    }
}

/// Every place is a part of the barcode.
fn places(barcode: &str, reading: &Reading) {
    let elements = reading.elements.iter().map(|element| &element.at);
    for at in elements.chain(reading.problems.iter().map(|problem| &problem.at)) {
        assert!(barcode.get(at.clone()).is_some(), "{at:?} is no part of {barcode:?}");
    }
    assert!(reading.problems.iter().all(|problem| !problem.message.is_empty()));
}

/// What is valid says something, and says the same when it is written again with separators alone where needed.
fn valid(barcode: &str, reading: &Reading, rules: &Rules) {
    let mut again = "]C1".to_owned();
    for element in &reading.elements {
        let ai = exactly(&element.ai).expect("an element has an AI of the dictionary");
        assert!(element.value.is_some(), "({}) of {barcode:?} says nothing", element.ai);
        if reading.form == Form::ElementStrings {
            assert_eq!(barcode.get(element.at.clone()), Some(element.raw.as_str()));
        }
        again.push_str(&element.ai);
        again.push_str(&element.raw);
        if !ai.predefined {
            again.push('\u{1d}');
        }
    }
    let said = |reading: &Reading| {
        reading.elements.iter().map(|e| (e.ai.clone(), e.raw.clone(), e.value.clone())).collect::<Vec<_>>()
    };
    if !reading.elements.is_empty() && again.len() <= 8 << 10 {
        let rules =
            Rules { identifier: Identifier::Required, links_only: false, separators: Vec::new(), ..rules.clone() };
        let second = read(&again, &rules);
        assert_eq!((said(&second), second.is_valid()), (said(reading), true), "{barcode:?} again as {again:?}");
    }
}
