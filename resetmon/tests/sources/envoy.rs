//! Envoy itself: its admin interface, and resources that it takes from files as they are moved in.

use std::path::{Path, PathBuf};
use std::process::Command;

use resetmon::routes::admin::AdminAddress;
use resetmon::routes::admin::access::Access;
use resetmon::routes::envoy::Envoy;
use resetmon::routes::source::Source as _;

use crate::lines::{lines, read_until};
use crate::program::{Program, free_port, until_listening};
use crate::reading::instance;

/// The program that the set-up fetched, or another.
pub(crate) fn envoy() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/envoy/envoy");
    match std::env::var_os("RESETMON_TEST_ENVOY") {
        Some(chosen) => chosen.into(),
        None if own.exists() => own,
        None => "envoy".into(),
    }
}

/// Puts `text` where Envoy watches for it.
fn move_in(directory: &Path, name: &str, text: &str) {
    let new = directory.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, directory.join(name)).unwrap();
}

fn bootstrap(directory: &Path, admin: &str, tcp: u16, web: u16) -> String {
    let file = |name: &str| {
        format!(
            "path_config_source: {{path: {}/{name}}}",
            directory.display()
        )
    };
    let (cds, eds, rds) = (file("cds.yaml"), file("eds.yaml"), file("rds.yaml"));
    format!(
        r#"
node: {{id: edge-1, cluster: edge}}
{admin}
dynamic_resources:
  cds_config: {{{cds}}}
static_resources:
  listeners:
  - name: tcp
    address: {{socket_address: {{address: "::1", port_value: {tcp}}}}}
    additional_addresses: [{{address: {{socket_address: {{address: 127.0.0.1, port_value: {tcp}}}}}}}]
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          weighted_clusters: {{clusters: [{{name: six, weight: 1}}, {{name: named, weight: 1}}]}}
  - name: web
    address: {{socket_address: {{address: 127.0.0.1, port_value: {web}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          rds: {{route_config_name: main, config_source: {{{rds}}}}}
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: six
    type: STATIC
    load_assignment: {{cluster_name: six, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: "::1", port_value: 9001}}}}}}}}]}}]}}
  - name: named
    type: STRICT_DNS
    dns_lookup_family: V4_ONLY
    load_assignment: {{cluster_name: named, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: localhost, port_value: 9002}}}}}}}}]}}]}}
  - name: sent
    type: EDS
    eds_cluster_config: {{eds_config: {{{eds}}}}}
"#
    )
}

/// Two hosts for the cluster `sent`.
fn hosts(first: &str, second: &str) -> String {
    let host = |address: &str| {
        format!(
            "{{endpoint: {{address: {{socket_address: {{address: \"{address}\", port_value: 9003}}}}}}}}"
        )
    };
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\n  \
         cluster_name: sent\n  endpoints: [{{lb_endpoints: [{}, {}]}}]\n",
        host(first),
        host(second)
    )
}

/// The route configuration `main` with these routes.
fn routes(routes: &str) -> String {
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n  \
         name: main\n  virtual_hosts:\n  - {{name: payments, domains: [pay.example], routes: [{routes}]}}\n"
    )
}

/// One more cluster, called `name`.
fn cluster(name: &str) -> String {
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: {name}\n  \
         load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: \
         {{socket_address: {{address: 127.0.0.1, port_value: 9004}}}}}}}}]}}]}}\n"
    )
}

#[tokio::test]
async fn what_is_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (admin, tcp, web) = (free_port(), free_port(), free_port());
    let setting = format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}"
    );
    std::fs::write(dir.join("envoy.yaml"), bootstrap(dir, &setting, tcp, web)).unwrap();
    move_in(dir, "cds.yaml", &cluster("extra"));
    move_in(dir, "eds.yaml", &hosts("127.0.0.1", "::1"));
    let pay = "{match: {prefix: /api/pay}, route: {cluster: sent}}";
    let all = "{match: {prefix: /}, name: everything, route: {cluster: six}}";
    move_in(dir, "rds.yaml", &routes(&format!("{pay}, {all}")));
    let mut command = Command::new(envoy());
    command.arg("-c").arg(dir.join("envoy.yaml")).args([
        "--concurrency",
        "1",
        "--use-dynamic-base-id",
    ]);
    let program = Program::start(&mut command, &dir.join("log"));
    until_listening(([127, 0, 0, 1], web).into());

    assert!(Envoy.claims(&instance(&program)));
    assert_eq!(Envoy.generation(&instance(&program)), None);
    let mut expected = vec![
        format!("[::1]:{tcp} 127.0.0.1:{tcp} 127.0.0.1:{web}"),
        format!("tcp [[::1]:{tcp} 127.0.0.1:{tcp}] -> six named"),
        format!("payments:/api/pay [127.0.0.1:{web}] -> sent"),
        format!("everything [127.0.0.1:{web}] -> six"),
        "named = localhost:9002 127.0.0.1:9002".to_owned(),
        "sent = 127.0.0.1:9003 [::1]:9003".to_owned(),
        "six = [::1]:9001".to_owned(),
        "extra = 127.0.0.1:9004".to_owned(),
    ];
    let reading = read_until(&Envoy, &program, &expected).await;
    assert_eq!(reading.name.as_deref(), Some("edge"));
    assert_eq!(reading.origin, format!("127.0.0.1:{admin}"));
    assert_eq!(reading.not_understood, [""; 0]);

    move_in(dir, "eds.yaml", &hosts("127.0.0.8", "::8"));
    move_in(
        dir,
        "rds.yaml",
        &routes(&format!(
            "{all}, {{match: {{path: /new}}, route: {{cluster: renamed}}}}"
        )),
    );
    move_in(dir, "cds.yaml", &cluster("renamed"));
    expected[2] = format!("everything [127.0.0.1:{web}] -> six");
    expected[3] = format!("payments:/new [127.0.0.1:{web}] -> renamed");
    expected[5] = "sent = 127.0.0.8:9003 [::8]:9003".to_owned();
    expected[7] = "renamed = 127.0.0.1:9004".to_owned();
    read_until(&Envoy, &program, &expected).await;

    // Nobody answers there: the file has to do.
    let closed = free_port();
    let setting = setting.replace(&admin.to_string(), &closed.to_string());
    std::fs::write(dir.join("closed.yaml"), bootstrap(dir, &setting, tcp, web)).unwrap();
    let mut elsewhere = instance(&program);
    elsewhere.arguments = [
        "envoy",
        "-c",
        &dir.join("closed.yaml").display().to_string(),
    ]
    .map(str::to_owned)
    .to_vec();
    let reading = Envoy.read(&elsewhere).await.unwrap();
    assert_eq!(
        lines(&reading)[1..],
        [
            format!("tcp [[::1]:{tcp} 127.0.0.1:{tcp}] -> six named"),
            "six = [::1]:9001".to_owned(),
            "named = localhost:9002".to_owned(),
            "sent = ".to_owned(),
        ]
    );
    let refused = format!("127.0.0.1:{closed} cannot be reached");
    assert!(
        reading
            .not_understood
            .iter()
            .any(|note| note.contains(&refused)),
        "{:?}",
        reading.not_understood
    );

    // The operator knows better: another file, another place to ask.
    elsewhere.arguments.truncate(1);
    let file = elsewhere.clone();
    let file = file.with(Some(dir.join("closed.yaml")), None, Access::default());
    let static_part = lines(&reading);
    let reading = Envoy.read(&file).await.unwrap();
    assert_eq!(lines(&reading), static_part);
    assert_eq!(reading.origin, dir.join("closed.yaml").to_str().unwrap());
    let asked = AdminAddress::Tcp(([127, 0, 0, 1], admin).into());
    let asked = file.with(None, Some(asked), Access::default());
    let reading = Envoy.read(&asked).await.unwrap();
    assert_eq!(lines(&reading), expected);
    assert_eq!(reading.origin, format!("127.0.0.1:{admin}"));
}
