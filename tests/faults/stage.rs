//! Where a row is played: an emulated Graph behind a proxy, real servers, the program, and a consumer at each sink.

mod wait;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use drivetap_emulator::{DriveHandle, DriveKind, Emulator, ME_DRIVE, NewDrive};
use drivetap_tests::{Authority, Feed, Item, KafkaCluster, Proxy, State, differences, unique};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::lane::{Lane, Redis, Subscriber};
use crate::official::Official;
use crate::process::{Ended, Lines, Process};
use crate::report::Tally;
use crate::setup::{DEADLINE_S, Setup, TOKEN};
use crate::sinks::{Kind, SinkUnderTest, Source, Tail};
use crate::story::Story;

/// From the start of the program to the first chapter at every sink; and from the last chapter to its end.
const CALM: Duration = Duration::from_secs(60);
/// A change that nothing holds up arrives sooner.
const SOON: Duration = Duration::from_secs(2);

/// A row says what it wants in [`setup`](Self::setup), then [starts](Self::start), then lets the fault strike.
pub(crate) struct Stage {
    pub(crate) setup: Setup,
    pub(crate) lane: Lane,
    /// In front of Graph.
    pub(crate) web: Proxy,
    /// Signs the certificates of servers.
    pub(crate) authority: Authority,
    pub(crate) dir: TempDir,
    kinds: Vec<Kind>,
    topic: String,
    graph: Option<Emulator>,
    official: Option<Official>,
    program: Option<Process>,
    stdout: Lines,
    pub(crate) sinks: Vec<SinkUnderTest>,
    story: Story,
    /// Everything that lives before this one said on standard error.
    said: Vec<String>,
    lives: Vec<Life>,
    peak_kib: u64,
    fault_ended: Option<Instant>,
    /// The lane's own servers, while a row plays on others.
    own_lane: Option<Lane>,
    /// What a slow subscriber lost, in place of the quick one's count.
    lost_by_another: Option<u64>,
    log: PathBuf,
}

/// Which of the program's connections.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Graph,
    Sink,
}

/// What a life that ended in order left: what its last lines say of each sink.
pub(crate) struct Life {
    pub(crate) ended: Ended,
}

impl Stage {
    pub(crate) async fn new(kinds: &[Kind], lane: Lane, log: PathBuf) -> Self {
        Self {
            setup: Setup::default(),
            lane,
            web: Proxy::start(([127, 0, 0, 1], 9).into()).await,
            authority: Authority::new(),
            dir: tempfile::tempdir().unwrap(),
            kinds: kinds.to_vec(),
            topic: unique("faults"),
            graph: None,
            official: None,
            program: None,
            stdout: Lines::default(),
            sinks: Vec::new(),
            story: Story::of(Vec::new()),
            said: Vec::new(),
            lives: Vec::new(),
            peak_kib: 0,
            fault_ended: None,
            own_lane: None,
            lost_by_another: None,
            log,
        }
    }

    /// Graph, the servers, the program; and the first chapter, which arrives. The session is there then: the first walk needs none.
    pub(crate) async fn start(&mut self) {
        self.start_servers().await;
        self.start_program();
        self.chapter().await;
        self.settle(CALM).await;
        self.joined().await;
    }

    /// Everything but the program.
    pub(crate) async fn start_servers(&mut self) {
        let scheme = if self.setup.https { "https" } else { "http" };
        let host = self.setup.graph_host.unwrap_or(if self.setup.https { "localhost" } else { "127.0.0.1" });
        let mut config = self.setup.emulator.clone();
        config.origin = Some(format!("{scheme}://{host}:{}", self.web.address().port()));
        if self.setup.official {
            let server = Official::start().await;
            config.notification_origin = Some(server.origin.clone());
            self.official = Some(server);
        }
        let graph = Emulator::start(config).await.unwrap();
        self.web.lead_to(graph.address());
        for (_, drive) in &self.setup.feeds {
            if graph.drive(drive).is_none() {
                graph.add_drive(NewDrive { id: Some(drive.clone()), kind: DriveKind::Personal, name: None }).unwrap();
            }
        }
        self.write_token(TOKEN);
        fs::write(self.dir.path().join("ca.pem"), self.authority.pem()).unwrap();

        let mut toml = Vec::new();
        for kind in self.kinds.clone() {
            let (source, keys) = self.open_sink(kind).await;
            toml.push(self.setup.sink(kind, &keys));
            self.sinks.push(SinkUnderTest::new(kind, self.setup.live.contains(&kind), source));
        }
        let toml = self.setup.toml(&graph.base_url(), &toml);
        fs::write(self.dir.path().join("drivetap.toml"), toml).unwrap();
        self.story = Story::of(self.setup.feeds.iter().map(|(_, drive)| graph.drive(drive).unwrap()).collect());
        self.graph = Some(graph);
    }

    async fn open_sink(&mut self, kind: Kind) -> (Source, String) {
        let topic = self.topic.clone();
        match kind {
            Kind::Stdout => (Source::Stdout { lines: self.stdout.clone(), read: 0 }, String::new()),
            Kind::Kafka => {
                let listener = self.setup.listener;
                let kafka = self.lane.kafka().await;
                kafka.create_topic(&topic).await;
                let keys = format!("bootstrap_servers = \"{}\"\ntopic = \"{topic}\"\n", kafka.bootstrap(listener));
                (Source::Kafka(Tail::of(kafka.client(), &topic)), keys)
            }
            Kind::Redis => {
                let start = self.setup.redis.clone();
                let redis = self.lane.redis().await;
                let subscriber = Subscriber::on(&redis.server, &topic).await;
                let keys = format!("url = \"{start}:{}\"\nchannel = \"{topic}\"\n", redis.proxy.address().port());
                (Source::Redis { channel: topic, read: 0, subscriber }, keys)
            }
        }
    }

    pub(crate) fn graph(&self) -> &Emulator {
        self.graph.as_ref().expect("the stage is set")
    }

    pub(crate) fn me(&self) -> DriveHandle {
        self.graph().drive(ME_DRIVE).unwrap()
    }

    /// The topic, and the channel.
    pub(crate) fn topic(&self) -> String {
        self.topic.clone()
    }

    pub(crate) fn broker(&mut self) -> &mut KafkaCluster {
        self.lane.broker()
    }

    pub(crate) async fn redis(&mut self) -> &mut Redis {
        self.lane.redis().await
    }

    /// The one sink of a row that is played for each.
    pub(crate) fn kind(&self) -> Kind {
        self.kinds[0]
    }

    /// What stands in front of the sink's server: Kafka's one proxy a node, Redis's one.
    pub(crate) async fn sink_proxies(&mut self) -> Vec<&Proxy> {
        let listener = self.setup.listener;
        match self.kind() {
            Kind::Stdout => Vec::new(),
            Kind::Kafka => self.lane.broker().proxies(listener),
            Kind::Redis => vec![&self.lane.redis().await.proxy],
        }
    }

    pub(crate) async fn proxies(&mut self, side: Side) -> Vec<&Proxy> {
        match side {
            Side::Graph => vec![&self.web],
            Side::Sink => self.sink_proxies().await,
        }
    }

    /// Another life of the program, on the state that the one before left.
    pub(crate) fn start_program(&mut self) {
        let config = self.dir.path().join("drivetap.toml");
        self.program = Some(Process::start(&config, &self.setup.wrapper, &self.setup.env, self.stdout.clone()));
    }

    pub(crate) fn program(&self) -> &Process {
        self.program.as_ref().expect("the program runs")
    }

    /// `kill -9`.
    pub(crate) async fn kill_program(&mut self) {
        self.program().signal(rustix::process::Signal::KILL);
        self.end_program().await;
    }

    /// SIGTERM, the drain, and an end in order: exit code 0, in time, with last lines that add up.
    pub(crate) async fn stop_program(&mut self) {
        let begin = Instant::now();
        self.program().signal(rustix::process::Signal::TERM);
        let ended = self.end_program().await;
        let took = begin.elapsed();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr.join("\n"));
        assert!(took < Duration::from_secs(DEADLINE_S + 3), "SIGTERM took {took:?}");
        let counts = |of: &str| ended.counts(of).unwrap_or_else(|| panic!("no counts of {of}:\n{}", ended.stderr.join("\n")));
        let total = counts("drained");
        for name in ["delivered", "dead_lettered", "abandoned"] {
            let sum: u64 = self.kinds.iter().map(|kind| counts(&format!("sink {kind}"))[name]).sum();
            assert_eq!(total[name], sum, "the last line does not add up: {}", ended.stderr.join("\n"));
        }
        self.lives.push(Life { ended });
    }

    async fn end_program(&mut self) -> Ended {
        let program = self.program.take().expect("the program runs");
        self.peak_kib = self.peak_kib.max(program.peak_kib());
        let ended = program.end().await;
        self.said.extend(ended.stderr.iter().cloned());
        ended
    }

    /// Standard error, of all lives.
    pub(crate) fn said(&self) -> Vec<String> {
        let now = self.program.as_ref().map(Process::stderr).unwrap_or_default();
        self.said.iter().cloned().chain(now).collect()
    }

    pub(crate) async fn chapter(&mut self) {
        let Some(official) = &self.official else { return self.story.chapter().await };
        tokio::select! {
            () = self.story.chapter() => official.signal().await,
            () = official.signals() => {}
        }
    }

    /// In a row that has the official server.
    pub(crate) fn official(&self) -> &Official {
        self.official.as_ref().expect("a row with the official server")
    }

    /// The fault strikes for so long, and does: at its end something is missing.
    pub(crate) async fn holds(&mut self, time: Duration) {
        let begin = Instant::now();
        self.chapter().await;
        // The chapter may have passed in the moment before the fault was felt.
        sleep(time.saturating_sub(begin.elapsed() + SOON)).await;
        self.story.postscript();
        sleep(SOON).await;
        let missing = self.missing().await;
        assert!(missing.iter().all(|(_, missing)| *missing > 0), "the fault did not strike: {missing:?}");
    }

    /// Whatever goes on, everything arrives meanwhile.
    pub(crate) async fn keeps_up(&mut self, limit: Duration) {
        self.chapter().await;
        self.settle(limit).await;
    }

    /// From now on the recovery is timed.
    pub(crate) fn fault_ends(&mut self) {
        self.fault_ended = Some(Instant::now());
    }

    /// Waits for the end of the recovery, and answers how long it took.
    pub(crate) async fn recovery(&mut self, limit: Duration) -> Duration {
        let began = self.fault_ended.expect("a row says when its fault ends");
        self.settle(limit).await;
        self.joined().await;
        began.elapsed()
    }

    /// One chapter more, the end of the program, and what there is to say of each sink.
    pub(crate) async fn finish(&mut self) -> Vec<Tally> {
        self.chapter().await;
        self.settle(CALM).await;
        self.stop_program().await;
        let missing = self.last_of_it().await;
        let changes = self.graph().stats().changes;
        let lives = self.lives.len();
        let last = self.lives.last().expect("it ended in order");
        for sink in &self.sinks {
            let counts = last.ended.counts(&format!("sink {}", sink.kind)).unwrap_or_default();
            let count = |name: &str| counts.get(name).copied().unwrap_or_default();
            assert_eq!(count("dead_lettered"), 0, "{}", sink.kind);
            assert_eq!(sink.consumer.skipped(), 0, "{}: numbers of the sequence that nothing tells of", sink.kind);
            if !sink.live {
                assert_eq!(count("abandoned"), 0, "{}", sink.kind);
            }
            let (delivered, arrived) = (count("delivered"), sink.consumer.events);
            assert!(lives > 1 || delivered <= arrived, "{}: {delivered} delivered, {arrived} arrived", sink.kind);
        }
        let tally = |(sink, (_, missing)): (&SinkUnderTest, &(Kind, usize))| Tally {
            sink: sink.kind,
            changes,
            delivered: sink.consumer.changes,
            missing: *missing,
            repeats: sink.consumer.repeats,
            overflows: sink.consumer.overflows,
            subscriber_lost: self.lost_by_another.filter(|_| sink.kind == Kind::Redis).or(sink.subscriber_lost()),
        };
        self.sinks.iter().zip(&missing).map(tally).collect()
    }

    pub(crate) fn peak_kib(&self) -> u64 {
        self.peak_kib
    }

    /// Waits until every durable sink's consumer believes what is true.
    async fn settle(&mut self, limit: Duration) {
        let begin = Instant::now();
        loop {
            let missing = self.missing().await;
            let durable = self.sinks.iter().zip(&missing).filter(|(sink, _)| !sink.live);
            if durable.map(|(_, (_, missing))| missing).sum::<usize>() == 0 {
                return;
            }
            if let Some(status) = self.program.as_mut().and_then(Process::died) {
                panic!("the program died: {status}");
            }
            assert!(begin.elapsed() < limit, "never recovered: after {limit:?} these are missing: {missing:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many items each sink's consumer has wrong.
    pub(crate) async fn missing(&mut self) -> Vec<(Kind, usize)> {
        let truth: Vec<(Feed, State)> = self.setup.feeds.iter().map(|feed| (feed.clone(), self.truth(feed))).collect();
        let ledger = match self.kinds.contains(&Kind::Redis) {
            true => Some(&self.lane.redis().await.relay),
            false => None,
        };
        let mut missing = Vec::new();
        for sink in &mut self.sinks {
            let acknowledged = |channel: &str, from| {
                let all = ledger.map(|relay| relay.acknowledged(channel, from)).unwrap_or_default();
                all.into_iter().map(|published| published.message).collect()
            };
            sink.read(acknowledged);
            let wrong = truth.iter().map(|(feed, truth)| {
                differences(&sink.consumer.state(feed), truth) + usize::from(sink.consumer.is_enumerating(feed))
            });
            missing.push((sink.kind, wrong.sum()));
        }
        missing
    }

    fn truth(&self, feed: &Feed) -> State {
        let items = self.graph().drive(&feed.1).unwrap().snapshot();
        items.iter().map(|item| (item["id"].as_str().unwrap().to_owned(), Item::of(item))).collect()
    }

    /// Gives the servers to the next row.
    pub(crate) fn give_back_lane(&mut self) -> Lane {
        let lane = self.own_lane.take().unwrap_or_else(|| std::mem::take(&mut self.lane));
        lane.calm();
        lane
    }

    /// Plays on these servers, and leaves the lane's own alone.
    pub(crate) fn borrow_servers(&mut self, lane: Lane) {
        self.own_lane = Some(std::mem::replace(&mut self.lane, lane));
    }

    /// A subscriber of the row's own heard so many messages of all there were.
    pub(crate) async fn heard_by_another(&mut self, heard: u64) {
        self.missing().await;
        let arrived = self.sinks.iter().find(|sink| sink.kind == Kind::Redis).map_or(0, |sink| sink.consumer.events);
        self.lost_by_another = Some(arrived.saturating_sub(heard));
    }

    /// Gives the program another token. At no moment is there half of one.
    pub(crate) fn write_token(&self, token: &str) {
        let file = self.dir.path().join("token");
        let draft = file.with_extension("draft");
        fs::write(&draft, token).unwrap();
        fs::rename(&draft, &file).unwrap();
    }

    /// The newest event was received so many seconds from now, by the program's clock.
    pub(crate) fn assert_recorded_about(&self, seconds: i64) {
        for sink in &self.sinks {
            let recorded: Timestamp = sink.consumer.recorded.parse().unwrap();
            let ahead = recorded.as_second() - Timestamp::now().as_second();
            assert!((ahead - seconds).abs() < 60, "the program's clock is {ahead} s ahead, not {seconds} s");
        }
    }

    /// One feed falls behind, the others do not; whatever its account does meanwhile.
    pub(crate) async fn others_keep_up(&mut self, revoked: &Feed, time: Duration) {
        let begin = Instant::now();
        self.chapter().await;
        let all = std::mem::take(&mut self.setup.feeds);
        self.setup.feeds = all.iter().filter(|feed| *feed != revoked).cloned().collect();
        self.settle(CALM).await;
        sleep(time.saturating_sub(begin.elapsed())).await;
        self.setup.feeds = vec![revoked.clone()];
        let missing = self.missing().await;
        self.setup.feeds = all;
        assert!(missing.iter().all(|(_, missing)| *missing > 0), "nobody was revoked: {missing:?}");
    }
}

impl Drop for Stage {
    /// What the program said, for whoever asks why.
    fn drop(&mut self) {
        drop(fs::write(&self.log, self.said().join("\n") + "\n"));
    }
}

/// What each row has in its SASL sign-in.
pub(crate) fn sasl_keys(kind: Kind) -> String {
    format!(
        "[sink.{kind}.librdkafka]\n\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"SCRAM-SHA-256\"\n\"sasl.username\" = \"{}\"\n\"sasl.password\" = \"{}\"\n",
        KafkaCluster::USERNAME,
        KafkaCluster::PASSWORD
    )
}
