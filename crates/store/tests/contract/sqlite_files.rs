//! What the store in a file promises about its files.
