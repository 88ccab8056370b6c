//! The probes, one file each.

pub mod accept;
pub mod existing;
pub mod first_read;
pub mod handshake;
pub mod process_exit;
pub mod refused;
pub mod reject;
pub mod reset_packet;
pub mod reset_received;
pub mod reset_sent;
pub mod socket_destroyed;
pub mod socket_state;
pub mod untraced;
