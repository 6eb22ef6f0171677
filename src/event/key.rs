//! Keys: computed once from what the source said, stored, never recomputed for an event.
//!
//! `canon` puts each field's length (u32, big-endian) before its UTF-8 bytes, so that no two lists of fields collide.
//! An id is the first 16 bytes of SHA-256 over it, marked as a UUIDv8. Nothing that can change on a second decode is in
//! a key: no time, no payload, no event kind, no map version.

use std::fmt;

use super::Millis;
use sha2::{Digest, Sha256};

/// Crockford's base32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A 16-byte id, printed as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub [u8; 16]);

impl Id {
    fn of(fields: &[&str]) -> Self {
        let hash = digest(fields);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        id[6] = (id[6] & 0x0f) | 0x80; // version 8
        id[8] = (id[8] & 0x3f) | 0x80; // variant 10
        Self(id)
    }

    /// The id in the 16 bytes of `bytes`, if it has that length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let hex: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        if text.len() != 36 || hex.len() != 32 {
            return None;
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(hex.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (i, byte) in self.0.iter().enumerate() {
            at += usize::from(matches!(i, 4 | 6 | 8 | 10));
            text[at] = HEX[usize::from(byte >> 4)];
            text[at + 1] = HEX[usize::from(byte & 15)];
            at += 2;
        }
        f.write_str(std::str::from_utf8(&text).expect("hex digits and hyphens are ASCII"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn canon(fields: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(fields.iter().map(|f| f.len() + 4).sum());
    for field in fields {
        let length =
            u32::try_from(field.len()).expect("a key field is bounded by the source's own limits, far below 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(field.as_bytes());
    }
    out
}

fn digest(fields: &[&str]) -> [u8; 32] {
    Sha256::digest(canon(fields)).into()
}

/// `event_id` of a device event: site, device, epoch text, sequence text, ordinal.
pub fn device_event_id(site: &str, device: &str, epoch: &str, seq: &str, ordinal: u32) -> Id {
    Id::of(&["floorgate/event/1", site, device, epoch, seq, &ordinal.to_string()])
}

/// `event_id` of an event that a rule derived: site, rule, subject, cycle.
pub fn derived_event_id(site: &str, rule: &str, subject: &str, cycle: &str) -> Id {
    Id::of(&["floorgate/derived/1", site, rule, subject, cycle])
}

/// `event_id` of an event that a person made: site, who it was, their request's id.
pub fn manual_event_id(site: &str, actor: &str, request: &str) -> Id {
    Id::of(&["floorgate/manual/1", site, actor, request])
}

/// The key under which one system posts one event once: event, system, transaction type, revision.
pub fn posting_id(event: Id, system: &str, tx_type: &str, revision: u32) -> Id {
    Id::of(&["floorgate/post/1", &event.to_string(), system, tx_type, &revision.to_string()])
}

/// The id of a batch: its postings' ids, in order.
pub fn batch_id(postings: &[Id]) -> Id {
    let texts: Vec<String> = postings.iter().map(Id::to_string).collect();
    let mut fields = vec!["floorgate/batch/1"];
    fields.extend(texts.iter().map(String::as_str));
    Id::of(&fields)
}

/// The key of a request whose rows and bytes stay together: its batch, and when that left first. The same rows sent anew after
/// a definite refusal are another request.
pub fn request_id(batch: Id, first_sent: Millis) -> Id {
    Id::of(&["floorgate/request/1", &batch.to_string(), &first_sent.0.to_string()])
}

/// The W3C span id of one attempt to post: the first 8 bytes of SHA-256 over posting and attempt.
fn span_id(posting: Id, attempt: u32) -> [u8; 8] {
    let hash = digest(&["floorgate/span/1", &posting.to_string(), &attempt.to_string()]);
    hash[..8].try_into().expect("8 of 32 bytes are 8 bytes")
}

/// The W3C trace context of an attempt to post: the trace is an event's or a batch's id.
pub fn traceparent(trace: Id, posting: Id, attempt: u32) -> impl fmt::Display {
    let (trace, span) = (u128::from_be_bytes(trace.0), u64::from_be_bytes(span_id(posting, attempt)));
    fmt::from_fn(move |f| write!(f, "00-{trace:032x}-{span:016x}-01"))
}

/// The short form of a posting for narrow reference fields: "FG" and 70 bits of its hash in Crockford base32.
pub fn short_ref(event: Id, system: &str, tx_type: &str, revision: u32) -> String {
    let hash = digest(&["floorgate/post/1", &event.to_string(), system, tx_type, &revision.to_string()]);
    let bits = hash[..9].iter().fold(0u128, |n, byte| (n << 8) | u128::from(*byte)) >> 2;
    let digits = (0..14).rev().map(|i| ALPHABET[((bits >> (5 * i)) & 31) as usize] as char);
    "FG".chars().chain(digits).collect()
}

/// The first 6 bytes of the posting's key that has this short form: its bits from there on are marked as a UUID's.
pub fn key_of_short_ref(text: &str) -> Option<[u8; 6]> {
    let digits = text.strip_prefix("FG").filter(|digits| digits.len() == 14)?.bytes();
    let bits = digits.map(|digit| ALPHABET.iter().position(|letter| *letter == digit));
    let bits = bits.collect::<Option<Vec<usize>>>()?.into_iter().fold(0_u128, |n, digit| (n << 5) | digit as u128);
    (bits >> 22).to_be_bytes()[10..].try_into().ok()
}

/// What orders postings (`lane` in docs/erp.md), and its first 64 bits. A clash of those means shared order: harmless.
pub fn order_key(site: &str, business_unit: &str, order_class: &str, subject: &str) -> (String, i64) {
    let hash = digest(&[site, business_unit, order_class, subject]);
    let first = i64::from_be_bytes(hash[..8].try_into().expect("8 of 32 bytes are 8 bytes"));
    (format!("{site}/{business_unit}/{order_class}/{subject}"), first)
}

/// The first 16 bytes of SHA-256 over `bytes`: tells contents apart where they are looked up.
pub fn short_hash(bytes: &[u8]) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    hash[..16].try_into().expect("16 of 32 bytes are 16 bytes")
}

/// SHA-256 over the canonical form of `fields`, in lower-case hex.
pub fn content_hash(fields: &[&str]) -> String {
    hex(digest(fields))
}

/// SHA-256 over `bytes`, in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).into())
}

fn hex(hash: [u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut out, b| {
        use fmt::Write as _;
        write!(out, "{b:02x}").expect("writing to a String cannot fail");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the published key rules: they may never change.
    #[test]
    fn vectors_are_reproduced() {
        let event = device_event_id("HAM1", "CONV-07", "d:5A31", "18211", 0);
        assert_eq!(event.to_string(), "8be34a6d-183b-8ac9-9dc5-8bef23c21648");
        assert_eq!(posting_id(event, "erp", "goods_issue", 0).to_string(), "5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1");
        assert_eq!(posting_id(event, "erp", "goods_issue", 1).to_string(), "e7681f86-49a1-8d7c-8fac-f6c8bb7ea370");
        assert_eq!(short_ref(event, "erp", "goods_issue", 0), "FGBNFNRZDZDT3SMD");
        let span = span_id(posting_id(event, "erp", "goods_issue", 0), 1);
        assert_eq!(u64::from_be_bytes(span), 0x8e7d_ce6b_8c38_66f7);
        let text = b"\0\0\0\x11floorgate/event/1\0\0\0\x04HAM1";
        assert_eq!(canon(&["floorgate/event/1", "HAM1"]), text);
    }

    #[test]
    fn an_id_reads_back() {
        let id = device_event_id("HAM1", "CONV-07", "d:5A31", "18211", 0);
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        assert_eq!(Id::parse("8be34a6d"), None);
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        assert_ne!(device_event_id("a", "bc", "d:1", "1", 0), device_event_id("ab", "c", "d:1", "1", 0));
    }
}
