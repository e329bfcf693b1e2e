use std::sync::{Arc, OnceLock};

use drivetap_core::{AccountName, Failure, Remedy};
use drivetap_graph::Graph;
use tokio::sync::Notify;

/// An account of the pipeline: its view of Graph, and the first thing that Graph said to it.
pub(crate) struct Account {
    pub(crate) name: AccountName,
    pub(crate) graph: Arc<dyn Graph>,
    first: OnceLock<First>,
    heard: Arc<Notify>,
}

enum First {
    Welcome,
    Refused(String),
}

impl Account {
    /// `heard` is told when the first answer is in.
    pub(crate) fn new(name: AccountName, graph: Arc<dyn Graph>, heard: Arc<Notify>) -> Self {
        Self { name, graph, first: OnceLock::new(), heard }
    }

    /// Passes an answer of Graph's on, and remembers whether the first one refused the token.
    pub(crate) fn heard<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        self.first.get_or_init(|| {
            self.heard.notify_one();
            match &answer {
                Err(Failure { remedy: Remedy::SignIn, code }) => First::Refused(code.clone()),
                _ => First::Welcome,
            }
        });
        answer
    }

    /// Why the first thing that Graph said was that the token is refused, if it was.
    pub(crate) fn refusal(&self) -> Option<&str> {
        match self.first.get()? {
            First::Welcome => None,
            First::Refused(reason) => Some(reason),
        }
    }
}
