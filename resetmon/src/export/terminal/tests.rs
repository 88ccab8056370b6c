use std::sync::Arc;

use super::*;
use crate::export::sample;
use crate::kernel::observation::{Exit, KnownBy, Reason};
use crate::reset::{Container, ContainerNames, Owner, Process, ResetId, Sender};

fn plain(columns: usize) -> Style {
    Style {
        columns: Some(columns),
        colour: false,
    }
}

#[test]
fn at_100_columns() {
    let expected = "\
TIME UTC RESET    PROCESS        LOCAL AND REMOTE END                        CAUSE
05:06:07 received nginx[4242]    10.0.0.1:45678 ← 10.0.0.9:8080              aborted_mid_response
         upstream /api/pay → payments · 12345 bytes of the answer had come · peer payments-1
         age 61.2s, idle 1.5s, in 12.3kB, out 340B · no FIN was seen · owner by connect
05:06:07 sent     -              10.0.0.1:81 → 10.0.0.7:50000                no_listener
         a SYN met no listening socket
";
    let style = plain(100);
    let shown = [
        header(style) + "\n",
        lines(&sample::received(), style),
        lines(&sample::sent_without_socket(), style),
    ];
    assert_eq!(shown.concat(), expected);
}

#[test]
fn a_container_is_shown_by_name_else_by_id() {
    let bare = || Container {
        pod_uid: None,
        ..sample::container()
    };
    let half = || {
        let mut container = sample::named_container();
        let names = container.names.take().unwrap();
        container.names = Some(Arc::new(ContainerNames {
            container: None,
            ..ContainerNames::clone(&names)
        }));
        container
    };
    for (container, expected) in [
        (sample::named_container(), "pod shop/web-0 container proxy"),
        (half(), "pod shop/web-0 container 0123456789ab"),
        (
            sample::container(),
            "pod 11111111-2222-3333-4444-555555555555 container 0123456789ab",
        ),
        (bare(), "peer payments-1 · container 0123456789ab"),
    ] {
        let mut reset = sample::received();
        let process = Process {
            container: Some(container),
            ..sample::nginx()
        };
        reset.owner.as_mut().unwrap().process = Arc::new(process);
        let shown = lines(&reset, plain(250));
        assert!(shown.contains(&format!("{expected} ·")), "{shown}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut hostile = sample::received();
    hostile.observation.local = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"
        .parse()
        .unwrap();
    hostile.observation.remote = "[2001:db8:1111:2222:3333:4444:5555:7777]:65535"
        .parse()
        .unwrap();
    hostile.peer = Arc::from("日本語".repeat(100));
    hostile.diagnosis.evidence = vec!["x".repeat(500), "y".repeat(500)].into();
    hostile.diagnosis.cause = Cause::AbortedBeforeResponse;
    let process = Process {
        name: Arc::from("語".repeat(50)),
        ..sample::nginx()
    };
    hostile.owner.as_mut().unwrap().process = Arc::new(process);
    let many = Reset {
        packets: u64::MAX,
        ..hostile.clone()
    };
    for columns in [80, 99, 100, 101, 140, 160, 250] {
        for reset in [
            many.clone(),
            sample::received(),
            sample::sent_without_socket(),
            hostile.clone(),
        ] {
            let shown = lines(&reset, plain(columns));
            assert!(shown.lines().count() <= 3, "{shown}");
            for line in shown.lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }
    let row = lines(&hostile, plain(100));
    let row = row.lines().next().unwrap();
    assert!(
        row.contains("…[4242]  [2001:d…:6666]:65535 ← [2001:d…:7777]:65535 "),
        "{row}"
    );
}

#[test]
fn a_file_gets_the_whole_story() {
    let style = Style {
        columns: None,
        colour: false,
    };
    let shown = lines(&sample::received(), style);
    assert_eq!(
        shown.lines().nth(1).unwrap().trim_start(),
        "upstream /api/pay → payments · 12345 bytes of the answer had come · \
         peer payments-1 · age 61.2s, idle 1.5s, in 12.3kB, out 340B · \
         no FIN was seen · owner by connect"
    );
}

#[test]
fn what_stands_under_a_row() {
    let changed = |change: fn(&mut crate::reset::Reset)| {
        let mut reset = sample::received();
        change(&mut reset);
        reset
    };
    let killed = |exit| {
        let mut reset = sample::received();
        let mut task = sample::task(9, "bash", KnownBy::Current);
        task.exit = exit;
        reset.observation.closer = Some(task);
        reset.closer = Some(Owner {
            process: Arc::new(Process {
                pid: 9,
                parent: None,
                name: Arc::from("bash"),
                ..sample::nginx()
            }),
            known_by: KnownBy::Current,
        });
        reset
    };
    let rows = [
        (killed(None), "· closed by bash[9] ·", true),
        (
            killed(Some(Exit::Signal(9))),
            "closed by bash[9], killed by SIGKILL",
            true,
        ),
        (
            killed(Some(Exit::Status(3))),
            "closed by bash[9], exiting with 3",
            true,
        ),
        (changed(|_| ()), "closed by", false),
        (changed(|_| ()), "sender:", false),
        (
            changed(|reset| reset.diagnosis.sender = Sender::Firewall),
            "sender: firewall",
            true,
        ),
        (
            changed(|reset| reset.diagnosis.sender = Sender::Middlebox),
            "suspected sender: middlebox",
            true,
        ),
        (
            changed(|reset| reset.peer = Arc::from("10.0.0.9")),
            "peer",
            false,
        ),
        (changed(|reset| reset.route = None), "upstream", false),
        (
            changed(|reset| reset.route.as_mut().unwrap().route = Arc::from("")),
            "upstream edge → payments",
            true,
        ),
        (changed(|reset| reset.observation.age = None), "idle", false),
    ];
    let style = Style {
        columns: None,
        colour: false,
    };
    for (reset, part, expected) in rows {
        let shown = lines(&reset, style);
        assert_eq!(shown.contains(part), expected, "{part}\n{shown}");
    }
}

#[test]
fn a_repeat_is_one_dim_line() {
    let mut reset = sample::received();
    reset.repeat_of = Some(ResetId(1));
    let shown = lines(
        &reset,
        Style {
            columns: Some(100),
            colour: true,
        },
    );
    assert_eq!(shown.lines().count(), 1);
    assert!(shown.starts_with("\u{1b}[2m05:06:07 received"), "{shown}");
    assert!(shown.ends_with(" (+1 packet)\u{1b}[0m\n"), "{shown}");
}

#[test]
fn what_led_to_it_comes_first() {
    let mut reset = sample::received();
    reset.propagated_from = Some(sample::propagated());
    let style = Style {
        columns: None,
        colour: false,
    };
    let shown = lines(&reset, style);
    let because = "because of reset 0000000000000029, client_canceled on the downstream leg, \
                   office ([2001:db8::9]:50000)";
    assert!(shown.contains(because), "{shown}");
    let from = reset.propagated_from.as_mut().unwrap();
    from.peer = "2001:db8::9".into();
    from.route.as_mut().unwrap().upstream = "pay\u{1b}ments".into();
    let shown = lines(&reset, style);
    assert!(shown.contains("leg → pay"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    assert!(shown.contains(", [2001:db8::9]:50000 · "), "{shown}");
}

#[test]
fn the_other_end_is_named() {
    let mut reset = sample::received();
    reset.twin = Some(sample::twin());
    let style = Style {
        columns: None,
        colour: false,
    };
    let named = "sent by payd[77] in pod shop/web-0: closed_with_unread_data, reset \
                 0000000000000028";
    let shown = lines(&reset, style);
    assert!(shown.contains(named), "{shown}");
    reset.twin.as_mut().unwrap().owner = None;
    let shown = lines(&reset, style);
    assert!(shown.contains("sent by this node: closed"), "{shown}");
}

/// As the agent finishes it: the twin has had its say, and names the peer.
fn joined(decides: bool) -> Reset {
    let mut reset = sample::received();
    let twin = sample::twin();
    let evidence = &mut reset.diagnosis.evidence;
    if decides {
        evidence.decide(twin.told());
    } else {
        evidence.say(twin.told());
    }
    reset.peer = twin.name().unwrap();
    reset.twin = Some(twin);
    reset
}

#[test]
fn both_ends_of_a_reset_at_100_columns() {
    let expected = "\
         upstream /api/pay → payments · 12345 bytes of the answer had come
         sent by payd[77] in pod shop/web-0: closed_with_unread_data, reset 0000000000000028 · age …
";
    // The fact that decided is of this end, also where the sender decided more.
    for reset in [joined(false), joined(true)] {
        let shown = lines(&reset, plain(100));
        let (_, under) = shown.split_once('\n').unwrap();
        assert_eq!(under.trim_start(), expected);
    }
}

#[test]
fn the_other_end_is_told_once() {
    let style = Style {
        columns: None,
        colour: false,
    };
    let mut reset = joined(false);
    let shown = lines(&reset, style);
    assert_eq!(shown.matches("sent by").count(), 1, "{shown}");
    for twice in ["the other end", "peer "] {
        assert!(!shown.contains(twice), "{twice:?}: {shown}");
    }
    // A name that the configuration gives says more.
    reset.peer = Arc::from("payments-1");
    let shown = lines(&reset, style);
    assert!(shown.contains("· peer payments-1 ·"), "{shown}");
}

#[test]
fn what_was_found_beside_comes_before_the_reasoning() {
    let mut reset = sample::received();
    reset.diagnosis.evidence.say("the accept queue was full");
    let shown = lines(&reset, plain(100));
    assert_eq!(
        shown.lines().nth(2).unwrap().trim_start(),
        "the accept queue was full · peer payments-1 · age 61.2s, idle 1.5s, in 12.3kB, out 340B · …"
    );
}

#[test]
fn colours_by_severity() {
    let style = Style {
        columns: Some(100),
        colour: true,
    };
    for (cause, expected) in [
        (Cause::ProcessKilled, "\u{1b}[31mprocess_killed\u{1b}[0m\n"),
        (Cause::IdleTimeout, "\u{1b}[33midle_timeout\u{1b}[0m\n"),
        (
            Cause::ResetAfterClose,
            "\u{1b}[2mreset_after_close\u{1b}[0m\n",
        ),
        (Cause::LingerAbort, " linger_abort\n"),
        (Cause::Unknown, "\u{1b}[35munknown\u{1b}[0m\n"),
    ] {
        let mut reset = sample::received();
        reset.diagnosis.cause = cause;
        let shown = lines(&reset, style);
        assert!(shown.contains(expected), "{shown:?}");
        assert!(!lines(&reset, plain(100)).contains('\u{1b}'));
    }
    for cause in Cause::ALL {
        assert!(
            width(cause.name()) <= CAUSE,
            "{cause} is wider than its column"
        );
    }
}

#[test]
fn hostile_names_reach_no_terminal() {
    let mut reset = sample::received();
    let name: Arc<str> = Arc::from("\u{1b}]0;evil\u{7}\n\u{202e}x");
    let process = Process {
        name: name.clone(),
        ..sample::nginx()
    };
    reset.owner.as_mut().unwrap().process = Arc::new(process);
    reset.peer = name.clone();
    reset.diagnosis.evidence = vec![name.to_string()].into();
    reset.observation.reason = Some(Reason(name.clone()));
    let route = reset.route.as_mut().unwrap();
    (route.gateway, route.route, route.upstream) = (name.clone(), name.clone(), name);
    reset.closer = reset.owner.clone();
    for columns in [Some(100), None] {
        let shown = lines(
            &reset,
            Style {
                columns,
                colour: false,
            },
        );
        let harmful = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!shown.contains(harmful), "{shown:?}");
        assert!(shown.lines().count() <= 3, "{shown}");
    }
}

#[test]
fn colour_only_where_it_is_wanted() {
    let os = |text: &'static str| Some(OsStr::new(text));
    for (columns, no_color, term, expected) in [
        (Some(100), None, os("xterm"), true),
        (Some(100), os(""), os("xterm"), true),
        (Some(100), None, None, true),
        (Some(100), os("1"), os("xterm"), false),
        (Some(100), None, os("dumb"), false),
        (None, None, os("xterm"), false),
    ] {
        let style = Style::of(columns, no_color, term);
        assert_eq!(
            (style.columns, style.colour),
            (columns, expected),
            "{no_color:?} {term:?}"
        );
    }
}
