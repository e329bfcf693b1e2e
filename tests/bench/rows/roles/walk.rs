//! A walk over a drive's pages, by reqwest and `serde_json`: the next page is asked for as soon as its link is known, and comes while this
//! one is worked through. No ids, no events, no sink, no cursor.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;

use crate::ledger::Ledger;
use crate::pages;
use crate::task::{Target, Task};

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
}

/// What is read of an item: its number.
pub(crate) type Look = fn(&str) -> Option<u64>;

/// The least that a consumer has to know of an item: its id.
pub(crate) fn id(item: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Item<'a> {
        id: &'a str,
    }
    pages::number(serde_json::from_str::<Item<'_>>(item).unwrap().id)
}

/// All of it, into a tree.
pub(crate) fn tree(item: &str) -> Option<u64> {
    pages::number(serde_json::from_str::<Value>(item).unwrap()["id"].as_str().unwrap())
}

pub(crate) async fn walk(task: Task, look: Look) {
    let Target::Nowhere { count } = task.to else { panic!("not a task for this: {task:?}") };
    let mut ledger = Ledger::new(count);
    let client = reqwest::Client::new();
    let mut coming = Some(ask(&client, task.origin + pages::FIRST));
    while let Some(page) = coming.take() {
        let body = page.await.unwrap();
        let page: Page<'_> = serde_json::from_slice(&body).unwrap();
        coming = page.next.map(|next| ask(&client, next));
        // So that it is sent before this one is worked through.
        tokio::task::yield_now().await;
        for item in page.value {
            ledger.see(look(item.get()));
        }
    }
    say(&ledger);
    std::future::pending::<()>().await;
}

fn ask(client: &reqwest::Client, url: String) -> JoinHandle<impl Deref<Target = [u8]>> {
    let sent = client.get(url).bearer_auth("EwB4A8l6BAAUopaque.access.token").send();
    tokio::spawn(async { sent.await.unwrap().error_for_status().unwrap().bytes().await.unwrap() })
}

pub(super) fn say(ledger: &Ledger) {
    println!("{}", if ledger.is_right() { "complete".to_owned() } else { ledger.to_string() });
}

/// How fast the server is: every page is asked for ahead, read, and not looked at.
pub(crate) fn fetch(task: &Task) {
    let Target::Nowhere { count } = task.to else { panic!("not a task for this: {task:?}") };
    let count = count.div_ceil(u64::try_from(pages::ITEMS).unwrap());
    let address = task.origin.strip_prefix("http://").unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    let ask = |page| {
        let asked = if page == 0 { pages::FIRST.to_owned() } else { pages::link(page) };
        (&socket)
            .write_all(format!("GET {asked} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: gzip\r\n\r\n").as_bytes())
            .unwrap();
    };
    let mut answers = BufReader::with_capacity(128 * 1024, &socket);
    let (mut body, mut line) = (Vec::new(), String::new());
    ask(0);
    for page in 0..count {
        if page + 1 < count {
            ask(page + 1);
        }
        line.clear();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        body.resize(length, 0);
        answers.read_exact(&mut body).unwrap();
    }
    println!("complete");
    // Until it is ended.
    loop {
        std::thread::park();
    }
}
