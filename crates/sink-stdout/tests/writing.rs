//! What the sink writes where the other side is slow, full or gone.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write, pipe};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drivetap_core::Event;
use drivetap_sink::contract::{Drive, events};
use drivetap_sink::{NotReady, Outcome, Sink as _, Stop};
use drivetap_sink_stdout::{Format, StdoutSink, Style};

#[tokio::test]
async fn json_is_the_structured_event_and_text_is_a_readable_line() {
    let batch = events(2, 1);
    for (format, line) in [
        (Format::Json, batch[0].to_json()),
        (
            Format::Text(Style::Plain),
            "2026-05-28T20:26:41Z  changed  /Documents/file-0.txt  Adele Vance  1.0 kB  [drive:b!drive-0]".to_owned(),
        ),
    ] {
        let (mut reader, writer) = pipe().unwrap();
        let mut sink = StdoutSink::onto(writer, format);
        assert_eq!(sink.publish(&batch).await, Outcome::all(2));
        drop(sink);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.lines().next(), Some(line.as_str()));
        assert!(text.ends_with('\n'));
    }
}

#[tokio::test]
async fn json_on_a_terminal_drives_nothing_and_means_the_same() {
    let event = Drive::new("b!one").change("gpj\u{202e}.\u{9b}2J\u{7f}.exe");
    let output = Output::default();
    assert_eq!(StdoutSink::onto(output.clone(), Format::Json).publish(&[Arc::clone(&event)]).await, Outcome::all(1));
    let text = output.text();
    assert!(text.contains(r"gpj\u202e.\u009b2J\u007f.exe"), "{text}");
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed, serde_json::from_str::<serde_json::Value>(&event.to_json()).unwrap());
}

#[tokio::test]
async fn a_closed_pipe_holds_for_good_and_says_so() {
    let (reader, writer) = pipe().unwrap();
    let mut sink = StdoutSink::onto(writer, Format::Json);
    let mut closed = sink.closed();
    let batch = events(4, 1);
    assert_eq!(sink.publish(&batch[..2]).await, Outcome::all(2));
    assert!(!closed.is_closed());
    drop(reader);
    for _ in 0..2 {
        assert_eq!(sink.publish(&batch[2..]).await, Outcome::stopped(0, hold("standard output was closed")));
        closed.wait().await;
    }
    assert!(matches!(sink.connect().await, Err(NotReady::Later(_))));
}

#[tokio::test]
async fn a_write_that_fails_within_a_line_acknowledges_whole_lines_and_tears_none() {
    let batch = events(3, 1);
    let line = batch[0].to_json().len() + 1;
    // One whole line and 10 bytes, then the disk is full; 5 bytes more, full again; then there is room.
    let output = Output::with([line + 10, 0, 5, 0]);
    let mut sink = StdoutSink::onto(output.clone(), Format::Json);
    assert!(
        matches!(sink.publish(&batch).await, Outcome { acked: 1, stop: Some(Stop::Hold { what }) } if what.contains("no storage space"))
    );
    assert!(matches!(sink.publish(&batch[1..]).await, Outcome { acked: 0, stop: Some(Stop::Hold { .. }) }));
    assert_eq!(sink.publish(&batch[1..]).await, Outcome::all(2));
    assert_eq!(output.text(), json_lines(&batch));
}

#[tokio::test]
async fn a_torn_line_is_ended_when_another_event_comes_instead() {
    let batch = events(2, 1);
    let output = Output::with([10, 0]);
    let mut sink = StdoutSink::onto(output.clone(), Format::Json);
    assert!(matches!(sink.publish(&batch[..1]).await, Outcome { acked: 0, stop: Some(Stop::Hold { .. }) }));
    assert_eq!(sink.publish(&batch[1..]).await, Outcome::all(1));
    assert_eq!(output.text(), format!("{}\n{}", &batch[0].to_json()[..10], json_lines(&batch[1..])));
}

#[tokio::test]
async fn a_reader_that_stops_holds_and_sees_no_line_twice_when_it_goes_on() {
    let (mut reader, writer) = pipe().unwrap();
    let mut sink = StdoutSink::onto(writer, Format::Json).stalled_after(Duration::from_millis(100));
    // More than a pipe holds.
    let batch = events(1_000, 1);
    for _ in 0..2 {
        let outcome = sink.publish(&batch).await;
        assert!(
            matches!(&outcome, Outcome { acked: 0, stop: Some(Stop::Hold { what }) } if what.contains("takes nothing")),
            "{outcome:?}"
        );
    }
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    let mut acked = 0;
    while acked < batch.len() {
        acked += sink.publish(&batch[acked..]).await.acked;
    }
    Box::new(sink).close(Duration::from_secs(1)).await;
    assert_eq!(reading.join().unwrap(), json_lines(&batch));
}

#[tokio::test]
async fn close_does_not_wait_for_a_reader_that_stopped() {
    let (reader, writer) = pipe().unwrap();
    let mut sink = StdoutSink::onto(writer, Format::Json).stalled_after(Duration::from_millis(50));
    assert_eq!(sink.publish(&events(1_000, 1)).await.acked, 0);
    let start = tokio::time::Instant::now();
    Box::new(sink).close(Duration::from_millis(200)).await;
    assert!(start.elapsed() < Duration::from_secs(2));
    // Ends the write that is stuck; the runtime would wait for it.
    drop(reader);
}

fn hold(what: &str) -> Stop {
    Stop::Hold { what: what.to_owned() }
}

fn json_lines(events: &[Arc<Event>]) -> String {
    events.iter().map(|event| event.to_json() + "\n").collect()
}

/// Takes as much as `room` says, write by write; 0 is a full disk. Then everything, in small pieces.
#[derive(Clone, Default)]
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: Arc<Mutex<VecDeque<usize>>>,
}

impl Output {
    fn with<const N: usize>(room: [usize; N]) -> Self {
        Self { bytes: Arc::default(), room: Arc::new(Mutex::new(room.into())) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.lock().unwrap().pop_front().unwrap_or(100);
        if room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        let n = room.min(bytes.len());
        self.bytes.lock().unwrap().extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
