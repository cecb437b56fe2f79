//! UPDATE.

use tidewater_planner as planner;
use tidewater_table::write;
use tidewater_txn::LockOptions;
use tidewater_types::ErrorCode;

use crate::context::Statement;
use crate::dml::existing::Existing;
use crate::dml::{Counts, DmlError, same};
use crate::query::Planned;
use crate::session::Session;

impl Session {
    pub(super) async fn update(
        &mut self,
        node: &planner::Update,
        planned: &Planned,
        context: &Statement,
    ) -> Result<Counts, DmlError> {
        let mut counts = Counts::default();
        let types = node.child.field_types();
        let mut targets: Vec<_> = node
            .targets
            .iter()
            .map(|target| self.change_target(&target.table, &target.row, context))
            .collect::<Result<_, _>>()?;
        let chunks = self.read_rows(&node.child, planned, context).await?;
        let single = node.targets.len() == 1;
        let mut unchanged = Vec::new();
        // What UPDATE IGNORE has looked up: rows in the way are kept, with a warning.
        let mut existing = Existing::new(self.process.clone());
        for chunk in chunks {
            self.process.kill_query.check()?;
            for (target, plan) in targets.iter_mut().zip(&node.targets) {
                let fresh = self.fresh_rows(target, &chunk, &types).await?;
                for (index, handle) in fresh.handles {
                    counts.found += 1;
                    target.maker.set_row(counts.found);
                    let mut child_row = chunk.row(index, &types);
                    let old = target.old_row(&handle, &child_row, fresh.full.as_ref())?;
                    let mut new_row = old.row.clone();
                    let mut assigned = Vec::with_capacity(plan.assignments.len());
                    for assignment in &plan.assignments {
                        match &assignment.value {
                            None => target.maker.assign_default(&mut new_row, assignment.column)?,
                            Some(value) => {
                                let from = value.field_type_ref();
                                let value = value.eval_row(&context.eval, &child_row, &types)?;
                                target.maker.assign(&mut new_row, assignment.column, &value, from)?;
                            }
                        }
                        assigned.push(assignment.column);
                        if let Some(position) = target.position(assignment.column).filter(|_| single) {
                            child_row[position] = new_row[assignment.column].clone();
                        }
                    }
                    target.maker.check_nulls(&mut new_row, true)?;
                    if same(&new_row, &old.row) {
                        unchanged.push(target.layout.row_key(&handle));
                        continue;
                    }
                    target.maker.touch(&mut new_row, &assigned);
                    target.maker.generate(&mut new_row)?;
                    if !target.maker.keeps_checks(&new_row)? {
                        continue;
                    }
                    let new_handle = target.layout.handle_of(&new_row)?.unwrap_or_else(|| handle.clone());
                    let Some(open) = &mut self.txn else { continue };
                    if node.ignore {
                        let (old, new) = ((&old.row[..], &old.handle), (&new_row[..], &new_handle));
                        if let Some(other) = existing.other_owner(open, &target.layout, old, new).await? {
                            let error = target.layout.duplicate(other.index.as_ref(), &new_row);
                            target.maker.warn(ErrorCode::DupEntry, error.to_string());
                            continue;
                        }
                    }
                    let written = write::update(
                        &mut open.txn,
                        &mut target.layout,
                        (&old.row, &old.handle),
                        (&new_row, &new_handle),
                        write::Uniqueness::Presume,
                    );
                    match written {
                        Ok(()) => {}
                        Err(error @ tidewater_table::TableError::Duplicate { .. }) if node.ignore => {
                            target.maker.warn(ErrorCode::DupEntry, error.to_string());
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    }
                    counts.changed += 1;
                    counts.affected += 1;
                }
            }
        }
        // Rows that were found but not changed are locked all the same.
        if let Some(open) = &mut self.txn
            && open.is_pessimistic()
            && !unchanged.is_empty()
        {
            self.process.unless_killed(open.txn.lock_keys(unchanged, LockOptions::default())).await?;
        }
        Ok(counts)
    }
}
