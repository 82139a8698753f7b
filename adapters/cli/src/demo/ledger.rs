//! What the clients saw, and what must be true of it.

use std::time::Duration;

/// A lease as its holder saw it. Times are since the demo began, all on one clock.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) scope: String,
    pub(super) holder: String,
    pub(super) token: u64,
    /// When it was asked for.
    pub(super) asked: Duration,
    /// When the answer came: from here on the holder acts.
    pub(super) from: Duration,
    /// Until when the holder acts, by its own clock, or when it gave the lease back.
    pub(super) until: Duration,
}

/// What a client kept track of.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Every lease that it held.
    pub(super) held: Vec<Held>,
    /// Leases that it never gives back: what is acknowledged here must be there at the end.
    pub(super) kept: Vec<(String, u64)>,
    /// When it was answered that something it asked for took effect.
    pub(super) answered: Vec<Duration>,
    pub(super) renewals: u64,
    pub(super) releases: u64,
    /// Attempts on a lease that somebody held, all refused.
    pub(super) refused: u64,
    /// Requests that nobody answered in time.
    pub(super) unanswered: u64,
    /// Leases that a read did not show although they were acknowledged and not over.
    pub(super) lost: Vec<String>,
}

impl Ledger {
    /// Takes in another client's.
    pub(super) fn add(&mut self, other: Self) {
        self.held.extend(other.held);
        self.kept.extend(other.kept);
        self.answered.extend(other.answered);
        self.renewals += other.renewals;
        self.releases += other.releases;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.lost.extend(other.lost);
    }

    /// Pairs of holders of one scope that acted at the same time.
    pub(super) fn overlaps(&self) -> Vec<String> {
        let clash = |a: &Held, b: &Held| a.from < b.until && b.from < a.until;
        self.pairs()
            .filter(|(a, b)| clash(a, b))
            .map(|(a, b)| {
                format!(
                    "{} and {} both held {} ({}, {})",
                    a.holder, b.holder, a.scope, a.token, b.token
                )
            })
            .collect()
    }

    /// Leases asked for after another was granted whose token is not higher.
    pub(super) fn falling_tokens(&self) -> Vec<String> {
        let falls = |a: &Held, b: &Held| a.from <= b.asked && a.token >= b.token;
        self.pairs()
            .filter(|(a, b)| falls(a, b) || falls(b, a) || a.token == b.token)
            .map(|(a, b)| format!("{}: token {} then {}", a.scope, a.token, b.token))
            .collect()
    }

    /// Acknowledged leases that are not among those `listed` at the end.
    pub(super) fn missing(&self, listed: &[(String, u64)]) -> Vec<String> {
        let gone = |kept: &&(String, u64)| !listed.contains(kept);
        let lost = self.kept.iter().filter(gone);
        lost.map(|(scope, token)| format!("{scope} with token {token}")).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = (&Held, &Held)> {
        self.held.iter().enumerate().flat_map(|(n, a)| {
            let others = self.held.iter().skip(n + 1);
            others.filter(|b| a.scope == b.scope).map(move |b| (a, b))
        })
    }

    /// The longest time in which nothing was answered.
    pub(super) fn longest_silence(&self) -> Duration {
        let mut times = self.answered.clone();
        times.sort();
        times.iter().zip(times.iter().skip(1)).map(|(a, b)| *b - *a).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(token: u64, asked: u64, from: u64, until: u64) -> Held {
        Held {
            scope: "s".to_owned(),
            holder: format!("h{token}"),
            token,
            asked: Duration::from_millis(asked),
            from: Duration::from_millis(from),
            until: Duration::from_millis(until),
        }
    }

    fn ledger(held: &[Held]) -> Ledger {
        Ledger { held: held.to_vec(), ..Ledger::default() }
    }

    #[test]
    fn two_holders_at_once_are_seen() {
        let sound = ledger(&[held(1, 0, 1, 10), held(2, 9, 10, 20)]);
        assert!(sound.overlaps().is_empty());
        let broken = ledger(&[held(1, 0, 1, 11), held(2, 9, 10, 20)]);
        assert_eq!(broken.overlaps().len(), 1);
    }

    #[test]
    fn a_token_that_does_not_rise_is_seen() {
        assert!(ledger(&[held(5, 0, 1, 2), held(6, 3, 4, 5)]).falling_tokens().is_empty());
        assert_eq!(ledger(&[held(6, 0, 1, 2), held(5, 3, 4, 5)]).falling_tokens().len(), 1);
        assert_eq!(ledger(&[held(6, 0, 1, 2), held(6, 3, 4, 5)]).falling_tokens().len(), 1);
    }

    #[test]
    fn an_acknowledged_lease_that_is_gone_is_seen() {
        let ledger = Ledger { kept: vec![("a".to_owned(), 7)], ..Ledger::default() };
        assert!(ledger.missing(&[("a".to_owned(), 7)]).is_empty());
        assert_eq!(ledger.missing(&[("a".to_owned(), 8)]).len(), 1);
    }
}
