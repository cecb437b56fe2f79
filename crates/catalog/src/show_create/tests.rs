use tidewater_codec::{DbId, TableId};
use tidewater_types::{Datum, SqlMode, TimeZone};

use super::*;
use crate::{CheckInfo, Definer, ForeignKeyInfo, SchemaState, ViewInfo};

fn context() -> ConvertContext {
    ConvertContext {
        sql_mode: SqlMode::DEFAULT,
        strict: true,
        time_zone: TimeZone::utc(),
        now_micros: 0,
        warnings: Default::default(),
        column: "".into(),
        row: 1,
    }
}

fn show(table: &TableInfo) -> String {
    show_create_table(table, ShowCreateOptions::default(), &context())
}

#[test]
fn a_table_with_most_of_the_clauses() {
    let mut table = TableInfo::new(TableId(1), "odd`name");
    let id = table.add_column("id", FieldType::int().not_null());
    id.field_type.flags |= TypeFlags::AUTO_INCREMENT | TypeFlags::PRI_KEY;
    let name = table.add_column("name", FieldType::varchar(20).not_null());
    name.default_value = Some("it's".to_owned());
    name.comment = "who\nis it".to_owned();
    table.add_column("note", FieldType::varchar(10).with_collation(Collation::Utf8mb4GeneralCi));
    let at = table.add_column("at", FieldType::datetime(3));
    at.default_value = Some("CURRENT_TIMESTAMP(3)".to_owned());
    at.field_type.flags |= TypeFlags::ON_UPDATE_NOW;
    let bits = table.add_column("bits", FieldType { length: 4, ..FieldType::new(TypeCode::Bit) });
    bits.default_bytes = Some(vec![5]);
    let sum = table.add_column("sum", FieldType::int());
    sum.generated_expr = "`id` + 1".to_owned();
    table.pk_is_handle = true;
    table.add_index("by_name", &["name"]).unique = true;
    table.add_index("by_note", &["note", "id"]).columns[0].length = 4;
    table.comment = "all of it".to_owned();
    table.refresh_key_flags();
    let options = ShowCreateOptions { next_auto_increment: 7, ansi_quotes: false };
    let text = show_create_table(&table, options, &context());
    assert_eq!(
        text,
        "CREATE TABLE `odd``name` (\n  `id` bigint NOT NULL AUTO_INCREMENT,\n  `name` varchar(20) NOT NULL DEFAULT \
         'it''s' COMMENT 'who\\nis it',\n  `note` varchar(10) COLLATE utf8mb4_general_ci DEFAULT NULL,\n  `at` \
         datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),\n  `bits` bit(4) DEFAULT b'101',\n  \
         `sum` bigint GENERATED ALWAYS AS (`id` + 1) VIRTUAL,\n  PRIMARY KEY (`id`) /*T![clustered_index] CLUSTERED \
         */,\n  UNIQUE KEY `by_name` (`name`),\n  KEY `by_note` (`note`(4),`id`)\n) ENGINE=InnoDB DEFAULT \
         CHARSET=utf8mb4 COLLATE=utf8mb4_bin AUTO_INCREMENT=7 COMMENT='all of it'"
    );
}

#[test]
fn a_foreign_key_and_a_nonclustered_primary_key() {
    let mut table = TableInfo::new(TableId(1), "t");
    table.add_column("a", FieldType::varchar(3).not_null());
    let index = table.add_index("PRIMARY", &["a"]);
    index.primary = true;
    index.unique = true;
    table.foreign_keys.push(ForeignKeyInfo {
        id: 1,
        name: "fk".into(),
        ref_schema: "".into(),
        ref_table: "p".into(),
        ref_columns: vec!["x".into()],
        columns: vec!["a".into()],
        on_delete: 2,
        on_update: 0,
        state: SchemaState::Public,
    });
    let text = show(&table);
    assert!(text.contains("  PRIMARY KEY (`a`) /*T![clustered_index] NONCLUSTERED */,\n"), "{text}");
    assert!(
        text.contains("CONSTRAINT `fk` FOREIGN KEY (`a`) REFERENCES `p` (`x`) ON DELETE CASCADE\n"),
        "{text}"
    );
}

#[test]
fn checks_stand_last_and_say_when_they_are_not_enforced() {
    let mut table = TableInfo::new(TableId(1), "t");
    table.add_column("a", FieldType::int());
    let check = |number, enforced, state| CheckInfo {
        name: CheckInfo::generated_name("t", number),
        columns: vec!["a".into()],
        enforced,
        expr: "(`a` > 0)".to_owned(),
        state,
    };
    table.checks = vec![
        check(1, true, SchemaState::Public),
        check(2, false, SchemaState::Public),
        check(3, true, SchemaState::WriteOnly),
    ];
    assert_eq!(
        show(&table),
        "CREATE TABLE `t` (\n  `a` bigint DEFAULT NULL,\n  CONSTRAINT `t_chk_1` CHECK ((`a` > 0)),\n  CONSTRAINT \
         `t_chk_2` CHECK ((`a` > 0)) /*!80016 NOT ENFORCED */\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 \
         COLLATE=utf8mb4_bin"
    );
}

#[test]
fn databases_and_views() {
    let database = DbInfo::new(DbId(1), "shop");
    assert_eq!(
        show_create_database(&database, true),
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 */"
    );
    let mut view = TableInfo::new(TableId(2), "v");
    view.view = Some(ViewInfo {
        algorithm: 0,
        definer: Definer { user: "root".to_owned(), host: "%".to_owned() },
        security: 0,
        select: "SELECT 1".to_owned(),
        check_option: 1,
        columns: vec!["x".into()],
    });
    assert_eq!(
        show_create_view(&view, ShowCreateOptions::default()),
        "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW `v` (`x`) AS SELECT 1"
    );
}

#[test]
fn a_description_survives_its_json() {
    let mut table = TableInfo::new(TableId(1), "t");
    let column = table.add_column("a", FieldType::varchar(3).not_null());
    column.default_bytes = Some(vec![0, 255]);
    column.origin_default = Some("x".to_owned());
    table.add_index("i", &["a"]);
    table.refresh_key_flags();
    let json = serde_json::to_string(&table).unwrap();
    assert!(json.contains(r#""name":{"O":"t","L":"t"}"#) && json.contains(r#""idx_name""#), "{json}");
    let back: TableInfo = serde_json::from_str(&json).unwrap();
    assert_eq!(back, table);
    assert_eq!(table.key_word(&table.columns[0]), "MUL");
    assert_eq!(back.columns[0].origin_default_datum(&context()), Datum::Bytes(b"x".to_vec()));
}

#[test]
fn json_written_by_go_is_read() {
    let json = r#"{"id":88,"name":{"O":"g","L":"g"},"charset":"utf8mb4","collate":"utf8mb4_bin","cols":[{"id":1,"name":{"O":"a","L":"a"},"offset":0,"origin_default":null,"origin_default_bit":null,"default":"1","default_bit":null,"default_is_expr":false,"generated_expr_string":"","generated_stored":false,"dependences":null,"type":{"Tp":3,"Flag":4099,"Flen":11,"Decimal":0,"Charset":"binary","Collate":"binary","Elems":null,"ElemsIsBinaryLit":null,"Array":false},"state":5,"comment":"","hidden":false,"change_state_info":null,"version":2}],"index_info":null,"constraint_info":null,"fk_info":null,"state":5,"pk_is_handle":true,"is_common_handle":false,"common_handle_version":0,"comment":"","auto_inc_id":0,"max_col_id":1,"max_idx_id":0,"update_timestamp":419,"ShardRowIDBits":0,"view":null,"version":5}"#;
    let table: TableInfo = serde_json::from_str(json).unwrap();
    assert_eq!(table.handle_column().unwrap().name.as_str(), "a");
    assert!(show(&table).contains("`a` int NOT NULL DEFAULT '1'"), "{}", show(&table));
}
