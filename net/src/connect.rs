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
use crate::proxy::{Hop, Proxies};
use crate::tls::ClientTls;
use crate::tunnel;

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
    proxy: Option<Result<Hop, ConnectError>>,
    timeout: Duration,
}

impl Connector {
    /// `tls` is used as given; the endpoint's scheme has been looked at by the caller.
    pub(crate) fn http2(
        endpoint: Endpoint,
        tls: Option<&ClientTls>,
        proxies: &Proxies,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let tls = match tls {
            Some(tls) => Some((tls.clone(), tls.server_name(&endpoint.host)?)),
            None => None,
        };
        let proxy = proxies.of_grpc(&endpoint.host, endpoint.port).map(|found| found.map_err(ConnectError::other));
        Ok(Connector { endpoint, tls, proxy, timeout })
    }

    /// The addresses the endpoint's name stands for now, or its proxy's; at least one. Through a proxy, the endpoint's name is
    /// the proxy's to resolve.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = match &self.proxy {
            None => (self.endpoint.host.as_str(), self.endpoint.port),
            Some(Err(error)) => return Err(error.clone()),
            Some(Ok(hop)) => {
                (hop.uri.host().unwrap_or_default().trim_matches(['[', ']']), hop.uri.port_u16().unwrap_or(80))
            }
        };
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
        let mut tcp = TcpStream::connect(address)
            .await
            .map_err(|error| ConnectError::other(format!("dial {address}: {error}")))?;
        tcp.set_nodelay(true).map_err(ConnectError::other)?;
        if let Some(Ok(hop)) = &self.proxy {
            let authority = self.endpoint.authority();
            let opened = tunnel::open(&mut tcp, &authority, hop.credentials.as_ref()).await;
            opened.map_err(|error| ConnectError::other(format!("dial {address}: {error}")))?;
        }
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
