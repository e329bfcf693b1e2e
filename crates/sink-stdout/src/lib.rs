//! The stdout sink of drivetap.
