//! Column types, column attributes, CAST targets.

use crate::ast::{
    CheckConstraint, ColumnDef, ColumnOption, DataType, Expr, ForeignKeyReference, FunctionCall, Literal,
    ReferenceAction, SourceText, TypeName,
};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;
use tidewater_types::SqlMode;

/// The types whose name is one word.
const TYPES: &[(&str, TypeName)] = &[
    ("BIT", TypeName::Bit),
    ("BOOL", TypeName::Bool),
    ("BOOLEAN", TypeName::Bool),
    ("TINYINT", TypeName::TinyInt),
    ("INT1", TypeName::TinyInt),
    ("SMALLINT", TypeName::SmallInt),
    ("INT2", TypeName::SmallInt),
    ("MEDIUMINT", TypeName::MediumInt),
    ("INT3", TypeName::MediumInt),
    ("MIDDLEINT", TypeName::MediumInt),
    ("INT", TypeName::Int),
    ("INTEGER", TypeName::Int),
    ("INT4", TypeName::Int),
    ("BIGINT", TypeName::BigInt),
    ("INT8", TypeName::BigInt),
    ("DECIMAL", TypeName::Decimal),
    ("DEC", TypeName::Decimal),
    ("NUMERIC", TypeName::Decimal),
    ("FIXED", TypeName::Decimal),
    ("FLOAT", TypeName::Float),
    ("FLOAT4", TypeName::Float),
    ("DOUBLE", TypeName::Double),
    ("FLOAT8", TypeName::Double),
    ("DATE", TypeName::Date),
    ("TIME", TypeName::Time),
    ("DATETIME", TypeName::DateTime),
    ("TIMESTAMP", TypeName::Timestamp),
    ("YEAR", TypeName::Year),
    ("CHAR", TypeName::Char),
    ("CHARACTER", TypeName::Char),
    ("NCHAR", TypeName::Char),
    ("VARCHAR", TypeName::VarChar),
    ("VARCHARACTER", TypeName::VarChar),
    ("NVARCHAR", TypeName::VarChar),
    ("BINARY", TypeName::Binary),
    ("VARBINARY", TypeName::VarBinary),
    ("TINYBLOB", TypeName::TinyBlob),
    ("BLOB", TypeName::Blob),
    ("MEDIUMBLOB", TypeName::MediumBlob),
    ("LONGBLOB", TypeName::LongBlob),
    ("TINYTEXT", TypeName::TinyText),
    ("TEXT", TypeName::Text),
    ("MEDIUMTEXT", TypeName::MediumText),
    ("LONGTEXT", TypeName::LongText),
    ("ENUM", TypeName::Enum),
    ("SET", TypeName::Set),
    ("JSON", TypeName::Json),
];

impl Cursor<'_> {
    /// A column's type with its attributes (UNSIGNED, CHARACTER SET ..). SERIAL is left to [`Self::column_def`].
    pub fn data_type(&mut self) -> Result<DataType> {
        let national = self.eat_word("NATIONAL");
        let start = self.position;
        let word = self.word();
        let mut data_type = match TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            Some((_, name)) => {
                self.advance();
                DataType::new(*name)
            }
            None if self.eat_word("REAL") => {
                DataType::new(if self.sql_mode.contains(SqlMode::REAL_AS_FLOAT) {
                    TypeName::Float
                } else {
                    TypeName::Double
                })
            }
            None if self.eat_word("LONG") => {
                if self.eat_word("VARBINARY") {
                    DataType::new(TypeName::MediumBlob)
                } else {
                    if !self.eat_words(&["CHAR", "VARYING"]) {
                        self.eat_one_of(&["VARCHAR", "VARCHARACTER"]);
                    }
                    let mut text = DataType::new(TypeName::MediumText);
                    self.text_attributes(&mut text)?;
                    return Ok(text);
                }
            }
            None => return self.fail(),
        };
        if national && !matches!(data_type.name, TypeName::Char | TypeName::VarChar) {
            return Err(self.error_at(start));
        }
        if national || self.at(start).is_one_of(&["NCHAR", "NVARCHAR"]) {
            data_type.charset = Some("utf8".to_owned());
        }
        if data_type.name == TypeName::Char
            && self.eat_one_of(&["VARYING", "VARCHAR", "VARCHARACTER"]).is_some()
        {
            data_type.name = TypeName::VarChar;
        }
        if data_type.name == TypeName::Double {
            self.eat_word("PRECISION");
        }
        match data_type.name {
            TypeName::Enum | TypeName::Set => data_type.elements = self.parenthesised(Self::string_like)?,
            TypeName::Decimal | TypeName::Float | TypeName::Double => {
                if self.eat(Kind::LeftParen) {
                    data_type.length = Some(self.unsigned32()?);
                    if self.eat(Kind::Comma) {
                        data_type.scale = Some(self.unsigned32()?);
                    }
                    self.expect(Kind::RightParen)?;
                }
            }
            TypeName::Bool | TypeName::Date | TypeName::Json => {}
            _ => {
                if self.eat(Kind::LeftParen) {
                    data_type.length = Some(self.unsigned32()?);
                    self.expect(Kind::RightParen)?;
                } else if matches!(data_type.name, TypeName::VarChar | TypeName::VarBinary) {
                    return self.fail();
                }
            }
        }
        match data_type.name {
            TypeName::TinyInt
            | TypeName::SmallInt
            | TypeName::MediumInt
            | TypeName::Int
            | TypeName::BigInt
            | TypeName::Decimal
            | TypeName::Float
            | TypeName::Double
            | TypeName::Year => loop {
                if self.eat_word("UNSIGNED") {
                    data_type.unsigned = true;
                } else if self.eat_word("ZEROFILL") {
                    data_type.zerofill = true;
                    data_type.unsigned = true;
                } else if !self.eat_word("SIGNED") {
                    break;
                }
            },
            TypeName::Char
            | TypeName::VarChar
            | TypeName::TinyText
            | TypeName::Text
            | TypeName::MediumText
            | TypeName::LongText
            | TypeName::Enum
            | TypeName::Set => self.text_attributes(&mut data_type)?,
            _ => {}
        }
        Ok(data_type)
    }

    fn text_attributes(&mut self, data_type: &mut DataType) -> Result<()> {
        loop {
            if let Some(charset) = self.optional_charset()? {
                data_type.charset = Some(charset);
            } else if self.eat_word("ASCII") {
                data_type.charset = Some("latin1".to_owned());
            } else if self.eat_word("UNICODE") {
                data_type.charset = Some("ucs2".to_owned());
            } else if self.eat_word("BYTE") {
                data_type.charset = Some("binary".to_owned());
            } else if self.eat_word("BINARY") {
                data_type.binary = true;
            } else if self.eat_word("COLLATE") {
                self.eat(Kind::Eq);
                data_type.collation = Some(self.ident_or_text()?.to_lowercase());
            } else {
                return Ok(());
            }
        }
    }

    /// The type in CAST and CONVERT.
    pub fn cast_type(&mut self) -> Result<DataType> {
        if let Some(sign) = self.eat_one_of(&["SIGNED", "UNSIGNED"]) {
            self.eat_one_of(&["INTEGER", "INT"]);
            return Ok(DataType { unsigned: sign == "UNSIGNED", ..DataType::new(TypeName::BigInt) });
        }
        let start = self.position;
        let data_type = self.data_type()?;
        match data_type.name {
            TypeName::Char
            | TypeName::Binary
            | TypeName::Date
            | TypeName::DateTime
            | TypeName::Time
            | TypeName::Decimal
            | TypeName::Double
            | TypeName::Float
            | TypeName::Json
            | TypeName::Year => Ok(data_type),
            // MariaDB's and TiDB's clients write these; they mean what they say.
            TypeName::Int | TypeName::BigInt if data_type.length.is_none() => {
                Ok(DataType { name: TypeName::BigInt, ..data_type })
            }
            _ => Err(self.error_at(start)),
        }
    }

    /// `name type attributes`.
    pub fn column_def(&mut self) -> Result<ColumnDef> {
        let name = self.ident()?;
        // `table.column` is allowed in a definition; only the column counts.
        let mut name = name;
        while self.eat(Kind::Period) {
            name = self.ident_after_period()?;
        }
        if self.eat_word("SERIAL") {
            let mut column = ColumnDef {
                name,
                data_type: DataType { unsigned: true, ..DataType::new(TypeName::BigInt) },
                options: vec![ColumnOption::NotNull, ColumnOption::AutoIncrement, ColumnOption::UniqueKey],
            };
            self.column_options(&mut column)?;
            return Ok(column);
        }
        let data_type = self.data_type()?;
        let mut column = ColumnDef { name, data_type, options: Vec::new() };
        self.column_options(&mut column)?;
        Ok(column)
    }

    fn column_options(&mut self, column: &mut ColumnDef) -> Result<()> {
        loop {
            let option = if self.eat_words(&["NOT", "NULL"]) {
                ColumnOption::NotNull
            } else if self.eat_word("NULL") {
                ColumnOption::Null
            } else if self.eat_words(&["SERIAL", "DEFAULT", "VALUE"]) {
                column.options.extend([
                    ColumnOption::NotNull,
                    ColumnOption::AutoIncrement,
                    ColumnOption::UniqueKey,
                ]);
                continue;
            } else if self.eat_word("DEFAULT") {
                let (value, parenthesised) = self.default_value()?;
                ColumnOption::Default { value, parenthesised }
            } else if self.eat_words(&["ON", "UPDATE"]) {
                ColumnOption::OnUpdate(self.now_call()?)
            } else if self.eat_word("AUTO_INCREMENT") {
                ColumnOption::AutoIncrement
            } else if self.eat_word("AUTO_RANDOM") {
                let mut bits = Vec::new();
                if self.is(Kind::LeftParen) {
                    bits = self.parenthesised(Self::unsigned32)?;
                }
                ColumnOption::AutoRandom {
                    shard_bits: bits.first().copied(),
                    range_bits: bits.get(1).copied(),
                }
            } else if self.eat_words(&["PRIMARY", "KEY"]) || self.eat_word("KEY") {
                let clustered = self.clustered();
                ColumnOption::PrimaryKey { clustered }
            } else if self.eat_word("UNIQUE") {
                self.eat_word("KEY");
                self.eat_one_of(&["GLOBAL", "LOCAL"]);
                ColumnOption::UniqueKey
            } else if self.eat_word("COMMENT") {
                ColumnOption::Comment(self.string()?)
            } else if self.eat_word("COLLATE") {
                column.data_type.collation = Some(self.ident_or_text()?.to_lowercase());
                continue;
            } else if self.is_words(&["GENERATED", "ALWAYS", "AS"]) || self.is_word("AS") {
                self.eat_words(&["GENERATED", "ALWAYS"]);
                self.advance();
                self.expect(Kind::LeftParen)?;
                let first = self.position;
                let expr = self.expr()?;
                let text = SourceText(self.text_between(first, self.position - 1));
                self.expect(Kind::RightParen)?;
                let stored = self
                    .eat_one_of(&["VIRTUAL", "STORED", "PERSISTENT"])
                    .is_some_and(|word| word != "VIRTUAL");
                ColumnOption::Generated { expr, text, stored }
            } else if self.is_word("CONSTRAINT") || self.is_word("CHECK") {
                let name = if self.eat_word("CONSTRAINT") && !self.is_word("CHECK") {
                    Some(self.ident()?)
                } else {
                    None
                };
                if !self.is_word("CHECK") {
                    return self.fail();
                }
                ColumnOption::Check(self.check(name)?)
            } else if self.is_word("REFERENCES") {
                ColumnOption::References(self.references()?)
            } else if self.eat_word("COLUMN_FORMAT") {
                ColumnOption::ColumnFormat(self.ident_or_text()?.to_uppercase())
            } else if self.eat_word("STORAGE") {
                ColumnOption::Storage(self.ident_or_text()?.to_uppercase())
            } else if self.eat_word("VISIBLE") {
                ColumnOption::Visible(true)
            } else if self.eat_word("INVISIBLE") {
                ColumnOption::Visible(false)
            } else {
                return Ok(());
            };
            column.options.push(option);
        }
    }

    /// CLUSTERED or NONCLUSTERED, if one of them stands here.
    pub fn clustered(&mut self) -> Option<bool> {
        self.eat_one_of(&["CLUSTERED", "NONCLUSTERED"]).map(|word| word == "CLUSTERED")
    }

    /// Behind DEFAULT: a literal with an optional sign, NOW, or an expression in parentheses (then true).
    pub fn default_value(&mut self) -> Result<(Expr, bool)> {
        if self.eat(Kind::LeftParen) {
            let expr = self.expr()?;
            self.expect(Kind::RightParen)?;
            return Ok((expr, true));
        }
        if self.is_one_of(&["CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"]) {
            return Ok((self.now_call()?, false));
        }
        // TiDB's sequences, and functions that MySQL wants in parentheses, as in `DEFAULT UUID()`.
        if self.is(Kind::Word) && self.kind_at(1) == Kind::LeftParen {
            return Ok((self.expr()?, false));
        }
        if self.is_one_of(&["CURRENT_DATE", "CURDATE", "UUID"]) {
            return Ok((self.expr()?, false));
        }
        Ok((self.signed_literal()?, false))
    }

    /// A constant with an optional sign.
    pub fn signed_literal(&mut self) -> Result<Expr> {
        let negative = self.eat(Kind::Minus);
        if !negative {
            self.eat(Kind::Plus);
        }
        let literal = match self.kind() {
            Kind::Word if self.compound_literal().is_some() => self.literal()?,
            Kind::Word => {
                let literal = match self.word().to_ascii_uppercase().as_str() {
                    "NULL" => Literal::Null,
                    "TRUE" => Literal::Bool(true),
                    "FALSE" => Literal::Bool(false),
                    _ => return self.fail(),
                };
                self.advance();
                Expr::Literal(literal)
            }
            Kind::LeftBrace => {
                let literal = self.literal()?;
                self.expect(Kind::RightBrace)?;
                return Ok(literal);
            }
            Kind::String => return self.literal(),
            Kind::Parameter => {
                let index = self.peek().ordinal as usize;
                self.advance();
                return Ok(Expr::Parameter(index));
            }
            _ => self.literal()?,
        };
        Ok(if negative { crate::lower::negate(literal) } else { literal })
    }

    /// `CURRENT_TIMESTAMP[(n)]` and its synonyms.
    fn now_call(&mut self) -> Result<Expr> {
        if self.eat_one_of(&["CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"]).is_none() {
            return self.fail();
        }
        let mut args = Vec::new();
        if self.eat(Kind::LeftParen) {
            if self.is(Kind::Integer) {
                args.push(self.literal()?);
            }
            self.expect(Kind::RightParen)?;
        }
        Ok(Expr::Function(FunctionCall { schema: None, name: "now".to_owned(), args }))
    }

    /// `CHECK (expr) [[NOT] ENFORCED]`.
    pub fn check(&mut self, name: Option<crate::ast::Ident>) -> Result<CheckConstraint> {
        self.expect_word("CHECK")?;
        self.expect(Kind::LeftParen)?;
        let expr = self.expr()?;
        self.expect(Kind::RightParen)?;
        let enforced = if self.eat_words(&["NOT", "ENFORCED"]) {
            false
        } else {
            self.eat_word("ENFORCED");
            true
        };
        Ok(CheckConstraint { name, expr, enforced })
    }

    /// `REFERENCES table (columns) [MATCH ..] [ON DELETE ..] [ON UPDATE ..]`.
    pub fn references(&mut self) -> Result<ForeignKeyReference> {
        self.expect_word("REFERENCES")?;
        let mut reference = ForeignKeyReference {
            table: self.object_name()?,
            columns: Vec::new(),
            matching: None,
            on_delete: None,
            on_update: None,
        };
        if self.is(Kind::LeftParen) {
            reference.columns = self.parenthesised(Self::index_part)?;
        }
        if self.eat_word("MATCH") {
            match self.eat_one_of(&["FULL", "PARTIAL", "SIMPLE"]) {
                Some(matching) => reference.matching = Some(matching.to_owned()),
                None => return self.fail(),
            }
        }
        loop {
            if self.eat_words(&["ON", "DELETE"]) {
                reference.on_delete = Some(self.reference_action()?);
            } else if self.is_words(&["ON", "UPDATE"]) && !self.is_word_at(2, "CURRENT_TIMESTAMP") {
                self.position += 2;
                reference.on_update = Some(self.reference_action()?);
            } else {
                return Ok(reference);
            }
        }
    }

    fn reference_action(&mut self) -> Result<ReferenceAction> {
        if self.eat_words(&["SET", "NULL"]) {
            Ok(ReferenceAction::SetNull)
        } else if self.eat_words(&["SET", "DEFAULT"]) {
            Ok(ReferenceAction::SetDefault)
        } else if self.eat_words(&["NO", "ACTION"]) {
            Ok(ReferenceAction::NoAction)
        } else if self.eat_word("RESTRICT") {
            Ok(ReferenceAction::Restrict)
        } else if self.eat_word("CASCADE") {
            Ok(ReferenceAction::Cascade)
        } else {
            self.fail()
        }
    }
}
