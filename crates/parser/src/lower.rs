//! From `sqlparser`'s trees to ours: expressions here, calls in [`function`], queries in [`query`].
//!
//! This is the only module that knows both. Every `sqlparser` struct is taken apart without `..`, and every enum matched without
//! `_` where a variant may carry something MySQL could say, so that a new version of `sqlparser` breaks the build and not a query.

mod function;
mod query;

use sqlparser::ast as upstream;
use sqlparser::parser::{Parser, ParserError};

use crate::ast::{
    BinaryOp, BytesLiteral, Case, ColumnName, Expr, Ident, Literal, Locking, MatchModifier, OrderItem,
    Quantifier, Query, StringLiteral, SystemVariable, TableRef, Truth, UnaryOp, VariableScope,
};
use crate::cursor::{Cursor, Result};
use crate::dialect::TidewaterDialect;
use crate::error::ParseError;
use crate::lexer::Kind;
use crate::literal;
use crate::words;

/// Our trees are never deeper than this, so that whoever walks one with a function that calls itself is safe.
pub(crate) const EXPR_DEPTH_MAX: usize = 500;

/// How deep `sqlparser` may call itself; more than any tree within our limits needs.
const RECURSION_MAX: usize = 1_500;

/// Statements with more lexemes than this are converted on a stack that grows with them: `sqlparser` drops its trees
/// recursively, and a chain of operators is as deep as it is long.
const SMALL_STACK_LEXEMES: usize = 400;

const STACK_BYTES_PER_LEXEME: usize = 1_024;

const STACK_BYTES_MAX: usize = 512 << 20;

impl Cursor<'_> {
    /// An expression.
    pub fn expr(&mut self) -> Result<Expr> {
        if let Some(expr) = self.simple_expr() {
            return Ok(expr);
        }
        self.delegate(true, |parser| parser.parse_expr(), |lowering, expr| lowering.expr(expr, 0))
    }

    /// A query, without the parentheses that may be around it.
    pub fn query(&mut self) -> Result<Query> {
        self.delegate(
            false,
            |parser| parser.parse_query(),
            |lowering, query| {
                let mut query = lowering.query(*query, 0)?;
                query.into = lowering.into.take();
                Ok(query)
            },
        )
    }

    /// A list of table references, as after FROM.
    pub fn table_references(&mut self) -> Result<Vec<TableRef>> {
        self.delegate(
            false,
            |parser| parser.parse_comma_separated(|parser| parser.parse_table_and_joins()),
            |lowering, tables| tables.into_iter().map(|table| lowering.table_with_joins(table, 0)).collect(),
        )
    }

    /// A constant, parameter or plain name that is a whole expression: no operator follows.
    fn simple_expr(&mut self) -> Option<Expr> {
        if self.is(Kind::Word)
            && let Some(length) = self.compound_literal()
        {
            let alone =
                matches!(self.kind_at(length), Kind::Comma | Kind::RightParen | Kind::Semicolon | Kind::End);
            return if alone { self.literal().ok() } else { None };
        }
        let negative = usize::from(self.is(Kind::Minus));
        let lexeme = self.lexeme(self.position + negative);
        if !matches!(self.kind_at(negative + 1), Kind::Comma | Kind::RightParen | Kind::Semicolon | Kind::End)
        {
            return None;
        }
        let expr = match lexeme.kind {
            Kind::Integer | Kind::Decimal | Kind::Float if negative == 1 => {
                negate(Expr::Literal(literal::simple(lexeme, self.text, self.sql_mode)?))
            }
            _ if negative == 1 => return None,
            Kind::Parameter => Expr::Parameter(lexeme.ordinal as usize),
            Kind::UserVariable => {
                Expr::UserVariable(literal::decode_user_variable(self.source(lexeme), self.sql_mode))
            }
            Kind::SystemVariable => Expr::SystemVariable(system_variable(self.word_of(lexeme))),
            Kind::QuotedName => Expr::Column(ColumnName::bare(literal::decode_name(self.word_of(lexeme)))),
            Kind::Word => {
                let word = self.word_of(lexeme);
                if word.eq_ignore_ascii_case("NULL") {
                    Expr::Literal(Literal::Null)
                } else if word.eq_ignore_ascii_case("TRUE") {
                    Expr::Literal(Literal::Bool(true))
                } else if word.eq_ignore_ascii_case("FALSE") {
                    Expr::Literal(Literal::Bool(false))
                } else if word.eq_ignore_ascii_case("DEFAULT") {
                    Expr::Default(None)
                } else if words::is_reserved(word) {
                    return None;
                } else {
                    Expr::Column(ColumnName::bare(word))
                }
            }
            _ => Expr::Literal(literal::simple(lexeme, self.text, self.sql_mode)?),
        };
        self.position += negative + 1;
        Some(expr)
    }

    /// Lets `sqlparser` read what starts here and lowers it; the position is then behind it.
    fn delegate<S, T>(
        &mut self,
        stop_at_comma: bool,
        parse: impl FnOnce(&mut Parser) -> std::result::Result<S, ParserError>,
        lower: impl FnOnce(&mut Lowering, S) -> Result<T>,
    ) -> Result<T> {
        let end = self.extent(stop_at_comma);
        let lexemes = end - self.position;
        let mut work = Some(|cursor: &mut Self| cursor.delegate_here(end, parse, lower));
        let mut run = |cursor: &mut Self| match work.take() {
            Some(work) => work(cursor),
            None => cursor.fail(),
        };
        if lexemes <= SMALL_STACK_LEXEMES {
            return run(self);
        }
        let stack = (lexemes * STACK_BYTES_PER_LEXEME).clamp(1 << 20, STACK_BYTES_MAX);
        stacker::grow(stack, || run(self))
    }

    fn delegate_here<S, T>(
        &mut self,
        end: usize,
        parse: impl FnOnce(&mut Parser) -> std::result::Result<S, ParserError>,
        lower: impl FnOnce(&mut Lowering, S) -> Result<T>,
    ) -> Result<T> {
        let converted = self.convert(end)?;
        let dialect = TidewaterDialect::new(self.sql_mode);
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(RECURSION_MAX)
            .with_tokens_with_locations(converted.tokens);
        let lexeme_at = |parser: &Parser, index: usize| match parser.token_at(index).span.start.column {
            0 => end,
            column => column as usize - 1,
        };
        let tree = parse(&mut parser).map_err(|error| match error {
            ParserError::RecursionLimitExceeded => ParseError::TooDeep,
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                let furthest = lexeme_at(&parser, dialect.furthest());
                let found =
                    if message.ends_with("found: EOF") { end } else { column_of(&message).unwrap_or(0) };
                self.error_at(furthest.max(found))
            }
        })?;
        let next = lexeme_at(&parser, parser.index());
        drop(parser);
        let locks = converted.locks.into_iter().map(Some).collect();
        let value = lower(&mut Lowering { cursor: self, locks, into: converted.into, next }, tree)?;
        self.position = next;
        Ok(value)
    }
}

/// The lexeme an error message of `sqlparser` speaks of.
fn column_of(message: &str) -> Option<usize> {
    let (_, column) = message.rsplit_once("Column: ")?;
    column.trim().parse::<usize>().ok()?.checked_sub(1)
}

/// `@@[scope.]name`, as written.
pub(crate) fn system_variable(source: &str) -> SystemVariable {
    let name = source.trim_start_matches('@').replace('`', "").to_lowercase();
    match name.split_once('.') {
        Some((scope, rest)) => match variable_scope(scope) {
            Some(scope) => SystemVariable { scope: Some(scope), name: rest.to_owned() },
            None => SystemVariable { scope: None, name },
        },
        None => SystemVariable { scope: None, name },
    }
}

pub(crate) fn variable_scope(word: &str) -> Option<VariableScope> {
    Some(match word.to_ascii_lowercase().as_str() {
        "global" => VariableScope::Global,
        "session" | "local" => VariableScope::Session,
        "persist" => VariableScope::Persist,
        "persist_only" => VariableScope::PersistOnly,
        "instance" => VariableScope::Instance,
        _ => return None,
    })
}

/// Whether LIMIT takes this: an unsigned integer or a parameter.
pub(crate) fn is_row_count(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Literal::Int(_) | Literal::UInt(_)) | Expr::Parameter(_))
}

/// A minus sign before an operand; the smallest integer becomes a literal.
pub(crate) fn negate(operand: Expr) -> Expr {
    const MIN_MAGNITUDE: u64 = 1 << 63;
    match operand {
        Expr::Literal(Literal::UInt(MIN_MAGNITUDE)) => Expr::Literal(Literal::Int(i64::MIN)),
        operand => Expr::Unary { op: UnaryOp::Minus, expr: Box::new(operand) },
    }
}

/// Operands of an associative operator as a tree of logarithmic depth.
pub(crate) fn balance(op: BinaryOp, mut operands: Vec<Expr>) -> Expr {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::Binary { left: Box::new(left), op, right: Box::new(right) },
                None => left,
            });
        }
        operands = pairs;
    }
    operands.pop().unwrap_or(Expr::Literal(Literal::Null))
}

/// The operands of a tree of one operator, from left to right.
pub(crate) fn flatten(op: BinaryOp, expr: Expr, into: &mut Vec<Expr>) {
    match expr {
        Expr::Binary { left, op: found, right } if found == op => {
            flatten(op, *left, into);
            flatten(op, *right, into);
        }
        expr => into.push(expr),
    }
}

/// One conversion: the lexemes behind the tokens, and what the tokens only refer to.
struct Lowering<'c, 'a> {
    cursor: &'c Cursor<'a>,
    locks: Vec<Option<Locking>>,
    into: Option<crate::ast::SelectInto>,
    /// The lexeme behind everything.
    next: usize,
}

impl Lowering<'_, '_> {
    fn fail_at<T>(&self, span: sqlparser::tokenizer::Span) -> Result<T> {
        match span.start.column {
            0 => self.cursor.fail(),
            column => Err(self.cursor.error_at(column as usize - 1)),
        }
    }

    fn refuse<T>(&self, what: &str) -> Result<T> {
        self.cursor.unsupported(what)
    }

    /// A name that must not be an unquoted reserved word.
    fn ident(&self, ident: upstream::Ident) -> Result<Ident> {
        let upstream::Ident { value, quote_style, span } = ident;
        match quote_style {
            None if words::is_reserved(&value) => self.fail_at(span),
            Some('\'') => self.alias_text(&value).map(Ident),
            _ => Ok(Ident(value)),
        }
    }

    /// The contents of a string that the tokens know only by its lexeme.
    fn alias_text(&self, reference: &str) -> Result<String> {
        match reference.parse() {
            Ok(index) => self.cursor.at(index).string(),
            Err(_) => self.cursor.fail(),
        }
    }

    fn idents(&self, idents: Vec<upstream::Ident>) -> Result<Vec<Ident>> {
        idents.into_iter().map(|ident| self.ident(ident)).collect()
    }

    fn name_parts(&self, name: upstream::ObjectName) -> Result<Vec<Ident>> {
        let parts = name.0.into_iter().map(|part| match part {
            upstream::ObjectNamePart::Identifier(ident) => self.ident(ident),
            upstream::ObjectNamePart::Function(_) => self.refuse("a function as a name"),
        });
        parts.collect()
    }

    fn object_name(&self, name: upstream::ObjectName) -> Result<crate::ast::ObjectName> {
        let mut parts = self.name_parts(name)?.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), None, None) => Ok(crate::ast::ObjectName { schema: None, name }),
            (Some(schema), Some(name), None) => Ok(crate::ast::ObjectName { schema: Some(schema), name }),
            _ => self.cursor.fail(),
        }
    }

    fn column(&self, parts: Vec<Ident>) -> Result<ColumnName> {
        let mut parts = parts.into_iter().rev();
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(name), table, schema, None) => Ok(ColumnName { schema, table, name }),
            _ => self.cursor.fail(),
        }
    }

    /// A collation or character set: a word or a string, in lower case.
    fn charset_name(&self, ident: upstream::Ident) -> Result<String> {
        let name = match ident.quote_style {
            Some('\'') => self.alias_text(&ident.value)?,
            _ => ident.value,
        };
        Ok(name.to_lowercase())
    }

    fn boxed(&mut self, expr: upstream::Expr, depth: usize) -> Result<Box<Expr>> {
        self.expr(expr, depth).map(Box::new)
    }

    fn exprs(&mut self, exprs: Vec<upstream::Expr>, depth: usize) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.expr(expr, depth)).collect()
    }

    /// An expression at a depth of the tree.
    fn expr(&mut self, expr: upstream::Expr, depth: usize) -> Result<Expr> {
        if depth > EXPR_DEPTH_MAX {
            return Err(ParseError::TooDeep);
        }
        stacker::maybe_grow(128 << 10, 2 << 20, || self.expr_here(expr, depth))
    }

    fn expr_here(&mut self, expr: upstream::Expr, depth: usize) -> Result<Expr> {
        use upstream::Expr as U;
        let below = depth + 1;
        Ok(match expr {
            U::Identifier(ident) => Expr::Column(ColumnName::bare(self.ident(ident)?)),
            U::CompoundIdentifier(idents) => {
                let parts = self.idents(idents)?;
                Expr::Column(self.column(parts)?)
            }
            U::Value(value) => self.value(value)?,
            U::Nested(expr) => self.expr(*expr, depth)?,
            U::BinaryOp { .. } => self.binary(expr, depth)?,
            U::UnaryOp { op, expr } => {
                let operand = self.expr(*expr, below)?;
                let op = match op {
                    upstream::UnaryOperator::Minus => return Ok(negate(operand)),
                    upstream::UnaryOperator::Plus => UnaryOp::Plus,
                    upstream::UnaryOperator::Not | upstream::UnaryOperator::BangNot => UnaryOp::Not,
                    upstream::UnaryOperator::BitwiseNot => UnaryOp::BitNot,
                    _ => return self.cursor.fail(),
                };
                Expr::Unary { op, expr: Box::new(operand) }
            }
            U::IsNull(expr) => Expr::IsNull { expr: self.boxed(*expr, below)?, negated: false },
            U::IsNotNull(expr) => Expr::IsNull { expr: self.boxed(*expr, below)?, negated: true },
            U::IsTrue(expr) => self.truth(*expr, Truth::True, false, below)?,
            U::IsNotTrue(expr) => self.truth(*expr, Truth::True, true, below)?,
            U::IsFalse(expr) => self.truth(*expr, Truth::False, false, below)?,
            U::IsNotFalse(expr) => self.truth(*expr, Truth::False, true, below)?,
            U::IsUnknown(expr) => self.truth(*expr, Truth::Unknown, false, below)?,
            U::IsNotUnknown(expr) => self.truth(*expr, Truth::Unknown, true, below)?,
            U::InList { expr, mut list, negated } => {
                let expr = self.boxed(*expr, below)?;
                // `IN ((SELECT ..))` is the query, not a list of one.
                if list.len() == 1 && matches!(list[0], U::Subquery(_)) {
                    let Some(U::Subquery(query)) = list.pop() else { return self.cursor.fail() };
                    return Ok(Expr::InSubquery {
                        expr,
                        query: Box::new(self.query(*query, below)?),
                        negated,
                    });
                }
                Expr::InList { expr, list: self.exprs(list, below)?, negated }
            }
            U::InSubquery { expr, subquery, negated } => Expr::InSubquery {
                expr: self.boxed(*expr, below)?,
                query: Box::new(self.query(*subquery, below)?),
                negated,
            },
            U::Between { expr, negated, low, high } => Expr::Between {
                expr: self.boxed(*expr, below)?,
                low: self.boxed(*low, below)?,
                high: self.boxed(*high, below)?,
                negated,
            },
            U::Like { negated, any: false, expr, pattern, escape_char } => Expr::Like {
                expr: self.boxed(*expr, below)?,
                pattern: self.boxed(*pattern, below)?,
                escape: match escape_char {
                    Some(escape) => Some(self.boxed(*escape, below)?),
                    None => None,
                },
                negated,
            },
            U::RLike { negated, expr, pattern, regexp: _ } => Expr::Regexp {
                expr: self.boxed(*expr, below)?,
                pattern: self.boxed(*pattern, below)?,
                negated,
            },
            U::AnyOp { left, compare_op, right, is_some: _ } => {
                self.quantified(*left, compare_op, Quantifier::Any, *right, below)?
            }
            U::AllOp { left, compare_op, right } => {
                self.quantified(*left, compare_op, Quantifier::All, *right, below)?
            }
            U::MemberOf(upstream::MemberOf { value, array }) => {
                Expr::MemberOf { value: self.boxed(*value, below)?, array: self.boxed(*array, below)? }
            }
            U::Collate { expr, collation } => {
                let Some(upstream::ObjectNamePart::Identifier(name)) = collation.0.into_iter().next() else {
                    return self.cursor.fail();
                };
                Expr::Collate { expr: self.boxed(*expr, below)?, collation: self.charset_name(name)? }
            }
            U::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                let operand = operand.map(|operand| self.expr(*operand, below)).transpose()?;
                let branches = conditions.into_iter().map(|upstream::CaseWhen { condition, result }| {
                    Ok((self.expr(condition, below)?, self.expr(result, below)?))
                });
                let branches = branches.collect::<Result<_>>()?;
                let otherwise = else_result.map(|result| self.expr(*result, below)).transpose()?;
                Expr::Case(Box::new(Case { operand, branches, otherwise }))
            }
            U::Exists { subquery, negated: _ } => Expr::Exists(Box::new(self.query(*subquery, below)?)),
            U::Subquery(query) => Expr::Subquery(Box::new(self.query(*query, below)?)),
            U::Tuple(members) => Expr::Row(self.exprs(members, below)?),
            U::Function(function) => self.function(function, below)?,
            U::MatchAgainst { columns, match_value, opt_search_modifier } => {
                let columns = columns.into_iter().map(|name| {
                    let parts = self.name_parts(name)?;
                    self.column(parts)
                });
                let modifier = match opt_search_modifier {
                    None | Some(upstream::SearchModifier::InNaturalLanguageMode) => {
                        MatchModifier::NaturalLanguage
                    }
                    Some(upstream::SearchModifier::InNaturalLanguageModeWithQueryExpansion) => {
                        MatchModifier::NaturalLanguageWithQueryExpansion
                    }
                    Some(upstream::SearchModifier::InBooleanMode) => MatchModifier::Boolean,
                    Some(upstream::SearchModifier::WithQueryExpansion) => MatchModifier::QueryExpansion,
                };
                Expr::Match {
                    columns: columns.collect::<Result<_>>()?,
                    against: Box::new(self.value(match_value)?),
                    modifier,
                }
            }
            // The dialect's operands and operators never give these: other systems' constructs.
            U::CompoundFieldAccess { .. }
            | U::JsonAccess { .. }
            | U::IsDistinctFrom(..)
            | U::IsNotDistinctFrom(..)
            | U::IsJson { .. }
            | U::IsNormalized { .. }
            | U::InUnnest { .. }
            | U::Like { any: true, .. }
            | U::ILike { .. }
            | U::SimilarTo { .. }
            | U::Convert { .. }
            | U::Cast { .. }
            | U::AtTimeZone { .. }
            | U::Extract { .. }
            | U::Ceil { .. }
            | U::Floor { .. }
            | U::Position { .. }
            | U::Substring { .. }
            | U::Trim { .. }
            | U::Overlay { .. }
            | U::Prefixed { .. }
            | U::TypedString(_)
            | U::GroupingSets(_)
            | U::Cube(_)
            | U::Rollup(_)
            | U::Struct { .. }
            | U::Named { .. }
            | U::Dictionary(_)
            | U::Map(_)
            | U::Array(_)
            | U::Interval(_)
            | U::Wildcard(_)
            | U::QualifiedWildcard(..)
            | U::OuterJoin(_)
            | U::Prior(_)
            | U::Lambda(_) => return self.cursor.fail(),
        })
    }

    fn truth(&mut self, expr: upstream::Expr, truth: Truth, negated: bool, depth: usize) -> Result<Expr> {
        Ok(Expr::IsTruth { expr: self.boxed(expr, depth)?, truth, negated })
    }

    fn quantified(
        &mut self,
        left: upstream::Expr,
        op: upstream::BinaryOperator,
        quantifier: Quantifier,
        right: upstream::Expr,
        depth: usize,
    ) -> Result<Expr> {
        let left = self.boxed(left, depth)?;
        let op = self.operator(op)?;
        let upstream::Expr::Subquery(query) = right else { return self.cursor.fail() };
        Ok(Expr::Quantified { left, op, quantifier, query: Box::new(self.query(*query, depth)?) })
    }

    fn operator(&self, op: upstream::BinaryOperator) -> Result<BinaryOp> {
        use upstream::BinaryOperator as U;
        Ok(match op {
            U::Plus => BinaryOp::Plus,
            U::Minus => BinaryOp::Minus,
            U::Multiply => BinaryOp::Multiply,
            U::Divide => BinaryOp::Divide,
            U::Modulo => BinaryOp::Modulo,
            U::StringConcat => BinaryOp::Concat,
            U::Gt => BinaryOp::Gt,
            U::Lt => BinaryOp::Lt,
            U::GtEq => BinaryOp::Ge,
            U::LtEq => BinaryOp::Le,
            U::Spaceship => BinaryOp::NullSafeEq,
            U::Eq => BinaryOp::Eq,
            U::NotEq => BinaryOp::Ne,
            U::And => BinaryOp::And,
            U::Or => BinaryOp::Or,
            U::Xor => BinaryOp::Xor,
            U::BitwiseOr => BinaryOp::BitOr,
            U::BitwiseAnd => BinaryOp::BitAnd,
            U::BitwiseXor => BinaryOp::BitXor,
            U::PGBitwiseShiftLeft => BinaryOp::ShiftLeft,
            U::PGBitwiseShiftRight => BinaryOp::ShiftRight,
            U::Arrow => BinaryOp::JsonExtract,
            U::LongArrow => BinaryOp::JsonExtractUnquote,
            U::Custom(operator) => match operator.as_str() {
                "DIV" => BinaryOp::IntDivide,
                "MOD" => BinaryOp::Modulo,
                "SOUNDS" => BinaryOp::SoundsLike,
                _ => return self.cursor.fail(),
            },
            // Tokens of these are never made.
            _ => return self.cursor.fail(),
        })
    }

    /// A chain of infix operators, taken apart from its end: it may be much longer than the stack is deep.
    fn binary(&mut self, mut expr: upstream::Expr, depth: usize) -> Result<Expr> {
        let mut chain = Vec::new();
        let mut height = 0;
        let leftmost = loop {
            match expr {
                upstream::Expr::BinaryOp { left, op, right } => {
                    let op = self.operator(op)?;
                    if !matches!(op, BinaryOp::And | BinaryOp::Or) {
                        height += 1;
                    }
                    chain.push((op, right));
                    expr = *left;
                }
                leftmost => break leftmost,
            }
        };
        // Balanced chains of AND and OR alternate at most with each other's levels of binding.
        let below = depth + height + 1;
        if below > EXPR_DEPTH_MAX {
            // The boxes are shallow from here on: dropping them is safe.
            return Err(ParseError::TooDeep);
        }
        let mut left = self.expr(leftmost, below)?;
        while let Some((op, right)) = chain.pop() {
            let right = self.expr(*right, below)?;
            left = match op {
                BinaryOp::And | BinaryOp::Or => {
                    let mut operands = Vec::new();
                    flatten(op, left, &mut operands);
                    flatten(op, right, &mut operands);
                    while chain.last().is_some_and(|(next, _)| *next == op) {
                        if let Some((_, right)) = chain.pop() {
                            flatten(op, self.expr(*right, below)?, &mut operands);
                        }
                    }
                    balance(op, operands)
                }
                // `date + INTERVAL 1 DAY` and `INTERVAL 1 DAY + date`.
                BinaryOp::Plus if matches!(right, Expr::Interval { .. }) => {
                    Expr::call("date_add", vec![left, right])
                }
                BinaryOp::Plus if matches!(left, Expr::Interval { .. }) => {
                    Expr::call("date_add", vec![right, left])
                }
                BinaryOp::Minus if matches!(right, Expr::Interval { .. }) => {
                    Expr::call("date_sub", vec![left, right])
                }
                op => Expr::Binary { left: Box::new(left), op, right: Box::new(right) },
            };
        }
        Ok(left)
    }

    fn value(&self, value: upstream::ValueWithSpan) -> Result<Expr> {
        let upstream::ValueWithSpan { value, span } = value;
        Ok(match value {
            upstream::Value::Null => Expr::Literal(Literal::Null),
            upstream::Value::Boolean(value) => Expr::Literal(Literal::Bool(value)),
            upstream::Value::Number(text, _) => Expr::Literal(literal::integer(&text)),
            upstream::Value::SingleQuotedString(reference) => match reference.parse() {
                Ok(index) => self.cursor.at(index).literal()?,
                Err(_) => return self.fail_at(span),
            },
            upstream::Value::Placeholder(reference) => {
                let (kind, number) = reference.split_at(1);
                let Ok(index) = number.parse::<usize>() else { return self.fail_at(span) };
                let lexeme = self.cursor.lexeme(index);
                match kind {
                    "l" => self.cursor.at(index).literal()?,
                    "p" => Expr::Parameter(index),
                    "v" => Expr::UserVariable(literal::decode_user_variable(
                        self.cursor.source(lexeme),
                        self.cursor.sql_mode,
                    )),
                    "s" => Expr::SystemVariable(system_variable(self.cursor.word_of(lexeme))),
                    _ => return self.fail_at(span),
                }
            }
            _ => return self.fail_at(span),
        })
    }

    fn order_items(&mut self, items: Vec<upstream::OrderByExpr>, depth: usize) -> Result<Vec<OrderItem>> {
        let items = items.into_iter().map(|upstream::OrderByExpr { expr, options, with_fill: _ }| {
            let upstream::OrderByOptions { sort, nulls_first } = options;
            if nulls_first.is_some() {
                return self.cursor.fail();
            }
            let descending = match sort {
                None | Some(upstream::OrderBySort::Asc) => false,
                Some(upstream::OrderBySort::Desc) => true,
                Some(upstream::OrderBySort::Using(_)) => return self.cursor.fail(),
            };
            Ok(OrderItem { expr: self.expr(expr, depth)?, descending })
        });
        items.collect()
    }
}

impl Cursor<'_> {
    /// The constant that starts here: plain, with an introducer, typed, or in ODBC braces (whose end is left).
    pub fn literal(&mut self) -> Result<Expr> {
        let literal = match self.kind() {
            Kind::String => Literal::String(StringLiteral { charset: None, value: self.string_bytes()? }),
            Kind::Word => {
                let word = self.word();
                self.advance();
                if let Some(charset) = word.strip_prefix('_') {
                    let charset = Some(charset.to_ascii_lowercase());
                    match literal::simple(self.peek(), self.text, self.sql_mode) {
                        Some(Literal::String(_)) => {
                            Literal::String(StringLiteral { charset, value: self.string_bytes()? })
                        }
                        Some(Literal::Hex(bytes)) => {
                            self.advance();
                            Literal::Hex(BytesLiteral { charset, ..bytes })
                        }
                        Some(Literal::Bit(bytes)) => {
                            self.advance();
                            Literal::Bit(BytesLiteral { charset, ..bytes })
                        }
                        _ => return self.fail(),
                    }
                } else {
                    self.typed_literal(word)?
                }
            }
            Kind::LeftBrace => {
                self.advance();
                let word = self.word();
                self.advance();
                self.typed_literal(word)?
            }
            _ => match literal::simple(self.peek(), self.text, self.sql_mode) {
                Some(literal) => {
                    self.advance();
                    literal
                }
                None => return self.fail(),
            },
        };
        Ok(Expr::Literal(literal))
    }

    fn typed_literal(&mut self, word: &str) -> Result<Literal> {
        let text = self.string()?;
        Ok(match word.to_ascii_lowercase().as_str() {
            "date" | "d" => Literal::Date(text),
            "time" | "t" => Literal::Time(text),
            "timestamp" | "ts" => Literal::Timestamp(text),
            _ => return self.fail(),
        })
    }

    fn string_bytes(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.is(Kind::String) {
            literal::decode_string(self.source(self.peek()), self.sql_mode, &mut bytes);
            self.advance();
        }
        Ok(bytes)
    }
}
