use super::*;
use crate::routes::instance::Child;

/// A reading in short: listeners, then `route [listeners] -> upstreams`, then
/// `upstream: endpoints`, then what was not understood.
fn shown(text: &str) -> Vec<String> {
    let reading = reading(text, Path::new("nginx.conf"), None).unwrap();
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(" ");
    let mut lines = Vec::new();
    for route in &reading.routes {
        let listeners = list(&mut route.listeners.iter().map(ToString::to_string));
        let upstreams = list(&mut route.upstreams.iter().map(ToString::to_string));
        lines.push(format!("{} [{listeners}] -> {upstreams}", route.name));
    }
    for upstream in &reading.upstreams {
        let endpoints = list(&mut upstream.endpoints.iter().map(ToString::to_string));
        lines.push(format!("{}: {endpoints}", upstream.name));
    }
    let servers = reading.name_servers.iter();
    lines.extend(servers.map(|address| format!("name server {address}")));
    lines.extend(reading.not_understood);
    lines
}

#[test]
fn one_server() {
    assert_eq!(
        shown(
            "daemon off; events { worker_connections 256; }
            http {
             log_format j escape=json '{\"t\":\"$time_iso8601\",\"status\":$status}';
             upstream orders { server 127.0.0.1:9001; keepalive 8; }
             upstream users { least_conn; server 127.0.0.1:9002 weight=3; server [::1]:9002 backup;
               server users.internal down; server unix:/run/users.sock; }
             server { listen 127.0.0.1:8081; server_name api.test; proxy_http_version 1.1;
              location /orders/ { proxy_pass http://orders; }
              location ^~ /users/ { proxy_pass http://USERS/v1/; proxy_pass_header X; }
              location = /health { return 200; }
             }
            }"
        ),
        [
            "/orders/ [127.0.0.1:8081] -> orders",
            "/users/ [127.0.0.1:8081] -> users",
            "= /health [127.0.0.1:8081] -> ",
            "orders: 127.0.0.1:9001",
            "users: 127.0.0.1:9002 [::1]:9002 users.internal:80",
        ]
    );
}

#[test]
fn several_servers() {
    assert_eq!(
        shown(
            "http {
             upstream app { server 10.0.0.1:8080; server 10.0.0.1:8080; }
             server { listen 80; listen [::]:80; server_name shop.example.com www.example.com;
              return 301 https://$host$request_uri; }
             server { listen 443 ssl; listen 443 quic; server_name shop.example.com;
              location / { proxy_pass http://app; location ~ \\.php$ { fastcgi_pass 10.0.0.2:9000; } }
              location /static/ { root /srv; location ~ \\.php$ { deny all; } } }
             server { listen 443 ssl; server_name _ \"\" admin.example.com;
              location /grpc { grpc_pass grpcs://10.0.0.3; }
              location ~* ^/a/(.*)$ { proxy_pass https://api.example.com/$1; }
              location /mc { memcached_pass 10.0.0.4:11211; }
              location /py { uwsgi_pass uwsgi://[2001:db8::1]:3031; }
              location /sc { scgi_pass unix:/run/scgi.sock; } }
             server { location / { proxy_pass http://10.0.0.5/; } }
             server { listen 81; location / { proxy_pass http://10.0.0.6; } }
            }"
        ),
        [
            "shop.example.com/ [0.0.0.0:443 0.0.0.0:80 [::]:80] -> app",
            "shop.example.com/ ~ \\.php$ [0.0.0.0:443] -> 10.0.0.2:9000",
            "shop.example.com/static/ [0.0.0.0:443] -> ",
            "shop.example.com/static/ ~ \\.php$ [0.0.0.0:443] -> ",
            "admin.example.com/grpc [0.0.0.0:443] -> 10.0.0.3",
            "admin.example.com ~* ^/a/(.*)$ [0.0.0.0:443] -> api.example.com",
            "admin.example.com/mc [0.0.0.0:443] -> 10.0.0.4:11211",
            "admin.example.com/py [0.0.0.0:443] -> [2001:db8::1]:3031",
            "admin.example.com/sc [0.0.0.0:443] -> unix:/run/scgi.sock",
            ":80/ [0.0.0.0:80] -> 10.0.0.5",
            ":81/ [0.0.0.0:81] -> 10.0.0.6",
            "app: 10.0.0.1:8080",
            "10.0.0.2:9000: 10.0.0.2:9000",
            "10.0.0.3: 10.0.0.3:443",
            "api.example.com: api.example.com:443",
            "10.0.0.4:11211: 10.0.0.4:11211",
            "[2001:db8::1]:3031: [2001:db8::1]:3031",
            "unix:/run/scgi.sock: ",
            "10.0.0.5: 10.0.0.5:80",
            "10.0.0.6: 10.0.0.6:80",
        ]
    );
}

#[test]
fn the_only_name_is_left_out() {
    assert_eq!(
        shown(
            "http {
             server { listen 80 default_server; return 301 https://$host$request_uri; }
             server { listen 443 ssl; server_name shop.example.com;
              location / { proxy_pass http://10.0.0.1:80; } }
             server { listen 8443 ssl; server_name shop.example.com;
              location / { proxy_pass http://10.0.0.2:80; } }
             server { listen 443 ssl; server_name static.example.com; root /srv; }
            }"
        ),
        [
            ":443/ [0.0.0.0:443 0.0.0.0:80] -> 10.0.0.1:80",
            ":8443/ [0.0.0.0:8443] -> 10.0.0.2:80",
            "static.example.com/ [0.0.0.0:443] -> ",
            "10.0.0.1:80: 10.0.0.1:80",
            "10.0.0.2:80: 10.0.0.2:80",
        ]
    );
}

#[test]
fn fallbacks_and_conditions() {
    assert_eq!(
        shown(
            "http { server { listen 80; error_page 500 502 = @down;
              location / { try_files $uri $uri/ @app; }
              location /api { error_page 404 = @app; proxy_pass http://10.0.0.1:1;
               if ($http_x_beta ~* \"^(yes|1)$\") { proxy_pass http://10.0.0.2:1; }
               limit_except GET { proxy_pass http://10.0.0.3:1; }
               location /api/inner { return 204; } }
              location @app { proxy_pass http://10.0.0.4:1; error_page 502 @last; }
              location @last { proxy_pass http://10.0.0.5:1; error_page 502 @app; }
              location @down { proxy_pass http://10.0.0.6:1; }
              location @lua { proxy_pass http://10.0.0.7:1; }
              location =/x { content_by_lua_block { ngx.say('}') } }
              location ~^/y { js_content main.y; }
            } }"
        )[..8],
        [
            "/ [0.0.0.0:80] -> 10.0.0.4:1 10.0.0.5:1",
            "/api [0.0.0.0:80] -> 10.0.0.1:1 10.0.0.2:1 10.0.0.3:1 10.0.0.4:1 10.0.0.5:1",
            "/api/inner [0.0.0.0:80] -> ",
            "@down [0.0.0.0:80] -> 10.0.0.6:1",
            "@lua [0.0.0.0:80] -> 10.0.0.7:1",
            "= /x [0.0.0.0:80] -> ",
            "~ ^/y [0.0.0.0:80] -> ",
            "10.0.0.1:1: 10.0.0.1:1",
        ]
    );
}

#[test]
fn variables_as_far_as_they_are_known() {
    assert_eq!(
        shown(
            "http {
             resolver 10.0.0.53 [2001:db8::53]:5353 dns.example.com valid=10s;
             upstream blue { server 10.0.0.1:80; }
             map $http_x $pool { default blue; ~^g green.internal:81; }
             map $host $mixed { a.example.com 10.0.0.2:80; ~^(?<t>.+)\\.t$ $t.internal; }
             server { listen 80; set $base http://10.0.0.9:90;
              location ~ ^/z(/.*)$ { proxy_pass http://10.0.0.8:80$1; }
              location /a { set $name payments.svc.cluster.local; proxy_pass http://$name:8080$request_uri; }
              location /b { proxy_pass http://${pool}; }
              location /c { proxy_pass http://$mixed; }
              location /d { proxy_pass $base; }
              location /e { proxy_pass http://$arg_host:$arg_port; }
              location /f { set $empty ''; access_by_lua_file f.lua; proxy_pass http://$empty; }
              location /g { proxy_pass http://10.0.0.3:99999; }
            } }"
        ),
        [
            "~ ^/z(/.*)$ [0.0.0.0:80] -> 10.0.0.8:80",
            "/a [0.0.0.0:80] -> payments.svc.cluster.local:8080",
            "/b [0.0.0.0:80] -> blue green.internal:81",
            "/c [0.0.0.0:80] -> $t.internal 10.0.0.2:80",
            "/d [0.0.0.0:80] -> 10.0.0.9:90",
            "/e [0.0.0.0:80] -> $arg_host:$arg_port",
            "/f [0.0.0.0:80] -> ",
            "/g [0.0.0.0:80] -> ",
            "blue: 10.0.0.1:80",
            "10.0.0.8:80: 10.0.0.8:80",
            "payments.svc.cluster.local:8080: payments.svc.cluster.local:8080",
            "green.internal:81: green.internal:81",
            "$t.internal: ",
            "10.0.0.2:80: 10.0.0.2:80",
            "10.0.0.9:90: 10.0.0.9:90",
            "$arg_host:$arg_port: ",
            "name server 10.0.0.53:53",
            "name server [2001:db8::53]:5353",
            "nginx.conf:10: proxy_pass http://$mixed: as http://$t.internal: $t is known only when \
             a request arrives",
            "nginx.conf:12: proxy_pass http://$arg_host:$arg_port: $arg_host, $arg_port are known \
             only when a request arrives",
            "nginx.conf:13: proxy_pass http://$empty: it is empty here, so something else sets it",
            "nginx.conf:14: proxy_pass http://10.0.0.3:99999: `10.0.0.3:99999` is no endpoint: \
             the port must be 1 to 65535; write ip:port, a CIDR with or without a port \
             (10.1.0.0/16, 10.1.0.0/16:9000, [2001:db8::/48]:9000), or host:port; without a port \
             it means every port",
            "nginx.conf:2: resolver dns.example.com: a name server by name is not asked",
        ]
    );
}

#[test]
fn streams() {
    assert_eq!(
        shown(
            "stream {
             map $ssl_preread_server_name $by_name { a.example.com web; b.example.com 10.0.0.2:443;
              default $ssl_preread_server_name:443; }
             map $remote_addr $by_client { default web; 10.0.0.9 10.0.0.3:5432; }
             upstream web { server 10.0.0.1:443; }
             upstream db { server 10.0.0.4:5432; }
             server { listen 443; listen 853 udp; ssl_preread on; proxy_pass $by_name; }
             server { listen 10.0.0.7:5432 so_keepalive=on; proxy_pass db; }
             server { listen 10.0.0.8:5432; proxy_pass $by_client; }
             server { listen 53 udp; proxy_pass 10.0.0.53:53; }
             server { listen unix:/run/x.sock; proxy_pass unix:/run/y.sock; }
            }
            http { upstream db { server 10.0.0.5:80; }
             server { listen 80; location / { proxy_pass http://db; } } }
            mail { }"
        ),
        [
            "/ [0.0.0.0:80] -> db",
            "stream:443 [0.0.0.0:443] -> $ssl_preread_server_name:443",
            "a.example.com [0.0.0.0:443] -> web",
            "b.example.com [0.0.0.0:443] -> 10.0.0.2:443",
            "stream:10.0.0.7:5432 [10.0.0.7:5432] -> stream:db",
            "stream:10.0.0.8:5432 [10.0.0.8:5432] -> 10.0.0.3:5432 web",
            "stream:unix:/run/x.sock [] -> unix:/run/y.sock",
            "db: 10.0.0.5:80",
            "web: 10.0.0.1:443",
            "stream:db: 10.0.0.4:5432",
            "10.0.0.2:443: 10.0.0.2:443",
            "$ssl_preread_server_name:443: ",
            "10.0.0.3:5432: 10.0.0.3:5432",
            "unix:/run/y.sock: ",
            "nginx.conf:7: proxy_pass $ssl_preread_server_name:443: $ssl_preread_server_name is \
             known only when a request arrives",
            "nginx.conf:15: mail: its servers are left out",
        ]
    );
}

#[test]
fn ingress_nginx() {
    assert_eq!(
        shown(
            r#"
http {
    lua_package_path "/etc/nginx/lua/?.lua;;";
    init_by_lua_block { collectgarbage("collect") ok, res = pcall(require, "configuration") }
    upstream upstream_balancer {
        server 0.0.0.1; # placeholder
        balancer_by_lua_block { balancer.balance() }
        keepalive 320;
    }
    server {
        server_name _ ;
        listen 80 default_server reuseport backlog=511 ;
        listen [::]:80 default_server reuseport backlog=511 ;
        set $proxy_upstream_name "-";
        location / {
            set $proxy_upstream_name "upstream-default-backend";
            proxy_pass http://upstream_balancer;
        }
    }
    ## start server shop.example.com
    server {
        server_name shop.example.com ;
        listen 80  ;
        listen 443  ssl http2 ;
        set $proxy_upstream_name "-";
        ssl_certificate_by_lua_block { certificate.call() }
        location /api/ {
            set $namespace      "shop";
            set $service_name   "payments";
            rewrite_by_lua_block { lua_ingress.rewrite({ force_ssl_redirect = true }) }
            set $proxy_upstream_name "shop-payments-8080";
            set $proxy_host          $proxy_upstream_name;
            set $pass_access_scheme  $scheme;
            proxy_pass http://upstream_balancer;
            proxy_redirect                          off;
        }
        location ~* "^/v[0-9]{1,2}/" {
            set $proxy_upstream_name "shop-web-80";
            proxy_pass http://upstream_balancer;
        }
    }
    ## end server shop.example.com
}
"#
        ),
        [
            "/ [0.0.0.0:80 [::]:80] -> upstream-default-backend",
            "shop.example.com/api/ [0.0.0.0:80 0.0.0.0:443] -> shop-payments-8080",
            "shop.example.com ~* ^/v[0-9]{1,2}/ [0.0.0.0:80 0.0.0.0:443] -> shop-web-80",
            "upstream_balancer: ",
            "upstream-default-backend: ",
            "shop-payments-8080: ",
            "shop-web-80: ",
            "nginx.conf:5: upstream upstream_balancer: Lua chooses its endpoints; in Kubernetes \
             they are those of the Services",
        ]
    );
}

fn instance(exe: &str, arguments: &[&str]) -> Instance {
    Instance {
        exe: exe.into(),
        arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        start: 50,
        ..Instance::default()
    }
}

#[test]
fn which_processes_are_one() {
    for (exe, arguments, expected) in [
        (
            "/usr/sbin/nginx",
            &["nginx: master process nginx -g daemon off;"][..],
            true,
        ),
        (
            "/usr/local/openresty/nginx/sbin/nginx",
            &["nginx: master process nginx"],
            true,
        ),
        (
            "/usr/bin/openresty",
            &["nginx: master process openresty -p /srv/gw"],
            true,
        ),
        ("/usr/sbin/nginx", &["nginx", "-c", "/x.conf"], true),
        ("/usr/sbin/nginx", &["nginx: worker process"], false),
        ("/usr/sbin/nginx", &["nginx: cache manager process"], false),
        ("/usr/sbin/nginx", &["nginx", "-t"], false),
        ("/usr/sbin/nginx", &["nginx", "-s", "reload"], false),
        ("/usr/sbin/nginx-exporter", &["nginx-exporter"], false),
        ("/usr/sbin/haproxy", &["nginx: master process nginx"], false),
        (
            "/usr/local/openresty/nginx/sbin/nginx",
            &["nginx: master process nginx -p /usr/local/kong -c nginx.conf"],
            false,
        ),
        (
            "/usr/local/openresty/nginx/sbin/nginx",
            &["nginx: master process nginx -c /srv/nginx-kong.conf"],
            false,
        ),
    ] {
        assert_eq!(
            Nginx.claims(&instance(exe, arguments)),
            expected,
            "{arguments:?}"
        );
    }
}

#[test]
fn a_reload_is_all_workers_new() {
    let generation = |children: &[(u64, &str)]| {
        let mut instance = instance("/usr/sbin/nginx", &["nginx: master process nginx"]);
        let child = |(start, title): &(u64, &str)| Child {
            pid: 1,
            start: *start,
            cmdline: format!("nginx: {title}"),
        };
        instance.children = children.iter().map(child).collect();
        Nginx.generation(&instance)
    };
    let first = generation(&[(60, "worker process"), (60, "worker process")]);
    assert_eq!(first, Some(60));
    // One crashed and was started anew.
    assert_eq!(
        generation(&[(60, "worker process"), (99, "worker process")]),
        first
    );
    assert_eq!(
        generation(&[
            (60, "worker process is shutting down"),
            (70, "worker process"),
            (70, "cache loader process"),
        ]),
        Some(70)
    );
    assert_eq!(generation(&[]), Some(50));
    let single = instance("/usr/sbin/nginx", &["nginx", "-g", "master_process off;"]);
    assert_eq!(Nginx.generation(&single), None);
}

#[test]
fn where_the_configuration_is() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "debian",
        "\0configure arguments: --with-cc-opt='-g -ffile-prefix-map=/b=.' --prefix=/usr/share/nginx \
         --conf-path=/etc/nginx/main.conf --x\n\0",
    );
    write(
        "source",
        "\0configure arguments: --prefix=/opt/gw --with-threads\0",
    );
    write("bare", "\0configure arguments:\0");
    let files = Files::open(root.path(), Path::new("/")).unwrap();
    let find = |exe: &str, line: &str| {
        let title = format!("nginx: master process {line}");
        let mut instance = instance(exe, &[&title]);
        instance.directory = "/srv".into();
        configuration(&instance, &files)
    };
    for (exe, line, expected) in [
        ("/debian", "nginx", "/etc/nginx/main.conf"),
        ("/debian", "nginx -p /p", "/etc/nginx/main.conf"),
        ("/debian", "nginx -c /c/n.conf -g daemon off;", "/c/n.conf"),
        ("/debian", "nginx -c n.conf", "/usr/share/nginx/n.conf"),
        ("/source", "nginx", "/opt/gw/conf/nginx.conf"),
        ("/source", "nginx -p p", "/srv/p/conf/nginx.conf"),
        ("/source", "nginx -p /p/ -c c/n.conf", "/p/c/n.conf"),
    ] {
        let found = find(exe, line).unwrap();
        assert_eq!(found, Path::new(expected), "{exe} {line}");
    }
    let mut named = instance("/debian", &["nginx: master process nginx -c /c/n.conf"]);
    named.config = Some("/o/n.conf".into());
    let found = configuration(&named, &files).unwrap();
    assert_eq!(found, Path::new("/o/n.conf"));
    for exe in ["/bare", "/gone"] {
        let error = find(exe, "nginx").unwrap_err().to_string();
        assert!(error.contains("/etc/nginx/nginx.conf"), "{error}");
    }
    write("usr/local/nginx/conf/nginx.conf", "");
    let found = find("/bare", "nginx").unwrap();
    assert_eq!(found, Path::new("/usr/local/nginx/conf/nginx.conf"));
}
