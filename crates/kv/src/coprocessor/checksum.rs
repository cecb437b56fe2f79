//! Checksums over ranges (request type 105): CRC-64/XZ of each pair of key and value, all combined by XOR, so that the order of
//! pairs and the cut into regions do not matter.

use prost::Message;
use tidewater_proto::{coprocessor, tipb};

use super::source::RangeSource;
use super::{CoprocessorError, ReadView};
use crate::error::CommandError;
use crate::mvcc::Direction;

/// Pairs after which other tasks may run.
const PAIRS_PER_TURN: usize = 1024;

/// The polynomial of ECMA-182, bits reversed.
const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// The checksum of some pieces, one after another.
fn crc64(pieces: [&[u8]; 3]) -> u64 {
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(u64::MAX, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// Answers a request.
pub(super) async fn run(
    request: coprocessor::Request,
    view: ReadView,
) -> Result<coprocessor::Response, CoprocessorError> {
    let checksum = tipb::ChecksumRequest::decode(request.data)
        .map_err(|error| CoprocessorError::invalid(format!("malformed checksum request: {error}")))?;
    if checksum.algorithm != 0 {
        return Err(CoprocessorError::invalid(format!("unknown checksum algorithm {}", checksum.algorithm)));
    }
    let rule = checksum.rule.unwrap_or_default();
    let mut answer = tipb::ChecksumResponse::default();
    let mut source = RangeSource::new(view, request.ranges, Direction::Forward, false);
    while !source.is_finished() {
        let pairs = source.read(PAIRS_PER_TURN, |key, value| -> Result<(), CoprocessorError> {
            let Some(rest) = key.strip_prefix(&rule.old_prefix[..]) else {
                return Err(CoprocessorError::invalid("a key without the prefix that is to be replaced"));
            };
            answer.checksum ^= crc64([&rule.new_prefix, rest, value]);
            answer.total_kvs += 1;
            answer.total_bytes += (rule.new_prefix.len() + rest.len() + value.len()) as u64;
            Ok(())
        })?;
        if pairs == PAIRS_PER_TURN {
            tokio::task::yield_now().await;
        }
    }
    Ok(coprocessor::Response { data: answer.encode_to_vec().into(), ..coprocessor::Response::default() })
}

impl From<CommandError> for CoprocessorError {
    fn from(error: CommandError) -> CoprocessorError {
        CoprocessorError::Read(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value() {
        assert_eq!(crc64([b"12345", b"", b"6789"]), 0x995d_c9bb_df19_39fa);
    }
}
