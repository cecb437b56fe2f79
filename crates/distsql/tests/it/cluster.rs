//! A cluster with one table `t (id BIGINT PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_general_ci, score BIGINT,
//! KEY k (name), UNIQUE KEY u (score))`, in many regions.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_catalog::TableInfo;
use tidewater_codec::{Handle, Key, TableId, table_key};
use tidewater_distsql::{DirtyCopy, ReadContext};
use tidewater_executor::{BoxedOperator, ExecContext, collect};
use tidewater_expr::{ColumnRef, Expr, build_function};
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_planner::{PlanBase, ScanColumn, Schema, TableSource};
use tidewater_proto::{PdService, StoreConnector, StoreService, TransportError};
use tidewater_table::TableLayout;
use tidewater_txn::{Transaction, TxnClient, TxnConfig, TxnOptions};
use tidewater_types::clock::WallClock;
use tidewater_types::{Collation, Datum, FieldType, TimeZone, TypeFlags};
use tokio::time::Instant;

pub type Row = Vec<Datum>;

const ADDRESS: &str = "store-1";
pub const TABLE: TableId = TableId(100);

struct TokioClock(Instant);

impl WallClock for TokioClock {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000 + i64::try_from(self.0.elapsed().as_micros()).expect("short tests")
    }
}

struct Direct(Arc<dyn StoreService>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

pub struct TestCluster {
    pub pd: Arc<PlacementDriver>,
    pub connector: Arc<dyn StoreConnector>,
    pub client: TxnClient,
    pub table: Arc<TableInfo>,
}

pub fn name_type() -> FieldType {
    FieldType::varchar(20).with_collation(Collation::Utf8mb4GeneralCi)
}

fn table() -> TableInfo {
    let mut table = TableInfo::new(TABLE, "t");
    table.pk_is_handle = true;
    let id = table.add_column("id", FieldType::int().not_null());
    id.field_type.flags |= TypeFlags::PRI_KEY;
    table.add_column("name", name_type());
    table.add_column("score", FieldType::int());
    table.add_index("k", &["name"]);
    table.add_index("u", &["score"]).unique = true;
    table
}

pub fn name_of(id: i64) -> Datum {
    match id % 7 {
        6 => Datum::Null,
        digit => Datum::Bytes(format!("{}{digit} ", if id % 2 == 0 { "Name" } else { "name" }).into_bytes()),
    }
}

pub fn row_of(id: i64) -> Row {
    vec![Datum::Int(id), name_of(id), Datum::Int(id * 10)]
}

impl TestCluster {
    /// `rows` rows; regions begin at every `rows_per_region`-th row and in the middle of each index.
    pub async fn start(rows: i64, rows_per_region: usize) -> TestCluster {
        let clock = Arc::new(TokioClock(Instant::now()));
        let pd =
            PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock).expect("opens");
        let config =
            NodeConfig { address: ADDRESS.to_owned(), gc_poll_interval: None, ..NodeConfig::default() };
        let node = Node::open(config, Arc::new(MemoryEngine::new()), pd.clone() as Arc<dyn PdService>).await;
        let connector: Arc<dyn StoreConnector> = Arc::new(Direct(node.expect("opens")));
        let client = TxnClient::new(pd.clone(), connector.clone(), TxnConfig::default());
        let cluster = TestCluster { pd, connector, client, table: Arc::new(table()) };
        let mut txn = cluster.begin().await;
        for id in 0..rows {
            cluster.put(&mut txn, &row_of(id));
        }
        txn.commit().await.expect("commits");
        let mut borders: Vec<Key> = (0..rows).step_by(rows_per_region).map(row_key).collect();
        for index in &cluster.table.indices {
            let row = row_of(rows / 2);
            let layout = cluster.layout();
            let entry = layout.index_entry(index, &row, &Handle::Int(rows / 2)).expect("encodes");
            borders.push(entry.key);
        }
        cluster.client.split_regions(borders).await.expect("splits");
        cluster
    }

    pub fn layout(&self) -> TableLayout {
        TableLayout::new(self.table.clone(), TimeZone::utc())
    }

    pub async fn begin(&self) -> Transaction {
        self.client.begin(TxnOptions::default()).await.expect("begins")
    }

    pub fn put(&self, txn: &mut Transaction, row: &Row) {
        let mut layout = self.layout();
        let handle = layout.handle_of(row).expect("has one").expect("is in the row");
        txn.put(layout.row_key(&handle), layout.row_value(row).expect("encodes")).expect("fits");
        for index in &self.table.indices {
            let entry = layout.index_entry(index, row, &handle).expect("encodes");
            txn.put(entry.key, entry.value).expect("fits");
        }
    }

    pub fn delete(&self, txn: &mut Transaction, row: &Row) {
        let layout = self.layout();
        let handle = layout.handle_of(row).expect("has one").expect("is in the row");
        txn.delete(layout.row_key(&handle)).expect("fits");
        for index in &self.table.indices {
            txn.delete(layout.index_entry(index, row, &handle).expect("encodes").key).expect("fits");
        }
    }

    /// Reads at a fresh timestamp, in chunks of at most ten rows.
    pub async fn context(&self) -> ReadContext {
        let ts = self.client.current_timestamp().await.expect("a timestamp");
        self.context_with(self.client.clone(), self.client.snapshot(tidewater_codec::StartTs(ts)))
    }

    /// Reads as a transaction, its writes included.
    pub fn context_of(&self, txn: &Transaction) -> ReadContext {
        let ctx = self.context_with(self.client.clone(), txn.snapshot().clone());
        let range = table_key::table_range(TABLE);
        ReadContext { dirty: Some(Arc::new(DirtyCopy::new(txn.buffer(), [&range]))), ..ctx }
    }

    pub fn context_with(&self, client: TxnClient, snapshot: tidewater_txn::Snapshot) -> ReadContext {
        let exec = ExecContext { initial_chunk_rows: 4, max_chunk_rows: 10, ..ExecContext::default() };
        ReadContext::new(exec, client, snapshot)
    }

    pub fn source(&self) -> TableSource {
        TableSource { database: "test".into(), alias: "t".into(), info: self.table.clone() }
    }
}

pub fn row_key(id: i64) -> Key {
    table_key::row_key(TABLE, &Handle::Int(id))
}

/// Schema and columns of some of the table's columns.
pub fn scan_columns(cluster: &TestCluster, offsets: &[usize]) -> (Schema, Arc<[ScanColumn]>) {
    let schema: Vec<ColumnRef> = offsets
        .iter()
        .enumerate()
        .map(|(index, offset)| {
            let column = &cluster.table.columns[*offset];
            let name = format!("test.t.{}", column.name).into();
            ColumnRef { unique_id: *offset as u64, index, field_type: column.field_type.clone(), name }
        })
        .collect();
    let columns: Vec<ScanColumn> = offsets.iter().map(|offset| ScanColumn::Column(*offset)).collect();
    (schema.into(), columns.into())
}

pub fn base(id: u32, schema: Schema) -> PlanBase {
    PlanBase { id, rows: 0.0, schema }
}

pub fn column(schema: &Schema, index: usize) -> Expr {
    Expr::Column(schema[index].clone())
}

pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    build_function(name, args, &ExecContext::default().eval).expect("well typed")
}

pub async fn run(mut operator: BoxedOperator) -> Vec<Row> {
    let chunks = collect(operator.as_mut()).await.expect("the reader reads");
    let schema = operator.schema().to_vec();
    chunks.iter().flat_map(|chunk| (0..chunk.num_rows()).map(|row| chunk.row(row, &schema))).collect()
}

pub fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}
