//! Promise 4: what opens something for whoever holds it is printed nowhere.

use std::collections::BTreeSet;

use drivetap_emulator::{Answer, Fault, Gone, Handshake, Route, SocketFault};

use crate::support::{CHANGE, Event, GAP, RESYNC, Scene, TOKEN, assert_valid, get, of_type, redis, unique};

#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_socket_url_is_printed_at_trace_whatever_goes_wrong() {
    let scene = Scene::new().await;
    let graph = &scene.graph;
    // Everything that is said about a request or a URL is said.
    for fault in [
        Fault::unavailable(Route::Drive, None),
        Fault::throttled(Route::Endpoint, 0),
        Fault::html(Route::Endpoint, 502),
        Fault::empty(Route::Delta, 500),
        Fault::new(Route::Delta, Answer::Reset),
    ] {
        graph.fault(fault);
    }
    let admin = format!("127.0.0.1:{}", crate::support::closed_port());
    let password = "redis-pa55word";
    let toml = format!(
        "[[subscription]]\nresource = \"me\"\n[state]\npath = \"drivetap.redb\"\n[sink.console]\ntype = \"stdout\"\n\
         [admin]\nlisten = \"{admin}\"\n[shutdown]\ndeadline = \"1s\"\n{}password = \"{password}\"\n",
        redis::sink("live", &unique("e2e")),
    );
    let all = "trace,hyper=trace,reqwest=trace,tungstenite=trace,rust_engineio=trace,rust_socketio=trace,redis=trace";
    let program = scene.run_with(&toml, &[("RUST_LOG", all), ("RUST_BACKTRACE", "1")]);
    scene.subscribed(1).await;
    scene.me().create("/", "First.txt").unwrap();
    program.events("a change", |events| !of_type(events, CHANGE).is_empty()).await;

    // The service throws it out, refuses it, delta forgets the cursor.
    graph.switch(|switches| switches.handshake = Handshake::Refused(401));
    graph.socket_fault(&SocketFault::Reset);
    graph.fault(Fault::gone(Gone::default()));
    program.says("HTTP status 401").await;
    graph.switch(|switches| switches.handshake = Handshake::ConnectError("Unauthorized".to_owned()));
    program.says("Unauthorized").await;
    scene.me().create("/", "Second.txt").unwrap();
    graph.switch(|switches| switches.handshake = Handshake::Normal);
    let enough = |events: &[Event]| {
        of_type(events, RESYNC).len() == 2
            && !of_type(events, GAP).is_empty()
            && of_type(events, CHANGE).iter().any(|event| event.item_name() == "Second.txt")
    };
    program.events("a gap, a resync and the second change", enough).await;
    // Last, since that pauses the account: Graph refuses the token.
    graph.fault(Fault::error(Route::Endpoint, 401, "InvalidAuthenticationToken"));
    graph.expire_endpoints();
    program.says("InvalidAuthenticationToken").await;
    let (_, metrics) = get(&admin, "/metrics").await.unwrap();
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert_valid(&ended.events());

    let requests = graph.requests();
    assert!(requests.iter().any(|request| request.bearer.as_ref().is_some_and(|bearer| bearer.is(TOKEN))), "the token was used");
    let queries = requests.iter().filter(|request| request.route == Some(Route::Socket)).map(|request| request.query.as_str());
    let values = queries.flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
    let mut secrets: BTreeSet<_> = values.filter(|(name, _)| *name == "token").map(|(_, value)| value).collect();
    assert!(secrets.len() >= 2, "at least two socket URLs were used: {secrets:?}");
    secrets.extend([TOKEN, password]);
    let debugged = ended.stderr.iter().filter(|line| line.contains("TRACE") || line.contains("DEBUG")).count();
    assert!(debugged > 0, "it logs nothing below info, so this proves nothing: {ended:#?}");
    for secret in secrets {
        for (name, text) in
            [("standard error", &ended.stderr.join("\n")), ("standard output", &ended.stdout.join("\n")), ("/metrics", &metrics)]
        {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is on {name}");
        }
    }
    let state = std::fs::read(scene.path("drivetap.redb")).unwrap();
    let stored = |secret: &str| state.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!stored(TOKEN), "the access token is in the state file");
}
