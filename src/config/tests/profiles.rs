use super::*;

const URL: &str = "url = \"https://erp.example.com/floorgate/v1/events\"";
const BATCH: &str = "batch = { max_events = 50, max_size = \"512 KiB\", linger = \"20ms\", format = \"json-array\", wrap = \"events\" }";
const ANSWERS: &str = "answers = { items = \"/results\", key = \"/key\", status = \"/status\", reason = \"/reason\", reference = \"/reference\" }";
const KEY: &str = "idempotency = \"key\"";
const HORIZON: &str = "dedup_horizon = \"24h\"";

/// The shipped target as one of SuiteTalk's.
const SUITETALK: &str = "url = \"https://erp.example.com/services/rest/record/v1/customrecord_floor\"\n\
                         profile = \"suitetalk-batch\"\n\
                         suitetalk = { method = \"PUT\", fields = { custrecord_floor_subject = \"/subject\" } }";

#[test]
fn a_suitetalk_target_is_read() {
    let text = edited(&[(URL, SUITETALK), (BATCH, "batch = { max_events = 100 }\nmax_concurrent = 5"), (ANSWERS, "")]);
    let config = Site::new(&text).check().config.expect("no fault");
    assert_eq!(config.targets[0].content_type, "application/vnd.oracle.resource+json; type=collection");
    let lane = &config.lanes[0];
    assert_eq!(
        (lane.key_scope, lane.max_events, lane.limits.max_concurrent),
        (crate::lane::KeyScope::Parts, 100, Some(5))
    );
}

#[test]
fn what_does_not_go_with_a_suitetalk_batch_is_told() {
    insta::assert_snapshot!(told(&[(URL, SUITETALK), (BATCH, "batch = { max_events = 200, format = \"ndjson\" }\nordered_batch = true")]), @r#"
    gateway.toml:58:24: target[1].batch.max_events: is 200, and a collection has 100 records at most (write 100 or less)
    gateway.toml:58:38: target[1].batch.format: goes with profile = "contract" only (remove it: the body is a collection of records)
    gateway.toml:59:17: target[1].ordered_batch: goes with profile = "contract" only (remove it: the records of a batch are made in any order, so that it has one posting of a subject at most)
    gateway.toml:60:11: target[1].answers: goes with profile = "contract" only (remove it: the answers of a job stand where its maker says)
    "#);
    let post = SUITETALK.replace("PUT", "POST");
    let natural = [(KEY, "idempotency = \"natural\""), (HORIZON, "")];
    insta::assert_snapshot!(told(&[&[(URL, post.as_str()), (BATCH, ""), (ANSWERS, "")][..], &natural].concat()), @r#"
    gateway.toml:60:15: target[1].idempotency: is "natural", and a POST makes a record or refuses it (write suitetalk.method = "PUT", which finds a record again by its external id, or idempotency = "key")
    "#);
}

#[test]
fn a_record_without_fields_or_with_a_key_of_its_own_is_told() {
    let of = |suitetalk: &str| {
        let target = format!("url = \"https://erp.example.com/\"\nprofile = \"suitetalk-batch\"\n{suitetalk}");
        told(&[(URL, &target), (BATCH, ""), (ANSWERS, "")])
    };
    insta::assert_snapshot!(of(""), @r#"
    gateway.toml:52:1: target[1].suitetalk: is missing (add what a record is made of: `suitetalk = { method = "PUT", fields = { memo = "/subject" } }`)
    "#);
    insta::assert_snapshot!(of("suitetalk = { method = \"PATCH\", fields = {} }"), @r#"
    gateway.toml:57:24: target[1].suitetalk.method: "PATCH" is not known here (one of "PUT", "POST")
    gateway.toml:57:42: target[1].suitetalk.fields: has no field (write which fields a record has, and where their values stand: memo = "/subject")
    "#);
    insta::assert_snapshot!(of("suitetalk = { method = \"PUT\", fields = { id = \"/subject\", memo = \"subject\" } }"), @r#"
    gateway.toml:57:47: target[1].suitetalk.fields.id: is not a field to fill (remove it: the external id is the posting's key, by which the record is found again)
    gateway.toml:57:66: target[1].suitetalk.fields.memo: "subject" is not a JSON Pointer (write "/subject")
    "#);
    insta::assert_snapshot!(of("suitetalk = { method = \"PUT\", field = { memo = \"/subject\" } }\nodata = { resource = \"x\" }"), @r#"
    gateway.toml:57:31: target[1].suitetalk.field: unknown key (did you mean `fields`?)
    gateway.toml:58:9: target[1].odata: goes with profile = "odata-batch" only (add the profile, or remove it)
    "#);
}
