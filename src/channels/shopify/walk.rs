//! Walks along a connection that are too long for one.

use super::MAX_DEPTH;
use crate::domain::{CallError, PageToken};

/// Where a walk along a connection stands, in a page token `floor/walked/cursor`.
pub(super) struct Walk {
    /// What the filter starts at: a time in milliseconds, or an id.
    pub(super) floor: i64,
    /// Rows seen since.
    pub(super) walked: usize,
    /// The cursor of the last of them.
    pub(super) cursor: Option<String>,
}

impl Walk {
    pub(super) fn parse(token: &PageToken) -> Result<Self, CallError> {
        let parts = || {
            let mut parts = token.as_str().splitn(3, '/');
            let (floor, walked, cursor) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Self {
                floor: floor.parse().ok()?,
                walked: walked.parse().ok()?,
                cursor: Some(cursor.to_owned()).filter(|c| !c.is_empty()),
            })
        };
        parts().ok_or_else(|| CallError::Rejected {
            detail: "a page token that this channel never made".to_owned(),
        })
    }

    /// Behind a page of `rows`; a new walk from `restart` before the connection gets too deep.
    pub(super) fn next(self, cursor: String, rows: usize, restart: Option<i64>) -> Self {
        let walked = self.walked + rows;
        match restart {
            Some(floor) if walked >= MAX_DEPTH => Self { floor, walked: 0, cursor: None },
            _ => Self { floor: self.floor, walked, cursor: Some(cursor) },
        }
    }

    pub(super) fn token(&self) -> PageToken {
        PageToken::new(format!(
            "{}/{}/{}",
            self.floor,
            self.walked,
            self.cursor.as_deref().unwrap_or_default()
        ))
    }
}
