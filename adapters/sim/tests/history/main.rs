//! The checker of histories: what is linearizable, what is not, and what it costs to know.

#![cfg(feature = "swarm")]

mod cost;
mod lines;
mod naive;
mod open;
mod order;
mod prefix;
mod values;
mod words;
