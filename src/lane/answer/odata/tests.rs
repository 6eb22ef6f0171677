use serde_json::json;

use super::*;
use crate::lane::answer::{Reply, classify};
use crate::lane::{By, Dialect};

fn shape() -> AnswerShape {
    AnswerShape {
        items: Some("/responses".to_owned()),
        reference: "/headers/location".to_owned(),
        dialect: Dialect::OData,
        ..AnswerShape::default()
    }
}

fn keys() -> [Id; 2] {
    [Id([1; 16]), Id([2; 16])]
}

/// Classes by what each key, or the group, is answered.
fn told(parts: &[(&str, u16)]) -> (Vec<Class>, bool) {
    let [a, b] = keys().map(|key| key.to_string());
    let part = |(id, status): &(&str, u16)| {
        let id = match *id {
            "a" => &a,
            "b" => &b,
            other => other,
        };
        json!({"id": id, "status": status, "body": {"error": {"code": "X/1", "message": "no"}}})
    };
    let parts: Vec<Value> = parts.iter().map(part).collect();
    let answer = judge(200, &parts, &shape(), &keys());
    (answer.outcomes.iter().map(|outcome| outcome.class).collect(), answer.whole)
}

#[test]
fn the_responses_of_an_all_or_nothing_batch_are_one_word() {
    use Class::{Conflict, Contract, Delivered, NotAttempted, Reference, Throttled, Unknown, Validation};
    for (parts, classes, whole) in [
        (&[("a", 201), ("b", 204)][..], [Delivered, Delivered], false),
        (&[("a", 201)], [Unknown, Unknown], true),
        (&[], [Unknown, Unknown], true),
        (&[("a", 201), ("b", 400)], [Unknown, Unknown], true),
        (&[("a", 201), ("b", 424)], [Unknown, Unknown], true),
        (&[("b", 400)], [NotAttempted, Validation], false),
        (&[("a", 424), ("b", 412)], [NotAttempted, Validation], false),
        (&[("a", 404), ("b", 409)], [Reference, Conflict], false),
        (&[("a", 424), ("b", 424)], [Contract, Contract], true),
        (&[("a", 400), ("b", 500)], [Unknown, Unknown], true),
        (&[("a", 400), ("b", 429)], [Throttled, Throttled], true),
        (&[("a", 400), ("a", 201), ("b", 201)], [Unknown, Unknown], true),
        (&[(GROUP, 400)], [Validation, Validation], true),
        (&[(GROUP, 409)], [Conflict, Conflict], true),
        (&[(GROUP, 500)], [Unknown, Unknown], true),
        (&[(GROUP, 200)], [Unknown, Unknown], true),
    ] {
        assert_eq!(told(parts), (classes.to_vec(), whole), "{parts:?}");
    }
}

#[test]
fn a_document_that_was_changed_is_told_with_the_erp_s_words() {
    let [a, _] = keys();
    let body = json!({"error": {"code": "Stale", "message": "Delivery 80000001 was changed by MILLER"}});
    let answer = judge(200, &[json!({"id": a.to_string(), "status": 412, "body": body})], &shape(), &[a]);
    assert_eq!(answer.outcomes[0].code.as_deref(), Some("etag_changed"));
    assert_eq!(
        answer.outcomes[0].reason,
        "the ERP has changed the document since its ETag was read: compare the two, and post it by hand or anew (HTTP \
         412): Delivery 80000001 was changed by MILLER"
    );
}

#[test]
fn a_reference_is_read_where_the_target_says() {
    let [a, _] = keys();
    let part = json!({"id": a.to_string(), "status": 201, "headers": {"location": "Deliveries('1')"}});
    assert_eq!(judge(200, &[part], &shape(), &[a]).outcomes[0].reference.as_deref(), Some("Deliveries('1')"));
}

/// Whatever its parts say, a batch that was refused has not had its effect for certain, nor surely none.
#[test]
fn a_refused_batch_proves_no_effect_of_its_parts() {
    let parts = keys().map(|key| json!({ "id": key.to_string(), "status": 204 }));
    let classes =
        |outer| judge(outer, &parts, &shape(), &keys()).outcomes.into_iter().map(|o| o.class).collect::<Vec<_>>();
    assert_eq!(classes(200), [Class::Delivered; 2]);
    assert_eq!(classes(400), [Class::Unknown; 2]);
}

/// SAP answers a refused key as it answers a refused row: halved under other keys the request would have its effect twice.
#[test]
fn what_is_said_of_the_key_is_no_refusal_of_the_rows() {
    let error = |code: &str| json!({"error": {"code": code, "message": "RequestID is outdated"}});
    let part = |code: &str| json!({"responses": [{"id": GROUP, "status": 400, "body": error(code)}]});
    for (status, result, body, class, by) in [
        (400, None, error("/IWBEP/CM_COS/005"), Class::Unknown, Some(By::LookupOnly)),
        (200, None, part("/IWBEP/CM_COS/005"), Class::Unknown, Some(By::LookupOnly)),
        (500, None, error("/IWBEP/CM_COS/001"), Class::Unknown, None),
        (400, None, error("/IWBEP/CM_COS/001"), Class::Unknown, None),
        (400, Some("unsupported"), error("X/1"), Class::Contract, None),
        (400, Some("Rejected"), json!({}), Class::Contract, None),
        (412, Some("rejected"), json!({}), Class::Unknown, Some(By::LookupOnly)),
        (400, Some("accepted"), error("X/1"), Class::Validation, None),
        (400, None, error("X/1"), Class::Validation, None),
    ] {
        let head = Head { repeatability: result.map(str::to_owned), ..Head::default() };
        let reply = Reply::Http { status, head: Box::new(head), body: body.to_string().into_bytes() };
        let answer = classify(&reply, &shape(), &keys());
        assert!(answer.whole && answer.outcomes.iter().all(|outcome| outcome.class == class), "{body}: {answer:?}");
        assert_eq!(answer.later.map(|later| later.by), by, "{body}");
    }
}
