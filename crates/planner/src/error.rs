//! Why a statement cannot be planned.

use tidewater_expr::ExprError;
use tidewater_types::{ErrorCode, SqlError};

/// Why a statement cannot be planned. `Display` is MySQL's message; [`PlanError::code`] is its number.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the holes of the messages")]
pub enum PlanError {
    #[error("Unknown column '{column}' in '{clause}'")]
    UnknownColumn { column: String, clause: &'static str },
    #[error("Column '{column}' in {clause} is ambiguous")]
    AmbiguousColumn { column: String, clause: &'static str },
    #[error("Table '{database}.{table}' doesn't exist")]
    NoSuchTable { database: String, table: String },
    #[error("Unknown table '{0}'")]
    UnknownTable(String),
    #[error("Unknown table '{table}' in {place}")]
    UnknownTableIn { table: String, place: &'static str },
    #[error("Unknown database '{0}'")]
    UnknownDatabase(String),
    #[error("No database selected")]
    NoDatabaseSelected,
    #[error("Not unique table/alias: '{0}'")]
    NotUniqueTable(String),
    #[error("Duplicate column name '{0}'")]
    DuplicateColumn(String),
    #[error("No tables used")]
    NoTablesUsed,
    #[error("Invalid use of group function")]
    InvalidGroupFunction,
    #[error("Can't group on '{0}'")]
    WrongGroupField(String),
    #[error(
        "Expression #{position} of {clause} is not in GROUP BY clause and contains nonaggregated column '{column}' which is not functionally dependent on columns in GROUP BY clause; this is incompatible with sql_mode=only_full_group_by"
    )]
    NotGrouped { position: usize, clause: &'static str, column: String },
    #[error(
        "In aggregated query without GROUP BY, expression #{position} of {clause} contains nonaggregated column '{column}'; this is incompatible with sql_mode=only_full_group_by"
    )]
    MixedAggregation { position: usize, clause: &'static str, column: String },
    #[error(
        "Expression #{position} of ORDER BY clause is not in SELECT list, references column '{column}' which is not in SELECT list; this is incompatible with DISTINCT"
    )]
    OrderNotSelected { position: usize, column: String },
    #[error("The used SELECT statements have a different number of columns")]
    SetColumnCounts,
    #[error("Operand should contain {0} column(s)")]
    OperandColumns(usize),
    #[error("Column count doesn't match value count at row {row}")]
    ValueCount { row: usize },
    #[error("Column '{0}' specified twice")]
    ColumnTwice(String),
    #[error(
        "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts"
    )]
    ColumnNameCount,
    #[error("The target table {table} of the {statement} is not {statement_able}")]
    NotUpdatable { table: String, statement: &'static str, statement_able: &'static str },
    #[error("Incorrect usage of {0} and {1}")]
    WrongUsage(&'static str, &'static str),
    #[error("The value specified for generated column '{column}' in table '{table}' is not allowed.")]
    GeneratedColumnValue { column: String, table: String },
    #[error("Field '{0}' doesn't have a default value")]
    NoDefault(String),
    #[error("Key '{key}' doesn't exist in table '{table}'")]
    NoSuchKey { key: String, table: String },
    #[error(
        "View '{database}.{view}' references invalid table(s) or column(s) or function(s) or definer/invoker of view lack rights to use them"
    )]
    InvalidView { database: String, view: String },
    #[error("Undeclared variable: {0}")]
    UndeclaredParameter(String),
    #[error("You can't specify target table '{0}' for update in FROM clause")]
    UpdateTableUsed(String),
    #[error("Every derived table must have its own alias")]
    DerivedAlias,
    #[error("FUNCTION {0} does not exist")]
    NoSuchFunction(String),
    #[error("Too high level of nesting for select")]
    TooDeep,
    #[error("This version of Tidewater doesn't yet support '{0}'")]
    Unsupported(String),
    #[error("Unknown collation: '{0}'")]
    UnknownCollation(String),
    #[error("Unknown character set: '{0}'")]
    UnknownCharset(String),
    #[error("COLLATION '{collation}' is not valid for CHARACTER SET '{charset}'")]
    CollationCharset { collation: String, charset: String },
    #[error("Unknown system variable '{0}'")]
    UnknownVariable(String),
    #[error("Variable '{0}' is a GLOBAL variable")]
    LocalVariable(String),
    #[error("Incorrect {kind} value: '{value}'")]
    WrongValue { kind: &'static str, value: String },
    #[error("{message}")]
    Expr { code: u16, message: String },
    /// Another crate's error that is already in MySQL's form.
    #[error("{0}")]
    Sql(SqlError),
}

impl PlanError {
    /// MySQL's error number.
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownColumn { .. } => 1054,
            Self::AmbiguousColumn { .. } => 1052,
            Self::NoSuchTable { .. } => 1146,
            Self::UnknownTable(_) => 1051,
            Self::UnknownTableIn { .. } => 1109,
            Self::UnknownDatabase(_) => 1049,
            Self::NoDatabaseSelected => 1046,
            Self::NotUniqueTable(_) => 1066,
            Self::DuplicateColumn(_) => 1060,
            Self::NoTablesUsed => 1096,
            Self::InvalidGroupFunction => 1111,
            Self::WrongGroupField(_) => 1056,
            Self::NotGrouped { .. } => 1055,
            Self::MixedAggregation { .. } => 1140,
            Self::OrderNotSelected { .. } => 3065,
            Self::SetColumnCounts => 1222,
            Self::OperandColumns(_) => 1241,
            Self::ValueCount { .. } => 1136,
            Self::ColumnTwice(_) => 1110,
            Self::ColumnNameCount => 1353,
            Self::NotUpdatable { .. } => 1288,
            Self::WrongUsage(..) => 1221,
            Self::GeneratedColumnValue { .. } => 3105,
            Self::NoDefault(_) => 1364,
            Self::NoSuchKey { .. } => 1176,
            Self::InvalidView { .. } => 1356,
            Self::UndeclaredParameter(_) => 1210,
            Self::UpdateTableUsed(_) => 1093,
            Self::DerivedAlias => 1248,
            Self::NoSuchFunction(_) => 1305,
            Self::TooDeep => 1473,
            Self::Unsupported(_) => 1235,
            Self::UnknownCollation(_) => 1273,
            Self::UnknownCharset(_) => 1115,
            Self::CollationCharset { .. } => 1253,
            Self::UnknownVariable(_) => 1193,
            Self::LocalVariable(_) => 1238,
            Self::WrongValue { .. } => 1525,
            Self::Expr { code, .. } => *code,
            Self::Sql(error) => error.code,
        }
    }

    /// As a client sees it.
    pub fn to_sql_error(&self) -> SqlError {
        match self {
            Self::Sql(error) => error.clone(),
            other => {
                let code = ErrorCode::from_number(other.code()).unwrap_or(ErrorCode::UnknownError);
                SqlError { code: other.code(), ..SqlError::new(code, other.to_string()) }
            }
        }
    }
}

impl From<ExprError> for PlanError {
    fn from(error: ExprError) -> Self {
        Self::Sql(error.to_sql_error())
    }
}
