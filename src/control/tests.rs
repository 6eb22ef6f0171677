//! The socket from both ends, in a temporary directory.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::*;
use crate::event::Millis;
use crate::outbox::Tap;
use crate::outbox::read::Bounds;
use crate::source::health::{Health, State as Doing};

fn view() -> (View, watch::Sender<bool>) {
    let (room_tx, room) = watch::channel(true);
    let bounds = Bounds { max_size: 1 << 20, max_parked: [("outbound".to_owned(), 500)].into() };
    let health = Health::default();
    health.link(&"broker".into()).is(Doing::Down, None);
    let (site, gateway) = ("dc1".to_owned(), "gw-7".to_owned());
    (
        View {
            site,
            gateway,
            since: Millis(1_000),
            bounds,
            room,
            health,
            devices: vec!["hand".to_owned()],
            tap: Tap::default(),
        },
        room_tx,
    )
}

/// A server that listens already, and whoever tells whether there is room.
fn serving(dir: &Path) -> (Server, watch::Sender<bool>) {
    let (view, room) = view();
    let server = Server::start(dir, view).expect("a thread starts");
    for _ in 0..1_000 {
        if ask::<Status>(dir, Request::Status).is_ok() {
            return (server, room);
        }
        std::thread::yield_now();
    }
    panic!("the server does not listen");
}

fn connected(dir: &Path) -> (UnixStream, BufReader<UnixStream>) {
    let stream = UnixStream::connect(dir.join(SOCKET)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
    let reader = BufReader::new(stream.try_clone().expect("a second handle"));
    (stream, reader)
}

fn line(reader: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
}

#[test]
fn a_gateway_tells_what_it_is_and_what_its_parts_noted() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let (server, room) = serving(dir.path());
    let status: Status = ask(dir.path(), Request::Status).expect("it answers");
    assert_eq!((status.pid, status.site.as_str(), status.since), (std::process::id(), "dc1", Millis(1_000)));
    assert_eq!((status.room, status.bounds.max_parked["outbound"]), (true, 500));
    assert_eq!((status.health.links[0].id.as_str(), status.health.links[0].state), ("broker", Doing::Down));
    room.send_replace(false);
    assert!(!ask::<Status>(dir.path(), Request::Status).expect("it answers").room);
    drop(server);
    assert!(matches!(ask::<Status>(dir.path(), Request::Status), Err(Unanswered::NotRunning(_))));
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0, "it leaves nothing");
}

#[test]
fn the_socket_is_its_users_alone_and_replaces_a_stale_one() {
    let dir = tempfile::tempdir().expect("a temp directory");
    drop(UnixListener::bind(dir.path().join(SOCKET)).expect("a socket"));
    std::fs::write(dir.path().join("control.sock.new"), "left by a crash").expect("a file");
    assert!(matches!(ask::<Status>(dir.path(), Request::Status), Err(Unanswered::NotRunning(_))), "nobody listens");
    let _server = serving(dir.path());
    let mode = std::fs::metadata(dir.path().join(SOCKET)).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_data_directory_may_have_a_long_name() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let long = dir.path().join("d".repeat(200));
    std::fs::create_dir(&long).expect("a folder");
    let _server = serving(&long);
}

#[test]
fn one_connection_may_ask_again_and_a_wrong_question_is_answered() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let _server = serving(dir.path());
    let (mut stream, mut answers) = connected(dir.path());
    for _ in 0..3 {
        stream.write_all(b"{\"request\":\"statsu\"}\n{\"request\":\"status\"}\n").expect("it reads");
        let why = line(&mut answers)["error"].as_str().expect("a sentence").to_owned();
        assert!(why.contains("statsu") && why.contains(r#"{"request":"status"}"#), "{why}");
        assert_eq!(line(&mut answers)["ok"]["gateway"], "gw-7");
    }
}

#[test]
fn a_long_line_ends_the_connection_with_a_sentence() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let _server = serving(dir.path());
    let (mut stream, mut answers) = connected(dir.path());
    stream.write_all(&[b'x'; 4_096]).expect("it reads");
    assert_eq!(line(&mut answers)["error"], "a request has at most 4096 bytes");
    assert_eq!(answers.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn too_many_at_a_time_are_told_so_and_silent_ones_do_not_stay() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let _server = serving(dir.path());
    let mut silent: Vec<_> = (0..16).map(|_| connected(dir.path())).collect();
    let (_stream, mut answers) = connected(dir.path());
    assert_eq!(line(&mut answers)["error"], "16 others are asking: try again");
    let (_, reader) = silent.first_mut().expect("there are sixteen");
    assert_eq!(reader.read(&mut [0]).expect("closed in time, not left open"), 0);
}

/// Who looks and does not read is told what went by; whoever commits never waits.
#[test]
fn a_slow_watcher_is_told_what_it_missed() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let (mut view, _room) = view();
    let tap = Tap::default();
    view.tap = tap.clone();
    let _server = Server::start(dir.path(), view).expect("a thread starts");
    while !dir.path().join(SOCKET).exists() {
        std::thread::yield_now();
    }
    let (mut stream, mut reader) = connected(dir.path());
    stream.write_all(b"{\"request\":\"tap\",\"device\":\"hand\"}\n").expect("it takes a request");
    assert_eq!(line(&mut reader), serde_json::json!({"ok": {"watching": "hand"}}));
    let sample = |n: usize| crate::event::Sample {
        source: "hand".into(),
        at: crate::event::Now { wall: Millis(1), mono: 1 },
        origin: "t".into(),
        raw: vec![b'x'; 4_000],
        content: Err(crate::event::Undecodable { reason: n.to_string(), panicked: false }),
        redelivery: None,
        memory: None,
    };
    let sent = 20_000;
    for n in 0..sent {
        tap.tell(vec![sample(n)], &[crate::outbox::Placed::Bad]);
    }
    let (mut shown, mut missed) = (0, 0);
    while shown + missed < sent as u64 {
        let line = line(&mut reader);
        match line["ok"]["missed"].as_u64() {
            Some(n) => missed += n,
            None => shown += 1,
        }
    }
    assert!(missed > 0 && shown >= 256, "{shown} shown, {missed} missed");
}
