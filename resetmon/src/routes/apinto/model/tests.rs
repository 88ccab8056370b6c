use super::*;
use crate::routes::draft::shown;

fn read(routers: &str, services: &str, discoveries: &str, providers: &str) -> String {
    let parsed = |text: &str| serde_json::from_str(text).unwrap();
    let workers = Workers {
        routers: parsed(routers),
        services: parsed(services),
        discoveries: parsed(discoveries),
        providers: parsed(providers),
        complaints: Vec::new(),
    };
    let settings = Settings {
        gateway: vec!["http://0.0.0.0:8099".to_owned(), "nowhere".to_owned()],
        ..Settings::default()
    };
    shown(&workers.draft(&settings).finish(""))
}

#[test]
fn services_and_discoveries() {
    let routers = r#"[
        {"name":"pay","listen":8099,"service":"pay@service"},
        {"name":"old","listen":8099,"target":"static@service"},
        {"name":"off","listen":8099,"service":"pay@service","disable":true},
        {"name":"elsewhere","listen":1234,"service":"pay@service"},
        {"name":"lost","service":"none@service"}]"#;
    let services = r#"[
        {"id":"pay@service","name":"pay","scheme":"HTTPS","discovery":"","nodes":["api.test","10.0.0.1:8080 10","[2001:db8::1]:80 weight=2","x:y"]},
        {"id":"static@service","name":"static","scheme":"http","discovery":"d@discovery","service":"127.0.0.1:8580 weight=1000;10.1.1.2 weight=10;"},
        {"id":"c@service","name":"looked-up","discovery":"consul@discovery","service":"redis"},
        {"id":"n@service","name":"nowhere","discovery":"none@discovery"}]"#;
    let discoveries =
        r#"[{"id":"d@discovery","driver":"static"},{"id":"consul@discovery","driver":"consul"}]"#;
    assert_eq!(
        read(routers, services, discoveries, "[]"),
        "\
listen :8099
route pay at :8099: pay
route old at :8099: static
route lost:
upstream pay: api.test:443 10.0.0.1:8080 [2001:db8::1]:80
upstream static: 127.0.0.1:8580 10.1.1.2:80
upstream looked-up:
upstream nowhere:
? Apinto's defaults: `nowhere` is no address to listen at
? service pay: node `x:y` has no port that is one
? service looked-up: nodes of `redis` are looked up in consul@discovery (consul)
? service nowhere: there is no discovery `none@discovery`
? router elsewhere: Apinto does not listen at its port 1234
? router lost: there is no service `none@service`
"
    );
}

#[test]
fn other_shapes_are_no_panic() {
    let odd = r#"[1,null,[],{},{"name":1,"id":2,"listen":-1,"nodes":[1],"service":[]}]"#;
    read(odd, odd, odd, odd);
}

#[test]
fn ai_providers() {
    let routers = r#"[
        {"name":"chat","plugins":{"rewrite":{"config":{}},"ai_formatter":{"disable":false,"config":{"provider":"a@ai-provider","model":"m"}}}},
        {"name":"by-vendor","plugins":{"ai_formatter":{"config":{"provider":"google"}}}},
        {"name":"either","plugins":{"ai_formatter":{"config":{"provider":"openai"}}}},
        {"name":"plain","service":"s@service","plugins":{"ai_formatter":{"disable":true,"config":{"provider":"a@ai-provider"}}}}]"#;
    let services = r#"[{"id":"s@service","name":"s","nodes":["10.0.0.1:80"]}]"#;
    let providers = r#"[
        {"id":"a@ai-provider","name":"a","driver":"openai","base":"https://llm.test/v1","config":{"api_key":"s3cret"}},
        {"id":"b@ai-provider","name":"b","driver":"openai","config":"{\"api_key\":\"s3cret\",\"base_url\":\"http://10.1.1.1:8000\"}"},
        {"id":"c@ai-provider","name":"c","provider":"google","driver":"x"},
        {"id":"d@ai-provider","name":"d","driver":"d","base":"s3cret@llm"}]"#;
    let shown = read(routers, services, "[]", providers);
    assert_eq!(
        shown,
        "\
listen :8099
route chat: a
route by-vendor: c
route either:
route plain: s
upstream s: 10.0.0.1:80
upstream a: llm.test:443
upstream b: 10.1.1.1:8000
upstream c:
upstream d:
? Apinto's defaults: `nowhere` is no address to listen at
? ai-provider c: Apinto has the address of `google` built in and does not tell it: resets of its \
connections name no upstream
? ai-provider d: its base URL is not one
? router either: `openai` is not the name of one AI provider
"
    );
}
