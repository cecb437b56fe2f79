//! The values that `COM_STMT_EXECUTE` binds to the `?` of a prepared statement.
//!
//! Layout (MySQL internals, "COM_STMT_EXECUTE"): NULL bitmap, a flag whether types follow, two bytes of type for each
//! parameter, then the values that were neither NULL nor sent ahead by `COM_STMT_SEND_LONG_DATA`.

use std::collections::BTreeMap;

use tidewater_session::Parameter;
use tidewater_types::{Datum, Decimal, Duration, ErrorCode, FieldType, SqlError, Time, TypeCode, TypeFlags};

/// The flag byte of a parameter type that says unsigned.
const UNSIGNED: u8 = 0x80;

/// The type of one parameter, as the client declared it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredType {
    code: TypeCode,
    unsigned: bool,
}

/// What the server keeps for a prepared statement between two executions.
#[derive(Debug, Default)]
pub struct Bindings {
    /// The types of the last execution that sent some; later ones may leave them out.
    types: Vec<DeclaredType>,
    /// Pieces of long values, by parameter.
    long_data: BTreeMap<u16, Vec<u8>>,
    /// Bytes in `long_data`.
    long_bytes: usize,
    /// A fault in long data, which has no answer of its own and is told at the next execution.
    fault: Option<SqlError>,
}

impl Bindings {
    /// Takes a piece of a long value. Above `limit` bytes in all the next execution fails.
    pub fn add_long_data(&mut self, parameter: u16, piece: &[u8], limit: usize) {
        if self.long_bytes + piece.len() > limit {
            let message = "Parameter of prepared statement which is set through mysql_send_long_data() is longer than 'max_allowed_packet' bytes";
            self.fault = Some(SqlError::new(ErrorCode::NetPacketTooLarge, message));
            return;
        }
        self.long_bytes += piece.len();
        self.long_data.entry(parameter).or_default().extend_from_slice(piece);
    }

    /// Forgets long values.
    pub fn reset(&mut self) {
        self.long_data.clear();
        self.long_bytes = 0;
        self.fault = None;
    }

    /// Decodes the values of an execution of a statement with `count` parameters. Long data is used up.
    pub fn bind(&mut self, bytes: &[u8], count: usize) -> Result<Vec<Parameter>, SqlError> {
        let result = match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.decode(&mut Reader(bytes), count),
        };
        self.reset();
        result
    }

    fn decode(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<Vec<Parameter>, SqlError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let nulls = reader.take(count.div_ceil(8))?;
        if reader.u8()? == 1 {
            self.types = (0..count).map(|_| declared_type(reader)).collect::<Result<_, _>>()?;
        }
        if self.types.len() != count {
            return Err(malformed());
        }
        (0..count)
            .map(|index| {
                let declared = self.types[index];
                if let Some(long) = u16::try_from(index).ok().and_then(|index| self.long_data.remove(&index))
                {
                    return Ok(Parameter { value: Datum::Bytes(long), field_type: field_type(declared) });
                }
                let is_null = nulls[index / 8] >> (index % 8) & 1 == 1;
                if is_null {
                    return Ok(Parameter { value: Datum::Null, field_type: field_type(declared) });
                }
                value(reader, declared)
            })
            .collect()
    }
}

fn declared_type(reader: &mut Reader<'_>) -> Result<DeclaredType, SqlError> {
    let code = TypeCode::try_from(reader.u8()?).map_err(|_| malformed())?;
    Ok(DeclaredType { code, unsigned: reader.u8()? & UNSIGNED != 0 })
}

fn field_type(declared: DeclaredType) -> FieldType {
    match declared.code {
        TypeCode::Null => FieldType::null(),
        TypeCode::Float => FieldType::float(),
        TypeCode::Double => FieldType::double(),
        TypeCode::Date => FieldType::date(),
        TypeCode::DateTime | TypeCode::Timestamp => FieldType::datetime(6),
        TypeCode::Duration => FieldType::duration(6),
        TypeCode::Tiny
        | TypeCode::Short
        | TypeCode::Int24
        | TypeCode::Long
        | TypeCode::LongLong
        | TypeCode::Year => {
            let flags = if declared.unsigned { TypeFlags::UNSIGNED } else { TypeFlags::empty() };
            FieldType::new(declared.code).with_flags(flags)
        }
        TypeCode::TinyBlob | TypeCode::MediumBlob | TypeCode::LongBlob | TypeCode::Blob | TypeCode::Bit => {
            FieldType::binary_string()
        }
        TypeCode::NewDecimal
        | TypeCode::VarChar
        | TypeCode::VarString
        | TypeCode::String
        | TypeCode::Enum
        | TypeCode::Set
        | TypeCode::Json => FieldType::string(),
    }
}

fn value(reader: &mut Reader<'_>, declared: DeclaredType) -> Result<Parameter, SqlError> {
    let mut field_type = field_type(declared);
    let integer = |signed: i64, unsigned: u64| {
        if declared.unsigned { Datum::UInt(unsigned) } else { Datum::Int(signed) }
    };
    let value = match declared.code {
        TypeCode::Null => Datum::Null,
        TypeCode::Tiny => {
            let byte = reader.u8()?;
            integer(i64::from(byte as i8), u64::from(byte))
        }
        TypeCode::Short | TypeCode::Year => {
            let word = u16::from_le_bytes(reader.array()?);
            integer(i64::from(word as i16), u64::from(word))
        }
        TypeCode::Int24 | TypeCode::Long => {
            let word = u32::from_le_bytes(reader.array()?);
            integer(i64::from(word as i32), u64::from(word))
        }
        TypeCode::LongLong => {
            let word = u64::from_le_bytes(reader.array()?);
            integer(word as i64, word)
        }
        TypeCode::Float => Datum::Float(f32::from_le_bytes(reader.array()?)),
        TypeCode::Double => Datum::Double(f64::from_le_bytes(reader.array()?)),
        TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => Datum::Time(time(reader)?),
        TypeCode::Duration => Datum::Duration(duration(reader)?),
        TypeCode::NewDecimal => {
            let text = reader.length_encoded()?;
            let parsed = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<Decimal>().ok());
            match parsed {
                Some(decimal) => {
                    field_type = FieldType::decimal(65, decimal.scale());
                    Datum::Decimal(decimal)
                }
                // Not a number: let the statement's own conversion complain, or cut it.
                None => Datum::Bytes(text.to_vec()),
            }
        }
        _ => Datum::Bytes(reader.length_encoded()?.to_vec()),
    };
    Ok(Parameter { value, field_type })
}

fn time(reader: &mut Reader<'_>) -> Result<Time, SqlError> {
    let len = reader.u8()?;
    if len == 0 {
        return Ok(Time::default());
    }
    let year = u32::from(u16::from_le_bytes(reader.array()?));
    let (month, day) = (u32::from(reader.u8()?), u32::from(reader.u8()?));
    let (hour, minute, second) = match len {
        4 => (0, 0, 0),
        7 | 11 => (u32::from(reader.u8()?), u32::from(reader.u8()?), u32::from(reader.u8()?)),
        _ => return Err(malformed()),
    };
    let micro = if len == 11 { u32::from_le_bytes(reader.array()?) } else { 0 };
    Time::from_parts(year, month, day, hour, minute, second, micro).ok_or_else(|| {
        let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
        SqlError::new(ErrorCode::TruncatedWrongValue, format!("Incorrect datetime value: '{text}'"))
    })
}

fn duration(reader: &mut Reader<'_>) -> Result<Duration, SqlError> {
    let len = reader.u8()?;
    if len == 0 {
        return Ok(Duration::default());
    }
    if len != 8 && len != 12 {
        return Err(malformed());
    }
    let negative = reader.u8()? != 0;
    let days = i64::from(u32::from_le_bytes(reader.array()?));
    let (hours, minutes, seconds) =
        (i64::from(reader.u8()?), i64::from(reader.u8()?), i64::from(reader.u8()?));
    let micros = if len == 12 { i64::from(u32::from_le_bytes(reader.array()?)) } else { 0 };
    let size = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    Ok(Duration::from_micros_clamped(if negative { -size } else { size }))
}

fn malformed() -> SqlError {
    SqlError::new(ErrorCode::MalformedPacket, "Malformed communication packet.")
}

/// Takes bytes from the front of a packet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], SqlError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SqlError> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    fn u8(&mut self) -> Result<u8, SqlError> {
        Ok(self.array::<1>()?[0])
    }

    fn length_encoded(&mut self) -> Result<&'a [u8], SqlError> {
        let len = match self.u8()? {
            first @ 0..=250 => u64::from(first),
            0xfc => u64::from(u16::from_le_bytes(self.array()?)),
            0xfd => {
                let [a, b, c] = self.array()?;
                u64::from(u32::from_le_bytes([a, b, c, 0]))
            }
            0xfe => u64::from_le_bytes(self.array()?),
            _ => return Err(malformed()),
        };
        self.take(usize::try_from(len).map_err(|_| malformed())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_are_remembered_between_executions() {
        let mut bindings = Bindings::default();
        let first = bindings.bind(&[0, 1, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0], 1).expect("types and a value");
        assert_eq!(first[0].value, Datum::Int(7));
        let second =
            bindings.bind(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1).expect("a value");
        assert_eq!(second[0].value, Datum::Int(-1));
        let null = bindings.bind(&[1, 0], 1).expect("a NULL");
        assert_eq!(null[0].value, Datum::Null);
    }

    #[test]
    fn long_data_takes_the_place_of_a_value() {
        let mut bindings = Bindings::default();
        bindings.add_long_data(1, b"ab", 10);
        bindings.add_long_data(1, b"cd", 10);
        let values = bindings.bind(&[0, 1, 1, 0, 252, 0, 5], 2).expect("one value and long data");
        assert_eq!(values[0].value, Datum::Int(5));
        assert_eq!(values[1].value, Datum::Bytes(b"abcd".to_vec()));
        bindings.add_long_data(1, b"0123456789a", 10);
        assert!(bindings.bind(&[0, 0, 5], 2).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_bound_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0_usize..20) {
            let _ = Bindings::default().bind(&bytes, count);
        }
    }
}
