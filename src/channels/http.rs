//! The one place that talks HTTP: one request, one JSON reply, every way it can fail named.

use std::{error::Error, fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::{Host, Url};

use super::{BuildError, Common, valve::Valve};
use crate::{
    domain::{CallError, Meter, Quota, UtcMs},
    kill_points::{Point, pass},
};

/// Idle connections are dropped before the 60 to 75 s after which many servers drop them.
const POOL_IDLE: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What `Retry-After` may ask for; beyond it the channel is asked again anyway.
const WAIT_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));
const DETAIL_CHARS: usize = 200;

/// What a request does, which decides what a lost reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// Reads: whatever is lost may be asked again.
    Read,
    /// Writes: whatever is lost after it may have left is of unknown outcome.
    Write,
}

impl Intent {
    /// The error for a reply that was lost or makes no sense.
    pub(super) fn lost(self, detail: String) -> CallError {
        match self {
            Self::Read => CallError::Retry { detail },
            Self::Write => CallError::Unknown { detail },
        }
    }
}

/// What the body of an error reply says, in the channel's own dialect.
pub(super) struct Said {
    /// Code and message.
    pub(super) text: String,
    /// It comes from the shop's own software, so that a 403 is about our rights and not a firewall's mood.
    pub(super) genuine: bool,
}

/// A JSON reply with a status of success.
pub(super) struct Arrived {
    headers: HeaderMap,
    /// The body.
    pub(super) json: Value,
}

impl Arrived {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An HTTP client for one host, with its limits and the secrets it must keep.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    valve: Valve,
    max_body_bytes: usize,
    secrets: Vec<SecretString>,
    explain: fn(&Value) -> Said,
}

impl Http {
    /// A client for `base` that keeps to `quota`; `secrets` are cut out of whatever the channel says, `explain` reads its error bodies.
    pub(super) fn new(
        base: &Url,
        common: &Common,
        quota: Quota,
        secrets: Vec<SecretString>,
        explain: fn(&Value) -> Said,
    ) -> Result<Self, BuildError> {
        let loopback = is_loopback(base);
        if base.scheme() != "https" && !(base.scheme() == "http" && loopback) {
            return Err(BuildError::Insecure);
        }
        let timeout = Duration::from_millis(common.timeout_ms);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("stockd/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .https_only(base.scheme() == "https")
            .pool_idle_timeout(POOL_IDLE)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout / 2))
            .timeout(timeout);
        if loopback {
            // A proxy would see the credentials of a request that was to stay on this machine.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| BuildError::Client(describe(e)))?;
        Ok(Self { client, valve: Valve::new(quota), max_body_bytes: common.max_body_bytes, secrets, explain })
    }

    /// A `GET` to be finished by the channel and given to [`Http::send`].
    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// A `POST` of a JSON body to be finished by the channel and given to [`Http::send`].
    pub(super) fn post(&self, url: Url, body: Vec<u8>) -> RequestBuilder {
        self.client.post(url).header(CONTENT_TYPE, "application/json").body(body)
    }

    /// Sends the request and reads the JSON of a reply of success.
    ///
    /// `meter` gets the request counted and the `Date` of the first reply of a call: what several replies say
    /// together is no newer than the oldest of them.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        intent: Intent,
        meter: &mut Meter,
    ) -> Result<Arrived, CallError> {
        let (send, reply) = match intent {
            Intent::Read => (Point::ReadSend, Point::ReadReply),
            Intent::Write => (Point::WriteSend, Point::WriteReply),
        };
        self.valve.pass().await;
        pass(send);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(CallError::Retry { detail: format!("not sent: {}", describe(error)) });
            }
            Err(error) => {
                meter.requests += 1;
                return Err(intent.lost(describe(error)));
            }
        };
        pass(reply);
        meter.requests += 1;
        let server_time = server_time(response.headers());
        meter.server_time = meter.server_time.or(server_time);
        if response.status().is_success() {
            self.arrived(response).await.map_err(|detail| intent.lost(detail))
        } else {
            Err(self.refused(response, intent, server_time).await)
        }
    }

    async fn arrived(&self, response: Response) -> Result<Arrived, String> {
        let kind = header_text(response.headers(), &CONTENT_TYPE).unwrap_or("none");
        if !is_json(kind) {
            return Err(format!("expected JSON, got content type {kind}"));
        }
        let headers = response.headers().clone();
        let body = self.body(response).await?;
        let json = serde_json::from_slice(&body).map_err(|e| format!("the reply is not valid JSON: {e}"))?;
        Ok(Arrived { headers, json })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(describe)? {
            if body.len() + chunk.len() > self.max_body_bytes {
                return Err(format!("the reply is larger than {} bytes", self.max_body_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn refused(&self, response: Response, intent: Intent, server_time: Option<UtcMs>) -> CallError {
        let status = response.status();
        let wait = retry_after(response.headers(), server_time);
        if status.is_redirection() {
            return redirected(status, response.headers(), intent);
        }
        let said = if is_json(header_text(response.headers(), &CONTENT_TYPE).unwrap_or_default()) {
            let json = self.body(response).await.ok().and_then(|body| serde_json::from_slice(&body).ok());
            json.map(|json| (self.explain)(&json))
        } else {
            None
        };
        let mut detail = format!("HTTP {}", status.as_u16());
        if let Some(said) = &said {
            let _ = write!(detail, ": {}", said.text);
        }
        match status.as_u16() {
            429 | 430 => CallError::Throttled { wait, detail },
            401 => CallError::Auth { detail },
            403 if said.is_some_and(|said| said.genuine) => CallError::Auth { detail },
            503 if intent == Intent::Read && wait.is_some() => CallError::Throttled { wait, detail },
            403 | 408 | 425 | 500.. => intent.lost(detail),
            _ => CallError::Rejected { detail },
        }
    }

    /// Text from outside as it may appear in an error: no secrets, no control characters, not long.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().map(ExposeSecret::expose_secret).filter(|s| !s.is_empty()) {
            text = text.replace(secret, "***");
        }
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL_CHARS).collect()
    }
}

/// A redirect is never followed: a shop's token would travel to whoever it points at.
fn redirected(status: StatusCode, headers: &HeaderMap, intent: Intent) -> CallError {
    let target = header_text(headers, &LOCATION).and_then(|to| Url::parse(to).ok());
    let target = target.as_ref().and_then(Url::host_str).unwrap_or("another address");
    let detail = format!(
        "HTTP {}: redirected to {target}, not followed; configure the shop's final address",
        status.as_u16()
    );
    match status {
        // Both are also what a server says after it has done what was posted.
        StatusCode::FOUND | StatusCode::SEE_OTHER if intent == Intent::Write => CallError::Unknown { detail },
        _ => CallError::Rejected { detail },
    }
}

/// Whether the address stays on this machine.
fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// `base` with these path segments behind its own path.
pub(super) fn endpoint(base: &Url, segments: &[&str]) -> Result<Url, BuildError> {
    let mut url = base.clone();
    url.path_segments_mut().map_err(|()| BuildError::Insecure)?.pop_if_empty().extend(segments);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn http_date(text: &str) -> Option<UtcMs> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|t| UtcMs(t.timestamp_millis()))
}

fn server_time(headers: &HeaderMap) -> Option<UtcMs> {
    http_date(header_text(headers, &DATE)?)
}

/// `Retry-After` in seconds (`2`, Shopify also `2.0`) or as a date by the server's own clock.
fn retry_after(headers: &HeaderMap, server_time: Option<UtcMs>) -> Option<Duration> {
    let text = header_text(headers, &RETRY_AFTER)?.trim();
    if let Ok(seconds) = text.parse() {
        return seconds_to_wait(seconds);
    }
    let now = server_time.unwrap_or_else(|| UtcMs(Utc::now().timestamp_millis()));
    let wait_ms = http_date(text)?.since(now).try_into().unwrap_or(0);
    Some(bounded(Duration::from_millis(wait_ms)))
}

/// A wait told in seconds; `None` where the number is none that a clock could show.
pub(super) fn seconds_to_wait(seconds: f64) -> Option<Duration> {
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| bounded(Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_BOUNDS.1)))
}

fn bounded(wait: Duration) -> Duration {
    wait.clamp(WAIT_BOUNDS.0, WAIT_BOUNDS.1)
}

/// The error and its causes without the address, which may hold a secret.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let _ = write!(text, ": {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn wait(retry: &str, date: Option<&str>) -> Option<u64> {
        let mut pairs = vec![(RETRY_AFTER, retry)];
        pairs.extend(date.map(|d| (DATE, d)));
        let headers = headers(&pairs);
        retry_after(&headers, server_time(&headers)).map(|w| w.as_secs())
    }

    #[test]
    fn h3_retry_after_is_read_in_seconds_and_bounded() {
        assert_eq!(wait("7", None), Some(7));
        assert_eq!(wait("2.0", None), Some(2));
        assert_eq!(wait("0", None), Some(1));
        assert_eq!(wait("1e300", None), Some(3600));
    }

    #[test]
    fn h4_a_retry_date_counts_by_the_clock_of_the_server() {
        let date = Some("Sun, 22 Nov 2026 14:00:00 GMT");
        assert_eq!(wait("Sun, 22 Nov 2026 14:00:09 GMT", date), Some(9));
        assert_eq!(wait("Sun, 22 Nov 2026 13:00:00 GMT", date), Some(1));
        assert_eq!(wait("Sun, 22 Nov 2099 13:00:00 GMT", date), Some(3600));
    }

    #[test]
    fn h5_a_retry_after_that_makes_no_sense_is_none() {
        for text in ["soon", "", "-3", "NaN", "inf"] {
            assert_eq!(wait(text, None), None, "{text:?}");
        }
    }

    #[test]
    fn h12_only_json_types_are_json() {
        for good in ["application/json", "application/json; charset=UTF-8", "application/problem+json"] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/html", "text/json", "", "application/jsonp", "application/xhtml+xml"] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (address, expected) in [
            ("http://127.0.0.1:8080/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]:80/", true),
            ("http://localhost/", true),
            ("http://localhost.example/", false),
            ("http://127.0.0.1.example/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(address).unwrap()), expected, "{address}");
        }
    }
}
