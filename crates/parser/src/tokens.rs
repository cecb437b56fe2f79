//! Our lexemes as `sqlparser` tokens, for the part of a statement that is an expression or a query.
//!
//! This pass is where MySQL's spelling meets a grammar that does not know all of it:
//! * Constants, variables and parameters become placeholders that carry the lexeme's number (`l12`, `v12`, `s12`, `p3`), so their
//!   contents never pass through `sqlparser`. Plain strings stay strings (they may be aliases) with the number as contents.
//! * Only words that MySQL's query grammar knows are keywords; `TOP`, `QUALIFY`, `CLUSTER` .. are names.
//! * `||`, `&&`, infix `MOD`, `DIV` and `SOUNDS LIKE` become operators, `AS OF TIMESTAMP` becomes `FOR SYSTEM_TIME AS OF`,
//!   `TABLE t` becomes `SELECT * FROM t`.
//! * The commas of `FROM (a, b)` become joins, for which alone `sqlparser` has parentheses.
//! * Locking clauses and INTO are read by our own grammar; the tokens keep a reference (`k0`) to the former.
//!
//! The column of a token's span is the number of its lexeme plus one; that is how errors and select items find the text.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};
use tidewater_types::SqlMode;

use crate::ast::{Locking, SelectInto};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;
use crate::literal;
use crate::words;

/// The tokens of a range of lexemes, and what they cannot say.
#[derive(Default)]
pub(crate) struct Converted {
    pub tokens: Vec<TokenWithSpan>,
    pub locks: Vec<Locking>,
    pub into: Option<SelectInto>,
}

impl Converted {
    /// A token for the lexeme of this number, or the first of several.
    fn push(&mut self, lexeme: usize, token: Token) {
        self.tokens.push(TokenWithSpan { token, span: span(lexeme) });
    }
}

/// The span that stands for a lexeme.
fn span(lexeme: usize) -> Span {
    let location = Location { line: 1, column: lexeme as u64 + 1 };
    Span { start: location, end: location }
}

/// Character sets that may introduce a literal.
fn is_introducer(word: &str) -> bool {
    const CHARSETS: &[&str] = &[
        "utf8mb4", "binary", "utf8", "utf8mb3", "latin1", "ascii", "gbk", "gb18030", "gb2312", "big5",
        "ucs2", "utf16", "utf16le", "utf32", "cp1250", "cp1251", "cp1252", "cp1256", "cp1257", "cp850",
        "cp852", "cp866", "cp932", "eucjpms", "euckr", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u",
        "latin2", "latin5", "latin7", "macce", "macroman", "sjis", "swe7", "tis620", "ujis", "armscii8",
        "dec8", "geostd8",
    ];
    word.strip_prefix('_')
        .is_some_and(|name| CHARSETS.iter().any(|charset| charset.eq_ignore_ascii_case(name)))
}

impl Cursor<'_> {
    /// Whether an introducer or a typed literal starts here (`_utf8mb4'..'`, `DATE '..'`): how many lexemes it has.
    pub fn compound_literal(&self) -> Option<usize> {
        let word = self.word();
        let next = self.kind_at(1);
        let typed = next == Kind::String && self.is_one_of(&["DATE", "TIME", "TIMESTAMP"]);
        let introduced = matches!(next, Kind::String | Kind::Hex | Kind::Bit) && is_introducer(word);
        if !typed && !introduced {
            return None;
        }
        let mut length = 2;
        while next == Kind::String && self.kind_at(length) == Kind::String {
            length += 1;
        }
        Some(length)
    }

    /// Converts the lexemes from the position up to `end`, which is not one of them.
    pub fn convert(&self, end: usize) -> Result<Converted> {
        let mut converted =
            Converted { tokens: Vec::with_capacity(end - self.position), ..Converted::default() };
        let mut cursor = self.at(self.position);
        let mut braces = 0usize;
        // For each open parenthesis: whether it holds tables, whose commas are joins then.
        let mut holds_tables: Vec<bool> = Vec::new();
        while cursor.position < end {
            let index = cursor.position;
            let lexeme = cursor.peek();
            let token = match lexeme.kind {
                Kind::Word => {
                    cursor.convert_word(&mut converted)?;
                    continue;
                }
                Kind::QuotedName => Token::Word(Word {
                    value: literal::decode_name(cursor.word_of(lexeme)),
                    quote_style: Some('`'),
                    keyword: Keyword::NoKeyword,
                }),
                Kind::String => {
                    while cursor.kind_at(1) == Kind::String {
                        cursor.advance();
                    }
                    Token::SingleQuotedString(index.to_string())
                }
                Kind::Integer => Token::Number(cursor.word_of(lexeme).to_owned(), false),
                Kind::NationalString
                | Kind::Decimal
                | Kind::Float
                | Kind::Hex
                | Kind::Bit
                | Kind::NullEscape => Token::Placeholder(format!("l{index}")),
                Kind::Parameter => Token::Placeholder(format!("p{}", lexeme.ordinal)),
                Kind::UserVariable => Token::Placeholder(format!("v{index}")),
                Kind::SystemVariable => Token::Placeholder(format!("s{index}")),
                Kind::Hint => {
                    cursor.advance();
                    continue;
                }
                Kind::LeftBrace => {
                    let quoted = cursor.kind_at(2) == Kind::String && cursor.kind_at(3) == Kind::RightBrace;
                    if quoted
                        && (cursor.is_word_at(1, "d")
                            || cursor.is_word_at(1, "t")
                            || cursor.is_word_at(1, "ts"))
                    {
                        cursor.position += 3;
                        Token::Placeholder(format!("l{index}"))
                    } else if cursor.kind_at(1) == Kind::Word {
                        braces += 1;
                        cursor.advance();
                        Token::LParen
                    } else {
                        return cursor.fail();
                    }
                }
                Kind::RightBrace if braces > 0 => {
                    braces -= 1;
                    Token::RParen
                }
                Kind::Comma if holds_tables.last() == Some(&true) => {
                    converted.push(index, operator_word("CROSS", Keyword::CROSS));
                    operator_word("JOIN", Keyword::JOIN)
                }
                Kind::Comma => Token::Comma,
                Kind::LeftParen => {
                    let leads = match converted.tokens.last().map(|token| &token.token) {
                        Some(Token::Word(word)) => matches!(word.keyword, Keyword::FROM | Keyword::JOIN),
                        Some(Token::LParen) => holds_tables.last() == Some(&true),
                        _ => false,
                    };
                    let is_query = cursor.at(index + 1).is_one_of(&["SELECT", "WITH", "VALUES", "TABLE"]);
                    holds_tables.push(leads && !is_query);
                    Token::LParen
                }
                Kind::RightParen => {
                    holds_tables.pop();
                    Token::RParen
                }
                Kind::Period => Token::Period,
                Kind::Assign => Token::Assignment,
                Kind::Eq => Token::Eq,
                Kind::NullSafeEq => Token::Spaceship,
                Kind::Ne => Token::Neq,
                Kind::Lt => Token::Lt,
                Kind::Le => Token::LtEq,
                Kind::Gt => Token::Gt,
                Kind::Ge => Token::GtEq,
                Kind::Plus => Token::Plus,
                Kind::Minus => Token::Minus,
                Kind::Star => Token::Mul,
                Kind::Slash => Token::Div,
                Kind::Percent => Token::Mod,
                Kind::Pipe => Token::Pipe,
                Kind::PipePipe if self.sql_mode.contains(SqlMode::PIPES_AS_CONCAT) => Token::StringConcat,
                Kind::PipePipe => operator_word("OR", Keyword::OR),
                Kind::Ampersand => Token::Ampersand,
                Kind::AndAnd => operator_word("AND", Keyword::AND),
                Kind::Caret => Token::Caret,
                Kind::Tilde => Token::Tilde,
                Kind::Bang => Token::ExclamationMark,
                Kind::ShiftLeft => Token::ShiftLeft,
                Kind::ShiftRight => Token::ShiftRight,
                Kind::Arrow => Token::Arrow,
                Kind::LongArrow => Token::LongArrow,
                Kind::RightBrace | Kind::Colon | Kind::At | Kind::Semicolon | Kind::End => {
                    return cursor.fail();
                }
            };
            converted.push(index, token);
            cursor.advance();
        }
        Ok(converted)
    }

    fn convert_word(&mut self, converted: &mut Converted) -> Result<()> {
        let index = self.position;
        let word = self.word();
        let after_period = index > 0 && self.lexeme(index - 1).kind == Kind::Period;
        if after_period {
            converted.push(
                index,
                Token::Word(Word {
                    value: word.to_owned(),
                    quote_style: Some('`'),
                    keyword: Keyword::NoKeyword,
                }),
            );
            self.advance();
            return Ok(());
        }
        if let Some(length) = self.compound_literal() {
            converted.push(index, Token::Placeholder(format!("l{index}")));
            self.position += length;
            return Ok(());
        }
        // The few words that mean something special are told apart by their length first: this runs for every word.
        match word.len() {
            2 if self.is_words(&["AS", "OF", "TIMESTAMP"]) => {
                converted.push(index, operator_word("FOR", Keyword::FOR));
                converted.push(index, operator_word("SYSTEM_TIME", Keyword::SYSTEM_TIME));
                converted.push(index, operator_word("AS", Keyword::AS));
                converted.push(index, operator_word("OF", Keyword::OF));
                self.position += 3;
                return Ok(());
            }
            3 if self.is_word("FOR") && (self.is_word_at(1, "UPDATE") || self.is_word_at(1, "SHARE")) => {
                return self.convert_lock(converted);
            }
            3 if self.is_word("DIV") => {
                converted.push(index, Token::CustomBinaryOperator("DIV".to_owned()));
                self.advance();
                return Ok(());
            }
            3 if self.is_word("MOD") && converted.tokens.last().is_some_and(ends_operand) => {
                converted.push(index, Token::CustomBinaryOperator("MOD".to_owned()));
                self.advance();
                return Ok(());
            }
            4 if self.is_words(&["LOCK", "IN", "SHARE", "MODE"]) => return self.convert_lock(converted),
            4 if self.is_word("INTO") => {
                if converted.into.is_some() {
                    return self.fail();
                }
                converted.into = Some(self.select_into()?);
                return Ok(());
            }
            4 if self.is_word("FROM")
                && self.is_word_at(1, "FIRST")
                && (self.is_word_at(2, "OVER")
                    || self.is_word_at(2, "RESPECT")
                    || self.is_word_at(2, "IGNORE")) =>
            {
                self.position += 2;
                return Ok(());
            }
            5 if self.is_word("TABLE") && self.kind_at(1) != Kind::LeftParen => {
                // The query `TABLE t`; that the word is no SELECT tells the lowering what it was.
                converted.push(index, operator_word("SELECT", Keyword::SELECT));
                converted.push(index, Token::Mul);
                converted.push(index, operator_word("FROM", Keyword::FROM));
                self.advance();
                return Ok(());
            }
            6 if self.is_words(&["SOUNDS", "LIKE"]) && converted.tokens.last().is_some_and(ends_operand) => {
                converted.push(index, Token::CustomBinaryOperator("SOUNDS".to_owned()));
                self.position += 2;
                return Ok(());
            }
            9 if self.is_word("SQL_CACHE") && converted.tokens.last().is_some_and(is_select_word) => {
                self.advance();
                return Ok(());
            }
            _ => {}
        }
        converted.push(
            index,
            Token::Word(Word { value: word.to_owned(), quote_style: None, keyword: words::keyword(word) }),
        );
        self.advance();
        Ok(())
    }

    fn convert_lock(&mut self, converted: &mut Converted) -> Result<()> {
        let index = self.position;
        let number = converted.locks.len();
        let locking = self.locking()?;
        converted.locks.push(locking);
        let reference = Token::Word(Word {
            value: format!("k{number}"),
            quote_style: Some('`'),
            keyword: Keyword::NoKeyword,
        });
        for token in [
            operator_word("FOR", Keyword::FOR),
            operator_word("UPDATE", Keyword::UPDATE),
            operator_word("OF", Keyword::OF),
            reference,
        ] {
            converted.push(index, token);
        }
        Ok(())
    }
}

fn operator_word(word: &str, keyword: Keyword) -> Token {
    Token::Word(Word { value: word.to_owned(), quote_style: None, keyword })
}

/// Whether an operand may end with this token, so that an infix operator may follow.
fn ends_operand(token: &TokenWithSpan) -> bool {
    match &token.token {
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) | Token::RParen => true,
        Token::Word(word) => {
            word.quote_style.is_some()
                || !words::is_reserved(&word.value)
                || matches!(
                    word.keyword,
                    Keyword::NULL
                        | Keyword::TRUE
                        | Keyword::FALSE
                        | Keyword::CURRENT_DATE
                        | Keyword::CURRENT_TIMESTAMP
                )
        }
        _ => false,
    }
}

fn is_select_word(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if matches!(
        word.keyword,
        Keyword::SELECT | Keyword::DISTINCT | Keyword::ALL | Keyword::HIGH_PRIORITY | Keyword::SQL_CALC_FOUND_ROWS
    ))
}
