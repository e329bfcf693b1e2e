//! Free ports that stay free until their service binds them.

use std::collections::BTreeSet;
use std::net::TcpListener;

use anyhow::{Result, bail};

/// Below Linux's ephemeral range (32768 and up): no outgoing connection takes one of these meanwhile.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

const ATTEMPTS: u32 = 200;

/// Hands out ports, none of them twice.
#[derive(Default)]
pub(crate) struct Ports {
    taken: BTreeSet<u16>,
}

impl Ports {
    pub(crate) fn next(&mut self) -> Result<u16> {
        for _ in 0..ATTEMPTS {
            let port = fastrand::u16(RANGE);
            if TcpListener::bind(("127.0.0.1", port)).is_ok() && self.taken.insert(port) {
                return Ok(port);
            }
        }
        bail!("no free port between {} and {} after {ATTEMPTS} attempts", RANGE.start, RANGE.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_never_handed_out_and_none_comes_twice() {
        let mut ports = Ports::default();
        let first = ports.next().unwrap();
        let _listener = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let more: BTreeSet<_> = (0..50).map(|_| ports.next().unwrap()).collect();
        assert_eq!(more.len(), 50);
        assert!(!more.contains(&first));
    }
}
