//! Collections with a limit. What would not fit is handed back, and nothing has changed.
//!
//! One [`List`] stands on a `Vec` (feature `alloc`, which grows on use) or on inline storage
//! (feature `heapless`); [`Ring`] and [`Map`] stand on the list. The limit is the same on both, so
//! what is tested on a workstation is what runs on a board. This folder and [`limits`] are the
//! only places that know which backend is in use.
//!
//! [`limits`]: crate::limits

mod list;
mod map;
mod ring;

pub use list::List;
pub use map::Map;
pub use ring::Ring;

/// The name of the backend in use: `"alloc"` or `"heapless"`.
#[cfg(feature = "alloc")]
pub const BACKEND: &str = "alloc";
/// The name of the backend in use: `"alloc"` or `"heapless"`.
#[cfg(not(feature = "alloc"))]
pub const BACKEND: &str = "heapless";
