//! The redis sink of drivetap.
