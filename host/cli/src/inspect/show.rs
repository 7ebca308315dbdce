//! The results of a component, in lines for a terminal. Links are shown without their queries.

use recording_host_model::{
    Artifact, ArtifactKey, Level, Reported, Request, Step, Update, printable,
};

use super::answers::method;

/// Prints what came of a step.
pub(super) fn step(step: &Step) {
    for note in &step.notes {
        let level = match note.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warning",
        };
        println!("    {level}: {}", line(&note.text));
    }
    for found in &step.conversations {
        let end = found.end.map_or("not known".to_owned(), time);
        println!(
            "    conversation {} from {} until {end}",
            printable(&found.id),
            time(found.start)
        );
    }
    step.artifacts.iter().for_each(artifact);
    for outcome in &step.outcomes {
        let result = match &outcome.result {
            Reported::HandedOver(reported) => {
                format!(
                    "{} artifacts, {} missing",
                    reported.artifacts,
                    reported.missing.len()
                )
            }
            Reported::InBundle(id) => format!("in the bundle {}", printable(id)),
            Reported::NoRecording => "no recording".to_owned(),
            Reported::Skipped(reason) => format!("skipped: {}", line(reason)),
            Reported::Failed(failure) => format!(
                "failed ({}): {}",
                printable(&failure.code),
                line(&failure.message)
            ),
        };
        println!(
            "    outcome of {}: {result}",
            printable(&outcome.conversation)
        );
    }
    for update in &step.updates {
        if let Update::Count(counted) = update {
            println!("    count {}", counted.conversations);
        }
    }
}

fn artifact(artifact: &Artifact) {
    let media = artifact.content_type.as_deref();
    println!(
        "    artifact {} {} {}",
        key(&artifact.key),
        printable(media.unwrap_or("of an unknown type")),
        url(&artifact.download.url)
    );
}

/// Prints a request and its result.
pub(super) fn request(request: &Request, result: &str) {
    println!(
        "    {} {}: {result}",
        method(request.method),
        url(&request.url)
    );
}

/// A key as a person reads it.
pub(super) fn key(key: &ArtifactKey) -> String {
    match key {
        ArtifactKey::Recording(key) => format!(
            "{}/{} part {}",
            printable(&key.conversation),
            printable(&key.recording),
            key.part
        ),
        ArtifactKey::Bundle(id) => format!("bundle {}", printable(id)),
    }
}

/// A link without its query, which may be a signature.
pub(super) fn url(url: &str) -> String {
    line(url.split_once('?').map_or(url, |(url, _)| url))
}

/// An instant as a person reads it.
pub(super) fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok();
    let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| format!("{ms} ms"), |at| at.to_string())
}

/// A text as one line, without characters that a terminal obeys.
pub(super) fn line(text: &str) -> String {
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(safe).collect()
}
