//! Who someone is: passwords, tokens, tickets and the names of people.
//!
//! Functions of values, without I/O and without a store; the time is passed in. Only the password
//! hasher waits, because it hands its work to threads and bounds how much of it there is.

pub mod access;
pub mod email;
pub mod file_address;
mod key;
pub mod marked;
pub mod password;
pub mod password_rule;
pub mod profile;
pub mod refresh;
pub mod signing;
pub mod ticket;
pub mod username;

pub use access::{Access, AccessRefused, AccessTokens, CLOCK_LEEWAY, NewAccess};
pub use email::{EmailRefused, check_email};
pub use file_address::{AddressRefused, FileAddresses};
pub use key::{KeyTooShort, fingerprint};
pub use marked::{Issued, Mark};
pub use password::{HashError, HashParams, NewPasswordError, PasswordHasher};
pub use password_rule::{Known, PasswordRefused, PasswordRule};
pub use profile::{DisplayNameRefused, check_display_name};
pub use refresh::RefreshTokens;
pub use signing::{Signature, SigningKeys, SigningSecret};
pub use username::{ERASED_PREFIX, UsernameRefused, check_username};
