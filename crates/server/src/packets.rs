//! The payloads the server sends besides rows: OK, ERR, EOF, column definitions, prepared statement heads.

use bytes::BufMut;
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::BufMutExt;
use tidewater_session::{OkResult, PreparedInfo, ResultField, StatusFlags};
use tidewater_types::{Collation, FieldType, SqlError, TypeCode, TypeFlags};

const OK_HEADER: u8 = 0x00;
const EOF_HEADER: u8 = 0xfe;
const ERR_HEADER: u8 = 0xff;
const LOCAL_INFILE_HEADER: u8 = 0xfb;

/// The catalog of every column definition.
const CATALOG: &[u8] = b"def";
/// Length of the fixed part of a column definition.
const COLUMN_FIXED_LEN: u8 = 0x0c;
/// Decimals of a type that has no fixed number of them.
const DECIMALS_NOT_FIXED: u8 = 0x1f;

/// An OK packet. `header_eof` makes it the terminator of rows under `CLIENT_DEPRECATE_EOF`.
pub fn ok(out: &mut Vec<u8>, result: &OkResult, terminator: Terminator) {
    out.clear();
    out.put_u8(match terminator {
        Terminator::Statement => OK_HEADER,
        Terminator::Rows => EOF_HEADER,
    });
    out.put_lenenc_int(result.affected_rows);
    out.put_lenenc_int(result.last_insert_id);
    out.put_u16_le(result.status.bits());
    out.put_u16_le(result.warnings);
    if !result.info.is_empty() {
        out.put_lenenc_str(result.info.as_bytes());
    }
}

/// What an OK packet ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminator {
    /// A statement without rows.
    Statement,
    /// The rows of a result.
    Rows,
}

/// The old end-of-rows packet.
pub fn eof(out: &mut Vec<u8>, warnings: u16, status: StatusFlags) {
    out.clear();
    out.put_u8(EOF_HEADER);
    out.put_u16_le(warnings);
    out.put_u16_le(status.bits());
}

/// An error packet.
pub fn error(out: &mut Vec<u8>, error: &SqlError) {
    out.clear();
    out.put_u8(ERR_HEADER);
    out.put_u16_le(error.code);
    out.put_u8(b'#');
    out.put_slice(&error.sqlstate);
    out.put_slice(error.message.as_bytes());
}

/// Asks the client for a file.
pub fn local_infile(out: &mut Vec<u8>, file_name: &str) {
    out.clear();
    out.put_u8(LOCAL_INFILE_HEADER);
    out.put_slice(file_name.as_bytes());
}

/// The number of columns that begins a result.
pub fn column_count(out: &mut Vec<u8>, count: usize) {
    out.clear();
    out.put_lenenc_int(count as u64);
}

/// The head of the answer to `COM_STMT_PREPARE`.
pub fn prepared(out: &mut Vec<u8>, info: &PreparedInfo) {
    out.clear();
    out.put_u8(OK_HEADER);
    out.put_u32_le(info.id);
    out.put_u16_le(info.columns.len() as u16);
    out.put_u16_le(info.params.len() as u16);
    out.put_u8(0);
    out.put_u16_le(info.warnings);
}

/// A column definition (protocol 4.1). `with_default` adds the empty default value of `COM_FIELD_LIST`.
pub fn column(out: &mut Vec<u8>, field: &ResultField, with_default: bool) {
    out.clear();
    out.put_lenenc_str(CATALOG);
    out.put_lenenc_str(field.db.as_bytes());
    out.put_lenenc_str(field.table.as_bytes());
    out.put_lenenc_str(field.org_table.as_bytes());
    out.put_lenenc_str(field.name.as_bytes());
    out.put_lenenc_str(field.org_name.as_bytes());
    let field_type = &field.field_type;
    out.put_u8(COLUMN_FIXED_LEN);
    out.put_u16_le(wire_collation(field_type).id());
    out.put_u32_le(wire_length(field_type));
    out.put_u8(wire_code(field_type) as u8);
    out.put_u16_le(wire_flags(field_type).bits() as u16);
    out.put_u8(wire_decimals(field_type));
    out.put_u16_le(0);
    if with_default {
        out.put_u8(0xfb);
    }
}

/// Text goes out in utf8mb4 whatever it is stored in; everything that is not text is binary.
fn wire_collation(field_type: &FieldType) -> Collation {
    if field_type.is_text() || matches!(field_type.code, TypeCode::Enum | TypeCode::Set | TypeCode::Json) {
        match field_type.collation {
            Collation::Binary if field_type.code == TypeCode::Json => Collation::Utf8mb4Bin,
            collation => collation,
        }
    } else {
        Collation::Binary
    }
}

/// ENUM and SET are announced as strings with a flag; TINYBLOB and its kin all as BLOB, as MySQL does.
fn wire_code(field_type: &FieldType) -> TypeCode {
    match field_type.code {
        TypeCode::Enum | TypeCode::Set => TypeCode::String,
        TypeCode::TinyBlob | TypeCode::MediumBlob | TypeCode::LongBlob => TypeCode::Blob,
        TypeCode::VarChar => TypeCode::VarString,
        code => code,
    }
}

fn wire_flags(field_type: &FieldType) -> TypeFlags {
    let mut flags = field_type.flags;
    match field_type.code {
        TypeCode::Enum => flags |= TypeFlags::ENUM,
        TypeCode::Set => flags |= TypeFlags::SET,
        TypeCode::Timestamp => flags |= TypeFlags::TIMESTAMP,
        _ => {}
    }
    if field_type.is_blob() {
        flags |= TypeFlags::BLOB;
    }
    // MySQL sets the flag for text in a `_bin` collation, too. There that is rare; here such a collation is the default,
    // and drivers that go by the flag (sqlx) would take all text for bytes.
    flags.set(TypeFlags::BINARY, field_type.is_integer() || wire_collation(field_type) == Collation::Binary);
    flags
}

/// The display length in bytes: characters times the width of the character set for text.
fn wire_length(field_type: &FieldType) -> u32 {
    let length = u64::try_from(field_type.length).unwrap_or_else(|_| unspecified_length(field_type.code));
    let bytes = match field_type.code {
        TypeCode::NewDecimal => {
            let point = u64::from(field_type.decimals > 0);
            let sign = u64::from(!field_type.is_unsigned());
            length + point + sign
        }
        _ if field_type.is_text() && !field_type.is_blob() => {
            length * field_type.charset().max_bytes() as u64
        }
        TypeCode::Enum | TypeCode::Set => length * field_type.charset().max_bytes() as u64,
        _ => length,
    };
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn unspecified_length(code: TypeCode) -> u64 {
    match code {
        TypeCode::Tiny => 4,
        TypeCode::Short => 6,
        TypeCode::Int24 => 9,
        TypeCode::Long => 11,
        TypeCode::LongLong => 20,
        TypeCode::Float => 12,
        TypeCode::Double => 22,
        TypeCode::NewDecimal => 11,
        TypeCode::Null => 0,
        TypeCode::Timestamp | TypeCode::DateTime => 19,
        TypeCode::Date | TypeCode::Duration => 10,
        TypeCode::Year => 4,
        TypeCode::Bit => 1,
        TypeCode::TinyBlob => 255,
        TypeCode::Blob | TypeCode::VarChar | TypeCode::VarString | TypeCode::String => 65_535,
        TypeCode::MediumBlob => 16_777_215,
        TypeCode::LongBlob | TypeCode::Json | TypeCode::Enum | TypeCode::Set => u64::from(u32::MAX),
    }
}

fn wire_decimals(field_type: &FieldType) -> u8 {
    match field_type.code {
        TypeCode::Float | TypeCode::Double => u8::try_from(field_type.decimals).unwrap_or(DECIMALS_NOT_FIXED),
        TypeCode::NewDecimal | TypeCode::DateTime | TypeCode::Timestamp | TypeCode::Duration => {
            u8::try_from(field_type.decimals).unwrap_or(0)
        }
        _ if field_type.is_string() => {
            DECIMALS_NOT_FIXED * u8::from(field_type.decimals == i32::from(DECIMALS_NOT_FIXED))
        }
        _ => 0,
    }
}

/// A database name as a handshake carries it; empty means none.
pub fn database_name(name: Option<&[u8]>) -> Option<String> {
    name.filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned())
}

/// Whether rows end with an OK packet, as new clients want it, or with the old EOF packet.
pub fn deprecates_eof(capabilities: CapabilityFlags) -> bool {
    capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::io::ParseBuf;
    use mysql_common::packets::Column;
    use mysql_common::proto::MyDeserialize;

    fn as_client_sees(field_type: FieldType) -> Column {
        let mut out = Vec::new();
        column(&mut out, &ResultField::computed("c", field_type), false);
        Column::deserialize((), &mut ParseBuf(&out)).expect("a column definition")
    }

    #[test]
    fn column_definitions_say_what_mysql_says() {
        let int = as_client_sees(FieldType::int());
        assert_eq!((int.character_set(), int.column_length()), (63, 20));
        let text = as_client_sees(FieldType::varchar(10));
        assert_eq!((text.column_type() as u8, text.column_length()), (253, 40));
        let decimal = as_client_sees(FieldType::decimal(15, 2));
        assert_eq!((decimal.column_length(), decimal.decimals()), (17, 2));
    }

    #[test]
    fn only_what_is_no_text_is_announced_as_binary() {
        let is_binary = |field_type: FieldType| {
            as_client_sees(field_type).flags().contains(mysql_common::constants::ColumnFlags::BINARY_FLAG)
        };
        assert!(!is_binary(FieldType::varchar(10).with_collation(Collation::Utf8mb4Bin)));
        assert!(is_binary(FieldType::varchar(10).with_collation(Collation::Binary)));
        assert!(is_binary(FieldType::int()));
    }
}
