//! SET of variables, NAMES, CHARACTER SET and TRANSACTION.

use tidewater_parser::ast::{
    Expr, IsolationLevel, Literal, SetItem, SetTransaction, SetValue, VariableScope,
};
use tidewater_types::{Charset, Collation, Datum, ErrorCode, SqlError, Warning, WarningLevel};

use crate::error::sql_error;
use crate::result::OkResult;
use crate::session::Session;
use crate::statements::set::Target::{OnlyGlobal, OnlySession};
use crate::variables::{self, Scope, VariableId};

/// Which values a SET changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    OnlySession,
    OnlyGlobal,
}

impl Session {
    /// SET: all values are computed and checked before the first is stored.
    pub(crate) async fn run_set(&mut self, items: &[SetItem]) -> Result<OkResult, SqlError> {
        for item in items {
            match item {
                SetItem::System { scope, name, value } => self.set_system(*scope, name, value).await?,
                SetItem::User { name, value } => {
                    let (value, field_type) = self.evaluate(value).await?;
                    self.user_vars.lock().insert(name.to_lowercase(), (value, field_type));
                }
                SetItem::Names { charset, collation } => {
                    self.set_names(charset.as_deref(), collation.as_deref())?
                }
                SetItem::Charset(charset) => self.set_charset(charset.as_deref())?,
            }
        }
        Ok(self.ok())
    }

    async fn set_system(
        &mut self,
        scope: Option<VariableScope>,
        name: &str,
        value: &SetValue,
    ) -> Result<(), SqlError> {
        let id = variables::find(name).ok_or_else(|| variables::unknown(name))?;
        let definition = id.definition();
        let target = match scope {
            Some(
                VariableScope::Global
                | VariableScope::Persist
                | VariableScope::PersistOnly
                | VariableScope::Instance,
            ) => OnlyGlobal,
            Some(VariableScope::Session) | None => OnlySession,
        };
        match (definition.scope, target) {
            (Scope::ReadOnly, _) => return Err(read_only(name)),
            (Scope::Global, OnlySession) => {
                return Err(sql_error(
                    ErrorCode::GlobalVariable,
                    format!("Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL"),
                ));
            }
            (Scope::Session, OnlyGlobal) => {
                return Err(sql_error(
                    ErrorCode::LocalVariable,
                    format!("Variable '{name}' is a SESSION variable and can't be used with SET GLOBAL"),
                ));
            }
            (Scope::Both, _) | (Scope::Global, OnlyGlobal) | (Scope::Session, OnlySession) => {}
        }
        if target == OnlyGlobal {
            self.require_admin("SUPER or SYSTEM_VARIABLES_ADMIN")?;
        }
        let text = match value {
            SetValue::Default => self.default_of(id, target),
            SetValue::Expr(expr) => {
                let datum = self.variable_value(expr).await?;
                let text = self.datum_text(&datum);
                if definition.name == "insert_id" || definition.name == "last_insert_id" {
                    self.last_insert_id = text.parse().unwrap_or(0);
                }
                let checked = variables::check(definition, &datum, &text)?;
                if let Some(message) = checked.truncated {
                    self.warnings.push(Warning {
                        level: WarningLevel::Warning,
                        code: ErrorCode::TruncatedWrongValue.number(),
                        message,
                    });
                }
                checked.value
            }
        };
        self.store(id, target, &text).await
    }

    /// Values of variables may be bare words, which the parser gives as strings or as column names.
    async fn variable_value(&mut self, expr: &Expr) -> Result<Datum, SqlError> {
        match expr {
            Expr::Literal(Literal::String(text)) => Ok(Datum::Bytes(text.value.clone())),
            Expr::Literal(Literal::Int(value)) => Ok(Datum::Int(*value)),
            Expr::Literal(Literal::Bool(value)) => Ok(Datum::Int(i64::from(*value))),
            Expr::Literal(Literal::Null) => Ok(Datum::Null),
            Expr::Column(column) if column.table.is_none() => {
                Ok(Datum::Bytes(column.name.as_str().as_bytes().to_vec()))
            }
            Expr::Default(None) => Ok(Datum::Bytes(b"DEFAULT".to_vec())),
            expr => Ok(self.evaluate(expr).await?.0),
        }
    }

    fn default_of(&self, id: VariableId, target: Target) -> String {
        match target {
            OnlyGlobal => id.definition().default.to_owned(),
            OnlySession => self.db.variables.values().get(id).to_string(),
        }
    }

    async fn store(&mut self, id: VariableId, target: Target, value: &str) -> Result<(), SqlError> {
        match target {
            OnlyGlobal => {
                self.db.variables.set(id, value);
                self.db.persist_global_variable(id.definition().name, value).await
            }
            OnlySession => {
                let name = id.definition().name;
                // MySQL: switching autocommit on commits what is open.
                if name == "autocommit" && value == "ON" && !self.vars.hot.autocommit {
                    self.commit_open().await?;
                }
                self.vars.set(id, value);
                self.refresh_status();
                Ok(())
            }
        }
    }

    fn set_names(&mut self, charset: Option<&str>, collation: Option<&str>) -> Result<(), SqlError> {
        let charset = match charset {
            None => Charset::Utf8mb4,
            Some(name) => charset_named(name)?,
        };
        let collation = match collation {
            None => charset.default_collation(),
            Some(name) => {
                let collation = Collation::from_name(name).ok_or_else(|| {
                    sql_error(ErrorCode::UnknownCollation, format!("Unknown collation: '{name}'"))
                })?;
                if collation.charset() != charset {
                    return Err(sql_error(
                        ErrorCode::CollationCharsetMismatch,
                        format!("COLLATION '{name}' is not valid for CHARACTER SET '{}'", charset.name()),
                    ));
                }
                collation
            }
        };
        for name in ["character_set_client", "character_set_results", "character_set_connection"] {
            self.vars.set_known(name, charset.name());
        }
        self.vars.set_known("collation_connection", collation.name());
        Ok(())
    }

    fn set_charset(&mut self, charset: Option<&str>) -> Result<(), SqlError> {
        let charset = match charset {
            None => Charset::Utf8mb4,
            Some(name) => charset_named(name)?,
        };
        self.vars.set_known("character_set_client", charset.name());
        self.vars.set_known("character_set_results", charset.name());
        let collation = self.vars.by_name("collation_database").to_owned();
        self.vars.set_known("collation_connection", &collation);
        Ok(())
    }

    /// SET TRANSACTION: without a scope only the next transaction is meant.
    pub(crate) async fn run_set_transaction(&mut self, set: &SetTransaction) -> Result<OkResult, SqlError> {
        if set.scope.is_none() && self.in_transaction() {
            return Err(sql_error(
                ErrorCode::CantChangeTxCharacteristics,
                "Transaction characteristics can't be changed while a transaction is in progress",
            ));
        }
        let isolation = set.isolation.map(|level| match level {
            IsolationLevel::ReadUncommitted => "READ-UNCOMMITTED",
            IsolationLevel::ReadCommitted => "READ-COMMITTED",
            IsolationLevel::RepeatableRead => "REPEATABLE-READ",
            IsolationLevel::Serializable => "SERIALIZABLE",
        });
        let read_only = set.read_only.map(|read_only| if read_only { "ON" } else { "OFF" });
        let settings = [("transaction_isolation", isolation), ("transaction_read_only", read_only)];
        for (name, value) in settings {
            let (Some(value), Some(id)) = (value, variables::find(name)) else { continue };
            match set.scope {
                None => self.next_transaction.set(name, value),
                Some(VariableScope::Session) => self.vars.set(id, value),
                Some(_) => {
                    self.require_admin("SUPER or SYSTEM_VARIABLES_ADMIN")?;
                    self.store(id, OnlyGlobal, value).await?;
                }
            }
        }
        Ok(self.ok())
    }
}

fn charset_named(name: &str) -> Result<Charset, SqlError> {
    Charset::from_name(name)
        .ok_or_else(|| sql_error(ErrorCode::UnknownCharacterSet, format!("Unknown character set: '{name}'")))
}

fn read_only(name: &str) -> SqlError {
    sql_error(ErrorCode::IncorrectGlobalLocalVar, format!("Variable '{name}' is a read only variable"))
}
