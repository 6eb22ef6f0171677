//! What a device event means for the business.
//!
//! Until milestones are configured an event is its own transaction type: `scan.carton` is posted as `scan.carton`.
