//! The sizes and times a reactor works within.

use std::time::Duration;

/// The sizes and times a reactor works within. Every field has a default.
///
/// ```
/// use edgeloop::reactor::ReactorConfig;
///
/// let config = ReactorConfig { output_high_water_bytes: 64 * 1024, ..ReactorConfig::default() };
/// assert!(config.tail_bytes_max > 0);
/// ```
#[derive(Clone, Debug)]
pub struct ReactorConfig {
    /// The most that is read from a socket at once, in bytes. One buffer for all connections.
    pub read_bytes: usize,
    /// The most that is written to a socket at once, in bytes before encryption. One buffer for all
    /// connections.
    pub write_bytes: usize,
    /// Limit on input that a handler leaves unconsumed, in bytes.
    pub tail_bytes_max: usize,
    /// Queued output above which a connection's reads stop, in bytes. They go on below half.
    pub output_high_water_bytes: usize,
    /// Time that output may stay above high water before `stalled` is called: unless the peer took more than that
    /// in that time.
    pub stall_grace: Duration,
    /// Queued output over which a connection is closed if its socket does not take the excess at once, in bytes;
    /// twice that in one callback is refused.
    pub output_bytes_max: usize,
    /// Memory that output of all connections together may take, in bytes: what was queued by reference on any
    /// number of them counts once. Above it nothing is read from a connection that has output queued, `drained`
    /// is waited for from 16 KiB on, and what sockets take no more of leads to the end of the connections
    /// whose output has waited longest. It may be exceeded by half, and by what one callback queues.
    pub output_bytes_max_total: usize,
    /// Input of all connections together that waits for the rest of it, in bytes: what TLS and handlers leave,
    /// also before a handshake is done, and what handlers hold ([`Cx::hold_input`](super::Cx::hold_input)). A
    /// connection that leaves more when there is so much is closed; up to 4 KiB each may always.
    pub input_bytes_max_total: usize,
    /// Limit on the time of a TLS handshake, or of an outbound connection.
    pub handshake_timeout: Duration,
    /// Limit on the time that output waits without the peer taking any of it, or less than the rate below.
    pub send_timeout: Duration,
    /// The least a peer has to take, in bytes per second, in each `send_timeout` that output waits.
    pub send_bytes_per_second_min: u32,
    /// Time to wait after them for the peer's own end, or for more input to drop.
    pub linger_timeout: Duration,
    /// Limit on that time, whatever the peer still sends.
    pub linger_timeout_max: Duration,
    /// Limit on the time of a turn of the loop; the work left is first in the next turn.
    /// It is looked at between callbacks, after sixteen short ones at most: a turn takes longer by what
    /// they take, or by one that takes long itself.
    pub turn_time_max: Duration,
    /// Number of connections each listener accepts in one turn of the loop.
    pub accepts_per_turn: usize,
    /// Pause of accepting when descriptors or memory run out.
    pub accept_pause: Duration,
}

impl Default for ReactorConfig {
    fn default() -> Self {
        Self {
            read_bytes: 64 * 1024,
            write_bytes: 128 * 1024,
            tail_bytes_max: 80 * 1024,
            output_high_water_bytes: 256 * 1024,
            stall_grace: Duration::from_secs(10),
            output_bytes_max: 16 * 1024 * 1024,
            output_bytes_max_total: 512 * 1024 * 1024,
            input_bytes_max_total: 256 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(60),
            send_bytes_per_second_min: 240,
            linger_timeout: Duration::from_secs(5),
            linger_timeout_max: Duration::from_secs(30),
            turn_time_max: Duration::from_millis(5),
            accepts_per_turn: 64,
            accept_pause: Duration::from_millis(100),
        }
    }
}
