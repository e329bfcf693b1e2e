//! Delta: order, pages, deletions, tokens, and every switch of it.

use std::{collections::BTreeSet, time::Duration};

use drivetap_emulator::{
    Ancestors, Change, Config, DriveHandle, Emulator, Fault, Gone, Limits, Links, Location, ME_DRIVE, PERSONAL_DRIVE, Tombstones,
};
use serde_json::{Value, json};

use crate::support::{Reply, get, get_with, keys};

async fn started(limits: Limits) -> (Emulator, DriveHandle) {
    let emulator = Emulator::start(Config { limits, ..Config::default() }).await.unwrap();
    let drive = emulator.drive(ME_DRIVE).unwrap();
    (emulator, drive)
}

fn delta_url(emulator: &Emulator) -> String {
    format!("{}/me/drive/root/delta", emulator.base_url())
}

/// Follows a link to the end: the items of all pages, the sizes of the pages, the delta link.
async fn walk(url: &str) -> (Vec<Value>, Vec<usize>, String) {
    let (mut items, mut pages, mut url) = (Vec::new(), Vec::new(), url.to_owned());
    loop {
        let reply = get(&url).await;
        assert_eq!(reply.status, 200, "{url}: {}", reply.body);
        let body = reply.json();
        assert_eq!(body["@odata.context"], "https://graph.microsoft.com/v1.0/$metadata#Collection(driveItem)");
        let page = body["value"].as_array().unwrap().clone();
        pages.push(page.len());
        items.extend(page);
        if let Some(link) = body["@odata.deltaLink"].as_str() {
            return (items, pages, link.to_owned());
        }
        url = body["@odata.nextLink"].as_str().unwrap().to_owned();
    }
}

async fn latest(emulator: &Emulator) -> String {
    let (items, _, link) = walk(&format!("{}?token=latest", delta_url(emulator))).await;
    assert!(items.is_empty(), "latest is a link and nothing else");
    link
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_enumeration_holds_everything_once_in_pages_and_starts_with_the_root() {
    let (emulator, drive) = started(Limits::default()).await;
    drive.burst(25).unwrap();
    emulator.switch(|switches| switches.page_size = 10);
    let (items, pages, _) = walk(&delta_url(&emulator)).await;
    assert_eq!(pages, [10, 10, 10, 3]);
    assert!(items[0]["root"].is_object());
    let (shown, there): (BTreeSet<_>, BTreeSet<_>) = (ids(&items).into_iter().collect(), drive.items().into_iter().collect());
    assert_eq!(shown.len(), items.len());
    assert_eq!(shown, there.iter().map(|(id, _)| id.as_str()).collect());
    let (_, pages, _) = walk(&format!("{}?$top=32", delta_url(&emulator))).await;
    assert_eq!(pages[0], 10, "$top asks for less, never for more");
    let (_, pages, _) = walk(&format!("{}?$top=4", delta_url(&emulator))).await;
    assert_eq!(pages, [4, 4, 4, 4, 4, 4, 4, 4, 1], "$top goes on in the link");
}

#[tokio::test]
async fn a_walk_reports_the_last_state_of_each_changed_item_in_the_order_of_changes() {
    let (emulator, drive) = started(Limits::default()).await;
    let gone = drive.find("/Notes.md").unwrap();
    let link = latest(&emulator).await;
    let a = drive.create("/Plans", "a.txt").unwrap();
    let b = drive.create("/", "b.txt").unwrap();
    drive.rename(&a, "c.txt").unwrap();
    drive.delete(&gone).unwrap();
    drive.move_to(&b, "/Reports").unwrap();

    let (items, _, next) = walk(&link).await;
    assert_eq!(ids(&items), [a.as_str(), &gone, &b]);
    assert_eq!(items[0]["name"], "c.txt");
    assert_eq!(items[2]["parentReference"]["id"].as_str(), drive.find("/Reports").as_deref());
    let (items, _, _) = walk(&next).await;
    assert!(items.is_empty(), "nothing twice");
    let (items, _, _) = walk(&link).await;
    assert_eq!(items.len(), 3, "an old link still works: a client that lost its answer asks again");
}

#[tokio::test]
async fn items_have_the_properties_that_graph_gives_them_and_no_others() {
    let (emulator, drive) = started(Limits::default()).await;
    let file = drive.create("/Plans", "Täglich & 100%.xlsx").unwrap();
    let (items, _, link) = walk(&delta_url(&emulator)).await;
    let shown = items.iter().find(|item| item["id"] == file.as_str()).unwrap();
    assert_eq!(
        keys(shown),
        [
            "@microsoft.graph.downloadUrl",
            "createdBy",
            "createdDateTime",
            "eTag",
            "file",
            "fileSystemInfo",
            "id",
            "lastModifiedBy",
            "lastModifiedDateTime",
            "name",
            "parentReference",
            "size",
            "webUrl"
        ],
        "a business drive leaves the cTag out"
    );
    assert!(shown["webUrl"].as_str().unwrap().ends_with("/Documents/Plans/T%C3%A4glich%20%26%20100%25.xlsx"));
    assert_eq!(shown["parentReference"]["driveId"], ME_DRIVE);
    assert_eq!(shown["parentReference"].get("path"), None, "delta has no paths");
    assert_eq!(shown["lastModifiedDateTime"].as_str().unwrap().len(), "2025-12-24T03:32:50Z".len());
    let again = walk(&delta_url(&emulator)).await.0;
    let again = again.iter().find(|item| item["id"] == file.as_str()).unwrap();
    assert_ne!(shown["@microsoft.graph.downloadUrl"], again["@microsoft.graph.downloadUrl"], "it changes on every call");

    drive.delete(&file).unwrap();
    let (items, _, _) = walk(&link).await;
    assert_eq!(items[0]["deleted"], json!({ "state": "deleted" }));
    assert_eq!((items[0].get("name"), items[0].get("cTag")), (None, None), "a business tombstone has no name");

    let personal = emulator.drive(PERSONAL_DRIVE).unwrap();
    let url = format!("{}/drives/{PERSONAL_DRIVE}/root/delta", emulator.base_url());
    let (items, _, link) = walk(&url).await;
    assert!(items.iter().all(|item| item["cTag"].is_string()));
    personal.delete("/Notes.md").unwrap();
    let (items, _, _) = walk(&link).await;
    assert_eq!((&items[0]["name"], items[0].get("size"), items[0].get("cTag")), (&json!("Notes.md"), None, None));
}

#[tokio::test]
async fn a_folder_goes_with_what_is_in_it_and_a_restored_item_keeps_its_id() {
    let (emulator, drive) = started(Limits::default()).await;
    let (plans, budget) = (drive.find("/Plans").unwrap(), drive.find("/Plans/Budget.xlsx").unwrap());
    let launch = drive.find("/Plans/Launch plan.docx").unwrap();
    let link = latest(&emulator).await;
    drive.delete("/Plans").unwrap();
    let (items, _, link) = walk(&link).await;
    assert_eq!(ids(&items).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([plans.as_str(), &budget, &launch]));
    assert!(items.iter().all(|item| item["deleted"].is_object()));

    drive.restore(&budget).unwrap();
    let (items, _, _) = walk(&link).await;
    assert_eq!((ids(&items), items[0].get("deleted")), (vec![budget.as_str()], None));
    assert_eq!(drive.find("/Budget.xlsx"), Some(budget), "its folder is gone, so it is in the root");
}

#[tokio::test]
async fn ancestors_come_unless_they_are_excluded_or_always() {
    let (emulator, drive) = started(Limits::default()).await;
    let (root, plans) = (drive.find("/").unwrap(), drive.find("/Plans").unwrap());
    let link = latest(&emulator).await;
    let file = drive.create("/Plans", "a.txt").unwrap();
    let (with, without) = (vec![root.as_str(), &plans, &file], vec![file.as_str()]);
    for (ancestors, excluded, shown) in
        [(Ancestors::UnlessExcluded, true, &without), (Ancestors::UnlessExcluded, false, &with), (Ancestors::Always, true, &with)]
    {
        emulator.switch(|switches| switches.ancestors = ancestors);
        let headers = if excluded { vec![("deltaExcludeParent", "true")] } else { Vec::new() };
        let body = get_with(&link, &headers).await.json();
        assert_eq!(&ids(body["value"].as_array().unwrap()), shown, "{ancestors:?} {excluded}");
    }
}

#[tokio::test]
async fn a_repeated_item_comes_last_in_its_latest_state() {
    let (emulator, drive) = started(Limits::default()).await;
    let link = latest(&emulator).await;
    let file = drive.create("/", "a.txt").unwrap();
    drive.update(&file).unwrap();
    emulator.switch(|switches| switches.repeated_items = true);
    let (items, _, _) = walk(&link).await;
    assert_eq!(ids(&items), [file.as_str(), &file]);
    let tag = |item: &Value| item["eTag"].as_str().unwrap().to_owned();
    assert!(tag(&items[0]).ends_with(",1\"") && tag(&items[1]).ends_with(",2\""), "{items:?}");
}

#[tokio::test]
async fn links_are_opaque_absolute_and_good_in_both_spellings() {
    let (emulator, drive) = started(Limits::default()).await;
    drive.burst(3).unwrap();
    emulator.switch(|switches| switches.page_size = 4);
    for (links, shape) in [(Links::Query, "/root/delta?token="), (Links::Call, "/root/delta(token='")] {
        emulator.switch(|switches| switches.links = links);
        let first = get(&delta_url(&emulator)).await.json();
        let next = first["@odata.nextLink"].as_str().unwrap();
        assert!(next.starts_with(&emulator.base_url()) && next.contains(shape), "{next}");
        assert_eq!(walk(&delta_url(&emulator)).await.0.len(), 11);
        let meddled = next.replace("%3B", ";");
        assert_eq!(get(&meddled).await.status, 400, "a link is followed byte for byte or not at all");
    }
}

#[tokio::test]
async fn delta_lags_behind_the_signal_and_loses_nothing_by_it() {
    let (emulator, drive) = started(Limits::default()).await;
    let link = latest(&emulator).await;
    emulator.switch(|switches| switches.delta_lag = Duration::from_millis(300));
    let file = drive.create("/", "a.txt").unwrap();
    let (items, _, early) = walk(&link).await;
    assert!(items.is_empty(), "called right after the signal, delta is empty");
    tokio::time::sleep(Duration::from_millis(350)).await;
    for link in [link, early] {
        assert_eq!(ids(&walk(&link).await.0), [file.as_str()]);
    }
}

#[tokio::test]
async fn tombstones_can_be_missing_or_lost_by_advancing_on_an_empty_answer() {
    let (emulator, drive) = started(Limits::default()).await;
    let link = latest(&emulator).await;
    emulator.switch(|switches| {
        switches.delta_lag = Duration::from_millis(300);
        switches.tombstones = Tombstones::LostByEmptyAnswer;
    });
    let gone = drive.delete("/Notes.md").unwrap();
    let (_, _, advanced) = walk(&link).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(walk(&advanced).await.0.is_empty(), "who advanced never hears of it");
    assert_eq!(ids(&walk(&link).await.0), [gone.as_str()], "who stayed does");
    let later = drive.delete("/Plans/Budget.xlsx").unwrap();
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(ids(&walk(&advanced).await.0), [later.as_str()], "what was deleted afterwards is told");
    emulator.switch(|switches| switches.tombstones = Tombstones::Missing);
    assert!(walk(&link).await.0.is_empty());
}

#[tokio::test]
async fn a_410_comes_in_every_spelling_and_its_location_in_three() {
    let (emulator, drive) = started(Limits::default()).await;
    let link = latest(&emulator).await;
    drive.expire_tokens();
    for (code, inner_code) in [
        ("resyncRequired", Some("resyncChangesApplyDifferences")),
        ("resyncRequired", Some("resyncUploadDifferences")),
        ("resyncChangesUploadDifferences", None),
        ("resyncApplyDifferences", None),
        ("resyncRequired", None),
    ] {
        for location in [Location::Fresh, Location::Broken, Location::Absent] {
            let gone = Gone { code: code.to_owned(), inner_code: inner_code.map(str::to_owned), location };
            emulator.switch(|switches| switches.gone = gone.clone());
            check_gone(&get(&link).await, &gone, &delta_url(&emulator)).await;
            emulator.fault(Fault::gone(gone.clone()));
            let scripted = get(&format!("{}?token=latest", delta_url(&emulator))).await;
            check_gone(&scripted, &gone, &delta_url(&emulator)).await;
        }
    }
    assert_eq!(walk(&latest(&emulator).await).await.0.len(), 0, "a link from after the expiry is good");
}

async fn check_gone(reply: &Reply, gone: &Gone, fresh: &str) {
    let error = &reply.json()["error"];
    assert_eq!((reply.status, &error["code"]), (410, &json!(gone.code)));
    assert_eq!(error["innerError"]["code"].as_str(), gone.inner_code.as_deref());
    match (gone.location, reply.header("Location")) {
        (Location::Fresh, Some(link)) => {
            assert_eq!(link, fresh);
            let (items, _, _) = walk(link).await;
            assert!(items.len() > 1 && items.iter().all(|item| item.get("deleted").is_none()));
        }
        (Location::Broken, Some(link)) => assert_eq!(get(link).await.status, 500),
        (Location::Absent, None) => {}
        (asked, got) => panic!("{asked:?}: {got:?}"),
    }
}

#[tokio::test]
async fn a_drive_is_bounded_and_old_tokens_say_so() {
    let (emulator, drive) = started(Limits { items: 20, tombstones: 10 }).await;
    let link = latest(&emulator).await;
    for round in 0..40 {
        let file = drive.create("/", &format!("{round}.txt")).unwrap();
        drive.delete(&file).unwrap();
    }
    assert_eq!(get(&link).await.status, 410, "its tombstones were compacted");
    let (_, _, link) = walk(&delta_url(&emulator)).await;
    drive.delete("/Notes.md").unwrap();
    assert_eq!(walk(&link).await.0.len(), 1);
    assert!(drive.burst(100).is_err(), "a drive can be full");
    assert_eq!(drive.items().len(), 20);
}

#[tokio::test]
async fn a_change_that_makes_no_sense_is_refused_and_changes_nothing() {
    let (emulator, drive) = started(Limits::default()).await;
    let root = drive.find("/").unwrap();
    let before = emulator.stats().changes;
    for refused in [
        drive.create("/Plans", "budget.XLSX"),
        drive.create("/Nowhere", "a"),
        drive.create("/Notes.md", "a"),
        drive.create("/", "a/b"),
        drive.create("/", ""),
        drive.rename(&root, "a"),
        drive.move_to("/Plans", "/Plans"),
        drive.delete("no-such-item"),
        drive.restore("/Notes.md"),
        drive.change(&Change::Move { item: root.clone(), parent: None }),
    ] {
        assert!(refused.is_err(), "{refused:?}");
    }
    assert_eq!(emulator.stats().changes, before);
}

#[tokio::test]
async fn a_snapshot_is_what_an_enumeration_shows_and_links_begin_with_what_stands_in_front() {
    let origin = "https://localhost:4443".to_owned();
    let elsewhere = "http://127.0.0.1:4444".to_owned();
    let config = Config { origin: Some(origin.clone()), notification_origin: Some(elsewhere.clone()), ..Config::default() };
    let emulator = Emulator::start(config).await.unwrap();
    let drive = emulator.drive(ME_DRIVE).unwrap();
    drive.delete(&drive.create("/", "Gone.txt").unwrap()).unwrap();
    assert_eq!(emulator.base_url(), format!("{origin}/v1.0"));

    let url = format!("http://{}/v1.0/drives/{ME_DRIVE}/root/delta", emulator.address());
    let page = get(&url).await.json();
    assert!(page["@odata.deltaLink"].as_str().unwrap().starts_with(&origin), "{page}");
    let url = format!("http://{}/v1.0/me/drive/root/subscriptions/socketIo", emulator.address());
    let endpoint = get(&url).await.json();
    assert!(endpoint["notificationUrl"].as_str().unwrap().starts_with(&format!("{elsewhere}/notifications?")), "{endpoint}");
    let named = |items: &[Value]| {
        let pairs = items.iter().map(|item| (item["id"].to_string(), item["eTag"].to_string()));
        pairs.collect::<BTreeSet<_>>()
    };
    assert_eq!(named(&drive.snapshot()), named(page["value"].as_array().unwrap()));
}

#[tokio::test]
async fn a_time_in_place_of_a_token_shows_what_changed_since_deletions_too_and_no_personal_drive_takes_one() {
    let (emulator, drive) = started(Limits::default()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let then = jiff::Timestamp::now().to_string().replace(':', "%3A");
    let created = drive.create("/", "After.txt").unwrap();
    let deleted = drive.delete("/Notes.md").unwrap();
    let (items, _, link) = walk(&format!("{}?token={then}", delta_url(&emulator))).await;
    assert_eq!(ids(&items), [created.as_str(), deleted.as_str()]);
    assert!(items[1]["deleted"].is_object());
    let (rest, _, _) = walk(&link).await;
    assert!(rest.is_empty(), "the link goes on behind them: {rest:#?}");

    let personal = format!("{}/drives/{PERSONAL_DRIVE}/root/delta?token={then}", emulator.base_url());
    assert_eq!(get(&personal).await.status, 400);
}
