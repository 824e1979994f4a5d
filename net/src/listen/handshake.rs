//! TLS, where it is configured, before the first byte of HTTP.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, LazyConfigAcceptor};

use super::connection::Shared;
use super::counters::Counters;
use super::socket::Accepted;
use super::transport::Stream;
use crate::tls::ServerTls;

/// A connection that may be served.
pub(super) struct Secured {
    pub(super) stream: Stream,
    pub(super) client_certificates: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// What ALPN says; `None` without TLS or without ALPN.
    pub(super) negotiated_h2: Option<bool>,
}

/// Shakes hands where TLS is configured.
pub(super) async fn secure(
    accepted: Accepted,
    tls: Option<&ServerTls>,
    handshakes: &Semaphore,
    shared: &Shared,
) -> Option<Secured> {
    let plain = |stream| Some(Secured { stream, client_certificates: Vec::new(), negotiated_h2: None });
    let (tcp, tls) = match (accepted, tls) {
        (Accepted::Tcp(tcp), Some(tls)) => (tcp, tls),
        (Accepted::Tcp(tcp), None) => return plain(Stream::Tcp(tcp)),
        // A unix socket is protected by its file; upstream does not encrypt it either.
        (Accepted::Unix(unix), _) => return plain(Stream::Unix(unix)),
    };
    let handshake = async {
        // Who says nothing has nothing kept for it.
        tcp.readable().await?;
        Box::pin(shake(tcp, tls, handshakes)).await
    };
    match timeout(shared.limits.handshake_timeout, handshake).await {
        Err(_) => {
            Counters::add(&shared.counters.handshake_timeouts);
            None
        }
        Ok(Err(error)) => {
            Counters::add(&shared.counters.handshake_failures);
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let client_certificates =
                session.peer_certificates().unwrap_or_default().iter().map(|cert| cert.clone().into_owned()).collect();
            let negotiated_h2 = session.alpn_protocol().map(|protocol| protocol == b"h2");
            Some(Secured { stream: Stream::Tls(Box::new(stream.into())), client_certificates, negotiated_h2 })
        }
    }
}

async fn shake(tcp: TcpStream, tls: &ServerTls, handshakes: &Semaphore) -> io::Result<TlsStream<TcpStream>> {
    let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
    let mut shaking = {
        // Only for computing: who waits for its peer, for as long as that likes, keeps no turn from others.
        let _turn = handshakes.acquire().await.map_err(io::Error::other)?;
        let mut shaking = begun.into_stream(tls.current());
        if let Poll::Ready(ended) = poll_once(&mut shaking).await {
            return ended;
        }
        shaking
    };
    (&mut shaking).await
}

/// As far as a handshake comes without waiting.
async fn poll_once(shaking: &mut Accept<TcpStream>) -> Poll<io::Result<TlsStream<TcpStream>>> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *shaking).poll(cx))).await
}
