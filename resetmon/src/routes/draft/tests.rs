use super::*;

fn shown(endpoints: Result<Vec<Endpoint>, impl std::fmt::Display>) -> String {
    match endpoints {
        Ok(endpoints) => {
            let texts: Vec<String> = endpoints.iter().map(Endpoint::to_string).collect();
            texts.join(" ")
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn hosts_and_ports() {
    for (host, expected) in [
        ("10.0.0.1", "10.0.0.1:80"),
        ("2001:db8::1", "[2001:db8::1]:80"),
        ("[2001:db8::1]", "[2001:db8::1]:80"),
        ("API.Example.com", "api.example.com:80"),
        ("", "127.0.0.1:80 [::1]:80"),
        ("0.0.0.0", "127.0.0.1:80"),
        ("::", "[::1]:80"),
    ] {
        assert_eq!(shown(endpoints(host, 80)), expected, "{host}");
    }
    for host in ["10.0.0.0/8", "a b", "fe80::1%eth0", "{placeholder}"] {
        assert!(shown(endpoints(host, 80)).starts_with("error: "), "{host}");
    }
    assert!(shown(endpoints("10.0.0.1", 0)).starts_with("error: "));
}

#[test]
fn urls() {
    for (url, expected) in [
        ("http://10.0.0.1:8080/path", "10.0.0.1:8080"),
        ("http://10.0.0.1", "10.0.0.1:80"),
        ("https://api.example.com", "api.example.com:443"),
        ("h2c://[2001:db8::1]:50051", "[2001:db8::1]:50051"),
        ("http://[2001:db8::1]/", "[2001:db8::1]:80"),
        ("https://user:word@a.example?x", "a.example:443"),
    ] {
        assert_eq!(shown(url_endpoints(url)), expected, "{url}");
    }
    for url in [
        "10.0.0.1:80",
        "http://",
        "http://a:http",
        "http://a:70000",
        "://",
    ] {
        assert!(shown(url_endpoints(url)).starts_with("error: "), "{url}");
    }
}

#[test]
fn names_once() {
    let listener = |text: &str| text.parse::<Listener>().unwrap();
    let mut draft = Draft::default();
    let one = draft.upstream("a", endpoints("10.0.0.1", 1).unwrap());
    let again = draft.upstream("a", endpoints("10.0.0.1", 1).unwrap());
    draft.upstream("a", endpoints("10.0.0.2", 1).unwrap());
    draft.route("r", &[listener(":80")], [&one]);
    draft.route("r", &[listener(":80"), listener(":81")], [&again]);
    draft.route("any", &[listener(":80")], []);
    draft.route("any", &[], []);
    draft.route("any", &[listener(":82")], []);
    let reading = draft.finish("here");
    assert_eq!(reading.upstreams.len(), 1);
    assert_eq!(reading.upstreams[0].endpoints.len(), 2);
    let route = &reading.routes[0];
    assert_eq!(route.upstreams.len(), 1);
    assert_eq!(route.listeners, [listener(":80"), listener(":81")]);
    assert_eq!(reading.routes[1].listeners, []);
    assert_eq!(reading.origin, "here");
}

#[test]
fn many_patterns() {
    assert_eq!(patterns::<&str>(&[]), "");
    assert_eq!(patterns(&["a", "b", "c"]), "a,b,c");
    assert_eq!(patterns(&["a", "b", "c", "d", "e"]), "a,b,c,+2");
}
