//! Review: conflicts and the decisions about them (DESIGN 4).
