//! `floorgate target verify`: an endpoint that keeps the contract passes (`tests/peers/contract.py`), and each way to break
//! it is caught by the check that is named after it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::world::{Plc, Site, free_port, python, run_to_end};

/// An endpoint with a fault, and a gateway's configuration for it.
struct Endpoint {
    erp: Plc,
    site: Site,
}

impl Endpoint {
    fn start() -> Option<Self> {
        let erp = Plc::start_peer(&python()?, "contract.py", &[]);
        let site = site(&format!("http://127.0.0.1:{}/v1/events", erp.port));
        Some(Self { erp, site })
    }

    /// Begins anew with these settings, and goes through these checks, or all: exit code and report.
    fn verify(&mut self, settings: &Value, more: &[&str]) -> (Option<i32>, Value) {
        self.erp.tell(&settings.to_string());
        verify(&self.site, more)
    }
}

fn site(url: &str) -> Site {
    let links = "[[link]]\nid = \"broker\"\nkind = \"mqtt\"\naddress = \"mqtt://127.0.0.1:1883\"\n\
                 [[device]]\nid = \"hand\"\nlink = \"broker\"\nmap = \"hand-scanner@1\"\nparams = { topic_root = \"dc1\" }\n";
    let site = Site::new().links(links).erp(url).target_keys("auth = { bearer_file = \"token\" }");
    fs::write(site.dir().join("token"), "open-sesame\n").expect("a file");
    site
}

fn verify(site: &Site, more: &[&str]) -> (Option<i32>, Value) {
    let config = site.write().display().to_string();
    let output = run_to_end(&[&["target", "verify", "erp", "--json", "--config", &config], more].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!format!("{out}{err}").contains("open-sesame"), "the token is shown: {out}{err}");
    (output.status.code(), serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")))
}

/// Names of the checks that ended so.
fn ended(report: &Value, end: &str) -> BTreeSet<String> {
    let checks = report["checks"].as_array().expect("a list of checks");
    let of = checks.iter().filter(|check| check["end"] == end);
    of.map(|check| check["check"].as_str().expect("a name").to_owned()).collect()
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_endpoint_that_keeps_the_contract_passes() {
    let Some(mut endpoint) = Endpoint::start() else { return };
    let (code, report) = endpoint.verify(&json!({}), &[]);
    assert_eq!((code, &report["failed"]), (Some(0), &json!(0)), "{report:#}");
    assert_eq!(ended(&report, "left_out"), names(&["job"]), "{report:#}");
    // The same that answers later.
    let (code, report) = endpoint.verify(&json!({ "fault": "jobs" }), &[]);
    assert_eq!((code, &report["failed"], &report["left_out"]), (Some(0), &json!(0), &json!(0)), "{report:#}");
    // The productive system, and who wants nothing posted: the first part alone.
    for (settings, more) in [(json!({ "test_system": false }), &[][..]), (json!({}), &["--read-only"])] {
        let (code, report) = endpoint.verify(&settings, more);
        assert_eq!((code, &report["ok"], &report["left_out"]), (Some(0), &json!(11), &json!(15)), "{report:#}");
    }
    // Some checks post what they need.
    let (code, report) = endpoint.verify(&json!({}), &["--check", "free-key", "key-clash"]);
    assert_eq!((code, ended(&report, "ok")), (Some(0), names(&["free-key", "key-clash"])), "{report:#}");
    let differences = report["differences"].to_string();
    for told in
        ["lane \\\"inbound\\\" posts scan.item", "write lookup = { url = \\\"http://127.0.0.1", "write max_in_flight"]
    {
        assert_eq!(differences.contains(told), !told.contains("max_in_flight"), "{told}: {differences}");
    }
}

#[test]
fn each_breach_of_the_contract_is_caught_by_its_check() {
    if python().is_none() {
        return;
    }
    let all_problems = [
        "wrong-credentials",
        "lookup-too-many",
        "lookup-bad-key",
        "bad-body",
        "wrong-media",
        "other-version",
        "too-many",
    ];
    let posting = [
        "post",
        "repeat",
        "regroup",
        "key-clash",
        "partial",
        "free-key",
        "order",
        "race",
        "broken-off",
        "unknown-members",
        "full-batch",
        "gzip",
    ];
    let with = |more: &[&'static str]| posting.iter().chain(more).copied().collect::<Vec<_>>();
    let without = |less: &[&str]| posting.iter().filter(|name| !less.contains(name)).copied().collect::<Vec<_>>();
    let cases: Vec<(&str, Vec<&str>, &str)> = vec![
        ("discovery-lacks-members", vec!["discovery"], "`limits.max_batch` is missing"),
        ("discovery-is-a-page", vec!["discovery"], "the Content-Type is text/html"),
        ("lets-anyone-ask", vec!["wrong-credentials"], "a lookup with wrong credentials: HTTP 200, not 401"),
        ("lets-the-unnamed-in", vec!["wrong-credentials"], "discovery without credentials: HTTP 200, not 401"),
        ("horizon-is-none", vec!["discovery"], "`dedup_horizon_s` is 0: write a whole number of at least 1, or null"),
        ("lets-anyone-in", vec!["wrong-credentials"], "HTTP 200, not 401"),
        ("unknown-key-is-404", vec!["lookup-absent", "lookup-many"], "HTTP 404"),
        ("lookup-is-cut", vec!["lookup-many"], "there is no result for"),
        ("lookup-without-limit", vec!["lookup-too-many"], "HTTP 200, not 413 too_large"),
        ("bad-key-is-absent", vec!["lookup-bad-key"], "a key that is no UUID: HTTP 200"),
        ("empty-is-refused", vec!["empty-batch"], "HTTP 400"),
        ("bad-body-is-500", vec!["bad-body"], "half a JSON document: HTTP 500"),
        ("any-media", vec!["wrong-media"], "HTTP 200, not 415"),
        ("packed-anyway", vec!["wrong-media"], "a packed body, and gzip is false: HTTP 200, not 415"),
        ("any-version", vec!["other-version"], "HTTP 200, not 400"),
        ("any-version-posts", vec!["other-version"], "a batch: HTTP 200, not 400"),
        ("versions-untold", vec!["other-version"], "no list `versions`"),
        ("job-unknown-is-a-page", vec!["unknown-job"], "text/html"),
        (
            "problems-are-json",
            all_problems.to_vec(),
            "the Content-Type is application/json, not application/problem+json",
        ),
        ("problems-have-no-title", all_problems.to_vec(), "has no `title`"),
        ("problems-have-no-type", all_problems.to_vec(), "the problem's `type` is"),
        ("any-type", vec!["unknown-type", "free-key", "order"], "it is answered posted, not rejected, unknown_tx_type"),
        ("refused-is-present", vec!["unknown-type", "free-key"], "it was refused, and lookup says present"),
        ("no-reference", with(&[]), "without a `reference`"),
        ("no-fingerprint", vec!["post", "key-clash", "partial", "race", "broken-off"], "without a `fingerprint`"),
        ("no-message", vec!["unknown-type", "key-clash", "partial", "free-key", "order"], "without a `message`"),
        ("word-of-its-own", without(&["broken-off"]), "which is no word of the page"),
        ("answers-are-html", with(&["empty-batch", "unknown-type"]), "the Content-Type is text/html"),
        (
            "answers-before-commit",
            vec!["post", "repeat", "regroup", "key-clash", "partial", "race", "order"],
            "it was answered posted, and lookup says absent",
        ),
        ("missing-result", vec!["regroup", "partial", "order", "full-batch"], "there is no result for"),
        ("two-results", with(&["unknown-type"]), "there are two results for"),
        ("result-of-another", with(&["empty-batch", "unknown-type"]), "which was not asked"),
        (
            "repeat-is-rejected",
            vec!["repeat", "regroup", "race", "broken-off", "order"],
            "rejected, bad_state, not duplicate",
        ),
        ("repeat-has-another-reference", vec!["repeat", "regroup", "race", "broken-off"], "its reference is DOC-"),
        ("effect-by-batch", vec!["regroup", "key-clash", "free-key", "order"], "it is answered posted, not duplicate"),
        ("clash-is-duplicate", vec!["key-clash"], "it is answered duplicate, not rejected, key_reused"),
        ("clash-overwrites", vec!["key-clash"], "lookup says the fingerprint"),
        ("all-or-nothing", vec!["partial"], "HTTP 400"),
        ("partial-books-the-bad-one", vec!["partial"], "item 2: it is answered posted, not rejected, malformed"),
        ("refusal-is-remembered", vec!["free-key"], "rejected, bad_state, not posted"),
        ("order-is-ignored", vec!["order"], "item 2: it is answered posted, not retry, lane_blocked"),
        ("booked-is-blocked", vec!["order"], "a booked one behind a bad one of its lane"),
        ("blocked-is-booked", vec!["order"], "it was refused, and lookup says present"),
        ("race-posts-neither", vec!["race"], "both requests are answered duplicate"),
        (
            "full-batches-book-nothing",
            vec!["full-batch"],
            "none of 20 items was posted, the first is rejected, bad_state",
        ),
        ("race-has-no-constraint", vec!["race"], "two effects of one key"),
        (
            "absent-while-at-work",
            vec!["broken-off"],
            "lookup said absent after settle_delay_s, and then it is answered duplicate",
        ),
        ("unknown-members-refused", vec!["unknown-members"], "rejected, malformed, not posted"),
        ("takes-too-many", vec!["too-many"], "HTTP 200, not 413"),
        ("too-many-books-some", vec!["too-many"], "it was refused, and lookup says present"),
        ("long-batches-are-cut", vec!["full-batch"], "(10 for 20 keys)"),
        ("gzip-is-not-unpacked", vec!["gzip"], "HTTP 400"),
        ("job-changes", vec!["job"], "the job's results are others"),
        ("job-is-forgotten", vec!["job", "race"], "HTTP 404"),
        ("jobs-for-anyone", vec!["unknown-job"], "a job with wrong credentials: HTTP 200, not 401"),
        ("job-unknown-is-done", vec!["unknown-job"], "HTTP 200, not 404"),
        ("job-elsewhere", with(&["unknown-type"]), "is on another origin"),
        ("job-without-location", with(&["unknown-type"]), "a 202 comes without a `Location`"),
        ("job-without-saying", vec!["job", "broken-off"], "discovery says that there are no jobs"),
    ];
    // They mostly wait: some at a time.
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let some = cases.chunks(cases.len().div_ceil(4)).map(|some| {
            scope.spawn(move || {
                let mut endpoint = Endpoint::start()?;
                Some(some.iter().flat_map(|case| caught(&mut endpoint, case)).collect::<Vec<_>>())
            })
        });
        let some: Vec<_> = some.collect();
        some.into_iter().flat_map(|some| some.join().expect("no case panics").unwrap_or_default()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with how a fault is caught: by these checks, the first of which says why.
fn caught(endpoint: &mut Endpoint, (fault, checks, why): &(&str, Vec<&str>, &str)) -> Vec<String> {
    // Each of its postings takes seconds.
    let more: &[&str] = if *fault == "absent-while-at-work" { &["--check", "broken-off"] } else { &[] };
    let (code, report) = endpoint.verify(&json!({ "fault": fault }), more);
    let failed = ended(&report, "failed");
    let of = |name: &&str| report["checks"].as_array()?.iter().find(|check| check["check"] == **name);
    let first = checks.iter().find_map(of);
    let said = first.map(|check| check["why"].to_string().replace("\\\"", "\"")).unwrap_or_default();
    let mut wrong = Vec::new();
    if code != Some(1) || failed != names(checks) || !said.contains(why) {
        wrong.push(format!("{fault}: {code:?} {failed:?}, not {checks:?}; {said}, not {why}"));
    }
    let exchanges = first.and_then(|check| check["exchanges"].as_array()).is_some_and(|list| !list.is_empty());
    if !exchanges || first.is_none_or(|check| !check["page"].to_string().contains('#')) {
        wrong.push(format!("{fault}: shows neither what was sent and came, nor where the page is"));
    }
    wrong
}

#[test]
fn an_endpoint_that_is_not_there_is_told_as_such() {
    let (code, report) = verify(&site(&format!("http://127.0.0.1:{}/v1/events", free_port())), &[]);
    assert_eq!(code, Some(69), "{report}");
    assert!(report["error"].to_string().contains("can't be reached: tcp connect error"), "{report}");
    let (code, report) = verify(&site("http://127.0.0.1:9/post"), &[]);
    assert_eq!(code, Some(78), "{report}");
    assert!(report["error"].to_string().contains("does not end with /events"), "{report}");
}

/// The check of that name.
fn check<'r>(report: &'r Value, name: &str) -> &'r Value {
    let checks = report["checks"].as_array().expect("a list of checks");
    checks.iter().find(|check| check["check"] == name).unwrap_or(&Value::Null)
}

#[test]
fn credentials_of_ours_that_are_refused_are_told_once_and_prove_nothing_of_wrong_ones() {
    let Some(mut endpoint) = Endpoint::start() else { return };
    for more in [&[][..], &["--check", "wrong-credentials"]] {
        let (code, report) = endpoint.verify(&json!({ "fault": "refuses-us" }), more);
        assert_eq!((code, ended(&report, "failed")), (Some(1), names(&["discovery"])), "{report:#}");
        let why = check(&report, "discovery")["why"].to_string();
        assert!(why.contains("our own credentials are refused (bearer_file /") && why.contains("HTTP 401"), "{why}");
        assert_eq!(check(&report, "wrong-credentials")["end"], "left_out", "{report:#}");
    }
    let (code, report) = endpoint.verify(&json!({ "fault": "lookups-refuse-us" }), &["--check", "wrong-credentials"]);
    let check = check(&report, "wrong-credentials");
    assert_eq!((code, &check["end"]), (Some(1), &json!("failed")), "{report:#}");
    assert!(check["why"].to_string().contains("a lookup with our own credentials: HTTP 401 as well"), "{check}");
}

#[test]
fn a_token_server_that_refuses_us_is_there() {
    let Some(mut endpoint) = Endpoint::start() else { return };
    let auth = format!(
        "auth = {{ token_url = \"http://127.0.0.1:{}/token\", client_id = \"gw\", client_secret_file = \"token\" }}",
        endpoint.erp.port
    );
    endpoint.site = endpoint.site.target_keys(&auth);
    let (code, report) = endpoint.verify(&json!({}), &[]);
    let why = report["error"].to_string();
    assert!(code == Some(1) && why.contains("our own credentials are refused: no token from http://127"), "{report:#}");
}

#[test]
fn an_endpoint_that_asks_to_be_left_alone_for_long_is_left_alone() {
    let Some(mut endpoint) = Endpoint::start() else { return };
    let (code, report) = endpoint.verify(&json!({ "fault": "leave-us-alone" }), &[]);
    assert_eq!((code, &report["failed"], &report["retry_after"]), (Some(69), &json!(0), &json!("3600")), "{report:#}");
    assert_eq!((ended(&report, "ok"), &report["left_out"]), (names(&["discovery"]), &json!(25)), "{report:#}");
    let (code, report) = endpoint.verify(&json!({ "fault": "wait-a-second" }), &["--read-only"]);
    assert_eq!((code, &report["ok"], &report["put_off"]), (Some(0), &json!(11), &json!(false)), "{report:#}");
}
