//! Outcomes, as the source reports them.

use rusqlite::params;

use crate::{life_cycle::stage, sinks::json};
use recording_host_model::{ArtifactKey, Outcome, Reported, ReportedOutcome};

/// The outcome code of a conversation that the source found and that continues.
pub(crate) const NOT_ENDED: &str = "not-ended";

/// Returns true if an outcome says that the conversation continues.
pub fn goes_on(reported: &ReportedOutcome) -> bool {
    matches!(&reported.result, Reported::Failed(failure) if failure.code == NOT_ENDED)
}

/// An outcome that is the last word on a conversation that is new and of which nothing is handed over.
pub(crate) fn last_word(reported: &ReportedOutcome) -> Option<Outcome> {
    let (outcome, bundle, retryable) = outcome(reported);
    // Artifacts that were announced may still come.
    if retryable || bundle.is_some() || announced(reported) > Some(0) {
        return None;
    }
    Some(outcome)
}

/// The outcome of a conversation as the source reports it, the bundle that holds it, and whether it may
/// get better.
pub(crate) fn outcome(reported: &ReportedOutcome) -> (Outcome, Option<String>, bool) {
    let mut bundle = None;
    let mut retryable = false;
    let outcome = match &reported.result {
        Reported::HandedOver(handed) if handed.missing.is_empty() => Outcome::Stored,
        Reported::HandedOver(handed) => {
            let missing = handed.missing.iter().map(|missing| {
                let failure = &missing.failure;
                retryable |= failure.retryable;
                (failure.code.clone(), failure.message.clone())
            });
            Outcome::Partial {
                missing: missing.collect(),
            }
        }
        Reported::InBundle(id) => {
            bundle = Some(ArtifactKey::Bundle(id.clone()).to_text());
            Outcome::NoRecording
        }
        Reported::NoRecording => Outcome::NoRecording,
        Reported::Skipped(reason) => Outcome::Skipped {
            reason: reason.clone(),
        },
        Reported::Failed(failure) => {
            retryable = failure.retryable;
            Outcome::Failed {
                code: failure.code.clone(),
                message: failure.message.clone(),
            }
        }
    };
    (outcome, bundle, retryable)
}

/// How many artifacts the source says that there are of a conversation.
pub(crate) fn announced(reported: &ReportedOutcome) -> Option<u32> {
    match &reported.result {
        Reported::HandedOver(handed) => Some(handed.artifacts),
        _ => None,
    }
}

/// Notes what the source says has become of a conversation.
pub(super) fn set_outcome(
    tx: &rusqlite::Transaction<'_>,
    reported: &ReportedOutcome,
) -> rusqlite::Result<()> {
    let (result, bundle, retryable) = outcome(reported);
    let text = json(&result)?;
    tx.prepare_cached(concat!(
        "UPDATE conversation SET outcome = ?2, bundle = ?3, retryable = ?4, announced = ?5
         WHERE id = ?1 AND ",
        stage!(Found)
    ))?
    .execute(params![
        reported.conversation,
        text,
        bundle,
        retryable,
        announced(reported)
    ])?;
    Ok(())
}
