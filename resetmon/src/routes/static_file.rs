//! Routes from the configuration file.
