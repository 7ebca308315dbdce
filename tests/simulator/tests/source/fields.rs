//! Requests and answers have the fields that the vendor documents, and no others.
//!
//! The lists are those of the vendor's SDKs (ConversationQuery, AsyncConversationQuery,
//! AnalyticsConversation, BatchDownloadJobSubmission and so on). A path to a field names what it is
//! in; `[]` is each element of a list, `*` any key. A `!` marks a field that must be there.

use std::collections::{BTreeMap, BTreeSet};

use genesys_simulator::{Dialect, Settings};
use recording_source_sdk::Method;
use serde_json::{Value, json};

use crate::drive::{Harness, fast};

/// A call: method, path (ids as `{}`), statuses of success, parameters, fields of its body and of
/// its answer.
struct Call {
    method: Method,
    path: &'static str,
    statuses: &'static [u16],
    parameters: &'static str,
    body: &'static str,
    answer: &'static str,
}

const FILTERS: &str = "interval! order orderBy conversationFilters conversationFilters[].type! \
    conversationFilters[].clauses conversationFilters[].predicates \
    conversationFilters[].predicates[].type conversationFilters[].predicates[].dimension \
    conversationFilters[].predicates[].metric conversationFilters[].predicates[].propertyType \
    conversationFilters[].predicates[].property conversationFilters[].predicates[].operator \
    conversationFilters[].predicates[].value conversationFilters[].predicates[].range \
    segmentFilters segmentFilters[].type! segmentFilters[].clauses segmentFilters[].predicates \
    segmentFilters[].predicates[].type segmentFilters[].predicates[].dimension \
    segmentFilters[].predicates[].metric segmentFilters[].predicates[].propertyType \
    segmentFilters[].predicates[].property segmentFilters[].predicates[].operator \
    segmentFilters[].predicates[].value segmentFilters[].predicates[].range \
    evaluationFilters surveyFilters resolutionFilters";

const CONVERSATION: &str = "conversationId! conversationStart! conversationEnd \
    originatingDirection divisionIds divisionIds[] externalTag \
    mediaStatsMinConversationMos mediaStatsMinConversationRFactor consultationConversationIds \
    evaluations surveys resolutions participants \
    participants[].participantId participants[].participantName participants[].purpose \
    participants[].userId participants[].teamId participants[].externalContactId \
    participants[].externalOrganizationId participants[].screenRecording \
    participants[].flaggedReason participants[].sessions \
    participants[].sessions[].sessionId participants[].sessions[].mediaType \
    participants[].sessions[].direction participants[].sessions[].ani \
    participants[].sessions[].dnis participants[].sessions[].sessionDnis \
    participants[].sessions[].remote participants[].sessions[].peerId \
    participants[].sessions[].recording participants[].sessions[].snippetRecording \
    participants[].sessions[].provider participants[].sessions[].protocolCallId \
    participants[].sessions[].edgeId participants[].sessions[].messageType \
    participants[].sessions[].addressFrom participants[].sessions[].addressTo \
    participants[].sessions[].addressSelf participants[].sessions[].addressOther \
    participants[].sessions[].outboundCampaignId participants[].sessions[].outboundContactId \
    participants[].sessions[].callbackNumbers participants[].sessions[].flow \
    participants[].sessions[].metrics participants[].sessions[].metrics[].name \
    participants[].sessions[].metrics[].value participants[].sessions[].metrics[].emitDate \
    participants[].sessions[].segments participants[].sessions[].segments[].segmentType \
    participants[].sessions[].segments[].segmentStart \
    participants[].sessions[].segments[].segmentEnd \
    participants[].sessions[].segments[].queueId participants[].sessions[].segments[].groupId \
    participants[].sessions[].segments[].wrapUpCode \
    participants[].sessions[].segments[].wrapUpNote \
    participants[].sessions[].segments[].wrapUpTags \
    participants[].sessions[].segments[].wrapUpTags[] \
    participants[].sessions[].segments[].disconnectType \
    participants[].sessions[].segments[].conference \
    participants[].sessions[].segments[].errorCode participants[].sessions[].segments[].subject \
    participants[].sessions[].segments[].requestedRoutingSkillIds \
    participants[].sessions[].segments[].properties";

/// A field that the SDKs do not have: the vendor adds some without notice, and the simulator, too.
const ADDED: &str = "conversationWeather conversationWeather.sky";

const METADATA: &str = "id! conversationId! name path selfUri startTime endTime media mediaSubtype \
    mediaSubject annotations annotations[].id annotations[].name annotations[].type \
    annotations[].location annotations[].durationMs annotations[].absoluteLocation \
    annotations[].absoluteDurationMs annotations[].recordingLocation \
    annotations[].recordingDurationMs annotations[].realtimeLocation annotations[].user \
    annotations[].description annotations[].reason annotations[].annotations fileState! \
    archiveDate deleteDate exportDate exportedDate restoreExpirationTime archiveMedium sessionId \
    region maxAllowedRestorationsForOrg remainingRestorationsAllowedForOrg";

const RECORDING: &str = "id conversationId name path selfUri startTime endTime media mediaSubtype annotations \
    annotations[].id annotations[].name annotations[].type annotations[].location \
    annotations[].durationMs annotations[].absoluteLocation annotations[].absoluteDurationMs \
    annotations[].description annotations[].reason fileState mediaUris mediaUris.* \
    mediaUris.*.mediaUri mediaUris.*.waveformData estimatedTranscodeTimeMs actualTranscodeTimeMs \
    outputDurationMs outputSizeInBytes originalRecordingStartTime creationTime transcript \
    emailTranscript messagingTranscript users sessionId recordingFileRole recordingErrorStatus \
    archiveDate deleteDate exportDate exportedDate archiveMedium restoreExpirationTime \
    associatedConversationIds";

const ENTITIES: &str = "entities! entities[].id! entities[].name entities[].state pageSize \
    pageNumber total pageCount selfUri nextUri previousUri firstUri lastUri";

const DIVISIONS: &str = "entities! entities[].id! entities[].name entities[].homeDivision pageSize \
    pageNumber total pageCount selfUri nextUri previousUri firstUri lastUri";

const JOB: &str = "id! jobId status expectedResultCount! resultCount! errorCount selfUri results \
    results[].conversationId! results[].recordingId results[].contentType results[].resultUrl \
    results[].errorMsg";

const GUIDE_JOB: &str = "jobId expectedResultCount! resultCount! errorCount resultUrl";

/// All calls; `guide` selects the dialect.
fn calls(guide: bool) -> Vec<Call> {
    // Long: one table of calls.
    let call = |method, path, statuses, parameters, body, answer| Call {
        method,
        path,
        statuses,
        parameters,
        body,
        answer,
    };
    let (get, post) = (Method::Get, Method::Post);
    vec![
        call(
            post,
            "analytics/conversations/details/query",
            &[200],
            "",
            "FILTERS paging paging.pageSize paging.pageNumber aggregations",
            "totalHits conversations ROW",
        ),
        call(
            get,
            "analytics/conversations/details",
            &[200],
            "id!",
            "",
            "conversations ROW",
        ),
        call(
            post,
            "analytics/conversations/details/jobs",
            &[202],
            "",
            "FILTERS limit startOfDayIntervalMatching",
            "jobId!",
        ),
        call(
            get,
            "analytics/conversations/details/jobs/availability",
            &[200],
            "",
            "",
            "dataAvailabilityDate!",
        ),
        call(
            get,
            "analytics/conversations/details/jobs/{}",
            &[200, 202],
            "",
            "",
            "state! errorMessage submissionDate completionDate expirationDate",
        ),
        call(
            get,
            "analytics/conversations/details/jobs/{}/results",
            &[200],
            "cursor pageSize",
            "",
            "dataAvailabilityDate! cursor conversations ROW conversations[].participants[].attributes conversations[].participants[].attributes.*",
        ),
        match guide {
            false => call(
                post,
                "recording/batchrequests",
                &[200],
                "",
                "batchDownloadRequestList! batchDownloadRequestList[].conversationId! batchDownloadRequestList[].recordingId",
                "id! selfUri",
            ),
            true => call(
                post,
                "recording/batchrequests",
                &[202],
                "",
                "batchDownloadJobSubmissionQuery! batchDownloadJobSubmissionQuery.batchDownloadJobSignatures! batchDownloadJobSubmissionQuery.batchDownloadJobSignatures[].conversationId! batchDownloadJobSubmissionQuery.format",
                "jobId!",
            ),
        },
        call(
            get,
            "recording/batchrequests/{}",
            &[200],
            "",
            "",
            if guide { GUIDE_JOB } else { JOB },
        ),
        call(
            get,
            "conversations/{}/recordingmetadata",
            &[200],
            "",
            "",
            "METADATA[]",
        ),
        call(
            get,
            "conversations/{}/recordingmetadata/{}",
            &[200],
            "",
            "",
            METADATA,
        ),
        call(
            get,
            "conversations/{}/recordings/{}",
            &[200, 202],
            "formatId emailFormatId chatFormatId messageFormatId download fileName locale mediaFormats includePauseAnnotationsForScreenRecordings",
            "",
            RECORDING,
        ),
        call(
            Method::Put,
            "conversations/{}/recordings/{}",
            &[200],
            "clearExport",
            RECORDING,
            RECORDING,
        ),
        call(
            get,
            "users",
            &[200],
            "id pageSize pageNumber state sortOrder expand jabberId",
            "",
            ENTITIES,
        ),
        call(
            get,
            "routing/queues",
            &[200],
            "id pageSize pageNumber name divisionId",
            "",
            ENTITIES,
        ),
        call(
            get,
            "authorization/divisions",
            &[200],
            "id pageSize pageNumber name sortBy expand nextPage previousPage objectCount",
            "",
            DIVISIONS,
        ),
        call(
            get,
            "routing/wrapupcodes",
            &[200],
            "id pageSize pageNumber name divisionId",
            "",
            ENTITIES,
        ),
        call(
            get,
            "authorization/divisions",
            &[200],
            "id pageSize pageNumber name sortBy expand nextPage previousPage objectCount",
            "",
            ENTITIES,
        ),
        call(
            get,
            "recordings/retention/query",
            &[200],
            "retentionThresholdDays! cursor pageSize",
            "",
            "entities! entities[].conversationId entities[].recordingId entities[].archiveDate entities[].archiveMedium entities[].deleteDate entities[].exportDate entities[].exportedDate entities[].creationTime nextUri previousUri selfUri",
        ),
        call(
            get,
            "orphanrecordings",
            &[200],
            "pageSize pageNumber sortBy expand nextPage previousPage hasConversation media",
            "",
            "ORPHANS",
        ),
        call(
            get,
            "orphanrecordings/{}/media",
            &[200, 202],
            "formatId emailFormatId chatFormatId messageFormatId download fileName locale mediaFormats",
            "",
            RECORDING,
        ),
    ]
}

const ORPHANS: &str = "entities! entities[].id! entities[].name entities[].createdTime \
    entities[].recoveredTime entities[].providerType entities[].mediaSizeBytes \
    entities[].mediaType entities[].fileState entities[].providerEndpoint entities[].recording \
    entities[].orphanStatus entities[].sourceOrphaningId entities[].region entities[].selfUri \
    pageSize pageNumber total pageCount selfUri nextUri previousUri firstUri lastUri";

/// The paths of a list, and which of them must be there.
fn fields(list: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut known, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut add = |prefix: &str, list: &str| {
        for word in list.split_whitespace() {
            let path = format!("{prefix}{}", word.trim_end_matches('!'));
            if word.ends_with('!') {
                needed.insert(path.clone());
            }
            known.insert(path);
        }
    };
    for word in list.split_whitespace() {
        match word {
            "FILTERS" => add("", FILTERS),
            "ROW" => {
                add("conversations[].", CONVERSATION);
                add("conversations[].", ADDED);
            }
            "METADATA[]" => add("[].", METADATA),
            "ORPHANS" => add("", ORPHANS),
            word => add("", word),
        }
    }
    (known, needed)
}

/// The paths of all fields of a value, and of lists in it.
fn paths(value: &Value, path: &str, known: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let join = |name: &str| match path {
                    "" => name.to_owned(),
                    path => format!("{path}.{name}"),
                };
                let any = join("*");
                let path = if known.contains(&any) {
                    any
                } else {
                    join(name)
                };
                found.insert(path.clone());
                paths(value, &path, known, found);
            }
        }
        Value::Array(list) => {
            for value in list {
                paths(value, &format!("{path}[]"), known, found);
            }
        }
        _ => {}
    }
}

/// Fails if a value has a field that is not in the list, or lacks one that must be there.
fn compare(value: &Value, list: &str, what: &str) {
    let (known, needed) = fields(list);
    let mut found = BTreeSet::new();
    paths(value, "", &known, &mut found);
    let strange: Vec<&String> = found.difference(&known).collect();
    assert!(strange.is_empty(), "{what} has {strange:?}: {value}");
    for path in needed {
        // A nested field must be there if its holder is.
        let outer = path.rsplit_once("[].").map(|(list, _)| list.to_owned());
        let holder = match &outer {
            Some(list) => value.pointer(&pointer(list)),
            None => Some(value),
        };
        let empty = match holder {
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(_)) => false,
            _ => true,
        };
        assert!(
            empty || found.contains(&path),
            "{what} lacks {path}: {value}"
        );
    }
}

/// A JSON pointer to the list of this path in the first element of each list around it.
fn pointer(path: &str) -> String {
    let path = path.replace("[]", ".0");
    let parts = path.split('.').filter(|part| !part.is_empty());
    parts.map(|part| format!("/{part}")).collect()
}

/// Compares all traffic with the lists; returns how often each call was made.
fn check(center: &Harness, guide: bool, made: &mut BTreeMap<String, usize>) {
    let calls = calls(guide);
    for exchange in &center.traffic {
        let path: Vec<&str> = exchange
            .path()
            .split('/')
            .map(|part| if part.len() == 36 { "{}" } else { part })
            .collect();
        let path = path.join("/");
        let what = format!("{:?} {path}", exchange.request.method);
        let call = calls
            .iter()
            .find(|call| call.path == path && call.method == exchange.request.method);
        let call = call.unwrap_or_else(|| panic!("{what} is not documented"));
        *made.entry(what.clone()).or_default() += 1;

        let query = exchange
            .request
            .url
            .split_once('?')
            .map_or("", |(_, query)| query);
        let (known, needed) = fields(call.parameters);
        let given: BTreeSet<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split('=').next().unwrap().to_owned())
            .collect();
        assert!(given.is_subset(&known), "{what}: {given:?}");
        assert!(needed.is_subset(&given), "{what}: {given:?}");
        match &exchange.request.body {
            Some(body) => {
                let body: Value = serde_json::from_slice(body).unwrap();
                compare(&body, call.body, &format!("the request {what}"));
            }
            None => assert_eq!(call.body, "", "{what} has no body"),
        }
        let status = exchange.response.status;
        assert!(call.statuses.contains(&status), "{what}: {status}");
        compare(
            &exchange.answered(),
            call.answer,
            &format!("the answer to {what}"),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_have_the_documented_fields_and_no_others() {
    let mut made = BTreeMap::new();
    let everything = json!({
        "names": true, "recording_metadata": true, "restore_days": 3, "export_orphans": true,
        "media": ["voice", "chat", "email", "message"],
    });
    let ways = [
        (
            Dialect::Cloud,
            json!({ "search": "query", "direction": "inbound" }),
        ),
        (Dialect::Cloud, json!({})),
        (Dialect::Cloud, json!({ "format": "wav" })),
        (
            Dialect::Cloud,
            json!({ "format": "mp3", "channels": "split" }),
        ),
        (Dialect::Cloud, json!({ "search": "retention" })),
        (Dialect::Guide, json!({ "format": "mp3" })),
    ];
    for (dialect, own) in ways {
        let mut center = Harness::start(Settings {
            dialect,
            days: 40,
            conversations: 260,
            nameless: true,
            orphans: 3,
            // Some continue when the data of jobs end.
            mean_call: std::time::Duration::from_secs(20_000),
            clock_start: Some("2026-02-12T00:00:00Z".parse().unwrap()),
            speed: 2000.0,
            transcode_time: std::time::Duration::from_secs(1),
            restore_time: std::time::Duration::from_secs(1 << 40),
            ..fast()
        })
        .await;
        let guide = dialect == Dialect::Guide;
        let mut options = everything.clone();
        for (name, value) in own.as_object().unwrap() {
            options[name] = value.clone();
        }
        options["dialect"] = json!(if guide { "guide" } else { "cloud" });
        if guide {
            options.as_object_mut().unwrap().remove("restore_days");
        }
        if own["search"] == "retention" {
            options.as_object_mut().unwrap().remove("media");
        }
        center.export(options).unwrap();
        check(&center, guide, &mut made);
    }
    // Each call has been made, so that each list has been compared.
    for guide in [false, true] {
        for call in calls(guide) {
            let what = format!("{:?} {}", call.method, call.path);
            assert!(made.contains_key(&what), "{what} was never made: {made:?}");
        }
    }
}
