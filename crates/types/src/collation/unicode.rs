//! The weights shared by `unicode_ci` and `0900_ai_ci`: compatibility decomposition, no combining marks, upper case.
//!
//! A character may have no weight (a combining mark), one, or several (`ß` is SS). ASCII is ordered as the Unicode
//! collation algorithm orders it: punctuation, symbols, digits, letters; everything else follows by code point.

use std::cmp::Ordering;
use std::sync::OnceLock;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use super::weights::next_character;

/// ASCII in the order of the Unicode collation algorithm; letters by their upper case.
const ASCII_ORDER: &[u8] =
    b"\t\n\x0b\x0c\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The most weights a character is given.
const EXPANSION_MAX: usize = 20;

/// Compares text by its weights.
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    // Equal leading bytes need no weighing; stop at an ASCII byte so as not to cut a character.
    let common = a.iter().zip(b).take_while(|(x, y)| x == y && x.is_ascii()).count();
    let (mut a, mut b) = (Weights::new(&a[common..]), Weights::new(&b[common..]));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) if x != y => return x.cmp(&y),
            _ => {}
        }
    }
}

/// Gives all weights to `take`; they have 24 bits.
pub(super) fn for_each(text: &[u8], take: impl FnMut(u32)) {
    Weights::new(text).for_each(take);
}

/// The first weight of a character, 0 if it has none.
pub(super) fn first_weight(character: char) -> u32 {
    expand(u32::from(character)).0[0]
}

struct Weights<'a> {
    text: &'a [u8],
    /// Weights of the current character that are still to come.
    pending: [u32; EXPANSION_MAX],
    at: usize,
    len: usize,
}

impl<'a> Weights<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, pending: [0; EXPANSION_MAX], at: 0, len: 0 }
    }
}

impl Iterator for Weights<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            if self.at < self.len {
                self.at += 1;
                return Some(self.pending[self.at - 1]);
            }
            let code_point = next_character(&mut self.text)?;
            if code_point < 0x80 {
                match ascii_table()[code_point as usize] {
                    0 => continue,
                    weight => return Some(u32::from(weight)),
                }
            }
            (self.pending, self.len) = expand(code_point);
            self.at = 0;
        }
    }
}

/// The weights of a code point.
fn expand(code_point: u32) -> ([u32; EXPANSION_MAX], usize) {
    let mut weights = [0; EXPANSION_MAX];
    let mut len = 0;
    let mut push = |weight: u32| {
        if weight != 0 && len < EXPANSION_MAX {
            weights[len] = weight;
            len += 1;
        }
    };
    let Some(character) = char::from_u32(code_point) else { return (weights, 0) };
    if character.is_ascii() {
        push(u32::from(ascii_table()[code_point as usize]));
        return (weights, len);
    }
    decompose_compatible(character, |part| {
        if is_combining_mark(part) {
            return;
        }
        // Letters with a stroke have no decomposition, yet are their base letters to the collation.
        let part = match part {
            'Ø' | 'ø' => 'O',
            'Ł' | 'ł' => 'L',
            'Đ' | 'đ' => 'D',
            'Æ' | 'æ' => {
                push(u32::from(ascii_table()[usize::from(b'A')]));
                'E'
            }
            'Œ' | 'œ' => {
                push(u32::from(ascii_table()[usize::from(b'O')]));
                'E'
            }
            other => other,
        };
        for upper in part.to_uppercase() {
            push(match u32::from(upper) {
                ascii @ 0..0x80 => u32::from(ascii_table()[ascii as usize]),
                other => other + 0x80,
            });
        }
    });
    (weights, len)
}

/// Weights of ASCII; control characters have none.
fn ascii_table() -> &'static [u8; 128] {
    static TABLE: OnceLock<[u8; 128]> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = [0; 128];
        for (position, byte) in ASCII_ORDER.iter().enumerate() {
            table[usize::from(*byte)] = position as u8 + 1;
            table[usize::from(byte.to_ascii_lowercase())] = position as u8 + 1;
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_then_digits_then_letters() {
        let mut texts = ["b", "A", "1", "_", "é", "$", "ж", " "];
        texts.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        assert_eq!(texts, [" ", "_", "$", "1", "A", "b", "é", "ж"]);
    }

    #[test]
    fn expansions_and_ignored_marks() {
        for (a, b) in [
            ("straße", "STRASSE"),
            ("e\u{301}", "é"),
            ("œuvre", "OEUVRE"),
            ("Ångström", "angstrom"),
            ("ﬁ", "FI"),
        ] {
            assert!(compare(a.as_bytes(), b.as_bytes()).is_eq(), "{a} {b}");
        }
        assert!(compare("o".as_bytes(), "ö1".as_bytes()).is_lt());
    }
}
