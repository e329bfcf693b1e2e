use std::time::Duration;

use drivetap_bridge::core::feed::Timing;
use drivetap_bridge::core::{Backoff, ProxySettings};
use drivetap_bridge::transport::Limits;

use super::problem::Problems;
use super::section::{At, Section};
use crate::env::Env;

/// `[network]` and `[delta]`: how Graph and its socket are reached, and when things are due.
#[derive(Clone, Debug)]
pub struct Network {
    /// Default `native`.
    pub transport: TransportKind,
    /// The most sessions of `rust-socketio` at once; a renewal always gets one. Default 256.
    pub max_sessions: usize,
    /// For TCP, a proxy's CONNECT and TLS. Default 10 s.
    pub connect_timeout: Duration,
    /// For a request as a whole. Default 60 s.
    pub request_timeout: Duration,
    /// For a session: `open_timeout`, default 15 s.
    pub limits: Limits,
    /// Which proxy Graph and, by the native transport, its socket are reached through.
    pub proxy: ProxySettings,
    /// Certificates in PEM, trusted besides the platform's.
    pub ca_pem: Option<Vec<u8>>,
    /// When things are due.
    pub timing: Timing,
}

/// `[network] transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// drivetap's own.
    Native,
    /// The crate of that name, contained.
    RustSocketIo,
}

impl TransportKind {
    /// Ours, unless the other is the only one there.
    const DEFAULT: Self =
        if cfg!(all(feature = "rust-socketio", not(feature = "native"))) { Self::RustSocketIo } else { Self::Native };
}

const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const SLOW: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));

pub(super) fn network(
    network: Option<&Section<'_>>,
    delta: Option<&Section<'_>>,
    env: &Env,
    problems: &Problems,
) -> Option<Network> {
    let duration = |key| network.and_then(|n| n.duration(key));
    let value = |key, default: u64| duration(key).map_or(Duration::from_secs(default), |at| at.value);

    // Everything is asked for before anything is given up, so that all mistakes show and no key looks unknown.
    let backoff = bounds(network, duration("backoff_min"), duration("backoff_max"), BACKOFF, Backoff::try_new);
    let slow = bounds(network, duration("slow_retry_min"), duration("slow_retry_max"), SLOW, Backoff::try_slow);
    let transport = network.map_or(Some(TransportKind::DEFAULT), transport);
    let max_sessions = network.and_then(|n| n.integer("max_sessions", 1, 65_536)).map_or(256, |at| at.value);
    let connect_timeout = value("connect_timeout", 10);
    let request_timeout = value("request_timeout", 60);
    let limits = Limits { open: value("open_timeout", 15), ..Limits::default() };
    let ca_pem = network.and_then(|n| n.authorities("ca_file")).map(|at| at.value);
    let proxy = proxy(network, env, problems);
    let late = delta.map(|delta| {
        let of = |key| delta.duration(key).map(|at| at.value);
        (of("safety_walk"), of("poll"), of("resync_every"), delta.durations("lag_retries"))
    });

    let mut timing = Timing::new(backoff?, slow?);
    if let Some((safety_walk, poll, resync_every, lag_retries)) = late {
        timing.safety_walk = safety_walk.unwrap_or(timing.safety_walk);
        timing.poll = poll.unwrap_or(timing.poll);
        timing.resync_every = resync_every;
        timing.lag_retries = lag_retries.unwrap_or(timing.lag_retries);
    }
    Some(Network { transport: transport?, max_sessions, connect_timeout, request_timeout, limits, proxy: proxy?, ca_pem, timing })
}

impl Network {
    /// The defaults, with the environment's proxy.
    ///
    /// # Errors
    /// When the environment's proxy is none.
    pub fn from_env(env: &Env) -> Result<Self, String> {
        let problems = Problems::default();
        match network(None, None, env, &problems) {
            Some(network) if problems.is_empty() => Ok(network),
            _ => Err(problems.into_error("environment", "").to_string()),
        }
    }
}

fn transport(network: &Section<'_>) -> Option<TransportKind> {
    let Some(at) = network.text("transport") else {
        return Some(TransportKind::DEFAULT);
    };
    let (kind, compiled_in) = match at.value {
        "native" => (TransportKind::Native, cfg!(feature = "native")),
        "rust-socketio" => (TransportKind::RustSocketIo, cfg!(feature = "rust-socketio")),
        other => {
            network.problem_at(&at, format!("transport is {other:?}, which is none of: native, rust-socketio"));
            return None;
        }
    };
    if !compiled_in {
        let name = at.value;
        let message = format!("the transport {name:?} is not compiled into this binary: build it with the feature {name:?}");
        network.problem_at(&at, message);
    }
    compiled_in.then_some(kind)
}

fn proxy(network: Option<&Section<'_>>, env: &Env, problems: &Problems) -> Option<ProxySettings> {
    let configured = network.and_then(|n| n.text("proxy"));
    match (ProxySettings::new(configured.as_ref().map(|at| at.value), |name| env.get(name)), configured) {
        (Ok(proxy), _) => Some(proxy),
        (Err(error), Some(at)) => {
            problems.at(&at.span, error.to_string());
            None
        }
        (Err(error), None) => {
            problems.whole(format!("HTTPS_PROXY in the environment: {error}"));
            None
        }
    }
}

fn bounds<E: std::fmt::Display>(
    section: Option<&Section<'_>>,
    min: Option<At<Duration>>,
    max: Option<At<Duration>>,
    (default_min, default_max): (Duration, Duration),
    make: impl Fn(Duration, Duration) -> Result<Backoff, E>,
) -> Option<Backoff> {
    let value = |at: &Option<At<Duration>>, default| at.as_ref().map_or(default, |at| at.value);
    match make(value(&min, default_min), value(&max, default_max)) {
        Ok(backoff) => Some(backoff),
        Err(error) => {
            if let (Some(section), Some(at)) = (section, max.or(min)) {
                section.problem_at(&at, error.to_string());
            }
            None
        }
    }
}
