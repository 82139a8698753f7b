//! The host on tokio: a node inside a service that runs on it anyway, and a handle that asks the group.
//!
//! ```
//! use quorate::lease::Name;
//! use quorate_host::{config::Config, lease::table};
//! use quorate_tokio::Node;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
//! # let text = format!("[node]\nid = 1\nlisten = \"127.0.0.1:{port}\"\ndata = \"data\"\n\
//! #     [[member]]\nid = 1\naddress = \"127.0.0.1:{port}\"\n");
//! # let file = folder.path().join("node.toml");
//! # std::fs::write(&file, text)?;
//! let node = Node::start(&Config::load(&file)?, table()).await?;
//! let group = node.handle(); // Clone it into every task that needs it.
//!
//! let door = group.lease(Name::new("door")?, Name::new("ann")?, Duration::from_secs(10)).await?;
//! if !door.left().is_zero() { // It is renewed as long as it is there: look before each use.
//!     println!("grant {} of the door is ours", door.token());
//! }
//! door.release().await?;
//!
//! node.shutdown().await?; // Another leads by then, if there is another.
//! # Ok(())
//! # }
//! ```
//!
//! Everything that is bounded on threads is bounded here: readers of sockets wait while the node is busy
//! (and the node, while its disk is), clients who do not read are dropped, and frames for a member that
//! does not take them are lost. Nodes on threads and on tokio belong to one group. The disk is a thread
//! of its own; tasks never wait for it.

mod accept;
mod handle;
mod lease;
mod link;
mod node;
mod session;
mod stream;

pub use handle::{Handle, SESSIONS};
pub use lease::{Lease, Watch};
pub use node::Node;
pub use quorate_host::asking::Failure;
pub use quorate_host::lease::{NotHeld, Watched};
pub use quorate_host::life::{StartError, Stopped};
pub use session::status;
