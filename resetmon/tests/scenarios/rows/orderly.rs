//! What goes alike at gateways that close in order: all but `HAProxy`, which resets.

use crate::fault::{aborted, client, healthy, idle, large, refused, slow};
use crate::row::End::{Backend, Client, Downstream, Upstream};
use crate::row::{Row, Setting, Who};

/// The rows.
pub(super) const ROWS: &[Row] = &[
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
    // The gateway closes when it has the answer, with the rest of the request not yet sent.
    Row::new(
        "too_large_for_backend",
        large::for_backend,
        &[
            Backend.sends("closed_with_unread_data"),
            Upstream.receives("reset_after_close").harmless(),
        ],
    ),
    Row::new("healthy_short", healthy::short, &[]).with(Setting::Fresh),
    Row::new("healthy_check", healthy::checked, &[]),
];
