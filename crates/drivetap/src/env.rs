use std::fmt;
use std::sync::Arc;

/// The environment, as far as drivetap reads it: variables by name, through one reader that tests replace.
#[derive(Clone)]
pub struct Env {
    read: Arc<Reader>,
}

type Reader = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Env {
    /// `read` answers a variable's value by its name.
    pub fn new(read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read) }
    }

    /// The process's own. What is not Unicode counts as not set.
    #[must_use]
    pub fn of_the_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// The value, where it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        (self.read)(name)
    }

    /// The value, where it is set and says something.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env(…)")
    }
}
