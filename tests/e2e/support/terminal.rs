//! The program on a real pseudo-terminal, as a person starts it: both streams on one screen, Ctrl-C from the keyboard.

use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

use super::{PATIENCE, drivetap};

/// A process with a terminal of its own. Every method blocks its thread; what does not come in time fails the test.
pub(crate) struct Terminal(PtySession);

impl Terminal {
    /// `drivetap ARGS…` with these variables and a terminal that knows colours.
    pub(crate) fn drivetap(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(drivetap());
        command.args(args);
        Self::spawn(command, env)
    }

    fn spawn(mut command: Command, env: &[(&str, &str)]) -> Self {
        command.env_clear().env("TERM", "xterm-256color").envs(env.iter().copied());
        let patience = PATIENCE.as_millis().try_into().unwrap();
        Self(spawn_command(command, Some(patience)).unwrap())
    }

    /// Waits until the screen shows this (ASCII), and returns what it showed before.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        let before = self.0.exp_string(text).unwrap_or_else(|error| panic!("not on the screen: {text:?}: {error}"));
        decoded(&before)
    }

    /// Types a line, and Enter.
    pub(crate) fn types(&mut self, line: &str) {
        self.0.send_line(line).unwrap();
    }

    /// Ctrl-D on an empty line.
    pub(crate) fn ends_input(&mut self) {
        self.0.send_control('d').unwrap();
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&mut self) {
        self.0.send_control('c').unwrap();
    }

    /// Waits for the end: the rest of the screen, and the exit code.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        let rest = decoded(&self.0.exp_eof().unwrap());
        // Its type is not exported: `Exited(Pid(1234), 0)`.
        let status = format!("{:?}", self.0.process().wait().unwrap());
        let code = status.strip_prefix("Exited(").and_then(|rest| rest.strip_suffix(')')?.rsplit(' ').next()?.parse().ok());
        (rest, code)
    }
}

/// rexpect makes a character of each byte; the program writes UTF-8.
fn decoded(screen: &str) -> String {
    String::from_utf8(screen.chars().map(|byte| u8::try_from(byte).unwrap()).collect()).unwrap()
}
