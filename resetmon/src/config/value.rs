//! Single values of the configuration, each error with the form that is expected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use rustls::pki_types::ServerName;
use tracing::level_filters::LevelFilter;

use super::EventsPath;
use crate::routes::admin::AdminAddress;
use crate::routes::source;

/// Least size of a ring buffer: a multiple of every page size that Linux uses (4 to 64 KiB).
const MIN_RING: u32 = 64 << 10;
/// Largest size of a ring buffer.
const MAX_RING: u32 = 1 << 30;

/// An address to serve on; port 0 takes a free one.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "`{}` is no address to listen on; write ip:port, as 127.0.0.1:9435, 0.0.0.0:9435 or \
             \"[::]:9435\"",
            text.escape_debug()
        )
    })
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| {
        let text = text.escape_debug();
        format!("`{text}` is neither true nor false")
    })
}

/// A level of the log.
pub(super) fn log_level(text: &str) -> Result<LevelFilter, String> {
    Ok(match text {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        other => {
            return Err(format!(
                "`{}` is no log level; allowed: off, error, warn, info, debug, trace",
                other.escape_debug()
            ));
        }
    })
}

/// Size of the ring buffer: bytes, or with the unit KiB or MiB.
pub(super) fn ring_buffer(text: &str) -> Result<u32, String> {
    let (digits, shift) = match text.strip_suffix("KiB") {
        Some(digits) => (digits.trim_end(), 10),
        None => match text.strip_suffix("MiB") {
            Some(digits) => (digits.trim_end(), 20),
            None => (text, 0),
        },
    };
    whole(digits)
        .and_then(|number| number.checked_mul(1 << shift))
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| bytes.is_power_of_two() && (MIN_RING..=MAX_RING).contains(bytes))
        .ok_or_else(|| {
            format!(
                "`{}` cannot be the ring buffer's size; write a power of two from 65536 (64KiB) to \
                 1073741824 (1024MiB), as 4194304 or 4MiB",
                text.escape_debug()
            )
        })
}

/// True or false.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!(
            "`{}` is neither true nor false",
            other.escape_debug()
        )),
    }
}

/// Time between two looks, 1 s to 1 h.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&interval) {
        Ok(interval)
    } else {
        Err(format!(
            "`{}` is not between 1s and 1h",
            text.escape_debug()
        ))
    }
}

/// A kind of gateway that is found by itself.
pub(super) fn gateway_kind(text: &str) -> Result<Arc<str>, String> {
    let sources = source::all();
    let kinds: Vec<&str> = sources.iter().map(|source| source.kind()).collect();
    if kinds.contains(&text) {
        return Ok(Arc::from(text));
    }
    Err(format!(
        "`{}` is no kind of gateway; allowed: {}",
        text.escape_debug(),
        kinds.join(", ")
    ))
}

/// Where an admin interface answers.
pub(super) fn admin(text: &str) -> Result<AdminAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(AdminAddress::Unix(self::path(path)?));
    }
    let (kind, address): (fn(_) -> _, _) = match text.split_once("://") {
        Some(("https", address)) => (AdminAddress::Https, address.trim_end_matches('/')),
        Some(("http", address)) => (AdminAddress::Tcp, address.trim_end_matches('/')),
        _ => (AdminAddress::Tcp, text),
    };
    address.parse().map(kind).map_err(|_| {
        format!(
            "`{}` is no admin address; write ip:port, as 127.0.0.1:9901, https://ip:port or \
             unix:/path",
            text.escape_debug()
        )
    })
}

/// The name in a certificate.
pub(super) fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        format!(
            "`{}` is neither a host name nor an address",
            text.escape_debug()
        )
    })
}

/// Where JSON lines go.
pub(super) fn events_path(text: &str) -> Result<EventsPath, String> {
    match text {
        "-" => Ok(EventsPath::Stdout),
        "" => Err("the path is empty; write a file's path, or - for standard output".to_owned()),
        other => path(other).map(EventsPath::File),
    }
}

/// A file's path.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("the path is empty; write a file's path".to_owned()),
        path if path.contains('\0') => Err("a path cannot contain NUL".to_owned()),
        path => Ok(path.into()),
    }
}

/// A whole number of `from..=to`.
pub(super) fn number(text: &str, from: u64, to: u64) -> Result<u64, String> {
    whole(text)
        .filter(|number| (from..=to).contains(number))
        .ok_or_else(|| {
            format!(
                "`{}` is not possible; write a whole number from {from} to {to}",
                text.escape_debug()
            )
        })
}

/// A span of time of at least one second.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| *span >= Duration::from_secs(1))
        .ok_or_else(|| {
            format!(
                "`{}` is no span of time; write one of at least 1s, as 90s, 30m, 1h or 1h 30m",
                text.escape_debug()
            )
        })
}

/// Digits only: no sign, no blank, no underscore.
fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
