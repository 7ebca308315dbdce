//! The name that the version 0.1.0 of this program gave an export, rebuilt from literals: queues and
//! receipts that it wrote are found by it. No type's name and no derived text may come into it.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{DIGITS, plain};
use crate::{
    privacy::Privacy,
    run::Interval,
    transfer::{ArchiveMode, SinkBinding},
};
use recording_host_model::{
    hex,
    layout::Layout,
    route::{Direction, Route},
};
use recording_host_transcode::{Channels, Form, Media, Original, TranscodeSettings};

/// The name of the export from the source `name` by `options` of `interval` to `bindings`.
pub(crate) fn label(
    name: &str,
    options: &Value,
    interval: &Interval,
    bindings: &[SinkBinding],
    privacy: &Privacy,
) -> String {
    let mut digest = Sha256::new();
    digest.update(options.to_string());
    let until = interval
        .until
        .map_or("..".to_owned(), |until| until.to_string());
    digest.update(format!("\n{}/{until}", interval.from));
    for binding in bindings {
        let zip = match binding.zip {
            ArchiveMode::Unpack => "Unpack",
            ArchiveMode::Keep => "Keep",
            ArchiveMode::Both => "Both",
        };
        digest.update(format!("\n{} {zip}", binding.name));
        if binding.route != Route::default() {
            digest.update(route(&binding.route));
        }
        if let Some(settings) = &binding.transcode {
            digest.update(transcode(settings));
        }
        if binding.layout != Layout::default() {
            digest.update(format!(" {}", binding.layout));
        }
        if binding.sink.encrypts() {
            digest.update(" encrypted");
        }
    }
    digest.update(privacy.fingerprint());
    format!("{}-{}", plain(name), &hex(&digest.finalize())[..DIGITS])
}

/// The route of a sink, as text.
pub(crate) fn route(route: &Route) -> String {
    let condition = &route.condition;
    let list = |list: &[String]| {
        let quoted: Vec<String> = list.iter().map(|text| format!("{text:?}")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let option =
        |value: Option<String>| value.map_or("None".to_owned(), |it| format!("Some({it})"));
    let direction = condition.direction.map(|direction| {
        match direction {
            Direction::Inbound => "Inbound",
            Direction::Outbound => "Outbound",
        }
        .to_owned()
    });
    let number = |value: Option<u64>| option(value.map(|value| value.to_string()));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "Route {{ condition: Condition {{ media_types: {}, queues: {}, divisions: {}, direction: {}, \
         min_duration_seconds: {}, max_duration_seconds: {}, has_audio: {} }}, \
         content: Content {{ media: {}, metadata: {} }} }}",
        list(&condition.media_types),
        list(&condition.queues),
        list(&condition.divisions),
        option(direction),
        number(condition.min_duration_seconds),
        number(condition.max_duration_seconds),
        option(condition.has_audio.map(|wanted| wanted.to_string())),
        route.content.media,
        route.content.metadata,
    );
    text
}

fn transcode(settings: &TranscodeSettings) -> String {
    let to = match settings.to {
        Form::Wav => "Wav",
        Form::Flac => "Flac",
    };
    let channels = match settings.channels {
        Channels::Keep => "Keep",
        Channels::Mix => "Mix",
        Channels::Split => "Split",
    };
    let when = settings.when.as_ref().map_or("None".to_owned(), |all| {
        let names = all.iter().map(|media| match media {
            Media::Ogg => "Ogg",
            Media::Wav => "Wav",
            Media::Flac => "Flac",
        });
        format!("Some([{}])", names.collect::<Vec<_>>().join(", "))
    });
    let original = match settings.original {
        Original::Keep => "Keep",
        Original::Drop => "Drop",
    };
    format!("Settings {{ to: {to}, channels: {channels}, when: {when}, original: {original} }}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use recording_host_model::route::{Condition, Content};
    use recording_host_sink::stdout::Stdout;

    fn binding(name: &str) -> SinkBinding {
        SinkBinding::new(name, Arc::new(Stdout::default()))
    }

    fn routed() -> Route {
        Route {
            condition: Condition {
                media_types: vec!["voice".into(), "a\"b\u{e9}".into()],
                queues: vec!["Sales".into()],
                divisions: Vec::new(),
                direction: Some(Direction::Outbound),
                min_duration_seconds: Some(10),
                max_duration_seconds: None,
                has_audio: Some(true),
                ..Condition::default()
            },
            content: Content {
                media: false,
                metadata: true,
            },
        }
    }

    // As long as the types have the names that they had, the text must be the one that they made.
    #[test]
    fn the_literals_are_what_was_derived() {
        // A condition has more keys by now, of which the text of then knows nothing.
        assert_eq!(
            route(&routed()),
            "Route { condition: Condition { media_types: [\"voice\", \"a\\\"bé\"], queues: [\"Sales\"], \
             divisions: [], direction: Some(Outbound), min_duration_seconds: Some(10), \
             max_duration_seconds: None, has_audio: Some(true) }, content: Content { media: false, \
             metadata: true } }"
        );
        assert_eq!(
            route(&Route::default()),
            "Route { condition: Condition { media_types: [], queues: [], divisions: [], direction: None, \
             min_duration_seconds: None, max_duration_seconds: None, has_audio: None }, content: Content \
             { media: true, metadata: true } }"
        );
        for channels in [Channels::Keep, Channels::Mix, Channels::Split] {
            let settings = TranscodeSettings {
                to: Form::Flac,
                channels,
                when: Some(vec![Media::Ogg, Media::Wav, Media::Flac]),
                original: Original::Drop,
            };
            // The type was called otherwise then.
            let shown = format!("{settings:?}").replacen("TranscodeSettings", "Settings", 1);
            assert_eq!(transcode(&settings), shown);
        }
    }

    #[test]
    fn the_earlier_name_keeps_its_golden_values() {
        // The first is the name of a queue that 0.1.0 made for this very configuration.
        let options = json!({
            "api_url": "http://127.0.0.1:18180", "login_url": "http://127.0.0.1:18181",
            "media_origins": ["http://127.0.0.1:18182"], "dialect": "cloud"
        });
        let week = Interval {
            from: 1_767_571_200_000,
            until: Some(1_768_176_000_000),
        };
        let label = |interval: &Interval, bindings: &[SinkBinding]| {
            super::label("calls", &options, interval, bindings, &Privacy::default())
        };
        assert_eq!(label(&week, &[binding("lake")]), "calls-30bc23da2234");
        let open = Interval {
            until: None,
            ..week.clone()
        };
        let made = SinkBinding {
            route: routed(),
            zip: ArchiveMode::Keep,
            layout: Layout::flat(),
            transcode: Some(TranscodeSettings {
                to: Form::Wav,
                channels: Channels::Mix,
                when: None,
                original: Original::Keep,
            }),
            ..binding("copy")
        };
        assert_eq!(label(&open, &[binding("lake"), made]), "calls-f9089ac8d60d");
    }
}
