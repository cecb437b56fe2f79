use bytes::Bytes;
use prost::Message;
use tidewater_chunk::{Chunk, from_ipc};
use tidewater_codec::index_value::{IndexLayout, IndexValue};
use tidewater_codec::mvcc::{Lock, LockType, Write, WriteType};
use tidewater_codec::row::RowEncoder;
use tidewater_codec::{
    ColumnId, Handle, IndexId, Key, StartTs, TableId, TimeStamp, datum, index_value, table_key,
};
use tidewater_expr::{
    AggregateCall, AggregateFunction, AggregateMode, EvalContext, Expr, build_function, pushdown,
};
use tidewater_proto::coprocessor::{KeyRange, Request, Response};
use tidewater_proto::tipb;
use tidewater_types::{Collation, Datum, FieldType};

use super::source::is_point;
use super::*;
use crate::mvcc::{DataKey, IsolationLevel, PassableLocks};
use crate::{Cf, Durability, Engine, MemoryEngine, WriteBatch};

const TABLE: TableId = TableId(42);
const INDEX: IndexId = IndexId(7);
const ROWS: i64 = 300;

fn name_type() -> FieldType {
    FieldType::varchar(20).with_collation(Collation::Utf8mb4GeneralCi)
}

fn name_of(id: i64) -> Option<String> {
    (id % 10 != 9).then(|| format!("Name{}", id % 10))
}

fn name_datum(id: i64) -> Datum {
    name_of(id).map_or(Datum::Null, |name| Datum::Bytes(name.into_bytes()))
}

fn row_key(id: i64) -> Key {
    table_key::row_key(TABLE, &Handle::Int(id))
}

/// Rows (id, name, score = id * 10) and an index on name, committed at 20.
fn engine() -> MemoryEngine {
    let engine = MemoryEngine::new();
    let mut batch = WriteBatch::new();
    let mut put = |key: &[u8], value: Vec<u8>| {
        let write = Write::new(WriteType::Put, StartTs::new(10), Some(value));
        batch.put(Cf::Write, DataKey::from_raw(key).with_ts(TimeStamp::new(20)), write.to_bytes());
    };
    for id in 0..ROWS {
        let (name, score) = (name_datum(id), Datum::Int(id * 10));
        let mut value = Vec::new();
        let columns = [(ColumnId(2), &name, &name_type()), (ColumnId(3), &score, &FieldType::int())];
        RowEncoder::new().encode(&columns, &mut value).unwrap();
        put(row_key(id).as_bytes(), value);

        let mut key = table_key::index_prefix(TABLE, INDEX).into_bytes();
        datum::encode_key_datum(&name, &name_type(), &mut key).unwrap();
        table_key::write_index_handle(&Handle::Int(id), &mut key);
        let mut restored = Vec::new();
        RowEncoder::new().encode(&[(ColumnId(2), &name, &name_type())], &mut restored).unwrap();
        let mut value = Vec::new();
        let content = IndexValue { restored: Some(&restored), ..IndexValue::default() };
        index_value::encode(&content, IndexLayout::IntHandle, &mut value);
        put(&key, value);
    }
    engine.write(batch, Durability::Sync).unwrap();
    engine
}

fn view(engine: &MemoryEngine, read_ts: u64) -> ReadView {
    ReadView {
        snapshot: engine.snapshot(),
        read_ts: TimeStamp::new(read_ts),
        isolation: IsolationLevel::Snapshot,
        passable: PassableLocks::default(),
        fill_cache: true,
    }
}

fn column_info(id: i64, field_type: &FieldType) -> tipb::ColumnInfo {
    tipb::ColumnInfo {
        column_id: id,
        tp: i32::from(u8::from(field_type.code)),
        collation: -i32::from(field_type.collation.id()),
        column_len: field_type.length,
        decimal: field_type.decimals,
        flag: field_type.flags.bits() as i32,
        pk_handle: id == 1,
        ..tipb::ColumnInfo::default()
    }
}

fn columns() -> Vec<tipb::ColumnInfo> {
    vec![column_info(1, &FieldType::int()), column_info(2, &name_type()), column_info(3, &FieldType::int())]
}

fn schema() -> Vec<FieldType> {
    vec![FieldType::int(), name_type(), FieldType::int()]
}

fn table_scan(desc: bool) -> tipb::Executor {
    let scan = tipb::TableScan { table_id: TABLE.0, columns: columns(), desc, ..tipb::TableScan::default() };
    tipb::Executor {
        tp: tipb::ExecType::TypeTableScan.into(),
        tbl_scan: Some(scan),
        executor_id: "scan".into(),
        ..tipb::Executor::default()
    }
}

fn column(index: usize) -> Expr {
    Expr::column(index, schema()[index].clone(), "c")
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    build_function(name, args, &EvalContext::default()).unwrap()
}

fn selection(condition: Expr) -> tipb::Executor {
    let conditions = vec![pushdown::to_tipb(&condition).unwrap()];
    tipb::Executor {
        tp: tipb::ExecType::TypeSelection.into(),
        selection: Some(tipb::Selection { conditions }),
        executor_id: "selection".into(),
        ..tipb::Executor::default()
    }
}

fn all_rows() -> Vec<KeyRange> {
    let range = table_key::row_range(TABLE);
    vec![KeyRange { start: range.start.into_bytes().into(), end: range.end.into_bytes().into() }]
}

fn request(executors: Vec<tipb::Executor>, ranges: Vec<KeyRange>, paging_size: u64) -> Request {
    let dag = tipb::DagRequest {
        executors,
        time_zone_name: "UTC".into(),
        arrow_ipc: true,
        collect_execution_summaries: true,
        ..tipb::DagRequest::default()
    };
    Request {
        tp: REQUEST_TYPE_DAG,
        data: dag.encode_to_vec().into(),
        ranges,
        paging_size,
        ..Request::default()
    }
}

async fn run(engine: &MemoryEngine, request: Request) -> Response {
    let compute = tokio::runtime::Handle::current();
    execute(request, view(engine, 100), CoprocessorConfig::default(), &compute).await
}

fn select(response: &Response) -> tipb::SelectResponse {
    assert_eq!(response.other_error, "");
    assert!(response.locked.is_none());
    let select = tipb::SelectResponse::decode(response.data.clone()).unwrap();
    assert_eq!(select.error, None);
    select
}

fn rows(response: &Response, schema: &[FieldType]) -> Vec<Vec<Datum>> {
    let select = select(response);
    if select.arrow_batches.is_empty() {
        return Vec::new();
    }
    let chunks: Vec<Chunk> = from_ipc(select.arrow_batches).unwrap();
    chunks.iter().flat_map(|chunk| (0..chunk.num_rows()).map(|row| chunk.row(row, schema))).collect()
}

fn expected_row(id: i64) -> Vec<Datum> {
    vec![Datum::Int(id), name_datum(id), Datum::Int(id * 10)]
}

#[tokio::test]
async fn scans_decode_rows_forwards_and_backwards() {
    let engine = engine();
    let forward = run(&engine, request(vec![table_scan(false)], all_rows(), 0)).await;
    let expected: Vec<Vec<Datum>> = (0..ROWS).map(expected_row).collect();
    assert_eq!(rows(&forward, &schema()), expected);
    assert_eq!(forward.range, None);
    let backward = run(&engine, request(vec![table_scan(true)], all_rows(), 0)).await;
    assert_eq!(rows(&backward, &schema()), expected.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_is_seen_before_it_was_committed() {
    let engine = engine();
    let compute = tokio::runtime::Handle::current();
    let request = request(vec![table_scan(false)], all_rows(), 0);
    let response = execute(request, view(&engine, 19), CoprocessorConfig::default(), &compute).await;
    assert_eq!(rows(&response, &schema()), Vec::<Vec<Datum>>::new());
}

#[tokio::test]
async fn points_and_ranges_mix() {
    let engine = engine();
    let point = |id: i64| KeyRange {
        start: row_key(id).into_bytes().into(),
        end: row_key(id).next().into_bytes().into(),
    };
    let successor = KeyRange { start: row_key(50).into_bytes().into(), end: row_key(51).into_bytes().into() };
    let range = KeyRange { start: row_key(100).into_bytes().into(), end: row_key(103).into_bytes().into() };
    let second = KeyRange { start: row_key(104).into_bytes().into(), end: row_key(106).into_bytes().into() };
    let none =
        KeyRange { start: row_key(ROWS).into_bytes().into(), end: row_key(ROWS + 4).into_bytes().into() };
    let ranges = vec![point(3), point(5), successor, range, second, point(200), none, point(ROWS + 5)];
    let ids = [3, 5, 50, 100, 101, 102, 104, 105, 200];
    let forward = run(&engine, request(vec![table_scan(false)], ranges.clone(), 0)).await;
    assert_eq!(rows(&forward, &schema()), ids.map(expected_row));
    let backward = run(&engine, request(vec![table_scan(true)], ranges, 0)).await;
    let mut reversed = ids.map(expected_row);
    reversed.reverse();
    assert_eq!(rows(&backward, &schema()), reversed);
}

#[tokio::test]
async fn pages_join_to_the_whole() {
    let engine = engine();
    let condition = || selection(call("gt", vec![column(2), Expr::int(500)]));
    for desc in [false, true] {
        let whole = run(&engine, request(vec![table_scan(desc), condition()], all_rows(), 0)).await;
        let whole = rows(&whole, &schema());
        assert_eq!(whole.len(), 249);
        let (mut joined, mut ranges, mut pages) = (Vec::new(), all_rows(), 0);
        while let Some(range) = ranges.pop() {
            let page =
                run(&engine, request(vec![table_scan(desc), condition()], vec![range.clone()], 40)).await;
            joined.extend(rows(&page, &schema()));
            pages += 1;
            if let Some(scanned) = page.range {
                ranges.push(match desc {
                    false => KeyRange { start: scanned.end, end: range.end },
                    true => KeyRange { start: range.start, end: scanned.start },
                });
            }
        }
        assert_eq!(joined, whole, "descending: {desc}");
        assert!(pages > 1, "a page holds 40 rows or a chunk more");
    }
}

#[tokio::test]
async fn pieces_join_to_the_whole() {
    let engine = engine();
    let condition = selection(call("gt", vec![column(2), Expr::int(500)]));
    let small = CoprocessorConfig { cut_after_rows: 30, piece_rows_min: 20, ..CoprocessorConfig::default() };
    let compute = tokio::runtime::Handle::current();
    let ask = async |executors: &[tipb::Executor], ranges: Vec<KeyRange>, pieces_max| {
        let request = Request { pieces_max, ..request(executors.to_vec(), ranges, 0) };
        execute(request, view(&engine, 100), small.clone(), &compute).await
    };
    let filter = [table_scan(false), condition.clone()];
    let count = [table_scan(false), condition, count_rows()];
    for (executors, schema) in [(&filter[..], schema()), (&count[..], vec![FieldType::int()])] {
        let first = ask(executors, all_rows(), 4).await;
        assert_eq!(first.cuts.len(), 3, "four pieces of the rows that are left");
        let mut joined = rows(&first, &schema);
        let mut starts = vec![first.range.unwrap().end];
        starts.extend(first.cuts);
        let ends = starts[1..].iter().cloned().chain([all_rows()[0].end.clone()]);
        for (start, end) in starts.iter().cloned().zip(ends) {
            let piece = ask(executors, vec![KeyRange { start, end }], 1).await;
            assert_eq!(piece.range, None);
            joined.extend(rows(&piece, &schema));
        }
        if schema.len() == 1 {
            let total: i64 = joined.iter().map(|row| row[0].as_i64().unwrap()).sum();
            assert_eq!((joined.len(), total), (5, 249));
        } else {
            assert_eq!(joined, (51..ROWS).map(expected_row).collect::<Vec<_>>());
        }
    }
    let points =
        vec![KeyRange { start: row_key(3).into_bytes().into(), end: row_key(4).into_bytes().into() }];
    let small_scan = ask(&filter, points, 4).await;
    assert_eq!((small_scan.range, small_scan.cuts.len()), (None, 0));
}

fn count_rows() -> tipb::Executor {
    let count =
        AggregateCall::new(AggregateFunction::Count, vec![Expr::int(1)], false, &EvalContext::default());
    let count = AggregateCall { mode: AggregateMode::Partial, ..count.unwrap() };
    tipb::Executor {
        tp: tipb::ExecType::TypeAggregation.into(),
        aggregation: Some(tipb::Aggregation {
            agg_func: vec![pushdown::aggregate_to_tipb(&count).unwrap()],
            ..tipb::Aggregation::default()
        }),
        ..tipb::Executor::default()
    }
}

#[tokio::test]
async fn aggregation_top_n_and_limit_run_here() {
    let engine = engine();
    let eval = EvalContext::default();
    let aggregate = |function, arg| {
        let call = AggregateCall::new(function, vec![arg], false, &eval).unwrap();
        AggregateCall { mode: AggregateMode::Partial, ..call }
    };
    let calls =
        [aggregate(AggregateFunction::Count, Expr::int(1)), aggregate(AggregateFunction::Max, column(2))];
    let aggregation = tipb::Executor {
        tp: tipb::ExecType::TypeAggregation.into(),
        aggregation: Some(tipb::Aggregation {
            group_by: vec![pushdown::to_tipb(&column(1)).unwrap()],
            agg_func: calls.iter().map(|call| pushdown::aggregate_to_tipb(call).unwrap()).collect(),
            streamed: false,
        }),
        ..tipb::Executor::default()
    };
    // A page size does not cut an aggregation short.
    let response = run(&engine, request(vec![table_scan(false), aggregation], all_rows(), 10)).await;
    assert_eq!(response.range, None);
    let groups = rows(&response, &[FieldType::int(), FieldType::int(), name_type()]);
    let expected: Vec<Vec<Datum>> =
        (0..10).map(|id| vec![Datum::Int(30), Datum::Int((290 + id) * 10), name_datum(id)]).collect();
    assert_eq!(groups, expected);

    let top_n = tipb::Executor {
        tp: tipb::ExecType::TypeTopN.into(),
        top_n: Some(tipb::TopN {
            order_by: vec![tipb::ByItem { expr: pushdown::to_tipb(&column(2)), desc: true }],
            limit: 3,
        }),
        ..tipb::Executor::default()
    };
    let response = run(&engine, request(vec![table_scan(false), top_n], all_rows(), 0)).await;
    assert_eq!(rows(&response, &schema()), [299, 298, 297].map(expected_row));

    let limit = tipb::Executor {
        tp: tipb::ExecType::TypeLimit.into(),
        limit: Some(tipb::Limit { limit: 2 }),
        executor_id: "limit".into(),
        ..tipb::Executor::default()
    };
    let response = run(&engine, request(vec![table_scan(false), limit], all_rows(), 0)).await;
    assert_eq!(rows(&response, &schema()), [0, 1].map(expected_row));
    let summaries = select(&response).execution_summaries;
    let produced: Vec<(String, u64)> =
        summaries.into_iter().map(|summary| (summary.executor_id, summary.num_produced_rows)).collect();
    // A limit reads one chunk of the first size.
    assert_eq!(produced, [("scan".to_owned(), 32), ("limit".to_owned(), 2)]);
}

#[tokio::test]
async fn an_index_scan_gives_back_the_original_strings() {
    let engine = engine();
    let columns = vec![column_info(2, &name_type()), column_info(1, &FieldType::int())];
    let scan =
        tipb::IndexScan { table_id: TABLE.0, index_id: INDEX.0, columns, ..tipb::IndexScan::default() };
    let scan = tipb::Executor {
        tp: tipb::ExecType::TypeIndexScan.into(),
        idx_scan: Some(scan),
        ..tipb::Executor::default()
    };
    let range = table_key::index_range(TABLE, INDEX);
    let range = vec![KeyRange { start: range.start.into_bytes().into(), end: range.end.into_bytes().into() }];
    let response = run(&engine, request(vec![scan.clone()], range.clone(), 0)).await;
    // NULL first, then by name, then by handle.
    let mut ids: Vec<i64> = (0..ROWS).collect();
    ids.sort_by_key(|id| (name_of(*id), *id));
    let expected: Vec<Vec<Datum>> = ids.iter().map(|id| vec![name_datum(*id), Datum::Int(*id)]).collect();
    assert_eq!(rows(&response, &[name_type(), FieldType::int()]), expected);

    // Picked columns are the only ones decoded.
    let handle = Expr::column(1, FieldType::int(), "id");
    let pick = tipb::Executor {
        tp: tipb::ExecType::TypeProjection.into(),
        projection: Some(tipb::Projection { exprs: vec![pushdown::to_tipb(&handle).unwrap()] }),
        ..tipb::Executor::default()
    };
    let response = run(&engine, request(vec![scan, pick], range, 0)).await;
    let expected: Vec<Vec<Datum>> = ids.iter().map(|id| vec![Datum::Int(*id)]).collect();
    assert_eq!(rows(&response, &[FieldType::int()]), expected);
}

#[tokio::test]
async fn a_lock_in_the_way_is_answered() {
    let engine = engine();
    let key = row_key(7);
    let lock = Lock::new(LockType::Put, key.as_bytes().to_vec(), StartTs::new(50), 3000);
    let mut batch = WriteBatch::new();
    batch.put(Cf::Lock, DataKey::from_raw(key.as_bytes()).to_vec(), lock.to_bytes());
    engine.write(batch, Durability::Sync).unwrap();
    let response = run(&engine, request(vec![table_scan(false)], all_rows(), 0)).await;
    let locked = response.locked.expect("the lock");
    assert_eq!((&locked.key[..], locked.lock_version), (key.as_bytes(), 50));
    // It is in nobody's way who reads around it.
    let range = |from: i64, to: i64| KeyRange {
        start: row_key(from).into_bytes().into(),
        end: row_key(to).into_bytes().into(),
    };
    let around = request(vec![table_scan(false)], vec![range(2, 5), range(5, 7), range(8, 11)], 0);
    assert_eq!(rows(&run(&engine, around).await, &schema()), [2, 3, 4, 5, 6, 8, 9, 10].map(expected_row));
    let across = request(vec![table_scan(false)], vec![range(2, 5), range(6, 9)], 0);
    assert!(run(&engine, across).await.locked.is_some());
    // A reader who knows the lock's transaction passes it.
    let compute = tokio::runtime::Handle::current();
    let mut view = view(&engine, 100);
    view.passable.resolved.push(50);
    let request = request(vec![table_scan(false)], all_rows(), 0);
    let response = execute(request, view, CoprocessorConfig::default(), &compute).await;
    assert_eq!(rows(&response, &schema()).len(), ROWS as usize);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let engine = engine();
    let wrong_type = Request { tp: 104, ..request(vec![table_scan(false)], all_rows(), 0) };
    let no_scan = request(vec![selection(Expr::int(1))], all_rows(), 0);
    let garbage = Request { data: Bytes::from_static(&[0xff; 7]), ..request(vec![], all_rows(), 0) };
    for request in [wrong_type, no_scan, garbage, request(vec![], all_rows(), 0)] {
        assert_ne!(run(&engine, request).await.other_error, "");
    }
}

#[tokio::test]
async fn an_error_of_an_expression_travels_as_sql_error() {
    let engine = engine();
    let overflow = call("plus", vec![Expr::int(i64::MAX), column(0)]);
    let response = run(&engine, request(vec![table_scan(false), selection(overflow)], all_rows(), 0)).await;
    let select = tipb::SelectResponse::decode(response.data).unwrap();
    assert_eq!(select.error.map(|error| error.code), Some(1690));
}

#[test]
fn only_certain_points_are_points() {
    let range = |start: &[u8], end: &[u8]| KeyRange {
        start: Bytes::copy_from_slice(start),
        end: Bytes::copy_from_slice(end),
    };
    assert!(is_point(&range(b"abc", b"abc\0"), false));
    assert!(!is_point(&range(b"abc", b"abd"), false));
    let keys = [row_key(5), row_key(6)].map(Key::into_bytes);
    assert!(is_point(&range(&keys[0], &keys[1]), true));
    assert!(!is_point(&range(&keys[0], &keys[1]), false));
    let carry = [row_key(255), row_key(256)].map(Key::into_bytes);
    assert!(is_point(&range(&carry[0], &carry[1]), true));
    assert!(!is_point(&range(&carry[1], &carry[0]), true));
}

fn public_dag(executors: Vec<tipb::Executor>, encode_type: tipb::EncodeType) -> tipb::DagRequest {
    tipb::DagRequest {
        executors,
        time_zone_offset: 3600,
        encode_type: encode_type.into(),
        output_offsets: vec![2, 1],
        collect_range_counts: true,
        max_warning_count: 64,
        ..tipb::DagRequest::default()
    }
}

fn public_selection(condition: &Expr) -> tipb::Executor {
    let conditions = vec![pushdown::to_tipb_in(condition, pushdown::Dialect::Public).unwrap()];
    tipb::Executor {
        tp: tipb::ExecType::TypeSelection.into(),
        selection: Some(tipb::Selection { conditions }),
        ..tipb::Executor::default()
    }
}

#[tokio::test]
async fn strangers_are_answered_in_their_encodings() {
    let engine = engine();
    let condition = call("lt", vec![column(2), Expr::int(50)]);
    let types = [FieldType::int(), name_type()];
    let expected: Vec<Vec<Datum>> = (0..5).map(|id| vec![Datum::Int(id * 10), name_datum(id)]).collect();
    let halves = vec![
        KeyRange { start: all_rows()[0].start.clone(), end: row_key(3).into_bytes().into() },
        KeyRange { start: row_key(3).into_bytes().into(), end: all_rows()[0].end.clone() },
    ];
    for encode_type in [tipb::EncodeType::TypeChunk, tipb::EncodeType::TypeDefault] {
        let dag = public_dag(vec![table_scan(false), public_selection(&condition)], encode_type);
        let request = Request { data: dag.encode_to_vec().into(), ..request(vec![], halves.clone(), 0) };
        let select = select(&run(&engine, request).await);
        assert_eq!(select.encode_type, i32::from(encode_type));
        assert_eq!(select.output_counts, [3, ROWS - 3]);
        assert!(select.arrow_batches.is_empty());
        let pieces = select.chunks.iter().map(|chunk| &chunk.rows_data[..]);
        let chunks: Vec<Chunk> = match encode_type {
            tipb::EncodeType::TypeChunk => {
                pieces.map(|piece| tidewater_chunk::decode_columns(piece, &types).unwrap()).collect()
            }
            _ => {
                vec![tidewater_chunk::decode_rows(pieces, &types, &tidewater_types::TimeZone::utc()).unwrap()]
            }
        };
        let rows: Vec<Vec<Datum>> =
            chunks.iter().flat_map(|chunk| (0..chunk.num_rows()).map(|row| chunk.row(row, &types))).collect();
        assert_eq!(rows, expected);
    }
}

#[tokio::test]
async fn columns_without_a_chunk_form_come_as_datums() {
    let engine = engine();
    let mut scan = table_scan(false);
    // An ENUM whose members nobody told.
    scan.tbl_scan.as_mut().unwrap().columns[2].tp = i32::from(u8::from(tidewater_types::TypeCode::Enum));
    let dag = public_dag(vec![scan], tipb::EncodeType::TypeChunk);
    let request = Request { data: dag.encode_to_vec().into(), ..request(vec![], all_rows(), 0) };
    let select = select(&run(&engine, request).await);
    assert_eq!(select.encode_type, i32::from(tipb::EncodeType::TypeDefault));
}

#[tokio::test]
async fn checksums_do_not_depend_on_the_cut() {
    let engine = engine();
    let ask = async |ranges: Vec<KeyRange>, rule: Option<tipb::ChecksumRewriteRule>| {
        let checksum = tipb::ChecksumRequest { rule, ..tipb::ChecksumRequest::default() };
        let request =
            Request { tp: 105, data: checksum.encode_to_vec().into(), ranges, ..Request::default() };
        let response = run(&engine, request).await;
        tipb::ChecksumResponse::decode(response.data).map(|answer| (answer, response.other_error)).unwrap()
    };
    let (whole, error) = ask(all_rows(), None).await;
    assert_eq!((error.as_str(), whole.total_kvs), ("", ROWS as u64));
    let at: Bytes = row_key(100).into_bytes().into();
    let first = KeyRange { start: all_rows()[0].start.clone(), end: at.clone() };
    let second = KeyRange { start: at, end: all_rows()[0].end.clone() };
    let ((first, _), (second, _)) = (ask(vec![first], None).await, ask(vec![second], None).await);
    assert_eq!(first.checksum ^ second.checksum, whole.checksum);
    assert_eq!(first.total_bytes + second.total_bytes, whole.total_bytes);
    let rule = |old: &'static [u8]| tipb::ChecksumRewriteRule {
        old_prefix: Bytes::from_static(old),
        new_prefix: Bytes::from_static(b"t"),
    };
    assert_eq!(ask(all_rows(), Some(rule(b"t"))).await.0, whole);
    assert_ne!(ask(all_rows(), Some(rule(b"x"))).await.1, "");
}

#[tokio::test]
async fn what_is_unknown_is_told_by_number() {
    let engine = engine();
    let error = async |executors: Vec<tipb::Executor>| {
        run(&engine, request(executors, all_rows(), 0)).await.other_error
    };
    let odd = |tp| tipb::Executor { tp, ..tipb::Executor::default() };
    assert!(error(vec![odd(77)]).await.contains("77"));
    assert!(error(vec![table_scan(false), odd(7)]).await.contains("7 (TypeJoin)"));
    assert!(error(vec![table_scan(false), odd(99)]).await.contains("99"));
    let mut unknown = public_selection(&call("lt", vec![column(2), Expr::int(50)]));
    unknown.selection.as_mut().unwrap().conditions[0].sig = 9998;
    assert!(error(vec![table_scan(false), unknown]).await.contains("9998"));
    let mistaken = Expr::column(1, FieldType::int(), "c");
    let mistaken = call("lt", vec![mistaken, Expr::int(50)]);
    assert!(error(vec![table_scan(false), selection(mistaken)]).await.contains("column 1"));
    for tp in [104, 7] {
        let request = Request { tp, ..request(vec![table_scan(false)], all_rows(), 0) };
        assert!(run(&engine, request).await.other_error.contains(&tp.to_string()));
    }
}

mod strangers {
    use proptest::prelude::*;

    use super::*;

    fn ask(data: Vec<u8>, tp: i64, paging_size: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let engine = engine();
            let request =
                Request { tp, data: data.into(), ranges: all_rows(), paging_size, ..Request::default() };
            let config = CoprocessorConfig { memory_quota: 16 << 20, ..CoprocessorConfig::default() };
            let compute = tokio::runtime::Handle::current();
            let response = execute(request, view(&engine, 100), config, &compute).await;
            // A task that panicked on the compute runtime says so.
            assert!(!response.other_error.contains("did not finish"), "{}", response.other_error);
        });
    }

    fn valid() -> Vec<u8> {
        let condition = call("lt", vec![column(2), Expr::int(5000)]);
        let text = call("like", vec![column(1), Expr::string("Name%")]);
        let executors = vec![
            table_scan(false),
            public_selection(&condition),
            public_selection(&text),
            selection(call("gt", vec![call("plus", vec![column(0), Expr::int(3)]), Expr::int(9)])),
            count_rows(),
        ];
        tipb::DagRequest { output_offsets: vec![0], ..public_dag(executors, tipb::EncodeType::TypeChunk) }
            .encode_to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn any_bytes_are_answered(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            tp in prop_oneof![Just(103), Just(104), Just(105)],
        ) {
            ask(data, tp, 0);
        }

        #[test]
        fn damaged_requests_are_answered(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
            paging_size in prop_oneof![Just(0), Just(1), Just(50)],
        ) {
            let mut data = valid();
            for (at, byte) in damage {
                let at = at.index(data.len());
                data[at] = byte;
            }
            ask(data, 103, paging_size);
        }
    }
}
