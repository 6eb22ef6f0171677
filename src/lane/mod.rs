//! Delivery: what to send next, and what an answer means. Pure: no clock, no socket, no SQL.
//!
//! A lane is (system, site, business unit, group of transaction types): the unit of batches, order, backoff and backlog.

mod act;
mod answer;
mod category;
mod config;
mod edit;
mod machine;
mod outcome;
mod render;

pub use act::{Act, Becomes, Parked, decide};
pub use answer::{AnswerShape, Reply, classify, classify_lookup};
pub use category::{Category, Desk, Desks, sentence};
pub use config::{Config, Idempotency, Worth};
pub use edit::{Change, edited};
pub use machine::{Action, Exception, Input, Lane, Row, RowKey, SavedBatch, WINDOW};
pub use outcome::{Answer, Class, Errand, Outcome, Outgoing};
pub use render::{Format, Posting, RENDERER, fingerprint, render, size};
