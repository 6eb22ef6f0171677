//! Frames out of a stream of bytes, however it was cut on its way; what is no frame is told too, and never more than
//! `most` bytes are held.

use std::mem;

/// How a frame begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// Between two texts, such as STX and ETX.
    Between { start: Vec<u8>, end: Vec<u8> },
    /// Up to a text.
    Until(Vec<u8>),
    /// A line: CR, LF or both end it, and an empty one is none.
    Line,
    /// So many bytes. Nothing in the stream tells where one begins: only silence does.
    Length(usize),
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A frame, without what frames it.
    Frame(Vec<u8>),
    /// Bytes that are no frame, and why.
    Junk(Vec<u8>, &'static str),
}

/// Takes bytes, gives frames.
#[derive(Debug, Clone)]
pub struct Framer {
    framing: Framing,
    most: usize,
    held: Vec<u8>,
    /// Where in the stream we are.
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a start.
    Outside,
    Inside,
    /// In what is left of a frame that was too long.
    TooLong,
}

const STRAY: &str = "bytes outside a frame";
const CUT: &str = "a frame that is not complete: a new one began";
const LONG: &str = "a frame longer than max_bytes";
const SILENCE: &str = "a frame that is not complete: nothing more came";

impl Framer {
    pub(super) fn new(framing: Framing, most: usize) -> Self {
        let at = Self::between(&framing);
        Self { framing, most, held: Vec::new(), at }
    }

    fn between(framing: &Framing) -> At {
        if matches!(framing, Framing::Between { .. }) { At::Outside } else { At::Inside }
    }

    /// The pieces that these bytes complete, in order.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for byte in bytes {
            self.held.push(*byte);
            pieces.extend(self.step());
        }
        pieces
    }

    /// Some bytes wait for more.
    pub fn is_open(&self) -> bool {
        self.at == At::Inside && !self.held.is_empty()
            || self.at != Self::between(&self.framing)
            || has_junk(&self.held)
    }

    /// Nothing more came: what is held is no frame, and the next byte begins afresh.
    pub fn cut(&mut self) -> Option<Piece> {
        let why = if self.at == At::Outside { STRAY } else { SILENCE };
        self.at = Self::between(&self.framing);
        self.junk(0, why)
    }

    fn step(&mut self) -> Option<Piece> {
        if let Framing::Between { start, .. } = &self.framing
            && self.held.ends_with(start)
        {
            let start = start.len();
            let why = match mem::replace(&mut self.at, At::Inside) {
                At::Outside => STRAY,
                At::Inside => CUT,
                At::TooLong => LONG,
            };
            return self.junk(start, why);
        }
        if self.at != At::Outside
            && let Some(end) = self.end()
        {
            let was = mem::replace(&mut self.at, Self::between(&self.framing));
            if was == At::TooLong {
                return self.junk(0, LONG);
            }
            let mut frame = mem::take(&mut self.held);
            frame.truncate(frame.len() - end);
            let is_frame = !frame.is_empty() || self.framing != Framing::Line;
            return is_frame.then_some(Piece::Frame(frame));
        }
        // An end may have begun: it is no part of the frame.
        if self.held.len() < self.most + self.longest_end() {
            return None;
        }
        let begun = self.held.split_off(self.held.len() - self.begun());
        let why = if self.at == At::Outside { STRAY } else { LONG };
        if self.at == At::Inside {
            self.at = At::TooLong;
        }
        let junk = self.junk(0, why);
        self.held = begun;
        junk
    }

    /// How many of the last bytes may begin a start, or an end where one is looked for.
    fn begun(&self) -> usize {
        let begins = |sign: &[u8]| (1..sign.len()).rev().find(|n| self.held.ends_with(&sign[..*n])).unwrap_or(0);
        match &self.framing {
            Framing::Between { start, .. } if self.at == At::Outside => begins(start),
            Framing::Between { start, end } => begins(start).max(begins(end)),
            Framing::Until(end) => begins(end),
            Framing::Line | Framing::Length(_) => 0,
        }
    }

    /// The length of the end that the held bytes have come to.
    fn end(&self) -> Option<usize> {
        match &self.framing {
            Framing::Between { end, .. } | Framing::Until(end) => self.held.ends_with(end).then_some(end.len()),
            Framing::Line => self.held.last().filter(|byte| is_line_end(**byte)).map(|_| 1),
            Framing::Length(length) => (self.held.len() == *length).then_some(0),
        }
    }

    fn longest_end(&self) -> usize {
        match &self.framing {
            Framing::Between { end, .. } | Framing::Until(end) => end.len(),
            Framing::Line | Framing::Length(_) => 1,
        }
    }

    /// What is held, without the last `keep` bytes, which framed what comes.
    fn junk(&mut self, keep: usize, why: &'static str) -> Option<Piece> {
        let mut held = mem::take(&mut self.held);
        held.truncate(held.len() - keep);
        has_junk(&held).then_some(Piece::Junk(held, why))
    }
}

/// Line ends between frames are nobody's loss.
fn has_junk(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| !is_line_end(*byte))
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 8;

    fn stx() -> Framing {
        Framing::Between { start: vec![2], end: vec![3] }
    }

    fn frame(text: &str) -> Piece {
        Piece::Frame(text.as_bytes().to_vec())
    }

    fn junk(text: &str, why: &'static str) -> Piece {
        Piece::Junk(text.as_bytes().to_vec(), why)
    }

    /// All that comes of the bytes when the line is silent behind them.
    fn pieces(framing: Framing, bytes: &str) -> Vec<Piece> {
        let mut framer = Framer::new(framing, MOST);
        let mut pieces = framer.push(bytes.as_bytes());
        pieces.extend(framer.cut());
        assert!(!framer.is_open());
        pieces
    }

    #[test]
    fn frames_between_two_signs() {
        assert_eq!(pieces(stx(), "\u{2}A1\u{3}\r\n\u{2}B2\u{3}"), [frame("A1"), frame("B2")]);
        assert_eq!(pieces(stx(), "xy\u{2}A1\u{3}z"), [junk("xy", STRAY), frame("A1"), junk("z", STRAY)]);
        assert_eq!(pieces(stx(), "\u{2}A\u{2}B1\u{3}"), [junk("A", CUT), frame("B1")]);
        assert_eq!(pieces(stx(), "\u{2}12345678\u{3}"), [frame("12345678")]);
        let long = [junk("123456789", LONG), junk("ab\u{3}", LONG), frame("B1")];
        assert_eq!(pieces(stx(), "\u{2}123456789ab\u{3}\u{2}B1\u{3}"), long);
        assert_eq!(pieces(stx(), "\u{2}A1"), [junk("A1", SILENCE)]);
        assert_eq!(pieces(stx(), "\u{2}\u{3}"), [frame("")]);
        let dle = Framing::Between { start: b"<<".to_vec(), end: b">>".to_vec() };
        assert_eq!(pieces(dle, "<<A<<<B>C>>"), [junk("A", CUT), frame("<B>C")]);
    }

    #[test]
    fn lines_and_other_ends() {
        assert_eq!(pieces(Framing::Line, "\r\nA1\r\nB2\rC3\n\n"), [frame("A1"), frame("B2"), frame("C3")]);
        assert_eq!(
            pieces(Framing::Line, "123456789ab\rB2\r"),
            [junk("123456789", LONG), junk("ab\r", LONG), frame("B2")]
        );
        assert_eq!(pieces(Framing::Until(b"\r\n".to_vec()), "A\rB\r\nC"), [frame("A\rB"), junk("C", SILENCE)]);
    }

    #[test]
    fn a_sign_that_lies_across_the_limit_is_seen() {
        let crlf = Framing::Until(b"\r\n".to_vec());
        assert_eq!(pieces(crlf, "xxxxxxxxx\r\nGOOD\r\n"), [junk("xxxxxxxxx", LONG), frame("GOOD")]);
        let signs = Framing::Between { start: b"<<".to_vec(), end: b">>".to_vec() };
        let stray = [junk("xxxxxxxxx", STRAY), frame("GOOD")];
        assert_eq!(pieces(signs.clone(), "xxxxxxxxx<<GOOD>>"), stray);
        let long = [junk("xxxxxxxxx", LONG), junk(">>", LONG), frame("GOOD")];
        assert_eq!(pieces(signs.clone(), "<<xxxxxxxxx>><<GOOD>>"), long);
        assert_eq!(pieces(signs, "<<xxxxxxxxx<<GOOD>>"), [junk("xxxxxxxxx", LONG), frame("GOOD")]);
    }

    #[test]
    fn a_start_begins_a_frame_behind_one_that_was_too_long() {
        let long = [junk("xxxxxxxxx", LONG), junk("yyyyy", LONG), frame("GOOD")];
        assert_eq!(pieces(stx(), "\u{2}xxxxxxxxxyyyyy\u{2}GOOD\u{3}"), long);
    }

    #[test]
    fn silence_alone_ends_what_has_a_length() {
        assert_eq!(pieces(Framing::Length(3), "A12B34C"), [frame("A12"), frame("B34"), junk("C", SILENCE)]);
        let mut framer = Framer::new(Framing::Length(3), MOST);
        assert_eq!((framer.push(b"A1"), framer.is_open()), (vec![], true));
        assert_eq!(framer.cut(), Some(junk("A1", SILENCE)));
        assert_eq!(framer.push(b"B34"), [frame("B34")]);
    }

    fn framings() -> impl Strategy<Value = Framing> {
        let between = Framing::Between { start: b"ab".to_vec(), end: b"ba".to_vec() };
        prop_oneof![
            Just(stx()),
            Just(between),
            Just(Framing::Line),
            Just(Framing::Until(b"\r\n".to_vec())),
            Just(Framing::Length(5))
        ]
    }

    proptest! {
        /// Where the stream is cut on its way changes nothing, no byte is lost but what frames, and little is held.
        #[test]
        fn a_stream_is_the_same_however_it_is_cut(
            framing in framings(),
            bytes in proptest::collection::vec(prop_oneof![Just(2_u8), Just(3), Just(b'a'), Just(b'b'), Just(b'\r'), Just(b'\n'), Just(b'x')], 0..80),
            cuts in proptest::collection::vec(0_usize..80, 0..10),
        ) {
            let whole = Framer::new(framing.clone(), MOST).push(&bytes);
            let mut framer = Framer::new(framing, MOST);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            for pair in cuts.windows(2) {
                pieces.extend(framer.push(&bytes[pair[0]..pair[1]]));
                prop_assert!(framer.held.len() <= MOST + 2);
            }
            prop_assert_eq!(&pieces, &whole);
            pieces.extend(framer.cut());
            let kept: Vec<u8> = pieces.into_iter().flat_map(|piece| match piece { Piece::Frame(b) | Piece::Junk(b, _) => b }).collect();
            let only_x = |bytes: &[u8]| bytes.iter().copied().filter(|byte| *byte == b'x').collect::<Vec<_>>();
            prop_assert_eq!(only_x(&kept), only_x(&bytes));
        }

        /// Whatever came before, after a silence the next frame is read.
        #[test]
        fn after_a_silence_a_good_frame_is_read(framing in framings(), noise in proptest::collection::vec(any::<u8>(), 0..40)) {
            let good: &[u8] = match &framing {
                Framing::Between { start, .. } if start.len() == 1 => b"\x02GOOD\x03",
                Framing::Between { .. } => b"abGOODba",
                Framing::Line | Framing::Until(_) => b"GOOD\r\n",
                Framing::Length(_) => b"GOOD5",
            };
            let mut framer = Framer::new(framing, MOST);
            framer.push(&noise);
            framer.cut();
            let pieces = framer.push(good);
            let read = matches!(&pieces[..], [Piece::Frame(frame)] if frame.starts_with(b"GOOD"));
            prop_assert!(read, "{:?}", pieces);
        }
    }
}
