//! Faults of connections and of whole answers, on any origin.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::support::{Exchange, Harness, real};

#[tokio::test]
async fn reset_ends_connections_with_a_rst() {
    let center = Harness::with("reset=0.5").await;
    let mut resets = 0;
    for _ in 0..40 {
        let answer = center.page(5, 1).await;
        if answer.head.is_empty() {
            assert_eq!(answer.error, Some(ErrorKind::ConnectionReset));
            resets += 1;
        } else {
            assert!(answer.complete());
        }
    }
    assert!((8..32).contains(&resets), "{resets} of 40");
    assert!(center.struck("reset") >= resets);
}

#[tokio::test]
async fn refuse_closes_the_port_for_a_while_and_opens_the_same_one_again() {
    let center = Harness::with("refuse=0.3").await;
    let host = center.simulator.api_url().replace("http://", "");
    let mut closings = 0;
    while closings < 5 {
        let mut idle = TcpStream::connect(&host).await.unwrap();
        // Two turns of the runtime: the connection is there before the port is closed.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let answer = center.page(5, 1).await;
        if answer.status() == 200 {
            continue;
        }
        assert_eq!(answer.error, Some(ErrorKind::ConnectionReset));
        let began = Instant::now();
        let refused = TcpStream::connect(&host).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "it was open");
        while TcpStream::connect(&host).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let closed = began.elapsed();
        assert!(closed + Duration::from_millis(2) >= real(200), "{closed:?}");
        assert!(
            closed < real(3000) + Duration::from_millis(200),
            "{closed:?}"
        );
        closings += 1;
    }
    assert_eq!(center.struck("refuse"), closings);
}

#[tokio::test]
async fn server_error_is_html_from_a_gateway_and_xml_from_the_store() {
    let center = Harness::with("server_error=0.5").await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let answer = center.page(5, 1).await;
        assert!(answer.complete());
        if answer.status() != 200 {
            assert_eq!(answer.header("content-type"), Some("text/html"));
            seen.insert(("api", answer.status()));
        }
        let url = center.simulator.media_url() + "/recordings/none";
        let answer = Exchange::new("GET", &url, "", "").await;
        match (answer.status(), answer.header("content-type")) {
            (403, _) => {}
            (500 | 503, Some("application/xml")) | (502 | 504, Some("text/html")) => {
                seen.insert(("media", answer.status()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[tokio::test]
async fn timeout_is_408_in_the_vendors_words() {
    let center = Harness::with("timeout=0.5").await;
    while center.struck("timeout") < 5 {
        let answer = center.page(5, 1).await;
        if answer.status() != 200 {
            assert_eq!(answer.status(), 408);
            assert_eq!(answer.json()["code"], "request.timeout");
        }
    }
}

#[tokio::test]
async fn throttle_is_429_that_names_another_limit() {
    let center = Harness::with("throttle=1").await;
    let answer = center.page(5, 1).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.header("retry-after"), Some("3"));
    let limit = &answer.json()["limit"];
    assert_eq!(limit["namespace"], "recording");
    assert!(limit["value"].as_u64().unwrap() < 300);
}

#[tokio::test]
async fn unauthorized_makes_all_tokens_worthless() {
    let mut center = Harness::with("unauthorized=0.2").await;
    for _ in 0..5 {
        while center.page(5, 1).await.status() == 200 {}
        // Whatever comes now is refused: by the fault once more, or since the token is unknown.
        for _ in 0..10 {
            assert_eq!(center.page(5, 1).await.status(), 401);
        }
        let before = center.struck("unauthorized");
        center.log_in().await;
        let fresh = center.page(5, 1).await.status();
        assert!(fresh == 200 || center.struck("unauthorized") > before);
    }
}

#[tokio::test]
async fn login_down_lasts_and_says_503_or_refuses_connections() {
    let center = Harness::with("login_down=0.3").await;
    let (mut said, mut refused) = (0, 0);
    while said < 3 || refused < 3 {
        if center.try_log_in().await.status() == 200 {
            continue;
        }
        let began = Instant::now();
        let struck = center.struck("login_down");
        let next = center.try_log_in().await;
        match next.error {
            Some(ErrorKind::ConnectionRefused) => refused += 1,
            None if next.status() == 503 => said += 1,
            other => panic!("{other:?}: {next:?}"),
        }
        let mut last = next;
        while last.status() != 200 && center.struck("login_down") == struck {
            tokio::time::sleep(Duration::from_millis(2)).await;
            last = center.try_log_in().await;
        }
        let down = began.elapsed() + Duration::from_millis(10);
        assert!(down >= real(2000), "{down:?}");
        assert!(down < real(20_000) + Duration::from_millis(300), "{down:?}");
        // The rest of the API is there all the time.
        assert_eq!(center.page(5, 1).await.status(), 200);
    }
}

#[tokio::test]
async fn cut_answer_ends_in_the_middle_of_what_it_announced() {
    let center = Harness::with("cut_answer=0.5").await;
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let answer = center.page(20, 1).await;
        assert_eq!((answer.status(), answer.error), (200, None));
        if !answer.complete() {
            assert!(answer.body.len() < answer.announced());
            lengths.insert(answer.body.len());
        }
    }
    assert!(lengths.len() > 8 && lengths.iter().any(|length| *length > 1000));
}

#[tokio::test]
async fn drip_takes_its_time_and_loses_nothing() {
    let calm = Harness::with("").await;
    let slow = Harness::with("slow_body=1").await;
    let (one, other) = (calm.page(20, 1).await, slow.page(20, 1).await);
    assert_eq!(one.json(), other.json());
    let url = slow.link().await;
    let file = Exchange::new("GET", &url, "", "").await;
    assert!(file.complete());
    for took in [other.took, file.took] {
        assert!(took >= real(850), "{took:?}");
        assert!(took < real(10_000) + Duration::from_millis(300), "{took:?}");
    }
    assert!(one.took < real(850), "{:?}", one.took);
}
