//! Every reachable state of a small group of the shipped machines.
