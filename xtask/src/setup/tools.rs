//! The programs that tests and checks use: where they are, or what to install.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde::{Deserialize, Serialize};

/// Lowest versions: Kafka 4 runs on Java 17, Debian 12 has Node 18.
pub(crate) const JAVA: u32 = 17;
pub(crate) const NODE: u32 = 18;

/// Programs that tests start, by absolute path.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Tools {
    pub(crate) java: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) redis_server: PathBuf,
    pub(crate) redis_cli: PathBuf,
}

/// Something that is not here, and Debian's packages that bring it.
pub(crate) struct Missing {
    what: String,
    packages: &'static [&'static str],
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Debian: {})", self.what, self.packages.join(" "))
    }
}

/// The packages for all of these, each once.
pub(crate) fn packages(missing: &[Missing]) -> Vec<&'static str> {
    let packages: BTreeSet<_> = missing.iter().flat_map(|missing| missing.packages).copied().collect();
    packages.into_iter().collect()
}

/// Libraries that the fault matrix preloads into the program: a clock that jumps, names that are not known.
const PRELOADED: [(&str, &str); 2] = [("faketime/libfaketimeMT.so.1", "libfaketime"), ("libnss_wrapper.so", "libnss-wrapper")];

/// Debian's packages of those that are not here.
pub(crate) fn preloaded_libraries_that_are_missing() -> Vec<&'static str> {
    let folders = || fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let is_here = |file: &str| folders().any(|folder| folder.path().join(file).exists());
    PRELOADED.into_iter().filter(|(file, _)| !is_here(file)).map(|(_, package)| package).collect()
}

/// What a librdkafka that is built for Node is compiled against, and Debian's packages of it.
const HEADERS: [(&str, &str); 2] = [("openssl/ssl.h", "libssl-dev"), ("zlib.h", "zlib1g-dev")];

/// Debian's packages of those that are not here.
pub(crate) fn headers_that_are_missing() -> Vec<&'static str> {
    let is_here = |file: &str| Path::new("/usr/include").join(file).exists();
    HEADERS.into_iter().filter(|(file, _)| !is_here(file)).map(|(_, package)| package).collect()
}

impl Tools {
    /// Looks on `PATH`. The error is everything that is missing or too old, at once.
    pub(crate) fn find() -> Result<Self, Vec<Missing>> {
        let mut search = Search { missing: Vec::new() };
        let tools = Self {
            java: search.program_since("java", &["-version"], JAVA, &["default-jre-headless"]),
            node: search.program_since("node", &["--version"], NODE, &["nodejs"]),
            python: search.python(),
            redis_server: search.program("redis-server", &["redis-server"]),
            redis_cli: search.program("redis-cli", &["redis-tools"]),
        };
        search.program("mvn", &["maven"]);
        search.program("npm", &["npm"]);
        search.program("openssl", &["openssl"]);
        search.program("git", &["git"]);
        // Who reads our completions and manual pages.
        search.program("bash", &["bash"]);
        search.program("zsh", &["zsh"]);
        search.program("fish", &["fish"]);
        search.program("man", &["man-db"]);
        search.program("mandoc", &["mandoc"]);
        // Vendored OpenSSL and librdkafka are built by these.
        search.program("cc", &["build-essential"]);
        search.program("make", &["build-essential"]);
        search.program("perl", &["perl"]);
        if search.missing.is_empty() { Ok(tools) } else { Err(search.missing) }
    }
}

struct Search {
    missing: Vec<Missing>,
}

impl Search {
    fn program(&mut self, name: &str, packages: &'static [&'static str]) -> PathBuf {
        on_path(name).unwrap_or_else(|| self.miss(name.to_owned(), packages))
    }

    fn program_since(&mut self, name: &str, ask: &[&str], lowest: u32, packages: &'static [&'static str]) -> PathBuf {
        let Some(program) = on_path(name) else {
            return self.miss(format!("{name} {lowest} or newer"), packages);
        };
        match said_by(Command::new(&program).args(ask)).as_deref().and_then(major) {
            Some(found) if found >= lowest => program,
            found => {
                let found = found.map_or_else(|| "a version that cannot be read".to_owned(), |found| found.to_string());
                self.miss(format!("{name} {lowest} or newer ({} is {found})", program.display()), packages)
            }
        }
    }

    /// The first Python that has both clients: a `python3` of pyenv's does not see Debian's packages.
    fn python(&mut self) -> PathBuf {
        let candidates = on_path("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]);
        let able = |python: &PathBuf| {
            let mut import = Command::new(python);
            import.args(["-c", "import redis, confluent_kafka"]);
            import.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        candidates.into_iter().find(able).unwrap_or_else(|| {
            self.miss(
                "python3 with redis and confluent_kafka".to_owned(),
                &["python3", "python3-redis", "python3-confluent-kafka"],
            )
        })
    }

    fn miss(&mut self, what: String, packages: &'static [&'static str]) -> PathBuf {
        self.missing.push(Missing { what, packages });
        PathBuf::new()
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Both streams: Java writes its version to standard error.
fn said_by(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The first number in `openjdk version "17.0.15" …`, `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        for (said, expected) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment", Some(17)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("v18.20.4\n", Some(18)),
            ("", None),
            ("no idea", None),
        ] {
            assert_eq!(major(said), expected, "{said:?}");
        }
    }

    #[test]
    fn what_is_missing_names_each_package_once() {
        let miss = |packages| Missing { what: "x".to_owned(), packages };
        assert_eq!(
            packages(&[miss(&["build-essential"]), miss(&["build-essential"]), miss(&["perl"])]),
            ["build-essential", "perl"]
        );
    }
}
