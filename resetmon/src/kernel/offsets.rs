//! Member offsets by name.
