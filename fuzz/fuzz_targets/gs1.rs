//! `cargo +nightly fuzz run gs1`: barcodes. What it finds goes into `corpus/gs1`, which runs as an ordinary test.

#![no_main]

#[path = "../checks/gs1.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| laws::check(bytes));
