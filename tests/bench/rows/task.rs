use serde::{Deserialize, Serialize};

/// What a contender is to do: its one argument, as JSON, whatever it is written in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Of the load, or of the pages.
    pub(crate) origin: String,
    /// Sockets, each with an address of its own: [`url`](Self::url).
    pub(crate) sockets: usize,
    /// The authority that signed the load's certificate, a PEM file; none where it speaks without TLS.
    pub(crate) ca: Option<String>,
    pub(crate) to: Target,
}

/// Where it brings what it reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Nowhere: it notes the number of each, says so when it has seen `count` of them, and goes on.
    Nowhere {
        count: u64,
    },
    Kafka {
        servers: String,
        topic: String,
        linger_ms: u32,
    },
    /// Records that are there already, `count` of them. Some go to the topic `warm_up` first, where a contender gets faster by that.
    Records {
        servers: String,
        topic: String,
        warm_up: String,
        linger_ms: u32,
        count: u64,
    },
    Redis {
        address: String,
        channel: String,
    },
}

impl Task {
    pub(crate) fn url(&self, socket: usize) -> String {
        format!("{}/notifications?token={}", self.origin, Self::drive(socket))
    }

    /// A socket is for one drive; its id is the key of what comes from it.
    pub(crate) fn drive(socket: usize) -> String {
        format!("bench-{socket:04}")
    }
}
