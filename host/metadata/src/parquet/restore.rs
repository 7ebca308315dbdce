//! Reads rows back from Parquet, with all that they say about their conversation.

use std::{collections::BTreeMap, io};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::{
    Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray,
};
use bytes::Bytes;

use super::{caught, failed};
use crate::restore::{Named, Row};

/// Reads the rows of a file one after the other.
pub(crate) fn for_each_row(file: Bytes, add: &mut dyn FnMut(Row)) -> io::Result<()> {
    let mut batches = caught(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        builder.build().map_err(failed)
    })?;
    while let Some(batch) = caught(|| batches.next().transpose().map_err(io::Error::other))? {
        let columns = Columns { batch: &batch };
        for row in 0..batch.num_rows() {
            add(caught(|| columns.row(row))?);
        }
    }
    Ok(())
}

/// Values of columns, one by one.
struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl Columns<'_> {
    fn column<T: 'static>(&self, name: &str) -> io::Result<&T> {
        let column = self.batch.column_by_name(name);
        let column = column.and_then(|column| column.as_any().downcast_ref::<T>());
        column.ok_or_else(|| {
            io::Error::other(format!("there is no column `{name}` of the right type"))
        })
    }

    fn row(&self, row: usize) -> io::Result<Row> {
        let text = |name: &str| {
            let column: &StringArray = self.column(name)?;
            Ok::<_, io::Error>(value(column, row))
        };
        let instant = |name: &str| {
            let column: &TimestampMillisecondArray = self.column(name)?;
            let at = column.is_valid(row).then(|| column.value(row));
            let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            Ok::<_, io::Error>(at.map(|at| at.to_string()))
        };
        Ok(Row {
            conversation_id: text("conversation_id")?.unwrap_or_default(),
            recording_id: text("recording_id")?,
            object_key: text("object_key")?,
            archive_member: text("archive_member")?,
            content_type: text("content_type")?,
            size_bytes: self.size(row)?,
            sha256: text("sha256")?,
            reason: text("reason")?,
            outcome: text("outcome")?.unwrap_or_default(),
            start: instant("start")?.unwrap_or_default(),
            end: instant("end")?,
            direction: text("direction")?,
            ani: text("ani")?,
            dnis: text("dnis")?,
            agents: self.named("agents", row)?,
            queues: self.named("queues", row)?,
            wrap_up_codes: self.named("wrap_up_codes", row)?,
            tags: self.texts("tags", row)?,
            divisions: self.texts("divisions", row)?,
            // Files of earlier versions are without it.
            division_names: match self.batch.column_by_name("division_names") {
                Some(_) => self.texts("division_names", row)?,
                None => Vec::new(),
            },
            media_types: self.texts("media_types", row)?,
            attributes: self.pairs("attributes", row)?,
            attempt: u32::try_from(self.column::<Int32Array>("attempt")?.value(row)).unwrap_or(1),
        })
    }

    fn size(&self, row: usize) -> io::Result<Option<u64>> {
        let column: &Int64Array = self.column("size_bytes")?;
        let size = column.is_valid(row).then(|| column.value(row));
        Ok(size.and_then(|size| u64::try_from(size).ok()))
    }

    fn texts(&self, name: &str, row: usize) -> io::Result<Vec<String>> {
        let list = self.column::<ListArray>(name)?.value(row);
        let list: &StringArray = cast(&list, name)?;
        Ok((0..list.len()).filter_map(|at| value(list, at)).collect())
    }

    fn named(&self, name: &str, row: usize) -> io::Result<Vec<Named>> {
        let list = self.column::<ListArray>(name)?.value(row);
        let list: &StructArray = cast(&list, name)?;
        let (ids, names) = (field(list, "id")?, field(list, "name")?);
        let one = |at| Named {
            id: value(ids, at).unwrap_or_default(),
            name: value(names, at),
        };
        Ok((0..list.len()).map(one).collect())
    }

    fn pairs(&self, name: &str, row: usize) -> io::Result<BTreeMap<String, String>> {
        let pairs = self.column::<MapArray>(name)?.value(row);
        let (keys, values) = (pairs.column(0), pairs.column(1));
        let (keys, values): (&StringArray, &StringArray) = (cast(keys, name)?, cast(values, name)?);
        let pair = |at| Some((value(keys, at)?, value(values, at).unwrap_or_default()));
        Ok((0..pairs.len()).filter_map(pair).collect())
    }
}

fn value(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn cast<'a, T: 'static>(array: &'a dyn Array, name: &str) -> io::Result<&'a T> {
    array
        .as_any()
        .downcast_ref::<T>()
        .ok_or_else(|| io::Error::other(format!("`{name}` has another type")))
}

fn field<'a>(of: &'a StructArray, name: &str) -> io::Result<&'a StringArray> {
    let field = of.column_by_name(name);
    let field = field.and_then(|field| field.as_any().downcast_ref());
    field.ok_or_else(|| io::Error::other(format!("there is no field `{name}`")))
}
