//! Faults of Graph's REST side: what it answers, when it answers, and whether it is there at all.

use std::time::Duration;

use drivetap_emulator::{Answer, Fault, Gone, Location, Route, SocketFault, Tombstones};
use drivetap_tests::{Network, Proxy};
use tokio::time::sleep;

use super::{Row, strikes, together};
use crate::stage::{Side, Stage};

pub(super) fn rows() -> Vec<Row> {
    [answers(), network(), gone()].into_iter().flatten().collect()
}

fn answers() -> Vec<Row> {
    vec![
        together(
            "graph-400-not-supported",
            "the endpoint answers 400 notSupported for 12 s: delta is polled meanwhile",
            60,
            |stage| Box::pin(not_supported(stage)),
        ),
        together("graph-401", "every request is answered 401 for 8 s, with the token that was good", 90, |stage| {
            Box::pin(refused(stage, Fault::error(Route::Any, 401, "InvalidAuthenticationToken")))
        }),
        together("graph-403", "every request is answered 403 for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::error(Route::Any, 403, "accessDenied")))
        }),
        together("graph-404", "every request is answered 404 for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::error(Route::Any, 404, "itemNotFound")))
        }),
        together("graph-429", "every request is answered 429 with Retry-After: 4, for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::throttled(Route::Any, 4)))
        }),
        together("graph-500", "every request is answered 500 for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::error(Route::Any, 500, "generalException")))
        }),
        together("graph-503", "every request is answered 503 with Retry-After: 2, for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::unavailable(Route::Any, Some(2))))
        }),
        together("graph-504-empty", "every request is answered 504 without a body for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::empty(Route::Any, 504)))
        }),
        together("graph-html", "every request is answered 200 with a gateway's HTML page for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::html(Route::Any, 200)))
        }),
        together("graph-half-json", "delta and the endpoint answer 200 with JSON that breaks off, for 8 s", 60, |stage| {
            let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
            let answer = Answer::Raw { status: 200, headers, body: "{\"value\":[{\"id\":\"01AB".to_owned() };
            Box::pin(refused(stage, Fault::new(Route::Any, answer)))
        }),
        together("graph-hang", "no request is answered for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::new(Route::Any, Answer::Hang)))
        }),
        together("graph-reset", "every request is answered with RST for 8 s", 60, |stage| {
            Box::pin(refused(stage, Fault::new(Route::Any, Answer::Reset)))
        }),
        together(
            "delta-lags",
            "delta shows a change 3 s after its signal, and loses a deletion to whoever goes on from an empty answer",
            60,
            |stage| Box::pin(lag(stage)),
        ),
    ]
}

fn network() -> Vec<Row> {
    vec![
        together("graph-half-open", "open connections are dead and nobody says so; new ones are not", 60, |stage| {
            Box::pin(half_open(stage))
        }),
        together("graph-silence", "nothing passes for 12 s, on new connections either", 60, |stage| {
            Box::pin(weather(stage, Network::Silent))
        }),
        together("graph-away", "nobody listens for 12 s, and what was open is cut", 60, |stage| {
            Box::pin(weather(stage, Network::Refused))
        }),
        together("graph-slow", "500 bytes a second for 12 s", 60, |stage| Box::pin(weather(stage, Network::BytesPerSecond(500)))),
        together("graph-latency", "everything takes 500 ms longer each way", 60, |stage| Box::pin(latency(stage))),
        together("graph-cut", "FIN on every connection, six times in six seconds", 60, |stage| {
            Box::pin(strikes(stage, Side::Graph, Proxy::cut))
        }),
        together("graph-connection-reset", "RST on every connection, six times in six seconds", 60, |stage| {
            Box::pin(strikes(stage, Side::Graph, Proxy::reset))
        }),
        together("graph-certificate-expired", "Graph and its socket show an expired certificate for 8 s", 60, |stage| {
            Box::pin(bad_certificate(stage, true))
        }),
        together("graph-certificate-wrong-host", "Graph and its socket show another host's certificate for 8 s", 60, |stage| {
            Box::pin(bad_certificate(stage, false))
        }),
    ]
}

/// Each spelling of 410 that was seen, with a `Location` that answers 500, as has happened; and two other sorts of `Location`.
fn gone() -> Vec<Row> {
    macro_rules! spelled {
        ($name:literal, $code:literal, $inner:expr, $location:ident) => {
            together(
                concat!("delta-410-", $name),
                concat!("the cursor is refused with 410 (", $name, "): the drive is enumerated"),
                60,
                |stage| {
                    let inner: Option<&str> = $inner;
                    let gone =
                        Gone { code: $code.to_owned(), inner_code: inner.map(str::to_owned), location: Location::$location };
                    Box::pin(resync(stage, gone))
                },
            )
        };
    }
    vec![
        spelled!("apply-broken-location", "resyncRequired", Some("resyncChangesApplyDifferences"), Broken),
        spelled!("upload-broken-location", "resyncRequired", Some("resyncChangesUploadDifferences"), Broken),
        spelled!("short-apply-broken-location", "resyncRequired", Some("resyncApplyDifferences"), Broken),
        spelled!("short-upload-broken-location", "resyncRequired", Some("resyncUploadDifferences"), Broken),
        spelled!("plain-broken-location", "resyncRequired", None, Broken),
        spelled!("outer-code-broken-location", "resyncChangesApplyDifferences", None, Broken),
        together("delta-410-in-enumeration", "the enumeration after a 410 is broken off by another 410, twice", 60, |stage| {
            Box::pin(resync_broken_off(stage))
        }),
        together(
            "drivetap-kill-9-in-enumeration",
            "the program is killed in the middle of the enumeration after a 410, three times, while files go",
            60,
            |stage| Box::pin(resync_killed(stage)),
        ),
        spelled!("fresh-location", "resyncRequired", Some("resyncChangesApplyDifferences"), Fresh),
        spelled!("no-location", "resyncRequired", Some("resyncChangesApplyDifferences"), Absent),
    ]
}

/// The socket is lost as well, so that all of Graph is asked.
async fn refused(stage: &mut Stage, fault: Fault) {
    stage.start().await;
    stage.graph().fault(fault.times(u32::MAX));
    assert!(stage.graph().socket_fault(&SocketFault::HangUp) > 0);
    stage.holds(Duration::from_secs(8)).await;
    stage.graph().clear_faults();
    stage.fault_ends();
}

async fn not_supported(stage: &mut Stage) {
    stage.start().await;
    stage.graph().fault(Fault::not_supported().times(u32::MAX));
    assert!(stage.graph().socket_fault(&SocketFault::HangUp) > 0);
    stage.keeps_up(Duration::from_secs(60)).await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(stage.graph().stats().subscribers, 0, "the endpoint was refused");
    stage.graph().clear_faults();
    stage.fault_ends();
}

async fn lag(stage: &mut Stage) {
    stage.setup.emulator.switches.delta_lag = Duration::from_secs(3);
    stage.setup.emulator.switches.tombstones = Tombstones::LostByEmptyAnswer;
    stage.start().await;
    for _ in 0..3 {
        stage.chapter().await;
    }
    stage.fault_ends();
}

/// Timed from the changes that it held up: the fault has no end.
async fn half_open(stage: &mut Stage) {
    quick_pings(stage);
    stage.start().await;
    stage.web.freeze();
    stage.fault_ends();
    stage.chapter().await;
}

/// A heartbeat every 2 s, missed after 2 s more.
pub(super) fn quick_pings(stage: &mut Stage) {
    stage.setup.emulator.ping_interval = Duration::from_secs(2);
    stage.setup.emulator.ping_timeout = Duration::from_secs(2);
}

async fn weather(stage: &mut Stage, network: Network) {
    quick_pings(stage);
    stage.start().await;
    stage.web.set(network);
    if network == Network::Refused {
        stage.web.cut();
    }
    stage.me().burst(30).unwrap();
    stage.holds(Duration::from_secs(12)).await;
    stage.web.set(Network::Open);
    stage.fault_ends();
}

async fn latency(stage: &mut Stage) {
    stage.start().await;
    stage.web.set(Network::Latency(Duration::from_millis(500)));
    stage.graph().socket_fault(&SocketFault::HangUp);
    stage.keeps_up(Duration::from_secs(30)).await;
    stage.web.set(Network::Open);
    stage.fault_ends();
}

async fn bad_certificate(stage: &mut Stage, expired: bool) {
    stage.setup.https = true;
    stage.setup.network.insert("ca_file", "ca.pem");
    stage.web.identify(Some(&stage.authority.good()));
    stage.start().await;
    let bad = if expired { stage.authority.expired() } else { stage.authority.wrong_host() };
    stage.web.identify(Some(&bad));
    stage.web.cut();
    stage.holds(Duration::from_secs(8)).await;
    stage.web.identify(Some(&stage.authority.good()));
    stage.fault_ends();
}

/// What was deleted while the cursor was refused has no tombstone in the enumeration that follows.
async fn resync(stage: &mut Stage, gone: Gone) {
    stage.start().await;
    let me = stage.me();
    let doomed = me.burst(7).unwrap();
    stage.keeps_up(Duration::from_secs(60)).await;
    stage.graph().switch(|switches| switches.gone = gone);
    me.expire_tokens();
    doomed.iter().for_each(|file| drop(me.delete(file).unwrap()));
    stage.fault_ends();
    stage.chapter().await;
    stage.resynced().await;
}

async fn resync_broken_off(stage: &mut Stage) {
    stage.setup.emulator.switches.page_size = 3;
    stage.start().await;
    let me = stage.me();
    let doomed = me.burst(20).unwrap();
    stage.keeps_up(Duration::from_secs(60)).await;
    me.expire_tokens();
    // The first request meets the cursor that was forgotten; the third is in the middle of the enumeration.
    for _ in 0..2 {
        stage.graph().fault(Fault::gone(Gone::default()).after(3));
    }
    doomed.iter().for_each(|file| drop(me.delete(file).unwrap()));
    stage.fault_ends();
    stage.chapter().await;
    stage.resynced().await;
}

/// Each life sees another part of the drive; what went meanwhile was seen by some and has no tombstone.
async fn resync_killed(stage: &mut Stage) {
    stage.setup.emulator.switches.page_size = 2;
    stage.start().await;
    let me = stage.me();
    let doomed = me.burst(40).unwrap();
    stage.keeps_up(Duration::from_secs(60)).await;
    stage.web.set(Network::Latency(Duration::from_millis(60)));
    me.expire_tokens();
    for (life, files) in doomed.chunks(10).take(3).enumerate() {
        files.iter().for_each(|file| drop(me.delete(file).unwrap()));
        stage.some_of_an_enumeration().await;
        sleep(Duration::from_millis(150 * u64::try_from(life).unwrap())).await;
        stage.kill_program().await;
        stage.start_program();
    }
    stage.web.set(Network::Open);
    stage.fault_ends();
    stage.chapter().await;
    stage.resynced().await;
}
