//! What entries of a journal have in common with orders and reports: how their parts are written.

use serde::{Deserialize, Serialize};

/// Bytes, for the most part of a text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Bytes {
    Text(String),
    Binary(Vec<u8>),
}

impl Bytes {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Bytes::Binary(error.into_bytes()), Bytes::Text)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Bytes::Text(text) => text.into_bytes(),
            Bytes::Binary(bytes) => bytes,
        }
    }
}

/// Splits as a part of something else.
pub(crate) mod splits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::super::{OrderedSplit, Split};

    pub(crate) fn serialize<S: Serializer>(splits: &[Split], to: S) -> Result<S::Ok, S::Error> {
        let ordered = |split: &Split| OrderedSplit::new(split.clone(), None);
        splits.iter().map(ordered).collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Split>, D::Error> {
        let ordered = Vec::<OrderedSplit>::deserialize(from)?;
        Ok(ordered.into_iter().map(OrderedSplit::into_split).collect())
    }
}

/// Results of artifacts as a part of something else.
pub(crate) mod results {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::super::{ArtifactResult, Delivered};

    pub(crate) fn serialize<S: Serializer>(
        results: &[ArtifactResult],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let delivered = results.iter().map(Delivered::of);
        delivered.collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<ArtifactResult>, D::Error> {
        let delivered = Vec::<Delivered>::deserialize(from)?;
        Ok(delivered.into_iter().map(Delivered::into_result).collect())
    }
}

/// Objects, each with the sink that holds it, as a part of something else.
pub(crate) mod objects {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::super::{Object, StoredObject};

    pub(crate) fn serialize<S: Serializer>(
        objects: &[(String, Object)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let stored = objects
            .iter()
            .map(|(sink, object)| StoredObject::of(sink, object));
        stored.collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(String, Object)>, D::Error> {
        let stored = Vec::<StoredObject>::deserialize(from)?;
        let object = |stored: StoredObject| (stored.sink.clone(), stored.into_object());
        Ok(stored.into_iter().map(object).collect())
    }
}

/// Bytes that are text, for the most part.
pub(crate) mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Bytes;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        Bytes::of(bytes.to_vec()).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Bytes::deserialize(from).map(Bytes::into_bytes)
    }
}
