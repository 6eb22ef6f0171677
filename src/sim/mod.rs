//! The demo's world: broker, scanners, PLC, ERP endpoint, and the oracle that counts their ids.
//!
//! All of it runs in the process of `floorgate demo`, beside a gateway that runs as a child of its own and is treated as
//! in the field: its ERP goes away, it is killed. The world knows the gateway by its public surface alone:
//! configuration, wires, exit. Sabotage breaks a peer, never the gateway, so that a bad verdict can be seen.

pub mod broker;
pub mod demo;
pub mod erp;
pub mod gateway;
pub mod labels;
pub mod oracle;
pub mod plc;
pub mod scanner;
pub mod screen;
pub mod script;
pub mod world;
