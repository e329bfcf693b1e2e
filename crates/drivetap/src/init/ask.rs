use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::str::FromStr;

use drivetap_bridge::core::Resource;

use super::starter::{SinkChoice, Starter, TokenChoice};
use super::{Init, answered, default_token};
use crate::env::Env;
use crate::escape;
use crate::exit::Failure;
use crate::login::{self, Login};

/// Asks for what no flag says. An answer that cannot be read is asked for again; the end of the input ends it.
pub(super) fn starter(
    mut args: Init,
    env: &Env,
    answers: &mut impl BufRead,
    questions: &mut impl Write,
) -> Result<Starter, Failure> {
    let mut asking = Asking { answers, questions };
    if args.resource.is_empty() {
        let words = "What is watched? me, drive:ID, drive-list:ID, group:ID, site:ID/list:ID; several with commas between";
        args.resource = asking.list(words, "me", |word| word.parse::<Resource>().map_err(|error| error.to_string()))?;
    }
    if args.sink.is_empty() {
        let words = "Where do events go? stdout, kafka, redis; several with commas between";
        let kinds = asking.list(words, "stdout", SinkChoice::from_str)?;
        args.sink = kinds.into_iter().map(|kind| asking.sink(kind)).collect::<Result<_, _>>()?;
    }
    if args.login.is_none() && args.token_env.is_none() && args.token_file.is_none() {
        let words =
            "Where does the access token come from? login (`drivetap login`), env:NAME for a variable, file:PATH for a file";
        let account = args.account.clone().unwrap_or_default();
        let default = default_token(&account, env).to_string();
        let read = |word: &str| if word == "login" { Ok(TokenChoice::Login(account.clone())) } else { token(word) };
        match asking.one(words, &default, read)? {
            TokenChoice::Login(name) => args.login = Some(name),
            TokenChoice::Env(name) => args.token_env = Some(name),
            TokenChoice::File(path) => args.token_file = Some(path),
        }
    }
    answered(args, env)
}

/// Whether to sign in at once, where the token comes from a login that is not there yet.
pub(super) fn sign_in(
    starter: &Starter,
    env: &Env,
    answers: &mut impl BufRead,
    questions: &mut impl Write,
) -> Result<Option<Login>, Failure> {
    let TokenChoice::Login(name) = &starter.token else {
        return Ok(None);
    };
    if !cfg!(feature = "login") || login::is_there(env, name) {
        return Ok(None);
    }
    let mut asking = Asking { answers, questions };
    let yes = asking.one("Sign in now? yes, no", "yes", |word| match word {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("write yes or no".to_owned()),
    })?;
    if !yes {
        return Ok(None);
    }
    let mut login = Login::of(name.clone(), starter.cloud, starter.base_url.clone());
    if login.needs_client_id() {
        let read = |word: &str| {
            (word != NONE).then(|| word.parse().map_err(|_| "write the id as it is shown there".to_owned())).transpose()
        };
        login.client_id = asking.one("The id of your registered application; none shows how to get one", NONE, read)?;
        if login.client_id.is_none() {
            let _ = writeln!(asking.questions, "{}", login::NO_CLIENT_ID);
            return Ok(None);
        }
    }
    Ok(Some(login))
}

const NONE: &str = "none";

fn token(word: &str) -> Result<TokenChoice, String> {
    match word.split_once(':') {
        Some(("login", name)) => name.parse().map(TokenChoice::Login).map_err(|error| format!("login:NAME: {error}")),
        Some(("env", name)) if !name.is_empty() => Ok(TokenChoice::Env(name.to_owned())),
        Some(("file", path)) if !path.is_empty() => Ok(TokenChoice::File(PathBuf::from(path))),
        _ => Err("write login, env:NAME or file:PATH".to_owned()),
    }
}

struct Asking<'a, R, W> {
    answers: &'a mut R,
    questions: &'a mut W,
}

impl<R: BufRead, W: Write> Asking<'_, R, W> {
    /// What goes with a sink that was named by its type alone.
    fn sink(&mut self, kind: SinkChoice) -> Result<SinkChoice, Failure> {
        let (servers, topic, redis) = (SinkChoice::SERVERS, SinkChoice::TOPIC, SinkChoice::REDIS);
        let is_default = |kind: &SinkChoice, word: &str| word.parse().as_ref() == Ok(kind);
        if is_default(&kind, "kafka") {
            let servers =
                self.one("Kafka's servers, HOST:PORT, several with commas between", servers, |word| kafka(word, topic))?;
            let SinkChoice::Kafka { bootstrap_servers, .. } = servers else { return Ok(servers) };
            return self.one("The topic, which has to exist", topic, |word| kafka(&bootstrap_servers, word));
        }
        if is_default(&kind, "redis") {
            let url = self.one("Redis's address", redis, |word| SinkChoice::from_str(&format!("{word}?channel=x")))?;
            let SinkChoice::Redis { url, user, .. } = url else { return Ok(url) };
            let url = url.trim_end_matches("?channel=x").to_owned();
            let channel = self.one("The channel", topic, |word| Ok(word.to_owned()))?;
            return Ok(SinkChoice::Redis { url, channel: Some(channel), user });
        }
        Ok(kind)
    }

    fn list<T>(&mut self, words: &str, default: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Failure> {
        self.one(words, default, |line| line.split(',').map(|word| read(word.trim())).collect())
    }

    fn one<T>(&mut self, words: &str, default: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, Failure> {
        loop {
            // What the terminal does not take, nobody will answer.
            let _ = write!(self.questions, "{words} [{default}]: ").and_then(|()| self.questions.flush());
            let mut line = String::new();
            match self.answers.read_line(&mut line) {
                Ok(0) => return Err(Failure::usage("no more answers: nothing was written; --yes asks nothing")),
                Ok(_) => {}
                Err(error) => return Err(Failure::usage(format_args!("the answer cannot be read: {error}"))),
            }
            let answer = if line.trim().is_empty() { default } else { line.trim() };
            match read(answer) {
                Ok(value) => return Ok(value),
                Err(problem) => {
                    let _ = writeln!(self.questions, "{}", escape::lines(&problem));
                }
            }
        }
    }
}

fn kafka(servers: &str, topic: &str) -> Result<SinkChoice, String> {
    format!("kafka://{servers}/{topic}").parse()
}
