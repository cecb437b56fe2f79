//! JSON_ARRAYAGG and JSON_OBJECTAGG.

use arrow::array::{Array, ArrayRef, AsArray};
use tidewater_chunk::{ColumnBuilder, datum_at};
use tidewater_types::{Datum, FieldType, Json, JsonRef};

use super::{AggregateCall, AggregateFunction, Aggregator};
use crate::error::ExprError;

pub(super) fn aggregator(call: &AggregateCall) -> Box<dyn Aggregator> {
    Box::new(JsonAgg {
        object: call.function == AggregateFunction::JsonObjectAgg,
        groups: Vec::new(),
        bytes: 0,
    })
}

/// Members in the order they came; an object's later duplicates win when it is built.
struct JsonAgg {
    object: bool,
    groups: Vec<Vec<(String, Json)>>,
    bytes: usize,
}

impl Aggregator for JsonAgg {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let json_type = FieldType::json();
        for (row, group) in group_ids.iter().enumerate() {
            let key = if self.object {
                let keys = args[0].as_binary_opt::<i32>().filter(|keys| keys.is_valid(row));
                let keys = keys.ok_or(ExprError::JsonNullKey)?;
                String::from_utf8_lossy(keys.value(row)).into_owned()
            } else {
                String::new()
            };
            let array = args.last().ok_or(ExprError::Malformed { what: "argument of a JSON aggregate" })?;
            let value = match datum_at(array.as_ref(), row, &json_type) {
                Datum::Json(json) => json,
                _ => Json::null(),
            };
            self.bytes += key.len() + value.as_bytes().len();
            self.groups[*group as usize].push((key, value));
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.groups.len() < groups {
            self.groups.resize(groups, Vec::new());
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        let mut builder = ColumnBuilder::new(&FieldType::json(), self.groups.len());
        for members in std::mem::take(&mut self.groups) {
            if members.is_empty() {
                builder.append_null();
            } else if self.object {
                let members: Vec<(&str, JsonRef<'_>)> =
                    members.iter().map(|(k, v)| (k.as_str(), v.as_ref())).collect();
                builder.append(&Datum::Json(Json::object(&members)));
            } else {
                let elements: Vec<JsonRef<'_>> = members.iter().map(|(_, v)| v.as_ref()).collect();
                builder.append(&Datum::Json(Json::array(&elements)));
            }
        }
        Ok(builder.finish())
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.bytes + self.groups.capacity() * 24
    }
}
