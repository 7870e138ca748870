//! What goes wrong on the wire (FAULTS.md, H), the same for every channel: the code under it is one.

use std::time::{Duration, Instant};

use serde_json::json;
use stockd::{
    channels::{BuildError, Client, Common},
    domain::{Answer, Call, CallError, UtcMs},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::{
    KEY, SECRET, TOKEN, common, row, shopify, shopify_connection, woocommerce, woocommerce_connection,
};

fn read() -> Call {
    Call::Identify
}

fn write() -> Call {
    Call::Write { key: "k".to_owned(), rows: vec![row("1", "", 1, None)] }
}

fn class(answer: &Answer) -> &'static str {
    match &answer.result {
        Ok(_) => "Ok",
        Err(CallError::Throttled { .. }) => "Throttled",
        Err(CallError::Retry { .. }) => "Retry",
        Err(CallError::Unknown { .. }) => "Unknown",
        Err(CallError::Rejected { .. }) => "Rejected",
        Err(CallError::Auth { .. }) => "Auth",
    }
}

fn detail(answer: &Answer) -> String {
    answer.result.as_ref().unwrap_err().to_string()
}

/// A read and a write against a server that always answers so.
async fn both(reply: ResponseTemplate) -> (Answer, Answer) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(reply).mount(&server).await;
    let client = woocommerce(&server.uri());
    (client.call(&read()).await, client.call(&write()).await)
}

fn classes((read, write): &(Answer, Answer)) -> (&'static str, &'static str) {
    (class(read), class(write))
}

/// A server that reads a request's head and then does to each connection what `serve` says.
async fn raw<F, Done>(serve: F) -> String
where
    F: Fn(TcpStream) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0_u8; 4096];
            let _ = stream.read(&mut head).await;
            tokio::spawn(serve(stream));
        }
    });
    address
}

const JSON_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

fn impatient(timeout_ms: u64) -> Common {
    Common { timeout_ms, ..common() }
}

fn client(base: &str, common: Common) -> Client {
    Client::new(&woocommerce_connection(base, common)).unwrap()
}

async fn both_raw(base: &str, common: Common) -> (Answer, Answer) {
    let client = client(base, common);
    (client.call(&read()).await, client.call(&write()).await)
}

#[tokio::test]
async fn h1_h2_a_time_out_leaves_a_write_unknown_and_a_read_to_be_repeated() {
    let slow = ResponseTemplate::new(200).set_body_json(json!([])).set_delay(Duration::from_secs(5));
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let answers = both_raw(&server.uri(), impatient(150)).await;
    assert_eq!(classes(&answers), ("Retry", "Unknown"), "{answers:?}");
    assert_eq!((answers.0.meter.requests, answers.1.meter.requests), (1, 1));
}

#[tokio::test]
async fn h3_h4_h5_throttling_tells_how_long_to_wait_if_it_knows() {
    let limited = || ResponseTemplate::new(429).insert_header("Date", "Sun, 22 Nov 2026 14:00:00 GMT");
    for (reply, expected) in [
        (limited().insert_header("Retry-After", "7"), Some(7)),
        (limited().insert_header("Retry-After", "2.0"), Some(2)),
        (limited().insert_header("Retry-After", "Sun, 22 Nov 2026 14:00:30 GMT"), Some(30)),
        (limited().insert_header("Retry-After", "later"), None),
        (limited(), None),
        (ResponseTemplate::new(430), None),
    ] {
        let (read, write) = both(reply).await;
        for answer in [read, write] {
            let Err(CallError::Throttled { wait, .. }) = &answer.result else { panic!("{answer:?}") };
            assert_eq!(wait.map(|w| w.as_secs()), expected);
        }
    }
}

#[tokio::test]
async fn h6_h7_a_server_error_leaves_a_write_unknown_and_a_read_to_be_repeated() {
    for status in [500, 502, 503, 504, 520] {
        let answers = both(ResponseTemplate::new(status).set_body_string("<h1>down</h1>")).await;
        assert_eq!(classes(&answers), ("Retry", "Unknown"), "{status}");
    }
    let answers = both(ResponseTemplate::new(503).insert_header("Retry-After", "9")).await;
    assert_eq!(classes(&answers), ("Throttled", "Unknown"));
}

#[tokio::test]
async fn h8_a_reset_in_mid_body_discards_the_page() {
    let base = raw(|mut stream| async move {
        let _ =
            stream.write_all(format!("{JSON_HEAD}content-length: 100\r\n\r\n[{{\"id\":").as_bytes()).await;
        // Unread bytes at close make it a reset.
        stream.set_zero_linger().unwrap();
    })
    .await;
    let answers = both_raw(&base, common()).await;
    assert_eq!(classes(&answers), ("Retry", "Unknown"), "{answers:?}");
}

#[tokio::test]
async fn h8_a_body_cut_short_at_a_point_that_parses_is_discarded_too() {
    let base = raw(|mut stream| async move {
        let _ = stream.write_all(format!("{JSON_HEAD}content-length: 100\r\n\r\n[]").as_bytes()).await;
    })
    .await;
    let answers = both_raw(&base, common()).await;
    assert_eq!(classes(&answers), ("Retry", "Unknown"), "{answers:?}");
}

#[tokio::test]
async fn h9_a_body_trickling_in_ends_at_the_total_deadline() {
    let base = raw(|mut stream| async move {
        let _ = stream.write_all(format!("{JSON_HEAD}content-length: 1000\r\n\r\n").as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let start = Instant::now();
    let answers = both_raw(&base, impatient(300)).await;
    assert_eq!(classes(&answers), ("Retry", "Unknown"), "{answers:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn h10_h11_h12_what_is_no_json_is_no_reply() {
    let json_type = "application/json; charset=UTF-8";
    for (what, body, kind) in [
        ("h10 truncated", "[{\"id\":1", json_type),
        ("h10 garbage", "\u{0}\u{1}", json_type),
        ("h10 empty", "", json_type),
        ("h10 another shape", "{\"id\":1}", json_type),
        ("h11 a page", "<html>Maintenance</html>", "text/html"),
        ("h12 JSON that says it is text", "[]", "text/plain"),
    ] {
        let reply = ResponseTemplate::new(200).set_body_raw(body, kind);
        assert_eq!(classes(&both(reply).await), ("Retry", "Unknown"), "{what}");
    }
    assert_eq!(classes(&both(ResponseTemplate::new(200)).await), ("Retry", "Unknown"), "h12 no type");
}

#[tokio::test]
async fn h13_a_giant_body_stops_at_the_cap() {
    let base = raw(|mut stream| async move {
        let _ = stream.write_all(format!("{JSON_HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes()).await;
        let chunk = [b"10000\r\n".as_slice(), vec![b' '; 65536].as_slice(), b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let capped = Common { max_body_bytes: 1 << 20, ..common() };
    let start = Instant::now();
    let answers = both_raw(&base, capped).await;
    assert_eq!(classes(&answers), ("Retry", "Unknown"));
    assert!(detail(&answers.0).contains("larger than 1048576 bytes"), "{answers:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn h14_a_redirect_is_told_and_not_followed() {
    let elsewhere = MockServer::start().await;
    for (status, on_write) in
        [(301, "Rejected"), (302, "Unknown"), (303, "Unknown"), (307, "Rejected"), (308, "Rejected")]
    {
        let target = format!("http://localhost:{}/secret-path", elsewhere.address().port());
        let reply = ResponseTemplate::new(status).insert_header("Location", target);
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(reply).mount(&server).await;
        for client in [woocommerce(&server.uri()), shopify(&server.uri())] {
            let answer = client.call(&read()).await;
            assert!(detail(&answer).contains("redirected to localhost, not followed"), "{answer:?}");
        }
        let client = woocommerce(&server.uri());
        assert_eq!(
            (class(&client.call(&read()).await), class(&client.call(&write()).await)),
            ("Rejected", on_write)
        );
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty(), "credentials left");
}

#[tokio::test]
async fn h15_without_tls_nothing_is_sent() {
    let base = raw(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let answers = both_raw(&base.replace("http:", "https:"), common()).await;
    assert_eq!(classes(&answers), ("Retry", "Retry"), "{answers:?}");
    assert_eq!(answers.1.meter.requests, 0);
}

#[tokio::test]
async fn a_write_that_never_left_may_be_repeated() {
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let answers = both_raw(&format!("http://{address}/"), common()).await;
    assert_eq!(classes(&answers), ("Retry", "Retry"), "{answers:?}");
    assert_eq!((answers.0.meter.requests, answers.1.meter.requests), (0, 0));
}

#[tokio::test]
async fn h17_h18_refused_credentials_are_told_apart_from_a_firewall() {
    let code = |status: u16, code: &str| {
        ResponseTemplate::new(status).set_body_json(json!({ "code": code, "message": "m" }))
    };
    for (reply, expected) in [
        (code(401, "woocommerce_rest_cannot_view"), ("Auth", "Auth")),
        (code(403, "woocommerce_rest_cannot_edit"), ("Auth", "Auth")),
        (ResponseTemplate::new(401), ("Auth", "Auth")),
        (code(403, "blocked_by_firewall"), ("Retry", "Unknown")),
        (
            ResponseTemplate::new(403).set_body_raw("<html>Forbidden</html>", "text/html"),
            ("Retry", "Unknown"),
        ),
        (code(404, "rest_no_route"), ("Rejected", "Rejected")),
        (code(400, "rest_invalid_param"), ("Rejected", "Rejected")),
        (ResponseTemplate::new(408), ("Retry", "Unknown")),
    ] {
        assert_eq!(classes(&both(reply.clone()).await), expected, "{reply:?}");
    }
    let shop = MockServer::start().await;
    let denied = json!({ "errors": "[API] Invalid API key or access token" });
    Mock::given(any()).respond_with(ResponseTemplate::new(403).set_body_json(denied)).mount(&shop).await;
    assert_eq!(class(&shopify(&shop.uri()).call(&read()).await), "Auth");
}

#[tokio::test]
async fn h17_after_a_refusal_the_same_call_goes_on() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(401)).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(json!([]))).mount(&server).await;
    let client = woocommerce(&server.uri());
    let page = Some(stockd::domain::PageToken::new("1000/3"));
    let call = Call::Orders { since: UtcMs(0), page };
    assert_eq!((class(&client.call(&call).await), class(&client.call(&call).await)), ("Auth", "Ok"));
    let pages = server.received_requests().await.unwrap();
    assert!(pages.iter().all(|r| r.url.query().unwrap().contains("page=3")));
}

#[tokio::test]
async fn the_servers_clock_is_noted_with_every_reply_and_requests_are_counted() {
    let stamp = Some(UtcMs::parse_rfc3339("2026-11-22T14:00:00Z").unwrap());
    for status in [200, 429, 500] {
        let reply = ResponseTemplate::new(status)
            .insert_header("Date", "Sun, 22 Nov 2026 14:00:00 GMT")
            .set_body_json(json!([]));
        let (read, _) = both(reply).await;
        assert_eq!((read.meter.server_time, read.meter.requests), (stamp, 1), "{status}");
    }
}

#[tokio::test]
async fn no_secret_and_no_control_character_stands_in_an_error() {
    let server = MockServer::start().await;
    let (woo, shop) = (woocommerce(&server.uri()), shopify(&server.uri()));
    let shop_write = Call::Write { key: "k".to_owned(), rows: vec![row("1", "5", 1, None)] };
    for status in [200, 400, 401, 403, 429, 500] {
        for (client, write, secrets) in
            [(&woo, write(), [KEY, SECRET]), (&shop, shop_write.clone(), [TOKEN, TOKEN])]
        {
            let echo = format!("no {} {}\u{1b}[31m\n{}", secrets[0], secrets[1], "x".repeat(500));
            let body = json!({ "code": "woocommerce_rest_x", "message": echo, "errors": echo });
            server.reset().await;
            Mock::given(any())
                .respond_with(ResponseTemplate::new(status).set_body_json(body))
                .mount(&server)
                .await;
            for answer in [client.call(&read()).await, client.call(&write).await] {
                let text = detail(&answer);
                assert!(secrets.iter().all(|secret| !text.contains(secret)), "{status}: {text}");
                assert!(
                    !text.chars().any(char::is_control) && text.chars().count() < 250,
                    "{status}: {text}"
                );
            }
        }
    }
    let text = format!("{woo:?} {shop:?}");
    assert!(![TOKEN, KEY, SECRET].iter().any(|secret| text.contains(secret)), "{text}");
}

#[test]
fn plain_http_leaves_this_machine_with_nobody() {
    for base in ["http://shop.example/", "http://10.0.0.1/", "ftp://127.0.0.1/"] {
        assert_eq!(
            Client::new(&woocommerce_connection(base, common())).unwrap_err(),
            BuildError::Insecure,
            "{base}"
        );
        assert_eq!(
            Client::new(&shopify_connection(base, common())).unwrap_err(),
            BuildError::Insecure,
            "{base}"
        );
    }
    assert!(Client::new(&woocommerce_connection("https://shop.example/sub/", common())).is_ok());
}

#[test]
fn a_token_that_no_header_can_carry_is_refused() {
    let stockd::channels::Connection::Shopify(mut connection) =
        shopify_connection("https://a.example/", common())
    else {
        panic!("not a Shopify connection")
    };
    connection.token = "line\nbreak".into();
    let error = Client::new(&stockd::channels::Connection::Shopify(connection)).unwrap_err();
    assert_eq!(error, BuildError::Secret("access token"));
}
