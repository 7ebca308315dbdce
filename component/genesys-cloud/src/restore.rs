//! Restores archived recordings, if the options say so: that changes which recordings the vendor
//! keeps, and for how long. All other dates of a recording stay as they are.

use std::collections::BTreeMap;

use recording_source_sdk::{
    Event, Failure, Missing, Next, RequestError, SourceError, Split, SplitKind, Step, Timestamp,
    time::DAY,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, recording},
    metadata::iso,
    options::Options,
};

/// The state of a restoration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Restore {
    /// Conversations and recordings still to be restored.
    rest: Vec<(String, String)>,
    /// The dates of the last of them that must stay.
    dates: Option<Dates>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Dates {
    delete: Option<String>,
    export: Option<String>,
}

/// Takes the archived recordings out of the missing ones, if they are to be restored: they get
/// another failure.
pub(crate) fn archived(
    options: &Options,
    missing: &mut BTreeMap<String, Vec<Missing>>,
    failure: impl Fn(u32) -> Failure,
) -> Vec<(String, String)> {
    let Some(days) = options.restore_days else {
        return Vec::new();
    };
    let mut archived = Vec::new();
    for (conversation, list) in missing {
        for one in list.iter_mut().filter(|one| one.failure.code == "archived") {
            if let Some(recording) = api::id(one.recording.clone()) {
                archived.push((conversation.clone(), recording));
                one.failure = failure(days);
            }
        }
    }
    archived
}

/// The split that restores these recordings, named after the one that found them.
pub(crate) fn begin(of: &str, archived: Vec<(String, String)>) -> Option<Split> {
    let restore = Restore {
        rest: archived,
        dates: None,
    };
    (!restore.rest.is_empty()).then(|| restore.into_split(format!("{of}.restore")))
}

impl Restore {
    fn next(&self, options: &Options, now: Timestamp) -> Next {
        let Some((conversation, recording)) = self.rest.last() else {
            return self.done();
        };
        let request = match &self.dates {
            None => recording::one_metadata(options, conversation, recording),
            Some(dates) => {
                let days = u64::from(options.restore_days.unwrap_or(1));
                let known = recording::Metadata {
                    delete_date: dates.delete.clone(),
                    export_date: dates.export.clone(),
                    ..recording::Metadata::default()
                };
                let archive = iso(now + days * DAY);
                recording::restore(options, conversation, recording, &archive, &known)
            }
        };
        self.send(request)
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let mut step = Step::then(self.done());
        match event {
            Event::Resume => {}
            // A restoration hands over no artifacts.
            Event::Refresh(_) => return Ok(step),
            Event::Response(Err(RequestError::TooLarge(limit))) => {
                let text =
                    format!("a recording is not restored: the data about it exceed {limit} bytes");
                step.warn(text);
                self.dates = None;
                self.rest.pop();
            }
            Event::Response(answer) => match (api::success(answer)?, self.dates.take()) {
                (Ok(response), None) => {
                    let (known, _) = api::object(&response, recording::Metadata::read)?;
                    if known.file_state.as_deref() == Some("ARCHIVED") {
                        self.dates = Some(Dates {
                            delete: known.delete_date,
                            export: known.export_date,
                        });
                    } else {
                        self.rest.pop();
                    }
                }
                (Ok(_), Some(_)) => {
                    self.rest.pop();
                }
                (Err(refusal), _)
                    if refusal.is_the_vendors() && matches!(refusal.status, 400 | 404) =>
                {
                    let text = format!("a recording is not restored: {}", refusal.message);
                    step.warn(text);
                    self.rest.pop();
                }
                (Err(refusal), _) => return Err(refusal.into()),
            },
        }
        step.next = self.next(options, now);
        Ok(step)
    }
}
