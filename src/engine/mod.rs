//! The whole behaviour, without sockets or clocks.

pub mod plan;
