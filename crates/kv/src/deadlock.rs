//! Who waits for whom, and whether that goes in a circle.
//!
//! Vertices are transactions (by start timestamp), an edge is "waits for a lock of". Before an edge is added the graph is searched from
//! its target: if the waiter can be reached, the wait would never end, and the waiter is told so with the chain that closes. One
//! store sees the waits of its own regions; `detector` sees those of all.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_codec::{Key, StartTs};

/// `waiter` waits for `holder`, which locks `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitEdge {
    /// The transaction that waits.
    pub waiter: StartTs,
    /// The transaction it waits for.
    pub holder: StartTs,
    /// The key waited for.
    pub key: Key,
}

#[derive(Debug, Default)]
pub(crate) struct WaitGraph {
    /// waiter → holder → keys waited for.
    edges: BTreeMap<StartTs, BTreeMap<StartTs, Vec<Key>>>,
}

impl WaitGraph {
    /// Adds an edge, or returns the chain from `holder` to `waiter` that it would close.
    pub(crate) fn add(&mut self, edge: &WaitEdge) -> Result<(), Vec<WaitEdge>> {
        if let Some(chain) = self.path(edge.holder, edge.waiter) {
            return Err(chain);
        }
        self.edges.entry(edge.waiter).or_default().entry(edge.holder).or_default().push(edge.key.clone());
        Ok(())
    }

    /// Removes one edge as it was added.
    pub(crate) fn remove(&mut self, edge: &WaitEdge) {
        let Some(holders) = self.edges.get_mut(&edge.waiter) else { return };
        if let Some(keys) = holders.get_mut(&edge.holder) {
            if let Some(at) = keys.iter().position(|key| *key == edge.key) {
                keys.swap_remove(at);
            }
            if keys.is_empty() {
                holders.remove(&edge.holder);
            }
        }
        if holders.is_empty() {
            self.edges.remove(&edge.waiter);
        }
    }

    /// Removes all edges of a waiter.
    pub(crate) fn remove_waiter(&mut self, waiter: StartTs) {
        self.edges.remove(&waiter);
    }

    /// The edges that lead from one transaction to another, if any do.
    fn path(&self, from: StartTs, to: StartTs) -> Option<Vec<WaitEdge>> {
        let mut visited = BTreeSet::new();
        // Depth first, without recursion: waits may form long chains. `back` remembers by which edge a vertex was entered.
        let mut back = BTreeMap::<StartTs, WaitEdge>::new();
        let mut stack = vec![from];
        while let Some(at) = stack.pop() {
            if !visited.insert(at) {
                continue;
            }
            for (&holder, keys) in self.edges.get(&at).into_iter().flatten() {
                if visited.contains(&holder) {
                    continue;
                }
                back.insert(
                    holder,
                    WaitEdge { waiter: at, holder, key: keys.first().cloned().unwrap_or_default() },
                );
                if holder == to {
                    let mut chain = Vec::new();
                    let mut end = to;
                    while end != from {
                        let edge = back.get(&end)?.clone();
                        end = edge.waiter;
                        chain.push(edge);
                    }
                    chain.reverse();
                    return Some(chain);
                }
                stack.push(holder);
            }
        }
        None
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(waiter: u64, holder: u64) -> WaitEdge {
        WaitEdge {
            waiter: StartTs::new(waiter),
            holder: StartTs::new(holder),
            key: Key::new(format!("{waiter}-{holder}")),
        }
    }

    #[test]
    fn a_circle_is_found_and_told() {
        let mut graph = WaitGraph::default();
        graph.add(&edge(1, 2)).unwrap();
        graph.add(&edge(2, 3)).unwrap();
        graph.add(&edge(1, 4)).unwrap();
        graph.add(&edge(4, 3)).unwrap();
        assert_eq!(graph.add(&edge(3, 1)).unwrap_err().last().unwrap().holder, StartTs::new(3));
        let chain = graph.add(&edge(3, 2)).unwrap_err();
        assert_eq!(chain, vec![edge(2, 3)]);
        graph.remove(&edge(2, 3));
        graph.add(&edge(3, 2)).unwrap();
        assert!(graph.add(&edge(2, 4)).is_err(), "2 → 4 → 3 → 2");
    }

    #[test]
    fn parallel_edges_count() {
        let mut graph = WaitGraph::default();
        let other = WaitEdge { key: Key::new("other"), ..edge(1, 2) };
        graph.add(&edge(1, 2)).unwrap();
        graph.add(&other).unwrap();
        graph.remove(&edge(1, 2));
        assert!(graph.add(&edge(2, 1)).is_err(), "one edge is left");
        graph.remove(&other);
        assert!(graph.is_empty());
        graph.add(&edge(2, 1)).unwrap();
    }
}
