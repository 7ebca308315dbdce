//! Filters of the analytics query (ConversationQuery): which are known, and what they match.

use serde::Deserialize;

use super::Refusal;
use crate::{Conversation, Organization, id::Kind, organization::QUEUES, time::iso};

/// A filter: predicates and clauses joined by `and` or `or`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    r#type: Join,
    #[serde(default)]
    clauses: Vec<Clause>,
    #[serde(default)]
    predicates: Vec<Predicate>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Clause {
    r#type: Join,
    predicates: Vec<Predicate>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Join {
    And,
    Or,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Predicate {
    #[serde(default)]
    r#type: Option<PredicateType>,
    dimension: String,
    #[serde(default)]
    operator: Operator,
    #[serde(default)]
    value: Option<String>,
}

// Properties and metrics exist, too; an export has no use for them.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum PredicateType {
    Dimension,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Operator {
    #[default]
    Matches,
    Exists,
    NotExists,
}

/// The subject of a filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Level {
    Conversation,
    Segment,
}

const CONVERSATION: [&str; 6] = [
    "conversationId",
    "conversationStart",
    "conversationEnd",
    "divisionId",
    "externalTag",
    "originatingDirection",
];
const SEGMENT: [&str; 9] = [
    "ani",
    "direction",
    "dnis",
    "mediaType",
    "purpose",
    "queueId",
    "recording",
    "userId",
    "wrapUpCode",
];

impl Filter {
    /// Returns true if it asks for nothing but that the conversation has ended.
    pub(super) fn ended_only(&self) -> bool {
        self.clauses.is_empty()
            && matches!(&self.predicates[..], [predicate]
                if predicate.dimension == "conversationEnd"
                    && predicate.operator == Operator::Exists)
    }

    /// Refuses what the vendor does not know.
    pub(super) fn check(&self, level: Level) -> Result<(), Refusal> {
        let known: &[&str] = match level {
            Level::Conversation => &CONVERSATION,
            Level::Segment => &SEGMENT,
        };
        if self.predicates.is_empty() && self.clauses.is_empty() {
            return Err(Refusal::bad("A filter has neither predicates nor clauses"));
        }
        let inner = self.clauses.iter().flat_map(|clause| &clause.predicates);
        for predicate in self.predicates.iter().chain(inner) {
            let dimension = predicate.dimension.as_str();
            if !known.contains(&dimension) {
                return Err(Refusal::bad(format!(
                    "The dimension {dimension} is not valid in this filter"
                )));
            }
            let valued = predicate.value.is_some();
            if valued != (predicate.operator == Operator::Matches) {
                return Err(Refusal::bad(format!(
                    "The predicate on {dimension} needs a value with the operator matches, and none with others"
                )));
            }
        }
        Ok(())
    }

    fn holds(&self, facts: &dyn Fn(&str) -> Vec<String>) -> bool {
        let all = |join: Join, predicates: &[Predicate]| match join {
            Join::And => predicates.iter().all(|predicate| predicate.holds(facts)),
            Join::Or => predicates.iter().any(|predicate| predicate.holds(facts)),
        };
        let clauses = self.clauses.iter();
        match self.r#type {
            Join::And => {
                all(Join::And, &self.predicates)
                    && clauses
                        .into_iter()
                        .all(|clause| all(clause.r#type, &clause.predicates))
            }
            Join::Or => {
                all(Join::Or, &self.predicates)
                    || clauses
                        .into_iter()
                        .any(|clause| all(clause.r#type, &clause.predicates))
            }
        }
    }
}

impl Predicate {
    fn holds(&self, facts: &dyn Fn(&str) -> Vec<String>) -> bool {
        let facts = facts(&self.dimension);
        match self.operator {
            Operator::Exists => !facts.is_empty(),
            Operator::NotExists => facts.is_empty(),
            Operator::Matches => self
                .value
                .as_ref()
                .is_some_and(|value| facts.contains(value)),
        }
    }
}

/// Returns true if a conversation, as seen at `now`, passes all the filters.
pub(super) fn passes(
    organization: &Organization,
    conversation: &Conversation,
    now: u64,
    conversations: &[Filter],
    segments: &[Filter],
) -> bool {
    let facts = |dimension: &str| about(organization, conversation, now, dimension);
    if !conversations.iter().all(|filter| filter.holds(&facts)) {
        return false;
    }
    let mut purposes = vec![Purpose::Customer];
    if conversation.inbound {
        purposes.push(Purpose::Acd);
    }
    purposes.extend(
        conversation
            .agents
            .iter()
            .map(|agent| Purpose::Agent(*agent)),
    );
    segments.is_empty()
        || purposes.iter().any(|purpose| {
            let facts =
                |dimension: &str| about_segment(organization, conversation, *purpose, dimension);
            segments.iter().all(|filter| filter.holds(&facts))
        })
}

fn about(
    organization: &Organization,
    conversation: &Conversation,
    now: u64,
    dimension: &str,
) -> Vec<String> {
    match dimension {
        "conversationId" => vec![conversation.id.clone()],
        "conversationStart" => vec![iso(conversation.start)],
        "conversationEnd" if conversation.has_ended(now) => vec![iso(conversation.end)],
        "divisionId" => vec![organization.division_id(conversation.division)],
        "originatingDirection" => vec![direction(conversation).to_owned()],
        _ => Vec::new(),
    }
}

/// Whose segment it is.
#[derive(Clone, Copy)]
enum Purpose {
    Customer,
    Acd,
    Agent(u64),
}

fn about_segment(
    organization: &Organization,
    conversation: &Conversation,
    purpose: Purpose,
    dimension: &str,
) -> Vec<String> {
    let queue = conversation.queue % QUEUES.len() as u64;
    let (from, to) = if conversation.inbound {
        (&conversation.customer, &conversation.center)
    } else {
        (&conversation.center, &conversation.customer)
    };
    match (dimension, purpose) {
        ("ani", _) => vec![from.clone()],
        ("dnis", _) => vec![to.clone()],
        ("direction", _) => vec![direction(conversation).to_owned()],
        ("mediaType", _) => vec![conversation.media.name().to_owned()],
        ("recording", _) if conversation.flagged => vec!["true".to_owned()],
        ("purpose", Purpose::Customer) => vec!["customer".to_owned()],
        ("purpose", Purpose::Acd) => vec!["acd".to_owned()],
        ("purpose", Purpose::Agent(_)) => vec!["agent".to_owned()],
        ("queueId", Purpose::Acd | Purpose::Agent(_)) => {
            vec![organization.ids.make(Kind::Queue, queue, 0)]
        }
        ("userId", Purpose::Agent(agent)) => vec![organization.ids.make(Kind::User, agent, 0)],
        ("wrapUpCode", Purpose::Agent(_)) => {
            let code = conversation.wrap_up_code;
            vec![organization.ids.make(Kind::WrapUpCode, code, 0)]
        }
        _ => Vec::new(),
    }
}

/// The vendor's word for the direction of a conversation.
pub(super) fn direction(conversation: &Conversation) -> &'static str {
    if conversation.inbound {
        "inbound"
    } else {
        "outbound"
    }
}
