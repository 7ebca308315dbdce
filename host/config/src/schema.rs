//! The JSON Schema of a configuration, made from the types that read it.
//!
//! A new key appears in it by itself: its type derives `JsonSchema`, its description is the field's
//! doc comment, its default what serde fills in. The options of the built-in sources are those of
//! their own schemas.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{RawConfig, auth, sink, source::RawSource};
use recording_host_source::{BUILTIN, CompilationCache, SandboxError, SourceComponent};

/// The JSON Schema (draft 2020-12) of a configuration, with the sinks that this build has.
///
/// # Errors
/// [`SandboxError`] if the built-in component does not list its options.
pub fn schema() -> Result<Value, SandboxError> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        // Each path holds its whole schema, and types of one name do not meet.
        settings.inline_subschemas = true;
    });
    let root = settings
        .into_generator()
        .into_root_schema_for::<RawConfig>();
    let mut schema = root.to_value();
    let cache = CompilationCache::of_user();
    for (number, (_, wasm)) in BUILTIN.iter().enumerate() {
        let described = SourceComponent::load(wasm, cache.as_ref())?.describe()?;
        let options: Value = serde_json::from_str(&described.options_schema).unwrap_or_default();
        let node =
            format!("/properties/sources/additionalProperties/oneOf/{number}/properties/options");
        if let Some(node) = schema.pointer_mut(&node) {
            complete(node, options);
        }
    }
    make_portable(&mut schema);
    Ok(schema)
}

/// Takes out what JSON Schema does not define, and what strict validators therefore refuse: the formats of
/// Rust's numbers, whose bounds are there besides, and annotations that are for the host.
fn make_portable(schema: &mut Value) {
    const HOSTS: [&str; 3] = ["x-identity", "x-renamed-to", sink::former_name::KEYWORD];
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(make_portable),
        Value::Object(keywords) => {
            let of_rust = |format: &Value| {
                format.as_str().is_some_and(|format| {
                    ["uint", "int", "float", "double"].iter().any(|kind| {
                        let bits = format.strip_prefix(kind);
                        bits.is_some_and(|bits| bits.bytes().all(|bit| bit.is_ascii_digit()))
                    })
                })
            };
            keywords.retain(|name, value| {
                // A choice of forms has no type of its own, and schemars then writes null.
                if name == "type" && value.is_null() {
                    return false;
                }
                let of_the_host = HOSTS.contains(&name.as_str());
                !(of_the_host || (name == "format" && of_rust(value)))
            });
            keywords.values_mut().for_each(make_portable);
        }
        _ => {}
    }
}

/// The sources, by name.
pub(super) fn sources(generator: &mut SchemaGenerator) -> Schema {
    let keys = RawSource::json_schema(generator).to_value();
    let [client, aws, user, secret] = auth::schemas(generator);
    let mut kinds = Vec::new();
    for (name, description, auth) in [
        (
            "genesys_cloud",
            "Genesys Cloud, by the component that is built in.",
            &client,
        ),
        (
            "genesys_bucket",
            "A bucket that Genesys Cloud pushes to, by the component that is built in.",
            &aws,
        ),
    ] {
        let mut builtin = tagged(name, keys.clone(), Map::new());
        builtin["description"] = description.into();
        if let Some(keys) = builtin["properties"].as_object_mut() {
            keys.retain(|key, _| key != "path" && key != "sha256");
            keys.insert("auth".to_owned(), auth.clone());
        }
        kinds.push(builtin);
    }
    let mut component = tagged("component", keys, Map::new());
    component["description"] = "A component from a file.".into();
    component["properties"]["auth"] = json!({
        "description": "The credentials that the component asks for; it never sees them.",
        "anyOf": [client, aws, user, secret],
    });
    require(&mut component, &["path", "allow"]);
    kinds.push(component);
    for source in &mut kinds {
        complete(
            &mut source["properties"]["options"],
            json!({ "type": "object" }),
        );
    }
    named(&kinds)
}

/// The sinks, by name.
pub(super) fn sinks(generator: &mut SchemaGenerator) -> Schema {
    let (common, types) = sink::schemas(generator);
    let common = common.to_value();
    let common = common["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let types: Vec<Value> = types
        .into_iter()
        .map(|(name, keys)| tagged(name, keys.to_value(), common.clone()))
        .collect();
    named(&types)
}

/// Tables by name, at least one, each of one of these kinds.
fn named(kinds: &[Value]) -> Schema {
    let map =
        json!({ "type": "object", "minProperties": 1, "additionalProperties": { "oneOf": kinds } });
    Schema::try_from(map).unwrap_or_default()
}

/// A table whose `type` is this one, with these keys and some more.
fn tagged(name: &str, mut keys: Value, more: Map<String, Value>) -> Value {
    if let Some(keys) = keys.as_object_mut() {
        keys.remove("title");
    }
    let kind = json!({ "type": "string", "const": name });
    add(
        &mut keys,
        more.into_iter().chain([("type".to_owned(), kind)]),
    );
    require(&mut keys, &["type"]);
    keys
}

/// The options of a source: what the component says, and the interval, which is the host's.
fn complete(node: &mut Value, mut options: Value) {
    if let Some(options) = options.as_object_mut() {
        options.remove("$schema");
        options.remove("title");
        if let Some(description) = node.get("description") {
            options.insert("description".to_owned(), description.clone());
        }
    }
    let interval = json!({
        "type": "string",
        "description": "Which conversations: those that began in this range, in days or instants of UTC, the end excluded; `2026-01-01/..` has no end.",
        "pattern": "^[^/]+/[^/]+$",
        "examples": ["2026-01-01/2026-02-01"],
    });
    add(&mut options, [("interval".to_owned(), interval)]);
    require(&mut options, &["interval"]);
    *node = options;
}

fn require(keys: &mut Value, more: &[&str]) {
    let required = keys["required"].take();
    let mut names: Vec<Value> = required.as_array().cloned().unwrap_or_default();
    for name in more {
        if !names.iter().any(|known| known == name) {
            names.push((*name).into());
        }
    }
    keys["required"] = names.into();
    // Required keys are not left empty.
    for name in more {
        let kind = &mut keys["properties"][*name]["type"];
        if let Some(first) = kind.as_array().and_then(|kinds| kinds.first()).cloned() {
            *kind = first;
        }
    }
}

fn add(keys: &mut Value, more: impl IntoIterator<Item = (String, Value)>) {
    let mut properties = match keys["properties"].take() {
        Value::Object(properties) => properties,
        _ => Map::new(),
    };
    properties.extend(more);
    keys["properties"] = properties.into();
}
