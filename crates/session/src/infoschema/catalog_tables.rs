//! SCHEMATA, TABLES, VIEWS, PARTITIONS.

use tidewater_codec::TimeStamp;
use tidewater_types::{Datum, Time};

use super::{Row, Source, optional, text, visible_tables};

pub(super) fn schemata(source: &Source) -> Vec<Row> {
    source
        .schema
        .databases()
        .filter(|database| source.privileges.sees_database(database.name.lower()))
        .map(|database| {
            let collation = database.default_collation();
            vec![
                text("def"),
                text(database.name.as_str()),
                text(collation.charset().name()),
                text(collation.name()),
                Datum::Null,
                text("NO"),
            ]
        })
        .collect()
}

pub(super) fn tables(source: &Source) -> Vec<Row> {
    visible_tables(source)
        .map(|(database, table)| {
            let stored = !table.is_view() && !table.is_virtual();
            let number = |value: u64| if stored { Datum::UInt(value) } else { Datum::Null };
            let table_type = match (table.is_view(), table.is_virtual()) {
                (true, _) => "VIEW",
                (_, true) => "SYSTEM VIEW",
                _ => "BASE TABLE",
            };
            let rows = (source.row_counts)(table.id).unwrap_or(0);
            let has_auto_increment = table.auto_increment_column().is_some();
            let auto_increment = if has_auto_increment {
                Datum::UInt((source.next_auto_increment)(table.id).unwrap_or(table.auto_inc_id.max(1) as u64))
            } else {
                Datum::Null
            };
            vec![
                text("def"),
                text(database.name.as_str()),
                text(table.name.as_str()),
                text(table_type),
                if table.is_view() { Datum::Null } else { text("InnoDB") },
                number(10),
                if stored { text("Compact") } else { Datum::Null },
                number(rows),
                number(0),
                number(0),
                number(0),
                number(0),
                number(0),
                auto_increment,
                table_time(table.update_ts),
                Datum::Null,
                Datum::Null,
                if table.is_view() { Datum::Null } else { text(table.default_collation().name()) },
                Datum::Null,
                if table.is_view() { Datum::Null } else { text("") },
                text(if table.is_view() { "VIEW" } else { table.comment.as_str() }),
            ]
        })
        .collect()
}

/// The wall time in a timestamp of the cluster's clock, in UTC.
pub(crate) fn table_time(ts: u64) -> Datum {
    if ts == 0 {
        return Datum::Null;
    }
    let millis = TimeStamp::new(ts).physical_ms() as i64;
    Time::from_micros_since_epoch(millis / 1000 * 1_000_000).map_or(Datum::Null, Datum::Time)
}

pub(super) fn views(source: &Source) -> Vec<Row> {
    visible_tables(source)
        .filter_map(|(database, table)| {
            let view = table.view.as_ref()?;
            Some(vec![
                text("def"),
                text(database.name.as_str()),
                text(table.name.as_str()),
                text(view.select.as_str()),
                text(if view.check_option == 0 { "NONE" } else { "CASCADED" }),
                text("NO"),
                text(format!("{}@{}", view.definer.user, view.definer.host)),
                text(if view.security == 0 { "DEFINER" } else { "INVOKER" }),
                text("utf8mb4"),
                text("utf8mb4_bin"),
            ])
        })
        .collect()
}

/// One row per table: there are no partitions.
pub(super) fn partitions(source: &Source) -> Vec<Row> {
    visible_tables(source)
        .filter(|(_, table)| !table.is_view() && !table.is_virtual())
        .map(|(database, table)| {
            let mut row = vec![Datum::Null; 25];
            row[0] = text("def");
            row[1] = text(database.name.as_str());
            row[2] = text(table.name.as_str());
            row[12] = Datum::Int((source.row_counts)(table.id).unwrap_or(0) as i64);
            row[18] = table_time(table.update_ts);
            row[22] = text("");
            row[23] = optional(None::<String>);
            row
        })
        .collect()
}
