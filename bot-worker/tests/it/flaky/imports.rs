//! Rooms that come from files, which a worker does not look at.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::RoomId;
use parlor_store::contract::{Imports, Result};
use parlor_store::record::{
    ImportEnd, ImportPart, ImportRefused, NewImport, ReactionRecord, RoomRecord,
};

use super::FlakyStore;

unused! { Imports:
    fn list_reactions(RoomId, (u64, u64), u64, u32) -> Result<Vec<ReactionRecord>>;
    fn begin_import(NewImport) -> Result<()>;
    fn write_import(RoomId, ImportPart) -> Result<std::result::Result<(), ImportRefused>>;
    fn finish_import(ImportEnd) -> Result<std::result::Result<RoomRecord, ImportRefused>>;
    fn give_up_import(RoomId) -> Result<bool>;
    fn clear_import(RoomId) -> Result<bool>;
    fn is_name_taken(&str) -> Result<bool>;
    fn list_idle_imports(Duration) -> Result<Vec<RoomId>>;
}
