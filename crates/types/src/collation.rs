//! Character sets and collations.
//!
//! Text is UTF-8 in memory whatever its declared character set; the character set only limits what a column accepts
//! (see [`Charset::accepts`]). `binary` is plain bytes.
//!
//! # What differs from MySQL
//! * `utf8mb4_unicode_ci` and `utf8mb4_0900_ai_ci` share weights that are made here, not read from the UCA tables:
//!   compatibility decomposition without combining marks, upper case, and ASCII punctuation before digits before letters.
//!   What is equal to MySQL is almost always equal here (case, accents, width, ligatures); the order between scripts is
//!   that of code points.
//! * PAD SPACE collations drop trailing spaces before they compare (as TiDB does); MySQL compares as if the shorter
//!   text were padded, which differs only for characters below the space.
//!
//! **Hot path**: comparing and hashing do not allocate.

mod unicode;
mod weights;

use std::cmp::Ordering;
use std::hash::Hasher;

/// A character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names are MySQL's")]
pub enum Charset {
    Utf8mb4,
    /// MySQL's three-byte `utf8` (`utf8mb3`).
    Utf8,
    Latin1,
    Ascii,
    Binary,
}

impl Charset {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Utf8mb4, Self::Utf8, Self::Latin1, Self::Ascii, Self::Binary];

    /// `utf8mb4`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8mb4 => "utf8mb4",
            Self::Utf8 => "utf8",
            Self::Latin1 => "latin1",
            Self::Ascii => "ascii",
            Self::Binary => "binary",
        }
    }

    /// From its name in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("utf8mb3") {
            return Some(Self::Utf8);
        }
        Self::ALL.into_iter().find(|charset| charset.name().eq_ignore_ascii_case(name))
    }

    /// What SHOW CHARACTER SET says of it.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Utf8mb4 | Self::Utf8 => "UTF-8 Unicode",
            Self::Latin1 => "Latin1",
            Self::Ascii => "US ASCII",
            Self::Binary => "binary",
        }
    }

    /// The collation used when none is named (TiDB's choice: `_bin`).
    pub const fn default_collation(self) -> Collation {
        match self {
            Self::Utf8mb4 => Collation::Utf8mb4Bin,
            Self::Utf8 => Collation::Utf8Bin,
            Self::Latin1 => Collation::Latin1Bin,
            Self::Ascii => Collation::AsciiBin,
            Self::Binary => Collation::Binary,
        }
    }

    /// Bytes of the longest character.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Utf8mb4 => 4,
            Self::Utf8 => 3,
            Self::Latin1 | Self::Ascii | Self::Binary => 1,
        }
    }

    /// Whether every character of the text belongs to the set; otherwise where the first wrong one begins.
    pub fn accepts(self, bytes: &[u8]) -> Result<(), usize> {
        if self == Self::Binary || bytes.is_ascii() {
            return Ok(());
        }
        let limit = match self {
            Self::Ascii => '\u{7f}',
            Self::Latin1 => '\u{ff}',
            Self::Utf8 => '\u{ffff}',
            Self::Utf8mb4 | Self::Binary => char::MAX,
        };
        let (text, error) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.valid_up_to();
                (std::str::from_utf8(&bytes[..valid]).unwrap_or_default(), Some(valid))
            }
        };
        // Most text needs no look at single characters.
        if limit < char::MAX
            && let Some((at, _)) = text.char_indices().find(|(_, character)| *character > limit)
        {
            return Err(at);
        }
        error.map_or(Ok(()), Err)
    }
}

/// A collation, numbered as MySQL numbers it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are MySQL's")]
pub enum Collation {
    #[default]
    Utf8mb4Bin = 46,
    Utf8mb4GeneralCi = 45,
    Utf8mb4UnicodeCi = 224,
    Utf8mb4_0900AiCi = 255,
    Utf8mb4_0900Bin = 309,
    Utf8Bin = 83,
    Utf8GeneralCi = 33,
    Utf8UnicodeCi = 192,
    Latin1Bin = 47,
    Latin1SwedishCi = 8,
    AsciiBin = 65,
    AsciiGeneralCi = 11,
    Binary = 63,
}

/// A number that is no collation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown collation {0}")]
pub struct UnknownCollation(pub u16);

impl TryFrom<u16> for Collation {
    type Error = UnknownCollation;

    fn try_from(id: u16) -> Result<Self, Self::Error> {
        Self::from_id(id).ok_or(UnknownCollation(id))
    }
}

impl From<Collation> for u16 {
    fn from(collation: Collation) -> u16 {
        collation.id()
    }
}

/// How a collation weighs text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weighing {
    /// Bytes.
    Bytes,
    /// `weights::general`: one weight for each character.
    General,
    /// `weights::swedish`.
    Swedish,
    /// `unicode::weights`: any number of weights for each character.
    Unicode,
}

impl Collation {
    /// All of them, by number.
    pub const ALL: [Self; 13] = [
        Self::Latin1SwedishCi,
        Self::AsciiGeneralCi,
        Self::Utf8GeneralCi,
        Self::Utf8mb4GeneralCi,
        Self::Utf8mb4Bin,
        Self::Latin1Bin,
        Self::Binary,
        Self::AsciiBin,
        Self::Utf8Bin,
        Self::Utf8UnicodeCi,
        Self::Utf8mb4UnicodeCi,
        Self::Utf8mb4_0900AiCi,
        Self::Utf8mb4_0900Bin,
    ];

    /// MySQL's number.
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// From MySQL's number.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|collation| collation.id() == id)
    }

    /// `utf8mb4_bin`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8mb4Bin => "utf8mb4_bin",
            Self::Utf8mb4GeneralCi => "utf8mb4_general_ci",
            Self::Utf8mb4UnicodeCi => "utf8mb4_unicode_ci",
            Self::Utf8mb4_0900AiCi => "utf8mb4_0900_ai_ci",
            Self::Utf8mb4_0900Bin => "utf8mb4_0900_bin",
            Self::Utf8Bin => "utf8_bin",
            Self::Utf8GeneralCi => "utf8_general_ci",
            Self::Utf8UnicodeCi => "utf8_unicode_ci",
            Self::Latin1Bin => "latin1_bin",
            Self::Latin1SwedishCi => "latin1_swedish_ci",
            Self::AsciiBin => "ascii_bin",
            Self::AsciiGeneralCi => "ascii_general_ci",
            Self::Binary => "binary",
        }
    }

    /// From its name in any case; `utf8mb3_...` is `utf8_...`.
    pub fn from_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let name = match lower.strip_prefix("utf8mb3_") {
            Some(rest) => format!("utf8_{rest}"),
            None => lower,
        };
        Self::ALL.into_iter().find(|collation| collation.name() == name)
    }

    /// The character set it belongs to.
    pub const fn charset(self) -> Charset {
        match self {
            Self::Utf8mb4Bin
            | Self::Utf8mb4GeneralCi
            | Self::Utf8mb4UnicodeCi
            | Self::Utf8mb4_0900AiCi
            | Self::Utf8mb4_0900Bin => Charset::Utf8mb4,
            Self::Utf8Bin | Self::Utf8GeneralCi | Self::Utf8UnicodeCi => Charset::Utf8,
            Self::Latin1Bin | Self::Latin1SwedishCi => Charset::Latin1,
            Self::AsciiBin | Self::AsciiGeneralCi => Charset::Ascii,
            Self::Binary => Charset::Binary,
        }
    }

    /// Orders two texts. Bytes that are no UTF-8 weigh as U+FFFD in the `_ci` collations.
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        let (a, b) = (self.significant(a), self.significant(b));
        match self.weighing() {
            Weighing::Bytes => a.cmp(b),
            Weighing::General => weights::compare(a, b, weights::general),
            Weighing::Swedish => weights::compare(a, b, weights::swedish),
            Weighing::Unicode => unicode::compare(a, b),
        }
    }

    /// Whether two texts are equal.
    pub fn eq(self, a: &[u8], b: &[u8]) -> bool {
        if self.weighing() == Weighing::Bytes {
            return self.significant(a) == self.significant(b);
        }
        self.compare(a, b).is_eq()
    }

    /// Hashes so that equal texts hash equal.
    pub fn hash_into<H: Hasher>(self, text: &[u8], state: &mut H) {
        let text = self.significant(text);
        match self.weighing() {
            Weighing::Bytes => state.write(text),
            Weighing::General => weights::for_each(text, weights::general, |weight| state.write_u16(weight)),
            Weighing::Swedish => weights::for_each(text, weights::swedish, |weight| state.write_u16(weight)),
            Weighing::Unicode => unicode::for_each(text, |weight| state.write_u32(weight)),
        }
        // Keeps ("a", "b") and ("ab", "") apart when several columns are hashed.
        state.write_u8(0xff);
    }

    /// Appends bytes that order as the texts do.
    pub fn write_sort_key(self, text: &[u8], out: &mut Vec<u8>) {
        let text = self.significant(text);
        match self.weighing() {
            Weighing::Bytes => out.extend_from_slice(text),
            Weighing::General => {
                weights::for_each(text, weights::general, |weight| {
                    out.extend_from_slice(&weight.to_be_bytes())
                });
            }
            Weighing::Swedish => {
                weights::for_each(text, weights::swedish, |weight| {
                    out.extend_from_slice(&weight.to_be_bytes())
                });
            }
            Weighing::Unicode => {
                unicode::for_each(text, |weight| out.extend_from_slice(&weight.to_be_bytes()[1..]))
            }
        }
    }

    /// The weight of one character, for LIKE and functions that look at characters one by one.
    pub fn weight(self, character: char) -> u32 {
        match self.weighing() {
            Weighing::Bytes => u32::from(character),
            Weighing::General => u32::from(weights::general(u32::from(character))),
            Weighing::Swedish => u32::from(weights::swedish(u32::from(character))),
            Weighing::Unicode => unicode::first_weight(character),
        }
    }

    /// Order and equality are exactly those of the bytes, trailing spaces included. False for the PAD SPACE `_bin`
    /// collations: compare the bytes after [`Self::significant`] there.
    pub const fn is_binary_comparable(self) -> bool {
        matches!(self, Self::Binary | Self::Utf8mb4_0900Bin)
    }

    /// `binary` or a `_bin` collation: equal after dropping trailing spaces (if [`Self::pad_space`]) means equal bytes.
    pub const fn is_bin(self) -> bool {
        matches!(
            self,
            Self::Binary
                | Self::Utf8mb4_0900Bin
                | Self::Utf8mb4Bin
                | Self::Utf8Bin
                | Self::Latin1Bin
                | Self::AsciiBin
        )
    }

    /// Trailing spaces do not count.
    pub const fn pad_space(self) -> bool {
        !matches!(self, Self::Binary | Self::Utf8mb4_0900Bin | Self::Utf8mb4_0900AiCi)
    }

    /// A `_ci` collation.
    pub const fn is_case_insensitive(self) -> bool {
        !self.is_bin()
    }

    /// The text without the trailing spaces that do not count.
    pub fn significant(self, text: &[u8]) -> &[u8] {
        if !self.pad_space() {
            return text;
        }
        let len = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        &text[..len]
    }

    const fn weighing(self) -> Weighing {
        match self {
            Self::Binary
            | Self::Utf8mb4Bin
            | Self::Utf8mb4_0900Bin
            | Self::Utf8Bin
            | Self::Latin1Bin
            | Self::AsciiBin => Weighing::Bytes,
            Self::Utf8mb4GeneralCi | Self::Utf8GeneralCi | Self::AsciiGeneralCi => Weighing::General,
            Self::Latin1SwedishCi => Weighing::Swedish,
            Self::Utf8mb4UnicodeCi | Self::Utf8UnicodeCi | Self::Utf8mb4_0900AiCi => Weighing::Unicode,
        }
    }
}

/// The last place at or before `limit` where text may be cut.
pub(crate) fn char_boundary_before(text: &str, limit: usize) -> usize {
    (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use proptest::prelude::*;

    use super::*;

    fn hash(collation: Collation, text: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        collation.hash_into(text, &mut hasher);
        hasher.finish()
    }

    fn sort_key(collation: Collation, text: &[u8]) -> Vec<u8> {
        let mut key = Vec::new();
        collation.write_sort_key(text, &mut key);
        key
    }

    #[test]
    fn names_and_numbers_round_trip() {
        for collation in Collation::ALL {
            assert_eq!(Collation::from_id(collation.id()), Some(collation));
            assert_eq!(Collation::from_name(&collation.name().to_uppercase()), Some(collation));
            assert!(collation.name().starts_with(collation.charset().name()));
        }
        assert_eq!(Collation::from_name("utf8mb3_bin"), Some(Collation::Utf8Bin));
        assert_eq!(Collation::from_name("klingon_ci"), None);
        for charset in Charset::ALL {
            assert_eq!(Charset::from_name(charset.name()), Some(charset));
            assert_eq!(charset.default_collation().charset(), charset);
        }
    }

    #[test]
    fn equality_by_collation() {
        use Collation as C;
        // text, text, and the collations in which they are equal
        let cases: &[(&str, &str, &[Collation])] = &[
            ("a", "a ", &[C::Utf8mb4Bin, C::Utf8mb4GeneralCi, C::Utf8mb4UnicodeCi, C::Latin1SwedishCi]),
            ("a", "A", &[C::Utf8mb4GeneralCi, C::Utf8mb4UnicodeCi, C::Utf8mb4_0900AiCi, C::Latin1SwedishCi]),
            ("é", "E", &[C::Utf8mb4GeneralCi, C::Utf8mb4UnicodeCi, C::Utf8mb4_0900AiCi, C::Latin1SwedishCi]),
            ("ß", "s", &[C::Utf8mb4GeneralCi]),
            ("ß", "ss", &[C::Utf8mb4UnicodeCi, C::Utf8mb4_0900AiCi]),
            ("ä", "a", &[C::Utf8mb4GeneralCi, C::Utf8mb4UnicodeCi, C::Utf8mb4_0900AiCi]),
            ("ü", "y", &[C::Latin1SwedishCi]),
            ("ς", "Σ", &[C::Utf8mb4GeneralCi, C::Utf8mb4UnicodeCi, C::Utf8mb4_0900AiCi]),
            ("\u{1f600}", "\u{1f601}", &[C::Utf8mb4GeneralCi]),
            ("ｆ", "F", &[C::Utf8mb4UnicodeCi, C::Utf8mb4_0900AiCi]),
            ("a", "b", &[]),
            ("한", "하", &[]),
        ];
        let checked = [
            C::Binary,
            C::Utf8mb4Bin,
            C::Utf8mb4_0900Bin,
            C::Utf8mb4GeneralCi,
            C::Utf8mb4UnicodeCi,
            C::Utf8mb4_0900AiCi,
            C::Latin1SwedishCi,
        ];
        for (a, b, equal_in) in cases {
            for collation in checked {
                let (a, b) = (a.as_bytes(), b.as_bytes());
                let expected = equal_in.contains(&collation);
                // Emoji and full-width letters are no latin1 text; their weights there say nothing.
                if collation == C::Latin1SwedishCi && Charset::Latin1.accepts(a).is_err() {
                    continue;
                }
                assert_eq!(collation.eq(a, b), expected, "{a:?} {b:?} in {}", collation.name());
                assert_eq!(sort_key(collation, a) == sort_key(collation, b), expected);
                if expected {
                    assert_eq!(hash(collation, a), hash(collation, b));
                }
            }
        }
    }

    #[test]
    fn swedish_letters_come_after_z() {
        let mut words = ["ö", "z", "å", "ä", "a"];
        words.sort_by(|a, b| Collation::Latin1SwedishCi.compare(a.as_bytes(), b.as_bytes()));
        assert_eq!(words, ["a", "z", "å", "ä", "ö"]);
    }

    #[test]
    fn charsets_accept_their_characters() {
        assert_eq!(Charset::Ascii.accepts("aé".as_bytes()), Err(1));
        assert_eq!(Charset::Latin1.accepts("aé€".as_bytes()), Err(3));
        assert_eq!(Charset::Utf8.accepts("a\u{1f600}".as_bytes()), Err(1));
        assert_eq!(Charset::Utf8mb4.accepts("a\u{1f600}".as_bytes()), Ok(()));
        assert_eq!(Charset::Utf8mb4.accepts(b"ab\xff"), Err(2));
        assert_eq!(Charset::Binary.accepts(b"ab\xff"), Ok(()));
    }

    fn any_text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[aAbBzZéÉäß _0-9😀Ωω]{0,6}".prop_map(String::into_bytes),
            "\\PC{0,6}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..6),
        ]
    }

    proptest! {
        #[test]
        fn sort_keys_order_like_texts(a in any_text(), b in any_text()) {
            for collation in Collation::ALL {
                let order = collation.compare(&a, &b);
                prop_assert_eq!(sort_key(collation, &a).cmp(&sort_key(collation, &b)), order, "{}", collation.name());
                prop_assert_eq!(collation.eq(&a, &b), order.is_eq());
                prop_assert_eq!(collation.compare(&b, &a), order.reverse());
                if order.is_eq() {
                    prop_assert_eq!(hash(collation, &a), hash(collation, &b));
                }
                if collation.is_binary_comparable() {
                    prop_assert_eq!(order, a.cmp(&b));
                }
            }
        }
    }
}
