//! Pages of a pull in the binary and in the JSON form.
