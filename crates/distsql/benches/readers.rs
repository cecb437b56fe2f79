//! How fast does a table of a few regions arrive, and what does a point read cost?
//!
//! `mvcc_scanner_alone` is the baseline: the same rows out of the same engine, without decoding, coprocessor or client.

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_catalog::TableInfo;
use tidewater_codec::{Handle, StartTs, TableId, table_key};
use tidewater_distsql::{ReadContext, build_reader};
use tidewater_executor::ExecContext;
use tidewater_expr::{ColumnRef, Expr};
use tidewater_kv::{MemoryEngine, Node, NodeConfig, ScanStep, Scanner, ScannerOptions};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_planner::{
    PhysicalPlan, PlanBase, PointAccess, PointGet, Ranges, ScanColumn, Schema, TableReader, TableScan,
    TableSource,
};
use tidewater_proto::{PdService, StoreConnector, StoreService, TransportError};
use tidewater_table::TableLayout;
use tidewater_txn::{TxnClient, TxnConfig, TxnOptions};
use tidewater_types::clock::ManualClock;
use tidewater_types::{Datum, FieldType, TimeZone, TypeFlags};
use tokio::runtime::Runtime;

const ROWS: i64 = 50_000;
const TABLE: TableId = TableId(100);

struct Direct(Arc<dyn StoreService>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

fn table() -> Arc<TableInfo> {
    let mut table = TableInfo::new(TABLE, "t");
    table.pk_is_handle = true;
    table.add_column("id", FieldType::int().not_null()).field_type.flags |= TypeFlags::PRI_KEY;
    table.add_column("name", FieldType::varchar(40));
    table.add_column("score", FieldType::int());
    Arc::new(table)
}

async fn cluster(table: &Arc<TableInfo>) -> (TxnClient, Arc<Node>) {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let pd =
        PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock).expect("opens");
    let config = NodeConfig { gc_poll_interval: None, ..NodeConfig::default() };
    let node = Node::open(config, Arc::new(MemoryEngine::new()), pd.clone() as Arc<dyn PdService>)
        .await
        .expect("opens");
    let client = TxnClient::new(pd, Arc::new(Direct(node.clone())), TxnConfig::default());
    let mut txn = client.begin(TxnOptions::default()).await.expect("begins");
    let mut layout = TableLayout::new(table.clone(), TimeZone::utc());
    for id in 0..ROWS {
        let name = Datum::Bytes(format!("a customer whose number is {id}").into_bytes());
        let value = layout.row_value(&[Datum::Int(id), name, Datum::Int(id * 7)]).expect("encodes");
        txn.put(table_key::row_key(TABLE, &Handle::Int(id)), value).expect("fits");
    }
    txn.commit().await.expect("commits");
    let borders = (0..ROWS).step_by(ROWS as usize / 4).map(|id| table_key::row_key(TABLE, &Handle::Int(id)));
    client.split_regions(borders).await.expect("splits");
    (client, node)
}

fn plans(table: &Arc<TableInfo>) -> (PhysicalPlan, PhysicalPlan) {
    let schema: Schema = (0..3)
        .map(|index| {
            let field_type = table.columns[index].field_type.clone();
            ColumnRef { unique_id: index as u64, index, field_type, name: "c".into() }
        })
        .collect();
    let columns: Arc<[ScanColumn]> = (0..3).map(ScanColumn::Column).collect();
    let base = PlanBase { id: 1, rows: 0.0, schema };
    let source = TableSource { database: "test".into(), alias: "t".into(), info: table.clone() };
    let scan = TableScan {
        base: base.clone(),
        columns: columns.clone(),
        ranges: Ranges::full(),
        is_full: true,
        keep_order: false,
        desc: false,
    };
    let full = TableReader { base: base.clone(), table: source.clone(), scan, cop: vec![] };
    let key = vec![Expr::int(ROWS / 2)];
    let point = PointGet { base, table: source, access: PointAccess::Handle, key, columns, lock: None };
    (PhysicalPlan::TableReader(full), PhysicalPlan::PointGet(point))
}

async fn read(ctx: &ReadContext, plan: &PhysicalPlan) -> usize {
    let mut reader = build_reader(ctx, plan).expect("a valid plan").expect("a leaf");
    reader.open().await.expect("opens");
    let mut rows = 0;
    while let Some(chunk) = reader.next().await.expect("reads") {
        rows += black_box(chunk).num_rows();
    }
    rows
}

fn readers(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let table = table();
    let (client, node) = runtime.block_on(cluster(&table));
    let ts = runtime.block_on(client.current_timestamp()).expect("a timestamp");
    let ctx = ReadContext::new(ExecContext::default(), client.clone(), client.snapshot(StartTs(ts)));
    let (full, point) = plans(&table);
    // The last locks of the load are committed in the background: whoever reads settles them, but for the scanner alone.
    runtime.block_on(read(&ctx, &full));
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("mvcc_scanner_alone", |b| {
        b.iter(|| {
            let range = table_key::row_range(TABLE);
            let options = ScannerOptions {
                start: range.start.into_bytes(),
                end: range.end.into_bytes(),
                read_ts: ts,
                ..ScannerOptions::default()
            };
            let mut scanner = Scanner::new(&node.engine().snapshot(), options);
            let mut bytes = 0;
            while scanner.next().expect("reads") == ScanStep::Row {
                bytes += black_box(scanner.value()).len();
            }
            bytes
        });
    });
    group.bench_function("full_scan_of_four_regions", |b| b.iter(|| runtime.block_on(read(&ctx, &full))));
    group.throughput(Throughput::Elements(1));
    group.bench_function("point_get", |b| b.iter(|| runtime.block_on(read(&ctx, &point))));
    group.finish();
}

criterion_group!(benches, readers);
criterion_main!(benches);
