//! Envoy.

use crate::fault::{large, tls};
use crate::row::End::{Backend, Client, Downstream, Upstream};
use crate::row::{Row, Setting};

/// Its rows, beside those that it shares.
pub(super) const ROWS: &[Row] = &[
    Row::new(
        "tls_plain_client",
        tls::plain_client,
        &[
            Downstream.sends("closed_with_unread_data"),
            Client.receives("aborted_before_response"),
        ],
    )
    .with(Setting::TlsFront),
    // Envoy reads no further than to see that it is not TLS.
    Row::new(
        "tls_plain_backend",
        tls::plain_backend,
        &[
            Upstream.sends("closed_with_unread_data"),
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
];
