//! Column types with MySQL's default lengths and limits.

use std::sync::Arc;

use tidewater_parser::ast::{DataType, TypeName};
use tidewater_types::{Charset, Collation, ErrorCode, FieldType, TypeCode, TypeFlags};

use crate::error::{DdlError, reject};

use super::resolve_charset;

const PRECISION_MAX: u32 = 65;
const SCALE_MAX: u32 = 30;
const BIT_LENGTH_MAX: u32 = 64;
const CHAR_LENGTH_MAX: u32 = 255;
const VARCHAR_BYTES_MAX: u32 = 65_535;
const FSP_MAX: u32 = 6;

/// The type of the column `name`; `default_collation` is the table's.
pub fn build_field_type(
    name: &str,
    data_type: &DataType,
    default_collation: Collation,
) -> Result<FieldType, DdlError> {
    use TypeCode as C;
    let integer = |code: C, signed: i32, unsigned: i32| {
        let mut field_type = FieldType::new(code);
        field_type.length =
            data_type.length.map_or(if data_type.unsigned { unsigned } else { signed }, |length| {
                i32::try_from(length).unwrap_or(255)
            });
        Ok(with_signs(field_type, data_type))
    };
    match data_type.name {
        TypeName::Bit => {
            let length = data_type.length.unwrap_or(1).max(1);
            if length > BIT_LENGTH_MAX {
                return Err(too_long(name, BIT_LENGTH_MAX));
            }
            let mut field_type = FieldType::new(C::Bit).with_flags(TypeFlags::UNSIGNED);
            field_type.length = length as i32;
            Ok(field_type)
        }
        TypeName::Bool => {
            let mut field_type = FieldType::new(C::Tiny);
            field_type.length = 1;
            Ok(field_type)
        }
        TypeName::TinyInt => integer(C::Tiny, 4, 3),
        TypeName::SmallInt => integer(C::Short, 6, 5),
        TypeName::MediumInt => integer(C::Int24, 9, 8),
        TypeName::Int => integer(C::Long, 11, 10),
        TypeName::BigInt => integer(C::LongLong, 20, 20),
        TypeName::Decimal => {
            let (precision, scale) = (data_type.length.unwrap_or(10), data_type.scale.unwrap_or(0));
            let precision = if precision == 0 { 10 } else { precision };
            if precision > PRECISION_MAX {
                return Err(reject(
                    ErrorCode::TooBigPrecision,
                    format!(
                        "Too-big precision {precision} specified for '{name}'. Maximum is {PRECISION_MAX}."
                    ),
                ));
            }
            check_scale(name, precision, scale)?;
            Ok(with_signs(FieldType::decimal(precision as u8, scale as u8), data_type))
        }
        TypeName::Float | TypeName::Double => build_real(name, data_type),
        TypeName::Date => Ok(FieldType::date()),
        TypeName::Time => Ok(FieldType::duration(fsp(name, data_type)?)),
        TypeName::DateTime => Ok(FieldType::datetime(fsp(name, data_type)?)),
        TypeName::Timestamp => {
            Ok(FieldType::timestamp(fsp(name, data_type)?).with_flags(TypeFlags::TIMESTAMP))
        }
        TypeName::Year => Ok(FieldType::new(C::Year).with_flags(TypeFlags::UNSIGNED | TypeFlags::ZEROFILL)),
        TypeName::Char => build_string(name, data_type, C::String, default_collation),
        TypeName::VarChar => build_string(name, data_type, C::VarChar, default_collation),
        TypeName::Binary => build_string(name, data_type, C::String, Collation::Binary),
        TypeName::VarBinary => build_string(name, data_type, C::VarChar, Collation::Binary),
        TypeName::TinyBlob => build_blob(data_type, C::TinyBlob, Collation::Binary),
        TypeName::Blob => build_blob(data_type, C::Blob, Collation::Binary),
        TypeName::MediumBlob => build_blob(data_type, C::MediumBlob, Collation::Binary),
        TypeName::LongBlob => build_blob(data_type, C::LongBlob, Collation::Binary),
        TypeName::TinyText => build_blob(data_type, C::TinyBlob, default_collation),
        TypeName::Text => build_blob(data_type, C::Blob, default_collation),
        TypeName::MediumText => build_blob(data_type, C::MediumBlob, default_collation),
        TypeName::LongText => build_blob(data_type, C::LongBlob, default_collation),
        TypeName::Enum => build_enum(name, data_type, C::Enum, default_collation),
        TypeName::Set => build_enum(name, data_type, C::Set, default_collation),
        TypeName::Json => Ok(FieldType::json()),
    }
}

fn with_signs(mut field_type: FieldType, data_type: &DataType) -> FieldType {
    if data_type.unsigned {
        field_type.flags |= TypeFlags::UNSIGNED;
    }
    if data_type.zerofill {
        field_type.flags |= TypeFlags::UNSIGNED | TypeFlags::ZEROFILL;
    }
    field_type
}

fn build_real(name: &str, data_type: &DataType) -> Result<FieldType, DdlError> {
    let code = match (data_type.name, data_type.length, data_type.scale) {
        (TypeName::Double, ..) => TypeCode::Double,
        (_, Some(precision), None) if precision > 53 => {
            return Err(reject(
                ErrorCode::WrongFieldSpec,
                format!("Incorrect column specifier for column '{name}'"),
            ));
        }
        (_, Some(precision), None) if precision > 24 => TypeCode::Double,
        _ => TypeCode::Float,
    };
    let mut field_type = FieldType::new(code);
    if let (Some(precision), Some(scale)) = (data_type.length, data_type.scale) {
        if precision > 255 {
            return Err(too_long(name, 255));
        }
        check_scale(name, precision, scale)?;
        field_type.length = precision as i32;
        field_type.decimals = scale as i32;
    }
    Ok(with_signs(field_type, data_type))
}

fn string_collation(data_type: &DataType, default_collation: Collation) -> Result<Collation, DdlError> {
    if default_collation == Collation::Binary
        && matches!(
            data_type.name,
            TypeName::Binary
                | TypeName::VarBinary
                | TypeName::TinyBlob
                | TypeName::Blob
                | TypeName::MediumBlob
                | TypeName::LongBlob
        )
    {
        return Ok(Collation::Binary);
    }
    let collation =
        resolve_charset(data_type.charset.as_deref(), data_type.collation.as_deref(), default_collation)?;
    Ok(if data_type.binary { binary_collation(collation.charset()) } else { collation })
}

fn binary_collation(charset: Charset) -> Collation {
    Collation::from_name(&format!("{}_bin", charset.name())).unwrap_or_else(|| charset.default_collation())
}

fn build_string(
    name: &str,
    data_type: &DataType,
    code: TypeCode,
    default_collation: Collation,
) -> Result<FieldType, DdlError> {
    let collation = string_collation(data_type, default_collation)?;
    let length = data_type.length.unwrap_or(1);
    let max = match code {
        TypeCode::String => CHAR_LENGTH_MAX,
        _ => VARCHAR_BYTES_MAX / collation.charset().max_bytes() as u32,
    };
    if length > max {
        return Err(too_long(name, max));
    }
    let mut field_type = FieldType::new(code).with_collation(collation);
    field_type.length = length as i32;
    Ok(field_type)
}

fn build_blob(
    data_type: &DataType,
    code: TypeCode,
    default_collation: Collation,
) -> Result<FieldType, DdlError> {
    let collation = string_collation(data_type, default_collation)?;
    let code = match (code, data_type.length) {
        // TEXT(n) is the smallest type that holds n characters.
        (TypeCode::Blob, Some(length)) => match u64::from(length) * collation.charset().max_bytes() as u64 {
            0..=255 => TypeCode::TinyBlob,
            256..=65_535 => TypeCode::Blob,
            65_536..=16_777_215 => TypeCode::MediumBlob,
            _ => TypeCode::LongBlob,
        },
        (code, _) => code,
    };
    Ok(FieldType::new(code).with_collation(collation).with_flags(TypeFlags::BLOB))
}

fn build_enum(
    name: &str,
    data_type: &DataType,
    code: TypeCode,
    default_collation: Collation,
) -> Result<FieldType, DdlError> {
    let collation = string_collation(data_type, default_collation)?;
    let elements: Arc<[String]> =
        data_type.elements.iter().map(|element| element.trim_end_matches(' ').to_owned()).collect();
    for (index, element) in elements.iter().enumerate() {
        let twin = |other: &String| collation.compare(other.as_bytes(), element.as_bytes()).is_eq();
        if elements[..index].iter().any(twin) {
            let kind = if code == TypeCode::Enum { "ENUM" } else { "SET" };
            return Err(reject(
                ErrorCode::DuplicatedValueInType,
                format!("Column '{name}' has duplicated value '{element}' in {kind}"),
            ));
        }
    }
    if code == TypeCode::Set && elements.len() > 64 {
        return Err(reject(ErrorCode::TooBigSet, format!("Too many strings for column {name} and SET")));
    }
    let lengths = elements.iter().map(|element| element.chars().count());
    let length = match code {
        TypeCode::Enum => lengths.max().unwrap_or(0),
        _ => lengths.sum::<usize>() + elements.len().saturating_sub(1),
    };
    let mut field_type = FieldType::new(code)
        .with_collation(collation)
        .with_flags(if code == TypeCode::Enum { TypeFlags::ENUM } else { TypeFlags::SET });
    field_type.length = i32::try_from(length).unwrap_or(i32::MAX);
    field_type.elements = elements;
    Ok(field_type)
}

fn fsp(name: &str, data_type: &DataType) -> Result<u8, DdlError> {
    match data_type.length.unwrap_or(0) {
        fsp @ 0..=FSP_MAX => Ok(fsp as u8),
        fsp => Err(reject(
            ErrorCode::TooBigPrecision,
            format!("Too-big precision {fsp} specified for '{name}'. Maximum is {FSP_MAX}."),
        )),
    }
}

fn too_long(name: &str, max: u32) -> DdlError {
    reject(
        ErrorCode::TooBigFieldlength,
        format!("Column length too big for column '{name}' (max = {max}); use BLOB or TEXT instead"),
    )
}

fn check_scale(name: &str, precision: u32, scale: u32) -> Result<(), DdlError> {
    if scale > SCALE_MAX {
        return Err(reject(
            ErrorCode::TooBigScale,
            format!("Too big scale {scale} specified for column '{name}'. Maximum is {SCALE_MAX}."),
        ));
    }
    if scale > precision {
        return Err(reject(
            ErrorCode::MBiggerThanD,
            format!("For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '{name}')."),
        ));
    }
    Ok(())
}
