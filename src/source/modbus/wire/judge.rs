//! What came instead of an answer, by name. Pure: the bytes that went over the line, and what the library made of them.

use super::line::Traffic;
use crate::source::health::Cause;

/// How frames are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Length and transaction id before each frame (Modbus TCP).
    Tcp,
    /// A checksum behind each frame, silence between them (RTU).
    Rtu,
}

/// How a request ended that brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its time was over.
    TimedOut,
    /// The library, or the line below it, gave up.
    Failed,
    /// The library read an answer that is none to this request.
    Unfit,
}

/// Fewest bytes of a frame over RTU: an exception's.
const LEAST: usize = super::fits::RTU_EXCEPTION;
/// Bytes of an MBAP header with the unit.
const HEADER: usize = 7;
/// Least and most bytes behind an MBAP header's length: unit, function, and what a PDU of 253 bytes leaves.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=254;

/// Names the cause, and says what was seen.
pub(super) fn judge(framing: Framing, traffic: &Traffic, ended: Ended) -> (Cause, String) {
    let Traffic { sent, got, stale, closed } = traffic;
    if *stale {
        // SSH and its like greet before they are asked.
        return other_service(got).unwrap_or_else(|| {
            let words = format!("{} bytes came before it was sent: a late answer to an earlier request", got.len());
            (Cause::Late, words)
        });
    }
    if got.is_empty() {
        return match (closed, ended) {
            (true, _) => (Cause::Closed, "the other side closed the connection".to_owned()),
            (_, Ended::TimedOut) => (Cause::Timeout, "no answer".to_owned()),
            _ => (Cause::Closed, "the connection broke".to_owned()),
        };
    }
    match framing {
        Framing::Tcp => judge_tcp(sent, got),
        Framing::Rtu => judge_rtu(sent, got, ended),
    }
}

/// Bytes that are no frame; what else greets or answers so is named.
fn garbage(what: &str, got: &[u8]) -> (Cause, String) {
    other_service(got).unwrap_or_else(|| (Cause::Garbage, format!("{what}: {}", hex(got))))
}

/// What else greets or answers so.
fn other_service(got: &[u8]) -> Option<(Cause, String)> {
    const GREETINGS: [(&[u8], &str); 7] = [
        (b"HTTP/", "HTTP"),
        (b"<!DOCTYPE", "HTTP"),
        (b"<html", "HTTP"),
        (b"SSH-", "SSH"),
        (b"RFB ", "VNC"),
        (b"220 ", "FTP or SMTP"),
        (b"* OK", "IMAP"),
    ];
    let (_, name) = GREETINGS.iter().find(|(greeting, _)| got.starts_with(greeting))?;
    Some((Cause::OtherService, format!("that is {name}, not Modbus ({})", hex(got))))
}

fn judge_tcp(sent: &[u8], got: &[u8]) -> (Cause, String) {
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    if got.len() < HEADER + 1 || sent.len() < HEADER + 1 {
        return short(got.len());
    }
    let length = usize::from(word(got, 4));
    if word(got, 2) != 0 || !LENGTHS.contains(&length) {
        return garbage("what came is no Modbus TCP frame", got);
    }
    let (id, asked) = (word(got, 0), word(sent, 0));
    if id != asked {
        // Ids count up from 0 on each connection.
        let late = id < asked;
        let cause = if late { Cause::Late } else { Cause::WrongTransaction };
        let hint = if late { ": a late answer to an earlier request" } else { "" };
        return (cause, format!("the answer carries transaction id {id} where {asked} is due{hint}"));
    }
    if got[6] != sent[6] {
        return (Cause::WrongUnit, format!("unit {} answers instead of {}", got[6], sent[6]));
    }
    if got.len() < HEADER - 1 + length {
        return short(got.len());
    }
    judge_pdu(&sent[HEADER..], &got[HEADER..])
}

/// It is one whole frame of that unit, and nothing more.
pub(super) fn is_one_frame_of(unit: u8, got: &[u8]) -> bool {
    let [_, _, 0, 0, high, low, from, ..] = got else { return false };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    LENGTHS.contains(&length) && got.len() == HEADER - 1 + length && *from == unit
}

/// The other unit whose whole frame came before the answer that was due over RTU, or right behind it, if it owes an answer.
pub(super) fn late_of(sent: &[u8], got: &[u8], owes: impl Fn(u8) -> bool) -> Option<u8> {
    let due = *sent.first()?;
    let (first, behind) = first_frame(got)?;
    let other = if first == due { first_frame(behind)?.0 } else { first };
    (other != due && owes(other)).then_some(other)
}

/// The unit of the frame over RTU that these bytes begin with, and what comes behind it.
fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let end = (LEAST..=bytes.len()).find(|end| crc_fits(&bytes[..*end]))?;
    Some((bytes[0], &bytes[end..]))
}

fn judge_rtu(sent: &[u8], got: &[u8], ended: Ended) -> (Cause, String) {
    if got.len() > sent.len() && got.starts_with(sent) {
        let hint = "the line echoes what is sent: switch the echo of the adapter off";
        return (Cause::Garbage, hint.to_owned());
    }
    if got.len() < 4 || sent.len() < 4 {
        return short(got.len());
    }
    let whole = (LEAST..=got.len()).rev().find(|end| crc_fits(&got[..*end]));
    match whole {
        Some(_) if got[0] != sent[0] => (Cause::WrongUnit, format!("unit {} answers instead of {}", got[0], sent[0])),
        Some(end) if end < got.len() => {
            (Cause::Garbage, format!("{} bytes came behind the answer: {}", got.len() - end, hex(got)))
        }
        Some(end) => judge_pdu(&sent[1..], &got[1..end - 2]),
        None if ended == Ended::TimedOut && got[..2] == sent[..2] => short(got.len()),
        None => garbage("what came has no right checksum", got),
    }
}

/// Function code and what follows it.
fn judge_pdu(sent: &[u8], got: &[u8]) -> (Cause, String) {
    if got[0] & 0x7f != sent[0] {
        return (Cause::WrongFunction, format!("the answer is one to function {}, not {}", got[0] & 0x7f, sent[0]));
    }
    (Cause::Short, format!("the answer does not hold what was asked for: {}", hex(got)))
}

fn short(bytes: usize) -> (Cause, String) {
    (Cause::Short, format!("the answer ends after {bytes} bytes"))
}

fn crc_fits(frame: &[u8]) -> bool {
    let (body, sum) = frame.split_at(frame.len() - 2);
    crc::Crc::<u16>::new(&crc::CRC_16_MODBUS).checksum(body).to_le_bytes() == *sum
}

/// The first bytes, for people.
fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 16;
    let shown = bytes.iter().take(SHOWN).map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(" ");
    if bytes.len() > SHOWN { format!("{shown} … ({} bytes)", bytes.len()) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(body: &[u8]) -> Vec<u8> {
        [body, &crc::Crc::<u16>::new(&crc::CRC_16_MODBUS).checksum(body).to_le_bytes()].concat()
    }

    fn check(framing: Framing, sent: &[u8], got: &[u8], ended: Ended, cause: Cause, words: &str) {
        let traffic = Traffic { sent: sent.to_vec(), got: got.to_vec(), stale: false, closed: false };
        let (named, said) = judge(framing, &traffic, ended);
        assert_eq!((named, said.as_str()), (cause, words), "{got:02X?}");
    }

    #[test]
    fn what_comes_over_tcp_has_a_name() {
        use Ended::{Failed, TimedOut, Unfit};
        let sent = [0, 5, 0, 0, 0, 6, 1, 3, 0, 100, 0, 2];
        let check = |got: &[u8], ended, cause, words| check(Framing::Tcp, &sent, got, ended, cause, words);
        check(&[], TimedOut, Cause::Timeout, "no answer");
        check(&[], Failed, Cause::Closed, "the connection broke");
        check(&[0, 5, 0], TimedOut, Cause::Short, "the answer ends after 3 bytes");
        check(&[0, 5, 0, 0, 0, 7, 1, 3, 4, 0], TimedOut, Cause::Short, "the answer ends after 10 bytes");
        let late = "the answer carries transaction id 4 where 5 is due: a late answer to an earlier request";
        check(&[0, 4, 0, 0, 0, 5, 1, 3, 2, 0, 1], Unfit, Cause::Late, late);
        let foreign = "the answer carries transaction id 9 where 5 is due";
        check(&[0, 9, 0, 0, 0, 5, 1, 3, 2, 0, 1], Unfit, Cause::WrongTransaction, foreign);
        check(&[0, 5, 0, 0, 0, 5, 2, 3, 2, 0, 1], Unfit, Cause::WrongUnit, "unit 2 answers instead of 1");
        let function = "the answer is one to function 4, not 3";
        check(&[0, 5, 0, 0, 0, 5, 1, 4, 2, 0, 1], Unfit, Cause::WrongFunction, function);
        let less = "the answer does not hold what was asked for: 03 02 00 01";
        check(&[0, 5, 0, 0, 0, 5, 1, 3, 2, 0, 1], Unfit, Cause::Short, less);
        let noise = "what came is no Modbus TCP frame: 47 45 54 20 2F 31 2E 31";
        check(b"GET /1.1", Failed, Cause::Garbage, noise);
        let http = "that is HTTP, not Modbus (48 54 54 50 2F 31 2E 31)";
        check(b"HTTP/1.1", Failed, Cause::OtherService, http);
        let ssh = "that is SSH, not Modbus (53 53 48 2D 32 2E 30 2D)";
        check(b"SSH-2.0-", Failed, Cause::OtherService, ssh);
    }

    #[test]
    fn a_greeting_before_the_request_is_no_late_answer() {
        let told = |got: &[u8]| {
            let traffic = Traffic { sent: vec![0; 12], got: got.to_vec(), stale: true, closed: false };
            judge(Framing::Tcp, &traffic, Ended::Unfit)
        };
        assert_eq!(told(b"SSH-2.0-").0, Cause::OtherService);
        assert_eq!(told(&[0, 4, 0, 0, 0, 5, 1, 3, 2, 0, 1]).0, Cause::Late);
    }

    #[test]
    fn where_the_id_says_nothing_the_rest_must_be_one_frame() {
        let answer = [0, 9, 0, 0, 0, 5, 1, 3, 2, 0, 1];
        assert!(is_one_frame_of(1, &answer));
        assert!(!is_one_frame_of(2, &answer), "another unit's");
        assert!(!is_one_frame_of(1, &answer[..10]), "cut");
        assert!(!is_one_frame_of(1, &[&answer[..], &[0]].concat()), "more than one");
        assert!(!is_one_frame_of(1, &[0, 9, 0, 1, 0, 5, 1, 3, 2, 0, 1]), "another protocol");
        assert!(!is_one_frame_of(1, &[]));
        let mut traffic = Traffic {
            sent: vec![0, 5, 0, 0, 0, 6, 1, 3, 0, 100, 0, 2],
            got: answer.to_vec(),
            stale: false,
            closed: false,
        };
        traffic.id_as_asked();
        let less = "the answer does not hold what was asked for: 03 02 00 01";
        assert_eq!(judge(Framing::Tcp, &traffic, Ended::Unfit), (Cause::Short, less.to_owned()));
    }

    #[test]
    fn a_frame_of_a_unit_that_owes_an_answer_is_told_from_noise() {
        let (sent, answer) = (crc(&[1, 3, 0, 100, 0, 2]), crc(&[1, 3, 4, 0, 1, 0, 2]));
        let (late, foreign) = (crc(&[2, 3, 2, 0, 1]), crc(&[3, 3, 2, 0, 1]));
        let check = |parts: &[&[u8]], expected, why: &str| {
            assert_eq!(late_of(&sent, &parts.concat(), |unit| unit == 2), expected, "{why}");
        };
        check(&[&answer, &late], Some(2), "behind");
        check(&[&late, &answer], Some(2), "before");
        check(&[&late], Some(2), "instead");
        check(&[&crc(&[1, 0x83, 6]), &crc(&[2, 0x83, 6])], Some(2), "the shortest frames");
        check(&[&answer, &late, &late], Some(2), "two of them");
        check(&[&answer, &foreign], None, "of a unit that owes nothing");
        check(&[&answer, &answer, &late], None, "two of its own: which is due is not known");
        check(&[&answer, &late[..6]], None, "cut");
        check(&[&answer, &[0xff], &late], None, "noise");
        check(&[&answer], None, "nothing behind");
        check(&[], None, "nothing");
        assert_eq!(late_of(&[], &late, |_| true), None, "nothing was sent");
    }

    #[test]
    fn what_comes_over_a_serial_line_has_a_name() {
        use Ended::{Failed, TimedOut, Unfit};
        let sent = crc(&[1, 3, 0, 100, 0, 2]);
        let check = |got: &[u8], ended, cause, words| check(Framing::Rtu, &sent, got, ended, cause, words);
        check(&[], TimedOut, Cause::Timeout, "no answer");
        check(&crc(&[7, 3, 4, 0, 1, 0, 2]), Unfit, Cause::WrongUnit, "unit 7 answers instead of 1");
        let function = "the answer is one to function 4, not 3";
        check(&crc(&[1, 4, 4, 0, 1, 0, 2]), Unfit, Cause::WrongFunction, function);
        let less = "the answer does not hold what was asked for: 03 02 00 01";
        check(&crc(&[1, 3, 2, 0, 1]), Unfit, Cause::Short, less);
        check(&[1, 3, 4, 0, 1], TimedOut, Cause::Short, "the answer ends after 5 bytes");
        let noise = "what came has no right checksum: 01 03 04 00 01 00 02 00 00";
        check(&[1, 3, 4, 0, 1, 0, 2, 0, 0], Failed, Cause::Garbage, noise);
        let echo = "the line echoes what is sent: switch the echo of the adapter off";
        check(&[sent.clone(), crc(&[1, 3, 4, 0, 1, 0, 2])].concat(), Failed, Cause::Garbage, echo);
        let more = [crc(&[1, 3, 4, 0, 1, 0, 2]), vec![0xff]].concat();
        check(&more, Unfit, Cause::Garbage, "1 bytes came behind the answer: 01 03 04 00 01 00 02 2A 32 FF");
    }
}
