//! `[defaults]`: what the points of a map inherit.

use std::collections::BTreeMap;

use super::registers::Order;
use super::{DeviceLimits, Period};
use crate::form::{self, Table};

/// `[defaults]` of a map: what its points inherit.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Byte order of 32-bit numbers.
    pub order: Option<Order>,
    /// Name of a `[poll.NAME]`.
    pub poll: Option<String>,
    /// Most registers of one request; the protocol's limit is 125, devices often have a lower one.
    pub max_words: u16,
    /// Most bits of one request; the protocol's limit is 2000.
    pub max_bits: u16,
    /// Registers read for nothing rather than a second request.
    pub max_gap: u16,
    /// Bits read for nothing rather than a second request.
    pub max_gap_bits: u16,
}

/// Registers that a request may have when the map does not say: what most devices answer.
const MAX_WORDS: u16 = 100;
/// Most registers of one read (Modbus Application Protocol 1.1b3, 6.3).
const PROTOCOL_MAX_WORDS: u16 = 125;
/// Most bits of one read (the same, 6.1).
const PROTOCOL_MAX_BITS: u16 = 2_000;

impl Defaults {
    /// Reads `[defaults]`, which may be absent; the device may answer less.
    pub fn read(root: &Table<'_>, device: DeviceLimits, polls: &BTreeMap<String, Period>) -> Self {
        let mut read =
            Self { order: None, poll: None, max_words: MAX_WORDS, max_bits: 1_000, max_gap: 8, max_gap_bits: 64 };
        if let Some(table) = root.table("defaults") {
            read.order = Order::read(&table, 2);
            read.poll = table.optional("poll");
            if let Some(name) = read.poll.as_ref().filter(|name| !polls.contains_key(*name)) {
                let help = form::nearest(name, &polls.keys().cloned().collect());
                table.refuse_key("poll", &format!("there is no [poll.{name}]"), &help);
            }
            read.max_gap = table.or("max_gap", read.max_gap);
            read.max_gap_bits = table.or("max_gap_bits", read.max_gap_bits);
            read.max_words = at_most(&table, "max_words", read.max_words, PROTOCOL_MAX_WORDS, "registers");
            read.max_bits = at_most(&table, "max_bits", read.max_bits, PROTOCOL_MAX_BITS, "bits");
        }
        read.max_words = device.max_words.map_or(read.max_words, |most| read.max_words.min(most)).max(1);
        read.max_bits = device.max_bits.map_or(read.max_bits, |most| read.max_bits.min(most)).max(1);
        read
    }
}

fn at_most(table: &Table<'_>, key: &str, default: u16, most: u16, what: &str) -> u16 {
    let read = table.or(key, default);
    if read == 0 || read > most {
        table.refuse_key(key, &format!("is {read}"), &format!("a request reads 1 to {most} {what}"));
    }
    read
}
