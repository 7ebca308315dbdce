"""Drives a simulator by the vendor's Python SDK, and checks its answers by the SDK's own models.

Arguments: the API's address, client id, client secret, start and end of the interval, and the id of the
S3 integration. Prints what it found as JSON. `violations` has each field of an answer that the SDK
has no name, no such type or no such value for, and each call that the SDK refuses.
"""

import json
import re
import sys
import time
from datetime import datetime, timedelta, timezone

import PureCloudPlatformClientV2 as sdk
from PureCloudPlatformClientV2 import models
from PureCloudPlatformClientV2.rest import ApiException

api_url, client_id, secret, start, end, integration = sys.argv[1:7]
violations = set()
calls = {}


def instant(text):
    """An instant as the SDK reads one: ISO 8601 with an offset."""
    return isinstance(text, str) and bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)", text)
    )


PLAIN = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "datetime": instant,
    "object": lambda value: True,
}


def conforms(value, kind, place):
    """Compares a value of an answer with the type that the SDK declares for it."""
    if kind.startswith("list["):
        if not isinstance(value, list):
            violations.add(f"{place}: no list")
            return
        for element in value:
            conforms(element, kind[5:-1], f"{place}[]")
    elif kind.startswith("dict("):
        if not isinstance(value, dict):
            violations.add(f"{place}: no map")
            return
        inner = kind[5:-1].split(", ", 1)[1]
        for element in value.values():
            conforms(element, inner, f"{place}.*")
    elif kind in PLAIN:
        if not PLAIN[kind](value):
            violations.add(f"{place}: {json.dumps(value)} is no {kind}")
    else:
        fields(value, getattr(models, kind), place)


def fields(value, model, place):
    if not isinstance(value, dict):
        violations.add(f"{place}: no object")
        return
    known = {wire: name for name, wire in model().attribute_map.items()}
    for wire, inner in value.items():
        if wire not in known:
            violations.add(f"{place}.{wire}: not in {model.__name__}")
            continue
        kind = model().swagger_types[known[wire]]
        conforms(inner, kind, f"{place}.{wire}")
        if kind in ("str", "list[str]"):
            # The SDK's setter takes a value that it does not know for one of a newer version.
            one = model()
            for text in inner if isinstance(inner, list) else [inner]:
                setattr(one, known[wire], text if kind == "str" else [text])
                kept = getattr(one, known[wire])
                if "outdated_sdk_version" in (kept if isinstance(kept, list) else [kept]):
                    violations.add(f"{place}.{wire}: {text} is no value of {model.__name__}")


def call(model, function, *arguments, **named):
    """Makes a call and checks its answer; `model` is the type that the SDK documents for it."""
    name = function.__name__
    calls[name] = calls.get(name, 0) + 1
    try:
        answer = function(*arguments, **named)
    except ApiException as error:
        violations.add(f"{name}: {error.status} {error.body}")
        raise
    if model:
        raw = client.last_response.data
        if raw:
            conforms(json.loads(raw), model, name)
    return answer


client = sdk.api_client.ApiClient(api_url)
client.get_client_credentials_token(client_id, secret)
interval = f"{start}/{end}"
analytics = sdk.AnalyticsApi(client)
recording = sdk.RecordingApi(client)

# Discovery: page by page, by a job, and by ids.
exists = sdk.ConversationDetailQueryPredicate()
exists.type, exists.dimension, exists.operator = "dimension", "conversationEnd", "exists"
ended = sdk.ConversationDetailQueryFilter()
ended.type, ended.predicates = "and", [exists]
found = []
page = 1
while True:
    query = sdk.ConversationQuery()
    query.interval, query.order, query.order_by = interval, "asc", "conversationStart"
    query.conversation_filters = [ended]
    query.paging = sdk.PagingSpec()
    query.paging.page_size, query.paging.page_number = 100, page
    answer = call(
        "AnalyticsConversationQueryResponse",
        analytics.post_analytics_conversations_details_query,
        query,
    )
    if not answer.conversations:
        break
    found += [one.conversation_id for one in answer.conversations]
    page += 1
listed = call(
    "AnalyticsConversationWithoutAttributesMultiGetResponse",
    analytics.get_analytics_conversations_details,
    id=found[:50],
)
assert len(listed.conversations) == 50, len(listed.conversations)
call("DataAvailabilityResponse", analytics.get_analytics_conversations_details_jobs_availability)
search = sdk.AsyncConversationQuery()
search.interval, search.order_by, search.conversation_filters = interval, "conversationStart", [ended]
search.start_of_day_interval_matching = True
job = call("AsyncQueryResponse", analytics.post_analytics_conversations_details_jobs, search).job_id
while True:
    status = call("AsyncQueryStatus", analytics.get_analytics_conversations_details_job, job)
    if status.state not in ("QUEUED", "PENDING"):
        break
    time.sleep(0.2)
searched, cursor = [], None
while True:
    more = {"cursor": cursor} if cursor else {}
    answer = call(
        "AnalyticsConversationAsyncQueryResponse",
        analytics.get_analytics_conversations_details_job_results,
        job,
        page_size=100,
        **more,
    )
    searched += [one.conversation_id for one in answer.conversations]
    cursor = answer.cursor
    if not cursor:
        break
call(None, analytics.delete_analytics_conversations_details_job, job)

# Batches.
results, errors = 0, 0
recordings = {}
for at in range(0, len(found), 100):
    submission = sdk.BatchDownloadJobSubmission()
    submission.batch_download_request_list = []
    for conversation in found[at : at + 100]:
        request = sdk.BatchDownloadRequest()
        request.conversation_id = conversation
        submission.batch_download_request_list.append(request)
    submitted = call(
        "BatchDownloadJobSubmissionResult", recording.post_recording_batchrequests, submission
    )
    while True:
        status = call(
            "BatchDownloadJobStatusResult", recording.get_recording_batchrequest, submitted.id
        )
        if status.status == "Completed":
            break
        time.sleep(0.2)
    assert status.result_count == status.expected_result_count == len(status.results)
    for result in status.results:
        if result.error_msg:
            errors += 1
        else:
            results += 1
        recordings.setdefault(result.conversation_id, {})[result.recording_id] = result.error_msg

# Each recording by itself, its media in a format, and the restoration of archived ones.
call("RecordingSettings", recording.get_recording_settings, create_default=False)
media, restored = 0, 0
for conversation, ids in list(recordings.items())[:40]:
    call("list[RecordingMetadata]", recording.get_conversation_recordingmetadata, conversation)
    for one in ids:
        call(
            "RecordingMetadata",
            recording.get_conversation_recordingmetadata_recording_id,
            conversation,
            one,
        )
for conversation, ids in recordings.items():
    for one, error in ids.items():
        if error and "archived" in error and not restored:
            known = call(
                "RecordingMetadata",
                recording.get_conversation_recordingmetadata_recording_id,
                conversation,
                one,
            )
            change = sdk.Recording()
            change.archive_date = datetime.now(timezone.utc) + timedelta(days=3650)
            change.delete_date = known.delete_date
            answer = call(
                "Recording",
                recording.put_conversation_recording,
                conversation,
                one,
                change,
                clear_export=False,
            )
            assert answer.id == one and answer.media == "audio", answer
            restored += 1
        if not error and media < 4:
            while True:
                answer = call(
                    "Recording",
                    recording.get_conversation_recording,
                    conversation,
                    one,
                    format_id="WAV",
                    download=True,
                )
                if answer and answer.media_uris:
                    media += 1
                    break
                time.sleep(0.2)
call(
    "RecordingRetentionCursorEntityListing",
    recording.get_recordings_retention_query,
    1,
    page_size=100,
)
orphans = call("OrphanRecordingListing", recording.get_orphanrecordings, page_size=100).entities
known_orphans = call(
    "OrphanRecordingListing", recording.get_orphanrecordings, page_size=100, has_conversation=True
).entities
for one in orphans[:2]:
    call("Recording", recording.get_orphanrecording_media, one.id, format_id="WAV", download=True)

# Names.
users = call("UserEntityListing", sdk.UsersApi(client).get_users, page_size=50, state="any").entities
some = [one.id for one in users[:3]]
looked_up = call("UserEntityListing", sdk.UsersApi(client).get_users, id=some, state="any").entities
routing = sdk.RoutingApi(client)
queues = call("QueueEntityListing", routing.get_routing_queues, page_size=100).entities
one_queue = call("QueueEntityListing", routing.get_routing_queues, id=[queues[0].id, queues[1].id])
codes = call("WrapupCodeEntityListing", routing.get_routing_wrapupcodes, page_size=100).entities
some_codes = call("WrapupCodeEntityListing", routing.get_routing_wrapupcodes, id=[codes[0].id])
one_called = call("QueueEntityListing", routing.get_routing_queues, name=queues[0].name).entities
authorization = sdk.AuthorizationApi(client)
listing, divided = "AuthzDivisionEntityListing", authorization.get_authorization_divisions
divisions = call(listing, divided, page_size=100).entities
by_id = call(listing, divided, id=[divisions[0].id, divisions[1].id]).entities
by_name = call(listing, divided, name=divisions[1].name).entities

# Bulk actions.
order = sdk.RecordingJobsQuery()
order.action, order.integration_id = "EXPORT", integration
order.action_date = datetime.now(timezone.utc) - timedelta(days=1)
order.include_screen_recordings = True
order.include_policy_based_recordings = True
order.include_snippet_recordings = True
order.conversation_query = sdk.AsyncConversationQuery()
order.conversation_query.interval = interval
pushed = call("RecordingJob", recording.post_recording_jobs, order)
while pushed.state != "FULFILLED":
    if pushed.state == "READY":
        change = sdk.ExecuteRecordingJobsQuery()
        change.state = "PROCESSING"
        call("RecordingJob", recording.put_recording_job, pushed.id, change)
    time.sleep(0.2)
    pushed = call("RecordingJob", recording.get_recording_job, pushed.id)
call("FailedRecordingEntityListing", recording.get_recording_job_failedrecordings, pushed.id)
jobs = call("RecordingJobEntityListing", recording.get_recording_jobs, show_only_my_jobs=True)
second = call("RecordingJob", recording.post_recording_jobs, order)
call(None, recording.delete_recording_job, second.id)

print(
    json.dumps(
        {
            "violations": sorted(violations),
            "calls": calls,
            "found": len(set(found)),
            "searched": len(set(searched)),
            "results": results,
            "errors": errors,
            "media": media,
            "restored": restored,
            "orphans": len(orphans),
            "known_orphans": len(known_orphans),
            "looked_up": sorted(one.id for one in looked_up) == sorted(some),
            "queues_looked_up": len(one_queue.entities),
            "codes_looked_up": len(some_codes.entities),
            "queue_by_name": [one.id for one in one_called] == [queues[0].id],
            "divisions_by_id": [one.id for one in by_id] == [one.id for one in divisions[:2]],
            "division_by_name": divisions[1].id in [one.id for one in by_name],
            "jobs": len(jobs.entities),
            "pushed": pushed.total_processed_recordings,
        }
    )
)
