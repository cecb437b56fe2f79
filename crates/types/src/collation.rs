//! Charsets and collations.
use std::cmp::Ordering;
/// A character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)]
pub enum Charset { Utf8mb4, Utf8, Latin1, Ascii, Binary }
impl Charset {
    /// `utf8mb4`.
    pub fn name(self) -> &'static str { todo!() }
    /// From its name in any case.
    pub fn from_name(_name: &str) -> Option<Self> { todo!() }
    /// The collation used when none is named.
    pub fn default_collation(self) -> Collation { todo!() }
    /// Bytes of the longest character.
    pub fn max_bytes(self) -> usize { todo!() }
}
/// A collation, numbered as MySQL numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
#[repr(u16)]
#[allow(missing_docs)]
pub enum Collation { #[default] Utf8mb4Bin = 46, Utf8mb4GeneralCi = 45, Utf8mb4UnicodeCi = 224, Utf8mb4_0900AiCi = 255, Utf8mb4_0900Bin = 309, Utf8Bin = 83, Utf8GeneralCi = 33, Utf8UnicodeCi = 192, Latin1Bin = 47, Latin1SwedishCi = 8, AsciiBin = 65, AsciiGeneralCi = 11, Binary = 63 }
/// Not a collation's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown collation {0}")]
pub struct UnknownCollation(pub u16);
impl TryFrom<u16> for Collation { type Error = UnknownCollation; fn try_from(id: u16) -> Result<Self, UnknownCollation> { Self::from_id(id).ok_or(UnknownCollation(id)) } }
impl From<Collation> for u16 { fn from(c: Collation) -> u16 { c.id() } }
impl Collation {
    /// All of them, by number.
    pub const ALL: [Self; 0] = [];
    /// MySQL's number.
    pub fn id(self) -> u16 { self as u16 }
    /// From MySQL's number.
    pub fn from_id(_id: u16) -> Option<Self> { todo!() }
    /// `utf8mb4_bin`.
    pub fn name(self) -> &'static str { todo!() }
    /// From its name in any case.
    pub fn from_name(_name: &str) -> Option<Self> { todo!() }
    /// The charset it belongs to.
    pub fn charset(self) -> Charset { todo!() }
    /// Orders two strings.
    pub fn compare(self, _a: &[u8], _b: &[u8]) -> Ordering { todo!() }
    /// Whether two strings are equal.
    pub fn eq(self, a: &[u8], b: &[u8]) -> bool { self.compare(a, b).is_eq() }
    /// Hashes so that equal strings hash equal.
    pub fn hash_into<H: std::hash::Hasher>(self, _text: &[u8], _state: &mut H) { todo!() }
    /// Appends bytes that sort (as bytes) like the strings do.
    pub fn write_sort_key(self, _text: &[u8], _out: &mut Vec<u8>) { todo!() }
    /// Equal strings are equal bytes, and order is that of bytes (after PAD SPACE trimming, see [`Self::pad_space`]).
    pub fn is_binary_comparable(self) -> bool { todo!() }
    /// Trailing spaces do not count.
    pub fn pad_space(self) -> bool { todo!() }
    /// A `_ci` collation.
    pub fn is_case_insensitive(self) -> bool { todo!() }
}
