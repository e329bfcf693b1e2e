use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The head of an HTTP/1.1 answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
}

/// The most bytes of a head.
const MOST: usize = 16 * 1024;
/// The most headers of it.
const MOST_HEADERS: usize = 64;

/// Reads up to the end of the head; what came behind it is given too.
///
/// # Errors
/// What was wrong, in our words.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Head, Vec<u8>), &'static str> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let read = stream.read_buf(&mut bytes).await.map_err(|error: io::Error| crate::words::socket(&error))?;
        if let Some((head, length)) = parse(&bytes)? {
            bytes.drain(..length);
            return Ok((head, bytes));
        }
        if read == 0 {
            return Err("the connection was closed in the handshake");
        }
        if bytes.len() >= MOST {
            return Err("the answer's head is too long");
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let parsed = answer.parse(bytes).map_err(|_| "the server does not speak HTTP/1.1")?;
    let (httparse::Status::Complete(length), Some(status)) = (parsed, answer.code) else {
        return Ok(None);
    };
    let text = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
    };
    Ok(Some((Head { status, headers: answer.headers.iter().map(text).collect() }, length)))
}

impl Head {
    /// The values of this header, given in lower case.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Whether this header's comma-separated words have this one, whatever its case.
    pub(super) fn has(&self, name: &str, word: &str) -> bool {
        self.values(name).flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
    }
}
