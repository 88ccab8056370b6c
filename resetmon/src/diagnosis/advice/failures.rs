//! A row a kind of failure: what it is whatever its cause.

use super::Advice;
use crate::reset::FailureKind;

/// The row of a kind of failure.
#[must_use]
pub const fn failure_advice(kind: FailureKind) -> &'static Advice {
    match kind {
        FailureKind::Reset => &Advice {
            summary: "a RST ended the connection",
            meaning: "One end, or something in between, ended the connection at once: what was \
                      under way is lost. The program sees ECONNRESET or EPIPE.",
            makers: "Programs that close without reading everything, processes that end, idle \
                     timeouts, firewalls. The cause of each reset says which.",
            check: "The cause and the evidence of the resets counted here.",
            change: "As the cause says. Resets of cause reset_after_close are harmless.",
        },
        FailureKind::Refused => &Advice {
            summary: "the attempt to connect was refused",
            meaning: "The peer's host, or a firewall, answered the SYN with a RST or an ICMP \
                      error: ECONNREFUSED. Nothing was sent, so it is safe to try again.",
            makers: "A backend that is down, starting or restarting; a wrong port; a Kubernetes \
                     Service without ready endpoints (kube-proxy rejects it); a pod that took \
                     traffic before it was ready or after its listener closed.",
            check: "On the peer ss -ltn; kubectl get endpointslices for the Service; restarts of \
                    the pod at that moment.",
            change: "Readiness probes, a preStop sleep of some seconds so that endpoints are \
                     withdrawn before the listener closes, and retries on connect failures \
                     (nginx proxy_next_upstream error, HAProxy retry-on conn-failure, Envoy \
                     retry_on: connect-failure, num_retries in LiteLLM).",
        },
        FailureKind::TimedOut => &Advice {
            summary: "the peer, or the path to it, stopped answering",
            meaning: "A SYN, data or keep-alive probes went unanswered until the kernel or the \
                      program gave up: ETIMEDOUT. No RST and no FIN came.",
            makers: "A host or pod that is gone, a security group or network policy that drops \
                     in silence, a full accept queue that drops SYNs, a NAT or conntrack entry \
                     that was dropped under load, packet loss.",
            check: "Retransmits of the connection; ListenOverflows on the peer; conntrack -S for \
                    insert_failed and drop; whether all peers or one are concerned.",
            change: "Set a short connect timeout and try another backend (nginx \
                     proxy_connect_timeout, HAProxy timeout connect, Envoy connect_timeout); keep \
                     idle connections alive with TCP keep-alive; take dead backends out with \
                     health checks.",
        },
        FailureKind::Unreachable => &Advice {
            summary: "there was no way to the peer",
            meaning: "This node has no route, or a router said that host, port or network cannot \
                      be reached: EHOSTUNREACH, ENETUNREACH. Nothing was delivered.",
            makers: "A node or pod that was deleted while its address was still in use, a network \
                     policy that rejects with ICMP, a stale DNS answer, IPv6 addresses without an \
                     IPv6 route.",
            check: "ip route get for the address; whether the address still belongs to a pod or \
                    node; DNS answers and their lifetime in the client.",
            change: "Let clients resolve names again (nginx resolver with valid=, Envoy \
                     STRICT_DNS, HAProxy resolvers); drop stale endpoints; give AAAA records only \
                     where IPv6 works.",
        },
        FailureKind::EmptyResponse => &Advice {
            summary: "a request went out and the peer closed without a byte of an answer",
            meaning: "The peer ended the connection in good order (FIN) instead of answering. \
                      nginx says that the upstream prematurely closed the connection and answers \
                      502, HAProxy logs SH--, Envoy UC, an OpenAI client APIConnectionError.",
            makers: "A reused connection that met the peer's keep-alive timeout (Node 5 s, \
                     uvicorn 5 s, gunicorn 2 s); a worker that ended or was stopped; a provider \
                     that throttles by closing; a request that the peer does not understand.",
            check: "Idle time before the request: the same value again and again is a keep-alive \
                    timeout. Else the peer's log and restarts.",
            change: "Let the side that sends requests close idle connections first (nginx \
                     upstream keepalive_timeout, httpx keepalive_expiry below the server's); \
                     raise the server's (uvicorn --timeout-keep-alive, gunicorn --keep-alive, \
                     server.keepAliveTimeout in Node); retry what may be repeated.",
        },
        FailureKind::Canceled => &Advice {
            summary: "this side gave up before the peer had answered",
            meaning: "The program closed its connection with a request under way: its own time \
                      limit, its own user, or its end.",
            makers: "Client and proxy timeouts shorter than the answer takes (proxy_read_timeout \
                     60 s against an LLM that thinks longer), users who stop a stream, hedged \
                     requests, a gateway whose own client left.",
            check: "How long the request had waited: a round number is a timeout. Whether the \
                    other leg of the gateway was closed just before.",
            change: "Raise that timeout (nginx proxy_read_timeout, HAProxy timeout server, Envoy \
                     route timeout, timeout and stream_timeout in LiteLLM) or stream so that \
                     tokens keep the connection busy. Nothing, if users simply leave.",
        },
    }
}
