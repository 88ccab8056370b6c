use super::*;
use crate::routes::admin::access::Access;
use crate::routes::admin::recorded::{Recorded, as_if};
use crate::routes::draft::shown;

const EXE: &str = "/usr/local/bin/traefik";

/// In the shape of <https://doc.traefik.io/traefik/reference/install-configuration/api-dashboard/>.
const ENTRY_POINTS: &str = r#"[{"name":"traefik","address":"127.0.0.1:8080","transport":{}},{"name":"web","address":":80","http":{}}]"#;
const ROUTERS: &str = r#"[
    {"entryPoints":["traefik"],"service":"api@internal","rule":"PathPrefix(`/api`)","status":"enabled","using":["traefik"],"name":"api@internal","provider":"internal"},
    {"entryPoints":["web"],"service":"pay","rule":"Host(`pay.test`)","priority":16,"status":"enabled","using":["web"],"name":"pay@docker","provider":"docker"}]"#;
const SERVICES: &str = r#"[
    {"status":"enabled","usedBy":["api@internal"],"name":"api@internal","provider":"internal"},
    {"loadBalancer":{"servers":[{"url":"http://172.17.0.2:8080"},{"url":"http://[fd00::2]:8080"}],"passHostHeader":true},
     "status":"enabled","usedBy":["pay@docker"],"serverStatus":{"http://172.17.0.2:8080":"UP"},"name":"pay@docker","provider":"docker","type":"loadbalancer"}]"#;

fn recorded(base: &str) -> Recorded {
    let recorded = Recorded::start(&[]);
    for (path, body) in [
        ("entrypoints", ENTRY_POINTS),
        ("http/routers", ROUTERS),
        ("http/services", SERVICES),
        ("tcp/routers", "[]"),
        ("tcp/services", "[]"),
    ] {
        let path = format!("{base}/api/{path}?page=1&per_page=1000");
        recorded.set(&path, 200, body);
    }
    recorded
}

#[tokio::test]
async fn by_its_api() {
    let directory = tempfile::tempdir().unwrap();
    let api = recorded("/t");
    let line = format!(
        "traefik --api.insecure=true --api.basePath=/t --entryPoints.traefik.address={}",
        api.address
    );
    let instance = as_if(EXE, &line, directory.path());
    assert!(Traefik.claims(&instance));
    assert_eq!(Traefik.generation(&instance), None);
    let reading = Traefik.read(&instance).await.unwrap();
    assert_eq!(
        shown(&reading),
        "\
listen 127.0.0.1:8080
listen :80
route api@internal at 127.0.0.1:8080:
route pay@docker at :80: pay@docker
upstream pay@docker: 172.17.0.2:8080 [fd00::2]:8080
"
    );
    assert_eq!(reading.origin, format!("http://{}/t/api", api.address));
    // A container more, as its provider found it.
    let more = SERVICES.replace("172.17.0.2:8080\"}", "172.17.0.3:8080\"}");
    api.set("/t/api/http/services?page=1&per_page=1000", 200, &more);
    let reading = Traefik.read(&instance).await.unwrap();
    assert_eq!(
        reading.upstreams[0].endpoints[0].to_string(),
        "172.17.0.3:8080"
    );
}

#[tokio::test]
async fn pages_follow_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let api = recorded("");
    let router = |number: usize| {
        format!(
            r#"{{"name":"r{number}@docker","provider":"docker","service":"pay","entryPoints":["web"]}}"#
        )
    };
    let page = |from: usize, to: usize| {
        let routers: Vec<String> = (from..to).map(router).collect();
        format!("[{}]", routers.join(","))
    };
    let path = |page: usize| format!("/api/http/routers?page={page}&per_page=1000");
    api.set(&path(1), 200, &page(0, 1000));
    // The page after a full last one.
    api.set(
        &path(2),
        400,
        r#"{"message":"invalid request: page: 2, per_page: 1000"}"#,
    );
    let line = format!(
        "traefik --api.insecure --entryPoints.traefik.address={}",
        api.address
    );
    let instance = as_if(EXE, &line, directory.path());
    let reading = Traefik.read(&instance).await.unwrap();
    assert_eq!(reading.routes.len(), 1000);
    api.set(&path(2), 200, &page(1000, 1003));
    let reading = Traefik.read(&instance).await.unwrap();
    assert_eq!(reading.routes.len(), 1003);
}

const DYNAMIC: &str = r#"
[http.routers.pay]
rule = "Host(`pay.test`)"
entryPoints = ["webSecure"]
service = "both"
[[http.services.pay.loadBalancer.servers]]
url = "http://10.0.0.1:8080"
[[http.services.both.weighted.services]]
name = "pay"
weight = 1
[http.services.both.weighted.sticky.cookie]
"#;

#[tokio::test]
async fn by_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "static.yml",
        "entryPoints:\n  webSecure:\n    address: ':443'\nproviders:\n  docker: {}\n  file:\n    directory: dynamic\n",
    );
    write("dynamic/pay.toml", DYNAMIC);
    write(
        "dynamic/below/db.yaml",
        "tcp:\n  routers:\n    db:\n      entryPoints: [webSecure]\n      rule: HostSNI(`*`)\n      service: db\n  \
         services:\n    db:\n      loadBalancer:\n        servers:\n          - address: '10.0.0.5:5432'\n",
    );
    write(
        "dynamic/template.yml",
        "http:\n{{ range .x }}\n  - {{ . }}\n{{ end }}\n",
    );
    let instance = as_if(EXE, "traefik --configFile=static.yml", directory.path());
    let reading = Traefik.read(&instance).await.unwrap();
    let root = directory.path().display();
    let shown = shown(&reading);
    assert!(
        shown.starts_with(&format!(
            "\
listen :443
route pay@file at :443: pay@file
route db@file at :443: db@file
upstream pay@file: 10.0.0.1:8080
upstream db@file: 10.0.0.5:5432
? {root}/static.yml: {root}/static.yml does not open the API by itself (`api.insecure` is false; an API behind a router or a password is not asked); only the file provider is read; set `api: {{insecure: true}}` with the entry point `traefik` at 127.0.0.1:8080
? {root}/static.yml: routes of the providers docker are not known without the API
? {root}/dynamic/template.yml: {root}/dynamic/template.yml: "
        )),
        "{shown}"
    );
    assert!(
        shown.ends_with("(templates are not worked out)\n"),
        "{shown}"
    );
}

#[tokio::test]
async fn neither_api_nor_files() {
    let directory = tempfile::tempdir().unwrap();
    let instance = as_if(EXE, "traefik --providers.docker=true", directory.path());
    let error = Traefik.read(&instance).await.unwrap_err().to_string();
    assert!(
        error.starts_with("the command line does not open the API")
            && error.contains("names no file provider; set `api"),
        "{error}"
    );
    assert!(!Traefik.claims(&as_if(EXE, "traefik version", directory.path())));
    assert!(!Traefik.claims(&as_if("/bin/traefik2", "traefik", directory.path())));
}

#[tokio::test]
async fn with_basic_auth() {
    let directory = tempfile::tempdir().unwrap();
    let api = recorded("");
    let user = directory.path().join("user");
    std::fs::write(&user, "operator:s3cret\n").unwrap();
    let access = Access {
        basic_auth_file: Some(user),
        ..Access::default()
    };
    let instance = as_if(EXE, "traefik", directory.path());
    let instance = instance.with(None, Some(AdminAddress::Tcp(api.address)), access);
    let reading = Traefik.read(&instance).await.unwrap();
    assert_eq!(reading.routes.len(), 2);
    let sent = api.sent("authorization");
    assert_eq!(sent, ["Basic b3BlcmF0b3I6czNjcmV0"; 5]);
}
