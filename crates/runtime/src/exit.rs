//! Exit codes of every program, so that scripts and supervisors can tell failures apart.

/// Everything ended as asked.
pub const SUCCESS: u8 = 0;
/// Something failed that no other code describes.
pub const FAILURE: u8 = 1;
/// The command line or a setting is wrong; starting again changes nothing.
pub const USAGE: u8 = 64;
/// Something the program depends on is not there.
pub const UNAVAILABLE: u8 = 69;
/// The failure is temporary; trying later can succeed.
pub const TRY_LATER: u8 = 75;
