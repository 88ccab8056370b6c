//! Configurations of the gateways and of resetmon.

/// nginx: HTTP, a connection upstream for each request.
pub(super) const NGINX: &str = "
user root;
worker_processes 2;
daemon off;
pid nginx.pid;
error_log error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream app { server 127.0.0.1:9001; }
    server {
        listen 127.0.0.1:8080 reuseport;
        proxy_buffering off;
        location / { proxy_pass http://app; }
    }
}
";

/// `HAProxy`: TCP.
pub(super) const HAPROXY: &str = "
global
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend fe
  bind 127.0.0.1:8080
  default_backend app
backend app
  server one 127.0.0.1:9001
";

/// resetmon, which knows them all by one name.
pub(super) const RESETMON: &str = "
listen: 127.0.0.1:9435
gateways:
  - name: edge
    process: [nginx, haproxy, envoy]
    listeners: 127.0.0.1:8080
    routes:
      - name: /
        upstream: app
    upstreams:
      - name: app
        endpoints: 127.0.0.1:9001
";

const ENVOY_TCP_FILTER: &str = "
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: app";

const ENVOY_HTTP_FILTER: &str = "
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes: [{match: {prefix: /}, route: {cluster: app, timeout: 30s}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}";

const ENVOY_HTTP2_UPSTREAM: &str = "
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}";

/// Envoy: TCP.
pub(super) fn envoy_tcp() -> String {
    envoy(ENVOY_TCP_FILTER, "")
}

/// Envoy: HTTP/1 on both legs.
pub(super) fn envoy_http() -> String {
    envoy(ENVOY_HTTP_FILTER, "")
}

/// Envoy: HTTP/2 upstream, one connection of each worker for all clients.
pub(super) fn envoy_multiplexed() -> String {
    envoy(ENVOY_HTTP_FILTER, ENVOY_HTTP2_UPSTREAM)
}

fn envoy(filter: &str, upstream: &str) -> String {
    format!(
        "
static_resources:
  listeners:
  - name: fe
    address: {{socket_address: {{address: 127.0.0.1, port_value: 8080}}}}
    filter_chains:
    - filters:{filter}
  clusters:
  - name: app
    connect_timeout: 5s{upstream}
    load_assignment:
      cluster_name: app
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 9001}}}}}}}}]}}]
"
    )
}
