//! The network, failing on demand.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use drivetap_tests::{Network, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longer than anything takes here, shorter than a test may.
const SOON: Duration = Duration::from_secs(5);
const A_WHILE: Duration = Duration::from_millis(300);

/// Says what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                drop(tokio::io::copy(&mut reader, &mut writer).await);
            });
        }
    });
    address
}

async fn round_trip(stream: &mut TcpStream, bytes: usize) -> Duration {
    let begin = Instant::now();
    stream.write_all(&vec![7; bytes]).await.unwrap();
    timeout(SOON * 4, stream.read_exact(&mut vec![0; bytes])).await.unwrap().unwrap();
    begin.elapsed()
}

#[tokio::test]
async fn what_is_open_is_cut_reset_or_frozen_and_what_comes_is_not() {
    let proxy = Proxy::start(echo().await).await;
    type Strike = fn(&Proxy);
    let strikes: [(Strike, _); 3] =
        [(Proxy::cut, Some(Ok(0))), (Proxy::reset, Some(Err(ErrorKind::ConnectionReset))), (Proxy::freeze, None)];
    for (strike, expected) in strikes {
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut old, 10).await;
        strike(&proxy);
        let mut byte = [0];
        let seen = timeout(A_WHILE, old.read(&mut byte)).await.ok().map(|read| read.map_err(|error| error.kind()));
        assert_eq!(seen, expected);
        round_trip(&mut TcpStream::connect(proxy.address()).await.unwrap(), 10).await;
    }
}

#[tokio::test]
async fn weather_holds_for_what_is_open_and_for_what_comes() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    round_trip(&mut stream, 10).await;

    proxy.set(Network::Latency(Duration::from_millis(100)));
    assert!(round_trip(&mut stream, 10_000).await >= Duration::from_millis(200));
    proxy.set(Network::BytesPerSecond(2_000));
    assert!(round_trip(&mut stream, 1_000).await >= Duration::from_millis(500));

    proxy.set(Network::Silent);
    for stream in [&mut stream, &mut TcpStream::connect(proxy.address()).await.unwrap()] {
        stream.write_all(b"later").await.unwrap();
        assert!(timeout(A_WHILE, stream.read(&mut [0])).await.is_err());
    }
    proxy.set(Network::Open);
    timeout(SOON, stream.read_exact(&mut [0; 5])).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_that_refuses_is_its_own_again_afterwards() {
    let proxy = Proxy::start(echo().await).await;
    proxy.set(Network::Refused);
    tokio::time::sleep(A_WHILE).await;
    let refused = TcpStream::connect(proxy.address()).await.map_err(|error| error.kind());
    assert!(matches!(refused, Err(ErrorKind::ConnectionRefused)), "{refused:?}");
    proxy.set(Network::Open);
    tokio::time::sleep(A_WHILE).await;
    round_trip(&mut TcpStream::connect(proxy.address()).await.unwrap(), 10).await;
}
