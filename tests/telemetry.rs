//! Logging when nobody listens any more.

#![allow(clippy::unwrap_used)]

use std::{
    env, io,
    process::{Command, Stdio, exit},
};

use stockd::{
    config::{LogFormat, LogSettings},
    telemetry,
};
use tracing::level_filters::LevelFilter;

const CHILD: &str = "STOCKD_TEST_LOG_FORMAT";

/// Run again as a process of its own, which logs once both its outputs are closed.
#[test]
fn p9_a_log_reader_that_is_gone_is_no_reason_to_stop() {
    if let Ok(format) = env::var(CHILD) {
        let format = if format == "json" { LogFormat::Json } else { LogFormat::Human };
        io::read_to_string(io::stdin()).unwrap();
        telemetry::start(&LogSettings { format, level: LevelFilter::INFO }).unwrap();
        for units in 0..100 {
            tracing::info!(target: "stockd", event = "push.applied", units, "pushed");
        }
        exit(42);
    }
    for format in ["json", "human"] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "p9_a_log_reader_that_is_gone_is_no_reason_to_stop", "--nocapture"])
            .env(CHILD, format)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The test harness itself must get its first line out.
        let mut line = String::new();
        let mut stdout = io::BufReader::new(child.stdout.take().unwrap());
        while !line.contains("running 1 test") {
            assert_ne!(io::BufRead::read_line(&mut stdout, &mut line).unwrap(), 0, "{line}");
        }
        drop((stdout, child.stderr.take(), child.stdin.take()));
        assert_eq!(child.wait().unwrap().code(), Some(42), "{format}");
    }
}
