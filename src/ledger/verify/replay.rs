//! One pass over the movements: the chain, the balances, and at each push's ledger position what it was worked out from.

use std::collections::VecDeque;

use super::{
    Depth, Invariant, VerifyReport,
    balances::{Balances, Held},
    checkpoint::Checkpoint,
    pushes::PushCursor,
    text,
};
use crate::{
    domain::Units,
    ledger::{
        Reader, Result,
        movements::{CHAIN_START, ChainFields},
    },
};

const TRIGGERS: [&str; 2] = ["movement_is_never_updated", "movement_is_never_deleted"];

/// Where the pass stands.
struct Replay<'a> {
    report: &'a mut VerifyReport,
    balances: Balances,
    last: i64,
    chain: Vec<u8>,
    checkpoints: VecDeque<Checkpoint>,
}

impl Reader {
    pub(super) fn check_movements(&self, report: &mut VerifyReport) -> Result<()> {
        self.check_triggers(report)?;
        let start = match report.depth {
            Depth::Whole => None,
            Depth::SinceCheckpoint => self.last_checkpoint()?,
        };
        let mut replay = Replay {
            report,
            balances: Balances::default(),
            last: 0,
            chain: CHAIN_START.to_vec(),
            checkpoints: VecDeque::new(),
        };
        match start {
            None => replay.checkpoints = self.checkpoints()?.into(),
            Some(checkpoint) => {
                replay.balances = self.balances_at(checkpoint.movement)?;
                replay.last = checkpoint.movement;
                replay.chain = self.hash_of(checkpoint.movement)?;
                replay.compare_checkpoint(&checkpoint);
            }
        }
        self.walk(replay)
    }

    fn check_triggers(&self, report: &mut VerifyReport) -> Result<()> {
        for trigger in TRIGGERS {
            let there: bool = self.one(
                "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?1)",
                [trigger],
                |row| row.get(0),
            )?;
            if !there {
                report.problem(
                    Invariant::AppendOnly,
                    "table movement".into(),
                    format!("its trigger {trigger} is gone"),
                );
            }
        }
        Ok(())
    }

    fn hash_of(&self, movement: i64) -> Result<Vec<u8>> {
        let hash = self.maybe("SELECT hash FROM movement WHERE id = ?1", [movement], |row| row.get(0))?;
        Ok(hash.unwrap_or_default())
    }

    /// The balances right after a movement: those of now less what has moved since.
    fn balances_at(&self, movement: i64) -> Result<Balances> {
        let mut balances = Balances::default();
        self.each_balance(|sku, location, held| balances.add(sku, location, held.on_hand, held.committed))?;
        let mut statement = self
            .conn
            .prepare("SELECT sku, location, on_hand_delta, committed_delta FROM movement WHERE id > ?1")?;
        let mut rows = statement.query([movement])?;
        while let Some(row) = rows.next()? {
            let (on_hand, committed): (Units, Units) = (row.get(2)?, row.get(3)?);
            balances.add(text(row, 0)?, text(row, 1)?, -on_hand, -committed);
        }
        Ok(balances)
    }

    fn walk(&self, mut replay: Replay<'_>) -> Result<()> {
        let mut push_statement = self.conn.prepare(PushCursor::SQL)?;
        let first_push = self.first_push_at(replay.last)?;
        let mut pushes = PushCursor::new(push_statement.query([first_push])?);
        let mut statement = self.conn.prepare(
            "SELECT id, at, effective_at, on_hand_delta, committed_delta, sku, location, kind, channel, order_ref, \
             reason, hash FROM movement WHERE id > ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([replay.last])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            pushes.judge_up_to(replay.last, &replay.balances, replay.report)?;
            replay.step(row)?;
            count += 1;
        }
        pushes.judge_up_to(replay.last, &replay.balances, replay.report)?;
        pushes.judge_rest(replay.report)?;
        replay.report.checked(Invariant::AppendOnly, count, "movements");
        replay.report.checked(Invariant::Justified, pushes.judged, "pushes");
        for checkpoint in replay.checkpoints {
            let subject = format!("checkpoint at movement {}", checkpoint.movement);
            replay.report.problem(Invariant::AppendOnly, subject, "that movement isn't there".into());
        }
        self.compare_stock(replay.balances, replay.report)
    }

    fn compare_stock(&self, mut sums: Balances, report: &mut VerifyReport) -> Result<()> {
        let mut count = 0;
        self.each_balance(|sku, location, stored| {
            count += 1;
            let sum = sums.take(sku, location);
            if sum != stored {
                report.problem(Invariant::Balances, subject(sku, location), difference(stored, sum));
            }
        })?;
        for (sku, location, sum) in sums.left() {
            report.problem(Invariant::Balances, subject(sku, location), difference(Held::default(), sum));
        }
        report.checked(Invariant::Balances, count, "SKUs at locations");
        Ok(())
    }
}

impl Replay<'_> {
    fn step(&mut self, row: &rusqlite::Row<'_>) -> Result<()> {
        let id: i64 = row.get(0)?;
        let (on_hand, committed): (i64, i64) = (row.get(3)?, row.get(4)?);
        let maybe = |at: usize| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str_or_null()?);
        let (sku, location) = (text(row, 5)?, text(row, 6)?);
        let stored = row.get_ref(11)?.as_blob().map_err(rusqlite::Error::from)?;
        let hash = ChainFields {
            id,
            numbers: [row.get(1)?, row.get(2)?, on_hand, committed],
            sku,
            location,
            kind: text(row, 7)?,
            texts: [maybe(8)?, maybe(9)?, maybe(10)?],
        }
        .hash_after(&self.chain);
        if id != self.last + 1 {
            let missing = format!("movements {} to {}", self.last + 1, id - 1);
            self.report.problem(Invariant::AppendOnly, missing, "they are missing".into());
        } else if hash != stored {
            let detail = "its hash doesn't follow from the one before it and its content";
            self.report.problem(
                Invariant::AppendOnly,
                format!("movement {id} of SKU {sku} at {location}"),
                detail.into(),
            );
        }
        self.balances.add(sku, location, Units::of(on_hand), Units::of(committed));
        self.last = id;
        // Go on from what is stored, so that one damaged row is named once.
        self.chain.clear();
        self.chain.extend_from_slice(stored);
        if let Some(checkpoint) = self.checkpoints.pop_front_if(|checkpoint| checkpoint.movement <= id) {
            self.compare_checkpoint(&checkpoint);
        }
        Ok(())
    }

    fn compare_checkpoint(&mut self, checkpoint: &Checkpoint) {
        let subject = format!("checkpoint at movement {}", checkpoint.movement);
        if checkpoint.chain_hash != self.chain {
            let detail = "the chain there is another one now: history was changed after it was written";
            self.report.problem(Invariant::AppendOnly, subject.clone(), detail.into());
        }
        if checkpoint.balances_hash != self.balances.hash() {
            let detail = "the balances there are others now: stock or movements were changed by hand";
            self.report.problem(Invariant::Balances, subject, detail.into());
        }
    }
}

fn subject(sku: &str, location: &str) -> String {
    format!("SKU {sku} at {location}")
}

fn difference(stored: Held, sum: Held) -> String {
    format!(
        "stock says on hand {}, committed {}; its movements add up to on hand {}, committed {}",
        stored.on_hand, stored.committed, sum.on_hand, sum.committed
    )
}
