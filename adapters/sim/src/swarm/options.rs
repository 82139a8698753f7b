//! Everything that may go wrong in a run, and how often: drawn from the seed, each fault in some
//! runs and not in others, for a fault that is always there hides what happens without it (Groce et
//! al., *Swarm Testing*, ISSTA 2012).

use super::hash::fold;
use super::hosted::Setup;
use quorate::limits::{BOARD, Limits};
use quorate::membership::roster;
use quorate::rng::Rng;
use quorate::time::Span;
use std::fmt;

macro_rules! options {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// How a run is set up. All times are in microseconds; what is called a rate is the mean
        /// time from one such fault to the next, and zero if there is none.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        #[allow(missing_docs, reason = "options that belong together are described together")]
        pub struct Options { $($(#[doc = $doc])* pub $name: u64,)* }

        impl fmt::Display for Options {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut before = "";
                $(if self.$name > 0 {
                    write!(f, "{before}{}={}", stringify!($name), self.$name)?;
                    before = " ";
                })*
                Ok(())
            }
        }
    };
}

options! {
    /// Members, and how many of them do not belong to the group at first.
    members, spare,
    /// Clients.
    clients,
    /// The election timeout and the heartbeat.
    timeout, heartbeat,
    /// The limits of the group.
    entries, runs, batch, window, sessions, snapshot, chunk, leases,
    /// How far clocks may be apart.
    max_offset,
    /// Bytes of a file of the log.
    segment,
    /// How long a message takes, and a disk.
    latency, disk,
    /// Everything that is sent takes whole milliseconds, so that things coincide.
    coarse,
    /// How many in a thousand messages are lost, come twice, come again much later; how many of those
    /// between members are damaged. What a client asks comes once at most, and then late.
    lost, twice, replayed, corrupted,
    /// The mean time from one thing that a client does, or a proposal, to the next.
    load,
    /// How many registers and scopes there are.
    keys, scopes,
    /// How many in a hundred of the clients' calls are about leases.
    leasing,
    /// How many in a million steps end with the member's death between two outputs.
    cut,
    /// How many in a thousand of a disk's turns end with a loss of power, a failed sync, a full disk.
    power, unsynced, full,
    /// The rate of crashes, and of losses of power that hit everybody.
    crash, outage,
    /// The rate of partitions in two, one-way cuts, isolations, bridges, flaps, slow links, and of
    /// isolations of several that overlap.
    partition, one_way, isolate, bridge, flap, clog, swizzle,
    /// The rate of pauses of whole members and clients.
    pause,
    /// The rate of disks that are stuck for a while.
    sick,
    /// The rate of changes of civil and of monotonic clocks.
    civil, monotonic,
    /// The rate of requests to step down, to hand leadership over, and to change the configuration.
    step_down, transfer, churn,
    /// Whoever joins is told who founded the group.
    informed,
    /// How far monotonic clocks drift apart at most, in parts of a million, if leaders read by lease.
    drift,
    /// One more than how many entries a new voter may lack, or zero for any number.
    gate,
    /// Idle groups fall silent; the rate at which hosts doubt that a leader lives.
    rests, doubt,
    /// The rate of early and late ticks.
    tick,
    /// How many in a hundred crashes leave a rotten bit, or no disk at all.
    rot, lose,
    /// How many in a hundred crashes leave an empty disk, from which the member starts all the same.
    /// No group can bear that, and no seed draws it: see `Plan::amnesia`.
    amnesia,
    /// How many members have clocks that may be off by more than the offset, if civil clocks change
    /// at all, or none.
    wild, clockless,
    /// More than a minority may be destroyed.
    doom,
    /// The group keeps a roster: the rate of what becomes of it, how many should vote, after how long
    /// a silence a voter is evicted, and how few voters that may leave.
    roster, wanted, evict, least_voters,
    /// The least time that a message takes, and how much longer it may be, where that is not drawn.
    least, jitter,
    /// While the others settle, one member stays half connected; one comes back far behind; and a
    /// leader dies in the midst of a change.
    outsider, lag, interrupt,
}

/// What lies between members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// One building: half a millisecond, give or take, and timeouts of 150.
    Lan,
    /// The world: 40 to 250 milliseconds one way, one message in a hundred lost, timeouts of a second.
    Wan,
}

impl Network {
    const fn timeout(self) -> u64 {
        match self {
            Self::Lan => 150_000,
            Self::Wan => 1_000_000,
        }
    }

    /// These options on such a network.
    pub(super) fn under(self, options: Options) -> Options {
        let (least, jitter, lost) = match self {
            Self::Lan => (100, 900, 0),
            Self::Wan => (40_000, 210_000, 10),
        };
        let (timeout, latency) = (self.timeout(), least + jitter / 2);
        let (lost, heartbeat) = (options.lost.max(lost), timeout / 5);
        Options { timeout, heartbeat, latency, least, jitter, lost, ..options }
    }
}

impl Options {
    /// The options of a seed.
    pub fn of(seed: u64) -> Self {
        Self::on(seed, None)
    }

    /// The options of a seed on a network, if that is not drawn too.
    pub fn on(seed: u64, network: Option<Network>) -> Self {
        let mut rng = Rng::new(fold(seed, &"options"));
        let mut one_of = |choices: &[u64]| choices[rng.below(choices.len() as u64) as usize];
        let timeout = one_of(&[20_000, 50_000, 150_000, 150_000, 300_000, 1_000_000]);
        let timeout = network.map_or(timeout, Network::timeout);
        let entries = one_of(&[16, 24, 32, 64, 64, 200]);
        let max_offset = one_of(&[20_000, 50_000, 250_000, 250_000, 500_000]);
        let members = one_of(&[1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7]);
        let mut options = Self {
            members,
            clients: one_of(&[1, 2, 3, 4, 6]),
            timeout,
            heartbeat: timeout / one_of(&[2, 3, 5, 5, 10]),
            entries,
            runs: one_of(&[4, 4, 8, 16, 16]).min(entries / 2),
            batch: one_of(&[1, 2, 4, 8]),
            window: one_of(&[1, 4, 16, 32]),
            sessions: one_of(&[2, 4, 8, 8]),
            snapshot: 4_096,
            chunk: one_of(&[64, 200, 256, 1_000]),
            leases: one_of(&[2, 4, 8]),
            max_offset,
            segment: one_of(&[1_024, 4_096, 16_384]),
            latency: timeout / one_of(&[400, 100, 100, 40, 15]),
            disk: timeout / one_of(&[1_000, 200, 100, 30]),
            coarse: one_of(&[0, 0, 0, 1]),
            load: timeout / one_of(&[50, 20, 10, 4, 1]),
            keys: one_of(&[1, 2, 4]),
            scopes: one_of(&[1, 1, 2, 4]),
            leasing: one_of(&[0, 20, 50, 80]),
            ..Self::default()
        };
        if let Some(network) = network {
            options = network.under(options);
        }
        // Half of all faults are left out of any one run, and one run in sixteen has none at all.
        let quiet = one_of(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) == 1;
        let mut rate = |choices: &[u64]| {
            let rate = one_of(choices);
            if quiet || one_of(&[0, 1]) == 0 { 0 } else { rate }
        };
        let every = [8 * timeout, 20 * timeout, 60 * timeout, 150 * timeout];
        options.lost = rate(&[2, 10, 50, 150]).max(options.lost);
        options.twice = rate(&[5, 30, 150]);
        options.replayed = rate(&[5, 20, 60]);
        options.corrupted = rate(&[1, 3]);
        options.cut = rate(&[50, 300, 2_000]);
        options.power = rate(&[1, 5, 20]);
        options.unsynced = rate(&[1, 3]);
        options.full = rate(&[1, 3]);
        options.crash = rate(&every);
        options.outage = rate(&every) * 4;
        options.partition = rate(&every);
        options.one_way = rate(&every);
        options.isolate = rate(&every);
        options.bridge = rate(&every);
        options.flap = rate(&every);
        options.clog = rate(&every);
        options.swizzle = rate(&every);
        options.pause = rate(&every);
        options.sick = rate(&every);
        options.civil = rate(&every);
        options.monotonic = rate(&every);
        options.step_down = rate(&every);
        options.transfer = rate(&every);
        options.churn = rate(&[2 * timeout, 5 * timeout, 15 * timeout, 60 * timeout]);
        options.tick = rate(&[timeout / 4, timeout, 10 * timeout]);
        options.drift = rate(&[4_000]);
        options.gate = rate(&[1, 2, 5]);
        options.rests = rate(&[1]);
        options.doubt = rate(&[every[0], every[1]]) * options.rests;
        options.rot = rate(&[5, 30]);
        options.lose = rate(&[2, 10]);
        options.outsider = rate(&[1]);
        options.lag = rate(&[1]);
        if options.lag > 0 {
            // Whoever is sent a snapshot must get it before the log behind it is full again.
            let transfer =
                (options.snapshot / options.chunk + 4) * 6 * (options.latency + options.disk);
            options.load = options.load.max(transfer * 4 / options.entries);
        }
        let minority = members.saturating_sub(1) / 2;
        options.wild = rate(&[0, 1]).min(minority);
        options.clockless = rate(&[0, 0, 1]).min(minority - options.wild);
        options.doom = u64::from(rate(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) == 1 && members > 1);
        if options.churn > 0 {
            options.interrupt = one_of(&[0, 1]);
            options.spare = one_of(&[0, 1, 1, 2, 3]).min(7 - members);
            options.members += options.spare;
            options.informed = one_of(&[0, 1]);
        }
        options.draw_roster(seed);
        options
    }

    /// What a seed draws for groups that keep a roster, which one in three does. By chance of its own: a
    /// machine without a roster goes through what it would without.
    fn draw_roster(&mut self, seed: u64) {
        let mut rng = Rng::new(fold(seed, &"seats"));
        let mut one_of = |choices: &[u64]| choices[rng.below(choices.len() as u64) as usize];
        let timeout = self.timeout;
        self.roster = one_of(&[0, 0, 1]) * timeout * one_of(&[2, 5, 10, 30]);
        if self.roster > 0 {
            self.wanted = one_of(&[7, 7, 5, 3, 3, 2]);
            self.evict = one_of(&[0, 1, 1]) * timeout * one_of(&[25, 40, 80]);
            self.least_voters = one_of(&[1, 1, 2, 3]);
        }
    }

    /// These for a machine that can keep a roster or cannot. With one, whoever has no seat holds nothing,
    /// and nobody changes the configuration by hand. Whose clock is wrong must stay a minority of those
    /// who vote, whoever comes and goes: so nobody's is.
    pub(super) fn with_roster(self, can: bool) -> Self {
        if self.roster == 0 || !can {
            return Self { roster: 0, wanted: 0, evict: 0, least_voters: 0, ..self };
        }
        let founders = (self.members - self.spare).min(5);
        let (spare, informed) = (7 - founders, 1);
        let (churn, interrupt, outsider, wild, clockless) = (0, 0, 0, 0, 0);
        let members = founders + spare;
        Self { members, spare, informed, churn, interrupt, outsider, wild, clockless, ..self }
    }

    /// How the members are set up.
    pub fn setup(&self, seed: u64) -> Setup {
        let limits = Limits {
            members: if self.roster > 0 { self.members as usize } else { 7 },
            runs: self.runs as usize,
            entries: self.entries as usize,
            batch: self.batch as usize,
            window: self.window as usize,
            sessions: self.sessions as usize,
            snapshot: self.snapshot as usize,
            chunk: self.chunk as usize,
            leases: self.leases as usize,
            ..BOARD
        };
        Setup {
            members: self.members as u8,
            founders: (self.members - self.spare) as u8,
            election_timeout: Span::micros(self.timeout),
            heartbeat: Span::micros(self.heartbeat),
            limits,
            max_offset: Span::micros(self.max_offset),
            clock_drift: (self.drift > 0).then_some(self.drift as u32),
            promotion_lag: self.gate.checked_sub(1).map(|lag| lag as u32),
            rests: self.rests > 0,
            informed: self.informed > 0,
            roster: (self.roster > 0).then_some(roster::Config {
                replication_factor: self.wanted as u32,
                evict_after: (self.evict > 0).then_some(Span::micros(self.evict)),
                min_voters: self.least_voters as u32,
            }),
            seed: fold(seed, &"setup"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_its_options_and_prints_them() {
        assert_eq!(Options::of(7), Options::of(7));
        assert_ne!(Options::of(7), Options::of(8));
        assert!(Options::of(7).to_string().starts_with("members="));
    }

    #[test]
    fn each_fault_is_in_some_runs_and_not_in_others() {
        let options: Vec<_> = (0..400).map(Options::of).collect();
        let faults: [fn(&Options) -> u64; 18] = [
            |o| o.lost,
            |o| o.cut,
            |o| o.crash,
            |o| o.rot,
            |o| o.doom,
            |o| o.wild,
            |o| o.clockless,
            |o| o.bridge,
            |o| o.outsider,
            |o| o.lag,
            |o| o.full,
            |o| o.replayed,
            |o| o.churn,
            |o| o.spare,
            |o| o.transfer,
            |o| o.interrupt,
            |o| o.roster,
            |o| o.evict,
        ];
        for (place, fault) in faults.iter().enumerate() {
            assert!(options.iter().any(|o| fault(o) > 0), "fault {place} never is");
            assert!(options.iter().any(|o| fault(o) == 0), "fault {place} always is");
        }
    }

    #[test]
    fn never_is_more_than_a_minority_of_the_clocks_wrong() {
        for options in (0..400).map(Options::of) {
            assert!(2 * (options.wild + options.clockless) < options.members, "{options}");
        }
    }
}
