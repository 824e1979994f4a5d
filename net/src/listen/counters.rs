use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one listener since it was bound. Every refusal is counted (`security.md` section 1).
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub(crate) $name: AtomicU64,)* }

        /// The counts at one moment.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct Snapshot { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// Reads all counts.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Connections accepted from the kernel.
    accepted,
    /// Connections open now.
    open,
    /// Errors of `accept` itself (out of descriptors and the like).
    accept_errors,
    /// Connections refused because there are too many.
    refused_total,
    /// Connections refused because their source has too many.
    refused_per_ip,
    /// TLS handshakes that failed.
    handshake_failures,
    /// TLS handshakes that took too long.
    handshake_timeouts,
    /// Connections closed for want of a first byte.
    first_byte_timeouts,
    /// Connections closed for slow headers.
    header_timeouts,
    /// Connections that did not begin with the protocol spoken here.
    unknown_protocol,
    /// Requests and connections that broke the rules of HTTP and were refused by the HTTP library.
    protocol_errors,
    /// HTTP/1 heads that are no heads, answered 400 by the HTTP library.
    head_malformed,
    /// Heads over the limit in bytes, answered 431 by the HTTP library.
    head_too_large,
    /// HTTP/2 streams over the limit.
    streams_refused,
    /// HTTP/2 connections closed because a ping was not answered.
    ping_timeouts,
    /// Connections closed because they were idle.
    idle_closed,
    /// Connections closed because a write stood still.
    write_timeouts,
    /// Connections told to go away because of their age.
    aged,
    /// Connections cut after a grace period.
    cut,
    /// Connections closed for a flood of control frames or resets.
    floods,
    /// Requests begun.
    requests,
    /// Requests refused for too many or too long headers or a too long target.
    head_refused,
    /// Requests broken off because their body came too slowly.
    body_timeouts,
    /// Requests refused because a body was too large on the wire.
    body_too_large,
    /// Requests refused for want of memory.
    body_exhausted,
    /// Requests refused because the listener is shutting down.
    refused_shutdown,
    /// Panics of handlers, answered as internal errors.
    panics,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
