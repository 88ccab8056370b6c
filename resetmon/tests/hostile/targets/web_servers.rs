//! Configurations of nginx and of Apache httpd.

use std::collections::HashSet;
use std::path::Path;

use resetmon::routes::apache::Surroundings;
use resetmon::routes::directive::SyntaxError;
use resetmon::routes::source::Reading;
use resetmon::routes::{apache, nginx};

use crate::mutate::{Bytes, Pool, steers};
use crate::random::Random;
use crate::run::Target;

/// Longest input, bytes.
const MOST: usize = 4096;

const NGINX: &[&str] = &[
    "events {} http { upstream a { server 10.0.0.1:80 weight=2; server [::1]:81 backup; }
     server { listen 80; listen [::]:443 ssl ipv6only=off; server_name shop.example.com;
      error_page 502 = @down;
      location / { proxy_pass http://a; location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; } }
      location = /x { if ($arg_y) { set $b a; } proxy_pass http://$b; }
      location @down { proxy_pass https://api.example.com:8443/x$request_uri; } } }",
    "http { map $host $b { default a; ~^(?<n>.+)$ $n; } geo $g { default 10.0.0.1:80; }
     split_clients $remote_addr $s { 50% $b; * $g; } resolver 10.0.0.2 [::1]:53;
     server { set $x $s; set $y ${x}; location / { proxy_pass http://$y; } }
     server { listen 8000-8010; location / { try_files $uri @f; } location @f { grpc_pass grpc://$b:1; } } }",
    "stream { map $ssl_preread_server_name $n { a.example a; default b; }
     upstream a { server a.example:443 resolve; } upstream b { server 10.0.0.2:443; }
     server { listen 443; ssl_preread on; proxy_pass $n; } server { listen 53 udp; proxy_pass b; }
     server { listen unix:/x; proxy_pass ${n}; } }",
    "http { init_by_lua_block { local t = { '}', [[ } ]] } -- }\n }
     upstream u { server 0.0.0.1; balancer_by_lua_block { b() } }
     server { set $proxy_upstream_name \"-\"; location / { set $proxy_upstream_name \"ns-svc-80\";
      proxy_pass http://u; } } }",
];

const NGINX_TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b";",
    b"\"",
    b"'",
    b"\\",
    b"#",
    b"\n",
    b"$b",
    b"${",
    b"$proxy_upstream_name",
    b"http {",
    b"stream {",
    b"server {",
    b"location / {",
    b"location ~ ",
    b"upstream a {",
    b"map $a $b {",
    b"set $b $b$b;",
    b"include x;",
    b"listen 1-65535;",
    b"proxy_pass http://",
    b"try_files @f;",
    b"x_by_lua_block {",
    b"--[==[",
    b"]]",
    b"unix:",
    b"\xff",
    b"\x1b[31m",
];

const APACHE: &[&str] = &[
    "Listen 80\nListen [::]:443 https\nDefine A app.internal\n<IfModule mod_so.c>\n\
     <Proxy balancer://a>\nBalancerMember http://10.0.0.1:80 route=a\n</Proxy>\n</IfModule>\n\
     <VirtualHost *:80 [::]:443>\nServerName shop.example.com:80\nProxyPass /a balancer://a/x\n\
     ProxyPass /b !\n<Location /c>\nProxyPass http://${A}:8080/\n</Location>\n\
     RewriteRule ^/d/(.*) \"http://$1/\" [P,L]\n</VirtualHost>\n",
    "<Macro M $n $p>\n<VirtualHost *:$p>\nServerName $n\nProxyPass / http://$n/ \\\n retry=0\n\
     </VirtualHost>\n</Macro>\nUse M a.example 80\nUse M b.example 81\nUndefMacro M\n",
    "<IfVersion >= 2.4>\n<FilesMatch \\.php$>\nSetHandler 'proxy:unix:/x|fcgi://localhost'\n\
     </FilesMatch>\n</IfVersion>\n<IfDefine !X>\nProxyRemote * http://10.0.0.9:3128\n\
     ProxyPassMatch ^/(.*) ws://10.0.0.1/$1\n</IfDefine>\n",
];

const APACHE_TOKENS: &[&[u8]] = &[
    b"\n",
    b"\\\n",
    b"\"",
    b"'",
    b"\\",
    b"<",
    b">",
    b"</",
    b"${A}",
    b"${",
    b"$n",
    b"<IfModule x>\n",
    b"</IfModule>\n",
    b"<VirtualHost *:80>\n",
    b"</VirtualHost>\n",
    b"<Macro M $n>\n",
    b"</Macro>\n",
    b"Use M x\n",
    b"Use M $n$n\n",
    b"Define A ${A}${A}\n",
    b"Include x\n",
    b"Listen 80\n",
    b"ProxyPass / http://",
    b"balancer://",
    b"BalancerMember ",
    b"[P]",
    b"unix:|",
    b"\xff",
    b"\x1b[31m",
];

/// Damaged configurations of nginx.
#[derive(Debug)]
pub(crate) struct Nginx(Pool);

impl Default for Nginx {
    fn default() -> Self {
        let seeds = NGINX.iter().map(|seed| seed.as_bytes());
        Self(Pool::new(seeds, NGINX_TOKENS, MOST))
    }
}

impl Target for Nginx {
    const NAME: &'static str = "nginx";
    const QUICK: u64 = 3_000;
    const REFUSES: bool = true;
    type Input = Bytes;

    fn make(&mut self, random: &mut Random) -> Bytes {
        Bytes(self.0.make(random))
    }

    fn check(&mut self, input: &Bytes) -> bool {
        let text = String::from_utf8_lossy(&input.0);
        let read = || nginx::reading(&text, Path::new("/etc/nginx/nginx.conf"), None);
        let accepted = consistent(&read(), "/etc/nginx/nginx.conf:");
        assert_eq!(read(), read());
        if accepted {
            self.0.keep(&input.0);
        }
        accepted
    }
}

/// Damaged configurations of Apache httpd.
#[derive(Debug)]
pub(crate) struct Apache(Pool);

impl Default for Apache {
    fn default() -> Self {
        let seeds = APACHE.iter().map(|seed| seed.as_bytes());
        Self(Pool::new(seeds, APACHE_TOKENS, MOST))
    }
}

impl Target for Apache {
    const NAME: &'static str = "apache";
    const QUICK: u64 = 3_000;
    const REFUSES: bool = true;
    type Input = Bytes;

    fn make(&mut self, random: &mut Random) -> Bytes {
        Bytes(self.0.make(random))
    }

    fn check(&mut self, input: &Bytes) -> bool {
        let text = String::from_utf8_lossy(&input.0);
        let surroundings = Surroundings {
            modules: vec!["mod_so.c".to_owned()],
            ..Surroundings::default()
        };
        let path = Path::new("/etc/apache2/apache2.conf");
        let read = || apache::reading(&text, path, &surroundings, None);
        let accepted = consistent(&read(), "/etc/apache2/apache2.conf:");
        assert_eq!(read(), read());
        if accepted {
            self.0.keep(&input.0);
        }
        accepted
    }
}

/// Names are unique, nothing refers to what is not there, remarks have a place and are bounded.
/// True if there is a reading.
fn consistent(read: &Result<Reading, SyntaxError>, place: &str) -> bool {
    let reading = match read {
        Ok(reading) => reading,
        Err(error) => {
            assert!(error.to_string().starts_with(place), "{error}");
            return false;
        }
    };
    let mut routes = HashSet::new();
    let mut upstreams = HashSet::new();
    for upstream in &reading.upstreams {
        assert!(upstreams.insert(&upstream.name), "{}", upstream.name);
        let endpoints: HashSet<_> = upstream.endpoints.iter().collect();
        assert_eq!(endpoints.len(), upstream.endpoints.len());
    }
    for route in &reading.routes {
        assert!(routes.insert(&route.name), "{}", route.name);
        assert!(route.upstreams.iter().all(|name| upstreams.contains(name)));
        let listeners = &reading.listeners;
        assert!(route.listeners.iter().all(|one| listeners.contains(one)));
    }
    assert!(reading.not_understood.len() <= 201);
    for note in &reading.not_understood {
        assert!(note.starts_with(place) || note.starts_with('…'), "{note}");
        assert!(!note.contains(steers), "{note:?}");
    }
    true
}
