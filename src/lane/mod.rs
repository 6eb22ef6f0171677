//! Delivery: what to send next, and what an answer means. Pure: no clock, no socket, no SQL.
//!
//! A lane is (system, site, business unit, group of transaction types): the unit of batches, order, backoff and backlog.

mod act;
mod advice;
mod answer;
mod category;
mod config;
mod edit;
mod gate;
mod lanes;
mod machine;
mod outcome;
mod render;

pub use act::{Act, Becomes, Parked, decide};
pub use advice::{advice, while_held};
pub use answer::{
    AnswerShape, Dialect, Expected, Head, Location, Reply, Rule, Subject, Task, Test, classify, classify_lookup,
    classify_poll, classify_tasks, is_done, tasks_of, unanswered,
};
pub use category::{Category, Desk, Desks, end_of, sentence};
pub use config::{Config, Idempotency, KeyScope, Worth};
pub use edit::{Change, Edited, edited};
pub use gate::{Limits, Standing, Trouble, Why};
pub use lanes::{Lanes, Late, Stopped, System};
pub use machine::{Accepted, Action, Exception, Input, Lane, Overdue, Row, RowKey, SavedBatch, Storm, WINDOW, Way};
pub use outcome::{Answer, By, Class, Errand, Later, Outcome, Outgoing};
pub use render::{Format, Posting, RENDERER, fingerprint, render, size};
