//! The table of docs/erp.md, "The answer", line by line: status, header and body, and what they mean for each row of a batch
//! of two, or of one.

use serde_json::json;

use super::*;

/// One line: what came, and what it means.
struct Line {
    /// The line of the table.
    of: &'static str,
    reply: Reply,
    rows: u8,
    shape: AnswerShape,
    class: &'static [Class],
    whole: bool,
    /// For how long nothing is sent, milliseconds.
    pause: Option<u64>,
    later: Option<By>,
}

fn keys(n: u8) -> Vec<Id> {
    (1..=n).map(|i| Id([i; 16])).collect()
}

/// A target with results for each item.
fn per_item() -> AnswerShape {
    let text = str::to_owned;
    AnswerShape {
        items: Some(text("/results")),
        key: text("/key"),
        status: text("/status"),
        reason: text("/reason"),
        reference: text("/reference"),
        ..AnswerShape::default()
    }
}

/// A target whose status speaks.
fn by_status() -> AnswerShape {
    AnswerShape { items: None, ..per_item() }
}

/// A JSON answer without further headers.
fn answer(status: u16, body: &Value) -> Reply {
    headed(status, body, &[])
}

fn headed(status: u16, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let of = |name| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| (*value).to_owned());
    let content_type = of("content-type").unwrap_or_else(|| "application/json".to_owned());
    let location = of("location")
        .map(|at| if at.starts_with("https://erp.example/") { Location::Here(at) } else { Location::Elsewhere(at) });
    let (retry_after, date, rate_limit) = (of("retry-after"), of("date"), of("ratelimit"));
    let head = Head { content_type, retry_after, date, rate_limit, location, repeatability: None };
    Reply::Http { status, head: Box::new(head), body: body.to_string().into_bytes() }
}

/// The same with these bytes for a body, of this type.
fn bytes(status: u16, content_type: &str, body: &[u8]) -> Reply {
    match headed(status, &json!({}), &[("content-type", content_type)]) {
        Reply::Http { status, head, .. } => Reply::Http { status, head, body: body.to_vec() },
        other => other,
    }
}

fn problem(word: &str) -> Value {
    json!({ "type": format!("urn:floorgate:problem:{word}"), "title": "t" })
}

/// Results for keys by their number: a status, and a reason or none.
fn results(of: &[(u8, &str, &str)]) -> Value {
    let result = |(n, status, reason): &(u8, &str, &str)| {
        let mut item = json!({ "key": Id([*n; 16]).to_string(), "status": status });
        if !reason.is_empty() {
            item["reason"] = (*reason).into();
        }
        item
    };
    json!({ "results": of.iter().map(result).collect::<Vec<_>>() })
}

fn line(of: &'static str, reply: Reply, class: &'static [Class]) -> Line {
    let rows = u8::try_from(class.len()).expect("a few");
    Line { of, reply, rows, shape: per_item(), class, whole: true, pause: None, later: None }
}

fn items(of: &'static str, reply: Reply, class: &'static [Class]) -> Line {
    Line { whole: false, ..line(of, reply, class) }
}

fn of_status(status: u16, test: Option<Test>, class: Class) -> Rule {
    Rule { status: vec![status], test, class, code: None }
}

fn rule(status: u16, test: Option<Test>, class: Class) -> AnswerShape {
    AnswerShape { rules: vec![of_status(status, test, class)], ..per_item() }
}

fn status_speaks(of: &'static str, reply: Reply, class: &'static [Class]) -> Line {
    Line { shape: by_status(), ..line(of, reply, class) }
}

/// A target that says in its 200 whether it has done it.
fn approved(of: &'static str, reply: Reply, class: &'static [Class]) -> Line {
    let expected = Expected::Equals(false.into());
    let test = Test { of: Subject::Body, pointer: "/approved".to_owned(), expected };
    let rules = vec![of_status(200, Some(test), Class::Validation)];
    Line { shape: AnswerShape { rules, ..by_status() }, ..line(of, reply, class) }
}

const JSON: &str = "application/json";

#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<Line> {
    use Class::*;
    let none = json!({});
    let job = "https://erp.example/jobs/7";
    let by_job = || Some(By::Job(job.to_owned()));
    let code = |of, pointer: &str, value: &str| {
        Some(Test { of, pointer: pointer.to_owned(), expected: Expected::Equals(value.into()) })
    };
    let throttled = |status, headers: &[(&str, &str)], pause| Line {
        pause,
        ..line("429", headed(status, &json!({}), headers), &[Throttled, Throttled])
    };
    let html = &[("content-type", "text/html")];
    vec![
        line("no connection", Reply::NotSent("refused".to_owned()), &[Transient, Transient]),
        line("timeout, reset, half an answer", Reply::Lost("timeout".to_owned()), &[Unknown, Unknown]),
        Line { shape: by_status(), ..line("200 as expected", answer(200, &none), &[Delivered, Delivered]) },
        Line { shape: by_status(), ..line("201 as expected", answer(201, &none), &[Delivered, Delivered]) },
        Line { shape: by_status(), ..line("204 as expected", answer(204, &none), &[Delivered, Delivered]) },
        status_speaks("200, empty", bytes(200, "text/plain", b" \r\n"), &[Delivered]),
        status_speaks("204, empty", bytes(204, "", b""), &[Delivered]),
        status_speaks("200, JSON behind a byte order mark", bytes(200, JSON, b"\xef\xbb\xbf{}"), &[Delivered]),
        status_speaks("200, JSON without a type", bytes(200, "", b"{}"), &[Delivered]),
        status_speaks("200, cut", bytes(200, JSON, b"{\"a\":"), &[Unknown]),
        status_speaks("200, packed", bytes(200, JSON, b"\x1f\x8b\x08\0\0"), &[Unknown]),
        status_speaks("200, a text", bytes(200, "text/plain", b"ERROR"), &[Unknown]),
        status_speaks("200, XML", bytes(200, "text/xml", b"<soap:Fault/>"), &[Unknown]),
        status_speaks("200, a page without a type", bytes(200, "", b"\n<!DOCTYPE html><p>log in"), &[Unknown]),
        Line {
            shape: AnswerShape { rules: vec![of_status(200, None, Delivered)], ..by_status() },
            ..line("200, a text that a rule takes", bytes(200, "text/plain", b"OK"), &[Delivered])
        },
        approved("200 that a rule finds good", answer(200, &json!({ "approved": true })), &[Delivered]),
        approved("200 that a rule finds bad", answer(200, &json!({ "approved": false })), &[Validation]),
        approved("200 in which a rule finds nothing", bytes(200, JSON, b""), &[Unknown]),
        approved("200 that a rule can't read", bytes(200, JSON, b"{\"approved\":fal"), &[Unknown]),
        approved("201 that a rule doesn't look into", bytes(201, JSON, b""), &[Delivered]),
        status_speaks("203", answer(203, &none), &[Unknown]),
        status_speaks("206", answer(206, &none), &[Unknown]),
        items(
            "200 with results",
            answer(200, &results(&[(2, "duplicate", ""), (1, "posted", "")])),
            &[Delivered, Duplicate],
        ),
        items(
            "200 with items that are wrong",
            answer(200, &results(&[(1, "rejected", "order_on_hold"), (2, "rejected", "unknown_item")])),
            &[Validation, Reference],
        ),
        items(
            "200 with items that are put off",
            answer(
                200,
                &results(&[(1, "retry", "concurrent"), (2, "retry", "lane_blocked"), (3, "retry", "internal")]),
            ),
            &[Conflict, NotAttempted, Transient],
        ),
        items("200 with a key that was reused", answer(200, &results(&[(1, "rejected", "key_reused")])), &[KeyClash]),
        Line {
            later: Some(By::Lookup),
            ..items(
                "200 with items that are accepted",
                answer(200, &results(&[(1, "accepted", ""), (2, "posted", "")])),
                &[Accepted, Delivered],
            )
        },
        line("200 text/html", headed(200, &results(&[(1, "posted", "")]), html), &[Unknown]),
        line("200 not parseable", bytes(200, JSON, b"{"), &[Unknown, Unknown]),
        items(
            "200 behind a byte order mark",
            bytes(200, JSON, format!("\u{feff}{}", results(&[(1, "posted", "")])).as_bytes()),
            &[Delivered],
        ),
        line("203", answer(203, &none), &[Unknown]),
        line("206", answer(206, &none), &[Unknown]),
        line("200 without results", answer(200, &json!({ "results": {} })), &[Unknown, Unknown]),
        line("204 where results are expected", answer(204, &none), &[Unknown, Unknown]),
        Line {
            later: by_job(),
            ..line("202 with Location", headed(202, &none, &[("location", job)]), &[Accepted, Accepted])
        },
        Line { later: Some(By::Lookup), ..line("202 without", answer(202, &none), &[Accepted, Accepted]) },
        Line {
            later: Some(By::Lookup),
            ..line("202 to elsewhere", headed(202, &none, &[("location", "https://other.example/jobs/7")]), &[Accepted])
        },
        line("202 text/html", headed(202, &none, html), &[Unknown, Unknown]),
        items("207: missing", answer(207, &results(&[(1, "posted", "")])), &[Delivered, Unknown]),
        items("207: extra", answer(207, &results(&[(1, "posted", ""), (9, "posted", "")])), &[Delivered]),
        line("207: twice", answer(207, &results(&[(1, "posted", ""), (1, "rejected", "")])), &[Unknown]),
        line("200 with results of no item of the batch", answer(200, &results(&[])), &[Unknown, Unknown]),
        line("200 with results of others", answer(200, &results(&[(9, "posted", "")])), &[Unknown, Unknown]),
        line("200 with words that nobody knows", answer(200, &results(&[(1, "fine", ""), (2, "", "")])), &[Unknown; 2]),
        Line {
            shape: AnswerShape { items: Some(String::new()), ..per_item() },
            ..items("a JSON array", answer(200, &results(&[(1, "posted", "")])["results"]), &[Delivered])
        },
        line("301", headed(301, &none, &[("location", job)]), &[Contract, Contract]),
        line("302", answer(302, &none), &[Contract, Contract]),
        line("303", answer(303, &none), &[Contract, Contract]),
        line("307", headed(307, &none, &[("location", job)]), &[Contract, Contract]),
        line("308", answer(308, &none), &[Contract, Contract]),
        line("400, whole batch", answer(400, &problem("malformed")), &[Validation, Validation]),
        line("400, single", answer(400, &problem("malformed")), &[Validation]),
        items("400 with results", answer(400, &results(&[(1, "rejected", "")])), &[Validation, Unknown]),
        items(
            "400 claims an effect",
            answer(400, &results(&[(1, "posted", ""), (2, "rejected", "")])),
            &[Unknown, Validation],
        ),
        Line {
            shape: rule(422, code(Subject::Item, "/status", "posted"), Delivered),
            ..items("an effect under 422 by rule", answer(422, &results(&[(1, "posted", "")])), &[Delivered])
        },
        line("400 unsupported_version", answer(400, &problem("unsupported_version")), &[Contract, Contract]),
        line("400 throttled", answer(400, &problem("throttled")), &[Throttled, Throttled]),
        Line {
            shape: rule(400, code(Subject::Body, "/error/code", "SAME_KEY"), Duplicate),
            ..line("400 that means duplicate", answer(400, &json!({ "error": { "code": "SAME_KEY" } })), &[Duplicate])
        },
        Line {
            shape: rule(400, code(Subject::Body, "/error/code", "SAME_KEY"), Duplicate),
            ..line(
                "400 that means something else",
                answer(400, &json!({ "error": { "code": "OTHER" } })),
                &[Validation],
            )
        },
        line("400, a web page", headed(400, &none, html), &[Contract]),
        line("400, a page without a type", bytes(400, "", b"<html><h1>Bad Request</h1>"), &[Contract]),
        line("404, a web page", headed(404, &none, html), &[Contract]),
        line("410, a web page", headed(410, &none, html), &[Contract]),
        line("422, a web page", headed(422, &none, html), &[Contract]),
        line("423, a web page", headed(423, &none, html), &[Contract]),
        line("401, a web page", headed(401, &none, html), &[Auth]),
        line("403, a web page", headed(403, &none, html), &[Auth]),
        line("429, a web page", headed(429, &none, html), &[Throttled]),
        line("413, a web page", headed(413, &none, html), &[NotAttempted, NotAttempted]),
        line("408, a web page", headed(408, &none, html), &[Unknown]),
        Line { later: Some(By::Lookup), ..line("409, a web page", headed(409, &none, html), &[Unknown]) },
        Line { later: Some(By::LookupOnly), ..line("412, a web page", headed(412, &none, html), &[Unknown]) },
        line("401", headed(401, &problem("unauthorized"), &[("retry-after", "9")]), &[Auth, Auth]),
        line("401, single", answer(401, &problem("unauthorized")), &[Auth]),
        line("403", answer(403, &problem("forbidden")), &[Auth, Auth]),
        line("403, single", answer(403, &problem("forbidden")), &[Auth]),
        items(
            "200 with an item that is not permitted",
            answer(200, &results(&[(1, "rejected", "not_permitted")])),
            &[Validation],
        ),
        line("404", answer(404, &none), &[Contract, Contract]),
        line("405", answer(405, &none), &[Contract, Contract]),
        line("410", answer(410, &none), &[Contract]),
        line("415", answer(415, &problem("unsupported_media")), &[Contract, Contract]),
        Line {
            shape: rule(404, None, Reference),
            ..line("404 on an object that is referred to", answer(404, &none), &[Reference])
        },
        line("408", answer(408, &none), &[Unknown, Unknown]),
        line("500", answer(500, &problem("internal")), &[Unknown, Unknown]),
        line("502", headed(502, &none, html), &[Unknown, Unknown]),
        line("504", answer(504, &none), &[Unknown, Unknown]),
        line("500 with results is not believed", answer(500, &results(&[(1, "rejected", "")])), &[Unknown]),
        Line {
            later: Some(By::Lookup),
            ..line("409 outstanding", answer(409, &problem("outstanding")), &[Accepted, Accepted])
        },
        line("409 locked", answer(409, &problem("locked")), &[Conflict, Conflict]),
        line("409 version", answer(409, &problem("version")), &[Conflict]),
        Line { later: Some(By::Lookup), ..line("409 nothing said", answer(409, &none), &[Unknown, Unknown]) },
        Line { later: Some(By::LookupOnly), ..line("412 on repeatability", answer(412, &none), &[Unknown, Unknown]) },
        line("413", answer(413, &problem("too_large")), &[NotAttempted, NotAttempted]),
        line("413, single", headed(413, &none, html), &[Validation]),
        line("422", answer(422, &none), &[Validation, Validation]),
        line("422, key reused", answer(422, &problem("key_reused")), &[KeyClash]),
        line("422, key clash", answer(422, &problem("key_clash")), &[KeyClash]),
        line("422, key reused by one of two", answer(422, &problem("key_reused")), &[Validation, Validation]),
        line("423", answer(423, &none), &[Conflict, Conflict]),
        line("425", answer(425, &none), &[Conflict, Conflict]),
        throttled(429, &[("retry-after", "7")], Some(7_000)),
        throttled(429, &[("retry-after", "7"), ("ratelimit", "\"p\";r=0;t=12")], Some(7_000)),
        throttled(429, &[("ratelimit", "\"p\";r=0;t=12")], Some(12_000)),
        throttled(429, &[("ratelimit", "limit=100, remaining=0, reset=50")], None),
        throttled(429, &[], None),
        Line {
            pause: Some(12_000),
            ..items(
                "200 with a spent RateLimit",
                headed(200, &results(&[(1, "posted", "")]), &[("ratelimit", "\"q\";r=9;t=1, \"p\";r=0;t=12")]),
                &[Delivered],
            )
        },
        items(
            "200 with a RateLimit that has something left",
            headed(200, &results(&[(1, "posted", "")]), &[("ratelimit", "\"p\";r=1;t=12")]),
            &[Delivered],
        ),
        Line {
            pause: Some(120_000),
            ..line(
                "503 with Retry-After",
                headed(503, &problem("busy"), &[("retry-after", "120")]),
                &[Unknown, Unknown],
            )
        },
        line("503 without", answer(503, &none), &[Unknown, Unknown]),
        Line {
            shape: AnswerShape { definite_503: true, ..per_item() },
            pause: Some(120_000),
            ..line("503 that is definite", headed(503, &none, &[("retry-after", "120")]), &[Transient, Transient])
        },
        Line {
            shape: rule(500, code(Subject::Body, "/fault", "ExceededRequestLimitFault"), Throttled),
            pause: Some(5_000),
            ..line(
                "a named fault",
                headed(500, &json!({ "fault": "ExceededRequestLimitFault" }), &[("retry-after", "5")]),
                &[Throttled, Throttled],
            )
        },
        Line {
            shape: rule(200, code(Subject::Item, "/status", "held"), Validation),
            ..items(
                "an item's word of the target's own",
                answer(200, &results(&[(1, "held", ""), (2, "posted", "")])),
                &[Validation, Delivered],
            )
        },
    ]
}

#[test]
fn the_whole_answer_table() {
    for Line { of, reply, rows, shape, class, whole, pause, later } in table() {
        let answer = classify(&reply, &shape, &keys(rows));
        let classes: Vec<Class> = answer.outcomes.iter().map(|o| o.class).collect();
        assert_eq!((classes.as_slice(), answer.whole), (class, whole), "{of}: {answer:?}");
        assert_eq!(answer.retry_after_ms, pause, "{of}: {answer:?}");
        assert_eq!(answer.later.map(|later| later.by), later, "{of}");
    }
}

/// The rules are tried in their order, whether they are of items or of all.
#[test]
fn the_first_rule_decides() {
    use Class::{Conflict, Contract, Validation};
    let of = |of, pointer: &str, value: Value| {
        Some(Test { of, pointer: pointer.to_owned(), expected: Expected::Equals(value) })
    };
    let held = Rule { status: Vec::new(), ..of_status(0, of(Subject::Item, "/status", "held".into()), Validation) };
    let all = of_status(422, None, Contract);
    let classes = |rules: [&Rule; 2], body: &Value| {
        let shape = AnswerShape { rules: rules.into_iter().cloned().collect(), ..per_item() };
        let answer = classify(&answer(422, body), &shape, &keys(2));
        (answer.outcomes.iter().map(|o| o.class).collect::<Vec<_>>(), answer.whole)
    };
    let body = results(&[(1, "held", ""), (2, "posted", "")]);
    assert_eq!(classes([&held, &all], &body), (vec![Validation, Contract], false));
    assert_eq!(classes([&all, &held], &body), (vec![Contract; 2], true));
    let body = results(&[(2, "posted", "")]);
    assert_eq!(classes([&held, &all], &body), (vec![Contract; 2], true), "it is of no item");
    let one = of_status(422, of(Subject::Body, "/code", 1.into()), Conflict);
    assert_eq!(classes([&one, &all], &json!({ "code": 1.0 })), (vec![Conflict; 2], true));
    assert_eq!(classes([&one, &all], &json!({ "code": 1.5 })), (vec![Contract; 2], true));
}

#[test]
fn a_batch_that_is_too_large_says_so_in_its_code() {
    for rows in [1, 2] {
        let answer = classify(&answer(413, &json!({})), &per_item(), &keys(rows));
        assert_eq!(answer.outcomes[0].code.as_deref(), Some(Outcome::TOO_LARGE));
    }
}

#[test]
fn an_override_gives_the_code_that_decides_of_the_category() {
    let test = Test { of: Subject::Item, pointer: "/status".to_owned(), expected: Expected::Present };
    let code = Some("period_closed".to_owned());
    let rules = vec![Rule { status: Vec::new(), test: Some(test), class: Class::Validation, code: code.clone() }];
    let shape = AnswerShape { rules, ..per_item() };
    let answer = classify(&answer(200, &results(&[(1, "E17", "closed")])), &shape, &keys(1));
    assert_eq!((answer.outcomes[0].class, &answer.outcomes[0].code), (Class::Validation, &code));
    assert_eq!(answer.outcomes[0].reason, "the ERP says: closed");
}

/// What a job's address answers: the results, that it is at work, that it is not known, or nothing that tells.
#[test]
fn a_job_tells_what_became_of_its_batch() {
    let (processing, done) = (json!({ "job": "7", "status": "processing" }), results(&[(2, "posted", "")]));
    let mut done = done;
    done["status"] = "done".into();
    for (reply, class, whole, after) in [
        (headed(200, &processing, &[("retry-after", "9")]), [Class::Accepted; 2], true, Some(9_000)),
        (answer(200, &processing), [Class::Accepted; 2], true, None),
        (answer(202, &json!({})), [Class::Accepted; 2], true, None),
        (answer(200, &done), [Class::Unknown, Class::Delivered], false, None),
        (answer(200, &json!({ "status": "done" })), [Class::Unknown; 2], true, None),
        (answer(404, &problem("unknown_job")), [Class::Unknown; 2], true, None),
        (answer(410, &json!({})), [Class::Unknown; 2], true, None),
        (answer(429, &json!({})), [Class::Throttled; 2], true, None),
        (answer(401, &json!({})), [Class::Auth; 2], true, None),
        (answer(503, &json!({})), [Class::Transient; 2], true, None),
        (answer(400, &json!({})), [Class::Contract; 2], true, None),
        (headed(200, &processing, &[("content-type", "text/html")]), [Class::Contract; 2], true, None),
        (Reply::Lost("timeout".to_owned()), [Class::Transient; 2], true, None),
        (Reply::NotSent("refused".to_owned()), [Class::Transient; 2], true, None),
    ] {
        let answer = classify_poll(&reply, &per_item(), &keys(2));
        let classes: Vec<Class> = answer.outcomes.iter().map(|o| o.class).collect();
        assert_eq!((classes.as_slice(), answer.whole), (class.as_slice(), whole), "{reply:?}");
        assert_eq!(answer.later.and_then(|later| later.after_ms), after, "{reply:?}");
    }
}

#[test]
fn a_rate_limit_that_is_no_list_of_structured_fields_is_ignored() {
    for (fields, wait) in [
        ("\"x\";r=0;t=12", Some(12_000)),
        ("x;r=0;t=12", Some(12_000)),
        ("\"x\"; r=0; t=12;pk=:abc:", Some(12_000)),
        ("\"a\";r=0;t=3,\"b\";r=0;t=7", Some(7_000)),
        ("\"x\";r=0;t=999999", Some(3_600_000)),
        ("\"x\";r=0;t=0", None),
        ("\"x\";r=0", None),
        ("\"x\";r=1;t=12", None),
        ("\"x;r=0;t=12", None),
        ("\"x\";r=-1;t=12", None),
        ("\"x\";r=0;t=soon", None),
        ("limit=100, remaining=0, reset=50", None),
        ("", None),
        (",", None),
    ] {
        assert_eq!(rate_limit::wait_ms(fields), wait, "{fields}");
    }
}
