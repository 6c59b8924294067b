//! Limits of the protocol. What exceeds one is refused with an error that names it.

/// Longest body of a push, in bytes after decompression.
pub const PUSH_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest body of a pull, in bytes after decompression: a cursor of thousands of scopes, and rows to come again.
pub const PULL_BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most transactions in one push.
pub const PUSH_TRANSACTIONS_MAX: usize = 10_000;
/// Most earlier attempts that a push may name as the stream's last one.
pub const PUSH_AFTER_MAX: usize = 1_000;
/// Most mutations in one transaction: one transaction is one database transaction.
pub const TRANSACTION_MUTATIONS_MAX: usize = 1_000;
/// Most rows in one page of a pull; a page is held in memory at both ends.
pub const PAGE_ROWS_MAX: usize = 5_000;
/// Most rows that a pull asks for again.
pub const REFETCH_ROWS_MAX: usize = 1_000;
/// Most rows in one answer of a comparison.
pub const COMPARE_ROWS_MAX: usize = 5_000;
/// Deepest nesting of a JSON document, in a request or in a `json` field.
pub const JSON_DEPTH_MAX: usize = 64;
/// Longest text in a field that declares no `max_length`, in characters.
pub const TEXT_CHARS_MAX: usize = 10_000;
/// Longest `json` field, in bytes of its canonical form.
pub const JSON_BYTES_MAX: usize = 64 * 1024;
/// Most elements in a `set` field.
pub const SET_ELEMENTS_MAX: usize = 1_000;
/// Longest element of a `set` field, in characters.
pub const SET_ELEMENT_CHARS_MAX: usize = 200;
/// Most digits after the point of a `decimal` field; the whole number has at most 18 digits.
pub const DECIMAL_SCALE_MAX: u8 = 9;
/// Largest magnitude of a decimal, counted in units of its last digit (18 digits).
pub const DECIMAL_UNITS_MAX: i64 = 999_999_999_999_999_999;
/// Most edits that want another value in one conflict; further ones wait until it is decided.
pub const CONFLICT_CANDIDATES_MAX: usize = 100;
/// Most receipts in one page of a pull, and most mutations that these speak of.
pub const PAGE_RECEIPTS_MAX: usize = 2_000;
/// How far an edit time may lie ahead of the server before it is clamped, in microseconds.
pub const EDIT_TIME_AHEAD_MAX_US: i64 = 5 * 60 * 1_000_000;
