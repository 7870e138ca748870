//! The outbox: requests and the pushes in them, recorded before they leave (CORRECTNESS.md rule 3).

use rusqlite::params;
use serde::Serialize;
use uuid::Uuid;

use super::{Ledger, LedgerError, PlaceId, Reader, Result, Span};
use crate::domain::{ChannelId, Units, UtcMs, WriteRow};

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    /// Recorded; it may be on its way.
    Prepared,
    /// The channel took it.
    Applied,
    /// The channel refused it.
    Rejected,
    /// The number was not what the push required; nothing was written.
    Conflict,
    /// Nobody knows.
    Unknown,
    /// It surely never had an effect: throttled, never sent, or part of a call that failed as a whole.
    NotSent,
}

impl PushState {
    /// The name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
            Self::NotSent => "not_sent",
        }
    }
}

/// A number about to be sent, with what it was worked out from.
#[derive(Clone, Debug)]
pub struct NewPush {
    /// Where.
    pub place: PlaceId,
    /// The row as it will be sent.
    pub row: WriteRow,
    /// The inputs of the calculation, as JSON.
    pub inputs: String,
}

/// A request that is not settled.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// Its row.
    pub id: i64,
    /// Its idempotency key.
    pub key: String,
    /// Its rows, in the order they were sent.
    pub rows: Vec<WriteRow>,
    /// The places of the rows.
    pub places: Vec<PlaceId>,
    /// When it was recorded.
    pub prepared_at: UtcMs,
}

impl Ledger {
    /// Records a request and its pushes; each place is locked until its push is settled. Versions rise by one.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`]; also where a place already has an unresolved write, which would be a defect.
    pub fn prepare(&self, at: UtcMs, channel: &ChannelId, pushes: &[NewPush]) -> Result<OpenRequest> {
        let rows: Vec<WriteRow> = pushes.iter().map(|push| push.row.clone()).collect();
        let body = serde_json::to_string(&rows).map_err(|e| LedgerError::Content(e.to_string()))?;
        let id = self.last_request()? + 1;
        let key = self.request_key(id)?;
        self.run(
            "INSERT INTO request (id, channel, key, body, state, prepared_at) VALUES (?1, ?2, ?3, ?4, 'prepared', ?5)",
            &[&id, &channel.as_str(), &key, &body, &at],
        )?;
        let seq = self.last_movement()?;
        for push in pushes {
            let version: i64 = self.one(
                "UPDATE listing_stock SET version = version + 1, request = ?2, flight_sold = 0, flight_back = 0 \
                 WHERE id = ?1 AND request IS NULL RETURNING version",
                params![push.place.0, id],
                |row| row.get(0),
            )?;
            self.run(
                "INSERT INTO push (place, version, value, change_from, request, ledger_seq, inputs, state) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'prepared')",
                &[&push.place.0, &version, &push.row.value, &push.row.change_from, &id, &seq, &push.inputs],
            )?;
        }
        self.head.due.set(true);
        let places = pushes.iter().map(|push| push.place).collect();
        Ok(OpenRequest { id, key, rows, places, prepared_at: at })
    }

    /// The key depends on the ledger and the request only, so that a restart repeats it.
    fn request_key(&self, id: i64) -> Result<String> {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_OID, self.ledger_id()?.as_bytes());
        Ok(Uuid::new_v5(&namespace, &id.to_be_bytes()).to_string())
    }

    /// The channel took the number. `exact`: nothing sold before the write landed is missing from it (compare-and-set).
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn settle_applied(
        &self,
        request: i64,
        place: PlaceId,
        at: UtcMs,
        landed: Span,
        exact: bool,
    ) -> Result<()> {
        let Some(value) = self.end_push(request, place, PushState::Applied, None)? else { return Ok(()) };
        // Sales that came in meanwhile surely followed an exact write; an absolute one may have erased them.
        self.run(
            "UPDATE listing_stock SET \
               expected = ?3 + flight_back - CASE WHEN ?6 THEN flight_sold ELSE 0 END, \
               slack = CASE WHEN ?6 THEN 0 ELSE flight_sold + flight_back END, unplaced = 0, \
               needs_read = undecided > 0 OR flight_back > 0 OR (NOT ?6 AND flight_sold > 0), \
               expected_at = ?7, landed_from = ?4, landed_to = ?5, request = NULL, flight_sold = 0, flight_back = 0 \
             WHERE id = ?1 AND request = ?2",
            &[&place.0, &request, &value, &landed.from, &landed.to, &exact, &at],
        )?;
        self.run("UPDATE shadow SET open = 0 WHERE place = ?1 AND open = 1", &[&place.0])?;
        Ok(())
    }

    /// The number surely did not change through this push. While nobody knew that, it was believed to be the larger of
    /// two; only a read tells which.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn settle_without_effect(
        &self,
        request: i64,
        place: PlaceId,
        state: PushState,
        detail: &str,
    ) -> Result<()> {
        if self.end_push(request, place, state, Some(detail))?.is_none() {
            return Ok(());
        }
        self.run(
            "UPDATE listing_stock SET request = NULL, flight_sold = 0, flight_back = 0, needs_read = needs_read OR ?3 \
             OR (SELECT attempts > 0 FROM request WHERE id = ?2) WHERE id = ?1 AND request = ?2",
            &[&place.0, &request, &(state == PushState::Conflict)],
        )?;
        Ok(())
    }

    /// Gives the value of the push; `None` where it is settled already: a whole request is repeated, also for the
    /// sake of one row.
    fn end_push(
        &self,
        request: i64,
        place: PlaceId,
        state: PushState,
        detail: Option<&str>,
    ) -> Result<Option<Units>> {
        self.maybe(
            "UPDATE push SET state = ?3, detail = ?4 WHERE request = ?1 AND place = ?2 \
             AND state IN ('prepared', 'unknown') RETURNING value",
            params![request, place.0, state.name(), detail],
            |row| row.get(0),
        )
    }

    /// Nobody knows whether the number was written: it is believed to be the larger of the two.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn mark_unknown(&self, request: i64, place: PlaceId, detail: &str) -> Result<()> {
        let Some(value) = self.end_push(request, place, PushState::Unknown, Some(detail))? else {
            return Ok(());
        };
        self.run("UPDATE request SET state = 'unknown', attempts = attempts + 1 WHERE id = ?1", &[&request])?;
        self.run(
            "UPDATE listing_stock SET expected = max(coalesce(expected, 0), ?3 + flight_back) \
             WHERE id = ?1 AND request = ?2",
            &[&place.0, &request, &value],
        )?;
        Ok(())
    }

    /// A read after the settle time stands in for the answer that an unknown write never had. Compare the number read
    /// afterwards.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn settle_by_read(&self, request: i64, place: PlaceId, shown: Units) -> Result<()> {
        let value: Units = self.one(
            "SELECT value FROM push WHERE request = ?1 AND place = ?2",
            params![request, place.0],
            |row| row.get(0),
        )?;
        let detail = format!("outcome unknown; a later read showed {shown}");
        let (state, detail) =
            if value == shown { (PushState::Applied, None) } else { (PushState::Rejected, Some(&*detail)) };
        self.end_push(request, place, state, detail)?;
        // It may have landed after sales that came in meanwhile, and erased them.
        self.run(
            "UPDATE listing_stock SET expected = max(coalesce(expected, 0), ?3 + flight_back), request = NULL, \
             flight_sold = 0, flight_back = 0 WHERE id = ?1 AND request = ?2",
            &[&place.0, &request, &value],
        )?;
        Ok(())
    }

    /// Ends a request none of whose places waits for it any more. Gives whether it has ended.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn close_request(&self, request: i64, at: UtcMs) -> Result<bool> {
        let changed = self.run(
            "UPDATE request SET state = 'settled', settled_at = ?2 WHERE id = ?1 \
             AND NOT EXISTS (SELECT 1 FROM listing_stock WHERE request = ?1)",
            &[&request, &at],
        )?;
        Ok(changed > 0)
    }
}

impl Reader {
    /// The requests of a channel that are not settled, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`], or [`LedgerError::Content`] for a body that can't be read back.
    pub fn open_requests(&self, channel: &ChannelId) -> Result<Vec<OpenRequest>> {
        let requests: Vec<(i64, String, String, UtcMs)> = self.all(
            "SELECT id, key, body, prepared_at FROM request WHERE channel = ?1 AND state <> 'settled' ORDER BY id",
            [channel.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        requests
            .into_iter()
            .map(|(id, key, body, prepared_at)| {
                let rows = serde_json::from_str(&body)
                    .map_err(|e| LedgerError::Content(format!("request {id}: {e}")))?;
                let places =
                    self.all("SELECT place FROM push WHERE request = ?1 ORDER BY id", [id], |row| {
                        row.get(0)
                    })?;
                Ok(OpenRequest { id, key, rows, places, prepared_at })
            })
            .collect()
    }
}
