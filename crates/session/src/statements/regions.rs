//! SHOW TABLE REGIONS and SPLIT TABLE.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_catalog::{HandleKind, IndexInfo, TableInfo};
use tidewater_codec::{Handle, Key, table_key};
use tidewater_parser::ast::{Expr, Ident, ObjectName, SplitBy, SplitTable};
use tidewater_proto::{metapb, pdpb};
use tidewater_table::TableLayout;
use tidewater_types::{ConvertContext, Datum, ErrorCode, FieldType, SqlError, convert_from};

use crate::error::{from_table, from_txn, sql_error, wrong_object};
use crate::infoschema::{bound_text, text};
use crate::privileges::Rights;
use crate::result::StatementResult;
use crate::session::Session;
use crate::show::{Table, text_type};
use crate::statements::rows_of;

/// Most regions that one statement asks for, and most rows of values it gives (TiDB's).
const SPLIT_REGIONS_MAX: u64 = 1000;
/// The fewest row ids that a region of SPLIT .. BETWEEN holds (TiDB's).
const HANDLES_PER_REGION_MIN: u64 = 1000;

impl Session {
    /// The regions that hold a table's rows, then those of its indexes, each once; or those of one index.
    pub(crate) async fn table_regions(
        &mut self,
        name: &ObjectName,
        partitions: &[Ident],
        index: Option<&Ident>,
    ) -> Result<Table, SqlError> {
        let table = self.table_with_regions(name, partitions, Rights::SELECT, "SELECT")?;
        let mut ranges = Vec::new();
        match index {
            Some(index) => ranges.push(table_key::index_range(table.id, known_index(&table, index)?.id)),
            None => {
                ranges.push(table_key::row_range(table.id));
                let indexes =
                    table.public_indices().filter(|index| !(index.primary && table.is_common_handle));
                ranges.extend(indexes.map(|index| table_key::index_range(table.id, index.id)));
            }
        }
        let (mut seen, mut rows) = (BTreeSet::new(), Vec::new());
        for range in ranges {
            for region in self.db.cluster_regions(&range).await? {
                if let Some(meta) = region.region.as_ref().filter(|meta| seen.insert(meta.id)) {
                    rows.push(region_row(&region, meta, &table));
                }
            }
        }
        let (i, t) = (FieldType::int, text_type);
        let columns = [
            ("REGION_ID", i()),
            ("START_KEY", t()),
            ("END_KEY", t()),
            ("LEADER_ID", i()),
            ("LEADER_STORE_ID", i()),
            ("PEERS", t()),
            ("SCATTERING", i()),
            ("WRITTEN_BYTES", i()),
            ("READ_BYTES", i()),
            ("APPROXIMATE_SIZE(MB)", i()),
            ("APPROXIMATE_KEYS", i()),
            ("SCHEDULING_CONSTRAINTS", t()),
            ("SCHEDULING_STATE", t()),
        ];
        Ok(Table::new(&columns, rows))
    }

    /// SPLIT TABLE: cuts regions at values, or evenly between two, and has the new ones spread over the stores. Told is which part of them has
    /// arrived; nothing has for who does not wait, as in TiDB.
    pub(crate) async fn run_split(&mut self, split: &SplitTable) -> Result<StatementResult, SqlError> {
        let table = self.table_with_regions(&split.table, &split.partitions, Rights::INSERT, "INSERT")?;
        let context = self.statement(Vec::new());
        let convert = self.convert_context(&context.eval);
        let layout = TableLayout::new(Arc::clone(&table), context.eval.time_zone.clone());
        let target = match &split.index {
            Some(name) => Target::Index(known_index(&table, name)?),
            None => Target::Rows,
        };
        let splitter = Splitter { table: &table, layout: &layout, convert: &convert, target };
        let keys = match &split.by {
            SplitBy::Values(rows) if rows.len() as u64 > SPLIT_REGIONS_MAX => {
                return Err(too_many(rows.len() as u64));
            }
            SplitBy::Values(rows) => {
                let mut keys = splitter.borders();
                for (index, row) in rows.iter().enumerate() {
                    splitter.check_count(row.len()).map_err(|_| wrong_count(index + 1))?;
                    keys.push(splitter.key(&self.values_of(row).await?)?);
                }
                keys
            }
            SplitBy::Between { regions, .. } if *regions == 0 => {
                return Err(split_error("the number of regions should be greater than 0"));
            }
            SplitBy::Between { regions, .. } if *regions > SPLIT_REGIONS_MAX => {
                return Err(too_many(*regions));
            }
            SplitBy::Between { lower, upper, regions } => {
                splitter.check_count(lower.len()).map_err(|expected| bound_count("lower", expected))?;
                splitter.check_count(upper.len()).map_err(|expected| bound_count("upper", expected))?;
                let (lower, upper) = (self.values_of(lower).await?, self.values_of(upper).await?);
                let mut keys = splitter.borders_between();
                keys.extend(splitter.between(&lower, &upper, *regions)?);
                keys
            }
        };
        let new = self.db.client().split_regions(keys).await.map_err(|error| from_txn(&error))?;
        let ratio = self.spread(&table, &new).await?;
        let shown = Table::new(
            &[("TOTAL_SPLIT_REGION", FieldType::int()), ("SCATTER_FINISH_RATIO", FieldType::double())],
            vec![vec![Datum::Int(new.len() as i64), Datum::Double(ratio)]],
        );
        Ok(StatementResult::Rows(rows_of(self, shown)))
    }

    /// Spreads regions over the stores; gives the part of them that has arrived.
    async fn spread(&self, table: &TableInfo, regions: &[u64]) -> Result<f64, SqlError> {
        let accepted = self.scatter_regions(regions, table.id.0.to_string()).await;
        let Some(patience) = self.vars.hot.split_patience.filter(|_| accepted > 0) else {
            return Ok(0.0);
        };
        let arrived = self.wait_scattered(regions, patience).await?.min(accepted);
        Ok(arrived as f64 / regions.len() as f64)
    }

    fn table_with_regions(
        &self,
        name: &ObjectName,
        partitions: &[Ident],
        right: Rights,
        verb: &str,
    ) -> Result<Arc<TableInfo>, SqlError> {
        let (database, table) = self.known_table(&self.db.schema(), name)?;
        self.privileges().check_table(&database.to_lowercase(), table.name.lower(), right, verb)?;
        if table.is_view() || table.is_virtual() {
            return Err(wrong_object(format!("'{database}.{}' is not BASE TABLE", table.name)));
        }
        if !partitions.is_empty() {
            return Err(SqlError::with(ErrorCode::PartitionClauseOnNonpartitioned, &[]));
        }
        Ok(table)
    }

    async fn values_of(&mut self, row: &[Expr]) -> Result<Vec<(Datum, FieldType)>, SqlError> {
        let mut values = Vec::with_capacity(row.len());
        for expr in row {
            values.push(self.evaluate(expr).await?);
        }
        Ok(values)
    }
}

fn region_row(region: &pdpb::Region, meta: &metapb::Region, table: &TableInfo) -> Vec<Datum> {
    let int = |value: u64| Datum::Int(i64::try_from(value).unwrap_or(i64::MAX));
    let leader = region.leader.unwrap_or_default();
    let statistics = region.statistics.unwrap_or_default();
    let peers: Vec<_> = meta.peers.iter().map(|peer| peer.id.to_string()).collect();
    vec![
        int(meta.id),
        text(bound_text(&meta.start_key, table)),
        text(bound_text(&meta.end_key, table)),
        int(leader.id),
        int(leader.store_id),
        text(peers.join(", ")),
        Datum::Int(statistics.is_scheduled.into()),
        int(statistics.bytes_written),
        int(statistics.bytes_read),
        int(statistics.approximate_size),
        int(statistics.approximate_keys),
        text(""),
        text(""),
    ]
}

fn known_index<'t>(table: &'t TableInfo, name: &Ident) -> Result<&'t IndexInfo, SqlError> {
    let found = table.public_indices().find(|index| index.name.lower() == name.as_str().to_lowercase());
    found.ok_or_else(|| SqlError::with(ErrorCode::KeyDoesNotExist, &[&name.as_str(), &table.name]))
}

fn split_error(reason: &str) -> SqlError {
    SqlError::with(ErrorCode::InvalidSplitRegionRanges, &[&reason])
}

fn too_many(regions: u64) -> SqlError {
    let reason = format!("{regions} regions are asked for, {SPLIT_REGIONS_MAX} can be made at once");
    split_error(&reason)
}

fn wrong_count(row: usize) -> SqlError {
    SqlError::with(ErrorCode::WrongValueCountOnRow, &[&row.to_string()])
}

fn bound_count(which: &str, expected: usize) -> SqlError {
    let message = format!("Split table region {which} value count should be {expected}");
    sql_error(ErrorCode::UnknownError, message)
}

/// What is split.
enum Target<'t> {
    Rows,
    Index(&'t IndexInfo),
}

/// Turns values into keys of what is split.
struct Splitter<'t> {
    table: &'t TableInfo,
    layout: &'t TableLayout,
    convert: &'t ConvertContext,
    target: Target<'t>,
}

impl Splitter<'_> {
    /// Offsets of the columns whose values make a key; `None` for hidden row ids.
    fn columns(&self) -> Option<Vec<usize>> {
        match (&self.target, self.table.handle()) {
            (Target::Index(index), _) => Some(index.columns.iter().map(|part| part.offset).collect()),
            (Target::Rows, HandleKind::RowId) => None,
            (Target::Rows, HandleKind::IntColumn(column)) => Some(vec![column.offset]),
            (Target::Rows, HandleKind::Common(index)) => {
                Some(index.columns.iter().map(|part| part.offset).collect())
            }
        }
    }

    /// Rows need all values of their key, indexes the first ones. The error is how many are needed.
    fn check_count(&self, count: usize) -> Result<(), usize> {
        let columns = self.columns().map_or(1, |columns| columns.len());
        let fits = match self.target {
            Target::Rows => count == columns,
            Target::Index(_) => (1..=columns).contains(&count),
        };
        if fits { Ok(()) } else { Err(columns) }
    }

    /// Where the index that is split begins, unless that is the table's beginning, and where it ends; of rows nothing.
    fn borders(&self) -> Vec<Key> {
        let Target::Index(index) = self.target else { return Vec::new() };
        let range = table_key::index_range(self.table.id, index.id);
        let is_first = self.table.indices.first().is_some_and(|first| first.id == index.id);
        if is_first { vec![range.end] } else { vec![range.start, range.end] }
    }

    /// The same, and where rows begin, if there are indexes before them.
    fn borders_between(&self) -> Vec<Key> {
        let is_alone = |index: &IndexInfo| index.primary && self.table.is_common_handle;
        match self.target {
            Target::Rows if self.table.indices.iter().any(|index| !is_alone(index)) => {
                vec![table_key::row_prefix(self.table.id)]
            }
            _ => self.borders(),
        }
    }

    /// Values as the columns of the key hold them.
    fn converted(&self, values: &[(Datum, FieldType)]) -> Result<Vec<Datum>, SqlError> {
        let hidden = FieldType::int();
        let columns = self.columns();
        let mut converted = Vec::with_capacity(values.len());
        for (position, (value, from)) in values.iter().enumerate() {
            let column = columns.as_ref().map(|columns| &self.table.columns[columns[position]]);
            let (name, to) =
                column.map_or(("_tidb_rowid", &hidden), |column| (column.name.as_str(), &column.field_type));
            if value.is_null() {
                if matches!(self.target, Target::Rows) {
                    return Err(SqlError::with(ErrorCode::BadNullError, &[&name]));
                }
                converted.push(Datum::Null);
                continue;
            }
            let context = ConvertContext { column: Arc::from(name), strict: true, ..self.convert.clone() };
            let from = Some(from).filter(|from| !from.is_string());
            let value =
                convert_from(value, from, to, &context).map_err(|error| error.to_sql_error(name, 1))?;
            converted.push(value);
        }
        Ok(converted)
    }

    fn key(&self, values: &[(Datum, FieldType)]) -> Result<Key, SqlError> {
        self.key_of(&self.converted(values)?)
    }

    fn key_of(&self, values: &[Datum]) -> Result<Key, SqlError> {
        if let Target::Index(index) = self.target {
            return self.layout.index_bound(index, values).map_err(from_table);
        }
        let handle = match self.columns() {
            None => Handle::Int(integer(&values[0])),
            Some(columns) => {
                let mut row = vec![Datum::Null; self.table.columns.len()];
                for (&offset, value) in columns.iter().zip(values) {
                    row[offset] = value.clone();
                }
                let handle = self.layout.handle_of(&row).map_err(from_table)?;
                handle.unwrap_or_else(|| Handle::Int(integer(&values[0])))
            }
        };
        Ok(table_key::row_key(self.table.id, &handle))
    }

    /// The borders of so many regions between two bounds.
    fn between(
        &self,
        lower: &[(Datum, FieldType)],
        upper: &[(Datum, FieldType)],
        regions: u64,
    ) -> Result<Vec<Key>, SqlError> {
        let (lower, upper) = (self.converted(lower)?, self.converted(upper)?);
        if matches!(self.target, Target::Rows) && !matches!(self.table.handle(), HandleKind::Common(_)) {
            return self.handles_between(&lower[0], &upper[0], regions);
        }
        let (low, high) = (self.key_of(&lower)?, self.key_of(&upper)?);
        if low >= high {
            let what = match self.target {
                Target::Index(index) => format!("Split index `{}`", index.name),
                Target::Rows => format!("Split table `{}`", self.table.name),
            };
            let reason = format!("{what} region lower value should less than the upper value");
            return Err(split_error(&reason));
        }
        Ok(keys_between(low.as_bytes(), high.as_bytes(), regions))
    }

    fn handles_between(&self, lower: &Datum, upper: &Datum, regions: u64) -> Result<Vec<Key>, SqlError> {
        let (low, high) = (wide(lower), wide(upper));
        if high <= low {
            return Err(split_error(&format!("lower value {low} should less than the upper value {high}")));
        }
        let step = (high - low) / i128::from(regions);
        if step < i128::from(HANDLES_PER_REGION_MIN) {
            return Err(split_error(&format!(
                "the region size is too small, expected at least {HANDLES_PER_REGION_MIN}, but got {step}"
            )));
        }
        let key = |region: i128| {
            // Of an unsigned column's values those above the signed ones are kept as negative handles.
            let handle = (low + step * region) as i64;
            table_key::row_key(self.table.id, &Handle::Int(handle))
        };
        Ok((1..i128::from(regions)).map(key).collect())
    }
}

fn integer(value: &Datum) -> i64 {
    wide(value) as i64
}

fn wide(value: &Datum) -> i128 {
    match value {
        Datum::Int(value) => i128::from(*value),
        Datum::UInt(value) => i128::from(*value),
        _ => 0,
    }
}

/// Keys that cut what lies between two into so many parts: the eight bytes behind the common beginning are taken as a number.
fn keys_between(low: &[u8], high: &[u8], regions: u64) -> Vec<Key> {
    let common = low.iter().zip(high).take_while(|(one, other)| one == other).count();
    let number = |key: &[u8], pad: u8| {
        let mut bytes = [pad; 8];
        let rest = &key[common..];
        let length = rest.len().min(8);
        bytes[..length].copy_from_slice(&rest[..length]);
        u64::from_be_bytes(bytes)
    };
    let (first, last) = (number(low, 0), number(high, 0xff));
    let step = (last - first) / regions;
    let key = |part: u64| {
        let mut key = low[..common].to_vec();
        key.extend_from_slice(&(first + step * part).to_be_bytes());
        Key::new(key)
    };
    (1..regions).map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::keys_between;

    #[test]
    fn parts_between_two_keys_are_even() {
        let keys: Vec<_> =
            keys_between(b"t\x01a", b"t\x01e", 4).iter().map(|key| key.as_bytes()[..3].to_vec()).collect();
        assert_eq!(keys, [b"t\x01b", b"t\x01c", b"t\x01d"]);
        assert_eq!(keys_between(b"a", b"b", 1), []);
        // One is the beginning of the other.
        let keys = keys_between(b"k", b"kz", 2);
        assert!(keys[0].as_bytes() > &b"k"[..] && keys[0].as_bytes() < &b"kz"[..]);
    }
}
