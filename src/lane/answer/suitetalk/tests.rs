use serde_json::json;

use super::*;
use crate::lane::answer::{Dialect, Expected, Head, Rule, Subject, Test};
use crate::lane::{By, classify, classify_poll, unanswered};

const JOB: &str = "https://erp.example/services/rest/jobs/v1/job/7";

fn shape() -> AnswerShape {
    AnswerShape { dialect: Dialect::SuiteTalk, ..AnswerShape::default() }
}

fn keys(n: u8) -> Vec<Id> {
    (1..=n).map(|i| Id([i; 16])).collect()
}

fn reply(status: u16, body: &Value, location: Option<&str>) -> Reply {
    let location = location.map(|at| Location::Here(at.to_owned()));
    let head = Head { content_type: "application/json".to_owned(), location, ..Head::default() };
    Reply::Http { status, head: Box::new(head), body: body.to_string().into_bytes() }
}

/// An error as section "Error Handling in REST Web Services" shows one.
fn error(status: u16, title: &str, code: &str, detail: &str) -> Value {
    json!({
        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4.1",
        "title": title, "status": status,
        "o:errorDetails": [{"detail": detail, "o:errorCode": code, "o:errorPath": "item.items[0].item"}],
    })
}

#[test]
fn what_a_batch_is_answered() {
    use Class::{Accepted, Auth, Contract, NotAttempted, Throttled, Unknown, Validation};
    let none = json!({});
    let again =
        error(400, "Conflict", "IDEMPOTENCY_ERROR", "A request with the same idempotency key is already submitted.");
    let crowd = error(400, "Bad Request", "SSS_REQUEST_LIMIT_EXCEEDED", "Request Limit Exceeded");
    let by_job = Some(By::Job(JOB.to_owned()));
    for (of, reply, class, later) in [
        ("202", reply(202, &none, Some(JOB)), Accepted, by_job.clone()),
        ("202 without a job", reply(202, &none, None), Accepted, Some(By::Lookup)),
        ("400 that means duplicate", reply(400, &again, Some(JOB)), Accepted, by_job.clone()),
        ("409 that means duplicate", reply(409, &again, Some(JOB)), Accepted, by_job),
        ("400 that means duplicate, without the job", reply(400, &again, None), Accepted, Some(By::Lookup)),
        ("400 that means too many at once", reply(400, &crowd, None), Throttled, None),
        ("400", reply(400, &error(400, "Bad Request", "INVALID_CONTENT", "no"), None), Validation, None),
        ("401", reply(401, &error(401, "Unauthorized", "INVALID_LOGIN", "no"), None), Auth, None),
        ("403", reply(403, &none, None), Auth, None),
        ("404", reply(404, &none, None), Contract, None),
        ("413", reply(413, &none, None), NotAttempted, None),
        ("429", reply(429, &none, None), Throttled, None),
        ("500", reply(500, &error(500, "Internal Server Error", "UNEXPECTED_ERROR", "no"), None), Unknown, None),
        ("done at once, which a batch never is", reply(200, &none, None), Unknown, None),
        ("done at once, which a batch never is", reply(204, &none, None), Unknown, None),
        ("no answer", Reply::Lost("timeout".to_owned()), Unknown, None),
    ] {
        let answer = classify(&reply, &shape(), &keys(2));
        let classes: Vec<Class> = answer.outcomes.iter().map(|outcome| outcome.class).collect();
        assert_eq!((classes, answer.whole), (vec![class; 2], true), "{of}");
        assert_eq!(answer.later.map(|later| later.by), later, "{of}");
    }
}

/// A target that answers otherwise than the documents say is told apart by `classify`, which comes first.
#[test]
fn a_rule_of_the_target_s_own_comes_before_the_codes() {
    let pointer = "/o:errorDetails/0/o:errorCode".to_owned();
    let test = Some(Test { of: Subject::Body, pointer, expected: Expected::Equals("IDEMPOTENCY_ERROR".into()) });
    let rules = vec![Rule { status: vec![400], test, class: Class::Unknown, code: None }];
    let again = error(400, "Conflict", "IDEMPOTENCY_ERROR", "already submitted");
    let answer = classify(&reply(400, &again, Some(JOB)), &AnswerShape { rules, ..shape() }, &keys(1));
    assert_eq!(answer.outcomes[0].class, Class::Unknown);
}

#[test]
fn the_erp_s_own_words_are_told() {
    let body = error(400, "Bad Request", "INVALID_CONTENT", "Invalid Field Value 9999 for the following field: item");
    let answer = classify(&reply(400, &body, None), &shape(), &keys(1));
    let words =
        "the ERP refuses the request (HTTP 400): Bad Request: Invalid Field Value 9999 for the following field: item";
    assert_eq!(answer.outcomes[0].reason, words);
}

#[test]
fn a_job_is_at_work_at_its_end_or_not_known() {
    let job = |completed, progress: &str| json!({"completed": completed, "id": "7", "progress": progress});
    for (body, done) in
        [(job(false, "pending"), false), (job(false, "processing"), false), (job(true, "succeeded"), true)]
    {
        let reply = reply(200, &body, None);
        assert_eq!(is_done(&reply), done);
        let class = classify_poll(&reply, &shape(), &keys(2)).outcomes[0].class;
        assert_eq!(class == Class::Accepted, !done, "{body}");
    }
    for (status, class) in [
        (404, Class::Unknown),
        (410, Class::Unknown),
        (429, Class::Throttled),
        (401, Class::Auth),
        (503, Class::Transient),
    ] {
        let answer = classify_poll(&reply(status, &json!({}), None), &shape(), &keys(2));
        assert_eq!((answer.outcomes[0].class, answer.whole), (class, true), "{status}");
    }
}

#[test]
fn tasks_are_found_wherever_the_list_links_to_them() {
    let link = |href: &str| json!({"rel": "self", "href": href});
    let at = |task: &str| format!("{JOB}/task/{task}");
    let items = json!({
        "links": [link(&at(""))], "count": 2,
        "items": [{"id": "1", "links": [link(&at("1")), link(&at("1/result"))]}, {"id": "2", "links": [link(&at("2"))]}],
    });
    let flat = json!({"links": [link(&at("1")), link(&at("2")), link(&at("1"))]});
    for list in [items, flat] {
        assert_eq!(tasks_of(&reply(200, &list, None)), Some(vec![at("1"), at("2")]), "{list}");
    }
    assert_eq!(tasks_of(&reply(200, &json!({"items": []}), None)), Some(vec![]));
    let asked = reply(429, &json!({}), None);
    assert_eq!(tasks_of(&asked), None);
    assert_eq!(unanswered(&asked, &keys(1)).outcomes[0].class, Class::Throttled);
}

#[test]
fn a_question_without_an_answer_is_no_result_of_a_task() {
    let told = error(500, "Internal Server Error", "UNEXPECTED_ERROR", "no");
    for (reply, result) in [
        (reply(200, &json!({}), None), true),
        (reply(204, &Value::Null, None), true),
        (reply(400, &error(400, "Bad Request", "INVALID_CONTENT", "no"), None), true),
        (reply(404, &json!({}), None), true),
        (reply(403, &json!({}), None), false),
        (reply(403, &error(403, "Forbidden", "INSUFFICIENT_PERMISSION", "no"), None), true),
        (reply(500, &told, None), true),
        (reply(500, &json!({}), None), false),
        (reply(401, &told, None), false),
        (reply(429, &told, None), false),
        (reply(503, &told, None), false),
        (Reply::Lost("timeout".to_owned()), false),
    ] {
        assert_eq!(Task::of(&reply).is_some(), result, "{reply:?}");
    }
}

#[test]
fn a_record_is_named_by_its_external_id_or_by_nothing() {
    let key = Id([1; 16]);
    let made =
        || Task::of(&reply(204, &Value::Null, Some("https://erp.example/record/v1/order/12"))).expect("a result");
    for (record, answered, named) in [
        (reply(200, &json!({"externalId": key.to_string()}), None), true, Some(key)),
        (reply(200, &json!({"externalId": "by hand"}), None), true, None),
        (reply(404, &json!({}), None), true, None),
        (reply(503, &json!({}), None), false, None),
        (reply(429, &json!({}), None), false, None),
    ] {
        let mut task = made();
        assert_eq!((task.name(&record), task.key), (answered, named), "{record:?}");
    }
}

/// A made record, or a refused one: whose, and with what status.
fn task((key, status): (u8, u16)) -> Task {
    let key = (key > 0).then_some(Id([key; 16]));
    let record = (status < 300).then(|| format!("https://erp.example/services/rest/record/v1/salesOrder/{status}"));
    let body =
        if status < 300 { json!({}) } else { error(status, "Bad Request", "INVALID_CONTENT", &format!("no {status}")) };
    Task { key, status, record, body }
}

/// Each record by its own result: key 0 is one that nothing names, 9 one that was not in the batch.
#[test]
fn the_results_of_a_job() {
    use Class::{Conflict, Delivered, Unknown, Validation};
    for (tasks, classes, strange) in [
        (&[(2, 204), (1, 204), (3, 204)][..], [Delivered, Delivered, Delivered], false),
        (&[(1, 204), (2, 400), (3, 204)], [Delivered, Validation, Delivered], false),
        // Nothing names a record that was refused: it is the one that is left.
        (&[(3, 204), (0, 400), (1, 204)], [Delivered, Validation, Delivered], false),
        (&[(0, 400), (2, 204), (0, 400)], [Validation, Delivered, Validation], false),
        (&[(0, 400), (2, 204), (0, 409)], [Validation, Delivered, Validation], false),
        (&[(0, 409), (2, 204), (0, 409)], [Conflict, Delivered, Conflict], false),
        (&[(0, 204), (0, 204), (0, 204)], [Delivered, Delivered, Delivered], false),
        // Here it makes a difference which is which.
        (&[(0, 204), (2, 204), (0, 400)], [Unknown, Delivered, Unknown], false),
        (&[(0, 500), (2, 204), (0, 400)], [Unknown, Delivered, Unknown], false),
        (&[(1, 204), (2, 204), (0, 500)], [Delivered, Delivered, Unknown], false),
        // One is missing.
        (&[(1, 204), (3, 204)], [Delivered, Unknown, Delivered], false),
        (&[(1, 204), (0, 400)], [Delivered, Unknown, Unknown], false),
        (&[], [Unknown, Unknown, Unknown], false),
        // One is too many.
        (&[(1, 204), (2, 204), (3, 204), (9, 204)], [Delivered, Delivered, Delivered], true),
        (&[(1, 204), (9, 204), (0, 400)], [Delivered, Unknown, Unknown], true),
        (&[(1, 204), (2, 204), (3, 204), (0, 400)], [Delivered, Delivered, Delivered], true),
        (&[(1, 204), (1, 400), (2, 204), (3, 204)], [Unknown, Delivered, Delivered], false),
    ] {
        let found: Vec<Task> = tasks.iter().copied().map(task).collect();
        let answer = classify_tasks(&found, &shape(), &keys(3));
        let told: Vec<Class> = answer.outcomes.iter().map(|outcome| outcome.class).collect();
        assert_eq!((told, answer.excerpt.starts_with(Answer::STRANGE)), (classes.to_vec(), strange), "{tasks:?}");
        assert!(!answer.whole);
    }
}

#[test]
fn a_refused_record_has_the_erp_s_words_and_a_made_one_its_number() {
    let answer = classify_tasks(&[task((1, 204)), task((2, 400))], &shape(), &keys(2));
    assert_eq!(answer.outcomes[0].reference.as_deref(), Some("204"));
    assert_eq!(answer.outcomes[1].reason, "the ERP refuses it (HTTP 400): Bad Request: no 400");
    assert_eq!(answer.outcomes[1].code.as_deref(), Some("INVALID_CONTENT"));
    assert!(answer.excerpt.contains("o:errorDetails"), "{}", answer.excerpt);
}

#[test]
fn words_that_may_be_another_record_s_are_told_as_such() {
    let answer = classify_tasks(&[task((0, 400)), task((0, 409))], &shape(), &keys(2));
    let words = "the ERP refuses 2 records of this job, and does not say which word is whose: the ERP has the record locked or \
                 changed (HTTP 409): Bad Request: no 409; the ERP refuses it (HTTP 400): Bad Request: no 400";
    assert_eq!(answer.outcomes[0].reason, words);
    assert_eq!(answer.outcomes[1].reason, words);
}

/// What the maker's documents do not say is the target's to say.
#[test]
fn a_rule_of_the_target_s_own_judges_a_task() {
    let pointer = "/o:errorDetails/0/o:errorCode".to_owned();
    let test = Some(Test { of: Subject::Item, pointer, expected: Expected::Equals("INVALID_CONTENT".into()) });
    let rules =
        vec![Rule { status: Vec::new(), test, class: Class::Reference, code: Some("unknown_order".to_owned()) }];
    let answer = classify_tasks(&[task((1, 400))], &AnswerShape { rules, ..shape() }, &keys(1));
    assert_eq!(
        (answer.outcomes[0].class, answer.outcomes[0].code.as_deref()),
        (Class::Reference, Some("unknown_order"))
    );
}
