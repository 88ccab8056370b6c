use super::*;
use crate::routes::admin::recorded::{Recorded, as_if};
use crate::routes::draft::shown;

/// In the shape of <https://github.com/eolinker/apinto-docs/tree/main/docs/apinto>: a list names
/// the objects, each tells its configuration at its own path.
fn recorded() -> Recorded {
    Recorded::start(&[
        (
            "/api/router",
            r#"[{"id":"pay@router","name":"pay","driver":"http","profession":"router","listen":8099,"service":"pay@service","host":null,"disable":false,"create":"2022-06-16 12:06:05","update":"2022-06-16 12:06:05"}]"#,
        ),
        (
            "/api/router/pay",
            r#"{"id":"pay@router","name":"pay","driver":"http","profession":"router","listen":8099,"method":["GET"],"host":["*.test"],"location":"/pay*","rules":[],"service":"pay@service","template":"","disable":false,"plugins":null}"#,
        ),
        (
            "/api/service",
            r#"[{"id":"pay@service","name":"pay","driver":"http","profession":"service","discovery":""},{"id":"../x","name":"../x","driver":"http"}]"#,
        ),
        (
            "/api/service/pay",
            r#"{"id":"pay@service","name":"pay","driver":"http","profession":"service","scheme":"http","timeout":3000,"retry":3,"discovery":"","service":"","nodes":["10.0.0.1:8080","demo.test:8280 5"],"balance":"round-robin"}"#,
        ),
        ("/api/discovery", "[]"),
    ])
}

#[tokio::test]
async fn by_its_admin_api() {
    let api = recorded();
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "version: 2\nclient:\n  listen_urls: ['http://{}']\ngateway:\n  listen_urls: ['http://0.0.0.0:8099']\n",
        api.address
    );
    std::fs::write(directory.path().join("other.yml"), config).unwrap();
    std::fs::write(directory.path().join("apinto.yml"), "config: other.yml\n").unwrap();
    let instance = as_if("/apinto/apinto", "apinto start", directory.path());
    assert!(Apinto.claims(&instance));
    assert_eq!(Apinto.generation(&instance), None);
    let reading = Apinto.read(&instance).await.unwrap();
    assert_eq!(
        shown(&reading),
        "\
listen :8099
route pay at :8099: pay
upstream pay: 10.0.0.1:8080 demo.test:8280
? /api/service: `../x` is no name
"
    );
    assert_eq!(reading.origin, format!("http://{}/api/router", api.address));
    // A node that was added meanwhile.
    let more = r#"{"id":"pay@service","name":"pay","nodes":["10.0.0.2:8080"]}"#;
    api.set("/api/service/pay", 200, more);
    let reading = Apinto.read(&instance).await.unwrap();
    assert_eq!(
        reading.upstreams[0].endpoints[0].to_string(),
        "10.0.0.2:8080"
    );
    // APIPark has AI providers; and one that does not want to tell says so.
    let list = r#"[{"id":"a@ai-provider","name":"a"}]"#;
    api.set("/api/ai-provider", 200, list);
    let whole = r#"{"id":"a@ai-provider","name":"a","base":"https://llm.test"}"#;
    api.set("/api/ai-provider/a", 200, whole);
    let reading = Apinto.read(&instance).await.unwrap();
    assert_eq!(
        reading.upstreams[1].endpoints[0].to_string(),
        "llm.test:443"
    );
    api.set("/api/ai-provider", 500, "{}");
    let reading = Apinto.read(&instance).await.unwrap();
    assert!(
        reading
            .not_understood
            .iter()
            .any(|note| note.contains("/api/ai-provider with 500")),
        "{:?}",
        reading.not_understood
    );
    // A router that was deleted between list and question.
    api.set("/api/router/pay", 404, "{}");
    let reading = Apinto.read(&instance).await.unwrap();
    assert_eq!(reading.routes, []);
    assert!(reading.not_understood[0].contains("/api/router/pay with 404"));
}

#[tokio::test]
async fn without_its_admin_api() {
    let directory = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let config = format!("admin:\n  ip: 127.0.0.1\n  listen: {port}\nlisten: [8099]\n");
    std::fs::write(directory.path().join("config.yml"), config).unwrap();
    let instance = as_if("/apinto/apinto", "apinto start", directory.path());
    let error = Apinto.read(&instance).await.unwrap_err().to_string();
    let expected = format!("the admin interface at 127.0.0.1:{port} cannot be reached");
    assert!(error.starts_with(&expected), "{error}");
}
