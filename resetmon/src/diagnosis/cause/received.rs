//! Why a RST was received.
//!
//! A RST is blamed only for what it destroyed. Where the peer had ended its side in good order
//! before (a FIN, a TLS `close_notify`) and nothing of ours was outstanding, that end was the
//! end of the exchange and the RST is harmless, however the exchange had gone.
//!
//! What cannot be seen from here is whether an answer was complete, and whether small control
//! messages (HTTP/2 `WINDOW_UPDATE`, TLS alerts already read) passed as the last data.

use std::time::Duration;

use super::evidence::{bytes, span, ticks};
use super::{LONG_SILENCE, farewell};
use crate::kernel::observation::{Observation, Role, TcpState, Vitals};
use crate::reset::{Cause, Evidence};

mod client;
mod server;
#[cfg(test)]
mod tests;

/// Shortest time in which an answer to our last segment may be seen as caused by it: delays of
/// scheduling and of the loopback device are well below.
const ANSWER_AT_LEAST: Duration = Duration::from_millis(10);

/// Data is sent again a round trip and at least this after it went out (`TCP_RTO_MIN`).
const RETRANSMIT_AT_LEAST: Duration = Duration::from_millis(200);

/// The ACK flag of a TCP header.
const ACK: u8 = 0x10;

/// Concludes, and says from what.
pub(super) fn cause(o: &Observation, e: &mut Evidence) -> Cause {
    use TcpState::{
        Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, Listen, NewSynRecv,
        SynRecv, SynSent, TimeWait,
    };
    let Some(state) = o.state_before.or(o.state) else {
        return e.so(Cause::Unknown, "the state of the connection is not known");
    };
    match state {
        // `tcp_rcv_synsent_state_process`
        SynSent => return e.so(Cause::Refused, "the RST answered our SYN"),
        SynRecv | NewSynRecv => {
            return e.so(
                Cause::AbortedDuringSetup,
                "the RST came before the handshake was complete",
            );
        }
        Close | Listen => {
            return e.so(
                Cause::Unknown,
                format!("a RST has no effect in {}", state.name()),
            );
        }
        Established | CloseWait | FinWait1 | FinWait2 | LastAck | Closing | TimeWait => {}
    }
    let Some(vitals) = &o.vitals else {
        return e.so(
            Cause::Unknown,
            "the connection's counters could not be read",
        );
    };
    let exchange = Exchange {
        o,
        vitals,
        last: Last::of(o, vitals),
    };
    match state {
        LastAck | Closing | TimeWait => exchange.finished(e),
        _ if o.fin_received && o.fin_sent => exchange.finished(e),
        FinWait1 | FinWait2 if o.flags.dead || (o.flags.receive_shut && o.flags.send_shut) => {
            exchange.closed(e)
        }
        _ => exchange.open(e),
    }
}

/// Which way payload last went.
///
/// Both moments are stamped with the same jiffies, so stamps one tick apart give the order for
/// certain. Within one tick sequence numbers do: data that is not acknowledged is the last; once
/// it is, the peer's data came after it if any came with or since that acknowledgement
/// (`tcp_sock.snd_wl1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    In,
    Out,
    SameTick,
    NotKnown,
}

impl Last {
    fn of(o: &Observation, vitals: &Vitals) -> Self {
        match (vitals.bytes_received > 0, vitals.bytes_sent > 0) {
            (false, false) => Self::NotKnown,
            (true, false) => Self::In,
            (false, true) => Self::Out,
            (true, true) => match (o.since_data_in, o.since_data_out) {
                (Some(input), Some(output)) if input < output => Self::In,
                (Some(input), Some(output)) if input > output => Self::Out,
                (Some(_), Some(_)) => match vitals.received_since_ack {
                    Some(0) => Self::Out,
                    Some(_) if vitals.unacked > 0 => Self::Out,
                    Some(_) => Self::In,
                    None => Self::SameTick,
                },
                _ => Self::NotKnown,
            },
        }
    }
}

/// A connection that had been established.
struct Exchange<'a> {
    o: &'a Observation,
    vitals: &'a Vitals,
    last: Last,
}

impl Exchange<'_> {
    /// Both FINs had passed.
    fn finished(&self, e: &mut Evidence) -> Cause {
        e.say("both ends had closed");
        self.lost(e)
    }

    /// The application had let go of the socket; the peer's FIN had not come.
    fn closed(&self, e: &mut Evidence) -> Cause {
        e.say("the local end had closed both directions");
        e.say("no FIN was received");
        self.lost(e)
    }

    /// Nobody here reads or writes any more: only the rest of an answer can have been lost.
    /// A client that closed waits for nothing, whatever became of its last data.
    fn lost(&self, e: &mut Evidence) -> Cause {
        let lost = self.at_stake(e);
        if lost == 0 {
            return e.so(Cause::ResetAfterClose, "nothing of ours was outstanding");
        }
        e.say(format!("{} of ours were not acknowledged", bytes(lost)));
        match self.o.role {
            Some(Role::Client) => e.so(
                Cause::ResetAfterClose,
                "but we no longer waited for an answer",
            ),
            Some(Role::Server) if self.o.fin_received && self.vitals.bytes_received == 0 => {
                Self::asked_nothing(e)
            }
            Some(Role::Server) => e.so(
                Cause::ClientCanceled,
                "the client did not take the rest of the answer",
            ),
            None => self.role_unknown(e),
        }
    }

    /// At least one end may still have something to say.
    fn open(&self, e: &mut Evidence) -> Cause {
        if self.vitals.bytes_received == 0 && self.vitals.bytes_sent == 0 {
            if let Some(age) = self.o.age {
                e.say(format!("the connection was established {} ago", span(age)));
            }
            return e.so(
                Cause::AbortedDuringSetup,
                "no payload had passed in either direction",
            );
        }
        self.describe(e);
        match self.o.role {
            Some(Role::Client) => self.client(e),
            Some(Role::Server) => self.server(e),
            None if self.met_a_forgotten_connection(e) => Cause::IdleTimeout,
            None if !self.o.fin_received && self.last == Last::SameTick && self.went_silent(e) => {
                Cause::IdleTimeout
            }
            None => self.role_unknown(e),
        }
    }

    fn order_unknown(&self, e: &mut Evidence) -> Cause {
        e.so(
            Cause::Unknown,
            format!(
                "data last moved both ways within one clock tick of {}, in which order is not known",
                span(self.o.tick)
            ),
        )
    }

    fn role_unknown(&self, e: &mut Evidence) -> Cause {
        let why = if self.o.flags.existing {
            " (it was open before resetmon started)"
        } else {
            ""
        };
        e.so(
            Cause::Unknown,
            format!("who opened the connection is not known{why}"),
        )
    }

    /// The facts that every conclusion on an open connection rests on.
    fn describe(&self, e: &mut Evidence) {
        let (o, vitals) = (self.o, self.vitals);
        e.say(match (o.fin_received, o.since_fin_received) {
            (false, _) => "no FIN was received".to_owned(),
            (true, Some(ago)) => format!("the peer's FIN came in {} ago", span(ago)),
            (true, None) => "the peer's FIN had come in".to_owned(),
        });
        for (count, ago, way) in [
            (vitals.bytes_received, o.since_data_in, "came in"),
            (vitals.bytes_sent, o.since_data_out, "went out"),
        ] {
            e.say(match (count, ago) {
                (0, _) => format!("no data {way}"),
                (_, Some(ago)) => format!("last data {way} {} ago", ticks(ago, o)),
                (_, None) => format!("{} {way}", bytes(count)),
            });
        }
        if vitals.unacked > 0 {
            e.say(format!(
                "{} of ours were not acknowledged",
                bytes(vitals.unacked)
            ));
        }
        let one_tick = o.since_data_in.is_some() && o.since_data_in == o.since_data_out;
        let both_ways = vitals.bytes_received > 0 && vitals.bytes_sent > 0;
        if one_tick && both_ways && matches!(self.last, Last::In | Last::Out) {
            e.say("which of the two was last is told by their numbers, not by the clock");
        }
    }

    /// Payload of ours that the RST may have destroyed once closing has begun: a TLS
    /// `close_notify` or alert alone is no loss.
    fn at_stake(&self, e: &mut Evidence) -> u32 {
        let unacked = self.vitals.unacked;
        if let Some(word) = farewell(unacked) {
            e.say(format!(
                "the {unacked} unacknowledged bytes have the size of a TLS {word}"
            ));
            0
        } else {
            unacked
        }
    }

    /// Within this time of our last data a RST is taken as the answer to it: a few round trips,
    /// and never less than the clock can tell.
    fn answer_window(&self) -> Duration {
        let round_trips = self.vitals.srtt.unwrap_or_default().saturating_mul(4);
        round_trips
            .max(self.o.tick.saturating_mul(2))
            .max(ANSWER_AT_LEAST)
    }

    /// Whether the RST was the answer to our last data, which was not acknowledged.
    ///
    /// A RST without ACK answers a segment for which there is no connection (RFC 9293, 3.5.2), however
    /// late a busy machine delivers it; one with ACK may also come from a connection that lives,
    /// and then only the time tells. So it does where the packet was not seen, but there the
    /// measure is TCP's own: a peer that lives acknowledges before the data is sent again.
    fn answers_our_data(&self, since_data_out: Duration) -> bool {
        match self.o.packet.map(|rst| rst.flags & ACK == 0) {
            Some(true) => true,
            Some(false) => since_data_out <= self.answer_window(),
            None => {
                let srtt = self.vitals.srtt.unwrap_or_default();
                let again = srtt.saturating_add(RETRANSMIT_AT_LEAST);
                since_data_out <= self.answer_window().max(again)
            }
        }
    }

    /// We sent after a long silence and got the RST for it, without any acknowledgement: the peer
    /// or a box in between no longer knew the connection.
    ///
    /// An acknowledgement of that data would show the opposite, so it rules this out.
    fn met_a_forgotten_connection(&self, e: &mut Evidence) -> bool {
        let (Some(input), Some(output)) = (self.o.since_data_in, self.o.since_data_out) else {
            return false;
        };
        let silence = input.saturating_sub(output);
        let acknowledged = self
            .o
            .since_ack_in
            .is_some_and(|ack| ack < output + self.o.tick);
        let holds = !self.o.fin_received
            && self.last == Last::Out
            && self.vitals.bytes_received > 0
            && self.vitals.unacked > 0
            && !acknowledged
            && silence >= LONG_SILENCE
            && self.answers_our_data(output);
        if holds {
            e.decide(format!(
                "we sent after {} without data and the RST was the first answer",
                span(silence)
            ));
        }
        holds
    }

    /// Nothing was outstanding and nothing moved for long.
    fn went_silent(&self, e: &mut Evidence) -> bool {
        let (Some(input), Some(output)) = (self.o.since_data_in, self.o.since_data_out) else {
            return false;
        };
        let silence = input.min(output);
        let both_ways = self.vitals.bytes_received > 0 && self.vitals.bytes_sent > 0;
        let holds = both_ways && self.vitals.unacked == 0 && silence >= LONG_SILENCE;
        if holds {
            e.decide(format!(
                "nothing was outstanding and both directions were silent for {}",
                span(silence)
            ));
        }
        holds
    }
}
