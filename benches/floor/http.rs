//! Batches to an endpoint that takes everything: bare reqwest beside `target::Http`, and the renderer.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use floorgate::event::{Id, Millis, batch_id};
use floorgate::lane::{AnswerShape, Class, Errand, Format, Outgoing, Posting, RENDERER, render};
use floorgate::target::{Config, Http};
use tokio::runtime::Builder;

use crate::row::{Baseline, Meter, Row};

const EVENTS: usize = 500;

pub(crate) fn measure(_: &Path) -> anyhow::Result<Vec<Row>> {
    let postings: Vec<Posting> = (0..EVENTS).map(posting).collect();
    let format = Format::JsonArray { wrap: Some("events".into()) };
    let keys: Vec<Id> = postings.iter().map(|p| p.key).collect();
    let body = render(RENDERER, &format, &postings);
    let batch = Outgoing {
        lane: 0,
        batch: 1,
        id: batch_id(&keys),
        attempt: 1,
        first_sent: Millis(0),
        errand: Errand::Post(body.clone()),
        keys,
    };
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed");
    }
    let url = serve(results(&batch.keys).into())?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let bare = |in_flight, reads| runtime.block_on(bare_posts(&url, &body, in_flight, reads));
    let one = bare(1, false)?;
    let parsed = bare(1, true)?;
    let four = bare(4, false)?;
    let status = runtime.block_on(deliveries(&url, &batch, None))?;
    let items = runtime.block_on(deliveries(&url, &batch, Some("/results".into())))?;
    let name = |who: &str, what: &str| format!("{who}, {EVENTS} events a POST, {what}");
    let mut rows = Vec::new();
    rows.extend(one.rows(name("bare reqwest", "1 in flight"), &Base::Reference(3_900_000.0)));
    rows.extend(four.rows(name("bare reqwest", "4 in flight"), &Base::Reference(7_900_000.0)));
    rows.extend(parsed.rows(name("bare reqwest", "answer read as JSON"), &Base::None));
    rows.extend(status.rows(name("target::Http", "the status speaks"), &Base::Bare(&one)));
    rows.extend(items.rows(name("target::Http", "a result each"), &Base::Bare(&parsed)));
    let (meter, mut n, mut bytes) = (Meter::start()?, 0, 0);
    while meter.runs() {
        bytes += render(RENDERER, &format, &postings).len();
        n += EVENTS;
    }
    let rate = n as f64 / meter.seconds();
    rows.push(Row::rate("lane::render, JSON array", rate, "events/s", Baseline::None));
    rows.push(Row::cost("size of an event in a body", bytes as f64 / n as f64, "bytes", Baseline::None));
    Ok(rows)
}

/// Events a second, and the client's CPU seconds for one.
struct Speed {
    rate: f64,
    cpu: f64,
}

enum Base<'a> {
    Reference(f64),
    Bare(&'a Speed),
    None,
}

impl Speed {
    fn of(events: usize, meter: &Meter) -> anyhow::Result<Self> {
        Ok(Self { rate: events as f64 / meter.seconds(), cpu: meter.thread_cpu()? / events as f64 })
    }

    fn rows(&self, name: String, base: &Base<'_>) -> [Row; 2] {
        let (rate, cpu, hint) = match *base {
            Base::Reference(rate) => {
                let hint =
                    "client and endpoint run on one thread each, and an event is larger than the reference's 316 bytes";
                (Baseline::Reference(rate), Baseline::None, hint)
            }
            Base::Bare(bare) => {
                let hint = "it copies the body, which must outlive a failed attempt, and words an outcome for each row";
                (Baseline::Bare(bare.rate), Baseline::Bare(bare.cpu * 1e6), hint)
            }
            Base::None => (Baseline::None, Baseline::None, ""),
        };
        let cost = Row::cost(format!("{name}, CPU"), self.cpu * 1e6, "us/event", cpu).hint(hint);
        [Row::rate(name, self.rate, "events/s", rate).hint(hint), cost]
    }
}

async fn bare_posts(url: &str, body: &[u8], in_flight: usize, reads: bool) -> anyhow::Result<Speed> {
    let client = reqwest::Client::builder().http1_only().no_proxy().tls_certs_only([]).build()?;
    let body = Bytes::copy_from_slice(body);
    let one = async |client: &reqwest::Client, meter: &Meter| -> anyhow::Result<usize> {
        let mut n = 0;
        while meter.runs() {
            let request = client.post(url).header(CONTENT_TYPE, "application/json").body(body.clone());
            let answer = request.send().await?.error_for_status()?.bytes().await?;
            if reads {
                anyhow::ensure!(serde_json::from_slice::<serde_json::Value>(&answer)?["results"].is_array());
            }
            n += EVENTS;
        }
        Ok(n)
    };
    let meter = Meter::start()?;
    let n = if in_flight == 1 {
        one(&client, &meter).await?
    } else {
        let all = tokio::join!(one(&client, &meter), one(&client, &meter), one(&client, &meter), one(&client, &meter));
        all.0? + all.1? + all.2? + all.3?
    };
    Speed::of(n, &meter)
}

async fn deliveries(url: &str, batch: &Outgoing, items: Option<String>) -> anyhow::Result<Speed> {
    let target = target(url, items)?;
    let (meter, mut n) = (Meter::start()?, 0);
    while meter.runs() {
        let answer = target.deliver(batch).await;
        anyhow::ensure!(answer.outcomes.iter().all(|o| o.class == Class::Delivered), "{answer:?}");
        n += EVENTS;
    }
    Speed::of(n, &meter)
}

/// A target whose answers have a list of items there, or whose status speaks.
pub(crate) fn target(url: &str, items: Option<String>) -> anyhow::Result<Http> {
    let pointer = str::to_owned;
    Http::new(Config {
        id: "erp".into(),
        url: url.into(),
        answers: AnswerShape {
            items,
            key: pointer("/key"),
            status: pointer("/status"),
            reason: pointer("/reason"),
            reference: pointer("/reference"),
            ..AnswerShape::default()
        },
        wire: floorgate::target::Wire::Contract,
        content_type: "application/json",
        gzip: false,
        timeout: std::time::Duration::from_secs(30),
        connect_timeout: std::time::Duration::from_secs(5),
        lookup: None,
        login: None,
        tls: floorgate::target::Tls::default(),
    })
    .map_err(anyhow::Error::msg)
}

/// An endpoint that reads each body and answers the same.
fn serve(answer: Bytes) -> anyhow::Result<String> {
    let take = async |State(answer): State<Bytes>, _: Bytes| ([(CONTENT_TYPE, "application/json")], answer);
    serve_on_its_own(Router::new().route(EVENTS_PATH, post(take)).with_state(answer))
}

/// Where endpoints take batches.
pub(crate) const EVENTS_PATH: &str = "/events";

/// Serves on a thread of its own until the process ends; the address of [`EVENTS_PATH`].
pub(crate) fn serve_on_its_own(router: Router) -> anyhow::Result<String> {
    let (started, address) = sync_channel(1);
    std::thread::Builder::new().name("endpoint".into()).spawn(move || -> anyhow::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            started.send(listener.local_addr()?)?;
            axum::serve(listener, router).await?;
            Ok(())
        })
    })?;
    Ok(format!("http://{}{EVENTS_PATH}", address.recv()?))
}

fn posting(n: usize) -> Posting {
    let mut id = [0x5a; 16];
    id[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let sscc = format!("34012345{n:010}");
    Posting {
        key: Id(id),
        event: Id(id),
        kind: "scan.carton".into(),
        tx_type: "scan.carton".into(),
        site: "dc1".into(),
        device: "pack-scanners-07".into(),
        order_key: format!("dc1/main/carton/{sscc}"),
        subject: sscc.clone(),
        occurred_at: Millis(1_763_906_709_412 + n as i64),
        time_quality: "unsynced".into(),
        epoch: "d:b1".into(),
        seq: n.to_string(),
        commit_seq: n as i64,
        data: format!(r#"{{"sscc":"{sscc}","station":"pack-07"}}"#),
    }
}

fn results(keys: &[Id]) -> String {
    let items: Vec<String> = keys.iter().map(|key| format!(r#"{{"key":"{key}","status":"posted"}}"#)).collect();
    format!(r#"{{"results":[{}]}}"#, items.join(","))
}
