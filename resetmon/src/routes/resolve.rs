//! Host names of endpoints to addresses, by the node's resolver.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

/// Addresses by host name.
pub type Addresses = HashMap<Arc<str>, Vec<IpAddr>>;

/// What one round of look-ups gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Addresses of every name that has some, sorted.
    pub addresses: Addresses,
    /// `(name, reason)` of every other, sorted.
    pub failed: Vec<(Arc<str>, String)>,
}

/// Looks all `names` up at once, each for at most `limit`.
///
/// Uses getaddrinfo on tokio's blocking threads; one that hangs outlives its
/// limit, so shut the runtime down with a time limit too.
pub async fn resolve(names: impl IntoIterator<Item = Arc<str>>, limit: Duration) -> Resolution {
    let mut lookups = JoinSet::new();
    for name in names {
        lookups.spawn(async move {
            let answer = timeout(limit, tokio::net::lookup_host((name.as_ref(), 0)))
                .await
                .map_err(|_| format!("no answer within {limit:?}"))
                .and_then(|answer| answer.map_err(|error| error.to_string()))
                .map(|found| found.map(|address| address.ip().to_canonical()).collect());
            (name, answer)
        });
    }
    let mut resolution = Resolution::default();
    // A look-up that panicked would be tokio's own defect; its name then just keeps what it had.
    while let Some(Ok((name, answer))) = lookups.join_next().await {
        match answer {
            Ok(found) => {
                let mut found: Vec<IpAddr> = found;
                found.sort_unstable();
                found.dedup();
                if found.is_empty() {
                    resolution.failed.push((name, "no address".to_owned()));
                } else {
                    resolution.addresses.insert(name, found);
                }
            }
            Err(reason) => resolution.failed.push((name, reason)),
        }
    }
    resolution.failed.sort();
    resolution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_resolves_and_what_does_not() {
        let names = ["localhost", "127.0.0.1", "a..b"].map(Arc::from);
        let resolution = resolve(names, Duration::from_secs(30)).await;
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(resolution.addresses["127.0.0.1"], [loopback]);
        assert!(
            resolution.addresses["localhost"]
                .iter()
                .all(IpAddr::is_loopback)
        );
        let failed: Vec<&str> = resolution.failed.iter().map(|(name, _)| &**name).collect();
        assert_eq!(failed, ["a..b"]);
    }
}
