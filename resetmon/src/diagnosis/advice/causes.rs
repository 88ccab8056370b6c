//! A row a cause.

use super::Advice;
use crate::reset::Cause;

/// The row of a cause.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one table")]
pub const fn advice(cause: Cause) -> &'static Advice {
    match cause {
        Cause::Refused => &Advice {
            summary: "nobody listens at the peer's address and port",
            meaning: "The connection was never opened: the peer's host answered our SYN with a \
                      RST. The program sees ECONNREFUSED; nginx logs (111: Connection refused), \
                      HAProxy SC--, Envoy UF.",
            makers: "A backend that is down, starting or restarting; a wrong port; a listener \
                     bound to 127.0.0.1 only; a Kubernetes Service without ready endpoints where \
                     kube-proxy or the CNI rejects with a RST; a firewall that rejects; rarely a \
                     full accept queue with tcp_abort_on_overflow.",
            check: "On the peer: ss -ltn for the port. In Kubernetes: the Service's targetPort, \
                    kubectl get endpointslices, and whether the pod was ready at that moment.",
            change: "Add readiness probes and a preStop sleep so that no traffic meets a pod that \
                     does not listen; retry on another backend (nginx proxy_next_upstream error, \
                     HAProxy option redispatch, Envoy retry_on: connect-failure, num_retries and \
                     fallbacks in LiteLLM).",
        },
        Cause::KeepaliveRace => &Advice {
            summary: "the peer had closed an idle connection and our next request met it",
            meaning: "A pooled connection was reused just as the peer's keep-alive timeout closed \
                      it. The request was not processed and can be sent again.",
            makers: "The peer's keep-alive timeout is shorter than the pool's: gunicorn closes \
                     after 2 s by default, uvicorn and Node after 5 s, nginx after 75 s; LLM \
                     providers and their load balancers close idle connections too.",
            check: "Compare the idle time shown with the backend's keep-alive timeout: they agree \
                    within a second.",
            change: "Let the client side of the pool give up first: nginx upstream \
                     keepalive_timeout, HAProxy pool-purge-delay, Envoy cluster idle_timeout, \
                     httpx keepalive_expiry below the backend's; or raise the backend's (uvicorn \
                     --timeout-keep-alive, gunicorn --keep-alive, Node server.keepAliveTimeout). \
                     Retry requests that may be repeated (HAProxy retry-on empty-response, Envoy \
                     retry_on: reset).",
        },
        Cause::IdleTimeout => &Advice {
            summary: "after long silence the peer or a box in between no longer knew the \
                      connection",
            meaning: "No FIN was seen: someone forgot the connection while nothing was sent, and \
                      the next segment, or a timer, brought the RST.",
            makers: "Idle timeouts of load balancers, NAT and firewalls (commonly 60 s, 240 s, \
                     350 s, 1 h), conntrack entries that kube-proxy or a node drops, a peer that \
                     restarted, long pauses of an LLM before the first token or between tokens.",
            check: "Is the idle time the same round number again and again? Then it is a \
                    configured timeout of something on the path.",
            change: "Send something more often than the shortest timeout: TCP keep-alive (nginx \
                     proxy_socket_keepalive and listen so_keepalive, HAProxy option srvtcpka and \
                     clitcpka, Envoy tcp_keepalive, with net.ipv4.tcp_keepalive_time below it), \
                     HTTP/2 pings, or comments in an event stream. Or raise the timeout of the \
                     box. Drop pooled connections to LLM providers after a minute of silence.",
        },
        Cause::AbortedBeforeResponse => &Advice {
            summary: "the peer reset after our request, before any byte of the answer",
            meaning: "The request was sent and had no answer. Whether it was processed is not \
                      known. nginx answers 502 (104), HAProxy logs SH--, Envoy 503 UC.",
            makers: "A backend process that crashed or was killed with the request unread; a \
                     worker timeout (gunicorn --timeout 30 s kills the worker); a provider or \
                     gateway that throttles by closing; a proxy behind it that gave up; TLS \
                     spoken to a plain-text port or the reverse.",
            check: "The backend's log and restarts at that moment (OOMKilled, worker timeouts); \
                    for a hosted LLM its status page and your share of the quota; if the backend \
                    is on a node with resetmon, its own row.",
            change: "Fix or scale the backend; give it time to finish on shutdown (preStop, \
                     terminationGracePeriodSeconds, worker timeouts). For a provider keep below \
                     its rate and concurrency limits and back off. Retry only what may be \
                     repeated: a completion that was billed may be billed again.",
        },
        Cause::AbortedMidResponse => &Advice {
            summary: "the peer reset after the answer had begun",
            meaning: "The client may hold half an answer, and a gateway's access log may still \
                      say 200: a streamed completion ends without its last event ([DONE], \
                      message_stop). HAProxy logs SD--, Envoy UPE or UC.",
            makers: "A backend that crashed or hit its own timeout while it was sending; a \
                     backend that answers without reading the whole request and closes; a stream \
                     cut by an LLM provider, its load balancer or a proxy in between; a pod whose \
                     grace period ended in mid-stream.",
            check: "Bytes received against the expected length; how long the answer had lasted: a \
                    round number points to a timeout, an odd one to a crash.",
            change: "Raise the timeout that cuts the stream (nginx proxy_read_timeout, HAProxy \
                     timeout server and tunnel, Envoy stream_idle_timeout, stream_timeout in \
                     LiteLLM); read or drain request bodies before closing; make \
                     terminationGracePeriodSeconds longer than the longest stream; let clients \
                     notice a stream without its end.",
        },
        Cause::AbortedDuringSetup => &Advice {
            summary: "reset after the handshake, before payload had passed both ways",
            meaning: "The connection opened and was dropped before anything useful was said.",
            makers: "Load balancers without a healthy backend, TCP health checks that end with a \
                     RST, port scans, connection limits, deny lists and rate limits at the edge \
                     of a provider, a TLS version, name or client certificate that the other side \
                     refuses.",
            check: "Who the peer is and how regular it comes: a health check has a fixed address \
                    and period.",
            change: "Let health checks speak the protocol or close in order; check the peer's \
                     limits and its list of backends; for TLS compare versions, SNI (nginx \
                     proxy_ssl_server_name on, Envoy sni) and certificates.",
        },
        Cause::ClientCanceled => &Advice {
            summary: "the client left while we were answering",
            meaning: "The answer was pending, under way, or not wholly taken. nginx logs 499, \
                      Envoy DC, HAProxy a code that begins with C.",
            makers: "Users who close a page or stop a stream, client timeouts shorter than the \
                     answer takes (an LLM's first token may need longer), a gateway in front that \
                     gave up, clients that read only what they need.",
            check: "Time since the request: the same round number again and again is a client's \
                    timeout. Compare with the latency of the route.",
            change: "Raise the client's timeout or make the answer faster; stream early; stop \
                     work for clients that have left, so that no tokens are paid for in vain \
                     (request.is_disconnected in ASGI, nginx proxy_ignore_client_abort off). \
                     Nothing, if users simply leave.",
        },
        Cause::ResetAfterClose => &Advice {
            summary: "the exchange was over when the reset came: harmless",
            meaning: "One or both ends had finished in order, and the RST only ended the rest of \
                      the closing.",
            makers: "Clients that close a TLS connection without waiting for the other side's \
                     close_notify; programs that close with SO_LINGER 0 to free ports.",
            check: "Nothing to check, unless answers are reported as incomplete.",
            change: "Nothing. Leave it out of alarms.",
        },
        Cause::Injected => &Advice {
            summary: "the RST was not the peer's, as its packet shows (suspected)",
            meaning: "TTL, sequence or timing of the RST differ from the peer's other packets: a \
                      device on the path ended the connection.",
            makers: "Intrusion prevention, web filters, carrier or national filtering, load \
                     balancers that reset in the name of a backend.",
            check: "Capture at both ends: a RST that the peer never sent proves it.",
            change: "Ask who runs the device for an exception, or go around it.",
        },
        Cause::NoListener => &Advice {
            summary: "a SYN came for a port on which nobody listens",
            meaning: "The caller got \"connection refused\".",
            makers: "A service that is down, starting or bound to another address (127.0.0.1 in a \
                     pod); a Service whose targetPort is wrong; a stale endpoint in a load \
                     balancer; health checks and port scans.",
            check: "ss -ltn for the port and address, in the network namespace shown; who the \
                    callers are.",
            change: "Start or bind the service where its callers look (0.0.0.0 or :: in a \
                     container); take it out of the load balancer before it stops (readiness \
                     probe, preStop sleep longer than kube-proxy and the ingress need to follow).",
        },
        Cause::StraySegment => &Advice {
            summary: "a segment came for a connection that does not exist here",
            meaning: "The peer believes in a connection that this host has ended or never had, \
                      and now learns better.",
            makers: "Late packets after an earlier reset; peers that outlived a restart or a \
                     failover; a load balancer that moved a flow to another host; packets that \
                     conntrack found INVALID and that kube-proxy therefore did not translate.",
            check: "Is it marked as a repeat? Then the first reset of the connection is what \
                    matters. Many peers at once: a restart or failover at that time.",
            change: "Drain connections before a restart; for INVALID packets in Kubernetes drop \
                     them, or set net.netfilter.nf_conntrack_tcp_be_liberal=1.",
        },
        Cause::ListenOverflow => &Advice {
            summary: "the accept queue was full and tcp_abort_on_overflow resets instead of \
                      waiting",
            meaning: "The handshake was complete but the application did not accept in time; the \
                      client sees a reset right after connecting.",
            makers: "A blocked or overloaded event loop, too few workers, a process at its limit \
                     of open files (accept() fails with EMFILE), a small backlog, with \
                     net.ipv4.tcp_abort_on_overflow=1. Rarely a lack of memory for the new \
                     socket.",
            check: "ss -ltn: Recv-Q above Send-Q; TcpExtListenOverflows.",
            change: "Set tcp_abort_on_overflow back to 0; raise the backlog (nginx listen \
                     backlog=, HAProxy backlog, uvicorn --backlog, gunicorn --backlog) together \
                     with net.core.somaxconn; raise LimitNOFILE; add workers.",
        },
        Cause::ClosedWithUnreadData => &Advice {
            summary: "the application closed without reading all that had come in",
            meaning: "The kernel turns such a close() into a RST, and data of ours that was still \
                      under way is lost with it.",
            makers: "Servers that answer early (413, 401, 429, redirects) and close with the body \
                     unread; TLS clients that leave session tickets or a close_notify unread (24 \
                     to some hundred bytes: harmless); clients that stop reading a stream once \
                     they have what they want.",
            check: "The number of unread bytes, and whether the peer lost an answer.",
            change: "Read or drain before closing: nginx lingering_close, client_max_body_size; \
                     with large prompts and files raise the limit of body size at every hop; in a \
                     program shutdown(SHUT_WR), read to the end, then close.",
        },
        Cause::LingerAbort => &Advice {
            summary: "the application asked for an abort (SO_LINGER 0, TCP_LINGER2, disconnect)",
            meaning: "The program chose a RST instead of an orderly end; data under way is lost.",
            makers: "nginx reset_timedout_connection, HAProxy option nolinger and some of its \
                     timeouts, load generators, database and proxy code that drops a connection \
                     after an error. In fin_wait2: TCP_LINGER2 or net.ipv4.tcp_fin_timeout leave \
                     no time for the peer's FIN, which loses nothing.",
            check: "The program's own log at that moment: it gave up on the connection for a \
                    reason of its own, mostly a timeout.",
            change: "Find that timeout or error; drop the option where data must not be lost.",
        },
        Cause::ListenerClosed => &Advice {
            summary: "the listener was closed with connections still waiting for accept()",
            meaning: "The clients were connected as far as they could see, and were reset before \
                      the application had met them.",
            makers: "A restart or stop under load; a worker with a listening socket of its own \
                     (SO_REUSEPORT) that ends during a reload.",
            check: "Restarts, reloads and deployments at that moment.",
            change: "Stop the arrival first (readiness probe, preStop sleep, removal from the \
                     load balancer), accept what is queued, then close. Pass the socket on across \
                     reloads (systemd, SO_REUSEPORT handover, gunicorn's HUP), or set \
                     net.ipv4.tcp_migrate_req=1 with SO_REUSEPORT.",
        },
        Cause::DataAfterClose => &Advice {
            summary: "the peer sent data after the application had closed",
            meaning: "The local program had let go of the connection; what the peer sent then was \
                      not taken, and the peer sees a reset.",
            makers: "Proxies that time out and close while the backend still answers (HAProxy \
                     timeout server, nginx proxy_read_timeout); clients gone while a stream of \
                     tokens came; the other end of a keep-alive race.",
            check: "How long before the local end had closed: at once means a race, a round \
                    number of seconds a timeout.",
            change: "Make the timeout fit the slowest answer; make the end that sends requests \
                     close idle connections first.",
        },
        Cause::ProcessExit => &Advice {
            summary: "the process that held the connection exited",
            meaning: "The kernel closed the sockets of an ending process, and the connection was \
                      not finished.",
            makers: "Restarts, reloads and rollouts without draining, workers that end after a \
                     number of requests (gunicorn --max-requests), scripts that end, crashes that \
                     the program catches and turns into an exit status.",
            check: "The exit status shown, the program's log, restarts and deployments.",
            change: "Drain before exit: a preStop sleep, terminationGracePeriodSeconds longer \
                     than the longest stream, nginx -s quit with worker_shutdown_timeout, HAProxy \
                     hard-stop-after, Envoy's drain, uvicorn --timeout-graceful-shutdown, \
                     gunicorn --graceful-timeout.",
        },
        Cause::ProcessKilled => &Advice {
            summary: "the process that held the connection was killed by a signal",
            meaning: "The kernel closed the sockets of a killed process in the midst of its work.",
            makers: "SIGKILL: the OOM killer, the end of a pod's grace period, a supervisor's \
                     timeout (gunicorn's after a worker timeout). SIGSEGV, SIGABRT: a crash. \
                     SIGTERM: a stop that the program does not handle, often because a shell as \
                     PID 1 does not pass it on.",
            check: "The signal shown; OOMKilled in the pod's status and oom_kill in \
                    memory.events; the kernel log; core dumps.",
            change: "For OOM raise the memory limit or cut the use; for the grace period, handle \
                     SIGTERM, finish within it or raise terminationGracePeriodSeconds; run the \
                     program with exec; for a crash, fix it.",
        },
        Cause::KeepaliveTimeout => &Advice {
            summary: "the peer no longer answered TCP keep-alive probes",
            meaning: "The peer, or the path to it, was gone, and the kernel gave the connection \
                      up.",
            makers: "A host that lost power or network, a pod deleted without a FIN, a firewall \
                     or NAT that forgot the flow and drops silently.",
            check: "Whether other connections to the peer went silent at the same time.",
            change: "This is keep-alive doing its work. If the peer was well, look for a box that \
                     drops idle flows and probe more often (net.ipv4.tcp_keepalive_time).",
        },
        Cause::UserTimeout => &Advice {
            summary: "data stayed unacknowledged for longer than TCP_USER_TIMEOUT",
            meaning: "The peer, or the path to it, did not acknowledge in the time that the \
                      program allows.",
            makers: "Lost network, a frozen peer, a peer that does not read for long, a timeout \
                     set too short for the path.",
            check: "Retransmits and round-trip time of the connection; the peer's load.",
            change: "Mend the path; raise the timeout where it is set (HAProxy tcp-ut, gRPC \
                     keep-alive timeout).",
        },
        Cause::MemoryPressure => &Advice {
            summary: "too many orphaned sockets, or no memory for TCP",
            meaning: "The kernel dropped a closed connection instead of finishing it; the rest of \
                      what we sent may be lost.",
            makers: "Thousands of connections closed at once towards peers that do not answer; \
                     net.ipv4.tcp_max_orphans or tcp_mem too small.",
            check: "/proc/net/sockstat (orphan, mem), TcpExtTCPAbortOnMemory, \"too many orphaned \
                    sockets\" in the kernel log.",
            change: "Raise net.ipv4.tcp_max_orphans and tcp_mem; lower net.ipv4.tcp_orphan_retries; \
                     find who leaves so many connections.",
        },
        Cause::SocketDestroyed => &Advice {
            summary: "an administrator or CNI destroyed the socket",
            meaning: "Another program ended the connection from outside; its owner saw \
                      ECONNABORTED.",
            makers: "ss -K, a CNI that ends connections to deleted backends (Cilium does), \
                     systems that change addresses or networks, a BPF program.",
            check: "The process shown as the one at work: it is the one that did it.",
            change: "Nothing, if it was meant. Else change that program's rule.",
        },
        Cause::FirewallReject => &Advice {
            summary: "a packet filter's reject rule on this node",
            meaning: "nftables or iptables answered with a RST; no program was asked.",
            makers: "A REJECT rule with tcp-reset in a host firewall or a network policy; \
                     kube-proxy or a CNI for a Service without endpoints.",
            check: "nft list ruleset or iptables-save for \"reject with tcp reset\", and the \
                    counters of the rule; kubectl get networkpolicy and endpointslices.",
            change: "Allow the flow where it is wanted; else the rule does what it says.",
        },
        Cause::ProtocolError => &Advice {
            summary: "a packet broke the rules of TCP's handshake",
            meaning: "A SYN or ACK did not fit the connection being opened, and the stack refused \
                      it.",
            makers: "Two clients behind one NAT address and port, address or port reuse too fast, \
                     load balancers that mix flows, forged packets.",
            check: "Whether all come by one NAT or load balancer.",
            change: "Give the NAT more addresses or ports; check its port reuse and the load \
                     balancer's flow hashing.",
        },
        Cause::Timewait => &Advice {
            summary: "data or a SYN came for a connection in TIME_WAIT",
            meaning: "The local end had fully closed and the peer still sent: what it sent was \
                      not taken.",
            makers: "A peer that did not notice our close, or reuses a port at once; a proxy that \
                     timed out while the answer was still coming.",
            check: "Who closed first and why: mostly a timeout on this side.",
            change: "As for data after close: make timeouts fit, let the side that sends requests \
                     close idle connections first.",
        },
        Cause::Mptcp => &Advice {
            summary: "Multipath TCP gave up a subflow or closed fast",
            meaning: "One path of a multipath connection ended; the connection may live on over \
                      another.",
            makers: "An application that closes at once, a path that fails, a middlebox that \
                     strips MPTCP options.",
            check: "The reason shown (mptcp_rst_…) and nstat for MPTcpExt counters.",
            change: "Nothing for a close; for a middlebox, use plain TCP on that path.",
        },
        Cause::Unknown => &Advice {
            summary: "the evidence does not decide",
            meaning: "resetmon does not guess: the facts seen fit more than one cause.",
            makers: "Connections older than the agent, kernels that give no reason, data that \
                     moved both ways within one clock tick.",
            check: "The evidence of the event names what is missing.",
            change: "Let resetmon start before the programs it watches; resetmon doctor says what \
                     this kernel withholds. Report the event if it should have been clear.",
        },
    }
}
