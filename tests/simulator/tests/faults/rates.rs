//! Rates and seeds: never at 0, always at 1, in between as often as said, and repeatably.

use std::collections::BTreeMap;

use genesys_simulator::{Faults, Settings};

use crate::support::{Exchange, Harness, settings};

/// The occasion that each fault needs to strike.
#[derive(Clone, Copy, PartialEq)]
enum Occasion {
    Query,
    SecondPage,
    LogIn,
    Submit,
    Poll,
    Download,
}

const OCCASIONS: [(&str, Occasion); 20] = [
    ("reset", Occasion::Query),
    ("server_error", Occasion::Query),
    ("timeout", Occasion::Query),
    ("throttle", Occasion::Query),
    ("unauthorized", Occasion::Query),
    ("refuse", Occasion::LogIn),
    ("login_down", Occasion::LogIn),
    ("cut_answer", Occasion::Query),
    ("slow_body", Occasion::Query),
    ("expired", Occasion::Download),
    ("cut", Occasion::Download),
    ("wrong_length", Occasion::Download),
    ("truncated", Occasion::Download),
    ("corrupted", Occasion::Download),
    ("lost_job", Occasion::Poll),
    ("stuck_job", Occasion::Submit),
    ("stalled_job", Occasion::Submit),
    ("late_growth", Occasion::Submit),
    ("unknown_status", Occasion::Poll),
    ("unstable_pages", Occasion::SecondPage),
];

/// Makes a number of requests, and says how each of them went: status, bytes, error.
async fn ask(center: &mut Harness, occasion: Occasion, times: u32) -> Vec<String> {
    let mut went = Vec::new();
    let uri = match occasion {
        Occasion::Poll => center.submit(0..3).await,
        _ => String::new(),
    };
    let url = match occasion {
        Occasion::Download => center.link().await,
        _ => String::new(),
    };
    for _ in 0..times {
        let answer = match occasion {
            Occasion::Query => center.page(1, 1).await,
            Occasion::SecondPage => center.page(5, 2).await,
            Occasion::LogIn => center.try_log_in().await,
            Occasion::Poll => center.get(&uri).await,
            Occasion::Download => Exchange::new("GET", &url, "", "").await,
            Occasion::Submit => {
                let id = center.simulator.organization().conversation(0).id;
                let body = serde_json::json!({
                    "batchDownloadRequestList": [{ "conversationId": id }],
                });
                center.post(crate::support::BATCHES, &body).await
            }
        };
        went.push(format!(
            "{} {} {:?}",
            answer.status(),
            answer.body.len(),
            answer.error
        ));
    }
    went
}

fn rough(faults: &str, fault_seed: u64) -> Settings {
    Settings {
        faults: Faults::parse(faults).unwrap(),
        fault_seed: Some(fault_seed),
        // The port is closed for a few ms at most.
        speed: 2000.0,
        token_lifetime: std::time::Duration::from_secs(86_400),
        ..settings()
    }
}

#[tokio::test]
async fn each_fault_strikes_at_its_rate_and_no_other_does() {
    for (name, occasion) in OCCASIONS {
        let mut center = Harness::start(rough(&format!("{name}=0.3"), 11)).await;
        let before = center.struck(name);
        ask(&mut center, occasion, 150).await;
        let struck = center.struck(name) - before;
        let stats = center.simulator.stats();
        assert_eq!(stats.struck.keys().collect::<Vec<_>>(), [name], "{stats:?}");
        assert_eq!(stats.faults, struck + before);
        // Requests that find a port closed or a service down are no occasions.
        let least = if occasion == Occasion::LogIn { 1 } else { 25 };
        assert!((least..68).contains(&struck), "{name}: {struck} of 150");
    }
}

#[tokio::test]
async fn a_seed_repeats_the_faults_and_another_one_brings_others() {
    let faults = "reset=0.1,server_error=0.1,timeout=0.1,throttle=0.1,cut_answer=0.2";
    let downloads = "reset=0.1,cut=0.3,wrong_length=0.2,truncated=0.2,corrupted=0.2,expired=0.1";
    for (faults, occasion) in [(faults, Occasion::Query), (downloads, Occasion::Download)] {
        let mut runs = Vec::new();
        for seed in [1, 1, 2] {
            // The link comes from a center without faults of the API, so that it is the same.
            let calm = Harness::start(rough("", seed)).await;
            let url = calm.link().await;
            drop(calm);
            let mut center = Harness::start(rough(faults, seed)).await;
            let went = match occasion {
                Occasion::Download => {
                    let path = &url[url.find("/recordings").unwrap()..];
                    let url = center.simulator.media_url() + path;
                    let mut went = Vec::new();
                    for _ in 0..60 {
                        let answer = Exchange::new("GET", &url, "", "").await;
                        went.push(format!("{} {}", answer.status(), answer.body.len()));
                    }
                    went
                }
                occasion => ask(&mut center, occasion, 60).await,
            };
            runs.push((went, center.simulator.stats().struck));
        }
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0].0, runs[2].0);
    }
}

#[tokio::test]
async fn without_rates_nothing_goes_wrong() {
    let mut center = Harness::with("").await;
    for occasion in [
        Occasion::Query,
        Occasion::SecondPage,
        Occasion::LogIn,
        Occasion::Submit,
        Occasion::Poll,
        Occasion::Download,
    ] {
        for went in ask(&mut center, occasion, 20).await {
            assert!(went.starts_with("200 ") && went.ends_with("None"), "{went}");
        }
    }
    let stats = center.simulator.stats();
    assert_eq!((stats.struck, stats.faults), (BTreeMap::new(), 0));
    assert_eq!((stats.refused, stats.rejected), (0, 0));
}
