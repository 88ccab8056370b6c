use super::*;
use crate::export::http::certs::Ca;
use crate::routes::admin::access::Access;
use crate::routes::admin::recorded::{Recorded, as_if};
use crate::routes::draft::shown;

const EXE: &str = "/usr/local/openresty/nginx/sbin/nginx";

#[test]
fn claims_kongs_nginx() {
    let title = "nginx: master process /usr/local/openresty/nginx/sbin/nginx -p ";
    for (argument, expected) in [
        (format!("{title}/usr/local/kong -c nginx.conf"), true),
        (format!("{title}/kong_prefix -c nginx.conf"), true),
        (format!("{title}/usr/local/other -c nginx.conf"), false),
        ("nginx: master process nginx".to_owned(), false),
        ("nginx: worker process".to_owned(), false),
    ] {
        let instance = Instance {
            exe: EXE.into(),
            arguments: vec![argument.clone()],
            ..Instance::default()
        };
        assert_eq!(Kong.claims(&instance), expected, "{argument}");
    }
    // As it was executed, before nginx writes its title.
    let root = Path::new("/");
    assert!(Kong.claims(&as_if(EXE, "nginx -p /usr/local/kong -c nginx.conf", root)));
    assert!(!Kong.claims(&as_if(EXE, "nginx -p /usr/local/kong -s reload", root)));
    assert!(!Kong.claims(&as_if("/usr/bin/kongd", "kongd -p /usr/local/kong", root)));
}

/// Starts an Admin API in the shape of <https://developer.konghq.com/api/gateway/admin-ee/>: lists
/// in `data`, the path of the next page in `next`.
fn recorded() -> Recorded {
    Recorded::start(&[
        (
            "/services?size=1000",
            r#"{"data":[
                {"id":"5f1d7e76","name":"payments","protocol":"http","host":"payments.upstream","port":80,"path":null,"enabled":true,"retries":5},
                {"id":"a1b2c3d4","name":"llm","protocol":"https","host":"api.openai.com","port":443,"enabled":true}],"next":null}"#,
        ),
        (
            "/routes?size=1000",
            r#"{"data":[{"id":"0001","name":"pay","protocols":["http","https"],"paths":["/pay"],"service":{"id":"5f1d7e76"}}],
                "next":"/routes?offset=WyIwMDAxIl0"}"#,
        ),
        (
            "/routes?offset=WyIwMDAxIl0&size=1000",
            r#"{"data":[{"id":"0002","name":null,"protocols":["https"],"hosts":["llm.test"],"paths":["/v1"],"service":{"id":"a1b2c3d4"}}],"next":null}"#,
        ),
        (
            "/upstreams?size=1000",
            r#"{"data":[{"id":"77","name":"payments.upstream","algorithm":"round-robin","slots":10000}],"next":null}"#,
        ),
        (
            "/upstreams/77/targets?size=1000",
            r#"{"data":[{"id":"t1","target":"10.0.0.1:8080","weight":100,"upstream":{"id":"77"}},
                {"id":"t2","target":"[2001:db8::1]:8080","weight":100,"upstream":{"id":"77"}}],"next":null}"#,
        ),
        (
            "/plugins?size=1000",
            r#"{"data":[{"id":"p","name":"ai-proxy","enabled":true,"route":{"id":"0001"},"service":null}],"next":null}"#,
        ),
    ])
}

/// A prefix as `kong start` leaves it.
fn prefix(settings: &str) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("kong").tempdir().unwrap();
    std::fs::write(directory.path().join(".kong_env"), settings).unwrap();
    directory
}

fn instance(prefix: &Path) -> Instance {
    let line = format!("nginx -p {} -c nginx.conf", prefix.display());
    as_if(EXE, &line, prefix)
}

#[tokio::test]
async fn by_its_admin_api() {
    let api = recorded();
    let prefix = prefix(&format!(
        "admin_listen = {},127.0.0.1:1 ssl\nproxy_listen = 0.0.0.0:8000 reuseport,[::]:8443 ssl\n",
        api.address
    ));
    let instance = instance(prefix.path());
    assert!(Kong.claims(&instance));
    let reading = Kong.read(&instance).await.unwrap();
    let expected = "\
listen 0.0.0.0:8000
listen [::]:8443
route pay at 0.0.0.0:8000 [::]:8443: payments
route llm.test/v1 at 0.0.0.0:8000 [::]:8443: llm
upstream payments: 10.0.0.1:8080 [2001:db8::1]:8080
upstream llm: api.openai.com:443
? route pay: plugin ai-proxy chooses the backend by itself
";
    assert_eq!(shown(&reading), expected);
    assert_eq!(Kong.generation(&instance), None);
    // A target that another node has added.
    let more = r#"{"data":[{"target":"10.0.0.2:8080"}],"next":null}"#;
    api.set("/upstreams/77/targets?size=1000", 200, more);
    let reading = Kong.read(&instance).await.unwrap();
    assert_eq!(
        reading.upstreams[0].endpoints[0].to_string(),
        "10.0.0.2:8080"
    );
}

#[tokio::test]
async fn workspaces_by_name() {
    let api = recorded();
    api.set(
        "/workspaces?size=1000",
        200,
        r#"{"data":[{"name":"default"},{"name":"team"}],"next":null}"#,
    );
    for (path, body) in [
        (
            "services",
            r#"{"data":[{"id":"s","name":"payments","host":"10.9.0.1","port":80}]}"#,
        ),
        (
            "routes",
            r#"{"data":[{"id":"r","name":"pay","service":{"id":"s"}}]}"#,
        ),
        ("upstreams", r#"{"data":[]}"#),
        ("plugins", r#"{"data":[]}"#),
    ] {
        api.set(&format!("/team/{path}?size=1000"), 200, body);
    }
    let prefix = prefix(&format!("admin_listen = {}\n", api.address));
    let reading = Kong.read(&instance(prefix.path())).await.unwrap();
    let names: Vec<&str> = reading.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["pay", "llm.test/v1", "team/pay"]);
    assert_eq!(&*reading.routes[2].upstreams[0], "team/payments");
}

#[tokio::test]
async fn by_its_declarative_file() {
    let api = Recorded::start(&[]);
    api.set("/workspaces?size=1000", 401, "{}");
    let prefix = prefix(&format!(
        "admin_listen = {}\ndeclarative_config = kong.yml\n",
        api.address
    ));
    std::fs::write(
        prefix.path().join("kong.yml"),
        "_format_version: '3.0'\nservices:\n- {name: a, url: 'http://10.0.0.1', routes: [{name: r, paths: [/]}]}\n",
    )
    .unwrap();
    let reading = Kong.read(&instance(prefix.path())).await.unwrap();
    let shown = shown(&reading);
    assert!(
        shown.contains("route r at 0.0.0.0:8000 0.0.0.0:8443: a\nupstream a: 10.0.0.1:80\n"),
        "{shown}"
    );
    assert!(
        shown.contains("give what it wants by `headers_file`"),
        "{shown}"
    );
    std::fs::write(prefix.path().join("kong.yml"), "services: [").unwrap();
    let error = Kong
        .read(&instance(prefix.path()))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("kong.yml:1:"), "{error}");
}

#[tokio::test]
async fn neither_api_nor_file() {
    let prefix = prefix("admin_listen = off\n");
    let error = Kong
        .read(&instance(prefix.path()))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the Admin API is off (admin_listen), and there is no declarative file; \
         open the Admin API at the loopback: `admin_listen = 127.0.0.1:8001`"
    );
}

#[tokio::test]
async fn with_a_token_over_tls() {
    let ca = Ca::new();
    let api = Recorded::start_tls(
        &[
            (
                "/services?size=1000",
                r#"{"data":[{"id":"s","name":"payments","host":"10.9.0.1","port":80}]}"#,
            ),
            (
                "/routes?size=1000",
                r#"{"data":[{"id":"r","name":"pay","service":{"id":"s"}}]}"#,
            ),
            ("/upstreams?size=1000", r#"{"data":[]}"#),
            ("/plugins?size=1000", r#"{"data":[]}"#),
        ],
        ca.issue(&["kong.test"]).server(),
    );
    let prefix = prefix("admin_listen = 127.0.0.1:1\n");
    let file = |name: &str, text: &str| {
        let path = prefix.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let access = Access {
        ca_file: file("ca.pem", &ca.pem()),
        server_name: Some("kong.test".try_into().unwrap()),
        headers_file: file("headers", "Kong-Admin-Token: s3cret\n"),
        ..Access::default()
    };
    let admin = AdminAddress::Https(api.address);
    let instance = instance(prefix.path()).with(None, Some(admin), access);
    let reading = Kong.read(&instance).await.unwrap();
    assert_eq!(&*reading.routes[0].name, "pay");
    assert_eq!(reading.origin, format!("https://{}/routes", api.address));
    assert_eq!(api.sent("kong-admin-token"), ["s3cret"; 5]);
}
