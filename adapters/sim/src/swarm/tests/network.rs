//! What a network does to a group that nothing else befalls.

use super::super::options::{Network, Options};
use super::super::schedule::Schedule;
use super::super::vault::Vault;
use super::calm;
use quorate::replica::Replica;

/// A simulated hour.
const HOUR: u64 = 3_600_000_000;

/// How often a leader was elected in an hour on a network.
fn elections(network: Network, options: Options) -> u64 {
    let mut schedule = Schedule::<Replica<Vault>>::new(1, network.under(options));
    let ran = schedule.run(HOUR, u64::MAX, |_| false);
    assert_eq!(ran, Ok(()));
    let led = schedule.world.leader();
    assert!(led.is_some() && schedule.world.counts.answered > 1_000);
    schedule.world.counts.elections
}

#[test]
fn one_leader_leads_for_an_hour_across_the_world() {
    for members in [3, 5] {
        let options = Options { members, load: 2_000_000, leasing: 0, ..calm() };
        assert_eq!(elections(Network::Wan, options), 1, "{members} members");
    }
}
