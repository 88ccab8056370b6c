//! Name of the other end.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use crate::routes::kubernetes::ClusterView;

/// Names of peers: the configured one of the longest prefix, else the cluster's (pod, Service,
/// node), else the host name of the route, else the address or its prefix.
#[derive(Clone, Debug)]
pub struct PeerNames {
    names: JointPrefixMap<IpNet, Arc<str>>,
    cluster: Arc<ClusterView>,
    v4_bits: u8,
    v6_bits: u8,
}

impl PeerNames {
    /// Names for `networks`; of every other address `v4_bits` or `v6_bits` are kept, at most all.
    #[must_use]
    pub fn new(
        networks: impl IntoIterator<Item = (IpNet, Arc<str>)>,
        v4_bits: u8,
        v6_bits: u8,
    ) -> Self {
        let mut names = JointPrefixMap::new();
        for (network, name) in networks {
            names.insert(network.trunc(), name);
        }
        Self {
            names,
            cluster: Arc::default(),
            v4_bits: v4_bits.min(32),
            v6_bits: v6_bits.min(128),
        }
    }

    /// The same names behind which those of `cluster` stand.
    #[must_use]
    pub fn with_cluster(self, cluster: Arc<ClusterView>) -> Self {
        Self { cluster, ..self }
    }

    /// The cluster in use; an empty one without Kubernetes.
    #[must_use]
    pub fn cluster(&self) -> &Arc<ClusterView> {
        &self.cluster
    }

    /// What the configuration or the cluster calls `address`.
    #[must_use]
    pub fn given(&self, address: IpAddr) -> Option<Arc<str>> {
        let address = address.to_canonical();
        if let Some((_, name)) = self.names.get_lpm(&IpNet::from(address)) {
            return Some(Arc::clone(name));
        }
        let found = self.cluster.names.get(address)?;
        Some(Arc::clone(&found.name))
    }

    /// The name of `address`; IPv4 mapped into IPv6 counts as IPv4. `host` is the name by which the
    /// connection's route has it.
    #[must_use]
    pub fn name(&self, address: IpAddr, host: Option<&Arc<str>>) -> Arc<str> {
        let address = address.to_canonical();
        if let Some(name) = self.given(address) {
            return name;
        }
        if let Some(host) = host {
            return Arc::clone(host);
        }
        let whole = IpNet::from(address);
        let bits = match address {
            IpAddr::V4(_) => self.v4_bits,
            IpAddr::V6(_) => self.v6_bits,
        };
        Arc::from(match IpNet::new(address, bits) {
            Ok(network) if bits < whole.prefix_len() => network.trunc().to_string(),
            _ => address.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::kubernetes::kind::Kind;
    use crate::routes::kubernetes::objects::{Change, Objects};

    fn names(v4_bits: u8, v6_bits: u8) -> PeerNames {
        let networks = [
            ("192.0.2.0/24", "office"),
            ("192.0.2.128/25", "lab"),
            ("192.0.2.200/32", "printer"),
            ("2001:db8::/32", "office6"),
            ("10.1.2.3/16", "cluster"),
        ];
        let networks = networks.map(|(network, name)| (network.parse().unwrap(), name.into()));
        PeerNames::new(networks, v4_bits, v6_bits)
    }

    #[test]
    fn the_longest_prefix_names_the_rest_is_shortened() {
        for (address, v4_bits, v6_bits, expected) in [
            ("192.0.2.1", 8, 8, "office"),
            ("192.0.2.129", 8, 8, "lab"),
            ("192.0.2.200", 8, 8, "printer"),
            ("::ffff:192.0.2.200", 8, 8, "printer"),
            ("2001:db8:5::1", 8, 8, "office6"),
            ("10.1.255.255", 32, 128, "cluster"),
            ("10.2.0.0", 32, 128, "10.2.0.0"),
            ("192.0.3.1", 32, 128, "192.0.3.1"),
            ("192.0.3.1", 24, 128, "192.0.3.0/24"),
            ("192.0.3.1", 0, 128, "0.0.0.0/0"),
            ("192.0.3.1", 255, 255, "192.0.3.1"),
            ("2001:db9::1", 24, 128, "2001:db9::1"),
            ("2001:db9::1", 24, 64, "2001:db9::/64"),
            ("::ffff:192.0.3.1", 24, 64, "192.0.3.0/24"),
        ] {
            let found = names(v4_bits, v6_bits).name(address.parse().unwrap(), None);
            assert_eq!(&*found, expected, "{address}");
        }
    }

    #[test]
    fn one_name_may_cover_everything() {
        let all = PeerNames::new([("0.0.0.0/0".parse().unwrap(), "internet".into())], 32, 128);
        assert_eq!(&*all.name("203.0.113.7".parse().unwrap(), None), "internet");
        assert_eq!(
            &*all.name("2001:db8::1".parse().unwrap(), None),
            "2001:db8::1"
        );
    }

    #[test]
    fn the_cluster_stands_behind_the_configuration() {
        let object = serde_json::json!({
            "metadata": {"namespace": "shop", "name": "pay"},
            "spec": {"clusterIPs": ["192.0.2.1", "10.9.0.1", "2001:db9::1"]},
        });
        let mut objects = Objects::default();
        let object = Box::new(serde_json::from_value(object).unwrap());
        objects.apply(Kind::Service, Change::Apply(object));
        let names = names(16, 32).with_cluster(Arc::new(ClusterView::of(&objects)));
        for (address, expected) in [
            ("10.9.0.1", "shop/pay"),
            ("::ffff:10.9.0.1", "shop/pay"),
            ("2001:db9::1", "shop/pay"),
            ("192.0.2.1", "office"),
            ("10.9.0.2", "10.9.0.0/16"),
        ] {
            assert_eq!(&*names.name(address.parse().unwrap(), None), expected);
        }
    }

    #[test]
    fn the_routes_host_name_stands_behind_the_cluster_and_before_the_prefix() {
        let object = serde_json::json!({
            "metadata": {"namespace": "shop", "name": "pay"},
            "spec": {"clusterIPs": ["10.9.0.1"]},
        });
        let mut objects = Objects::default();
        let object = Box::new(serde_json::from_value(object).unwrap());
        objects.apply(Kind::Service, Change::Apply(object));
        let names = names(16, 32).with_cluster(Arc::new(ClusterView::of(&objects)));
        let host: Arc<str> = "api.openai.com".into();
        for (address, expected) in [
            ("192.0.2.1", "office"),
            ("10.9.0.1", "shop/pay"),
            ("10.9.0.2", "api.openai.com"),
            ("2001:db9::1", "api.openai.com"),
        ] {
            assert_eq!(
                &*names.name(address.parse().unwrap(), Some(&host)),
                expected
            );
        }
    }
}
