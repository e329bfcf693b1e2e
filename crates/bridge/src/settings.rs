use std::path::PathBuf;
use std::time::Duration;

/// What the dispatcher of a sink is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// The sink's name: in metrics, in the drain report, in logs.
    pub name: String,
    /// Whether the sink holds the cursor.
    pub role: Role,
    /// How many bytes of events may be queued for the sink or on their way in it. Default 8 MiB.
    pub window: usize,
    /// How many signals may wait beside the window before they merge per feed. Default 4096.
    pub signals: usize,
    /// How long the window of a live sink may stay full before it loses whole pages. Default 10 s.
    pub overflow_after: Duration,
    /// Where rejected events go.
    pub dead_letters: DeadLetters,
}

impl SinkSettings {
    /// The documented defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self {
            name: name.into(),
            role,
            window: 8 * 1024 * 1024,
            signals: 4096,
            overflow_after: Duration::from_secs(10),
            dead_letters: DeadLetters::None,
        }
    }
}

/// Whether a sink holds the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The cursor waits for it: an outage pauses the feed, nothing is lost.
    Durable,
    /// It gets what it can take: an outage longer than its window loses whole pages, counted and told by a gap event.
    Live,
}

/// Where events go that a sink can never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetters {
    /// Nowhere: a rejected event holds the sink until a person decides.
    None,
    /// To a file of JSON lines `{"at", "sink", "code", "reason", "event"}`. Full or not writable: the sink holds.
    File {
        /// The file; it is appended to.
        path: PathBuf,
        /// How large it may grow.
        max_bytes: u64,
    },
}
