//! The integration tests, in one binary.
//!
//! What needs no other program runs under a plain `cargo test`. Tests with real peers (mosquitto, a pymodbus PLC, a
//! file system of their own) run when `tests/run` names those peers in the environment, and say SKIPPED otherwise.

mod layers;
mod oracle;
mod simulator;
