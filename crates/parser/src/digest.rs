//! Normalised text and digests: statements that differ in their constants alone are one.
//!
//! Constants become `?`, a list of them `...` (`IN (?, ?)` is `in ( ... )`, many rows are `( ... ) , ...`), names lose their quotes
//! and case as TiDB has it: words are joined by one blank, except around periods. Comments and hints vanish.

use sha2::{Digest, Sha256};
use tidewater_types::SqlMode;

use crate::cursor::Cursor;
use crate::lexer::{Kind, Lexeme, Lexer};
use crate::literal;
use crate::words;

/// A normalised statement and the digest of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Normalized {
    /// The statement with its constants replaced.
    pub text: String,
    /// SHA-256 of the text, in hexadecimal.
    pub digest: String,
}

/// Normalises the first statement of a text. A text that is no SQL gives what could be read of it.
pub fn normalize(sql: &str, sql_mode: SqlMode) -> Normalized {
    let mut lexemes = Vec::new();
    let text = sql.as_bytes();
    // Up to an unreadable place there are lexemes to work with; the end has to be marked there.
    if Lexer::new(text, 0, sql_mode).statement(&mut lexemes).is_err() {
        let end = text.len() as u32;
        lexemes.push(Lexeme { kind: Kind::End, start: end, end, ordinal: 0 });
    }
    let cursor = Cursor { text, lexemes: &lexemes, position: 0, sql_mode, depth: 0 };
    let text = collapse(words_of(&cursor)).join_words();
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    Normalized { text, digest }
}

/// One word of the normalised text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// A constant.
    Constant,
    /// A list of constants.
    Constants,
    /// Anything else.
    Text(String),
}

struct Words(Vec<Word>);

impl Words {
    fn join_words(&self) -> String {
        let mut text = String::new();
        for word in &self.0 {
            let word = match word {
                Word::Constant => "?",
                Word::Constants => "...",
                Word::Text(word) => word,
            };
            let glued = word == "." || text.is_empty() || text.ends_with('.') && !text.ends_with("...");
            if !glued {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
}

fn words_of(cursor: &Cursor<'_>) -> Vec<Word> {
    let mut normalized: Vec<Word> = Vec::with_capacity(cursor.lexemes.len());
    for (index, &lexeme) in cursor.lexemes.iter().enumerate() {
        match lexeme.kind {
            Kind::End | Kind::Semicolon => break,
            Kind::Hint => {}
            Kind::String
            | Kind::NationalString
            | Kind::Integer
            | Kind::Decimal
            | Kind::Float
            | Kind::Hex
            | Kind::Bit
            | Kind::NullEscape
            | Kind::Parameter => {
                // A sign belongs to the constant when no operand stands before it; neighbouring strings are one constant.
                let joined =
                    lexeme.kind == Kind::String && index > 0 && cursor.lexeme(index - 1).kind == Kind::String;
                if !joined {
                    drop_sign(&mut normalized);
                    normalized.push(Word::Constant);
                }
            }
            Kind::Word if cursor.word_of(lexeme).eq_ignore_ascii_case("NULL") && is_value(cursor, index) => {
                normalized.push(Word::Constant);
            }
            Kind::Word if cursor.at(index).compound_literal().is_some() => {}
            Kind::QuotedName => {
                normalized.push(Word::Text(literal::decode_name(cursor.word_of(lexeme)).to_lowercase()))
            }
            _ => normalized.push(Word::Text(String::from_utf8_lossy(cursor.source(lexeme)).to_lowercase())),
        }
    }
    normalized
}

/// Whether a NULL is a value and not part of IS NULL or NOT NULL.
fn is_value(cursor: &Cursor<'_>, index: usize) -> bool {
    let previous = |lexeme: Lexeme| {
        lexeme.kind == Kind::Word && {
            let word = cursor.word_of(lexeme);
            word.eq_ignore_ascii_case("IS")
                || word.eq_ignore_ascii_case("NOT")
                || word.eq_ignore_ascii_case("DEFAULT")
        }
    };
    index > 0
        && !previous(cursor.lexeme(index - 1))
        && matches!(cursor.lexeme(index - 1).kind, Kind::Comma | Kind::LeftParen | Kind::Eq)
}

fn drop_sign(normalized: &mut Vec<Word>) {
    let signed = matches!(normalized.last(), Some(Word::Text(sign)) if sign == "-" || sign == "+");
    let operand_before = match normalized.iter().rev().nth(1) {
        Some(Word::Constant | Word::Constants) => true,
        Some(Word::Text(word)) => {
            word == ")"
                || (word.starts_with(|first: char| first.is_alphanumeric() || first == '_' || first == '@')
                    && !words::is_reserved(word))
        }
        None => false,
    };
    if signed && !operand_before {
        normalized.pop();
    }
}

/// Lists of constants, and lists of such lists, to `...`.
fn collapse(normalized: Vec<Word>) -> Words {
    let is = |word: &Word, text: &str| matches!(word, Word::Text(word) if word == text);
    let mut collapsed: Vec<Word> = Vec::with_capacity(normalized.len());
    for word in normalized {
        match word {
            // `? , ?` is a list.
            Word::Constant => {
                let listed = collapsed.len() >= 2
                    && is(&collapsed[collapsed.len() - 1], ",")
                    && matches!(collapsed[collapsed.len() - 2], Word::Constant | Word::Constants)
                    && starts_list(&collapsed);
                if listed {
                    collapsed.pop();
                    collapsed.pop();
                    collapsed.push(Word::Constants);
                } else {
                    collapsed.push(Word::Constant);
                }
            }
            word => collapsed.push(word),
        }
        // `( ... ) , ( ... )` is a list of rows; a row of one constant counts too when it follows another row.
        if let [.., open, list @ (Word::Constants | Word::Constant), close] = collapsed.as_slice()
            && is(open, "(")
            && is(close, ")")
        {
            let rows = collapsed.len() - 3;
            let list = list.clone();
            let follows = match &collapsed[..rows] {
                // `( ... ) ,` before it.
                [.., first, previous, last, comma]
                    if is(first, "(") && *previous == list && is(last, ")") && is(comma, ",") =>
                {
                    Some(rows)
                }
                // `( ... ) , ... ,` before it.
                [.., last, comma, Word::Constants, again]
                    if is(last, ")") && is(comma, ",") && is(again, ",") =>
                {
                    Some(rows - 2)
                }
                _ => None,
            };
            if let Some(length) = follows {
                collapsed.truncate(length);
                collapsed.push(Word::Constants);
            } else if matches!(list, Word::Constant) && rows > 0 && is(&collapsed[rows - 1], "in") {
                let list = collapsed.len() - 2;
                collapsed[list] = Word::Constants;
            }
        }
    }
    Words(collapsed)
}

/// Whether the constants at the end stand in a list of their own: right behind a parenthesis, or behind a first constant.
fn starts_list(collapsed: &[Word]) -> bool {
    let before = collapsed.len().checked_sub(3).map(|index| &collapsed[index]);
    match before {
        Some(Word::Text(word)) => {
            word == "(" || matches!(word.as_str(), "limit" | "values" | "select" | "by")
        }
        Some(Word::Constant | Word::Constants) | None => false,
    }
}
