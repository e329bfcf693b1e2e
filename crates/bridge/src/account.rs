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
        let said = match &answer {
            Err(Failure { remedy: Remedy::SignIn, code }) => First::Refused(code.clone()),
            _ => First::Welcome,
        };
        // Told after it is set: whoever wakes up, looks.
        if self.first.set(said).is_ok() {
            self.heard.notify_one();
        }
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
