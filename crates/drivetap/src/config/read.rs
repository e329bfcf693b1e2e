use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{AccountName, NotificationHosts, Resource};
use drivetap_bridge::graph::login::LoginUrl;
use drivetap_bridge::graph::{BaseUrl, Cloud, Quota};
use toml::de::DeTable;
use tracing::Level;

use super::problem::Problems;
use super::section::{At, Context, Section};
use super::sink::{SinkConfig, SinkKind, sink};
use super::{Account, Config, GraphSection, Log, LogFormat, Purpose, Subscription, TokenFrom, network};
use crate::env::Env;

pub(super) fn config(text: &str, dir: &Path, env: &Env, purpose: Purpose) -> Result<Config, Problems> {
    let problems = Problems::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut header: Option<Range<usize>> = None;
    for error in &errors {
        match error.span() {
            // The second table of a name is read into the first: its own keys look like repeats, and are none.
            Some(span) if header.as_ref().is_some_and(|header| is_in_table(text, header, &span)) => {}
            Some(span) if error.message() == "duplicate key" => {
                if line_before(text, &span).trim_start().starts_with('[') {
                    header = Some(span.clone());
                }
                problems.at(&span, format!("{} is there twice", text.get(span.clone()).unwrap_or_default()));
            }
            Some(span) => problems.at(&span, format!("not TOML: {}", error.message())),
            None => problems.whole(format!("not TOML: {}", error.message())),
        }
    }
    // What the rest says would be guesses.
    if !errors.is_empty() {
        return Err(problems);
    }
    let runs_commands = matches!(purpose, Purpose::Service | Purpose::Probe);
    let cx = Context { problems: &problems, dir, text, env, runs_commands };
    let root = Section::new("the file", document.get_ref(), 0..0, cx);
    let read = whole(root, env, purpose, &problems);
    match read {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

fn line_before<'t>(text: &'t str, span: &Range<usize>) -> &'t str {
    text.get(..span.start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default()
}

/// Whether no other table begins between the header and what follows it.
fn is_in_table(text: &str, header: &Range<usize>, span: &Range<usize>) -> bool {
    let between = text.get(header.end..span.start);
    between.is_some_and(|between| !between.lines().skip(1).any(|line| line.trim_start().starts_with('[')))
}

fn whole(root: Section<'_>, env: &Env, purpose: Purpose, problems: &Problems) -> Option<Config> {
    let graph = root.section("graph", "[graph]").map_or_else(|| Some(GraphSection::at(BaseUrl::default())), graph);
    let accounts: Vec<_> = root.named_sections("account").into_iter().filter_map(|(name, s)| account(&name, s)).collect();
    let declared: Vec<_> = root.named_sections("account").into_iter().map(|(name, _)| name.value.to_owned()).collect();
    let subscriptions = subscriptions(&root, &declared);
    let state = root.section("state", "[state]").and_then(|section| {
        let path = section.required("path", section.path("path"), "\"drivetap.redb\"");
        section.finish();
        #[cfg(not(feature = "redb"))]
        if let Some(at) = &path {
            problems.at(&at.span, "[state] is not compiled into this binary: build it with the feature \"redb\"");
        }
        path
    });
    let state = state.map(|at| at.value);
    let sinks = sinks(&root, state.as_deref());

    let (on_the_net, delta) = (root.section("network", "[network]"), root.section("delta", "[delta]"));
    let network = network::network(on_the_net.as_ref(), delta.as_ref(), env, problems);
    on_the_net.into_iter().chain(delta).for_each(Section::finish);

    let admin = root.section("admin", "[admin]").and_then(|section| {
        let listen = section.required("listen", section.parsed::<SocketAddr>("listen"), "\"127.0.0.1:9464\"");
        section.finish();
        listen
    });
    let deadline = root.section("shutdown", "[shutdown]").and_then(|section| {
        let deadline = section.duration_or_zero("deadline");
        section.finish();
        deadline
    });
    let log = root.section("log", "[log]").map(log).unwrap_or_default();

    if matches!(purpose, Purpose::Service | Purpose::Validation) {
        if root.list_of_sections("subscription").is_empty() {
            problems.whole("there is no subscription, so nothing would be watched: add [[subscription]] with resource = \"me\"");
        }
        if root.named_sections("sink").is_empty() {
            problems.whole("there is no sink, so events would go nowhere: add [sink.console] with type = \"stdout\"");
        }
    }
    root.finish();
    Some(Config {
        graph: graph?,
        accounts,
        subscriptions,
        state,
        sinks,
        network: network?,
        admin: admin.map(|at| at.value),
        deadline: deadline.map_or(Duration::from_secs(30), |at| at.value),
        log,
    })
}

fn graph(section: Section<'_>) -> Option<GraphSection> {
    let cloud = section.parsed::<Cloud>("cloud");
    let base_url = section.parsed::<BaseUrl>("base_url");
    let login_url = section.parsed::<LoginUrl>("login_url");
    let user_agent = section.text("user_agent");
    let hosts = section.texts("notification_hosts");

    if let (Some(_), Some(at)) = (section.text("cloud"), section.text("base_url")) {
        section.problem_at(&at, "cloud and base_url are both given: one of them says where Graph is");
    }
    if let Some(at) = user_agent.as_ref().filter(|at| at.value.is_empty() || !at.value.bytes().all(|b| (0x20..0x7f).contains(&b)))
    {
        section.problem_at(at, "user_agent is not a header value: use visible ASCII");
    }
    for at in hosts.iter().flatten() {
        if let Err(error) = NotificationHosts::new(&[at.value], false) {
            section.problem_at(at, error.to_string());
        }
    }
    if hosts.as_ref().is_some_and(Vec::is_empty) {
        section.problem("notification_hosts is empty: write [\"*.svc.ms\"], or leave it out");
    }
    section.finish();

    let base_url = base_url.map_or_else(|| cloud.map_or(Cloud::Global, |at| at.value).into(), |at| at.value);
    let mut graph = GraphSection::at(base_url);
    graph.login_url = login_url.map(|at| at.value);
    graph.user_agent = user_agent.map(|at| at.value.to_owned());
    if let Some(hosts) = hosts {
        graph.notification_hosts = hosts.into_iter().map(|at| at.value.to_owned()).collect();
    }
    Some(graph)
}

fn account(name: &At<&str>, section: Section<'_>) -> Option<Account> {
    let parsed = name.value.parse::<AccountName>();
    if let Err(error) = &parsed {
        section.problem_at(name, error.to_string());
    }
    let example = "{ login = \"default\" }, { env = \"DRIVETAP_TOKEN\" }, { file = \"…\" } or { command = [\"…\"] }";
    let token = section.required("token", section.section("token", format!("token of {}", section.name())), example);
    let requests = section.integer::<u32>("requests_in_5_min", 10, 1_000_000);
    section.finish();
    let requests = requests.and_then(|at| NonZeroU32::new(at.value)).unwrap_or(Quota::GRAPH);
    Some(Account { token: token_from(token?)?, name: parsed.ok()?, quota: Quota::in_five_minutes(requests) })
}

fn token_from(section: Section<'_>) -> Option<TokenFrom> {
    let login = section.parsed::<AccountName>("login").map(|at| (false, at.span, TokenFrom::Login(at.value)));
    #[cfg(not(feature = "login"))]
    if login.is_some() {
        section.problem("token = { login = … } is not compiled into this binary: build it with the feature \"login\"");
    }
    let env = section.text("env").map(|at| (at.value.is_empty(), at.span, TokenFrom::Env(at.value.to_owned())));
    let file = section.path("file").map(|at| (false, at.span, TokenFrom::File(at.value)));
    let command = section.texts("command").map(|args| {
        let program = args.first();
        let span = program.map_or(0..0, |at| at.span.clone());
        let empty = program.is_none_or(|at| at.value.is_empty());
        (empty, span, TokenFrom::Command(args.iter().map(|at| at.value.to_owned()).collect()))
    });
    let asked_for = ["login", "env", "file", "command"].iter().filter(|key| section.has(key)).count();
    let mut given = [login, env, file, command].into_iter().flatten();
    let source = match (given.next(), given.next()) {
        (Some((false, _, source)), None) => Some(source),
        (Some((true, _, TokenFrom::Command(_))), None) => {
            section.problem("command is empty: write the program and its arguments, [\"az\", \"account\", \"get-access-token\"]");
            None
        }
        (Some((true, span, _)), None) => {
            section.problem_at(&At { value: (), span }, "env is empty: write the variable's name");
            None
        }
        (Some(_), Some(_)) => {
            section.problem("a token has one source: login, env, file or command");
            None
        }
        // What was given is wrong, and has been said.
        (None, _) if asked_for > 0 => None,
        (None, _) => {
            section.problem(
                "a token has no source: write login = \"default\", env = \"DRIVETAP_TOKEN\", file = \"…\" or command = [\"…\"]",
            );
            None
        }
    };
    section.finish();
    source
}

fn subscriptions(root: &Section<'_>, accounts: &[String]) -> Vec<Subscription> {
    let mut seen: HashMap<(AccountName, Resource), ()> = HashMap::new();
    let mut all = Vec::new();
    for section in root.list_of_sections("subscription") {
        let resource = section.required("resource", section.parsed::<Resource>("resource"), "\"me\"");
        let account = section.parsed::<AccountName>("account");
        let emit = section.texts("emit").and_then(|words| emit(&section, &words));
        let start = section.word("start", &[("latest", Start::Latest), ("beginning", Start::Beginning)]);

        let name = account.as_ref().map_or_else(AccountName::default, |at| at.value.clone());
        if !accounts.iter().any(|known| known == name.as_str()) && (account.is_some() || !section.has("account")) {
            let message = format!(
                "there is no account {:?}: add [account.{name}] with token = {{ env = \"DRIVETAP_TOKEN\" }}",
                name.as_str()
            );
            match &account {
                Some(at) => section.problem_at(at, message),
                None => section.problem(message),
            }
        }
        if let Some(resource) = resource {
            if seen.insert((name.clone(), resource.value.clone()), ()).is_some() {
                section.problem_at(&resource, format!("{} is there twice in the account {:?}", resource.value, name.as_str()));
            }
            let settings = SubscriptionSettings {
                resource: resource.value,
                emit: emit.unwrap_or(Emit { signals: true, changes: true }),
                start: start.map_or(Start::Latest, |at| at.value),
            };
            all.push(Subscription { account: name, settings });
        }
        section.finish();
    }
    all
}

fn emit(section: &Section<'_>, words: &[At<&str>]) -> Option<Emit> {
    for at in words.iter().filter(|at| !["signals", "changes"].contains(&at.value)) {
        section.problem_at(at, format!("emit has {:?}, which is none of: signals, changes", at.value));
    }
    let has = |word| words.iter().any(|at| at.value == word);
    let emit = Emit { signals: has("signals"), changes: has("changes") };
    if words.is_empty() {
        section.problem("emit is empty, so nothing would be published: write [\"signals\", \"changes\"] or one of them");
    }
    Some(emit)
}

fn sinks(root: &Section<'_>, state: Option<&Path>) -> Vec<SinkConfig> {
    let mut sinks = Vec::new();
    let mut on_stdout: Option<String> = None;
    for (name, section) in root.named_sections("sink") {
        let Some(sink) = sink(&name, section, state) else {
            continue;
        };
        #[cfg(feature = "stdout")]
        if matches!(sink.kind, SinkKind::Stdout(_)) {
            match &on_stdout {
                Some(first) => root.problem_at(&name, format!("[sink.{first}] writes to standard output already")),
                None => on_stdout = Some(name.value.to_owned()),
            }
        }
        sinks.push(sink);
    }
    #[cfg(not(feature = "stdout"))]
    let _ = on_stdout.take();
    sinks
}

fn log(section: Section<'_>) -> Log {
    let levels =
        [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG), ("trace", Level::TRACE)];
    let level = section.word("level", &levels);
    let format = section.word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    section.finish();
    let default = Log::default();
    Log { level: level.map_or(default.level, |at| at.value), format: format.map_or(default.format, |at| at.value) }
}
