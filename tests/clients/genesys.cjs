// Drives a simulator by the vendor's JavaScript SDK. Arguments: the API's address, client id, client
// secret, start and end of the interval, and the id of the S3 integration. Prints counts as JSON; a
// call that fails ends it.

const sdk = require("purecloud-platform-client-v2");

const [url, id, secret, start, end, integration] = process.argv.slice(2);
const interval = `${start}/${end}`;
const pause = () => new Promise((resolve) => setTimeout(resolve, 200));

async function main() {
  const client = sdk.ApiClient.instance;
  const { hostname, port } = new URL(url);
  client.setGateway({ protocol: "http", host: hostname, port: Number(port) });
  await client.loginClientCredentialsGrant(id, secret);
  const analytics = new sdk.AnalyticsApi();
  const recording = new sdk.RecordingApi();
  const routing = new sdk.RoutingApi();
  const authorization = new sdk.AuthorizationApi();
  const users = new sdk.UsersApi();

  const found = [];
  for (let pageNumber = 1; ; pageNumber += 1) {
    const answer = await analytics.postAnalyticsConversationsDetailsQuery({
      interval,
      order: "asc",
      orderBy: "conversationStart",
      paging: { pageSize: 100, pageNumber },
    });
    if (!answer.conversations) break;
    found.push(...answer.conversations.map((one) => one.conversationId));
  }
  const listed = await analytics.getAnalyticsConversationsDetails({ id: found.slice(0, 50) });

  const { jobId } = await analytics.postAnalyticsConversationsDetailsJobs({ interval });
  let search;
  do {
    await pause();
    search = await analytics.getAnalyticsConversationsDetailsJob(jobId);
  } while (["QUEUED", "PENDING"].includes(search.state));
  let searched = 0;
  for (let cursor; ; ) {
    const page = await analytics.getAnalyticsConversationsDetailsJobResults(jobId, {
      pageSize: 100,
      ...(cursor && { cursor }),
    });
    searched += page.conversations.length;
    cursor = page.cursor;
    if (!cursor) break;
  }
  await analytics.deleteAnalyticsConversationsDetailsJob(jobId);
  await analytics.getAnalyticsConversationsDetailsJobsAvailability();

  let results = 0;
  let first;
  let archived;
  for (let at = 0; at < found.length; at += 100) {
    const job = await recording.postRecordingBatchrequests({
      batchDownloadRequestList: found.slice(at, at + 100).map((conversationId) => ({ conversationId })),
    });
    let status;
    do {
      await pause();
      status = await recording.getRecordingBatchrequest(job.id);
    } while (status.status !== "Completed");
    for (const one of status.results) {
      if (one.errorMsg) {
        if (one.errorMsg.includes("archived")) archived = archived || one;
        continue;
      }
      results += 1;
      first = first || one;
    }
  }

  await recording.getRecordingSettings({});
  await recording.getConversationRecordingmetadata(first.conversationId);
  await recording.getConversationRecordingmetadataRecordingId(first.conversationId, first.recordingId);
  let media;
  do {
    await pause();
    media = await recording.getConversationRecording(first.conversationId, first.recordingId, {
      formatId: "WAV",
      download: true,
    });
  } while (!media.mediaUris);
  const kept = await recording.getConversationRecordingmetadataRecordingId(
    archived.conversationId,
    archived.recordingId,
  );
  const restored = await recording.putConversationRecording(
    archived.conversationId,
    archived.recordingId,
    {
      archiveDate: new Date(Date.now() + 3650 * 86400000).toISOString(),
      deleteDate: kept.deleteDate,
    },
    { clearExport: false },
  );
  await recording.getRecordingsRetentionQuery(1, { pageSize: 100 });
  const orphans = await recording.getOrphanrecordings({ pageSize: 100, hasConversation: true });
  await recording.getOrphanrecordingMedia(orphans.entities[0].id, { formatId: "WAV", download: true });

  const listedUsers = await users.getUsers({ pageSize: 10, state: "any" });
  const ids = listedUsers.entities.slice(0, 3).map((one) => one.id);
  const lookedUp = await users.getUsers({ id: ids, state: "any" });
  const queues = await routing.getRoutingQueues({ pageSize: 100 });
  const codes = await routing.getRoutingWrapupcodes({ pageSize: 100 });
  const calledSo = await routing.getRoutingQueues({ name: queues.entities[0].name });
  const divisions = await authorization.getAuthorizationDivisions({ pageSize: 100 });
  const divisionsById = await authorization.getAuthorizationDivisions({
    id: divisions.entities.slice(0, 2).map((one) => one.id),
  });
  const divisionsByName = await authorization.getAuthorizationDivisions({ name: divisions.entities[1].name });

  const order = {
    action: "EXPORT",
    actionDate: new Date(Date.now() - 86400000).toISOString(),
    integrationId: integration,
    conversationQuery: { interval },
  };
  let pushed = await recording.postRecordingJobs(order);
  while (pushed.state !== "FULFILLED") {
    if (pushed.state === "READY") await recording.putRecordingJob(pushed.id, { state: "PROCESSING" });
    await pause();
    pushed = await recording.getRecordingJob(pushed.id);
  }
  await recording.getRecordingJobFailedrecordings(pushed.id, {});
  const jobs = await recording.getRecordingJobs({ showOnlyMyJobs: true });
  const second = await recording.postRecordingJobs(order);
  await recording.deleteRecordingJob(second.id);

  console.log(
    JSON.stringify({
      found: new Set(found).size,
      listed: listed.conversations.length,
      searched,
      results,
      media: Object.keys(media.mediaUris),
      restored: restored.id === archived.recordingId && restored.media === "audio",
      orphans: orphans.entities.length,
      looked_up: lookedUp.entities.length,
      queues: queues.entities.length,
      codes: codes.entities.length,
      queue_by_name: calledSo.entities.map((one) => one.id).join() === queues.entities[0].id,
      divisions_by_id: divisionsById.entities.length === 2,
      division_by_name: divisionsByName.entities.some((one) => one.id === divisions.entities[1].id),
      jobs: jobs.entities.length,
      pushed: pushed.totalProcessedRecordings,
    }),
  );
}

main().catch((error) => {
  console.error(error.body ? JSON.stringify(error.body) : error);
  process.exit(1);
});
