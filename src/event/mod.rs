//! What happened on the floor, and the keys that name it for ever.
//!
//! Layer 0: plain data. Nothing here reads a clock, a socket or a file.

mod canonical;
mod key;
mod legible;
mod sample;
mod time;

pub use canonical::{Canonical, one_of, travels_as_text};
pub use key::{
    Id, batch_id, content_hash, derived_event_id, device_event_id, key_of_short_ref, manual_event_id, order_key,
    posting_id, request_id, sha256_hex, short_hash, short_ref, traceparent,
};
pub use legible::{Legible, steers};
pub use sample::{
    Decoded, DeviceEvent, Fields, Memory, Position, Redelivery, Repeat, Sample, Undecodable, Unread, Value, is_valid_id,
};
pub use time::{Millis, Now};
