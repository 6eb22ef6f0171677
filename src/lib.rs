//! floorgate: the gateway between a warehouse floor and its ERP.
//!
//! Conveyor PLCs (Modbus) and scanners (MQTT) are read, each happening is kept in a local SQLite outbox, and posted in
//! batches to the ERP: exactly once in effect, in order for each subject, or visibly parked with a reason.
//!
//! Data flows one way and the modules are layers: a module imports only from layers strictly below its own
//! (`tests/it/layers.rs` reads the `use` lines and holds that). `ARCHITECTURE.md` has the picture.

pub mod event; // layer 0: ids, keys, time, samples
pub mod form; // layer 0: reading a TOML file with all its faults at once

pub mod inbox; // layer 1: which happening is new, which one came before (pure)
pub mod lane; // layer 1: what to send next, what an answer means (pure)
pub mod milestone; // layer 1: what a device event means for the business (pure)
pub mod tagmap; // layer 1: bytes to device events (pure)

pub mod outbox; // layer 2: the only one that knows SQLite
pub mod target; // layer 2: the wire to the ERP

pub mod dispatch; // layer 3: drives targets with what the outbox hands out
pub mod source; // layer 3: MQTT and Modbus

pub mod config; // layer 4: files, secrets, diagnostics
pub mod control; // layer 4: the socket that tells how a gateway is doing

pub mod app; // layer 5: build, run, drain

pub mod cli; // layer 6: one file a verb

#[cfg(feature = "sim")]
pub mod sim; // beside `app`: the demo's world; uses the public surface only
