use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use super::head::Peer;
use crate::Error;

/// Connections that the kernel keeps until they are accepted: a crowd of agents may come back at once. With the usual 128 it
/// makes some of which only the client knows.
const BACKLOG: u32 = 1024;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// `host:port`; port 0 lets the system choose.
    Tcp(String),
    /// The path of a unix socket. A stale socket file is replaced.
    Unix(PathBuf),
}

/// A listening socket.
pub(crate) struct Socket {
    bind: Bind,
    kind: Kind,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Sockets of listeners that are about to stop. Who listens at the same place next takes them over: the kernel's queue of
/// connections stays, and nobody who connects in between is turned away.
///
/// Each can be taken once, so that two listeners that want the same place still find out.
#[derive(Default)]
pub struct Sockets(Vec<Arc<Socket>>);

impl Sockets {
    pub(crate) fn offer(&mut self, socket: Arc<Socket>) {
        self.0.push(socket);
    }

    pub(crate) async fn take(&mut self, bind: &Bind) -> Option<Arc<Socket>> {
        for index in 0..self.0.len() {
            if self.0[index].is_at(bind).await {
                return Some(self.0.swap_remove(index));
            }
        }
        None
    }
}

/// An accepted socket before TLS.
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Accepted {
    /// Who is at the other end of a unix socket.
    pub(crate) fn uid(&self) -> Option<u32> {
        match self {
            Accepted::Tcp(_) => None,
            Accepted::Unix(stream) => stream.peer_cred().ok().map(|peer| peer.uid()),
        }
    }
}

impl Socket {
    pub(crate) async fn bind(bind: &Bind) -> Result<Self, Error> {
        let kind = match bind {
            Bind::Tcp(address) => {
                let listener = listen(address).await;
                Kind::Tcp(listener.map_err(|source| Error::Bind { address: address.clone(), source })?)
            }
            Bind::Unix(path) => {
                let failed = |source| Error::Bind { address: path.display().to_string(), source };
                if is_stale(path).await {
                    std::fs::remove_file(path).map_err(failed)?;
                }
                Kind::Unix(UnixListener::bind(path).map_err(failed)?, path.clone())
            }
        };
        Ok(Socket { bind: bind.clone(), kind })
    }

    pub(crate) fn from_std(socket: std::net::TcpListener) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: "inherited socket".to_owned(), source };
        socket.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(socket).map_err(failed)?;
        let address = listener.local_addr().map_err(Error::LocalAddress)?;
        Ok(Socket { bind: Bind::Tcp(address.to_string()), kind: Kind::Tcp(listener) })
    }

    pub(crate) fn local_addr(&self) -> Result<Option<SocketAddr>, Error> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(Some).map_err(Error::LocalAddress),
            Kind::Unix(..) => Ok(None),
        }
    }

    /// Whether this is the socket that binding there would give, were it not bound already.
    async fn is_at(&self, bind: &Bind) -> bool {
        if self.bind == *bind {
            return true;
        }
        // `localhost` and `127.0.0.1` are one address under two names.
        let (Bind::Tcp(address), Ok(Some(local))) = (bind, self.local_addr()) else { return false };
        tokio::net::lookup_host(address).await.is_ok_and(|mut addresses| addresses.next() == Some(local))
    }

    pub(crate) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Nagle's algorithm and delayed acknowledgements cost 41 ms at p99.
                stream.set_nodelay(true)?;
                Ok((Accepted::Tcp(stream), Peer::Ip(peer)))
            }
            Kind::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Kind::Unix(_, path) = &self.kind {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens at the first address of `host:port` that can be bound.
async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "no address of that name");
    for address in tokio::net::lookup_host(address).await? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart does not wait for connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A socket file nobody listens on is what an earlier process left behind.
async fn is_stale(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        && UnixStream::connect(path).await.is_err()
}
