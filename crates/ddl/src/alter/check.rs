//! ADD, DROP and ALTER CHECK.
//!
//! A constraint that is to be enforced on a table with rows takes three steps: writers obey it; the stored rows are
//! looked at; it is there for all. If a row breaks it, it is taken back. (A node that dies between the steps leaves a
//! constraint that is obeyed but not shown; DROP CHECK knows it.)

use tidewater_catalog::{CheckInfo, CiName, JobKind, SchemaState};
use tidewater_parser::ast::CheckConstraint;
use tidewater_types::ErrorCode;

use super::{AlterStep, Planner};
use crate::define::{build_check, refuse};
use crate::error::DdlError;

impl Planner<'_> {
    pub(super) fn add_check(
        &mut self,
        check: &CheckConstraint,
        column: Option<&str>,
    ) -> Result<(), DdlError> {
        let check = build_check(&self.table, check, column)?;
        let undo = JobKind::DropCheck { name: check.name.clone() };
        self.put_check(check, undo);
        Ok(())
    }

    pub(super) fn drop_check(&mut self, name: &str) -> Result<(), DdlError> {
        let name = self.check(name)?.name.clone();
        self.table.checks.retain(|check| check.name != name);
        self.job(JobKind::DropCheck { name });
        Ok(())
    }

    pub(super) fn alter_check(&mut self, name: &str, enforced: bool) -> Result<(), DdlError> {
        let old = self.check(name)?.clone();
        if old.enforced != enforced {
            let new = CheckInfo { enforced, ..old.clone() };
            self.put_check(new, JobKind::PutCheck { check: old });
        }
        Ok(())
    }

    /// A column that goes takes the constraints on it alone along, and stays for others. A column that is renamed must
    /// not be in any.
    pub(super) fn release_checks(&mut self, column: &CiName, goes: bool) -> Result<(), DdlError> {
        let checks: Vec<CheckInfo> =
            self.table.checks.iter().filter(|check| check.columns.contains(column)).cloned().collect();
        for check in checks {
            if !goes || check.columns.len() > 1 {
                return Err(refuse(ErrorCode::DependentByCheckConstraint, &[&check.name, column]));
            }
            self.drop_check(check.name.as_str())?;
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<&CheckInfo, DdlError> {
        let found = self.table.checks.iter().find(|check| check.name.matches(name));
        found.ok_or_else(|| refuse(ErrorCode::CheckConstraintNotFound, &[&name]))
    }

    fn put_check(&mut self, check: CheckInfo, undo: JobKind) {
        match self.table.checks.iter_mut().find(|other| other.name == check.name) {
            Some(other) => *other = check.clone(),
            None => self.table.checks.push(check.clone()),
        }
        if check.enforced {
            let obeyed = CheckInfo { state: SchemaState::WriteOnly, ..check.clone() };
            self.job(JobKind::PutCheck { check: obeyed });
            self.steps.push(AlterStep::VerifyCheck { check: check.clone(), undo });
        }
        self.job(JobKind::PutCheck { check });
    }
}
