//! Opens client connections: name resolution, TCP, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
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
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    timeout: Duration,
}

impl Connector {
    /// `tls` is used as given; the endpoint's scheme has been looked at by the caller.
    pub(crate) fn http2(endpoint: Endpoint, tls: Option<&ClientTls>, timeout: Duration) -> Result<Self, Error> {
        let tls = match tls {
            Some(tls) => Some((tls.with_alpn(&[b"h2"]), tls.server_name(&endpoint.host)?)),
            None => None,
        };
        Ok(Connector { endpoint, tls, timeout })
    }

    pub(crate) async fn connect(&self) -> Result<Stream, ConnectError> {
        match timeout(self.timeout, self.open()).await {
            Ok(opened) => opened,
            Err(_) => {
                Err(ConnectError::other(format!("{}: no connection in {:?}", self.endpoint.authority(), self.timeout)))
            }
        }
    }

    async fn open(&self) -> Result<Stream, ConnectError> {
        // Tries each address the name resolves to, in turn.
        let tcp = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port))
            .await
            .map_err(|error| ConnectError::other(format!("dial {}: {error}", self.endpoint.authority())))?;
        tcp.set_nodelay(true).map_err(ConnectError::other)?;
        let Some((config, name)) = &self.tls else { return Ok(Stream::Tcp(tcp)) };
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name.clone(), tcp)
            .await
            .map_err(|error| ConnectError::tls(&error))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(ConnectError::other("the server does not speak HTTP/2 (ALPN)"));
        }
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}
