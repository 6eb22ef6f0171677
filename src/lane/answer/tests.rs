use proptest::prelude::*;

use super::*;

fn keys(n: u8) -> Vec<Id> {
    (1..=n).map(|i| Id([i; 16])).collect()
}

fn shape(items: Option<&str>) -> AnswerShape {
    AnswerShape {
        items: items.map(str::to_owned),
        key: "/key".into(),
        status: "/status".into(),
        reason: "/reason".into(),
        reference: "/reference".into(),
        ..AnswerShape::default()
    }
}

fn http(status: u16, content_type: &str, body: &str) -> Reply {
    Reply::Http {
        status,
        head: Box::new(Head { content_type: content_type.into(), ..Head::default() }),
        body: body.as_bytes().to_vec(),
    }
}

fn json(status: u16, body: &str) -> Reply {
    http(status, "application/json", body)
}

fn classes(answer: &Answer) -> Vec<Class> {
    answer.outcomes.iter().map(|o| o.class).collect()
}

/// One result for key `i`, with further members.
fn result(i: u8, more: &str) -> String {
    format!(r#"{{"key":"{}",{more}}}"#, Id([i; 16]))
}

fn results(items: &[String]) -> String {
    format!(r#"{{"results":[{}]}}"#, items.join(","))
}

#[test]
fn without_an_answer_what_left_decides() {
    let answer = classify(&Reply::NotSent("connection refused".into()), &shape(None), &keys(2));
    assert_eq!(classes(&answer), [Class::Transient; 2]);
    assert_eq!(answer.outcomes[0].reason, "not sent: connection refused");
    let answer = classify(&Reply::Lost("timed out".into()), &shape(None), &keys(2));
    assert_eq!(classes(&answer), [Class::Unknown; 2]);
    assert_eq!(answer.outcomes[0].reason, "sent, but no whole answer came: timed out");
    assert!(answer.whole);
    assert_eq!((answer.status, answer.excerpt.as_str()), (None, "timed out"));
}

#[test]
fn each_status_word_of_an_item_has_its_class() {
    for (more, class, reason) in [
        (r#""status":"posted""#, Class::Delivered, "the ERP says: posted"),
        (r#""status":"ok""#, Class::Delivered, "the ERP says: ok"),
        (r#""status":"created""#, Class::Delivered, "the ERP says: created"),
        (r#""status":"delivered""#, Class::Delivered, "the ERP says: delivered"),
        (r#""status":"duplicate""#, Class::Duplicate, "the ERP says: duplicate"),
        (
            r#""status":"rejected","reason":"order_on_hold","message":"order X is on credit hold""#,
            Class::Validation,
            "the ERP says: order_on_hold: order X is on credit hold",
        ),
        (
            r#""status":"rejected","reason":"unknown_item","message":"item X is not known""#,
            Class::Reference,
            "the ERP says: unknown_item: item X is not known",
        ),
        (r#""status":"rejected""#, Class::Validation, "the ERP says: rejected"),
        (r#""status":"rejected","reason":"key_reused""#, Class::KeyClash, "the ERP says: key_reused"),
        (r#""status":"retry""#, Class::Transient, "the ERP says: retry"),
        (r#""status":"retry","reason":"busy""#, Class::Transient, "the ERP says: busy"),
        (r#""status":"retry","reason":"lane_blocked""#, Class::NotAttempted, "the ERP says: lane_blocked"),
        (r#""status":"retry","reason":"concurrent""#, Class::Conflict, "the ERP says: concurrent"),
        (
            r#""status":"accepted""#,
            Class::Accepted,
            "the ERP accepted it for later, and can't be asked for it: the target has no `lookup`, so that the same is sent again",
        ),
        (
            r#""status":"fine\n one","message":"all good""#,
            Class::Unknown,
            "the ERP gave this item the status \"fine one\", which the contract does not know: it has to be posted, \
             duplicate, rejected or retry; sent again, or looked up, meanwhile: all good",
        ),
        (
            r#""status":7"#,
            Class::Unknown,
            "the ERP gave this item the status \"7\", which the contract does not know: it has to be posted, duplicate, \
             rejected or retry; sent again, or looked up, meanwhile",
        ),
        (r#""reason":"x""#, Class::Unknown, "the ERP's answer gives this item no status: x"),
    ] {
        let answer = classify(&json(200, &results(&[result(1, more)])), &shape(Some("/results")), &keys(1));
        assert_eq!((answer.outcomes[0].class, answer.outcomes[0].reason.as_str()), (class, reason), "{more}");
        assert_eq!(answer.whole, class == Class::Unknown);
    }
}

#[test]
fn what_is_accepted_says_how_it_is_asked_for() {
    let shape = AnswerShape { lookup: true, ..shape(Some("/results")) };
    let item = json(200, &results(&[result(1, r#""status":"accepted","message":"queued""#)]));
    for (reply, reason) in [
        (item, "the ERP accepted it for later, and is asked for it by lookup: queued"),
        (json(202, "{}"), "the ERP accepted it for later, and is asked for it by lookup (HTTP 202)"),
    ] {
        let answer = classify(&reply, &shape, &keys(1));
        assert_eq!((answer.outcomes[0].class, answer.outcomes[0].reason.as_str()), (Class::Accepted, reason));
    }
}

#[test]
fn items_are_matched_by_key_in_any_order_and_keep_their_reference() {
    let body = results(&[
        result(2, r#""status":"duplicate","reference":4711"#),
        result(1, r#""status":"posted","reference":"GI-1""#),
    ]);
    for status in [200, 201, 207] {
        let answer = classify(&json(status, &body), &shape(Some("/results")), &keys(2));
        assert_eq!(classes(&answer), [Class::Delivered, Class::Duplicate]);
        let references: Vec<Option<&str>> = answer.outcomes.iter().map(|o| o.reference.as_deref()).collect();
        assert_eq!(references, [Some("GI-1"), Some("4711")]);
    }
}

#[test]
fn a_missing_or_doubled_item_is_unknown_and_a_strange_one_is_noted() {
    let body = results(&[
        result(1, r#""status":"posted""#),
        result(3, r#""status":"posted""#),
        result(3, r#""status":"rejected""#),
        result(9, r#""status":"posted""#),
        r#"{"key":"what","status":"posted"}"#.into(),
    ]);
    let answer = classify(&json(200, &body), &shape(Some("/results")), &keys(3));
    assert_eq!(classes(&answer), [Class::Delivered, Class::Unknown, Class::Unknown]);
    assert_eq!(answer.outcomes[1].reason, "the ERP's answer does not name this item");
    assert_eq!(answer.outcomes[2].reason, "the ERP's answer names this item twice");
    let note = "[results of keys that were not in the batch: 2 at /results] {";
    assert!(answer.excerpt.starts_with(note), "{}", answer.excerpt);
}

#[test]
fn a_refused_request_may_still_speak_of_its_items() {
    let body =
        results(&[result(1, r#""status":"retry","reason":"lane_blocked""#), result(2, r#""status":"rejected""#)]);
    for (status, believed) in [(400, true), (409, true), (422, true), (429, false), (500, false), (503, false)] {
        let answer = classify(&json(status, &body), &shape(Some("/results")), &keys(2));
        assert_eq!(!answer.whole, believed, "{status}");
        if believed {
            assert_eq!(classes(&answer), [Class::NotAttempted, Class::Validation], "{status}");
        }
    }
}

#[test]
fn pointers_reach_a_list_at_the_root_and_nested_members() {
    let shape = AnswerShape {
        items: Some(String::new()),
        key: "/ref/key".into(),
        status: "/state".into(),
        reason: "/why".into(),
        reference: "/doc".into(),
        ..AnswerShape::default()
    };
    let body = format!(r#"[{{"ref":{{"key":"{}"}},"state":"rejected","why":"closed","doc":null}}]"#, Id([1; 16]));
    let answer = classify(&json(200, &body), &shape, &keys(1));
    let closed = Outcome::new(Class::Validation, "the ERP says: closed");
    let part = Some(body[1..body.len() - 1].to_owned());
    assert_eq!(answer.outcomes, [Outcome { code: Some("closed".to_owned()), part, ..closed }]);
}

#[test]
fn a_problem_document_tells_the_analyst_why() {
    let body = r#"{"type":"about:blank","title":"period closed","detail":"October is closed"}"#;
    let answer = classify(&http(422, "application/problem+json", body), &shape(None), &keys(1));
    let reason = "the ERP refuses the request (HTTP 422): period closed: October is closed";
    assert_eq!(answer.outcomes[0].reason, reason);
    assert_eq!(answer.excerpt, body);
}

#[test]
fn retry_after_counts_from_the_answer_s_own_date() {
    let sent = Some("Sun, 23 Nov 2025 14:00:00 GMT");
    for (status, retry_after, date, wait) in [
        (429, Some("7"), None, Some(7_000)),
        (429, Some(" 7 "), None, Some(7_000)),
        (429, None, sent, None),
        (429, Some("soon"), sent, None),
        (429, Some("-5"), sent, None),
        (429, Some("0"), None, Some(1_000)),
        (429, Some("86400"), None, Some(3_600_000)),
        (429, Some("99999999999999999999999"), None, Some(3_600_000)),
        (429, Some("Sun, 23 Nov 2025 14:01:30 GMT"), sent, Some(90_000)),
        (429, Some("Sunday, 23-Nov-25 14:01:30 GMT"), sent, Some(90_000)),
        (429, Some("Sun Nov 23 14:01:30 2025"), sent, Some(90_000)),
        (429, Some("Sun, 23 Nov 2025 13:59:00 GMT"), sent, Some(1_000)),
        (429, Some("Mon, 24 Nov 2025 14:00:00 GMT"), sent, Some(3_600_000)),
        (429, Some("Sun, 23 Nov 2025 14:01:30 GMT"), None, Some(30_000)),
        (429, Some("Sun, 23 Nov 2025 14:01:30 GMT"), Some("today"), Some(30_000)),
        (503, Some("120"), None, Some(120_000)),
        (503, Some("Sun, 23 Nov 2025 14:01:30 GMT"), sent, Some(90_000)),
        (503, None, sent, None),
        (503, Some("later"), sent, None),
        (200, Some("120"), None, None),
        (500, Some("120"), None, None),
    ] {
        let reply = Reply::Http {
            status,
            head: Box::new(Head {
                retry_after: retry_after.map(str::to_owned),
                date: date.map(str::to_owned),
                ..Head::default()
            }),
            body: Vec::new(),
        };
        let answer = classify(&reply, &shape(None), &keys(1));
        assert_eq!(answer.retry_after_ms, wait, "{status} {retry_after:?} {date:?}");
    }
}

#[test]
fn what_is_kept_of_an_answer_is_bounded_and_harmless_on_a_terminal() {
    let answer = classify(&json(500, &"ä".repeat(3_000)), &shape(None), &keys(1));
    assert_eq!(answer.excerpt, "ä".repeat(Answer::EXCERPT / 2));
    let answer = classify(&json(500, "\u{1b}[2Jgone"), &shape(None), &keys(1));
    assert_eq!(answer.excerpt, "\u{fffd}[2Jgone");
    let long = results(&[result(1, &format!(r#""status":"rejected","reason":"{}""#, "x".repeat(9_000)))]);
    let answer = classify(&json(200, &long), &shape(Some("/results")), &keys(1));
    assert!(answer.outcomes[0].reason.len() < 600);
    assert_eq!(answer.outcomes[0].part.as_ref().map(String::len), Some(Answer::EXCERPT));
}

/// Bodies between noise and nearly right.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec!["posted", "duplicate", "rejected", "retry", "accepted", "ä", ""]);
    let item = (0u8..6, word).prop_map(|(i, word)| result(i, &format!(r#""status":"{word}","reason":"{word}""#)));
    let listed = (prop::collection::vec(item, 0..8), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(items, cut, whole)| {
            let body = results(&items).into_bytes();
            let end = if whole { body.len() } else { cut.index(body.len()) };
            body[..end].to_vec()
        },
    );
    prop_oneof![prop::collection::vec(any::<u8>(), 0..4_000), any::<String>().prop_map(String::into_bytes), listed]
}

proptest! {
    #[test]
    fn whatever_comes_each_key_gets_one_outcome(
        status in 100u16..1_000,
        content_type in prop::sample::select(vec!["application/json", "text/html", ""]),
        retry_after in prop::option::of(".{0,40}"),
        date in prop::option::of(".{0,40}"),
        body in any_body(),
        items in prop::option::of(prop::sample::select(vec!["/results", "", "/results/0", "nonsense"])),
        rows in 0u8..5,
    ) {
        let content_type = content_type.to_owned();
        let head = Box::new(Head { content_type, retry_after, date, ..Head::default() });
        let reply = Reply::Http { status, head, body };
        let answer = classify(&reply, &shape(items), &keys(rows));
        prop_assert_eq!(answer.outcomes.len(), usize::from(rows));
        prop_assert!(answer.excerpt.len() <= Answer::EXCERPT);
        prop_assert!(answer.retry_after_ms.is_none_or(|ms| (1_000..=3_600_000).contains(&ms)));
        let done = |o: &Outcome| matches!(o.class, Class::Delivered | Class::Duplicate);
        let may = matches!(status, 200 | 201 | 204 | 207);
        prop_assert!(may || !answer.outcomes.iter().any(done), "{} can't prove an effect", status);
    }
}

/// A question's answer: what is there, there with other content, absent, at work, named twice, or not named.
#[test]
fn a_lookup_tells_of_each_key() {
    let keys: Vec<Id> = (1..=7).map(|n| Id([n; 16])).collect();
    let prints: Vec<String> = (1..=7).map(|n| format!("print-{n}")).collect();
    let results = serde_json::json!({ "results": [
        { "key": keys[0].to_string(), "status": "present", "reference": "GI-1", "fingerprint": "print-1" },
        { "key": keys[1].to_string(), "status": "present", "reference": "GI-2", "fingerprint": "another" },
        { "key": keys[2].to_string(), "status": "absent" },
        { "key": keys[3].to_string(), "status": "processing" },
        { "key": keys[4].to_string(), "status": "absent" },
        { "key": keys[4].to_string(), "status": "present" },
        { "key": keys[6].to_string(), "status": "gone" },
    ]});
    let answer = classify_lookup(&json(200, &results.to_string()), &keys, &prints);
    let classes: Vec<Class> = answer.outcomes.iter().map(|o| o.class).collect();
    let unknown = Class::Unknown;
    let expected = [Class::Found, Class::KeyClash, Class::NotAttempted, Class::Accepted, unknown, unknown, unknown];
    assert_eq!(classes, expected);
    assert_eq!(answer.outcomes[0].reference.as_deref(), Some("GI-1"));
    assert!(!answer.whole);
}

/// Some systems begin their JSON so, and would be asked for ever.
#[test]
fn a_byte_order_mark_before_a_lookup_s_answer_is_none_of_it() {
    let keys = [Id([1; 16])];
    let body = format!("\u{feff}{}", results(&[result(1, r#""status":"absent""#)]));
    let answer = classify_lookup(&json(200, &body), &keys, &["print".to_owned()]);
    assert_eq!(classes(&answer), [Class::NotAttempted]);
}

/// A wrong URL says 404 of everything: nothing is believed to be absent by it.
#[test]
fn a_lookup_that_fails_proves_nothing() {
    let (keys, prints) = ([Id([1; 16])], ["print".to_owned()]);
    let web = json(200, "<html>log in</html>");
    let lost = Reply::Lost("no whole answer".to_owned());
    let classes = [json(404, "{}"), json(429, "{}"), json(401, "{}"), json(500, "{}"), web, lost, json(200, "{}")]
        .map(|reply| classify_lookup(&reply, &keys, &prints).outcomes[0].class);
    let (contract, transient) = (Class::Contract, Class::Transient);
    let expected = [contract, Class::Throttled, Class::Auth, transient, contract, transient, Class::Unknown];
    assert_eq!(classes, expected);
}
