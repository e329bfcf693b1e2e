//! drivetap's own transport, as a program of somebody else's would use the crate.

use std::num::NonZeroUsize;

use drivetap_core::{NotificationHosts, NotificationUrl};
use drivetap_transport::{Limits, Native, NativeConfig, Transport as _};

use super::Tally;
use crate::task::{Target, Task};

pub(crate) async fn native(task: Task) {
    let Target::Nowhere { count } = task.to else { panic!("not a task for this: {task:?}") };
    let tally = Tally::new(count);
    let ca_pem = task.ca.as_ref().map(|file| std::fs::read(file).unwrap());
    let transport = Native::new(&NativeConfig { ca_pem, ..NativeConfig::default() }).unwrap();
    let hosts = NotificationHosts::new(&["*.svc.ms"], true).unwrap();
    for socket in 0..task.sockets {
        let url = NotificationUrl::parse(&task.url(socket), &hosts).unwrap();
        let mut session = transport.open(&url, &Limits::default()).await.unwrap();
        let tally = tally.clone();
        tokio::spawn(async move {
            let mut notifications = Vec::new();
            loop {
                session.recv(&mut notifications, NonZeroUsize::MIN.saturating_add(255)).await.unwrap();
                assert_eq!(session.take_merged(), 0, "merged");
                for notification in notifications.drain(..) {
                    tally.see(notification.site_url().unwrap());
                }
            }
        });
    }
    std::future::pending::<()>().await;
}
