//! The JSON of Genesys Cloud.

use genesys_cloud::GenesysCloud;

use super::vendor::{self, Vendor};
use crate::parser::{Parser, unmended};

/// The vendor's JSON.
pub(crate) const GENESYS_CLOUD: Parser = Parser {
    name: "genesys_cloud",
    seeds: || VENDOR.seeds::<GenesysCloud>(),
    mutate: vendor::mutate,
    mend: unmended,
    feed: |input| VENDOR.feed::<GenesysCloud>(input),
};

const VENDOR: Vendor = Vendor {
    options: &[
        r#"{"region":"mypurecloud.ie","recording_metadata":true,"names":true,"orphans":true,"restore_days":7}"#,
        r#"{"region":"mypurecloud.ie","search":"job","dialect":"guide","format":"wav"}"#,
        r#"{"region":"mypurecloud.ie","search":"retention","export_orphans":true,"mode":"metadata_only"}"#,
        r#"{"region":"mypurecloud.ie","search":"query","format":"mp3","channels":"split","queues":["Sales"],"divisions":["Home"]}"#,
    ],
    states: include_str!("../../../component/genesys-cloud/tests/states.jsonl"),
    answers: &[
        ("/jobs/availability", AVAILABILITY),
        ("/results?", PAGE),
        (
            "/details/jobs/j1",
            r#"200{"state":"FULFILLED","errorMessage":null}"#,
        ),
        ("/details/jobs", r#"202{"jobId":"j1"}"#),
        ("/conversations/details", PAGE),
        ("/batchrequests/", BATCH),
        ("/batchrequests", r#"200{"id":"job-1"}"#),
        ("/recordingmetadata/", RECORDING),
        ("/recordingmetadata", RECORDINGS),
        ("/media?", MEDIA),
        ("/recordings/retention", RETENTION),
        ("/recordings/", MEDIA),
        ("/orphanrecordings", ORPHANS),
        (
            "/recording/settings",
            r#"200{"recordingBatchDownloadUrlTtl":5}"#,
        ),
        ("/api/v2/", NAMES),
    ],
};

const AVAILABILITY: &str =
    r#"200Mon, 05 Jan 2026 00:00:00 GMT{"dataAvailabilityDate":"2026-02-20T00:00:00.000Z"}"#;
const PAGE: &str = r#"200Mon, 05 Jan 2026 00:00:00 GMT{"totalHits":2,"conversations":[{"conversationId":"c1","conversationStart":"2026-01-05T10:00:00.000Z","conversationEnd":"2026-01-05T10:04:00.000Z","originatingDirection":"inbound","divisionIds":["d1"],"externalTag":"tag","participants":[{"participantName":"Ann","purpose":"customer","attributes":{"vip":"yes","n":1},"sessions":[{"sessionId":"s1","peerId":"p1","mediaType":"voice","ani":"tel:+15550100","dnis":"tel:+15550199","recording":true,"metrics":[{"name":"tTalkComplete","value":1000}],"segments":[{"queueId":"q1","wrapUpCode":"w1","wrapUpTags":["t"],"segmentStart":"2026-01-05T10:00:00.000Z"}]}]},{"userId":"u1","purpose":"agent","screenRecording":true,"sessions":[{"mediaType":"email","addressFrom":"a@b.example","outboundCampaignId":"o","snippetRecording":"true"}]}]},{"conversationId":"c2","conversationStart":1767607200000}]}"#;
const BATCH: &str = r#"200{"status":"Completed","expectedResultCount":4,"resultCount":4,"resultUrl":"https://media.example/z?sig=s","results":[{"conversationId":"c1","recordingId":"r1","contentType":"audio/ogg","resultUrl":"https://media.example/r1?X-Amz-Signature=s"},{"conversationId":"c1","recordingId":"r1","contentType":"audio/ogg","resultUrl":"https://media.example/r1b?signature=s"},{"conversationId":"c2","recordingId":"a","errorMsg":"Recording is archived"},{"conversationId":"c0","errorMsg":"odd"}]}"#;
const RECORDING: &str = r#"200{"id":"a","fileState":"ARCHIVED","archiveDate":"2026-01-01T00:00:00.000Z","deleteDate":"2030-01-01T00:00:00.000Z","exportDate":null,"restoreExpirationTime":"2026-06-01T00:00:00Z"}"#;
const RECORDINGS: &str = r#"200[{"id":"r1","conversationId":"c1","startTime":"2026-01-05T10:00:00.000Z","endTime":"2026-01-05T10:04:00.000Z","media":"audio","mediaSubtype":"Trunk","mediaSubject":"x","annotations":[{"id":"n"}],"fileState":"AVAILABLE","archiveMedium":"CLOUDARCHIVE","exportedDate":"2026-01-06T00:00:00.000Z","sessionId":"s1","region":"eu"},{"id":"a","fileState":"ARCHIVED","media":"screen"},{"id":"d","fileState":"DELETED","media":"email"}]"#;
const MEDIA: &str = r#"200{"fileState":"AVAILABLE","mediaUris":{"1":{"mediaUri":"https://media.example/1"},"0":{"mediaUri":"https://media.example/0"}},"estimatedTranscodeTimeMs":20,"recordingErrorStatus":"none","associatedConversationIds":["c9"]}"#;
const RETENTION: &str = r#"200{"entities":[{"conversationId":"c1","creationTime":"2026-01-05T10:00:00.000Z"},{"conversationId":"c2","creationTime":"2026-01-05T10:00:00.000Z"}],"nextUri":"/api/v2/recordings/retention/query?pageSize=2&cursor=124"}"#;
const ORPHANS: &str = r#"200{"entities":[{"id":"o1","createdTime":"2026-01-05T10:00:00.000Z","mediaType":"CALL","providerType":"EDGE","orphanStatus":"NO_CONVERSATION"}],"pageCount":1}"#;
const NAMES: &str = r#"200{"entities":[{"id":"q1","name":"Sales"},{"id":"d1","name":"Home and away"},{"id":"u1","name":"Ada Okafor"},{"id":"w1","name":"Done"}],"pageCount":1}"#;
