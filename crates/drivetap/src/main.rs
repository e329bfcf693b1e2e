//! The drivetap program.
fn main() {}
