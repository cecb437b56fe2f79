//! `sql_mode`: what SQL means, and what becomes of wrong data.

use std::fmt;
use std::str::FromStr;

bitflags::bitflags! {
    /// The session's `sql_mode`; the bits are those MySQL writes to its binary log.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
    pub struct SqlMode: u64 {
        /// `REAL` is `FLOAT`, not `DOUBLE`.
        const REAL_AS_FLOAT = 1;
        /// `||` is string concatenation.
        const PIPES_AS_CONCAT = 1 << 1;
        /// `"` quotes an identifier.
        const ANSI_QUOTES = 1 << 2;
        /// Spaces may stand between a function's name and its parenthesis.
        const IGNORE_SPACE = 1 << 3;
        /// Select lists may use only grouped or functionally dependent columns.
        const ONLY_FULL_GROUP_BY = 1 << 5;
        /// Integer subtraction is signed even if an operand is not.
        const NO_UNSIGNED_SUBTRACTION = 1 << 6;
        /// CREATE TABLE ignores INDEX DIRECTORY and DATA DIRECTORY.
        const NO_DIR_IN_CREATE = 1 << 7;
        /// The combination `ANSI`.
        const ANSI = 1 << 18;
        /// Zero in an AUTO_INCREMENT column stays zero.
        const NO_AUTO_VALUE_ON_ZERO = 1 << 19;
        /// A backslash in a string literal is an ordinary character.
        const NO_BACKSLASH_ESCAPES = 1 << 20;
        /// Wrong data is an error in transactional tables.
        const STRICT_TRANS_TABLES = 1 << 21;
        /// Wrong data is an error in all tables.
        const STRICT_ALL_TABLES = 1 << 22;
        /// No zero month or day.
        const NO_ZERO_IN_DATE = 1 << 23;
        /// No '0000-00-00'.
        const NO_ZERO_DATE = 1 << 24;
        /// Days up to 31 are taken in any month.
        const ALLOW_INVALID_DATES = 1 << 25;
        /// Division by zero warns (or fails in strict mode).
        const ERROR_FOR_DIVISION_BY_ZERO = 1 << 26;
        /// The combination `TRADITIONAL`.
        const TRADITIONAL = 1 << 27;
        /// GRANT does not create users.
        const NO_AUTO_CREATE_USER = 1 << 28;
        /// `NOT a BETWEEN b AND c` is `(NOT a) BETWEEN b AND c`.
        const HIGH_NOT_PRECEDENCE = 1 << 29;
        /// An unknown storage engine is an error.
        const NO_ENGINE_SUBSTITUTION = 1 << 30;
        /// CHAR values keep their trailing spaces when read.
        const PAD_CHAR_TO_FULL_LENGTH = 1 << 31;
        /// Fractional seconds are cut, not rounded.
        const TIME_TRUNCATE_FRACTIONAL = 1 << 32;
    }
}

impl SqlMode {
    /// MySQL 8's default mode.
    pub const DEFAULT: Self = Self::ONLY_FULL_GROUP_BY
        .union(Self::STRICT_TRANS_TABLES)
        .union(Self::NO_ZERO_IN_DATE)
        .union(Self::NO_ZERO_DATE)
        .union(Self::ERROR_FOR_DIVISION_BY_ZERO)
        .union(Self::NO_ENGINE_SUBSTITUTION);

    /// Whether wrong data is an error.
    pub const fn is_strict(self) -> bool {
        self.intersects(Self::STRICT_TRANS_TABLES.union(Self::STRICT_ALL_TABLES))
    }
}

impl Default for SqlMode {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A word that is no SQL mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Variable 'sql_mode' can't be set to the value of '{0}'")]
pub struct UnknownSqlMode(pub String);

impl FromStr for SqlMode {
    type Err = UnknownSqlMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut mode = Self::empty();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let upper = word.to_ascii_uppercase();
            mode |= match upper.as_str() {
                "ANSI" => {
                    Self::ANSI
                        | Self::REAL_AS_FLOAT
                        | Self::PIPES_AS_CONCAT
                        | Self::ANSI_QUOTES
                        | Self::IGNORE_SPACE
                        | Self::ONLY_FULL_GROUP_BY
                }
                "TRADITIONAL" => {
                    Self::TRADITIONAL
                        | Self::STRICT_TRANS_TABLES
                        | Self::STRICT_ALL_TABLES
                        | Self::NO_ZERO_IN_DATE
                        | Self::NO_ZERO_DATE
                        | Self::ERROR_FOR_DIVISION_BY_ZERO
                        | Self::NO_ENGINE_SUBSTITUTION
                }
                name => Self::from_name(name).ok_or_else(|| UnknownSqlMode(word.to_owned()))?,
            };
        }
        Ok(mode)
    }
}

impl fmt::Display for SqlMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, _)) in self.iter_names().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_mysql_8s() {
        let text = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
                    ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
        assert_eq!(SqlMode::DEFAULT.to_string(), text);
        assert_eq!(text.parse(), Ok(SqlMode::DEFAULT));
    }

    #[test]
    fn combinations_spell_out_their_parts() {
        let ansi: SqlMode = " ansi ,, no_zero_date".parse().unwrap();
        assert!(ansi.contains(SqlMode::ANSI_QUOTES | SqlMode::PIPES_AS_CONCAT | SqlMode::NO_ZERO_DATE));
        let text =
            "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ONLY_FULL_GROUP_BY,ANSI,NO_ZERO_DATE";
        assert_eq!(ansi.to_string(), text);
        assert!("traditional".parse::<SqlMode>().unwrap().is_strict());
        assert!(!"".parse::<SqlMode>().unwrap().is_strict());
        assert_eq!("ANSI,nonsense".parse::<SqlMode>(), Err(UnknownSqlMode("nonsense".into())));
    }
}
