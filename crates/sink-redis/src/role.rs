//! Whether a server is the one to publish to.
//!
//! A replica answers `PUBLISH` like any other server and passes the message on to its own subscribers only: after a failover, those of the
//! new primary would hear nothing, and nobody would be told. `HELLO` says what a server is, and every user may ask it (Redis 6; it is a
//! command of the connection, as `AUTH` is).

use std::collections::HashMap;

use redis::{FromRedisValue as _, Value};

/// Whether this answer to `HELLO` comes from a replica whose messages stay with it. In a cluster every node passes them on to all.
pub(crate) fn is_replica(hello: Value) -> bool {
    let Ok(said) = HashMap::<String, Value>::from_redis_value(hello) else { return false };
    let is = |key: &str, words: &[&str]| match said.get(key) {
        Some(Value::BulkString(word)) => words.iter().any(|known| known.as_bytes() == word),
        Some(Value::SimpleString(word)) => words.contains(&word.as_str()),
        _ => false,
    };
    is("role", &["replica", "slave"]) && !is("mode", &["cluster"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_outside_a_cluster_is_told_from_everything_else() {
        let hello = |mode: &str, role: &str| {
            let words = [("server", "redis"), ("mode", mode), ("role", role)];
            let text = words.map(|(key, value)| format!("+{key}\r\n${}\r\n{value}\r\n", value.len())).concat();
            redis::parse_redis_value(format!("*8\r\n{text}+modules\r\n*0\r\n").as_bytes()).unwrap()
        };
        for (mode, role, replica) in [
            ("standalone", "master", false),
            ("standalone", "replica", true),
            ("standalone", "slave", true),
            ("cluster", "replica", false),
        ] {
            assert_eq!(is_replica(hello(mode, role)), replica, "{mode} {role}");
        }
        assert!(!is_replica(Value::Okay));
        assert!(!is_replica(Value::Array(vec![Value::Int(1)])));
    }
}
