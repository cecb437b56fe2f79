//! DELETE.

use tidewater_planner as planner;
use tidewater_table::write;

use crate::context::Statement;
use crate::dml::{Counts, DmlError};
use crate::query::Planned;
use crate::session::Session;

impl Session {
    pub(super) async fn delete(
        &mut self,
        node: &planner::Delete,
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
        for chunk in chunks {
            self.process.kill_query.check()?;
            for target in &mut targets {
                let fresh = self.fresh_rows(target, &chunk, &types).await?;
                for (index, handle) in fresh.handles {
                    let old = target.old_row(&handle, &chunk.row(index, &types), fresh.full.as_ref())?;
                    let Some(open) = &mut self.txn else { continue };
                    write::remove(&mut open.txn, &target.layout, &old.row, &old.handle)?;
                    counts.found += 1;
                    counts.affected += 1;
                }
            }
        }
        Ok(counts)
    }
}
