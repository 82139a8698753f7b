//! Leases: what has gone wrong with locks and leases elsewhere does not go wrong here.

use quorate::codec::{Codec, Malformed, NoRoom, Sink};
use quorate::hlc::{Clock, Stamp};
use quorate::id::{EntryId, Index, Term};
use quorate::lease::holder::{self, Input, Output, Request};
use quorate::lease::{
    Change, Command, Compacted, Config, Fence, Holder, Lease, Name, Response, StaleToken, Table,
    Token,
};
use quorate::limits::{BOARD, Limits};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span, Wall};
use quorate::{Machine, Outbox, Position, Refused, StateMachine, hlc};

const GUARD: u64 = 500;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn token(index: u64) -> Token {
    Token::new(Index::new(index))
}

fn secs(secs: u64) -> Span {
    Span::secs(secs)
}

/// A table and the log that made it; `None` is the first entry of a new leader.
#[derive(Clone)]
struct Log {
    table: Table,
    entries: Vec<(Position, Option<Command>)>,
}

impl Log {
    fn new(config: Config) -> Self {
        let small = Limits { leases: 8, lease_events: 8, ..BOARD };
        Self { table: Table::new(config, small), entries: Vec::new() }
    }

    fn next(&self, stamp: Stamp) -> Position {
        let index = Index::new(self.entries.len() as u64 + 1);
        Position { entry: EntryId::new(Term::new(1), index), stamp }
    }

    fn apply(&mut self, stamp: Stamp, command: Command) -> Response {
        let at = self.next(stamp);
        self.entries.push((at, Some(command)));
        self.table.apply(at, &command)
    }

    fn leader(&mut self, millis: u64) {
        let at = self.next(Stamp::at_millis(millis));
        self.entries.push((at, None));
        self.table.leader_changed(at);
    }

    fn acquire(&mut self, millis: u64, scope: &str, holder: &str, duration: Span) -> Response {
        let (scope, holder) = (name(scope), name(holder));
        self.apply(Stamp::at_millis(millis), Command::Acquire { scope, holder, duration })
    }

    fn granted(&mut self, millis: u64, scope: &str, holder: &str, duration: Span) -> Token {
        match self.acquire(millis, scope, holder, duration) {
            Response::Granted { token, .. } => token,
            other => panic!("{other:?}"),
        }
    }

    fn renew(&mut self, millis: u64, scope: &str, token: Token) -> Response {
        self.apply(Stamp::at_millis(millis), Command::Renew { scope: name(scope), token })
    }

    fn release(&mut self, millis: u64, scope: &str, token: Token) -> Response {
        self.apply(Stamp::at_millis(millis), Command::Release { scope: name(scope), token })
    }

    fn expire(&mut self, millis: u64) -> Response {
        self.apply(Stamp::at_millis(millis), Command::Expire)
    }

    fn lease(&self, scope: &str) -> Option<Lease> {
        self.table.lease(&name(scope)).copied()
    }

    fn expires_at(&self, scope: &str) -> u64 {
        self.lease(scope).unwrap().expires_at.millis()
    }

    fn scopes(&self) -> Vec<String> {
        self.table.list("", None).map(|(scope, _)| scope.to_string()).collect()
    }

    fn changes_after(&self, index: u64) -> Vec<(u64, Change)> {
        let events = self.table.watch(Index::new(index)).unwrap();
        events.map(|event| (event.index.number(), event.change)).collect()
    }
}

fn log() -> Log {
    Log::new(Config::default())
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn encoded(value: &impl Codec) -> Vec<u8> {
    let mut bytes = Bytes(Vec::new());
    value.encode(&mut bytes).unwrap();
    bytes.0
}

fn snapshot(table: &Table) -> Vec<u8> {
    let mut bytes = Bytes(Vec::new());
    table.snapshot(&mut bytes).unwrap();
    bytes.0
}

fn replay(table: &mut Table, entries: &[(Position, Option<Command>)]) {
    for (at, command) in entries {
        match command {
            Some(command) => {
                table.apply(*at, command);
            }
            None => table.leader_changed(*at),
        }
    }
}

// The table ---------------------------------------------------------------------------------------

// databendlabs/databend#7325, openziti/ziti#4088: `now()` inside `apply`, so replicas disagree.
#[test]
fn a_replica_that_applies_the_log_a_year_later_is_in_the_same_state() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    log.renew(5_000, "door", ann);
    log.leader(14_000);
    log.acquire(60_000, "door", "bob", secs(10));
    let mut later = Table::new(Config::default(), BOARD);
    replay(&mut later, &log.entries);
    assert_eq!(snapshot(&later), snapshot(&log.table));
}

// atomix/copycat#40, svix/diom#724: deadlines from the entry's raw time; a lease is born expired.
#[test]
fn an_entry_with_a_late_stamp_counts_from_the_time_the_table_knows() {
    let mut log = log();
    log.granted(60_000, "other", "ann", secs(10));
    log.granted(1_000, "door", "bob", secs(10));
    assert_eq!(log.expires_at("door"), 70_000);
    log.leader(1_000);
    assert_eq!(log.table.now(), Stamp::at_millis(60_000));
}

// The tie between a renewal and the end of a lease must have one rule, or replicas disagree.
#[test]
fn a_lease_is_live_before_its_end_and_expired_at_it() {
    let mut log = log();
    let lease = log.granted(1_000, "door", "ann", secs(10));
    let end = log.lease("door").unwrap().expires_at;
    let before_end = Stamp::at_millis(10_999).plus(0xffff);
    assert_eq!(before_end.next(), Some(end));
    let renew = Command::Renew { scope: name("door"), token: lease };
    let free_at = end.after(Span::millis(GUARD));
    assert_eq!(log.clone().apply(end, renew), Response::Expired { free_at });
    assert!(matches!(log.apply(before_end, renew), Response::Granted { .. }));
}

// kubernetes/client-go#448 waits a full duration; later stamps run ahead by two offsets at most.
#[test]
fn an_expired_scope_is_granted_again_when_the_guard_has_passed_and_not_before() {
    let mut log = log();
    log.granted(1_000, "door", "ann", secs(10));
    let end = log.lease("door").unwrap().expires_at;
    let free_at = end.after(Span::millis(GUARD));
    let bob = Command::Acquire { scope: name("door"), holder: name("bob"), duration: secs(1) };
    assert!(matches!(
        log.clone().apply(Stamp::at_millis(10_999), bob),
        Response::Held { holder, token: t, expires_at }
            if (holder, t, expires_at) == (name("ann"), token(1), end)
    ));
    let almost = Stamp::at_millis(10_999 + GUARD).plus(0xffff);
    for early in [end, almost] {
        assert_eq!(log.clone().apply(early, bob), Response::Expired { free_at });
    }
    assert!(matches!(log.apply(free_at, bob), Response::Granted { .. }));
    assert_eq!(log.changes_after(1), [(2, Change::Expired), (2, Change::Granted)]);
}

#[test]
fn a_guard_is_never_cut_to_fit_the_milliseconds_of_stamps() {
    let mut log = Log::new(Config { guard: Span::micros(1), ..Config::default() });
    log.granted(1_000, "door", "ann", secs(1));
    let free_at = Stamp::at_millis(2_001);
    assert_eq!(log.acquire(2_000, "door", "bob", secs(1)), Response::Expired { free_at });
}

#[test]
fn a_released_scope_is_granted_at_once() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    assert_eq!(log.release(1_001, "door", ann), Response::Released);
    assert_eq!(log.granted(1_001, "door", "bob", secs(10)), token(3));
    let bob = log.lease("door");
    assert_eq!(log.release(1_002, "door", ann), Response::NotHeld, "it is bob's");
    assert_eq!(log.renew(1_002, "door", ann), Response::NotHeld);
    assert_eq!(log.renew(1_002, "gate", ann), Response::NotHeld);
    assert_eq!(log.lease("door"), bob);
}

#[test]
fn a_holder_that_gives_up_after_the_end_spares_the_next_one_the_guard() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    assert_eq!(log.release(11_000, "door", ann), Response::Released);
    log.granted(11_000, "door", "bob", secs(10));
}

// Curator-202, KAFKA-4229: a client comes back with a new session while its old node still lives.
#[test]
fn a_holder_that_comes_back_is_told_that_its_former_self_holds() {
    let mut log = log();
    let former = log.granted(1_000, "door", "ann", secs(10));
    let expires_at = Stamp::at_millis(11_000);
    let held = Response::Held { holder: name("ann"), token: former, expires_at };
    assert_eq!(log.acquire(2_000, "door", "ann", secs(60)), held);
    assert_eq!(log.expires_at("door"), 11_000);
}

// kubernetes/kubernetes#47671: a candidate judged the holder by its own configured duration.
#[test]
fn a_lease_lasts_as_long_as_it_was_granted_for_at_every_renewal() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    let expires_at = Stamp::at_millis(15_000);
    let again = Response::Granted { token: ann, duration: secs(10), expires_at };
    assert_eq!(log.renew(5_000, "door", ann), again);
}

// etcd-io/etcd#9395, #13294: each election gave every lease its whole time to live again.
#[test]
fn a_new_leader_gives_grace_and_not_a_new_lease() {
    let mut log = log();
    log.granted(1_000, "long", "ann", secs(600));
    log.granted(1_000, "short", "bob", secs(10));
    log.leader(10_000);
    assert_eq!(log.expires_at("long"), 601_000);
    assert_eq!(log.expires_at("short"), 13_000);
}

// kubernetes/kubernetes#65497: elections come faster than leases end, and these never do.
#[test]
fn a_lease_does_not_live_for_ever_under_repeated_elections() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    for second in 2..=40 {
        log.leader(second * 1_000);
    }
    assert_eq!(log.expires_at("door"), 21_000, "ten seconds of grace in all");
    assert!(matches!(log.renew(40_000, "door", ann), Response::Expired { .. }));
}

#[test]
fn grace_is_counted_anew_after_a_renewal() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    for second in 2..=15 {
        log.leader(second * 1_000);
    }
    assert_eq!(log.expires_at("door"), 18_000);
    assert!(matches!(log.renew(15_500, "door", ann), Response::Granted { .. }));
    assert_eq!(log.expires_at("door"), 25_500);
    for second in 16..=60 {
        log.leader(second * 1_000);
    }
    assert_eq!(log.expires_at("door"), 35_500);
}

// hashicorp/consul#912: a lock is dropped because its renewal met an election.
#[test]
fn a_renewal_that_an_election_has_delayed_beyond_the_end_still_succeeds() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    log.leader(11_200);
    assert!(matches!(log.renew(11_300, "door", ann), Response::Granted { .. }));
}

#[test]
fn grace_revives_nothing_that_was_over() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    log.granted(11_000, "other", "bob", secs(10));
    log.leader(11_100);
    assert_eq!(log.expires_at("door"), 11_000);
    assert!(matches!(log.renew(11_200, "door", ann), Response::Expired { .. }));
}

// etcd-io/etcd#15247: a stuck old leader thinks that it leads, and its revocations are committed.
#[test]
fn an_expiry_that_nobody_should_have_proposed_ends_no_lease() {
    let mut log = log();
    log.granted(1_000, "door", "ann", secs(10));
    let almost = Stamp::at_millis(10_999 + GUARD).plus(0xffff);
    assert_eq!(log.apply(almost, Command::Expire), Response::Swept { count: 0 });
    assert!(log.lease("door").is_some());
}

// etcd-io/etcd#12105: 900 000 leases end at once and are revoked one by one, minutes late.
#[test]
fn a_storm_of_expiries_is_cleared_in_batches_earliest_first() {
    let mut log = Log::new(Config { sweep: 3, ..Config::default() });
    for (scope, seconds) in [("d", 1), ("c", 1), ("b", 2), ("a", 1), ("e", 1), ("z", 9)] {
        log.granted(1_000, scope, "ann", secs(seconds));
    }
    assert_eq!(log.table.due(), Some((Stamp::at_millis(2_000 + GUARD), Command::Expire)));
    assert_eq!(log.expire(4_000), Response::Swept { count: 3 });
    assert_eq!(log.scopes(), ["b", "e", "z"]);
    assert_eq!(log.table.due(), Some((Stamp::at_millis(2_000 + GUARD), Command::Expire)));
    assert_eq!(log.expire(4_000), Response::Swept { count: 2 });
    assert_eq!(log.table.due(), Some((Stamp::at_millis(10_000 + GUARD), Command::Expire)));
    assert_eq!(log.expire(10_000 + GUARD), Response::Swept { count: 1 });
    assert_eq!(log.table.due(), None);
}

#[test]
fn a_full_table_grants_nothing_and_changes_nothing() {
    let mut log = log();
    for scope in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        log.granted(1_000, scope, "ann", secs(10));
    }
    let before = log.table.clone();
    assert_eq!(log.acquire(1_000, "i", "bob", secs(10)), Response::Full);
    assert_eq!(log.table, before);
    assert_eq!(
        log.granted(12_000, "h", "bob", secs(10)),
        token(10),
        "it takes the place of its own"
    );
    log.expire(12_000);
    log.granted(12_000, "i", "bob", secs(10));
}

#[test]
fn a_duration_out_of_bounds_is_refused_and_a_part_of_a_millisecond_is_dropped() {
    let mut log = log();
    let bounds = Response::BadDuration { least: Span::millis(100), most: secs(3_600) };
    for duration in [Span::ZERO, Span::micros(99_999), Span::millis(3_600_001), secs(u64::MAX)] {
        assert_eq!(log.acquire(1_000, "door", "ann", duration), bounds);
    }
    let mut tiny = Log::new(Config { least: Span::ZERO, ..Config::default() });
    assert!(matches!(
        tiny.acquire(1_000, "door", "ann", Span::micros(999)),
        Response::BadDuration { least, .. } if least == Span::millis(1)
    ));
    log.granted(1_000, "door", "ann", Span::micros(100_999));
    assert_eq!(log.lease("door").unwrap().duration, Span::millis(100));
    log.granted(1_000, "gate", "ann", secs(3_600));
    assert_eq!(log.lease("gate").unwrap().duration, secs(3_600), "the longest is in bounds");
}

// Martin Kleppmann, "How to do distributed locking" (2016): a token must rise with every grant.
#[test]
fn a_token_is_the_place_of_its_grant_in_the_log() {
    let mut log = log();
    log.expire(1_000);
    assert_eq!(log.granted(1_000, "door", "ann", secs(1)), token(2));
    assert_eq!(log.granted(900, "gate", "ann", secs(1)), token(3));
    assert!(matches!(
        log.renew(1_000, "door", token(2)),
        Response::Granted { token: t, .. } if t == token(2)
    ));
}

// Reading the table -------------------------------------------------------------------------------

#[test]
fn a_list_can_be_read_by_prefix_and_in_pages() {
    let mut log = log();
    for scope in ["jobs/1", "jobs/2", "job", "jobs/10", "locks/1", "jobs/"] {
        log.granted(1_000, scope, "ann", secs(10));
    }
    let page = |prefix: &str, after: Option<&str>| -> Vec<String> {
        let after = after.map(name);
        let page = log.table.list(prefix, after.as_ref()).take(2);
        page.map(|(scope, _)| scope.to_string()).collect()
    };
    assert_eq!(page("jobs/", None), ["jobs/", "jobs/1"]);
    assert_eq!(page("jobs/", Some("jobs/1")), ["jobs/10", "jobs/2"]);
    assert_eq!(page("jobs/", Some("jobs/2")), [""; 0]);
    assert_eq!(page("jobs/", Some("jobs/11")), ["jobs/2"], "what is no longer there is passed");
    assert_eq!(page("jobs/", Some("a")), ["jobs/", "jobs/1"]);
    assert_eq!(page("", Some("jobs/2")), ["locks/1"]);
    assert_eq!(page(&"j".repeat(48), None), [""; 0]);
}

// etcd-io/etcd#4262, #13156: keys expire and watchers hear nothing, or hear no reason.
#[test]
fn every_change_is_told_with_its_reason_to_those_who_watch() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(1));
    log.renew(1_500, "door", ann);
    log.acquire(1_600, "door", "bob", secs(1));
    log.leader(1_700);
    log.granted(1_800, "gate", "bob", secs(1));
    log.release(1_900, "gate", token(5));
    log.expire(9_000);
    let all = [
        (1, Change::Granted),
        (2, Change::Renewed),
        (5, Change::Granted),
        (6, Change::Released),
        (7, Change::Expired),
    ];
    assert_eq!(log.changes_after(0), all);
    assert_eq!(log.changes_after(2), all[2..]);
    assert_eq!(log.changes_after(4), all[2..]);
    assert_eq!(log.changes_after(7), []);
    let last = *log.table.watch(Index::new(6)).unwrap().next().unwrap();
    assert_eq!((last.scope, last.token, last.holder), (name("door"), ann, name("ann")));
    assert_eq!(log.table.changed(), Index::new(7));
}

#[test]
fn a_watcher_that_was_too_slow_is_told_to_list_again() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    for second in 2..=9 {
        log.renew(1_000 * second, "door", ann);
    }
    let compacted = Compacted { floor: Index::new(1) };
    assert_eq!(log.table.watch(Index::ZERO).err(), Some(compacted));
    assert_eq!(log.changes_after(1).len(), 8);
}

#[test]
fn nobody_hears_half_of_what_an_entry_did() {
    let mut log = Log::new(Config::default());
    for scope in ["a", "b", "c", "d", "e", "f"] {
        log.granted(1_000, scope, "ann", secs(1));
    }
    log.expire(9_000);
    log.granted(9_000, "a", "ann", secs(1));
    log.renew(9_000, "a", token(8));
    log.renew(9_000, "a", token(8));
    assert_eq!(log.table.watch(Index::new(6)).err(), Some(Compacted { floor: Index::new(7) }));
    assert_eq!(log.changes_after(7).len(), 3);
}

#[test]
fn a_table_that_was_restored_tells_earlier_watchers_to_list_again() {
    let mut log = log();
    let ann = log.granted(1_000, "door", "ann", secs(10));
    log.renew(2_000, "door", ann);
    log.expire(2_000);
    let mut restored = Table::new(Config::default(), BOARD);
    restored.restore(&snapshot(&log.table)).unwrap();
    let compacted = Compacted { floor: Index::new(2) };
    assert_eq!(restored.watch(Index::new(1)).err(), Some(compacted));
    assert_eq!(restored.watch(Index::new(2)).unwrap().count(), 0, "it has missed nothing");
    assert_eq!(restored.changed(), Index::new(2));
    assert_eq!(restored.due(), log.table.due());
}

// Snapshots ---------------------------------------------------------------------------------------

#[test]
fn the_bytes_of_a_snapshot_are_fixed() {
    let mut log = log();
    log.expire(1);
    log.granted(1, "b", "ann", Span::millis(100));
    log.granted(2, "a", "é", Span::millis(200));
    log.renew(3, "b", token(2));
    log.leader(4);
    let stamp = |millis: u64| (millis << 16).to_le_bytes().to_vec();
    let number = |number: u64| number.to_le_bytes().to_vec();
    let golden = [
        &[stamp(4), number(4), vec![2, 0, 0, 0]][..],
        &[vec![1, b'a'], vec![2, 0xc3, 0xa9], number(3), stamp(2), stamp(2), stamp(3_004)],
        &[number(200_000)],
        &[vec![1, b'b'], vec![3, b'a', b'n', b'n'], number(2), stamp(1), stamp(3), stamp(3_004)],
        &[number(100_000)],
    ];
    assert_eq!(snapshot(&log.table), golden.concat().concat());
}

#[test]
fn a_snapshot_that_cannot_be_is_malformed_and_changes_nothing() {
    let mut log = log();
    log.granted(1_000, "a", "ann", secs(10));
    log.granted(1_000, "b", "bob", secs(10));
    let good = snapshot(&log.table);
    let mut table = Table::new(Config::default(), BOARD);
    replay(&mut table, &log.entries[..1]);
    let before = table.clone();
    let mut refuses = |bytes: &[u8], why: &str| {
        assert_eq!(table.restore(bytes), Err(Malformed), "{why}");
        assert_eq!(table, before, "{why}");
    };
    for length in 0..good.len() {
        refuses(&good[..length], "cut short");
    }
    refuses(&[&good[..], &[0]].concat(), "too long");
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let (header, lease) = (20, 2 + 4 + 5 * 8);
    refuses(&changed(header + 1, b'b'), "one scope twice");
    refuses(&changed(header + 1, b'c'), "not in order");
    refuses(&changed(header, 0), "a scope without a name");
    refuses(&changed(header + 6, 0), "no token");
    refuses(&changed(header + lease + 6, 3), "a token from the future");
    refuses(&changed(header + 6 + 11, 0xff), "granted after it was renewed");
    refuses(&changed(3, 0), "renewed in the future");
    refuses(&changed(header + 6 + 24 + 2, 0), "over before its duration");
    refuses(&changed(header + 6 + 32, 0x81), "a part of a millisecond");
    refuses(&changed(16, 9), "more leases than there is room for");
    let crowded = Limits { leases: 1, ..BOARD };
    assert_eq!(Table::new(Config::default(), crowded).restore(&good), Err(Malformed));
    let full = Limits { leases: 2, ..BOARD };
    assert_eq!(Table::new(Config::default(), full).restore(&good), Ok(()), "as many as fit");
    assert_eq!(table.restore(&good), Ok(()));
    assert_eq!(snapshot(&table), good);
}

#[test]
fn answers_have_one_form_in_bytes_and_nothing_else_is_one() {
    let (holder, at, least, most) = (name("ann"), Stamp::at_millis(9), Span::millis(1), secs(2));
    let answers = [
        Response::Granted { token: token(7), duration: most, expires_at: at },
        Response::Released,
        Response::Swept { count: 3 },
        Response::Held { holder, token: token(7), expires_at: at },
        Response::Expired { free_at: at },
        Response::NotHeld,
        Response::Full,
        Response::BadDuration { least, most },
    ];
    for (code, answer) in answers.iter().enumerate() {
        let bytes = encoded(answer);
        assert_eq!(usize::from(bytes[0]), code);
        assert_eq!(Response::decode(&mut &*bytes).as_ref(), Ok(answer));
        assert_eq!(Response::decode(&mut &bytes[..bytes.len() - 1]), Err(Malformed));
    }
    assert_eq!(Response::decode(&mut &[8; 64][..]), Err(Malformed));
    let held = [&[3, 3, b'a', b'n', b'n', 7, 0, 0, 0, 0, 0, 0, 0][..], &[0, 0, 9, 0, 0, 0, 0, 0]];
    assert_eq!(encoded(&answers[3]), held.concat());
}

// The fence ---------------------------------------------------------------------------------------

// etcd-io/etcd#10811, #11457: a holder is paused, loses its lease, wakes, and writes.
#[test]
fn a_resource_refuses_whom_a_later_holder_has_overtaken() {
    let mut fence = Fence::new();
    assert_eq!(fence.admit(token(33)), Ok(()));
    assert_eq!(fence.admit(token(33)), Ok(()), "the same holder comes again");
    assert_eq!(fence.admit(token(34)), Ok(()));
    let stale = StaleToken { presented: token(33), highest: token(34) };
    assert_eq!(fence.admit(token(33)), Err(stale));
    assert_eq!(fence.highest(), token(34));
    assert_eq!(encoded(&fence), 34_u64.to_le_bytes());
    assert_eq!(Fence::decode(&mut &*encoded(&fence)), Ok(fence));
    assert_eq!(Fence::decode(&mut &[0; 7][..]), Err(Malformed));
}

// The holder --------------------------------------------------------------------------------------

const MARGIN: u64 = 10_000;

/// Until when a lease of so many seconds may be used, in microseconds after its request was sent.
fn usable(seconds: u64) -> u64 {
    seconds * 1_000_000 - seconds * 1_000 - 1 - MARGIN
}

/// A holder and its monotonic clock, in microseconds.
struct Client {
    holder: Holder,
    now: u64,
}

impl Client {
    fn new() -> Self {
        Self { holder: Holder::new(holder::Config::default()), now: 5_000_000 }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Heard(Vec::new());
        self.holder.step(Now::mono(self.now), input, &mut out).unwrap();
        out.0
    }

    fn tick(&mut self, at: u64) -> Vec<Output> {
        self.now = at;
        self.step(Input::Tick)
    }

    fn acquire(&mut self) -> Request {
        match self.step(Input::Acquire)[..] {
            [Output::AcquireNow { request }] => request,
            ref other => panic!("{other:?}"),
        }
    }

    fn granted(&mut self, request: Request, index: u64, seconds: u64) -> Vec<Output> {
        self.step(Input::Granted { request, token: token(index), duration: secs(seconds) })
    }

    /// A client that has held the lease of token 7 for ten seconds from `now` on.
    fn holding() -> (Self, Request) {
        let mut client = Self::new();
        let request = client.acquire();
        client.granted(request, 7, 10);
        (client, request)
    }
}

/// An outbox with no more room than a holder asks for.
struct Heard(Vec<Output>);

impl Outbox<Output> for Heard {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn room(&self) -> usize {
        3 - self.0.len()
    }
    fn push(&mut self, output: Output) {
        assert!(self.room() > 0);
        self.0.push(output);
    }
}

fn held(index: u64, until: u64) -> Output {
    Output::Held { token: token(index), until: Instant::from_micros(until) }
}

fn lost(index: u64) -> Output {
    Output::Lost { token: token(index) }
}

// etcd-io/etcd#11456: the lock is returned after its lease is gone, and nobody can tell.
#[test]
fn a_holder_counts_from_when_it_asked_and_not_from_the_answer() {
    let mut client = Client::new();
    let request = client.acquire();
    client.now += 4_000_000;
    let out = client.granted(request, 7, 10);
    assert!(matches!(out[..], [first, Output::RenewNow { .. }]
        if first == held(7, 5_000_000 + usable(10))));
    let mut client = Client::new();
    let request = client.acquire();
    client.now += usable(10);
    assert_eq!(client.granted(request, 7, 10), [lost(7)], "the answer came too late");
    assert_eq!(client.holder.held(), None);
}

#[test]
fn a_holder_renews_after_a_third_and_retries_until_the_end_and_never_after() {
    let (mut client, _) = Client::holding();
    let end = 5_000_000 + usable(10);
    let mut renewals = Vec::new();
    while let Some(deadline) = client.holder.deadline() {
        assert!(deadline > Instant::from_micros(client.now));
        match client.tick(deadline.as_micros())[..] {
            [Output::RenewNow { token: t, .. }] if t == token(7) => renewals.push(client.now),
            [Output::Lost { token: t }] if t == token(7) => assert_eq!(client.now, end),
            ref other => panic!("{other:?}"),
        }
    }
    // hashicorp/consul#912 drops the lock at the first failure, docker/libkv#120 never gives up.
    assert_eq!(renewals.len(), 8);
    assert_eq!(renewals[0], 5_000_000 + 10_000_000 / 3);
    assert!(renewals.windows(2).all(|pair| pair[1] - pair[0] >= 10_000_000 / 12));
    assert!(renewals.iter().all(|at| *at < end));
    assert_eq!(client.tick(end + 60_000_000), []);
}

#[test]
fn a_renewal_extends_the_lease_from_when_it_was_sent() {
    let (mut client, _) = Client::holding();
    let Output::RenewNow { request, .. } = client.tick(8_400_000)[0] else { panic!() };
    client.now = 9_000_000;
    assert_eq!(client.granted(request, 7, 10), [held(7, 8_400_000 + usable(10))]);
    assert_eq!(client.holder.deadline(), Some(Instant::from_micros(8_400_000 + 10_000_000 / 3)));
}

#[test]
fn an_answer_to_an_older_request_extends_nothing() {
    let (mut client, first) = Client::holding();
    let Output::RenewNow { request: second, .. } = client.tick(8_400_000)[0] else { panic!() };
    let Output::RenewNow { request: third, .. } = client.tick(9_300_000)[0] else { panic!() };
    let extended = client.granted(third, 7, 10);
    assert_eq!(extended, [held(7, 9_300_000 + usable(10))]);
    for older in [second, first, third] {
        assert_eq!(client.granted(older, 7, 10), []);
    }
    assert_eq!(client.holder.held().unwrap().1.as_micros(), 9_300_000 + usable(10));
}

// cockroachdb/docs#10399: the clock before the jump is the dangerous one. A pause ends the lease.
#[test]
fn after_a_pause_the_lease_is_lost_before_anything_else() {
    let (mut client, first) = Client::holding();
    let Output::RenewNow { request, .. } = client.tick(8_400_000)[0] else { panic!() };
    client.now = 5_000_000 + usable(10);
    assert_eq!(client.granted(request, 7, 10), [lost(7)]);
    let mut slept = Client::holding().0;
    slept.now += 3_600_000_000;
    let out = slept.step(Input::Acquire);
    assert!(matches!(out[..], [first, Output::AcquireNow { .. }] if first == lost(7)));
    assert_eq!(client.granted(first, 7, 10), []);
}

// cockroachdb/cockroach#10420, #59874: a right that was given up is used again.
#[test]
fn a_lost_lease_is_never_held_again() {
    for end in [Input::Release, Input::NotHeld { token: token(7) }] {
        let (mut client, _) = Client::holding();
        let Output::RenewNow { request, .. } = client.tick(8_400_000)[0] else { panic!() };
        assert_eq!(client.step(end), [lost(7)]);
        assert_eq!(client.granted(request, 7, 10), []);
        assert_eq!(client.granted(request, 6, 10), []);
        assert_eq!((client.holder.held(), client.holder.deadline()), (None, None));
        let request = client.acquire();
        assert_eq!(client.granted(request, 8, 10), [held(8, 8_400_000 + usable(10))]);
    }
}

#[test]
fn a_later_grant_ends_an_earlier_one_and_an_earlier_answer_does_not_end_a_later_one() {
    let (mut client, request) = Client::holding();
    let until = 5_000_000 + usable(10);
    assert_eq!(client.granted(request, 9, 10), [lost(7), held(9, until)]);
    assert_eq!(client.granted(request, 8, 10), []);
    assert_eq!(client.step(Input::NotHeld { token: token(7) }), []);
    client.now += 9_900_000;
    let out = client.granted(request, 10, 9);
    assert_eq!(out, [lost(9), lost(10)], "the last one was too late");
}

#[test]
fn a_request_that_cannot_be_meant_or_answered_is_refused_and_changes_nothing() {
    let (mut client, _) = Client::holding();
    let before = client.holder.clone();
    let now = Now::mono(client.now + 1);
    let mut out = Heard(Vec::new());
    let refused = client.holder.step(now, Input::Acquire, &mut out);
    assert_eq!(refused, Err(Refused::Meaningless));
    let mut full = Heard(vec![lost(1)]);
    assert_eq!(client.holder.step(now, Input::Tick, &mut full), Err(Refused::OutboxNotEmpty));
    assert_eq!((client.holder, out.0), (before, vec![]));
}

#[test]
fn a_lease_may_be_asked_for_again_in_the_moment_in_which_it_ends() {
    let (mut client, _) = Client::holding();
    client.now = 5_000_000 + usable(10);
    let out = client.step(Input::Acquire);
    assert!(matches!(out[..], [first, Output::AcquireNow { .. }] if first == lost(7)));
}

#[test]
fn a_holder_whose_clock_goes_back_loses_its_lease_no_later() {
    let (mut client, _) = Client::holding();
    client.tick(9_000_000);
    client.tick(1_000_000);
    assert_eq!(client.holder.held().unwrap().1.as_micros(), 5_000_000 + usable(10));
    let Output::RenewNow { request, .. } = client.tick(9_900_000)[0] else { panic!() };
    client.now = 2_000_000;
    assert_eq!(client.granted(request, 7, 10), [held(7, 9_900_000 + usable(10))]);
}

#[test]
fn a_lease_shorter_than_the_margin_and_the_drift_is_never_held() {
    for (margin, drift_parts) in [(Span::secs(10), 1_000), (Span::ZERO, 1), (Span::ZERO, 0)] {
        let holder = Holder::new(holder::Config { margin, drift_parts });
        let mut client = Client { holder, now: 1_000 };
        let request = client.acquire();
        assert_eq!(client.granted(request, 7, 10), [lost(7)]);
    }
}

#[test]
fn the_margin_is_what_the_guard_leaves_of_twice_the_offset() {
    let margin = |guard| holder::Config::beside(Span::millis(guard), Span::millis(250)).margin;
    assert_eq!(margin(0), Span::millis(501));
    assert_eq!(margin(500), Span::millis(1));
    assert_eq!(margin(600), Span::ZERO);
    let defaults = (Config::default().guard, holder::Config::default().margin);
    assert!(margin(defaults.0.as_millis()) <= defaults.1);
}

// Whatever happens --------------------------------------------------------------------------------

fn pick<T: Copy>(rng: &mut Rng, items: &[T]) -> T {
    items[usize::try_from(rng.below(items.len() as u64)).unwrap()]
}

fn crowded() -> Config {
    Config {
        guard: Span::millis(50),
        grace: Span::millis(300),
        max_grace: Span::millis(700),
        least: Span::millis(1),
        most: secs(2),
        sweep: 2,
    }
}

fn any_command(rng: &mut Rng, log: &Log) -> Command {
    // Two scopes more than there is room for.
    let scope = name(pick(rng, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]));
    let token = match log.table.lease(&scope) {
        Some(lease) if rng.below(4) > 0 => lease.token,
        _ => token(rng.below(log.entries.len() as u64 + 1)),
    };
    match rng.below(8) {
        0..=2 => {
            let duration = Span::micros(rng.below(2_100_000));
            Command::Acquire { scope, holder: name(pick(rng, &["ann", "bob"])), duration }
        }
        3 | 4 => Command::Renew { scope, token },
        5 => Command::Release { scope, token },
        _ => Command::Expire,
    }
}

/// What holds of every table after every entry, whatever it is.
fn is_sound(table: &Table) {
    let leases: Vec<(Name, Lease)> = table.list("", None).map(|(s, l)| (*s, *l)).collect();
    assert!(leases.len() <= 8);
    assert!(leases.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let first = leases.iter().map(|(_, lease)| lease.expires_at).min();
    assert_eq!(table.due().map(|(at, _)| at), first.map(|at| at.after(crowded().guard)));
    for (_, lease) in leases {
        let longest = lease.renewed_at.after(lease.duration).after(crowded().max_grace);
        assert!(lease.expires_at <= longest && lease.granted_at <= lease.renewed_at);
    }
}

#[test]
fn one_holder_a_scope_rising_tokens_and_a_snapshot_for_a_log() {
    for seed in 0..150 {
        let (mut rng, mut log, mut millis) = (Rng::new(seed), Log::new(crowded()), 1_000);
        let mut twin = log.table.clone();
        let mut highest = Token::ZERO;
        for _ in 0..300 {
            millis += rng.below(120);
            let stamp = Stamp::at_millis(millis - rng.below(100)).plus(rng.below(3));
            if rng.below(20) == 0 {
                log.leader(stamp.millis());
                replay(&mut twin, &log.entries[log.entries.len() - 1..]);
                is_sound(&log.table);
                continue;
            }
            let command = any_command(&mut rng, &log);
            let before = log.table.clone();
            let answer = log.apply(stamp, command);
            match (command, answer) {
                (Command::Acquire { scope, .. }, Response::Granted { token, .. }) => {
                    assert!(token > highest, "seed {seed}");
                    highest = token;
                    let free =
                        before.lease(&scope).map(|old| old.expires_at.after(crowded().guard));
                    assert!(free.is_none_or(|free| log.table.now() >= free), "seed {seed}");
                }
                (Command::Renew { scope, token }, Response::Granted { .. }) => {
                    let old = before.lease(&scope).unwrap();
                    assert!(old.token == token && old.is_live(log.table.now()), "seed {seed}");
                }
                _ => {}
            }
            assert_eq!(twin.apply(log.entries.last().unwrap().0, &command), answer, "seed {seed}");
            assert_eq!(snapshot(&twin), snapshot(&log.table), "seed {seed}");
            is_sound(&log.table);
            if rng.below(30) == 0 {
                twin = Table::new(crowded(), Limits { leases: 8, ..BOARD });
                twin.restore(&snapshot(&log.table)).unwrap();
            }
        }
        let mut again = Log::new(crowded()).table;
        replay(&mut again, &log.entries);
        assert_eq!(again, log.table, "seed {seed}");
    }
}

const OFFSET: u64 = 250;
const DOOR: &str = "door";

// The argument of `quorate::lease` at its edge: the first leader's clock is as far behind as it may
// be and was just about to tick, the next one's as far ahead, and its stamps run ahead of it.
#[test]
fn the_worst_that_clocks_may_do_leaves_no_overlap_and_nothing_is_given_away() {
    let (guard, offset) = (Span::millis(100), Span::millis(OFFSET));
    let mut log = Log::new(Config { guard, ..Config::default() });
    let behind = 1_000_000_999;
    let moment = |micros| Now::both(Instant::from_micros(micros), Wall::from_micros(micros));
    let config = holder::Config { drift_parts: u64::MAX, ..holder::Config::beside(guard, offset) };
    let mut ann = Client { holder: Holder::new(config), now: 0 };
    let request = ann.acquire();
    let stamp = Clock::new(hlc::Config::default()).stamp(moment(behind)).unwrap();
    log.granted(stamp.millis(), DOOR, "ann", secs(1));
    ann.granted(request, 1, 1);
    let ann_stops = ann.holder.held().unwrap().1.as_micros();

    let (free_at, _) = log.table.due().unwrap();
    let ahead = Clock::new(hlc::Config::default());
    let accepts =
        |after: &u64| ahead.check(moment(behind + OFFSET * 1_000 + after), free_at).is_ok();
    let bob_starts = (0..1_000_000).find(accepts).unwrap();
    assert!(ann_stops <= bob_starts && bob_starts < ann_stops + 10, "{ann_stops} {bob_starts}");
}

// Three members, their clocks and one scope; three clients that want it; a network in between.

/// What is under way.
enum Letter {
    Ask { client: usize, request: Option<Request>, command: Command },
    Answer { client: usize, request: Option<Request>, command: Command, response: Response },
}

struct Person {
    holder: Holder,
    // Parts in a million by which the clock is fast, or slow.
    fast: i64,
    asks_at: u64,
    sleeps_until: u64,
    believes: Option<(Token, Instant)>,
}

impl Person {
    fn clock(&self, time: u64) -> Now {
        let time = i64::try_from(time).unwrap();
        Now::mono(u64::try_from(1_000_000 + time + time * self.fast / 1_000_000).unwrap())
    }

    fn is_sure(&self, time: u64) -> bool {
        self.believes.is_some_and(|(_, until)| self.clock(time).mono < until)
    }
}

struct World {
    rng: Rng,
    time: u64,
    log: Log,
    clocks: Vec<Clock>,
    errors: Vec<i64>,
    leader: usize,
    people: Vec<Person>,
    wire: Vec<(u64, Letter)>,
    grants: u64,
    renewals: u64,
}

impl World {
    fn new(seed: u64, guard: Span) -> Self {
        let mut rng = Rng::new(seed);
        let config = Config { guard, grace: secs(1), max_grace: secs(2), ..Config::default() };
        let holder = Holder::new(holder::Config::beside(guard, Span::millis(OFFSET)));
        let people = (0..3).map(|_| Person {
            holder: holder.clone(),
            fast: i64::try_from(rng.below(1_000)).unwrap() - 500,
            asks_at: rng.below(50_000),
            sleeps_until: 0,
            believes: None,
        });
        Self {
            people: people.collect(),
            rng,
            time: 0,
            log: Log::new(config),
            clocks: vec![Clock::new(hlc::Config::default()); 3],
            errors: vec![0; 3],
            leader: 0,
            wire: Vec::new(),
            grants: 0,
            renewals: 0,
        }
    }

    fn member(&self, member: usize) -> Now {
        let wall = 1_000_000_000 + i64::try_from(self.time).unwrap() + self.errors[member];
        let wall = Wall::from_micros(u64::try_from(wall).unwrap());
        Now::both(Instant::from_micros(self.time), wall)
    }

    /// Commits an entry if a follower finds the leader's stamp acceptable.
    fn commit(&mut self) -> Option<Stamp> {
        let now = self.member(self.leader);
        let stamp = self.clocks[self.leader].stamp(now).ok()?;
        let follower = (self.leader + 1 + usize::try_from(self.rng.below(2)).unwrap()) % 3;
        self.clocks[follower].check(self.member(follower), stamp).ok()?;
        self.clocks.iter_mut().for_each(|clock| clock.raise(stamp));
        Some(stamp)
    }

    fn send(&mut self, letter: Letter) {
        if self.rng.below(10) > 0 {
            let delay = pick(&mut self.rng, &[1_000, 5_000, 40_000, 300_000]);
            self.wire.push((self.time + 1 + self.rng.below(delay), letter));
        }
    }

    /// What may go wrong with the group.
    fn disturb_members(&mut self) {
        let half = OFFSET * 1_000 / 2;
        match self.rng.below(1_500) {
            0 => {
                let member = usize::try_from(self.rng.below(3)).unwrap();
                let far = [0, 2 * half, self.rng.below(2 * half)];
                let error = pick(&mut self.rng, &far);
                self.errors[member] = i64::try_from(error).unwrap() - 125_000;
            }
            1 => {
                self.leader = usize::try_from(self.rng.below(3)).unwrap();
                if let Some(stamp) = self.commit() {
                    self.log.leader(stamp.millis());
                }
            }
            2 => {
                // Many entries at once borrow stamps from the time to come.
                let (now, count) = (self.member(self.leader), self.rng.below(OFFSET << 16));
                let _ = self.clocks[self.leader].stamps(now, count);
            }
            _ => {}
        }
    }

    fn receive(&mut self, letter: Letter) {
        match letter {
            Letter::Ask { client, request, command } => {
                let Some(stamp) = self.commit() else { return };
                let response = self.log.apply(stamp, command);
                self.send(Letter::Answer { client, request, command, response });
            }
            Letter::Answer { client, request, command, response } => {
                match (request, response, command) {
                    (Some(request), Response::Granted { token, duration, .. }, _) => {
                        self.step(client, Input::Granted { request, token, duration });
                    }
                    (
                        _,
                        Response::NotHeld | Response::Expired { .. },
                        Command::Renew { token, .. },
                    ) => {
                        self.step(client, Input::NotHeld { token });
                    }
                    _ => {}
                }
            }
        }
    }

    fn step(&mut self, client: usize, input: Input) {
        let now = self.people[client].clock(self.time);
        let mut out = Heard(Vec::new());
        let _ = self.people[client].holder.step(now, input, &mut out);
        let scope = name(DOOR);
        for output in out.0 {
            let (request, command) = match output {
                Output::AcquireNow { request } => {
                    let duration = Span::millis(500 + self.rng.below(1_500));
                    let holder = name(pick(&mut self.rng, &["ann", "bob", "eve"]));
                    (Some(request), Command::Acquire { scope, holder, duration })
                }
                Output::RenewNow { token, request } => {
                    (Some(request), Command::Renew { scope, token })
                }
                Output::Held { token, until } => {
                    let before = self.people[client].believes.replace((token, until));
                    let same = before.is_some_and(|(before, _)| before == token);
                    self.grants += u64::from(!same);
                    self.renewals += u64::from(same);
                    continue;
                }
                Output::Lost { token } => {
                    self.people[client].believes = None;
                    if self.rng.below(2) == 0 {
                        continue;
                    }
                    (None, Command::Release { scope, token })
                }
            };
            for _ in 0..=self.rng.below(2) {
                self.send(Letter::Ask { client, request, command });
            }
        }
    }

    /// What a client does by itself, unless it sleeps.
    fn act(&mut self, client: usize) {
        let now = self.people[client].clock(self.time).mono;
        let person = &mut self.people[client];
        if self.rng.below(3_000) == 0 {
            person.sleeps_until = self.time + self.rng.below(3_000_000);
        } else if person.holder.held().is_none() && self.time >= person.asks_at {
            person.asks_at = self.time + self.rng.below(30_000);
            self.step(client, Input::Acquire);
        } else if person.holder.deadline().is_some_and(|deadline| now >= deadline) {
            self.step(client, Input::Tick);
        } else if person.holder.held().is_some() && self.rng.below(4_000) == 0 {
            self.step(client, Input::Release);
        }
    }

    /// A millisecond of true time.
    fn pass(&mut self) {
        self.time += 1_000;
        self.disturb_members();
        for client in 0..3 {
            if self.time >= self.people[client].sleeps_until {
                self.act(client);
            }
        }
        while let Some(due) = self.wire.iter().position(|(at, _)| *at <= self.time) {
            let (_, letter) = self.wire.swap_remove(due);
            let client = match letter {
                Letter::Ask { .. } => None,
                Letter::Answer { client, .. } => Some(client),
            };
            match client.map(|client| self.people[client].sleeps_until) {
                Some(awake) if awake > self.time => self.wire.push((awake, letter)),
                _ => self.receive(letter),
            }
        }
    }
}

#[test]
fn two_clients_never_both_believe_that_they_hold() {
    let (mut grants, mut renewals) = (0, 0);
    for seed in 0..300 {
        let guard = Span::millis([0, 100, 300, 501][usize::try_from(seed % 4).unwrap()]);
        let mut world = World::new(seed, guard);
        let mut fence = Fence::new();
        for _ in 0..30_000 {
            world.pass();
            let sure: Vec<&Person> =
                world.people.iter().filter(|person| person.is_sure(world.time)).collect();
            assert!(sure.len() <= 1, "seed {seed} at {} us", world.time);
            for person in sure {
                let (token, _) = person.believes.unwrap();
                assert_eq!(fence.admit(token), Ok(()), "seed {seed} at {} us", world.time);
            }
        }
        (grants, renewals) = (grants + world.grants, renewals + world.renewals);
    }
    assert!(grants > 1_000 && renewals > 1_000, "{grants} grants, {renewals} renewals");
}
