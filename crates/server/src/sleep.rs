//! How SLEEP() waits in a real process.

use std::time::Duration;

use tidewater_expr::Sleeper;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Blocks the thread for a slice, after telling the runtime to go on without it where that can be told.
pub struct ThreadSleeper;

impl Sleeper for ThreadSleeper {
    fn sleep(&self, slice: Duration) {
        let many_threads =
            Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        if many_threads { tokio::task::block_in_place(|| block(slice)) } else { block(slice) }
    }
}

fn block(slice: Duration) {
    std::thread::park_timeout(slice);
}
