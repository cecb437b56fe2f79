//! What can go wrong with an expression.

use tidewater_types::{ErrorCode, JsonError, SqlError};

/// Why an expression could not be built or evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExprError {
    /// No function of this name.
    #[error("FUNCTION {name} does not exist")]
    UnknownFunction {
        /// As the statement calls it.
        name: String,
    },
    /// A function was called with a wrong number of arguments.
    #[error("Incorrect parameter count in the call to native function '{name}'")]
    WrongArgumentCount {
        /// As the statement calls it.
        name: String,
    },
    /// An argument a function does not accept.
    #[error("Incorrect arguments to {function}")]
    WrongArguments {
        /// The function.
        function: String,
    },
    /// Rows of different widths were compared, or a row stands where a value must.
    #[error("Operand should contain {columns} column(s)")]
    OperandColumns {
        /// How many columns it should have.
        columns: usize,
    },
    /// Two strings whose collations cannot be brought together.
    #[error("Illegal mix of collations ({left}) and ({right}) for operation '{operation}'")]
    CollationMix {
        /// Collation and coercibility, as MySQL writes them.
        left: String,
        /// Collation and coercibility, as MySQL writes them.
        right: String,
        /// The function.
        operation: String,
    },
    /// A collation does not belong to the string's charset.
    #[error("COLLATION '{collation}' is not valid for CHARACTER SET '{charset}'")]
    CollationCharset {
        /// The collation.
        collation: String,
        /// The charset.
        charset: String,
    },
    /// A result outside of its type's range.
    #[error("{type_name} value is out of range in '{expression}'")]
    OutOfRange {
        /// `BIGINT`, `BIGINT UNSIGNED`, `DOUBLE`, `DECIMAL`.
        type_name: &'static str,
        /// The expression, as MySQL prints it.
        expression: String,
    },
    /// A value that CAST had to clamp.
    #[error("Out of range value for column '{column}' at row 1")]
    ClampedValue {
        /// What MySQL calls a column here: the expression.
        column: String,
    },
    /// Division by zero in a mode where that is an error.
    #[error("Division by 0")]
    DivisionByZero,
    /// A text that is no number in a mode where that is an error.
    #[error("Truncated incorrect {type_name} value: '{value}'")]
    Truncated {
        /// `DOUBLE`, `INTEGER`, `DECIMAL`, `time`, ...
        type_name: &'static str,
        /// The text.
        value: String,
    },
    /// A value that is no date or time in a mode where that is an error.
    #[error("Incorrect {type_name} value: '{value}'")]
    IncorrectValue {
        /// `datetime`, `time`, ...
        type_name: &'static str,
        /// The value.
        value: String,
    },
    /// A JSON text, path or operation is wrong.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A JSON function got an argument that is no JSON document.
    #[error(
        "Invalid data type for JSON data in argument {position} to function {function}; a JSON string or JSON type is required."
    )]
    JsonType {
        /// From 1.
        position: usize,
        /// The function.
        function: &'static str,
    },
    /// A JSON object key is NULL.
    #[error("JSON documents may not contain NULL member names.")]
    JsonNullKey,
    /// A path with a wildcard where one place must be named.
    #[error("In this situation, path expressions may not contain the * and ** tokens or an array range.")]
    JsonWildcard,
    /// `'one'` or `'all'` was expected.
    #[error("The oneOrAll argument to {function} may take these values: 'one' or 'all'.")]
    JsonOneOrAll {
        /// The function.
        function: &'static str,
    },
    /// A regular expression that cannot be compiled.
    #[error("Got error '{message}' from regexp")]
    Regexp {
        /// What is wrong.
        message: String,
    },
    /// No collation of this name.
    #[error("Unknown collation: '{name}'")]
    UnknownCollation {
        /// As the statement calls it.
        name: String,
    },
    /// No character set of this name.
    #[error("Unknown character set: '{name}'")]
    UnknownCharset {
        /// As the statement calls it.
        name: String,
    },
    /// More digits of a second's fraction than there are.
    #[error("Too-big precision {precision} specified for '{function}'. Maximum is 6.")]
    PrecisionTooBig {
        /// As asked for.
        precision: i64,
        /// The function.
        function: &'static str,
    },
    /// A value that a function cannot read.
    #[error("Incorrect string value: '{value}' for function {function}")]
    IncorrectArgument {
        /// The value.
        value: String,
        /// The function.
        function: &'static str,
    },
    /// The statement was killed.
    #[error("Query execution was interrupted")]
    Killed,
    /// A column of a result would pass Arrow's limits.
    #[error("a column of a result is too long: {message}")]
    Arrow {
        /// Arrow's message.
        message: String,
    },
    /// A lock cannot have this name: none, or a very long one.
    #[error("Incorrect user-level lock name '{name}'.")]
    LockName {
        /// The name.
        name: String,
    },
    /// A function or form of one that this version does not have.
    #[error("This version of Tidewater doesn't yet support '{feature}'")]
    Unsupported {
        /// What is missing.
        feature: String,
    },
    /// A parameter, column or correlated value that the context does not have: a plan was run in the wrong context.
    #[error("{what} {index} is not bound")]
    Unbound {
        /// `parameter`, `column`, `correlated value`.
        what: &'static str,
        /// Its number.
        index: usize,
    },
    /// A message of another node that does not decode to an expression.
    #[error("a malformed expression: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
}

impl ExprError {
    /// MySQL's number of this error.
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownFunction { .. } => 1305,
            Self::WrongArgumentCount { .. } => 1582,
            Self::WrongArguments { .. } => 1210,
            Self::OperandColumns { .. } => 1241,
            Self::CollationMix { .. } => 1267,
            Self::CollationCharset { .. } => 1253,
            Self::OutOfRange { .. } => 1690,
            Self::ClampedValue { .. } => 1264,
            Self::DivisionByZero => 1365,
            Self::Truncated { .. } | Self::IncorrectValue { .. } => 1292,
            Self::Json(error) => json_code(error),
            Self::JsonType { .. } => 3146,
            Self::JsonNullKey => 3158,
            Self::JsonWildcard => 3149,
            Self::JsonOneOrAll { .. } => 3154,
            Self::Regexp { .. } => 1139,
            Self::UnknownCollation { .. } => 1273,
            Self::UnknownCharset { .. } => 1115,
            Self::PrecisionTooBig { .. } => 1426,
            Self::IncorrectArgument { .. } => 1411,
            Self::Killed => 1317,
            Self::Arrow { .. } | Self::Unbound { .. } | Self::Malformed { .. } => 1105,
            Self::LockName { .. } => 3057,
            Self::Unsupported { .. } => 1235,
        }
    }

    /// As the client sees it.
    pub fn to_sql_error(&self) -> SqlError {
        let code = ErrorCode::from_number(self.code()).unwrap_or(ErrorCode::UnknownError);
        SqlError { code: self.code(), ..SqlError::new(code, self.to_string()) }
    }
}

fn json_code(error: &JsonError) -> u16 {
    match error {
        JsonError::InvalidText { .. } => 3140,
        JsonError::InvalidPath(_) => 3143,
        JsonError::InvalidBinary => 3144,
        JsonError::WildcardPath => 3149,
        JsonError::RootPath => 3153,
        JsonError::NotArrayCell => 3165,
        JsonError::TooDeep => 3157,
    }
}

impl From<arrow::error::ArrowError> for ExprError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Arrow { message: error.to_string() }
    }
}
