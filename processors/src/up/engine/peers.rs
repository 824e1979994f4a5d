//! Peer addresses: whether the one behind it sends for itself alone.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Engine;
use crate::up::identity::Identity;
use crate::up::state::Mono;

/// How long a peer that sent several identities at once counts as one that forwards for others.
const FORWARDER_MEMORY: Duration = Duration::from_secs(600);

/// A peer address, and whether it sends for several identities.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// The identity that sent last.
    current: u64,
    since: Mono,
    /// The identity before it.
    previous: u64,
    forwards_until: Option<Mono>,
    /// Changes when the answer to "is it one sender" changes.
    epoch: u64,
}

impl Engine {
    /// Remembers who sends from a peer address; the answer tells whether what was concluded from it still holds.
    pub(super) fn note_peer(&mut self, identity: &Identity, at: Mono) -> u64 {
        let Some(address) = identity.peer() else { return 0 };
        let peer_key = self.surroundings.seed.hash_one(address);
        let key = identity.label_key();
        if self.peers.touch(peer_key).is_none() {
            let peer = Peer { current: key, since: at, previous: key, ..Peer::default() };
            let limit = self.config.max_unexpected_identities + 2 * self.entries.len();
            self.peers.insert(peer_key, (address, peer), limit);
        }
        let Some((_, peer)) = self.peers.touch(peer_key) else { return 0 };
        let before = peer.epoch;
        if peer.current != key {
            // One identity after another is a restart; two at a time are a forwarder.
            let returns = peer.previous == key;
            let same_moment = at.saturating_sub(peer.since) < Duration::from_secs(1);
            if returns || same_moment {
                peer.epoch += u64::from(!peer.forwards(at));
                peer.forwards_until = Some(at.saturating_add(FORWARDER_MEMORY));
            }
            peer.previous = std::mem::replace(&mut peer.current, key);
            peer.since = at;
        } else if peer.forwards_until.is_some_and(|until| at > until) {
            peer.forwards_until = None;
            peer.epoch += 1;
        }
        if peer.epoch != before {
            self.revision.fetch_add(1, Ordering::Relaxed);
        }
        peer.epoch
    }

    pub(super) fn forwards(&mut self, address: IpAddr, at: Mono) -> bool {
        let key = self.surroundings.seed.hash_one(address);
        self.peers.touch(key).is_some_and(|(_, peer)| peer.forwards(at))
    }
}

impl Peer {
    fn forwards(&self, at: Mono) -> bool {
        self.forwards_until.is_some_and(|until| at <= until)
    }
}
