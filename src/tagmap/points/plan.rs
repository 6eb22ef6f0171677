//! Which reads become one request.
//!
//! Neighbours are joined when what lies between them is cheaper to read than a second request costs: up to `gap` words
//! or bits, never past what one request may have. A read that is `alone` is never joined: tags of one `group` come from
//! one request, and that request has nothing else that a device might refuse.

use super::Read;

/// What one request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Registers read for nothing rather than a second request.
    pub gap_words: u16,
    /// Bits read for nothing rather than a second request.
    pub gap_bits: u16,
    /// Most registers of one request; the protocol allows 125.
    pub max_words: u16,
    /// Most bits of one request; the protocol allows 2000.
    pub max_bits: u16,
}

impl Default for Limits {
    /// What most devices answer.
    fn default() -> Self {
        Self { gap_words: 8, gap_bits: 64, max_words: 100, max_bits: 1_000 }
    }
}

impl Limits {
    /// What both allow: for reads of several devices.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self {
            gap_words: self.gap_words.min(other.gap_words),
            gap_bits: self.gap_bits.min(other.gap_bits),
            max_words: self.max_words.min(other.max_words),
            max_bits: self.max_bits.min(other.max_bits),
        }
    }

    /// Largest gap and longest request for that read's table.
    fn of(self, read: Read) -> (u32, u32) {
        let (gap, most) =
            if read.area.is_bits() { (self.gap_bits, self.max_bits) } else { (self.gap_words, self.max_words) };
        (u32::from(gap), u32::from(most))
    }
}

/// One request for several reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// What to ask for.
    pub read: Read,
    /// Which of the joined reads its answer holds: [`super::Got::part`] takes it apart.
    pub parts: Vec<usize>,
}

/// Joins `reads` into as few requests as `limits` allow; those of several devices behind one unit, too. In the order of
/// tables and addresses.
pub fn join(reads: &[Read], limits: &Limits) -> Vec<Joint> {
    let mut order: Vec<usize> = (0..reads.len()).collect();
    order.sort_by_key(|i| (reads[*i].area, reads[*i].at, reads[*i].count));
    let mut joints: Vec<Joint> = Vec::new();
    for index in order {
        let read = reads[index];
        // Reads that stand alone lie between the others: the last joint of the same table need not be the last one.
        let open = joints.iter_mut().rev().find(|joint| joint.read.area == read.area && !joint.read.alone);
        match open.filter(|_| !read.alone).and_then(|joint| Some((joined(joint.read, read, *limits)?, joint))) {
            Some((wider, joint)) => {
                joint.read = wider;
                joint.parts.push(index);
            }
            None => joints.push(Joint { read, parts: vec![index] }),
        }
    }
    joints
}

/// Both in one request; `first` does not lie behind `second`.
fn joined(first: Read, second: Read, limits: Limits) -> Option<Read> {
    let (gap, most) = limits.of(first);
    let end = |read: Read| u32::from(read.at) + u32::from(read.count);
    let near = u32::from(second.at) <= end(first) + gap;
    let count = end(first).max(end(second)) - u32::from(first.at);
    (near && count <= most).then(|| Read { count: u16::try_from(count).unwrap_or(u16::MAX), ..first })
}

/// The requests of one poll, and which tags each brings.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    requests: Vec<Request>,
}

/// One request; its atoms are what can't be split: a tag, or the tags of a group.
#[derive(Debug, Clone)]
struct Request {
    read: Read,
    atoms: Vec<Atom>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Atom {
    pub(super) read: Read,
    /// Indexes of tags.
    pub(super) tags: Vec<usize>,
}

impl Plan {
    /// Joins `atoms` as far as `limits` allow.
    pub(super) fn new(atoms: &[Atom], limits: Limits) -> Self {
        let reads: Vec<Read> = atoms.iter().map(|atom| atom.read).collect();
        let request = |joint: Joint| Request {
            read: joint.read,
            atoms: joint.parts.iter().map(|part| atoms[*part].clone()).collect(),
        };
        Self { requests: join(&reads, &limits).into_iter().map(request).collect() }
    }

    pub(super) fn reads(&self) -> Vec<Read> {
        self.requests.iter().map(|request| request.read).collect()
    }

    /// The tags that request number `read` brings.
    pub(super) fn tags(&self, read: usize) -> impl Iterator<Item = usize> + '_ {
        self.requests.get(read).into_iter().flat_map(|r| &r.atoms).flat_map(|atom| &atom.tags).copied()
    }

    /// Reads what was refused again, by itself.
    pub(super) fn add(&mut self, atom: Atom) {
        self.requests.push(Request { read: Read { alone: true, ..atom.read }, atoms: vec![atom] });
    }

    /// The device refuses request number `read`: it becomes two, or what it can't do without is returned, and no longer
    /// read.
    pub(super) fn refuse(&mut self, read: usize) -> Option<Atom> {
        if read >= self.requests.len() {
            return None;
        }
        let mut refused = self.requests.remove(read);
        if refused.atoms.len() < 2 {
            return refused.atoms.pop();
        }
        let second = refused.atoms.split_off(refused.atoms.len() / 2);
        for (i, atoms) in [refused.atoms, second].into_iter().enumerate() {
            let end = atoms.iter().map(|a| u32::from(a.read.at) + u32::from(a.read.count)).max().unwrap_or_default();
            let first = atoms[0].read;
            let count = u16::try_from(end - u32::from(first.at)).unwrap_or(u16::MAX);
            self.requests.insert(read + i, Request { read: Read { count, alone: true, ..first }, atoms });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Area, Got};
    use super::*;

    fn read(area: Area, at: u16, count: u16) -> Read {
        Read { area, at, count, alone: false }
    }

    /// 39 lanes of four tags each: lane 17 does not exist, the bits of lane 33 lie elsewhere.
    fn lanes() -> Vec<Read> {
        let lane = |lane: u16| {
            let bits = if lane == 33 { 900 } else { 100 + (lane - 1) * 4 };
            [
                read(Area::Discrete, bits, 1),
                read(Area::Discrete, bits + 1, 1),
                read(Area::Coil, bits + 2, 1),
                read(Area::Input, 1_000 + (lane - 1) * 10, 2),
            ]
        };
        (1..=40).filter(|l| *l != 17).flat_map(lane).collect()
    }

    #[test]
    fn thirty_nine_lanes_are_a_handful_of_requests() {
        let lanes = lanes();
        assert_eq!(lanes.len(), 156);
        let requests = |gap, max_words| {
            let limits = Limits { gap_words: gap, gap_bits: gap, max_words, max_bits: 2_000 };
            join(&lanes, &limits).len()
        };
        assert_eq!([requests(0, 125), requests(4, 125), requests(8, 125)], [117, 47, 8]);
        assert_eq!(join(&lanes, &Limits::default()).len(), 9, "at most 100 registers a request");
    }

    #[test]
    fn an_answer_is_taken_apart_as_it_was_joined() {
        let mut reads = lanes();
        reads.reverse();
        for joint in join(&reads, &Limits::default()) {
            let range = joint.read.at..joint.read.at + joint.read.count;
            let got = if joint.read.area.is_bits() {
                Got::Bits(range.map(|at| at % 3 == 0).collect())
            } else {
                Got::Words(range.collect())
            };
            for part in joint.parts.iter().map(|i| reads[*i]) {
                let range = part.at..part.at + part.count;
                let own = if part.area.is_bits() {
                    Got::Bits(range.map(|at| at % 3 == 0).collect())
                } else {
                    Got::Words(range.collect())
                };
                assert_eq!(got.part(&joint.read, &part), Some(own));
            }
        }
    }

    #[test]
    fn what_stands_alone_is_never_joined() {
        let group = Read { alone: true, ..read(Area::Holding, 2, 2) };
        let reads = [read(Area::Holding, 0, 2), group, read(Area::Holding, 4, 1), read(Area::Input, 5, 1)];
        let joints: Vec<(u16, u16, Vec<usize>)> =
            join(&reads, &Limits::default()).into_iter().map(|j| (j.read.at, j.read.count, j.parts)).collect();
        assert_eq!(joints, [(5, 1, vec![3]), (0, 5, vec![0, 2]), (2, 2, vec![1])]);
    }
}
