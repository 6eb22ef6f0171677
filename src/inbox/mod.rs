//! Which happening is new, and which one came before (docs/adr/0005, 0008). Pure: what is stored is handed in.
//!
//! Counted sources are judged by their position, all others by their content. A wrong answer here is goods lost (two
//! happenings taken for one) or booked twice (one taken for two), so where the evidence is missing the answer is
//! [`Repeat::Ambiguous`], never a guess.

mod occurrence;
mod position;

pub use occurrence::{Evidence, Repeat, Seen, UnderPacket, judge};
pub use position::{Counter, Placement, Stored, extend, place};
