//! Whatever goes wrong on the way, the result is the same as if nothing had.

use genesys_simulator::{Dialect, Faults, Settings};
use recording_host_engine::verify::verify;
use recording_host_sink::{Sink, filesystem::Filesystem};
use serde_json::json;

use crate::support::{Harness, export, files, identities, media, rows, same_media};

async fn exported(dialect: Dialect, faults: Faults) -> Harness {
    let harness = Harness::start(Settings {
        conversations: 400,
        seed: 21,
        dialect,
        faults,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    let options = &mut config["sources"]["calls"]["options"];
    options["job_timeout_seconds"] = json!(120);
    options["job_attempts"] = json!(8);
    let summary = export(config).await;
    assert_eq!(summary.conversations, 400);
    harness
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_kind_change_nothing_in_the_result() {
    for dialect in [Dialect::Cloud, Dialect::Guide] {
        let calm = exported(dialect, Faults::default()).await;
        let rough = exported(dialect, Faults::all(0.05)).await;
        let stats = rough.simulator.stats();
        assert!(stats.faults > 20, "{stats:?}");
        let (calm, rough_files) = (files(&calm.output()), files(&rough.output()));
        same_media(&media(&calm), &media(&rough_files));
        // Unknown values of the vendor stand in the rows, too.
        assert_eq!(identities(&rows(&calm)), identities(&rows(&rough_files)));
        let sink = Filesystem::new(rough.output());
        let report = verify(sink.store().unwrap(), true).await.unwrap();
        assert_eq!(report.findings, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_goes_on_where_it_was() {
    let harness = Harness::start(Settings {
        conversations: 20,
        giant: Some(40 << 20),
        faults: Faults {
            cut: 0.6,
            ..Faults::default()
        },
        ..Settings::default()
    })
    .await;
    export(harness.config()).await;
    let giant = harness.organization().conversation(0);
    let size = giant.recordings[0].duration_ms * 32 + 44;
    let found = files(&harness.output());
    assert!(found.values().any(|data| data.len() as u64 == size));
    let sink = Filesystem::new(harness.output());
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!((report.findings, report.conversations), (Vec::new(), 20));
    // A download that begins anew each time would ask for a whole file after each cut.
    let stats = harness.simulator.stats();
    assert!(stats.requests["GET media"] > 20, "{stats:?}");
}
