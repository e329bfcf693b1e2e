//! The kafka sink of drivetap.
