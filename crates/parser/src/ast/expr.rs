//! Expressions.

use tidewater_types::IntervalUnit;

use super::{ColumnName, DataType, Ident, ObjectName, OrderItem, Query};

/// An expression. Parentheses leave no node: the tree says it all.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// A column, or an alias of the select list, or (in a routine) a variable.
    Column(ColumnName),
    /// `@name`, without the sign, as written.
    UserVariable(String),
    /// `@@[scope.]name`.
    SystemVariable(SystemVariable),
    /// `@name := value`.
    Assign {
        /// The user variable, without the sign.
        name: String,
        /// What it gets.
        value: Box<Expr>,
    },
    /// `?`, numbered from zero, left to right over the whole statement.
    Parameter(usize),
    /// `DEFAULT` as a value (`None`) or `DEFAULT(column)`.
    Default(Option<ColumnName>),
    /// `VALUES(column)` in ON DUPLICATE KEY UPDATE.
    Values(ColumnName),
    /// A prefix operator.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        expr: Box<Expr>,
    },
    /// An infix operator, comparison included. Chains of AND and of OR are balanced, so that long ones are not deep.
    Binary {
        /// The left operand.
        left: Box<Expr>,
        /// The operator.
        op: BinaryOp,
        /// The right operand.
        right: Box<Expr>,
    },
    /// `expr IS [NOT] NULL`.
    IsNull {
        /// The operand.
        expr: Box<Expr>,
        /// IS NOT.
        negated: bool,
    },
    /// `expr IS [NOT] TRUE | FALSE | UNKNOWN`.
    IsTruth {
        /// The operand.
        expr: Box<Expr>,
        /// What it is compared with.
        truth: Truth,
        /// IS NOT.
        negated: bool,
    },
    /// `expr [NOT] BETWEEN low AND high`.
    Between {
        /// The operand.
        expr: Box<Expr>,
        /// The lower bound.
        low: Box<Expr>,
        /// The upper bound.
        high: Box<Expr>,
        /// NOT BETWEEN.
        negated: bool,
    },
    /// `expr [NOT] IN (list)`; the list is not empty.
    InList {
        /// The operand; may be a [`Expr::Row`].
        expr: Box<Expr>,
        /// The candidates.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
    /// `expr [NOT] IN (query)`.
    InSubquery {
        /// The operand; may be a [`Expr::Row`].
        expr: Box<Expr>,
        /// The query.
        query: Box<Query>,
        /// NOT IN.
        negated: bool,
    },
    /// `left op ANY | ALL (query)`; `op` is a comparison.
    Quantified {
        /// The operand; may be a [`Expr::Row`].
        left: Box<Expr>,
        /// `=`, `<>`, `<` ..
        op: BinaryOp,
        /// ANY (SOME) or ALL.
        quantifier: Quantifier,
        /// The query.
        query: Box<Query>,
    },
    /// `EXISTS (query)`.
    Exists(Box<Query>),
    /// A scalar (or row) subquery.
    Subquery(Box<Query>),
    /// `expr [NOT] LIKE pattern [ESCAPE escape]`.
    Like {
        /// The operand.
        expr: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// The escape expression; `None` is a backslash.
        escape: Option<Box<Expr>>,
        /// NOT LIKE.
        negated: bool,
    },
    /// `expr [NOT] REGEXP pattern` (also RLIKE).
    Regexp {
        /// The operand.
        expr: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// NOT REGEXP.
        negated: bool,
    },
    /// `value MEMBER OF (json)`.
    MemberOf {
        /// The value looked for.
        value: Box<Expr>,
        /// The JSON array.
        array: Box<Expr>,
    },
    /// `CASE [operand] WHEN .. THEN .. [ELSE ..] END`.
    Case(Box<Case>),
    /// `CAST(expr AS type)`, `CONVERT(expr, type)` and `BINARY expr`.
    Cast {
        /// The operand.
        expr: Box<Expr>,
        /// The type.
        to: CastType,
        /// `AS type ARRAY`, in the key parts of a multi-valued index.
        array: bool,
    },
    /// `CONVERT(expr USING charset)`.
    ConvertUsing {
        /// The operand.
        expr: Box<Expr>,
        /// The character set, in lower case.
        charset: String,
    },
    /// `expr COLLATE collation`.
    Collate {
        /// The operand.
        expr: Box<Expr>,
        /// The collation, in lower case.
        collation: String,
    },
    /// A call of a function that is neither an aggregate nor a window function.
    Function(FunctionCall),
    /// An aggregate over the group (without OVER).
    Aggregate(Box<AggregateCall>),
    /// A function (window function or aggregate) with OVER.
    Window(Box<WindowCall>),
    /// `INTERVAL value unit`: only as an argument of DATE_ADD and its relatives (as [`FunctionCall`] named `date_add`
    /// or `date_sub`; `d + INTERVAL 1 DAY` is `date_add(d, INTERVAL 1 DAY)`) or in a window frame.
    Interval {
        /// How many.
        value: Box<Expr>,
        /// Of what.
        unit: IntervalUnit,
    },
    /// A bare time unit: the first argument of `timestampadd`, `timestampdiff` and `extract`; `get_format`'s type word
    /// is a string literal instead.
    Unit(IntervalUnit),
    /// `(a, b, ..)` or `ROW(a, b, ..)`; at least two members.
    Row(Vec<Expr>),
    /// `MATCH (columns) AGAINST (expr [modifier])`.
    Match {
        /// The columns searched.
        columns: Vec<ColumnName>,
        /// The search text.
        against: Box<Expr>,
        /// How to search.
        modifier: MatchModifier,
    },
}

impl Expr {
    /// A function call by its lower-case name.
    pub fn call(name: &str, args: Vec<Expr>) -> Self {
        Self::Function(FunctionCall { schema: None, name: name.to_owned(), args })
    }
}

/// A constant as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `NULL` (also `\N`).
    Null,
    /// `TRUE` and `FALSE`: the integers 1 and 0 whose column names differ.
    Bool(bool),
    /// An integer that fits a signed 64-bit number.
    Int(i64),
    /// An integer from 2^63 to 2^64 - 1.
    UInt(u64),
    /// A number with a point, or an integer beyond 2^64: exact text, digits and at most one point.
    Decimal(String),
    /// A number with an exponent.
    Double(f64),
    /// A string, escapes resolved, neighbours joined.
    String(StringLiteral),
    /// `x'4d'`, `0x4d`.
    Hex(BytesLiteral),
    /// `b'101'`, `0b101`, as big-endian bytes, the first one padded with zeros on the left.
    Bit(BytesLiteral),
    /// `DATE '..'`, `{d '..'}`.
    Date(String),
    /// `TIME '..'`, `{t '..'}`.
    Time(String),
    /// `TIMESTAMP '..'`, `{ts '..'}`.
    Timestamp(String),
}

/// A string constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringLiteral {
    /// The introducer (`_utf8mb4'..'`, and `N'..'` as `utf8`) in lower case, without the underscore.
    pub charset: Option<String>,
    /// The contents. UTF-8 unless the statement was given as bytes and holds something else here.
    pub value: Vec<u8>,
}

impl StringLiteral {
    /// A string without an introducer.
    pub fn new(text: impl Into<String>) -> Self {
        Self { charset: None, value: text.into().into_bytes() }
    }

    /// The contents as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

/// A hexadecimal or bit constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BytesLiteral {
    /// The introducer in lower case, without the underscore.
    pub charset: Option<String>,
    /// The bytes.
    pub value: Vec<u8>,
}

/// `@@[scope.]name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SystemVariable {
    /// The scope that was written, if any.
    pub scope: Option<VariableScope>,
    /// The name in lower case (`log_bin`, or `keycache.key_buffer_size` with its prefix).
    pub name: String,
}

/// The scopes of a system variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum VariableScope {
    Global,
    /// SESSION or LOCAL.
    Session,
    Persist,
    PersistOnly,
    /// TiDB's `@@instance.`.
    Instance,
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`; a minus sign before an integer or decimal literal stays a separate node, except for -9223372036854775808.
    Minus,
    /// `+`.
    Plus,
    /// `NOT` and `!`.
    Not,
    /// `~`.
    BitNot,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum BinaryOp {
    Or,
    Xor,
    And,
    Eq,
    /// `<=>`.
    NullSafeEq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    BitOr,
    BitAnd,
    ShiftLeft,
    ShiftRight,
    Plus,
    Minus,
    Multiply,
    /// `/`.
    Divide,
    /// `DIV`.
    IntDivide,
    /// `%` and `MOD`.
    Modulo,
    BitXor,
    /// `||` under PIPES_AS_CONCAT.
    Concat,
    /// `SOUNDS LIKE`.
    SoundsLike,
    /// `column -> path`.
    JsonExtract,
    /// `column ->> path`.
    JsonExtractUnquote,
}

impl BinaryOp {
    /// `=`, `<=>`, `<>`, `<`, `<=`, `>`, `>=`.
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::NullSafeEq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}

/// What IS compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum Truth {
    True,
    False,
    Unknown,
}

/// ANY or ALL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum Quantifier {
    /// ANY and SOME.
    Any,
    All,
}

/// The body of a CASE expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The value compared with each WHEN; without it each WHEN is a condition.
    pub operand: Option<Expr>,
    /// WHEN and THEN.
    pub branches: Vec<(Expr, Expr)>,
    /// ELSE.
    pub otherwise: Option<Expr>,
}

/// The target of a CAST: CAST's own words, spelled as column types.
///
/// `SIGNED` is `BigInt`, `UNSIGNED` is `BigInt` with `unsigned`; CHAR, NCHAR, BINARY, DATE, TIME(n), DATETIME(n), YEAR,
/// DECIMAL(p, s), DOUBLE (REAL), FLOAT(p) and JSON are themselves.
pub type CastType = DataType;

/// A function call with its name in lower case: `ifnull`, `date_add`, `substring` ..
///
/// The keyword forms are plain calls: `SUBSTRING(a FROM b FOR c)` = `substring(a, b, c)`, `POSITION(a IN b)` =
/// `locate(a, b)`, `TRIM(BOTH x FROM s)` = `trim(s, x, 'both')` (`trim(s)` without anything), `EXTRACT(u FROM d)` =
/// `extract(Unit, d)`, `CHAR(a, b USING c)` = `char(a, b)` in [`Expr::ConvertUsing`], `MOD`/`%` is the operator,
/// `CURRENT_TIMESTAMP[(n)]`, `LOCALTIME`, `NOW(n)` = `now(n)`, `CURRENT_DATE` = `curdate()`, `CURRENT_TIME` = `curtime()`,
/// `CURRENT_USER` = `current_user()`, `DATE_ADD`/`ADDDATE`/`d + INTERVAL` = `date_add(d, INTERVAL n unit)`, `ADDDATE(d, n)` =
/// `date_add(d, INTERVAL n DAY)`, likewise `date_sub`. `SCHEMA()` = `database()`, `SUBSTR`, `MID` = `substring`.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    /// The database of a stored function.
    pub schema: Option<Ident>,
    /// The name in lower case, synonyms of the keyword kind resolved.
    pub name: String,
    /// The arguments.
    pub args: Vec<Expr>,
}

/// A call of an aggregate function.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// Which one.
    pub function: AggregateFunction,
    /// `DISTINCT`.
    pub distinct: bool,
    /// The arguments; `COUNT(*)` has none.
    pub args: Vec<Expr>,
    /// GROUP_CONCAT's ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// GROUP_CONCAT's SEPARATOR; `None` is a comma.
    pub separator: Option<String>,
}

/// The aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum AggregateFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    GroupConcat,
    BitAnd,
    BitOr,
    BitXor,
    /// STD, STDDEV, STDDEV_POP.
    StddevPop,
    StddevSamp,
    /// VARIANCE, VAR_POP.
    VarPop,
    VarSamp,
    AnyValue,
    JsonArrayAgg,
    JsonObjectAgg,
    ApproxCountDistinct,
    ApproxPercentile,
}

/// `function OVER window`.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowCall {
    /// What is computed.
    pub function: WindowFunction,
    /// Over which rows.
    pub over: WindowSpec,
}

/// The function before OVER.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowFunction {
    /// An aggregate used as a window function.
    Aggregate(AggregateCall),
    /// `row_number`, `rank`, `dense_rank`, `percent_rank`, `cume_dist`, `ntile`, `lead`, `lag`, `first_value`,
    /// `last_value`, `nth_value`.
    Call {
        /// The name in lower case.
        name: String,
        /// The arguments.
        args: Vec<Expr>,
        /// IGNORE NULLS (RESPECT NULLS is the default).
        ignore_nulls: bool,
        /// NTH_VALUE's FROM LAST.
        from_last: bool,
    },
}

/// What follows OVER, or a definition in the WINDOW clause.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WindowSpec {
    /// `OVER w`, or the base window in `OVER (w ORDER BY ..)`.
    pub base: Option<Ident>,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// ROWS or RANGE.
    pub frame: Option<WindowFrame>,
    /// `OVER w` without parentheses.
    pub bare: bool,
}

/// A window frame.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowFrame {
    /// ROWS or RANGE (GROUPS is refused).
    pub unit: FrameUnit,
    /// Where it starts.
    pub start: FrameBound,
    /// Where it ends; CURRENT ROW when not given.
    pub end: FrameBound,
}

/// ROWS or RANGE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum FrameUnit {
    Rows,
    Range,
}

/// One end of a window frame.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

/// How MATCH searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum MatchModifier {
    #[default]
    NaturalLanguage,
    NaturalLanguageWithQueryExpansion,
    Boolean,
    QueryExpansion,
}

/// A stored routine's call, `CALL name(args)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The procedure.
    pub name: ObjectName,
    /// The arguments.
    pub args: Vec<Expr>,
}
