//! A bounded table from seeded hashes to values that forgets the least recently used.

use std::collections::HashMap;

const NONE: u32 = u32::MAX;

/// A table with at most as many entries as its limit says. Keys are hashes already.
#[derive(Debug)]
pub struct Lru<V> {
    index: HashMap<u64, u32, ahash::RandomState>,
    nodes: Vec<Node<V>>,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Node<V> {
    key: u64,
    newer: u32,
    older: u32,
    value: V,
}

impl<V> Default for Lru<V> {
    fn default() -> Self {
        Lru { index: HashMap::default(), nodes: Vec::new(), newest: NONE, oldest: NONE }
    }
}

impl<V> Lru<V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The entry of a key, which becomes the most recently used.
    pub fn touch(&mut self, key: u64) -> Option<&mut V> {
        let at = *self.index.get(&key)?;
        self.unlink(at);
        self.link_newest(at);
        Some(&mut self.nodes[at as usize].value)
    }

    /// Adds an entry for a new key as the most recently used. Returns the one that had to go, if any.
    pub fn insert(&mut self, key: u64, value: V, limit: usize) -> Option<V> {
        let evicted = if self.len() >= limit.max(1) { self.remove_node(self.oldest) } else { None };
        let at = self.nodes.len() as u32;
        self.nodes.push(Node { key, newer: NONE, older: NONE, value });
        self.index.insert(key, at);
        self.link_newest(at);
        evicted
    }

    /// Removes the entry of a key.
    pub fn remove(&mut self, key: u64) -> Option<V> {
        let at = *self.index.get(&key)?;
        self.remove_node(at)
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.nodes.iter().map(|node| &node.value)
    }

    fn remove_node(&mut self, at: u32) -> Option<V> {
        if at == NONE {
            return None;
        }
        self.unlink(at);
        let node = self.nodes.swap_remove(at as usize);
        self.index.remove(&node.key);
        // The last node has moved to the gap.
        if let Some(moved) = self.nodes.get(at as usize) {
            let (key, newer, older) = (moved.key, moved.newer, moved.older);
            self.index.insert(key, at);
            self.set_older(newer, at);
            self.set_newer(older, at);
        }
        Some(node.value)
    }

    fn link_newest(&mut self, at: u32) {
        let older = self.newest;
        self.nodes[at as usize].older = older;
        self.nodes[at as usize].newer = NONE;
        self.set_newer(older, at);
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = (self.nodes[at as usize].newer, self.nodes[at as usize].older);
        self.set_older(newer, older);
        self.set_newer(older, newer);
    }

    /// The `older` link of a node, or the head of the list.
    fn set_older(&mut self, at: u32, older: u32) {
        match self.nodes.get_mut(at as usize) {
            Some(node) if at != NONE => node.older = older,
            _ => self.newest = older,
        }
    }

    /// The `newer` link of a node, or the tail of the list.
    fn set_newer(&mut self, at: u32, newer: u32) {
        match self.nodes.get_mut(at as usize) {
            Some(node) if at != NONE => node.newer = newer,
            _ => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_list_in_order_of_use(operations in prop::collection::vec((0u8..3, 0u64..12), 0..200)) {
            let mut lru = Lru::default();
            let mut model: Vec<u64> = Vec::new();
            for (operation, key) in operations {
                let at = model.iter().position(|k| *k == key);
                match (operation, at) {
                    (0, None) => {
                        let evicted = (model.len() >= 5).then(|| model.remove(0));
                        model.push(key);
                        prop_assert_eq!(lru.insert(key, key, 5), evicted);
                    }
                    (1, _) => prop_assert_eq!(lru.remove(key), at.map(|at| model.remove(at))),
                    _ => {
                        if let Some(at) = at {
                            model.remove(at);
                            model.push(key);
                        }
                        prop_assert_eq!(lru.touch(key).copied(), at.map(|_| key));
                    }
                }
                prop_assert_eq!(lru.len(), model.len());
            }
        }
    }
}
