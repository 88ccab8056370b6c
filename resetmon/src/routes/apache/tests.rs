use super::*;

/// A reading in short: listeners, then `route [listeners] -> upstreams`, then
/// `upstream: endpoints`, then what was not understood.
fn shown(text: &str) -> Vec<String> {
    let surroundings = Surroundings::default();
    let reading = reading(text, Path::new("httpd.conf"), &surroundings, None).unwrap();
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(" ");
    let mut lines = vec![list(&mut reading.listeners.iter().map(ToString::to_string))];
    for route in &reading.routes {
        let listeners = list(&mut route.listeners.iter().map(ToString::to_string));
        let upstreams = list(&mut route.upstreams.iter().map(ToString::to_string));
        lines.push(format!("{} [{listeners}] -> {upstreams}", route.name));
    }
    for upstream in &reading.upstreams {
        let endpoints = list(&mut upstream.endpoints.iter().map(ToString::to_string));
        lines.push(format!("{}: {endpoints}", upstream.name));
    }
    lines.extend(reading.not_understood);
    lines
}

#[test]
fn virtual_hosts() {
    assert_eq!(
        shown(
            r#"
Listen 80
Listen [2001:db8::1]:443 https
Listen 10.0.0.1:8080
ServerName gw.example.com
ProxyPass /status !
<Proxy "balancer://Shop">
    BalancerMember "http://10.1.0.1:8080" route=a
    BalancerMember http://[2001:db8::9]:8080 status=+H
    BalancerMember unix:/run/app.sock|http://localhost
    ProxySet lbmethod=byrequests
</Proxy>
<VirtualHost *:80>
    ServerName http://shop.example.com:80
    Redirect permanent / https://shop.example.com/
</VirtualHost>
<VirtualHost *:443>
    ServerName shop.example.com
    ServerAlias www.example.com
    ProxyPreserveHost On
    ProxyPass "/api" "balancer://shop/api" stickysession=ROUTEID
    ProxyPassReverse "/api" "balancer://shop/api"
    ProxyPassMatch "^/v([0-9]+)/(.*)$" "https://api.example.com/v$1/$2"
    <Location /ws>
        ProxyPass ws://10.1.0.3:3000/ws
    </Location>
    <LocationMatch "^/x/[a-z]{2}">
        ProxyPass ajp://10.1.0.4
    </LocationMatch>
    RewriteEngine On
    RewriteCond %{HTTP:Upgrade} websocket [NC]
    RewriteRule ^/live/(.*)$ ws://10.1.0.5:3000/$1 [P,L]
    RewriteRule ^/old /new [R=301,L]
    <FilesMatch \.php$>
        SetHandler "proxy:unix:/run/php/php8.2-fpm.sock|fcgi://localhost"
    </FilesMatch>
    <Directory /srv>
        <Files ~ "\.cgi$">
            SetHandler "proxy:fcgi://127.0.0.1:9000"
        </Files>
    </Directory>
</VirtualHost>
<VirtualHost 10.0.0.1:8080 10.0.0.2:9>
    ServerName admin.example.com
    ProxyPass / http://user@10.1.0.6/
</VirtualHost>
"#
        ),
        [
            ":80 [2001:db8::1]:443 10.0.0.1:8080",
            "/status [] -> ",
            "shop.example.com/ [:80] -> ",
            "shop.example.com/api [[2001:db8::1]:443] -> Shop",
            "shop.example.com ~ ^/v([0-9]+)/(.*)$ [[2001:db8::1]:443] -> api.example.com",
            "shop.example.com/ws [[2001:db8::1]:443] -> 10.1.0.3:3000",
            "shop.example.com ~ ^/x/[a-z]{2} [[2001:db8::1]:443] -> 10.1.0.4",
            "shop.example.com ~ ^/live/(.*)$ [[2001:db8::1]:443] -> 10.1.0.5:3000",
            "shop.example.com ~ \\.php$ [[2001:db8::1]:443] -> unix:/run/php/php8.2-fpm.sock",
            "shop.example.com/srv ~ \\.cgi$ [[2001:db8::1]:443] -> 127.0.0.1:9000",
            "admin.example.com/ [10.0.0.1:8080] -> 10.1.0.6",
            "Shop: 10.1.0.1:8080 [2001:db8::9]:8080",
            "api.example.com: api.example.com:443",
            "10.1.0.3:3000: 10.1.0.3:3000",
            "10.1.0.4: 10.1.0.4:8009",
            "10.1.0.5:3000: 10.1.0.5:3000",
            "unix:/run/php/php8.2-fpm.sock: ",
            "127.0.0.1:9000: 127.0.0.1:9000",
            "10.1.0.6: 10.1.0.6:80",
        ]
    );
}

#[test]
fn one_server_and_what_is_not_understood() {
    assert_eq!(
        shown(
            "Listen gw.example.com:80\nListen 8080\nServerName shop.example.com\n\
             ProxyRequests On\n\
             ProxyPass /a http://10.0.0.1:81/ retry=0\n\
             ProxyPass /b balancer://empty\n\
             ProxyPass /c http://10.0.0.1:0/\n\
             RewriteRule ^/d/([^/]+)/(.*) http://$1.internal/$2 [proxy]\n\
             RewriteRule ^/d/([^/]+)/(.*) http://10.0.0.2/$2 [P]\n\
             RewriteRule ^/e http://%{HTTP_HOST}:80/ [P]\n\
             RewriteRule ^/f /local [P]\n\
             JkMount /g/* worker1\n\
             BalancerMember balancer://late http://10.0.0.3\n\
             BalancerMember http://late http://10.0.0.4"
        ),
        [
            ":8080",
            "/a [] -> 10.0.0.1:81",
            "/b [] -> empty",
            "/c [] -> ",
            "~ ^/d/([^/]+)/(.*) [] -> $1.internal 10.0.0.2",
            "~ ^/e [] -> %{HTTP_HOST}:80",
            "~ ^/f [] -> ",
            "10.0.0.1:81: 10.0.0.1:81",
            "empty: ",
            "$1.internal: ",
            "10.0.0.2: 10.0.0.2:80",
            "%{HTTP_HOST}:80: ",
            "late: 10.0.0.3:80",
            "httpd.conf:1: `gw.example.com:80` is no listener: not an IP address with a port; \
             write ip:port (10.0.0.1:443, [2001:db8::1]:443), 0.0.0.0:port, [::]:port, or :port \
             for every address",
            "httpd.conf:4: ProxyRequests on: a forward proxy connects to whatever it is asked",
            "httpd.conf:7: proxypass /c http://10.0.0.1:0/: `10.0.0.1:0` is no endpoint: the port \
             must be 1 to 65535; write ip:port, a CIDR with or without a port (10.1.0.0/16, \
             10.1.0.0/16:9000, [2001:db8::/48]:9000), or host:port; without a port it means every \
             port",
            "httpd.conf:8: rewriterule ^/d/([^/]+)/(.*) http://$1.internal/$2 [proxy]: its host is \
             known only when a request arrives",
            "httpd.conf:10: rewriterule ^/e http://%{HTTP_HOST}:80/ [P]: its host is known only \
             when a request arrives",
            "httpd.conf:11: rewriterule ^/f /local [P]: not a URL",
            "httpd.conf:12: jkmount /g/* worker1: the workers of mod_jk are in a file of their own",
            "httpd.conf:14: balancermember http://late http://10.0.0.4: not in a balancer",
            "httpd.conf:6: balancer empty: no member in the configuration",
        ]
    );
}

#[test]
fn a_remote_proxy_is_what_is_connected_to() {
    assert_eq!(
        shown(
            "Listen 80\nProxyRemote http http://10.0.0.9:3128\n\
             <VirtualHost *:80>\nServerName a\nProxyPass / http://10.0.0.1/\n</VirtualHost>\n\
             <VirtualHost *:80>\nServerName b\nProxyRemote * http://10.0.0.8\n\
             ProxyPass / https://10.0.0.2/\n</VirtualHost>"
        ),
        [
            ":80",
            "a/ [:80] -> 10.0.0.1",
            "b/ [:80] -> 10.0.0.2",
            "10.0.0.1: 10.0.0.9:3128",
            "10.0.0.2: 10.0.0.8:80",
        ]
    );
}

fn instance(exe: &str, line: &str) -> Instance {
    Instance {
        exe: exe.into(),
        arguments: line.split(' ').map(str::to_owned).collect(),
        directory: "/srv".into(),
        ..Instance::default()
    }
}

#[test]
fn which_processes_are_one() {
    for (exe, line, expected) in [
        ("/usr/sbin/apache2", "/usr/sbin/apache2 -k start", true),
        ("/usr/local/apache2/bin/httpd", "httpd -DFOREGROUND", true),
        ("/usr/sbin/apache2", "apache2 -X -f /x.conf", true),
        ("/usr/sbin/apache2", "apache2 -D SSL -d /v", true),
        ("/usr/sbin/apache2", "apache2 -k graceful", false),
        ("/usr/sbin/apache2", "apache2 -t", false),
        ("/usr/sbin/apache2", "apache2 -S", false),
        ("/usr/sbin/lighttpd", "lighttpd", false),
        ("/bin/busybox", "httpd -f", false),
    ] {
        assert_eq!(Apache.claims(&instance(exe, line)), expected, "{line}");
    }
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
        "\0Apache/2.4\0Apache/2.4.57 (Debian)\0mod_so.c\0core.c\0a b.c\0 -D HTTPD_ROOT=\"/etc/apache2\"\0 -D \
         SERVER_CONFIG_FILE=\"apache2.conf\"\0",
    );
    write("bare", "\0\0");
    let files = Files::open(root.path(), Path::new("/")).unwrap();
    for (exe, line, expected, server_root) in [
        (
            "/debian",
            "apache2 -k start",
            "/etc/apache2/apache2.conf",
            "/etc/apache2",
        ),
        (
            "/debian",
            "apache2 -f my.conf",
            "/etc/apache2/my.conf",
            "/etc/apache2",
        ),
        ("/debian", "apache2 -f /c/my.conf -d /v", "/c/my.conf", "/v"),
        ("/debian", "apache2 -d v", "/srv/v/apache2.conf", "/srv/v"),
        ("/bare", "httpd -f /c/my.conf", "/c/my.conf", "/"),
    ] {
        let (path, surroundings) = configuration(&instance(exe, line), &files).unwrap();
        assert_eq!(path, Path::new(expected), "{exe} {line}");
        assert_eq!(
            surroundings.server_root,
            Path::new(server_root),
            "{exe} {line}"
        );
    }
    let mut named = instance("/debian", "apache2 -f /c/my.conf -d /v");
    named.config = Some("/o/my.conf".into());
    let (path, surroundings) = configuration(&named, &files).unwrap();
    assert_eq!(path, Path::new("/o/my.conf"));
    assert_eq!(surroundings.server_root, Path::new("/v"));
    let line = "httpd -DSSL -D X -C Listen -c ServerName";
    let (_, surroundings) = configuration(&instance("/debian", line), &files).unwrap();
    assert_eq!(
        surroundings,
        Surroundings {
            server_root: "/etc/apache2".into(),
            defines: vec!["SSL".to_owned(), "X".to_owned()],
            modules: vec!["mod_so.c".to_owned(), "core.c".to_owned()],
            version: Some((2, 4, 57)),
            before: vec!["Listen".to_owned()],
            after: vec!["ServerName".to_owned()],
            ..Surroundings::default()
        }
    );
    let error = configuration(&instance("/gone", "httpd"), &files).unwrap_err();
    assert!(
        error.to_string().contains("/etc/httpd/conf/httpd.conf"),
        "{error}"
    );
    write("etc/httpd/conf/httpd.conf", "");
    let (path, _) = configuration(&instance("/gone", "httpd"), &files).unwrap();
    assert_eq!(path, Path::new("/etc/httpd/conf/httpd.conf"));
}
