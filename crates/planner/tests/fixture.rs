//! The schemas that tests, benches and examples plan against.

#![allow(dead_code, reason = "each user takes what it needs")]

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_catalog::{DbInfo, InfoSchema, InfoSchemaBuilder, TableInfo, ViewInfo};
use tidewater_codec::{DbId, TableId};
use tidewater_expr::EvalContext;
use tidewater_parser::{ParserOptions, ast::Statement, parse_one};
use tidewater_planner::{Plan, PlanContext, PlanError, PlannerVars};
use tidewater_stats::{ColumnStats, TableStats};
use tidewater_types::{Datum, FieldType, TypeCode};

/// A schema and what else planning needs.
pub struct Fixture {
    pub schema: InfoSchema,
    pub stats: BTreeMap<TableId, Arc<TableStats>>,
    pub eval: EvalContext,
    pub vars: PlannerVars,
    pub param_types: Vec<FieldType>,
    pub dirty: Vec<TableId>,
}

impl Fixture {
    pub fn new() -> Self {
        let mut builder = InfoSchemaBuilder::new();
        builder.put_database(DbInfo::new(DbId(1), "test")).put_database(DbInfo::new(DbId(2), "tpch"));
        let mut stats = BTreeMap::new();
        for (number, definition) in TABLES.iter().enumerate() {
            let id = TableId(100 + number as i64);
            let (database, table, table_stats) = build(id, definition);
            builder.put_table(database, table);
            if let Some(table_stats) = table_stats {
                stats.insert(id, Arc::new(table_stats));
            }
        }
        let mut view = TableInfo::new(TableId(900), "v");
        view.add_column("a", FieldType::int());
        view.add_column("total", FieldType::int());
        view.view = Some(ViewInfo {
            algorithm: 0,
            definer: Default::default(),
            security: 0,
            select: "SELECT `a`, count(*) FROM `test`.`t` GROUP BY `a`".to_owned(),
            check_option: 1,
            columns: vec!["a".into(), "total".into()],
        });
        builder.put_table(DbId(1), view);
        Fixture {
            schema: builder.build(1),
            stats,
            eval: EvalContext::default(),
            vars: PlannerVars::default(),
            param_types: Vec::new(),
            dirty: Vec::new(),
        }
    }

    pub fn with_context<T>(&self, database: &str, run: impl FnOnce(&PlanContext<'_>) -> T) -> T {
        let dirty = |table: TableId| self.dirty.contains(&table);
        let variable = |_: Option<_>, name: &str| match name {
            "version_comment" => Some((Datum::Bytes(b"Tidewater".to_vec()), FieldType::varchar(9))),
            "autocommit" => Some((Datum::Int(1), FieldType::int())),
            _ => None,
        };
        run(&PlanContext {
            info_schema: &self.schema,
            stats: &self.stats,
            current_db: Some(database),
            eval: &self.eval,
            param_types: &self.param_types,
            vars: self.vars.clone(),
            dirty_tables: &dirty,
            system_variable: &variable,
        })
    }

    pub fn plan(&self, database: &str, sql: &str) -> Result<Plan, PlanError> {
        self.with_context(database, |context| tidewater_planner::plan(&parse(sql), context))
    }
}

pub fn parse(sql: &str) -> Statement {
    parse_one(sql, &ParserOptions::default()).expect("the statement parses").statement
}

/// `database.table rows`, then lines of `column type [ndv]` and of keys.
const TABLES: &[&str] = &[
    "test.t -
     id int! | a int | b int | c varchar(20) | d datetime
     primary id | key k_a a | key k_bc b,c | unique u_c c",
    "test.u -
     id int! | tid int! | v int | w decimal(10,2)
     primary id | key k_tid tid",
    "test.heap -
     x int | y varchar(10)
     key k_x x",
    "test.pair -
     a int! | b varchar(10)! | v int
     primary a,b",
    "test.sbtest1 100000
     id int! | k int! | c char(120)! | pad char(60)!
     primary id | key k_1 k",
    "tpch.nation 25
     n_nationkey int! 25 | n_name char(25)! 25 | n_regionkey int! 5 | n_comment varchar(152)
     primary n_nationkey",
    "tpch.region 5
     r_regionkey int! 5 | r_name char(25)! 5 | r_comment varchar(152)
     primary r_regionkey",
    "tpch.part 200000
     p_partkey int! 200000 | p_name varchar(55)! 199997 | p_mfgr char(25)! 5 | p_brand char(10)! 25 | p_type varchar(25)! 150 | p_size int! 50 | p_container char(10)! 40 | p_retailprice decimal(15,2)! 20899 | p_comment varchar(23)!
     primary p_partkey",
    "tpch.supplier 10000
     s_suppkey int! 10000 | s_name char(25)! 10000 | s_address varchar(40)! 10000 | s_nationkey int! 25 | s_phone char(15)! 10000 | s_acctbal decimal(15,2)! 9955 | s_comment varchar(101)!
     primary s_suppkey",
    "tpch.partsupp 800000
     ps_partkey int! 200000 | ps_suppkey int! 10000 | ps_availqty int! 9999 | ps_supplycost decimal(15,2)! 99865 | ps_comment varchar(199)!
     primary ps_partkey,ps_suppkey",
    "tpch.customer 150000
     c_custkey int! 150000 | c_name varchar(25)! 150000 | c_address varchar(40)! 150000 | c_nationkey int! 25 | c_phone char(15)! 150000 | c_acctbal decimal(15,2)! 140187 | c_mktsegment char(10)! 5 | c_comment varchar(117)!
     primary c_custkey",
    "tpch.orders 1500000
     o_orderkey int! 1500000 | o_custkey int! 99996 | o_orderstatus char(1)! 3 | o_totalprice decimal(15,2)! 1464556 | o_orderdate date! 2406 | o_orderpriority char(15)! 5 | o_clerk char(15)! 1000 | o_shippriority int! 1 | o_comment varchar(79)!
     primary o_orderkey",
    "tpch.lineitem 6001215
     l_orderkey int! 1500000 | l_partkey int! 200000 | l_suppkey int! 10000 | l_linenumber int! 7 | l_quantity decimal(15,2)! 50 | l_extendedprice decimal(15,2)! 933900 | l_discount decimal(15,2)! 11 | l_tax decimal(15,2)! 9 | l_returnflag char(1)! 3 | l_linestatus char(1)! 2 | l_shipdate date! 2526 | l_commitdate date! 2466 | l_receiptdate date! 2554 | l_shipinstruct char(25)! 4 | l_shipmode char(10)! 7 | l_comment varchar(44)!
     primary l_orderkey,l_linenumber",
];

fn build(id: TableId, definition: &str) -> (DbId, TableInfo, Option<TableStats>) {
    let mut lines = definition.lines().map(str::trim);
    let (name, rows) = lines.next().unwrap().split_once(' ').unwrap();
    let (database, name) = name.split_once('.').unwrap();
    let mut table = TableInfo::new(id, name);
    let mut stats = rows.parse().ok().map(TableStats::pseudo_with_rows);
    for column in lines.next().unwrap().split(" | ") {
        let mut words = column.split(' ');
        let (name, type_name) = (words.next().unwrap(), words.next().unwrap());
        let (type_name, not_null) = match type_name.strip_suffix('!') {
            Some(type_name) => (type_name, true),
            None => (type_name, false),
        };
        let field_type = field_type(type_name);
        let column = table.add_column(name, if not_null { field_type.not_null() } else { field_type });
        if let (Some(stats), Some(ndv)) = (&mut stats, words.next()) {
            let column_stats = ColumnStats { ndv: ndv.parse().unwrap(), ..ColumnStats::default() };
            stats.columns.insert(column.id, column_stats);
        }
    }
    for key in lines.next().unwrap().split(" | ") {
        let words: Vec<&str> = key.split(' ').collect();
        let columns: Vec<&str> = words[words.len() - 1].split(',').collect();
        match words[0] {
            "primary" => {
                let int = columns.len() == 1 && table.column(columns[0]).unwrap().field_type.is_integer();
                if int {
                    table.pk_is_handle = true;
                    let offset = table.column(columns[0]).unwrap().offset;
                    table.columns[offset].field_type.flags |= tidewater_types::TypeFlags::PRI_KEY;
                } else {
                    table.is_common_handle = true;
                    table.common_handle_version = 1;
                    let index = table.add_index("PRIMARY", &columns);
                    index.unique = true;
                    index.primary = true;
                }
            }
            "unique" => table.add_index(words[1], &columns).unique = true,
            _ => {
                table.add_index(words[1], &columns);
            }
        }
    }
    table.refresh_key_flags();
    let database = if database == "test" { DbId(1) } else { DbId(2) };
    (database, table, stats)
}

fn field_type(name: &str) -> FieldType {
    let (name, args) = name.split_once('(').unwrap_or((name, ""));
    let args: Vec<i32> = args.trim_end_matches(')').split(',').filter_map(|arg| arg.parse().ok()).collect();
    match name {
        "int" => FieldType::new(TypeCode::Long),
        "varchar" => FieldType::varchar(args[0]),
        "char" => FieldType { length: args[0], ..FieldType::new(TypeCode::String) },
        "decimal" => FieldType::decimal(args[0] as u8, args[1] as u8),
        "date" => FieldType::date(),
        "datetime" => FieldType::datetime(0),
        other => panic!("the fixture does not know the type {other}"),
    }
}

/// The 22 queries of TPC-H with the validation parameters.
pub const TPCH: &[&str] = &[
    "select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_base_price, sum(l_extendedprice * (1 - l_discount)) as sum_disc_price, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge, avg(l_quantity) as avg_qty, avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc, count(*) as count_order from lineitem where l_shipdate <= date '1998-12-01' - interval '90' day group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus",
    "select s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment from part, supplier, partsupp, nation, region where p_partkey = ps_partkey and s_suppkey = ps_suppkey and p_size = 15 and p_type like '%BRASS' and s_nationkey = n_nationkey and n_regionkey = r_regionkey and r_name = 'EUROPE' and ps_supplycost = (select min(ps_supplycost) from partsupp, supplier, nation, region where p_partkey = ps_partkey and s_suppkey = ps_suppkey and s_nationkey = n_nationkey and n_regionkey = r_regionkey and r_name = 'EUROPE') order by s_acctbal desc, n_name, s_name, p_partkey limit 100",
    "select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority from customer, orders, lineitem where c_mktsegment = 'BUILDING' and c_custkey = o_custkey and l_orderkey = o_orderkey and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15' group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10",
    "select o_orderpriority, count(*) as order_count from orders where o_orderdate >= date '1993-07-01' and o_orderdate < date '1993-07-01' + interval '3' month and exists (select * from lineitem where l_orderkey = o_orderkey and l_commitdate < l_receiptdate) group by o_orderpriority order by o_orderpriority",
    "select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue from customer, orders, lineitem, supplier, nation, region where c_custkey = o_custkey and l_orderkey = o_orderkey and l_suppkey = s_suppkey and c_nationkey = s_nationkey and s_nationkey = n_nationkey and n_regionkey = r_regionkey and r_name = 'ASIA' and o_orderdate >= date '1994-01-01' and o_orderdate < date '1994-01-01' + interval '1' year group by n_name order by revenue desc",
    "select sum(l_extendedprice * l_discount) as revenue from lineitem where l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year and l_discount between 0.06 - 0.01 and 0.06 + 0.01 and l_quantity < 24",
    "select supp_nation, cust_nation, l_year, sum(volume) as revenue from (select n1.n_name as supp_nation, n2.n_name as cust_nation, extract(year from l_shipdate) as l_year, l_extendedprice * (1 - l_discount) as volume from supplier, lineitem, orders, customer, nation n1, nation n2 where s_suppkey = l_suppkey and o_orderkey = l_orderkey and c_custkey = o_custkey and s_nationkey = n1.n_nationkey and c_nationkey = n2.n_nationkey and ((n1.n_name = 'FRANCE' and n2.n_name = 'GERMANY') or (n1.n_name = 'GERMANY' and n2.n_name = 'FRANCE')) and l_shipdate between date '1995-01-01' and date '1996-12-31') as shipping group by supp_nation, cust_nation, l_year order by supp_nation, cust_nation, l_year",
    "select o_year, sum(case when nation = 'BRAZIL' then volume else 0 end) / sum(volume) as mkt_share from (select extract(year from o_orderdate) as o_year, l_extendedprice * (1 - l_discount) as volume, n2.n_name as nation from part, supplier, lineitem, orders, customer, nation n1, nation n2, region where p_partkey = l_partkey and s_suppkey = l_suppkey and l_orderkey = o_orderkey and o_custkey = c_custkey and c_nationkey = n1.n_nationkey and n1.n_regionkey = r_regionkey and r_name = 'AMERICA' and s_nationkey = n2.n_nationkey and o_orderdate between date '1995-01-01' and date '1996-12-31' and p_type = 'ECONOMY ANODIZED STEEL') as all_nations group by o_year order by o_year",
    "select nation, o_year, sum(amount) as sum_profit from (select n_name as nation, extract(year from o_orderdate) as o_year, l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity as amount from part, supplier, lineitem, partsupp, orders, nation where s_suppkey = l_suppkey and ps_suppkey = l_suppkey and ps_partkey = l_partkey and p_partkey = l_partkey and o_orderkey = l_orderkey and s_nationkey = n_nationkey and p_name like '%green%') as profit group by nation, o_year order by nation, o_year desc",
    "select c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) as revenue, c_acctbal, n_name, c_address, c_phone, c_comment from customer, orders, lineitem, nation where c_custkey = o_custkey and l_orderkey = o_orderkey and o_orderdate >= date '1993-10-01' and o_orderdate < date '1993-10-01' + interval '3' month and l_returnflag = 'R' and c_nationkey = n_nationkey group by c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment order by revenue desc limit 20",
    "select ps_partkey, sum(ps_supplycost * ps_availqty) as value from partsupp, supplier, nation where ps_suppkey = s_suppkey and s_nationkey = n_nationkey and n_name = 'GERMANY' group by ps_partkey having sum(ps_supplycost * ps_availqty) > (select sum(ps_supplycost * ps_availqty) * 0.0001 from partsupp, supplier, nation where ps_suppkey = s_suppkey and s_nationkey = n_nationkey and n_name = 'GERMANY') order by value desc",
    "select l_shipmode, sum(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 else 0 end) as high_line_count, sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) as low_line_count from orders, lineitem where o_orderkey = l_orderkey and l_shipmode in ('MAIL', 'SHIP') and l_commitdate < l_receiptdate and l_shipdate < l_commitdate and l_receiptdate >= date '1994-01-01' and l_receiptdate < date '1994-01-01' + interval '1' year group by l_shipmode order by l_shipmode",
    "select c_count, count(*) as custdist from (select c_custkey, count(o_orderkey) as c_count from customer left outer join orders on c_custkey = o_custkey and o_comment not like '%special%requests%' group by c_custkey) as c_orders group by c_count order by custdist desc, c_count desc",
    "select 100.00 * sum(case when p_type like 'PROMO%' then l_extendedprice * (1 - l_discount) else 0 end) / sum(l_extendedprice * (1 - l_discount)) as promo_revenue from lineitem, part where l_partkey = p_partkey and l_shipdate >= date '1995-09-01' and l_shipdate < date '1995-09-01' + interval '1' month",
    "with revenue0 (supplier_no, total_revenue) as (select l_suppkey, sum(l_extendedprice * (1 - l_discount)) from lineitem where l_shipdate >= date '1996-01-01' and l_shipdate < date '1996-01-01' + interval '3' month group by l_suppkey) select s_suppkey, s_name, s_address, s_phone, total_revenue from supplier, revenue0 where s_suppkey = supplier_no and total_revenue = (select max(total_revenue) from revenue0) order by s_suppkey",
    "select p_brand, p_type, p_size, count(distinct ps_suppkey) as supplier_cnt from partsupp, part where p_partkey = ps_partkey and p_brand <> 'Brand#45' and p_type not like 'MEDIUM POLISHED%' and p_size in (49, 14, 23, 45, 19, 3, 36, 9) and ps_suppkey not in (select s_suppkey from supplier where s_comment like '%Customer%Complaints%') group by p_brand, p_type, p_size order by supplier_cnt desc, p_brand, p_type, p_size",
    "select sum(l_extendedprice) / 7.0 as avg_yearly from lineitem, part where p_partkey = l_partkey and p_brand = 'Brand#23' and p_container = 'MED BOX' and l_quantity < (select 0.2 * avg(l_quantity) from lineitem where l_partkey = p_partkey)",
    "select c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) from customer, orders, lineitem where o_orderkey in (select l_orderkey from lineitem group by l_orderkey having sum(l_quantity) > 300) and c_custkey = o_custkey and o_orderkey = l_orderkey group by c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice order by o_totalprice desc, o_orderdate limit 100",
    "select sum(l_extendedprice * (1 - l_discount)) as revenue from lineitem, part where (p_partkey = l_partkey and p_brand = 'Brand#12' and p_container in ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG') and l_quantity >= 1 and l_quantity <= 1 + 10 and p_size between 1 and 5 and l_shipmode in ('AIR', 'AIR REG') and l_shipinstruct = 'DELIVER IN PERSON') or (p_partkey = l_partkey and p_brand = 'Brand#23' and p_container in ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK') and l_quantity >= 10 and l_quantity <= 10 + 10 and p_size between 1 and 10 and l_shipmode in ('AIR', 'AIR REG') and l_shipinstruct = 'DELIVER IN PERSON') or (p_partkey = l_partkey and p_brand = 'Brand#34' and p_container in ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG') and l_quantity >= 20 and l_quantity <= 20 + 10 and p_size between 1 and 15 and l_shipmode in ('AIR', 'AIR REG') and l_shipinstruct = 'DELIVER IN PERSON')",
    "select s_name, s_address from supplier, nation where s_suppkey in (select ps_suppkey from partsupp where ps_partkey in (select p_partkey from part where p_name like 'forest%') and ps_availqty > (select 0.5 * sum(l_quantity) from lineitem where l_partkey = ps_partkey and l_suppkey = ps_suppkey and l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year)) and s_nationkey = n_nationkey and n_name = 'CANADA' order by s_name",
    "select s_name, count(*) as numwait from supplier, lineitem l1, orders, nation where s_suppkey = l1.l_suppkey and o_orderkey = l1.l_orderkey and o_orderstatus = 'F' and l1.l_receiptdate > l1.l_commitdate and exists (select * from lineitem l2 where l2.l_orderkey = l1.l_orderkey and l2.l_suppkey <> l1.l_suppkey) and not exists (select * from lineitem l3 where l3.l_orderkey = l1.l_orderkey and l3.l_suppkey <> l1.l_suppkey and l3.l_receiptdate > l3.l_commitdate) and s_nationkey = n_nationkey and n_name = 'SAUDI ARABIA' group by s_name order by numwait desc, s_name limit 100",
    "select cntrycode, count(*) as numcust, sum(c_acctbal) as totacctbal from (select substring(c_phone from 1 for 2) as cntrycode, c_acctbal from customer where substring(c_phone from 1 for 2) in ('13', '31', '23', '29', '30', '18', '17') and c_acctbal > (select avg(c_acctbal) from customer where c_acctbal > 0.00 and substring(c_phone from 1 for 2) in ('13', '31', '23', '29', '30', '18', '17')) and not exists (select * from orders where o_custkey = c_custkey)) as custsale group by cntrycode order by cntrycode",
];
