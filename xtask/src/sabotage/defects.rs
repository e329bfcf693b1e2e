use super::{Defect, Test};

/// Each breaks a promise that README.md or ARCHITECTURE.md makes.
pub(super) const DEFECTS: &[Defect] = &[
    Defect {
        name: "the cursor is saved before the acknowledgement",
        file: "crates/core/src/feed/mod.rs",
        right: "let place = self.ledger.acknowledged().clone();\n        Record {",
        wrong: "let place = self.ledger.ahead().clone();\n        Record {",
        test: feed("cursor::the_cursor_moves_only_over_what_was_acknowledged"),
    },
    Defect {
        name: "the cursor waits for the fastest sink",
        file: "crates/bridge/src/dispatch/ticket.rs",
        right: "sink.load(Ordering::Acquire)).min()",
        wrong: "sink.load(Ordering::Acquire)).max()",
        test: CRASH_POINTS,
    },
    Defect {
        name: "the cursor moves before it is known whether a live sink loses the page",
        file: "crates/core/src/feed/loss.rs",
        right: "self.acked.min(self.queued)",
        wrong: "self.acked",
        test: feed("losses::the_cursor_moves_past_what_a_live_sink_lost_only_together_with_the_loss"),
    },
    Defect {
        name: "no walk after a reconnect",
        file: "crates/core/src/feed/mod.rs",
        right: "self.with_walk(now, |walk, desk| walk.due_on_connect(desk.now));",
        wrong: "self.with_walk(now, |_, _| {});",
        test: feed("sessions::every_connect_makes_a_walk_due"),
    },
    Defect {
        name: "the old session is closed before the new one is open",
        file: "crates/core/src/feed/lane.rs",
        right: "held.opens += 1;",
        wrong: "held.opens += 1; if let Some(old) = self.live.take() { io.out.push_back(Action::Close { session: old.session }); }",
        test: feed("sessions::a_renewal_opens_the_new_session_before_it_closes_the_old_one"),
    },
    Defect {
        name: "a failed renewal drops the session that works",
        file: "crates/core/src/feed/lane.rs",
        right: "        self.problem = Some(problem);\n",
        wrong: "        self.problem = Some(problem); self.live = None;\n",
        test: feed("sessions::a_failed_renewal_leaves_the_working_session_alone_and_is_spaced"),
    },
    Defect {
        name: "a merged signal is not counted",
        file: "crates/bridge/src/dispatch/inlet.rs",
        right: "waiting.notifications += notifications;",
        wrong: "waiting.notifications = notifications;",
        test: dispatch("signals_without_room_merge_and_every_notification_is_counted"),
    },
    Defect {
        name: "a redelivery has a random id",
        file: "crates/core/src/feed/mod.rs",
        right: "Origin::new(settings.id.clone(), &settings.base_url, record.place.incarnation)",
        wrong: "Origin::new(settings.id.clone(), &settings.base_url, rng.u128(..))",
        test: feed("cursor::a_redelivery_carries_the_same_ids_and_sequences"),
    },
    Defect {
        name: "two walks share their ids",
        file: "crates/core/src/feed/walk.rs",
        right: "place.walk += 1;\n",
        wrong: "\n",
        test: feed("cursor::two_walks_never_share_an_id"),
    },
    Defect {
        name: "an empty walk moves the cursor",
        file: "crates/core/src/feed/walk.rs",
        right: "if self.reported || !events.is_empty() || quiet || walked_to_the_end {",
        wrong: "if true {",
        test: feed("walks::an_empty_walk_after_a_signal_is_repeated_and_never_moves_the_cursor"),
    },
    Defect {
        name: "after a quiet day whatever walk finds nothing moves the cursor",
        file: "crates/core/src/feed/pace.rs",
        right: "Trigger::Connect | Trigger::First => self.lag_retries.is_empty(),",
        wrong: "Trigger::Connect | Trigger::First => true,",
        test: feed("walks::after_a_quiet_day_the_newest_link_is_taken_only_by_a_walk_that_delta_had_its_time_for"),
    },
    Defect {
        name: "what delta shows late of several changes waits for the safety walk",
        file: "crates/core/src/feed/pace.rs",
        right: "Trigger::Signal | Trigger::Connect => *lag = self.last_lag(),",
        wrong: "Trigger::Signal | Trigger::Connect => return None,",
        test: feed("walks::after_a_signal_the_drive_is_walked_until_a_walk_that_delta_had_a_minute_for_finds_nothing"),
    },
    Defect {
        name: "a signal during a walk is forgotten",
        file: "crates/core/src/feed/walk.rs",
        right: "self.again = Some(self.again.map_or(trigger, |again| again.min(trigger)));",
        wrong: "",
        test: MODEL,
    },
    Defect {
        name: "the safety walk never comes",
        file: "crates/core/src/feed/walk.rs",
        right: "let wait = if self.connected { self.timing.safety_walk } else { self.timing.poll };",
        wrong: "let wait = if self.connected { self.timing.safety_walk * 1_000 } else { self.timing.poll };",
        test: feed("walks::a_drive_that_nobody_signals_is_walked_all_the_same"),
    },
    Defect {
        name: "a stale page is taken",
        file: "crates/core/src/feed/walk.rs",
        right: "if self.step != Step::Fetching(attempt) {",
        wrong: "if self.step == Step::Fetching(attempt) && self.step == Step::Stopped {",
        test: feed("sessions::an_answer_that_nobody_waits_for_changes_nothing"),
    },
    Defect {
        name: "a 410 begins no new generation",
        file: "crates/core/src/feed/walk.rs",
        right: "place.generation += 1;",
        wrong: "",
        test: feed("resync::a_410_saves_the_new_generation_then_tells_of_it_then_enumerates"),
    },
    Defect {
        name: "an enumeration that a crash cut short keeps its generation",
        file: "crates/core/src/feed/record.rs",
        right: "begun.then(|| {",
        wrong: "(begun && self.generation == u64::MAX).then(|| {",
        test: CRASH_POINTS,
    },
    Defect {
        name: "a session that ends leaves no gap",
        file: "crates/core/src/feed/mod.rs",
        right: "self.open_gap(now, now.wall_before(silence.min(stood)), GapReason::Disconnected);",
        wrong: "",
        test: feed("gaps::a_gap_lasts_from_the_end_of_a_session_to_the_next_one"),
    },
    Defect {
        name: "a gap is published before it is saved",
        file: "crates/core/src/feed/mod.rs",
        right: "if self.phase == Phase::Running && self.commit.gap_saved {",
        wrong: "if self.phase == Phase::Running {",
        test: feed("gaps::a_gap_is_saved_before_it_is_told"),
    },
    Defect {
        name: "a machine that slept goes on as if nothing were",
        file: "crates/core/src/feed/mod.rs",
        right: "wall > mono + Self::SLEPT",
        wrong: "wall > mono + Self::SLEPT * 1_000",
        test: feed("sessions::a_machine_that_slept_reconnects_and_walks"),
    },
    Defect {
        name: "a gap starts where a dead connection was noticed",
        file: "crates/core/src/feed/mod.rs",
        right: "now.wall_before(silence.min(stood))",
        wrong: "now.wall",
        test: feed("gaps::a_gap_starts_where_the_server_was_last_heard_and_not_before_its_session"),
    },
    Defect {
        name: "what follows a stop begins one event too late",
        file: "crates/bridge/src/dispatch/batch.rs",
        right: "self.slots.drain(..acked.min(self.slots.len()))",
        wrong: "self.slots.drain(..(acked + 1).min(self.slots.len()))",
        test: dispatch("after_a_stop_everything_from_the_first_unacknowledged_is_offered_again"),
    },
    Defect {
        name: "what goes behind events under way knows no bound",
        file: "crates/bridge/src/dispatch/inlet.rs",
        right: "(self.settings.window / 2).max(Self::CHUNK).saturating_sub(in_hand)",
        wrong: "(self.settings.window / 2).max(Self::CHUNK).saturating_sub(in_hand * 0)",
        test: dispatch("underway::what_is_in_hand_stays_half_of_the_window"),
    },
    Defect {
        name: "a rejected change leaves no stub",
        file: "crates/bridge/src/dispatch/batch.rs",
        right: "if matches!(slot.event.event_type(), EventType::Change | EventType::Resync) {",
        wrong: "if false {",
        test: dispatch("a_rejected_change_leaves_a_stub_in_its_place_and_goes_to_the_dead_letters"),
    },
    Defect {
        name: "Graph's id of a request is published",
        file: "crates/core/src/feed/walk.rs",
        right: "let Failure { remedy, code, .. } = failure;",
        wrong: "let (remedy, code) = (failure.remedy, problem.clone());",
        test: feed("resync::graphs_id_of_a_request_is_read_by_a_person_and_changes_nothing_else"),
    },
];

const CRASH_POINTS: Test =
    Test { package: "drivetap-bridge", module: "proof::crash_points", name: "every_crash_leaves_what_a_restart_makes_whole" };
const MODEL: Test =
    Test { package: "drivetap-bridge", module: "proof::model", name: "a_consumer_that_folds_the_output_has_the_drive" };

const fn feed(name: &'static str) -> Test {
    Test { package: "drivetap-core", module: "feed::tests", name }
}

const fn dispatch(name: &'static str) -> Test {
    Test { package: "drivetap-bridge", module: "dispatch::tests", name }
}
