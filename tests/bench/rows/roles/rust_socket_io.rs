//! `rust_socketio`, as its documentation shows it.

use futures_util::FutureExt as _;
use rust_socketio::asynchronous::ClientBuilder;
use rust_socketio::{Payload, TransportType};
use serde_json::Value;

use super::Tally;
use crate::task::{Target, Task};

pub(crate) async fn rust_socket_io(task: Task) {
    let Target::Nowhere { count } = task.to else { panic!("not a task for this: {task:?}") };
    let tally = Tally::new(count);
    // One for all: each that is made reads the system's authorities.
    let tls = task.ca.as_ref().map(|ca| {
        let ca = native_tls::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
        native_tls::TlsConnector::builder().add_root_certificate(ca).build().unwrap()
    });
    let mut clients = Vec::new();
    for socket in 0..task.sockets {
        let tally = tally.clone();
        let mut client = ClientBuilder::new(format!("{}/?token={}", task.origin, Task::drive(socket)))
            .namespace("/notifications")
            .transport_type(TransportType::Websocket)
            .on("notification", move |payload, _| {
                notification(&payload, &tally);
                async {}.boxed()
            });
        if let Some(tls) = &tls {
            client = client.tls_config(tls.clone());
        }
        clients.push(client.connect().await.unwrap());
    }
    std::future::pending::<()>().await;
}

fn notification(payload: &Payload, tally: &Tally) {
    let Payload::Text(arguments) = payload else { panic!("not text: {payload:?}") };
    let body: Value = serde_json::from_str(arguments[0].as_str().unwrap()).unwrap();
    for notification in body["value"].as_array().unwrap() {
        tally.see(notification["siteUrl"].as_str().unwrap());
    }
}
