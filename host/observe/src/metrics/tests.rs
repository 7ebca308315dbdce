use std::collections::BTreeMap;

use super::*;
use recording_host_model::StoredArtifact;

#[test]
fn events_are_counted_by_source_and_sink() {
    // Long: one table of events and series.
    let metrics = Metrics::new("1.2.3");
    let calls = metrics.subscriber(Measured {
        source: "calls".to_owned(),
        source_type: "genesys_cloud".to_owned(),
        sinks: BTreeMap::from([("lake".to_owned(), "s3".to_owned())]),
        clock: Clock::starting_at(3500, 1e-9),
        endless: true,
    });
    for status in [Some(200), Some(503), None] {
        calls.on_event(&Event::Request {
            kind: "find".to_owned(),
            method: "GET",
            status,
            millis: 30,
        });
    }
    calls.on_event(&Event::ArtifactStored {
        stored: BTreeMap::from([(
            "lake".to_owned(),
            StoredArtifact {
                objects: 2,
                bytes: 7,
            },
        )]),
    });
    calls.on_event(&Event::Progress(Progress {
        conversations: 5,
        filed: BTreeMap::from([("failed".to_owned(), 1)]),
        watermark: Some(1500),
        ..Progress::default()
    }));
    calls.on_event(&Event::Backlog(Backlog {
        artifacts: BTreeMap::from([("lake".to_owned(), 3)]),
        queue_bytes: 77,
        requests_used: Some(12),
        month_requests: Some(700),
        ..Backlog::default()
    }));
    calls.on_event(&Event::LossesFiled {
        codes: BTreeMap::from([("archived".to_owned(), 4)]),
    });
    calls.on_event(&Event::Downloaded {
        bytes: 9,
        millis: 1,
    });
    calls.on_event(&Event::SinkUnavailable {
        sink: "lake".to_owned(),
    });
    let text = metrics.text();
    let source = r#"component_kind="source",component_id="calls",component_type="genesys_cloud""#;
    let lake = r#"component_kind="sink",component_id="lake",component_type="s3""#;
    let sink = format!(r#"{lake},source="calls""#);
    for line in [
        r#"recording_host_build_info{version="1.2.3"} 1"#.to_owned(),
        format!(
            r#"recording_host_http_client_responses_total{{{source},kind="find",status="none"}} 1"#
        ),
        format!(r#"recording_host_http_client_rtt_seconds_count{{{source},kind="find"}} 3"#),
        format!(
            r#"recording_host_component_errors_total{{{source},error_type="request_failed",stage="requesting"}} 2"#
        ),
        format!("recording_host_component_sent_bytes_total{{{sink}}} 7"),
        format!(r#"recording_host_conversations{{{source},outcome="failed"}} 1"#),
        format!(r#"recording_host_conversations{{{source},outcome="stored"}} 0"#),
        format!("recording_host_watermark_timestamp_seconds{{{source}}} 1.5"),
        format!("recording_host_source_lag_time_seconds{{{source}}} 2.0"),
        format!("recording_host_source_available{{{source}}} 0"),
        format!("recording_host_losses_total{{{source},reason=\"archived\"}} 4"),
        format!("recording_host_component_received_bytes_total{{{source}}} 9"),
        format!(
            r#"recording_host_buffer_size_events{{{lake},buffer_id="backlog",source="calls"}} 3"#
        ),
        format!(r#"recording_host_buffer_size_bytes{{{source},buffer_id="queue"}} 77"#),
        format!("recording_host_api_budget_used{{{source}}} 12"),
        format!("recording_host_api_month_requests{{{source}}} 700"),
        format!("recording_host_sink_available{{{sink}}} 0"),
    ] {
        assert!(text.lines().any(|there| there == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    // The machine leads a fleet for a while.
    let waiting = |fetches| {
        calls.on_event(&Event::Backlog(Backlog {
            fetches,
            ..Backlog::default()
        }));
        metrics.text().contains(r#"buffer_id="fetches""#)
    };
    assert!(!waiting(None));
    assert!(waiting(Some(4)));
    assert!(!waiting(None), "another machine tells it by now");
}
