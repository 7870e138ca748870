//! What goes wrong on the wire, in one layer around every shop: fault numbers of FAULTS.md.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use http_body::Frame;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::world::Fate;

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// H1: nothing happens, and no answer comes for a minute.
    TimeoutBefore,
    /// H2: it happens, and no answer comes for a minute.
    TimeoutAfter,
    /// An unknown write that lands late: the connection breaks at once, the request happens `after_ms` later.
    Late {
        /// How much later, in milliseconds.
        after_ms: u64,
    },
    /// H3: 429 with seconds in `Retry-After`.
    ThrottledSeconds {
        /// How many.
        seconds: u32,
    },
    /// H4: 429 with an HTTP date in `Retry-After`.
    ThrottledDate {
        /// How far ahead, in seconds.
        seconds: u32,
    },
    /// H5: 429 with neither.
    Throttled,
    /// H6, H7: this status, and nothing happened.
    StatusBefore {
        /// 500 to 599.
        status: u16,
    },
    /// H6: this status although it happened.
    StatusAfter {
        /// 500 to 599.
        status: u16,
    },
    /// H8: it happens, the connection breaks in mid-body.
    ResetMidBody,
    /// H10: it happens, the body ends early but the answer looks complete.
    TruncatedJson,
    /// H11: nothing happens; a page of HTML with status 200.
    Html,
    /// The answer is right but takes this much longer, half before, half after.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
}

impl Fault {
    /// What becomes of the request itself.
    pub(super) const fn fate(self) -> Fate {
        match self {
            Self::TimeoutBefore
            | Self::ThrottledSeconds { .. }
            | Self::ThrottledDate { .. }
            | Self::Throttled
            | Self::StatusBefore { .. }
            | Self::Html => Fate::Lost,
            Self::TimeoutAfter
            | Self::StatusAfter { .. }
            | Self::ResetMidBody
            | Self::TruncatedJson
            | Self::Late { .. } => Fate::AnswerLost,
            Self::Slow { .. } => Fate::Answered,
        }
    }

    /// The answer that is given instead of `right`.
    pub(super) async fn answer(self, right: Response<Bytes>) -> Response<Body> {
        const PATIENCE: Duration = Duration::from_mins(1);
        match self {
            Self::TimeoutBefore | Self::TimeoutAfter => {
                tokio::time::sleep(PATIENCE).await;
                broken(&Bytes::new())
            }
            Self::Late { .. } => broken(&Bytes::new()),
            Self::ThrottledSeconds { seconds } => throttled(Some(seconds.to_string())),
            Self::ThrottledDate { seconds } => {
                let until = chrono::Utc::now() + chrono::TimeDelta::seconds(i64::from(seconds));
                throttled(Some(until.format("%a, %d %b %Y %H:%M:%S GMT").to_string()))
            }
            Self::Throttled => throttled(None),
            Self::StatusBefore { status } | Self::StatusAfter { status } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                html(status, "<html><body><h1>Something went wrong</h1></body></html>")
            }
            Self::ResetMidBody => broken(right.body()),
            Self::TruncatedJson => {
                right.map(|body| Body::from(body.slice(..body.len() - body.len().div_ceil(3))))
            }
            Self::Html => {
                html(StatusCode::OK, "<!DOCTYPE html><html><body>One moment, please...</body></html>")
            }
            Self::Slow { .. } => right.map(Body::from),
        }
    }
}

fn html(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn throttled(retry_after: Option<String>) -> Response<Body> {
    let mut response = html(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    if let Some(value) = retry_after.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Half of the body, then the connection breaks.
fn broken(body: &Bytes) -> Response<Body> {
    let half = body.slice(..body.len() / 2);
    let pause = Box::pin(tokio::time::sleep(Duration::from_millis(20)));
    let mut response = Response::new(Body::new(Broken { half: Some(half), pause }));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A body that ends in a broken connection, with a pause for its half to get out.
struct Broken {
    half: Option<Bytes>,
    pause: Pin<Box<tokio::time::Sleep>>,
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        self.pause.as_mut().poll(context).map(|()| Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

/// Which requests fail, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Injection {
    /// How.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only requests that write, only those that read; absent: both.
    #[serde(default)]
    pub only: Option<Only>,
    /// The next so many requests; absent: by `share`.
    #[serde(default)]
    pub next: Option<u32>,
    /// The share of requests that fail, 0 to 1, for as long as the injection stands; ignored with `next`.
    #[serde(default)]
    pub share: f64,
}

/// Which requests an [`Injection`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    /// Those that change something.
    Writes,
    /// Those that don't.
    Reads,
}

/// The faults that wait for one shop's requests.
#[derive(Debug)]
pub struct Faults {
    waiting: VecDeque<Injection>,
    dice: ChaCha8Rng,
}

impl Faults {
    /// None yet; `seed` decides which requests a share hits.
    pub fn new(seed: u64) -> Self {
        Self { waiting: VecDeque::new(), dice: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Adds one; the first that matches a request wins.
    pub fn inject(&mut self, injection: Injection) {
        self.waiting.push_back(injection);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether most requests are turned away.
    pub fn is_outage(&self) -> bool {
        let turned_away =
            |it: &Injection| it.fault.fate() == Fate::Lost && (it.next.is_some() || it.share > 0.5);
        self.waiting.iter().any(turned_away)
    }

    /// What goes wrong with the request that has just arrived.
    pub fn strike(&mut self, writes: bool) -> Option<Fault> {
        let of_this_sort = |only| match only {
            None => true,
            Some(Only::Writes) => writes,
            Some(Only::Reads) => !writes,
        };
        let dice = &mut self.dice;
        let struck = self.waiting.iter_mut().find_map(|injection| {
            if !of_this_sort(injection.only) {
                return None;
            }
            let hit = match &mut injection.next {
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    true
                }
                None => dice.random_bool(injection.share.clamp(0.0, 1.0)),
            };
            hit.then_some(injection.fault)
        });
        self.waiting.retain(|injection| injection.next != Some(0));
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_two_writes_fail_and_no_read_does() {
        let mut faults = Faults::new(1);
        faults.inject(Injection { fault: Fault::Html, only: Some(Only::Writes), next: Some(2), share: 0.0 });
        assert_eq!(faults.strike(false), None);
        assert_eq!(faults.strike(true), Some(Fault::Html));
        assert_eq!(faults.strike(true), Some(Fault::Html));
        assert_eq!(faults.strike(true), None);
    }

    #[test]
    fn a_share_hits_about_that_many_requests_and_the_same_ones_for_a_seed() {
        let hits = |seed| {
            let mut faults = Faults::new(seed);
            let fault = Fault::StatusBefore { status: 503 };
            faults.inject(Injection { fault, only: None, next: None, share: 0.25 });
            (0..1000).map(|_| faults.strike(false).is_some()).collect::<Vec<_>>()
        };
        let struck = hits(7).iter().filter(|hit| **hit).count();
        assert!((200..300).contains(&struck), "{struck}");
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
    }
}
