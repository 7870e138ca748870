//! What can go wrong with a ledger, in words for the person who has to mend it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// An error of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another program has it open for writing.
    #[error("{} is in use by another stockd; stop that one first (systemctl stop stockd)", .0.display())]
    Locked(PathBuf),
    /// There is no such file.
    #[error("there is no ledger at {}; `stockd stock import` or `stockd run` makes one", .0.display())]
    Missing(PathBuf),
    /// Written by a newer program.
    #[error("{} has schema version {found}, this program knows {known} at most; install the newer stockd again",
        path.display(), known = super::SCHEMA_VERSION)]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The file can't be opened, read or trusted.
    #[error("can't use the ledger {}: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        detail: String,
    },
    /// The head record beside it is that of another ledger.
    #[error("{} is the head record of another ledger than {}: if this ledger was put there by mistake, put the right one \
        back; if it is meant, remove {} and start again", head.display(), path.display(), head.display())]
    OtherHead {
        /// The ledger.
        path: PathBuf,
        /// The head record.
        head: PathBuf,
    },
    /// The head record can't be read or written.
    #[error("can't use the head record {}: {detail}; check that it is a file that this user may write, with room on \
        its disk", path.display())]
    Head {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The database refused a statement.
    #[error("ledger: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Stored text that can't be read back.
    #[error("ledger row can't be read: {0}")]
    Content(String),
}

impl LedgerError {
    pub(super) fn unusable(path: &Path, error: &rusqlite::Error) -> Self {
        let cure = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "; the file is damaged: stop stockd, keep the file and its -wal and -shm elsewhere, put the latest backup in \
                 their place, leave its .head where it is and start again"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                "; check that the folder exists, is writable for this user and has room"
            }
            _ => "",
        };
        Self::Unusable { path: path.to_owned(), detail: format!("{error}{cure}") }
    }

    /// Whether waiting may help: the disk is full or another program holds the file.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Head { .. })
            || matches!(self, Self::Sqlite(e) if matches!(
                e.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SystemIoFailure)
            ))
    }
}
