//! Collations that give each character one 16-bit weight: `general_ci` and `latin1_swedish_ci`.
//!
//! `general_ci` is a table over the Basic Multilingual Plane: the simple upper case of the character without its accents.
//! The table is derived from Unicode's data when it is first needed. Characters beyond the plane all weigh 0xFFFD.

use std::cmp::Ordering;
use std::sync::OnceLock;

use unicode_normalization::char::decompose_canonical;

/// The weight of what is no character, and of characters beyond the Basic Multilingual Plane.
const REPLACEMENT: u16 = 0xfffd;

/// Compares text by the weights of its characters.
pub(super) fn compare(a: &[u8], b: &[u8], weight: fn(u32) -> u16) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (next_character(&mut a), next_character(&mut b)) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                if x != y {
                    let order = weight(x).cmp(&weight(y));
                    if order.is_ne() {
                        return order;
                    }
                }
            }
        }
    }
}

/// Gives the weights of all characters to `take`.
pub(super) fn for_each(text: &[u8], weight: fn(u32) -> u16, mut take: impl FnMut(u16)) {
    let mut rest = text;
    while let Some(character) = next_character(&mut rest) {
        take(weight(character));
    }
}

/// The weight of a code point in the `general_ci` collations.
pub(super) fn general(code_point: u32) -> u16 {
    if code_point < 0x80 {
        return u16::from((code_point as u8).to_ascii_uppercase());
    }
    match u16::try_from(code_point) {
        Ok(code_point) => general_table()[usize::from(code_point)],
        Err(_) => REPLACEMENT,
    }
}

/// The weight of a code point in `latin1_swedish_ci`: Å, Ä and Ö come after Z (on `[`, `\` and `]`), Ü is a Y.
pub(super) fn swedish(code_point: u32) -> u16 {
    let Some(character) = char::from_u32(code_point) else { return REPLACEMENT };
    let letter = match character {
        'À'..='Ã' | 'à'..='ã' => 'A',
        'Å' | 'å' => '[',
        'Ä' | 'Æ' | 'ä' | 'æ' => '\\',
        'Ç' | 'ç' => 'C',
        'È'..='Ë' | 'è'..='ë' => 'E',
        'Ì'..='Ï' | 'ì'..='ï' => 'I',
        'Ð' | 'ð' => 'D',
        'Ñ' | 'ñ' => 'N',
        'Ò'..='Õ' | 'ò'..='õ' => 'O',
        'Ö' | 'ö' => ']',
        'Ø' | 'ø' => 'Ø',
        'Ù'..='Û' | 'ù'..='û' => 'U',
        'Ü' | 'Ý' | 'ü' | 'ý' => 'Y',
        'Þ' | 'þ' => 'Þ',
        other => return u16::try_from(u32::from(other.to_ascii_uppercase())).unwrap_or(REPLACEMENT),
    };
    letter as u16
}

/// Takes one code point off the front of UTF-8 text; a byte that belongs to none becomes U+FFFD.
pub(super) fn next_character(text: &mut &[u8]) -> Option<u32> {
    let (&first, rest) = text.split_first()?;
    if first < 0x80 {
        *text = rest;
        return Some(u32::from(first));
    }
    let len = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let decoded = text
        .get(..len)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next());
    match decoded {
        Some(character) => {
            *text = &text[len..];
            Some(u32::from(character))
        }
        None => {
            *text = rest;
            Some(u32::from(REPLACEMENT))
        }
    }
}

fn general_table() -> &'static [u16] {
    static TABLE: OnceLock<Box<[u16]>> = OnceLock::new();
    TABLE.get_or_init(|| (0..=u16::MAX).map(derive_general).collect())
}

/// Upper case without accents. The exceptions are MySQL's: its table is older than today's Unicode, gives `ß` the weight
/// of S, and keeps the Cyrillic Й a letter of its own.
fn derive_general(code_point: u16) -> u16 {
    let Some(character) = char::from_u32(u32::from(code_point)) else { return code_point };
    match character {
        'ß' => return u16::from(b'S'),
        'Й' | 'й' => return 'Й' as u16,
        // Syllables and ideographs are their own weights.
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' => return code_point,
        _ => {}
    }
    let upper = simple_upper(character);
    let mut base = upper;
    let mut position = 0;
    decompose_canonical(upper, |part| {
        if position == 0 {
            base = part;
        }
        position += 1;
    });
    u16::try_from(u32::from(simple_upper(base))).unwrap_or(code_point)
}

/// The upper case if it is one character of the Basic Multilingual Plane.
fn simple_upper(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) if u32::from(single) <= 0xffff => single,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_weights() {
        for (character, weight) in [
            ('a', 'A'),
            ('ü', 'U'),
            ('ÿ', 'Y'),
            ('ç', 'C'),
            ('ß', 'S'),
            ('æ', 'Æ'),
            ('ø', 'Ø'),
            ('ά', 'Α'),
            ('ς', 'Σ'),
            ('ё', 'Е'),
            ('й', 'Й'),
            ('ế', 'E'),
            ('가', '가'),
            ('中', '中'),
            ('が', 'が'),
            ('\u{1f600}', '\u{fffd}'),
        ] {
            assert_eq!(general(character.into()), weight as u32 as u16, "{character}");
        }
    }

    #[test]
    fn broken_text_is_replaced_byte_by_byte() {
        let mut text: &[u8] = b"a\xe4\xb8\xc3\xa4\xff";
        let mut characters = Vec::new();
        while let Some(character) = next_character(&mut text) {
            characters.push(character);
        }
        assert_eq!(characters, [0x61, 0xfffd, 0xfffd, 0xe4, 0xfffd]);
    }
}
