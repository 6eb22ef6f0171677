use super::*;
use crate::lane::Category;
use crate::outbox::read::Held;
use crate::outbox::read::find::{Behind, Delivery, Event, Rest};
use crate::outbox::read::parked::Deed;
use crate::outbox::read::trace::{Attempt, Followed};

const NOW: Millis = Millis(1_795_701_600_000);

/// An event of shipment SH-88121, so many minutes ago.
fn event(seq: i64, kind: &str, ago: i64, deliveries: Vec<Followed>) -> Traced {
    let at = NOW.0 - ago * 60_000;
    let raw = format!(r#"{{"barcode":"SH-88121","seq":{seq}}}"#).into_bytes();
    let event = Event {
        seq,
        id: "8be34a6d-183b-8ac9-9dc5-8bef23c21648".to_owned(),
        kind: kind.to_owned(),
        subject: "shipment/SH-88121".to_owned(),
        occurred_at: at,
        time_quality: "synced".to_owned(),
        device_time: None,
        recorded_at: at + 4,
        device: "DOCK-3".to_owned(),
        epoch: "d:5A31".to_owned(),
        number: seq.to_string(),
        map: "dock@2".to_owned(),
        length: i64::try_from(raw.len()).ok(),
        raw,
        deliveries,
    };
    Traced { event, ordinal: 0, fields: serde_json::json!({ "shipment": "SH-88121", "line": 10 }) }
}

fn posting(tx_type: &str, state: &'static str, ago: i64) -> Followed {
    let (lane, system, tx_type) = ("outbound".to_owned(), "erp".to_owned(), tx_type.to_owned());
    let key = "5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1".to_owned();
    let delivery =
        Delivery { lane, system, tx_type, state, key, since: Some(NOW.0 - ago * 60_000), ..Delivery::default() };
    let traceparent = "00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01".to_owned();
    Followed { delivery, short_ref: "FGBNFNRZDZDT3SMD".to_owned(), traceparent, ..Followed::default() }
}

fn tried(n: usize, ago: i64, status: Option<u16>, class: &str, reason: Option<&str>) -> Attempt {
    let sent = NOW.0 - ago * 60_000;
    Attempt {
        n,
        attempt: 1,
        batch: 7,
        sent_at: Some(sent),
        answered_at: Some(sent + 31),
        status,
        class: class.to_owned(),
        reason: reason.map(str::to_owned),
        next_at: (status == Some(503)).then_some(sent + 60_000),
        ..Attempt::default()
    }
}

fn found(events: Vec<Traced>) -> Trace {
    let (history_since, attempts_since) = (Some(NOW.0 - 86_400_000), None);
    Trace { events, looked_at: 3, more: false, within: false, history_since, attempts_since }
}

fn shipment() -> Trace {
    let picked = Followed {
        how: Some("first"),
        attempts: vec![
            tried(1, 90, Some(503), "unknown", Some("the ERP is not available (HTTP 503)")),
            tried(2, 89, None, "transient", Some("not sent: refused")),
            tried(3, 88, None, "transient", Some("not sent: refused")),
            tried(4, 60, None, "transient", Some("not sent: refused")),
            tried(5, 59, Some(200), "delivered", None),
        ],
        ..posting("pick_confirm", "delivered", 59)
    };
    let picked = Followed { delivery: Delivery { reference: Some("PICK-7".to_owned()), ..picked.delivery }, ..picked };
    let packed = Followed { how: Some("duplicate"), ..posting("pack_confirm", "delivered", 50) };
    let refused = Followed {
        category: Some(Category::ShipmentBlocked),
        sentence: Some("erp refused the goods issue of shipment/SH-88121: order_on_hold.".to_owned()),
        answer: Some("{\"results\":[]}".to_owned()),
        attempts: vec![tried(1, 12, Some(200), "validation", Some("the ERP says: order_on_hold"))],
        deeds: vec![Deed {
            at: NOW.0 - 30 * 60_000,
            actor: "anna".to_owned(),
            act: "retry".to_owned(),
            lane: "outbound".to_owned(),
            subject: "shipment/SH-88121".to_owned(),
            key: String::new(),
            reason: "hold cleared".to_owned(),
            outcome: "in line again under its key".to_owned(),
            request: "r1".to_owned(),
            seq: 4711,
        }],
        successors: 2,
        first_successors: vec![9, 12],
        ..posting("goods_issue", "rejected", 12)
    };
    let reason = Some("validation: the ERP says: order_on_hold".to_owned());
    let refused = Followed { delivery: Delivery { reason, ..refused.delivery }, ..refused };
    let behind = Some(Behind { seq: 5, state: "rejected", reason: None });
    let later = posting("label", "ready", 10);
    let later = Followed { delivery: Delivery { behind, since: None, ..later.delivery }, ..later };
    found(vec![
        event(2, "pick_confirmed", 90, vec![picked]),
        event(3, "packed", 51, vec![packed]),
        event(5, "shipped", 40, vec![refused]),
        event(9, "labelled", 11, vec![later]),
    ])
}

#[test]
fn an_analyst_sees_the_whole_way_and_where_it_stands() {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone of the bundled table");
    insta::assert_snapshot!(text(&shipment(), "SH-88121", Path::new("/data"), &zone, NOW), @r#"
    Shipment SH-88121: picked, packed; goods issue refused by erp 12 min ago because order_on_hold; 2 later events wait behind it.

    #2 pick_confirmed shipment/SH-88121
      happened   2026-11-26 13:30:00.000 +01:00 (synced)
      stored     2026-11-26 13:30:00.004 +01:00, 89 min ago
      from       DOCK-3 number 2 of epoch d:5A31
      sample     30 bytes: {"barcode":"SH-88121","seq":2}
      read with  dock@2
      fields     shipment = SH-88121, line = 10
      event      8be34a6d-183b-8ac9-9dc5-8bef23c21648

      outbound -> erp as pick_confirm: delivered 2026-11-26 14:01:00.000 +01:00, 59 min ago
        reference  PICK-7
        key        5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 FGBNFNRZDZDT3SMD
        trace      00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01
        attempts
          1       2026-11-26 13:30:00.000 +01:00  31 ms  HTTP 503  unknown: the ERP is not available (HTTP 503); again 13:31:00.000
          2 to 4  2026-11-26 13:31:00.000 +01:00         -         the last 14:00:00.000; each: transient: not sent: refused
          5       2026-11-26 14:01:00.000 +01:00  31 ms  HTTP 200  delivered

    #3 packed shipment/SH-88121
      happened   2026-11-26 14:09:00.000 +01:00 (synced)
      stored     2026-11-26 14:09:00.004 +01:00, 50 min ago
      from       DOCK-3 number 3 of epoch d:5A31
      sample     30 bytes: {"barcode":"SH-88121","seq":3}
      read with  dock@2
      fields     shipment = SH-88121, line = 10
      event      8be34a6d-183b-8ac9-9dc5-8bef23c21648

      outbound -> erp as pack_confirm: delivered 2026-11-26 14:10:00.000 +01:00, 50 min ago; erp had it already (duplicate)
        key        5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 FGBNFNRZDZDT3SMD
        trace      00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01

    #5 shipped shipment/SH-88121
      happened   2026-11-26 14:20:00.000 +01:00 (synced)
      stored     2026-11-26 14:20:00.004 +01:00, 39 min ago
      from       DOCK-3 number 5 of epoch d:5A31
      sample     30 bytes: {"barcode":"SH-88121","seq":5}
      read with  dock@2
      fields     shipment = SH-88121, line = 10
      event      8be34a6d-183b-8ac9-9dc5-8bef23c21648

      outbound -> erp as goods_issue: rejected 2026-11-26 14:48:00.000 +01:00, 12 min ago
        why        erp refused the goods issue of shipment/SH-88121: order_on_hold. (shipment_blocked)
        answer     {"results":[]}
        key        5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 FGBNFNRZDZDT3SMD
        trace      00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01
        behind it  2: #9 #12
        by hand    2026-11-26 14:30:00.000 +01:00 anna: retry: hold cleared: in line again under its key
        attempts
          1  2026-11-26 14:48:00.000 +01:00  31 ms  HTTP 200  validation: the ERP says: order_on_hold

    #9 labelled shipment/SH-88121
      happened   2026-11-26 14:49:00.000 +01:00 (synced)
      stored     2026-11-26 14:49:00.004 +01:00, 10 min ago
      from       DOCK-3 number 9 of epoch d:5A31
      sample     30 bytes: {"barcode":"SH-88121","seq":9}
      read with  dock@2
      fields     shipment = SH-88121, line = 10
      event      8be34a6d-183b-8ac9-9dc5-8bef23c21648

      outbound -> erp as label: ready, behind #5 of its subject, which is rejected
        key        5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 FGBNFNRZDZDT3SMD
        trace      00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01
    "#);
}

#[test]
fn json_tells_the_same_facts() {
    let told: serde_json::Value = serde_json::from_str(&json(&shipment(), NOW)).expect("it is JSON");
    let refused = &told["events"][2]["deliveries"][0];
    assert_eq!((&refused["category"], &refused["successors"]), (&"shipment_blocked".into(), &2.into()));
    assert_eq!((&refused["deeds"][0]["actor"], &refused["attempts"][0]["status"]), (&"anna".into(), &200.into()));
    assert_eq!(told["events"][0]["text"], r#"{"barcode":"SH-88121","seq":2}"#);
    assert_eq!(told["events"][0]["fields"]["line"], 10);
    assert!(refused.get("place").is_none(), "rows are the outbox's own matter");
}

fn hold(scope: &str) -> Held {
    let (scope, name, actor) = (scope.to_owned(), "outbound".to_owned(), "root".to_owned());
    Held { scope, name, at: NOW.0 - 3_000, actor, reason: "stock count".to_owned() }
}

#[test]
fn a_sentence_says_where_each_lane_is() {
    let one = |posting| summary::sentences(&found(vec![event(1, "counted", 5, vec![posting])]), NOW).remove(0);
    let with = |state, more: fn(&mut Delivery)| {
        let mut posting = posting("stock_count", state, 3);
        more(&mut posting.delivery);
        one(posting)
    };
    let mut refused = posting("stock_count", "rejected", 3);
    refused.delivery.reason = Some("validation: the ERP says: There is no item A.".to_owned());
    let told = [
        with("delivered", |_| {}),
        one(Followed { how: Some("manual"), ..posting("scan.item", "delivered", 3) }),
        with("skipped", |_| {}),
        with("sending", |_| {}),
        with("unknown", |_| {}),
        with("sending", |told| told.rest(Rest::Ended)),
        with("unknown", |told| told.rest(Rest::Ended)),
        with("sending", |told| told.rest(Rest::Copy)),
        with("unknown", |told| (told.hold, told.rest) = (Some(hold("lane")), Some(Rest::Ended))),
        with("unknown", |told| told.hold = Some(hold("subject"))),
        with("waiting", |told| {
            (told.reason, told.hold) = (Some("transient: locked".to_owned()), Some(hold("subject")));
        }),
        with("waiting", |told| {
            (told.next_at, told.reason) = (Some(NOW.0 - 1), Some("transient: locked".to_owned()));
            told.rest(Rest::Ended);
        }),
        with("accepted", |told| told.rest(Rest::Ended)),
        with("accepted", |told| told.rest(Rest::Copy)),
        with("waiting", |told| {
            (told.next_at, told.reason) = (Some(NOW.0 + 20_000), Some("transient: the ERP says: locked".to_owned()));
        }),
        with("accepted", |told| told.next_at = Some(NOW.0 + 20_000)),
        with("held", |told| told.reason = Some("a repeat".to_owned())),
        with("rejected", |told| (told.maybe_posted, told.reason) = (true, Some("unresolvable: too old".to_owned()))),
        with("rejected", |told| told.reason = Some("validation: the ERP says: Which item?".to_owned())),
        one(Followed { successors: 2, ..refused }),
        with("ready", |told| told.lane_stopped = true),
        with("ready", |_| {}),
        with("ready", |told| told.hold = Some(hold("lane"))),
        summary::sentences(&found(vec![event(1, "counted", 5, Vec::new())]), NOW).remove(0),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
    Shipment SH-88121: counted; nothing is open, the last was 3 min ago.
    Shipment SH-88121: scan item booked by hand; nothing is open, the last was 3 min ago.
    Shipment SH-88121: taken out; nothing is open, the last was 3 min ago.
    Shipment SH-88121: stock count was sent to erp 3 min ago, and is not answered yet.
    Shipment SH-88121: nobody knows yet whether the stock count is in erp: it was last sent 3 min ago, and goes again by itself under its key.
    Shipment SH-88121: nobody knows yet whether the stock count is in erp: it was last sent 3 min ago, and no gateway runs: one that is started looks it up, or sends it again under its key; the gateway ended before an answer came.
    Shipment SH-88121: nobody knows yet whether the stock count is in erp: it was last sent 3 min ago, and no gateway runs: one that is started looks it up, or sends it again under its key.
    Shipment SH-88121: nobody knows yet whether the stock count is in erp: it was last sent 3 min ago, and nothing newer is known here: this is a copy, or the gateway has ended; no answer is here.
    Shipment SH-88121: nobody knows yet whether the stock count is in erp: it was last sent 3 min ago; lane outbound: HELD by root 3 s ago: stock count.
    Shipment SH-88121: nobody knows yet whether the stock count is in erp: it was last sent 3 min ago, and goes again by itself under its key; subject outbound: HELD by root 3 s ago: stock count.
    Shipment SH-88121: stock count goes to erp again when it is released, in vain so far: locked.
    Shipment SH-88121: stock count goes to erp again at the next start, in vain so far: locked.
    Shipment SH-88121: erp has taken stock count over 3 min ago and not booked it yet: it is asked at the next start.
    Shipment SH-88121: erp has taken stock count over 3 min ago and not booked it yet: it is asked.
    Shipment SH-88121: stock count goes to erp again in 20 s, in vain so far: locked.
    Shipment SH-88121: erp has taken stock count over 3 min ago and not booked it yet: it is asked in 20 s.
    Shipment SH-88121: stock count is held: a repeat.
    Shipment SH-88121: nobody knows whether the stock count is in erp, a person decides: unresolvable: too old.
    Shipment SH-88121: stock count refused by erp 3 min ago because Which item?
    Shipment SH-88121: stock count refused by erp 3 min ago because There is no item A; 2 later events wait behind it.
    Shipment SH-88121: stock count waits: lane outbound has STOPPED, too many subjects are parked.
    Shipment SH-88121: stock count is in line for erp.
    Shipment SH-88121: stock count is in line for erp; lane outbound: HELD by root 3 s ago: stock count.
    Shipment SH-88121: kept, and not posted: no lane took it when it was stored.
    ");
}

#[test]
fn what_the_target_has_taken_over_is_not_in_line() {
    let delivery = Delivery { next_at: Some(NOW.0 + 20_000), ..posting("stock_count", "accepted", 3).delivery };
    let accepted = Followed { delivery, ..posting("stock_count", "accepted", 3) };
    let told = text(&found(vec![event(1, "counted", 5, vec![accepted])]), "1", Path::new("/data"), &TimeZone::UTC, NOW);
    assert!(told.contains("taken over by the target") && told.contains("again 2026-11-26"), "{told}");
    assert!(!told.contains("ready"), "{told}");
}

#[test]
fn nothing_found_tells_where_it_was_looked_and_since_when() {
    let told = text(&found(Vec::new()), "X\x1b[2J", Path::new("/data"), &TimeZone::UTC, NOW);
    insta::assert_snapshot!(told, @r"
    nothing of X�[2J is kept in /data
      3 events were looked at; what is kept reaches back to 2026-11-25 14:00:00.000 +00:00
      looked for as: id of an event or batch, key of a posting, subject, barcode, reference of the ERP, value of a field, bytes that came
      what could not be read has no subject: `floorgate outbox bad` shows it
    ");
}

#[test]
fn the_requests_are_named_by_which_the_target_may_have_logged_them() {
    let sent = |n, id: &str| Attempt { batch_id: Some(id.to_owned()), ..tried(n, 5, None, "unheard", None) };
    let attempts = vec![sent(1, "first"), sent(2, "second"), sent(3, "third"), sent(4, "third"), sent(5, "last")];
    let sending = Followed { attempts, ..posting("stock_count", "sending", 3) };
    let told = text(&found(vec![event(1, "counted", 5, vec![sending])]), "1", Path::new("/data"), &TimeZone::UTC, NOW);
    let requests: Vec<&str> =
        told.lines().filter_map(|line| line.trim().strip_prefix("request")).map(str::trim).collect();
    assert_eq!(requests, ["second (attempt 2)", "third (attempts 3 to 4)", "last (attempt 5)"]);
}

#[test]
fn an_attempt_is_told_with_the_key_that_it_went_under() {
    let mut refused = tried(1, 5, Some(200), "validation", Some("the ERP says: bad_quantity"));
    refused.key = Some("26e38610-f6eb-8962-b27a-e6e860dbf94f".to_owned());
    let attempts = vec![refused, tried(2, 3, Some(200), "delivered", None)];
    let corrected = Followed { attempts, ..posting("stock_count", "delivered", 3) };
    let told =
        text(&found(vec![event(1, "counted", 5, vec![corrected])]), "1", Path::new("/data"), &TimeZone::UTC, NOW);
    let (_, attempts) = told.split_once("    attempts").expect("there are some");
    insta::assert_snapshot!(attempts, @r"
     under its key before, 26e38610-f6eb-8962-b27a-e6e860dbf94f
          1  2026-11-26 13:55:00.000 +00:00  31 ms  HTTP 200  validation: the ERP says: bad_quantity
        attempts
          2  2026-11-26 13:57:00.000 +00:00  31 ms  HTTP 200  delivered
    ");
}
