use super::*;
use crate::routes::draft::shown;

struct Nothing;

impl Outside for Nothing {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "BACKEND").then(|| "10.0.0.7:7000".to_owned())
    }

    fn import(&self, pattern: &str) -> Result<Vec<String>, String> {
        match pattern {
            "sites/*" => Ok(vec!["c.test {\n\treverse_proxy 10.0.0.3:3\n}\n".to_owned()]),
            "self" => Ok(vec!["import self\nimport self\n".to_owned()]),
            _ => Err("not there".to_owned()),
        }
    }
}

fn read(text: &str) -> String {
    let (config, complaints) = adapt(text, &Nothing).unwrap();
    let mut draft = crate::routes::caddy::config::draft(&config, &|_| None);
    for complaint in complaints {
        draft.complain("Caddyfile", &complaint);
    }
    shown(&draft.finish(""))
}

#[test]
fn sites_of_many_kinds() {
    let text = r#"
# Everything at once.
{
	admin off
	http_port 8080
	auto_https off
}

(proxied) {
	reverse_proxy {args[0]} {
		lb_policy first
		to 10.0.0.2:2
	}
}

http://a.test,
http://b.test:81 {
	encode gzip
	@api {
		path /api/* /v2/*
		method GET
	}
	handle @api {
		import proxied 10.0.0.1:1
	}
	handle_path /users/* {
		reverse_proxy /old/* https://users.test "h2c://[2001:db8::1]:50051"
	}
	respond "nothing { here"
}

:9000 {
	bind 127.0.0.1 ::1
	route {
		reverse_proxy {$BACKEND} {$NONE:10.0.0.8:80} :9001
		php_fastcgi unix//run/php.sock
	}
	reverse_proxy /dyn/* {
		dynamic a pool.test 8000
	}
	mystery 10.0.0.9:9
}

import sites/*
"#;
    assert_eq!(
        read(text),
        "\
listen :8080
listen :81
listen 127.0.0.1:9000
listen [::1]:9000
listen :443
route a.test,b.test/api/*,/v2/* at :8080 :81: 10.0.0.1:1, 10.0.0.2:2
route a.test,b.test/users/old/* at :8080 :81: users.test:443, [2001:db8::1]:50051
route a.test,b.test at :8080 :81:
route 127.0.0.1:9000 at 127.0.0.1:9000 [::1]:9000: 10.0.0.7:7000, 10.0.0.8:80, :9001
route 127.0.0.1:9000*.php at 127.0.0.1:9000 [::1]:9000: unix//run/php.sock
route 127.0.0.1:9000/dyn/* at 127.0.0.1:9000 [::1]:9000: pool.test:8000
route c.test at :443: 10.0.0.3:3
upstream 10.0.0.1:1: 10.0.0.1:1
upstream 10.0.0.2:2: 10.0.0.2:2
upstream users.test:443: users.test:443
upstream [2001:db8::1]:50051: [2001:db8::1]:50051
upstream 10.0.0.7:7000: 10.0.0.7:7000
upstream 10.0.0.8:80: 10.0.0.8:80
upstream :9001: 127.0.0.1:9001 [::1]:9001
upstream unix//run/php.sock:
upstream pool.test:8000: pool.test:8000
upstream 10.0.0.3:3: 10.0.0.3:3
? Caddyfile: line 41: `mystery` is unknown; what it connects to is not known
"
    );
}

#[test]
fn a_site_without_braces() {
    assert_eq!(
        read("localhost\n\nreverse_proxy localhost:9000\n"),
        "listen :443\nlisten :80\nroute localhost at :443: localhost:9000\nupstream localhost:9000: localhost:9000\n"
    );
}

#[test]
fn the_admin_option() {
    for (text, expected) in [
        ("{\n\tadmin off\n}\n:80\n", json!({ "disabled": true })),
        (
            "{\n\tadmin unix//run/c.sock\n}\n",
            json!({ "listen": "unix//run/c.sock" }),
        ),
        (":80 {\n}\n", Value::Null),
    ] {
        assert_eq!(
            adapt(text, &Nothing).unwrap().0["admin"],
            expected,
            "{text}"
        );
    }
}

#[test]
fn imports_end() {
    let shown = read("import self\n");
    assert!(shown.contains("is nested deeper than 10"), "{shown}");
    let shown = read(
        "(a) {\n\timport a {args[0]}{args[0]}\n\timport a x\n}\n:80 {\n\timport a y\n}\nimport none\n",
    );
    assert!(shown.contains("is nested deeper than 10"), "{shown}");
    assert!(shown.contains("import `none`: not there"), "{shown}");
}
