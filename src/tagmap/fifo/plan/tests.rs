//! The handshake against a simulated PLC: any poll phase, wraps, restarts, failed acks, torn slots, overruns.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SLOTS: u16 = 32;

fn at(head: u16, ack: u16, epoch: u32) -> Registers {
    Registers { head, ack, epoch: Some(epoch) }
}

/// A handshake that committed up to `seq` in `epoch`.
fn stands(epoch: &str, seq: u16) -> Handshake {
    let mut handshake = Handshake::new(SLOTS, SLOTS, true);
    handshake.resume(epoch, i64::from(seq));
    handshake
}

/// The plan as (base, after, count), seen twice when the first look does not decide.
fn plan(handshake: &mut Handshake, registers: Registers) -> (u16, u16, u16) {
    let plan = handshake.plan(registers).or_else(|| handshake.plan(registers)).expect("the second look decides");
    (plan.base, plan.after, plan.count)
}

#[test]
fn reading_goes_on_from_what_was_committed_whatever_the_ack_register_says() {
    for ack in [5, 7, 9, 1000] {
        assert_eq!(plan(&mut stands("d:0003", 7), at(9, ack, 3)), (7, 7, 2));
    }
    assert_eq!(plan(&mut stands("d:0003", 7), at(7, 5, 3)), (7, 7, 0), "idle, and the ack register is due");
    assert_eq!(plan(&mut stands("d:0003", 65534), at(2, 65534, 3)), (65534, 65534, 4), "the counter wraps");
}

#[test]
fn a_plc_that_was_never_seen_is_read_from_its_ack_register() {
    let mut fresh = Handshake::new(SLOTS, SLOTS, true);
    assert_eq!(plan(&mut fresh, at(9, 6, 3)), (6, 6, 3));
    assert_eq!(plan(&mut fresh, at(6, 6, 3)), (6, 6, 0));
}

#[test]
fn an_overrun_reads_the_newest_slots() {
    assert_eq!(plan(&mut stands("d:0003", 7), at(39, 7, 3)), (7, 7, 32), "a full ring is none");
    assert_eq!(plan(&mut stands("d:0003", 7), at(42, 7, 3)), (7, 10, 32));
}

#[test]
fn a_new_epoch_is_believed_when_it_is_seen_twice_and_read_from_its_first_event() {
    let mut handshake = stands("d:0003", 500);
    assert_eq!(handshake.plan(at(500, 500, 0)), None, "the counters of a PLC that is starting");
    assert_eq!(handshake.plan(at(2, 500, 4)), None);
    let plan = handshake.plan(at(2, 500, 4)).expect("seen twice");
    assert_eq!(plan, FifoPlan { base: 0, restarted: true, after: 0, count: 2 });
    handshake.committed(Some(4), 2);
    assert_eq!(handshake.plan(at(2, 2, 4)), Some(FifoPlan { base: 2, restarted: false, after: 2, count: 0 }));
}

#[test]
fn without_an_epoch_register_the_ack_register_is_the_truth_and_a_head_behind_it_a_restart() {
    let mut handshake = Handshake::new(SLOTS, SLOTS, true);
    let at = |head, ack| Registers { head, ack, epoch: None };
    assert_eq!(plan(&mut handshake, at(12, 10)), (10, 10, 2));
    handshake.committed(None, 12);
    assert_eq!(plan(&mut handshake, at(12, 10)), (10, 10, 2), "sent again: the outbox tells it apart");
    assert_eq!(plan(&mut handshake, at(3, 0)), (0, 0, 3));
    assert_eq!(plan(&mut handshake, at(3, 100)), (0, 0, 3), "behind: a restart");
}

#[test]
fn what_this_process_handed_on_is_not_forgotten_for_an_older_commit() {
    let mut handshake = stands("d:0003", 7);
    handshake.committed(Some(3), 9); // 8 and 9 were undecodable: the outbox has no position for them
    handshake.resume("d:0003", 7);
    assert_eq!(plan(&mut handshake, at(10, 9, 3)), (9, 9, 1));
    handshake.resume("d:0004", 1);
    assert_eq!(plan(&mut handshake, at(3, 1, 4)), (1, 1, 2));
}

#[test]
fn a_slot_that_stays_torn_is_handed_on_in_the_third_poll() {
    let mut handshake = stands("d:0003", 6);
    let registers = at(9, 6, 3);
    let whole = |seq| if seq == 8 { Err("is torn".to_owned()) } else { Ok(()) };
    let mut poll = |base| {
        let plan = handshake.plan(registers).expect("nothing is new");
        assert_eq!(plan.base, base);
        let accepted = handshake.accept(&plan, registers, registers, whole).expect("nothing changed");
        if let Some(last) = accepted.taken.last() {
            handshake.committed(Some(3), last.seq);
        }
        accepted.taken.into_iter().map(|taken| (taken.seq, taken.torn.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(poll(6), [(7, false)]);
    assert_eq!(poll(7), []);
    assert_eq!(poll(7), []);
    assert_eq!(poll(7), [(8, true), (9, false)]);
}

#[test]
fn a_restart_while_the_slots_are_read_drops_them() {
    let mut handshake = stands("d:0003", 6);
    let plan = handshake.plan(at(9, 6, 3)).expect("nothing is new");
    assert_eq!(handshake.accept(&plan, at(9, 6, 3), at(9, 0, 4), |_| Ok(())), None);
}

#[test]
fn without_a_crc_a_slot_that_may_have_been_overwritten_while_it_was_read_is_missing() {
    let mut handshake = Handshake::new(SLOTS, SLOTS, false);
    let (before, after) = (at(32, 0, 3), at(34, 0, 3));
    let plan = handshake.plan(before).expect("nothing is new");
    let accepted = handshake.accept(&plan, before, after, |_| Ok(())).expect("the same run");
    assert_eq!(accepted.missing, [Missing { first: 1, count: 2 }]);
    assert_eq!(accepted.missing[0].to_string(), "1..=2");
    assert_eq!(accepted.taken.len(), 30);
}

/// What a run of the PLC produced, by full number.
type Run = BTreeMap<u64, u64>;

/// The PLC: counters without wrap, slots as (number, content, torn reads left).
struct Plc {
    careless: bool,
    epoch: u32,
    /// The counter at the start of this run.
    first: u64,
    head: u64,
    ack_register: u16,
    acked: u64,
    ring: Vec<(u64, u64, u8)>,
    queued: u64,
    produced: BTreeMap<u32, Run>,
    serial: u64,
    tear: u8,
}

impl Plc {
    fn new(base: u64, careless: bool) -> Self {
        let ring = vec![(0, 0, 0); usize::from(SLOTS)];
        let produced = BTreeMap::from([(1, Run::new())]);
        let (ack_register, epoch) = (base as u16, 1);
        Self {
            careless,
            epoch,
            first: base,
            head: base,
            ack_register,
            acked: base,
            ring,
            queued: 0,
            produced,
            serial: 0,
            tear: 0,
        }
    }

    fn fill(&mut self) {
        while self.queued > 0 && (self.careless || self.head - self.acked < u64::from(SLOTS)) {
            self.queued -= 1;
            self.head += 1;
            self.serial += 1;
            let slot = (self.head - 1) % u64::from(SLOTS);
            self.ring[slot as usize] = (self.head, self.serial, std::mem::take(&mut self.tear));
            self.produced.entry(self.epoch).or_default().insert(self.head, self.serial);
        }
    }

    fn write_ack(&mut self, value: u16) {
        self.ack_register = value;
        let ahead = u64::from(value.wrapping_sub(self.acked as u16));
        if ahead <= self.head - self.acked {
            self.acked += ahead;
        }
        self.fill();
    }

    fn restart(&mut self) {
        self.epoch += 1;
        self.first = 0;
        (self.head, self.acked, self.ack_register, self.queued) = (0, 0, 0, 0);
        self.produced.insert(self.epoch, Run::new());
    }

    fn status(&self, with_epoch: bool) -> Registers {
        let epoch = with_epoch.then_some(self.epoch);
        Registers { head: self.head as u16, ack: self.ack_register, epoch }
    }

    fn read_slot(&mut self, seq: u16) -> (u16, u64, bool) {
        let slot = &mut self.ring[usize::from(seq.wrapping_sub(1) % SLOTS)];
        let torn = slot.2 > 0;
        slot.2 = slot.2.saturating_sub(1);
        (slot.0 as u16, slot.1, torn)
    }
}

/// What the floor does between two requests of the gateway.
#[derive(Debug, Clone)]
enum Floor {
    Push(u8),
    Tear(u8),
    Restart,
    Resend,
}

/// One poll: what happens between its requests, and what goes wrong.
#[derive(Debug, Clone)]
struct Poll {
    floor: [Vec<Floor>; 4],
    /// The ack write is lost.
    ack_fails: bool,
    /// The process dies after the commit.
    dies: bool,
    /// The outbox is full.
    full: bool,
}

/// The gateway's side: what is durable, and what was told.
#[derive(Default)]
struct Gateway {
    stored: BTreeMap<(u32, u64), u64>,
    bad: BTreeSet<(u32, u64)>,
    missing: BTreeSet<(u32, u64)>,
    last: Option<(u32, u64)>,
    resent: usize,
}

impl Gateway {
    /// Stored, or kept as undecodable, or told as missing.
    fn knows(&self, key: (u32, u64)) -> bool {
        self.stored.contains_key(&key) || self.bad.contains(&key) || self.missing.contains(&key)
    }

    /// A 16-bit number as the full one, next to where this run stands.
    fn extend(&self, epoch: u32, base: u64, seq: u16) -> u64 {
        let near = match self.last {
            Some((e, last)) if e == epoch => last,
            None if epoch == 1 => base,
            _ => 0,
        };
        let ahead = i64::from(seq.wrapping_sub(near as u16).cast_signed());
        near.checked_add_signed(ahead).expect("the sequence never goes below zero")
    }
}

fn polls(restarts: bool) -> impl Strategy<Value = Vec<Poll>> {
    let floor = prop_oneof![
        40 => (1u8..6).prop_map(Floor::Push),
        2 => (20u8..80).prop_map(Floor::Push),
        4 => (1u8..6).prop_map(Floor::Tear),
        if restarts { 2 } else { 0 } => Just(Floor::Restart),
        2 => Just(Floor::Resend),
    ];
    let floors = prop::array::uniform4(prop::collection::vec(floor, 0..3));
    let odds = |p| prop::bool::weighted(p);
    let poll = (floors, odds(0.15), odds(0.05), odds(0.1)).prop_map(|(floor, ack_fails, dies, full)| Poll {
        floor,
        ack_fails,
        dies,
        full,
    });
    prop::collection::vec(poll, 1..120)
}

fn happen(plc: &mut Plc, floor: &[Floor]) {
    for act in floor {
        match act {
            Floor::Push(count) => plc.queued += u64::from(*count),
            Floor::Tear(reads) => plc.tear = *reads,
            Floor::Restart => plc.restart(),
            Floor::Resend => {
                let in_ring = plc.head.saturating_sub(u64::from(SLOTS)).max(plc.first);
                plc.ack_register = plc.acked.saturating_sub(5).max(in_ring).min(plc.acked) as u16;
            }
        }
        plc.fill();
    }
}

/// One poll as the source does it. Returns the handshake: a new one when the process died.
fn poll(plc: &mut Plc, gateway: &mut Gateway, mut handshake: Handshake, poll: &Poll, base: u64) -> Handshake {
    happen(plc, &poll.floor[0]);
    let before = plc.status(true);
    let Some(plan) = handshake.plan(before) else { return handshake };
    happen(plc, &poll.floor[1]);
    let epoch = before.epoch.expect("this PLC has a restart count");
    let mut read: BTreeMap<u16, (u16, u64, bool)> = BTreeMap::new();
    for seq in (1..=plan.count).map(|i| plan.after.wrapping_add(i)) {
        read.insert(seq, plc.read_slot(seq));
        if seq % 7 == 0 {
            happen(plc, &poll.floor[2]);
        }
    }
    let after = plc.status(true);
    let whole = |seq: u16| match read[&seq] {
        (own, _, false) if own == seq => Ok(()),
        _ => Err("is torn".to_owned()),
    };
    let mut done = plan.base;
    if let Some(accepted) = handshake.accept(&plan, before, after, whole).filter(|_| !poll.full) {
        for missing in &accepted.missing {
            for seq in (0..missing.count).map(|i| missing.first.wrapping_add(i)) {
                let full = gateway.extend(epoch, base, seq);
                gateway.missing.insert((epoch, full));
            }
        }
        for taken in &accepted.taken {
            let full = gateway.extend(epoch, base, taken.seq);
            if taken.torn.is_some() {
                gateway.bad.insert((epoch, full));
            } else if let Some(stored) = gateway.stored.insert((epoch, full), read[&taken.seq].1) {
                gateway.resent += 1;
                assert_eq!(stored, read[&taken.seq].1, "a resend has equal bytes");
            }
            gateway.last = Some((epoch, full));
        }
        if let Some(last) = accepted.taken.last() {
            handshake.committed(before.epoch, last.seq);
            done = last.seq;
        }
    }
    if poll.dies {
        let mut fresh = Handshake::new(SLOTS, SLOTS, true);
        if let Some((epoch, last)) = gateway.last {
            fresh.resume(&format!("d:{epoch:04X}"), last as i64);
        }
        return fresh;
    }
    happen(plc, &poll.floor[3]);
    if done != before.ack && !poll.ack_fails && plc.epoch == epoch {
        plc.write_ack(done);
    }
    handshake
}

/// Runs `script`, then quiet polls until everything is read.
fn run(base: u64, careless: bool, script: &[Poll]) -> (Plc, Gateway) {
    let (mut plc, mut gateway) = (Plc::new(base, careless), Gateway::default());
    let mut handshake = Handshake::new(SLOTS, SLOTS, true);
    let quiet = Poll { floor: Default::default(), ack_fails: false, dies: false, full: false };
    let mut checked = (plc.epoch, plc.acked);
    for step in script.iter().chain(std::iter::repeat_n(&quiet, 400)) {
        handshake = poll(&mut plc, &mut gateway, handshake, step, base);
        if checked.0 != plc.epoch {
            checked.1 = 0;
        }
        for seq in checked.1.max(plc.first) + 1..=plc.acked {
            assert!(gateway.knows((plc.epoch, seq)), "{seq} was acknowledged before it was durable");
        }
        checked = (plc.epoch, plc.acked);
    }
    (plc, gateway)
}

/// Every event of the PLC's last run is stored with its content, or kept as torn, or told as missing; no other number
/// was ever told, and none that was told is there.
fn check(plc: &Plc, gateway: &Gateway) {
    for (key, content) in &gateway.stored {
        assert_eq!(plc.produced[&key.0].get(&key.1), Some(content), "{key:?} has the content of its own event");
        assert!(!gateway.missing.contains(key), "{key:?} is stored and was told as missing");
    }
    for (epoch, seq) in gateway.missing.iter().chain(&gateway.bad) {
        assert!(plc.produced[epoch].contains_key(seq), "{epoch}/{seq} was never produced");
    }
    for seq in plc.produced[&plc.epoch].keys() {
        assert!(gateway.knows((plc.epoch, *seq)), "{seq} is lost: {:?}", gateway.last);
    }
    assert_eq!((plc.queued, plc.ack_register), (0, plc.head as u16), "the FIFO is drained and acknowledged");
}

fn bases() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 65_400u64..65_540, 32_700u64..32_800]
}

proptest! {
    #[test]
    fn a_careful_plc_loses_nothing(base in bases(), script in polls(true)) {
        let (plc, gateway) = run(base, false, &script);
        check(&plc, &gateway);
        prop_assert!(gateway.missing.is_empty());
    }

    #[test]
    fn a_careless_plc_loses_exactly_what_is_told(base in bases(), script in polls(true)) {
        let (plc, gateway) = run(base, true, &script);
        check(&plc, &gateway);
    }

    #[test]
    fn with_a_restart_count_nothing_is_read_twice_unless_undecodable_slots_came_last(script in polls(false)) {
        let (_, gateway) = run(0, false, &script);
        prop_assert!(gateway.resent == 0 || !gateway.bad.is_empty());
    }
}

#[test]
fn a_queue_is_taken_from_where_it_was_left() {
    let whole = |seqs: &[u16]| seqs.iter().map(|seq| (*seq, Ok(()))).collect::<Vec<_>>();
    let seqs = |accepted: &Accepted| accepted.taken.iter().map(|taken| taken.seq).collect::<Vec<_>>();
    let mut handshake = Handshake::new(3, 3, true);
    let accepted = handshake.take(65_534, Some(1), &whole(&[65_534, 65_535, 0]));
    assert_eq!((seqs(&accepted), accepted.missing.len()), (vec![65_535, 0], 0), "what is done is not taken again");
    let accepted = handshake.take(3, Some(1), &whole(&[6, 7, 9]));
    let missing: Vec<_> = accepted.missing.iter().map(ToString::to_string).collect();
    assert_eq!((seqs(&accepted), missing), (vec![6, 7, 9], vec!["4..=5".to_owned(), "8..=8".to_owned()]));
    let torn = [(6, Ok(())), (7, Err("is torn".to_owned())), (8, Ok(()))];
    for _ in 1..TORN_POLLS {
        let accepted = handshake.take(5, Some(1), &torn);
        assert_eq!((seqs(&accepted), accepted.torn), (vec![6], Some((7, "is torn".to_owned()))));
    }
    let accepted = handshake.take(5, Some(1), &torn);
    assert_eq!((seqs(&accepted), accepted.torn), (vec![6, 7, 8], None), "it does not block the queue");
}

#[test]
fn a_queues_number_that_goes_back_is_no_gap() {
    let mut handshake = Handshake::new(3, 3, true);
    let accepted = handshake.take(6, Some(1), &[(7, Ok(())), (9, Ok(())), (8, Ok(()))]);
    let seqs: Vec<u16> = accepted.taken.iter().map(|taken| taken.seq).collect();
    assert_eq!((seqs, accepted.missing), (vec![7, 9], vec![Missing { first: 8, count: 1 }]));
    assert_eq!(accepted.torn, Some((8, "carries number 8 where 10 is due".to_owned())));
}
