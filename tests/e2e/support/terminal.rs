//! The program on a real pseudo-terminal, as a person starts it: both streams on one screen, Ctrl-C from the keyboard.

use std::process::Command;
use std::time::{Duration, Instant};

use rexpect::session::{PtySession, spawn_command};
use rustix::termios::{Winsize, tcsetwinsize};

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

    /// A line of a shell's, in which `drivetap` is the program.
    pub(crate) fn shell(line: &str, env: &[(&str, &str)]) -> Self {
        Self::program("sh", &["-c", line], env)
    }

    /// Any program that is installed, to which `drivetap` is one as well.
    pub(crate) fn program(name: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(name);
        let folder = drivetap().parent().unwrap().display();
        command.args(args);
        Self::spawn(command, &[&[("PATH", format!("{folder}:/usr/bin:/bin").as_str())], env].concat())
    }

    fn spawn(mut command: Command, env: &[(&str, &str)]) -> Self {
        command.env_clear().env("TERM", "xterm-256color").envs(env.iter().copied());
        let patience = PATIENCE.as_millis().try_into().unwrap();
        Self(spawn_command(command, Some(patience)).unwrap())
    }

    /// A window of so many columns.
    pub(crate) fn wide(self, columns: u16) -> Self {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(self.0.process().get_file_handle().unwrap(), size).unwrap();
        self
    }

    /// Waits until the screen shows this (ASCII), and returns what it showed before.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        let before = self.0.exp_string(text).unwrap_or_else(|error| panic!("not on the screen: {text:?}: {error}"));
        decoded(&before)
    }

    /// What the screen shows until something else has happened, and half a second on.
    pub(crate) fn shows_after(&mut self, happened: impl Fn() -> bool) -> String {
        let begun = Instant::now();
        let (mut shown, mut over) = (String::new(), None);
        while over.is_none_or(|over: Instant| over.elapsed() < Duration::from_millis(500)) {
            while let Some(c) = self.0.try_read() {
                shown.push(c);
            }
            over = over.or_else(|| happened().then(Instant::now));
            assert!(begun.elapsed() < PATIENCE, "it does not happen: {shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
        decoded(&shown)
    }

    /// Types a line, and Enter.
    pub(crate) fn types(&mut self, line: &str) {
        self.0.send_line(line).unwrap();
    }

    /// Presses keys, without Enter.
    pub(crate) fn presses(&mut self, keys: &str) {
        self.0.send(keys).unwrap();
        self.0.flush().unwrap();
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

/// What a terminal shows of what was written to it: as far as a line that moves goes.
#[derive(Default)]
pub(crate) struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    /// Every state of the screen after a carriage return or a line end, and the last one.
    pub(crate) fn states(written: &str) -> Vec<String> {
        let mut screen = Self::default();
        let mut states = Vec::new();
        let mut rest = written.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                    let mut number = String::new();
                    while let Some(digit) = rest.next_if(|c| !c.is_ascii_alphabetic()) {
                        number.push(digit);
                    }
                    screen.control(rest.next().unwrap_or_default(), number.parse().unwrap_or(0));
                }
                '\r' | '\n' => {
                    states.push(screen.text());
                    if c == '\n' { screen.row += 1 } else { screen.column = 0 }
                }
                c => screen.put(c),
            }
        }
        states.push(screen.text());
        states
    }

    fn line(&mut self) -> &mut Vec<char> {
        let rows = self.lines.len().max(self.row + 1);
        self.lines.resize(rows, Vec::new());
        &mut self.lines[self.row]
    }

    fn put(&mut self, c: char) {
        let column = self.column;
        let line = self.line();
        line.resize(line.len().max(column + 1), ' ');
        line[column] = c;
        self.column += 1;
    }

    fn control(&mut self, letter: char, number: usize) {
        let column = self.column;
        match (letter, number) {
            ('K', 0) => self.line().truncate(column),
            ('K', 2) => self.line().clear(),
            ('J', 0) => {
                self.line().truncate(column);
                self.lines.truncate(self.row + 1);
            }
            ('A', n) => self.row = self.row.saturating_sub(n.max(1)),
            ('B', n) => self.row += n.max(1),
            ('G', n) => self.column = n.max(1) - 1,
            // Colours, and a cursor that hides.
            ('m' | 'l' | 'h', _) => {}
            other => panic!("the screen of a test does not know {other:?}"),
        }
    }

    fn text(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect();
        lines.join("\n")
    }
}
