//! What is counted and measured, as Prometheus reads it.

use drivetap_bridge::core::feed::LaneState;
use drivetap_bridge::{PipelineStatus, SinkState};
use jiff::Timestamp;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::exit::Failure;

/// The process's recorder: what the crates count through the `metrics` facade ends here.
#[derive(Clone)]
pub(crate) struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Once a process.
    pub(crate) fn install() -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|error| Failure::internal(format_args!("metrics: {error}")))?;
        describe();
        Ok(Self { handle })
    }

    /// The text of `/metrics`. What is a state rather than a count is measured now.
    pub(crate) fn render(&self, status: &PipelineStatus, now: Timestamp) -> String {
        measure(status, now);
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn describe() {
    describe_counter!("drivetap_events_total", "Events by sink and outcome: delivered, dead_lettered, abandoned, merged");
    describe_counter!("drivetap_notifications_received_total", "Notifications that came in over socket.io");
    describe_counter!("drivetap_delta_entries_left_out_total", "Entries of delta without a usable id: no event can name them");
    describe_counter!(
        "drivetap_notifications_unpublished_total",
        "Of those received: of subscriptions without signals in emit; they made a walk due and are no event"
    );
    describe_counter!("drivetap_redis_receivers_total", "How many subscribers the messages on a channel reached");
    describe_counter!("drivetap_feed_sequence", "The number of a feed's next change, as far as acknowledged");
    describe_counter!("drivetap_feed_resyncs_total", "How many times a drive was enumerated afresh");
    describe_gauge!("drivetap_ready", "1: not draining, the state is saved, and a session is open");
    describe_gauge!("drivetap_gate_waiting_requests", "Requests of an account that wait for their turn");
    describe_gauge!(
        "drivetap_gate_shut_seconds",
        "For how much longer an account's requests are held: Graph asked for it, or refused its token"
    );
    describe_gauge!("drivetap_walks", "Walks under way, of 16 at once");
    describe_gauge!("drivetap_page_bytes", "Bytes of pages from Graph on their way to the sinks, of 48 MiB");
    describe_gauge!("drivetap_feed_held_back_requests", "Requests of a feed that wait for their turn");
    describe_gauge!("drivetap_feed_subscriptions", "Subscriptions of a feed");
    describe_gauge!("drivetap_feed_sessions", "Open socket.io sessions of a feed");
    describe_gauge!("drivetap_feed_held", "1: something stands in the way of the walk or of the state");
    describe_gauge!("drivetap_feed_cursor_age_seconds", "Since the cursor last moved");
    describe_gauge!("drivetap_feed_walk_age_seconds", "Since a walk last found its end");
    describe_gauge!("drivetap_unresolved_subscriptions", "Subscriptions whose drive is not known yet");
    describe_gauge!("drivetap_sink_up", "1: the sink is connected and takes events");
    describe_gauge!("drivetap_sink_queued_bytes", "Bytes of events that wait for a sink or are on their way");
    describe_gauge!("drivetap_sink_waiting_signals", "Signals that wait for a sink");
}

fn measure(status: &PipelineStatus, now: Timestamp) {
    gauge!("drivetap_ready").set(truth(status.is_ready()));
    gauge!("drivetap_unresolved_subscriptions").set(number(status.unresolved.len()));
    gauge!("drivetap_walks").set(number(status.walks));
    gauge!("drivetap_page_bytes").set(number(status.page_bytes));
    for account in &status.accounts {
        let labels = [("account", account.account.to_string())];
        gauge!("drivetap_gate_waiting_requests", &labels).set(number(account.gate.waiting));
        gauge!("drivetap_gate_shut_seconds", &labels).set(account.gate.shut_for.unwrap_or_default().as_secs_f64());
    }
    for feed in &status.feeds {
        let labels = [("account", feed.feed.account.to_string()), ("drive", feed.feed.drive.to_string())];
        gauge!("drivetap_feed_held_back_requests", &labels).set(number(feed.held_back));
        let feed = &feed.status;
        let up = feed.lanes.iter().filter(|lane| lane.state == LaneState::Up).count();
        gauge!("drivetap_feed_subscriptions", &labels).set(number(feed.lanes.len()));
        gauge!("drivetap_feed_sessions", &labels).set(number(up));
        gauge!("drivetap_feed_held", &labels).set(truth(feed.problem.is_some()));
        gauge!("drivetap_feed_cursor_age_seconds", &labels).set(seconds(feed.cursor_moved_at, now));
        if let Some(walk) = feed.last_walk {
            gauge!("drivetap_feed_walk_age_seconds", &labels).set(seconds(walk, now));
        }
        counter!("drivetap_feed_sequence", &labels).absolute(feed.sequence);
        counter!("drivetap_feed_resyncs_total", &labels).absolute(feed.generation);
    }
    for sink in &status.sinks {
        let labels = [("sink", sink.name.clone())];
        gauge!("drivetap_sink_up", &labels).set(truth(sink.state == SinkState::Ready));
        gauge!("drivetap_sink_queued_bytes", &labels).set(number(sink.queued_bytes));
        gauge!("drivetap_sink_waiting_signals", &labels).set(number(sink.waiting_signals));
    }
}

fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

// All of them are bounded far below.
fn number(value: usize) -> f64 {
    u32::try_from(value).map_or(f64::from(u32::MAX), f64::from)
}

fn seconds(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64().max(0.0)
}
