//! The ledger: SQLite and nothing else; the only module that knows SQL. It never sees HTTP.
