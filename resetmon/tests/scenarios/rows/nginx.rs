//! nginx.

use crate::fault::{gateway, large, overflow, tls};
use crate::row::End::{Backend, Upstream};
use crate::row::{Row, Setting};

/// Its rows, beside those that it shares.
pub(super) const ROWS: &[Row] = &[
    // nginx answers 400.
    Row::new("tls_plain_client", tls::plain_client, &[]).with(Setting::TlsFront),
    Row::new("tls_distrusted_by_gateway", tls::distrusted_by_gateway, &[]).with(Setting::TlsBack),
    Row::new("tls_plain_backend", tls::plain_backend, &[]).with(Setting::TlsBack),
    // nginx discards what the client sends on.
    Row::new("too_large", large::for_gateway_that_reads_on, &[]).with(Setting::Small),
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
