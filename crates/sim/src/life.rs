//! One run of a process: from its start to its crash.

use tokio::sync::watch;

/// Whether a process still lives. Clones watch the same one.
#[derive(Clone)]
pub(crate) struct Life(watch::Receiver<bool>);

/// Ends a life.
pub(crate) struct Death(watch::Sender<bool>);

impl Life {
    /// A life, and what ends it.
    pub(crate) fn begin() -> (Self, Death) {
        let (sender, receiver) = watch::channel(false);
        (Self(receiver), Death(sender))
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        let mut watched = self.0.clone();
        // An error means that the one who could end it is gone, and that is an end, too.
        let _ = watched.wait_for(|over| *over).await;
    }

    /// Returns if the process lives; what a dead one goes on to do never happens.
    pub(crate) async fn must_live(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}

impl Death {
    pub(crate) fn strike(&self) {
        self.0.send_replace(true);
    }
}
