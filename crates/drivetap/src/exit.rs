use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;

/// Why the program ends without having done what it was asked to: a code for scripts and a sentence for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind, which is the exit code.
    pub kind: Kind,
    /// What to read. May be several lines; not escaped yet.
    pub message: String,
}

/// The exit codes of the contract, beside 0, and 130 and 143 for a second signal. Numbers from BSD's `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1: `verify` found a difference.
    Difference,
    /// 64: arguments that mean nothing.
    Usage,
    /// 69: a sink or Graph cannot be reached where the command needs it; a state file or an address is in use.
    Unavailable,
    /// 70: a mistake of drivetap's own.
    Internal,
    /// 77: sign-in is needed, or was refused for every account at the start.
    SignIn,
    /// 78: the configuration is wrong, or asks for what is not compiled in.
    Config,
}

impl Failure {
    /// 1.
    pub fn difference(message: impl fmt::Display) -> Self {
        Self::new(Kind::Difference, message)
    }

    /// 64.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// 69.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// 70.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// 77.
    pub fn sign_in(message: impl fmt::Display) -> Self {
        Self::new(Kind::SignIn, message)
    }

    /// 78.
    pub fn config(message: impl fmt::Display) -> Self {
        Self::new(Kind::Config, message)
    }

    /// 78: what was asked for was left out of this binary.
    pub fn not_compiled_in(what: impl fmt::Display, feature: &str) -> Self {
        Self::config(format_args!("{what} is not compiled into this binary: build it with the feature \"{feature}\""))
    }

    fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

impl From<ConfigError> for Failure {
    /// 78, with the lines that are wrong.
    fn from(error: ConfigError) -> Self {
        Self::config(error.explained())
    }
}

impl Kind {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Difference => 1,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::SignIn => 77,
            Self::Config => 78,
        }
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        kind.code().into()
    }
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
