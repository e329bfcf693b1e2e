//! The JSON Schema of what a consumer reads.
