//! Points of the program at which `tests/crash.rs` has it die as by `kill -9` (fault P1).
//!
//! `STOCKD_KILL_AT=POINT:N` kills the process when it passes that point for the n-th time, `POINT:N:MS` so many
//! milliseconds later. Only under the feature `test-switches`; without it passing a point does nothing.

/// A point of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The ledger is open and verified.
    StartOpened,
    /// The engine has taken up what the ledger says.
    StartLoaded,
    /// A round is about to begin.
    RoundBegin,
    /// A checkpoint is about to be written.
    CheckpointBefore,
    /// A checkpoint is written, its round is not committed.
    CheckpointAfter,
    /// A person's request is about to be carried out.
    RequestBefore,
    /// A person's request is answered, its round is not committed.
    RequestAfter,
    /// A round is about to be committed.
    CommitBefore,
    /// A round is committed, its head record is not written.
    CommitAfter,
    /// A head record is written, nothing of its round has left.
    HeadAfter,
    /// A round with a write in it is committed and noted, the write has not left.
    WritePrepared,
    /// A request that reads is about to leave.
    ReadSend,
    /// Its reply is coming, nothing of the body has been read.
    ReadReply,
    /// A request that writes is about to leave.
    WriteSend,
    /// Its reply is coming, nothing of the body has been read.
    WriteReply,
    /// A reply has been read, the engine doesn't have it.
    Answer,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 16] = [
        Self::StartOpened,
        Self::StartLoaded,
        Self::RoundBegin,
        Self::CheckpointBefore,
        Self::CheckpointAfter,
        Self::RequestBefore,
        Self::RequestAfter,
        Self::CommitBefore,
        Self::CommitAfter,
        Self::HeadAfter,
        Self::WritePrepared,
        Self::ReadSend,
        Self::ReadReply,
        Self::WriteSend,
        Self::WriteReply,
        Self::Answer,
    ];

    /// Its name in `STOCKD_KILL_AT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartOpened => "start.opened",
            Self::StartLoaded => "start.loaded",
            Self::RoundBegin => "round.begin",
            Self::CheckpointBefore => "checkpoint.before",
            Self::CheckpointAfter => "checkpoint.after",
            Self::RequestBefore => "request.before",
            Self::RequestAfter => "request.after",
            Self::CommitBefore => "commit.before",
            Self::CommitAfter => "commit.after",
            Self::HeadAfter => "head.after",
            Self::WritePrepared => "write.prepared",
            Self::ReadSend => "read.send",
            Self::ReadReply => "read.reply",
            Self::WriteSend => "write.send",
            Self::WriteReply => "write.reply",
            Self::Answer => "answer",
        }
    }
}

/// The program passes a point.
#[cfg(not(feature = "test-switches"))]
pub const fn pass(_: Point) {}

#[cfg(feature = "test-switches")]
pub use switched::pass;

#[cfg(feature = "test-switches")]
mod switched {
    use std::{
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
        thread,
        time::Duration,
    };

    use super::Point;

    /// When to die.
    struct Plan {
        point: Point,
        passes_left: AtomicU64,
        delay: Duration,
    }

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| parse(&std::env::var("STOCKD_KILL_AT").ok()?));

    fn parse(text: &str) -> Option<Plan> {
        let mut parts = text.split(':');
        let name = parts.next()?;
        let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
        let passes_left = AtomicU64::new(parts.next()?.parse().ok()?);
        let delay = Duration::from_millis(parts.next().map_or(Some(0), |delay| delay.parse().ok())?);
        Some(Plan { point, passes_left, delay })
    }

    /// The program passes a point.
    pub fn pass(point: Point) {
        let Some(plan) = PLAN.as_ref().filter(|plan| plan.point == point) else { return };
        if plan.passes_left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        if plan.delay.is_zero() {
            die();
        }
        thread::spawn(|| {
            thread::sleep(plan.delay);
            die();
        });
    }

    fn die() -> ! {
        // The signal arrives before the call returns, or as good as.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            thread::park();
        }
    }
}
