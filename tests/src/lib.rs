//! End-to-end tests: the built binary on real services.
