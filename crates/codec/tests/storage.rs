//! A small table in a sorted map, through the public face: what is written in key order comes back as rows in SQL order.

use std::collections::BTreeMap;

use tidewater_codec::index_value::{self, IndexLayout, IndexValue};
use tidewater_codec::row::{RowEncoder, RowView, decode_value};
use tidewater_codec::table_key::{decode_row_key, index_key, index_range, row_key, row_range};
use tidewater_codec::{ColumnId, Handle, IndexId, Key, TableId};
use tidewater_types::{Collation, Datum, FieldType};

const TABLE: TableId = TableId(50);
const BY_NAME: IndexId = IndexId(1);
const NAME: ColumnId = ColumnId(2);

fn name_type() -> FieldType {
    FieldType::varchar(20).with_collation(Collation::Utf8mb4GeneralCi)
}

/// Rows and a unique index on the name, whose case the key loses.
fn store(names: &[&str]) -> BTreeMap<Key, Vec<u8>> {
    let mut data = BTreeMap::new();
    let mut encoder = RowEncoder::new();
    for (position, name) in names.iter().enumerate() {
        let handle = Handle::Int(position as i64 - 2);
        let (value, field_type) = (Datum::from(*name), name_type());
        let mut row = Vec::new();
        encoder.encode(&[(NAME, &value, &field_type)], &mut row).expect("a row");
        data.insert(row_key(TABLE, &handle), row.clone());
        let entry = index_key(TABLE, BY_NAME, &[(&value, &field_type)], None).expect("a key");
        let content = IndexValue { handle: Some(handle), partition: None, restored: Some(&row) };
        let mut out = Vec::new();
        index_value::encode(&content, IndexLayout::IntHandle, &mut out);
        assert_eq!(data.insert(entry, out), None, "{name} is in the unique index already");
    }
    data
}

fn name_of(row: &[u8]) -> String {
    let row = RowView::parse(row).expect("a row");
    let bytes = row.find(NAME).flatten().expect("a name");
    decode_value(bytes, &name_type()).expect("text").to_string()
}

#[test]
fn rows_come_back_in_order_of_their_handles() {
    let data = store(&["delta", "Beta", "gamma", "Álpha"]);
    let rows: Vec<(i64, String)> = data
        .range(row_range(TABLE))
        .map(|(key, value)| match decode_row_key(key.as_bytes()) {
            Ok((TABLE, Handle::Int(handle))) => (handle, name_of(value)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rows, [(-2, "delta".into()), (-1, "Beta".into()), (0, "gamma".into()), (1, "Álpha".into())]);
}

#[test]
fn an_index_orders_by_collation_and_gives_the_text_back() {
    let data = store(&["delta", "Beta", "gamma", "Álpha"]);
    let names: Vec<(String, Option<Handle>)> = data
        .range(index_range(TABLE, BY_NAME))
        .map(|(_, value)| {
            let entry = index_value::decode(value).expect("an index value");
            (name_of(entry.restored.expect("restored columns")), entry.handle)
        })
        .collect();
    let expected = [("Álpha", 1), ("Beta", -1), ("delta", -2), ("gamma", 0)];
    assert_eq!(names, expected.map(|(name, handle)| (name.to_owned(), Some(Handle::Int(handle)))));
}

#[test]
fn a_point_look_up_ignores_case_and_padding() {
    let data = store(&["delta", "Beta"]);
    let wanted = index_key(TABLE, BY_NAME, &[(&Datum::from("BETA  "), &name_type())], None).expect("a key");
    assert!(data.contains_key(&wanted));
}
