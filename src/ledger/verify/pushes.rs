//! What was sent: each number follows from its recorded inputs, and versions, locks and requests agree.

use rusqlite::Rows;
use serde::Deserialize;

use super::{Invariant, VerifyReport, balances::Balances};
use crate::{
    domain::{Calculation, LocationId, Units, WriteRow, policy},
    ledger::{ComponentStock, Reader, Result},
};

/// The inputs of a push as it recorded them.
#[derive(Deserialize)]
struct Recorded {
    components: Vec<ComponentStock>,
    locations: Vec<LocationId>,
    calculation: Calculation,
    pause: Option<RecordedPause>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordedPause {
    Hold,
    Zero,
}

struct Push {
    id: i64,
    version: i64,
    value: Units,
    ledger_seq: i64,
    inputs: String,
    place: String,
}

impl Push {
    fn subject(&self) -> String {
        format!("push {} (version {} of {})", self.id, self.version, self.place)
    }

    /// Why the number sent was not the right one; `None` if it was.
    fn fault(&self, balances: &Balances) -> Option<String> {
        let recorded: Recorded = match serde_json::from_str(&self.inputs) {
            Ok(recorded) => recorded,
            Err(error) => return Some(format!("its recorded inputs can't be read: {error}")),
        };
        for part in &recorded.components {
            let held = balances.over(part.sku.as_str(), &recorded.locations);
            if (held.on_hand, held.committed) != (part.on_hand, part.committed) {
                return Some(format!(
                    "it counted on hand {}, committed {} of SKU {}; at ledger position {} they were {} and {}",
                    part.on_hand, part.committed, part.sku, self.ledger_seq, held.on_hand, held.committed
                ));
            }
            if part.shadow < Units::ZERO {
                return Some(format!("a shadow of {} for SKU {} would raise it", part.shadow, part.sku));
            }
        }
        let available =
            policy::listing_available(recorded.components.iter().map(|c| (c.units, c.available())));
        let calculation = recorded.calculation;
        if calculation != calculation.policy.calculate(available) {
            return Some(format!(
                "its calculation gives {} of {} available; policy gives {} of {available}",
                calculation.target,
                calculation.available,
                calculation.policy.target(available)
            ));
        }
        let right = match recorded.pause {
            None => calculation.target,
            Some(RecordedPause::Zero) => Units::ZERO,
            Some(RecordedPause::Hold) => return Some("it was sent although a pause held the place".into()),
        };
        let most = calculation.policy.cap.unwrap_or(available).min(available).at_least_zero();
        if self.value != right || self.value > most {
            return Some(format!("it sent {}; its inputs justify {right}, {most} at most", self.value));
        }
        None
    }
}

/// Pushes in the order they were recorded, judged as the replay of the movements reaches them.
pub(super) struct PushCursor<'a> {
    rows: Rows<'a>,
    next: Option<Push>,
    begun: bool,
    position: i64,
    pub(super) judged: i64,
}

impl<'a> PushCursor<'a> {
    pub(super) const SQL: &'static str = "SELECT p.id, p.version, p.value, p.ledger_seq, p.inputs, \
         l.channel || ' ' || l.listing_id || rtrim(' ' || s.channel_location) FROM push p \
         JOIN listing_stock s ON s.id = p.place JOIN listing l ON l.id = s.listing WHERE p.id >= ?1 ORDER BY p.id";

    pub(super) const fn new(rows: Rows<'a>) -> Self {
        Self { rows, next: None, begun: false, position: 0, judged: 0 }
    }

    /// Judges the pushes recorded when `movement` was the last one, with the balances right after it.
    pub(super) fn judge_up_to(
        &mut self,
        movement: i64,
        balances: &Balances,
        report: &mut VerifyReport,
    ) -> Result<()> {
        if !self.begun {
            self.begun = true;
            self.advance()?;
        }
        while let Some(push) = self.next.take_if(|push| push.ledger_seq <= movement) {
            self.judged += 1;
            if push.ledger_seq < self.position {
                let detail =
                    format!("it is recorded at ledger position {} behind {}", push.ledger_seq, self.position);
                report.problem(Invariant::Justified, push.subject(), detail);
            } else if let Some(detail) = push.fault(balances) {
                report.problem(Invariant::Justified, push.subject(), detail);
            }
            self.position = self.position.max(push.ledger_seq);
            self.advance()?;
        }
        Ok(())
    }

    /// What is left once every movement has been seen refers to movements that aren't there.
    pub(super) fn judge_rest(&mut self, report: &mut VerifyReport) -> Result<()> {
        while let Some(push) = self.next.take() {
            self.judged += 1;
            let detail = format!("it is recorded at ledger position {}, which isn't there", push.ledger_seq);
            report.problem(Invariant::Justified, push.subject(), detail);
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.next = match self.rows.next()? {
            None => None,
            Some(row) => Some(Push {
                id: row.get(0)?,
                version: row.get(1)?,
                value: row.get(2)?,
                ledger_seq: row.get(3)?,
                inputs: row.get(4)?,
                place: row.get(5)?,
            }),
        };
        Ok(())
    }
}

impl Reader {
    /// The first push recorded at or after a ledger position; they are recorded in the order of their positions.
    pub(super) fn first_push_at(&self, position: i64) -> Result<i64> {
        let before: Option<i64> = self.maybe(
            "SELECT id FROM push WHERE ledger_seq < ?1 ORDER BY id DESC LIMIT 1",
            [position],
            |row| row.get(0),
        )?;
        Ok(before.unwrap_or(0) + 1)
    }

    /// Requests and the pushes in them: the bodies say what the pushes say, and the states fit together.
    pub(super) fn check_requests(&self, report: &mut VerifyReport) -> Result<()> {
        let mut statement =
            self.conn.prepare("SELECT id, state, settled_at IS NOT NULL, body FROM request")?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            let (id, state): (i64, String) = (row.get(0)?, row.get(1)?);
            let (settled, body): (bool, String) = (row.get(2)?, row.get(3)?);
            let mut found =
                |detail: String| report.problem(Invariant::Ordered, format!("request {id}"), detail);
            if settled != (state == "settled") {
                found(format!("it is {state}, which doesn't fit its settling time"));
            }
            let open: i64 = self.one(
                "SELECT count(*) FROM push WHERE request = ?1 AND state IN ('prepared', 'unknown')",
                [id],
                |row| row.get(0),
            )?;
            if settled && open > 0 {
                found(format!("it is settled, but {open} of its pushes are not"));
            } else if !settled && open == 0 {
                found(format!("it is {state}, but all of its pushes are settled"));
            }
            if let Some(detail) = self.body_fault(id, &body)? {
                found(detail);
            }
        }
        report.checked(Invariant::Ordered, count, "requests");
        Ok(())
    }

    /// How a request's body differs from its pushes.
    fn body_fault(&self, request: i64, body: &str) -> Result<Option<String>> {
        let sent: Vec<WriteRow> = match serde_json::from_str(body) {
            Ok(rows) => rows,
            Err(error) => return Ok(Some(format!("its body can't be read: {error}"))),
        };
        let pushes: Vec<(String, String, Units, Option<Units>)> = self.all(
            "SELECT l.listing_id, s.channel_location, p.value, p.change_from FROM push p \
             JOIN listing_stock s ON s.id = p.place JOIN listing l ON l.id = s.listing WHERE p.request = ?1 \
             ORDER BY p.id",
            [request],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        if sent.len() != pushes.len() {
            return Ok(Some(format!(
                "its body has {} rows, but {} pushes belong to it",
                sent.len(),
                pushes.len()
            )));
        }
        let differs = sent.iter().zip(&pushes).find(|(row, (listing, location, value, change_from))| {
            row.place.listing.as_str() != listing
                || row.place.location.as_str() != location
                || row.value != *value
                || row.change_from != *change_from
        });
        Ok(differs.map(|(row, (listing, _, value, _))| {
            format!("its body sets {} to {}, its push {listing} to {value}", row.place.listing, row.value)
        }))
    }

    /// Per place: versions rise, the last one is the place's, and the lock is held by just the unresolved write.
    pub(super) fn check_places(&self, report: &mut VerifyReport) -> Result<()> {
        let mut statement = self.conn.prepare(
            "SELECT s.id, l.channel || ' ' || l.listing_id || rtrim(' ' || s.channel_location), s.version, s.request \
             FROM listing_stock s JOIN listing l ON l.id = s.listing",
        )?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            let (id, version): (i64, i64) = (row.get(0)?, row.get(2)?);
            if let Some(detail) = self.place_fault(id, version, row.get(3)?)? {
                report.problem(Invariant::Ordered, format!("place {}", row.get::<_, String>(1)?), detail);
            }
        }
        report.checked(Invariant::Ordered, count, "places");
        Ok(())
    }

    fn place_fault(&self, place: i64, version: i64, lock: Option<i64>) -> Result<Option<String>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT id, version, request, state IN ('prepared', 'unknown') FROM push WHERE place = ?1 ORDER BY version",
        )?;
        let mut rows = statement.query([place])?;
        let (mut last, mut last_id, mut last_request, mut unresolved) = (0, 0, 0, Vec::new());
        while let Some(row) = rows.next()? {
            let (id, next, request): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if next <= last || id <= last_id || request <= last_request {
                return Ok(Some(format!(
                    "push {id} has version {next}, but was not recorded after version {last}"
                )));
            }
            (last, last_id, last_request) = (next, id, request);
            if row.get(3)? {
                unresolved.push(request);
            }
        }
        if last != version {
            return Ok(Some(format!("its last version is {version}, that of its last push {last}")));
        }
        Ok(match (&unresolved[..], lock) {
            ([], None) => None,
            ([request], Some(lock)) if *request == lock => None,
            ([], Some(lock)) => {
                Some(format!("it waits for request {lock}, in which nothing is unresolved for it"))
            }
            ([request], _) => {
                Some(format!("a push of request {request} is unresolved, but nothing waits for it"))
            }
            (several, _) => Some(format!("{} writes are unresolved at one time", several.len())),
        })
    }
}
