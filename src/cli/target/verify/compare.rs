//! Where the gateway's configuration asks for more than the endpoint takes, or leaves something out; each with what to write.
//! Pure.

use super::discovery::Discovery;
use crate::lane::{self, Format, Idempotency};
use crate::target;

/// What is compared with discovery.
pub(super) struct Ours<'a> {
    pub(super) target: &'a target::Config,
    /// Its lanes.
    pub(super) lanes: Vec<&'a lane::Config>,
    /// What the gateway's devices emit.
    pub(super) kinds: Vec<&'a str>,
    /// Where the contract's lookups are.
    pub(super) lookup: String,
}

/// One line for each difference.
pub(super) fn differences(there: &Discovery, ours: &Ours<'_>) -> Vec<String> {
    let of_lanes = ours.lanes.first().map(|lane| [sizes(there, lane), at_once(there, ours, lane), keys(there, lane)]);
    let mut all: Vec<Option<String>> = of_lanes.into_iter().flatten().flatten().collect();
    all.extend(lookups(there, ours));
    all.extend(bodies(there, ours));
    all.extend(types(there, ours));
    all.into_iter().flatten().collect()
}

/// A difference where there is one.
fn differs(differs: bool, told: impl FnOnce() -> String) -> Option<String> {
    differs.then(told)
}

fn sizes(there: &Discovery, lane: &lane::Config) -> Vec<Option<String>> {
    let (events, bytes) = (lane.max_events as u64, lane.max_bytes as u64);
    let (most, limit) = (there.max_batch, there.max_body_bytes);
    vec![
        differs(most > 0 && events > most, || {
            format!("batches have up to {events} items, it takes {most}: write batch.max_events = {most}")
        }),
        differs(limit > 0 && bytes > limit, || {
            let kib = limit >> 10;
            format!("batches have up to {bytes} bytes, it takes {limit}: write batch.max_size = \"{kib} KiB\"")
        }),
        differs(lane.format != (Format::JsonArray { wrap: Some("events".to_owned()) }), || {
            let write = "write batch.format = \"json-array\" and batch.wrap = \"events\"";
            format!("the contract's body is an object with `events`: {write}")
        }),
    ]
}

fn at_once(there: &Discovery, ours: &Ours<'_>, lane: &lane::Config) -> Vec<Option<String>> {
    let (each, lanes, limit) = (lane.max_in_flight as u64, ours.lanes.len() as u64, there.max_concurrent);
    let many = limit > 0 && each * lanes > limit;
    vec![
        differs(many, || {
            let sent = format!("up to {} requests are sent at once, it works on {limit}", each * lanes);
            let fits = (limit / lanes).max(1);
            if each > fits {
                format!("{sent}: write max_in_flight = {fits}")
            } else {
                format!("{sent}: join lanes, or let it take more")
            }
        }),
        differs(lane.ordered_batch && !there.ordered_batch, || {
            "it keeps no order inside a batch: write ordered_batch = false".to_owned()
        }),
        differs(!lane.ordered_batch && there.ordered_batch, || {
            "it keeps the order inside a batch: ordered_batch = true fills batches with several items of a subject"
                .to_owned()
        }),
    ]
}

fn keys(there: &Discovery, lane: &lane::Config) -> Vec<Option<String>> {
    let (horizon, remembered) = (lane.dedup_horizon_ms / 1_000, there.dedup_horizon_s.unwrap_or(u64::MAX));
    let (settle, wanted) = (lane.settle_ms.unwrap_or(u64::MAX).div_ceil(1_000), there.settle_delay_s);
    vec![
        differs(lane.idempotency != Idempotency::Key, || "it remembers keys: write idempotency = \"key\"".to_owned()),
        differs(lane.idempotency == Idempotency::Key && horizon > remembered, || {
            let write = format!("write dedup_horizon = \"{remembered}s\"");
            format!("it remembers keys for {remembered} s, dedup_horizon is {horizon} s: {write}")
        }),
        differs(settle < wanted, || {
            let write = format!("write settle_delay = \"{wanted}s\"");
            format!("an absent key counts after {wanted} s there, settle_delay is {settle} s: {write}")
        }),
    ]
}

fn lookups(there: &Discovery, ours: &Ours<'_>) -> Vec<Option<String>> {
    let (most, at) = (there.max_lookup, &ours.lookup);
    let Some(lookup) = &ours.target.lookup else {
        return vec![Some(format!("keys can be looked up: write lookup = {{ url = \"{at}\", max_keys = {most} }}"))];
    };
    let (keys, url) = (lookup.max_keys, &lookup.url);
    vec![
        differs(most > 0 && keys as u64 > most, || {
            format!("lookups have up to {keys} keys, it takes {most}: write lookup.max_keys = {most}")
        }),
        differs(url != at, || format!("lookups go to {url}: write lookup.url = \"{at}\"")),
    ]
}

fn bodies(there: &Discovery, ours: &Ours<'_>) -> Vec<Option<String>> {
    let packs = ours.target.gzip;
    vec![
        differs(packs && !there.gzip, || "it takes no packed bodies: write gzip = false".to_owned()),
        differs(!packs && there.gzip, || "it takes packed bodies: gzip = true sends a fifth of the bytes".to_owned()),
        differs(there.definite_503 && !ours.target.answers.definite_503, || {
            "a 503 of it has no effect for certain: definite_503 = true spares the resend".to_owned()
        }),
        differs(!there.definite_503 && ours.target.answers.definite_503, || {
            "it does not promise that a 503 has no effect: write definite_503 = false".to_owned()
        }),
        differs(ours.target.answers.items.is_none(), || {
            "it answers each item: write answers = { items = \"/results\" }".to_owned()
        }),
    ]
}

/// What lanes post and the endpoint does not list.
fn types(there: &Discovery, ours: &Ours<'_>) -> Vec<Option<String>> {
    let of_lane = |lane: &&lane::Config| {
        let of_devices = ours.kinds.iter().filter(|kind| lane.takes(kind)).map(|kind| (*kind).to_owned());
        let named = lane.take.iter().filter(|glob| !glob.contains('*')).cloned();
        let mut strange: Vec<String> = of_devices.chain(named).filter(|t| !there.tx_types.contains(t)).collect();
        strange.sort();
        strange.dedup();
        differs(!strange.is_empty(), || {
            let write = "leave them out of its `take`, or have them listed";
            format!("lane \"{}\" posts {}, which are not in its tx_types: {write}", lane.id, strange.join(", "))
        })
    };
    ours.lanes.iter().map(of_lane).collect()
}

#[cfg(test)]
mod tests {
    use super::super::discovery::tests::page;
    use super::*;
    use crate::lane::{AnswerShape, Dialect, KeyScope, Worth};
    use crate::target::{Lookup, Tls};
    use std::time::Duration;

    const LOOKUP: &str = "https://erp.example.com/v1/lookup";

    fn target() -> target::Config {
        let place = |name: &str| format!("/{name}");
        target::Config {
            id: "erp".into(),
            url: "https://erp.example.com/v1/events".into(),
            answers: AnswerShape {
                items: Some(place("results")),
                key: place("key"),
                status: place("status"),
                reason: place("reason"),
                reference: place("reference"),
                definite_503: false,
                lookup: false,
                dialect: Dialect::Contract,
                rules: Vec::new(),
            },
            wire: target::Wire::Contract,
            content_type: "application/json",
            gzip: true,
            timeout: Duration::from_mins(1),
            connect_timeout: Duration::from_secs(10),
            lookup: Some(Lookup { url: LOOKUP.into(), max_keys: 50 }),
            login: None,
            tls: Tls::default(),
        }
    }

    fn lane() -> lane::Config {
        lane::Config {
            id: "all".into(),
            target: 0,
            system: "erp".into(),
            business_unit: "main".into(),
            elsewhere: std::collections::BTreeSet::new(),
            worth: Worth::Document,
            take: vec!["pick_*".into(), "goods_issue".into()],
            format: Format::JsonArray { wrap: Some("events".into()) },
            ordered_batch: true,
            key_scope: KeyScope::Item,
            max_events: 50,
            max_bytes: 512 << 10,
            linger_ms: 20,
            max_in_flight: 1,
            idempotency: Idempotency::Key,
            replays_errors: false,
            dedup_horizon_ms: 86_400_000,
            settle_ms: Some(120_000),
            timeout_ms: 60_000,
            retry_first_ms: 500,
            retry_max_ms: 300_000,
            reference_grace_ms: 900_000,
            max_parked: 500,
            limits: lane::Limits::default(),
        }
    }

    fn told(there: &Discovery, target: &target::Config, lanes: &[lane::Config], kinds: &[&str]) -> String {
        let (lanes, kinds) = (lanes.iter().collect(), kinds.to_vec());
        differences(there, &Ours { target, lanes, kinds, lookup: LOOKUP.to_owned() }).join("\n")
    }

    #[test]
    fn a_configuration_that_fits_differs_in_nothing() {
        assert_eq!(told(&Discovery::read(&page()), &target(), &[lane()], &["pick_confirm", "scan.carton"]), "");
    }

    #[test]
    fn each_difference_says_what_to_write() {
        let there = Discovery {
            max_batch: 20,
            max_body_bytes: 100 << 10,
            max_lookup: 10,
            max_concurrent: 2,
            dedup_horizon_s: Some(3_600),
            settle_delay_s: 300,
            tx_types: vec!["pick_confirm".into()],
            ..Discovery::default()
        };
        let lanes = [lane::Config { max_in_flight: 4, ..lane() }];
        insta::assert_snapshot!(told(&there, &target(), &lanes, &["pick_confirm", "pick_short"]), @r#"
        batches have up to 50 items, it takes 20: write batch.max_events = 20
        batches have up to 524288 bytes, it takes 102400: write batch.max_size = "100 KiB"
        up to 4 requests are sent at once, it works on 2: write max_in_flight = 2
        it keeps no order inside a batch: write ordered_batch = false
        it remembers keys for 3600 s, dedup_horizon is 86400 s: write dedup_horizon = "3600s"
        an absent key counts after 300 s there, settle_delay is 120 s: write settle_delay = "300s"
        lookups have up to 50 keys, it takes 10: write lookup.max_keys = 10
        it takes no packed bodies: write gzip = false
        lane "all" posts goods_issue, pick_short, which are not in its tx_types: leave them out of its `take`, or have them listed
        "#);
        let there = Discovery { max_concurrent: 1, ordered_batch: true, gzip: true, definite_503: true, ..there };
        let bare = target::Config { lookup: None, gzip: false, ..target() };
        let bare = target::Config { answers: AnswerShape { items: None, ..bare.answers.clone() }, ..bare };
        let (format, idempotency) = (Format::Ndjson, Idempotency::Natural);
        let lane = lane::Config {
            format,
            idempotency,
            ordered_batch: false,
            max_events: 20,
            max_bytes: 9,
            settle_ms: None,
            ..lane()
        };
        let other = lane::Config { id: "other".into(), take: vec!["pick_confirm".into()], ..lane.clone() };
        insta::assert_snapshot!(told(&there, &bare, &[lane, other], &[]), @r#"
    the contract's body is an object with `events`: write batch.format = "json-array" and batch.wrap = "events"
    up to 2 requests are sent at once, it works on 1: join lanes, or let it take more
    it keeps the order inside a batch: ordered_batch = true fills batches with several items of a subject
    it remembers keys: write idempotency = "key"
    keys can be looked up: write lookup = { url = "https://erp.example.com/v1/lookup", max_keys = 10 }
    it takes packed bodies: gzip = true sends a fifth of the bytes
    a 503 of it has no effect for certain: definite_503 = true spares the resend
    it answers each item: write answers = { items = "/results" }
    lane "all" posts goods_issue, which are not in its tx_types: leave them out of its `take`, or have them listed
    "#);
    }
}
