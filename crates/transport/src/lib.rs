//! A socket.io session behind a trait, its implementations and its in-memory twin.
