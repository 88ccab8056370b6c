//! Timeouts that programs and clouds have by default.
//!
//! A value alone proves nothing: 60 s is everybody's favourite. The table says who may be meant, the
//! operator knows who is there. Only what a vendor or a project says of its own default, at the
//! address given, has a row.

/// What a timeout limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// An idle connection between two requests.
    Idle,
    /// The wait for the next piece of an answer or a request.
    Wait,
    /// Any silence: a box that does not know requests.
    Silence,
    /// The life of a connection or of a request.
    Life,
}

/// One default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// Seconds.
    pub seconds: f64,
    /// Whose.
    pub who: &'static str,
    /// What it is called there.
    pub setting: &'static str,
    /// What it limits.
    pub limits: Limits,
    /// Where that is documented.
    pub source: &'static str,
}

const fn known(
    seconds: f64,
    who: &'static str,
    setting: &'static str,
    limits: Limits,
    source: &'static str,
) -> Known {
    Known {
        seconds,
        who,
        setting,
        limits,
        source,
    }
}

/// The defaults, from short to long.
pub const KNOWN: &[Known] = &[
    known(
        2.0,
        "gunicorn",
        "keepalive",
        Limits::Idle,
        "https://docs.gunicorn.org/en/stable/settings.html#keepalive",
    ),
    known(
        5.0,
        "Node.js, older",
        "server.keepAliveTimeout",
        Limits::Idle,
        "https://nodejs.org/api/http.html#serverkeepalivetimeout",
    ),
    known(
        5.0,
        "uvicorn",
        "--timeout-keep-alive",
        Limits::Idle,
        "https://www.uvicorn.org/settings/#timeouts",
    ),
    known(
        5.0,
        "Apache httpd",
        "KeepAliveTimeout",
        Limits::Idle,
        "https://httpd.apache.org/docs/2.4/mod/core.html#keepalivetimeout",
    ),
    known(
        15.0,
        "Envoy",
        "route timeout",
        Limits::Wait,
        "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",
    ),
    known(
        20.0,
        "Puma, older",
        "persistent_timeout",
        Limits::Idle,
        "https://www.rubydoc.info/gems/puma/Puma%2FDSL:persistent_timeout",
    ),
    known(
        20.0,
        "Tomcat",
        "connectionTimeout of the server.xml that is shipped",
        Limits::Idle,
        "https://tomcat.apache.org/tomcat-10.1-doc/config/http.html",
    ),
    known(
        29.0,
        "Amazon API Gateway",
        "integration timeout",
        Limits::Wait,
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html",
    ),
    known(
        30.0,
        "gunicorn",
        "timeout (the worker is killed)",
        Limits::Wait,
        "https://docs.gunicorn.org/en/stable/settings.html#timeout",
    ),
    known(
        30.0,
        "Google Cloud load balancers",
        "backend service timeout",
        Limits::Wait,
        "https://cloud.google.com/load-balancing/docs/https#timeout-bes",
    ),
    known(
        30.0,
        "Jetty",
        "idleTimeout",
        Limits::Silence,
        "https://jetty.org/docs/jetty/12/operations-guide/modules/standard.html",
    ),
    known(
        30.0,
        "Heroku",
        "request timeout",
        Limits::Wait,
        "https://devcenter.heroku.com/articles/request-timeout",
    ),
    known(
        50.0,
        "HAProxy as Debian ships it",
        "timeout client, timeout server",
        Limits::Silence,
        "https://salsa.debian.org/haproxy-team/haproxy/-/blob/master/debian/haproxy.cfg",
    ),
    known(
        60.0,
        "nginx",
        "proxy_read_timeout, proxy_send_timeout",
        Limits::Wait,
        "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout",
    ),
    known(
        60.0,
        "nginx",
        "keepalive_timeout of an upstream",
        Limits::Idle,
        "https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout",
    ),
    known(
        60.0,
        "AWS Application Load Balancer",
        "idle_timeout.timeout_seconds",
        Limits::Silence,
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html",
    ),
    known(
        60.0,
        "Kong",
        "read_timeout, write_timeout of a service",
        Limits::Wait,
        "https://github.com/Kong/kong/blob/master/kong/db/schema/entities/services.lua",
    ),
    known(
        60.0,
        "Kong",
        "upstream_keepalive_idle_timeout",
        Limits::Idle,
        "https://developer.konghq.com/gateway/configuration/",
    ),
    known(
        60.0,
        "Apache httpd",
        "Timeout, ProxyTimeout",
        Limits::Wait,
        "https://httpd.apache.org/docs/2.4/mod/core.html#timeout",
    ),
    known(
        65.0,
        "Node.js, newer",
        "server.keepAliveTimeout",
        Limits::Idle,
        "https://nodejs.org/api/http.html#serverkeepalivetimeout",
    ),
    known(
        65.0,
        "Puma, newer",
        "persistent_timeout",
        Limits::Idle,
        "https://github.com/puma/puma/pull/3378",
    ),
    known(
        75.0,
        "nginx",
        "keepalive_timeout",
        Limits::Idle,
        "https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout",
    ),
    known(
        90.0,
        "Go's http.DefaultTransport",
        "IdleConnTimeout",
        Limits::Idle,
        "https://pkg.go.dev/net/http#DefaultTransport",
    ),
    known(
        100.0,
        "Cloudflare",
        "proxy read timeout",
        Limits::Wait,
        "https://developers.cloudflare.com/fundamentals/reference/connection-limits/",
    ),
    known(
        120.0,
        "IIS",
        "connectionTimeout",
        Limits::Idle,
        "https://learn.microsoft.com/en-us/iis/configuration/system.applicationhost/sites/sitedefaults/limits",
    ),
    known(
        130.0,
        "Kestrel (ASP.NET Core)",
        "KeepAliveTimeout",
        Limits::Idle,
        "https://learn.microsoft.com/en-us/dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits.keepalivetimeout",
    ),
    known(
        180.0,
        "Traefik",
        "respondingTimeouts.idleTimeout",
        Limits::Idle,
        "https://doc.traefik.io/traefik/reference/static-configuration/cli/",
    ),
    known(
        240.0,
        "Azure Load Balancer",
        "idle timeout",
        Limits::Silence,
        "https://learn.microsoft.com/en-us/azure/load-balancer/load-balancer-tcp-idle-timeout",
    ),
    known(
        300.0,
        "Envoy",
        "stream_idle_timeout",
        Limits::Wait,
        "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",
    ),
    known(
        300.0,
        "Caddy",
        "idle_timeout",
        Limits::Idle,
        "https://caddyserver.com/docs/json/apps/http/servers/",
    ),
    known(
        350.0,
        "AWS Network Load Balancer",
        "tcp.idle_timeout.seconds",
        Limits::Silence,
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html",
    ),
    known(
        350.0,
        "AWS NAT gateway",
        "idle timeout",
        Limits::Silence,
        "https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html",
    ),
    known(
        350.0,
        "AWS Gateway Load Balancer",
        "tcp.idle_timeout.seconds",
        Limits::Silence,
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/update-idle-timeout.html",
    ),
    known(
        350.0,
        "AWS Network Firewall",
        "TcpIdleTimeoutSeconds",
        Limits::Silence,
        "https://docs.aws.amazon.com/network-firewall/latest/APIReference/API_FlowTimeouts.html",
    ),
    known(
        400.0,
        "Cloudflare",
        "HTTP/1.1 keep-alive with the client",
        Limits::Idle,
        "https://developers.cloudflare.com/fundamentals/reference/connection-limits/",
    ),
    known(
        600.0,
        "Google Cloud VPC firewall",
        "connection tracking",
        Limits::Silence,
        "https://cloud.google.com/compute/docs/troubleshooting/general-tips",
    ),
    known(
        600.0,
        "Google Cloud load balancers",
        "backend HTTP keepalive timeout",
        Limits::Idle,
        "https://cloud.google.com/load-balancing/docs/https#timeout-keepalive-backends",
    ),
    known(
        900.0,
        "IPVS (kube-proxy)",
        "timeout of an established connection",
        Limits::Silence,
        "https://github.com/torvalds/linux/blob/master/net/netfilter/ipvs/ip_vs_proto_tcp.c",
    ),
    known(
        900.0,
        "Cloudflare",
        "proxy idle timeout",
        Limits::Idle,
        "https://developers.cloudflare.com/fundamentals/reference/connection-limits/",
    ),
    known(
        1200.0,
        "Google Cloud NAT",
        "tcpEstablishedIdleTimeoutSec",
        Limits::Silence,
        "https://cloud.google.com/compute/docs/reference/rest/v1/routers",
    ),
    known(
        3600.0,
        "Envoy",
        "idle_timeout",
        Limits::Idle,
        "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",
    ),
    known(
        3600.0,
        "Cisco ASA",
        "timeout conn",
        Limits::Silence,
        "https://www.cisco.com/c/en/us/support/docs/security/secure-firewall-asa/222075-configure-connection-timeout-for-specifi.html",
    ),
    known(
        7200.0,
        "Linux",
        "net.ipv4.tcp_keepalive_time: the first keep-alive probe",
        Limits::Silence,
        "https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html",
    ),
    known(
        86400.0,
        "kube-proxy",
        "conntrack.tcpEstablishedTimeout",
        Limits::Silence,
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/",
    ),
    known(
        432_000.0,
        "Linux conntrack",
        "nf_conntrack_tcp_timeout_established",
        Limits::Silence,
        "https://www.kernel.org/doc/html/latest/networking/nf_conntrack-sysctl.html",
    ),
    known(
        432_000.0,
        "AWS security groups",
        "TcpEstablishedTimeout",
        Limits::Silence,
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ConnectionTrackingConfiguration.html",
    ),
];

/// A timer may fire as much later, as a share and in seconds, as is usual.
const LATE: (f64, f64) = (0.01, 0.5);

/// The defaults that a fixed time of `low` to `high` seconds may be, of those that limit such a
/// thing; `tick` is the clock's uncertainty.
pub fn matching(
    low: f64,
    high: f64,
    tick: f64,
    limits: &[Limits],
) -> impl Iterator<Item = &'static Known> {
    let early = move |known: &Known| known.seconds - 2.0 * tick - 0.005 * known.seconds;
    let late =
        move |known: &Known| known.seconds + 2.0 * tick + (LATE.0 * known.seconds).max(LATE.1);
    let fits = move |known: &&'static Known| {
        low >= early(known) && high <= late(known) + (high - low) / 2.0
    };
    KNOWN
        .iter()
        .filter(fits)
        .filter(move |known| limits.contains(&known.limits))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_are_in_order_and_have_a_source() {
        for pair in KNOWN.windows(2) {
            assert!(pair[0].seconds <= pair[1].seconds, "{:?}", pair[1]);
        }
        let mut seen = BTreeSet::new();
        for known in KNOWN {
            let page = known
                .source
                .strip_prefix("https://")
                .and_then(|rest| rest.split_once('/'));
            assert!(page.is_some_and(|(host, page)| host.contains('.') && !page.is_empty()));
            assert!(known.seconds > 0.0 && !known.who.is_empty() && !known.setting.is_empty());
            assert!(seen.insert((known.who, known.setting)), "{known:?} twice");
        }
    }

    #[test]
    fn values_and_near_misses() {
        const ALL: &[Limits] = &[Limits::Idle, Limits::Wait, Limits::Silence, Limits::Life];
        let table = [
            (349.98, 350.4, ALL, Some("AWS Network Load Balancer")),
            (75.0, 75.01, ALL, Some("nginx")),
            (2.0, 2.3, ALL, Some("gunicorn")),
            // A timer that looks once a second.
            (
                60.0,
                60.9,
                &[Limits::Silence],
                Some("AWS Application Load Balancer"),
            ),
            (432_000.1, 432_001.0, ALL, Some("Linux conntrack")),
            // Before its time; too late; another kind of limit; nobody's.
            (347.0, 347.2, ALL, None),
            (77.0, 77.1, ALL, None),
            (75.0, 75.01, &[Limits::Wait], None),
            (42.0, 42.1, ALL, None),
        ];
        for (low, high, limits, who) in table {
            let first = matching(low, high, 0.004, limits).next();
            assert_eq!(first.map(|known| known.who), who, "{low} to {high}");
        }
    }
}
