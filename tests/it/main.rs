//! The integration tests, in one binary.
//!
//! What needs no other program runs under a plain `cargo test`. Tests with real peers (mosquitto, a pymodbus PLC, a
//! file system of their own) run when `tests/run` names those peers in the environment, and say SKIPPED otherwise.

#![expect(clippy::disallowed_methods, reason = "the tests are the outside world: they read clocks and the environment")]
#![expect(clippy::print_stdout, reason = "figures and skipped tests are told on standard output")]

mod accepted;
mod bad_input;
mod brokers;
mod bursts;
mod buses;
mod clean_room;
mod commissioning;
mod demo;
mod erp_faults;
mod erp_page;
mod explain;
mod full_disk;
mod gate;
mod gs1;
mod kills;
mod layers;
mod lints;
mod logins;
mod moods;
mod names;
mod odata;
mod oracle;
mod plc;
mod powercut;
mod quirks;
mod running;
mod schemas;
mod service;
mod shipped;
mod simulator;
mod sockets;
mod status;
mod styles;
mod suitetalk;
mod tags;
mod tap;
mod tls;
mod trace;
mod tryton;
mod tutorial;
mod upgrades;
mod values;
mod verify;
mod witness;
mod world;
