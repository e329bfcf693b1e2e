//! Starting a service and waiting until it answers.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::mark::Mark;

/// Seen to take 3 s; a loaded machine may need ten times that.
const UP_WITHIN: Duration = Duration::from_secs(90);

/// How much of a log an error shows.
const TAIL: usize = 30;

/// A service that was started.
pub(crate) struct Launched {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Launched {
    /// Starts it marked, with its output in `log`, and in a process group of its own: Ctrl-C in a terminal is for us,
    /// and we decide when the services end.
    pub(crate) fn start(name: &'static str, command: &mut Command, mark: &Mark, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = mark
            .put_on(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `answers` says so. A service that ends meanwhile is an error that shows the end of its log.
    pub(crate) fn wait_until(&mut self, answers: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + UP_WITHIN;
        while !answers() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} while it started\n{}", self.name, self.log_tail());
            }
            if Instant::now() > deadline {
                bail!("{} is not up after {UP_WITHIN:?}\n{}", self.name, self.log_tail());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
        format!("the end of {}:\n{}", self.log.display(), tail.join("\n"))
    }
}

/// Fills in every `${name}` of a configuration file. One that has no value is an error.
pub(crate) fn fill_in(template: &str, values: &[(&str, &dyn std::fmt::Display)]) -> Result<String> {
    let filled =
        values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), &value.to_string()));
    // `${…}` is how the comment on top of each template speaks of it.
    if let Some(left) = filled.lines().find(|line| !line.starts_with('#') && line.contains("${")) {
        bail!("nothing to fill in here: {left}");
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_in_or_refused() {
        assert_eq!(fill_in("# ${…}\na=${x},${y}", &[("x", &1), ("y", &"z")]).unwrap(), "# ${…}\na=1,z");
        assert!(fill_in("a=${x},${y}", &[("x", &1)]).unwrap_err().to_string().contains("${y}"));
    }
}
