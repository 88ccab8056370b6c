//! The cause of one reset.
