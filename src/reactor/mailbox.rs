//! The only door into a running reactor: a queue, and a waker for when the reactor sleeps.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mio::Waker;

use super::ConnId;

/// Posts mail to a reactor, from any thread.
///
/// Cheap to clone. Mail arrives in the order it was posted, one callback for each, ahead
/// of the sockets of the turn it arrives in; of more than a turn has time for, the rest arrives in the
/// next ones. While the reactor is awake, posting costs no system call.
pub struct Mailbox<M> {
    shared: Arc<MailSender<M>>,
}

struct MailSender<M> {
    queues: Mutex<Queues<M>>,
    /// Set while the reactor will look at the queue before it sleeps.
    awake: AtomicBool,
    closed: AtomicBool,
    /// `None` only where nothing ever sleeps: an engine without sockets.
    waker: Option<Waker>,
}

struct Queues<M> {
    /// Mail that goes ahead of all other.
    urgent: VecDeque<AddressedMail<M>>,
    letters: VecDeque<AddressedMail<M>>,
}

/// The reactor's hold on its mailbox: when it goes, whoever posts is told.
pub(crate) struct MailReceiver<M>(pub(crate) Mailbox<M>);

impl<M> Drop for MailReceiver<M> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Mail, and the connection it is for, if it is for one.
pub(crate) type AddressedMail<M> = (Option<ConnId>, M);

/// The reactor has ended: the mail came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Returned<M>(pub M);

impl<M> Mailbox<M> {
    pub(crate) fn new(waker: Option<Waker>) -> Self {
        Self {
            shared: Arc::new(MailSender {
                queues: Mutex::new(Queues {
                    urgent: VecDeque::new(),
                    letters: VecDeque::new(),
                }),
                awake: AtomicBool::new(true),
                closed: AtomicBool::new(false),
                waker,
            }),
        }
    }

    /// Posts mail to the handler: for the connection `to`, or for none in particular.
    ///
    /// Mail for a connection that closes in the meantime still reaches the handler, without the
    /// connection's state.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn send(&self, to: Option<ConnId>, mail: M) -> Result<(), Returned<M>> {
        self.put(mail, |queues, mail| queues.letters.push_back((to, mail)))
    }

    /// Posts mail that arrives in the next turn, ahead of all other mail that waits, however much that is.
    /// For little and for few: a sign of life, for instance.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn send_urgent(&self, to: Option<ConnId>, mail: M) -> Result<(), Returned<M>> {
        self.put(mail, |queues, mail| queues.urgent.push_back((to, mail)))
    }

    fn put(&self, mail: M, put: impl FnOnce(&mut Queues<M>, M)) -> Result<(), Returned<M>> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(Returned(mail));
        }
        put(&mut self.queues(), mail);
        if !self.shared.awake.swap(true, Ordering::AcqRel)
            && let Some(waker) = &self.shared.waker
            && let Err(error) = waker.wake()
        {
            log::error!("cannot wake the reactor: {error}");
        }
        Ok(())
    }

    /// Takes urgent letters, and where `letters` is empty, all others.
    pub(crate) fn collect(
        &self,
        urgent: &mut VecDeque<AddressedMail<M>>,
        letters: &mut VecDeque<AddressedMail<M>>,
    ) {
        let queues = &mut *self.queues();
        urgent.append(&mut queues.urgent);
        if letters.is_empty() {
            std::mem::swap(&mut queues.letters, letters);
        }
    }

    /// Announces that the reactor goes to sleep. `false`: mail came, do not.
    pub(crate) fn sleep(&self) -> bool {
        self.shared.awake.store(false, Ordering::SeqCst);
        let empty = {
            let queues = self.queues();
            queues.letters.is_empty() && queues.urgent.is_empty()
        };
        if !empty {
            self.wake_up();
        }
        empty
    }

    pub(crate) fn wake_up(&self) {
        self.shared.awake.store(true, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Queues<M>> {
        self.shared
            .queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_in_order_and_once() {
        let mailbox = Mailbox::new(None);
        let other = mailbox.clone();
        mailbox.send(None, 1).unwrap();
        other.send(Some(ConnId::new(4, 2)), 2).unwrap();
        let (mut urgent, mut letters) = (VecDeque::new(), VecDeque::new());
        mailbox.collect(&mut urgent, &mut letters);
        assert_eq!(letters, [(None, 1), (Some(ConnId::new(4, 2)), 2)]);
        letters.clear();
        mailbox.collect(&mut urgent, &mut letters);
        assert_eq!(letters, []);
        assert_eq!(urgent, []);
    }

    #[test]
    fn what_was_collected_is_dealt_with_before_more_is_but_for_what_is_urgent() {
        let mailbox = Mailbox::new(None);
        mailbox.send(None, 1).unwrap();
        let (mut urgent, mut letters) = (VecDeque::new(), VecDeque::new());
        mailbox.collect(&mut urgent, &mut letters);
        mailbox.send(None, 2).unwrap();
        for mail in [3, 4] {
            mailbox.send_urgent(None, mail).unwrap();
        }
        mailbox.collect(&mut urgent, &mut letters);
        assert_eq!(letters, [(None, 1)]);
        assert_eq!(urgent, [(None, 3), (None, 4)]);
        letters.clear();
        mailbox.collect(&mut urgent, &mut letters);
        assert_eq!(letters, [(None, 2)]);
    }

    #[test]
    fn the_reactor_does_not_sleep_over_waiting_mail() {
        let mailbox = Mailbox::new(None);
        assert!(mailbox.sleep());
        mailbox.send(None, ()).unwrap();
        assert!(!mailbox.sleep());
        let mailbox = Mailbox::new(None);
        mailbox.send_urgent(None, ()).unwrap();
        assert!(!mailbox.sleep());
    }

    #[test]
    fn mail_to_an_ended_reactor_comes_back() {
        let mailbox = Mailbox::new(None);
        mailbox.close();
        assert_eq!(mailbox.send(None, 5), Err(Returned(5)));
        assert_eq!(mailbox.send_urgent(None, 6), Err(Returned(6)));
    }
}
