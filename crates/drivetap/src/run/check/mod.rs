//! `check`: everything between here and the sinks, one line each, before `run` depends on it. Publishes nothing.

mod report;
mod sinks;

use std::time::Duration;

use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{Failure as Refusal, PageFrom, Remedy, Resource};
use drivetap_bridge::graph::{AccessToken, Graph as _, GraphClient, Look, Share};
use jiff::{SignedDuration, Timestamp};

use self::report::{Problem, Report};
use super::connect::connect_for;
use super::listen::sink_of;
use super::sign_in;
use crate::config::{Account, Config, Purpose, Subscription};
use crate::env::Env;
use crate::everyday::Check;
use crate::exit::{Failure, Kind};
use crate::run::Streams;
use crate::wiring::{graph_client, transport};

/// What is checked, with the configuration read.
pub(super) struct Checking {
    config: Config,
    env: Env,
    json: bool,
}

impl Checking {
    pub(super) fn new(args: Check, env: &Env, streams: Streams) -> Result<Self, Failure> {
        let Check { resources, sink, json, connection } = args;
        let mut config = match &connection.config {
            Some(path) if resources.is_empty() && connection.account.is_none() => Config::load(path, env, Purpose::Service)?,
            _ => {
                // The configuration's sinks are signed in to, unless another one is asked for.
                let purpose = if sink.is_some() { Purpose::Connection } else { Purpose::Probe };
                let mut config = connect_for(purpose, connection, env)?;
                let account = config.accounts.first().map(|account| account.name.clone()).unwrap_or_default();
                config.subscriptions.retain(|subscription| resources.is_empty() && subscription.account == account);
                let resources =
                    if config.subscriptions.is_empty() && resources.is_empty() { vec![Resource::Me] } else { resources };
                let emit = Emit { signals: true, changes: true };
                let subscription = |resource| Subscription {
                    account: account.clone(),
                    settings: SubscriptionSettings { resource, emit, start: Start::Latest },
                };
                config.subscriptions.extend(resources.into_iter().map(subscription));
                config
            }
        };
        if let Some(sink) = sink {
            config.sinks = vec![sink_of(sink, None, streams)?];
        }
        Ok(Self { config, env: env.clone(), json })
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { config, env, json } = self;
        let mut report = Report::new(json);
        report.add("dns", host(&config), dns(&config).await)?;
        let mut network_told = false;
        for account in &config.accounts {
            let client = graph_client(&config, account, &env)?;
            let token = token(&client, account).await;
            let usable = token.is_ok();
            report.add("token", account.name.as_str(), token)?;
            let watched = config.subscriptions.iter().filter(|subscription| subscription.account == account.name);
            for SubscriptionSettings { resource, .. } in watched.map(|subscription| &subscription.settings).filter(|_| usable) {
                if !network_told {
                    network(&mut report, &config, &client, resource).await?;
                    network_told = true;
                }
                watch(&mut report, &config, account, &client, resource).await?;
            }
        }
        for sink in config.sinks {
            let found = sinks::probe(sink.kind).await;
            report.add("sink", &sink.settings.name, found)?;
        }
        report.conclude()
    }
}

fn host(config: &Config) -> &str {
    let origin = config.graph.base_url.origin();
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

async fn dns(config: &Config) -> Result<String, Problem> {
    let base_url = &config.graph.base_url;
    if config.network.proxy.is_set() && !base_url.is_loopback() {
        return Ok("left to the proxy".to_owned());
    }
    let name = host(config);
    // A port follows an address in brackets, or a name without a colon in it.
    let has_port = name.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let target = if has_port { name.to_owned() } else { format!("{name}:443") };
    let found = tokio::time::timeout(config.network.connect_timeout, tokio::net::lookup_host(&target)).await;
    let unresolved = |why: String| {
        Problem::new(
            Kind::Unavailable,
            why,
            "look at the machine's resolver and network, or set HTTPS_PROXY where a proxy is the way out",
        )
    };
    match found {
        Ok(Ok(addresses)) => Ok(format!("{} addresses", addresses.count())),
        Ok(Err(error)) => Err(unresolved(error.to_string())),
        Err(_) => Err(unresolved(format!("no answer within {:?}", config.network.connect_timeout))),
    }
}

/// The permissions in the endpoint's table (<https://learn.microsoft.com/en-us/graph/api/subscriptions-socketio>), the least first.
const DOCUMENTED: [&str; 4] = ["Files.Read", "Files.ReadWrite", "Files.ReadWrite.All", "Sites.ReadWrite.All"];
/// Not in the table; they read drives all the same.
const READING: [&str; 2] = ["Files.Read.All", "Sites.Read.All"];

async fn token(client: &GraphClient, account: &Account) -> Result<String, Problem> {
    let help = sign_in::hints(std::slice::from_ref(account));
    let token = client.token().await.map_err(|error| Problem::new(Kind::SignIn, crate::exit::chain(&error), help.as_str()))?;
    let left = token.expires().map(|expires| expires.duration_since(Timestamp::now()).as_mins());
    if let Some(left) = left.filter(|left| *left < 0) {
        return Err(Problem::new(Kind::SignIn, format!("it expired {} minutes ago", -left), help));
    }
    let left = left.map_or_else(String::new, |left| format!(", good for {left} minutes"));
    scopes(&token).map(|scopes| format!("{scopes}{left}")).map_err(|detail| {
        Problem::new(
            Kind::SignIn,
            detail,
            "sign in again and ask for Files.Read: the least that the endpoint's documentation names",
        )
    })
}

fn scopes(token: &AccessToken) -> Result<String, String> {
    let Some(scopes) = token.scopes() else {
        return Ok("opaque, so its scopes are not readable; what Graph allows is below".to_owned());
    };
    let among = |known: &[&str]| scopes.iter().find(|scope| known.contains(&scope.as_str())).cloned();
    match (among(&DOCUMENTED), among(&READING)) {
        (Some(scope), _) => Ok(format!("has {scope}")),
        (None, Some(scope)) => {
            Ok(format!("has {scope}, which the endpoint's documentation does not name; Files.Read is the least"))
        }
        (None, None) => Err(format!("its scopes are {}: none that opens the endpoint", scopes.join(" "))),
    }
}

/// TLS and the clocks, from one request.
async fn network(report: &mut Report, config: &Config, client: &GraphClient, resource: &Resource) -> Result<(), Failure> {
    let before = Timestamp::now();
    let looked = client.look(&format!("{}?$select=id", resource.drive_path())).await;
    let after = Timestamp::now();
    match looked {
        Ok(look) => {
            report.add("tls", host(config), tls(config, &look))?;
            report.add("clock", host(config), clock(&look, before, after))
        }
        Err(refusal) if matches!(refusal.remedy, Remedy::Retry { .. }) => {
            let fix = "look at the network, at [network] proxy, and at ca_file where a company's proxy opens TLS";
            report.add("graph", host(config), Err(Problem::new(Kind::Unavailable, refusal.to_string(), fix)))
        }
        // It answered: the resource's own lines say what.
        Err(_) => Ok(()),
    }
}

fn tls(config: &Config, look: &Look) -> Result<String, Problem> {
    /// Whoever has to renew it needs some days.
    const SOON: i64 = 7;

    if !config.graph.base_url.is_https() {
        return Ok("none: loopback".to_owned());
    }
    let days = look.certificate.as_deref().and_then(days_left);
    match days {
        Some(days) if days < SOON => {
            let fix = "whoever runs that host, or the proxy before it, renews the certificate";
            Err(Problem::new(Kind::Unavailable, format!("its certificate ends in {days} days"), fix))
        }
        Some(days) => Ok(format!("trusted, its certificate is good for {days} days")),
        None => Ok("trusted; its certificate does not say until when".to_owned()),
    }
}

fn days_left(der: &[u8]) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let ends = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    Some(ends.duration_since(Timestamp::now()).as_hours() / 24)
}

fn clock(look: &Look, before: Timestamp, after: Timestamp) -> Result<String, Problem> {
    /// drivetap counts by Graph's own clock; tokens and logs do not.
    const MOST: i64 = 30;

    let Some(date) = look.date else {
        return Ok("Graph did not tell its time".to_owned());
    };
    // The header has whole seconds, cut off; what passed on the way is nobody's fault.
    let ahead = before.duration_since(date) - SignedDuration::from_secs(1);
    let behind = date.duration_since(after);
    match (ahead.as_secs(), behind.as_secs()) {
        (ahead, _) if ahead > MOST => Err(Problem::new(Kind::Config, format!("this machine is {ahead} s ahead of Graph"), NTP)),
        (_, behind) if behind > MOST => Err(Problem::new(Kind::Config, format!("this machine is {behind} s behind Graph"), NTP)),
        (ahead, behind) => Ok(format!("within {} s of Graph's", ahead.max(behind).max(1))),
    }
}

const NTP: &str = "set the clock by NTP: tokens are refused early or late otherwise";

/// Drive, endpoint, socket and delta of one resource.
async fn watch(
    report: &mut Report,
    config: &Config,
    account: &Account,
    client: &GraphClient,
    resource: &Resource,
) -> Result<(), Failure> {
    let name = resource.to_string();
    let refused = |refusal: &Refusal| problem(refusal, account);
    let drive = match client.drive(resource).await {
        Ok(drive) => drive,
        Err(refusal) => return report.add("drive", &name, Err(refused(&refusal))),
    };
    report.add("drive", &name, Ok(format!("the {} drive {}", drive.drive_type, drive.id)))?;

    let endpoint = client.endpoint(resource).await;
    let told = endpoint.as_ref().map_err(refused).map(|endpoint| match endpoint.lifetime {
        Some(lifetime) => {
            format!("at {}, good for {} minutes", endpoint.subscription.notification_url.host(), lifetime.as_secs() / 60)
        }
        None => format!("at {}, it does not say for how long", endpoint.subscription.notification_url.host()),
    });
    report.add("endpoint", &name, told)?;
    if let Ok(endpoint) = endpoint {
        let opened = transport(&config.network)?.open(&endpoint.subscription.notification_url, &config.network.limits).await;
        let told = match opened {
            Ok(session) => {
                let ping = session.ping_interval();
                session.close(Duration::from_secs(1)).await;
                Ok(format!("open, a ping every {} s", ping.as_secs()))
            }
            Err(error) => {
                let fix = "let websockets (wss, port 443) through to *.svc.ms, in the firewall and in the proxy; polling is not offered";
                Err(Problem::new(Kind::Unavailable, error.to_string(), fix))
            }
        };
        report.add("socket", &name, told)?;
    }
    let delta = client.page(&drive.id, &PageFrom::Latest, &mut Share::alone()).await;
    report.add("delta", &name, delta.map(|_| "it tells its end".to_owned()).map_err(|refusal| refused(&refusal)))
}

fn problem(refusal: &Refusal, account: &Account) -> Problem {
    match refusal.remedy {
        Remedy::SignIn => Problem::new(Kind::SignIn, refusal.to_string(), sign_in::hints(std::slice::from_ref(account))),
        Remedy::RetrySlowly { .. } | Remedy::RetryThenResync { .. } => Problem::new(
            Kind::Unavailable,
            refusal.to_string(),
            "the id is wrong, this account may not see it, or its token lacks a permission; `drivetap discover` lists what it sees",
        ),
        Remedy::Retry { .. } | Remedy::Resync { .. } => {
            Problem::new(Kind::Unavailable, refusal.to_string(), "try again in a while")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(date: &str) -> Look {
        Look { body: serde_json::Value::Null, next: None, date: date.parse().ok(), certificate: None }
    }

    #[test]
    fn a_clock_is_wrong_by_more_than_the_way_and_the_cut_second_can_explain() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let check = |date: &str, right: bool| {
            let found = clock(&look(date), at("2026-05-28T20:00:00Z"), at("2026-05-28T20:00:05Z"));
            assert_eq!(found.is_ok(), right, "{date}");
        };
        check("2026-05-28T20:00:02Z", true);
        check("2026-05-28T19:59:29Z", true);
        check("2026-05-28T19:59:28Z", false);
        check("2026-05-28T20:00:35Z", true);
        check("2026-05-28T20:00:36Z", false);
        check("", true);
    }

    #[cfg(all(unix, feature = "redis"))]
    #[test]
    fn a_sink_is_signed_in_to_with_its_password_whatever_is_checked_beside_it() {
        use crate::cli::Connection;
        use crate::config::SinkKind;

        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("d.toml");
        let text = "[account.default]\ntoken = { env = \"T\" }\n[[subscription]]\nresource = \"me\"\n[sink.r]\ntype = \"redis\"\n\
            url = \"redis://h:1?channel=c\"\npassword = { command = [\"printf\", \"hunter2\"] }\n";
        std::fs::write(&file, text).expect("written");
        let streams = Streams { stdout_is_terminal: false, coloured: false, stderr_moves: false };
        for (resources, account) in [(vec![], None), (vec![Resource::Me], None), (vec![], Some("default".parse().unwrap()))] {
            let connection = Connection {
                config: Some(file.clone()),
                base_url: None,
                cloud: None,
                token_env: None,
                token_file: None,
                account,
            };
            let args = Check { resources, sink: None, json: false, connection };
            let checking = Checking::new(args, &Env::new(|_| None), streams).expect("read");
            let [crate::config::SinkConfig { kind: SinkKind::Redis(redis), .. }] = &checking.config.sinks[..] else {
                panic!("{:?}", checking.config.sinks)
            };
            assert!(redis.password.is_some(), "{:?}", checking.config.accounts);
        }
    }

    #[cfg(feature = "stdout")]
    #[test]
    fn a_certificates_days_are_told_and_few_of_them_fail() {
        let text =
            "[account.default]\ntoken = { env = \"T\" }\n[[subscription]]\nresource = \"me\"\n[sink.out]\ntype = \"stdout\"\n";
        let config = Config::parse(text, "d.toml", std::path::Path::new(""), &Env::new(|_| None), Purpose::Connection).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let showing = |certificate| tls(&config, &Look { certificate, ..look("") });
        let ending_in = |days: u64| {
            // An hour more, for the time that the test takes.
            let left = Duration::from_secs((days * 24 + 1) * 3_600);
            let now = Duration::try_from(Timestamp::now().duration_since(Timestamp::UNIX_EPOCH)).unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["graph.microsoft.com".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + left;
            showing(Some(params.self_signed(&key).unwrap().der().to_vec()))
        };
        assert_eq!(ending_in(90).unwrap(), "trusted, its certificate is good for 90 days");
        assert_eq!(ending_in(7).unwrap(), "trusted, its certificate is good for 7 days");
        for days in [0, 6] {
            let problem = ending_in(days).unwrap_err();
            assert_eq!((problem.kind, problem.detail), (Kind::Unavailable, format!("its certificate ends in {days} days")));
            assert!(problem.fix.contains("renews the certificate"), "{}", problem.fix);
        }
        for unreadable in [None, Some(b"no certificate".to_vec())] {
            assert_eq!(showing(unreadable).unwrap(), "trusted; its certificate does not say until when");
        }
    }

    #[test]
    fn scopes_are_held_against_the_documented_table() {
        use base64::Engine as _;
        let token = |scopes: &str| {
            let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
            AccessToken::new(&format!("{}.{}.x", part("{}"), part(&format!(r#"{{"scp":"{scopes}"}}"#)))).unwrap()
        };
        assert_eq!(scopes(&token("User.Read Files.Read")).unwrap(), "has Files.Read");
        assert!(scopes(&token("Sites.Read.All")).unwrap().contains("does not name"));
        assert_eq!(scopes(&token("User.Read")).unwrap_err(), "its scopes are User.Read: none that opens the endpoint");
        assert!(scopes(&AccessToken::new("opaque").unwrap()).unwrap().starts_with("opaque"));
    }
}
