//! The whole behaviour, without sockets or clocks.
