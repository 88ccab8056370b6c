//! `HAProxy`.

use crate::fault::{aborted, client, healthy, idle, large, refused, slow, tls};
use crate::row::End::{Backend, Client, Downstream, Upstream};
use crate::row::{Row, Setting, Who};

/// Its rows, beside those that it shares.
pub(super) const ROWS: &[Row] = &[
    // HAProxy resets connections to servers that it no longer keeps. That the answer was whole
    // TCP does not show.
    Row::new(
        "abort_after_answer",
        aborted::after_answer,
        &[
            Upstream.sends("linger_abort").harmless(),
            Backend.receives("client_canceled").harmless(),
        ],
    )
    .with(Setting::Fresh),
    // HAProxy closes a kept connection of a client without an answer, so that it asks again.
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
            Client.fails("empty_response"),
        ],
    ),
    // HAProxy looks at its servers first and sees the FIN in time.
    Row::new("keepalive_race", idle::race_noticed, &[]),
    // HAProxy closes a kept connection of a client without an answer, so that it asks again.
    Row::new(
        "idle_forgotten",
        idle::forgotten,
        &[
            Backend.sends("data_after_close"),
            Upstream.receives("idle_timeout"),
            Client.fails("empty_response"),
        ],
    ),
    // What HAProxy sends to give up is lost too.
    Row::new(
        "idle_black_hole",
        idle::black_hole,
        &[Upstream.sends("linger_abort")],
    )
    .with(Setting::Impatient),
    Row::new(
        "slow_answer",
        slow::answer,
        &[
            Upstream.sends("linger_abort"),
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
            Upstream.sends("linger_abort"),
            Backend.receives("client_canceled"),
        ],
    ),
    // HAProxy still answers a client that has closed.
    Row::new(
        "client_closes_waiting",
        client::closes_waiting,
        &[
            Client.fails("canceled"),
            Client.sends("timewait").or("data_after_close").harmless(),
            Downstream.receives("client_canceled"),
            Upstream.sends("linger_abort"),
            Backend.receives("client_canceled"),
        ],
    ),
    Row::new(
        "client_aborts_mid_stream",
        client::aborts_mid_stream,
        &[
            Client.sends("linger_abort").harmless(),
            Downstream.receives("client_canceled").harmless(),
            Upstream.sends("linger_abort").harmless(),
            Backend.receives("client_canceled").harmless(),
        ],
    ),
    Row::new(
        "client_closes_mid_stream",
        client::closes_mid_stream,
        &[
            Upstream.sends("linger_abort").harmless(),
            Backend.receives("client_canceled").harmless(),
        ],
    ),
    // HAProxy reads the request, finds no TLS in it and closes.
    Row::new(
        "tls_plain_client",
        tls::plain_client,
        &[Client.fails("empty_response")],
    )
    .with(Setting::TlsFront),
    Row::new(
        "tls_plain_backend",
        tls::plain_backend,
        &[
            Upstream.sends("linger_abort").harmless(),
            Backend.receives("reset_after_close").harmless(),
        ],
    )
    .with(Setting::TlsBack),
    // The answer came while the request still went out: by TCP either was last.
    Row::new(
        "too_large",
        large::for_gateway,
        &[
            Downstream
                .sends("closed_with_unread_data")
                .or("data_after_close"),
            Client
                .receives("aborted_mid_response")
                .or("aborted_before_response"),
        ],
    )
    .with(Setting::Small),
    Row::new(
        "too_large_for_backend",
        large::for_backend,
        &[
            Backend.sends("closed_with_unread_data"),
            Upstream
                .receives("aborted_mid_response")
                .or("aborted_before_response"),
        ],
    ),
    // HAProxy resets connections to servers that it no longer keeps. That the answer was whole
    // TCP does not show.
    Row::new(
        "healthy_short",
        healthy::short,
        &[
            Upstream.sends("linger_abort").harmless(),
            Backend.receives("client_canceled").harmless(),
            Upstream.sends("linger_abort").harmless(),
            Backend.receives("client_canceled").harmless(),
            Upstream.sends("linger_abort").harmless(),
            Backend.receives("client_canceled").harmless(),
        ],
    )
    .with(Setting::Fresh),
    // HAProxy answers 400 to a client that has closed without a word.
    Row::new(
        "healthy_check",
        healthy::checked,
        &[
            Client.sends("timewait").or("data_after_close").harmless(),
            Downstream.receives("reset_after_close").harmless(),
        ],
    ),
];
