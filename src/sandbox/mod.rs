//! The channels' APIs emulated over HTTP on loopback, with shoppers, rate limits, delays and faults.
