//! `drivetap_transport::native::fuzzing::decoder` on inputs that libFuzzer makes up.
#![no_main]

use drivetap_transport::native::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzzing::decoder(data));
