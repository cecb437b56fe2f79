//! The stored (JSON) form of values whose in-memory type differs: field types, byte strings.

/// [`FieldType`](tidewater_types::FieldType) in TiDB's JSON: `{"Tp":3,"Flag":3,"Flen":11,...}`.
pub(crate) mod field_type {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use tidewater_types::{Charset, Collation, FieldType, TypeCode, TypeFlags};

    #[derive(Serialize, Deserialize)]
    struct Stored {
        #[serde(rename = "Tp")]
        code: u8,
        #[serde(rename = "Flag")]
        flags: u32,
        #[serde(rename = "Flen")]
        length: i32,
        #[serde(rename = "Decimal")]
        decimals: i32,
        #[serde(rename = "Charset", default)]
        charset: String,
        #[serde(rename = "Collate", default)]
        collate: String,
        #[serde(rename = "Elems", default)]
        elements: Option<Vec<String>>,
        #[serde(rename = "ElemsIsBinaryLit", default)]
        elements_are_binary: Option<Vec<bool>>,
        #[serde(rename = "Array", default)]
        array: bool,
    }

    pub(crate) fn serialize<S: Serializer>(value: &FieldType, serializer: S) -> Result<S::Ok, S::Error> {
        Stored {
            code: value.code as u8,
            flags: value.flags.bits(),
            length: value.length,
            decimals: value.decimals,
            charset: value.collation.charset().name().to_owned(),
            collate: value.collation.name().to_owned(),
            elements: (!value.elements.is_empty()).then(|| value.elements.to_vec()),
            elements_are_binary: (!value.elements.is_empty()).then(|| vec![false; value.elements.len()]),
            array: false,
        }
        .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FieldType, D::Error> {
        use serde::de::Error;
        let stored = Stored::deserialize(deserializer)?;
        let code = TypeCode::try_from(stored.code)
            .map_err(|_| D::Error::custom(format_args!("column type {} is unknown", stored.code)))?;
        let mut field_type = FieldType::new(code);
        field_type.flags = TypeFlags::from_bits_truncate(stored.flags);
        field_type.length = stored.length;
        field_type.decimals = stored.decimals;
        field_type.elements = stored.elements.unwrap_or_default().into();
        field_type.collation = match Collation::from_name(&stored.collate) {
            Some(collation) => collation,
            None => Charset::from_name(&stored.charset).map_or(Collation::Binary, Charset::default_collation),
        };
        Ok(field_type)
    }
}

/// Optional bytes as base64 text, Go's JSON form of `[]byte`.
pub(crate) mod bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_deref().map(encode).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        use serde::de::Error;
        Option::<String>::deserialize(deserializer)?
            .map(|text| decode(&text).ok_or_else(|| D::Error::custom("bytes are not base64")))
            .transpose()
    }

    fn encode(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for group in bytes.chunks(3) {
            let word =
                group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            for position in 0..4 {
                if position <= group.len() {
                    text.push(char::from(ALPHABET[(word >> (18 - 6 * position)) as usize & 63]));
                } else {
                    text.push('=');
                }
            }
        }
        text
    }

    fn decode(text: &str) -> Option<Vec<u8>> {
        let text = text.trim_end_matches('=');
        let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
        for group in text.as_bytes().chunks(4) {
            let mut word = 0u32;
            for &character in group {
                word = word << 6 | ALPHABET.iter().position(|&letter| letter == character)? as u32;
            }
            word <<= 6 * (4 - group.len());
            bytes
                .extend((0..group.len().checked_sub(1)?).map(|position| (word >> (16 - 8 * position)) as u8));
        }
        Some(bytes)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn base64_agrees_with_the_examples_of_rfc_4648() {
            for (bytes, text) in
                [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
            {
                assert_eq!(encode(bytes.as_bytes()), text);
                assert_eq!(decode(text).unwrap(), bytes.as_bytes());
            }
            assert_eq!(decode("Z"), Some(vec![]));
            assert_eq!(decode("Z!=="), None);
        }
    }
}
