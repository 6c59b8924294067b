//! Push: from transactions to receipts (DESIGN 4).
