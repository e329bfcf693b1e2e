//! The bare loop: reqwest and `serde_json` over the pages, and nothing else.

use std::time::Instant;

use serde_json::{Value, json};

/// Walks from the root to the `deltaLink`. Answers with items and seconds.
///
/// Without `parse` a page is only fetched, and its link is found by its name: what the server can do.
pub(crate) async fn walk(base_url: &str, parse: bool) -> Value {
    let client = reqwest::Client::new();
    let drive: Value = get(&client, &format!("{base_url}/me/drive?$select=id,driveType"), from_slice).await;
    let mut url = format!("{base_url}/drives/{}/root/delta", drive["id"].as_str().unwrap());
    let mut items = 0;
    let begun = Instant::now();
    loop {
        let next = if parse {
            let page: Value = get(&client, &url, from_slice).await;
            items += page["value"].as_array().unwrap().len();
            page["@odata.nextLink"].as_str().map(str::to_owned)
        } else {
            let (count, next) = get(&client, &url, |body| (count(body), link(body))).await;
            items += count;
            next
        };
        match next {
            Some(next) => url = next,
            None => break,
        }
    }
    json!({ "items": items, "seconds": begun.elapsed().as_secs_f64() })
}

async fn get<T>(client: &reqwest::Client, url: &str, read: impl FnOnce(&[u8]) -> T) -> T {
    let response = client.get(url).header("deltaExcludeParent", "true").send().await.unwrap();
    read(&response.error_for_status().unwrap().bytes().await.unwrap())
}

fn from_slice(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn link(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).unwrap();
    let (_, rest) = text.split_once("\"@odata.nextLink\":\"")?;
    Some(rest.split_once('"').unwrap().0.to_owned())
}

/// Each item of the emulator's has one of these.
fn count(body: &[u8]) -> usize {
    std::str::from_utf8(body).unwrap().matches("\"parentReference\":").count()
}
