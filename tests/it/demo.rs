//! The demo's verdict, and that it can be bad: each broken peer must end it with 1 and the right count.

use serde_json::Value;

use crate::world::{note, run_to_end};

/// Runs the demo; its exit code and the object of its last line.
fn demo(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run_to_end(&[&["demo", "--json", "--duration", "8s"], arguments].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let verdict = out.lines().last().and_then(|line| serde_json::from_str(line).ok());
    (output.status.code(), verdict.unwrap_or_else(|| panic!("no verdict on the last line:\n{out}\n{err}")))
}

fn count(verdict: &Value, name: &str) -> i64 {
    verdict[name].as_i64().unwrap_or_else(|| panic!("no {name} in {verdict}"))
}

#[test]
fn the_demo_ends_with_nothing_lost_doubled_or_out_of_order() {
    let (exit, verdict) = demo(&["--outage", "every=4s,for=2s"]);
    assert_eq!(exit, Some(0), "{verdict}");
    for fault in ["lost", "duplicate_effects", "out_of_order"] {
        assert_eq!(count(&verdict, fault), 0, "{verdict}");
    }
    assert!(count(&verdict, "produced") > 100 && count(&verdict, "kills") > 0, "{verdict}");
    assert_eq!(count(&verdict, "posted"), count(&verdict, "produced"), "{verdict}");
    note("FIGURE", &format!("demo: {verdict}"));
}

#[test]
fn a_sabotaged_demo_ends_with_1_and_the_right_count() {
    let cases = [("erp-forgets-keys", "duplicate_effects"), ("plc-skips", "lost"), ("broker-drops", "lost")];
    for (sabotage, fault) in cases {
        let (exit, verdict) = demo(&["--sabotage", sabotage]);
        assert_eq!(exit, Some(1), "{sabotage}: {verdict}");
        assert!(count(&verdict, fault) > 0, "{sabotage}: {verdict}");
        for other in ["lost", "duplicate_effects"].iter().filter(|other| **other != fault) {
            assert_eq!(count(&verdict, other), 0, "{sabotage}: {verdict}");
        }
        note("FIGURE", &format!("demo with {sabotage}: {verdict}"));
    }
}

#[test]
fn a_demo_of_another_gateway_judges_that_one() {
    let (exit, verdict) = demo(&["--gateway", "/bin/false"]);
    assert_eq!(exit, Some(1), "{verdict}");
    assert_eq!((count(&verdict, "crashes"), count(&verdict, "posted")), (5, 0), "{verdict}");
}
