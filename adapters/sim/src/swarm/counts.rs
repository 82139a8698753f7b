//! How many of each thing happened in a run.

/// How many of each thing happened.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Steps of machines, clients' and holders' among them.
    pub events: u64,
    /// Leaders elected.
    pub elections: u64,
    /// Members that died.
    pub crashes: u64,
    /// Entries committed.
    pub commits: u64,
    /// Syncs of disks.
    pub syncs: u64,
    /// Messages between members.
    pub messages: u64,
    /// Clients' requests that ended with an answer.
    pub answered: u64,
    /// Proposals and reads that no client made: asked, and ended one way or another.
    pub asked: u64,
    /// Of those, how many are over.
    pub ended: u64,
}

impl Counts {
    /// Adds what happened in another run.
    pub const fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.elections += other.elections;
        self.crashes += other.crashes;
        self.commits += other.commits;
        self.syncs += other.syncs;
        self.messages += other.messages;
        self.answered += other.answered;
        self.asked += other.asked;
        self.ended += other.ended;
    }
}
