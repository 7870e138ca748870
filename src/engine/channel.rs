//! What the engine keeps in memory of each channel.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use super::{
    blind::Sight,
    catch_up::ReadAgain,
    delay::Delays,
    look::Looks,
    pace::{Budget, Sort},
    queue::Queue,
    reread::FIRST_LOOK,
};
use crate::{
    domain::{ChannelSettings, Now, OrderId, PageToken, Units, UtcMs},
    ledger::{OpenRequest, PlaceId, Span},
};

/// No call is answered later than this.
const LONGEST_CALL: Duration = Duration::from_mins(2);
/// So many places are guarded before it is looked which still need it.
const MOST_GUARDED: usize = 10_000;

/// One channel: its limit, its queue, its jobs.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each stands for itself; no two make a state")]
pub(super) struct Channel {
    pub(super) settings: ChannelSettings,
    pub(super) budget: Budget,
    pub(super) queue: Queue,
    /// Places to look at again at a later time.
    pub(super) later: BTreeSet<(Duration, PlaceId)>,
    /// Places to read again at a later time, whatever is known of them by then.
    pub(super) second_looks: BTreeSet<(Duration, PlaceId)>,
    /// When the last write at a place was answered; reads sent before say nothing of it.
    pub(super) landed: HashMap<PlaceId, Duration>,
    /// When the last read of a place was sent that counted; one sent before that and answered later says nothing any more.
    pub(super) looked: HashMap<PlaceId, Duration>,
    /// Places whose last write was refused: not before when to try again, and how often it was refused.
    pub(super) refused: HashMap<PlaceId, (Duration, u32)>,
    /// Rows per direct write for now: where one stale row sends back a whole call, busy channels do better with fewer.
    pub(super) write_rows: usize,
    pub(super) in_flight: usize,
    pub(super) orders_in_flight: bool,
    pub(super) scan_in_flight: bool,
    pub(super) backoff_until: Duration,
    pub(super) failures: u32,
    pub(super) identified: bool,
    /// Set when the channel must not be used: the account is not the one pinned.
    pub(super) barred: bool,
    pub(super) polls: u64,
    /// How many pages the last read of orders had, and how long it took.
    pub(super) poll_pages: u32,
    pub(super) poll_took: Duration,
    /// When the last read of orders over the whole overlap was begun, and whether it had to turn a page.
    pub(super) deep_read: Option<Duration>,
    pub(super) deep_turned: bool,
    /// How long a read of orders takes, in the mean.
    pub(super) round_trip: Duration,
    /// How far orders have been read; counts once the ledger has been asked.
    pub(super) cursor: Option<UtcMs>,
    pub(super) cursor_known: bool,
    pub(super) looks: Looks,
    pub(super) delays: Delays,
    /// Since when a decrease has been wanted that a sale explains.
    pub(super) wanted: HashMap<PlaceId, Duration>,
    /// When this channel wants to be looked after again; `None`: when a call is answered.
    pub(super) wake: Option<Duration>,
    /// Whether its orders have been read to the end since the start.
    pub(super) polled: bool,
    /// When the last read of orders over the whole overlap that came to its end was begun.
    pub(super) orders_read: Option<Duration>,
    /// For how long its orders could not be read, in steps; `None`: not known since the start.
    pub(super) blind: Option<Duration>,
    /// The last SKU whose buffers elsewhere have followed that, if there are more.
    pub(super) followed: Option<String>,
    pub(super) scanned: bool,
    pub(super) poll: Option<OrdersJob>,
    pub(super) sweep: Option<OrdersJob>,
    pub(super) scan: Option<ScanJob>,
    pub(super) next_poll: Duration,
    pub(super) next_scan: Option<Duration>,
    pub(super) next_sweep: Option<Duration>,
    /// When open orders are looked for that are to be asked for by id.
    pub(super) next_reread: Duration,
    /// Whether a list has contradicted what is known of an order: it is asked for by id at once.
    pub(super) doubted: bool,
    pub(super) sight: Option<Sight>,
    pub(super) fence: Option<Fence>,
    /// A write that a fence has prepared in this round, with what was paid for it.
    pub(super) ready_write: Option<(OpenRequest, f64)>,
    pub(super) unsettled: Vec<Unsettled>,
    pub(super) managed: i64,
    pub(super) braked: bool,
    pub(super) released: bool,
    /// What is still to be read again since an older ledger was put back.
    pub(super) read_again: Option<ReadAgain>,
    /// Whether whatever raises waits until that has been done on every channel.
    pub(super) raises_held: bool,
}

/// A read of orders, page by page.
#[derive(Debug)]
pub(super) struct OrdersJob {
    pub(super) begun: Duration,
    pub(super) since: UtcMs,
    pub(super) page: Option<PageToken>,
    pub(super) tokens: HashSet<PageToken>,
    pub(super) latest: Option<UtcMs>,
    /// Whether it reaches back over the whole overlap.
    pub(super) deep: bool,
    pub(super) pages: u32,
    /// By the channel's clock: every order changed before was readable when the read began.
    pub(super) complete_to: Option<UtcMs>,
}

impl OrdersJob {
    pub(super) fn new(begun: Duration, since: UtcMs) -> Self {
        let (deep, pages) = (true, 0);
        Self {
            begun,
            since,
            page: None,
            tokens: HashSet::new(),
            latest: None,
            deep,
            pages,
            complete_to: None,
        }
    }
}

/// A read of the catalogue, page by page.
#[derive(Debug)]
pub(super) struct ScanJob {
    pub(super) number: i64,
    pub(super) page: Option<PageToken>,
    /// Rows that could not be read: what is missing may be among them.
    pub(super) rejected: usize,
    pub(super) tokens: HashSet<PageToken>,
}

/// Places between their reads and their write.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) batch: Vec<PlaceId>,
    /// Those whose number has been read and can be trusted.
    pub(super) read: HashSet<PlaceId>,
    pub(super) stage: FenceStage,
    /// What was paid for its write.
    pub(super) paid_write: f64,
    /// What was paid for its reads; 0 once used.
    pub(super) paid_orders: f64,
    pub(super) paid_levels: f64,
}

/// How far a fence has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FenceStage {
    /// A read of orders is to start.
    OrdersWanted,
    /// That read is under way.
    Orders,
    /// Orders have been read, numbers are to be read.
    LevelsWanted,
    /// Numbers are being read.
    Levels,
}

/// A request whose outcome nobody knows.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) request: OpenRequest,
    pub(super) due: Duration,
    pub(super) attempts: u32,
    /// Until when its key can be relied on.
    pub(super) expires: UtcMs,
    /// Whether only a read can tell what became of it.
    pub(super) by_read: bool,
    pub(super) busy: bool,
}

/// A call on its way.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) channel: usize,
    pub(super) sort: Sort,
    /// How many places it is about.
    pub(super) places: usize,
    pub(super) paid: f64,
    pub(super) sent: Duration,
    pub(super) what: What,
}

/// What a call on its way is for.
#[derive(Clone, Debug)]
pub(super) enum What {
    Identify,
    Poll,
    Sweep,
    Reread {
        orders: Vec<OrderId>,
    },
    Scan,
    FenceLevels,
    Look,
    SettleLevels {
        request: i64,
    },
    Write {
        request: OpenRequest,
        repeat: bool,
    },
    /// A job that was lost with a round.
    Forgotten,
}

/// A number that a channel gave, with the time it can be trusted for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) now: Now,
    /// When the call was sent, on the clock of `now.mono`.
    pub(super) sent: Duration,
    /// When the channel carried the call out, by its clock.
    pub(super) span: Span,
}

/// What a place showed, if it said.
pub(super) type Shown = HashMap<PlaceId, Units>;

impl Channel {
    pub(super) fn new(settings: ChannelSettings, now: Now) -> Self {
        let budget = Budget::new(&settings.capabilities, now.mono);
        Self {
            write_rows: settings.capabilities.write_batch,
            settings,
            budget,
            queue: Queue::default(),
            later: BTreeSet::new(),
            second_looks: BTreeSet::new(),
            landed: HashMap::new(),
            looked: HashMap::new(),
            refused: HashMap::new(),
            in_flight: 0,
            orders_in_flight: false,
            scan_in_flight: false,
            backoff_until: Duration::ZERO,
            failures: 0,
            identified: false,
            barred: false,
            polls: 0,
            poll_pages: 1,
            poll_took: Duration::ZERO,
            deep_read: None,
            deep_turned: false,
            round_trip: Duration::ZERO,
            cursor: None,
            cursor_known: false,
            looks: Looks::default(),
            delays: Delays::default(),
            wanted: HashMap::new(),
            wake: None,
            polled: false,
            orders_read: None,
            blind: None,
            followed: None,
            scanned: false,
            poll: None,
            sweep: None,
            scan: None,
            next_poll: now.mono,
            next_scan: Some(now.mono),
            next_sweep: None,
            next_reread: now.mono + FIRST_LOOK,
            doubted: false,
            sight: None,
            fence: None,
            ready_write: None,
            unsettled: Vec::new(),
            managed: 0,
            braked: false,
            released: false,
            read_again: None,
            raises_held: false,
        }
    }

    /// Forgets what the ledger knows better. The channel's limit, what it asked for and what it has been sent are not
    /// among it; `under_way` is what was paid for the calls that it has yet to answer.
    pub(super) fn forget(&mut self, now: Now, under_way: &[(Sort, f64)]) {
        let old = std::mem::replace(self, Self::new(self.settings.clone(), now));
        self.budget = old.budget;
        self.budget.count_under_way(under_way);
        self.in_flight = under_way.len();
        (self.backoff_until, self.failures, self.sight) = (old.backoff_until, old.failures, old.sight);
        (self.landed, self.looked, self.refused) = (old.landed, old.looked, old.refused);
        (self.round_trip, self.delays, self.looks) = (old.round_trip, old.delays, old.looks.forgotten());
        self.next_sweep = self.settings.sweep.wait_from(now.utc.datetime()).map(|wait| now.mono + wait);
    }

    pub(super) fn fence_holds(&self, place: PlaceId) -> bool {
        self.fence.as_ref().is_some_and(|fence| fence.batch.contains(&place))
    }

    /// Whether a number read by a call sent at `sent` can tell what the last write left there, and is the latest read.
    pub(super) fn trusts(&self, place: PlaceId, sent: Duration) -> bool {
        self.settled_at(place).is_none_or(|settled| sent >= settled)
            && self.looked.get(&place).is_none_or(|looked| sent >= *looked)
    }

    /// Forgets what guards places against answers that can't come any more.
    pub(super) fn forget_old_answers(&mut self, now: Now) {
        let settle = Duration::from_millis(self.settings.capabilities.settle_ms.max(0).cast_unsigned());
        let keep = settle + LONGEST_CALL;
        for at in [&mut self.landed, &mut self.looked] {
            if at.len() > MOST_GUARDED {
                at.retain(|_, at| *at + keep > now.mono);
            }
        }
    }

    /// From when on a place may be read or written again; `None`: now.
    pub(super) fn not_before(&self, now: Now, place: PlaceId) -> Option<Duration> {
        let refused = self.refused.get(&place).map(|(until, _)| *until);
        refused.into_iter().chain(self.settled_at(place)).max().filter(|until| *until > now.mono)
    }

    fn settled_at(&self, place: PlaceId) -> Option<Duration> {
        let settle = Duration::from_millis(self.settings.capabilities.settle_ms.max(0).cast_unsigned());
        self.landed.get(&place).map(|landed| *landed + settle)
    }

    /// Whether pushes may rest on what the ledger says of this channel's sales: its orders have been read, or can't be.
    pub(super) fn has_been_heard(&self, now: Now) -> bool {
        self.polled || self.failures > 0 || self.barred || self.backoff_until > now.mono
    }

    /// How long after a read of a number every order is readable that made it what it was.
    pub(super) const fn lapse_ms(&self) -> i64 {
        let caps = &self.settings.capabilities;
        caps.order_delay_ms + 2 * caps.time_step_ms
    }

    /// The same on the program's clock.
    pub(super) fn lapse(&self) -> Duration {
        Duration::from_millis(self.lapse_ms().max(0).cast_unsigned())
    }
}
