use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn limit(result: Result<(), Refused>) -> Option<Limit> {
    result.err().map(|rejected| rejected.limit)
}

#[test]
fn connections_are_counted_per_address_and_64_network() {
    let mut addresses = Addresses::new(Rates {
        connections_max: 2,
        ..Rates::default()
    });
    assert_eq!(limit(addresses.admit_connection(ip("10.0.0.1"), 0)), None);
    assert_eq!(
        limit(addresses.admit_connection(ip("::ffff:10.0.0.1"), 0)),
        None
    );
    assert_eq!(
        limit(addresses.admit_connection(ip("10.0.0.1"), 0)),
        Some(Limit::Connections)
    );
    assert_eq!(limit(addresses.admit_connection(ip("10.0.0.2"), 0)), None);

    assert_eq!(
        limit(addresses.admit_connection(ip("2001:db8::1"), 0)),
        None
    );
    assert_eq!(
        limit(addresses.admit_connection(ip("2001:db8::ffff:1"), 0)),
        None
    );
    assert_eq!(
        limit(addresses.admit_connection(ip("2001:db8::7"), 0)),
        Some(Limit::Connections)
    );
    assert_eq!(
        limit(addresses.admit_connection(ip("2001:db8:0:1::1"), 0)),
        None
    );

    addresses.release_connection(ip("2001:db8::1"));
    assert_eq!(
        limit(addresses.admit_connection(ip("2001:db8::7"), 0)),
        None
    );
    assert_eq!(addresses.connections(ip("2001:db8::")), 2);
}

#[test]
fn a_refused_handshake_is_no_connection() {
    let rates = Rates {
        handshakes_per_second: 1,
        ..Rates::default()
    };
    let mut addresses = Addresses::new(rates);
    let peer = ip("192.0.2.1");
    assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
    assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
    let rejected = addresses.admit_connection(peer, 0).unwrap_err();
    assert_eq!(
        rejected,
        Refused {
            limit: Limit::Handshakes,
            retry_after_s: 1
        }
    );
    assert_eq!(rejected.limit.key(), "handshakes_per_second_per_ip");
    assert_eq!(
        rejected.to_string(),
        "handshakes_per_second_per_ip is reached, try again in 1 s"
    );
    assert_eq!(addresses.connections(peer), 2);
    assert_eq!(addresses.admit_connection(peer, 1000), Ok(()));
}

#[test]
fn a_reconnect_does_not_refill_the_buckets() {
    let rates = Rates {
        handshakes_per_second: 1,
        requests_per_second: 1,
        ..Rates::default()
    };
    let mut addresses = Addresses::new(rates);
    let peer = ip("192.0.2.1");
    for _ in 0..2 {
        assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
        assert_eq!(addresses.admit_request(peer, 0), Ok(()));
        addresses.release_connection(peer);
    }
    assert_eq!(
        limit(addresses.admit_connection(peer, 0)),
        Some(Limit::Handshakes)
    );
    assert_eq!(
        limit(addresses.admit_request(peer, 0)),
        Some(Limit::Requests)
    );
}

#[test]
fn rates_change_live_both_ways() {
    let mut addresses = Addresses::new(Rates::default());
    let peer = ip("192.0.2.1");
    for _ in 0..5 {
        assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
    }
    addresses.set_rates(Rates {
        connections_max: 3,
        ..Rates::default()
    });
    assert_eq!(
        limit(addresses.admit_connection(peer, 0)),
        Some(Limit::Connections)
    );
    for _ in 0..3 {
        addresses.release_connection(peer);
    }
    assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
    addresses.set_rates(Rates::default());
    assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
    assert_eq!(addresses.connections(peer), 4);
}

fn logins(max: u32) -> Addresses {
    Addresses::new(Rates {
        failed_logins_per_minute: max,
        ..Rates::default()
    })
}

#[test]
fn failed_logins_of_an_address_add_up_over_accounts() {
    let mut addresses = logins(3);
    for account in ["ann", "bob", "cid"] {
        assert!(addresses.admit_login(ip("192.0.2.1"), account, 0).is_ok());
        addresses.settle_login(ip("192.0.2.1"), account, LoginOutcome::Failed, 0);
    }
    let rejected = addresses
        .admit_login(ip("192.0.2.1"), "dan", 20_000)
        .unwrap_err();
    assert_eq!(
        rejected,
        Refused {
            limit: Limit::Logins,
            retry_after_s: 40
        }
    );
    for (peer, now_ms) in [("192.0.2.2", 20_000), ("192.0.2.1", 60_000)] {
        assert!(addresses.admit_login(ip(peer), "dan", now_ms).is_ok());
    }
}

#[test]
fn an_address_that_goes_on_failing_waits_longer() {
    let mut addresses = logins(2);
    let peer = ip("192.0.2.1");
    let mut now_ms = 0;
    for retry_after_s in [60, 120, 240, 480, 900, 900] {
        for _ in 0..2 {
            assert_eq!(addresses.admit_login(peer, "ann", now_ms), Ok(0));
            addresses.settle_login(peer, "ann", LoginOutcome::Failed, now_ms);
        }
        let rejected = addresses.admit_login(peer, "bob", now_ms).unwrap_err();
        assert_eq!(rejected.retry_after_s, retry_after_s);
        now_ms += u64::from(retry_after_s) * 1000;
    }
}

#[test]
fn failures_the_store_could_not_count_add_up_over_addresses() {
    let mut addresses = logins(3);
    let end = |addresses: &mut Addresses, outcome| {
        for last in 1..=3 {
            let peer = IpAddr::from(Ipv4Addr::new(192, 0, 2, last));
            assert_eq!(addresses.admit_login(peer, "ann", 0), Ok(0));
            addresses.settle_login(peer, "ann", outcome, 0);
        }
    };
    end(&mut addresses, LoginOutcome::FailedUncounted);
    let (peer, mut rejected) = (ip("192.0.2.9"), 0);
    for (account, now_ms) in [("ann", 59_999), ("Ann", 59_999), ("ann", 60_000)] {
        let admitted = addresses.admit_login(peer, account, now_ms);
        rejected += u32::from(admitted.is_err());
    }
    assert_eq!(rejected, 1);
    let mut addresses = logins(3);
    end(&mut addresses, LoginOutcome::Failed);
    assert_eq!(addresses.admit_login(peer, "ann", 0), Ok(0));
}

#[test]
fn logins_that_did_not_fail_do_not_count() {
    let mut addresses = logins(2);
    for _ in 0..100 {
        assert_eq!(addresses.admit_login(ip("192.0.2.1"), "ann", 0), Ok(0));
        addresses.settle_login(ip("192.0.2.1"), "ann", LoginOutcome::NotFailed, 0);
    }
    assert!(addresses.in_flight.is_empty());
}

#[test]
fn guesses_sent_all_at_once_do_not_slip_through() {
    let mut addresses = logins(10);
    let admitted: Vec<_> = (0..100)
        .filter_map(|_| addresses.admit_login(ip("192.0.2.1"), "ann", 0).ok())
        .collect();
    assert_eq!(admitted, (0..10).collect::<Vec<_>>());
    // The others are for the store to judge, which is told of those.
    assert_eq!(addresses.admit_login(ip("192.0.2.2"), "ann", 0), Ok(10));
    let rejected = addresses.admit_login(ip("192.0.2.1"), "bob", 0);
    assert_eq!(rejected.unwrap_err().retry_after_s, 1);
}

#[test]
fn guesses_at_many_accounts_sent_all_at_once_do_not_slip_through() {
    let mut addresses = logins(10);
    let peer = ip("192.0.2.1");
    let accounts: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let admitted = |addresses: &mut Addresses, now_ms| -> Vec<String> {
        let names = accounts.iter().cloned();
        names
            .filter(|name| addresses.admit_login(peer, name, now_ms).is_ok())
            .collect()
    };
    // Those that are right make room for others at once.
    let first = admitted(&mut addresses, 0);
    assert_eq!(first.len(), 10);
    for (index, name) in first.iter().enumerate() {
        let outcome = match index {
            0..6 => LoginOutcome::NotFailed,
            _ => LoginOutcome::Failed,
        };
        addresses.settle_login(peer, name, outcome, 0);
    }
    let second = admitted(&mut addresses, 1000);
    assert_eq!(second.len(), 6);
    for name in &second {
        addresses.settle_login(peer, name, LoginOutcome::Failed, 1000);
    }
    assert!(admitted(&mut addresses, 59_999).is_empty());
    assert!(addresses.in_flight.is_empty());
}

#[test]
fn logins_of_an_address_count_whatever_comes_of_them() {
    let rates = Rates {
        logins_per_minute: 3,
        ..Rates::default()
    };
    let mut addresses = Addresses::new(rates);
    let peer = ip("192.0.2.1");
    for _ in 0..100 {
        assert_eq!(addresses.admit_login(peer, "ann", 0), Ok(0));
        addresses.settle_login(peer, "ann", LoginOutcome::NotTried, 0);
    }
    for outcome in [LoginOutcome::NotFailed, LoginOutcome::Failed] {
        assert_eq!(addresses.admit_login(peer, "ann", 0), Ok(0));
        addresses.settle_login(peer, "ann", outcome, 0);
    }
    assert_eq!(addresses.admit_login(peer, "ann", 0), Ok(0));
    let rejected = addresses.admit_login(peer, "bob", 20_000).unwrap_err();
    assert_eq!(
        (rejected.limit, rejected.retry_after_s),
        (Limit::Attempts, 40)
    );
    assert_eq!(addresses.admit_login(ip("192.0.2.2"), "bob", 0), Ok(0));
    let counts = let_in(&mut Addresses::new(rates), |addresses, ip| {
        addresses.admit_login(ip, "ann", 0).is_ok()
    });
    assert_eq!(counts, [3, 9, 36]);
}

#[test]
fn registrations_count_that_cost_a_hash() {
    let mut addresses = Addresses::new(Rates {
        registrations_per_minute: 2,
        ..Rates::default()
    });
    let peer = ip("2001:db8::1");
    for _ in 0..5 {
        assert_eq!(addresses.admit_registration(peer, 0), Ok(()));
        addresses.forgo_registration(peer, 0);
    }
    assert_eq!(addresses.admit_registration(peer, 0), Ok(()));
    assert_eq!(addresses.admit_registration(ip("2001:db8::2"), 0), Ok(()));
    let rejected = addresses.admit_registration(peer, 20_000).unwrap_err();
    assert_eq!(
        (rejected.limit, rejected.retry_after_s),
        (Limit::Registrations, 40)
    );
    let neighbour = ip("2001:db8:0:1::1");
    assert_eq!(addresses.admit_registration(neighbour, 20_000), Ok(()));
    assert_eq!(addresses.admit_registration(peer, 60_000), Ok(()));
    addresses.set_rates(Rates::default());
    for _ in 0..5 {
        assert_eq!(addresses.admit_registration(peer, 60_000), Ok(()));
    }
}

#[test]
fn what_is_asked_for_counts_until_it_is_known_to_be_free() {
    let mut addresses = Addresses::new(Rates {
        conflicts_per_minute: 2,
        ..Rates::default()
    });
    let peer = ip("2001:db8::1");
    for _ in 0..5 {
        assert_eq!(addresses.admit_conflict(peer, 0), Ok(()));
        addresses.forgo_conflict(peer, 0);
    }
    assert_eq!(addresses.admit_conflict(peer, 0), Ok(()));
    assert_eq!(addresses.admit_conflict(ip("2001:db8::2"), 0), Ok(()));
    let rejected = addresses.admit_conflict(peer, 20_000).unwrap_err();
    assert_eq!(
        (rejected.limit, rejected.retry_after_s),
        (Limit::Conflicts, 40)
    );
    assert_eq!(addresses.admit_registration(peer, 20_000), Ok(()));
    let neighbour = ip("2001:db8:0:1::1");
    assert_eq!(addresses.admit_conflict(neighbour, 20_000), Ok(()));
    assert_eq!(addresses.admit_conflict(peer, 60_000), Ok(()));
}

#[test]
fn a_flood_of_addresses_and_accounts_stays_within_the_caps() {
    let rates = Rates {
        connections_max: 100,
        handshakes_per_second: 1,
        requests_per_second: 1,
        failed_logins_per_minute: 1,
        logins_per_minute: 1,
        registrations_per_minute: 1,
        conflicts_per_minute: 1,
    };
    let mut addresses = Addresses::with_capacity(rates, 64, 32);
    let steady = ip("198.51.100.1");
    assert_eq!(addresses.admit_connection(steady, 0), Ok(()));
    for n in 0..10_000_u32 {
        let peer = IpAddr::from(Ipv6Addr::from_bits(u128::from(n) << 80));
        let name = n.to_string();
        assert_eq!(
            addresses.admit_connection(peer, 0),
            Ok(()),
            "nobody is refused for the cap"
        );
        assert_eq!(addresses.admit_login(peer, &name, 0), Ok(0));
        addresses.settle_login(peer, &name, LoginOutcome::FailedUncounted, 0);
        assert_eq!(addresses.admit_registration(peer, 0), Ok(()));
        addresses.release_connection(peer);
        for table in &addresses.peers {
            assert!(table.len() <= 65);
        }
        assert!(addresses.accounts.len() <= 32);
    }
    assert_eq!(addresses.connections(steady), 1);
    for table in &addresses.peers {
        table.assert_sound();
    }
}

/// An address of a subnet of 2001:db8:NET::/48.
fn ip_of_48(net: u16, subnet: u16, host: u64) -> IpAddr {
    let bits = 0x2001_0db8_u128 << 96 | u128::from(net) << 80 | u128::from(subnet) << 64;
    Ipv6Addr::from_bits(bits | u128::from(host)).into()
}

/// Number of the first addresses of as many subnets that are admitted, until one is not.
fn let_in(addresses: &mut Addresses, admit: fn(&mut Addresses, IpAddr) -> bool) -> [usize; 3] {
    let mut count = |subnets: &mut dyn Iterator<Item = u16>| {
        let mut count = 0;
        for subnet in subnets {
            for host in 0..1000 {
                if !admit(addresses, ip_of_48(1, subnet, host)) {
                    break;
                }
                count += 1;
            }
        }
        count
    };
    // One /64, all others of its /56, all others of its /48.
    let counts = [
        count(&mut std::iter::once(0)),
        count(&mut (1..256)),
        count(&mut (256..=u16::MAX).step_by(16)),
    ];
    assert!(admit(addresses, ip_of_48(2, 0, 0)), "another /48");
    counts
}

#[test]
fn the_networks_around_a_64_have_larger_limits_of_their_own() {
    let rates = Rates {
        connections_max: 3,
        ..Rates::default()
    };
    let connect = |addresses: &mut Addresses, ip| addresses.admit_connection(ip, 0).is_ok();
    let counts = let_in(&mut Addresses::new(rates), connect);
    assert_eq!(counts, [3, 9, 36]);

    let rates = Rates {
        handshakes_per_second: 2,
        requests_per_second: 3,
        registrations_per_minute: 5,
        ..Rates::default()
    };
    let counts = let_in(&mut Addresses::new(rates), connect);
    assert_eq!(counts, [4, 12, 48]);
    let counts = let_in(&mut Addresses::new(rates), |addresses, ip| {
        addresses.admit_request(ip, 0).is_ok()
    });
    assert_eq!(counts, [6, 18, 72]);
    let counts = let_in(&mut Addresses::new(rates), |addresses, ip| {
        addresses.admit_registration(ip, 0).is_ok()
    });
    assert_eq!(counts, [5, 15, 60]);

    // One account after the other, so that none of them is the reason.
    let counts = let_in(&mut logins(10), |addresses, ip| {
        let account = ip.to_string();
        let is_admitted = addresses.admit_login(ip, &account, 0).is_ok();
        if is_admitted {
            addresses.settle_login(ip, &account, LoginOutcome::Failed, 0);
        }
        is_admitted
    });
    assert_eq!(counts, [10, 30, 120]);
    // And one account from all of them at once.
    let counts = let_in(&mut logins(10), |addresses, ip| {
        addresses.admit_login(ip, "ann", 0).is_ok()
    });
    assert_eq!(counts, [10, 30, 120]);
}

#[test]
fn what_one_level_refuses_counts_at_none() {
    let rates = Rates {
        connections_max: 1,
        registrations_per_minute: 1,
        ..Rates::default()
    };
    let mut addresses = Addresses::new(rates);
    let one = ip_of_48(1, 0, 0);
    assert_eq!(addresses.admit_connection(one, 0), Ok(()));
    assert_eq!(addresses.admit_registration(one, 0), Ok(()));
    for _ in 0..1000 {
        assert!(addresses.admit_connection(one, 0).is_err());
        assert!(addresses.admit_registration(one, 0).is_err());
    }
    // Its neighbours have what is left of four.
    for subnet in 1..4 {
        let neighbour = ip_of_48(1, subnet, 0);
        assert_eq!(addresses.admit_connection(neighbour, 0), Ok(()));
        assert_eq!(addresses.admit_registration(neighbour, 0), Ok(()));
    }
    // A fifth is refused by the /56, and its /64 has nothing to pay.
    let fifth = ip_of_48(1, 4, 0);
    assert!(addresses.admit_connection(fifth, 0).is_err());
    assert!(addresses.admit_registration(fifth, 0).is_err());
    assert_eq!(addresses.connections(fifth), 0);
    addresses.release_connection(one);
    addresses.forgo_registration(one, 0);
    assert_eq!(addresses.admit_connection(fifth, 0), Ok(()));
    assert_eq!(addresses.admit_registration(fifth, 0), Ok(()));
    for subnet in 1..5 {
        addresses.release_connection(ip_of_48(1, subnet, 0));
    }
    for table in &addresses.peers {
        table.assert_sound();
        assert!(table.entries().all(|peer| peer.connections == 0));
    }
}

#[test]
fn a_flood_of_64_networks_does_not_make_their_48_forgotten() {
    let rates = Rates {
        registrations_per_minute: 1,
        ..Rates::default()
    };
    let mut addresses = Addresses::with_capacity(rates, 64, 32);
    let mut registered = 0;
    for subnet in 0..=u16::MAX {
        let ip = ip_of_48(1, subnet, 0);
        registered += usize::from(addresses.admit_registration(ip, 0).is_ok());
        assert!(addresses.peers.iter().all(|table| table.len() <= 64));
    }
    assert_eq!(registered, 16);
}

#[test]
fn connections_of_a_proxy_count_for_nobody() {
    let mut addresses = Addresses::new(Rates {
        connections_max: 1,
        ..Rates::default()
    });
    let (proxy, neighbour) = (ip_of_48(1, 0, 1), ip_of_48(1, 0, 2));
    for _ in 0..100 {
        addresses.count_connection(proxy);
    }
    assert_eq!(addresses.admit_connection(neighbour, 0), Ok(()));
    for _ in 0..100 {
        addresses.release_connection(proxy);
    }
    assert!(addresses.exempt.is_empty());
    assert_eq!(addresses.connections(neighbour), 1);
}

#[derive(Clone, Copy, Debug)]
enum AddressAction {
    Connect(u8),
    Release(u8),
    Request(u8),
    Fail(u8),
    Wait(u16),
}

fn act() -> impl Strategy<Value = AddressAction> {
    prop_oneof![
        (0_u8..40).prop_map(AddressAction::Connect),
        (0_u8..40).prop_map(AddressAction::Release),
        (0_u8..40).prop_map(AddressAction::Request),
        (0_u8..40).prop_map(AddressAction::Fail),
        (0_u16..3000).prop_map(AddressAction::Wait),
    ]
}

proptest! {
    #[test]
    fn counts_equal_what_is_open_and_the_table_is_bounded(
        acts in prop::collection::vec(act(), 1..200),
    ) {
        let rates = Rates {
            connections_max: 3,
            handshakes_per_second: 2,
            requests_per_second: 2,
            failed_logins_per_minute: 2,
            logins_per_minute: 3,
            registrations_per_minute: 2,
            conflicts_per_minute: 1,
        };
        let mut addresses = Addresses::with_capacity(rates, 8, 8);
        let mut open: HashMap<u8, u32> = HashMap::new();
        let mut now_ms = 0;
        // Half of them of IPv6, with a /56 each.
        let peer = |n: u8| match n % 2 {
            0 => IpAddr::from(Ipv4Addr::new(10, 0, 0, n)),
            _ => ip_of_48(n.into(), 0, 0),
        };
        for act in acts {
            match act {
                AddressAction::Connect(n) => if addresses.admit_connection(peer(n), now_ms).is_ok() {
                    *open.entry(n).or_default() += 1;
                },
                AddressAction::Release(n) => if let Some(count) = open.get_mut(&n).filter(|count| **count > 0) {
                    *count -= 1;
                    addresses.release_connection(peer(n));
                },
                AddressAction::Request(n) => drop(addresses.admit_request(peer(n), now_ms)),
                AddressAction::Fail(n) => if addresses.admit_login(peer(n), &n.to_string(), now_ms).is_ok() {
                    addresses.settle_login(peer(n), &n.to_string(), LoginOutcome::FailedUncounted, now_ms);
                },
                AddressAction::Wait(ms) => now_ms += u64::from(ms),
            }
            for (n, count) in &open {
                prop_assert_eq!(addresses.connections(peer(*n)), *count);
                prop_assert!(*count <= 3);
            }
            addresses.accounts.assert_sound();
            for (table, level) in addresses.peers.iter().zip(Level::ALL) {
                let open = open.iter().filter(|(n, count)| {
                    **count > 0 && ClientNetwork::of(peer(**n)).at(level).is_some()
                });
                table.assert_sound();
                prop_assert!(table.len() <= open.clone().count() + 8);
                let counted: u32 = table.entries().map(|peer| peer.connections).sum();
                prop_assert_eq!(counted, open.map(|(_, count)| count).sum::<u32>());
            }
        }
    }
}
