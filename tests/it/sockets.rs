//! Scanners on TCP sockets and serial lines, played by socat: frames however they are cut, garbage between them, and
//! acknowledgements that follow the commit.

use std::time::Duration;

use crate::world::{
    Database, Erp, Gateway, Line, PATIENCE, Serial, Site, free_port, note, socat, sscc, wait_at_most, wait_for,
};

const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
/// A scanner that hears nothing sends again after this time.
const RESEND: Duration = Duration::from_millis(400);
const KILLS: u32 = 12;

fn link(keys: &str, device: &str, map: &str) -> String {
    format!(
        "[[link]]\nid = \"line\"\n{keys}\nreconnect = {{ min = \"20ms\", max = \"100ms\" }}\n\
         [[device]]\nid = \"{device}\"\nlink = \"line\"\nmap = \"{map}\"\n"
    )
}

fn frame(seq: u32, code: &str) -> Vec<u8> {
    format!("\u{2}5A31-{seq:08};{code};100\u{3}").into_bytes()
}

fn bad_inputs(gateway: &Gateway) -> i64 {
    let status = gateway.status();
    let all = status["bad_input"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|bad| bad["n"].as_i64()).sum()
}

#[test]
fn frames_over_tcp_however_they_are_cut_are_acknowledged_after_the_commit() {
    let Some(program) = socat() else { return };
    let (port, erp) = (free_port(), Erp::start());
    let mut line = Line::tcp(&program, &format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"));
    let keys = format!("kind = \"tcp\"\naddress = \"127.0.0.1:{port}\"");
    let site = Site::new().links(&link(&keys, "tunnel-1", "fixed-scanner@1")).erp(&erp.url());
    let gateway = Gateway::start(&site);
    let committed = |seq: u32| Database::read(site.data()).events.contains(&format!("tunnel-1/d:5A31/{seq}"));
    for seq in 1..=3 {
        line.send_bytewise(&frame(seq, &sscc(seq)));
        assert_eq!(line.answer(), ACK);
        assert!(committed(seq), "an acknowledgement without its commit");
    }
    // Two frames in one packet, then garbage before a good frame and a frame that breaks off.
    line.send(&[frame(4, "ITEM-4"), frame(5, "ITEM-5")].concat());
    assert_eq!((line.answer(), line.answer()), (ACK, ACK));
    line.send(&[b"\xff\x00noise".to_vec(), frame(6, "ITEM-6"), b"\x025A31-0".to_vec()].concat());
    let mut answers = vec![line.answer(), line.answer(), line.answer()];
    answers.sort_unstable();
    assert_eq!(answers, [ACK, NAK, NAK], "the noise and the frame that broke off are refused");
    line.send(&frame(7, "ITEM-7"));
    assert_eq!(line.answer(), ACK, "the stream is found again");
    // The same frame again: its acknowledgement was not heard. It is acknowledged, and posted once.
    line.send(&frame(7, "ITEM-7"));
    assert_eq!(line.answer(), ACK);
    wait_for("all scans at the ERP", || erp.count() == 7);
    let mut subjects: Vec<String> = erp.effects().into_iter().map(|effect| effect.subject).collect();
    subjects.sort();
    let mut expected: Vec<String> = (1..=3).map(sscc).chain((4..=7).map(|n| format!("ITEM-{n}"))).collect();
    expected.sort();
    assert_eq!(subjects, expected);
    assert_eq!(bad_inputs(&gateway), 2);
}

/// The scanner connects: a second connection of it takes the place of one that it has given up.
#[test]
fn a_scanner_that_connects_again_is_heard() {
    let Some(program) = socat() else { return };
    let (port, erp) = (free_port(), Erp::start());
    let keys = format!("kind = \"tcp\"\nlisten = \"127.0.0.1:{port}\"");
    let site = Site::new().links(&link(&keys, "tunnel-1", "fixed-scanner@1")).erp(&erp.url());
    let _gateway = Gateway::start(&site);
    let connect = || Line::tcp(&program, &format!("TCP:127.0.0.1:{port},retry=200,interval=0.05"));
    let mut first = connect();
    first.send(&frame(1, "ITEM-1"));
    assert_eq!(first.answer(), ACK);
    let mut second = connect();
    second.send(&frame(2, "ITEM-2"));
    assert_eq!(second.answer(), ACK);
    first.wait_end();
    wait_for("both scans", || erp.count() == 2);
}

/// Sends the frame until it is acknowledged, over as many connections as it takes; whether it was sent again.
fn insist(line: &mut Option<Line>, connect: &dyn Fn() -> Line, bytes: &[u8]) -> bool {
    let mut sent = 0;
    let mut answer = None;
    wait_at_most(PATIENCE, "an acknowledgement", &mut || {
        let open = line.get_or_insert_with(connect);
        let alive = open.send(bytes);
        sent += 1;
        match open.answer_within(RESEND) {
            Ok(Some(byte)) => answer = Some(byte),
            Ok(None) if alive => {}
            _ => *line = None,
        }
        answer.is_some()
    });
    assert_eq!(answer, Some(ACK));
    if let Some(open) = line.as_mut().filter(|_| sent > 1) {
        // Each frame is answered: an answer to a repeat is none to the next frame.
        while matches!(open.answer_within(RESEND), Ok(Some(_))) {}
    }
    sent > 1
}

/// Kills the gateway around a frame's commit, again and again; how many kills fell between commit and acknowledgement.
fn kill_around_commits(
    gateway: &Gateway,
    site: &Site,
    connect: &dyn Fn() -> Line,
    frame_of: impl Fn(u32) -> Vec<u8>,
) -> (usize, usize) {
    let (mut between, mut again) = (0, 0);
    let mut line = None;
    for n in 1..=KILLS {
        let bytes = frame_of(2 * n - 1);
        insist(&mut line, connect, &bytes); // the line stands
        let bytes = frame_of(2 * n);
        let open = line.as_mut().expect("it was just used");
        let before = Database::read(site.data()).events.len();
        open.send(&bytes);
        std::thread::sleep(Duration::from_micros(u64::from(n) * 250)); // where the kill falls is the test's chance
        gateway.kill();
        let answer = open.answer_within(Duration::from_millis(50));
        let committed = Database::read(site.data()).events.len() > before;
        between += usize::from(committed && !matches!(answer, Ok(Some(_))));
        assert!(committed || !matches!(answer, Ok(Some(_))), "an acknowledgement without its commit");
        gateway.start_again();
        if !matches!(answer, Ok(Some(ACK))) {
            again += usize::from(insist(&mut line, connect, &bytes));
        }
    }
    (between, again)
}

#[test]
fn a_numbered_frame_is_neither_lost_nor_doubled_by_kills() {
    let Some(program) = socat() else { return };
    let (port, erp) = (free_port(), Erp::start());
    let keys = format!("kind = \"tcp\"\nlisten = \"127.0.0.1:{port}\"");
    let site = Site::new().links(&link(&keys, "tunnel-1", "fixed-scanner@1")).erp(&erp.url());
    let gateway = Gateway::start(&site);
    let connect = || Line::tcp(&program, &format!("TCP:127.0.0.1:{port},retry=200,interval=0.05"));
    // Always the same code: the scanner's number alone tells the scans apart.
    let (between, again) = kill_around_commits(&gateway, &site, &connect, |seq| frame(seq, "ITEM-1"));
    let produced = usize::try_from(2 * KILLS).expect("small");
    wait_for("all scans at the ERP", || erp.count() >= produced);
    let mut ids = erp.ids();
    ids.sort();
    ids.dedup();
    assert_eq!((erp.count(), ids.len()), (produced, produced), "nothing lost, nothing doubled");
    note("FIGURE", &format!("{KILLS} kills, {between} between commit and acknowledgement, {again} frames sent again"));
}

/// Without numbers an SSCC is enough: a carton passes once.
#[test]
fn an_acknowledged_carton_without_number_is_neither_lost_nor_doubled_by_kills() {
    let Some(program) = socat() else { return };
    let (serial, erp) = (Serial::start(&program), Erp::start());
    let map = include_str!("../../devices/acme-serial-scanner/map.toml");
    let map = map.replace("id = \"serial-scanner\"", "id = \"acked-scanner\"");
    let map = map.replace("framing = \"line\"", "framing = \"line\"\nack = \"\\u0006\"");
    let port = serial.gateway().display().to_string();
    let keys = format!("kind = \"serial\"\nserial = {{ port = \"{port}\", baud = 115200 }}");
    let site = Site::new().links(&link(&keys, "bench", "acked-scanner@1")).erp(&erp.url());
    site.map("test-acked-scanner", &map);
    let gateway = Gateway::start(&site);
    let connect = || serial.scanner();
    let (between, again) = kill_around_commits(&gateway, &site, &connect, |n| format!("{}\r\n", sscc(n)).into_bytes());
    let produced = usize::try_from(2 * KILLS).expect("small");
    wait_for("all scans at the ERP", || erp.count() >= produced);
    let mut subjects: Vec<String> = erp.effects().into_iter().map(|effect| effect.subject).collect();
    subjects.sort();
    let mut expected: Vec<String> = (1..=2 * KILLS).map(sscc).collect();
    expected.sort();
    assert_eq!(subjects, expected, "nothing lost, nothing doubled");
    note("FIGURE", &format!("{KILLS} kills, {between} between commit and acknowledgement, {again} frames sent again"));
}

#[test]
fn lines_over_a_serial_port_however_they_are_cut() {
    let Some(program) = socat() else { return };
    let (serial, erp) = (Serial::start(&program), Erp::start());
    let port = serial.gateway().display().to_string();
    let keys = format!("kind = \"serial\"\nserial = {{ port = \"{port}\", baud = 9600 }}");
    let site = Site::new().links(&link(&keys, "bench", "serial-scanner@1")).erp(&erp.url());
    let gateway = Gateway::start(&site);
    wait_for("the port to be open", || gateway.log().contains("connected to the scanner"));
    let mut line = serial.scanner();
    line.send_bytewise(b"ITEM-1\r\n");
    line.send(b"ITEM-2\rITEM-3\n\nITEM-4\r\n");
    line.send(b"\xff\xfe\r\n");
    line.send(&[vec![b'x'; 300], b"\r\nITEM-5\r\n".to_vec()].concat());
    line.send(b"ITEM-5\r\n"); // read twice within the window
    wait_for("all scans at the ERP", || erp.count() == 5);
    let mut codes: Vec<String> = erp.effects().into_iter().map(|effect| effect.subject).collect();
    codes.sort();
    assert_eq!(codes, ["ITEM-1", "ITEM-2", "ITEM-3", "ITEM-4", "ITEM-5"]);
    wait_for("what is no text and what is too long", || bad_inputs(&gateway) == 4);
    let told = gateway.status()["bad_input"].to_string();
    assert!(told.contains("not UTF-8 at byte 1") && told.contains("longer than max_bytes"), "{told}");
}

const FIXED_LENGTH: &str = r#"
schema = 1
[map]
id = "length-scanner"
version = 1
protocol = "socket"
[frame]
framing = { length = 12 }
silence = "300ms"
ack = "\u0006"
nak = "\u0015"
payload = "text"
max_bytes = "12 B"
pattern = '^(?<seq>[0-9]{6})(?<code>[A-Z0-9-]{6})$'
[frame.field]
seq = { group = "seq", type = "u64", required = true }
code = { group = "code", type = "string", required = true }
all = { type = "string", required = true }
[[frame.emit]]
event = "scan.item"
subject = "{code}"
fields = ["code"]
[frame.identity]
content = "all"
window = "0s"
"#;

/// Frames of one length have no sign at their ends: joined and split ones are told by counting alone, and by silence after
/// one that broke off.
#[test]
fn frames_of_one_length_however_they_are_cut_are_acknowledged_after_the_commit() {
    let Some(program) = socat() else { return };
    let (port, erp) = (free_port(), Erp::start());
    let mut line = Line::tcp(&program, &format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"));
    let keys = format!("kind = \"tcp\"\naddress = \"127.0.0.1:{port}\"");
    let site = Site::new().links(&link(&keys, "weigher", "length-scanner@1")).erp(&erp.url());
    site.map("test-length-scanner", FIXED_LENGTH);
    let gateway = Gateway::start(&site);
    let committed = || Database::read(site.data()).events.len();
    let frame = |n: usize| format!("{n:06}ITEM-{n}").into_bytes();
    for n in 1..=2 {
        line.send_bytewise(&frame(n));
        assert_eq!(line.answer(), ACK);
        assert_eq!(committed(), n, "an acknowledgement without its commit");
    }
    // Two and a half in one packet, the rest in the next.
    let three = [frame(3), frame(4), frame(5)].concat();
    line.send(&three[..30]);
    assert_eq!((line.answer(), line.answer()), (ACK, ACK));
    line.send(&three[30..]);
    assert_eq!(line.answer(), ACK);
    assert_eq!(committed(), 5);
    // What breaks off is refused after the silence, and the next byte begins a frame.
    line.send(&frame(6)[..7]);
    assert_eq!(line.answer(), NAK);
    line.send(&frame(7));
    assert_eq!(line.answer(), ACK);
    wait_for("all scans at the ERP", || erp.count() == 6);
    let mut codes: Vec<String> = erp.effects().into_iter().map(|effect| effect.subject).collect();
    codes.sort();
    assert_eq!(codes, ["ITEM-1", "ITEM-2", "ITEM-3", "ITEM-4", "ITEM-5", "ITEM-7"]);
    assert_eq!(bad_inputs(&gateway), 1);
}
