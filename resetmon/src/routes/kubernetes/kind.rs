//! The kinds of objects that are watched.

use kube::core::{ApiResource, GroupVersionKind};

/// One kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Pods of this node.
    Pod,
    /// Names and addresses of nodes.
    Node,
    /// What upstreams are.
    Service,
    /// The addresses behind Services.
    EndpointSlice,
    /// Routes of ingress controllers.
    Ingress,
    /// Which controller serves an Ingress.
    IngressClass,
    /// Gateway API: a gateway and its listeners.
    Gateway,
    /// Gateway API: which controller serves a Gateway.
    GatewayClass,
    /// Gateway API.
    HttpRoute,
    /// Gateway API.
    GrpcRoute,
    /// Gateway API.
    TcpRoute,
    /// Gateway API.
    TlsRoute,
}

const DISCOVERY: &str = "discovery.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Pod,
        Self::Node,
        Self::Service,
        Self::EndpointSlice,
        Self::Ingress,
        Self::IngressClass,
        Self::Gateway,
        Self::GatewayClass,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TcpRoute,
        Self::TlsRoute,
    ];

    /// API group, name of the kind, its plural, and the versions that are read, the best first.
    const fn facts(
        self,
    ) -> (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ) {
        match self {
            Self::Pod => ("", "Pod", "pods", &["v1"]),
            Self::Node => ("", "Node", "nodes", &["v1"]),
            Self::Service => ("", "Service", "services", &["v1"]),
            Self::EndpointSlice => (
                DISCOVERY,
                "EndpointSlice",
                "endpointslices",
                &["v1", "v1beta1"],
            ),
            Self::Ingress => (NETWORKING, "Ingress", "ingresses", &["v1"]),
            Self::IngressClass => (NETWORKING, "IngressClass", "ingressclasses", &["v1"]),
            Self::Gateway => (GATEWAY, "Gateway", "gateways", &["v1", "v1beta1"]),
            Self::GatewayClass => (
                GATEWAY,
                "GatewayClass",
                "gatewayclasses",
                &["v1", "v1beta1"],
            ),
            Self::HttpRoute => (GATEWAY, "HTTPRoute", "httproutes", &["v1", "v1beta1"]),
            Self::GrpcRoute => (GATEWAY, "GRPCRoute", "grpcroutes", &["v1", "v1alpha2"]),
            Self::TcpRoute => (GATEWAY, "TCPRoute", "tcproutes", &["v1", "v1alpha2"]),
            Self::TlsRoute => (
                GATEWAY,
                "TLSRoute",
                "tlsroutes",
                &["v1", "v1alpha3", "v1alpha2"],
            ),
        }
    }

    /// API group; empty for the core.
    #[must_use]
    pub const fn group(self) -> &'static str {
        self.facts().0
    }

    /// The kind as objects name it: `HTTPRoute`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().1
    }

    /// The resource as RBAC rules name it: `httproutes`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        self.facts().2
    }

    /// The versions that are read, the best first.
    #[must_use]
    pub const fn versions(self) -> &'static [&'static str] {
        self.facts().3
    }

    /// True for a kind that every cluster has; others may not be installed.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        !matches!(self.group().as_bytes(), b"gateway.networking.k8s.io")
    }

    /// Where the API server has the kind at `version`.
    #[must_use]
    pub fn resource(self, version: &str) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group(), version, self.name());
        ApiResource::from_gvk_with_plural(&kind, self.plural())
    }

    /// The RBAC rule without which the API server answers 403.
    #[must_use]
    pub fn rbac_rule(self) -> String {
        format!(
            "apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"list\", \"watch\"]",
            self.group(),
            self.plural()
        )
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
