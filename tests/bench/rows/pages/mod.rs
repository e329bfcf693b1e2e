//! A drive of very many items: a server of delta pages in a process of its own, with gzip at one address and without it at another.
//!
//! It holds no million items. What it sends without gzip is a page of a pool with other numbers written into it, which costs a copy; with
//! gzip, pages that were compressed before the first of them was asked for. How fast that is stands in the table, as the rate of a reader
//! that looks at nothing.

mod server;
mod sheet;

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub(crate) use self::server::{FIRST, link, serve};
pub(crate) use self::sheet::{ITEMS, number};
use super::PATIENCE;

/// The server's process, which ends with this.
pub(crate) struct Pages {
    pub(crate) items: u64,
    /// Of all pages together.
    pub(crate) bytes: u64,
    /// Of all pages together, as they are sent with gzip. 0 where it was not asked for.
    pub(crate) gzip_bytes: u64,
    plain: String,
    gzip: String,
    _process: Child,
}

/// How the pages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
}

impl Pages {
    /// With gzip it takes its time: everything is compressed first.
    pub(crate) async fn start(items: u64, gzip: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["pages", &items.to_string()]).args(gzip.then_some("gzip"));
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, said.next_line()).await.expect("it says where it listens").unwrap().unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let number = |name: &str| said[name].as_u64().unwrap();
        let origin = |name: &str| said[name].as_str().unwrap().to_owned();
        Self {
            items,
            bytes: number("bytes"),
            gzip_bytes: number("gzip_bytes"),
            plain: origin("plain"),
            gzip: origin("gzip"),
            _process: process,
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn origin(&self, encoding: Encoding) -> &str {
        match encoding {
            Encoding::Plain => &self.plain,
            Encoding::Gzip => &self.gzip,
        }
    }

    /// Seconds since a walk last began: since the first page was asked for.
    pub(crate) async fn clock(&self) -> f64 {
        let text = reqwest::get(format!("{}/clock", self.plain)).await.unwrap().text().await.unwrap();
        text.parse().unwrap()
    }
}
