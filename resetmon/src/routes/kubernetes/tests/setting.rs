use super::*;

#[test]
fn where_the_api_server_is() {
    let file = |path: &str| Access::Kubeconfig(path.into());
    for (variables, node, access, name) in [
        (&[][..], None, Access::None, "node-1"),
        (
            &[("KUBERNETES_SERVICE_HOST", "10.96.0.1")],
            None,
            Access::InCluster,
            "node-1",
        ),
        (
            &[("KUBECONFIG", "/etc/kc")],
            None,
            file("/etc/kc"),
            "node-1",
        ),
        (&[("KUBECONFIG", ":/a:/b")], None, file("/a"), "node-1"),
        (
            &[
                ("KUBECONFIG", "/a"),
                ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            ],
            None,
            file("/a"),
            "node-1",
        ),
        (
            &[("KUBECONFIG", ""), ("KUBERNETES_SERVICE_HOST", "")],
            None,
            Access::None,
            "node-1",
        ),
        (
            &[("NODE_NAME", "ip-10-0-0-1")],
            None,
            Access::None,
            "ip-10-0-0-1",
        ),
        (
            &[("NODE_NAME", "ip-10-0-0-1")],
            Some("own"),
            Access::None,
            "own",
        ),
        (&[("NODE_NAME", "")], None, Access::None, "node-1"),
    ] {
        let variable = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::from_environment(node, variable, "Node-1");
        assert_eq!(settings.access, access, "{variables:?}");
        assert_eq!(&*settings.node, name, "{variables:?}");
    }
}

#[test]
fn a_node_that_does_not_exist_is_named() {
    let mut state = State::default();
    assert_eq!(state.view("node-1").not_understood, Vec::<String>::new());
    let node = object("node-2", &json!({}));
    state.take(Kind::Node, Step::Change(Change::Apply(node)));
    let notes = state.view("node-1").not_understood;
    assert!(
        notes[0].starts_with("no Node is called node-1"),
        "{notes:?}"
    );
    assert_eq!(state.view("node-2").not_understood, Vec::<String>::new());
}

#[test]
fn troubles_are_named_until_they_pass() {
    let mut state = State::default();
    let forbidden = || Some(Trouble::Forbidden("no".to_owned()));
    for (kind, trouble, expected) in [
        (Kind::HttpRoute, Some(Trouble::Absent), &[][..]),
        (
            Kind::EndpointSlice,
            Some(Trouble::Absent),
            &["EndpointSlice: this API server has none in the versions v1, v1beta1"],
        ),
        (Kind::EndpointSlice, None, &[]),
        (
            Kind::HttpRoute,
            forbidden(),
            &[
                "HTTPRoute: forbidden (no); give resetmon's ServiceAccount a ClusterRole with \
               apiGroups: [\"gateway.networking.k8s.io\"], resources: [\"httproutes\"], \
               verbs: [\"list\", \"watch\"]",
            ],
        ),
        (
            Kind::HttpRoute,
            Some(Trouble::Failing("refused".to_owned())),
            &["HTTPRoute: the API server cannot be asked, what was known stays in force: refused"],
        ),
        (Kind::HttpRoute, None, &[]),
    ] {
        state.take(kind, Step::Trouble(trouble));
        assert_eq!(state.view("").not_understood, expected, "{kind}");
    }
}
