//! Password hashing, on its own small pool of threads.
//!
//! New hashes are argon2id in PHC string form. Those of the C design, PBKDF2-HMAC-SHA256, are
//! verified and given back as argon2id. A failing check costs the same whoever the user is, so
//! that time does not tell which users exist or whose hash is of which kind.

mod engine;

pub use engine::{Cost, Credential, Verdict};

use super::completion::{Completion, Overloaded, Promise};
use super::limits::ClientNetwork;
use super::queue::{FairQueue, FairWorker, Load, shielded};
use crate::web::priority::stand_back;
use engine::HashEngine;
use std::fmt;
use std::thread::{self, JoinHandle};
use zeroize::Zeroizing;

/// A password as typed. Wiped from memory when dropped, never shown by `Debug`.
pub struct Password(Zeroizing<String>);

impl Password {
    /// The text of the password, for its rules.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password could not be hashed or checked; the reason is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashError {
    /// No random salt, no memory, or the work panicked or was never done.
    Unavailable,
    /// Others have fewer jobs waiting, and there was no room for all.
    Overloaded,
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overloaded => "too many passwords are to be hashed",
            Self::Unavailable => "the password could not be hashed",
        })
    }
}

impl std::error::Error for HashError {}

/// Why a [`HasherPool`] did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// argon2 does not allow these parameters, or they are over this server's own limits.
    BadCost,
    /// A thread could not be started, or none was asked for.
    NoThread,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadCost => "the argon2 parameters are out of range",
            Self::NoThread => "no thread for hashing could be started",
        })
    }
}

impl std::error::Error for StartError {}

/// The threads that hash. Dropping the pool does the jobs already queued, then ends the threads.
#[derive(Debug)]
pub struct HasherPool {
    hasher: Hasher,
    threads: Vec<JoinHandle<()>>,
}

/// A handle to a [`HasherPool`]. No method blocks; an error means the job was refused and its
/// reply dropped uncalled. A job that was taken is answered, whatever happens. Jobs are done in turns of
/// the networks they are for, so that one with many of them does not keep the others waiting.
#[derive(Clone)]
pub struct Hasher {
    queue: FairQueue<HashJob>,
}

impl HasherPool {
    /// Starts `threads` threads, for which at most `jobs_max` jobs may wait.
    ///
    /// Each thread keeps the memory one hash needs (19 MiB with [`Cost::OWASP`]) from its first job
    /// on.
    ///
    /// # Errors
    /// [`StartError`], with no thread left running.
    pub fn start(cost: Cost, threads: usize, jobs_max: usize) -> Result<Self, StartError> {
        let queue = FairQueue::new(jobs_max);
        let mut pool = Self {
            hasher: Hasher {
                queue: queue.clone(),
            },
            threads: Vec::new(),
        };
        for number in 0..threads {
            let engine = HashEngine::new(cost).ok_or(StartError::BadCost)?;
            let worker = queue.worker();
            let thread = thread::Builder::new()
                .name(format!("hasher-{number}"))
                .spawn(move || {
                    stand_back("a hasher");
                    work(&worker, engine)
                })
                .map_err(|_| StartError::NoThread)?;
            pool.threads.push(thread);
        }
        if pool.threads.is_empty() {
            return Err(StartError::NoThread);
        }
        Ok(pool)
    }

    /// Number of threads that suit a machine: all cores but one, at least 1, at most 4.
    #[must_use]
    pub fn threads_for(cores: usize) -> usize {
        cores.saturating_sub(1).clamp(1, 4)
    }

    /// A handle for submitting jobs.
    #[must_use]
    pub fn hasher(&self) -> Hasher {
        self.hasher.clone()
    }

    /// Load of its threads, now and so far.
    pub(super) fn load(&self) -> Load {
        self.hasher.queue.load()
    }

    /// Refuses new jobs, waits for those queued, and ends the threads.
    pub fn close(self) {}
}

impl Drop for HasherPool {
    fn drop(&mut self) {
        self.hasher.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a hashing thread ended by a panic");
            }
        }
    }
}

impl Hasher {
    /// Hashes a new password with argon2id, for somebody in `network`; the answer is a PHC string.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the pool closed.
    pub fn hash(
        &self,
        network: ClientNetwork,
        password: Password,
        reply: Completion<Result<String, HashError>>,
    ) -> Result<(), Overloaded> {
        let promise = Promise::new(reply, || Err(HashError::Unavailable));
        self.submit(network, HashJob::Hash { password, promise })
    }

    /// Checks, for somebody in `network`, a password against what the database has of the user, [`Credential::Absent`] if there
    /// is no such user. `legacy_left`: some user in the database still has a PBKDF2 hash, so a
    /// failing check computes both kinds.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the pool closed.
    pub fn check(
        &self,
        network: ClientNetwork,
        password: Password,
        credential: Credential,
        legacy_left: bool,
        reply: Completion<Result<Verdict, HashError>>,
    ) -> Result<(), Overloaded> {
        let promise = Promise::new(reply, || Err(HashError::Unavailable));
        let job = HashJob::Check {
            password,
            credential,
            legacy_left,
            promise,
        };
        self.submit(network, job)
    }

    fn submit(&self, network: ClientNetwork, job: HashJob) -> Result<(), Overloaded> {
        match self.queue.push_for(network, job) {
            Ok(None) => Ok(()),
            Ok(Some(displaced)) => {
                displaced.reject();
                Ok(())
            }
            Err(job) => {
                job.withdraw();
                Err(Overloaded)
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

enum HashJob {
    Hash {
        password: Password,
        promise: Promise<Result<String, HashError>>,
    },
    Check {
        password: Password,
        credential: Credential,
        legacy_left: bool,
        promise: Promise<Result<Verdict, HashError>>,
    },
}

impl HashJob {
    fn run(self, engine: &mut HashEngine) {
        match self {
            Self::Hash { password, promise } => promise.keep(engine.hash(&password)),
            Self::Check {
                password,
                credential,
                legacy_left,
                promise,
            } => promise.keep(engine.check(&password, &credential, legacy_left)),
        }
    }

    /// Answers that there is no room for it any more.
    fn reject(self) {
        match self {
            Self::Hash { promise, .. } => promise.keep(Err(HashError::Overloaded)),
            Self::Check { promise, .. } => promise.keep(Err(HashError::Overloaded)),
        }
    }

    fn withdraw(self) {
        match self {
            Self::Hash { promise, .. } => promise.withdraw(),
            Self::Check { promise, .. } => promise.withdraw(),
        }
    }
}

fn work(worker: &FairWorker<HashJob>, mut engine: HashEngine) {
    while let Some(job) = worker.take() {
        // An engine carries nothing from one job to the next but memory that is written first.
        shielded("a hashing job", || job.run(&mut engine));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const HERE: ClientNetwork = ClientNetwork::V4(1);
    const SMALL: Cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    /// A pool of one thread that is held inside a reply until the returned sender is dropped.
    fn held_pool(jobs_max: usize) -> (HasherPool, std::sync::mpsc::Sender<()>) {
        let pool = HasherPool::start(SMALL, 1, jobs_max).unwrap();
        let (release, released) = channel::<()>();
        let (entered, inside) = channel();
        let hold = Box::new(move |_| {
            entered.send(()).unwrap();
            released.recv().unwrap_err();
        });
        pool.hasher().hash(HERE, password("hold"), hold).unwrap();
        inside.recv().unwrap();
        (pool, release)
    }

    #[test]
    fn a_hash_made_here_is_right_here() {
        let pool = HasherPool::start(SMALL, 2, 8).unwrap();
        let (tell, told) = channel();
        let reply = Box::new(move |hash| tell.send(hash).unwrap());
        pool.hasher()
            .hash(HERE, password("Abcdef1!"), reply)
            .unwrap();
        let phc = told.recv().unwrap().unwrap();
        let (tell, told) = channel();
        let reply = Box::new(move |verdict| tell.send(verdict).unwrap());
        let credential = Credential::Argon2(phc);
        pool.hasher()
            .check(HERE, password("Abcdef1!"), credential, true, reply)
            .unwrap();
        let right = Verdict::Right { replacement: None };
        assert_eq!(told.recv().unwrap(), Ok(right));
    }

    #[test]
    fn a_full_queue_refuses_without_calling_the_reply() {
        let (pool, release) = held_pool(2);
        let (tell, told) = channel();
        let mut taken = 0;
        for n in 0..5 {
            let tell = tell.clone();
            let reply = Box::new(move |hash: Result<_, _>| tell.send((n, hash.is_ok())).unwrap());
            let hashed = pool
                .hasher()
                .hash(ClientNetwork::V4(n), password("x"), reply);
            taken += u32::from(hashed.is_ok());
        }
        assert_eq!(taken, 2);
        drop((release, tell));
        assert_eq!(told.iter().collect::<Vec<_>>(), [(0, true), (1, true)]);
    }

    #[test]
    fn a_network_with_none_waiting_displaces_one_that_has_many() {
        let (pool, release) = held_pool(4);
        let (tell, told) = channel();
        let hash = |network, n| {
            let tell = tell.clone();
            let reply = Box::new(move |hash: Result<String, _>| {
                tell.send((n, hash.err())).unwrap();
            });
            pool.hasher().hash(network, password("x"), reply)
        };
        let taken = (0..9).filter(|n| hash(HERE, *n).is_ok()).count();
        assert_eq!(taken, 4, "as long as nobody else comes");
        let taken = (10..13)
            .filter(|n| hash(ClientNetwork::V4(2), *n).is_ok())
            .count();
        assert_eq!(taken, 2, "half of it");
        hash(ClientNetwork::V4(3), 20).unwrap();
        for displaced in [3, 2, 11] {
            assert_eq!(told.recv(), Ok((displaced, Some(HashError::Overloaded))));
        }
        assert_eq!(hash(HERE, 4), Err(Overloaded));
        drop((release, tell));
        let done: Vec<_> = told.iter().collect();
        assert_eq!(done, [0, 10, 20, 1].map(|n| (n, None)));
    }

    #[test]
    fn closing_does_what_is_queued_then_refuses() {
        let (pool, release) = held_pool(8);
        let hasher = pool.hasher();
        let (tell, told) = channel();
        for _ in 0..3 {
            let tell = tell.clone();
            let reply = Box::new(move |hash: Result<_, _>| tell.send(hash.is_ok()).unwrap());
            hasher.hash(HERE, password("x"), reply).unwrap();
        }
        drop((release, tell));
        pool.close();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [true; 3]);
        let rejected = hasher.hash(
            HERE,
            password("x"),
            Box::new(|_| panic!("must not be called")),
        );
        assert_eq!(rejected, Err(Overloaded));
    }

    #[test]
    fn a_panicking_reply_does_not_end_the_thread() {
        let pool = HasherPool::start(SMALL, 1, 8).unwrap();
        let hasher = pool.hasher();
        hasher
            .hash(HERE, password("x"), Box::new(|_| panic!("on purpose")))
            .unwrap();
        let (tell, told) = channel();
        let reply = Box::new(move |hash: Result<_, _>| tell.send(hash.is_ok()).unwrap());
        hasher.hash(HERE, password("x"), reply).unwrap();
        assert_eq!(told.recv(), Ok(true));
    }

    #[test]
    fn bad_parameters_do_not_start() {
        let start = |cost, threads| HasherPool::start(cost, threads, 1).err();
        let costs = [(1, 1, 1), (64, 0, 1), (64, 1, 0), (u32::MAX, 1, 1)];
        for (memory_kib, passes, lanes) in costs {
            let cost = Cost {
                memory_kib,
                passes,
                lanes,
            };
            assert_eq!(start(cost, 1), Some(StartError::BadCost), "{cost:?}");
        }
        assert_eq!(start(SMALL, 0), Some(StartError::NoThread));
    }

    #[test]
    fn threads_suit_the_machine() {
        let threads = [0, 1, 2, 4, 5, 64].map(HasherPool::threads_for);
        assert_eq!(threads, [1, 1, 1, 3, 4, 4]);
    }

    #[test]
    fn debug_hides_the_password() {
        assert_eq!(format!("{:?}", password("secret")), "Password(..)");
    }
}
