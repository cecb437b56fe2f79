//! The ways into a table: its rows by handle, and each index.

use tidewater_catalog::{HandleKind, IndexInfo};
use tidewater_expr::Expr;
use tidewater_stats::KeyRange;
use tidewater_types::FieldType;

use super::Optimizer;
use crate::estimate::source_selectivity;
use crate::expr_tools::{column_ids, is_deferred};
use crate::logical::{DataSource, handle_scan_columns};
use crate::physical::ScanColumn;
use crate::ranges::{DynamicRanges, RangeColumn, Ranges, derive, shape};

/// One way into a table, restricted by the conditions that its key can use.
pub(crate) struct Path {
    /// `None` is the table itself.
    pub(crate) index: Option<IndexInfo>,
    /// The key's columns: what they are in the table, and for ranges.
    pub(crate) key: Vec<(ScanColumn, RangeColumn)>,
    /// Whether whole keys are unique.
    pub(crate) unique: bool,
    pub(crate) ranges: Ranges,
    /// How many ranges there are, or will be.
    pub(crate) range_count: f64,
    pub(crate) is_full: bool,
    /// Rows the ranges hold.
    pub(crate) rows: f64,
    /// How many leading columns have one value.
    pub(crate) fixed_columns: usize,
    /// The keys, when all ranges are whole keys without NULL: constants or parameters.
    pub(crate) points: Option<Vec<Vec<Expr>>>,
    /// Conditions that must be checked again.
    pub(crate) filters: Vec<Expr>,
    /// Some condition restricts the ranges.
    pub(crate) is_restricted: bool,
}

impl Optimizer<'_> {
    /// All paths that hints allow; there is always one.
    pub(crate) fn paths(&self, source: &DataSource) -> Vec<Path> {
        let info = &source.table.info;
        let hints = &source.hints;
        let allowed = |name: &str| {
            hints.only.as_ref().is_none_or(|only| only.iter().any(|own| own == name))
                && !hints.ignore.iter().any(|own| own == name)
        };
        let mut paths = Vec::new();
        for index in info.public_indices() {
            // The clustered primary key is the table's own order.
            let is_clustered_key = index.primary && info.is_common_handle;
            if is_clustered_key || index.invisible || !allowed(index.name.lower()) {
                continue;
            }
            let key: Vec<_> = index
                .columns
                .iter()
                .map_while(|part| {
                    let scan = ScanColumn::Column(part.offset);
                    let column = source.column(&scan)?;
                    let range_column = RangeColumn {
                        unique_id: column.unique_id,
                        field_type: column.field_type.clone(),
                        length: part.length,
                    };
                    Some((scan, range_column))
                })
                .collect();
            if key.is_empty() {
                continue;
            }
            paths.push(self.path(source, Some(index.clone()), key, index.unique));
        }
        let wants_indexes = hints
            .only
            .as_ref()
            .is_some_and(|only| !only.is_empty() && !only.iter().any(|name| name == "primary"));
        let table_allowed = !wants_indexes || (!hints.force && paths.iter().all(|path| !path.is_restricted));
        if table_allowed || paths.is_empty() {
            paths.push(self.table_path(source));
        }
        paths
    }

    /// The table's rows by handle.
    pub(crate) fn table_path(&self, source: &DataSource) -> Path {
        let key = handle_scan_columns(&source.table)
            .into_iter()
            .filter_map(|scan| {
                let column = source.column(&scan)?;
                let length = match source.table.info.handle() {
                    HandleKind::Common(index) => {
                        let part = index.columns.iter().find(|part| scan == ScanColumn::Column(part.offset));
                        part.map_or(-1, |part| part.length)
                    }
                    _ => -1,
                };
                let range_column = RangeColumn {
                    unique_id: column.unique_id,
                    field_type: column.field_type.clone(),
                    length,
                };
                Some((scan, range_column))
            })
            .collect();
        self.path(source, None, key, true)
    }

    fn path(
        &self,
        source: &DataSource,
        index: Option<IndexInfo>,
        key: Vec<(ScanColumn, RangeColumn)>,
        unique: bool,
    ) -> Path {
        let columns: Vec<RangeColumn> = key.iter().map(|(_, column)| column.clone()).collect();
        let conditions = &source.conditions;
        let width = index.as_ref().map_or(key.len(), |index| index.columns.len());
        let ids: Vec<u64> = columns.iter().map(|column| column.unique_id).collect();
        let concerns_key = |condition: &&Expr| column_ids(condition).iter().any(|id| ids.contains(id));
        if conditions.iter().filter(concerns_key).any(is_deferred) {
            return self.deferred_path(source, index, key, columns, unique, width);
        }
        let derived = derive(&columns, conditions, self.eval);
        let types: Vec<FieldType> = columns.iter().map(|column| column.field_type.clone()).collect();
        let rows =
            self.range_rows(source, index.as_ref(), &derived.ranges, &types, &derived.used, unique, width);
        let is_full = derived.is_full();
        let whole_keys = derived.point_columns == width
            && unique
            && columns.iter().all(|column| column.length < 0)
            && derived.ranges.iter().all(|range| {
                range.is_point() && range.low.len() == width && range.low.iter().all(|value| !value.is_null())
            });
        let points = (whole_keys && !derived.ranges.is_empty()).then(|| {
            derived
                .ranges
                .iter()
                .map(|range| {
                    let values = range.low.iter().zip(&types);
                    values
                        .map(|(value, field_type)| Expr::Literal {
                            value: value.clone(),
                            field_type: field_type.clone(),
                        })
                        .collect()
                })
                .collect()
        });
        Path {
            fixed_columns: fixed_columns(&derived.ranges),
            range_count: derived.ranges.len() as f64,
            is_full,
            rows,
            points,
            filters: leftover(conditions, &derived.exact),
            is_restricted: derived.used.contains(&true),
            ranges: Ranges::Static(derived.ranges.into()),
            index,
            key,
            unique,
        }
    }

    /// A path whose ranges depend on parameters or on an outer row.
    fn deferred_path(
        &self,
        source: &DataSource,
        index: Option<IndexInfo>,
        key: Vec<(ScanColumn, RangeColumn)>,
        columns: Vec<RangeColumn>,
        unique: bool,
        width: usize,
    ) -> Path {
        let conditions = &source.conditions;
        let shape = shape(&columns, conditions);
        let used: Vec<Expr> = conditions
            .iter()
            .zip(&shape.used)
            .filter(|(_, used)| **used)
            .map(|(condition, _)| condition.clone())
            .collect();
        let is_restricted = !used.is_empty();
        let whole_key =
            unique && shape.equal_columns == width && columns.iter().all(|column| column.length < 0);
        let all_exact = shape.used.iter().zip(&shape.exact).all(|(used, exact)| !used || *exact);
        let rows = if whole_key {
            1.0
        } else {
            (source_selectivity(source, &used, &self.estimator) * source.stats.row_count).max(1.0)
        };
        // A value of the other sign would have to be refused, not converted: ranges know how.
        let same_sign = shape.values.iter().zip(&columns).all(|(value, column)| {
            !column.field_type.is_integer()
                || value.field_type().is_unsigned() == column.field_type.is_unsigned()
        });
        let points = (whole_key && all_exact && same_sign).then(|| vec![shape.values.clone()]);
        Path {
            index,
            key,
            unique,
            ranges: if is_restricted {
                Ranges::Dynamic(DynamicRanges { columns, conditions: used }.into())
            } else {
                Ranges::full()
            },
            range_count: 1.0,
            is_full: !is_restricted,
            rows: if is_restricted { rows } else { source.stats.row_count },
            fixed_columns: shape.equal_columns,
            points,
            filters: leftover(conditions, &shape.exact),
            is_restricted,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of them describe one path")]
    fn range_rows(
        &self,
        source: &DataSource,
        index: Option<&IndexInfo>,
        ranges: &[KeyRange],
        types: &[FieldType],
        used: &[bool],
        unique: bool,
        width: usize,
    ) -> f64 {
        let stats = &source.stats;
        if ranges.is_empty() {
            return 0.0;
        }
        if ranges.len() == 1 && ranges[0].is_full() {
            return stats.row_count;
        }
        let points = ranges.iter().filter(|range| range.is_point() && range.low.len() == width).count();
        if unique && points == ranges.len() {
            return (points as f64).min(stats.row_count.max(1.0));
        }
        if let Some(index) = index
            && stats.indices.contains_key(&index.id)
        {
            return stats.index_rows(index.id, ranges, types, unique);
        }
        let used: Vec<Expr> = source
            .conditions
            .iter()
            .zip(used)
            .filter(|(_, used)| **used)
            .map(|(condition, _)| condition.clone())
            .collect();
        source_selectivity(source, &used, &self.estimator) * stats.row_count
    }
}

fn leftover(conditions: &[Expr], exact: &[bool]) -> Vec<Expr> {
    conditions
        .iter()
        .zip(exact)
        .filter(|(_, exact)| !**exact)
        .map(|(condition, _)| condition.clone())
        .collect()
}

/// How many leading values all ranges share.
fn fixed_columns(ranges: &[KeyRange]) -> usize {
    let Some(first) = ranges.first() else {
        return 0;
    };
    let shared = |range: &KeyRange| {
        let own = range.low.iter().zip(&range.high).take_while(|(low, high)| low == high).count();
        let same = range.low.iter().zip(&first.low).take_while(|(a, b)| a == b).count();
        own.min(same)
    };
    ranges.iter().map(shared).min().unwrap_or(0)
}
