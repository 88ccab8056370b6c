//! Loads and attaches the programs.
