//! Apache httpd: its files and a graceful restart.

use std::fs;
use std::path::Path;
use std::process::Command;

use resetmon::routes::apache::Apache;
use resetmon::routes::source::Source as _;
use rustix::process::Signal;

use crate::program::{Program, free_port, until, until_listening};
use crate::reading::{instance, read, shown};

/// Where Debian puts the modules.
const MODULES: &str = "/usr/lib/apache2/modules";

fn write_shop(root: &Path, port: u16, member: &str) {
    let text = format!(
        "<VirtualHost *:{port}>
            ServerName shop.example.com
            <Proxy balancer://payments>
                BalancerMember http://127.0.0.1:9001
                BalancerMember {member}
            </Proxy>
            ProxyPass \"/api/pay\" \\
                \"balancer://payments\"
            <IfModule mod_ssl.c>
                ProxyPass /never http://127.0.0.1:9
            </IfModule>
            RewriteEngine On
            RewriteRule \"^/v[0-9]{{1,2}}/(.*)\" \"http://${{BACKEND}}/$1\" [P]
        </VirtualHost>\n"
    );
    fs::write(root.join("sites/shop.conf"), text).unwrap();
}

#[test]
fn the_files_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (shop, admin) = (free_port(), free_port());
    fs::create_dir(root.join("sites")).unwrap();
    let modules: Vec<_> = [
        ("mpm_event", "mpm_event"),
        ("authz_core", "authz_core"),
        ("proxy", "proxy"),
        ("proxy_http", "proxy_http"),
        ("proxy_balancer", "proxy_balancer"),
        ("slotmem_shm", "slotmem_shm"),
        ("lbmethod_byrequests", "lbmethod_byrequests"),
        ("rewrite", "rewrite"),
        ("macro", "macro"),
    ]
    .iter()
    .map(|(name, file)| format!("LoadModule {name}_module {MODULES}/mod_{file}.so\n"))
    .collect();
    let main = format!(
        "{}PidFile {2}/pid\nDefaultRuntimeDir {2}\nErrorLog {2}/errors\nUser www-data\n\
        Group www-data\nServerName gw.example.com\nDefine ADMIN {admin}\n\
        Listen 127.0.0.1:{1}\nListen [::1]:{1}\n\
        <IfDefine WITH_ADMIN>\nListen 127.0.0.1:${{ADMIN}}\n</IfDefine>\n\
        IncludeOptional sites/*.conf\n\
        <Macro Host $name $port $url>\n<VirtualHost *:$port>\nServerName $name\n\
        ProxyPass / $url\n</VirtualHost>\n</Macro>\n\
        Use Host admin.example.com ${{ADMIN}} http://[::1]:9003/\n",
        modules.concat(),
        shop,
        root.display(),
    );
    fs::write(root.join("main.conf"), main).unwrap();
    write_shop(root, shop, "http://[::1]:9001");
    let mut command = Command::new("apache2");
    command.args(["-DFOREGROUND", "-D", "WITH_ADMIN", "-f", "main.conf", "-d"]);
    command.arg(root).env("BACKEND", "127.0.0.1:9002");
    let apache = Program::start(&mut command, &root.join("log"));
    until_listening(([127, 0, 0, 1], shop).into());

    let before = instance(&apache);
    assert!(Apache.claims(&before), "{before:?}");
    let expected = |payments: &str| {
        vec![
            format!("listeners 127.0.0.1:{shop} [::1]:{shop} 127.0.0.1:{admin}"),
            format!("shop.example.com/api/pay [127.0.0.1:{shop} [::1]:{shop}] -> payments"),
            format!(
                "shop.example.com ~ ^/v[0-9]{{1,2}}/(.*) [127.0.0.1:{shop} [::1]:{shop}] -> \
                 127.0.0.1:9002"
            ),
            format!("admin.example.com/ [127.0.0.1:{admin}] -> [::1]:9003"),
            format!("payments: {payments}"),
            "127.0.0.1:9002: 127.0.0.1:9002".to_owned(),
            "[::1]:9003: [::1]:9003".to_owned(),
        ]
    };
    let reading = read(&Apache, &before);
    assert_eq!(shown(&reading), expected("127.0.0.1:9001 [::1]:9001"));
    assert_eq!(reading.origin, root.join("main.conf").to_str().unwrap());

    until("child processes", || !instance(&apache).children.is_empty());
    let generation = Apache.generation(&instance(&apache));
    write_shop(root, shop, "http://127.0.0.1:9011");
    apache.signal(Signal::USR1);
    until("a restart", || {
        Apache.generation(&instance(&apache)) != generation
    });
    let after = instance(&apache);
    assert_eq!(
        shown(&read(&Apache, &after)),
        expected("127.0.0.1:9001 127.0.0.1:9011")
    );
}
