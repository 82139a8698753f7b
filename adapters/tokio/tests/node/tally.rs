//! A state machine that shows what was applied twice.

use quorate::codec::{Malformed, NoRoom, Sink};
use quorate::{Position, StateMachine};
use quorate_host::protocol::Service;

/// All that was ever put in, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(pub(crate) Vec<u64>);

impl StateMachine for Tally {
    type Command = u64;
    type Response = u64;
    fn apply(&mut self, _: Position, command: &u64) -> u64 {
        self.0.push(*command);
        self.0.len() as u64
    }
    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.0.iter().try_for_each(|one| sink.put(&one.to_le_bytes()))
    }
    fn restore(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let numbers = bytes.chunks(8).map(|bytes| bytes.try_into().map(u64::from_le_bytes));
        self.0 = numbers.collect::<Result<_, _>>().map_err(|_| Malformed)?;
        Ok(())
    }
}

impl Service for Tally {
    type Query = ();
    type Answer = Vec<u64>;
    fn answer(&self, (): &()) -> Vec<u64> {
        self.0.clone()
    }
}
