use std::io::Read as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::event::{Id, Millis, batch_id};
use crate::lane::{AnswerShape, By, Class, Later};
use crate::target::{ClientAuth, OAuth, Tls, Wire};

fn config(address: &str) -> Config {
    Config {
        id: "erp".into(),
        url: format!("http://{address}/v1/events"),
        answers: AnswerShape {
            items: Some("/results".into()),
            key: "/key".into(),
            status: "/status".into(),
            reason: "/reason".into(),
            reference: "/reference".into(),
            ..AnswerShape::default()
        },
        wire: Wire::Contract,
        content_type: "application/json",
        gzip: false,
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(5),
        lookup: None,
        login: None,
        tls: Tls::default(),
    }
}

fn batch() -> Outgoing {
    let keys = vec![Id([1; 16]), Id([2; 16])];
    let body = br#"{"events":[1,2]}"#.repeat(40);
    let errand = Errand::Post(body);
    Outgoing { errand, lane: 0, batch: 1, id: batch_id(&keys), attempt: 1, first_sent: Millis(0), keys }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// One request as it came: head in lower case, and body.
struct Request {
    head: String,
    body: Vec<u8>,
}

async fn read_request(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let end = loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the request ends early");
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let length =
        head.split_once("content-length: ").map_or(0, |(_, rest)| rest.split_once("\r\n").unwrap().0.parse().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0, "the request ends early");
    }
    Request { head, body }
}

/// A server for one request: reads it, writes `answer` as it is, closes.
async fn serve(listener: &TcpListener, answer: &str) -> Request {
    let (mut stream, _) = listener.accept().await.unwrap();
    let request = read_request(&mut stream).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: Application/JSON; charset=utf-8\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn exchange(config: Config, listener: &TcpListener, answer: &str) -> (Answer, Request) {
    let target = Http::new(config).unwrap();
    let batch = batch();
    tokio::join!(target.deliver(&batch), serve(listener, answer))
}

fn check(answer: &Answer, class: Class, reason: &str) {
    assert!(answer.outcomes.iter().all(|o| o.class == class), "{answer:?}");
    assert_eq!(answer.outcomes[0].reason, reason);
    assert_eq!(answer.outcomes.len(), 2);
}

#[tokio::test]
async fn a_batch_goes_out_with_its_key_and_each_row_gets_its_result() {
    let (listener, address) = listen().await;
    let body = format!(
        r#"{{"results":[{{"key":"{}","status":"duplicate"}},{{"key":"{}","status":"posted","reference":"GI-1"}}]}}"#,
        Id([2; 16]),
        Id([1; 16])
    );
    let (answer, request) = exchange(config(&address), &listener, &ok(&body)).await;
    let classes: Vec<Class> = answer.outcomes.iter().map(|o| o.class).collect();
    assert_eq!(classes, [Class::Delivered, Class::Duplicate]);
    assert_eq!((answer.status, answer.outcomes[0].reference.as_deref()), (Some(200), Some("GI-1")));
    assert!(request.head.starts_with("post /v1/events http/1.1\r\n"), "{}", request.head);
    for line in ["content-type: application/json", &format!("idempotency-key: \"{}\"", batch().id)] {
        assert!(request.head.contains(&format!("\r\n{line}\r\n")), "{line} is missing: {}", request.head);
    }
    assert!(!request.head.contains("authorization") && !request.head.contains("content-encoding"));
    assert_eq!(request.body, batch().body());
}

/// The example of docs/erp-contract.md.
#[tokio::test]
async fn a_post_says_which_contract_it_means_and_which_trace_it_belongs_to() {
    let (listener, address) = listen().await;
    let id = Id::parse("75221e63-7f02-82b5-ba3a-2b7f9be93fce").unwrap();
    let target = Http::new(config(&address)).unwrap();
    let batch = Outgoing { id, ..batch() };
    let answer = ok("{}");
    let (_, request) = tokio::join!(target.deliver(&batch), serve(&listener, &answer));
    for line in [
        "floorgate-contract: 1",
        "accept: application/json, application/problem+json",
        "accept-encoding: identity",
        "traceparent: 00-75221e637f0282b5ba3a2b7f9be93fce-7ac5a48e74722916-01",
    ] {
        assert!(request.head.contains(&format!("\r\n{line}\r\n")), "{line} is missing: {}", request.head);
    }
}

#[tokio::test]
async fn a_job_is_asked_for_below_the_same_origin_and_nowhere_else() {
    let (listener, address) = listen().await;
    let accepted = |location: &str| {
        format!("HTTP/1.1 202 Accepted\r\nlocation: {location}\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")
    };
    let here = format!("http://{address}/v1/jobs/7");
    for (location, by) in [
        ("/v1/jobs/7".to_owned(), By::Job(here.clone())),
        ("jobs/7".to_owned(), By::Job(here.clone())),
        (here.clone(), By::Job(here.clone())),
        (format!("https://{address}/v1/jobs/7"), By::Lookup),
        ("http://erp.example.com/v1/jobs/7".to_owned(), By::Lookup),
        (format!("http://user:secret@{address}/v1/jobs/7"), By::Lookup),
        ("http://[".to_owned(), By::Lookup),
        (String::new(), By::Lookup),
        (format!("/{}", "x".repeat(3_000)), By::Lookup),
    ] {
        let (answer, _) = exchange(config(&address), &listener, &accepted(&location)).await;
        assert_eq!(answer.later, Some(Later { by, after_ms: Some(7_000) }), "{location}");
    }
    let target = Http::new(config(&address)).unwrap();
    let question = Outgoing { errand: Errand::Poll(here), ..batch() };
    let processing = ok(r#"{"status":"processing"}"#);
    let (answer, request) = tokio::join!(target.deliver(&question), serve(&listener, &processing));
    assert!(request.head.starts_with("get /v1/jobs/7 http/1.1\r\n"), "{}", request.head);
    assert!(request.head.contains("\r\nfloorgate-contract: 1\r\n") && !request.head.contains("traceparent"));
    assert!(request.head.contains("\r\ncache-control: no-cache\r\n"), "{}", request.head);
    check(&answer, Class::Accepted, "asked what came of it: the ERP is at work on it");
    let elsewhere = Errand::Poll("http://erp.example.com/v1/jobs/7".to_owned());
    let answer = target.deliver(&Outgoing { errand: elsewhere, ..batch() }).await;
    check(
        &answer,
        Class::Transient,
        "asked what came of it: not sent: http://erp.example.com/v1/jobs/7 is not of the target's own origin",
    );
}

#[tokio::test]
async fn keys_are_asked_for_some_at_a_time_until_a_request_fails() {
    let (listener, address) = listen().await;
    let lookup = Some(Lookup { url: format!("http://{address}/v1/lookup?client=1"), max_keys: 1 });
    let target = Http::new(Config { lookup, ..config(&address) }).unwrap();
    let [first, second] = [1, 2].map(|n| Id([n; 16]));
    let keys = vec![first, second, Id([3; 16])];
    let errand = Errand::Look(vec!["a".into(), "b".into(), "c".into()]);
    let question = Outgoing { errand, keys, ..batch() };
    let present = format!(r#"{{"results":[{{"key":"{first}","status":"present","fingerprint":"a"}}]}}"#);
    let (answer, requests) = tokio::join!(target.deliver(&question), async {
        let first = serve(&listener, &ok(&present)).await;
        [first, serve(&listener, "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await]
    });
    let classes: Vec<Class> = answer.outcomes.iter().map(|o| o.class).collect();
    assert_eq!(classes, [Class::Found, Class::Transient], "nothing is said of the third");
    assert_eq!(answer.retry_after_ms, Some(7_000));
    for (request, key) in requests.iter().zip([first, second]) {
        assert!(
            request.head.starts_with(&format!("get /v1/lookup?client=1&key={key} http/1.1\r\n")),
            "{}",
            request.head
        );
    }
}

#[tokio::test]
async fn a_question_that_is_too_large_is_halved_for_good() {
    let (listener, address) = listen().await;
    let lookup = Some(Lookup { url: format!("http://{address}/v1/lookup"), max_keys: 50 });
    let target = Http::new(Config { lookup, ..config(&address) }).unwrap();
    let keys: Vec<Id> = (1..=4).map(|n| Id([n; 16])).collect();
    let errand = Errand::Look(vec![String::new(); 4]);
    let question = Outgoing { errand, keys, ..batch() };
    let too_large = |status| format!("HTTP/1.1 {status} Too Large\r\ncontent-length: 0\r\n\r\n");
    let mut asked = Vec::new();
    let serves = async {
        for answer in [too_large(414), too_large(413), ok("{}"), ok("{}"), ok("{}"), ok("{}")] {
            asked.push(serve(&listener, &answer).await.head.matches("key=").count());
        }
    };
    tokio::select! {
        _ = target.deliver(&question) => {}
        () = serves => {}
    }
    assert_eq!(asked, [4, 2, 1, 1, 1, 1]);
    let (answer, request) = tokio::join!(target.deliver(&question), async { serve(&listener, &too_large(413)).await });
    assert_eq!((request.head.matches("key=").count(), answer.outcomes[0].class), (1, Class::Contract));
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let (listener, address) = listen().await;
    drop(listener);
    let answer = Http::new(config(&address)).unwrap().deliver(&batch()).await;
    check(&answer, Class::Transient, "not sent: tcp connect error: Connection refused (os error 111)");
}

#[tokio::test]
async fn a_name_nobody_knows_sent_nothing() {
    let answer = Http::new(config("erp.invalid:80")).unwrap().deliver(&batch()).await;
    assert!(answer.outcomes.iter().all(|o| o.class == Class::Transient), "{answer:?}");
    assert!(answer.excerpt.starts_with("dns error"), "{}", answer.excerpt);
}

/// One request over TLS, by a server whose certificate is `test-ca.pem`; ends where the client gives up.
fn serve_tls(listener: &std::net::TcpListener, answer: &str) {
    use rustls::pki_types::pem::PemObject as _;
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(include_bytes!("test-ca.pem")).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(include_bytes!("test-key.pem")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut tls = rustls::StreamOwned::new(connection, stream);
    let mut seen = Vec::new();
    let mut buffer = [0; 4_096];
    while !seen.ends_with(batch().body()) {
        match tls.read(&mut buffer) {
            Ok(n) if n > 0 => seen.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    tls.write_all(answer.as_bytes()).unwrap();
    tls.flush().unwrap();
}

#[tokio::test]
async fn tls_trusts_the_ca_file_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    for (ca, class, reason) in [
        (include_str!("test-ca.pem"), Class::Delivered, "the ERP accepted the batch (HTTP 200)"),
        (include_str!("other-ca.pem"), Class::Transient, "not sent: invalid peer certificate: UnknownIssuer"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = config("");
        config.url = format!("https://{}/v1/events", listener.local_addr().unwrap());
        config.answers.items = None;
        config.tls.ca_file = Some(dir.path().join("ca.pem"));
        std::fs::write(dir.path().join("ca.pem"), ca).unwrap();
        let server = tokio::task::spawn_blocking(move || serve_tls(&listener, &ok("{}")));
        check(&Http::new(config).unwrap().deliver(&batch()).await, class, reason);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_got_nothing() {
    let (listener, address) = listen().await;
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, include_str!("test-ca.pem")).unwrap();
    let mut config = config(&address);
    config.url = format!("https://{address}/");
    config.tls.ca_file = Some(ca);
    let target = Http::new(config).unwrap();
    let batch = batch();
    let (answer, ()) = tokio::join!(target.deliver(&batch), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    assert!(answer.outcomes.iter().all(|o| o.class == Class::Transient), "{answer:?}");
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_leaves_it_open() {
    let (listener, address) = listen().await;
    let (answer, _) = exchange(config(&address), &listener, "").await;
    check(&answer, Class::Unknown, "sent, but no whole answer came: connection closed before message completed");
    let target = Http::new(config(&address)).unwrap();
    let batch = batch();
    let (answer, ()) = tokio::join!(target.deliver(&batch), async { drop(listener.accept().await.unwrap()) });
    assert!(answer.outcomes.iter().all(|o| o.class == Class::Unknown), "{answer:?}");
}

#[tokio::test]
async fn half_an_answer_leaves_it_open() {
    let (listener, address) = listen().await;
    for half in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"resul",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{\"resul\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 100\r\n\r\n",
    ] {
        let (answer, _) = exchange(config(&address), &listener, half).await;
        assert!(answer.outcomes.iter().all(|o| o.class == Class::Unknown), "{half}: {answer:?}");
        assert!(answer.outcomes[0].reason.starts_with("sent, but no whole answer came: "), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_leaves_it_open() {
    let (listener, address) = listen().await;
    let target = Http::new(Config { timeout: Duration::from_millis(200), ..config(&address) }).unwrap();
    let batch = batch();
    let held = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        (stream, request)
    };
    let (answer, _held) = tokio::join!(target.deliver(&batch), held);
    check(&answer, Class::Unknown, "sent, but no whole answer came: no whole answer within 200ms");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (listener, address) = listen().await;
    let target = Http::new(config(&address)).unwrap();
    let batch = batch();
    let endless = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b' '; 8_192]).await.is_ok() {}
    };
    let (answer, ()) = tokio::join!(target.deliver(&batch), endless);
    let reason = "sent, but no whole answer came: the answer (HTTP 200) is longer than 262144 bytes";
    check(&answer, Class::Unknown, reason);
}

#[test]
fn what_is_read_of_an_answer_grows_with_its_items() {
    let bytes = [0, 1, 48, 500, 2_032, usize::MAX].map(longest);
    assert_eq!(bytes, [262_144, 262_144, 262_144, 2_113_536, 8_388_608, 8_388_608]);
}

/// A token that took nearly all of the time.
#[tokio::test]
async fn a_request_that_has_no_time_left_does_not_leave() {
    let (_listener, address) = listen().await;
    let target = Http::new(Config { connect_timeout: Duration::from_millis(100), ..config(&address) }).unwrap();
    let client = target.clients.get().unwrap();
    let request = client.post(target.url.clone());
    let heard = target.once(&request, None, Instant::now() + Duration::from_millis(50), MAX_ANSWER).await;
    let why = "no time is left for it: fetching a token took too long".to_owned();
    assert_eq!(heard.map(drop), Err(Reply::NotSent(why)));
}

#[tokio::test]
async fn a_token_server_that_says_nothing_has_half_of_the_time() {
    let (silent, tokens) = listen().await;
    let dir = tempfile::tempdir().unwrap();
    let client_secret_file = dir.path().join("secret");
    std::fs::write(&client_secret_file, "open sesame").unwrap();
    let login = Some(Login::OAuth(OAuth {
        token_url: format!("http://{tokens}/token"),
        client_id: "gw".into(),
        client_secret_file,
        scope: None,
        audience: None,
        client_auth: ClientAuth::Basic,
    }));
    let timeout = Duration::from_secs(2);
    let target = Http::new(Config { timeout, login, ..config("127.0.0.1:9") }).unwrap();
    let (began, batch) = (Instant::now(), batch());
    let (answer, _held) = tokio::join!(target.deliver(&batch), silent.accept());
    check(&answer, Class::Transient, "not sent: no token in time");
    assert!(began.elapsed() < timeout, "{:?}", began.elapsed());
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let (listener, address) = listen().await;
    let date = "date: Sun, 23 Nov 2025 14:00:00 GMT\r\nretry-after: Sun, 23 Nov 2025 14:00:09 GMT";
    for (headers, wait) in [("retry-after: 7", 7_000), (date, 9_000)] {
        let text = format!("HTTP/1.1 429 Too Many Requests\r\n{headers}\r\ncontent-length: 0\r\n\r\n");
        let (answer, _) = exchange(config(&address), &listener, &text).await;
        assert_eq!((answer.outcomes[0].class, answer.retry_after_ms), (Class::Throttled, Some(wait)));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (listener, address) = listen().await;
    let text = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n");
    let (answer, _) = exchange(config(&address), &listener, &text).await;
    assert_eq!(answer.outcomes[0].class, Class::Contract);
}

#[tokio::test]
async fn a_resend_is_byte_identical_also_when_packed() {
    let (listener, address) = listen().await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (_, request) = exchange(Config { gzip: true, ..config(&address) }, &listener, &ok("{}")).await;
        assert!(request.head.contains("\r\ncontent-encoding: gzip\r\n"));
        seen.push(request);
    }
    assert_eq!(seen[0].body, seen[1].body);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(seen[0].body.as_slice()).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, batch().body());
    assert!(seen[0].body.len() < plain.len());
}

#[tokio::test]
async fn a_renewed_token_counts_at_once_and_a_missing_one_sends_nothing() {
    let (listener, address) = listen().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let config = Config { login: Some(Login::Bearer { token_file: path.clone() }), ..config(&address) };
    let target = Http::new(config).unwrap();
    let batch = batch();
    for token in ["one", "two"] {
        std::fs::write(&path, format!("{token}\n")).unwrap();
        let answer = ok("{}");
        let (_, request) = tokio::join!(target.deliver(&batch), serve(&listener, &answer));
        assert!(request.head.contains(&format!("\r\nauthorization: bearer {token}\r\n")), "{}", request.head);
    }
    for (content, why) in [("", "it is empty"), ("se\u{1}cret", "it holds characters that no HTTP header can carry")] {
        std::fs::write(&path, content).unwrap();
        let reason = format!("not let in: bearer token file {}: {why}", path.display());
        check(&target.deliver(&batch).await, Class::Auth, &reason);
    }
    std::fs::remove_file(&path).unwrap();
    let answer = target.deliver(&batch).await;
    assert_eq!(answer.outcomes[0].class, Class::Auth);
    assert!(answer.outcomes[0].reason.ends_with("No such file or directory (os error 2)"), "{answer:?}");
}

#[test]
fn an_unusable_target_is_refused_before_it_runs() {
    let with_url = |url: &str| Http::new(Config { url: url.into(), ..config("x") }).map(drop).unwrap_err();
    assert_eq!(with_url("erp.example.com"), "url `erp.example.com`: relative URL without a base");
    assert_eq!(with_url("ftp://erp"), "url `ftp://erp`: write http:// or https://");
    let secret = with_url("https://user:secret@erp.example.com/");
    assert!(!secret.contains("secret"), "{secret}");
    let dir = tempfile::tempdir().unwrap();
    let with_ca = |content: Option<&str>| {
        let path = dir.path().join("ca.pem");
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let url = "https://erp.example.com/".into();
        Http::new(Config { url, tls: Tls { ca_file: Some(path), own: None }, ..config("x") }).map(drop).unwrap_err()
    };
    assert!(with_ca(None).ends_with("ca.pem: No such file or directory (os error 2)"));
    assert!(with_ca(Some("no certificate")).ends_with("ca.pem: it holds no PEM certificate"));
}
