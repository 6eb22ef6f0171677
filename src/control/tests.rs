//! The socket from both ends, in a temporary directory.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch as value;

use super::*;
use crate::event::{Id, Millis, Sample};
use crate::lane::Act;
use crate::outbox::read::Bounds;
use crate::outbox::{Acted, Named, Placed, Scope, Seen, Tap};
use crate::source::health::{Health, State as Doing};

fn view() -> (View, value::Sender<bool>) {
    let (room_tx, room) = value::channel(true);
    let bounds = Bounds { max_size: 1 << 20, max_parked: [("outbound".to_owned(), 500)].into(), ..Bounds::default() };
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
            systems: value::channel(Vec::new()).1,
            health,
            devices: vec!["hand".to_owned()],
            tap: Tap::default(),
            outbox: None,
        },
        room_tx,
    )
}

/// A server that listens already, and whoever tells whether there is room.
fn serving(dir: &Path) -> (Server, value::Sender<bool>) {
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
    assert_eq!(mode & 0o777, 0o660);
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
    stream.write_all(&vec![b'x'; 256 << 10]).expect("it reads");
    assert_eq!(line(&mut answers)["error"], "a request has at most 262144 bytes");
    assert_eq!(answers.read(&mut [0]).expect("the end"), 0);
}

fn order(act: Act, postings: usize, reference: Option<&str>) -> Order {
    let class = "not_attempted".to_owned(); // the longest one
    let named = Named { key: Id([9; 16]).to_string(), seen: Some(Seen { at: Millis(i64::MAX), class }) };
    Order {
        id: "r1".to_owned(),
        act,
        keys: vec![named; postings],
        reason: "counted anew".to_owned(),
        reference: reference.map(str::to_owned),
        changes: Vec::new(),
    }
}

fn refused(dir: &Path, order: Order) -> String {
    match ask::<Vec<Acted>>(dir, Request::Operate(order)) {
        Err(Unanswered::Refused(_, why)) => why,
        answer => panic!("it is refused: {answer:?}"),
    }
}

#[test]
fn the_largest_command_is_heard_and_a_larger_one_refused() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let _server = serving(dir.path());
    assert_eq!(refused(dir.path(), order(Act::Skip, 1_000, None)), "this gateway takes no commands");
    assert_eq!(refused(dir.path(), order(Act::Skip, 1_001, None)), "1001 postings at once: at most 1000");
}

#[test]
fn a_document_is_named_and_is_that_of_one_posting() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let _server = serving(dir.path());
    for reference in [None, Some(""), Some(" ")] {
        let why = refused(dir.path(), order(Act::Resolve, 1, reference));
        assert!(why.contains("give its number as the reference"), "{why}");
    }
    let why = refused(dir.path(), order(Act::Resolve, 2, Some("GI-9")));
    assert!(why.starts_with("2 postings and one reference"), "{why}");
    assert_eq!(refused(dir.path(), order(Act::Resolve, 1, Some("GI-9"))), "this gateway takes no commands");
}

/// What the audit keeps is read in a terminal: a line of it is one, and says what was done.
#[test]
fn words_that_would_forge_a_line_of_the_audit_are_refused() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let _server = serving(dir.path());
    let resolve = || order(Act::Resolve, 1, Some("GI-9"));
    for (order, name) in [
        (Order { reference: Some("GI-9\n  2 s ago: root: skip".to_owned()), ..resolve() }, "reference"),
        (Order { reason: "found\u{1b}[1A".to_owned(), ..resolve() }, "reason"),
        (Order { reason: "found \u{202e}9-IG".to_owned(), ..resolve() }, "reason"),
        (Order { id: "r\u{2028}1".to_owned(), ..resolve() }, "id"),
    ] {
        let why = refused(dir.path(), order);
        assert!(why.starts_with(&format!("its {name} has a line end or another control character")), "{why}");
    }
    let hold =
        Hold { id: "h".to_owned(), scope: Scope::Lane, name: "a".to_owned(), on: true, reason: "a\nb".to_owned() };
    match ask::<Acted>(dir.path(), Request::Hold(hold)) {
        Err(Unanswered::Refused(_, why)) => assert!(why.starts_with("its reason has"), "{why}"),
        answer => panic!("it is refused: {answer:?}"),
    }
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

/// A server that listens already, and where what is committed is told.
fn tapped(dir: &Path) -> (Server, Tap) {
    let (view, _room) = view();
    let tap = view.tap.clone();
    let server = Server::start(dir, view).expect("a thread starts");
    while !dir.join(SOCKET).exists() {
        std::thread::yield_now();
    }
    (server, tap)
}

/// Somebody who watches, from the answer on.
fn watching(dir: &Path, device: &str) -> BufReader<UnixStream> {
    let (mut stream, mut reader) = connected(dir);
    writeln!(stream, "{{\"request\":\"tap\",\"device\":\"{device}\"}}").expect("it takes a request");
    assert_eq!(line(&mut reader), serde_json::json!({"ok": {"watching": device}}));
    reader
}

fn sample(source: &str, n: usize) -> Sample {
    Sample {
        source: source.into(),
        at: crate::event::Now { wall: Millis(1), mono: 1 },
        origin: "t".into(),
        raw: vec![b'x'; 4_000],
        content: Err(crate::event::Undecodable { reason: n.to_string(), panicked: false }),
        redelivery: None,
        memory: None,
    }
}

/// Who looks and does not read is told what went by of its device; whoever commits never waits.
#[test]
fn a_slow_watcher_is_told_what_it_missed_of_its_own_device() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let (_server, tap) = tapped(dir.path());
    let mut reader = watching(dir.path(), "hand");
    let sent = 20_000;
    for n in 0..sent {
        tap.tell(vec![sample("hand", n), sample("other", n)], &[Placed::Bad, Placed::Bad]);
    }
    let (mut shown, mut missed) = (0, 0);
    while shown + missed < sent as u64 {
        let line = line(&mut reader);
        if let Some(n) = line["ok"]["missed"].as_u64() {
            missed += n;
        } else {
            assert_eq!(line["ok"]["sample"]["source"], "hand", "nothing of others");
            shown += 1;
        }
    }
    assert!(missed > 0 && shown >= 256, "{shown} shown, {missed} missed");
    assert_eq!(shown + missed, sent as u64, "what others missed is not counted");
    tap.tell(vec![sample("hand", 0)], &[Placed::Bad]);
    assert_eq!(line(&mut reader)["ok"]["sample"]["source"], "hand", "nothing more was missed");
}

/// Sixteen who stand still hold up no question, and no one else for long.
#[test]
fn those_who_watch_and_do_not_read_are_let_go_and_told_why() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let (_server, tap) = tapped(dir.path());
    let mut still: Vec<_> = (0..15).map(|_| watching(dir.path(), "hand")).collect();
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let (begun_tx, begun) = std::sync::mpsc::sync_channel(1);
    let path = dir.path().to_owned();
    let stopped = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(watch(&path, ("hand", false), |line| {
            if matches!(line, TapLine::Watching(_)) {
                begun_tx.send(()).expect("the test waits");
                assert!(wait.recv().is_err(), "it stands still until the others are let go");
            }
            ControlFlow::Continue(())
        }))
    });
    begun.recv().expect("it watches");
    for n in 0..1_000 {
        tap.tell(vec![sample("hand", n)], &[Placed::Bad]);
    }
    ask::<Status>(dir.path(), Request::Status).expect("a question is answered beside them");
    let (mut more, mut refused) = connected(dir.path());
    more.write_all(b"{\"request\":\"tap\",\"device\":\"hand\"}\n").expect("it takes a request");
    let why = line(&mut refused)["error"].as_str().expect("a sentence").to_owned();
    assert!(why.starts_with("16 others are watching"), "{why}");
    // Nobody reads until all of them are let go: then there is room for as many others.
    let mut others = Vec::new();
    while others.len() < 16 {
        let (mut stream, mut reader) = connected(dir.path());
        stream.write_all(b"{\"request\":\"tap\",\"device\":\"hand\"}\n").expect("it takes a request");
        if line(&mut reader)["ok"]["watching"] == "hand" {
            others.push(reader);
        }
    }
    for reader in &mut still {
        assert!(reader.read_to_end(&mut Vec::new()).expect("the end") > 0);
    }
    drop(go);
    let Err(Unanswered::Failed(_, why)) = stopped.join().expect("no panic") else { panic!("it was let go") };
    assert!(why.contains("took nothing for too long"), "{why}");
}
