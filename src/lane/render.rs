//! The body of a batch: a pure function of stored columns, pinned by its version.
//!
//! Everything is written straight into one buffer. Text is escaped as JSON; `data` is JSON already and goes in as it
//! is, so whoever stores it answers for its validity, and for its being on one line.

mod odata;
mod suitetalk;

pub(super) use odata::GROUP;

use std::fmt;
use std::io::Write as _;

use crate::event::{Id, Millis, content_hash, traceparent};

/// The version of the renderer. A batch is resent with the version it was first sent with: change the bytes of any
/// format only under a new number, and keep the old one. A golden test holds the bytes.
pub const RENDERER: u16 = 2;

/// What tells whether two postings under one key are the same: SHA-256 over transaction type, time and data, in hex.
pub fn fingerprint(p: &Posting) -> String {
    content_hash(&[&p.tx_type, &p.occurred_at.to_string(), &p.data])
}

/// How a batch's body is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A JSON array, or with `wrap` an object that holds it: `{"events":[…]}`.
    JsonArray {
        /// Name of the member that holds the array.
        wrap: Option<String>,
    },
    /// One JSON object a line.
    Ndjson,
    /// CloudEvents 1.0 batch: `application/cloudevents-batch+json`.
    CloudEvents,
    /// An OData 4.01 JSON batch: one POST for each posting, all of one atomicity group.
    OData {
        /// Where each is posted, from the service's root; `{subject}` and `{tx_type}` stand for the posting's own.
        resource: String,
        /// The member of a posting's data whose text goes as its `If-Match`.
        if_match: Option<String>,
    },
    /// A collection of SuiteTalk REST: a record for each posting, whose external id is the posting's key.
    SuiteTalk {
        /// Fields of the record, and where each one's value stands in the posting's item (JSON Pointer).
        fields: Vec<(String, String)>,
    },
}

impl Format {
    /// The `Content-Type` of a body.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::JsonArray { .. } | Self::OData { .. } => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::CloudEvents => "application/cloudevents-batch+json",
            Self::SuiteTalk { .. } => "application/vnd.oracle.resource+json; type=collection",
        }
    }
}

/// One row of a batch: everything the renderer may use. Nothing of it changes after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The posting's key.
    pub key: Id,
    /// The event.
    pub event: Id,
    /// Raw kind: `scan.carton`.
    pub kind: String,
    /// Transaction type.
    pub tx_type: String,
    /// Site id.
    pub site: String,
    /// Device of the key, or the rule that derived it.
    pub device: String,
    /// What orders it: `dc1/main/outbound/395212345000000125`.
    pub order_key: String,
    /// The event's subject.
    pub subject: String,
    /// When it happened, as best the gateway knows.
    pub occurred_at: Millis,
    /// Quality of that: `synced`, `unsynced` …
    pub time_quality: String,
    /// Epoch text of the source.
    pub epoch: String,
    /// Sequence text of the source.
    pub seq: String,
    /// Commit order.
    pub commit_seq: i64,
    /// The event's data: a JSON object on one line.
    pub data: String,
}

/// Bytes of names and punctuation around an item's text: enough for each format.
const AROUND_ITEM: usize = 700;

/// The body of a batch, as that version of the renderer writes it: [`RENDERER`], or an older one that a batch began with.
pub fn render(version: u16, format: &Format, postings: &[Posting]) -> Vec<u8> {
    let item: fn(&mut Vec<u8>, &Posting) = if version < 2 { item_1 } else { item_2 };
    let mut out = Vec::with_capacity(16 + postings.iter().map(size).sum::<usize>());
    match format {
        Format::JsonArray { wrap: None } => array(&mut out, postings, item),
        Format::JsonArray { wrap: Some(name) } => {
            out.push(b'{');
            text(&mut out, name);
            out.push(b':');
            array(&mut out, postings, item);
            out.push(b'}');
        }
        Format::Ndjson => {
            for posting in postings {
                item(&mut out, posting);
                out.push(b'\n');
            }
        }
        Format::CloudEvents => array(&mut out, postings, cloud_event),
        Format::OData { resource, if_match } => {
            out.extend_from_slice(b"{\"requests\":");
            array(&mut out, postings, |out, p| odata::request(out, p, resource, if_match.as_deref(), item));
            out.push(b'}');
        }
        Format::SuiteTalk { fields } => {
            out.extend_from_slice(b"{\"items\":");
            array(&mut out, postings, |out, p| suitetalk::record(out, p, fields, item));
            out.push(b'}');
        }
    }
    out
}

/// What a posting takes in a body, in bytes: a little more than the truth, short of it only where text needs escaping.
pub fn size(posting: &Posting) -> usize {
    let p = posting;
    let texts = [&p.kind, &p.kind, &p.tx_type, &p.site, &p.device, &p.order_key, &p.subject, &p.time_quality];
    let rest = [&p.epoch, &p.seq, &p.data];
    AROUND_ITEM + texts.into_iter().chain(rest).map(String::len).sum::<usize>()
}

fn array(out: &mut Vec<u8>, postings: &[Posting], one: impl Fn(&mut Vec<u8>, &Posting)) {
    out.push(b'[');
    for (i, posting) in postings.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        one(out, posting);
    }
    out.push(b']');
}

fn item_1(out: &mut Vec<u8>, p: &Posting) {
    named(out, p);
    data(out, p);
}

/// With what the content is known by again, and what a log is searched for.
fn item_2(out: &mut Vec<u8>, p: &Posting) {
    named(out, p);
    put(out, format_args!(",\"fingerprint\":\"{}\"", fingerprint(p)));
    trace(out, p);
    data(out, p);
}

fn named(out: &mut Vec<u8>, p: &Posting) {
    put(out, format_args!("{{\"key\":\"{}\",\"id\":\"{}\"", p.key, p.event));
    member(out, "kind", &p.kind);
    member(out, "tx_type", &p.tx_type);
    member(out, "lane", &p.order_key);
    member(out, "source", &source(p));
    member(out, "subject", &p.subject);
    put(out, format_args!(",\"time\":\"{}\"", p.occurred_at));
    member(out, "time_quality", &p.time_quality);
    member(out, "epoch", &p.epoch);
    member(out, "seq", &p.seq);
}

/// W3C trace context: the trace is the event's id. The attempt in a body is always 1: a resend is byte-identical.
fn trace(out: &mut Vec<u8>, p: &Posting) {
    put(out, format_args!(",\"traceparent\":\"{}\"", traceparent(p.event, p.key, 1)));
}

/// CloudEvents 1.0, structured. An empty subject is left out: the standard wants text or nothing.
fn cloud_event(out: &mut Vec<u8>, p: &Posting) {
    put(out, format_args!("{{\"specversion\":\"1.0\",\"id\":\"{}\"", p.event));
    member(out, "source", &source(p));
    member(out, "type", &format!("org.floorgate.{}.v1", p.kind));
    if !p.subject.is_empty() {
        member(out, "subject", &p.subject);
    }
    put(out, format_args!(",\"time\":\"{}\",\"datacontenttype\":\"application/json\"", p.occurred_at));
    trace(out, p);
    member(out, "partitionkey", &p.order_key);
    put(out, format_args!(",\"sequence\":\"{:016}\",\"fgkey\":\"{}\"", p.commit_seq, p.key));
    member(out, "fgepoch", &p.epoch);
    member(out, "fgseq", &p.seq);
    member(out, "fgtimequality", &p.time_quality);
    data(out, p);
}

fn source(p: &Posting) -> String {
    format!("/sites/{}/devices/{}", p.site, p.device)
}

fn data(out: &mut Vec<u8>, p: &Posting) {
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(p.data.as_bytes());
    out.push(b'}');
}

/// `,"name":"value"`, the value escaped.
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    put(out, format_args!(",\"{name}\":"));
    text(out, value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("text always becomes JSON, and a Vec takes every write");
}

fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::event::{device_event_id, posting_id};

    const PINNED: &str = "a batch is resent byte for byte, after upgrades too: change bytes only under a new RENDERER number, keeping the old";

    fn posting(seq: i64, subject: &str) -> Posting {
        let event = device_event_id("HAM1", "CONV-07", "d:5A31", &seq.to_string(), 0);
        Posting {
            key: posting_id(event, "erp", "divert.confirmed", 0),
            event,
            kind: "divert.confirmed".into(),
            tx_type: "divert.confirmed".into(),
            site: "HAM1".into(),
            device: "CONV-07".into(),
            order_key: format!("HAM1/DE10/outbound/{subject}"),
            subject: subject.into(),
            occurred_at: Millis(1_763_906_709_412),
            time_quality: "synced".into(),
            epoch: "d:5A31".into(),
            seq: seq.to_string(),
            commit_seq: 482_113,
            data: r#"{"lane":4,"result":"confirmed","sscc":"340123450000000017"}"#.into(),
        }
    }

    fn golden(version: u16, format: &Format, expected: &str) {
        let body = String::from_utf8(render(
            version,
            format,
            &[posting(18_211, "340123450000000017"), posting(18_212, "SH \"2\"")],
        ))
        .unwrap();
        assert_eq!(body, expected, "{PINNED}");
    }

    const ITEM_1: &str = concat!(
        r#"{"key":"b7e63e45-a9b6-8986-9293-45b1dd06529c","id":"8be34a6d-183b-8ac9-9dc5-8bef23c21648","kind":"divert.confirmed","#,
        r#""tx_type":"divert.confirmed","lane":"HAM1/DE10/outbound/340123450000000017","source":"/sites/HAM1/devices/CONV-07","subject":"340123450000000017","#,
        r#""time":"2025-11-23T14:05:09.412Z","time_quality":"synced","epoch":"d:5A31","seq":"18211","#,
        r#""data":{"lane":4,"result":"confirmed","sscc":"340123450000000017"}}"#,
    );
    const ITEM_2: &str = concat!(
        r#"{"key":"1896b6bb-082f-8bc7-a078-5ad838fed5c5","id":"4aa14e25-8a1e-874e-ad88-fc0aac323a10","kind":"divert.confirmed","#,
        r#""tx_type":"divert.confirmed","lane":"HAM1/DE10/outbound/SH \"2\"","source":"/sites/HAM1/devices/CONV-07","subject":"SH \"2\"","#,
        r#""time":"2025-11-23T14:05:09.412Z","time_quality":"synced","epoch":"d:5A31","seq":"18212","#,
        r#""data":{"lane":4,"result":"confirmed","sscc":"340123450000000017"}}"#,
    );
    const CLOUD_1: &str = concat!(
        r#"{"specversion":"1.0","id":"8be34a6d-183b-8ac9-9dc5-8bef23c21648","source":"/sites/HAM1/devices/CONV-07","#,
        r#""type":"org.floorgate.divert.confirmed.v1","subject":"340123450000000017","time":"2025-11-23T14:05:09.412Z","#,
        r#""datacontenttype":"application/json","traceparent":"00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01","#,
        r#""partitionkey":"HAM1/DE10/outbound/340123450000000017","sequence":"0000000000482113","#,
        r#""fgkey":"b7e63e45-a9b6-8986-9293-45b1dd06529c","fgepoch":"d:5A31","fgseq":"18211","fgtimequality":"synced","#,
        r#""data":{"lane":4,"result":"confirmed","sscc":"340123450000000017"}}"#,
    );
    const CLOUD_2: &str = concat!(
        r#"{"specversion":"1.0","id":"4aa14e25-8a1e-874e-ad88-fc0aac323a10","source":"/sites/HAM1/devices/CONV-07","#,
        r#""type":"org.floorgate.divert.confirmed.v1","subject":"SH \"2\"","time":"2025-11-23T14:05:09.412Z","#,
        r#""datacontenttype":"application/json","traceparent":"00-4aa14e258a1e874ead88fc0aac323a10-82547fd59d4196c7-01","#,
        r#""partitionkey":"HAM1/DE10/outbound/SH \"2\"","sequence":"0000000000482113","#,
        r#""fgkey":"1896b6bb-082f-8bc7-a078-5ad838fed5c5","fgepoch":"d:5A31","fgseq":"18212","fgtimequality":"synced","#,
        r#""data":{"lane":4,"result":"confirmed","sscc":"340123450000000017"}}"#,
    );

    #[test]
    fn renderer_1_writes_these_bytes_of_a_json_array() {
        golden(1, &Format::JsonArray { wrap: None }, &format!("[{ITEM_1},{ITEM_2}]"));
        golden(1, &Format::JsonArray { wrap: Some("events".into()) }, &format!(r#"{{"events":[{ITEM_1},{ITEM_2}]}}"#));
    }

    #[test]
    fn renderer_1_writes_these_bytes_of_ndjson() {
        golden(1, &Format::Ndjson, &format!("{ITEM_1}\n{ITEM_2}\n"));
    }

    #[test]
    fn renderer_1_writes_these_bytes_of_cloud_events() {
        golden(1, &Format::CloudEvents, &format!("[{CLOUD_1},{CLOUD_2}]"));
    }

    /// SHA-256 over type, time and data, each behind its length as 4 bytes, reckoned by another program.
    const MORE_1: &str = concat!(
        r#""fingerprint":"007cadf7605871d0472d97ab8b5d4f37c774a8cb93cf19f9ba6c9de5b8124207","#,
        r#""traceparent":"00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01""#,
    );
    const MORE_2: &str = concat!(
        r#""fingerprint":"007cadf7605871d0472d97ab8b5d4f37c774a8cb93cf19f9ba6c9de5b8124207","#,
        r#""traceparent":"00-4aa14e258a1e874ead88fc0aac323a10-82547fd59d4196c7-01""#,
    );

    /// The same items with fingerprint and trace before their data.
    #[test]
    fn renderer_2_writes_these_bytes_of_items() {
        let with = |item: &str, more: &str| item.replace(r#","data":"#, &format!(r#",{more},"data":"#));
        let (one, two) = (with(ITEM_1, MORE_1), with(ITEM_2, MORE_2));
        golden(2, &Format::JsonArray { wrap: Some("events".into()) }, &format!(r#"{{"events":[{one},{two}]}}"#));
        golden(2, &Format::Ndjson, &format!("{one}\n{two}\n"));
        golden(2, &Format::CloudEvents, &format!("[{CLOUD_1},{CLOUD_2}]"));
    }

    #[test]
    fn renderer_2_writes_these_bytes_of_an_odata_batch() {
        let format = Format::OData { resource: "Deliveries('{subject}')/post".into(), if_match: Some("etag".into()) };
        let tagged = Posting { data: r#"{"etag":"W/\"7\""}"#.into(), ..posting(18_212, "SH '2'") };
        let body = String::from_utf8(render(2, &format, &[posting(18_211, "340123450000000017"), tagged])).unwrap();
        let (head, rest) = body.split_once(r#""body":{"#).unwrap();
        let first = concat!(
            r#"{"requests":[{"id":"b7e63e45-a9b6-8986-9293-45b1dd06529c","atomicityGroup":"all","method":"POST","#,
            r#""url":"Deliveries('340123450000000017')/post","headers":{"content-type":"application/json"},"#,
        );
        assert_eq!(head, first, "{PINNED}");
        let second = concat!(
            r#""340123450000000017"}}},{"id":"1896b6bb-082f-8bc7-a078-5ad838fed5c5","atomicityGroup":"all","method":"POST","#,
            r#""url":"Deliveries('SH%20%27%272%27%27')/post","headers":{"content-type":"application/json","if-match":"W/\"7\""},"#,
        );
        assert!(rest.contains(second), "{PINNED}: {rest}");
        assert!(rest.ends_with("}}]}"), "{rest}");
    }

    #[test]
    fn renderer_2_writes_these_bytes_of_a_collection() {
        let field = |name: &str, at: &str| (name.to_owned(), at.to_owned());
        let fields = vec![
            field("custrecord_fg_lane", "/data/lane"),
            field("custrecord_fg_none", "/data/nothing"),
            field("memo", "/subject"),
        ];
        let expected = concat!(
            r#"{"items":[{"externalId":"b7e63e45-a9b6-8986-9293-45b1dd06529c","custrecord_fg_lane":4,"memo":"340123450000000017"},"#,
            r#"{"externalId":"1896b6bb-082f-8bc7-a078-5ad838fed5c5","custrecord_fg_lane":4,"memo":"SH \"2\""}]}"#,
        );
        golden(2, &Format::SuiteTalk { fields }, expected);
    }

    #[test]
    fn the_erp_teams_page_shows_these_bytes() {
        let page = include_str!("../../docs/erp.md");
        let wrapped = Format::JsonArray { wrap: Some("events".into()) };
        for format in [wrapped, Format::Ndjson, Format::CloudEvents] {
            let body = String::from_utf8(render(RENDERER, &format, &[posting(18_211, "340123450000000017")])).unwrap();
            assert!(page.contains(&format!("```json\n{}\n```", body.trim_end())), "docs/erp.md lacks {body}");
        }
    }

    #[test]
    fn the_contract_s_page_shows_the_fingerprints_of_its_items() {
        #[derive(serde::Deserialize)]
        struct Item<'a> {
            tx_type: &'a str,
            time: &'a str,
            fingerprint: &'a str,
            #[serde(borrow)]
            data: &'a serde_json::value::RawValue,
        }
        let page = include_str!("../../docs/erp-contract.md");
        let mut shown = 0;
        for line in page.lines().filter(|line| line.starts_with(r#"{"events":[{"#)) {
            let items: std::collections::HashMap<&str, Vec<Item<'_>>> = serde_json::from_str(line).expect(line);
            for item in &items["events"] {
                assert_eq!(content_hash(&[item.tx_type, item.time, item.data.get()]), item.fingerprint);
                shown += 1;
            }
        }
        assert_eq!(shown, 2);
    }

    #[test]
    fn a_cloud_event_without_subject_has_no_such_member() {
        let body = render(RENDERER, &Format::CloudEvents, &[posting(1, "")]);
        let items: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(items[0].get("subject"), None);
    }

    #[test]
    fn an_empty_batch_is_still_json() {
        assert_eq!(render(RENDERER, &Format::JsonArray { wrap: Some("a\"b".into()) }, &[]), br#"{"a\"b":[]}"#);
        assert_eq!(render(RENDERER, &Format::CloudEvents, &[]), b"[]");
    }

    fn any_posting() -> impl Strategy<Value = Posting> {
        (any::<[u8; 16]>(), any::<[String; 8]>(), any::<i64>(), 0..i64::MAX, any::<String>()).prop_map(
            |(id, [kind, site, device, order_key, subject, time_quality, epoch, seq], at, commit_seq, data)| Posting {
                key: Id(id),
                event: Id(id),
                tx_type: kind.clone(),
                kind,
                site,
                device,
                order_key,
                subject,
                occurred_at: Millis(at),
                time_quality,
                epoch,
                seq,
                commit_seq,
                data: serde_json::json!({ "value": data }).to_string(),
            },
        )
    }

    proptest! {
        #[test]
        fn any_text_becomes_valid_json_with_the_keys_in_order(postings in prop::collection::vec(any_posting(), 0..5)) {
            let wrapped = render(RENDERER, &Format::JsonArray { wrap: Some("events".into()) }, &postings);
            let wrapped: Value = serde_json::from_slice(&wrapped).unwrap();
            let lines = String::from_utf8(render(RENDERER, &Format::Ndjson, &postings)).unwrap();
            let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let cloud: Vec<Value> = serde_json::from_slice(&render(RENDERER, &Format::CloudEvents, &postings)).unwrap();
            prop_assert_eq!(wrapped["events"].as_array().unwrap(), &lines);
            let keys = |items: &[Value], name: &str| -> Vec<String> {
                items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
            };
            let expected: Vec<String> = postings.iter().map(|p| p.key.to_string()).collect();
            prop_assert_eq!(&keys(&lines, "key"), &expected);
            prop_assert_eq!(&keys(&cloud, "fgkey"), &expected);
            for (line, posting) in lines.iter().zip(&postings) {
                prop_assert_eq!(line["subject"].as_str(), Some(posting.subject.as_str()));
                prop_assert!(line["data"].is_object());
            }
        }
    }
}
