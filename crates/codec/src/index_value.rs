//! Values of index entries.
use crate::{DecodeError, Handle, TableId};
/// What an index entry's value holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexValue<'a> {
    /// The row's handle, if it is not in the key.
    pub handle: Option<Handle>,
    /// The partition, for a global index.
    pub partition: Option<TableId>,
    /// A row value (format v2) of the columns whose keys cannot be turned back.
    pub restored: Option<&'a [u8]>,
}
/// Appends the value for a table whose handle is an integer (`clustered == false`) or for a clustered table.
pub fn encode(_value: &IndexValue<'_>, _layout: IndexLayout, _out: &mut Vec<u8>) { todo!() }
/// Reads a value.
pub fn decode(_bytes: &[u8]) -> Result<IndexValue<'_>, DecodeError> { todo!() }
/// What kind of table the index belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexLayout {
    /// Integer handles.
    IntHandle,
    /// A clustered primary key.
    CommonHandle,
}
