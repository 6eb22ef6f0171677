//! Reading the outbox beside its writer: read-only, from a running gateway, a stopped one, or a copy.
