//! Digests, checksums and compression.

use std::io::{Read, Write};

use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use tidewater_types::{Collation, Datum, EvalType, FieldType};

use super::string::{bytes, int};
use crate::error::ExprError;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("md5", 1, 1, infer_md5, Kernel::Strict(md5)),
    FunctionDef::new("sha1", 1, 1, infer_sha1, Kernel::Strict(sha1)),
    FunctionDef::new("sha2", 2, 2, infer_sha2, Kernel::Strict(sha2)),
    FunctionDef::new("crc32", 1, 1, infer_crc32, Kernel::Strict(crc32)),
    FunctionDef::new("compress", 1, 1, infer_binary, Kernel::Strict(compress)),
    FunctionDef::new("uncompress", 1, 1, infer_binary, Kernel::Strict(uncompress)),
    FunctionDef::new("uncompressed_length", 1, 1, infer_crc32, Kernel::Strict(uncompressed_length)),
];

fn infer_md5(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(i.text(32))
}

fn infer_sha1(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(i.text(40))
}

fn infer_sha2(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int]);
    Ok(i.text(128))
}

fn infer_crc32(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(FieldType { length: 10, ..FieldType::uint() })
}

fn infer_binary(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    i.collation = Collation::Binary;
    Ok(i.text(-1))
}

fn hex_text(digest: impl AsRef<[u8]>) -> Datum {
    Datum::Bytes(hex::encode(digest).into_bytes())
}

fn md5(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(hex_text(Md5::digest(bytes(&args[0]))))
}

fn sha1(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(hex_text(Sha1::digest(bytes(&args[0]))))
}

/// A length that is none of SHA-2's gives NULL; 0 means 256.
fn sha2(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = bytes(&args[0]);
    Ok(match int(&args[1]) {
        224 => hex_text(Sha224::digest(text)),
        0 | 256 => hex_text(Sha256::digest(text)),
        384 => hex_text(Sha384::digest(text)),
        512 => hex_text(Sha512::digest(text)),
        _ => Datum::Null,
    })
}

fn crc32(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::UInt(u64::from(crc32fast::hash(bytes(&args[0])))))
}

/// The length in four bytes, then the zlib stream; a trailing space is followed by a point, so that CHAR columns keep it.
fn compress(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = bytes(&args[0]);
    if text.is_empty() {
        return Ok(Datum::Bytes(Vec::new()));
    }
    let mut encoder = flate2::write::ZlibEncoder::new(
        (text.len() as u32).to_le_bytes().to_vec(),
        flate2::Compression::default(),
    );
    let packed = encoder.write_all(text).and_then(|()| encoder.finish());
    Ok(packed.map_or(Datum::Null, |mut packed| {
        if packed.last() == Some(&b' ') {
            packed.push(b'.');
        }
        Datum::Bytes(packed)
    }))
}

fn uncompress(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let packed = bytes(&args[0]);
    if packed.is_empty() {
        return Ok(Datum::Bytes(Vec::new()));
    }
    let told = told_length(packed).filter(|&len| len <= call.eval.max_allowed_packet);
    let Some((len, stream)) = told.zip(packed.get(4..)) else {
        call.eval.warn(1259, "ZLIB: Input data corrupted".to_owned());
        return Ok(Datum::Null);
    };
    let mut out = Vec::with_capacity(len.min(1 << 20));
    // One byte more than told shows that the stream is longer than it says.
    let read = flate2::read::ZlibDecoder::new(stream).take(len as u64 + 1).read_to_end(&mut out);
    if read.is_err() || out.len() != len {
        call.eval.warn(1259, "ZLIB: Input data corrupted".to_owned());
        return Ok(Datum::Null);
    }
    Ok(Datum::Bytes(out))
}

fn uncompressed_length(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::UInt(told_length(bytes(&args[0])).map_or(0, |len| len as u64)))
}

fn told_length(packed: &[u8]) -> Option<usize> {
    let head: [u8; 4] = packed.get(..4)?.try_into().ok()?;
    // The two highest bits are not part of the length.
    usize::try_from(u32::from_le_bytes(head) & 0x3fff_ffff).ok()
}
