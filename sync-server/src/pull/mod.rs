//! Pull: from a cursor to pages (DESIGN 3 and 4).
