//! Capture of plain SQL.
