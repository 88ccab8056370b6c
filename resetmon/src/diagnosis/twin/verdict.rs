//! What a received reset is called once its sender is known.
//!
//! - What the receiver lost is a fact of its own: its cause stays, and the sender's stands beside it
//!   ([`Reset::twin`]).
//! - What rested on a guess about the sender gives way to what the sender did:
//!   - who opened the connection is known if the sender knows it, and the cause is concluded anew;
//!   - nobody in between made the RST, so `injected` and the sender `middlebox` are withdrawn;
//!   - a peer whose process ended, or that was cut off, did not close an idle connection: a `keepalive_race`
//!     with it is `aborted_before_response`;
//!   - a peer that closed in spite of data from us had not forgotten the connection: an
//!     `idle_timeout` with data outstanding is `aborted_before_response`, or `client_canceled` where
//!     the peer is the client;
//!   - `unknown` is `refused` or `aborted_during_setup` where the sender never accepted the
//!     connection.

use super::Sent;
use crate::diagnosis::cause::diagnose;
use crate::kernel::observation::{Observation, Role};
use crate::reset::{Cause, Reset, Sender};

/// Adds what `sent` knows to the reset that it is.
pub(super) fn join(reset: &mut Reset, sent: Sent) {
    if let Some(role) = sent.role
        && reset.observation.role.is_none()
    {
        reset.observation.role = Some(opposite(role));
        reset.diagnosis = diagnose(&reset.observation);
    }
    if reset.diagnosis.sender == Sender::Middlebox {
        reset.diagnosis = diagnose(&Observation {
            handshake_ttl: None,
            ..reset.observation.clone()
        });
    }
    let diagnosis = &mut reset.diagnosis;
    let told = sent.twin.told();
    match corrected(diagnosis.cause, sent.twin.cause, &reset.observation) {
        Some(cause) => diagnosis.cause = diagnosis.evidence.so(cause, told),
        None => diagnosis.evidence.say(told),
    }
    reset.twin = Some(sent.twin);
}

/// What the sender's cause makes of a guess; `None` if it stands.
fn corrected(received: Cause, sent: Cause, o: &Observation) -> Option<Cause> {
    let outstanding = o.vitals.as_ref().is_some_and(|vitals| vitals.unacked > 0);
    match (received, sent) {
        (Cause::KeepaliveRace, cause) if is_cut_off(cause) => Some(Cause::AbortedBeforeResponse),
        (Cause::IdleTimeout, cause) if outstanding && (is_close(cause) || is_cut_off(cause)) => {
            match o.role? {
                Role::Client => Some(Cause::AbortedBeforeResponse),
                Role::Server => Some(Cause::ClientCanceled),
            }
        }
        (Cause::Unknown, Cause::NoListener) => Some(Cause::Refused),
        (Cause::Unknown, Cause::ListenOverflow | Cause::ListenerClosed) => {
            Some(Cause::AbortedDuringSetup)
        }
        _ => None,
    }
}

/// The sender did not close by its own will.
const fn is_cut_off(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ProcessExit | Cause::ProcessKilled | Cause::SocketDestroyed | Cause::MemoryPressure
    )
}

/// The sender's program closed.
const fn is_close(cause: Cause) -> bool {
    matches!(cause, Cause::ClosedWithUnreadData | Cause::LingerAbort)
}

const fn opposite(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

#[cfg(test)]
mod tests;
