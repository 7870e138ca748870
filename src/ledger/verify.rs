//! Does the ledger still say what was written into it?
