//! Room for the sockets of `max_connections`: the limit on descriptors, looked at and raised.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a process opens at times beside those it has at the start and its connections: those over
/// `max_connections` that are told so (64), the readers of metrics (16), files that are looked at.
const SPARE: u64 = 112;

/// Raises the soft limit to the hard one if `max_connections` want that, and warns if it is not enough.
///
/// Called once the listeners are there, so that what is always open is known.
pub(super) fn provide(max_connections: usize) {
    let needed = Needed::by(max_connections);
    let before = getrlimit(Resource::Nofile);
    let now = if needed.fit(before.current) {
        before
    } else {
        raise(before)
    };
    if let Some(warning) = needed.warning(&now) {
        log::warn!("{warning}");
    }
}

/// Warning that [`provide`] would log, with nothing raised.
pub(super) fn shortage(max_connections: usize) -> Option<String> {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    Needed::by(max_connections).warning(&raised)
}

/// Gives the limits as they are then.
fn raise(before: Rlimit) -> Rlimit {
    if before.current == before.maximum {
        return before;
    }
    let raised = Rlimit {
        current: before.maximum,
        ..before
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            let (from, to) = (shown(before.current), shown(raised.current));
            log::info!("raised the limit of open descriptors from {from} to {to}");
            raised
        }
        Err(error) => {
            let error = io::Error::from(error);
            log::warn!("the limit of open descriptors cannot be raised: {error}");
            before
        }
    }
}

struct Needed {
    others: u64,
    connections: u64,
}

impl Needed {
    fn by(max_connections: usize) -> Self {
        let open = fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
        Self {
            others: open + SPARE,
            connections: max_connections as u64,
        }
    }

    fn fit(&self, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| self.others.saturating_add(self.connections) <= limit)
    }

    fn warning(&self, limits: &Rlimit) -> Option<String> {
        let limit = limits.current.filter(|_| !self.fit(limits.current))?;
        let hard = match limits.maximum {
            same if same == limits.current => "the hard limit".to_owned(),
            other => format!("the hard limit is {}", shown(other)),
        };
        Some(format!(
            "this process may open {limit} descriptors ({hard}): that is enough for {} connections, not \
             for max_connections={}; raise the limit (ulimit -n, LimitNOFILE) or lower max_connections",
            limit.saturating_sub(self.others),
            self.connections
        ))
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(current: Option<u64>, maximum: Option<u64>) -> Option<String> {
        let needed = Needed {
            others: 130,
            connections: 1000,
        };
        needed.warning(&Rlimit { current, maximum })
    }

    #[test]
    fn enough_is_not_warned_of() {
        assert_eq!(warning(Some(1130), Some(1130)), None);
        assert_eq!(warning(None, None), None);
    }

    #[test]
    fn too_few_are_told_with_how_many_connections_fit() {
        let told = warning(Some(1129), Some(1129)).unwrap();
        assert!(told.contains("1129 descriptors (the hard limit)"), "{told}");
        assert!(told.contains("enough for 999 connections"), "{told}");
        assert!(told.contains("max_connections=1000;"), "{told}");
        let told = warning(Some(100), None).unwrap();
        assert!(told.contains("(the hard limit is unlimited)"), "{told}");
        assert!(told.contains("enough for 0 connections"), "{told}");
    }
}
