//! The local end had connected: what became of our request.

use super::{Exchange, LONG_SILENCE, Last};
use crate::diagnosis::cause::evidence::span;
use crate::reset::{Cause, Evidence};

#[cfg(test)]
mod tests;

impl Exchange<'_> {
    /// Established or half-closed by one end, payload has passed.
    pub(super) fn client(&self, e: &mut Evidence) -> Cause {
        let vitals = self.vitals;
        if vitals.bytes_sent == 0 {
            return e.so(
                Cause::AbortedDuringSetup,
                "the peer spoke first and reset before we had sent anything",
            );
        }
        if vitals.bytes_received == 0 {
            return e.so(
                Cause::AbortedBeforeResponse,
                "no byte of an answer had come",
            );
        }
        if self.o.fin_received {
            return self.client_after_fin(e);
        }
        if self.met_a_forgotten_connection(e) {
            return Cause::IdleTimeout;
        }
        match self.last {
            // In one tick the order is open, but a silence this long is not: nothing moved.
            Last::In | Last::SameTick if self.went_silent(e) => Cause::IdleTimeout,
            Last::In => e.so(
                Cause::AbortedMidResponse,
                "the peer had begun to answer our last data",
            ),
            Last::Out => e.so(
                Cause::AbortedBeforeResponse,
                "our last data had no answer; earlier data had",
            ),
            Last::SameTick | Last::NotKnown if vitals.data_segs_out == 1 && vitals.unacked == 0 => {
                e.so(
                    Cause::AbortedMidResponse,
                    "we had sent one segment, it was acknowledged, and data had come back",
                )
            }
            Last::SameTick => self.order_unknown(e),
            Last::NotKnown => e.so(Cause::Unknown, "when data last moved is not known"),
        }
    }

    /// The peer had closed on a connection that had carried an answer.
    fn client_after_fin(&self, e: &mut Evidence) -> Cause {
        let outstanding = self.at_stake(e);
        if outstanding == 0 && (self.vitals.unacked > 0 || self.last == Last::In) {
            return e.so(
                Cause::ResetAfterClose,
                "the peer had ended its answer with a FIN and nothing of ours was outstanding",
            );
        }
        match self.last {
            Last::In => e.so(
                Cause::AbortedMidResponse,
                "the peer had answered and closed while data of ours was still under way",
            ),
            Last::Out if outstanding > 0 && self.met_a_closed_peer(e) => Cause::KeepaliveRace,
            Last::Out => e.so(
                Cause::AbortedBeforeResponse,
                "the peer closed without answering our last data; earlier data had an answer",
            ),
            Last::SameTick if outstanding == 0 => e.so(
                Cause::ResetAfterClose,
                "the peer had closed after data both ways and nothing of ours was outstanding",
            ),
            Last::SameTick => self.order_unknown(e),
            Last::NotKnown => e.so(Cause::Unknown, "when data last moved is not known"),
        }
    }

    /// Our last data left after the peer's FIN, or passed it on the way: the peer had closed an
    /// idle connection before it could know of that data.
    ///
    /// That the data is not acknowledged shows that it came too late: a FIN sent upon it would have
    /// acknowledged it. Where the moment of the FIN was not seen, the RST tells: a peer that had closed
    /// before resets at once, one that closed upon our data does not need to.
    fn met_a_closed_peer(&self, e: &mut Evidence) -> bool {
        let Some(output) = self.o.since_data_out else {
            return false;
        };
        let window = self.answer_window();
        let pause = self
            .o
            .since_data_in
            .map(|input| input.saturating_sub(output));
        match self.o.since_fin_received {
            Some(fin) if output + self.o.tick <= fin => {
                e.decide("our last data went out after the peer's FIN");
            }
            Some(fin) if output <= fin + window => e.decide(format!(
                "our last data and the peer's FIN crossed (within {})",
                span(window)
            )),
            None if output <= window => e.decide(
                "the RST came at once after our last data; when the peer's FIN came was not seen",
            ),
            _ => return false,
        }
        e.say(match pause {
            Some(pause) if pause >= LONG_SILENCE => {
                format!("the connection had been idle for {}", span(pause))
            }
            _ => "the connection had not been idle: the peer closes after its answers".to_owned(),
        });
        true
    }
}
