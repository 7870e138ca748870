//! What goes into the engine, what comes out, and what it tells the log.

use std::time::Duration;

use crate::domain::{Answer, Call, ChannelId};

/// The number of a call, unique while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// A person has left requests in the ledger.
    Requests,
    /// A channel has answered, or will not.
    Answered {
        /// Which call.
        call: CallId,
        /// How long it took, from sending to the last byte.
        took: Duration,
        /// The answer.
        answer: Answer,
    },
}

/// Something to be done; it leaves the engine only after the commit that recorded it.
#[derive(Clone, Debug)]
pub struct Command {
    /// The number to answer under.
    pub id: CallId,
    /// The channel to call.
    pub channel: ChannelId,
    /// The call.
    pub call: Call,
}

/// What a round of events led to.
#[derive(Debug, Default)]
pub struct Step {
    /// Calls to make now.
    pub commands: Vec<Command>,
    /// When the engine wants to be woken at the latest, on the clock of `Now::mono`.
    pub wake: Option<Duration>,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For those who look closely.
    Debug,
    /// Things that go as they should.
    Info,
    /// Something a person should look at some time.
    Warn,
    /// Something a person should look at now.
    Error,
}

/// One line for the log, written after the commit. `event` is a stable name.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its level.
    pub level: Level,
    /// Its name, such as `push.applied`.
    pub event: &'static str,
    /// The channel concerned.
    pub channel: Option<ChannelId>,
    /// The SKU concerned.
    pub sku: Option<String>,
    /// The order concerned, by its number.
    pub order: Option<String>,
    /// How many units or listings it is about.
    pub count: Option<i64>,
    /// The rest.
    pub detail: String,
}

impl Notice {
    pub(super) fn new(level: Level, event: &'static str, detail: impl Into<String>) -> Self {
        Self { level, event, channel: None, sku: None, order: None, count: None, detail: detail.into() }
    }

    pub(super) fn on(mut self, channel: &ChannelId) -> Self {
        self.channel = Some(channel.clone());
        self
    }

    pub(super) fn sku(mut self, sku: impl Into<String>) -> Self {
        self.sku = Some(sku.into());
        self
    }

    pub(super) fn order(mut self, number: impl Into<String>) -> Self {
        self.order = Some(number.into());
        self
    }

    pub(super) const fn count(mut self, count: i64) -> Self {
        self.count = Some(count);
        self
    }

    pub(super) fn write(&self) {
        let (event, detail) = (self.event, self.detail.as_str());
        let channel = self.channel.as_ref().map(ChannelId::as_str);
        let (sku, order, count) = (self.sku.as_deref(), self.order.as_deref(), self.count);
        match self.level {
            Level::Debug => tracing::debug!(event, channel, sku, order, count, "{detail}"),
            Level::Info => tracing::info!(event, channel, sku, order, count, "{detail}"),
            Level::Warn => tracing::warn!(event, channel, sku, order, count, "{detail}"),
            Level::Error => tracing::error!(event, channel, sku, order, count, "{detail}"),
        }
    }
}
