//! Logs: one line per thing that happened, JSON to standard output or readable lines to standard error.
//!
//! Events carry a stable name in the field `event` (`tracing::info!(event = "push.applied", ...)`) and identifiers and
//! numbers as further fields, units in their names.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        MakeWriter, SubscriberBuilder,
        format::{DefaultFields, Format},
    },
};

use crate::config::{LogFormat, LogSettings};

/// Starts logging for the whole process.
///
/// # Errors
/// If logging was started before.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    match settings.format {
        LogFormat::Json => tracing::subscriber::set_global_default(json(settings, io::stdout))?,
        LogFormat::Human => tracing::subscriber::set_global_default(human(settings, io::stderr))?,
    }
    Ok(())
}

fn json<W>(settings: &LogSettings, writer: W) -> impl Subscriber + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    builder(settings).json().flatten_event(true).with_span_list(false).with_writer(writer).finish()
}

fn human<W>(settings: &LogSettings, writer: W) -> impl Subscriber + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    builder(settings).with_target(false).with_ansi(false).with_writer(writer).finish()
}

fn builder(settings: &LogSettings) -> SubscriberBuilder<DefaultFields, Format, EnvFilter> {
    let level = settings.level;
    tracing_subscriber::fmt()
        // It would report a failed write to standard error, and panic if that is gone as well (fault P9).
        .log_internal_errors(false)
        .with_env_filter(EnvFilter::new(format!("warn,stockd={level}")))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use tracing::level_filters::LevelFilter;

    use super::*;

    const SETTINGS: LogSettings = LogSettings { format: LogFormat::Json, level: LevelFilter::INFO };

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines<S: Subscriber + Send + Sync>(make: impl FnOnce(Kept) -> S) -> Vec<String> {
        let kept = Kept::default();
        tracing::subscriber::with_default(make(kept.clone()), || {
            tracing::info!(event = "push.applied", channel = "web", value_units = 3, "pushed");
            tracing::debug!(event = "push.prepared", "too fine");
            tracing::info!(target: "hyper", "a library's chatter");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_json_line_has_the_event_name_and_fields_at_the_top_and_utc_time() {
        let lines = lines(|kept| json(&SETTINGS, move || kept.clone()));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["event"], "push.applied");
        assert_eq!(line["value_units"], 3);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_human_line_has_no_colour_codes() {
        let lines = lines(|kept| human(&SETTINGS, move || kept.clone()));
        assert!(lines[0].contains("pushed") && lines[0].contains("push.applied"), "{lines:?}");
        assert!(!lines[0].contains('\u{1b}'));
    }
}
