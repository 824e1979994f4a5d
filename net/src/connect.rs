//! Opens client connections: name resolution, TCP, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Error;
use crate::address::Endpoint;
use crate::listen::Stream;
use crate::tls::ClientTls;

/// Why there is no connection. Clones share the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ConnectError {
    message: Arc<str>,
    certificate: bool,
}

impl ConnectError {
    pub(crate) fn other(cause: impl std::fmt::Display) -> Self {
        ConnectError { message: cause.to_string().into(), certificate: false }
    }

    /// Whether a certificate or a name did not hold.
    pub(crate) fn is_certificate(&self) -> bool {
        self.certificate
    }

    fn tls(error: &io::Error) -> Self {
        let certificate = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
        ConnectError { message: format!("TLS handshake failed: {error}").into(), certificate }
    }
}

/// Opens connections to one endpoint.
#[derive(Clone)]
pub(crate) struct Connector {
    endpoint: Endpoint,
    tls: Option<(ClientTls, ServerName<'static>)>,
    timeout: Duration,
}

impl Connector {
    /// `tls` is used as given; the endpoint's scheme has been looked at by the caller.
    pub(crate) fn http2(endpoint: Endpoint, tls: Option<&ClientTls>, timeout: Duration) -> Result<Self, Error> {
        let tls = match tls {
            Some(tls) => Some((tls.clone(), tls.server_name(&endpoint.host)?)),
            None => None,
        };
        Ok(Connector { endpoint, tls, timeout })
    }

    /// The addresses the endpoint's name stands for now; at least one.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = (self.endpoint.host.as_str(), self.endpoint.port);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let failed = |error: &dyn std::fmt::Display| ConnectError::other(format!("cannot resolve {host}: {error}"));
        let resolved = timeout(self.timeout, lookup_host((host, port))).await.map_err(|_| failed(&"no answer"))?;
        let mut addresses: Vec<SocketAddr> = resolved.map_err(|error| failed(&error))?.collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() { Err(failed(&"no address")) } else { Ok(addresses) }
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<Stream, ConnectError> {
        match timeout(self.timeout, self.open(address)).await {
            Ok(opened) => opened,
            Err(_) => Err(ConnectError::other(format!("dial {address}: no connection in {:?}", self.timeout))),
        }
    }

    async fn open(&self, address: SocketAddr) -> Result<Stream, ConnectError> {
        let tcp = TcpStream::connect(address)
            .await
            .map_err(|error| ConnectError::other(format!("dial {address}: {error}")))?;
        tcp.set_nodelay(true).map_err(ConnectError::other)?;
        let Some((tls, name)) = &self.tls else { return Ok(Stream::Tcp(tcp)) };
        let stream = TlsConnector::from(Arc::new(tls.with_alpn(&[b"h2"])))
            .connect(name.clone(), tcp)
            .await
            .map_err(|error| ConnectError::tls(&error))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(ConnectError::other("the server does not speak HTTP/2 (ALPN)"));
        }
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}
