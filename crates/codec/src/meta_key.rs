//! Keys of the schema's metadata: strings, hashes and lists on top of plain keys.
//!
//! `m`, the name, a letter (`s` string, `h` hash field, `l` list element, `L` list's ends), and the field or position.

use std::fmt;

use crate::{DbId, DecodeError, Key, TableId, bytes, number};

/// First byte of all keys of metadata.
pub const META_PREFIX: u8 = b'm';
const STRING: u64 = b's' as u64;
const HASH: u64 = b'h' as u64;
const LIST_ELEMENT: u64 = b'l' as u64;
const LIST_META: u64 = b'L' as u64;

/// A string's key.
pub fn string_key(name: &[u8]) -> Key {
    Key::new(begin(name, STRING))
}

/// A hash field's key.
pub fn hash_key(name: &[u8], field: &[u8]) -> Key {
    let mut out = begin(name, HASH);
    bytes::write_bytes(field, &mut out);
    Key::new(out)
}

/// What all fields of a hash begin with.
pub fn hash_prefix(name: &[u8]) -> Key {
    Key::new(begin(name, HASH))
}

/// The field's name of a hash field's key.
pub fn decode_hash_field(key: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut input = key.strip_prefix(&[META_PREFIX]).ok_or(DecodeError::Invalid("key of metadata"))?;
    bytes::skip_bytes(&mut input)?;
    if number::read_u64(&mut input)? != HASH {
        return Err(DecodeError::Invalid("key of a hash field"));
    }
    let mut field = Vec::new();
    bytes::read_bytes(&mut input, &mut field)?;
    if input.is_empty() { Ok(field) } else { Err(DecodeError::Invalid("key of a hash field")) }
}

/// The key of a list's element.
pub fn list_element(name: &[u8], index: i64) -> Key {
    let mut out = begin(name, LIST_ELEMENT);
    number::write_i64(index, &mut out);
    Key::new(out)
}

/// The key of a list's first and last position.
pub fn list_meta(name: &[u8]) -> Key {
    Key::new(begin(name, LIST_META))
}

/// `NextGlobalID`: the last id handed out, as decimal text.
pub fn next_global_id() -> Key {
    string_key(b"NextGlobalID")
}

/// `SchemaVersionKey`: the schema's version, as decimal text.
pub fn schema_version() -> Key {
    string_key(b"SchemaVersionKey")
}

/// `BootstrapKey`: set when the system tables exist.
pub fn bootstrap() -> Key {
    string_key(b"BootstrapKey")
}

/// `Diff:<version>`: what a version changed.
pub fn schema_diff(version: i64) -> Key {
    string_key(format!("Diff:{version}").as_bytes())
}

/// `DBs` / `DB:<id>`: a database's description.
pub fn database(id: DbId) -> Key {
    hash_key(b"DBs", db_name(id).as_bytes())
}

/// What the keys of all databases begin with.
pub fn databases() -> Key {
    hash_prefix(b"DBs")
}

/// `DB:<id>` / `Table:<id>`: a table's description.
pub fn table(db: DbId, id: TableId) -> Key {
    field(db, "Table", id)
}

/// What the keys of all that belongs to a database begin with.
pub fn tables(db: DbId) -> Key {
    hash_prefix(db_name(db).as_bytes())
}

/// `DB:<id>` / `IID:<id>`: the last AUTO_INCREMENT value handed out.
pub fn auto_increment(db: DbId, id: TableId) -> Key {
    field(db, "IID", id)
}

/// `DB:<id>` / `TID:<id>`: the last hidden row id handed out.
pub fn row_id(db: DbId, id: TableId) -> Key {
    field(db, "TID", id)
}

/// `DB:<id>` / `TARID:<id>`: the last AUTO_RANDOM value handed out.
pub fn auto_random(db: DbId, id: TableId) -> Key {
    field(db, "TARID", id)
}

/// `DB:<id>` / `SID:<id>`: a sequence's last value.
pub fn sequence(db: DbId, id: TableId) -> Key {
    field(db, "SID", id)
}

fn field(db: DbId, kind: &str, id: impl fmt::Display) -> Key {
    hash_key(db_name(db).as_bytes(), format!("{kind}:{id}").as_bytes())
}

fn db_name(id: DbId) -> String {
    format!("DB:{id}")
}

fn begin(name: &[u8], kind: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + bytes::encoded_len(name.len()) + 8 + 18);
    out.push(META_PREFIX);
    bytes::write_bytes(name, &mut out);
    number::write_u64(kind, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn vectors() {
        let check = |key: Key, expected: &str| assert_eq!(key.as_bytes(), hex(expected));
        check(next_global_id(), "6d 4e657874476c6f62ff616c494400000000fb 0000000000000073");
        check(database(DbId(1)), "6d 4442730000000000fa 0000000000000068 44423a3100000000fb");
        check(table(DbId(1), TableId(2)), "6d 44423a3100000000fb 0000000000000068 5461626c653a3200fe");
    }

    #[test]
    fn fields_lie_within_their_hash() {
        let (start, end) = (tables(DbId(1)), tables(DbId(1)).prefix_next());
        for key in
            [table(DbId(1), TableId(9)), row_id(DbId(1), TableId(9)), auto_increment(DbId(1), TableId(9))]
        {
            assert!(start < key && key < end);
        }
        assert!(table(DbId(10), TableId(9)) > end || table(DbId(10), TableId(9)) < start);
        assert_eq!(decode_hash_field(table(DbId(1), TableId(2)).as_bytes()), Ok(b"Table:2".to_vec()));
        assert!(decode_hash_field(next_global_id().as_bytes()).is_err());
    }

    #[test]
    fn list_elements_are_in_order() {
        assert!(list_element(b"jobs", -1) < list_element(b"jobs", 0));
        assert!(list_element(b"jobs", 0) < list_element(b"jobs", i64::MAX));
        assert_ne!(list_meta(b"jobs"), list_element(b"jobs", 0));
    }

    proptest! {
        #[test]
        fn decoding_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode_hash_field(&bytes);
            let _ = decode_hash_field(&[vec![META_PREFIX], bytes].concat());
        }
    }
}
