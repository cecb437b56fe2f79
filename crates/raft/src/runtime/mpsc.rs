//! Tokio's bounded channels, with messages on the heap.
//!
//! Tokio makes room for 32 messages when a channel is made, and `openraft` makes four channels for each group, whose messages are of some
//! hundred bytes: that is most of what a sleeping group would cost. An allocation for each message is cheap beside what the message starts.

use openraft_rt::{Mpsc, MpscReceiver, MpscSender, MpscWeakSender, OptionalSend, SendError, TryRecvError};
use tokio::sync::mpsc;

/// Makes the channels.
#[derive(Debug)]
pub(crate) struct BoxedMpsc;

pub(crate) struct Sender<T>(mpsc::Sender<Box<T>>);
pub(crate) struct Receiver<T>(mpsc::Receiver<Box<T>>);
pub(crate) struct WeakSender<T>(mpsc::WeakSender<Box<T>>);

// Not derived: the messages need not be cloned.
impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Mpsc for BoxedMpsc {
    type Sender<T: OptionalSend> = Sender<T>;
    type Receiver<T: OptionalSend> = Receiver<T>;
    type WeakSender<T: OptionalSend> = WeakSender<T>;

    fn channel<T: OptionalSend>(buffer: usize) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = mpsc::channel(buffer);
        (Sender(sender), Receiver(receiver))
    }
}

impl<T: OptionalSend> MpscSender<BoxedMpsc, T> for Sender<T> {
    async fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.send(Box::new(message)).await.map_err(|unsent| SendError(*unsent.0))
    }

    fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }
}

impl<T: OptionalSend> MpscReceiver<T> for Receiver<T> {
    async fn recv(&mut self) -> Option<T> {
        self.0.recv().await.map(|message| *message)
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.0.try_recv() {
            Ok(message) => Ok(*message),
            Err(mpsc::error::TryRecvError::Empty) => Err(TryRecvError::Empty),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(TryRecvError::Disconnected),
        }
    }
}

impl<T: OptionalSend> MpscWeakSender<BoxedMpsc, T> for WeakSender<T> {
    fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}
