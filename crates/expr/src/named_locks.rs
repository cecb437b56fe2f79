//! The locks of GET_LOCK(): names that one connection at a time may hold, known to all connections of one server.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Which connection holds which name, and how often it asked for it.
#[derive(Debug, Default)]
pub struct NamedLocks {
    held: Mutex<BTreeMap<String, Holder>>,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    connection: u64,
    times: u64,
}

impl NamedLocks {
    /// Takes the lock unless another connection has it. A holder may take it again, and must give it back as often.
    pub fn try_acquire(&self, name: &str, connection: u64) -> bool {
        let mut held = self.held.lock();
        let holder = held.entry(name.to_owned()).or_insert(Holder { connection, times: 0 });
        if holder.connection != connection {
            return false;
        }
        holder.times += 1;
        true
    }

    /// Gives the lock back once: `Some(false)` if another connection has it, `None` if nobody has.
    pub fn release(&self, name: &str, connection: u64) -> Option<bool> {
        let mut held = self.held.lock();
        let holder = held.get_mut(name)?;
        if holder.connection != connection {
            return Some(false);
        }
        holder.times -= 1;
        if holder.times == 0 {
            held.remove(name);
        }
        Some(true)
    }

    /// Gives back all that a connection holds; gives how often it had asked for them.
    pub fn release_all(&self, connection: u64) -> u64 {
        let mut times = 0;
        self.held.lock().retain(|_, holder| {
            let own = holder.connection == connection;
            times += if own { holder.times } else { 0 };
            !own
        });
        times
    }

    /// The connection that has the lock.
    pub fn holder(&self, name: &str) -> Option<u64> {
        self.held.lock().get(name).map(|holder| holder.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_back_as_often_as_it_was_taken() {
        let locks = NamedLocks::default();
        assert!(locks.try_acquire("a", 1) && locks.try_acquire("a", 1));
        assert!(!locks.try_acquire("a", 2));
        assert_eq!(locks.release("a", 2), Some(false));
        assert_eq!(locks.release("a", 1), Some(true));
        assert_eq!(locks.holder("a"), Some(1));
        assert_eq!(locks.release("a", 1), Some(true));
        assert_eq!(locks.release("a", 1), None);
        assert!(locks.try_acquire("a", 2) && locks.try_acquire("b", 2) && locks.try_acquire("b", 2));
        assert_eq!(locks.release_all(2), 3);
        assert_eq!(locks.holder("b"), None);
    }
}
