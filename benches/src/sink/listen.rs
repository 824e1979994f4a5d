//! Accepting connections, and not being there while the mode says so.

use super::{Mode, Sink};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Before the address is tried again that somebody else holds.
const AGAIN: Duration = Duration::from_millis(20);

/// Serves each connection in a task, until the caller is dropped. In [`Mode::Closed`] listener and connections are gone.
pub(super) async fn each_connection<F>(listener: TcpListener, sink: &Sink, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(address) = listener.local_addr() else { return };
    let mut mode = sink.mode.subscribe();
    let mut listener = listener;
    let mut connections = JoinSet::new();
    loop {
        if *mode.borrow_and_update() == Mode::Closed {
            drop(listener);
            connections.shutdown().await;
            if mode.wait_for(|mode| *mode != Mode::Closed).await.is_err() {
                return;
            }
            listener = listen_again(address).await;
        }
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    let _ = socket.set_nodelay(true);
                    connections.spawn(serve(socket));
                }
            }
            changed = mode.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn listen_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}
