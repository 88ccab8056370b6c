//! The local end was connected to: what the client did not wait for.

use super::{Exchange, Last};
use crate::diagnosis::cause::farewell;
use crate::reset::{Cause, Evidence};

#[cfg(test)]
mod tests;

impl Exchange<'_> {
    /// Established or half-closed by one end, payload has passed.
    pub(super) fn server(&self, e: &mut Evidence) -> Cause {
        let (o, vitals) = (self.o, self.vitals);
        if vitals.bytes_received == 0 && o.fin_received {
            return Self::asked_nothing(e);
        }
        if vitals.bytes_received == 0 {
            return e.so(
                Cause::AbortedDuringSetup,
                "we spoke first and the client reset before it had sent anything",
            );
        }
        if self.met_a_forgotten_connection(e) {
            return Cause::IdleTimeout;
        }
        let outstanding = if o.fin_received || o.fin_sent {
            self.at_stake(e)
        } else {
            vitals.unacked
        };
        if outstanding > 0 {
            return e.so(
                Cause::ClientCanceled,
                "the client did not take all that we had sent",
            );
        }
        if o.fin_sent {
            return e.so(
                Cause::ResetAfterClose,
                "we had finished sending and all of it was acknowledged",
            );
        }
        if let Some(word) = farewell(vitals.unread) {
            return e.so(
                Cause::ResetAfterClose,
                format!(
                    "the last {} bytes in, unread, have the size of a TLS {word} and nothing of ours \
                     was outstanding",
                    vitals.unread
                ),
            );
        }
        match self.last {
            Last::In => {
                e.so(Cause::ClientCanceled, "the client's last data had no answer yet")
            }
            Last::Out if o.fin_received => e.so(
                Cause::ResetAfterClose,
                "the client had closed and all that we had sent was acknowledged",
            ),
            // One segment in and data out: that was its answer.
            Last::SameTick if o.fin_received && vitals.data_segs_in == 1 => e.so(
                Cause::ResetAfterClose,
                "the client had closed, its one segment had an answer and all of it was acknowledged",
            ),
            Last::SameTick if o.fin_received => self.order_unknown(e),
            Last::Out | Last::SameTick if self.went_silent(e) => Cause::IdleTimeout,
            Last::Out | Last::SameTick => {
                e.so(Cause::ClientCanceled, "data had just moved and the client did not close first")
            }
            Last::NotKnown => e.so(Cause::Unknown, "when data last moved is not known"),
        }
    }

    /// A health check that connects and closes: what we say to it is lost on nobody.
    pub(super) fn asked_nothing(e: &mut Evidence) -> Cause {
        e.so(
            Cause::ResetAfterClose,
            "the client had closed without having sent anything",
        )
    }
}
