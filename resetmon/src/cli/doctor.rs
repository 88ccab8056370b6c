//! `resetmon doctor`.
