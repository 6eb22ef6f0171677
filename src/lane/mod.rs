//! Delivery: what to send next, and what an answer means. Pure: no clock, no socket, no SQL.
//!
//! A lane is (system, site, business unit, group of transaction types): the unit of batches, order, backoff and backlog.

mod act;
mod answer;
mod category;
mod config;
mod gate;
mod lanes;
mod machine;
mod outcome;
mod render;

pub use act::{Act, Becomes, Parked, decide};
pub use answer::{AnswerShape, Reply, classify, classify_lookup};
pub use category::{Category, sentence};
pub use config::{Config, Idempotency, Worth};
pub use gate::{Limits, Standing, Why};
pub use lanes::{Lanes, Stopped, System};
pub use machine::{Action, Exception, Input, Lane, Row, RowKey, SavedBatch, Storm, WINDOW};
pub use outcome::{Answer, Class, Errand, Outcome, Outgoing};
pub use render::{Format, Posting, RENDERER, fingerprint, render, size};
