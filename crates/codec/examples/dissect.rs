//! Takes a key apart, given in hexadecimal digits, raw or in the memcomparable form.
//!
//! `cargo run -p tidewater-codec --example dissect -- 7480000000000000015f728000000000000002`

use tidewater_codec::table_key::{TableKeyKind, decode_handle, decode_table_key};
use tidewater_codec::{EncodedKey, Key, datum};
use tidewater_types::FieldType;

fn main() {
    let argument =
        std::env::args().nth(1).unwrap_or_else(|| "7480000000000000015f728000000000000002".to_owned());
    let Some(bytes) = from_hex(&argument) else {
        eprintln!("not hexadecimal digits: {argument}");
        std::process::exit(2);
    };
    let key = match EncodedKey::from_encoded(bytes.clone()).decode() {
        Ok(raw) => {
            println!("memcomparable form of {raw}");
            raw
        }
        Err(_) => Key::new(bytes),
    };
    match decode_table_key(key.as_bytes()) {
        Ok((table, TableKeyKind::Row { handle })) => match decode_handle(handle) {
            Ok(handle) => println!("row {handle} of table {table}"),
            Err(error) => println!("a row of table {table}, but {error}"),
        },
        Ok((table, TableKeyKind::Index { index, values })) => {
            println!("entry of index {index} of table {table}");
            let mut rest = values;
            // Without the table's description the types are not known: flags say enough to print something.
            while let Ok(value) = datum::decode_key_datum(&mut rest, &FieldType::null()) {
                println!("  {value:?}");
            }
        }
        Err(error) => println!("no key of a table: {error}"),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    digits?.chunks(2).map(|pair| Some((pair[0] * 16 + pair.get(1)?) as u8)).collect()
}
