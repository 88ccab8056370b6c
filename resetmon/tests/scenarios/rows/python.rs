//! A gateway for LLM providers in Python.

use crate::fault::{
    aborted, forged, gateway, healthy, idle, killed, oom, overflow, provider, refused,
};
use crate::row::End::{Backend, Client, Downstream, Upstream};
use crate::row::{Expected, Row, Setting, Who};

/// The gateway had given its connection up in good order, and what the provider still sends meets
/// what is left of it: the gateway misses nothing.
const GIVEN_UP: Expected = Upstream.sends("timewait").or("data_after_close").harmless();
/// To the provider that is a client that left.
const LEFT: Expected = Backend.receives("client_canceled");

/// Its rows.
pub(super) const ROWS: &[Row] = &[
    Row::new("healthy_streams", provider::healthy, &[]),
    Row::new("healthy_kept", healthy::kept, &[]),
    Row::new("healthy_short", healthy::short, &[]).with(Setting::Fresh),
    Row::new(
        "abort_before_answer",
        aborted::before_answer,
        &[
            Backend.sends("linger_abort"),
            Upstream.receives("aborted_before_response"),
        ],
    ),
    // The client's leg ends in good order, with status 200 and an error inside.
    Row::new(
        "abort_in_stream",
        provider::reset_in_stream,
        &[
            Backend.sends("linger_abort"),
            Upstream.receives("aborted_mid_response"),
        ],
    ),
    // A whole answer was read, and for a second and a half nothing was under way.
    Row::new(
        "abort_while_idle",
        provider::reset_when_idle,
        &[
            Backend.sends("linger_abort"),
            Upstream.receives("idle_timeout"),
        ],
    ),
    // httpcore looks for a FIN before it uses a connection again.
    Row::new("idle_closed_by_provider", provider::closed_when_idle, &[]),
    Row::new("idle_closed_while_stopped", idle::race_noticed, &[]),
    Row::new(
        "idle_forgotten",
        provider::forgotten,
        &[
            Backend.sends("data_after_close"),
            Upstream.receives("idle_timeout"),
        ],
    ),
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
        "killed_request_unread",
        provider::killed_with_request_unread,
        &[
            Backend
                .sends("process_killed")
                .closed_by(Who::Backend)
                .with(&[("/closer/exit_signal", "\"SIGKILL\"")]),
            Upstream.receives("aborted_before_response"),
        ],
    ),
    // With everything read the kernel sends a FIN for the dead.
    Row::new(
        "killed_request_read",
        killed::request_read,
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
    Row::new(
        "crash_before_answer",
        provider::crash_before_answer,
        &[Upstream.fails("empty_response")],
    ),
    // A part of the prompt was not read yet.
    Row::new(
        "crash_in_stream",
        provider::crash_in_stream,
        &[
            Backend
                .sends("process_killed")
                .closed_by(Who::Backend)
                .with(&[("/closer/exit_signal", "\"SIGABRT\"")]),
            Upstream.receives("aborted_mid_response"),
        ],
    ),
    // Half an answer and a FIN: whether it was whole only HTTP knows.
    Row::new("close_in_stream", provider::close_in_stream, &[]),
    Row::new(
        "close_before_answer",
        provider::close_before_answer,
        &[Upstream.fails("empty_response")],
    ),
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
        "accept_queue_full",
        overflow::silent,
        &[Upstream.fails("canceled")],
    )
    .with(Setting::Impatient),
    // The gateway closes at its limit; the answer that comes later is answered by a RST.
    Row::new(
        "slow_answer",
        provider::slow,
        &[Upstream.fails("canceled"), GIVEN_UP, LEFT],
    )
    .with(Setting::Impatient),
    // 429 before the prompt was read; what is left of it makes the close a RST.
    Row::new(
        "throttled",
        provider::throttled,
        &[
            Backend.sends("closed_with_unread_data"),
            Upstream.receives("aborted_mid_response"),
        ],
    ),
    // Between two pieces, when all was taken that had been sent: by its counters this is a kept
    // connection that is no longer wanted.
    Row::new(
        "client_aborts_stream",
        provider::client_resets_stream,
        &[
            Client.sends("linger_abort").harmless(),
            Downstream.receives("client_canceled").harmless(),
            GIVEN_UP,
            LEFT,
        ],
    ),
    // On the client's leg both ends close in good order.
    Row::new(
        "client_closes_stream",
        provider::client_closes_stream,
        &[GIVEN_UP, LEFT],
    ),
    Row::new(
        "gateway_killed",
        gateway::worker_killed,
        &[Client.fails("empty_response"), Upstream.fails("canceled")],
    )
    .alone(),
    // Of its two connections only that with something to read is reset.
    Row::new(
        "gateway_killed_in_stream",
        provider::gateway_killed_in_stream,
        &[
            Upstream
                .sends("process_killed")
                .closed_by(Who::Gateway)
                .with(&[("/closer/exit_signal", "\"SIGKILL\"")]),
            LEFT,
        ],
    )
    .alone(),
    // The provider's socket lives, so it did not send the RST; its answer meets nobody.
    Row::new(
        "forged_reset",
        forged::before_answer,
        &[
            Upstream
                .receives("injected")
                .with(&[("/sender", "\"middlebox\"")]),
            Upstream.sends("stray_segment").harmless(),
            LEFT,
        ],
    ),
];
