//! Prints the notifications of a notificationUrl, in the shape of Graph's JavaScript sample: `NOTIFICATION_URL=… cargo run --example listener`.

use drivetap_core::{NotificationHosts, NotificationUrl};
use drivetap_transport::{Listener, Native, NativeConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The service's hosts, and an emulator on this machine.
    let hosts = NotificationHosts::new(&["*.svc.ms"], true)?;
    let url = NotificationUrl::parse(&std::env::var("NOTIFICATION_URL")?, &hosts)?;
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is installed already")?;
    let transport = Native::new(&NativeConfig::default())?;
    Listener::new(&transport, &url)
        .on_connect(|| eprintln!("connected"))
        .on_notification(|notification| println!("{notification:?}"))
        .on_end(|ended| eprintln!("{ended}"))
        .run(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}
