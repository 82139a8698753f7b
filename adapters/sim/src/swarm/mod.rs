//! Whole runs from a seed: a group, its clients, and everything that can go wrong.
