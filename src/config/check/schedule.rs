//! When things recur: a fixed interval or a cron expression.

use std::{str::FromStr, time::Duration};

use cron::Schedule;

use super::Check;
use crate::{
    config::{
        diagnose::Path,
        raw::{RawCadence, RawOrders},
    },
    domain::Cadence,
};

impl From<&RawOrders> for RawCadence {
    fn from(raw: &RawOrders) -> Self {
        Self { every: raw.every.clone(), cron: raw.cron.clone() }
    }
}

/// A cadence; an empty one is the default.
pub(super) fn cadence(check: &mut Check<'_>, at: &Path, raw: &RawCadence, default: &RawCadence) -> Cadence {
    match (&raw.every, &raw.cron) {
        (Some(_), Some(_)) => {
            check.problem(
                at,
                "two schedules for one thing",
                "either `every` or `cron`",
                "remove one of `every` and `cron`",
            );
            Cadence::Every(Duration::ZERO)
        }
        (Some(every), None) => Cadence::Every(check.duration(&at.key("every"), every, "100ms", "31d")),
        (None, Some(cron)) => {
            cron_expression(check, &at.key("cron"), cron).unwrap_or(Cadence::Every(Duration::ZERO))
        }
        (None, None) if default.every.is_some() || default.cron.is_some() => {
            cadence(check, at, default, &RawCadence::default())
        }
        (None, None) => Cadence::Every(Duration::ZERO),
    }
}

fn cron_expression(check: &mut Check<'_>, at: &Path, text: &str) -> Option<Cadence> {
    let expected = "second minute hour day month weekday, in UTC";
    let fields: Vec<&str> = text.split_whitespace().collect();
    if !text.starts_with('@') && !(6..=7).contains(&fields.len()) {
        let cure = if fields.len() == 5 {
            format!("the first field is the second: write \"0 {text}\"")
        } else {
            "write six fields, such as \"0 15 3 * * *\" for every day at 03:15".to_owned()
        };
        check.problem(at, "this cron expression has the wrong number of fields", expected, cure);
        return None;
    }
    // Some crons count Sunday as 0, some as 1: a number would be wrong for half of all people.
    if fields.get(5).is_some_and(|weekday| weekday.contains(|c: char| c.is_ascii_digit())) {
        check.problem(
            at,
            "weekdays by number mean different days in different programs",
            "weekdays by name",
            "write MON, TUE, WED, THU, FRI, SAT, SUN or *, such as \"0 0 4 * * SUN\"",
        );
        return None;
    }
    match Schedule::from_str(text) {
        Err(_) => {
            let cure = "write it such as \"0 15 3 * * *\" for every day at 03:15";
            check.problem(at, "this is no cron expression", expected, cure);
            None
        }
        Ok(schedule) if schedule.after(&check.world.now).next().is_none() => {
            check.problem(
                at,
                "this schedule never fires",
                "a day that exists and is still to come",
                "check day, month and year: 30 February never comes; day and weekday must both match",
            );
            None
        }
        Ok(schedule) => Some(Cadence::Cron(Box::new(schedule))),
    }
}
