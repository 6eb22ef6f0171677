//! Which happening is new, and which one came before (semantics 1.2). Pure.
