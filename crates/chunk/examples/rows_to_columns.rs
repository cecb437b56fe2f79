//! A stored row becomes columns, and columns travel as Arrow IPC.

use tidewater_chunk::{Chunk, ColumnBuilder, ColumnToDecode, RowDecoder, from_ipc, to_ipc};
use tidewater_codec::{ColumnId, Handle, row::RowEncoder};
use tidewater_types::{Datum, FieldType, TimeZone};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let types = [FieldType::int(), FieldType::varchar(20)];
    let (id, name) = (Datum::Int(7), Datum::Bytes(b"seven".to_vec()));
    let mut stored = Vec::new();
    RowEncoder::new()
        .encode(&[(ColumnId(1), &id, &types[0]), (ColumnId(2), &name, &types[1])], &mut stored)?;

    let wanted = vec![
        ColumnToDecode::new(ColumnId(1), types[0].clone()),
        ColumnToDecode::new(ColumnId(2), types[1].clone()),
    ];
    let mut decoder = RowDecoder::new(wanted, TimeZone::utc());
    let mut builders = decoder.builders(1);
    decoder.decode_row(&Handle::Int(1), &stored, &mut builders)?;
    let chunk = Chunk::new(builders.into_iter().map(ColumnBuilder::finish).collect(), 1);

    let bytes = to_ipc(&[chunk], &types);
    for chunk in from_ipc(bytes.into())? {
        println!("{:?}", chunk.row(0, &types));
    }
    Ok(())
}
