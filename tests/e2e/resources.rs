//! The five resources, each on its own drive, through to standard output.

use std::collections::{BTreeMap, BTreeSet};

use drivetap_emulator::{DriveKind, GROUP, GROUP_DRIVE, LIST, LIST_DRIVE, ME_DRIVE, NewDrive, PERSONAL_DRIVE, Route, SITE};

use crate::support::{CHANGE, SIGNAL, Scene, assert_valid, of_type};

const LIBRARY: &str = "b!aDriveOfItsOwn";

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_five_resources_is_asked_for_by_its_path_and_gives_signals_and_changes() {
    let scene = Scene::new().await;
    let library = NewDrive { id: Some(LIBRARY.to_owned()), kind: DriveKind::DocumentLibrary, name: None };
    scene.graph.add_drive(library).unwrap();
    let cases = [
        ("me".to_owned(), "/me/drive/root/subscriptions/socketIo".to_owned(), ME_DRIVE),
        (format!("drive:{PERSONAL_DRIVE}"), format!("/drives/{PERSONAL_DRIVE}/root/subscriptions/socketIo"), PERSONAL_DRIVE),
        (format!("drive-list:{LIBRARY}"), format!("/drives/{LIBRARY}/list/subscriptions/socketIo"), LIBRARY),
        (format!("group:{GROUP}"), format!("/groups/{GROUP}/drive/root/subscriptions/socketIo"), GROUP_DRIVE),
        (format!("site:{SITE}/list:{LIST}"), format!("/sites/{SITE}/lists/{LIST}/drive/root/subscriptions/socketIo"), LIST_DRIVE),
    ];
    let subscriptions = cases.iter().map(|(resource, ..)| format!("[[subscription]]\nresource = \"{resource}\"\n"));
    let program = scene.run(&format!("{}[sink.console]\ntype = \"stdout\"\n", subscriptions.collect::<String>()));

    scene.subscribed(cases.len()).await;
    for (_, _, drive) in &cases {
        scene.graph.drive(drive).unwrap().create("/", &format!("On {}.txt", drive.replace('!', ""))).unwrap();
    }
    program
        .events("a signal and a change of each drive", |events| {
            let drives =
                |kind| of_type(events, kind).iter().map(|event| event.text("partitionkey").to_owned()).collect::<BTreeSet<_>>();
            drives(SIGNAL).len() == cases.len() && drives(CHANGE).len() == cases.len()
        })
        .await;
    let ended = program.stop().await;

    ended.assert(0, &[]);
    let events = ended.events();
    assert_valid(&events);
    assert_eq!(ended.sink("console")["delivered"], u64::try_from(events.len()).unwrap());
    for (resource, _, drive) in &cases {
        for kind in [SIGNAL, CHANGE] {
            let found: Vec<_> = of_type(&events, kind).into_iter().filter(|event| event.text("partitionkey") == *drive).collect();
            let [event] = *found else { panic!("{kind} of {resource}: {found:#?}") };
            assert_eq!(event.text("resource"), resource);
            assert_eq!(event.text("account"), "default");
            assert_eq!(event.text("source"), format!("{}/drives/{drive}/root", scene.graph.base_url()));
        }
    }

    let mut asked = BTreeMap::<_, usize>::new();
    for request in scene.graph.requests().iter().filter(|request| request.route == Some(Route::Endpoint)) {
        *asked.entry(request.path.clone()).or_default() += 1;
        assert_eq!(request.header("content-type"), Some("application/json"), "{request:?}");
        assert!(request.header("user-agent").is_some_and(|agent| agent.split('|').count() == 3), "{request:?}");
        assert!(request.header("client-request-id").is_some(), "{request:?}");
    }
    let expected = cases.iter().map(|(_, path, _)| (format!("/v1.0{path}"), 1));
    assert_eq!(asked, expected.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_and_renamed_is_told_under_the_items_id() {
    let scene = Scene::new().await;
    let program = scene.run("[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n");
    scene.subscribed(1).await;
    let (me, seen) = (scene.me(), |name: &'static str| move |event: &&crate::support::Event| event.item_name() == name);

    let renamed = me.rename("/Notes.md", "Old notes.md").unwrap();
    let events = program.events("the rename", |events| of_type(events, CHANGE).iter().any(seen("Old notes.md"))).await;
    let change = of_type(&events, CHANGE).into_iter().find(seen("Old notes.md")).unwrap();
    assert_eq!((change.text("subject"), change.data()["kind"].as_str()), (renamed.as_str(), Some("upserted")));

    let deleted = me.delete("/Plans/Budget.xlsx").unwrap();
    let told = |events: &[crate::support::Event]| {
        of_type(events, CHANGE).into_iter().find(|event| event.text("subject") == deleted).cloned()
    };
    let events = program.events("the deletion", |events| told(events).is_some()).await;
    assert_eq!(told(&events).unwrap().data()["kind"], "deleted");

    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert_valid(&ended.events());
    assert!(!ended.stdout.concat().contains("downloadUrl"), "a pre-signed link was published");
}
