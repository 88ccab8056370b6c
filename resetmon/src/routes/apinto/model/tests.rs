use super::*;
use crate::routes::draft::shown;

fn read(routers: &str, services: &str, discoveries: &str) -> String {
    let parsed = |text: &str| serde_json::from_str(text).unwrap();
    let workers = Workers {
        routers: parsed(routers),
        services: parsed(services),
        discoveries: parsed(discoveries),
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
        read(routers, services, discoveries),
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
    read(odd, odd, odd);
}
