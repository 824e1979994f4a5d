use super::*;
use crate::Endpoint;
use crate::proxy::{Proxies, Proxy};
use tokio::net::{TcpListener, TcpStream};

/// Listeners on loopback ports, and a balancer that takes their addresses for those of one name.
async fn balancer(balancing: Balancing, listeners: &[&TcpListener], dead: bool) -> Balancer {
    let endpoint = Endpoint::parse("localhost:1").unwrap();
    let connector = Connector::http2(endpoint, None, &Proxies::new(&Proxy::None), Duration::from_secs(5)).unwrap();
    let balancer = Balancer::new(connector.clone(), None, false, balancing);
    let mut addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    if dead {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.insert(0, unused.local_addr().unwrap());
    }
    let channel = |address| Arc::new(Channel::new(address, connector.clone(), None));
    *balancer.resolved.lock().unwrap() =
        Resolved { channels: addresses.into_iter().map(channel).collect(), at: Some(Instant::now()), error: None };
    balancer
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Takes links until `listener` sees a connection.
async fn until_connected(balancer: &Balancer, listener: &TcpListener) -> TcpStream {
    loop {
        tokio::select! {
            accepted = listener.accept() => return accepted.unwrap().0,
            link = balancer.link() => assert!(link.is_ok()),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn round_robin_connects_to_every_address_and_skips_the_dead() {
    let (first, second) = (listener().await, listener().await);
    let balancer = balancer(Balancing::RoundRobin, &[&first, &second], true).await;
    let _kept = until_connected(&balancer, &first).await;
    let _too = until_connected(&balancer, &second).await;
    let ready =
        |channels: &[Arc<Channel>]| channels.iter().filter(|channel| matches!(channel.now(), Now::Ready(_))).count();
    let channels = balancer.channels().await.unwrap_or_else(|_| panic!("preset"));
    while ready(&channels) < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert!(balancer.link().await.is_ok());
    }
}

#[tokio::test]
async fn pick_first_leaves_the_other_addresses_alone() {
    let (first, second) = (listener().await, listener().await);
    let balancer = balancer(Balancing::PickFirst, &[&first, &second], false).await;
    let _kept = until_connected(&balancer, &first).await;
    for _ in 0..10 {
        assert!(balancer.link().await.is_ok());
    }
    let untouched = balancer.channels().await.unwrap_or_else(|_| panic!("preset"))[1].clone();
    assert!(matches!(untouched.now(), Now::Connecting(_)), "only this look begins to connect");
}

#[tokio::test]
async fn pick_first_goes_on_to_the_next_when_the_first_is_dead() {
    let only = listener().await;
    let balancer = balancer(Balancing::PickFirst, &[&only], true).await;
    let _kept = until_connected(&balancer, &only).await;
    assert!(balancer.link().await.is_ok());
}

#[tokio::test]
async fn when_all_are_dead_the_error_is_theirs() {
    let balancer = balancer(Balancing::RoundRobin, &[], true).await;
    for _ in 0..2 {
        let Err(CallError::Connect { message, certificate: false }) = balancer.link().await else {
            panic!("connected")
        };
        assert!(message.starts_with("dial 127.0.0.1:"), "{message}");
    }
}

#[tokio::test]
async fn names_that_do_not_resolve_are_connection_errors() {
    let endpoint = Endpoint::parse("no-such-host.invalid:1").unwrap();
    let connector = Connector::http2(endpoint, None, &Proxies::new(&Proxy::None), Duration::from_secs(5)).unwrap();
    let balancer = Balancer::new(connector, None, false, Balancing::RoundRobin);
    for _ in 0..2 {
        let Err(CallError::Connect { message, .. }) = balancer.link().await else { panic!("connected") };
        assert!(message.starts_with("cannot resolve no-such-host.invalid"), "{message}");
    }
}
