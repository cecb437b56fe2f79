//! MySQL's expressions for `sqlparser`.
//!
//! `sqlparser` runs the loop over operators and parses the query clauses; this dialect decides how tight the operators bind
//! (MySQL's table, not PostgreSQL's) and reads every operand, so that none of the constructs of other systems gets in. What has no
//! node of its own comes out as a call of an *internal function* (a name that starts with `\u{1}`), which only the lowering knows.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, NullTreatment, ObjectName, UnaryOperator, Value,
    ValueWithSpan, WindowType,
};
use sqlparser::dialect::{Dialect, MySqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token, Word};
use tidewater_types::SqlMode;

use crate::grammar::time_unit;
use crate::words;

type Result<T> = std::result::Result<T, ParserError>;

/// Reads a call with a grammar of its own, from behind its parenthesis to its end.
type SpecialFunction = fn(&TidewaterDialect, &mut Parser) -> Result<Expr>;

/// How tight operators bind.
mod binding {
    pub const OR: u8 = 5;
    pub const XOR: u8 = 10;
    pub const AND: u8 = 15;
    pub const NOT: u8 = 20;
    pub const COMPARISON: u8 = 30;
    /// LIKE, IN, BETWEEN, REGEXP, MEMBER OF, SOUNDS LIKE.
    pub const PREDICATE: u8 = 35;
    pub const BIT_OR: u8 = 40;
    pub const BIT_AND: u8 = 45;
    pub const SHIFT: u8 = 50;
    pub const SUM: u8 = 55;
    pub const PRODUCT: u8 = 60;
    pub const BIT_XOR: u8 = 65;
    pub const CONCAT: u8 = 67;
    pub const SIGN: u8 = 70;
    pub const BANG: u8 = 75;
    pub const BINARY: u8 = 80;
    pub const ARROW: u8 = 90;
}

/// Expressions with more operators than this are refused, whatever their shape.
const OPERATORS_MAX: usize = 100_000;

/// The first character of the internal functions' names.
pub(crate) const INTERNAL: char = '\u{1}';

/// MySQL as `sqlparser` shall see it; one value per parse.
#[derive(Debug, Default)]
pub(crate) struct TidewaterDialect {
    high_not: bool,
    /// The last token anyone looked at: where the error is, if there is one.
    furthest: Cell<usize>,
    operators: Cell<usize>,
}

impl TidewaterDialect {
    pub fn new(sql_mode: SqlMode) -> Self {
        Self { high_not: sql_mode.contains(SqlMode::HIGH_NOT_PRECEDENCE), ..Self::default() }
    }

    /// The number of the last token that was looked at.
    pub fn furthest(&self) -> usize {
        self.furthest.get()
    }

    fn note(&self, parser: &Parser) {
        self.furthest.set(self.furthest.get().max(parser.index()));
    }
}

/// A call of an internal function.
fn internal(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    call(ObjectName::from(vec![Ident::new(format!("{INTERNAL}{name}"))]), list(args))
}

fn list(args: Vec<FunctionArg>) -> FunctionArguments {
    FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() })
}

fn call(name: ObjectName, args: FunctionArguments) -> Expr {
    Expr::Function(Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args,
        within_group: Vec::new(),
        filter: None,
        null_treatment: None,
        over: None,
    })
}

fn value(value: Value, span: Span) -> Expr {
    Expr::Value(ValueWithSpan { value, span })
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword)
}

fn is_text(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn expected<T>(parser: &Parser) -> Result<T> {
    parser.expected_ref("an expression", parser.peek_token_ref())
}

impl TidewaterDialect {
    fn prefix(&self, parser: &mut Parser) -> Result<Expr> {
        let next = parser.peek_token_ref();
        let span = next.span;
        match &next.token {
            Token::Word(word) if word.quote_style.is_some() => {
                let word = word.clone();
                parser.advance_token();
                if parser.peek_token_ref().token == Token::LParen {
                    return self.function(parser, word.into_ident(span));
                }
                Ok(Expr::Identifier(word.into_ident(span)))
            }
            Token::Word(word) => {
                let word = word.clone();
                self.word(parser, word, span)
            }
            Token::Number(text, _) => {
                let text = text.clone();
                parser.advance_token();
                Ok(value(Value::Number(text, false), span))
            }
            Token::SingleQuotedString(text) => {
                let text = text.clone();
                parser.advance_token();
                Ok(value(Value::SingleQuotedString(text), span))
            }
            Token::Placeholder(text) => {
                let text = text.clone();
                parser.advance_token();
                if text.starts_with('v') && parser.consume_token(&Token::Assignment) {
                    let right = parser.parse_expr()?;
                    return Ok(internal("assign", vec![value(Value::Placeholder(text), span), right]));
                }
                Ok(value(Value::Placeholder(text), span))
            }
            Token::LParen => self.parenthesis(parser),
            Token::Minus => self.unary(parser, UnaryOperator::Minus, binding::SIGN),
            Token::Plus => self.unary(parser, UnaryOperator::Plus, binding::SIGN),
            Token::Tilde => self.unary(parser, UnaryOperator::BitwiseNot, binding::SIGN),
            Token::ExclamationMark => self.unary(parser, UnaryOperator::BangNot, binding::BANG),
            _ => expected(parser),
        }
    }

    fn unary(&self, parser: &mut Parser, op: UnaryOperator, binding: u8) -> Result<Expr> {
        parser.advance_token();
        Ok(Expr::UnaryOp { op, expr: Box::new(parser.parse_subexpr(binding)?) })
    }

    /// At `(`: a subquery, a row, or an expression in parentheses.
    fn parenthesis(&self, parser: &mut Parser) -> Result<Expr> {
        let is_query = Self::starts_query(parser);
        parser.advance_token();
        if is_query {
            let query = parser.parse_query()?;
            self.expect(parser, Token::RParen)?;
            return Ok(Expr::Subquery(query));
        }
        let first = parser.parse_expr()?;
        let expr = if parser.peek_token_ref().token == Token::Comma {
            let mut members = vec![first];
            while parser.consume_token(&Token::Comma) {
                members.push(parser.parse_expr()?);
            }
            Expr::Tuple(members)
        } else {
            Expr::Nested(Box::new(first))
        };
        self.expect(parser, Token::RParen)?;
        Ok(expr)
    }

    /// Whether the parenthesis here holds a query: `(SELECT`, or `((SELECT ..) UNION ..`, but not `((SELECT 1) + 1)`.
    fn starts_query(parser: &Parser) -> bool {
        let mut inner = 1;
        while parser.peek_nth_token_ref(inner).token == Token::LParen {
            inner += 1;
        }
        let Token::Word(word) = &parser.peek_nth_token_ref(inner).token else { return false };
        match word.keyword {
            Keyword::SELECT | Keyword::WITH | Keyword::TABLE => {}
            Keyword::VALUES if is_keyword(&parser.peek_nth_token_ref(inner + 1).token, Keyword::ROW) => {}
            _ => return false,
        }
        // What follows each of the inner parentheses decides.
        let mut depth = inner;
        let mut at = inner;
        while depth > 1 {
            at += 1;
            match &parser.peek_nth_token_ref(at).token {
                Token::LParen => depth += 1,
                Token::EOF => return true,
                Token::RParen => {
                    depth -= 1;
                    if depth < inner {
                        let next = &parser.peek_nth_token_ref(at + 1).token;
                        let continues = matches!(next, Token::RParen | Token::EOF)
                            || matches!(next, Token::Word(word) if matches!(
                                word.keyword,
                                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::ORDER | Keyword::LIMIT
                            ));
                        if !continues {
                            return false;
                        }
                        inner = depth;
                    }
                }
                _ => {}
            }
        }
        true
    }

    fn expect(&self, parser: &mut Parser, token: Token) -> Result<()> {
        self.note(parser);
        parser.expect_token(&token).map(|_| ())
    }

    fn word(&self, parser: &mut Parser, word: Word, span: Span) -> Result<Expr> {
        let before_paren = parser.peek_nth_token_ref(1).token == Token::LParen;
        match word.keyword {
            Keyword::NULL => {
                parser.advance_token();
                return Ok(value(Value::Null, span));
            }
            Keyword::TRUE | Keyword::FALSE => {
                parser.advance_token();
                return Ok(value(Value::Boolean(word.keyword == Keyword::TRUE), span));
            }
            Keyword::NOT => {
                parser.advance_token();
                let binding = if self.high_not { binding::BANG } else { binding::NOT };
                return Ok(Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(parser.parse_subexpr(binding)?),
                });
            }
            Keyword::CASE => {
                parser.advance_token();
                return parser.parse_case_expr();
            }
            Keyword::EXISTS => {
                parser.advance_token();
                return parser.parse_exists_expr(false);
            }
            Keyword::BINARY => {
                parser.advance_token();
                return Ok(internal("binary", vec![parser.parse_subexpr(binding::BINARY)?]));
            }
            Keyword::INTERVAL => return self.interval(parser),
            Keyword::MATCH => {
                parser.advance_token();
                return parser.parse_match_against();
            }
            Keyword::DEFAULT => {
                parser.advance_token();
                let mut args = Vec::new();
                if parser.consume_token(&Token::LParen) {
                    args.push(parser.parse_expr()?);
                    self.expect(parser, Token::RParen)?;
                }
                return Ok(internal("default", args));
            }
            Keyword::VALUES if before_paren => {
                parser.advance_token();
                parser.advance_token();
                let column = parser.parse_expr()?;
                self.expect(parser, Token::RParen)?;
                return Ok(internal("values", vec![column]));
            }
            Keyword::ROW if before_paren => {
                parser.advance_token();
                parser.advance_token();
                let mut members = vec![parser.parse_expr()?];
                while parser.consume_token(&Token::Comma) {
                    members.push(parser.parse_expr()?);
                }
                self.expect(parser, Token::RParen)?;
                return if members.len() < 2 { expected(parser) } else { Ok(Expr::Tuple(members)) };
            }
            Keyword::CURRENT_DATE
            | Keyword::CURRENT_TIME
            | Keyword::CURRENT_TIMESTAMP
            | Keyword::CURRENT_USER
            | Keyword::LOCALTIME
            | Keyword::LOCALTIMESTAMP => {
                parser.advance_token();
                let ident = word.into_ident(span);
                if before_paren {
                    return self.function(parser, ident);
                }
                return Ok(call(ObjectName::from(vec![ident]), list(Vec::new())));
            }
            _ => {}
        }
        if before_paren {
            if let Some(parse) = Self::special_function(&word.value) {
                parser.advance_token();
                parser.advance_token();
                return parse(self, parser);
            }
            if !words::is_reserved(&word.value) || words::is_reserved_function(&word.value) {
                parser.advance_token();
                return self.function(parser, word.into_ident(span));
            }
        } else if ["UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP"]
            .iter()
            .any(|name| word.value.eq_ignore_ascii_case(name))
        {
            parser.advance_token();
            return Ok(call(ObjectName::from(vec![word.into_ident(span)]), list(Vec::new())));
        } else if !words::is_reserved(&word.value) {
            parser.advance_token();
            return Ok(Expr::Identifier(word.into_ident(span)));
        }
        expected(parser)
    }

    /// A call whose name has been read, its parenthesis not.
    fn function(&self, parser: &mut Parser, name: Ident) -> Result<Expr> {
        parser.advance_token();
        let mut arguments =
            FunctionArgumentList { duplicate_treatment: None, args: Vec::new(), clauses: Vec::new() };
        if !parser.consume_token(&Token::RParen) {
            match &parser.peek_token_ref().token {
                token if is_keyword(token, Keyword::DISTINCT) => {
                    parser.advance_token();
                    arguments.duplicate_treatment = Some(DuplicateTreatment::Distinct);
                    let _ = parser.parse_keyword(Keyword::ALL);
                }
                token if is_keyword(token, Keyword::ALL) => parser.advance_token(),
                _ => {}
            }
            let star = parser.peek_token_ref().token == Token::Mul
                && parser.peek_nth_token_ref(1).token == Token::RParen;
            if star {
                parser.advance_token();
                arguments.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
            } else {
                loop {
                    arguments.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(parser.parse_expr()?)));
                    if !parser.consume_token(&Token::Comma) {
                        break;
                    }
                }
            }
            if parser.parse_keyword(Keyword::ORDER) {
                parser.expect_keyword_is(Keyword::BY)?;
                let order = parser.parse_comma_separated(Parser::parse_order_by_expr)?;
                arguments.clauses.push(FunctionArgumentClause::OrderBy(order));
            }
            if parser.parse_keyword(Keyword::SEPARATOR) {
                arguments.clauses.push(FunctionArgumentClause::Separator(parser.parse_value()?));
            }
            self.expect(parser, Token::RParen)?;
        }
        let null_treatment = match &parser.peek_token_ref().token {
            token if is_keyword(token, Keyword::IGNORE) => Some(NullTreatment::IgnoreNulls),
            token if is_keyword(token, Keyword::RESPECT) => Some(NullTreatment::RespectNulls),
            _ => None,
        }
        .filter(|_| is_keyword(&parser.peek_nth_token_ref(1).token, Keyword::NULLS));
        if null_treatment.is_some() {
            parser.advance_token();
            parser.advance_token();
        }
        let over = if parser.parse_keyword(Keyword::OVER) {
            Some(if parser.consume_token(&Token::LParen) {
                WindowType::WindowSpec(parser.parse_window_spec()?)
            } else {
                WindowType::NamedWindow(parser.parse_identifier()?)
            })
        } else {
            None
        };
        Ok(Expr::Function(Function {
            name: ObjectName::from(vec![name]),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::List(arguments),
            within_group: Vec::new(),
            filter: None,
            null_treatment,
            over,
        }))
    }

    /// `INTERVAL value unit`, or the function INTERVAL(a, b, ..).
    fn interval(&self, parser: &mut Parser) -> Result<Expr> {
        parser.advance_token();
        if parser.peek_token_ref().token == Token::LParen && Self::parenthesis_has_comma(parser) {
            return self.function(parser, Ident::new("interval"));
        }
        let amount = parser.parse_expr()?;
        Ok(internal("interval", vec![amount, self.unit(parser)?]))
    }

    fn parenthesis_has_comma(parser: &Parser) -> bool {
        let mut depth = 0usize;
        for at in 0.. {
            match &parser.peek_nth_token_ref(at).token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => return false,
                Token::RParen => depth -= 1,
                Token::Comma if depth == 1 => return true,
                Token::EOF => return false,
                _ => {}
            }
        }
        false
    }

    /// A time unit, as an identifier.
    fn unit(&self, parser: &mut Parser) -> Result<Expr> {
        self.note(parser);
        match &parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() && time_unit(&word.value).is_some() => {
                Ok(Expr::Identifier(parser.parse_identifier()?))
            }
            _ => expected(parser),
        }
    }

    /// The functions with a grammar of their own; they start behind their parenthesis.
    fn special_function(name: &str) -> Option<SpecialFunction> {
        const FUNCTIONS: &[(&str, SpecialFunction)] = &[
            ("CAST", TidewaterDialect::cast),
            ("CONVERT", TidewaterDialect::convert),
            ("CHAR", TidewaterDialect::char),
            ("EXTRACT", TidewaterDialect::extract),
            ("TRIM", TidewaterDialect::trim),
            ("SUBSTRING", TidewaterDialect::substring),
            ("SUBSTR", TidewaterDialect::substring),
            ("MID", TidewaterDialect::substring),
            ("POSITION", TidewaterDialect::position),
            ("TIMESTAMPADD", TidewaterDialect::timestampadd),
            ("TIMESTAMPDIFF", TidewaterDialect::timestampdiff),
            ("GET_FORMAT", TidewaterDialect::get_format),
            ("WEIGHT_STRING", TidewaterDialect::weight_string),
        ];
        FUNCTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, parse)| *parse)
    }

    /// A reference to the type that starts here, skipping it up to the parenthesis that closes the call.
    fn type_reference(&self, parser: &mut Parser) -> Result<Expr> {
        let span = parser.peek_token_ref().span;
        let mut depth = 0usize;
        loop {
            match &parser.peek_token_ref().token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 0 => break,
                Token::RParen => depth -= 1,
                Token::EOF => return expected(parser),
                _ => {}
            }
            parser.advance_token();
        }
        parser.advance_token();
        Ok(value(Value::Placeholder(format!("t{}", span.start.column.saturating_sub(1))), span))
    }

    fn cast(&self, parser: &mut Parser) -> Result<Expr> {
        let expr = parser.parse_expr()?;
        if !parser.parse_keyword(Keyword::AS) {
            return expected(parser);
        }
        Ok(internal("cast", vec![expr, self.type_reference(parser)?]))
    }

    fn convert(&self, parser: &mut Parser) -> Result<Expr> {
        let expr = parser.parse_expr()?;
        if parser.parse_keyword(Keyword::USING) {
            let charset = Expr::Identifier(parser.parse_identifier()?);
            self.expect(parser, Token::RParen)?;
            return Ok(internal("using", vec![expr, charset]));
        }
        self.expect(parser, Token::Comma)?;
        Ok(internal("cast", vec![expr, self.type_reference(parser)?]))
    }

    fn arguments(&self, parser: &mut Parser) -> Result<Vec<Expr>> {
        let mut args = vec![parser.parse_expr()?];
        while parser.consume_token(&Token::Comma) {
            args.push(parser.parse_expr()?);
        }
        Ok(args)
    }

    fn char(&self, parser: &mut Parser) -> Result<Expr> {
        let expr = internal("char", self.arguments(parser)?);
        if parser.parse_keyword(Keyword::USING) {
            let charset = Expr::Identifier(parser.parse_identifier()?);
            self.expect(parser, Token::RParen)?;
            return Ok(internal("using", vec![expr, charset]));
        }
        self.expect(parser, Token::RParen)?;
        Ok(expr)
    }

    fn extract(&self, parser: &mut Parser) -> Result<Expr> {
        let unit = self.unit(parser)?;
        if !parser.parse_keyword(Keyword::FROM) {
            return expected(parser);
        }
        let expr = parser.parse_expr()?;
        self.expect(parser, Token::RParen)?;
        Ok(internal("extract", vec![unit, expr]))
    }

    /// `TRIM([[BOTH | LEADING | TRAILING] [remove] FROM] string)`.
    fn trim(&self, parser: &mut Parser) -> Result<Expr> {
        let sides = ["both", "leading", "trailing"];
        let side = sides.into_iter().find(|side| is_text(&parser.peek_token_ref().token, side));
        if side.is_some() {
            parser.advance_token();
        }
        let mut remove = None;
        let mut string = None;
        if side.is_none() || !parser.parse_keyword(Keyword::FROM) {
            let expr = parser.parse_expr()?;
            if parser.parse_keyword(Keyword::FROM) {
                remove = Some(expr);
            } else if side.is_some() {
                return expected(parser);
            } else {
                string = Some(expr);
            }
        }
        let string = match string {
            Some(string) => string,
            None => parser.parse_expr()?,
        };
        self.expect(parser, Token::RParen)?;
        let name = match (side, &remove) {
            (None, None) => "trim",
            (None, Some(_)) => "trim both",
            (Some("leading"), _) => "trim leading",
            (Some("trailing"), _) => "trim trailing",
            (Some(_), _) => "trim both",
        };
        Ok(internal(name, [Some(string), remove].into_iter().flatten().collect()))
    }

    fn substring(&self, parser: &mut Parser) -> Result<Expr> {
        let mut args = vec![parser.parse_expr()?];
        if parser.parse_keyword(Keyword::FROM) {
            args.push(parser.parse_expr()?);
            if parser.parse_keyword(Keyword::FOR) {
                args.push(parser.parse_expr()?);
            }
        } else {
            while parser.consume_token(&Token::Comma) {
                args.push(parser.parse_expr()?);
            }
        }
        self.expect(parser, Token::RParen)?;
        Ok(internal("substring", args))
    }

    fn position(&self, parser: &mut Parser) -> Result<Expr> {
        // Above IN, so that this IN is left for us.
        let needle = parser.parse_subexpr(binding::PREDICATE)?;
        if !parser.parse_keyword(Keyword::IN) {
            return expected(parser);
        }
        let haystack = parser.parse_expr()?;
        self.expect(parser, Token::RParen)?;
        Ok(internal("locate", vec![needle, haystack]))
    }

    fn timestampadd(&self, parser: &mut Parser) -> Result<Expr> {
        self.unit_function(parser, "timestampadd")
    }

    fn timestampdiff(&self, parser: &mut Parser) -> Result<Expr> {
        self.unit_function(parser, "timestampdiff")
    }

    fn unit_function(&self, parser: &mut Parser, name: &str) -> Result<Expr> {
        // SQL_TSI_DAY and its brothers are the same units.
        let mut args = vec![self.unit(parser)?];
        self.expect(parser, Token::Comma)?;
        args.extend(self.arguments(parser)?);
        self.expect(parser, Token::RParen)?;
        Ok(internal(name, args))
    }

    fn get_format(&self, parser: &mut Parser) -> Result<Expr> {
        let kinds = ["date", "time", "datetime", "timestamp"];
        let Some(kind) = kinds.into_iter().find(|kind| is_text(&parser.peek_token_ref().token, kind)) else {
            return expected(parser);
        };
        parser.advance_token();
        self.expect(parser, Token::Comma)?;
        let format = parser.parse_expr()?;
        self.expect(parser, Token::RParen)?;
        let name = match kind {
            "date" => "get_format date",
            "time" => "get_format time",
            // TIMESTAMP says the same as DATETIME.
            _ => "get_format datetime",
        };
        Ok(internal(name, vec![format]))
    }

    /// `WEIGHT_STRING(string [AS CHAR(n) | AS BINARY(n)])`.
    fn weight_string(&self, parser: &mut Parser) -> Result<Expr> {
        let expr = parser.parse_expr()?;
        let expr = if parser.parse_keyword(Keyword::AS) {
            internal("cast", vec![expr, self.type_reference(parser)?])
        } else {
            self.expect(parser, Token::RParen)?;
            expr
        };
        Ok(internal("weight_string", vec![expr]))
    }

    fn binding(&self, parser: &Parser) -> u8 {
        match &parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::OR => binding::OR,
                Keyword::XOR => binding::XOR,
                Keyword::AND => binding::AND,
                Keyword::IS => binding::COMPARISON,
                Keyword::IN | Keyword::BETWEEN | Keyword::LIKE | Keyword::REGEXP | Keyword::RLIKE => {
                    binding::PREDICATE
                }
                Keyword::MEMBER if is_keyword(&parser.peek_nth_token_ref(1).token, Keyword::OF) => {
                    binding::PREDICATE
                }
                Keyword::NOT => match &parser.peek_nth_token_ref(1).token {
                    Token::Word(word) => match word.keyword {
                        Keyword::IN | Keyword::BETWEEN | Keyword::LIKE | Keyword::REGEXP | Keyword::RLIKE => {
                            binding::PREDICATE
                        }
                        _ => 0,
                    },
                    _ => 0,
                },
                _ => 0,
            },
            Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq | Token::Spaceship => {
                binding::COMPARISON
            }
            Token::Pipe => binding::BIT_OR,
            Token::Ampersand => binding::BIT_AND,
            Token::ShiftLeft | Token::ShiftRight => binding::SHIFT,
            Token::Plus | Token::Minus => binding::SUM,
            Token::Mul | Token::Div | Token::Mod => binding::PRODUCT,
            Token::CustomBinaryOperator(operator) if operator == "SOUNDS" => binding::PREDICATE,
            Token::CustomBinaryOperator(_) => binding::PRODUCT,
            Token::Caret => binding::BIT_XOR,
            Token::StringConcat => binding::CONCAT,
            Token::Arrow | Token::LongArrow => binding::ARROW,
            _ => 0,
        }
    }
}

impl Dialect for TidewaterDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        MySqlDialect {}.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        MySqlDialect {}.is_identifier_part(ch)
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('`')
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr>> {
        self.note(parser);
        Some(self.prefix(parser))
    }

    fn parse_infix(&self, parser: &mut Parser, _expr: &Expr, _precedence: u8) -> Option<Result<Expr>> {
        self.operators.set(self.operators.get() + 1);
        if self.operators.get() > OPERATORS_MAX {
            return Some(Err(ParserError::RecursionLimitExceeded));
        }
        self.note(parser);
        None
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8>> {
        self.note(parser);
        Some(Ok(self.binding(parser)))
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Or => binding::OR,
            Precedence::Xor => binding::XOR,
            Precedence::And => binding::AND,
            Precedence::UnaryNot => binding::NOT,
            Precedence::Is | Precedence::Eq => binding::COMPARISON,
            Precedence::Like | Precedence::Between => binding::PREDICATE,
            Precedence::Pipe => binding::BIT_OR,
            Precedence::Ampersand => binding::BIT_AND,
            Precedence::PlusMinus => binding::SUM,
            Precedence::MulDivModOp => binding::PRODUCT,
            Precedence::Caret => binding::BIT_XOR,
            Precedence::Period
            | Precedence::DoubleColon
            | Precedence::Colon
            | Precedence::AtTz
            | Precedence::PgOther => binding::ARROW,
        }
    }

    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        // The word has been consumed already: if it is no alias, it is what is wrong, and else what follows it may be.
        let is_alias = !words::is_reserved_keyword(*keyword);
        let next = parser.index() - usize::from(!is_alias);
        self.furthest.set(self.furthest.get().max(next));
        is_alias
    }

    fn is_select_item_alias(&self, _explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        self.is_column_alias(keyword, parser)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        self.is_column_alias(keyword, parser)
    }

    fn is_table_factor_alias(&self, _explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        self.is_column_alias(keyword, parser)
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        false
    }

    fn supports_cross_join_constraint(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_match_against(&self) -> bool {
        true
    }

    fn supports_select_modifiers(&self) -> bool {
        true
    }

    fn supports_table_hints(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }
}
