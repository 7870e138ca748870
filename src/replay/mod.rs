//! Order histories under a virtual clock.
mod chart;
mod sweep;
