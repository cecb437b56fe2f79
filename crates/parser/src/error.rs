//! Why a text was refused.

/// Why a text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is not a statement of our grammar. Displays as MySQL's error 1064.
    #[error(
        "You have an error in your SQL syntax; check the manual that corresponds to your Tidewater version for the right \
         syntax to use near '{near}' at line {line}"
    )]
    Syntax {
        /// The text from the offending token on, at most 80 bytes of it.
        near: String,
        /// The line the offending token is in, from one.
        line: usize,
        /// The byte the offending token starts at.
        offset: usize,
    },
    /// Expressions, parentheses or queries are nested too deeply (MySQL: 1064 as well, TiDB overflows).
    #[error("The statement is nested too deeply")]
    TooDeep,
    /// The statement is well-formed, and means something we do not do (MySQL's 1235).
    #[error("This version of Tidewater doesn't yet support '{what}'")]
    Unsupported {
        /// What it asks for.
        what: String,
    },
    /// A subquery in FROM has no name (MySQL's 1248).
    #[error("Every derived table must have its own alias")]
    DerivedTableWithoutAlias,
    /// No statement at all (MySQL's 1065).
    #[error("Query was empty")]
    Empty,
}

impl ParseError {
    /// The bytes of the statement that the message may show.
    const NEAR_BYTES_MAX: usize = 80;

    /// A syntax error whose offending token starts at `offset`.
    pub(crate) fn at(text: &[u8], offset: usize) -> Self {
        let offset = offset.min(text.len());
        let rest = &text[offset..];
        let mut end = rest.len().min(Self::NEAR_BYTES_MAX);
        // Do not cut a character in two.
        while end > 0 && end < rest.len() && rest[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        Self::Syntax {
            near: String::from_utf8_lossy(&rest[..end]).trim_end_matches('\0').to_owned(),
            line: 1 + text[..offset].iter().filter(|&&byte| byte == b'\n').count(),
            offset,
        }
    }

    /// MySQL's number of this error.
    pub fn mysql_code(&self) -> u16 {
        match self {
            Self::Syntax { .. } | Self::TooDeep => 1064,
            Self::Unsupported { .. } => 1235,
            Self::DerivedTableWithoutAlias => 1248,
            Self::Empty => 1065,
        }
    }
}
