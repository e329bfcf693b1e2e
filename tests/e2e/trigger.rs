//! `trigger`: changes in an emulator that runs in another terminal.

use crate::support::{CHANGE, Program, TOKEN, closed_port, of_type};

#[tokio::test(flavor = "multi_thread")]
async fn each_change_that_is_triggered_arrives_at_who_listens() {
    let emulator = Program::drivetap(["emulator", "--listen", "127.0.0.1:0"], &[]);
    emulator.says("drivetap trigger create /Hello.docx --emulator 127.0.0.1:").await;
    let told = emulator.stderr().concat();
    let address = told.rsplit("--emulator ").next().unwrap().trim().to_owned();
    let base_url = format!("http://{address}/v1.0");

    let listen = Program::drivetap(["listen", "me", "--base-url", &base_url, "--type", "change"], &[("DRIVETAP_TOKEN", TOKEN)]);
    listen.says("Ready.").await;
    let trigger = |args: &'static [&'static str]| {
        let args = [&["trigger"][..], args, &["--emulator", &address]].concat();
        Program::drivetap(args, &[]).end()
    };
    let made = trigger(&["create", "/Plans/Agenda.docx"]).await;
    made.assert(0, &[]);
    let [id] = &*made.stdout else { panic!("the id of what was made: {made:#?}") };
    let named = |name: &'static str| {
        let id = id.clone();
        move |events: &[crate::support::Event]| {
            of_type(events, CHANGE).iter().any(|event| event.text("subject") == id && event.item_name() == name)
        }
    };
    listen.events("created", named("Agenda.docx")).await;
    trigger(&["rename", "/Plans/Agenda.docx", "Minutes.docx"]).await.assert(0, &[]);
    listen.events("renamed", named("Minutes.docx")).await;
    trigger(&["delete", "/Plans/Minutes.docx"]).await.assert(0, &[]);
    let gone = |events: &[crate::support::Event]| events.iter().any(|event| event.data()["kind"] == "deleted");
    listen.events("deleted", gone).await;
    let burst = trigger(&["burst", "25"]).await;
    burst.assert(0, &[]);
    assert_eq!(burst.stdout.len(), 25);
    listen.events("the burst", |events| events.iter().filter(|event| event.item_name().starts_with("IMG_")).count() == 25).await;

    trigger(&["delete", "/Not there.docx"]).await.assert(64, &["the emulator refuses", "Not there.docx"]);
    let nobody = format!("127.0.0.1:{}", closed_port());
    let ended = Program::drivetap(["trigger", "delete", "/x", "--emulator", &nobody], &[]).end().await;
    ended.assert(69, &["no emulator answers at", "drivetap emulator --listen"]);
    listen.stop().await.assert(0, &[]);
    emulator.stop().await.assert(0, &[]);
}
