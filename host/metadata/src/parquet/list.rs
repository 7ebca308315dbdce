//! Lists, as columns.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ListArray, MapArray, StructArray,
    builder::{ArrayBuilder, StringBuilder},
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields};

/// The type of a list whose elements are of this type and never null.
pub(crate) fn element(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", of, false)))
}

/// Lists of texts.
#[derive(Default)]
pub(crate) struct Texts {
    lengths: Vec<usize>,
    texts: StringBuilder,
}

impl Texts {
    pub(crate) fn push(&mut self, list: &[String]) {
        for text in list {
            self.texts.append_value(text);
        }
        self.lengths.push(list.len());
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let field = Arc::new(Field::new("element", DataType::Utf8, false));
        let offsets = OffsetBuffer::from_lengths(self.lengths.drain(..));
        let list = ListArray::try_new(field, offsets, taken(&mut self.texts), None)?;
        Ok(Arc::new(list))
    }
}

/// The texts that a builder has gathered; it begins anew with as much room as they took.
pub(crate) fn taken(builder: &mut StringBuilder) -> ArrayRef {
    let bytes = builder.values_slice().len();
    let next = StringBuilder::with_capacity(builder.len(), bytes + bytes / 16);
    Arc::new(std::mem::replace(builder, next).finish())
}

/// Lists of pairs of a text and, perhaps, another: id and name, code and message.
pub(crate) struct Pairs {
    fields: Fields,
    lengths: Vec<usize>,
    first: StringBuilder,
    second: StringBuilder,
}

impl Pairs {
    pub(crate) fn new(first: &str, second: &str) -> Self {
        Pairs {
            fields: Self::fields(first, second),
            lengths: Vec::new(),
            first: StringBuilder::new(),
            second: StringBuilder::new(),
        }
    }

    pub(crate) fn data_type(first: &str, second: &str) -> DataType {
        element(DataType::Struct(Self::fields(first, second)))
    }

    fn fields(first: &str, second: &str) -> Fields {
        Fields::from(vec![
            Field::new(first, DataType::Utf8, false),
            Field::new(second, DataType::Utf8, true),
        ])
    }

    pub(crate) fn push<'a>(&mut self, list: impl Iterator<Item = (&'a str, Option<&'a str>)>) {
        let mut length = 0;
        for (first, second) in list {
            self.first.append_value(first);
            self.second.append_option(second);
            length += 1;
        }
        self.lengths.push(length);
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let columns = vec![taken(&mut self.first), taken(&mut self.second)];
        structs(self.fields.clone(), self.lengths.drain(..), columns)
    }
}

/// Lists of structs, from their lengths and the structs' columns.
pub(crate) fn structs(
    fields: Fields,
    lengths: impl IntoIterator<Item = usize>,
    columns: Vec<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new(
        "element",
        DataType::Struct(fields.clone()),
        false,
    ));
    let structs = StructArray::try_new(fields, columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(field, offsets, Arc::new(structs), None)?;
    Ok(Arc::new(list))
}

/// Maps of texts to texts.
#[derive(Default)]
pub(crate) struct Labels {
    lengths: Vec<usize>,
    keys: StringBuilder,
    values: StringBuilder,
}

impl Labels {
    pub(crate) fn data_type() -> DataType {
        let entry = DataType::Struct(Self::fields());
        DataType::Map(Arc::new(Field::new("key_value", entry, false)), false)
    }

    fn fields() -> Fields {
        Fields::from(vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("value", DataType::Utf8, true),
        ])
    }

    pub(crate) fn push<'a>(&mut self, pairs: impl Iterator<Item = (&'a String, &'a String)>) {
        let mut length = 0;
        for (key, value) in pairs {
            self.keys.append_value(key);
            self.values.append_value(value);
            length += 1;
        }
        self.lengths.push(length);
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let columns = vec![taken(&mut self.keys), taken(&mut self.values)];
        let entries = StructArray::try_new(Self::fields(), columns, None)?;
        let field = Field::new("key_value", entries.data_type().clone(), false);
        let offsets = OffsetBuffer::from_lengths(self.lengths.drain(..));
        let map = MapArray::try_new(Arc::new(field), offsets, entries, None, false)?;
        Ok(Arc::new(map))
    }
}
