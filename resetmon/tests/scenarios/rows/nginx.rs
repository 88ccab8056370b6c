//! nginx.

use crate::fault::{
    aborted, client, gateway, healthy, idle, killed, large, overflow, refused, slow, tls,
};
use crate::row::End::{Backend, Client, Downstream, Upstream};
use crate::row::{Row, Setting, Who};

/// Its rows.
pub(super) const ROWS: &[Row] = &[
    Row::new(
        "abort_before_answer",
        aborted::before_answer,
        &[
            Backend.sends("linger_abort"),
            Upstream.receives("aborted_before_response"),
        ],
    ),
    Row::new(
        "abort_mid_answer",
        aborted::mid_answer,
        &[
            Backend.sends("linger_abort"),
            Upstream.receives("aborted_mid_response"),
        ],
    ),
    Row::new(
        "abort_after_answer",
        aborted::after_answer,
        &[
            Backend.sends("linger_abort").harmless(),
            Upstream.receives("reset_after_close").harmless(),
        ],
    )
    .with(Setting::Fresh),
    Row::new(
        "abort_while_idle",
        aborted::while_idle,
        &[
            Backend.sends("linger_abort"),
            Upstream.receives("idle_timeout"),
        ],
    ),
    Row::new(
        "killed_request_unread",
        killed::request_unread,
        &[
            Backend
                .sends("process_killed")
                .closed_by(Who::Backend)
                .with(&[("/closer/exit_signal", "\"SIGKILL\"")]),
            Upstream.receives("aborted_before_response"),
        ],
    ),
    // The kernel sends a FIN for the dead: no RST anywhere.
    Row::new(
        "killed_request_read",
        killed::request_read,
        &[Upstream.fails("empty_response")],
    ),
    // A FIN in mid-answer: TCP has nothing to say of it.
    Row::new("killed_mid_answer", killed::mid_answer, &[]),
    Row::new(
        "not_listening",
        refused::not_listening,
        &[
            Backend
                .sends("no_listener")
                .of(Who::Nobody)
                .failing("refused"),
            Upstream.receives("refused").failing("refused"),
        ],
    ),
    Row::new(
        "rejected",
        refused::rejected,
        &[
            Upstream
                .receives("refused")
                .failing("refused")
                .if_rejects_are_seen(false),
            Upstream
                .receives("firewall_reject")
                .if_rejects_are_seen(true),
            Backend
                .sends("firewall_reject")
                .of(Who::Nobody)
                .if_rejects_are_seen(true),
        ],
    ),
    Row::new(
        "rejected_later",
        refused::rejected_later,
        &[
            Upstream
                .receives("injected")
                .saying("nobody on this node sent it")
                .if_rejects_are_seen(false),
            Upstream
                .receives("firewall_reject")
                .if_rejects_are_seen(true),
            Backend
                .sends("firewall_reject")
                .of(Who::Nobody)
                .if_rejects_are_seen(true),
        ],
    ),
    Row::new("idle_closed_by_backend", idle::closed_by_backend, &[]),
    Row::new(
        "keepalive_race",
        idle::race,
        &[
            Backend.sends("timewait").or("data_after_close"),
            Upstream.receives("keepalive_race"),
        ],
    ),
    Row::new(
        "idle_forgotten",
        idle::forgotten,
        &[
            Backend.sends("data_after_close"),
            Upstream.receives("idle_timeout"),
        ],
    ),
    Row::new(
        "idle_black_hole",
        idle::black_hole,
        &[Upstream.fails("canceled")],
    )
    .with(Setting::Impatient),
    Row::new(
        "idle_client_asks_again",
        idle::client_asks_again,
        &[
            Downstream.sends("data_after_close"),
            Client.receives("idle_timeout"),
        ],
    )
    .with(Setting::Brief),
    Row::new(
        "accept_queue_full",
        overflow::silent,
        &[Upstream.fails("canceled")],
    )
    .with(Setting::Impatient),
    Row::new(
        "slow_answer",
        slow::answer,
        &[
            Upstream.fails("canceled"),
            Upstream.sends("timewait").or("data_after_close").harmless(),
            Backend.receives("client_canceled"),
        ],
    )
    .with(Setting::Impatient),
    Row::new(
        "client_aborts_waiting",
        client::aborts_waiting,
        &[
            Client.sends("linger_abort"),
            Downstream.receives("client_canceled"),
            Upstream.fails("canceled"),
        ],
    ),
    Row::new(
        "client_closes_waiting",
        client::closes_waiting,
        &[Client.fails("canceled"), Upstream.fails("canceled")],
    ),
    Row::new(
        "client_aborts_mid_stream",
        client::aborts_mid_stream,
        &[
            Client.sends("linger_abort").harmless(),
            Downstream.receives("client_canceled").harmless(),
            Upstream.sends("timewait").or("data_after_close").harmless(),
            Backend.receives("client_canceled"),
        ],
    ),
    Row::new(
        "client_closes_mid_stream",
        client::closes_mid_stream,
        &[
            Upstream.sends("timewait").or("data_after_close").harmless(),
            Backend.receives("client_canceled"),
        ],
    ),
    Row::new(
        "client_probes",
        client::probes,
        &[
            Client.sends("linger_abort").harmless(),
            Downstream.receives("aborted_during_setup").harmless(),
        ],
    ),
    Row::new("tls_no_cipher", tls::no_cipher, &[]).with(Setting::TlsFront),
    // nginx answers 400.
    Row::new("tls_plain_client", tls::plain_client, &[]).with(Setting::TlsFront),
    Row::new("tls_distrusted_by_gateway", tls::distrusted_by_gateway, &[]).with(Setting::TlsBack),
    // OpenSSL reads the request, finds no TLS in it and closes.
    Row::new(
        "tls_plain_gateway",
        tls::plain_gateway,
        &[Upstream.fails("empty_response")],
    ),
    Row::new("tls_plain_backend", tls::plain_backend, &[]).with(Setting::TlsBack),
    // nginx discards what the client sends on.
    Row::new("too_large", large::for_gateway_that_reads_on, &[]).with(Setting::Small),
    // The gateway closes when it has the answer, with the rest of the request not yet sent.
    Row::new(
        "too_large_for_backend",
        large::for_backend,
        &[
            Backend.sends("closed_with_unread_data"),
            Upstream.receives("reset_after_close").harmless(),
        ],
    ),
    Row::new("healthy_kept", healthy::kept, &[]),
    Row::new("healthy_short", healthy::short, &[]).with(Setting::Fresh),
    Row::new("healthy_check", healthy::checked, &[]),
    Row::new(
        "worker_killed",
        gateway::worker_killed,
        &[Client.fails("empty_response"), Upstream.fails("canceled")],
    )
    .alone(),
    Row::new(
        "accept_queue_aborts",
        overflow::aborting,
        &[
            Backend.sends("listen_overflow"),
            Upstream.receives("aborted_before_response"),
        ],
    ),
    // Both ends may close a connection at the same moment.
    Row::new(
        "reload",
        gateway::reloaded,
        &[Backend.sends("stray_segment").harmless().repeated()],
    )
    .alone(),
];
