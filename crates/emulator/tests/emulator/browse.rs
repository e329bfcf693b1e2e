//! The collections in which drives are found.

use drivetap_emulator::{Account, Config, Emulator, GROUP, LIST, LIST_DRIVE, ME_DRIVE, PERSONAL_DRIVE, SITE};
use serde_json::Value;

use crate::support::get;

async fn all(first: String) -> Vec<Value> {
    let (mut entries, mut next) = (Vec::new(), Some(first));
    while let Some(url) = next {
        let reply = get(&url).await;
        assert_eq!(reply.status, 200, "{url}: {}", reply.body);
        let body = reply.json();
        entries.extend(body["value"].as_array().unwrap().clone());
        next = body["@odata.nextLink"].as_str().map(str::to_owned);
    }
    entries
}

fn ids(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn drives_groups_sites_and_libraries_are_found_page_by_page() {
    let emulator = Emulator::start(Config::default()).await.unwrap();
    emulator.switch(|switches| switches.page_size = 1);
    let at = |path: &str| format!("{}{path}", emulator.base_url());
    let mut drives = ids(&all(at("/me/drives")).await).into_iter().map(str::to_owned).collect::<Vec<_>>();
    drives.sort();
    assert_eq!(drives, [PERSONAL_DRIVE, ME_DRIVE], "those of groups and lists are found there");
    assert_eq!(ids(&all(at("/me/memberOf")).await), [GROUP]);
    assert_eq!(ids(&all(at("/sites?search=*")).await), [SITE]);
    assert_eq!(ids(&all(at("/sites?search=LAUNCH")).await), [SITE]);
    assert!(all(at("/sites?search=elsewhere")).await.is_empty());
    let lists = all(at(&format!("/sites/{SITE}/lists"))).await;
    let libraries: Vec<_> = lists.into_iter().filter(|list| list["list"]["template"] == "documentLibrary").collect();
    assert_eq!(ids(&libraries), [LIST]);
    for (path, status) in [("/sites", 400), ("/sites/h,1,2/lists", 404)] {
        assert_eq!(get(&at(path)).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn an_account_finds_the_drives_that_it_may_see() {
    let account = Account { sees: Some(vec![ME_DRIVE.to_owned(), LIST_DRIVE.to_owned()]), ..Account::new("one", ME_DRIVE) };
    let emulator = Emulator::start(Config { accounts: vec![account], ..Config::default() }).await.unwrap();
    assert_eq!(ids(&all(format!("{}/me/drives", emulator.base_url())).await), [ME_DRIVE]);
}
