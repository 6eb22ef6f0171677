//! Scanners without a number: occurrences of the same content, and redelivery by the broker.

use crate::event::{Now, Redelivery};

/// The same content's last occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Occurrence, from 1.
    pub n: i64,
    /// First of the burst that the window slides over: monotonic ms.
    pub first_mono: i64,
    /// Last time seen: monotonic ms.
    pub last_mono: i64,
    /// The run of the gateway in which those were read; in another run they say nothing.
    pub run: i64,
    /// The device's own time of the last occurrence, ms.
    pub device_ms: Option<i64>,
    /// … and of the first of the burst.
    pub first_device_ms: Option<i64>,
}

/// What else is known when a content comes (again).
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the transport says.
    pub redelivery: Option<&'a Redelivery>,
    /// The message committed last under this packet identifier of this session had the same content.
    pub under_packet: Option<UnderPacket>,
    /// The content is among the last 32 committed from this source.
    pub recent: bool,
    /// The device's own time, ms.
    pub device_ms: Option<i64>,
    /// When it was read.
    pub at: Now,
    /// The run of the gateway.
    pub run: i64,
}

/// What is known of the acknowledgement of the message that had this packet identifier before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderPacket {
    /// It may not have arrived: the broker may mean that message.
    Open,
    /// The broker has it: either another message got the identifier, or the broker forgot what it knew.
    Proven,
}

/// What a content says of its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same scan again.
    Same,
    /// A scan of its own.
    Another,
    /// No evidence either way.
    Ambiguous,
}

/// Judges a content that carries no number.
///
/// A broker's redelivery is told exactly: DUP=1, the same packet identifier, the same session, the same content, and an
/// acknowledgement that may not have arrived. A reader's double read is told by time: the device's own if it sends one, else the time of arrival, which says nothing
/// of messages that waited in the broker.
pub fn judge(seen: Option<&Seen>, rule: &crate::event::Repeat, evidence: &Evidence<'_>) -> Repeat {
    let window = i64::try_from(rule.window_ms).unwrap_or(i64::MAX);
    let max_burst = i64::try_from(rule.max_burst_ms).unwrap_or(i64::MAX);
    let by_device_time = seen.and_then(|seen| {
        let (now, last, first) = (evidence.device_ms?, seen.device_ms?, seen.first_device_ms?);
        let close = (now - last).abs() < window && (now - first).abs() < max_burst;
        Some(if close { Repeat::Same } else { Repeat::Another })
    });
    let undecided = || if rule.once { Repeat::Same } else { Repeat::Ambiguous };
    if let Some(delivery) = evidence.redelivery.filter(|d| d.dup) {
        return match (delivery.session_present, evidence.under_packet, evidence.recent) {
            (true, Some(UnderPacket::Open), _) => Repeat::Same,
            (true, Some(UnderPacket::Proven), _) => by_device_time.unwrap_or_else(undecided),
            // Sent to us before, never committed by us: its first commit is this one, unless it was a double read.
            (true, None, _) => by_device_time.unwrap_or(Repeat::Another),
            (false, _, false) => Repeat::Another,
            (false, _, true) => undecided(),
        };
    }
    let Some(seen) = seen else { return Repeat::Another };
    if let Some(told) = by_device_time {
        return told;
    }
    let mono = i64::try_from(evidence.at.mono).unwrap_or(i64::MAX);
    let close = seen.run == evidence.run && mono - seen.last_mono < window && mono - seen.first_mono < max_burst;
    match (close, evidence.redelivery.is_some_and(|d| d.backlog)) {
        (false, _) => Repeat::Another,
        (true, false) => Repeat::Same,
        (true, true) => undecided(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Millis, Repeat as Rule};

    const RULE: Rule = Rule { window_ms: 2_000, max_burst_ms: 10_000, once: false };

    fn delivery(session_present: bool, dup: bool, backlog: bool) -> Redelivery {
        Redelivery { link: "broker".into(), session_present, packet: 7, dup, backlog }
    }

    fn evidence(mono: u64, redelivery: Option<&Redelivery>) -> Evidence<'_> {
        let at = Now { wall: Millis(0), mono };
        Evidence { redelivery, under_packet: None, recent: false, device_ms: None, at, run: 1 }
    }

    fn seen(first: i64, last: i64) -> Seen {
        Seen { n: 1, first_mono: first, last_mono: last, run: 1, device_ms: None, first_device_ms: None }
    }

    #[test]
    fn a_double_read_is_one_scan_and_a_later_one_another() {
        let judged = |at, first, last| judge(Some(&seen(first, last)), &RULE, &evidence(at, None));
        assert_eq!(judged(1_999, 0, 0), Repeat::Same);
        assert_eq!(judged(2_000, 0, 0), Repeat::Another);
        assert_eq!(judged(9_999, 0, 8_500), Repeat::Same);
        assert_eq!(judged(10_000, 0, 8_500), Repeat::Another, "a burst is capped");
        assert_eq!(judge(None, &RULE, &evidence(0, None)), Repeat::Another);
    }

    #[test]
    fn a_redelivery_in_the_session_is_exact_whatever_time_has_passed() {
        let again = delivery(true, true, true);
        let mut e = evidence(900_000, Some(&again));
        e.under_packet = Some(UnderPacket::Open);
        assert_eq!(judge(Some(&seen(0, 0)), &RULE, &e), Repeat::Same);
        e.under_packet = None;
        assert_eq!(judge(Some(&seen(0, 899_999)), &RULE, &e), Repeat::Another, "sent before, never committed");
    }

    /// The broker had the acknowledgement of the message before: it may mean another one under the same identifier.
    #[test]
    fn a_redelivery_of_what_the_broker_was_proven_to_have_is_not_decided_silently() {
        let again = delivery(true, true, true);
        let mut e = evidence(900_000, Some(&again));
        e.under_packet = Some(UnderPacket::Proven);
        assert_eq!(judge(Some(&seen(0, 0)), &RULE, &e), Repeat::Ambiguous);
        assert_eq!(judge(Some(&seen(0, 0)), &Rule { once: true, ..RULE }, &e), Repeat::Same, "an SSCC passes once");
        let mut before = seen(0, 0);
        (before.device_ms, before.first_device_ms, e.device_ms) = (Some(1_000), Some(1_000), Some(61_000));
        assert_eq!(judge(Some(&before), &RULE, &e), Repeat::Another, "the device's own clock tells");
    }

    #[test]
    fn without_evidence_nothing_is_decided_silently() {
        let lost = delivery(false, true, false);
        let mut e = evidence(900_000, Some(&lost));
        assert_eq!(judge(Some(&seen(0, 0)), &RULE, &e), Repeat::Another, "not among the recent ones");
        e.recent = true;
        assert_eq!(judge(Some(&seen(0, 0)), &RULE, &e), Repeat::Ambiguous);
        assert_eq!(judge(Some(&seen(0, 0)), &Rule { once: true, ..RULE }, &e), Repeat::Same, "an SSCC passes once");
    }

    #[test]
    fn arrival_times_of_queued_messages_say_nothing() {
        let queued = delivery(true, false, true);
        let mut e = evidence(10, Some(&queued));
        assert_eq!(judge(Some(&seen(0, 0)), &RULE, &e), Repeat::Ambiguous);
        let mut before = seen(0, 0);
        (before.device_ms, before.first_device_ms, e.device_ms) = (Some(1_000), Some(1_000), Some(61_000));
        assert_eq!(judge(Some(&before), &RULE, &e), Repeat::Another, "the device's own clock tells");
        (before.device_ms, e.device_ms) = (Some(60_000), Some(61_000));
        assert_eq!(judge(Some(&before), &RULE, &e), Repeat::Another, "and its bursts are capped too");
        before.first_device_ms = Some(59_000);
        assert_eq!(judge(Some(&before), &RULE, &e), Repeat::Same);
    }

    #[test]
    fn ages_of_another_run_are_void() {
        let mut before = seen(0, 0);
        before.run = 0;
        assert_eq!(judge(Some(&before), &RULE, &evidence(10, None)), Repeat::Another);
    }
}
