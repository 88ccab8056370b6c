//! Resets that a packet filter of this node made (`nf_send_reset`, `nf_send_reset6`).

use super::sent::describe;
use crate::kernel::observation::{Direction, Hook, Observation};
use crate::reset::{Cause, Evidence};

/// Says what was rejected, and where.
pub(super) fn cause(o: &Observation, hook: Hook, e: &mut Evidence) -> Cause {
    let whose = match hook {
        Hook::Input => "for this node",
        Hook::Forward => "that this node forwards",
        Hook::Output => "of this node",
    };
    let hook = hook.name();
    e.decide(match (o.direction, &o.trigger) {
        (Direction::Sent, Some(packet)) => format!(
            "a reject rule of the packet filter (netfilter, hook {hook}) answered {} {whose}",
            describe(packet)
        ),
        (Direction::Sent, None) => format!(
            "a reject rule of the packet filter (netfilter, hook {hook}) answered a packet {whose}"
        ),
        (Direction::Received, _) => format!(
            "this node's packet filter (netfilter, hook {hook}) had just made this very RST for a \
             reject rule"
        ),
    });
    Cause::FirewallReject
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::cause::diagnose;
    use crate::diagnosis::fixture::{expect, no_socket, received, sent, set};
    use crate::kernel::observation::TcpState;
    use crate::reset::{Sender, Stage};

    const SYN: u8 = 2;
    const ACK: u8 = 16;

    #[test]
    fn every_hook_is_named() {
        for (hook, text) in [
            (Hook::Input, "hook input) answered a SYN for this node"),
            (
                Hook::Forward,
                "hook forward) answered a SYN that this node forwards",
            ),
            (Hook::Output, "hook output) answered a SYN of this node"),
        ] {
            let o = set(no_socket(SYN), |o| o.firewall = Some(hook));
            expect("sent", &o, Cause::FirewallReject, &[text]);
            let diagnosis = diagnose(&o);
            assert_eq!(diagnosis.sender, Sender::Firewall);
            assert_eq!(diagnosis.stage, Stage::Connecting);
        }
    }

    #[test]
    fn a_connection_keeps_its_stage() {
        let o = set(sent(TcpState::Established), |o| {
            o.firewall = Some(Hook::Input);
        });
        assert_eq!(diagnose(&o).stage, Stage::Established);
        let late = set(no_socket(ACK), |o| o.firewall = Some(Hook::Forward));
        assert_eq!(diagnose(&late).stage, Stage::None);
        let twin = set(received(TcpState::SynSent), |o| {
            o.firewall = Some(Hook::Input);
        });
        expect(
            "twin",
            &twin,
            Cause::FirewallReject,
            &["hook input", "this very RST"],
        );
        assert_eq!(diagnose(&twin).stage, Stage::Connecting);
        assert_eq!(diagnose(&twin).sender, Sender::Firewall);
    }
}
