//! The client's permissions, tried out by a split for each call, so that a late answer delays no other. No call
//! changes anything.

use std::collections::BTreeSet;

use recording_source_sdk::{
    Event, Finding, Request, RequestError, Response, SourceError, Split, SplitKind, Step,
    Timestamp, Verdict, time::DAY,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, Refusal, analytics, batch, directory, recording},
    metadata::iso,
    options::{Names, Options},
};

/// The number of recent conversations that are looked at.
const LATEST: u32 = 100;
/// Links that live shorter are likely to expire before they are used, in minutes.
const SHORT: u64 = 10;

/// The state of a part of the check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    call: Call,
}

/// A call that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Call {
    Query,
    Availability,
    Batch,
    Settings,
    Queues,
    WrapUpCodes,
    Divisions,
    Users,
    Orphans,
}

/// The initial splits of the check, in the order in which their findings are told.
pub(crate) fn begin(options: &Options) -> impl Iterator<Item = Split> {
    let mut calls = vec![Call::Query, Call::Availability, Call::Batch, Call::Settings];
    if options.names != Names::No {
        let names = [
            Call::Queues,
            Call::WrapUpCodes,
            Call::Divisions,
            Call::Users,
        ];
        calls.extend(names);
    }
    if options.orphans {
        calls.push(Call::Orphans);
    }
    let numbered = calls.into_iter().enumerate();
    numbered.map(|(number, call)| Check { call }.into_split(format!("check-{number}")))
}

impl Call {
    fn request(self, options: &Options, now: Timestamp) -> Request {
        match self {
            Call::Query => {
                let interval = format!("{}/{}", iso(now.saturating_sub(7 * DAY)), iso(now));
                analytics::query(options, &interval, LATEST, 1)
            }
            Call::Availability => analytics::availability(options),
            // An empty list is refused, but only after the permission has been looked at.
            Call::Batch => batch::submit(options, &[]),
            Call::Settings => recording::settings(options),
            Call::Queues => directory::all(options, directory::DirectoryKind::Queues),
            Call::WrapUpCodes => directory::all(options, directory::DirectoryKind::WrapUpCodes),
            Call::Divisions => directory::all(options, directory::DirectoryKind::Divisions),
            Call::Users => directory::all(options, directory::DirectoryKind::Users),
            Call::Orphans => recording::orphans(options, recording::ORPHANS, 1, false),
        }
    }

    /// The subject of the call.
    fn subject(self) -> &'static str {
        match self {
            Call::Query => "conversations",
            Call::Availability => "analytics jobs",
            Call::Batch => "recordings",
            Call::Settings => "links",
            Call::Queues => "names of queues",
            Call::WrapUpCodes => "names of wrap-up codes",
            Call::Divisions => "names of divisions",
            Call::Users => "names of agents",
            Call::Orphans => "orphan recordings",
        }
    }

    /// The permission that the call needs, or one of several that suffice.
    fn permission(self) -> &'static str {
        match self {
            Call::Query | Call::Availability => "analytics:conversationDetail:view",
            Call::Batch => "recording:recording:view",
            Call::Queues => "routing:queue:view",
            Call::WrapUpCodes => "routing:wrapupCode:view",
            Call::Divisions => "authorization:division:view",
            Call::Orphans => "recording:orphan:view",
            Call::Settings | Call::Users => "",
        }
    }
}

impl Check {
    pub(crate) fn step(
        self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        // Another split of the check looks the names up.
        let options = &options.without_names();
        let call = self.call;
        let Event::Response(answer) = event else {
            return Ok(Step::then(self.send(call.request(options, now))));
        };
        let mut findings = Vec::new();
        if let (Call::Query, Ok(response)) = (call, &answer) {
            findings.extend(response.clock(now));
            findings.extend(limit(response));
        }
        // An export requests smaller pages, too.
        if let (Call::Query | Call::Orphans, Err(RequestError::TooLarge(limit))) = (call, &answer) {
            let text = format!("a page has more than {limit} bytes; smaller ones are asked for");
            findings.push(Finding::good(call.subject(), text));
            return Ok(Step::found(findings, self.done()));
        }
        match api::success(answer)? {
            Ok(response) => findings.extend(granted(call, &response)?),
            Err(refusal) => findings.push(refused(call, refusal, options)?),
        }
        Ok(Step::found(findings, self.done()))
    }
}

/// The findings from a call that was answered.
fn granted(call: Call, response: &Response) -> Result<Vec<Finding>, SourceError> {
    let subject = call.subject();
    let good = |text: String| vec![Finding::good(subject, text)];
    Ok(match call {
        Call::Query => {
            let page = analytics::Page::read(response)?;
            let hits = page.total_hits.unwrap_or_default();
            let mut findings = good(format!("{hits} in the last seven days"));
            let rows = page.rows.into_iter();
            let divisions: BTreeSet<String> =
                rows.flat_map(|row| row.conversation.divisions).collect();
            let named: Vec<String> = divisions.into_iter().collect();
            let (verdict, text) = match named.is_empty() {
                true => (
                    Verdict::Doubtful,
                    "none seen; if there were conversations in the last seven days, give the client's role to the divisions that are to be exported".to_owned(),
                ),
                false => (
                    Verdict::Good,
                    format!(
                        "{} seen: {}; conversations of others are left out silently",
                        named.len(),
                        named.join(", ")
                    ),
                ),
            };
            findings.push(Finding::new("divisions", verdict, text));
            findings
        }
        Call::Availability => good(format!("data up to {}", analytics::reach(response)?)),
        Call::Batch => good("batches may be submitted".to_owned()),
        Call::Settings => {
            // RecordingSettings: 60 minutes unless it is set.
            let minutes = recording::link_minutes(response)?.unwrap_or(60);
            let (verdict, advice) = match minutes < SHORT {
                true => (
                    Verdict::Doubtful,
                    "; raise recordingBatchDownloadUrlTtl in the recording settings, or links expire before they are used",
                ),
                false => (Verdict::Good, ""),
            };
            vec![Finding::new(
                subject,
                verdict,
                format!("they live for {minutes} minutes{advice}"),
            )]
        }
        Call::Queues | Call::WrapUpCodes | Call::Divisions | Call::Users | Call::Orphans => {
            good("may be looked up".to_owned())
        }
    })
}

/// The finding from a call that was refused.
fn refused(call: Call, refusal: Refusal, options: &Options) -> Result<Finding, SourceError> {
    let subject = call.subject();
    Ok(match (call, refusal.status) {
        (Call::Batch, 400) => Finding::good(subject, "batches may be submitted".to_owned()),
        (_, 403) => {
            let verdict = match call {
                Call::Settings | Call::Availability => Verdict::Doubtful,
                // Rows then have ids alone.
                Call::Queues | Call::WrapUpCodes | Call::Divisions | Call::Users
                    if options.names == Names::Allowed =>
                {
                    Verdict::Doubtful
                }
                _ => Verdict::Bad,
            };
            let permission = call.permission();
            let way_out = match permission {
                "" => String::new(),
                permission => {
                    format!("; add {permission} to a role of the OAuth client, in its divisions")
                }
            };
            Finding::new(subject, verdict, format!("{}{way_out}", refusal.message))
        }
        // Not every region has every call.
        (Call::Settings | Call::Availability, 404 | 405 | 501) => {
            Finding::doubtful(subject, format!("unknown: status {}", refusal.status))
        }
        _ => return Err(refusal.into()),
    })
}

/// The request limit, as the vendor states it.
fn limit(response: &Response) -> Option<Finding> {
    let allowed = response.header("inin-ratelimit-allowed")?;
    Some(Finding::good(
        "request limit",
        format!("{allowed} a minute"),
    ))
}
