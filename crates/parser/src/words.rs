//! Which words are reserved, and which ones `sqlparser` gets to see as keywords.

use sqlparser::keywords::Keyword;

/// MySQL's reserved words as far as a grammar we have gives them a meaning, sorted. Words reserved only for stored
/// programs may name columns here: refusing them would help nobody.
static RESERVED: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BIGINT",
    "BINARY",
    "BLOB",
    "BOTH",
    "BY",
    "CALL",
    "CASCADE",
    "CASE",
    "CHANGE",
    "CHAR",
    "CHARACTER",
    "CHECK",
    "COLLATE",
    "COLUMN",
    "CONSTRAINT",
    "CONVERT",
    "CREATE",
    "CROSS",
    "CUME_DIST",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "DATABASE",
    "DATABASES",
    "DAY_HOUR",
    "DAY_MICROSECOND",
    "DAY_MINUTE",
    "DAY_SECOND",
    "DEC",
    "DECIMAL",
    "DEFAULT",
    "DELAYED",
    "DELETE",
    "DENSE_RANK",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DISTINCTROW",
    "DIV",
    "DOUBLE",
    "DROP",
    "DUAL",
    "ELSE",
    "ENCLOSED",
    "ESCAPED",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FETCH",
    "FIRST_VALUE",
    "FLOAT",
    "FLOAT4",
    "FLOAT8",
    "FOR",
    "FORCE",
    "FOREIGN",
    "FROM",
    "FULLTEXT",
    "GENERATED",
    "GRANT",
    "GROUP",
    "GROUPS",
    "HAVING",
    "HIGH_PRIORITY",
    "HOUR_MICROSECOND",
    "HOUR_MINUTE",
    "HOUR_SECOND",
    "IF",
    "IGNORE",
    "IN",
    "INDEX",
    "INFILE",
    "INNER",
    "INSERT",
    "INT",
    "INT1",
    "INT2",
    "INT3",
    "INT4",
    "INT8",
    "INTEGER",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "JSON_TABLE",
    "KEY",
    "KEYS",
    "KILL",
    "LAG",
    "LAST_VALUE",
    "LATERAL",
    "LEAD",
    "LEADING",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LINEAR",
    "LINES",
    "LOAD",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "LOCK",
    "LONG",
    "LONGBLOB",
    "LONGTEXT",
    "LOW_PRIORITY",
    "MATCH",
    "MAXVALUE",
    "MEDIUMBLOB",
    "MEDIUMINT",
    "MEDIUMTEXT",
    "MIDDLEINT",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "MOD",
    "NATURAL",
    "NOT",
    "NO_WRITE_TO_BINLOG",
    "NTH_VALUE",
    "NTILE",
    "NULL",
    "NUMERIC",
    "OF",
    "ON",
    "OPTIMIZE",
    "OPTION",
    "OPTIONALLY",
    "OR",
    "ORDER",
    "OUTER",
    "OUTFILE",
    "OVER",
    "PARTITION",
    "PERCENT_RANK",
    "PRECISION",
    "PRIMARY",
    "PROCEDURE",
    "RANGE",
    "RANK",
    "READ",
    "REAL",
    "RECURSIVE",
    "REFERENCES",
    "REGEXP",
    "RELEASE",
    "RENAME",
    "REPEAT",
    "REPLACE",
    "REQUIRE",
    "RESTRICT",
    "REVOKE",
    "RIGHT",
    "RLIKE",
    "ROW",
    "ROWS",
    "ROW_NUMBER",
    "SCHEMA",
    "SCHEMAS",
    "SECOND_MICROSECOND",
    "SELECT",
    "SEPARATOR",
    "SET",
    "SHOW",
    "SMALLINT",
    "SPATIAL",
    "SQL_BIG_RESULT",
    "SQL_CALC_FOUND_ROWS",
    "SQL_SMALL_RESULT",
    "SSL",
    "STARTING",
    "STORED",
    "STRAIGHT_JOIN",
    "TABLE",
    "TERMINATED",
    "THEN",
    "TINYBLOB",
    "TINYINT",
    "TINYTEXT",
    "TO",
    "TRAILING",
    "TRIGGER",
    "TRUE",
    "UNION",
    "UNIQUE",
    "UNLOCK",
    "UNSIGNED",
    "UPDATE",
    "USAGE",
    "USE",
    "USING",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "VALUES",
    "VARBINARY",
    "VARCHAR",
    "VARCHARACTER",
    "VARYING",
    "VIRTUAL",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WRITE",
    "XOR",
    "YEAR_MONTH",
    "ZEROFILL",
];

/// Reserved words that name functions when a parenthesis follows.
static RESERVED_FUNCTIONS: &[&str] = &[
    "CHAR",
    "CUME_DIST",
    "DATABASE",
    "DENSE_RANK",
    "FIRST_VALUE",
    "IF",
    "INSERT",
    "LAG",
    "LAST_VALUE",
    "LEAD",
    "LEFT",
    "MOD",
    "NTH_VALUE",
    "NTILE",
    "PERCENT_RANK",
    "RANK",
    "REPEAT",
    "REPLACE",
    "RIGHT",
    "ROW_NUMBER",
    "SCHEMA",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

/// The words `sqlparser`'s query grammar may treat as keywords, sorted; all others are names to it.
static KEYWORDS: &[(&str, Keyword)] = &[
    ("AGAINST", Keyword::AGAINST),
    ("ALL", Keyword::ALL),
    ("AND", Keyword::AND),
    ("ANY", Keyword::ANY),
    ("AS", Keyword::AS),
    ("ASC", Keyword::ASC),
    ("BETWEEN", Keyword::BETWEEN),
    ("BINARY", Keyword::BINARY),
    ("BOOLEAN", Keyword::BOOLEAN),
    ("BY", Keyword::BY),
    ("CASE", Keyword::CASE),
    ("COLLATE", Keyword::COLLATE),
    ("CROSS", Keyword::CROSS),
    ("CURRENT", Keyword::CURRENT),
    ("CURRENT_DATE", Keyword::CURRENT_DATE),
    ("CURRENT_TIME", Keyword::CURRENT_TIME),
    ("CURRENT_TIMESTAMP", Keyword::CURRENT_TIMESTAMP),
    ("CURRENT_USER", Keyword::CURRENT_USER),
    ("DEFAULT", Keyword::DEFAULT),
    ("DESC", Keyword::DESC),
    ("DISTINCT", Keyword::DISTINCT),
    ("DISTINCTROW", Keyword::DISTINCTROW),
    ("ELSE", Keyword::ELSE),
    ("END", Keyword::END),
    ("ESCAPE", Keyword::ESCAPE),
    ("EXCEPT", Keyword::EXCEPT),
    ("EXISTS", Keyword::EXISTS),
    ("EXPANSION", Keyword::EXPANSION),
    ("FALSE", Keyword::FALSE),
    ("FIRST", Keyword::FIRST),
    ("FOLLOWING", Keyword::FOLLOWING),
    ("FOR", Keyword::FOR),
    ("FORCE", Keyword::FORCE),
    ("FROM", Keyword::FROM),
    ("GROUP", Keyword::GROUP),
    ("HAVING", Keyword::HAVING),
    ("HIGH_PRIORITY", Keyword::HIGH_PRIORITY),
    ("IGNORE", Keyword::IGNORE),
    ("IN", Keyword::IN),
    ("INDEX", Keyword::INDEX),
    ("INNER", Keyword::INNER),
    ("INTERSECT", Keyword::INTERSECT),
    ("INTERVAL", Keyword::INTERVAL),
    ("IS", Keyword::IS),
    ("JOIN", Keyword::JOIN),
    ("KEY", Keyword::KEY),
    ("LANGUAGE", Keyword::LANGUAGE),
    ("LATERAL", Keyword::LATERAL),
    ("LEFT", Keyword::LEFT),
    ("LIKE", Keyword::LIKE),
    ("LIMIT", Keyword::LIMIT),
    ("LOCALTIME", Keyword::LOCALTIME),
    ("LOCALTIMESTAMP", Keyword::LOCALTIMESTAMP),
    ("MATCH", Keyword::MATCH),
    ("MEMBER", Keyword::MEMBER),
    ("MODE", Keyword::MODE),
    ("NATURAL", Keyword::NATURAL),
    ("NOT", Keyword::NOT),
    ("NULL", Keyword::NULL),
    ("NULLS", Keyword::NULLS),
    ("OF", Keyword::OF),
    ("OFFSET", Keyword::OFFSET),
    ("ON", Keyword::ON),
    ("OR", Keyword::OR),
    ("ORDER", Keyword::ORDER),
    ("OUTER", Keyword::OUTER),
    ("OVER", Keyword::OVER),
    ("PARTITION", Keyword::PARTITION),
    ("PRECEDING", Keyword::PRECEDING),
    ("QUERY", Keyword::QUERY),
    ("RANGE", Keyword::RANGE),
    ("RECURSIVE", Keyword::RECURSIVE),
    ("REGEXP", Keyword::REGEXP),
    ("RESPECT", Keyword::RESPECT),
    ("RIGHT", Keyword::RIGHT),
    ("RLIKE", Keyword::RLIKE),
    ("ROLLUP", Keyword::ROLLUP),
    ("ROW", Keyword::ROW),
    ("ROWS", Keyword::ROWS),
    ("SELECT", Keyword::SELECT),
    ("SEPARATOR", Keyword::SEPARATOR),
    ("SHARE", Keyword::SHARE),
    ("SOME", Keyword::SOME),
    ("SQL_BIG_RESULT", Keyword::SQL_BIG_RESULT),
    ("SQL_BUFFER_RESULT", Keyword::SQL_BUFFER_RESULT),
    ("SQL_CALC_FOUND_ROWS", Keyword::SQL_CALC_FOUND_ROWS),
    ("SQL_NO_CACHE", Keyword::SQL_NO_CACHE),
    ("SQL_SMALL_RESULT", Keyword::SQL_SMALL_RESULT),
    ("STRAIGHT_JOIN", Keyword::STRAIGHT_JOIN),
    ("TABLE", Keyword::TABLE),
    ("THEN", Keyword::THEN),
    ("TRUE", Keyword::TRUE),
    ("UNBOUNDED", Keyword::UNBOUNDED),
    ("UNION", Keyword::UNION),
    ("UNKNOWN", Keyword::UNKNOWN),
    ("UPDATE", Keyword::UPDATE),
    ("USE", Keyword::USE),
    ("USING", Keyword::USING),
    ("VALUES", Keyword::VALUES),
    ("WHEN", Keyword::WHEN),
    ("WHERE", Keyword::WHERE),
    ("WINDOW", Keyword::WINDOW),
    ("WITH", Keyword::WITH),
    ("XOR", Keyword::XOR),
];

/// The longest word of the tables above.
const WORD_BYTES_MAX: usize = 20;

/// Runs `lookup` with the word in upper case, unless it is too long to be in any table.
fn upper<T>(word: &str, lookup: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut buffer = [0u8; WORD_BYTES_MAX];
    let buffer = buffer.get_mut(..word.len())?;
    buffer.copy_from_slice(word.as_bytes());
    buffer.make_ascii_uppercase();
    lookup(std::str::from_utf8(buffer).ok()?)
}

/// Whether the word cannot be a name without quotes.
pub(crate) fn is_reserved(word: &str) -> bool {
    upper(word, |word| RESERVED.binary_search(&word).ok()).is_some()
}

/// Whether the word, though reserved, may name a function.
pub(crate) fn is_reserved_function(word: &str) -> bool {
    upper(word, |word| RESERVED_FUNCTIONS.binary_search(&word).ok()).is_some()
}

/// Stands for all reserved words that `sqlparser` need not know: not a name, and nothing else either.
const OTHER_RESERVED: Keyword = Keyword::ZORDER;

/// What the word is to `sqlparser`.
pub(crate) fn keyword(word: &str) -> Keyword {
    upper(word, |word| match KEYWORDS.binary_search_by_key(&word, |(text, _)| text) {
        Ok(index) => Some(KEYWORDS[index].1),
        Err(_) => RESERVED.binary_search(&word).ok().map(|_| OTHER_RESERVED),
    })
    .unwrap_or(Keyword::NoKeyword)
}

/// Whether a keyword of the table above is reserved.
pub(crate) fn is_reserved_keyword(keyword: Keyword) -> bool {
    !matches!(
        keyword,
        Keyword::NoKeyword
            | Keyword::AGAINST
            | Keyword::ANY
            | Keyword::BOOLEAN
            | Keyword::CURRENT
            | Keyword::END
            | Keyword::ESCAPE
            | Keyword::EXPANSION
            | Keyword::FIRST
            | Keyword::FOLLOWING
            | Keyword::LANGUAGE
            | Keyword::MEMBER
            | Keyword::MODE
            | Keyword::NULLS
            | Keyword::OFFSET
            | Keyword::PRECEDING
            | Keyword::QUERY
            | Keyword::RESPECT
            | Keyword::ROLLUP
            | Keyword::SHARE
            | Keyword::SOME
            | Keyword::SQL_BUFFER_RESULT
            | Keyword::SQL_NO_CACHE
            | Keyword::UNBOUNDED
            | Keyword::UNKNOWN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_agree() {
        assert!(RESERVED.is_sorted());
        assert!(RESERVED_FUNCTIONS.is_sorted());
        assert!(KEYWORDS.is_sorted_by_key(|(word, _)| *word));
        assert!(RESERVED.iter().all(|word| word.len() <= WORD_BYTES_MAX));
        for word in RESERVED_FUNCTIONS {
            assert!(is_reserved(word), "{word}");
        }
        for (word, keyword) in KEYWORDS {
            assert_eq!(is_reserved_keyword(*keyword), is_reserved(word), "{word}");
        }
    }
}
