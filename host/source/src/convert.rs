//! Converts the data of a component of the interface 0.2.0 to the types of the model.

mod into_guest;

use recording_host_model as model;

use crate::{bindings::recording::source::types as wit, text::line};

/// The code of what the vendor says and nobody can read.
const UNREADABLE: &str = "unreadable";

fn all<T, U: From<T>>(list: Vec<T>) -> Vec<U> {
    list.into_iter().map(U::from).collect()
}

impl From<wit::Descriptor> for model::Descriptor {
    fn from(it: wit::Descriptor) -> Self {
        model::Descriptor {
            name: line(&it.name),
            version: line(&it.version),
            vendor: line(&it.vendor),
            options_schema: it.options_schema,
            auth: it.auth.into(),
            rate_limit: it.rate_limit.map(Into::into),
            data_classes: all(it.data_classes),
        }
    }
}

impl From<wit::RateLimit> for model::RateLimit {
    fn from(it: wit::RateLimit) -> Self {
        model::RateLimit {
            requests_per_minute: it.requests_per_minute,
            count_header: it.count_header,
            allowed_header: it.allowed_header,
            reset_header: it.reset_header,
        }
    }
}

impl From<wit::AuthScheme> for model::AuthScheme {
    fn from(it: wit::AuthScheme) -> Self {
        match it {
            wit::AuthScheme::None => model::AuthScheme::None,
            wit::AuthScheme::Oauth2ClientCredentials => model::AuthScheme::Oauth2ClientCredentials,
            wit::AuthScheme::AwsSigv4 => model::AuthScheme::AwsSigv4,
            wit::AuthScheme::Basic => model::AuthScheme::Basic,
            wit::AuthScheme::Header(it) => model::AuthScheme::Header(model::AuthHeader {
                name: it.name,
                prefix: it.prefix,
            }),
        }
    }
}

impl From<wit::DataClass> for model::DataClass {
    fn from(it: wit::DataClass) -> Self {
        match it {
            wit::DataClass::Voice => model::DataClass::Voice,
            wit::DataClass::Screen => model::DataClass::Screen,
            wit::DataClass::Text => model::DataClass::Text,
            wit::DataClass::Address => model::DataClass::Address,
            wit::DataClass::Name => model::DataClass::Name,
        }
    }
}

impl From<wit::Started> for model::Started {
    fn from(it: wit::Started) -> Self {
        let mut origins: Vec<model::Origin> = all(it.origins);
        // The source proposes it; whether the credentials go there is the host's decision.
        origins.extend(it.token_url.map(|url| model::Origin {
            url,
            role: model::OriginRole::Token,
        }));
        model::Started {
            origins,
            splits: all(it.splits),
            fetch_size: it.fetch_size,
        }
    }
}

impl From<wit::Origin> for model::Origin {
    fn from(it: wit::Origin) -> Self {
        model::Origin {
            url: it.url,
            role: it.role.into(),
        }
    }
}

impl From<wit::OriginRole> for model::OriginRole {
    fn from(it: wit::OriginRole) -> Self {
        match it {
            wit::OriginRole::Api => model::OriginRole::Api,
            wit::OriginRole::Media => model::OriginRole::Media,
        }
    }
}

impl From<wit::Split> for model::Split {
    fn from(it: wit::Split) -> Self {
        model::Split {
            id: it.id,
            kind: it.kind,
            state: it.state.into(),
        }
    }
}

impl From<wit::State> for model::SplitState {
    fn from(it: wit::State) -> Self {
        model::SplitState {
            version: it.version,
            data: it.data,
        }
    }
}

impl From<wit::Step> for model::Step {
    fn from(it: wit::Step) -> Self {
        model::Step {
            conversations: all(it.conversations),
            artifacts: all(it.artifacts),
            outcomes: all(it.outcomes),
            splits: all(it.splits),
            updates: all(it.updates),
            notes: all(it.notes),
            next: it.next.into(),
        }
    }
}

impl From<wit::Next> for model::Next {
    fn from(it: wit::Next) -> Self {
        match it {
            wit::Next::Send(it) => model::Next::Send(it.into()),
            wit::Next::Wait(it) => model::Next::Wait(it.into()),
            wit::Next::Done(it) => model::Next::Done(it.into()),
        }
    }
}

impl From<wit::Send> for model::Send {
    fn from(it: wit::Send) -> Self {
        model::Send {
            request: it.request.into(),
            state: it.state.into(),
        }
    }
}

impl From<wit::Wait> for model::Wait {
    fn from(it: wit::Wait) -> Self {
        model::Wait {
            until: it.until,
            state: it.state.into(),
            job: it.job.map(|it| model::Job {
                kind: it.kind,
                since: it.since,
                done: it.done,
                total: it.total,
                latest: it.latest,
            }),
        }
    }
}

impl From<wit::Request> for model::Request {
    fn from(it: wit::Request) -> Self {
        model::Request {
            method: it.method.into(),
            url: it.url,
            headers: it.headers,
            body: it.body,
            repeatable: it.repeatable,
        }
    }
}

impl From<wit::Method> for model::Method {
    fn from(it: wit::Method) -> Self {
        match it {
            wit::Method::Get => model::Method::Get,
            wit::Method::Post => model::Method::Post,
            wit::Method::Put => model::Method::Put,
            wit::Method::Delete => model::Method::Delete,
        }
    }
}

impl From<wit::Conversation> for model::Conversation {
    fn from(it: wit::Conversation) -> Self {
        model::Conversation {
            id: it.id,
            start: it.start,
            end: it.end,
            direction: it.direction.map(Into::into),
            ani: it.ani,
            dnis: it.dnis,
            agents: all(it.agents),
            queues: all(it.queues),
            wrap_up_codes: all(it.wrap_up_codes),
            tags: it.tags,
            divisions: it.divisions,
            media_types: it.media_types,
            recorded: it.recorded,
            revision: it.revision,
            attributes: it.attributes,
        }
    }
}

impl From<wit::Party> for model::Party {
    fn from(it: wit::Party) -> Self {
        model::Party {
            id: it.id,
            name: it.name,
        }
    }
}

impl From<wit::Direction> for model::Direction {
    fn from(it: wit::Direction) -> Self {
        match it {
            wit::Direction::Inbound => model::Direction::Inbound,
            wit::Direction::Outbound => model::Direction::Outbound,
        }
    }
}

impl From<wit::Artifact> for model::Artifact {
    fn from(it: wit::Artifact) -> Self {
        model::Artifact {
            key: it.key.into(),
            download: it.download.into(),
            content_type: it.content_type,
            container: it.container.into(),
            size: it.size,
            sha256: it.sha256,
        }
    }
}

impl From<wit::ArtifactKey> for model::ArtifactKey {
    fn from(it: wit::ArtifactKey) -> Self {
        match it {
            wit::ArtifactKey::Recording(it) => model::ArtifactKey::Recording(it.into()),
            wit::ArtifactKey::Bundle(it) => model::ArtifactKey::Bundle(it),
        }
    }
}

impl From<wit::RecordingKey> for model::RecordingKey {
    fn from(it: wit::RecordingKey) -> Self {
        model::RecordingKey {
            conversation: it.conversation,
            recording: it.recording,
            part: it.part,
        }
    }
}

impl From<wit::Download> for model::Download {
    fn from(it: wit::Download) -> Self {
        model::Download {
            url: it.url,
            headers: it.headers,
            authenticated: it.authenticated,
            expires: it.expires,
        }
    }
}

impl From<wit::Container> for model::Container {
    fn from(it: wit::Container) -> Self {
        match it {
            wit::Container::Single => model::Container::Single,
            wit::Container::Zip => model::Container::Zip,
            wit::Container::ZipBundle(it) => model::Container::ZipBundle(it.into()),
        }
    }
}

impl From<wit::BundleIndex> for model::BundleIndex {
    fn from(it: wit::BundleIndex) -> Self {
        model::BundleIndex {
            conversation_field: it.conversation_field,
            recording_field: it.recording_field,
            file_field: it.file_field,
            content_type_field: it.content_type_field,
            error_field: it.error_field,
            retryable_errors: it.retryable_errors,
            columns: all(it.columns),
        }
    }
}

impl From<wit::IndexField> for model::IndexField {
    fn from(it: wit::IndexField) -> Self {
        model::IndexField {
            name: it.name,
            column: it.column.into(),
        }
    }
}

impl From<wit::IndexColumn> for model::IndexColumn {
    fn from(it: wit::IndexColumn) -> Self {
        match it {
            wit::IndexColumn::Ani => model::IndexColumn::Ani,
            wit::IndexColumn::Dnis => model::IndexColumn::Dnis,
            wit::IndexColumn::AgentName => model::IndexColumn::AgentName,
            wit::IndexColumn::Tag => model::IndexColumn::Tag,
        }
    }
}

impl From<wit::Outcome> for model::ReportedOutcome {
    fn from(it: wit::Outcome) -> Self {
        model::ReportedOutcome {
            conversation: it.conversation,
            result: it.result.into(),
        }
    }
}

impl From<wit::OutcomeResult> for model::Reported {
    fn from(it: wit::OutcomeResult) -> Self {
        match it {
            wit::OutcomeResult::HandedOver(it) => model::Reported::HandedOver(it.into()),
            wit::OutcomeResult::InBundle(it) => model::Reported::InBundle(it),
            wit::OutcomeResult::NoRecording => model::Reported::NoRecording,
            wit::OutcomeResult::Skipped(it) => model::Reported::Skipped(it),
            wit::OutcomeResult::Failed(it) => model::Reported::Failed(it.into()),
            // A later version of the vendor's API, or of the source, may read it.
            wit::OutcomeResult::Unreadable(message) => model::Reported::Failed(model::Failure {
                code: UNREADABLE.to_owned(),
                message: line(&message),
                retryable: true,
            }),
        }
    }
}

impl From<wit::HandedOver> for model::HandedOver {
    fn from(it: wit::HandedOver) -> Self {
        model::HandedOver {
            artifacts: it.artifacts,
            missing: all(it.missing),
        }
    }
}

impl From<wit::Missing> for model::Missing {
    fn from(it: wit::Missing) -> Self {
        model::Missing {
            recording: it.recording,
            failure: it.failure.into(),
        }
    }
}

impl From<wit::Failure> for model::Failure {
    fn from(it: wit::Failure) -> Self {
        model::Failure {
            code: line(&it.code),
            message: line(&it.message),
            retryable: it.retryable,
        }
    }
}

impl From<wit::Update> for model::Update {
    fn from(it: wit::Update) -> Self {
        match it {
            wit::Update::Name(it) => model::Update::Name(it.into()),
            wit::Update::Recording(it) => model::Update::Recording(it.into()),
            wit::Update::Count(it) => model::Update::Count(it.into()),
            wit::Update::Finding(it) => model::Update::Finding(it.into()),
        }
    }
}

impl From<wit::Named> for model::Named {
    fn from(it: wit::Named) -> Self {
        model::Named {
            id: it.id,
            name: it.name,
        }
    }
}

impl From<wit::RecordingAttributes> for model::RecordingAttributes {
    fn from(it: wit::RecordingAttributes) -> Self {
        model::RecordingAttributes {
            conversation: it.conversation,
            recording: it.recording,
            attributes: it.attributes,
        }
    }
}

impl From<wit::Count> for model::ConversationCount {
    fn from(it: wit::Count) -> Self {
        model::ConversationCount {
            range: it.range.into(),
            conversations: it.conversations,
            recorded: it.recorded,
            requests: it.requests,
        }
    }
}

impl From<wit::TimeRange> for model::TimeRange {
    fn from(it: wit::TimeRange) -> Self {
        model::TimeRange {
            from: it.from,
            until: it.until,
        }
    }
}

impl From<wit::Finding> for model::Finding {
    fn from(it: wit::Finding) -> Self {
        model::Finding {
            subject: line(&it.subject),
            verdict: it.verdict.into(),
            text: line(&it.text),
        }
    }
}

impl From<wit::Verdict> for model::Verdict {
    fn from(it: wit::Verdict) -> Self {
        match it {
            wit::Verdict::Good => model::Verdict::Good,
            wit::Verdict::Doubtful => model::Verdict::Doubtful,
            wit::Verdict::Bad => model::Verdict::Bad,
        }
    }
}

impl From<wit::Note> for model::Note {
    fn from(it: wit::Note) -> Self {
        model::Note {
            level: it.level.into(),
            text: line(&it.text),
        }
    }
}

impl From<wit::Level> for model::Level {
    fn from(it: wit::Level) -> Self {
        match it {
            wit::Level::Debug => model::Level::Debug,
            wit::Level::Info => model::Level::Info,
            wit::Level::Warn => model::Level::Warn,
        }
    }
}

impl From<wit::SourceError> for model::SourceError {
    fn from(it: wit::SourceError) -> Self {
        match it {
            wit::SourceError::Options(it) => model::SourceError::Options(it.into()),
            wit::SourceError::Auth(it) => model::SourceError::Auth(line(&it)),
            wit::SourceError::Forbidden(it) => model::SourceError::Forbidden(line(&it)),
            wit::SourceError::Gone(it) => model::SourceError::Gone(line(&it)),
            wit::SourceError::Transient(it) => model::SourceError::Transient(line(&it)),
            wit::SourceError::Permanent(it) => model::SourceError::Permanent(line(&it)),
            wit::SourceError::IncompatibleState(it) => model::SourceError::IncompatibleState(it),
        }
    }
}

impl From<wit::OptionError> for model::OptionError {
    fn from(it: wit::OptionError) -> Self {
        model::OptionError {
            path: line(&it.path),
            message: line(&it.message),
        }
    }
}
