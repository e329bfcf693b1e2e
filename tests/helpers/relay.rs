//! What Redis acknowledged, read on the wire.

use drivetap_tests::{PublishRelay, RedisServer};
use redis::{Client, cmd, pipe};

#[tokio::test]
async fn the_ledger_is_what_the_server_acknowledged_and_nothing_else() {
    let mut server = RedisServer::start(&[]).await;
    let relay = PublishRelay::start(server.address()).await;
    let client = Client::open(format!("redis://{}", relay.address())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let publish = |message: &str| cmd("PUBLISH").arg("c").arg(message).clone();
    let seen = |from| relay.acknowledged("c", from).into_iter().map(|published| published.message).collect::<Vec<_>>();

    let mut batch = pipe();
    batch.add_command(publish("one")).add_command(cmd("PING")).add_command(publish("two\r\n"));
    let answers: (u64, String, u64) = batch.query_async(&mut connection).await.unwrap();
    assert_eq!(answers, (0, "PONG".to_owned(), 0));
    assert_eq!(seen(0), ["one", "two\r\n"]);

    relay.refuse(Some("OOM command not allowed when used memory > 'maxmemory'."));
    let mut batch = pipe();
    batch.add_command(cmd("PING")).add_command(publish("three")).add_command(cmd("PING"));
    let refused = batch.query_async::<(String, u64, String)>(&mut connection).await.unwrap_err();
    assert!(refused.to_string().contains("command not allowed"), "{refused}");
    relay.refuse(None);
    let receivers: u64 = publish("four").query_async(&mut connection).await.unwrap();
    assert_eq!((receivers, seen(2)), (0, vec!["four".to_owned()]));

    server.kill().await;
    publish("five").query_async::<u64>(&mut connection).await.unwrap_err();
    server.start_again().await;
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _: u64 = publish("six").query_async(&mut connection).await.unwrap();
    assert_eq!(seen(2), ["four", "six"]);
}
