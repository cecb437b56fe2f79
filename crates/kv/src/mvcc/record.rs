//! Write records without copies: what a read needs of one, borrowed from the engine's block.

use tidewater_codec::{DecodeError, StartTs, TimeStamp, mvcc::WriteType, number};

/// The head of a write record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteRef<'a> {
    pub write_type: WriteType,
    pub start_ts: StartTs,
    pub short_value: Option<&'a [u8]>,
    /// Nothing else is noted in the record.
    pub is_plain: bool,
}

impl<'a> WriteRef<'a> {
    #[inline]
    pub(crate) fn parse(record: &'a [u8]) -> Result<Self, DecodeError> {
        let (&flag, mut rest) = record.split_first().ok_or(DecodeError::UnexpectedEnd("write record"))?;
        let write_type = match flag {
            b'P' => WriteType::Put,
            b'D' => WriteType::Delete,
            b'L' => WriteType::Lock,
            b'R' => WriteType::Rollback,
            flag => return Err(DecodeError::UnknownFlag { what: "write record", flag }),
        };
        let start_ts = StartTs(TimeStamp::new(number::read_var_u64(&mut rest)?));
        let (short_value, rest) = match rest {
            [b'v', len, rest @ ..] => {
                let (value, rest) = rest
                    .split_at_checked(usize::from(*len))
                    .ok_or(DecodeError::UnexpectedEnd("write record's value"))?;
                (Some(value), rest)
            }
            rest => (None, rest),
        };
        Ok(Self { write_type, start_ts, short_value, is_plain: rest.is_empty() })
    }
}

#[cfg(test)]
mod tests {
    use tidewater_codec::mvcc::Write;

    use super::*;

    #[test]
    fn agrees_with_the_codec() {
        let cases = [
            Write::new(WriteType::Put, StartTs::new(10), Some(b"v".to_vec())),
            Write::new(WriteType::Put, StartTs::new(1 << 40), None),
            Write::new(WriteType::Delete, StartTs::new(3), None),
            Write {
                overlapped_rollback: true,
                ..Write::new(WriteType::Put, StartTs::new(3), Some(vec![7; 255]))
            },
            Write::rollback(StartTs::new(1 << 40), true),
        ];
        for write in cases {
            let bytes = write.to_bytes();
            let parsed = WriteRef::parse(&bytes).unwrap();
            assert_eq!(
                (parsed.write_type, parsed.start_ts, parsed.short_value),
                (write.write_type, write.start_ts, write.short_value.as_deref())
            );
        }
        assert!(WriteRef::parse(b"").is_err());
        assert!(WriteRef::parse(b"Q\x01").is_err());
        assert!(WriteRef::parse(b"P\x01v\x05ab").is_err());
    }
}
