#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| mailwarden_fuzz::targets::milter_codec(octets));
