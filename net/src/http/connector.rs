//! Opens connections for the HTTP client: directly or through a proxy, with the TLS files as they are now.

use std::error::Error;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::addresses::{AddressPolicy, Resolver, refused};
use crate::proxy::Proxies;
use crate::tls::ClientTls;

type Tcp = HttpConnector<Resolver>;
type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tcp: Tcp,
    pub(super) tls: ClientTls,
    pub(super) http2: bool,
    pub(super) proxies: Proxies,
    pub(super) policy: Arc<AddressPolicy>,
}

impl Connector {
    fn https<C>(&self, below: C) -> HttpsConnector<C> {
        // The builder fills ALPN in itself.
        let builder = HttpsConnectorBuilder::new().with_tls_config(self.tls.with_alpn(&[])).https_or_http();
        let builder = match self.tls.server_name_override() {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone())),
            None => builder,
        };
        let builder = builder.enable_http1();
        if self.http2 { builder.enable_http2().wrap_connector(below) } else { builder.wrap_connector(below) }
    }

    pub(super) async fn connect(mut self, target: Uri) -> Result<Socket, BoxError> {
        let literal = target.host().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        if literal.is_some_and(|address| !self.policy.allows(address)) {
            return Err(refused().into());
        }
        let is_https = target.scheme_str() == Some("https");
        let stream = match self.proxies.of(&target).transpose()? {
            None => self.https(self.tcp.clone()).call(target).await?,
            Some(proxy) if is_https => {
                let tunnel = Tunnel::new(proxy.uri, self.tcp.clone());
                let tunnel = match proxy.credentials {
                    Some(credentials) => tunnel.with_auth(credentials),
                    None => tunnel,
                };
                self.https(tunnel).call(target).await?
            }
            Some(proxy) => {
                let stream = MaybeHttpsStream::Http(self.tcp.call(proxy.uri).await?);
                return Ok(Socket { stream, proxied: true });
            }
        };
        Ok(Socket { stream, proxied: false })
    }
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Socket, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        Box::pin(self.clone().connect(target))
    }
}

/// An open connection.
pub(super) struct Socket {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Requests name the whole target, for a proxy to read.
    proxied: bool,
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.proxied)
    }
}

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
