//! Configuration: raw text to validated values, with diagnostics.
