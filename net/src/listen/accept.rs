use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Service;
use super::connection::{Conn, Shared, serve};
use super::counters::{Counters, Snapshot};
use super::handshake::secure;
use super::head::{ConnectionInfo, Ending, Peer};
use super::sealed::Serve;
use super::slots::{Caps, Full, Slots};
use super::socket::{Accepted, Bind, Socket, Sockets};
use super::traffic::Traffic;
use crate::Error;
use crate::limits::ListenerLimits;
use crate::pool::BufferPool;
use crate::tls::ServerTls;

/// How often the accept loop shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How a listener is set up.
#[derive(Clone)]
pub struct ListenerSettings {
    /// Where to listen.
    pub bind: Bind,
    /// What peers may do.
    pub limits: ListenerLimits,
    /// `None`: plain text.
    pub tls: Option<ServerTls>,
    /// Where bodies get their memory. Listeners may share one.
    pub pool: BufferPool,
}

impl ListenerSettings {
    /// Plain text on `address` (`host:port`) with the default limits.
    pub fn tcp(address: impl Into<String>) -> Self {
        ListenerSettings {
            bind: Bind::Tcp(address.into()),
            limits: ListenerLimits::default(),
            tls: None,
            pool: BufferPool::default(),
        }
    }
}

/// A bound socket that does not serve yet: connections wait in the kernel's backlog.
pub struct Listener {
    socket: Arc<Socket>,
    local_addr: Option<SocketAddr>,
    settings: ListenerSettings,
}

impl Listener {
    /// Binds the socket.
    ///
    /// # Errors
    /// The address is in use, not local, or not permitted.
    pub async fn bind(settings: ListenerSettings) -> Result<Self, Error> {
        Self::bind_or_take(settings, &mut Sockets::default()).await
    }

    /// Takes over the socket of a listener that is about to stop, if there is one for this place; else binds it. Until the
    /// other one stops, both accept.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub async fn bind_or_take(settings: ListenerSettings, sockets: &mut Sockets) -> Result<Self, Error> {
        let socket = match sockets.take(&settings.bind).await {
            Some(socket) => socket,
            None => Arc::new(Socket::bind(&settings.bind).await?),
        };
        let local_addr = socket.local_addr()?;
        Ok(Listener { socket, local_addr, settings })
    }

    /// The address that was bound, with the real port; `None` for unix sockets.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Takes over a socket that listens already (socket activation, or one handed over by an earlier process).
    ///
    /// # Errors
    /// The socket cannot be used with the runtime.
    pub fn from_std(socket: std::net::TcpListener, settings: ListenerSettings) -> Result<Self, Error> {
        let socket = Arc::new(Socket::from_std(socket)?);
        let local_addr = socket.local_addr()?;
        Ok(Listener { socket, local_addr, settings })
    }

    /// Starts to serve, on tasks of the current runtime.
    pub fn serve<S: Service>(self, service: S) -> Server {
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = watch::channel(false);
        let (heartbeat, heartbeats) = watch::channel(Instant::now());
        let shared = Arc::new(Shared {
            limits: self.settings.limits,
            pool: self.settings.pool,
            counters: Arc::clone(&counters),
            leaving: AtomicBool::new(false),
            retiring: AtomicBool::new(false),
            roomy: Arc::default(),
        });
        let acceptor = Acceptor {
            service: Arc::new(service),
            shared: Arc::clone(&shared),
            slots: Arc::new(Slots::default()),
            handshakes: Arc::new(Semaphore::new(shared.limits.concurrent_handshakes)),
            tls: self.settings.tls,
            local: self.local_addr,
            stopped,
            heartbeat,
        };
        let reloading = acceptor.tls.clone().map(|tls| tokio::spawn(keep_current(tls)));
        let socket = Arc::downgrade(&self.socket);
        let task = tokio::spawn(acceptor.run(self.socket));
        Server { socket, local_addr: self.local_addr, shared, counters, stop, task, reloading, heartbeats }
    }
}

/// A listener at work. Dropping it cuts everything.
pub struct Server {
    /// The accept loop owns it: it closes when that ends, unless somebody has taken it over.
    socket: Weak<Socket>,
    local_addr: Option<SocketAddr>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    task: JoinHandle<JoinSet<()>>,
    reloading: Option<JoinHandle<()>>,
    heartbeats: watch::Receiver<Instant>,
}

impl Server {
    /// The address that was bound, with the real port; `None` for unix sockets.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Offers the socket to whoever listens at the same place next.
    pub fn offer(&self, sockets: &mut Sockets) {
        if let Some(socket) = self.socket.upgrade() {
            sockets.offer(socket);
        }
    }

    /// The counts so far.
    pub fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }

    /// When the accept loop last showed that it is alive; it does so every five seconds (`delivery.md` section 8).
    pub fn last_heartbeat(&self) -> Instant {
        *self.heartbeats.borrow()
    }

    /// A handle on the counts that outlives the server.
    pub fn counters_handle(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Stops accepting, tells every connection to go away, and waits for requests in flight, at most `deadline`. Then
    /// cuts what is left and returns how many connections that were (`delivery.md` section 8).
    pub async fn shutdown(self, deadline: Duration) -> usize {
        self.shared.leaving.store(true, Ordering::Relaxed);
        self.end(deadline).await
    }

    /// Stops accepting, for another listener has taken the socket over or none is wanted any more. Requests are served as
    /// before, but each connection is told to end; what is left after `deadline` is cut. Returns how many connections that
    /// were (`delivery.md` section 8, hot reload).
    pub async fn retire(self, deadline: Duration) -> usize {
        self.shared.retiring.store(true, Ordering::Relaxed);
        self.end(deadline).await
    }

    async fn end(mut self, deadline: Duration) -> usize {
        self.stop.send_replace(true);
        let Ok(mut connections) = (&mut self.task).await else { return 0 };
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout(deadline, drained).await.is_ok() {
            return 0;
        }
        let left = connections.len();
        connections.shutdown().await;
        left
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(reloading) = &self.reloading {
            reloading.abort();
        }
    }
}

/// Takes over certificates when their files change.
async fn keep_current(tls: ServerTls) {
    loop {
        sleep(tls.reload_interval()).await;
        // What is wrong is told and counted there.
        let _ = tls.reload();
    }
}

struct Acceptor<S> {
    service: Arc<S>,
    shared: Arc<Shared>,
    slots: Arc<Slots>,
    handshakes: Arc<Semaphore>,
    tls: Option<ServerTls>,
    local: Option<SocketAddr>,
    stopped: watch::Receiver<bool>,
    heartbeat: watch::Sender<Instant>,
}

impl<S: Serve> Acceptor<S> {
    /// Accepts until told to stop; lets go of the socket and returns the connections still open.
    async fn run(mut self, socket: Arc<Socket>) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        let mut backoff = Backoff::default();
        let mut beat = Instant::now();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stop| *stop) => return connections,
                Some(_) = connections.join_next() => continue,
                () = sleep_until(beat) => {
                    beat = Instant::now() + HEARTBEAT;
                    self.heartbeat.send_replace(Instant::now());
                    continue;
                }
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    backoff = Backoff::default();
                    self.admit(stream, peer, &mut connections);
                }
                Err(error) => {
                    Counters::add(&self.shared.counters.accept_errors);
                    if let Some(pause) = backoff.after(&error) {
                        tracing::warn!(%error, "accept failed");
                        sleep(pause).await;
                    }
                }
            }
        }
    }

    fn admit(&self, stream: Accepted, peer: Peer, connections: &mut JoinSet<()>) {
        let counters = &self.shared.counters;
        Counters::add(&counters.accepted);
        let limits = &self.shared.limits;
        let caps = Caps { total: limits.connections, of_one_source: limits.connections_per_ip };
        let slot = match self.slots.take(peer.ip(), caps, limits) {
            Ok(slot) => slot,
            Err(full) => {
                Counters::add(match full {
                    Full::Total => &counters.refused_total,
                    Full::PerIp => &counters.refused_per_ip,
                });
                return;
            }
        };
        let open = OpenCount::new(&self.shared.counters);
        let (service, shared, stopped) = (Arc::clone(&self.service), Arc::clone(&self.shared), self.stopped.clone());
        let (tls, handshakes, local) = (self.tls.clone(), Arc::clone(&self.handshakes), self.local);
        let uid = stream.uid();
        connections.spawn(async move {
            let _held = (slot, open);
            let Some(secured) = secure(stream, tls.as_ref(), &handshakes, &shared).await else { return };
            let client_certificates = secured.client_certificates;
            let (tls, ending) = (tls.is_some(), Ending::default());
            let info = ConnectionInfo { peer, uid, local, tls, client_certificates, ending };
            let traffic = Arc::new(Traffic::new(shared.limits.write_min_rate));
            let conn = Arc::new(Conn { info: Arc::new(info), traffic, shared });
            serve(secured.stream, secured.negotiated_h2, service, conn, stopped).await;
        });
    }
}

struct OpenCount(Arc<Counters>);

impl OpenCount {
    fn new(counters: &Arc<Counters>) -> Self {
        Counters::add(&counters.open);
        OpenCount(Arc::clone(counters))
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long to wait after an error of `accept`. The loop never ends over one: descriptors become free again.
#[derive(Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    fn after(&mut self, error: &io::Error) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return None; // that connection's own fault
        }
        let pause = self.0.map_or(Duration::from_millis(5), |last| (last * 2).min(Duration::from_secs(1)));
        self.0 = Some(pause);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_errors_are_survived_with_growing_pauses() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after(&io::ErrorKind::ConnectionAborted.into()), None);
        let out_of_descriptors = io::Error::from_raw_os_error(24);
        let pauses: Vec<_> = (0..20).filter_map(|_| backoff.after(&out_of_descriptors)).collect();
        assert_eq!(pauses.first(), Some(&Duration::from_millis(5)));
        assert_eq!(pauses.last(), Some(&Duration::from_secs(1)));
        assert_eq!(pauses.len(), 20);
    }
}
