//! Completion of work on other threads: a boxed closure, called exactly once.

use std::fmt;

/// Callback for a result. It is called on a worker's thread, once, and must not block: the server's
/// replies post mail to the loop.
pub type Completion<T> = Box<dyn FnOnce(T) + Send>;

/// A queue had no room, or its workers are gone. Nothing was done and the reply was not called:
/// the client is told 503 at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server is overloaded, try again later")
    }
}

impl std::error::Error for Overloaded {}

/// A reply that is owed: when it is dropped unkept, whatever the way, it answers `otherwise`.
/// A panic or a refused job further down therefore never leaves a client waiting.
pub(super) struct Promise<T> {
    reply: Option<Completion<T>>,
    otherwise: fn() -> T,
}

impl<T> Promise<T> {
    pub(super) fn new(reply: Completion<T>, otherwise: fn() -> T) -> Self {
        Self {
            reply: Some(reply),
            otherwise,
        }
    }

    pub(super) fn keep(mut self, response: T) {
        if let Some(reply) = self.reply.take() {
            reply(response);
        }
    }

    /// The same reply, owed with another answer for when it is dropped.
    pub(super) fn or(mut self, otherwise: fn() -> T) -> Self {
        self.otherwise = otherwise;
        self
    }

    /// Drops the reply uncalled: the caller says it another way.
    pub(super) fn withdraw(mut self) {
        self.reply = None;
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            reply((self.otherwise)());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    fn promise() -> (Promise<u8>, Receiver<u8>) {
        let (tell, told) = channel();
        let reply = Box::new(move |response| tell.send(response).unwrap());
        (Promise::new(reply, || 0), told)
    }

    #[test]
    fn a_kept_promise_answers_once() {
        let (promise, told) = promise();
        promise.keep(7);
        assert_eq!(told.iter().collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn a_dropped_promise_answers_otherwise() {
        let (promise, told) = promise();
        drop(promise);
        assert_eq!(told.iter().collect::<Vec<_>>(), [0]);
        let (promise, told) = self::promise();
        drop(promise.or(|| 9));
        assert_eq!(told.iter().collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn a_withdrawn_promise_says_nothing() {
        let (promise, told) = promise();
        promise.withdraw();
        assert_eq!(told.iter().count(), 0);
    }

    #[test]
    fn a_panic_keeps_the_promise_otherwise() {
        let (promise, told) = promise();
        std::thread::spawn(move || {
            let _owed = promise;
            panic!("on purpose");
        })
        .join()
        .unwrap_err();
        assert_eq!(told.iter().collect::<Vec<_>>(), [0]);
    }
}
