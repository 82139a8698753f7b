//! What must hold, as the papers say it and not as the machine does it (Ongaro and Ousterhout 2014,
//! figure 3; Ongaro's dissertation 3.6 and 3.8).
//!
//! The laws know nothing of the machine's inside. They see each member's term, log and disk, every
//! letter ever sent, and what was ever known to be committed.

use super::member::Letter;
use crate::explore::Broken;
use quorate::id::{Members, Slot};
use quorate::raft::{Configuration, Configured, Message, Output};

/// No log of a model grows longer.
pub const MOST_ENTRIES: usize = 8;

/// The term of each entry; zero above the last.
pub type Terms = [u8; MOST_ENTRIES];

/// A member as the laws see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Its slot.
    pub me: u8,
    /// Its term.
    pub term: u8,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it has stopped because its state contradicts itself.
    pub stopped: bool,
    /// Up to where it knows entries to be committed.
    pub commit: u8,
    /// Its log, in memory.
    pub log: Terms,
    /// The term and vote on its disk.
    pub ballot: (u8, Option<u8>),
    /// The log on its disk.
    pub durable: Terms,
    /// The configuration that it goes by.
    pub changed: InForce,
}

/// The newest configuration of a log, and where the one before it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InForce {
    /// The newest, and where its entry stands: zero for the one that the group was founded with.
    pub newest: Configuration,
    /// Where its entry stands.
    pub at: u8,
    /// The one before, and where its entry stands.
    pub previous: Configuration,
    /// Where its entry stands.
    pub previous_at: u8,
}

impl InForce {
    /// Of a log's configurations, from the newest on.
    pub fn of<'a>(mut newest_first: impl Iterator<Item = &'a Configured>) -> Self {
        let mut next = || newest_first.next().map(|it| (it.configuration, it.at.number() as u8));
        let (newest, at) = next().unwrap_or_default();
        let (previous, previous_at) = next().unwrap_or((newest, at));
        Self { newest, at, previous, previous_at }
    }
}

/// Whether these are a majority of each half of a configuration; who learns does not count.
fn is_quorum(configuration: &Configuration, these: Members) -> bool {
    let is_most = |half: Members| 2 * half.shared(these).len() > half.len();
    let (voters, outgoing) = (configuration.voters(), configuration.outgoing());
    is_most(voters) && (outgoing.is_empty() || is_most(outgoing))
}

/// Whose disks hold an entry of this term at a place in the log.
fn holders(members: &[Facts], place: usize, term: u8) -> Members {
    let holds = members.iter().filter(|member| member.durable[place] == term);
    holds.map(|member| Slot::new(member.me)).collect()
}

/// What has been, and what no member remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Past {
    /// Who has led each term, a bit for each slot.
    pub led: Terms,
    /// What was ever known to be committed.
    pub committed: Terms,
    /// The term in which each of these was committed.
    pub committed_in: Terms,
}

fn broken<T>(law: &'static str, how: String) -> Result<T, Broken> {
    Err(Broken { law, how })
}

/// **Promises are durable.** A vote, a campaign and an acknowledgement are said only when the ballot
/// is on disk; an acknowledgement and a commit name only entries that are.
///
/// # Errors
/// [`Broken`]: something was said too early.
pub fn says_what_is_durable(sender: &Facts, said: &[Output]) -> Result<(), Broken> {
    let Facts { me, ballot, durable, .. } = *sender;
    let length = durable.iter().filter(|term| **term > 0).count() as u64;
    for output in said {
        let (holds, law) = match *output {
            Output::Send { to, message: Message::VoteReply { term, granted: true } } => {
                let holds = to.iter().all(|to| ballot == (term.number() as u8, Some(to.number())));
                (holds, "vote durability")
            }
            Output::Send { message: Message::Vote { term, .. }, .. } => {
                (ballot == (term.number() as u8, Some(me)), "vote durability")
            }
            Output::Send { message: Message::Matched { term, matched, .. }, .. } => {
                let holds = ballot.0 == term.number() as u8 && matched.number() <= length;
                (holds, "acknowledgement durability")
            }
            Output::Committed { index } => (index.number() <= length, "commit durability"),
            _ => continue,
        };
        if !holds {
            let disk = format!("its disk has ballot {ballot:?} and entries {durable:?}");
            return broken(law, format!("n{me} says {output:?}, but {disk}"));
        }
    }
    Ok(())
}

/// **Terms rise.** A member's term never falls; after a restart it is at least what its disk says.
/// What is on its disk never falls either.
///
/// # Errors
/// [`Broken`]: it fell.
pub fn term_rises(before: &Facts, after: &Facts, restarts: bool) -> Result<(), Broken> {
    let least = if restarts { before.ballot.0 } else { before.term };
    if after.term < least || after.term < after.ballot.0 || after.ballot.0 < before.ballot.0 {
        return broken("term monotone", format!("n{} fell from {before:?} to {after:?}", after.me));
    }
    Ok(())
}

/// **One vote.** The vote on a member's disk is the same for as long as the term on it is. A vote is
/// said only when it is there, and the term there never falls: so of all that a member ever says,
/// whatever its lives, at most one vote is in any term. A campaign is a vote for itself.
///
/// # Errors
/// [`Broken`]: there is another.
pub fn votes_once(before: &Facts, after: &Facts) -> Result<(), Broken> {
    let ((was_in, was), (is_in, is)) = (before.ballot, after.ballot);
    if was_in == is_in && was.is_some() && was != is {
        return broken("one vote", format!("n{} votes {is:?} after {was:?} in t{is_in}", after.me));
    }
    Ok(())
}

/// **One change at a time, in the leader's own term.** A leader appends a configuration only if it has
/// committed an entry of its own term, and the configuration before (dissertation 4.1; Ongaro, raft-dev,
/// 10 July 2015).
///
/// # Errors
/// [`Broken`]: it did so too early.
pub fn changes_in_order(before: &Facts, after: &Facts) -> Result<(), Broken> {
    let appends = after.leads && before.leads && after.changed.at > before.changed.at;
    let committed = usize::from(after.commit).checked_sub(1).map_or(0, |last| after.log[last]);
    if appends && (committed != after.term || after.changed.previous_at > after.commit) {
        return broken("one change at a time", format!("n{} changes it: {after:?}", after.me));
    }
    Ok(())
}

/// **Commitment by configuration.** What a leader finds committed is on the disks of a majority of each
/// half of its configuration: the newest in its log, unless that was appended only because of what
/// was found.
///
/// # Errors
/// [`Broken`]: it is not.
pub fn counts_by_its_configuration(
    before: &Facts,
    after: &Facts,
    members: &[Facts],
) -> Result<(), Broken> {
    let InForce { newest, at, previous, previous_at } = after.changed;
    let is_new = at > before.changed.at && previous_at > before.commit;
    let configuration = if is_new { previous } else { newest };
    let place = usize::from(after.commit) - 1;
    let holders = holders(members, place, after.log[place]);
    if !is_quorum(&configuration, holders) {
        let how = format!("n{} commits {} in {configuration}", after.me, after.commit);
        return broken("commitment by configuration", format!("{how}, held by {holders:?}"));
    }
    Ok(())
}

/// **Acknowledgements are true.** What a member acknowledges to a leader of that term is on its disk
/// as it is in the leader's log.
///
/// # Errors
/// [`Broken`]: it is not.
pub fn acknowledges_what_is(sender: &Facts, leader: &Facts, letter: &Letter) -> Result<(), Broken> {
    let Message::Matched { term, matched, .. } = letter.message else { return Ok(()) };
    if !leader.leads || leader.term != term.number() as u8 {
        return Ok(());
    }
    let up_to = (matched.number() as usize).min(MOST_ENTRIES);
    if sender.durable[..up_to] != leader.log[..up_to] {
        let how = format!("n{} matched {matched} as {:?}", sender.me, sender.durable);
        return broken(
            "acknowledgement truth",
            format!("{how}, n{} has {:?}", leader.me, leader.log),
        );
    }
    Ok(())
}

/// **Election safety.** At most one member ever leads in a term. Takes note of one that does.
///
/// # Errors
/// [`Broken`]: another has.
pub fn leads_alone(past: &mut Past, member: &Facts) -> Result<(), Broken> {
    let (term, bit) = (usize::from(member.term), 1 << member.me);
    if !member.leads || term >= MOST_ENTRIES {
        return Ok(());
    }
    if past.led[term] & !bit != 0 {
        return broken(
            "election safety",
            format!("n{} is not the first to lead t{term}", member.me),
        );
    }
    past.led[term] |= bit;
    Ok(())
}

/// **Commitment.** What becomes known as committed becomes so to a leader, and the last of it is of
/// the leader's own term (3.6.2). Takes note of it.
///
/// # Errors
/// [`Broken`]: it does not.
pub fn commits_its_own(past: &mut Past, member: &Facts) -> Result<(), Broken> {
    let known = past.committed.iter().filter(|term| **term > 0).count();
    let commit = usize::from(member.commit);
    if commit <= known {
        return Ok(());
    }
    let last = member.log.get(commit - 1).copied().unwrap_or(0);
    if !member.leads || last != member.term {
        return broken("commitment", format!("n{} commits {commit} as {member:?}", member.me));
    }
    past.committed[known..commit].copy_from_slice(&member.log[known..commit]);
    past.committed_in[known..commit].fill(member.term);
    Ok(())
}

/// All laws about a state.
///
/// # Errors
/// [`Broken`]: the first that does not hold.
pub fn hold(members: &[Facts], past: &Past) -> Result<(), Broken> {
    for member in members {
        machine_is_whole(member)?;
        agrees_with_the_past(member, past)?;
        leads_with_everything(member, past)?;
    }
    logs_match(members)?;
    commits_are_durable(members, past)
}

/// **No member stops**: only a failed write or a contradiction stops one, and there is neither.
fn machine_is_whole(member: &Facts) -> Result<(), Broken> {
    if member.stopped {
        return broken("no contradiction", format!("n{} has stopped: {member:?}", member.me));
    }
    Ok(())
}

/// **State machine safety.** What a member knows as committed is what was ever committed there.
fn agrees_with_the_past(member: &Facts, past: &Past) -> Result<(), Broken> {
    let commit = usize::from(member.commit).min(MOST_ENTRIES);
    if member.log[..commit] != past.committed[..commit] {
        let how = format!("n{} has {:?} up to {commit}", member.me, member.log);
        return broken(
            "state machine safety",
            format!("{how}, committed was {:?}", past.committed),
        );
    }
    Ok(())
}

/// **Leader completeness.** A leader has everything that was committed in lower terms.
fn leads_with_everything(member: &Facts, past: &Past) -> Result<(), Broken> {
    let lacks = |n: usize| {
        let (entry, term) = (past.committed[n], past.committed_in[n]);
        entry > 0 && term < member.term && member.log[n] != entry
    };
    if member.leads && (0..MOST_ENTRIES).any(lacks) {
        let how = format!("n{} leads t{} with {:?}", member.me, member.term, member.log);
        return broken("leader completeness", format!("{how}, committed was {:?}", past.committed));
    }
    Ok(())
}

/// **Log matching.** Logs that hold the same entry somewhere are the same up to there, in memory and
/// on disk.
fn logs_match(members: &[Facts]) -> Result<(), Broken> {
    let logs = || members.iter().flat_map(|member| [&member.log, &member.durable]);
    for (n, one) in logs().enumerate() {
        for other in logs().skip(n + 1) {
            let same = (0..MOST_ENTRIES).rev().find(|&n| one[n] > 0 && one[n] == other[n]);
            if let Some(last) = same
                && one[..last] != other[..last]
            {
                return broken(
                    "log matching",
                    format!("{one:?} and {other:?} meet at {}", last + 1),
                );
            }
        }
    }
    Ok(())
}

/// **Commit durability.** What was ever committed is on the disks of a quorum, from then on: of the
/// newest configuration in somebody's log, or of the one before it.
fn commits_are_durable(members: &[Facts], past: &Past) -> Result<(), Broken> {
    for (n, &entry) in past.committed.iter().enumerate().take_while(|(_, entry)| **entry > 0) {
        let holders = holders(members, n, entry);
        // A change that is not on disk yet may be in every member's log already.
        let is_enough = |member: &Facts| {
            let InForce { newest, previous, .. } = &member.changed;
            is_quorum(newest, holders) || is_quorum(previous, holders)
        };
        if !members.iter().any(is_enough) {
            let how = format!("{} of t{entry} is on {} disks", n + 1, holders.len());
            return broken("commit durability", how);
        }
    }
    Ok(())
}
