//! A real process whose standard output is closed by its reader: it learns of it and ends by itself with 0, without a signal or a panic.
//!
//! Without libtest, which writes to standard output itself: this program is the test and, started by itself, the process under test.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use drivetap_sink::contract::Drive;
use drivetap_sink::{Outcome, Sink as _, Stop};
use drivetap_sink_stdout::{Format, StdoutSink};

const CHILD: &str = "DRIVETAP_TEST_CHILD";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let started = Instant::now();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with("{\"specversion\":\"1.0\"") && line.ends_with('}'), "{line}");
    }
    drop(lines);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said, "Hold { what: \"standard output was closed\" }\nclosed\n");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    eprintln!("a_closed_pipe_ends_a_program_that_watches_it ... ok");
    ExitCode::SUCCESS
}

// Writes until nobody reads.
fn child() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut drive = Drive::new("b!one");
        let mut sink = StdoutSink::new(Format::Json);
        let mut closed = sink.closed();
        sink.connect().await.unwrap();
        let stop: Stop = loop {
            assert!(!closed.is_closed());
            let batch: Vec<_> = (0..100).map(|i| drive.change(&format!("{i}.txt"))).collect();
            if let Outcome { stop: Some(stop), .. } = sink.publish(&batch).await {
                break stop;
            }
        };
        eprintln!("{stop:?}");
        closed.wait().await;
        eprintln!("closed");
    });
    ExitCode::SUCCESS
}
