//! Prints the notifications of a notificationUrl, read as a stream: `NOTIFICATION_URL=… cargo run --example stream`.

use drivetap_core::{NotificationHosts, NotificationUrl};
use drivetap_transport::{Limits, Native, NativeConfig, Transport};
use futures_util::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The service's hosts, and an emulator on this machine.
    let hosts = NotificationHosts::new(&["*.svc.ms"], true)?;
    let url = NotificationUrl::parse(&std::env::var("NOTIFICATION_URL")?, &hosts)?;
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is installed already")?;
    let transport = Native::new(&NativeConfig::default())?;
    let mut notifications = transport.open(&url, &Limits::default()).await?.into_stream();
    eprintln!("connected to {url}");
    while let Some(notification) = notifications.next().await {
        println!("{:?}", notification?);
    }
    Ok(())
}
