//! Route and leg of a connection.
