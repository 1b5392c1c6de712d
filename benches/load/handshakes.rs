//! TLS handshakes, each on a connection of its own.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};

use crate::Load;
use crate::client::{self, Failure, Target, Wire};
use crate::connection::Tally;
use crate::job::Job;
use crate::progress::Progress;
use crate::report::Measured;
use crate::schedule::Schedule;

const READ_BYTES: usize = 32 << 10;
/// Time for which all of those under way may make no progress.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sessions that a lane keeps for later.
const SESSIONS: usize = 8;

/// Lane in which one handshake after the other is made.
struct Lane {
    /// With the sessions of this lane, if they are to be resumed.
    config: Arc<ClientConfig>,
    under_way: Option<Attempt>,
}

struct Attempt {
    wire: Wire,
    due: Instant,
    step: Step,
    response: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Handshake,
    Request,
    Close,
}

pub(crate) struct Handshakes {
    target: Target,
    poll: Poll,
    events: Events,
    lanes: Vec<Lane>,
    schedule: Schedule,
    /// Asked once over each connection.
    job: Option<Job>,
    /// `true` if each handshake has to be resumed, once there are sessions.
    is_resumed: bool,
    connected: usize,
    room: Vec<u8>,
}

impl Handshakes {
    pub(crate) fn start(
        target: &Target,
        connections: usize,
        rate: Option<f64>,
        job: Option<Job>,
        is_resumed: bool,
    ) -> Result<Self, Failure> {
        let shared = target.tls.as_ref().ok_or("the URL is not one with TLS")?;
        let lanes = (0..connections).map(|_| {
            let mut config = ClientConfig::clone(shared);
            if is_resumed {
                config.resumption = Resumption::in_memory_sessions(SESSIONS);
            }
            Lane {
                config: Arc::new(config),
                under_way: None,
            }
        });
        let mut this = Self {
            target: target.clone(),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            lanes: lanes.collect(),
            schedule: Schedule::new(connections, 1, rate),
            job,
            is_resumed: false,
            connected: 0,
            room: vec![0; READ_BYTES],
        };
        if is_resumed {
            this.make_sessions()?;
            this.is_resumed = true;
        }
        Ok(this)
    }

    /// One full handshake in each lane.
    fn make_sessions(&mut self) -> Result<(), Failure> {
        let mut tally = Tally::new()?;
        let start = Instant::now();
        for index in 0..self.lanes.len() {
            self.begin(index, start)?;
        }
        while tally.responded < self.lanes.len() {
            self.turn(Duration::from_secs(1), &mut tally)?;
            if start.elapsed() > PATIENCE {
                return Err("the first handshakes take too long".into());
            }
        }
        Ok(())
    }

    fn begin(&mut self, index: usize, due: Instant) -> Result<(), Failure> {
        let lane = self.lanes.get_mut(index).ok_or("no such lane")?;
        let mut wire = self
            .target
            .connect_with(self.connected, Some(&lane.config))?;
        self.connected += 1;
        self.poll.registry().register(
            &mut wire.socket,
            Token(index),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        lane.under_way = Some(Attempt {
            wire,
            due,
            step: Step::Handshake,
            response: Vec::new(),
        });
        Ok(())
    }

    /// Begins what is due.
    fn begin_due(&mut self) -> Result<(), Failure> {
        while let Some((index, due)) = self.schedule.next(Instant::now()) {
            self.begin(index, due)?;
        }
        Ok(())
    }

    /// Waits for something to come, and goes on with it.
    fn turn(&mut self, patience: Duration, tally: &mut Tally) -> Result<Vec<usize>, Failure> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Vec::new()),
            polled => polled?,
        }
        let mut done = Vec::new();
        for event in &self.events {
            let Token(index) = event.token();
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            let Some(attempt) = &mut lane.under_way else {
                continue;
            };
            if !attempt.go_on(self.job.as_ref(), self.is_resumed, &mut self.room)? {
                continue;
            }
            tally.end(attempt.due, Instant::now());
            tally.responded += 1;
            lane.under_way = None;
            done.push(index);
        }
        Ok(done)
    }
}

impl Attempt {
    /// `true` when it is done with.
    fn go_on(
        &mut self,
        job: Option<&Job>,
        is_resumed: bool,
        room: &mut [u8],
    ) -> Result<bool, Failure> {
        loop {
            let before = self.step;
            self.wire.flush()?;
            if self.step == Step::Handshake && self.wire.is_ready() {
                self.check(is_resumed)?;
                self.step = match job {
                    None => self.close()?,
                    Some(job) => {
                        self.wire.send(job.request())?;
                        Step::Request
                    }
                };
            }
            let response = &mut self.response;
            let progress = self.wire.receive(room, |plain| {
                response.extend_from_slice(plain);
                Ok(())
            })?;
            if let (Step::Request, Some(job)) = (self.step, job)
                && let Some(head) = job.respond(&self.response)?
                && (self.response.len() - head.head_bytes) as u64 >= head.content_bytes
            {
                self.step = self.close()?;
            }
            match progress {
                client::Progress::Closed if self.step == Step::Close => return Ok(true),
                client::Progress::Closed => return Err("the server closed too early".into()),
                client::Progress::Drained if self.step == before && !self.is_ahead() => {
                    return Ok(false);
                }
                client::Progress::Drained | client::Progress::Short | client::Progress::More => {}
            }
        }
    }

    /// The handshake is made, and nobody has looked yet.
    fn is_ahead(&self) -> bool {
        self.step == Step::Handshake && self.wire.is_ready()
    }

    fn check(&self, is_resumed: bool) -> Result<(), Failure> {
        match (self.wire.handshake_kind(), is_resumed) {
            (Some(HandshakeKind::Resumed), true) | (Some(HandshakeKind::Full), false) => Ok(()),
            (kind, true) => {
                Err(format!("not resumed, but {kind:?}: does the server give tickets?").into())
            }
            (kind, false) => Err(format!("no full handshake, but {kind:?}").into()),
        }
    }

    /// Also for TCP: some do not look for what came along with the end of the handshake.
    ///
    /// Sockets are left in TIME_WAIT, from which Linux takes ports again after a second on the
    /// loopback interface.
    fn close(&mut self) -> Result<Step, Failure> {
        self.wire.send_close_notify()?;
        self.wire.socket.shutdown(Shutdown::Write)?;
        Ok(Step::Close)
    }
}

impl Load for Handshakes {
    fn run(&mut self, duration: Duration, progress: &mut Progress) -> Result<Measured, Failure> {
        let mut tally = Tally::new()?;
        let start = Instant::now();
        let (mut seen, mut last) = (0, start);
        self.schedule.start(start, duration);
        loop {
            self.begin_due()?;
            let now = Instant::now();
            if self.schedule.is_over(now, &mut tally) {
                break;
            }
            for index in self.turn(self.schedule.patience(), &mut tally)? {
                self.schedule.free(index);
            }
            if tally.responded != seen || !self.schedule.is_busy() {
                (seen, last) = (tally.responded, now);
            } else if now.saturating_duration_since(last) > PATIENCE {
                return Err("no handshake has ended for ten seconds".into());
            }
            progress.tick(|| format!("{} handshakes", tally.responded));
        }
        Measured::new(start.elapsed(), tally.responded as f64, tally)
    }
}
