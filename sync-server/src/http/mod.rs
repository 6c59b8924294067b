//! The HTTP interface: a file for each route.
