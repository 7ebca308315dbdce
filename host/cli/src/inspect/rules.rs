//! The rules of the interface that can be checked from outside, each broken one in a sentence.

use std::collections::{HashMap, HashSet};

use recording_host_http::{AllowedOrigins, OriginError, unsendable};
use recording_host_model::{
    Artifact, ArtifactKey, ConversationRef, Descriptor, Next, Reported, Request, Step, TimeRange,
    printable,
};

use super::{rehearsal::Work, show};

/// Headers that the host alone sets.
const OF_THE_HOST: [&str; 2] = ["authorization", "host"];

/// A state does not repeat its request.
pub(super) fn not_repeated(request: &Request) -> String {
    format!(
        "stepped with `resume`, the state that awaits the response to {} does not send the same request again: after a crash the split could not be resumed",
        show::url(&request.url)
    )
}

/// The rules that a description breaks.
pub(super) fn of_descriptor(descriptor: &Descriptor) -> Vec<String> {
    let mut broken = Vec::new();
    let name = &descriptor.name;
    let sign = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.chars().all(sign) {
        broken.push(format!(
            "the name `{}` is not in snake case, such as `call_list`",
            show::line(name)
        ));
    }
    let schema = serde_json::from_str::<serde_json::Value>(&descriptor.options_schema);
    if !schema.is_ok_and(|schema| schema.is_object()) {
        broken.push("the schema of the options is not a JSON object".to_owned());
    }
    broken
}

/// A URL that the host does not go to.
fn unreachable(what: &str, url: &str, role: &str, error: &OriginError) -> String {
    match error {
        OriginError::Malformed => format!(
            "the URL of {what}, `{}`, is not an absolute http or https URL",
            show::url(url)
        ),
        OriginError::Unnamed(origin) | OriginError::UnnamedMedia(origin) => format!(
            "{what} goes to {origin}, which `start` does not announce; announce it with the role `{role}`"
        ),
        other => format!("{what} is refused: {other}"),
    }
}

/// The rules that a step breaks by itself.
pub(super) fn of_step(step: &Step, allow: &AllowedOrigins) -> Vec<String> {
    let mut broken = Vec::new();
    if let Next::Send(send) = &step.next {
        let request = &send.request;
        if let Err(error) = allow.api(&request.url) {
            broken.push(unreachable("a request", &request.url, "api", &error));
        }
        broken.extend(of_headers(&request.headers));
    }
    for artifact in &step.artifacts {
        let download = &artifact.download;
        let allowed = match download.authenticated {
            true => allow.api(&download.url),
            false => allow.media(&download.url),
        };
        if let Err(error) = allowed {
            let role = if download.authenticated {
                "api"
            } else {
                "media"
            };
            broken.push(unreachable("a download", &download.url, role, &error));
        }
        broken.extend(of_headers(&download.headers));
    }
    let next = match &step.next {
        Next::Send(send) => &send.state,
        Next::Wait(wait) => &wait.state,
        Next::Done(state) => state,
    };
    let states = step.splits.iter().map(|split| &split.state).chain([next]);
    for state in states {
        let text = String::from_utf8_lossy(&state.data);
        if text.contains("https://") || text.contains("http://") {
            broken.push("a state holds a link; it holds ids and progress, and the link follows from them and the options".to_owned());
        }
    }
    broken
}

fn of_headers(headers: &[(String, String)]) -> Vec<String> {
    let dropped = headers
        .iter()
        .filter(|(name, _)| OF_THE_HOST.contains(&name.to_ascii_lowercase().as_str()));
    let dropped = dropped.map(|(name, _)| {
        format!(
            "a request sets the header `{}`, which the host leaves out; credentials come from the scheme that `describe` names",
            printable(name)
        )
    });
    unsendable(headers).into_iter().chain(dropped).collect()
}

/// The rules that a `find` breaks.
pub(super) fn of_find(found: &Work, range: TimeRange) -> Vec<String> {
    let outside = found
        .conversations
        .iter()
        .filter(|found| !(range.from..range.until).contains(&found.start));
    let outside = outside.map(|found| {
        format!(
            "the conversation {} began at {}, outside of the range that was to be searched",
            printable(&found.id),
            show::time(found.start)
        )
    });
    outside.collect()
}

/// The rules that a `fetch` of these conversations breaks.
pub(super) fn of_fetch(fetched: &Work, wanted: &[ConversationRef]) -> Vec<String> {
    let mut broken = Vec::new();
    let asked: HashSet<&str> = wanted.iter().map(|wanted| wanted.id.as_str()).collect();
    let mut outcomes: HashMap<&str, usize> = HashMap::new();
    for outcome in &fetched.outcomes {
        *outcomes.entry(&outcome.conversation).or_default() += 1;
        if !asked.contains(outcome.conversation.as_str()) {
            broken.push(format!(
                "an outcome of the conversation {}, which was not asked for",
                printable(&outcome.conversation)
            ));
        }
        broken.extend(of_outcome(fetched, &outcome.conversation, &outcome.result));
    }
    // A split that failed owes its outcomes still.
    let owing = wanted.iter().filter(|_| fetched.complete);
    for wanted in owing {
        let count = outcomes.get(wanted.id.as_str()).copied().unwrap_or(0);
        if count != 1 {
            broken.push(format!(
                "the conversation {} has {count} outcomes; a `fetch` owes each of its conversations exactly one",
                printable(&wanted.id)
            ));
        }
    }
    let mut keys = HashSet::new();
    for artifact in &fetched.artifacts {
        if !keys.insert(artifact.key.to_text()) {
            broken.push(format!(
                "two artifacts have the key {}; the second one is lost",
                show::key(&artifact.key)
            ));
        }
        if let ArtifactKey::Recording(key) = &artifact.key
            && !asked.contains(key.conversation.as_str())
        {
            broken.push(format!(
                "an artifact of the conversation {}, which was not asked for",
                printable(&key.conversation)
            ));
        }
    }
    broken
}

/// The rule that an outcome breaks: it agrees with the artifacts.
fn of_outcome(fetched: &Work, conversation: &str, result: &Reported) -> Option<String> {
    match result {
        Reported::HandedOver(reported) => {
            let of_it = fetched.artifacts.iter().filter(|artifact| {
                matches!(&artifact.key, ArtifactKey::Recording(key) if key.conversation == conversation)
            });
            let count = of_it.count();
            (count != reported.artifacts as usize).then(|| {
                format!(
                    "the outcome of the conversation {} reports {} artifacts, but {count} were returned",
                    printable(conversation),
                    reported.artifacts
                )
            })
        }
        Reported::InBundle(id) => {
            let is_there = fetched
                .artifacts
                .iter()
                .any(|artifact| artifact.key == ArtifactKey::Bundle(id.clone()));
            (!is_there).then(|| {
                format!(
                    "the outcome of the conversation {} names the bundle {}, which was not returned",
                    printable(conversation),
                    printable(id)
                )
            })
        }
        _ => None,
    }
}

/// The rules that a `refresh` breaks: the same keys are handed over again.
pub(super) fn of_refresh(before: &[Artifact], again: &[Artifact]) -> Vec<String> {
    let keys = |of: &[Artifact]| -> HashSet<String> {
        of.iter().map(|artifact| artifact.key.to_text()).collect()
    };
    let (old, new) = (keys(before), keys(again));
    let lost = before
        .iter()
        .filter(|artifact| !new.contains(&artifact.key.to_text()));
    let lost = lost.map(|artifact| {
        format!(
            "the artifact {} is not returned again by a `refresh`, so that a link that has expired is never renewed",
            show::key(&artifact.key)
        )
    });
    let other = again
        .iter()
        .filter(|artifact| !old.contains(&artifact.key.to_text()));
    let other = other.map(|artifact| {
        format!(
            "a `refresh` returns the artifact {}, which it was not asked for: a key never changes",
            show::key(&artifact.key)
        )
    });
    lost.chain(other).collect()
}

#[cfg(test)]
mod tests {
    use recording_host_model::AuthScheme;

    use super::*;

    #[test]
    fn a_description_has_a_name_in_snake_case_and_a_schema() {
        let described = |name: &str, schema: &str| Descriptor {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            vendor: "A vendor".to_owned(),
            options_schema: schema.to_owned(),
            auth: AuthScheme::None,
            rate_limit: None,
            data_classes: Vec::new(),
        };
        assert!(of_descriptor(&described("call_list_2", "{}")).is_empty());
        for name in ["", "Call list", "call-list", "2_calls", "c\u{1b}[31m"] {
            let [broken] = &of_descriptor(&described(name, "{}"))[..] else {
                panic!("{name:?}");
            };
            assert!(broken.contains("snake case") && !broken.contains('\u{1b}'));
        }
        for schema in ["", "[object Object]", "[]", "{"] {
            assert_eq!(of_descriptor(&described("calls", schema)).len(), 1);
        }
    }
}
