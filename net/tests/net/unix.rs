//! Requests over a unix socket.

use std::sync::Arc;
use std::time::Duration;

use sluice_net::http::{HeaderMap, Method, Outgoing, SendError, send_to_socket};
use sluice_net::{Bind, Listener, ListenerSettings};

use super::common::*;

fn outgoing(path: &str, bytes: usize) -> Outgoing {
    Outgoing {
        method: Method::POST,
        uri: path.parse().unwrap(),
        headers: HeaderMap::new(),
        body: noise(bytes),
        timeout: Some(Duration::from_secs(10)),
    }
}

#[tokio::test]
async fn a_request_over_a_unix_socket_is_answered_like_any_other() {
    let directory = std::env::temp_dir().join(format!("sluice-net-unix-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("sock");
    let absent = send_to_socket(&path, outgoing(ECHO, 1), 10).await;
    assert!(matches!(absent, Err(SendError::Connect { certificate: false, .. })), "{absent:?}");
    let settings = ListenerSettings { bind: Bind::Unix(path.clone()), ..ListenerSettings::tcp("") };
    let handler = Arc::new(Handler::default());
    let server = Listener::bind(settings)
        .await
        .unwrap()
        .serve(sluice_net::http::Server::new(Arc::new(HttpHandler(Arc::clone(&handler)))));
    for bytes in [0, 1, 300_000] {
        let answer = send_to_socket(&path, outgoing(ECHO, bytes), 1 << 20).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body), (200, noise(bytes)));
    }
    // As a URL, too: host and port do not matter.
    let answer = send_to_socket(&path, outgoing("http://elsewhere:1/nothing", 0), 1 << 20).await.unwrap();
    assert_eq!(answer.status.as_u16(), 404);
    let long = send_to_socket(&path, outgoing(ECHO, 300_000), 1000).await;
    assert!(matches!(long, Err(SendError::TooLarge { limit: 1000 })), "{long:?}");
    let hung = Outgoing { timeout: Some(Duration::from_millis(50)), ..outgoing(WAIT, 1) };
    let hung = send_to_socket(&path, hung, 1000).await;
    assert!(matches!(hung, Err(SendError::Timeout(_))), "{hung:?}");
    server.shutdown(Duration::ZERO).await;
    std::fs::remove_dir_all(directory).unwrap();
}
