//! Histories of clients, and whether they are linearizable.
