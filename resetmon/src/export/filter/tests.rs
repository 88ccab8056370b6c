use std::sync::Arc;

use super::*;
use crate::export::sample;
use crate::reset::Process;

fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    change(&mut filter);
    filter
}

#[test]
fn one_condition_at_a_time() {
    let mut reset = sample::received();
    reset.closer = reset.owner.clone();
    reset.closer.as_mut().unwrap().process = Arc::new(Process {
        pid: 7,
        parent: None,
        name: Arc::from("bash"),
        comm: Arc::from("sh"),
        ..sample::nginx()
    });
    let process = |name: &str| filter(|filter| filter.process = Some(name.to_owned()));
    let pid = |pid| filter(|filter| filter.pid = Some(pid));
    let port = |port| filter(|filter| filter.port = Some(port));
    let peer = |text: &str| filter(|filter| filter.peer = Some(text.parse().unwrap()));
    let causes = |text: &str| filter(|filter| filter.causes = Some(text.parse().unwrap()));
    let route = |name: &str| filter(|filter| filter.route = Some(name.to_owned()));
    let netns = |number| filter(|filter| filter.netns = Some(number));
    let rows = [
        (Filter::default(), true),
        (
            filter(|filter| filter.direction = Some(Direction::Received)),
            true,
        ),
        (
            filter(|filter| filter.direction = Some(Direction::Sent)),
            false,
        ),
        (process("nginx"), true),
        (process("bash"), true),
        (process("sh"), true),
        (process("ngin"), false),
        (process("Nginx"), false),
        (pid(4242), true),
        (pid(7), true),
        (pid(424), false),
        (port(8080), true),
        (port(45678), true),
        (port(80), false),
        (peer("10.0.0.9"), true),
        (peer("::ffff:10.0.0.9"), true),
        (peer("10.0.0.8"), false),
        // Only the remote end is the peer.
        (peer("10.0.0.1"), false),
        (peer("10.0.0.8/29"), true),
        (peer("10.0.0.0/29"), false),
        (peer("::/0"), false),
        (peer("payments-1"), true),
        (peer("Payments-1"), true),
        (peer("payments"), false),
        (causes("aborted_mid_response"), true),
        (causes("refused, aborted_mid_response"), true),
        (causes("refused"), false),
        (route("/api/pay"), true),
        (route("/api"), false),
        (netns(4_026_531_840), true),
        (netns(1), false),
    ];
    for (filter, expected) in rows {
        assert_eq!(filter.matches(&reset), expected, "{filter:?}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let reset = sample::received();
    let both = |port| {
        filter(|filter| {
            filter.port = Some(port);
            filter.pid = Some(4242);
        })
    };
    assert!(both(8080).matches(&reset));
    assert!(!both(81).matches(&reset));
}

#[test]
fn a_reset_without_process_and_route() {
    let reset = sample::sent_without_socket();
    for (filter, expected) in [
        (Filter::default(), true),
        (filter(|filter| filter.process = Some(String::new())), false),
        (filter(|filter| filter.pid = Some(0)), false),
        (filter(|filter| filter.route = Some(String::new())), false),
        (filter(|filter| filter.port = Some(81)), true),
    ] {
        assert_eq!(filter.matches(&reset), expected, "{filter:?}");
    }
}

#[test]
fn peers() {
    let net = |text: &str| Ok(PeerFilter::Net(text.parse().unwrap()));
    let name = |text: &str| Ok(PeerFilter::Name(text.to_owned()));
    let address = |text: &str| Err(FilterError::Address(text.to_owned()));
    let port = |text: &str| Err(FilterError::Port(text.to_owned()));
    let bad_name = |text: &str| Err(FilterError::Name(text.to_owned()));
    for (text, expected) in [
        ("10.0.0.7", net("10.0.0.7/32")),
        ("10.0.0.0/8", net("10.0.0.0/8")),
        ("::1", net("::1/128")),
        ("::ffff:10.0.0.7", net("10.0.0.7/32")),
        ("2001:db8::/32", net("2001:db8::/32")),
        ("payments.shop.svc", name("payments.shop.svc")),
        ("10-0-0-7.node", name("10-0-0-7.node")),
        ("10.0.0.300", address("10.0.0.300")),
        ("10.0.0", address("10.0.0")),
        ("10.0.0.0/33", address("10.0.0.0/33")),
        ("payments/8", address("payments/8")),
        ("2001:db8:::1", address("2001:db8:::1")),
        ("payments:80", address("payments:80")),
        ("10.0.0.7:80", port("10.0.0.7:80")),
        ("[::1]:80", port("[::1]:80")),
        ("", bad_name("")),
        ("two words", bad_name("two words")),
    ] {
        assert_eq!(text.parse(), expected, "{text}");
    }
}

#[test]
fn cause_lists() {
    let bad = |word: &str| Err(FilterError::Cause(word.to_owned()));
    for (text, expected) in [
        ("refused", Ok(Causes(vec![Cause::Refused]))),
        (
            "refused,unknown",
            Ok(Causes(vec![Cause::Refused, Cause::Unknown])),
        ),
        (" refused , refused ", Ok(Causes(vec![Cause::Refused]))),
        ("Refused", bad("Refused")),
        ("refuse", bad("refuse")),
        ("refused,", bad("")),
        ("", bad("")),
    ] {
        assert_eq!(text.parse(), expected, "{text}");
    }
    let message = "x".parse::<Causes>().unwrap_err().to_string();
    for cause in Cause::ALL {
        assert!(message.contains(cause.name()), "{cause} in {message}");
    }
}

#[test]
fn directions_and_namespaces() {
    for (text, expected) in [
        ("sent", Some(Direction::Sent)),
        ("received", Some(Direction::Received)),
        ("Sent", None),
        ("", None),
    ] {
        assert_eq!(direction(text).ok(), expected, "{text}");
    }
    for (text, expected) in [
        ("4026531840", Some(4_026_531_840)),
        ("net:[4026531840]", Some(4_026_531_840)),
        ("net:[4026531840", None),
        ("net:[]", None),
        ("+1", None),
        ("4294967296", None),
        ("", None),
    ] {
        assert_eq!(netns(text).ok(), expected, "{text}");
    }
}

#[test]
fn conditions_by_name() {
    let number = |name, value: &str| {
        Err(FilterError::Number {
            name,
            value: value.to_owned(),
        })
    };
    let mut all = Filter::default();
    for (name, value, expected) in [
        ("direction", "sent", Ok(())),
        ("process", "my app", Ok(())),
        ("pid", "7", Ok(())),
        ("port", "80", Ok(())),
        ("peer", "db", Ok(())),
        ("cause", "refused,unknown", Ok(())),
        ("failure", "timed_out", Ok(())),
        ("route", "/a=b", Ok(())),
        ("netns", "9", Ok(())),
        (
            "Route",
            "/",
            Err(FilterError::Condition("Route".to_owned())),
        ),
        ("", "/", Err(FilterError::Condition(String::new()))),
        ("route", "", Err(FilterError::Value("route"))),
        ("port", "65536", number("port", "65536")),
        ("pid", "-1", number("pid", "-1")),
        (
            "direction",
            "up",
            Err(FilterError::Direction("up".to_owned())),
        ),
    ] {
        assert_eq!(all.set(name, value), expected, "{name}={value}");
    }
    let expected = Filter {
        direction: Some(Direction::Sent),
        process: Some("my app".to_owned()),
        pid: Some(7),
        port: Some(80),
        peer: Some(PeerFilter::Name("db".to_owned())),
        causes: Some(Causes(vec![Cause::Refused, Cause::Unknown])),
        failures: Some(Failures(vec![FailureKind::TimedOut])),
        route: Some("/a=b".to_owned()),
        netns: Some(9),
    };
    assert_eq!(all, expected);
}

#[test]
fn errors_do_not_pass_on_what_steers_a_terminal() {
    let hostile = "\u{1b}[31m\u{202e}/";
    for error in [
        direction(hostile).unwrap_err(),
        netns(hostile).unwrap_err(),
        hostile.parse::<Causes>().unwrap_err(),
        hostile.parse::<PeerFilter>().unwrap_err(),
        "\u{1b}".parse::<PeerFilter>().unwrap_err(),
        Filter::default().set(hostile, hostile).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("`\\u{1b}"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}
