//! Leases: the right to a scope, for a while, to at most one holder at a time.
//!
//! [`Table`] is the replicated part, [`Holder`] the client's, and [`Fence`] stands at the resource
//! itself. A grant is named by a [`Token`], the log position of the entry that made it, which rises
//! with every grant.
//!
//! # Why two holders never overlap
//!
//! Let `m` be the clock's [`max_offset`](crate::hlc::Config::max_offset): the most by which the
//! civil clocks of any two members differ, and the most by which a quorum lets a stamp run ahead.
//!
//! 1. A lease is granted or renewed for `d` by an entry that its leader stamped no lower than its
//!    civil clock, after the holder had sent its request.
//! 2. The scope is granted anew when some later entry's stamp reaches `d + guard` above that. A
//!    member that acknowledged this entry saw the stamp at most `m` ahead of its own clock, which
//!    is at most `m` ahead of the first leader's. So on the first leader's clock at least
//!    `d + guard - 2m` have passed, less a millisecond because stamps are cut to milliseconds.
//! 3. The holder stops `d - margin` after it *sent* the request, less what its monotonic clock may
//!    lose on the civil clocks meanwhile.
//!
//! So `guard + margin >= 2m + 1 ms` is enough, and [`holder::Config::beside`] computes the margin.
//! That a stale leader proposes, or a slow one, changes nothing: only committed stamps count. Grace
//! after a change of leaders only makes a lease longer in the table, where no holder sees it.
//!
//! What this does not cover: a member that leads with a clock further off than `m` (one without a
//! clock goes by what it has heard, and that must not be further off either), and a holder whose
//! process stops between its check of the time and its use of the resource. For the latter, and for
//! peace of mind, the resource asks a [`Fence`].
//!
//! ```
//! use quorate::hlc::Stamp;
//! use quorate::id::{EntryId, Index, Term};
//! use quorate::lease::{Command, Config, Name, Response, Table};
//! use quorate::limits::BOARD;
//! use quorate::time::Span;
//! use quorate::{Position, StateMachine};
//!
//! let mut table = Table::new(Config::default(), BOARD);
//! let at = |index, millis| Position {
//!     entry: EntryId::new(Term::new(1), Index::new(index)),
//!     stamp: Stamp::at_millis(millis),
//! };
//! let (scope, ann, bob) = (Name::new("door")?, Name::new("ann")?, Name::new("bob")?);
//! let duration = Span::secs(10);
//!
//! let granted = table.apply(at(1, 1_000), &Command::Acquire { scope, holder: ann, duration });
//! let Response::Granted { token, .. } = granted else { panic!("nobody held it") };
//! let refused = table.apply(at(2, 2_000), &Command::Acquire { scope, holder: bob, duration });
//! assert!(matches!(refused, Response::Held { holder, .. } if holder == ann));
//! assert_eq!(table.apply(at(3, 3_000), &Command::Release { scope, token }), Response::Released);
//! # Ok::<(), quorate::lease::BadName>(())
//! ```

mod command;
mod deadlines;
mod events;
mod fence;
pub mod holder;
mod name;
mod table;

pub use command::{Command, Response};
pub use events::{Change, Compacted, Event};
pub use fence::{Fence, StaleToken, Token};
pub use holder::Holder;
pub use name::{BadName, Name};
pub use table::{Config, Lease, Table};
