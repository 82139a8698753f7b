//! A lease table under any commands and stamps, and from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate::bounded::List;
use quorate::id::{EntryId, Index, Term};
use quorate::hlc::Stamp;
use quorate::lease::{Command, Config, Response, Table, Token};
use quorate::limits::BOARD;
use quorate::{Position, StateMachine};

/// What a table writes; a board's table fits.
fn bytes_of(table: &Table) -> List<u8, 8_192> {
    let mut bytes = List::new();
    table.snapshot(&mut bytes).expect("it fits");
    bytes
}

fn table() -> Table {
    Table::new(Config::default(), BOARD)
}

fuzz_target!(|run: (Vec<(u16, bool, Command)>, Vec<u8>)| {
    let (commands, bytes) = run;
    // Bytes from outside: refused without a change, or a state that writes those very bytes.
    let mut from_bytes = table();
    match from_bytes.restore(&bytes) {
        Ok(()) => assert_eq!(*bytes_of(&from_bytes), bytes[..]),
        Err(_) => assert_eq!(from_bytes, table()),
    }
    let (mut table, mut millis, mut highest) = (table(), 1_000_u64, Token::ZERO);
    for (index, (step, is_barrier, command)) in (1..).zip(commands) {
        millis += u64::from(step);
        let entry = EntryId::new(Term::new(1), Index::new(index));
        let at = Position { entry, stamp: Stamp::at_millis(millis) };
        if is_barrier {
            table.leader_changed(at);
        }
        let scope = match command {
            Command::Acquire { scope, .. } => Some(scope),
            _ => None,
        };
        let before = scope.and_then(|scope| table.lease(&scope).copied());
        let response = table.apply(at, &command);
        if let (Some(_), Response::Granted { token, .. }) = (scope, response) {
            assert!(token > highest, "tokens rise");
            let over = before.is_none_or(|lease| {
                at.stamp >= lease.expires_at.after(Config::default().guard)
            });
            assert!(over, "nobody holds what is granted, and the guard has passed");
            highest = token;
        }
        let mut restored = self::table();
        restored.restore(&bytes_of(&table)).expect("what is written can be read");
        assert_eq!(*bytes_of(&restored), *bytes_of(&table));
        assert_eq!(restored.due(), table.due());
    }
});
