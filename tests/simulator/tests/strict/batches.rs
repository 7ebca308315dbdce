//! Batch jobs and their links.

use super::*;

#[tokio::test]
async fn a_job_grows_and_yields_its_results_one_by_one() {
    let user = User::of(fast()).await;
    let organization = user.simulator.organization();
    let indices: Vec<u64> = (0..100).collect();
    let answers = user.batch(&indices).await;
    let wanted: Vec<_> = indices
        .iter()
        .flat_map(|index| organization.conversation(*index).recordings)
        .collect();
    let counts = |answer: &Value| {
        let number = |name: &str| answer[name].as_u64().unwrap();
        let rows = answer["results"].as_array().unwrap().len() as u64;
        assert_eq!(number("resultCount"), rows);
        (number("expectedResultCount"), rows)
    };
    let mut last = (0, 0);
    for answer in &answers {
        let now = counts(answer);
        assert!(now.0 >= last.0 && now.1 >= last.1 && now.0 >= now.1);
        last = now;
    }
    assert!(answers.len() > 3);
    let files = |recording: &genesys_simulator::Recording| match recording.state {
        State::Available => u64::from(recording.kind.parts()),
        _ => 1,
    };
    assert_eq!(last.1, wanted.iter().map(files).sum::<u64>());
    let errors = wanted
        .iter()
        .filter(|r| r.state != State::Available)
        .count();
    let finished = answers.last().unwrap();
    assert_eq!(finished["errorCount"], errors);
    for row in finished["results"].as_array().unwrap() {
        assert_ne!(
            row.get("resultUrl").is_some(),
            row.get("errorMsg").is_some()
        );
    }
}

#[tokio::test]
async fn batches_are_read_strictly() {
    let user = User::of(fast()).await;
    let id = user.simulator.organization().conversation(0).id;
    let item = json!({ "conversationId": id });
    let submit = |items: Vec<Value>| json!({ "batchDownloadRequestList": items });
    for (body, code) in [
        (
            submit(vec![item.clone(); 101]),
            "batch.download.too.many.items",
        ),
        (submit(Vec::new()), "batch.download.bad.request"),
        (
            submit(vec![json!({ "conversationId": "7" })]),
            "batch.download.bad.request",
        ),
        (
            submit(vec![json!({ "conversationId": id, "formatId": "WAV" })]),
            "bad.request",
        ),
        (
            json!({ "batchDownloadJobSubmissionQuery": { "batchDownloadJobSignatures": [item] } }),
            "bad.request",
        ),
    ] {
        let (status, given, message) = user.refused(BATCHES, &body).await;
        assert_eq!((status, given.as_str()), (400, code), "{message}");
    }
    let unknown = user.get(&format!("{BATCHES}/{id}")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let body: Value = unknown.json().await.unwrap();
    assert_eq!(body["code"], "batch.download.job.not.found");
}

#[tokio::test]
async fn links_are_signed_expire_and_take_no_token() {
    let user = User::of(Settings {
        link_lifetime: Duration::from_secs(100),
        audio: genesys_simulator::AudioMix::Wav,
        ..fast()
    })
    .await;
    let organization = user.simulator.organization();
    let voice = (0..500)
        .find(|index| {
            organization
                .conversation(*index)
                .recordings
                .first()
                .is_some_and(|r| r.kind == RecordingKind::Wav && r.state == State::Available)
        })
        .unwrap();
    let answers = user.batch(&[voice]).await;
    let row = &answers.last().unwrap()["results"][0];
    let url = row["resultUrl"].as_str().unwrap();
    assert!(url.starts_with(&user.simulator.media_url()));
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    let get = |url: &str| user.client.get(url);
    assert_eq!(status(get(url).bearer_auth(&user.token)).await, 400);
    let forged = url.replace("Signature=", "Signature=0");
    assert_eq!(status(get(&forged)).await, 403);
    let unsigned = url.split_once('?').unwrap().0;
    assert_eq!(status(get(unsigned)).await, 403);

    let whole = get(url).send().await.unwrap();
    assert_eq!(whole.headers()["content-type"], "audio/wav");
    let whole = whole.bytes().await.unwrap();
    let part = get(url)
        .header("range", "bytes=100-299")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    let range = format!("bytes 100-299/{}", whole.len());
    assert_eq!(part.headers()["content-range"], *range);
    assert_eq!(part.bytes().await.unwrap(), whole[100..300]);
    assert_eq!(
        status(get(url).header("range", "bytes=99999999-")).await,
        416
    );

    // 100 s at a hundredfold speed.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(status(get(url)).await, 403);
}

#[tokio::test]
async fn the_guide_dialect_gives_one_zip_with_an_index() {
    let user = User::of(Settings {
        dialect: Dialect::Guide,
        ..fast()
    })
    .await;
    let organization = user.simulator.organization();
    let items: Vec<Value> = (0..30)
        .map(|index| json!({ "conversationId": organization.conversation(index).id }))
        .collect();
    let body =
        json!({ "batchDownloadJobSubmissionQuery": { "batchDownloadJobSignatures": items } });
    let answer = user.post(BATCHES, &body).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let submitted: Value = answer.json().await.unwrap();
    let job = submitted["jobId"].as_str().unwrap();
    let url = loop {
        let answer: Value = user
            .get(&format!("{BATCHES}/{job}"))
            .await
            .json()
            .await
            .unwrap();
        assert!(answer.get("status").is_none() && answer.get("results").is_none());
        if let Some(url) = answer["resultUrl"].as_str() {
            assert_eq!(answer["expectedResultCount"], answer["resultCount"]);
            break url.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let zip = user
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let index: Value = serde_json::from_reader(zip.by_name("metadata.json").unwrap()).unwrap();
    let mut files = 0;
    for entry in index.as_array().unwrap() {
        match entry["fileName"].as_str() {
            Some(name) => {
                assert!(zip.by_name(name).unwrap().size() > 0);
                files += 1;
            }
            None => assert!(entry["errorMsg"].is_string()),
        }
    }
    assert_eq!(files + 1, zip.len());
}
