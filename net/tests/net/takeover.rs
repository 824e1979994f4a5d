//! One listener after another at the same address.

use std::sync::Arc;
use std::time::Duration;

use sluice_net::listen::Sockets;
use sluice_net::{Listener, ListenerSettings, grpc, http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::common::*;

const GRACE: Duration = Duration::from_secs(5);

fn get(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx")
}

/// Reads the head and the one byte of an answer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).ends_with("\r\n\r\nx") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8_lossy(&seen).to_ascii_lowercase()
}

#[tokio::test]
async fn the_next_listener_takes_the_socket_over_and_nobody_is_turned_away() {
    let old = http().await;
    let port = old.address.port();
    // One with a request behind it, and one that has only connected so far.
    let mut used = TcpStream::connect(old.address).await.unwrap();
    used.write_all(get(ECHO).as_bytes()).await.unwrap();
    assert!(!answer(&mut used).await.contains("connection: close"));
    let mut silent = TcpStream::connect(old.address).await.unwrap();
    eventually("both are accepted", || old.server.counters().open == 2).await;

    let mut sockets = Sockets::default();
    old.server.offer(&mut sockets);
    // The same place under another name.
    let settings = ListenerSettings::tcp(format!("localhost:{port}"));
    let listener = Listener::bind_or_take(settings.clone(), &mut sockets).await.unwrap();
    assert!(Listener::bind_or_take(settings, &mut sockets).await.is_err(), "a socket is taken once");
    let handler = Arc::new(Handler::default());
    let new = listener.serve(http::Server::new(Arc::new(HttpHandler(Arc::clone(&handler)))));
    let retiring = tokio::spawn(old.server.retire(GRACE));

    // Requests on old connections are served, and the connections end with the answer.
    for stream in [&mut used, &mut silent] {
        stream.write_all(get(ECHO).as_bytes()).await.unwrap();
        let answer = answer(stream).await;
        assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(retiring.await.unwrap(), 0, "none was cut");
    let mut fresh = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    fresh.write_all(get(ECHO).as_bytes()).await.unwrap();
    assert!(answer(&mut fresh).await.starts_with("http/1.1 200"));
    assert_eq!(handler.last().bytes, "x");
    new.shutdown(Duration::ZERO).await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "the socket closes with its last listener");
}

#[tokio::test]
async fn a_listener_that_retires_alone_gives_its_address_back() {
    let old = grpc().await;
    let mut sockets = Sockets::default();
    old.server.offer(&mut sockets);
    drop(sockets);
    let address = old.address.to_string();
    assert_eq!(old.server.retire(GRACE).await, 0);
    let listener = Listener::bind(ListenerSettings::tcp(address)).await.unwrap();
    drop(listener.serve(grpc::Server::new(Arc::new(Handler::default()))));
}
