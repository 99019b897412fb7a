#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis::fuzzing::legacy_signature(bytes));
