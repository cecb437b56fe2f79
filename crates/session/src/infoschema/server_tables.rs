//! ENGINES, CHARACTER_SETS, COLLATIONS, PROCESSLIST, variables and status.

use tidewater_types::{Charset, Collation, Datum};

use crate::variables::{self, Values};

use super::{Row, Source, optional, text};

/// The character sets with their descriptions.
pub(crate) const CHARSETS: &[(Charset, &str)] = &[
    (Charset::Ascii, "US ASCII"),
    (Charset::Binary, "Binary pseudo charset"),
    (Charset::Latin1, "cp1252 West European"),
    (Charset::Utf8, "UTF-8 Unicode"),
    (Charset::Utf8mb4, "UTF-8 Unicode"),
];

/// The collations in order of their names.
pub(crate) const COLLATIONS: &[Collation] = &[
    Collation::AsciiBin,
    Collation::AsciiGeneralCi,
    Collation::Binary,
    Collation::Latin1Bin,
    Collation::Latin1SwedishCi,
    Collation::Utf8Bin,
    Collation::Utf8GeneralCi,
    Collation::Utf8UnicodeCi,
    Collation::Utf8mb4_0900AiCi,
    Collation::Utf8mb4_0900Bin,
    Collation::Utf8mb4Bin,
    Collation::Utf8mb4GeneralCi,
    Collation::Utf8mb4UnicodeCi,
];

pub(crate) fn engines() -> Vec<Row> {
    vec![vec![
        text("InnoDB"),
        text("DEFAULT"),
        text("Supports transactions, row-level locking, and foreign keys"),
        text("YES"),
        text("YES"),
        text("YES"),
    ]]
}

pub(super) fn character_sets() -> Vec<Row> {
    CHARSETS
        .iter()
        .map(|(charset, description)| {
            vec![
                text(charset.name()),
                text(charset.default_collation().name()),
                text(*description),
                Datum::UInt(charset.max_bytes() as u64),
            ]
        })
        .collect()
}

/// The columns of SHOW COLLATION.
pub(crate) fn collation_row(collation: Collation) -> Row {
    vec![
        text(collation.name()),
        text(collation.charset().name()),
        Datum::UInt(u64::from(collation.id())),
        text(if collation.charset().default_collation() == collation { "Yes" } else { "" }),
        text("Yes"),
        Datum::UInt(1),
        text(if collation.pad_space() { "PAD SPACE" } else { "NO PAD" }),
    ]
}

pub(super) fn collations() -> Vec<Row> {
    COLLATIONS.iter().map(|collation| collation_row(*collation)).collect()
}

pub(super) fn applicability() -> Vec<Row> {
    COLLATIONS
        .iter()
        .map(|collation| vec![text(collation.name()), text(collation.charset().name())])
        .collect()
}

pub(crate) fn processlist(source: &Source) -> Vec<Row> {
    source
        .processes
        .iter()
        .filter(|(_, info)| source.privileges.sees_process(&info.user))
        .map(|(id, info)| {
            vec![
                Datum::UInt(*id),
                text(info.user.as_str()),
                text(info.host.as_str()),
                optional(info.db.as_deref()),
                text(info.command),
                Datum::Int((source.now_micros - info.since_micros).max(0) / 1_000_000),
                text(info.state),
                optional(info.statement.as_deref()),
            ]
        })
        .collect()
}

pub(super) fn variables(values: &Values) -> Vec<Row> {
    variables::all()
        .map(|(id, definition)| vec![text(definition.name), text(values.get(id).as_ref())])
        .collect()
}

pub(super) fn status(source: &Source) -> Vec<Row> {
    source.status.iter().map(|(name, value)| vec![text(name.as_str()), text(value.as_str())]).collect()
}

pub(crate) fn plugins() -> Vec<Row> {
    ["mysql_native_password", "caching_sha2_password"]
        .iter()
        .map(|name| {
            vec![
                text(*name),
                text("1.0"),
                text("ACTIVE"),
                text("AUTHENTICATION"),
                text("1.1"),
                Datum::Null,
                Datum::Null,
                text("Tidewater"),
                text("password authentication"),
                text("MIT OR Apache-2.0"),
                text("FORCE"),
            ]
        })
        .collect()
}
