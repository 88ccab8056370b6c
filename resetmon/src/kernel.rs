//! The edge to the kernel: what it is, what it offers, what it reports.

pub mod aggregate;
pub mod attach;
pub mod btf;
pub mod capture;
pub mod clock;
pub mod conntrack;
pub mod counters;
pub mod decode;
pub mod marks;
pub mod names;
pub mod object;
pub mod observation;
pub mod offsets;
pub mod pin;
pub mod privilege;
pub mod probes;
pub mod reasons;
pub mod recursion;
pub mod refusals;
pub mod ring;
pub mod tally;
