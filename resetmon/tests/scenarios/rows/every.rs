//! What goes alike at every gateway that is a reverse proxy and nothing else.

use crate::fault::{
    aborted, client, forged, gateway, healthy, idle, killed, oom, overflow, refused, tls,
};
use crate::row::End::{Backend, Client, Downstream, Upstream};
use crate::row::{Row, Setting, Who};

/// The rows.
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
    Row::new("idle_closed_by_backend", idle::closed_by_backend, &[]),
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
        "client_probes",
        client::probes,
        &[
            Client.sends("linger_abort").harmless(),
            Downstream.receives("aborted_during_setup").harmless(),
        ],
    ),
    Row::new("tls_no_cipher", tls::no_cipher, &[]).with(Setting::TlsFront),
    // OpenSSL reads the request, finds no TLS in it and closes.
    Row::new(
        "tls_plain_gateway",
        tls::plain_gateway,
        &[Upstream.fails("empty_response")],
    ),
    Row::new(
        "oom_request_unread",
        oom::request_unread,
        &[
            Backend
                .sends("process_killed")
                .closed_by(Who::Backend)
                .with(&[("/closer/out_of_memory", "true")]),
            Upstream.receives("aborted_before_response"),
        ],
    ),
    Row::new(
        "oom_request_read",
        oom::request_read,
        &[Upstream.fails("empty_response")],
    ),
    // The backend's socket lives, so it did not send the RST; its answer meets nobody.
    Row::new(
        "forged_reset",
        forged::before_answer,
        &[
            Upstream
                .receives("injected")
                .with(&[("/sender", "\"middlebox\"")]),
            Upstream.sends("stray_segment").harmless(),
            Backend.receives("client_canceled"),
        ],
    ),
    Row::new("healthy_kept", healthy::kept, &[]),
    Row::new(
        "worker_killed",
        gateway::worker_killed,
        &[Client.fails("empty_response"), Upstream.fails("canceled")],
    )
    .alone(),
];
